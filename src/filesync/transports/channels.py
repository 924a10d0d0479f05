"""One connection to one server, checked and logged in, and the SFTP channels on it. The only place that speaks SSH.

- The server's key must be one that a person confirmed (hostkeys); only then is the identity shown.
- The identity is one key file, named in the configuration: no agent, no `~/.ssh`, no password.
- A watchdog bounds connecting and every operation, and cuts the socket when a bound is passed.
- AES-GCM first: with it encrypting costs a third of what the library's first choice (CTR and a separate MAC) costs.

Each failure is mapped here, once, to TransportError (codes: `transports.CODES`). Not here: what files are (sftp), what packets are (wire).
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import paramiko

from filesync.errors import TransportError
from filesync.transports import hostkeys, wire
from filesync.transports.dialing import dial
from filesync.transports.limits import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from filesync.transports.link import SftpLink

#: What the server may send before we have read it: more than a slow line holds (8 MiB at 50 ms are 160 MB/s), and bounded. With very large
#: windows and packets the library was measured to collapse to 2-6 MB/s.
WINDOW_BYTES = 8 << 20
SSH_PACKET_BYTES = 32 << 10
RECEIVE_BYTES = 4 << 20
BLOCK_MAX = 255 << 10  # OpenSSH's longest read and write

_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
# The library reports broken connections through its own logger, with tracebacks: every one of them reaches our caller as TransportError.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class Wake:
    """One event for all channels. The library clears a channel's event when that channel is empty; another may not be."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.set = self._event.set
        self.wait = self._event.wait
        self.reset = self._event.clear

    def clear(self) -> None:
        """Called by the library: means nothing here."""


class Session:
    """One SFTP channel: packets out, replies in. The server answers each channel in a process of its own."""

    def __init__(self, channel: Any, wake: Wake, touch: Callable[[], None]) -> None:
        self._channel = channel
        self._touch = touch
        self._send_bytes = max(
            1024, channel.out_max_packet_size - 64
        )  # what the library puts into one packet
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._number = 0
        self.pending: dict[int, Any] = {}  # request id -> whatever the pipeline wants back with the reply
        self._send(wire.hello())
        self.extensions = wire.version(self._first_packet())
        channel.in_buffer.set_event(wake)

    def queue(self, request: wire.Request, token: object) -> None:
        """Puts a request among those that the next `flush` sends."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self.pending[self._number] = token
        self._out.append(request.packet(self._number))

    def flush(self) -> None:
        """Sends what is queued, many requests in one SSH packet. Blocks while the server takes no more."""
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._send(data)

    def receive(self) -> int:
        """Takes what the library has received; how many bytes. Does not block."""
        try:
            before = len(self._buffer)
            while self._channel.recv_ready():
                self._buffer += self._channel.recv(RECEIVE_BYTES)
            came = len(self._buffer) - before
            if not came and (self._channel.closed or self._channel.eof_received):
                raise EOFError("the server closed the channel")
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _interrupted(error) from error
        return came

    def close(self) -> None:
        """Closes the channel alone."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()

    def replies(self) -> list[tuple[Any, wire.Reply]]:
        """All replies that have come whole, each with its request's token."""
        found = []
        at, end = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while end - at >= 4:
                length = _length(view[at : at + 4])
                if end - at - 4 < length:
                    break
                with view[at + 4 : at + 4 + length] as packet:
                    number, reply = wire.parse(packet)
                at += 4 + length
                if (token := self.pending.pop(number, None)) is None:
                    raise wire.WireError(
                        f"an answer to one of our requests was expected, got one to {number}"
                    )
                found.append((token, reply))
        del self._buffer[:at]
        return found

    def _send(self, data: bytes) -> None:
        try:
            with memoryview(data) as view:
                for at in range(0, len(view), self._send_bytes):
                    # bytes: the library would copy all that is left again for every packet.
                    self._channel.sendall(bytes(view[at : at + self._send_bytes]))
                    self._touch()  # the server made room: on a slow line that is all we see of it for minutes
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _interrupted(error) from error

    def _first_packet(self) -> bytes:
        try:
            while len(self._buffer) < 4 or len(self._buffer) < 4 + _length(self._buffer[:4]):
                data = self._channel.recv(RECEIVE_BYTES)
                if not data:
                    raise EOFError("no SFTP service behind the login")
                self._buffer += data
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _interrupted(error) from error
        length = _length(self._buffer[:4])
        packet = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return packet


class Connection:
    """A logged-in connection with at least one session. Any failure inside `road` ends it; the next use makes a new one."""

    def __init__(self, link: SftpLink) -> None:
        self.link = link
        self.wake = Wake()
        self.sessions: list[Session] = []
        self._closed = False
        self._refused = False
        self._socket: socket.socket | None = None
        self._client = paramiko.SSHClient()
        self.watchdog = Watchdog(self._cut)
        identity = self._identity()
        self._socket = dial(link.host, link.port, link.connect_s, link.place)
        with self.road(link.connect_s, link.connect_s):
            self._connect(identity)
            if not self.more_sessions(1):
                raise TransportError(
                    "incompatible", f"{link.place}: a channel was expected behind the login, got none"
                )

    def more_sessions(self, count: int) -> list[Session]:
        """Up to `count` sessions. A server that allows fewer is taken at its word."""
        missing = count - len(self.sessions)
        if missing > 0 and not self._refused:
            # At once: each takes three round trips to open.
            with ThreadPoolExecutor(missing, thread_name_prefix="filesync-channel") as pool:
                opened = list(pool.map(lambda _: self._session(), range(missing)))
            self.sessions += [session for session in opened if session is not None]
            self._refused = None in opened
        return self.sessions[:count]

    @contextmanager
    def road(self, deadline_s: float, stall_s: float) -> Iterator[None]:
        """Bounds an operation and maps what the server or the network did. Whatever fails, the connection is closed after it."""
        try:
            with self.watchdog.within(deadline_s, stall_s):
                yield
        except BaseException as error:
            self.close()
            if isinstance(error, Exception) and self.watchdog.expired:
                raise TransportError("timeout", f"{self.link.place}: {self.watchdog.expired}") from error
            if isinstance(error, wire.WireError):
                raise TransportError("incompatible", f"{self.link.place}: {error}") from error
            if isinstance(error, TransportError) and error.code == "interrupted":
                raise TransportError("interrupted", f"{self.link.place}: {error.message}") from error
            raise

    def close(self) -> None:
        """Ends the connection at once; nothing that the caller was told is lost by it."""
        if not self._closed:
            self._closed = True
            self.watchdog.close()
            self._cut()
            self._client.close()

    def _cut(self) -> None:
        """Ends every wait on the server, from any thread: the socket first, for whatever holds a lock waits on it."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                self._socket.close()
        if (transport := self._client.get_transport()) is not None:
            transport.close()

    def _connect(self, identity: paramiko.PKey) -> None:
        link = self.link
        hostkeys.load(link.known_hosts, self._client.get_host_keys())
        self._client.set_missing_host_key_policy(hostkeys.Refuse(link.known_hosts))
        try:
            self._client.connect(
                link.host,
                link.port,
                username=link.user,
                pkey=identity,
                sock=self._socket,
                timeout=link.connect_s,
                banner_timeout=link.connect_s,
                auth_timeout=link.connect_s,
                channel_timeout=link.connect_s,
                allow_agent=False,
                look_for_keys=False,
                transport_factory=_transport,
            )
        except paramiko.BadHostKeyException as error:
            raise hostkeys.changed(
                link.host, link.port, error.expected_key, error.key, link.known_hosts
            ) from error
        except paramiko.AuthenticationException as error:
            transport = self._client.get_transport()
            if transport is None or not transport.is_active():  # broke on the way: nobody judged the key
                raise _interrupted(error) from error
            # The server's words only: they name methods, never keys.
            raise TransportError(
                "login-refused", f"{link.place}: a login with {link.identity.name} was expected, got {error}"
            ) from error
        except paramiko.ssh_exception.IncompatiblePeer as error:
            raise TransportError("incompatible", f"{link.place}: {error}") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _interrupted(error) from error
        transport = self._client.get_transport()
        if transport is not None:
            transport.set_keepalive(link.keepalive_s)

    def _identity(self) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(self.link.identity)
        except FileNotFoundError as error:
            raise TransportError(
                "identity-unreadable",
                f"{self.link.place}: the key file {self.link.identity} was expected, got nothing there",
            ) from error
        except paramiko.PasswordRequiredException as error:
            raise TransportError(
                "identity-unreadable",
                f"{self.link.identity}: a key without a passphrase was expected, got an encrypted one",
            ) from error
        except (OSError, ValueError, TypeError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
            # Not the parser's message: it may quote the file.
            raise TransportError(
                "identity-unreadable",
                f"{self.link.identity}: a private key in OpenSSH form was expected, got {type(error).__name__}",
            ) from error

    def _session(self) -> Session | None:
        """One more channel with SFTP on it; None where the server allows no more."""
        transport = self._client.get_transport()
        try:
            if transport is None:
                raise EOFError("the connection is closed")
            try:
                channel = transport.open_session(WINDOW_BYTES, SSH_PACKET_BYTES, timeout=self.link.connect_s)
            except (
                paramiko.SSHException
            ):  # of two refusals at once the library keeps one, and calls the other a failure
                if transport.is_active():
                    return None
                raise
            channel.settimeout(self.link.connect_s)
            try:
                channel.invoke_subsystem("sftp")
            except paramiko.SSHException as error:
                if transport.is_active():
                    raise TransportError(
                        "incompatible",
                        f"{self.link.place}: an SFTP service was expected behind the login, got {error}",
                    ) from error
                raise
        except (
            OSError,
            EOFError,
            paramiko.SSHException,
        ) as error:  # also the library's own, when the watchdog cut
            raise _interrupted(error) from error
        session = Session(channel, self.wake, self.watchdog.touch)
        channel.settimeout(None)  # from here on the watchdog bounds everything
        return session


def _transport(sock: socket.socket, **options: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock, **options)
    offered = transport.get_security_options()
    offered.ciphers = [*_CIPHERS, *(name for name in offered.ciphers if name not in _CIPHERS)]
    return transport


def _interrupted(error: BaseException) -> TransportError:
    return TransportError("interrupted", f"the connection broke: {error or type(error).__name__}")


def _length(head: bytes | bytearray | memoryview) -> int:
    length: int = struct.unpack(">I", head)[0]
    if not 5 <= length <= wire.PACKET_MAX:
        raise wire.WireError(f"a packet of at most {wire.PACKET_MAX} bytes was expected, got {length}")
    return length
