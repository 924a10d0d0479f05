"""Local files appear whole or not at all, in an order that survives a power cut at every step."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable


class PowerCut(BaseException):
    """Nothing may catch and tidy: after a power cut no code runs."""


class Steps:
    """Records the durable steps, and cuts the power before the n-th."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        self.cut_at: int | None = None
        for name in ("fsync_file", "fsync_folder", "replace"):
            monkeypatch.setattr(durable, name, self._recorded(name, getattr(durable, name)))

    def _recorded(self, name: str, step: Callable[..., None]) -> Callable[..., None]:
        def recorded(*args: object) -> None:
            if len(self.seen) == self.cut_at:
                raise PowerCut
            where = args[-1]
            self.seen.append(f"{name} {where.name}" if isinstance(where, Path) else name)
            step(*args)

        return recorded


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_the_order_of_steps(outbox: Path, steps: Steps) -> None:
    (outbox / "matriz").mkdir(parents=True)
    (outbox / durable.PARTIAL).mkdir()
    durable.publish(outbox / "matriz", "x", b"content")
    assert steps.seen == ["fsync_file", "replace x", "fsync_folder matriz"]
    assert contents(outbox) == {"matriz/x": b"content"}


def test_new_folders_are_durable_too(outbox: Path, steps: Steps) -> None:
    durable.publish(outbox / "matriz", "x", b"")
    assert steps.seen == [
        f"fsync_folder {outbox.parent.name}",
        "fsync_folder outbox",
        "fsync_file",
        "replace x",  # refused: no folder yet
        "fsync_folder outbox",
        "replace x",
        "fsync_folder matriz",
    ]


def test_publishing_again(outbox: Path, steps: Steps) -> None:
    folder = outbox / "matriz"
    durable.publish(folder, "x", b"one")
    steps.seen.clear()
    durable.publish(folder, "x", b"one")
    assert steps.seen == ["fsync_folder matriz"]  # the step that a crash may have left out
    durable.publish(folder, "x", b"two")
    assert (folder / "x").read_bytes() == b"two"


def test_many_are_synced_before_the_first_is_visible(
    outbox: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "GROUP", 4)
    for peer in ("a", "b"):
        (outbox / peer).mkdir(parents=True)
    (outbox / durable.PARTIAL).mkdir()
    items = [(outbox / "ab"[number % 2], f"f{number}", b"%d" % number) for number in range(6)]
    durable.publish_many(items)
    assert steps.seen == [
        *["fsync_file"] * 4, "replace f0", "replace f1", "replace f2", "replace f3", "fsync_folder a", "fsync_folder b",
        *["fsync_file"] * 2, "replace f4", "replace f5", "fsync_folder a", "fsync_folder b",
    ]  # fmt: skip
    assert contents(outbox) == {f"{folder.name}/{name}": data for folder, name, data in items}
    durable.publish_many([])


def test_one_name_twice_in_a_call(outbox: Path) -> None:
    durable.publish_many([(outbox / "a", "x", b"1"), (outbox / "b", "x", b"2"), (outbox / "a", "x", b"3")])
    assert contents(outbox) == {"a/x": b"3", "b/x": b"2"}


def _staged(root: Path) -> None:
    with durable.staged(root / "outbox" / "a", "s") as path:
        path.write_bytes(b"staged")


def _adopted(root: Path) -> None:
    if not (root / "outbox" / "a" / "t").exists():
        temporary = durable.partial_path(root / "outbox" / "a", "t")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(b"adopted")
        durable.adopt(temporary, root / "outbox" / "a", "t")


def _linked(root: Path) -> None:
    durable.publish(root / "outbox" / "a", "x", b"linked")
    durable.link_many([(root / "outbox" / "a" / "x", root / "outbox" / peer, "x") for peer in "bc"])


def _moved(root: Path) -> None:
    files = [(root / "inbox" / "a" / name, root / "archive" / "2025", name) for name in ("m1", "m2")]
    if not any(target.joinpath(name).exists() for _, target, name in files):
        durable.publish_many([(source.parent, name, b"moved") for source, _, name in files])
    durable.move_many(files)


def _moved_links(root: Path) -> None:
    """Two names of one file become one name: rename(2) alone would leave the second."""
    for peer in "ab":
        if not (root / "archive" / "x").exists():
            durable.publish(root / "outbox" / "a", "x", b"once")
            durable.link(root / "outbox" / "a" / "x", root / "outbox" / "b", "x")
        if (root / "outbox" / peer / "x").exists():
            durable.move(root / "outbox" / peer / "x", root / "archive", "x")


def _removed(root: Path) -> None:
    if not (root / "done").exists():
        durable.publish(root / "outbox" / "a", "r", b"removed")
        (root / "done").touch()
    durable.remove(root / "outbox" / "a" / "r")


JOURNEYS: list[Callable[[Path], None]] = [
    lambda root: durable.publish(root / "outbox" / "a", "p", b"published"),
    lambda root: durable.publish_many([(root / "outbox" / "ab"[n % 2], f"p{n}", b"published") for n in range(5)]),
    _staged, _adopted, _linked, _moved, _moved_links, _removed,
]  # fmt: skip


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.__name__)
def test_a_power_cut_at_every_step(tmp_path: Path, steps: Steps, journey: Callable[[Path], None]) -> None:
    (tmp_path / "whole").mkdir()
    journey(tmp_path / "whole")
    total = len(steps.seen)
    expected = contents(tmp_path / "whole")
    assert total >= 2
    for step in range(total):
        root = tmp_path / f"cut-{step}"
        root.mkdir()
        steps.seen.clear()
        steps.cut_at = step
        with pytest.raises(PowerCut):
            journey(root)
        visible = {path: data for path, data in contents(root).items() if durable.PARTIAL not in path}
        assert all(data in expected.values() or data in {b"removed", b""} for data in visible.values())
        assert not any(data == b"" for path, data in visible.items() if path != "done")
        steps.cut_at = None
        journey(root)
        assert contents(root) == expected
        journey(root)
        assert contents(root) == expected


def test_an_error_leaves_nothing_behind(outbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(durable, "fsync_file", full)
    with pytest.raises(OSError, match="no space left"):
        durable.publish_many([(outbox / "a", "x", b"1"), (outbox / "a", "y", b"2")])
    with pytest.raises(OSError, match="no space left"), durable.staged(outbox / "a", "z") as path:
        path.write_bytes(b"3")
    with pytest.raises(LookupError), durable.staged(outbox / "a", "z"):
        raise LookupError
    assert contents(outbox) == {}


def test_what_a_crash_left_is_overwritten_or_cleaned(outbox: Path) -> None:
    folder = outbox / "a"
    left = durable.partial_path(folder, "x")
    foreign = durable.partial_path(folder, "y", durable.FOREIGN_SUFFIX)
    left.parent.mkdir(parents=True)
    left.write_bytes(b"a longer half-written file")
    foreign.write_bytes(b"a peer is writing this")
    durable.publish(folder, "x", b"whole")
    assert (folder / "x").read_bytes() == b"whole"
    left.write_bytes(b"half")
    assert durable.clean_partial(folder) == 1
    assert names(left.parent) == [foreign.name]
    assert durable.clean_partial(folder) == 0
    assert durable.clean_partial(outbox / "absent" / "a") == 0


def test_two_peers_with_files_of_one_name_do_not_meet(outbox: Path) -> None:
    with durable.staged(outbox / "a", "x") as one, durable.staged(outbox / "b", "x") as other:
        one.write_bytes(b"1")
        other.write_bytes(b"2")
    assert contents(outbox) == {"a/x": b"1", "b/x": b"2"}


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_under_our_names_are_never_written_through(outbox: Path) -> None:
    precious = outbox.parent / "precious"
    precious.write_bytes(b"precious")
    for place in (durable.partial_path(outbox / "a", "x"), outbox / "a" / "x"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(precious)
    durable.publish(outbox / "a", "x", b"precious")
    assert not (outbox / "a" / "x").is_symlink()
    assert (outbox / "a" / "x").read_bytes() == precious.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\\b", "x\0"])
def test_names_that_would_leave_their_folder(outbox: Path, name: str) -> None:
    source = outbox / "a" / "s"
    durable.publish(source.parent, source.name, b"")
    for action in (
        lambda: durable.publish(outbox / "a", name, b""),
        lambda: durable.link(source, outbox / "a", name),
        lambda: durable.move(source, outbox / "a", name),
        lambda: durable.staged(outbox / "a", name).__enter__(),
    ):
        with pytest.raises(ValueError, match="file name"):
            action()
    assert contents(outbox) == {"a/s": b""}


def test_a_link_shares_the_bytes_and_a_copy_replaces_it_where_links_do_not_work(
    outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.publish(outbox / "a", "x", b"payload")
    source = outbox / "a" / "x"
    durable.link(source, outbox / "b", "x")
    assert source.samefile(outbox / "b" / "x")

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "links are not permitted")

    monkeypatch.setattr(os, "link", refuse)
    durable.link(source, outbox / "c", "x")
    durable.link(source, outbox / "c", "x")
    assert (outbox / "c" / "x").read_bytes() == b"payload"
    assert not source.samefile(outbox / "c" / "x")
    assert names(outbox / durable.PARTIAL) == []


def test_a_link_over_other_bytes_replaces_them(outbox: Path) -> None:
    durable.publish_many([(outbox / "a", "x", b"new"), (outbox / "b", "x", b"old")])
    durable.link(outbox / "a" / "x", outbox / "b", "x")
    assert (outbox / "b" / "x").read_bytes() == b"new"


def test_linking_or_moving_what_is_nowhere(outbox: Path) -> None:
    (outbox / "a").mkdir(parents=True)
    for folder in (outbox / "a", outbox / "b"):
        with pytest.raises(FileNotFoundError):
            durable.link(outbox / "a" / "x", folder, "x")
        with pytest.raises(FileNotFoundError):
            durable.move(outbox / "a" / "x", folder, "x")
    durable.remove(outbox / "nowhere" / "x")


def test_moving_to_another_disk_copies_first(
    outbox: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.publish(outbox / "a", "x", b"far")
    recorded = durable.replace

    def other_disk(source: Path, target: Path) -> None:
        if source.parent.name == "a":
            raise OSError(errno.EXDEV, "another disk")
        recorded(source, target)

    monkeypatch.setattr(durable, "replace", other_disk)
    steps.seen.clear()
    durable.move(outbox / "a" / "x", outbox.parent / "archive", "x")
    assert contents(outbox.parent) == {"archive/x": b"far"}
    assert (
        steps.seen.index("fsync_file")
        < steps.seen.index("fsync_folder archive")
        < steps.seen.index("fsync_folder a")
    )


def test_a_move_syncs_the_target_before_the_source(outbox: Path, steps: Steps) -> None:
    durable.publish(outbox / "a", "x", b"")
    durable.publish(outbox / "b", "y", b"")
    steps.seen.clear()
    durable.move(outbox / "a" / "x", outbox / "b", "x")
    assert steps.seen == ["replace x", "fsync_folder b", "fsync_folder a"]


def test_a_locked_file_is_tried_again_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    waits: list[float] = []
    locked = 3
    real = os.replace

    def held(one: Path, other: Path) -> None:
        if len(waits) < locked:
            raise PermissionError(errno.EACCES, "another program holds the file")
        real(one, other)

    monkeypatch.setattr(os, "replace", held)
    source.write_bytes(b"1")
    durable.replace(source, target, sleep=waits.append)
    assert target.read_bytes() == b"1"
    assert waits == list(durable.LOCKED_DELAYS_S[:3])
    waits.clear()
    locked = 1000
    source.write_bytes(b"2")
    with pytest.raises(PermissionError):
        durable.replace(source, target, sleep=waits.append)
    assert waits == list(durable.LOCKED_DELAYS_S)
    assert sum(waits) < 3


def test_windows_has_no_folders_to_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        windows.setattr(os, "open", lambda *_: pytest.fail("Windows cannot open a folder"))
        durable.fsync_folder(tmp_path)
