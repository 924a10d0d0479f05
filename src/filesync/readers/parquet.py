"""Parquet payloads as tables, one row group at a time, with everything checked that can be checked before decoding.

The order is: footer and page headers (parquet_pages.py), documents against the claim, schema against the contract, and
only then the pages, with their checksums, in batches of about BATCH_BYTES. That texts are UTF-8, which Parquet does not
promise, is proven by `Contract.conform`. Whatever Arrow says of a damaged file becomes RejectedError("payload-unreadable");
an error of the disk stays OSError.

Not here: the payload's digest (it is compared before anything is read), the rules of the contract.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filesync.errors import FilesyncError, RejectedError
from filesync.readers import parquet_pages
from filesync.readers.thrift import LIST_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract

BATCH_BYTES = 64 << 20
SMALL_BYTES = 1 << 20  # below, starting threads costs more than they save
THREADS = 2  # that read small payloads side by side
BLOCK = 64  # small payloads that one of them reads after one another
# Arrow's own limits on the footer. They are those of parquet_pages.py and thrift.py again, in case the two read it differently.
_LIMITS = {
    "thrift_string_size_limit": parquet_pages.FOOTER_BYTES_MAX,
    "thrift_container_size_limit": LIST_MAX,
    "page_checksum_verification": True,
}


def read(path: Path, contract: Contract, chunk_rows: int, rows_max: int | None) -> Iterator[pa.Table]:
    """Tables of up to `chunk_rows` documents, each with exactly `contract.arrow_schema`."""
    path.open(
        "rb"
    ).close()  # a missing or locked file is said by the system, not taken for a verdict on the content
    with _refusing(path.name), pa.OSFile(str(path)) as file:
        groups = parquet_pages.measure(file.size(), lambda at, size: bytes(file.read_at(size, at)))
        rows = sum(group.rows for group in groups)
        if rows_max is not None and rows > rows_max:
            raise RejectedError("payload-unreadable", f"{rows_max} documents were expected, got {rows}")
        yield from _tables(file, groups, contract, chunk_rows)


def read_many(payloads: Sequence[bytes | Path], contract: Contract) -> tuple[pa.Table, list[int]]:
    """All documents of small payloads in one table, and how many each had."""
    blocks = [payloads[start : start + BLOCK] for start in range(0, len(payloads), BLOCK)]
    if len(blocks) < 2:  # a thread costs more than it saves
        tables = _small_tables(payloads)
    else:
        # One thread measures a file while Arrow, which leaves the interpreter alone, reads another.
        with ThreadPoolExecutor(THREADS, thread_name_prefix="filesync-parquet") as pool:
            tables = list(chain.from_iterable(pool.map(_small_tables, blocks)))
    counts = [table.num_rows for table in tables]
    if not tables:
        return contract.arrow_schema.empty_table(), counts
    with _refusing(""):
        _check_names(tables[0].schema)
        # Files of one writer have one schema: conforming once for all costs a fiftieth of doing it for each.
        if not all(table.schema.equals(tables[0].schema) for table in tables[1:]):
            for table in tables:
                _check_names(table.schema)
            tables = [contract.conform(table) for table in tables]
        return contract.conform(pa.concat_tables(tables).combine_chunks()), counts


def _small_tables(payloads: Sequence[bytes | Path]) -> list[pa.Table]:
    with _refusing(""):
        return [
            _small(payload if isinstance(payload, bytes) else payload.read_bytes()) for payload in payloads
        ]


def _small(data: bytes) -> pa.Table:
    for group in parquet_pages.measure(len(data), lambda at, size: data[at : at + size]):
        if group.dictionaries or group.bytes > BATCH_BYTES:
            raise RejectedError(
                "payload-unreadable", f"a small payload was expected, got one of {group.bytes} bytes"
            )
    return pq.ParquetFile(pa.BufferReader(data), **_LIMITS).read(use_threads=False)


def _tables(
    file: pa.NativeFile, groups: Sequence[parquet_pages.Group], contract: Contract, chunk_rows: int
) -> Iterator[pa.Table]:
    parquet = pq.ParquetFile(file, **_LIMITS)
    metadata = parquet.metadata
    schema = parquet.schema_arrow
    _check_names(schema)
    contract.conform(schema.empty_table())  # raises "schema-mismatch" before anything is decoded
    for index, group in enumerate(groups):
        if group.dictionaries:
            encoded = [metadata.schema.column(number).path for number in group.dictionaries]
            parquet = pq.ParquetFile(file, metadata=metadata, read_dictionary=encoded, **_LIMITS)
        # A few documents may be most of the bytes, so this is no bound; GROUP_BYTES_MAX is.
        batch_rows = max(1, min(chunk_rows, group.rows * BATCH_BYTES // max(group.bytes, 1)))
        threads = group.bytes > SMALL_BYTES
        for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=[index], use_threads=threads):
            for column in batch.columns if group.dictionaries else ():
                _check_expansion(column)
            yield contract.conform(batch)


def _check_names(schema: pa.Schema) -> None:
    """Two columns of one name: which of them counts must not be left to chance."""
    names = list(schema.names)
    for field in schema:
        if pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
            names += [f"{field.name}.{line.name}" for line in field.type.value_type]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RejectedError(
            "schema-mismatch", f"every column once was expected, got several of {', '.join(twice)}"
        )


def _check_expansion(column: pa.Array) -> None:
    """Refuses a column whose dictionary would unfold into more text than a batch may hold."""
    if pa.types.is_list(column.type):
        column = column.flatten()
    if pa.types.is_struct(column.type):
        for values in column.flatten():
            _check_expansion(values)
    elif pa.types.is_dictionary(column.type) and len(column.dictionary):
        lengths = pc.binary_length(column.dictionary)
        if pc.max(lengths).as_py() * len(column) <= parquet_pages.EXPANDED_BYTES_MAX:
            return
        total = pc.sum(lengths.take(column.indices).cast(pa.int64())).as_py() or 0
        if total > parquet_pages.EXPANDED_BYTES_MAX:
            raise RejectedError(
                "payload-unreadable",
                f"up to {parquet_pages.EXPANDED_BYTES_MAX} bytes of text in a batch were expected, got {total}",
            )


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Arrow's errors about content, mapped once. Its IO errors are OSError: with a number they come from the system."""
    try:
        yield
    except FilesyncError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise _unreadable(name, error) from error
    except (pa.ArrowException, ValueError, OverflowError, MemoryError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> RejectedError:
    return RejectedError(
        "payload-unreadable", f"{name or 'payload'}: a Parquet file was expected, got: {str(error)[:300]}"
    )
