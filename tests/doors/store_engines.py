"""Where a store lives: every test that asks for `home` runs on each database that keeps the store's promise.

- SQLite: a file in the test's folder. PostgreSQL: a database of the test's own in the cluster of this process (postgres_server.py), copied
  from one that holds an empty store of MATRIZ, which is cheaper than making one.
- `home.again()` gives an empty store as often as a test of many examples wants one.
- `sqlite_home` and `postgres_home` are for what only one of them can do.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import adbc_driver_sqlite.dbapi as adbc_sqlite
import pytest
from network import ENGINES
from store_samples import MATRIZ

from filesync.stores.postgres import PostgresStore
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from postgres_server import Server

    from filesync.stores.store import Store
    from filesync.stores.values import Site

#: Empties a store of MATRIZ: everything but what it is.
_EMPTY = """
DO $$
DECLARE one record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'fs_meta' LOOP
        IF one.name LIKE 'fs\\_%' THEN EXECUTE format('DELETE FROM %I', one.name); ELSE EXECUTE format('DROP TABLE %I', one.name); END IF;
    END LOOP;
    FOR one IN SELECT sequencename AS name FROM pg_sequences WHERE schemaname = current_schema() LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', one.name);
    END LOOP;
END $$
"""


class Home(Protocol):
    """A place for a store of one engine."""

    engine: str

    @property
    def where(self) -> Path | str:
        """The file, or the address."""

    def make(self) -> Path | str:
        """An empty place, and where it is."""

    def create(self, site: Site = MATRIZ) -> Store:
        """Make the store."""

    def open(self) -> Store:
        """Open the store, with a connection of its own."""

    def again(self) -> AbstractContextManager[Store]:
        """An empty store, each time."""

    def bare(self) -> Any:
        """A connection beside the store's, for what a test does behind its back."""

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query that is asked from outside."""

    def leave(self) -> None:
        """Clean up."""


class File:
    """A file."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def where(self) -> Path:
        return self.path

    def make(self) -> Path:
        return self.path

    def create(self, site: Site = MATRIZ) -> Store:
        return SqliteStore.create(self.path, site)

    def open(self) -> Store:
        return SqliteStore.open(self.path)

    @contextmanager
    def again(self) -> Iterator[Store]:
        with SqliteStore.create(Path(":memory:"), MATRIZ) as store:
            yield store

    def bare(self) -> Any:
        return adbc_sqlite.connect(str(self.path), autocommit=True)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return _ask(self, statement)

    def leave(self) -> None:
        pass


class Base:
    """A database on a server."""

    engine = "postgresql"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.database = ""
        self._again: Store | None = None

    @property
    def where(self) -> str:
        return self.server.address(self.database)

    def make(self) -> str:
        self.database = self.database or self.server.new()
        return self.where

    def create(self, site: Site = MATRIZ) -> Store:
        if not self.database and site == MATRIZ:
            self.database = self.server.copy_of(
                "store", lambda address: PostgresStore.create(address, MATRIZ).close()
            )
            return self.open()
        return PostgresStore.create(self.make(), site)

    def open(self) -> Store:
        return PostgresStore.open(self.where)

    @contextmanager
    def again(self) -> Iterator[Store]:
        if self._again is None:
            self._again = self.open() if self.database else self.create()
        self._again._db.run(_EMPTY)
        yield self._again

    def bare(self) -> Any:
        import adbc_driver_postgresql.dbapi as adbc_postgresql  # optional for users, so never imported with the module

        return adbc_postgresql.connect(self.where, autocommit=True)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return _ask(self, statement)

    def leave(self) -> None:
        if self._again is not None:
            self._again.close()
        if self.database:
            self.server.drop(self.database)


def _ask(home: Home, statement: str) -> list[tuple[Any, ...]]:
    with home.bare() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]


@pytest.fixture(params=ENGINES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A place for a store, of each engine."""
    yield from _home(request, tmp_path, request.param)


@pytest.fixture
def sqlite_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    yield from _home(request, tmp_path, "sqlite")


@pytest.fixture
def postgres_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    yield from _home(request, tmp_path, "postgresql")


@pytest.fixture(scope="module", params=ENGINES)
def long_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One place for all tests of a module that ask for it."""
    yield from _home(request, tmp_path_factory.mktemp("store"), request.param)


def _home(request: pytest.FixtureRequest, folder: Path, engine: str) -> Iterator[Home]:
    made: Home = (
        File(folder / "filesync.db") if engine == "sqlite" else Base(request.getfixturevalue("postgresql"))
    )
    yield made
    made.leave()
