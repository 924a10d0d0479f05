"""Why the files of a day must stay: somebody may still need them. Reads; changes nothing.

A day is over when all of this holds:
- every batch that was sealed here was answered by all its recipients, and what they rejected stands in a later batch;
- every batch that was decided here was answered, the receipt has left, and its origin no longer counts it as unanswered;
- nothing of it lies in quarantine;
- at the matriz every gate of the day is open and every step done; at a till a close that was applied names all its sales.

Not here: removing anything (purging.py).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from filesync.config.steps import Ending
from filesync.day.opening import decide_judged
from filesync.day.roster import CLOSING
from filesync.day.standing import Ledger
from filesync.day.values import Closed
from filesync.exchange import quarantine
from filesync.exchange.restoring import lying_in_outboxes
from filesync.protocol.identity import FileKind, Role, parse_file_name
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from filesync.day.values import Reason
    from filesync.exchange.context import Context


class Why(Enum):
    """Why a day's files stay."""

    UNANSWERED = "purge-unanswered"  # a recipient has not answered
    OWED = "purge-owed"  # rejected, and the rows stand in no later batch
    UNRECEIPTED = "purge-unreceipted"  # the origin does not have our receipt, as far as is known
    QUARANTINED = "purge-quarantined"  # a person has to decide something first
    NOT_CLOSED = "purge-not-closed"  # sales that no applied close names
    GATE_CLOSED = "purge-gate-closed"
    STEP_UNDONE = "purge-step-undone"


@dataclass(frozen=True, slots=True)
class Keep:
    """One reason: `what` names the first batch, or the step; `count` says how many there are. `reason`: a closed gate's first one."""

    code: Why
    what: str
    count: int
    reason: Reason | None = None


class Keeping:
    """Asks for any number of days; what does not depend on the day is looked at once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def why(self, day: date) -> tuple[Keep, ...]:
        """Every reason why files of the day must stay; none: it is over."""
        return tuple(self._reasons(day))

    def _reasons(self, day: date) -> Iterator[Keep]:
        ctx = self._ctx
        batches = ctx.store.purges.unsettled(day)
        yield from _named(Why.UNANSWERED, [*batches.unanswered, *self._untold.get(day, ())])
        yield from _named(Why.OWED, batches.owed)
        unreceipted = dict.fromkeys([*batches.unacknowledged, *self._unsent.get(day, ()), *batches.unheard])
        yield from _named(Why.UNRECEIPTED, list(unreceipted))
        yield from _named(Why.QUARANTINED, self._quarantined.get(day, ()))
        if ctx.settings.role is Role.MATRIZ:
            yield from self._steps(day)
        elif ctx.settings.role in (Role.CAIXA, Role.POSTO):
            yield from self._not_closed(day)

    def _steps(self, day: date) -> Iterator[Keep]:
        """Steps that may not run, or that nobody has done. A day on which nothing was due and nothing came has none."""
        judged = self._ledger.judge(day)
        if not judged.standing.sites and not judged.standing.done:
            return
        for step in self._ctx.settings.steps.values():
            decision = decide_judged(self._ctx, step.name, judged)
            if isinstance(decision, Closed):
                yield Keep(Why.GATE_CLOSED, step.name, len(decision.reasons), decision.reasons[0])
            elif step.ends is not Ending.OPEN and step.name not in judged.standing.done:
                yield Keep(Why.STEP_UNDONE, step.name, 1)

    def _not_closed(self, day: date) -> Iterator[Keep]:
        """It would be closed, or closed again, from the payloads in the archive."""
        sealed = self._ctx.store.days.sealed(day)
        closed = max(
            (
                batch.batch_id
                for batch in sealed
                if batch.feed.dataset == CLOSING
                and all(verdict is Verdict.APPLIED for verdict in batch.verdicts.values())
            ),
            default=0,
        )
        sales = [b for b in sealed if b.feed.dataset != CLOSING and b.feed.dataset in self._of_days]
        yield from _named(Why.NOT_CLOSED, [batch.name for batch in sales if batch.batch_id > closed])

    # ------------------------------------------------------------------------------------------------ looked at once

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger.read(self._ctx)

    @cached_property
    def _of_days(self) -> set[str]:
        """Datasets whose batches belong to a movement day."""
        contracts = (self._ctx.contracts.latest(dataset) for dataset, _ in self._ctx.contracts.versions())
        return {c.dataset for c in contracts if c is not None and c.business_date_column is not None}

    @cached_property
    def _untold(self) -> dict[date, list[str]]:
        """Batches that were given up here and whose recipients have not answered that."""
        return _by_day(void.name for void in self._ctx.store.holes.untold())

    @cached_property
    def _unsent(self) -> dict[date, list[str]]:
        """Batches whose receipt still lies in an outbox."""
        parsed = (parse_file_name(name) for names in lying_in_outboxes(self._ctx).values() for name in names)
        return _by_day(
            file.batch.stem for file in parsed if file is not None and file.kind is FileKind.RECEIPT
        )

    @cached_property
    def _quarantined(self) -> dict[date, list[str]]:
        """Batches of which something lies in quarantine."""
        return _by_day(
            quarantine.belongs_to(case.name.removesuffix(quarantine.ROWS_SUFFIX))
            for case in quarantine.cases(self._ctx)
        )


def _named(code: Why, names: Sequence[str]) -> Iterator[Keep]:
    if names:
        yield Keep(code, names[0], len(names))


def _by_day(stems: Iterator[str]) -> dict[date, list[str]]:
    found: dict[date, list[str]] = defaultdict(list)
    for stem in stems:
        if (parsed := parse_file_name(f"{stem}.manifest.json")) is not None:
            found[parsed.batch.business_date].append(stem)
    return dict(found)
