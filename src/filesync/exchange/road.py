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
from datetime import datetime
from typing import TYPE_CHECKING

from filesync.errors import TransportError
from filesync.exchange.reports import ExchangeReport, Progress
from filesync.protocol.identity import FileKind, FileName, parse_file_name
from filesync.transports.folder import FolderTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from filesync.config import Peer
    from filesync.exchange.context import Context
    from filesync.transports.files import RemoteFile

#: Batches whose payloads travel before their manifests do: few enough to resume well, many enough to share folder syncs.
WAVE = 64


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
        waiting = _sorted(
            parsed for entry in os.scandir(outbox) if (parsed := parse_file_name(entry.name)) is not None
        )
    except FileNotFoundError:
        return 0
    if not waiting:
        return 0
    folder = _mailbox(peer, name, ctx.me)
    there = {file.name: file.size for file in link.list(folder)}
    receipts = [file for file in waiting if file.kind is FileKind.RECEIPT]
    moved = sum(link.put_many([(outbox / str(file), folder, str(file)) for file in receipts]))
    durable.move_many(
        [(outbox / str(file), ctx.folders.archive(file.batch.business_date), str(file)) for file in receipts]
    )
    held_back = _answered(ctx, name) | (_patience(ctx, name, peer) if peer.relay else frozenset())
    manifests = [
        file for file in waiting if file.kind is FileKind.MANIFEST and file.batch.stem not in held_back
    ]
    payloads = {file.batch.stem: file for file in waiting if file.kind is FileKind.PAYLOAD}
    for start in range(0, len(manifests), WAVE):
        wave = manifests[start : start + WAVE]
        fresh = 0
        for files in ([payloads[file.batch.stem] for file in wave if file.batch.stem in payloads], wave):
            missing = [file for file in files if there.get(str(file)) != (outbox / str(file)).stat().st_size]
            fresh += sum(link.put_many([(outbox / str(file), folder, str(file)) for file in missing]))
        if fresh:
            ctx.store.mark_shipped([(file.batch.stem, name) for file in wave], ctx.now())
        moved += fresh
        ctx.observe(Progress("ship", start + len(wave), len(manifests), "batches"))
    return moved


def _answered(ctx: Context, name: str) -> frozenset[str]:
    """Batches whose receipt lies in the inbox and is not settled yet: an import will see to them."""
    try:
        entries = [parse_file_name(entry.name) for entry in os.scandir(ctx.folders.inbox(name))]
    except FileNotFoundError:
        return frozenset()
    return frozenset(
        file.batch.stem for file in entries if file is not None and file.kind is FileKind.RECEIPT
    )


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
    decided = set() if peer.relay else ctx.store.answered(manifests)
    receipts = [str(file) for file in files if file.kind is FileKind.RECEIPT]
    moved = sum(link.get_many([(folder, file, inbox) for file in receipts]))
    link.remove_many([(folder, file) for file in receipts])
    wanted = [
        file for file in files
        if file.kind is not FileKind.RECEIPT and file.batch.stem in manifests and file.batch.stem not in decided
        and not _held(inbox, there[str(file)])
    ]  # fmt: skip
    for start in range(0, len(wanted), 2 * WAVE):
        wave = wanted[start : start + 2 * WAVE]
        for kind in (FileKind.PAYLOAD, FileKind.MANIFEST):
            moved += sum(link.get_many([(folder, str(file), inbox) for file in wave if file.kind is kind]))
        ctx.observe(Progress("fetch", start + len(wave), len(wanted), "files"))
    if peer.relay:
        # Payload first: a manifest left alone in a mailbox is fetched again and found known; a payload left alone would stay for ever.
        held = [file for file in files if file.kind is not FileKind.RECEIPT and file.batch.stem in manifests]
        for kind in (FileKind.PAYLOAD, FileKind.MANIFEST):
            link.remove_many([(folder, str(file)) for file in held if file.kind is kind])
    return moved


def _held(inbox: Path, remote: RemoteFile) -> bool:
    try:
        return (inbox / remote.name).stat().st_size == remote.size
    except FileNotFoundError:
        return False


def _sorted(files: Iterable[FileName]) -> list[FileName]:
    """Receipts first; then by feed and number, the payload before its manifest."""
    order = {FileKind.RECEIPT: 0, FileKind.PAYLOAD: 1, FileKind.MANIFEST: 2}

    def key(file: FileName) -> tuple[bool, str, str, int, str, int]:
        batch = file.batch.id
        return (
            file.kind is not FileKind.RECEIPT,
            str(batch.feed),
            batch.epoch,
            batch.seq,
            file.batch.digest12,
            order[file.kind],
        )

    return sorted(files, key=key)
