"""P6 and the plot: one batch of any size, sealed and imported as a stream, each side in a process of its own so that its peak is its own.

    python -m bench.large seal|import|append ROWS FOLDER      prints seconds and peak memory as JSON

The rows of a seal are made while it runs (a fortieth of its time); a batch of a few rows goes before, so that a figure holds no imports
of modules. `append` is the bare limit of the import: the same rows, made as a stream, into the same table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from bench import bare, rows, sites
from bench.clock import say, settle_disk
from bench.figures import Line, Part, Point, Sizes, mebibytes, rate
from filesync import Station

PEAK_BYTES_MAX = 600 << 20
WARM_ROWS = 1_000
WARM_SEED = 9


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    for count in sorted({*sizes.growth, sizes.large_rows}):
        folder = work / str(count)
        found = {step: _in_a_process(step, count, folder) for step in ("seal", "import", "append")}
        for step, result in found.items():
            part.points.append(Point(step, count, count / result["seconds"]))
        if count == sizes.large_rows:
            for step in ("seal", "import"):
                peak = found[step]["peak_bytes"]
                part.lines.append(
                    Line(
                        "P6", f"{step} one batch of {count:,} rows", f"{mebibytes(peak)} at peak, {rate(count, found[step]['seconds'])}",
                        *_beside(step, count, found), None, "≤ 600 MiB", peak <= PEAK_BYTES_MAX,
                    )
                )  # fmt: skip
    return part


def _beside(step: str, count: int, found: dict[str, dict[str, float]]) -> tuple[str, str]:
    if step == "seal":
        return "", ""
    return (
        "bare adbc_ingest of the same stream",
        f"{mebibytes(found['append']['peak_bytes'])}, {rate(count, found['append']['seconds'])}",
    )


def _in_a_process(step: str, count: int, folder: Path) -> dict[str, float]:
    settle_disk()
    done = subprocess.run(
        [sys.executable, "-m", "bench.large", step, str(count), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    say(f"  {step} {count:,} rows: {found['seconds']:.2f} s, peak {mebibytes(found['peak_bytes'])}")
    return found


def peak_bytes() -> int:
    """The most memory that this process ever held. On Linux not from getrusage, which counts what the parent held at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        found = next(
            line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")
        )
        return int(found.split()[1]) << 10
    import resource  # not on Windows, where this measurement fails with a plain message

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _seal(count: int, folder: Path) -> float:
    till, _ = sites.make_pair(folder)
    with Station.open(till) as station:
        station.seal("cupons", rows.tickets(0, WARM_ROWS, seed=WARM_SEED), full=True)
        started = time.perf_counter()
        report = station.seal("cupons", rows.ticket_chunks(count), full=True)
        seconds = time.perf_counter() - started
    if [batch.documents for batch in report.sealed] != [count]:
        raise AssertionError(f"expected one batch of {count} rows, got {report}")
    return seconds


def _import(count: int, folder: Path) -> float:
    del count
    till, matriz = folder / sites.TILL, folder / sites.MATRIZ
    files = sorted(path for path in (till / "outbox" / sites.MATRIZ).iterdir() if path.is_file())
    with sites.opened(matriz) as station:
        for warm in (True, False):
            sites.deliver([file for file in files if (".0000000001." in file.name) is warm], matriz)
            started = time.perf_counter()
            sites.import_whole(station, 1)
        return time.perf_counter() - started


def _append(count: int, folder: Path) -> float:
    ddl = bare.ddl_of(folder / sites.MATRIZ / "filesync.db", "cupons")
    contract = rows.contract()
    with closing(bare.connect(folder / "bare.db", ddl)) as connection, closing(connection.cursor()) as cursor:
        started = time.perf_counter()
        cursor.execute("BEGIN IMMEDIATE")
        for chunk in rows.ticket_chunks(count):
            cursor.adbc_ingest("cupons", bare.storable(contract.conform(chunk)), mode="append")
        cursor.execute("COMMIT")
        return time.perf_counter() - started


def main() -> None:
    step, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    seconds = {"seal": _seal, "import": _import, "append": _append}[step](count, folder)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
