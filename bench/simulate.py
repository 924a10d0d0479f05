"""python -m bench.simulate [--sites 10000] [--importers 1]: a day of a large network, reckoned from what this machine does.

First it measures, with real sites: how long a turn without work takes among so many peers, how long a matriz takes for each small batch,
and how many bytes of database and archive a sale leaves. Then it lets a day pass, second by second, for as many sites as were asked for:

- Sites sell from 8:30 to 18:00, most around noon and before closing, and send what they sold every few minutes: one batch each time.
- After 18:00 each closes, at random within forty minutes, with one more batch and its fechamento.
- Some sites lose their line for hours; their batches arrive together when it is back, some only in the night.
- The importers take what has arrived, all of it at once up to the size of a group, as `filesync run` does; they are alike and independent,
  as workers with a share of the origins each are.

It prints arrivals, the backlog at its worst, when the last close is applied, and what a year leaves on the disk; with `--plot FILE` it draws
the curves. It is a reckoning, not a test of 10,000 sites: what it leaves out (the network, the peers' own disks, a database on another
machine) is said in docs/scale.md.
"""

from __future__ import annotations

import argparse
import heapq
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import history, rows, sites
from bench.clock import say
from filesync import Station
from filesync.protocol.identity import Format

SALES_PER_BATCH = 5
EVERY_S = 300
OPENS_S, CLOSES_S, CLOSING_S = int(8.5 * 3600), 18 * 3600, 40 * 60
#: Of a hundred sites so many lose their line once a day, for up to so long.
OFFLINE_PERCENT, OFFLINE_S_MAX = 5, 6 * 3600
#: Batches that are taken together at most (limits.group_batches_max).
GROUP = 2_000
DAYS_PER_YEAR = 305
MEASURED_BATCHES = 2_000


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured: a turn in which n batches are applied takes `fixed_s + n * batch_s`."""

    fixed_s: float  # a turn with nothing to do, with as many peers as there are sites
    batch_s: float
    database_bytes: float  # a sale, with its lines and its share of the ledger
    archive_bytes: float  # a batch: payload, manifest, receipt

    def takes_s(self, batches: int) -> float:
        """How long an import of so many takes."""
        return self.fixed_s + batches * self.batch_s


def measure(work: Path, form: Format, peers: int) -> Machine:
    """An import of many small batches into an empty database, and a turn without work among so many peers."""
    folder = work / form.value
    till, matriz = sites.make_pair(folder, documents_max=SALES_PER_BATCH, form=form)
    files = sites.seal_batch(till, rows.sales(MEASURED_BATCHES * SALES_PER_BATCH), dataset="vendas")
    with sites.opened(matriz) as station:
        before = (matriz / "filesync.db").stat().st_size
        sites.deliver(files, matriz)
        started = time.perf_counter()
        sites.import_whole(station, MEASURED_BATCHES)
        took = time.perf_counter() - started
    grown = (matriz / "filesync.db").stat().st_size - before
    kept = sum(path.stat().st_size for path in (matriz / "archive").rglob("*") if path.is_file())
    say(f"  {MEASURED_BATCHES} batches of {SALES_PER_BATCH} sales, {form.value}: {took:.2f} s")
    fixed = _idle_turn(work / "many", peers)
    say(f"  a turn with nothing to do, {peers:,} peers: {fixed:.2f} s")
    return Machine(
        fixed, took / MEASURED_BATCHES, grown / (MEASURED_BATCHES * SALES_PER_BATCH), kept / MEASURED_BATCHES
    )


def _idle_turn(folder: Path, peers: int) -> float:
    """The median of five turns, after one that tells every peer its first heartbeat."""
    now = history.make_matriz(folder, peers, batches=len(history.DATASETS) * peers)
    with Station.open(folder, clock=lambda: now) as station:
        station.turn()
        times = []
        for _ in range(5):
            started = time.perf_counter()
            station.turn()
            times.append(time.perf_counter() - started)
    return median(times)


def arrivals(count: int, seed: int) -> list[int]:
    """The second of the day at which each batch arrives, sorted; past midnight counts on."""
    dice = random.Random(seed)
    found: list[int] = []
    for _ in range(count):
        offset = dice.randrange(EVERY_S)
        sent = [at + offset for at in range(OPENS_S, CLOSES_S, EVERY_S) if dice.random() < _busy(at)]
        close = CLOSES_S + dice.randrange(CLOSING_S)
        sent += [close, close]
        if dice.random() * 100 < OFFLINE_PERCENT:
            away = dice.randrange(OPENS_S, CLOSES_S)
            back = away + dice.randrange(OFFLINE_S_MAX)
            sent = [back if away <= at < back else at for at in sent]
        found += sent
    return sorted(found)


def _busy(at: int) -> float:
    """How likely a site has sold something within five minutes: a little in the morning, most at noon and before closing."""
    hour = at / 3600
    return 0.25 + 0.45 * max(0.0, 1 - abs(hour - 12.5) / 1.5) + 0.45 * max(0.0, 1 - abs(hour - 17.3) / 1.5)


@dataclass(frozen=True, slots=True)
class Day:
    """How it went. `waiting` is the backlog at each full minute."""

    batches: int
    peak_per_s: float
    backlog_max: int
    backlog_max_at: int
    longest_wait_s: float
    last_applied: float
    busy_percent: float
    waiting: list[tuple[int, int]]


def live(day: list[int], machine: Machine, importers: int) -> Day:
    """Let the importers take what has arrived. Each has the share of the origins that falls to it."""
    shares = [day[number::importers] for number in range(importers)]
    finished: list[tuple[float, int]] = []  # when a group was applied, and how many
    busy, longest = 0.0, 0.0
    for share in shares:
        now, at = 0.0, 0
        while at < len(share):
            now = max(now, share[at])
            group = at
            while group < len(share) and share[group] <= now and group - at < GROUP:
                group += 1
            took = machine.takes_s(group - at)
            now += took
            busy += took
            longest = max(longest, now - share[at])
            heapq.heappush(finished, (now, group - at))
            at = group
    last = max(when for when, _ in finished)
    waiting, arrived, applied, worst = [], 0, 0, (0, 0)
    for minute in range(OPENS_S, int(last) + 120, 60):
        while arrived < len(day) and day[arrived] <= minute:
            arrived += 1
        while finished and finished[0][0] <= minute:
            applied += heapq.heappop(finished)[1]
        waiting.append((minute, arrived - applied))
        worst = max(worst, (arrived - applied, minute))
    per_minute: dict[int, int] = {}
    for at in day:
        per_minute[at // 60] = per_minute.get(at // 60, 0) + 1
    return Day(
        len(day), max(per_minute.values()) / 60, worst[0], worst[1], longest, last, 100 * busy / importers / (last - OPENS_S), waiting
    )  # fmt: skip


def _clock(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86_400)
    return f"{rest // 3600:02d}:{rest // 60 % 60:02d}" + (" (+1)" if days else "")


def plot(days: dict[str, Day]) -> str:
    """The backlogs over the day, as SVG with no library."""
    width, height, left, bottom = 760, 320, 70, 40
    first, last = OPENS_S, max(day.waiting[-1][0] for day in days.values())
    top = max(10, *(day.backlog_max for day in days.values()))
    colours = ["#0b6e99", "#b3541e", "#8a8a8a"]

    def x(at: float) -> float:
        return left + (at - first) / (last - first) * (width - left - 20)

    def y(count: float) -> float:
        return height - bottom - count / top * (height - bottom - 20)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for hour in range(9, last // 3600 + 1, 2):
        parts.append(
            f'<text x="{x(hour * 3600):.0f}" y="{height - 18}" text-anchor="middle">{hour % 24:02d}h</text>'
        )
    for part in (0, 0.5, 1):
        parts.append(
            f'<text x="{left - 8}" y="{y(part * top) + 4:.0f}" text-anchor="end">{part * top:,.0f}</text>'
        )
    parts.append(f'<text x="{left}" y="14">batches that have arrived and are not applied</text>')
    for (name, day), colour in zip(days.items(), colours, strict=False):
        line = " ".join(f"{x(at):.1f},{y(count):.1f}" for at, count in day.waiting)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{width - 24}" y="{32 + 18 * list(days).index(name)}" text-anchor="end" fill="{colour}">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.simulate", description="a day of a large network")
    parser.add_argument("--sites", type=int, default=10_000)
    parser.add_argument("--importers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--format", choices=[form.value for form in (Format.JSONL, Format.PARQUET)], default="jsonl"
    )
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    try:
        machine = measure(work, Format(options.format), options.sites)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(
        f"measured: {machine.fixed_s * 1000:.0f} ms a turn with nothing to do, {machine.batch_s * 1000:.2f} ms a batch of {SALES_PER_BATCH} sales "
        f"({1 / machine.batch_s:,.0f} batches/s), {machine.database_bytes:,.0f} bytes of database a sale, {machine.archive_bytes:,.0f} of archive a batch"
    )
    day = arrivals(options.sites, options.seed)
    days = {f"{n} importer{'s' if n > 1 else ''}": live(day, machine, n) for n in options.importers}
    sales = len(day) * SALES_PER_BATCH
    first = next(iter(days.values()))
    print(
        f"{options.sites:,} sites, {len(day):,} batches, {sales:,} sales in a day; at most {first.peak_per_s:,.0f} batches/s arrive"
    )
    for name, one in days.items():
        print(
            f"{name}: at worst {one.backlog_max:,} wait ({_clock(one.backlog_max_at)}), longest wait {one.longest_wait_s:,.1f} s, "
            f"all applied {_clock(one.last_applied)}, busy {one.busy_percent:.0f} %"
        )
    gib = DAYS_PER_YEAR / 2**30
    print(
        f"a year of {DAYS_PER_YEAR} days: {sales * machine.database_bytes * gib:,.0f} GiB of database, "
        f"{len(day) * machine.archive_bytes * gib:,.0f} GiB of archive, {len(day) * 3 * DAYS_PER_YEAR / 1e6:,.0f} M files in it"
    )
    if options.plot:
        options.plot.write_text(plot(days), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
