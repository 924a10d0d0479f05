"""The daemon: whole without a single event, quick with them, and hard to stop by anything but being told to."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, FakeClock, Network, rows, sales, table

from filesync import config
from filesync.cli.daemon import Daemon
from filesync.cli.journal import LogForm, open_log
from filesync.day import routine
from filesync.day.closing import CloseOrder, close
from filesync.day.reconciling import reconcile, summary
from filesync.demo.billing import billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.demo.sales import sales_of_day
from filesync.errors import ConfigError, RejectedError
from filesync.exchange.incoming import import_all
from filesync.exchange.links import LinkTrouble, describe, read_troubles
from filesync.exchange.lock import LOCK_NAME, SiteLock
from filesync.protocol.identity import Role
from filesync.scheduling import Bell
from filesync.sources.completeness import Completeness, Sign
from filesync.sources.layout_choice import shipped_layouts
from filesync.transports.folder import FolderTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filesync.day.values import StepReport
    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport, Progress
    from filesync.exchange.station import Station

#: How long something may take before a test fails; it is not waited for where it comes.
PATIENCE_S = 20.0


class FakeBell(Bell):
    """Waiting moves the clocks instead; `meanwhile` is what the rest of the world does then."""

    def __init__(self, clock: FakeClock, meanwhile: Callable[[float], None], until_s: float) -> None:
        super().__init__()
        self.clock = clock
        self.steady_s = 0.0
        self.meanwhile = meanwhile
        self.until_s = until_s

    def wait(self, seconds: float) -> None:
        self.steady_s += seconds
        self.clock.advance(seconds=seconds)
        if self.steady_s >= self.until_s:
            self.stop()
        else:
            self.meanwhile(self.steady_s)

    def steady(self) -> float:
        return self.steady_s


class Told:
    """A daemon's log, as a program reads it."""

    def __init__(self, site: str, clock: Callable[[], datetime]) -> None:
        self.stream = io.StringIO()
        self.log = open_log(LogForm.JSON, site, clock, self.stream)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def __getitem__(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def faked(
    network: Network, site: str, told: Told, *, until_s: float, meanwhile: Callable[[float], None] = lambda _: None, **more: Any
) -> Daemon:  # fmt: skip
    """A daemon that hears nothing, in a time of its own."""
    bell = FakeBell(network.clock, meanwhile, until_s)
    return Daemon(
        network.root / site, told.log, clock=network.clock, steady=bell.steady, bell=bell, random=Random(3), events=False, **more
    )  # fmt: skip


@contextmanager
def running(network: Network, *sites: str) -> Iterator[dict[str, Told]]:
    """Real daemons, real watchers, each in a thread."""
    told = {site: Told(site, lambda: datetime.now().astimezone()) for site in sites}
    daemons = [Daemon(network.root / site, told[site].log) for site in sites]
    broken: list[BaseException] = []

    def work(daemon: Daemon) -> None:
        try:
            daemon.run()
        except BaseException as err:  # shown by the test, not lost in a thread
            broken.append(err)

    threads = [threading.Thread(target=work, args=(daemon,)) for daemon in daemons]
    for thread in threads:
        thread.start()
    try:
        for site in sites:
            until(partial(lambda name: bool(told[name]["started"]), site))
        yield told
    finally:
        for daemon in daemons:
            daemon.stop()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert not broken, broken
    assert not any(thread.is_alive() for thread in threads)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        waiting.wait(0.005)


def test_without_a_single_event_everything_ends_whole(pair: Network) -> None:
    pair.configure(
        "caixa-01",
        "[datasets.vendas.source]\nkind = 'jsonl'\npath = 'drop/*.jsonl'\n[schedule]\nexchange = 'off'\nrescan = '2 min'\n",
    )
    sold = sales(count=40)
    drop = pair.root / "caixa-01" / "drop"

    def meanwhile(steady_s: float) -> None:
        part = int(steady_s // 300)
        lines = [json.dumps(sale, ensure_ascii=False) + "\n" for sale in sold[part * 10 : part * 10 + 10]]
        if lines and not (drop / f"{part}.jsonl").exists():
            (drop / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        pair["matriz"].turn()

    told = Told("caixa-01", pair.clock)
    faked(pair, "caixa-01", told, until_s=3600, meanwhile=meanwhile).run()
    assert rows(pair["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    assert pair.outbox("caixa-01", "matriz") == []
    assert pair.inbox("caixa-01", "matriz") == []
    assert told["stopped"][0]["turns"] < 80, "it rested in between"


def test_with_events_a_batch_is_there_and_answered_at_once(
    pair: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "filesync.cli.lookouts.POLL_NEAR_S", 3600.0
    )  # and the rescan is minutes away: only events are so quick
    with running(pair, "caixa-01", "matriz") as told:
        for number in range(3):
            sold = sales(count=5, seed=number)
            pair["caixa-01"].seal("vendas", table(sold), DAY)
            until(lambda: pair.outbox("caixa-01", "matriz") == [])
    assert len(rows(pair["matriz"])) == 15
    applied, settled = told["matriz"]["applied"], told["caixa-01"]["settled"]
    assert [line["batch"] for line in applied] == [line["batch"] for line in settled]
    assert {line["feed"] for line in (*applied, *settled)} == {"vendas.caixa-01.matriz"}
    assert {line["peer"] for line in told["caixa-01"]["shipped"]} == {"matriz"}
    assert all(line["site"] == "caixa-01" and line["at"] and line["level"] for line in told["caixa-01"].lines)


def test_a_share_that_sends_no_events_is_polled(pair: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filesync.cli.lookouts.places", lambda _: [])
    monkeypatch.setattr("filesync.cli.lookouts.POLL_NEAR_S", 0.02)
    with running(pair, "caixa-01") as told:
        pair["matriz"].seal("vendas", table(sales("matriz", count=3)), DAY, to="caixa-01")
        until(lambda: bool(told["caixa-01"]["fetched"]))


def test_a_file_dropped_while_it_runs_is_taken_when_it_is_quiet(
    pair: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filesync.cli.daemon.UNSAID", Completeness(Sign.QUIET, 0.2))
    pair.configure("caixa-01", "[datasets.vendas.source]\nkind = 'jsonl'\npath = 'drop/vendas/*.jsonl'\n")
    folder = pair.root / "caixa-01" / "drop" / "vendas"
    folder.mkdir(parents=True)
    lines = [json.dumps(sale, ensure_ascii=False) + "\n" for sale in sales(count=6)]
    with running(pair, "caixa-01", "matriz") as told:
        with (folder / "day.jsonl").open("w", encoding="utf-8") as file:
            for line in lines:  # a program that takes its time, and ends lines where it likes
                file.write(line[:50])
                file.flush()
                file.write(line[50:])
        until(lambda: len(told["matriz"]["applied"]) == 1)
    assert told["matriz"]["applied"][0]["documents"] == 6
    assert pair["caixa-01"].status().quarantine == ()


def test_a_second_daemon_is_refused_and_told_who_is_there(pair: Network) -> None:
    with running(pair, "caixa-01"):
        second = Daemon(pair.root / "caixa-01", Told("caixa-01", pair.clock).log)
        with pytest.raises(ConfigError, match=rf"pid {os.getpid()}\)") as caught:
            second.run()
        assert caught.value.code == "running"
        pair["caixa-01"].turn()  # a person's command works beside it
    assert SiteLock(pair.root / "caixa-01" / "run" / "daemon.lock", 0).holder() == os.getpid()


def test_a_command_that_finds_the_site_at_work_says_who_works(
    pair: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filesync.exchange.station.LOCK_PATIENCE_S", 0.0)
    pair.reopen("caixa-01")
    with (
        SiteLock(pair.root / "caixa-01" / LOCK_NAME, 0).held(),
        pytest.raises(ConfigError, match=f"pid {os.getpid()}") as caught,
    ):
        pair["caixa-01"].turn()
    assert caught.value.code == "busy"


def test_told_to_stop_in_the_middle_of_a_turn_it_loses_nothing(
    pair: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = sales(count=160)
    for start in range(0, 160, 2):
        pair["caixa-01"].seal("vendas", table(sold[start : start + 2]), DAY)
    told = Told("caixa-01", pair.clock)
    daemon = faked(pair, "caixa-01", told, until_s=3600)
    ticks: list[Progress] = []

    whole = daemon._observe

    def observe(tick: Progress) -> None:
        ticks.append(tick)
        daemon.stop()
        whole(tick)

    monkeypatch.setattr(daemon, "_observe", observe)
    daemon.run()
    assert len(ticks) == 1, "the turn ended there"
    there = len(pair.inbox("matriz", "caixa-01"))
    assert 0 < there < 160, "in the middle"
    assert told["stopped"]
    with SiteLock(pair.root / "caixa-01" / LOCK_NAME, 0).held():
        pass  # the lock was given back
    pair.until_quiet("caixa-01", "matriz")
    assert rows(pair["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    assert pair.outbox("caixa-01", "matriz") == []


def test_a_link_that_is_down_is_shown_with_its_next_try_and_forgotten_when_it_works(pair: Network) -> None:
    matriz, away = pair.root / "matriz", pair.root / "away"
    matriz.rename(away)
    pair["caixa-01"].seal("vendas", table(sales(count=3)), DAY)
    shown: list[str] = []

    def meanwhile(steady_s: float) -> None:
        shown.extend(w for w in pair["caixa-01"].status().warnings if "unreachable" in w)
        if steady_s > 1800 and away.exists():
            away.rename(matriz)

    told = Told("caixa-01", pair.clock)
    faked(pair, "caixa-01", told, until_s=3600, meanwhile=meanwhile).run()
    assert shown[0].startswith("matriz unreachable since 18:30, next try 18:30, 1 batch waits: ")
    assert told["reachable-again"][0]["peer"] == "matriz"
    failures = [line["failures"] for line in told["unreachable"]]
    assert failures == list(range(1, len(failures) + 1))
    assert 6 <= len(failures) <= 16, "tried less and less often, not at every turn"
    assert read_troubles(pair.root / "caixa-01") == {}
    assert len(pair.inbox("matriz", "caixa-01")) == 2


def test_a_link_that_was_down_when_the_daemon_ended_has_been_down_since_then(pair: Network) -> None:
    (pair.root / "matriz").rename(pair.root / "away")
    faked(pair, "caixa-01", Told("caixa-01", pair.clock), until_s=60).run()
    first = read_troubles(pair.root / "caixa-01")["matriz"]
    assert first.next_at is None, "nobody tries any more"
    pair.clock.advance(hours=2)
    faked(pair, "caixa-01", Told("caixa-01", pair.clock), until_s=60).run()
    second = read_troubles(pair.root / "caixa-01")["matriz"]
    assert (second.since, second.failures > first.failures) == (first.since, True)


def test_trouble_in_words() -> None:
    now = datetime(2026, 3, 2, 14, 5).astimezone()
    trouble = LinkTrouble(
        (now - timedelta(minutes=3)).isoformat(),
        4,
        "no route to host",
        (now + timedelta(minutes=5)).isoformat(),
    )
    said = describe("matriz", trouble, 12, now)
    assert said == "matriz unreachable since 14:02, next try 14:10, 12 batches wait: no route to host"


@pytest.mark.parametrize("note", ["", "[]", '{"matriz": 5}', '{"matriz": {"since": "yesterday"}}'])
def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path, note: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "links.json").write_text(note, encoding="utf-8")
    assert read_troubles(tmp_path) == {}


def test_a_mistake_in_one_link_stops_no_other(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.site("matriz", Role.MATRIZ)
    for name in ("caixa-01", "caixa-02"):
        network.site(name, Role.CAIXA)
        network.peer("matriz", name, Role.CAIXA, link=f"../{name}")
        network.peer(name, "matriz", Role.MATRIZ)
        network[name].seal("vendas", table(sales(name, count=3)), DAY)
    whole = FolderTransport.list

    def broken(self: FolderTransport, folder: str) -> Any:
        if "caixa-01" in str(self.root):
            raise ZeroDivisionError("a mistake")
        return whole(self, folder)

    monkeypatch.setattr(FolderTransport, "list", broken)
    told = Told("matriz", network.clock)
    faked(network, "matriz", told, until_s=1).run()
    assert [line["feed"] for line in told["applied"]] == ["vendas.caixa-02.matriz"]
    mistake = told["mistake"][0]
    assert mistake["part"] == "link caixa-01"
    assert "ZeroDivisionError" in mistake["exception"]
    assert [line["peer"] for line in told["unreachable"]] == ["caixa-01"]


def test_a_mistake_over_one_batch_stops_no_other(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.site("matriz", Role.MATRIZ)
    for name in ("caixa-01", "caixa-02", "caixa-03"):
        network.site(name, Role.CAIXA)
        network.peer("matriz", name, Role.CAIXA)
        network.peer(name, "matriz", Role.MATRIZ, link="../matriz")
        network[name].seal("vendas", table(sales(name, count=3)), DAY)
        network[name].turn()

    def broken(ctx: Context, report: ImportReport, peers: list[str]) -> None:
        if "caixa-02" in peers:
            raise ZeroDivisionError("a mistake")
        import_all(ctx, report, peers)

    for module in ("station", "parallel"):
        monkeypatch.setattr(f"filesync.exchange.{module}.import_all", broken)
    told = Told("matriz", network.clock)
    faked(network, "matriz", told, until_s=1).run()
    assert sorted(line["feed"] for line in told["applied"]) == [
        "vendas.caixa-01.matriz",
        "vendas.caixa-03.matriz",
    ]
    assert [line["part"] for line in told["mistake"]] == ["import", "import from caixa-02"]
    monkeypatch.undo()
    network.until_quiet("matriz", "caixa-01", "caixa-02", "caixa-03")
    assert len(rows(network["matriz"])) == 9


def test_a_disk_without_room_is_said_once_and_gone_on_from(pair: Network) -> None:
    pair["matriz"].seal("vendas", table(sales("matriz", count=3)), DAY, to="caixa-01")
    free = 100 << 20
    fetched: list[float] = []

    def meanwhile(steady_s: float) -> None:
        nonlocal free
        if steady_s > 600:
            free = 1 << 40
        if pair.outbox("caixa-01", "matriz") or told["fetched"]:
            fetched.append(steady_s)

    told = Told("caixa-01", pair.clock)
    faked(pair, "caixa-01", told, until_s=1200, meanwhile=meanwhile, free=lambda _: free).run()
    assert len(told["disk-low"]) == 1
    assert "100 MiB are free" in told["disk-low"][0]["reason"]
    assert len(told["disk-has-room-again"]) == 1
    assert 600 < fetched[0] <= 700
    assert told["stopped"][0]["turns"] < 100


def test_a_site_that_is_at_work_is_tried_again(pair: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filesync.exchange.station.LOCK_PATIENCE_S", 0.0)
    pair["caixa-01"].seal("vendas", table(sales(count=3)), DAY)
    lock = SiteLock(pair.root / "caixa-01" / LOCK_NAME, 0)
    held = lock.held()
    held.__enter__()

    def meanwhile(steady_s: float) -> None:
        if steady_s > 60 and lock._lock.is_locked:
            held.__exit__(None, None, None)

    told = Told("caixa-01", pair.clock)
    faked(pair, "caixa-01", told, until_s=300, meanwhile=meanwhile).run()
    assert {line["code"] for line in told["turn-failed"]} == {"busy"}
    assert 2 <= len(told["turn-failed"]) <= 6
    assert len(pair.inbox("matriz", "caixa-01")) == 2


def test_settings_are_taken_up_while_it_runs_and_bad_ones_are_said(pair: Network) -> None:
    path = pair.root / "caixa-01" / config.FILE_NAME
    good = path.read_text(encoding="utf-8")
    step = 0

    def meanwhile(_: float) -> None:
        nonlocal step
        step += 1
        if step == 1:
            path.write_text(good + "\nnonsense = 1\n", encoding="utf-8")
        elif step == 6:
            path.write_text(good.replace('"../matriz"', '"../other"') + "\n# changed\n", encoding="utf-8")

    told = Told("caixa-01", pair.clock)
    faked(pair, "caixa-01", told, until_s=3000, meanwhile=meanwhile).run()
    assert len(told["settings-not-understood"]) == 1
    assert "nonsense" in told["settings-not-understood"][0]["reason"]
    assert len(told["settings-taken-up"]) == 1
    assert {line["peer"] for line in told["unreachable"]} == {"matriz"}, "../other is not there"


def test_a_batch_that_waits_is_said_when_it_begins_not_at_every_turn(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales(count=3)), DAY)
    pair["caixa-01"].seal("vendas", table(sales(count=3, seed=2)), DAY)
    pair["caixa-01"].turn()
    for path in pair.inbox("matriz", "caixa-01")[:2]:
        path.unlink()
    told = Told("matriz", pair.clock)
    faked(pair, "matriz", told, until_s=1500).run()
    assert told["stopped"][0]["turns"] > 3
    assert [line["code"] for line in told["waiting"]] == ["hole"]
    assert told["waiting"][0]["peer"] == "caixa-01"
    assert told["waiting"][0]["feed"] == "vendas.caixa-01.matriz"


def test_a_folder_that_is_no_site_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a filesync site"):
        Daemon(tmp_path, None).run()
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------ the routine of the day


def closed_day(network: Network, site: str) -> None:
    """A site that sold, closed its day and sent it."""
    network[site].seal("vendas", table(sales_of_day(site, Role.CAIXA, DAY, count=6)), DAY)
    close(network[site], CloseOrder(DAY, contado_centavos=0))
    network[site].turn()


@pytest.fixture
def shop(network: Network) -> Network:
    """A matriz with a caixa and a posto, which come to it."""
    network.site("matriz", Role.MATRIZ)
    for name, role in (("caixa-01", Role.CAIXA), ("posto-centro", Role.POSTO)):
        network.site(name, role)
        network.peer(name, "matriz", Role.MATRIZ, link="../matriz")
        network.peer("matriz", name, role)
        network.configure(name, "[datasets.vendas.source]\nkind = 'jsonl'\npath = 'drop/*.jsonl'\n")
    return network


def test_a_gate_opens_while_it_works_and_what_waited_for_it_runs_by_itself(shop: Network) -> None:
    """BDF and C.A. lie there before the posto has closed: they are kept, and taken when it has; then the day is reconciled."""
    layouts = {layout.name: layout for layout in shipped_layouts()}
    sold = [
        sale for site in ("caixa-01", "posto-centro") for sale in sales_of_day(site, Role.CAIXA, DAY, count=6)
    ]
    billing = billing_of_day(sold)
    for dataset, layout in (("bdf", "exemplo-bdf-csv"), ("ca", "exemplo-ca-csv")):
        folder = shop.root / "matriz" / "drop" / dataset
        folder.mkdir(parents=True, exist_ok=True)
        content = billing_file(layouts[layout], DAY, billing.rows(dataset))
        (folder / f"{DAY.isoformat()}.csv").write_bytes(content)
    closed_day(shop, "caixa-01")
    came: list[float] = []

    def meanwhile(steady_s: float) -> None:
        if steady_s > 900 and not came:
            came.append(steady_s)
            assert told["applied"], "the caixa's day was there from the beginning"
            steps = {line["step"] for line in told["gate-opened"]}
            assert steps <= {"exportar_sara"}, "the posto has not closed; SARA waits for nobody"
            assert rows(shop["matriz"], "bdf") == []
            closed_day(shop, "posto-centro")

    told = Told("matriz", shop.clock)
    faked(shop, "matriz", told, until_s=3600, meanwhile=meanwhile).run()
    day = DAY.isoformat()
    opened = {line["step"]: line for line in told["gate-opened"] if line["step"] != "exportar_sara"}
    assert list(opened) == ["receber_vendas_remotas", "importar_bdf", "importar_ca", "conciliar"]
    assert {line["day"] for line in opened.values()} == {day}
    evidence = shop.root / "matriz" / "evidence" / opened["receber_vendas_remotas"]["evidence"]
    assert json.loads(evidence.read_text(encoding="utf-8"))["signed"]["day"] == day
    assert [line["step"] for line in told["step-ran"]] == ["importar_bdf", "importar_ca", "conciliar"]
    assert [line["event"] for line in told.lines if line["event"] in ("gate-opened", "step-ran")][
        -1
    ] == "step-ran"
    held = summary(shop["matriz"].context, DAY)
    assert held is not None
    assert held.clean
    assert not told["mistake"]
    assert not told["step-failed"]


def test_a_day_that_something_late_reopens_is_said(shop: Network) -> None:
    closed_day(shop, "caixa-01")
    closed_day(shop, "posto-centro")

    def meanwhile(steady_s: float) -> None:
        if steady_s > 900 and len(told["applied"]) == 4:
            reconcile(shop["matriz"].context, DAY)
            assert not told["day-stale"]
            forgotten = sales_of_day("posto-centro", Role.CAIXA, DAY, count=1, seed=77)
            shop["posto-centro"].seal("vendas", table(forgotten), DAY)
            shop["posto-centro"].turn()

    told = Told("matriz", shop.clock)
    faked(shop, "matriz", told, until_s=3600, meanwhile=meanwhile).run()
    closed = {line["step"]: line for line in told["gate-closed"]}
    assert {"receber_vendas_remotas", "importar_bdf"} <= closed.keys()
    assert closed["importar_bdf"]["missing"] == "late"
    assert closed["importar_bdf"]["sites"] == "posto-centro"
    assert closed["importar_bdf"]["level"] == "warning"
    assert [line["day"] for line in told["day-stale"]] == [DAY.isoformat()]


def test_a_step_that_goes_on_failing_is_said_once_and_keeps_nothing_back(
    shop: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def failing(_: Station, day: date) -> StepReport:
        tries.append(day.isoformat())
        raise RejectedError("layout-unknown", "no layout fits")

    monkeypatch.setitem(routine.RUNNERS, "importar_bdf", failing)
    monkeypatch.delitem(routine.WAITING, "importar_bdf", raising=False)
    closed_day(shop, "caixa-01")
    closed_day(shop, "posto-centro")
    told = Told("matriz", shop.clock)
    faked(shop, "matriz", told, until_s=3600).run()
    assert len(tries) > 2, "it is tried again"
    assert [(line["step"], line["code"]) for line in told["step-failed"]] == [
        ("importar_bdf", "layout-unknown")
    ]
    assert len(told["applied"]) == 4
    assert told["stopped"][0]["turns"] < 40, "and it rests in between"


def test_a_mistake_in_the_routine_stops_no_batch(shop: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("filesync.cli.daemon.run_due", broken)
    closed_day(shop, "caixa-01")
    told = Told("matriz", shop.clock)
    faked(shop, "matriz", told, until_s=1).run()
    assert len(told["applied"]) == 2
    assert told["mistake"][0]["part"] == "day"


def test_a_roster_that_cannot_be_understood_is_said_once(shop: Network) -> None:
    (shop.root / "matriz" / "sites.toml").write_text("[sites.nobody]\n", encoding="utf-8")
    closed_day(shop, "caixa-01")
    told = Told("matriz", shop.clock)
    faked(shop, "matriz", told, until_s=1800).run()
    assert [line["code"] for line in told["day-failed"]] == ["roster-invalid"]
    assert len(told["applied"]) == 2
