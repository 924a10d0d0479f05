"""The command that confirms a server's key: peer trust. Until a person said yes nothing connects to it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen
from filesync.cli.asking import yes
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Json, Root, site_id
from filesync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from filesync.transports.hostkeys import HostKey
    from filesync.transports.link import SftpLink


def peer_trust(
    peer: Annotated[str, typer.Argument(metavar="ID", callback=site_id, help="The peer whose server is meant.")],
    fingerprint: Annotated[str | None, typer.Option("--fingerprint", metavar="SHA256:…", help="Trust the server if it shows this key, without asking.", show_default=False)] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Look at the key of a peer's SFTP server, and remember it after a yes. Until then nothing connects to it."""
    from filesync import config

    root = root.absolute()
    known = config.load(root).peers.get(peer)
    if known is None:
        raise ConfigError("peer-unknown", _("no peer is called {peer!r} here").format(peer=peer))
    link = known.sftp(root)
    if link is None:
        raise ConfigError(
            "link-missing",
            _("{peer} is not reached over sftp://; a folder has no host key").format(peer=peer),
        )
    from filesync.transports import hostkeys  # paramiko takes long to import

    shown = hostkeys.fetch_host_key(link.host, link.port)
    confirmed = hostkeys.confirmed(link.known_hosts, link.host, link.port)
    if shown.fingerprint in confirmed:
        answer = _("trusted already")
    elif fingerprint is not None and fingerprint != shown.fingerprint:
        raise ConfigError(
            "fingerprint-differs",
            _("{place}: expected {fingerprint}, the server shows {fingerprint_2}").format(
                place=link.place, fingerprint=fingerprint, fingerprint_2=shown.fingerprint
            ),
        )
    else:
        if fingerprint is None:
            _ask(peer, link, shown, confirmed, as_json=as_json)
        hostkeys.remember(link.known_hosts, shown)
        answer = _("trusted from now on")
    if as_json:
        screen.say_json({"peer": peer, "host": link.host, "port": link.port, "kind": shown.kind, "fingerprint": shown.fingerprint, "answer": answer})  # fmt: skip
    else:
        screen.say(
            _("{peer} at {place}: {kind} {fingerprint} is {answer}").format(
                peer=peer, place=link.place, kind=shown.kind, fingerprint=shown.fingerprint, answer=answer
            ),
            "bold green",
        )
    return Ending.DONE


def _ask(peer: str, link: SftpLink, shown: HostKey, confirmed: Collection[str], *, as_json: bool) -> None:
    """Only a person who compared the fingerprint can say yes: another machine may have stepped in between."""
    if as_json or not sys.stdin.isatty():
        raise ConfigError(
            "fingerprint-missing",
            _("{place} shows {kind} {fingerprint}; nobody is here to confirm it").format(
                place=link.place, kind=shown.kind, fingerprint=shown.fingerprint
            ),
        )
    if confirmed:
        screen.say(
            _("CAREFUL: until now {place} showed {sorted}.").format(
                place=link.place, sorted=", ".join(sorted(confirmed))
            ),
            "bold red",
        )
        screen.say(
            _("The server was reinstalled, or somebody stands in between. Ask its owner before you say yes."),
            "red",
        )
    screen.say(_("The server of {peer}, {place}, shows this key:").format(peer=peer, place=link.place))
    screen.say(f"  {shown.kind} {shown.fingerprint}", "bold")
    if not yes(_("Did its owner tell you the same fingerprint?")):
        raise ConfigError(
            "fingerprint-refused",
            _("the key of {place} was not confirmed; nothing was changed").format(place=link.place),
        )
