"""Row rules: two sums over a document and its lines must be equal. For whole pieces, and for one document in plain Python.

- null and absent are 0; a document without lines sums to 0, and so does a side without terms; a `when` column that is null applies to nothing.
- Exact for every int64: where the values of a piece could leave 64 bits (only hostile ones do), high and low halves are
  summed apart. Arithmetic modulo 2^64 alone would call 2^63 + 2^63 equal to 0.

What is not here: which columns exist (annotations.py checked that).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.rows import Int64s, Lines, integers, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.contracts.model import Definition, Rule, Term
    from filesync.contracts.textview import Mask


class RuleCheck:
    """One rule, ready for pieces of its contract's Arrow schema."""

    __slots__ = ("_sides", "_when", "rule")

    def __init__(self, definition: Definition, rule: Rule) -> None:
        self.rule = rule
        columns = {field.name: place for place, field in enumerate(definition.relations[0].fields)}
        lines = {
            relation.name: {field.name: place for place, field in enumerate(relation.fields)}
            for relation in definition.children
        }
        self._sides = tuple(
            (
                sign * term.sign,
                term.relation,
                lines[term.relation][term.column] if term.relation else columns[term.column],
            )
            for sign, side in ((1, rule.left), (-1, rule.right))
            for term in side
        )
        self._when = tuple((columns[name], pa.array(values)) for name, values in rule.when)

    def broken(self, piece: pa.RecordBatch, lines: Mapping[str, Lines]) -> Mask | None:
        """The documents that break the rule, or None."""
        terms: list[tuple[int, Int64s, Lines | None]] = [
            (sign, integers(lines[relation].column(place)), lines[relation])
            if relation
            else (sign, integers(piece.column(place)), None)
            for sign, relation, place in self._sides
        ]
        bound = sum(
            magnitude(values) * (int(many.lengths.max(initial=0)) if many else 1) for _, values, many in terms
        )
        if bound < 2**63:
            broken: Mask = _summed(terms, piece.num_rows) != 0
        else:
            low = _summed([(sign, values & 0xFFFFFFFF, many) for sign, values, many in terms], piece.num_rows)
            high = _summed([(sign, values >> 32, many) for sign, values, many in terms], piece.num_rows)
            broken = ((high + (low >> 32)) != 0) | ((low & 0xFFFFFFFF) != 0)
        if not broken.any():
            return None
        for place, values in self._when:
            broken &= pc.is_in(piece.column(place), value_set=values).to_numpy(zero_copy_only=False)
        return broken if broken.any() else None


def _summed(terms: list[tuple[int, Int64s, Lines | None]], rows: int) -> Int64s:
    total = np.zeros(rows, dtype=np.int64)
    for sign, values, many in terms:
        per_document = many.per_document(values) if many is not None else values
        if sign > 0:
            total += per_document
        else:
            total -= per_document
    return total


def sides(rule: Rule, document: Mapping[str, Any]) -> tuple[int, int] | None:
    """What both sides of the rule come to in one document; None where the rule does not apply."""
    for name, values in rule.when:
        if not any(
            type(document.get(name)) is type(value) and document.get(name) == value for value in values
        ):
            return None
    return sum(_value(term, document) for term in rule.left), sum(
        _value(term, document) for term in rule.right
    )


def _value(term: Term, document: Mapping[str, Any]) -> int:
    if term.relation is None:
        return term.sign * (document.get(term.column) or 0)
    return term.sign * sum((line or {}).get(term.column) or 0 for line in document.get(term.relation) or ())


def in_words(rule: Rule) -> str:
    """The rule as a sentence, for people."""
    when = " and ".join(f"{name} is {' or '.join(map(str, values))}" for name, values in rule.when)
    return f"{_spelled(rule.left)} = {_spelled(rule.right)}" + (f", when {when}" if when else "")


def _spelled(terms: tuple[Term, ...]) -> str:
    text = ""
    for term in terms:
        name = f"Σ {term.relation}.{term.column}" if term.relation else term.column
        text += (" − " if term.sign < 0 else " + ") + name
    return text.removeprefix(" + ").strip() or "0"
