"""Collect: what lies in one peer's inbox, and what each manifest and each void may become. Reads; changes nothing.

The order of the checks is the order of trust, cheapest first:
1. the file's name (protocol.identity): anything outside the grammar is a stranger, left where it is and listed;
2. the file's size, before a byte of it is read;
3. the envelope, then the signature against the pinned key: from here on the sender is known;
4. the manifest's form, and that it names the file it came in;
5. admission (protocol.admission), against the feed's standing.
The payload is not opened here: a replay is answered from the manifest alone, and whoever applies checks size and digest first.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filesync.errors import DamagedError, RejectedError
from filesync.protocol.admission import Apply, Known, Refuse, Replay, Standing, Wait, admit, admit_void
from filesync.protocol.envelope import Envelope, decode, sha256_hex
from filesync.protocol.identity import (
    Feed,
    FileKind,
    FileName,
    Format,
    parse_file_name,
    parse_heartbeat_name,
    stem_of,
)
from filesync.protocol.manifest import Manifest, UnknownFormatError
from filesync.protocol.receipt import Problem
from filesync.protocol.signing import SignatureError
from filesync.protocol.void import Void

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from filesync.config import Peer
    from filesync.exchange.context import Context

FeedEpoch = tuple[Feed, str]

_OF_BATCHES = (".manifest.json", ".void.json", *(f".{form.value}" for form in Format))


@dataclass(frozen=True, slots=True)
class Verified:
    """A manifest whose sender, form and name are proven, with the digest that receipts answer."""

    peer: str
    manifest: Manifest
    sha256: str

    @property
    def stem(self) -> str:
        """The batch's name."""
        return self.manifest.name.stem


@dataclass(frozen=True, slots=True)
class Admitted:
    """A verified manifest and what admission says of it."""

    verified: Verified
    decision: Apply | Replay | Wait | Refuse


@dataclass(frozen=True, slots=True)
class AdmittedVoid:
    """A void whose sender, form and name are proven, its signed part word for word, and what admission says of it."""

    peer: str
    void: Void
    text: str
    decision: Apply | Replay | Wait | Refuse


@dataclass(frozen=True, slots=True)
class Unfit:
    """A file that cannot be trusted (`set_aside`) or not be understood yet (it stays where it is)."""

    name: str
    problem: Problem
    set_aside: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """One inbox at one moment. `payloads` maps file names to sizes."""

    peer: str
    folder: Path
    receipts: tuple[FileName, ...]
    manifests: tuple[FileName, ...]
    payloads: Mapping[str, int]
    sizes: Mapping[str, int]
    strangers: tuple[str, ...]
    heartbeat: str | None = None  # the peer's own; its name, where one lies here
    voids: tuple[FileName, ...] = ()

    def read(self, name: str) -> bytes:
        """A file of it, whole. Small ones are many: a path object and a buffer would cost as much as the reading."""
        with open(f"{self.folder}{os.sep}{name}", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()

    def orphans(self) -> tuple[str, ...]:
        """Payloads whose manifest is not here (yet)."""
        stems = {m.batch.stem for m in self.manifests}
        return tuple(name for name in self.payloads if stem_of(name) not in stems)


@dataclass(slots=True)
class Standings:
    """The feeds' heads and the decided numbers, as the ledger has them plus what this turn has decided to apply.

    `ahead`: numbers that were given up here while numbers before them are open; heads step over them.
    """

    heads: dict[FeedEpoch, Standing]
    known: dict[FeedEpoch, dict[int, Known]] = field(default_factory=lambda: defaultdict(dict))
    ahead: dict[FeedEpoch, dict[int, str | None]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, ctx: Context, origins: Collection[str] | None = None) -> Standings:
        """As the ledger has them now; of the feeds of these origins, where only theirs are asked about."""
        made = cls(ctx.store.standings(origins))
        for void in ctx.store.holes.ahead():
            if origins is None or void.feed.origin in origins:
                made.ahead[void.feed, void.epoch][void.seq] = void.manifest_sha256
        for key in made.ahead:
            made._step(key)
        return made

    def decided(self, verified: Verified) -> None:
        """This number will be decided in this turn: the next one of its feed may follow."""
        key, seq = (verified.manifest.id.feed, verified.manifest.id.epoch), verified.manifest.id.seq
        self.heads[key] = Standing(seq, verified.sha256)
        self.known[key][seq] = Known(verified.sha256)
        self._step(key)

    def given_up(self, void: Void) -> None:
        """This number is given up in this turn; one that a batch decided before keeps its place."""
        key, seq = (void.id.feed, void.id.epoch), void.id.seq
        head = self.heads.get(key)
        if seq == (head.seq if head else 0) + 1:
            self.heads[key] = Standing(seq, void.manifest_sha256)
            self.known[key][seq] = Known(void.manifest_sha256, voided=True)
            self._step(key)

    def _step(self, key: FeedEpoch) -> None:
        ahead = self.ahead.get(key, {})
        while (seq := self.heads[key].seq + 1 if key in self.heads else 1) in ahead:
            self.heads[key] = Standing(seq, ahead[seq])


def with_mail(ctx: Context) -> list[str]:
    """The peers in whose inbox anything lies. Of thousands of peers most have sent nothing since the last turn: they cost a look, no more."""
    top = str(ctx.folders.root / "inbox")
    return [peer for peer in ctx.settings.peers if _holds_anything(f"{top}{os.sep}{peer}")]


def _holds_anything(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False
    except OSError:
        return True  # whoever lists it says what is wrong with it


def list_inbox(ctx: Context, peer: str, *, answers_only: bool = False) -> Listing:
    """List `inbox/<peer>/`; a folder that is not there is an empty one. `answers_only`: what the peer's own batches consist of is passed over."""
    folder = ctx.folders.inbox(peer)
    receipts, manifests, voids, payloads, sizes, strangers = [], [], [], {}, {}, []
    heartbeat = None
    try:
        entries = sorted(os.scandir(folder), key=_name)
    except FileNotFoundError:
        entries = []
    for entry in entries:
        if answers_only and entry.name.endswith(_OF_BATCHES):
            continue
        parsed = parse_file_name(entry.name)
        if not entry.is_file(follow_symlinks=False) or (
            parsed is None and parse_heartbeat_name(entry.name) != peer
        ):
            strangers.append(entry.name)
            continue
        size = sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        if parsed is None:
            heartbeat = entry.name
        elif parsed.kind is FileKind.RECEIPT:
            receipts.append(parsed)
        elif parsed.kind is FileKind.MANIFEST:
            manifests.append(parsed)
        elif parsed.kind is FileKind.VOID:
            voids.append(parsed)
        else:
            payloads[entry.name] = size
    manifests.sort(key=_feed_order)
    return Listing(
        peer, folder, tuple(receipts), tuple(manifests), payloads, sizes, tuple(strangers), heartbeat, tuple(voids)
    )  # fmt: skip


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _feed_order(name: FileName) -> tuple[str, str, int]:
    return str(name.batch.id.feed), name.batch.id.epoch, name.batch.id.seq


def _claim_order(name: FileName) -> tuple[str, str, int, bool]:
    """A void before the batch that it gives up: its origin's last word."""
    return *_feed_order(name), name.kind is not FileKind.VOID


def known_numbers(ctx: Context, standings: Standings, listing: Listing) -> None:
    """Look up the numbers of this inbox that the ledger may have decided already: one query per feed, none for new numbers."""
    wanted: dict[FeedEpoch, set[int]] = defaultdict(set)
    for name in (*listing.manifests, *listing.voids):
        key, seq = (name.batch.id.feed, name.batch.id.epoch), name.batch.id.seq
        head = standings.heads.get(key)
        if (head is not None and seq <= head.seq) or seq in standings.ahead.get(key, ()):
            wanted[key].add(seq)
    for (feed, epoch), seqs in wanted.items():
        standings.known[feed, epoch].update(ctx.store.known(feed, epoch, seqs))


def collect(
    ctx: Context, listing: Listing, standings: Standings
) -> Iterator[Admitted | AdmittedVoid | Unfit]:
    """Judge every manifest and void of an inbox in feed order. `standings` is read as it is when each one's turn comes."""
    peer = ctx.settings.peers[listing.peer]
    names = listing.manifests
    if listing.voids:
        names = tuple(sorted((*listing.voids, *names), key=_claim_order))
    for name in names:
        try:
            claim = (_verify_void if name.kind is FileKind.VOID else _verify)(ctx, listing, name)
        except UnknownFormatError as err:
            yield Unfit(
                str(name),
                Problem(err.code, f"{err.message}; it waits for this site's filesync to be updated"),
                set_aside=False,
            )
        except (DamagedError, RejectedError, SignatureError) as err:
            yield Unfit(str(name), Problem(err.code, err.message), set_aside=True)
        except OSError as err:
            yield Unfit(
                str(name),
                Problem("locked", f"{name} cannot be read now ({err}); the next turn tries again"),
                set_aside=False,
            )
        else:
            if isinstance(claim, Verified):
                yield Admitted(claim, _admit(ctx, peer, claim, standings))
            else:
                void, text = claim
                yield AdmittedVoid(
                    listing.peer, void, text, _admit_void(ctx, peer, listing.peer, void, standings)
                )


def _verify(ctx: Context, listing: Listing, name: FileName) -> Verified:
    envelope = open_signed(ctx, listing, str(name), "manifest-unreadable")
    manifest = Manifest.from_signed(envelope.signed)
    if manifest.name.stem != name.batch.stem:
        raise RejectedError(
            "renamed",
            f"{name}: expected the manifest of that batch, got the manifest of {manifest.name.stem}",
        )
    return Verified(listing.peer, manifest, sha256_hex(envelope.canonical))


def _verify_void(ctx: Context, listing: Listing, name: FileName) -> tuple[Void, str]:
    envelope = open_signed(ctx, listing, str(name), "void-unreadable")
    void = Void.from_signed(envelope.signed)
    if void.name.void != str(name):
        raise RejectedError(
            "renamed", f"{name}: expected the void of that batch, got one of {void.name.stem}"
        )
    return void, envelope.canonical.decode()


def open_signed(ctx: Context, listing: Listing, name: str, code: str) -> Envelope:
    """Read a manifest, void or receipt whose sender is `listing.peer`: size, form, and signature where a key is pinned."""
    if (size := listing.sizes[name]) > ctx.settings.limits.manifest_bytes_max:
        raise DamagedError(
            "oversized",
            f"{name}: expected at most {ctx.settings.limits.manifest_bytes_max} bytes, got {size}",
        )
    envelope = decode(listing.read(name), code=code)
    pinned = ctx.settings.pinned.get(listing.peer)
    if pinned is not None:
        try:
            pinned.verify(envelope.canonical, envelope.signature)
        except SignatureError as err:
            raise SignatureError(
                err.code,
                f"{name}: expected the signature of {listing.peer} ({pinned.fingerprint}): {err.message}",
            ) from err
    return envelope


def _admit(
    ctx: Context, peer: Peer, verified: Verified, standings: Standings
) -> Apply | Replay | Wait | Refuse:
    batch = verified.manifest.id
    key = (batch.feed, batch.epoch)
    return admit(
        verified.manifest,
        verified.sha256,
        me=ctx.me,
        sender=verified.peer,
        standing=standings.heads.get(key),
        known=standings.known[key].get(batch.seq),
        contract_known=ctx.contracts.get(batch.feed.dataset, verified.manifest.version) is not None,
        may_send=peer.sends(batch.feed.dataset),
    )


def _admit_void(
    ctx: Context, peer: Peer, sender: str, void: Void, standings: Standings
) -> Apply | Replay | Wait | Refuse:
    key = (void.id.feed, void.id.epoch)
    return admit_void(
        void,
        me=ctx.me,
        sender=sender,
        standing=standings.heads.get(key),
        known=standings.known[key].get(void.id.seq),
        may_send=peer.sends(void.id.feed.dataset),
    )
