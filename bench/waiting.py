"""P11: from a batch in the outbox to its receipt back, two daemons on a folder link (bench.latency), one drop after the other.

Beside: the same journey with nobody waiting for a watcher, the three turns called one after the other in one process. What is between
the two is the daemons': their watchers, their quiet times and their wakes, less what they do side by side.
"""

from __future__ import annotations

import time
from datetime import date
from statistics import median, quantiles
from typing import TYPE_CHECKING

from bench import latency
from bench.clock import scratch
from bench.figures import Line, Part, Sizes, milliseconds
from filesync.contracts import Registry
from filesync.demo.sales import sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

GOALS = ((50, 0.150), (99, 0.500))
CALLED = 15
DAY = date(2026, 3, 3)


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    called: list[float] = []
    with scratch(work) as folder:
        called += _called(folder, CALLED)
    with scratch(work) as folder:
        found = latency.measure(folder, sizes.drops)
    with scratch(work) as folder:  # and after it: the machine may have become another
        called += _called(folder, CALLED)
    cuts = quantiles(found, n=100)
    for percent, least in GOALS:
        took = cuts[percent - 1]
        part.lines.append(
            Line(
                "P11", f"drop → receipt back, folder link, two daemons, p{percent} of {len(found)}", milliseconds(took),
                "bare: the three turns, called one after the other, p50", milliseconds(median(called)), None,
                f"≤ {least * 1000:.0f} ms", took <= least,
            )
        )  # fmt: skip
    return part


def _called(folder: Path, count: int) -> list[float]:
    """Seconds of each journey when every turn begins as soon as the one before it has ended."""
    till, matriz = latency.make_pair(folder)
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    found = []
    with Station.open(till) as here, Station.open(matriz) as there:
        for number in range(count):
            sales = sales_of_day("caixa-01", Role.CAIXA, DAY, seed=number + 1, count=20)
            here.seal("vendas", contract.from_documents(sales)[0])
            started = time.perf_counter()
            here.turn()
            there.turn()
            settled = here.turn().imported.settled
            found.append(time.perf_counter() - started)
            if len(settled) != 1:
                raise AssertionError(f"one batch settled was expected, got {len(settled)}")
    return found
