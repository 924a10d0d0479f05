"""P11: a batch in the outbox → its receipt settled, two daemons on a folder link. `python -m bench.latency [--count N] [--work FOLDER]`.

Both daemons run as `filesync run` in processes of their own. A drop is timed from the moment at which the manifest lies in the outbox
(`Station.seal` has returned) until the till's outbox has no file of that batch any more: its receipt came back and was settled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import quantiles

from bench.clock import say
from filesync import config
from filesync.contracts import Registry
from filesync.demo.sales import sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role

DAY = date(2026, 3, 2)
PATIENCE_S = 30.0


def make_pair(root: Path) -> tuple[Path, Path]:
    """A till that pushes into its matriz' folders; each knows the other's key."""
    till, matriz = root / "caixa-01", root / "matriz"
    Station.init(till, site="caixa-01", role=Role.CAIXA)
    Station.init(matriz, site="matriz", role=Role.MATRIZ)
    for site, peer, known in (
        (till, matriz, config.Peer(role=Role.MATRIZ, link=str(matriz))),
        (matriz, till, config.Peer(role=Role.CAIXA)),
    ):
        with (site / config.FILE_NAME).open("a", encoding="utf-8") as file:
            file.write(config.render_peer(peer.name, known))
        pinned = config.pinned_path(site, peer.name)
        pinned.parent.mkdir(parents=True, exist_ok=True)
        pinned.write_bytes(config.key_path(peer).with_suffix(".pub").read_bytes())
    return till, matriz


def start(site: Path) -> subprocess.Popen[bytes]:
    """`filesync run`, once it says that it has started."""
    log = site / "run.log"
    command = [
        sys.executable,
        "-c",
        "from filesync.cli import main; main()",
        "run",
        "-C",
        str(site),
        "--log",
        "json",
    ]
    with log.open("wb") as out:
        daemon = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    while '"started"' not in log.read_text(encoding="utf-8"):
        if daemon.poll() is not None:
            raise RuntimeError(f"{site.name} did not start: {log.read_text(encoding='utf-8')}")
        time.sleep(0.05)
    return daemon


def measure(root: Path, count: int, *, pause_s: float = 0.2) -> list[float]:
    """Seconds of each drop, one after the other."""
    till, matriz = make_pair(root)
    daemons = [start(site) for site in (till, matriz)]
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    found = []
    outbox = till / "outbox" / "matriz"
    try:
        time.sleep(1.0)  # both have made their first turn
        with Station.open(till) as station:
            for number in range(count):
                sales = sales_of_day("caixa-01", Role.CAIXA, DAY, seed=number + 1, count=20)
                table, _, _ = contract.from_documents(sales)
                station.seal("vendas", table)
                sealed = time.perf_counter()
                while any(outbox.iterdir()):
                    if time.perf_counter() - sealed > PATIENCE_S:
                        raise TimeoutError(f"no receipt within {PATIENCE_S} s")
                    time.sleep(0.001)
                found.append(time.perf_counter() - sealed)
                time.sleep(pause_s)
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.latency", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--work", type=Path, default=None, help="a folder on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        found = measure(Path(folder), options.count)
    cuts = quantiles(found, n=100)
    say(f"{len(found)} drops, one at a time")
    print(
        f"p50 {cuts[49] * 1000:.0f} ms (goal 150), p99 {cuts[98] * 1000:.0f} ms (goal 500), most {max(found) * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
