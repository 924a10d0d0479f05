"""Run by the peers' own interpreter: load the rows of a Parquet file into a fresh SQLite database; prints seconds and rows as JSON.

    python peer_loads.py dlt-append|dlt-merge|dlt-append-postgres|dlt-merge-postgres|sqlite-utils ROWS.parquet FOLDER

The two on PostgreSQL load into the database at $BENCH_ADDRESS.

Both of dlt's are first loads into a keyed table. `merge` is its way to bring a key again without doubling it, as an import must; `append`
is its fastest.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

KEY = ["origem", "venda_id"]
TABLE = "cupons"


def load_dlt(rows: Path, database: Path, folder: Path, disposition: str) -> float:
    import dlt
    from dlt.destinations import sqlalchemy

    table = pq.read_table(rows)
    target = sqlalchemy(f"sqlite:///{database.as_posix()}", create_primary_keys=True)
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(folder / "pipelines"), destination=target, dataset_name="main"
    )
    started = time.perf_counter()
    pipeline.run(
        table, table_name=TABLE, primary_key=KEY, write_disposition=disposition
    ).raise_on_failed_jobs()
    return time.perf_counter() - started


def load_dlt_postgres(rows: Path, folder: Path, disposition: str) -> tuple[float, int]:
    import dlt
    from dlt.destinations import postgres

    table = pq.read_table(rows)
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(folder / "pipelines"), destination=postgres(os.environ["BENCH_ADDRESS"], create_indexes=True),
        dataset_name="bench",
    )  # fmt: skip
    started = time.perf_counter()
    pipeline.run(
        table, table_name=TABLE, primary_key=KEY, write_disposition=disposition
    ).raise_on_failed_jobs()
    took = time.perf_counter() - started
    with pipeline.sql_client() as client, client.execute_query(f"SELECT count(*) FROM {TABLE}") as cursor:
        return took, cursor.fetchone()[0]


def load_sqlite_utils(rows: Path, database: Path) -> float:
    import sqlite_utils

    source = pq.ParquetFile(rows)

    def documents() -> Iterator[dict[str, Any]]:
        for batch in source.iter_batches(65_536):
            yield from batch.to_pylist()

    started = time.perf_counter()
    base = sqlite_utils.Database(database)
    base.enable_wal()
    base[TABLE].upsert_all(documents(), pk=tuple(KEY), batch_size=10_000)
    base.close()
    return time.perf_counter() - started


def main() -> None:
    peer, rows, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    database = folder / f"{peer}.db"
    if peer.endswith("-postgres"):
        seconds, found = load_dlt_postgres(rows, folder, peer.split("-")[1])
        tell(rows, seconds, found)
        return
    seconds = (
        load_sqlite_utils(rows, database)
        if peer == "sqlite-utils"
        else load_dlt(rows, database, folder, peer.removeprefix("dlt-"))
    )
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0]
    tell(rows, seconds, found)


def tell(rows: Path, seconds: float, found: int) -> None:
    expected = pq.ParquetFile(rows).metadata.num_rows
    if found != expected:
        raise SystemExit(f"expected {expected} rows, got {found}")
    print(json.dumps({"seconds": seconds, "rows": found}))


if __name__ == "__main__":
    main()
