"""Rows as Parquet: zstd, a checksum on every page, row groups of a bounded number of documents and lines.

A reader holds about one row group, so its size bounds the reader's memory; readers/parquet_pages.py says what it refuses. Row
groups are cut by content, not by how the tables came, so that equal rows give equal bytes.

Not here: the digest, the file (payload.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW_GROUP_ROWS = 1 << 16
ROW_GROUP_LINES = 1 << 20  # of any one child relation; readers/parquet_pages.py takes up to VALUES_MAX
# A payload of a few sales is written and read twice as fast without compression and dictionaries, and is no larger.
SMALL_ROWS = 128
SAMPLE_ROWS = 1 << 13

_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "write_page_checksum": True,  # off by default; without it a flipped bit reads as another price
    "store_schema": False,  # the contract is the schema, and the same file comes from any language
    "write_statistics": False,  # a payload is read whole; they cost a tenth of the time
}


class ParquetWriter:
    """`PayloadWriter` for Parquet."""

    def __init__(self, file: pa.NativeFile, schema: pa.Schema) -> None:
        self._file = file
        self._schema = schema
        self._lists = [field.name for field in schema if pa.types.is_list(field.type)]
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def write(self, table: pa.Table) -> None:
        if not table.schema.equals(self._schema):
            raise ValueError(f"a table with the schema\n{self._schema}\nwas expected, got\n{table.schema}")
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows > ROW_GROUP_ROWS:
            self._write_groups(whole_only=True)

    def close(self) -> None:
        self._write_groups(whole_only=False)
        if self._writer is None:
            self._write_group(self._schema.empty_table().combine_chunks())
        assert self._writer is not None  # noqa: S101 - opened by _write_group
        self._writer.close()

    def _write_groups(self, *, whole_only: bool) -> None:
        """Writes what waits; the last group may still grow while tables come and then stays behind."""
        if not self._waiting:
            return
        # One chunk per column: pages end where chunks end, and the bytes would depend on how the tables were cut.
        waiting = pa.concat_tables(self._waiting).combine_chunks()
        start = 0
        for stop in self._cuts(waiting):
            if whole_only and stop == waiting.num_rows:
                break
            self._write_group(waiting.slice(start, stop - start))
            start = stop
        rest = waiting.slice(start)
        self._waiting, self._waiting_rows = ([rest], rest.num_rows) if rest.num_rows else ([], 0)

    def _cuts(self, table: pa.Table) -> Iterator[int]:
        """Where the row groups end: at ROW_GROUP_ROWS documents, or before the document that makes more than ROW_GROUP_LINES."""
        held = (sum(len(chunk.values) for chunk in table[name].chunks) for name in self._lists)
        if 0 < table.num_rows <= ROW_GROUP_ROWS and all(lines <= ROW_GROUP_LINES for lines in held):
            yield table.num_rows  # even with what lies beside a slice in its buffers
            return
        lengths = [pc.fill_null(pc.list_value_length(table[name]), 0) for name in self._lists]
        start = 0
        while start < table.num_rows:
            stop = min(start + ROW_GROUP_ROWS, table.num_rows)
            for length in lengths:
                lines = pc.cumulative_sum(length.slice(start, stop - start).cast(pa.int64()))
                within = pc.sum(pc.less_equal(lines, ROW_GROUP_LINES)).as_py()
                stop = min(stop, start + max(within, 1))
            yield stop
            start = stop

    def _write_group(self, table: pa.Table) -> None:
        if self._writer is None:
            if table.num_rows <= SMALL_ROWS:
                options: dict[str, Any] = {"compression": "none", "use_dictionary": False}
            else:
                options = {
                    "compression": "zstd",
                    "compression_level": 1,
                    "use_dictionary": _repetitive(table),
                }
            self._writer = pq.ParquetWriter(self._file, self._schema, **_OPTIONS, **options)
        self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


def _repetitive(table: pa.Table) -> list[str]:
    """The columns (by Parquet path) where a dictionary pays. For ids it only costs: a third of the time of writing."""
    paths: list[str] = []
    sample = table.slice(0, SAMPLE_ROWS).combine_chunks()
    for field, column in zip(table.schema, sample.columns, strict=True):
        leaves = {field.name: column.chunk(0)}
        if pa.types.is_list(field.type):
            lines = column.chunk(0).flatten()
            leaves = {
                f"{field.name}.list.element.{leaf.name}": values
                for leaf, values in zip(field.type.value_type, lines.flatten(), strict=True)
            }
        paths += [
            path for path, values in leaves.items() if 2 * pc.count_distinct(values).as_py() <= len(values)
        ]
    return paths
