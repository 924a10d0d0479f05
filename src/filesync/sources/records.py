"""A billing file as records: blocks of bytes, cut into lines, told apart by their markers, their parts as columns of text.

- Works on whole blocks (`blocks`), cut into columns (`record_parts`). Python sees single lines only where one is a header, a trailer, or wrong.
- Order is checked here: the header first, the trailer last, each once. A file in another order is refused whole (`layout-records`): it was
  put together from others, or cut off. A line that is no record of the layout is `Malformed`; the others go on.
- Blank lines and the end mark of DOS (0x1A) are skipped. A line break inside quotation marks ends a record:
  a billing file has none.

What is not here: what the texts mean (`layout_reading`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from filesync.errors import RejectedError
from filesync.sources.blocks import marked, read_blocks
from filesync.sources.layouts import Layout, Record, Shape
from filesync.sources.raw import Malformed, guarded
from filesync.sources.record_parts import Csv, Cutter, Fixed, missing_names, names_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from filesync.sources.blocks import Block
    from filesync.sources.frame import Rows

_SHOWN: Final = 60
#: What is read of a file to see whether it has a layout.
HEAD_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Single:
    """A header or trailer: its line and the texts of its parts."""

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Details:
    """Some details of a file: line numbers from 1, a column of trimmed text for each part, and lines that are no record."""

    lines: Rows
    columns: Mapping[str, pa.StringArray]
    malformed: tuple[Malformed, ...]
    block: Block = field(repr=False)
    places: Rows = field(repr=False)

    def text(self, row: int) -> str:
        """The line of a row, as it stands in the file."""
        return self.block.text(int(self.places[row]))


class Records:
    """Reads one file by one layout. Iterate once; `header` is there with the first details, `trailer` and the counts at the end.

    Raises RejectedError "layout-records" for records in another order or number, "source-unreadable" for a file that is no text of the
    layout's encoding; ConfigError and TransportError as every source does.
    """

    def __init__(self, layout: Layout, path: Path) -> None:
        self.layout = layout
        self.path = path
        self.header: Single | None = None
        self.trailer: Single | None = None
        self.details = 0  # malformed ones too
        self.records = 0
        self._names: dict[str, int] | None = None
        self._cutter: Cutter = Fixed(layout) if layout.shape is Shape.FIXED else Csv(layout)

    def __iter__(self) -> Iterator[Details]:
        wrong: RejectedError | None = None
        with guarded(self.path, self.layout.encoding), self.path.open("rb") as file:
            try:
                for block in read_blocks(file, self.layout, self.path):
                    found = self._read(block)
                    if len(found.lines) or found.malformed:
                        yield found
            except RejectedError as err:
                wrong = err  # of a file that was written to meanwhile nothing is said but that
        if wrong is not None:
            raise wrong
        self._whole()

    def head(self) -> Details | None:
        """The beginning of the file only: enough to see whether it has this layout. None for an empty file."""
        with guarded(self.path, self.layout.encoding), self.path.open("rb") as file:
            block = next(read_blocks(file, self.layout, self.path, HEAD_BYTES), None)
            return None if block is None else self._read(block)

    def _read(self, block: Block) -> Details:
        layout = self.layout
        wide = self._cutter.window(block)
        content = ~block.blank()
        places = np.flatnonzero(content)
        special = np.zeros(len(content), np.bool_)
        if layout.header is not None:
            if layout.header.marker:
                found = marked(wide, block, layout.header.marker, layout.header.at, layout)
            else:
                found = np.zeros(len(content), np.bool_)
                found[places[:1]] = self.records == 0
            for place in np.flatnonzero(found & content).tolist():
                self._header(block, place, first=not self.records and place == places[0])
            special |= found & content
        if layout.names and self._names is None:
            rest = places[~special[places]]
            if len(rest):
                self._names = self._line_of_names(block, int(rest[0]))
                special[rest[0]] = True
                self.records -= 1  # names are no record
        if layout.trailer is not None:
            found = marked(wide, block, layout.trailer.marker, layout.trailer.at, layout) & content & ~special
            for place in np.flatnonzero(found).tolist():
                self._set_trailer(block, place)
            special |= found
            if self.trailer is not None:
                after = places[block.first + places > self.trailer.line]
                if len(after):
                    raise self._wrong(
                        f"line {block.first + int(after[0])}: expected nothing after the trailer (line {self.trailer.line})"
                    )
        self.records += len(places)
        wanted = content & ~special
        known = (
            marked(wide, block, layout.detail_marker, layout.detail_at, layout)
            if layout.detail_marker
            else wanted
        )
        strange = [self._strange(block, place) for place in np.flatnonzero(wanted & ~known).tolist()]
        taken = np.flatnonzero(wanted & known)
        self.details += len(taken) + len(strange)
        columns, kept, malformed = self._cutter.columns(block, wide, taken, self._names)
        return Details(block.first + kept, columns, (*strange, *malformed), block, kept)

    # ---------------------------------------------------------------- single records

    def _header(self, block: Block, place: int, *, first: bool) -> None:
        if self.header is not None:
            raise self._wrong(
                f"line {block.first + place}: expected one header, got a second one (the first is line {self.header.line})"
            )
        if not first:
            raise self._wrong(f"line {block.first + place}: expected the header as the first record")
        assert self.layout.header is not None  # noqa: S101 -- the caller's condition
        self.header = self._single(block, place, self.layout.header)

    def _set_trailer(self, block: Block, place: int) -> None:
        if self.trailer is not None:
            raise self._wrong(
                f"line {block.first + place}: expected one trailer, got a second one (the first is line {self.trailer.line})"
            )
        assert self.layout.trailer is not None  # noqa: S101 -- the caller's condition
        self.trailer = self._single(block, place, self.layout.trailer)

    def _single(self, block: Block, place: int, record: Record) -> Single:
        line = block.first + place
        text = block.data[block.starts[place] : block.ends[place]].decode(self.layout.encoding)
        values = {}
        cells = self._cutter.cells(text)
        for name, check in record.parts.items():
            value = self._cutter.pick(text, cells, check.part)
            if value is None:
                raise self._wrong(
                    f"line {line}, {name}: expected a value in {check.part.where}, the line ends before it"
                )
            values[name] = value.strip()
        return Single(line, values)

    def _line_of_names(self, block: Block, place: int) -> dict[str, int]:
        names = names_of(self.layout, block.text(place))
        missing = missing_names(self.layout, names)
        if missing:
            raise self._wrong(
                f"line {block.first + place}: expected columns called {', '.join(missing)}, got {', '.join(names)}"
            )
        return {name: column for column, name in enumerate(names) if name}

    def _strange(self, block: Block, place: int) -> Malformed:
        layout = self.layout
        markers = [record.marker for record in (layout.header, layout.trailer) if record is not None] + [
            layout.detail_marker
        ]
        text = block.text(place)
        reason = f"expected a record marked {', '.join(repr(marker) for marker in markers if marker)}, got {text[:_SHOWN]!r}"
        return Malformed(block.first + place, text, reason)

    def _whole(self) -> None:
        """At the end: what must be there is there."""
        for kind, record, found in (
            ("header", self.layout.header, self.header),
            ("trailer", self.layout.trailer, self.trailer),
        ):
            if record is not None and record.required and found is None:
                where = "first" if kind == "header" else "last"
                hint = ": was the file cut off?" if kind == "trailer" else ""
                raise self._wrong(
                    f"expected a {kind} (marked {record.marker!r}) as the {where} record, got none{hint}"
                )
        if self.layout.names and self._names is None:
            raise self._wrong("expected a line with the names of the columns, got none")

    def _wrong(self, what: str) -> RejectedError:
        return RejectedError("layout-records", f"{self.path.name}: {what} (layout {self.layout.name})")
