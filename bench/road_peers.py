"""Who walks the road beside filesync: `sftp`, `rclone` and `rsync` as programs, asyncssh and paramiko in processes of their own.

Every one is timed from connecting to the last file: of Python programs the start is not counted, for a station runs all day. Every one
logs in with the same key, has the same server's key to check, and writes into a folder that is empty and made for it. Afterwards the
bytes that arrived are compared in size and number: a fast failure is not a figure.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import peers
from bench.clock import Case, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sshd import Sshd

CLIENT = Path(__file__).with_name("road_client.py")
AES = "aes128-gcm@openssh.com"  # filesync's own first choice; `sftp` prefers chacha20-poly1305
RCLONE_TRANSFERS = 16


@dataclass(frozen=True, slots=True)
class Road:
    """A way to a server."""

    server: Sshd
    port: int
    work: Path

    def ssh(self, *more: str) -> list[str]:
        """Options that `ssh` and `sftp` share: this server and this key, and nothing of the account's own."""
        options = [
            f"IdentityFile={self.server.identity}",
            f"UserKnownHostsFile={self.server.known_hosts}",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "BatchMode=yes",
            "LogLevel=ERROR",
            f"Port={self.port}",
            *more,
        ]
        return ["-F", "/dev/null", *(word for option in options for word in ("-o", option))]

    @property
    def host(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1"

    def rclone(self, *more: str) -> list[str]:
        """rclone without a configuration, and without its calls of md5sum on the server."""
        return [
            "rclone", "--config", "", "--ask-password=false", "--sftp-host", "127.0.0.1", "--sftp-port", str(self.port),
            "--sftp-user", getpass.getuser(), "--sftp-key-file", str(self.server.identity),
            "--sftp-known-hosts-file", str(self.server.known_hosts), "--sftp-disable-hashcheck", "--sftp-shell-type", "unix",
            "--retries", "1", *more,
        ]  # fmt: skip

    def order(self, here: Path, there: Path, name: str) -> str:
        return json.dumps(
            {
                "port": self.port,
                "user": getpass.getuser(),
                "identity": str(self.server.identity),
                "known_hosts": str(self.server.known_hosts),
                "here": str(here),
                "there": str(there),
                "name": name,
            }
        )


#: Makes what to run of (files here, folder there).
Command = "Callable[[Path, Path], tuple[list[str], str | None]]"


def program(
    road: Road, make: Callable[[Path, Path, Path], tuple[Sequence[str], str | None]], source: Path, check: Callable[[Path], None],
) -> Case:  # fmt: skip
    """A program: `make(source, empty folder, folder for its batch file)` gives its words and its input."""

    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(road.work) as folder:
            target = folder / "target"
            target.mkdir()
            words, given = make(source, target, folder)
            yield lambda: run(words, given)
            check(target)

    return case


def client(road: Road, name: str, what: str, source: Path, check: Callable[[Path], None]) -> Case:
    """A Python client that is ready to connect when the clock starts. `source` is a file for put and get, a folder for many."""
    python = peers.python() if name == "asyncssh" else Path(sys.executable)

    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(road.work) as folder:
            target = folder / "target"
            target.mkdir()
            here, there = {
                "put": (source.parent, target),
                "get": (target, source.parent),
                "many": (source, target),
            }[what]
            process = subprocess.Popen(
                [str(python), str(CLIENT), name, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            asked, answers = process.stdin, process.stdout

            def say(text: str, answer: str) -> None:
                asked.write(text + "\n")
                asked.flush()
                if answers.readline().strip() != answer:
                    raise RuntimeError(f"{name} failed: {process.communicate()[1].strip()[-500:]}")

            say(road.order(here, there, source.name), "ready")
            yield lambda: say("go", "done")
            process.communicate()
            check(target)

    return case


def run(words: Sequence[str], given: str | None = None) -> None:
    """A program that must succeed."""
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed ({done.returncode}): {done.stderr.strip()[-500:]}")


def has(name: str) -> bool:
    return shutil.which(name) is not None


def has_asyncssh() -> bool:
    return peers.available()


def versions() -> str:
    """Of all who are there, for a note below the table."""
    found = []
    for words, part in ((["ssh", "-V"], 0), (["rclone", "version"], 1), (["rsync", "--version"], 2)):
        if has(words[0]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            said = (done.stdout or done.stderr).split()
            found.append(said[0].rstrip(",") if not part else f"{words[0]} {said[part]}")
    if has_asyncssh():
        found.append(f"asyncssh {peers.version('asyncssh')}")
    from importlib.metadata import version

    return ", ".join([*found, f"paramiko {version('paramiko')}"])


def absent() -> list[str]:
    """Who is not there, as notes."""
    notes = [
        f"P8, P9: {name} is not on this machine (Debian, Ubuntu: apt-get install {name}); its rows are left out."
        for name in ("rclone", "rsync")
        if not has(name)
    ]
    if not has_asyncssh():
        notes.append("P8, P9: asyncssh could not be installed into bench/.peers; its rows are left out.")
    return notes


def fill(path: Path, size: int) -> Path:
    """A file of bytes that no compression shortens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        block = os.urandom(1 << 20)
        for at in range(0, size, len(block)):
            file.write(block[: size - at])
    return path
