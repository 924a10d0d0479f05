"""Versions of contracts as a person meets them: is this schema a next version, which are known here, and what waits for whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import Shop, filesync, open_shop

from filesync.contracts import Registry

if TYPE_CHECKING:
    from pathlib import Path


def vendas(version: int = 2, **more: Any) -> dict[str, Any]:
    """The packaged contract as that version, with these members added."""
    contract = Registry.packaged().get("vendas", 1)
    assert contract is not None
    schema: dict[str, Any] = json.loads(json.dumps(contract.schema))
    schema["x-filesync"]["version"] = version
    schema["properties"] |= more
    return schema


def write(path: Path, schema: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


CANAL: dict[str, Any] = {"canal": {"type": "string", "enum": ["balcao", "web"]}}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path)


def test_a_next_version_is_checked_against_the_one_before(tmp_path: Path) -> None:
    new = write(tmp_path / "vendas.v2.json", vendas(**CANAL))
    run = filesync("contract", "check", new, "--against", "vendas")
    assert "can be used as a contract" in run.out
    assert "It can stand beside vendas.v1" in run.out
    assert "New in it: canal" in run.out
    told = filesync("contract", "check", new, "--against", "vendas.v1", "--json").json
    assert told["usable"] is True
    assert told["against"] == {"contract": "vendas.v1", "beside": True, "breaks": [], "added": ["canal"]}
    assert "against" not in filesync("contract", "check", new, "--json").json


def test_what_breaks_is_told_whole_with_its_places(tmp_path: Path) -> None:
    old = write(tmp_path / "old.json", vendas(1))
    broken = vendas(**CANAL)
    broken["required"].append("canal")
    del broken["properties"]["operador"]
    broken["$defs"]["forma"]["enum"].remove("02")
    broken["x-filesync"]["key"].append("caixa")
    new = write(tmp_path / "new.json", broken)
    run = filesync("contract", "check", new, "--against", old, code=1)
    assert "It cannot stand beside vendas.v1:" in run.out
    assert "New in it" not in run.out
    places = ["/required/12", "/properties/operador", "/$defs/forma/enum", "/x-filesync/key"]
    assert all(f"  {place}: " in run.out for place in places), run.out
    told = filesync("contract", "check", new, "--against", old, "--json", code=1).json["against"]
    assert told["beside"] is False
    assert {problem["pointer"] for problem in told["breaks"]} == set(places)


def test_a_schema_that_is_no_contract_is_not_compared(tmp_path: Path) -> None:
    schema = vendas()
    schema["properties"]["caixa"]["type"] = "number"
    new = write(tmp_path / "new.json", schema)
    run = filesync("contract", "check", new, "--against", "vendas", code=1)
    assert "cannot be used as a contract" in run.out
    assert "stand beside" not in run.out
    assert "against" not in filesync("contract", "check", new, "--against", "vendas", "--json", code=1).json


@pytest.mark.parametrize("name", ["nada", "vendas.v7", "vendas.vx", "vendas.v", "produtos"])
def test_a_version_that_nobody_knows_is_named(tmp_path: Path, name: str) -> None:
    if name == "produtos":  # it is known, but no version of vendas
        run = filesync("contract", "check", write(tmp_path / "new.json", vendas()), "--against", name, code=1)
        assert "/x-filesync/dataset" in run.out
        return
    run = filesync("contract", "check", write(tmp_path / "new.json", vendas()), "--against", name, code=2)
    assert name in run.err
    assert "vendas.v1" in run.err


def test_both_versions_are_listed_and_shown(shop: Shop) -> None:
    write(shop.caixa / "schemas" / "vendas.v2.json", vendas(**CANAL))
    listed = [(one["dataset"], one["version"]) for one in shop.at_caixa("contract", "list", "--json").json]
    assert [version for dataset, version in listed if dataset == "vendas"] == [1, 2]
    assert len(listed) == len(set(listed)) == len(Registry.packaged().versions()) + 1
    page = shop.at_caixa("contract", "show", "vendas").out
    assert "vendas.v2" in page
    assert "v1, v2" in page
    assert "new since v1" in page
    older = shop.at_caixa("contract", "show", "vendas", "--version", "1").out
    assert "vendas.v1" in older
    assert "v1, v2" in older
    assert "canal" not in older
    assert "v1, v2" not in shop.at_matriz("contract", "show", "vendas").out
    against = shop.at_caixa(
        "contract", "check", write(shop.root / "v3.json", vendas(3)), "--against", "vendas", code=1
    )
    assert "It cannot stand beside vendas.v2" in against.out
    assert "/properties/canal" in against.out


def test_a_site_with_a_version_that_breaks_says_so(shop: Shop) -> None:
    broken = vendas()
    del broken["properties"]["operador"]
    path = write(shop.matriz / "schemas" / "vendas.v2.json", broken)
    run = shop.at_matriz("status", code=2)
    assert "vendas.v2: cannot stand beside vendas.v1" in run.err
    assert "/properties/operador" in run.err
    assert "contract check FILE --against" in run.err
    assert (
        "/properties/operador"
        in shop.at_matriz("contract", "check", path, "--against", "vendas.v1", code=1).out
    )


def test_what_waits_for_a_recipient_is_said_and_goes_when_it_knows(shop: Shop) -> None:
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    write(shop.caixa / "schemas" / "vendas.v2.json", vendas(**CANAL))
    sold = shop.sales(5)
    sold[0]["canal"] = "web"
    day = shop.write(sold)
    run = shop.at_caixa("export", "vendas", "--from", day, code=3)
    assert "4 sales sealed" in run.out
    assert "vendas: 1 documents need vendas.v2" in run.out
    assert "got v1 or older at matriz" in run.out
    assert "sent by itself once filesync" in run.out
    told = shop.at_caixa("export", "vendas", "--from", day, "--json", code=3).json
    assert (told["held"], told["sealed"], told["failed"][0]["code"]) == (1, [], "recipient-older")
    again = shop.at_caixa("export", "vendas", "--from", day, code=3).out
    assert "nothing new to send" not in again
    status = shop.at_caixa("status").out
    assert (
        "Not sealed yet, because a recipient is older:\n  1 sale needs vendas.v2, noticed just now; matriz knows v1. It goes"
        in status
    )
    assert shop.at_caixa("status", "--json").json["held_back"][0]["documents"] == 1
    doctor = shop.at_caixa("doctor", code=None).out
    assert "matriz still uses vendas v1 (here v2)" in doctor
    write(shop.matriz / "schemas" / "vendas.v2.json", vendas(**CANAL))
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    assert "1 sale sealed" in shop.at_caixa("export", "vendas", "--from", day).out
    assert "the same as matriz's" in shop.at_caixa("doctor", code=None).out
    assert "Not sealed yet" not in shop.at_caixa("status").out
