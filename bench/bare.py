"""The bare limits: what the libraries below filesync do alone, with no manifest, no check, no ledger and no receipt.

The tables are filesync's own: their DDL is read back from a store in which a batch was applied, and the PRAGMAs are the store's.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import adbc_driver_sqlite.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filesync.stores.sqlite_database import _PRAGMAS

if TYPE_CHECKING:
    from pathlib import Path


def connect(path: Path, *statements: str) -> adbc.Connection:
    """A connection that works as the store's does, in which `statements` were run."""
    connection = adbc.connect(str(path), autocommit=True)
    with closing(connection.cursor()) as cursor:
        for statement in (*(f"PRAGMA {pragma}" for pragma in _PRAGMAS), *statements):
            cursor.execute(statement)
            if statement.startswith("PRAGMA"):
                cursor.fetchall()
    return connection


def ddl_of(database: Path, table: str) -> str:
    """How the store made its table."""
    with (
        closing(adbc.connect(str(database), autocommit=True)) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute(f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{table}'")
        return str(cursor.fetchall()[0][0])


def storable(table: pa.Table, batch_id: int = 1) -> pa.Table:
    """Rows as SQLite takes them fastest: dates as text, and the batch's id last."""
    for place, field in enumerate(table.schema):
        if pa.types.is_date(field.type):
            table = table.set_column(place, field.name, pc.cast(table.column(place), pa.string()))
    return table.append_column(
        "fs_batch", pa.repeat(pa.scalar(batch_id, pa.int64()), table.num_rows)
    ).combine_chunks()


def append(connection: adbc.Connection, name: str, rows: pa.Table) -> None:
    """One transaction, one bulk append."""
    with closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.adbc_ingest(name, rows, mode="append")
        cursor.execute("COMMIT")


def upsert(connection: adbc.Connection, name: str, key: tuple[str, ...], rows: pa.Table) -> None:
    """One transaction: a bulk append into a stage, one INSERT … ON CONFLICT DO UPDATE, as one would write it by hand."""
    with closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute(f"CREATE TEMP TABLE stage AS SELECT * FROM {name} WHERE 0")
        cursor.adbc_ingest("stage", rows, mode="append", temporary=True)
        cursor.execute(upsert_sql(name, key, rows.column_names))
        cursor.execute("DROP TABLE stage")
        cursor.execute("COMMIT")


def upsert_sql(name: str, key: tuple[str, ...], columns: list[str]) -> str:
    """From the table `stage` into a keyed one; SQLite and PostgreSQL both understand it."""
    names = ", ".join(columns)
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    return f"INSERT INTO {name} ({names}) SELECT {names} FROM stage WHERE true ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"


def write_parquet(path: Path, rows: pa.Table) -> str:
    """write_table in the form in which payloads are written, then the file's sha256."""
    pq.write_table(rows, path, compression="zstd", write_page_checksum=True)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cli_import(sqlite3: str, database: Path, ddl: str, table: str, csv: Path) -> None:
    """The `sqlite3` shell's .import, into the same table."""
    script = f"PRAGMA journal_mode = WAL;\nPRAGMA synchronous = FULL;\n{ddl};\n.mode csv\n.import '{csv.as_posix()}' {table}\n"
    subprocess.run(
        [sqlite3, "-batch", str(database)], input=script, text=True, check=True, capture_output=True
    )


def durable_files(folder: Path, count: int, data: bytes) -> None:
    """Files made durable one at a time: write, fsync, rename, fsync of the folder."""
    partial = folder / ".partial"
    partial.mkdir(parents=True)
    for number in range(count):
        name = f"{number:08}.json"
        with (partial / name).open("wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        (partial / name).replace(folder / name)
        if os.name != "nt":  # Windows cannot sync a folder, and filesync does not try to
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
