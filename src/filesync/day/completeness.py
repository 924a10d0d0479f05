"""Is one site's movement day complete? One pure judgement of what the ledger has of it; it never raises.

- The close of the last shift must be applied. It names batches by number, so it also finds the loss of the last one.
- Every number that a close names must be decided here, or given up. A batch that was refused, as a whole or in part, must be replaced by a
  later one or given up; of one that was applied in part it is enough that the sales held add up to what the close says.
- What the batches hold must be what the close says: number of batches, documents, rows, control totals. A close may count the batches that
  were refused (they were sealed when it was made) or leave them out (they were not worth anything any more): both are true.
- A batch of the day that no close names reopens it, unless it stands in for a named one, its contract's policy is `note`, or an earlier
  installation of the site sealed it: a till that was replaced cannot name what it never knew.
- Numbers that an earlier installation said it had sealed, and that never came, keep the days around its end open.

Numbers and digests decide, never a clock. What is not here: reading the ledger (standing.py), and steps and overrides (gate.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filesync.day import owing
from filesync.day.content import added, agrees, content_of, without
from filesync.day.roster import CLOSING, SALES
from filesync.day.values import Known, SiteVerdict
from filesync.protocol.identity import BatchName
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from filesync.day.content import Content
    from filesync.day.values import Closing, DayBatch, FeedClaim, Held, Range, Reason, SiteDay, WaitingBatch
    from filesync.stores.hole_values import VoidRecord

Key = tuple[str, str, str]  # dataset, audience, epoch


def judge(site: SiteDay) -> SiteVerdict:
    """What `site` owes for the day, most telling first, and what there is to show for it."""
    work = _Judgement(site)
    reasons = work.reasons()
    return SiteVerdict(site.site, not reasons, tuple(reasons), work.evidence())


class _Judgement:
    """One site's day, sorted once; every rule asks of the same sorting."""

    def __init__(self, site: SiteDay) -> None:
        self.site = site
        self.heads = {(h.feed.dataset, h.feed.audience, h.epoch): h for h in site.heads}
        self.void_seqs: dict[Key, set[int]] = {}
        for void in site.voids:
            self.void_seqs.setdefault((void.feed.dataset, void.feed.audience, void.epoch), set()).add(
                void.seq
            )
        self.moved = [batch for batch in site.batches if batch.feed.dataset in site.datasets]
        self.closes = [batch for batch in site.batches if batch.feed.dataset == CLOSING]
        self.named: dict[str, FeedClaim] = {}
        for closing in site.closings:
            for claim in closing.feeds:
                self.named |= {batch.name: claim for batch in self.moved if _within(batch, claim)}
        self.stand_in = self._stand_ins()

    # ------------------------------------------------------------------------------------------------ the judgement

    def reasons(self) -> list[Reason]:
        """Everything that is owed."""
        found = [*self._not_closed()]
        claimed: set[Key] = set()
        for closing in self.site.closings:
            for claim in closing.feeds:
                claimed.add(_key(claim))
                missing = self._missing(_key(claim), claim.last)
                refused = [b for b in self.moved if _within(b, claim) and self._owes(b)]
                found += owing.missing(self.site, _key(claim), missing, closing)
                if not (missing or refused or self._waits(_key(claim), claim.last)):
                    found += self._differs(closing, claim)
        found += owing.waiting(self.site, self._undecided())
        found += [
            owing.refused(self.site, batch) for batch in (*self.moved, *self.closes) if self._owes(batch)
        ]
        if self.closed:
            found += owing.late(self.site, self._late())
            if not found:
                found += self._others_held()
        else:
            found += self._said_to_be_sealed(claimed)
        found += self._debts()
        return found

    @property
    def closed(self) -> bool:
        """Whether the close of the last shift is here."""
        return any(closing.turno >= self.site.turnos for closing in self.site.closings)

    def _not_closed(self) -> Iterable[Reason]:
        if not self.closed:
            refused = [batch for batch in self.closes if self._owes(batch)]
            waiting = [item for item in self._undecided() if item.feed.dataset == CLOSING]
            if not refused and not waiting:  # both are told with their own reasons
                yield owing.not_closed(self.site, self._sealed_beyond(CLOSING))

    def _late(self) -> list[DayBatch]:
        newest = max(self.closes, key=lambda batch: batch.batch_id, default=None)
        return [
            batch
            for batch in self.moved
            if batch.name not in self.named
            and batch.name not in self.stand_in
            and batch.verdict is not Verdict.REJECTED
            and batch.feed.dataset not in self.site.noted
            and not (
                newest is not None
                and batch.epoch != newest.epoch
                and self._earlier(batch.epoch, newest.epoch)
            )
        ]

    def _earlier(self, one: str, other: str) -> bool:
        """Whether `one` is an earlier installation of the site than `other`: by who spoke last, for the disk of a dead one may be read late.

        One that never spoke is gone when the other goes on speaking after the ledger first saw it. Where neither is known, by which of them it
        saw first.
        """
        spoke = [mark.epoch for mark in self.site.marks]  # who spoke later stands later
        if other in spoke:
            if one in spoke:
                return spoke.index(one) < spoke.index(other)
            if any(mark.knew >= self._age(one) for mark in self.site.marks if mark.epoch == other):
                return True
        return self._age(one) < self._age(other)

    def _age(self, epoch: str) -> int:
        return min((head.age for head in self.site.heads if head.epoch == epoch), default=0)

    def _owes(self, batch: DayBatch) -> bool:
        """Whether rows of this batch were refused and nothing has made up for it."""
        if batch.verdict is Verdict.APPLIED or batch.name in self.site.replaced or self._given_up(batch):
            return False
        if batch.problem_code == "late-refused":  # that is what its contract wants of a day that is settled
            return False
        if batch.feed.dataset == CLOSING:  # a later close says what this one did not get to say
            return not any(
                other.batch_id > batch.batch_id and other.verdict is Verdict.APPLIED for other in self.closes
            )
        return batch.verdict is Verdict.REJECTED or not self._all_sales_held()

    def _given_up(self, batch: DayBatch) -> bool:
        return batch.seq in self.void_seqs.get(_key_of(batch), ())

    def _all_sales_held(self) -> bool:
        """Whether the sales that are held are what the closes say was sold: then what was refused has come in another way."""
        held, closings = self.site.held, self.site.closings
        if held is None or not closings:
            return False
        last = closings[-1]
        sums = (sum(c.sales for c in closings), sum(c.total_centavos for c in closings))
        return (held.sales, held.total_centavos) in ((last.sales, last.total_centavos), sums)

    def _as_sold(self, held: Held) -> bool:
        """Whether the closes say that this was sold. Of several shifts only the sums: one cannot have sold less than nothing."""
        closings = self.site.closings
        total = held.total_centavos in (sum(c.total_centavos for c in closings), closings[-1].total_centavos)
        return total and (len(closings) > 1 or held.sales == closings[-1].sales)

    # ------------------------------------------------------------------------------------------------ numbers

    def _missing(self, key: Key, last: int) -> list[Range]:
        """Numbers up to `last` that neither are decided nor lie here. What comes before the close's own first number blocks it as well."""
        head = self.heads.get(key)
        first = head.seq + 1 if head is not None else 1
        here = {item.seq for item in self.site.waiting if _key_of(item) == key}
        return without((first, last), here | self.void_seqs.get(key, set()))

    def _waits(self, key: Key, last: int) -> bool:
        return any(_key_of(item) == key and item.seq <= last for item in self._undecided())

    def _undecided(self) -> list[WaitingBatch]:
        """What lies here and is not decided. Of a number that was decided another copy may lie here: it is none of the day's business."""
        return [
            item
            for item in self.site.waiting
            if (head := self.heads.get(_key_of(item))) is None or item.seq > head.seq
        ]

    def _sealed_beyond(self, dataset: str) -> list[tuple[Key, Range]]:
        """Of the latest installation: numbers that it says are sealed and that are neither decided nor here."""
        found = []
        for mark in self.site.marks:
            key = (mark.dataset, mark.audience, mark.epoch)
            if mark.latest and mark.dataset == dataset:
                found += [(key, numbers) for numbers in self._missing(key, mark.sealed)]
        return found

    def _said_to_be_sealed(self, claimed: set[Key]) -> Iterable[Reason]:
        """While there is no close: numbers of the movement that are known to exist. They may be of another day."""
        for dataset in sorted(self.site.datasets):
            for key, numbers in self._sealed_beyond(dataset):
                if key not in claimed:
                    yield from owing.missing(self.site, key, [numbers], None)

    def _debts(self) -> Iterable[Reason]:
        """What earlier installations sealed and nobody has seen: owed on the days from their last to the first of the next one."""
        for mark in self.site.marks:
            if mark.latest or mark.dataset not in self.site.datasets | {CLOSING}:
                continue
            key = (mark.dataset, mark.audience, mark.epoch)
            head = self.heads.get(key)
            if head is not None and head.last_day is not None and self.site.day < head.last_day:
                continue
            known = [m.epoch for m in self.site.marks]  # in the order in which they were first heard
            after = set(known[known.index(mark.epoch) :]) - {mark.epoch}
            begun = [h.first_day for h in self.site.heads if h.epoch in after and h.first_day is not None]
            if begun and self.site.day > min(begun):
                continue
            yield from owing.missing(self.site, key, self._missing(key, mark.sealed), None, earlier=True)

    # ------------------------------------------------------------------------------------------------ what they hold

    def _stand_ins(self) -> dict[str, str]:
        """Batches that no close names and that stand in for one that is named, with the name of that."""
        found: dict[str, str] = {}
        for batch in self.moved:  # in apply order: what is replaced was decided before
            of = batch.replaces
            if (
                of is not None
                and batch.name not in self.named
                and (of in self.named or of in found or self._named_void(of))
            ):
                found[batch.name] = found.get(of, of)
        return found

    def _named_void(self, name: str) -> bool:
        """Whether a close names the number of this batch and it was given up: by its number, for its name may not be known with the void."""
        batch = BatchName.parse(name).id
        return any(
            void.seq == batch.seq
            and (void.feed, void.epoch) == (batch.feed, batch.epoch)
            and any(_covers(claim, void) for closing in self.site.closings for claim in closing.feeds)
            for void in self.site.voids
        )

    def _differs(self, closing: Closing, claim: FeedClaim) -> Iterable[Reason]:
        """The first thing in which the batches differ from what the close says of them; nothing where that cannot be known."""
        here = [batch for batch in self.moved if _within(batch, claim)]
        decided = {batch.seq for batch in here}
        lost = [void for void in self.site.voids if _covers(claim, void) and void.seq not in decided]
        wanted = content_of(claim.batches, claim.documents, claim.rows, claim.totals)
        sealed = added((b.feed.dataset, b.claimed_rows, b.claimed_totals) for b in here)
        if not agrees(claim, wanted, sealed) and not self._agrees_without(claim, wanted, here, lost):
            standing = [b for b in here if self._stands(b)]
            stands = added((b.feed.dataset, b.claimed_rows, b.claimed_totals) for b in standing)
            if any(void.rows is None for void in lost) and claim.batches >= len(standing):
                return  # what the number that was given up held, nobody knows: it is written down as such
            yield owing.disagrees(self.site, closing, claim, wanted, stands)
        elif (of := self._short()) is not None:
            yield owing.disagrees(self.site, closing, claim, *of)

    def _stands(self, batch: DayBatch) -> bool:
        """Whether its rows are here and count."""
        return batch.verdict is not Verdict.REJECTED and not self._given_up(batch)

    def _agrees_without(
        self, claim: FeedClaim, wanted: Content, here: Sequence[DayBatch], lost: Sequence[VoidRecord]
    ) -> bool:
        """Whether the close is right without what was refused, or with what was given up before it came."""
        stands = added((b.feed.dataset, b.claimed_rows, b.claimed_totals) for b in here if self._stands(b))
        told = added(
            [
                *((b.feed.dataset, b.claimed_rows, b.claimed_totals) for b in here),
                *((claim.dataset, void.rows, void.totals) for void in lost if void.rows is not None),
            ]
        )
        return agrees(claim, wanted, stands) or agrees(claim, wanted, told)

    def _short(self) -> tuple[Content, Content] | None:
        """A named batch whose stand-ins hold other rows than it did: what was replaced was replaced by something else."""
        for batch in self.moved if self.stand_in else ():
            stand_ins = [b for b in self.moved if self.stand_in.get(b.name) == batch.name]
            if not stand_ins or batch.verdict is Verdict.PARTIAL:
                continue
            wanted = added([(batch.feed.dataset, batch.claimed_rows, batch.claimed_totals)])
            got = added(
                (b.feed.dataset, b.claimed_rows, b.claimed_totals)
                for b in stand_ins
                if b.verdict is not Verdict.REJECTED
            )
            wanted.pop(("batches", ""), None)
            got.pop(("batches", ""), None)
            if wanted != got:
                return wanted, got
        return None

    def _others_held(self) -> Iterable[Reason]:
        """Nothing is owed, and the sales that are held are not those that were sold: one has left for another day, there or here only.

        Said of a day that one installation sold, and of which nothing was refused or given up: otherwise nobody can tell what should be held.
        """
        site = self.site
        if site.held is None or not site.closings or self._as_sold(site.held):
            return
        feeds = {_key(claim) for closing in site.closings for claim in closing.feeds}
        others = [b for b in self.moved if b.verdict is not Verdict.APPLIED or _key_of(b) not in feeds]
        carried = {batch.batch_id: batch.epoch for batch in self.closes}
        sold_by = {key[2] for key in feeds} | {carried.get(c.row.get("fs_batch", 0)) for c in site.closings}
        given_up = any(
            _covers(claim, v) for closing in site.closings for claim in closing.feeds for v in site.voids
        )
        if others or given_up or len(sold_by) > 1 or SALES in site.noted:
            return
        yield owing.others_held(site, site.closings[-1], site.held)

    # ------------------------------------------------------------------------------------------------ evidence

    def evidence(self) -> dict[str, Any]:
        """What an opening writes down of this site: what it said, what came, what was answered. Nothing of it is made from a clock."""
        by_id = {batch.batch_id: batch for batch in self.closes}
        closings = []
        for closing in self.site.closings:
            carrier = by_id.get(closing.row.get("fs_batch", 0))
            closings.append(
                {
                    "turno": closing.turno,
                    "version": closing.version,
                    "batch": None if carrier is None else carrier.name,
                    "no_sales": closing.no_sales,
                    "sales": closing.sales,
                    "total_centavos": closing.total_centavos,
                    "difference_centavos": closing.difference_centavos,
                }
            )
        return {
            "site": self.site.site,
            "due": self.site.due,
            "closings": closings,
            "batches": [
                self._proof(batch)
                for batch in self.site.batches
                if batch.feed.dataset in self.site.datasets | {CLOSING}
            ],
            "voids": [
                {
                    "feed": str(void.feed),
                    "epoch": void.epoch,
                    "seq": void.seq,
                    "batch": void.name,
                    "reason": void.reason,
                    "by": void.by,
                    "at": void.at,
                    "override": void.override,
                    "known": Known.VOIDED_UNKNOWN.value if void.rows is None else None,
                }
                for void in self.site.voids
                if self._of_the_day(void)
            ],
        }

    def _of_the_day(self, void: VoidRecord) -> bool:
        if void.name is not None and any(batch.name == void.name for batch in self.site.batches):
            return True
        claims = [claim for closing in self.site.closings for claim in closing.feeds]
        return any(_covers(claim, void) for claim in claims)

    def _proof(self, batch: DayBatch) -> dict[str, Any]:
        return {
            "name": batch.name,
            "manifest_sha256": batch.manifest_sha256,
            "payload_sha256": batch.payload_sha256,
            "receipt_sha256": batch.receipt_sha256,
            "verdict": batch.verdict.value,
            "rows": dict(batch.rows),
            "totals": dict(batch.totals),
            "replaces": batch.replaces,
            "named": batch.name in self.named,
        }


def _key(claim: FeedClaim) -> Key:
    return claim.dataset, claim.audience, claim.epoch


def _key_of(batch: DayBatch | WaitingBatch) -> Key:
    return batch.feed.dataset, batch.feed.audience, batch.epoch


def _within(batch: DayBatch, claim: FeedClaim) -> bool:
    return _key_of(batch) == _key(claim) and claim.first <= batch.seq <= claim.last


def _covers(claim: FeedClaim, void: VoidRecord) -> bool:
    return (
        _key(claim) == (void.feed.dataset, void.feed.audience, void.epoch)
        and claim.first <= void.seq <= claim.last
    )
