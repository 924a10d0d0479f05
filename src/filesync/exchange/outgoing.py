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

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.config import RELAYS_BY_ROLE
from filesync.contracts.digests import row_digests
from filesync.errors import ConfigError, RejectedError
from filesync.exchange.context import SOFTWARE, Context
from filesync.exchange.reports import Progress, SealedBatch, SealReport
from filesync.protocol.envelope import canonical, encode, sha256_hex
from filesync.protocol.identity import BatchId, Feed, Format, Mode
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem
from filesync.stores.sqlite import OutgoingRecord
from filesync.writers import durable
from filesync.writers.payload import write_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from filesync.contracts import Contract, TotalsSum

PROBLEMS_MAX = 100


@dataclass(frozen=True, slots=True)
class Order:
    """What to seal and for whom. `full` ignores what was sealed before (and makes a snapshot where the contract has an active column)."""

    contract: Contract
    audience: str
    format: Format
    documents_max: int
    business_date: date | None = None
    full: bool = False
    again: bool = False

    @property
    def mode(self) -> Mode:
        """A snapshot says what is absent; only cadastros can (their rows become inactive, never vanish)."""
        return Mode.SNAPSHOT if self.full and self.contract.active_column else Mode.DELTA


@dataclass(frozen=True, slots=True)
class _Piece:
    """Documents that belong into one batch: same business date, same rejected batch that they replace."""

    day: date
    replaces: str | None
    table: pa.Table
    digests: pa.Table


@dataclass(slots=True)
class _Sealing:
    """A batch under way: what its pieces add up to while the payload is written."""

    sums: TotalsSum
    digests: list[pa.Table] = field(default_factory=list)

    def through(self, pieces: Iterable[_Piece]) -> Iterator[pa.Table]:
        for piece in pieces:
            self.sums.add(piece.table)
            self.digests.append(piece.digests)
            yield piece.table


def seal(ctx: Context, order: Order, chunks: Iterable[pa.Table]) -> SealReport:
    """Seal every document of `chunks` (tables that fit the contract's columns) that is new or changed.

    Raises `RejectedError` when the contract rejects whole captures and a document breaks it; nothing of the capture is sealed
    beyond batches that were complete before.
    """
    contract = order.contract
    if contract.encrypted:
        raise ConfigError(
            "encryption-missing",
            f"{contract.dataset} holds password hashes and may only travel encrypted to its recipient, which this version cannot do",
        )
    report = SealReport(contract.dataset)
    recipients = ctx.settings.members(order.audience)
    pieces = _pieces(ctx, order, chunks, report)
    whole = order.mode is Mode.SNAPSHOT
    for batch in _batches(pieces, None if whole else order.documents_max):
        sealed = _write(ctx, order, recipients, batch, report)
        if sealed:
            report.sealed.append(sealed)
            done = sum(b.documents for b in report.sealed)
            ctx.observe(Progress("seal", done, None, "documents"))
    return report


def _pieces(ctx: Context, order: Order, chunks: Iterable[pa.Table], report: SealReport) -> Iterator[_Piece]:
    """Check each chunk and cut it into pieces; documents that were sealed before fall out here."""
    contract = order.contract
    if (
        order.mode is Mode.SNAPSHOT
    ):  # absence is only known of the whole; the key's order makes equal snapshots equal bytes
        whole = list(chunks)
        chunks = (
            [pa.concat_tables(whole).sort_by([(name, "ascending") for name in contract.key])] if whole else []
        )
    for raw in chunks:
        table = _valid(ctx, order, contract.conform(raw), report)
        report.gaps.extend(contract.gaps(table))
        digests = row_digests(table, contract.key)
        memory = pa.table(
            {
                "key_digest": digests.keys,
                "content_digest": digests.contents,
                "row": pa.array(np.arange(table.num_rows)),
            }
        )
        owed = pa.nulls(table.num_rows, pa.string())
        if not (order.full or order.again):
            fresh = ctx.store.unsealed(contract.dataset, order.audience, memory)
            if fresh.num_rows < table.num_rows:
                report.unchanged += table.num_rows - fresh.num_rows
                order_of_rows = pc.sort_indices(fresh.column("row"))
                fresh = fresh.take(order_of_rows)
                table, memory = table.take(fresh.column("row")), memory.take(fresh.column("row"))
                owed = fresh.column("owed_batch").combine_chunks()
        yield from _cut(ctx, order, table, memory.select(["key_digest", "content_digest"]), owed)


def _valid(ctx: Context, order: Order, table: pa.Table, report: SealReport) -> pa.Table:
    """The documents that keep the contract, come from here, and are named once."""
    contract = order.contract
    first = report.documents
    report.documents += table.num_rows
    findings = contract.validate(table)
    problems = [] if findings.ok else findings.problems(PROBLEMS_MAX, offset=first)
    bad = None if findings.ok else findings.bad
    for code, mask, message in (
        (
            "foreign-origem",
            _foreign(ctx, contract, table),
            f"origem: expected {ctx.me!r}; a site sends its own rows only",
        ),
        (
            "duplicate-key",
            contract.duplicates(table),
            f"the key {', '.join(contract.key)} stands in this capture more than once",
        ),
    ):
        if mask is not None and pc.any(mask).as_py():
            rows = np.flatnonzero(np.asarray(mask))
            problems += [
                Problem(code, message, contract.dataset, first + int(row)) for row in rows[:PROBLEMS_MAX]
            ]
            bad = mask if bad is None else pc.or_(bad, mask)
    if bad is None:
        return table
    count = int(pc.sum(bad).as_py() or 0)
    report.refused += count
    report.problems.extend(problems[: PROBLEMS_MAX - len(report.problems)])
    if contract.on_bad_rows.value == "reject":
        where = problems[0]
        raise RejectedError(
            "bad-rows", f"{contract.name}: {count} of {table.num_rows} documents break the contract, so nothing was sealed; "
            f"first: document {where.row}: {where.message}",
        )  # fmt: skip
    return table.filter(pc.invert(bad))


def _foreign(ctx: Context, contract: Contract, table: pa.Table) -> pa.ChunkedArray | None:
    if contract.dataset in RELAYS_BY_ROLE.get(ctx.settings.role, frozenset()):
        return None
    return pc.not_equal(table.column("origem"), ctx.me)


def _cut(ctx: Context, order: Order, table: pa.Table, memory: pa.Table, owed: pa.Array) -> Iterator[_Piece]:
    """By business date and by the rejected batch that is replaced; rows keep their order inside a piece."""
    if not table.num_rows:
        return
    column = order.contract.business_date_column
    if order.mode is Mode.SNAPSHOT or column is None:
        day = order.business_date or ctx.clock().date()
        days = pa.repeat(pa.scalar(day, pa.date32()), table.num_rows)
    else:
        days = table.column(column).combine_chunks()
    groups = pa.table({"day": days, "owed": owed})
    distinct = groups.group_by(["day", "owed"], use_threads=False).aggregate([])
    for item in sorted(distinct.to_pylist(), key=lambda d: (d["day"], d["owed"] or "")):
        if order.business_date is not None and item["day"] != order.business_date:
            continue
        if distinct.num_rows == 1:
            yield _Piece(item["day"], item["owed"], table, memory)
            return
        same = pc.is_null(groups["owed"]) if item["owed"] is None else pc.equal(groups["owed"], item["owed"])
        mask = pc.fill_null(
            pc.and_kleene(pc.equal(groups["day"], pa.scalar(item["day"], pa.date32())), same),
            fill_value=False,
        )
        yield _Piece(item["day"], item["owed"], table.filter(mask), memory.filter(mask))


def _batches(pieces: Iterator[_Piece], documents_max: int | None) -> Iterator[Iterator[_Piece]]:
    """Consecutive pieces of one kind share a batch, up to `documents_max`; each inner iterator must be read to its end."""
    waiting: list[_Piece] = []

    def take(first: _Piece) -> Iterator[_Piece]:
        room = documents_max
        piece: _Piece | None = first
        while piece is not None:
            rows = piece.table.num_rows
            if room is not None and rows > room:
                yield _Piece(
                    piece.day, piece.replaces, piece.table.slice(0, room), piece.digests.slice(0, room)
                )
                waiting.append(
                    _Piece(piece.day, piece.replaces, piece.table.slice(room), piece.digests.slice(room))
                )
                return
            yield piece
            room = None if room is None else room - rows
            following = next(pieces, None)
            if following is not None and (
                (following.day, following.replaces) != (first.day, first.replaces) or room == 0
            ):
                waiting.append(following)
                return
            piece = following

    while (head := waiting.pop() if waiting else next(pieces, None)) is not None:
        yield take(head)


def _write(
    ctx: Context, order: Order, recipients: tuple[str, ...], pieces: Iterator[_Piece], report: SealReport
) -> SealedBatch | None:
    contract, store = order.contract, ctx.store
    first = next(pieces)
    head = store.head(contract.dataset, order.audience)
    seq = 1 if head is None else head.seq + 1
    sealing = _Sealing(contract.totals_sum())
    outbox = ctx.folders.outbox(recipients[0])
    temporary = durable.partial_path(outbox, f"{contract.dataset}.{order.audience}.{seq}.sealing")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    written = write_payload(temporary, order.format, contract, sealing.through(chain([first], pieces)))
    if order.mode is Mode.SNAPSHOT and store.last_payload(contract.dataset, order.audience) == (
        written.sha256,
        order.mode.value,
    ):
        temporary.unlink()  # the same snapshot again
        report.unchanged += sealing.sums.rows[contract.dataset]
        return None
    digests = pa.concat_tables(sealing.digests)
    _named_once(contract, temporary, digests)
    manifest = Manifest(
        id=BatchId(Feed(ctx.me, contract.dataset, order.audience), ctx.epoch, seq),
        version=contract.version, recipients=recipients, mode=order.mode, business_date=first.day, format=order.format,
        payload_bytes=written.bytes, payload_sha256=written.sha256, rows=sealing.sums.rows, totals=sealing.sums.totals,
        previous=None if head is None else head.manifest_sha256, replaces=first.replaces, sealed_at=ctx.now(), software=SOFTWARE,
    )  # fmt: skip
    durable.adopt(temporary, outbox, manifest.payload_file)
    durable.link_many(
        [
            (outbox / manifest.payload_file, ctx.folders.outbox(peer), manifest.payload_file)
            for peer in recipients[1:]
        ]
    )
    signed = manifest.to_signed()
    text = canonical(signed)
    documents = sealing.sums.rows[contract.dataset]
    record = OutgoingRecord(
        name=manifest.name, format=order.format, payload_bytes=written.bytes, payload_sha256=written.sha256, documents=documents,
        mode=order.mode, manifest=text.decode(), manifest_sha256=sha256_hex(text), replaces=first.replaces,
        sealed_at=manifest.sealed_at, recipients=recipients, digests=digests,
    )  # fmt: skip
    store.record_sealed([record], forget_others=order.mode is Mode.SNAPSHOT)
    # At this instant the number is used; the manifest can be written again from the ledger.
    publish_manifests(ctx, [(manifest, signed)], recipients)
    return SealedBatch(manifest.name.stem, recipients, documents, written.bytes, dict(manifest.totals))  # type: ignore[arg-type]


def _named_once(contract: Contract, temporary: Path, digests: pa.Table) -> None:
    """A key that repeats within a chunk was refused there; here the chunks of a batch are compared with each other."""
    if digests.column("key_digest").num_chunks > 1:
        keys = digests.column("key_digest").combine_chunks()
        lanes = np.frombuffer(keys.buffers()[1], np.uint64).reshape(-1, 2)[
            keys.offset : keys.offset + len(keys), 0
        ]
        ordered = np.sort(lanes)  # one lane first: numbers sort forty times as fast as sixteen bytes
        if (ordered[1:] == ordered[:-1]).any() and pc.count_distinct(keys).as_py() < len(keys):
            temporary.unlink()
            raise RejectedError(
                "duplicate-key",
                f"{contract.name}: expected each key ({', '.join(contract.key)}) once in a capture, got some of them again",
            )


def publish_manifests(
    ctx: Context, manifests: Iterable[tuple[Manifest, dict[str, object]]], recipients: tuple[str, ...]
) -> None:
    """Make batches exist for these recipients: their payloads lie in the outboxes already."""
    files = [(manifest.name.manifest, encode(signed, ctx.settings.key)) for manifest, signed in manifests]
    durable.publish_many(
        [(ctx.folders.outbox(peer), name, data) for peer in recipients for name, data in files]
    )
