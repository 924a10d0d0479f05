"""Where a store is, by the settings: an address that holds no password, and a password that only its owner can read."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync import config
from filesync.config import Server
from filesync.errors import ConfigError
from filesync.exchange.station import Station
from filesync.protocol.identity import Role
from filesync.stores.postgres_connection import completed as completed_address
from filesync.stores.postgres_connection import shown

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        (f"postgresql://fs:{SECRET}@db:5433/shop?sslmode=require", "postgresql://fs@db:5433/shop"),
        (f"postgresql://:{SECRET}@db/shop", "postgresql://db/shop"),
        ("postgresql://db/shop", "postgresql://db/shop"),
        ("postgresql:///?service=shop&sslmode=require", "postgresql:///?service=shop"),
        (f"postgresql://:{SECRET}@/?service=shop", "postgresql:///?service=shop"),
        (f"postgresql://fs:{SECRET}@a:1,[::1]:2/shop", "postgresql://fs@a:1,[::1]:2/shop"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, seen: str) -> None:
    assert shown(address) == seen


def test_what_we_want_of_a_connection_stands_beside_what_the_address_says() -> None:
    """libpq reads what a person wrote, sign for sign."""
    for address in (
        "postgresql:///?service=shop",
        "postgresql:///shop",
        "postgresql://fs@db/shop?options=-c%20search_path%3Da+b&connect_timeout=3",
    ):
        completed = completed_address(address)
        assert completed.startswith(address)
        assert completed.count("connect_timeout=") == completed.count("?") == 1


@pytest.mark.parametrize(
    ("address", "place", "hosts"),
    [
        ("postgresql://fs@db.example.com:5433/shop", "postgresql://db.example.com:5433/shop", (("db.example.com", 5433),)),
        ("postgres://db/shop", "postgresql://db/shop", (("db", 5432),)),
        ("postgresql://fs@a:1,b/shop?target_session_attrs=read-write", "postgresql://a:1,b/shop", (("a", 1), ("b", 5432))),
        ("postgresql://fs@[::1]:5433/shop?sslmode=verify-full", "postgresql://[::1]:5433/shop", (("[::1]", 5433),)),
        ("postgresql:///?service=filesync", "postgresql:///?service=filesync", ()),
        ("postgresql:///shop?host=/var/run/postgresql", "postgresql:///shop", ()),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/shop", "postgresql://%2Fvar%2Frun%2Fpostgresql/shop", ()),
        ("postgresql://fs@db/shop?options=-csearch_path%3Dcentro", "postgresql://db/shop", (("db", 5432),)),
    ],
)  # fmt: skip
def test_an_address_is_understood(address: str, place: str, hosts: tuple[tuple[str, int], ...]) -> None:
    server = Server.parse(address)
    assert server.full_address() == address
    assert server.place.replace("postgres://", "postgresql://") == place
    assert server.hosts == hosts


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://fs:{SECRET}@db/shop",
        f"postgresql://:{SECRET}@db/shop",
        f"postgresql://fs:{SECRET}@x@db/shop",
        f"postgresql://fs:a/{SECRET}@db/shop",
        f"postgresql://fs:a?{SECRET}@db/shop",
        f"postgresql://fs:a#{SECRET}@db/shop",
        f"postgresql://fs@db/shop?password={SECRET}",
        f"postgresql://fs@db/shop?sslmode=require&PASSWORD={SECRET}",
        f"postgresql://fs@db/shop?sslpassword={SECRET}",
        f"host=db password={SECRET}",
        f"mysql://fs:{SECRET}@db/shop",
        f"/var/lib/{SECRET}.db",
        f"postgresql://[::1/{SECRET}",
        f"postgresql://db/{SECRET}%2",
        f"postgresql://db:port/{SECRET}",
        f"postgresql://db/shop {SECRET}",
        "",
    ],
)
def test_an_address_with_a_password_or_without_sense_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError) as failure:
        Server.parse(address)
    assert failure.value.code == "store-address"
    assert SECRET not in failure.value.message


@given(
    st.text(min_size=1, max_size=40).filter(
        lambda text: "\n" not in text and "\0" not in text and "\r" not in text
    )
)
def test_any_password_comes_through_and_is_never_shown(password: str) -> None:
    marked = f"{SECRET}{password}"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store_password"
        config.write_private(path, f"{marked}\n".encode())
        for address in (
            "postgresql://fs@db:5433/shop?x=1",
            "postgresql://db/shop",
            "postgresql:///?service=x",
        ):
            server = Server.parse(address, path)
            full = server.full_address()
            parts = urlsplit(full)
            assert unquote(parts.password or "") == marked
            assert (parts.username or "") == (urlsplit(address).username or "")
            assert full.partition("@")[2] == address.partition("://")[2].rpartition("@")[2]
            assert SECRET not in repr(server) + server.place + shown(full)


def test_a_password_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "store_password"
    config.write_private(path, SECRET.encode())
    assert config.read_password(path) == SECRET
    if os.name == "nt":
        return
    for mode in (0o640, 0o604, 0o622, 0o777):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=f"{mode:04o}") as failure:
            config.read_password(path)
        assert failure.value.code == "store-password-open"
        assert SECRET not in failure.value.message
    path.chmod(0o400)
    assert config.read_password(path) == SECRET


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"hunter2\nand more\n", b"hun\0ter2", b"hunter2\xff", b"hunter2" * 200],
    ids=["empty", "blank", "lines", "nul", "not-utf-8", "long"],
)
def test_what_is_no_password_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "store_password"
    config.write_private(path, data)
    with pytest.raises(ConfigError) as failure:
        config.read_password(path)
    assert failure.value.code == "store-password-missing"
    assert SECRET not in failure.value.message


def test_a_missing_password_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="store_password") as failure:
        Server.parse("postgresql://db/shop", tmp_path / "store_password").full_address()
    assert failure.value.code == "store-password-missing"


def test_a_file_s_line_ends_do_not_belong_to_the_password(tmp_path: Path) -> None:
    for number, end in enumerate((b"", b"\n", b"\r\n")):
        path = tmp_path / str(number)
        config.write_private(path, b" pass word " + end)
        assert config.read_password(path) == " pass word "


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "matriz"
    Station.init(root, site="matriz", role=Role.MATRIZ)
    return root


def put(root: Path, text: str) -> None:
    path = root / config.FILE_NAME
    path.write_text(text + path.read_text(encoding="utf-8"), encoding="utf-8")


def test_the_settings_say_who_keeps_the_store(site: Path) -> None:
    assert config.load(site).server is None
    assert config.load(site).database == site / "filesync.db"
    put(site, 'store = "postgresql://fs@db/shop"\nstore_password_file = "keys/store_password"\n')
    settings = config.load(site)  # the password is read when it is needed, not before
    assert (
        settings.server
        == settings.database
        == Server("postgresql://fs@db/shop", site / "keys" / "store_password")
    )


def test_a_setting_that_is_refused_names_the_file_and_no_password(site: Path) -> None:
    put(site, f'store = "postgresql://fs:{SECRET}@db/shop"\n')
    with pytest.raises(ConfigError, match=config.FILE_NAME) as failure:
        config.load(site)
    assert failure.value.code == "store-address"
    assert SECRET not in str(failure.value) + repr(failure.value.__cause__)


def test_a_password_without_a_store_is_a_mistake(site: Path) -> None:
    put(site, 'store_password_file = "keys/store_password"\n')
    with pytest.raises(ConfigError, match="store_password_file") as failure:
        config.load(site)
    assert failure.value.code == "config-invalid"


def test_new_settings_say_where_the_store_is(tmp_path: Path) -> None:
    text = config.render_new("matriz", Role.MATRIZ, "postgresql://fs@db/shop", "keys/store_password")
    assert tomllib.loads(text) == {
        "site": "matriz",
        "role": "matriz",
        "store": "postgresql://fs@db/shop",
        "store_password_file": "keys/store_password",
    }
    assert tomllib.loads(config.render_new("matriz", Role.MATRIZ)) == {"site": "matriz", "role": "matriz"}
