"""Every step that filesync does itself. To import this is to have them all (`routine.RUNNERS`).

Whoever runs the routine imports it: the daemon, `filesync turn`, a test of the whole day. Files are taken by waiting.py, the portal is
served by portal.py, each with a runner of its own; the reconciliation's stands here, for it needs nothing but the gate and the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from filesync.day import portal, routine, waiting
from filesync.day.reconciling import reconcile, summary
from filesync.day.values import StepOutcome, StepReport

if TYPE_CHECKING:
    from datetime import date

    from filesync.exchange.station import Station

__all__ = ["CONCILIAR", "conciliar", "portal", "waiting"]

CONCILIAR: Final = "conciliar"


def conciliar(station: Station, day: date) -> StepReport:
    """Reconcile the day, unless what was reconciled still holds."""
    with station.at_work() as ctx:
        opened = routine.open_gate(ctx, CONCILIAR, day)
        done = {mark.step for mark in ctx.store.days.done(day)}
        before = summary(ctx, day)
        if before is not None and not before.stale and CONCILIAR in done:
            return StepReport(
                CONCILIAR, day, StepOutcome.NOTHING, f"{day.isoformat()}: the reconciliation still holds"
            )
        made = before if before is not None and not before.stale else reconcile(ctx, day)
        lines = {
            colour.value: amounts.lines
            for colour, amounts in sorted(made.colours.items(), key=lambda item: item[0].value)
        }
        routine.mark_done(ctx, CONCILIAR, day, by=routine.BY_ITSELF, detail={"lines": lines}, opened=opened)
    told = (
        ", ".join(f"{count} {colour}" for colour, count in lines.items() if count) or "nothing to reconcile"
    )
    return StepReport(
        CONCILIAR, day, StepOutcome.RAN, f"{day.isoformat()}: reconciled: {told}", evidence=opened.name, detail={"lines": lines}
    )  # fmt: skip


routine.RUNNERS[CONCILIAR] = conciliar
