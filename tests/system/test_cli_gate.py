"""`filesync gate`, `done`, `override` and `roster`, as a person at the matriz types them."""

from __future__ import annotations

import contextlib
import io
import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import shopdays
from cli_shop import Shop, filesync, open_shop

from filesync.cli.gates import say_closed
from filesync.demo.sales import sales_of_day
from filesync.protocol.envelope import decode
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from network import Network

DATE = "2026-03-02"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path)


@pytest.fixture
def closed(shop: Shop) -> Shop:
    """The till sold, closed its day and sent it."""
    (shop.caixa / "drop" / "vendas").mkdir(parents=True, exist_ok=True)
    shop.sell()
    shop.at_caixa("close", "--date", DATE, "--contado", "0,00")
    shop.at_caixa("exchange")
    shop.at_matriz("turn")
    return shop


def test_a_closed_gate_says_who_owes_what_and_what_to_type(shop: Shop) -> None:
    run = shop.at_matriz("gate", "importar_bdf", "--date", "02/03/2026", code=1)
    assert run.out.splitlines()[:5] == [
        "importar_bdf of 02/03/2026 may not run yet: 1 site owes something.",
        "",
        "caixa-01   (never heard from)",
        "  - the day is not closed: nothing that came from there says that a close was made",
        "    at caixa-01: filesync close --date 2026-03-02 --contado VALOR",
    ]
    assert "--sem-movimento" in run.out
    found = shop.at_matriz("gate", "importar_bdf", "--date", DATE, "--json", code=1).json
    assert (found["open"], found["evidence"]) == (False, None)
    (reason,) = found["reasons"]
    assert {name: reason[name] for name in ("code", "site", "known", "at", "command")} == {
        "code": "not-closed",
        "site": "caixa-01",
        "known": "not-produced",
        "at": "caixa-01",
        "command": "filesync close --date 2026-03-02 --contado VALOR",
    }


def test_the_commands_that_are_told_open_the_gate(shop: Shop) -> None:
    """Whatever a reason says to type is typed, until nothing is owed."""
    shop.sell()
    shop.at_caixa("exchange")
    shop.at_matriz("import")
    for _ in range(6):
        run = shop.at_matriz("gate", "importar_bdf", "--date", DATE, "--json", code=None)
        if run.code == 0:
            break
        reason = run.json["reasons"][0]
        words = reason["command"].replace("VALOR", "1234,56").split()[1:]
        (shop.at_caixa if reason["at"] == "caixa-01" else shop.at_matriz)(*words, code=None)
        shop.at_caixa("exchange")
        shop.at_matriz("import")
    else:
        pytest.fail(f"still closed: {run.out}")


def test_an_open_gate_names_its_evidence(closed: Shop) -> None:
    run = closed.at_matriz("gate", "importar_bdf", "--date", DATE)
    assert run.out.startswith("importar_bdf of 02/03/2026 may run.\n")
    found = closed.at_matriz("gate", "importar_bdf", "--date", DATE, "--json").json
    path = closed.matriz / found["evidence"]
    assert found["evidence"] in run.out
    assert re.fullmatch(r"importar_bdf\.2026-03-02\.[0-9a-f]{12}\.json", path.name)
    assert decode(path.read_bytes()).signed["step"] == "importar_bdf"
    key = closed.root / "matriz.pub"
    told = filesync("verify", path, "--key", key).out
    assert "importar_bdf of 02/03/2026 opened at matriz: 1 site, 2 batches" in told
    path.write_bytes(path.read_bytes().replace(b"caixa-01", b"caixa-02", 1))
    assert "signature" in filesync("verify", path, "--key", key, code=1).out
    renamed = path.rename(path.with_name(path.name.replace("importar_bdf", "importar_ca")))
    filesync("verify", renamed, code=1)


def test_steps_that_wait_for_steps(closed: Shop) -> None:
    run = closed.at_matriz("gate", "conciliar", "--date", DATE, code=1)
    assert (
        "  - importar_bdf is not done yet\n    at matriz: filesync import-bdf FILE --date 2026-03-02\n"
        in run.out
    )
    assert (
        "exportar_sara is not done yet"
        in closed.at_matriz("gate", "exportar_portal", "--date", DATE, code=1).out
    )
    closed.at_matriz("done", "exportar_sara", "--date", DATE, "--by", "Márcia")
    closed.at_matriz("gate", "exportar_portal", "--date", DATE)
    closed.at_matriz("done", "exportar_sara", "--date", DATE, "--by", "Márcia", "--undo")
    closed.at_matriz("gate", "exportar_portal", "--date", DATE, code=1)


def test_a_step_whose_gate_is_closed_is_not_marked(shop: Shop) -> None:
    run = shop.at_matriz("done", "exportar_portal", "--date", DATE, "--by", "Ana", code=1)
    assert "caixa-01" in run.out
    assert "filesync override STEP" in run.err
    error = shop.at_matriz("done", "exportar_portal", "--date", DATE, "--by", "Ana", "--json", code=1).json[
        "error"
    ]
    assert error["code"] == "gate-closed"
    assert error["reasons"][0]["code"] == "step-not-done"


def test_an_override_takes_two_and_is_shown(shop: Shop) -> None:
    given = ("override", "importar_bdf", "--date", DATE, "--reason", "posto sem luz", "--by", "Ana")
    alone = shop.at_matriz(*given, code=2)
    assert "a second person" in alone.err
    assert "--confirmed-by" in alone.err
    assert shop.at_matriz("override", "--list").out == "No override was given.\n"
    made = shop.at_matriz(*given, "--confirmed-by", "Rui", "--site", "caixa-01", "--hours", "2")
    assert "Override no. 1 holds until " in made.out
    opened = shop.at_matriz("gate", "importar_bdf", "--date", DATE)
    assert "*** Only by override no. 1 ***" in opened.out
    assert "posto sem luz (Ana, confirmed by Rui)" in opened.out
    (listed,) = shop.at_matriz("override", "--list", "--json").json
    assert (listed["by"], listed["confirmed_by"], listed["site"], listed["in_force"]) == (
        "Ana",
        "Rui",
        "caixa-01",
        True,
    )
    shop.at_matriz("override", "--revoke", "1", "--date", DATE, "--by", "Rui")
    shop.at_matriz("gate", "importar_bdf", "--date", DATE, code=1)
    assert "taken back by Rui" in shop.at_matriz("override", "--list").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("override",),
        ("override", "importar_bdf"),
        ("override", "--revoke", "1", "--date", DATE),
        ("gate", "importar_tudo", "--date", DATE),
        ("gate", "importar_bdf", "--date", "amanhã"),
        ("done", "receber_vendas_remotas", "--date", DATE, "--by", "Ana"),
    ],
)
def test_wrong_usage_is_told(shop: Shop, arguments: tuple[str, ...]) -> None:
    run = shop.at_matriz(*arguments, code=2)
    assert run.err.strip()


def test_the_roster_of_a_day(shop: Shop) -> None:
    assert (shop.matriz / "sites.toml").read_text(encoding="utf-8").startswith("# Which sites are due")
    assert not (shop.caixa / "sites.toml").exists()
    assert "1 of 1 sites are due" in shop.at_matriz("roster", "--date", DATE).out
    run = shop.at_matriz("roster", "--date", "2026-04-21")
    assert "0 of 1 sites are due" in run.out
    assert "Holiday: Tiradentes" in run.out
    found = json.loads(shop.at_matriz("roster", "--date", DATE, "--json").out)
    assert found["sites"][0]["due"] is True
    (shop.matriz / "sites.toml").write_text("[sites.nobody]\n", encoding="utf-8")
    broken = shop.at_matriz("gate", "importar_bdf", "--date", DATE, code=2)
    assert "sites.toml" in broken.err


def test_many_sites_are_counted_unless_all_are_wanted(shop: Shop) -> None:
    with (shop.matriz / "filesync.toml").open("a", encoding="utf-8") as file:
        file.writelines(f'\n[peers.posto-{n:02d}]\nrole = "posto"\n' for n in range(40))
    run = shop.at_matriz("gate", "importar_bdf", "--date", DATE, code=1)
    assert "41 sites owe something" in run.out
    assert "… and 26 sites more" in run.out
    assert "posto-39" in shop.at_matriz("gate", "importar_bdf", "--date", DATE, "--all", code=1).out


# ------------------------------------------------------------------------------------------------ docs/day.md

PAGE = (Path(__file__).parents[2] / "docs" / "day.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\n(.*?)```\n", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_shows_what_is_said(network: Network) -> None:
    shop = shopdays.open_shop(network)
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    shop.send(
        "caixa-01",
        sales_of_day("caixa-01", Role.CAIXA, date(2026, 3, 2), count=2, seed=9, first_number=80_000),
        "late",
    )
    shop.turn()
    network.turn("posto-centro", "matriz")
    reasons = shop.decide("importar_bdf") or ()
    lines = list(said(say_closed, "importar_bdf", date(2026, 3, 2), reasons, shop.clock()))
    assert lines == block("a closed gate").splitlines()


def test_the_page_shows_an_override(shop: Shop) -> None:
    shop.at_matriz(
        "override",
        "importar_bdf",
        "--date",
        DATE,
        "--reason",
        "posto sem luz",
        "--by",
        "Ana",
        "--confirmed-by",
        "Rui",
    )
    run = shop.at_matriz("gate", "importar_bdf", "--date", DATE)
    assert re.sub(r"[0-9a-f]{12}\.json", "….json", run.out) == block("an override")


def said(say: Callable[..., None], *arguments: Any) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        say(*arguments)
    return out.getvalue().splitlines()


def test_every_command_of_the_page_is_one(shop: Shop) -> None:
    commands = set(re.findall(r"`filesync ([a-z-]+)", PAGE))
    assert commands >= {"gate", "done", "override", "roster", "verify", "run"}
    for command in commands:
        assert "Usage" in shop.at_matriz(command, "--help").out


def test_the_examples_of_the_page_are_understood(shop: Shop) -> None:
    sites, settings = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    with (shop.matriz / "filesync.toml").open("a", encoding="utf-8") as file:
        file.write('\n[peers.posto-centro]\nrole = "posto"\n' + settings)
    (shop.matriz / "sites.toml").write_text(sites, encoding="utf-8")
    found = shop.at_matriz("roster", "--date", "2026-09-07", "--json").json
    assert [(site["site"], site["due"], site["turnos"]) for site in found["sites"]] == [
        ("caixa-01", False, 1),
        ("posto-centro", True, 2),
    ]
    assert "conciliar is not done yet" in shop.at_matriz("gate", "malote", "--date", DATE, code=1).out
