"""The road over SFTP through a bad network: cut, reset, stalled, refused, flapping, hanging. Every operation ends, and repeating it is enough.

The faults come from tests/servers/proxy.py, by connection number and byte count: the same every time. Deadlines are tenths of seconds here.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from proxy import Ending, Fault, Proxy, always, first, flapping

from filesync.errors import TransportError
from filesync.transports.dialing import dial
from filesync.transports.hostkeys import fetch_host_key
from filesync.transports.limits import Watchdog
from filesync.transports.sftp import UNDER_WAY_BYTES, WHOLE_BYTES, SftpTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quirky import Quirky
    from sshd import Sshd

HANDSHAKE_BYTES = 6000  # more than it takes to log in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "outbox" / "matriz"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def line(sshd: Sshd, root: Path) -> Iterator[Callable[..., tuple[SftpTransport, Proxy]]]:
    """A road through a proxy that follows a plan."""
    made: list[tuple[SftpTransport, Proxy]] = []

    def make(plan: Callable[[int], Fault], **link: Any) -> tuple[SftpTransport, Proxy]:
        proxy = Proxy(sshd.port, plan)
        sshd.trust(proxy.port)
        made.append((SftpTransport(sshd.link(root, port=proxy.port, **link)), proxy))
        return made[-1]

    yield make
    for road, proxy in made:
        road.close()
        proxy.__exit__(None, None, None)


def until_done(action: Callable[[], Any], tries: int) -> int:
    """Repeats as turns do; how many times it failed."""
    for failed in range(tries):
        try:
            action()
        except TransportError as error:
            if error.code not in {"interrupted", "timeout", "unreachable"}:
                raise
        else:
            return failed
    raise AssertionError(f"not done after {tries} tries")


@pytest.mark.parametrize("ending", [Ending.CUT, Ending.RESET])
def test_cut_at_every_stage(
    line: Callable[..., tuple[SftpTransport, Proxy]], root: Path, here: Path, ending: Ending
) -> None:
    """The n-th connection survives n times 300 bytes: banner, key exchange, login, channel, request, reply are all cut once."""
    (here / "x").write_bytes(b"content")
    (root / "outbox").mkdir()
    (root / "outbox" / "y").write_bytes(b"answer")
    road, proxy = line(lambda number: Fault(ending, 300 * number))
    failed = until_done(lambda: road.put_many([(here / "x", "inbox/caixa-01", "x")]), 60)
    assert failed >= 10
    failed += until_done(lambda: road.get_many([("outbox", "y", here.parent / "in")]), 60)
    failed += until_done(lambda: road.remove_many([("outbox", "y")]), 60)
    assert proxy.connections >= failed
    assert (root / "inbox" / "caixa-01" / "x").read_bytes() == b"content"
    assert (here.parent / "in" / "y").read_bytes() == b"answer"
    assert list((root / "outbox").iterdir()) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_large_file_over_a_line_that_flaps(
    line: Callable[..., tuple[SftpTransport, Proxy]], root: Path, here: Path, seed: int
) -> None:
    data = os.urandom(6 * UNDER_WAY_BYTES + 4321)
    (here / "x").write_bytes(data)
    road, proxy = line(flapping(seed, UNDER_WAY_BYTES + (1 << 20), 3 * UNDER_WAY_BYTES))
    assert until_done(lambda: road.put_many([(here / "x", "inbox", "x")]), 30) >= 2
    sent = proxy.passed
    assert (root / "inbox" / "x").read_bytes() == data
    assert until_done(lambda: road.get_many([("inbox", "x", here.parent / "in")]), 30) >= 2
    assert (here.parent / "in" / "x").read_bytes() == data
    # It went on where it stopped: from the beginning each time it would never have ended.
    assert sent < 4 * len(data)
    left = [*(root / durable.PARTIAL).iterdir(), *(here.parent / durable.PARTIAL).iterdir()]
    assert left == []


@pytest.mark.parametrize("seed", range(3))
def test_many_files_over_a_line_that_flaps(
    line: Callable[..., tuple[SftpTransport, Proxy]], root: Path, here: Path, seed: int
) -> None:
    contents = {f"f{number:03}": os.urandom(100 + 37 * number) for number in range(200)}
    for name, data in contents.items():
        (here / name).write_bytes(data)
    road, _ = line(flapping(seed, HANDSHAKE_BYTES, 1_500_000))
    seen: set[str] = set()

    def ship() -> None:
        for start in range(0, 200, 50):
            names = [name for name in list(contents)[start : start + 50] if name not in seen]
            road.put_many([(here / name, "inbox", name) for name in names])
            seen.update(names)

    until_done(ship, 60)
    assert {path.name: path.read_bytes() for path in (root / "inbox").iterdir()} == contents
    inbox = here.parent / "in"
    names = iter(list(contents)[start : start + 50] for start in range(0, 200, 50))
    for group in names:
        until_done(lambda: road.get_many([("inbox", name, inbox) for name in group]), 60)  # noqa: B023  # called at once
    assert {path.name: path.read_bytes() for path in inbox.iterdir()} == contents


def test_refused_and_back_again(
    line: Callable[..., tuple[SftpTransport, Proxy]], root: Path, here: Path
) -> None:
    (here / "x").write_bytes(b"x")
    road, proxy = line(always(Fault()))
    assert road.list("inbox") == []
    proxy.down()
    with pytest.raises(TransportError) as caught:
        road.put_many([(here / "x", "inbox", "x")])
    assert caught.value.code == "interrupted"
    with pytest.raises(TransportError) as caught:
        road.put_many([(here / "x", "inbox", "x")])
    assert caught.value.code == "unreachable"
    proxy.up()
    assert road.put_many([(here / "x", "inbox", "x")]) == [True]


def bounded(action: Callable[[], Any], seconds: float) -> str:
    """It fails in time: the code and the message."""
    began = time.monotonic()
    with pytest.raises(TransportError) as caught:
        action()
    assert time.monotonic() - began < seconds
    return f"{caught.value.code}: {caught.value.message}"


@pytest.mark.parametrize("after", [0, 30, 700, 2000, 3500])
def test_a_server_that_falls_silent_while_connecting(
    line: Callable[..., tuple[SftpTransport, Proxy]], after: int
) -> None:
    road, _ = line(always(Fault(Ending.STALL, after)), connect_s=0.3)
    assert bounded(lambda: road.list("inbox"), 5).startswith("timeout: ")


def test_a_server_that_falls_silent_before_its_key_is_known(sshd: Sshd) -> None:
    with Proxy(sshd.port, always(Fault(Ending.STALL, 30))) as proxy:
        said = bounded(lambda: fetch_host_key("127.0.0.1", proxy.port, timeout_s=0.3), 5)
    assert said.startswith("timeout: ")


@pytest.mark.parametrize("size", [100, WHOLE_BYTES + 1])
def test_a_server_that_falls_silent_in_the_middle(
    line: Callable[..., tuple[SftpTransport, Proxy]], root: Path, here: Path, size: int
) -> None:
    data = os.urandom(size)
    (here / "x").write_bytes(data)
    road, _ = line(first(Fault(Ending.STALL, HANDSHAKE_BYTES + size // 2)), stall_s=0.3)

    def put() -> Any:
        return road.put_many([(here / "x", "inbox", "x")], replace=True)

    said = bounded(lambda: [put() for _ in range(40)], 20)  # 100 bytes do not get so far at once
    assert said.startswith("timeout: ")
    assert "no answer for 0.3 s" in said
    assert put() == [True]
    assert (root / "inbox" / "x").read_bytes() == data


@pytest.mark.parametrize("call", ["list", "open", "write", "read", "rename", "remove", "lstat"])
def test_a_server_that_never_answers_one_thing(quirky: Quirky, here: Path, call: str) -> None:
    (here / "x").write_bytes(b"x")
    (quirky.root / "outbox").mkdir()
    (quirky.root / "outbox" / "y").write_bytes(b"y")

    def walk() -> None:
        road.put_many([(here / "x", "inbox", "x")])
        road.list("inbox")
        road.get_many([("outbox", "y", here)])
        road.remove_many([("inbox", "x")])

    with SftpTransport(quirky.link(stall_s=0.2)) as road:
        quirky.quirks.silent_on = call
        assert bounded(walk, 5).startswith("timeout: ")
    quirky.quirks.hung.set()


def test_a_server_that_trickles(quirky: Quirky, here: Path) -> None:
    """Every answer comes in time, and there is no end to it: only the hard deadline helps."""
    quirky.quirks.read_bytes_max = 1
    (quirky.root / "outbox").mkdir()
    (quirky.root / "outbox" / "y").write_bytes(b"y" * 1_000_000)
    with SftpTransport(quirky.link(stall_s=10, deadline_s=0.3, rate_min_kib_s=1 << 20)) as road:
        said = bounded(lambda: road.get_many([("outbox", "y", here)]), 8)
        assert said.startswith("timeout: ")
        assert "not done after 0.3" in said


def test_closed_from_another_thread(quirky: Quirky, here: Path) -> None:
    """As a station does that is told to stop."""
    with SftpTransport(quirky.link()) as road:
        road.list("inbox")
        connection = road._connection
        assert connection is not None
        quirky.quirks.silent_on = "list"
        stopper = threading.Timer(0.1, connection.close)
        stopper.start()
        assert bounded(lambda: road.list("inbox"), 5).startswith("interrupted: ")
        stopper.join()


def test_no_thread_is_left_behind(sshd: Sshd, root: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with SftpTransport(sshd.link(root)) as road:
            road.list("inbox")
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_a_watchdog_that_is_not_needed_does_not_bite() -> None:
    cuts: list[int] = []
    dog = Watchdog(lambda: cuts.append(1))
    for _ in range(100):
        with dog.within(60, 60):
            dog.touch()
            dog.extend(1)
    dog.close()
    assert dog.expired is None
    assert cuts == []


def test_a_name_that_nobody_looks_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer has no timeout of ours; what it brings too late is closed again."""
    answer = threading.Event()
    late = socket.socket()

    def slow(*_: Any, **__: Any) -> socket.socket:
        answer.wait(10)
        return late

    monkeypatch.setattr(socket, "create_connection", slow)
    said = bounded(lambda: dial("matriz.example", 22, 0.1, "matriz"), 5)
    assert said == "unreachable: matriz: an SSH server was expected, got no connection: no answer after 0.1 s"
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "filesync-dial":
            thread.join(5)
    assert late.fileno() == -1
