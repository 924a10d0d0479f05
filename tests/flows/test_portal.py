"""A day goes to the portal: after SARA and when it is complete, once in effect, as often as the button is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, rows
from shopdays import MORNING_AFTER, Shop, open_shop
from test_daemon import Told, faked

from filesync.contracts import Registry
from filesync.day import portal
from filesync.day.portal import PortalState
from filesync.day.report import page
from filesync.day.routine import GateClosedError
from filesync.day.values import StepOutcome
from filesync.demo.sales import cancelled
from filesync.errors import ConfigError
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from datetime import date

    from filesync.contracts import Contract
    from filesync.stores.reporting import AgencyDay, ClientDay, Posting

STEP = portal.STEP


def contract(dataset: str) -> Contract:
    found = Registry.packaged().latest(dataset)
    assert found is not None
    return found


def agency(shop: Shop, site: str = "portal", day: date = DAY) -> AgencyDay:
    with shop[site].context.store.reporting.agency(contract("vendas"), contract("clientes"), day) as report:
        return report


def client(shop: Shop, code: str, site: str = "portal", day: date = DAY) -> tuple[ClientDay, list[Posting]]:
    with shop[site].context.store.reporting.client(
        contract("vendas"), contract("clientes"), day, code
    ) as one:
        return one, list(one.postings)


def state(shop: Shop, day: date = DAY) -> PortalState:
    return portal.portal_day(shop["matriz"].context, day).state


@pytest.fixture
def shop(network: Network) -> Shop:
    """A caixa and a posto sold, closed, and everything is at the matriz; SARA was not told yet."""
    made = open_shop(network)
    made.sell("caixa-01", count=25)
    made.sell("posto-centro", count=40)
    made.close("caixa-01")
    made.close("posto-centro")
    made.turn()
    return made


@pytest.fixture
def evening(shop: Shop) -> Shop:
    """The same, after the exports to SARA."""
    shop.sara()
    return shop


def busiest(sales: list[dict[str, Any]]) -> str:
    """The customer with the most postings that count."""
    found: dict[str, int] = {}
    for sale in sales:
        if "cliente" in sale and sale["situacao"] != "cancelada":
            found[sale["cliente"]] = found.get(sale["cliente"], 0) + len(sale.get("postagens", ()))
    return max(found, key=lambda code: (found[code], code))


def test_the_day_goes_to_the_portal_after_sara(evening: Shop) -> None:
    report = evening.export_portal()
    assert report.evidence.is_file()
    assert report.total.sales + report.total.cancelled == 65
    assert report.without_client.sales > 0  # they go too: the agency's report counts them
    assert sum(batch.documents for batch in report.vendas.sealed) == 65
    assert report.standing.state is PortalState.WAITING
    assert evening.decide(STEP) is None

    evening.turn("portal")
    report = evening.export_portal()
    assert report.vendas.sealed == []
    assert report.standing.state is PortalState.DONE
    assert rows(evening["portal"]) == rows(evening["matriz"])
    assert agency(evening).total == agency(evening, "matriz").total
    code = busiest(rows(evening["matriz"]))
    shown, postings = client(evening, code)
    assert shown.client.name
    assert sum(p.valor_centavos for p in postings if p.counts) == shown.client.sums.postagens_centavos > 0


def test_before_sara_it_is_refused_with_the_reason(shop: Shop) -> None:
    with pytest.raises(GateClosedError) as closed:
        shop.export_portal()
    (reason,) = closed.value.reasons
    assert reason.code.value == "step-not-done"
    assert "exportar_sara" in reason.message
    assert reason.command is not None
    assert "filesync done exportar_sara" in reason.command
    assert shop["matriz"].context.store.head("vendas", "portal") is None
    assert state(shop) is PortalState.NOT_DONE


def test_before_the_posto_has_closed_it_is_refused_with_the_reason(network: Network) -> None:
    shop = open_shop(network)
    shop.sell("caixa-01")
    shop.sell("posto-centro")
    shop.close("caixa-01")
    shop.turn()
    with pytest.raises(GateClosedError) as closed:
        shop.export_portal()
    assert ("posto-centro", "not-closed") in {(r.site, r.code.value) for r in closed.value.reasons}
    # One customer's sales are no way around it.
    with pytest.raises(GateClosedError):
        shop.export_portal(client="C00004")


def test_twice_is_harmless(evening: Shop) -> None:
    evening.export_portal()
    again = evening.export_portal()
    assert again.vendas.sealed == []
    assert again.vendas.unchanged == 65
    evening.turn()
    done = evening.export_portal()
    mark = next(m for m in evening["matriz"].context.store.days.done(DAY) if m.step == STEP)
    evening.clock.advance(hours=1)
    once_more = evening.export_portal()
    assert done.standing.state is once_more.standing.state is PortalState.DONE
    assert (
        next(m for m in evening["matriz"].context.store.days.done(DAY) if m.step == STEP) == mark
    )  # not marked again for the same
    assert len(rows(evening["portal"])) == 65


def test_a_sale_cancelled_the_next_day_reaches_the_portal_and_the_report_changes(evening: Shop) -> None:
    evening.export_portal()
    evening.turn()
    evening.export_portal()
    sold = rows(evening["matriz"])
    code = busiest(sold)
    sale = next(
        sale
        for sale in sold
        if sale.get("cliente") == code and sale.get("postagens") and sale["situacao"] == "concluida"
    )
    before, _ = client(evening, code)

    evening.clock.advance(hours=14)
    evening.send(sale["origem"], [cancelled(sale)], "2026-03-03-cancelled")
    evening.turn()
    # Applied, and told: the day is open again at the site, and the portal does not have it yet.
    assert (sale["origem"], "late") in evening.codes(STEP)
    assert state(evening) is PortalState.STALE
    evening.close(sale["origem"])
    evening.turn()
    (line,) = (line for line in page(evening["matriz"].context, DAY).steps if line.step == STEP)
    assert line.outdated
    report = evening.export_portal()
    assert [batch.documents for batch in report.vendas.sealed] == [1]
    evening.turn()
    assert evening.export_portal().standing.state is PortalState.DONE

    after, postings = client(evening, code)
    assert after.client.sums.cancelled == before.client.sums.cancelled + 1
    assert after.client.sums.total_centavos == before.client.sums.total_centavos - sale["total_centavos"]
    shown = {p.codigo_rastreio: p.counts for p in postings}
    assert not any(shown[posting["codigo_rastreio"]] for posting in sale["postagens"])


def test_one_customer_first_and_everybody_later_and_nothing_twice(evening: Shop) -> None:
    sold = rows(evening["matriz"])
    code = busiest(sold)
    theirs = sum(sale.get("cliente") == code for sale in sold)
    first = evening.export_portal(client=code)
    assert sum(batch.documents for batch in first.vendas.sealed) == theirs
    assert first.total.sales + first.total.cancelled == theirs
    evening.turn()
    assert {sale["cliente"] for sale in rows(evening["portal"])} == {code}
    # The receipts of one customer's sales do not make the day done.
    assert evening.export_portal(client=code).standing.state is PortalState.NOT_DONE

    rest = evening.export_portal()
    assert sum(batch.documents for batch in rest.vendas.sealed) == 65 - theirs
    assert rest.vendas.unchanged == theirs
    evening.turn()
    assert evening.export_portal().standing.state is PortalState.DONE
    assert rows(evening["portal"]) == sold


def test_a_customer_without_sales_that_day_is_nothing_to_send(evening: Shop) -> None:
    report = evening.export_portal(client="C99999")
    assert report.vendas.sealed == []
    assert report.total.sales == 0


def test_other_days_stay_where_they_are(evening: Shop) -> None:
    evening.sell("caixa-01", MORNING_AFTER, count=5)
    evening.turn()
    evening.export_portal()
    evening.turn()
    assert {sale["data_movimento"] for sale in rows(evening["portal"])} == {DAY.isoformat()}


def test_the_portal_answers_while_we_wait(evening: Shop) -> None:
    report = evening.export_portal()
    slept: list[float] = []

    def work(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:  # at last somebody starts the portal
            evening["portal"].turn()

    portal.await_receipts(evening["matriz"], report, 10, work)
    assert report.standing.state is PortalState.DONE
    assert len(slept) == 3


def test_patience_ends(evening: Shop) -> None:
    report = evening.export_portal()
    slept: list[float] = []
    portal.await_receipts(evening["matriz"], report, 2.5, slept.append)
    assert report.standing.state is PortalState.WAITING
    assert slept == [1.0, 1.0, 0.5]


def test_the_portal_cannot_be_reached_and_nothing_is_lost(evening: Shop) -> None:
    evening.network.stations.pop("portal").close()
    moved = evening.network.root / "portal"
    away = moved.rename(evening.network.root / "portal-away")
    report = evening.export_portal()
    assert set(report.exchange.unreachable) == {"portal"}
    assert report.standing.state is PortalState.WAITING
    away.rename(moved)
    evening.turn()
    assert evening.export_portal().standing.state is PortalState.DONE


def test_what_the_portal_refuses_keeps_the_step_open_until_it_is_cured(evening: Shop) -> None:
    evening.network.reopen("portal")
    text = (evening.network.root / "portal" / "filesync.toml").read_text(encoding="utf-8")
    strict = text.replace('[peers.matriz]\nrole = "matriz"', '[peers.matriz]\nrole = "matriz"\nrelays = []')
    assert strict != text
    (evening.network.root / "portal" / "filesync.toml").write_text(strict, encoding="utf-8")
    evening.network.reopen("portal")
    evening.export_portal()
    evening.turn()
    report = evening.export_portal()
    assert [verdict for _, verdict in report.standing.refused] != []
    assert report.standing.state is PortalState.REFUSED
    assert all(verdict in (Verdict.REJECTED, Verdict.PARTIAL) for _, verdict in report.standing.refused)
    line = next(one for one in page(evening["matriz"].context, DAY).steps if one.step == STEP)
    assert line.refused == tuple(name for name, _ in report.standing.refused), "the day's page says so"

    (evening.network.root / "portal" / "filesync.toml").write_text(text, encoding="utf-8")
    evening.network.reopen("portal")
    assert (
        evening.export_portal().vendas.sealed == []
    )  # pressing alone sends nothing that would be refused again
    evening.export_portal(again=True)
    evening.turn()
    assert evening.export_portal().standing.state is PortalState.DONE
    assert rows(evening["portal"]) == rows(evening["matriz"])


def test_without_a_portal_it_says_so(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    with pytest.raises(ConfigError) as err:
        portal.export_portal(network["matriz"], DAY)
    assert err.value.code == "portal-missing"


def test_the_routine_runs_the_step_by_itself(evening: Shop) -> None:
    matriz = evening["matriz"]
    assert portal.run(matriz, DAY).outcome is StepOutcome.OPENED
    # While the portal has not answered the day is not read again.
    sealed = len(matriz.context.store.days.sealed(DAY))
    assert portal.run(matriz, DAY).outcome is StepOutcome.NOTHING
    assert len(matriz.context.store.days.sealed(DAY)) == sealed
    evening.turn()
    assert portal.run(matriz, DAY).outcome is StepOutcome.RAN
    assert state(evening) is PortalState.DONE


def test_receipts_that_come_by_themselves_mark_the_day(evening: Shop) -> None:
    matriz = evening["matriz"]
    evening.export_portal()
    evening.turn("portal")
    settled = matriz.turn().imported.settled
    (done,) = portal.confirm(matriz, settled)
    assert (done.step, done.outcome) == (STEP, StepOutcome.RAN)
    assert state(evening) is PortalState.DONE
    assert portal.confirm(matriz, settled) == []


def test_receipts_of_one_customers_sales_mark_nothing(evening: Shop) -> None:
    matriz = evening["matriz"]
    evening.export_portal(client=busiest(rows(matriz)))
    evening.turn("portal")
    assert portal.confirm(matriz, matriz.turn().imported.settled) == []
    assert state(evening) is PortalState.NOT_DONE


def test_a_running_matriz_marks_the_day_when_the_receipts_come(evening: Shop) -> None:
    evening.export_portal()
    evening.turn("portal")
    evening.network.stations.pop("matriz").close()
    told = Told("matriz", evening.clock)
    faked(evening.network, "matriz", told, until_s=1).run()
    assert state(evening) is PortalState.DONE
    assert [line["step"] for line in told["step-ran"]] == [STEP]
