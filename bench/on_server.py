"""P3: one batch from the inbox to its receipt, in a PostgreSQL store, beside COPY into the same keyed table, and beside dlt; then a batch that
changes every row of it, beside a stage and an upsert by hand.

The server is the tests' throwaway cluster, told to be as durable as a shop's: fsync, full pages, synchronous commits. Every round works in a
database of its own, dropped afterwards. The table is filesync's own, its DDL read from a store in which a batch was applied.
"""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from bench import peers, rows, sites
from bench.bare import upsert_sql
from bench.clock import Case, once, rounds, say, scratch
from bench.figures import Part, Sizes, rate
from bench.repeating import KEY, beside_second_load, second_load
from filesync import Station
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import Server

DOORS = Path(__file__).parent.parent / "tests" / "doors"
DURABLE = (
    "ALTER SYSTEM SET fsync = on",
    "ALTER SYSTEM SET full_page_writes = on",
    "ALTER SYSTEM SET synchronous_commit = on",
    "ALTER SYSTEM SET max_wal_size = '4GB'",
    "ALTER SYSTEM SET log_statement = none",
    "SELECT pg_reload_conf()",
)


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    sys.path.append(str(DOORS))
    import postgres_server

    try:
        with postgres_server.kept() as server:
            server.execute("postgres", *DURABLE)
            _measure(part, sizes, work, server)
    except postgres_server.Missing as why:
        part.notes.append(f"P3 is left out: {why}")
    return part


def _measure(part: Part, sizes: Sizes, work: Path, server: Server) -> None:
    till, _ = sites.make_pair(work / "pair")
    table = rows.tickets(0, sizes.rows)
    batch = sites.seal_batch(till, table)
    stored = _stored(rows.contract().conform(table), 0)
    ddl = _ddl(server, work, till)
    binary = _binary(server, ddl, stored, Path(server.log).parent / "cupons.bin")
    cases = {
        "ours": _ours(server, work, till, batch),
        "copy": _copy(server, ddl, binary),
        "client": _client(server, ddl, stored),
    }
    times = rounds(cases, sizes.rounds)
    what = f"import {sizes.rows:,} rows into PostgreSQL: digest, read, validate, apply, ledger, receipt"
    mine = rate(sizes.rows, times.middle("ours"))
    for case, beside, least in (
        ("copy", "the server's own binary COPY from a file on its disk, same keyed table", 0.85),
        ("client", "binary COPY from a client (bare adbc_ingest), same keyed table", None),
    ):
        theirs = rate(sizes.rows, times.middle(case))
        part.compare("P3", what, mine, beside, theirs, times.speed_ratio("ours", case), least)
    if peers.available():
        source = work / "rows.parquet"
        pq.write_table(stored.drop_columns(["fs_batch"]), source)
        for peer, how in (("dlt-merge-postgres", "merge"), ("dlt-append-postgres", "append")):
            with database(server) as name, scratch(work) as folder:
                try:
                    took = peers.load(peer, source, folder, server.address(name))
                except RuntimeError as err:
                    part.notes.append(f"P3: {peer} is left out: {err}")
                    continue
            say(f"  {peer}: {took:.3f} s")
            ratio = took / once(cases["ours"])
            beside = f"dlt {peers.version('dlt')}, first load, {how}"
            part.compare(
                "P3", what, mine, beside, rate(sizes.rows, took), ratio, 3.5 if how == "merge" else None
            )
    _update(part, sizes, work, server, till, (table, batch), ddl)


def _update(
    part: Part, sizes: Sizes, work: Path, server: Server, till: Path, first: tuple[pa.Table, list[Path]], ddl: str
) -> None:  # fmt: skip
    """Every key is held, every content differs."""
    table, batch = first
    changed = rows.tickets(0, sizes.rows, raised_centavos=100)
    second = sites.seal_batch(till, changed)
    held, stored = (
        _stored(rows.contract().conform(rows_), place) for place, rows_ in enumerate((table, changed))
    )
    ours = _ours(server, work, till, second, before=batch)
    times = rounds({"ours": ours, "bare": _upsert(server, ddl, held, stored)}, sizes.update_rounds)
    what = f"a batch that updates all of {sizes.rows:,} rows, in PostgreSQL"
    mine = rate(sizes.rows, times.middle("ours"))
    beside = "binary COPY into a stage + INSERT … ON CONFLICT DO UPDATE"
    theirs = rate(sizes.rows, times.middle("bare"))
    part.compare("P3", what, mine, beside, theirs, times.speed_ratio("ours", "bare"))
    if peers.available():
        files = second_load(work, held, stored)
        with database(server) as name:
            beside_second_load(
                part, "P3", what, mine, "dlt-merge-postgres", work, files, partial(once, ours), sizes.rows, server.address(name)
            )  # fmt: skip


def _stored(conformed: pa.Table, place: int) -> pa.Table:
    """As the server takes them fastest: every column in its own type, and the batch's id last."""
    batch_id = pa.repeat(pa.scalar(place + 1, pa.int64()), conformed.num_rows)
    return conformed.append_column("fs_batch", batch_id).combine_chunks()


@contextmanager
def database(server: Server) -> Iterator[str]:
    name = f"bench_{uuid4().hex[:12]}"
    server.create(name)
    try:
        yield name
    finally:
        server.drop(name)


def _matriz(server: Server, folder: Path, till: Path, name: str) -> Path:
    matriz = folder / sites.MATRIZ
    Station.init(
        matriz,
        site=sites.MATRIZ,
        role=Role.MATRIZ,
        store=f"postgresql://filesync@127.0.0.1:{server.port}/{name}",
    )
    sites.join_matriz(matriz, till)
    return matriz


@contextmanager
def _password(server: Server) -> Iterator[None]:
    """libpq finds it in the environment, as a service would."""
    import os

    os.environ["PGPASSWORD"] = server.password
    try:
        yield
    finally:
        del os.environ["PGPASSWORD"]


def _ours(
    server: Server, work: Path, till: Path, batch: list[Path], *, before: list[Path] | None = None
) -> Case:
    """The import of `batch`; where there is a `before`, that one is there already."""

    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with _password(server), database(server) as name, scratch(work) as folder:
            matriz = _matriz(server, folder, till, name)
            with sites.opened(matriz) as station:
                if before:
                    sites.deliver(before, matriz)
                    sites.import_whole(station, 1)
                sites.deliver(batch, matriz)
                yield lambda: sites.import_whole(station, 1)

    return case


def _ddl(server: Server, work: Path, till: Path) -> str:
    """The table as the store makes it, told by the server's catalogue."""
    with _password(server), database(server) as name, scratch(work) as folder:
        matriz = _matriz(server, folder, till, name)
        with sites.opened(matriz) as station, station.context.store.transaction() as tx:
            tx.ensure_tables(rows.contract())
        columns = server.execute(
            name,
            "SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS kind, a.attnotnull AS needed, a.attcollation <> 0 AS text "
            "FROM pg_attribute a WHERE a.attrelid = 'cupons'::regclass AND a.attnum > 0 ORDER BY a.attnum",
        )
        key = server.execute(
            name,
            "SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint WHERE conrelid = 'cupons'::regclass AND contype = 'p'",
        )[0]["key"]
        collation = server.execute(
            name,
            "SELECT c.collname AS name FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation "
            "WHERE a.attrelid = 'cupons'::regclass LIMIT 1",
        )[0]["name"]
    described = ", ".join(
        f'"{c["name"]}" {c["kind"]}'
        + (f' COLLATE "{collation}"' if c["text"] and collation != "default" else "")
        + (" NOT NULL" if c["needed"] else "")
        for c in columns
    )
    return f"CREATE TABLE cupons ({described}, {key})"


@contextmanager
def _table(server: Server, ddl: str) -> Iterator[Any]:
    """A cursor in a database of its own that holds the empty table."""
    import adbc_driver_postgresql.dbapi as driver

    with (
        database(server) as name,
        closing(driver.connect(server.address(name), autocommit=True)) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute(ddl)
        yield cursor


def _binary(server: Server, ddl: str, stored: pa.Table, path: Path) -> Path:
    """The rows as a file in the server's own binary form, on the server's disk."""
    with _table(server, ddl) as cursor:
        cursor.adbc_ingest("cupons", stored, mode="append")
        cursor.execute(f"COPY cupons TO '{path}' (FORMAT binary)")
    return path


def _copy(server: Server, ddl: str, path: Path) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with _table(server, ddl) as cursor:
            yield lambda: cursor.execute(f"COPY cupons FROM '{path}' (FORMAT binary)")

    return case


def _client(server: Server, ddl: str, stored: pa.Table) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with _table(server, ddl) as cursor:
            yield lambda: cursor.adbc_ingest("cupons", stored, mode="append")

    return case


def _upsert(server: Server, ddl: str, held: pa.Table, stored: pa.Table) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with _table(server, ddl) as cursor:
            cursor.adbc_ingest("cupons", held, mode="append")
            cursor.execute("CREATE UNLOGGED TABLE stage AS SELECT * FROM cupons WHERE false")

            def run() -> None:
                cursor.execute("BEGIN")
                cursor.adbc_ingest("stage", stored, mode="append")
                cursor.execute(upsert_sql("cupons", KEY, stored.column_names))
                cursor.execute("COMMIT")

            yield run

    return case
