"""A peer whose root is a folder here: a share, a mounted disk, a USB stick, another site on this machine.

- Bytes are copied, never linked: a hard link would let the peer change what we hold.
- A file appears at the peer, and here, whole or not at all, and is durable when `put` or `get` returns (writers.durable).
- Everything may be repeated. A file that is there with the same size is left: names hold a digest, and the receiver checks it.
- What we are writing into the peer's `.partial` is marked `.put`: the peer's own cleaning leaves it alone.
- Links are not followed, neither files nor folders below the root: they could lead out of it.

Errors of the road are TransportError, for the next turn to try again: "unreachable" (no root; not mounted, not plugged in), "gone"
(listed before, not there now), "not-a-file", "name-refused", "full", "denied", "failed". Not here: what is sent, and in which order.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filesync.errors import TransportError
from filesync.transports import unobserved
from filesync.transports.files import RemoteFile, check_name, folder_parts, is_plain
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, Self

SMALL_BYTES = (
    256 << 10
)  # up to here files travel in groups that are synced together, at most durable.GROUP of them in memory
COPY_BYTES = 1 << 20

# O_NONBLOCK: opening a pipe that someone put there must not hang the turn.
_READ_PLAIN = (
    os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)
_CODES = {
    errno.ENOSPC: "full",
    errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC: "full",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
}


class FolderTransport:
    """The road to one peer. Folders are named from the peer's root, with `/` between their parts: `inbox/caixa-01`."""

    def __init__(self, root: Path, *, observe: Callable[[int], None] = unobserved) -> None:
        self.root = root
        self.observe = observe

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    def list(self, folder: str) -> list[RemoteFile]:
        """The files in a folder by name; empty where the folder does not exist (yet). Folders, links and odd names are left out."""
        with self._road():
            try:
                with os.scandir(self._folder(folder)) as entries:
                    return sorted(
                        (file for entry in entries if (file := _listed(entry))), key=lambda file: file.name
                    )
            except FileNotFoundError:
                return []

    def put(self, local: Path, folder: str, name: str) -> bool:
        """Copies a local file to the peer; False where it lies there already."""
        return self.put_many([(local, folder, name)])[0]

    def put_many(self, items: Iterable[tuple[Path, str, str]], *, replace: bool = False) -> Sequence[bool]:
        """`put` for many; they appear in the order given. After an error those before it may have arrived: repeat all."""
        done: list[bool] = []
        small: list[tuple[Path, str, bytes]] = []
        seen: dict[str, Path] = {}  # looked at once for a group
        for local, folder, name in items:
            check_name(name)
            with local.open("rb") as source:  # not there: our own mistake, and no matter of the road
                size = os.fstat(source.fileno()).st_size
                if size > SMALL_BYTES or not small:
                    seen.clear()
                with self._road():
                    target = seen.get(folder) or seen.setdefault(folder, self._folder(folder))
                    missing = replace or _size(target / name) != size
                    if missing and size <= SMALL_BYTES:
                        small.append((target, name, source.read(size)))
                    elif missing:
                        self._publish(small)
                        with (
                            durable.staged(target, name, suffix=durable.FOREIGN_SUFFIX) as partial,
                            partial.open("wb") as out,
                        ):
                            self._copy(source, out, size)
                    if len(small) >= durable.GROUP:
                        self._publish(small)
            done.append(missing)
        with self._road():
            self._publish(small)
        return done

    def get(self, folder: str, name: str, local_folder: Path) -> bool:
        """Copies a file of the peer into a local folder; False where it lies here already."""
        return self.get_many([(folder, name, local_folder)])[0]

    def get_many(self, items: Iterable[tuple[str, str, Path]], *, replace: bool = False) -> Sequence[bool]:
        """`get` for many; they appear in the order given. After an error those before it may have arrived: repeat all."""
        done: list[bool] = []
        small: list[tuple[Path, str, bytes]] = []
        seen: dict[str, Path] = {}  # looked at once for a group
        with self._road():
            for folder, name, local_folder in items:
                if not small:
                    seen.clear()
                there = seen.get(folder) or seen.setdefault(folder, self._folder(folder))
                with _open_plain(there / check_name(name)) as source:
                    size = os.fstat(source.fileno()).st_size
                    missing = replace or _size(local_folder / name) != size
                    if missing and size <= SMALL_BYTES:
                        small.append((local_folder, name, source.read(size)))
                    elif missing:
                        self._keep(small)
                        with durable.staged(local_folder, name) as partial, partial.open("wb") as out:
                            self._copy(source, out, size)
                done.append(missing)
                if len(small) >= durable.GROUP:
                    self._keep(small)
            self._keep(small)
        return done

    def remove_many(self, items: Iterable[tuple[str, str]]) -> None:
        """Removes files at the peer; gone already is done."""
        with self._road():
            durable.remove_many([self._folder(folder) / check_name(name) for folder, name in items])

    def _publish(self, small: MutableSequence[tuple[Path, str, bytes]]) -> None:
        durable.publish_many(small, suffix=durable.FOREIGN_SUFFIX)
        self._moved(small)

    def _keep(self, small: MutableSequence[tuple[Path, str, bytes]]) -> None:
        durable.publish_many(small)
        self._moved(small)

    def _moved(self, small: MutableSequence[tuple[Path, str, bytes]]) -> None:
        if small:
            self.observe(sum(len(data) for _, _, data in small))
        small.clear()

    def _copy(self, source: BinaryIO, out: BinaryIO, size: int) -> None:
        """As many bytes as the file had when it was opened: one that grows meanwhile is not ours to wait for."""
        while size and (data := source.read(min(size, COPY_BYTES))):
            out.write(data)
            size -= len(data)
            self.observe(len(data))

    def _folder(self, folder: str) -> Path:
        """The folder's path, when no part of it is a link. The root may be one: its place is the operator's choice."""
        path = self.root
        if not path.is_dir():
            raise TransportError(
                "unreachable", f"the peer's folder {path} was expected, got nothing there (not mounted?)"
            )
        for part in folder_parts(folder):
            path /= part
            if path.is_symlink():
                raise TransportError("not-a-file", f"{path}: a folder was expected, got a link")
        if (path.parent / durable.PARTIAL).is_symlink():
            raise TransportError(
                "not-a-file", f"{path.parent / durable.PARTIAL}: a folder was expected, got a link"
            )
        return path

    @contextmanager
    def _road(self) -> Iterator[None]:
        """Maps the system's errors, once."""
        try:
            yield
        except OSError as error:
            if not self.root.is_dir():
                raise TransportError(
                    "unreachable", f"the peer's folder {self.root} went away: {error}"
                ) from error
            raise TransportError(_CODES.get(error.errno or 0, "failed"), f"{self.root}: {error}") from error


def _listed(entry: os.DirEntry[str]) -> RemoteFile | None:
    try:
        return (
            RemoteFile(entry.name, entry.stat(follow_symlinks=False).st_size)
            if is_plain(entry.name) and entry.is_file(follow_symlinks=False)
            else None
        )
    except FileNotFoundError:  # taken away while we were listing
        return None


def _size(path: Path) -> int | None:
    """Of a regular file; None for anything else, which is then replaced."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _open_plain(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file: no link, no pipe, no device."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise TransportError("not-a-file", f"{path}: a regular file was expected, got something else")
        fd = os.open(path, _READ_PLAIN)
    except FileNotFoundError as error:
        raise TransportError("gone", f"{path}: a file was expected, got nothing there") from error
    with os.fdopen(fd, "rb") as file:
        yield file
