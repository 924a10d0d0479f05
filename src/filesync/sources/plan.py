"""A column mapping held against a contract: which rule fills which field of which relation. Pure.

Two ways to a plan:
- with `columns`, a field gets what its rule says; a field without a rule is absent (`origem` is this site's
  id);
- without `columns`, and for queries, a field without a rule takes the column of its own name, and a column
  that belongs to nothing is an error.

Every disagreement is listed at once. Nothing is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.model import ColumnType
from filesync.sources.forms import Target
from filesync.sources.rules import Constant, Copy, LineNumber, Per, ProductOf, Rule, SumOf, UuidOf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from filesync.contracts import Contract
    from filesync.contracts.model import Field, Relation
    from filesync.sources.settings import SourceSettings

ORIGIN: Final = "origem"


@dataclass(frozen=True, slots=True)
class Slot:
    """A field and the rule that fills it."""

    field: str
    rule: Rule
    target: Target
    required: bool


@dataclass(frozen=True, slots=True)
class RelationPlan:
    """A relation and its filled fields; the document's own relation is `Per.DOCUMENT`."""

    name: str
    per: Per
    slots: tuple[Slot, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that its rules need."""
        return tuple(dict.fromkeys(column for slot in self.slots for column in slot.rule.columns))


@dataclass(frozen=True, slots=True)
class Plan:
    """How documents are made. `children` are in the contract's order."""

    document: RelationPlan
    children: tuple[RelationPlan, ...]

    def columns(self) -> tuple[str, ...]:
        """The source columns that any rule needs."""
        relations = (self.document, *self.children)
        return tuple(dict.fromkeys(column for relation in relations for column in relation.columns))


def make_plan(
    settings: SourceSettings, contract: Contract, site: str, named: Mapping[str, Sequence[str]] | None = None
) -> tuple[Plan, list[str]]:
    """The plan, and what is wrong with it. `named` holds the columns of each relation's source, where fields
    may go by their own name.
    """
    problems: list[str] = []
    unknown = settings.relations.keys() - {child.name for child in contract.relations[1:]}
    problems.extend(
        f"columns.{name}: {contract.name} has no such child relation; if a rule was meant, none of its words is known"
        for name in sorted(unknown)
    )
    plans = [
        _relation_plan(settings, relation, site, contract.dataset, named, problems)
        for relation in contract.relations
    ]
    plan = Plan(plans[0], tuple(child for child in plans[1:] if child.slots))
    _check_sums(plan, problems)
    if settings.forms.datetime and not settings.forms.offset and _fills(plan, Target.DATETIME):
        problems.append(
            'offset: the datetime form has no offset; write what the source\'s clock shows, such as offset = "-03:00"'
        )
    return plan, problems


def _relation_plan(
    settings: SourceSettings,
    relation: Relation,
    site: str,
    dataset: str,
    named: Mapping[str, Sequence[str]] | None,
    problems: list[str],
) -> RelationPlan:
    own = relation.name == dataset
    rules: dict[str, Rule] = {}
    per = Per.DOCUMENT
    where = "columns"
    if own:
        rules.update(settings.document)
    else:
        where = f"columns.{relation.name}"
        per = Per.LINE
        if stated := settings.relations.get(relation.name):
            rules.update(stated.fields)
            per = stated.per
    fields = {field.name: field for field in relation.fields}
    problems.extend(
        f"{where}.{unknown}: no such field; {relation.name} has {', '.join(fields)}"
        for unknown in rules
        if unknown not in fields
    )
    if named is not None and relation.name in named:
        rules = {**{name: Copy(name) for name in fields if name in named[relation.name]}, **rules}
    if own and ORIGIN in fields and ORIGIN not in rules:
        rules[ORIGIN] = Constant(site)
    slots = tuple(
        Slot(field.name, rules[field.name], _target(field), field.required)
        for field in relation.fields
        if field.name in rules
    )
    for slot in slots:
        problems += [f"{where}.{slot.field}: {why}" for why in _misfits(slot, own=own, per=per)]
    if slots or own or relation.required:
        missing = [field.name for field in relation.fields if field.required and field.name not in rules]
        if missing:
            problems.append(f"{where}: nothing fills {', '.join(missing)}, which {relation.name} requires")
    return RelationPlan(relation.name, per, slots)


def _target(field: Field) -> Target:
    if field.type is ColumnType.TEXT:
        return Target.DATETIME if field.format == "date-time" else Target.TEXT
    return {
        ColumnType.INTEGER: Target.INTEGER,
        ColumnType.BOOLEAN: Target.BOOLEAN,
        ColumnType.DATE: Target.DATE,
    }[field.type]


def _misfits(slot: Slot, *, own: bool, per: Per) -> list[str]:
    rule, target = slot.rule, slot.target
    found = []
    match rule:
        case Constant(value):
            found += _not_of(target, value, "value")
        case Copy():
            found += _copy_misfits(rule, target)
        case UuidOf():
            if not own or target is not Target.TEXT:
                found.append("uuid_of makes text, for fields of the document")
        case SumOf() | ProductOf() | LineNumber():
            if target is not Target.INTEGER:
                found.append(f"holds {target.value}, the rule makes a whole number")
    if isinstance(rule, SumOf) and per is Per.LINE:
        found.append("sum_of is for the document and for relations with one row per document")
    if isinstance(rule, Copy | ProductOf) and rule.take is not None and per is Per.LINE:
        found.append("take is for fields of the document: a line has one value")
    return found


def _copy_misfits(rule: Copy, target: Target) -> list[str]:
    found = []
    if rule.default is not None:
        found += _not_of(target, rule.default, "default")
    if target is not Target.INTEGER and (rule.scale != 1 or rule.rounding is not None):
        found.append(f"holds {target.value}: scale and round are for whole numbers")
    if target is not Target.DATE and rule.read_as is not None:
        found.append(f"holds {target.value}: as is for dates; date-times follow the source's datetime form")
    for pattern in (rule.extract, *(pattern for pattern, _ in rule.match)):
        if pattern is not None:
            try:
                pc.match_substring_regex(pa.array([""]), pattern)
            except pa.ArrowInvalid as err:  # RE2 has no look-around and no back-references
                found.append(f"{pattern!r} cannot be used: {err}")
    return found


def _not_of(target: Target, value: object, word: str) -> list[str]:
    if target is Target.DATE:
        fits = type(value) is date
        if isinstance(value, str):
            try:
                fits = bool(date.fromisoformat(value))
            except ValueError:
                fits = False
    else:
        kind = {Target.INTEGER: int, Target.BOOLEAN: bool}.get(target, str)
        fits = type(value) is kind and not (isinstance(value, int) and abs(value) >= 2**63)
    return [] if fits else [f"holds {target.value}, but {word} is {value!r}"]


def _check_sums(plan: Plan, problems: list[str]) -> None:
    children = {child.name: child for child in plan.children}
    for relation in (plan.document, *plan.children):
        for slot in relation.slots:
            if not isinstance(slot.rule, SumOf):
                continue
            summed = children.get(slot.rule.relation)
            where = f"{relation.name}.{slot.field}: sum_of {slot.rule.relation}.{slot.rule.field}"
            if summed is None or not any(
                s.field == slot.rule.field and s.target is Target.INTEGER for s in summed.slots
            ):
                problems.append(f"{where}: the mapping fills no such whole number")
            elif relation is not plan.document and summed.per is Per.DOCUMENT:
                problems.append(f"{where}: only relations with one row per line can be summed up here")


def _fills(plan: Plan, target: Target) -> bool:
    return any(
        slot.target is target for relation in (plan.document, *plan.children) for slot in relation.slots
    )
