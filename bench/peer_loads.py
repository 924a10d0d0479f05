"""Run by the peers' own interpreter: load the rows of a Parquet file into a fresh SQLite database; prints seconds and rows as JSON.

    python peer_loads.py dlt-append|dlt-merge|dlt-append-postgres|dlt-merge-postgres|sqlite-utils FOLDER ROWS.parquet [CHANGED.parquet]

The two on PostgreSQL load into the database at $BENCH_ADDRESS.

With one file it is a first load into a keyed table. dlt's `merge` is its way to bring a key again without doubling it, as an import must;
`append` is its fastest. With a second file, the same keys with other content, that second load is what is timed.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

KEY = ["origem", "venda_id"]
TABLE = "cupons"
POSTGRES = "-postgres"


def dlt_load(peer: str, database: Path, folder: Path) -> Callable[[Path], float]:
    """Arrow tables, which dlt takes without looking at single rows: the fastest that it offers."""
    import dlt
    from dlt.destinations import postgres, sqlalchemy

    if peer.endswith(POSTGRES):
        target, dataset = postgres(os.environ["BENCH_ADDRESS"], create_indexes=True), "bench"
    else:
        target, dataset = sqlalchemy(f"sqlite:///{database.as_posix()}", create_primary_keys=True), "main"
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(folder / "pipelines"), destination=target, dataset_name=dataset
    )

    def load(rows: Path) -> float:
        table = pq.read_table(rows)
        started = time.perf_counter()
        pipeline.run(
            table, table_name=TABLE, primary_key=KEY, write_disposition=peer.split("-")[1]
        ).raise_on_failed_jobs()
        took = time.perf_counter() - started
        with pipeline.sql_client() as client, client.execute_query(f"SELECT count(*) FROM {TABLE}") as cursor:
            check(rows, cursor.fetchone()[0])
        return took

    return load


def sqlite_utils_load(database: Path) -> Callable[[Path], float]:
    import sqlite_utils

    def documents(source: pq.ParquetFile) -> Iterator[dict[str, Any]]:
        for batch in source.iter_batches(65_536):
            yield from batch.to_pylist()

    def load(rows: Path) -> float:
        source = pq.ParquetFile(rows)
        started = time.perf_counter()
        base = sqlite_utils.Database(database)
        base.enable_wal()
        base[TABLE].upsert_all(documents(source), pk=tuple(KEY), batch_size=10_000)
        base.close()
        took = time.perf_counter() - started
        with closing(sqlite3.connect(database)) as connection:
            check(rows, connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0])
        return took

    return load


def check(rows: Path, found: int) -> None:
    expected = pq.ParquetFile(rows).metadata.num_rows
    if found != expected:
        raise SystemExit(f"expected {expected} rows, got {found}")


def main() -> None:
    peer, folder, *files = sys.argv[1], *map(Path, sys.argv[2:])
    database = folder / f"{peer}.db"
    load = sqlite_utils_load(database) if peer == "sqlite-utils" else dlt_load(peer, database, folder)
    seconds = [load(rows) for rows in files]
    print(json.dumps({"seconds": seconds[-1]}))


if __name__ == "__main__":
    main()
