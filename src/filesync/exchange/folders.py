"""Where a site's files lie (design.md §3). Paths only: nothing here is created, read or moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders below a site root. An admin understands the state of a site with `ls` on them alone."""

    root: Path

    @property
    def drop(self) -> Path:
        """`drop/<dataset>/`: where a legacy system leaves files."""
        return self.root / "drop"

    @property
    def evidence(self) -> Path:
        """`evidence/`: signed gate openings and day dossiers."""
        return self.root / "evidence"

    def outbox(self, peer: str) -> Path:
        """Sealed batches and receipts that wait for `peer`."""
        return self.root.joinpath("outbox", peer)

    def inbox(self, peer: str) -> Path:
        """What arrived from `peer` and is not settled yet."""
        return self.root.joinpath("inbox", peer)

    def quarantine(self, peer: str) -> Path:
        """What could not be accepted from `peer`, each with its reason beside it."""
        return self.root.joinpath("quarantine", peer)

    def archive(self, day: date) -> Path:
        """Settled batches of a business date. The date comes from the batch's name, never from a clock."""
        return _archive(self.root, day)

    def all(self) -> tuple[Path, ...]:
        """Every top folder that `init` makes."""
        names = ("keys", "drop", "outbox", "inbox", "archive", "quarantine", "evidence")
        return tuple(self.root / name for name in names)


@lru_cache(maxsize=64)
def _archive(root: Path, day: date) -> Path:
    """Thousands of files of a turn go into the folder of one day."""
    return root.joinpath("archive", *day.isoformat().split("-"))
