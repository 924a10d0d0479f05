"""What a Parquet file would cost to decode, found out before Arrow sees any of it.

The footer of a hostile file may claim anything, and Arrow allocates what the *page headers* claim. Arrow's Python classes for
metadata are no help: some footers end the process in them (an exception in C++ that nobody catches). So footer and page headers are read
here, and the file is refused when

- the footer, its lists, the depth of the schema, a page, a row group or a number of values is larger than any payload of ours
  needs (the constants below);
- places lie outside the file, or the numbers of rows, columns and values contradict each other;
- a column is encrypted, or uses DELTA_BYTE_ARRAY, where each value may repeat the megabyte before it: a bomb without compression.

A dictionary can be a bomb too: one long text, referred to by every row. It is not visible here; the columns where it is
possible are named in `Group.dictionaries`, and the reader keeps those encoded until it has looked.

Source: parquet.thrift of the Apache Parquet format. Not here: decoding, checksums, names and types of columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from filesync.errors import RejectedError
from filesync.readers import parquet_forms
from filesync.readers.thrift import LIST_MAX, Structure, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOOTER_BYTES_MAX = 4 << 20
DEPTH_MAX = 8  # of the schema: document, list, its wrapper, line, member; Arrow descends by recursion, without a limit
PAGE_BYTES_MAX = 64 << 20  # uncompressed; writers make pages of 1 MiB
PAGES_MAX = 10_000  # of one column in one row group
GROUP_BYTES_MAX = 1 << 30  # uncompressed, all columns of a row group
VALUES_MAX = 8 << 20  # of one column in one row group; writers/parquet.py ends a row group at 1 Mi lines
EXPANDED_BYTES_MAX = 256 << 20  # text of one column in one batch

_HEADER_BYTES = 512
_HEADER_BYTES_MAX = 64 << 10
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3  # PageType
_BYTE_ARRAY = 6  # Type
_DELTA_BYTE_ARRAY = 7  # Encoding


@dataclass(frozen=True, slots=True)
class Group:
    """A row group as its page headers say it is."""

    rows: int
    bytes: int  # uncompressed
    dictionaries: tuple[int, ...]  # columns (by number) whose text could be far longer than the file


class _Column(
    NamedTuple
):  # made faster than a frozen dataclass, and there is one for each column of each file
    number: int
    kind: int
    values: int
    start: int
    end: int


def measure(size: int, read: Callable[[int, int], bytes]) -> list[Group]:
    """The row groups of a file of `size` bytes, of which `read(offset, size)` returns a part.

    RejectedError("payload-unreadable") for what must not be given to Arrow.
    """
    footer = _footer(size, read)
    leaves = _leaves(_structures(footer, 2))
    groups = []
    for group in _structures(footer, 4):
        columns = list(_columns(group, leaves, size))
        total = 0
        dictionaries = []
        for column in columns:
            uncompressed, dictionary = _pages(column, read)
            total += uncompressed
            if column.kind == _BYTE_ARRAY and dictionary * column.values > EXPANDED_BYTES_MAX:
                dictionaries.append(column.number)
        if total > GROUP_BYTES_MAX:
            _refuse(f"row groups of up to {GROUP_BYTES_MAX} bytes", f"one of {total}")
        groups.append(Group(_number(group, 3), total, tuple(dictionaries)))
    rows = [group.rows for group in groups]
    if min(rows, default=0) < 0 or sum(rows) != _number(footer, 3):
        _refuse(f"{_number(footer, 3)} rows", f"row groups of {rows[:20]}")
    return groups


def _footer(size: int, read: Callable[[int, int], bytes]) -> Structure:
    tail = read(max(size - 8, 0), 8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > min(FOOTER_BYTES_MAX, size - 12):
        _refuse(f"a footer of up to {FOOTER_BYTES_MAX} bytes", f"{size} bytes that end with {tail!r}")
    try:
        return structure(read(size - 8 - length, length), shortcut=parquet_forms.listed)[0]
    except (IndexError, ValueError) as error:
        raise RejectedError("payload-unreadable", f"a Parquet footer was expected, got {error}") from error


def _leaves(elements: list[Structure]) -> int:
    """The number of columns in a schema, which is a list of elements that say how many of the following are their children."""
    leaves = 0
    open_ = [1]  # children still to come, from the root down
    for element in elements:
        while open_ and not open_[-1]:
            open_.pop()
        children = element.get(5, 0)
        if (
            not open_
            or not isinstance(children, int)
            or not 0 <= children <= LIST_MAX
            or len(open_) > DEPTH_MAX
        ):
            _refuse(f"a schema of up to {DEPTH_MAX} levels", "another")
        open_[-1] -= 1
        leaves += not children
        open_.append(children)
    if any(open_):
        _refuse("a whole schema", f"one of {len(elements)} elements with children missing")
    return leaves


def _columns(group: Structure, leaves: int, size: int) -> Iterator[_Column]:
    chunks = _structures(group, 1)
    if len(chunks) != leaves:
        _refuse(f"{leaves} columns in a row group", str(len(chunks)))
    for number, chunk in enumerate(chunks):
        data = chunk.get(3)
        if not isinstance(data, dict) or 8 in chunk or 9 in chunk:
            _refuse("columns that are not encrypted", f"column {number} without metadata, or with keys")
        start, dictionary = _number(data, 9), _number(data, 11)
        length, values = _number(data, 7), _number(data, 5)
        if 0 < dictionary < start:
            start = dictionary
        if not (0 <= start <= size and 0 <= length <= size - start):
            _refuse(
                f"pages inside the file of {size} bytes", f"column {number} at {start} with {length} bytes"
            )
        if not 0 <= values <= VALUES_MAX:
            _refuse(f"up to {VALUES_MAX} values in a row group", f"{values} in column {number}")
        yield _Column(number, _number(data, 1), values, start, start + length)


def _pages(column: _Column, read: Callable[[int, int], bytes]) -> tuple[int, int]:
    """(uncompressed bytes, of these in the dictionary)"""
    total = dictionary = seen = pages = 0
    start = column.start
    where = f"in column {column.number}"
    while seen < column.values:
        pages += 1
        if start >= column.end or pages > PAGES_MAX:
            _refuse(f"{column.values} values on up to {PAGES_MAX} pages {where}", f"{seen} on {pages - 1}")
        header, length = _page_header(column, start, read)
        kind, uncompressed, compressed = _number(header, 1), _number(header, 2), _number(header, 3)
        if not (0 <= compressed <= column.end - start - length and 0 <= uncompressed <= PAGE_BYTES_MAX):
            _refuse(
                f"pages of up to {PAGE_BYTES_MAX} bytes {where}",
                f"{uncompressed} bytes, {compressed} in the file",
            )
        total += uncompressed
        start += length + compressed
        if kind == _DICTIONARY and pages == 1:
            dictionary = uncompressed
            continue
        data = header.get(5 if kind == _DATA else 8)
        if kind not in {_DATA, _DATA_V2} or not isinstance(data, dict):
            _refuse(f"data pages {where}", f"a page of type {kind}")
        if _number(data, 2 if kind == _DATA else 4) == _DELTA_BYTE_ARRAY:
            _refuse(f"encodings that cannot grow {where}", "DELTA_BYTE_ARRAY")
        count = _number(data, 1)
        if not 0 < count <= column.values - seen:
            _refuse(f"{column.values} values {where}", f"{seen} and then a page of {count}")
        seen += count
    return total, dictionary


def _page_header(column: _Column, start: int, read: Callable[[int, int], bytes]) -> tuple[Structure, int]:
    for size in (_HEADER_BYTES, _HEADER_BYTES_MAX):
        try:
            data = read(start, min(size, column.end - start))
            return parquet_forms.page(data) or structure(data)
        except IndexError:
            continue
        except ValueError as error:
            raise RejectedError(
                "payload-unreadable", f"a Parquet page header was expected, got {error}"
            ) from error
    return _refuse(f"page headers of up to {_HEADER_BYTES_MAX} bytes", "a longer or a truncated one")


def _number(fields: Structure, field: int) -> int:
    """-1 for what is not there, which no check lets pass where it matters."""
    value = fields.get(field, -1)
    return value if isinstance(value, int) else -1


def _structures(fields: Structure, field: int) -> list[Structure]:
    value = fields.get(field)
    return value if isinstance(value, list) else []


def _refuse(expected: str, got: str) -> NoReturn:
    raise RejectedError("payload-unreadable", f"{expected} expected in a Parquet file, got {got}")
