"""The parts of records: by position (a block of details is a matrix of bytes, a part a slice of it) or by column (a block is read by Arrow).

Both give, for the lines that are details, a column of trimmed text for each part, the lines that were kept, and those that cannot be cut.
Python sees single lines only where one is wrong. What is not here: which lines are details (`records`), what the texts mean.
"""

from __future__ import annotations

import csv
import unicodedata
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from filesync.errors import RejectedError
from filesync.sources.blocks import Block
from filesync.sources.raw import Malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.sources.blocks import Bytes
    from filesync.sources.frame import Rows
    from filesync.sources.layouts import Layout, Part

Cut = tuple[dict[str, "pa.StringArray"], "Rows", list[Malformed]]


class Cutter(Protocol):
    """Cuts lines into parts."""

    def window(self, block: Block) -> Bytes:
        """The beginning of every line, as much as markers (and parts by position) need."""

    def columns(self, block: Block, wide: Bytes, taken: Rows, names: Mapping[str, int] | None) -> Cut:
        """Columns, the lines kept (places in the block), and those that cannot be cut; `taken` are the details, `wide` the window."""

    def cells(self, text: str) -> list[str]:
        """One line in columns; nothing for parts by position."""

    def pick(self, text: str, cells: list[str], part: Part) -> str | None:
        """One part of one line; None where the line ends before it."""


def names_of(layout: Layout, text: str) -> list[str]:
    """The columns that a line of names names; accents compare composed."""
    cells = next(csv.reader([text], delimiter=layout.delimiter), [])
    return [unicodedata.normalize("NFC", cell.strip()) for cell in cells]


def missing_names(layout: Layout, names: list[str]) -> list[str]:
    """The columns that the layout reads and a line of names does not name."""
    return [str(part.column) for part in layout.parts.values() if part.column not in names]


class Fixed:
    """Parts by position."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        # A file of UTF-8 is cut by characters: one byte each, in a code that has all of them.
        self.codec = "latin-1" if layout.encoding == "utf-8" else layout.encoding

    def window(self, block: Block) -> Bytes:
        if self.layout.encoding == "utf-8" and not block.data.isascii():
            block = self._recoded(block)
        return block.window(self.layout.width)

    def _recoded(self, block: Block) -> Block:
        text = block.data.decode("utf-8")
        try:
            return Block.of(text.encode("latin-1"), block.first, "latin-1")
        except UnicodeEncodeError as err:
            line = block.first + text.count("\n", 0, err.start)
            raise RejectedError(
                "source-unreadable",
                f"line {line}: {text[err.start]!r} is no character of Latin-1; a file of fixed positions in UTF-8 may hold no others",
            ) from err

    def columns(self, block: Block, wide: Bytes, taken: Rows, _: object) -> Cut:
        layout = self.layout
        recoded = self._recoded(block) if layout.encoding == "utf-8" and not block.data.isascii() else block
        lengths = (recoded.ends - recoded.starts)[taken]
        fits = (lengths <= layout.width) if layout.cut else (lengths == layout.width)
        malformed = []
        if not fits.all():
            for place, length in zip(taken[~fits].tolist(), lengths[~fits].tolist(), strict=True):
                most = "at most " if layout.cut else ""
                malformed.append(
                    Malformed(
                        block.first + place,
                        block.text(place),
                        f"expected {most}{layout.width} characters, got {length}",
                    )
                )
            taken, lengths = taken[fits], lengths[fits]
        matrix = wide if len(taken) == len(wide) else wide[taken]
        short = np.flatnonzero(lengths < layout.width)
        if len(short):
            matrix = matrix.copy()
            rest = matrix[short]
            rest[np.arange(layout.width) >= lengths[short][:, None]] = 32
            matrix[short] = rest
        return (
            {name: self._texts(matrix[:, part.first - 1 : part.last]) for name, part in layout.parts.items()},
            taken,
            malformed,
        )

    def _texts(self, cells: Bytes) -> pa.StringArray:
        rows, width = cells.shape
        data = np.ascontiguousarray(cells)
        if (data < 128).all():
            offsets = pa.py_buffer(
                np.arange(0, (rows + 1) * width, width, dtype=np.int32) if rows else np.zeros(1, np.int32)
            )
            return pc.ascii_trim_whitespace(pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(data)))
        wide = data.tobytes().decode(self.codec).encode("utf-32-le")
        return pc.ascii_trim_whitespace(pa.array(np.frombuffer(wide, f"<U{width}"), pa.string()))

    def cells(self, _: str) -> list[str]:
        return []

    def pick(self, text: str, _: list[str], part: Part) -> str | None:
        if len(text) < part.last and not self.layout.cut:
            return None
        return text[part.first - 1 : part.last]


class Csv:
    """Parts by column."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.fields = 0  # of a detail; known from the names, or from the first block

    def window(self, block: Block) -> Bytes:
        layout = self.layout
        markers = [record.marker for record in (layout.header, layout.trailer) if record is not None] + [
            layout.detail_marker
        ]
        return block.window(max(len(marker.encode()) for marker in markers) + 3)

    def columns(self, block: Block, _: Bytes, taken: Rows, names: Mapping[str, int] | None) -> Cut:
        parts = self.layout.parts
        places = {
            name: (names or {})[part.column] if isinstance(part.column, str) else part.column - 1
            for name, part in parts.items()
        }
        if not len(taken):
            return {name: pa.array([], pa.string()) for name in parts}, taken, []
        if not self.fields:
            least = max(places.values()) + 1
            self.fields = max(least, len(names)) if names else max(least, self._usual(block, taken))
        data = self._bytes(block, taken)
        kept = np.ones(len(taken), np.bool_)
        malformed: list[Malformed] = []

        def refuse(row: Any) -> str:
            place = int(taken[row.number - 1])
            kept[row.number - 1] = False
            malformed.append(
                Malformed(
                    block.first + place,
                    block.text(place),
                    f"expected {self.fields} columns, got {row.actual_columns}",
                )
            )
            return "skip"

        try:
            table = self._by_arrow(data, sorted(set(places.values())), refuse)
            whole = table.num_rows == int(kept.sum())
        except pa.ArrowInvalid:
            whole = False
        if (
            not whole
        ):  # a quotation mark that does not close swallows lines: one by one, so that only its own is refused
            return self._by_line(block, taken, places)
        columns = {
            name: pc.ascii_trim_whitespace(_flat(table.column(str(place)))) for name, place in places.items()
        }
        return columns, taken[kept], malformed

    def _bytes(self, block: Block, taken: Rows) -> bytes:
        """The lines of the details, as UTF-8."""
        first, last = int(taken[0]), int(taken[-1])
        if last - first + 1 == len(taken):
            data = block.data[block.starts[first] : block.ends[last]] + b"\n"
        else:
            data = b"".join(
                block.data[block.starts[place] : block.ends[place]] + b"\n" for place in taken.tolist()
            )
        return data if data.isascii() else data.decode(self.layout.encoding).encode()

    def _by_arrow(self, data: bytes, places: list[int], refuse: Any) -> pa.Table:
        names = [str(place) for place in range(self.fields)]
        wanted = [str(place) for place in places]
        return pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.layout.delimiter, quote_char='"' if b'"' in data else False, ignore_empty_lines=False,
                invalid_row_handler=refuse,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), strings_can_be_null=False, include_columns=wanted
            ),
        )  # fmt: skip

    def _by_line(self, block: Block, taken: Rows, places: Mapping[str, int]) -> Cut:
        rows: list[list[str]] = []
        kept: list[int] = []
        malformed: list[Malformed] = []
        for place in taken.tolist():
            line = block.data[block.starts[place] : block.ends[place]].decode(self.layout.encoding)
            try:
                row = next(csv.reader([line], delimiter=self.layout.delimiter, strict=True))
                reason = f"expected {self.fields} columns, got {len(row)}"
            except csv.Error as err:
                row, reason = [], f"cannot be split: {err}"
            if len(row) == self.fields:
                rows.append(row)
                kept.append(place)
            else:
                malformed.append(Malformed(block.first + place, line, reason))
        columns = {
            name: pc.ascii_trim_whitespace(pa.array([row[place] for row in rows], pa.string()))
            for name, place in places.items()
        }
        return columns, np.array(kept, np.int64), malformed

    def _usual(self, block: Block, taken: Rows) -> int:
        """How many columns most of the first details have."""
        first = [self.cells(block.text(place)) for place in taken[:99].tolist()]
        counts = [len(cells) for cells in first]
        return max(set(counts), key=counts.count)

    def cells(self, text: str) -> list[str]:
        return next(csv.reader([text], delimiter=self.layout.delimiter), [])

    def pick(self, _: str, cells: list[str], part: Part) -> str | None:
        return cells[part.column - 1] if isinstance(part.column, int) and part.column <= len(cells) else None


def _flat(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
