"""Whether a version of a contract can stand beside the one before it: both are accepted, in one table, in any order. Pure.

- Every document that is right under the old version is right under the new one: a till that was not updated yet is still understood.
- Every column keeps its meaning: type, key, what is summed, what decides which content wins. Nothing is renamed, nothing goes.
- What is new may be missing: the rows that the old version brings have no value for it.

All reasons are collected, each with the place in the new schema. Where it cannot be shown that a change only widens (a pattern that counts
too high, an enum in the place of a range), it counts as one that narrows. What is not here: what is done with two versions (exchange/).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from filesync.contracts.documents import shown
from filesync.contracts.keywords import Problems, step
from filesync.contracts.model import Continuity, OnBadRows
from filesync.contracts.narrowing import Members
from filesync.contracts.rules import in_words

if TYPE_CHECKING:
    from filesync.contracts.contract import Contract
    from filesync.contracts.model import Definition, Rule, SchemaProblem

#: Annotations that say what columns and batches mean, with where a Definition has them. None of them may change.
_MEANINGS: Final = {
    "version_column": "version_column",
    "active": "active_column",
    "valid_from": "valid_from_column",
    "business_date": "business_date_column",
    "encrypted": "encrypted",
    "continuity": "continuity",
    "late": "late",
}

Vector = tuple[tuple[str, int], ...]


def breaks(new: Contract, old: Contract) -> list[SchemaProblem]:
    """Why `new` cannot stand beside `old`: every reason with its JSON pointer into the new schema; [] where it can."""
    found = Problems()
    if new.dataset != old.dataset:
        found.add(
            "/x-filesync/dataset",
            f"expected {old.dataset!r}, got {new.dataset!r}: another dataset is no version of it",
        )
        return list(found.found)
    if new.version <= old.version:
        found.add("/x-filesync/version", f"expected more than {old.version}, got {new.version}")
    Members(new, old, found).compare()
    _meanings(new.definition, old.definition, old.name, found)
    _totals(new.definition, old.definition, old.name, found)
    _rules(new.definition, old.definition, old.name, found)
    return list(found.found)


def added(new: Contract, old: Contract) -> tuple[str, ...]:
    """The members that `new` has and `old` has not: `canal`, `itens.lote`, `volumes`."""
    known = {relation.name: {field.name for field in relation.fields} for relation in old.relations}
    found = [field.name for field in new.relations[0].fields if field.name not in known[old.dataset]]
    for relation in new.relations[1:]:
        if relation.name not in known:
            found.append(relation.name)
        else:
            found += [
                f"{relation.name}.{f.name}" for f in relation.fields if f.name not in known[relation.name]
            ]
    return tuple(found)


def _meanings(new: Definition, old: Definition, before: str, found: Problems) -> None:
    if new.key != old.key:
        found.add(
            "/x-filesync/key",
            f"expected {', '.join(old.key)}, got {', '.join(new.key)}: rows that are held would be others",
        )
    for note, attribute in _MEANINGS.items():
        is_now, was = getattr(new, attribute), getattr(old, attribute)
        if is_now != was:
            found.add(step("/x-filesync", note), f"expected {_said(was)} as in {before}, got {_said(is_now)}")
    if old.on_bad_rows is OnBadRows.QUARANTINE and new.on_bad_rows is OnBadRows.REJECT:
        why = "good documents beside a bad one would be refused"
        found.add("/x-filesync/on_bad_rows", f"expected 'quarantine' as in {before}, got 'reject': {why}")


def _totals(new: Definition, old: Definition, before: str, found: Problems) -> None:
    totals = {total.name: total for total in new.totals}
    for total in old.totals:
        if total.name not in totals:
            found.add("/x-filesync/totals", f"{total.name!r} is gone: it is compared by this name")
        elif totals[total.name] != total:
            found.add(step("/x-filesync/totals", total.name), f"sums something else than in {before}")


def _rules(new: Definition, old: Definition, before: str, found: Problems) -> None:
    known = {(relation.name, field.name) for relation in old.relations for field in relation.fields}
    for place, rule in enumerate(new.rules):
        if any((new.dataset, name) not in known for name, _ in rule.when):
            continue  # a document of the old version has no such value: the rule says nothing about it
        vector = _vector(rule, known, new.dataset)
        if vector and not any(
            _follows(rule, vector, other, _vector(other, known, old.dataset)) for other in old.rules
        ):
            found.add(
                f"/x-filesync/rules/{place}",
                f"{rule.name!r} asks for more than {before} does: {in_words(rule)}",
            )


def _vector(rule: Rule, known: set[tuple[str, str]], dataset: str) -> Vector:
    """What a rule says must be zero, as far as old documents have it: a factor for each column, the first one positive."""
    factors: dict[str, int] = {}
    for sign, side in ((1, rule.left), (-1, rule.right)):
        for term in side:
            if (term.relation or dataset, term.column) in known:
                name = f"{term.relation or ''}.{term.column}"
                factors[name] = factors.get(name, 0) + sign * term.sign
    found = sorted((name, factor) for name, factor in factors.items() if factor)
    sign = -1 if found and found[0][1] < 0 else 1
    return tuple((name, sign * factor) for name, factor in found)


def _follows(rule: Rule, vector: Vector, other: Rule, others: Vector) -> bool:
    """Whether `rule` holds in every document in which `other` holds: the same sum, asked of no more documents."""
    when = dict(rule.when)
    return vector == others and all(
        name in when and set(when[name]) <= set(values) for name, values in other.when
    )


def _said(value: object) -> str:
    """A meaning as the annotation says it."""
    match value:
        case Enum():
            return repr(value.value)
        case Continuity(number, per):
            return f"{number} for each {', '.join(per)}"
        case None:
            return "none"
    return shown(value)
