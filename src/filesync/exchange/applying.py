"""Apply: a verified batch's rows, its ledger row and its receipt in one transaction. At that instant it is applied.

- Small batches of one contract share a transaction (group commit): read, checked and appended together. A group in which anything is
  wrong is split in halves until the bad batch stands alone, so that one bad batch never costs its neighbours anything.
- Documents are stored in the form of the newest version of their contract that is known here (versions.py); read, checked, counted and
  answered by the version that their batch names.
- A single batch streams: chunk by chunk, checked in one thread while the last chunk is appended in another; memory is bounded.
- A new batch is appended straight into its tables. Only when a key is there already does the transaction go back to its savepoint and
  take the stage-and-merge way, in which a later version of a row wins and an older one never overwrites.
- Where the user has statements for a dataset (own_tables.py), they run in the transaction over what was applied, once for a group.
- A batch that is wrong (rows, totals, keys) is rejected: that is recorded like an application, with a receipt, and uses its number.
  Where the contract says `on_bad_rows: quarantine`, the good documents are applied and the bad ones kept with their errors.

Not here: whether a batch may be applied (admission), what it must hold (checking.py), moving its files (incoming.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.errors import RejectedError
from filesync.exchange import discreet, own_tables, quarantine, versions
from filesync.exchange.checking import (
    BrokenBatchError,
    Outcome,
    Ready,
    Totals,
    good_chunks,
    in_clear,
    in_time,
    may_relay,
    promisable,
    too_large,
    without_conflicts,
)
from filesync.exchange.context import SOFTWARE, Context
from filesync.exchange.pipeline import ahead
from filesync.exchange.reports import AppliedBatch
from filesync.protocol.envelope import canonical
from filesync.protocol.identity import Mode
from filesync.protocol.receipt import Problem, Receipt, Verdict
from filesync.readers.payload import read_many
from filesync.stores.own_statements import StatementFailedError
from filesync.stores.tables import in_runs
from filesync.stores.values import HeadMovedError, IncomingRecord, KeyExistsError, RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filesync.contracts import Contract
    from filesync.protocol.admission import Standing
    from filesync.protocol.identity import Feed
    from filesync.stores.transaction import Tx


def apply_group(ctx: Context, group: Sequence[Ready]) -> Iterator[AppliedBatch]:
    """Apply batches of one contract and format, in feed order; each is decided when its value is yielded.

    Batches of feeds in which another importer of this site was faster are left out: they are judged again at the next turn.
    """
    try:
        if len(group) == 1:
            with discreet.mistakes(group[0].contract):
                applied_alone = _apply_single(ctx, group[0])
            yield applied_alone
            return
        applied = _apply_together(ctx, group)
    except HeadMovedError as err:
        if left := [ready for ready in group if ready.feed not in err.feeds]:
            yield from apply_group(ctx, left)
        return
    if applied is None:
        half = len(group) // 2
        yield from apply_group(ctx, group[:half])
        yield from apply_group(ctx, group[half:])
    else:
        yield from applied


def _apply_together(ctx: Context, group: Sequence[Ready]) -> list[AppliedBatch] | None:
    """The common case: everything is new and right. None: something is not, look closer."""
    contract = group[0].contract
    form = versions.form_of(ctx, contract)
    manifests = [ready.verified.manifest for ready in group]
    if sum(manifest.payload_bytes for manifest in manifests) > ctx.settings.limits.payload_bytes_max:
        return None
    try:
        table, owner = read_many([ready.data or b"" for ready in group], manifests[0].format, contract)
    except RejectedError:
        return None
    if not contract.validate(table).ok:
        return None
    claims = contract.claims_by_group(table, owner, len(group))
    if any(
        rows != dict(m.rows) or totals != m.totals
        for (rows, totals), m in zip(claims, manifests, strict=True)
    ):
        return None
    if any(not may_relay(ctx, ready) for ready in group):
        origins = pa.array(
            [None if may_relay(ctx, ready) else ready.verified.manifest.id.feed.origin for ready in group],
            pa.string(),
        )
        if not pc.all(pc.equal(table.column("origem"), origins.take(owner)), min_count=0).as_py():
            return None
    try:
        with ctx.store.transaction(_heads(group)) as tx:
            tx.ensure_tables(form)
            ids = tx.next_batch_ids(len(group))
            rows = versions.in_form(form, contract, table)
            own = ctx.settings.apply.get(contract.dataset)
            if own is not None:
                tx.stage_own(form, dict(zip(ids, (ready.verified.stem for ready in group), strict=True)))
            tx.append(form, form.flatten(rows), _owners(form, rows, pa.array(ids, pa.int64()).take(owner)))
            results = [
                (ready, _decide(ctx, ready, batch_id, Verdict.APPLIED, dict(m.rows), dict(m.totals), ()))
                for ready, batch_id, m in zip(group, ids, manifests, strict=True)
            ]
            if own is not None:
                tx.run_own(own)
            tx.record_incoming([record for _, record in results])
    except (KeyExistsError, RejectedError, StatementFailedError):
        return None
    return [
        AppliedBatch(ready.verified.stem, Verdict.APPLIED, record.documents, ()) for ready, record in results
    ]


def _heads(group: Sequence[Ready]) -> dict[tuple[Feed, str], Standing | None]:
    """Where each feed must still stand: as it was when its first batch of the group was judged."""
    return {ready.feed: ready.before for ready in reversed(group)}


def _owners(contract: Contract, table: pa.Table, per_document: pa.Array) -> dict[str, pa.Array]:
    """The batch id of every row of every relation: a line has its document's."""
    owners = {contract.dataset: per_document}
    for relation in contract.relations[1:]:
        parents = pc.list_parent_indices(table.column(relation.name).combine_chunks())
        owners[relation.name] = per_document.take(parents)
    return owners


def _apply_single(ctx: Context, ready: Ready) -> AppliedBatch:
    """One batch, however large, however wrong."""
    try:
        return _apply_alone(ctx, ready)
    except StatementFailedError as err:
        stem = ready.verified.stem
        problem = own_tables.blame(ctx, ready.contract, stem, err)
        quarantine.take_back_rows(
            ctx, ready.verified.peer, stem
        )  # a constraint may speak as late as at the commit
        with ctx.store.transaction(_heads([ready])) as tx:
            record = _decide(ctx, ready, tx.next_batch_id(), Verdict.REJECTED, {}, {}, (problem,))
            tx.record_incoming([record])
        return AppliedBatch(stem, Verdict.REJECTED, 0, (problem,))


def _apply_alone(ctx: Context, ready: Ready) -> AppliedBatch:
    """The same. Raises `StatementFailedError` where the user's own statements fail with it: nothing was done then."""
    manifest, contract = ready.verified.manifest, ready.contract
    form = versions.form_of(ctx, contract)
    outcome = Outcome(contract.totals_sum())
    own = ctx.settings.apply.get(contract.dataset)
    with ctx.store.transaction(_heads([ready])) as tx:
        batch_id = tx.next_batch_id()
        start = tx.savepoint()
        try:
            too_large(ctx, ready)
            in_clear(ready)
            in_time(ctx, ready)
            tx.ensure_tables(form)
            if own is not None:
                tx.stage_own(form, {batch_id: ready.verified.stem})
            try:
                flat = _flat(form, contract, good_chunks(ctx, ready, outcome))
                # Sorted in the thread that reads, for writing takes longer. A run is large, so only one waits.
                for run in ahead(in_runs(form, flat), depth=1, single=ready.data is not None):
                    tx.append(form, run, batch_id)
            except KeyExistsError:
                tx.rollback_to(start)
                tx.ensure_tables(form)
                if own is not None:
                    tx.stage_own(form, {batch_id: ready.verified.stem})
                outcome = _merge(ctx, tx, ready, form, batch_id)
            if manifest.mode is Mode.SNAPSHOT and not outcome.bad:
                tx.deactivate_absent(form, batch_id, manifest.id.feed.origin, manifest.business_date)
            verdict, rows, totals = _verdict(outcome), outcome.sums.rows, outcome.sums.totals
            promisable(ready.verified.stem, totals)
            problems = tuple(outcome.problems)
            if own is not None:
                tx.run_own(own)
        except RejectedError as err:
            tx.rollback_to(start)
            verdict, rows, totals = Verdict.REJECTED, {}, {}
            problems = (
                err.problems if isinstance(err, BrokenBatchError) else (Problem(err.code, err.message),)
            )
        if verdict is Verdict.PARTIAL:
            quarantine.set_aside_rows(
                ctx,
                ready.verified.peer,
                ready.verified.stem,
                outcome.bad_lines,
                _summary(ready, outcome),
                problems,
            )
        record = _decide(ctx, ready, batch_id, verdict, rows, totals, problems)
        tx.record_incoming([record])
        for site, day, documents in outcome.left if verdict is not Verdict.REJECTED else ():
            ctx.store.days.record_left(
                day, ctx.now(), site, contract.dataset, ready.verified.stem, batch_id, documents
            )
    if verdict is Verdict.PARTIAL:
        quarantine.audit(
            ctx, ready.verified.peer, ready.verified.stem + quarantine.ROWS_SUFFIX, _summary(ready, outcome)
        )
    return AppliedBatch(ready.verified.stem, verdict, record.documents, problems)


def _summary(ready: Ready, outcome: Outcome) -> Problem:
    documents = ready.verified.manifest.rows[ready.contract.dataset]
    return Problem("partial", f"{outcome.bad} of {documents} documents were not applied; the others were")


def _merge(ctx: Context, tx: Tx, ready: Ready, form: Contract, batch_id: int) -> Outcome:
    """Some keys are held already: stage everything, then decide per key."""
    manifest, contract = ready.verified.manifest, ready.contract
    outcome = Outcome(contract.totals_sum())
    stage = _flat(form, contract, ahead(good_chunks(ctx, ready, outcome)))
    merged = tx.merge(form, stage, batch_id, RowOrder(manifest.id.feed, manifest.id.epoch))
    if merged.duplicate_count:
        keys = ", ".join("/".join(map(str, key)) for key in merged.duplicates[:3])
        raise RejectedError(
            "duplicate-key",
            f"{ready.verified.stem}: expected each key once, got {merged.duplicate_count} repeated documents: {keys}",
        )
    if merged.conflict_count:
        outcome = without_conflicts(ctx, ready, np.asarray(merged.conflict_rows), merged.conflicts)
    outcome.left = merged.left
    return outcome


def _flat(form: Contract, contract: Contract, chunks: Iterator[pa.Table]) -> Iterator[dict[str, pa.Table]]:
    return (form.flatten(versions.in_form(form, contract, chunk)) for chunk in chunks)


def _verdict(outcome: Outcome) -> Verdict:
    return Verdict.PARTIAL if outcome.bad else Verdict.APPLIED


def _decide(
    ctx: Context,
    ready: Ready,
    batch_id: int,
    verdict: Verdict,
    rows: dict[str, int],
    totals: Totals,
    problems: tuple[Problem, ...],
) -> IncomingRecord:
    """The ledger row with its receipt, which is what will be sent, byte for byte, however often."""
    manifest = ready.verified.manifest
    now = ctx.now()
    receipt = Receipt(
        batch=ready.verified.stem, manifest_sha256=ready.verified.sha256, payload_sha256=manifest.payload_sha256, recipient=ctx.me,
        verdict=verdict, rows=rows, totals=totals, problems=problems, applied_through=manifest.id.seq, missing=ready.missing,
        received_at=ready.received_at, applied_at=now, clock=now, contract=ready.contract.name, software=SOFTWARE,
    )  # fmt: skip
    return IncomingRecord(
        batch_id, manifest.name, manifest.version, manifest.mode, ready.verified.sha256, manifest.payload_sha256, verdict,
        canonical(receipt.to_signed()).decode(), ready.received_at, now, rows.get(ready.contract.dataset, 0), manifest.replaces,
        None if verdict is Verdict.APPLIED else canonical({"rows": dict(manifest.rows), "totals": manifest.to_signed()["totals"]}).decode(),
    )  # fmt: skip
