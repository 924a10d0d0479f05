"""The digests of a batch's documents, gathered while it is sealed: 32 bytes for each, in memory up to a bound, beyond it in a file.

Words, not bytes, are worked with: a digest of 16 bytes is two unsigned numbers, whose order is that of the bytes. They are given back
range by range of their first word, so that whoever compares or stores millions of them needs little memory for it. A batch of ten
million documents has 320 MB of digests; the file that holds them is nameless and vanishes with the process.

What is not here: making digests (contracts/digests.py), remembering them (memory.py).
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Rows of (key, key, content, content); memory.py adds a column.
Words = npt.NDArray[np.uint64]

#: The ranges in which large numbers of digests are worked through: by the first bits of the first word.
RANGES: Final = 64
_RANGE_SHIFT: Final = np.uint64(64 - 6)

#: Documents whose digests are kept in memory (32 MB); more of them go to the file, sorted, in runs of this size.
_RUN_ROWS: Final = 1 << 20


class Digests:
    """Digests of any number of documents. `folder` is where the file is made if one is needed; without it the system's choice."""

    def __init__(self, folder: Path | None = None) -> None:
        self.rows = 0
        self._folder = folder
        self._pending: list[Words] = []
        self._pending_rows = 0
        self._file: IO[bytes] | None = None
        self._runs: list[
            npt.NDArray[np.int64]
        ] = []  # per run the row in the file where each range begins, and the run's end
        self._written = 0

    @classmethod
    def of(cls, table: pa.Table) -> Digests:
        """The digests of one table."""
        made = cls()
        made.add(table)
        return made

    @classmethod
    def of_words(cls, words: Words) -> Digests:
        """Digests that are words already, as `words_of` makes them."""
        made = cls()
        made.rows = made._pending_rows = len(words)
        if len(words):
            made._pending.append(words)
        return made

    def add(self, table: pa.Table) -> None:
        """Further documents: columns `key_digest` and `content_digest`, binary(16)."""
        if not table.num_rows:
            return
        self._pending.append(words_of(table))
        self._pending_rows += table.num_rows
        self.rows += table.num_rows
        if self._pending_rows >= _RUN_ROWS:
            self._write_run()

    def whole(self) -> Words:
        """All of them, a later one of a key after those before it. Only for a bounded number."""
        if not self._runs:
            return _joined(self._pending)
        if self._pending_rows:
            self._write_run()
        return self._read(0, RANGES)

    def ranges(self) -> Iterator[Words]:
        """All of them, range by range of their first word, a later one of a key after those before it. What was in memory is in order."""
        if not self._runs:
            pending = in_order(_joined(self._pending))
            self._pending = [pending]  # whoever asks next finds them so
            yield from (pending[low:high] for low, high in pairwise(_edges(pending)) if high > low)
            return
        if self._pending_rows:
            self._write_run()
        for place in range(RANGES):
            found = self._read(place, place + 1)
            if len(found):
                yield found

    def repeats(self) -> bool:
        """Whether some key digest stands here more than once."""
        for part in map(in_order, self.ranges()):
            if np.any(part[1:, 0] == part[:-1, 0]):  # almost never: only now is the rest of the key looked at
                keys = part[np.lexsort((part[:, 1], part[:, 0])), :2]
                if np.any(np.all(keys[1:] == keys[:-1], axis=1)):
                    return True
        return False

    def close(self) -> None:
        """Give the file back; it goes with the object otherwise."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()

    def _write_run(self) -> None:
        run = in_order(_joined(self._pending))
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- open as long as the object
        self._file.seek(0, 2)
        self._file.write(run.data)
        self._runs.append(_edges(run) + self._written)
        self._written += len(run)
        self._pending.clear()
        self._pending_rows = 0

    def _read(self, low: int, high: int) -> Words:
        if self._file is None:
            raise ValueError("digests: read after close")
        found = []
        for edges in self._runs:
            self._file.seek(int(edges[low]) * 32)
            found.append(
                np.frombuffer(self._file.read(int(edges[high] - edges[low]) * 32), np.uint64).reshape(-1, 4)
            )
        return np.concatenate(found)


def words_of(table: pa.Table) -> Words:
    """(key, key, content, content) of every row."""
    words = np.empty((table.num_rows, 4), np.uint64)
    for place, name in ((0, "key_digest"), (2, "content_digest")):
        start = 0
        for chunk in table.column(name).chunks:
            array = chunk.cast(pa.binary(16))
            raw: npt.NDArray[Any] = np.frombuffer(
                array.buffers()[1], ">u8", 2 * len(array), 16 * array.offset
            )
            words[start : start + len(array), place : place + 2] = raw.reshape(-1, 2)
            start += len(array)
    return words


def _joined(parts: list[Words]) -> Words:
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, 4), np.uint64)


def in_order(words: Words) -> Words:
    """Rows in the order of their first word, equal ones in the order in which they stand; the same rows where they are so already."""
    first = np.ascontiguousarray(words[:, 0])
    if np.all(first[1:] >= first[:-1]):
        return words
    order = np.argsort(first)  # several times as fast as a stable one, and almost never not the same
    ordered = first[order]
    if np.any(ordered[1:] == ordered[:-1]):
        order = np.argsort(first, kind="stable")
    return np.take(words, order, axis=0)


def _edges(words: Words) -> npt.NDArray[np.int64]:
    return np.searchsorted(words[:, 0] >> _RANGE_SHIFT, np.arange(RANGES + 1, dtype=np.uint64)).astype(
        np.int64
    )
