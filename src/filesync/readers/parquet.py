"""Parquet payloads as tables, one row group at a time, with everything checked that can be checked before decoding.

The order is: footer (bounded), schema against the contract, documents against the claim, page headers (parquet_pages.py),
and only then the pages, with their checksums, in batches that stay within BATCH_BYTES. That texts are
UTF-8, which Parquet does not promise, is proven by `Contract.conform`. Whatever Arrow says of a damaged file becomes RejectedError("payload-unreadable"); an error of the disk stays OSError.

Not here: the payload's digest (it is compared before anything is read), the rules of the contract.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filesync.errors import FilesyncError, RejectedError
from filesync.readers import parquet_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.contracts import Contract

FOOTER_BYTES_MAX = 8 << 20
# Thrift limits. A schema of a few thousand levels would overflow the stack of Arrow's (recursive) schema reader.
FOOTER_LIST_MAX = 1000  # so also row groups in a file: 65 million documents in those of writers/parquet.py
FOOTER_TEXT_BYTES_MAX = 1 << 20
BATCH_BYTES = 64 << 20
SMALL_BYTES = 1 << 20  # below, starting threads costs more than they save
CODECS = frozenset({"UNCOMPRESSED", "SNAPPY", "ZSTD", "GZIP", "LZ4", "BROTLI"})


def read(path: Path, contract: Contract, chunk_rows: int, rows_max: int | None) -> Iterator[pa.Table]:
    """Tables of up to `chunk_rows` documents, each with exactly `contract.arrow_schema`."""
    with path.open(
        "rb"
    ):  # says a missing or locked file in the system's words, before Arrow's become a verdict on the content
        pass
    with _refusing(path.name), pa.OSFile(str(path)) as file:
        size = file.size()
        _check_footer(file.read_at(8, max(size - 8, 0)), size)
        metadata = _metadata(file)
        yield from _tables(file, metadata, size, contract, chunk_rows, rows_max)


def read_many(payloads: Sequence[bytes | Path], contract: Contract) -> tuple[pa.Table, list[int]]:
    """All documents of small payloads in one table, and how many each had."""
    tables = []
    for payload in payloads:
        data = payload if isinstance(payload, bytes) else payload.read_bytes()
        with _refusing(""):
            tables.append(_small(data))
    counts = [table.num_rows for table in tables]
    with _refusing(""):
        # Equal files give equal schemas: conforming once for all costs a fiftieth of doing it for each.
        schemas = {table.schema for table in tables}
        if len(schemas) > 1:
            tables = [contract.conform(table) for table in tables]
        whole = pa.concat_tables(tables).combine_chunks() if tables else contract.arrow_schema.empty_table()
        for schema in schemas:
            _check_names(schema)
        return contract.conform(whole), counts


def _small(data: bytes) -> pa.Table:
    _check_footer(data[-8:], len(data))
    file = pa.BufferReader(data)
    parquet = pq.ParquetFile(
        file,
        page_checksum_verification=True,
        thrift_string_size_limit=FOOTER_TEXT_BYTES_MAX,
        thrift_container_size_limit=FOOTER_LIST_MAX,
    )
    metadata = parquet.metadata
    for index in range(metadata.num_row_groups):
        cost = parquet_pages.measure(
            metadata.row_group(index), lambda at, size: data[at : at + size], len(data)
        )
        if cost.dictionaries or cost.bytes > BATCH_BYTES:
            raise RejectedError(
                "payload-unreadable", f"a small payload was expected, got one of {cost.bytes} bytes"
            )
    return parquet.read(use_threads=False)


def _metadata(file: pa.NativeFile) -> pq.FileMetaData:
    return pq.ParquetFile(
        file, thrift_string_size_limit=FOOTER_TEXT_BYTES_MAX, thrift_container_size_limit=FOOTER_LIST_MAX
    ).metadata


def _tables(
    file: pa.NativeFile,
    metadata: pq.FileMetaData,
    size: int,
    contract: Contract,
    chunk_rows: int,
    rows_max: int | None,
) -> Iterator[pa.Table]:
    schema = metadata.schema.to_arrow_schema()
    _check_names(schema)
    contract.conform(schema.empty_table())  # raises "schema-mismatch" before anything is decoded
    rows = sum(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
    if rows != metadata.num_rows or (rows_max is not None and rows > rows_max):
        expected = metadata.num_rows if rows_max is None else rows_max
        raise RejectedError("payload-unreadable", f"{expected} documents were expected, got {rows}")
    for index in range(metadata.num_row_groups):
        cost = parquet_pages.measure(
            metadata.row_group(index), lambda at, count: bytes(file.read_at(count, at)), size
        )
        # A few documents may be most of the bytes, so this halves the worst case more often than it bounds it.
        batch_rows = max(1, min(chunk_rows, cost.rows * BATCH_BYTES // max(cost.bytes, 1)))
        parquet = pq.ParquetFile(
            file, metadata=metadata, read_dictionary=list(cost.dictionaries), page_checksum_verification=True
        )
        threads = cost.bytes > SMALL_BYTES
        for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=[index], use_threads=threads):
            for column in batch.columns if cost.dictionaries else ():
                _check_expansion(column)
            yield contract.conform(batch)


def _check_footer(tail: bytes, size: int) -> None:
    """The last eight bytes: the footer's length and the magic. Arrow would read a footer of any length."""
    length = int.from_bytes(tail[:4], "little")
    if len(tail) < 8 or tail[4:] != b"PAR1" or length > min(FOOTER_BYTES_MAX, size - 8):
        raise RejectedError(
            "payload-unreadable",
            f"a Parquet file with a footer of up to {FOOTER_BYTES_MAX} bytes was expected, got {size} bytes that end with {tail!r}",
        )


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
