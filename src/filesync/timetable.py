"""The words in which people say when: `every 5 min`, `daily 22:30`, `30 22 * * mon-sat`, `22:00-06:00`, `5 s`. Pure.

- `every N s|min|h` counts from the last time. `daily HH:MM[, HH:MM ...]` and cron lines follow the wall clock of the place.
- Cron weekdays are names: their numbers mean different days to different programs (0 is Sunday to cron, Monday to APScheduler).
- A wall time that came and went while nothing ran is due once when it runs again, not once for every time it was missed.

What is not here: what happens at those times, and who waits for them (scheduling.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
}  # fmt: skip
_FORMS = 'expected "every 5 min", "daily 22:30", a cron line such as "30 22 * * mon-sat", or "off"'
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again, counted from the last time."""

    period_s: float

    def after(self, moment: datetime) -> datetime:
        """The first time after `moment`, which is the last one."""
        return moment + timedelta(seconds=self.period_s)


@dataclass(frozen=True, slots=True)
class Daily:
    """At these wall times, every day."""

    times: tuple[time, ...]

    def after(self, moment: datetime) -> datetime:
        """The first such time after `moment`."""
        days = (moment + n * _DAY for n in (0, 1))
        return min(
            at for day in days for t in self.times if (at := _at(day, t)) > moment
        )  # tomorrow's are after every moment of today


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line: minute, hour, day of month, month, weekday (by name)."""

    line: str

    def after(self, moment: datetime) -> datetime | None:
        """The first such time after `moment`; None for a line that never comes (30 feb)."""
        from apscheduler.triggers.cron import CronTrigger  # only a site with a cron line needs it

        trigger = CronTrigger.from_crontab(self.line, timezone=moment.tzinfo)
        found: datetime | None = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
        return found


@dataclass(frozen=True, slots=True)
class Never:
    """Switched off."""

    def after(self, moment: datetime) -> None:
        """Nothing comes."""


Schedule = Every | Daily | Cron | Never


def due(schedule: Schedule, last: datetime, now: datetime) -> bool:
    """Whether a time of `schedule` lies in (last, now]."""
    # In the offset of now: after a change to summer time 22:30 is the new 22:30.
    at = schedule.after(last.astimezone(now.tzinfo))
    return at is not None and at <= now


def parse_schedule(text: str) -> Schedule:
    """Raises ValueError saying what was expected."""
    words = text.strip().lower()
    if words in ("off", "never"):
        return Never()
    if words.startswith("every"):
        period_s = parse_duration(words.removeprefix("every"))
        if period_s < 1:
            raise ValueError(f"{text!r}: once a second is as often as it goes")
        return Every(period_s)
    if words.startswith("daily"):
        times = tuple(sorted({_time(part.strip()) for part in words.removeprefix("daily").split(",")}))
        return Daily(times)
    line = words.removeprefix("cron").strip()
    if len(line.split()) == 5:
        return _cron(line, text)
    raise ValueError(f"{text!r}: {_FORMS}")


def _cron(line: str, text: str) -> Cron:
    weekday = line.split()[4]
    if re.search(r"\d", weekday.split("/")[0].replace("#", "")) and weekday != "*":
        raise ValueError(
            f"{text!r}: weekdays are named, mon tue wed thu fri sat sun; a number means another day to every program"
        )
    from apscheduler.triggers.cron import CronTrigger  # as in Cron.after

    try:
        CronTrigger.from_crontab(line, timezone="UTC")
    except ValueError as err:
        raise ValueError(f"{text!r}: not a cron line (minute hour day month weekday): {err}") from err
    return Cron(line)


def parse_duration(text: str) -> float:
    """Seconds in `5 s`, `5 min`, `2 h`. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f'{text.strip()!r}: expected a time such as "5 s", "5 min" or "2 h"')
    return float(found[1]) * _UNITS[found[2]]


# ---------------------------------------------------------------- windows


@dataclass(frozen=True, slots=True)
class Window:
    """A part of every day, from `start` until before `end`; over midnight where `end` is not later."""

    start: time
    end: time

    def holds(self, moment: time) -> bool:
        """Whether a wall time lies in it."""
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end


def parse_window(text: str) -> Window:
    """`22:00-06:00`. Raises ValueError."""
    start, dash, end = text.partition("-")
    if not dash:
        raise ValueError(f'{text!r}: expected a part of the day such as "22:00-06:00"')
    return Window(_time(start.strip()), _time("00:00" if end.strip() == "24:00" else end.strip()))


def is_open(windows: Sequence[Window], moment: datetime) -> bool:
    """Whether a link may be used now; always, where no windows are set."""
    return not windows or any(window.holds(moment.time()) for window in windows)


def opens_at(windows: Sequence[Window], moment: datetime) -> datetime:
    """The next time that a window begins."""
    return Daily(tuple(window.start for window in windows)).after(moment)


def _at(day: datetime, t: time) -> datetime:
    return day.replace(hour=t.hour, minute=t.minute, second=0, microsecond=0)


def _time(text: str) -> time:
    found = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f'{text!r}: expected a time of day such as "22:30"')
    return time(int(found[1]), int(found[2]))
