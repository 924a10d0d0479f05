"""The movement day in the ledger: batches of a day, steps done, overrides, imported files."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING

from filesync.protocol.identity import Feed, Format
from filesync.protocol.receipt import Verdict
from filesync.stores import memory
from filesync.stores.database import QUERIES
from filesync.stores.values import DaySealed, SealedAfterClose

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from filesync.stores.database import Database


class Days:
    """A part of the store (`SqliteStore.days`). `write` opens a transaction, or joins the one that is open."""

    def __init__(self, db: Database, write: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._write = write

    # ------------------------------------------------------------------------------------------------ what was sealed here

    def sealed(self, day: date) -> list[DaySealed]:
        """Every batch of the day that was sealed here, of any dataset and epoch, in the order in which they were sealed."""
        with self._db.snapshot():
            rows = self._db.select(QUERIES["day_sealed"], (day.isoformat(),))
            answers = self._db.select(QUERIES["day_sealed_answers"], (day.isoformat(),))
        verdicts: dict[int, dict[str, Verdict | None]] = defaultdict(dict)
        unshipped = set()
        for batch_id, recipient, verdict, shipped in answers:
            verdicts[batch_id][recipient] = None if verdict is None else Verdict(verdict)
            if not shipped:
                unshipped.add(batch_id)
        return [
            DaySealed(
                batch_id, name, Feed(origin, dataset, audience), epoch, seq, Format(form), sha256, documents, manifest, replaces,
                verdicts[batch_id], batch_id not in unshipped,
            )
            for batch_id, name, origin, dataset, audience, epoch, seq, form, sha256, documents, manifest, replaces in rows
        ]  # fmt: skip

    def sealed_in(self, dataset: str, audience: str, digests: pa.Table) -> npt.NDArray[np.int64]:
        """The batch in which each of these documents was sealed last (0: not remembered). `digests` as for `SqliteStore.unsealed`."""
        with self._db.snapshot():
            return memory.sealed_in(self._db, dataset, audience, digests)

    def sealed_after_close(self, me: str) -> list[SealedAfterClose]:
        """Own (`me`) closed days of which more sales were sealed since. Costs the days that were ever closed, not their batches."""
        return [
            SealedAfterClose(date.fromisoformat(day), batches, documents)
            for day, batches, documents in self._db.select(QUERIES["days_sealed_after_close"], (me,))
        ]
