"""Documents as Python values: out of a table (null is absent, dates are ISO text), and into one, each on its own merits.

- A document whose types do not fit is named and left out; the others are kept. That is how one bad line of a JSON file
  stays one bad document.
- 1.0 is the integer 1, as JSON Schema says; `true` is not; an integer beyond 64 bits fits no column.
- null is absent. Unknown members are named, not dropped (unless they are null, and so absent).

What is not here: everything that masks can see in a column (masks.py).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.formats import is_date
from filesync.contracts.model import INT64_MAX, INT64_MIN, ColumnType
from filesync.contracts.rows import Lines, pieces
from filesync.protocol.receipt import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from filesync.contracts.model import Definition, Field, Relation

SHOWN_CHARS_MAX = 60


def documents(definition: Definition, table: pa.Table) -> list[dict[str, Any]]:
    """The documents of `table`, as jsonschema sees them and as JSON lines hold them."""
    return [document for piece in pieces(table) for document in _of_piece(definition, piece)]


def _of_piece(definition: Definition, piece: pa.RecordBatch) -> list[dict[str, Any]]:
    document = definition.relations[0]
    columns = [_values(piece.column(place)) for place in range(len(document.fields))]
    found = _members([field.name for field in document.fields], columns, piece.num_rows)
    for place, relation in enumerate(definition.children, len(document.fields)):
        array = piece.column(place)
        lines = Lines.of(array)
        names = [field.name for field in relation.fields]
        members: list[Any] = _members(
            names, [_values(lines.column(n)) for n in range(len(names))], len(lines)
        )
        if lines.values.null_count:
            members = [
                member if known else None
                for member, known in zip(members, lines.values.is_valid().to_pylist(), strict=True)
            ]
        held = array.is_valid().to_pylist()
        for row, (start, length) in enumerate(
            zip(lines.starts.tolist(), lines.lengths.tolist(), strict=True)
        ):
            if held[row]:
                found[row][relation.name] = members[start : start + length]
    return found


def _members(names: list[str], columns: list[list[Any]], rows: int) -> list[dict[str, Any]]:
    if not columns:
        return [{} for _ in range(rows)]
    return [
        {name: value for name, value in zip(names, values, strict=True) if value is not None}
        for values in zip(*columns, strict=True)
    ]


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_date32(column.type):
        column = pc.cast(column, pa.string())
    values: list[Any] = column.to_pylist()
    return values


class _Misfit(Exception):  # noqa: N818 -- never leaves this module
    def __init__(self, code: str, path: Sequence[str | int], why: str) -> None:
        super().__init__(why)
        self.code = code
        self.path = path
        self.why = why


def from_documents(
    definition: Definition, schema: pa.Schema, given: Iterable[object]
) -> tuple[pa.Table, list[Problem], list[int]]:
    """A table of the documents whose types fit, the problems of the others, and the places of those kept."""
    kept: list[int] = []
    rows: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for place, document in enumerate(given):
        try:
            rows.append(_document(definition, document))
        except _Misfit as misfit:
            problems.append(_problem(definition, place, misfit))
        else:
            kept.append(place)
    return pa.Table.from_pylist(rows, schema), problems, kept


def _document(definition: Definition, document: object) -> dict[str, Any]:
    header, children = definition.relations[0], {child.name: child for child in definition.children}
    members = _object(document, ())
    row: dict[str, Any] = {}
    fields = {field.name: field for field in header.fields}
    for name, value in members.items():
        if value is None:
            continue
        if name in fields:
            row[name] = _scalar(fields[name], value, (name,))
        elif name in children:
            row[name] = list(_lines(children[name], value))
        else:
            raise _Misfit("additional-properties", (), f"there is no member {shown(name)} in this contract")
    return row


def _lines(relation: Relation, value: object) -> Iterator[dict[str, Any] | None]:
    if not isinstance(value, list):
        raise _Misfit("type", (relation.name,), f"expected an array, got {shown(value)}")
    fields = {field.name: field for field in relation.fields}
    for place, line in enumerate(value):
        row: dict[str, Any] = {}
        for name, member in _object(line, (relation.name, place)).items():
            if member is None:
                continue
            if name not in fields:
                raise _Misfit(
                    "additional-properties",
                    (relation.name, place),
                    f"there is no member {shown(name)} in a line of {relation.name}",
                )
            row[name] = _scalar(fields[name], member, (relation.name, place, name))
        yield row


def _object(value: object, path: Sequence[str | int]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Misfit("type", path, f"expected an object, got {shown(value)}")
    return value


def _scalar(field: Field, value: object, path: Sequence[str | int]) -> object:
    match field.type:
        case ColumnType.TEXT if isinstance(value, str):
            if value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value):
                return value
            raise _Misfit("type", path, "expected a text, got one with lone surrogates")
        case ColumnType.INTEGER if type(value) is int and INT64_MIN <= value <= INT64_MAX:
            return value
        case ColumnType.INTEGER if (
            type(value) is float and value.is_integer() and INT64_MIN <= int(value) <= INT64_MAX
        ):
            return int(value)
        case ColumnType.BOOLEAN if isinstance(value, bool):
            return value
        case ColumnType.DATE if isinstance(value, date) and not isinstance(value, datetime):
            return value
        case ColumnType.DATE if isinstance(value, str):
            if is_date(value):
                return date.fromisoformat(value)
            raise _Misfit("format", path, f"expected a date YYYY-MM-DD, got {shown(value)}")
    expected = {
        ColumnType.TEXT: "a text",
        ColumnType.INTEGER: "an integer of 64 bits",
        ColumnType.BOOLEAN: "true or false",
        ColumnType.DATE: "a date YYYY-MM-DD",
    }[field.type]
    raise _Misfit("type", path, f"expected {expected}, got {shown(value)}")


def _problem(definition: Definition, place: int, misfit: _Misfit) -> Problem:
    path = misfit.path
    relation = str(path[0]) if len(path) > 1 else definition.dataset
    pointer = "".join(f"/{step}" for step in path)
    why = str(misfit) if not definition.encrypted else misfit.why.partition(", got ")[0]
    return Problem(misfit.code, f"{pointer or 'document'}: {why}", relation, place, pointer)


def shown(value: object) -> str:
    """A value in a message: as JSON writes it, and short, whatever a hostile file holds."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case str():
            return (
                repr(value)
                if len(value) <= SHOWN_CHARS_MAX
                else f"{value[:SHOWN_CHARS_MAX]!r}… ({len(value)} characters)"
            )
        case int():
            return str(value) if INT64_MIN <= value <= INT64_MAX else "an integer beyond 64 bits"
        case dict():
            return "an object"
        case list():
            return f"an array of {len(value)}"
    return repr(value)[:SHOWN_CHARS_MAX]
