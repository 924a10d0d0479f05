"""Import: collect what lies in the inboxes, apply it, acknowledge, and put the files where they belong.

Ordering rules:
1. Size and digest of a payload are checked before its number counts as decided; a damaged payload leaves its manifest waiting for a fresh copy.
2. Data, ledger and receipt commit together (applying.py).
3. Receipts are published from the ledger, then marked as acknowledged, then the batch's files leave the inbox. A crash anywhere in
   between makes the next turn publish the same bytes again.
4. What is set aside has its reason beside it. A refused claim is recorded and answered where the sender is proven (answering.py).
5. A void is taken when everything before it is decided and committed: the head never stands above a number that could still be lost.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from filesync.exchange import quarantine, voids
from filesync.exchange.answering import acknowledge, put_away, receipt_file, refuse, set_aside
from filesync.exchange.applying import apply_group
from filesync.exchange.arrivals import (
    AdmittedVoid,
    FeedEpoch,
    Listing,
    Standings,
    Unfit,
    Verified,
    collect,
    known_numbers,
    list_inbox,
)
from filesync.exchange.checking import Ready
from filesync.exchange.holes import Seen, notice
from filesync.exchange.own_tables import BROKEN, Readiness
from filesync.exchange.reports import AppliedBatch, Held, ImportReport, Progress
from filesync.protocol.admission import Apply, Refuse, Replay, Wait
from filesync.protocol.identity import SEQ_MAX, BatchName, stem_of
from filesync.protocol.receipt import MISSING_MAX, Problem, Receipt, Verdict
from filesync.writers import durable
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from filesync.exchange.context import Context
    from filesync.protocol.admission import Standing
    from filesync.protocol.identity import Feed

Gaps = dict[FeedEpoch, list[tuple[int, int]]]

#: Payloads up to this size are read once, into memory, and may share a transaction.
SMALL_BYTES = 256 * 1024
#: Bytes of small payloads that wait in memory for a shared transaction.
GROUP_BYTES = 32 * 1024 * 1024


def import_all(ctx: Context, report: ImportReport, peers: Collection[str]) -> None:
    """Collect, apply and acknowledge what these peers sent and can be; what cannot is reported with its reason."""
    ctx.store.holes.advance()  # what a crash left undone
    seen = Seen()
    take_in(ctx, report, peers, seen)
    conclude(ctx, seen)


def conclude(ctx: Context, seen: Seen) -> None:
    """When all inboxes were gone through: what is nobody's alone, and what is missing."""
    acknowledge(ctx)
    ctx.store.holes.advance()
    notice(ctx, seen)


def take_in(ctx: Context, report: ImportReport, peers: Collection[str], seen: Seen) -> None:
    """Go through the inboxes of these peers. `seen` gets what lies there undecided."""
    standings, readiness = Standings.of(ctx, peers), Readiness(ctx, report)
    listings = [list_inbox(ctx, peer) for peer in peers]
    total = sum(len(listing.manifests) for listing in listings)
    waiting: list[Ready] = []
    held = 0  # bytes of payload
    for listing in listings:
        known_numbers(ctx, standings, listing)
        _put_away_orphans(ctx, listing)
        for ready in _ready(ctx, listing, standings, report, seen, readiness):
            if isinstance(ready, AdmittedVoid):
                _apply(ctx, waiting, report, total, seen)
                waiting, held = [], 0
                voids.take(ctx, listing, ready, standings, report)
                continue
            waiting.append(ready)
            held += len(ready.data or b"")
            full = held >= GROUP_BYTES or len(waiting) >= ctx.settings.limits.group_batches_max
            if full or not ready.groupable:
                _apply(ctx, waiting, report, total, seen)
                waiting, held = [], 0
    _apply(ctx, waiting, report, total, seen)


def _ready(
    ctx: Context,
    listing: Listing,
    standings: Standings,
    report: ImportReport,
    seen: Seen,
    readiness: Readiness,
) -> Iterator[Ready | AdmittedVoid]:
    """Deal with everything that waits or is refused; yield what changes the ledger, in the order in which it must."""
    gaps = _gaps(listing)
    replays: list[Verified] = []
    for item in collect(ctx, listing, standings):
        if isinstance(item, Unfit):
            if item.set_aside:  # with its payload, which nothing here vouches for any more
                stem = item.name.removesuffix(".manifest.json")
                payloads = [name for name in listing.payloads if stem_of(name) == stem]
                set_aside(ctx, listing, item.name, [*payloads, item.name], item.problem, report)
            else:
                seen.waits(item.name)
                report.waiting.append(Held(listing.peer, item.name, item.problem.code, item.problem.message))
            continue
        if isinstance(item, AdmittedVoid):
            match item.decision:
                case Wait(reason, detail, _):
                    seen.waits(item.void.name.void)
                    report.waiting.append(Held(listing.peer, item.void.name.void, reason.value, detail))
                case Refuse(problem):
                    refuse(ctx, listing, item.void, item.void.manifest_sha256, problem, standings, report)
                case _:
                    standings.given_up(item.void)
                    yield item
            continue
        verified = item.verified
        match item.decision:
            case Apply():
                before = standings.heads.get((verified.manifest.id.feed, verified.manifest.id.epoch))
                ready = _check_payload(ctx, listing, verified, before, report, gaps, seen, readiness)
                if ready is not None:
                    standings.decided(verified)
                    yield ready
            case Replay():
                replays.append(verified)
            case Wait(reason, detail, _):
                seen.waits(verified.manifest.name.manifest)
                report.waiting.append(Held(listing.peer, verified.stem, reason.value, detail))
            case Refuse(problem):
                refuse(ctx, listing, verified.manifest, verified.sha256, problem, standings, report)
    _replay(ctx, listing, replays, report)


def _gaps(listing: Listing) -> Gaps:
    """The holes between the numbers that lie here, per feed, as (first, end): as short as it is long, whatever a peer claims."""
    found: Gaps = defaultdict(list)
    for one, other in pairwise(listing.manifests):
        before, after = one.batch.id, other.batch.id
        if (before.feed, before.epoch) == (after.feed, after.epoch) and after.seq > before.seq + 1:
            found[after.feed, after.epoch].append((before.seq + 1, after.seq))
    return found


def _check_payload(
    ctx: Context,
    listing: Listing,
    verified: Verified,
    before: Standing | None,
    report: ImportReport,
    gaps: Gaps,
    seen: Seen,
    readiness: Readiness,
) -> Ready | None:
    """Compare the payload with the manifest's claim; None when it is not here or not whole, or cannot be applied here for now."""
    manifest, name = verified.manifest, verified.manifest.payload_file
    if readiness.why_not(manifest.id.feed.dataset):
        why = f"waits until the statements for {manifest.id.feed.dataset} can run here"
        report.waiting.append(Held(listing.peer, verified.stem, BROKEN, why))
        seen.waits(manifest.name.manifest)
        return None
    size = listing.payloads.get(name)
    path = listing.folder / name
    if size is None:
        message = f"{verified.stem}: the manifest is here, its payload {name} is not"
        report.waiting.append(Held(listing.peer, verified.stem, "payload-missing", message))
        seen.lacks(manifest.id)
        return None
    data: bytes | None = None
    try:
        if manifest.payload_bytes > ctx.settings.limits.payload_bytes_max:
            found = manifest.payload_sha256  # not read at all: applying rejects the claim
        elif size != manifest.payload_bytes and size > ctx.settings.limits.payload_bytes_max:
            found = ""
        elif size <= SMALL_BYTES:
            data = listing.read(name)
            found = hashlib.sha256(data).hexdigest()
        else:
            found, size = digest_file(path)
    except OSError as err:
        seen.waits(manifest.name.manifest)
        report.waiting.append(
            Held(
                listing.peer,
                verified.stem,
                "locked",
                f"{name} cannot be read now ({err}); the next turn tries again",
            )
        )
        return None
    if found != manifest.payload_sha256:
        problem = _damage(listing, verified, size, found)
        set_aside(ctx, listing, name, [name], problem, report)
        seen.lacks(manifest.id)
        return None
    key, seq = (manifest.id.feed, manifest.id.epoch), manifest.id.seq
    later = gaps[key][bisect_right(gaps[key], (seq, SEQ_MAX)) :]
    missing = islice(chain.from_iterable(range(first, end) for first, end in later), MISSING_MAX)
    contract = ctx.contracts.get(manifest.id.feed.dataset, manifest.version)
    if contract is None:
        raise RuntimeError(f"{verified.stem}: admission lets only known contracts through")
    return Ready(verified, contract, path, data, ctx.now(), tuple(missing), before)


def _damage(listing: Listing, verified: Verified, size: int, found: str) -> Problem:
    manifest, name = verified.manifest, verified.manifest.payload_file
    other = next((m.batch.stem for m in listing.manifests if found and m.batch.digest12 == found[:12]), None)
    if other is not None:
        return Problem("swapped", f"{name}: expected the payload of {verified.stem}, got that of {other}")
    expected = f"expected {manifest.payload_bytes} bytes with sha256 {manifest.payload_sha256}"
    if size != manifest.payload_bytes:
        code = "truncated" if size < manifest.payload_bytes else "oversized"
        return Problem(code, f"{name}: {expected}, got {size} bytes")
    return Problem("damaged", f"{name}: {expected}, got sha256 {found}")


def _apply(ctx: Context, waiting: list[Ready], report: ImportReport, total: int, seen: Seen) -> None:
    """Apply in groups of one contract and format."""
    for group in _groups(_in_order(waiting)):
        by_stem = {ready.verified.stem: ready for ready in group}
        decided: dict[str, AppliedBatch] = {}
        for batch in apply_group(ctx, group):
            report.applied.append(batch)
            decided[batch.name] = batch
            ready = by_stem[batch.name]
            if batch.verdict is not Verdict.APPLIED:
                first = batch.problems[0]
                report.set_aside.append(Held(ready.verified.peer, batch.name, first.code, first.message))
        acknowledge(ctx)
        for ready in [ready for ready in group if ready.verified.stem not in decided]:
            seen.waits(ready.verified.manifest.name.manifest)
            message = f"{ready.verified.stem}: another importer of this site was faster; the next turn knows what it decided"
            report.waiting.append(
                Held(ready.verified.peer, ready.verified.stem, "decided-elsewhere", message)
            )
        done = [ready for ready in group if ready.verified.stem in decided]
        for ready in done:
            if decided[ready.verified.stem].verdict is Verdict.REJECTED:
                problems = decided[ready.verified.stem].problems
                files = [
                    p
                    for p in (ready.payload, ready.payload.parent / ready.verified.manifest.name.manifest)
                    if p.exists()
                ]
                quarantine.set_aside(
                    ctx,
                    ready.verified.peer,
                    ready.verified.stem,
                    files,
                    problems[0],
                    problems=problems,
                    retryable=False,
                )
        _archive(ctx, [r for r in done if decided[r.verified.stem].verdict is not Verdict.REJECTED])
        ctx.observe(Progress("apply", len(report.applied), total, "batches"))


def _in_order(readies: list[Ready]) -> list[Ready]:
    """By contract, so that groups are large though half of the sites send a newer version; a feed's batches keep their order.

    Where a feed changes its version, what comes after the change has its turn after everything that came before one.
    """
    changes: dict[Feed, tuple[int, int]] = {}  # the version that came last, and how often it was another one
    order: list[tuple[str, int, int]] = []
    for ready in readies:
        manifest = ready.verified.manifest
        feed, version = manifest.id.feed, manifest.version
        last, count = changes.get(feed, (version, 0))
        changes[feed] = (version, count + (last != version))
        order.append((feed.dataset, changes[feed][1], version))
    return [readies[place] for place in sorted(range(len(readies)), key=order.__getitem__)]


def _groups(readies: list[Ready]) -> Iterator[list[Ready]]:
    group: list[Ready] = []
    for ready in readies:
        if group and not (ready.groupable and group[0].groupable and _kind(ready) == _kind(group[0])):
            yield group
            group = []
        group.append(ready)
    if group:
        yield group


def _kind(ready: Ready) -> tuple[str, object]:
    return ready.contract.name, ready.verified.manifest.format


def _archive(ctx: Context, readies: Iterable[Ready]) -> None:
    """Move applied batches out of the inbox; the manifest last, so that after a crash it is still there to be known again."""
    moves = []
    targets: dict[date, Path] = {}
    for ready in readies:
        manifest = ready.verified.manifest
        day = manifest.business_date
        target = targets.get(day) or targets.setdefault(day, ctx.folders.archive(day))
        name = manifest.name.manifest
        moves += [(ready.payload, target, ready.payload.name), (ready.payload.parent / name, target, name)]
    durable.move_many(moves)


def _replay(ctx: Context, listing: Listing, replays: Sequence[Verified], report: ImportReport) -> None:
    """Answer again what was answered before, with few syncs however many; no payload is even opened."""
    if not replays:
        return
    known = {verified.stem: ctx.store.receipt_of(verified.stem) for verified in replays}
    answers = [stored for stored in known.values() if stored is not None and stored.receipt is not None]
    durable.publish_many([receipt_file(ctx, s.name, s.origin, s.receipt or "") for s in answers])
    done: list[tuple[Path, Path]] = []
    for verified in replays:
        report.replayed.append(verified.stem)
        manifest, stored = verified.manifest, known[verified.stem]
        names = [n for n in (manifest.payload_file, manifest.name.manifest) if n in listing.sizes]
        files = [listing.folder / name for name in names]
        if stored is not None and stored.verdict is Verdict.REJECTED and stored.receipt is not None:
            problems = Receipt.from_signed(json.loads(stored.receipt)).problems
            quarantine.set_aside(
                ctx, listing.peer, stored.name, files, problems[0], problems=problems, retryable=False
            )
        else:
            done += [(file, ctx.folders.archive(manifest.business_date)) for file in files]
    put_away(done)


def _put_away_orphans(ctx: Context, listing: Listing) -> None:
    """A payload whose batch was decided here: a late second copy, whose manifest was put away before it came."""
    orphans = {stem_of(name): name for name in listing.orphans()}
    known = ctx.store.answered(orphans) if orphans else ()
    days = {stem: BatchName.parse(stem).business_date for stem in known}
    put_away([(listing.folder / orphans[stem], ctx.folders.archive(day)) for stem, day in days.items()])
