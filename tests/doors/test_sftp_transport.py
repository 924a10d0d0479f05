"""What only the road over SFTP can do wrong: keys, logins, servers with quirks, resuming, the bandwidth limit."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import paramiko
import pytest

from filesync.errors import TransportError
from filesync.protocol.signing import SigningKey
from filesync.transports import CODES, wire
from filesync.transports.files import RemoteFile
from filesync.transports.hostkeys import HostKey, fetch_host_key, remember
from filesync.transports.limits import Rate
from filesync.transports.link import SftpLink
from filesync.transports.sftp import UNDER_WAY_BYTES, WHOLE_BYTES, SftpTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quirky import Quirky
    from sshd import Sshd


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


def refused(code: str, action: Callable[[], Any]) -> str:
    with pytest.raises(TransportError) as caught:
        action()
    assert caught.value.code == code, caught.value
    assert code in CODES
    return caught.value.message


# -- links, keys, logins ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "user", "host", "port", "path"),
    [
        ("sftp://caixa@matriz.example", "caixa", "matriz.example", 22, "/"),
        ("sftp://caixa@10.0.0.1:2222/srv/filesync", "caixa", "10.0.0.1", 2222, "/srv/filesync"),
        ("sftp://ana%40loja@[::1]:2222/a%20b", "ana@loja", "::1", 2222, "/a b"),
        ("sftp://caixa@matriz/~/box", "caixa", "matriz", 22, "box"),
        ("sftp://caixa@matriz/~", "caixa", "matriz", 22, "."),
    ],
)
def test_links(tmp_path: Path, url: str, user: str, host: str, port: int, path: str) -> None:
    link = SftpLink.parse(url, identity=tmp_path, known_hosts=tmp_path, limit_kib_s=5, stall_s=7)
    assert (link.user, link.host, link.port, link.path) == (user, host, port, path)
    assert (link.limit_kib_s, link.stall_s) == (5, 7)


@pytest.mark.parametrize(
    "url",
    ["", "matriz", "http://a@b/", "sftp://matriz/x", "sftp://a@/x", "sftp://a@b:70000/", "sftp://a@b/../x", "sftp://a@b/?x", "sftp://a:geheim@b/"],
)  # fmt: skip
def test_what_is_no_link(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError) as caught:
        SftpLink.parse(url, identity=tmp_path, known_hosts=tmp_path)
    assert "geheim" not in str(caught.value)


def test_paths_from_the_login_folder(tmp_path: Path) -> None:
    def link(path: str) -> SftpLink:
        return SftpLink("h", "u", tmp_path, tmp_path, path=path)

    assert link("/").remote("inbox/a", "x") == b"/inbox/a/x"
    assert link("/srv/").remote("inbox/a", "x") == b"/srv/inbox/a/x"
    assert link("box").remote("inbox/a") == b"box/inbox/a"
    assert link(".").remote("inbox/a") == b"inbox/a"


def test_an_unknown_server_is_refused_until_a_person_says_yes(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    known_hosts = tmp_path / "keys" / "known_hosts"
    road = SftpTransport(sshd.link(root, known_hosts=known_hosts))
    message = refused("host-key-unknown", lambda: road.list("inbox"))
    assert f"[127.0.0.1]:{sshd.port}" in message
    assert sshd.fingerprint in message
    assert not known_hosts.exists()  # looking adds nothing
    key = fetch_host_key("127.0.0.1", sshd.port)
    assert (key.fingerprint, key.kind) == (sshd.fingerprint, "ssh-ed25519")
    remember(known_hosts, key)
    assert road.list("inbox") == []
    found = subprocess.run(
        ["ssh-keygen", "-F", f"[127.0.0.1]:{sshd.port}", "-f", known_hosts], capture_output=True, check=True
    )
    assert key.line.encode() in found.stdout
    road.close()


def test_a_changed_key_is_refused_and_says_both(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    other = SigningKey.generate().public
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(
        f"# by hand\nnot a line\n[127.0.0.1]:{sshd.port} ssh-ed25519 not-base64\n"
        f"[127.0.0.1]:{sshd.port} {other.to_openssh('')}\n"
    )
    message = refused(
        "host-key-changed", lambda: SftpTransport(sshd.link(root, known_hosts=known_hosts)).list("inbox")
    )
    assert other.fingerprint in message
    assert sshd.fingerprint in message
    # Confirmed anew, the old key goes.
    remember(known_hosts, fetch_host_key("127.0.0.1", sshd.port))
    assert other.to_openssh("").split()[1] not in known_hosts.read_text()
    assert known_hosts.read_text().startswith("# by hand\n")
    with SftpTransport(sshd.link(root, known_hosts=known_hosts)) as road:
        assert road.list("inbox") == []


def test_a_revoked_or_foreign_line_confirms_nothing(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    line = sshd.known_hosts.read_text().splitlines()[0]
    known_hosts = tmp_path / "known_hosts"
    for text in (f"@revoked {line}\n", line.replace("127.0.0.1", "127.0.0.2") + "\n", "", "\xff\n"):
        known_hosts.write_text(text, encoding="latin-1")
        refused(
            "host-key-unknown", lambda: SftpTransport(sshd.link(root, known_hosts=known_hosts)).list("inbox")
        )


def test_hashed_names_in_known_hosts(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(sshd.known_hosts.read_text())
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", known_hosts], check=True, capture_output=True)
    assert "127.0.0.1" not in known_hosts.read_text()
    with SftpTransport(sshd.link(root, known_hosts=known_hosts)) as road:
        assert road.list("inbox") == []
    remember(known_hosts, fetch_host_key("127.0.0.1", sshd.port))
    assert len([line for line in known_hosts.read_text().splitlines() if "|1|" not in line]) == 1


def test_other_servers_stay_when_one_is_confirmed_anew(tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("matriz,10.0.0.1 ssh-ed25519 AAAA old\n[matriz]:2222 ssh-ed25519 BBBB\n")
    remember(known_hosts, HostKey("matriz", 22, "ssh-ed25519", "SHA256:x", "matriz ssh-ed25519 CCCC"))
    assert known_hosts.read_text().splitlines() == [
        "10.0.0.1 ssh-ed25519 AAAA old",
        "[matriz]:2222 ssh-ed25519 BBBB",
        "matriz ssh-ed25519 CCCC",
    ]


def test_the_key_of_nobody_there(sshd: Sshd) -> None:
    port = _free_port()
    refused("unreachable", lambda: fetch_host_key("127.0.0.1", port))
    refused("unreachable", lambda: fetch_host_key("no-such-host.invalid", 22))


def test_nobody_listens(sshd: Sshd, root: Path) -> None:
    message = refused("unreachable", lambda: SftpTransport(sshd.link(root, port=_free_port())).list("inbox"))
    assert "127.0.0.1" in message
    refused("unreachable", lambda: SftpTransport(sshd.link(root, host="no-such-host.invalid")).list("inbox"))


def test_a_login_that_is_refused(sshd: Sshd, root: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    secret = SigningKey.generate().to_openssh()
    stranger.write_bytes(secret)
    message = refused(
        "login-refused", lambda: SftpTransport(sshd.link(root, identity=stranger)).list("inbox")
    )
    assert sshd.link(root).place in message
    assert secret.decode().splitlines()[1] not in message
    refused("login-refused", lambda: SftpTransport(sshd.link(root, user="nobody-of-that-name")).list("inbox"))


def test_no_key_but_the_one_that_is_named(
    sshd: Sshd, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that would be let in lies in the account's `~/.ssh`: it is not tried."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(sshd.identity.read_bytes())
    stranger = tmp_path / "stranger"
    stranger.write_bytes(SigningKey.generate().to_openssh())
    refused("login-refused", lambda: SftpTransport(sshd.link(root, identity=stranger)).list("inbox"))


@pytest.mark.parametrize("content", [None, b"", b"BEGIN geheim", b"\xff\x00", b"encrypted"])
def test_an_identity_that_cannot_be_used(
    sshd: Sshd, root: Path, tmp_path: Path, content: bytes | None
) -> None:
    identity = tmp_path / "id"
    if content == b"encrypted":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "geheim", "-f", identity], check=True)
    elif content is not None:
        identity.write_bytes(content)
    message = refused(
        "identity-unreadable", lambda: SftpTransport(sshd.link(root, identity=identity)).list("inbox")
    )
    assert str(identity) in message
    assert "geheim" not in message


def test_one_connection_serves_many_calls(quirky: Quirky, here: Path) -> None:
    (here / "x").write_bytes(b"x")
    with SftpTransport(quirky.link()) as road:
        road.put_many([(here / "x", "inbox/a", "x")])
        road.list("inbox/a")
        road.remove_many([("inbox/a", "x")])
        assert len(quirky._transports) == 1


# -- quirks ----------------------------------------------------------------------------------------------------------------------------


def test_a_server_without_extensions(quirky: Quirky, here: Path) -> None:
    data = os.urandom(WHOLE_BYTES + 100)
    (here / "large").write_bytes(data)
    (here / "small").write_bytes(data[:50_000])
    with SftpTransport(quirky.link()) as road:
        assert not {wire.POSIX_RENAME, wire.FSYNC, wire.LIMITS} & road.extensions()
        items = [(here / name, "inbox/caixa-01", name) for name in ("small", "large")]
        assert road.put_many(items) == [True, True]
        assert road.put_many(items) == [False, False]
        there = quirky.root / "inbox" / "caixa-01"
        assert [(there / name).read_bytes() for name in ("small", "large")] == [data[:50_000], data]
        assert (
            road.get_many([("inbox/caixa-01", name, here.parent) for name in ("small", "large")])
            == [True] * 2
        )
        assert (here.parent / "large").read_bytes() == data
        assert list((quirky.root / "inbox" / durable.PARTIAL).iterdir()) == []


@pytest.mark.parametrize("size", [10, WHOLE_BYTES + 1])
def test_a_rename_that_refuses_an_existing_file(quirky: Quirky, here: Path, size: int) -> None:
    there = quirky.root / "inbox" / "a"
    there.mkdir(parents=True)
    (here / "x").write_bytes(b"n" * size)
    with SftpTransport(quirky.link()) as road:
        (there / "x").write_bytes(b"half")
        assert road.put_many([(here / "x", "inbox/a", "x")]) == [True]
        assert (there / "x").read_bytes() == b"n" * size
        (there / "x").write_bytes(b"o" * size)
        assert road.put_many([(here / "x", "inbox/a", "x")], replace=True) == [True]
        assert (there / "x").read_bytes() == b"n" * size


def test_a_file_that_came_there_meanwhile_is_taken_as_ours(
    quirky: Quirky, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply to our rename was lost, and another run of ours was faster: same name, same size, same content."""
    (quirky.root / "inbox" / "a").mkdir(parents=True)
    (here / "x").write_bytes(b"content")
    with SftpTransport(quirky.link()) as road:
        road.list("inbox/a")
        say = road._say
        whole = say.write_whole

        def slow(local: Path, folder: str, name: str) -> Any:
            yield from whole(local, folder, name)
            (quirky.root / folder / name).write_bytes(b"CONTENT")

        monkeypatch.setattr(say, "write_whole", slow)
        assert road.put_many([(here / "x", "inbox/a", "x")]) == [True]
    assert (quirky.root / "inbox" / "a" / "x").read_bytes() == b"CONTENT"
    assert list((quirky.root / "inbox" / durable.PARTIAL).iterdir()) == []


@pytest.mark.parametrize("bare", [False, True])
def test_a_listing_that_comes_name_by_name(quirky: Quirky, bare: bool) -> None:
    quirky.quirks.names_at_once = 1
    quirky.quirks.bare_attributes = bare
    folder = quirky.root / "inbox"
    folder.mkdir()
    (folder / "a-folder").mkdir()
    for number in range(40):
        (folder / f"f{number:02}").write_bytes(b"x" * number)
    with SftpTransport(quirky.link()) as road:
        assert road.list("inbox") == [RemoteFile(f"f{number:02}", number) for number in range(40)]


def test_fewer_bytes_than_asked_for(quirky: Quirky, here: Path) -> None:
    quirky.quirks.read_bytes_max = 7001
    (quirky.root / "outbox").mkdir()
    data = {"small": os.urandom(100_000), "large": os.urandom(WHOLE_BYTES + 1)}
    for name, content in data.items():
        (quirky.root / "outbox" / name).write_bytes(content)
    with SftpTransport(quirky.link()) as road:
        road.get_many([("outbox", name, here) for name in data])
    assert {name: (here / name).read_bytes() for name in data} == data


def test_writes_are_not_longer_than_every_server_must_take(quirky: Quirky, here: Path) -> None:
    quirky.quirks.write_bytes_max = 32 << 10
    (here / "x").write_bytes(b"x" * 200_000)
    with SftpTransport(quirky.link()) as road:
        assert road.put_many([(here / "x", "inbox", "x")]) == [True]


def test_a_file_that_shrinks_while_it_is_fetched(
    quirky: Quirky, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (quirky.root / "outbox").mkdir()
    for name, size in (("small", 10), ("large", WHOLE_BYTES + 1)):
        path = quirky.root / "outbox" / name
        with SftpTransport(quirky.link()) as road:
            path.write_bytes(b"x" * size)
            road.list("outbox")
            open_read = road._say.open_read

            def shrink(folder: str, name: str, path: Path = path, open_read: Any = open_read) -> Any:
                path.write_bytes(b"")
                return (yield from open_read(folder, name))

            monkeypatch.setattr(road._say, "open_read", shrink)
            refused("failed", lambda: road.get_many([("outbox", name, here)]))  # noqa: B023  # called at once
        assert not (here / name).exists()


def test_one_channel_is_enough(quirky: Quirky, here: Path) -> None:
    quirky.quirks.channels_max = 1
    for number in range(40):
        (here / f"f{number}").write_bytes(b"x" * number)
    with SftpTransport(quirky.link()) as road:
        road.put_many([(here / f"f{number}", "inbox", f"f{number}") for number in range(40)])
    assert len(list((quirky.root / "inbox").iterdir())) == 40


def test_many_files_take_more_channels(quirky: Quirky, here: Path) -> None:
    for number in range(40):
        (here / f"f{number}").write_bytes(b"x" * number)
    with SftpTransport(quirky.link(channels=3)) as road:
        road.put_many([(here / f"f{number}", "inbox", f"f{number}") for number in range(40)])
        assert road._connection is not None
        assert len(road._connection.sessions) == 3


@pytest.mark.parametrize("status", [paramiko.SFTP_FAILURE, wire.NO_SPACE, wire.QUOTA])
@pytest.mark.parametrize("size", [100_000, WHOLE_BYTES + 1])
def test_a_full_disk_there(quirky: Quirky, here: Path, status: int, size: int) -> None:
    quirky.quirks.disk_bytes, quirky.quirks.full_status = 50_000, status
    (here / "x").write_bytes(b"x" * size)
    with SftpTransport(quirky.link()) as road:
        # A server that only says "Failure" and has no statvfs leaves us none the wiser.
        refused(
            "failed" if status == paramiko.SFTP_FAILURE else "full",
            lambda: road.put_many([(here / "x", "inbox", "x")]),
        )
        assert road.list("inbox") == []
        quirky.quirks.disk_bytes = None
        assert road.put_many([(here / "x", "inbox", "x")]) == [True]  # goes on by itself


@pytest.mark.parametrize("call", ["open", "write", "rename", "list", "remove", "lstat", "mkdir", "stat"])
def test_what_is_not_allowed_there(quirky: Quirky, here: Path, call: str) -> None:
    quirky.quirks.refuse[call] = paramiko.SFTP_PERMISSION_DENIED
    (here / "x").write_bytes(b"x")

    def walk() -> None:
        road.put_many([(here / "x", "inbox", "x")])
        road.list("inbox")
        road.remove_many([("inbox", "x")])

    with SftpTransport(quirky.link()) as road:
        message = refused("gone" if call == "mkdir" else "denied", walk)
        assert "caixa-01@[127.0.0.1]" in message


def test_a_login_without_file_transfer(quirky: Quirky) -> None:
    quirky.quirks.sftp = False
    refused("incompatible", lambda: SftpTransport(quirky.link()).list("inbox"))


# -- resuming --------------------------------------------------------------------------------------------------------------------------


def test_an_interrupted_put_goes_on(sshd: Sshd, root: Path, here: Path) -> None:
    data = os.urandom(4 * UNDER_WAY_BYTES + 777)
    (here / "x").write_bytes(data)
    partial = root / durable.PARTIAL / "inbox~x.put"
    partial.parent.mkdir()
    partial.write_bytes(data[: 3 * UNDER_WAY_BYTES])
    moved: list[int] = []
    with SftpTransport(sshd.link(root), observe=moved.append) as road:
        assert road.put_many([(here / "x", "inbox", "x")]) == [True]
    assert sum(moved) == 2 * UNDER_WAY_BYTES + 777  # what was missing, and the last bytes again
    assert (root / "inbox" / "x").read_bytes() == data
    assert not partial.exists()


def test_an_interrupted_get_goes_on(sshd: Sshd, root: Path, here: Path) -> None:
    data = os.urandom(4 * UNDER_WAY_BYTES + 777)
    (root / "outbox").mkdir()
    (root / "outbox" / "x").write_bytes(data)
    partial = durable.partial_path(here, "x", durable.FETCHED_SUFFIX)
    partial.parent.mkdir()
    # As a cut leaves it: what was under way may lie there with holes.
    partial.write_bytes(data[: 2 * UNDER_WAY_BYTES] + bytes(UNDER_WAY_BYTES))
    assert durable.clean_partial(here) == 0
    moved: list[int] = []
    with SftpTransport(sshd.link(root), observe=moved.append) as road:
        assert road.get_many([("outbox", "x", here)]) == [True]
    assert sum(moved) == 2 * UNDER_WAY_BYTES + 777
    assert (here / "x").read_bytes() == data
    assert not partial.exists()


@pytest.mark.parametrize("begun", [UNDER_WAY_BYTES - 1, 3 * UNDER_WAY_BYTES])
def test_a_partial_file_that_cannot_be_ours_is_begun_anew(
    sshd: Sshd, root: Path, here: Path, begun: int
) -> None:
    """Too short to be worth it, or longer than the file is."""
    data = os.urandom(2 * UNDER_WAY_BYTES)
    (here / "x").write_bytes(data)
    for partial in (
        root / durable.PARTIAL / "inbox~x.put",
        durable.partial_path(here.parent / "in", "x", ".get"),
    ):
        partial.parent.mkdir()
        partial.write_bytes(b"-" * begun)
    with SftpTransport(sshd.link(root)) as road:
        assert road.put_many([(here / "x", "inbox", "x")]) == [True]
        assert road.get_many([("inbox", "x", here.parent / "in")]) == [True]
    assert (root / "inbox" / "x").read_bytes() == data
    assert (here.parent / "in" / "x").read_bytes() == data


def test_a_full_disk_here(sshd: Sshd, root: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    (root / "outbox").mkdir()
    for name, size in (("small", 10), ("large", WHOLE_BYTES + 1)):
        (root / "outbox" / name).write_bytes(b"x" * size)
        with monkeypatch.context() as broken, SftpTransport(sshd.link(root)) as road:
            broken.setattr(durable, "fsync_file", full)
            refused("full-here", lambda: road.get_many([("outbox", name, here)]))  # noqa: B023  # called at once
            assert not (here / name).exists()


# -- limits ----------------------------------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def test_a_rate_is_kept() -> None:
    clock = Clock()
    rate = Rate(100_000, clock, clock.sleep)
    for _ in range(100):
        rate.take(20_000)
    assert clock.now == pytest.approx(2_000_000 / 100_000 - 0.25)  # less the first burst
    clock.now += 1000
    rate.take(25_000)
    before = clock.now
    rate.take(10_000)
    assert clock.now - before == pytest.approx(0.1)  # an idle hour is not saved up


def test_a_link_keeps_its_bandwidth(sshd: Sshd, root: Path, here: Path) -> None:
    clock = Clock()
    data = os.urandom(5 << 20)
    (here / "large").write_bytes(data)
    (here / "small").write_bytes(data[:100_000])
    with SftpTransport(sshd.link(root), rate=Rate(1 << 20, clock, clock.sleep)) as road:
        items = [(here / name, "inbox", name) for name in ("large", "small")]
        road.put_many(items)
        there = clock.now
        road.get_many([("inbox", name, here.parent) for name in ("large", "small")])
    total = (5 << 20) + 100_000
    assert there == pytest.approx(total / (1 << 20) - 0.25)
    assert clock.now - there == pytest.approx(total / (1 << 20))
    assert max(clock.naps) <= 0.25
    assert (here.parent / "large").read_bytes() == data


def test_time_for_slow_lines(tmp_path: Path) -> None:
    link = SftpLink("h", "u", tmp_path, tmp_path)
    assert link.seconds_for(1 << 20) == 256
    assert SftpLink("h", "u", tmp_path, tmp_path, limit_kib_s=2).seconds_for(1 << 20) == 1024


def test_the_mode_of_what_we_leave_there_is_the_servers(sshd: Sshd, root: Path, here: Path) -> None:
    (here / "x").write_bytes(b"")
    (here / "x").chmod(0o600)
    with SftpTransport(sshd.link(root)) as road:
        road.put_many([(here / "x", "inbox", "x")])
    assert not stat.S_IMODE((root / "inbox" / "x").stat().st_mode) & stat.S_IXUSR


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
