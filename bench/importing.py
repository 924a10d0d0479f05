"""P2: one batch from the inbox to its receipt, beside the bare append and beside other loaders of the same rows."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pyarrow.csv
import pyarrow.parquet as pq

from bench import bare, peers, rows, sites
from bench.clock import Case, once, rounds, say, scratch
from bench.figures import Part, Sizes, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    till, _ = sites.make_pair(work / "pair")
    table = rows.tickets(0, sizes.rows)
    batch = sites.seal_batch(till, table)
    ddl = store_ddl(work, till)
    stored = bare.storable(rows.contract().conform(table))
    times = rounds({"ours": _ours(work, till, batch), "bare": _bare(work, ddl, stored)}, sizes.rounds)
    what = f"import {sizes.rows:,} rows: digest, read, validate, apply, ledger, receipt"
    mine = rate(sizes.rows, times.middle("ours"))
    part.compare(
        "P2", what, mine, "bare adbc_ingest, same table and PRAGMAs", rate(sizes.rows, times.middle("bare")),
        times.speed_ratio("ours", "bare"), 0.85,
    )  # fmt: skip
    _others(part, sizes, work, {"what": what, "mine": mine}, times.middle("ours"), ddl, stored)
    return part


def store_ddl(work: Path, till: Path) -> str:
    """How the store makes the table of `cupons`, read where it made it."""
    with scratch(work) as folder:
        matriz = sites.fresh_matriz(folder, till)
        with sites.opened(matriz) as station, station.context.store.transaction() as tx:
            tx.ensure_tables(rows.contract())
        return bare.ddl_of(matriz / "filesync.db", "cupons")


def _others(
    part: Part,
    sizes: Sizes,
    work: Path,
    ours: dict[str, str],
    seconds: float,
    ddl: str,
    stored: pyarrow.Table,
) -> None:
    """The peers that are there, once each: they take far longer than what drifts."""

    def add(peer: str, took: float, least: float | None) -> None:
        say(f"  {peer}: {took:.3f} s")
        part.compare("P2", ours["what"], ours["mine"], peer, rate(sizes.rows, took), took / seconds, least)

    shell = peers.sqlite_shell()
    if shell is None:
        part.notes.append("The sqlite3 shell is not installed, so `.import` is left out.")
    else:
        csv = work / "rows.csv"
        pyarrow.csv.write_csv(
            stored, csv, pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
        )
        add(
            f"sqlite3 {peers.shell_version()} .import, same table",
            min_of(_shell(work, shell, ddl, csv), 2),
            2,
        )
    if not peers.available():
        return  # said once, where the environment was tried
    source = work / "rows.parquet"
    pq.write_table(stored.drop_columns(["fs_batch"]), source)
    for peer, what, least in (("dlt", "first load, keyed table", 8.0), ("sqlite-utils", "upsert", None)):
        try:
            with scratch(work) as folder:
                took = peers.load(peer, source, folder)
        except RuntimeError as err:
            part.notes.append(f"{peer} is left out: {err}")
        else:
            add(f"{peer} {peers.version(peer)} {what}", took, least)


def min_of(case: Case, times: int) -> float:
    return min(once(case) for _ in range(times))


def _ours(work: Path, till: Path, batch: list[Path]) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder:
            matriz = sites.fresh_matriz(folder, till)
            with sites.opened(matriz) as station:
                sites.deliver(batch, matriz)
                yield lambda: sites.import_whole(station, 1)

    return case


def _bare(work: Path, ddl: str, stored: pyarrow.Table) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder, closing(bare.connect(folder / "bare.db", ddl)) as connection:
            yield lambda: bare.append(connection, "cupons", stored)

    return case


def _shell(work: Path, shell: str, ddl: str, csv: Path) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder:
            yield lambda: bare.cli_import(shell, folder / "shell.db", ddl, "cupons", csv)

    return case
