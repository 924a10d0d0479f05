"""Matching: what was sold on a day against what is billed for it, set-based, inside the database.

- Postings of sales that stand × rows of the BDF, and × rows of the C.A. Each file is matched by itself, in passes; what a pass finds is not
  looked for again: by tracking code and value, by code, then rows without a code by attendance (service and value, service, any), and at
  last by service, contract and value. In each pass the n-th posting of a key gets the n-th row of that key, so that every row and every
  posting is used once. A row of several objects takes several postings.
- Two tracking codes that differ are two objects: no weaker key pairs them.
- A negative row takes back a positive one before anything is matched; both stand alone then, and so does what nobody sold.
- Everything happens in temporary tables, on disk: a day of any size needs little memory, and other writers are not kept out.

The steps are in matching.sql. What is not here: what a result saw and whether it still holds (reconciling.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from filesync.stores.database import QUERIES, named_statements
from filesync.stores.reconciled import Dimension, How, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

    from filesync.stores.database import Database

STEPS: Final = named_statements("matching.sql")
#: The passes over what the first one (equal code and value) leaves, in their order, with what they find by.
PASSES: Final = (
    ("code", How.CODE),
    ("exact", How.ATTENDANCE),
    ("service", How.ATTENDANCE),
    ("attendance", How.ATTENDANCE),
    ("weak", How.WEAK),
)
#: What is reconciled.
DATASETS: Final = ("vendas", "bdf", "ca")
_SALES: Final = ("vendas", "vendas_pagamentos", "vendas_postagens")
_OF_A_FILE: Final = ("reversed", "left", "over", "place")
_OF_THE_DAY: Final = ("sold", "cancelled", "billed", "found", "alone")
_REVERSALS: Final = (
    "find_reversed",
    "keep_reversed",
    "take_out_reversed",
    "keep_reversals",
    "take_out_reversals",
)


class Matching:
    """One matching of one day. Temporary tables are the connection's: one at a time, and `drop` at the end."""

    def __init__(self, db: Database, day: date) -> None:
        self._db = db
        self._day = day

    def match(self, kinds: Collection[Kind]) -> None:
        """Take the day's sales and the rows of these files, and find for each what belongs to it."""
        self._make(_OF_THE_DAY)
        if has_tables(self._db, _SALES):
            self._step("take_sold", self._day)
            self._step("take_cancelled", self._day)
            self._db.measure("fs_sold")
        for kind in kinds:
            self._make(_OF_A_FILE)
            self._step(f"take_{kind.value}", self._day)
            self._db.measure("fs_billed")
            for step in _REVERSALS:
                self._step(step, kind.value)
            self._step("left", kind.value)
            self._step("over", kind.value)
            for table in ("fs_left", "fs_over"):
                self._db.measure(table)
            for name, how in PASSES:
                self._pass(name, how)
            self._step("found", kind.value)
            self._step("keep_unsold", kind.value)
            self._db.measure("fs_found")

    def write(self, imported: Mapping[Kind, bool], unbilled: Collection[str]) -> None:
        """Append the day's lines and totals to the tables of results, in the open transaction."""
        day = self._day.isoformat()
        flags = (int(imported[Kind.BDF]), int(imported[Kind.CA]))
        self._step("write_sold", day, *flags, json.dumps(list(unbilled)))
        self._step("write_alone", day)
        self._make(["sum"])
        self._step("add_up", day)
        self._db.run_each(STEPS["write_totals"], [(day, dimension.value) for dimension in Dimension])

    def drop(self) -> None:
        """Remove everything that was made for the matching."""
        for table in (*_OF_THE_DAY, *_OF_A_FILE, "sum"):
            self._drop(table)

    def _pass(self, name: str, how: How) -> None:
        postings, coded, loose = self._db.select(STEPS["open"])[0]
        if postings and (coded if how is How.CODE else loose):
            self._db.run(STEPS["forget_places"])
            self._step("places", name)
            self._db.measure("fs_place")
            self._step("pair", name, how.value)

    def _step(self, name: str, *parameters: object) -> None:
        self._db.run(STEPS[name], parameters)

    def _make(self, tables: Iterable[str]) -> None:
        for table in tables:
            self._drop(table)
            self._db.run(STEPS[f"make_{table}"])

    def _drop(self, table: str) -> None:
        self._db.run(f"DROP TABLE IF EXISTS temp.fs_{table}")


def has_tables(db: Database, tables: Iterable[str]) -> bool:
    """Whether these data tables are there: a store has them from the first batch of their kind."""
    return all(db.select(QUERIES["table_columns"], (table,)) for table in tables)


def count_rows(db: Database, dataset: str, day: date) -> tuple[int, int]:
    """How many rows `vendas`, `bdf` or `ca` has of a day, and the newest batch that brought one of them."""
    if not has_tables(db, (dataset,)):
        return 0, 0
    count, newest = db.select(STEPS[f"count_{dataset}"], (day,))[0]
    return count, newest


def count_days(db: Database, dataset: str, first: date, last: date) -> dict[str, tuple[int, int]]:
    """The same of every day between two, in one go through the rows."""
    if not has_tables(db, (dataset,)):
        return {}
    return {
        str(day): (count, newest)
        for day, count, newest in db.select(STEPS[f"count_days_{dataset}"], (first, last))
    }
