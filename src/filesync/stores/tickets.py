"""Ticket numbers of a day over everything that is held: what is missing inside it, and between it and the day before. Reads only.

A batch's own continuity is seen when it is sealed (contracts/keys.py). Here it is a day's, whatever batches brought it: for each site,
till and series the numbers from the first to the last of the day, and those between the last of the latest day before and the first.

- A number that is held under another business date is not missing: it was sold around midnight, or with a wrong date.
- A first number that is not above the last of the day before began anew: nothing lies between.
- Repeated numbers are counted and not judged: a till that was replaced may begin anew in the middle of a day.
- Days are neighbours by their dates, however many holidays lie between; what is more than WINDOW_DAYS away is not looked at.

Names of tables and columns come from contracts; all SQL that is generated for this stands here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from filesync.stores.database import QUERIES
from filesync.stores.tables import listed, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from filesync.contracts import Contract
    from filesync.stores.database import Database

#: How far back the last ticket before a day, and how far around it a number under another date, is looked for.
WINDOW_DAYS: Final = 31
#: Holes that are looked at; more are a till that counts in steps, or numbers that mean something else.
HOLES_MAX: Final = 10_000

Range = tuple[int, int]
_Series = tuple[str, ...]  # origem, then the columns that make a series


@dataclass(frozen=True, slots=True)
class TicketSeries:
    """One series of a site on one day. `inside` and `between` are missing numbers; `before` the last ticket of the latest day before."""

    origem: str
    per: tuple[str, ...]
    first: int
    last: int
    documents: int
    repeated: int
    before: int | None
    inside: tuple[Range, ...]
    between: tuple[Range, ...]

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return sum(last - first + 1 for first, last in (*self.between, *self.inside))


def series_of_day(db: Database, contract: Contract, day: date) -> list[TicketSeries]:
    """Every series that sold something on `day`, by site. [] for a contract without continuity, or where nothing is held."""
    if contract.continuity is None or contract.business_date_column is None:
        return []
    if not db.select(QUERIES["table_columns"], (contract.relations[0].table,)):
        return []
    sql = _Statements(contract)
    earliest = day - timedelta(WINDOW_DAYS)
    with db.snapshot():
        found = db.select(sql.series, (day,))
        before: dict[_Series, tuple[str, int]] = {}
        for *name, when, last in db.select(sql.earlier, (earliest, day)) if found else ():
            before[tuple(name)] = max(before.get(tuple(name), ("", 0)), (str(when), last))
        holes: dict[_Series, list[Range]] = defaultdict(list)
        if any(last - first + 1 > numbers for *_, first, last, numbers, _ in found):
            for *name, first, last in db.select(sql.holes, (day, HOLES_MAX)):
                holes[tuple(name)].append((first, last))
        between: dict[_Series, Range] = {}
        for *name, first, _, _, _ in found:
            series = tuple(name)
            if series in before and before[series][1] + 1 < first:
                between[series] = (before[series][1] + 1, first - 1)
        elsewhere = _elsewhere(db, sql, day, holes, between)
    return [
        TicketSeries(
            name[0], tuple(name[1:]), first, last, documents, documents - numbers,
            before[tuple(name)][1] if tuple(name) in before else None,
            _without(holes.get(tuple(name), ()), elsewhere[tuple(name)]),
            _without([between[tuple(name)]] if tuple(name) in between else (), elsewhere[tuple(name)]),
        )
        for *name, first, last, numbers, documents in found
    ]  # fmt: skip


def _elsewhere(
    db: Database,
    sql: _Statements,
    day: date,
    holes: dict[_Series, list[Range]],
    between: dict[_Series, Range],
) -> dict[_Series, list[int]]:
    """Numbers of these series that are held under another date near `day`, as far as they may be missing."""
    found: dict[_Series, list[int]] = defaultdict(list)
    ranges = [span for spans in holes.values() for span in spans] + list(between.values())
    if not ranges:
        return found
    sites = sorted({series[0] for series in (*holes, *between)})
    window = (day - timedelta(WINDOW_DAYS), day + timedelta(WINDOW_DAYS))
    bounds = (min(first for first, _ in ranges), max(last for _, last in ranges))
    for *name, number in db.select(sql.elsewhere, (*window, day, json.dumps(sites), *bounds)):
        found[tuple(name)].append(number)
    return found


def _without(ranges: Iterable[Range], held: Sequence[int]) -> tuple[Range, ...]:
    """The ranges without the numbers that are held after all."""
    left: list[Range] = []
    for first, last in ranges:
        start = first
        for number in (n for n in held if first <= n <= last):  # in order: the statement says so
            if start < number:
                left.append((start, number - 1))
            start = number + 1
        if start <= last:
            left.append((start, last))
    return tuple(left)


class _Statements:
    """The questions, in the names of a contract with continuity and a business date."""

    def __init__(self, contract: Contract) -> None:
        continuity, day = contract.continuity, contract.business_date_column
        if continuity is None or day is None:
            raise ValueError(f"{contract.name}: expected continuity and a business date")
        table, day, number = (quoted(n) for n in (contract.relations[0].table, day, continuity.number))
        origem, series = quoted(contract.key[0]), listed((contract.key[0], *continuity.per))
        # Each series of the day: first and last number, how many numbers, how many documents.
        self.series = (
            f"SELECT {series}, min({number}), max({number}), count(DISTINCT {number}), count(*) FROM {table} "
            f"WHERE {day} = ? AND {number} IS NOT NULL GROUP BY {series} ORDER BY {series}"
        )
        # The last number of each earlier day.
        self.earlier = (
            f"SELECT {series}, {day}, max({number}) FROM {table} WHERE {day} >= ? AND {day} < ? AND {number} IS NOT NULL "
            f"GROUP BY {series}, {day}"
        )
        # The holes between neighbours of the day.
        self.holes = (
            f"SELECT {series}, fs_before + 1, {number} - 1 FROM (SELECT {series}, {number}, lag({number}) OVER "
            f"(PARTITION BY {series} ORDER BY {number}) AS fs_before FROM {table} WHERE {day} = ?) AS fs_numbers "
            f"WHERE {number} > fs_before + 1 ORDER BY {series}, {number} LIMIT ?"
        )
        # Numbers under another date.
        self.elsewhere = (
            f"SELECT DISTINCT {series}, {number} FROM {table} WHERE {day} BETWEEN ? AND ? AND {day} <> ? "
            f"AND {origem} IN (SELECT value FROM json_each(?)) AND {number} BETWEEN ? AND ? ORDER BY {series}, {number}"
        )
