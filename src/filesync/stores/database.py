"""What the store needs of a database, and the statements that it says to one. Two databases keep this promise.

SQLite in a file (sqlite_database.py) and a PostgreSQL server (postgres_database.py). Statements are given as text; those of queries.sql as
`QUERIES[name]`. What is not here: any driver.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from filesync.contracts import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

#: Rows of one result batch. A column's type is inferred from the first batch, so nullable columns must be read in one (select_table).
RESULT_ROWS_MAX: Final = 65_536

#: The ledger's own statements, then those of the parts that build on it; each part has its tables and its questions in files of its own.
PARTS: Final = ("", "_holes", "_days", "_reconciling", "_files", "_purging")


def fixed_statements() -> dict[str, str]:
    """The statements of queries*.sql by name."""
    return named_statements(*(f"queries{part}.sql" for part in PARTS))


def named_statements(*files: str) -> dict[str, str]:
    """The statements of these files by name. Each stands under `-- name: <name>`, with a sentence saying what it is for."""
    text = "".join(_resource(file) for file in files)
    found: dict[str, str] = {}
    for part in text.split("-- name: ")[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = (
            "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
        )
    return found


def schema_statements(*more: str) -> list[str]:
    """The statements of schema*.sql, in order, then those of further files."""
    text = "".join(_resource(file) for file in (*(f"schema{part}.sql" for part in PARTS), *more))
    bare = "\n".join(line.split(" --")[0] for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in bare.split(";") if statement.strip()]


def _resource(name: str) -> str:
    return resources.files("filesync.stores").joinpath(name).read_text(encoding="utf-8")


QUERIES: Final = fixed_statements()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database keeps what contracts describe. `staged`: types in temporary tables, which SQLite does without."""

    types: Mapping[ColumnType, str]
    staged: Mapping[ColumnType, str]

    @property
    def dates_are_text(self) -> bool:
        """Whether a date must be written as ISO text."""
        return self.types[ColumnType.DATE] == "TEXT"


class Database(Protocol):
    """A connection. One thread at a time.

    Errors of the road (busy, full, unreachable) are `TransportError`s, what a person must repair is a `ConfigError`; anything else is a bug.
    """

    dialect: Dialect
    #: Files whose statements make what this database needs beside the tables of schema*.sql.
    schema: tuple[str, ...]

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""

    def select(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, as Python values."""

    def select_table(self, statement: str, parameters: Sequence[object] | pa.RecordBatch = ()) -> pa.Table:
        """All rows of a query as Arrow; for a RecordBatch of parameters, those of each of its rows after one another."""

    def run(self, statement: str, parameters: Sequence[object] | None = None) -> int:
        """Run one statement; the number of rows that it changed."""

    def run_each(self, statement: str, rows: pa.RecordBatch | pa.Table | Sequence[tuple[object, ...]]) -> int:
        """Run one statement for every row of parameters; the number of rows changed by all of them."""

    def ingest(self, table: str, rows: pa.RecordBatch | pa.Table, *, temporary: bool = False) -> int:
        """Append rows by column name. Raises `KeyExistsError` where a key is there already; what came before it stays until a rollback."""

    def measure(self, temporary: str, columns: Sequence[str] = ()) -> None:
        """A temporary table was filled: who plans statements may look how large it is, and at all of its columns or at these."""

    def run_given(self, statement: str) -> None:
        """Run one statement of a user's, as it is written. Raises `StatementFailedError` with the database's words where the road is not to blame."""

    def writes(self, statement: str) -> frozenset[str]:
        """The tables, in small letters, that a user's statement would write, as far as this database can tell without running it.

        Raises `StatementFailedError` where it does not understand the statement.
        """

    def check_constraints(self) -> None:
        """Check now what the open transaction would check at its end. What cannot be asked before, `commit` answers in the same way."""

    def numbers(self, count: int, after: int) -> list[int]:
        """Numbers for `count` more batches, in the open transaction, all above `after`, the last one that it was given (0: none yet)."""

    def lock(self, name: str) -> None:
        """Until the open transaction ends nobody else holds this. Waits."""

    def begin(self) -> None:
        """Open a transaction for writing."""

    def commit(self) -> None:
        """At that instant the transaction is on the disk, whole."""

    def rollback(self) -> None:
        """Undo the open transaction, if one is open."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Several queries that see one state, inside a transaction or without one."""


def columns(names: Iterable[str], rows: Sequence[Sequence[object]]) -> pa.RecordBatch:
    """Rows of Python values as a RecordBatch, for `ingest` and `run_each`."""
    names = list(names)
    arrays = (
        [pa.array(values) for values in zip(*rows, strict=True)] if rows else [pa.nulls(0) for _ in names]
    )
    return pa.record_batch(arrays, names)
