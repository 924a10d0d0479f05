"""What only a road over a folder can do wrong; what every road promises is in test_transport.py."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from filesync.errors import TransportError
from filesync.transports.folder import SMALL_BYTES, FolderTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from pathlib import Path


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


def test_bytes_are_copied_not_shared(road: FolderTransport, peer: Path, here: Path) -> None:
    (here / "x").write_bytes(b"ours")
    road.put(here / "x", "inbox", "x")
    assert not (here / "x").samefile(peer / "inbox" / "x")
    assert road.get("inbox", "x", here.parent)
    assert not (here.parent / "x").samefile(peer / "inbox" / "x")


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
