"""A station that runs by itself: watchers wake it, the plan says when it is due, the journal says what came of it.

- The site's lock is held only during a turn: people's commands work beside the daemon. A lock of its own keeps a second daemon away.
- What fails is said, written down with its next try (`run/links.json`), and tried again: a link by itself, a turn that fails as a whole
  (another command works here, the disk is full) as a whole. A mistake in one part never stops the others.
- `stop` ends a turn at its next step. Whatever was under way is as after a power cut: the next turn finishes it.
- After a turn the routine of the day has its turn (day/routine.py): gates open on evidence, automatic steps run, and the journal says so.
- Once a day what `[retention]` lets go is removed (day/purging.py), a day of it after each turn, so that no turn waits for it.
- Changed settings are taken up before the next turn; those that cannot be understood are reported, and the old ones stay.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from filesync import config
from filesync.cli import lookouts
from filesync.cli.journal import Journal
from filesync.contracts import Registry
from filesync.day import runners  # noqa: F401 -- the routine runs what the runners' modules bring
from filesync.day.portal import confirm
from filesync.day.purging import DailyPurge
from filesync.day.report import stale_among
from filesync.day.routine import run_due
from filesync.day.waiting import again_s
from filesync.errors import FilesyncError
from filesync.exchange.context import free_bytes, system_clock
from filesync.exchange.links import LinkTrouble, read_troubles, write_troubles
from filesync.exchange.lock import DAEMON_LOCK, SiteLock
from filesync.exchange.own_store import bring_forward
from filesync.exchange.reports import ImportReport, Progress, TurnReport
from filesync.exchange.station import Station
from filesync.protocol.identity import BatchName
from filesync.scheduling import Bell, Due, Link, Moment, Outcome, Plan, Reason, Trouble, run
from filesync.sources.completeness import Completeness, Sign
from filesync.timetable import parse_duration, parse_schedule
from filesync.watchers import Watcher
from filesync.watchers.folder import FolderWatcher

#: Where a source says nothing, a dropped file is left alone until it was quiet for so long.
UNSAID = Completeness(Sign.QUIET, 2.0)
#: How soon a disk without room is looked at again.
DISK_AGAIN_S = 30.0
#: How soon what a step of the day sealed leaves, and the step after it is looked at.
AFTER_STEP_S = 1.0
_RUNNING = "running: filesync run works for this site already: {who} holds {name} in {folder}"

Stamps = dict[str, tuple[int, int]]


class Stopped(BaseException):
    """Raised out of a turn that was asked to stop."""


class Daemon:
    """`filesync run` without its signals. Clock, dice and disk can be replaced; without `events` every event is lost."""

    def __init__(
        self,
        root: Path,
        log: Any,
        *,
        clock: Callable[[], datetime] = system_clock,
        steady: Callable[[], float] = time.monotonic,
        bell: Bell | None = None,
        contracts: Registry | None = None,
        random: Random | None = None,
        free: Callable[[Path], int] = free_bytes,
        events: bool = True,
    ) -> None:
        self.bell = bell or Bell()
        self.turns = 0
        self._root = root
        self._log = log
        self._clock = clock
        self._steady = steady
        self._contracts = contracts
        self._free = free
        self._events = events
        self._journal = Journal(log)
        self._plan = Plan({}, random=random or Random())  # noqa: S311 -- it spreads retries and guards nothing
        self._station: Station
        self._watchers: list[Watcher] = []
        self._stamps: Stamps = {}
        self._blind: dict[str, str] = {}
        self._day_failed = ""
        self._purging = DailyPurge()
        self._written: dict[str, LinkTrouble] = {}

    def stop(self) -> None:
        """End soon, cleanly. May be called from a signal, or from another thread."""
        self.bell.stop()

    def run(self) -> None:
        """Until stopped. Raises ConfigError where the site cannot be opened, or is run already."""
        if not (self._root / config.FILE_NAME).exists():
            config.load(self._root)  # says so; a lock in a folder that is no site would only confuse
        with SiteLock(self._root / DAEMON_LOCK, 0.0, _RUNNING).held(), ExitStack() as stack:
            self._bring_forward()
            self._open()
            stack.callback(self._close)
            self._remember()
            self._log.info("started", pid=os.getpid(), links=len(self._plan.links))
            with suppress(Stopped):
                run(
                    self._plan, self.bell, now=self._now, waiting=self._waiting, turn=self._turn, after=self._write_down
                )  # fmt: skip
            self._write_down(self._plan, running=False)
            self._log.info("stopped", turns=self.turns)

    # ---------------------------------------------------------------- a turn

    def _turn(self, due: Due) -> Outcome:
        started = time.monotonic()
        self._take_up_settings()
        if Reason.RESCAN in due.reasons:
            self._refresh()
        skipped = self._station.context.settings.peers.keys() - due.links
        try:
            report = self._station.turn(skip_links=skipped, whole=due.whole, crashed=self._crashed)
        except (FilesyncError, OSError) as err:
            code = err.code if isinstance(err, FilesyncError) else type(err).__name__
            self._log.warning("turn-failed", code=code, reason=str(err))
            return Outcome(failed=str(err))
        except Exception as err:
            self._crashed("turn", err)
            return Outcome(failed=f"{type(err).__name__}: {err}")
        self.turns += 1
        self._journal.turn(due, report, time.monotonic() - started)
        if self._day(report.imported):
            report.look_again(AFTER_STEP_S)
        report.look_again(again_s(self._station))
        if self._purge():
            report.look_again(AFTER_STEP_S)
        return _outcome(report)

    def _day(self, imported: ImportReport) -> bool:
        """Open the gates that can be opened now and run what follows by itself; whether anything happened.

        After the turn, and apart from it: what a step of the day cannot do keeps no batch back.
        """
        try:
            confirmed = confirm(self._station, imported.settled)
            happened = self._journal.day([*confirmed, *run_due(self._station, self._clock())])
            days = {BatchName.parse(batch.name).business_date for batch in imported.applied}
            self._journal.stale(stale_among(self._station.context, days))
        except FilesyncError as err:
            if self._day_failed != err.message:  # said once; it is tried again at every turn
                self._log.warning("day-failed", code=err.code, reason=err.message)
            self._day_failed = err.message
        except Exception as err:
            self._crashed("day", err)
        else:
            self._day_failed = ""
            return happened
        return False

    def _purge(self) -> bool:
        """Remove a day's files of what `[retention]` lets go; whether there may be more."""
        try:
            found = self._purging.step(self._station, self._clock())
        except FilesyncError as err:
            self._log.warning("purge-failed", code=err.code, reason=err.message)
        except Exception as err:
            self._crashed("purge", err)
        else:
            if found is not None:
                self._journal.purged(found)
            return found is not None
        return False

    def _crashed(self, part: str, error: Exception) -> None:
        if isinstance(error, OSError):  # the disk, a permission: no mistake of ours
            self._log.error("failed", part=part, code=type(error).__name__, reason=str(error))
        else:
            self._log.error("mistake", part=part, reason=f"{type(error).__name__}: {error}", exc_info=error)

    def _observe(self, _: Progress) -> None:
        """Between two steps of a turn: the place to end it."""
        if self.bell.stopped:
            raise Stopped

    # ---------------------------------------------------------------- what the plan asks and tells

    def _now(self) -> Moment:
        return Moment(self._steady(), self._clock())

    def _waiting(self) -> Collection[str]:
        """Links that cost something to use, for which something lies in the outbox."""
        folders = self._station.context.folders
        far = [name for name, link in self._plan.links.items() if not link.near]
        return [name for name in far if _any_of_ours(folders.outbox(name))]

    def _write_down(self, plan: Plan, *, running: bool = True) -> None:
        known = {name: _note(trouble, running=running) for name, trouble in plan.troubles.items()}
        if known == self._written:
            return
        if running:
            for name, trouble in known.items():
                if name not in self._written or self._written[name].failures != trouble.failures:
                    self._log.warning(
                        "unreachable", peer=name, reason=trouble.why, since=trouble.since, failures=trouble.failures,
                        next_try=trouble.next_at,
                    )  # fmt: skip
        try:
            write_troubles(self._root, known)
        except OSError as err:  # a note for people; the disk being full is said by the turn
            self._log.warning("note-unwritten", reason=str(err))
        self._written = known

    def _remember(self) -> None:
        """Links that did not work when the last daemon ended have not worked since then."""
        self._written = read_troubles(self._root)
        for name, known in self._written.items():
            if name in self._plan.links:
                since = datetime.fromisoformat(known.since)
                self._plan.troubles[name] = Trouble(since, known.failures, known.why, self._clock(), 0.0)

    # ---------------------------------------------------------------- the site as it is configured

    def _bring_forward(self) -> None:
        """After an upgrade, before anything is asked of the store."""
        done = bring_forward(config.load(self._root))
        if done.changed:
            kept = {} if done.backup is None else {"backup": str(done.backup)}
            self._log.warning(
                "store-migrated", store=done.store, before=done.before, after=done.after, **kept
            )

    def _open(self) -> None:
        stamps = _stamps(self._root, ())
        station = Station.open(
            self._root, contracts=self._contracts, clock=self._clock, observe=self._observe
        )
        stamps = _stamps(self._root, _own(station)) | stamps
        station.context = replace(station.context, free_bytes=self._free)
        station.dropped.unsaid = UNSAID
        self._station, self._stamps = station, stamps
        ctx = station.context
        self._plan.settings(
            {
                name: Link(lookouts.is_near(ctx, name), peer.open_windows())
                for name, peer in ctx.settings.peers.items()
                if peer.link is not None
            },
            exchange=parse_schedule(ctx.settings.schedule.exchange),
            close=parse_schedule(ctx.settings.schedule.close),
            rescan_s=parse_duration(ctx.settings.schedule.rescan),
        )
        self._watchers = lookouts.post(ctx, self.bell.ring) if self._events else []
        for watcher in self._watchers:
            watcher.start()
        self._say_blind()

    def _close(self) -> None:
        for watcher in self._watchers:
            watcher.stop()
        self._station.close()

    def _take_up_settings(self) -> None:
        stamps = _stamps(self._root, _own(self._station))
        if stamps == self._stamps:
            return
        old_station, old_watchers = self._station, self._watchers
        try:
            self._open()
        except FilesyncError as err:
            self._stamps = stamps  # say it once, and look again when somebody has changed something
            self._log.error("settings-not-understood", code=err.code, reason=err.message)
            return
        for watcher in old_watchers:
            watcher.stop()
        old_station.close()
        self._purging = DailyPurge()
        self._log.info("settings-taken-up")

    def _refresh(self) -> None:
        for watcher in self._watchers:
            watcher.refresh()
        self._say_blind()

    def _say_blind(self) -> None:
        """Places that the system cannot watch are no failure: they are polled, or found by the rescan."""
        blind: dict[str, str] = {}
        for watcher in self._watchers:
            if isinstance(watcher, FolderWatcher):
                blind |= watcher.blind
        for place in blind.keys() - self._blind.keys():
            self._log.info("not-watched", place=place, reason=blind[place])
        self._blind = blind


def _outcome(report: TurnReport) -> Outcome:
    exchange = report.exchange
    if exchange.disk_low:
        report.look_again(DISK_AGAIN_S)
    reached = (exchange.shipped.keys() | exchange.fetched.keys()) - exchange.unreachable.keys()
    return Outcome(reached, exchange.unreachable, report.quiet, report.look_again_s)


def _note(trouble: Trouble, *, running: bool) -> LinkTrouble:
    next_at = trouble.next_at.isoformat(timespec="seconds") if running else None
    return LinkTrouble(trouble.since.isoformat(timespec="seconds"), trouble.failures, trouble.why, next_at)


def _any_of_ours(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(lookouts.ENDS) for entry in entries)
    except FileNotFoundError:
        return False


def _own(station: Station) -> list[str]:
    """The files of the user's own statements, which are settings like any other."""
    return [statements.source for statements in station.context.settings.apply.values()]


def _stamps(root: Path, own: Iterable[str]) -> Stamps:
    """The files that decide how the site is opened, as they are now."""
    found: Stamps = {}
    _stamp_below(str(root / "keys"), found)
    for path in (root / config.FILE_NAME, *(root / "schemas").glob("*.json"), *(root / name for name in own)):
        with suppress(FileNotFoundError):
            if path.is_file():
                stat = path.stat()
                found[str(path)] = (stat.st_size, stat.st_mtime_ns)
    return found


def _stamp_below(folder: str, found: Stamps) -> None:
    """The files below a folder. Looked at before every turn, and there is a key for each peer."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    _stamp_below(entry.path, found)
                elif entry.is_file():
                    stat = entry.stat()
                    found[entry.path] = (stat.st_size, stat.st_mtime_ns)
