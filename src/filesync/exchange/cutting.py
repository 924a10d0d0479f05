"""What of a capture must be sealed, and how it is cut into batches. Reads the ledger's memory; writes nothing.

- Every document is checked here: the contract, its origem, its key named once. Those that fail are counted and named, not sealed.
- What was sealed before with the same content falls out. Of a document that stands in several files the last one says how it is (`Order.later`).
- What an older version cannot say whole, where recipients know no newer one, falls out too, and waits (versions.py).
- A batch holds one business date, and rows owed from at most one rejected batch (its `replaces`), up to the configured size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.config import RELAYS_BY_ROLE
from filesync.contracts import OnBadRows
from filesync.contracts.digests import RowDigests, row_digests
from filesync.contracts.expressing import expressible
from filesync.errors import RejectedError
from filesync.protocol.identity import Format, Mode
from filesync.protocol.receipt import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

    from filesync.contracts import Contract
    from filesync.exchange.context import Context
    from filesync.exchange.reports import SealReport

PROBLEMS_MAX = 100


class BadRowsError(RejectedError):
    """A capture was refused whole because of some of its documents; `problems` names them (bounded)."""

    def __init__(self, message: str, problems: Sequence[Problem]) -> None:
        super().__init__("bad-rows", message)
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Order:
    """What to seal and for whom. `full` ignores what was sealed before (and makes a snapshot where the contract has an active column).

    `under`: an older version that is sealed instead of `contract`, which not all recipients know. `later`: which of these
    key digests stand in files after this one; what is said of such documents here is out of date.
    """

    contract: Contract
    audience: str
    format: Format
    documents_max: int
    business_date: date | None = None
    full: bool = False
    again: bool = False
    under: Contract | None = None
    later: Callable[[pa.Array], pa.BooleanArray] | None = None

    @property
    def sealed_as(self) -> Contract:
        """The version that the batches name."""
        return self.under or self.contract

    @property
    def mode(self) -> Mode:
        """A snapshot says what is absent; only cadastros can (their rows become inactive, never vanish)."""
        return Mode.SNAPSHOT if self.full and self.contract.active_column else Mode.DELTA


@dataclass(frozen=True, slots=True)
class Piece:
    """Documents that belong into one batch: same business date, same rejected batch that they replace."""

    day: date
    replaces: str | None
    table: pa.Table
    digests: pa.Table


def pieces(ctx: Context, order: Order, chunks: Iterable[pa.Table], report: SealReport) -> Iterator[Piece]:
    """Check each chunk and cut it into pieces; documents that were sealed before fall out here."""
    contract = order.contract
    if order.mode is Mode.SNAPSHOT:  # absence is only known of the whole
        parts = [contract.conform(chunk) for chunk in chunks]
        chunks = [pa.concat_tables(parts)] if parts else []
    for raw in chunks:
        given = contract.conform(raw)
        digests = row_digests(given, contract.key)
        table = _valid(ctx, order, given, digests, report)
        if order.mode is Mode.SNAPSHOT:  # in the key's order, equal snapshots have equal bytes
            table = table.sort_by([(name, "ascending") for name in contract.key])
        if table is not given:
            digests = row_digests(table, contract.key)
        report.gaps.extend(contract.gaps(table))
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
        if (stands := _not_said_later(ctx, order, memory)) is not None:
            report.unchanged += table.num_rows - int(pc.sum(stands).as_py() or 0)
            table, memory, owed = table.filter(stands), memory.filter(stands), owed.filter(stands)
        if order.under is not None:
            whole = table.num_rows
            table, fits = expressible(contract, order.under, table)
            if held := whole - table.num_rows:
                if order.mode is Mode.SNAPSHOT:  # what it did not hold would count as gone: all of it waits
                    report.held += whole
                    return
                report.held += held
                memory, owed = memory.filter(pa.array(fits)), owed.filter(pa.array(fits))
        yield from _cut(ctx, order, table, memory.select(["key_digest", "content_digest"]), owed)


def _not_said_later(ctx: Context, order: Order, memory: pa.Table) -> pa.BooleanArray | None:
    """Without documents that were sealed before and stand in a later file too: sealed once more, what they were would come after what they are."""
    if order.later is None or not memory.num_rows:
        return None
    known = np.ones(memory.num_rows, np.bool_)
    if not order.again:
        known = ctx.store.days.sealed_in(order.contract.dataset, order.audience, memory) > 0
    if not known.any():
        return None
    asked = pa.array(np.flatnonzero(known))
    said = np.zeros(memory.num_rows, np.bool_)
    said[known] = np.asarray(order.later(memory.column("key_digest").combine_chunks().take(asked)))
    return pa.array(~said)


def _valid(ctx: Context, order: Order, table: pa.Table, digests: RowDigests, report: SealReport) -> pa.Table:
    """The documents that keep the contract, come from here, and are named once."""
    contract = order.contract
    first = report.documents
    report.documents += table.num_rows
    findings = contract.validate(table)
    problems = [] if findings.ok else findings.problems(PROBLEMS_MAX)
    bad = None if findings.ok else findings.bad
    for code, mask, message in (
        (
            "foreign-origem",
            _foreign(ctx, contract, table),
            f"origem: expected {ctx.me!r}; a site sends its own rows only",
        ),
        (
            "duplicate-key",
            contract.duplicates(table) if _may_repeat(digests) else None,
            f"the key {', '.join(contract.key)} stands in this capture more than once",
        ),
    ):
        if mask is not None and pc.any(mask).as_py():
            rows = np.flatnonzero(np.asarray(mask))
            problems += [Problem(code, message, contract.dataset, int(row)) for row in rows[:PROBLEMS_MAX]]
            bad = mask if bad is None else pc.or_(bad, mask)
    if bad is None:
        return table
    good = pc.invert(bad)
    if order.later is not None:  # a mistake that a later file corrects, or repeats, is told there
        said = order.later(digests.keys)
        bad = pc.and_(bad, pc.invert(said))
        problems = [problem for problem in problems if problem.row is None or not said[problem.row].as_py()]
    if not (count := int(pc.sum(bad).as_py() or 0)):
        return table.filter(good)
    report.refused += count
    room = PROBLEMS_MAX - len(report.problems)
    report.problems.extend(named(contract, table, problems[:room], range(first, first + table.num_rows)))
    if contract.on_bad_rows is OnBadRows.REJECT:
        message = f"{contract.name}: {count} of {table.num_rows} documents break the contract, so nothing was sealed"
        raise BadRowsError(message, report.problems)
    return table.filter(good)


def _may_repeat(digests: RowDigests) -> bool:
    """Whether two keys may be the same. Their digests are sorted in a tenth of the time that the keys take."""
    keys = digests.keys
    first = np.sort(
        np.frombuffer(keys.buffers()[1], np.uint64)[2 * keys.offset : 2 * (keys.offset + len(keys)) : 2]
    )
    return bool((first[1:] == first[:-1]).any())


def named(
    contract: Contract, table: pa.Table, problems: Iterable[Problem], rows: Sequence[int]
) -> Iterator[Problem]:
    """Problems of the documents of `table` with the document as a person looks for it, and `rows` telling where each came from."""
    for problem in problems:
        if problem.row is None:
            yield problem
        else:
            message = f"{contract.name_of(table, problem.row)}: {problem.message}"
            yield replace(problem, message=message, row=rows[problem.row])


def _foreign(ctx: Context, contract: Contract, table: pa.Table) -> pa.BooleanArray | None:
    if contract.dataset in RELAYS_BY_ROLE.get(ctx.settings.role, frozenset()):
        return None
    return pc.fill_null(pc.not_equal(table.column("origem"), ctx.me), fill_value=True).combine_chunks()


def _cut(ctx: Context, order: Order, table: pa.Table, memory: pa.Table, owed: pa.Array) -> Iterator[Piece]:
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
            yield Piece(item["day"], item["owed"], table, memory)
            return
        same = pc.is_null(groups["owed"]) if item["owed"] is None else pc.equal(groups["owed"], item["owed"])
        mask = pc.fill_null(
            pc.and_kleene(pc.equal(groups["day"], pa.scalar(item["day"], pa.date32())), same),
            fill_value=False,
        )
        yield Piece(item["day"], item["owed"], table.filter(mask), memory.filter(mask))


def batches(pieces: Iterator[Piece], documents_max: int | None) -> Iterator[Iterator[Piece]]:
    """Consecutive pieces of one kind share a batch, up to `documents_max`; each inner iterator must be read to its end."""
    waiting: list[Piece] = []

    def take(first: Piece) -> Iterator[Piece]:
        room = documents_max
        piece: Piece | None = first
        while piece is not None:
            rows = piece.table.num_rows
            if room is not None and rows > room:
                yield Piece(
                    piece.day, piece.replaces, piece.table.slice(0, room), piece.digests.slice(0, room)
                )
                waiting.append(
                    Piece(piece.day, piece.replaces, piece.table.slice(room), piece.digests.slice(room))
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
