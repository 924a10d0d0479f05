"""`filesync run` as it is installed: started, refused a second time, told to end in the middle of its work, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import COMMAND, DAY, Shop, filesync, open_shop

from filesync import config
from filesync.contracts import Registry
from filesync.demo.sales import sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60.0


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        waiting.wait(0.002)


class Daemon:
    """A `filesync run` in a process of its own."""

    def __init__(self, site: Path) -> None:
        self.log = site / "run.log"
        environment = {k: v for k, v in os.environ.items() if k not in ("FILESYNC_ROOT", "FORCE_COLOR")}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(COMMAND), "run", "-C", str(site)], stdout=out, stderr=subprocess.STDOUT, env=environment
            )
        until(lambda: self.said("started") or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")

    def said(self, event: str) -> list[dict[str, Any]]:
        text = self.log.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if line["event"] == event]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def running(site: Path) -> Iterator[Daemon]:
    daemon = Daemon(site)
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait(PATIENCE_S)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path / "shop")


def seal(shop: Shop, batches: int) -> list[dict[str, Any]]:
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    sold = sales_of_day("caixa-01", Role.CAIXA, DAY, count=batches * 2)
    with Station.open(shop.caixa) as station:
        for start in range(0, len(sold), 2):
            table, problems, _ = contract.from_documents(sold[start : start + 2])
            assert not problems
            station.seal("vendas", table)
    return sold


def held(shop: Shop) -> int:
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    with Station.open(shop.matriz) as station:
        return sum(chunk.num_rows for chunk in station.context.store.read_documents(contract))


def test_two_sites_that_run_exchange_by_themselves(shop: Shop) -> None:
    with running(shop.matriz) as matriz, running(shop.caixa) as caixa:
        batch = shop.sell()
        # A receipt is on its way before its turn has ended and is told of: whichever of the two is later.
        until(lambda: caixa.said("settled") and matriz.said("applied"))
        assert matriz.said("applied")[0]["batch"] == batch
        assert caixa.said("settled")[0]["feed"] == "vendas.caixa-01.matriz"
        ends = [daemon.end(signal.SIGTERM) for daemon in (matriz, caixa)] if os.name != "nt" else []
    assert all(code == 0 for code in ends)
    assert caixa.said("stopped") or os.name == "nt"
    assert shop.at_caixa("turn").out.startswith("Nothing to do")


def test_a_second_one_is_refused_with_the_first_ones_pid(shop: Shop) -> None:
    with running(shop.caixa) as first:
        refused = shop.at_caixa("run", code=2)
        assert f"pid {first.process.pid}" in refused.err
        shop.at_caixa("turn")  # people's commands work beside it
        assert first.process.poll() is None


@pytest.mark.skipif(
    os.name == "nt", reason="Windows has no SIGTERM; the flow test ends a turn in its middle there too"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ended_in_the_middle_of_a_turn_it_loses_nothing(shop: Shop, number: signal.Signals) -> None:
    sold = seal(shop, 100)
    inbox = shop.matriz / "inbox" / "caixa-01"
    with running(shop.caixa) as daemon:
        until(lambda: inbox.is_dir() and any(inbox.iterdir()))
        code = daemon.end(number)
    assert code == (-9 if number is signal.SIGKILL else 0), daemon.log.read_text(encoding="utf-8")
    assert bool(daemon.said("stopped")) is (number is not signal.SIGKILL)
    shop.at_caixa("turn")  # the lock was given back
    shop.at_matriz("turn")
    shop.at_caixa("turn")
    assert held(shop) == len(sold)
    assert [path for path in (shop.caixa / "outbox" / "matriz").iterdir() if path.is_file()] == []
    with running(shop.caixa):
        pass  # nothing hinders the next one


def test_status_shows_a_link_that_is_down(shop: Shop) -> None:
    shop.sell()
    shop.matriz.rename(shop.root / "away")
    with running(shop.caixa) as daemon:
        until(lambda: daemon.said("unreachable"))
        until(
            lambda: (
                "unreachable since" in " ".join(shop.at_caixa("status", "--json", code=None).json["warnings"])
            )
        )
        said = shop.at_caixa("status", "--json", code=None).json["warnings"]
    assert any("next try" in warning and "1 batch waits" in warning for warning in said)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("exchange = 'sometimes'", "every 5 min"),
        ("close = '30 22 * * 1-5'", "named"),
        ("rescan = '0 s'", "at least a second"),
        ("opens = 'daily 8:00'", "opens"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused_with_its_place(shop: Shop, text: str, word: str) -> None:
    with (shop.caixa / config.FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(f"\n[schedule]\n{text}\n")
    refused = shop.at_caixa("run", code=2)
    assert f"schedule.{text.split(maxsplit=1)[0]}" in refused.err
    assert word in refused.err


def test_run_in_a_folder_that_is_no_site(tmp_path: Path) -> None:
    assert "not a filesync site" in filesync("-C", tmp_path, "run", code=2).err
    assert list(tmp_path.iterdir()) == []
