"""What is said to an SFTP server, conversation by conversation: greet, list, write, rename, read, remove.

Each is a generator for the pipeline: it yields requests that go out together and gets their replies. Nothing here waits, connects or
knows of other conversations; which of them run at once, and over which channel, is said in `sftp`.

A server's refusal becomes TransportError here, with the path and the server's own words. Version 3 has few codes: "Failure" may be a full
disk, so after a failed write the server is asked for its free space where it can tell (`statvfs@openssh.com`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from filesync.errors import TransportError
from filesync.transports import wire
from filesync.transports.files import RemoteFile, folder_parts, is_plain
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO

    from filesync.transports.link import SftpLink
    from filesync.transports.pipeline import Talk

BLOCK_BYTES = 128 << 10  # a line with 8 KiB/s still answers a block before `stall_s`
LISTING_MAX = 1_000_000  # names; a listing without end must not take all memory
READDIRS = 16  # parts of a listing that are asked for at once

_DENIED = frozenset({wire.PERMISSION_DENIED, wire.WRITE_PROTECT})
_FULL = frozenset({wire.NO_SPACE, wire.QUOTA})


class Conversations:
    """What can be said to one server on one connection."""

    def __init__(self, link: SftpLink, extensions: frozenset[bytes], burst: int | None) -> None:
        self.link = link
        self.extensions = extensions
        self.read_bytes = self.write_bytes = wire.BLOCK_SURE
        self._burst = burst  # a block is never more than the bandwidth limit lets through at once

    def greet(self) -> Talk[None]:
        """The server's limits, and whether the root is there."""
        path = self.link.path
        found, *more = yield [
            wire.stat_through(path.encode()), *([wire.limits()] if wire.LIMITS in self.extensions else [])
        ]  # fmt: skip
        if isinstance(found, wire.Status):
            raise TransportError(
                "denied" if found.code in _DENIED else "unreachable",
                f"{self.link.place}: the peer's folder {path} was expected, got {_words(found)}",
            )
        if more and isinstance(more[0], wire.Extended):
            longest_read, longest_write = wire.block_sizes(more[0].body)
            self.read_bytes = min(longest_read or wire.BLOCK_SURE, BLOCK_BYTES)
            self.write_bytes = min(longest_write or wire.BLOCK_SURE, BLOCK_BYTES)
        if self._burst is not None:
            self.read_bytes = min(self.read_bytes, self._burst)
            self.write_bytes = min(self.write_bytes, self._burst)

    def look(self, folder: str, name: str = "") -> Talk[wire.Attrs | None]:
        """What lies there, links not followed; None for nothing."""
        return (yield from self.look_at(self.link.remote(folder, name)))

    def look_at(self, path: bytes) -> Talk[wire.Attrs | None]:
        """`look` at a path."""
        (found,) = yield [wire.lstat(path)]
        if isinstance(found, wire.Attrs):
            return found
        if _code(found) == wire.NO_SUCH_FILE:
            return None
        self.refused(found, path)

    def listing(self, folder: str) -> Talk[list[RemoteFile]]:
        """The regular files of a folder with plain names; none where there is no folder."""
        path = self.link.remote(folder)
        (opened,) = yield [wire.opendir(path)]
        if not isinstance(opened, wire.Handle):
            if _code(opened) == wire.NO_SUCH_FILE:
                return []
            self.refused(opened, path)
        found: list[RemoteFile] = []
        unsized: list[str] = []
        seen = 0
        while True:
            replies = yield [wire.readdir(opened)] * READDIRS
            entries = [entry for reply in replies if isinstance(reply, wire.Names) for entry in reply.entries]
            seen += len(entries)
            for name, size in ((_file_name(*entry), entry[2].size) for entry in entries):
                if name is not None and size is not None:
                    found.append(RemoteFile(name, size))
                elif name is not None:
                    unsized.append(name)
            if seen > LISTING_MAX:
                raise TransportError(
                    "failed", f"{self._at(path)}: at most {LISTING_MAX} names were expected, got more"
                )
            last = replies[-1]
            if isinstance(last, wire.Status):
                yield [wire.close(opened)]
                if last.code != wire.EOF:
                    self.refused(last, path)
                break
        for name in unsized:  # a server that lists names only
            attrs_now = yield from self.look(folder, name)
            if attrs_now is not None and attrs_now.is_file and attrs_now.size is not None:
                found.append(RemoteFile(name, attrs_now.size))
        return found

    def write_whole(self, local: Path, folder: str, name: str) -> Talk[None]:
        """A small file, into its temporary name, down to the disk."""
        path = self.partial(folder, name)
        handle = yield from self.open_partial(folder, path)
        data = local.read_bytes()
        step = self.write_bytes
        replies = yield [
            *(wire.write(handle, at, data[at : at + step]) for at in range(0, len(data), step)),
            *self._ending(handle),
        ]
        for reply in replies:
            if _code(reply) != wire.OK:
                yield from self.write_failed(reply, folder, path)

    def open_partial(self, folder: str, path: bytes, *, resume: bool = False) -> Talk[wire.Handle]:
        """The temporary file, new (or as it was left); its folders are made where they are missing."""
        (opened,) = yield [wire.open_again(path) if resume else wire.open_new(path)]
        if isinstance(opened, wire.Handle):
            return opened
        if _code(opened) == wire.NO_SUCH_FILE:
            yield from self._make_folders(folder)
        elif _code(opened) in _DENIED | _FULL:
            self.refused(opened, path)
        else:  # left by a crash, or a link that somebody put there
            yield [wire.remove(path)]
        (opened,) = yield [wire.open_new(path)]
        if isinstance(opened, wire.Handle):
            return opened
        return (yield from self.write_failed(opened, folder, path))

    def write_block(self, handle: bytes, source: BinaryIO, at: int, size: int, folder: str) -> Talk[None]:
        """One block of a large file."""
        source.seek(at)
        (reply,) = yield [wire.write(handle, at, source.read(size))]
        if _code(reply) != wire.OK:
            yield from self.write_failed(reply, folder, b"")

    def finish(self, handle: bytes, folder: str, path: bytes, size: int) -> Talk[None]:
        """A large file down to the disk, and its size compared."""
        *ended, found = yield [*self._ending(handle), wire.lstat(path)]
        for reply in ended:
            if _code(reply) != wire.OK:
                yield from self.write_failed(reply, folder, path)
        if isinstance(found, wire.Attrs) and found.size not in {None, size}:
            yield [wire.remove(path)]  # not to be resumed: it is not a part of ours
            raise TransportError(
                "failed", f"{self._at(path)}: {size} bytes were expected, got {found.size} after writing"
            )

    def rename(self, folder: str, name: str, size: int, *, replace: bool) -> Talk[None]:
        """The temporary file gets its name. At that instant it is visible there."""
        old, new = self.partial(folder, name), self.link.remote(folder, name)
        posix = wire.POSIX_RENAME in self.extensions
        step = wire.posix_rename(old, new) if posix else wire.rename(old, new)
        (reply,) = yield [step]
        if _code(reply) == wire.NO_SUCH_FILE:
            yield from self._make_folders(folder)
            (reply,) = yield [step]
        if _code(reply) == wire.OK:
            return
        if posix and _code(reply) != wire.UNSUPPORTED:
            self.refused(reply, new)
        # The protocol's own rename refuses an existing target.
        lies = yield from self.look(folder, name)
        if lies is not None and lies.is_file and lies.size == size and not replace:
            yield [wire.remove(old)]
            return
        if lies is not None:
            if lies.is_folder:
                raise TransportError(
                    "not-a-file", f"{self._at(new)}: no folder of that name was expected, got one"
                )
            (removed,) = yield [wire.remove(new)]
            if _code(removed) not in {wire.OK, wire.NO_SUCH_FILE}:
                self.refused(removed, new)
        (reply,) = yield [wire.rename(old, new)]
        if _code(reply) != wire.OK:
            self.refused(reply, new)

    def read_whole(self, folder: str, name: str, size: int) -> Talk[bytes]:
        """A small file of a known size."""
        handle = yield from self.open_read(folder, name)
        step = self.read_bytes
        asked = [(at, min(step, size - at)) for at in range(0, size, step)]
        parts: dict[int, bytes] = {}
        while asked:
            replies = yield [wire.read(handle, at, count) for at, count in asked]
            again = []
            for (at, count), reply in zip(asked, replies, strict=True):
                data = self.block(reply, folder, name, at, count)
                parts[at] = data
                if len(data) < count:  # a server may send less than was asked for
                    again.append((at + len(data), count - len(data)))
            asked = again
        yield [wire.close(handle)]
        return b"".join(parts[at] for at in sorted(parts))

    def open_read(self, folder: str, name: str) -> Talk[wire.Handle]:
        """A file to read."""
        path = self.link.remote(folder, name)
        (opened,) = yield [wire.open_read(path)]
        if isinstance(opened, wire.Handle):
            return opened
        self.refused(opened, path)

    def read_block(
        self, handle: bytes, out: BinaryIO, at: int, size: int, folder: str, name: str
    ) -> Talk[None]:
        """One block of a large file, into its place here."""
        while size:
            (reply,) = yield [wire.read(handle, at, size)]
            data = self.block(reply, folder, name, at, size)
            out.seek(at)
            out.write(data)
            at += len(data)
            size -= len(data)

    def block(self, reply: wire.Reply, folder: str, name: str, at: int, size: int) -> bytes:
        """The bytes of a reply to a read: at least one, at most `size`."""
        if isinstance(reply, wire.Data) and 0 < len(reply.data) <= size:
            return reply.data
        path = self.link.remote(folder, name)
        if _code(reply) not in {None, wire.EOF}:
            self.refused(reply, path)
        raise TransportError(
            "failed", f"{self._at(path)}: 1 to {size} bytes at {at} were expected, got {_words(reply)}"
        )

    def close(self, handle: bytes) -> Talk[None]:
        """Lets go of a file."""
        yield [wire.close(handle)]

    def remove(self, folder: str, name: str) -> Talk[None]:
        """A file or link goes away; gone already is done."""
        path = self.link.remote(folder, name)
        (reply,) = yield [wire.remove(path)]
        if _code(reply) not in {wire.OK, wire.NO_SUCH_FILE}:
            self.refused(reply, path)

    def partial(self, folder: str, name: str) -> bytes:
        """Where a file is written before it becomes visible: the same name that a folder link would use."""
        *above, last = folder_parts(folder)
        return self.link.remote("/".join([*above, durable.PARTIAL]), f"{last}~{name}{durable.FOREIGN_SUFFIX}")

    def write_failed(self, reply: wire.Reply, folder: str, path: bytes) -> Talk[NoReturn]:
        """Why a write was refused: most servers say just "Failure" when the disk is full."""
        if _code(reply) == wire.FAILURE and wire.STATVFS in self.extensions:
            (found,) = yield [wire.statvfs(self.link.path.encode())]
            if isinstance(found, wire.Extended) and wire.free_bytes(found.body) < BLOCK_BYTES:
                reply = wire.Status(wire.NO_SPACE, "no space left on the server's disk")
        self.refused(reply, path or self.link.remote(folder))

    def refused(self, reply: wire.Reply, path: bytes) -> NoReturn:
        """What a server's refusal means for us."""
        code = _code(reply)
        if code == wire.NO_SUCH_FILE:
            raise TransportError("gone", f"{self._at(path)}: a file was expected, got nothing there")
        if code in _FULL:
            raise TransportError("full", f"{self._at(path)}: {_words(reply)}")
        if code in _DENIED:
            raise TransportError("denied", f"{self._at(path)}: {_words(reply)}")
        raise TransportError("failed", f"{self._at(path)}: {_words(reply)}")

    def _ending(self, handle: bytes) -> Iterable[wire.Request]:
        return [*([wire.fsync(handle)] if wire.FSYNC in self.extensions else []), wire.close(handle)]

    def _make_folders(self, folder: str) -> Talk[None]:
        """Every folder down to this one, and `.partial` beside it. Those that are there say so; the next step shows what is not."""
        parts = folder_parts(folder)
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        yield [
            wire.mkdir(self.link.remote(one)) for one in [*above, "/".join([*parts[:-1], durable.PARTIAL])]
        ]

    def _at(self, path: bytes) -> str:
        return f"{self.link.place}:{path.decode()}"


def _code(reply: wire.Reply) -> int | None:
    return reply.code if isinstance(reply, wire.Status) else None


def _words(reply: wire.Reply) -> str:
    """The server's own, bounded and on one line."""
    if isinstance(reply, wire.Status):
        text = "".join(character if character.isprintable() else "?" for character in reply.text[:200])
        return f"SFTP status {reply.code} ({text or 'no text'})"
    if isinstance(reply, wire.Data):
        return f"{len(reply.data)} bytes"
    return f"an answer of another kind ({type(reply).__name__})"


def _file_name(raw: bytes, long: bytes, attrs: wire.Attrs) -> str | None:
    """The name, when it is one of ours to use: a regular file, UTF-8, plain."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not is_plain(name) or not attrs.is_file:
        return None
    if attrs.mode is None and long[:1] in {b"d", b"l", b"p", b"s", b"c", b"b"}:
        return None  # told only in the long form, as `ls -l` would
    return name
