"""P4: what was imported before comes again: the same batch (a replay), and a batch that changes every row."""

from __future__ import annotations

import shutil
import time
from contextlib import closing, contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from bench import bare, peers, rows, sites
from bench.clock import Case, once, rounds, say, scratch
from bench.figures import Line, Part, Sizes, milliseconds, rate
from bench.importing import store_ddl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

REPLAYS = 25
REPLAY_SECONDS_MAX = 0.005
KEY = ("origem", "venda_id")


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    for count in (1_000, sizes.rows):
        with scratch(work) as folder:
            _replay(part, count, folder)
    _update(part, sizes, work)
    return part


def _replay(part: Part, count: int, folder: Path) -> None:
    """The manifest and the payload arrive once more; the payload must not be opened. Beside it, what one durable file costs."""
    till, matriz = sites.make_pair(folder)
    batch = sites.seal_batch(till, rows.tickets(0, count))
    with sites.opened(matriz) as station:
        sites.deliver(batch, matriz)
        sites.import_whole(station, 1)
        replays, files = [], []
        for number in range(REPLAYS):
            files.append(_timed(partial(bare.durable_files, folder / f"file-{number}", 1, b"x" * 1200)))
            sites.deliver(batch, matriz)
            replays.append(_timed(lambda: _replayed(station.import_().replayed)))
    took = median(replays)
    say(f"  replay of {count:,} rows: {milliseconds(took)}")
    beside, theirs = "one durable file", milliseconds(median(files))
    what = f"replay a batch of {count:,} rows: the receipt again"
    part.lines.append(
        Line("P4", what, milliseconds(took), beside, theirs, None, "< 5 ms", took < REPLAY_SECONDS_MAX)
    )


def _replayed(stems: list[str]) -> None:
    if len(stems) != 1:
        raise AssertionError(f"expected one replay, got {stems}")


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _update(part: Part, sizes: Sizes, work: Path) -> None:
    """Every key is held, every content differs: the stage-and-merge way, beside the same thing written by hand."""
    till, matriz = sites.make_pair(work / "update")
    first = sites.seal_batch(till, rows.tickets(0, sizes.rows))
    changed = rows.tickets(0, sizes.rows, raised_centavos=100)
    second = sites.seal_batch(till, changed)
    with sites.opened(matriz) as station:
        sites.deliver(first, matriz)
        sites.import_whole(station, 1)
    contract = rows.contract()
    held = work / "held.db"
    with closing(bare.connect(held, store_ddl(work, till))) as connection:
        bare.append(connection, "cupons", bare.storable(contract.conform(rows.tickets(0, sizes.rows))))
    stored = bare.storable(contract.conform(changed), batch_id=2)
    ours = _ours(work, matriz, second)
    times = rounds({"ours": ours, "bare": _bare(work, held, stored)}, sizes.update_rounds)
    what, mine = f"a batch that updates all of {sizes.rows:,} rows", rate(sizes.rows, times.middle("ours"))
    part.compare(
        "P4", what, mine,
        "bare stage + INSERT … ON CONFLICT DO UPDATE", rate(sizes.rows, times.middle("bare")), times.speed_ratio("ours", "bare"), 0.85,
    )  # fmt: skip
    if peers.available():
        files = second_load(work, bare.storable(contract.conform(rows.tickets(0, sizes.rows))), stored)
        for peer in ("dlt-merge", "sqlite-utils"):
            beside_second_load(part, "P4", what, mine, peer, work, files, partial(once, ours), sizes.rows)


def second_load(work: Path, first: pa.Table, changed: pa.Table) -> tuple[Path, Path]:
    """Files for a peer's first load, and for the second, which is measured."""
    files = work / "first.parquet", work / "changed.parquet"
    for path, table in zip(files, (first, changed), strict=True):
        pq.write_table(table.drop_columns(["fs_batch"]), path)
    return files


def beside_second_load(
    part: Part, target: str, what: str, mine: str, peer: str, work: Path, files: tuple[Path, Path],
    ours: Callable[[], float], count: int, address: str = "",
) -> None:  # fmt: skip
    """A peer's second load of the same keys, once; ours once more right after it, and those two are compared."""
    name = peer.split("-merge", maxsplit=1)[0]
    beside = f"{name} {peers.version(name)}, second load, {'merge' if name == 'dlt' else 'upsert'}"
    with scratch(work) as folder:
        try:
            took = peers.load(peer, files[0], folder, address, again=files[1])
        except peers.TooSlowError as err:
            part.notes.append(f"{target}: {beside}: {err}; its first load is within that time.")
            return
        except RuntimeError as err:
            part.notes.append(f"{target}: {beside} is left out: {err}")
            return
    say(f"  {peer}, second load: {took:.3f} s")
    part.compare(target, what, mine, beside, rate(count, took), took / ours())


def _ours(work: Path, matriz: Path, batch: list[Path]) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder:
            copy = folder / sites.MATRIZ
            shutil.copytree(matriz, copy)
            with sites.opened(copy) as station:
                sites.deliver(batch, copy)
                yield lambda: sites.import_whole(station, 1)

    return case


def _bare(work: Path, held: Path, stored: pa.Table) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(work) as folder:
            copy = folder / "bare.db"
            shutil.copy(held, copy)
            with closing(bare.connect(copy)) as connection:
                yield lambda: bare.upsert(connection, "cupons", KEY, stored)

    return case
