"""The data tables: made from contracts, appended to in bulk, read back as documents.

- A relation's table has its columns, then `fs_batch`: the batch (fs_incoming) that brought the row.
- Values are stored so that any tool shows them: money as integer centavos; dates and booleans as such in PostgreSQL, in SQLite, which has
  neither, as ISO text and as 0 and 1. Statements are given days as dates, and say `true` and `false`: that is right for both.
- Rows are appended in key order, chunk by chunk: keys are random UUIDs, and a B-tree that is filled in order is built twice as fast.
- A table only grows: a later contract version may add columns; it may not change a key.

Names are quoted, and come from contracts only. Writing functions expect an open transaction (store.py). What is not here: rows whose
key is held already (merge.py).
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts import ColumnType, Relation
from filesync.errors import ConfigError
from filesync.stores.database import QUERIES, RESULT_ROWS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from filesync.contracts import Column, Contract
    from filesync.stores.database import Database, Dialect

BATCH: Final = "fs_batch"
#: Documents in one chunk of `read_documents`. Their lines are read by RESULT_ROWS_MAX, the bound of one result batch.
READ_DOCUMENTS_MAX: Final = 16_384
#: Rows sorted at once by `in_runs`. Longer runs touch fewer pages of a large table for each row, and need three times this memory.
RUN_BYTES_MAX: Final = 40 << 20


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str], prefix: str = "") -> str:
    """Names as a list of SQL columns."""
    return ", ".join(prefix + quoted(name) for name in names)


def ensure_tables(db: Database, contract: Contract) -> None:
    """Make the tables of a contract, or add the columns that a later version brought. Raises `ConfigError` where a key differs."""
    for relation in contract.relations:
        held = _held(db, relation)
        if not held.keys() >= {column.name for column in relation.columns}:
            db.lock("tables")  # of two importers one makes them
            held = _held(db, relation)
        if not held:
            db.run(_create(db.dialect, relation))
            continue
        key = sorted((name for name, place in held.items() if place), key=lambda name: held[name])
        if key != list(relation.key):
            raise ConfigError(
                "key-changed",
                f"table {relation.table}: expected the key {', '.join(relation.key)} of {contract.name}, got {', '.join(key)}",
            )
        for column in relation.columns:
            if column.name not in held:
                # Rows of earlier versions have no value for it, required or not.
                db.run(
                    f"ALTER TABLE {quoted(relation.table)} ADD COLUMN {_declared(db.dialect, column, required=False)}"
                )


def _held(db: Database, relation: Relation) -> dict[str, int]:
    """The columns of a relation's table, with their places in the key (others 0); {} where it is not there."""
    return dict(db.select(QUERIES["table_columns"], (relation.table,)))


def lacks(db: Database, contract: Contract) -> bool:
    """Whether tables of an earlier version are there which `ensure_tables` would add something to."""
    held = [_held(db, relation) for relation in contract.relations]
    return bool(held[0]) and any(
        column.name not in columns
        for relation, columns in zip(contract.relations, held, strict=True)
        for column in relation.columns
    )


def append(
    db: Database,
    contract: Contract,
    relations: Mapping[str, pa.Table],
    batch_ids: int | Mapping[str, pa.Array | pa.ChunkedArray],
) -> None:
    """Append flattened documents. `batch_ids`: the batch of all rows, or for each relation the batch of every row.

    Raises `KeyExistsError` at the first key that is there already; what was appended before it stays until a rollback.
    """
    for relation in contract.relations:
        rows = relations[relation.name]
        if rows.num_rows:
            owner = batch_ids if isinstance(batch_ids, int) else batch_ids[relation.name]
            db.ingest(
                relation.table, in_key_order(contract, stored(db.dialect, relation, rows, {BATCH: owner}))
            )


def in_runs(contract: Contract, chunks: Iterable[Mapping[str, pa.Table]]) -> Iterator[dict[str, pa.Table]]:
    """The rows of flattened chunks in fewer and larger tables, each in key order: a quarter to a half less work for a large append.

    Their order over a run is another one: not for a merge, which numbers the documents as they come (and does this itself).
    """
    waiting: list[Mapping[str, pa.Table]] = []
    size = 0
    for chunk in chunks:
        chunk_bytes = sum(rows.nbytes for rows in chunk.values())
        if waiting and size + chunk_bytes > RUN_BYTES_MAX:
            yield _run(contract, waiting)
            waiting, size = [], 0
        waiting.append(chunk)
        size += chunk_bytes
    if waiting:
        yield _run(contract, waiting)


def _run(contract: Contract, chunks: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    return {
        name: in_key_order(contract, pa.concat_tables([chunk[name] for chunk in chunks]).combine_chunks())
        for name in chunks[0]
    }


def stored(
    dialect: Dialect, relation: Relation, rows: pa.Table, more: Mapping[str, int | pa.Array | pa.ChunkedArray]
) -> pa.Table:
    """Rows as they are stored, with further columns (one value for all rows, or one for each)."""
    arrays: list[pa.Array | pa.ChunkedArray] = []
    for column in relation.columns:
        array = rows.column(column.name)
        # Casting here costs a tenth of what the driver takes to write a date as text.
        as_text = column.type is ColumnType.DATE and dialect.dates_are_text
        arrays.append(array.cast(pa.string()) if as_text else array)
    arrays += [
        pa.array(np.full(rows.num_rows, v, np.int64)) if isinstance(v, int) else v for v in more.values()
    ]
    return pa.table(arrays, [*(column.name for column in relation.columns), *more])


def in_key_order(contract: Contract, rows: pa.Table) -> pa.Table:
    """Rows sorted by their document's key; lines of a document keep their order."""
    if not rows.num_rows:
        return rows
    keys = list(contract.key)
    while len(keys) > 1 and pc.all(pc.equal(rows.column(keys[0]), rows.column(keys[0])[0])).as_py():
        del keys[0]  # one site's rows: its id orders nothing
    if len(keys) == 1 and rows.column(keys[0]).num_chunks == 1:
        values = rows.column(keys[0]).chunk(0)
        if pc.all(pc.less_equal(values[:-1], values[1:]), min_count=0).as_py():
            return rows
    return rows.take(pc.sort_indices(rows.select(keys), [(key, "ascending") for key in keys]))


def read_documents(
    db: Database,
    contract: Contract,
    *,
    business_date: date | None = None,
    origem: str | None = None,
    having: Mapping[str, str] | None = None,
    current: date | None = None,
) -> Iterator[pa.Table]:
    """The documents held, in key order, as tables of the contract's `arrow_schema`; a document without lines has null for them.

    `having`: only those whose columns have these values. `current`: only active ones that are current on that day. Each chunk is read as it stands when its turn comes.
    """
    wanted: list[tuple[str, tuple[object, ...]]] = []
    if business_date is not None:
        if contract.business_date_column is None:
            raise ConfigError(
                "no-business-date", f"{contract.name} has no business date to choose documents by"
            )
        wanted.append((f"{quoted(contract.business_date_column)} = ?", (business_date,)))
    if origem is not None:
        wanted.append((f"{quoted(contract.key[0])} = ?", (origem,)))
    wanted += [
        (f"{quoted(name)} = ?", (_value(contract, name, text),)) for name, text in (having or {}).items()
    ]
    if current is not None:
        wanted += current_on(contract, current)
        wanted += [(f"{quoted(contract.active_column)} = true", ())] if contract.active_column else []
    if any(not db.select(QUERIES["table_columns"], (relation.table,)) for relation in contract.relations):
        return
    after: tuple[object, ...] = ()
    while True:
        values = [value for _, values in wanted for value in values]
        page = _Page(contract, [condition for condition, _ in wanted], values, after)
        with db.snapshot():
            documents = db.select_table(page.documents(), page.parameters)
            lines = [_lines(db, page, relation) for relation in contract.relations[1:]]
        if not documents.num_rows:
            return
        yield _nested(contract, documents, lines)
        if documents.num_rows < READ_DOCUMENTS_MAX:
            return
        after = tuple(documents.column(name)[-1].as_py() for name in contract.key)


def current_on(contract: Contract, day: date) -> list[tuple[str, tuple[object, ...]]]:
    """Conditions, with their parameters, for the rows that are current on `day`, active or not; none where there is no `valid_from`."""
    if contract.valid_from_column is None:
        return []
    table, begins = quoted(contract.relations[0].table), quoted(contract.valid_from_column)
    same = " AND ".join(f"later.{quoted(name)} = {table}.{quoted(name)}" for name in contract.identity)
    later = (
        f"NOT EXISTS (SELECT 1 FROM {table} AS later WHERE {same} AND later.{begins} > {table}.{begins} "
        f"AND later.{begins} <= ?)"
    )
    return [(f"{begins} <= ?", (day,)), (later, (day,))]


def _value(contract: Contract, name: str, text: str) -> object:
    """A value that was given as text, as its column compares it; the text itself where it is none."""
    kinds = {column.name: column.type for column in contract.relations[0].columns}
    try:
        match kinds.get(name):
            case ColumnType.INTEGER:
                return int(text)
            case ColumnType.DATE:
                return date.fromisoformat(text)
            case ColumnType.BOOLEAN:
                return text in ("1", "true")
    except ValueError:
        return None  # equals nothing
    return text


class _Page:
    """READ_DOCUMENTS_MAX documents after a key."""

    def __init__(
        self,
        contract: Contract,
        conditions: Sequence[str],
        values: Sequence[object],
        after: tuple[object, ...],
    ) -> None:
        self.contract = contract
        self.parameters = [*values, *after]
        conditions = list(conditions)
        if after:
            conditions.append(f"({listed(contract.key)}) > ({', '.join('?' for _ in after)})")
        self.where = f" WHERE {' AND '.join(conditions)}" if conditions else ""

    def documents(self) -> str:
        """The documents of the page."""
        return self._select(listed(column.name for column in self.contract.relations[0].columns))

    def lines(self, relation: Relation) -> str:
        """The lines of the page's documents, each with its document's place in the page."""
        key = listed(self.contract.key)
        same = " AND ".join(f"l.{quoted(name)} = d.{quoted(name)}" for name in self.contract.key)
        own = listed((f.name for f in relation.fields), "l.")
        return (
            f"SELECT d.fs_place, {own} FROM (SELECT {key}, row_number() OVER (ORDER BY {key}) - 1 AS fs_place FROM ({self._select(key)}) AS fs_page) d "
            f"CROSS JOIN {quoted(relation.table)} l ON {same} ORDER BY d.fs_place, {listed(relation.line_key, 'l.')} LIMIT ? OFFSET ?"
        )

    def _select(self, names: str) -> str:
        table = quoted(self.contract.relations[0].table)
        return f"SELECT {names} FROM {table}{self.where} ORDER BY {listed(self.contract.key)} LIMIT {READ_DOCUMENTS_MAX}"


def _lines(db: Database, page: _Page, relation: Relation) -> tuple[Relation, list[pa.Table]]:
    parts: list[pa.Table] = []
    while not parts or parts[-1].num_rows == RESULT_ROWS_MAX:
        start = len(parts) * RESULT_ROWS_MAX
        parts.append(db.select_table(page.lines(relation), [*page.parameters, RESULT_ROWS_MAX, start]))
    return relation, parts


def _nested(
    contract: Contract, documents: pa.Table, children: Sequence[tuple[Relation, list[pa.Table]]]
) -> pa.Table:
    schema = contract.arrow_schema
    arrays = {
        f.name: _typed(documents.column(f.name), f.type) for f in schema if f.name in documents.column_names
    }
    for relation, parts in children:
        item = schema.field(relation.name).type.value_type
        lines = pa.table(
            [
                pa.chunked_array(
                    [c for part in parts for c in _typed(part.column(f.name), f.type).chunks], f.type
                )
                for f in item
            ],
            names=[f.name for f in item],
        ).combine_chunks()
        values = pa.StructArray.from_arrays(
            [lines.column(f.name).combine_chunks() for f in item], fields=list(item)
        )
        places = np.concatenate([part.column("fs_place").to_numpy() for part in parts]).astype(np.int64)
        counts = np.bincount(places, minlength=documents.num_rows)
        offsets = pa.array(np.r_[0, np.cumsum(counts)].astype(np.int32))
        mask = None if relation.required else pa.array(counts == 0)
        arrays[relation.name] = pa.ListArray.from_arrays(
            offsets, values, type=schema.field(relation.name).type, mask=mask
        )
    return pa.table([arrays[f.name] for f in schema], schema=schema)


def _typed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column as it was read (from SQLite: int64 where all values are null, and dates as text) in its contract's type."""
    if column.type == kind:
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    return column.cast(kind)


def _create(dialect: Dialect, relation: Relation) -> str:
    columns = ", ".join(_declared(dialect, column, required=column.required) for column in relation.columns)
    return (
        f"CREATE TABLE {quoted(relation.table)} ({columns}, {BATCH} INTEGER NOT NULL, PRIMARY KEY ({listed(relation.key)})) "
        "STRICT, WITHOUT ROWID"
    )


def _declared(dialect: Dialect, column: Column, *, required: bool) -> str:
    name, kind = quoted(column.name), dialect.types[column.type]
    check = f" CHECK ({name} IN (0, 1))" if column.type is ColumnType.BOOLEAN and kind == "INTEGER" else ""
    return f"{name} {kind}{' NOT NULL' if required else ''}{check}"
