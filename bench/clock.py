"""Timing: rounds in which every case runs once, in turning order, so that a machine that drifts drifts for all of them.

Each case prepares (untimed), is timed once, and cleans up (untimed). Figures are medians over the rounds; a ratio is the median of
the rounds' own ratios, never a ratio of two figures taken at different times.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

#: Prepares a case; the value is what is timed.
Case = Callable[[], AbstractContextManager[Callable[[], object]]]


@dataclass(slots=True)
class Times:
    """Seconds of each round, per case."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def middle(self, case: str) -> float:
        """The median."""
        return median(self.seconds[case])

    def speed_ratio(self, ours: str, theirs: str) -> float:
        """How much faster `ours` is: 2.0 is twice as fast. Rounds in which both ran are compared in pairs."""
        return median(b / a for a, b in zip(self.seconds[ours], self.seconds[theirs], strict=False))


def rounds(cases: Mapping[str, Case], count: int) -> Times:
    """Run every case `count` times, interleaved."""
    times = Times({name: [] for name in cases})
    names = list(cases)
    for number in range(count):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            times.seconds[name].append(once(cases[name]))
            say(f"  round {number + 1}/{count} {name}: {times.seconds[name][-1]:.3f} s")
    return times


def once(case: Case) -> float:
    """Time a case once. What earlier work left for the disk is written before, not during."""
    with case() as run:
        gc.collect()
        settle_disk()
        started = time.perf_counter()
        run()
        return time.perf_counter() - started


@contextmanager
def scratch(work: Path) -> Iterator[Path]:
    """A folder of one's own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle_disk() -> None:
    """Write out what the system still holds for the disk, where that can be asked for."""
    if hasattr(os, "sync"):
        os.sync()


def say(text: str) -> None:
    """Progress, to the error stream: the table alone goes to the output."""
    print(text, file=sys.stderr, flush=True)
