"""P5: rows sealed (validate, write, hash, remember, sync, sign), beside write_table and sha256 of the same rows."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench import bare, rows, sites
from bench.clock import Case, rounds, scratch
from bench.figures import Part, Sizes, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from filesync import Station

#: The memory that a delta seal looks through holds the day before; the rows are new to it.
WARM_ROWS = 1_000


def run(sizes: Sizes, work: Path) -> Part:
    till, _ = sites.make_pair(work / "pair")
    sites.seal_batch(till, rows.tickets(0, WARM_ROWS, seed=9))
    contract = rows.contract()
    table = contract.conform(rows.tickets(0, sizes.rows))
    chunks = list(rows.ticket_chunks(sizes.rows))
    known = work / "known"
    shutil.copytree(till, known)
    sites.seal_batch(known, iter(chunks))
    cases = {
        "full": _seal(work, till, chunks, full=True, expected=sizes.rows),
        "bare": _bare(work, table),
        "delta": _seal(work, till, chunks, full=False, expected=sizes.rows),
        "unchanged": _seal(work, known, chunks, full=False, expected=0),
    }
    times = rounds(cases, sizes.rounds)
    part = Part()
    beside, theirs = (
        "pyarrow write_table (zstd, page checksums) + sha256",
        rate(sizes.rows, times.middle("bare")),
    )
    for case, what, least in (
        ("full", f"seal {sizes.rows:,} rows (full: memory not asked)", 0.8),
        ("delta", f"seal {sizes.rows:,} new rows (delta: memory asked)", 0.8),
        ("unchanged", f"seal {sizes.rows:,} rows that were all sealed before (nothing is written)", None),
    ):
        part.compare(
            "P5",
            what,
            rate(sizes.rows, times.middle(case)),
            beside,
            theirs,
            times.speed_ratio(case, "bare"),
            least,
        )
    return part


def _seal(work: Path, till: Path, chunks: list[pa.Table], *, full: bool, expected: int) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder:
            copy = folder / sites.TILL
            shutil.copytree(till, copy)
            with sites.opened(copy) as station:
                yield lambda: _sealed(station, chunks, full=full, expected=expected)

    return case


def _sealed(station: Station, chunks: list[pa.Table], *, full: bool, expected: int) -> None:
    report = station.seal("cupons", iter(chunks), full=full)
    documents = sum(batch.documents for batch in report.sealed)
    if documents != expected or report.refused:
        raise AssertionError(f"expected {expected} rows sealed, got {documents}, refused {report.refused}")


def _bare(work: Path, table: pa.Table) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder:
            yield lambda: bare.write_parquet(folder / "rows.parquet", table)

    return case
