"""Heartbeats: tell every peer how this site is, hear how they are, and make of it what a person asks. Nothing is decided by any of it.

They ask for what is missing here, and are asked for what is missing there (holes.py).

- `beat` writes `outbox/<peer>/heartbeat.<me>.json` when there is news, or when the last one is older than `EVERY_S`: so a turn without
  work stays quiet, and two daemons that wake each other come to rest.
- It leaves before everything else, by whatever way is next, and leaves the outbox then: it is not answered and not kept.
- `hear` believes one as it believes a receipt: name, size, form, the signature by the pinned key. Then the ledger remembers the newest of each
  peer, and the file goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from filesync.errors import DamagedError, RejectedError
from filesync.exchange import quarantine
from filesync.exchange.arrivals import list_inbox, open_signed
from filesync.exchange.context import SOFTWARE
from filesync.exchange.holes import wanted
from filesync.exchange.reports import Held
from filesync.protocol.envelope import canonical, encode, sha256_hex
from filesync.protocol.heartbeat import HEARTBEAT_BYTES_MAX, FeedMark, Heartbeat
from filesync.protocol.identity import Feed, heartbeat_name
from filesync.protocol.receipt import Problem, UnknownFormatError
from filesync.protocol.signing import SignatureError
from filesync.writers import durable

if TYPE_CHECKING:
    from filesync.exchange.arrivals import Listing
    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport
    from filesync.protocol.admission import Standing
    from filesync.protocol.identity import Role

#: A peer that hears nothing for longer may ask itself why. Freshness only.
EVERY_S = 900


@dataclass(frozen=True, slots=True)
class NotArrived:
    """Batches of a feed that the peer says are sealed for us, from `first` to `last`, and that are not here."""

    feed: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PeerState:
    """A peer by its newest heartbeat; all None or empty where it never sent one.

    `skew_s`: its clock, when it wrote, minus ours, when it was read here. The way lies between the two: only what is ahead is certain.
    """

    peer: str
    last_contact: str | None = None
    role: Role | None = None
    epoch: str | None = None
    clock: str | None = None
    skew_s: int | None = None
    software: str | None = None
    free_bytes: int | None = None
    feeds: tuple[FeedMark, ...] = ()
    contracts: tuple[str, ...] = ()
    not_arrived: tuple[NotArrived, ...] = ()


def beat(ctx: Context, only: str | None = None) -> None:
    """Write a heartbeat for every peer (or `only`) that has not had the news, or none for a while."""
    marks = ctx.store.feed_marks()
    contracts = tuple(f"{dataset}.v{version}" for dataset, version in ctx.contracts.versions())
    free_bytes: int | None = None
    told = ctx.store.told()
    for peer in ctx.peers(only):
        last = told.get(peer)
        feeds = tuple(
            FeedMark(mark.dataset, mark.audience, mark.sealed, mark.oldest_open, mark.shipped)
            for mark in marks.get(peer, ())
        )
        made = Heartbeat(
            ctx.me, peer, ctx.settings.role, ctx.epoch, 1 + (last.counter if last else 0), ctx.now(), SOFTWARE, None, feeds, contracts,
            wanted(ctx, peer),
        )  # fmt: skip
        digest = sha256_hex(canonical(made.news()))
        if last is not None and last.news_sha256 == digest and _fresh(ctx, last.written_at):
            continue
        free_bytes = _free_bytes(ctx) if free_bytes is None else free_bytes
        signed = {**made.to_signed(), "free_bytes": free_bytes}
        try:
            durable.publish(
                ctx.folders.outbox(peer), heartbeat_name(ctx.me), encode(signed, ctx.settings.key)
            )
        except OSError:
            continue  # a full disk must not keep back the batches whose leaving makes room; the next turn tells it
        # Afterwards: a crash between the two tells the same news once more, under the same counter.
        ctx.store.record_told(peer, made.counter, digest, made.clock)


def _fresh(ctx: Context, written_at: str) -> bool:
    age_s = (ctx.clock() - datetime.fromisoformat(written_at)).total_seconds()
    return 0 <= age_s < EVERY_S


def _free_bytes(ctx: Context) -> int | None:
    try:
        return ctx.free_bytes(ctx.folders.root)
    except OSError:
        return None


def hear(ctx: Context, listing: Listing, report: ImportReport) -> Heartbeat | None:
    """Take the peer's heartbeat from its inbox to the ledger. One that cannot be believed is set aside; it changes nothing.

    Returns it if it says something new: an older one, that came late, asks for what may have arrived since.
    """
    if listing.heartbeat is None:
        return None
    name = listing.heartbeat
    try:
        if listing.sizes[name] > HEARTBEAT_BYTES_MAX:
            raise DamagedError(
                "oversized",
                f"{name}: expected at most {HEARTBEAT_BYTES_MAX} bytes, got {listing.sizes[name]}",
            )
        envelope = open_signed(ctx, listing, name, "heartbeat-unreadable")
        heard = Heartbeat.from_signed(envelope.signed)
        if (heard.site, heard.recipient) != (listing.peer, ctx.me):
            raise RejectedError(
                "heartbeat-foreign", f"{name}: expected {listing.peer}'s for {ctx.me}, got {heard.site}'s for {heard.recipient}"
            )  # fmt: skip
    except UnknownFormatError:
        return None  # the next one overwrites it; a newer filesync here will understand it
    except (DamagedError, RejectedError, SignatureError) as err:
        problem = Problem(err.code, err.message)
        quarantine.set_aside(ctx, listing.peer, name, [listing.folder / name], problem, retryable=False)
        report.set_aside.append(Held(listing.peer, name, err.code, err.message))
        return None
    except OSError:
        return None  # held by another program, or just being replaced: the next turn hears it
    new = ctx.store.record_heard(
        listing.peer, heard.epoch, heard.counter, envelope.canonical.decode(), ctx.now()
    )
    durable.remove(listing.folder / name)
    return heard if new else None


def peer_states(ctx: Context) -> list[PeerState]:
    """Every configured peer by its newest heartbeat."""
    heard = ctx.store.heard()
    standings = ctx.store.standings()
    states = []
    for peer in ctx.settings.peers:
        if (last := heard.get(peer)) is None:
            states.append(PeerState(peer))
            continue
        beat_ = Heartbeat.from_signed(last.signed)
        skew = datetime.fromisoformat(beat_.clock) - datetime.fromisoformat(last.received_at)
        states.append(
            PeerState(
                peer, last.received_at, beat_.role, beat_.epoch, beat_.clock, round(skew.total_seconds()), beat_.software, beat_.free_bytes,
                beat_.feeds, beat_.contracts, tuple(_not_arrived(ctx, beat_, standings)),
            )
        )  # fmt: skip
    return states


def _not_arrived(
    ctx: Context, heard: Heartbeat, standings: dict[tuple[Feed, str], Standing]
) -> list[NotArrived]:
    lying = {
        (name.batch.id.feed, name.batch.id.epoch, name.batch.id.seq)
        for name in list_inbox(ctx, heard.site).manifests
    }
    found = []
    for mark in heard.feeds:
        if mark.oldest_open is None:
            continue
        feed = Feed(heard.site, mark.dataset, mark.audience)
        standing = standings.get((feed, heard.epoch))
        first = max(mark.oldest_open, standing.seq + 1 if standing is not None else 1)
        # A peer may claim any number: what lies here is counted, what it claims is only subtracted from.
        here = sum(
            1
            for of, epoch, seq in lying
            if of == feed and epoch == heard.epoch and first <= seq <= mark.sealed
        )
        if (count := mark.sealed - first + 1 - here) > 0:
            found.append(NotArrived(str(feed), count, first, mark.sealed))
    return found
