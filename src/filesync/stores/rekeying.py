"""Another primary key for a data table in SQLite, which cannot change one: the table is made anew, filled, and takes the old one's name.

Only for steps of migrating.py, in an open transaction with foreign keys off: a contract that was released never changes its key
(tables.py refuses it as `key-changed`). A table that is not there, or whose key is another one (a site's own contract), stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.stores.database import QUERIES, named_statements
from filesync.stores.tables import listed, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.stores.database import Database

_SAID = named_statements("migrating.sql")


def rekey(db: Database, table: str, before: Sequence[str], after: Sequence[str]) -> None:
    """Give `table` the key `after` instead of `before`. Its columns and rows stay; columns of the key come first, as in a new table."""
    found = db.select(_SAID["table_text"], (table,))
    held = [name for name, _ in db.select(QUERIES["table_columns"], (table,))]
    # As tables.py writes it.
    was = f"PRIMARY KEY ({listed(before)})"
    if not found or was not in found[0][0] or not set(after) <= set(held):
        return
    _, _, rest = found[0][0].partition("(")
    body, _, options = rest.rpartition(")")
    declared = {part.split()[0].strip('"'): part for part in _parts(body) if part != was}
    columns = [*after, *(name for name in declared if name not in after)]
    working = f"{table}_rekeyed"
    db.run(
        f"CREATE TABLE {quoted(working)} ({', '.join(declared[name] for name in columns)}, PRIMARY KEY ({listed(after)})){options}"
    )
    names = listed(columns)
    db.run(
        f"INSERT INTO {quoted(working)} ({names}) SELECT {names} FROM {quoted(table)} ORDER BY {listed(after)}"
    )
    db.run(f"DROP TABLE {quoted(table)}")
    db.run(f"ALTER TABLE {quoted(working)} RENAME TO {quoted(table)}")


def _parts(body: str) -> list[str]:
    """The columns and constraints between the brackets of CREATE TABLE. Names of a contract hold neither brackets nor commas."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(body):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not depth:
            parts.append(body[start:place].strip())
            start = place + 1
    return [*parts, body[start:].strip()]
