"""Writes one payload file: rows in, bytes on the way to the disk hashed and counted, never read a second time.

Equal rows in equal order give equal bytes, however they were cut into tables (with the same version of the libraries): a
batch that is sealed again after a crash has the digest that it had before. Encrypted ones do not: every encryption is another.

An encrypted payload is put together in memory, bounded, and only its encrypted bytes are ever written.

The file is written where the caller says, usually inside `durable.staged`, which syncs it and makes it visible. The next
table is fetched (captured, validated) while the one before it is being encoded: two tables are held, never more.

Not here: visibility and fsync (durable), what rows may look like (contracts), claims about them (protocol.manifest).
"""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from filesync.errors import RejectedError
from filesync.protocol.encryption import PLAIN_BYTES_MAX, encrypt
from filesync.protocol.identity import Format
from filesync.writers.jsonlines import JsonLinesWriter, texts
from filesync.writers.parquet import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from filesync.contracts import Contract
    from filesync.protocol.signing import PublicKey

_WRITE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Written:
    """What went to the disk."""

    bytes: int
    sha256: str
    rows: int  # documents


class PayloadWriter(Protocol):
    """One payload format. `write` takes tables in the writer's schema; the file is whole only after `close`."""

    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


class Sink(Protocol):
    """Where a writer's bytes go."""

    def write(self, data: bytes | pa.Buffer) -> int: ...


class SecretText:
    """Bytes that are held in memory until they are encrypted; RejectedError("oversized") when they are too many."""

    def __init__(self) -> None:
        self._text = bytearray()

    def write(self, data: bytes | pa.Buffer) -> int:
        view = memoryview(data)
        if len(self._text) + view.nbytes > PLAIN_BYTES_MAX:
            raise RejectedError(
                "oversized", f"expected at most {PLAIN_BYTES_MAX} bytes to encrypt in one batch, got more"
            )
        self._text += view
        return view.nbytes

    def encrypted(self, recipients: Sequence[PublicKey]) -> bytes:
        return encrypt(bytes(self._text), recipients)


class HashingFile:
    """A file for writing that knows the digest and the size of what went through it. Bytes are written once, in order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._pending = bytearray()
        self.size = 0

    def write(self, data: bytes | pa.Buffer) -> int:
        view = memoryview(data)
        # Parquet writes thousands of pieces of a few bytes: they are gathered, since each write to the disk is a system call.
        self._pending += view
        self.size += view.nbytes
        if len(self._pending) >= _WRITE_BYTES:
            self.flush()
        return view.nbytes

    def flush(self) -> None:
        if self._pending:
            self._digest.update(self._pending)
            view = memoryview(self._pending)
            done = 0
            while done < len(view):
                done += self._file.write(view[done:])
            view.release()
            self._pending = bytearray()

    def tell(self) -> int:
        return self.size

    @property
    def closed(self) -> bool:
        return False

    @property
    def sha256(self) -> str:
        """Hex, of everything up to the last `flush`."""
        return self._digest.hexdigest()


def write_payload(
    path: Path,
    format: Format,  # noqa: A002 - the manifest's own word
    contract: Contract,
    tables: Iterable[pa.Table],
    *,
    readers: Sequence[PublicKey] = (),
) -> Written:
    """Writes the tables (each with exactly `contract.arrow_schema`) as one payload. After an error the file is unusable.

    `readers` are the keys that an encrypted format is encrypted to.
    """
    with path.open("wb", buffering=0) as file:
        return _write(file, format, contract, tables, readers)


def payload_bytes(
    format: Format,  # noqa: A002
    contract: Contract,
    table: pa.Table,
    *,
    readers: Sequence[PublicKey] = (),
) -> tuple[bytes, Written]:
    """One small payload in memory, for groups of them that become visible together (`durable.publish_many`)."""
    file = io.BytesIO()
    written = _write(file, format, contract, [table], readers)
    return file.getvalue(), written


def small_payloads(
    format: Format,  # noqa: A002
    contract: Contract,
    table: pa.Table,
    counts: Sequence[int],
) -> Iterator[tuple[bytes, Written]]:
    """Payloads of the first `counts[0]` documents of `table`, of the next `counts[1]`, and so on, as `payload_bytes` would make each.

    Not encrypted ones. Text is made of all documents at once: thirteen times as fast as of twenty at a time.
    """
    match format:
        case Format.PARQUET:
            datas = _parquets(contract.arrow_schema, table, counts)
        case Format.JSONL:
            datas = texts(table, counts)
        case Format.JSONL_AGE:
            raise ValueError("an encrypted payload is made alone")
    for data, count in zip(datas, counts, strict=True):
        yield data, Written(len(data), hashlib.sha256(data).hexdigest(), count)


def _parquets(schema: pa.Schema, table: pa.Table, counts: Sequence[int]) -> Iterator[bytes]:
    """Each is a file of its own, with a footer; Arrow writes them beside whatever is done with those before."""

    def one(part: pa.Table) -> bytes:
        buffer = pa.BufferOutputStream()
        writer = ParquetWriter(buffer, schema)
        writer.write(part)
        writer.close()
        data: bytes = buffer.getvalue().to_pybytes()
        return data

    starts = [0, *accumulate(counts)]
    parts = [table.slice(start, count) for start, count in zip(starts, counts, strict=False)]
    if len(parts) < 4:  # threads cost more than they gain
        yield from map(one, parts)
        return
    with ThreadPoolExecutor(2, thread_name_prefix="payload") as encoders:
        yield from encoders.map(one, parts)


def digest_file(path: Path) -> tuple[str, int]:
    """(sha256 in hex, size in bytes) of a file of any size, read once."""
    with path.open("rb", buffering=0) as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def _write(
    file: BinaryIO,
    format: Format,  # noqa: A002
    contract: Contract,
    tables: Iterable[pa.Table],
    readers: Sequence[PublicKey],
) -> Written:
    sink = HashingFile(file)
    secret = SecretText()
    writer: PayloadWriter
    match format:
        case Format.PARQUET:
            writer = ParquetWriter(pa.PythonFile(sink, mode="w"), contract.arrow_schema)
        case Format.JSONL:
            writer = JsonLinesWriter(sink, contract.arrow_schema)
        case Format.JSONL_AGE:
            writer = JsonLinesWriter(secret, contract.arrow_schema)
    rows = _feed(writer, iter(tables))
    writer.close()
    if format is Format.JSONL_AGE:
        sink.write(secret.encrypted(readers))
    sink.flush()
    return Written(sink.size, sink.sha256, rows)


def _feed(writer: PayloadWriter, tables: Iterator[pa.Table]) -> int:
    """Gives the writer all tables; encodes one while the next is being fetched. Returns the number of documents."""
    table, following = next(tables, None), next(tables, None)
    if following is None:  # most payloads are one table: no thread for them
        if table is not None:
            writer.write(table)
        return table.num_rows if table is not None else 0
    rows = 0
    with ThreadPoolExecutor(1, thread_name_prefix="payload") as encoder:
        while table is not None:
            encoding = encoder.submit(writer.write, table)
            rows += table.num_rows
            table, following = following, None if following is None else next(tables, None)
            encoding.result()
    return rows
