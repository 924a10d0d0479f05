"""CSV files as columns of text, with the line on which each row begins.

- A file without a quotation mark is read by Arrow; one with quotation marks, or with a line that Arrow
  refuses, by Python's strict reader, which knows its lines and stops at a quotation mark that does not close.
  Both give the same rows.
- Columns without a name at the end of the header, and empty fields after the last column, are the trailing
  delimiters of spreadsheets: dropped while they are empty. Lines without any content are skipped, and so is
  the end mark of DOS (0x1A).
- A row that cannot be split into the header's columns is `Malformed`, with its line and text.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from filesync.sources.raw import CHUNK_BYTES, CHUNK_ROWS, Malformed, Raw, no_rows, open_text, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from filesync.sources.settings import SourceSettings

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class _Header:
    names: tuple[str, ...]
    width: int  # fields in the header line, the trailing empty ones included
    line: int  # the last line of the header


def read_csv(path: Path, settings: SourceSettings) -> Iterator[Raw]:
    """The file's rows in chunks; at least one."""
    header, quoted = _csv_header(path, settings)
    done = header.line
    if not quoted:
        try:
            for raw in _csv_by_arrow(path, settings, header):
                done = int(raw.lines[-1]) if len(raw.lines) else done
                yield raw
            return
        except pa.ArrowInvalid:
            pass  # a line of another shape, or not UTF-8: the strict reader finds it, and goes on where Arrow stopped
    yield from _csv_by_line(path, settings, header, done)


def _csv_header(path: Path, settings: SourceSettings) -> tuple[_Header, bool]:
    quoted = False
    with path.open("rb") as file:
        start = file.read(4)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise unreadable(path, "it is UTF-16; save it as UTF-8")
        if start[:3] == _BOM and settings.encoding != "utf-8":
            raise unreadable(
                path,
                f'it begins as UTF-8 files do, but encoding is "{settings.encoding}": set encoding = "utf-8"',
            )
        file.seek(0)
        while block := file.read(1 << 20):
            quoted = quoted or b'"' in block
    with open_text(path, settings.encoding) as text:
        reader = csv.reader(text, delimiter=settings.delimiter, strict=True)
        try:
            fields = next((row for row in reader if any(field.strip() for field in row)), None)
        except csv.Error as err:
            raise unreadable(path, f"its header cannot be read: {err}") from err
        if fields is None:
            raise unreadable(path, "it is empty; expected a header with the names of the columns")
        names = [unicodedata.normalize("NFC", field.strip()) for field in fields]
        while names and not names[-1]:
            names.pop()
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise unreadable(path, f"its header names {', '.join(repr(name) for name in doubled)} twice")
        return _Header(tuple(names), len(fields), reader.line_num), quoted


def _csv_by_arrow(path: Path, settings: SourceSettings, header: _Header) -> Iterator[Raw]:
    positions = [str(position) for position in range(header.width)]
    with pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(
            column_names=positions, skip_rows=header.line, encoding=settings.encoding, block_size=CHUNK_BYTES
        ),
        parse_options=pa_csv.ParseOptions(
            delimiter=settings.delimiter, quote_char=False, double_quote=False, ignore_empty_lines=False
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(positions, pa.string()),
            strings_can_be_null=False,
            include_columns=positions,
        ),
    ) as reader:
        line, empty = header.line + 1, True
        for batch in reader:
            lines = np.arange(line, line + batch.num_rows, dtype=np.int64)
            line += batch.num_rows
            named = batch.columns[: len(header.names)]
            for extra in batch.columns[len(header.names) :]:
                if pc.any(pc.not_equal(extra, "")).as_py():
                    raise pa.ArrowInvalid(
                        "a value in a column without a name"
                    )  # the strict reader names its line
            content = np.zeros(batch.num_rows, np.bool_)
            for column in named:
                content |= np.asarray(pc.not_equal(column, "").to_numpy(zero_copy_only=False), np.bool_)
            if not content.all():
                keep = pa.array(content)
                named, lines = [column.filter(keep) for column in named], lines[content]
            empty = False
            yield Raw(header.names, tuple(named), lines)
        if empty:
            yield no_rows(header.names)


def _csv_by_line(path: Path, settings: SourceSettings, header: _Header, done: int) -> Iterator[Raw]:
    """From the line after `done`. Strict: a quotation mark is closed before the delimiter, or the line is
    malformed.
    """
    width = len(header.names)
    seen: list[str] = []  # the lines of the row that is being read, for the report
    rows: list[list[str]] = []
    lines: list[int] = []
    malformed: list[Malformed] = []
    with open_text(path, settings.encoding) as text:
        reader = csv.reader(_recorded(text, seen), delimiter=settings.delimiter, strict=True)
        more, empty = True, True
        while more:
            before = reader.line_num
            try:
                row = next(reader, None)
                reason = None
            except csv.Error as err:
                row, reason = [], f"cannot be split: {err}"
            more = row is not None
            source, seen[:] = "".join(seen).rstrip("\r\n"), []
            if row is not None and before >= done:
                while len(row) > width and not row[-1]:
                    row.pop()
                if reason is None and len(row) != width and source.strip(" \t\r\n\x1a") and any(row):
                    reason = f"has {len(row)} fields, expected {width}"
                if reason is not None:
                    malformed.append(Malformed(before + 1, source, reason))
                elif len(row) == width and any(row):
                    rows.append(row)
                    lines.append(before + 1)
            if len(rows) + len(malformed) == CHUNK_ROWS or (not more and (rows or malformed or empty)):
                empty = False
                columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)] or [
                    pa.array([], pa.string())
                ] * width
                yield Raw(header.names, tuple(columns), np.array(lines, np.int64), malformed=tuple(malformed))
                rows, lines, malformed = [], [], []


def _recorded(text: Iterable[str], seen: list[str]) -> Iterator[str]:
    for line in text:
        seen.append(line)
        yield line
