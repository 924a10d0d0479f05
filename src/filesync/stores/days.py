"""The movement day in the ledger: batches of a day, steps done, overrides, imported files."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from filesync.protocol.envelope import sha256_hex
from filesync.protocol.identity import BatchName, Feed, Format
from filesync.protocol.receipt import Verdict
from filesync.stores import closings, memory
from filesync.stores.database import QUERIES
from filesync.stores.day_values import (
    DayBatch,
    DayEvent,
    DaySeen,
    DoneMark,
    FeedHead,
    HeardOf,
    Override,
)
from filesync.stores.values import DaySealed, SealedAfterClose

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractContextManager

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.stores.closings import ClosingRows
    from filesync.stores.database import Database


#: What the journal calls documents that left a day, as in queries_days.sql.
LEFT: Final = "sales-left"


class Days:
    """A part of the store (`Store.days`). `write` opens a transaction, or joins the one that is open."""

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
        """The batch in which each of these documents was sealed last (0: not remembered). `digests` as for `Store.unsealed`."""
        with self._db.snapshot():
            return memory.sealed_in(self._db, dataset, audience, digests)

    def superseded(self, batch: DaySealed) -> bool:
        """Whether every document of this batch was sealed again since."""
        with self._db.snapshot():
            return not memory.newest_of_any(self._db, batch.feed.dataset, batch.feed.audience, batch.batch_id)

    def sealed_after_close(self, me: str) -> list[SealedAfterClose]:
        """Own (`me`) closed days of which more sales were sealed since. Costs the days that were ever closed, not their batches."""
        return [
            SealedAfterClose(date.fromisoformat(day), batches, documents)
            for day, batches, documents in self._db.select(QUERIES["days_sealed_after_close"], (me,))
        ]

    # ------------------------------------------------------------------------------------------------ what was decided here

    def arrived(self, day: date) -> list[DayBatch]:
        """Every batch of the day that was decided here, of any origin, dataset and epoch, in the order in which they were."""
        # By columns: thousands of sites send tens of thousands of batches a day, and rows one by one cost more than reading them.
        found = self._db.select_table(QUERIES["day_arrived"], (day.isoformat(),)).to_pydict()
        return [_batch(row) for row in zip(*found.values(), strict=True)]

    def replaced(self, names: Collection[str]) -> dict[str, list[str]]:
        """Those of these batches that later ones replace, with the names of those, whatever became of them."""
        found: dict[str, list[str]] = defaultdict(list)
        if names:
            for name, by in self._db.select(QUERIES["day_replaced"], (json.dumps(sorted(names)),)):
                found[name].append(by)
        return dict(found)

    def heads(self, me: str) -> list[FeedHead]:
        """How far every feed from elsewhere than `me` is decided here."""
        return [
            FeedHead(Feed(origin, dataset, audience), epoch, seq, age, _day(first), _day(last))
            for origin, dataset, audience, epoch, seq, age, first, last in self._db.select(
                QUERIES["feed_heads"], (me,)
            )
        ]

    def heads_sum(self) -> int:
        """Grows with every number that is used."""
        total: int = self._db.select(QUERIES["heads_sum"])[0][0]
        return total

    def heard(self) -> list[HeardOf]:
        """What every installation of every peer said last, later installations later."""
        return [
            HeardOf(peer, epoch, json.loads(text), at, knew)
            for peer, epoch, text, at, knew in self._db.select(QUERIES["every_heard"])
        ]

    def heard_sums(self) -> list[int]:
        """Changes whenever it may be told otherwise which installation of a site is the one at work."""
        return list(self._db.select(QUERIES["heard_sums"])[0])

    def newest_of(self, days: Collection[date]) -> dict[date, int]:
        """The number of the newest batch that was decided here of each of these days; 0 where there is none."""
        asked = json.dumps([day.isoformat() for day in days])
        return {
            date.fromisoformat(day): newest or 0
            for day, newest in self._db.select(QUERIES["day_newest"], (asked,))
        }

    def documents(self, first: date, last: date) -> dict[date, int]:
        """Documents of sales and billing files that batches of the days between two brought; days without such a batch are left out."""
        asked = (first.isoformat(), last.isoformat())
        return {
            date.fromisoformat(day): count for day, count in self._db.select(QUERIES["day_documents"], asked)
        }

    def newest_batch(self) -> int:
        """The number of the newest batch that was decided here."""
        number: int = self._db.select(QUERIES["last_batch_id"])[0][0]
        return number

    def closings(self, contract: Contract, day: date, sites: Collection[str]) -> ClosingRows:
        """The closes of the day that are held of these sites (`contract`: fechamento), as rows."""
        return closings.closings(self._db, contract, day, sites)

    def sales(
        self, contract: Contract, total: str, day: date, sites: Collection[str]
    ) -> dict[str, tuple[int, int]]:
        """Number of documents of the day held of each of these sites, and the sum of their column `total`."""
        return closings.sales(self._db, contract, total, day, sites)

    # ------------------------------------------------------------------------------------------------ steps and overrides

    def mark_done(
        self, step: str, day: date, by: str, at: str, detail: Mapping[str, Any] | None = None
    ) -> DoneMark:
        """A step was done for a day; again, the later word stands. Joins the open transaction."""
        mark = DoneMark(step, day, by, at, dict(detail or {}))
        with self._write():
            self._db.run(QUERIES["mark_done"], (day.isoformat(), step, by, at, _text(mark.detail)))
        return mark

    def unmark_done(self, step: str, day: date) -> bool:
        """Take a step's mark back; whether there was one."""
        with self._write():
            return self._db.run(QUERIES["unmark_done"], (day.isoformat(), step)) > 0

    def done(self, day: date, until: date | None = None) -> list[DoneMark]:
        """The steps that were done for the day, or for the days from it to `until`, in order of days, then of doing."""
        rows = self._db.select(QUERIES["done"], (day.isoformat(), (until or day).isoformat()))
        return [
            DoneMark(step, date.fromisoformat(of), by, at, json.loads(detail))
            for step, of, by, at, detail in rows
        ]

    def add_override(self, override: Override) -> Override:
        """Record an override; its `id` is given here."""
        with self._write():
            rows = self._db.select(
                QUERIES["add_override"],
                (
                    override.day.isoformat(), override.step, override.site or "", override.reason, override.by,
                    override.confirmed_by or "", override.at, override.until,
                ),
            )  # fmt: skip
        return Override(
            rows[0][0], override.step, override.day, override.site, override.reason, override.by, override.confirmed_by, override.at,
            override.until,
        )  # fmt: skip

    def revoke_override(self, override_id: int, at: str, by: str) -> bool:
        """It holds no longer; False where there is none of this number that still stood."""
        with self._write():
            return self._db.run(QUERIES["revoke_override"], (override_id, at, by)) > 0

    def overrides(self, day: date, until: date | None = None) -> list[Override]:
        """Every override ever given for the day, or for the days from it to `until`."""
        rows = self._db.select(QUERIES["overrides"], (day.isoformat(), (until or day).isoformat()))
        return [
            Override(
                number, step, date.fromisoformat(of), site or None, reason, by, confirmed or None, at, to, revoked_at or None,
                revoked_by or None,
            )
            for number, step, of, site, reason, by, confirmed, at, to, revoked_at, revoked_by in rows
        ]  # fmt: skip

    # ------------------------------------------------------------------------------------------------ the journal

    def record_event(
        self, day: date, at: str, what: str, who: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write into the day's journal. Joins the open transaction."""
        with self._write():
            self._db.run(QUERIES["add_event"], (day.isoformat(), at, what, who, _text(detail or {})))

    def events(self, day: date, until: date | None = None) -> list[DayEvent]:
        """The journal of the day, or of the days from it to `until`, oldest first."""
        rows = self._db.select(QUERIES["events"], (day.isoformat(), (until or day).isoformat()))
        return [
            DayEvent(at, date.fromisoformat(of), what, who, json.loads(detail))
            for at, of, what, who, detail in rows
        ]

    def record_left(
        self, day: date, at: str, site: str, dataset: str, batch: str, batch_id: int, documents: int
    ) -> None:
        """A batch of another day took documents of this one away, or would have if it were later: the day is looked at again."""
        detail = {
            "site": site,
            "dataset": dataset,
            "batch": batch,
            "batch_id": batch_id,
            "documents": documents,
        }
        with self._write():
            self.record_event(day, at, LEFT, site, detail)
            self._db.run(QUERIES["look_again"], (day.isoformat(),))

    def left(self, day: date, dataset: str) -> dict[str, int]:
        """The sites of which documents of the day may have left it, with the newest batch that took some."""
        details = [
            json.loads(detail) for (detail,) in self._db.select(QUERIES["sales_left"], (day.isoformat(),))
        ]
        return {detail["site"]: detail["batch_id"] for detail in details if detail["dataset"] == dataset}

    def moved_to(self, day: date, dataset: str) -> dict[date, int]:
        """The days to which documents of this one may have been moved, with the newest batch that moved some."""
        found: dict[date, int] = {}
        for (text,) in self._db.select(QUERIES["sales_left"], (day.isoformat(),)):
            detail = json.loads(text)
            if detail["dataset"] == dataset:
                found[BatchName.parse(detail["batch"]).business_date] = detail["batch_id"]
        return found

    # ------------------------------------------------------------------------------------------------ the routine's memo

    def days_since(self, batch_id: int) -> list[date]:
        """The days of which a batch was decided after `batch_id`."""
        return sorted(
            date.fromisoformat(day) for (day,) in self._db.select(QUERIES["days_since"], (batch_id,))
        )

    def last_seen(self) -> int:
        """The newest batch of all when a day was judged last."""
        number: int = self._db.select(QUERIES["last_day_seen"])[0][0]
        return number

    def seen(self, days: Collection[date]) -> dict[date, DaySeen]:
        """What the routine saw of these days when it judged them last."""
        rows = self._db.select(QUERIES["day_seen"], (json.dumps([day.isoformat() for day in days]),))
        return {
            date.fromisoformat(day): DaySeen(seen, json.loads(gates), bool(settled), bool(numbers))
            for day, seen, gates, settled, numbers in rows
        }

    def unsettled(self, since: date) -> list[date]:
        """Judged days, from `since` on, on which something is still to come."""
        return [
            date.fromisoformat(day)
            for (day,) in self._db.select(QUERIES["days_unsettled"], (since.isoformat(),))
        ]

    def record_seen(self, day: date, seen: DaySeen, newest: int) -> None:
        """The day was judged when `newest` was the newest batch of all."""
        row = (day.isoformat(), seen.seen, _text(seen.gates), int(seen.settled), int(seen.numbers), newest)
        with self._write():
            self._db.run(QUERIES["record_day_seen"], row)


def _batch(row: tuple[Any, ...]) -> DayBatch:
    (
        origin,
        dataset,
        audience,
        epoch,
        seq,
        name,
        batch_id,
        verdict,
        manifest,
        payload,
        text,
        replaces,
        claims,
        documents,
        applied_at,
    ) = row
    receipt = json.loads(text)
    claimed = json.loads(claims) if claims else receipt
    problems = receipt["problems"]
    return DayBatch(
        name, Feed(origin, dataset, audience), epoch, seq, batch_id, Verdict(verdict), manifest, payload, sha256_hex(text.encode()),
        receipt["rows"], receipt["totals"], claimed["rows"], claimed["totals"], replaces or None, documents, applied_at,
        problems[0]["message"] if problems else None, problems[0]["code"] if problems else None,
    )  # fmt: skip


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _text(detail: Mapping[str, Any]) -> str:
    return json.dumps(dict(detail), ensure_ascii=False, sort_keys=True)
