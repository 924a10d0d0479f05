"""Rows out of a site's own database, one query per relation, through ADBC. The database is opened for reading
only.

- A `postgresql://` address goes to PostgreSQL (an optional driver, imported only then); anything else is the
  path of a SQLite file. SQLite is never opened by another library or as a plain file: closing that would drop
  the locks of its writers.
- All queries of a source run in one read transaction and see the same state. A statement that returns no
  columns is refused before the next one runs: COMMIT would end the transaction that keeps the others from writing.
- A query's rows are held in memory whole: the driver settles a column's type over all rows, so that a text in
  row 5,000 is no error.
- A PostgreSQL column arrives as a plain Arrow type, or the query is refused with the cast that helps: what no
  field can hold (infinity, NaN, bytes of another encoding) must not surface later as a crash or another value.
- A database that is busy or not reachable is a TransportError, to be tried again; a query that cannot run, and
  an address or a password that the server does not take, is a ConfigError.
- No message holds a password. libpq repeats pieces of an address that it misunderstands, so it is only given
  addresses of which we know where the password ends.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import pyarrow as pa
import pyarrow.compute as pc

from filesync.errors import ConfigError, FilesyncError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_ALL_ROWS = "1000000000"

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[\w.~%-]*)(?::[0-9]*)?"
#: postgresql://user:password@host:port,host:port/name?option=value as libpq reads it. User and password end at the
#: first @; one more of them is a password that was not percent-encoded, and would end up in "unknown host ...".
_ADDRESS = re.compile(
    r"postgres(?:ql)?://(?:[^\s:@/]*(?::[^\s@/]*)?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[^\s:@/?]*)?)"
    r"(?:\?[^\s@]*)?"
)
_HALF_ENCODED = re.compile("%(?![0-9A-Fa-f]{2})")
_SECRET = re.compile(r"://|\bpass(word|wd)?\s*=", re.IGNORECASE)
_FORM = "postgresql://user:password@host/name, in which @ : / ? # % and spaces are written %40 %3A %2F %3F %23 %25 %20"
#: Seconds. A server that does not answer, or dies without a word, must not hold up the site's turn for hours.
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_LOCKED_S_MAX = 10
#: How PostgreSQL's states that pass begin: connection, rollback, resources, in use, locked, intervention.
_LATER = ("08", "40", "53", "55006", "55P03", "57")
#: libpq's own words for a connection that broke; the server had no time for a state.
_LOST = re.compile(
    "server closed the connection|connection to server|could not (receive|send) |SSL |no connection|timed out|reset by peer"
)
#: libpq hands no SQLSTATE out while connecting. A server that speaks another language is merely tried again.
_REFUSED = re.compile(
    'password authentication failed|no password supplied|(role|database) ".*" does not exist|no pg_hba.conf entry'
    "|permission denied for database|server does not support SSL|is not permitted to log in"
)
_ON_THE_WAY = re.compile("connection to server |could not translate host name ")

#: More digits than a Decimal keeps by itself, and they would be rounded on the way.
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_DIGITS_MAX = 28
#: Integers to the driver: one counts hundredths without saying so, the other wraps.
_NOT_PLAIN = frozenset({"money", "oid"})


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
                    # The driver puts the query into COPY (...): no semicolon, and no comment that swallows the ")".
                    cursor.execute(query.rstrip("; \t\r\n") + "\n")
                    table = cursor.fetch_arrow_table()
                except (adbc_driver_manager.Error, pa.ArrowException, OSError) as err:
                    raise _query_failed(database, relation, err) from err
            if not table.num_columns:
                raise ConfigError("source-query", f"queries.{relation}: expected a query, got a statement that returns no columns")  # fmt: skip
            tables[relation] = _plain(relation, table) if _is_postgresql(database) else table
    return tables


# ------------------------------------------------------------------------------------------------- connecting


@contextmanager
def _connected(database: str, root: Path) -> Iterator[Any]:
    connection = (
        _connect_postgresql(database) if _is_postgresql(database) else _connect_sqlite(database, root)
    )
    try:
        yield connection
    finally:
        connection.close()  # without commit: the read transaction ends, nothing was written


def _is_postgresql(database: str) -> bool:
    return database.startswith(("postgresql://", "postgres://"))


def _connect_sqlite(database: str, root: Path) -> Any:
    import adbc_driver_sqlite.dbapi as sqlite  # here, so that files can be read without loading it

    if _SECRET.search(database):
        raise ConfigError("source-address", f"database: expected the path of a SQLite file, or {_FORM}")
    path = root / database
    if not path.is_file():
        raise ConfigError("source-missing", f"{path}: there is no such database")
    try:
        return sqlite.connect(f"{path.resolve().as_uri()}?mode=ro")
    except adbc_driver_manager.Error as err:
        raise TransportError("unreachable", f"the database {database} cannot be opened: {err}") from err


def _connect_postgresql(database: str) -> Any:
    try:
        import adbc_driver_postgresql.dbapi as postgresql  # optional: `pip install filesync[postgres]`
    except ImportError as err:
        raise ConfigError(
            "driver-missing", "reading PostgreSQL needs its driver: pip install 'filesync[postgres]'"
        ) from err
    place = _place(database)
    try:
        connection = postgresql.connect(_completed(database))
    except adbc_driver_manager.Error as err:
        failure = _not_connected(place, _said(err))
        if isinstance(failure, TransportError):
            raise failure from err
        raise failure from None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCKED_S_MAX}s'")
    except adbc_driver_manager.Error as err:
        connection.close()
        raise TransportError("unreachable", f"the database {place} cannot be read: {_said(err)}") from err
    return connection


def _place(database: str) -> str:
    """The address without user, password and options. ConfigError where it is not certain which part is which."""
    found = _ADDRESS.fullmatch(database)
    if found is None or _HALF_ENCODED.search(database):
        raise ConfigError("source-address", f"database: expected {_FORM}")
    return f"postgresql://{found['place']}"


def _completed(database: str) -> str:
    """The address with what we want beside what it says: text as UTF-8, whatever the database stores, and bounds."""
    own = {name: value for name, value in _PATIENCE.items() if f"{name}=" not in database}
    options = "&".join(f"{name}={value}" for name, value in {**own, "client_encoding": "UTF8"}.items())
    return f"{database}{'&' if '?' in database else '?'}{options}"


def _not_connected(place: str, said: str) -> FilesyncError:
    if _REFUSED.search(said):
        return ConfigError("source-refused", f"the database {place} does not let this site in: {said}")
    if _ON_THE_WAY.search(said) and "for connection option" not in said:
        return TransportError("unreachable", f"the database {place} cannot be reached: {said}")
    # Its words may hold whatever stood in the address.
    return ConfigError("source-address", f"database: an option in the address of {place} is wrong; expected {_FORM}")  # fmt: skip


# -------------------------------------------------------------------------------------------------- querying


def _query_failed(database: str, relation: str, err: Exception) -> ConfigError | TransportError:
    state = getattr(err, "sqlstate", None) or ""
    text = _said(err) if _is_postgresql(database) else str(err)
    lost = _is_postgresql(database) and not state and _LOST.search(text)
    if lost or "database is locked" in text or state.startswith(_LATER):
        return TransportError("source-busy", f"queries.{relation} could not run now: {text}")
    return ConfigError("source-query", f"queries.{relation} cannot run: {text}")


def _said(err: Exception) -> str:
    """What the server or libpq said, in one line: without the driver's preface and the query, which stands in the
    settings.
    """
    text = str(err).partition("\n\nQuery was:")[0]
    text = re.sub(r"^\w+: (\[libpq\] )?(Failed to connect: )?|\.? SQLSTATE: \w+$", "", text)
    text = re.sub("(?s)^(Failed|Execution error).*?(ERROR|FATAL): +", "", text)
    lines = [line.strip() for line in text.splitlines()]
    return "; ".join(line for line in lines if line not in ("", "^", ".") and not line.startswith("LINE "))


def _plain(relation: str, table: pa.Table) -> pa.Table:
    """PostgreSQL's columns as the mapping knows them. ConfigError naming the column, and the row where one value is it."""
    for at, field in enumerate(table.schema):
        kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        column = table.column(at)
        here = f"queries.{relation}: column {field.name}"
        if kind in _NOT_PLAIN or not _has_plain_type(field.type):
            cast = "numeric" if kind == "money" else "text"
            raise ConfigError(
                "source-query", f"{here} is of the type {kind}: cast it in the query, for instance {field.name}::{cast}"
            )  # fmt: skip
        if kind == "bpchar":  # char(n) is filled up with blanks that mean nothing
            column = pc.utf8_rtrim(column, " ")
        elif isinstance(field.type, pa.OpaqueType):
            column = _short_numbers(column)
        row = pc.index(_impossible(column), True).as_py()
        if row >= 0:
            raise ConfigError(
                "source-query",
                f"{here}, row {row + 1}: no field can hold this value (NaN, infinity, a year beyond 1 to 9999, a number of more than {_DIGITS_MAX} digits): leave it out or replace it in the query",
            )
        table = table.set_column(at, field, column)
    return table


def _has_plain_type(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.OpaqueType):
        return bool(kind.type_name == "numeric")
    return isinstance(kind, pa.UuidType | pa.JsonType) or any(
        is_plain(kind)
        for is_plain in (
            pa.types.is_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_floating, pa.types.is_date32, pa.types.is_timestamp,
        )
    )  # fmt: skip


def _short_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """numeric, which comes as text, without the zeros that only say with how many decimals it is stored."""
    text = _storage(column)
    for zeros in (r"(\.[0-9]*[1-9])0+$", r"^(-?[0-9]+)\.0+$"):
        text = pc.replace_substring_regex(text, zeros, r"\1")
    return pa.chunked_array(
        [pa.ExtensionArray.from_storage(column.type, chunk) for chunk in text.chunks], column.type
    )


def _impossible(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where values are that no field can hold."""
    kind = column.type
    if isinstance(kind, pa.OpaqueType):
        text = _storage(column)
        digits = pc.utf8_length(pc.utf8_ltrim(pc.replace_substring(text, ".", ""), "-"))
        return pc.or_(pc.invert(pc.match_substring_regex(text, _NUMBER)), pc.greater(digits, _DIGITS_MAX))
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        return pa.chunked_array([], pa.bool_())
    first, last = (date.min, date.max) if pa.types.is_date(kind) else (datetime.min, datetime.max)  # noqa: DTZ901
    return pc.or_(pc.less(column, pa.scalar(first, kind)), pc.greater(column, pa.scalar(last, kind)))


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
