"""Void: a number that can never arrive is given up for good, formally, so that nobody waits for it and nothing is skipped in silence.

At the origin (`give_up`):
1. The ledger says that the number is given up, and who must hear of it. At that instant nothing of the batch is shipped any more.
2. The void lies in the outbox of everybody who has not applied the batch, until they answer; the batch itself goes to the archive.
3. The answer `voided` leaves the rows owed: they are sealed again from the payload, under a new number (`seal_again`). Whoever had applied the
   batch after all answers so, and nothing is owed.

At the recipient (`take`): one transaction gives the number up, moves the head on and holds the answer. Only the origin's void, signed where its key
is pinned, does that; or a person here (`override`), who is recorded. What then still comes under the number is refused as `voided`.

Not here: the rules (protocol/admission.py). A void never takes back what was applied.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from filesync.contracts.digests import row_digests
from filesync.errors import ConfigError, FilesyncError
from filesync.exchange import versions
from filesync.exchange.answering import acknowledge, put_away, receipt_file, refusal
from filesync.exchange.arrivals import Admitted, Standings, collect, known_numbers, list_inbox
from filesync.exchange.context import SOFTWARE
from filesync.exchange.cutting import Order
from filesync.exchange.holes import forget
from filesync.exchange.outgoing import seal
from filesync.exchange.reports import Held, SealReport
from filesync.exchange.restoring import PURGED, lying_in_outboxes, payload_of, purged, restore_outboxes
from filesync.exchange.settling import tidy_outboxes
from filesync.protocol.admission import Replay
from filesync.protocol.envelope import canonical
from filesync.protocol.identity import SEQ_MAX, Mode
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem, Verdict
from filesync.protocol.void import BY_CHARS_MAX, REASON_CHARS_MAX, Void
from filesync.readers.payload import read_payload
from filesync.stores.hole_values import NewVoid, VoidRecord
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract
    from filesync.exchange.arrivals import AdmittedVoid, Listing, Verified
    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport
    from filesync.protocol.identity import Feed
    from filesync.stores.hole_values import GivenUp

#: Numbers so far above everything that is known are a slip of the finger.
AHEAD_MAX = 10_000


def void(
    ctx: Context, feed: Feed, seqs: Sequence[int], *, reason: str, by: str, epoch: str | None = None
) -> list[VoidRecord]:
    """Give numbers of a feed up: as their origin, where the feed is this site's own, otherwise by an override here. All of them or none."""
    if not 1 <= len(reason.strip()) <= REASON_CHARS_MAX or not 1 <= len(by.strip()) <= BY_CHARS_MAX:
        raise ConfigError(
            "void-reason",
            f"expected a reason of at most {REASON_CHARS_MAX} characters and a name of at most {BY_CHARS_MAX}",
        )
    numbers = sorted(set(seqs))
    if not numbers or not 1 <= numbers[0] <= numbers[-1] <= SEQ_MAX:
        raise ConfigError("void-unknown", f"{feed}: expected numbers of batches, got {numbers or 'none'}")
    if feed.origin == ctx.me:
        give_up(ctx, feed, epoch or ctx.epoch, numbers, reason.strip(), by.strip())
        chosen = epoch or ctx.epoch
    else:
        chosen = override(ctx, feed, epoch, numbers, reason.strip(), by.strip())
    return [v for v in ctx.store.holes.voids(feed) if v.epoch == chosen and v.seq in numbers]


# ------------------------------------------------------------------------------------------------ at the origin


def give_up(ctx: Context, feed: Feed, epoch: str, seqs: Sequence[int], reason: str, by: str) -> None:
    """Give own numbers up, and let everybody know who has not applied them."""
    found = ctx.store.holes.numbers(feed, epoch, seqs)
    if unknown := sorted(set(seqs) - {number.seq for number in found}):
        raise ConfigError("void-unknown", f"{feed}: nothing was sealed here under number {unknown[0]}")
    for number in found:
        if all(verdict in (Verdict.APPLIED, Verdict.PARTIAL) for verdict in number.verdicts.values()):
            raise ConfigError(
                "void-applied",
                f"{number.name.stem}: expected a batch that somebody has not applied; all have",
            )
    with ctx.store.transaction():
        for number in found:
            manifest = Manifest.from_signed(json.loads(number.manifest))
            made = Void.of(
                manifest, number.manifest_sha256, reason=reason, by=by, at=ctx.now(), software=SOFTWARE
            )
            owed = [r for r, v in number.verdicts.items() if v in (None, Verdict.REJECTED)]
            ctx.store.holes.give_up(_new(made, canonical(made.to_signed()).decode()), owed)
    # At this instant the numbers are given up; what follows is what every `sweep` does.
    restore_outboxes(ctx, lying_in_outboxes(ctx))
    tidy_outboxes(ctx, lying_in_outboxes(ctx))


def seal_again(ctx: Context) -> Iterator[SealReport]:
    """Seal, under new numbers, what is owed of batches that were given up. What was sealed in a later version since is not owed."""
    for owed in ctx.store.holes.given_up():
        manifest = Manifest.from_signed(json.loads(owed.manifest))
        feed = manifest.id.feed
        readable = _readable(ctx, manifest)
        if readable is None:
            if (message := purged(ctx, manifest)) is not None:
                ctx.store.holes.sealed_again(owed.batch_id)
                yield SealReport(feed.dataset, failed=[Held(ctx.me, owed.name.stem, PURGED, message)])
            continue  # its source brings the rows (`unreadable`); or a person puts it back
        contract, payload = readable
        chunks = (part.table for part in read_payload(payload, manifest.format, contract))
        whole = manifest.mode is Mode.SNAPSHOT and owed.last
        order = Order(
            contract, feed.audience, manifest.format, ctx.settings.dataset(feed.dataset).documents_max, manifest.business_date, full=whole,
            under=versions.common(ctx, contract, ctx.settings.members(feed.audience)),
        )  # fmt: skip
        again = seal(
            ctx, order, chunks if whole else (_still_owed(ctx, order, owed, chunk) for chunk in chunks)
        )
        yield again
        if not again.held:
            ctx.store.holes.sealed_again(owed.batch_id)


def unreadable(ctx: Context) -> dict[str, list[int]]:
    """By dataset the batches that were given up, whose rows are owed, and that nobody here can read any more: only their source has the rows."""
    found: dict[str, list[int]] = {}
    for owed in ctx.store.holes.given_up():
        manifest = Manifest.from_signed(json.loads(owed.manifest))
        if _readable(ctx, manifest) is None:
            found.setdefault(manifest.id.feed.dataset, []).append(owed.batch_id)
    return found


def _readable(ctx: Context, manifest: Manifest) -> tuple[Contract, Path] | None:
    contract = ctx.contracts.get(manifest.id.feed.dataset, manifest.version)
    if contract is None or contract.encrypted:
        return None
    payload = payload_of(ctx, manifest.name, manifest.format, manifest.recipients)
    return None if payload is None else (contract, payload)


def _still_owed(ctx: Context, order: Order, owed: GivenUp, chunk: pa.Table) -> pa.Table:
    """The documents whose last sealing was the batch that was given up."""
    table = order.contract.conform(chunk)
    digests = row_digests(table, order.contract.key)
    asked = pa.table(
        {"key_digest": digests.keys, "content_digest": digests.contents, "row": pa.array(np.arange(table.num_rows))}
    )  # fmt: skip
    last = ctx.store.days.sealed_in(order.contract.dataset, order.audience, asked)
    return table.filter(pa.array(last == owed.batch_id))


def _new(made: Void, text: str) -> NewVoid:
    return NewVoid(
        made.id.feed, made.id.epoch, made.id.seq, made.reason, made.by, made.voided_at, made.name.stem, made.manifest_sha256,
        _claims(made), text,
    )  # fmt: skip


def _claims(claim: Void | Manifest) -> str:
    signed = claim.to_signed()
    return canonical({"rows": signed["rows"], "totals": signed["totals"]}).decode()


# ------------------------------------------------------------------------------------------------ at the recipient


def take(
    ctx: Context, listing: Listing, item: AdmittedVoid, standings: Standings, report: ImportReport
) -> None:
    """Take a void that admission lets through: the number is given up, the origin is answered, the void goes to the archive."""
    made, stem = item.void, item.void.name.stem
    known = ctx.store.refused([made.manifest_sha256]).get(made.manifest_sha256)
    decided = ctx.store.receipt_of(stem)
    if (
        known is not None
        and known.code == "voided"
        and known.receipt is not None
        and ctx.store.holes.taken([stem])
    ):
        durable.publish_many([receipt_file(ctx, stem, known.origin, known.receipt)])  # said before
    elif (
        isinstance(item.decision, Replay)
        and decided is not None
        and decided.code is None
        and decided.receipt is not None
        and not ctx.store.holes.voided([stem])
    ):
        # It comes too late: the batch was applied, and the origin only misses the receipt.
        durable.publish_many([receipt_file(ctx, stem, decided.origin, decided.receipt)])
        report.replayed.append(stem)
    else:
        problem = Problem("voided", f"{made.id}: given up by its origin ({made.by}): {made.reason}")
        head = standings.heads.get((made.id.feed, made.id.epoch))
        record = refusal(ctx, made, made.manifest_sha256, problem, head.seq if head else 0)
        with ctx.store.transaction() as tx:
            ctx.store.holes.record(_new(made, item.text))
            ctx.store.forget_refused(
                [stem]
            )  # an earlier refusal of the same claim is not the last word any more
            tx.record_refused([record])
        # At this instant the number is given up here.
        acknowledge(ctx)
        report.voided.append(Held(listing.peer, stem, "voided", problem.message))
    put_away([(listing.folder / made.name.void, ctx.folders.archive(made.name.business_date))])


def override(ctx: Context, feed: Feed, epoch: str | None, seqs: Sequence[int], reason: str, by: str) -> str:
    """Give numbers of another site's feed up here, by the word of a person here. Returns the installation they were of."""
    heads = {known: seq for known, seq, _ in ctx.store.holes.epochs(feed)}
    waiting = _waiting(ctx, feed)
    for hole in ctx.store.holes.open():
        if hole.feed == feed:
            heads.setdefault(hole.epoch, 0)
    for lying, _seq in waiting:
        heads.setdefault(lying, 0)
    for heard in ctx.store.days.heard():
        if heard.peer == feed.origin and any(
            (mark["dataset"], mark["audience"]) == (feed.dataset, feed.audience)
            for mark in heard.signed["feeds"]
        ):
            heads.setdefault(heard.epoch, 0)
    if not heads or feed.origin not in {*ctx.settings.peers, *(f.feed.origin for f in ctx.store.feeds())}:
        raise ConfigError("feed-unknown", f"{feed}: expected a feed that comes here, nothing of it is known")
    chosen = epoch or _only_epoch(ctx, feed, heads, seqs)
    if chosen not in heads:
        raise ConfigError(
            "epoch-unknown", f"{feed}: expected one of the installations {', '.join(heads)}, got {chosen}"
        )
    new = [_overridden(ctx, feed, chosen, seq, heads[chosen], waiting, reason, by) for seq in seqs]
    with ctx.store.transaction():
        for one in new:
            if one is not None:
                ctx.store.holes.record(one)
        forget(ctx, feed, chosen, seqs)
    return chosen


def _only_epoch(ctx: Context, feed: Feed, heads: dict[str, int], seqs: Sequence[int]) -> str:
    """The installation in which these numbers can be given up, where there is only one such."""
    fitting = []
    for epoch, head in heads.items():
        decided = ctx.store.holes.decided(feed, epoch, seqs)
        if all(decided[seq].verdict is not Verdict.APPLIED if seq in decided else seq > head for seq in seqs):
            fitting.append(epoch)
    missing = {
        hole.epoch
        for hole in ctx.store.holes.open()
        if hole.feed == feed and any(hole.first <= seq <= hole.last for seq in seqs)
    }
    for choice in (fitting, [epoch for epoch in fitting if epoch in missing]):
        if len(choice) == 1:
            return choice[0]
    if not fitting:
        return list(heads)[-1]  # refused below, with the reason
    raise ConfigError(
        "epoch-missing",
        f"{feed}: these numbers may be of the installations {', '.join(fitting)}: say --epoch",
    )


def _overridden(
    ctx: Context,
    feed: Feed,
    epoch: str,
    seq: int,
    head: int,
    waiting: dict[tuple[str, int], list[Verified]],
    reason: str,
    by: str,
) -> NewVoid | None:
    """What is known of the number that is given up; None where it was given up before."""
    if any(v.seq == seq and v.epoch == epoch for v in ctx.store.holes.voids(feed)):
        return None
    decided = ctx.store.holes.decided(feed, epoch, [seq]).get(seq)
    if decided is not None:
        if decided.verdict is Verdict.APPLIED:
            raise ConfigError(
                "void-applied",
                f"{decided.name}: expected a batch of which rows are owed; all of it was applied",
            )
        return NewVoid(
            feed, epoch, seq, reason, by, ctx.now(), decided.name, decided.manifest_sha256, decided.claims
        )
    if seq <= head:
        raise ConfigError(
            "void-unknown", f"{feed}: number {seq} is from before this site took part; nothing waits for it"
        )
    if seq > head + AHEAD_MAX:
        raise ConfigError(
            "void-unknown",
            f"{feed}: expected a number of at most {head + AHEAD_MAX}, got {seq}: only {head} is decided",
        )
    own, following = waiting.get((epoch, seq), []), waiting.get((epoch, seq + 1), [])
    before_next = {verified.manifest.previous for verified in following}
    only = own[0] if len(own) == 1 and before_next <= {own[0].sha256} else None
    sha256 = only.sha256 if only else before_next.pop() if len(before_next) == 1 else None
    return NewVoid(
        feed, epoch, seq, reason, by, ctx.now(), only.stem if only else None, sha256, _claims(only.manifest) if only else None
    )  # fmt: skip


def _waiting(ctx: Context, feed: Feed) -> dict[tuple[str, int], list[Verified]]:
    """The manifests of a feed that lie here, proven to be its origin's, by epoch and number."""
    found: dict[tuple[str, int], list[Verified]] = {}
    if feed.origin not in ctx.settings.peers:
        return found
    listing, standings = list_inbox(ctx, feed.origin), Standings.of(ctx)
    known_numbers(ctx, standings, listing)
    try:
        for item in collect(ctx, listing, standings):
            if isinstance(item, Admitted) and item.verified.manifest.id.feed == feed:
                batch = item.verified.manifest.id
                found.setdefault((batch.epoch, batch.seq), []).append(item.verified)
    except FilesyncError:
        return found
    return found
