"""The way to each peer: a folder that can be reached and used, or a server (sftp_links.py).

Steps depend on each other in this order; the first that fails is what a person must cure, and the rest is skipped.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

from filesync import config
from filesync.doctor.deadline import bounded
from filesync.doctor.disks import disk_of, free_space, say_bytes
from filesync.doctor.findings import Finding, failed, ok, skipped, warning
from filesync.doctor.probes import ProbeDifferentError, probe, remove_left_behind
from filesync.doctor.sftp_links import examine_server
from filesync.doctor.ways import PROBE_BYTES, STEP_S, Ways, ways
from filesync.errors import TransportError
from filesync.language import _, mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.config import Peer, Settings


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
        yield from examine_server(link, name, where)


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
