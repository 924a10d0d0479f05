"""The fence around a site's workers: nobody works in its folder whom the holder of its lock has not sent, and nobody after it went.

A worker may outlive whoever sent it: its sender crashed, or was told by a scheduler that the worker is lost while it only was out of reach.
Two at work on one inbox would write each other's temporary files. So, in `run/workers/<one run>/`:

1. The sender makes the folder with the file `open` in it (`begin`).
2. A worker takes the lock of its share, then looks whether `open` is there, and goes away if not (`share`). It looks again between groups of
   batches (`Share.still`).
3. The sender removes `open`, then takes every share's lock once (`end`). At that instant nobody of this run is at work, and nobody of it will
   ever be: whoever comes later finds no `open`.
4. Whoever works in the site's folder next does 3 for what a crash left (`raze`).

The system gives a lock back when its holder ends, however it ends. On a folder shared by several machines the locks are the file server's; `open`
is opened to look at it, for only that is never answered from a cache (NFS: close-to-open).

What is not here: what is done twice in the database changes nothing there (the ledger decides); this is about files.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filesync.exchange.lock import SiteLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN: Final = "open"
_LOCK: Final = ".lock"
#: How long a worker of one's own run, that is taken for lost, may still need for the group of batches that it is at.
PATIENCE_S: Final = 600.0
_BUSY: Final = "busy: {who} still works in {folder} for an import that was cut off (it holds {name}); try again when it is done"


class FencedError(Exception):
    """The worker's run is over: what it was sent for is nobody's business any more, or somebody else's."""


@dataclass(frozen=True, slots=True)
class Share:
    """One worker's part of a run."""

    run: Path

    def still(self) -> None:
        """Raises `FencedError` when the run is over."""
        try:
            (self.run / OPEN).read_bytes()
        except OSError:
            raise FencedError(f"{self.run.name} is over") from None


def begin(root: Path) -> Path:
    """A new run at the site `root`; only by whoever holds its lock."""
    run = root / "run" / "workers" / uuid.uuid4().hex
    run.mkdir(parents=True)
    (run / OPEN).write_bytes(b"")
    return run


@contextmanager
def share(run: Path, number: int) -> Iterator[Share]:
    """A worker's place in the run: nobody else is at share `number` meanwhile. Raises `FencedError` where the run is over."""
    mine = Share(run)
    mine.still()  # before the lock, which would make the folder anew
    with SiteLock(run / f"{number}{_LOCK}", PATIENCE_S, _BUSY).held():
        mine.still()
        yield mine


def end(run: Path, patience_s: float = PATIENCE_S) -> None:
    """When this returns nobody of the run is at work, nor ever will be. Raises `ConfigError` busy where somebody does not end."""
    with suppress(FileNotFoundError):
        (run / OPEN).unlink()
    for lock in sorted(run.glob(f"*{_LOCK}")):
        with SiteLock(lock, patience_s, _BUSY).held():
            pass
    shutil.rmtree(run, ignore_errors=True)


def raze(root: Path, patience_s: float) -> None:
    """End every run that was left open; only by whoever holds the site's lock. Costs a look where there is none."""
    try:
        runs = list((root / "run" / "workers").iterdir())
    except FileNotFoundError:
        return
    for run in runs:
        end(run, patience_s)
