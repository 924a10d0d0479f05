"""A text column as bytes, and simple patterns checked on all of it at once.

RE2 looks at one text after another (30-80 ns each). Most patterns of contracts are simple: classes of characters in a
row, which for a whole column are a few passes of numpy over its bytes, ten times faster. `ShapeCheck.fits` answers only
"certainly all of them match"; otherwise RE2 decides per text (masks.py), so the meaning stays in one place.

What is not here: nulls (a view is of a column without them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from filesync.contracts.patterns import Ranges

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_TILE_BYTES: Final = 4096
_BLOCK_BYTES: Final = 1 << 18  # blocks that stay in the cache between the passes
_CONSTANT_ROWS_MIN: Final = 64  # below that, looking costs more than it saves
_ZERO = np.zeros(0, dtype=np.uint8)


class TextView:
    """The bytes of a `pa.StringArray` without nulls: `data` is all of them, text i is data[offsets[i]:offsets[i+1]]."""

    __slots__ = ("array", "data", "lengths", "longest", "offsets", "shortest")

    def __init__(self, array: pa.StringArray) -> None:
        _, offsets, data = array.buffers()
        count = len(array)
        self.array = array
        edges: npt.NDArray[np.int32] = np.frombuffer(offsets, dtype=np.int32)[
            array.offset : array.offset + count + 1
        ]
        first, last = int(edges[0]), int(edges[-1])
        self.data: Bytes = np.frombuffer(data, dtype=np.uint8)[first:last] if data is not None else _ZERO
        self.offsets = edges - edges[0] if first else edges
        self.lengths: npt.NDArray[np.int32] = edges[1:] - edges[:-1]
        self.shortest = int(self.lengths.min()) if count else 0
        self.longest = int(self.lengths.max()) if count else 0

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def constant(self) -> bool:
        """Whether all texts are the same, as the origin and the day of a batch are. False where that is not soon told."""
        length = self.longest
        if self.shortest != length or len(self) < _CONSTANT_ROWS_MIN:
            return False
        data = self.data
        # Bytes that equal those one text further on, everywhere, repeat the first text; the ends are looked at first.
        return (
            bool((data[:length] == data[-length:]).all() and np.array_equal(data[length:], data[:-length]))
            if length
            else True
        )

    def matrix(self, length: int) -> Bytes:
        """(n, length): one row a text; all texts have that length."""
        return self.data.reshape(-1, length)

    def rows_of(self, length: int) -> tuple[npt.NDArray[np.intp], Bytes]:
        """The places of the texts of that length, and their bytes as a matrix."""
        places = np.flatnonzero(self.lengths == length)
        starts = self.offsets[places].astype(np.int64)
        return places, self.data[starts[:, None] + np.arange(length)]


class Template:
    """Texts of one length, with a class of characters for each position."""

    __slots__ = ("_low", "_span", "_tile", "length")

    def __init__(self, classes: Sequence[Ranges]) -> None:
        self.length = len(classes)
        self._tile = max(1, _TILE_BYTES // self.length)
        widest = max(len(ranges) for ranges in classes)
        # Positions with fewer ranges repeat their first one, so that every pass covers all positions.
        passes = [
            [ranges[number] if number < len(ranges) else ranges[0] for ranges in classes]
            for number in range(widest)
        ]
        low = np.array([[low for low, _ in row] for row in passes], dtype=np.uint8)
        span = np.array([[high - low for low, high in row] for row in passes], dtype=np.uint8)
        self._low = np.tile(low, self._tile)
        self._span = np.tile(span, self._tile)

    def fits(self, matrix: Bytes) -> bool:
        """Whether every row fits."""
        return all(bool(part.all()) for part in self._parts(matrix))

    def rows(self, matrix: Bytes) -> Mask:
        """Whether each row fits."""
        parts = [part.reshape(-1, self.length).all(axis=1) for part in self._parts(matrix)]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)

    def _parts(self, matrix: Bytes) -> Any:
        tiles = len(matrix) // self._tile
        whole = matrix[: tiles * self._tile].reshape(tiles, self._tile * self.length)
        step = max(1, _BLOCK_BYTES // _TILE_BYTES)
        for start in range(0, tiles, step):
            yield self._inside(whole[start : start + step], self._low, self._span)
        rest = matrix[tiles * self._tile :]
        if len(rest):
            yield self._inside(rest, self._low[:, : self.length], self._span[:, : self.length])

    @staticmethod
    def _inside(part: Bytes, low: Bytes, span: Bytes) -> Mask:
        inside: Mask = (part - low[0]) <= span[0]  # unsigned: below `low` wraps to far above `span`
        for number in range(1, len(low)):
            inside |= (part - low[number]) <= span[number]
        return inside


class ShapeCheck:
    """A pattern that is a row of ASCII classes, anchored at both ends: of one length, or a start and one repeated class."""

    __slots__ = ("_head", "_high", "_low", "_tail", "_template")

    def __init__(
        self,
        template: Template | None,
        head: Template | None,
        tail: Template | None,
        low: int,
        high: int | None,
    ) -> None:
        self._template = template
        self._head = head
        self._tail = tail
        self._low = low
        self._high = high

    @classmethod
    def of(cls, shape: tuple[tuple[Ranges, int, int | None], ...] | None) -> ShapeCheck | None:
        """The check for a pattern's shape, or None where the shape is not that simple."""
        if not shape:
            return None
        lengths = {(low, high) for _, low, high in shape}
        if all(low == high for low, high in lengths):
            classes = [ranges for ranges, low, _ in shape for _ in range(low)]
            return cls(Template(classes), None, None, 0, None) if 0 < len(classes) <= 256 else None
        *first, (tail, low, high) = shape
        if any(bottom != top for _, bottom, top in first):
            return None
        head = [ranges for ranges, bottom, _ in first for _ in range(bottom)]
        if len(head) > 64 or not all(_within(ranges, tail) for ranges in head):
            return None  # the tail's class is looked for in all bytes, those of the start too
        return cls(
            None,
            Template(head) if any(ranges != tail for ranges in head) else None,
            Template([tail]),
            len(head) + low,
            None if high is None else len(head) + high,
        )

    def fits(self, view: TextView) -> bool:
        """True: every text matches. False: some do not, or it could not be told this way."""
        if self._template is not None:
            length = self._template.length
            return view.shortest == view.longest == length and self._template.fits(view.matrix(length))
        if view.shortest < self._low or (self._high is not None and view.longest > self._high):
            return False
        if self._tail is not None and not self._tail.fits(view.data.reshape(-1, 1)):
            return False
        if self._head is None:
            return True
        starts = view.offsets[:-1]
        matrix = np.stack([view.data[starts + place] for place in range(self._head.length)], axis=1)
        return self._head.fits(matrix)


def _within(inner: Ranges, outer: Ranges) -> bool:
    return all(any(low <= first and last <= high for low, high in outer) for first, last in inner)
