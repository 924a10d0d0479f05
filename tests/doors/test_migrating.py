"""Bringing a store forward: nothing is lost, nothing is half done, and what comes of it is what a new store is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import pytest
from old_store import SITES, make_v1, rows_of, shape
from store_samples import MATRIZ

from filesync.contracts import Registry
from filesync.errors import ConfigError, TransportError
from filesync.protocol.heartbeat import Heartbeat
from filesync.stores import migrating, postgres_connection, schema_version, sqlite_database
from filesync.stores.migrating import (
    Migration,
    Step,
    held_by_file,
    held_by_server,
    migrate_file,
    migrate_server,
)
from filesync.stores.schema_version import SCHEMA_VERSION
from filesync.stores.sqlite import SqliteStore
from filesync.stores.sqlite_database import SqliteDatabase
from filesync.stores.values import Site
from filesync.writers import durable

if TYPE_CHECKING:
    from old_store import Rows
    from store_engines import Home

    from filesync.stores.database import Database
    from filesync.stores.store import Store

#: What version 2 changed in rows, on purpose; `test_what_a_store_holds_is_kept` looks at each.
CHANGED = {"fs_meta", "fs_peer", "fs_sealed"}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A matriz of version 1 that has worked."""
    path = tmp_path / "filesync.db"
    make_v1(path, "matriz")
    return path


def backup_of(path: Path, number: str = "") -> Path:
    return path.with_name(f"{path.name}.before-v1-to-v{SCHEMA_VERSION}{number}")


# ---------------------------------------------------------------------------------------------------- to today's schema


@pytest.mark.parametrize("site", [None, *SITES])
def test_a_store_that_was_brought_forward_is_what_a_new_one_is(tmp_path: Path, site: str | None) -> None:
    path, new = tmp_path / "filesync.db", tmp_path / "new.db"
    make_v1(path, site)
    if site is None:
        write(
            path,
            "INSERT INTO fs_meta VALUES ('site', 'matriz'), ('role', 'matriz'), ('epoch', 'aaaaaaaa'), ('schema_version', '1')",
        )
    assert migrate_file(path) == Migration(str(path), 1, SCHEMA_VERSION, backup_of(path))
    assert held_by_file(path).version == SCHEMA_VERSION
    contracts = Registry.packaged()
    forms = [form for dataset in contracts.datasets() if (form := contracts.form(dataset)) is not None]
    with SqliteStore.open(path) as store:
        store.grow(forms)
    made = shape(path)
    with SqliteStore.create(new, MATRIZ) as store, store.transaction() as tx:
        for form in forms:
            if form.relations[0].table in made:
                tx.ensure_tables(form)
    fresh = shape(new)
    assert made.keys() == fresh.keys()
    for name, table in fresh.items():
        assert made[name] == table, name
    if site is None:  # every contract that there was
        assert {"produtos", "vendas", "vendas_postagens", "fechamento", "bdf"} <= made.keys()


@pytest.mark.parametrize("site", SITES)
def test_what_a_store_holds_is_kept(tmp_path: Path, site: str) -> None:
    path = tmp_path / "filesync.db"
    make_v1(path, site)
    before = rows_of(path)
    migrate_file(path)
    after = rows_of(path)
    for name in before.keys() - CHANGED:
        kept = (
            [{column: row[column] for column in before[name][0]} for row in after[name]]
            if after[name]
            else []
        )
        assert kept == before[name], name
    assert meta(after) == meta(before) | {"schema_version": str(SCHEMA_VERSION)}
    # Only products have another key now: what was remembered of them is forgotten, all else stays.
    products = {row["memory_id"] for row in before["fs_memory"] if row["dataset"] == "produtos"}
    assert (site == "matriz") == bool(products)
    remembered = [row for row in before["fs_sealed"] if row["bucket_id"] // 65_536 not in products]
    assert after["fs_sealed"] == remembered
    for was, now in zip(before["fs_peer"], after["fs_peer"], strict=True):
        old, new = json.loads(was.pop("heartbeat")), json.loads(now.pop("heartbeat"))
        assert now.pop("heard") == now["peer_id"]
        assert now.pop("knew") == 0
        assert was == now
        assert Heartbeat.from_signed(new).feeds[0].shipped == 0
        assert [{**feed, "shipped": 0} for feed in old.pop("feeds")] == new.pop("feeds")
        assert old | {"wanted": []} == new
    with SqliteStore.open(path) as store:
        assert store.site == Site(site, store.site.role, meta(before)["epoch"])
        for (name,) in store._db.select("SELECT name FROM fs_outgoing UNION SELECT name FROM fs_incoming"):
            assert store.batch(name) is not None
        assert store.heard()


def meta(rows: Rows) -> dict[str, str]:
    return {row["key"]: row["value"] for row in rows["fs_meta"]}


def test_products_have_rows_in_time(tmp_path: Path) -> None:
    path = tmp_path / "filesync.db"
    make_v1(path, "caixa-01")
    again = (
        "INSERT INTO produtos (origem, codigo, descricao, unidade, preco_centavos, vigencia_inicio, ativo, fs_batch) "
        "SELECT origem, codigo, descricao, unidade, 999, '2026-07-01', ativo, fs_batch FROM produtos"
    )
    with pytest.raises(Exception, match="UNIQUE"):
        write(path, again)
    migrate_file(path)
    write(path, again)


def test_a_site_s_own_contract_keeps_its_table(tmp_path: Path) -> None:
    path = tmp_path / "filesync.db"
    make_v1(path, "caixa-01")
    write(
        path,
        "DROP TABLE produtos",
        'CREATE TABLE "produtos" ("sku" TEXT NOT NULL, fs_batch INTEGER NOT NULL, PRIMARY KEY ("sku")) STRICT, WITHOUT ROWID',
    )
    before = shape(path)["produtos"]
    migrate_file(path)
    assert shape(path)["produtos"] == before


def test_rows_that_refer_to_nothing_stop_it(old: Path) -> None:
    write(old, "PRAGMA foreign_keys = OFF", "DELETE FROM fs_outgoing")
    before = rows_of(old)
    with pytest.raises(ConfigError, match="1 in fs_delivery that do not") as failure:
        migrate_file(old)
    assert failure.value.code == "store-damaged"
    assert rows_of(old) == before


# ---------------------------------------------------------------------------------------------------- who must go first


def test_an_older_store_is_not_opened(old: Path) -> None:
    before = rows_of(old)
    with pytest.raises(ConfigError, match="filesync migrate") as failure:
        SqliteStore.open(old)
    assert failure.value.code == "store-older"
    assert rows_of(old) == before


def test_a_newer_store_is_neither_opened_nor_changed(tmp_path: Path) -> None:
    path = tmp_path / "filesync.db"
    SqliteStore.create(path, MATRIZ).close()
    write(path, "UPDATE fs_meta SET value = '99' WHERE key = 'schema_version'")
    for use in (SqliteStore.open, migrate_file):
        with pytest.raises(ConfigError, match="update filesync") as failure:
            use(path)
        assert failure.value.code == "store-newer"
    assert [entry.name for entry in tmp_path.iterdir()] == ["filesync.db"]


def test_a_store_of_this_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "filesync.db"
    SqliteStore.create(path, MATRIZ).close()
    before = path.read_bytes()
    made = migrate_file(path)
    assert made == Migration(str(path), SCHEMA_VERSION, SCHEMA_VERSION)
    assert not made.changed
    assert path.read_bytes() == before


def test_what_is_no_store_is_not_made_one(tmp_path: Path) -> None:
    path = tmp_path / "filesync.db"
    SqliteDatabase(path).close()
    with pytest.raises(ConfigError) as failure:
        migrate_file(path)
    assert failure.value.code == "store-missing"


# ---------------------------------------------------------------------------------------------------- the copy before


def test_the_copy_is_the_store_as_it_was(old: Path) -> None:
    old.chmod(0o640)
    was, rows = shape(old), rows_of(old)
    backup = migrate_file(old).backup
    assert backup == backup_of(old)
    assert shape(backup) == was
    assert rows_of(backup) == rows
    if os.name != "nt":
        assert backup.stat().st_mode & 0o777 == 0o640


def test_nothing_is_overwritten_by_the_copy(old: Path) -> None:
    backup_of(old).write_text("somebody's own")
    backup_of(old, ".2").symlink_to("nowhere")
    backup_of(old, ".3.partial").write_text("left by a crash")
    assert migrate_file(old).backup == backup_of(old, ".3")
    assert backup_of(old).read_text() == "somebody's own"
    assert backup_of(old, ".2").is_symlink()
    assert held_by_file(backup_of(old, ".3")).version == 1
    assert not backup_of(old, ".3.partial").exists()


@pytest.mark.parametrize("step", ["fsync_file", "replace"])
def test_without_a_copy_nothing_is_changed(old: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = rows_of(old)
    monkeypatch.setattr(durable, step, full)
    with pytest.raises(OSError, match="No space"):
        migrate_file(old)
    assert rows_of(old) == before
    assert sorted(path.name for path in old.parent.iterdir()) == ["filesync.db"]


def test_a_full_disk_is_the_road(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = SqliteDatabase.run

    def full(self: SqliteDatabase, statement: str, parameters: Any = None) -> int:
        if statement.startswith("VACUUM"):
            self._explain(adbc_driver_manager.Error("database or disk is full", status_code=10))
        return run(self, statement, parameters)

    monkeypatch.setattr(SqliteDatabase, "run", full)
    with pytest.raises(TransportError) as failure:
        migrate_file(old)
    assert failure.value.code == "disk-full"
    assert held_by_file(old).version == 1


# ---------------------------------------------------------------------------------------------------- interrupted


class Cut(BaseException):
    """The power goes."""


def test_an_interrupted_step_never_happened(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was, rows = shape(old), rows_of(old)
    run, left = SqliteDatabase.run, [0]

    def cut(self: SqliteDatabase, statement: str, parameters: Any = None) -> int:
        if statement != "ROLLBACK":
            left[0] -= 1
            if left[0] < 0:
                raise Cut
        return run(self, statement, parameters)

    monkeypatch.setattr(SqliteDatabase, "run", cut)
    cuts = 0
    while True:
        left[0] = cuts
        try:
            migrate_file(old)
            break
        except Cut:
            assert (shape(old), rows_of(old)) == (was, rows), f"cut before statement {cuts}"
            cuts += 1
    assert cuts > 30  # the copy, BEGIN, every statement of the step, COMMIT
    monkeypatch.undo()
    assert held_by_file(old).version == SCHEMA_VERSION
    # Each trial that got as far as its copy has left one; the first is still the store as it was.
    assert rows_of(backup_of(old)) == rows


# ---------------------------------------------------------------------------------------------------- several steps, both databases


def write(path: Path, *statements: str) -> None:
    db = SqliteDatabase(path)
    try:
        for statement in statements:
            db.run(statement)
    finally:
        db.close()


NEXT = SCHEMA_VERSION + 1


def both(to: int, *statements: str) -> Step:
    """A step that both databases take by the same words."""
    return Step(to, statements, statements)


@pytest.fixture
def future(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Two more steps, as later versions of filesync will have them; the second one's statements can be changed."""
    steps = [
        both(NEXT, "CREATE TABLE fs_later (day TEXT PRIMARY KEY, note TEXT)"),
        both(NEXT + 1, "ALTER TABLE fs_later ADD COLUMN who TEXT", "INSERT INTO fs_later VALUES ('2026-03-02', 'kept', 'me')"),
    ]  # fmt: skip
    monkeypatch.setattr(migrating, "STEPS", [*migrating.STEPS, *steps])
    monkeypatch.setattr(schema_version, "SCHEMA_VERSION", NEXT + 1)
    return migrating.STEPS


def forward(home: Home) -> Migration:
    return migrate_file(home.where) if isinstance(home.where, Path) else migrate_server(home.where)


def held(home: Home) -> int:
    found = held_by_file(home.where) if isinstance(home.where, Path) else held_by_server(home.where)
    return found.version


@pytest.fixture
def behind(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A store of today's version."""
    home.create().close()
    return home


def test_steps_are_taken_one_after_the_other(behind: Home, future: list[Step]) -> None:
    with pytest.raises(ConfigError) as failure:
        behind.open()
    assert failure.value.code == "store-older"
    made = forward(behind)
    assert (made.before, made.after, held(behind)) == (SCHEMA_VERSION, NEXT + 1, NEXT + 1)
    assert (made.backup is None) == (behind.engine == "postgresql")
    assert behind.ask("SELECT * FROM fs_later") == [("2026-03-02", "kept", "me")]
    behind.open().close()
    assert not forward(behind).changed


def test_a_step_that_fails_leaves_those_before_it(behind: Home, future: list[Step]) -> None:
    whole = future[-1]
    broken = ("INSERT INTO fs_later VALUES ('2026-03-02', 'lost')", "INSERT INTO fs_nowhere VALUES (1)")
    future[-1] = both(whole.to, *broken)
    with pytest.raises(Exception, match="fs_nowhere"):
        forward(behind)
    assert held(behind) == NEXT
    assert behind.ask("SELECT * FROM fs_later") == []
    future[-1] = whole
    made = forward(behind)
    assert (made.before, made.after) == (NEXT, NEXT + 1)
    assert behind.ask("SELECT note FROM fs_later") == [("kept",)]


def test_whoever_worked_meanwhile_is_refused_at_the_next_transaction(
    behind: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = both(NEXT, "CREATE TABLE fs_later (day TEXT PRIMARY KEY)")
    with behind.open() as store:
        worked(store, 1)
        with monkeypatch.context() as newer:
            newer.setattr(migrating, "STEPS", [*migrating.STEPS, later])
            newer.setattr(schema_version, "SCHEMA_VERSION", NEXT)
            assert forward(behind).after == NEXT
        with pytest.raises(ConfigError, match="update filesync") as failure:
            worked(store, 2)
        assert failure.value.code == "store-newer"
        assert [record.name for record in store.problems()] == ["thing-1"]


def test_nobody_writes_during_a_step(
    behind: Home, future: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "_PRAGMAS", ("busy_timeout = 20", *sqlite_database._PRAGMAS[1:]))
    monkeypatch.setitem(postgres_connection.SESSION, "lock_timeout", "20ms")
    with monkeypatch.context() as older:
        older.setattr(schema_version, "SCHEMA_VERSION", SCHEMA_VERSION)
        store = behind.open()
        with store, store.transaction():
            older.undo()
            with pytest.raises(TransportError) as failure:
                forward(behind)
            assert failure.value.code == "store-busy"
    assert held(behind) == SCHEMA_VERSION
    assert forward(behind).after == NEXT + 1


def test_a_step_that_somebody_else_took_meanwhile_is_not_taken_again(
    behind: Home, future: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands, on two computers: both saw the older version, one was faster."""
    looked: list[Step] = []
    take = migrating._take

    def slower(db: Database, step: Step, *rest: Any, **more: Any) -> None:
        if not looked:
            looked.append(step)
            assert forward(behind).changed
        take(db, step, *rest, **more)

    monkeypatch.setattr(migrating, "_take", slower)
    made = forward(behind)
    assert (made.after, held(behind)) == (NEXT + 1, NEXT + 1)
    assert behind.ask("SELECT note FROM fs_later") == [("kept",)]


def worked(store: Store, number: int) -> None:
    store.record_problem("2026-03-02T18:00:00-03:00", f"thing-{number}", "caixa-01", "code", "message")


def test_steps_lead_to_this_version_without_a_gap() -> None:
    assert [step.to for step in migrating.STEPS] == list(range(2, SCHEMA_VERSION + 1))
