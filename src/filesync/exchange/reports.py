"""What a step did, as values: the CLI words them, tests compare them, Python callers read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from filesync.protocol.receipt import Problem, Verdict

if TYPE_CHECKING:
    from filesync.contracts import Gap


@dataclass(frozen=True, slots=True)
class Progress:
    """One tick of a long step. `total` is None while it is not known; the bytes are None where nothing is moved."""

    step: str
    done: int
    total: int | None
    unit: str
    bytes_done: int | None = None
    bytes_total: int | None = None


Observer = Callable[[Progress], None]

#: Told what broke ("link matriz"), so that the rest can go on.
Crashed = Callable[[str, Exception], None]


def unobserved(_: Progress) -> None:
    """The observer of whoever does not look."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file that was not applied: what it is, why, and whether it stays where it is (`waiting`) or was set aside."""

    peer: str
    name: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A batch that exists since this step."""

    name: str
    recipients: tuple[str, ...]
    documents: int
    payload_bytes: int
    totals: Mapping[str, int | Mapping[str, int]]


@dataclass(slots=True)
class SealReport:
    """`unchanged`: documents sealed before with this content. `refused`: documents that broke the contract (all counted, some named).
    `held`: documents that wait until their recipients know a newer version of the contract (versions.py); `failed` says so too.

    `failed`: files that could not be read; the others were captured. `begun_for`: sites for whose sake a snapshot was made, for they came to
    the audience when the feed had begun. `beginners`: such sites that still wait for one, because this source may not hold everything.
    """

    dataset: str
    sealed: list[SealedBatch] = field(default_factory=list)
    documents: int = 0
    unchanged: int = 0
    refused: int = 0
    held: int = 0
    problems: list[Problem] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    failed: list[Held] = field(default_factory=list)
    begun_for: tuple[str, ...] = ()
    beginners: tuple[str, ...] = ()
    look_again_s: float | None = None

    def look_again(self, seconds: float | None) -> None:
        """In so many seconds, at the latest, something that is not ready yet may be."""
        self.look_again_s = _sooner(self.look_again_s, seconds)


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """A batch whose number was decided here in this step."""

    name: str
    verdict: Verdict
    documents: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Redone:
    """A part of the work (origins, or days) that a worker did not bring home, and why: the site did it itself."""

    items: tuple[str, ...]
    code: str
    message: str


@dataclass(slots=True)
class ImportReport:
    """What became of everything that lay in the inboxes.

    `voided`: numbers that their origin gave up, and batches that came under a number given up before. `sent_again`: batches that a
    recipient has lost and asked for. `redone`: what workers did not do, and was done without them. `unready`: datasets whose own statements
    cannot be run, so that their batches wait (own_tables.py).
    """

    applied: list[AppliedBatch] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)
    waiting: list[Held] = field(default_factory=list)
    set_aside: list[Held] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    rejected_by_peer: list[Held] = field(default_factory=list)
    voided: list[Held] = field(default_factory=list)
    sent_again: list[Held] = field(default_factory=list)
    redone: list[Redone] = field(default_factory=list)
    unready: list[Held] = field(default_factory=list)

    def add(self, other: ImportReport) -> None:
        """What became of other inboxes as well."""
        for known in fields(self):
            getattr(self, known.name).extend(getattr(other, known.name))

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look: something was rejected, only partly applied, or set aside."""
        return bool(
            self.set_aside
            or self.rejected_by_peer
            or self.voided
            or self.unready
            or any(b.verdict is not Verdict.APPLIED for b in self.applied)
        )


@dataclass(slots=True)
class ExchangeReport:
    """Files moved over the links, per peer; `unreachable` maps a peer to why it could not be reached, `codes` to the code of that.

    `disk_low` says why nothing was fetched although the peers could be reached.
    """

    shipped: dict[str, int] = field(default_factory=dict)
    fetched: dict[str, int] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    disk_low: str = ""


@dataclass(slots=True)
class Moved:
    """Files that were put or fetched, not counting what lay in its place already; `batches` counts manifests."""

    files: int = 0
    bytes: int = 0
    batches: int = 0
    receipts: int = 0
    voids: int = 0


@dataclass(slots=True)
class CarryReport:
    """What was put on a stick or taken from it, per peer; it holds also where the stick was pulled (`interrupted`).

    `unknown`: files for us by senders that are no peers here. `for_others`: files on the stick for other sites. Both stay where they are.
    """

    moved: dict[str, Moved] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    for_others: dict[str, int] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    interrupted: Held | None = None


@dataclass(slots=True)
class TurnReport:
    """One whole turn."""

    exchange: ExchangeReport = field(default_factory=ExchangeReport)
    imported: ImportReport = field(default_factory=ImportReport)
    exported: list[SealReport] = field(default_factory=list)
    failed_sources: list[Held] = field(default_factory=list)
    look_again_s: float | None = None

    @property
    def quiet(self) -> bool:
        """Whether the turn found nothing to do."""
        moved = sum(self.exchange.shipped.values()) + sum(self.exchange.fetched.values())
        report = self.imported
        worked = report.applied or report.replayed or report.set_aside or report.settled or report.voided
        return not (moved or worked or any(e.sealed for e in self.exported))

    def look_again(self, seconds: float | None) -> None:
        """As in SealReport."""
        self.look_again_s = _sooner(self.look_again_s, seconds)


def _sooner(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else min(one, other)
