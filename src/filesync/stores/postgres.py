"""The store on a server: one site's data and ledger in one schema of a PostgreSQL database.

- Same tables, same statements, same answers as the embedded store; only what several importers need is added (schema_postgres.sql).
- Several importers, on several machines, may work for one site at once. Who decides numbers of a feed holds its row in `fs_feed` until the
  commit (`Store.transaction`); who comes second sees that the head moved, and looks again.
- Batches are numbered when their rows are written, so that importers do not wait for each other; the order in which they became visible
  is their `place`, given out under a lock just before the commit. What asks "is anything newer than what I saw" asks for places.

What is not here: the connection (postgres_database.py), the address and its password (config/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.stores.postgres_connection import shown
from filesync.stores.postgres_database import PostgresDatabase
from filesync.stores.store import Store

if TYPE_CHECKING:
    from typing import Self

    from filesync.stores.values import Site


class PostgresStore(Store):
    """See store.py. Made by `create`, opened by `open`. Addresses are `postgresql://user@host/database`; libpq finds the password."""

    @classmethod
    def create(cls, address: str, site: Site) -> Self:
        """Make the store of `site` in the first schema of the search path. Raises `ConfigError` where one is already."""
        return cls._create(PostgresDatabase(address), shown(address), site)

    @classmethod
    def open(cls, address: str, *, patience_s: float | None = None) -> Self:
        """Open a store. Raises `ConfigError` where there is none, or one that this version cannot read.

        `patience_s`: how long others' locks are waited for before that is a `TransportError`; a few seconds where nothing is said.
        """
        return cls._open(PostgresDatabase(address, patience_s=patience_s), shown(address))
