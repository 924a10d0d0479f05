"""Whole lines of a file in blocks of bytes, and which of them bear a marker. Memory is bounded by BLOCK_BYTES, whatever the file's size.

Lines end with LF or CR LF. What is not here: what a line is (`records`), what its parts are (`record_parts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from filesync.sources.layouts import Layout, Shape
from filesync.sources.raw import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from filesync.sources.frame import Rows

#: Read at once. A block's lines, columns and rows are held together: about twenty times this.
BLOCK_BYTES: Final = 4 << 20
LINE_BYTES_MAX: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n\x1a"

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file. `starts` and `ends` delimit each without its line end; `first` is the number of the first."""

    data: bytes
    starts: Rows
    ends: Rows
    first: int
    encoding: str

    @classmethod
    def of(cls, data: bytes, first: int, encoding: str) -> Block:
        array = np.frombuffer(data, np.uint8)
        breaks = np.flatnonzero(array == 10)
        starts = np.concatenate([[0], breaks[:-1] + 1])
        ends = breaks - ((breaks > starts) & (array[breaks - 1] == 13))
        return cls(data, starts, ends, first, encoding)

    @property
    def array(self) -> Bytes:
        return np.frombuffer(self.data, np.uint8)

    def text(self, place: int) -> str:
        """A line's text; bytes that are none in the file's encoding are shown as such."""
        line = self.data[self.starts[place] : self.ends[place]]
        return line.decode(self.encoding, errors="backslashreplace")

    def window(self, width: int) -> Bytes:
        """The first `width` bytes of every line, and what follows of a line that is shorter."""
        if len(self.starts) > 1:
            stride = int(self.starts[1])
            even = stride >= width and len(self.data) == stride * len(self.starts)
            if even and (self.starts == np.arange(len(self.starts)) * stride).all():
                return np.frombuffer(self.data, np.uint8).reshape(len(self.starts), stride)[:, :width]
        padded = np.concatenate([self.array, np.zeros(width, np.uint8)])
        every = np.lib.stride_tricks.sliding_window_view(padded, width)
        found: Bytes = every[self.starts]
        return found

    def blank(self) -> Mask:
        """Lines without content."""
        lengths = self.ends - self.starts
        blank: Mask = lengths == 0
        odd = np.isin(
            self.array[np.minimum(self.starts, len(self.data) - 1)], np.frombuffer(_BLANK, np.uint8)
        )
        for place in np.flatnonzero(odd & ~blank).tolist():
            blank[place] = not self.data[self.starts[place] : self.ends[place]].strip(_BLANK)
        return blank


def read_blocks(
    file: BinaryIO, layout: Layout, path: Path, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """The file's lines, a byte order mark taken off; the last one may lack its end."""
    rest, line, first = b"", 1, True
    while chunk := file.read(block_bytes):
        if first and chunk.startswith(_BOM):
            if layout.encoding != "utf-8":
                raise unreadable(
                    path, f'it begins as UTF-8 files do, but the layout\'s encoding is "{layout.encoding}"'
                )
            chunk = chunk[len(_BOM) :]
        if first and chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise unreadable(path, "it is UTF-16; save it as UTF-8")
        first = False
        data = rest + chunk
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if len(rest) > LINE_BYTES_MAX:
            raise unreadable(
                path,
                f"line {line + data.count(10, 0, cut)} is longer than {LINE_BYTES_MAX} bytes; it is no file of records",
            )
        if cut:
            yield (block := Block.of(data[:cut], line, layout.encoding))
            line += len(block.starts)
    if rest:
        yield Block.of(rest + b"\n", line, layout.encoding)


def marked(wide: Bytes, block: Block, marker: str, at: int, layout: Layout) -> Mask:
    """Lines with this marker. In CSV it is the whole first column, in quotation marks or not."""
    lengths = block.ends - block.starts
    if layout.shape is Shape.FIXED:
        return _begins(wide[:, at - 1 :], marker) & (lengths >= at - 1 + len(marker))
    found: Mask = _begins(wide, marker) & (lengths == len(marker.encode()))
    for text in (marker + layout.delimiter, f'"{marker}"{layout.delimiter}'):
        found |= _begins(wide, text)
    return found


def _begins(wide: Bytes, text: str) -> Mask:
    wanted = np.frombuffer(text.encode(), np.uint8)
    if wide.shape[1] < len(wanted):
        return np.zeros(len(wide), np.bool_)
    return np.asarray((wide[:, : len(wanted)] == wanted).all(axis=1), np.bool_)
