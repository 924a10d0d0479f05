"""`filesync receive-remote`, `filesync day`: what the matriz reads on its screen in the morning."""

from __future__ import annotations

import re
import shutil
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, Shop, filesync, open_shop

from filesync.cli import screen
from filesync.day.reconciling import reconcile
from filesync.demo.sales import sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

    from cli_shop import Run

ISO = DAY.isoformat()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path)


def closed(shop: Shop, count: int = 9) -> None:
    """The caixa sold, closed and sent it."""
    shop.sell(count=count)
    close(shop)


def close(shop: Shop) -> None:
    """The caixa closes and sends what it sold. It ends with 1 where the drawer differs, which is none of our business here."""
    assert "02/03/2026 of caixa-01 is closed." in shop.at_caixa("close", "--date", ISO, "--contado", "100,00", code=None).out  # fmt: skip
    shop.at_caixa("turn")


def late_sale(shop: Shop, seed: int = 5) -> None:
    """A sale of the day that comes after its close."""
    (sale,) = sales_of_day("caixa-01", Role.CAIXA, DAY, seed=seed, count=1)
    shop.at_caixa("export", "vendas", "--from", shop.write([sale], "late.jsonl"))
    shop.at_caixa("turn")


def override(shop: Shop, step: str = "importar_bdf", *more: str) -> Run:
    return shop.at_matriz(
        "override", step, "--date", ISO, "--reason", "estrada interditada", "--by", "Ana", "--confirmed-by", "Bruno", *more,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ receive-remote


def test_receiving_says_what_came_and_that_all_is_there(shop: Shop) -> None:
    closed(shop)
    run = shop.at_matriz("receive-remote", "--date", ISO)
    assert "vendas of 02/03/2026 (no. 1 of caixa-01): 9 sales" in run.out
    assert re.search(r"caixa-01 +complete", run.out)
    assert "All sales of 02/03/2026 are here." in run.out
    (evidence,) = (shop.matriz / "evidence").glob("receber_vendas_remotas.*.json")
    assert f"evidence/{evidence.name}" in run.out
    assert f"filesync import-bdf FILE --date {ISO}" in run.out


def test_receiving_says_who_owes_what_and_what_to_type_there(shop: Shop) -> None:
    shop.sell()
    shop.at_caixa("turn")
    run = shop.at_matriz("receive-remote", "--date", "02/03/2026", code=1)
    assert "is not complete: 0 of 1 sites are. Do not import BDF or C.A. yet." in run.out
    assert "the day is not closed" in run.out
    assert f"at caixa-01: filesync close --date {ISO} --contado VALOR" in run.out
    assert f"filesync receive-remote --date {ISO}" in run.out
    close(shop)
    again = shop.at_matriz("receive-remote", "--date", ISO, "--json")
    assert again.json["complete"] is True
    assert again.json["reasons"] == []
    assert again.json["evidence"].startswith("receber_vendas_remotas.2026-03-02.")
    assert again.json["page"]["sites"][0]["closed_sales"] == 12


def test_receiving_without_a_road_ends_with_3_and_says_which(shop: Shop, tmp_path: Path) -> None:
    filesync("init", tmp_path / "posto-norte", "--site", "posto-norte", "--role", "posto")
    (tmp_path / "relay").mkdir()
    shop.at_matriz("peer", "add", "posto-norte", "--role", "posto", "--link", tmp_path / "relay", "--relay")
    shutil.rmtree(tmp_path / "relay")
    closed(shop)
    run = shop.at_matriz("receive-remote", "--date", ISO, code=3)
    assert "posto-norte could not be reached" in run.out
    assert re.search(r"caixa-01 +complete", run.out)
    assert "posto-norte (never heard from)" in run.out


def test_receiving_lists_tickets_that_no_batch_has_brought(shop: Shop) -> None:
    sales = shop.sales(count=6)
    first = sales[0]["numero"]
    for number, part in enumerate((sales[:2], sales[4:])):
        shop.at_caixa("export", "vendas", "--from", shop.write(part, f"{number}.jsonl"))
    close(shop)
    run = shop.at_matriz("receive-remote", "--date", ISO)
    assert f"caixa-01, caixa 01, series 1: {first + 2}-{first + 3} inside the day" in run.out
    assert "All sales of 02/03/2026 are here." in run.out


# ------------------------------------------------------------------------------------------------ the page


def test_the_page_of_a_day(shop: Shop) -> None:
    closed(shop)
    shop.at_matriz("turn")
    run = shop.at_matriz("day", "--date", ISO)
    assert run.out.splitlines()[0] == "Movement day 02/03/2026 at matriz: complete"
    assert "1 of 1 sites complete" in run.out
    assert re.search(r"caixa-01 +complete +\d\d/\d\d/\d{4} \d\d:\d\d +9 +R\$ [\d.,]+ +R\$ [\d.,]+", run.out)
    assert "  receber_vendas_remotas: may run\n" in run.out
    assert "  conciliar: closed; waits for importar_bdf, importar_ca" in run.out
    assert f"filesync done exportar_sara --date {ISO} --by NAME" in run.out
    assert re.search(r"  01 dinheiro: -?R\$ [\d.,]+", run.out)
    assert f"not made yet: filesync reconcile --date {ISO}" in run.out
    assert "***" not in run.out
    told = shop.at_matriz("day", "--date", ISO, "--json").json
    assert (told["state"], told["colour"], told["complete"]) == ("complete", "green", True)


def test_the_page_says_when_something_came_late(shop: Shop) -> None:
    closed(shop)
    shop.at_matriz("turn")
    late_sale(shop)
    shop.at_matriz("turn")
    run = shop.at_matriz("day", "--date", ISO)
    assert "at matriz: LATE: something came after the close" in run.out
    assert "came late: the day was closed without it" in run.out
    assert f"filesync close --date {ISO}" in run.out


def test_an_override_cannot_be_overlooked_on_any_report_of_its_day(shop: Shop, tmp_path: Path) -> None:
    shop.sell()
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    override(shop)
    mark = '*** OVERRIDE no. 1 of importar_bdf: "estrada interditada", by Ana, confirmed by Bruno, '
    page = shop.at_matriz("day", "--date", ISO).out
    assert mark in page
    assert page.index(mark) < page.index("Sites"), "before everything else"
    assert "  importar_bdf: OPEN BY OVERRIDE  *** OVERRIDE no. 1 ***" in page
    assert mark in shop.at_matriz("receive-remote", "--date", ISO, code=1).out
    assert mark in shop.at_matriz("dossier", "--date", ISO, tmp_path / "d.zip").out
    assert mark in filesync("verify", tmp_path / "d.zip").out
    assert "OWED*" in shop.at_matriz("day", "--range", f"{ISO}..{ISO}").out
    assert shop.at_matriz("day", "--date", ISO, "--json").json["overrides"][0]["by"] == "Ana"
    shop.at_matriz("override", "--revoke", "1", "--date", ISO, "--by", "Carla")
    page = shop.at_matriz("day", "--date", ISO).out
    assert mark in page
    assert "taken back by Carla" in page
    close(shop)
    assert mark in shop.at_matriz("receive-remote", "--date", ISO).out, "also when the day is complete"


def test_a_stale_reconciliation_cannot_be_overlooked(shop: Shop, tmp_path: Path) -> None:
    closed(shop)
    shop.at_matriz("turn")
    with Station.open(shop.matriz) as station:
        reconcile(station.context, DAY)
    assert "STALE" not in shop.at_matriz("day", "--date", ISO).out
    late_sale(shop)
    shop.at_matriz("turn")
    page = shop.at_matriz("day", "--date", ISO).out
    assert "*** RECONCILIATION STALE: sales or billing of this day changed after it was made." in page
    assert page.count(f"filesync reconcile --date {ISO}") == 2
    assert "late~" in shop.at_matriz("day", "--range", "2026-03").out
    assert "RECONCILIATION STALE" in shop.at_matriz("receive-remote", "--date", ISO, code=1).out
    assert "RECONCILIATION STALE" in shop.at_matriz("dossier", "--date", ISO, tmp_path / "d.zip").out
    assert "it is stale" in filesync("verify", tmp_path / "d.zip").out


def test_a_day_on_which_nobody_is_due(shop: Shop) -> None:
    run = shop.at_matriz("day", "--date", "2026-04-21")
    assert "at matriz: not due" in run.out
    assert "Nobody is due, and nothing came." in run.out
    assert "caixa-01 is not due: holiday, Tiradentes" in run.out


def test_marks_are_shown_in_colours_of_their_own_on_a_terminal(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    override(shop)
    styles: list[str] = []
    said = screen.say

    def listen(text: str = "", style: str = "") -> None:
        styles.append(style)
        said(text, style)

    monkeypatch.setattr(screen, "say", listen)
    shop.at_matriz("day", "--date", ISO)
    assert "bold white on red" in styles


# ------------------------------------------------------------------------------------------------ the calendar


def test_the_calendar_shows_weeks_in_words_too(shop: Shop) -> None:
    closed(shop)
    shop.at_matriz("turn")
    run = shop.at_matriz("day", "--range", "2026-03-02..2026-03-09")
    lines = run.out.splitlines()
    assert lines[0] == "03/2026"
    assert lines[1].split() == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert lines[2].split() == [
        "2",
        "ok",
        "3",
        "OWED",
        "4",
        "OWED",
        "5",
        "OWED",
        "6",
        "OWED",
        "7",
        "OWED",
        "8",
        "-",
    ]
    assert lines[3].split() == ["9", "OWED"]
    assert "03/03/2026 OVERDUE: 0 of 1 complete, missing caixa-01: filesync day --date 2026-03-03" in run.out
    assert not any(line != line.rstrip() for line in lines)


@pytest.mark.parametrize("span", ["2026-02", "2026-02-01..2026-02-28", "01/02/2026..28/02/2026"])
def test_a_range_may_be_written_in_three_ways(shop: Shop, span: str) -> None:
    cells = shop.at_matriz("day", "--range", span, "--json").json
    assert [cell["day"] for cell in cells] == [
        (date(2026, 2, 1) + timedelta(days=n)).isoformat() for n in range(28)
    ]
    assert cells[0]["colour"] == "grey"
    assert cells[1]["owing"] == ["caixa-01"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--range", "2026-13"), ("--range", "2026-03-09..2026-03-02"), ("--range", "2020-01-01..2026-01-01"), ("--range", "yesterday"),
        ("--range", "2026-03-01.."), ("--date", "2026-02-30"), (), ("--date", ISO, "--range", "2026-03"),
    ],
)  # fmt: skip
def test_what_is_no_day_and_no_range_is_refused(shop: Shop, arguments: tuple[str, ...]) -> None:
    run = shop.at_matriz("day", *arguments, code=2)
    assert "Invalid value" in run.err


# ------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("command", ["day", "dossier", "receive-remote"])
def test_help(command: str) -> None:
    assert "Usage" in filesync(command, "--help").out


@pytest.mark.parametrize("arguments", [("day", "--date", ISO), ("day", "--range", "2026-03"), ("receive-remote", "--date", ISO)])  # fmt: skip
def test_a_roster_that_cannot_be_understood_is_an_error_with_advice(
    shop: Shop, arguments: tuple[str, ...]
) -> None:
    (shop.matriz / "sites.toml").write_text("[sites.nobody]\n", encoding="utf-8")
    run = shop.at_matriz(*arguments, code=2)
    assert "nobody" in run.err
    assert "Correct sites.toml" in run.err


@pytest.mark.parametrize("arguments", [("day", "--date", ISO), ("day", "--range", "2026-03"), ("receive-remote", "--date", ISO), ("dossier", "--date", ISO, "d.zip")])  # fmt: skip
def test_a_till_is_told_where_days_are_judged(shop: Shop, arguments: tuple[str, ...]) -> None:
    run = shop.at_caixa(*arguments, code=2)
    assert "caixa-01 is a caixa" in run.err
    assert "Run it at the matriz." in run.err
