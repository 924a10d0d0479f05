"""What a Parquet file would cost to decode, found out before it is decoded.

The footer of a hostile file may claim anything, and Arrow allocates what the *page headers* claim. So every page header is
read here (Thrift compact protocol, parquet.thrift of the Apache Parquet format), and the file is refused when

- a page, a row group or the number of values is larger than any payload of ours needs (the constants below),
- the headers contradict the footer (number of values, sizes, places outside the file),
- a column uses DELTA_BYTE_ARRAY, where each value may repeat the megabyte before it (a bomb without compression).

A dictionary can be a bomb too: one long text, referred to by every row. It is not visible here; the columns where it is
possible are named in `Cost.dictionaries`, and the reader keeps those encoded until it has looked.

Not here: decoding, checksums, the schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow.parquet as pq

PAGE_BYTES_MAX = 64 << 20  # uncompressed; writers make pages of 1 MiB
PAGES_MAX = 10_000  # of one column in one row group
GROUP_BYTES_MAX = 1 << 30  # uncompressed, all columns of a row group
VALUES_MAX = 8 << 20  # of one column in one row group; writers/parquet.py ends a row group at 1 Mi lines
EXPANDED_BYTES_MAX = 256 << 20  # text of one column in one batch

_HEADER_BYTES = 512
_HEADER_BYTES_MAX = 64 << 10
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_DELTA_BYTE_ARRAY = 7


@dataclass(frozen=True, slots=True)
class Cost:
    """A row group's size as its page headers say it, which is what decoding it takes."""

    rows: int
    bytes: int
    dictionaries: tuple[str, ...]  # paths of columns whose values could be far longer than the file


def measure(group: pq.RowGroupMetaData, read: Callable[[int, int], bytes], file_bytes: int) -> Cost:
    """`read(offset, size)` returns bytes of the file (fewer at its end). Raises RejectedError("payload-unreadable")."""
    total = 0
    dictionaries = []
    for index in range(group.num_columns):
        column = group.column(index)
        values = column.num_values
        if not 0 <= values <= VALUES_MAX:
            raise _refused(column, f"up to {VALUES_MAX} values in a row group", values)
        start = column.data_page_offset
        if column.dictionary_page_offset is not None and 0 < column.dictionary_page_offset < start:
            start = column.dictionary_page_offset
        end = start + column.total_compressed_size
        if not 0 <= start <= end <= file_bytes:
            raise _refused(column, f"pages inside the file of {file_bytes} bytes", f"{start} to {end}")
        uncompressed, dictionary = _measure_pages(column, values, start, end, read)
        total += uncompressed
        if dictionary * values > EXPANDED_BYTES_MAX and column.physical_type == "BYTE_ARRAY":
            dictionaries.append(column.path_in_schema)
    if total > GROUP_BYTES_MAX:
        raise RejectedError(
            "payload-unreadable",
            f"row groups of up to {GROUP_BYTES_MAX} bytes were expected, got {total} bytes",
        )
    return Cost(group.num_rows, total, tuple(dictionaries))


def _measure_pages(
    column: pq.ColumnChunkMetaData, values: int, start: int, end: int, read: Callable[[int, int], bytes]
) -> tuple[int, int]:
    """(uncompressed bytes, of these in the dictionary) of one column in one row group."""
    total = dictionary = seen = pages = 0
    while seen < values:
        pages += 1
        if start >= end or pages > PAGES_MAX:
            raise _refused(column, f"{values} values on up to {PAGES_MAX} pages", f"{seen} on {pages - 1}")
        header, length = _page_header(column, start, end, read)
        kind, uncompressed, compressed = (_number(header, field) for field in (1, 2, 3))
        if not (0 <= compressed <= end - start - length and 0 <= uncompressed <= PAGE_BYTES_MAX):
            raise _refused(
                column,
                f"pages of up to {PAGE_BYTES_MAX} bytes inside their column",
                f"{uncompressed} bytes, {compressed} in the file",
            )
        total += uncompressed
        start += length + compressed
        if kind == _DICTIONARY and pages == 1:
            dictionary = uncompressed
            continue
        if kind not in {_DATA, _DATA_V2}:
            raise _refused(column, "data pages", f"a page of type {kind}")
        data = header.get(5 if kind == _DATA else 8)
        if not isinstance(data, dict):
            raise _refused(column, "a header of its kind on every page", "none")
        if _number(data, 2 if kind == _DATA else 4) == _DELTA_BYTE_ARRAY:
            raise _refused(column, "an encoding that does not grow", "DELTA_BYTE_ARRAY")
        count = _number(data, 1)
        if not 0 < count <= values - seen:
            raise _refused(column, f"{values} values", f"{seen} and then a page of {count}")
        seen += count
    return total, dictionary


def _page_header(
    column: pq.ColumnChunkMetaData, start: int, end: int, read: Callable[[int, int], bytes]
) -> tuple[dict[int, object], int]:
    for size in (_HEADER_BYTES, _HEADER_BYTES_MAX):
        data = read(start, min(size, end - start))
        try:
            return _struct(data, 0, 0)
        except IndexError:
            continue
        except ValueError as error:
            raise _refused(column, "a page header", str(error)) from error
    raise _refused(column, f"a page header of up to {_HEADER_BYTES_MAX} bytes", "a longer or a truncated one")


def _number(fields: dict[int, object], field: int) -> int:
    value = fields.get(field)
    return value if isinstance(value, int) else -1


def _refused(column: pq.ColumnChunkMetaData, expected: str, got: object) -> RejectedError:
    return RejectedError(
        "payload-unreadable", f"column {column.path_in_schema}: {expected} expected, got {got}"
    )


# Thrift compact protocol: only as much as a page header needs. Whole numbers and structures are kept, the rest is skipped.
# Raises IndexError where the data end too early, ValueError for what is no Thrift.

_NESTED_MAX = 8


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, object], int]:
    fields: dict[int, object] = {}
    field = 0
    if depth > _NESTED_MAX:
        raise ValueError("structures nested too deep")
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            field += head >> 4
        else:
            number, at = _varint(data, at)
            field = (number >> 1) ^ -(number & 1)
        kind = head & 15
        if kind == 5:  # i32, by far the most frequent
            number = data[at]
            at += 1
            if number > 127:
                number, at = _varint(data, at - 1)
            fields[field] = (number >> 1) ^ -(number & 1)
        elif kind == 12:
            fields[field], at = _struct(data, at, depth + 1)
        else:
            at = _skip(data, at, kind, depth)


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    if depth > _NESTED_MAX:
        raise ValueError("lists nested too deep")
    match kind:
        case 1 | 2:  # booleans stand in the field's head
            return at
        case 3:
            return at + 1
        case 4 | 5 | 6:
            return _varint(data, at)[1]
        case 7:
            return at + 8
        case 8:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise IndexError("a text goes beyond the data")
            return at + size
        case 9 | 10:
            return _skip_list(data, at, depth)
        case 12:
            return _struct(data, at, depth + 1)[1]
    raise ValueError(f"a field of type {kind}")


def _skip_list(data: bytes, at: int, depth: int) -> int:
    head, at = data[at], at + 1
    count = head >> 4
    if count == 15:
        count, at = _varint(data, at)
    if count > len(data):
        raise IndexError("a list goes beyond the data")
    for _ in range(count):
        at = at + 1 if head & 15 in {1, 2} else _skip(data, at, head & 15, depth + 1)
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
