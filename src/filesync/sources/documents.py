"""Files that hold documents already, in the contract's own shape: Parquet with nested lines, JSON lines. They
are streamed.

`origem` may be absent: it is this site's id then. Everything else has to be as the contract says; what is not
is refused or set aside, never adapted. JSON lines are parsed in blocks by Arrow; a block that it refuses is
read line by line, so that one bad line is one document set aside.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from filesync.contracts.jsonguard import one_object_a_line
from filesync.errors import RejectedError
from filesync.protocol.receipt import Problem
from filesync.sources.files import numbered_lines, open_parquet
from filesync.sources.plan import ORIGIN
from filesync.sources.raw import CHUNK_BYTES, CHUNK_ROWS, guarded, open_text, unreadable
from filesync.sources.settings import Kind, SourceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract
    from filesync.sources.frame import Rows

_BLOCK_BYTES_MAX: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Documents:
    """Documents with their lines (rows of a Parquet file), and those that could not be read."""

    table: pa.Table
    lines: Rows
    problems: tuple[Problem, ...] = ()
    set_aside: tuple[dict[str, Any], ...] = ()


def read_documents(
    path: Path, settings: SourceSettings, contract: Contract, site: str
) -> Iterator[Documents]:
    """A file's documents in chunks; at least one chunk. Raises RejectedError where the file is of another
    shape.
    """
    with guarded(path, settings.encoding):
        if settings.kind is Kind.PARQUET:
            yield from _parquet(path, contract, site)
        else:
            yield from _json_lines(path, settings, contract, site)


def _parquet(path: Path, contract: Contract, site: str) -> Iterator[Documents]:
    row = 1
    try:
        with open_parquet(path) as file:
            empty = file.schema_arrow.empty_table().to_batches() or [
                pa.RecordBatch.from_pylist([], file.schema_arrow)
            ]
            for batch in file.iter_batches(CHUNK_ROWS) if file.metadata.num_rows else empty:
                table = pa.Table.from_batches([batch])
                if ORIGIN not in table.column_names and ORIGIN in contract.key:
                    table = table.append_column(ORIGIN, pa.array([site] * table.num_rows, pa.string()))
                lines = np.arange(row, row + table.num_rows, dtype=np.int64)
                row += table.num_rows
                yield Documents(contract.conform(table), lines)
    except RejectedError as err:
        raise RejectedError(
            err.code, f"{path.name}: {err.message}; columns of another name or form need a mapping"
        ) from err
    except (pa.ArrowException, OSError) as err:
        if isinstance(err, FileNotFoundError | PermissionError):
            raise
        raise unreadable(path, f"it is not a readable Parquet file: {err}") from err


def _json_lines(path: Path, settings: SourceSettings, contract: Contract, site: str) -> Iterator[Documents]:
    with open_text(path, settings.encoding) as text:
        empty = True
        for block in _blocks(numbered_lines(text)):
            empty = False
            yield _block_by_arrow(block, contract, site) or _block_by_line(block, contract, site)
        if empty:
            yield Documents(contract.arrow_schema.empty_table(), np.array([], np.int64))


def _blocks(lines: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    size = 0
    for number, line in lines:
        block.append((number, line.strip()))
        size += len(line)
        if size >= CHUNK_BYTES or len(block) == CHUNK_ROWS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _block_by_arrow(block: Sequence[tuple[int, str]], contract: Contract, site: str) -> Documents | None:
    """The whole block at once, or None where a line of it is not as the contract says."""
    data = "".join(f"{line}\n" for _, line in block).encode()
    if not one_object_a_line(data, _BLOCK_BYTES_MAX):
        return None
    try:
        table = pa_json.read_json(
            io.BytesIO(data),
            read_options=pa_json.ReadOptions(block_size=min(len(data) + 1, _BLOCK_BYTES_MAX)),
            parse_options=pa_json.ParseOptions(
                explicit_schema=_spelled(contract.arrow_schema), unexpected_field_behavior="error"
            ),
        )
        if table.num_rows != len(block):  # two objects on one line
            return None
        table = table.cast(contract.arrow_schema)
    except pa.ArrowException:
        return None
    if ORIGIN in contract.key:
        at = table.schema.get_field_index(ORIGIN)
        table = table.set_column(at, table.schema.field(at), table[ORIGIN].fill_null(site))
    return Documents(table, np.array([number for number, _ in block], np.int64))


def _spelled(schema: pa.Schema) -> pa.Schema:
    """The schema as JSON spells it: dates are text there."""

    def spelled(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_list(kind):
            return pa.list_(pa.struct([(member.name, spelled(member.type)) for member in kind.value_type]))
        return pa.string() if pa.types.is_date(kind) else kind

    return pa.schema([(member.name, spelled(member.type)) for member in schema])


def _block_by_line(block: Sequence[tuple[int, str]], contract: Contract, site: str) -> Documents:
    documents: list[dict[str, Any]] = []
    lines: list[int] = []
    texts: list[str] = []
    problems: list[Problem] = []
    set_aside: list[dict[str, Any]] = []
    for number, text in block:
        try:
            document = _DECODER.decode(text)
            if not isinstance(document, dict):
                raise TypeError("is not an object")
            text.encode()
        except (ValueError, TypeError, RecursionError) as err:
            problem = Problem(
                "line-malformed", f"line {number} cannot be read: {err}", contract.dataset, number
            )
            problems.append(problem)
            set_aside.append(aside(number, [problem], [{"line": number, "text": text}]))
            continue
        if document.get(ORIGIN) is None and ORIGIN in contract.key:
            document[ORIGIN] = site
        documents.append(document)
        lines.append(number)
        texts.append(text)
    table, misfits, kept = contract.from_documents(documents)
    by_row: dict[int, list[Problem]] = {}
    for misfit in misfits:
        line = lines[misfit.row or 0]
        found = replace(misfit, row=line, message=f"line {line}: {misfit.message}")
        by_row.setdefault(misfit.row or 0, []).append(found)
        problems.append(found)
    unkept = sorted(set(range(len(documents))) - set(kept))
    set_aside += [
        aside(lines[row], by_row.get(row, []), [{"line": lines[row], "text": texts[row]}]) for row in unkept
    ]
    return Documents(
        table, np.array([lines[row] for row in kept], np.int64), tuple(problems), tuple(set_aside)
    )


def aside(line: int, problems: Sequence[Problem], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One document that was set aside: where, why, and its rows as the source had them."""
    return {"line": line, "problems": [problem.to_signed() for problem in problems], "rows": list(rows)}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)
