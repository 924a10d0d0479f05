"""One SQLite file, through ADBC: statements, bulk rows, and what its errors mean. The only place that knows the driver.

- One connection, one thread at a time. Autocommit is on and transactions are explicit (`BEGIN IMMEDIATE`), because only then do
  savepoints and bulk ingests share them.
- WAL with synchronous=FULL: a commit is on the disk when it returns, and readers in other processes are never blocked.
- A prepared statement costs 3 microseconds to run again and 40 to prepare: cursors are kept by their text.
- Every error is mapped here, once: a busy or full disk is a `TransportError` (the next turn tries again), a file that is no usable
  database is a `ConfigError`. Anything else is a bug and goes up as it is.

What is not here: any statement of its own but pragmas (queries.sql, schema.sql, and the generated ones in tables.py and merge.py).
"""

from __future__ import annotations

import re
import shutil
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn

import adbc_driver_manager
import adbc_driver_sqlite.dbapi as adbc_sqlite
import pyarrow as pa

from filesync.contracts import ColumnType
from filesync.errors import ConfigError, TransportError
from filesync.stores.database import QUERIES, RESULT_ROWS_MAX, Dialect
from filesync.stores.own_statements import StatementFailedError
from filesync.stores.values import KeyExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: How long a writer waits for another process's transaction. Paired with TransportError "store-busy": the next turn tries again.
BUSY_TIMEOUT_MS: Final = 10_000
_STATEMENTS_MAX: Final = 64
#: The number of the file itself among the databases of a connection; temporary tables are another one.
_MAIN: Final = 0

_PRAGMAS: Final = (
    f"busy_timeout = {BUSY_TIMEOUT_MS}",
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    # Bounds the memory of a transaction of any size: dirty pages beyond it go to the WAL early.
    "cache_size = -65536",
    # The stage of a merge is as large as its batch: on disk, with a small cache, for it is written and read in order.
    "temp_store = FILE",
    "temp.cache_size = -16384",
    # Checkpoints every 16 MiB instead of 4: half the writes of a run of small batches. The file shrinks again after a large one.
    "wal_autocheckpoint = 4096",
    f"journal_size_limit = {64 << 20}",
)

# What SQLite says (sqlite3ErrStr in its main.c; stable since 2004), what to do about it. ADBC hands on the text and no code.
_ROAD: Final = {
    "database is locked": "store-busy",
    "database table is locked": "store-busy",
    "database or disk is full": "disk-full",
    "disk I/O error": "disk-failed",
}
_PERSON: Final = {
    "image is malformed": (
        "store-corrupt",
        "restore it from a backup, or start a new epoch and receive everything again",
    ),
    "file is not a database": ("store-corrupt", "this file is not filesync's; restore it from a backup"),
    "attempt to write a readonly database": (
        "store-readonly",
        "give the account that runs filesync the right to write it and its folder",
    ),
    # The driver's own words, with a reason that it makes up: the folder is missing, or may not be read.
    "failed to open": ("store-unreachable", "check that its folder exists and may be written"),
    "unable to open database file": ("store-unreachable", "check that its folder exists and may be written"),
}
_unique = re.compile(r"UNIQUE constraint failed: ([^\n]*)").search
_said = re.compile(
    r"[A-Z_]+: (?:\[SQLite\] )?(?:[Ff]ailed to \w+ query: )?(.*?)(?:\nquery: .*)?", re.DOTALL
).fullmatch


#: SQLite has neither dates nor booleans. What is staged was checked, and is read in the order in which it came: no types, no keys.
DIALECT: Final = Dialect(
    {ColumnType.TEXT: "TEXT", ColumnType.INTEGER: "INTEGER", ColumnType.BOOLEAN: "INTEGER", ColumnType.DATE: "TEXT"},
    dict.fromkeys(ColumnType, ""),
)  # fmt: skip


class SqliteDatabase:
    """A connection. Statements are given as text; those of queries.sql as `QUERIES[name]`."""

    dialect = DIALECT
    schema: tuple[str, ...] = ()

    def __init__(self, path: Path, *, patience_s: float | None = None) -> None:
        self.path = path
        self._cursors: OrderedDict[str, Any] = OrderedDict()
        try:
            self._connection = adbc_sqlite.connect(str(path), autocommit=True)
        except adbc_driver_manager.Error as err:
            self._explain(err)
        # A statement's options are its own: ingests and queries do not share cursors.
        self._ingesting = self._connection.cursor()
        try:
            for pragma in _PRAGMAS:
                self.select(f"PRAGMA {pragma}")
            if patience_s is not None:
                self.select(f"PRAGMA busy_timeout = {int(patience_s * 1000)}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors.clear()
        self._ingesting.close()
        self._connection.close()

    def select(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, as Python values."""
        # By columns: the driver's own rows cost six times as much, which thousands of peers feel at every turn.
        found = self.select_table(statement, parameters)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def select_table(self, statement: str, parameters: Sequence[object] | pa.RecordBatch = ()) -> pa.Table:
        """All rows of a query as Arrow; for a RecordBatch of parameters, those of each of its rows after one another.

        A column whose first RESULT_ROWS_MAX values are all null comes as int64, and fails when text follows: page by that bound.
        """
        given = parameters if isinstance(parameters, pa.RecordBatch) else list(parameters)
        return self._use(statement, lambda cursor: cursor.execute(statement, given).fetch_arrow_table())

    def run(self, statement: str, parameters: Sequence[object] | None = None) -> int:
        """Run one statement; the number of rows that it changed."""
        return self._run(statement, None if parameters is None else [tuple(parameters)])

    def run_each(self, statement: str, rows: pa.RecordBatch | pa.Table | Sequence[tuple[object, ...]]) -> int:
        """Run one statement for every row of parameters; the number of rows changed by all of them."""
        return self._run(statement, rows)

    def ingest(self, table: str, rows: pa.RecordBatch | pa.Table, *, temporary: bool = False) -> int:
        """Append rows by column name. Raises `KeyExistsError` where a key is there already; rows before it stay until a rollback."""
        try:
            count: int = self._ingesting.adbc_ingest(table, rows, mode="append", temporary=temporary)
        except adbc_driver_manager.Error as err:
            # A statement that failed half-way keeps its bindings: start with a fresh one.
            self._ingesting.close()
            self._ingesting = self._connection.cursor()
            if found := _unique(str(err)):
                raise KeyExistsError(table, found[1].replace(f"{table}.", "")) from err
            self._explain(err)
        return count

    def measure(self, temporary: str, columns: Sequence[str] = ()) -> None:
        """Nothing to do: statements say in which order to go."""

    def run_given(self, statement: str) -> None:
        """Run one statement of a user's, as it is written; what stands behind its end is not. Raises `StatementFailedError` with SQLite's words."""
        try:
            self._run(statement, None)
        except adbc_driver_manager.Error as err:
            raise StatementFailedError(_words(err)) from err

    def writes(self, statement: str) -> frozenset[str]:
        """The tables that a user's statement would write, triggers and cascades included: SQLite's own program for it names their pages."""
        asked = f"EXPLAIN {statement}"
        try:
            steps = self.select(asked)
            self._cursors.pop(asked).close()  # kept, it would keep its tables from being dropped
        except adbc_driver_manager.Error as err:
            raise StatementFailedError(_words(err)) from err
        pages = {(p2, p3) for _, opcode, _, p2, p3, *_ in steps if opcode == "OpenWrite"}
        pages |= {(p1, p2) for _, opcode, p1, p2, *_ in steps if opcode == "Clear"}
        tables = self.select("SELECT rootpage, lower(tbl_name) FROM main.sqlite_schema WHERE rootpage > 0")
        return frozenset(table for page, table in tables if (page, _MAIN) in pages)

    def check_constraints(self) -> None:
        """Nothing to do: SQLite tells only at the commit."""

    def numbers(self, count: int, after: int) -> list[int]:
        """The numbers after the last one: nobody else writes."""
        first = 1 + (after or self.select(QUERIES["last_batch_id"])[0][0])
        return list(range(first, first + count))

    def lock(self, name: str) -> None:
        """Nothing to do: a transaction for writing keeps everybody else out."""

    def begin(self) -> None:
        """Open a transaction for writing; another writer is waited for."""
        self.run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """At that instant the transaction is on the disk, whole. Raises `StatementFailedError` where a constraint of the user's says no."""
        try:
            self.run("COMMIT")
        except adbc_driver_manager.IntegrityError as err:
            raise StatementFailedError(_words(err)) from err

    def rollback(self) -> None:
        """Undo the open transaction, if one is open: a full disk, or an exception right after COMMIT, leaves none."""
        try:
            self.run("ROLLBACK")
        except adbc_driver_manager.Error as err:
            if "no transaction is active" not in str(err):
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several queries that see one state, inside a transaction or without one."""
        self.run("SAVEPOINT fs_snapshot")
        try:
            yield
        finally:
            self.run("RELEASE fs_snapshot")

    def _run(self, statement: str, rows: object) -> int:
        if isinstance(rows, list) and not rows:
            return 0  # the driver would do nothing either, but say what the run before it changed

        def run(cursor: Any) -> int:
            cursor.executemany(statement, rows)
            count: int = cursor.rowcount
            return count

        changed: int = self._use(statement, run)
        return changed

    def _use(self, statement: str, use: Callable[[Any], Any]) -> Any:
        cursor = self._cursors.pop(statement, None)
        if cursor is None:
            if len(self._cursors) >= _STATEMENTS_MAX:
                self._cursors.popitem(last=False)[1].close()
            cursor = self._connection.cursor(
                adbc_stmt_kwargs={"adbc.sqlite.query.batch_rows": str(RESULT_ROWS_MAX)}
            )
        try:
            result = use(cursor)
        except adbc_driver_manager.Error as err:
            cursor.close()
            self._explain(err)
        except BaseException:
            cursor.close()
            raise
        self._cursors[statement] = cursor
        return result

    def _explain(self, err: adbc_driver_manager.Error) -> NoReturn:
        """Raise what a driver's error means for whoever runs the site; the error itself where it can only be a bug."""
        text = str(err)
        for words, code in _ROAD.items():
            if words in text:
                if code == "disk-failed" and _no_room(self.path):
                    raise TransportError("disk-full", f"{self.path}: {words}, for the disk is full") from err
                raise TransportError(code, f"{self.path}: {words}") from err
        for words, (code, advice) in _PERSON.items():
            if words in text:
                raise ConfigError(
                    code, f"{self.path}: expected a usable database, got: {words}; {advice}"
                ) from err
        raise err


def _words(err: adbc_driver_manager.Error) -> str:
    """What SQLite itself says, without what the driver puts around it."""
    found = _said(str(err))
    return found[1].strip() if found else str(err)


def _no_room(path: Path) -> bool:
    """SQLite calls it an I/O error when the disk has no room for its shared memory, which is this large (wal.c: WALINDEX_PGSZ)."""
    try:
        return shutil.disk_usage(path.parent).free < 32 << 10
    except OSError:
        return False
