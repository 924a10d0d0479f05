"""SFTP, protocol version 3, as bytes: requests to packets, packets to replies. Pure: no connection, no files.

draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions `posix-rename@openssh.com`, `fsync@openssh.com`,
`limits@openssh.com` and `statvfs@openssh.com`. Written here, and not taken from the SSH library, because speed over a slow line comes
from having many requests of many files under way at once, and because the library forgets which extensions the server offered.

A packet is: length (uint32, of what follows), kind (byte), request id (uint32), body. Replies may come in any order; the id pairs them.
A server is not trusted: a reply that is longer, shorter or other than it may be raises WireError.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

INIT: Final = 1
VERSION: Final = 2
OPEN: Final = 3
CLOSE: Final = 4
READ: Final = 5
WRITE: Final = 6
LSTAT: Final = 7
OPENDIR: Final = 11
READDIR: Final = 12
REMOVE: Final = 13
MKDIR: Final = 14
STAT: Final = 17
RENAME: Final = 18
EXTENDED: Final = 200

FLAG_READ: Final = 0x01
FLAG_WRITE: Final = 0x02
FLAG_CREATE: Final = 0x08
FLAG_EXCLUSIVE: Final = 0x20

OK: Final = 0
EOF: Final = 1
NO_SUCH_FILE: Final = 2
PERMISSION_DENIED: Final = 3
FAILURE: Final = 4
BAD_MESSAGE: Final = 5
UNSUPPORTED: Final = 8
# Of later versions of the protocol; some servers send them to everyone.
FILE_EXISTS: Final = 11
WRITE_PROTECT: Final = 12
NO_SPACE: Final = 14
QUOTA: Final = 15

POSIX_RENAME: Final = b"posix-rename@openssh.com"
FSYNC: Final = b"fsync@openssh.com"
LIMITS: Final = b"limits@openssh.com"
STATVFS: Final = b"statvfs@openssh.com"

#: Every server must take a packet of 34,000 bytes and return 32 KiB; more only where `limits@openssh.com` says so.
BLOCK_SURE: Final = 32 << 10
#: No reply that we ask for is longer; a length beyond it is nonsense or an attack on our memory.
PACKET_MAX: Final = 1 << 20

_ATTR_SIZE, _ATTR_OWNER, _ATTR_MODE, _ATTR_TIMES, _ATTR_EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000
_NO_ATTRS = struct.pack(">I", 0)
_HEAD = struct.Struct(">IBI")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class WireError(Exception):
    """The server sent what is not SFTP."""


class Request(NamedTuple):
    """One request without its id. `moves` is how many bytes of a file travel because of it, there or back."""

    kind: int
    parts: tuple[bytes, ...]
    moves: int = 0

    def packet(self, number: int) -> bytes:
        """The bytes to send."""
        length = 5 + sum(map(len, self.parts))
        return b"".join((_HEAD.pack(length, self.kind, number), *self.parts))


@dataclass(frozen=True, slots=True)
class Status:
    """How a request ended. The text is the server's: shown, never interpreted."""

    code: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Attrs:
    """What the server says of a file. A server may leave out either."""

    size: int | None
    mode: int | None

    @property
    def is_file(self) -> bool:
        """A regular file; without a mode nobody knows, and the open will tell."""
        return self.mode is None or stat.S_ISREG(self.mode) or stat.S_IFMT(self.mode) == 0

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return self.mode is not None and stat.S_ISLNK(self.mode)

    @property
    def is_folder(self) -> bool:
        """A folder."""
        return self.mode is not None and stat.S_ISDIR(self.mode)


class Handle(bytes):
    """An open file or folder at the server."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a file."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Names:
    """Part of a listing: raw name, long form, attributes."""

    entries: tuple[tuple[bytes, bytes, Attrs], ...]


@dataclass(frozen=True, slots=True)
class Extended:
    """The body of a reply to an extension."""

    body: bytes


Reply = Status | Attrs | Handle | Data | Names | Extended


def hello() -> bytes:
    """The client's first packet."""
    return struct.pack(">IBI", 5, INIT, 3)


def open_read(path: bytes) -> Request:
    """Open an existing file for reading."""
    return Request(OPEN, (_text(path), _U32.pack(FLAG_READ), _NO_ATTRS))


def open_new(path: bytes) -> Request:
    """Open a file that must not exist: a link that waits there under that name is never written through."""
    return Request(OPEN, (_text(path), _U32.pack(FLAG_WRITE | FLAG_CREATE | FLAG_EXCLUSIVE), _NO_ATTRS))


def open_again(path: bytes) -> Request:
    """Open an existing file to go on writing."""
    return Request(OPEN, (_text(path), _U32.pack(FLAG_WRITE), _NO_ATTRS))


def close(handle: bytes) -> Request:
    """Close a file or folder."""
    return Request(CLOSE, (_text(handle),))


def read(handle: bytes, offset: int, size: int) -> Request:
    """Up to `size` bytes from `offset`; fewer may come."""
    return Request(READ, (_text(handle), _U64.pack(offset), _U32.pack(size)), size)


def write(handle: bytes, offset: int, data: bytes) -> Request:
    """All of `data` at `offset`."""
    return Request(WRITE, (_text(handle), _U64.pack(offset), _U32.pack(len(data)), data), len(data))


def lstat(path: bytes) -> Request:
    """What lies there, links not followed."""
    return Request(LSTAT, (_text(path),))


def stat_through(path: bytes) -> Request:
    """What lies there, links followed: for the root alone."""
    return Request(STAT, (_text(path),))


def opendir(path: bytes) -> Request:
    """Begin a listing."""
    return Request(OPENDIR, (_text(path),))


def readdir(handle: bytes) -> Request:
    """The next part of a listing."""
    return Request(READDIR, (_text(handle),))


def remove(path: bytes) -> Request:
    """Remove a file or link."""
    return Request(REMOVE, (_text(path),))


def mkdir(path: bytes) -> Request:
    """Make a folder with the server's usual rights."""
    return Request(MKDIR, (_text(path), _NO_ATTRS))


def rename(old: bytes, new: bytes) -> Request:
    """The protocol's own rename: an existing target is refused."""
    return Request(RENAME, (_text(old), _text(new)))


def posix_rename(old: bytes, new: bytes) -> Request:
    """rename(2): an existing target is replaced in one step."""
    return Request(EXTENDED, (_text(POSIX_RENAME), _text(old), _text(new)))


def fsync(handle: bytes) -> Request:
    """Answered when the file's bytes are on the server's disk."""
    return Request(EXTENDED, (_text(FSYNC), _text(handle)))


def limits() -> Request:
    """How large packets, reads and writes may be."""
    return Request(EXTENDED, (_text(LIMITS),))


def statvfs(path: bytes) -> Request:
    """Free space where `path` lies."""
    return Request(EXTENDED, (_text(STATVFS), _text(path)))


def free_bytes(body: bytes) -> int:
    """Of a statvfs reply: fragment size times free blocks for ordinary users."""
    fields = Reader(body)
    _, fragment, _, _, available = (fields.u64() for _ in range(5))
    return fragment * available


def block_sizes(body: bytes) -> tuple[int, int]:
    """Of a limits reply: the longest read and write, 0 where the server does not say."""
    fields = Reader(body)
    _, longest_read, longest_write = (fields.u64() for _ in range(3))
    return longest_read, longest_write


def version(packet: bytes) -> frozenset[bytes]:
    """The server's first packet (kind and what follows): the extensions it offers."""
    fields = Reader(packet)
    if fields.u8() != VERSION:
        raise WireError("the server's SFTP version was expected, got another packet")
    number = fields.u32()
    if number < 3:
        raise WireError(f"SFTP version 3 was expected, got {number}")
    offered = set()
    while fields.left():
        offered.add(fields.text())
        fields.text()  # the extension's own version
    return frozenset(offered)


def parse(packet: bytes | memoryview) -> tuple[int, Reply]:
    """A reply (kind and what follows) and the id of the request that it answers."""
    fields = Reader(packet)
    kind, number = fields.u8(), fields.u32()
    match kind:
        case 101:
            code = fields.u32()
            return number, Status(code, fields.text().decode("utf-8", "replace") if fields.left() else "")
        case 102:
            return number, Handle(fields.text())
        case 103:
            return number, Data(fields.text())
        case 104:
            count = fields.u32()
            return number, Names(tuple((fields.text(), fields.text(), fields.attrs()) for _ in range(count)))
        case 105:
            return number, fields.attrs()
        case 201:
            return number, Extended(fields.rest())
        case _:
            raise WireError(f"an SFTP reply was expected, got a packet of kind {kind}")


class Reader:
    """Reads the fields of one packet in order; never beyond its end."""

    __slots__ = ("_at", "_packet")

    def __init__(self, packet: bytes | memoryview) -> None:
        self._packet = packet
        self._at = 0

    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._packet) - self._at

    def u8(self) -> int:
        """One byte."""
        return self._take(1)[0]

    def u32(self) -> int:
        """Four bytes, the highest first."""
        value: int = _U32.unpack(self._take(4))[0]
        return value

    def u64(self) -> int:
        """Eight bytes, the highest first."""
        value: int = _U64.unpack(self._take(8))[0]
        return value

    def text(self) -> bytes:
        """A length and so many bytes."""
        return bytes(self._take(self.u32()))

    def rest(self) -> bytes:
        """All that is left."""
        return bytes(self._take(self.left()))

    def attrs(self) -> Attrs:
        """A file's attributes; what we do not use is skipped."""
        flags = self.u32()
        size = self.u64() if flags & _ATTR_SIZE else None
        if flags & _ATTR_OWNER:
            self._take(8)
        mode = self.u32() if flags & _ATTR_MODE else None
        if flags & _ATTR_TIMES:
            self._take(8)
        if flags & _ATTR_EXTENDED:
            for _ in range(2 * self.u32()):
                self.text()
        return Attrs(size, mode)

    def _take(self, count: int) -> bytes | memoryview:
        at = self._at
        if at + count > len(self._packet):
            raise WireError(f"{count} more bytes of a reply were expected, got {len(self._packet) - at}")
        self._at = at + count
        return self._packet[at : at + count]


def _text(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data
