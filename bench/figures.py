"""What a run yields: lines of the table and points of the plot, as values that survive a trip through JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rows: int = 1_000_000
    large_rows: int = 10_000_000
    batches: int = 10_000
    batch_sales: int = 20
    sample: int = 20_000  # documents that jsonschema sees; it takes a second for half of them
    rounds: int = 5
    update_rounds: int = 3
    many_rounds: int = 3
    growth: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    sftp_bytes: int = 512 << 20
    sftp_files: int = 2_000
    sftp_files_few: int = 60  # for those who wait for every answer on a long line
    road_rounds: int = 3
    drops: int = 200
    peers: int = 10_000
    past: tuple[int, ...] = (0, 100_000, 1_000_000)  # batches decided before
    sites: tuple[int, ...] = (100, 1_000, 10_000)  # for the plot of a turn against how many there are


QUICK = Sizes(
    rows=100_000, large_rows=1_000_000, batches=1_000, sample=4_000, rounds=3, update_rounds=3, many_rounds=3,
    growth=(10_000, 100_000, 1_000_000), sftp_bytes=64 << 20, sftp_files=400, sftp_files_few=20, road_rounds=3, drops=100, peers=1_000, past=(0, 10_000, 100_000),
    sites=(10, 100, 1_000),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: ours beside one limit or peer. `ratio` has the sense that the goal speaks of."""

    target: str
    what: str
    ours: str
    beside: str
    theirs: str
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a plot: `rate` is rows per second; in the series of turns `rows` are batches or sites, and `rate` is seconds."""

    series: str
    rows: int
    rate: float


@dataclass(slots=True)
class Part:
    """What one group of measurements yields."""

    lines: list[Line] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Part:
        return cls(
            [Line(**line) for line in data["lines"]],
            [Point(**point) for point in data["points"]],
            data["notes"],
        )

    def compare(
        self, target: str, what: str, ours: str, beside: str, theirs: str, ratio: float, least: float | None = None,
    ) -> None:  # fmt: skip
        """A line whose ratio is our speed over theirs, with the least that is wanted of it."""
        goal = "" if least is None else f"≥ {least:.2g} ×" if least < 100 else f"≥ {least:.0f} ×"
        self.lines.append(
            Line(target, what, ours, beside, theirs, ratio, goal, None if least is None else ratio >= least)
        )


def rate(count: int, seconds: float, unit: str = "rows/s") -> str:
    """A speed as people read it."""
    value = count / seconds
    if value >= 1e6:
        return f"{value / 1e6:.2f} M {unit}"
    if value >= 10_000:
        return f"{value / 1e3:.0f} k {unit}"
    if value >= 1_000:
        return f"{value / 1e3:.1f} k {unit}"
    return f"{value:.0f} {unit}"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.0f} MiB"
