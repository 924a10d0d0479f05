"""Keys of a file's rows: numbering the rows of one attendance, and noticing that a key stands twice. By digests, whole columns at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from filesync.contracts.digests import row_digests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.sources.frame import Rows

Words = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(slots=True)
class Numbering:
    """Numbers rows 1, 2, 3 … within equal values, from piece to piece: 12 bytes for each different combination."""

    _keys: Words = field(default_factory=lambda: np.zeros(0, np.uint64))
    _counts: Rows = field(default_factory=lambda: np.zeros(0, np.int64))

    def numbers(self, columns: Sequence[pa.Array]) -> pa.Array:
        """The number of each row. Combinations are known by 64 bits of their digest: two that share them are counted on together, which keeps the numbers different."""
        names = [str(place) for place in range(len(columns))]
        keys = _words(pa.table(list(columns), names=names), tuple(names))[:, 0]
        if not len(keys):
            return pa.array([], pa.int64())
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        first = np.concatenate([[True], ranked[1:] != ranked[:-1]])
        starts = np.flatnonzero(first)
        lengths = np.diff(np.append(starts, len(keys)))
        distinct = ranked[starts]
        before = np.zeros(len(distinct), np.int64)
        places = np.searchsorted(self._keys, distinct)
        held = places < len(self._keys)
        held[held] = self._keys[places[held]] == distinct[held]
        before[held] = self._counts[places[held]]
        numbers = np.empty(len(keys), np.int64)
        numbers[order] = np.arange(len(keys)) - np.repeat(starts, lengths) + 1 + np.repeat(before, lengths)
        self._counts[places[held]] += lengths[held]
        fresh = ~held
        merged = np.concatenate([self._keys, distinct[fresh]])
        sorting = np.argsort(merged, kind="stable")
        self._keys, self._counts = merged[sorting], np.concatenate([self._counts, lengths[fresh]])[sorting]
        return pa.array(numbers)


@dataclass(slots=True)
class KeysOnce:
    """Notices keys that stand more than once; 20 bytes for each row."""

    key: tuple[str, ...]
    _keys: list[Words] = field(default_factory=list)
    _lines: list[np.ndarray[Any, np.dtype[np.int32]]] = field(default_factory=list)

    def add(self, table: pa.Table, lines: Rows) -> None:
        """Rows with the line of each."""
        if len(lines):
            self._keys.append(_words(table.select(list(self.key)), self.key).copy())
            self._lines.append(lines.astype(np.int32))

    def repeated(self) -> tuple[int, list[tuple[int, int]]]:
        """How many rows name a key again, and the lines of the first such pairs."""
        if not self._keys:
            return 0, []
        keys, lines = np.concatenate(self._keys), np.concatenate(self._lines)
        first = np.sort(keys[:, 0])
        if not (first[1:] == first[:-1]).any():
            return 0, []
        order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
        same = np.flatnonzero((keys[order[1:]] == keys[order[:-1]]).all(axis=1))
        return len(same), [(int(lines[order[at]]), int(lines[order[at + 1]])) for at in same[:3].tolist()]


def _words(table: pa.Table, key: tuple[str, ...]) -> Words:
    """Two words for each row."""
    digests = row_digests(table, key).keys
    return np.frombuffer(digests.buffers()[1], np.uint64)[2 * digests.offset :][: 2 * len(digests)].reshape(
        -1, 2
    )
