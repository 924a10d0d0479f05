"""An SFTP server with the quirks of servers in the wild, each switched on by its name: what the road must cope with beyond OpenSSH.

Made with the SSH library's server side, which offers none of OpenSSH's extensions: no posix-rename, no fsync, no limits. That is the
first quirk, and always on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from paramiko import sftp

from filesync.protocol.signing import SigningKey
from filesync.transports.link import SftpLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Quirks:
    """What this server does differently. May be changed while it runs; `calls` counts what it was asked."""

    rename_overwrites: bool = False  # otherwise an existing target is refused, as the protocol says
    names_at_once: int = 16  # in one part of a listing
    bare_attributes: bool = False  # listings and stats tell no mode; listings no size either
    read_bytes_max: int | None = None  # fewer come than were asked for
    write_bytes_max: int | None = None  # more are refused
    disk_bytes: int | None = None  # then writing fails
    full_status: int = paramiko.SFTP_FAILURE
    channels_max: int | None = None
    silent_on: str | None = None  # never answers this call
    refuse: dict[str, int] = field(default_factory=dict)  # call -> SFTP status
    sftp: bool = True  # False: a login without file transfer
    calls: dict[str, int] = field(default_factory=dict)
    hung: threading.Event = field(default_factory=threading.Event)  # set when the test ends

    def asked(self, call: str) -> int | None:
        """Counts a call; a status to refuse it with."""
        self.calls[call] = self.calls.get(call, 0) + 1
        if call == self.silent_on:
            self.hung.wait(60)
        return self.refuse.get(call)


class _File(paramiko.SFTPHandle):  # type: ignore[misc]  # the library has no types
    def __init__(self, quirks: Quirks, fd: int) -> None:
        super().__init__()
        self._quirks = quirks
        self._fd = fd

    def read(self, offset: int, length: int) -> bytes | int:
        if (refused := self._quirks.asked("read")) is not None:
            return refused
        return os.pread(self._fd, min(length, self._quirks.read_bytes_max or length), offset) or int(
            paramiko.SFTP_EOF
        )

    def write(self, offset: int, data: bytes) -> int:
        quirks = self._quirks
        if (refused := quirks.asked("write")) is not None:
            return refused
        if len(data) > (quirks.write_bytes_max or len(data)):
            return int(paramiko.SFTP_FAILURE)
        if quirks.disk_bytes is not None:
            quirks.disk_bytes -= len(data)
            if quirks.disk_bytes < 0:
                return quirks.full_status
        os.pwrite(self._fd, data, offset)
        return int(paramiko.SFTP_OK)

    def close(self) -> None:
        os.close(self._fd)

    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self._fd))


class _Files(paramiko.SFTPServerInterface):  # type: ignore[misc]
    def __init__(self, _server: paramiko.ServerInterface, root: Path, quirks: Quirks) -> None:
        self._root = root
        self._quirks = quirks

    def _path(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _do(self, call: str, action: Callable[[], Any]) -> Any:
        if (refused := self._quirks.asked(call)) is not None:
            return refused
        try:
            found = action()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK if found is None else found

    def list_folder(self, path: str) -> Any:
        def entries() -> list[Any]:
            found = []
            for name in sorted(os.listdir(self._path(path))):  # noqa: PTH208  # names, as a server has them
                attributes = paramiko.SFTPAttributes.from_stat((self._path(path) / name).lstat(), name)
                if self._quirks.bare_attributes:
                    attributes._flags = 0
                found.append(attributes)
            return found

        return self._do("list", entries)

    def lstat(self, path: str) -> Any:
        def look() -> Any:
            attributes = paramiko.SFTPAttributes.from_stat(self._path(path).lstat())
            if self._quirks.bare_attributes:
                attributes._flags &= ~attributes.FLAG_PERMISSIONS
            return attributes

        return self._do("lstat", look)

    def stat(self, path: str) -> Any:
        return self._do("stat", lambda: paramiko.SFTPAttributes.from_stat(self._path(path).stat()))

    def open(self, path: str, flags: int, _attributes: Any) -> Any:
        return self._do("open", lambda: _File(self._quirks, os.open(self._path(path), flags, 0o644)))

    def remove(self, path: str) -> Any:
        return self._do("remove", self._path(path).unlink)

    def rename(self, old: str, new: str) -> Any:
        def move() -> None:
            if not self._quirks.rename_overwrites and os.path.lexists(self._path(new)):
                raise FileExistsError(17, "exists")
            self._path(old).rename(self._path(new))

        return self._do("rename", move)

    def mkdir(self, path: str, _attributes: Any) -> Any:
        return self._do("mkdir", self._path(path).mkdir)


class _Login(paramiko.ServerInterface):  # type: ignore[misc]
    def __init__(self, key: paramiko.PKey, quirks: Quirks) -> None:
        self._key = key
        self._quirks = quirks
        self._channels = 0

    def get_allowed_auths(self, _user: str) -> str:
        return "publickey"

    def check_auth_publickey(self, _user: str, key: paramiko.PKey) -> int:
        return int(paramiko.AUTH_SUCCESSFUL if key == self._key else paramiko.AUTH_FAILED)

    def check_channel_request(self, _kind: str, _number: int) -> int:
        self._channels += 1
        if self._quirks.channels_max is not None and self._channels > self._quirks.channels_max:
            return int(paramiko.OPEN_FAILED_RESOURCE_SHORTAGE)
        return int(paramiko.OPEN_SUCCEEDED)


class _Sftp(paramiko.SFTPServer):  # type: ignore[misc]
    def _read_folder(self, request_number: int, folder: Any) -> None:
        files = folder._get_next_files()
        quirks = self.server._quirks
        if len(files) > quirks.names_at_once:
            folder._SFTPHandle__files[:0] = files[quirks.names_at_once :]
            files = files[: quirks.names_at_once]
        if not files:
            self._send_status(request_number, sftp.SFTP_EOF)
            return
        fields: list[Any] = [len(files)]
        for attributes in files:
            fields += [attributes.filename, str(attributes), attributes]
        self._response(request_number, sftp.CMD_NAME, *fields)


class Quirky:
    """The server: listens as soon as it is made."""

    def __init__(self, folder: Path) -> None:
        self.quirks = Quirks()
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.identity = folder / "client_key"
        self.known_hosts = folder / "known_hosts"
        client, host = SigningKey.generate(), SigningKey.generate()
        self.identity.write_bytes(client.to_openssh())
        (folder / "host_key").write_bytes(host.to_openssh())
        self._host_key = paramiko.PKey.from_path(folder / "host_key")
        self._client_key = paramiko.PKey.from_path(self.identity)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.known_hosts.write_text(
            f"[127.0.0.1]:{self.port} {self._host_key.get_name()} {self._host_key.get_base64()}\n"
        )
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._run, name="quirky", daemon=True)
        self._thread.start()

    def link(self, **other: object) -> SftpLink:
        """A link to this server's root."""
        given: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "caixa-01",
            "path": "/",
            "identity": self.identity,
            "known_hosts": self.known_hosts,
        }
        return SftpLink(**{**given, **other})  # type: ignore[arg-type]  # a test names the fields it changes

    def stop(self) -> None:
        """Ends it, with every connection."""
        self.quirks.hung.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for transport in self._transports:
            transport.close()
            transport.join()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(self._host_key)
            if self.quirks.sftp:
                transport.set_subsystem_handler("sftp", _Sftp, _Files, self.root, self.quirks)
            self._transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(server=_Login(self._client_key, self.quirks))


@pytest.fixture
def quirky(tmp_path: Path) -> Iterator[Quirky]:
    """A server with quirks; none but the missing extensions are on."""
    server = Quirky(tmp_path / "quirky")
    yield server
    server.stop()
