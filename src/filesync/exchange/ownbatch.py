"""A file that this site takes in itself, as a batch of its own: manifest, payload, receipt and ledger row as of any other batch.

The feed is (this site, dataset, this site). Its payload holds the rows as they were applied, in Parquet, so that whoever checks the batch
needs no layout; the file itself is kept beside it as `<batch>.original<.ext>`, and its digest is in the ledger (fs_file).

Ordering rules:
1. Payload, manifest and the copy of the file are written durably into `run/own/`.
2. One transaction takes out the rows of the day's earlier file, appends the new ones, and records batch, receipt and file, and whatever the
   caller adds. At that instant the file is taken.
3. The files move into the archive, the manifest last, and the receipt is written beside them.
A crash before 2 leaves files in `run/own/` that no ledger knows: `recover` removes them, the number was never used. A crash after 2 leaves
them known: `recover` moves them. Another machine of this site that took a file between preparing and 2 is noticed in 2: nothing was done then
(`HeadMovedError`), and what lies here of a number that is now another manifest's is no batch either.

What is not here: reading the file, whether it may be taken (day.filing).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.errors import DamagedError, RejectedError, TransportError
from filesync.exchange import own_tables, quarantine
from filesync.exchange.context import SOFTWARE, Context
from filesync.exchange.pipeline import ahead
from filesync.protocol.admission import Standing
from filesync.protocol.envelope import canonical, decode, encode, sha256_hex
from filesync.protocol.identity import BatchId, Feed, FileKind, Format, Mode, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem, Receipt, Verdict
from filesync.readers.payload import read_payload
from filesync.stores.files import FileRecord
from filesync.stores.tables import in_runs
from filesync.stores.values import IncomingRecord
from filesync.writers import durable
from filesync.writers.payload import write_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date
    from pathlib import Path

    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.stores.values import StoredReceipt

#: Behind a batch's name, before the file's own ending.
ORIGINAL = ".original"
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class OwnFile:
    """The file that a batch is made of, and by which layout."""

    path: Path
    sha256: str
    bytes: int
    layout: str
    layout_sha256: str
    by: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A payload that is written, under a working name; nobody knows of it yet."""

    contract: Contract
    day: date
    temporary: Path
    manifest: Manifest

    def discard(self) -> None:
        """The file is not taken after all."""
        self.temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken. `superseded` is the batch whose rows it replaced."""

    batch: str
    verdict: Verdict
    documents: int
    superseded: str | None
    record: FileRecord
    manifest: Manifest


def prepare(ctx: Context, contract: Contract, day: date, tables: Iterable[pa.Table]) -> Prepared:
    """Write the rows (they were checked) as a payload. What `tables` raises goes through, and nothing is left behind."""
    recover(ctx)
    folder = _folder(ctx)
    temporary = durable.partial_path(folder, f"{contract.dataset}.taking")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    sums = contract.totals_sum()

    def through() -> Iterator[pa.Table]:
        for table in tables:
            if table.num_rows:
                sums.add(table)
                yield table

    try:
        written = write_payload(temporary, Format.PARQUET, contract, through())
        head = ctx.store.head(contract.dataset, ctx.me)
        manifest = Manifest(
            id=BatchId(Feed(ctx.me, contract.dataset, ctx.me), ctx.epoch, 1 if head is None else head.seq + 1),
            version=contract.version, recipients=(ctx.me,), mode=Mode.DELTA, business_date=day, format=Format.PARQUET,
            payload_bytes=written.bytes, payload_sha256=written.sha256, rows=sums.rows, totals=sums.totals,
            previous=None if head is None else head.manifest_sha256, replaces=None, sealed_at=ctx.now(), software=SOFTWARE,
        )  # fmt: skip
        Manifest.from_signed(manifest.to_signed())
        canonical(manifest.to_signed())
    except (RejectedError, ValueError) as err:
        temporary.unlink(missing_ok=True)
        if isinstance(err, RejectedError):
            raise
        raise RejectedError("totals-too-large", f"{contract.dataset} of {day}: {err}") from err
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Prepared(contract, day, temporary, manifest)


def take(
    ctx: Context,
    prepared: Prepared,
    file: OwnFile,
    *,
    problems: Sequence[Problem] = (),
    set_aside: int = 0,
    aside: Sequence[str] = (),
    also: Callable[[Taken], None] | None = None,
) -> Taken:
    """Apply a prepared file; its day's earlier one gives way. `also` is done in the same transaction.

    `set_aside` rows are not among those prepared: they are counted, and kept in quarantine as the lines `aside`, with `problems`.
    Raises TransportError `source-changing` where the file is not any more what was read; HeadMovedError where another machine of this site took
    one since it was prepared: look again; RejectedError `apply-failed` where the user's own statements (own_tables.py) refuse it.
    """
    manifest, folder = prepared.manifest, _folder(ctx)
    stem = manifest.name.stem
    # The file first: when it changed since it was read, nothing was done.
    _keep_original(folder, stem, file)
    durable.adopt(prepared.temporary, folder, manifest.payload_file)
    durable.publish(folder, manifest.name.manifest, encode(manifest.to_signed(), ctx.settings.key))
    verdict = Verdict.PARTIAL if set_aside else Verdict.APPLIED
    own = ctx.settings.apply.get(prepared.contract.dataset)
    judged = None if manifest.previous is None else Standing(manifest.id.seq - 1, manifest.previous)
    heads = {(manifest.id.feed, manifest.id.epoch): judged}
    with own_tables.answering(ctx, prepared.contract, stem), ctx.store.transaction(heads) as tx:
        before = ctx.store.files.current(prepared.contract.dataset, prepared.day)
        batch_id = tx.next_batch_id()
        tx.ensure_tables(prepared.contract)
        if own is not None:
            tx.stage_own(prepared.contract, {batch_id: stem})
            tx.note_day(prepared.contract, batch_id, ctx.me, prepared.day)
        ctx.store.files.clear_day(prepared.contract, ctx.me, prepared.day)
        flat = (
            prepared.contract.flatten(part.table)
            for part in read_payload(folder / manifest.payload_file, Format.PARQUET, prepared.contract)
        )
        for run in ahead(in_runs(prepared.contract, flat), depth=1):
            tx.append(prepared.contract, run, batch_id)
        if own is not None:
            tx.run_own(own)
        receipt = _receipt(ctx, prepared, verdict, problems)
        documents = manifest.rows.get(prepared.contract.dataset, 0)
        tx.record_incoming([
            IncomingRecord(
                batch_id, manifest.name, manifest.version, manifest.mode, receipt.manifest_sha256, manifest.payload_sha256, verdict,
                canonical(receipt.to_signed()).decode(), receipt.received_at, receipt.applied_at, documents,
            )
        ])  # fmt: skip
        ctx.store.mark_acknowledged([stem])  # nobody waits for this answer: it is kept beside the batch
        record = FileRecord(
            batch_id, stem, prepared.contract.dataset, prepared.day, file.path.name, file.sha256, file.bytes, file.layout,
            file.layout_sha256, documents, set_aside, file.by, receipt.applied_at,
        )  # fmt: skip
        ctx.store.files.record(record)
        taken = Taken(stem, verdict, documents, None if before is None else before.batch, record, manifest)
        if also is not None:
            also(taken)
        if set_aside:
            quarantine.set_aside_rows(
                ctx, ctx.me, stem, aside, _summary(file, set_aside, documents), problems
            )
    # At this instant the file is taken.
    if set_aside:
        quarantine.audit(ctx, ctx.me, stem + quarantine.ROWS_SUFFIX, _summary(file, set_aside, documents))
    recover(ctx)
    if before is not None and before.set_aside:
        _forget_rows(ctx, before.batch, stem)
    return taken


def recover(ctx: Context) -> None:
    """Finish what a crash left in `run/own/`: files of a batch that was taken go into the archive, others were never a batch."""
    folder = _folder(ctx)
    durable.clean_partial(folder)
    lying: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        lying.setdefault(_stem(path.name), []).append(path.name)
    for stem, names in lying.items():
        stored = ctx.store.receipt_of(stem)
        if (
            stored is None
            or stored.receipt is None
            or stored.business_date is None
            or not _is_of(stored, folder, names)
        ):
            durable.remove_many([folder / name for name in names])
            continue
        target = ctx.folders.archive(stored.business_date)
        receipt = Receipt.from_signed(json.loads(stored.receipt))
        durable.publish(target, receipt.name.receipt(ctx.me), encode(receipt.to_signed(), ctx.settings.key))
        # The manifest last: while it lies here, the rest is looked for.
        names.sort(key=lambda name: name == receipt.name.manifest)
        durable.move_many([(folder / name, target, name) for name in names])


def _is_of(stored: StoredReceipt, folder: Path, names: Sequence[str]) -> bool:
    """Whether these files are the batch that the ledger knows, not one of its name that was faster on another machine. The manifest says."""
    manifest = next((name for name in names if name.endswith(".manifest.json")), None)
    if manifest is None:
        return False
    try:
        return sha256_hex(decode((folder / manifest).read_bytes()).canonical) == stored.manifest_sha256
    except DamagedError:
        return True  # its bytes rotted here: they go where whoever verifies the archive finds them


def _stem(name: str) -> str:
    if ORIGINAL in name:
        return name.partition(ORIGINAL)[0]
    parsed = parse_file_name(name)
    return parsed.batch.stem if parsed is not None and parsed.kind is not FileKind.RECEIPT else name


def _folder(ctx: Context) -> Path:
    return ctx.folders.root / "run" / "own"


def _keep_original(folder: Path, stem: str, file: OwnFile) -> None:
    """A copy, never a link: the file is somebody else's, and may be written to."""
    digest = hashlib.sha256()
    try:
        with (
            durable.staged(folder, stem + ORIGINAL + file.path.suffix.lower()) as copy,
            copy.open("wb") as target,
        ):
            with file.path.open("rb") as source:
                while data := source.read(_COPY_BYTES):
                    digest.update(data)
                    target.write(data)
            if digest.hexdigest() != file.sha256:
                raise TransportError(
                    "source-changing",
                    f"{file.path}: it was written to while it was read; try again when it is whole",
                )
    except (FileNotFoundError, PermissionError, shutil.Error) as err:
        raise TransportError("source-locked", f"{file.path}: {err}") from err


def _receipt(ctx: Context, prepared: Prepared, verdict: Verdict, problems: Sequence[Problem]) -> Receipt:
    manifest, now = prepared.manifest, ctx.now()
    return Receipt(
        batch=manifest.name.stem, manifest_sha256=sha256_hex(canonical(manifest.to_signed())), payload_sha256=manifest.payload_sha256,
        recipient=ctx.me, verdict=verdict, rows=manifest.rows, totals=manifest.totals, problems=tuple(problems),
        applied_through=manifest.id.seq, missing=(), received_at=now, applied_at=now, clock=now, contract=prepared.contract.name,
        software=SOFTWARE,
    )  # fmt: skip


def _summary(file: OwnFile, set_aside: int, documents: int) -> Problem:
    return Problem(
        "file-partial",
        f"{file.path.name}: {set_aside} of {documents + set_aside} rows were not taken; the others were",
    )


def _forget_rows(ctx: Context, batch: str, successor: str) -> None:
    """The rows that the earlier file could not bring are told by its successor now."""
    for case in quarantine.cases(ctx):
        if case.peer == ctx.me and case.name == batch + quarantine.ROWS_SUFFIX:
            quarantine.discard(ctx, case, f"replaced by {successor}")
