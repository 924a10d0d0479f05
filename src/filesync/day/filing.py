"""Take a billing file (BDF, C.A.) in: which layout it has, of which day it is, whether the gate is open, and what it becomes.

Ordering rules:
1. The file is looked at first: a file that is of no layout, of another day, or that does not add up is refused before any gate is asked.
2. While the gate of its step is closed the file is kept (`waiting.keep`), with what was asked; it is taken when the gate opens.
3. Files for one day are taken in the order in which they were asked for.
4. The gate's evidence is on the disk before the file is taken; the step's mark is in the transaction that takes it (exchange.ownbatch).

The same file again, by the same layout, changes nothing. Another file for the same day takes the place of the first in one transaction; the
first stays in the archive and in the ledger, superseded.

What is not here: what is said about a file without taking it (`preflight`), files that wait in `drop/` (`waiting`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from filesync.day import routine
from filesync.day.values import Closed
from filesync.errors import ConfigError, RejectedError
from filesync.exchange import ownbatch
from filesync.exchange.dropped import patience
from filesync.exchange.reports import Progress
from filesync.protocol.identity import Role
from filesync.sources.layout_choice import choose, layouts
from filesync.sources.layout_reading import LayoutReading, check_fields
from filesync.stores.values import HeadMovedError
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract
    from filesync.day.values import Reason
    from filesync.exchange.context import Context
    from filesync.exchange.ownbatch import Taken
    from filesync.exchange.station import Station
    from filesync.protocol.receipt import Problem
    from filesync.sources.layout_choice import Look
    from filesync.sources.layout_reading import Found, Piece
    from filesync.stores.files import FileRecord

#: The step that takes in each kind of file.
STEPS: Final = {"bdf": "importar_bdf", "ca": "importar_ca"}

_DATE_IN_NAME: Final = re.compile(r"(?<![0-9])([0-9]{4})[-_.]?([0-9]{2})[-_.]?([0-9]{2})(?![0-9])")


class WrongFileError(RejectedError):
    """The file as a whole is wrong; `problems` say everything that is."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(problems[0].code, problems[0].message + more)
        self.problems = tuple(problems)


class FilingState(Enum):
    """What became of a file."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"  # this very file counts for the day already
    KEPT = "kept"  # the gate is closed: it waits in drop/


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: a file, of a kind, for a day (None: the file says), by a layout (None: the one that fits), by somebody."""

    dataset: str
    path: Path
    day: date | None = None
    layout: str | None = None
    by: str = "filesync"


@dataclass(frozen=True, slots=True)
class Identified:
    """A file whose layout and day are known."""

    asked: Asked
    look: Look
    contract: Contract
    day: date
    sha256: str
    bytes: int

    @property
    def step(self) -> str:
        """The step that takes it."""
        return STEPS[self.asked.dataset]


@dataclass(frozen=True, slots=True)
class FilingReport:
    """What became of a file. `superseded` is the batch it replaced, `kept` where it waits, `reasons` for what."""

    state: FilingState
    dataset: str
    day: date
    file: str
    layout: str
    sha256: str
    documents: int = 0
    set_aside: int = 0
    totals: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    batch: str | None = None
    superseded: str | None = None
    evidence: Path | None = None
    kept: Path | None = None
    reasons: tuple[Reason, ...] = ()


def identify(ctx: Context, asked: Asked) -> Identified:
    """Layout, day and digest of a file.

    Raises ConfigError `role-wrong`, `source-missing`, `layout-…`, `day-unknown`; RejectedError `layout-none`, `file-of-another-day`.
    """
    if ctx.settings.role is not Role.MATRIZ:
        raise ConfigError(
            "role-wrong", f"billing files are taken in at the matriz; {ctx.me} is a {ctx.settings.role.value}"
        )
    contract = ctx.contracts.latest(asked.dataset)
    if contract is None or asked.dataset not in STEPS:
        raise ConfigError("dataset-unknown", f"expected one of {', '.join(STEPS)}, got {asked.dataset!r}")
    if not asked.path.is_file():
        raise ConfigError("source-missing", f"{asked.path}: there is no such file")
    with patience(asked.path):
        look = choose(layouts(ctx.folders.root), asked.dataset, asked.path, asked.layout)
        check_fields(look.layout, contract)
        sha256, size = digest_file(asked.path)
    return Identified(asked, look, contract, _day(asked, look), sha256, size)


def _day(asked: Asked, look: Look) -> date:
    """The header decides; what a person says must agree with it. Else the folder's name, or a date in the file's."""
    name = asked.path.name
    if look.day is not None:
        if asked.day is not None and asked.day != look.day:
            raise RejectedError(
                "file-of-another-day", f"{name}: expected a file of {asked.day}, its header says {look.day}"
            )
        return look.day
    if asked.day is not None:
        return asked.day
    for text in (asked.path.parent.name, name):
        if (said := date_in(text)) is not None:
            return said
    raise ConfigError(
        "day-unknown", f"{name}: neither the file nor its name says of which day it is; add --date AAAA-MM-DD"
    )


def date_in(name: str) -> date | None:
    """The only day that a name names: 2026-03-02, 20260302."""
    days = set()
    for year, month, day in _DATE_IN_NAME.findall(name):
        try:
            days.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return days.pop() if len(days) == 1 else None


def counting(ctx: Context, file: Identified) -> FileRecord | None:
    """The file that counts for the day already, where it is this very file by this very layout."""
    current = ctx.store.files.current(file.asked.dataset, file.day)
    same = current is not None and (current.file_sha256, current.layout_sha256) == (
        file.sha256,
        file.look.layout.digest,
    )
    return current if same else None


def reading_of(ctx: Context, file: Identified) -> LayoutReading:
    """A fresh reading of the file."""
    return LayoutReading(file.look.layout, file.contract, file.asked.path, site=ctx.me, day=file.day)


def judge(reading: LayoutReading, file: Identified) -> None:
    """After a reading was taken to its end: raise `WrongFileError` or RejectedError where the file must not be taken."""
    found, name = reading.found, file.asked.path.name
    if found.wrong:
        raise WrongFileError(found.wrong)
    if found.details and found.days and file.day not in found.days:
        days = ", ".join(f"{day}" for day in sorted(found.days)[:3])
        raise RejectedError("file-of-another-day", f"{name}: expected rows of {file.day}, got rows of {days}")
    if found.details and found.bad == found.details:
        raise WrongFileError(found.problems)


def take(station: Station, asked: Asked) -> FilingReport:
    """Take the file in, or keep it while its gate is closed. Raises what `identify` and `judge` raise: such a file is not kept.

    Files of its kind and day that were kept before come first: one of them, taken later, would take the place of this one.
    """
    from filesync.day import waiting  # it takes files by this module

    if waiting.kept_others(station.context, asked):
        waiting.take_waiting(station, asked.dataset, identify(station.context, asked).day)
    return take_now(station, asked)


def take_now(station: Station, asked: Asked) -> FilingReport:
    """`take`, whatever else waits."""
    with station.at_work() as ctx:
        try:
            return _taken_or_kept(ctx, asked)
        except HeadMovedError:
            # Another machine of this site was faster, most likely with this very file. Look again, once: the next turn does so too.
            return _taken_or_kept(ctx, asked)


def _taken_or_kept(ctx: Context, asked: Asked) -> FilingReport:
    ownbatch.recover(ctx)
    file = identify(ctx, asked)
    if (known := counting(ctx, file)) is not None:
        return _unchanged(file, known)
    decision = routine.decide(ctx, file.step, file.day)
    if isinstance(decision, Closed):
        return replace(_keep(ctx, file), reasons=decision.reasons)
    return _take(ctx, file, routine.open_gate(ctx, file.step, file.day))


def keep(station: Station, asked: Asked) -> FilingReport:
    """Keep a file for its day without asking the gate: it is taken when its turn comes. Raises as `take` does."""
    with station.at_work() as ctx:
        return _keep(ctx, identify(ctx, asked))


def _keep(ctx: Context, file: Identified) -> FilingReport:
    from filesync.day import waiting  # it takes files by this module

    reading = reading_of(ctx, file)
    for _ in rows_of(ctx, reading):
        pass
    judge(reading, file)
    kept = waiting.keep(ctx, file)
    return FilingReport(
        FilingState.KEPT, file.asked.dataset, file.day, file.asked.path.name, file.look.layout.name, file.sha256,
        documents=reading.found.details - reading.found.bad, set_aside=reading.found.bad,
        problems=tuple(reading.found.problems), kept=kept,
    )  # fmt: skip


def _take(ctx: Context, file: Identified, evidence: Path) -> FilingReport:
    asked, reading = file.asked, reading_of(ctx, file)
    prepared = ownbatch.prepare(
        ctx, file.contract, file.day, (piece.table for piece in rows_of(ctx, reading))
    )
    try:
        judge(reading, file)
    except RejectedError:
        prepared.discard()
        raise
    found: Found = reading.found
    own = ownbatch.OwnFile(
        asked.path, file.sha256, file.bytes, file.look.layout.name, file.look.layout.digest, asked.by
    )

    def mark(taken: Taken) -> None:
        detail = {
            "file": asked.path.name, "file_sha256": file.sha256, "layout": own.layout, "batch": taken.batch,
            "documents": taken.documents, "set_aside": found.bad, "superseded": taken.superseded,
        }  # fmt: skip
        routine.mark_done(ctx, file.step, file.day, by=asked.by, detail=detail, opened=evidence)

    taken = ownbatch.take(
        ctx, prepared, own, problems=found.problems, set_aside=found.bad, aside=found.aside, also=mark
    )  # fmt: skip
    return FilingReport(
        FilingState.TAKEN, asked.dataset, file.day, asked.path.name, own.layout, file.sha256, documents=taken.documents, set_aside=found.bad,
        totals=dict(taken.manifest.totals), problems=tuple(found.problems), batch=taken.batch, superseded=taken.superseded, evidence=evidence,
    )  # fmt: skip


def _unchanged(file: Identified, known: FileRecord) -> FilingReport:
    return FilingReport(
        FilingState.UNCHANGED, file.asked.dataset, file.day, file.asked.path.name, known.layout, file.sha256,
        documents=known.documents, set_aside=known.set_aside, batch=known.batch,
    )  # fmt: skip


def rows_of(ctx: Context, reading: LayoutReading) -> Iterator[Piece]:
    """The pieces of a reading, with progress."""
    done = 0
    for piece in reading.pieces():
        done += piece.table.num_rows
        ctx.observe(Progress(f"read {reading.path.name}", done, None, "rows"))
        yield piece
