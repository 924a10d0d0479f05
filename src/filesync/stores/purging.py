"""What was removed of the archive, and what must not be: a day's batches that somebody may still need.

- The mark of a purge is written before its first file goes, and finished when the last one has: whoever misses a file learns when it went.
- No row of the ledger ever goes. What was decided stays decided: the same batch arriving again is known, and gets the same receipt.

What is not here: files, and the gates of the day (day/purging.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

from filesync.stores.database import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from filesync.stores.database import Database


class Purged(Enum):
    """What kind of files."""

    ARCHIVE = "archive"  # payloads, manifests, receipts and voids of a movement day
    DISCARDED = "discarded"  # what persons took out of quarantine for good on a day
    EVIDENCE = "evidence"  # signed gate openings of a movement day


@dataclass(frozen=True, slots=True)
class PurgeMark:
    """Files of a day that were removed. `purged_at` None: it was begun and cut short."""

    day: date
    kind: Purged
    begun_at: str
    purged_at: str | None
    by: str
    files: int
    bytes: int

    @property
    def at(self) -> str:
        """When it was."""
        return self.purged_at or self.begun_at


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Names of a day's batches that are not over: for whom, or why not, by the member's name."""

    unanswered: tuple[str, ...] = ()  # sealed here; a recipient has not answered
    owed: tuple[str, ...] = ()  # sealed here, rejected; their rows stand in no later batch
    unacknowledged: tuple[str, ...] = ()  # decided here; the receipt was in no outbox yet
    unheard: tuple[str, ...] = ()  # decided here; the origin did not have the receipt when it was heard last


class Purges:
    """A part of the store (`Store.purges`). `write` opens a transaction, or joins the one that is open."""

    def __init__(self, db: Database, write: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._write = write

    def begin(self, day: date, kind: Purged, *, at: str, by: str, files: int, bytes: int) -> None:  # noqa: A002 -- as in PurgeMark
        """Files of this kind and day go from now on. One that was cut short goes on."""
        with self._write():
            self._db.run(QUERIES["purge_begin"], (day.isoformat(), kind.value, at, by, files, bytes))

    def finish(self, day: date, kind: Purged, at: str) -> None:
        """All of them are gone."""
        with self._write():
            self._db.run(QUERIES["purge_finish"], (day.isoformat(), kind.value, at))

    def marks(self, day: date, until: date | None = None) -> list[PurgeMark]:
        """What was purged of the day, or of the days from it to `until`, in the order in which it was."""
        rows = self._db.select(QUERIES["purges"], (day.isoformat(), (until or day).isoformat()))
        return [
            PurgeMark(date.fromisoformat(of), Purged(kind), begun, done or None, by, files, size)
            for of, kind, begun, done, by, files, size in rows
        ]

    def archive_of(self, day: date) -> PurgeMark | None:
        """The last purge of the day's archive; None where there was none."""
        marks = [mark for mark in self.marks(day) if mark.kind is Purged.ARCHIVE]
        return marks[-1] if marks else None

    def unsettled(self, day: date) -> Unsettled:
        """Batches of the day that are not settled on both sides, as far as is known here."""
        asked = (day.isoformat(),)
        with self._db.snapshot():
            found = [
                tuple(name for (name,) in self._db.select(statement, asked))
                for statement in (
                    QUERIES["purge_unanswered"],
                    QUERIES["purge_owed"],
                    QUERIES["purge_unacknowledged"],
                    QUERIES["purge_unheard"],
                )
            ]
        return Unsettled(*found)
