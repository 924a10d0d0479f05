"""Days that the day machine (test_day_machine.py) found, each told as a story: something of it was wrong once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from network import DAY, Network
from shopdays import Shop, open_shop

from filesync.day.closing import CloseOutcome
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
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
