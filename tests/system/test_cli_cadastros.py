"""Cadastros on the command line: sent all at once from the matriz, looked at in a till."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, Shop, filesync, open_shop

from filesync.demo import cadastros as demo

if TYPE_CHECKING:
    from pathlib import Path

DATASETS = {
    "funcionarios": demo.funcionarios(),
    "credenciais": demo.credenciais(),
    "clientes": demo.clientes(),
    "produtos": demo.produtos(DAY),
}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The matriz has a file of each cadastro, outside of its folder."""
    shop = open_shop(tmp_path / "shop")
    for dataset, documents in DATASETS.items():
        folder = tmp_path / "cadastros" / dataset
        folder.mkdir(parents=True)
        (folder / "todos.jsonl").write_text(
            "".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8"
        )
        with (shop.matriz / "filesync.toml").open("a", encoding="utf-8") as file:
            file.write(
                f'\n[datasets.{dataset}.source]\nkind = "jsonl"\npath = "{folder.as_posix()}/*.jsonl"\n'
            )
    return shop


def test_all_of_them_at_once(shop: Shop) -> None:
    out = shop.at_matriz("export", "cadastros", "--full").out
    for text in (
        "18 employees sealed",
        "18 passwords sealed",
        "60 customers sealed",
        "products sealed for caixa-01",
    ):
        assert text in out
    assert out.count("They wait in the outbox") == 1
    again = shop.at_matriz("export", "cadastros", "--full", "--json").json
    assert [(one["dataset"], one["sealed"], one["unchanged"]) for one in again["exported"]] == [
        (dataset, [], len(documents)) for dataset, documents in DATASETS.items()
    ]
    shop.at_caixa("turn")
    held = shop.at_caixa("cadastros", "--date", DAY.isoformat(), "--json").json
    assert held["day"] == DAY.isoformat()
    assert {one["dataset"]: (one["number"], one["active"], one["behind"]) for one in held["cadastros"]} == {
        dataset: (1, len(documents), 0) for dataset, documents in DATASETS.items()
    }
    assert "begin later" in shop.at_caixa("cadastros").out


def test_one_that_fails_holds_up_no_other(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "cadastros" / "credenciais" / "todos.jsonl").write_text(
        json.dumps({**DATASETS["credenciais"][0], "senha_argon2id": "segredo123"}) + "\n", encoding="utf-8"
    )
    run = shop.at_matriz("export", "cadastros", "--full", code=1)
    assert "credenciais could not be exported" in run.out
    assert "products sealed" in run.out
    assert "segredo123" not in run.out + run.err
    assert "segredo123" not in shop.at_matriz("quarantine", "show", "credenciais").out


def test_without_any_source_it_says_what_to_do(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    run = shop.at_matriz("export", "cadastros", "--full", code=2)
    assert "has a source" in run.err
    assert "filesync export cadastros --full" in shop.at_caixa("cadastros").out
    assert "filesync outbox" in shop.at_matriz("cadastros").out
    shop.at_matriz("export", "cadastros", "--from", shop.write([]), code=2)


def test_the_rows_of_one(shop: Shop, tmp_path: Path) -> None:
    shop.at_matriz("export", "cadastros", "--full")
    shop.at_caixa("turn")
    target = tmp_path / "produtos.csv"
    assert (
        "45 rows written"
        in shop.at_caixa("cadastros", "produtos", "--date", "02/03/2026", "--csv", target).out
    )
    with target.open(encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file, delimiter=";"))
    assert len(written) == len(DATASETS["produtos"])
    first = next(one for one in DATASETS["produtos"] if one["codigo"] == written[0]["codigo"])
    assert written[0]["preco"] == f"{first['preco_centavos'] // 100},{first['preco_centavos'] % 100:02d}"
    rows = shop.at_caixa("cadastros", "clientes", "--json").json["rows"]
    assert sorted(rows, key=lambda one: one["codigo"]) == DATASETS["clientes"]
    assert "… and 20 more" in shop.at_caixa("cadastros", "clientes").out
    assert "Nothing is active" in shop.at_caixa("cadastros", "produtos", "--date", "2020-01-01").out


def test_hashes_are_not_shown(shop: Shop, tmp_path: Path) -> None:
    shop.at_matriz("export", "cadastros", "--full")
    shop.at_caixa("turn")
    target = tmp_path / "credenciais.csv"
    shop.at_caixa("cadastros", "credenciais", "--csv", target)
    texts = [
        target.read_text(encoding="utf-8"),
        shop.at_caixa("cadastros", "credenciais", "--csv", "-").out,
        shop.at_caixa("cadastros", "credenciais", "--json").out,
        shop.at_caixa("cadastros", "credenciais").out,
    ]
    assert all("1001" in text and "argon" not in text for text in texts)


def test_an_encrypted_batch_is_verified_as_far_as_it_can_be(shop: Shop) -> None:
    shop.at_matriz("export", "cadastros", "--full")
    manifest = next((shop.matriz / "outbox" / "caixa-01").glob("credenciais.*.manifest.json"))
    run = filesync("verify", manifest, "--key", shop.root / "matriz.pub")
    assert "encrypted to its recipients" in run.out
    assert "Nothing is wrong" in run.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("vendas",),
        ("nada",),
        ("--csv", "x.csv"),
        ("produtos", "--csv", "x.csv", "--json"),
        ("produtos", "--date", "ontem"),
    ],
)
def test_what_it_does_not_understand(shop: Shop, arguments: tuple[str, ...]) -> None:
    shop.at_caixa("cadastros", *arguments, code=2)
