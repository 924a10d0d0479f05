"""Bringing an older store forward, step by step, to the schema of this program. Never back: the way back is a backup.

- A step leads from one version to the next. What it does and its new version number are one transaction, so a step that was interrupted
  never happened, and the next call goes on from where the database stands.
- The embedded store is copied first (backing_up.py): once, before the first step that is still to do.
- On a server nobody else writes during a step: whoever writes reads the version first (`Store.transaction`), and waits, or is refused.
- Two that bring the same store forward do not harm each other: each looks again, inside its transaction, where the store stands.

A change of schema*.sql that was released before needs a step here: STEPS, and its statements in migrations/. A test compares what the steps
lead to with a store that is made anew. What is not here: data tables that grow by columns (tables.py), who may do it when (exchange/).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from filesync.errors import ConfigError
from filesync.protocol.identity import Role
from filesync.stores import schema_version
from filesync.stores.backing_up import back_up
from filesync.stores.database import QUERIES, named_statements
from filesync.stores.postgres_connection import shown
from filesync.stores.postgres_database import PostgresDatabase
from filesync.stores.rekeying import rekey
from filesync.stores.sqlite_database import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from filesync.stores.database import Database

_SAID: Final = named_statements("migrating.sql")


@dataclass(frozen=True, slots=True)
class Step:
    """The way to version `to` from the one before: statements for each database, then, where they cannot say it all, `more`.

    None where no such database was ever of the version before.
    """

    to: int
    sqlite: tuple[str, ...] | None
    postgres: tuple[str, ...] | None
    more: Callable[[Database], None] = lambda _: None


def _written(file: str) -> tuple[str, ...]:
    """The statements of a file in migrations/."""
    text = resources.files("filesync.stores").joinpath("migrations", file).read_text(encoding="utf-8")
    bare = "\n".join(line.split(" --")[0] for line in text.splitlines() if not line.startswith("--"))
    return tuple(statement.strip() for statement in bare.split(";") if statement.strip())


def _products(db: Database) -> None:
    """A product has several rows in time: the day from which a row holds is part of its key."""
    rekey(db, "produtos", ("origem", "codigo"), ("origem", "codigo", "vigencia_inicio"))


#: In order, without a gap, up to SCHEMA_VERSION.
STEPS: Final[list[Step]] = [Step(2, _written("v2.sql"), None, _products)]


@dataclass(frozen=True, slots=True)
class Held:
    """What a store says of itself, of whatever version it is: `fs_meta` never changes its form."""

    version: int
    site: str
    role: Role

    @property
    def current(self) -> bool:
        """Whether it is of this program's version."""
        return self.version == schema_version.SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Migration:
    """What was done: from which version to which. `backup`: where the copy of an embedded store lies; None where nothing was to be done."""

    store: str
    before: int
    after: int
    backup: Path | None = None

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.before != self.after


def held_by_file(path: Path) -> Held:
    """What an embedded store is. Raises `ConfigError` where there is none."""
    if not path.is_file():
        raise ConfigError(
            "store-missing",
            f"{path}: expected the site's store, got nothing; make a site with `filesync init`",
        )
    db = SqliteDatabase(path)
    try:
        return _held(db, str(path))
    finally:
        db.close()


def held_by_server(address: str) -> Held:
    """What a store on a server is. Raises `ConfigError` where there is none."""
    db = PostgresDatabase(address)
    try:
        return _held(db, shown(address))
    finally:
        db.close()


def migrate_file(path: Path) -> Migration:
    """Bring an embedded store forward; a newer one is refused. Whoever calls holds the site's lock: nobody else works in its folder."""
    db = SqliteDatabase(path)
    try:
        before = _held(db, str(path)).version
        steps = _steps_from(before, str(path))
        if not steps:
            return Migration(str(path), before, before)
        backup = back_up(db, before, steps[-1].to)
        # Tables are made anew under the eyes of those that refer to them; it has no effect inside a transaction. Closed afterwards.
        db.select("PRAGMA foreign_keys = OFF")
        for step in steps:
            _take(db, step, step.sqlite, _references_hold)
        return Migration(str(path), before, steps[-1].to, backup)
    finally:
        db.close()


def migrate_server(address: str) -> Migration:
    """Bring a store on a server forward; a newer one is refused. Its backup is its keeper's."""
    db = PostgresDatabase(address)
    try:
        name = shown(address)
        before = _held(db, name).version
        steps = _steps_from(before, name)
        for step in steps:
            _take(db, step, step.postgres, lambda _: None, lock=_SAID["nobody_else"])
        return Migration(name, before, steps[-1].to if steps else before)
    finally:
        db.close()


def _held(db: Database, name: str) -> Held:
    if not db.select(QUERIES["has_ledger"])[0][0]:
        raise ConfigError(
            "store-missing", f"{name}: expected the site's store, got a database without a ledger"
        )
    meta = dict(db.select(QUERIES["read_meta"]))
    return Held(int(meta["schema_version"]), meta["site"], Role(meta["role"]))


def _steps_from(held: int, name: str) -> list[Step]:
    if held > schema_version.SCHEMA_VERSION:
        schema_version.check(name, held)
    return [step for step in STEPS if step.to > held]


def _take(
    db: Database,
    step: Step,
    statements: tuple[str, ...] | None,
    check: Callable[[Database], None],
    *,
    lock: str | None = None,
) -> None:
    if statements is None:
        raise RuntimeError(f"no filesync made a store of version {step.to - 1} in such a database")
    db.begin()
    try:
        if lock is not None:
            db.run(lock)
        if db.select(schema_version.HELD)[0][0] >= step.to:  # somebody else was faster
            db.rollback()
            return
        for statement in statements:
            db.run(statement)
        step.more(db)
        check(db)
        db.run(_SAID["reached_version"], (step.to,))
        # At that instant the store is of the new version, whole.
        db.commit()
    except BaseException:
        db.rollback()
        raise


def _references_hold(db: Database) -> None:
    broken = db.select(_SAID["broken_references"])
    if broken:
        raise ConfigError(
            "store-damaged",
            f"expected rows whose references lead somewhere, got {', '.join(f'{count} in {table} that do not' for table, count in broken)}; nothing was changed",
        )
