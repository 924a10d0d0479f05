"""Numbers that are missing, told as stories: lost batches come again by themselves; what can never come is given up, and its rows come again."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, ENGINES, Network, rows, sales, table

from filesync.errors import ConfigError
from filesync.protocol.envelope import canonical, decode, encode, sha256_hex
from filesync.protocol.identity import BatchName, Role
from filesync.protocol.manifest import Manifest
from filesync.protocol.signing import SigningKey
from filesync.protocol.void import Void
from filesync.stores.values import OutgoingBatch, Site
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from filesync.exchange.reports import TurnReport
    from filesync.stores.hole_values import HoleRecord, VoidRecord


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every story is told on both databases."""
    return str(request.param)


FEED = "vendas.caixa-01.matriz"


@pytest.fixture
def relay(network: Network) -> Network:
    """A posto and a matriz that meet at a place between the two: nobody sees the other's folders."""
    (network.root / "relay").mkdir(parents=True)
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../relay", relay=True)
    network.peer("matriz", "caixa-01", Role.CAIXA, link="../relay", relay=True)
    return network


def sell(net: Network, count: int, of: int | None = None) -> list[str]:
    """So many batches of three sales each, the first of a day of `of` batches; their names."""
    till, day = net["caixa-01"], sales(count=3 * (of or count))
    return [till.seal("vendas", table(day[3 * n : 3 * n + 3])).sealed[0].name for n in range(count)]


def lose(folder: Path, *stems: str) -> None:
    """Files that a disk, a server or a hand has lost."""
    found = [path for stem in stems for path in folder.rglob(f"{stem}.*")]
    assert found, "nothing to lose"
    for path in found:
        path.unlink()


def holes(net: Network, site: str = "matriz") -> list[tuple[int, int]]:
    return [(hole.first, hole.last) for hole in open_holes(net, site)]


def open_holes(net: Network, site: str = "matriz") -> list[HoleRecord]:
    return net[site].context.store.holes.open()


def voids(net: Network, site: str = "matriz") -> list[VoidRecord]:
    return net[site].context.store.holes.voids()


def sent(net: Network, name: str) -> OutgoingBatch:
    batch = net["caixa-01"].context.store.batch(name)
    assert isinstance(batch, OutgoingBatch)
    return batch


def everything(net: Network, sold: Sequence[dict[str, Any]]) -> None:
    """Every sale once, and nobody waits for anything any more."""
    assert rows(net["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    for site in ("matriz", "caixa-01"):
        status = net[site].status()
        assert (status.outbox, status.inbox, status.quarantine, status.holes) == ((), (), (), ()), site


def sealed_numbers(reports: Sequence[TurnReport]) -> list[int]:
    return [
        BatchName.parse(batch.name).id.seq
        for report in reports
        for done in report.exported
        for batch in done.sealed
    ]


# --------------------------------------------------------------------------------------------- asked for again


def test_a_lost_batch_is_asked_for_by_itself_and_answered_from_the_outbox(relay: Network) -> None:
    """The server in the middle loses one of three files. Nobody telephones."""
    first, second, third = sell(relay, 3)
    relay.turn("caixa-01")
    lose(relay.root / "relay", second)
    relay.turn("matriz")
    assert holes(relay) == [(2, 2)]
    assert [item.code for item in relay["matriz"].status().waiting] == ["hole"]
    noticed = open_holes(relay)[0].noticed_at
    relay.clock.advance(minutes=5)
    relay.turn("matriz", "caixa-01", "matriz")
    assert open_holes(relay)[0].asked_at is None, "it may only be slow"
    relay.clock.advance(minutes=6)
    relay.turn("matriz")
    assert open_holes(relay)[0].asked_at == relay["matriz"].context.now()
    assert open_holes(relay)[0].noticed_at == noticed
    (report,) = relay.turn("caixa-01")
    assert [held.name for held in report.imported.sent_again] == [second]
    assert sealed_numbers([report]) == [], "the same number, the same bytes"
    relay.until_quiet("matriz", "caixa-01")
    everything(relay, sales(count=9))
    assert relay["caixa-01"].context.store.feed_marks()["matriz"][0].sealed == 3
    assert {first, second, third} == {
        name.removesuffix(".manifest.json")
        for name in (path.name for path in (relay.root / "matriz" / "archive").rglob("*.manifest.json"))
    }


def test_a_matriz_that_lost_what_it_had_a_receipt_for_asks_and_gets_it(pair: Network, tmp_path: Path) -> None:
    """Its disk died; the database comes from last night's backup. The till has put those batches away, with their receipts."""
    sold = sales(count=9)
    sell(pair, 1, of=3)
    pair.until_quiet("caixa-01", "matriz")
    pair.close()
    backup = pair.back_up("matriz")
    till = pair["caixa-01"]
    names = [
        till.seal("vendas", table(sold[3:6])).sealed[0].name,
        till.seal("vendas", table(sold[6:])).sealed[0].name,
    ]
    pair.until_quiet("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == 9
    pair.close()
    pair.restore("matriz", backup)

    pair.clock.advance(minutes=16)  # the till says how far it is, as it does every quarter of an hour
    pair.turn("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == 3
    assert holes(pair) == [(2, 3)]
    pair.clock.advance(minutes=11)
    pair.turn("matriz")
    (report,) = pair.turn("caixa-01")
    assert [held.name for held in report.imported.sent_again] == names
    pair.until_quiet("matriz", "caixa-01")
    everything(pair, sold)
    assert all(sent(pair, name).settled_at for name in names)
    assert pair["caixa-01"].context.store.feed_marks()["matriz"][0].sealed == 3


def test_a_matriz_without_any_memory_asks_from_the_beginning(pair: Network) -> None:
    names = sell(pair, 3)
    pair.until_quiet("caixa-01", "matriz")
    pair.close()
    pair.begin_anew("matriz", Site("matriz", Role.MATRIZ, "newnewne"))
    pair.clock.advance(minutes=16)
    pair.turn("caixa-01", "matriz")
    assert holes(pair) == [(1, 3)]
    pair.clock.advance(minutes=11)
    reports = pair.turn("matriz", "caixa-01")
    assert [held.name for held in reports[1].imported.sent_again] == names
    pair.until_quiet("matriz", "caixa-01")
    everything(pair, sales(count=9))


def test_a_payload_that_was_damaged_on_the_way_is_asked_for(relay: Network) -> None:
    name = sell(relay, 1)[0]
    relay.turn("caixa-01")
    (payload,) = (relay.root / "relay").rglob(f"{name}.parquet")
    payload.write_bytes(payload.read_bytes()[:-7])
    relay.turn("matriz")
    assert holes(relay) == [(1, 1)]
    relay.clock.advance(minutes=11)
    relay.turn("matriz", "caixa-01", "matriz")
    assert len(rows(relay["matriz"])) == 3
    assert holes(relay) == []


def test_a_person_does_not_wait_for_the_patience(relay: Network) -> None:
    _, second, _ = sell(relay, 3)
    relay.turn("caixa-01")
    lose(relay.root / "relay", second)
    relay.turn("matriz")
    relay.clock.advance(minutes=1)
    with pytest.raises(ConfigError, match="number 3 is not known to be missing here; missing: 2"):
        relay["matriz"].resend(FEED, [3])
    with pytest.raises(ConfigError, match="nothing is known to be missing"):
        relay["matriz"].resend("fechamento.caixa-01.matriz")
    assert [(hole.first, hole.last) for hole in relay["matriz"].resend(FEED).asked] == [(2, 2)]
    assert open_holes(relay)[0].asked_at is not None
    relay["matriz"].exchange()
    (report,) = relay.turn("caixa-01")
    assert [held.name for held in report.imported.sent_again] == [second]
    relay.until_quiet("matriz", "caixa-01")
    everything(relay, sales(count=9))


def test_what_left_after_the_question_was_written_is_not_sent_twice(relay: Network) -> None:
    """A large file on a slow line: it was still going up while the matriz asked for it."""
    _, second, _ = sell(relay, 3)
    relay.turn("caixa-01")
    (relay.root / "away").mkdir()
    for path in (relay.root / "relay").rglob(f"{second}.*"):
        shutil.move(path, relay.root / "away")
    relay.turn("matriz")
    relay.clock.advance(minutes=11)
    relay["matriz"].exchange()
    relay.clock.advance(minutes=2)
    till = relay["caixa-01"].context
    till.store.mark_shipped([(second, "matriz")], till.now())
    relay.clock.advance(minutes=2)
    assert relay.turn("caixa-01")[0].imported.sent_again == []


def test_the_origin_sends_again_what_it_is_told_to(pair: Network) -> None:
    names = sell(pair, 2)
    pair.until_quiet("caixa-01", "matriz")
    done = pair["caixa-01"].resend(FEED, [2])
    assert done.again == (names[1],)
    assert [item.name for item in pair["caixa-01"].status().outbox] == [names[1]]
    report = pair.turn("caixa-01", "matriz")[1]
    assert report.imported.replayed == [names[1]], "the matriz has it, and answers as before"
    pair.until_quiet("caixa-01", "matriz")
    everything(pair, sales(count=6))
    with pytest.raises(ConfigError, match="nothing was sealed here under number 7"):
        pair["caixa-01"].resend(FEED, [7])
    with pytest.raises(ConfigError, match="say which"):
        pair["caixa-01"].resend(FEED)


def test_an_old_question_that_comes_late_is_not_answered(relay: Network) -> None:
    """A stick with last week's heartbeat: what it asks for has arrived since."""
    _, second, _ = sell(relay, 3)
    relay.turn("caixa-01")
    lose(relay.root / "relay", second)
    relay.turn("matriz")
    relay.clock.advance(minutes=11)
    relay["matriz"].exchange()
    (asking,) = (relay.root / "relay").rglob("heartbeat.matriz.json")
    kept = asking.read_bytes()
    relay.until_quiet("caixa-01", "matriz")
    relay.clock.advance(minutes=16)
    relay.until_quiet("matriz", "caixa-01")
    durable.publish(relay.root / "caixa-01" / "inbox" / "matriz", asking.name, kept)
    (report,) = relay.turn("caixa-01")
    assert report.imported.sent_again == []
    assert relay["caixa-01"].status().outbox == ()


def test_a_till_that_was_replaced_leaves_its_debts_visible(pair: Network) -> None:
    """Its disk is gone, and a new one continues under the same name: what the old one had sealed is not forgotten."""
    sell(pair, 2)
    pair.turn("caixa-01")
    for path in pair.inbox("matriz", "caixa-01"):
        if ".0000000002." in path.name:
            path.unlink()
    pair.turn("matriz")
    old = pair["caixa-01"].context.epoch
    pair.close()
    shutil.rmtree(pair.root / "caixa-01")
    pair.site("caixa-01", Role.CAIXA)
    pair.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    shutil.copy(
        pair.root / "caixa-01" / "keys" / "site_ed25519.pub",
        pair.root / "matriz" / "keys" / "peers" / "caixa-01.pub",
    )
    assert pair["caixa-01"].context.epoch != old
    pair["caixa-01"].seal("vendas", table(sales(count=12)[9:]))
    for _ in range(6):  # it is installed again and again: the debt outlives what is remembered of heartbeats
        pair.turn("caixa-01", "matriz")
        pair.clock.advance(minutes=16)
    (hole,) = open_holes(pair)
    assert (hole.epoch, hole.first, hole.last) == (old, 2, 2)
    assert hole.asked_at is not None, "should the old one come up again, it will hear"
    (made,) = pair["matriz"].void(FEED, [2], reason="o disco do caixa quebrou", by="Ana")
    assert (made.epoch, made.override) == (old, True)
    pair.turn("matriz")
    assert open_holes(pair) == []


# --------------------------------------------------------------------------------------------- given up


def test_a_batch_that_can_never_arrive_is_given_up_by_its_origin(pair: Network) -> None:
    """The payload's sectors are dead on the till's disk, and the feed stands still behind it."""
    _, second, third = sell(pair, 3)
    lose(pair.root / "caixa-01" / "outbox", second)
    (pair.root / "caixa-01" / "outbox" / "matriz" / f"{second}.manifest.json").unlink(missing_ok=True)
    pair.turn("caixa-01", "matriz", "caixa-01")
    assert pair.codes("caixa-01") == ["payload-lost"]
    assert len(rows(pair["matriz"])) == 3
    (made,) = pair["caixa-01"].void(FEED, [2], reason="setores do disco perdidos", by="Bia")
    assert (made.name, made.override, made.rows) == (second, False, {"vendas": 3, **(made.rows or {})})
    outbox = pair["caixa-01"].status().outbox
    assert sorted((item.kind, item.name) for item in outbox) == [("batch", third), ("void", second)]
    reports = pair.turn("caixa-01", "matriz", "caixa-01")
    assert [held.code for held in reports[1].imported.voided] == ["voided"]
    assert len(rows(pair["matriz"])) == 6, "the third follows over the gap, by its chain"
    assert [(v.seq, v.name, v.reason, v.by, v.override) for v in voids(pair)] == [
        (2, second, "setores do disco perdidos", "Bia", False)
    ]
    assert voids(pair)[0].rows == made.rows
    # The rows still exist in the till's own program: the next export finds them, and says what they replace.
    (report,) = [pair["caixa-01"].seal("vendas", table(sales(count=9)))]
    assert report.documents - report.unchanged == 3
    pair.until_quiet("caixa-01", "matriz")
    assert rows(pair["matriz"]) == sorted(sales(count=9), key=lambda sale: str(sale["venda_id"]))
    assert sent(pair, report.sealed[0].name).replaces == second
    assert (pair["caixa-01"].status().outbox, pair["matriz"].status().inbox) == ((), ())
    for site in ("caixa-01", "matriz"):
        assert list((pair.root / site / "archive").rglob(f"{second}.void.json"))


def test_what_the_origin_gave_up_comes_again_by_itself_from_its_own_copy(relay: Network) -> None:
    """The way does not work for this one file (a scanner eats it): give it up, and its sales travel under another number."""
    names = sell(relay, 2)
    relay["caixa-01"].void(FEED, [1], reason="o antivírus do servidor apaga este arquivo", by="Bia")
    reports = relay.turn("caixa-01", "matriz", "caixa-01")
    assert sealed_numbers(reports) == [3]
    relay.until_quiet("caixa-01", "matriz")
    everything(relay, sales(count=6))
    again = next(batch for batch in reports[2].exported[0].sealed)
    assert sent(relay, again.name).replaces == names[0]
    assert again.documents == 3


def test_of_what_was_given_up_only_what_was_not_sealed_since_comes_again(relay: Network) -> None:
    sold = sales(count=3)
    relay["caixa-01"].seal("vendas", table(sold))
    later = [{**sold[0], "operador": "M999"}, *sold[1:]]
    relay["caixa-01"].seal("vendas", table(later))
    relay["caixa-01"].void(FEED, [1], reason="perdido", by="Bia")
    reports = relay.turn("caixa-01", "matriz", "caixa-01")
    assert [batch.documents for done in reports[2].exported for batch in done.sealed] == [2]
    relay.until_quiet("caixa-01", "matriz")
    everything(relay, later)


def test_voided_at_the_matriz_while_the_till_is_dead_then_the_till_comes_back_with_it(pair: Network) -> None:
    """The day must be closed. A week later the technician brings the till back, and it has everything."""
    _, second, third = sell(pair, 3)
    pair.turn("caixa-01")
    away = pair.root / "technician"
    away.mkdir()
    for path in pair.inbox("matriz", "caixa-01"):
        if path.name.startswith(second):
            shutil.move(path, away)
    pair.turn("matriz")
    assert len(rows(pair["matriz"])) == 3
    (made,) = pair["matriz"].void(FEED, [2], reason="o caixa não liga mais", by="Ana")
    assert (made.override, made.name) == (True, None)
    assert holes(pair) == [], "at once"
    third_manifest = decode(
        next((pair.root / "matriz" / "inbox" / "caixa-01").glob(f"{third}.manifest.json")).read_bytes()
    )
    assert made.manifest_sha256 == third_manifest.signed["previous"], "the next one says what it was"
    pair.turn("matriz")
    assert len(rows(pair["matriz"])) == 6
    assert holes(pair) == []

    pair.clock.advance(days=7)
    reports = pair.turn("caixa-01", "matriz", "caixa-01", "matriz", "caixa-01")
    assert [(held.name, held.code) for held in reports[1].imported.voided] == [(second, "voided")]
    assert sent(pair, second).deliveries[0].receipt is not None
    assert '"code":"voided"' in (sent(pair, second).deliveries[0].receipt or "")
    assert sealed_numbers(reports) == [4], "its rows come again, under a new number, by themselves"
    pair.until_quiet("caixa-01", "matriz")
    everything(pair, sales(count=9))
    assert [(v.seq, v.override, v.by) for v in voids(pair)] == [(2, True, "Ana")]
    assert sealed_numbers(pair.turn("caixa-01", "matriz", "caixa-01")) == []


def test_the_last_number_voided_without_a_trace_of_it(pair: Network) -> None:
    """Nothing came after it: its digest is unknown, and whatever follows goes on."""
    sell(pair, 1, of=3)
    pair.until_quiet("caixa-01", "matriz")
    (made,) = pair["matriz"].void(FEED, [2], reason="perdido no conserto", by="Ana")
    assert (made.name, made.manifest_sha256) == (None, None)
    assert pair["matriz"].context.store.holes.voids()[0].seq == 2
    till, sold = pair["caixa-01"], sales(count=9)
    till.seal("vendas", table(sold[3:6]))
    till.seal("vendas", table(sold[6:]))
    pair.until_quiet("caixa-01", "matriz")
    everything(pair, sold)
    numbers = [feed.sealed for feed in pair["matriz"].status().feeds]
    assert numbers == [4], "two was refused, three went on, its rows came as four"


def test_several_holes_are_voided_in_any_order(pair: Network) -> None:
    names = sell(pair, 6)
    pair.turn("caixa-01")
    for path in pair.inbox("matriz", "caixa-01"):
        if path.name.startswith((names[1], names[3], names[4])):
            path.unlink()
    pair.turn("matriz")
    assert holes(pair) == [(2, 2), (4, 5)]
    pair["matriz"].void(FEED, [5], reason="perdido", by="Ana")
    pair.turn("matriz")
    assert holes(pair) == [(2, 2), (4, 4)]
    assert len(rows(pair["matriz"])) == 3
    pair["matriz"].void(FEED, [2, 4], reason="perdido", by="Ana")
    pair.turn("matriz")
    assert len(rows(pair["matriz"])) == 9, "one, three and six"
    assert holes(pair) == []
    pair.until_quiet("caixa-01", "matriz")
    everything(pair, sales(count=18))


def test_a_rejected_number_is_voided(pair: Network) -> None:
    """Test sales that will never be corrected: the number is decided already; only the day must not wait for a replacement."""
    sell(pair, 1, of=2)
    till = pair["caixa-01"]
    name = till.seal("vendas", table(sales(count=6)[3:])).sealed[0].name
    # A claim about the totals that is not true, signed by the till itself.
    outbox = pair.root / "caixa-01" / "outbox" / "matriz"
    manifest = decode((outbox / f"{name}.manifest.json").read_bytes()).signed
    manifest["totals"]["total_centavos"] += 1
    text = canonical(manifest)
    store = till.context.store
    store._db.run(
        "UPDATE fs_outgoing SET manifest = ?1, manifest_sha256 = ?2 WHERE name = ?3",
        (text.decode(), sha256_hex(text), name),
    )
    durable.publish(outbox, f"{name}.manifest.json", encode(manifest, till.context.settings.key))
    pair.turn("caixa-01", "matriz", "caixa-01")
    assert sent(pair, name).deliveries[0].verdict is not None
    (made,) = pair["matriz"].void(FEED, [2], reason="vendas de teste", by="Ana")
    assert (made.name, made.override) == (name, True)
    assert made.rows is not None
    assert made.rows["vendas"] == 3
    pair.until_quiet("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == 3
    assert [feed.sealed for feed in pair["matriz"].status().feeds] == [2]
    assert sealed_numbers(pair.turn("caixa-01", "matriz", "caixa-01")) == [], (
        "what was rejected for its content is not sent again as it is"
    )
    # The origin may say so as well: the matriz takes note, and answers; nothing is owed by that.
    pair["caixa-01"].void(FEED, [2], reason="vendas de teste", by="Bia")
    pair.until_quiet("caixa-01", "matriz")
    assert pair["caixa-01"].status().outbox == ()
    assert sealed_numbers(pair.turn("caixa-01", "matriz", "caixa-01")) == []


def test_a_void_that_comes_too_late_changes_nothing(relay: Network) -> None:
    """The receipt was lost, so the till believes that the batch is; but the matriz has it."""
    (name,) = sell(relay, 1)
    relay.turn("caixa-01", "matriz")
    lose(relay.root / "relay", name)
    relay["caixa-01"].void(FEED, [1], reason="não chegou", by="Bia")
    reports = relay.turn("caixa-01", "matriz", "caixa-01")
    assert reports[1].imported.replayed == [name]
    assert sent(relay, name).settled_at is not None
    relay.until_quiet("caixa-01", "matriz")
    everything(relay, sales(count=3))
    assert voids(relay) == []


def test_what_is_given_up_is_not_taken_back(pair: Network) -> None:
    sell(pair, 1)
    pair.until_quiet("caixa-01", "matriz")
    for site in ("caixa-01", "matriz"):
        with pytest.raises(ConfigError) as caught:
            pair[site].void(FEED, [1], reason="engano", by="Bia")
        assert caught.value.code == "void-applied"
    for site, code in (("caixa-01", "void-unknown"), ("matriz", "void-unknown")):
        with pytest.raises(ConfigError) as caught:
            pair[site].void(FEED, [99_999_999], reason="engano", by="Bia")
        assert caught.value.code == code
    with pytest.raises(ConfigError) as caught:
        pair["matriz"].void("vendas.caixa-77.matriz", [1], reason="engano", by="Bia")
    assert caught.value.code == "feed-unknown"
    with pytest.raises(ConfigError) as caught:
        pair["matriz"].void(FEED, [2], reason=" ", by="Bia")
    assert caught.value.code == "void-reason"
    with pytest.raises(ConfigError) as caught:
        pair["matriz"].void(FEED, [2], reason="x", by="Bia", epoch="zzzzzzzz")
    assert caught.value.code == "epoch-unknown"
    assert voids(pair) == voids(pair, "caixa-01") == []


GOODS = [
    {"origem": "matriz", "codigo": f"P{n}", "descricao": f"Envelope {n}", "unidade": "UN", "preco_centavos": 100 * n,
     "vigencia_inicio": "2026-01-01", "ativo": True}
    for n in range(1, 4)
]  # fmt: skip


def _shops(net: Network) -> None:
    """A matriz with two tills that come to it."""
    net.site("matriz", Role.MATRIZ)
    for till in ("caixa-01", "caixa-02"):
        net.site(till, Role.CAIXA)
        net.peer("matriz", till, Role.CAIXA)
        net.peer(till, "matriz", Role.MATRIZ, link="../matriz")


def test_of_a_group_only_those_hear_of_a_void_who_have_not_applied_the_batch(network: Network) -> None:
    _shops(network)
    matriz = network["matriz"]
    matriz.seal("produtos", table(GOODS[:2], "produtos"), DAY, full=True)
    network.until_quiet("matriz", "caixa-01", "caixa-02")
    (change,) = matriz.seal("produtos", table([{**GOODS[0], "preco_centavos": 111}], "produtos"), DAY).sealed
    network.turn("caixa-01", "matriz")
    (made,) = matriz.void("produtos.matriz.caixas", [2], reason="preço errado", by="Ana")
    assert made.name == change.name
    assert [(item.kind, item.peer) for item in matriz.status().outbox] == [("void", "caixa-02")]
    network.until_quiet("matriz", "caixa-01", "caixa-02")
    assert [v.seq for v in voids(network, "caixa-02")] == [2]
    assert voids(network, "caixa-01") == []
    prices = [
        [row["preco_centavos"] for row in rows(network[till], "produtos")]
        for till in ("caixa-01", "caixa-02")
    ]
    assert prices == [[111, 200], [111, 200]], "what was owed came again, for both"


def test_a_snapshot_that_was_given_up_comes_again_as_a_snapshot(network: Network) -> None:
    _shops(network)
    matriz = network["matriz"]
    matriz.seal("produtos", table(GOODS, "produtos"), DAY, full=True)
    network.until_quiet("matriz", "caixa-01", "caixa-02")
    matriz.seal("produtos", table(GOODS[1:], "produtos"), DAY, full=True)
    matriz.void("produtos.matriz.caixas", [2], reason="o arquivo se perdeu", by="Ana")
    network.until_quiet("matriz", "caixa-01", "caixa-02")
    for till in ("caixa-01", "caixa-02"):
        assert [(row["codigo"], row["ativo"]) for row in rows(network[till], "produtos")] == [
            ("P1", False),
            ("P2", True),
            ("P3", True),
        ]
    assert matriz.status().outbox == ()


def test_an_override_of_a_batch_whose_description_is_here_knows_what_it_gives_up(relay: Network) -> None:
    """The manifest came, its payload never will: the scanner of the server eats it."""
    first, _ = sell(relay, 2)
    relay.turn("caixa-01")
    for path in (relay.root / "relay").rglob(f"{first}.parquet"):
        path.unlink()
    relay.turn("matriz")
    assert [item.code for item in relay["matriz"].status().waiting] == ["payload-missing", "hole"]
    (made,) = relay["matriz"].void(FEED, [1], reason="o antivírus apaga", by="Ana")
    assert (made.name, (made.rows or {})["vendas"]) == (first, 3)
    reports = relay.turn("matriz", "caixa-01")
    assert [held.name for held in reports[0].imported.voided] == [first]
    assert sealed_numbers(reports) == [3], (
        "its manifest was answered at once, and the till sealed the sales again"
    )
    relay.until_quiet("matriz", "caixa-01")
    everything(relay, sales(count=6))


def test_the_patience_is_a_setting(relay: Network) -> None:
    relay.configure("matriz", '\n[limits]\npatience = "2 min"\n')
    _, second, _ = sell(relay, 3)
    relay.turn("caixa-01")
    lose(relay.root / "relay", second)
    relay.turn("matriz")
    relay.clock.advance(minutes=3)
    relay.turn("matriz")
    assert open_holes(relay)[0].asked_at is not None


# --------------------------------------------------------------------------------------------- trust


def _void_of(net: Network, name: str, **changes: Any) -> dict[str, Any]:
    batch = sent(net, name)
    manifest = json.loads(batch.manifest)
    made = Void.of(
        Manifest.from_signed(manifest),
        batch.manifest_sha256,
        reason="fingido",
        by="ninguém",
        at=net["caixa-01"].context.now(),
        software="x",
    )
    return {**made.to_signed(), **changes}


def test_a_void_is_believed_from_its_origin_alone(pair: Network) -> None:
    pair.site("caixa-02", Role.CAIXA)
    pair.peer("matriz", "caixa-02", Role.CAIXA)
    (name,) = sell(pair, 1)
    inbox = pair.root / "matriz" / "inbox"
    signed = _void_of(pair, name)
    own, other = pair["caixa-01"].context.settings.key, SigningKey.generate()
    second = pair["caixa-02"].context.settings.key
    cases = [
        ("caixa-01", encode(signed, None), "signature-missing"),
        ("caixa-01", encode(signed, other), "signature-foreign"),
        ("caixa-01", encode({**signed, "reason": ""}, own), "void-invalid"),
        ("caixa-01", encode({**signed, "batch": signed["batch"][:-12] + "0" * 12}, own), "renamed"),
        ("caixa-01", b"{}", "void-unreadable"),
        ("caixa-02", encode(signed, second), "foreign"),
        ("caixa-01", encode({**signed, "recipients": ["portal"]}, own), "not-for-us"),
        ("caixa-01", encode({**signed, "previous": "a" * 64}, own), "broken-chain"),
    ]
    for peer, data, code in cases:
        durable.publish(inbox / peer, f"{name}.void.json", data)
        report = pair["matriz"].import_()
        assert [held.code for held in report.set_aside] == [code]
        assert voids(pair) == []
    pair.until_quiet("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == 3, "the true batch is applied"


def test_a_void_in_the_format_of_the_future_waits(pair: Network) -> None:
    (name,) = sell(pair, 1)
    signed = _void_of(pair, name, format=2)
    inbox = pair.root / "matriz" / "inbox" / "caixa-01"
    durable.publish(inbox, f"{name}.void.json", encode(signed, pair["caixa-01"].context.settings.key))
    report = pair["matriz"].import_()
    assert [held.code for held in report.waiting] == ["format-unknown"]
    assert (inbox / f"{name}.void.json").exists()


def test_a_void_waits_for_the_numbers_before_it(pair: Network) -> None:
    names = sell(pair, 2)
    inbox = pair.root / "matriz" / "inbox" / "caixa-01"
    signed = encode(_void_of(pair, names[1]), pair["caixa-01"].context.settings.key)
    durable.publish(inbox, f"{names[1]}.void.json", signed)
    report = pair["matriz"].import_()
    assert [(held.code, held.name) for held in report.waiting] == [("hole", f"{names[1]}.void.json")]
    assert [(item.state, item.code) for item in pair["matriz"].status().inbox] == [("waiting", "hole")]
    assert holes(pair) == [(1, 1)]


# --------------------------------------------------------------------------------------------- by every road


def test_a_void_travels_by_stick(network: Network, tmp_path: Path) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ)
    network.peer("matriz", "caixa-01", Role.CAIXA)
    names = sell(network, 2)
    stick = tmp_path / "stick"
    stick.mkdir()
    network["caixa-01"].carry_out(stick)
    lose(stick, names[0])
    network["caixa-01"].void(FEED, [1], reason="o pendrive falhou", by="Bia")
    report = network["caixa-01"].carry_out(stick)
    assert report.moved["matriz"].voids == 1
    assert sorted(path.name for path in stick.rglob(f"{names[0]}.*")) == [f"{names[0]}.void.json"]
    assert network["matriz"].carry_in(stick).moved["caixa-01"].voids == 1
    network["matriz"].import_()
    assert len(rows(network["matriz"])) == 3
    network["matriz"].carry_out(stick)
    network["caixa-01"].carry_in(stick)
    network["caixa-01"].turn()
    assert [item.kind for item in network["caixa-01"].status().outbox] == ["batch"], "what came again"
    network["caixa-01"].carry_out(stick)
    assert list(stick.rglob("*.void.json")) == []
    network["matriz"].carry_in(stick)
    network["matriz"].import_()
    assert len(rows(network["matriz"])) == 6


def test_a_void_is_fetched_from_a_passive_origin_once(network: Network) -> None:
    """The matriz comes to the till; the till only has its folders."""
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ)
    network.peer("matriz", "caixa-01", Role.CAIXA, link="../caixa-01")
    names = sell(network, 2)
    network["caixa-01"].void(FEED, [1], reason="x", by="Bia")
    (report,) = network.turn("matriz")
    assert [held.name for held in report.imported.voided] == [names[0]]
    assert network.turn("matriz")[0].quiet, (
        "it lies there until the till has the answer, and is not fetched again"
    )
    network.until_quiet("caixa-01", "matriz")
    everything(network, sales(count=6))


def test_the_day_of_the_void_is_where_its_files_are_archived(pair: Network) -> None:
    (name,) = sell(pair, 1)
    pair["caixa-01"].void(FEED, [1], reason="x", by="Bia")
    pair.until_quiet("caixa-01", "matriz")
    folder = pair.root / "caixa-01" / "archive" / f"{DAY:%Y}" / f"{DAY:%m}" / f"{DAY:%d}"
    assert {path.name for path in folder.iterdir()} >= {
        f"{name}.void.json",
        f"{name}.manifest.json",
        f"{name}.parquet",
        f"{name}.matriz.receipt.json",
    }
