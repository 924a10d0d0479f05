"""The doctor finds what is broken, says it, cures nothing, and leaves nothing behind. Every kind of trouble here is a real one, made by hand."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from network import Network, sales, table

from filesync import config
from filesync.cli.examining import ending, next_step
from filesync.doctor import agreement, clocks, holder, links, machine, sftp_links
from filesync.doctor.deadline import bounded
from filesync.doctor.disks import find_disk, free_space
from filesync.doctor.examination import Report, examine
from filesync.doctor.exceptions import exceptions
from filesync.doctor.findings import Finding, Outcome
from filesync.doctor.probes import LEFT_BEHIND_S, PREFIX, Probe, probe, remove_left_behind
from filesync.errors import ConfigError, TransportError
from filesync.exchange.lock import LOCK_NAME
from filesync.exchange.own_store import site_contracts
from filesync.protocol.identity import Role
from filesync.stores.checking import LastAnswer, LastArrival, LastHeard, Newest, newest, quick_check
from filesync.transports.probing import SftpProbe

if TYPE_CHECKING:
    from quirky import Quirky
    from sshd import Sshd

NOW = datetime.fromisoformat("2026-03-02T18:30:00-03:00")
NOT_ROOT = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere, and Windows asks otherwise"
)


def later() -> datetime:
    """After everything that the tests' clock and the files' own say."""
    return max(datetime.now(UTC), NOW) + timedelta(hours=1)


def found(report: Report, check: str, about: str = "") -> Finding:
    (one,) = [one for one in report.findings if one.check == check and one.about == about]
    return one


def snapshot(root: Path) -> dict[str, str]:
    """Every file and folder with its content. SQLite's -shm and -wal come and go with every reader."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(root.rglob("*"))
        if not path.name.endswith(("-wal", "-shm", ".lock", ".lock.pid"))
    }


def wrong(report: Report) -> list[str]:
    return [
        f"{one.check}: {one.seen}"
        for one in report.findings
        if one.outcome in (Outcome.FAILED, Outcome.WARNING)
    ]


# ------------------------------------------------------------------------------------------------ the whole walk


def test_a_healthy_pair_is_all_well_and_nothing_is_changed(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01", "matriz", "caixa-01")
    before = snapshot(pair.root)
    report = examine(pair.root / "caixa-01", clock=later)
    assert wrong(report) == []
    assert {one.check for one in report.findings} >= {
        "configuration", "folders", "writing into inbox/", "writing into outbox/", "free space", "same filesystem", "pinned keys", "lock",
        "database", "clock", "antivirus", "watcher events", "reachable", "whose folder", "writing there", "taking from there", "contracts",
    }  # fmt: skip
    assert snapshot(pair.root) == before
    assert ending(report.findings) == 0


def test_it_runs_beside_a_working_station_and_says_who_works(pair: Network) -> None:
    station = pair["caixa-01"]
    with station._working():
        report = examine(pair.root / "caixa-01", clock=later)
    one = found(report, "lock")
    assert one.outcome is Outcome.OK
    assert "works in this folder" in one.seen
    if sys.platform == "linux":
        assert str(os.getpid()) in one.seen
    assert wrong(report) == []


def test_the_matriz_that_is_only_visited_has_nothing_to_reach(pair: Network) -> None:
    report = examine(pair.root / "matriz", clock=later)
    assert "comes to us" in found(report, "link", "caixa-01").seen


def test_no_site_and_no_such_peer_are_the_usual_errors(pair: Network, tmp_path: Path) -> None:
    for root, only, code in (
        (tmp_path, None, "not-a-site"),
        (tmp_path / "nowhere", None, "not-a-site"),
        (pair.root / "caixa-01", "posto-9", "peer-unknown"),
    ):
        with pytest.raises(ConfigError) as caught:
            examine(root, only)
        assert caught.value.code == code


def test_a_broken_configuration_is_said_and_the_rest_is_still_examined(pair: Network) -> None:
    pair.configure("caixa-01", "colour = 'blue'\n")
    report = examine(pair.root / "caixa-01", clock=later)
    assert found(report, "configuration").outcome is Outcome.FAILED
    assert found(report, "database").outcome is Outcome.OK
    assert found(report, "links").outcome is Outcome.SKIPPED
    assert ending(report.findings) == 2


# ------------------------------------------------------------------------------------------------ troubles of the site


def test_missing_and_unusable_folders_are_named(pair: Network) -> None:
    root = pair.root / "caixa-01"
    shutil.rmtree(root / "quarantine")
    (root / "evidence").rmdir()
    (root / "evidence").write_text("a file\n")
    seen = found(examine(root), "folders").seen
    assert "quarantine is missing" in seen
    assert "evidence is not a folder" in seen


@NOT_ROOT
def test_a_folder_that_may_not_be_written_is_named(pair: Network) -> None:
    folder = pair.root / "caixa-01" / "inbox"
    folder.chmod(0o500)
    try:
        report = examine(pair.root / "caixa-01", clock=later)
    finally:
        folder.chmod(0o700)
    assert "inbox may not be written" in found(report, "folders").seen
    assert found(report, "writing into inbox/").outcome is Outcome.FAILED


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can be root")
def test_root_is_told_that_it_sees_too_little(pair: Network) -> None:
    os.chown(pair.root / "caixa-01", 65534, 65534)
    assert found(examine(pair.root / "caixa-01", clock=later), "account").outcome is Outcome.WARNING


def test_a_full_disk_is_said_in_two_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for free, outcome in (
        (100_000_000, Outcome.FAILED),
        (1_000_000_000, Outcome.WARNING),
        (9_000_000_000, Outcome.OK),
    ):
        usage = shutil._ntuple_diskusage(10**10, 10**10 - free, free)
        monkeypatch.setattr("filesync.doctor.disks.shutil.disk_usage", lambda _, usage=usage: usage)
        assert free_space("free space", tmp_path).outcome is outcome


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_private_key_that_others_may_read_is_a_failure(pair: Network) -> None:
    root = pair.root / "caixa-01"
    config.key_path(root).chmod(0o644)
    (root / "keys").chmod(0o755)
    assert found(examine(root), "keys").outcome is Outcome.FAILED


def test_a_peer_without_a_pinned_key_and_a_foreign_public_half_are_warned_of(pair: Network) -> None:
    root = pair.root / "caixa-01"
    config.pinned_path(root, "matriz").unlink()
    shutil.copy(pair.root / "matriz" / "keys" / "site_ed25519.pub", root / "keys")
    report = examine(root)
    assert "matriz" in found(report, "pinned keys").seen
    assert found(report, "public key").outcome is Outcome.WARNING


def test_a_damaged_database_is_found_by_reading_it_whole(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales(count=400)))
    pair.close()
    path = pair.root / "caixa-01" / "filesync.db"
    data = bytearray(path.read_bytes())
    assert quick_check(path) == []
    for at in range(len(data) // 2, len(data) // 2 + 4096 * 4):
        data[at] ^= 0xFF
    path.write_bytes(data)
    assert found(examine(path.parent), "database").outcome is Outcome.FAILED


def test_a_database_of_another_site_and_none_at_all(pair: Network) -> None:
    pair.close()
    root = pair.root / "caixa-01"
    shutil.copy(pair.root / "matriz" / "filesync.db", root)
    assert found(examine(root), "database").code == "site-mismatch"
    (root / "filesync.db").unlink()
    report = examine(root)
    assert found(report, "database").code == "store-missing"
    assert not (root / "filesync.db").exists()
    (root / "filesync.db").write_bytes(b"no database at all" * 999)
    assert found(examine(root), "database").outcome is Outcome.FAILED


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
//server/loja /mnt/loja\\040centro cifs rw 0 0
server:/x /mnt/nfs nfs4 rw 0 0
/dev/sdb1 /mnt/nfs/local ext4 rw 0 0
user@host: /mnt/ssh fuse.sshfs rw 0 0
short
"""


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/srv/x", "ext4", False), ("/mnt/loja centro/caixa", "cifs", True), ("/mnt/loja centro", "cifs", True), ("/mnt/loja centro2", "ext4", False),
        ("/mnt/nfs/a", "nfs4", True), ("/mnt/nfs/local/a", "ext4", False), ("/mnt/ssh/a", "fuse.sshfs", True),
    ],
)  # fmt: skip
def test_shares_are_told_from_disks(path: str, kind: str, remote: bool) -> None:
    disk = find_disk(MOUNTS, path)
    assert (disk.kind, disk.remote) == (kind, remote)


def test_who_holds_the_lock_is_read_and_never_taken(tmp_path: Path) -> None:
    assert not holder.holder_of(tmp_path).held
    lock = tmp_path / LOCK_NAME
    lock.touch()
    assert not holder.holder_of(tmp_path).held
    found_in = lock.stat()
    place = f"{os.major(found_in.st_dev):02x}:{os.minor(found_in.st_dev):02x}:{found_in.st_ino}"
    table_of = tmp_path / "locks"
    lines = {
        f"1: FLOCK  ADVISORY  WRITE {os.getpid()} {place} 0 EOF": (True, os.getpid(), True),
        f"1: FLOCK  ADVISORY  WRITE -1 {place} 0 EOF": (True, None, False),
        f"1: FLOCK  ADVISORY  WRITE 77 {place}1 0 EOF": (False, None, True),
        f"1: -> FLOCK  ADVISORY  WRITE 77 {place} 0 EOF": (False, None, True),
    }
    for line, (held, pid, here) in lines.items():
        table_of.write_text(f"{line}\n")
        one = holder.holder_of(tmp_path, locks=table_of)
        assert (one.held, one.pid, one.here) == (held, pid, here), line


# ------------------------------------------------------------------------------------------------ clocks, contracts


def answer(
    clock: str, *, sealed: str = "18:00:00", settled: str = "18:10:00", contract: str = "vendas.v1"
) -> LastAnswer:
    return LastAnswer("matriz", "vendas", contract, "filesync 9.9.9", f"2026-03-02T{clock}-03:00", f"2026-03-02T{sealed}-03:00", f"2026-03-02T{settled}-03:00")  # fmt: skip


@pytest.mark.parametrize(
    ("clock", "ahead_s"),
    [("18:05:00", None), ("18:11:30", None), ("17:59:00", None), ("18:40:00", 1800), ("17:00:00", -3600)],
)
def test_a_peers_clock_is_wrong_only_where_that_is_certain(clock: str, ahead_s: float | None) -> None:
    assert [skew.ahead_s for skew in clocks.skews(Newest(None, (), (answer(clock),)))] == (
        [] if ahead_s is None else [ahead_s]
    )


def test_a_clock_before_anything_that_is_here_is_wrong(tmp_path: Path) -> None:
    told = Newest("2026-03-02T18:00:00-03:00", (LastArrival("matriz", "produtos", 1, "2026-03-02T18:20:00-03:00", "2026-03-02T18:20:01-03:00"),), (answer("18:40:00"),))  # fmt: skip
    root = tmp_path / "nothing"
    fine, skew = clocks.clock(root, NOW, told)
    assert fine.outcome is Outcome.OK
    assert "matriz's clock is at least 30 min ahead" in skew.seen
    late, _ = clocks.clock(root, NOW - timedelta(minutes=30), told)
    assert late.outcome is Outcome.FAILED
    assert "the newest batch from matriz" in late.seen
    (dead,) = clocks.clock(root, datetime.fromisoformat("2000-01-01T00:00:00+00:00"), None)
    assert dead.outcome is Outcome.FAILED


def test_contract_versions_are_compared_with_what_was_exchanged(pair: Network) -> None:
    contracts = site_contracts(pair.root / "matriz")

    def one(version: int, dataset: str = "vendas") -> Outcome:
        told = Newest(None, (LastArrival("caixa-01", dataset, version, "", ""),), ())
        return next(iter(agreement.versions(contracts, told, "caixa-01"))).outcome

    assert one(1) is Outcome.OK
    assert one(2) is Outcome.FAILED
    assert one(1, "unheard-of") is Outcome.FAILED
    assert one(0) is Outcome.WARNING
    assert next(iter(agreement.versions(contracts, None, "caixa-01"))).outcome is Outcome.SKIPPED
    ours = agreement.versions(contracts, Newest(None, (), (answer("18:05:00"),)), "matriz")
    assert [one.check for one in ours] == ["contracts", "software"]


def test_the_ledgers_newest_entries_are_read(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01", "matriz", "caixa-01")
    here = newest(pair.root / "caixa-01" / "filesync.db")
    assert here.sealed_at is not None
    assert [(one.recipient, one.contract) for one in here.answers] == [("matriz", "vendas.v1")]
    there = newest(pair.root / "matriz" / "filesync.db")
    assert [(one.origin, one.dataset, one.version) for one in there.arrivals] == [("caixa-01", "vendas", 1)]


# ------------------------------------------------------------------------------------------------ probes, antivirus, events


def test_probes_leave_nothing_and_clean_up_after_one_that_was_killed(tmp_path: Path) -> None:
    home = tmp_path / "inbox"
    home.mkdir()
    assert probe(home, 1000).bytes == 1000
    assert list(home.iterdir()) == []  # the .partial it made is gone too
    partial = home / ".partial"
    partial.mkdir()
    old, new, other = (partial / name for name in (f"{PREFIX}1.put", f"{PREFIX}2.put", "matriz~x.put"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    remove_left_behind(home, new.stat().st_mtime + LEFT_BEHIND_S / 2)
    assert sorted(partial.iterdir()) == sorted([new, other])


def test_a_probe_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("filesync.doctor.probes.os.fsync", fail)
    with pytest.raises(OSError):
        probe(tmp_path, 10)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_program_holds_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, waits = Path.replace, iter([True, True, False])
    slept: list[float] = []

    def held(self: Path, target: Path) -> Path:
        if next(waits):
            raise PermissionError(13, "in use by another process")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", held)
    assert probe(tmp_path, 10, sleep=slept.append).held == 2
    assert len(slept) == 2


def test_antivirus_that_holds_files_is_warned_of(tmp_path: Path) -> None:
    quick, slow = Probe(10, 0.001, 0.2, 0.001, 0.001, 0.001, 0), Probe(10, 0.001, 0.001, 2.0, 0.001, 0.001, 0)
    held = Probe(10, 0.001, 0.001, 0.001, 0.001, 0.001, 1)
    assert machine.antivirus(tmp_path, lambda *_: quick).outcome is Outcome.OK  # a slow disk is no antivirus
    assert machine.antivirus(tmp_path, lambda *_: slow).outcome is Outcome.WARNING
    assert machine.antivirus(tmp_path, lambda *_: held).outcome is Outcome.WARNING

    def refuse(*_: object) -> Probe:
        raise PermissionError(13, "in use by another process")

    assert machine.antivirus(tmp_path, refuse).outcome is Outcome.FAILED


def test_a_system_that_tells_of_nothing_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "drop").mkdir()
    (heard,) = machine.events(tmp_path)
    assert heard.outcome is Outcome.OK
    monkeypatch.setattr(machine, "EVENT_S", 0.05)
    monkeypatch.setattr("filesync.watchers.folder._Bell.on_any_event", lambda *_: None)
    (deaf,) = machine.events(tmp_path)
    assert deaf.outcome is Outcome.WARNING
    assert list((tmp_path / "inbox").iterdir()) == []


def test_whatever_hangs_is_left_behind(tmp_path: Path) -> None:
    never = threading.Event()
    with pytest.raises(TransportError) as caught:
        bounded(lambda: never.wait(30), 0.01, "a share")
    never.set()
    assert caught.value.code == "timeout"
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 5, "an error")
    assert bounded(lambda: 7, 5, "a value") == 7


# ------------------------------------------------------------------------------------------------ links


def link_of(pair: Network, link: str, *, relay: bool = False, extra: str = "") -> list[Finding]:
    """The findings of a caixa with this link to its matriz."""
    path = pair.root / "caixa-01" / config.FILE_NAME
    text = path.read_text(encoding="utf-8").split("\n[peers.")[0]
    section = f'\n[peers.matriz]\nrole = "matriz"\nlink = "{link}"\nrelay = {str(relay).lower()}\n{extra}'
    path.write_text(text + section, encoding="utf-8")
    settings = config.load(pair.root / "caixa-01")
    return list(links.examine_link(pair.root / "caixa-01", settings, "matriz"))


def outcome(findings: list[Finding]) -> dict[str, str]:
    return {one.check: one.outcome.value for one in findings}


def test_a_folder_that_is_not_there_or_somebody_elses(pair: Network) -> None:
    assert outcome(link_of(pair, "../stick")) == {"reachable": "failed"}
    pair.site("posto-centro", Role.POSTO)
    assert outcome(link_of(pair, "../posto-centro"))["whose folder"] == "failed"


def test_a_relay_is_a_place_with_mailboxes(pair: Network) -> None:
    place = pair.root / "stick"
    place.mkdir()
    assert outcome(link_of(pair, "../stick", relay=True))["writing there"] == "warning"
    for site, sender in (("matriz", "caixa-01"), ("caixa-01", "matriz")):
        (place / site / "inbox" / sender).mkdir(parents=True)
    states = outcome(link_of(pair, "../stick", relay=True))
    assert states == {
        "reachable": "ok",
        "free space there": states["free space there"],
        "writing there": "ok",
        "taking from there": "ok",
    }
    assert not [path for path in place.rglob("*") if path.is_file() or path.name == ".partial"]


@NOT_ROOT
def test_a_share_without_the_right_to_write(pair: Network) -> None:
    (pair.root / "matriz" / "inbox").chmod(0o500)
    try:
        assert outcome(link_of(pair, "../matriz"))["writing there"] == "failed"
    finally:
        (pair.root / "matriz" / "inbox").chmod(0o700)


def test_names_and_ports_that_do_not_answer(pair: Network, sshd: Sshd) -> None:
    keys = f'identity = "{sshd.identity.as_posix()}"\nknown_hosts = "{sshd.known_hosts.as_posix()}"\n'
    no_name = link_of(pair, "sftp://x@no-such-host.invalid/", extra=keys)
    assert outcome(no_name) == {"name (DNS)": "failed"}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        no_port = link_of(pair, f"sftp://x@127.0.0.1:{closed.getsockname()[1]}/", extra=keys)
    assert outcome(no_port) == {"name (DNS)": "ok", "port": "failed"}
    assert "firewall" in no_port[-1].do
    assert all(
        one.check in {"name (DNS)", "port"} for one in no_name + no_port if one.outcome is Outcome.FAILED
    )
    assert ending(tuple(no_port)) == 3


def test_the_whole_way_over_a_real_ssh_server(pair: Network, sshd: Sshd) -> None:
    there = pair.root / "matriz"
    before = snapshot(there)
    extra = f'identity = "{sshd.identity.as_posix()}"\nknown_hosts = "{sshd.known_hosts.as_posix()}"\n'
    url = f"sftp://{getpass.getuser()}@127.0.0.1:{sshd.port}{there.as_posix()}"
    (there / "inbox" / "caixa-01").mkdir(exist_ok=True)
    (there / "outbox" / "caixa-01").mkdir(exist_ok=True)
    before = snapshot(there)
    findings = link_of(pair, url, extra=extra)
    states = outcome(findings)
    assert states.pop("free space there") in {"ok", "failed"}
    assert states == dict.fromkeys(
        ["name (DNS)", "port", "confirmed keys", "host key", "login", "server's abilities", "round trip", "writing there", "taking from there"],
        "ok",
    )  # fmt: skip
    assert snapshot(there) == before
    not_confirmed = link_of(pair, url, extra=extra.replace('known_hosts"\n', 'other_hosts"\n'))
    assert not_confirmed[-1].check == "confirmed keys"
    empty = there / "known"
    empty.touch()
    refused = link_of(
        pair, url, extra=f'identity = "{sshd.identity.as_posix()}"\nknown_hosts = "{empty.as_posix()}"\n'
    )
    assert (refused[-1].check, refused[-1].code) == ("host key", "host-key-unknown")
    assert "peer trust" in next_step(refused[-1])


def test_a_login_that_is_refused_and_a_root_that_is_not_there(pair: Network, sshd: Sshd) -> None:
    known = f'known_hosts = "{sshd.known_hosts.as_posix()}"\n'
    other = config.key_path(pair.root / "matriz").as_posix()
    url = f"sftp://{getpass.getuser()}@127.0.0.1:{sshd.port}{(pair.root / 'nowhere').as_posix()}"
    refused = link_of(pair, url, extra=f'identity = "{other}"\n{known}')
    assert (refused[-1].check, refused[-1].code) == ("login", "login-refused")
    gone = link_of(pair, url, extra=f'identity = "{sshd.identity.as_posix()}"\n{known}')
    assert (gone[-1].check, gone[-1].code) == ("folder", "unreachable")


def test_a_server_without_openssh_s_abilities(pair: Network, quirky: Quirky) -> None:
    for folder in ("inbox/caixa-01", "outbox/caixa-01"):
        (quirky.root / folder).mkdir(parents=True)
        (quirky.root / folder).with_name(".partial").mkdir()  # this server removes no folders
    extra = f'identity = "{quirky.identity.as_posix()}"\nknown_hosts = "{quirky.known_hosts.as_posix()}"\n'
    url = f"sftp://caixa-01@127.0.0.1:{quirky.port}/"
    states = outcome(link_of(pair, url, extra=extra))
    assert states["server's abilities"] == "warning"
    assert states["writing there"] == states["taking from there"] == "ok"
    quirky.quirks.refuse["open"] = 3
    denied = link_of(pair, url, extra=extra)
    assert outcome(denied)["writing there"] == "failed"
    assert [path.name for path in quirky.root.rglob("*") if path.is_file()] == []


def test_a_server_that_says_nothing_ends_the_check_in_time(
    quirky: Quirky, monkeypatch: pytest.MonkeyPatch, pair: Network
) -> None:
    monkeypatch.setattr(sftp_links, "SERVER_S", 0.5)
    quirky.quirks.silent_on = "stat"
    extra = f'identity = "{quirky.identity.as_posix()}"\nknown_hosts = "{quirky.known_hosts.as_posix()}"\n'
    findings = link_of(pair, f"sftp://caixa-01@127.0.0.1:{quirky.port}/", extra=extra)
    assert (findings[-1].check, findings[-1].code) == ("server", "timeout")
    assert ending(tuple(findings)) == 3


def test_a_listener_that_is_no_ssh_server(pair: Network, tmp_path: Path, sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_hang_up, args=(listener, 2), daemon=True)
        answering.start()
        extra = f'identity = "{sshd.identity.as_posix()}"\nknown_hosts = "{sshd.known_hosts.as_posix()}"\n'
        findings = link_of(pair, f"sftp://x@127.0.0.1:{listener.getsockname()[1]}/", extra=extra)
        answering.join()
    assert findings[-1].outcome is Outcome.FAILED
    assert findings[-1].code in {"interrupted", "incompatible"}


def _hang_up(listener: socket.socket, times: int) -> None:
    for _ in range(times):
        listener.accept()[0].close()


def test_a_probe_over_sftp_measures_and_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "inbox" / "caixa-01").mkdir(parents=True)
    with SftpProbe(sshd.link(tmp_path)) as server:
        assert server.files("inbox/caixa-01") == 0
        assert server.files("inbox/other") is None
        assert server.round_trip_s() > 0
        life = server.life("inbox/caixa-01", 100_000)
    assert life.synced
    assert life.replaced
    assert [path.name for path in tmp_path.rglob("*")] == ["inbox", "caixa-01"]


# ------------------------------------------------------------------------------------------------ exceptions, advice


def test_exceptions_name_the_very_programs_files_and_ports(pair: Network) -> None:
    link_of(pair, "sftp://loja@matriz.example:2222/", extra='identity = "keys/id"\n')
    root = pair.root / "caixa-01"
    named = exceptions(root, config.load(root))
    assert any(Path(program).samefile(sys.executable) for program in named.programs)
    assert str(root) in named.folders
    assert str(root / "filesync.db-wal") in named.files
    assert named.connections == ("TCP 2222 to matriz.example (SFTP, matriz)",)
    link_of(pair, "//server/loja/matriz")
    named = exceptions(root, config.load(root))
    assert named.connections == ("TCP 445 to server (share, matriz)",)


def test_nothing_is_wrong_without_a_next_step(pair: Network) -> None:
    """Every failure and warning that this module can make says what to do: in its own words, or in those of its code."""
    root = pair.root / "caixa-01"
    shutil.rmtree(root / "archive")
    config.pinned_path(root, "matriz").unlink()
    (root / "filesync.db").write_bytes(b"nonsense" * 5000)
    reports: list[Any] = [examine(root), examine(pair.root / "matriz", clock=later)]
    findings = [one for report in reports for one in report.findings]
    for one in findings:
        if one.outcome in (Outcome.FAILED, Outcome.WARNING):
            assert next_step(one), one


def test_the_command_says_it_in_words_and_in_json(pair: Network) -> None:
    command = [
        sys.executable,
        "-c",
        "from filesync.cli import main; main()",
        "-C",
        str(pair.root / "caixa-01"),
        "doctor",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "The way to matriz:" in said.stdout
    assert "Exceptions for the antivirus program and the firewall:" in said.stdout
    assert "Traceback" not in said.stderr


def test_heartbeats_say_more_than_the_last_batches(pair: Network) -> None:
    contracts = site_contracts(pair.root / "matriz")

    def heard(clock: str, *versions: str) -> Newest:
        beat = LastHeard(
            "caixa-01", versions, "filesync 0.1.0", f"2026-03-02T{clock}-03:00", "2026-03-02T18:00:00-03:00"
        )
        return Newest(None, (LastArrival("caixa-01", "vendas", 1, "", ""),), (), (beat,))

    def states(*versions: str) -> list[Outcome]:
        return [
            one.outcome for one in agreement.versions(contracts, heard("18:00:00", *versions), "caixa-01")
        ]

    assert states("vendas.v1", "produtos.v1")[0] is Outcome.OK
    assert states("vendas.v1", "vendas.v2")[0] is Outcome.WARNING  # it sends v1 until this site knows v2
    assert states("vendas.v2")[0] is Outcome.FAILED
    assert states("vendas.v1", "something-else.v3")[0] is Outcome.OK  # known there, never sent here
    assert [skew.ahead_s for skew in clocks.skews(heard("18:30:00", "vendas.v1"))] == [1800]
    assert clocks.skews(heard("09:00:00", "vendas.v1")) == []  # it may have lain on a stick all day
    pair.turn("caixa-01", "matriz")
    assert [one.peer for one in newest(pair.root / "matriz" / "filesync.db").heard] == ["caixa-01"]


def test_a_check_that_fails_by_our_own_mistake_ends_nothing(
    pair: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake(_: Path) -> Newest:
        raise KeyError("fs_something")

    monkeypatch.setattr("filesync.doctor.examination.newest", mistake)
    report = examine(pair.root / "caixa-01", clock=later)
    assert "the check itself failed: KeyError" in found(report, "ledger").seen
    assert found(report, "writing there", "matriz").outcome is Outcome.OK
