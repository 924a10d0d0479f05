"""What travels and in which order, whatever it travels on: a link, a mailbox between two sites, a stick in somebody's pocket.

- A heartbeat goes first, over the one that lies there, and is no cargo: it is not counted, not kept and not answered.
- Receipts go before voids, and those before batches; batches by feed and number; of a batch the payload goes first and the manifest last.
- `load` puts what waits in an outbox where the peer will find it. Batches and voids stay in the outbox until their receipt; a receipt moves to the
  archive once it is there for sure: the ledger can write it again, and a replayed batch asks for it.
- `unload` makes what lies for us durable here before it removes anything there.

Both are safe to repeat, at any point. Not here: by which way a peer is reached, and when (road, carry).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filesync.exchange.reports import Moved, Progress
from filesync.protocol.identity import FileKind, FileName, heartbeat_name, parse_file_name
from filesync.transports import unobserved
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from filesync.exchange.context import Context
    from filesync.transports import Transport
    from filesync.transports.files import RemoteFile

#: Batches whose payloads travel before their manifests do: few enough to resume well, many enough to share folder syncs.
WAVE = 64


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in an outbox, in the order in which it travels. `payloads` by the batch's name."""

    heartbeat: str | None = None
    receipts: tuple[FileName, ...] = ()
    manifests: tuple[FileName, ...] = ()
    payloads: dict[str, FileName] = field(default_factory=dict)
    voids: tuple[FileName, ...] = ()

    @property
    def files(self) -> list[FileName]:
        """All of it that travels."""
        held = (self.payloads.get(manifest.batch.stem) for manifest in self.manifests)
        return [*self.receipts, *self.voids, *(file for file in held if file is not None), *self.manifests]


def waiting(ctx: Context, peer: str, held_back: Collection[str] = frozenset()) -> Waiting:
    """What waits for `peer`, without the batches held back."""
    outbox = ctx.folders.outbox(peer)
    files = in_order(_names(outbox))
    heartbeat = heartbeat_name(ctx.me)
    return Waiting(
        heartbeat if (outbox / heartbeat).is_file() else None,
        tuple(file for file in files if file.kind is FileKind.RECEIPT),
        tuple(file for file in files if file.kind is FileKind.MANIFEST and file.batch.stem not in held_back),
        {file.batch.stem: file for file in files if file.kind is FileKind.PAYLOAD},
        tuple(file for file in files if file.kind is FileKind.VOID and file.batch.stem not in held_back),
    )


def answered_here(ctx: Context, peer: str) -> frozenset[str]:
    """Batches whose receipt lies in the inbox and is not settled yet: an import will see to them."""
    names = _names(ctx.folders.inbox(peer))
    return frozenset(file.batch.stem for file in names if file.kind is FileKind.RECEIPT)


def load(
    ctx: Context,
    link: Transport,
    peer: str,
    folder: str,
    cargo: Waiting,
    mark: Callable[[Sequence[str], int], None],
    *,
    moved: Moved,
    step: str,
    sure: Callable[[], None] = lambda: None,
    heartbeat_stays: bool = False,
) -> None:
    """Put `cargo` into the peer's `folder`, counting in `moved`, which holds also after an error.

    `sure` is called before anything here relies on what was put: it raises TransportError where that went astray. Then `mark` is told
    which batches lie there now, and how many of their files were put just now.
    """
    outbox = ctx.folders.outbox(peer)
    link.observe = unobserved
    if cargo.heartbeat is not None:
        link.put_many([(outbox / cargo.heartbeat, folder, cargo.heartbeat)], replace=True)
        if not heartbeat_stays:
            durable.remove(outbox / cargo.heartbeat)
    if not (cargo.receipts or cargo.manifests or cargo.voids):
        return
    sizes = {str(file): (outbox / str(file)).stat().st_size for file in cargo.files}
    there = {file.name: file.size for file in link.list(folder)}
    pace = _Pace(ctx, step, "batches", len(cargo.manifests), sum(sizes.values()))
    link.observe = pace.moved

    def put(files: Sequence[FileName]) -> int:
        done = link.put_many([(outbox / str(file), folder, str(file)) for file in files])
        moved.bytes += sum(sizes[str(file)] for file, new in zip(files, done, strict=True) if new)
        moved.files += sum(done)
        return sum(done)

    receipts = put(cargo.receipts)
    pace.reached(sum(sizes[str(file)] for file in cargo.receipts))
    sure()
    moved.receipts += receipts
    durable.move_many(
        [(outbox / str(file), ctx.folders.archive(file.batch.business_date), str(file)) for file in cargo.receipts]
    )  # fmt: skip
    if cargo.voids:
        fresh = put([file for file in cargo.voids if there.get(str(file)) != sizes[str(file)]])
        pace.reached(sum(sizes[str(file)] for file in cargo.voids))
        sure()
        moved.voids += fresh
        mark([file.batch.stem for file in cargo.voids], fresh)
    for start in range(0, len(cargo.manifests), WAVE):
        wave = cargo.manifests[start : start + WAVE]
        payloads = [cargo.payloads[file.batch.stem] for file in wave if file.batch.stem in cargo.payloads]
        fresh = new_manifests = 0
        for files in (payloads, wave):
            new_manifests = put([file for file in files if there.get(str(file)) != sizes[str(file)]])
            fresh += new_manifests
            pace.reached(sum(sizes[str(file)] for file in files))
        sure()
        moved.batches += new_manifests
        mark([file.batch.stem for file in wave], fresh)
        pace.tick(len(wave))


def unload(
    ctx: Context,
    link: Transport,
    peer: str,
    folder: str,
    *,
    mailbox: bool,
    moved: Moved,
    step: str,
    keep: bool = False,
) -> None:
    """Fetch what `peer` left for us in `folder`, counting in `moved`, which holds also after an error.

    A `mailbox` (a relay's, a stick's) is emptied, and a batch that was decided here is fetched again: its origin asks for the receipt.
    Otherwise the folder is the peer's outbox: batches stay there, and those that were decided here are left alone. With `keep` nothing is
    removed.
    """
    inbox = ctx.folders.inbox(peer)
    there = {file.name: file for file in link.list(folder)}
    link.observe = unobserved
    if (heartbeat := heartbeat_name(peer)) in there:
        link.get_many([(folder, heartbeat, inbox)], replace=True)
        if not keep:
            link.remove_many([(folder, heartbeat)])
    files = in_order(parsed for name in there if (parsed := parse_file_name(name)) is not None)
    manifests = {file.batch.stem for file in files if file.kind is FileKind.MANIFEST}
    decided = set() if mailbox else ctx.store.answered(manifests)
    batches = [
        file
        for file in files
        if file.kind in (FileKind.PAYLOAD, FileKind.MANIFEST) and file.batch.stem in manifests
    ]
    voids = [file for file in files if file.kind is FileKind.VOID]
    if not mailbox and voids:
        taken = ctx.store.holes.taken(file.batch.stem for file in voids)
        voids = [file for file in voids if file.batch.stem not in taken]
    receipts = [file for file in files if file.kind is FileKind.RECEIPT]
    wanted = [
        file for file in batches if file.batch.stem not in decided and not _held(inbox, there[str(file)])
    ]
    pace = _Pace(
        ctx, step, "files", len(wanted), sum(there[str(file)].size for file in (*receipts, *voids, *wanted))
    )
    link.observe = pace.moved

    def get(files: Sequence[FileName]) -> int:
        done = link.get_many([(folder, str(file), inbox) for file in files])
        moved.bytes += sum(there[str(file)].size for file, new in zip(files, done, strict=True) if new)
        moved.files += sum(done)
        pace.reached(sum(there[str(file)].size for file in files))
        return sum(done)

    moved.receipts += get(receipts)
    if not keep:
        link.remove_many([(folder, str(file)) for file in receipts])
    moved.voids += get([file for file in voids if not _held(inbox, there[str(file)])])
    for start in range(0, len(wanted), 2 * WAVE):
        wave = wanted[start : start + 2 * WAVE]
        get([file for file in wave if file.kind is FileKind.PAYLOAD])
        moved.batches += get([file for file in wave if file.kind is FileKind.MANIFEST])
        pace.tick(len(wave))
    if mailbox and not keep:
        # Payload first: a manifest left alone in a mailbox is fetched again and found known; a payload left alone would stay for ever.
        for kind in (FileKind.VOID, FileKind.PAYLOAD, FileKind.MANIFEST):
            link.remove_many([(folder, str(file)) for file in (*voids, *batches) if file.kind is kind])


def in_order(files: Iterable[FileName]) -> list[FileName]:
    """Receipts first; then by feed and number, a void before its batch, the payload before its manifest."""
    order = {FileKind.RECEIPT: 0, FileKind.VOID: 0, FileKind.PAYLOAD: 1, FileKind.MANIFEST: 2}

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


@dataclass(slots=True)
class _Pace:
    """How far a load or unload is, told to whoever watches."""

    ctx: Context
    step: str
    unit: str
    total: int
    bytes_total: int
    done: int = 0
    bytes_done: int = 0
    bytes_reached: int = 0

    def moved(self, count: int) -> None:
        """Bytes that a road has just moved. It may say more than there is: a file that is begun again."""
        self.bytes_done = min(self.bytes_done + count, self.bytes_total)
        self.tick(0)

    def reached(self, size: int) -> None:
        """Files of this size are there, moved or not."""
        self.bytes_reached += size
        self.bytes_done = self.bytes_reached

    def tick(self, more: int) -> None:
        """So many more are done."""
        self.done += more
        unit = "batches" if self.step != "fetch" else "files"
        self.ctx.observe(Progress(self.step, self.done, self.total, unit, self.bytes_done, self.bytes_total))


def _names(folder: Path) -> list[FileName]:
    """The files in a folder that have a name of ours; a folder that is not there is an empty one."""
    try:
        with os.scandir(folder) as entries:
            return [parsed for entry in entries if (parsed := parse_file_name(entry.name)) is not None]
    except FileNotFoundError:
        return []


def _held(inbox: Path, remote: RemoteFile) -> bool:
    try:
        return (inbox / remote.name).stat().st_size == remote.size
    except FileNotFoundError:
        return False
