"""Where a store lives: every test that asks for `home` runs on each database that keeps the store's promise.

- SQLite: a file in the test's folder. PostgreSQL: a database of the test's own in the cluster of this process (postgres_server.py), copied
  from one that holds an empty store of MATRIZ, which is cheaper than making one.
- `home.again()` gives an empty store as often as a test of many examples wants one.
- `sqlite_home` and `postgres_home` are for what only one of them can do.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from store_samples import MATRIZ

from filesync.stores.postgres import PostgresStore
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import Server

    from filesync.stores.store import Store
    from filesync.stores.values import Site

ENGINES = ("sqlite", "postgresql")
_MODEL = "store_model"
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


@dataclass
class Home:
    """A place for a store of one engine."""

    where: Path | str
    server: Server | None = None
    database: str = ""
    _kept: Store | None = field(default=None, repr=False)
    _made: bool = False

    @property
    def engine(self) -> str:
        return "sqlite" if self.server is None else "postgresql"

    def create(self, site: Site = MATRIZ) -> Store:
        """Make the store."""
        if isinstance(self.where, Path):
            return SqliteStore.create(self.where, site)
        assert self.server is not None
        if not self._made and site == MATRIZ:  # the same, made before
            self.make(f"template {_MODEL}")
            return self.open()
        if not self._made:
            self.make()
        return PostgresStore.create(self.where, site)

    def make(self, how: str = "") -> None:
        """The database that the store is made in; a file needs none."""
        if self.server is not None:
            self.server.create(self.database, how)
            self._made = True

    def open(self) -> Store:
        """Open the store, with a connection of its own."""
        return (
            SqliteStore.open(self.where) if isinstance(self.where, Path) else PostgresStore.open(self.where)
        )

    @contextmanager
    def again(self) -> Iterator[Store]:
        """An empty store, each time."""
        if isinstance(self.where, Path):
            with SqliteStore.create(Path(":memory:"), MATRIZ) as store:
                yield store
            return
        if self._kept is None:
            self._kept = self.open() if self._made else self.create()
        self._kept._db.run(_EMPTY)
        yield self._kept

    def bare(self) -> Any:
        """A connection beside the store's, for what a test does behind its back."""
        if isinstance(self.where, Path):
            import adbc_driver_sqlite.dbapi as adbc_sqlite

            return adbc_sqlite.connect(str(self.where), autocommit=True)
        import adbc_driver_postgresql.dbapi as adbc_postgresql

        return adbc_postgresql.connect(self.where, autocommit=True)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query that is asked from outside."""
        with self.bare() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    def leave(self) -> None:
        if self._kept is not None:
            self._kept.close()
        if self.server is not None and self._made:
            self.server.drop(self.database)


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_stores(postgresql: Server) -> Server:
    """The server, with the model of an empty store."""
    postgresql.create(_MODEL)
    PostgresStore.create(postgresql.address(_MODEL), MATRIZ).close()
    return postgresql


def home_of(engine: str, folder: Path, server: Server | None) -> Home:
    """A place of this engine."""
    if engine == "sqlite":
        return Home(folder / "filesync.db")
    assert server is not None
    database = f"store_{next(_numbers)}"
    return Home(server.address(database), server, database)


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
    server = request.getfixturevalue("postgres_stores") if engine == "postgresql" else None
    made = home_of(engine, folder, server)
    yield made
    made.leave()
