"""Keys that repeat: of documents inside a table, of lines inside a document. And ticket numbers that are missing.

Columns of any type become dense codes, codes of several columns become one, and repetition is then a matter of equal
integers. What is not here: keys that a store already holds (stores/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.contracts.model import Continuity
    from filesync.contracts.rows import Int64s, Lines
    from filesync.contracts.textview import Mask


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that are missing between the first and the last one of a series; `missing` are inclusive ranges."""

    per: tuple[str, ...]
    missing: tuple[tuple[int, int], ...]


def repeated_lines(lines: Lines, keys: Sequence[pa.Array]) -> Mask | None:
    """The lines whose key stands more than once in their document, or None. Usual are numbers that rise: one look tells."""
    if len(lines) < 2:
        return None
    parents = lines.parents
    if len(keys) == 1 and pa.types.is_integer(keys[0].type) and not keys[0].null_count:
        values: Int64s = keys[0].to_numpy()
        if bool(((values[1:] > values[:-1]) | (parents[1:] != parents[:-1])).all()):
            return None
    return repeated([pa.array(parents), *keys])


def repeated(columns: Sequence[pa.Array]) -> Mask | None:
    """The rows whose combination of values stands more than once, or None. null equals null."""
    codes, count = combined_codes(columns)
    if count == len(codes):
        return None
    often: Mask = np.bincount(codes, minlength=count)[codes] > 1
    return often


def combined_codes(columns: Sequence[pa.Array]) -> tuple[Int64s, int]:
    """A code from 0 for each row, equal where all columns are equal, and how many codes there are."""
    codes, count = _codes(columns[0])
    for column in columns[1:]:
        if count == len(codes):
            break
        more, many = _codes(column)
        codes, count = _dense(codes * many + more, count * many)
    return codes, count


def _dense(codes: Int64s, below: int) -> tuple[Int64s, int]:
    """The same codes (all of them below `below`) without those that do not occur, and how many are left.

    After every column: the product of two counts of rows stays far below 2^63.
    """
    if below <= 4 * len(codes):  # so few that they are counted rather than sorted
        occurs = np.bincount(codes, minlength=below) > 0
        places: Int64s = np.cumsum(occurs) - 1
        return places[codes], int(places[-1]) + 1
    distinct, dense = np.unique(codes, return_inverse=True)
    return dense, len(distinct)


def _codes(column: pa.Array) -> tuple[Int64s, int]:
    encoded = pc.dictionary_encode(column, null_encoding="encode")
    codes: Int64s = encoded.indices.to_numpy().astype(np.int64)
    return codes, len(encoded.dictionary)


def repeated_documents(table: pa.Table, key: Sequence[str]) -> Mask | None:
    """The documents whose key stands more than once in `table`, or None."""
    if table.num_rows < 2:
        return None
    # The last key column tells most documents apart, so it comes first and usually alone.
    return repeated([_whole(table.column(name)) for name in reversed(key)])


def gaps(table: pa.Table, continuity: Continuity) -> list[Gap]:
    """What is missing in each series of `table`, each series once."""
    whole = [_whole(table.column(name)) for name in (*continuity.per, continuity.number)]
    known = np.logical_and.reduce([column.is_valid().to_numpy(zero_copy_only=False) for column in whole])
    if not known.all():
        whole = [column.filter(pa.array(known)) for column in whole]
    *per, numbers = whole
    if len(numbers) < 2:
        return []
    codes, count = combined_codes(per)
    values: Int64s = numbers.to_numpy()
    if _without_gaps(codes, count, values):
        return []
    order = np.lexsort((values, codes))
    codes, values = codes[order], values[order]
    after = np.flatnonzero((codes[1:] == codes[:-1]) & (values[1:] > values[:-1]))
    after = after[values[after + 1] - 1 != values[after]]
    missing: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for place in after.tolist():
        row = int(order[place])
        series = tuple(column[row].as_py() for column in per)
        missing.setdefault(series, []).append((int(values[place]) + 1, int(values[place + 1]) - 1))
    return [Gap(series, tuple(ranges)) for series, ranges in missing.items()]


def _without_gaps(codes: Int64s, series: int, values: Int64s) -> bool:
    """Whether the numbers of each series surely follow each other. Usual, and told without sorting."""
    first = np.full(series, np.iinfo(np.int64).max)
    last = np.full(series, np.iinfo(np.int64).min)
    np.minimum.at(first, codes, values)
    np.maximum.at(last, codes, values)
    lengths = [int(high) - int(low) + 1 for low, high in zip(first, last, strict=True)]
    if sum(lengths) > len(values):  # some number is not there
        return False
    starts = np.cumsum([0, *lengths[:-1]])
    occurs = np.zeros(sum(lengths), np.bool_)
    occurs[(starts - first)[codes] + values] = True
    return bool(occurs.all())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_string(column.type) and column.nbytes >= 2**31:  # more text than one string array can hold
        column = column.cast(pa.large_string())
    return column.combine_chunks()
