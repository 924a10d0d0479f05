"""An SFTP server examined: what it offers, how fast it answers, and whether a file can live there. For `doctor`.

One connection, the same as `sftp` makes, with the same checks of the server's key and the same hard deadlines. The probe file lives in the
`.partial/` beside a folder, where nobody looks, under a name that a station leaves alone; it is removed again, whatever fails, and so is a
`.partial/` that had to be made for it. Failures are TransportError with the codes of `transports.CODES`.
"""

from __future__ import annotations

import os
import secrets
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from filesync.errors import TransportError
from filesync.transports import unobserved, wire
from filesync.transports.conversations import Conversations
from filesync.transports.files import folder_parts
from filesync.transports.pipeline import Pipeline
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from filesync.transports.channels import Connection
    from filesync.transports.link import SftpLink
    from filesync.transports.pipeline import Talk

T = TypeVar("T")

ROUND_TRIPS = 5
_RMDIR = 15  # the only request that shipping never makes


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a probe file, in seconds and bytes. `synced`, `replaced`: with the extension, or done without."""

    bytes: int
    write_s: float
    rename_s: float
    read_s: float
    synced: bool
    replaced: bool


class SftpProbe:
    """A connection to examine. Use it as a context manager; connecting raises what is wrong with host, key or login."""

    def __init__(self, link: SftpLink, clock: Callable[[], float] = time.monotonic) -> None:
        self.link = link
        self._clock = clock
        self._connection: Connection | None = None
        self.extensions: frozenset[bytes] = frozenset()
        self._say = Conversations(link, self.extensions, None)
        self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def round_trip_s(self) -> float:
        """The quickest of a few questions and answers."""
        times = []
        for _ in range(ROUND_TRIPS):
            began = self._clock()
            self._run(_ask(wire.stat_through(self.link.path.encode())))
            times.append(self._clock() - began)
        return min(times)

    def free_bytes(self) -> int | None:
        """Free space there, where the server tells (`statvfs@openssh.com`)."""
        if wire.STATVFS not in self.extensions:
            return None
        (reply,) = self._run(_ask(wire.statvfs(self.link.path.encode())))
        return wire.free_bytes(reply.body) if isinstance(reply, wire.Extended) else None

    def files(self, folder: str) -> int | None:
        """How many files lie in a folder; None where there is no such folder."""
        if self._run(self._say.look(folder)) is None:
            return None
        return len(self._run(self._say.listing(folder)))

    def life(self, folder: str, size: int) -> Life:
        """Write, flush, rename, read back and remove a file in the `.partial/` beside `folder`."""
        above = "/".join([*folder_parts(folder)[:-1], durable.PARTIAL])
        home = self.link.remote(above)
        name = f"doctor~{os.getpid()}-{secrets.token_hex(4)}"
        first, second = (home + f"/{name}.{part}{durable.FOREIGN_SUFFIX}".encode() for part in "12")
        (made,) = self._run(_ask(wire.mkdir(home)))
        try:
            return self._live(first, second, secrets.token_bytes(size))
        finally:
            with suppress(TransportError, wire.WireError):
                tidying = [wire.remove(first), wire.remove(second)]
                if isinstance(made, wire.Status) and made.code == wire.OK:
                    tidying.append(wire.Request(_RMDIR, (struct.pack(">I", len(home)), home)))
                self._run(_ask(*tidying))

    def _live(self, first: bytes, second: bytes, data: bytes) -> Life:
        began = self._clock()
        (opened,) = self._run(_ask(wire.open_new(first)))
        if not isinstance(opened, wire.Handle):
            self._say.refused(opened, first)
        step = self._say.write_bytes
        writes = [wire.write(opened, at, data[at : at + step]) for at in range(0, len(data), step)]
        synced = wire.FSYNC in self.extensions
        ending = [*([wire.fsync(opened)] if synced else []), wire.close(opened)]
        self._must(self._run(_ask(*writes, *ending)), first)
        written = self._clock()
        posix = wire.POSIX_RENAME in self.extensions
        self._must(
            self._run(_ask(wire.posix_rename(first, second) if posix else wire.rename(first, second))), second
        )
        renamed = self._clock()
        (opened,) = self._run(_ask(wire.open_read(second)))
        if not isinstance(opened, wire.Handle):
            self._say.refused(opened, second)
        back = self._read(opened, second, len(data))
        self._run(_ask(wire.close(opened)))
        read = self._clock()
        if back != data:
            raise TransportError(
                "failed", f"{self.link.place}: {len(data)} bytes were written, others were read back"
            )
        self._must(self._run(_ask(wire.remove(second))), second)
        return Life(len(data), written - began, renamed - written, read - renamed, synced, posix)

    def _read(self, handle: bytes, path: bytes, size: int) -> bytes:
        step = self._say.read_bytes
        found = bytearray()
        while len(found) < size:
            asked = [wire.read(handle, at, min(step, size - at)) for at in range(len(found), size, step)]
            for request, reply in zip(asked, self._run(_ask(*asked)), strict=True):
                if not isinstance(reply, wire.Data) or not reply.data:
                    self._say.refused(reply, path)
                found += reply.data
                if len(reply.data) < request.moves:  # a server may send less: ask again from there
                    break
        return bytes(found)

    def _must(self, replies: Sequence[wire.Reply], path: bytes) -> None:
        for reply in replies:
            if not isinstance(reply, wire.Status) or reply.code != wire.OK:
                self._say.refused(reply, path)

    def _run(self, talk: Talk[T]) -> T:
        connection = (
            self._connection or self._connect()
        )  # a failure ended it; there is still a file to be tidied away
        try:
            with connection.road(self.link.deadline_s, self.link.stall_s):
                pipe = Pipeline(connection.wake, connection.watchdog, None, unobserved)
                return pipe.run(connection.sessions[:1], [talk])[0]
        except BaseException:
            self._close()
            raise

    def _connect(self) -> Connection:
        from filesync.transports.channels import Connection  # the SSH library: only who uses SFTP pays for it

        connection = self._connection = Connection(self.link)
        self.extensions = connection.sessions[0].extensions
        self._say = Conversations(self.link, self.extensions, None)
        self._run(self._say.greet())
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _ask(*requests: wire.Request) -> Talk[list[wire.Reply]]:
    return (yield requests)
