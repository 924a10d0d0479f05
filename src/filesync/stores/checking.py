"""A store examined from outside: is the file whole, and what do its newest entries tell of clocks and versions. Reads only.

It runs beside a working station: readers of a WAL database wait for nobody and block nobody. `quick_check` reads the whole file once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.protocol.heartbeat import Heartbeat
from filesync.protocol.receipt import Receipt
from filesync.stores import peers
from filesync.stores.database import QUERIES
from filesync.stores.postgres_database import PostgresDatabase
from filesync.stores.sqlite_database import SqliteDatabase

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.stores.database import Database


@dataclass(frozen=True, slots=True)
class LastArrival:
    """The newest batch of a feed that comes here. Times are RFC 3339 text by this site's clock."""

    origin: str
    dataset: str
    version: int
    received_at: str
    applied_at: str


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The newest receipt of a recipient for a dataset. `clock` is the recipient's when it applied; the others are this site's."""

    recipient: str
    dataset: str
    contract: str | None
    software: str
    clock: str
    sealed_at: str
    settled_at: str


@dataclass(frozen=True, slots=True)
class LastHeard:
    """The newest heartbeat of a peer. `clock` is the peer's when it wrote, `received_at` this site's when it read."""

    peer: str
    contracts: tuple[str, ...]
    software: str
    clock: str
    received_at: str


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest entries of a ledger."""

    sealed_at: str | None
    arrivals: tuple[LastArrival, ...]
    answers: tuple[LastAnswer, ...]
    heard: tuple[LastHeard, ...] = ()


def quick_check(path: Path, problems_max: int = 10) -> list[str]:
    """What SQLite finds wrong with the file; empty where it is whole. Raises `ConfigError` where it is no database at all."""
    db = SqliteDatabase(path)
    try:
        found = [str(text) for (text,) in db.select(f"PRAGMA quick_check({problems_max:d})")]
    finally:
        db.close()
    return [] if found == ["ok"] else found


def newest(where: Path | str) -> Newest:
    """The newest entries of the embedded store, or of the one on the server at this address, without reading history."""
    db: Database = PostgresDatabase(where) if isinstance(where, str) else SqliteDatabase(where)
    try:
        with db.snapshot():
            sealed = db.select(QUERIES["doctor_sealed"])
            arrivals = tuple(LastArrival(*row) for row in db.select(QUERIES["doctor_arrived"]))
            answered = db.select(QUERIES["doctor_answered"])
            heartbeats = {
                peer: (Heartbeat.from_signed(one.signed), one.received_at)
                for peer, one in peers.heard(db).items()
            }
    finally:
        db.close()
    answers: dict[tuple[str, str], LastAnswer] = {}
    for recipient, sealed_at, settled_at, text in answered:
        receipt = Receipt.from_signed(json.loads(text))  # the ledger keeps the signed part
        dataset = receipt.batch.split(".", 1)[0]
        answers.setdefault(
            (recipient, dataset),
            LastAnswer(
                recipient,
                dataset,
                receipt.contract,
                receipt.software,
                receipt.clock,
                sealed_at,
                settled_at,
            ),
        )
    heard = tuple(
        LastHeard(peer, beat.contracts, beat.software, beat.clock, at)
        for peer, (beat, at) in heartbeats.items()
    )
    return Newest(sealed[0][0] if sealed else None, arrivals, tuple(answers.values()), heard)
