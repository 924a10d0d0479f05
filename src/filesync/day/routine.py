"""The day's routine: ask a gate, open it with evidence, mark steps, run what is due.

Ordering rules:
1. A step is asked for from the ledger as it is now; nothing that was decided before is believed (`decide`).
2. The evidence file is on the disk before anything relies on the opening (`open_gate`), and its name is in the day's journal.
3. A runner does its work in transactions of its own and marks the step as done in the last of them; it must be harmless to run twice.

Not here: what makes a day complete (completeness.py), which steps there are (steps.py), what a step does (the modules that put a runner
into `RUNNERS` when they are imported; runners.py imports them all).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from filesync.day.values import Reason, StepReport
from filesync.errors import FilesyncError
from filesync.exchange.station import Station

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from filesync.day.values import Closed, DoneMark, Open
    from filesync.exchange.context import Context

Runner = Callable[[Station, date], StepReport]

#: Step → what runs it. A step without a runner is a person's.
RUNNERS: Final[dict[str, Runner]] = {}


class GateClosedError(FilesyncError):
    """The step may not run. `reasons` say what is missing, where, and what to do."""

    def __init__(self, step: str, day: date, reasons: Sequence[Reason]) -> None:
        first = f": {reasons[0].message}" if reasons else ""
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        super().__init__("gate-closed", f"{step} of {day.isoformat()} may not run yet{first}{more}")
        self.step = step
        self.day = day
        self.reasons = tuple(reasons)


def decide(ctx: Context, step: str, day: date) -> Open | Closed:
    """Whether `step` may run for `day`, from the ledger as it is now. ConfigError `step-unknown`."""
    raise NotImplementedError


def open_gate(ctx: Context, step: str, day: date) -> Path:
    """The signed evidence file on which `step` may run; `GateClosedError` with the reasons otherwise. Idempotent: same standing, same file."""
    raise NotImplementedError


def mark_done(
    ctx: Context, step: str, day: date, *, by: str, detail: Mapping[str, Any] | None = None
) -> DoneMark:
    """The step was done. Joins an open transaction. `GateClosedError` where its gate is closed; again only replaces `by` and `detail`."""
    raise NotImplementedError


def run_due(station: Station, now: datetime) -> list[StepReport]:
    """Open every gate that can be opened and run the automatic steps whose time has come; what is new, in the order of the day."""
    raise NotImplementedError
