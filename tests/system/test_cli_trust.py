"""`peer add --link sftp://…` and `peer trust`: a server is spoken to only after a person confirmed its key."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, Run, filesync
from network import table

from filesync.demo.sales import sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

    from sshd import Sshd


@dataclass(frozen=True)
class Till:
    """caixa-01, whose matriz lies behind a real SSH server that nobody has confirmed."""

    root: Path

    def __call__(self, *arguments: str | Path, code: int | None = 0) -> Run:
        return filesync("-C", self.root / "caixa-01", *arguments, code=code)

    @property
    def known_hosts(self) -> Path:
        return self.root / "caixa-01" / "keys" / "known_hosts"


def _link(sshd: Sshd, root: Path) -> str:
    return f"sftp://{getpass.getuser()}@127.0.0.1:{sshd.port}{(root / 'matriz').as_posix()}"


@pytest.fixture
def till(tmp_path: Path, sshd: Sshd) -> Till:
    filesync("init", tmp_path / "matriz", "--site", "matriz", "--role", "matriz")
    filesync("init", tmp_path / "caixa-01", "--site", "caixa-01", "--role", "caixa")
    keys = {name: tmp_path / name / "keys" / "site_ed25519.pub" for name in ("matriz", "caixa-01")}
    filesync(
        "-C", tmp_path / "matriz", "peer", "add", "caixa-01", "--role", "caixa", "--key", keys["caixa-01"]
    )
    made = Till(tmp_path)
    made(
        "peer", "add", "matriz", "--role", "matriz", "--link", _link(sshd, tmp_path), "--identity", sshd.identity, "--key", keys["matriz"]
    )  # fmt: skip
    with Station.open(tmp_path / "caixa-01") as station:
        station.seal("vendas", table(sales_of_day("caixa-01", Role.CAIXA, DAY, count=5)))
    return made


def test_an_unconfirmed_server_is_refused_until_its_fingerprint_is_given(till: Till, sshd: Sshd) -> None:
    before = till("turn", code=3)
    assert sshd.fingerprint in before.out + before.err
    assert "peer trust" in before.out + before.err, "the message says what to do"
    answer = till("peer", "trust", "matriz", "--fingerprint", sshd.fingerprint, "--json").json
    assert (answer["fingerprint"], answer["answer"]) == (sshd.fingerprint, "trusted from now on")
    till("turn")
    filesync("-C", till.root / "matriz", "turn")
    till("turn")
    assert till("status", "--json").json["outbox"] == []
    assert till("peer", "trust", "matriz", "--json").json["answer"] == "trusted already"


def test_another_fingerprint_changes_nothing(till: Till) -> None:
    run = till("peer", "trust", "matriz", "--fingerprint", "SHA256:" + "A" * 43, code=2)
    assert "SHA256:AAAA" in run.err
    assert not till.known_hosts.exists()


def test_where_nobody_can_say_yes_nothing_is_trusted(till: Till, sshd: Sshd) -> None:
    run = till("peer", "trust", "matriz", code=2)
    assert sshd.fingerprint in run.err
    assert "--fingerprint" in run.err
    assert not till.known_hosts.exists()


def test_a_changed_key_is_refused_until_the_new_one_is_confirmed(
    till: Till, sshd: Sshd, tmp_path: Path
) -> None:
    other = (tmp_path / "matriz" / "keys" / "site_ed25519.pub").read_text(encoding="utf-8").split()
    till.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {other[0]} {other[1]}\n", encoding="utf-8")
    before = till("turn", code=3)
    assert sshd.fingerprint in before.out + before.err
    till("peer", "trust", "matriz", "--fingerprint", sshd.fingerprint)
    till("turn")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--identity"),
        (("--identity", "nowhere"), "no such file"),
    ],
)
def test_a_link_over_sftp_needs_a_key_that_is_there(
    till: Till, sshd: Sshd, more: tuple[str, ...], said: str
) -> None:
    run = till("peer", "add", "portal", "--role", "portal", "--link", _link(sshd, till.root), *more, code=2)
    assert said in run.err
    assert "\n[peers.portal]" not in (till.root / "caixa-01" / "filesync.toml").read_text(encoding="utf-8")


def test_a_password_in_a_link_is_refused_and_not_repeated(till: Till, sshd: Sshd) -> None:
    link = _link(sshd, till.root).replace("@", ":segredo@")
    run = till(
        "peer", "add", "portal", "--role", "portal", "--link", link, "--identity", sshd.identity, code=2
    )
    assert "password" in run.err
    assert "segredo" not in run.out + run.err


def test_a_folder_has_no_host_key(till: Till) -> None:
    till("peer", "add", "posto-1", "--role", "posto")
    assert "sftp" in till("peer", "trust", "posto-1", code=2).err
