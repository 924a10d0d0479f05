"""The only place where a local file becomes visible, moves or goes away, so that a power cut never shows half a file.

Ordering rules, which every function here keeps:

1. Bytes are written into `.partial/` beside the folder (`outbox/.partial` for `outbox/<peer>`: the same filesystem, watched by nobody).
2. The file is fsynced *before* it is renamed: a rename that reaches the disk before the data leaves an empty file behind a good name.
3. The rename puts the whole file under its name. At that instant it is visible to whoever lists the folder.
4. The folder is fsynced. At that instant it is durable: only after a function returned may its caller rely on the file.
5. A file leaves its old folder only after the new one was fsynced.

`*_many` keep these rules for a whole group with one fsync per folder: the files become visible in the order given, but the
order *between* files of one call is not promised after a power cut. Where it matters (payload before manifest), call twice.

Everything may be called again after a crash: a temporary name is always the same for one target, so what a crash left is
overwritten. A name stands for its content (a digest is in it): a file that is there with equal bytes is left, other bytes
are replaced.

Every durable step goes through `fsync_file`, `fsync_folder` and `replace`, looked up when called: the power-cut test
replaces them and raises at the n-th. Temporary files are tidied away after an error, not after a kill (`clean_partial`).

Not here: who may write what, locking between processes, the grammar of names (protocol.identity).
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PARTIAL = ".partial"
FOREIGN_SUFFIX = ".put"  # a peer's transport is writing this one into our folders: the peer's to finish or overwrite, never ours to clean
FETCHED_SUFFIX = ".get"  # half a large file of a peer, which our transport fetches on where it stopped; not to be cleaned either
GROUP = 128  # files open at once in publish_many; writing a group before syncing it is four times as fast as one by one (ext4)
# Fsyncs under way at once. A journaling filesystem commits for all who wait: a group is then durable ten times as fast.
SYNCS = 16

# Antivirus and indexers on Windows, and SMB servers, hold a fresh file for a moment: "locked" is not "failed".
LOCKED_DELAYS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)

_WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_NO_LINKS = {
    errno.EPERM,
    errno.EXDEV,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EMLINK,
    errno.ENOSYS,
    errno.EACCES,
    errno.EINVAL,
}


def fsync_file(fd: int) -> None:
    """Returns when the file's bytes are on the disk."""
    os.fsync(fd)


def fsync_folder(path: Path) -> None:
    """Returns when the folder's names are on the disk. Windows cannot open a folder; NTFS journals its names by itself."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(src: Path, dst: Path, sleep: Callable[[float], None] = time.sleep) -> None:
    """os.replace, tried again for about two seconds while another program holds one of the two."""
    _unlocked(lambda: os.replace(src, dst), sleep)  # noqa: PTH105 -- Path.replace makes a path nobody asked for


def partial_path(folder: Path, name: str, suffix: str = "") -> Path:
    """Where `folder/name` is written before it becomes visible. The folder's name keeps two peers' files apart."""
    return folder.parent.joinpath(PARTIAL, f"{folder.name}~{name}{suffix}")


def publish(folder: Path, name: str, data: bytes) -> None:
    """Makes `folder/name` hold exactly these bytes, durably. Creates the folder."""
    publish_many([(folder, name, data)])


def publish_many(items: Sequence[tuple[Path, str, bytes]], *, suffix: str = "", lasting: bool = True) -> None:
    """`publish` for many, in groups: all written, then all synced, then all renamed, then each folder synced once.

    `suffix` marks the temporary files, for a transport that writes into a peer's folders (FOREIGN_SUFFIX). Without `lasting` no folder is
    synced: after a power cut a file is whole, or the one before it, or not there. For what overwrites itself and is never missed.
    """
    for start in range(0, len(items), GROUP):
        # Said twice for one name in a group: the last counts, as it would one after the other.
        group = {(folder, _plain(name)): data for folder, name, data in items[start : start + GROUP]}
        written: list[tuple[int, Path, Path]] = []
        try:
            for (folder, name), data in group.items():
                target = folder / name
                if not _holds(target, data):
                    temporary = partial_path(folder, name, suffix)
                    written.append((_create(temporary), temporary, target))
                    _write_all(written[-1][0], data)
            _fsync_all([fd for fd, _, _ in written])
        except Exception:
            for _, temporary, _ in written:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise
        finally:
            for fd, _, _ in written:
                os.close(fd)
        for _, temporary, target in written:
            _place(temporary, target)
        # Also for files that were there already: a crash may have come between their rename and this step.
        if lasting:
            _fsync_folders(folder for folder, _ in group)


@contextmanager
def staged(folder: Path, name: str, *, suffix: str = "") -> Iterator[Path]:
    """A path in `.partial` for someone else to write; when the block ends well, `folder/name` is that file, durably.

    On an error nothing becomes visible and the temporary file is removed. The block must have closed the file.
    """
    temporary = partial_path(folder, _plain(name), suffix)
    os.close(_create(temporary))
    try:
        yield temporary
        with temporary.open("rb+") as file:  # Windows syncs only what is open for writing
            fsync_file(file.fileno())
        _place(temporary, folder / name)
    except Exception:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    fsync_folder(folder)


def adopt(temporary: Path, folder: Path, name: str) -> None:
    """Makes a file that was written into `.partial` under a working name be `folder/name`, durably.

    For what gets its name only when it is written: a payload is named by the digest of its bytes.
    """
    adopt_many([(temporary, folder, name)])


def adopt_many(items: Sequence[tuple[Path, Path, str]]) -> None:
    """`adopt` for many: all synced, then all renamed, then each folder synced once."""
    for start in range(0, len(items), GROUP):
        with ExitStack() as opened:
            fds = []
            for temporary, _, name in items[start : start + GROUP]:
                _plain(name)
                # Windows syncs only what is open for writing.
                fds.append(opened.enter_context(temporary.open("rb+")).fileno())
            _fsync_all(fds)
    for temporary, folder, name in items:
        _place(temporary, folder / name)
    _fsync_folders(folder for _, folder, _ in items)


def link(src: Path, folder: Path, name: str) -> None:
    """Gives the durable file `src` a second name `folder/name`: a hard link, or a copy where links do not work."""
    link_many([(src, folder, name)])


def link_many(items: Iterable[tuple[Path, Path, str]]) -> None:
    """`link` for many, with one fsync per folder."""
    folders: dict[Path, None] = {}
    for src, folder, name in items:
        _link(src, folder, _plain(name))
        folders[folder] = None
    _fsync_folders(folders)


def move(src: Path, folder: Path, name: str) -> None:
    """Moves a durable file to `folder/name`. Done already (src gone, target there) is done; neither there: FileNotFoundError."""
    move_many([(src, folder, name)])


def move_many(items: Iterable[tuple[Path, Path, str]]) -> None:
    """`move` for many, with one fsync per folder, targets before sources."""
    targets: dict[Path, None] = {}
    sources: dict[str, None] = {}
    for src, folder, name in items:
        _move(src, folder, _plain(name))
        targets[folder] = None
        sources[os.path.dirname(src)] = None  # noqa: PTH120 -- once for each file, for a few folders
    _fsync_folders(targets)
    left = (Path(folder) for folder in sources)
    _fsync_folders(folder for folder in left if folder not in targets and folder.exists())


def remove(path: Path) -> None:
    """Removes one file, durably; gone already is done."""
    remove_many([path])


def remove_many(paths: Iterable[Path]) -> None:
    """`remove` for many, with one fsync per folder."""
    found = list(paths)
    _side_by_side(_unlink, found)  # a removal waits for the filesystem's journal; several wait together
    _fsync_folders(folder for folder in dict.fromkeys(path.parent for path in found) if folder.exists())


def clean_partial(folder: Path) -> int:
    """Removes what a crash left half-written beside `folder` (one peer folder is enough for all of them); returns how many.

    Only while no other writer of this site runs. A file that a peer is putting here (`.put`) is left to that peer, and one that is
    being fetched from a peer (`.get`) to the transport, which goes on with it.
    """
    removed = 0
    try:
        entries = list(os.scandir(folder.parent / PARTIAL))
    except FileNotFoundError:
        return 0
    for entry in entries:
        if entry.name.endswith((FOREIGN_SUFFIX, FETCHED_SUFFIX)) or entry.is_dir(follow_symlinks=False):
            continue
        with suppress(FileNotFoundError):
            _unlocked(Path(entry.path).unlink, time.sleep)
            removed += 1
    return removed


def _plain(name: str) -> str:
    """A name that could climb out of its folder is a bug of the caller, and must not reach the disk."""
    if not name or name in {".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"a file name without folders was expected, got {name!r}")
    return name


def _create(temporary: Path) -> int:
    """Opens the temporary file, new. O_EXCL: a link that waits there under that name is never written through."""
    for _ in range(3):
        try:
            return os.open(temporary, _WRITE_NEW, 0o644)
        except FileNotFoundError:
            _make_folder(temporary.parent)
        except FileExistsError:  # left by a crash
            _unlocked(temporary.unlink, time.sleep)
    return os.open(temporary, _WRITE_NEW, 0o644)


def _place(temporary: Path, target: Path) -> None:
    try:
        replace(temporary, target)
    except FileNotFoundError:
        if not temporary.exists():
            raise  # a stick was pulled: its mount point must not be made anew, on this computer's own disk
        _make_folder(target.parent)
        replace(temporary, target)


def _make_folder(folder: Path) -> None:
    """mkdir -p whose every new name is durable: an fsynced file in a folder that is lost is lost too."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_folder(folder.parent)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _fsync_all(fds: Sequence[int]) -> None:
    """Returns, or raises an error, when every thread has ended: the caller closes the files next."""
    _side_by_side(fsync_file, fds)


def _fsync_folders(folders: Iterable[Path]) -> None:
    """Every folder once."""
    _side_by_side(fsync_folder, list(dict.fromkeys(folders)))


def _unlink(path: Path) -> None:
    with suppress(FileNotFoundError):
        _unlocked(path.unlink, time.sleep)


def _side_by_side(step: Callable[[Any], None], things: Sequence[Any]) -> None:
    def one_by_one(share: Sequence[Any]) -> None:
        for thing in share:
            step(thing)

    if len(things) < 4:  # threads cost more than they gain
        one_by_one(things)
        return
    threads = min(SYNCS, len(things))
    with ThreadPoolExecutor(threads, thread_name_prefix="fsync") as pool:
        shares = [pool.submit(one_by_one, things[first::threads]) for first in range(threads)]
    for share in shares:
        share.result()


def _holds(path: Path, data: bytes) -> bool:
    try:
        # lstat: a link under this name is replaced by the file, never trusted or followed.
        return os.lstat(path).st_size == len(data) and not path.is_symlink() and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _link(src: Path, folder: Path, name: str) -> None:
    target = folder / name
    try:
        os.link(src, target)
    except FileNotFoundError:
        if folder.is_dir():
            raise
        _make_folder(folder)
        _link(src, folder, name)
    except FileExistsError:
        if not _same(src, target):
            _copy(src, folder, name)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(src, folder, name)


def _copy(src: Path, folder: Path, name: str) -> None:
    temporary = partial_path(folder, name)
    fd = _create(temporary)
    try:
        with os.fdopen(fd, "wb") as out, src.open("rb") as data:
            shutil.copyfileobj(data, out, 1 << 20)
            out.flush()
            fsync_file(out.fileno())
        _place(temporary, folder / name)
    except Exception:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _move(src: Path, folder: Path, name: str) -> None:
    target = folder / name
    try:
        replace(src, target)
    except FileNotFoundError:
        if not folder.is_dir():
            _make_folder(folder)
            _move(src, folder, name)
        elif not target.exists():
            raise
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The archive may stand on another disk. The copy must be durable before the original goes.
        _copy(src, folder, name)
        fsync_folder(folder)
        _unlocked(src.unlink, time.sleep)
        return
    # Two hard links of one file: rename(2) then does nothing and leaves both names.
    if _same(src, target):
        _unlocked(src.unlink, time.sleep)


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False


def _unlocked(step: Callable[[], object], sleep: Callable[[float], None]) -> None:
    for delay in LOCKED_DELAYS_S:
        try:
            step()
            return
        except PermissionError:
            sleep(delay)
    step()
