"""Files of lines: CSV, JSON lines and Parquet as columns, with the line on which each row stands. Reading never changes a file.

- CSV: every column is text. A file without a quotation mark is read by Arrow; one with quotation marks, or with a line that Arrow refuses, by
  Python's strict reader, which knows its lines and stops at a quotation mark that does not close. Both give the same rows.
- Columns without a name at the end of the header, and empty fields after the last column, are the trailing delimiters of spreadsheets: dropped
  while they are empty. Lines without any content are skipped, and so is the end mark of DOS (0x1A).
- JSON lines: numbers keep their digits (10.10 is never a float); they become text in the source's own form.
- A row that cannot be split into its columns is `Malformed`, with its line and text. A file that is no such file at all is a RejectedError.
"""

from __future__ import annotations

import csv
import itertools
import json
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.sources.settings import Kind, SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from filesync.sources.forms import Forms
    from filesync.sources.frame import Rows

CHUNK_ROWS: Final = 65_536
CHUNK_BYTES: Final = 8 << 20
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that cannot be split into columns."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Rows as they stand in the file. `lines` from 1; for Parquet, the number of the row."""

    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    lines: Rows
    unit: str = "line"
    malformed: tuple[Malformed, ...] = ()


def unreadable(path: Path, why: str) -> RejectedError:
    """The file as a whole cannot be read."""
    return RejectedError("source-unreadable", f"{path.name}: {why}")


def read_rows(path: Path, settings: SourceSettings, needed: Sequence[str]) -> Iterator[Raw]:
    """The rows of a file, in chunks; at least one chunk, so that a file without rows still shows its columns.

    `needed`: the columns that the mapping uses. Raises RejectedError "source-unreadable", TransportError where the file is locked or being written.
    """
    with guarded(path, settings.encoding):
        match settings.kind:
            case Kind.CSV:
                yield from _csv(path, settings)
            case Kind.JSONL:
                yield from _json_lines(path, settings, frozenset(needed))
            case _:
                yield from _parquet(path)


@contextmanager
def guarded(path: Path, encoding: str) -> Iterator[None]:
    """Turns the system's errors into ours, and notices a file that is written to while it is read."""
    try:
        before = path.stat()
        yield
        after = path.stat()
    except FileNotFoundError as err:
        raise ConfigError("source-missing", f"{path}: there is no such file") from err
    except PermissionError as err:  # on Windows also a file that its writer still holds open
        raise TransportError("source-locked", f"{path}: {err}") from err
    except UnicodeDecodeError as err:
        raise _wrong_encoding(path, encoding, err) from err
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise TransportError(
            "source-changing", f"{path}: it was written to while it was read; the next turn reads it again"
        )


def concatenated(raws: Iterable[Raw]) -> Raw:
    """Chunks as one. A name that a chunk lacks (JSON lines) is empty there."""
    chunks = list(raws)
    if len(chunks) == 1:
        return chunks[0]
    names = tuple(dict.fromkeys(name for chunk in chunks for name in chunk.names))
    columns = []
    for name in names:
        parts = [dict(zip(chunk.names, chunk.columns, strict=True)).get(name) for chunk in chunks]
        kind = next(part.type for part in parts if part is not None)
        filled = [
            pa.nulls(len(chunk.lines), kind) if part is None else part
            for chunk, part in zip(chunks, parts, strict=True)
        ]
        columns.append(pa.chunked_array(filled).combine_chunks())
    return Raw(
        names,
        tuple(columns),
        np.concatenate([chunk.lines for chunk in chunks]),
        chunks[0].unit,
        tuple(itertools.chain.from_iterable(chunk.malformed for chunk in chunks)),
    )


# --- CSV


@dataclass(frozen=True, slots=True)
class _Header:
    names: tuple[str, ...]
    width: int  # fields in the header line, the trailing empty ones included
    line: int  # the last line of the header


def _csv(path: Path, settings: SourceSettings) -> Iterator[Raw]:
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
            yield _no_rows(header.names)


def _csv_by_line(path: Path, settings: SourceSettings, header: _Header, done: int) -> Iterator[Raw]:
    """From the line after `done`. Strict: a quotation mark is closed before the delimiter, or the line is malformed."""
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


def open_text(path: Path, encoding: str) -> IO[str]:
    """The file's text, line ends as they are, a BOM taken off."""
    return path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="")


def _no_rows(names: tuple[str, ...]) -> Raw:
    return Raw(names, tuple(pa.array([], pa.string()) for _ in names), np.array([], np.int64))


def _wrong_encoding(path: Path, encoding: str, err: UnicodeDecodeError) -> RejectedError:
    """The codec reports a position in its block; the line is found by reading again."""
    line = "its text"
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                text.decode(encoding)
            except UnicodeDecodeError as at:
                line = f"line {number} (byte 0x{text[at.start]:02X})"
                break
    other = "cp1252 or latin-1" if encoding == "utf-8" else "latin-1 or utf-8"
    return unreadable(
        path, f"{line} is not {encoding}: {err.reason}; set encoding to {other} if that is how it was written"
    )


# --- JSON lines


def _json_lines(path: Path, settings: SourceSettings, needed: frozenset[str]) -> Iterator[Raw]:
    with open_text(path, settings.encoding) as text:
        numbered = numbered_lines(text)
        empty = True
        while chunk := list(itertools.islice(numbered, CHUNK_ROWS)):
            empty = False
            yield _json_chunk(chunk, settings.forms, needed)
        if empty:
            yield _no_rows(())


def numbered_lines(text: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(line number, line) of the lines that hold something."""
    return ((number, line) for number, line in enumerate(text, start=1) if line.strip(" \t\r\n\x1a"))


def _json_chunk(chunk: Sequence[tuple[int, str]], forms: Forms, needed: frozenset[str]) -> Raw:
    decoder = _decoder(forms)
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    malformed: list[Malformed] = []
    for number, line in chunk:
        try:
            row = decoder.decode(line.strip())
            if not isinstance(row, dict):
                raise TypeError("is not an object")
            for name, value in row.items():
                row[name] = _json_cell(name, value, needed)
        except (ValueError, TypeError, RecursionError) as err:
            malformed.append(Malformed(number, line.rstrip("\r\n"), f"cannot be read: {err}"))
        else:
            rows.append(row)
            lines.append(number)
    names = tuple(dict.fromkeys(itertools.chain.from_iterable(rows)))
    columns = tuple(pa.array([row.get(name) for row in rows], pa.string()) for name in names)
    return Raw(names, columns, np.array(lines, np.int64), malformed=tuple(malformed))


def _json_cell(name: str, value: Any, needed: frozenset[str]) -> str | None:
    if isinstance(value, str):
        value.encode()  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return None
    if name in needed:
        raise TypeError(f"{name} holds a list or an object, expected one value")
    return json.dumps(value)


def _decoder(forms: Forms) -> json.JSONDecoder:
    def number(text: str) -> str:
        try:
            plain = format(Decimal(text), "f") if len(text) < 64 else text
        except InvalidOperation as err:
            raise ValueError(str(err)) from err
        return plain.replace(".", forms.decimal)

    def whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {unicodedata.normalize("NFC", name): value for name, value in pairs}
        if len(found) != len(pairs):
            raise ValueError("a name stands twice")
        return found

    def no_number(text: str) -> NoReturn:
        raise ValueError(f"{text} is not a number")

    return json.JSONDecoder(
        parse_float=number, parse_int=str, parse_constant=no_number, object_pairs_hook=whole
    )


# --- Parquet


def _parquet(path: Path) -> Iterator[Raw]:
    try:
        with open_parquet(path) as file:
            names = tuple(file.schema_arrow.names)
            row = 1
            for batch in file.iter_batches(CHUNK_ROWS):
                yield Raw(
                    names, tuple(batch.columns), np.arange(row, row + batch.num_rows, dtype=np.int64), "row"
                )
                row += batch.num_rows
            if row == 1:
                columns = tuple(pa.nulls(0, kind) for kind in file.schema_arrow.types)
                yield Raw(names, columns, np.array([], np.int64), "row")
    except (pa.ArrowException, OSError) as err:
        if isinstance(err, FileNotFoundError | PermissionError):
            raise
        raise unreadable(path, f"it is not a readable Parquet file: {err}") from err


def open_parquet(path: Path) -> pq.ParquetFile:
    """With the checks that are off by default: a corrupt page would read as valid."""
    return pq.ParquetFile(
        path,
        page_checksum_verification=True,
        thrift_string_size_limit=64 << 20,
        thrift_container_size_limit=1 << 20,
    )
