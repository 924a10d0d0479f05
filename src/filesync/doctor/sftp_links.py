"""The way to a peer over SFTP: name, port, confirmed key, login, the server's abilities, its folders, and how fast the line is.

Steps depend on each other in this order; the first that fails is what a person must cure, and the rest is skipped.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING

from filesync.doctor.deadline import bounded
from filesync.doctor.disks import say_bytes
from filesync.doctor.findings import Finding, Outcome, failed, of_error, ok, warning
from filesync.doctor.ways import PROBE_BYTES, STEP_S
from filesync.errors import TransportError
from filesync.language import _, listed, mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.doctor.ways import Ways
    from filesync.transports.link import SftpLink
    from filesync.transports.probing import SftpProbe

#: All steps behind a login together.
SERVER_S = 90.0
#: A line slower than this carries a day's sales, but no snapshot of all products before morning.
SLOW_BYTES_S = 16 << 10
SLOW_ROUND_TRIP_S = 1.0


def examine_server(link: SftpLink, name: str, where: Ways) -> Iterator[Finding]:
    try:
        addresses = bounded(
            lambda: socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM),
            STEP_S,
            _("the name {host}").format(host=link.host),
        )
    except (OSError, UnicodeError, TransportError) as error:
        yield failed(
            mark("name (DNS)"),
            _("{host} has no address: {error}").format(host=link.host, error=error),
            _(
                "Look at the network cable and the router; if other names work, correct `link` in filesync.toml."
            ),
            name,
        )
        return
    found = sorted({str(address[4][0]) for address in addresses})
    yield ok(mark("name (DNS)"), _("{host} is {found}").format(host=link.host, found=", ".join(found)), name)
    began = monotonic()
    try:
        bounded(
            lambda: socket.create_connection((link.host, link.port), timeout=STEP_S / 2).close(),
            STEP_S,
            _("{host} port {port}").format(host=link.host, port=link.port),
        )
    except (OSError, TransportError) as error:
        yield failed(
            "port",
            _("TCP port {port} of {host} does not answer: {error}").format(
                port=link.port, host=link.host, error=error
            ),
            _(
                "If the server runs, something between forbids it: allow outgoing TCP to {host} port {port} in this computer's firewall and in the router, and incoming there."
            ).format(host=link.host, port=link.port),
            name,
        )
        return
    yield ok(
        "port",
        _("TCP port {port} of {host} answers").format(port=link.port, host=link.host),
        name,
        seconds=monotonic() - began,
    )
    if link.known_hosts.is_file():
        yield ok(
            mark("confirmed keys"), _("{known_hosts} is there").format(known_hosts=link.known_hosts), name
        )
    else:
        yield failed(
            mark("confirmed keys"),
            _("no server key was ever confirmed: {known_hosts} is not there").format(
                known_hosts=link.known_hosts
            ),
            _(
                "filesync peer trust {name}   Compare the fingerprint with what the server's owner says."
            ).format(name=name),
            name,
        )
        return
    yield from _logged_in(link, name, where)


def _logged_in(link: SftpLink, name: str, where: Ways) -> Iterator[Finding]:
    from filesync.transports.probing import SftpProbe  # with it comes the SSH library

    findings: list[Finding] = []
    try:
        # All of it in one bounded call: a thread that is left behind must not leave a half-asked server to the next step.
        bounded(lambda: _ask_server(SftpProbe(link), name, where, findings), SERVER_S, link.place)
    except TransportError as error:
        yield from list(findings)
        yield of_error(_STEPS.get(error.code, "server"), error, name)
        return
    yield from findings


#: At which step a code of the road belongs.
_STEPS = {
    "host-key-unknown": mark("host key"),
    "host-key-changed": mark("host key"),
    "login-refused": "login",
    "identity-unreadable": "login",
    "incompatible": "server",
    "unreachable": "folder",
}


def _ask_server(server: SftpProbe, name: str, where: Ways, findings: list[Finding]) -> None:
    from filesync.transports import wire

    with server:
        findings.append(ok(mark("host key"), _("the server shows the key that was confirmed"), name))
        findings.append(
            ok(
                "login",
                _("{place} accepts {name}").format(place=server.link.place, name=server.link.identity.name),
                name,
            )
        )
        missing = [
            text
            for extension, text in (
                (
                    wire.POSIX_RENAME,
                    _("posix-rename@openssh.com (an existing file is replaced in two steps)"),
                ),
                (
                    wire.FSYNC,
                    _("fsync@openssh.com (after a power cut there, a file may have to be sent again)"),
                ),
            )
            if extension not in server.extensions
        ]
        findings.append(
            warning(
                "server's abilities",
                _("the server lacks {missing}").format(missing=listed(missing)),
                _("Nothing to do: filesync does without. OpenSSH has both."),
                name,
            )
            if missing
            else ok("server's abilities", _("atomic rename and flush to disk are offered"), name)
        )
        round_trip = server.round_trip_s()
        seen = _("an answer takes {round_trip:.0f} ms").format(round_trip=round_trip * 1000)
        findings.append(
            warning(
                mark("round trip"),
                seen,
                _("Small files go slowly; look at the line (satellite, mobile, VPN)."),
                name,
                seconds=round_trip,
            )
            if round_trip > SLOW_ROUND_TRIP_S
            else ok(mark("round trip"), seen, name, seconds=round_trip)
        )
        free = server.free_bytes()
        if free is not None:
            seen = _("{say_bytes} free on the server").format(say_bytes=say_bytes(free))
            findings.append(
                ok(mark("free space there"), seen, name, free_bytes=free)
                if free > 200_000_000
                else failed(
                    mark("free space there"),
                    seen,
                    _("Free some space there, or raise the account's quota."),
                    name,
                    free_bytes=free,
                )
            )
        findings.append(_life(server, mark("writing there"), where.put, name))
        findings.append(_life(server, mark("taking from there"), where.fetch, name))


def _life(server: SftpProbe, what: str, folder: str, name: str) -> Finding:
    try:
        lying = server.files(folder)
        if lying is None:
            return warning(
                what,
                _(
                    "{folder} is not on the server yet; the first exchange makes it, if the account may"
                ).format(folder=folder),
                _(
                    "If it lasts, make it there, and give the account {user} the right to write in it (docs/sftp-server.md)."
                ).format(user=server.link.user),
                name,
            )
        life = server.life(folder, PROBE_BYTES)
    except TransportError as error:
        if error.code in {"denied", "gone"}:
            return failed(
                what,
                _("a probe file beside {folder} failed: {message}").format(
                    folder=folder, message=error.message
                ),
                _(
                    "Give the account {user} the right to read, write and remove in {folder} and in the .partial beside it (docs/sftp-server.md)."
                ).format(user=server.link.user, folder=folder),
                name,
            )
        return of_error(what, error, name)
    up = life.bytes / max(life.write_s, 1e-6)
    down = life.bytes / max(life.read_s, 1e-6)
    outcome = Outcome.WARNING if min(up, down) < SLOW_BYTES_S else Outcome.OK
    return Finding(
        what,
        outcome,
        _(
            "write, rename, read back and remove work beside {folder} ({say_bytes}/s there, {say_bytes_2}/s back; {lying} files lie there)"
        ).format(folder=folder, say_bytes=say_bytes(int(up)), say_bytes_2=say_bytes(int(down)), lying=lying),
        _("The line is slow: large batches take hours. Send cadastros at night (`windows`).")
        if outcome is Outcome.WARNING
        else "",
        name,
        measured={"up_bytes_s": up, "down_bytes_s": down, "rename_s": life.rename_s, "files": lying},
    )
