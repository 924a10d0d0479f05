"""Which server keys a person confirmed: the site's own known_hosts file, and what happens when a key is not in it.

The file is the site's, not the account's `~/.ssh/known_hosts`: what an operator once accepted at a prompt says nothing about this link.
An unknown and a changed key both refuse the connection, told apart, with the fingerprints expected and got. Nothing is ever added on the
way: `fetch_host_key` looks, a person says yes, `remember` writes. The format is OpenSSH's, so that `ssh-keygen -F` reads it too.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko

from filesync.errors import TransportError
from filesync.transports.dialing import dial
from filesync.transports.limits import Watchdog
from filesync.transports.link import PORT, host_name
from filesync.writers import durable

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostKey:
    """A server's public key, as `ssh-keyscan` prints it: `line` is what goes into known_hosts."""

    host: str
    port: int
    kind: str
    fingerprint: str  # SHA256:…, as ssh and ssh-keygen show it
    line: str


class Refuse(paramiko.RejectPolicy):  # type: ignore[misc]  # the library has no types
    """No confirmed key for this server: refuse, and say what it showed."""

    def __init__(self, known_hosts: Path) -> None:
        self._file = known_hosts

    def missing_host_key(self, _client: object, hostname: str, key: paramiko.PKey) -> None:
        """Called by the library when the file does not name the server."""
        raise TransportError(
            "host-key-unknown",
            f"{hostname}: a confirmed host key was expected in {self._file}, got {key.get_name()} {fingerprint(key)}, "
            "which nobody has confirmed yet",
        )


def changed(host: str, port: int, expected: paramiko.PKey, got: paramiko.PKey, file: Path) -> TransportError:
    """Another key than the confirmed one."""
    return TransportError(
        "host-key-changed",
        f"{host_name(host, port)}: host key {expected.get_name()} {fingerprint(expected)} was expected ({file}), "
        f"got {got.get_name()} {fingerprint(got)}",
    )


def load(known_hosts: Path, keys: paramiko.HostKeys) -> None:
    """Adds the confirmed keys; none where the file does not exist yet. Lines that are no key are left out: they confirm nothing."""
    try:
        lines = known_hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise TransportError("host-key-unknown", f"{known_hosts} cannot be read: {error}") from error
    for line in lines:
        text = line.strip()
        if not text or text.startswith(
            ("#", "@")
        ):  # markers (@revoked, @cert-authority) mean less trust, never more
            continue
        try:
            entry = paramiko.hostkeys.HostKeyEntry.from_line(text)
        except (paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
            continue
        if entry is not None and entry.key is not None:
            for name in entry.hostnames:
                keys.add(name, entry.key.get_name(), entry.key)


def confirmed(known_hosts: Path, host: str, port: int = PORT) -> set[str]:
    """Fingerprints of the keys that a person confirmed for this server."""
    keys = paramiko.HostKeys()
    load(known_hosts, keys)
    held = keys.lookup(host_name(host, port)) or {}
    return {fingerprint(key) for key in held.values()}


def fetch_host_key(host: str, port: int = PORT, *, timeout_s: float = 20.0) -> HostKey:
    """The key that the server shows now: for a person to compare with what the server's owner says. Trusts nothing, logs in nowhere.

    Raises TransportError("unreachable" | "incompatible" | "timeout").
    """
    where = host_name(host, port)
    sock = dial(host, port, timeout_s, where)
    transport: paramiko.Transport | None = None

    def cut() -> None:
        sock.close()
        if transport is not None:
            transport.close()

    watchdog = Watchdog(cut)
    try:
        with watchdog.within(timeout_s, timeout_s):
            transport = paramiko.Transport(sock)
            transport.banner_timeout = timeout_s
            # The order in which known_hosts is consulted later: the strongest kind that both know.
            transport.start_client(timeout=timeout_s)
            key = transport.get_remote_server_key()
    except (paramiko.SSHException, EOFError, OSError) as error:
        if watchdog.expired:
            raise TransportError("timeout", f"{where}: no host key after {timeout_s:g} s") from error
        raise TransportError("incompatible", f"{where}: an SSH server was expected, got {error}") from error
    finally:
        watchdog.close()
        if transport is not None:
            transport.close()
        sock.close()
    return HostKey(
        host, port, key.get_name(), fingerprint(key), f"{where} {key.get_name()} {key.get_base64()}"
    )


def remember(known_hosts: Path, key: HostKey) -> None:
    """Records a key that a person confirmed. Other keys that were confirmed for the same server are forgotten: it shows one."""
    try:
        lines = known_hosts.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    where = host_name(key.host, key.port)
    kept = [left for line in lines if (left := _without(line, where)) is not None]
    durable.publish(
        known_hosts.parent, known_hosts.name, ("\n".join([*kept, key.line]) + "\n").encode("utf-8")
    )


def _without(line: str, where: str) -> str | None:
    """A known_hosts line without this server; None where it named no other."""
    if line.lstrip().startswith(("#", "@")):
        return line
    names, *rest = line.split(" ", 1)
    left = [
        name
        for name in names.split(",")
        if name != where and not (name.startswith("|1|") and paramiko.HostKeys.hash_host(where, name) == name)
    ]
    return " ".join([",".join(left), *rest]) if left else None


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
