"""Receber Vendas Remotas: fetch and apply what the sites sent, then say for every posto and caixa whether its day is whole.

1. One turn: the peers are asked, what arrived is applied, the receipts leave.
2. The day is judged by the gate (routine.decide), from the ledger as it is then; a peer that could not be reached changes nothing about
   that, it only is a reason why something is missing.
3. When the day is complete, its gate is opened: the evidence is on the disk when this returns. Receiving again is harmless.
4. Then the routine has its turn (routine.run_due): what waited for this gate, such as a BDF that was kept, is taken by itself.

What is missing inside the day's tickets, and since the day before, is listed and closes nothing: a number that a till never gave out is no
sale. Not here: what makes a day complete (completeness.py), how it is said (cli/receiving.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filesync.day import report, routine, runners  # noqa: F401 -- the routine runs what the runners' modules bring
from filesync.day.routine import GateClosedError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from filesync.day.page import DayPage
    from filesync.day.values import Reason, StepReport
    from filesync.exchange.reports import TurnReport
    from filesync.exchange.station import Station

STEP: Final = "receber_vendas_remotas"


@dataclass(frozen=True, slots=True)
class Receiving:
    """What a receiving came to. `evidence` is the gate's opening, None where it is closed; `reasons` say why."""

    day: date
    turn: TurnReport
    page: DayPage
    evidence: Path | None
    reasons: tuple[Reason, ...]
    steps: tuple[StepReport, ...]  # what followed by itself, of any day


def receive(station: Station, day: date) -> Receiving:
    """Fetch, apply, judge, and open the gate where it can be opened. ConfigError `role-wrong` elsewhere, before anything is done."""
    report.at_matriz(station.context)
    turn = station.turn()
    ctx = station.context
    evidence: Path | None = None
    reasons: tuple[Reason, ...] = ()
    try:
        evidence = routine.open_gate(ctx, STEP, day)
    except GateClosedError as closed:
        reasons = closed.reasons
    steps = routine.run_due(station, ctx.clock())
    return Receiving(day, turn, report.page(ctx, day), evidence, reasons, tuple(steps))
