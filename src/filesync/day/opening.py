"""Ask a gate from the ledger as it is now, and open it: the evidence is on the disk before anything relies on it.

Nothing that was decided before is believed. What a gate is, is in gate.py; what makes a day complete, in completeness.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from filesync.day import gate
from filesync.day.evidence import EvidenceName
from filesync.day.standing import Ledger
from filesync.day.values import Closed, Open
from filesync.errors import ConfigError, FilesyncError
from filesync.protocol.envelope import encode
from filesync.protocol.identity import Role
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from filesync.config.steps import Step
    from filesync.day.standing import Judged
    from filesync.day.values import Decision, Reason
    from filesync.exchange.context import Context

#: Who did what filesync did by itself.
BY_ITSELF: Final = "filesync"


class GateClosedError(FilesyncError):
    """The step may not run. `reasons` say what is missing, where, and what to do."""

    def __init__(self, step: str, day: date, reasons: Sequence[Reason]) -> None:
        first = f": {reasons[0].message}" if reasons else ""
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        super().__init__("gate-closed", f"{step} of {day.isoformat()} may not run yet{first}{more}")
        self.step = step
        self.day = day
        self.reasons = tuple(reasons)


def judge(ctx: Context, day: date) -> Judged:
    """The day of every site, judged, from the ledger as it is now. For many days: `Ledger.read(ctx)` once, then its `judge`."""
    return Ledger.read(ctx).judge(day)


def decide(ctx: Context, step: str, day: date) -> Open | Closed:
    """Whether `step` may run for `day`, from the ledger as it is now. ConfigError `step-unknown`."""
    known_step(ctx, step)
    return decide_judged(ctx, step, judge(ctx, day))


def open_gate(ctx: Context, step: str, day: date) -> Path:
    """The signed evidence file on which `step` may run; `GateClosedError` with the reasons otherwise. Idempotent: same standing, same file."""
    decision = decide(ctx, step, day)
    if isinstance(decision, Closed):
        raise GateClosedError(step, day, decision.reasons)
    return write_evidence(ctx, decision)


def evidence_name(step: str, day: date, signed: Mapping[str, Any]) -> str:
    """The name of an evidence file: the digest is of the part that is signed."""
    return str(EvidenceName.of(step, day, signed))


def decide_judged(ctx: Context, step: str, judged: Judged) -> Decision:
    """The decision on a day that was judged already."""
    return gate.decide(
        step, judged.standing, ctx.clock(), steps=ctx.settings.steps, here=ctx.me, verdicts=judged.verdicts
    )


def known_step(ctx: Context, step: str) -> Step:
    """The step of this name. ConfigError `step-unknown`, or `gate-role` where there are no gates."""
    if ctx.settings.role is not Role.MATRIZ:
        raise ConfigError(
            "gate-role", f"{ctx.me} is a {ctx.settings.role.value}; the gates of the day stand at the matriz"
        )
    if step not in ctx.settings.steps:
        raise ConfigError(
            "step-unknown",
            f"no step of the day is called {step!r}; there are: {', '.join(ctx.settings.steps)}",
        )
    return ctx.settings.steps[step]


def write_evidence(ctx: Context, opened: Open) -> Path:
    """The signed file of an opening that was just decided. The same opening writes nothing again."""
    signed = opened.evidence.signed
    path = ctx.folders.evidence / evidence_name(opened.step, opened.day, signed)
    if not path.exists():  # its name is its content
        durable.publish(ctx.folders.evidence, path.name, encode(signed, ctx.settings.key))
        ctx.store.days.record_event(
            opened.day,
            ctx.now(),
            "evidence",
            BY_ITSELF,
            {
                "step": opened.step,
                "file": path.name,
                "overrides": [override.id for override in opened.overrides],
            },
        )
    return path
