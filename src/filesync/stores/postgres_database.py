"""One connection to a PostgreSQL server, through ADBC: statements, bulk rows, and what its errors mean. Only the postgres_* modules know the driver.

- One connection, one thread at a time. Autocommit is on and transactions are explicit, because only then do savepoints and bulk ingests
  (binary COPY) share them. Transactions for writing are READ COMMITTED: what must not happen twice is locked, row by row or by name.
- After an error inside a transaction nothing of it goes on but a return to a savepoint, and its commit is refused, not silently nothing.
- A connection may be lost at any instant. Outside a transaction it is made again, and what was asked is asked again; inside one that is a
  `TransportError`, and nothing happened. Lost while COMMIT was under way, the server is asked on a new connection what became of that very
  transaction: it is never guessed.
- Every error is told once what it means (postgres_errors.py).

What is not here: any statement of the store's own (queries.sql and queries_postgres.sql, translated by postgres_sql.py), how a session is made
(postgres_connection.py).
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import adbc_driver_manager
import pyarrow as pa

from filesync.contracts import ColumnType
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.stores import postgres_connection, postgres_errors
from filesync.stores.database import QUERIES, Dialect
from filesync.stores.matching import STEPS
from filesync.stores.own_statements import StatementFailedError
from filesync.stores.postgres_sql import OVERRIDES, translated
from filesync.stores.values import KeyRepeatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: How long the end of a transaction whose connection was lost is asked for, and between two questions.
OUTCOME_PATIENCE_S: Final = 15.0
_ASK_AGAIN_S: Final = 0.2

#: A statement of the store's own, by its text → the one that is said instead of it.
_INSTEAD: Final = {
    (QUERIES | STEPS)[name]: statement for name, statement in OVERRIDES.items() if name in QUERIES or name in STEPS
}  # fmt: skip

DIALECT: Final = Dialect(
    {ColumnType.TEXT: "TEXT", ColumnType.INTEGER: "INTEGER", ColumnType.BOOLEAN: "boolean", ColumnType.DATE: "date"},
    {ColumnType.TEXT: "TEXT", ColumnType.INTEGER: "INTEGER", ColumnType.BOOLEAN: "boolean", ColumnType.DATE: "date"},
)  # fmt: skip


class PostgresDatabase:
    """A connection. Statements are given in the words of queries.sql."""

    dialect = DIALECT
    schema: tuple[str, ...] = ("schema_postgres.sql",)

    def __init__(self, address: str, *, patience_s: float | None = None) -> None:
        self.address = address
        self._session = postgres_connection.SESSION | (
            {} if patience_s is None else {"lock_timeout": f"{patience_s:.0f}s"}
        )
        self.name = postgres_connection.shown(address)
        self._statements: dict[str, str] = {}
        self._connection: Any = None
        self._cursor: Any = None
        self._open = False  # a transaction, or a snapshot
        self._temporary = False  # temporary tables that outlast a transaction: this connection's alone
        self._connect()

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""
        connection, cursor = self._connection, self._cursor
        self._connection = self._cursor = None
        self._open = False
        postgres_connection.close(cursor, connection)

    # ------------------------------------------------------------------------------------------------ statements

    def select(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, as Python values."""
        found = self.select_table(statement, parameters)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def select_table(self, statement: str, parameters: Sequence[object] | pa.RecordBatch = ()) -> pa.Table:
        """All rows of a query as Arrow; for a RecordBatch of parameters, those of each of its rows after one another."""
        text = self._said(statement)
        given = parameters if isinstance(parameters, pa.RecordBatch) else _bound(parameters)
        return self._use(lambda: self._cursor.execute(text, given).fetch_arrow_table(), again=True)

    def run(self, statement: str, parameters: Sequence[object] | None = None) -> int:
        """Run one statement; the number of rows that it changed. Raises `KeyRepeatedError` where it meets a key twice."""
        return self._run(statement, None if parameters is None else [tuple(_bound(parameters))])

    def run_each(self, statement: str, rows: pa.RecordBatch | pa.Table | Sequence[tuple[object, ...]]) -> int:
        """Run one statement for every row of parameters; the number of rows changed by all of them."""
        if isinstance(rows, list):
            rows = [tuple(_bound(row)) for row in rows]
        return self._run(statement, rows)

    def ingest(self, table: str, rows: pa.RecordBatch | pa.Table, *, temporary: bool = False) -> int:
        """Append rows by column name (COPY). Raises `KeyExistsError` where a key is there already; go back to a savepoint then."""

        def copy() -> int:
            count: int = self._cursor.adbc_ingest(table, rows, mode="append", temporary=temporary)
            return count

        try:
            copied: int = self._use(copy, again=False)
        except adbc_driver_manager.Error as err:
            if err.sqlstate == "23505":
                raise postgres_errors.key_exists(err, table) from err
            raise
        return copied

    def run_given(self, statement: str) -> None:
        """Run one statement of a user's, as it is written. Raises `StatementFailedError` with the server's words."""

        def run() -> None:
            # Prepared by the server, which so refuses a second statement behind the first; what it answers is not wanted.
            for _ in self._cursor.execute(statement).fetch_record_batch():
                pass

        self._try(run)

    def writes(self, statement: str) -> frozenset[str]:
        """Nothing: a server's plan names no trigger. There rights are the second fence (docs/tutorial-own-tables.md)."""
        del statement
        return frozenset()

    def check_constraints(self) -> None:
        """Check now what the open transaction would check at its end."""
        self._try(lambda: self._cursor.executemany("SET CONSTRAINTS ALL IMMEDIATE", None))

    def _try(self, use: Callable[[], Any]) -> None:
        """What may fail through no fault of ours."""
        try:
            self._use(use, again=False)
        except adbc_driver_manager.Error as err:
            raise StatementFailedError(postgres_errors.words(err)) from err
        except (ConfigError, RejectedError) as err:
            if (cause := postgres_errors.is_of_statement(err)) is None:
                raise
            raise StatementFailedError(postgres_errors.words(cause)) from cause

    def measure(self, temporary: str, columns: Sequence[str] = ()) -> None:
        """Look how large a temporary table has become: nothing else does."""
        names = '", "'.join(columns)
        self.run(f'ANALYZE pg_temp."{temporary}"' + (f' ("{names}")' if columns else ""))

    # ------------------------------------------------------------------------------------------------ transactions

    def numbers(self, count: int, after: int) -> list[int]:
        """Numbers that nobody else gets. Some may be lost with a transaction; order is kept by `place` (schema_postgres.sql)."""
        del after
        rows = self.select("SELECT nextval('fs_batch_number') FROM generate_series(1, ?1)", (count,))
        return [number for (number,) in rows]

    def lock(self, name: str) -> None:
        """Until the open transaction ends nobody else holds this. Waits."""
        self.select(
            "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || ?1, 0))::text", (name,)
        )

    def begin(self) -> None:
        """Open a transaction for writing. A connection that was lost meanwhile is made again."""
        self._begin("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")

    def commit(self) -> None:
        """At that instant the transaction is on the server's disk, whole.

        Where the connection is lost in that very moment the server is asked what became of it, on a new one.
        """
        # Its number, to ask for it by; and an error before it makes this one fail, where COMMIT would only roll back and say nothing.
        number = self.select("SELECT pg_current_xact_id_if_assigned()::text")[0][0]
        try:
            self._say("COMMIT")
        except TransportError as err:
            self._open = False
            if err.code != "store-lost" or number is None or not self._was_committed(number):
                raise
        self._open = False

    def rollback(self) -> None:
        """Undo the open transaction, if one is open: one whose connection was lost is undone already."""
        if not self._open:
            return
        self._open = False
        if self._connection is not None:
            with suppress(TransportError):
                self._say("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several queries that see one state. Inside a transaction for writing each sees what is committed when it begins."""
        if self._open:
            yield
            return
        self._begin("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
            self._say("COMMIT")
            self._open = False
        except BaseException:
            self.rollback()
            raise

    def _begin(self, statement: str) -> None:
        self._use(lambda: self._cursor.executemany(statement, None), again=True)
        self._open = True

    def _say(self, statement: str) -> None:
        self._use(lambda: self._cursor.executemany(statement, None), again=False)

    def _was_committed(self, number: str) -> bool:
        """What became of a transaction whose connection was lost. Raises `TransportError` while that cannot be found out."""
        deadline = time.monotonic() + OUTCOME_PATIENCE_S
        while time.monotonic() < deadline:
            try:
                state = self.select("SELECT pg_xact_status(CAST(?1 AS xid8))", (number,))[0][0]
            except TransportError:
                state = "in progress"
            except adbc_driver_manager.Error:  # a standby took the server's place, and never heard of it
                break
            if state != "in progress":
                return bool(state == "committed")
            time.sleep(_ASK_AGAIN_S)
        raise TransportError(
            "store-lost",
            f"{self.name}: the connection was lost while a transaction ended; what became of it the next turn finds in the ledger",
        )

    # ------------------------------------------------------------------------------------------------ the connection

    def _connect(self) -> None:
        self._temporary = False
        self._connection, self._cursor = postgres_connection.connect(self.address, self._session)

    def _run(self, statement: str, rows: object) -> int:
        if isinstance(rows, list) and not rows:
            return 0
        text = self._said(statement)

        def run() -> int:
            self._cursor.executemany(text, rows)
            count: int = self._cursor.rowcount
            return count

        try:
            changed: int = self._use(run, again=False)
        except adbc_driver_manager.Error as err:
            if err.sqlstate == "21000":  # cardinality_violation: ON CONFLICT met a row of its own statement
                raise KeyRepeatedError(postgres_errors.diagnostic(err, "MESSAGE_PRIMARY")) from err
            raise
        if text.startswith("CREATE TEMP") and not self._open:
            self._temporary = True  # one that a transaction made is that transaction's alone
        return changed

    def _said(self, statement: str) -> str:
        text = self._statements.get(statement)
        if text is None:
            text = _INSTEAD.get(statement) or translated(statement)
            if len(self._statements) > 1_000:  # generated statements name tables: few, but a test makes many
                self._statements.clear()
            self._statements[statement] = text
        return text

    def _use(self, use: Callable[[], Any], *, again: bool) -> Any:
        """Use the cursor. With `again` (nothing is changed by it) a connection that was lost is made again, outside a transaction."""
        for trial in (1, 2):
            if self._connection is None:
                if self._open:
                    raise postgres_errors.lost(self.name)
                self._connect()
            try:
                return use()
            except adbc_driver_manager.Error as err:
                if postgres_errors.is_lost(err):
                    whole = not self._open and not self._temporary
                    self._drop()
                    if not (again and whole and trial == 1):
                        raise postgres_errors.lost(self.name) from err
                    continue
                # A statement that failed half-way keeps its bindings: start with a fresh one.
                self._renew()
                postgres_errors.explain(self.name, err)
            except BaseException:
                self._renew()
                raise
        raise AssertionError("the second trial returns or raises")

    def _renew(self) -> None:
        with suppress(adbc_driver_manager.Error):
            self._cursor.close()
        if self._connection is not None:
            self._cursor = self._connection.cursor()

    def _drop(self) -> None:
        """Forget a connection that was lost; an open transaction stays open, as one that can only be rolled back."""
        was_open = self._open
        self.close()
        self._open = was_open
        self._temporary = False


def _bound(parameters: Sequence[object]) -> list[object]:
    """Parameters as they can be bound: PostgreSQL's text has no U+0000, and a name from outside must not stop a station."""
    return [
        value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value for value in parameters
    ]  # fmt: skip
