"""Purge: files of days that are long over are removed. The ledger keeps everything it knows.

Ordering rules:
1. A day's files go as a whole or not at all: while somebody may still need one of them (keeping.py), all of them stay.
2. The ledger says that they are going (`fs_purge`) before the first of them goes, and that they are gone after the last one: a purge that
   was cut short is gone on with by the next one, and whoever misses a file learns when it went.
3. One day at a time, each with the site's lock: what arrives meanwhile waits for one day's files, never for years of them.

Only files that filesync put there are removed, and folders that are empty afterwards; what else lies there is counted (`strangers`) and stays.
No row of the ledger goes, so nothing that arrives again is applied twice, and every receipt can still be written again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filesync.config.retention import Age
from filesync.day.evidence import EvidenceName
from filesync.day.keeping import Keeping
from filesync.day.opening import BY_ITSELF
from filesync.errors import ConfigError
from filesync.exchange.ownbatch import ORIGINAL
from filesync.exchange.reports import Progress
from filesync.protocol.identity import parse_file_name
from filesync.stores.purging import Purged
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from filesync.day.keeping import Keep
    from filesync.exchange.context import Context
    from filesync.exchange.station import Station

#: Below a day's archive: what persons discarded from quarantine on that day.
DISCARDED: Final = "discarded"
#: Not before: whoever closes late is still at work.
HOUR: Final = 3
#: Files that go between two looks at the clock of whoever watches.
WAVE: Final = 2_000


@dataclass(frozen=True, slots=True)
class DayFiles:
    """Files of one kind and day. `keeps`: why they stay. `done`: they were removed just now."""

    day: date
    kind: Purged
    files: int
    bytes: int
    keeps: tuple[Keep, ...] = ()
    strangers: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each kind what is older than this day; None: nothing."""

    archive: date | None = None
    discarded: date | None = None
    evidence: date | None = None

    @classmethod
    def configured(cls, ctx: Context) -> Limits:
        """As `[retention]` says today."""
        today, rules = ctx.clock().date(), ctx.settings.retention
        ages = (Age.parse(text) for text in (rules.archive, rules.quarantine_resolved, rules.evidence))
        return cls(*(None if age is None else age.before(today) for age in ages))

    @classmethod
    def before(cls, ctx: Context, day: date) -> Limits:
        """What a person asks for. Evidence goes by its own rule only."""
        if day > ctx.clock().date():
            raise ConfigError("purge-future", f"expected a day that is over, got {day.isoformat()}")
        return cls(day, day, cls.configured(ctx).evidence)

    @property
    def nothing(self) -> bool:
        """Whether everything stays for ever."""
        return self == Limits()


def examine(ctx: Context, limits: Limits) -> Iterator[DayFiles]:
    """What would go, and what would stay and why, the oldest first. Changes nothing and needs no lock."""
    keeping, candidates = Keeping(ctx), _candidates(ctx, limits)
    for number, (day, kind) in enumerate(candidates, 1):
        ctx.observe(Progress("examine", number, len(candidates), "days"))
        if (found := _look(ctx, keeping, day, kind)) is not None:
            yield found


def purge(station: Station, limits: Limits, by: str = BY_ITSELF) -> Iterator[DayFiles]:
    """Remove what may go, a day at each step of the iteration, and tell what stays. Harmless to stop at any point, and to begin again."""
    for day, kind in _candidates(station.context, limits):
        with station.at_work() as ctx:
            found = _look(ctx, Keeping(ctx), day, kind)
            if found is not None and not found.keeps:
                found = _remove(ctx, found, by)
        if found is not None:
            yield found


class DailyPurge:
    """What `[retention]` lets go, once a day for as long as a daemon runs: a day's files at each step, so that nobody waits for years of them."""

    def __init__(self) -> None:
        self._last: date | None = None
        self._going: Iterator[DayFiles] | None = None

    def step(self, station: Station, now: datetime) -> DayFiles | None:
        """What became of the next day's files; None where today's are done with. After a mistake it is tried again tomorrow."""
        if self._going is None:
            if now.hour < HOUR or now.date() == self._last:
                return None
            self._last = now.date()
            limits = Limits.configured(station.context)
            self._going = iter(()) if limits.nothing else purge(station, limits)
        going, self._going = self._going, None
        found = next(going, None)
        if found is not None:
            self._going = going
        return found


# ------------------------------------------------------------------------------------------------ what lies there


def _candidates(ctx: Context, limits: Limits) -> list[tuple[date, Purged]]:
    """The days and kinds of which there may be something, the oldest first. Only names of folders are looked at, and of evidence."""
    found: set[tuple[date, Purged]] = set()
    for day in _archived(ctx.folders.root / "archive"):
        if limits.archive is not None and day < limits.archive:
            found.add((day, Purged.ARCHIVE))
        if limits.discarded is not None and day < limits.discarded:
            found.add((day, Purged.DISCARDED))
    if limits.evidence is not None:
        days = {
            name.day for path in _entries(ctx.folders.evidence) if (name := EvidenceName.parse(path.name))
        }
        found |= {(day, Purged.EVIDENCE) for day in days if day < limits.evidence}
    return sorted(found, key=lambda each: (each[0], each[1].value))


def _archived(top: Path) -> Iterator[date]:
    """The days that have a folder in the archive."""
    for year in _entries(top):
        for month in _entries(year):
            for day in _entries(month):
                with suppress(ValueError):
                    yield date.fromisoformat(f"{year.name}-{month.name}-{day.name}")


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


@dataclass(slots=True)
class _Lying:
    """Files of one kind and day: ours, with their size, and how many there are of somebody else's."""

    ours: list[Path] = field(default_factory=list)
    bytes: int = 0
    strangers: int = 0


def _lying(ctx: Context, day: date, kind: Purged) -> _Lying:
    found = _Lying()
    try:
        entries = os.scandir(_folder(ctx, day, kind))
    except FileNotFoundError:
        return found
    with entries:
        for entry in entries:
            if _is_of(entry.name, day, kind) and entry.is_file(follow_symlinks=False):
                found.ours.append(Path(entry.path))
                found.bytes += entry.stat(follow_symlinks=False).st_size
            elif kind is not Purged.EVIDENCE and entry.name != DISCARDED:
                found.strangers += 1
    return found


def _folder(ctx: Context, day: date, kind: Purged) -> Path:
    if kind is Purged.EVIDENCE:
        return ctx.folders.evidence
    return ctx.folders.archive(day) / DISCARDED if kind is Purged.DISCARDED else ctx.folders.archive(day)


def _is_of(name: str, day: date, kind: Purged) -> bool:
    """Whether a file of this name is one that filesync puts there."""
    if kind is Purged.DISCARDED:
        return True  # what a person discarded has whatever name its sender gave it
    if kind is Purged.EVIDENCE:
        evidence = EvidenceName.parse(name)
        return evidence is not None and evidence.day == day
    stem, original, _ = name.partition(ORIGINAL)
    parsed = parse_file_name(f"{stem}.manifest.json" if original else name)
    return parsed is not None and parsed.batch.business_date == day


def _look(ctx: Context, keeping: Keeping, day: date, kind: Purged) -> DayFiles | None:
    """What there is of a day; None where there is nothing, and no purge to be ended."""
    lying = _lying(ctx, day, kind)
    found = DayFiles(day, kind, len(lying.ours), lying.bytes, strangers=lying.strangers)
    if not lying.ours:
        begun = any(m.kind is kind and m.purged_at is None for m in ctx.store.purges.marks(day))
        return found if begun else None
    # What a person discarded was decided, with a reason that stays in the audit.
    return found if kind is Purged.DISCARDED else replace(found, keeps=keeping.why(day))


# ------------------------------------------------------------------------------------------------ removing


def _remove(ctx: Context, found: DayFiles, by: str) -> DayFiles:
    day, kind = found.day, found.kind
    ctx.store.purges.begin(day, kind, at=ctx.now(), by=by, files=found.files, bytes=found.bytes)
    # At this instant the files are going: none of them is looked for any more.
    paths = _lying(ctx, day, kind).ours
    for start in range(0, len(paths), WAVE):
        durable.remove_many(paths[start : start + WAVE])
        ctx.observe(Progress("purge", min(start + WAVE, len(paths)), len(paths), "files"))
    with ctx.store.transaction():
        ctx.store.purges.finish(day, kind, ctx.now())
        detail = {"kind": kind.value, "files": found.files, "bytes": found.bytes}
        ctx.store.days.record_event(day, ctx.now(), "purged", by, detail)
    if kind is not Purged.EVIDENCE:
        folder = ctx.folders.archive(day)
        for empty in (folder / DISCARDED, folder, folder.parent, folder.parent.parent):
            with suppress(OSError):  # not there, or something lies in it
                empty.rmdir()
    return replace(found, done=True)
