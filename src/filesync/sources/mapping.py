"""Rows become documents: a plan's rules run over frames. Pure, over whole columns; Python sees single rows
only where something is wrong.

- Every rule is run on every line, also where the document takes only the first: a document with one
  unreadable value is set aside whole.
- Where a document's field may differ between its lines and no `take` says which, differing is an error of
  that document.
- A document whose required field is empty is set aside here, where its line is still known. Ranges, patterns
  and row rules are the contract's matter.
- Order: lines of child relations, then relations with one row per document, then the document, whose sums
  need both.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.sources import forms as reading
from filesync.sources.faults import Faults
from filesync.sources.forms import Forms, Parsed, Target
from filesync.sources.frame import Cells, Codes, Frame, Grouping, Rows, combined
from filesync.sources.plan import ORIGIN, Plan, RelationPlan, Slot
from filesync.sources.rules import Constant, Copy, LineNumber, Per, ProductOf, SumOf, Take, UuidOf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.contracts import Contract

#: The namespace of every UUID that a mapping makes. Never to be changed: the same sale would get another id.
NAMESPACE: Final = uuid.UUID("5d0c3c3e-95a1-5b0e-8f0b-7c1f6a1f2b9d")

ARROW: Final = {
    Target.TEXT: pa.string(),
    Target.DATETIME: pa.string(),
    Target.INTEGER: pa.int64(),
    Target.BOOLEAN: pa.bool_(),
    Target.DATE: pa.date32(),
}


@dataclass(frozen=True, slots=True)
class Lines:
    """A child relation's columns in document order; document d has rows starts[d]:starts[d+1]."""

    columns: Mapping[str, pa.Array]
    starts: Rows


def build(
    plan: Plan, contract: Contract, forms: Forms, frames: Mapping[str, Frame], faults: Faults
) -> pa.Table:
    """All documents, in the contract's Arrow schema, also those that `faults` names; the caller takes them
    out.

    `frames` holds the rows of each relation; a file has one frame for all of them. The first relation's frame
    numbers the documents.
    """
    main = frames[plan.document.name]
    documents = main.grouping.documents
    children: dict[str, Lines] = {}
    for child in sorted(plan.children, key=lambda child: child.per is Per.DOCUMENT):
        run = RelationRun(child, frames[child.name], contract.dataset, forms, faults, children)
        children[child.name] = run.lines() if child.per is Per.LINE else run.one_per_document(main.grouping)
    document = RelationRun(plan.document, main, contract.dataset, forms, faults, children).document()
    arrays = []
    for field in contract.arrow_schema:
        if field.name in document:
            arrays.append(document[field.name])
        elif field.name in children:
            arrays.append(_nested(children[field.name], field.type))
        else:
            arrays.append(pa.nulls(documents, field.type))
    return pa.Table.from_arrays(arrays, schema=contract.arrow_schema)


def _nested(lines: Lines, kind: pa.DataType) -> pa.Array:
    """list<struct>; a document without lines has none at all (null), as in JSON where the member is
    absent.
    """
    rows = int(lines.starts[-1])
    members = [lines.columns.get(member.name, pa.nulls(rows, member.type)) for member in kind.value_type]
    items = pa.StructArray.from_arrays(members, fields=list(kind.value_type))
    none = np.diff(lines.starts) == 0
    mask = pa.array(none) if none.any() else None
    return pa.ListArray.from_arrays(pa.array(lines.starts, pa.int32()), items, type=kind, mask=mask)


@dataclass(frozen=True, slots=True)
class RelationRun:
    """The rules of one relation over its frame."""

    plan: RelationPlan
    frame: Frame
    dataset: str
    forms: Forms
    faults: Faults
    children: Mapping[str, Lines]

    def lines(self) -> Lines:
        """One row for each row of the frame that belongs to a document."""
        grouping = self.frame.grouping
        columns = {}
        for slot in self.plan.slots:
            if isinstance(slot.rule, LineNumber):
                position = (
                    np.arange(len(grouping.order))
                    - np.repeat(grouping.starts[:-1], np.diff(grouping.starts))
                    + 1
                )
                columns[slot.field] = pa.array(position, pa.int64())
                continue
            cells = self.cells(slot)
            self._require(slot, cells.codes[grouping.order], grouping.order)
            columns[slot.field] = cells.column(grouping.order)
        return Lines(columns, grouping.starts)

    def one_per_document(self, grouping: Grouping) -> Lines:
        """One row for each document."""
        return Lines(self.document(), np.arange(grouping.documents + 1, dtype=np.int64))

    def document(self) -> dict[str, pa.Array]:
        """One value of each field for each document."""
        grouping = self.frame.grouping
        columns = {}
        for slot in self.plan.slots:
            match slot.rule:
                case SumOf(relation, field):
                    columns[slot.field] = self._sums(slot, self.children[relation], field)
                case LineNumber():
                    columns[slot.field] = pa.array(np.ones(grouping.documents, np.int64))
                case _:
                    cells = self._collapsed(slot, self.cells(slot))
                    self._require(slot, cells.codes, grouping.firsts)
                    columns[slot.field] = cells.column()
        return columns

    def cells(self, slot: Slot) -> Cells:
        """The rule's value on every row of the frame; faults are noted."""
        match slot.rule:
            case Constant(value):
                return Cells.constant(_scalar(value, slot.target), len(self.frame.lines))
            case Copy():
                return self._copied(slot, slot.rule)
            case ProductOf():
                return self._product(slot, slot.rule)
            case UuidOf(columns):
                return self._uuids(slot, columns)
            case _:
                raise AssertionError(slot.rule)

    def _copied(self, slot: Slot, rule: Copy) -> Cells:
        source = self.frame.columns[rule.column]
        found = source
        if rule.extract is not None or rule.match or rule.lookup is not None:
            found = self._worded(slot, rule, source)
        parsed = _read(found.values, slot.target, rule, self.forms)
        self._note(slot, found, parsed, rule.column)
        cells = found.mapped(parsed.values)
        if rule.default is None:
            return cells
        # Only what was empty, or not found, gets the default: a value that cannot be read stays a fault.
        values = pa.concat_arrays([cells.values, _scalar(rule.default, slot.target)])
        codes = np.where(found.codes < 0, np.int32(len(cells.values)), cells.codes)
        return Cells(values, codes).mapped(values)

    def _worded(self, slot: Slot, rule: Copy, source: Cells) -> Cells:
        """extract, match, lookup: text in, text out; null where nothing was found."""
        parsed = reading.texts(source.values, self.forms)
        self._note(slot, source, parsed, rule.column)
        cells = Cells(parsed.values, source.codes)
        text = parsed.values
        missed = "is empty"
        if rule.extract is not None:
            text = _extracted(text, rule.extract)
            missed = f"has nothing that matches {rule.extract}"
        if rule.match:
            chosen = pa.nulls(len(text), pa.string())
            for pattern, value in reversed(rule.match):
                chosen = pc.if_else(
                    pc.fill_null(pc.match_substring_regex(text, pattern), False), value, chosen
                )
            text, missed = chosen, "matches none of the patterns"
        if rule.lookup is not None:
            keys, values = zip(*rule.lookup, strict=True) if rule.lookup else ((), ())
            at = pc.index_in(text, pa.array(keys, pa.string()))
            text, missed = pa.array(values, pa.string()).take(at), "is not in the lookup table"
        if rule.default is None:
            lost = np.asarray(
                pc.and_(pc.is_null(text), pc.is_valid(parsed.values)).to_numpy(zero_copy_only=False)
            )
            self._note(slot, source, Parsed(text, (reading.Fault(lost, missed),)), rule.column)
        return cells.mapped(text)

    def _product(self, slot: Slot, rule: ProductOf) -> Cells:
        first, second = (self.frame.columns[column] for column in rule.columns)
        codes, rows = combined([first, second], len(self.frame.lines))
        floats = rule.rounding is not None
        factors = []
        for column, cells in zip(rule.columns, (first, second), strict=True):
            parsed = reading.decimals(cells.values, self.forms, floats=floats)
            self._note(slot, cells, parsed, column)
            factors.append(Cells(parsed.values, cells.codes).column(rows))
        whole = reading.integers(
            reading.product(Parsed(factors[0]), Parsed(factors[1])),
            rule.scale,
            rule.rounding.value if rule.rounding else None,
        )
        cells = Cells(whole.values, codes)
        self._note(slot, cells, whole, " * ".join(rule.columns), rows)
        return cells.mapped(whole.values)

    def _uuids(self, slot: Slot, columns: tuple[str, ...]) -> Cells:
        origin = next((other for other in self.plan.slots if other.field == ORIGIN), None)
        parts = [
            Cells.constant(pa.array([""]), len(self.frame.lines))
            if origin is None
            else self._silently(origin)
        ]
        for column in columns:
            source = self.frame.columns[column]
            parsed = reading.texts(source.values, self.forms)
            self._note(slot, source, parsed, column)
            parts.append(source.mapped(parsed.values))
        codes, rows = combined(parts, len(self.frame.lines))
        whole = np.all([part.codes[rows] >= 0 for part in parts], axis=0)
        texts = zip(*(part.column(rows).to_pylist() for part in parts), strict=True)
        made = [
            _uuid([texts[0], self.dataset, *texts[1:]]) if ok else None
            for texts, ok in zip(texts, whole, strict=True)
        ]
        return Cells(pa.array([""] * len(made), pa.string()), codes).mapped(pa.array(made, pa.string()))

    def _silently(self, slot: Slot) -> Cells:
        """A field's cells once more, without noting its faults twice."""
        return replace(self, faults=Faults()).cells(slot)

    def _collapsed(self, slot: Slot, cells: Cells) -> Cells:
        """One cell for each document."""
        grouping = self.frame.grouping
        take = slot.rule.take if isinstance(slot.rule, Copy | ProductOf) else None
        first = cells.codes[grouping.firsts]
        if grouping.one_each or take is Take.FIRST:
            return Cells(cells.values, first)
        if take is Take.LAST:
            return Cells(cells.values, cells.codes[grouping.lasts])
        if take is not None:
            return _extreme(cells, grouping, take, slot.target)
        other = np.flatnonzero(cells.codes != first[grouping.document])
        if len(other):
            columns = ", ".join(slot.rule.columns)
            self.faults.note(
                self.frame, self.plan.name, slot.field, other,
                lambda row: f"column {columns} differs inside the document: {_shown(cells.value(int(grouping.firsts[grouping.document[row]])))} "
                f"and then {_shown(cells.value(row))}; write take = first, last, min or max if that is right",
                code="values-differ", per_line=False,
            )  # fmt: skip
        return Cells(cells.values, first)

    def _sums(self, slot: Slot, lines: Lines, field: str) -> pa.Array:
        values = np.asarray(lines.columns[field].fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        reached = np.concatenate([[0], np.cumsum(values)])
        sums = reached[lines.starts[1:]] - reached[lines.starts[:-1]]
        size = np.concatenate([[0.0], np.cumsum(np.abs(values.astype(np.float64)))])
        large = np.flatnonzero(size[lines.starts[1:]] - size[lines.starts[:-1]] >= 2.0**62)
        if len(large):
            self.faults.note(
                self.frame, self.plan.name, slot.field, self.frame.grouping.firsts[large],
                lambda _: f"the sum of {field} is too large", code="value-unreadable", per_line=False,
            )  # fmt: skip
        return pa.array(sums, pa.int64())

    def _require(self, slot: Slot, codes: Codes, rows: Rows) -> None:
        """Note the empty cells of a required field; `rows` says on which row of the frame each of them
        stands.
        """
        empty = rows[codes < 0] if slot.required else rows[:0]
        if len(empty):
            columns = ", ".join(slot.rule.columns)
            self.faults.note(
                self.frame, self.plan.name, slot.field, empty,
                lambda _: f"column {columns} is empty, and the field is required",
                code="value-missing", per_line=self.plan.per is Per.LINE, weak=True,
            )  # fmt: skip

    def _note(self, slot: Slot, cells: Cells, parsed: Parsed, column: str, rows: Rows | None = None) -> None:
        """Note the faults of distinct values on the rows that have them. `rows`: the cells' values are those
        of these rows.
        """
        for fault in parsed.faults:
            hit = np.flatnonzero(np.append(fault.mask, False)[cells.codes])
            if not len(hit):
                continue

            def message(row: int, reason: str = fault.reason) -> str:
                if rows is not None:
                    return f"{column}: {reason}"
                return f"column {column}: {_shown(cells.value(row))} {reason}"

            self.faults.note(
                self.frame, self.plan.name, slot.field, hit, message,
                code="value-unreadable", per_line=self.plan.per is Per.LINE,
            )  # fmt: skip


def _read(values: pa.Array, target: Target, rule: Copy, forms: Forms) -> Parsed:
    match target:
        case Target.TEXT:
            return reading.texts(values, forms)
        case Target.INTEGER:
            numbers = reading.decimals(values, forms, floats=rule.rounding is not None)
            return reading.integers(numbers, rule.scale, rule.rounding.value if rule.rounding else None)
        case Target.BOOLEAN:
            return reading.booleans(values)
        case Target.DATE:
            return reading.dates(values, forms, rule.read_as)
        case Target.DATETIME:
            return reading.datetimes(values, forms)


def _extracted(text: pa.Array, pattern: str) -> pa.Array:
    named = pattern if "(?P<value>" in pattern else f"(?P<value>{pattern})"
    found = pc.extract_regex(text, named)
    part = pc.struct_field(found, "value")
    return pc.if_else(pc.and_(pc.is_valid(found), pc.not_equal(part, "")), part, None)


def _extreme(cells: Cells, grouping: Grouping, take: Take, target: Target) -> Cells:
    """The least or greatest value of each document; empty cells do not count. Date-times compare as instants,
    whatever their offset.
    """
    values = cells.values
    if target is Target.DATETIME:
        values = pa.array(
            [datetime.fromisoformat(text).timestamp() for text in values.to_pylist()], pa.float64()
        )
    order = np.asarray(pc.sort_indices(values).to_numpy(zero_copy_only=False), np.int64)
    beyond = len(order)
    rank = np.empty(beyond + 1, np.int64)
    rank[order] = np.arange(beyond)
    rank[-1] = beyond if take is Take.MIN else -1  # code -1, empty, finds the last entry
    choose = np.minimum if take is Take.MIN else np.maximum
    best = choose.reduceat(rank[cells.codes[grouping.order]], grouping.starts[:-1])
    inside = (best >= 0) & (best < beyond)
    return Cells(cells.values, np.where(inside, np.append(order, -1)[best], -1).astype(np.int32))


def _scalar(value: object, target: Target) -> pa.Array:
    if target is Target.DATE and isinstance(value, str):
        value = date.fromisoformat(value)
    return pa.array([value], ARROW[target])


def _uuid(parts: list[str]) -> str:
    """UUIDv5 of the parts as a JSON array, so that ["a", "bc"] and ["ab", "c"] differ."""
    return str(uuid.uuid5(NAMESPACE, json.dumps(parts, ensure_ascii=False, separators=(",", ":"))))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
