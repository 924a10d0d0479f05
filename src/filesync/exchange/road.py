"""Ship and fetch: move files over the links. Safe to repeat, at any point, in any order.

- Receipts go before batches; of a batch the payload goes first and the manifest last: its arrival makes the batch exist there.
- direct link: the active site pushes its `outbox/<peer>` into the peer's `inbox/<me>` and pulls the peer's `outbox/<me>`. What is not in
  the peer's inbox and has no receipt is pushed again: it was damaged on the way, or its receipt was lost; a replay costs little.
  A batch pulled stays in the peer's outbox until the peer has its receipt; a receipt pulled is removed there, for it is not answered.
- relay: each site pushes into the other's mailbox and empties its own after a durable fetch. An empty mailbox says nothing, so a batch
  without a receipt is pushed again only after the configured patience.
- A receipt that was pushed moves to the archive: the ledger can write it again, and a replayed batch asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime

from filesync.config import Peer
from filesync.errors import TransportError
from filesync.exchange.context import Context
from filesync.exchange.reports import ExchangeReport, Progress
from filesync.protocol.identity import FileKind, FileName, parse_file_name
from filesync.transports.folder import FolderTransport, RemoteFile
from filesync.writers import durable


def fetch_all(ctx: Context, report: ExchangeReport, only: str | None = None) -> None:
    """Fetch from every peer with a link. A peer that cannot be reached costs the others nothing."""
    for name, peer in ctx.peers(only).items():
        if peer.link is not None and name not in report.unreachable:
            try:
                count = _fetch(ctx, name, peer, _open(ctx, peer))
                report.fetched[name] = report.fetched.get(name, 0) + count
            except TransportError as err:
                report.unreachable[name] = err.message


def ship_all(ctx: Context, report: ExchangeReport, only: str | None = None) -> None:
    """Ship to every peer with a link what waits for it."""
    for name, peer in ctx.peers(only).items():
        if peer.link is not None and name not in report.unreachable:
            try:
                count = _ship(ctx, name, peer, _open(ctx, peer))
                report.shipped[name] = report.shipped.get(name, 0) + count
            except TransportError as err:
                report.unreachable[name] = err.message


def _open(ctx: Context, peer: Peer) -> FolderTransport:
    return FolderTransport(ctx.folders.root / (peer.link or ""))


def _mailbox(peer: Peer, site: str, sender: str) -> str:
    """Where `site` finds what `sender` left for it."""
    return peer.mailbox.format(site=site, sender=sender) if peer.relay else f"inbox/{sender}"


def _ship(ctx: Context, name: str, peer: Peer, link: FolderTransport) -> int:
    outbox = ctx.folders.outbox(name)
    try:
        waiting = _sorted(parsed for entry in os.scandir(outbox) if (parsed := parse_file_name(entry.name)) is not None)
    except FileNotFoundError:
        return 0
    if not waiting:
        return 0
    folder = _mailbox(peer, name, ctx.me)
    there = {file.name: file.size for file in link.list(folder)}
    patient = _patience(ctx, name, peer) if peer.relay else frozenset()
    manifests = {file.batch.stem for file in waiting if file.kind is FileKind.MANIFEST}
    moved, shipped = 0, []
    for number, file in enumerate(waiting):
        path = outbox / str(file)
        if file.kind is FileKind.RECEIPT:
            link.put(path, folder, str(file))
            durable.move(path, ctx.folders.archive(file.batch.business_date), str(file))
            moved += 1
            continue
        if file.batch.stem in patient or file.batch.stem not in manifests:
            continue
        if there.get(str(file)) != path.stat().st_size:
            link.put(path, folder, str(file))
            moved += 1
        if file.kind is FileKind.MANIFEST:
            shipped.append((file.batch.stem, name))
        ctx.observe(Progress("ship", number + 1, len(waiting), "files"))
    if moved and shipped:
        ctx.store.mark_shipped(shipped, ctx.now())
    return moved


def _patience(ctx: Context, name: str, peer: Peer) -> frozenset[str]:
    """Batches shipped to a relay so recently that their receipt may still be on its way."""
    now = ctx.clock()
    recent = set()
    for delivery in ctx.store.outgoing_open():
        if delivery.recipient == name and delivery.shipped_at is not None:
            age_s = (now - datetime.fromisoformat(delivery.shipped_at)).total_seconds()
            if 0 <= age_s < peer.reship_after_s:
                recent.add(delivery.name)
    return frozenset(recent)


def _fetch(ctx: Context, name: str, peer: Peer, link: FolderTransport) -> int:
    folder = _mailbox(peer, ctx.me, name) if peer.relay else f"outbox/{ctx.me}"
    inbox = ctx.folders.inbox(name)
    there = {file.name: file for file in link.list(folder)}
    files = _sorted(parsed for file in there.values() if (parsed := parse_file_name(file.name)) is not None)
    manifests = {file.batch.stem for file in files if file.kind is FileKind.MANIFEST}
    decided = {} if peer.relay else _decided(ctx, manifests)
    moved = 0
    for number, file in enumerate(files):
        remote = there[str(file)]
        if file.kind is FileKind.RECEIPT:
            moved += link.get(folder, str(file), inbox)
            link.remove(folder, str(file))
        elif file.batch.stem in manifests and file.batch.stem not in decided and not _held(inbox, remote):
            moved += link.get(folder, str(file), inbox)
        ctx.observe(Progress("fetch", number + 1, len(files), "files"))
    if peer.relay:
        # Payload first: a manifest left alone in a mailbox is fetched again and found known; a payload left alone would stay for ever.
        for file in files:
            if file.kind is not FileKind.RECEIPT and file.batch.stem in manifests:
                link.remove(folder, str(file))
    return moved


def _decided(ctx: Context, stems: Iterable[str]) -> set[str]:
    """Batches whose answer the ledger holds: fetching them again would only cost the road."""
    return ctx.store.answered(stems)


def _held(inbox: os.PathLike[str], remote: RemoteFile) -> bool:
    try:
        return os.stat(os.path.join(inbox, remote.name)).st_size == remote.size
    except FileNotFoundError:
        return False


def _sorted(files: Iterable[FileName]) -> list[FileName]:
    """Receipts first; then by feed and number, the payload before its manifest."""
    order = {FileKind.RECEIPT: 0, FileKind.PAYLOAD: 1, FileKind.MANIFEST: 2}

    def key(file: FileName) -> tuple[bool, str, str, int, str, int]:
        batch = file.batch.id
        return file.kind is not FileKind.RECEIPT, str(batch.feed), batch.epoch, batch.seq, file.batch.digest12, order[file.kind]

    return sorted(files, key=key)
