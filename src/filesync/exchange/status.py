"""What is where and what waits for what, as values. Reads only: it runs beside a working station.

The inboxes are judged exactly as an import would judge them, but nothing is applied, moved or recorded.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.exchange import quarantine
from filesync.exchange.arrivals import AdmittedVoid, Standings, Unfit, collect, known_numbers, list_inbox
from filesync.exchange.heartbeats import PeerState, peer_states
from filesync.exchange.links import describe, read_troubles
from filesync.exchange.versions import HeldBack, held_back
from filesync.protocol.admission import Apply, Refuse, Replay, Wait
from filesync.protocol.identity import BatchName, FileKind, Role, parse_file_name
from filesync.stores.values import Direction

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from filesync.config import Peer
    from filesync.exchange.context import Context
    from filesync.stores.hole_values import HoleRecord, VoidRecord


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A batch, void or receipt in an outbox. `since` is when it was sealed (None for a receipt)."""

    peer: str
    name: str
    kind: str
    business_date: date
    documents: int | None
    payload_bytes: int | None
    since: str | None
    shipped_at: str | None
    waits_for: str
    carried_at: str | None = None


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A file in an inbox and what the next import will do with it."""

    peer: str
    name: str
    state: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FeedState:
    """One feed at a glance; `missing` are the holes that its waiting batches wait for."""

    feed: str
    direction: str
    epoch: str
    sealed: int
    settled: int
    open: int
    rejected: int
    applied_through: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """A site at one moment. `warnings` are said every time until they are cured; `holes` are missing here, `voids` were given up for good.

    `held_back`: what was not sealed, because a recipient would not understand it yet.
    """

    site: str
    role: Role
    epoch: str
    outbox: tuple[OutboxItem, ...]
    inbox: tuple[InboxItem, ...]
    quarantine: tuple[quarantine.Case, ...]
    feeds: tuple[FeedState, ...]
    warnings: tuple[str, ...]
    peers: tuple[PeerState, ...] = ()
    holes: tuple[HoleRecord, ...] = ()
    voids: tuple[VoidRecord, ...] = ()
    held_back: tuple[HeldBack, ...] = ()

    @property
    def waiting(self) -> tuple[InboxItem, ...]:
        """What arrived and cannot be applied yet."""
        return tuple(item for item in self.inbox if item.state == "waiting")


def read_status(ctx: Context) -> Status:
    """The whole picture."""
    inbox, missing = _inbox(ctx)
    return Status(
        ctx.me, ctx.settings.role, ctx.epoch, tuple(outbox_items(ctx)), tuple(inbox), tuple(quarantine.cases(ctx)),
        tuple(_feeds(ctx, missing)), tuple(_warnings(ctx)),
        tuple(peer_states(ctx)), tuple(ctx.store.holes.open()), tuple(ctx.store.holes.voids()),
        tuple(held_back(ctx)),
    )  # fmt: skip


def outbox_items(ctx: Context) -> list[OutboxItem]:
    """What waits for each peer, oldest first."""
    items = []
    untold = ctx.store.holes.untold()
    given_up = {(void.name, void.recipient) for void in untold}
    for delivery in ctx.store.outgoing_open():
        if (delivery.name, delivery.recipient) in given_up:
            continue
        peer = ctx.settings.peers.get(delivery.recipient)
        if delivery.shipped_at is not None:
            waits = f"sent; waits for {delivery.recipient}'s receipt"
        elif delivery.carried_at is not None:
            waits = f"on a stick; waits for {delivery.recipient}'s receipt"
        else:
            waits = _waits(peer, delivery.recipient)
        items.append(
            OutboxItem(
                delivery.recipient, delivery.name, "batch", delivery.business_date, delivery.documents, delivery.payload_bytes,
                delivery.sealed_at, delivery.shipped_at, waits, delivery.carried_at,
            )
        )  # fmt: skip
    for void in untold:
        sent = f"sent; waits for {void.recipient}'s receipt"
        waits = sent if void.shipped_at else _waits(ctx.settings.peers.get(void.recipient), void.recipient)
        day = BatchName.parse(void.name).business_date
        items.append(
            OutboxItem(void.recipient, void.name, "void", day, None, None, void.at, void.shipped_at, waits)
        )
    for folder in _folders(ctx.folders.root / "outbox"):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            parsed = parse_file_name(entry.name)
            if parsed is not None and parsed.kind is FileKind.RECEIPT:
                waits = _waits(ctx.settings.peers.get(folder.name), folder.name)
                items.append(
                    OutboxItem(
                        folder.name,
                        entry.name,
                        "receipt",
                        parsed.batch.business_date,
                        None,
                        None,
                        None,
                        None,
                        waits,
                    )
                )
    return items


def _waits(peer: Peer | None, name: str) -> str:
    if peer is None or peer.link is None:
        return f"waits for {name} to fetch it"
    return f"waits for the next exchange with {name}"


def _inbox(ctx: Context) -> tuple[list[InboxItem], dict[tuple[str, str], tuple[int, ...]]]:
    items: list[InboxItem] = []
    missing: dict[tuple[str, str], tuple[int, ...]] = {}
    standings = Standings.of(ctx)
    for peer in ctx.settings.peers:
        listing = list_inbox(ctx, peer)
        known_numbers(ctx, standings, listing)
        for item in collect(ctx, listing, standings):
            if isinstance(item, Unfit):
                state = "refused" if item.set_aside else "waiting"
                items.append(InboxItem(peer, item.name, state, item.problem.code, item.problem.message))
                continue
            if isinstance(item, AdmittedVoid):
                items.append(_void_item(peer, item))
                if isinstance(item.decision, Wait):
                    missing.setdefault((str(item.void.id.feed), item.void.id.epoch), item.decision.missing)
                elif not isinstance(item.decision, Refuse):
                    standings.given_up(item.void)
                continue
            stem, batch = item.verified.stem, item.verified.manifest.id
            match item.decision:
                case Apply() if item.verified.manifest.payload_file not in listing.payloads:
                    items.append(
                        InboxItem(
                            peer,
                            stem,
                            "waiting",
                            "payload-missing",
                            "its manifest is here, its payload is not",
                        )
                    )
                case Apply():
                    standings.decided(item.verified)
                    items.append(InboxItem(peer, stem, "ready", "ready", "the next import applies it"))
                case Replay():
                    items.append(
                        InboxItem(
                            peer,
                            stem,
                            "known",
                            "known",
                            "applied before; the next import answers with the same receipt",
                        )
                    )
                case Wait(reason, detail, holes):
                    missing.setdefault((str(batch.feed), batch.epoch), holes)
                    items.append(InboxItem(peer, stem, "waiting", reason.value, detail))
                case Refuse(problem):
                    items.append(InboxItem(peer, stem, "refused", problem.code, problem.message))
        items += [
            InboxItem(peer, str(name), "ready", "receipt", "the next import settles it")
            for name in listing.receipts
        ]
        items += [
            InboxItem(peer, name, "waiting", "manifest-missing", "a payload whose manifest has not arrived")
            for name in listing.orphans()
        ]
        items += [
            InboxItem(peer, name, "stranger", "stranger", "not a name of filesync's; it is left alone")
            for name in listing.strangers
        ]
    return items, missing


def _void_item(peer: str, item: AdmittedVoid) -> InboxItem:
    name = item.void.name.void
    match item.decision:
        case Wait(reason, detail, _):
            return InboxItem(peer, name, "waiting", reason.value, detail)
        case Refuse(problem):
            return InboxItem(peer, name, "refused", problem.code, problem.message)
    return InboxItem(
        peer, name, "ready", "void", "its origin gives this number up; the next import takes note"
    )


def _feeds(ctx: Context, missing: dict[tuple[str, str], tuple[int, ...]]) -> list[FeedState]:
    states = []
    seen = set()
    for feed in ctx.store.feeds():
        key = (str(feed.feed), feed.epoch)
        seen.add(key)
        holes = missing.get(key, ()) if feed.direction is Direction.IN else ()
        states.append(
            FeedState(
                key[0],
                feed.direction.value,
                feed.epoch,
                feed.sealed,
                feed.settled,
                feed.open,
                feed.rejected,
                feed.applied_through,
                holes,
            )
        )
    for (feed_name, epoch), holes in missing.items():
        if (feed_name, epoch) not in seen:  # nothing of it was applied yet: all that is here waits
            states.append(FeedState(feed_name, Direction.IN.value, epoch, 0, 0, 0, 0, 0, holes))
    return states


def _warnings(ctx: Context) -> list[str]:
    open_per_peer = Counter(delivery.recipient for delivery in ctx.store.outgoing_open())
    found = [
        describe(peer, trouble, open_per_peer[peer], ctx.clock())
        for peer, trouble in read_troubles(ctx.folders.root).items()
        if peer in ctx.settings.peers
    ]
    found += [
        f"no key is pinned for {peer}: anyone who can write into its folder can send in its name "
        f"(filesync peer add {peer} --key FILE)"
        for peer in ctx.settings.peers
        if peer not in ctx.settings.pinned
    ]
    if forked := ctx.store.forked():
        name, peer = forked[-1]
        found.append(
            f"{peer} had another batch under the number of {name}: this database is older than what was sent (filesync restored)"
        )
    for name in ("inbox", "outbox"):
        found += [
            f"{name}/{folder.name}/ belongs to no configured peer and is not read"
            for folder in _folders(ctx.folders.root / name)
            if folder.name not in ctx.settings.peers
        ]
    return found


def _folders(top: Path) -> list[Path]:
    """The peers' folders in an inbox or outbox; where a person deleted it, the next turn makes it again."""
    try:
        return sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []
