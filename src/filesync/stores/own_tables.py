"""Tables of the user's own: what a transaction applies is staged beside, and the user's statements run over it before the commit.

- Temporary tables, made for the transaction: `batch_<relation>` for each relation of the contract (`batch_vendas`, `batch_itens`, …) with
  exactly the rows that this transaction applied, and `batch_inactive` with the keys of documents that a snapshot made inactive or took back, or
  that a corrected file does not hold any more. What lost (an older version, equal content, a conflict) is in none of them. Rows carry `fs_batch`; documents and keys also `fs_batch_name`.
- Statements run as they are written, in their order, once for all batches of the transaction; what is checked only at its end is checked
  right after them. Whatever fails is a `StatementFailedError`: leave the transaction, for nothing of it may stay. (The user's own table may
  have rolled it back already: `ON CONFLICT ROLLBACK`.)
- `OwnTables.check` does all of this with no rows, and undoes it. Before that the database is asked what each statement would write: what the
  reading of its words cannot tell (own_statements.py), a trigger on a table of the user's that writes one of ours, SQLite can.

What is not here: which statements may be run (own_statements.py), what a failure means for a batch (exchange/own_tables.py).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from filesync.errors import ConfigError
from filesync.stores.database import QUERIES
from filesync.stores.merge import KEPT
from filesync.stores.own_statements import OURS, StatementFailedError
from filesync.stores.tables import BATCH, ensure_tables, listed, quoted, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from filesync.contracts import Column, Contract, Relation
    from filesync.stores.database import Database, Dialect
    from filesync.stores.own_statements import OwnStatements

BATCH_NAME: Final = "fs_batch_name"
#: The keys of documents that were active, and are not since this snapshot.
INACTIVE: Final = "batch_inactive"
_BEFORE: Final = "fs_own_before"
#: With fewer rows no plan is a bad one, and looking at them costs more than the statement.
MEASURED_ROWS_MIN: Final = 5_000


def staged_tables(dialect: Dialect, contract: Contract) -> dict[str, list[tuple[str, str]]]:
    """The tables that statements find, by name: each column with its type."""
    found: dict[str, list[tuple[str, str]]] = {}
    for relation in contract.relations:
        names = (
            [(BATCH, "INTEGER"), (BATCH_NAME, "text")]
            if _is_document(contract, relation)
            else [(BATCH, "INTEGER")]
        )
        found[_table(relation)] = [*_typed(dialect, relation.columns), *names]
    found[INACTIVE] = [*_typed(dialect, _key(contract)), (BATCH, "INTEGER"), (BATCH_NAME, "text")]
    return found


class OwnTables:
    """The user's own tables, asked about outside of any batch."""

    def __init__(self, db: Database, write: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._write = write

    def check(self, contract: Contract, statements: OwnStatements, ours: Collection[str] = ()) -> None:
        """Run the statements over no rows, and undo everything. Raises `StatementFailedError`.

        Raises `ConfigError` `apply-refused` where one would write a table of the ledger, or of `ours`, by whatever trigger.
        """
        with suppress(_UndoneError), self._write():
            ensure_tables(self._db, contract)
            staging = Staging(self._db, contract, {})
            for number, statement in enumerate(statements.each, 1):
                with _naming(statements, number):
                    written = self._db.writes(statement.text)
                refuse_ours(
                    statements, number, {name for name in written if name.startswith(OURS) or name in ours}
                )
            staging.run(statements)
            raise _UndoneError

    def tables(self, contract: Contract) -> dict[str, list[tuple[str, str]]]:
        """What statements find, with the types of this database."""
        return staged_tables(self._db.dialect, contract)


class Staging:
    """What a transaction applies of a contract, kept for the user's statements. `names`: its batches, by number."""

    def __init__(self, db: Database, contract: Contract, names: Mapping[int, str]) -> None:
        self._db = db
        self._contract = contract
        self._names = names
        self._rows = 0
        self._noted: int | None = None
        for table, columns in staged_tables(db.dialect, contract).items():
            db.run(f"DROP TABLE IF EXISTS temp.{quoted(table)}")
            declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)
            db.run(f"CREATE TEMP TABLE {quoted(table)} ({declared})")

    def add(
        self,
        relations: Mapping[str, pa.Table],
        batch_ids: int | Mapping[str, pa.Array | pa.ChunkedArray],
    ) -> None:
        """Rows that were appended, as `tables.append` takes them."""
        for relation in self._contract.relations:
            rows = relations[relation.name]
            if not rows.num_rows:
                continue
            owner = batch_ids if isinstance(batch_ids, int) else batch_ids[relation.name]
            more: dict[str, int | pa.Array | pa.ChunkedArray] = {BATCH: owner}
            if _is_document(self._contract, relation):
                more[BATCH_NAME] = self._named(owner, rows.num_rows)
            self._rows += self._db.ingest(
                _table(relation), stored(self._db.dialect, relation, rows, more), temporary=True
            )

    def through(
        self, stage: Iterable[Mapping[str, pa.Table]], batch_id: int
    ) -> Iterator[Mapping[str, pa.Table]]:
        """Chunks on their way into a merge. Afterwards `without_lost`."""
        for chunk in stage:
            self.add(chunk, batch_id)
            yield chunk

    def without_lost(self, batch_id: int) -> None:
        """Take out what lost in the merge of this batch: it was not applied."""
        if not self._some_kept():
            return
        key = listed(self._contract.key)
        for relation in self._contract.relations:
            self._db.run(
                f"DELETE FROM temp.{quoted(_table(relation))} WHERE ({key}) IN (SELECT {key} FROM {KEPT} WHERE {BATCH} = ?1)",
                (batch_id,),
            )

    def note(self, batch_id: int, condition: str, parameters: tuple[object, ...]) -> None:
        """Some documents are about to go: which of those that fulfil `condition` are active now. `run` finds out which are not any more."""
        key = listed(self._contract.key)
        declared = ", ".join(
            f"{quoted(name)} {kind}" for name, kind in _typed(self._db.dialect, _key(self._contract))
        )
        self._db.run(f"DROP TABLE IF EXISTS temp.{_BEFORE}")
        self._db.run(f"CREATE TEMP TABLE {_BEFORE} ({declared})")
        active = self._contract.active_column
        still = f" AND {quoted(active)} IS DISTINCT FROM false" if active is not None else ""
        self._db.run(
            f"INSERT INTO temp.{_BEFORE} ({key}) SELECT {key} FROM {quoted(self._contract.relations[0].table)} WHERE {condition}{still}",
            parameters,
        )
        self._noted = batch_id

    def run(self, statements: OwnStatements) -> None:
        """Run the user's statements, then forget what was staged. Raises `StatementFailedError` naming file and statement."""
        if self._noted is not None:
            self._find_gone(self._noted)
        staged = staged_tables(self._db.dialect, self._contract)
        if self._rows >= MEASURED_ROWS_MIN:
            for table in staged:
                self._db.measure(table, self._contract.key)  # it is the keys by which rows are found
        for number, statement in enumerate(statements.each, 1):
            with _naming(statements, number):
                self._db.run_given(statement.text)
        try:
            self._db.check_constraints()
        except StatementFailedError as err:
            raise StatementFailedError(f"{statements.source}: {err.message}") from err
        for table in staged:
            self._db.run(f"DROP TABLE temp.{quoted(table)}")

    def _find_gone(self, batch_id: int) -> None:
        contract, key = self._contract, self._contract.key
        same = " AND ".join(f"t.{quoted(name)} = b.{quoted(name)}" for name in key)
        active = contract.active_column
        inactive = f" OR t.{quoted(active)} = false" if active is not None else ""
        self._rows += self._db.run(
            f"INSERT INTO temp.{INACTIVE} ({listed(key)}, {BATCH}, {BATCH_NAME}) SELECT {listed(key, 'b.')}, ?1, ?2 "
            f"FROM temp.{_BEFORE} b LEFT JOIN {quoted(contract.relations[0].table)} t ON {same} WHERE t.{quoted(key[0])} IS NULL{inactive}",
            (batch_id, self._names[batch_id]),
        )
        self._db.run(f"DROP TABLE temp.{_BEFORE}")

    def _named(self, owner: int | pa.Array | pa.ChunkedArray, rows: int) -> pa.Array | pa.ChunkedArray:
        if isinstance(owner, int):
            return pa.repeat(pa.scalar(self._names[owner]), rows)
        ids = pa.array(list(self._names), pa.int64())
        return pa.array(list(self._names.values()), pa.string()).take(pc.index_in(owner, value_set=ids))

    def _some_kept(self) -> bool:
        return bool(self._db.select(QUERIES["has_temporary"], (KEPT.removeprefix("temp."),))[0][0])


def refuse_ours(statements: OwnStatements, number: int, tables: Collection[str]) -> None:
    """Raises `ConfigError` where a statement would write tables that only batches change."""
    if tables:
        raise ConfigError(
            "apply-refused",
            f"{statements.source}, statement {number}: expected tables of your own to be written, got {', '.join(sorted(tables))}, which filesync keeps",
        )


@contextmanager
def _naming(statements: OwnStatements, number: int) -> Iterator[None]:
    try:
        yield
    except StatementFailedError as err:
        raise StatementFailedError(f"{statements.source}, statement {number}: {err.message}") from err


class _UndoneError(Exception):
    """Ends a transaction that was only a trial."""


def _is_document(contract: Contract, relation: Relation) -> bool:
    return relation is contract.relations[0]


def _table(relation: Relation) -> str:
    return f"batch_{relation.name}"


def _key(contract: Contract) -> list[Column]:
    return [column for column in contract.relations[0].columns if column.name in contract.key]


def _typed(dialect: Dialect, columns: Iterable[Column]) -> list[tuple[str, str]]:
    # In small letters a text keeps the database's own order (postgres_sql.py), and so compares with texts of any table of the user's.
    kinds = {column.name: dialect.types[column.type] for column in columns}
    return [(name, "text" if kind == "TEXT" else kind) for name, kind in kinds.items()]
