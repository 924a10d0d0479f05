"""`filesync void`, `filesync resend`, and what the other commands say of missing numbers, as a shopkeeper reads it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, filesync

from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

FEED = "vendas.caixa-01.matriz"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A till with three batches in its outbox, and a matriz that comes to it."""
    for site, role in (("matriz", "matriz"), ("caixa-01", "caixa")):
        filesync("init", tmp_path / site, "--site", site, "--role", role)
    for site, peer, more in (
        ("caixa-01", "matriz", ()),
        ("matriz", "caixa-01", ("--link", str(tmp_path / "caixa-01"))),
    ):
        key = tmp_path / peer / "keys" / "site_ed25519.pub"
        filesync(
            "-C", tmp_path / site, "peer", "add", peer, "--role", peer.split("-")[0], "--key", key, *more
        )
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=9)
    for n in range(3):
        path = tmp_path / f"{n}.jsonl"
        path.write_text("".join(json.dumps(sale) + "\n" for sale in day[3 * n : 3 * n + 3]), encoding="utf-8")
        filesync("-C", tmp_path / "caixa-01", "export", "vendas", "--from", path)
    return tmp_path


def lose(shop: Path, number: int) -> None:
    """The number's files are gone from the till's outbox, and from its disk."""
    for path in (shop / "caixa-01" / "outbox" / "matriz").glob(f"*.{number:010}.*"):
        path.unlink()


def at(shop: Path, site: str, *arguments: str, code: int | None = 0) -> str:
    return filesync("-C", shop / site, *arguments, code=code).out


def test_what_is_missing_is_shown_asked_for_and_given_up_at_the_matriz(shop: Path) -> None:
    lose(shop, 2)
    at(shop, "matriz", "turn")
    said = at(shop, "matriz", "status")
    assert "Missing (1):" in said
    assert re.search(
        rf"{re.escape(FEED)}, no\. 2 \(installation \w{{8}}\): noticed just now, asked for by itself soon",
        said,
    )
    assert f"filesync resend {FEED}" in said
    assert f"filesync void {FEED} 2 --reason" in said
    asked = at(shop, "matriz", "resend", FEED)
    assert f"Asked for: {FEED}, no. 2" in asked
    assert "asked for just now" in at(shop, "matriz", "status")
    listed = json.loads(at(shop, "matriz", "status", "--json"))
    assert [(hole["first"], hole["last"]) for hole in listed["holes"]] == [(2, 2)]

    made = at(shop, "matriz", "void", FEED, "2", "--reason", "o disco do caixa quebrou", "--by", "Ana")
    assert f"Given up: {FEED} no. 2" in made
    assert "by itself" not in made
    assert "filesync import" in made
    assert "applied" in at(shop, "matriz", "import").lower()
    said = at(shop, "matriz", "status")
    assert "Missing" not in said
    assert "Given up (1):" in said
    assert "o disco do caixa quebrou" in said
    assert "overridden here" in at(shop, "matriz", "void", "--list")
    (one,) = json.loads(at(shop, "matriz", "void", "--list", "--json"))
    assert (one["seq"], one["by"], one["override"], one["reason"]) == (
        2,
        "Ana",
        True,
        "o disco do caixa quebrou",
    )


def test_a_till_gives_its_batch_up_and_its_sales_come_again(shop: Path) -> None:
    made = at(
        shop, "caixa-01", "void", FEED, "1", "--reason", "arquivo apagado pelo antivírus", "--by", "Bia"
    )
    assert f"Given up: {FEED} no. 1 (3 sales" in made
    assert "filesync exchange" in made
    assert "given up" in at(shop, "caixa-01", "outbox")
    said = at(shop, "matriz", "turn", code=1)
    assert "Given up (1):" in said
    assert "Bia" in said
    assert "Refused by the recipient" in at(shop, "caixa-01", "turn", code=1)
    at(shop, "matriz", "turn")
    said = at(shop, "caixa-01", "turn")
    assert "Confirmed" in said
    feed = json.loads(at(shop, "matriz", "status", "--json"))["feeds"][0]
    assert (feed["sealed"], feed["applied_through"], feed["rejected"]) == (4, 4, 0)
    (void,) = (shop / "caixa-01" / "archive").rglob("*.void.json")
    shown = at(shop, "caixa-01", "show", void.name)
    assert "given up" in shown
    assert "arquivo apagado pelo antivírus" in shown
    key = shop / "caixa-01" / "keys" / "site_ed25519.pub"
    assert "given up by Bia" in filesync("verify", void, "--key", key).out
    other = shop / "matriz" / "keys" / "site_ed25519.pub"
    assert "WRONG" in filesync("verify", void, "--key", other, code=1).out


def test_the_till_sends_again_what_it_is_told_to(shop: Path) -> None:
    at(shop, "matriz", "turn")
    at(shop, "caixa-01", "turn")
    assert "Sent again: vendas of 02/03/2026 (no. 2 of caixa-01)" in at(shop, "caixa-01", "resend", FEED, "2")
    assert len(list((shop / "caixa-01" / "outbox" / "matriz").glob("*.0000000002.*"))) == 2
    assert json.loads(at(shop, "caixa-01", "resend", FEED, "2", "--json"))["again"] != []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("void", FEED), "which numbers"),
        (("void", FEED, "2"), "--reason"),
        (("void", FEED, "99999999", "--reason", "x", "--by", "Ana"), "got 99999999"),
        (
            ("void", "vendas.caixa-01", "2", "--reason", "x", "--by", "Ana"),
            "expected <dataset>.<origin>.<audience>",
        ),
        (("void", "vendas.caixa-77.matriz", "2", "--reason", "x", "--by", "Ana"), "nothing of it is known"),
        (("void", FEED, "1", "--reason", "x", "--by", "Ana"), "was applied"),
        (("resend", FEED), "nothing is known to be missing"),
    ],
)
def test_a_slip_changes_nothing_and_says_what_to_do(
    shop: Path, arguments: tuple[str, ...], said: str
) -> None:
    at(shop, "matriz", "turn")
    run = filesync("-C", shop / "matriz", *arguments, code=2)
    assert said in " ".join(run.err.split())
    assert "Nothing was given up." in at(shop, "matriz", "void", "--list")
