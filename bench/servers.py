"""What the road is measured on: the tests' OpenSSH server on loopback, and a long line to it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sshd import Sshd

SERVERS = Path(__file__).parent.parent / "tests" / "servers"


def on_path() -> None:
    """The tests' servers can be imported from here on."""
    if str(SERVERS) not in sys.path:
        sys.path.append(str(SERVERS))


def missing() -> str | None:
    """Why there is no server to measure with; None where there is one."""
    on_path()
    import sshd

    return None if sshd.find() else sshd.MISSING


@contextmanager
def server(folder: Path) -> Iterator[Sshd]:
    """An OpenSSH server with keys of its own in `folder`, on a port of its own."""
    on_path()
    import sshd

    folder.mkdir(parents=True, exist_ok=True)
    running = sshd.start(folder)
    try:
        yield running
    finally:
        sshd.stop(running)


@contextmanager
def line(running: Sshd, round_trip_ms: float) -> Iterator[int]:
    """The port of a line so long to the server; the server's key is trusted there too."""
    if not round_trip_ms:
        yield running.port
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.line", str(running.port), str(round_trip_ms)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        running.trust(port)
        yield port
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
