"""The differences between this till and the server, as they stand at a close: what was not transported, which cadastros are behind, and the cash.

What waits is told from the ledger, what is newer at the server from its last heartbeat: nothing is asked over the road here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.day.cadastros import holdings
from filesync.day.sealed import CLOSING, SALES
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from filesync.contracts import Gap
    from filesync.exchange.context import Context
    from filesync.stores.values import DaySealed


@dataclass(frozen=True, slots=True)
class WithoutReceipt:
    """Documents of the day that a recipient has not confirmed. `unsent` of the batches have not left yet, as far as is known here."""

    dataset: str
    recipient: str
    batches: int
    documents: int
    unsent: int


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A batch of the day that a recipient refused, or took only in part, and that nothing replaces."""

    batch: str
    dataset: str
    recipient: str
    verdict: Verdict
    documents: int


@dataclass(frozen=True, slots=True)
class Behind:
    """Batches of a cadastro that the server has sealed for us and that were not applied here. `held`: whether there is an older one."""

    dataset: str
    batches: int
    held: bool


@dataclass(frozen=True, slots=True)
class Differences:
    """All of it; empty where till and server agree."""

    without_receipt: tuple[WithoutReceipt, ...]
    not_taken: tuple[NotTaken, ...]
    cadastros: tuple[Behind, ...]
    cash_centavos: int
    gaps: tuple[Gap, ...]

    @property
    def none(self) -> bool:
        """Nothing to do: all confirmed, all cadastros here, the cash is right, no ticket is missing."""
        return not (
            self.without_receipt or self.not_taken or self.cadastros or self.cash_centavos or self.gaps
        )


def differences(ctx: Context, day: date, *, cash_centavos: int, gaps: Sequence[Gap] = ()) -> Differences:
    """What stands between this site and its peers about `day`, now."""
    batches = [batch for batch in ctx.store.days.sealed(day) if batch.feed.dataset in (SALES, CLOSING)]
    behind = tuple(
        Behind(one.dataset, one.behind, one.batch is not None) for one in holdings(ctx, day) if one.behind
    )
    return Differences(
        tuple(without_receipt(batches)), tuple(_not_taken(batches)), behind, cash_centavos, tuple(gaps)
    )  # fmt: skip


def without_receipt(batches: Sequence[DaySealed]) -> list[WithoutReceipt]:
    """What has no answer yet, by dataset and recipient."""
    waiting: dict[tuple[str, str], list[DaySealed]] = defaultdict(list)
    for batch in batches:
        for recipient, verdict in batch.verdicts.items():
            if verdict is None:
                waiting[batch.feed.dataset, recipient].append(batch)
    return [
        WithoutReceipt(
            dataset, recipient, len(held), sum(b.documents for b in held), sum(not b.shipped for b in held)
        )
        for (dataset, recipient), held in sorted(
            waiting.items(), reverse=True
        )  # the sales before their close
    ]


def _not_taken(batches: Sequence[DaySealed]) -> list[NotTaken]:
    replaced = {batch.replaces for batch in batches}
    return [
        NotTaken(batch.name, batch.feed.dataset, recipient, verdict, batch.documents)
        for batch in batches
        for recipient, verdict in batch.verdicts.items()
        if verdict in (Verdict.REJECTED, Verdict.PARTIAL) and batch.name not in replaced
    ]
