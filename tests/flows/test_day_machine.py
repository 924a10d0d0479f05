"""The movement day against everything that happens in shops at once: two caixas, a posto behind a relay, the matriz and the portal, played at random.

A step is something that a person does, a line, a disk or a clock: sell, cancel, move to another day, export, close, close again, lose on the
way, damage, delete, hold back, resend, give up, override, set up a till anew, read the disk of the old one, file and file again what Correios bills, publish.
People do foolish things in any order; nobody writes into a database. What is asked for is done, or refused by name.

What must hold after every step, and what must come of it in the end: daychecks.py. The network and its model: dayworld.py, daytills.py.
What it found is told in test_found_days.py, each as a day of its own.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest
from daychecks import Checks
from daytills import DAYS, SHIFTS, TILLS
from dayworld import COMPLETE, ROADS, SITES, World
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from filesync.day import portal, reconciling, report, routine
from filesync.day.differences import differences

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

STEPS = ("importar_bdf", "conciliar", "exportar_portal")

tills = st.sampled_from(sorted(TILLS))
days = st.sampled_from(DAYS)
picks = st.integers(0, 10_000)
counted = st.sampled_from([None, 0, 10_000])


class DayMachine(RuleBasedStateMachine):
    """One network, some days long."""

    steps: ClassVar[list[int]] = [0]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.checks = Checks(self.world)

    @invariant()
    def always(self) -> None:
        self.steps[0] += 1
        self.checks.always()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.checks.heal()
                self.checks.the_end()
        finally:
            self.world.close()

    # ------------------------------------------------------------------------------------------------ at the counter

    @rule(site=tills, day=days, count=st.integers(1, 3))
    def sell(self, site: str, day: date, count: int) -> None:
        self.world.tills[site].sell(day, count)

    @rule(site=tills, pick=picks, how=st.sampled_from(["cancel", "move", "reprice"]))
    def change(self, site: str, pick: int, how: str) -> None:
        till = self.world.tills[site]
        sale = chosen([s for k, s in till.sales.items() if k not in till.wrong], pick)
        if sale is None:
            return
        if how == "cancel" and sale["situacao"] == "concluida":
            till.cancel(sale)
        elif how == "move":
            till.move(sale, DAYS[1] if sale["data_movimento"] == DAYS[0].isoformat() else DAYS[0])
        else:
            till.reprice(sale)

    @rule(site=tills, pick=picks)
    def spoil_or_repair(self, site: str, pick: int) -> None:
        """The program writes nonsense, and is corrected."""
        till = self.world.tills[site]
        if till.wrong:
            till.repair(till.sales[min(till.wrong)])
        elif (sale := chosen(list(till.sales.values()), pick)) is not None:
            till.spoil(sale)

    @rule(site=tills, day=st.sampled_from([None, *DAYS]), again=st.sampled_from([False, False, False, True]))
    def export(self, site: str, day: date | None, again: bool) -> None:
        self.world.export(site, day, again=again)

    @rule(site=tills, day=days, count=counted, turno=st.integers(1, 2), send=st.booleans())
    def close_day(self, site: str, day: date, count: int | None, turno: int, send: bool) -> None:
        done = self.world.shut(site, day, count, min(turno, SHIFTS.get(site, 1)), send=send)
        document = getattr(getattr(done, "closed", done), "document", None)
        if document is not None:
            self.checks.closed_what_was_sold(site, day, document)

    @rule(site=tills, day=days)
    def evening(self, site: str, day: date) -> None:
        """What is done where nothing goes wrong: every shift is closed, and sent."""
        for turno in range(1, SHIFTS.get(site, 1) + 1):
            self.close_day(site, day, 0, turno, send=turno == SHIFTS.get(site, 1))

    # ------------------------------------------------------------------------------------------------ on the road

    @rule(site=st.sampled_from(SITES))
    def turn(self, site: str) -> None:
        self.world.turn(site)

    @rule(order=st.permutations(SITES))
    def everybody_turns(self, order: list[str]) -> None:
        for site in order:
            self.world.turn(site)

    @rule(site=st.sampled_from(SITES), what=st.sampled_from(["exchange", "import"]))
    def half_a_turn(self, site: str, what: str) -> None:
        station = self.world[site]
        self.world.attempt(station.exchange if what == "exchange" else station.import_)
        self.world.look(site)

    @rule(road=st.sampled_from(sorted(ROADS)), up=st.booleans())
    def road(self, road: str, up: bool) -> None:
        self.world.link(road, up=up)

    @rule(pick=picks, what=st.sampled_from(["lose", "cut", "garble", "hold"]))
    def on_the_way(self, pick: int, what: str) -> None:
        path = chosen(self.world.on_the_way(), pick)
        if path is None:
            return
        if what == "lose":
            path.unlink()
        elif what == "hold":
            self.world.hold(path)
        else:
            self.world.damage(path, ("cut", "garble").index(what))

    @precondition(lambda self: self.world.limbo)
    @rule()
    def held_back_comes(self) -> None:
        self.world.let_go()

    @rule(pick=picks)
    def comes_twice(self, pick: int) -> None:
        if (path := chosen(self.world.archived(), pick)) is not None:
            self.world.come_twice(path)

    @rule(pick=picks)
    def a_person_deletes(self, pick: int) -> None:
        if (path := chosen(self.world.lying(), pick)) is not None:
            path.unlink()

    # ------------------------------------------------------------------------------------------------ what people do about it

    @rule(pick=picks, at_origin=st.booleans())
    def resend(self, pick: int, at_origin: bool) -> None:
        if at_origin:
            batch = chosen(
                [b for b in self.world.batches.values() if b.site in TILLS and not self.world.is_dead(b)],
                pick,
            )
            if batch is not None:
                self.world.attempt(lambda: self.world[batch.site].resend(batch.number[0], [batch.number[2]]))
        elif (hole := chosen(self.world["matriz"].context.store.holes.open(), pick)) is not None:
            self.world.attempt(lambda: self.world["matriz"].resend(str(hole.feed), epoch=hole.epoch))

    @rule(pick=picks)
    def void_at_origin(self, pick: int) -> None:
        batch = chosen(
            [b for b in self.world.batches.values() if b.site in TILLS and not self.world.is_dead(b)], pick
        )
        if batch is not None:
            self.world.origin_void(batch.site, batch.number[0], [batch.number[2]])

    @rule(pick=picks)
    def override_void(self, pick: int) -> None:
        batch = chosen([b for b in self.world.batches.values() if b.site in TILLS], pick)
        if batch is not None:
            feed, epoch, seq = batch.number
            self.world.override_void(feed, [seq], epoch)

    @rule(pick=picks)
    def as_advised(self, pick: int) -> None:
        """Somebody does one of the things that the gate asks for."""
        reason = chosen([r for day in DAYS for r in self.world.reasons(day)], pick)
        if reason is not None:
            self.world.follow(reason)

    @rule(site=st.sampled_from(["caixa-01", "caixa-02"]), survives=st.booleans())
    def replace_till(self, site: str, survives: bool) -> None:
        self.world.replace_till(site, data_survives=survives)

    @precondition(lambda self: self.world.broken)
    @rule(pick=picks)
    def read_old_disk(self, pick: int) -> None:
        broken = chosen(self.world.broken, pick)
        assert broken is not None
        self.world.read_old_disk(broken)

    @rule(site=st.sampled_from(SITES))
    def restart(self, site: str) -> None:
        self.world.reopen(site)

    @rule(minutes=st.sampled_from([1, 11, 61, 600, 1440, -90, -2000]))
    def time_passes(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule(site=st.sampled_from(SITES), hours=st.sampled_from([0, 0, 3, -3, 9_000, -9_000]))
    def clock_is_set(self, site: str, hours: int) -> None:
        self.world.away[site] = timedelta(hours=hours)

    # ------------------------------------------------------------------------------------------------ at the matriz

    @rule()
    def matriz_works(self) -> None:
        self.world.matriz_works()

    @rule(day=days)
    def receive(self, day: date) -> None:
        self.world.receive(day)

    @rule(dataset=st.sampled_from(["bdf", "ca"]), day=days, planted=st.integers(0, 2))
    def bill(self, dataset: str, day: date, planted: int) -> None:
        self.world.bill(dataset, day, planted)

    @rule(day=days)
    def reconcile(self, day: date) -> None:
        reconciling.reconcile(self.world["matriz"].context, day)

    @rule(day=days, undo=st.sampled_from([False, False, True]))
    def sara(self, day: date, undo: bool) -> None:
        ctx = self.world["matriz"].context
        if undo:
            self.world.attempt(lambda: routine.unmark(ctx, "exportar_sara", day, by="Rui"))
        else:
            self.world.attempt(lambda: routine.mark_done(ctx, "exportar_sara", day, by="Márcia"))

    @rule(day=days)
    def export_portal(self, day: date) -> None:
        self.world.attempt(lambda: portal.export_portal(self.world["matriz"], day))
        self.world.look("matriz")

    @rule(day=days, step=st.sampled_from([COMPLETE, *STEPS]), site=st.sampled_from([None, *TILLS]))
    def override_gate(self, day: date, step: str, site: str | None) -> None:
        ctx = self.world["matriz"].context
        routine.override(ctx, step, day, reason="sem luz", by="Ana", confirmed_by="Rui", site=site, hours=2)

    @rule(site=st.sampled_from(SITES), day=days)
    def look_around(self, site: str, day: date) -> None:
        self.world[site].status()
        if site in TILLS:
            differences(self.world[site].context, day, cash_centavos=0)
        elif site == "matriz":
            report.page(self.world[site].context, day)
            report.calendar(self.world[site].context, *DAYS)


def chosen(items: Sequence[T], pick: int) -> T | None:
    """One of these; None where there is none."""
    return items[pick % len(items)] if items else None


def play(number: int, examples: int, steps: int) -> int:
    """So many runs, the same each time for one number; how many steps that were. What fails is printed as it was played."""
    steps_made = [0]
    machine = seed(number)(type(f"DayMachine{number}", (DayMachine,), {"steps": steps_made}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return steps_made[0]


def test_a_day_in_which_anything_happens() -> None:
    assert play(0, examples=6, steps=25) >= 100


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 10))
def test_many_days_in_which_anything_happens(number: int) -> None:
    """More than 10,000 steps in all: a run may end before its fiftieth."""
    assert play(number, examples=25, steps=50) >= 1_100
