"""Bad days of the machine: a full disk, a read-only one, files that others hold, a share that goes away, clocks that jump, tidy persons.

For each: every command says a clear state and never shows a traceback; nothing is lost; and when the cause is gone it goes on by itself,
without a restart, to the same end as if nothing had been. What the machine does is done to the program's doors, at every place in turn;
where root and mount are at hand, a real tiny disk is filled and remounted, too.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, FakeClock, Network, rows, sales
from typer.testing import CliRunner

from filesync.cli.app import app
from filesync.errors import TransportError
from filesync.protocol.identity import Role
from filesync.stores import sqlite_database
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SITES = ("caixa-01", "matriz")
#: How commands may end on a bad day: done, needs attention, the machine's or the settings' fault, not reachable. Never a bug.
CLEAR = (0, 1, 2, 3)

_DROP = '\n[datasets.vendas.source]\nkind = "jsonl"\npath = "drop/vendas/*.jsonl"\ncomplete = "rename"\n'


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    text: str


def command(root: Path, *arguments: str) -> Said:
    """A command as a person gives it, at a site. It may fail, but clearly: never as a bug, never with a traceback."""
    result = CliRunner().invoke(app, ["-C", str(root), *arguments], prog_name="filesync")
    said = Said(result.exit_code, result.stdout + result.stderr)
    assert "Traceback" not in said.text, said
    assert said.code in CLEAR, said
    assert "should not have happened" not in said.text, said
    return said


@pytest.fixture
def shop(pair: Network) -> Network:
    """A caixa that sells into a drop folder and pushes to the matriz; of a few sales, one is corrected later."""
    pair.configure("caixa-01", _DROP)
    for site in SITES:
        pair.configure(site, "\n[limits]\ndisk_free_min_mib = 0\n")
    return pair


def sell(net: Network, *, corrected: bool = False) -> None:
    """The day's drop file; later the same day with a correction and one more sale."""
    drop = net.root / "caixa-01" / "drop" / "vendas"
    drop.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(sale) + "\n" for sale in sold(corrected=corrected))
    (drop / "day.tmp").write_text(text, encoding="utf-8")
    (drop / "day.tmp").replace(drop / "day.jsonl")


def sold(*, corrected: bool = True) -> list[dict[str, Any]]:
    """What the shop sold, as it stands in the end, or before the correction."""
    day = sales(count=4)
    return [{**day[0], "operador": "M999"}, *day[1:]] if corrected else day[:3]


def story(net: Network, turn: Callable[[str], object]) -> None:
    """Two captures, with a full exchange after each."""
    for corrected in (False, True):
        sell(net, corrected=corrected)
        for site in ("caixa-01", "matriz", "caixa-01"):
            turn(site)


def whole(net: Network, why: str = "", *, archives: bool = True) -> None:
    """Everything is where it belongs, as on a good day."""
    sell(net, corrected=True)  # the till program's day ends as it ends, whatever the disk does
    net.until_quiet(*SITES)
    assert rows(net["matriz"]) == sorted(sold(), key=lambda sale: str(sale["venda_id"])), why
    archived = {}
    for site, peer in (SITES, SITES[::-1]):
        status = net[site].status()
        assert (status.outbox, status.inbox, status.quarantine) == ((), (), ()), why
        feed = next(feed for feed in status.feeds if feed.feed == "vendas.caixa-01.matriz")
        assert feed.sealed == feed.settled == feed.applied_through, why
        assert net.inbox(site, peer) == net.outbox(site, peer) == [], why
        for top in ("inbox", "outbox", "archive", "quarantine"):
            assert list((net.root / site / top / durable.PARTIAL).glob("*")) == [], why
        files = [path for path in (net.root / site / "archive").rglob("*.*") if ".receipt." not in path.name]
        archived[site] = {path.name: path.read_bytes() for path in files if path.is_file()}
    assert not archives or archived["caixa-01"] == archived["matriz"], why


# ------------------------------------------------------------------------------------------------ disks


@dataclass
class Disk:
    """Every durable step goes through it. From step `fails_at` on none succeeds, until it is told otherwise."""

    number: int = errno.ENOSPC
    fails_at: int | None = None
    steps: int = 0

    def step(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.steps += 1
            if self.fails_at is not None and self.steps >= self.fails_at:
                raise OSError(self.number, os.strerror(self.number), str(args[0]))
            return do(*args, **kwargs)

        return guarded


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    for name in ("fsync_file", "fsync_folder", "replace"):
        monkeypatch.setattr(durable, name, made.step(getattr(durable, name)))
    return made


def _fails_from(shop: Network, disk: Disk, tmp_path: Path, number: int, every: int) -> None:
    """The stations stay open: when the disk is well again, the same ones go on."""
    shop.close()
    disk.number = number
    good = shop.copy_of(tmp_path / "good")
    disk.steps = 0
    story(good, lambda site: good[site].turn())
    last = disk.steps
    whole(good)
    good.close()
    assert last > 40
    failures = 0
    for fails_at in range(1, last + 1, every):
        why = f"{errno.errorcode[number]} from step {fails_at} of {last}"
        net = shop.copy_of(tmp_path / f"bad-{fails_at}")
        disk.steps, disk.fails_at = 0, fails_at

        def turn(site: str, net: Network = net) -> None:
            nonlocal failures
            try:
                report = net[site].turn()
            except (OSError, TransportError):
                failures += 1
            else:
                failures += bool(report.exchange.unreachable)

        with closing(net):
            story(net, turn)
            disk.fails_at = None
            whole(net, why)
        shutil.rmtree(net.root)
    assert failures > last // every, "the disk must have failed, or this proves nothing"


_FAULTS = pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO], ids=lambda number: errno.errorcode[number]
)


@_FAULTS
def test_a_disk_that_fails_at_some_step_costs_time_only(
    shop: Network, disk: Disk, tmp_path: Path, number: int
) -> None:
    _fails_from(shop, disk, tmp_path, number, every=23)


@pytest.mark.slow
@_FAULTS
def test_a_disk_that_fails_at_any_step_costs_time_only(
    shop: Network, disk: Disk, tmp_path: Path, number: int
) -> None:
    _fails_from(shop, disk, tmp_path, number, every=1)


def test_the_command_names_a_disk_that_is_full_or_cannot_be_written_to(
    shop: Network, disk: Disk, tmp_path: Path
) -> None:
    shop.close()
    for number, words in ((errno.ENOSPC, ("full", "No space")), (errno.EROFS, ("written to", "Read-only"))):
        for fails_at in range(1, 40, 11):
            net = shop.copy_of(tmp_path / f"{number}-{fails_at}")
            disk.number, disk.steps, disk.fails_at = number, 0, fails_at
            spoke: list[Said] = []

            def turn(site: str, net: Network = net, spoke: list[Said] = spoke) -> None:
                spoke.append(command(net.root / site, "turn"))

            with closing(net):
                story(net, turn)
                failed = [said for said in spoke if said.code]
                assert failed, f"{errno.errorcode[number]} from step {fails_at}"
                assert all(any(word in said.text for word in words) for said in failed), failed
                disk.fails_at = None
                whole(net)


def _pages(net: Network, site: str) -> int:
    pages: int = net[site].context.store._db.select("PRAGMA page_count")[0][0]
    return pages


@pytest.mark.parametrize("site", SITES)
def test_a_database_that_cannot_grow_says_so_and_goes_on_when_it_can(
    shop: Network, tmp_path: Path, site: str
) -> None:
    """SQLITE_FULL, after so many pages more."""
    limits = range(40)
    good = shop.copy_of(tmp_path / "good")
    before = _pages(good, site)
    story(good, lambda name: good[name].turn())
    grown = _pages(good, site) - before
    good.close()
    shop.close()
    assert grown in limits
    for more in range(0, grown, 3):
        net = shop.copy_of(tmp_path / f"{more}")
        net[site].context.store._db.select(f"PRAGMA max_page_count = {before + more}")
        failures: list[str] = []

        def turn(name: str, net: Network = net, failures: list[str] = failures) -> None:
            try:
                net[name].turn()
            except TransportError as err:
                failures.append(err.code)

        story(net, turn)
        assert set(failures) == {"disk-full"}, f"{more} pages"
        net[site].context.store._db.select("PRAGMA max_page_count = 4294967294")
        whole(net, f"{more} pages")
        net.close()


def test_the_command_says_that_the_database_has_no_room(
    shop: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = _pages(shop, "caixa-01")
    shop.close()
    drop = shop.root / "caixa-01" / "drop" / "vendas"
    drop.mkdir(parents=True)
    many = sales(count=900)
    (drop / "day.jsonl").write_text("".join(json.dumps(sale) + "\n" for sale in many), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_database, "_PRAGMAS", (*sqlite_database._PRAGMAS, f"max_page_count = {pages}"))
        said = command(shop.root / "caixa-01", "turn")
        assert said.code in (1, 3)
        assert "full" in said.text
        assert "Free some space" in said.text
    assert command(shop.root / "caixa-01", "turn").code == 0
    shop.until_quiet(*SITES)
    assert len(rows(shop["matriz"])) == 900


def test_a_database_that_may_not_be_written_says_so(shop: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.close()
    sell(shop)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_database, "_PRAGMAS", (*sqlite_database._PRAGMAS, "query_only = ON"))
        said = command(shop.root / "caixa-01", "turn")
        assert said.code == 2
        assert "readonly" in said.text
        assert command(shop.root / "caixa-01", "status").code == 0, "looking needs no writing"
    whole(shop)


@contextmanager
def _tmpfs(folder: Path, size: str) -> Iterator[Path]:
    if os.name == "nt" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a real tiny disk needs root and mount")
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a real tiny disk cannot be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many bytes free."""
    path = folder / "film.mkv"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - leave))
    return path


def _really_full(shop: Network, folder: Path, leaves: Sequence[int]) -> int:
    shop.close()
    failures = 0
    with _tmpfs(folder, "6m") as small:
        for leave in leaves:
            why = f"{leave} bytes left"
            net = shop.copy_of(small / "net")
            sell(net)
            film = _fill(small, leave)
            for corrected in (False, True):
                for site in ("caixa-01", "matriz", "caixa-01"):
                    said = command(net.root / site, "turn")
                    failures += said.code != 0
                    assert said.code == 0 or "full" in said.text or "No space" in said.text, (why, said)
                    command(net.root / site, "status")
                if not corrected:
                    film.unlink()
                    sell(net, corrected=True)
                    film = _fill(small, leave)
            film.unlink()
            whole(net, why)
            net.close()
            shutil.rmtree(net.root)
    return failures


def test_a_real_disk_that_is_really_full(shop: Network, tmp_path: Path) -> None:
    assert _really_full(shop, tmp_path / "disk", range(0, 300_000, 73_728)) > 3


@pytest.mark.slow
def test_a_real_disk_with_every_number_of_blocks_left(shop: Network, tmp_path: Path) -> None:
    assert _really_full(shop, tmp_path / "disk", range(0, 500_000, 4096)) > 50


def test_a_real_disk_that_becomes_read_only(shop: Network, tmp_path: Path) -> None:
    shop.close()
    with _tmpfs(tmp_path / "disk", "16m") as small:
        net = shop.copy_of(small / "net")
        sell(net)
        for turns in range(4):
            subprocess.run(["mount", "-o", "remount,ro", small], check=True)
            for site in SITES:
                said = command(net.root / site, "turn")
                assert said.code == 2, said
                command(net.root / site, "status")
                command(net.root / site, "outbox")
            subprocess.run(["mount", "-o", "remount,rw", small], check=True)
            command(net.root / ("caixa-01", "matriz")[turns % 2], "turn")
        whole(net)
        net.close()


# ------------------------------------------------------------------------------------------------ files that others hold


@dataclass
class Holders:
    """Other programs (antivirus, an editor, a backup) that hold files without sharing them, as Windows lets them."""

    held: set[Path] = field(default_factory=set)
    refused: int = 0

    def guard(self, do: Callable[..., Any], paths: int) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            for given in args[:paths]:
                if isinstance(given, (str, Path)) and Path(given) in self.held:
                    self.refused += 1
                    raise PermissionError(errno.EACCES, "The process cannot access the file", str(given))
            return do(*args, **kwargs)

        return guarded


@pytest.fixture
def holders(monkeypatch: pytest.MonkeyPatch) -> Holders:
    made = Holders()
    for module, name, paths in (
        (io, "open", 1), (os, "open", 1), (os, "unlink", 1), (os, "replace", 2), (os, "rename", 2), (os, "link", 1),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, made.guard(getattr(module, name), paths))
    monkeypatch.setattr(durable, "LOCKED_DELAYS_S", ())  # patience itself is tests/doors/test_durable.py
    return made


#: What no other program holds for long without the site being down altogether: the database, the settings and keys; and the lock is a lock.
_OURS = ("filesync.db", "filesync.toml", "keys", "filesync.lock")


def _touchable(net: Network) -> list[Path]:
    return sorted(
        path
        for site in SITES
        for path in (net.root / site).rglob("*")
        if path.is_file() and not path.relative_to(net.root / site).parts[0].startswith(_OURS)
    )


def _held(shop: Network, holders: Holders, tmp_path: Path, every: int) -> int:
    """At every stage, every n-th file that lies there, on both sides: nothing is set aside, and it goes on when it is let go."""
    shop.close()
    tried = 0
    stages: tuple[tuple[str, ...], ...] = tuple(("caixa-01", "matriz", "caixa-01")[:n] for n in range(3))
    for number, stage in enumerate((*stages, ("caixa-01", "matriz", "caixa-01", "sell", "caixa-01"))):
        base = shop.copy_of(tmp_path / f"stage-{number}")
        sell(base)
        for step in stage:
            sell(base, corrected=True) if step == "sell" else base.turn(step)
        base.close()
        for place, original in enumerate(_touchable(base)[number % every :: every]):
            net = base.copy_of(tmp_path / f"held-{number}-{place}")
            held = net.root / original.relative_to(base.root)
            why = f"stage {number}, {held.relative_to(net.root)}"
            holders.held, holders.refused = {held}, 0
            for site in (*SITES, "caixa-01"):
                said = command(net.root / site, "turn")
                assert "quarantine" not in said.text, (why, said)
                assert net.codes(site) == [], why
                command(net.root / site, "status")
            tried += bool(holders.refused)
            holders.held = set()
            whole(net, why)
            net.close()
            shutil.rmtree(net.root)
    return tried


def test_a_file_that_another_program_holds_is_not_a_failure(
    shop: Network, holders: Holders, tmp_path: Path
) -> None:
    assert _held(shop, holders, tmp_path, every=4) > 3


@pytest.mark.slow
def test_no_file_that_another_program_holds_is_a_failure(
    shop: Network, holders: Holders, tmp_path: Path
) -> None:
    assert _held(shop, holders, tmp_path, every=1) > 15


# ------------------------------------------------------------------------------------------------ shares


def test_a_share_that_goes_away_is_waited_for(shop: Network) -> None:
    sell(shop)
    shop.turn("caixa-01")
    away = shop.root / "away"
    for corrected in (False, True):
        shop.stations.pop("matriz", shop["matriz"]).close()
        (shop.root / "matriz").rename(away)
        sell(shop, corrected=corrected)
        said = command(shop.root / "caixa-01", "turn")
        assert said.code == 3
        assert "matriz could not be reached" in said.text
        assert "Nothing is lost" in said.text
        assert not (shop.root / "matriz").exists(), "the place of the share is not made anew here"
        assert command(shop.root / "caixa-01", "status").code == 0
        away.rename(shop.root / "matriz")
        shop.turn("caixa-01")
    whole(shop)


def test_an_empty_mount_point_is_not_the_peer(shop: Network) -> None:
    """The share is not mounted, its folder is there: what is written there would lie below it, unseen, for ever."""
    away = shop.root / "away"
    shop["matriz"].turn()
    shop.stations.pop("matriz").close()
    (shop.root / "matriz").rename(away)
    (shop.root / "matriz").mkdir()
    sell(shop)
    said = command(shop.root / "caixa-01", "turn")
    assert said.code == 3, said
    assert "not mounted" in said.text
    assert list((shop.root / "matriz").iterdir()) == []
    (shop.root / "matriz").rmdir()
    away.rename(shop.root / "matriz")
    whole(shop)


# ------------------------------------------------------------------------------------------------ clocks


class WildClock(FakeClock):
    """Every look at it may be a year later or a month earlier than the last."""

    def __init__(self, seed: int, chance: float) -> None:
        super().__init__()
        self._dice = random.Random(seed)
        self._chance = chance

    def __call__(self) -> datetime:
        if self._dice.random() < self._chance:
            self.now += timedelta(
                days=self._dice.choice((365, -30, -365, 1, -1)), seconds=self._dice.random()
            )
        return self.now


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("relay", [False, True], ids=["link", "relay"])
def test_clocks_that_jump_change_labels_only(network: Network, seed: int, *, relay: bool) -> None:
    """Between turns and inside of them, on both sides; everything arrives in its order, once, in its last version."""
    network.clock = WildClock(seed, (0.0, 0.05, 0.3)[seed % 3])
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    if relay:
        (network.root / "between").mkdir()
        network.peer("caixa-01", "matriz", Role.MATRIZ, link="../between", relay=True)
        network.peer("matriz", "caixa-01", Role.CAIXA, link="../between", relay=True)
    else:
        network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
        network.peer("matriz", "caixa-01", Role.CAIXA)
    network.configure("caixa-01", _DROP)
    jumps = random.Random(seed)
    versions: list[dict[str, Any]] = []
    drop = network.root / "caixa-01" / "drop" / "vendas"
    drop.mkdir(parents=True)
    for number in range(8):
        day = sales(count=5, day=DAY)
        versions = [{**sale, "operador": f"M{number:03}"} for sale in day]
        (drop / "day.jsonl").write_text(
            "".join(json.dumps(sale) + "\n" for sale in versions), encoding="utf-8"
        )
        network.turn("caixa-01", "matriz")
        network.clock.now += timedelta(days=jumps.choice((365, -30, 0)))
        if number % 3 == 2:
            network.close()  # the clock of a machine that was started again
    network.until_quiet(*SITES)
    assert rows(network["matriz"]) == sorted(versions, key=lambda sale: str(sale["venda_id"]))
    status = network["caixa-01"].status()
    assert (status.outbox, status.quarantine) == ((), ())
    feed = next(feed for feed in status.feeds if feed.feed == "vendas.caixa-01.matriz")
    assert feed.sealed == feed.settled == 8
    assert network.codes("matriz") == []


# ------------------------------------------------------------------------------------------------ tidy persons

_FOLDERS = (
    "inbox", "inbox/{peer}", "outbox", "outbox/{peer}", "quarantine", "archive", "drop", "evidence", "run",
    "inbox/.partial", "outbox/.partial",
)  # fmt: skip


def _deleted(shop: Network, tmp_path: Path, folder: str, stages: Sequence[int]) -> None:
    """While the stations are open, on both sides. What was in it comes again from where it still is."""
    shop.close()
    order = ("caixa-01", "matriz", "caixa-01", "caixa-01", "matriz", "caixa-01")
    for stage in stages:
        for site, peer in (SITES, SITES[::-1]):
            net = shop.copy_of(tmp_path / f"{stage}-{site}")
            why = f"{folder} of {site} before turn {stage}"
            with closing(net):
                for number, step in enumerate(order[: stage + 1]):
                    if number in (0, 3):
                        sell(net, corrected=number == 3)
                    if number < stage:
                        net.turn(step)
                shutil.rmtree(net.root / site / folder.format(peer=peer), ignore_errors=True)
                command(net.root / site, "status")
                command(net.root / site, "outbox")
                for name in SITES:
                    said = command(net.root / name, "turn")
                    assert said.code in (0, 1), (why, said)
                # What is deleted from an archive, or on its way there, is no longer in that one.
                whole(net, why, archives=not folder.startswith(("archive", "outbox")))
            shutil.rmtree(net.root)


@pytest.mark.parametrize("folder", _FOLDERS)
def test_a_folder_that_a_person_deleted_is_made_again(shop: Network, tmp_path: Path, folder: str) -> None:
    _deleted(shop, tmp_path, folder, (_FOLDERS.index(folder) % 2 * 4 + 1,))


@pytest.mark.slow
@pytest.mark.parametrize("folder", _FOLDERS)
def test_a_folder_that_a_person_deleted_at_any_moment(shop: Network, tmp_path: Path, folder: str) -> None:
    _deleted(shop, tmp_path, folder, range(7))


def test_a_batch_that_was_deleted_before_anybody_had_it_is_named_until_it_is_back(
    shop: Network, tmp_path: Path
) -> None:
    """The one thing that cannot come again by itself: the outbox held the only copy."""
    away = shop.root / "away"
    (shop.root / "matriz").rename(away)
    sell(shop)
    shop.turn("caixa-01")
    outbox = shop.root / "caixa-01" / "outbox"
    shutil.copytree(outbox, tmp_path / "backup")
    shutil.rmtree(outbox)
    away.rename(shop.root / "matriz")
    for _ in range(2):
        command(shop.root / "caixa-01", "turn")
        assert shop.codes("caixa-01") == ["payload-lost"]
        said = command(shop.root / "caixa-01", "status")
        assert "restore it from a backup" in said.text.replace("\n", " ")
    shutil.copytree(tmp_path / "backup", outbox, dirs_exist_ok=True)
    whole(shop)
