"""`filesync close` and `filesync send-remote` as they are typed: what they say, what they advise, and how they end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_shop import Run, Shop, open_shop

DAY = "02/03/2026"
ISO = "2026-03-02"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A till whose program drops JSON lines."""
    made = open_shop(tmp_path)
    (made.caixa / "drop" / "vendas").mkdir(parents=True)
    with (made.caixa / "filesync.toml").open("a", encoding="utf-8") as file:
        file.write('\n[datasets.vendas.source]\nkind = "jsonl"\npath = "drop/vendas/*.jsonl"\n')
    return made


def drop(shop: Shop, sales: list[dict[str, Any]]) -> None:
    path = shop.caixa / "drop" / "vendas" / "dia.jsonl"
    path.write_text("".join(json.dumps(sale) + "\n" for sale in sales), encoding="utf-8")


def close(shop: Shop, *arguments: str, code: int = 0) -> Run:
    return shop.at_caixa("close", "--date", DAY, *arguments, code=code)


def test_an_evening_at_the_till(shop: Shop) -> None:
    day = shop.sales(12)
    drop(shop, day)
    refused = close(shop, "--contado", "100,00", code=1)
    assert "02/03/2026 is not closed: 12 sales of it are saved and not sealed." in refused.err
    assert f"caixa 01, serie 1, numero {day[0]['numero']}" in refused.err
    assert f"filesync export vendas --date {ISO}" in refused.err
    shop.at_caixa("export", "vendas", "--date", ISO)
    assert "--contado 1234,56" in close(shop, code=2).err
    closed = close(shop, "--contado", "1.000,00", "--abertura", "100,00", "--operador", "ana")
    assert "02/03/2026 of caixa-01 is closed." in closed.out
    assert "12 sales" in closed.out
    assert "R$ 1.000,00 counted" in closed.out
    assert "12 sales not confirmed by matriz: not sent yet" in closed.out
    assert "Press: filesync turn" in closed.out
    assert "the drawer: R$" in closed.out
    assert "01 dinheiro" in closed.out
    again = close(shop)
    assert "is closed already" in again.out
    shop.at_caixa("turn")
    assert "sent, the receipt is not here yet" in close(shop).out
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    assert "not confirmed" not in close(shop).out


def test_the_page_shows_what_is_said(shop: Shop) -> None:
    page = (Path(__file__).parents[2] / "docs" / "closing.md").read_text(encoding="utf-8")
    first, later = re.findall(r"^<!-- a close[^\n]*\n```\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    day = shop.sales(40)
    drop(shop, [sale for sale in day if sale is not day[7]])
    shop.at_caixa("export", "vendas")
    assert close(shop, "--contado", "654,44", "--abertura", "100,00", code=1).out == first
    shop.at_caixa("export", "vendas", "--from", shop.write([{**sale, "operador": "x"} for sale in day[:2]]))
    assert later in shop.at_caixa("status").out


def test_no_difference_is_said_too(shop: Shop) -> None:
    drop(shop, shop.sales(12))
    shop.at_caixa("export", "vendas")
    document = json.loads(close(shop, "--contado", "0", "--json").out)["document"]
    count = document["esperado_centavos"]
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    corrected = close(shop, "--contado", f"{count // 100},{count % 100:02d}")
    assert "closed again: correction 1" in corrected.out
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    assert "No differences between till and server" in close(shop).out


@pytest.mark.parametrize("amount", ["1.234", "12,5", "dez", "-1,00"])
def test_an_amount_that_could_be_two_is_refused(shop: Shop, amount: str) -> None:
    assert "is no amount of money" in close(shop, f"--contado={amount}", code=2).err


def test_a_day_without_sales_is_asked_for(shop: Shop) -> None:
    refused = close(shop, "--contado", "0,00", code=1)
    assert "no sales of it are known here" in refused.err
    assert "--sem-movimento" in refused.err
    assert "no sales (sem movimento)" in close(shop, "--contado", "0,00", "--sem-movimento").out
    drop(shop, shop.sales(2))
    shop.at_caixa("export", "vendas")
    assert "it has sales" in close(shop, "--sem-movimento", code=1).err


def test_a_sale_with_a_mistake_is_named_with_its_line(shop: Shop) -> None:
    day = shop.sales(5)
    day[2]["total_centavos"] += 1
    drop(shop, day)
    shop.at_caixa("export", "vendas", code=1)
    refused = close(shop, "--contado", "0,00", code=1)
    assert "1 sale of it has a mistake" in refused.err
    assert f"line 3: caixa 01, serie 1, numero {day[2]['numero']}" in refused.err
    assert "--despite-refused" in refused.err
    closed = close(shop, "--contado", "0,00", "--despite-refused", code=1)
    assert f"tickets missing, caixa 01, serie 1: {day[2]['numero']}" in closed.out


def test_a_source_that_is_gone_is_told_with_what_to_do(shop: Shop) -> None:
    (shop.caixa / "drop" / "vendas").rmdir()
    refused = close(shop, "--contado", "0,00", "--sem-movimento", code=1)
    assert "could not be read" in refused.err
    assert "connect the share" in refused.err


def test_shifts_out_of_order(shop: Shop) -> None:
    drop(shop, shop.sales(3))
    shop.at_caixa("export", "vendas")
    refused = close(shop, "--turno", "2", "--contado", "0,00", code=1)
    assert f"filesync close --date {ISO} --turno 1" in refused.err
    close(shop, "--contado", "0,00")
    assert ", shift 2 is closed" in close(shop, "--turno", "2", "--contado", "0,00", "--sem-movimento").out


def test_programs_get_the_refusal_as_json(shop: Shop) -> None:
    drop(shop, shop.sales(3))
    found = close(shop, "--contado", "0,00", "--json", code=1).json
    assert found["error"]["code"] == "day-unsealed"
    assert found["unsealed"]["documents"] == len(found["unsealed"]["names"]) == 3


def test_later_sales_of_a_closed_day_are_told_by_status(shop: Shop) -> None:
    day = shop.sales(5)
    drop(shop, day[:3])
    shop.at_caixa("export", "vendas")
    close(shop, "--contado", "0,00")
    assert "was closed" not in shop.at_caixa("status").out
    drop(shop, day)
    shop.at_caixa("export", "vendas")
    told = shop.at_caixa("status").out
    assert (
        f"02/03/2026 was closed, and 2 sales were sealed after that. Close it again: filesync close --date {ISO}"
        in told
    )
    assert shop.at_caixa("status", "--json").json["sealed_after_close"] == [
        {"day": ISO, "batches": 1, "documents": 2}
    ]
    close(shop)
    assert "was closed" not in shop.at_caixa("status").out


def test_the_matriz_closes_nothing(shop: Shop) -> None:
    assert "at the caixa or posto" in shop.at_matriz("close", "--date", ISO, "--contado", "0", code=2).err


# ------------------------------------------------------------------------------------------------ send-remote


def send(shop: Shop, *arguments: str, code: int = 0) -> Run:
    return shop.at_caixa("send-remote", "--date", ISO, "--patience", "0", *arguments, code=code)


def test_sending_a_day_is_one_command(shop: Shop) -> None:
    drop(shop, shop.sales(12))
    under_way = send(shop, "--contado", "0,00", code=3)
    assert "is closed." in under_way.out
    assert "12 sales not confirmed by matriz: sent, the receipt is not here yet" in under_way.out
    assert "give the command again" in under_way.out
    shop.at_matriz("turn")
    sent = send(shop)
    assert "All of 02/03/2026 has arrived and is confirmed: 12 sales, and the close." in sent.out
    assert shop.at_matriz("inbox", "--json").json == []
    assert send(shop, "--json").json["confirmed"] is True


def test_sending_to_a_server_that_cannot_be_reached(shop: Shop) -> None:
    drop(shop, shop.sales(3))
    shop.matriz.rename(shop.root / "away")
    away = send(shop, "--contado", "0,00", code=3)
    assert "matriz could not be reached" in away.out
    assert "3 sales not confirmed by matriz: not sent yet" in away.out
    (shop.root / "away").rename(shop.matriz)
    send(shop, code=3)
    shop.at_matriz("turn")
    send(shop)


def test_sending_stops_where_a_close_would(shop: Shop) -> None:
    assert "--sem-movimento" in send(shop, "--contado", "0,00", code=1).err
    day = shop.sales(3)
    day[0]["total_centavos"] += 1
    drop(shop, day)
    assert "has a mistake" in send(shop, "--contado", "0,00", code=1).err
