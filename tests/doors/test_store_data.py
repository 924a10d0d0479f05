"""The data tables: what is appended is read back exactly, by filesync and by any SQLite tool, and only when it is committed."""

from __future__ import annotations

import itertools
import random
import uuid
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import DAY, MATRIZ, contract, document, flat, held, incoming, name, table

from filesync.contracts import Contract, Registry
from filesync.errors import ConfigError, RejectedError
from filesync.protocol.identity import Role
from filesync.stores import tables
from filesync.stores.store import Store
from filesync.stores.tables import in_runs
from filesync.stores.values import KeyExistsError, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

CONTRACT = contract()


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def append(store: Store, documents: list[dict[str, Any]], made: Contract = CONTRACT) -> None:
    with store.transaction() as tx:
        tx.ensure_tables(made)
        tx.append(made, flat(made, documents), tx.next_batch_id())


def test_documents_come_back_as_they_were(store: Store) -> None:
    sold = [
        document("a", nota="ção 📦 \\ ' \" ; --", valor_centavos=2**53 - 1),
        document("b", valor_centavos=-(2**53 - 1), dia="0001-01-01", ativo=False),
        document("c", dia="9999-12-31", nota=""),
        {"origem": "caixa-01", "id": "d", "dia": "2024-02-29", "ativo": True},
        document("e", itens=[{"numero": 2}, {"numero": 10}, {"numero": 9, "produto": "x"}]),
    ]
    append(store, sold)
    sold[-1]["itens"] = sorted(sold[-1]["itens"], key=lambda line: line["numero"])
    assert held(store, CONTRACT) == sold


# U+0000 is a test of its own: a PostgreSQL database cannot hold it.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(texts, st.none() | texts, st.none() | st.integers(-(2**63), 2**63 - 1), st.dates()),
        unique_by=lambda row: row[0],
        max_size=8,
    )
)
def test_every_text_integer_and_date_comes_back(
    home: Home, rows: list[tuple[str, str | None, int | None, date]]
) -> None:
    with home.again() as store:
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], [], []]
        keys, notes, values, days = columns
        documents = CONTRACT.conform(
            pa.table({
                "origem": pa.array(["x"] * len(rows), pa.string()), "id": pa.array(keys, pa.string()), "nota": pa.array(notes, pa.string()),
                "valor_centavos": pa.array(values, pa.int64()), "dia": pa.array(days, pa.date32()), "ativo": pa.array([True] * len(rows), pa.bool_()),
            })
        )  # fmt: skip
        with store.transaction() as tx:
            tx.ensure_tables(CONTRACT)
            tx.append(CONTRACT, CONTRACT.flatten(documents), tx.next_batch_id())
        found = list(store.read_documents(CONTRACT))
        got = [
            (d["id"], d["nota"], d["valor_centavos"], d["dia"])
            for chunk in found
            for d in chunk.select(["id", "nota", "valor_centavos", "dia"]).to_pylist()
        ]
        assert got == sorted(rows, key=lambda row: row[0].encode())


def test_a_text_that_cannot_be_held_rejects_its_batch_and_nothing_else(store: Store, home: Home) -> None:
    append(store, [document(1)])
    if home.engine == "sqlite":
        append(store, [document(2, nota="a\0b")])
        assert held(store, CONTRACT)[1]["nota"] == "a\0b"
        return
    with store.transaction() as tx:
        point = tx.savepoint()
        with pytest.raises(RejectedError) as failure:
            tx.append(CONTRACT, flat(CONTRACT, [document(2, nota="a\0b")]), tx.next_batch_id())
        assert failure.value.code == "text-unstorable"
        tx.rollback_to(point)
        tx.append(CONTRACT, flat(CONTRACT, [document(3)]), tx.next_batch_id())
    assert [one["id"] for one in held(store, CONTRACT)] == ["1", "3"]
    store.record_problem("at", "a\0b", "peer", "code", "message")  # a name from outside stops nobody
    assert len(store.problems()) == 1


def test_every_packaged_contract_has_tables_that_hold_its_schema(store: Store) -> None:
    registry = Registry.packaged()
    with store.transaction() as tx:
        for dataset in registry.datasets():
            made = registry.latest(dataset)
            assert made is not None
            tx.ensure_tables(made)
            tx.ensure_tables(made)
            assert list(store.read_documents(made)) == []


def test_readers_elsewhere_see_what_was_committed_while_a_transaction_is_open(
    store: Store, home: Home
) -> None:
    append(store, [document(1), document(2, ativo=False)])
    with store.transaction() as tx:
        tx.append(CONTRACT, flat(CONTRACT, [document(n) for n in range(3, 3000)]), tx.next_batch_id())
        rows = home.ask("select origem, id, dia, valor_centavos, ativo, fs_batch from sales order by id")
        assert [(a, b, str(c), d, bool(e), f) for a, b, c, d, e, f in rows] == [
            ("caixa-01", "1", "2026-03-02", 1050, True, 1),
            ("caixa-01", "2", "2026-03-02", 1050, False, 1),
        ]
        with home.open() as other:
            assert len(held(other, CONTRACT)) == 2
    assert len(held(store, CONTRACT)) == 2999


def test_every_row_of_a_group_carries_its_own_batch(store: Store, home: Home) -> None:
    documents = table(CONTRACT, [document(n) for n in (5, 3, 9)])
    with store.transaction() as tx:
        tx.ensure_tables(CONTRACT)
        ids = [*tx.next_batch_ids(2), tx.next_batch_id()]
        owners = {
            "sales": pa.array(ids),
            "itens": pa.array([i for i in ids for _ in "ab"]),
            "formas": pa.array(ids),
        }
        tx.append(CONTRACT, CONTRACT.flatten(documents), owners)
        tx.record_incoming([incoming(i, name(i)) for i in ids])
    for relation in ("sales", "sales_itens", "sales_formas"):
        found = home.ask(f"select distinct id, fs_batch from {relation} order by id")
        assert found == [("3", ids[1]), ("5", ids[0]), ("9", ids[2])]


@pytest.mark.parametrize("twice", ["held", "repeated"])
def test_a_key_that_is_there_already_is_told_and_the_savepoint_undoes_the_rest(
    store: Store, twice: str
) -> None:
    append(store, [document(1)])
    documents = [document(n) for n in (*range(2, 50), 1 if twice == "held" else 2)]
    with store.transaction() as tx:
        point = tx.savepoint()
        with pytest.raises(KeyExistsError) as failure:
            tx.append(CONTRACT, flat(CONTRACT, documents), tx.next_batch_id())
        assert failure.value.code == "key-exists"
        assert "origem, id" in str(failure.value)
        tx.rollback_to(point)
        tx.append(CONTRACT, flat(CONTRACT, [document(77)]), tx.next_batch_id())
        tx.rollback_to(point)
        tx.append(CONTRACT, flat(CONTRACT, [document(78)]), tx.next_batch_id())
    assert [found["id"] for found in held(store, CONTRACT)] == ["1", "78"]


def test_going_back_to_a_savepoint_takes_tables_with_it(store: Store) -> None:
    with store.transaction() as tx:
        point = tx.savepoint()
        tx.ensure_tables(CONTRACT)
        tx.rollback_to(point)
        tx.ensure_tables(CONTRACT)
        tx.append(CONTRACT, flat(CONTRACT, [document(1)]), tx.next_batch_id())
    assert len(held(store, CONTRACT)) == 1


@pytest.mark.parametrize("cut", ["before", "at", "after"])
def test_an_exception_leaves_nothing_and_the_store_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    class CutError(BaseException):
        pass

    def commit() -> None:
        if cut == "after":
            Store._commit(store)
        raise CutError

    def work() -> None:
        with store.transaction() as tx:
            tx.ensure_tables(CONTRACT)
            batch_id = tx.next_batch_id()
            tx.append(CONTRACT, flat(CONTRACT, [document(1)]), batch_id)
            tx.record_incoming([incoming(batch_id, name(1))])
            if cut == "before":
                raise CutError
            monkeypatch.setattr(store, "_commit", commit)

    with pytest.raises(CutError):
        work()
    monkeypatch.undo()
    there = cut == "after"
    assert bool(held(store, CONTRACT)) is there
    assert bool(store.standings()) is there
    append(store, [document(2)])
    assert held(store, CONTRACT)[-1] == document(2)


def test_rows_come_in_any_order_and_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "READ_DOCUMENTS_MAX", 7)
    monkeypatch.setattr(tables, "RESULT_ROWS_MAX", 5)
    rng = random.Random(5)
    sold = [
        document(str(uuid.UUID(int=rng.getrandbits(128))), origem=rng.choice(["a", "b"])) for _ in range(61)
    ]
    for place, lines in zip(range(0, 61, 3), itertools.cycle([0, 1, 30]), strict=False):
        sold[place]["itens"] = [{"numero": n, "produto": None} for n in range(lines)]
    for chunk in (sold[:20], sold[20:21], sold[21:]):
        append(store, chunk)
    found = held(store, CONTRACT)
    assert found == sorted(
        ({k: [{n: v for n, v in line.items() if v is not None} for line in value] if k == "itens" else value
          for k, value in one.items() if value != []} for one in sold), key=lambda one: (one["origem"], one["id"]),
    )  # fmt: skip
    chunks = list(store.read_documents(CONTRACT))
    assert max(chunk.num_rows for chunk in chunks) == 7
    assert all(chunk.schema.equals(CONTRACT.arrow_schema) for chunk in chunks)


@pytest.mark.parametrize("run_bytes", [1, 2_000, 40 << 20])
def test_runs_hold_every_row_once_in_key_order(
    store: Store, monkeypatch: pytest.MonkeyPatch, run_bytes: int
) -> None:
    monkeypatch.setattr(tables, "RUN_BYTES_MAX", run_bytes)
    rng = random.Random(3)
    sold = [document(str(uuid.UUID(int=rng.getrandbits(128)))) for _ in range(60)]
    chunks = [flat(CONTRACT, sold[start : start + 10]) for start in range(0, 60, 10)]
    runs = list(in_runs(CONTRACT, iter([*chunks[:3], flat(CONTRACT, []), *chunks[3:]])))
    assert len(runs) == {1: 7, 40 << 20: 1}.get(run_bytes, len(runs))
    for run in runs:
        for rows in run.values():
            assert rows["id"].to_pylist() == sorted(rows["id"].to_pylist())
    with store.transaction() as tx:
        tx.ensure_tables(CONTRACT)
        batch_id = tx.next_batch_id()
        for run in runs:
            tx.append(CONTRACT, run, batch_id)
    assert held(store, CONTRACT) == sorted(sold, key=lambda one: one["id"])
    assert list(in_runs(CONTRACT, [])) == []


def test_documents_are_chosen_by_day_and_origin(store: Store) -> None:
    append(store, [document(n, dia=f"2026-03-0{1 + n % 3}", origem="ab"[n % 2]) for n in range(12)])
    assert {found["id"] for found in held(store, CONTRACT, business_date=DAY)} == {"1", "4", "7", "10"}
    assert {found["id"] for found in held(store, CONTRACT, business_date=DAY, origem="a")} == {"4", "10"}
    assert held(store, CONTRACT, business_date=date(2027, 1, 1)) == []


def test_nulls_before_texts_do_not_confuse_the_types(store: Store) -> None:
    sold = [document(f"{n:05}", nota=None if n < 3999 else "late") for n in range(4000)]
    append(store, [{k: v for k, v in one.items() if v is not None} for one in sold])
    assert held(store, CONTRACT)[-1]["nota"] == "late"


def test_a_later_version_of_a_contract_adds_its_columns(store: Store) -> None:
    append(store, [document(1)])
    later = contract(version=2, canal={"type": "string"})
    append(store, [document(2, canal="web")], later)
    assert held(store, later) == [document(1), document(2, canal="web")]
    append(store, [document(3)])
    assert held(store, CONTRACT) == [document(1), document(2), document(3)]


def test_a_contract_with_another_key_is_refused(store: Store) -> None:
    append(store, [document(1)])
    with pytest.raises(ConfigError, match="expected the key origem, id, nota") as failure:
        append(store, [document(1, nota="x")], contract(version=2, key=("origem", "id", "nota")))
    assert failure.value.code == "key-changed"


def test_a_required_value_that_is_missing_is_a_bug_not_a_row(store: Store) -> None:
    rows = flat(CONTRACT, [document(1)])
    rows["sales"] = rows["sales"].set_column(
        rows["sales"].schema.get_field_index("ativo"), "ativo", pa.nulls(1, pa.bool_())
    )
    append(store, [])
    with (
        pytest.raises(Exception, match=r"NOT NULL constraint failed|violates not-null constraint"),
        store.transaction() as tx,
    ):
        tx.append(CONTRACT, rows, tx.next_batch_id())
    assert held(store, CONTRACT) == []


def test_a_store_is_made_once_and_opened_with_its_site(home: Home) -> None:
    site = Site("posto-centro", Role.POSTO, "bbbbbbbb")
    home.create(site).close()
    with pytest.raises(ConfigError) as failure:
        home.create(MATRIZ)
    assert failure.value.code == "store-exists"
    with home.open() as store:
        assert store.site == site


def test_a_store_of_a_later_filesync_is_not_touched(home: Home) -> None:
    with home.create() as store:
        store._db.run("UPDATE fs_meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ConfigError, match="update filesync") as failure:
        home.open()
    assert failure.value.code == "store-newer"
