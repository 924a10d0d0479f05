"""A store of schema version 1, as commit 8ea290c made it: its schema, and what a till and a matriz held. And the shape of any embedded store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from filesync.stores.sqlite_database import SqliteDatabase

HERE = Path(__file__).parent
#: The rows that are checked in, by site.
SITES = {"caixa-01": "rows_v1_caixa.sql", "matriz": "rows_v1_matriz.sql"}

Rows = dict[str, list[dict[str, Any]]]


def make_v1(path: Path, site: str | None = None) -> None:
    """A store of version 1: with the rows of `site`, or empty, with all data tables that there were."""
    db = SqliteDatabase(path)
    rows = [] if site is None else (HERE / SITES[site]).read_text("utf-8").splitlines()[1:]
    used = {line.split('"')[1] for line in rows}
    db.begin()
    for statement in _statements((HERE / "schema_v1.sql").read_text("utf-8")):
        found = re.match(r'CREATE TABLE "(\w+)"', statement)  # a data table
        if site is None or found is None or found[1] in used:
            db.run(statement)
    for line in rows:
        db.run(line.removesuffix(";"))
    db.commit()
    db.close()


def rows_of(path: Path) -> Rows:
    """Every row of every table."""
    db = SqliteDatabase(path)
    try:
        return {
            name: db.select_table(f'SELECT * FROM "{name}" ORDER BY 1, 2').to_pylist() for name in _tables(db)
        }
    finally:
        db.close()


def shape(path: Path) -> dict[str, Any]:
    """Tables, columns, keys, references, indexes and constraints, as SQLite itself tells them and as they were written."""
    db = SqliteDatabase(path)
    try:
        return {name: _table(db, name) for name in _tables(db)} | {
            "": db.select(
                "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') ORDER BY 2"
            )
        }
    finally:
        db.close()


def _tables(db: SqliteDatabase) -> list[str]:
    found = db.select(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    return [name for (name,) in found]


def _table(db: SqliteDatabase, name: str) -> dict[str, Any]:
    columns = 'SELECT cid, name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)'
    references = """SELECT "table", "from", coalesce("to", ''), on_update, on_delete FROM pragma_foreign_key_list(?1)"""
    indexes = 'SELECT name, "unique", origin, partial FROM pragma_index_list(?1) ORDER BY name'
    return {
        "columns": db.select(columns, (name,)),
        "kind": db.select("SELECT type, ncol, wr, strict FROM pragma_table_list WHERE name = ?1", (name,)),
        "references": sorted(db.select(references, (name,))),
        "indexes": [(*index, *_index(db, index[0])) for index in db.select(indexes, (name,))],
        "written": _parts(db.select("SELECT sql FROM sqlite_master WHERE name = ?1", (name,))[0][0]),
    }


def _index(db: SqliteDatabase, name: str) -> tuple[object, ...]:
    written = db.select(
        "SELECT coalesce(sql, '') FROM sqlite_master WHERE type = 'index' AND name = ?1", (name,)
    )
    columns = 'SELECT seqno, cid, name, "desc", coll, key FROM pragma_index_xinfo(?1)'
    return _plain(written[0][0]) if written else "", db.select(columns, (name,))


def _parts(statement: str) -> list[str]:
    """What stands between the brackets of CREATE TABLE, sorted: columns that were added later stand behind the table's own constraints."""
    text = _plain(statement)
    head, _, rest = text.partition("(")
    body, _, tail = rest.rpartition(")")
    parts, depth, start = [], 0, 0
    for place, char in enumerate(body):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not depth:
            parts.append(body[start:place].strip())
            start = place + 1
    return [head.strip(), tail.strip(), *sorted([*parts, body[start:].strip()])]


def _plain(statement: str) -> str:
    """Without comments, quotes around names, and line breaks."""
    bare = re.sub(r"--[^\n]*", "", statement).replace('"', "")
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", bare)).strip()


def _statements(text: str) -> list[str]:
    bare = "\n".join(line.split(" --")[0] for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in bare.split(";") if statement.strip()]


def make_old(path: Path) -> None:
    """The same store as version 1 would have held it: what that version knew of it, in its form. For stores whose past it could have had."""
    new = path.with_name("as-it-was.db")
    path.rename(new)
    db = SqliteDatabase(path)
    try:
        db.select("PRAGMA foreign_keys = OFF")  # rows come table by table
        db.run("ATTACH DATABASE ?1 AS later", (str(new),))
        db.begin()
        held = {name for (name,) in db.select("SELECT name FROM later.sqlite_master WHERE type = 'table'")}
        for statement in _statements((HERE / "schema_v1.sql").read_text("utf-8")):
            found = re.match(r'CREATE TABLE "?(\w+)"?', statement)
            if found is None or found[1] in held:
                db.run(statement)
        for name in _tables(db):
            columns = ", ".join(
                f'"{column}"' for (column,) in db.select("SELECT name FROM pragma_table_info(?1)", (name,))
            )
            db.run(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM later."{name}"')
        db.run("UPDATE fs_meta SET value = '1' WHERE key = 'schema_version'")
        db.run(
            "UPDATE fs_peer SET heartbeat = json_set(json_remove(heartbeat, '$.wanted'), '$.feeds', json((SELECT json_group_array("
            "json_remove(feed.value, '$.shipped')) FROM json_each(fs_peer.heartbeat, '$.feeds') AS feed)))"
        )
        db.commit()
    finally:
        db.close()
    for left in new.parent.glob(f"{new.name}*"):
        left.unlink()
