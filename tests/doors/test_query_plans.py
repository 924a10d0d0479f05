"""What a statement costs: each finds its rows by an index, so that a turn and a gate cost the same with a million batches behind them.

SQLite is asked (EXPLAIN QUERY PLAN), on stores without statistics: the planner then goes by the statement and the indexes alone. Two sets
are asked: every fixed statement, and whatever a whole day's turns and gates really say, generated statements included.
"""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import adbc_driver_sqlite.dbapi as adbc_sqlite
import pytest
from network import DAY
from shopdays import open_shop
from store_samples import MATRIZ

from filesync.day import runners  # noqa: F401 -- the steps of a day run inside a turn of the daemon
from filesync.day.report import stale_among
from filesync.day.routine import run_due
from filesync.stores.database import QUERIES
from filesync.stores.sqlite import SqliteStore
from filesync.stores.sqlite_database import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from network import Network


class Few(Enum):
    """Why a statement may go through a whole table."""

    SITES = "a few rows for each peer, feed and installation, however much they sent"
    PERSONS = "what persons decided; they are slow"
    NOW = "what is open or missing at the moment"
    DAYS = "one row for each day"
    NEWEST = "stops after the newest rows"  # the statement must hold a LIMIT


#: Tables that hold a few rows whatever the history.
SMALL: Final = {
    "fs_meta": Few.SITES,
    "fs_feed": Few.SITES,
    "fs_peer": Few.SITES,
    "fs_told": Few.SITES,
    "fs_memory": Few.SITES,
    "fs_hole": Few.NOW,
    "fs_void": Few.PERSONS,
    "fs_day_seen": Few.DAYS,
}
#: Indexes of only those rows that are still to be dealt with. To go through one of them costs what is open.
OPEN: Final = {
    "fs_incoming_unacknowledged",
    "fs_refused_unacknowledged",
    "fs_incoming_rejected",
    "fs_outgoing_open",
    "fs_delivery_open",
    "fs_delivery_rejected",
    "fs_void_told_open",
    "fs_given_up_open",
}
#: Statements that go through another table all the same: which, and why that is no harm.
EXCEPTIONS: Final = {
    "doctor_sealed": ("fs_outgoing", Few.NEWEST),
    "problems": ("fs_problem", Few.NEWEST),
}
#: SQLite's own tables. (Lists that are parameters are virtual tables: json_each.)
GIVEN: Final = {"sqlite_master", "CONSTANT"}

_scan = re.compile(r"SCAN (?:temp\.)?(\w+)(?! VIRTUAL TABLE)\b(?: USING (?:COVERING )?INDEX (\w+))?").match


@dataclass(frozen=True)
class Scan:
    """A whole table, or a whole index, that a plan goes through."""

    table: str
    index: str | None


def scans(cursor: Any, statement: str) -> list[Scan]:
    bound = re.sub(r"\?\d*", "NULL", statement)
    plan = [str(row[3]) for row in cursor.execute(f"EXPLAIN QUERY PLAN {bound}").fetchall()]
    found = [(step[1], step[2]) for line in plan if (step := _scan(line))]
    return [
        Scan(_behind(name, statement), index) for name, index in found if not _is_derived(name, statement)
    ]


def _behind(name: str, statement: str) -> str:
    """The table that a plan calls by the statement's name for it."""
    given = re.search(rf'\b(?:FROM|JOIN|UPDATE)\s+"?(\w+)"?\s+(?:AS\s+)?{name}\b', statement)
    return given[1] if given else name


def _is_derived(name: str, statement: str) -> bool:
    """Whether it is the result of a query in brackets, whose own tables stand in the plan too."""
    return re.search(rf"\)\s+(?:AS\s+)?{name}\b", statement) is not None


def whole(cursor: Any, statement: str) -> list[Scan]:
    """The scans of a statement that history would slow."""
    return [
        scan
        for scan in scans(cursor, statement)
        if scan.table not in GIVEN and scan.table not in SMALL and scan.index not in OPEN
    ]


@contextmanager
def beside(path: Path) -> Iterator[Any]:
    """A connection beside the store's own."""
    with closing(adbc_sqlite.connect(str(path), autocommit=True)) as db, db.cursor() as cursor:
        yield cursor


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "filesync.db"
    SqliteStore.create(path, MATRIZ).close()
    with beside(path) as cursor:
        yield cursor


def test_every_fixed_statement_finds_its_rows_by_an_index(asked: Any) -> None:
    found = {title: {scan.table for scan in whole(asked, statement)} for title, statement in QUERIES.items()}
    expected = {title: {table} for title, (table, _) in EXCEPTIONS.items()}
    assert {title: tables for title, tables in found.items() if tables} == expected


def test_what_stops_after_the_newest_rows_says_so() -> None:
    newest = [title for title, (_, why) in EXCEPTIONS.items() if why is Few.NEWEST]
    assert newest
    assert all(re.search(r"\bLIMIT\b", QUERIES[title]) for title in newest)


def test_small_tables_and_open_indexes_are_what_they_are_called(asked: Any) -> None:
    """An index that covers all rows would let every scan of it pass."""
    made = dict(
        asked.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
    )
    tables = {
        row[0] for row in asked.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    }
    assert made.keys() >= OPEN
    assert all(" WHERE " in made[name] for name in OPEN)
    assert SMALL.keys() <= tables
    assert {"fs_incoming", "fs_outgoing", "fs_delivery", "fs_refused", "fs_problem"} <= tables - SMALL.keys()


def test_a_scan_would_be_seen(asked: Any) -> None:
    """The test of the test."""
    assert whole(asked, "SELECT name FROM fs_incoming i WHERE verdict = 'APPLIED'") == [
        Scan("fs_incoming", None)
    ]
    assert [scan.table for scan in whole(asked, "SELECT count(*) FROM fs_incoming AS i")] == ["fs_incoming"]
    assert whole(asked, "SELECT name FROM fs_incoming WHERE batch_id > ?1") == []
    assert whole(asked, "SELECT counter FROM fs_told t") == []


# ---------------------------------------------------------------------------------------------------- what is really said


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[Path, dict[str, None]]:
    """Every statement that a store is asked, by its file."""
    statements: dict[Path, dict[str, None]] = defaultdict(dict)
    use = SqliteDatabase._use

    def heard(self: SqliteDatabase, statement: str, how: Any) -> Any:
        statements[self.path][statement] = None
        return use(self, statement, how)

    monkeypatch.setattr(SqliteDatabase, "_use", heard)
    return statements


def test_whatever_a_days_turns_and_gates_say_finds_its_rows_by_an_index(
    network: Network, said: dict[Path, dict[str, None]]
) -> None:
    """Two sites sell, close and send; the matriz applies, judges, opens its gates; then everybody turns with nothing to do."""
    shop = open_shop(network)
    for site in ("caixa-01", "posto-centro"):
        shop.sell(site)
        shop.close(site)
    shop.turn()
    matriz = shop["matriz"]
    for step in matriz.context.settings.steps:
        shop.decide(step)
    run_due(matriz, shop.clock())
    shop.sara()
    shop.export_portal()
    shop.turn()
    run_due(matriz, shop.clock())
    stale_among(matriz.context, {DAY})
    assert len(said[network.root / "matriz" / "filesync.db"]) > 60
    excepted = {QUERIES[title] for title in EXCEPTIONS}
    found = {}
    for path, statements in said.items():
        with beside(path) as cursor:
            for statement in statements.keys() - excepted:
                if _asks(statement) and (tables := {scan.table for scan in whole(cursor, statement)}):
                    found[statement] = tables

    assert {statement: tables for statement, tables in found.items() if not tables <= OF_THE_DAY} == {}


#: Steps of a day (export_portal, conciliar) read the sales of that day. Measured: an index on the day doubles the time of an import.
OF_THE_DAY: Final = {"vendas"}


def _asks(statement: str) -> bool:
    """Whether it reads or changes rows of tables that last."""
    return bool(re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", statement)) and "temp." not in statement
