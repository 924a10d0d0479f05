"""How a field of a document comes out of a source: the rules of a column mapping, and their TOML form. Pure.

A rule is one of six things; a plain string is short for `{ column = "..." }`:

    { column = "Preco", ... }      a column's value; in this order: extract, match, lookup, then read as the field's type
    { value = "99" }               the same value everywhere
    { uuid_of = ["Cupom"] }        a UUIDv5 of (origem, dataset, these columns): the same sale always gets the same id
    { sum_of = "itens.total" }     the sum over the document's lines
    { product_of = ["a", "b"] }    exact decimal product of two columns
    { line_number = true }         1, 2, 3 ... inside the document, in the order of the source

`default` stands in where the column is empty, or `extract`, `match` or `lookup` find nothing; it is a value
of the field, not of the column. Without it, finding nothing is an error of that document. What is not here:
whether the contract has such a field (`plan.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Final, TypeVar

from filesync.sources.forms import form_problem

Scalar = str | int | bool | date
_E = TypeVar("_E", bound=Enum)


class Take(Enum):
    """Which value a document takes where its lines may differ."""

    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"


class Rounding(Enum):
    """What to do with more decimals than the field holds. Half-up is away from zero, as people round
    money.
    """

    HALF_EVEN = "half-even"
    HALF_UP = "half-up"
    DOWN = "down"


class Per(Enum):
    """How many rows a child relation gets: one for each line of the source, or one for each document."""

    LINE = "line"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Copy:
    """A column's value, read as the field's type."""

    column: str
    extract: str | None = None  # RE2; the group named `value`, or else the whole match
    match: tuple[tuple[str, str], ...] = ()  # (RE2, value): the first that matches
    lookup: tuple[tuple[str, str], ...] | None = None
    default: Scalar | None = None
    read_as: str | None = None  # "date", "datetime", or a form such as "ddmmaaaa"
    scale: int = 1
    rounding: Rounding | None = None
    take: Take | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    value: Scalar

    @property
    def columns(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class UuidOf:
    """A UUIDv5 of (origem, dataset, the texts of these columns)."""

    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SumOf:
    """The sum of a field over the document's lines."""

    relation: str
    field: str

    @property
    def columns(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class ProductOf:
    """The exact product of two numeric columns, times `scale`."""

    columns: tuple[str, str]
    scale: int = 1
    rounding: Rounding | None = None
    take: Take | None = None


@dataclass(frozen=True, slots=True)
class LineNumber:
    """The position inside the document, from 1."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ()


Rule = Copy | Constant | UuidOf | SumOf | ProductOf | LineNumber


@dataclass(frozen=True, slots=True)
class RelationRules:
    """The rules of one child relation."""

    per: Per
    fields: Mapping[str, Rule]


_MODIFIERS: Final = {
    "column": {"extract", "match", "lookup", "default", "as", "scale", "round", "take"},
    "value": set[str](),
    "uuid_of": set[str](),
    "sum_of": set[str](),
    "product_of": {"scale", "round", "take"},
    "line_number": set[str](),
}
RULE_KEYS: Final = frozenset(_MODIFIERS).union(*_MODIFIERS.values())


class Reading:
    """Reads TOML values and collects every problem with its key path, so that a person sees all of them at
    once.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []

    def problem(self, where: str, what: str) -> None:
        self.problems.append(f"{where}: {what}")

    def text(self, where: str, value: object) -> str:
        if not isinstance(value, str):
            self.problem(where, f"expected text, got {value!r}")
            return ""
        return value

    def texts(self, where: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            self.problem(where, f"expected a list of column names, got {value!r}")
            return ()
        return tuple(self.column(where, item) for item in value)

    def column(self, where: str, value: object) -> str:
        """A column's name; accents compare composed, as file headers are read."""
        return unicodedata.normalize("NFC", self.text(where, value))

    def choice(self, where: str, kind: type[_E], value: object) -> _E | None:
        for member in kind:
            if member.value == value:
                return member
        self.problem(where, f"expected one of {', '.join(str(m.value) for m in kind)}, got {value!r}")
        return None

    def scalar(self, where: str, value: object) -> Scalar:
        if isinstance(
            value, str | int | date
        ):  # bool is an int; TOML floats are refused: they are never exact
            return value
        self.problem(where, f"expected text, a whole number, true, false or a date, got {value!r}")
        return ""

    def pattern(self, where: str, value: object) -> str:
        text = self.text(where, value)
        try:
            groups = re.compile(text)
        except re.error as err:
            self.problem(where, f"{text!r} is not a regular expression: {err}")
            return ""
        if groups.groups and set(groups.groupindex) != {"value"}:
            self.problem(
                where, f"{text!r}: write (?:...) to group, and (?P<value>...) around the part that is wanted"
            )
        return text


def read_columns(
    reading: Reading, where: str, table: Mapping[str, object]
) -> tuple[dict[str, Rule], dict[str, RelationRules]]:
    """Split `columns` into the document's rules and the child relations' rules."""
    document: dict[str, Rule] = {}
    relations: dict[str, RelationRules] = {}
    for name, value in table.items():
        at = f"{where}.{name}"
        # A table with any word of a rule in it is meant as a rule; "*" says for certain that it is a
        # relation.
        if isinstance(value, Mapping) and ("*" in value or not RULE_KEYS & value.keys()):
            relations[name] = _relation(reading, at, value)
        elif (rule := _rule(reading, at, value)) is not None:
            document[name] = rule
    return document, relations


def _relation(reading: Reading, where: str, table: Mapping[str, object]) -> RelationRules:
    per = reading.choice(f'{where}."*"', Per, table["*"]) if "*" in table else Per.LINE
    fields = {}
    for name, value in table.items():
        if name != "*" and (rule := _rule(reading, f"{where}.{name}", value)) is not None:
            fields[name] = rule
    return RelationRules(per or Per.LINE, fields)


def _rule(reading: Reading, where: str, value: object) -> Rule | None:
    if isinstance(value, str):
        return Copy(reading.column(where, value))
    if not isinstance(value, Mapping):
        reading.problem(
            where, f"expected a column name or a rule, got {value!r}; a fixed value is {{ value = ... }}"
        )
        return None
    kinds = [key for key in _MODIFIERS if key in value]
    if len(kinds) != 1:
        reading.problem(
            where, f"expected exactly one of {', '.join(_MODIFIERS)}, got {', '.join(value) or 'nothing'}"
        )
        return None
    kind = kinds[0]
    unknown = [key for key in value if key != kind and key not in _MODIFIERS[kind]]
    if unknown:
        known = ", ".join(sorted(_MODIFIERS[kind])) or "nothing"
        reading.problem(where, f"{', '.join(unknown)} cannot stand beside {kind}; {known} can")
    return _KINDS[kind](reading, where, value)


def _copy(reading: Reading, where: str, value: Mapping[str, Any]) -> Copy:
    match = value.get("match", [])
    pairs = (
        [tuple(pair) for pair in match if isinstance(pair, list) and len(pair) == 2]
        if isinstance(match, list)
        else []
    )
    if not isinstance(match, list) or len(pairs) != len(match):
        reading.problem(f"{where}.match", f"expected a list of [pattern, value] pairs, got {match!r}")
    lookup = value.get("lookup")
    if lookup is not None and not isinstance(lookup, Mapping):
        reading.problem(f"{where}.lookup", f"expected a table of text = text, got {lookup!r}")
        lookup = None
    read_as = value.get("as")
    if read_as is not None and read_as not in ("date", "datetime") and (why := form_problem(str(read_as))):
        reading.problem(
            f"{where}.as", f"expected date, datetime or a form such as dd/mm/aaaa, got {read_as!r}: {why}"
        )
    return Copy(
        column=reading.column(f"{where}.column", value["column"]),
        extract=reading.pattern(f"{where}.extract", value["extract"]) if "extract" in value else None,
        match=tuple(
            (reading.pattern(f"{where}.match", p), reading.text(f"{where}.match", v)) for p, v in pairs
        ),
        lookup=None
        if lookup is None
        else tuple((str(k), reading.text(f"{where}.lookup.{k}", v)) for k, v in lookup.items()),
        default=reading.scalar(f"{where}.default", value["default"]) if "default" in value else None,
        read_as=None if read_as is None else str(read_as),
        scale=_scale(reading, where, value),
        rounding=_rounding(reading, where, value),
        take=_take(reading, where, value),
    )


def _uuid_of(reading: Reading, where: str, value: Mapping[str, Any]) -> UuidOf:
    return UuidOf(reading.texts(f"{where}.uuid_of", value["uuid_of"]))


def _sum_of(reading: Reading, where: str, value: Mapping[str, Any]) -> SumOf | None:
    relation, dot, field = reading.text(f"{where}.sum_of", value["sum_of"]).partition(".")
    if not dot:
        reading.problem(f"{where}.sum_of", f"expected relation.field, got {value['sum_of']!r}")
        return None
    return SumOf(relation, field)


def _product_of(reading: Reading, where: str, value: Mapping[str, Any]) -> ProductOf | None:
    columns = reading.texts(f"{where}.product_of", value["product_of"])
    if len(columns) != 2:
        reading.problem(f"{where}.product_of", f"expected two columns, got {len(columns)}")
        return None
    first, second = columns
    return ProductOf(
        (first, second),
        _scale(reading, where, value),
        _rounding(reading, where, value),
        _take(reading, where, value),
    )


def _line_number(reading: Reading, where: str, value: Mapping[str, Any]) -> LineNumber:
    if value["line_number"] is not True:
        reading.problem(f"{where}.line_number", "expected true")
    return LineNumber()


def _constant(reading: Reading, where: str, value: Mapping[str, Any]) -> Constant:
    return Constant(reading.scalar(f"{where}.value", value["value"]))


def _scale(reading: Reading, where: str, value: Mapping[str, Any]) -> int:
    scale = value.get("scale", 1)
    if type(scale) is not int or not 1 <= scale <= 10**9:
        reading.problem(f"{where}.scale", f"expected a whole number from 1 to 10^9, got {scale!r}")
        return 1
    return scale


def _rounding(reading: Reading, where: str, value: Mapping[str, Any]) -> Rounding | None:
    return reading.choice(f"{where}.round", Rounding, value["round"]) if "round" in value else None


def _take(reading: Reading, where: str, value: Mapping[str, Any]) -> Take | None:
    return reading.choice(f"{where}.take", Take, value["take"]) if "take" in value else None


_KINDS: Final[Mapping[str, Callable[[Reading, str, Mapping[str, Any]], Rule | None]]] = {
    "column": _copy,
    "value": _constant,
    "uuid_of": _uuid_of,
    "sum_of": _sum_of,
    "product_of": _product_of,
    "line_number": _line_number,
}
