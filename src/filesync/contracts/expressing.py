"""Documents of a newer version said in an older one: which can be, without leaving anything out, and what they are then. Pure.

A document can be said in an older version where everything that is new in it is absent, and the rest is right there: a wider range, or a
value that was added to a list, cannot. What is said so has the content that it had: its digest is the same (digests.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from filesync.contracts.rows import Lines, pieces

if TYPE_CHECKING:
    import numpy.typing as npt

    from filesync.contracts.contract import Contract

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def expressible(new: Contract, old: Contract, table: pa.Table) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """The documents of `table` (a table of `new`) that `old` can say whole, in its form; and which of the rows they are."""
    batches: list[pa.RecordBatch] = []
    masks: list[Mask] = []
    for piece in pieces(table):
        batch, fits = _piece(new, old, piece)
        batches.append(batch)
        masks.append(fits)
    said = pa.Table.from_batches(batches, old.arrow_schema)
    every = np.concatenate(masks) if masks else np.zeros(0, np.bool_)
    findings = old.validate(said)
    if findings.bad is not None:
        every &= ~findings.bad.to_numpy(zero_copy_only=False)
    return (said if every.all() else said.filter(pa.array(every))), every


def _piece(new: Contract, old: Contract, piece: pa.RecordBatch) -> tuple[pa.RecordBatch, Mask]:
    fits = np.ones(piece.num_rows, np.bool_)
    columns: dict[str, pa.Array] = {}
    names = old.arrow_schema.names
    document = new.relations[0]
    for place, field in enumerate(document.fields):
        column = piece.column(place)
        if field.name in names:
            columns[field.name] = column
        else:
            fits &= _null(column)
    for place, relation in enumerate(new.relations[1:], len(document.fields)):
        array = piece.column(place)
        lines = Lines.of(array)
        if relation.name not in names:
            fits &= lines.lengths == 0
            continue
        target = old.arrow_schema.field(relation.name).type
        kept: dict[str, pa.Array] = {}
        for at, field in enumerate(relation.fields):
            column = lines.column(at)
            if target.value_type.get_field_index(field.name) >= 0:
                kept[field.name] = column
            else:
                fits &= lines.per_document((~_null(column)).astype(np.int64)) == 0
        members = list(target.value_type)
        values = pa.StructArray.from_arrays(
            [kept[member.name] for member in members],
            fields=members,
            mask=lines.values.is_null() if lines.values.null_count else None,
        )
        offsets = pa.array(np.r_[lines.starts, len(lines)].astype(np.int32))
        mask = array.is_null() if array.null_count else None
        columns[relation.name] = pa.ListArray.from_arrays(offsets, values, type=target, mask=mask)
    return pa.RecordBatch.from_arrays([columns[name] for name in names], schema=old.arrow_schema), fits


def _null(array: pa.Array) -> Mask:
    found: Mask = array.is_null().to_numpy(zero_copy_only=False)
    return found
