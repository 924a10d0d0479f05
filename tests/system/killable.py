"""Sites at work in processes of their own, made to be killed: each tells of its steps through a pipe, so that a kill is placed by progress.

A step is an fsync, a rename, or a write to the store; it is told before and after, so that a kill falls into it, too.
Two kinds: `turn_for_ever` in a process of a fork server (starts in milliseconds), and the installed command's own `main`, as
`python killable.py PIPE -C SITE turn`, which starts as it does for a user.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filesync.errors import TransportError
from filesync.exchange.station import Station
from filesync.stores.postgres_database import PostgresDatabase
from filesync.stores.sqlite_database import SqliteDatabase
from filesync.stores.store import Store
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable


def tell_steps(pipe: int) -> None:
    """From now on every step of this process writes a byte before, and one after."""

    def told(do: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            os.write(pipe, b"<")
            result = do(*args, **kwargs)
            os.write(pipe, b">")
            return result

        return step

    for name in ("fsync_file", "fsync_folder", "replace"):
        setattr(durable, name, told(getattr(durable, name)))
    Store._commit = told(Store._commit)  # type: ignore[method-assign]
    for database in (SqliteDatabase, PostgresDatabase):
        database.ingest = told(database.ingest)  # type: ignore[method-assign]


def turn_for_ever(root: str, pipe: Any, trace: str) -> None:
    """A station that turns until it is killed. What it could not bear is written to `trace`; a road that fails is none of that."""
    tell_steps(pipe.fileno())
    try:
        while True:
            with suppress(TransportError), Station.open(Path(root)) as station:
                while True:
                    with suppress(TransportError):
                        station.turn()
    except BaseException:
        with Path(trace).open("a", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        raise


if __name__ == "__main__":
    from filesync.cli import main

    tell_steps(int(sys.argv.pop(1)))
    main()
