"""Rows out of a site's own database, one query per relation, through ADBC. The database is opened for reading
only.

- A `postgresql://` address goes to PostgreSQL (an optional driver, imported only then); anything else is the
  path of a SQLite file. SQLite is never opened by another library or as a plain file: closing that would drop
  the locks of its writers.
- A query's rows are held in memory whole: the driver settles a column's type over all rows, so that a text in
  row 5,000 is no error.
- A database that is busy or not reachable is a TransportError, to be tried again; a query that cannot run is
  a ConfigError.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import adbc_driver_manager
import pyarrow as pa

from filesync.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ALL_ROWS = "1000000000"
#: PostgreSQL's classes of errors that pass: connection, rollback, resources, intervention, locks.
_LATER = frozenset({"08", "40", "53", "55", "57"})


def run_queries(database: str, queries: Mapping[str, str], root: Path) -> dict[str, pa.Table]:
    """Each query's rows. All queries see the same state of the database: they run in one read transaction."""
    tables = {}
    with _connected(database, root) as connection:
        for relation, query in queries.items():
            # A fresh cursor: one that failed gives the rest of its old rows for the next query.
            with connection.cursor() as cursor:
                try:
                    if not _is_postgresql(database):
                        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _ALL_ROWS})
                    cursor.execute(query)
                    tables[relation] = cursor.fetch_arrow_table()
                except (adbc_driver_manager.Error, pa.ArrowException, OSError) as err:
                    raise _query_failed(relation, err) from err
    return tables


@contextmanager
def _connected(database: str, root: Path) -> Iterator[Any]:
    try:
        connection = _connect(database, root)
    except adbc_driver_manager.Error as err:
        raise TransportError(
            "unreachable", f"the database {_shown(database)} cannot be opened: {err}"
        ) from err
    try:
        yield connection
    finally:
        connection.close()  # without commit: the read transaction ends, nothing was written


def _connect(database: str, root: Path) -> Any:
    if _is_postgresql(database):
        try:
            import adbc_driver_postgresql.dbapi as postgresql  # optional: `pip install filesync[postgres]`
        except ImportError as err:
            raise ConfigError(
                "driver-missing", "reading PostgreSQL needs its driver: pip install 'filesync[postgres]'"
            ) from err
        connection = postgresql.connect(database)
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return connection
    import adbc_driver_sqlite.dbapi as sqlite  # here, so that files can be read without loading it

    path = root / database
    if not path.is_file():
        raise ConfigError("source-missing", f"{path}: there is no such database")
    return sqlite.connect(f"{path.resolve().as_uri()}?mode=ro")


def _is_postgresql(database: str) -> bool:
    return database.startswith(("postgresql://", "postgres://"))


def _shown(database: str) -> str:
    """Without user, password and options."""
    if not _is_postgresql(database):
        return database
    parts = urlsplit(database)
    return f"postgresql://{parts.hostname or ''}{parts.path}"


def _query_failed(relation: str, err: Exception) -> ConfigError | TransportError:
    state = getattr(err, "sqlstate", None) or ""
    text = str(err)
    if "database is locked" in text or state[:2] in _LATER:
        return TransportError("source-busy", f"queries.{relation} could not run now: {text}")
    return ConfigError("source-query", f"queries.{relation} cannot run: {text}")
