"""Dropped files are taken when they are whole, and locked ones are waited for."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from network import Network, sales, table

from filesync.protocol.identity import Role
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.reports import TurnReport
    from filesync.exchange.station import Station


@pytest.fixture
def till(network: Network, request: pytest.FixtureRequest) -> Station:
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, pin=False)
    complete = f"complete = {request.param!r}\n" if hasattr(request, "param") else ""
    network.configure(
        "caixa-01",
        f"[datasets.vendas.source]\nkind = 'jsonl'\npath = 'drop/vendas/*'\n{complete}",
    )
    (network.root / "caixa-01" / "drop" / "vendas").mkdir(parents=True)
    return network["caixa-01"]


def drop(station: Station, text: str | None = None, name: str = "day.jsonl") -> Path:
    path = station.context.folders.drop / "vendas" / name
    path.write_text(day() if text is None else text, encoding="utf-8")
    return path


def day(count: int = 3) -> str:
    return "".join(json.dumps(sale, ensure_ascii=False) + "\n" for sale in sales(count=count))


def sealed(report: TurnReport) -> int:
    return sum(batch.documents for done in report.exported for batch in done.sealed)


def codes(report: TurnReport) -> list[str]:
    return [held.code for held in report.failed_sources]


@pytest.mark.parametrize("till", ["quiet 5 s"], indirect=True)
def test_a_file_that_grows_is_taken_when_it_has_been_quiet(network: Network, till: Station) -> None:
    text = day()
    path = drop(till, text[:100])
    first = till.turn(whole=False)
    assert (sealed(first), codes(first), first.look_again_s) == (0, ["source-changing"], 5)
    network.clock.advance(seconds=4)
    path.write_text(text, encoding="utf-8")
    assert till.turn(whole=False).look_again_s == 5, "it changed: the quiet begins anew"
    network.clock.advance(seconds=5)
    last = till.turn(whole=False)
    assert (sealed(last), codes(last), last.look_again_s) == (3, [], None)


@pytest.mark.parametrize("till", ["quiet 5 s"], indirect=True)
def test_a_site_whose_turns_are_started_from_outside_waits_too(network: Network, till: Station) -> None:
    drop(till)
    assert sealed(till.turn()) == 0
    network.clock.advance(minutes=5)
    again = network.reopen("caixa-01").turn()
    assert sealed(again) == 3
    later = network.reopen("caixa-01").turn()
    assert (codes(later), later.quiet) == ([], True), "what was taken is known, and not waited for again"


@pytest.mark.parametrize("till", ["quiet 5 s"], indirect=True)
def test_a_memory_that_was_cut_short_costs_one_more_look(network: Network, till: Station) -> None:
    drop(till)
    till.turn()
    (till.context.folders.root / "run" / "seen.json").write_text('{"drop/vend', encoding="utf-8")
    network.clock.advance(minutes=5)
    station = network.reopen("caixa-01")
    assert sealed(station.turn()) == 0
    network.clock.advance(minutes=5)
    assert sealed(station.turn()) == 3


@pytest.mark.parametrize("till", ["quiet 5 s"], indirect=True)
def test_a_person_who_exports_waits_for_no_quiet(till: Station) -> None:
    drop(till)
    assert sum(batch.documents for batch in till.export("vendas").sealed) == 3


@pytest.mark.parametrize("till", ["done-file"], indirect=True)
def test_a_done_file_is_waited_for_and_is_no_data_itself(till: Station) -> None:
    path = drop(till)
    report = till.turn()
    assert codes(report) == ["source-changing"]
    assert "day.jsonl.done" in report.failed_sources[0].message
    assert report.look_again_s is None
    assert not till.export("vendas").sealed, "also by a person"
    path.with_name("day.jsonl.done").touch()
    report = till.turn()
    assert (sealed(report), codes(report)) == (3, [])


@pytest.mark.parametrize("till", ["rename"], indirect=True)
def test_a_file_is_taken_once_it_has_its_real_name(till: Station) -> None:
    path = drop(till, name="day.jsonl.tmp")
    report = till.turn()
    assert (sealed(report), codes(report)) == (0, [])
    path.rename(path.with_name("day.jsonl"))
    assert sealed(till.turn()) == 3


def test_where_nothing_is_said_a_turn_takes_what_is_there(till: Station) -> None:
    drop(till)
    assert sealed(till.turn()) == 3


def test_a_locked_file_is_tried_again_ever_more_patiently_and_hinders_no_other(
    till: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = drop(till, name="a.jsonl")
    drop(till, text="", name="b.jsonl")

    def held(path: Path) -> tuple[str, int]:
        if path == locked:
            raise PermissionError(13, "in use by another process", str(path))
        return digest_file(path)

    monkeypatch.setattr("filesync.exchange.capture.digest_file", held)
    reports = [till.turn(whole=False) for _ in range(9)]
    assert all(codes(report) == ["source-locked"] for report in reports)
    assert [report.look_again_s for report in reports] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert till.context.store.captured("drop/vendas/b.jsonl") is not None
    assert till.status().quarantine == (), "locked is not failed"
    monkeypatch.undo()
    assert sealed(till.turn(whole=False)) == 3


def test_a_hurried_turn_reads_nothing_twice_and_a_whole_one_does(
    till: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(till)
    assert sealed(till.turn(whole=False)) == 3
    read: list[Path] = []

    def counted(file: Path) -> tuple[str, int]:
        read.append(file)
        return digest_file(file)

    monkeypatch.setattr("filesync.exchange.capture.digest_file", counted)
    assert till.turn(whole=False).quiet
    assert read == []
    # A program that changes content and sets the time back (a copy that keeps times): found by the whole turn.
    before = path.stat()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n", " \n", 1)[: len(text)], encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    till.turn(whole=False)
    assert read == []
    till.turn(whole=True)
    assert read == [path]


def test_a_file_that_cannot_be_read_is_not_read_again_until_it_changes(till: Station) -> None:
    path = drop(till, text="no JSON at all\n")
    first = till.turn(whole=False)
    assert first.failed_sources or first.exported[0].refused
    again = till.turn(whole=False)
    assert (codes(again), sum(done.refused for done in again.exported)) == ([], 0)
    path.write_text(day(), encoding="utf-8")
    assert sealed(till.turn(whole=False)) == 3


def test_with_little_room_nothing_is_fetched_but_what_is_here_goes_on(pair: Network) -> None:
    matriz_seals = pair["matriz"].seal("vendas", table(sales("matriz")), to="caixa-01")
    till_seals = pair["caixa-01"].seal("vendas", table(sales()))
    till = pair["caixa-01"]
    free = 10 << 20
    till.context = replace(till.context, free_bytes=lambda _: free)
    report = till.turn()
    assert "10 MiB are free" in report.exchange.disk_low
    assert report.exchange.fetched == {}
    assert report.exchange.shipped == {"matriz": 2}, "sending needs no room, and makes some"
    free = 1 << 40
    report = till.turn()
    assert report.exchange.disk_low == ""
    assert report.exchange.fetched["matriz"] >= 2
    assert matriz_seals.sealed
    assert till_seals.sealed
