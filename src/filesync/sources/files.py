"""Files of rows as columns, with the line on which each row stands: CSV (delimited.py), JSON lines, Parquet.
Reading never changes a file.

- JSON lines: numbers keep their digits (10.10 is never a float); they become text in the source's own form.
- A row that cannot be split into its columns is `Malformed`, with its line and text. A file that is no such
  file at all is a RejectedError.
"""

from __future__ import annotations

import itertools
import json
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filesync.sources.delimited import read_csv
from filesync.sources.raw import CHUNK_ROWS, Malformed, Raw, guarded, no_rows, open_text, unreadable
from filesync.sources.settings import Kind, SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from filesync.sources.forms import Forms


def read_rows(path: Path, settings: SourceSettings, needed: Sequence[str]) -> Iterator[Raw]:
    """The rows of a file, in chunks; at least one chunk, so that a file without rows still shows its columns.

    `needed`: the columns that the mapping uses. Raises RejectedError "source-unreadable", TransportError
    where the file is locked or being written.
    """
    with guarded(path, settings.encoding):
        match settings.kind:
            case Kind.CSV:
                yield from read_csv(path, settings)
            case Kind.JSONL:
                yield from _json_lines(path, settings, frozenset(needed))
            case _:
                yield from _parquet(path)


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


# --- JSON lines


def _json_lines(path: Path, settings: SourceSettings, needed: frozenset[str]) -> Iterator[Raw]:
    with open_text(path, settings.encoding) as text:
        numbered = numbered_lines(text)
        empty = True
        while chunk := list(itertools.islice(numbered, CHUNK_ROWS)):
            empty = False
            yield _json_chunk(chunk, settings.forms, needed)
        if empty:
            yield no_rows(())


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
            names = tuple(unicodedata.normalize("NFC", name) for name in file.schema_arrow.names)
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
