"""A table of documents, opened up: pieces without chunks, and the lines of each array with their documents.

- A piece is a RecordBatch. Many small chunks (thousands of small batches put together) become few pieces first, because
  every column operation has a fixed price; big chunks stay where they are.
- Lines stand in document order, so a document's lines are a range, and a sum per document is a difference of sums.

What is not here: any check (masks.py, rules.py), any sum (totals.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

Int64s = npt.NDArray[np.int64]

PIECE_ROWS_MIN: Final = 16_384


def pieces(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """`table` as RecordBatches of at least PIECE_ROWS_MIN rows on average, in order, none of them empty."""
    if not table.num_rows:
        return
    chunks = max((column.num_chunks for column in table.columns), default=0)
    if chunks > 1 and table.num_rows < chunks * PIECE_ROWS_MIN:
        table = table.combine_chunks()
    yield from (batch for batch in table.to_batches() if batch.num_rows)


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one array in a piece. `lengths` per document (0 where the array is null), `starts` likewise."""

    lengths: Int64s
    starts: Int64s
    values: pa.StructArray

    @classmethod
    def of(cls, array: pa.ListArray) -> Lines:
        if array.null_count:
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
        else:
            lengths = np.diff(array.offsets.to_numpy()).astype(np.int64)
        return cls(lengths, np.cumsum(lengths) - lengths, array.flatten())

    def __len__(self) -> int:
        return len(self.values)

    @property
    def parents(self) -> Int64s:
        """The document of each line."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int64), self.lengths)

    def column(self, index: int) -> pa.Array:
        return self.values.field(index) if not self.values.null_count else self.values.flatten()[index]

    def per_document(self, sums: Int64s) -> Int64s:
        """For each document the sum of `sums` over its lines, modulo 2^64."""
        running = np.zeros(len(sums) + 1, dtype=np.int64)
        np.cumsum(sums, out=running[1:])
        totals: Int64s = running[self.starts + self.lengths] - running[self.starts]
        return totals


def integers(array: pa.Array) -> Int64s:
    """An int64 column as numpy, null as 0."""
    if array.null_count:
        array = pc.fill_null(array, 0)
    values: Int64s = array.to_numpy()
    return values


def magnitude(values: Int64s) -> int:
    """The largest absolute value, exactly (numpy's abs of the smallest int64 is negative)."""
    return max(-int(values.min()), int(values.max())) if len(values) else 0


def exact_sum(values: Int64s) -> int:
    """The sum as a Python integer: halves are summed apart where the whole could leave 64 bits."""
    if magnitude(values) * len(values) < 2**63:
        return int(values.sum())
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
