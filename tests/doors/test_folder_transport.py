"""The road over a folder: whole files, no links followed, every failure a TransportError."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from filesync.errors import TransportError
from filesync.transports.files import RemoteFile
from filesync.transports.folder import SMALL_BYTES, FolderTransport
from filesync.writers import durable

if TYPE_CHECKING:
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
def road(peer: Path) -> FolderTransport:
    return FolderTransport(peer)


def code(error: pytest.ExceptionInfo[TransportError]) -> str:
    return error.value.code


def test_there_and_back(road: FolderTransport, peer: Path, here: Path) -> None:
    (here / "x.jsonl").write_bytes(b"content")
    assert road.list("inbox/caixa-01") == []
    assert road.put(here / "x.jsonl", "inbox/caixa-01", "x.jsonl")
    assert (peer / "inbox" / "caixa-01" / "x.jsonl").read_bytes() == b"content"
    assert road.list("inbox/caixa-01") == [RemoteFile("x.jsonl", 7)]
    inbox = here.parents[1] / "inbox" / "peer"
    assert road.get("inbox/caixa-01", "x.jsonl", inbox)
    assert (inbox / "x.jsonl").read_bytes() == b"content"
    road.remove("inbox/caixa-01", "x.jsonl")
    road.remove("inbox/caixa-01", "x.jsonl")
    assert road.list("inbox/caixa-01") == []
    assert list((peer / "inbox" / durable.PARTIAL).iterdir()) == []


def test_bytes_are_copied_not_shared(road: FolderTransport, peer: Path, here: Path) -> None:
    (here / "x").write_bytes(b"ours")
    road.put(here / "x", "inbox", "x")
    assert not (here / "x").samefile(peer / "inbox" / "x")
    assert road.get("inbox", "x", here.parent)
    assert not (here.parent / "x").samefile(peer / "inbox" / "x")


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 3 * (1 << 20) + 1])
def test_sizes(road: FolderTransport, peer: Path, here: Path, size: int) -> None:
    data = os.urandom(size)
    (here / "x").write_bytes(data)
    assert road.put(here / "x", "inbox", "x")
    assert (peer / "inbox" / "x").read_bytes() == data
    assert road.get("inbox", "x", here.parent)
    assert (here.parent / "x").read_bytes() == data


def test_what_is_there_is_left(road: FolderTransport, peer: Path, here: Path) -> None:
    (here / "x").write_bytes(b"content")
    assert road.put(here / "x", "inbox", "x")
    before = (peer / "inbox" / "x").stat().st_ino
    assert not road.put(here / "x", "inbox", "x")
    assert (peer / "inbox" / "x").stat().st_ino == before
    assert not road.get("inbox", "x", here)
    (peer / "inbox" / "x").write_bytes(b"half")
    assert road.put(here / "x", "inbox", "x")
    assert (peer / "inbox" / "x").read_bytes() == b"content"


def test_many_keep_their_order_and_share_their_syncs(
    road: FolderTransport, peer: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"a": 1, "b": SMALL_BYTES + 1, "c": 2, "d": 3}
    for name, size in sizes.items():
        (here / name).write_bytes(os.urandom(size))
    seen: list[str] = []
    synced: list[Path] = []
    replace, sync = durable.replace, durable.fsync_folder

    def seen_replace(source: Path, target: Path) -> None:
        replace(source, target)
        seen.append(target.name)

    def seen_sync(folder: Path) -> None:
        sync(folder)
        synced.append(folder)

    monkeypatch.setattr(durable, "replace", seen_replace)
    monkeypatch.setattr(durable, "fsync_folder", seen_sync)
    (peer / "inbox").mkdir()
    (peer / durable.PARTIAL).mkdir()
    assert road.put_many([(here / name, "inbox", name) for name in sizes]) == [True] * 4
    assert seen == list(sizes)
    assert synced == [peer / "inbox"] * 3  # a; b, which is large; c and d
    assert road.put_many([(here / name, "inbox", name) for name in sizes]) == [False] * 4
    assert road.put_many([]) == []
    seen.clear()
    inbox = here.parent / "inbox"
    (inbox.parent / durable.PARTIAL).mkdir(exist_ok=True)
    inbox.mkdir()
    assert road.get_many([("inbox", name, inbox) for name in sizes]) == [True] * 4
    assert seen == list(sizes)
    assert {name: (inbox / name).read_bytes() for name in sizes} == {
        name: (here / name).read_bytes() for name in sizes
    }
    road.remove_many([("inbox", name) for name in sizes])
    assert road.list("inbox") == []


def test_half_written_files_are_never_seen(
    road: FolderTransport, peer: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: int) -> None:
        raise KeyboardInterrupt

    for name, size in (("small", 10), ("large", SMALL_BYTES + 1)):
        (here / name).write_bytes(b"x" * size)
        with monkeypatch.context() as broken:
            broken.setattr(durable, "fsync_file", cut)
            with pytest.raises(KeyboardInterrupt):
                road.put(here / name, "inbox/caixa-01", name)
        assert name not in [file.name for file in road.list("inbox/caixa-01")]
        # The peer tidies its own half-written files meanwhile; ours is marked and stays, and is overwritten by the next try.
        assert durable.clean_partial(peer / "inbox" / "caixa-01") == 0
        assert road.put(here / name, "inbox/caixa-01", name)
        assert list((peer / "inbox" / durable.PARTIAL).iterdir()) == []


def test_a_peer_that_is_not_there(tmp_path: Path, here: Path) -> None:
    road = FolderTransport(tmp_path / "not-mounted")
    (here / "x").write_bytes(b"")
    for action in (
        lambda: road.list("inbox"),
        lambda: road.put(here / "x", "inbox", "x"),
        lambda: road.get("inbox", "x", here),
        lambda: road.remove("inbox", "x"),
    ):
        with pytest.raises(TransportError, match="not-mounted") as caught:
            action()
        assert code(caught) == "unreachable"
    assert not road.root.exists()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "c:x",
        "x:stream",
        ".hidden",
        durable.PARTIAL,
        "x\0",
        "x.",
        "x ",
        "/etc/passwd",
    ],
)
def test_names_that_are_more_than_names(road: FolderTransport, peer: Path, here: Path, name: str) -> None:
    (here / "x").write_bytes(b"")
    (peer / "inbox").mkdir()
    for action in (
        lambda: road.put(here / "x", "inbox", name),
        lambda: road.get("inbox", name, here),
        lambda: road.remove("inbox", name),
        lambda: road.list(f"inbox/{name}" if name else ""),
        lambda: road.put(here / "x", f"{name}/inbox", "x"),
    ):
        if name == "a/b":  # as a folder that is two good names
            continue
        with pytest.raises(TransportError) as caught:
            action()
        assert code(caught) == "name-refused"
    assert list((peer / "inbox").iterdir()) == []


def test_a_local_file_that_is_missing_is_no_matter_of_the_road(road: FolderTransport, here: Path) -> None:
    with pytest.raises(FileNotFoundError):
        road.put(here / "absent", "inbox", "x")


def test_a_file_that_went_away(road: FolderTransport, peer: Path, here: Path) -> None:
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            road.get("inbox", "x", here)
        assert code(caught) == "gone"
        (peer / "inbox").mkdir(exist_ok=True)


def test_only_files_are_listed(road: FolderTransport, peer: Path) -> None:
    (peer / "inbox" / "folder").mkdir(parents=True)
    for name in ("b", "a", "c"):
        (peer / "inbox" / name).write_bytes(name.encode() * 3)
    assert [file.name for file in road.list("inbox")] == ["a", "b", "c"]


@posix
def test_links_are_not_followed(road: FolderTransport, peer: Path, here: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (here / "x").write_bytes(b"ours")
    (peer / "outbox").mkdir()
    (peer / "outbox" / "link").symlink_to(outside / "secret")
    (peer / "inbox").symlink_to(outside)
    assert road.list("outbox") == []
    for action in (
        lambda: road.get("outbox", "link", here),
        lambda: road.list("inbox"),
        lambda: road.put(here / "x", "inbox", "x"),
        lambda: road.put(here / "x", "inbox/deeper", "x"),
        lambda: road.get("inbox", "secret", here),
        lambda: road.remove("inbox", "secret"),
    ):
        with pytest.raises(TransportError) as caught:
            action()
        assert code(caught) == "not-a-file"
    # A link where our file should be is replaced by the file; what it points to is not touched.
    assert road.put(here / "x", "outbox", "link")
    assert (peer / "outbox" / "link").read_bytes() == b"ours"
    road.remove("outbox", "link")
    (peer / durable.PARTIAL).rmdir()
    (peer / durable.PARTIAL).symlink_to(outside)
    with pytest.raises(TransportError):
        road.put(here / "x", "outbox", "x")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


@posix
def test_a_root_that_is_a_link_is_the_operators_choice(tmp_path: Path, peer: Path) -> None:
    (peer / "inbox").mkdir()
    (peer / "inbox" / "x").write_bytes(b"1")
    (tmp_path / "mounted").symlink_to(peer)
    assert FolderTransport(tmp_path / "mounted").list("inbox") == [RemoteFile("x", 1)]


@posix
def test_a_pipe_does_not_hang_the_turn(road: FolderTransport, peer: Path, here: Path) -> None:
    (peer / "outbox").mkdir()
    os.mkfifo(peer / "outbox" / "pipe")
    assert road.list("outbox") == []
    with pytest.raises(TransportError) as caught:
        road.get("outbox", "pipe", here)
    assert code(caught) == "not-a-file"


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, "full"), (errno.EACCES, "denied"), (errno.EROFS, "denied"), (errno.EIO, "failed")],
)
def test_errors_of_the_system(
    road: FolderTransport, here: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    def broken(_: int) -> None:
        raise OSError(number, "broken")

    monkeypatch.setattr(durable, "fsync_file", broken)
    monkeypatch.setattr(durable, "LOCKED_DELAYS_S", ())
    for size in (1, SMALL_BYTES + 1):
        (here / "x").write_bytes(b"x" * size)
        with pytest.raises(TransportError, match="broken") as caught:
            road.put(here / "x", "inbox", "x")
        assert code(caught) == expected


def test_a_share_that_vanishes_while_it_is_used(
    road: FolderTransport, peer: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "x").write_bytes(b"x")

    def unplug(_: int) -> None:
        peer.rename(peer.with_name("unplugged"))
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(durable, "fsync_file", unplug)
    with pytest.raises(TransportError) as caught:
        road.put(here / "x", "inbox", "x")
    assert code(caught) == "unreachable"


def test_a_file_that_grows_while_it_is_fetched(road: FolderTransport, peer: Path, here: Path) -> None:
    (peer / "outbox").mkdir()
    (peer / "outbox" / "x").write_bytes(b"x" * (SMALL_BYTES + 5))
    with (peer / "outbox" / "x").open("rb") as source, (here / "copy").open("wb") as out:
        road._copy(source, out, 7)
    assert (here / "copy").read_bytes() == b"x" * 7
