"""Seal: documents become batches in the outbox.

Ordering rules, which recovery (settling.py) relies on:
1. The payload is written to `.partial/`, fsynced, and renamed into the first recipient's outbox; further recipients get a link to it.
2. One transaction records the batch: manifest, recipients, the feed's head, and what was sealed of every document.
3. The manifest is published, last. At that instant the batch exists.
A crash before 2 leaves a payload that no ledger knows: recovery removes it, the number was never used. A crash between 2 and 3 leaves
a batch without its manifest: recovery publishes it from the ledger, byte for byte.

What was sealed before is remembered by key and content digest, never by a clock or a cursor: a sale saved late, or changed, is found.
Documents that break the contract are not sealed; they are counted and named in the report, and stay unsealed until they are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from filesync.errors import ConfigError, RejectedError
from filesync.exchange import discreet, versions
from filesync.exchange.context import SOFTWARE, Context
from filesync.exchange.cutting import Order, Piece, batches, pieces
from filesync.exchange.reports import Progress, SealedBatch, SealReport
from filesync.protocol.admission import Standing
from filesync.protocol.envelope import canonical, encode, sha256_hex
from filesync.protocol.identity import BatchId, Feed, Format, Mode
from filesync.protocol.manifest import Manifest
from filesync.stores.digests import Digests
from filesync.stores.values import OutgoingRecord
from filesync.writers import durable
from filesync.writers.payload import write_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from filesync.contracts import Contract, TotalsSum
    from filesync.protocol.signing import PublicKey

#: Batches that share folder syncs and a ledger transaction, up to so many payload bytes: a large one stands alone.
WAVE_BATCHES = 64
WAVE_BYTES = 8 << 20


@dataclass(slots=True)
class _Sealing:
    """A batch under way: what its pieces add up to while the payload is written."""

    sums: TotalsSum
    digests: Digests
    pieces: int = 0

    def through(self, pieces: Iterable[Piece]) -> Iterator[pa.Table]:
        for piece in pieces:
            self.sums.add(piece.table)
            self.digests.add(piece.digests)
            self.pieces += 1
            yield piece.table


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch whose payload is written, under a working name, and whose promise is made; nobody knows of it yet."""

    temporary: Path
    manifest: Manifest
    record: OutgoingRecord

    @property
    def standing(self) -> Standing:
        return Standing(self.manifest.id.seq, self.record.manifest_sha256)


def seal(ctx: Context, order: Order, chunks: Iterable[pa.Table]) -> SealReport:
    """Seal every document of `chunks` (tables that fit the contract's columns) that is new or changed.

    Raises `RejectedError` when the contract rejects whole captures and a document breaks it; nothing of the capture is sealed
    beyond the waves that were complete before.
    """
    with discreet.mistakes(order.contract):
        return _seal(ctx, order, chunks)


def _seal(ctx: Context, order: Order, chunks: Iterable[pa.Table]) -> SealReport:
    contract = order.contract
    report = SealReport(contract.dataset)
    recipients = ctx.settings.members(order.audience)
    readers = _readers(ctx, order, recipients)
    head = ctx.store.head(contract.dataset, order.audience)
    whole = order.mode is Mode.SNAPSHOT
    # Whom the feed cannot simply go on for: a snapshot is its beginning for them, whatever went before it.
    begins = whole and bool(ctx.store.beginners(contract.dataset, order.audience, recipients))
    wave: list[_Prepared] = []
    try:
        for batch in batches(pieces(ctx, order, chunks, report), None if whole else order.documents_max):
            first = next(batch)
            if whole and not begins and _held_already(ctx, order, recipients, first):
                report.unchanged += first.table.num_rows + sum(piece.table.num_rows for piece in batch)
                continue
            prepared = _prepare(ctx, order, recipients, readers, chain([first], batch), head, begins=begins)
            head = prepared.standing
            wave.append(prepared)
            size = sum(each.record.payload_bytes for each in wave)
            if len(wave) >= WAVE_BATCHES or size >= WAVE_BYTES:
                _finish(ctx, order, recipients, wave, report)
                wave = []
    except BaseException:
        for prepared in wave:  # never batches: their numbers were not used
            prepared.temporary.unlink(missing_ok=True)
        raise
    _finish(ctx, order, recipients, wave, report)
    if report.held:
        report.failed.append(versions.waiting(ctx, contract, recipients, report.held))
    if contract.active_column is not None:
        report.beginners = ctx.store.beginners(contract.dataset, order.audience, recipients)
    return report


def _readers(ctx: Context, order: Order, recipients: tuple[str, ...]) -> tuple[PublicKey, ...]:
    """The keys that an encrypted payload is for: those that its recipients' signatures are checked with. One that is not known is an error.

    This site reads its own batches again where they tell of a day (day/sealed.py), but not those whose contract is about secrets.
    """
    if order.format is not Format.JSONL_AGE:
        return ()
    pinned = ctx.settings.pinned
    if unknown := [peer for peer in recipients if peer not in pinned]:
        raise ConfigError(
            "recipient-key-missing",
            f"{order.contract.dataset} travels encrypted to its recipients; no key is known of {', '.join(unknown)}",
        )
    own = () if order.contract.encrypted else (ctx.settings.key.public,)
    return (*own, *(pinned[peer] for peer in recipients))


def _held_already(ctx: Context, order: Order, recipients: tuple[str, ...], whole: Piece) -> bool:
    """Whether all of them have this very snapshot as their newest batch, or will have it. By content: an encrypted one is never the same bytes."""
    if order.again:
        return False
    dataset, audience = order.contract.dataset, order.audience
    last = ctx.store.last_sealed(dataset, audience)
    if last is None or last[0] is not Mode.SNAPSHOT or not last[1].issuperset(recipients):
        return False
    return ctx.store.compare_sealed(dataset, audience, whole.digests).equal


def _prepare(
    ctx: Context,
    order: Order,
    recipients: tuple[str, ...],
    readers: tuple[PublicKey, ...],
    parts: Iterator[Piece],
    head: Standing | None,
    *,
    begins: bool,
) -> _Prepared:
    """Write the payload and make the promise. A batch that `begins` the feed anew has no predecessor."""
    contract = order.sealed_as
    first = next(parts)
    seq = 1 if head is None else head.seq + 1
    outbox = ctx.folders.outbox(recipients[0])
    temporary = durable.partial_path(outbox, f"{contract.dataset}.{order.audience}.{seq}.sealing")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    sealing = _Sealing(contract.totals_sum(), Digests(temporary.parent))
    written = write_payload(
        temporary, order.format, contract, sealing.through(chain([first], parts)), readers=readers
    )
    _named_once(contract, temporary, sealing)
    manifest = Manifest(
        id=BatchId(Feed(ctx.me, contract.dataset, order.audience), ctx.epoch, seq),
        version=contract.version, recipients=recipients, mode=order.mode, business_date=first.day, format=order.format,
        payload_bytes=written.bytes, payload_sha256=written.sha256, rows=sealing.sums.rows, totals=sealing.sums.totals,
        previous=None if head is None or begins else head.manifest_sha256, replaces=first.replaces, sealed_at=ctx.now(), software=SOFTWARE,
    )  # fmt: skip
    text = _promise(temporary, manifest)
    record = OutgoingRecord(
        name=manifest.name, format=order.format, payload_bytes=written.bytes, payload_sha256=written.sha256,
        documents=sealing.sums.rows[contract.dataset], mode=order.mode, manifest=text.decode(), manifest_sha256=sha256_hex(text),
        replaces=first.replaces, sealed_at=manifest.sealed_at, recipients=recipients, digests=sealing.digests,
    )  # fmt: skip
    return _Prepared(temporary, manifest, record)


def _promise(temporary: Path, manifest: Manifest) -> bytes:
    """The canonical manifest, read back as its recipients will read it: what they would refuse is not sealed."""
    try:
        signed = manifest.to_signed()
        Manifest.from_signed(signed)
        return canonical(signed)
    except (RejectedError, ValueError) as err:
        temporary.unlink()
        raise RejectedError(
            "manifest-invalid", f"{manifest.id}: expected a manifest that can be sent: {err}"
        ) from err


def _finish(
    ctx: Context, order: Order, recipients: tuple[str, ...], wave: list[_Prepared], report: SealReport
) -> None:
    """Make the wave's batches exist, in the order of the module's rules."""
    if not wave:
        return
    outbox = ctx.folders.outbox(recipients[0])
    files = [(prepared.temporary, prepared.manifest.payload_file) for prepared in wave]
    durable.adopt_many([(temporary, outbox, name) for temporary, name in files])
    durable.link_many(
        [(outbox / name, ctx.folders.outbox(peer), name) for peer in recipients[1:] for _, name in files]
    )
    ctx.store.record_sealed([prepared.record for prepared in wave], forget_others=order.mode is Mode.SNAPSHOT)
    # At this instant the numbers are used; the manifests can be written again from the ledger.
    publish_manifests(ctx, [prepared.manifest for prepared in wave], recipients)
    for prepared in wave:
        record = prepared.record
        totals = prepared.manifest.totals
        report.sealed.append(
            SealedBatch(record.name.stem, recipients, record.documents, record.payload_bytes, totals)
        )
    ctx.observe(Progress("seal", sum(batch.documents for batch in report.sealed), None, "documents"))


def _named_once(contract: Contract, temporary: Path, sealing: _Sealing) -> None:
    """A key that repeats within a chunk was refused there; here the chunks of a batch are compared with each other."""
    if sealing.pieces > 1 and sealing.digests.repeats():
        temporary.unlink()
        raise RejectedError(
            "duplicate-key",
            f"{contract.name}: expected each key ({', '.join(contract.key)}) once in a capture, got some of them again",
        )


def publish_manifests(ctx: Context, manifests: Iterable[Manifest], recipients: Sequence[str]) -> None:
    """Make batches exist for these recipients: their payloads lie in the outboxes already.

    Written once and linked, as the payload is: a manifest names all its recipients, and there may be thousands of them.
    """
    first, *others = (ctx.folders.outbox(peer) for peer in recipients)
    texts = [
        (manifest.name.manifest, encode(manifest.to_signed(), ctx.settings.key)) for manifest in manifests
    ]
    durable.publish_many([(first, name, text) for name, text in texts])
    durable.link_many([(first / name, outbox, name) for outbox in others for name, _ in texts])
