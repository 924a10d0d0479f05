"""Receber Vendas Remotas: fetch and apply what the sites sent, then say for every posto and caixa whether its day is whole.

1. One turn: the peers are asked, what arrived is applied, the receipts leave.
2. The day is judged by the gate (routine.decide), from the ledger as it is then; a peer that could not be reached changes nothing about
   that, it only is a reason why something is missing.
3. When the day is complete, its gate is opened: the evidence is on the disk when this returns. Receiving again is harmless.

What is missing inside the day's tickets, and since the day before, is listed and closes nothing: a number that a till never gave out is no
sale. Not here: what makes a day complete (completeness.py), how it is said (cli/receiving.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filesync.day import report, routine
from filesync.day.routine import GateClosedError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from filesync.day.page import DayPage
    from filesync.day.values import Reason
    from filesync.exchange.reports import TurnReport
    from filesync.exchange.station import Station
    from filesync.stores.tickets import TicketSeries

STEP: Final = "receber_vendas_remotas"


@dataclass(frozen=True, slots=True)
class Receiving:
    """What a receiving came to. `evidence` is the gate's opening, None where it is closed; `reasons` say why."""

    day: date
    turn: TurnReport
    page: DayPage
    evidence: Path | None
    reasons: tuple[Reason, ...]

    @property
    def tickets(self) -> tuple[TicketSeries, ...]:
        """Series of the day with missing or repeated numbers."""
        return self.page.tickets


def receive(station: Station, day: date) -> Receiving:
    """Fetch, apply, judge, and open the gate where it can be opened."""
    turn = station.turn()
    ctx = station.context
    evidence: Path | None = None
    reasons: tuple[Reason, ...] = ()
    try:
        evidence = routine.open_gate(ctx, STEP, day)
    except GateClosedError as closed:
        reasons = closed.reasons
    return Receiving(day, turn, report.page(ctx, day), evidence, reasons)
