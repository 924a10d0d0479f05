"""P10, and a line of P12: a turn with nothing to do, as a daemon makes it, against what lies behind it and against how many peers there are.

The site is a matriz to which its tills come (history.py): every peer with its pinned key, its inbox and its outbox; every till heard, every
heartbeat told. Measured is everything between two waits of `filesync run`: what is due, the settings' files, the sweep, inboxes, receipts,
heartbeats, the routine of the day. Every fifth turn is a whole one, which looks at everything afresh. The first two are left out: they tell
and judge what was never told and judged.

Beside: the inboxes and outboxes listed once and nothing else, which no turn can do without. Both by the clock and by what the processor did:
other programs slow the first, not the second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import history, turn_plot
from bench.clock import say, scratch, settle_disk
from bench.figures import Line, Part, Point, Sizes
from filesync.cli.daemon import Daemon
from filesync.exchange.heartbeats import EVERY_S
from filesync.protocol.identity import heartbeat_name
from filesync.scheduling import Bell

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

TURN_S_MAX = 1.0
#: A turn with ten times the history behind it may take so much longer, by the processor's time: noise.
GROWTH_MAX = 1.25
TURNS, LEFT_OUT = 12, 2
#: By the daemon's steady clock; so every fifth turn is a whole one (timetable: every 5 min).
BETWEEN_S = 60.0


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of idle turns, in the middle, by the clock and of the processor; and of the one that tells every peer how this site is."""

    wall: float
    processor: float
    telling: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.processor:.2f} s of the processor)"


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    peers, most = sizes.peers, max(sizes.past)
    by_history: dict[int, Turns] = {}
    for batches in sizes.past:
        with scratch(work) as folder:
            now = history.make_matriz(folder / history.ME, peers, batches)
            settle_disk()
            by_history[batches] = found = idle(folder / history.ME, now)
            say(f"  {peers:,} peers, {batches:,} batches: {found}")
            part.points.append(Point(turn_plot.BY_PAST, batches, found.wall))
            if batches == most:
                listing, command = bare(folder / history.ME), _command(folder / history.ME)
    _against_history(part, peers, by_history, listing, command)
    few = min(count for count in sizes.past if count)
    for sites in sizes.sites:
        if sites == peers:
            found = by_history[few]
        else:
            with scratch(work) as folder:
                now = history.make_matriz(folder / history.ME, sites, few)
                settle_disk()
                found = idle(folder / history.ME, now)
            say(f"  {sites:,} peers, {few:,} batches: {found}")
        part.points.append(Point(turn_plot.BY_SITES, sites, found.wall))
    return part


def _against_history(
    part: Part, peers: int, found: dict[int, Turns], listing: float, command: tuple[float, float]
) -> None:
    (few, most), beside = sorted(found)[-2:], f"bare: {2 * peers:,} folders listed once"
    for batches, turns in sorted(found.items()):
        goal, met = (f"≤ {TURN_S_MAX:g} s", turns.wall <= TURN_S_MAX) if batches == most else ("", None)
        what = f"idle turn of a daemon, {peers:,} peers, {batches:,} batches behind it"
        part.lines.append(Line("P10", what, str(turns), beside, f"{listing:.2f} s", None, goal, met))
    growth = found[most].processor / found[few].processor
    part.lines.append(
        Line(
            "P10", f"the same with {most // few} times the history, by the processor", f"{found[most].processor:.2f} s",
            f"{few:,} batches", f"{found[few].processor:.2f} s", growth, f"≤ {GROWTH_MAX:g} ×", growth <= GROWTH_MAX,
        )
    )  # fmt: skip
    wall, processor = command
    what = f"`filesync turn`, a process of its own, {peers:,} peers, {most:,} batches"
    part.lines.append(
        Line("P10", what, f"{wall:.2f} s ({processor:.2f} s of the processor)", beside, f"{listing:.2f} s")
    )
    what = f"the turn in which all {peers:,} peers are told how this site is (every 15 min; spread where they come for it)"
    part.lines.append(Line("P10", what, f"{found[most].telling:.1f} s", beside, f"{listing:.2f} s"))


def idle(root: Path, now: datetime) -> Turns:
    """Turns of a daemon in this process, one after the other."""
    bell = _Idle(root, now)
    daemon = Daemon(
        root, _Silence(), clock=lambda: bell.now, steady=lambda: bell.steady_s, bell=bell, events=False
    )
    daemon.run()
    idle_turns = bell.turns[LEFT_OUT:-1]
    return Turns(
        median(wall for wall, _ in idle_turns),
        median(processor for _, processor in idle_turns),
        bell.turns[-1][0],
    )


class _Idle(Bell):
    """Wakes the daemon as soon as it waits, so often, and takes the time in between. Before the last turn every peer has come for its heartbeat, long ago."""

    def __init__(self, root: Path, now: datetime) -> None:
        super().__init__()
        self.root = root
        self.now = now
        self.steady_s = 0.0
        self.turns: list[tuple[float, float]] = []
        self._began: tuple[float, float] | None = None

    def wait(self, seconds: float) -> None:
        del seconds
        if self._began is not None:
            wall, processor = self._began
            self.turns.append((time.perf_counter() - wall, time.process_time() - processor))
        if len(self.turns) == TURNS:
            self.stop()
            return
        if len(self.turns) == TURNS - 1:
            self.now += timedelta(seconds=EVERY_S)
            for outbox in (self.root / "outbox").iterdir():
                (outbox / heartbeat_name(history.ME)).unlink(missing_ok=True)
        self.steady_s += BETWEEN_S
        self.ring("inbox/")
        self._began = time.perf_counter(), time.process_time()


class _Silence:
    """A log that only mistakes end."""

    def __getattr__(self, level: str) -> Any:
        def line(event: str, **fields: object) -> None:
            if level == "error":
                raise AssertionError(f"{event}: {fields}")

        return line


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def bare(root: Path) -> float:
    """Seconds in which every inbox and outbox is listed."""
    folders = [f"{root}/{top}/{name}" for top in ("inbox", "outbox") for name in _names(root / top)]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        for folder in folders:
            with os.scandir(folder) as entries:
                for _entry in entries:
                    pass
        times.append(time.perf_counter() - started)
    return median(times)


def _command(root: Path) -> tuple[float, float]:
    """Seconds of a turn as a command, by the clock and of the processor: settings and keys are read, everything is imported."""
    times = []
    for _ in range(3):
        before, started = os.times(), time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "-c",
                "from filesync.cli import main; main()",
                "-C",
                str(root),
                "turn",
                "--json",
            ],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = os.times()
        processor = (
            after.children_user + after.children_system - before.children_user - before.children_system
        )
        times.append((time.perf_counter() - started, processor))
    return median(wall for wall, _ in times), median(processor for _, processor in times)
