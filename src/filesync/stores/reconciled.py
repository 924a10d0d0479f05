"""What a reconciliation says: colours, lines, totals. Values only; what they mean to people is in docs/reconciliation.md.

Money is in centavos. A line is one posting that was sold, or one billed row (one in each file) that no posting accounts for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date


class Colour(Enum):
    """The trade's colours, the most urgent first."""

    RED = "red"  # sold and not billed, or billed and not sold
    YELLOW = "yellow"  # found, and something differs or is uncertain
    WHITE = "white"  # not checked: no file, or nothing to bill
    GREEN = "green"  # agrees with everything that was imported


class Kind(Enum):
    """A kind of billing file; the value is its dataset."""

    BDF = "bdf"
    CA = "ca"


class State(Enum):
    """How a line stands in one file."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"  # sold, and not in the file
    NOT_SOLD = "not-sold"  # in the file, and not sold
    CANCELLED = "cancelled"  # in the file, and its sale was cancelled
    REVERSAL = "reversal"  # takes back what the day's file does not bill
    REVERSED = "reversed"  # a billed row and the one that takes it back, each on a line of its own


class How(Enum):
    """By what a billed row was found, the strongest first."""

    CODE = "code"  # the tracking code
    ATTENDANCE = "attendance"  # sub-caixa and number of the attendance
    WEAK = "weak"  # service, contract and value


class Difference(Enum):
    """What differs, or is uncertain, between a posting and the row found for it."""

    VALUE = "value"
    QUANTITY = "quantity"
    SERVICE = "service"
    CONTRACT = "contract"
    SITE = "site"  # postings of several sites could be meant
    ATTENDANCE = "attendance"  # found by the weak key, under another attendance


class Dimension(Enum):
    """By what lines are added up."""

    ALL = "all"
    SITE = "site"
    SERVICE = "service"
    CONTRACT = "contract"
    FORM = "form"
    BDF = "bdf"  # by their state in the file
    BDF_HOW = "bdf-how"
    CA = "ca"
    CA_HOW = "ca-how"


@dataclass(frozen=True, slots=True)
class Found:
    """A line's side of one file. `row` names the billed row: sub-caixa, attendance, sequence. Nothing but `state` where it is missing."""

    state: State
    how: How | None = None
    differs: tuple[Difference, ...] = ()
    row: str | None = None
    quantidade: int | None = None
    valor_centavos: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `valor_centavos` is None where nothing was sold; `bdf` and `ca` are None where it was not checked against that file."""

    colour: Colour
    line: int
    site: str | None
    ticket: str | None  # caixa/serie/numero
    venda_id: str | None
    posting: int | None
    codigo_rastreio: str | None
    servico: str
    contrato: str | None
    sub_caixa: str | None
    numero_atendimento: str | None
    forma: str | None  # tPag; "several" where the sale was paid in several forms
    valor_centavos: int | None
    bdf: Found | None
    ca: Found | None


@dataclass(frozen=True, slots=True)
class Total:
    """The lines of one value of a dimension in one colour. `value` is "" for lines that have none; `sold` counts postings."""

    dimension: Dimension
    value: str
    colour: Colour
    lines: int
    sold: int
    sold_centavos: int
    bdf_quantidade: int
    bdf_centavos: int
    ca_quantidade: int
    ca_centavos: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A day's reconciliation and what it saw. Rows of a file are None where none of that kind was imported for the day.

    `changed`: which of the three (`vendas`, `bdf`, `ca`) are no longer what it saw; empty while it holds.
    """

    day: date
    made_at: str
    batch_id: int
    sales: int
    bdf_rows: int | None
    ca_rows: int | None
    unbilled: tuple[str, ...]
    changed: tuple[str, ...] = ()

    def rows(self, kind: Kind) -> int | None:
        """The rows of one kind of file."""
        return self.bdf_rows if kind is Kind.BDF else self.ca_rows
