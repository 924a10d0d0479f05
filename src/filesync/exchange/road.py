"""Ship and fetch: move files over the links. Safe to repeat, at any point, in any order; what travels in which order: cargo.

- direct link: the active site pushes its `outbox/<peer>` into the peer's `inbox/<me>` and pulls the peer's `outbox/<me>`. What is not in
  the peer's inbox and has no receipt is pushed again: it was damaged on the way, or its receipt was lost; a replay costs little.
  A batch pulled stays in the peer's outbox until the peer has its receipt; a receipt pulled is removed there, for it is not answered.
- relay: each site pushes into the other's mailbox and empties its own after a durable fetch. An empty mailbox says nothing, so a batch
  without a receipt is pushed again only after the configured patience.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from filesync.errors import TransportError
from filesync.exchange import cargo
from filesync.exchange.reports import Moved
from filesync.timetable import is_open
from filesync.transports.folder import FolderTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import TracebackType
    from typing import Self

    from filesync.config import Peer
    from filesync.exchange.context import Context
    from filesync.exchange.reports import Crashed, ExchangeReport
    from filesync.transports import Transport
    from filesync.transports.files import RemoteFile
    from filesync.transports.link import SftpLink


class Roads:
    """The open links of one turn. A peer that cannot be reached is noted once and costs the others nothing.

    A link outside of its windows is not used; that is no failure. `crashed`: whom to tell of a mistake in one link, so that the others go
    on; without it the mistake is raised.
    """

    def __init__(
        self,
        ctx: Context,
        report: ExchangeReport,
        only: str | None = None,
        *,
        skip: Collection[str] = (),
        crashed: Crashed | None = None,
    ) -> None:
        self._ctx = ctx
        self._report = report
        self._crashed = crashed
        self._open: dict[str, Transport] = {}
        self._peers = {
            name: peer
            for name, peer in ctx.peers(only).items()
            if peer.link is not None and name not in skip and is_open(peer.open_windows(), ctx.clock())
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self._open.values():
            link.close()

    def fetch(self) -> None:
        """Fetch from every peer what waits there for this site."""
        self._walk(_fetch, self._report.fetched)

    def ship(self) -> None:
        """Ship to every peer what waits for it."""
        self._walk(_ship, self._report.shipped)

    def _walk(self, step: Callable[[Context, str, Peer, Transport], int], moved: dict[str, int]) -> None:
        for name, peer in self._peers.items():
            if name not in self._report.unreachable:
                try:
                    count = step(self._ctx, name, peer, self._link(name, peer))
                    moved[name] = moved.get(name, 0) + count
                except TransportError as err:
                    self._report.unreachable[name] = err.message
                    self._report.codes[name] = err.code
                except Exception as err:
                    if self._crashed is None:
                        raise
                    self._crashed(f"link {name}", err)
                    self._report.unreachable[name] = f"{type(err).__name__}: {err}"

    def _link(self, name: str, peer: Peer) -> Transport:
        if name not in self._open:
            self._open[name] = _open_link(self._ctx, peer)
        return self._open[name]


def lying_there(ctx: Context, name: str) -> list[RemoteFile]:
    """What lies for us at a peer with a link, over a connection of its own: for watchers. TransportError where nobody can say."""
    peer = ctx.settings.peers[name]
    link = _open_link(ctx, peer)
    try:
        return link.list(place_of(ctx, name))
    finally:
        link.close()


def place_of(ctx: Context, name: str) -> str:
    """The folder at a peer's link in which what is for us appears."""
    peer = ctx.settings.peers[name]
    return _mailbox(peer, ctx.me, name) if peer.relay else f"outbox/{ctx.me}"


def _open_link(ctx: Context, peer: Peer) -> Transport:
    sftp = peer.sftp(ctx.folders.root)
    if sftp is not None:
        return _sftp(sftp)
    root = ctx.folders.root / (peer.link or "")
    if not peer.relay and root.is_dir() and not any((root / top).is_dir() for top in ("inbox", "outbox")):
        # What is put into a mount point without its share lies below the share, unseen, for ever.
        raise TransportError(
            "unreachable", f"a site's inbox/ and outbox/ were expected in {root}, got neither (not mounted?)"
        )
    return FolderTransport(root)


def _sftp(link: SftpLink) -> Transport:
    from filesync.transports.sftp import (
        SftpTransport,  # paramiko takes long to import, and most links are folders
    )

    return SftpTransport(link)


def _mailbox(peer: Peer, site: str, sender: str) -> str:
    """Where `site` finds what `sender` left for it."""
    return peer.mailbox.format(site=site, sender=sender) if peer.relay else f"inbox/{sender}"


def _ship(ctx: Context, name: str, peer: Peer, link: Transport) -> int:
    held_back = cargo.answered_here(ctx, name) | (_patience(ctx, name, peer) if peer.relay else frozenset())
    folder = _mailbox(peer, name, ctx.me)

    def mark(stems: Sequence[str], fresh: int) -> None:
        if fresh:
            ctx.store.mark_shipped([(stem, name) for stem in stems], ctx.now())

    moved = Moved()
    cargo.load(ctx, link, name, folder, cargo.waiting(ctx, name, held_back), mark, moved=moved, step="ship")
    return moved.files


def _patience(ctx: Context, name: str, peer: Peer) -> frozenset[str]:
    """Batches (or voids of them) shipped to a relay so recently that their receipt may still be on its way."""
    now = ctx.clock()
    shipped = [
        (delivery.recipient, delivery.name, delivery.shipped_at) for delivery in ctx.store.outgoing_open()
    ]
    shipped += [(void.recipient, void.name, void.shipped_at) for void in ctx.store.holes.untold()]
    recent = set()
    for recipient, stem, at in shipped:
        if recipient == name and at is not None:
            age_s = (now - datetime.fromisoformat(at)).total_seconds()
            if 0 <= age_s < peer.reship_after_s:
                recent.add(stem)
    return frozenset(recent)


def _fetch(ctx: Context, name: str, peer: Peer, link: Transport) -> int:
    folder = _mailbox(peer, ctx.me, name) if peer.relay else f"outbox/{ctx.me}"
    moved = Moved()
    cargo.unload(ctx, link, name, folder, mailbox=peer.relay, moved=moved, step="fetch")
    return moved.files
