"""What only the embedded store does: its file, its one writer, its disk."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from store_samples import MATRIZ, bare, contract, document, flat, held

from filesync.errors import ConfigError, TransportError
from filesync.stores import sqlite_database
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTRACT = contract()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.create(tmp_path / "filesync.db", MATRIZ) as made:
        yield made


def append(store: SqliteStore, documents: list[dict[str, Any]]) -> None:
    with store.transaction() as tx:
        tx.ensure_tables(CONTRACT)
        tx.append(CONTRACT, flat(CONTRACT, documents), tx.next_batch_id())


def test_rows_are_readable_by_any_tool_from_another_process_while_a_transaction_is_open(
    store: SqliteStore, tmp_path: Path
) -> None:
    append(store, [document(1), document(2, ativo=False)])
    with store.transaction() as tx:
        tx.append(CONTRACT, flat(CONTRACT, [document(n) for n in range(3, 3000)]), tx.next_batch_id())
        program = (
            "import sqlite3, json, sys; from pathlib import Path;"
            "db = sqlite3.connect(Path(sys.argv[1]).as_uri() + '?mode=ro', uri=True, timeout=0);"
            "print(json.dumps([db.execute('select origem, id, dia, valor_centavos, ativo, fs_batch from sales order by id').fetchall(),"
            " db.execute('select sum(total_centavos) from sales_itens').fetchone()]))"
        )
        seen = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "filesync.db")],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert json.loads(seen.stdout) == [
        [["caixa-01", "1", "2026-03-02", 1050, 1, 1], ["caixa-01", "2", "2026-03-02", 1050, 0, 1]],
        [2100],
    ]
    assert len(held(store, CONTRACT)) == 2999


def test_another_writer_is_waited_for_and_then_it_is_the_road(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "filesync.db"
    monkeypatch.setattr(sqlite_database, "_PRAGMAS", ("busy_timeout = 20", *sqlite_database._PRAGMAS[1:]))
    with SqliteStore.create(path, MATRIZ) as store, bare(path) as other, other.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE").fetchall()
        with pytest.raises(TransportError) as failure, store.transaction():
            pass
        assert failure.value.code == "store-busy"
        assert store.standings() == {}
        cursor.execute("COMMIT").fetchall()
        append(store, [document(1)])


def test_a_full_disk_is_the_road_and_leaves_nothing(store: SqliteStore) -> None:
    append(store, [document(1)])
    pages = store._db.select("PRAGMA page_count")[0][0]
    store._db.select(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(TransportError) as failure:
        append(store, [document(n) for n in range(2, 5000)])
    assert failure.value.code == "disk-full"
    store._db.select("PRAGMA max_page_count = 1000000")
    assert held(store, CONTRACT) == [document(1)]
    append(store, [document(2)])


def test_what_is_no_store_is_told_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="filesync init") as missing:
        SqliteStore.open(tmp_path / "nothing.db")
    assert missing.value.code == "store-missing"
    (tmp_path / "text.db").write_bytes(b"certainly not a database" * 1000)
    with pytest.raises(ConfigError) as foreign:
        SqliteStore.open(tmp_path / "text.db")
    assert foreign.value.code == "store-corrupt"
    with bare(tmp_path / "other.db") as db, db.cursor() as cursor:
        cursor.execute("create table t (a)").fetchall()
    with pytest.raises(ConfigError, match="without a ledger"):
        SqliteStore.open(tmp_path / "other.db")
    with pytest.raises(ConfigError):
        SqliteStore.create(tmp_path / "no folder" / "filesync.db", MATRIZ)


def test_a_making_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "filesync.db"
    with bare(path) as db, db.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = WAL").fetchall()
    with SqliteStore.create(path, MATRIZ) as store:
        assert store.standings() == {}
