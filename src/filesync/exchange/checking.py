"""Check: what a batch must hold before any of it may be applied: its contract's documents, as many and with the totals that it claims.

- The payload is read in chunks; each is checked alone, the whole against the manifest's claims at the end. Memory is bounded.
- Bad documents reject the batch or are left out and kept with their errors, as the contract says (`on_bad_rows`).
- A site sends its own rows only, unless the peer may pass others' on.

Not here: whether a batch may be applied (admission), writing rows (applying.py).
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
from filesync.exchange import discreet
from filesync.exchange.cutting import named
from filesync.protocol.envelope import INT_MAX
from filesync.protocol.identity import Format, Mode
from filesync.protocol.receipt import PROBLEMS_MAX, Problem
from filesync.readers.payload import Chunk, read_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from filesync.exchange.arrivals import Verified
    from filesync.exchange.context import Context
    from filesync.protocol.admission import Standing
    from filesync.protocol.identity import Feed

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
class Outcome:
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


class BrokenBatchError(RejectedError):
    """The batch as a whole is rejected; `problems` name what is wrong in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].code, problems[0].message)
        self.problems = tuple(problems[:PROBLEMS_MAX])


def good_chunks(ctx: Context, ready: Ready, outcome: Outcome) -> Iterator[pa.Table]:
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
            raise BrokenBatchError(outcome.problems)
        if not (outcome.bad and contract.on_bad_rows is OnBadRows.REJECT):
            outcome.sums.add(good)
            yield good
    if outcome.bad and contract.on_bad_rows is OnBadRows.REJECT:
        raise BrokenBatchError(outcome.problems)
    if malformed:  # what those lines would have added up to cannot be known; that they were all counted can
        if claimed.rows[contract.dataset] + malformed != documents:
            raise BrokenBatchError([_mismatch(ready, claimed)])
    elif claimed.rows != dict(manifest.rows) or claimed.totals != manifest.totals:
        raise BrokenBatchError([_mismatch(ready, claimed)])


def _checked(ctx: Context, ready: Ready, part: Chunk, outcome: Outcome) -> pa.Table:
    contract, table = ready.contract, part.table
    findings = contract.validate(table)
    bad = None
    if not findings.ok:
        bad = findings.bad
        outcome.refuse(list(named(contract, table, findings.problems(PROBLEMS_MAX), part.rows)), 0, [])
    if not may_relay(ctx, ready):
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


def may_relay(ctx: Context, ready: Ready) -> bool:
    """Whether the peer may send rows of other sites' too."""
    return ctx.settings.peers[ready.verified.peer].passes_on(ready.contract.dataset)


def too_large(ctx: Context, ready: Ready) -> None:
    """What is too large is never read."""
    limit, claim = ctx.settings.limits.payload_bytes_max, ready.verified.manifest.payload_bytes
    if claim > limit:
        raise RejectedError(
            "oversized", f"{ready.verified.stem}: expected at most {limit} payload bytes, got {claim}"
        )


def in_clear(ready: Ready) -> None:
    """What may only travel encrypted is not applied when it came in clear: its origin must learn of it and change the secrets."""
    if ready.contract.encrypted and ready.verified.manifest.format is not Format.JSONL_AGE:
        raise RejectedError(
            "not-encrypted",
            f"{ready.verified.stem}: expected a payload encrypted to {ready.contract.dataset}' recipients, got one in clear",
        )


def in_time(ctx: Context, ready: Ready) -> None:
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


def promisable(batch: str, totals: Totals) -> None:
    """A total that JSON readers cannot hold exactly cannot be answered for (part of a batch may add up to more than the whole)."""
    for name, total in totals.items():
        for value in total.values() if isinstance(total, dict) else (total,):
            if abs(value) > INT_MAX:
                raise RejectedError(
                    "totals-too-large", f"{batch}: {name}: expected at most {INT_MAX}, got {value}"
                )


def without_conflicts(
    ctx: Context, ready: Ready, conflicts: np.ndarray[Any, Any], keys: Sequence[tuple[Any, ...]]
) -> Outcome:
    """Read once more to keep the conflicting documents and to count the others: conflicts are rare, and two passes need no memory."""
    contract, stem = ready.contract, ready.verified.stem
    conflicting = [
        Problem("conflict", f"{stem}: {'/'.join(map(str, key))} is held with other content from another installation of the site; "
                "expected a higher versao", contract.dataset, int(row), None)
        for row, key in zip(conflicts, keys, strict=False)
    ]  # fmt: skip
    if contract.on_bad_rows is OnBadRows.REJECT:
        raise BrokenBatchError(conflicting)
    outcome = Outcome(contract.totals_sum())
    seen = Outcome(contract.totals_sum())
    first = 0
    for chunk in good_chunks(ctx, ready, seen):
        rows = np.arange(first, first + chunk.num_rows)
        held = np.isin(rows, conflicts)
        outcome.sums.add(chunk.filter(pa.array(~held)))
        outcome.bad_lines.extend(_lines(contract, chunk.filter(pa.array(held))))
        first += chunk.num_rows
    outcome.bad_lines.extend(seen.bad_lines)
    outcome.bad = seen.bad + len(conflicts)
    outcome.problems = [*conflicting, *seen.problems][:PROBLEMS_MAX]
    return outcome
