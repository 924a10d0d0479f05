"""`filesync carry`: what a shopkeeper types and reads with a stick in hand."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from cli_shop import Shop, filesync, open_shop

from filesync.cli import screen, wording
from filesync.exchange.reports import Progress

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path / "shop")


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


def test_there_and_back(shop: Shop, stick: Path) -> None:
    batch = shop.sell()
    out = shop.at_caixa("carry", "out", stick).out
    assert out.startswith("For matriz: 1 batch (")
    assert "carry in PATH" in out
    assert "put on a stick just now, waits for matriz's receipt" in shop.at_caixa("outbox").out
    assert "everything lies there already" in shop.at_caixa("carry", "out", stick).out

    taken = shop.at_matriz("carry", "in", stick).out
    assert taken.startswith("From caixa-01: 1 batch (")
    assert f"filesync carry out {stick}" in taken
    assert shop.at_matriz("carry", "in", stick).out == "Nothing new for matriz on it.\n"
    shop.at_matriz("import")
    assert "1 receipt (" in shop.at_matriz("carry", "out", stick).out
    assert "1 receipt (" in shop.at_caixa("carry", "in", stick).out
    assert batch in shop.at_caixa("import", "--json").json["settled"]
    assert shop.at_caixa("carry", "out", stick).out.startswith("Nothing waits for any peer.")
    assert "on a stick to matriz" in shop.at_caixa("show", batch).out


def test_json_says_what_moved(shop: Shop, stick: Path) -> None:
    shop.sell()
    found = shop.at_caixa("carry", "out", stick, "--peer", "matriz", "--json").json
    assert found == {
        "moved": {"matriz": {"files": 2, "bytes": found["moved"]["matriz"]["bytes"], "batches": 1, "receipts": 0, "voids": 0}},
        "unknown": {}, "for_others": {"matriz": 2}, "strangers": [], "interrupted": None,
    }  # fmt: skip
    kept = shop.at_matriz("carry", "in", stick, "--keep", "--json").json
    assert kept["moved"]["caixa-01"]["files"] == 2
    assert shop.at_matriz("carry", "in", stick, "--json").json["moved"]["caixa-01"]["files"] == 0


def test_what_is_not_ours_is_named_and_left(shop: Shop, stick: Path, tmp_path: Path) -> None:
    shop.sell()
    shop.at_caixa("carry", "out", stick)
    box = stick / "filesync" / "matriz" / "inbox"
    (box / "caixa-01" / "férias.txt").write_text("x", encoding="utf-8")
    shutil.copytree(box / "caixa-01", box / "caixa-77")
    run = shop.at_matriz("carry", "in", stick, code=1)
    assert "2 files by caixa-77, which is no peer here; left on the stick" in run.out
    assert "filesync peer add caixa-77" in run.out
    assert "férias.txt" in run.out
    assert sorted(path.name for path in (box / "caixa-01").iterdir() if path.is_file()) == ["férias.txt"]
    other = tmp_path / "portal"
    filesync("init", other, "--site", "portal", "--role", "portal")
    assert "Also on the stick: 2 files for matriz" in filesync("-C", other, "carry", "in", stick).out


def test_no_stick(shop: Shop, tmp_path: Path) -> None:
    shop.sell()
    run = shop.at_caixa("carry", "out", tmp_path / "nothing", code=3)
    assert "a stick was expected" in run.err
    assert (
        shop.at_caixa("carry", "out", tmp_path / "nothing", "--json", code=3).json["error"]["code"]
        == "unreachable"
    )
    assert "no peer is called" in shop.at_caixa("carry", "out", tmp_path, "--peer", "caixa-99", code=2).err


def test_a_stick_that_is_pulled_or_full(shop: Shop, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filesync.errors import TransportError
    from filesync.transports.folder import FolderTransport

    shop.sell()

    def broken(code: str) -> None:
        def put_many(*_: object, **__: object) -> None:
            raise TransportError(code, f"{stick}: it is {code}")

        monkeypatch.setattr(FolderTransport, "put_many", put_many)

    broken("unreachable")
    run = shop.at_caixa("carry", "out", stick, code=3)
    assert "Not finished" in run.out
    assert "Put the stick back and give the command again: filesync carry out PATH" in run.out
    broken("full")
    run = shop.at_caixa("carry", "out", stick, "--json", code=3)
    assert run.json["interrupted"]["code"] == "full"
    assert "With more space, or another stick" in shop.at_caixa("carry", "out", stick, code=3).out


def test_progress_says_how_much_how_fast_and_how_long() -> None:
    tick = Progress("carry out", 3, 9, "batches", 12_000_000, 40_000_000)
    assert screen.how_far(tick, 2.0, 4_000_000) == "3/9, 12 MB of 40 MB, 4,0 MB/s, 7 s left"
    assert screen.how_far(tick, 0.1) == "3/9, 12 MB of 40 MB", "no rate before it can be known"
    assert screen.how_far(Progress("apply", 5, None, "batches"), 3.0) == "5"
    assert [wording.lasting(s) for s in (0.2, 89, 91, 7200)] == ["1 s", "89 s", "2 min", "2 h"]
