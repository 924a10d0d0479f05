"""Enviar Vendas Remotas: export the day, close it, exchange, and wait for the receipts. One command at the end of a posto's day.

- Each step is what it is alone; given again after any of them was cut short, this goes on where that stopped.
- What counts is the receipt: the day is sent when every batch of it, the close among them, has its answer.
- Who cannot be reached is not waited for: what is sealed leaves at the next exchange, and the command may be given again.

What is not here: the daemon, which does the same without being asked once the day is closed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filesync.day.closing import CloseOrder, CloseReport, close
from filesync.day.differences import Differences, differences
from filesync.day.sealed import CLOSING, SALES
from filesync.errors import ConfigError
from filesync.exchange.reports import ExchangeReport, Progress, SealReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from filesync.exchange.station import Station

#: How often the peers are asked again while receipts are waited for.
ASK_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class SendReport:
    """`exported` is None where the site has no source of sales. `differences` are those that are left, `exchange` the last one."""

    day: date
    exported: SealReport | None
    closed: CloseReport
    exchange: ExchangeReport
    differences: Differences

    @property
    def confirmed(self) -> bool:
        """Whether every batch of the day has its receipt."""
        return not self.differences.without_receipt


def send_remote(
    station: Station, order: CloseOrder, patience_s: float = 0.0, sleep: Callable[[float], None] = time.sleep
) -> SendReport:
    """Send the day. Raises as `Station.export` and `close` do; nothing is lost then, and nothing is closed that should not be."""
    exported = _export(station, order)
    closed = close(station, order)
    exchange = _ask(station)
    waited = 0.0
    while _waits(station, order.day) and not exchange.unreachable and waited < patience_s:
        sleep(min(ASK_AGAIN_S, patience_s - waited))
        waited += ASK_AGAIN_S
        exchange = _ask(station)
    left = differences(
        station.context,
        order.day,
        cash_centavos=closed.document["diferenca_centavos"],
        gaps=closed.figures.gaps,
    )
    return SendReport(order.day, exported, closed, exchange, left)


def _export(station: Station, order: CloseOrder) -> SealReport | None:
    if SALES not in station.context.settings.sources:
        return None
    try:
        return station.export(SALES, business_date=order.day)
    except ConfigError as err:
        if err.code != "source-empty":  # nothing was dropped: the close asks whether nothing was sold
            raise
        return SealReport(SALES)


def _ask(station: Station) -> ExchangeReport:
    """Bring what there is, take in what they answer, and bring what that was an answer to."""
    report = station.exchange()
    station.import_()
    return report


def _waits(station: Station, day: date) -> bool:
    """Whether a batch of the day waits for its receipt; tells how far it is."""
    batches = [b for b in station.context.store.days.sealed(day) if b.feed.dataset in (SALES, CLOSING)]
    waiting = sum(None in batch.verdicts.values() for batch in batches)
    station.context.observe(Progress("receipts", len(batches) - waiting, len(batches), "batches"))
    return waiting > 0
