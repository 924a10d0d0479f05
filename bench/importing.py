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

SLOW: tuple[tuple[str, str, float | None], ...] = (
    ("dlt-merge", f"dlt {peers.version('dlt')}, first load, merge", 8.0),
    ("dlt-append", f"dlt {peers.version('dlt')}, first load, append", 8.0),
    ("sqlite-utils", f"sqlite-utils {peers.version('sqlite-utils')} upsert", None),
)


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    till, _ = sites.make_pair(work / "pair")
    table = rows.tickets(0, sizes.rows)
    batch = sites.seal_batch(till, table)
    ddl = store_ddl(work, till)
    stored = bare.storable(rows.contract().conform(table))
    cases = {"ours": _ours(work, till, batch), "bare": _bare(work, ddl, stored)}
    shell = peers.sqlite_shell()
    if shell is None:
        part.notes.append("P2: the sqlite3 shell is not installed, so `.import` is left out.")
    else:
        cases[".import"] = _shell(work, shell, ddl, _csv(work, stored))
    times = rounds(cases, sizes.rounds)
    what = f"import {sizes.rows:,} rows: digest, read, validate, apply, ledger, receipt"
    mine = rate(sizes.rows, times.middle("ours"))
    named = {"bare": ("bare adbc_ingest, same table and PRAGMAs", 0.85)}
    if shell is not None:
        named[".import"] = (f"sqlite3 {peers.shell_version()} .import, same table", 2.0)
    for case, (beside, least) in named.items():
        theirs = rate(sizes.rows, times.middle(case))
        part.compare("P2", what, mine, beside, theirs, times.speed_ratio("ours", case), least)
    if peers.available():  # otherwise it was said why, where the environment was tried
        source = work / "rows.parquet"
        pq.write_table(stored.drop_columns(["fs_batch"]), source)
        mine_again = _ours(work, till, batch)
        for peer, beside, least in SLOW:
            took = _loaded(part, work, peer, source)
            if took is not None:
                # Once only, for they are slow; so ours runs once more right after each, and those two are compared.
                ratio = took / once(mine_again)
                part.compare("P2", what, mine, beside, rate(sizes.rows, took), ratio, least)
    return part


def _loaded(part: Part, work: Path, peer: str, source: Path) -> float | None:
    """Seconds of one run: a peer takes far longer than a machine drifts."""
    with scratch(work) as folder:
        try:
            took = peers.load(peer, source, folder)
        except RuntimeError as err:
            part.notes.append(f"P2: {peer} is left out: {err}")
            return None
    say(f"  {peer}: {took:.3f} s")
    return took


def _csv(work: Path, stored: pyarrow.Table) -> Path:
    path = work / "rows.csv"
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    pyarrow.csv.write_csv(stored, path, options)
    return path


def store_ddl(work: Path, till: Path) -> str:
    """How the store makes the table of `cupons`, read where it made it."""
    with scratch(work) as folder:
        matriz = sites.fresh_matriz(folder, till)
        with sites.opened(matriz) as station, station.context.store.transaction() as tx:
            tx.ensure_tables(rows.contract())
        return bare.ddl_of(matriz / "filesync.db", "cupons")


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
