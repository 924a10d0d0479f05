"""The reconciliation of a day: sales × BDF × C.A., made, summed up and told.

Ordering rules:
1. A result is made from the store as it is; it is not asked whether the day's gate is open (the step `conciliar` is, in routine.py).
2. Made again from the same rows it stays as it is. Whether it still holds is asked of the ledger each time (`Summary.stale`).

What is not here: how rows are matched (stores/matching.py), what the colours mean (docs/reconciliation.md), files and gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.stores.reconciled import (
    Colour,
    Difference,
    Dimension,
    Found,
    How,
    Kind,
    Line,
    Reconciliation,
    State,
    Total,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from filesync.exchange.context import Context

__all__ = [
    "Amounts", "Colour", "Difference", "Dimension", "Found", "How", "Kind", "Line", "Reconciliation", "State", "Summary", "calendar",
    "reconcile", "rows", "summary",
]  # fmt: skip

#: Dimensions that people see as tables; the others say how the files were matched.
TABLES = (Dimension.SITE, Dimension.SERVICE, Dimension.CONTRACT, Dimension.FORM)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What some lines add up to: postings sold, what the files hold of them or besides, in objects and centavos."""

    lines: int = 0
    sold: int = 0
    sold_centavos: int = 0
    bdf_quantidade: int = 0
    bdf_centavos: int = 0
    ca_quantidade: int = 0
    ca_centavos: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.lines + other.lines,
            self.sold + other.sold,
            self.sold_centavos + other.sold_centavos,
            self.bdf_quantidade + other.bdf_quantidade,
            self.bdf_centavos + other.bdf_centavos,
            self.ca_quantidade + other.ca_quantidade,
            self.ca_centavos + other.ca_centavos,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """A day's reconciliation in figures. `by[dimension][value][colour]`; a value is "" for lines that have none of it.

    `changed` names the inputs (`vendas`, `bdf`, `ca`) that are no longer what was reconciled.
    """

    day: date
    made_at: str
    sales: int
    bdf_rows: int | None  # None: no file of this kind was imported for the day
    ca_rows: int | None
    changed: tuple[str, ...]
    colours: Mapping[Colour, Amounts]
    by: Mapping[Dimension, Mapping[str, Mapping[Colour, Amounts]]]

    @property
    def stale(self) -> bool:
        """Whether sales or files of the day changed since."""
        return bool(self.changed)

    @property
    def total(self) -> Amounts:
        """All lines."""
        return sum(self.colours.values(), Amounts())

    @property
    def clean(self) -> bool:
        """Whether nothing needs a person: it holds, and no line is red or yellow."""
        wrong = self.count(Colour.RED) + self.count(Colour.YELLOW)
        return not self.stale and not wrong

    def count(self, colour: Colour) -> int:
        """Lines of a colour."""
        return self.colours.get(colour, Amounts()).lines

    def states(self, kind: Kind) -> dict[State, Amounts]:
        """The lines by how they stand in one file; lines that were not checked against it are left out."""
        dimension = Dimension.BDF if kind is Kind.BDF else Dimension.CA
        return {State(value): add(colours) for value, colours in self.by.get(dimension, {}).items() if value}


def reconcile(ctx: Context, day: date) -> Summary:
    """Match the day's sales with its files and keep the result; one that still holds stays as it is."""
    made = ctx.store.reconciling.reconcile(day, ctx.now(), unbilled=ctx.settings.reconciliation.unbilled)
    return _summary(ctx, made)


def summary(ctx: Context, day: date) -> Summary | None:
    """The day's result as it stands, and whether it still holds; None where the day was never reconciled."""
    held = ctx.store.reconciling.find(day)
    return None if held is None else _summary(ctx, held)


def rows(ctx: Context, day: date, colours: Collection[Colour] = tuple(Colour)) -> Iterator[Line]:
    """The lines of these colours, red first, site by site; read page by page."""
    return ctx.store.reconciling.lines(day, colours)


def calendar(ctx: Context, first: date, last: date) -> dict[date, dict[Colour, int]]:
    """Lines of each colour of every reconciled day between two. One question however long; it does not ask for staleness."""
    return ctx.store.reconciling.days(first, last)


def add(amounts: Mapping[Colour, Amounts]) -> Amounts:
    """All colours together."""
    return sum(amounts.values(), Amounts())


def _summary(ctx: Context, made: Reconciliation) -> Summary:
    by = _sorted(ctx.store.reconciling.totals(made.day))
    colours = by.pop(Dimension.ALL, {}).get("", {})
    return Summary(made.day, made.made_at, made.sales, made.bdf_rows, made.ca_rows, made.changed, colours, by)


def _sorted(totals: Iterable[Total]) -> dict[Dimension, dict[str, dict[Colour, Amounts]]]:
    by: dict[Dimension, dict[str, dict[Colour, Amounts]]] = {}
    for total in totals:
        values = by.setdefault(total.dimension, {})
        values.setdefault(total.value, {})[total.colour] = amounts_of(total)
    return by


def amounts_of(total: Total) -> Amounts:
    """What a total adds up to."""
    return Amounts(
        total.lines, total.sold, total.sold_centavos, total.bdf_quantidade, total.bdf_centavos, total.ca_quantidade, total.ca_centavos,
    )  # fmt: skip
