"""A peer whose root is on an SFTP server: OpenSSH, or one with fewer abilities.

Like the road over a folder (folder), with the same temporary names, and the same answers to names, links and repetition:

- A file is written to `<parent>/.partial/<folder>~<name>.put`, fsynced where the server can (`fsync@openssh.com`), closed, and renamed with
  `posix-rename@openssh.com`. At that instant it is visible there. Where the server has only the protocol's rename, which refuses an
  existing target, an existing target of our size is taken as ours (a name stands for its content); any other is removed first.
- A large file that was interrupted goes on from the partial file, there (`.put`) or here (`.get`). The last bytes of it are sent again:
  as many as may have been under way. Sizes are compared after it; whether the bytes are right, only the manifest's digest says.
- Many files travel as many conversations at once (pipeline) over several channels; their renames go over one, in the order given.
- The connection is made when first needed, and kept until `close` or a failure. Every use has a hard deadline (limits).

Not here: SSH, keys and logins (channels, hostkeys), what is said (conversations), packets (wire). An fsync of a folder there: the
protocol has none.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from filesync.errors import TransportError
from filesync.transports import unobserved
from filesync.transports.conversations import Conversations
from filesync.transports.files import RemoteFile, check_name, folder_parts
from filesync.transports.limits import Rate
from filesync.transports.pipeline import WINDOW, WINDOW_FILES, Pipeline, Talk
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from filesync.transports.channels import Connection
    from filesync.transports.link import SftpLink

T = TypeVar("T")

#: Files up to here travel whole, many at once; larger ones in blocks, one after the other, and resume.
WHOLE_BYTES = 4 << 20
#: How much of one file may be under way: enough for 80 MB/s at 50 ms. A resumed file is sent again from so far before its end, because a
#: server may have written a later block before an earlier one when the line broke.
UNDER_WAY_BYTES = 4 << 20
#: Small files that are here in memory at once, before they are made durable together.
TOGETHER_BYTES = 32 << 20
LOOK = 1024  # names that are asked for at once
MANY = 8  # so many files are worth a second channel

_HERE = {errno.ENOSPC: "full-here", getattr(errno, "EDQUOT", errno.ENOSPC): "full-here"}


@dataclass(frozen=True, slots=True)
class _Put:
    local: Path
    folder: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class _Get:
    folder: str
    name: str
    local_folder: Path
    size: int


# Named here: inside the class `list` is the method.
Files = list[RemoteFile]
Puts = list[_Put]
Gets = list[_Get]
Flags = list[bool]


class SftpTransport:
    """The road to one peer over SFTP. Folders are named from the link's path."""

    def __init__(
        self,
        link: SftpLink,
        *,
        observe: Callable[[int], None] = unobserved,
        rate: Rate | None = None,
    ) -> None:
        self.link = link
        self.observe = observe
        self._rate = rate or (Rate(link.limit_kib_s << 10) if link.limit_kib_s else None)
        self._connection: Connection | None = None
        self._say = Conversations(link, frozenset(), None)
        self._checked: set[str] = set()  # folders that are folders, seen on this connection

    def list(self, folder: str) -> Files:
        """The files in a folder by name; empty where the folder does not exist (yet). Folders, links and odd names are left out."""
        folder_parts(folder)
        with self._road() as pipe:
            self._check_folders(pipe, [folder])
            found = self._one(pipe, self._say.listing(folder))
        return sorted(found, key=lambda file: file.name)

    def put_many(self, items: Iterable[tuple[Path, str, str]], *, replace: bool = False) -> Sequence[bool]:
        """Copies (local file, folder, name) to the peer, each whole or not at all, in the order given; False where it lies there."""
        done: Flags = []
        waiting = iter(items)
        while chunk := list(islice(waiting, LOOK)):
            done += self._put_group([_sized(*item) for item in chunk], replace=replace)
        return done

    def get_many(self, items: Iterable[tuple[str, str, Path]], *, replace: bool = False) -> Sequence[bool]:
        """Copies (folder, name, local folder) here, durably, in the order given; False where it lies here already."""
        done: Flags = []
        waiting = iter(items)
        while chunk := list(islice(waiting, LOOK)):
            done += self._get_group(chunk, replace=replace)
        return done

    def remove_many(self, items: Iterable[tuple[str, str]]) -> None:
        """Removes (folder, name) at the peer; gone already is done."""
        waiting = iter(items)
        while chunk := list(islice(waiting, LOOK)):
            _check([folder for folder, _ in chunk], [name for _, name in chunk])
            with self._road() as pipe:
                self._check_folders(pipe, [folder for folder, _ in chunk])
                self._all(pipe, [self._say.remove(folder, name) for folder, name in chunk])

    def close(self) -> None:
        """Lets go of the connection. Used again, the road connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def extensions(self) -> frozenset[bytes]:
        """What the server offers beyond the protocol, for `doctor`. Connects."""
        with self._road():
            return self._say.extensions

    def _put_group(self, items: Sequence[_Put], *, replace: bool) -> Flags:
        _check([item.folder for item in items], [item.name for item in items])
        with self._road(sum(item.size for item in items)) as pipe:
            self._check_folders(pipe, [item.folder for item in items])
            if replace:
                missing = [True] * len(items)
            else:
                there = self._all(pipe, [self._say.look(item.folder, item.name) for item in items])
                missing = [
                    found is None or not found.is_file or found.size != item.size
                    for item, found in zip(items, there, strict=True)
                ]
            small: Puts = []
            for item, wanted in zip(items, missing, strict=True):
                if wanted and item.size <= WHOLE_BYTES:
                    small.append(item)
                elif wanted:
                    self._put_small(pipe, small, replace=replace)
                    self._put_large(pipe, item, replace=replace)
            self._put_small(pipe, small, replace=replace)
        return missing

    def _put_small(self, pipe: Pipeline, items: Puts, *, replace: bool) -> None:
        say = self._say
        unique = list(
            {(item.folder, item.name): item for item in items}.values()
        )  # said twice: the last counts
        self._all(
            pipe, [say.write_whole(item.local, item.folder, item.name) for item in unique], many=len(unique)
        )
        # One channel: the server answers it in order, so the files appear in order.
        self._all(pipe, [say.rename(item.folder, item.name, item.size, replace=replace) for item in unique])
        items.clear()

    def _put_large(self, pipe: Pipeline, item: _Put, *, replace: bool) -> None:
        say = self._say
        path = say.partial(item.folder, item.name)
        begun = self._one(pipe, say.look_at(path))
        start = 0
        if begun is not None and begun.is_file and begun.size is not None and begun.size <= item.size:
            start = max(0, begun.size - UNDER_WAY_BYTES)
        handle = self._one(pipe, say.open_partial(item.folder, path, resume=start > 0))
        with item.local.open("rb", buffering=0) as source:
            step = say.write_bytes
            self._all(
                pipe,
                (
                    say.write_block(handle, source, at, min(step, item.size - at), item.folder)
                    for at in range(start, item.size, step)
                ),
                bytes_max=UNDER_WAY_BYTES,
            )
        self._one(pipe, say.finish(handle, item.folder, path, item.size))
        self._one(pipe, say.rename(item.folder, item.name, item.size, replace=replace))

    def _get_group(self, items: Sequence[tuple[str, str, Path]], *, replace: bool) -> Flags:
        _check([folder for folder, _, _ in items], [name for _, name, _ in items])
        done = []
        with self._road() as pipe:
            self._check_folders(pipe, [folder for folder, _, _ in items])
            there = self._all(pipe, [self._say.look(folder, name) for folder, name, _ in items])
            small: Gets = []
            held = 0
            for (folder, name, local_folder), found in zip(items, there, strict=True):
                size = self._fetchable(folder, name, found)
                wanted = replace or _size(local_folder / name) != size
                done.append(wanted)
                if not wanted:
                    continue
                item = _Get(folder, name, local_folder, size)
                self._allow(size)
                large = size > WHOLE_BYTES
                if large or held + size > TOGETHER_BYTES:
                    self._get_small(pipe, small)
                    held = 0
                if large:
                    self._get_large(pipe, item)
                else:
                    small.append(item)
                    held += size
            self._get_small(pipe, small)
        return done

    def _fetchable(self, folder: str, name: str, found: object) -> int:
        """The size of a regular file that is there."""
        from filesync.transports.wire import Attrs

        if not isinstance(found, Attrs):
            raise TransportError(
                "gone", f"{self.link.place}: {folder}/{name} was expected, got nothing there"
            )
        if not found.is_file or found.size is None:
            raise TransportError(
                "not-a-file",
                f"{self.link.place}: {folder}/{name}: a regular file was expected, got something else",
            )
        return found.size

    def _get_small(self, pipe: Pipeline, items: Gets) -> None:
        say = self._say
        contents = self._all(
            pipe, [say.read_whole(item.folder, item.name, item.size) for item in items], many=len(items)
        )
        with _here():
            durable.publish_many(
                [(item.local_folder, item.name, data) for item, data in zip(items, contents, strict=True)]
            )
        items.clear()

    def _get_large(self, pipe: Pipeline, item: _Get) -> None:
        say = self._say
        partial = durable.partial_path(item.local_folder, item.name, durable.FETCHED_SUFFIX)
        handle = self._one(pipe, say.open_read(item.folder, item.name))
        with _here():
            partial.parent.mkdir(parents=True, exist_ok=True)
            begun = _size(partial)
            start = max(0, begun - UNDER_WAY_BYTES) if begun is not None and begun <= item.size else 0
            if not start:
                partial.unlink(missing_ok=True)  # also a link: never written through
            with partial.open("r+b" if start else "xb", buffering=0) as out:
                step = say.read_bytes
                self._all(
                    pipe,
                    (
                        say.read_block(handle, out, at, min(step, item.size - at), item.folder, item.name)
                        for at in range(start, item.size, step)
                    ),
                    bytes_max=UNDER_WAY_BYTES,
                )
                got = os.fstat(out.fileno()).st_size
            if got != item.size:
                partial.unlink()
                raise TransportError(
                    "failed", f"{item.name}: {item.size} bytes were expected, got {got} after reading"
                )
            durable.adopt(partial, item.local_folder, item.name)
        self._one(pipe, say.close(handle))

    def _check_folders(self, pipe: Pipeline, folders: Iterable[str]) -> None:
        """No folder below the root may be a link: it could lead out of it. Asked once for each on a connection."""
        asked: dict[str, None] = {}
        for folder in dict.fromkeys(folders):
            parts = folder_parts(folder)
            for count in range(1, len(parts) + 1):
                asked["/".join(parts[:count])] = None
            asked["/".join([*parts[:-1], durable.PARTIAL])] = None
        new = [folder for folder in asked if folder not in self._checked]
        for folder, found in zip(new, self._all(pipe, [self._say.look(one) for one in new]), strict=True):
            if found is None:
                continue
            if found.mode is not None and not found.is_folder:
                raise TransportError(
                    "not-a-file", f"{self.link.place}: {folder}: a folder was expected, got something else"
                )
            self._checked.add(folder)

    @contextmanager
    def _road(self, count: int = 0) -> Iterator[Pipeline]:
        """A pipeline, for an operation that moves `count` bytes; whatever fails in it, the connection is not used again."""
        connection = self._connection or self._connect()
        try:
            with connection.road(self.link.deadline_s + self.link.seconds_for(count), self.link.stall_s):
                yield Pipeline(connection.wake, connection.watchdog, self._rate, self.observe)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Connection:
        # The SSH library takes a third of a second to load: only who uses SFTP pays for it.
        from filesync.transports.channels import Connection

        connection = Connection(self.link)
        burst = None if self._rate is None else max(1024, int(self._rate.burst))
        self._say = Conversations(self.link, connection.sessions[0].extensions, burst)
        self._checked.clear()
        with connection.road(self.link.connect_s, self.link.connect_s):
            pipe = Pipeline(connection.wake, connection.watchdog, self._rate, self.observe)
            pipe.run(connection.sessions[:1], [self._say.greet()])
        self._connection = connection
        return connection

    def _allow(self, count: int) -> None:
        if self._connection is not None:
            self._connection.watchdog.extend(self.link.seconds_for(count))

    def _one(self, pipe: Pipeline, talk: Talk[T]) -> T:
        return self._all(pipe, [talk])[0]

    def _all(
        self, pipe: Pipeline, talks: Iterable[Talk[T]], *, many: int = 0, bytes_max: int = TOGETHER_BYTES
    ) -> Sequence[T]:
        """Runs conversations: over one channel and so in order, or over several where there are `many` files."""
        connection = self._connection
        if connection is None:
            raise TransportError("interrupted", f"{self.link.place}: the connection was closed")
        channels = min(self.link.channels, 1 + many // MANY)
        window = WINDOW_FILES if many else WINDOW
        return pipe.run(connection.more_sessions(channels), talks, window=window, bytes_max=bytes_max)


def _sized(local: Path, folder: str, name: str) -> _Put:
    found = local.stat()  # not there: our own mistake, and no matter of the road
    return _Put(local, folder, name, found.st_size)


def _check(folders: Iterable[str], names: Iterable[str]) -> None:
    for folder in dict.fromkeys(folders):
        folder_parts(folder)
    for name in names:
        check_name(name)


def _size(path: Path) -> int | None:
    """Of a regular file here; None for anything else, which is then replaced."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _here() -> Iterator[None]:
    """Maps errors of our own disk while fetching: the next turn tries again, and the peer keeps its copy."""
    try:
        yield
    except OSError as error:
        raise TransportError(_HERE.get(error.errno or 0, "failed-here"), f"writing here: {error}") from error
