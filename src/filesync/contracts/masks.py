"""A contract compiled into column operations: which documents of a piece break it. The fast one of the two engines.

- Every check first asks of the whole column "is all of it right?" (smallest and largest value, all bytes in a class); only where
  the answer is not yes does it look at single rows. Right batches are the rule and must be cheap.
- null is absent: it breaks `required` and nothing else. Checks see columns without nulls.
- A bad line makes its document bad: documents are accepted or refused whole.

What is not here: the meaning of a failure in words (findings.py asks jsonschema), keys that repeat between documents
(keys.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.formatmasks import FORMAT_MASKS
from filesync.contracts.keys import repeated_lines
from filesync.contracts.model import INT64_MAX, INT64_MIN, ColumnType
from filesync.contracts.rows import Int64s, Lines
from filesync.contracts.rules import RuleCheck
from filesync.contracts.textview import Mask, ShapeCheck, TextView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from filesync.contracts.model import Definition, Field, Relation
    from filesync.contracts.patterns import Pattern

# Years 1 to 9999, as days since 1970: all that ISO dates of four digits and Python can write.
DATE_MIN: Final = -719_162
DATE_MAX: Final = 2_932_896


class Masks:
    """All checks of a contract."""

    __slots__ = ("_columns", "_lines", "_rules")

    def __init__(self, definition: Definition) -> None:
        document = definition.relations[0]
        self._columns = [ColumnMask(field) for field in document.fields]
        self._lines = [LineMask(relation) for relation in definition.children]
        self._rules = [RuleCheck(definition, rule) for rule in definition.rules]

    def bad(self, piece: pa.RecordBatch) -> Mask | None:
        """The documents of `piece` (in the contract's Arrow schema) that break the contract, or None."""
        bad: Mask | None = None
        for place, column in enumerate(self._columns):
            bad = _either(bad, column.bad(piece.column(place)))
        lines: dict[str, Lines] = {}
        for place, check in enumerate(self._lines, len(self._columns)):
            array = piece.column(place)
            lines[check.name] = Lines.of(array)
            bad = _either(bad, check.bad(array, lines[check.name]))
        for rule in self._rules:
            bad = _either(bad, rule.broken(piece, lines))
        return bad


class LineMask:
    """The checks of one array and of its lines."""

    __slots__ = ("_columns", "_keys", "_relation", "name")

    def __init__(self, relation: Relation) -> None:
        self.name = relation.name
        self._relation = relation
        self._columns = [ColumnMask(field) for field in relation.fields]
        places = {field.name: place for place, field in enumerate(relation.fields)}
        self._keys = [places[name] for name in relation.line_key]

    def bad(self, array: pa.ListArray, lines: Lines) -> Mask | None:
        """The documents whose array breaks the contract, or None."""
        relation = self._relation
        bad: Mask | None = None
        if array.null_count and relation.required:
            bad = _nulls(array)
        lengths = lines.lengths
        if relation.min_items and lengths.min() < relation.min_items:
            short = lengths < relation.min_items
            bad = _either(bad, short & ~_nulls(array) if array.null_count else short)
        if relation.max_items is not None and lengths.max() > relation.max_items:
            bad = _either(bad, lengths > relation.max_items)
        if not len(lines):
            return bad
        wrong: Mask | None = _nulls(lines.values) if lines.values.null_count else None
        for place, column in enumerate(self._columns):
            wrong = _either(wrong, column.bad(lines.column(place)))
        repeated = repeated_lines(lines, [lines.column(place) for place in self._keys])
        wrong = _either(wrong, repeated)
        if wrong is None or not wrong.any():
            return bad
        documents = np.zeros(len(lengths), dtype=np.bool_)
        documents[lines.parents[wrong]] = True
        return _either(bad, documents)


class ColumnMask:
    """The checks of one scalar column."""

    __slots__ = ("_check", "_required")

    def __init__(self, field: Field) -> None:
        self._required = field.required
        self._check: Callable[[pa.Array], Mask | None] = _CHECKS[field.type](field)

    def bad(self, array: pa.Array) -> Mask | None:
        """The rows that break the field's keywords, or None."""
        if not array.null_count:
            return self._check(array)
        bad = self._check(array.drop_null()) if array.null_count < len(array) else None
        if bad is None:
            return _nulls(array) if self._required else None
        nulls = _nulls(array)
        spread = nulls.copy() if self._required else np.zeros(len(array), dtype=np.bool_)
        spread[np.flatnonzero(~nulls)[bad]] = True
        return spread


class _IntegerCheck:
    __slots__ = ("_choices", "_high", "_low", "_multiple")

    def __init__(self, field: Field) -> None:
        self._low = field.minimum
        self._high = field.maximum
        self._multiple = np.int64(field.multiple_of) if field.multiple_of not in (None, 1) else None
        self._choices = None if field.choices is None else pa.array(field.choices, pa.int64())

    def __call__(self, array: pa.Array) -> Mask | None:
        values: Int64s = array.to_numpy()
        bad: Mask | None = None
        if len(values) and self._low is not None and int(values.min()) < self._low:
            bad = values < self._low if self._low <= INT64_MAX else np.ones(len(values), dtype=np.bool_)
        if len(values) and self._high is not None and int(values.max()) > self._high:
            above = values > self._high if self._high >= INT64_MIN else np.ones(len(values), dtype=np.bool_)
            bad = _either(bad, above)
        if self._multiple is not None:
            odd = values % self._multiple != 0
            bad = _either(bad, odd if odd.any() else None)
        return _either(bad, _outside(array, self._choices))


class _TextCheck:
    __slots__ = ("_choices", "_format", "_length", "_only_choices", "_pattern", "_seeks_nul", "_shape")

    def __init__(self, field: Field) -> None:
        self._choices = None if field.choices is None else pa.array(field.choices, pa.string())
        self._length = (field.min_length or 0, field.max_length)
        self._format = FORMAT_MASKS[field.format] if field.format else None
        self._pattern: Pattern | None = field.pattern
        self._shape = ShapeCheck.of(field.pattern.shape) if field.pattern else None
        self._seeks_nul = (
            field.choices is None
            and field.format is None
            and (field.pattern is None or field.pattern.admits_nul)
        )
        self._only_choices = (
            field.format is None
            and field.pattern is None
            and not self._seeks_nul
            and self._length == (0, None)
        )

    def __call__(self, array: pa.Array) -> Mask | None:
        if self._only_choices:
            return _outside(array, self._choices)
        view = TextView(array)
        if view.constant:
            one = array.slice(0, 1)
            return None if self._bad(one, TextView(one)) is None else np.ones(len(array), dtype=np.bool_)
        return self._bad(array, view)

    def _bad(self, array: pa.Array, view: TextView) -> Mask | None:
        bad = _outside(array, self._choices)
        if self._length != (0, None):
            bad = _either(bad, self._wrong_length(view))
        if self._format is not None and (right := self._format(view)) is not None:
            bad = _either(bad, ~right)
        if self._pattern is not None and not (self._shape is not None and self._shape.fits(view)):
            matched = _bools(pc.match_substring_regex(array, self._pattern.source))
            bad = _either(bad, None if matched.all() else ~matched)
        if self._seeks_nul and len(view.data) and not view.data.min():
            bad = _either(bad, _bools(pc.match_substring(array, "\0")))
        return bad

    def _wrong_length(self, view: TextView) -> Mask | None:
        low, high = self._length
        # A character is one to four bytes, so most columns are told apart by their bytes alone.
        if view.shortest > 4 * (low - 1) and (high is None or view.longest <= high):
            return None
        characters: Mask = pc.utf8_length(view.array).to_numpy()
        bad: Mask = characters < low
        if high is not None:
            bad |= characters > high
        return bad if bad.any() else None


class _BooleanCheck:
    __slots__ = ("_choices",)

    def __init__(self, field: Field) -> None:
        self._choices = None if field.choices is None else pa.array(field.choices, pa.bool_())

    def __call__(self, array: pa.Array) -> Mask | None:
        return _outside(array, self._choices)


class _DateCheck:
    __slots__ = ()

    def __init__(self, field: Field) -> None:
        del field  # a date has no keywords but its format

    def __call__(self, array: pa.Array) -> Mask | None:
        days = array.view(pa.int32()).to_numpy()
        if not len(days) or (days.min() >= DATE_MIN and days.max() <= DATE_MAX):
            return None
        bad: Mask = (days < DATE_MIN) | (days > DATE_MAX)
        return bad


def _outside(array: pa.Array, choices: pa.Array | None) -> Mask | None:
    """The rows whose value is none of `choices`, or None."""
    if choices is None:
        return None
    chosen = pc.is_in(array, value_set=choices)
    return None if chosen.true_count == len(array) else ~_bools(chosen)


def _nulls(array: pa.Array) -> Mask:
    return _bools(array.is_null())


def _bools(array: pa.Array) -> Mask:
    mask: Mask = array.to_numpy(zero_copy_only=False)
    return mask


def _either(first: Mask | None, second: Mask | None) -> Mask | None:
    if first is None or second is None:
        return second if first is None else first
    return first | second


_CHECKS: Final[Mapping[ColumnType, Callable[[Field], Callable[[pa.Array], Mask | None]]]] = {
    ColumnType.TEXT: _TextCheck,
    ColumnType.INTEGER: _IntegerCheck,
    ColumnType.BOOLEAN: _BooleanCheck,
    ColumnType.DATE: _DateCheck,
}
