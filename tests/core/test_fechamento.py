"""The close's document: rules that its schema cannot say, and the remark that is kept apart from what filesync adds to it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from filesync.contracts import Registry
from filesync.day import fechamento
from filesync.day.fechamento import Drawer, Key, Sold
from filesync.day.sealed import FeedSum, Figures, Tickets
from filesync.errors import RejectedError

FEED = ("vendas", "matriz", "k3v7q2ma")


def close(**drawer: Any) -> dict[str, Any]:
    day = Figures(
        3, 9_000, 1, 2_000, {"01": (1, 3_000), "17": (1, 4_000)}, (Tickets("01", "1", 7, 9, 3),)
    )  # fmt: skip
    held = FeedSum(
        4,
        5,
        2,
        3,
        {"vendas": 3, "itens": 8},
        {("total_centavos", ""): 9_000, ("pagamentos_por_forma_centavos", "17"): 4_000},
    )
    sold = Sold.since(day, {FEED: held}, [])
    said = Drawer(**{"abertura_centavos": 1_000, "suprimentos_centavos": 500, "sangrias_centavos": 2_000, "contado_centavos": 2_400, "operador": None, "observacao": None} | drawer)  # fmt: skip
    return fechamento.document(Key("caixa-01", date(2026, 3, 2), 1), "2026-03-02T18:30:00-03:00", sold, said)


def test_it_keeps_the_contract() -> None:
    contract = Registry.packaged().latest("fechamento")
    assert contract is not None
    document = close()
    table, problems, _ = contract.from_documents([document])
    assert not problems
    assert contract.validate(table).ok
    assert contract.documents(table) == [document]
    assert (document["esperado_centavos"], document["diferenca_centavos"]) == (2_500, -100)


@pytest.mark.parametrize("part", ["linhas", "totais"])
def test_rows_and_totals_only_speak_of_feeds_that_are_named(part: str) -> None:
    document = close()
    fechamento.check(document)
    document[part][0]["epoch"] = "00000000"
    with pytest.raises(RejectedError, match="only feeds that feeds names"):
        fechamento.check(document)


def test_the_form_01_is_the_cash() -> None:
    document = close()
    document["formas"][0]["valor_centavos"] += 1
    with pytest.raises(RejectedError, match="dinheiro_centavos"):
        fechamento.check(document)


def test_a_shift_says_what_the_shifts_before_it_did_not() -> None:
    first = close()
    day = Figures(3, 9_000, 2, 5_000, {"17": (2, 8_000)}, ())  # the cash was given back, a PIX came
    sold = Sold.since(day, {}, [first])
    assert (sold.quantidade_vendas, sold.total_vendas_centavos, sold.dinheiro_centavos) == (0, 0, -3_000)
    assert sold.parts["formas"] == [
        {"forma": "01", "quantidade": 0, "valor_centavos": -3_000},
        {"forma": "17", "quantidade": 1, "valor_centavos": 4_000},
    ]
    assert not sold.nothing


def test_a_remark_keeps_what_was_said_and_loses_what_is_cured() -> None:
    noted = fechamento.remark("troco", 2, ["numero 5", "numero 5", "numero [6]"])
    assert noted == "troco; [2 recusadas na origem: numero 5; numero [6)]"
    assert fechamento.remark(noted, 1, ["numero 7"]) == "troco; [1 recusadas na origem: numero 7]"
    assert fechamento.remark(noted, 0, []) == "troco"
    assert fechamento.remark(None, 0, []) is None
    long = fechamento.remark("troco", 900, [f"numero {n}" for n in range(900)])
    assert long is not None
    assert len(long) == fechamento.REMARK_CHARS_MAX
    assert fechamento.remark(long, 0, []) == "troco"
    assert fechamento.remark("x" * 490, 1, ["numero 1"]) == "x" * 490
