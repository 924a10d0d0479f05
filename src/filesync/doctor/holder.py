"""Who holds the site's lock, without taking it: a station that starts while the doctor looks must not find it busy.

Linux tells in /proc/locks. Elsewhere the lock is tried and let go at once; a station waits for longer than that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from filesync.exchange.lock import LOCK_NAME


@dataclass(frozen=True, slots=True)
class Holder:
    """`here`: whether it runs on this computer, as far as can be told."""

    held: bool
    pid: int | None = None
    program: str = ""
    here: bool = True


def holder_of(root: Path, name: Path | str = LOCK_NAME, locks: Path = Path("/proc/locks")) -> Holder:
    """The holder of the lock `name` of the site in `root`."""
    path = root / name
    try:
        found = path.stat()
    except OSError:
        return Holder(held=False)
    try:
        table = locks.read_text(encoding="ascii", errors="replace")
    except OSError:
        return _tried(path)
    pid = find_holder(table, found.st_dev, found.st_ino)
    if pid:
        return Holder(held=True, pid=pid, program=_program(pid))
    if pid == 0:  # on another computer, or in another container
        return Holder(held=True, pid=_noted(path), here=False)
    return _tried(path)  # filesystems such as btrfs name another device there than stat does


def find_holder(table: str, device: int, inode: int) -> int | None:
    """The pid of the process that holds a lock on the file, from a table as in /proc/locks; 0 where it is on another computer or hidden."""
    place = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in table.splitlines():
        fields = line.split()
        # `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`; a waiter has `->` after its number
        if len(fields) >= 6 and fields[1] != "->" and fields[5] == place and fields[3] == "WRITE":
            return max(0, int(fields[4]))
    return None


def _tried(path: Path) -> Holder:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = _noted(path)
        return Holder(held=True, pid=pid, program=_program(pid) if pid else "")
    except OSError:
        return Holder(held=False)
    lock.release()
    return Holder(held=False)


def _noted(path: Path) -> int | None:
    """The pid that the holder wrote down (exchange.lock)."""
    try:
        return int(path.with_name(f"{path.name}.pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _program(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(word.decode("utf-8", "replace") for word in words if word)[:120]
