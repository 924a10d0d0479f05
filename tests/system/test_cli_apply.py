"""`filesync apply`, and what the other commands say of statements for tables of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import adbc_driver_sqlite.dbapi as sqlite
import pytest
from cli_shop import Shop, open_shop

from filesync import config

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "INSERT INTO venda (id, valor) SELECT venda_id, total_centavos / 100.0 FROM batch_vendas;"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = open_shop(tmp_path)
    erp(made, "CREATE TABLE venda (id text PRIMARY KEY, valor numeric NOT NULL CHECK (valor < 100000))")
    with (made.matriz / config.FILE_NAME).open("a", encoding="utf-8") as file:
        file.write('\n[apply.vendas]\nsql = "apply_vendas.sql"\n')
    write(made, GOOD)
    return made


def erp(shop: Shop, statement: str) -> list[tuple[Any, ...]]:
    """Of the ERP's own program."""
    with (
        sqlite.connect(str(shop.matriz / "filesync.db"), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]


def write(shop: Shop, sql: str) -> None:
    (shop.matriz / "apply_vendas.sql").write_text(sql, encoding="utf-8")


def test_statements_that_can_run_are_told(shop: Shop) -> None:
    assert shop.at_matriz("apply", "check").out == "vendas: apply_vendas.sql can run (statements: 1)\n"
    assert shop.at_matriz("apply", "check", "vendas").out == "vendas: apply_vendas.sql can run (statements: 1)\n"  # fmt: skip
    assert shop.at_matriz("apply", "check", "--json").json == [
        {"dataset": "vendas", "file": "apply_vendas.sql", "statements": 1, "ok": True, "code": None, "message": None}
    ]  # fmt: skip
    assert erp(shop, "SELECT * FROM venda") == []


def test_what_the_database_says_of_a_statement_is_told_with_the_next_step(shop: Shop) -> None:
    write(shop, f"{GOOD} DELETE FROM pedido;")
    run = shop.at_matriz("apply", "check", code=1)
    assert run.out.startswith("vendas: apply_vendas.sql, statement 2: no such table: pedido\n")
    assert "filesync apply check" in run.out
    (told,) = shop.at_matriz("apply", "check", "--json", code=1).json
    assert (told["ok"], told["code"]) == (False, "apply-broken")


@pytest.mark.parametrize(("sql", "said"), [
    ("COMMIT;", "statement 1: expected one that begins with"), ("DELETE FROM fs_feed;", "name of filesync's ledger"), ("DELETE FROM vendas", "which filesync keeps"),
])  # fmt: skip
def test_what_may_not_be_run_is_told(shop: Shop, sql: str, said: str) -> None:
    write(shop, sql)
    run = shop.at_matriz("apply", "check", code=None)
    assert run.code in (1, 2)
    assert said in " ".join((run.out + run.err).split())


def test_without_statements_there_is_nothing_to_check(shop: Shop) -> None:
    assert "no statements for own tables are configured" in shop.at_caixa("apply", "check", code=2).err
    assert "there are some for: vendas" in shop.at_matriz("apply", "check", "produtos", code=2).err


def test_what_a_statement_finds_is_shown(shop: Shop) -> None:
    shown = shop.at_matriz("apply", "show", "vendas").out
    assert shown.startswith("batch_vendas\n  origem text\n  venda_id text\n")
    assert (
        "\nbatch_inactive\n  origem text\n  venda_id text\n  fs_batch integer\n  fs_batch_name text\n"
        in shown
    )
    told = shop.at_matriz("apply", "show", "produtos", "--json").json
    assert list(told) == ["batch_produtos", "batch_inactive"]
    assert "known: " in shop.at_matriz("apply", "show", "cupons", code=2).err


def test_a_turn_says_that_batches_wait_for_a_statement_and_goes_on_when_it_is_right(shop: Shop) -> None:
    write(shop, GOOD.replace("venda (", "pedido ("))
    shop.sell(count=2)
    shop.at_caixa("turn")
    run = shop.at_matriz("turn", code=1)
    assert "Cannot be applied into your own tables:" in run.out
    assert "no such table: pedido" in run.out
    assert "Waiting:" in run.out
    assert run.out.count("filesync apply check") >= 1
    assert shop.at_matriz("turn", "--json", code=1).json["imported"]["unready"][0]["code"] == "apply-broken"
    write(shop, GOOD)
    assert "Applied:" in shop.at_matriz("turn").out
    assert erp(shop, "SELECT count(*) FROM venda") == [(2,)]


def test_a_batch_that_the_erp_refuses_is_told_in_the_databases_words_on_both_sides(shop: Shop) -> None:
    write(shop, GOOD.replace("/ 100.0", "* 1000000"))
    batch = shop.sell(count=2)
    shop.at_caixa("turn")
    run = shop.at_matriz("turn", code=1)
    assert "CHECK constraint failed: valor < 100000" in run.out
    assert "export DATASET --again" in shop.at_matriz("quarantine", code=None).out
    assert "CHECK constraint failed" in shop.at_matriz("show", batch, code=None).out
    assert "CHECK constraint failed" in shop.at_caixa("turn", code=1).out
    (case,) = shop.at_matriz("quarantine", "--json", code=None).json
    assert case["code"] == "apply-failed"


def test_the_doctor_tries_the_statements(shop: Shop) -> None:
    def found() -> list[dict[str, Any]]:
        report = shop.at_matriz("doctor", "--json", code=None).json
        return [one for one in report["findings"] if one["check"] == "own tables"]

    (one,) = found()
    assert (one["outcome"], one["seen"]) == ("ok", "vendas: apply_vendas.sql can run")
    erp(shop, "DROP TABLE venda")
    (one,) = found()
    assert (one["outcome"], one["code"]) == ("failed", "apply-broken")
    assert "no such table: venda" in one["seen"]
    assert "filesync apply check" in one["do"]
