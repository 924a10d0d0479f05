"""Reconcile many days, by workers where the site has any: days are independent of each other, so each goes to one worker whole.

Ordering rules:
1. Whoever calls holds the site's lock (`Station.at_work`); only results are written.
2. Days without a batch of theirs are left out; a day whose result still holds is left as it is, and costs a look.
3. Days that a worker did not bring home are done by the site itself, and that is said. A day that is reconciled twice is the same.

`from_archive` does the same from the archived batches alone (archived.py) and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from filesync.config import ExecutorKind
from filesync.day.archived import ArchivedDay, look
from filesync.day.reconciling import Colour, reconcile
from filesync.day.report import at_matriz
from filesync.exchange import workers
from filesync.exchange.reports import Progress, Redone
from filesync.exchange.shards import Load, plan, spared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from filesync.exchange.context import Context
    from filesync.exchange.workers import Outcome

T = TypeVar("T")

#: What a document or a billed row costs, in the shards' own measure, before workers are asked. An estimate: docs/scale.md.
ROW_BYTES: Final = 256
LEAST: Final = {ExecutorKind.THREADS: 32 << 20, ExecutorKind.PROCESSES: 64 << 20, ExecutorKind.DASK: 64 << 20}


@dataclass(slots=True)
class Span:
    """What became of the days between two. `made`: those that were reconciled afresh."""

    colours: Mapping[date, Mapping[Colour, int]] = field(default_factory=dict)
    made: list[date] = field(default_factory=list)
    redone: list[Redone] = field(default_factory=list)


@dataclass(slots=True)
class ArchivedSpan:
    """What the archive says of the days between two."""

    days: list[ArchivedDay] = field(default_factory=list)
    redone: list[Redone] = field(default_factory=list)


def reconcile_days(ctx: Context, first: date, last: date) -> Span:
    """Reconcile every day between two of which anything arrived. Idempotent, like `reconcile`. ConfigError `role-wrong` elsewhere."""
    at_matriz(ctx)
    span = Span()
    days = _days(ctx, first, last)
    held, stale = ctx.store.reconciling.days(first, last), ctx.store.reconciling.stale_days(first, last)
    due = {day: rows for day, rows in days.items() if day not in held or day in stale}
    # What still holds may have been made by other settings: `reconcile` knows, and leaves it otherwise.
    for day in sorted(days.keys() - due.keys()):
        before = ctx.store.reconciling.find(day)
        if before is not None and reconcile(ctx, day).made_at != before.made_at:
            span.made.append(day)
    done = _shared_out(ctx, due, reconcile_share, lambda day: reconcile_day(ctx, day), span.redone)
    span.made = sorted([*span.made, *(date.fromisoformat(day) for part in done for day in part)])
    span.colours = {
        day: colours for day, colours in ctx.store.reconciling.days(first, last).items() if day in days
    }
    return span


def from_archive(ctx: Context, first: date, last: date) -> ArchivedSpan:
    """What the archived batches of the days between two add up to, whatever the store holds. Writes nothing. `role-wrong` as above."""
    at_matriz(ctx)
    span = ArchivedSpan()
    days = {
        day: rows or 1
        for day, rows in _days(ctx, first, last, everything=True).items()
        if rows or ctx.folders.archive(day).is_dir()
    }
    done = _shared_out(ctx, days, look_share, lambda day: look_share(ctx, (day,)), span.redone)
    span.days = sorted((found for part in done for found in part), key=lambda found: found.day)
    return span


def reconcile_share(ctx: Context, days: tuple[str, ...]) -> list[str]:
    """A worker's part."""
    for number, day in enumerate(days):
        reconcile(ctx, date.fromisoformat(day))
        ctx.observe(Progress("reconcile", number + 1, len(days), "days"))
    return list(days)


def reconcile_day(ctx: Context, day: str) -> list[str]:
    """A day by the site itself."""
    reconcile(ctx, date.fromisoformat(day))
    return [day]


def look_share(ctx: Context, days: tuple[str, ...]) -> list[ArchivedDay]:
    """A worker's part of looking at the archive."""
    found = []
    for number, day in enumerate(days):
        found.append(look(ctx, date.fromisoformat(day)))
        ctx.observe(Progress("read the archive", number + 1, len(days), "days"))
    return found


def _days(ctx: Context, first: date, last: date, *, everything: bool = False) -> dict[date, int]:
    """The days of which the ledger has a batch (or all of them), each with its number of documents."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    documents = ctx.store.days.documents(first, last)
    return {day: documents.get(day, 0) for day in days if everything or day in documents}


def _shared_out(
    ctx: Context,
    days: Mapping[date, int],
    share: Callable[[Context, tuple[str, ...]], T],
    alone: Callable[[str], T],
    redone: list[Redone],
) -> list[T]:
    """Every day by some worker, or by the site itself where that is cheaper, or a worker was lost."""
    loads = [Load(day.isoformat(), 0, rows * ROW_BYTES) for day, rows in days.items()]
    choice = workers.fitting(ctx)
    count = 1_000 if choice.kind is ExecutorKind.DASK else choice.workers
    if (
        choice.kind is ExecutorKind.NONE
        or len(loads) < 2
        or spared(plan(loads, count), count) < LEAST[choice.kind]
    ):
        return _one_by_one(ctx, sorted(load.origin for load in loads), alone)
    done: list[T] = []
    count_done = 0

    def home(outcome: Outcome[T]) -> None:
        nonlocal count_done
        if outcome.value is None:
            redone.append(Redone(outcome.items, outcome.code, outcome.message))
            return
        done.append(outcome.value)
        count_done += len(outcome.items)
        ctx.observe(Progress("reconcile", count_done, len(loads), "days"))

    workers.run(ctx, choice, share, lambda count: [shard.origins for shard in plan(loads, count)], home)
    redone.sort(key=lambda part: part.items)
    left = sorted(day for part in redone for day in part.items)
    return done + _one_by_one(ctx, left, alone)


def _one_by_one(ctx: Context, days: Sequence[str], alone: Callable[[str], T]) -> list[T]:
    done = []
    for number, day in enumerate(days):
        done.append(alone(day))
        ctx.observe(Progress("reconcile", number + 1, len(days), "days"))
    return done
