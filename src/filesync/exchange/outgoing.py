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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from filesync.errors import ConfigError, RejectedError
from filesync.exchange import discreet, versions
from filesync.exchange.context import SOFTWARE, Context
from filesync.exchange.cutting import Order, Piece, batches, pieces
from filesync.exchange.reports import Progress, SealedBatch, SealReport
from filesync.protocol.admission import Standing
from filesync.protocol.envelope import canonical, encode_canonical, sha256_hex
from filesync.protocol.identity import BatchId, BatchName, Feed, Format, Mode
from filesync.protocol.manifest import Manifest
from filesync.stores.digests import Digests, words_of
from filesync.stores.values import OutgoingRecord
from filesync.writers import durable
from filesync.writers.payload import small_payloads, write_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from filesync.contracts import Contract, Totals, TotalsSum
    from filesync.protocol.signing import PublicKey
    from filesync.writers.payload import Written

#: Batches that share folder syncs and a ledger transaction, up to so many payload bytes: a large one stands alone.
WAVE_BATCHES = 128
WAVE_BYTES = 8 << 20
#: Batches of up to so many documents are made together with their neighbours, and held in memory until their wave is finished: what is
#: worked out a column at a time costs hardly more for a thousand documents than for twenty.
SMALL_DOCUMENTS = 128


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
    """A batch whose promise is made; nobody knows of it yet. `payload`: a file under a working name, or the bytes of a small one."""

    payload: Path | bytes
    manifest: Manifest
    record: OutgoingRecord


@dataclass(slots=True)
class _Maker:
    """Makes batches of one feed, each with the number after the one before it."""

    ctx: Context
    order: Order
    recipients: tuple[str, ...]
    readers: tuple[PublicKey, ...]
    head: Standing | None
    begins: bool = False  # a batch that begins the feed anew has no predecessor

    def takes_small(self, piece: Piece) -> bool:
        """Whether a batch of this piece alone may be made with others. Every encryption is one of its own."""
        return piece.table.num_rows <= SMALL_DOCUMENTS and self.order.format is not Format.JSONL_AGE

    def small(self, alone: Sequence[Piece]) -> Iterator[_Prepared]:
        """Batches of one small piece each."""
        if not alone:
            return
        contract = self.order.sealed_as
        counts = [piece.table.num_rows for piece in alone]
        table = pa.concat_tables([piece.table for piece in alone]).combine_chunks()
        owners = pa.array(np.repeat(np.arange(len(alone), dtype=np.int32), counts))
        claims = contract.claims_by_group(table, owners, len(alone))
        payloads = small_payloads(self.order.format, contract, table, counts)
        words = words_of(pa.concat_tables([piece.digests for piece in alone]).combine_chunks())
        start = 0
        for piece, (rows, totals), (data, written) in zip(alone, claims, payloads, strict=True):
            digests = Digests.of_words(words[start : start + written.rows])
            start += written.rows
            yield self._promise(piece, data, written, rows, totals, digests)

    def large(self, parts: Iterator[Piece]) -> _Prepared:
        """A batch of any size: its payload is written into a file, piece by piece."""
        contract = self.order.sealed_as
        first = next(parts)
        seq = 1 if self.head is None else self.head.seq + 1
        outbox = self.ctx.folders.outbox(self.recipients[0])
        temporary = durable.partial_path(outbox, f"{contract.dataset}.{self.order.audience}.{seq}.sealing")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        sealing = _Sealing(contract.totals_sum(), Digests(temporary.parent))
        try:
            tables = sealing.through(chain([first], parts))
            written = write_payload(temporary, self.order.format, contract, tables, readers=self.readers)
            _named_once(contract, sealing)
            return self._promise(
                first, temporary, written, sealing.sums.rows, sealing.sums.totals, sealing.digests
            )
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _promise(
        self, first: Piece, payload: Path | bytes, written: Written, rows: dict[str, int], totals: Totals, digests: Digests
    ) -> _Prepared:  # fmt: skip
        """The manifest, read back as its recipients will read it: what they would refuse is not sealed."""
        contract, ctx = self.order.sealed_as, self.ctx
        seq = 1 if self.head is None else self.head.seq + 1
        previous = None if self.head is None or self.begins else self.head.manifest_sha256
        manifest = Manifest(
            id=BatchId(Feed(ctx.me, contract.dataset, self.order.audience), ctx.epoch, seq),
            version=contract.version, recipients=self.recipients, mode=self.order.mode, business_date=first.day,
            format=self.order.format, payload_bytes=written.bytes, payload_sha256=written.sha256, rows=rows, totals=totals,
            previous=previous, replaces=first.replaces, sealed_at=ctx.now(), software=SOFTWARE,
        )  # fmt: skip
        try:
            signed = manifest.to_signed()
            Manifest.from_signed(signed)
            text = canonical(signed)
        except (RejectedError, ValueError) as err:
            raise RejectedError(
                "manifest-invalid", f"{manifest.id}: expected a manifest that can be sent: {err}"
            ) from err
        record = OutgoingRecord(
            name=manifest.name, format=self.order.format, payload_bytes=written.bytes, payload_sha256=written.sha256,
            documents=rows[contract.dataset], mode=self.order.mode, manifest=text.decode(), manifest_sha256=sha256_hex(text),
            replaces=first.replaces, sealed_at=manifest.sealed_at, recipients=self.recipients, digests=digests,
        )  # fmt: skip
        self.head = Standing(seq, record.manifest_sha256)
        return _Prepared(payload, manifest, record)


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
    wave: list[_Prepared] = []
    try:
        for prepared in _prepared(ctx, order, recipients, chunks, report):
            wave.append(prepared)
            size = sum(each.record.payload_bytes for each in wave)
            if len(wave) >= WAVE_BATCHES or size >= WAVE_BYTES:
                _finish(ctx, order, recipients, wave, report)
                wave = []
    except BaseException:
        for prepared in wave:  # never batches: their numbers were not used
            if isinstance(prepared.payload, Path):
                prepared.payload.unlink(missing_ok=True)
        raise
    _finish(ctx, order, recipients, wave, report)
    if report.held:
        report.failed.append(versions.waiting(ctx, contract, recipients, report.held))
    if contract.active_column is not None:
        report.beginners = ctx.store.beginners(contract.dataset, order.audience, recipients)
    return report


def _prepared(
    ctx: Context, order: Order, recipients: tuple[str, ...], chunks: Iterable[pa.Table], report: SealReport
) -> Iterator[_Prepared]:
    """The batches of a capture in their order; small ones are made when there are enough of them, or a large one follows."""
    dataset = order.contract.dataset
    whole = order.mode is Mode.SNAPSHOT
    # Whom the feed cannot simply go on for: a snapshot is its beginning for them, whatever went before it.
    begins = whole and bool(ctx.store.beginners(dataset, order.audience, recipients))
    head = ctx.store.head(dataset, order.audience)
    maker = _Maker(ctx, order, recipients, _readers(ctx, order, recipients), head, begins)
    small: list[Piece] = []
    for batch in batches(pieces(ctx, order, chunks, report), None if whole else order.documents_max):
        first = next(batch)
        if whole and not begins and _held_already(ctx, order, recipients, first):
            report.unchanged += first.table.num_rows + sum(piece.table.num_rows for piece in batch)
            continue
        second = next(batch, None)
        together = second is None and maker.takes_small(first)
        if together:
            small.append(first)
        if not together or len(small) == WAVE_BATCHES:
            yield from maker.small(small)
            small = []
        if not together:
            yield maker.large(chain([first] if second is None else [first, second], batch))
    yield from maker.small(small)


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


def _finish(
    ctx: Context, order: Order, recipients: tuple[str, ...], wave: list[_Prepared], report: SealReport
) -> None:
    """Make the wave's batches exist, in the order of the module's rules."""
    if not wave:
        return
    outbox = ctx.folders.outbox(recipients[0])
    held = [(prepared.payload, outbox, prepared.manifest.payload_file) for prepared in wave]
    durable.publish_many([(folder, name, data) for data, folder, name in held if isinstance(data, bytes)])
    durable.adopt_many([(path, folder, name) for path, folder, name in held if isinstance(path, Path)])
    durable.link_many(
        [(outbox / name, ctx.folders.outbox(peer), name) for peer in recipients[1:] for _, _, name in held]
    )
    records = [prepared.record for prepared in wave]
    ctx.store.record_sealed(records, forget_others=order.mode is Mode.SNAPSHOT)
    # At this instant the numbers are used; the manifests can be written again from the ledger.
    publish_manifests(ctx, [(record.name, record.manifest) for record in records], recipients)
    for prepared in wave:
        record = prepared.record
        totals = prepared.manifest.totals
        report.sealed.append(
            SealedBatch(record.name.stem, recipients, record.documents, record.payload_bytes, totals)
        )
    ctx.observe(Progress("seal", sum(batch.documents for batch in report.sealed), None, "documents"))


def _named_once(contract: Contract, sealing: _Sealing) -> None:
    """A key that repeats within a chunk was refused there; here the chunks of a batch are compared with each other."""
    if sealing.pieces > 1 and sealing.digests.repeats():
        raise RejectedError(
            "duplicate-key",
            f"{contract.name}: expected each key ({', '.join(contract.key)}) once in a capture, got some of them again",
        )


def publish_manifests(
    ctx: Context, manifests: Iterable[tuple[BatchName, str]], recipients: Sequence[str]
) -> None:
    """Make batches exist for these recipients: their payloads lie in the outboxes already. Manifests are given as the ledger holds them.

    Written once and linked, as the payload is: a manifest names all its recipients, and there may be thousands of them.
    """
    first, *others = (ctx.folders.outbox(peer) for peer in recipients)
    texts = [(name.manifest, encode_canonical(text.encode(), ctx.settings.key)) for name, text in manifests]
    durable.publish_many([(first, name, text) for name, text in texts])
    durable.link_many([(first / name, outbox, name) for outbox in others for name, _ in texts])
