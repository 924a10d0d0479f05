"""Rows as JSON lines: one document a line, UTF-8, members in the contract's order, a member absent where the value is null.

The text is built column by column in Arrow, not object by object: ten times as fast as `json.dumps`. A null list is absent and
an empty one is `[]`: the difference comes back when the file is read. Dates are ISO text.

Not here: the digest, the file (payload.py); floats and deeper nesting, which contracts do not have.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from filesync.writers.payload import Sink

BLOCK_ROWS = 1 << 14  # bounds the text that is held at once
LINE_BYTES_MAX = 1 << 20  # what readers/jsonlines.py still takes


class JsonLinesWriter:
    """`PayloadWriter` for JSON lines."""

    def __init__(self, file: Sink, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        """Raises RejectedError("document-too-large") for a document that no reader would take."""
        if not table.schema.equals(self._schema):
            raise ValueError(f"a table with the schema\n{self._schema}\nwas expected, got\n{table.schema}")
        for lines in blocks(table):
            self._file.write(_text(lines))

    def close(self) -> None:
        """Nothing is held back."""


def blocks(table: pa.Table) -> Iterator[pa.StringArray]:
    """The lines of every BLOCK_ROWS documents. Raises RejectedError("document-too-large") for one that no reader would take."""
    for start in range(0, table.num_rows, BLOCK_ROWS):
        block = table.slice(start, BLOCK_ROWS).combine_chunks().to_batches()[0]
        lines = _objects(block.schema, block.columns, block.num_rows, "}\n")
        longest = pc.max(pc.binary_length(lines)).as_py() - 1
        if longest > LINE_BYTES_MAX:
            raise RejectedError(
                "document-too-large",
                f"documents of up to {LINE_BYTES_MAX} bytes were expected, got one of {longest}",
            )
        yield lines


def texts(table: pa.Table, counts: Sequence[int]) -> Iterator[bytes]:
    """The lines of the first `counts[0]` documents, of the next `counts[1]`, and so on, as one text each."""
    lines = pa.chunked_array(blocks(table), pa.string())
    start = 0
    for count in counts:
        yield b"".join(_text(chunk).to_pybytes() for chunk in lines.slice(start, count).chunks)
        start += count


def _objects(fields: Iterable[pa.Field], columns: list[pa.Array], rows: int, end: str) -> pa.Array:
    """One JSON object per row, closed by `end` (`}` and what follows it)."""
    parts: list[pa.Array | str] = []
    begun: pa.Array | bool = False  # whether the row's object has a member yet: decides between `{` and `,`
    for field, column in zip(fields, columns, strict=True):
        if column.null_count == rows:
            continue
        name = json.dumps(field.name, ensure_ascii=False) + ":"
        before, value, after = _values(column)
        opening = pc.if_else(begun, ",", "{") if isinstance(begun, pa.Array) else "{,"[begun]
        if column.null_count:
            # Null in one of the parts makes the whole member null, which the last join leaves out.
            parts.append(pc.binary_join_element_wise(opening, name + before, value, after, ""))
            begun = (
                begun or column.is_valid() if isinstance(begun, bool) else pc.or_(begun, column.is_valid())
            )
        else:
            parts += [opening, name + before, value, after]
            begun = True
    parts.append(
        pc.if_else(begun, end, "{" + end) if isinstance(begun, pa.Array) else end if begun else "{" + end
    )
    if not any(isinstance(part, pa.Array) for part in parts):
        return pa.array(["".join(map(str, parts))] * rows, pa.string())
    return pc.binary_join_element_wise(*_merged(parts), "", null_handling="replace", null_replacement="")


def _merged(parts: list[pa.Array | str]) -> list[pa.Array | str]:
    """Neighbouring constants as one: the join's cost is the number of its parts."""
    merged: list[pa.Array | str] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif not isinstance(part, str) or part:
            merged.append(part)
    return merged


def _values(column: pa.Array) -> tuple[str, pa.Array, str]:
    """The column's values as JSON text, and what stands before and after each; null stays null."""
    kind = column.type
    if pa.types.is_string(kind):
        return '"', _escaped(column), '"'
    if pa.types.is_date32(kind):
        return '"', column.cast(pa.string()), '"'
    if pa.types.is_int64(kind) or pa.types.is_boolean(kind):
        return "", column.cast(pa.string()), ""
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        lines = column.flatten()  # without what hides under null lists and outside a slice
        texts = _objects(kind.value_type, lines.flatten(), len(lines), "}")
        if lines.null_count:
            texts = pc.if_else(lines.is_valid(), texts, "null")
        lengths = pc.list_value_length(column)
        offsets = np.zeros(len(column) + 1, np.int32)
        np.cumsum(pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False), out=offsets[1:])
        mask = column.is_null() if column.null_count else None
        return "[", pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), texts, mask=mask), ","), "]"
    raise TypeError(f"text, whole numbers, booleans, dates and lists of objects were expected, got {kind}")


def _escaped(column: pa.StringArray) -> pa.StringArray:
    """Text with the escapes that JSON requires. Almost no column needs any, which one look at its bytes tells."""
    characters = np.frombuffer(_text(column), np.uint8)
    if not ((characters < 0x20) | (characters == 0x22) | (characters == 0x5C)).any():
        return column
    special = pc.match_substring_regex(column, r'[\x00-\x1f"\\]')
    texts = [json.dumps(text, ensure_ascii=False)[1:-1] for text in column.filter(special).to_pylist()]
    return pc.replace_with_mask(column, pc.fill_null(special, False), pa.array(texts, pa.string()))


def _text(column: pa.StringArray) -> pa.Buffer:
    """All texts of the array, one after the other, as Arrow keeps them: no copy."""
    _, offsets, data = column.buffers()
    if data is None or not len(column):
        return pa.py_buffer(b"")
    first, last = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]].tolist()
    return data.slice(first, last - first)
