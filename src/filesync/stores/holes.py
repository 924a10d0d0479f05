"""Missing numbers and voids: what is waited for in feeds that come here, and what was given up for good.

- A number is given up once. One that was never decided by a batch counts as decided then, and the feed's head moves on over it as soon as
  everything before it is decided; its digest may be unknown, then any manifest may follow.
- What is missing is replaced as a whole: it is worked out (exchange/holes.py), kept only so that nobody forgets since when.

What is not here: who may give up what (protocol/admission.py, exchange/voids.py), and asking (exchange/holes.py).
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from filesync.protocol.identity import BatchName, Feed
from filesync.protocol.receipt import Verdict
from filesync.stores.database import QUERIES
from filesync.stores.hole_values import (
    AheadVoid,
    DecidedNumber,
    GivenUp,
    HoleRecord,
    NewVoid,
    SentNumber,
    UntoldVoid,
    VoidRecord,
)
from filesync.stores.received import open_feeds, take_feeds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractContextManager

    from filesync.stores.database import Database


class Holes:
    """A part of the store (`Store.holes`). `write` opens a transaction, or joins the one that is open."""

    def __init__(self, db: Database, write: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._write = write

    # ------------------------------------------------------------------------------------------------ missing

    def open(self) -> list[HoleRecord]:
        """What is missing here, by feed, epoch and number."""
        return [
            HoleRecord(Feed(origin, dataset, audience), epoch, first, last, noticed, asked)
            for origin, dataset, audience, epoch, first, last, noticed, asked in self._db.select(
                QUERIES["holes"]
            )
        ]

    def replace(self, holes: Sequence[HoleRecord]) -> None:
        """From now on this is what is missing."""
        with self._write():
            self._db.lock("holes")
            self._db.run(QUERIES["forget_holes"])
            rows = [
                (h.feed.origin, h.feed.dataset, h.feed.audience, h.epoch, h.first, h.last, h.noticed_at, h.asked_at)
                for h in holes
            ]  # fmt: skip
            self._db.run_each(QUERIES["record_hole"], rows)

    # ------------------------------------------------------------------------------------------------ given up

    def voids(self, feed: Feed | None = None) -> list[VoidRecord]:
        """Every number that was given up, of one feed or of all, by feed, epoch and number."""
        if feed is None:
            rows = self._db.select(QUERIES["voids"])
        else:
            rows = self._db.select(QUERIES["voids_of"], (feed.origin, feed.dataset, feed.audience))
        return [_void(row) for row in rows]

    def ahead(self) -> list[AheadVoid]:
        """Numbers that were given up while numbers before them are still open."""
        return [
            AheadVoid(Feed(origin, dataset, audience), epoch, seq, sha256)
            for _, origin, dataset, audience, epoch, _, seq, sha256 in self._db.select(QUERIES["voids_ahead"])
        ]

    def record(self, void: NewVoid) -> None:
        """Give up a number here. Its origin's word about one that was overridden before fills in what was not known."""
        feed = void.feed
        key = (feed.origin, feed.dataset, feed.audience, void.epoch)
        with self._write():
            take_feeds(self._db, [(feed, void.epoch)])
            feed_id = open_feeds(self._db, [(feed, void.epoch)])[feed, void.epoch]
            asked = (*key, json.dumps([void.seq]))
            if not self._db.select(QUERIES["voids_known"], asked) and not self._db.select(
                QUERIES["known"], asked
            ):
                self._db.run(QUERIES["count_void"], (feed_id,))
            self._db.run(
                QUERIES["record_void"],
                (feed_id, void.seq, void.name, void.manifest_sha256, void.claims, void.reason, void.by, void.at, void.void),
            )  # fmt: skip
            self.advance()

    def advance(self) -> None:
        """Move the heads on over numbers that were given up before their turn came. Costs what is ahead, which is next to nothing."""
        heads: dict[int, int] = {}
        moves = []
        for feed_id, _, _, _, _, head, seq, sha256 in self._db.select(QUERIES["voids_ahead"]):
            if seq == heads.get(feed_id, head) + 1:
                heads[feed_id] = seq
                moves.append((feed_id, seq, sha256))
        if moves:
            with self._write():
                self._db.run_each(QUERIES["advance_over_void"], moves)

    def epochs(self, feed: Feed) -> list[tuple[str, int, str | None]]:
        """The installations in which a feed is known here, oldest first: epoch, head, the head's manifest."""
        return [
            (epoch, seq, sha256)
            for epoch, seq, sha256 in self._db.select(
                QUERIES["feed_epochs"], (feed.origin, feed.dataset, feed.audience)
            )
        ]

    def decided(self, feed: Feed, epoch: str, seqs: Collection[int]) -> dict[int, DecidedNumber]:
        """Those of these numbers that a batch decided here."""
        asked = (feed.origin, feed.dataset, feed.audience, epoch, json.dumps(sorted(seqs)))
        return {
            seq: DecidedNumber(name, Verdict(verdict), sha256, claims)
            for seq, name, verdict, sha256, claims in self._db.select(QUERIES["decided_between"], asked)
        }

    def taken(self, names: Iterable[str]) -> set[str]:
        """Those of these batches whose origin's void was taken here (or, for own ones, given)."""
        return {name for (name,) in self._db.select(QUERIES["voids_taken"], (json.dumps(list(names)),))}

    def voided(self, names: Iterable[str]) -> set[str]:
        """Those of these batches that were given up, by whomever."""
        return {name for (name,) in self._db.select(QUERIES["voided_names"], (json.dumps(list(names)),))}

    # ------------------------------------------------------------------------------------------------ own voids

    def numbers(self, feed: Feed, epoch: str, seqs: Collection[int]) -> list[SentNumber]:
        """Those of these numbers that were sealed here, with what their recipients said."""
        asked = (feed.origin, feed.dataset, feed.audience, epoch, json.dumps(sorted(seqs)))
        found = []
        for _, rows in groupby(
            self._db.select(QUERIES["outgoing_numbers"], asked), key=lambda row: int(row[0])
        ):
            lines = list(rows)
            seq, batch_id, name, manifest, sha256 = lines[0][:5]
            verdicts = {row[5]: None if row[6] is None else Verdict(row[6]) for row in lines}
            shipped = {row[5]: row[7] for row in lines}
            found.append(
                SentNumber(seq, batch_id, BatchName.parse(name), manifest, sha256, verdicts, shipped)
            )
        return found

    def give_up(self, void: NewVoid, recipients: Sequence[str]) -> None:
        """Give up an own number; each of `recipients` must hear of it. At that instant it is given up: nothing of it is shipped any more."""
        feed = void.feed
        with self._write():
            feed_id = open_feeds(self._db, [(feed, void.epoch)])[feed, void.epoch]
            self._db.run(
                QUERIES["record_void"],
                (feed_id, void.seq, void.name, void.manifest_sha256, void.claims, void.reason, void.by, void.at, void.void),
            )  # fmt: skip
            self._db.run(QUERIES["opening_given_up"], (void.name, json.dumps(list(recipients))))
            self.tell(void.name or "", recipients)

    def tell(self, name: str, recipients: Sequence[str]) -> None:
        """These recipients must hear (again) of the void of this batch of ours."""
        with self._write():
            void_id = self._db.select(QUERIES["void_id"], (name,))[0][0]
            self._db.run_each(QUERIES["tell_void"], [(void_id, recipient) for recipient in recipients])
            self._db.run_each(QUERIES["unship"], [(name, recipient) for recipient in recipients])

    def untold(self) -> list[UntoldVoid]:
        """Voids of our own that a recipient has not answered."""
        return [UntoldVoid(*row) for row in self._db.select(QUERIES["untold_voids"])]

    def answered(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """These (batch, recipient, at) voids of ours are answered; others are none of ours, or were answered before."""
        with self._write():
            self._db.run_each(QUERIES["void_answered"], list(answers))

    def refused_as_voided(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """These (batch, recipient, receipt) say that the number was given up; where that answer stands, its rows may come again as they are."""
        with self._write():
            self._db.run_each(QUERIES["give_up"], list(answers))

    def given_up(self) -> list[GivenUp]:
        """Batches of ours that were given up, and whose rows were not all sealed again."""
        return [
            GivenUp(batch_id, BatchName.parse(name), manifest, not later)
            for batch_id, name, manifest, later in self._db.select(QUERIES["given_up"])
        ]

    def sealed_again(self, batch_id: int) -> None:
        """What was owed of this batch stands in later ones."""
        with self._write():
            self._db.run(QUERIES["sealed_again"], (batch_id,))

    def reopen(self, deliveries: Sequence[tuple[int, str]]) -> None:
        """These (batch id, recipient) have lost what they had: as if they had never answered."""
        with self._write():
            self._db.run_each(QUERIES["reopen_delivery"], list(deliveries))
            self._db.run_each(QUERIES["reopen_batch"], [(batch_id,) for batch_id, _ in deliveries])


def _void(row: tuple[Any, ...]) -> VoidRecord:
    origin, dataset, audience, epoch, seq, name, sha256, claims, reason, by, at, override = row
    claimed = None if claims is None else json.loads(claims)
    return VoidRecord(
        Feed(origin, dataset, audience), epoch, seq, name, sha256,
        None if claimed is None else claimed["rows"], None if claimed is None else claimed["totals"],
        reason, by, at, bool(override),
    )  # fmt: skip
