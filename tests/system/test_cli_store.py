"""A site whose store is on a server: made, used, examined; and what is said where its password or its store is not as it should be."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import DAY, Run, Shop, filesync, installed

from filesync import config
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from postgres_server import Server

SECRET = "keys/store_password"


@pytest.fixture(autouse=True)
def nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What this machine's user keeps for his own servers must not help."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))


@pytest.fixture
def database(postgresql: Server) -> Iterator[str]:
    name = f"shop_{time.monotonic_ns()}"
    postgresql.create(name)
    yield name
    postgresql.drop(name)


def init(
    root: Path, *more: str | Path, code: int | None = 0, site: str = "matriz", role: str = "matriz"
) -> Run:
    return filesync("init", root, "--site", site, "--role", role, *more, code=code)


def keep(root: Path, password: str, mode: int = 0o600) -> Path:
    """Put the password where the site will look for it."""
    path = root / SECRET
    path.unlink(missing_ok=True)
    config.write_private(path, f"{password}\n".encode())
    path.chmod(mode)
    return path


@pytest.fixture
def site(tmp_path: Path, postgresql: Server, database: str) -> Path:
    """A matriz on the server, with the password in a file of its own."""
    root = tmp_path / "matriz"
    keep(root, postgresql.password)
    init(root, "--store", postgresql.named(database), "--store-password-file", SECRET)
    return root


def findings(root: Path, code: int | None = None) -> dict[str, dict[str, Any]]:
    run = filesync("-C", root, "doctor", "--json", code=code)
    return {finding["check"]: finding for finding in run.json["findings"]}


# ---------------------------------------------------------------------------------------------------- made and used


def test_a_site_on_a_server_takes_sales_like_any_other(
    site: Path, tmp_path: Path, postgresql: Server, database: str
) -> None:
    assert not (site / "filesync.db").exists()
    shop = Shop(tmp_path)
    init(shop.caixa, site="caixa-01", role="caixa")
    for one in (shop.caixa, shop.matriz):
        (tmp_path / f"{one.name}.pub").write_text(filesync("-C", one, "key").out, encoding="utf-8")
    shop.at_caixa(
        "peer", "add", "matriz", "--role", "matriz", "--link", shop.matriz, "--key", tmp_path / "matriz.pub"
    )
    shop.at_matriz("peer", "add", "caixa-01", "--role", "caixa", "--key", tmp_path / "caixa-01.pub")
    shop.sell(count=5)
    for at in (shop.at_caixa, shop.at_matriz, shop.at_caixa):
        at("turn")
    assert shop.at_caixa("outbox", "--json").json == []
    assert postgresql.execute(database, "select count(*) as sales from vendas") == [{"sales": 5}]
    wanted = sum(
        sale["total_centavos"] for sale in sales_of_day("caixa-01", Role.CAIXA, DAY, seed=1, count=5)
    )
    assert postgresql.execute(database, "select sum(total_centavos)::int8 as total from vendas") == [
        {"total": wanted}
    ]


def test_the_password_is_in_no_file_but_its_own_and_in_nothing_that_is_said(
    site: Path, postgresql: Server
) -> None:
    said = [
        filesync("-C", site, *words, code=None)
        for words in (("status",), ("doctor",), ("doctor", "--json"), ("migrate",))
    ]
    keep(site, postgresql.password + "x")
    said += [
        filesync("-C", site, *words, code=None) for words in (("status",), ("doctor",), ("turn", "--json"))
    ]
    assert said[-1].json["error"]["code"] == "store-refused"
    keep(site, postgresql.password, 0o644)
    said += [filesync("-C", site, "status", code=2)]
    assert not [run for run in said if postgresql.password in run.out + run.err]
    files = [path for path in site.rglob("*") if path.is_file() and path != site / SECRET]
    assert files
    assert not [path for path in files if postgresql.password.encode() in path.read_bytes()]


@pytest.mark.skipif(os.name == "nt", reason="modes say nothing there")
def test_libpq_finds_the_password_by_itself(
    tmp_path: Path, postgresql: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ~/.pgpass (PGPASSFILE), in a service file, and in the environment: by separate programs, as users do."""
    address = postgresql.named(database)
    root = tmp_path / "matriz"
    words = ("init", root, "--site", "matriz", "--role", "matriz", "--store", address)
    assert b"password" in (refused := installed(*words)).stderr
    assert refused.returncode == 2
    kept = tmp_path / "pgpass"
    kept.write_text(
        f"127.0.0.1:{postgresql.port}:{database}:filesync:{postgresql.password}\n", encoding="utf-8"
    )
    kept.chmod(0o600)
    assert installed(*words).returncode == 0
    assert installed("-C", root, "status").returncode == 0
    kept.chmod(0o644)  # libpq does not use it then
    assert installed("-C", root, "status").returncode == 2
    assert findings(root, 1)["password"]["outcome"] == "failed"
    kept.unlink()
    service = tmp_path / "services.conf"
    service.write_text(
        f"[shop]\nhost=127.0.0.1\nport={postgresql.port}\ndbname={database}\nuser=filesync\npassword={postgresql.password}\n",
        encoding="utf-8",
    )
    service.chmod(0o600)
    path = root / config.FILE_NAME
    path.write_text(path.read_text("utf-8").replace(address, "postgresql:///?service=shop"), "utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    assert installed("-C", root, "status").returncode == 0
    found = findings(root)
    assert found["password"]["outcome"] == "ok"
    assert str(service) in found["password"]["seen"]
    service.chmod(0o644)
    assert findings(root, 1)["password"]["outcome"] == "failed"
    service.write_text(service.read_text("utf-8").replace(f"password={postgresql.password}\n", ""), "utf-8")
    assert installed("-C", root, "status").returncode == 2
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    assert installed("-C", root, "status").returncode == 0
    assert "PGPASSWORD" in findings(root)["password"]["seen"]


def test_a_password_of_any_signs_opens_the_door(tmp_path: Path, postgresql: Server) -> None:
    name = f"odd_{time.monotonic_ns()}"
    odd = "a:b/c@d?e#f%41 &=\\'\"ção"
    postgresql.execute("postgres", f"create role {name} login password '{odd.replace(chr(39), chr(39) * 2)}'")
    postgresql.create(name, f"owner {name}")
    try:
        root = tmp_path / "matriz"
        keep(root, odd)
        init(
            root,
            "--store",
            f"postgresql://{name}@127.0.0.1:{postgresql.port}/{name}",
            "--store-password-file",
            SECRET,
        )
        filesync("-C", root, "status")
    finally:
        postgresql.drop(name)
        postgresql.execute("postgres", f"drop role {name}")


def test_the_folder_comes_back_to_a_store_that_was_not_lost(
    site: Path, tmp_path: Path, postgresql: Server, database: str
) -> None:
    """The computer burnt, the server did not: keys from the backup, init, settings from the backup. The epoch goes on."""
    before = filesync("-C", site, "status", "--json").json["epoch"]
    again = tmp_path / "again"
    (again / "keys").mkdir(parents=True)
    keep(again, postgresql.password)
    init(again, "--store", postgresql.named(database), "--store-password-file", SECRET)
    assert filesync("-C", again, "status", "--json").json["epoch"] == before


# ---------------------------------------------------------------------------------------------------- refused


def test_a_store_is_made_where_it_may_be(
    tmp_path: Path, postgresql: Server, site: Path, database: str
) -> None:
    """Not over another site's, not with a password on the command line, and not beside a file that is one already."""
    keep(tmp_path / "other", postgresql.password)
    more = ("--store", postgresql.named(database), "--store-password-file", SECRET)
    run = init(tmp_path / "other", *more, code=2, site="posto-01", role="posto")
    assert "got that of matriz (matriz)" in run.err
    run = init(tmp_path / "third", "--store", postgresql.address(database), code=2)
    assert "without a password" in run.err
    assert postgresql.password not in run.out + run.err
    assert not (tmp_path / "third").exists()
    init(tmp_path / "file", site="caixa-01", role="caixa")
    (tmp_path / "file" / config.FILE_NAME).unlink()
    keep(tmp_path / "file", postgresql.password)
    run = init(tmp_path / "file", *more, code=2, site="caixa-01", role="caixa")
    assert "does not move to a server by itself" in run.err
    run = init(tmp_path / "fourth", "--store-password-file", SECRET, code=2)
    assert "--store-password-file" in run.err


def test_a_site_does_not_move_to_a_server_by_a_line_in_its_settings(
    tmp_path: Path, postgresql: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    root = tmp_path / "caixa-01"
    init(root, site="caixa-01", role="caixa")
    path = root / config.FILE_NAME
    settings = path.read_text("utf-8")
    path.write_text(f'store = "{postgresql.named(database)}"\n{settings}', "utf-8")
    for words in (("status", "--json"), ("turn", "--json"), ("migrate", "--yes", "--json")):
        error = filesync("-C", root, *words, code=2).json["error"]
        assert error["code"] == "store-elsewhere"
        assert str(root / "filesync.db") in error["message"]
        assert "Take the line `store` out" in error["advice"]
    assert findings(root, 1)["database"]["code"] == "store-elsewhere"
    assert postgresql.execute(
        database, "select count(*) as tables from pg_tables where schemaname = 'public'"
    ) == [{"tables": 0}]
    (root / "filesync.db").rename(tmp_path / "away.db")
    error = filesync("-C", root, "status", "--json", code=2).json["error"]
    assert error["code"] == "store-missing"
    assert "filesync init --store" in error["message"]
    path.write_text(settings, "utf-8")
    (tmp_path / "away.db").rename(root / "filesync.db")
    filesync("-C", root, "status")


def test_settings_of_another_site_are_noticed(site: Path) -> None:
    path = site / config.FILE_NAME
    path.write_text(path.read_text("utf-8").replace('site = "matriz"', 'site = "other"'), "utf-8")
    error = filesync("-C", site, "status", "--json", code=2).json["error"]
    assert error["code"] == "site-mismatch"
    assert "belongs to matriz (matriz), filesync.toml says other" in error["message"]


def test_without_the_driver_its_extra_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "adbc_driver_postgresql", None)
        error = filesync("-C", site, "status", "--json", code=2).json["error"]
    assert error["code"] == "driver-missing"
    assert "pip install 'filesync[postgres]'" in error["message"]


def test_a_server_that_is_away_is_the_road(tmp_path: Path, site: Path, postgresql: Server) -> None:
    path = site / config.FILE_NAME
    path.write_text(path.read_text("utf-8").replace(f":{postgresql.port}/", ":1/"), "utf-8")
    run = filesync("-C", site, "turn", code=3)
    assert "Nothing is lost" in run.err
    assert "\N{REPLACEMENT CHARACTER}" not in run.err
    found = findings(site, 1)
    assert found["database"]["code"] == "store-unreachable"
    assert "server" not in found


# ---------------------------------------------------------------------------------------------------- examined


def test_the_doctor_says_what_the_server_is(site: Path, postgresql: Server) -> None:
    found = findings(site, 0)
    assert found["password"]["outcome"] == "ok"
    assert str(site / SECRET) in found["password"]["seen"]
    assert "PostgreSQL" in found["server"]["seen"]
    assert found["server"]["measured"]["seconds"] < 10
    assert "matriz" in found["database"]["seen"]
    assert found["rights"]["outcome"] == "ok"
    assert abs(found["server's clock"]["measured"]["ahead_s"]) < 10
    # This server is one for tests.
    assert found["power cut"]["outcome"] == "warning"
    assert "fsync = off" in found["power cut"]["seen"]
    assert "other writers" not in found
    assert "database's file" not in found
    exceptions = filesync("-C", site, "doctor", "--json").json["exceptions"]
    assert f"TCP {postgresql.port} to 127.0.0.1 (PostgreSQL)" in exceptions["connections"]
    assert not [path for path in exceptions["files"] if "filesync.db" in path]


def test_the_doctor_says_who_may_write(site: Path, postgresql: Server, database: str) -> None:
    name = f"reader_{time.monotonic_ns()}"
    postgresql.execute(
        database,
        f"create role {name} login password 'x'",
        f"grant usage on schema public to {name}",
        f"grant select on all tables in schema public to {name}",
        "grant update on fs_feed to public",
    )
    try:
        path = site / config.FILE_NAME
        path.write_text(path.read_text("utf-8").replace("//filesync@", f"//{name}@"), "utf-8")
        keep(site, "x")
        found = findings(site, 1)
        assert found["rights"]["outcome"] == "failed"
        assert name in found["rights"]["seen"]
        assert "fs_delivery" in found["rights"]["seen"]
        assert "PUBLIC" in found["other writers"]["seen"]
        # It writes, but owns nothing.
        postgresql.execute(database, f"grant all on all tables in schema public to {name}")
        found = findings(site, 0)
        assert found["rights"]["outcome"] == "warning"
        assert "upgrades" in found["rights"]["seen"]
    finally:
        postgresql.execute(database, f"drop owned by {name}", f"drop role {name}")


def test_the_doctor_says_which_version_the_store_is_of(site: Path, postgresql: Server, database: str) -> None:
    for version, code in ((1, "store-older"), (99, "store-newer")):
        postgresql.execute(database, f"update fs_meta set value = '{version}' where key = 'schema_version'")
        found = findings(site, 1)
        assert found["database"]["code"] == code
        assert not [one for one in found.values() if "the check itself" in one["seen"]]


def test_the_doctor_sees_a_file_that_is_not_used(site: Path, tmp_path: Path) -> None:
    (site / "filesync.db").write_bytes(b"left over")
    assert findings(site, 0)["database's file"]["outcome"] == "warning"
    filesync("-C", site, "status")


def test_the_doctor_refuses_a_password_that_others_may_read(site: Path, postgresql: Server) -> None:
    keep(site, postgresql.password, 0o640)
    found = findings(site, 1)
    assert found["password"]["code"] == "store-password-open"
    assert found["database"]["outcome"] == "skipped"


def test_a_password_that_was_changed_on_the_server_is_told(site: Path) -> None:
    keep(site, "changed")
    error = json.loads(installed("-C", site, "status", "--json").stdout)["error"]
    assert error["code"] == "store-refused"
    assert "password" in error["message"]
