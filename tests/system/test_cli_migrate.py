"""`filesync migrate`, and what every other command says before it."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import COMMAND, Shop, filesync, installed, open_shop
from old_store import make_old, rows_of, shape

from filesync.cli.daemon import Daemon
from filesync.exchange.lock import DAEMON_LOCK, SiteLock
from filesync.stores import migrating, schema_version
from filesync.stores.migrating import Step
from filesync.stores.schema_version import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Server

BACKUP = f"filesync.db.before-v1-to-v{SCHEMA_VERSION}"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A day was sent and confirmed; then both sites' stores are of version 1 again, as before an upgrade."""
    made = open_shop(tmp_path)
    made.sell()
    for at in (made.at_caixa, made.at_matriz, made.at_caixa):
        at("turn")
    for site in (made.caixa, made.matriz):
        make_old(site / "filesync.db")
    return made


@pytest.mark.parametrize(
    "words",
    [("status",), ("turn",), ("import",), ("exchange",), ("outbox",), ("quarantine",), ("day", "--date", "2026-03-02")],
    ids=lambda words: words[0],
)  # fmt: skip
def test_an_older_store_is_refused_with_what_to_do(shop: Shop, words: tuple[str, ...]) -> None:
    before = rows_of(shop.matriz / "filesync.db")
    run = shop.at_matriz(*words, code=2)
    assert f"expected schema version {SCHEMA_VERSION}, got 1" in run.err
    assert "filesync migrate" in run.err
    assert rows_of(shop.matriz / "filesync.db") == before


def test_migrate_says_what_it_did_and_where_the_copy_is(shop: Shop) -> None:
    was = shape(shop.caixa / "filesync.db")
    run = shop.at_caixa("migrate")
    assert f"was brought from version 1 to version {SCHEMA_VERSION}" in run.out
    assert str(shop.caixa / BACKUP) in run.out
    assert shape(shop.caixa / BACKUP) == was
    again = shop.at_caixa("migrate")
    assert "nothing to do" in again.out
    assert sorted(path.name for path in shop.caixa.glob("filesync.db.*")) == [BACKUP]
    shop.at_caixa("status")


def test_migrate_tells_programs(shop: Shop) -> None:
    path = shop.caixa / "filesync.db"
    first = shop.at_caixa("migrate", "--json").json
    assert first == {
        "store": str(path),
        "before": 1,
        "after": SCHEMA_VERSION,
        "changed": True,
        "backup": str(shop.caixa / BACKUP),
    }
    assert shop.at_caixa("migrate", "--json").json == {
        **first,
        "before": SCHEMA_VERSION,
        "changed": False,
        "backup": None,
    }


def test_sales_go_on_after_it(shop: Shop) -> None:
    for at in (shop.at_caixa, shop.at_matriz):
        at("migrate")
    shop.sell(seed=2)
    for at in (shop.at_caixa, shop.at_matriz, shop.at_caixa):
        at("turn")
    through = [
        feed["applied_through"]
        for feed in shop.at_matriz("status", "--json").json["feeds"]
        if "vendas" in str(feed["feed"])
    ]
    assert through == [2]


def test_a_running_daemon_is_in_the_way(shop: Shop) -> None:
    with SiteLock(shop.matriz / DAEMON_LOCK, 0.0).held():
        run = shop.at_matriz("migrate", "--json", code=2)
    assert run.json["error"]["code"] == "migrate-running"
    assert "Stop it" in run.json["error"]["advice"]
    assert not (shop.matriz / BACKUP).exists()


def test_the_doctor_says_it_too(shop: Shop) -> None:
    run = shop.at_matriz("doctor", "--json", code=1)
    found = {finding["check"]: finding for finding in run.json["findings"]}
    assert found["database"]["outcome"] == "failed"
    assert found["database"]["code"] == "store-older"
    assert "filesync migrate" in found["database"]["do"]
    assert not any("the check itself" in finding["seen"] for finding in run.json["findings"])


def test_run_brings_its_store_forward(shop: Shop) -> None:
    with subprocess.Popen(
        [COMMAND, "-C", shop.matriz, "run", "--log", "json"], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        first = json.loads(daemon.stdout.readline())
        second = json.loads(daemon.stdout.readline())
        daemon.terminate()
        daemon.communicate(timeout=30)
    assert (first["event"], first["level"]) == ("store-migrated", "warning")
    assert (first["before"], first["after"]) == (1, SCHEMA_VERSION)
    assert first["backup"] == str(shop.matriz / BACKUP)
    assert second["event"] == "started"
    assert daemon.returncode == 0
    shop.at_matriz("status")


def test_a_newer_store_is_not_brought_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.at_matriz("migrate")
    with monkeypatch.context() as older:
        older.setattr(schema_version, "SCHEMA_VERSION", 1)
        older.setattr(migrating, "STEPS", [])
        run = shop.at_matriz("migrate", code=2)
    assert f"expected schema version 1 or older, got {SCHEMA_VERSION}" in run.err
    assert "Update filesync" in run.err


# ---------------------------------------------------------------------------------------------------- on a server


@pytest.fixture
def server_site(tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A matriz whose store on a server is older than this filesync, by a step that is to come."""
    database = f"migrate_{time.monotonic_ns()}"
    postgresql.create(database)
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    filesync(
        "init",
        tmp_path / "matriz",
        "--site",
        "matriz",
        "--role",
        "matriz",
        "--store",
        postgresql.named(database),
    )
    later = ("CREATE TABLE fs_later (day TEXT PRIMARY KEY)",)
    monkeypatch.setattr(migrating, "STEPS", [*migrating.STEPS, Step(SCHEMA_VERSION + 1, later, later)])
    monkeypatch.setattr(schema_version, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    return tmp_path / "matriz"


def test_nobody_makes_a_backup_of_a_server_but_its_keeper(server_site: Path) -> None:
    run = filesync("-C", server_site, "status", code=2)
    assert "filesync migrate" in run.err
    for words in (("migrate",), ("migrate", "--json")):
        run = filesync("-C", server_site, *words, code=2)
        assert "nobody said that there is one" in run.err
        assert "pg_dump" in run.err
        assert "--yes" in run.err
    run = filesync("-C", server_site, "migrate", "--yes", "--json")
    assert (run.json["before"], run.json["after"], run.json["backup"]) == (
        SCHEMA_VERSION,
        SCHEMA_VERSION + 1,
        None,
    )
    filesync("-C", server_site, "status")
    assert "nothing to do" in filesync("-C", server_site, "migrate").out


def test_nobody_is_asked_for_a_backup_of_what_is_too_new(
    server_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_version, "SCHEMA_VERSION", SCHEMA_VERSION - 1)
    run = filesync("-C", server_site, "migrate", code=2)
    assert f"or older, got {SCHEMA_VERSION}" in run.err
    assert "Update filesync" in run.err
    assert "pg_dump" not in run.err


def test_run_asks_nobody(server_site: Path) -> None:
    lines: list[dict[str, Any]] = []
    daemon = Daemon(server_site, Lines(lines), events=False)
    daemon.stop()
    daemon.run()
    assert [line["event"] for line in lines] == ["store-migrated", "started", "stopped"]
    assert (lines[0]["before"], lines[0]["after"]) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)
    assert "backup" not in lines[0]


class Lines:
    """A log that is kept."""

    def __init__(self, kept: list[dict[str, Any]]) -> None:
        self._kept = kept

    def _line(self, event: str, **fields: Any) -> None:
        self._kept.append({"event": event, **fields})

    info = warning = error = _line


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("sim", 0), ("", 2), ("no", 2)])
def test_a_person_is_asked(
    server_site: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    asked: list[str] = []

    def prompt(question: str, **_: object) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr("filesync.cli.asking.typer.prompt", prompt)
    monkeypatch.setattr("filesync.cli.migrating.somebody", lambda: True)
    run = filesync("-C", server_site, "migrate", code=code)
    assert len(asked) == 1
    assert "pg_dump" in run.out + run.err
    assert ("was brought" in run.out) == (code == 0)


def test_a_file_s_store_needs_no_answer(shop: Shop) -> None:
    done = installed("-C", shop.matriz, "migrate")
    assert done.returncode == 0
