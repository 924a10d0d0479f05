"""P7: thousands of small batches of real sales: the import from one inbox, and the whole way there and back.

The bare limit is the disk's: files made durable one at a time. It is measured in the same rounds as the imports. Nothing is removed
between the rounds: for minutes after files were deleted, ext4 makes new ones slowly, for it looks for inodes that were not freed lately.
"""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from bench import bare, rows, sites
from bench.clock import Case, rounds, say, settle_disk
from bench.figures import Line, Part, Sizes, rate
from filesync import Station
from filesync.protocol.identity import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMPORTED_PER_SECOND = 1_500
ROUND_TRIPS_PER_SECOND = 400
DURABLE_FILES = 1_000
RECEIPT_BYTES = 1_200


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    for form in (Format.JSONL, Format.PARQUET):
        _measure(part, sizes, work / form.value, form)
    return part


def _measure(part: Part, sizes: Sizes, folder: Path, form: Format) -> None:
    till, matriz = sites.make_pair(folder / "pair", documents_max=sizes.batch_sales, form=form)
    sold = rows.sales(sizes.batches * sizes.batch_sales)
    empty = folder / "empty"
    shutil.copytree(matriz, empty)
    settle_disk()
    started = time.perf_counter()
    batch = sites.seal_batch(till, sold, dataset="vendas")
    sealing = time.perf_counter() - started
    say(f"  {form.value}: sealed {sizes.batches:,} batches in {sealing:.1f} s")
    cases = {"ours": _imported(folder, empty, batch, sizes.batches), "bare": _durable(folder)}
    times = rounds(cases, sizes.many_rounds)
    files = rate(DURABLE_FILES, times.middle("bare"), "files/s")
    speed = sizes.batches / times.middle("ours")
    durable = "durable files: write, fsync, rename, fsync of the folder"
    what = f"{sizes.batches:,} batches of {sizes.batch_sales} sales, {form.value}"
    ratio = times.speed_ratio("ours", "bare") * sizes.batches / DURABLE_FILES
    _add(
        part,
        f"import {what}",
        rate(sizes.batches, times.middle("ours"), "batches/s"),
        durable,
        files,
        ratio,
        speed,
        IMPORTED_PER_SECOND,
    )
    plain = DURABLE_FILES / times.middle("bare")
    part.compare(
        "P7",
        f"seal {what}",
        rate(sizes.batches, sealing, "batches/s"),
        durable,
        files,
        sizes.batches / sealing / plain,
    )
    trip = sealing + _round_trip(till, matriz, sizes.batches)
    per_second = sizes.batches / trip
    _add(
        part, f"seal → receipts settled, {what}", rate(sizes.batches, trip, "batches/s"), durable, files, per_second / plain,
        per_second, ROUND_TRIPS_PER_SECOND,
    )  # fmt: skip


def _add(
    part: Part, what: str, ours: str, beside: str, theirs: str, ratio: float, speed: float, least: int
) -> None:  # fmt: skip
    part.lines.append(Line("P7", what, ours, beside, theirs, ratio, f"≥ {least:,} batches/s", speed >= least))


def _imported(work: Path, matriz: Path, batch: list[Path], count: int) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        copy = Path(mkdtemp(dir=work)) / sites.MATRIZ
        shutil.copytree(matriz, copy)
        with sites.opened(copy) as station:
            sites.deliver(batch, copy)
            yield lambda: sites.import_whole(station, count)

    return case


def _durable(work: Path) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        folder = Path(mkdtemp(dir=work))
        yield lambda: bare.durable_files(folder / "files", DURABLE_FILES, b"x" * RECEIPT_BYTES)

    return case


def _round_trip(till: Path, matriz: Path, count: int) -> float:
    """Till, matriz, till: shipped, applied, settled."""
    settle_disk()
    started = time.perf_counter()
    with Station.open(till) as here, Station.open(matriz) as there:
        here.turn()
        say(f"  shipped after {time.perf_counter() - started:.1f} s")
        there.turn()
        say(f"  applied after {time.perf_counter() - started:.1f} s")
        settled = here.turn().imported.settled
    took = time.perf_counter() - started
    if len(settled) != count:
        raise AssertionError(f"expected {count} batches settled, got {len(settled)}")
    say(f"  settled after {took:.1f} s")
    return took
