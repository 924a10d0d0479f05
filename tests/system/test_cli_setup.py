"""Making sites and introducing them: init, peer add, peer list, key."""

from __future__ import annotations

import os
import shutil
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, Shop, filesync, open_shop

from filesync import config

if TYPE_CHECKING:
    from pathlib import Path


def test_init_makes_a_whole_site_and_says_what_comes_next(tmp_path: Path) -> None:
    site = tmp_path / "with space" / "caixa-01"
    run = filesync("init", site, "--site", "caixa-01", "--role", "caixa")
    assert "ready" in run.out
    assert "peer add" in run.out
    assert {p.name for p in site.iterdir()} >= {
        "keys", "drop", "outbox", "inbox", "archive", "quarantine", "filesync.toml", "filesync.db",
    }  # fmt: skip
    if os.name != "nt":
        assert stat.S_IMODE(config.key_path(site).stat().st_mode) == 0o600
    found = filesync("-C", site, "status", "--json").json
    assert (found["site"], found["role"], len(found["epoch"])) == ("caixa-01", "caixa", 8)


def test_init_never_goes_over_another_site(tmp_path: Path) -> None:
    made = filesync("init", tmp_path / "a", "--site", "a", "--role", "caixa", "--json").json
    run = filesync("init", tmp_path / "a", "--site", "b", "--role", "matriz", code=2)
    assert "is a site already" in run.err
    assert "Nothing was changed" in run.err
    assert filesync("-C", tmp_path / "a", "key", "--json").json["fingerprint"] == made["fingerprint"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--site", "Caixa 1", "--role", "caixa"),
        ("--site", "con", "--role", "caixa"),
        ("--site", "caixa-01"),
        ("--site", "caixa-01", "--role", "loja"),
    ],
)
def test_init_refuses_what_cannot_be_a_site(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    filesync("init", tmp_path / "x", *arguments, code=2)
    assert not (tmp_path / "x").exists()


def test_peer_add_only_adds_to_the_settings(tmp_path: Path) -> None:
    filesync("init", tmp_path / "caixa-01", "--site", "caixa-01", "--role", "caixa")
    settings = tmp_path / "caixa-01" / "filesync.toml"
    settings.write_text(settings.read_text("utf-8") + "# mine: call Ana before changing this", "utf-8")
    before = settings.read_text("utf-8")
    filesync(
        "-C", tmp_path / "caixa-01", "peer", "add", "matriz", "--role", "matriz", "--link", "/mnt/matriz"
    )
    after = settings.read_text("utf-8")
    assert after.startswith(before)
    assert tomllib.loads(after)["peers"]["matriz"] == {"role": "matriz", "link": "/mnt/matriz"}
    assert (tmp_path / "caixa-01" / "inbox" / "matriz").is_dir()
    assert (tmp_path / "caixa-01" / "outbox" / "matriz").is_dir()


def test_a_relative_link_is_seen_from_here_and_kept_relative_to_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that sites that stand together can be moved together."""
    shop = open_shop(tmp_path / "before")
    monkeypatch.chdir(shop.root)
    filesync("init", "caixa-02", "--site", "caixa-02", "--role", "caixa")
    filesync("-C", "caixa-02", "peer", "add", "matriz", "--role", "matriz", "--link", "matriz")
    shop.at_matriz("peer", "add", "caixa-02", "--role", "caixa")
    monkeypatch.chdir(tmp_path)
    shutil.move(shop.root, tmp_path / "after")
    peers = filesync("-C", "after/caixa-02", "peer", "list", "--json").json
    assert peers[0]["link"] == "../matriz"
    filesync("-C", "after/caixa-02", "exchange")


def test_the_section_can_be_read_again_whatever_the_path(tmp_path: Path) -> None:
    filesync("init", tmp_path / "s", "--site", "s", "--role", "caixa")
    link = 'C:\\dados\\"matriz" ção'
    filesync(
        "-C", tmp_path / "s", "peer", "add", "matriz", "--role", "matriz", "--link", f"/{link}", "--relay"
    )
    assert filesync("-C", tmp_path / "s", "peer", "list", "--json").json[0]["link"].endswith("ção")


def test_status_says_every_time_that_no_key_is_pinned_until_one_is(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, pinned=False)
    for _ in range(2):
        assert "no key is pinned for caixa-01" in shop.at_matriz("status").out
        assert "caixa-01" in shop.at_matriz("status", "--json").json["warnings"][0]
    shop.at_matriz("peer", "add", "caixa-01", "--key", tmp_path / "caixa-01.pub")
    assert "no key" not in shop.at_matriz("status").out
    assert shop.at_matriz("status", "--json").json["warnings"] == []


def test_a_pinned_key_is_never_changed_by_the_way(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    pinned = config.pinned_path(shop.matriz, "caixa-01")
    before = pinned.read_bytes()
    run = shop.at_matriz("peer", "add", "caixa-01", "--key", tmp_path / "matriz.pub", code=2)
    assert "--replace-key" in run.err
    assert pinned.read_bytes() == before
    shop.at_matriz("peer", "add", "caixa-01", "--key", tmp_path / "caixa-01.pub")  # the same one again
    shop.at_matriz("peer", "add", "caixa-01", "--key", tmp_path / "matriz.pub", "--replace-key")
    assert pinned.read_bytes() != before


def test_from_then_on_only_what_the_peer_signed_is_accepted(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    other = filesync("init", tmp_path / "other", "--site", "caixa-01", "--role", "caixa", "--json").json[
        "key"
    ]
    (tmp_path / "other.pub").write_text(other, "utf-8")
    shop.at_matriz("peer", "add", "caixa-01", "--key", tmp_path / "other.pub", "--replace-key")
    shop.sell()
    shop.at_caixa("exchange")
    run = shop.at_matriz("import", code=1)
    assert "signed with another key" in run.out
    assert "--replace-key" in run.out


def test_a_key_file_from_a_windows_shell_is_read(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, pinned=False)
    text = (tmp_path / "caixa-01.pub").read_text("utf-8")
    (tmp_path / "ps.pub").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    shop.at_matriz("peer", "add", "caixa-01", "--key", tmp_path / "ps.pub")
    assert shop.at_matriz("peer", "list", "--json").json[0]["fingerprint"].startswith("SHA256:")


def test_a_private_key_is_not_taken(tmp_path: Path) -> None:
    shop = open_shop(tmp_path, pinned=False)
    run = shop.at_matriz("peer", "add", "caixa-01", "--key", config.key_path(shop.caixa), code=2)
    assert "private key" in run.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("caixa-01", "--role", "posto"), "another role"),
        (("caixa-01", "--link", "/elsewhere"), "another link"),
        (("caixa-01",), "peer already"),
        (("caixa-02",), "new here"),
        (("matriz", "--role", "matriz"), "itself"),
        (("caixa-02", "--role", "caixa", "--relay"), "needs --link"),
        (("caixa-02", "--role", "caixa", "--link", "/x", "--mailbox", "{site}"), "add --relay"),
        (("caixa-02", "--role", "caixa", "--link", "/x", "--relay", "--mailbox", "../{sender}"), "expected a path"),
        (("caixa-02", "--role", "caixa", "--link", "/x", "--relay", "--mailbox", "{who}"), "expected a path"),
        (("caixa-02", "--role", "caixa", "--key", "not-there.pub"), "cannot be read"),
        (("CAIXA", "--role", "caixa"), "1 to 24"),
    ],
)  # fmt: skip
def test_peer_add_refuses_and_changes_nothing(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    shop = open_shop(tmp_path)
    before = (shop.matriz / "filesync.toml").read_bytes()
    run = shop.at_matriz("peer", "add", *arguments, code=2)
    assert says in " ".join((run.err + run.out).split())
    assert (shop.matriz / "filesync.toml").read_bytes() == before


def test_a_link_to_the_wrong_site_is_noticed_before_sales_lie_there(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    run = shop.at_matriz("peer", "add", "caixa-02", "--role", "caixa", "--link", shop.caixa, code=2)
    assert "the folder of caixa-01, not of caixa-02" in run.err


def test_two_sites_meet_at_a_relay(tmp_path: Path) -> None:
    for site, role in (("posto-centro", "posto"), ("matriz", "matriz")):
        filesync("init", tmp_path / site, "--site", site, "--role", role)
    (tmp_path / "relay").mkdir()
    for site, peer in (("posto-centro", "matriz"), ("matriz", "posto-centro")):
        filesync(
            "-C", tmp_path / site, "peer", "add", peer, "--role", peer.split("-")[0],
            "--link", tmp_path / "relay", "--relay", "--mailbox", "{sender}/to/{site}",
            "--key", config.key_path(tmp_path / peer).with_suffix(".pub"),
        )  # fmt: skip
    sales = Shop(tmp_path).sales()
    path = Shop(tmp_path).write([{**sale, "origem": "posto-centro"} for sale in sales])
    posto, matriz = tmp_path / "posto-centro", tmp_path / "matriz"
    filesync("-C", posto, "export", "vendas", "--from", path)
    filesync("-C", posto, "turn")
    assert list((tmp_path / "relay" / "posto-centro" / "to" / "matriz").iterdir())
    filesync("-C", matriz, "turn")
    filesync("-C", posto, "turn")
    feed = filesync("-C", posto, "status", "--json").json["feeds"][0]
    assert (feed["sealed"], feed["settled"], feed["applied_through"], feed["missing"]) == (1, 1, 1, [])


def test_key_prints_the_line_that_a_peer_pins(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    assert shop.at_caixa("key").out == config.key_path(shop.caixa).with_suffix(".pub").read_text("utf-8")
    lines = shop.at_caixa("key", "--allowed-signers").out.splitlines()
    assert [line.split()[0] for line in lines] == ["caixa-01", "matriz"]
    assert all('namespaces="filesync" ssh-ed25519 AAAA' in line for line in lines)


def test_mistakes_in_the_settings_are_named_with_their_place(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    settings = shop.caixa / "filesync.toml"
    settings.write_text(settings.read_text("utf-8") + f"\n[limits]\nchunk_documents = 0\n# {DAY}\n", "utf-8")
    run = shop.at_caixa("status", "--json", code=2)
    assert "limits.chunk_documents" in run.err
    assert run.json["error"]["code"] == "config-invalid"
    assert run.json["error"]["advice"]
