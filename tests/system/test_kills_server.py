"""Kill -9 under load with the matriz' store on a server: two machines of it share the database, are killed, and lose their sessions.

Both fetch the same batches from the tills at the same time. Processes of all of them are killed wherever they happen to be (test_kills.py), and
after a life that ended so the server now and then ends every session, also one that is in the middle of its commit. At the end everything runs
until it is quiet: every sale is there once, and every batch was decided once, by one of the two.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from network import Network
from test_kills import Slaughter, Till, check_sales

from filesync.protocol.identity import Role
from filesync.protocol.receipt import Verdict
from filesync.stores.values import IncomingBatch, OutgoingBatch

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import Server

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 and inherited pipes are POSIX")

TILLS = ("caixa-01", "caixa-02")
MACHINES = ("matriz", "matriz-b")
SOURCE = """
[datasets.vendas.source]
kind = "jsonl"
path = "drop/vendas/*.jsonl"
complete = "rename"
"""


def shop(root: Path, server: Server, dice: random.Random) -> tuple[Network, dict[str, Till]]:
    """Tills that are visited by both machines; the second machine is a copy of the first one's folder."""
    net = Network(root, server=server)
    net.site("matriz", Role.MATRIZ)
    net.server = None
    for till in TILLS:
        net.site(till, Role.CAIXA)
        net.peer(till, "matriz", Role.MATRIZ)
        net.peer("matriz", till, Role.CAIXA, link=f"../{till}")
        net.configure(till, SOURCE)
    net.server = server
    net.close()
    shutil.copytree(root / "matriz", root / MACHINES[1])
    return net, {
        till: Till(till, Role.CAIXA, root / till / "drop" / "vendas", random.Random(dice.random()))
        for till in TILLS
    }


def check(net: Network, tills: dict[str, Till], why: str) -> int:
    """Every sale once, in its last version; every batch decided once and answered so; each in the archive of one machine at least."""
    check_sales(net, tills, why)
    there = net["matriz"].context.store
    sealed = 0
    for till in tills:
        here = net[till].context.store
        feed = next(feed for feed in net[till].status().feeds if feed.feed == f"vendas.{till}.matriz")
        assert (feed.open, feed.rejected) == (0, 0), why
        assert feed.sealed == feed.settled, why
        stems = [
            path.name.removesuffix(".manifest.json")
            for path in (net.root / till / "archive").rglob("*.manifest.json")
        ]
        assert sorted(int(stem.split(".")[4]) for stem in stems) == list(range(1, feed.sealed + 1)), why
        for stem in stems:
            out, came = here.batch(stem), there.batch(stem)
            assert isinstance(out, OutgoingBatch), why
            assert isinstance(came, IncomingBatch), why
            assert came.verdict is Verdict.APPLIED, why
            assert [(d.verdict, d.receipt) for d in out.deliveries] == [(Verdict.APPLIED, came.receipt)], why
            lying = [
                path
                for machine in MACHINES
                for path in (net.root / machine / "archive").rglob(f"{stem}.manifest.json")
            ]
            assert len(lying) >= 1, why
        sealed += feed.sealed
    for site in (*MACHINES, *tills):
        status = net[site].status()
        assert (status.outbox, status.inbox, status.quarantine) == ((), (), ()), f"{site}: {why}"
    assert there.problems() == [], why
    database = net.database("matriz")
    assert net.server is not None
    (counted,) = net.server.execute(
        database,
        "SELECT count(*) AS a, count(DISTINCT name) AS b, count(DISTINCT place) AS c FROM fs_incoming",
    )
    assert set(counted.values()) == {sealed}, why
    return sealed


def kill_and_compare(root: Path, server: Server, kills: int, seed: int, commanded: float) -> None:
    dice = random.Random(seed)
    net, tills = shop(root, server, dice)
    database, ended, lives = net.database("matriz"), 0, 0

    def end_sessions() -> None:
        nonlocal ended, lives
        lives += 1
        if lives % 2:
            (found,) = server.execute(
                "postgres",
                "SELECT count(pg_terminate_backend(pid)) AS sessions FROM pg_stat_activity "
                f"WHERE datname = '{database}' AND application_name = 'filesync'",
            )
            ended += found["sessions"]

    own = [["turn"], ["import"], ["run"]]
    commands = dict.fromkeys(MACHINES, own) | {key: [["turn"], ["run"]] for key in TILLS}
    slaughter = Slaughter(net, tills, dice, commands, commanded, matrizes=MACHINES, trouble=end_sessions)
    began = time.monotonic()
    try:
        slaughter.run(kills)
    finally:
        print("\n".join(slaughter.diary))  # noqa: T201 -- pytest shows it where the test failed
    took = time.monotonic() - began
    why = f"seed {seed}: {slaughter.kills}"
    assert slaughter.unexpected == [], why
    assert [path.read_text(encoding="utf-8") for path in net.root.glob("*.trace")] == [], why
    net.until_quiet(*tills, *MACHINES, rounds=40)
    batches = check(net, tills, why)
    assert ended >= kills // 10, why  # of a few, all may fall between two sessions
    print(  # noqa: T201 -- what the proof was worth; shown with -s
        f"seed {seed}: {sum(slaughter.kills.values())} kills in {took:.0f} s {slaughter.kills}, {ended} sessions ended, of commands "
        f"{slaughter.killed_commands} (+ {slaughter.lived} that ended first); {sum(len(t.sales()) for t in tills.values())} sales, {batches} batches"
    )
    net.close()
    server.drop(database)


@pytest.fixture
def seed() -> int:
    """Fixed; $FILESYNC_SEED chooses another one."""
    return int(os.environ.get("FILESYNC_SEED", "20260302"))


def test_killed_anywhere_two_machines_with_one_database_lose_nothing_and_apply_nothing_twice(
    tmp_path: Path, postgresql: Server, seed: int
) -> None:
    kill_and_compare(tmp_path / "net", postgresql, kills=7, seed=seed, commanded=0)


@pytest.mark.slow
def test_a_hundred_kills_of_two_machines_with_one_database(
    tmp_path: Path, postgresql: Server, seed: int
) -> None:
    kill_and_compare(tmp_path / "net", postgresql, kills=120, seed=seed, commanded=0.15)
