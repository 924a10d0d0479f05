"""Holes: batches that should be here and are not. They are noticed, asked for again, and sent again by their origin.

- Missing is, above the head of a feed: what lies before a batch that arrived, a batch whose payload is missing or was damaged, and what the peer
  says it has sealed. A number that was once noticed stays missing until it is decided or given up; nobody forgets it.
- After `[limits] patience` our heartbeat asks the origin for it (`wanted`), and goes on asking. That clock decides nothing but when to ask.
- An origin that is asked ships what it sealed once more, from its outbox or archive: the same bytes, never a new number. A delivery that
  was settled is open again until it is answered again.

What is missing is worked out by pure functions over runs of numbers: a peer may claim any number, and it costs nothing.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.exchange.reports import Held
from filesync.exchange.restoring import PURGED, lying_in_outboxes, purged, restore_outboxes
from filesync.protocol.heartbeat import WANTED_MAX, WANTED_NUMBERS_MAX, Wanted
from filesync.protocol.identity import Feed, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.stores.hole_values import HoleRecord, SentNumber
from filesync.timetable import parse_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport
    from filesync.protocol.identity import BatchId

FeedEpoch = tuple[Feed, str]
Run = tuple[int, int]


@dataclass(slots=True)
class Seen:
    """What an import met and could not decide: numbers that lie here and wait, and numbers whose payload is not here."""

    lying: dict[FeedEpoch, set[int]] = field(default_factory=lambda: defaultdict(set))
    lacking: dict[FeedEpoch, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, other: Seen) -> None:
        """What another part of the import met."""
        for mine, theirs in ((self.lying, other.lying), (self.lacking, other.lacking)):
            for key, seqs in theirs.items():
                mine[key] |= seqs

    def waits(self, file: str) -> None:
        """A manifest or void of this name lies here and waits."""
        if (parsed := parse_file_name(file)) is not None:
            self.lying[parsed.batch.id.feed, parsed.batch.id.epoch].add(parsed.batch.id.seq)

    def lacks(self, batch: BatchId) -> None:
        """The manifest of this batch is here; its payload is not, or not whole."""
        self.lacking[batch.feed, batch.epoch].add(batch.seq)


# ------------------------------------------------------------------------------------------------ what is missing: pure


def missing_runs(
    head: int, claimed: Iterable[Run], lying: Collection[int], lacking: Collection[int]
) -> list[Run]:
    """Runs of numbers above `head` that are missing: before what lies here, lacking, or within `claimed`; what lies here is not."""
    last = max((*lying, *lacking), default=0)
    runs = _joined([*claimed, *([(head + 1, last)] if last > head else [])], head)
    here = sorted(set(lying) - set(lacking))
    found = []
    for first, end in runs:
        # Cut by what lies here; its neighbours may be cut away whole.
        cuts = [first - 1, *here[bisect_left(here, first) : bisect_right(here, end)], end + 1]
        found += [(one + 1, other - 1) for one, other in pairwise(cuts) if other - one > 1]
    return found


def _joined(runs: Iterable[Run], head: int) -> list[Run]:
    """The numbers of `runs` above `head`, as runs in order that neither overlap nor touch."""
    joined: list[Run] = []
    for first, last in sorted((max(first, head + 1), last) for first, last in runs if last > head):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def noticed(
    feed: Feed, epoch: str, runs: Sequence[Run], before: Sequence[HoleRecord], at: str
) -> list[HoleRecord]:
    """These runs as records: numbers that were noticed before keep their times, the others are noticed now."""
    found: list[HoleRecord] = []

    def add(first: int, last: int, noticed_at: str, asked_at: str | None) -> None:
        if found and (found[-1].last + 1, found[-1].noticed_at, found[-1].asked_at) == (first, noticed_at, asked_at):  # fmt: skip
            found[-1] = replace(found[-1], last=last)
        else:
            found.append(HoleRecord(feed, epoch, first, last, noticed_at, asked_at))

    for first, last in runs:
        reached = first - 1
        for old in sorted(before, key=lambda hole: hole.first):
            if old.last > reached and old.first <= last:
                if old.first > reached + 1:
                    add(reached + 1, old.first - 1, at, None)
                add(max(first, old.first), min(last, old.last), old.noticed_at, old.asked_at)
                reached = min(last, old.last)
        if reached < last:
            add(reached + 1, last, at, None)
    return found


# ------------------------------------------------------------------------------------------------ at the recipient


def notice(ctx: Context, seen: Seen) -> None:
    """Keep in the ledger what is missing after an import, and since when. Writes only what changed."""
    before = ctx.store.holes.open()
    of_key: dict[FeedEpoch, list[HoleRecord]] = defaultdict(list)
    for hole in before:
        of_key[hole.feed, hole.epoch].append(hole)
    # Of a feed that is decided as far as its origin says it is sealed, nothing is missing but what was noticed or met.
    ahead = {
        (feed, epoch): (oldest_open, last)
        for feed, epoch, oldest_open, last in ctx.store.marks_ahead()
        if feed.origin in ctx.settings.peers
    }
    keys = {*of_key, *ahead, *seen.lying, *seen.lacking}
    if not keys:
        return
    origins = {feed.origin for feed, _ in keys}
    heads = {key: standing.seq for key, standing in ctx.store.standings(origins).items()}
    voided: dict[FeedEpoch, set[int]] = defaultdict(set)
    for void in ctx.store.holes.ahead():
        voided[void.feed, void.epoch].add(void.seq)
    after: list[HoleRecord] = []
    for key in sorted(keys, key=lambda key: (str(key[0]), key[1])):
        feed, epoch = key
        if feed.origin not in ctx.settings.peers and key not in of_key:
            continue
        claimed = [(hole.first, hole.last) for hole in of_key[key]]
        if key in ahead:
            oldest_open, last = ahead[key]
            # Of a feed of which nothing was ever decided here, what was answered before was not answered by us: we take part since then.
            first = oldest_open if oldest_open is not None and key not in heads else 1
            claimed.append((first, last))
        lying = seen.lying.get(key, set()) | voided.get(key, set())
        runs = missing_runs(heads.get(key, 0), claimed, lying, seen.lacking.get(key, ()))
        after += noticed(feed, epoch, runs, of_key[key], ctx.now())
    if after != before:
        ctx.store.holes.replace(after)


def wanted(ctx: Context, peers: Collection[str]) -> dict[str, tuple[Wanted, ...]]:
    """What our heartbeat asks each of `peers` for: what is missing for longer than the patience, or was asked for already. Noted as asked."""
    holes = ctx.store.holes.open()
    due = [
        hole
        for hole in holes
        if hole.feed.origin in peers and (hole.asked_at or patient(ctx, hole.noticed_at))
    ]
    numbers: dict[FeedEpoch, list[int]] = defaultdict(list)
    for hole in due:
        room = WANTED_NUMBERS_MAX - len(numbers[hole.feed, hole.epoch])
        numbers[hole.feed, hole.epoch] += range(hole.first, min(hole.last, hole.first + room - 1) + 1)
    if any(hole.asked_at is None for hole in due):
        now, asked = ctx.now(), set(due)
        ctx.store.holes.replace([replace(h, asked_at=h.asked_at or now) if h in asked else h for h in holes])
    of_peer: dict[str, tuple[Wanted, ...]] = {}
    for (feed, epoch), missing in numbers.items():
        before = of_peer.get(feed.origin, ())
        if len(before) < WANTED_MAX:
            of_peer[feed.origin] = (*before, Wanted(feed.dataset, feed.audience, epoch, tuple(missing)))
    return of_peer


def patient(ctx: Context, since: str) -> bool:
    """Whether what began then lasts for longer than the patience. A clock that was put back makes nobody wait longer."""
    age_s = (ctx.clock() - datetime.fromisoformat(since)).total_seconds()
    return not 0 <= age_s < parse_duration(ctx.settings.limits.patience)


# ------------------------------------------------------------------------------------------------ at the origin


def ship_again(ctx: Context, peer: str, asked: Sequence[Wanted], asked_at: str, report: ImportReport) -> None:
    """`peer` misses these numbers of our feeds, by its clock since `asked_at` at least: put what was sealed under them into its outbox again."""
    again: list[str] = []
    for wish in asked:
        feed = Feed(ctx.me, wish.dataset, wish.audience)
        found = ctx.store.holes.numbers(feed, wish.epoch, wish.missing)
        theirs = [number for number in found if peer in number.verdicts]
        gone = _purged(ctx, theirs)
        report.waiting += [Held(peer, stem, PURGED, message) for stem, message in gone.items()]
        again += _reopen(ctx, [n for n in theirs if n.name.stem not in gone], [peer], asked_at)
    if again:
        restore_outboxes(ctx, lying_in_outboxes(ctx))
        report.sent_again += [
            Held(peer, stem, "wanted", f"{peer} misses it and asked for it") for stem in again
        ]


def _reopen(
    ctx: Context, numbers: Sequence[SentNumber], recipients: Collection[str], asked_at: str | None = None
) -> list[str]:
    """Make these batches, or the voids of them, due to leave again. The names of those that were not on their way.

    With `asked_at` what left after the question was written, and not long ago, is on its way: it may be large, and the line slow. Two clocks are
    compared there; one that is wrong costs time or traffic, nothing else.
    """
    voided = ctx.store.holes.taken(number.name.stem for number in numbers)
    reopened: list[tuple[int, str]] = []
    told: list[tuple[str, str]] = []
    for number in numbers:
        for recipient in recipients:
            shipped = number.shipped_at.get(recipient)
            if recipient not in number.verdicts:
                continue
            if (
                asked_at
                and number.verdicts[recipient] is None
                and not (shipped and _lost(ctx, shipped, asked_at))
            ):
                continue
            if number.name.stem in voided:
                told.append((number.name.stem, recipient))
            else:
                reopened.append((number.batch_id, recipient))
    with ctx.store.transaction():
        ctx.store.holes.reopen(reopened)
        for stem, recipient in told:
            ctx.store.holes.tell(stem, [recipient])
    ids = {batch_id for batch_id, _ in reopened}
    stems = {stem for stem, _ in told}
    return [n.name.stem for n in numbers if n.batch_id in ids or n.name.stem in stems]


def _purged(ctx: Context, numbers: Sequence[SentNumber]) -> dict[str, str]:
    """Those of these batches of which nothing can leave again, with the reason. A void is written from the ledger, and can."""
    voided = ctx.store.holes.taken(number.name.stem for number in numbers)
    return {
        number.name.stem: message
        for number in numbers
        if number.name.stem not in voided
        and (message := purged(ctx, Manifest.from_signed(json.loads(number.manifest)))) is not None
    }


def _lost(ctx: Context, shipped_at: str, asked_at: str) -> bool:
    return patient(ctx, shipped_at) or datetime.fromisoformat(asked_at) > datetime.fromisoformat(shipped_at)


# ------------------------------------------------------------------------------------------------ by hand


@dataclass(frozen=True, slots=True)
class Resent:
    """What `resend` did: asked for (at the recipient), or made due to leave again (at the origin)."""

    asked: tuple[HoleRecord, ...] = ()
    again: tuple[str, ...] = ()


def resend(ctx: Context, feed: Feed, seqs: Sequence[int] = (), epoch: str | None = None) -> Resent:
    """Ask the feed's origin at once for what is missing; at the origin itself, ship these numbers again to everybody who was to have them."""
    if feed.origin != ctx.me:
        return Resent(asked=_ask(ctx, feed, seqs, epoch))
    if not seqs:
        raise ConfigError(
            "resend-numbers", f"{feed} is this site's own: say which of its numbers to send again"
        )
    numbers = ctx.store.holes.numbers(feed, epoch or ctx.epoch, seqs)
    if unknown := sorted(set(seqs) - {number.seq for number in numbers}):
        raise ConfigError(
            "resend-unknown", f"{feed}: nothing was sealed here under number {_listed(unknown)}"
        )
    if gone := _purged(ctx, numbers):
        raise ConfigError(PURGED, next(iter(gone.values())))
    recipients = {recipient for number in numbers for recipient in number.verdicts}
    again = _reopen(ctx, numbers, sorted(recipients))
    restore_outboxes(ctx, lying_in_outboxes(ctx))
    return Resent(again=tuple(again))


def _ask(ctx: Context, feed: Feed, seqs: Sequence[int], epoch: str | None) -> tuple[HoleRecord, ...]:
    holes = ctx.store.holes.open()
    chosen = [h for h in holes if h.feed == feed and epoch in (None, h.epoch)]
    if not chosen:
        raise ConfigError("resend-nothing", f"{feed}: nothing is known to be missing of it here")
    if unknown := [seq for seq in sorted(set(seqs)) if not any(h.first <= seq <= h.last for h in chosen)]:
        known = ", ".join(f"{h.first}-{h.last}" if h.count > 1 else str(h.first) for h in chosen[:10])
        raise ConfigError(
            "resend-unknown",
            f"{feed}: number {_listed(unknown)} is not known to be missing here; missing: {known}",
        )
    now = ctx.now()
    asked: list[HoleRecord] = []
    after: list[HoleRecord] = []
    for hole in holes:
        for part in _split(hole, seqs) if hole in chosen else [hole]:
            wished = hole in chosen and (not seqs or part.first in seqs)
            after.append(replace(part, asked_at=part.asked_at or now) if wished else part)
            asked += [after[-1]] if wished else []
    ctx.store.holes.replace(after)
    return tuple(asked)


def forget(ctx: Context, feed: Feed, epoch: str, seqs: Sequence[int]) -> None:
    """Nobody waits for these numbers any more."""
    before = ctx.store.holes.open()
    after = [
        part
        for hole in before
        for part in (_split(hole, seqs) if (hole.feed, hole.epoch) == (feed, epoch) else [hole])
        if (part.feed, part.epoch) != (feed, epoch) or part.first not in seqs
    ]
    if after != before:
        ctx.store.holes.replace(after)


def _split(hole: HoleRecord, seqs: Sequence[int]) -> Iterator[HoleRecord]:
    """The hole in parts, each of the chosen numbers alone; whole where none is chosen."""
    first = hole.first
    for seq in sorted({seq for seq in seqs if hole.first <= seq <= hole.last}):
        if seq > first:
            yield replace(hole, first=first, last=seq - 1)
        yield replace(hole, first=seq, last=seq)
        first = seq + 1
    if first <= hole.last:
        yield replace(hole, first=first)


def _listed(seqs: Sequence[int]) -> str:
    return ", ".join(map(str, seqs[:10])) + (f" and {len(seqs) - 10} more" if len(seqs) > 10 else "")
