"""The page of a day and the calendar: they say what the gate says, and forget no override."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from network import DAY, Network, rows
from shopdays import MORNING_AFTER, Shop, open_shop

from filesync.day import gate, report, routine
from filesync.day.page import Colour, DayCell, DayPage, SiteState, StepState
from filesync.day.reconciling import reconcile
from filesync.day.standing import Ledger
from filesync.day.values import Open
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from filesync.day.values import Override

STEP = "receber_vendas_remotas"


@pytest.fixture
def shop(network: Network) -> Shop:
    return open_shop(network)


@pytest.fixture
def complete(shop: Shop) -> Shop:
    """Both shops sold, closed and sent; the matriz has it."""
    for site in ("caixa-01", "posto-centro"):
        shop.sell(site)
        shop.close(site)
    shop.turn()
    return shop


def page(shop: Shop, day: date = DAY) -> DayPage:
    return report.page(shop["matriz"].context, day)


def calendar(shop: Shop, first: date, last: date) -> dict[date, DayCell]:
    return {cell.day: cell for cell in report.calendar(shop["matriz"].context, first, last)}


def steps(shown: DayPage) -> dict[str, StepState]:
    return {line.step: line.state for line in shown.steps}


def override(shop: Shop, step: str = STEP, site: str | None = None) -> Override:
    return routine.override(
        shop["matriz"].context,
        step,
        DAY,
        reason="estrada interditada",
        by="Ana",
        confirmed_by="Bruno",
        site=site,
    )


# ------------------------------------------------------------------------------------------------ the page


def test_a_complete_day_is_green_and_its_money_is_what_was_sold(complete: Shop) -> None:
    shown = page(complete)
    held = rows(complete["matriz"])
    stood = [sale for sale in held if sale["situacao"] != "cancelada"]
    assert (shown.state, shown.complete) == (SiteState.COMPLETE, True)
    assert shown.money.total_centavos == sum(sale["total_centavos"] for sale in stood)
    assert shown.money.cancelled == len(held) - len(stood)
    paid: dict[str, int] = {}
    for sale in stood:
        for payment in sale["pagamentos"]:
            paid[payment["forma"]] = paid.get(payment["forma"], 0) + payment["valor_centavos"]
    assert dict(shown.money.forms) == paid
    for line in shown.sites:
        assert line.sales == line.closed_sales == sum(sale["origem"] == line.day.site for sale in held)
        assert line.total_centavos == line.closed_centavos


def test_the_page_says_what_the_gate_says(complete: Shop) -> None:
    override(complete, "conciliar")
    ctx = complete["matriz"].context
    judged = Ledger.read(ctx).judge(DAY)
    shown = page(complete)
    for line in shown.steps:
        decision = gate.decide(
            line.step,
            judged.standing,
            ctx.clock(),
            steps=ctx.settings.steps,
            here=ctx.me,
            verdicts=judged.verdicts,
        )
        assert (line.state is not StepState.CLOSED) == isinstance(decision, Open), line.step
    assert steps(shown)["importar_bdf"] is StepState.OPEN
    assert steps(shown)["conciliar"] is StepState.OVERRIDDEN
    assert steps(shown)["exportar_portal"] is StepState.CLOSED


def test_a_day_becomes_overdue_and_then_complete(shop: Shop) -> None:
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    assert page(shop).state is SiteState.OPEN
    shop.clock.advance(hours=11, minutes=29)  # 05:59
    assert page(shop).state is SiteState.OPEN
    shop.clock.advance(minutes=1)
    assert page(shop).state is SiteState.OVERDUE
    shop.drop("posto-centro", [], "nothing")
    shop.close("posto-centro", sem_movimento=True)
    shop.turn()
    assert page(shop).state is SiteState.COMPLETE


def test_when_a_day_is_overdue_can_be_said(shop: Shop) -> None:
    shop.network.configure("matriz", '[steps.receber_vendas_remotas]\nat = "D 20:00"\n')
    shop.network.reopen("matriz")
    assert page(shop).state is SiteState.OPEN
    shop.clock.advance(hours=2)
    assert page(shop).state is SiteState.OVERDUE


def test_something_late_is_yellow_and_the_done_step_says_that_its_gate_closed(complete: Shop) -> None:
    ctx = complete["matriz"].context
    routine.mark_done(ctx, "importar_bdf", DAY, by="Ana")
    complete.clock.advance(hours=14)
    forgotten = sales_of_day("posto-centro", Role.POSTO, DAY, count=1, seed=9)
    complete.send("posto-centro", forgotten, "forgotten")
    complete.turn()
    shown = page(complete)
    assert shown.state is SiteState.LATE
    assert shown.state.colour is Colour.YELLOW
    bdf = next(line for line in shown.steps if line.step == "importar_bdf")
    assert bdf.state is StepState.DONE
    assert bdf.done is not None
    assert bdf.done.by == "Ana"
    assert bdf.reasons, "done, and closed again since"
    complete.close("posto-centro")
    complete.turn()
    assert page(complete).state is SiteState.COMPLETE


def test_who_is_not_due_is_said_with_the_reason(shop: Shop) -> None:
    shown = page(shop, date(2026, 4, 21))
    assert shown.state is SiteState.NOT_DUE
    assert {(due.site, due.why, due.holiday) for due in shown.not_due} == {
        ("caixa-01", "holiday", "Tiradentes"),
        ("posto-centro", "holiday", "Tiradentes"),
    }
    assert not shown.complete


# ------------------------------------------------------------------------------------------------ marks


def test_an_override_stays_on_the_page_for_ever(shop: Shop) -> None:
    given = override(shop, site="posto-centro")
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    assert steps(page(shop))[STEP] is StepState.OVERRIDDEN
    assert not page(shop).complete
    shop.clock.advance(days=10)
    late = page(shop)
    assert steps(late)[STEP] is StepState.CLOSED, "it has ended"
    assert [kept.id for kept in late.overrides] == [given.id]
    assert [kept.id for line in late.steps for kept in line.overrides] == [given.id]
    routine.revoke(shop["matriz"].context, given.id, DAY, by="Ana")
    (kept,) = page(shop).overrides
    assert kept.revoked_by == "Ana"
    assert calendar(shop, DAY, DAY)[DAY].overridden


def test_a_reconciliation_that_saw_less_is_stale_on_the_page_and_in_the_calendar(complete: Shop) -> None:
    ctx = complete["matriz"].context
    assert page(complete).reconciliation is None
    reconcile(ctx, DAY)
    assert not page(complete).stale
    assert not calendar(complete, DAY, MORNING_AFTER)[DAY].stale
    complete.send("posto-centro", sales_of_day("posto-centro", Role.POSTO, DAY, count=1, seed=9), "late")
    complete.turn()
    assert page(complete).stale
    cells = calendar(complete, DAY, MORNING_AFTER)
    assert (cells[DAY].stale, cells[MORNING_AFTER].stale) == (True, False)
    reconcile(ctx, DAY)
    assert not page(complete).stale
    assert not calendar(complete, DAY, MORNING_AFTER)[DAY].stale


def test_a_sale_that_moves_to_another_day_makes_both_stale(complete: Shop) -> None:
    ctx = complete["matriz"].context
    sold = rows(complete["matriz"])
    reconcile(ctx, DAY)
    reconcile(ctx, MORNING_AFTER)
    wrong = next(sale for sale in sold if sale["origem"] == "caixa-01")
    moved = {**wrong, "data_movimento": MORNING_AFTER.isoformat(), "versao": wrong.get("versao", 0) + 1}
    complete.send("caixa-01", [moved], "moved")
    complete.turn()
    assert page(complete).stale
    assert page(complete, MORNING_AFTER).stale
    assert all(cell.stale for cell in calendar(complete, DAY, MORNING_AFTER).values())


# ------------------------------------------------------------------------------------------------ the calendar


def test_the_calendar_has_every_colour(complete: Shop) -> None:
    complete.clock.advance(days=3)  # Thursday evening
    complete.sell("caixa-01", MORNING_AFTER)
    complete.close("caixa-01", MORNING_AFTER)
    complete.turn()
    today = DAY + timedelta(days=3)
    cells = calendar(complete, DAY - timedelta(days=1), DAY + timedelta(days=5))
    assert [cell.state for cell in cells.values()] == [
        SiteState.NOT_DUE,  # Sunday
        SiteState.COMPLETE,
        SiteState.OVERDUE,  # the caixa closed, the posto did not
        SiteState.OVERDUE,  # nobody did
        SiteState.OPEN,  # today
        SiteState.TO_COME,
        SiteState.TO_COME,
    ]
    assert {cell.state.colour for cell in cells.values()} == set(Colour)
    assert cells[MORNING_AFTER].owing == ("posto-centro",)
    assert (cells[MORNING_AFTER].due, cells[MORNING_AFTER].complete) == (2, 1)
    assert cells[today].owing == ("caixa-01", "posto-centro")


def test_the_calendar_says_of_each_day_what_its_page_says(complete: Shop) -> None:
    complete.sell("caixa-01", MORNING_AFTER)
    complete.clock.advance(days=2)
    complete.turn()
    first = DAY - timedelta(days=3)
    for day, cell in calendar(complete, first, DAY + timedelta(days=4)).items():
        shown = page(complete, day)
        assert (cell.state, cell.overridden, cell.stale) == (shown.state, bool(shown.overrides), shown.stale)
        assert cell.owing == tuple(line.day.site for line in shown.sites if not line.verdict.complete)


def test_programs_read_all_of_it(complete: Shop) -> None:
    override(complete, "conciliar")
    reconcile(complete["matriz"].context, DAY)
    told = json.loads(json.dumps(page(complete).to_json()))
    assert told["colour"] == "green"
    assert {site["site"] for site in told["sites"]} == {"caixa-01", "posto-centro"}
    assert told["overrides"][0]["confirmed_by"] == "Bruno"
    assert [step["step"] for step in told["steps"]] == list(complete["matriz"].context.settings.steps)
    assert set(told["reconciliation"]["counts"]) == {"red", "yellow", "white", "green"}
    assert {event["what"] for event in told["events"]} >= {"override"}
    cell = json.loads(json.dumps(next(iter(calendar(complete, DAY, DAY).values())).to_json()))
    assert (cell["state"], cell["overridden"]) == ("complete", True)
