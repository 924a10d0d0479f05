"""When to turn: wake-ups, schedules, rescans, retries and transfer windows. A pure plan, and a thin loop that waits.

- A wake-up says where to look, never what is there; wake-ups that come together are one turn.
- Losing every wake-up costs latency, not data: after `rescan_s` without a whole turn everything is looked at afresh.
- Intervals and retries follow the monotonic clock; only wall times (`daily 22:30`, windows) follow the wall clock, which may jump.
- A link that failed is left alone for a while that grows with every failure and is spread at random, so that a hundred sites do not
  come back in the same second. The other links go on.
- A turn that fails as a whole (another command works here, the disk is full) is tried again in the same way.

Nothing here knows what a turn does: it is told (`Due`), and tells (`Outcome`).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from filesync.timetable import Every, Never, Schedule, Window, due, is_open, opens_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from random import Random

#: The first pause after a failure, and the longest.
RETRY_MIN_S, RETRY_MAX_S = 5.0, 900.0
#: Turns in a row that wake-ups asked for and that found nothing, before wake-ups are answered with a growing pause: a program that
#: touches a file without end must not keep the station busy.
IDLE_TURNS = 3
IDLE_PAUSE_MIN_S, IDLE_PAUSE_MAX_S = 0.05, 2.0
#: Unless the site says otherwise.
OFTEN, NEVER, RESCAN_S = Every(300), Never(), 300.0
#: No wait is longer: summer time, and clocks that are set, are noticed within it.
WAIT_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by both clocks: `steady_s` only ever goes on, `wall` is what people call it."""

    steady_s: float
    wall: datetime


class Reason(Enum):
    """Why a turn is due."""

    START = "start"
    WOKEN = "woken"
    EXCHANGE = "exchange"  # the schedule of that name
    CLOSE = "close"  # the schedule of that name
    RESCAN = "rescan"
    RETRY = "retry"  # a link may be tried again
    WINDOW = "window"  # a link's transfer window opened
    UNFINISHED = "unfinished"  # the last turn left something for soon: a file that was still being written


#: After these everything is looked at afresh: every link, every source, every dropped file.
WHOLE = frozenset({Reason.START, Reason.EXCHANGE, Reason.CLOSE, Reason.RESCAN})


@dataclass(frozen=True, slots=True)
class Due:
    """A turn to be made now. `links` are those to use; `whole` is whether unchanged files are read again and queries asked."""

    reasons: frozenset[Reason]
    links: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether everything is looked at afresh."""
        return bool(self.reasons & WHOLE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn tells the plan. `failed` is why the turn as a whole did not work; `look_again_s` is when something will be ready."""

    reached: Collection[str] = ()
    unreachable: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = True
    look_again_s: float | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that failed and is tried again: since when, how often, why, and when next."""

    since: datetime
    failures: int
    why: str
    next_at: datetime
    next_steady_s: float


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause after the n-th failure in a row: doubling, bounded, and between half and the whole of it at random."""

    random: Random
    min_s: float = RETRY_MIN_S
    max_s: float = RETRY_MAX_S

    def pause_s(self, failures: int) -> float:
        """Seconds until the next try."""
        whole = min(self.max_s, self.min_s * 2.0 ** min(failures - 1, 30))
        return whole * self.random.uniform(0.5, 1.0)

    def after(self, before: Trouble | None, why: str, now: Moment) -> Trouble:
        """One more failure."""
        failures = 1 if before is None else before.failures + 1
        pause_s = self.pause_s(failures)
        next_at = now.wall + timedelta(seconds=pause_s)
        since = now.wall if before is None else before.since
        return Trouble(since, failures, why, next_at, now.steady_s + pause_s)


@dataclass(frozen=True, slots=True)
class Link:
    """What the plan knows of a link. `near`: a folder, which costs nothing to look into; far ones are used when there is a reason to."""

    near: bool = True
    windows: tuple[Window, ...] = ()


class Plan:
    """What is due when. No clock, no thread, no file: everything is passed in."""

    def __init__(
        self,
        links: Mapping[str, Link],
        *,
        random: Random,
        exchange: Schedule = OFTEN,
        close: Schedule = NEVER,
        rescan_s: float = RESCAN_S,
    ) -> None:
        self.links: dict[str, Link] = {}
        self.troubles: dict[str, Trouble] = {}
        self.trouble: Trouble | None = None  # of the station as a whole
        self._backoff = Backoff(random)
        self._last: dict[Reason, Moment] = {}
        self._last_whole_s: float | None = None
        self._shut: frozenset[str] = frozenset()  # links whose window was closed at the last turn
        self._woken: set[str] = set()
        self._idle = 0
        self._idle_until_s = 0.0
        self._look_again_s: float | None = None
        self.settings(links, exchange=exchange, close=close, rescan_s=rescan_s)

    def settings(
        self, links: Mapping[str, Link], *, exchange: Schedule, close: Schedule, rescan_s: float
    ) -> None:
        """Other settings from now on; what was done and what failed stays known."""
        self.links = dict(links)
        self.troubles = {name: trouble for name, trouble in self.troubles.items() if name in links}
        self._schedules = {Reason.EXCHANGE: exchange, Reason.CLOSE: close}
        self._rescan_s = rescan_s

    def wake(self, places: Iterable[str]) -> None:
        """Somebody said: look there."""
        self._woken.update(places)

    def due(self, now: Moment, waiting: Callable[[], Collection[str]] = frozenset) -> Due | None:
        """The turn to make now, if any. `waiting` finds the links for which something lies in the outbox."""
        if self.trouble is not None and now.steady_s < self.trouble.next_steady_s:
            return None
        reasons = frozenset(self._reasons(now))
        if not reasons:
            return None
        usable = self._usable(now)
        if not reasons & WHOLE:
            asked = self._woken | self._shut | self.troubles.keys() | set(waiting())
            usable = frozenset(name for name in usable if self.links[name].near or name in asked)
        return Due(reasons, usable)

    def wait_s(self, now: Moment) -> float:
        """How long nothing will be due, unless somebody wakes us."""
        if self.trouble is not None and now.steady_s < self.trouble.next_steady_s:
            return min(WAIT_MAX_S, self.trouble.next_steady_s - now.steady_s)
        times = [WAIT_MAX_S]
        if self._last_whole_s is not None:
            times.append(self._last_whole_s + self._rescan_s - now.steady_s)
        for reason, schedule in self._schedules.items():
            times.append(self._schedule_wait_s(reason, schedule, now))
        if self._woken:
            times.append(self._idle_until_s - now.steady_s)
        if self._look_again_s is not None:
            times.append(self._look_again_s - now.steady_s)
        for name, link in self.links.items():
            if link.windows and not is_open(link.windows, now.wall):
                times.append((opens_at(link.windows, now.wall) - now.wall).total_seconds())
            elif name in self.troubles:
                times.append(self.troubles[name].next_steady_s - now.steady_s)
        return max(0.0, min(times))

    def done(self, made: Due, outcome: Outcome, now: Moment) -> None:
        """A turn was made. What woke it is forgotten only if it worked."""
        if outcome.failed is not None:
            self.trouble = self._backoff.after(self.trouble, outcome.failed, now)
            return
        self.trouble = None
        for reason in made.reasons | ({Reason.EXCHANGE} if Reason.START in made.reasons else set()):
            self._last[reason] = now
        if made.whole:
            self._last_whole_s = now.steady_s
        for name in outcome.reached:
            self.troubles.pop(name, None)
        for name, why in outcome.unreachable.items():
            self.troubles[name] = self._backoff.after(self.troubles.get(name), why, now)
        self._shut = frozenset(
            name for name, link in self.links.items() if not is_open(link.windows, now.wall)
        )
        self._look_again_s = None if outcome.look_again_s is None else now.steady_s + outcome.look_again_s
        self._idle = self._idle + 1 if outcome.quiet and made.reasons == {Reason.WOKEN} else 0
        pause_s = 0.0
        if self._idle >= IDLE_TURNS:
            pause_s = min(IDLE_PAUSE_MAX_S, IDLE_PAUSE_MIN_S * 2.0 ** min(self._idle - IDLE_TURNS, 10))
        self._idle_until_s = now.steady_s + pause_s

    def begin(self) -> None:
        """A turn begins: what wakes from now on asks for another one. Wake-ups of a turn that fails come again with its retry."""
        self._woken.clear()

    def _reasons(self, now: Moment) -> Iterable[Reason]:
        if self._last_whole_s is None:
            for reason in self._schedules:
                self._last.setdefault(reason, now)
            yield Reason.START
            return
        if self._woken and now.steady_s >= self._idle_until_s:
            yield Reason.WOKEN
        if now.steady_s >= self._last_whole_s + self._rescan_s:
            yield Reason.RESCAN
        for reason, schedule in self._schedules.items():
            if self._schedule_due(reason, schedule, now):
                yield reason
        if self.trouble is not None:
            yield Reason.RETRY
        usable = self._usable(now)
        if usable & self.troubles.keys():
            yield Reason.RETRY
        if usable & self._shut:
            yield Reason.WINDOW
        if self._look_again_s is not None and now.steady_s >= self._look_again_s:
            yield Reason.UNFINISHED

    def _schedule_due(self, reason: Reason, schedule: Schedule, now: Moment) -> bool:
        last = self._last[reason]
        if isinstance(schedule, Every):
            return now.steady_s >= last.steady_s + schedule.period_s
        if (
            last.wall > now.wall
        ):  # the clock was set back: from here on as it says now, and nothing is done twice
            last = self._last[reason] = now
        return due(schedule, last.wall, now.wall)

    def _schedule_wait_s(self, reason: Reason, schedule: Schedule, now: Moment) -> float:
        last = self._last.get(reason, now)
        if isinstance(schedule, Every):
            return last.steady_s + schedule.period_s - now.steady_s
        at = schedule.after(min(last.wall, now.wall))
        return WAIT_MAX_S if at is None else (at - now.wall).total_seconds()

    def _usable(self, now: Moment) -> frozenset[str]:
        return frozenset(
            name
            for name, link in self.links.items()
            if is_open(link.windows, now.wall)
            and (
                name not in self.troubles
                or name in self._woken  # whoever says that something lies there has just been there
                or now.steady_s >= self.troubles[name].next_steady_s
            )
        )


# ---------------------------------------------------------------- the loop


SLICE_S = 1.0


class Waiter(Protocol):
    """What the loop waits with: the `Bell`, or a test's clock that moves instead of waiting."""

    @property
    def stopped(self) -> bool:
        """Whether to end."""

    def take(self) -> frozenset[str]:
        """The places that were said since the last call."""

    def wait(self, seconds: float) -> None:
        """Return when somebody rings or stops, or the time is over."""


class Bell:
    """Rung by watchers from their threads, and by signals; the loop waits for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition(
            threading.RLock()
        )  # a signal may come while its own thread holds it
        self._places: set[str] = set()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether to end."""
        return self._stopped

    def ring(self, place: str) -> None:
        """Look there."""
        with self._changed:
            self._places.add(place)
            self._changed.notify_all()

    def stop(self) -> None:
        """End after the turn that runs."""
        self._stopped = True
        with self._changed:
            self._changed.notify_all()

    def take(self) -> frozenset[str]:
        """The places that were said since the last call."""
        with self._changed:
            found = frozenset(self._places)
            self._places.clear()
            return found

    def wait(self, seconds: float) -> None:
        """Return when somebody rings or stops, or the time is over."""
        end_s = time.monotonic() + seconds
        with self._changed:
            while not self._places and not self._stopped and (left_s := end_s - time.monotonic()) > 0:
                # In slices: a signal may come between the question above and the wait, and Windows defers Ctrl-C while one waits.
                self._changed.wait(min(left_s, SLICE_S))


def run(
    plan: Plan,
    bell: Waiter,
    *,
    now: Callable[[], Moment],
    waiting: Callable[[], Collection[str]],
    turn: Callable[[Due], Outcome],
    after: Callable[[Plan], None] = lambda _: None,
) -> None:
    """Turn whenever a turn is due, until the bell says stop. `turn` answers for its own failures; what it raises ends the loop.

    `after` is called after every turn, when the plan knows what came of it.
    """
    while not bell.stopped:
        plan.wake(bell.take())
        moment = now()
        next_turn = plan.due(moment, waiting)
        if next_turn is None:
            bell.wait(plan.wait_s(moment))
            continue
        plan.begin()
        plan.done(next_turn, turn(next_turn), now())
        after(plan)
