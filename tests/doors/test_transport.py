"""What every road promises (filesync.transports), on each implementation: a folder, and SFTP against a real OpenSSH server.

What only one of them can do wrong is in test_folder_transport.py, test_sftp_transport.py and test_sftp_trouble.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from filesync.errors import TransportError
from filesync.transports import CODES, Transport
from filesync.transports.files import RemoteFile
from filesync.transports.folder import SMALL_BYTES, FolderTransport
from filesync.transports.sftp import UNDER_WAY_BYTES, WHOLE_BYTES, SftpTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

posix = pytest.mark.skipif(
    os.name == "nt", reason="links need rights on Windows, and there are no pipes in folders"
)


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    root = tmp_path / "peer"
    root.mkdir()
    return root


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "outbox" / "peer"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def inbox(here: Path) -> Path:
    return here.parents[1] / "inbox" / "peer"


@pytest.fixture(params=["folder", "sftp"])
def connect(request: pytest.FixtureRequest) -> Callable[[Path], Transport]:
    """Makes a road to a folder on this machine."""
    if request.param == "folder":
        return FolderTransport
    server = request.getfixturevalue("sshd")
    return lambda root: SftpTransport(server.link(root))


@pytest.fixture
def road(connect: Callable[[Path], Transport], peer: Path) -> Iterator[Transport]:
    with connect(peer) as road:
        yield road


def refused(code: str, action: Callable[[], Any], match: str | None = None) -> None:
    with pytest.raises(TransportError, match=match) as caught:
        action()
    assert caught.value.code == code
    assert code in CODES


def test_there_and_back(road: Transport, peer: Path, here: Path, inbox: Path) -> None:
    (here / "x.jsonl").write_bytes(b"content")
    assert road.list("inbox/caixa-01") == []
    assert road.put_many([(here / "x.jsonl", "inbox/caixa-01", "x.jsonl")]) == [True]
    assert (peer / "inbox" / "caixa-01" / "x.jsonl").read_bytes() == b"content"
    assert road.list("inbox/caixa-01") == [RemoteFile("x.jsonl", 7)]
    assert road.get_many([("inbox/caixa-01", "x.jsonl", inbox)]) == [True]
    assert (inbox / "x.jsonl").read_bytes() == b"content"
    for _ in range(2):
        road.remove_many([("inbox/caixa-01", "x.jsonl"), ("inbox/nobody", "x.jsonl")])
    assert road.list("inbox/caixa-01") == []
    assert list((peer / "inbox" / durable.PARTIAL).iterdir()) == []


def test_nothing_to_do(road: Transport) -> None:
    assert road.put_many([]) == []
    assert road.get_many([]) == []
    road.remove_many([])
    road.close()
    road.close()
    assert road.list("inbox") == []  # used again after it was closed


def test_folders_at_the_root(road: Transport, peer: Path, here: Path) -> None:
    (here / "x").write_bytes(b"1")
    assert road.put_many([(here / "x", "inbox", "x")]) == [True]
    assert road.list("inbox") == [RemoteFile("x", 1)]
    assert [path.name for path in sorted(peer.iterdir())] == [durable.PARTIAL, "inbox"]


@pytest.mark.parametrize(
    "size",
    [0, 1, SMALL_BYTES, SMALL_BYTES + 1, WHOLE_BYTES, WHOLE_BYTES + 1, 2 * UNDER_WAY_BYTES + 12345],
)
def test_sizes(road: Transport, peer: Path, here: Path, inbox: Path, size: int) -> None:
    data = os.urandom(size)
    moved: list[int] = []
    (here / "x").write_bytes(data)
    road.observe = moved.append
    assert road.put_many([(here / "x", "inbox", "x")]) == [True]
    assert (peer / "inbox" / "x").read_bytes() == data
    assert sum(moved) == size
    assert road.get_many([("inbox", "x", inbox)]) == [True]
    assert (inbox / "x").read_bytes() == data
    assert sum(moved) == 2 * size
    assert [*(inbox.parent / durable.PARTIAL).glob("*"), *(peer / durable.PARTIAL).iterdir()] == []


def test_what_is_there_is_left(road: Transport, peer: Path, here: Path, inbox: Path) -> None:
    (here / "x").write_bytes(b"content")
    assert road.put_many([(here / "x", "inbox", "x")]) == [True]
    assert road.get_many([("inbox", "x", inbox)]) == [True]
    before = (peer / "inbox" / "x").stat().st_ino, (inbox / "x").stat().st_ino
    assert road.put_many([(here / "x", "inbox", "x")]) == [False]
    assert road.get_many([("inbox", "x", inbox)]) == [False]
    assert ((peer / "inbox" / "x").stat().st_ino, (inbox / "x").stat().st_ino) == before
    (peer / "inbox" / "x").write_bytes(b"half")
    assert road.put_many([(here / "x", "inbox", "x")]) == [True]
    assert (peer / "inbox" / "x").read_bytes() == b"content"
    (inbox / "x").write_bytes(b"half")
    assert road.get_many([("inbox", "x", inbox)]) == [True]
    assert (inbox / "x").read_bytes() == b"content"


@pytest.mark.parametrize("size", [7, WHOLE_BYTES + 1])
def test_what_is_to_be_replaced_is_replaced(
    road: Transport, peer: Path, here: Path, inbox: Path, size: int
) -> None:
    for letter in (b"a", b"b"):
        (here / "x").write_bytes(letter * size)
        assert road.put_many([(here / "x", "inbox", "x")], replace=True) == [True]
        assert (peer / "inbox" / "x").read_bytes() == letter * size
        assert road.get_many([("inbox", "x", inbox)], replace=True) == [True]
        assert (inbox / "x").read_bytes() == letter * size


def test_many_small_and_large(road: Transport, peer: Path, here: Path, inbox: Path) -> None:
    sizes = {f"f{number:04}": number for number in range(150)} | {"g": WHOLE_BYTES + 5, "h": 3, "i": 0}
    for name, size in sizes.items():
        (here / name).write_bytes(os.urandom(size))
    items = [(here / name, f"inbox/{'a' if size % 2 else 'b'}", name) for name, size in sizes.items()]
    assert road.put_many(items) == [True] * len(items)
    assert road.put_many(iter(items)) == [False] * len(items)
    assert {file.name: file.size for half in "ab" for file in road.list(f"inbox/{half}")} == sizes
    back = [(folder, name, inbox) for _, folder, name in items]
    assert road.get_many(iter(back)) == [True] * len(items)
    assert {name: (inbox / name).read_bytes() for name in sizes} == {
        name: (here / name).read_bytes() for name in sizes
    }
    road.remove_many((folder, name) for _, folder, name in items)
    assert road.list("inbox/a") == road.list("inbox/b") == []


def test_one_name_said_twice(road: Transport, peer: Path, here: Path) -> None:
    (here / "x").write_bytes(b"one")
    (here / "y").write_bytes(b"other")
    road.put_many([(here / "x", "inbox", "x"), (here / "y", "inbox", "x")])
    assert (peer / "inbox" / "x").read_bytes() == b"other"


def test_a_missing_local_folder_is_made(road: Transport, peer: Path, tmp_path: Path) -> None:
    (peer / "outbox").mkdir()
    for name, size in (("small", 3), ("large", WHOLE_BYTES + 1)):
        (peer / "outbox" / name).write_bytes(b"x" * size)
        assert road.get_many([("outbox", name, tmp_path / name / "inbox")]) == [True]
        assert (tmp_path / name / "inbox" / name).stat().st_size == size


def test_a_peer_that_is_not_there(connect: Callable[[Path], Transport], tmp_path: Path, here: Path) -> None:
    (here / "x").write_bytes(b"")
    with connect(tmp_path / "not-mounted") as road:
        refused("unreachable", lambda: road.list("inbox"), "not-mounted")
        refused("unreachable", lambda: road.put_many([(here / "x", "inbox", "x")]), "not-mounted")
        refused("unreachable", lambda: road.get_many([("inbox", "x", here)]), "not-mounted")
        refused("unreachable", lambda: road.remove_many([("inbox", "x")]), "not-mounted")
    assert not (tmp_path / "not-mounted").exists()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", "c:x", "x:stream", ".hidden", durable.PARTIAL, "x\0", "x\n", "x.", "x ", "/etc/passwd", "\udcff"],
)  # fmt: skip
def test_names_that_are_more_than_names(road: Transport, peer: Path, here: Path, name: str) -> None:
    (here / "x").write_bytes(b"")
    (peer / "inbox").mkdir()
    refused("name-refused", lambda: road.put_many([(here / "x", "inbox", name)]))
    refused("name-refused", lambda: road.get_many([("inbox", name, here)]))
    refused("name-refused", lambda: road.remove_many([("inbox", name)]))
    if name != "a/b":  # as a folder that is two good names
        refused("name-refused", lambda: road.list(f"inbox/{name}" if name else ""))
        refused("name-refused", lambda: road.put_many([(here / "x", f"{name}/inbox", "x")]))
    assert list((peer / "inbox").iterdir()) == []


def test_a_local_file_that_is_missing_is_no_matter_of_the_road(road: Transport, here: Path) -> None:
    with pytest.raises(FileNotFoundError):
        road.put_many([(here / "absent", "inbox", "x")])


def test_a_file_that_went_away(road: Transport, peer: Path, here: Path) -> None:
    for _ in range(2):
        refused("gone", lambda: road.get_many([("inbox", "x", here)]))
        (peer / "inbox").mkdir(exist_ok=True)


def test_only_plain_files_are_listed(road: Transport, peer: Path) -> None:
    (peer / "inbox" / "folder").mkdir(parents=True)
    for name in ("b", "a", "c", ".hidden"):
        (peer / "inbox" / name).write_bytes(name.encode() * 3)
    if os.name != "nt":
        for name in ("x:y", "a\\b", "line\nbreak", "\udcff"):
            (peer / "inbox" / name).write_bytes(b"")
    assert [file.name for file in road.list("inbox")] == ["a", "b", "c"]
    assert [file.size for file in road.list("inbox")] == [3, 3, 3]


@posix
def test_links_are_not_followed(road: Transport, peer: Path, here: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (here / "x").write_bytes(b"ours")
    (peer / "outbox").mkdir()
    (peer / "outbox" / "link").symlink_to(outside / "secret")
    (peer / "inbox").symlink_to(outside)
    assert road.list("outbox") == []
    for action in (
        lambda: road.get_many([("outbox", "link", here)]),
        lambda: road.list("inbox"),
        lambda: road.put_many([(here / "x", "inbox", "x")]),
        lambda: road.put_many([(here / "x", "inbox/deeper", "x")]),
        lambda: road.get_many([("inbox", "secret", here)]),
        lambda: road.remove_many([("inbox", "secret")]),
    ):
        refused("not-a-file", action)
    # A link where our file should be is replaced by the file; what it points to is not touched.
    assert road.put_many([(here / "x", "outbox", "link")]) == [True]
    assert (peer / "outbox" / "link").read_bytes() == b"ours"
    assert not (peer / "outbox" / "link").is_symlink()
    road.remove_many([("outbox", "link")])
    road.close()
    (peer / durable.PARTIAL).rmdir()
    (peer / durable.PARTIAL).symlink_to(outside)
    refused("not-a-file", lambda: road.put_many([(here / "x", "outbox", "x")]))
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


@posix
@pytest.mark.parametrize("size", [4, WHOLE_BYTES + 1])
def test_a_link_in_the_place_of_a_partial_file_is_not_written_through(
    road: Transport, peer: Path, here: Path, tmp_path: Path, size: int
) -> None:
    (tmp_path / "secret").write_bytes(b"s" * WHOLE_BYTES)
    (here / "x").write_bytes(b"o" * size)
    (peer / durable.PARTIAL).mkdir()
    (peer / durable.PARTIAL / "outbox~x.put").symlink_to(tmp_path / "secret")
    assert road.put_many([(here / "x", "outbox", "x")]) == [True]
    assert (peer / "outbox" / "x").read_bytes() == b"o" * size
    assert (tmp_path / "secret").read_bytes() == b"s" * WHOLE_BYTES


@posix
def test_a_root_that_is_a_link_is_the_operators_choice(
    connect: Callable[[Path], Transport], tmp_path: Path, peer: Path
) -> None:
    (peer / "inbox").mkdir()
    (peer / "inbox" / "x").write_bytes(b"1")
    (tmp_path / "mounted").symlink_to(peer)
    with connect(tmp_path / "mounted") as road:
        assert road.list("inbox") == [RemoteFile("x", 1)]


@posix
def test_a_pipe_does_not_hang_the_turn(road: Transport, peer: Path, here: Path) -> None:
    (peer / "outbox").mkdir()
    os.mkfifo(peer / "outbox" / "pipe")
    assert road.list("outbox") == []
    refused("not-a-file", lambda: road.get_many([("outbox", "pipe", here)]))


def test_a_folder_in_the_place_of_a_file(road: Transport, peer: Path, here: Path) -> None:
    (peer / "outbox" / "x").mkdir(parents=True)
    refused("not-a-file", lambda: road.get_many([("outbox", "x", here)]))


def test_large_listings(road: Transport, peer: Path) -> None:
    (peer / "inbox").mkdir()
    names = [f"vendas.caixa-01.matriz.k3v7q2ma.{number:010}.receipt.json" for number in range(3000)]
    for name in names:
        (peer / "inbox" / name).touch()
    assert [file.name for file in road.list("inbox")] == names
