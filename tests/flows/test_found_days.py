"""Days that the day machine (test_day_machine.py) found, each told as a story: something of it was wrong once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, rows
from shopdays import Shop, open_shop
from test_late_and_wrong import replace_till

from filesync.day import filing, portal
from filesync.day import runners as runners  # noqa: PLC0414 -- every step runs by itself
from filesync.day.closing import CloseOutcome, CloseRefusedError
from filesync.day.filing import Asked, FilingState
from filesync.day.report import page
from filesync.day.routine import run_due
from filesync.day.values import ReasonCode, StepOutcome
from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.demo.sales import cancelled, sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from filesync.day.page import StepLine
    from filesync.day.values import Reason

BDF = "importar_bdf"


@pytest.fixture
def shop(network: Network) -> Shop:
    return open_shop(network)


def reason(shop: Shop, site: str) -> Reason:
    """The one thing that keeps the day open at a site."""
    (found,) = (r for r in shop.decide(BDF) or () if r.site == site)
    return found


# ------------------------------------------------------------------------------------------------ shifts


def two_shifts(shop: Shop) -> Shop:
    with (shop.network.root / "matriz" / "sites.toml").open("a", encoding="utf-8") as file:
        file.write("\n[sites.caixa-01]\nturnos = 2\n")
    shop.sell("posto-centro")
    shop.close("posto-centro")
    return shop


def test_the_matriz_asks_for_the_shift_whose_turn_it_is(shop: Shop) -> None:
    """Nobody has closed anything at the caixa. To be told to close the second shift helped nobody: the till refuses that while the first is open."""
    two_shifts(shop).sell("caixa-01")
    shop.turn()
    assert reason(shop, "caixa-01").command == f"filesync close --date {DAY} --turno 1 --contado VALOR"
    shop.close("caixa-01", turno=1)
    shop.turn()
    assert reason(shop, "caixa-01").command == f"filesync close --date {DAY} --turno 2 --contado VALOR"
    shop.close("caixa-01", turno=2, sem_movimento=True)
    shop.turn()
    assert shop.decide(BDF) is None


def test_a_day_of_two_shifts_is_closed_again_without_counting_shifts(shop: Shop) -> None:
    """A late sale: the matriz, and the till's own status, say `filesync close --date D`. That is the last shift's close, whichever that is."""
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=9)
    two_shifts(shop).send("caixa-01", sales[:4], "morning")
    shop.close("caixa-01", turno=1)
    shop.send("caixa-01", sales[4:8], "afternoon")
    shop.close("caixa-01", turno=2)
    shop.send("caixa-01", sales[8:], "late")
    shop.turn()
    assert reason(shop, "caixa-01").command == f"filesync close --date {DAY}"
    again = shop.close("caixa-01", contado_centavos=None)
    assert (again.turno, again.outcome) == (2, CloseOutcome.CORRECTED)
    shop.turn()
    assert shop.decide(BDF) is None


# ------------------------------------------------------------------------------------------------ a close that is lost


def test_a_close_that_somebody_deleted_is_made_again(shop: Shop) -> None:
    """Somebody tidies up the outbox, and the close of the day goes with the rest. The till could neither send it nor ever close the day again."""
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.sell("caixa-01")
    shop.close("caixa-01", contado_centavos=10_000)
    (payload,) = shop.network.root.glob("caixa-01/outbox/matriz/fechamento.*.parquet")
    payload.unlink()
    shop.turn()
    (lost,) = shop["caixa-01"].status().quarantine
    assert lost.code == "payload-lost"  # its number stands in the way of every later close
    shop["caixa-01"].void("fechamento.caixa-01.matriz", [1], reason="apagado", by="Rui")

    again = shop.close("caixa-01", contado_centavos=10_000)
    assert again.outcome is CloseOutcome.CLOSED
    assert again.versao == 1  # higher than the lost one's, whoever may have it
    assert (
        shop.close("caixa-01").outcome is CloseOutcome.CORRECTED
    )  # counted anew; from now on it is known again
    assert shop.close("caixa-01").outcome is CloseOutcome.UNCHANGED
    shop.turn()
    assert shop.decide(BDF) is None


def test_a_shift_whose_close_was_deleted_is_closed_again_after_the_other(shop: Shop) -> None:
    """The close of the second shift is deleted; then the first is counted anew. The second could not be closed again: the command broke off."""
    two_shifts(shop).sell("caixa-01")
    shop.close("caixa-01", turno=1)
    shop.close("caixa-01", turno=2, sem_movimento=True)
    (second,) = shop.network.root.glob("caixa-01/outbox/matriz/fechamento.*0000000002.*.parquet")
    second.unlink()
    shop.close("caixa-01", turno=1, contado_centavos=10_000)
    again = shop.close("caixa-01", turno=2, sem_movimento=True)
    assert (again.outcome, again.versao) == (CloseOutcome.CLOSED, 3)
    assert shop.close("caixa-01", turno=1, contado_centavos=10_000).outcome is CloseOutcome.UNCHANGED
    assert shop.close("caixa-01", turno=2, sem_movimento=True).outcome is CloseOutcome.UNCHANGED


def test_a_damaged_close_that_was_given_up_closes_nothing(shop: Shop) -> None:
    """A close comes damaged, is set aside, and was given up by its caixa; then twelve sales come, and no close that counts them was ever made.
    The gate took what had been set aside for a close that is being waited for, asked for none, and opened.
    """
    shop.sell("posto-centro")
    shop.close("posto-centro")
    (shop.network.root / "caixa-01" / "drop" / "vendas").mkdir(parents=True)
    shop.close("caixa-01", sem_movimento=True)
    shop["caixa-01"].turn()
    (manifest,) = shop.network.root.glob("matriz/inbox/caixa-01/fechamento.*.manifest.json")
    damaged = manifest.read_bytes()[:-9]
    manifest.unlink()  # the caixa's own copy may be the same file
    manifest.write_bytes(damaged)
    shop["caixa-01"].void("fechamento.caixa-01.matriz", [1], reason="engano", by="Rui")
    shop["matriz"].turn()
    shop.sell("caixa-01")
    shop["posto-centro"].turn()
    shop["caixa-01"].turn()
    shop["matriz"].turn()
    assert len(rows(shop["matriz"])) == 24
    assert reason(shop, "caixa-01").code is ReasonCode.NOT_CLOSED
    # Then the close that was given up comes again, under another number. It does not count the sales either.
    shop.turn()
    assert reason(shop, "caixa-01").code is ReasonCode.LATE
    shop.close("caixa-01")
    shop.turn()
    assert shop.decide(BDF) is None


def test_a_batch_that_the_matriz_has_and_the_posto_lost(shop: Shop) -> None:
    """The file of the morning's sales vanishes from the posto's outbox before its receipt comes. The matriz has it; the posto cannot add it up any more."""
    sold = shop.sell("posto-centro")
    shop["posto-centro"].turn()
    (payload,) = shop.network.root.glob("posto-centro/outbox/matriz/vendas.*.parquet")
    payload.unlink()
    shop.turn()
    with pytest.raises(CloseRefusedError) as refused:
        shop.close("posto-centro")
    assert refused.value.code == "payload-lost"
    assert f"filesync export vendas --date {DAY} --again" in refused.value.message
    shop["posto-centro"].export("vendas", business_date=DAY, again=True)
    assert shop.close("posto-centro").document["quantidade_vendas"] == len(sold)
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    assert shop.decide(BDF) is None


# ------------------------------------------------------------------------------------------------ billing files


def test_a_file_that_waits_does_not_replace_the_one_that_was_brought_after_it(shop: Shop) -> None:
    """Monday's C.A. comes early, and waits. The corrected one is brought when the gate is open. The first one, taken afterwards, took its place."""
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.sell("caixa-01")
    shop.turn()
    early, corrected = (bill(shop, "ca", mistakes) for mistakes in (1, 0))
    assert filing.take(shop["matriz"], early).state is FilingState.KEPT
    shop.close("caixa-01")
    shop.turn()
    taken = filing.take(shop["matriz"], corrected)
    assert taken.state is FilingState.TAKEN
    assert taken.superseded is not None  # the one that had waited
    run_due(shop["matriz"], shop.clock())
    current = shop["matriz"].context.store.files.current("ca", DAY)
    assert current is not None
    assert current.file_sha256 == taken.sha256


def bill(shop: Shop, dataset: str, mistakes: int) -> Asked:
    """A file of Correios for what the matriz has, with so many mistakes."""
    made = billing_of_day(rows(shop["matriz"]), planted=Plan(value=mistakes, datasets=(dataset,)))
    layout = next(one for one in shipped_layouts() if one.name == "exemplo-ca-csv")
    path = shop.network.root / f"{dataset}-{mistakes}.csv"
    path.write_bytes(billing_file(layout, DAY, made.rows(dataset)))
    return Asked(dataset, path, DAY, by="Márcia")


# ------------------------------------------------------------------------------------------------ a file for every change


def test_a_till_that_leaves_a_file_for_every_change(shop: Shop) -> None:
    """The program leaves each change in a new file and takes none away. Every export sealed the sale as it was, and then as it is, and opened the day again."""
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=6)
    standing = next(sale for sale in day if sale["situacao"] == "concluida")
    shop.send("caixa-01", day, "day")
    shop.send("caixa-01", [cancelled(standing)], "cancelled")
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.close("caixa-01")
    shop.turn()
    assert shop.decide(BDF) is None
    for again in (shop["caixa-01"].export("vendas"), shop["caixa-01"].export("vendas", business_date=DAY)):
        assert (again.sealed, again.unchanged) == ([], 7)
    assert shop.close("caixa-01").outcome is CloseOutcome.UNCHANGED
    # Somebody saves the first file again, as it was: its time is new, its content is not the till's last word.
    first, *_ = sorted((shop.network.root / "caixa-01" / "drop" / "vendas").iterdir())
    first.write_text(first.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    shop.turn()
    assert shop.decide(BDF) is None


def test_a_mistake_that_a_later_file_corrects(shop: Shop) -> None:
    """The wrong sale stays where it is, in its old file; the corrected one comes in a new file. The day could only be closed with a remark."""
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=6)
    wrong = {**day[2], "total_centavos": day[2]["total_centavos"] + 1}
    shop.send("caixa-01", [*day[:2], wrong, *day[3:]], "day")
    with pytest.raises(CloseRefusedError) as refused:
        shop.close("caixa-01")
    assert refused.value.code == "day-refused-rows"
    shop.send("caixa-01", [day[2]], "corrected")
    assert shop.close("caixa-01").document["quantidade_vendas"] == 6
    assert shop["caixa-01"].status().quarantine == ()


# ------------------------------------------------------------------------------------------------ a till that is replaced


def test_a_till_replaced_after_its_day_was_closed(shop: Shop) -> None:
    """Monday is closed when the computer dies; the new one sells on, and has no count that could stand. What the matriz advises works there as it is said."""
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=12)
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.send("caixa-01", sales[:8], "day")
    shop.close("caixa-01", contado_centavos=10_000)
    shop.turn()
    replace_till(shop)
    shop.send("caixa-01", sales[8:], "evening")
    shop.turn("caixa-01", "matriz", "posto-centro")
    late = reason(shop, "caixa-01")
    assert (late.code, late.command) == (ReasonCode.LATE, f"filesync close --date {DAY} --contado VALOR")
    shop.close("caixa-01")
    shop.turn("caixa-01", "matriz", "posto-centro")
    # The close of the first computer stands in its place; the second one's, said again, is a later version.
    assert shop.codes(BDF) == {("caixa-01", "late"), ("caixa-01", "refused")}
    assert shop.close("caixa-01").versao == 1
    shop.turn("caixa-01", "matriz", "posto-centro")
    assert shop.decide(BDF) is None
    held = [sale["numero"] for sale in rows(shop["matriz"]) if sale["origem"] == "caixa-01"]
    assert sorted(held) == sorted(sale["numero"] for sale in sales)


def test_a_new_till_closes_a_day_that_the_old_one_had_closed_and_corrected(shop: Shop) -> None:
    """The old computer had counted twice. The new one's first close was older than that in everybody's eyes, and counted nowhere; closing again changed
    nothing there, so nothing was sent, and the day stayed open for good.
    """
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=12)
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.send("caixa-01", sales[:8], "day")
    shop.close("caixa-01", contado_centavos=10_000)
    shop.close("caixa-01", contado_centavos=12_000)
    shop.close("caixa-01", contado_centavos=11_000)
    shop.turn()
    replace_till(shop)
    shop.send("caixa-01", sales[8:], "evening")
    shop.close("caixa-01")
    shop.turn("caixa-01", "matriz", "posto-centro")
    late = reason(shop, "caixa-01")
    assert (late.code, late.command) == (ReasonCode.LATE, f"filesync close --date {DAY} --above 2")
    assert shop.close("caixa-01", contado_centavos=None).outcome is CloseOutcome.UNCHANGED
    again = shop.close("caixa-01", contado_centavos=None, above=2)
    assert (again.outcome, again.versao) == (CloseOutcome.CORRECTED, 3)
    assert shop.close("caixa-01", contado_centavos=None, above=2).outcome is CloseOutcome.UNCHANGED
    shop.turn("caixa-01", "matriz", "posto-centro")
    assert shop.decide(BDF) is None


def test_an_old_disk_that_is_read_after_the_new_till_closed(shop: Shop) -> None:
    """The old computer never got through to the matriz on its last day. Its disk is read when the new one has closed it: that one cannot name what it never knew."""
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=12)
    shop.send("caixa-01", sales[:8], "day")
    replace_till(shop)
    shop.send("caixa-01", sales[8:], "evening")
    shop.sell("posto-centro")
    for site in ("caixa-01", "posto-centro"):
        shop.close(site)
    shop.turn("caixa-01", "matriz", "posto-centro")
    assert shop.decide(BDF) is None
    stick = shop.network.root / "stick"
    stick.mkdir()
    with Station.open(shop.network.root / "broken-caixa-01", clock=shop.clock) as old:
        old.carry_out(stick)
    shop["matriz"].carry_in(stick)
    shop["matriz"].turn()
    assert len([sale for sale in rows(shop["matriz"]) if sale["origem"] == "caixa-01"]) == 12
    assert reason(shop, "caixa-01").code is ReasonCode.LATE
    # The stick spoke last. When the new till goes on speaking it is clear which of the two is at work.
    for _ in range(2):
        shop.clock.advance(minutes=16)
        shop.turn("caixa-01", "matriz", "posto-centro")
    assert shop.decide(BDF) is None
    (peer,) = (peer for peer in shop["matriz"].status().peers if peer.peer == "caixa-01")
    assert peer.epoch == shop["caixa-01"].context.epoch


def test_a_till_that_died_before_the_matriz_had_ever_heard_of_it(shop: Shop) -> None:
    """Its first sales and the new till's come in one turn; only the new one has spoken. It cannot name what it never knew, and nothing it could do
    opened the day.
    """
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=6)
    shop.send("caixa-01", sales, "day")
    shop["caixa-01"].turn()
    replace_till(shop)
    shop.drop("caixa-01", sales, "day")  # the program's data were saved
    shop["caixa-01"].turn()
    shop.close("caixa-01")
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.turn("caixa-01", "matriz", "posto-centro")
    epochs = {
        batch.epoch
        for batch in shop["matriz"].context.store.days.arrived(DAY)
        if batch.feed.origin == "caixa-01"
    }
    assert len(epochs) == 2
    for _ in range(2):
        run_due(shop["matriz"], shop.clock())
        shop.clock.advance(minutes=16)
        shop.turn("caixa-01", "matriz", "posto-centro")
    assert shop.decide(BDF) is None
    # And the routine notices, although no batch came.
    assert shop["matriz"].context.store.days.seen([DAY])[DAY].gates[BDF]


# ------------------------------------------------------------------------------------------------ a batch that is gone for good


def test_what_was_lost_and_given_up_comes_from_the_till_again(shop: Shop) -> None:
    """Somebody deletes the batch with a corrected sale before it left. The number is given up; that the sale must be exported again nobody thinks of."""
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=6)
    standing = next(sale for sale in day if sale["situacao"] == "concluida")
    shop.send("caixa-01", day, "day")
    shop.turn()
    shop.send("caixa-01", [cancelled(standing)], "cancelled")
    (payload,) = shop.network.root.glob("caixa-01/outbox/matriz/vendas.*.parquet")
    payload.unlink()
    shop.turn()
    shop["caixa-01"].void("vendas.caixa-01.matriz", [2], reason="apagado", by="Rui")
    shop.turn()
    (held,) = (sale for sale in rows(shop["matriz"]) if sale["venda_id"] == standing["venda_id"])
    assert held["situacao"] == "cancelada"
    # Once it came, nobody reads the old files over and over.
    assert shop["caixa-01"].turn().quiet
    shop.sell("posto-centro")
    for site in ("caixa-01", "posto-centro"):
        shop.close(site)
    shop.turn()
    assert shop.decide(BDF) is None


# ------------------------------------------------------------------------------------------------ a sale that belongs to another day

TUESDAY = DAY + timedelta(days=1)


def moved(sale: dict[str, Any], day: date) -> dict[str, Any]:
    return {**sale, "versao": sale.get("versao", 0) + 1, "data_movimento": day.isoformat()}


def test_a_sale_that_leaves_a_closed_day_opens_it_again(shop: Shop) -> None:
    """Monday is complete, and shown to the customers. On Tuesday one of its sales turns out to be Tuesday's. Monday's gate stayed open, on a close that counts it."""
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=6)
    shop.send("caixa-01", day, "day")
    shop.sell("posto-centro")
    for site in ("caixa-01", "posto-centro"):
        shop.close(site)
    shop.turn()
    shop.sara()
    run_due(shop["matriz"], shop.clock())
    shop.export_portal()
    shop.turn()
    portal.confirm(shop["matriz"], [batch.name for batch in shop["matriz"].context.store.days.sealed(DAY)])
    assert portal.portal_day(shop["matriz"].context, DAY).state is portal.PortalState.DONE

    shop.send("caixa-01", [moved(day[0], TUESDAY)], "moved")
    shop.turn()
    owed = reason(shop, "caixa-01")
    assert (owed.code, owed.detail["expected"], owed.detail["got"]) == (ReasonCode.DISAGREES, 6, 5)
    assert owed.command == f"filesync close --date {DAY}"
    # Nobody had to ask: the routine says so, and the page of the day says why.
    told = {(r.day, r.step) for r in run_due(shop["matriz"], shop.clock()) if r.outcome is StepOutcome.CLOSED}
    assert (DAY, "receber_vendas_remotas") in told
    assert "sales-left" in {event.what for event in shop["matriz"].context.store.days.events(DAY)}
    assert portal.portal_day(shop["matriz"].context, DAY).state is portal.PortalState.STALE

    assert shop.close("caixa-01", contado_centavos=None).document["quantidade_vendas"] == 5
    shop.turn()
    assert shop.decide(BDF) is None

    # At the portal it stands under Monday until Tuesday is sent: Monday's page and export say so, and with which command.
    assert portal_line(shop, DAY).moved_to == (TUESDAY,)
    assert shop.export_portal().moved_to == (TUESDAY,)
    shop.turn()
    assert portal_line(shop, DAY).moved_to == (TUESDAY,), "Monday's own export does not cure it"
    assert [sale["data_movimento"] for sale in at_the_portal(shop, day[0])] == [DAY.isoformat()]
    shop.close("caixa-01", TUESDAY)
    shop.close("posto-centro", TUESDAY, sem_movimento=True)
    shop.turn()
    shop.sara(TUESDAY)
    shop.export_portal(TUESDAY)
    shop.turn()
    shop.export_portal(TUESDAY)
    assert [sale["data_movimento"] for sale in at_the_portal(shop, day[0])] == [TUESDAY.isoformat()]
    assert portal_line(shop, DAY).moved_to == ()


def portal_line(shop: Shop, day: date) -> StepLine:
    return next(line for line in page(shop["matriz"].context, day).steps if line.step == portal.STEP)


def at_the_portal(shop: Shop, sale: dict[str, Any]) -> list[dict[str, Any]]:
    return [held for held in rows(shop["portal"]) if held["venda_id"] == sale["venda_id"]]


def test_a_close_that_comes_before_the_sale_has_left(shop: Shop) -> None:
    """The sale was moved before Monday was closed; what moves it is lost on the way, and Monday's close is not. The matriz still has it on Monday."""
    day = sales_of_day("posto-centro", Role.POSTO, DAY, count=6)
    shop.send("posto-centro", day, "day")
    shop.send("posto-centro", [moved(day[0], TUESDAY)], "moved")
    shop.close("posto-centro")
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop["posto-centro"].turn()
    for path in shop.network.root.glob("relay/matriz/inbox/posto-centro/vendas.*.20260303.*"):
        path.unlink()
    shop.turn()
    owed = reason(shop, "posto-centro")
    assert (owed.code, owed.detail["expected"], owed.detail["got"]) == (ReasonCode.DISAGREES, 5, 6)
    # It is asked for again by itself, and that is all there was to it.
    shop.clock.advance(hours=2)
    shop.turn()
    assert shop.decide(BDF) is None
