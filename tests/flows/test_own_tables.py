"""The shop's ERP has tables of its own: a batch reaches them in the very transaction in which it is applied, or not at all."""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, ENGINES, Network, rows, sales, table

from filesync.config import ExecutorKind
from filesync.demo.billing import billing_of_day
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange import cutting, own_tables, ownbatch, parallel
from filesync.exchange.ownbatch import OwnFile
from filesync.exchange.station import Station
from filesync.protocol.identity import Format, Role
from filesync.protocol.receipt import Verdict
from filesync.stores.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from filesync.exchange.reports import ImportReport

Sale = dict[str, Any]
TILLS = ("caixa-01", "caixa-02", "caixa-03")
#: The ERP counts in reais and units, says "cupom" and "loja", and wants to know each shop.
ERP = """
CREATE TABLE loja (id text PRIMARY KEY);
CREATE TABLE venda (
    id text PRIMARY KEY, loja text NOT NULL REFERENCES loja (id), cupom integer NOT NULL CHECK (cupom < 9000), valor numeric(12, 2) NOT NULL,
    cancelada integer NOT NULL, lote text NOT NULL);
CREATE TABLE venda_item (venda text REFERENCES venda (id), item integer, produto text, quantidade numeric(12, 3), PRIMARY KEY (venda, item));
CREATE TABLE lote (nome text PRIMARY KEY, vendas integer NOT NULL);
INSERT INTO loja VALUES ('caixa-01');
INSERT INTO loja VALUES ('caixa-02');
INSERT INTO loja VALUES ('caixa-03')
"""
APPLY = """
-- Sales; of one that is there already the newest version stands.
INSERT INTO venda (id, loja, cupom, valor, cancelada, lote)
SELECT venda_id, origem, numero, total_centavos / 100.0, CASE situacao WHEN 'cancelada' THEN 1 ELSE 0 END, fs_batch_name
FROM batch_vendas WHERE true
ON CONFLICT (id) DO UPDATE SET valor = excluded.valor, cancelada = excluded.cancelada, lote = excluded.lote;
-- Their items, as that version has them.
DELETE FROM venda_item WHERE venda IN (SELECT venda_id FROM batch_vendas);
INSERT INTO venda_item (venda, item, produto, quantidade)
SELECT venda_id, numero, produto, quantidade_milesimos / 1000.0 FROM batch_itens;
-- Each batch once: a second time would be refused.
INSERT INTO lote (nome, vendas) SELECT fs_batch_name, count(*) FROM batch_vendas GROUP BY fs_batch_name;
"""


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every story is told on both databases."""
    return str(request.param)


@pytest.fixture
def shop(network: Network) -> Network:
    """A matriz whose ERP is in its database, and three tills."""
    return open_shop(network)


def open_shop(network: Network, tills: tuple[str, ...] = TILLS) -> Network:
    network.serve_the_matriz_alone()
    network.site("matriz", Role.MATRIZ)
    for till in tills:
        network.site(till, Role.CAIXA)
        network.peer(till, "matriz", Role.MATRIZ, link="../matriz")
        network.peer("matriz", till, Role.CAIXA)
    write(network, APPLY)
    network.configure("matriz", '\n[apply.vendas]\nsql = "apply_vendas.sql"\n')
    run(network, ERP)
    return network


def write(network: Network, sql: str) -> None:
    """The file of statements; taken up when the matriz is opened anew."""
    (network.root / "matriz" / "apply_vendas.sql").write_text(sql, encoding="utf-8")
    if "matriz" in network.stations:
        network.reopen("matriz")


def run(network: Network, sql: str) -> None:
    """What the ERP's people do in their tables."""
    for statement in sql.split(";"):
        if statement.strip():
            network["matriz"].context.store._db.run_given(statement)


def ask(network: Network, query: str) -> list[tuple[Any, ...]]:
    return network["matriz"].context.store._db.select(query)


def erp(network: Network) -> dict[str, tuple[float, int]]:
    """What the ERP knows: value in reais and whether it is cancelled, by sale."""
    found = ask(network, "SELECT id, valor * 100, cancelada FROM venda")
    return {one: (round(float(valor)), cancelada) for one, valor, cancelada in found}


def expected(sold: list[Sale]) -> dict[str, tuple[float, int]]:
    return {sale["venda_id"]: (sale["total_centavos"], int(sale["situacao"] == "cancelada")) for sale in sold}


def items(network: Network) -> list[tuple[str, int]]:
    return sorted(ask(network, "SELECT venda, item FROM venda_item"))


def items_of(sold: list[Sale]) -> list[tuple[str, int]]:
    return sorted((sale["venda_id"], item["numero"]) for sale in sold for item in sale.get("itens") or ())


def seal(network: Network, till: str, sold: list[Sale], **more: Any) -> str:
    """Seal and ship; the batch's name."""
    report = network[till].seal("vendas", table(sold), **more)
    network[till].turn()
    (batch,) = report.sealed
    return batch.name


def take_in(network: Network) -> ImportReport:
    return network["matriz"].turn().imported


def verdicts(report: ImportReport) -> dict[str, Verdict]:
    return {batch.name: batch.verdict for batch in report.applied}


def at_home(network: Network) -> list[Sale]:
    """What filesync itself holds."""
    return rows(network["matriz"])


# ------------------------------------------------------------------------------------------------ what reaches the ERP


def test_a_group_of_small_batches_reaches_the_erp_and_filesyncs_own_table(shop: Network) -> None:
    sold = {till: sales(till, count=5) for till in TILLS}
    names = [seal(shop, till, sold[till]) for till in TILLS]
    assert verdicts(take_in(shop)) == dict.fromkeys(names, Verdict.APPLIED)
    every = [sale for till in TILLS for sale in sold[till]]
    assert erp(shop) == expected(every)
    assert items(shop) == items_of(every)
    assert len(at_home(shop)) == 15, "gates, reconciliation and portal go by filesync's own table"
    assert sorted(ask(shop, "SELECT nome, vendas FROM lote")) == sorted((name, 5) for name in names)


@pytest.mark.parametrize("form", [Format.PARQUET, Format.JSONL])
def test_a_correction_and_a_cancellation_reach_the_erp_an_older_version_does_not(
    shop: Network, form: Format
) -> None:
    first = [sale for sale in sales(count=8) if sale["situacao"] != "cancelada"]
    seal(shop, "caixa-01", first, format=form)
    take_in(shop)
    cancelled = {**first[0], "situacao": "cancelada", "versao": 3}
    fewer = {**first[1], "operador": "M999", "versao": 2}
    seal(shop, "caixa-01", [cancelled, fewer], format=form)
    take_in(shop)
    now = [cancelled, fewer, *first[2:]]
    assert (erp(shop), items(shop)) == (expected(now), items_of(now))
    assert erp(shop)[first[0]["venda_id"]][1] == 1
    # A version that is older than what is held: decided, and nothing of it is applied, here and there.
    late = seal(shop, "caixa-01", [{**first[0], "versao": 2}], format=form)
    assert verdicts(take_in(shop)) == {late: Verdict.APPLIED}
    assert (erp(shop), items(shop)) == (expected(now), items_of(now))
    assert ask(shop, f"SELECT * FROM lote WHERE nome = '{late}'") == []


def test_only_the_good_sales_of_a_batch_with_mistakes_reach_the_erp(
    shop: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are kept in quarantine, and nobody's table has them."""
    good = sales(count=5)
    name = seal_unchecked(shop, monkeypatch, [*good[:4], {**good[4], "origem": "caixa-09"}])
    assert verdicts(take_in(shop)) == {name: Verdict.PARTIAL}
    assert (erp(shop), items(shop)) == (expected(good[:4]), items_of(good[:4]))


def seal_unchecked(network: Network, monkeypatch: pytest.MonkeyPatch, sold: list[Sale], **more: Any) -> str:
    """By a till that does not look at what it seals."""
    with monkeypatch.context() as patch:
        patch.setattr(cutting, "_valid", lambda *given: given[2])
        return seal(network, "caixa-01", sold, **more)


def test_a_batch_that_comes_again_is_answered_again_and_not_applied_again(shop: Network) -> None:
    sold = sales(count=4)
    name = seal(shop, "caixa-01", sold)
    kept = [(path, path.read_bytes()) for path in shop.inbox("matriz", "caixa-01")]
    take_in(shop)
    for path, data in kept:
        path.write_bytes(data)
    report = take_in(shop)
    assert (report.replayed, report.applied) == ([name], [])
    assert ask(shop, "SELECT nome, vendas FROM lote") == [(name, 4)], "a second time would have been refused"
    assert erp(shop) == expected(sold)


def test_what_a_snapshot_makes_inactive_reaches_the_erp(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    network.configure("caixa-01", '\n[apply.produtos]\nsql = "sql/produtos.sql"\n')
    (network.root / "caixa-01" / "sql").mkdir()
    (network.root / "caixa-01" / "sql" / "produtos.sql").write_text(
        "\ufeffINSERT INTO artigo SELECT codigo, preco_centavos, 'S' FROM batch_produtos WHERE true ON CONFLICT (codigo) DO UPDATE SET preco = excluded.preco;\n"
        "UPDATE artigo SET ativo = 'N' WHERE codigo IN (SELECT codigo FROM batch_inactive);",
        encoding="utf-8",
    )
    till = network["caixa-01"].context.store._db
    till.run_given("CREATE TABLE artigo (codigo text PRIMARY KEY, preco bigint, ativo text)")

    def product(codigo: str, price: int) -> Sale:
        return {"origem": "matriz", "codigo": codigo, "descricao": "x", "unidade": "UN", "preco_centavos": price, "vigencia_inicio": "2026-01-01", "ativo": True}  # fmt: skip

    for products in ([product("1", 10), product("2", 20)], [product("2", 25), product("3", 30)]):
        network["matriz"].seal("produtos", table(products, "produtos"), DAY, to="caixa-01", full=True)
        network.turn("matriz", "caixa-01", "caixa-01")
    assert till.select("SELECT codigo, preco, ativo FROM artigo ORDER BY codigo") == [("1", 10, "N"), ("2", 25, "S"), ("3", 30, "S")]  # fmt: skip


def test_a_billing_file_reaches_the_erp_a_corrected_one_takes_back_what_it_no_longer_holds(
    network: Network, tmp_path: Path
) -> None:
    network.site("matriz", Role.MATRIZ)
    network.configure("matriz", '\n[apply.bdf]\nsql = "bdf.sql"\n')
    key = "{0}.sub_caixa || '/' || {0}.numero_atendimento || '/' || {0}.sequencia"
    new, gone = key.format("b"), key.format("g")
    (network.root / "matriz" / "bdf.sql").write_text(
        f"DELETE FROM fatura WHERE registro IN (SELECT {gone} FROM batch_inactive g);"
        f"DELETE FROM fatura WHERE registro IN (SELECT {new} FROM batch_bdf b);"
        f"INSERT INTO fatura SELECT {new}, b.valor_cobrado_centavos FROM batch_bdf b",
        encoding="utf-8",
    )
    run(network, "CREATE TABLE fatura (registro text PRIMARY KEY, valor bigint CHECK (valor < 1000000))")
    billed = billing_of_day(sales(count=40)).bdf
    assert len(billed) > 4

    def take(rows_of_file: list[Sale]) -> None:
        ctx = network["matriz"].context
        contract = ctx.contracts.latest("bdf")
        assert contract is not None
        (tmp_path / "bdf.txt").write_text(str(rows_of_file), encoding="utf-8")
        data = (tmp_path / "bdf.txt").read_bytes()
        file = OwnFile(
            tmp_path / "bdf.txt", hashlib.sha256(data).hexdigest(), len(data), "x", "0" * 64, "Márcia"
        )
        prepared = ownbatch.prepare(ctx, contract, DAY, [table(rows_of_file, "bdf")])
        ownbatch.take(ctx, prepared, file)

    def held() -> list[tuple[str, int]]:
        return sorted(ask(network, "SELECT registro, valor FROM fatura"))

    def of(billed: list[Sale]) -> list[tuple[str, int]]:
        names = ("sub_caixa", "numero_atendimento", "sequencia")
        return sorted(
            ("/".join(str(row[name]) for name in names), row["valor_cobrado_centavos"]) for row in billed
        )

    take(billed)
    assert held() == of(billed)
    corrected = [{**billed[0], "valor_cobrado_centavos": 7}, *billed[1:-2]]
    take(corrected)
    assert held() == of(corrected)
    with pytest.raises(RejectedError, match=r"(?i)check constraint") as caught:
        take([{**billed[0], "valor_cobrado_centavos": 1_000_000}])
    assert caught.value.code == "apply-failed"
    assert held() == of(corrected)
    run(network, "ALTER TABLE fatura RENAME TO faturas")
    with pytest.raises(ConfigError) as broken:
        take(billed)
    assert broken.value.code == own_tables.BROKEN
    run(network, "ALTER TABLE faturas RENAME TO fatura")
    take(billed)
    assert held() == of(billed)


@pytest.mark.parametrize("executor", ["threads:2", "processes:2"])
def test_several_importers_apply_into_the_same_tables(
    shop: Network, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "LEAST", dict.fromkeys(ExecutorKind, 0))
    shop.configure("matriz", f'\n[import]\nexecutor = "{executor}"\n')
    shop.reopen("matriz")
    sold = {till: sales(till, count=6) for till in TILLS}
    sold["caixa-02"][1]["numero"] = 9_500
    names = {till: seal(shop, till, sold[till]) for till in TILLS}
    report = take_in(shop)
    assert verdicts(report) == {
        name: Verdict.REJECTED if till == "caixa-02" else Verdict.APPLIED for till, name in names.items()
    }
    assert report.redone == []
    assert erp(shop) == expected([*sold["caixa-01"], *sold["caixa-03"]])


def test_history_is_taken_over_from_filesyncs_own_tables(network: Network) -> None:
    """Who adds statements later fills the ERP once from what is there; from then on batches come by themselves."""
    open_shop(network, ("caixa-01",))
    network.configure("matriz", "")
    path = network.root / "matriz" / "filesync.toml"
    configured = path.read_text("utf-8")
    path.write_text(configured.replace("[apply.vendas]", "# ").replace('sql = "apply', '# sql = "apply'), "utf-8")  # fmt: skip
    network.reopen("matriz")
    before, after = sales(count=6)[:3], sales(count=6)[3:]
    seal(network, "caixa-01", before)
    take_in(network)
    assert erp(network) == {}
    path.write_text(configured, "utf-8")
    network.reopen("matriz")
    run(network, "INSERT INTO venda SELECT venda_id, origem, numero, total_centavos / 100.0, CASE situacao WHEN 'cancelada' THEN 1 ELSE 0 END, 'antes' FROM vendas")  # fmt: skip
    seal(network, "caixa-01", after)
    take_in(network)
    assert erp(network) == expected([*before, *after])


@pytest.mark.parametrize("engine", ["postgresql"])
def test_what_the_tutorial_says_of_postgresql_is_true(network: Network, engine: str) -> None:
    """docs/tutorial-own-tables.md, typed: first the ERP's tables, then the file of statements. (Its SQLite is typed by tests/system/test_readme.py.)"""
    page = Path(__file__).parents[2].joinpath("docs", "tutorial-own-tables.md").read_text("utf-8")
    schema, statements = re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    open_shop(network, ("caixa-01",))
    run(network, schema)
    write(network, statements)
    assert take_in(network).unready == []
    sold = [{**sale, "numero": number} for number, sale in enumerate(sales(count=20), 1)]
    seal(network, "caixa-01", sold)
    sold[0] = {**sold[0], "situacao": "cancelada", "versao": 2}
    seal(network, "caixa-01", sold)
    assert set(verdicts(take_in(network)).values()) == {Verdict.APPLIED}
    found = ask(network, "SELECT id::text, CAST(total * 100 AS bigint), situacao, emissao FROM erp.venda")
    assert {one: (total, int(sign == "C")) for one, total, sign, _ in found} == expected(sold)
    at = {one: emitted for one, _, _, emitted in found}
    assert all(at[sale["venda_id"]] == datetime.fromisoformat(sale["registrada_em"]) for sale in sold)
    lines = ask(network, "SELECT venda::text, item, CAST(total * 100 AS bigint) FROM erp.venda_item")
    assert sorted(lines) == sorted(
        (sale["venda_id"], item["numero"], item["total_centavos"])
        for sale in sold
        for item in sale.get("itens") or ()
    )
    again = {**sales(count=21)[20], "numero": 1}
    name = seal(network, "caixa-01", [again])
    (batch,) = take_in(network).applied
    assert (batch.name, batch.verdict) == (name, Verdict.REJECTED)
    assert "Key (loja, cupom)=(caixa-01, 1) already exists" in batch.problems[0].message


# ------------------------------------------------------------------------------------------------ what the ERP refuses


@pytest.mark.parametrize("wrong", ["check", "foreign key", "at the end"])
def test_one_bad_batch_of_a_group_never_costs_its_neighbours(shop: Network, wrong: str) -> None:
    sold = {till: sales(till, count=5) for till in TILLS}
    if wrong == "check":
        sold["caixa-02"][3]["numero"] = 9_500
    elif wrong == "foreign key":
        run(shop, "DELETE FROM loja WHERE id = 'caixa-02'")
    else:
        run(shop, "CREATE TABLE caixa (id text PRIMARY KEY); CREATE TABLE registro (caixa text REFERENCES caixa (id) DEFERRABLE INITIALLY DEFERRED)")  # fmt: skip
        run(shop, "INSERT INTO caixa VALUES ('caixa-01'); INSERT INTO caixa VALUES ('caixa-03')")
        write(shop, f"{APPLY}; INSERT INTO registro SELECT DISTINCT origem FROM batch_vendas")
    names = {till: seal(shop, till, sold[till]) for till in TILLS}
    report = take_in(shop)
    assert verdicts(report) == {
        names["caixa-01"]: Verdict.APPLIED, names["caixa-02"]: Verdict.REJECTED, names["caixa-03"]: Verdict.APPLIED,
    }  # fmt: skip
    good = [*sold["caixa-01"], *sold["caixa-03"]]
    assert (erp(shop), items(shop)) == (expected(good), items_of(good))
    assert {sale["origem"] for sale in at_home(shop)} == {"caixa-01", "caixa-03"}, "refused there, refused here"  # fmt: skip
    # It is said as the database said it, here and where the batch came from.
    (batch,) = [one for one in report.applied if one.verdict is Verdict.REJECTED]
    (problem,) = batch.problems
    said = {"check": "(?i)check constraint", "foreign key": "(?i)foreign key", "at the end": "(?i)foreign key"}[wrong]  # fmt: skip
    assert problem.code == "apply-failed"
    assert re.search(said, problem.message), problem.message
    assert shop.codes("matriz") == ["apply-failed"]
    (told,) = shop["caixa-02"].turn().imported.rejected_by_peer
    assert told.code == problem.code
    assert problem.message in told.message
    # When the cause is gone the same rows come under a new number.
    run(shop, "INSERT INTO loja VALUES ('caixa-02')" if wrong == "foreign key" else "SELECT 1")
    run(shop, "INSERT INTO caixa VALUES ('caixa-02')" if wrong == "at the end" else "SELECT 1")
    if wrong == "check":
        sold["caixa-02"][3]["numero"] = 8_500
    shop["caixa-02"].seal("vendas", table(sold["caixa-02"]), again=True)
    shop["caixa-02"].turn()
    take_in(shop)
    assert erp(shop) == expected([sale for till in TILLS for sale in sold[till]])


def test_a_batch_with_mistakes_that_the_erp_refuses_as_well_is_rejected_whole(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop(network, ("caixa-01",))
    run(network, "CREATE TABLE caixa (id text PRIMARY KEY); CREATE TABLE registro (caixa text REFERENCES caixa (id) DEFERRABLE INITIALLY DEFERRED)")  # fmt: skip
    write(network, "INSERT INTO registro SELECT DISTINCT origem FROM batch_vendas")
    sold = sales(count=5)
    wrong = [*sold[:4], {**sold[4], "origem": "caixa-09"}]
    name = seal_unchecked(network, monkeypatch, wrong)
    assert verdicts(take_in(network)) == {name: Verdict.REJECTED}
    kept = network.quarantine("matriz", "caixa-01")
    assert f"{name}.problem.json" in kept
    assert not [one for one in kept if ".rows.jsonl" in one], "rows of it that had been set aside are in it"
    run(network, "INSERT INTO caixa VALUES ('caixa-01')")
    network["caixa-01"].turn()
    name = seal_unchecked(network, monkeypatch, wrong, again=True)
    assert verdicts(take_in(network)) == {name: Verdict.PARTIAL}
    assert ask(network, "SELECT count(*) FROM registro") == [(1,)]


def test_of_secrets_the_databases_words_are_not_repeated(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    network.configure("caixa-01", '\n[apply.credenciais]\nsql = "senhas.sql"\n')
    (network.root / "caixa-01" / "senhas.sql").write_text(
        "INSERT INTO senha SELECT senha_argon2id FROM batch_credenciais", encoding="utf-8"
    )
    till = network["caixa-01"].context.store._db
    till.run_given("CREATE TABLE senha (hash text PRIMARY KEY)")
    phc = f"$argon2id$v=19$m=65536,t=3,p=4${'a' * 22}${'b' * 43}"
    till.run_given(f"INSERT INTO senha VALUES ('{phc}')")
    document = {"origem": "matriz", "matricula": "1001", "senha_argon2id": phc, "ativo": True}
    network["matriz"].seal("credenciais", table([document], "credenciais"), DAY, to="caixa-01")
    network["matriz"].turn()
    report = network["caixa-01"].turn().imported
    (batch,) = report.applied
    assert batch.verdict is Verdict.REJECTED
    assert "not shown" in batch.problems[0].message
    for path in (network.root / "caixa-01").rglob("*.json"):
        assert phc not in path.read_text("utf-8")


# ------------------------------------------------------------------------------------------------ statements that cannot run


def test_a_broken_statement_holds_its_dataset_and_nothing_else(network: Network) -> None:
    open_shop(network, ("caixa-01", "caixa-02"))
    network.configure("matriz", '\n[peers.extra]\nrole = "posto"\n')
    write(network, APPLY.replace("INTO venda ", "INTO vendas_do_erp "))
    # Said at the first turn, before anything has come.
    (said,) = take_in(network).unready
    assert (said.name, said.code) == ("vendas", own_tables.BROKEN)
    assert "apply_vendas.sql, statement 1: " in said.message
    assert "vendas_do_erp" in said.message
    sold = sales(count=4)
    first, second = seal(network, "caixa-01", sold[:2]), seal(network, "caixa-01", sold[2:])
    report = take_in(network)
    assert report.needs_attention
    assert [held.code for held in report.unready] == [own_tables.BROKEN]
    assert {held.name for held in report.waiting} == {first, second}
    assert (report.applied, network.codes("matriz"), at_home(network)) == ([], [], [])
    assert network["matriz"].context.store.holes.open() == [], "what waits here is not missing"
    # Corrected: everything is applied, in its order, and no number was lost.
    write(network, APPLY)
    report = take_in(network)
    assert verdicts(report) == {first: Verdict.APPLIED, second: Verdict.APPLIED}
    assert (report.unready, report.needs_attention) == ([], False)
    assert erp(network) == expected(sold)


def test_other_data_go_on_while_one_dataset_is_held(network: Network) -> None:
    open_shop(network, ("caixa-01",))
    network.configure("matriz", "")
    path = network.root / "matriz" / "filesync.toml"
    path.write_text(path.read_text("utf-8").replace("[apply.vendas]", "[apply.fechamento]"), "utf-8")
    network.reopen("matriz")
    (said,) = take_in(network).unready
    assert said.name == "fechamento", "its statements speak of batch_vendas"
    sold = sales(count=3)
    name = seal(network, "caixa-01", sold)
    assert verdicts(take_in(network)) == {name: Verdict.APPLIED}
    assert len(at_home(network)) == 3


def test_tables_that_change_under_a_running_station_cost_no_batch(network: Network) -> None:
    open_shop(network, ("caixa-01", "caixa-02"))
    sold = sales(count=6)
    seal(network, "caixa-01", sold[:2])
    take_in(network)
    run(network, "ALTER TABLE venda RENAME COLUMN cupom TO numero_do_cupom")
    names = [seal(network, "caixa-01", sold[2:4]), seal(network, "caixa-02", sales("caixa-02", count=2))]
    report = take_in(network)
    assert {held.name for held in report.waiting} == set(names)
    assert report.applied == []
    run(network, "ALTER TABLE venda RENAME COLUMN numero_do_cupom TO cupom")
    assert verdicts(take_in(network)) == dict.fromkeys(names, Verdict.APPLIED)


def test_tables_that_change_in_the_middle_of_an_import_cost_no_batch(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried and found right; gone when the first batch is applied."""
    open_shop(network, ("caixa-01",))
    name = seal(network, "caixa-01", sales(count=3))
    take = own_tables.check
    tried: list[str] = []

    def check(ctx: Any, dataset: str) -> None:
        take(ctx, dataset)
        tried.append(dataset)
        if len(tried) == 2:  # at the start, and before the first batch
            ctx.store._db.run_given("ALTER TABLE lote RENAME TO remessa")

    monkeypatch.setattr(own_tables, "check", check)
    report = take_in(network)
    assert (report.applied, [held.name for held in report.waiting]) == ([], [name])
    assert [held.code for held in report.unready] == [own_tables.BROKEN]
    run(network, "ALTER TABLE remessa RENAME TO lote")
    assert verdicts(take_in(network)) == {name: Verdict.APPLIED}


@pytest.mark.parametrize(("sql", "code"), [
    ("COMMIT", "apply-refused"), ("INSERT INTO x SELECT 1; ROLLBACK", "apply-refused"), ("ATTACH 'x' AS y", "apply-refused"),
    ("PRAGMA synchronous = OFF", "apply-refused"), ("DELETE FROM fs_incoming", "apply-refused"), ("", "apply-refused"), (None, "apply-unreadable"),
])  # fmt: skip
def test_what_may_not_be_run_stops_the_site_before_anything_is(
    pair: Network, sql: str | None, code: str
) -> None:
    pair.configure("matriz", '\n[apply.vendas]\nsql = "own.sql"\n')
    if sql is not None:
        (pair.root / "matriz" / "own.sql").write_text(sql, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Station.open(pair.root / "matriz")
    assert caught.value.code == code
    assert "own.sql" in caught.value.message


@pytest.mark.parametrize("name", ["../own.sql", "/etc/own.sql", "a/../../own.sql", "C:/own.sql", "\\\\server\\own.sql", "", "link.sql"])  # fmt: skip
def test_the_file_lies_in_the_sites_folder(pair: Network, tmp_path: Path, name: str) -> None:
    (tmp_path / "own.sql").write_text("SELECT 1", encoding="utf-8")
    (pair.root / "matriz" / "link.sql").symlink_to(tmp_path / "own.sql")
    pair.configure("matriz", f"\n[apply.vendas]\nsql = '{name}'\n")
    with pytest.raises(ConfigError) as caught:
        Station.open(pair.root / "matriz")
    assert caught.value.code in ("config-invalid", "apply-unreadable")


@pytest.mark.parametrize("sql", ["DELETE FROM vendas", "UPDATE Main.Vendas_Itens SET numero = 1", "INSERT INTO produtos SELECT * FROM produtos"])  # fmt: skip
def test_what_filesync_holds_is_not_written_by_a_statement(network: Network, sql: str) -> None:
    open_shop(network, ("caixa-01",))
    write(network, sql)
    (said,) = take_in(network).unready
    assert "which filesync keeps" in said.message
    with pytest.raises(ConfigError) as caught:
        own_tables.check(network["matriz"].context, "vendas")
    assert caught.value.code == "apply-refused"


# ------------------------------------------------------------------------------------------------ the road, and crashes


def test_while_somebody_holds_the_erps_rows_nothing_is_decided(network: Network, engine: str) -> None:
    open_shop(network, ("caixa-01",))
    sold = sales(count=3)
    seal(network, "caixa-01", sold)
    take_in(network)
    name = seal(network, "caixa-01", [{**sold[0], "versao": 2}])
    own = network["matriz"].context.store
    with beside(network, engine) as other:
        own._db.run_given("PRAGMA busy_timeout = 1" if engine == "sqlite" else "SET lock_timeout = '20ms'")
        other("BEGIN IMMEDIATE" if engine == "sqlite" else "BEGIN")
        other("UPDATE venda SET cupom = cupom")
        with pytest.raises(TransportError) as caught:
            network["matriz"].turn()
        assert caught.value.code == "store-busy"
        other("ROLLBACK")
    assert own.receipt_of(name) is None
    assert verdicts(take_in(network)) == {name: Verdict.APPLIED}


class beside:  # noqa: N801 -- used like a function
    """Another connection to the matriz' database."""

    def __init__(self, network: Network, engine: str) -> None:
        store = network["matriz"].context.settings.database
        where = store if isinstance(store, Path) else store.full_address()
        if engine == "sqlite":
            import adbc_driver_sqlite.dbapi as driver
        else:
            import adbc_driver_postgresql.dbapi as driver  # type: ignore[no-redef]
        self._connection = driver.connect(str(where), autocommit=True)

    def __enter__(self) -> Callable[[str], None]:
        def tell(statement: str) -> None:
            with self._connection.cursor() as cursor:
                cursor.executemany(statement, None)

        return tell

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class PowerCutError(BaseException):
    """Nothing in the program may catch it and go on."""


def test_a_power_cut_around_the_commit_leaves_all_of_a_batch_or_nothing(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before and after every commit of the matriz, for a group, a merge and a batch that is refused."""
    tills = ("caixa-01", "caixa-02")
    open_shop(network, tills)
    sold = {till: sales(till, count=3) for till in tills}
    for till in tills:
        seal(network, till, sold[till])
    sold["caixa-01"][0] = {**sold["caixa-01"][0], "operador": "M999", "versao": 2}
    seal(network, "caixa-01", sold["caixa-01"])
    refused = {**sales("caixa-02", count=4)[3], "numero": 9_500}
    seal(network, "caixa-02", [refused])
    network.close()
    every = [sale for till in tills for sale in sold[till]]

    def check(net: Network, message: str) -> None:
        assert (erp(net), items(net)) == (expected(every), items_of(every)), message
        assert len(at_home(net)) == len(every), message
        assert sorted(count for (count,) in ask(net, "SELECT vendas FROM lote")) == [1, 3, 3], message
        assert net.codes("matriz") == ["apply-failed"], message

    commits = 0
    cut: tuple[int, bool] | None = None
    commit = Store._commit

    def counted(store: Store) -> None:
        nonlocal commits
        if store.site.id != "matriz":
            return commit(store)
        commits += 1
        if cut == (commits, False):
            raise PowerCutError
        commit(store)
        if cut == (commits, True):
            raise PowerCutError
        return None

    monkeypatch.setattr(Store, "_commit", counted)
    whole = network.copy_of(tmp_path / "whole")
    take_in(whole)
    check(whole, "not cut")
    last = commits
    whole.leave()
    assert last >= 4
    for number in range(1, last + 1):
        # On a server, where a cut costs several times as much, before and after in turn.
        for after in (False, True) if network.server is None else (number % 2 == 0,):
            net = network.copy_of(tmp_path / f"cut-{number}-{after}")
            commits, cut = 0, (number, after)
            with pytest.raises(PowerCutError):
                take_in(net)
            net.close()
            cut = None
            net.until_quiet("matriz", *tills)
            check(net, f"cut {'after' if after else 'before'} commit {number}")
            net.leave()
            shutil.rmtree(net.root)


def test_a_station_that_dies_in_the_statement_leaves_nothing(shop: Network) -> None:
    """The database itself undoes what was not committed."""
    sold = sales(count=3)
    name = seal(shop, "caixa-01", sold)
    store = shop["matriz"].context.store
    run_given = store._db.run_given

    def die(statement: str) -> None:
        run_given(statement)
        if "INTO lote" in statement and "batch_vendas" in statement:
            raise PowerCutError

    shop["matriz"].turn()  # nothing left to try at the start but what follows
    assert erp(shop) == expected(sold)
    other = seal(shop, "caixa-02", sales("caixa-02", count=2))
    store._db.run_given = die  # type: ignore[method-assign]
    with suppress(PowerCutError):
        shop["matriz"].turn()
    shop.stations.pop("matriz").close()
    assert erp(shop) == expected(sold)
    assert shop["matriz"].context.store.receipt_of(other) is None
    assert verdicts(take_in(shop)) == {other: Verdict.APPLIED}
    assert name != other
