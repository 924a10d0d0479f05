"""P10: a turn with nothing to do, among many peers, with more and more history behind it."""

from __future__ import annotations

import shutil
import time
from statistics import median
from typing import TYPE_CHECKING

from bench import history
from bench.clock import say
from bench.figures import Line, Part, Sizes
from filesync import Station

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_MAX = 1.0
TURNS = 5


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    for batches in sizes.past:
        folder = work / f"matriz-{batches}"
        now = history.make_matriz(folder, sizes.peers, batches)
        with Station.open(folder, clock=lambda now=now: now) as station:  # type: ignore[misc]
            station.turn()
            times = []
            for _ in range(TURNS):
                started = time.perf_counter()
                station.turn()
                times.append(time.perf_counter() - started)
        took = median(times)
        say(f"  {sizes.peers:,} peers, {batches:,} batches: {took:.3f} s")
        what = f"a turn with nothing to do: {sizes.peers:,} peers, {batches:,} batches of history"
        part.lines.append(
            Line("P10", what, f"{took:.2f} s", "", "", None, f"≤ {SECONDS_MAX:.0f} s", took <= SECONDS_MAX)
        )
        shutil.rmtree(folder)
    return part
