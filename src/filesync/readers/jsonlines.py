"""JSON lines payloads as tables, in blocks; one bad line costs one document, never its neighbours.

Arrow parses a block of lines at once. It is given only what it can be trusted with, since it takes `{..} {..}` on one line
for two documents, and ends the process at a `null` where a document should be (apache/arrow#47409):

- every line is one object or an error (contracts/jsonguard.py);
- a block is at most BLOCK_BYTES and `chunk_rows` lines, and must give as many rows as it has lines.

A block for which that fails is halved until the bad lines stand among few; those few are parsed one by one with
Python's parser, strictly (no NaN, no member twice), and the contract names what is wrong with each.
That texts are UTF-8, at which Arrow does not look either, is proven by `Contract.conform`.

Not here: the rules of the contract. Empty lines and a BOM are bad lines; CR LF is taken for LF.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from filesync.contracts.jsonguard import one_object_a_line
from filesync.errors import RejectedError
from filesync.protocol.receipt import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from filesync.contracts import Contract

LINE_BYTES_MAX = 1 << 20  # writers/jsonlines.py refuses to write longer ones
BLOCK_BYTES = 8 << 20
MALFORMED_MAX = 10_000  # more bad lines than that: this is no payload with mistakes, it is something else
SHOWN_CHARS = 4096  # of a line that is too long to keep
FEW_LINES = 128
SMALL_BYTES = 1 << 20  # below, starting threads costs more than they save


@dataclass(frozen=True, slots=True)
class Lines:
    """What became of consecutive lines: the documents, in which line each stood, and the lines that hold none."""

    table: pa.Table
    rows: range | tuple[int, ...]  # per document, its line in the payload, from 0
    malformed: tuple[Problem, ...] = ()
    malformed_rows: tuple[tuple[int, str], ...] = ()


def read(payload: Path | bytes, contract: Contract, chunk_rows: int, rows_max: int | None) -> Iterator[Lines]:
    """The payload's lines in order, at most `chunk_rows` at a time; RejectedError when there are more than `rows_max`."""
    parser = _Parser(contract)
    first = malformed = 0
    with io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb", buffering=0) as file:
        for block in _blocks(file, chunk_rows):
            if rows_max is not None and first + block.count > rows_max:
                raise RejectedError(
                    "payload-unreadable",
                    f"{rows_max} documents were expected, got at least {first + block.count}",
                )
            lines = parser.parse(block, first)
            malformed += len(lines.malformed_rows)
            if malformed > MALFORMED_MAX:
                raise RejectedError(
                    "payload-unreadable", f"JSON lines were expected, got {malformed} lines that are none"
                )
            first += block.count
            yield lines


def read_many(payloads: Sequence[bytes | Path], contract: Contract) -> tuple[pa.Table, list[int]]:
    """All documents of small payloads in one table, and how many each had; RejectedError when one line of one is bad."""
    parts = []
    counts = []
    for payload in payloads:
        data = _clean(payload if isinstance(payload, bytes) else payload.read_bytes())
        counts.append(data.count(b"\n"))
        parts.append(data)
    table = _Parser(contract).fast(_Block(b"".join(parts), sum(counts)))
    if table is None:
        raise RejectedError(
            "payload-unreadable", "JSON lines, each one document, were expected, got at least one that is not"
        )
    return table, counts


@dataclass(frozen=True, slots=True)
class _Block:
    """Whole lines, each with its newline; or one line that was too long, as far as it was kept."""

    data: bytes
    count: int
    too_long: bool = False


class _Parser:
    """Lines into documents of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        # Arrow's JSON parser knows no dates: they are read as text, and conforming casts them, strictly.
        schema = pa.schema([_parsed(field) for field in contract.arrow_schema])
        self._options = pj.ParseOptions(
            explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="error"
        )

    def parse(self, block: _Block, first: int) -> Lines:
        """`first` is the number of the block's first line in the payload."""
        if block.too_long:
            message = f"line {first + 1}: up to {LINE_BYTES_MAX} bytes were expected, got more"
            text = block.data.decode(errors="replace")[:SHOWN_CHARS] + "…"
            return Lines(
                self._contract.arrow_schema.empty_table(),
                (),
                (Problem("malformed", message, row=first),),
                ((first, text),),
            )
        table = self.fast(block)
        if table is not None:
            return Lines(table, range(first, first + block.count))
        lines = block.data.split(b"\n")[:-1]
        if len(lines) <= FEW_LINES:
            return self._one_by_one(lines, first)
        half = len(lines) // 2
        parts = [
            self.parse(_Block(b"".join(line + b"\n" for line in part), len(part)), start)
            for part, start in ((lines[:half], first), (lines[half:], first + half))
        ]
        return Lines(
            pa.concat_tables(part.table for part in parts),
            tuple(chain.from_iterable(part.rows for part in parts)),
            tuple(chain.from_iterable(part.malformed for part in parts)),
            tuple(chain.from_iterable(part.malformed_rows for part in parts)),
        )

    def fast(self, block: _Block) -> pa.Table | None:
        """The block's documents, if every line of it surely is one; None if that takes a closer look."""
        if not block.count:
            return self._contract.arrow_schema.empty_table()
        if not one_object_a_line(block.data, LINE_BYTES_MAX):
            return None
        size = len(block.data)
        options = pj.ReadOptions(
            use_threads=size > SMALL_BYTES, block_size=size + 1 if size <= SMALL_BYTES else 2 * LINE_BYTES_MAX
        )
        try:
            table = pj.read_json(
                pa.BufferReader(block.data), read_options=options, parse_options=self._options
            )
            if table.num_rows != block.count:
                return None
            return self._contract.conform(table)
        except (pa.ArrowException, ValueError, RejectedError):
            return None

    def _one_by_one(self, lines: list[bytes], first: int) -> Lines:
        documents: list[dict[str, Any]] = []
        rows: list[int] = []
        problems: list[Problem] = []
        for row, line in enumerate(lines, first):
            try:
                documents.append(_document(line))
                rows.append(row)
            except (ValueError, RecursionError) as error:
                reason = str(error) if isinstance(error, ValueError) else "nested too deep"
                problems.append(Problem("malformed", f"line {row + 1}: {reason[:300]}", row=row))
        table, misfits, kept = self._contract.from_documents(documents)
        problems += [
            Problem(
                misfit.code,
                misfit.message,
                misfit.relation,
                None if misfit.row is None else rows[misfit.row],
                misfit.pointer,
            )
            for misfit in misfits
        ]
        good = tuple(rows[index] for index in kept)
        bad = sorted(set(range(first, first + len(lines))) - set(good))
        texts = tuple((row, lines[row - first].decode(errors="replace")) for row in bad)
        return Lines(table, good, tuple(sorted(problems, key=lambda problem: problem.row or 0)), texts)


def _parsed(field: pa.Field) -> pa.Field:
    """The field as Arrow's JSON parser can give it: dates as text."""
    kind = field.type
    if pa.types.is_date32(kind):
        kind = pa.string()
    elif pa.types.is_list(kind):
        kind = pa.list_(pa.struct([_parsed(line) for line in kind.value_type]))
    return pa.field(field.name, kind)


def _clean(data: bytes) -> bytes:
    """Every line with a bare newline: a CR outside of it is refused by all parsers, or is white space."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _blocks(file: BinaryIO, chunk_rows: int) -> Iterator[_Block]:
    """Cuts the file at newlines. Holds two blocks at most, however long a line may be."""
    rest = b""
    while data := file.read(BLOCK_BYTES):
        if rest:
            data = rest + data
        end = data.rfind(b"\n") + 1
        yield from _cut(_clean(data[:end]), chunk_rows)
        rest = data[end:]
        if len(rest) > LINE_BYTES_MAX + 1:  # the one may be a CR
            yield _Block(rest[:SHOWN_CHARS], 1, too_long=True)
            rest = _after_newline(file)
    yield from _cut(_clean(rest), chunk_rows)


def _after_newline(file: BinaryIO) -> bytes:
    """Reads on to the end of a line that is too long and returns what was read behind it."""
    while data := file.read(BLOCK_BYTES):
        end = data.find(b"\n") + 1
        if end:
            return data[end:]
    return b""


def _cut(data: bytes, chunk_rows: int) -> Iterator[_Block]:
    """Whole lines in blocks of at most `chunk_rows`, the too long ones each alone."""
    if not data:
        return
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    long = set(np.flatnonzero(np.diff(ends, prepend=0) > LINE_BYTES_MAX + 1).tolist())
    cuts = {*range(chunk_rows, len(ends), chunk_rows), *long, *(line + 1 for line in long), len(ends)} - {0}
    start = line = 0
    for stop in sorted(cuts):
        end = int(ends[stop - 1])
        if line in long:
            yield _Block(data[start : start + SHOWN_CHARS], 1, too_long=True)
        else:
            yield _Block(data if end - start == len(data) else data[start:end], stop - line)
        start, line = end, stop


def _document(line: bytes) -> dict[str, Any]:
    """One line, strictly. Raises ValueError with the reason (also of json and of UTF-8), RecursionError."""
    if len(line) > LINE_BYTES_MAX:
        raise ValueError(f"up to {LINE_BYTES_MAX} bytes were expected, got {len(line)}")
    if not line.strip():
        raise ValueError("a JSON object was expected, got an empty line")
    document = json.loads(line.decode(), object_pairs_hook=_members, parse_constant=_no_constant)
    if not isinstance(document, dict):
        raise ValueError(f"a JSON object was expected, got {type(document).__name__}")  # noqa: TRY004 - bad content, as above
    if b"\\u" in line:
        _check_unicode(document)
    return document


def _check_unicode(document: dict[str, Any]) -> None:
    """JSON can escape half a character (RFC 8259, 8.2), which no store takes."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("Unicode text was expected, got half of a surrogate pair") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"every member once was expected, got several of {next(name for name in names if names.count(name) > 1)!r}"
        )
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"a JSON value was expected, got {name}")
