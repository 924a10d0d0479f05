"""A copy of the embedded store, made by SQLite itself, before something changes it that cannot be taken back.

- `filesync.db.before-v1-to-v2` beside the database: a whole database, without a log beside it. Whoever wants to go back puts it in the
  place of `filesync.db` (and removes `-wal` and `-shm`).
- Nothing is ever overwritten: where that name is taken, the copy is `….2`, `….3`.
- It appears whole: SQLite writes it under a working name and syncs nothing (sqlite.org/lang_vacuum.html), so it is synced here, then renamed.

What is not here: when a copy is made (migrating.py); a server's database, which only its keeper can save.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

from filesync.stores.database import named_statements
from filesync.writers import durable

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.stores.sqlite_database import SqliteDatabase

_SAID = named_statements("migrating.sql")


def back_up(db: SqliteDatabase, before: int, after: int) -> Path:
    """Copy the database, outside any transaction; where the copy lies. Nobody else may be doing the same at this time (the site's lock)."""
    folder = db.path.parent
    target = _free(db.path.with_name(f"{db.path.name}.before-v{before}-to-v{after}"))
    working = target.with_name(f"{target.name}.partial")
    working.unlink(missing_ok=True)  # what a crash left
    try:
        db.run(_SAID["copy_into"], (str(working),))
        with working.open("rb+") as file:  # Windows syncs only what is open for writing
            if os.name != "nt":
                os.fchmod(file.fileno(), db.path.stat().st_mode & 0o777)
            durable.fsync_file(file.fileno())
        durable.replace(working, target)
    except BaseException:
        with suppress(OSError):
            working.unlink(missing_ok=True)
        raise
    durable.fsync_folder(folder)
    return target


def _free(path: Path) -> Path:
    """The path, or where something lies there already, the next with a number."""
    if not os.path.lexists(path):
        return path
    return next(other for n in count(2) if not os.path.lexists(other := path.with_name(f"{path.name}.{n}")))
