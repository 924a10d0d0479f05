"""Control totals and row counts: of tables that are streamed, and of many small batches in one table.

- Totals are Python integers and exact; a sum that leaves 64 bits is not cut off, nor does it wrap.
- Rows are counted per relation, under the relation's name; documents under the dataset's name.
- `{"sum": column, "by": other}` gives a sum for each value of `other` that occurs, sorted by value. null counts as 0.

What is not here: comparing with what a manifest claims (exchange/incoming.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.rows import Int64s, Lines, exact_sum, integers, magnitude, pieces

if TYPE_CHECKING:
    from filesync.contracts.model import Definition, Total

Totals: TypeAlias = dict[str, int | dict[str, int]]

_SMALL: int = 4096
_HALF = 0xFFFFFFFF


class TotalsSum:
    """Adds up tables of one contract: `rows` and `totals` of all that was added so far."""

    __slots__ = ("_definition", "_rows", "_totals")

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._rows = {relation.name: 0 for relation in definition.relations}
        self._totals: Totals = {total.name: {} if total.by else 0 for total in definition.totals}

    def add(self, table: pa.Table) -> None:
        """Adds `table`, which conforms to the contract."""
        for piece in pieces(table):
            self._add(piece)

    @property
    def rows(self) -> dict[str, int]:
        return dict(self._rows)

    @property
    def totals(self) -> Totals:
        return {
            name: dict(sorted(value.items())) if isinstance(value, dict) else value
            for name, value in self._totals.items()
        }

    def _add(self, piece: pa.RecordBatch) -> None:
        definition = self._definition
        lines = _lines(definition, piece)
        self._rows[definition.dataset] += piece.num_rows
        for name, many in lines.items():
            self._rows[name] += len(many)
        for total in definition.totals:
            values = integers(_column(definition, piece, lines, total.relation, total.column))
            if total.by is None:
                before = self._totals[total.name]
                assert isinstance(before, int)  # noqa: S101 -- for the type checker: set so in __init__
                self._totals[total.name] = before + exact_sum(values)
                continue
            sums = self._totals[total.name]
            assert isinstance(sums, dict)  # noqa: S101 -- likewise
            for key, value in _sums_by(_column(definition, piece, lines, total.relation, total.by), values):
                sums[key] = sums.get(key, 0) + value


def claims_by_group(
    definition: Definition, table: pa.Table, group: pa.Array, groups: int
) -> list[tuple[dict[str, int], Totals]]:
    """Rows and totals of each group 0 … `groups`-1; `group` holds the group of each document."""
    claims = _GroupSums(definition, groups)
    numbers = np.asarray(group, dtype=np.int64)
    start = 0
    for piece in pieces(table):
        claims.add(piece, numbers[start : start + piece.num_rows])
        start += piece.num_rows
    return claims.result()


class _GroupSums:
    def __init__(self, definition: Definition, groups: int) -> None:
        self.definition = definition
        self.groups = groups
        self.rows = {relation.name: np.zeros(groups, dtype=np.int64) for relation in definition.relations}
        self.plain: dict[str, list[int]] = {
            total.name: [0] * groups for total in definition.totals if total.by is None
        }
        self.by: dict[str, list[dict[str, int]]] = {
            total.name: [{} for _ in range(groups)] for total in definition.totals if total.by is not None
        }

    def add(self, piece: pa.RecordBatch, group: Int64s) -> None:
        definition = self.definition
        lines = _lines(definition, piece)
        groups_of = {name: np.repeat(group, many.lengths) for name, many in lines.items()}
        for name, numbers in (*groups_of.items(), (definition.dataset, group)):
            self.rows[name] += np.bincount(numbers, minlength=self.groups)
        for total in definition.totals:
            numbers = groups_of[total.relation] if total.relation else group
            values = integers(_column(definition, piece, lines, total.relation, total.column))
            if total.by is None:
                for place, value in enumerate(_sums(numbers, values, self.groups)):
                    self.plain[total.name][place] += value
            else:
                by = _column(definition, piece, lines, total.relation, total.by)
                self._add_by(total, by, numbers, values)

    def _add_by(self, total: Total, by: pa.Array, numbers: Int64s, values: Int64s) -> None:
        encoded = pc.dictionary_encode(by)
        if encoded.null_count:
            known = np.flatnonzero(encoded.is_valid().to_numpy(zero_copy_only=False))
            encoded, numbers, values = encoded.take(pa.array(known)), numbers[known], values[known]
        keys = encoded.dictionary.to_pylist()
        cells = numbers * len(keys) + encoded.indices.to_numpy()
        present, dense = np.unique(cells, return_inverse=True)
        held = self.by[total.name]
        for cell, value in zip(present.tolist(), _sums(dense, values, len(present)), strict=True):
            sums, key = held[cell // len(keys)], keys[cell % len(keys)]
            sums[key] = sums.get(key, 0) + value

    def result(self) -> list[tuple[dict[str, int], Totals]]:
        names = [relation.name for relation in self.definition.relations]
        counts = zip(*(self.rows[name].tolist() for name in names), strict=True)
        return [
            (
                dict(zip(names, count, strict=True)),
                {
                    total.name: dict(sorted(self.by[total.name][place].items()))
                    if total.by is not None
                    else self.plain[total.name][place]
                    for total in self.definition.totals
                },
            )
            for place, count in enumerate(counts)
        ]


def _sums(groups: npt.NDArray[np.intp] | Int64s, values: Int64s, count: int) -> list[int]:
    """The exact sum of `values` in each group."""
    if magnitude(values) * len(values) < 2**63:
        total = np.zeros(count, dtype=np.int64)
        np.add.at(total, groups, values)
        return total.tolist()  # type: ignore[no-any-return, unused-ignore]
    high, low = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    np.add.at(high, groups, values >> 32)
    np.add.at(low, groups, values & _HALF)
    return [(top << 32) + bottom for top, bottom in zip(high.tolist(), low.tolist(), strict=True)]


def _sums_by(by: pa.Array, values: Int64s) -> list[tuple[str, int]]:
    """The exact sum of `values` for each value of `by`; rows where `by` is null count nowhere."""
    if len(values) <= _SMALL:
        sums: dict[str, int] = {}
        for key, value in zip(by.to_pylist(), values.tolist(), strict=True):
            if key is not None:
                sums[key] = sums.get(key, 0) + value
        return list(sums.items())
    encoded = pc.dictionary_encode(by, null_encoding="encode")
    keys = encoded.dictionary.to_pylist()
    totals = _sums(encoded.indices.to_numpy(), values, len(keys))
    return [(key, value) for key, value in zip(keys, totals, strict=True) if key is not None]


def _lines(definition: Definition, piece: pa.RecordBatch) -> dict[str, Lines]:
    first = len(definition.relations[0].fields)
    return {
        relation.name: Lines.of(piece.column(place))
        for place, relation in enumerate(definition.children, first)
    }


def _column(
    definition: Definition, piece: pa.RecordBatch, lines: dict[str, Lines], relation: str | None, name: str
) -> pa.Array:
    if relation is None:
        return piece.column(name)
    many = lines[relation]
    return many.column(many.values.type.get_field_index(name))
