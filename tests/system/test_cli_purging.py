"""`filesync purge` as a person types it: first what would go, then the very command that removes it, and why the rest stays."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, Shop, filesync, open_shop

if TYPE_CHECKING:
    from pathlib import Path

STEPS = "".join(
    f'\n[steps.{step}]\nends = "open"\n'
    for step in ("importar_bdf", "importar_ca", "conciliar", "exportar_sara", "exportar_portal")
)
ISO = DAY.isoformat()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A day that was sold, closed, sent, applied and answered."""
    made = open_shop(tmp_path)
    with (made.matriz / "filesync.toml").open("a", encoding="utf-8") as file:
        file.write(STEPS)
    made.sell()
    made.at_caixa("close", "--date", ISO, "--contado", "0,00")
    made.at_caixa("turn")
    made.at_matriz("turn")
    made.at_caixa("turn")
    made.at_matriz("turn")
    return made


def test_first_it_says_what_would_go_and_then_it_goes(shop: Shop) -> None:
    said = shop.at_matriz("purge", "--before", "2026-03-03").out
    assert "This would go:" in said
    assert "02/03/2026" in said
    assert "In all: " in said
    assert "Nothing was removed yet. To remove it: filesync purge --before 2026-03-03 --yes" in said
    assert (shop.matriz / "archive" / "2026" / "03" / "02").is_dir()
    said = shop.at_matriz("purge", "--before", "03/03/2026", "--yes").out
    assert "Removed:" in said
    assert not (shop.matriz / "archive" / "2026").exists()
    assert "Nothing that is so old would go." in shop.at_matriz("purge", "--before", "2026-03-03").out
    assert "Nothing was removed" in shop.at_matriz("purge", "--before", "2026-03-03", "--yes").out


def test_json_says_everything(shop: Shop) -> None:
    found = shop.at_matriz("purge", "--older", "1 day", "--json").json
    assert found["removed"] is False
    assert found["kept"] == []
    assert found["before"]["evidence"] is None
    ((day),) = found["days"]
    assert (day["day"], day["kind"]) == (ISO, "archive")
    assert (day["files"], day["bytes"]) == (found["files"], found["bytes"])
    lying = [path for path in (shop.matriz / "archive").rglob("*") if path.is_file()]
    assert found["files"] == len(lying)
    assert found["bytes"] == sum(path.stat().st_size for path in lying)
    assert shop.at_matriz("purge", "--older", "1 day", "--yes", "--json").json == found | {"removed": True}


def test_what_stays_says_why_and_what_to_do(shop: Shop) -> None:
    shop.at_caixa("export", "vendas", "--from", shop.write(shop.sales(1, seed=7), "late.jsonl"))
    said = shop.at_caixa("purge", "--before", "2026-03-03", "--yes").out
    assert "This stays, for it is not over (1):" in said
    assert "a recipient has not answered" in said
    assert f"filesync close --date {ISO} --contado" in said
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    said = shop.at_matriz("purge", "--before", "2026-03-03").out
    assert "receber_vendas_remotas may not run yet" in said
    assert "at caixa-01: filesync close" in said
    assert "To remove it" not in said
    kept = shop.at_matriz("purge", "--before", "2026-03-03", "--json").json["kept"]
    assert {reason["code"] for reason in kept[0]["reasons"]} >= {"purge-gate-closed"}


def test_commands_about_a_purged_day_say_so(shop: Shop, tmp_path: Path) -> None:
    batch = shop.at_caixa("status", "--json").json["feeds"]
    assert batch
    for site in (shop.caixa, shop.matriz):
        filesync("-C", site, "purge", "--before", "2026-03-03", "--yes")
    refused = shop.at_caixa("resend", "vendas.caixa-01.matriz", "1", code=2)
    assert "was purged on" in refused.err
    assert "filesync void FEED SEQ" in refused.err
    refused = shop.at_caixa("close", "--date", ISO, "--contado", "1,00", code=None)
    assert refused.code != 0
    assert "was purged on" in refused.out + refused.err
    assert f"filesync export vendas --date {ISO} --again" in refused.out + refused.err
    dossier = shop.at_matriz("dossier", "--date", ISO, tmp_path / "day.zip", code=1).out
    assert "The archive of this day was purged on" in dossier
    shown = shop.at_matriz("show", "vendas").out
    assert "none lie here any more" in shown
    assert "The archive of 02/03/2026 was purged on" in shown
    assert "files purged" in shop.at_matriz("day", "--date", ISO, code=None).out


def test_without_an_age_nothing_happens(shop: Shop) -> None:
    refused = shop.at_matriz("purge", code=2)
    assert "kept for ever" in refused.err
    assert 'filesync purge --older "400 days"' in refused.err
    assert "[retention]" in refused.err
    shop.at_matriz("purge", "--older", "soon", code=2)
    shop.at_matriz("purge", "--older", "never", code=2)
    shop.at_matriz("purge", "--older", "1 day", "--before", ISO, code=2)
    assert "a day that is over" in shop.at_matriz("purge", "--before", "2999-01-01", code=2).err


def test_the_settings_are_enough(shop: Shop) -> None:
    with (shop.matriz / "filesync.toml").open("a", encoding="utf-8") as file:
        file.write('\n[retention]\narchive = "1 day"\n')
    said = shop.at_matriz("purge").out
    assert "To remove it: filesync purge --yes" in said
    shop.at_matriz("purge", "--yes")
    assert not (shop.matriz / "archive" / "2026").exists()


@pytest.mark.parametrize(
    "wrong", ['archive = "400"', 'archive = "0 days"', 'evidence = "soon"', 'archives = "1 day"']
)
def test_settings_that_are_not_understood_are_named(shop: Shop, wrong: str) -> None:
    with (shop.matriz / "filesync.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[retention]\n{wrong}\n")
    assert "retention." in shop.at_matriz("purge", code=2).err


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("400 days", date(2025, 1, 25)),
        ("1 day", date(2026, 2, 28)),
        ("2 weeks", date(2026, 2, 15)),
        ("12 months", date(2025, 3, 1)),
        ("1 month", date(2026, 2, 1)),
        ("5 years", date(2021, 3, 1)),
        ("9999 years", date(1, 1, 1)),
        ("99999 days", date(1752, 5, 17)),
    ],
)
def test_an_age_goes_by_the_calendar(text: str, before: date) -> None:
    from filesync.config.retention import Age

    age = Age.parse(text)
    assert age is not None
    assert age.before(date(2026, 3, 1)) == before
    assert str(age) == text


def test_the_end_of_february() -> None:
    from filesync.config.retention import Age

    assert [age.before(date(2028, 2, 29)) for text in ("1 year", "4 years") if (age := Age.parse(text))] == [
        date(2027, 2, 28),
        date(2024, 2, 29),
    ]
    assert Age.parse("never") is None
