"""One batch in full, its signed bytes, and the checks that need no site."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cli_shop import Shop, filesync, installed, open_shop

from filesync.protocol.envelope import decode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settled(tmp_path: Path) -> tuple[Shop, str]:
    """A batch that made its whole way."""
    shop = open_shop(tmp_path)
    batch = shop.sell(8)
    for turn in (shop.at_caixa, shop.at_matriz, shop.at_caixa):
        turn("turn")
    return shop, batch


def test_show_tells_the_story_at_both_ends(settled: tuple[Shop, str]) -> None:
    shop, batch = settled
    run = shop.at_caixa("show", batch)
    assert "vendas of 02/03/2026 (no. 1 of caixa-01): applied by matriz" in run.out
    events = [event["what"] for event in shop.at_caixa("show", batch, "--json").json["timeline"]]
    assert events == ["sealed", "shipped", "received", "applied", "settled"]
    assert "applied here" in shop.at_matriz("show", batch).out
    events = [event["what"] for event in shop.at_matriz("show", batch, "--json").json["timeline"]]
    assert events == ["sealed", "received", "applied"]
    assert shop.at_matriz("show", batch, "--json").json["receipts"][0]["verdict"] == "APPLIED"


def test_a_batch_is_found_by_a_beginning_or_by_any_of_its_files(settled: tuple[Shop, str]) -> None:
    shop, batch = settled
    for name in (
        batch[:30],
        f"{batch}.parquet",
        f"{batch}.manifest.json",
        f"{batch}.matriz.receipt.json",
        f"/some/{batch}.jsonl",
    ):
        assert shop.at_caixa("show", name, "--json").json["batch"] == batch  # fmt: skip
    second = shop.sell(3, seed=2)
    run = shop.at_caixa("show", "vendas", code=2)
    assert batch in run.err
    assert second in run.err
    assert "Type more" in run.err


def test_show_knows_what_only_lies_in_the_inbox(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    batch = shop.sell(2)
    shop.at_caixa("exchange")
    run = shop.at_matriz("show", batch[:25])
    assert "not decided here; its files are in inbox" in run.out


def openssh() -> str:
    tool = shutil.which("ssh-keygen")
    if tool is None:
        if os.environ.get("CI"):
            pytest.fail("ssh-keygen is missing, and in CI it must not be")
        pytest.skip("no ssh-keygen here")
    return tool


@pytest.mark.parametrize(("site", "more", "signer"), [
    ("matriz", (), "caixa-01"), ("caixa-01", ("--receipt",), "matriz"),
    *(pytest.param(*own, marks=pytest.mark.slow) for own in (("caixa-01", (), "caixa-01"), ("matriz", ("--receipt",), "matriz"))),
])  # fmt: skip
def test_openssh_accepts_what_show_hands_out(
    settled: tuple[Shop, str], site: str, more: tuple[str, ...], signer: str
) -> None:
    shop, batch = settled
    at = shop.root / site
    signers, signature = shop.root / "signers", shop.root / "batch.sig"
    signers.write_bytes(installed("-C", at, "key", "--allowed-signers").stdout)
    signature.write_bytes(installed("-C", at, "show", batch, "--signature", *more).stdout)
    signed = installed("-C", at, "show", batch, "--signed-bytes", *more).stdout
    verify = [
        openssh(),
        "-Y",
        "verify",
        "-f",
        str(signers),
        "-I",
        signer,
        "-n",
        "filesync",
        "-s",
        str(signature),
    ]
    good = subprocess.run(verify, input=signed, capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    bad = subprocess.run(verify, input=signed + b" ", capture_output=True, check=False)
    assert bad.returncode != 0


def test_signed_bytes_are_exactly_those_of_the_file_and_nothing_else(settled: tuple[Shop, str]) -> None:
    shop, batch = settled
    [file] = (shop.matriz / "archive").rglob(f"{batch}.manifest.json")
    envelope = decode(file.read_bytes())
    run = installed("-C", shop.matriz, "show", batch, "--signed-bytes")
    assert (run.stdout, run.stderr, run.returncode) == (envelope.canonical, b"", 0)
    [file] = (shop.caixa / "archive").rglob(f"{batch}.manifest.json")
    file.unlink()  # the ledger makes it again, byte for byte
    assert installed("-C", shop.caixa, "show", batch, "--signed-bytes").stdout == envelope.canonical
    assert installed("-C", shop.caixa, "show", batch, "--signature").stdout.decode() == envelope.signature


def test_what_cannot_be_handed_out_is_said(settled: tuple[Shop, str]) -> None:
    shop, batch = settled
    shop.at_caixa("show", batch, "--signature", "--signed-bytes", code=2)
    assert "no receipt by posto" in shop.at_caixa("show", batch, "--signature", "--by", "posto", code=2).err
    for file in (shop.matriz / "archive").rglob(f"{batch}.manifest.json"):
        file.unlink()
    assert "lies in no folder" in shop.at_matriz("show", batch, "--signature", code=2).err


# ------------------------------------------------------------------------------------------------ verify


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Shop, Path]:
    """A sealed batch's manifest, away from any site."""
    shop = open_shop(tmp_path)
    batch = shop.sell(8)
    away = tmp_path / "away"
    away.mkdir()
    for file in (shop.caixa / "outbox" / "matriz").iterdir():
        shutil.copy(file, away)
    return shop, away / f"{batch}.manifest.json"


def test_verify_checks_a_batch_with_no_site(sealed: tuple[Shop, Path]) -> None:
    shop, manifest = sealed
    run = filesync("verify", manifest, "--key", shop.root / "caixa-01.pub")
    assert "WRONG" not in run.out
    checks = filesync("verify", manifest, "--json").json["checks"]
    assert {c["what"]: c["passed"] for c in checks} == {
        "signature": None, "manifest": True, "size": True, "sha256": True, "rules": True, "rows": True, "totals": True,
    }  # fmt: skip
    payload = next(path for path in manifest.parent.iterdir() if path != manifest)
    assert filesync("verify", payload, manifest).out == filesync("verify", manifest).out, (
        "one batch, checked once"
    )


@pytest.mark.parametrize(
    "harm", ["flip", "cut", "gone", "other key", "changed manifest", "renamed", "no batch"]
)
def test_verify_finds_what_is_wrong(sealed: tuple[Shop, Path], harm: str) -> None:
    shop, manifest = sealed
    payload = next(path for path in manifest.parent.iterdir() if path != manifest)
    key = shop.root / "caixa-01.pub"
    file = manifest
    match harm:
        case "flip":
            shop.damage(payload)
        case "cut":
            payload.write_bytes(payload.read_bytes()[:-10])
        case "gone":
            payload.unlink()
        case "other key":
            key = shop.root / "matriz.pub"
        case "changed manifest":
            manifest.write_bytes(manifest.read_bytes().replace(b'"delta"', b'"snapshot"'))
        case "renamed":
            file = manifest.rename(manifest.with_name(manifest.name.replace(".0000000001.", ".0000000002.")))
        case "no batch":
            file = shop.root / "caixa-01.pub"
    run = filesync("verify", file, "--key", key, code=1)
    assert "WRONG" in run.out
    assert filesync("verify", file, "--key", key, "--json", code=1).json["good"] is False


def test_verify_checks_the_rows_too(sealed: tuple[Shop, Path]) -> None:
    """A batch whose bytes are as claimed and whose totals are not."""
    shop, manifest = sealed
    envelope = json.loads(manifest.read_bytes())
    envelope["signed"]["totals"]["total_centavos"] += 1
    manifest.write_text(json.dumps(envelope), "utf-8")
    assert "WRONG totals" in filesync("verify", manifest, code=1).out
    del shop


def test_verify_a_receipt(settled: tuple[Shop, str]) -> None:
    shop, batch = settled
    [receipt] = (shop.caixa / "archive").rglob(f"{batch}.matriz.receipt.json")
    run = filesync("verify", receipt, "--key", shop.root / "matriz.pub")
    assert "APPLIED by matriz" in run.out
    filesync("verify", receipt, "--key", shop.root / "caixa-01.pub", code=1)
    filesync("verify", shop.root / "not-there.json", code=2)


# ------------------------------------------------------------------------------------------------ contracts


def test_contracts_are_shown_and_checked(tmp_path: Path) -> None:
    assert "vendas" in filesync("contract", "list").out
    assert {c["dataset"] for c in filesync("contract", "list", "--json").json} >= {
        "vendas",
        "fechamento",
        "bdf",
    }
    page = filesync("contract", "show", "vendas").out
    for word in (
        "codigo_rastreio",
        "s10",
        "optional",
        "Σ itens.total_centavos",
        "when situacao is concluida",
    ):
        assert word in page
    schema = filesync("contract", "show", "vendas", "--json")
    good = tmp_path / "vendas.json"
    good.write_text(schema.out, "utf-8")
    assert "can be used" in filesync("contract", "check", good).out
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**schema.json, "if": {}, "properties": {}}), "utf-8")
    run = filesync("contract", "check", bad, code=1)
    assert "/if: " in run.out
    assert filesync("contract", "check", bad, "--json", code=1).json["usable"] is False
    bad.write_text("{", "utf-8")
    filesync("contract", "check", bad, code=1)
    assert "contract list" in filesync("contract", "show", "nada", code=2).err
    filesync("contract", "show", "vendas", "--version", "99", code=2)
