"""filesync reconcile, as it is typed at the matriz."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import DAY, Shop, installed, open_shop

from filesync.demo.billing import Billing, Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from pathlib import Path

LAYOUTS = {layout.name: layout for layout in shipped_layouts()}
DATE = ("--date", DAY.isoformat())
PLAN = Plan(value=1, missing=1, extra=1, no_code=1)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """caixa-01 sold 30 sales, sent them and closed."""
    made = open_shop(tmp_path)
    made.sell(count=30)
    made.at_caixa("close", *DATE, "--contado", "0", code=None)
    made.at_caixa("turn")
    made.at_matriz("turn", code=None)
    return made


def billing(shop: Shop) -> Billing:
    return billing_of_day(shop.sales(count=30), planted=PLAN)


def bill(shop: Shop, made: Billing, *kinds: str) -> None:
    for kind, layout in (("bdf", "exemplo-bdf-posicional"), ("ca", "exemplo-ca-csv")):
        if kind in kinds:
            path = shop.root / f"{kind}.txt"
            path.write_bytes(billing_file(LAYOUTS[layout], DAY, made.rows(kind)))
            shop.at_matriz(f"import-{kind}", path, *DATE)


def test_before_any_file_everything_is_white_and_provisional(shop: Shop) -> None:
    run = shop.at_matriz("reconcile", "--date", "02/03/2026")
    assert "Reconciliation of 02/03/2026" in run.out
    assert "BDF: not imported yet" in run.out
    assert "filesync import-ca FILE --date 2026-03-02" in run.out
    assert (
        "Provisional: the day is not ready to be reconciled. Why: filesync gate conciliar --date 2026-03-02"
        in run.out
    )
    found = shop.at_matriz("reconcile", *DATE, "--json").json
    assert found["provisional"] is True
    assert found["reasons"][0]["code"] == "step-not-done"
    assert {line["colour"] for line in found["lines"]} == {"white"}


def test_planted_differences_stand_in_the_table(shop: Shop) -> None:
    made = billing(shop)
    bill(shop, made, "bdf", "ca")
    run = shop.at_matriz("reconcile", *DATE, code=1)
    assert "Provisional" not in run.out
    lines = {line.split()[0]: line for line in run.out.splitlines() if line.strip()}
    assert lines["total"].split()[1].isdigit()
    for planted in made.planted:
        shown = [line for line in run.out.splitlines() if planted.codigo_rastreio in line]
        assert len(shown) == (0 if planted.kind.value == "no-code" else 1), planted
        why = {
            "value": "BDF: another value",
            "missing": "not in the BDF",
            "extra": "BDF: not sold",
            "no-code": "",
        }
        assert why[planted.kind.value] in "".join(shown)
    for head in ("site ", "service ", "contract ", "payment form "):
        assert any(line.startswith(head) for line in run.out.splitlines()), head
    assert "R$ " in run.out
    assert shop.at_matriz("gate", "conciliar", *DATE)
    page = shop.at_matriz("day", *DATE, "--json", code=None).json
    assert page["reconciliation"]["counts"]["red"] == 2


def test_again_is_the_same_and_only_chooses(shop: Shop) -> None:
    bill(shop, billing(shop), "bdf", "ca")
    whole = shop.at_matriz("reconcile", *DATE, "--json", code=1).json
    assert shop.at_matriz("reconcile", *DATE, "--json", code=1).json == whole
    assert whole["counts"] == {"red": 2, "yellow": 1, "white": 0, "green": len(whole["lines"]) - 3}
    red = shop.at_matriz("reconcile", *DATE, "--only", "red", "--json", code=1).json
    assert [line for line in whole["lines"] if line["colour"] == "red"] == red["lines"]
    assert whole["colours"]["green"]["sold_centavos"] == whole["colours"]["green"]["bdf_centavos"]
    shown = shop.at_matriz("reconcile", *DATE, "--only", "green", code=1).out
    assert "another value" not in shown
    refused = shop.at_matriz("reconcile", *DATE, "--only", "pink", code=2)
    assert "--only takes red, yellow, white, green" in " ".join(refused.err.replace("│", " ").split())


def test_a_csv_for_a_spreadsheet(shop: Shop) -> None:
    made = billing(shop)
    bill(shop, made, "bdf")
    path = shop.root / "conciliacao.csv"
    run = shop.at_matriz("reconcile", *DATE, "--csv", path, code=1)
    assert f"rows written to {path}" in run.out
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig")), delimiter=";"))
    assert [row["cor"] for row in rows[:2]] == ["red", "red"]
    assert {row["ca"] for row in rows} == {""}  # not imported, so not checked
    cents = sum(int(row["bdf_valor"].replace(",", "")) for row in rows if row["bdf_valor"])
    assert cents == sum(row["valor_cobrado_centavos"] for row in made.bdf)
    assert (
        shop.at_matriz("reconcile", *DATE, "--csv", "-", code=1).out.splitlines()[0].startswith("cor;origem;")
    )
    shop.at_matriz("reconcile", *DATE, "--csv", path, "--json", code=2)


def test_a_range_shows_each_day_in_its_colours(shop: Shop) -> None:
    month = f"{DAY:%Y-%m}"
    before = shop.at_matriz("reconcile", "--range", month).out
    assert "02/03/2026" in before
    assert "provisional" in before
    bill(shop, billing(shop), "bdf", "ca")
    found = shop.at_matriz("reconcile", "--range", f"{DAY}..{DAY}", "--json", code=1).json
    (day,) = found["days"]
    assert (day["day"], day["made"], day["provisional"]) == (DAY.isoformat(), True, False)
    assert (
        day["lines"]["red"]
        == shop.at_matriz("reconcile", *DATE, "--json", code=1).json["colours"]["red"]["lines"]
    )
    again = shop.at_matriz("reconcile", "--range", month, "--json", code=1).json
    assert again["days"] == [day | {"made": False}]
    assert "nothing of these days" in shop.at_matriz("reconcile", "--range", "2031-01").out
    for wrong in (("--range", month, *DATE), ("--range", month, "--csv", "-"), ("--archive", *DATE), ()):
        shop.at_matriz("reconcile", *wrong, code=2)
    assert "matriz" in shop.at_caixa("reconcile", "--range", month, code=2).err


def test_the_archive_is_read_beside_the_database(shop: Shop) -> None:
    bill(shop, billing(shop), "bdf", "ca")
    span = ("--range", f"{DAY}..{DAY}", "--archive")
    assert "not reconciled in the database" in shop.at_matriz("reconcile", *span).out
    shop.at_matriz("reconcile", *DATE, code=1)
    assert "as in the database" in shop.at_matriz("reconcile", *span).out
    (day,) = shop.at_matriz("reconcile", *span, "--json").json["days"]
    assert (day["agrees"], day["problems"], day["documents"]["vendas"]) == (True, [], 30)
    next((shop.matriz / "archive").rglob("vendas.*.parquet")).unlink()
    run = shop.at_matriz("reconcile", *span, code=1)
    assert "not whole" in run.out
    assert "backup" in run.out


def test_it_belongs_to_the_matriz(shop: Shop) -> None:
    run = shop.at_caixa("reconcile", *DATE, code=2)
    assert "matriz" in run.err


def test_as_it_is_installed(shop: Shop) -> None:
    bill(shop, billing(shop), "bdf", "ca")
    run = installed("-C", shop.matriz, "reconcile", *DATE, "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["provisional"] is False
