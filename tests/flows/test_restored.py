"""A database is put back from a backup: the site notices, begins a new epoch, and goes on; nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from network import DAY, Network, rows, sales, table

from filesync import config
from filesync.errors import ConfigError
from filesync.exchange.renewing import SignKind
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

SITES = ("caixa-01", "matriz")


@pytest.fixture
def shop(network: Network) -> Network:
    """A till with a source of sales, and a matriz with cadastros."""
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    network.configure(
        "caixa-01", '\n[datasets.vendas.source]\nkind = "jsonl"\npath = "drop/vendas/*.jsonl"\n'
    )
    network.configure(
        "matriz", '\n[datasets.produtos.source]\nkind = "jsonl"\npath = "drop/produtos/*.jsonl"\n'
    )
    return network


DAY_SALES = sales("caixa-01", 6)


def sell(shop: Network, count: int) -> None:
    """The till's file holds its first sales of the day."""
    write(shop.root / "caixa-01" / "drop" / "vendas" / "vendas.jsonl", DAY_SALES[:count])


def goods(shop: Network, *prices: int) -> None:
    products = [
        {"origem": "matriz", "codigo": f"P{n}", "descricao": f"Produto {n}", "unidade": "UN", "preco_centavos": price, "ativo": True,
         "vigencia_inicio": "2026-01-01"}
        for n, price in enumerate(prices)
    ]  # fmt: skip
    write(shop.root / "matriz" / "drop" / "produtos" / "produtos.jsonl", products)


def write(path: Path, documents: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")


def back_up(shop: Network, site: str) -> Path:
    copy = shop.root / f"{site}.backup"
    with sqlite3.connect(shop.root / site / config.DATABASE_NAME) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    return copy


def restore(shop: Network, site: str, copy: Path) -> None:
    shop.stations.pop(site).close()
    database = shop.root / site / config.DATABASE_NAME
    for beside in database.parent.glob(f"{database.name}*"):
        beside.unlink()
    database.write_bytes(copy.read_bytes())


def numbers(shop: Network, site: str = "matriz") -> list[str]:
    return sorted(row["venda_id"] for row in rows(shop[site], "vendas"))


def all_of_it(count: int) -> list[str]:
    return sorted(str(sale["venda_id"]) for sale in DAY_SALES[:count])


def at_rest(shop: Network) -> None:
    shop.until_quiet(*SITES)
    for site in SITES:
        status = shop[site].status()
        assert not status.waiting
        assert not status.outbox


def test_a_restored_till_notices_and_goes_on(shop: Network) -> None:
    sell(shop, 2)
    shop.until_quiet(*SITES)
    backup = back_up(shop, "caixa-01")
    sell(shop, 4)
    shop.until_quiet(*SITES)
    assert numbers(shop) == all_of_it(4)
    before = shop["caixa-01"].context.epoch

    restore(shop, "caixa-01", backup)
    for path in (shop.root / "caixa-01" / "archive").rglob("*.jsonl"):
        path.unlink()  # the disk was lost too
    for path in (shop.root / "caixa-01" / "archive").rglob("*.json"):
        path.unlink()
    sell(shop, 5)
    shop.turn("caixa-01", "matriz", "caixa-01")
    assert numbers(shop) == all_of_it(4), "the number was used before: nothing of it is taken"
    assert any("filesync restored" in warning for warning in shop["caixa-01"].status().warnings)

    done = shop["caixa-01"].renew(reason="disk failed", by="Ana")
    assert [(sign.kind, sign.peer) for sign in done.signs] == [(SignKind.REFUSED, "matriz")]
    assert (done.before, shop["caixa-01"].context.epoch) == (before, done.epoch)
    assert done.epoch != before
    assert shop.reopen("caixa-01").context.epoch == done.epoch
    at_rest(shop)
    assert numbers(shop) == all_of_it(5), "what was refused, and what came after the backup"
    assert not any("filesync restored" in warning for warning in shop["caixa-01"].status().warnings)
    sell(shop, 6)
    at_rest(shop)
    assert numbers(shop) == all_of_it(6)
    assert not shop["matriz"].status().holes
    with pytest.raises(ConfigError) as refused:
        shop["caixa-01"].renew(reason="again", by="Ana")
    assert refused.value.code == "restored-unneeded"
    assert shop["caixa-01"].context.epoch == done.epoch


def test_a_folder_that_survived_shows_it_before_anything_is_sent(shop: Network) -> None:
    sell(shop, 2)
    shop.until_quiet(*SITES)
    backup = back_up(shop, "caixa-01")
    sell(shop, 4)
    shop.until_quiet(*SITES)
    restore(shop, "caixa-01", backup)
    done = shop["caixa-01"].renew(reason="damaged", by="Ana")
    assert [sign.kind for sign in done.signs] == [SignKind.UNKNOWN_FILE]
    at_rest(shop)
    assert numbers(shop) == all_of_it(4)
    assert not shop["caixa-01"].status().quarantine
    assert not shop["matriz"].status().quarantine


def test_a_number_that_was_lost_with_the_disk_is_asked_for_and_given_up(shop: Network) -> None:
    sell(shop, 2)
    shop.until_quiet(*SITES)
    backup = back_up(shop, "caixa-01")
    sell(shop, 3)
    shop.turn("caixa-01")
    for lost in (*shop.inbox("matriz", "caixa-01"), *shop.outbox("caixa-01", "matriz")):
        lost.unlink()
    restore(shop, "caixa-01", backup)
    shop.turn("matriz")
    shop.clock.advance(minutes=11)
    shop.turn("matriz")
    write(shop.root / "caixa-01" / "drop" / "vendas" / "vendas.jsonl", DAY_SALES[:2])
    shop.turn("caixa-01")
    done = shop["caixa-01"].renew(reason="disk failed", by="Ana")
    assert [(sign.kind, sign.name, sign.peer) for sign in done.signs] == [
        (SignKind.ASKED, "vendas.caixa-01.matriz 2", "matriz")
    ]
    sell(shop, 3)
    shop.until_quiet(*SITES)
    assert numbers(shop) == all_of_it(3)
    (hole,) = shop["matriz"].status().holes
    assert (hole.epoch, hole.first, hole.last) == (done.before, 2, 2), "the till cannot say what was in it"
    shop["matriz"].void("vendas.caixa-01.matriz", [2], reason="the disk", by="Ana", epoch=done.before)
    at_rest(shop)
    assert not shop["matriz"].status().holes


def test_what_was_still_on_its_way_when_the_epoch_began_comes_again_by_itself(shop: Network) -> None:
    sell(shop, 2)
    shop.until_quiet(*SITES)
    backup = back_up(shop, "caixa-01")
    sell(shop, 3)
    shop.until_quiet(*SITES)
    restore(shop, "caixa-01", backup)
    sell(shop, 5)
    shop.turn("caixa-01")  # under a number that was used: the matriz has not looked yet
    shop["caixa-01"].renew(reason="damaged", by="Ana")
    at_rest(shop)
    assert numbers(shop) == all_of_it(5)


def test_a_restored_matriz_sends_its_cadastros_whole_and_gets_its_sales_again(shop: Network) -> None:
    goods(shop, 100, 200)
    sell(shop, 2)
    shop.until_quiet(*SITES)
    backup = back_up(shop, "matriz")
    goods(shop, 150, 200)
    sell(shop, 4)
    shop.until_quiet(*SITES)
    assert prices(shop) == [150, 200]
    restore(shop, "matriz", backup)
    done = shop["matriz"].renew(reason="disk failed", by="Ana", anyway=True)
    assert done.signs
    shop.clock.advance(minutes=16)
    shop.turn("caixa-01", "matriz")
    shop.clock.advance(minutes=16)
    for _ in range(3):
        shop.turn("matriz", "caixa-01")
    at_rest(shop)
    assert numbers(shop) == all_of_it(4)
    assert prices(shop) == [150, 200]
    goods(shop, 150, 250, 300)
    at_rest(shop)
    assert prices(shop) == [150, 250, 300]
    network_later(shop)
    at_rest(shop)
    assert [row["preco_centavos"] for row in rows(shop["caixa-02"], "produtos")] == [150, 250, 300]


def network_later(shop: Network) -> None:
    """A till that comes in the new epoch finds everything in it."""
    shop.stations.pop("matriz").close()
    shop.site("caixa-02", Role.CAIXA)
    shop.peer("caixa-02", "matriz", Role.MATRIZ, link="../matriz")
    shop.peer("matriz", "caixa-02", Role.CAIXA)
    shop.turn("caixa-02", "matriz", "caixa-02", "matriz", "caixa-02")


def prices(shop: Network, site: str = "caixa-01") -> list[int]:
    return [
        row["preco_centavos"] for row in sorted(rows(shop[site], "produtos"), key=lambda row: row["codigo"])
    ]


def test_nothing_is_begun_without_a_sign_or_while_it_runs(shop: Network) -> None:
    before = shop["caixa-01"].context.epoch
    for reason, code in (("", "restored-reason"), ("why not", "restored-unneeded")):
        with pytest.raises(ConfigError) as refused:
            shop["caixa-01"].renew(reason=reason, by="Ana")
        assert refused.value.code == code
    assert shop["caixa-01"].context.epoch == before
    assert shop["caixa-01"].renew(reason="I know it", by="Ana", anyway=True).signs == ()
    shop["caixa-01"].seal("vendas", table(DAY_SALES[:1]), DAY)
    at_rest(shop)
    assert numbers(shop) == all_of_it(1)
