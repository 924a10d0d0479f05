"""A till's day reaches the matriz over folders, exactly once, with receipts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from network import DAY, ENGINES, Network, cargo_in, rows, sales, table

from filesync.errors import ConfigError, RejectedError
from filesync.exchange import outgoing
from filesync.exchange.station import Station
from filesync.protocol.identity import Format, Role
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every story is told on both databases."""
    return str(request.param)


@pytest.mark.parametrize("form", list(Format))
def test_three_turns_are_a_round_trip(pair: Network, form: Format) -> None:
    sold = sales()
    report = pair["caixa-01"].seal("vendas", table(sold), DAY, format=form)
    assert [batch.documents for batch in report.sealed] == [len(sold)]
    till, matriz, again = pair.turn("caixa-01", "matriz", "caixa-01")
    assert till.exchange.shipped == {"matriz": 2}
    assert [batch.verdict for batch in matriz.imported.applied] == [Verdict.APPLIED]
    assert again.imported.settled == [report.sealed[0].name]
    assert rows(pair["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    for site, peer in (("caixa-01", "matriz"), ("matriz", "caixa-01")):
        assert pair.inbox(site, peer) == []
        assert pair.outbox(site, peer) == []
        archive = pair.root / site / "archive" / f"{DAY:%Y/%m/%d}"
        kinds = sorted(path.name.removeprefix(report.sealed[0].name) for path in archive.iterdir())
        expected = [f".{form.value}", ".manifest.json"] + (
            [".matriz.receipt.json"] if site == "caixa-01" else []
        )
        assert kinds == sorted(expected)
    assert pair["caixa-01"].turn().quiet


def test_the_passive_side_may_be_the_till(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("matriz", "caixa-01", Role.CAIXA, link="../caixa-01")
    network.peer("caixa-01", "matriz", Role.MATRIZ)
    report = network["caixa-01"].seal("vendas", table(sales()))
    network.turn("matriz")
    assert len(network.outbox("caixa-01", "matriz")) == 2, "what was pulled stays until the receipt is there"
    assert network.turn("caixa-01")[0].imported.settled == [report.sealed[0].name]
    assert network.outbox("caixa-01", "matriz") == []
    assert network.turn("matriz")[0].quiet


def test_a_relay_joins_two_that_cannot_reach_each_other(network: Network) -> None:
    (network.root / "relay").mkdir(parents=True)
    for name, role in (("matriz", Role.MATRIZ), ("posto-centro", Role.POSTO)):
        network.site(name, role)
    network.peer("posto-centro", "matriz", Role.MATRIZ, link="../relay", relay=True)
    network.peer("matriz", "posto-centro", Role.POSTO, link="../relay", relay=True)
    report = network["posto-centro"].seal("vendas", table(sales("posto-centro")))
    mailbox = network.root / "relay" / "matriz" / "inbox" / "posto-centro"
    network.turn("posto-centro")
    assert len(cargo_in(mailbox)) == 2
    network.turn("matriz")
    assert list(mailbox.iterdir()) == [], "a mailbox is emptied after a durable fetch"
    assert network.turn("posto-centro")[0].imported.settled == [report.sealed[0].name]


def test_a_relay_that_loses_a_batch_gets_it_again_after_the_patience(network: Network) -> None:
    (network.root / "relay").mkdir(parents=True)
    for name, role in (("matriz", Role.MATRIZ), ("posto-centro", Role.POSTO)):
        network.site(name, role)
    network.peer("posto-centro", "matriz", Role.MATRIZ, link="../relay", relay=True)
    network.peer("matriz", "posto-centro", Role.POSTO, link="../relay", relay=True)
    report = network["posto-centro"].seal("vendas", table(sales("posto-centro")))
    mailbox = network.root / "relay" / "matriz" / "inbox" / "posto-centro"
    network.turn("posto-centro")
    for path in mailbox.iterdir():
        path.unlink()
    assert network.turn("posto-centro")[0].quiet, "an empty mailbox says nothing: it is waited for"
    network.clock.advance(hours=2)
    network.turn("posto-centro", "matriz")
    assert network.turn("posto-centro")[0].imported.settled == [report.sealed[0].name]


def test_sealing_the_same_twice_seals_nothing(pair: Network) -> None:
    sold = sales()
    till = pair["caixa-01"]
    assert len(till.seal("vendas", table(sold)).sealed) == 1
    again = till.seal("vendas", table(sold))
    assert (again.sealed, again.unchanged) == ([], len(sold))
    assert len(pair.outbox("caixa-01", "matriz")) == 2


def test_a_changed_and_a_late_sale_are_found_and_the_newer_version_wins(pair: Network) -> None:
    sold = sales(count=6)
    till = pair["caixa-01"]
    till.seal("vendas", table(sold[:5]))
    changed = {**sold[2], "operador": "M999"}
    report = till.seal("vendas", table([*sold[:2], changed, *sold[3:]]))
    assert [batch.documents for batch in report.sealed] == [2], "the changed sale and the one saved late"
    pair.turn("caixa-01", "matriz")
    held = {row["venda_id"]: row for row in rows(pair["matriz"])}
    assert held[changed["venda_id"]]["operador"] == "M999"
    assert len(held) == 6


@pytest.mark.parametrize("form", [Format.PARQUET, Format.JSONL])
def test_batches_made_together_are_those_made_alone(
    pair: Network, form: Format, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Days of 2, 9, 1, 0, 4 and 3 sales: the second is too large to be made with its neighbours."""
    days = [sales(day=DAY + timedelta(days=n), seed=n, count=9) for n in range(6)]
    for n, day in enumerate(days):  # one ticket number after the other, or they would be the same documents
        for sale in day:
            sale["numero"] += 9 * n
    sold = [sale for day, count in zip(days, (2, 9, 1, 0, 4, 3), strict=True) for sale in day[:count]]
    made = []
    for small in (0, 4):
        monkeypatch.setattr(outgoing, "SMALL_DOCUMENTS", small)
        net = pair.copy_of(tmp_path / str(small))
        report = net["caixa-01"].seal("vendas", table(sold), format=form)
        assert [batch.documents for batch in report.sealed] == [2, 9, 1, 4, 3]
        manifests = [
            json.loads(path.read_bytes())["signed"]
            for path in net.outbox("caixa-01", "matriz")
            if path.name.endswith(".manifest.json")
        ]
        manifests.sort(key=lambda manifest: int(manifest["batch"]["seq"]))
        made.append([[each["batch"], each["payload"], each["rows"], each["totals"]] for each in manifests])
        assert not net["caixa-01"].seal("vendas", table(sold)).sealed
        net.until_quiet("caixa-01", "matriz")
        assert rows(net["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
        net.leave()
    assert made[0] == made[1]


def test_a_capture_is_cut_by_movement_day_and_by_size(pair: Network) -> None:
    pair.configure("caixa-01", "\n[datasets.vendas]\ndocuments_max = 10\n")
    two_days = [*sales(count=25), *sales(count=7, day=DAY + timedelta(days=1))]
    report = pair["caixa-01"].seal("vendas", table(two_days))
    assert sorted(batch.documents for batch in report.sealed) == [5, 7, 10, 10]
    only = pair["caixa-01"].seal("vendas", table(sales(count=30, day=DAY + timedelta(days=2))), DAY)
    assert only.sealed == []
    pair.turn("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == 32


def test_documents_that_break_the_contract_are_not_sealed_and_the_others_are(pair: Network) -> None:
    sold = sales(count=10)
    wrong = {**sold[4], "total_centavos": sold[4]["total_centavos"] + 1}
    foreign = {**sold[5], "origem": "caixa-99"}
    report = pair["caixa-01"].seal("vendas", table([*sold[:4], wrong, foreign, *sold[6:], sold[9]]))
    assert report.refused == 4, "of two documents with one key nobody can say which is meant"
    assert {problem.code for problem in report.problems} >= {"foreign-origem", "duplicate-key"}
    assert [batch.documents for batch in report.sealed] == [7]
    put_right = pair["caixa-01"].seal("vendas", table(sold))
    assert [batch.documents for batch in put_right.sealed] == [3], (
        "what was refused is owed, and found when it is right"
    )


def test_cadastros_go_to_every_caixa_as_one_snapshot_and_absent_rows_become_inactive(
    network: Network,
) -> None:
    network.site("matriz", Role.MATRIZ)
    for till in ("caixa-01", "caixa-02"):
        network.site(till, Role.CAIXA)
        network.peer("matriz", till, Role.CAIXA, link=f"../{till}")
        network.peer(till, "matriz", Role.MATRIZ)
    goods = [
        {"origem": "matriz", "codigo": f"P{n}", "descricao": f"Caixa de encomenda {n}", "unidade": "UN", "preco_centavos": 100 * n,
         "vigencia_inicio": "2026-01-01", "ativo": True}
        for n in range(1, 6)
    ]  # fmt: skip
    matriz = network["matriz"]
    report = matriz.seal("produtos", table(goods, "produtos"), full=True)
    assert report.sealed[0].recipients == ("caixa-01", "caixa-02")
    assert matriz.seal("produtos", table(goods[::-1], "produtos"), full=True).sealed == [], (
        "the same snapshot in another order"
    )
    network.turn("matriz", "caixa-01")
    assert matriz.turn().imported.settled == [report.sealed[0].name]
    assert {item.peer for item in matriz.status().outbox} == {"caixa-02"}, "one of two has answered"
    network.turn("caixa-02", "matriz")
    assert matriz.status().outbox == ()
    matriz.seal("produtos", table(goods[1:], "produtos"), full=True)
    network.until_quiet("matriz", "caixa-01", "caixa-02")
    held = {row["codigo"]: row["ativo"] for row in rows(network["caixa-01"], "produtos")}
    assert held == {"P1": False, "P2": True, "P3": True, "P4": True, "P5": True}
    back = matriz.seal("produtos", table(goods, "produtos"))
    assert [batch.documents for batch in back.sealed] == [1], (
        "a product that is back is sent, though it was sent before it went"
    )
    network.until_quiet("matriz", "caixa-01", "caixa-02")
    assert all(row["ativo"] for row in rows(network["caixa-02"], "produtos"))


def test_the_matriz_passes_sales_on_to_the_portal(pair: Network) -> None:
    pair.site("portal", Role.PORTAL)
    pair.peer("matriz", "portal", Role.PORTAL, link="../portal")
    pair.peer("portal", "matriz", Role.MATRIZ)
    pair.configure("matriz", '\n[datasets.vendas.source]\nkind = "store"\n')
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01", "matriz")
    report = pair["matriz"].export("vendas", to="portal", business_date=DAY)
    assert [batch.documents for batch in report.sealed] == [12]
    pair.turn("matriz", "portal")
    assert rows(pair["portal"]) == rows(pair["matriz"])


def test_dropped_files_are_captured_by_the_turn_and_left_as_they_are(pair: Network) -> None:
    pair.configure("caixa-01", '\n[datasets.vendas.source]\nkind = "jsonl"\npath = "drop/vendas/*.jsonl"\n')
    drop = pair.root / "caixa-01" / "drop" / "vendas"
    drop.mkdir(parents=True)
    sold = sales()
    text = "".join(json.dumps(sale) + "\n" for sale in sold)
    (drop / "dia.jsonl").write_text(text, encoding="utf-8")
    report = pair["caixa-01"].turn()
    assert [batch.documents for export in report.exported for batch in export.sealed] == [12]
    assert (drop / "dia.jsonl").read_text(encoding="utf-8") == text
    assert pair["caixa-01"].turn().exported[0].documents == 0, "an unchanged file is not read again"
    (drop / "dia.jsonl").write_text(
        text + text.splitlines()[0].replace(sold[0]["venda_id"], sold[0]["venda_id"][::-1]) + "\n",
        encoding="utf-8",
    )
    later = pair["caixa-01"].turn()
    assert later.exported[0].refused == 1, "a broken line costs nobody else"
    assert pair.codes("caixa-01") == ["bad-rows"]
    (drop / "dia.jsonl").write_text(text, encoding="utf-8")
    pair["caixa-01"].turn()
    assert pair.codes("caixa-01") == [], "a corrected file takes its note back"


def test_an_unreadable_source_stops_nothing(pair: Network) -> None:
    pair.configure(
        "caixa-01", '\n[datasets.vendas.source]\nkind = "parquet"\npath = "drop/vendas/*.parquet"\n'
    )
    drop = pair.root / "caixa-01" / "drop" / "vendas"
    drop.mkdir(parents=True)
    (drop / "dia.parquet").write_bytes(b"PAR1 not really")
    report = pair["caixa-01"].turn()
    assert [held.name for held in report.failed_sources] == ["drop/vendas/dia.parquet"]
    with pytest.raises(RejectedError):
        pair["caixa-01"].export("vendas")


def test_two_commands_do_not_work_in_one_folder(pair: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filesync.exchange.station.LOCK_PATIENCE_S", 0.0)
    other = Station.open(pair.root / "caixa-01")
    with other, pair["caixa-01"]._working(), pytest.raises(ConfigError, match="another filesync"):
        other.turn()


def test_a_folder_of_another_site_is_refused(pair: Network, tmp_path: Path) -> None:
    text = (pair.root / "caixa-01" / "filesync.toml").read_text(encoding="utf-8")
    (pair.root / "caixa-01" / "filesync.toml").write_text(
        text.replace('site = "caixa-01"', 'site = "caixa-07"'), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="caixa-07"):
        Station.open(pair.root / "caixa-01")


def test_a_key_that_repeats_across_the_chunks_of_a_capture_is_refused(pair: Network) -> None:
    sold = sales(count=6)
    again = {**sold[0], "operador": "M999"}
    with pytest.raises(RejectedError, match="expected each key"):
        pair["caixa-01"].seal("vendas", iter([table(sold[:3]), table([*sold[3:], again])]))
    assert pair.outbox("caixa-01", "matriz") == []
    assert len(pair["caixa-01"].seal("vendas", iter([table(sold[:3]), table(sold[3:])])).sealed) == 1


def test_one_unreadable_file_costs_the_others_nothing(pair: Network) -> None:
    pair.configure("caixa-01", '\n[datasets.vendas.source]\nkind = "csv"\npath = "drop/vendas/*.csv"\n')
    drop = pair.root / "caixa-01" / "drop" / "vendas"
    drop.mkdir(parents=True)
    (drop / "a.csv").write_bytes(b"\xff\xfe not utf-8 \xc3")
    head = "venda_id,caixa,serie,numero,data_movimento,registrada_em,situacao,total_itens_centavos,total_postagens_centavos,desconto_centavos,total_centavos"
    good = "5f0f6b0e-3a4f-4f0a-9b55-0a8c4a3f7c01,01,1,7,2026-03-02,2026-03-02T10:00:00-03:00,ajuste,0,0,0,0"
    wrong = "5f0f6b0e-3a4f-4f0a-9b55-0a8c4a3f7c02,01,1,8,2026-03-02,2026-03-02T10:00:00-03:00,ajuste,0,0,0,5"
    (drop / "b.csv").write_text(f"{head}\n{good}\n{wrong}\n", encoding="utf-8")
    report = pair["caixa-01"].turn()
    assert [held.name for held in report.failed_sources] == ["drop/vendas/a.csv"]
    assert [batch.documents for export in report.exported for batch in export.sealed] == [1]
    assert [problem.row for problem in report.exported[0].problems] == [3], (
        "the line in the file, where a person looks"
    )
