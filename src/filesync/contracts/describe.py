"""A contract as a page for people: plain values that a command line or a web page lays out.

What is not here: layout, colours, widths (cli/, panel/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.contracts.documents import shown
from filesync.contracts.model import ColumnType, Late, OnBadRows
from filesync.contracts.rules import in_words

if TYPE_CHECKING:
    from filesync.contracts.contract import Contract
    from filesync.contracts.model import Field, Relation, Total


@dataclass(frozen=True, slots=True)
class FieldPage:
    """One column. `limits` is ready to read: "1 … 999999999", "one of 01, 02"; "" where there are none."""

    name: str
    type: str
    required: bool
    key: bool
    limits: str
    format: str
    title: str
    description: str
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RelationPage:
    name: str
    table: str
    title: str
    description: str
    key: tuple[str, ...]
    lines: str  # how many a document may have; "" for the documents themselves
    fields: tuple[FieldPage, ...]


@dataclass(frozen=True, slots=True)
class RulePage:
    name: str
    formula: str
    message: str


@dataclass(frozen=True, slots=True)
class ContractPage:
    name: str
    dataset: str
    version: int
    title: str
    description: str
    key: tuple[str, ...]
    relations: tuple[RelationPage, ...]
    rules: tuple[RulePage, ...]
    totals: tuple[tuple[str, str], ...]  # name, and what is summed
    continuity: str  # "" where numbers need not run
    policies: tuple[tuple[str, str], ...]  # what it is about, and what holds


def describe(contract: Contract) -> ContractPage:
    """The page of a contract: relations with their fields, rules in words, totals, continuity, policies."""
    definition = contract.definition
    return ContractPage(
        name=contract.name,
        dataset=contract.dataset,
        version=contract.version,
        title=definition.title,
        description=definition.description,
        key=contract.key,
        relations=tuple(_relation(relation, contract.key) for relation in contract.relations),
        rules=tuple(RulePage(rule.name, in_words(rule), rule.message) for rule in contract.rules),
        totals=tuple((total.name, _total(total)) for total in contract.control_totals),
        continuity=_continuity(contract),
        policies=tuple(_policies(contract)),
    )


def _relation(relation: Relation, document_key: tuple[str, ...]) -> RelationPage:
    lines = ""
    if relation.line_key:
        lines = f"{relation.min_items if relation.required else 0} … {relation.max_items if relation.max_items is not None else 'any number'}"
    key = relation.line_key or document_key
    return RelationPage(
        relation.name,
        relation.table,
        relation.title,
        relation.description,
        relation.key,
        lines,
        tuple(_field(field, key=field.name in key) for field in relation.fields),
    )


def _field(field: Field, *, key: bool) -> FieldPage:
    return FieldPage(
        field.name,
        field.type.value,
        field.required,
        key,
        "; ".join(_limits(field)),
        field.format or "",
        field.title,
        field.description,
        tuple(shown(example) for example in field.examples),
    )


def _limits(field: Field) -> list[str]:
    limits = []
    if field.choices is not None:
        limits.append(
            f"one of {', '.join(str(choice) if isinstance(choice, str) else shown(choice) for choice in field.choices)}"
        )
    if field.type is ColumnType.INTEGER and (field.minimum is not None or field.maximum is not None):
        limits.append(_range(field.minimum, field.maximum))
    if field.multiple_of is not None:
        limits.append(f"a multiple of {field.multiple_of}")
    if field.min_length is not None or field.max_length is not None:
        limits.append(f"{_range(field.min_length or 0, field.max_length)} characters")
    if field.pattern is not None:
        limits.append(field.pattern.source)
    return limits


def _range(low: int | None, high: int | None) -> str:
    if high is None:
        return f"from {low}"
    return f"to {high}" if low is None else f"{low} … {high}"


def _total(total: Total) -> str:
    column = f"{total.relation}.{total.column}" if total.relation else total.column
    return f"Σ {column}" + (f" for each {total.by}" if total.by else "")


def _continuity(contract: Contract) -> str:
    if contract.continuity is None:
        return ""
    return f"{contract.continuity.number} runs without holes for each {', '.join(contract.continuity.per)}"


def _policies(contract: Contract) -> list[tuple[str, str]]:
    bad_rows = {
        OnBadRows.REJECT: "one bad document refuses the whole batch",
        OnBadRows.QUARANTINE: "bad documents are set aside, the others are applied",
    }
    late = {
        Late.APPLY: "rows of a closed day are applied, and the day is reopened",
        Late.NOTE: "rows of a closed day are applied and told; the day stays closed",
        Late.REFUSE: "once the day's billing file is imported, its rows are rejected",
    }
    policies = [("bad rows", bad_rows[contract.on_bad_rows]), ("late rows", late[contract.late])]
    if contract.version_column:
        policies.append(
            ("versions", f"the higher {contract.version_column} wins; without one it counts as 0")
        )
    if contract.active_column:
        policies.append(
            ("snapshots", f"documents that a snapshot does not hold get {contract.active_column} = false")
        )
    if contract.valid_from_column:
        policies.append(
            ("validity", f"a row holds from {contract.valid_from_column} until the next one begins")
        )
    if contract.business_date_column:
        policies.append(("movement day", contract.business_date_column))
    if contract.encrypted:
        policies.append(("encryption", "only in batches encrypted to their recipient"))
    return policies
