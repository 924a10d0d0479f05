"""Reconciliations: what was found for each day, what it saw, and whether that still holds.

- Matching reads one state of the data; only writing the result keeps other writers out. What came meanwhile makes the result stale, since
  it says which batch it saw last.
- A day has one result, replaced as a whole. Made again from the same rows it is left alone.
- Whether a result holds is derived from rows and ledger each time it is asked: there is no flag to forget.

What is not here: how sales and files are matched (matching.py), and which day may be reconciled (day/).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from filesync.stores.database import QUERIES
from filesync.stores.matching import DATASETS, Matching, count_days, count_rows, has_tables
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
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager

    from filesync.stores.database import Database

#: Rows of a dataset on a day: how many, and the newest batch that brought one.
Counted = Callable[[str, date], tuple[int, int]]
#: Lines read at a time.
PAGE_LINES: Final = 8_192


class Reconciling:
    """A part of the store (`Store.reconciling`). `write` opens a transaction, or joins the one that is open."""

    def __init__(self, db: Database, write: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._write = write

    # ------------------------------------------------------------------------------------------------ making

    def reconcile(self, day: date, made_at: str, *, unbilled: Collection[str] = ()) -> Reconciliation:
        """Match the day afresh and keep the result in place of an earlier one; where that still holds it stays, untouched.

        `unbilled`: services that Correios does not bill; their postings are not missed in a file.
        """
        skipped = tuple(sorted(set(unbilled)))
        held = self.find(day)
        if held is not None and not held.changed and held.unbilled == skipped:
            return held
        matching = Matching(self._db, day)
        try:
            with self._db.snapshot():
                made = self._look(day, made_at, skipped)
                matching.match([kind for kind in Kind if made.rows(kind) is not None])
            with self._write():
                self._replace(made, matching)
        finally:
            matching.drop()
        return made

    def _look(self, day: date, made_at: str, unbilled: tuple[str, ...]) -> Reconciliation:
        """What there is to reconcile."""
        newest: int = self._db.select(QUERIES["last_batch_id"])[0][0]
        rows = {kind: self._count(kind.value, day)[0] if self._imported(kind, day) else None for kind in Kind}
        sales, _ = self._count("vendas", day)
        return Reconciliation(day, made_at, newest, sales, rows[Kind.BDF], rows[Kind.CA], unbilled)

    def _replace(self, made: Reconciliation, matching: Matching) -> None:
        day = made.day.isoformat()
        self._db.lock(f"reconciliation {day}")
        self._db.run(QUERIES["reconcile_forget_lines"], (day,))
        self._db.run(QUERIES["reconcile_forget_totals"], (day,))
        self._db.run(QUERIES["reconcile_forget"], (day,))
        matching.write({kind: made.rows(kind) is not None for kind in Kind}, made.unbilled)
        seen = (made.batch_id, made.sales, made.bdf_rows, made.ca_rows, json.dumps(made.unbilled))
        # At the commit of this row the day is reconciled.
        self._db.run(QUERIES["reconcile_write"], (day, made.made_at, *seen))

    # ------------------------------------------------------------------------------------------------ whether it holds

    def _imported(self, kind: Kind, day: date) -> bool:
        found = self._db.select(QUERIES["reconcile_imported"], (kind.value, day.isoformat()))
        return bool(found[0][0]) and has_tables(self._db, (kind.value,))

    def _count(self, dataset: str, day: date) -> tuple[int, int]:
        return count_rows(self._db, dataset, day)

    def _newer(self, batch_id: int) -> bool:
        """Whether anything that is reconciled was applied after this batch."""
        return bool(self._db.select(QUERIES["reconciliation_newer"], (batch_id,))[0][0])

    def _held(self, first: date, last: date) -> list[Reconciliation]:
        """What the reconciliations of the days between two saw, in the order of the days; not whether they hold."""
        return [
            Reconciliation(
                date.fromisoformat(day),
                made_at,
                batch_id,
                sales,
                bdf_rows,
                ca_rows,
                tuple(json.loads(unbilled)),
            )
            for day, made_at, batch_id, sales, bdf_rows, ca_rows, unbilled in self._db.select(
                QUERIES["reconciliations"], (first.isoformat(), last.isoformat())
            )
        ]

    def _changed(self, held: Reconciliation, count: Counted) -> tuple[str, ...]:
        """Which inputs are no longer what was seen: a row is newer than the reconciliation, or one that it saw is gone.

        Rows change only by batches, and a batch's id is higher than all before it: an equal number of rows, none newer, are the same rows.
        `count`: how many rows a dataset has of a day, and the newest batch that brought one.
        """
        if not self._newer(held.batch_id):
            return ()
        changed = []
        for dataset, seen in (("vendas", held.sales), ("bdf", held.bdf_rows), ("ca", held.ca_rows)):
            if dataset != "vendas" and not self._imported(Kind(dataset), held.day):
                continue  # it was not, either: nothing takes an import back
            number, newest = count(dataset, held.day)
            if number != seen or newest > held.batch_id:
                changed.append(dataset)
        return tuple(changed)

    # ------------------------------------------------------------------------------------------------ telling

    def find(self, day: date) -> Reconciliation | None:
        """The day's reconciliation, with what changed since; None where there is none."""
        with self._db.snapshot():
            for held in self._held(day, day):
                return replace(held, changed=self._changed(held, self._count))
        return None

    def days(self, first: date, last: date) -> dict[date, dict[Colour, int]]:
        """How many lines of each colour the reconciled days between two have; a day without any has none. Says nothing of staleness."""
        span = (first.isoformat(), last.isoformat())
        with self._db.snapshot():
            found: dict[date, dict[Colour, int]] = {held.day: {} for held in self._held(first, last)}
            for day, colour, lines in self._db.select(QUERIES["reconciled_colours"], span):
                found[date.fromisoformat(day)][Colour(colour)] = lines
        return found

    def stale_days(self, first: date, last: date) -> dict[date, tuple[str, ...]]:
        """The reconciled days between two that no longer hold, and which inputs changed. The rows are gone through once, however many days."""
        with self._db.snapshot():
            held = self._held(first, last)
            if not held or not self._newer(min(one.batch_id for one in held)):
                return {}
            span = (held[0].day, held[-1].day)
            counts = {dataset: count_days(self._db, dataset, *span) for dataset in DATASETS}

            def counted(dataset: str, day: date) -> tuple[int, int]:
                return counts[dataset].get(day.isoformat(), (0, 0))

            stale = {one.day: self._changed(one, counted) for one in held}
        return {day: changed for day, changed in stale.items() if changed}

    def totals(self, day: date) -> list[Total]:
        """The day's lines added up by every dimension."""
        return [
            Total(Dimension(dimension), value, Colour(colour), *numbers)
            for dimension, value, colour, *numbers in self._db.select(
                QUERIES["reconciled_totals"], (day.isoformat(),)
            )
        ]

    def lines(self, day: date, colours: Collection[Colour] = tuple(Colour)) -> Iterator[Line]:
        """The day's lines of these colours, red first, site by site. Each page is read as it stands when its turn comes."""
        for colour in Colour:
            if colour not in colours:
                continue
            after: tuple[str, int] = ("", 0)
            while True:
                page = self._db.select(
                    QUERIES["reconciled_page"], (day.isoformat(), colour.value, *after, PAGE_LINES)
                )
                for row in page:
                    yield _line(colour, row)
                if len(page) < PAGE_LINES:
                    break
                after = (page[-1][0], page[-1][1])


def _line(colour: Colour, row: tuple[Any, ...]) -> Line:
    site, number, ticket, venda_id, posting, code, servico, contrato, sub_caixa, atendimento, forma, valor = (
        row[:12]
    )
    return Line(
        colour, number, site or None, ticket, venda_id, posting, code, servico, contrato, sub_caixa, atendimento, forma or None, valor,
        _found(row[12:18]), _found(row[18:]),
    )  # fmt: skip


def _found(row: tuple[Any, ...]) -> Found | None:
    state, how, differs, name, quantidade, centavos = row
    if state is None:
        return None
    return Found(
        State(state),
        None if how is None else How(how),
        tuple(Difference(word) for word in (differs or "").split(",") if word),
        name,
        quantidade,
        centavos,
    )
