"""One connection to a PostgreSQL server, through ADBC: statements, bulk rows, and what its errors mean. The only place that knows the driver.

- One connection, one thread at a time. Autocommit is on and transactions are explicit, because only then do savepoints and bulk ingests
  (binary COPY) share them. Transactions for writing are READ COMMITTED: what must not happen twice is locked, row by row or by name.
- After an error inside a transaction nothing of it goes on but a return to a savepoint, and its commit is refused, not silently nothing.
- A connection may be lost at any instant. Outside a transaction it is made again, and what was asked is asked again; inside one that is a
  `TransportError`, and nothing happened. Lost while COMMIT was under way, the server is asked on a new connection what became of that very
  transaction: it is never guessed.
- The session relies on no setting of the server: encoding, durability and timeouts are its own. A client that vanished is noticed by the
  server in a minute, so that its locks do not stay.
- Every error is mapped here, once, by its SQLSTATE. Passwords are in no message: what is shown of an address has none.

What is not here: any statement of the store's own (queries.sql and queries_postgres.sql, translated by postgres_sql.py).
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

import adbc_driver_manager
import pyarrow as pa

from filesync.contracts import ColumnType
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.stores.database import QUERIES, Dialect
from filesync.stores.matching import STEPS
from filesync.stores.own_statements import StatementFailedError
from filesync.stores.postgres_sql import OVERRIDES, translated
from filesync.stores.values import KeyExistsError, KeyRepeatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Older servers do not tell what became of a transaction.
VERSION_MIN: Final = 13
#: How long a lock that somebody else holds is waited for. Paired with TransportError "store-busy": the next turn tries again.
LOCK_PATIENCE_S: Final = 10
#: How long the end of a transaction whose connection was lost is asked for, and between two questions.
OUTCOME_PATIENCE_S: Final = 15.0
_ASK_AGAIN_S: Final = 0.2

#: Said to libpq where the address says nothing of it. Together: a server that vanished is noticed in a minute and a half.
_LINK: Final = {
    "application_name": "filesync",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_SESSION: Final = {
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "DateStyle": "ISO",
    "lock_timeout": f"{LOCK_PATIENCE_S}s",
    # A large batch takes its time, and its transaction waits while it is read and checked.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # Merging sorts and joins what it staged.
    "work_mem": "64MB",
}

#: What PostgreSQL says (Appendix A of its manual), what to do about it. Two letters: the whole class.
_ROAD: Final = {
    "40001": "store-busy",  # serialization_failure
    "40P01": "store-busy",  # deadlock_detected: of two that wait for each other one is sent back
    "55P03": "store-busy",  # lock_not_available
    "53200": "store-busy",  # out_of_memory, also of places for locks
    "53300": "store-busy",  # too_many_connections
    "57014": "store-busy",  # query_canceled, by an administrator
    "53100": "disk-full",
    "53400": "disk-full",  # configuration_limit_exceeded: room for temporary files
    "58": "disk-failed",  # system_error: I/O
}
_LOST: Final = (
    "57P01",
    "57P02",
    "57P03",
    "57P05",
    "25P03",
    "08000",
    "08001",
    "08003",
    "08004",
    "08006",
    "08007",
)
_PERSON: Final = {
    "25006": ("store-readonly", "this server takes no changes: is it a standby? Let the address name the one that does"),
    "42501": ("store-denied", "give the account of the address the right to use, and make tables in, its schema"),
    "3D000": ("store-refused", "the server has no such database"),
    "28": ("store-refused", "the server does not let this account in"),
    "XX001": ("store-corrupt", "restore the database from a backup"),
    "XX002": ("store-corrupt", "restore the database from a backup"),
}  # fmt: skip
#: The driver hands on no SQLSTATE for a connection that was not made: what libpq's and the server's English words mean.
_NOT_CONNECTED: Final = {
    "the database system is starting up": None,
    "the database system is shutting down": None,
    "too many": None,
    "authentication failed": "expected a user and a password that the server takes",
    "no password supplied": "expected a password: ~/.pgpass (only for its owner), a service file, or PGPASSWORD",
    "no pg_hba.conf entry": "the server does not let this account in from here",
    "does not exist": "the server has no such database or account",
    "permission denied": "the account may not use this database",
    "invalid": "the address is not understood",
}
#: What a user's statement may be to blame for, though it would be the database's fault in one of ours: rights, characters.
_GIVEN: Final = frozenset({"42501", "22021", "22P05"})
#: Errors whose detail names a key. Those of others show whole rows, also of what the user's tables fill in by themselves.
_NAMES_KEY: Final = frozenset({"23503", "23505", "23P01"})
_detail_key = re.compile(r"\(([^()]*)\)=").search

#: A statement of the store's own, by its text → the one that is said instead of it.
_INSTEAD: Final = {
    (QUERIES | STEPS)[name]: statement for name, statement in OVERRIDES.items() if name in QUERIES or name in STEPS
}  # fmt: skip

DIALECT: Final = Dialect(
    {ColumnType.TEXT: "TEXT", ColumnType.INTEGER: "INTEGER", ColumnType.BOOLEAN: "boolean", ColumnType.DATE: "date"},
    {ColumnType.TEXT: "TEXT", ColumnType.INTEGER: "INTEGER", ColumnType.BOOLEAN: "boolean", ColumnType.DATE: "date"},
)  # fmt: skip


def shown(address: str) -> str:
    """An address as it may be shown: without password, and without settings of the connection but the service that names all else."""
    scheme, _, rest = address.partition("://")
    place, _, options = rest.partition("?")
    account, at, host = place.rpartition("@")
    service = "".join(f"?{option}" for option in options.split("&") if option.startswith("service="))
    return f"{scheme}://{account.partition(':')[0]}{at if account.partition(':')[0] else ''}{host}{service}"


class PostgresDatabase:
    """A connection. Statements are given in the words of queries.sql."""

    dialect = DIALECT
    schema: tuple[str, ...] = ("schema_postgres.sql",)

    def __init__(self, address: str, *, patience_s: float | None = None) -> None:
        self.address = address
        self._session = _SESSION | ({} if patience_s is None else {"lock_timeout": f"{patience_s:.0f}s"})
        self.name = shown(address)
        self._statements: dict[str, str] = {}
        self._connection: Any = None
        self._cursor: Any = None
        self._open = False  # a transaction, or a snapshot
        self._temporary = False  # temporary tables are this connection's alone
        self._connect()

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""
        connection, cursor = self._connection, self._cursor
        self._connection = self._cursor = None
        self._open = False
        # What is lost cannot be closed in order, and need not be.
        for one in (cursor, connection):
            if one is not None:
                with suppress(adbc_driver_manager.Error):
                    one.close()

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
                detail = _diagnostic(err, "MESSAGE_DETAIL")
                found = _detail_key(detail)
                raise KeyExistsError(
                    _diagnostic(err, "TABLE_NAME") or table, found[1] if found else _diagnostic(err, "CONSTRAINT_NAME")
                ) from err  # fmt: skip
            raise
        return copied

    def run_given(self, statement: str) -> None:
        """Run one statement of a user's, as it is written. Raises `StatementFailedError` with the server's words."""

        def run() -> None:
            # Prepared by the server, which so refuses a second statement behind the first; what it answers is not wanted.
            for _ in self._cursor.execute(statement).fetch_record_batch():
                pass

        self._try(run)

    def check_constraints(self) -> None:
        """Check now what the open transaction would check at its end."""
        self._try(lambda: self._cursor.executemany("SET CONSTRAINTS ALL IMMEDIATE", None))

    def _try(self, use: Callable[[], Any]) -> None:
        """What may fail through no fault of ours."""
        try:
            self._use(use, again=False)
        except adbc_driver_manager.Error as err:
            raise StatementFailedError(_words(err)) from err
        except (ConfigError, RejectedError) as err:
            cause = err.__cause__
            if not isinstance(cause, adbc_driver_manager.Error) or (cause.sqlstate or "") not in _GIVEN:
                raise
            raise StatementFailedError(_words(cause)) from cause

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
        while True:
            with suppress(TransportError):
                state = self.select("SELECT pg_xact_status(CAST(?1 AS xid8))", (number,))[0][0]
                if state != "in progress":
                    return bool(state == "committed")
            if time.monotonic() > deadline:
                raise TransportError(
                    "store-lost",
                    f"{self.name}: the connection was lost while a transaction ended; what became of it the next turn finds in the ledger",
                )
            time.sleep(_ASK_AGAIN_S)

    # ------------------------------------------------------------------------------------------------ the connection

    def _connect(self) -> None:
        try:
            import adbc_driver_postgresql.dbapi as adbc_postgresql  # an extra: who has no server does not need it
        except ImportError as err:
            raise ConfigError(
                "driver-missing",
                f"{self.name}: expected PostgreSQL's driver, got none: pip install 'filesync[postgres]'",
            ) from err

        self._temporary = False
        try:
            self._connection = adbc_postgresql.connect(_address(self.address), autocommit=True)
            self._cursor = self._connection.cursor()
            self._prepare()
        except adbc_driver_manager.Error as err:
            self.close()
            _not_connected(self.name, err)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        settings = ", ".join(
            f"set_config('{name}', '{value}', false)" for name, value in self._session.items()
        )
        # What is committed is on the disk, whatever the server does for others; a stronger promise of it is left as it is.
        durable = "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)"
        self._cursor.execute(f"SELECT {settings}, {durable}").fetchall()
        version, encoding, schema = self._cursor.execute(
            "SELECT current_setting('server_version_num')::int8, current_setting('server_encoding'), current_schema()::text"
        ).fetchall()[0]
        if version < VERSION_MIN * 10_000:
            raise ConfigError(
                "store-refused",
                f"{self.name}: expected PostgreSQL {VERSION_MIN} or newer, got {version // 10_000}",
            )
        if encoding != "UTF8":
            raise ConfigError(
                "store-refused", f"{self.name}: expected a database with encoding UTF8, got {encoding}"
            )
        if schema is None:
            raise ConfigError(
                "store-refused",
                f"{self.name}: expected a schema to keep tables in, got none: the search path names none that is there",
            )

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
                raise KeyRepeatedError(_diagnostic(err, "MESSAGE_PRIMARY")) from err
            raise
        if text.startswith("CREATE TEMP"):
            self._temporary = True
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
                    raise self._lost()
                self._connect()
            try:
                return use()
            except adbc_driver_manager.Error as err:
                if _is_lost(err):
                    whole = not self._open and not self._temporary
                    self._drop()
                    if not (again and whole and trial == 1):
                        raise self._lost() from err
                    continue
                # A statement that failed half-way keeps its bindings: start with a fresh one.
                self._renew()
                self._explain(err)
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

    def _lost(self) -> TransportError:
        return TransportError("store-lost", f"{self.name}: the connection to the server was lost")

    def _explain(self, err: adbc_driver_manager.Error) -> NoReturn:
        """Raise what a driver's error means for whoever runs the site; the error itself where it can only be a bug."""
        state = err.sqlstate or ""
        said = _diagnostic(err, "MESSAGE_PRIMARY") or str(err)
        if code := _ROAD.get(state) or _ROAD.get(state[:2]):
            raise TransportError(code, f"{self.name}: {said}") from err
        if person := _PERSON.get(state) or _PERSON.get(state[:2]):
            code, advice = person
            raise ConfigError(
                code, f"{self.name}: expected a usable database, got: {said}; {advice}"
            ) from err
        if state in ("22021", "22P05"):
            raise RejectedError(
                "text-unstorable",
                "expected text that a PostgreSQL database can hold, got the character U+0000 in it",
            ) from err
        raise err


def _address(address: str) -> str:
    """The address with what we want beside what it says, which stays as it is: libpq reads it otherwise than the standard library."""
    place, _, options = address.partition("?")
    said = {option.partition("=")[0] for option in options.split("&")}
    own = [f"{name}={value}" for name, value in _LINK.items() if name not in said]
    return f"{place}?{'&'.join([options, *own] if options else own)}"


def _bound(parameters: Sequence[object]) -> list[object]:
    """Parameters as they can be bound: PostgreSQL's text has no U+0000, and a name from outside must not stop a station."""
    return [
        value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value for value in parameters
    ]  # fmt: skip


def _diagnostic(err: adbc_driver_manager.Error, name: str) -> str:
    """A field of the server's error message, "" where it has none (or where the server was not even asked)."""
    found: dict[Any, bytes] = dict(err.details)  # keys are bytes, whatever the driver's stubs say
    return found.get(f"PG_DIAG_{name}".encode(), b"").decode("utf-8", "replace")


def _words(err: adbc_driver_manager.Error) -> str:
    """What the server itself says, without what the driver puts around it."""
    said = _diagnostic(err, "MESSAGE_PRIMARY") or str(err)
    detail = _diagnostic(err, "MESSAGE_DETAIL") if err.sqlstate in _NAMES_KEY else ""
    return f"{said} ({detail.rstrip('.')})" if detail else said


def _is_lost(err: adbc_driver_manager.Error) -> bool:
    """Whether the connection is gone. For that the driver has no SQLSTATE, but says that input or output failed."""
    if err.sqlstate:
        return err.sqlstate in _LOST
    return err.status_code == adbc_driver_manager.AdbcStatusCode.IO


def _not_connected(name: str, err: adbc_driver_manager.Error) -> NoReturn:
    # In one line, and without what the driver puts before it.
    said = " ".join(str(err).removeprefix("IO: ").removeprefix("[libpq] ").removeprefix("Failed to connect: ").split())  # fmt: skip
    for words, meaning in _NOT_CONNECTED.items():
        if words in said and meaning is not None:
            raise ConfigError("store-refused", f"{name}: {meaning}; the server says: {said}") from err
        if words in said:
            break
    raise TransportError("store-unreachable", f"{name}: {said}") from err
