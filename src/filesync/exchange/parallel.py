"""Import by several workers: inboxes of different origins side by side, each origin's in its order.

Ordering rules:
1. Receipts are settled before, and by the site itself (settling.py): they concern its outboxes, which all share.
2. The inboxes are shared out (shards.py) where that spares more than it costs; otherwise the site imports alone.
3. A worker publishes the receipts of its own origins, and moves their files (`Context.answers`). What is nobody's share (numbers given up
   ahead, receipts of origins that are no peers any more, what is missing) is the site's, when all workers are done.
4. A share that was not brought home is imported once more by the site, alone, and that is said. The report tells every batch that was applied
   once, also those of a worker that did not live to tell it: the ledger has them.

What is not here: how workers are sent and waited for (workers.py), how a batch is imported (incoming.py).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from filesync.config import ExecutorKind
from filesync.exchange import workers
from filesync.exchange.holes import Seen
from filesync.exchange.incoming import conclude, import_all, take_in
from filesync.exchange.reports import AppliedBatch, ImportReport, Progress, Redone
from filesync.exchange.shards import Load, plan, spared
from filesync.protocol.identity import BatchName
from filesync.protocol.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from filesync.config import ExecutorChoice
    from filesync.exchange.context import Context
    from filesync.exchange.workers import Outcome

#: What must be spared, in bytes of payload (shards.py), before workers are asked: what they cost themselves. Measured for threads and processes, an estimate for a cluster: docs/scale.md.
LEAST: Final = {
    ExecutorKind.THREADS: 8 << 20,
    ExecutorKind.PROCESSES: 64 << 20,
    ExecutorKind.DASK: 64 << 20,
}
#: A cluster's workers are counted when it is reached; until then it is taken for large.
_MANY: Final = 1_000


@dataclass(slots=True)
class Brought:
    """What a worker brings home. `failed`: why it stopped; what it had done is in the report all the same."""

    report: ImportReport = field(default_factory=ImportReport)
    seen: Seen = field(default_factory=Seen)
    failed: str = ""


def import_wide(ctx: Context, report: ImportReport, peers: Sequence[str]) -> None:
    """Import what these peers sent: by workers where the site has any and it is enough for them, otherwise as `import_all` does."""
    choice = workers.fitting(ctx)
    if choice.kind is ExecutorKind.NONE or len(peers) < 2:
        import_all(ctx, report, peers)
        return
    loads = [load for load in (_load(ctx, peer) for peer in peers) if load.batches]
    count = _MANY if choice.kind is ExecutorKind.DASK else choice.workers
    if len(loads) < 2 or spared(plan(loads, count), count) < LEAST[choice.kind]:
        import_all(ctx, report, peers)
        return
    ctx.store.holes.advance()  # what a crash left undone
    mark, seen = ctx.store.days.newest_batch(), Seen()
    redone = _by_workers(ctx, choice, loads, report, seen)
    shared = {load.origin for load in loads}
    try:
        take_in(ctx, report, [peer for peer in peers if peer not in shared or peer in redone], seen)
    finally:
        _tell(ctx, report, mark, shared)
    conclude(ctx, seen)


def import_share(ctx: Context, origins: tuple[str, ...]) -> Brought:
    """A worker's part: these origins' inboxes, as the site itself would import them."""
    brought = Brought()
    try:
        take_in(replace(ctx, answers=frozenset(origins)), brought.report, origins, brought.seen)
    except Exception as err:
        brought.failed = workers.said(err)
    return brought


def _by_workers(
    ctx: Context, choice: ExecutorChoice, loads: Collection[Load], report: ImportReport, seen: Seen
) -> set[str]:
    """Have the loads imported; the origins that the site must see to itself."""
    brought: dict[tuple[str, ...], Brought] = {}
    batches = {load.origin: load.batches for load in loads}
    lost: list[Redone] = []
    done = 0

    def home(outcome: Outcome[Brought]) -> None:
        nonlocal done
        if outcome.value is None:
            lost.append(Redone(outcome.items, outcome.code, outcome.message))
            return
        if outcome.value.failed:
            lost.append(Redone(outcome.items, "worker-failed", outcome.value.failed))
        brought[outcome.items] = outcome.value
        done += sum(batches[origin] for origin in outcome.items)
        ctx.observe(Progress("apply", done, sum(batches.values()), "batches"))

    try:
        workers.run(
            ctx, choice, import_share, lambda count: [shard.origins for shard in plan(loads, count)], home
        )
    finally:  # what was done is told, whatever came then
        for origins in sorted(brought):
            report.add(_whole(brought[origins]))
            if not brought[origins].failed:
                seen.add(brought[origins].seen)
        report.redone += sorted(lost, key=lambda part: part.items)
        report.unready[:] = dict.fromkeys(report.unready)  # what is the whole site's, every worker meets
    return {origin for part in lost for origin in part.items}


def _whole(brought: Brought) -> ImportReport:
    """Of a part that is done again, what waits is told by who does it again."""
    return replace(brought.report, waiting=[]) if brought.failed else brought.report


def _load(ctx: Context, peer: str) -> Load:
    """What lies in an inbox, by a look at the names: voids count, for they must be taken in their turn."""
    batches = size = 0
    try:
        with os.scandir(ctx.folders.inbox(peer)) as entries:
            for entry in entries:
                batches += entry.name.endswith((".manifest.json", ".void.json"))
                size += entry.stat(follow_symlinks=False).st_size
    except OSError:
        return Load(peer, 0, 0)  # whoever lists it says what is wrong with it
    return Load(peer, batches, size)


def _tell(ctx: Context, report: ImportReport, mark: int, origins: Collection[str]) -> None:
    """What workers applied and did not live to tell. Files of theirs that were still here were known again, as decided before."""
    told = {batch.name for batch in report.applied}
    untold = [found for found in ctx.store.decided_after(mark) if found[0] not in told]
    for name, verdict, documents in untold:
        stored = ctx.store.receipt_of(name)
        if (
            BatchName.parse(name).id.feed.origin in origins
            and stored is not None
            and stored.receipt is not None
        ):
            problems = Receipt.from_signed(json.loads(stored.receipt)).problems
            report.applied.append(AppliedBatch(name, verdict, documents, problems))
    if untold:
        names = {name for name, _, _ in untold}
        report.replayed[:] = [name for name in report.replayed if name not in names]
