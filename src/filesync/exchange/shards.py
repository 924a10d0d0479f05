"""Shards: which origins go to which worker. Pure.

One origin is always whole in one shard, so that the order within its feeds is kept by whoever works on it, as it would be by the site itself.
Shards are balanced by what they are expected to cost, and there are a few for each worker, so that one that is slower, or lost, holds up little.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: What a batch costs besides its bytes, in bytes: envelope, signature, receipt and files of one take as long as reading so much (docs/scale.md).
BATCH_BYTES: Final = 32 * 1024
#: Shards for each worker.
SHARDS_PER_WORKER: Final = 4
#: Less than this is not worth the opening of a store.
SHARD_COST_MIN: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """What lies here of one origin."""

    origin: str
    batches: int
    bytes: int

    @property
    def cost(self) -> int:
        """In bytes of payload."""
        return self.batches * BATCH_BYTES + self.bytes


@dataclass(frozen=True, slots=True)
class Shard:
    """Origins that one worker imports, one after another."""

    origins: tuple[str, ...]
    cost: int


def plan(loads: Collection[Load], workers: int, cost_min: int = SHARD_COST_MIN) -> list[Shard]:
    """Share the loads out, the largest shard first. The same loads give the same shards."""
    total = sum(load.cost for load in loads)
    count = max(1, min(workers * SHARDS_PER_WORKER, len(loads), total // max(1, cost_min)))
    if count < workers:  # rather small shards than idle workers
        count = min(workers, len(loads)) or 1
    heap: list[tuple[int, int]] = [(0, number) for number in range(count)]
    heapify(heap)
    members: list[list[str]] = [[] for _ in range(count)]
    costs = [0] * count
    # The largest first, each to whoever has least: at most a third more than the best there is (Graham 1969).
    for load in sorted(loads, key=lambda load: (-load.cost, load.origin)):
        cost, number = heappop(heap)
        members[number].append(load.origin)
        costs[number] = cost + load.cost
        heappush(heap, (costs[number], number))
    shards = [Shard(tuple(sorted(names)), cost) for names, cost in zip(members, costs, strict=True) if names]
    return sorted(shards, key=lambda shard: (-shard.cost, shard.origins))


def spared(shards: Sequence[Shard], workers: int) -> int:
    """What side by side spares, in cost: all of it less what the busiest worker has to do. Nothing where one origin is nearly everything."""
    if not shards:
        return 0
    total = sum(shard.cost for shard in shards)
    return total - max(shards[0].cost, -(-total // max(1, workers)))
