"""A source's rows in memory: columns as distinct values and codes, and the grouping of rows into documents.
Pure.

A column is stored as its distinct values and one int32 code per row (-1: empty). Rules then work on distinct
values only: half a million prices are a few thousand different texts. Documents are numbered in the order in
which their first row stands in the source.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Codes = np.ndarray[Any, np.dtype[np.int32]]
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Cells:
    """Distinct values (no nulls) and a code per row; -1 is empty."""

    values: pa.Array
    codes: Codes

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray) -> Cells:
        """Encode a column. Empty text is an empty cell."""
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(array, pa.ChunkedArray):  # what combine_chunks returns for a column without chunks
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.nulls(0, array.type)
        if pa.types.is_dictionary(array.type):
            array = array.cast(array.type.value_type)
        if pa.types.is_null(array.type):
            return cls(pa.array([], pa.string()), np.full(len(array), -1, np.int32))
        kind = array.type
        if isinstance(kind, pa.BaseExtensionType):
            array = array.storage
        encoded = pc.dictionary_encode(array)
        cells = cls(_meant(encoded.dictionary, kind), _codes(encoded.indices))
        if pa.types.is_string(cells.values.type) or pa.types.is_large_string(cells.values.type):
            return cells.keep(pc.not_equal(cells.values, ""))
        return cells

    @classmethod
    def constant(cls, value: pa.Array, rows: int) -> Cells:
        """One value in every row."""
        return cls(value, np.zeros(rows, np.int32))

    def keep(self, mask: pa.Array) -> Cells:
        """Empty the cells whose value the mask refuses."""
        if pc.all(mask).as_py() is not False:
            return self
        return self.mapped(pc.if_else(mask, self.values, None))

    def mapped(self, values: pa.Array) -> Cells:
        """The same cells with other values, one for each distinct value; null empties the cell. Equal values
        become one.
        """
        encoded = pc.dictionary_encode(values)
        table = np.append(_codes(encoded.indices), np.int32(-1))  # code -1 finds the last entry
        return Cells(encoded.dictionary, table[self.codes])

    def column(self, rows: Rows | None = None) -> pa.Array:
        """The plain column, of these rows or of all."""
        codes = self.codes if rows is None else self.codes[rows]
        return self.values.take(pa.array(codes, mask=codes < 0))

    def value(self, row: int) -> Any:
        """One cell's value, as Python sees it."""
        code = int(self.codes[row])
        return None if code < 0 else self.values[code].as_py()


@dataclass(frozen=True, slots=True)
class Grouping:
    """Which rows make which document. `order` lists the rows by document, in source order; document d has
    order[starts[d]:starts[d+1]].
    """

    document: Codes  # per row; -1: belongs to none
    order: Rows
    starts: Rows

    @classmethod
    def of(cls, document: Codes, documents: int) -> Grouping:
        order = np.argsort(document, kind="stable").astype(np.int64)
        order = order[np.searchsorted(document[order], 0) :]  # rows without a document sort first
        counts = np.bincount(document[document >= 0], minlength=documents)
        return cls(document, order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @classmethod
    def each(cls, rows: int) -> Grouping:
        """Every row is a document."""
        every = np.arange(rows, dtype=np.int64)
        return cls(every.astype(np.int32), every, np.arange(rows + 1, dtype=np.int64))

    @property
    def documents(self) -> int:
        return len(self.starts) - 1

    @property
    def firsts(self) -> Rows:
        """The first row of each document (documents that have rows)."""
        return self.order[self.starts[:-1]]

    @property
    def lasts(self) -> Rows:
        return self.order[self.starts[1:] - 1]

    @property
    def one_each(self) -> bool:
        return len(self.document) == self.documents == len(self.order)


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows of one file or query. `lines` are line numbers in the source, from 1."""

    columns: Mapping[str, Cells]
    lines: Rows
    grouping: Grouping
    unit: str = "line"

    def raw(self, rows: Rows) -> list[dict[str, Any]]:
        """These rows as the source had them, for the quarantine: {"line", "values"}, ready for JSON."""
        columns = [
            [_plain(value) for value in cells.column(rows).to_pylist()] for cells in self.columns.values()
        ]
        return [
            {"line": line, "values": dict(zip(self.columns, values, strict=True))}
            for line, *values in zip(self.lines[rows].tolist(), *columns, strict=True)
        ]


def combined(cells: Sequence[Cells], rows: int) -> tuple[Codes, Rows]:
    """Number the distinct combinations of several columns in order of appearance: (code per row, a row of
    each combination).
    """
    key = np.zeros(rows, np.int64)
    for column in cells:
        width = len(column.values) + 1
        codes = pc.dictionary_encode(pa.array(key * width + column.codes + 1))
        key = _codes(codes.indices).astype(np.int64)  # small again, so that no number of columns overflows
    firsts = np.zeros(int(key.max(initial=-1)) + 1, np.int64)
    firsts[key[::-1]] = np.arange(rows - 1, -1, -1)  # the last assignment to a number wins: its first row
    return key.astype(np.int32), firsts


def _meant(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """What a driver's own types stand for: PostgreSQL's numeric comes as text with a point, a UUID as 16
    bytes.
    """
    if isinstance(kind, pa.UuidType):
        return pa.array([str(uuid.UUID(bytes=value)) for value in values.to_pylist()], pa.string())
    if isinstance(kind, pa.OpaqueType) and kind.type_name == "numeric" and len(values):
        return pa.array([Decimal(value) for value in values.to_pylist()])
    return values


def _codes(indices: pa.Array) -> Codes:
    return np.asarray(indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int32)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
