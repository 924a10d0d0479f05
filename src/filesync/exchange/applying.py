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

Not here: whether a batch may be applied (admission), moving its files (incoming.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts import Contract, Late, OnBadRows, TotalsSum
from filesync.errors import RejectedError
from filesync.exchange import discreet, own_tables, quarantine, versions
from filesync.exchange.context import SOFTWARE, Context
from filesync.exchange.cutting import named
from filesync.exchange.pipeline import ahead
from filesync.exchange.reports import AppliedBatch
from filesync.protocol.envelope import INT_MAX, canonical
from filesync.protocol.identity import Format, Mode
from filesync.protocol.receipt import PROBLEMS_MAX, Problem, Receipt, Verdict
from filesync.readers.payload import Chunk, read_many, read_payload
from filesync.stores.own_statements import StatementFailedError
from filesync.stores.tables import in_runs
from filesync.stores.values import HeadMovedError, IncomingRecord, KeyExistsError, RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from filesync.exchange.arrivals import Verified
    from filesync.protocol.admission import Standing
    from filesync.protocol.identity import Feed
    from filesync.stores.transaction import Tx

#: More bad documents than this reject the batch whole: a list nobody reads does not belong in quarantine, and memory is bounded.
BAD_DOCUMENTS_MAX = 10_000

#: The step after which a contract with `late: refuse` takes no more rows of the day (docs/day.md).
SETTLES_THE_DAY = "importar_bdf"

Totals = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch whose payload has the size and digest that its manifest claims. `data` is set for small ones."""

    verified: Verified
    contract: Contract
    payload: Path
    data: bytes | None
    received_at: str
    missing: tuple[int, ...]
    before: Standing | None  # the head of its feed when it was judged

    @property
    def feed(self) -> tuple[Feed, str]:
        """Its feed and epoch."""
        batch = self.verified.manifest.id
        return batch.feed, batch.epoch

    @property
    def groupable(self) -> bool:
        """Whether it may share a transaction with others."""
        manifest = self.verified.manifest
        secret = self.contract.encrypted or manifest.format is Format.JSONL_AGE
        alone = secret or self.contract.late is Late.REFUSE
        return self.data is not None and manifest.mode is Mode.DELTA and not alone


@dataclass(slots=True)
class _Outcome:
    """What is known of a batch while it is applied."""

    sums: TotalsSum
    problems: list[Problem] = field(default_factory=list)
    bad: int = 0
    bad_lines: list[str] = field(default_factory=list)
    left: tuple[tuple[str, date, int], ...] = ()  # as in MergeReport

    def refuse(self, problems: Sequence[Problem], count: int, lines: Sequence[str]) -> None:
        self.problems.extend(problems[: PROBLEMS_MAX - len(self.problems)])
        self.bad += count
        self.bad_lines.extend(lines)


class _BrokenBatchError(RejectedError):
    """The batch as a whole is rejected; `problems` name what is wrong in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].code, problems[0].message)
        self.problems = tuple(problems[:PROBLEMS_MAX])


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
    if any(not _may_relay(ctx, ready) for ready in group):
        origins = pa.array(
            [None if _may_relay(ctx, ready) else ready.verified.manifest.id.feed.origin for ready in group],
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
    outcome = _Outcome(contract.totals_sum())
    own = ctx.settings.apply.get(contract.dataset)
    with ctx.store.transaction(_heads([ready])) as tx:
        batch_id = tx.next_batch_id()
        start = tx.savepoint()
        try:
            _too_large(ctx, ready)
            _in_clear(ready)
            _in_time(ctx, ready)
            tx.ensure_tables(form)
            if own is not None:
                tx.stage_own(form, {batch_id: ready.verified.stem})
            try:
                flat = _flat(form, contract, _good_chunks(ctx, ready, outcome))
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
            _promisable(ready.verified.stem, totals)
            problems = tuple(outcome.problems)
            if own is not None:
                tx.run_own(own)
        except RejectedError as err:
            tx.rollback_to(start)
            verdict, rows, totals = Verdict.REJECTED, {}, {}
            problems = (
                err.problems if isinstance(err, _BrokenBatchError) else (Problem(err.code, err.message),)
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


def _summary(ready: Ready, outcome: _Outcome) -> Problem:
    documents = ready.verified.manifest.rows[ready.contract.dataset]
    return Problem("partial", f"{outcome.bad} of {documents} documents were not applied; the others were")


def _merge(ctx: Context, tx: Tx, ready: Ready, form: Contract, batch_id: int) -> _Outcome:
    """Some keys are held already: stage everything, then decide per key."""
    manifest, contract = ready.verified.manifest, ready.contract
    outcome = _Outcome(contract.totals_sum())
    stage = _flat(form, contract, ahead(_good_chunks(ctx, ready, outcome)))
    merged = tx.merge(form, stage, batch_id, RowOrder(manifest.id.feed, manifest.id.epoch))
    if merged.duplicate_count:
        keys = ", ".join("/".join(map(str, key)) for key in merged.duplicates[:3])
        raise RejectedError(
            "duplicate-key",
            f"{ready.verified.stem}: expected each key once, got {merged.duplicate_count} repeated documents: {keys}",
        )
    if merged.conflict_count:
        outcome = _without_conflicts(ctx, ready, np.asarray(merged.conflict_rows), merged.conflicts)
    outcome.left = merged.left
    return outcome


def _flat(form: Contract, contract: Contract, chunks: Iterator[pa.Table]) -> Iterator[dict[str, pa.Table]]:
    return (form.flatten(versions.in_form(form, contract, chunk)) for chunk in chunks)


def _without_conflicts(
    ctx: Context, ready: Ready, conflicts: np.ndarray[Any, Any], keys: Sequence[tuple[Any, ...]]
) -> _Outcome:
    """Read once more to keep the conflicting documents and to count the others: conflicts are rare, and two passes need no memory."""
    contract, stem = ready.contract, ready.verified.stem
    conflicting = [
        Problem("conflict", f"{stem}: {'/'.join(map(str, key))} is held with other content from another installation of the site; "
                "expected a higher versao", contract.dataset, int(row), None)
        for row, key in zip(conflicts, keys, strict=False)
    ]  # fmt: skip
    if contract.on_bad_rows is OnBadRows.REJECT:
        raise _BrokenBatchError(conflicting)
    outcome = _Outcome(contract.totals_sum())
    seen = _Outcome(contract.totals_sum())
    first = 0
    for chunk in _good_chunks(ctx, ready, seen):
        rows = np.arange(first, first + chunk.num_rows)
        held = np.isin(rows, conflicts)
        outcome.sums.add(chunk.filter(pa.array(~held)))
        outcome.bad_lines.extend(_lines(contract, chunk.filter(pa.array(held))))
        first += chunk.num_rows
    outcome.bad_lines.extend(seen.bad_lines)
    outcome.bad = seen.bad + len(conflicts)
    outcome.problems = [*conflicting, *seen.problems][:PROBLEMS_MAX]
    return outcome


def _good_chunks(ctx: Context, ready: Ready, outcome: _Outcome) -> Iterator[pa.Table]:
    """Read and check the payload; yields what may be applied and notes the rest in `outcome`.

    At the end the whole is compared with what the manifest claims. Raises `RejectedError` when the batch must be rejected whole.
    """
    manifest, contract = ready.verified.manifest, ready.contract
    claimed = contract.totals_sum()
    malformed = 0
    documents = manifest.rows.get(contract.dataset, 0)
    for part in read_payload(
        ready.payload,
        manifest.format,
        contract,
        chunk_rows=ctx.settings.limits.chunk_documents,
        rows_max=documents,
        key=ctx.settings.key,
    ):
        claimed.add(part.table)
        malformed += len(part.malformed_rows)
        outcome.refuse(
            part.malformed,
            len(part.malformed_rows),
            [discreet.text(contract, text) for _, text in part.malformed_rows],
        )
        good = _checked(ctx, ready, part, outcome)
        if outcome.bad > BAD_DOCUMENTS_MAX:
            raise _BrokenBatchError(outcome.problems)
        if not (outcome.bad and contract.on_bad_rows is OnBadRows.REJECT):
            outcome.sums.add(good)
            yield good
    if outcome.bad and contract.on_bad_rows is OnBadRows.REJECT:
        raise _BrokenBatchError(outcome.problems)
    if malformed:  # what those lines would have added up to cannot be known; that they were all counted can
        if claimed.rows[contract.dataset] + malformed != documents:
            raise _BrokenBatchError([_mismatch(ready, claimed)])
    elif claimed.rows != dict(manifest.rows) or claimed.totals != manifest.totals:
        raise _BrokenBatchError([_mismatch(ready, claimed)])


def _checked(ctx: Context, ready: Ready, part: Chunk, outcome: _Outcome) -> pa.Table:
    contract, table = ready.contract, part.table
    findings = contract.validate(table)
    bad = None
    if not findings.ok:
        bad = findings.bad
        outcome.refuse(list(named(contract, table, findings.problems(PROBLEMS_MAX), part.rows)), 0, [])
    if not _may_relay(ctx, ready):
        origin = ready.verified.manifest.id.feed.origin
        foreign = pc.fill_null(pc.not_equal(table.column("origem"), origin), fill_value=True).combine_chunks()
        if pc.any(foreign).as_py():
            bad = foreign if bad is None else pc.or_(bad, foreign)
            place = int(np.flatnonzero(np.asarray(foreign))[0])
            message = f"origem: expected {origin!r}, got {table.column('origem')[place].as_py()!r}; a site sends its own rows only"
            outcome.refuse(
                [Problem("foreign-origem", message, contract.dataset, part.rows[place], "/origem")], 0, []
            )
    if bad is None:
        return table
    refused = table.filter(bad)
    outcome.bad += refused.num_rows
    if outcome.bad <= BAD_DOCUMENTS_MAX:
        outcome.bad_lines.extend(_lines(contract, refused))
    return table.filter(pc.invert(bad))


def _lines(contract: Contract, table: pa.Table) -> list[str]:
    shown = discreet.columns(contract, table)
    return [json.dumps(document, ensure_ascii=False) for document in contract.documents(shown)]


def _may_relay(ctx: Context, ready: Ready) -> bool:
    return ctx.settings.peers[ready.verified.peer].passes_on(ready.contract.dataset)


def _too_large(ctx: Context, ready: Ready) -> None:
    limit, claim = ctx.settings.limits.payload_bytes_max, ready.verified.manifest.payload_bytes
    if claim > limit:
        raise RejectedError(
            "oversized", f"{ready.verified.stem}: expected at most {limit} payload bytes, got {claim}"
        )


def _in_clear(ready: Ready) -> None:
    """What may only travel encrypted is not applied when it came in clear: its origin must learn of it and change the secrets."""
    if ready.contract.encrypted and ready.verified.manifest.format is not Format.JSONL_AGE:
        raise RejectedError(
            "not-encrypted",
            f"{ready.verified.stem}: expected a payload encrypted to {ready.contract.dataset}' recipients, got one in clear",
        )


def _in_time(ctx: Context, ready: Ready) -> None:
    """Where the contract refuses late rows, a day whose billing file is imported takes no more. That is a mark in the ledger, not a clock."""
    if ready.contract.late is not Late.REFUSE:
        return
    day = ready.verified.manifest.business_date
    if any(mark.step == SETTLES_THE_DAY for mark in ctx.store.days.done(day)):
        raise RejectedError(
            "late-refused",
            f"{ready.verified.stem}: expected it before {SETTLES_THE_DAY} of {day.isoformat()} was done, got it after",
        )


def _mismatch(ready: Ready, found: TotalsSum) -> Problem:
    manifest = ready.verified.manifest
    for what, claim, got in (
        ("rows", dict(manifest.rows), found.rows),
        ("totals", dict(manifest.totals), found.totals),
    ):
        for name in sorted({*claim, *got}):
            if claim.get(name) != got.get(name):
                message = f"{ready.verified.stem}: {what} of {name}: expected {claim.get(name)} as the manifest claims, got {got.get(name)}"
                return Problem("totals-mismatch", message)
    raise AssertionError("called without a mismatch")


def _promisable(batch: str, totals: Totals) -> None:
    """A total that JSON readers cannot hold exactly cannot be answered for (part of a batch may add up to more than the whole)."""
    for name, total in totals.items():
        for value in total.values() if isinstance(total, dict) else (total,):
            if abs(value) > INT_MAX:
                raise RejectedError(
                    "totals-too-large", f"{batch}: {name}: expected at most {INT_MAX}, got {value}"
                )


def _verdict(outcome: _Outcome) -> Verdict:
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
