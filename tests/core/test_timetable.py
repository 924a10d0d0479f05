"""The words in which people say when."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.timetable import (
    Daily,
    due,
    is_open,
    opens_at,
    parse_duration,
    parse_schedule,
    parse_window,
)

BRT = timezone(timedelta(hours=-3))
MONDAY = datetime(2026, 3, 2, 18, 30, tzinfo=BRT)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("every 5 min", datetime(2026, 3, 2, 18, 35, tzinfo=BRT)),
        ("every 90s", datetime(2026, 3, 2, 18, 31, 30, tzinfo=BRT)),
        ("Every 2 hours", datetime(2026, 3, 2, 20, 30, tzinfo=BRT)),
        ("daily 22:30", datetime(2026, 3, 2, 22, 30, tzinfo=BRT)),
        ("daily 18:30", datetime(2026, 3, 3, 18, 30, tzinfo=BRT)),
        ("daily 12:00, 22:30", datetime(2026, 3, 2, 22, 30, tzinfo=BRT)),
        ("daily 6:05,12:00", datetime(2026, 3, 3, 6, 5, tzinfo=BRT)),
        ("30 22 * * mon-sat", datetime(2026, 3, 2, 22, 30, tzinfo=BRT)),
        ("cron 0 7 * * sun", datetime(2026, 3, 8, 7, 0, tzinfo=BRT)),
        ("*/10 8-20 * * mon,wed", datetime(2026, 3, 2, 18, 40, tzinfo=BRT)),
        ("0 6 1 * *", datetime(2026, 4, 1, 6, 0, tzinfo=BRT)),
        ("off", None),
    ],
)
def test_the_next_time(text: str, after: datetime | None) -> None:
    assert parse_schedule(text).after(MONDAY) == after


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "expected"),
        ("every", "expected a time"),
        ("every day", "expected a time"),
        ("every 5", "expected a time"),
        ("every -5 min", "expected a time"),
        ("every 0 s", "once a second"),
        ("daily", "time of day"),
        ("daily 25:00", "time of day"),
        ("daily 22:30,", "time of day"),
        ("30 22 * * 1-5", "named"),
        ("30 22 * * 0", "named"),
        ("30 22 * * segunda", "cron line"),
        ("99 22 * * mon", "cron line"),
        ("30 22 * *", "expected"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_expected(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_schedule(text)


def test_a_missed_time_is_due_once() -> None:
    close = parse_schedule("daily 22:30")
    assert not due(close, MONDAY, MONDAY + timedelta(hours=3, minutes=59))
    assert due(close, MONDAY, MONDAY + timedelta(hours=4))
    woken = MONDAY + timedelta(days=9)
    assert due(close, MONDAY, woken)
    assert not due(close, woken, woken + timedelta(minutes=1))


def test_summer_time_moves_the_wall_clock_with_it() -> None:
    close = parse_schedule("daily 22:30")
    summer = timezone(timedelta(hours=-2))
    assert not due(close, MONDAY, datetime(2026, 3, 2, 22, 29, tzinfo=summer))
    assert due(close, MONDAY, datetime(2026, 3, 2, 22, 30, tzinfo=summer))


@given(
    st.lists(st.times().map(lambda t: t.replace(second=0, microsecond=0)), min_size=1, max_size=4),
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)),
)
def test_a_daily_time_is_later_and_within_a_day(times: list[object], naive: datetime) -> None:
    moment = naive.replace(tzinfo=BRT)
    at = Daily(tuple(times)).after(moment)  # type: ignore[arg-type]
    assert moment < at <= moment + timedelta(days=1)
    assert at.time() in times


@pytest.mark.parametrize(
    ("windows", "hour", "open_", "opens"),
    [
        ([], 12, True, None),
        (["22:00-06:00"], 23, True, (3, 22)),
        (["22:00-06:00"], 5, True, (2, 22)),
        (["22:00-06:00"], 6, False, (2, 22)),
        (["22:00-06:00"], 12, False, (2, 22)),
        (["12:00-13:00", "22:00-24:00"], 12, True, (2, 22)),
        (["12:00-13:00", "22:00-24:00"], 13, False, (2, 22)),
        (["00:00-24:00"], 7, True, (3, 0)),
    ],
)
def test_windows(windows: list[str], hour: int, open_: bool, opens: tuple[int, int] | None) -> None:
    parsed = [parse_window(text) for text in windows]
    moment = MONDAY.replace(hour=hour, minute=0)
    assert is_open(parsed, moment) is open_
    if opens is not None:
        assert opens_at(parsed, moment) == datetime(2026, 3, *opens, tzinfo=BRT)


@pytest.mark.parametrize("text", ["22:00", "22-06", "22:00-", "-06:00", "24:00-06:00", "a-b"])
def test_a_window_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_window(text)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("5 s", "1.5min", "2 h")] == [5, 90, 7200]
    with pytest.raises(ValueError, match="expected a time"):
        parse_duration("soon")
