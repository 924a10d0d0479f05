"""A server that keeps a store, examined from outside: what it is, who may write, how its clock goes. Reads only.

What is not here: the store in it (store.py, checking.py), and what any of this means (doctor/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filesync.stores.database import named_statements
from filesync.stores.postgres_database import PostgresDatabase

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_ASKED: Final = named_statements("server_state.sql")


@dataclass(frozen=True, slots=True)
class ServerState:
    """`writers`: who else may write into the ledger. `near`: it is this computer, as far as the connection says."""

    version: str
    standby: bool
    account: str
    schema: str
    size_bytes: int
    may_create: bool
    encrypted: bool
    near: bool
    unsafe: tuple[str, ...]
    unwritable: tuple[str, ...]
    not_owned: tuple[str, ...]
    writers: tuple[str, ...]
    clock_ahead_s: float  # of this computer's; negative: behind
    round_trip_s: float


def examine_server(address: str, clock: Callable[[], datetime]) -> ServerState:
    """Connect and look. Raises what opening a store there would raise."""
    db = PostgresDatabase(address)
    try:
        itself = db.select(_ASKED["server_itself"])[0]
        unsafe, unwritable, not_owned, writers = (
            tuple(str(name) for (name,) in db.select(_ASKED[question]))
            for question in ("server_unsafe", "server_unwritable", "server_not_owned", "server_writers")
        )
        asked = clock()
        there = float(db.select(_ASKED["server_clock"])[0][0])
        answered = clock()
        took = (answered - asked).total_seconds()
        version, standby, account, schema, size_bytes, may_create, encrypted, near = itself
        return ServerState(
            version, standby, account, schema, size_bytes, may_create, encrypted, near,
            unsafe, unwritable, not_owned, writers, there - (asked.timestamp() + took / 2), took,
        )  # fmt: skip
    finally:
        db.close()
