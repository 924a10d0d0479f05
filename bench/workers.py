"""python -m bench.workers [--tills 8] [--batches 500,2000,8000]: where importing by several workers begins to pay.

A matriz with several tills, and of each as many small batches as of the others. The same files are imported by the site alone, by threads and by
processes, into an embedded store and into a PostgreSQL one, each time into a new database. The program's own thresholds are put to nothing
for this: what is looked for is where they belong. What processes cost by themselves (their start) is in their time, as it is in a shop.

Printed: seconds by the clock, and of the processor (this process and its workers; not the server's), for each number of batches.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench import on_server, rows, sites
from bench.clock import say, settle_disk
from filesync import Station
from filesync.exchange import parallel
from filesync.protocol.identity import Format, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import Server

SALES_PER_BATCH = 20
ROUNDS = 3
EXECUTORS = ("none", "threads:2", "processes:2")
#: Where the batches lie that were sealed once for all cases.
SEALED = "sealed"


def main() -> int:
    options = _options()
    for kind in parallel.LEAST:
        parallel.LEAST[kind] = 0
    with tempfile.TemporaryDirectory(dir=options.work) as folder, ExitStack() as stack:
        work = Path(folder)
        server = stack.enter_context(_server())
        print(f"| store | batches | {' | '.join(f'{name}: s, of the processor' for name in EXECUTORS)} |")
        print("|" + "---|" * (2 + len(EXECUTORS)))
        for batches in options.batches:
            tills = _sealed(work / f"{SEALED}-{batches}", options.tills, batches)
            for store in ("sqlite", "postgresql") if server else ("sqlite",):
                found = _measure(work, tills, batches, server if store == "postgresql" else None)
                cells = " | ".join(f"{wall:.1f}, {cpu:.1f}" for wall, cpu in found)
                print(f"| {store} | {batches:,} | {cells} |", flush=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.workers", description="Importing by workers beside importing alone"
    )
    parser.add_argument("--tills", type=int, default=8)
    parser.add_argument(
        "--batches",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[500, 2_000, 8_000],
        help="of all tills together; several, with commas",
    )
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure (default: the system's)")
    return parser.parse_args()


@contextmanager
def _server() -> Iterator[Server | None]:
    """The tests' throwaway cluster, as durable as a shop's; None where PostgreSQL is not installed."""
    sys.path.append(str(on_server.DOORS))
    import postgres_server

    try:
        with postgres_server.kept() as server:
            server.execute("postgres", *on_server.DURABLE)
            os.environ["PGPASSWORD"] = server.password
            yield server
    except postgres_server.Missing as why:
        say(f"without PostgreSQL: {why}")
        yield None


def _sealed(root: Path, tills: int, batches: int) -> dict[Path, list[Path]]:
    """Tills, and the files that each has for the matriz."""
    found = {}
    for number in range(1, tills + 1):
        name = f"caixa-{number:02}"
        till, _ = sites.make_pair(root / name, documents_max=SALES_PER_BATCH, form=Format.PARQUET, name=name)
        sold = rows.sales(batches // tills * SALES_PER_BATCH, seed=number, origin=name)
        found[till] = sites.seal_batch(till, sold, dataset="vendas")
    return found


def _measure(
    work: Path, tills: dict[Path, list[Path]], batches: int, server: Server | None
) -> list[tuple[float, float]]:
    """The median of some rounds by the clock and of the processor, for each executor."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in EXECUTORS}
    for number in range(ROUNDS):
        turn = number % len(EXECUTORS)
        for name in EXECUTORS[turn:] + EXECUTORS[:turn]:
            times[name].append(_once(work, tills, batches, server, name))
            say(
                f"  {'postgresql' if server else 'sqlite'}, {batches:,} batches, {name}: {times[name][-1][0]:.2f} s"
            )
    return [(median(wall for wall, _ in found), median(cpu for _, cpu in found)) for found in times.values()]


def _once(
    work: Path, tills: dict[Path, list[Path]], batches: int, server: Server | None, executor: str
) -> tuple[float, float]:
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(dir=work))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        matriz = folder / sites.MATRIZ
        store = None
        if server is not None:
            name = stack.enter_context(on_server.database(server))
            store = f"postgresql://filesync@127.0.0.1:{server.port}/{name}"
        Station.init(matriz, site=sites.MATRIZ, role=Role.MATRIZ, store=store)
        for till, files in tills.items():
            sites.join_matriz(matriz, till)
            sites.deliver(files, matriz)
        with (matriz / "filesync.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[import]\nexecutor = "{executor}"\n')
        with closing(Station.open(matriz)) as station:
            settle_disk()
            started, cpu = time.perf_counter(), _processor()
            sites.import_whole(station, batches)
            took = time.perf_counter() - started
        return took, _processor() - cpu


def _processor() -> float:
    """Seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    sys.exit(main())
