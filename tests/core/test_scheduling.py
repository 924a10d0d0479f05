"""When to turn: a clock that moves when told, and a station that is only pretended."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.scheduling import (
    IDLE_TURNS,
    RETRY_MAX_S,
    WAIT_MAX_S,
    Backoff,
    Bell,
    Due,
    Link,
    Moment,
    Outcome,
    Plan,
    Reason,
    run,
)
from filesync.timetable import Never, parse_schedule, parse_window

if TYPE_CHECKING:
    from collections.abc import Callable

BRT = timezone(timedelta(hours=-3))
START = datetime(2026, 3, 2, 18, 30, tzinfo=BRT)
WORKED = Outcome(quiet=False)


@dataclass
class FakeTime:
    """A clock, and a bell whose waiting moves it. `events`: (after how many seconds, the place that is said)."""

    events: list[tuple[float, str]] = field(default_factory=list)
    until_s: float = 3600.0
    steady_s: float = 0.0
    set_back: timedelta = timedelta()

    def now(self) -> Moment:
        return Moment(self.steady_s, START + timedelta(seconds=self.steady_s) + self.set_back)

    @property
    def stopped(self) -> bool:
        return self.steady_s >= self.until_s

    def take(self) -> frozenset[str]:
        said = frozenset(place for at, place in self.events if at <= self.steady_s)
        self.events = [(at, place) for at, place in self.events if at > self.steady_s]
        return said

    def wait(self, seconds: float) -> None:
        assert seconds > 0, "a wait of nothing is a loop that never rests"
        end = min([self.steady_s + seconds, *(at for at, _ in self.events)])
        self.steady_s = max(self.steady_s, end)


@dataclass
class Station:
    """Answers turns, and remembers them."""

    time: FakeTime
    answer: Callable[[Due], Outcome] = lambda _: WORKED
    took_s: float = 0.0
    turns: list[tuple[float, Due]] = field(default_factory=list)

    def turn(self, due: Due) -> Outcome:
        self.turns.append((round(self.time.steady_s, 3), due))
        self.time.steady_s += self.took_s
        return self.answer(due)

    def run(self, plan: Plan, waiting: Callable[[], frozenset[str]] = frozenset) -> list[tuple[float, Due]]:
        run(plan, self.time, now=self.time.now, waiting=waiting, turn=self.turn)
        return self.turns

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.turns]


def plan(links: dict[str, Link] | None = None, **more: object) -> Plan:
    return Plan(links or {}, random=Random(7), **more)  # type: ignore[arg-type]


def test_it_begins_with_a_whole_turn_and_rescans_without_any_event() -> None:
    station = Station(FakeTime(until_s=901))
    station.run(plan(exchange=Never(), rescan_s=300))
    assert station.times == [0, 300, 600, 900]
    assert [due.reasons for _, due in station.turns] == [{Reason.START}] + 3 * [{Reason.RESCAN}]
    assert all(due.whole for _, due in station.turns)


def test_a_wake_up_is_answered_at_once_and_many_are_one_turn() -> None:
    time = FakeTime(
        events=[(10.0, "inbox/"), (10.0, "outbox/"), (10.5, "inbox/"), (10.7, "inbox/")], until_s=20
    )
    station = Station(time, took_s=1.0)
    station.run(plan())
    assert station.times == [0, 10, 11], "those during the turn are one more turn"
    assert not station.turns[1][1].whole


def test_schedules() -> None:
    station = Station(FakeTime(until_s=5 * 3600))
    station.run(plan(exchange=parse_schedule("every 1 h"), close=parse_schedule("daily 22:30"), rescan_s=9e9))
    assert [(at, set(due.reasons)) for at, due in station.turns] == [
        (0, {Reason.START}),
        (3600, {Reason.EXCHANGE}),
        (7200, {Reason.EXCHANGE}),
        (10800, {Reason.EXCHANGE}),
        (14400, {Reason.EXCHANGE, Reason.CLOSE}),
    ]


def test_a_clock_set_back_neither_stops_nor_repeats_a_daily_time() -> None:
    time = FakeTime(until_s=3 * 86400)
    station = Station(time)

    def answer(due: Due) -> Outcome:
        if Reason.CLOSE in due.reasons and time.set_back == timedelta():
            time.set_back = timedelta(days=-400)
        return WORKED

    station.answer = answer
    station.run(plan(exchange=Never(), close=parse_schedule("daily 22:30"), rescan_s=9e9))
    closes = [at for at, due in station.turns if Reason.CLOSE in due.reasons]
    assert closes == [4 * 3600, 28 * 3600, 52 * 3600]


def test_a_far_link_is_used_when_there_is_a_reason() -> None:
    links = {"near": Link(), "far": Link(near=False), "idle": Link(near=False)}
    time = FakeTime(events=[(10, "inbox/"), (20, "far"), (30, "outbox/")], until_s=40)
    station = Station(time)
    station.run(plan(links), waiting=lambda: frozenset({"far"} if time.steady_s >= 30 else ()))
    assert [set(due.links) for _, due in station.turns] == [
        {"near", "far", "idle"},
        {"near"},
        {"near", "far"},
        {"near", "far"},
    ]


def test_a_link_that_fails_is_left_alone_longer_and_longer_while_the_others_go_on() -> None:
    links = {"matriz": Link(), "portal": Link()}
    time = FakeTime(until_s=4 * 3600)
    station = Station(time)
    up_s = 2 * 3600

    def answer(due: Due) -> Outcome:
        if "matriz" not in due.links:
            return Outcome(reached=due.links)
        if time.steady_s < up_s:
            return Outcome(reached={"portal"} & due.links, unreachable={"matriz": "no route to host"})
        return Outcome(reached=due.links)

    station.answer = answer
    schedule = plan(links, exchange=parse_schedule("every 5 min"))
    station.run(schedule)
    tries = [at for at, due in station.turns if "matriz" in due.links and at < up_s]
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 2.5 <= pauses[0] <= 5
    assert pauses[-1] > 400
    assert all(pause <= RETRY_MAX_S + 0.001 for pause in pauses)
    assert len(tries) < 20
    assert len([due for _, due in station.turns if "portal" in due.links]) > 40
    assert schedule.troubles == {}, "it is forgotten when the link works again"
    recovered = min(at for at, due in station.turns if "matriz" in due.links and at >= up_s)
    assert recovered <= up_s + RETRY_MAX_S


def test_trouble_says_since_when_how_often_why_and_when_next() -> None:
    backoff = Backoff(Random(1))
    first = backoff.after(None, "refused", Moment(0, START))
    second = backoff.after(first, "timed out", Moment(60, START + timedelta(seconds=60)))
    assert (second.since, second.failures, second.why) == (START, 2, "timed out")
    assert timedelta(seconds=5) <= second.next_at - START - timedelta(seconds=60) <= timedelta(seconds=10)
    assert second.next_steady_s == pytest.approx((second.next_at - START).total_seconds())


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_a_pause_is_bounded_and_the_same_seed_gives_the_same(failures: int, seed: int) -> None:
    pause = Backoff(Random(seed)).pause_s(failures)
    assert 2.5 <= pause <= RETRY_MAX_S
    assert pause == Backoff(Random(seed)).pause_s(failures)


def test_a_wake_up_from_a_link_in_trouble_tries_it_at_once() -> None:
    time = FakeTime(events=[(2.0, "matriz")], until_s=2.1)
    station = Station(time, lambda _: Outcome(unreachable={"matriz": "gone"}))
    station.run(plan({"matriz": Link(near=False)}))
    assert [(at, set(due.links)) for at, due in station.turns] == [(0, {"matriz"}), (2, {"matriz"})]


def test_a_link_waits_for_its_window_and_goes_when_it_opens() -> None:
    links = {"portal": Link(near=False, windows=(parse_window("22:00-06:00"),))}
    station = Station(FakeTime(until_s=13 * 3600))
    station.run(plan(links, exchange=parse_schedule("every 1 h"), rescan_s=9e9))
    used = [at / 3600 for at, due in station.turns if "portal" in due.links]
    assert used[0] == 3.5, "22:00"
    assert used[-1] == 11, "18:30 + 11 h is 5:30, the last hour inside"
    assert Reason.WINDOW in next(due for at, due in station.turns if at == 3.5 * 3600).reasons


def test_a_turn_that_fails_is_made_again_and_nothing_is_forgotten() -> None:
    time = FakeTime(events=[(10.0, "drop/")], until_s=400)
    station = Station(time)
    station.answer = lambda _: (
        Outcome(failed="another filesync works here") if 10 <= time.steady_s < 60 else WORKED
    )
    schedule = plan(exchange=Never())
    station.run(schedule)
    assert station.times[:2] == [0, 10]
    again = [at for at in station.times if 10 < at < 200]
    assert 3 <= len(again) <= 8
    assert any(at >= 60 for at in again), "the last one, after the trouble was over"
    assert all(due.reasons >= {Reason.RETRY} for at, due in station.turns if 10 < at < 200)
    assert schedule.trouble is None


def test_what_the_last_turn_left_for_soon() -> None:
    station = Station(FakeTime(until_s=20))
    station.answer = lambda _: Outcome(look_again_s=2.5 if len(station.turns) == 1 else None)
    station.run(plan())
    assert [(at, set(due.reasons)) for at, due in station.turns] == [
        (0, {Reason.START}),
        (2.5, {Reason.UNFINISHED}),
    ]


def test_a_file_that_is_touched_without_end_does_not_keep_the_station_busy() -> None:
    time = FakeTime(events=[(1 + n / 100, "drop/") for n in range(6000)], until_s=60)
    station = Station(time, lambda _: Outcome(quiet=True), took_s=0.01)
    station.run(plan())
    assert len(station.turns) < 60, "instead of three thousand"
    assert len(station.turns) > IDLE_TURNS + 20


@given(
    st.lists(st.tuples(st.floats(0, 3000), st.sampled_from(["inbox/", "matriz"])), max_size=40),
    st.lists(st.booleans(), min_size=1, max_size=20),
    st.booleans(),
)
def test_whatever_happens_it_rests_and_rescans(
    events: list[tuple[float, str]], fails: list[bool], windowed: bool
) -> None:
    time = FakeTime(events=sorted(events), until_s=7200)
    link = Link(near=False, windows=(parse_window("19:00-19:30"),) if windowed else ())
    station = Station(time)

    def answer(due: Due) -> Outcome:
        if fails[len(station.turns) % len(fails)]:
            return Outcome(unreachable=dict.fromkeys(due.links, "down"))
        return Outcome(reached=due.links)

    station.answer = answer
    station.run(plan({"matriz": link}))
    whole = [0.0] + [at for at, due in station.turns if due.whole] + [7200.0]
    assert max(later - earlier for earlier, later in itertools.pairwise(whole)) <= 300 + WAIT_MAX_S
    assert len(station.turns) <= 40 + 24 + 200


def test_the_bell_wakes_and_stops() -> None:
    bell = Bell()
    bell.ring("inbox/")
    bell.ring("inbox/")
    bell.wait(3600)
    assert bell.take() == {"inbox/"}
    assert bell.take() == frozenset()
    bell.wait(0)
    rung = threading.Thread(target=bell.ring, args=("drop/",))
    rung.start()
    bell.wait(3600)
    rung.join()
    assert bell.take() == {"drop/"}
    bell.stop()
    bell.wait(3600)
    assert bell.stopped


def test_a_mistake_in_the_turn_ends_the_loop() -> None:
    def broken(_: Due) -> Outcome:
        raise ZeroDivisionError

    time = FakeTime()
    with pytest.raises(ZeroDivisionError):
        run(plan(), time, now=time.now, waiting=frozenset, turn=broken)
