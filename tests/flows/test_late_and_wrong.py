"""Days that go wrong, told as a shopkeeper would: sales that come late, clocks and dates that are wrong, a posto that is silent, a till that dies.

Stations in one process and a fake clock; the commands' own functions. In every story nothing is lost, nothing counts twice, and whoever
asks is told what is missing and what to do.
"""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

import pytest
from network import DAY, FakeClock, Network, rows
from shopdays import MORNING_AFTER, Shop, open_shop

from filesync.day import filing, reconciling, routine
from filesync.day import runners as runners  # noqa: PLC0414 -- every step runs by itself
from filesync.day.closing import CloseOutcome, CloseRefusedError
from filesync.day.filing import Asked, FilingState
from filesync.day.reconciling import Colour
from filesync.day.routine import run_due
from filesync.day.values import Known, ReasonCode, StepOutcome
from filesync.demo.billing import billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.demo.sales import cancelled, sales_of_day
from filesync.exchange import voids
from filesync.exchange.station import Station
from filesync.protocol.identity import Feed, Role
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from filesync.day.values import Reason

BDF = "importar_bdf"
LAYOUTS = {layout.name: layout for layout in shipped_layouts()}


@pytest.fixture
def shop(network: Network) -> Shop:
    return open_shop(network)


def sold(shop: Shop, day: date = DAY) -> list[dict[str, Any]]:
    """What the matriz holds of a day."""
    return [sale for sale in rows(shop["matriz"]) if sale["data_movimento"] == day.isoformat()]


def total(sales: list[dict[str, Any]]) -> int:
    return sum(sale["total_centavos"] for sale in sales if sale["situacao"] != "cancelada")


def reason(shop: Shop, site: str, step: str = BDF, day: date = DAY) -> Reason:
    """The one thing that keeps a step closed at a site."""
    (found,) = (r for r in shop.decide(step, day) or () if r.site == site)
    return found


def ordinary_day(shop: Shop, day: date = DAY, count: int = 12) -> None:
    """Both shops sell and close, and everything arrives."""
    for site in ("caixa-01", "posto-centro"):
        shop.sell(site, day, count)
        shop.close(site, day)
    shop.turn()
    assert shop.decide(BDF, day) is None


# ------------------------------------------------------------------------------------------------ late sales


def bill(shop: Shop, day: date = DAY) -> None:
    """The night's files of Correios, as the matriz has the sales now."""
    billing = billing_of_day(sold(shop, day))
    for dataset, layout in (("bdf", "exemplo-bdf-posicional"), ("ca", "exemplo-ca-csv")):
        path = shop.network.root / f"{dataset}-{day}.txt"
        path.write_bytes(billing_file(LAYOUTS[layout], day, billing.rows(dataset)))
        taken = filing.take(shop["matriz"], Asked(dataset, path, day, by="Márcia"))
        assert taken.state is FilingState.TAKEN


def test_late_sales_for_a_day_that_was_reconciled(shop: Shop) -> None:
    """The posto finds a receipt book behind the counter: five sales of Monday, typed in on Wednesday. Monday was reconciled long ago."""
    matriz = shop["matriz"]
    ordinary_day(shop)
    shop.clock.advance(hours=14)
    bill(shop)
    first = reconciling.reconcile(matriz.context, DAY)
    assert first.clean
    routine.mark_done(matriz.context, "conciliar", DAY, by="Márcia")
    assert shop.decide("conciliar") is None
    run_due(matriz, shop.clock())  # as the daemon has seen it, since Tuesday

    shop.clock.advance(days=1)
    found = sales_of_day("posto-centro", Role.POSTO, DAY, count=5, seed=9, first_number=90_000)
    shop.send("posto-centro", found, "receipt-book")
    shop.turn()
    # Applied: the sales are in every report.
    assert {sale["venda_id"] for sale in found} <= {sale["venda_id"] for sale in sold(shop)}
    # Reopened: the close does not name them, and says so to whoever asks.
    assert {site for site, _ in shop.codes("conciliar")} == {"posto-centro"}
    late = reason(shop, "posto-centro")
    assert (late.code, late.detail["documents"]) == (ReasonCode.LATE, 5)
    # Stale, and told: what was reconciled is no longer what was sold.
    stale = reconciling.summary(matriz.context, DAY)
    assert stale is not None
    assert stale.changed == ("vendas",)
    told = run_due(matriz, shop.clock())
    assert ("conciliar", StepOutcome.CLOSED) in {(report.step, report.outcome) for report in told}

    shop.close("posto-centro", contado_centavos=None)
    shop.turn()
    assert shop.decide("conciliar") is None
    again = reconciling.reconcile(matriz.context, DAY)
    assert not again.stale
    posted = [p for s in found if s["situacao"] != "cancelada" for p in s.get("postagens", ())]
    # Sold, and not in the files of that night: red until Correios sends a corrected one.
    assert again.count(Colour.RED) == len(posted) > 0
    bill(shop)
    assert reconciling.summary(matriz.context, DAY) != again
    assert reconciling.reconcile(matriz.context, DAY).clean


def test_late_sales_are_reconciled_by_themselves(shop: Shop) -> None:
    """The same with nobody at the matriz: the routine says that Monday closed again, and reconciles it anew when it may."""
    matriz = shop["matriz"]
    ordinary_day(shop)
    bill(shop)
    assert ("conciliar", StepOutcome.RAN) in {(r.step, r.outcome) for r in run_due(matriz, shop.clock())}
    shop.clock.advance(days=1)
    found = sales_of_day("caixa-01", Role.CAIXA, DAY, count=5, seed=9, first_number=90_000)
    shop.send("caixa-01", found, "late")
    shop.turn()
    assert ("conciliar", StepOutcome.CLOSED) in {(r.step, r.outcome) for r in run_due(matriz, shop.clock())}
    shop.close("caixa-01", contado_centavos=None)
    shop.turn()
    assert ("conciliar", StepOutcome.RAN) in {(r.step, r.outcome) for r in run_due(matriz, shop.clock())}
    summary = reconciling.summary(matriz.context, DAY)
    assert summary is not None
    assert not summary.stale
    assert run_due(matriz, shop.clock()) == []


# ------------------------------------------------------------------------------------------------ a sale cancelled the next day


def test_a_sale_cancelled_the_next_day_opens_the_day_again(shop: Shop) -> None:
    """The customer comes back on Tuesday; Monday was complete. The till closes Monday once more, with the same drawer."""
    ordinary_day(shop)
    monday = sold(shop)
    sale = next(s for s in monday if s["origem"] == "caixa-01" and s["situacao"] == "concluida")

    shop.clock.advance(hours=15)
    shop.send("caixa-01", [cancelled(sale)], "tuesday-cancelled")
    shop.turn()
    # The matriz has the cancellation, and says that Monday is not as the till closed it.
    assert total(sold(shop)) == total(monday) - sale["total_centavos"]
    late = reason(shop, "caixa-01")
    assert late.code is ReasonCode.LATE
    assert late.at == "caixa-01"
    assert late.command is not None
    assert "filesync close --date 2026-03-02" in late.command

    again = shop.close("caixa-01", contado_centavos=None)
    assert again.outcome is CloseOutcome.CORRECTED
    shop.turn()
    assert shop.decide(BDF) is None
    assert len(sold(shop)) == len(monday)  # a newer version of the sale, no second one


# ------------------------------------------------------------------------------------------------ a wrong clock


@pytest.mark.parametrize("away", [timedelta(days=400), timedelta(days=-400)], ids=["ahead", "behind"])
def test_a_till_with_a_wrong_clock(shop: Shop, away: timedelta) -> None:
    """The battery of the till's clock is empty. Its sales, its numbers and its days are as right as ever."""
    shop.network.stations["caixa-01"] = Station.open(
        shop.network.root / "caixa-01", clock=FakeClock(shop.clock.now + away)
    )
    wrong = timezone(timedelta(hours=-3))
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=12)
    for sale in sales:
        moment = datetime.fromisoformat(sale["registrada_em"]).astimezone(wrong) + away
        sale["registrada_em"] = moment.isoformat()
    shop.send("caixa-01", sales[:8], "morning")
    shop.send("caixa-01", sales, "evening")
    shop.sell("posto-centro")
    shop.close("caixa-01")
    shop.close("posto-centro")
    shop.turn()
    assert shop.decide(BDF) is None
    assert {sale["venda_id"] for sale in sold(shop)} >= {sale["venda_id"] for sale in sales}
    # Somebody sets it right in the night: the next day's numbers go on where they were.
    shop.network.reopen("caixa-01")
    shop.clock.advance(days=1)
    ordinary_day(shop, MORNING_AFTER)
    assert shop.network.codes("matriz") == []


# ------------------------------------------------------------------------------------------------ a wrong business date


def test_a_day_sold_under_the_wrong_date_and_corrected(shop: Shop) -> None:
    """Nobody turned the day over at the till: Monday's sales carry Tuesday's date. The close of Monday finds none, and that is how one learns."""
    wrong = sales_of_day("caixa-01", Role.CAIXA, MORNING_AFTER, count=12)
    shop.send("caixa-01", wrong, "monday")
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.turn()
    with pytest.raises(CloseRefusedError) as empty:
        shop.close("caixa-01")
    assert empty.value.code == "day-empty"
    assert reason(shop, "caixa-01").code is ReasonCode.NOT_CLOSED

    right = [
        {**sale, "versao": sale.get("versao", 0) + 1, "data_movimento": DAY.isoformat()} for sale in wrong
    ]
    shop.send("caixa-01", right, "monday-corrected")
    shop.close("caixa-01")
    shop.turn()
    assert shop.decide(BDF) is None
    assert len([sale for sale in sold(shop) if sale["origem"] == "caixa-01"]) == 12
    assert sold(shop, MORNING_AFTER) == []  # moved, not copied

    # Tuesday is a day like any other, although a batch of it was sealed on Monday.
    shop.clock.advance(days=1)
    shop.send(
        "caixa-01",
        sales_of_day("caixa-01", Role.CAIXA, MORNING_AFTER, count=9, seed=2, first_number=50_000),
        "tue",
    )
    shop.sell("posto-centro", MORNING_AFTER)
    shop.close("caixa-01", MORNING_AFTER)
    shop.close("posto-centro", MORNING_AFTER)
    shop.turn()
    assert shop.decide(BDF, MORNING_AFTER) is None
    assert len([sale for sale in sold(shop, MORNING_AFTER) if sale["origem"] == "caixa-01"]) == 9


def test_a_date_corrected_after_the_day_was_closed(shop: Shop) -> None:
    """One sale of Monday belongs to Tuesday. It leaves Monday everywhere, and both days say so until the till has closed them again."""
    ordinary_day(shop)
    monday = sold(shop)
    sale = next(s for s in monday if s["origem"] == "caixa-01" and s["situacao"] == "concluida")
    moved = {**sale, "versao": sale.get("versao", 0) + 1, "data_movimento": MORNING_AFTER.isoformat()}
    shop.clock.advance(days=1)
    shop.send("caixa-01", [moved], "moved")
    ordinary_day(shop, MORNING_AFTER)
    assert len(sold(shop)) == len(monday) - 1
    assert any(s["venda_id"] == sale["venda_id"] for s in sold(shop, MORNING_AFTER))


# ------------------------------------------------------------------------------------------------ three silent days


def test_a_posto_that_sends_nothing_for_three_days_and_then_everything(shop: Shop) -> None:
    """The posto's line is cut on Monday. It sells and closes as always. On Thursday the line is back."""
    days = [DAY + timedelta(days=offset) for offset in range(3)]
    for day in days:
        shop.sell("caixa-01", day)
        shop.close("caixa-01", day)
        shop.sell("posto-centro", day)
        shop.close("posto-centro", day)
        shop.turn("caixa-01", "matriz")
        shop.clock.advance(days=1)
    for day in days:
        missing = reason(shop, "posto-centro", day=day)
        assert missing.code is ReasonCode.NOT_CLOSED
        assert missing.known is Known.NOT_PRODUCED  # nothing that came from there says otherwise
        assert missing.action
    assert [sale["origem"] for sale in sold(shop) if sale["origem"] != "caixa-01"] == []

    shop.turn()
    for day in days:
        assert shop.decide(BDF, day) is None
        assert len(sold(shop, day)) == 24
    assert shop.network.codes("matriz") == []


def test_the_last_days_arrive_before_the_first(shop: Shop) -> None:
    """Wednesday comes on a stick while Monday and Tuesday still lie at the relay: nothing is applied out of order, and it is said."""
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.sell("posto-centro")
    shop["posto-centro"].turn()  # Monday's sales lie at the relay
    held_up = shop.network.root / "held-up"
    mailbox = shop.network.root / "relay" / "matriz" / "inbox" / "posto-centro"
    shutil.move(mailbox, held_up)
    shop.close("posto-centro")
    shop["posto-centro"].turn()
    shop.turn("caixa-01", "matriz")
    found = shop.decide(BDF)
    assert found is not None
    assert {r.site for r in found} == {"posto-centro"}
    shutil.copytree(held_up, mailbox, dirs_exist_ok=True)
    shop.turn()
    assert shop.decide(BDF) is None


# ------------------------------------------------------------------------------------------------ closed twice


def test_a_day_closed_twice(shop: Shop) -> None:
    """The operator presses the button again; then she finds ten reais under the drawer and counts anew."""
    shop.sell("caixa-01")
    shop.sell("posto-centro")
    shop.close("posto-centro")
    first = shop.close("caixa-01", contado_centavos=10_000)
    twice = shop.close("caixa-01", contado_centavos=10_000)
    assert (first.outcome, twice.outcome) == (CloseOutcome.CLOSED, CloseOutcome.UNCHANGED)
    assert twice.batch is None
    shop.turn()
    assert shop.decide(BDF) is None

    counted = shop.close("caixa-01", contado_centavos=11_000)
    assert (counted.outcome, counted.versao) == (CloseOutcome.CORRECTED, first.versao + 1)
    shop.turn()
    assert shop.decide(BDF) is None  # a corrected drawer closes no gate
    held = next(row for row in rows(shop["matriz"], "fechamento") if row["origem"] == "caixa-01")
    assert (held["contado_centavos"], held["versao"]) == (11_000, counted.versao)


# ------------------------------------------------------------------------------------------------ a till replaced


def replace_till(shop: Shop, site: str = "caixa-01") -> str:
    """The computer is dead: a new one is set up with the same name and key. Returns the epoch of the old one."""
    root = shop.network.root / site
    epoch = shop[site].context.epoch
    shop.network.stations.pop(site).close()
    broken = root.rename(shop.network.root / f"broken-{site}")
    (root / "keys").mkdir(parents=True)
    for name in ("site_ed25519", "site_ed25519.pub"):
        for found in (broken / "keys").glob(name):
            shutil.copy(found, root / "keys")
    shutil.copytree(broken / "keys", root / "keys", dirs_exist_ok=True)
    shop.network.site(site, Role.CAIXA)
    shutil.copy(broken / "filesync.toml", root)
    return epoch


@pytest.fixture
def replaced(shop: Shop) -> tuple[Shop, str, list[dict[str, Any]]]:
    """A till sold in the morning, told the matriz of two batches, brought one, and died. A new one sold the afternoon and closed."""
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY, count=12)
    shop.send("caixa-01", sales[:4], "opening")
    shop.turn("caixa-01", "matriz")
    shop.send("caixa-01", sales[4:8], "noon")
    # The word of it travels, its payload does not: the cable is pulled in between.
    before = set((shop.network.root / "matriz" / "inbox" / "caixa-01").glob("*"))
    shop["caixa-01"].exchange()
    for path in set((shop.network.root / "matriz" / "inbox" / "caixa-01").glob("*")) - before:
        if "heartbeat" not in path.name:
            path.unlink()
    shop["matriz"].turn()
    epoch = replace_till(shop)
    shop.send("caixa-01", sales[8:], "afternoon")
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop.close("caixa-01")
    shop.turn("caixa-01", "matriz", "posto-centro")
    return shop, epoch, sales


def test_a_till_replaced_in_the_middle_of_the_day_still_owes_what_the_old_one_had(
    replaced: tuple[Shop, str, list[dict[str, Any]]],
) -> None:
    shop, epoch, sales = replaced
    # The new till's close says nothing of noon, and cannot. The old one's word stands until its batch comes.
    owed = reason(shop, "caixa-01")
    assert (owed.code, owed.epoch, owed.seqs) == (ReasonCode.MISSING, epoch, ((2, 2),))
    assert "void" in owed.action + (owed.command or "")
    held = {sale["numero"] for sale in sold(shop) if sale["origem"] == "caixa-01"}
    assert held == {sale["numero"] for sale in [*sales[:4], *sales[8:]]}


def test_the_old_disk_can_still_be_read(replaced: tuple[Shop, str, list[dict[str, Any]]]) -> None:
    shop, _, sales = replaced
    with Station.open(shop.network.root / "broken-caixa-01", clock=shop.clock) as old:
        stick = shop.network.root / "stick"
        stick.mkdir()
        old.carry_out(stick)
    shop["matriz"].carry_in(stick)
    shop.turn("caixa-01", "matriz", "posto-centro")
    assert {sale["numero"] for sale in sold(shop) if sale["origem"] == "caixa-01"} == {
        sale["numero"] for sale in sales
    }
    assert shop.decide(BDF) is None  # the new till's close could not name them, and need not


def test_the_old_disk_is_gone_for_good(replaced: tuple[Shop, str, list[dict[str, Any]]]) -> None:
    """The tickets of noon are typed in again at the new till; what the old one sealed is given up, with a name and a reason."""
    shop, epoch, sales = replaced
    again = [{**sale, "venda_id": str(uuid5(NAMESPACE_OID, sale["venda_id"]))} for sale in sales[4:8]]
    shop.send("caixa-01", again, "noon-typed-in")
    shop.close("caixa-01", contado_centavos=None)
    shop.turn("caixa-01", "matriz", "posto-centro")
    assert reason(shop, "caixa-01").code is ReasonCode.MISSING
    feed = Feed("caixa-01", "vendas", "matriz")
    with shop["matriz"].at_work() as ctx:
        (void,) = voids.void(
            ctx, feed, [2], reason="disk burnt, noon typed in again", by="Márcia", epoch=epoch
        )
    assert (void.override, void.by) == (True, "Márcia")
    assert shop.decide(BDF) is None
    held = [sale["numero"] for sale in sold(shop) if sale["origem"] == "caixa-01"]
    assert sorted(held) == sorted(sale["numero"] for sale in sales)

    # A month later somebody reads the old disk after all: nothing of it counts twice.
    shop.clock.advance(days=30)
    with Station.open(shop.network.root / "broken-caixa-01", clock=shop.clock) as old:
        stick = shop.network.root / "stick"
        stick.mkdir()
        old.carry_out(stick)
    shop["matriz"].carry_in(stick)
    shop.turn("caixa-01", "matriz", "posto-centro")
    assert len([sale for sale in sold(shop) if sale["origem"] == "caixa-01"]) == len(sales)
    assert shop.decide(BDF) is None
