"""Row digests: what a site remembers of every document that it sealed, 16 bytes for its key and 16 for its content.

The content digest covers every field and every child line in order; a null adds nothing, so that a contract which grows by an optional
column does not make every old row look changed. Chunk borders, dictionary encoding and buffer layout never change a digest.

These are fingerprints against accident (two independent 64-bit lanes, each a sum of splitmix64-mixed words), not against forgery: they
only decide whether a site sends its own row again. What crosses between sites is always SHA-256. Whole columns are hashed at a time with
numpy, because a million calls of hashlib would cost more than writing the batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Lanes = npt.NDArray[np.uint64]  # shape (2, rows)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
#: Texts longer than this are hashed one by one: a padded matrix as wide as the longest text would not be bounded.
_WIDTH_MAX = 128


@dataclass(frozen=True, slots=True)
class RowDigests:
    """Aligned with the documents: `keys` and `contents` are arrays of 16-byte binaries."""

    keys: pa.Array
    contents: pa.Array


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
    seeds = _seeds(name)
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _lists(name, array)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        lanes = _texts(array, seeds)
    else:
        lanes = _numbers(array, seeds)
    if array.null_count:
        lanes[:, np.asarray(array.is_null())] = 0
    return lanes


def _numbers(array: pa.Array, seeds: npt.NDArray[np.uint64]) -> Lanes:
    if pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    values = (
        array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    )
    return np.stack([_mix(values ^ seed) for seed in seeds])


def _texts(array: pa.Array, seeds: npt.NDArray[np.uint64]) -> Lanes:
    rows = len(array)
    offsets = np.frombuffer(
        array.buffers()[1], np.int64 if pa.types.is_large_string(array.type) else np.int32
    )
    offsets = offsets[array.offset : array.offset + rows + 1].astype(np.int64)
    if rows == 0:
        return np.zeros((2, 0), np.uint64)
    buffer = array.buffers()[2]
    data = np.frombuffer(buffer, np.uint8) if buffer is not None else np.zeros(0, np.uint8)
    lengths = np.diff(offsets)
    width = int(lengths.max())
    if width > _WIDTH_MAX or width * rows > (1 << 28):
        return _long_texts(array, seeds)
    padded = max(8, -(-width // 8) * 8)
    matrix = np.zeros((rows, padded), np.uint8)
    body = data[offsets[0] : offsets[-1]]
    if int(lengths.min()) == width:
        matrix[:, :width] = body.reshape(rows, width)
    else:
        matrix[np.arange(padded) < lengths[:, None]] = body
    words = matrix.view("<u8")
    lanes = np.empty((2, rows), np.uint64)
    for lane, seed in enumerate(seeds):
        total = _mix(lengths.view(np.uint64) ^ seed)
        for place, salt in enumerate(_GOLDEN * np.arange(1, words.shape[1] + 1, dtype=np.uint64)):
            total += _mix(words[:, place] ^ seed ^ salt)
        lanes[lane] = _mix(total)
    return lanes


def _long_texts(array: pa.Array, seeds: npt.NDArray[np.uint64]) -> Lanes:
    salt = seeds.tobytes()
    digests = b"".join(
        hashlib.blake2b((text or "").encode(), digest_size=16, key=salt).digest()
        for text in array.to_pylist()
    )
    return np.frombuffer(digests, "<u8").reshape(-1, 2).T.astype(np.uint64)


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
        for lane, seed in enumerate(_seeds(name)):
            mixed = _mix(lanes[lane][picked] ^ seed ^ (_GOLDEN * place.astype(np.uint64)))
            sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
            ends = np.cumsum(lengths)
            total[lane] = sums[ends] - sums[ends - lengths]
    return total


def _seeds(name: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(hashlib.blake2b(name.encode(), digest_size=16).digest(), "<u8").astype(np.uint64)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The splitmix64 finalizer (Steele, Lea and Flood, 2014), modulo 2**64 by numpy's unsigned arithmetic."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


def _binary16(lanes: Lanes) -> pa.Array:
    data = np.ascontiguousarray(lanes.T).astype("<u8").tobytes()
    return pa.Array.from_buffers(pa.binary(16), lanes.shape[1], [None, pa.py_buffer(data)])
