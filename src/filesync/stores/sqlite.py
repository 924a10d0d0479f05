"""The embedded store: one site's data and ledger in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.stores.sqlite_database import SqliteDatabase
from filesync.stores.store import Store

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from filesync.stores.values import Site


class SqliteStore(Store):
    """See store.py. Made by `create`, opened by `open`."""

    @classmethod
    def create(cls, path: Path, site: Site) -> Self:
        """Make the store of `site`. Raises `ConfigError` where one is already; a making that was cut short is made again."""
        return cls._create(SqliteDatabase(path), str(path), site)

    @classmethod
    def open(cls, path: Path, *, patience_s: float | None = None) -> Self:
        """Open a store. Raises `ConfigError` where there is none, or one that this version cannot read.

        `patience_s`: how long another writer is waited for before that is a `TransportError`; a few seconds where nothing is said.
        """
        if not path.is_file():
            raise ConfigError(
                "store-missing",
                f"{path}: expected the site's store, got nothing; make a site with `filesync init`",
            )
        return cls._open(SqliteDatabase(path, patience_s=patience_s), str(path))
