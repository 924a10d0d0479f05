"""The last word: of a document that stands in several dropped files, the last of them says how it is.

Programs that leave a file for every change never take the earlier ones away. Read again, an earlier file would say that a sale is what it
was before it was corrected, and the next one that it is not: two batches at every export, and a closed day open again.

- Files are in the order of their names. What is not sealed yet is sealed from every file in which it stands, as it was said one after the other.
- Later files are read for this only when an earlier one says something else than what was sealed, each once, and only their keys are kept.

What is not here: what falls out because of it (cutting.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filesync.contracts.digests import row_digests
from filesync.errors import FilesyncError
from filesync.sources import read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract
    from filesync.exchange.context import Context
    from filesync.sources import SourceSettings

Words = npt.NDArray[np.uint64]

#: Two words of a key digest and the place of a file.
_COLUMNS: Final = 3


class LastWord:
    """The files of one capture, in their order. 24 bytes for each document of the later ones, once they were asked for."""

    def __init__(
        self, ctx: Context, source: SourceSettings, contract: Contract, files: Sequence[Path]
    ) -> None:
        self._ctx = ctx
        self._source = source
        self._contract = contract
        self._files = files
        self._later: Words | None = None

    def after(self, place: int) -> Callable[[pa.Array], pa.BooleanArray]:
        """Which of these key digests stand in a file after this one. Files are asked about in their order."""
        return partial(self._said, place)

    def _said(self, place: int, keys: pa.Array) -> pa.BooleanArray:
        if self._later is None:
            entries = np.concatenate(list(self._entries(place + 1)))
            self._later = entries[np.argsort(entries[:, 0], kind="stable")]
        held, asked = self._later, _words(keys)
        first = np.searchsorted(held[:, 0], asked[:, 0], "left")
        last = np.searchsorted(held[:, 0], asked[:, 0], "right")
        said = np.zeros(len(asked), np.bool_)
        for row in np.flatnonzero(first < last):
            same = held[first[row] : last[row]]
            said[row] = bool(((same[:, 1] == asked[row, 1]) & (same[:, 2] > place)).any())
        return pa.array(said)

    def _entries(self, first: int) -> Iterator[Words]:
        yield np.empty((0, _COLUMNS), np.uint64)
        for place in range(first, len(self._files)):
            for keys in self._keys(self._files[place]):
                entries = np.full((len(keys), _COLUMNS), place, np.uint64)
                entries[:, :2] = keys
                yield entries

    def _keys(self, path: Path) -> list[Words]:
        ctx, contract = self._ctx, self._contract
        try:
            return [
                _words(row_digests(contract.conform(captured.table), contract.key).keys)
                for captured in read_source(
                    self._source, contract, root=ctx.folders.root, site=ctx.me, path=path
                )
            ]
        except (FilesyncError, OSError):
            return []  # it is told when its turn comes


def _words(keys: pa.Array) -> Words:
    flat = np.frombuffer(keys.buffers()[1], np.uint64)[2 * keys.offset : 2 * (keys.offset + len(keys))]
    return flat.reshape(-1, 2)
