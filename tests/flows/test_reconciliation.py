"""The reconciliation as the matriz lives it: the files come, the day is reconciled by itself, and something changes afterwards."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network
from shopdays import MORNING_AFTER, Shop, open_shop

from filesync.day import filing, reconciling, routine
from filesync.day import runners as runners  # noqa: PLC0414 -- every step runs by itself
from filesync.day.filing import Asked
from filesync.day.reconciling import Colour, Dimension, Kind, State, Summary
from filesync.day.values import StepOutcome
from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.demo.sales import cancelled, sales_of_day
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

Rows = list[dict[str, Any]]
LAYOUTS = {layout.name: layout for layout in shipped_layouts()}
FILES = {"bdf": "exemplo-bdf-posicional", "ca": "exemplo-ca-csv"}
PLAN = Plan(value=2, missing=1, extra=1)
SITES = ("caixa-01", "posto-centro")


@pytest.fixture(scope="module")
def closed_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Rows]:
    """A caixa and a posto sold on DAY and closed; everything arrived."""
    shop = open_shop(Network(tmp_path_factory.mktemp("closed") / "net"))
    sales = [sale for site in SITES for sale in shop.sell(site)]
    for site in SITES:
        shop.close(site)
    shop.turn()
    shop.network.close()
    return shop.network, sales


@pytest.fixture
def shop(closed_day: tuple[Network, Rows], tmp_path: Path) -> Iterator[Shop]:
    network = closed_day[0].copy_of(tmp_path / "net")
    yield Shop(network)
    network.close()


@pytest.fixture
def sold(closed_day: tuple[Network, Rows]) -> Rows:
    return list(closed_day[1])


def bill(
    shop: Shop,
    sales: Rows,
    plan: Plan | None = None,
    *,
    day: date = DAY,
    kinds: tuple[str, ...] = ("bdf", "ca"),
) -> None:
    """The day's files come from Correios and are taken in."""
    billing = billing_of_day(sales, planted=plan)
    for kind in kinds:
        number = len(list(shop.network.root.glob(f"{kind}*.txt")))
        path = shop.network.root / f"{kind}-{number}.txt"
        path.write_bytes(billing_file(LAYOUTS[FILES[kind]], day, billing.rows(kind)))
        filing.take(shop["matriz"], Asked(kind, path, day, by="Márcia"))


def outcomes(shop: Shop) -> dict[str, StepOutcome]:
    return {report.step: report.outcome for report in routine.run_due(shop["matriz"], shop.clock())}


def summary(shop: Shop, day: date = DAY) -> Summary:
    found = reconciling.summary(shop["matriz"].context, day)
    assert found is not None
    return found


def counts(found: Summary) -> dict[Colour, int]:
    return {colour: found.count(colour) for colour in Colour if found.count(colour)}


def done(shop: Shop) -> set[str]:
    return {mark.step for mark in shop["matriz"].context.store.days.done(DAY)}


def test_a_day_is_reconciled_by_itself_when_both_files_are_in(shop: Shop, sold: Rows) -> None:
    shop.clock.advance(hours=14)
    bill(shop, sold, PLAN, kinds=("bdf",))
    assert "conciliar" not in outcomes(shop)
    assert reconciling.summary(shop["matriz"].context, DAY) is None
    bill(shop, sold, PLAN, kinds=("ca",))
    assert outcomes(shop)["conciliar"] is StepOutcome.RAN
    found = summary(shop)
    postings = sum(len(sale.get("postagens", [])) for sale in sold if sale["situacao"] != "cancelada")
    assert counts(found) == {Colour.RED: 2, Colour.YELLOW: 2, Colour.GREEN: postings - 3}
    assert not found.stale
    assert not found.clean
    assert "conciliar" in done(shop)
    assert StepOutcome.RAN not in outcomes(shop).values()


def test_totals_are_told_by_site_service_contract_and_payment_form(shop: Shop, sold: Rows) -> None:
    bill(shop, sold, PLAN)
    found = reconciling.reconcile(shop["matriz"].context, DAY)
    expected: dict[Dimension, Counter[str]] = {dimension: Counter() for dimension in reconciling.TABLES}
    for sale in sold:
        if sale["situacao"] == "cancelada":
            continue
        forms = {payment["forma"] for payment in sale.get("pagamentos", [])}
        form = next(iter(forms)) if len(forms) == 1 else "several"
        for line in sale.get("postagens", []):
            keys = (sale["origem"], line["servico"], line.get("contrato", ""), form)
            for dimension, value in zip(reconciling.TABLES, keys, strict=True):
                expected[dimension][value] += line["valor_centavos"]
    for dimension in reconciling.TABLES:
        got = {value: reconciling.add(amounts) for value, amounts in found.by[dimension].items()}
        assert {value: total.sold_centavos for value, total in got.items() if total.sold} == expected[
            dimension
        ]
        assert sum(got.values(), reconciling.Amounts()) == found.total
    assert {state: amounts.lines for state, amounts in found.states(Kind.BDF).items()}[State.MISSING] == 1


def test_a_late_sale_of_the_day_makes_it_stale_and_it_heals_by_itself(shop: Shop, sold: Rows) -> None:
    late = sales_of_day(
        "posto-centro", shop["posto-centro"].context.settings.role, DAY, count=3, seed=9, first_number=9001
    )
    shop.clock.advance(hours=14)
    bill(shop, [*sold, *late])
    outcomes(shop)
    before = summary(shop)
    assert before.count(Colour.RED) == sum(
        len(s.get("postagens", [])) for s in late if s["situacao"] != "cancelada"
    )
    shop.send("posto-centro", late, "late")
    shop.turn()
    stale = summary(shop)
    assert stale.changed == ("vendas",)
    assert counts(stale) == counts(before)  # the result is what it was, and says that it no longer holds
    shop.close("posto-centro")
    shop.turn()
    assert outcomes(shop)["conciliar"] is StepOutcome.RAN
    healed = summary(shop)
    assert not healed.stale
    assert set(counts(healed)) == {Colour.GREEN}
    assert healed.clean


def test_a_sale_cancelled_the_next_day(shop: Shop, sold: Rows) -> None:
    """Correios billed it on its day; the customer came back the morning after."""
    bill(shop, sold)
    reconciling.reconcile(shop["matriz"].context, DAY)
    sale = next(
        s
        for s in sold
        if s["origem"] == "caixa-01" and s["situacao"] == "concluida" and len(s.get("postagens", [])) == 1
    )
    shop.clock.advance(hours=16)
    shop.send("caixa-01", [cancelled(sale)], "cancelled")
    shop.turn()
    assert summary(shop).changed == ("vendas",)
    reconciling.reconcile(shop["matriz"].context, DAY)
    (line,) = reconciling.rows(shop["matriz"].context, DAY, [Colour.RED])
    assert line.codigo_rastreio == sale["postagens"][0]["codigo_rastreio"]
    assert line.venda_id == sale["venda_id"]
    assert line.bdf is not None
    assert line.bdf.state is State.CANCELLED


def test_a_corrected_file_takes_the_differences_away(shop: Shop, sold: Rows) -> None:
    bill(shop, sold, PLAN)
    reconciling.reconcile(shop["matriz"].context, DAY)
    bill(shop, sold, kinds=("bdf",))
    assert summary(shop).changed == ("bdf",)
    found = reconciling.reconcile(shop["matriz"].context, DAY)
    assert set(counts(found)) == {Colour.GREEN}
    bill(shop, sold, kinds=("bdf",))  # the same file again
    assert not summary(shop).stale


def test_the_next_day_leaves_it_alone(shop: Shop, sold: Rows) -> None:
    bill(shop, sold)
    before = reconciling.reconcile(shop["matriz"].context, DAY)
    shop.clock.advance(hours=20)
    for site in SITES:
        shop.sell(site, MORNING_AFTER)
        shop.close(site, MORNING_AFTER)
    shop.turn()
    assert not summary(shop).stale
    again = reconciling.reconcile(shop["matriz"].context, DAY)
    assert again.made_at == before.made_at
    reconciling.reconcile(shop["matriz"].context, MORNING_AFTER)
    assert set(counts(summary(shop, MORNING_AFTER))) == {Colour.WHITE}
    calendar = reconciling.calendar(shop["matriz"].context, DAY, MORNING_AFTER)
    assert {day: set(colours) for day, colours in calendar.items()} == {
        DAY: {Colour.GREEN},
        MORNING_AFTER: {Colour.WHITE},
    }


def test_services_that_are_never_billed_are_configured(shop: Shop, sold: Rows) -> None:
    services = sorted({line["servico"] for sale in sold for line in sale.get("postagens", [])})
    shop.network.configure("matriz", f"\n[reconciliation]\nunbilled = {services!r}\n")
    shop.network.reopen("matriz")
    bill(shop, [])
    found = reconciling.reconcile(shop["matriz"].context, DAY)
    assert set(counts(found)) == {Colour.WHITE}
