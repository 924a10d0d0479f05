"""Two versions of a contract at work at once: the matriz upgrades first, then the tills one at a time, and nobody notices."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, sales
from newer import as_table, forget, held, newer, produtos_v2, teach, vendas_v2, vendas_v3
from shopdays import open_shop

from filesync.contracts import BreakingError, Contract
from filesync.day import portal
from filesync.day.page import SiteState
from filesync.day.portal import PortalState
from filesync.day.report import page
from filesync.day.sealed import figures
from filesync.day.unsealed import unsealed
from filesync.day.values import StepOutcome
from filesync.demo.sales import sales_of_day
from filesync.exchange import applying, incoming
from filesync.protocol.heartbeat import Heartbeat
from filesync.protocol.identity import BatchName, Role
from filesync.protocol.receipt import Receipt, Verdict
from filesync.stores.values import IncomingBatch, OutgoingBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.exchange.reports import SealReport, TurnReport

Json = Any
TILLS = ("caixa-01", "caixa-02", "caixa-03")


@pytest.fixture
def shop(network: Network) -> Network:
    """A matriz and three tills that reach its folder, all of today's version."""
    network.site("matriz", Role.MATRIZ)
    for till in TILLS:
        add_till(network, till)
    return network


def add_till(network: Network, till: str) -> None:
    network.site(till, Role.CAIXA)
    network.peer(till, "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", till, Role.CAIXA)
    network.configure(till, "\n[datasets.vendas.source]\nkind = 'jsonl'\npath = 'drop/vendas/*.jsonl'\n")
    (network.root / till / "drop" / "vendas").mkdir(parents=True)


def drop(network: Network, till: str, documents: Sequence[Json], name: str = "day.jsonl") -> None:
    text = "".join(json.dumps(document) + "\n" for document in documents)
    (network.root / till / "drop" / "vendas" / name).write_text(text, encoding="utf-8")


def seal(network: Network, till: str, documents: list[Json], schema: Json | None = None) -> SealReport:
    """Seal documents as a till of that version (None: today's) would make them."""
    contract = network[till].context.contracts.latest("vendas")
    assert contract is not None
    return network[till].seal("vendas", as_table(schema or contract.schema, documents))


def versions(network: Network, site: str, names: Sequence[str]) -> list[int]:
    """The versions that sealed batches name."""
    found = []
    for name in names:
        batch = network[site].context.store.batch(name)
        assert isinstance(batch, OutgoingBatch | IncomingBatch)
        found.append(
            batch.version
            if isinstance(batch, IncomingBatch)
            else json.loads(batch.manifest)["batch"]["version"]
        )
    return found


def sealed(reports: Sequence[TurnReport]) -> list[str]:
    return [batch.name for report in reports for done in report.exported for batch in done.sealed]


def in_order(documents: Sequence[Json]) -> list[Json]:
    return sorted(documents, key=lambda sale: (sale["origem"], sale["venda_id"]))


# --- the story


def test_the_matriz_upgrades_first_then_the_tills_one_at_a_time(shop: Network) -> None:
    sold = {till: sales(till, count=6) for till in TILLS}
    for till in TILLS:
        drop(shop, till, sold[till][:2])
    first = sealed(shop.turn(*TILLS))
    shop.turn("matriz")
    everything = in_order([sale for till in TILLS for sale in sold[till][:2]])
    assert held(shop["matriz"]) == everything

    # The matriz, in the middle of the day. What it holds is read in the new form at once, and counts as before.
    teach(shop, "matriz", vendas_v2())
    assert held(shop["matriz"]) == held(shop["matriz"], version=1) == everything
    vendas = shop["matriz"].context.contracts.latest("vendas")
    assert vendas is not None
    with shop["matriz"].context.store.reporting.agency(vendas, None, DAY) as agency:
        assert agency.total.sales + agency.total.cancelled == 6
    for till in TILLS:
        drop(shop, till, sold[till][:3])
    shop.until_quiet("matriz", *TILLS)
    assert len(held(shop["matriz"])) == 9
    assert versions(shop, "matriz", first) == [1, 1, 1]

    # One till: what was sent before is not sent again, and what it can say now is said.
    teach(shop, "caixa-01", vendas_v2())
    sold["caixa-01"][3:] = [newer(sale, frete_centavos=500, canal="web") for sale in sold["caixa-01"][3:]]
    for till in TILLS:
        drop(shop, till, sold[till][:5])
    names = sealed(shop.turn(*TILLS))
    assert [BatchName.parse(name).id.feed.origin for name in names] == list(TILLS)
    assert [versions(shop, BatchName.parse(name).id.feed.origin, [name]) for name in names] == [[2], [1], [1]]
    (report,) = shop.turn("matriz")
    assert [batch.documents for batch in report.imported.applied] == [2, 2, 2]
    assert Counter(versions(shop, "matriz", names)) == {1: 2, 2: 1}

    # Then the others.
    for till in TILLS[1:]:
        teach(shop, till, vendas_v2())
        sold[till][5] = newer(sold[till][5], volumes=[{"numero": 1, "peso_g": 300}])
    for till in TILLS:
        drop(shop, till, sold[till])
    shop.until_quiet(*TILLS, "matriz")
    everything = in_order([sale for till in TILLS for sale in sold[till]])
    assert held(shop["matriz"]) == everything
    assert Contract.from_schema(vendas_v2()).validate(as_table(vendas_v2(), held(shop["matriz"]))).ok
    for site in ("matriz", *TILLS):
        status = shop[site].status()
        assert (status.outbox, status.inbox, status.quarantine, status.holes) == ((), (), (), ()), site


def test_a_till_that_is_ahead_of_the_matriz_waits_and_goes_on_by_itself(shop: Network) -> None:
    teach(shop, "matriz", vendas_v2())
    shop.turn("matriz", *TILLS)
    teach(shop, "caixa-03", vendas_v2(), vendas_v3())
    sold = sales("caixa-03", count=6)
    sold[1] = newer(sold[1])  # v2 can say it
    sold[2] = newer(sold[2], cartao_fidelidade="77", canal="web")  # only v3 can
    drop(shop, "caixa-03", sold)
    drop(shop, "caixa-01", sales("caixa-01", count=2))
    (report,) = shop.turn("caixa-03")
    assert [batch.documents for done in report.exported for batch in done.sealed] == [5]
    assert versions(shop, "caixa-03", sealed([report])) == [2]
    (waits,) = report.failed_sources
    assert (waits.code, waits.name) == ("recipient-older", "vendas")
    assert (
        waits.message
        == "1 documents need vendas.v3: expected it known to all recipients, got v2 or older at matriz"
    )
    shop.until_quiet("caixa-01", "matriz")
    assert len(held(shop["matriz"])) == 7, "the others go on, and so does this till with what can be said"
    again = shop["caixa-03"].turn()
    assert [held.code for held in again.failed_sources] == ["recipient-older"], "it is not forgotten"
    shop.turn("matriz", "caixa-03")
    assert shop["caixa-03"].turn(whole=False).quiet
    (back,) = shop["caixa-03"].status().held_back
    assert (back.dataset, back.documents, back.contract) == ("vendas", 1, "vendas.v3")
    assert back.behind == (("matriz", 2),)
    owed = unsealed(shop["caixa-03"].context, "vendas", DAY, shop["caixa-03"].dropped)
    assert owed.documents == 1, "the day is not closed without it"

    # The matriz is upgraded in the evening. The file was not touched, nobody calls anybody.
    teach(shop, "matriz", vendas_v3())
    shop.until_quiet("matriz", "caixa-03")
    assert [sale for sale in held(shop["matriz"]) if sale["origem"] == "caixa-03"] == in_order(sold)
    assert shop["caixa-03"].status().held_back == ()
    assert shop["caixa-03"].turn().failed_sources == []
    assert unsealed(shop["caixa-03"].context, "vendas", DAY, shop["caixa-03"].dropped).documents == 0


def test_a_batch_that_came_too_early_waits_and_what_comes_after_it_too(shop: Network) -> None:
    """The net below: nothing was ever heard of the matriz, so nobody could know."""
    teach(shop, "caixa-01", vendas_v2())
    sold = [newer(sale) if place == 1 else sale for place, sale in enumerate(sales("caixa-01", count=3))]
    first = seal(shop, "caixa-01", sold[:2])
    assert versions(shop, "caixa-01", [first.sealed[0].name]) == [2]
    shop.turn("caixa-01")
    (report,) = shop.turn("matriz")
    assert [waits.code for waits in report.imported.waiting] == ["contract-unknown"]
    shop.turn("caixa-01")  # it hears what the matriz knows
    second = seal(shop, "caixa-01", sold)
    assert [batch.documents for batch in second.sealed] == [1]
    assert versions(shop, "caixa-01", [second.sealed[0].name]) == [1]
    shop.turn("caixa-01", "matriz")
    waiting = shop["matriz"].status().waiting
    assert sorted(item.code for item in waiting) == ["contract-unknown", "hole"], "order is kept"
    teach(shop, "matriz", vendas_v2())
    shop.until_quiet("matriz", "caixa-01")
    assert held(shop["matriz"]) == in_order(sold)


def test_what_was_given_up_because_nobody_understood_it_is_said_as_it_can_be(shop: Network) -> None:
    teach(shop, "caixa-01", vendas_v2())
    sold = [newer(sale) if place == 1 else sale for place, sale in enumerate(sales("caixa-01", count=3))]
    early = seal(shop, "caixa-01", sold)
    shop.turn("caixa-01", "matriz", "caixa-01")
    shop["caixa-01"].void(
        "vendas.caixa-01.matriz", [BatchName.parse(early.sealed[0].name).id.seq], reason="too early", by="Ana"
    )
    shop.turn("caixa-01", "matriz")
    (report,) = shop.turn("caixa-01")
    assert [
        (b.documents, versions(shop, "caixa-01", [b.name])) for done in report.exported for b in done.sealed
    ] == [(2, [1])]
    assert "recipient-older" in {waits.code for waits in report.failed_sources}
    shop.turn("matriz", "caixa-01", "matriz")
    assert len(held(shop["matriz"])) == 2
    teach(shop, "matriz", vendas_v2())
    shop.until_quiet("matriz", "caixa-01")
    assert held(shop["matriz"]) == in_order(sold)


# --- one feed, both versions


def test_both_versions_interleaved_in_one_feed_and_from_different_sites(shop: Network) -> None:
    """Everything arrives at once, after many changes of version, and each document is as its feed said last."""
    teach(shop, "matriz", vendas_v2())
    random = Random(8)
    last: dict[tuple[str, str], Json] = {}
    names: dict[str, list[str]] = {till: [] for till in TILLS}
    turns = [(till, knows) for till in TILLS for knows in (True, False, True, False, True)]
    random.shuffle(turns)
    for till, knows in turns:
        if knows:
            teach(shop, till, vendas_v2())
        elif (shop.root / till / "schemas" / "vendas.v2.json").exists():
            forget(shop, till, "vendas.v2")
        documents = []
        for sale in random.sample(sales(till, count=8), 4):
            before = last.get((till, sale["venda_id"]), sale)
            versao = before.get("versao", 0) + random.choice([0, 1])
            made = {**sale, "operador": str(random.randrange(99)), **({"versao": versao} if versao else {})}
            if knows and random.random() < 0.6:
                more: Json = random.choice(
                    [{"canal": "balcao"}, {"volumes": [{"numero": 1, "peso_g": 9}]}, {"frete_centavos": 100}]
                )
                made = newer(made, **more)
            documents.append(made)
            last[till, sale["venda_id"]] = made
        names[till] += [batch.name for batch in seal(shop, till, documents).sealed]
    for till in TILLS:
        assert set(versions(shop, till, names[till])) == {1, 2}
    shop.turn(*TILLS)
    (report,) = shop.turn("matriz")
    assert {batch.verdict for batch in report.imported.applied} == {Verdict.APPLIED}
    assert sorted(batch.name for batch in report.imported.applied) == sorted(
        chain.from_iterable(names.values())
    )
    assert held(shop["matriz"]) == in_order(list(last.values()))
    v1 = shop["matriz"].context.contracts.get("vendas", 1)
    assert v1 is not None
    told = {
        name: {k: v for k, v in sale.items() if k not in ("canal", "volumes", "frete_centavos")}
        for name, sale in last.items()
    }
    assert held(shop["matriz"], version=1) == in_order(list(told.values())), (
        "read back as the older version says it"
    )


def test_a_group_never_holds_two_versions_and_is_as_large_as_it_can_be(
    shop: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(shop, "matriz", vendas_v2())
    for till in TILLS:
        for sale in sales(till, count=4):
            seal(shop, till, [sale])
    teach(shop, "caixa-02", vendas_v2())
    for sale in sales("caixa-02", count=8)[4:]:
        seal(shop, "caixa-02", [newer(sale)])
    forget(shop, "caixa-02", "vendas.v2")
    seal(shop, "caixa-02", sales("caixa-02", count=9)[8:])
    shop.turn(*TILLS)
    groups: list[list[tuple[str, int, int]]] = []
    true_apply = applying.apply_group

    def told(ctx: Any, group: Any) -> Any:
        groups.append(
            [
                (r.verified.manifest.id.feed.origin, r.verified.manifest.version, r.verified.manifest.id.seq)
                for r in group
            ]
        )
        return true_apply(ctx, group)

    monkeypatch.setattr(incoming, "apply_group", told)
    shop.turn("matriz")
    assert [{version for _, version, _ in group} for group in groups] == [{1}, {2}, {1}]
    assert [len(group) for group in groups] == [12, 4, 1], "the sites of one version share a transaction"
    for till in TILLS:
        numbers = [seq for group in groups for origin, _, seq in group if origin == till]
        assert numbers == sorted(numbers), "a feed keeps its order"


def test_the_order_of_a_feed_is_kept_however_versions_change() -> None:
    class Claim:
        def __init__(self, feed: str, seq: int, version: int) -> None:
            self.verified = self
            self.manifest = self
            self.id = self
            self.feed = _Feed(feed)
            self.seq, self.version = seq, version

    random = Random(3)
    for _ in range(200):
        feeds = {name: [random.choice([1, 2, 3]) for _ in range(random.randrange(6))] for name in "abc"}
        given = [
            Claim(name, seq, version) for name, found in feeds.items() for seq, version in enumerate(found)
        ]
        done: Any = incoming._in_order(given)  # type: ignore[arg-type]
        assert {id(claim) for claim in done} == {id(claim) for claim in given}
        for name in feeds:
            numbers = [claim.seq for claim in done if claim.feed.name == name]
            assert numbers == sorted(numbers)


class _Feed:
    dataset = "vendas"

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Feed) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


# --- merges across versions


def test_a_document_of_the_older_version_that_wins_leaves_nothing_of_the_newer(shop: Network) -> None:
    """A document is the whole truth about its key. A till that went back to the older program says so of what it sells then."""
    teach(shop, "matriz", vendas_v2())
    teach(shop, "caixa-01", vendas_v2())
    sale, other = (
        newer(sale, canal="web", volumes=[{"numero": 1, "peso_g": 50}]) for sale in sales("caixa-01", count=2)
    )
    if "itens" in sale:
        sale["itens"] = [{**line, "lote": "L1"} for line in sale["itens"]]
    seal(shop, "caixa-01", [sale, other])
    shop.turn("caixa-01", "matriz")
    assert held(shop["matriz"]) == in_order([sale, other])
    forget(shop, "caixa-01", "vendas.v2")
    (changed,) = (s for s in sales("caixa-01", count=2) if s["venda_id"] == sale["venda_id"])
    changed |= {"operador": "99", "versao": 2}
    report = seal(shop, "caixa-01", [changed])
    assert versions(shop, "caixa-01", [report.sealed[0].name]) == [1]
    shop.turn("caixa-01", "matriz")
    assert held(shop["matriz"]) == in_order([changed, other])
    assert tables(shop, "vendas_volumes") == [(other["venda_id"], 50)]
    # And where it does not win, everything stays.
    teach(shop, "caixa-01", vendas_v2())
    seal(shop, "caixa-01", [{**other, "versao": 5}])
    forget(shop, "caixa-01", "vendas.v2")
    older = next(s for s in sales("caixa-01", count=2) if s["venda_id"] == other["venda_id"])
    seal(shop, "caixa-01", [{**older, "versao": 4, "operador": "97"}])
    shop.turn("caixa-01", "matriz")
    assert held(shop["matriz"]) == in_order([changed, {**other, "versao": 5}])


def tables(network: Network, table: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = network["matriz"].context.store._db.select(
        f"SELECT venda_id, peso_g FROM {table}"
    )
    return rows


def test_what_is_new_and_was_taken_away_is_gone_whichever_version_says_so(shop: Network) -> None:
    """A second matriz-like reader that is older makes the till say it in v1: the meaning is that there is no canal any more."""
    teach(shop, "matriz", vendas_v2())
    shop.turn("matriz", "caixa-01")
    teach(shop, "caixa-01", vendas_v2())
    sale = sales("caixa-01", count=1)[0]
    seal(shop, "caixa-01", [newer(sale)])
    shop.turn("caixa-01", "matriz")
    seal(shop, "caixa-01", [{**sale, "versao": 1}])
    shop.turn("caixa-01", "matriz")
    assert held(shop["matriz"]) == [{**sale, "versao": 1}]


def test_another_installation_that_does_not_know_what_is_new_is_a_conflict(shop: Network) -> None:
    """Across epochs a row that differs is never overwritten in silence; what only the newer version says is a difference."""
    teach(shop, "matriz", vendas_v2())
    teach(shop, "caixa-01", vendas_v2())
    plain, sale = sales("caixa-01", count=2)
    seal(shop, "caixa-01", [plain, newer(sale)])
    shop.turn("caixa-01", "matriz")
    shop.stations.pop("caixa-01").close()
    for path in (shop.root / "caixa-01").iterdir():
        if path.name.startswith("filesync.db"):
            path.unlink()
    (shop.root / "caixa-01" / "filesync.toml").rename(shop.root / "kept.toml")
    shop.site("caixa-01", Role.CAIXA)
    (shop.root / "kept.toml").replace(shop.root / "caixa-01" / "filesync.toml")
    forget(shop, "caixa-01", "vendas.v2")
    seal(shop, "caixa-01", [plain, sale])
    shop.turn("caixa-01")
    (report,) = shop.turn("matriz")
    (batch,) = report.imported.applied
    assert batch.verdict is Verdict.PARTIAL
    assert [problem.code for problem in batch.problems] == ["conflict"]
    assert held(shop["matriz"]) == in_order([plain, newer(sale)])


# --- cadastros, snapshots


def product(code: str, **more: Json) -> Json:
    return {
        "origem": "matriz", "codigo": code, "descricao": f"Produto {code}", "unidade": "UN", "preco_centavos": 100,
        "vigencia_inicio": "2026-01-01", "ativo": True, **more,
    }  # fmt: skip


def send(network: Network, documents: list[Json], **how: Any) -> SealReport:
    contract = network["matriz"].context.contracts.latest("produtos")
    assert contract is not None
    return network["matriz"].seal("produtos", as_table(contract.schema, documents), to="caixas", **how)


def test_a_cadastro_is_sent_as_all_tills_understand_it(shop: Network) -> None:
    send(shop, [product("P1"), product("P2")], full=True)
    shop.until_quiet("matriz", *TILLS)
    teach(shop, "matriz", produtos_v2())
    shop.turn(*TILLS, "matriz")
    assert send(shop, [product("P1"), product("P2")], full=True).sealed == [], (
        "nothing changed by the upgrade"
    )
    changed = send(shop, [product("P1", preco_centavos=120), product("P2", marca="Azul", preco_centavos=130)])
    assert [(b.documents, versions(shop, "matriz", [b.name])) for b in changed.sealed] == [(1, [1])]
    assert (changed.held, [held.code for held in changed.failed]) == (1, ["recipient-older"])
    assert changed.failed[0].message.endswith("got v1 or older at caixa-01, caixa-02, caixa-03")
    whole = send(
        shop, [product("P1", preco_centavos=120), product("P2", marca="Azul", preco_centavos=130)], full=True
    )
    assert (whole.sealed, whole.held) == ([], 2), "a snapshot without it would say that it is gone"
    shop.until_quiet("matriz", *TILLS)
    for till in TILLS[:2]:
        teach(shop, till, produtos_v2())
    shop.turn(*TILLS, "matriz")
    still = send(shop, [product("P1", preco_centavos=120), product("P2", marca="Azul", preco_centavos=130)])
    assert still.failed[0].message.endswith("got v1 or older at caixa-03")
    teach(shop, "caixa-03", produtos_v2())
    shop.turn("caixa-03", "matriz")
    whole = send(
        shop, [product("P1", preco_centavos=120), product("P2", marca="Azul", preco_centavos=130)], full=True
    )
    assert versions(shop, "matriz", [whole.sealed[0].name]) == [2]
    shop.until_quiet("matriz", *TILLS)
    for till in TILLS:
        assert held(shop[till], "produtos") == [
            product("P1", preco_centavos=120),
            product("P2", marca="Azul", preco_centavos=130),
        ]


def test_a_snapshot_of_the_older_version_over_rows_of_the_newer(shop: Network) -> None:
    for site in ("matriz", *TILLS):
        teach(shop, site, produtos_v2())
    send(shop, [product("P1", marca="Azul"), product("P2", marca="Verde"), product("P3")], full=True)
    shop.until_quiet("matriz", *TILLS)
    forget(shop, "matriz", "produtos.v2")
    whole = send(shop, [product("P1"), product("P3", preco_centavos=300)], full=True)
    assert versions(shop, "matriz", [whole.sealed[0].name]) == [1]
    shop.until_quiet("matriz", *TILLS)
    assert held(shop["caixa-02"], "produtos") == [
        product("P1"), product("P2", marca="Verde", ativo=False), product("P3", preco_centavos=300)
    ]  # fmt: skip


# --- what is told, and what is asked


def test_heartbeats_tell_both_versions(shop: Network) -> None:
    teach(shop, "caixa-01", vendas_v2())
    shop.turn("caixa-01", "matriz")
    heard = Heartbeat.from_signed(shop["matriz"].context.store.heard()["caixa-01"].signed)
    assert {"vendas.v1", "vendas.v2", "produtos.v1"} <= set(heard.contracts)


def test_a_receipt_names_the_version_that_its_batch_names(shop: Network) -> None:
    teach(shop, "matriz", vendas_v2())
    name = seal(shop, "caixa-01", sales("caixa-01", count=2)).sealed[0].name
    shop.turn("caixa-01", "matriz")
    stored = shop["matriz"].context.store.receipt_of(name)
    assert stored is not None
    assert stored.receipt is not None
    receipt = Receipt.from_signed(json.loads(stored.receipt))
    assert receipt.contract == "vendas.v1"
    assert "volumes" not in receipt.rows
    assert "frete_centavos" not in receipt.totals


def test_a_day_sealed_under_both_versions_is_added_up(shop: Network) -> None:
    sold = sales("caixa-01", count=6)
    drop(shop, "caixa-01", sold[:3])
    shop.turn("caixa-01")
    teach(shop, "caixa-01", vendas_v2())
    sold[3:] = [newer(sale, frete_centavos=250) for sale in sold[3:]]
    drop(shop, "caixa-01", sold)
    shop.turn("caixa-01")
    ctx = shop["caixa-01"].context
    batches = ctx.store.days.sealed(DAY)
    assert [json.loads(batch.manifest)["batch"]["version"] for batch in batches] == [1, 2]
    sums = figures(ctx, batches)
    assert (sums.sales, sums.total_centavos) == (6, sum(sale["total_centavos"] for sale in sold))


def test_a_day_of_both_versions_is_closed_complete_and_goes_to_an_older_portal_when_that_knows_more(
    network: Network,
) -> None:
    day = open_shop(network)
    teach(network, "matriz", vendas_v2())
    day.turn()
    teach(network, "posto-centro", vendas_v2())
    day.sell("caixa-01", count=5)
    sold = sales_of_day("posto-centro", Role.POSTO, DAY, count=6)
    sold[2:4] = [newer(sale, frete_centavos=300, canal="web") for sale in sold[2:4]]
    day.send("posto-centro", sold, "day")
    for site in ("caixa-01", "posto-centro"):
        day.close(site)
    day.turn()
    assert day.decide("importar_bdf") is None, "every batch of either version is there, and all totals agree"
    assert len(held(day["matriz"])) == 11
    seen = page(day["matriz"].context, DAY)
    assert [(line.day.site, line.state) for line in seen.sites] == [
        ("caixa-01", SiteState.COMPLETE), ("posto-centro", SiteState.COMPLETE)
    ]  # fmt: skip

    day.sara()
    day["portal"].turn()
    day["matriz"].turn()
    report = day.export_portal()
    assert ([batch.documents for batch in report.vendas.sealed], report.vendas.held) == ([9], 2)
    day.turn()
    assert day.export_portal().standing.state is PortalState.NOT_DONE
    step = portal.run(day["matriz"], DAY)
    assert (step.outcome, step.code) == (StepOutcome.FAILED, "recipient-older")
    assert len(held(day["portal"])) == 9

    teach(network, "portal", vendas_v2())
    network.turn("portal", "matriz")
    report = day.export_portal()
    assert [batch.documents for batch in report.vendas.sealed] == [2]
    day.turn()
    assert day.export_portal().standing.state is PortalState.DONE
    assert held(day["portal"]) == held(day["matriz"])


def test_a_site_with_versions_that_break_each_other_is_not_opened(shop: Network) -> None:
    broken = vendas_v2()
    broken["properties"]["serie"]["maxLength"] = 1
    del broken["properties"]["operador"]
    with pytest.raises(BreakingError) as failure:
        teach(shop, "matriz", broken)
    assert {problem.pointer for problem in failure.value.problems} == {
        "/properties/operador",
        "/properties/serie/maxLength",
    }
    (shop.root / "matriz" / "schemas" / "vendas.v2.json").unlink()
    shop.reopen("matriz").turn()


def test_a_site_that_lags_behind_reads_what_it_held_when_it_knew_more(shop: Network) -> None:
    """The matriz went back to the older program: batches of the newer version wait, the others go on."""
    teach(shop, "matriz", vendas_v2())
    teach(shop, "caixa-01", vendas_v2())
    sold = sales("caixa-01", count=3)
    seal(shop, "caixa-01", [newer(sold[0])])
    shop.until_quiet("caixa-01", "matriz")
    forget(shop, "matriz", "vendas.v2")
    seal(shop, "caixa-02", sales("caixa-02", count=2))
    seal(shop, "caixa-01", [newer(sold[1])])
    shop.turn("caixa-01", "caixa-02")
    (report,) = shop.turn("matriz")
    assert [waits.code for waits in report.imported.waiting] == ["contract-unknown"]
    assert held(shop["matriz"]) == in_order([sold[0], *sales("caixa-02", count=2)])
    teach(shop, "matriz", vendas_v2())
    shop.until_quiet("caixa-01", "caixa-02", "matriz")
    assert held(shop["matriz"]) == in_order([newer(sold[0]), newer(sold[1]), *sales("caixa-02", count=2)])


def test_the_schemas_of_these_tests_stand_beside_each_other() -> None:
    made = [Contract.from_schema(schema) for schema in (vendas_v2(), vendas_v3(), produtos_v2())]
    assert [contract.name for contract in made] == ["vendas.v2", "vendas.v3", "produtos.v2"]
    sold = [newer(sale, frete_centavos=7) for sale in sales(count=5)]
    assert made[0].validate(as_table(vendas_v2(), sold)).ok
