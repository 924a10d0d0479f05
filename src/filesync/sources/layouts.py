"""A layout: how the records of a billing file are written. Values only; how they look in TOML is shown here.

A file is records, one on a line: at most one header, details, at most one trailer. A record is known by a marker: at a fixed position, or
in the first column of a CSV file. A part of a record is at positions `at = [first, last]` (characters, counted from 1, as manuals count)
or in `column = 3` (or by name, where a line of names stands over the details).

    [records.detail.fields]
    data       = { at = [2, 9], date = "ddmmaaaa" }
    sub_caixa  = { at = [10, 13], trim = "0" }                    leading zeros taken off: "0003" is "3"
    valor_cobrado_centavos = { at = [74, 86], decimals = 2, scale = 100 }   0000012345 is 123,45 reais, 12345 centavos
    sequencia  = { count_within = ["data", "sub_caixa", "numero_atendimento"] }
    modalidade = { value = "A VISTA" }
    contrato   = { header = "contrato" }                          what the header's part of that name says

Parts of a header or trailer may be the day (`day = true`), must be something (`equals = "BDF"`), or are compared with what was read:
`counts = "details"`, `counts = "records"`, `sum_of = "valor_cobrado_centavos"`.

What is not here: the TOML reader (`layout_settings`), reading files (`records`, `layout_reading`), which layout a file has
(`layout_choice`). Nothing shipped with filesync
claims to be an official layout: those are not public.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.sources.forms import Forms
    from filesync.sources.rules import Scalar


class Shape(Enum):
    """How a record's parts are told apart."""

    FIXED = "fixed"
    CSV = "csv"


class Counts(Enum):
    """What a header or trailer counts."""

    DETAILS = "details"
    RECORDS = "records"  # header and trailer included


@dataclass(frozen=True, slots=True)
class Part:
    """Where a value stands in a record, and how it is written. `first` and `last` count from 1."""

    name: str
    first: int = 0
    last: int = 0
    column: str | int = 0
    date: str | None = None
    decimals: int = 0  # digits after an implied decimal mark
    scale: int = 1
    trim: str = ""  # leading characters that are filling
    empty: tuple[str, ...] = ()  # what stands for nothing
    lookup: Mapping[str, str] | None = None
    default: Scalar | None = None

    @property
    def where(self) -> str:
        """As a person finds it."""
        if self.first:
            return (
                f"position {self.first}" if self.first == self.last else f"positions {self.first}-{self.last}"
            )
        return f"column {self.column}"


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class CountWithin:
    """1, 2, 3 … for the rows that agree in these fields, in the order of the file."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FromHeader:
    """What the header's part of this name says."""

    name: str


Rule = Part | Constant | CountWithin | FromHeader


@dataclass(frozen=True, slots=True)
class Check:
    """A part of a header or trailer, and what it must be or is compared with. At most one of them is set."""

    part: Part
    day: bool = False
    equals: str | None = None
    counts: Counts | None = None
    sum_of: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A header or trailer. Without a marker (a header only) it is the file's first line."""

    marker: str
    at: int = 1
    required: bool = True
    parts: Mapping[str, Check] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout. `detail_marker` "": every record that is no other one is a detail."""

    name: str
    dataset: str
    title: str
    shape: Shape
    encoding: str
    forms: Forms
    header: Record | None
    trailer: Record | None
    detail_marker: str
    detail_at: int
    fields: Mapping[str, Rule]
    width: int = 0
    cut: bool = False
    delimiter: str = ";"
    names: bool = False
    origin: str = ""  # where it stands, for people
    text: str = field(default="", repr=False)

    @property
    def parts(self) -> dict[str, Part]:
        """The parts of a detail that are read from the file."""
        return {name: rule for name, rule in self.fields.items() if isinstance(rule, Part)}

    @property
    def digest(self) -> str:
        """sha256 of everything that decides what a file's rows become."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def sums(self) -> tuple[str, ...]:
        """The fields that a header or trailer adds up."""
        checks = [
            check for record in (self.header, self.trailer) if record for check in record.parts.values()
        ]
        return tuple(dict.fromkeys(check.sum_of for check in checks if check.sum_of))
