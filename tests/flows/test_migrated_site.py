"""A site with a history is brought forward, and goes on as if nothing had been."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from network import DAY, Network, rows, sales, table
from old_store import make_old

from filesync import config
from filesync.errors import ConfigError
from filesync.exchange.lock import DAEMON_LOCK, SiteLock
from filesync.exchange.own_store import bring_forward, migrate
from filesync.exchange.station import Station
from filesync.protocol.identity import Role
from filesync.stores.schema_version import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

NEXT_DAY = DAY + timedelta(days=1)
BOTH = ("caixa-01", "matriz")


def products(price: int, *codes: str) -> list[dict[str, Any]]:
    return [
        {
            "origem": "matriz", "codigo": code, "descricao": code, "unidade": "UN", "preco_centavos": price, "vigencia_inicio": "2026-01-01",
            "ativo": True, "versao": price,
        }
        for code in codes
    ]  # fmt: skip


@pytest.fixture
def past(pair: Network) -> Network:
    """Sales that were applied, products that came back, and three batches on their way: sealed, shipped, and applied without its receipt heard."""
    pair["caixa-01"].seal("vendas", table(sales()), DAY)
    pair["matriz"].seal("produtos", table(products(100, "ENV", "CX"), "produtos"), DAY, full=True)
    pair.until_quiet(*BOTH)
    pair["caixa-01"].seal("vendas", table(sales(day=NEXT_DAY, seed=2)), NEXT_DAY)
    pair.turn(*BOTH)  # applied at the matriz; the till has not heard of it
    pair["caixa-01"].seal("vendas", table(sales(day=NEXT_DAY, seed=3)), NEXT_DAY)
    pair["caixa-01"].exchange()  # lies at the matriz
    pair["matriz"].seal("produtos", table(products(120, "ENV"), "produtos"), DAY)
    pair["caixa-01"].seal("vendas", table(sales(day=NEXT_DAY, seed=4)), NEXT_DAY)
    return pair


def go_on(network: Network) -> dict[str, Any]:
    """More of everything, and then: what each site holds."""
    changed = sales()[:2]
    for sale in changed:
        sale["versao"] = 2
        sale["operador"] = "corrigido"
    again = [*changed, *sales()[2:]]  # of these nothing but the two is new
    network["caixa-01"].seal("vendas", table(again), DAY)
    network["matriz"].seal("produtos", table(products(120, "ENV") + products(130, "CX"), "produtos"), DAY)
    network.until_quiet(*BOTH)
    return {
        "sales": rows(network["matriz"]),
        "products": rows(network["caixa-01"], "produtos"),
        "feeds": [network[site].context.store.feeds() for site in BOTH],
        "quarantine": [network.codes(site) for site in BOTH],
        "waiting": [network.outbox(*BOTH), network.outbox(*reversed(BOTH))],
    }


def test_a_site_with_a_history_goes_on_exchanging(past: Network, tmp_path: Path) -> None:
    past.close()
    control = past.copy_of(tmp_path / "control")
    for site in BOTH:
        make_old(past.root / site / config.DATABASE_NAME)
        with pytest.raises(ConfigError) as failure:
            Station.open(past.root / site)
        assert failure.value.code == "store-older"
        done = migrate(past.root / site)
        assert (done.before, done.after) == (1, SCHEMA_VERSION)
        assert done.backup is not None
        assert done.backup.is_file()
    try:
        found, expected = go_on(past), go_on(control)
    finally:
        control.close()
    assert found.keys() == expected.keys()
    # Products of which nothing is remembered are sealed whole once more, which changes nothing at the till.
    for name in ("sales", "quarantine", "waiting"):
        assert found[name] == expected[name], name
    assert found["waiting"] == [[], []]
    assert {p["codigo"]: p["preco_centavos"] for p in found["products"]} == {"ENV": 120, "CX": 130}
    assert found["products"] == expected["products"]
    assert len(found["sales"]) == 12 * 4
    vendas = [[feed for feed in feeds if feed.feed.dataset == "vendas"] for feeds in found["feeds"]]
    assert vendas == [
        [feed for feed in feeds if feed.feed.dataset == "vendas"] for feeds in expected["feeds"]
    ]


def test_sites_are_brought_forward_one_at_a_time(past: Network) -> None:
    past.close()
    make_old(past.root / "caixa-01" / config.DATABASE_NAME)
    migrate(past.root / "caixa-01")
    past.until_quiet(*BOTH)
    assert len(rows(past["matriz"])) == 12 * 4
    assert past.codes("caixa-01") == past.codes("matriz") == []


def test_a_store_is_not_brought_forward_under_a_daemon(past: Network) -> None:
    past.close()
    root = past.root / "matriz"
    make_old(root / config.DATABASE_NAME)
    with SiteLock(root / DAEMON_LOCK, 0.0).held(), pytest.raises(ConfigError) as failure:
        migrate(root)
    assert failure.value.code == "migrate-running"
    assert list(root.glob("filesync.db.before*")) == []
    migrate(root)
    assert len(list(root.glob("filesync.db.before*"))) == 1


def test_a_store_of_another_site_is_not_brought_forward(past: Network) -> None:
    past.close()
    root = past.root / "matriz"
    make_old(root / config.DATABASE_NAME)
    path = root / config.FILE_NAME
    path.write_text(path.read_text("utf-8").replace('site = "matriz"', 'site = "other"'), "utf-8")
    with pytest.raises(ConfigError) as failure:
        bring_forward(config.load(root))
    assert failure.value.code == "site-mismatch"


def test_init_brings_a_store_forward_that_it_finds(past: Network) -> None:
    """As after `filesync.toml` was lost, and an upgrade."""
    past.close()
    root = past.root / "matriz"
    make_old(root / config.DATABASE_NAME)
    settings = (root / config.FILE_NAME).read_text("utf-8")
    (root / config.FILE_NAME).unlink()
    Station.init(root, site="matriz", role=Role.MATRIZ)
    assert len(list(root.glob("filesync.db.before*"))) == 1
    (root / config.FILE_NAME).write_text(settings, "utf-8")
    past.until_quiet(*BOTH)
    assert len(rows(past["matriz"])) == 12 * 4


def test_init_does_not_take_another_site_s_store(past: Network) -> None:
    past.close()
    root = past.root / "matriz"
    (root / config.FILE_NAME).unlink()
    for site, role in (("other", Role.MATRIZ), ("matriz", Role.POSTO)):
        with pytest.raises(ConfigError, match="matriz") as failure:
            Station.init(root, site=site, role=role)
        assert failure.value.code == "site-mismatch"
        assert not (root / config.FILE_NAME).exists()


def test_evidence_of_what_was_known_is_as_it_was(past: Network) -> None:
    """Receipts are sent again from a store that was brought forward, byte for byte."""
    given = {stored.name: stored for stored in receipts(past)}
    past.close()
    make_old(past.root / "matriz" / config.DATABASE_NAME)
    migrate(past.root / "matriz")
    assert {stored.name: stored for stored in receipts(past)} == given
    assert all(json.loads(stored.receipt or "{}")["verdict"] == "APPLIED" for stored in given.values())


def receipts(network: Network) -> list[Any]:
    store = network["matriz"].context.store
    names = [name for (name,) in store._db.select("SELECT name FROM fs_incoming ORDER BY name")]
    return [store.receipt_of(name) for name in names]
