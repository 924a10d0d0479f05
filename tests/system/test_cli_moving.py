"""The day's work by command: export, exchange, import, turn, quarantine."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cli_shop import DAY, Shop, open_shop

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path)


def test_a_day_goes_out_is_applied_and_confirmed(shop: Shop) -> None:
    path = shop.write(shop.sales(40))
    run = shop.at_caixa("export", "vendas", "--from", path)
    assert "40 sales sealed for matriz in 1 batch" in run.out
    assert "vendas of 02/03/2026: 40 sales, R$ " in run.out
    assert "2 files sent" in shop.at_caixa("turn").out
    run = shop.at_matriz("turn")
    assert "Applied:" in run.out
    assert "vendas of 02/03/2026 (no. 1 of caixa-01): 40 sales" in run.out
    assert "Confirmed by the recipient" in shop.at_caixa("turn").out
    assert "Nothing to do" in shop.at_matriz("turn").out
    assert shop.at_caixa("outbox").out.startswith("Nothing waits")


def test_the_same_source_twice_sends_nothing_the_second_time(shop: Shop) -> None:
    path = shop.write(shop.sales(5))
    shop.at_caixa("export", "vendas", "--from", path)
    run = shop.at_caixa("export", "vendas", "--from", path)
    assert "nothing new to send (5 sales sent before, unchanged)" in run.out
    assert shop.at_caixa("export", "vendas", "--from", path, "--again", "--json").json["sealed"]


def test_only_one_day_and_as_json_lines(shop: Shop) -> None:
    path = shop.write([*shop.sales(5), *shop.sales(7, seed=2, day=DAY + timedelta(days=1))])
    run = shop.at_caixa(
        "export", "vendas", "--from", path, "--date", "2026-03-03", "--format", "jsonl", "--json"
    )
    [batch] = run.json["sealed"]
    assert batch["documents"] == 7
    assert ".20260303." in batch["name"]
    assert list((shop.caixa / "outbox" / "matriz").glob("*.jsonl"))
    assert shop.at_caixa("export", "vendas", "--from", path, "--date", "02/03/2026", "--json").json["sealed"]


def test_exchange_and_import_are_the_parts_of_a_turn(shop: Shop) -> None:
    shop.sell(3)
    assert shop.at_caixa("exchange", "--json").json == {
        "shipped": {"matriz": 2}, "fetched": {"matriz": 0}, "unreachable": {}, "codes": {}, "disk_low": "",
    }  # fmt: skip
    assert shop.at_matriz("import", "--json").json["applied"][0]["verdict"] == "APPLIED"
    assert "1 file fetched" in shop.at_caixa("exchange", "--peer", "matriz").out
    assert len(shop.at_caixa("import", "--json").json["settled"]) == 1
    assert "empty" in shop.at_matriz("import").out
    assert "come to us" in shop.at_matriz("exchange").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("export", "nada"), "no contract for 'nada'"),
        (("export", "vendas"), "has no source"),
        (("export", "vendas", "--from", "not-there.csv"), "not-there.csv"),
        (("export", "vendas", "--date", "yesterday"), "yesterday"),
        (("export", "vendas", "--to", "nobody"), "nobody is called 'nobody'"),
        (("exchange", "--peer", "nobody"), "no peer is called 'nobody'"),
        (("fly",), "fly"),
        (("quarantine", "retry", "nothing"), "nothing in quarantine is called"),
        (("quarantine", "discard", "nothing"), "--reason"),
        (("quarantine", "discard", "nothing", "--reason", " "), "why it is not needed"),
        (("show", "nothing"), "no batch is called"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(
    shop: Shop, arguments: tuple[str, ...], says: str
) -> None:
    run = shop.at_caixa(*arguments, code=2)
    assert says in " ".join(run.err.replace("│", " ").split())
    assert len(run.err.strip().splitlines()) >= 2, "a failure without a next step"
    assert run.out == ""


def test_a_peer_that_is_away_is_3_and_nothing_is_lost(shop: Shop) -> None:
    shop.sell(3)
    shop.matriz.rename(shop.root / "away")
    for command in ("exchange", "turn"):
        run = shop.at_caixa(command, code=3)
        assert "could not be reached" in run.out
        assert "Nothing is lost" in run.out
        assert shop.at_caixa(command, "--json", code=3).json
    (shop.root / "away").rename(shop.matriz)
    shop.at_caixa("turn")
    assert len(shop.at_matriz("import", "--json").json["applied"]) == 1


def test_sales_with_mistakes_stay_and_are_named(shop: Shop) -> None:
    sales = shop.sales(10)
    wrong = [dict(sale) for sale in sales]
    wrong[3]["total_centavos"] += 1
    wrong[6]["serie"] = "no good"
    run = shop.at_caixa("export", "vendas", "--from", shop.write(wrong), code=1)
    assert "8 sales sealed" in run.out
    assert "2 sales not sent" in run.out
    assert "line 4: caixa 01, serie 1, numero " in run.out
    run = shop.at_caixa("quarantine")
    assert "of this site's own export" in run.out
    found = shop.at_caixa("quarantine", "show", "vendas.day").out
    assert "pattern" in found
    assert "'no good'" in found
    assert "serie" in found
    shop.at_caixa("export", "vendas", "--from", shop.write(sales))
    assert "Nothing is set aside" in shop.at_caixa("quarantine").out


def test_a_source_that_cannot_be_read_fails_alone(shop: Shop) -> None:
    settings = shop.caixa / "filesync.toml"
    source = '\n[datasets.vendas.source]\nkind = "jsonl"\npath = "drop/vendas/*.jsonl"\n'
    source += '\n[datasets.fechamento.source]\nkind = "sql"\ndatabase = "gone.db"\n'
    source += '[datasets.fechamento.source.queries]\nfechamento = "select 1"\n'
    settings.write_text(settings.read_text("utf-8") + source, "utf-8")
    drop = shop.caixa / "drop" / "vendas"
    drop.mkdir()
    shop.write(shop.sales(4)).rename(drop / "day.jsonl")
    run = shop.at_caixa("turn", code=1)
    assert "fechamento could not be exported" in run.out
    assert "4 sales sealed" in run.out
    assert "2 files sent" in run.out


def test_a_damaged_file_is_set_aside_sent_again_and_cured(shop: Shop) -> None:
    batch = shop.sell(6)
    shop.at_caixa("turn")
    shop.damage(shop.arrived(batch))
    run = shop.at_matriz("turn", code=1)
    assert "the file was damaged on the way" in run.out
    assert "Nothing to do: the sender keeps its copy" in run.out
    assert "its content has not arrived yet" in shop.at_matriz("inbox").out
    assert shop.at_matriz("status", "--json").json["waiting"][0]["code"] == "payload-missing"
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    run = shop.at_matriz("quarantine")
    assert "a good copy was applied since" in run.out
    name = shop.at_matriz("quarantine", "--json").json[0]["name"]
    assert "sha256" in shop.at_matriz("quarantine", "show", name).out
    shop.at_matriz("quarantine", "discard", name, "--reason", "came again")
    assert shop.at_matriz("quarantine", "--json").json == []
    assert list((shop.matriz / "archive").glob("*/*/*/discarded/*.parquet")), "discarded is not deleted"
    assert "discarded: came again" in shop.at_matriz("show", batch).out


def test_quarantine_retry_puts_it_back_to_be_judged_afresh(shop: Shop) -> None:
    batch = shop.sell(6)
    shop.at_caixa("turn")
    whole = shop.arrived(batch).read_bytes()
    shop.damage(shop.arrived(batch))
    shop.at_matriz("import", code=1)
    [case] = shop.at_matriz("quarantine", "--json").json
    (shop.matriz / "quarantine" / "caixa-01" / case["files"][0]).write_bytes(
        whole
    )  # a good copy from a backup
    assert "in the inbox again" in shop.at_matriz("quarantine", "retry", case["name"]).out
    assert "Applied" in shop.at_matriz("import").out


def test_a_batch_with_bad_sales_is_applied_in_part_and_both_sites_are_told(shop: Shop) -> None:
    """The till's contract lags behind: it lets out what the matriz' rules forbid."""
    sales = shop.sales(10)
    concluded = next(place for place, sale in enumerate(sales) if sale["situacao"] == "concluida")
    wrong = [dict(sale) for sale in sales]
    wrong[concluded]["total_centavos"] += 100
    schema = shop.at_matriz("contract", "show", "vendas", "--json").json
    schema["x-filesync"]["rules"] = []
    (shop.caixa / "schemas").mkdir()
    (shop.caixa / "schemas" / "vendas.v1.json").write_text(json.dumps(schema), "utf-8")
    shop.at_caixa("export", "vendas", "--from", shop.write(wrong))
    shop.at_caixa("turn")
    run = shop.at_matriz("turn", code=1)
    assert "Applied in part" in run.out
    assert f"sale {concluded + 1}: caixa 01, serie" in run.out
    assert "rule-total" in shop.at_matriz("quarantine", "show", "vendas").out
    shop.at_matriz("quarantine", "retry", "vendas", code=2)
    run = shop.at_caixa("turn", code=1)
    assert "Refused by the recipient" in run.out
    assert "Confirmed" not in run.out
    shop.at_caixa("export", "vendas", "--from", shop.write(sales))
    shop.at_caixa("turn")
    assert "1 sale" in shop.at_matriz("turn").out


def test_strangers_and_orphans_are_listed_as_such(shop: Shop) -> None:
    batch = shop.sell(2)
    shop.at_caixa("exchange")
    shop.arrived(batch, "manifest.json").unlink()
    (shop.matriz / "inbox" / "caixa-01" / "foto \x1b[2J.jpg").write_bytes(b"x")
    run = shop.at_matriz("inbox")
    assert "not a file of filesync's" in run.out
    assert "whose description (manifest) has not arrived yet" in run.out
    assert "\x1b" not in run.out
    states = {item["state"] for item in shop.at_matriz("inbox", "--json").json}
    assert states == {"stranger", "waiting"}


def test_what_waits_is_said_in_words_with_its_age(shop: Shop) -> None:
    first, second = shop.sell(2), shop.sell(3, seed=2)
    run = shop.at_caixa("outbox")
    assert (
        "vendas of 02/03/2026 (no. 1 of caixa-01), 2 sales, waits for the next exchange with matriz, sealed just now"
        in run.out
    )
    assert first in run.out
    shop.at_caixa("exchange")
    assert "sent just now, waits for matriz's receipt" in shop.at_caixa("outbox").out
    for suffix in ("manifest.json", "parquet"):
        shop.arrived(first, suffix).unlink()
    stamp = shop.arrived(second, "manifest.json").stat().st_mtime - 7200
    os.utime(shop.arrived(second, "manifest.json"), (stamp, stamp))
    run = shop.at_matriz("status")
    assert "waits: an earlier batch has not arrived yet, arrived 2 h ago" in run.out
    assert shop.at_matriz("status", "--json").json["feeds"][0]["missing"] == [1]
    assert "Waiting" in shop.at_matriz("import").out
