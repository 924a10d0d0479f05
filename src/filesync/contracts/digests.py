"""Row digests: what a site remembers of every document that it sealed, 16 bytes for its key and 16 for its content.

The content digest covers every field and every child line in order; a null adds nothing, so that a contract which grows by an optional
column does not make every old row look changed. A digest depends on its own document only: neither on the rows beside it, nor on chunk
borders, dictionary encoding or buffer layout.

How: every value is cut into words of 64 bits; each is salted by column and place, mixed (splitmix64), and added to two lanes, to one as
it is and to the other times an odd number of its own. Other words give other sums but for a chance of 2^-128.

These are fingerprints against accident, not against forgery: they only decide whether a site sends its own row again. What crosses
between sites is always SHA-256. Whole columns are hashed at a time with numpy, because a million calls of hashlib would cost more than
writing the batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

Lanes = npt.NDArray[np.uint64]  # shape (2, rows)
Words = npt.NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
#: Texts longer than this are hashed one by one: their words would come one place at a time, for few rows each.
_WORDS_MAX: Final = 16
_BYTES_MAX: Final = 8 * _WORDS_MAX
#: Rows that are mixed together: the arrays of a block stay in the cache.
_BLOCK_ROWS: Final = 8192
#: A text column whose first rows hold so few different texts is hashed by its dictionary.
_SAMPLE_ROWS: Final = 512
_SAMPLE_TEXTS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class RowDigests:
    """Aligned with the documents: `keys` and `contents` are arrays of 16-byte binaries."""

    keys: pa.Array
    contents: pa.Array


@dataclass(frozen=True, slots=True)
class _Salts:
    """A column's own numbers: per place of a word what is added to it, and what it counts in the second lane."""

    places: tuple[np.uint64, ...]
    weights: tuple[np.uint64, ...]
    lengths: Words  # for the length, per lane
    key: bytes


def row_digests(table: pa.Table, key: tuple[str, ...]) -> RowDigests:
    """Digests of each document of `table` (nested documents in a contract's schema); `key` names the key columns."""
    rows = table.num_rows
    contents = np.zeros((2, rows), np.uint64)
    keys = np.zeros((2, rows), np.uint64)
    for name in table.column_names:
        lanes = _column(name, _contiguous(table.column(name)))
        contents += lanes
        if name in key:
            keys += lanes
    return RowDigests(_binary16(keys), _binary16(contents))


def _contiguous(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # older pyarrow returns chunks for nested types
        array = pa.concat_arrays(array.chunks)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _column(name: str, array: pa.Array) -> Lanes:
    """Both lanes of one column; zero where the value is null."""
    salts = _salts(name)
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(name, array)
    lanes = (
        _texts(array, salts)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind)
        else _numbers(array, salts)
    )
    if array.null_count:
        lanes[:, np.asarray(array.is_null())] = 0
    return lanes


def _numbers(array: pa.Array, salts: _Salts) -> Lanes:
    if pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    values = (
        array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    )
    lanes = np.zeros((2, len(values)), np.uint64)
    for block in _blocks(len(values)):
        _add(lanes[:, block], values[block], salts, 0)
    return lanes


def _texts(array: pa.Array, salts: _Salts) -> Lanes:
    rows = len(array)
    if rows > _SAMPLE_ROWS and len(array.slice(0, _SAMPLE_ROWS).unique()) <= _SAMPLE_TEXTS_MAX:
        encoded = array.dictionary_encode()
        if 4 * len(encoded.dictionary) <= rows:
            places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
            lanes = _plain_texts(encoded.dictionary, salts)
            return np.take(lanes, places, axis=1) if lanes.shape[1] else np.zeros((2, rows), np.uint64)
    return _plain_texts(array, salts)


def _plain_texts(array: pa.Array, salts: _Salts) -> Lanes:
    rows = len(array)
    lanes = np.zeros((2, rows), np.uint64)
    if not rows:
        return lanes
    wide = pa.types.is_large_string(array.type)
    offsets = np.frombuffer(array.buffers()[1], np.int64 if wide else np.int32)
    offsets = offsets[array.offset : array.offset + rows + 1].astype(np.int64)
    buffer = array.buffers()[2]
    data = np.frombuffer(buffer, np.uint8) if buffer is not None else np.zeros(0, np.uint8)
    for block in _blocks(rows):
        edges = offsets[block.start : block.stop + 1]
        body = data[edges[0] : edges[-1]]
        _add_texts(lanes[:, block], body, edges - edges[0], salts)
    for row in np.flatnonzero(np.diff(offsets) > _BYTES_MAX).tolist():
        text = data[offsets[row] : offsets[row + 1]].tobytes()
        lanes[:, row] = np.frombuffer(hashlib.blake2b(text, digest_size=16, key=salts.key).digest(), "<u8")
    return lanes


def _add_texts(
    lanes: Lanes, body: npt.NDArray[np.uint8], edges: npt.NDArray[np.int64], salts: _Salts
) -> None:
    """Add the words of texts: a text has as many as it has bytes, begun eights counted, whatever the texts beside it have."""
    lengths = np.diff(edges)
    longest = int(lengths.max())
    lanes += (lengths + 1).view(np.uint64) * salts.lengths[:, None]  # so that an empty text is not a null
    if int(lengths.min()) == longest <= _BYTES_MAX:
        matrix = np.zeros((len(lengths), -(-longest // 8) * 8), np.uint8)
        matrix[:, :longest] = body.reshape(len(lengths), longest)
        words = matrix.view("<u8")
        for place in range(words.shape[1]):
            _add(lanes, words[:, place], salts, place)
        return
    # A word begins at any byte: one number for every place in the bytes, of which some are picked.
    spread = np.concatenate([body, np.zeros(8, np.uint8)])
    every = np.ndarray((len(body) + 1,), "<u8", spread, strides=(1,))
    short = lengths <= _BYTES_MAX
    for place in range(min(-(-longest // 8), _WORDS_MAX)):
        rows = np.flatnonzero((lengths > 8 * place) & short)
        rest = np.minimum(lengths[rows] - 8 * place, 8).astype(np.uint64)
        words = every[edges[rows] + 8 * place] & (~np.uint64(0) >> (np.uint64(64) - 8 * rest))
        part = np.zeros((2, len(rows)), np.uint64)
        _add(part, words, salts, place)
        lanes[:, rows] += part


def _add(lanes: Lanes, words: Words, salts: _Salts, place: int) -> None:
    mixed = _mix(words + salts.places[place])
    lanes[0] += mixed
    mixed *= salts.weights[place]
    lanes[1] += mixed


def _lists(name: str, array: pa.Array) -> Lanes:
    """A document's lines: each line's lanes, mixed with its place, summed per document. An empty list differs from none by nothing."""
    offsets = array.offsets.to_numpy().astype(np.int64)
    lines = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    lanes = np.zeros((2, len(lines)), np.uint64)
    for place in range(lines.type.num_fields):
        field = lines.type.field(place).name
        lanes += _column(f"{name}.{field}", lines.field(place))
    starts = offsets[:-1] - offsets[0]
    lengths = np.diff(offsets)
    if array.null_count:  # a null list may still cover lines of its buffer; they are not part of the document
        lengths = np.where(np.asarray(array.is_null()), 0, lengths)
    total = np.zeros((2, len(array)), np.uint64)
    if len(lines):
        place = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        picked = np.repeat(starts, lengths) + place
        ends = np.cumsum(lengths)
        for lane, seed in enumerate(_salts(name).lengths):
            mixed = _mix(lanes[lane][picked] ^ (seed + _GOLDEN * place.astype(np.uint64)))
            sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
            total[lane] = sums[ends] - sums[ends - lengths]
    return total


@cache
def _salts(name: str) -> _Salts:
    """From the column's name, so that equal values in two columns do not count the same."""
    count = _WORDS_MAX * 2 + 2
    digest = b"".join(
        hashlib.blake2b(name.encode(), digest_size=64, salt=bytes([part])).digest()
        for part in range(-(-count // 8))
    )
    numbers = np.frombuffer(digest, "<u8").astype(np.uint64)[:count]
    odd = numbers[_WORDS_MAX:] | np.uint64(1)
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return _Salts(tuple(numbers[:_WORDS_MAX]), tuple(odd[:_WORDS_MAX]), odd[_WORDS_MAX:], key)


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK_ROWS, rows)) for start in range(0, rows, _BLOCK_ROWS))


def _mix(values: Words) -> Words:
    """The splitmix64 finalizer (Steele, Lea and Flood, 2014), modulo 2**64 by numpy's unsigned arithmetic; in place."""
    shifted = values >> np.uint64(30)
    values ^= shifted
    values *= _MIX_1
    np.right_shift(values, np.uint64(27), out=shifted)
    values ^= shifted
    values *= _MIX_2
    np.right_shift(values, np.uint64(31), out=shifted)
    values ^= shifted
    return values


def _binary16(lanes: Lanes) -> pa.Array:
    data = np.ascontiguousarray(lanes.T).astype("<u8").tobytes()
    return pa.Array.from_buffers(pa.binary(16), lanes.shape[1], [None, pa.py_buffer(data)])
