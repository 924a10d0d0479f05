"""The user's own tables: what a transaction applied is staged for their statements, exactly, and whatever they do stands or falls with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from store_samples import DAY, EPOCH, FEED, OTHER_EPOCH, contract, document, flat, held, incoming, name

from filesync.contracts import Registry
from filesync.errors import ConfigError, TransportError
from filesync.stores.own_statements import OwnStatement, OwnStatements, StatementFailedError, parse
from filesync.stores.values import RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.contracts import Contract
    from filesync.stores.store import Store
    from filesync.stores.transaction import Tx

CONTRACT = contract()
#: Copies of what is staged, in plain tables.
TABLES = """
CREATE TABLE doc (origem text, id text, valor bigint, nota text, fs_batch bigint, fs_batch_name text);
CREATE TABLE item (id text, numero integer, produto text, fs_batch bigint);
CREATE TABLE gone (id text, fs_batch bigint, fs_batch_name text)
"""
COPY = """
DELETE FROM doc; DELETE FROM item; DELETE FROM gone;
INSERT INTO doc SELECT origem, id, valor_centavos, nota, fs_batch, fs_batch_name FROM batch_sales;
INSERT INTO item SELECT id, numero, produto, fs_batch FROM batch_itens;
INSERT INTO gone SELECT id, fs_batch, fs_batch_name FROM batch_inactive
"""


def own(sql: str) -> OwnStatements:
    return parse("own.sql", sql)


def tell(store: Store, sql: str) -> None:
    """Something that is done in the same database without filesync."""
    for statement in sql.split(";"):
        store._db.run_given(statement)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        tell(made, TABLES)
        yield made


def apply(
    store: Store, seq: int, documents: list[dict[str, Any]], sql: str = COPY, *, epoch: str = EPOCH, merge: bool = False,
    snapshot: bool = False, made: Contract = CONTRACT,
) -> int:  # fmt: skip
    """One batch, as it is applied alone; its number."""
    with store.transaction() as tx:
        batch_id = tx.next_batch_id()
        tx.ensure_tables(made)
        tx.stage_own(made, {batch_id: f"batch-{seq}"})
        if merge:
            tx.merge(
                made, [flat(made, [one]) for one in documents], batch_id, RowOrder(FEED, epoch)
            )  # chunk by chunk
        else:
            tx.append(made, flat(made, documents), batch_id)
        if snapshot:
            tx.deactivate_absent(made, batch_id, "caixa-01")
        tx.run_own(own(sql))
        tx.record_incoming([incoming(batch_id, name(seq, epoch=epoch))])
    return batch_id


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    return store._db.select(query)


def staged(store: Store) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Ids of documents, lines as (id, product), and ids that went, of the last batch."""
    documents = [one for (one,) in rows(store, "SELECT id FROM doc ORDER BY id")]
    lines = [
        (one, produto) for one, produto in rows(store, "SELECT id, produto FROM item ORDER BY id, numero")
    ]
    return documents, lines, [one for (one,) in rows(store, "SELECT id FROM gone ORDER BY id")]


def lines_of(*ids: str) -> list[tuple[str, str]]:
    return [(one, produto) for one in ids for produto in ("selo", "caixa")]


def test_a_batch_that_was_appended_is_staged_with_its_number_and_name(store: Store) -> None:
    number = apply(store, 1, [document("a", nota="ção"), document("b", valor_centavos=2**53 - 1)])
    assert rows(store, "SELECT origem, id, valor, nota, fs_batch, fs_batch_name FROM doc ORDER BY id") == [
        ("caixa-01", "a", 1050, "ção", number, "batch-1"), ("caixa-01", "b", 2**53 - 1, None, number, "batch-1"),
    ]  # fmt: skip
    assert rows(store, "SELECT id, numero, produto, fs_batch FROM item ORDER BY id, numero") == [
        ("a", 1, "selo", number), ("a", 2, "caixa", number), ("b", 1, "selo", number), ("b", 2, "caixa", number),
    ]  # fmt: skip
    assert rows(store, "SELECT * FROM gone") == []


def test_a_group_is_staged_once_every_row_with_its_own_batch(store: Store) -> None:
    with store.transaction() as tx:
        tx.ensure_tables(CONTRACT)
        first, second = tx.next_batch_id(), tx.next_batch_id()
        tx.stage_own(CONTRACT, {first: "one", second: "two"})
        relations = flat(CONTRACT, [document("a"), document("b"), document("c")])
        tx.append(
            CONTRACT,
            relations,
            {
                "sales": pa.array([first, second, first]), "itens": pa.array([first, first, second, second, first, first]),
                "formas": pa.array([first, second, first]),
            },
        )  # fmt: skip
        tx.run_own(own(COPY))
        tx.record_incoming([incoming(first, name(1)), incoming(second, name(2))])
    assert rows(store, "SELECT id, fs_batch, fs_batch_name FROM doc ORDER BY id") == [
        ("a", first, "one"), ("b", second, "two"), ("c", first, "one"),
    ]  # fmt: skip
    assert rows(store, "SELECT id, fs_batch FROM item WHERE numero = 1 ORDER BY id") == [("a", first), ("b", second), ("c", first)]  # fmt: skip


def test_of_a_merge_only_what_won_is_staged(store: Store) -> None:
    apply(store, 1, [document("equal", versao=2), document("newer", versao=1), document("older", versao=3)])
    change = {"nota": "changed", "itens": [{"numero": 9, "produto": "novo"}]}
    apply(
        store, 2,
        [document("equal", versao=2), document("fresh"), document("newer", **change, versao=2), document("older", **change, versao=2)],
        merge=True,
    )  # fmt: skip
    # Equal content of the same feed is written again; an older version is not.
    assert staged(store) == (
        ["equal", "fresh", "newer"], [*lines_of("equal", "fresh"), ("newer", "novo")], []
    )  # fmt: skip


def test_what_another_installation_only_confirms_or_contradicts_is_not_staged(store: Store) -> None:
    apply(store, 1, [document("same"), document("other")])
    apply(store, 1, [document("same"), document("other", nota="x"), document("new")], epoch=OTHER_EPOCH, merge=True)  # fmt: skip
    assert staged(store) == (["new"], lines_of("new"), [])
    apply(store, 2, [document("same"), document("other")], epoch=OTHER_EPOCH, merge=True)
    assert staged(store)[0] == ["same"], "the installation that confirmed it sends it again"


def test_what_a_snapshot_no_longer_holds_is_told_by_its_key(store: Store) -> None:
    apply(store, 1, [document("a"), document("b"), document("c"), document("off", ativo=False), document("x", origem="posto-02")])  # fmt: skip
    number = apply(
        store, 2, [document("a"), document("d"), document("c", ativo=False)], merge=True, snapshot=True
    )
    assert staged(store) == (["a", "c", "d"], lines_of("a", "c", "d"), ["b"])
    assert rows(store, "SELECT fs_batch, fs_batch_name FROM gone") == [(number, "batch-2")]
    apply(store, 3, [], merge=True, snapshot=True)
    assert staged(store) == ([], [], ["a", "d"])


def test_a_price_that_a_snapshot_takes_back_is_told_like_one_that_it_ends(home: Home) -> None:
    produtos = Registry.packaged().form("produtos")
    assert produtos is not None

    def price(codigo: str, since: str) -> dict[str, Any]:
        return {"origem": "caixa-01", "codigo": codigo, "vigencia_inicio": since, "descricao": "Selo", "unidade": "UN", "preco_centavos": 1, "ativo": True}  # fmt: skip

    sql = "DELETE FROM gone; INSERT INTO gone SELECT codigo || ' ' || CAST(vigencia_inicio AS text), fs_batch, fs_batch_name FROM batch_inactive"  # fmt: skip
    with home.create() as store:
        tell(store, TABLES)
        apply(store, 1, [price("1", "2026-01-01"), price("1", "2999-01-01"), price("2", "2026-01-01")], sql, made=produtos)  # fmt: skip
        apply(store, 2, [price("1", "2026-01-01")], sql, merge=True, snapshot=True, made=produtos)
        assert [one for (one,) in rows(store, "SELECT id FROM gone ORDER BY id")] == ["1 2999-01-01", "2 2026-01-01"]  # fmt: skip


def test_rows_of_a_day_that_do_not_come_again_are_told(store: Store) -> None:
    apply(store, 1, [document("a"), document("b"), document("c", dia="2026-03-03")])
    with store.transaction() as tx:
        batch_id = tx.next_batch_id()
        tx.stage_own(CONTRACT, {batch_id: "corrected"})
        tx.note_day(CONTRACT, batch_id, "caixa-01", DAY)
        store._db.run("DELETE FROM sales_itens WHERE id IN (SELECT id FROM sales WHERE dia = ?)", (DAY,))
        store._db.run("DELETE FROM sales WHERE dia = ?", (DAY,))
        tx.append(CONTRACT, flat(CONTRACT, [document("b", itens=[], formas=[])]), batch_id)
        tx.run_own(own(COPY))
        tx.record_incoming([incoming(batch_id, name(2))])
    assert staged(store) == (["b"], [], ["a"])


def test_nothing_staged_is_left_behind(store: Store) -> None:
    apply(store, 1, [document("a")])
    for table in ("batch_sales", "batch_itens", "batch_formas", "batch_inactive"):
        with pytest.raises(StatementFailedError):
            store._db.run_given(f"SELECT * FROM {table}")


@pytest.mark.parametrize("at", ["first", "last"])
def test_a_statement_that_fails_takes_the_whole_transaction_with_it(store: Store, at: str) -> None:
    wrong = "INSERT INTO doc SELECT id, id, 1/0, nope, 1, 'x' FROM batch_sales"
    with pytest.raises(StatementFailedError, match=rf"own.sql, statement {7 if at == 'last' else 1}: .*nope"):
        apply(store, 1, [document("a")], f"{COPY}; {wrong}" if at == "last" else f"{wrong}; {COPY}")
    assert rows(store, "SELECT * FROM doc") == []
    assert held(store, CONTRACT) == []
    apply(store, 1, [document("a")])
    assert staged(store)[0] == ["a"]


def test_a_constraint_of_the_users_speaks_in_its_own_words(store: Store) -> None:
    tell(store, "CREATE UNIQUE INDEX doc_valor ON doc (valor)")
    with pytest.raises(StatementFailedError, match=r"(?i)own.sql, statement 1: .*unique.*doc") as caught:
        apply(
            store,
            1,
            [document("a"), document("b")],
            "INSERT INTO doc (id, valor) SELECT id, valor_centavos FROM batch_sales",
        )
    assert "INTEGRITY" not in str(caught.value), "the driver's words are not the database's"
    assert "\n" not in str(caught.value)


def test_a_constraint_that_is_checked_at_the_end_is_checked_before_the_commit_or_at_it(store: Store) -> None:
    tell(store, "CREATE TABLE shop (id text PRIMARY KEY); CREATE TABLE sale (id text, shop text REFERENCES shop (id) DEFERRABLE INITIALLY DEFERRED)")  # fmt: skip
    sql = "INSERT INTO sale SELECT id, origem FROM batch_sales"
    with pytest.raises(StatementFailedError, match=r"(?i)foreign key constraint"):
        apply(store, 1, [document("a")], sql)
    assert (rows(store, "SELECT * FROM sale"), held(store, CONTRACT)) == ([], [])
    apply(store, 1, [document("a")], f"{sql}; INSERT INTO shop SELECT DISTINCT origem FROM batch_sales")
    assert rows(store, "SELECT * FROM sale") == [("a", "caixa-01")]


def test_a_table_that_rolls_everything_back_by_itself_is_survived(sqlite_home: Home) -> None:
    with sqlite_home.create() as store:
        tell(store, "CREATE TABLE doc (id text UNIQUE ON CONFLICT ROLLBACK)")
        sql = "INSERT INTO doc SELECT origem FROM batch_sales"
        with pytest.raises(StatementFailedError, match="UNIQUE"):
            apply(store, 1, [document("a"), document("b")], sql)
        assert (rows(store, "SELECT * FROM doc"), held(store, CONTRACT)) == ([], [])
        apply(store, 1, [document("a")], sql)
        assert rows(store, "SELECT * FROM doc") == [("caixa-01",)]


def test_only_the_first_of_two_statements_is_ever_run(store: Store) -> None:
    """Should they ever be cut apart wrongly."""
    try:
        store._db.run_given("INSERT INTO doc (id) VALUES ('a'); INSERT INTO doc (id) VALUES ('b')")
    except StatementFailedError:
        assert rows(store, "SELECT id FROM doc") == []
    else:
        assert rows(store, "SELECT id FROM doc") == [("a",)]


def test_a_query_may_call_what_the_database_has(postgres_home: Home) -> None:
    with postgres_home.create() as store:
        tell(store, TABLES)
        for made in (
            "CREATE FUNCTION apply_sales() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO doc (id) SELECT id FROM batch_sales; END $$",
            "CREATE PROCEDURE count_sales() LANGUAGE sql AS $$ INSERT INTO gone (fs_batch) SELECT count(*) FROM doc $$",
            "CREATE PROCEDURE leave() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",
        ):
            store._db.run_given(made)
        store._db.run(
            "CREATE TEMP TABLE batch_sales (id TEXT)"
        )  # a function's text is checked when it is made
        apply(store, 1, [document("a"), document("b")], "SELECT apply_sales(); CALL count_sales()")
        assert rows(store, "SELECT fs_batch FROM gone") == [(2,)]
        with pytest.raises(StatementFailedError, match="invalid transaction termination"):
            apply(store, 2, [document("c")], "CALL leave()")


def test_texts_compare_with_those_of_any_table(postgres_home: Home) -> None:
    with postgres_home.create() as store:
        tell(store, TABLES)
        for number, collation in enumerate(("default", "C", "POSIX"), 1):
            tell(store, f'CREATE TABLE t{number} (id text COLLATE "{collation}")')
            tell(store, f"INSERT INTO t{number} VALUES ('a{number}')")
            sql = f"INSERT INTO doc (id) SELECT s.id FROM batch_sales s JOIN t{number} t ON t.id = s.id AND s.id <= t.id"
            apply(store, number, [document(f"a{number}")], sql)
        assert [one for (one,) in rows(store, "SELECT id FROM doc ORDER BY id")] == ["a1", "a2", "a3"]


# ------------------------------------------------------------------------------------------------ trying


def test_trying_changes_nothing_and_makes_nothing(store: Store) -> None:
    store.own_tables.check(CONTRACT, own(f"{COPY}; INSERT INTO doc (id) VALUES ('tried')"))
    assert rows(store, "SELECT * FROM doc") == []
    assert list(store.read_documents(CONTRACT)) == []
    apply(store, 1, [document("a")])
    store.own_tables.check(CONTRACT, own(COPY))
    assert staged(store)[0] == ["a"]


@pytest.mark.parametrize("sql", [
    "INSERT INTO nowhere SELECT id FROM batch_sales", "INSERT INTO doc (nope) SELECT id FROM batch_sales", "INSERT INTO doc (id) SELECT nope FROM batch_sales",
    "INSERT INTO doc (id) SELECT id FROM batch_other", "INSERT INTO doc (id) VALUES (?1)", "SELECT FROM WHERE", "INSERT INTO doc (id) SELECT id FROM batch_sales; SELECT nope",
])  # fmt: skip
def test_what_cannot_be_run_is_found_by_trying(store: Store, sql: str) -> None:
    with pytest.raises(StatementFailedError, match=r"own.sql, statement \d: "):
        store.own_tables.check(CONTRACT, own(sql))
    store.own_tables.check(CONTRACT, own(COPY))


def test_a_right_that_is_missing_is_the_statements_matter_not_the_stores(postgres_home: Home) -> None:
    with postgres_home.create() as store:
        tell(store, "CREATE TABLE secret (id text)")
        store._db.run_given("CREATE ROLE own_tables_clerk")
        for grant in ("ALL ON ALL TABLES IN SCHEMA public", "ALL ON ALL SEQUENCES IN SCHEMA public", "ALL ON SCHEMA public"):  # fmt: skip
            store._db.run_given(f"GRANT {grant} TO own_tables_clerk")
        store._db.run_given("REVOKE ALL ON secret FROM own_tables_clerk")
        store._db.run_given("SET ROLE own_tables_clerk")
        try:
            with pytest.raises(StatementFailedError, match="permission denied for table secret"):
                store.own_tables.check(CONTRACT, own("INSERT INTO secret SELECT id FROM batch_sales"))
        finally:
            store._db.run_given("RESET ROLE")
            store._db.run_given("DROP OWNED BY own_tables_clerk")
            store._db.run_given("DROP ROLE own_tables_clerk")


def test_another_writer_is_no_fault_of_the_statement(home: Home) -> None:
    with home.create() as store:
        tell(store, f"{TABLES}; INSERT INTO doc (id) VALUES ('a')")
        tell(store, "PRAGMA busy_timeout = 1" if home.engine == "sqlite" else "SET lock_timeout = '1ms'")
        with home.bare() as other, other.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE" if home.engine == "sqlite" else "BEGIN")
            cursor.executemany("UPDATE doc SET nota = 'held'", None)
            with pytest.raises(TransportError) as caught:
                apply(store, 1, [document("a")], "UPDATE doc SET nota = 'mine'")
            assert caught.value.code == "store-busy"
            cursor.execute("ROLLBACK")
        apply(store, 1, [document("a")], "UPDATE doc SET nota = 'mine'")
        assert rows(store, "SELECT nota FROM doc") == [("mine",)]


def test_what_a_statement_finds_can_be_asked_for(store: Store, home: Home) -> None:
    tables = store.own_tables.tables(CONTRACT)
    assert list(tables) == ["batch_sales", "batch_itens", "batch_formas", "batch_inactive"]
    assert ("dia", "text" if home.engine == "sqlite" else "date") in tables["batch_sales"]
    assert tables["batch_inactive"] == [("origem", "text"), ("id", "text"), ("fs_batch", "INTEGER"), ("fs_batch_name", "text")]  # fmt: skip


def test_without_statements_nothing_is_staged(store: Store) -> None:
    def run(tx: Tx) -> None:
        tx.run_own(own(COPY))

    with pytest.raises(RuntimeError), store.transaction() as tx:
        run(tx)


HOSTILE = {
    "a trigger that decides a number": (
        "CREATE TRIGGER t AFTER INSERT ON doc BEGIN UPDATE fs_feed SET seq = 99; END",
        "INSERT INTO doc (id) SELECT id FROM batch_sales", "fs_feed",
    ),
    "a trigger that another trigger fires": (
        ("CREATE TRIGGER t AFTER INSERT ON doc BEGIN INSERT INTO item (id) VALUES (new.id); END;"
        "CREATE TRIGGER u AFTER INSERT ON item BEGIN DELETE FROM fs_incoming; END"),
        "INSERT INTO doc (id) SELECT id FROM batch_sales", "fs_incoming",
    ),
    "a trigger that sells": (
        "CREATE TRIGGER t BEFORE DELETE ON doc BEGIN UPDATE sales SET valor_centavos = 0; END",
        "DELETE FROM doc", "sales",
    ),
    "a view that can be written through": (
        "CREATE VIEW v AS SELECT * FROM doc; CREATE TRIGGER t INSTEAD OF INSERT ON v BEGIN DELETE FROM sales_itens; END",
        "INSERT INTO v (id) SELECT id FROM batch_sales", "sales_itens",
    ),
    "a deletion that goes on": (
        "CREATE TABLE head (id text PRIMARY KEY); CREATE TABLE fs_line (id text REFERENCES head (id) ON DELETE CASCADE)",
        "DELETE FROM head", "fs_line",
    ),
    "all rows at once": ("CREATE TABLE fs_mine (id text)", "REPLACE INTO fs_mine VALUES ('x')", "fs_mine"),
    "everything at once": ("SELECT 1", "DELETE FROM sales", "sales"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_what_a_statement_would_write_of_ours_is_found_before_it_runs(sqlite_home: Home, case: str) -> None:
    made, sql, table = HOSTILE[case]
    with sqlite_home.create() as store:
        tell(store, TABLES)
        with store.transaction() as tx:
            tx.ensure_tables(CONTRACT)
        for statement in re.split(r";\s*(?=CREATE)", made):
            store._db.run_given(statement)
        # Made here, past the words that may stand in a file: parse() refuses fs_ in it before anybody asks the database.
        statements = OwnStatements("own.sql", (OwnStatement(sql, frozenset()),))
        with pytest.raises(ConfigError, match=rf"own\.sql, statement 1: .* got {table}, which") as refused:
            store.own_tables.check(CONTRACT, statements, {"sales", "sales_itens"})
        assert refused.value.code == "apply-refused"


def test_what_a_statement_reads_of_ours_is_its_own_matter(sqlite_home: Home) -> None:
    with sqlite_home.create() as store:
        tell(store, TABLES)
        store._db.run_given(
            "CREATE TRIGGER t AFTER INSERT ON doc BEGIN INSERT INTO gone (id) SELECT name FROM fs_incoming; END"
        )
        statements = own(COPY + "; UPDATE doc SET nota = 'x' WHERE id IN (SELECT id FROM sales)")
        store.own_tables.check(CONTRACT, statements, {"sales", "sales_itens"})
        assert store._db.writes("INSERT INTO doc (id) SELECT name FROM fs_incoming") == {"doc", "gone"}
