"""What every step of a station works with: settings, folders, store, contracts and a clock. Opened once, passed down."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filesync import __version__
from filesync.exchange.reports import Observer, unobserved

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.config import Peer, Settings
    from filesync.contracts import Registry
    from filesync.exchange.folders import Folders
    from filesync.stores.store import Store

SOFTWARE = f"filesync {__version__}"

Clock = Callable[[], datetime]


def free_bytes(path: Path) -> int:
    """What is free for us on the disk of `path`."""
    return shutil.disk_usage(path).free


def system_clock() -> datetime:
    """Now, with this machine's offset."""
    return datetime.now(UTC).astimezone()


@dataclass(frozen=True, slots=True)
class Context:
    """One site, opened. `clock` only labels; it never decides an order or a duplicate (invariant 7)."""

    settings: Settings
    folders: Folders
    store: Store
    contracts: Registry
    clock: Clock = system_clock
    observe: Observer = unobserved
    free_bytes: Callable[[Path], int] = free_bytes
    #: Whose receipts are published here; None: everybody's. Of several workers each answers its own origins (parallel.py).
    answers: frozenset[str] | None = None

    @property
    def me(self) -> str:
        """This site's id."""
        return self.settings.site

    @property
    def epoch(self) -> str:
        """This installation's epoch."""
        return self.store.site.epoch

    def now(self) -> str:
        """The clock as RFC 3339 text with its offset, to the second."""
        return self.clock().isoformat(timespec="seconds")

    def peers(self, only: str | None = None) -> dict[str, Peer]:
        """The configured peers, or the one asked for."""
        peers = self.settings.peers
        return peers if only is None else {only: peers[only]}
