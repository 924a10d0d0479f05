"""What a dataset promises: one JSON Schema each, and everything derived from it. No IO but reading schemas."""

from typing import TYPE_CHECKING, Any

from filesync.contracts.compatibility import added, breaks
from filesync.contracts.contract import Contract
from filesync.contracts.describe import ContractPage, describe
from filesync.contracts.findings import Findings
from filesync.contracts.keys import Gap
from filesync.contracts.model import (
    BreakingError,
    Column,
    ColumnType,
    Continuity,
    ContractError,
    Field,
    Late,
    OnBadRows,
    Relation,
    Rule,
    SchemaProblem,
    Term,
    Total,
)
from filesync.contracts.registry import Registry, check_schema, load_contract
from filesync.contracts.totals import Totals, TotalsSum

if TYPE_CHECKING:
    from filesync.protocol.receipt import Problem

__all__ = [
    "BreakingError",
    "Column",
    "ColumnType",
    "Continuity",
    "Contract",
    "ContractError",
    "ContractPage",
    "Field",
    "Findings",
    "Gap",
    "Late",
    "OnBadRows",
    "Registry",
    "Relation",
    "Rule",
    "SchemaProblem",
    "Term",
    "Total",
    "Totals",
    "TotalsSum",
    "added",
    "breaks",
    "check_manifest",
    "check_receipt",
    "check_schema",
    "describe",
    "load_contract",
]


def check_manifest(envelope: Any) -> "list[Problem]":
    """What is wrong with a manifest file's JSON value, by its JSON Schema."""
    from filesync.contracts import reference  # jsonschema takes long to import, and most runs never need it

    return reference.check_manifest(envelope)


def check_receipt(envelope: Any) -> "list[Problem]":
    """What is wrong with a receipt file's JSON value, by its JSON Schema."""
    from filesync.contracts import reference  # as above

    return reference.check_receipt(envelope)
