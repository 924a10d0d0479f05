"""Reads one payload file as tables that conform to its contract, in bounded memory, whatever is in the file.

Two kinds of badness, told apart here and nowhere else: a file that cannot be read or has other columns is refused whole
(RejectedError); a line of JSON that holds no document is named and set aside, and the others go on.

Not here: whether the bytes are those that the manifest claims (compare the digest first), and the contract's rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from filesync.errors import RejectedError
from filesync.protocol.encryption import ENCRYPTED_BYTES_MAX, decrypt
from filesync.protocol.identity import Format
from filesync.readers import jsonlines, parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract
    from filesync.protocol.receipt import Problem
    from filesync.protocol.signing import SigningKey

CHUNK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive documents of a payload. Row numbers count the payload's documents (of JSON: its lines) from 0."""

    table: pa.Table  # schema: contract.arrow_schema; rule violations are still in it
    rows: range | tuple[int, ...]  # per document of `table`, its row in the payload
    malformed: tuple[
        Problem, ...
    ] = ()  # of rows that are no document and are missing in `table`; at least one each
    malformed_rows: tuple[tuple[int, str], ...] = ()  # (row, text as it stood)

    @property
    def count(self) -> int:
        """Rows of the payload that this chunk stands for."""
        return len(self.rows) + len(self.malformed_rows)


def read_payload(
    path: Path,
    format: Format,  # noqa: A002 - the manifest's own word
    contract: Contract,
    *,
    chunk_rows: int = CHUNK_ROWS,
    rows_max: int | None = None,
    key: SigningKey | None = None,
) -> Iterator[Chunk]:
    """The payload in order, up to `chunk_rows` rows at a time.

    `rows_max` is the number of documents that the manifest claims: a payload with more is refused, before it is decoded if its
    format says so. Raises RejectedError("payload-unreadable" | "schema-mismatch") with what was expected and found; OSError as the
    system raises it. An encrypted payload is opened with `key`, in memory ("not-readable-here", "oversized").
    """
    match format:
        case Format.PARQUET:
            first = 0
            for table in parquet.read(path, contract, chunk_rows, rows_max):
                yield Chunk(table, range(first, first + table.num_rows))
                first += table.num_rows
        case Format.JSONL:
            for lines in jsonlines.read(path, contract, chunk_rows, rows_max):
                yield Chunk(lines.table, lines.rows, lines.malformed, lines.malformed_rows)
        case Format.JSONL_AGE:
            for lines in jsonlines.read(_opened(path, key), contract, chunk_rows, rows_max):
                yield Chunk(lines.table, lines.rows, lines.malformed, lines.malformed_rows)


def _opened(path: Path, key: SigningKey | None) -> bytes:
    """The text of an encrypted payload. It is held, never written."""
    if key is None:
        raise RejectedError("not-readable-here", f"{path.name}: expected a key to open it with, got none")
    with path.open("rb") as file:
        return decrypt(file.read(ENCRYPTED_BYTES_MAX + 1), key)


def read_many(
    payloads: Sequence[bytes | Path],
    format: Format,  # noqa: A002
    contract: Contract,
) -> tuple[pa.Table, pa.Int32Array]:
    """All documents of many small payloads in one table, and for each document the index of its payload.

    All or nothing: RejectedError when anything in any of them is wrong; then `read_payload` says what, one by one. The caller bounds
    how much it asks for at once. Encrypted payloads are read one by one, never here.
    """
    if format is Format.JSONL_AGE:
        raise ValueError("expected payloads that are not encrypted")
    reader = parquet.read_many if format is Format.PARQUET else jsonlines.read_many
    table, counts = reader(payloads, contract)
    return table, pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
