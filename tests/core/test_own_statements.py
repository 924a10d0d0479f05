"""Which statements of a user's own may be run: cut apart as a database would, and refused where they could leave their transaction."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.errors import ConfigError
from filesync.stores.own_statements import KINDS, parse


def texts(sql: str) -> list[str]:
    return [statement.text for statement in parse("own.sql", sql).each]


def test_statements_end_at_semicolons_outside_of_texts_names_and_comments() -> None:
    sql = """
    -- all sales; of all shops
    INSERT INTO venda (id, "a;b") SELECT venda_id, ';' FROM batch_vendas /* ; */ WHERE x <> 'it''s; so' ;
    ;; DELETE FROM `venda;item` -- the last one
    """
    assert texts(sql) == [
        "INSERT INTO venda (id, \"a;b\") SELECT venda_id, ';' FROM batch_vendas /* ; */ WHERE x <> 'it''s; so'",
        "DELETE FROM `venda;item`",
    ]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_changes_rows_may_be_run(kind: str) -> None:
    assert texts(f"{kind.lower()} anything") == [f"{kind.lower()} anything"]


@pytest.mark.parametrize("statement", [
    "BEGIN", "begin immediate", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT a", "RELEASE a", "PREPARE TRANSACTION 'a'", "START TRANSACTION",
    "ATTACH 'x.db' AS x", "DETACH x", "PRAGMA synchronous = OFF", "VACUUM INTO 'x'", "SET search_path = x", "RESET ALL", "COPY x FROM '/etc/passwd'",
    "CREATE TABLE x (a)", "DROP TABLE x", "ALTER TABLE x ADD a", "TRUNCATE x", "GRANT ALL ON x TO y", "DO 'x'", "LOCK x", "EXPLAIN DELETE FROM x",
    "(SELECT 1)", "'SELECT'", '"SELECT"', "/* INSERT */ COMMIT", "-- INSERT\nCOMMIT", "\N{NO-BREAK SPACE}SELECT 1",
])  # fmt: skip
def test_whatever_could_leave_the_transaction_or_change_more_than_rows_is_refused(statement: str) -> None:
    for sql in (statement, f"INSERT INTO x SELECT 1; {statement}; DELETE FROM y"):
        with pytest.raises(ConfigError) as caught:
            parse("own.sql", sql)
        assert caught.value.code == "apply-refused"
        assert caught.value.message.startswith(f"own.sql, statement {1 if sql == statement else 2}: ")


@pytest.mark.parametrize(
    "statement", ["INSERT OR ROLLBACK INTO x SELECT 1", "update or /* */ rollback x set a = 1"]
)
def test_a_conflict_that_ends_the_transaction_is_refused(statement: str) -> None:
    with pytest.raises(ConfigError, match="OR ROLLBACK"):
        parse("own.sql", statement)


@pytest.mark.parametrize("name", [
    "fs_incoming", "FS_Incoming", '"fs_feed"', "`fs_meta`", "[fs_meta]", "'fs_incoming'", "main.fs_incoming", 'temp . "fs_kept"', "--\rfs_incoming\n",
])  # fmt: skip
def test_the_ledger_is_nobodys_else(name: str) -> None:
    for sql in (f"INSERT INTO {name} SELECT 1", f"DELETE FROM {name}", f"SELECT * FROM a JOIN {name}"):
        with pytest.raises(ConfigError, match="name of filesync's ledger"):
            parse("own.sql", sql)


def test_the_names_that_staged_rows_have_may_be_used() -> None:
    texts('INSERT INTO log SELECT fs_batch, b."fs_batch_name", FS_BATCH FROM batch_vendas b')


@pytest.mark.parametrize(("sql", "what"), [
    ("SELECT 'a", "that is not closed"), ('SELECT "a', "that is not closed"), ("SELECT `a", "that is not closed"),
    ("SELECT 1 /* a", "a comment"), ("SELECT /* a /* b */ */ 1", "a comment"), ("SELECT 1;\nSELECT E'a\\'; COMMIT; --'", "own.sql, line 2: .*backslashes"),
    ("SELECT $$a$$", "between \\$ signs"), ("SELECT $a$b$a$", "between \\$ signs"), ('SELECT U&"\\0066s_meta"', "U&"), ("SELECT 1 \0", "U\\+0000"),
    ("", "at least one statement"), (" -- nothing\n;;", "at least one statement"),
])  # fmt: skip
def test_what_two_databases_would_cut_apart_differently_is_refused(sql: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        parse("own.sql", sql)
    assert caught.value.code == "apply-refused"


@pytest.mark.parametrize(("sql", "written"), [
    ("INSERT INTO venda SELECT 1", {"venda"}), ("insert or replace into main . Venda select 1", {"main.venda"}),
    ('UPDATE "erp"."venda" AS v SET a = 1', {"erp.venda"}), ("UPDATE OR IGNORE venda SET a = 1", {"venda"}), ("UPDATE ONLY venda SET a = 1", {"venda"}),
    ("DELETE FROM [main].[venda]", {"main.venda"}), ("DELETE FROM venda v USING batch_vendas b", {"venda"}), ("REPLACE INTO 'venda' SELECT 1", {"venda"}),
    ("INSERT INTO a SELECT 1 ON CONFLICT (id) DO UPDATE SET b = excluded.b", {"a"}), ("SELECT * FROM a FOR UPDATE OF a", set()),
    ("MERGE INTO a USING b ON c WHEN MATCHED THEN UPDATE SET d = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)", {"a"}),
    ("WITH gone AS (DELETE FROM a RETURNING id) INSERT INTO b SELECT id FROM gone", {"a", "b"}), ("SELECT venda FROM batch_vendas", set()),
    ("SELECT 1 INTO a", {"a"}), ("CALL erp.apply()", set()),
])  # fmt: skip
def test_the_tables_that_a_statement_writes_are_known(sql: str, written: set[str]) -> None:
    (statement,) = parse("own.sql", sql).each
    assert statement.writes == written


@given(st.text(st.sampled_from("ab_fsINTO;'\"`-/*$E\\ \n\r.[]()0"), max_size=60))
def test_whatever_is_written_is_cut_apart_or_refused(sql: str) -> None:
    with suppress(ConfigError):
        found = texts(f"SELECT {sql}")
        assert texts(";\n".join(found)) == found
