"""The way to each peer: a folder that can be reached and used, or a server with name, port, key, login, folders and abilities.

Steps depend on each other in this order; the first that fails is what a person must cure, and the rest is skipped.
"""

from __future__ import annotations

import os
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from filesync import config
from filesync.doctor.deadline import bounded
from filesync.doctor.disks import disk_of, free_space, say_bytes
from filesync.doctor.findings import Finding, Outcome, failed, of_error, ok, skipped, warning
from filesync.doctor.probes import ProbeDifferentError, probe, remove_left_behind
from filesync.errors import TransportError
from filesync.language import _, listed, mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.config import Peer, Settings
    from filesync.transports.link import SftpLink
    from filesync.transports.probing import SftpProbe

#: Every step over a network is given so long, whatever the other side does.
STEP_S = 20.0
#: All steps behind a login together.
SERVER_S = 90.0
PROBE_BYTES = 256 << 10
#: A line slower than this carries a day's sales, but no snapshot of all products before morning.
SLOW_BYTES_S = 16 << 10
SLOW_ROUND_TRIP_S = 1.0


@dataclass(frozen=True, slots=True)
class Ways:
    """The two folders of a link, named from the peer's root: where we put, where we fetch."""

    put: str
    fetch: str


def ways(me: str, name: str, peer: Peer) -> Ways:
    """As exchange.road names them."""
    if peer.relay:
        return Ways(
            peer.mailbox.format(site=name, sender=me),
            peer.mailbox.format(site=me, sender=name),
        )
    return Ways(f"inbox/{me}", f"outbox/{me}")


def examine_link(root: Path, settings: Settings, name: str) -> Iterator[Finding]:
    """Everything between this site and one peer."""
    peer = settings.peers[name]
    if peer.link is None:
        yield ok("link", _("{name} comes to us: there is nothing to reach").format(name=name), name)
        return
    try:
        link = peer.sftp(root)
    except ValueError as error:
        yield failed(
            "link",
            str(error),
            _("Correct [peers.{name}] in {root}.").format(name=name, root=root / config.FILE_NAME),
            name,
        )
        return
    where = ways(settings.site, name, peer)
    if peer.windows:
        yield ok(
            mark("transfer windows"),
            _("this link is used only in {windows}; the doctor looks now").format(
                windows=", ".join(peer.windows)
            ),
            name,
        )
    if link is None:
        yield from _folder(Path(os.path.normpath(root / peer.link)), settings.site, name, peer, where)
    else:
        yield from _server(link, name, where)


# ---------------------------------------------------------------- a folder


def _folder(place: Path, me: str, name: str, peer: Peer, where: Ways) -> Iterator[Finding]:
    began = monotonic()
    try:
        there = bounded(place.is_dir, STEP_S, str(place))
    except TransportError as error:
        yield failed(
            "reachable",
            error.message,
            _(
                "The share does not answer: look at the network, the other computer, and whether the share is connected."
            ),
            name,
        )
        return
    except OSError as error:
        yield failed("reachable", f"{place}: {error}", _(_REACH), name)
        return
    if not there:
        yield failed("reachable", _("{place} is not there").format(place=place), _(_REACH), name)
        return
    disk = disk_of(place)
    kind = (
        _(", {kind} at {mounted_at}").format(kind=disk.kind, mounted_at=disk.mounted_at)
        if disk.remote
        else ""
    )
    yield ok(
        "reachable",
        _("{place} is there{kind}").format(place=place, kind=kind),
        name,
        seconds=monotonic() - began,
    )
    if not peer.relay:
        yield _whose(place, name)
    yield free_space(mark("free space there"), place, name)
    for what, folder in ((mark("writing there"), where.put), (mark("taking from there"), where.fetch)):
        yield _used(what, place, folder, name)


_REACH = mark(
    "Nothing is lost: what waits leaves when the folder is back. Plug in the stick, connect the share, or correct `link` in filesync.toml."
)


def _whose(place: Path, name: str) -> Finding:
    """A direct link must lead to the peer's own folder."""
    try:
        text = bounded(lambda: (place / config.FILE_NAME).read_text(encoding="utf-8"), STEP_S, str(place))
        site = tomllib.loads(text).get("site")
    except FileNotFoundError:
        return ok(
            mark("whose folder"),
            _("{place} holds no {file_name}: another program's folder").format(
                place=place, file_name=config.FILE_NAME
            ),
            name,
        )
    except (OSError, ValueError, TransportError):
        return skipped(
            mark("whose folder"),
            _("{file_name} there may not be read, which is as well").format(file_name=config.FILE_NAME),
            name,
        )
    if site == name:
        return ok(
            mark("whose folder"), _("{place} is {name}'s own folder").format(place=place, name=name), name
        )
    return failed(
        mark("whose folder"),
        _("{place} is the folder of {site}, not of {name}").format(place=place, site=site, name=name),
        _(
            "Correct `link` of [peers.{name}] in filesync.toml; with `relay = true` it is a folder between the two."
        ).format(name=name),
        name,
    )


def _used(what: str, place: Path, folder: str, name: str) -> Finding:
    """A probe file's life in the `.partial/` beside one of the link's folders."""
    above = place.joinpath(*folder.split("/")[:-1])
    try:
        if not bounded(above.is_dir, STEP_S, str(above)):
            return warning(
                what,
                _("{above} is not there yet; the first exchange makes it").format(above=above),
                _("If it lasts, make it by hand, and let both sites write there."),
                name,
            )
        bounded(lambda: remove_left_behind(above, time()), STEP_S, str(above))
        times = bounded(lambda: probe(above, PROBE_BYTES), STEP_S, str(above))
    except (TransportError, ProbeDifferentError) as error:
        return failed(what, str(error), _("Look at the share and its computer."), name)
    except OSError as error:
        return failed(
            what,
            _("a probe file in {above} failed: {error}").format(above=above / ".partial", error=error),
            _(
                "Give this account the right to read, write and remove in {above} (also on the share itself, not only in the folder)."
            ).format(above=above),
            name,
        )
    rate = times.bytes / max(times.write_s + times.sync_s, 1e-6)
    return ok(
        what,
        _("write, rename, read back and remove work in {above} ({total_s:.0f} ms, {say_bytes}/s)").format(
            above=above, total_s=times.total_s * 1000, say_bytes=say_bytes(int(rate))
        ),
        name,
        seconds=times.total_s,
        bytes_s=rate,
    )


# ---------------------------------------------------------------- a server


def _server(link: SftpLink, name: str, where: Ways) -> Iterator[Finding]:
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
