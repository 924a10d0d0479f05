"""A contract's Arrow schema; tables brought into it; documents laid out as flat tables, one a relation.

- Conforming changes how values are stored, never what they are: a number does not become a text, nor a text a number
  ("codes are strings, always"); a timestamp does not become a date.
- What conforms is also sound: offsets in bounds, texts valid UTF-8, whatever the file held that it came from.

What is not here: whether values are right (masks.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.model import ColumnType
from filesync.contracts.rows import Lines, pieces
from filesync.errors import RejectedError

if TYPE_CHECKING:
    from filesync.contracts.model import Definition, Relation

Columns: TypeAlias = "pa.ChunkedArray | pa.Array"

ARROW_TYPES: Final = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(),
}


def arrow_schema(definition: Definition) -> pa.Schema:
    """Scalars in schema order, then a list of structs for each child relation; everything nullable."""
    columns = [(field.name, ARROW_TYPES[field.type]) for field in definition.relations[0].fields]
    return pa.schema([*columns, *((child.name, line_type(child)) for child in definition.children)])


def line_type(relation: Relation) -> pa.ListType:
    return pa.list_(pa.struct([(field.name, ARROW_TYPES[field.type]) for field in relation.fields]))


def flat_schema(relation: Relation) -> pa.Schema:
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in relation.columns])


def conform(definition: Definition, schema: pa.Schema, rows: pa.Table | pa.RecordBatch) -> pa.Table:
    """`rows` in exactly `schema`; RejectedError `schema-mismatch` where that would change a value."""
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    if table.schema.equals(schema):
        _check_sound(table)
        return table
    names = table.column_names
    if len(set(names)) != len(names):
        raise _mismatch(
            "columns", "every name once", ", ".join(sorted({n for n in names if names.count(n) > 1}))
        )
    _check_names("document", names, schema.names, _required(definition, definition.relations[0]))
    _check_sound(table)
    columns = []
    for field in schema:
        if field.name in names:
            columns.append(_column(definition, table.column(field.name), field.type, field.name))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    return pa.table(columns, schema=schema)


def _check_sound(table: pa.Table) -> None:
    try:
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowIndexError) as error:
        raise _mismatch("data", "sound Arrow columns of UTF-8 text", str(error)) from error


def _required(definition: Definition, relation: Relation) -> set[str]:
    required = {field.name for field in relation.fields if field.required}
    if relation is definition.relations[0]:
        required |= {child.name for child in definition.children if child.required}
    return required


def _check_names(where: str, got: list[str], expected: list[str], required: set[str]) -> None:
    unknown = [name for name in got if name not in expected]
    if unknown:
        raise _mismatch(where, f"no columns but {', '.join(expected)}", f"also {', '.join(unknown)[:500]}")
    missing = sorted(required.difference(got))
    if missing:
        raise _mismatch(where, f"the columns {', '.join(missing)}", f"only {', '.join(got)}")


def _mismatch(where: str, expected: str, got: str) -> RejectedError:
    return RejectedError("schema-mismatch", f"{where}: expected {expected}; got {got[:1000]}")


def _column(definition: Definition, column: Columns, target: pa.DataType, where: str) -> Columns:
    if column.type.equals(target):
        return column
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), target)
    if pa.types.is_list(target):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return pa.chunked_array([_lines(definition, chunk, target, where) for chunk in chunks], target)
    if pa.types.is_dictionary(column.type):
        column = (
            pc.dictionary_decode(column)
            if isinstance(column, pa.Array)
            else column.cast(column.type.value_type)
        )
        if column.type.equals(target):
            return column
    if not _same_kind(column.type, target):
        raise _mismatch(f"column {where}", str(target), str(column.type))
    try:
        return column.cast(target)
    except pa.ArrowInvalid as error:
        found = f"{column.type}" if definition.encrypted else f"{column.type}: {error}"
        raise _mismatch(f"column {where}", str(target), found) from error


def _same_kind(got: pa.DataType, target: pa.DataType) -> bool:
    types = pa.types
    texts = types.is_string(got) or types.is_large_string(got) or types.is_string_view(got)
    if types.is_string(target):
        return bool(texts)
    if types.is_int64(target):
        return bool(types.is_integer(got))
    if types.is_date32(target):
        return bool(texts or types.is_date64(got))
    return False


def _lines(definition: Definition, array: pa.Array, target: pa.ListType, where: str) -> pa.Array:
    got = array.type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_list(got) for is_list in lists) or not (
        pa.types.is_struct(got.value_type) or pa.types.is_null(got.value_type)
    ):
        raise _mismatch(f"column {where}", str(target), str(got))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(array) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] >= 2**31:
        raise _mismatch(f"column {where}", "fewer than 2^31 lines in one piece", str(offsets[-1]))
    values = array.flatten()
    wanted = target.value_type
    if pa.types.is_null(values.type):
        lines = pa.nulls(len(values), wanted)
    else:
        names = [field.name for field in values.type]
        relation = next(child for child in definition.children if child.name == where)
        _check_names(where, names, [field.name for field in wanted], _required(definition, relation))
        members = dict(zip(names, values.flatten(), strict=True))
        columns = [
            _column(definition, members[field.name], field.type, f"{where}.{field.name}")
            if field.name in members
            else pa.nulls(len(values), field.type)
            for field in wanted
        ]
        lines = pa.StructArray.from_arrays(
            columns, fields=list(wanted), mask=values.is_null() if values.null_count else None
        )
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), lines, type=target, mask=mask)


def flatten(definition: Definition, table: pa.Table) -> dict[str, pa.Table]:
    """A flat table for each relation, columns in `Relation.columns` order; lines carry their document's key."""
    document = definition.relations[0]
    flat: dict[str, list[pa.RecordBatch]] = {relation.name: [] for relation in definition.relations}
    first = len(document.fields)
    for piece in pieces(table):
        flat[document.name].append(piece.select([column.name for column in document.columns]))
        header = [piece.column(name) for name in definition.key]
        for place, relation in enumerate(definition.children, first):
            lines = Lines.of(piece.column(place))
            parents = pa.array(lines.parents)
            names = [field.name for field in relation.fields]
            own = [lines.column(names.index(column.name)) for column in relation.columns[len(header) :]]
            flat[relation.name].append(
                pa.RecordBatch.from_arrays(
                    [*(key.take(parents) for key in header), *own], schema=flat_schema(relation)
                )
            )
    return {
        relation.name: pa.Table.from_batches(flat[relation.name], flat_schema(relation))
        for relation in definition.relations
    }
