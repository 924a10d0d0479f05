"""A probe file: written, flushed, renamed, read back and removed, in a `.partial/`, with the time of each step.

- The name begins with `PREFIX` and ends with `.put`: watchers do not look there, and a station that cleans its `.partial/` takes it for a
  peer's file on its way and leaves it alone.
- Nothing stays: the files are removed whatever happens, and a `.partial/` that was made for them too. What a killed doctor left is
  removed by the next one, when it is older than an hour (it may belong to one that runs now).
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filesync.language import _
from filesync.writers.durable import FOREIGN_SUFFIX, LOCKED_DELAYS_S, PARTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

PREFIX = "doctor~"
#: The names of what is really sent: some antivirus programs look at the ending.
LEAF = "probe.parquet"
LEFT_BEHIND_S = 3600.0


class ProbeDifferentError(Exception):
    """What was read back is not what was written."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Times of one file, in seconds. `held`: how often another program held it, so that a step was tried again."""

    bytes: int
    write_s: float
    sync_s: float
    rename_s: float
    read_s: float
    remove_s: float
    held: int

    @property
    def total_s(self) -> float:
        """From the first byte until it is gone again."""
        return self.write_s + self.sync_s + self.rename_s + self.read_s + self.remove_s


def probe(
    beside: Path,
    size: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Probe:
    """Try the whole life of a file in the `.partial/` of `beside` (`inbox/`, `outbox/`). OSError says what does not work."""
    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    data = secrets.token_bytes(size)
    with _partial(beside) as partial:
        first, second = (partial / f"{name}{part}{LEAF}{FOREIGN_SUFFIX}" for part in (".1~", ".2~"))
        held = _Held(sleep)
        try:
            marks = [clock()]
            with first.open("xb") as file:
                file.write(data)
                file.flush()
                marks.append(clock())
                os.fsync(file.fileno())
            marks.append(clock())
            held.until_free(lambda: first.replace(second))
            marks.append(clock())
            found = held.until_free(second.read_bytes)
            marks.append(clock())
            held.until_free(second.unlink)
            marks.append(clock())
        finally:
            for path in (first, second):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        if found != data:
            raise ProbeDifferentError(
                _("{partial}: {size} bytes were written, others were read back").format(
                    partial=partial, size=size
                )
            )
    write_s, sync_s, rename_s, read_s, remove_s = (later - earlier for earlier, later in pairwise(marks))
    return Probe(size, write_s, sync_s, rename_s, read_s, remove_s, held.times)


def remove_left_behind(beside: Path, now: float) -> None:
    """Remove probe files that a killed doctor left in the `.partial/` of `beside`."""
    with suppress(OSError):
        for entry in os.scandir(beside / PARTIAL):
            if (
                entry.name.startswith(PREFIX)
                and now - entry.stat(follow_symlinks=False).st_mtime > LEFT_BEHIND_S
            ):
                with suppress(OSError):
                    Path(entry.path).unlink()


class _Held:
    """Tries again while another program holds the file, as `writers.durable` does, and counts."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.times = 0
        self._sleep = sleep

    def until_free(self, step: Callable[[], T]) -> T:
        for delay in LOCKED_DELAYS_S:
            try:
                return step()
            except PermissionError:
                self.times += 1
                self._sleep(delay)
        return step()


@contextmanager
def _partial(beside: Path) -> Iterator[Path]:
    """The `.partial/` of a folder; one that had to be made is taken away again, unless somebody uses it by then."""
    path = beside / PARTIAL
    made = not path.is_dir()
    if made:
        path.mkdir(exist_ok=True)
    try:
        yield path
    finally:
        if made:
            with suppress(OSError):
                path.rmdir()
