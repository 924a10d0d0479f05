"""The values that a contract consists of: fields, relations, totals, rules. Pure, and made only by reading a schema (subset.py).

A dataset's documents are one relation, named after the dataset; each array of objects inside them is another, a child
relation, whose rows carry the key of their document. What is not here: any computation over rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from filesync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.contracts.patterns import Pattern

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


class ColumnType(Enum):
    TEXT = "text"
    INTEGER = "integer"  # int64
    BOOLEAN = "boolean"
    DATE = "date"


class OnBadRows(Enum):
    REJECT = "reject"  # one bad document refuses the batch
    QUARANTINE = "quarantine"  # bad documents are set aside, the others are applied


class Late(Enum):
    APPLY = "apply"  # rows of a closed day are applied, and the day is reopened
    NOTE = "note"  # they are applied and told; the day stays as it is
    REFUSE = "refuse"  # once the day's billing file is imported, they are rejected


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Why a schema cannot be used as a contract; `pointer` is a JSON pointer into it."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '(whole schema)'}: {self.message}"


class ContractError(ConfigError):
    """A schema outside the documented subset; `problems` holds all of them, not only the first."""

    def __init__(self, name: str, problems: Sequence[SchemaProblem]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__("contract-unusable", f"{name}: not usable as a contract:\n{listed}")
        self.problems = tuple(problems)


class BreakingError(ConfigError):
    """A version that cannot stand beside the one before it; `problems` holds every reason, pointing into the newer schema."""

    def __init__(self, name: str, before: str, problems: Sequence[SchemaProblem]) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__("contract-breaking", f"{name}: cannot stand beside {before}:\n{listed}")
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: ColumnType
    required: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A scalar member of a document or of a line, with everything the schema says about it. Bounds are inclusive."""

    name: str
    type: ColumnType
    required: bool
    title: str = ""
    description: str = ""
    examples: tuple[object, ...] = ()
    choices: tuple[str | int | bool, ...] | None = None
    minimum: int | None = None
    maximum: int | None = None
    multiple_of: int | None = None
    min_length: int | None = None  # characters, not bytes
    max_length: int | None = None
    pattern: Pattern | None = None
    format: str | None = None

    @property
    def column(self) -> Column:
        return Column(self.name, self.type, self.required)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table of rows. `columns` are in table order: the key (document key first), then the rest in schema order.

    `fields` are the members as they stand in the schema: of the document without its arrays, or of a line without the document's key.
    """

    name: str
    table: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    fields: tuple[Field, ...]
    title: str = ""
    description: str = ""
    required: bool = True
    min_items: int = 0
    max_items: int | None = None
    line_key: tuple[str, ...] = ()

    def field(self, name: str) -> Field:
        return next(candidate for candidate in self.fields if candidate.name == name)


@dataclass(frozen=True, slots=True)
class Term:
    """`sign` times a column of the document, or times the sum of a column over the document's lines in `relation`."""

    sign: int
    relation: str | None
    column: str

    def __str__(self) -> str:
        name = f"{self.relation}.{self.column}" if self.relation else self.column
        return f"-{name}" if self.sign < 0 else name


@dataclass(frozen=True, slots=True)
class Rule:
    """`left` and `right` sum up to the same in every document whose columns have the values named by `when`."""

    name: str
    left: tuple[Term, ...]
    right: tuple[Term, ...]
    when: tuple[tuple[str, tuple[str | int | bool, ...]], ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """A control total: the sum of a column, or its sum for each value of the text column `by` of the same relation."""

    name: str
    relation: str | None  # None: the document's own column
    column: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Continuity:
    """The integer column `number` runs without holes for each combination of the text columns `per`."""

    number: str
    per: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A schema, read. `relations[0]` is the document relation."""

    dataset: str
    version: int
    title: str
    description: str
    relations: tuple[Relation, ...]
    key: tuple[str, ...]
    version_column: str | None = None
    active_column: str | None = None
    valid_from_column: str | None = (
        None  # of the key: the first day of each of a document's rows; None where there is but one
    )
    business_date_column: str | None = None
    encrypted: bool = False
    totals: tuple[Total, ...] = ()
    rules: tuple[Rule, ...] = ()
    continuity: Continuity | None = None
    on_bad_rows: OnBadRows = OnBadRows.REJECT
    late: Late = Late.APPLY

    @property
    def children(self) -> tuple[Relation, ...]:
        return self.relations[1:]
