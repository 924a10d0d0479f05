"""Receber Vendas Remotas, as the matriz lives it in the morning: what came, what did not, which tickets are missing, what follows."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from network import DAY, Network, rows
from shopdays import MORNING_AFTER, Shop, open_shop

from filesync.day import filing, routine
from filesync.day.filing import Asked, FilingState
from filesync.day.page import SiteState
from filesync.day.receiving import Receiving, receive
from filesync.day.values import Known, ReasonCode, StepOutcome
from filesync.demo.billing import billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.demo.sales import sales_of_day
from filesync.protocol.envelope import decode
from filesync.protocol.identity import Role
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from typing import Any


@pytest.fixture
def shop(network: Network) -> Shop:
    return open_shop(network)


def at_matriz(shop: Shop) -> Receiving:
    return receive(shop["matriz"], DAY)


def send(shop: Shop, site: str, **more: Any) -> list[dict[str, Any]]:
    """Enviar Vendas Remotas: sell, close and let it leave."""
    sold = shop.sell(site, **more)
    shop.close(site)
    shop[site].turn()
    return sold


def states(received: Receiving) -> dict[str, SiteState]:
    return {line.day.site: line.state for line in received.page.sites}


def test_one_command_fetches_applies_and_says_that_all_is_there(shop: Shop) -> None:
    sold = [*send(shop, "caixa-01"), *send(shop, "posto-centro")]
    assert rows(shop["matriz"]) == [], "nothing came before it was fetched"
    received = at_matriz(shop)
    assert len(rows(shop["matriz"])) == len(sold)
    assert received.page.complete
    assert received.reasons == ()
    assert set(states(received).values()) == {SiteState.COMPLETE}
    assert received.evidence is not None
    signed = decode(received.evidence.read_bytes(), code="x").signed
    assert (signed["step"], signed["day"]) == ("receber_vendas_remotas", DAY.isoformat())
    assert received.page.money.sales + received.page.money.cancelled == len(sold)


def test_the_senders_have_their_receipts_after_it(shop: Shop) -> None:
    send(shop, "posto-centro")
    at_matriz(shop)
    assert shop["posto-centro"].turn().imported.settled
    assert shop.network.outbox("posto-centro", "matriz") == []


def test_a_posto_that_has_not_closed_is_named_with_what_to_do_there(shop: Shop) -> None:
    send(shop, "caixa-01")
    shop.sell("posto-centro")
    shop["posto-centro"].turn()
    received = at_matriz(shop)
    assert received.evidence is None
    assert states(received) == {"caixa-01": SiteState.COMPLETE, "posto-centro": SiteState.OPEN}
    (reason,) = received.reasons
    assert (reason.code, reason.site, reason.known) == (
        ReasonCode.NOT_CLOSED,
        "posto-centro",
        Known.NOT_PRODUCED,
    )
    assert reason.at == "posto-centro"
    assert reason.command is not None
    assert "send-remote" in reason.command


def test_in_the_morning_what_is_open_is_overdue(shop: Shop) -> None:
    send(shop, "caixa-01")
    shop.clock.advance(hours=12)
    assert states(at_matriz(shop)) == {"caixa-01": SiteState.COMPLETE, "posto-centro": SiteState.OVERDUE}


def test_a_lost_last_batch_is_found_by_the_close_that_names_it(shop: Shop) -> None:
    send(shop, "caixa-01")
    shop.sell("posto-centro", count=6)
    shop.close("posto-centro")
    shop["posto-centro"].turn()
    relay = shop.network.root / "relay" / "matriz" / "inbox" / "posto-centro"
    for path in relay.glob("vendas.*"):
        path.unlink()
    received = at_matriz(shop)
    assert received.evidence is None
    (reason,) = (reason for reason in received.reasons if reason.code is ReasonCode.MISSING)
    assert (reason.site, reason.seqs) == ("posto-centro", ((1, 1),))


def test_a_road_that_is_down_is_said_and_the_day_is_judged_all_the_same(shop: Shop) -> None:
    send(shop, "caixa-01")
    shutil.move(shop.network.root / "relay", shop.network.root / "away")
    received = at_matriz(shop)
    assert set(received.turn.exchange.unreachable) == {"posto-centro"}
    assert states(received)["caixa-01"] is SiteState.COMPLETE
    assert {reason.site for reason in received.reasons} == {"posto-centro"}
    shutil.move(shop.network.root / "away", shop.network.root / "relay")
    send(shop, "posto-centro")
    assert at_matriz(shop).page.complete


def test_again_is_harmless(shop: Shop) -> None:
    send(shop, "caixa-01")
    send(shop, "posto-centro")
    first = at_matriz(shop)
    shop.clock.advance(hours=3)
    second = at_matriz(shop)
    assert second.evidence == first.evidence
    assert len(second.page.events) == len(first.page.events)
    assert [step for step in second.steps if step.outcome is StepOutcome.OPENED] == []
    assert len(list((shop.network.root / "matriz" / "evidence").glob("receber*"))) == 1


def test_tickets_missing_between_batches_and_days_are_listed_and_keep_nothing_closed(shop: Shop) -> None:
    before = DAY - timedelta(days=1)  # a Sunday: nobody is due, and the posto sold all the same
    shop.send("posto-centro", numbered("posto-centro", range(1, 5), before), "sunday")
    shop.send("posto-centro", numbered("posto-centro", [7, 8]), "morning")
    shop.send("posto-centro", numbered("posto-centro", [11, 12]), "evening")
    shop.close("posto-centro")
    shop["posto-centro"].turn()
    send(shop, "caixa-01")
    received = at_matriz(shop)
    (series,) = received.page.tickets
    assert (series.origem, series.between, series.inside) == ("posto-centro", ((5, 6),), ((9, 10),))
    assert received.page.complete


def numbered(site: str, numbers: Any, day: Any = DAY) -> list[dict[str, Any]]:
    made = sales_of_day(site, Role.POSTO, day, count=len(numbers), seed=sum(numbers))
    return [{**sale, "numero": number} for sale, number in zip(made, numbers, strict=True)]


def test_a_file_that_was_kept_is_taken_by_what_arrives(shop: Shop) -> None:
    sold = send(shop, "caixa-01")
    sold += shop.sell("posto-centro")
    billing = billing_of_day(sold)
    layouts = {layout.name: layout for layout in shipped_layouts()}
    for dataset, name in (("bdf", "exemplo-bdf-csv"), ("ca", "exemplo-ca-csv")):
        path = shop.network.root / f"{dataset}.csv"
        path.write_bytes(billing_file(layouts[name], DAY, billing.rows(dataset)))
        report = filing.take(shop["matriz"], Asked(dataset, path, DAY, by="Ana"))
        assert report.state is FilingState.KEPT
    assert not at_matriz(shop).page.complete
    shop.close("posto-centro")
    shop["posto-centro"].turn()
    received = at_matriz(shop)
    ran = [step.step for step in received.steps if step.outcome is StepOutcome.RAN]
    assert ran == ["importar_bdf", "importar_ca", "conciliar"]
    assert len(received.page.files) == 2
    assert received.page.reconciliation is not None
    assert received.page.reconciliation.clean


def test_an_override_opens_the_gate_and_completes_nothing(shop: Shop) -> None:
    send(shop, "caixa-01")
    shop.clock.advance(hours=13)
    routine.override(
        shop["matriz"].context,
        "receber_vendas_remotas",
        DAY,
        reason="estrada interditada",
        by="Ana",
        confirmed_by="Bruno",
    )
    received = at_matriz(shop)
    assert received.evidence is not None
    assert not received.page.complete
    assert received.page.state is SiteState.OVERDUE
    assert [given.reason for given in received.page.overrides] == ["estrada interditada"]


def test_three_silent_days_come_at_once(shop: Shop) -> None:
    days = [DAY, MORNING_AFTER, MORNING_AFTER + timedelta(days=1)]
    for day in days:
        shop.sell("caixa-01", day)
        shop.close("caixa-01", day)
        shop["caixa-01"].turn()
        assert not receive(shop["matriz"], day).page.complete
        shop.sell("posto-centro", day)
        shop.close("posto-centro", day)
        shop.clock.advance(days=1)
    shop["posto-centro"].turn()
    opened = {
        step.day for step in receive(shop["matriz"], DAY).steps if step.step == "receber_vendas_remotas"
    }
    assert opened == set(days), "whichever day was asked for"
    assert all(receive(shop["matriz"], day).page.complete for day in days)
