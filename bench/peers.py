"""The peers: dlt, sqlite-utils and asyncssh in an environment of their own, and the sqlite3 shell. What is not there is left out, and said so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.clock import say

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".peers"
PINNED = HERE / "peers.txt"
#: A peer that takes longer is stopped: what it would have needed is not known then, only that it is more.
PATIENCE_S = 240.0


class TooSlowError(RuntimeError):
    """A peer was stopped."""


def prepare() -> str | None:
    """Make the peers' environment unless it is complete; None, or why there is none."""
    stamp = ENVIRONMENT / ".complete"
    wanted = PINNED.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return None
    say("installing the peers into bench/.peers")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    steps = (
        [sys.executable, "-m", "venv", str(ENVIRONMENT)],
        [
            str(python()),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
            str(PINNED),
        ],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason was given"]
            say(
                f"  {last[0][:200]}"
            )  # it may name folders of this machine, which are nobody's business on the page
            return "dlt, sqlite-utils and asyncssh could not be installed; their rows are left out."
    stamp.write_text(wanted, encoding="utf-8")
    return None


def python() -> Path:
    """The peers' interpreter."""
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def available() -> bool:
    return (ENVIRONMENT / ".complete").exists()


def version(name: str) -> str:
    """A peer's pinned version."""
    for line in PINNED.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}=="):
            return line.removeprefix(f"{name}==")
    return "?"


def sqlite_shell() -> str | None:
    """The sqlite3 command. Python's own sqlite3 module is something else and no stand-in for it."""
    return shutil.which("sqlite3")


def shell_version() -> str:
    done = subprocess.run(
        [sqlite_shell() or "sqlite3", "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[0]


def load(peer: str, rows: Path, folder: Path, address: str = "", *, again: Path | None = None) -> float:
    """Seconds that a peer needs to load the rows of a Parquet file into a fresh SQLite database (or the one at `address`), its own start not counted.

    With `again` that is loaded after it, and its seconds are told. Raises `RuntimeError`; `TooSlowError` where a peer is not done after PATIENCE_S.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    } | {
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "BENCH_ADDRESS": address,
    }
    files = [str(rows), *([str(again)] if again else [])]
    try:
        done = subprocess.run(
            [str(python()), "-W", "ignore", str(HERE / "peer_loads.py"), peer, str(folder), *files],
            capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TooSlowError(f"{peer} was not done after {PATIENCE_S:.0f} s and was stopped") from None
    if done.returncode:
        raise RuntimeError(f"{peer} failed: {done.stderr.strip()[-500:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return float(found["seconds"])
