"""Heartbeats: tell every peer how this site is, hear how they are, and make of it what a person asks. Nothing is decided by any of it.

They ask for what is missing here, and are asked for what is missing there (holes.py).

- `beat` writes `outbox/<peer>/heartbeat.<me>.json` when there is news, or when the last one is older than `EVERY_S`: so a turn without
  work stays quiet, and two daemons that wake each other come to rest.
- A batch leaves after the heartbeat that announced it. Where no receipt came within `LEFT_S`, one more heartbeat says that it had left: what is
  lost on the way is not taken for never sent.
- It leaves before everything else, by whatever way is next, and leaves the outbox then: it is not answered and not kept.
- `hear` believes one as it believes a receipt: name, size, form, the signature by the pinned key. Then the ledger remembers the newest of each
  peer, and the file goes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zlib import crc32

from filesync.errors import DamagedError, RejectedError
from filesync.exchange import quarantine
from filesync.exchange.arrivals import list_inbox, open_signed
from filesync.exchange.context import SOFTWARE
from filesync.exchange.holes import wanted
from filesync.exchange.reports import Held
from filesync.protocol.envelope import canonical, encode, sha256_hex
from filesync.protocol.heartbeat import HEARTBEAT_BYTES_MAX, FeedMark, Heartbeat, Wanted
from filesync.protocol.identity import Feed, heartbeat_name
from filesync.protocol.receipt import Problem, UnknownFormatError
from filesync.protocol.signing import SignatureError
from filesync.stores.values import SealedMark
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from filesync.exchange.arrivals import Listing
    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport
    from filesync.protocol.admission import Standing
    from filesync.protocol.identity import Role
    from filesync.stores.values import Told

_News = tuple[tuple[SealedMark, ...], tuple[Wanted, ...]]

#: A peer that hears nothing for longer may ask itself why. Freshness only.
EVERY_S = 900
#: What left, and was not answered, is told once, but not sooner: a receipt is news by itself, and mostly comes first.
LEFT_S = 60
#: Heartbeats that are written, or heard, together: they share a transaction, and the disk's attention.
WAVE = 1_000


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


def beat(ctx: Context, only: str | None = None, *, untaken: bool = False) -> None:
    """Write a heartbeat for every peer (or `only`) that has not had the news, or none for a while.

    Without news one that still lies in the outbox is left as it is, for nobody has come for it; with `untaken` (it is about to leave) it is
    written anew.
    """
    marks = ctx.store.feed_marks()
    contracts = tuple(f"{dataset}.v{version}" for dataset, version in ctx.contracts.versions())
    told = ctx.store.told()
    peers = ctx.peers(only)
    wishes = wanted(ctx, peers)
    now, clock = ctx.clock(), ctx.now()
    digests: dict[object, str] = {}  # thousands of peers are told the same
    due: list[tuple[Heartbeat, str]] = []
    for peer in peers:
        last = told.get(peer)
        news = (tuple(marks.get(peer, ())), wishes.get(peer, ()))

        def made(counter: int, peer: str = peer, news: _News = news) -> Heartbeat:
            feeds = tuple(
                FeedMark(mark.dataset, mark.audience, mark.sealed, mark.oldest_open, mark.shipped)
                for mark in news[0]
            )
            return Heartbeat(
                ctx.me, peer, ctx.settings.role, ctx.epoch, counter, clock, SOFTWARE, None, feeds, contracts, news[1]
            )  # fmt: skip

        if news not in digests:
            digests[news] = sha256_hex(canonical(made(1).news()))
        if (
            last is not None
            and last.news_sha256 == digests[news]
            and not _left_since(now, last, news[0])
            and (_fresh(now, peer, last) or not (untaken or _taken(ctx, peer)))
        ):
            continue
        due.append((made(1 + (last.counter if last else 0)), digests[news]))
    free_bytes = _free_bytes(ctx) if due else None
    for start in range(0, len(due), WAVE):
        _tell(ctx, due[start : start + WAVE], free_bytes)


def _tell(ctx: Context, due: Sequence[tuple[Heartbeat, str]], free_bytes: int | None) -> None:
    files = {
        made.recipient: encode({**made.to_signed(), "free_bytes": free_bytes}, ctx.settings.key)
        for made, _ in due
    }
    name = heartbeat_name(ctx.me)
    written = set(files)
    try:
        durable.publish_many(
            [(ctx.folders.outbox(peer), name, data) for peer, data in files.items()], lasting=False
        )
    except OSError:
        # One folder that nobody may write into, or a full disk: which must not keep back the batches whose leaving makes room.
        for peer, data in files.items():
            try:
                durable.publish_many([(ctx.folders.outbox(peer), name, data)], lasting=False)
            except OSError:
                written.discard(peer)  # the next turn tells it
    # Afterwards: a crash between the two tells the same news once more, under the same counter.
    with ctx.store.transaction():
        for made, digest in due:
            if made.recipient in written:
                ctx.store.record_told(made.recipient, made.counter, digest, made.clock)


def _fresh(now: datetime, peer: str, last: Told) -> bool:
    """Each a little earlier than `EVERY_S`, by another part of it each time: thousands that were begun together do not stay together."""
    part = crc32(f"{peer} {last.counter}".encode()) / (5 << 32)
    age_s = (now - datetime.fromisoformat(last.written_at)).total_seconds()
    return 0 <= age_s < EVERY_S * (1 - part)


def _left_since(now: datetime, last: Told, marks: Iterable[SealedMark]) -> bool:
    """Whether something left after the last heartbeat was written, and is not answered after a while."""
    written_at = datetime.fromisoformat(last.written_at)
    if 0 <= (now - written_at).total_seconds() < LEFT_S:
        return False
    return any(mark.left_at and datetime.fromisoformat(mark.left_at) >= written_at for mark in marks)


def _taken(ctx: Context, peer: str) -> bool:
    return not (ctx.folders.outbox(peer) / heartbeat_name(ctx.me)).exists()


def _free_bytes(ctx: Context) -> int | None:
    try:
        return ctx.free_bytes(ctx.folders.root)
    except OSError:
        return None


def hear(ctx: Context, listings: Iterable[Listing], report: ImportReport) -> list[Heartbeat]:
    """Take the peers' heartbeats from their inboxes to the ledger. One that cannot be believed is set aside; it changes nothing.

    Returns those that say something new: an older one, that came late, asks for what may have arrived since.
    """
    believed = [
        (listing, *found) for listing in listings if (found := _believed(ctx, listing, report)) is not None
    ]
    new: list[Heartbeat] = []
    for start in range(0, len(believed), WAVE):
        wave = believed[start : start + WAVE]
        with ctx.store.transaction():
            new += [
                heard
                for _, heard, text in wave
                if ctx.store.record_heard(heard.site, heard.epoch, heard.counter, text, ctx.now())
            ]
        for listing, heard, _ in wave:
            # Not durably: one that comes back after a power cut says nothing new.
            with suppress(OSError):
                (listing.folder / heartbeat_name(heard.site)).unlink(missing_ok=True)
    return new


def _believed(ctx: Context, listing: Listing, report: ImportReport) -> tuple[Heartbeat, str] | None:
    """A heartbeat and its signed part word for word; None where there is none that can be believed now."""
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
    return heard, envelope.canonical.decode()


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
