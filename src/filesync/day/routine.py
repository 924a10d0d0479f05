"""The day's routine: mark steps, take the responsibility, run what is due. Asking and opening a gate (opening.py) is offered here, too.

Ordering rules:
1. The evidence file is on the disk before anything relies on the opening (`open_gate`, `mark_done`).
2. A runner opens its gate itself, does its work in transactions of its own, and marks the step as done in the last of them. It must be
   harmless to run twice: after a crash, and whenever something of the day has changed, it is run again.

What the routine remembers of a day (`DaySeen`) only saves judging it again while nothing changed: to lose it costs work, not truth.

Not here: what makes a day complete (completeness.py), which steps there are (config), and what a step does: the modules that do it put
their runner into `RUNNERS` when they are imported (runners.py imports them all).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from filesync.config.roster import load_roster
from filesync.config.steps import Ending
from filesync.day.opening import (
    BY_ITSELF,
    GateClosedError,
    decide,
    decide_judged,
    evidence_name,
    judge,
    known_step,
    open_gate,
    write_evidence,
)
from filesync.day.standing import Ledger
from filesync.day.values import (
    Closed,
    DoneMark,
    Override,
    Reason,
    StepOutcome,
    StepReport,
)
from filesync.errors import ConfigError, FilesyncError
from filesync.exchange.station import Station
from filesync.protocol.envelope import sha256_hex
from filesync.protocol.identity import Role
from filesync.stores.day_values import DaySeen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from filesync.config.steps import Step
    from filesync.day.standing import Judged
    from filesync.exchange.context import Context

__all__ = [
    "BY_ITSELF", "RUNNERS", "WAITING", "GateClosedError", "Runner", "decide", "evidence_name", "judge", "mark_done", "open_gate", "override",
    "revoke", "run_due", "unmark", "write_evidence",
]  # fmt: skip

Runner = Callable[[Station, date], StepReport]

#: Step → what runs it. A step without a runner is a person's.
RUNNERS: Final[dict[str, Runner]] = {}
#: Step → the days for which its runner has something waiting that no ledger knows of (a file that was dropped).
WAITING: Final[dict[str, Callable[[Station], Iterable[date]]]] = {}

#: Days that are looked at again and again until nothing is to come. An older one is looked at when something of it arrives.
LOOK_BACK: Final = timedelta(days=62)


# ------------------------------------------------------------------------------------------------ what people say


def mark_done(
    ctx: Context,
    step: str,
    day: date,
    *,
    by: str,
    detail: Mapping[str, Any] | None = None,
    opened: Path | None = None,
) -> DoneMark:
    """The step was done. `GateClosedError` where its gate is closed; done again, the later word stands.

    A runner that has opened the gate hands in the evidence (`opened`): what it did rests on that, whatever came in the meantime. Joins
    an open transaction.
    """
    if known_step(ctx, step).ends is Ending.OPEN:
        raise ConfigError(
            "step-by-itself", f"{step} is done when its gate is open; nobody has to say so: filesync gate {step} --date {day.isoformat()}"
        )  # fmt: skip
    path = open_gate(ctx, step, day) if opened is None else opened
    with ctx.store.transaction():
        mark = ctx.store.days.mark_done(step, day, by, ctx.now(), {**(detail or {}), "evidence": path.name})
        ctx.store.days.record_event(day, mark.at, "done", by, {"step": step, **mark.detail})
    return mark


def unmark(ctx: Context, step: str, day: date, *, by: str) -> None:
    """The step was not done after all. ConfigError `step-not-marked` where nobody said that it was."""
    known_step(ctx, step)
    with ctx.store.transaction():
        if not ctx.store.days.unmark_done(step, day):
            raise ConfigError("step-not-marked", f"nobody said that {step} of {day.isoformat()} was done")
        ctx.store.days.record_event(day, ctx.now(), "undone", by, {"step": step})


def override(
    ctx: Context,
    step: str,
    day: date,
    *,
    reason: str,
    by: str,
    confirmed_by: str | None = None,
    site: str | None = None,
    hours: int | None = None,
) -> Override:
    """Somebody takes the responsibility for a step that the gate keeps closed. ConfigError says which rule of overrides is broken."""
    known_step(ctx, step)
    rules = ctx.settings.overrides
    reason, by, second = reason.strip(), by.strip(), (confirmed_by or "").strip()
    if not reason or not by:
        raise ConfigError("override-unsaid", "an override needs a reason and the name of who gives it")
    if rules.two_persons and not second:
        raise ConfigError(
            "override-alone", f"{by} alone cannot override a gate: a second person must confirm it"
        )
    if second and second.casefold() == by.casefold():
        raise ConfigError("override-same-person", f"{by} cannot confirm an override of {by}")
    if site is not None and site not in ctx.settings.peers:
        raise ConfigError(
            "peer-unknown", f"no peer is called {site!r}; known: {', '.join(ctx.settings.peers) or 'none'}"
        )
    wanted = rules.hours if hours is None else hours
    if not 1 <= wanted <= rules.hours:
        raise ConfigError(
            "override-too-long", f"an override holds for 1 to {rules.hours} hours here, got {wanted}"
        )
    now = ctx.clock()
    until = (now + timedelta(hours=wanted)).isoformat(timespec="seconds")
    with ctx.store.transaction():
        made = ctx.store.days.add_override(
            Override(0, step, day, site, reason, by, second or None, ctx.now(), until)
        )
        ctx.store.days.record_event(day, made.at, "override", by, made.to_json())
    return made


def revoke(ctx: Context, override_id: int, day: date, by: str) -> None:
    """An override holds no longer. ConfigError `override-unknown` where none of this number stands for the day."""
    with ctx.store.transaction():
        if not any(
            o.id == override_id for o in ctx.store.days.overrides(day)
        ) or not ctx.store.days.revoke_override(override_id, ctx.now(), by):
            raise ConfigError("override-unknown", f"no override {override_id} stands for {day.isoformat()}")
        ctx.store.days.record_event(day, ctx.now(), "override-revoked", by, {"id": override_id})


# ------------------------------------------------------------------------------------------------ by itself


def run_due(station: Station, now: datetime) -> list[StepReport]:
    """Tell which gates have opened (or closed again) and run the automatic steps whose time has come; only news, in the order of the day.

    Only a matriz has a routine. Days in which nothing changed since they were judged last are passed over.
    """
    ctx = station.context
    if ctx.settings.role is not Role.MATRIZ:
        return []
    days = ctx.store.days
    newest = days.newest_batch()
    waiting = {step: set(asked(station)) for step, asked in WAITING.items()}
    wanted = sorted(
        {*days.days_since(days.last_seen()), *days.unsettled(now.date() - LOOK_BACK)}.union(*waiting.values())
    )
    seen = days.seen(wanted)
    prints = _fingerprints(ctx, wanted, now, seen)
    reports: list[StepReport] = []
    ledger: Ledger | None = None
    for day in wanted:
        before = seen.get(day, _UNSEEN)
        if before.seen == prints[day]:
            retried = _retry(station, day, before, now, {step for step, of in waiting.items() if day in of})
            reports += retried
            if not any(report.outcome is StepOutcome.RAN for report in retried):
                continue
        ledger = ledger or Ledger.read(ctx)
        work = _DayWork(station, ledger.judge(day), before, now)
        reports += work.run()
        # As it is now: what the runners did themselves is no news.
        after = DaySeen("", work.gates, work.settled, work.numbers)
        after = replace(after, seen=_fingerprints(ctx, [day], now, {day: after})[day])
        days.record_seen(day, after, newest)
    return reports


def _retry(
    station: Station, day: date, before: DaySeen, now: datetime, waiting: set[str]
) -> list[StepReport]:
    """Nothing of the day has changed: only what is open, automatic and not done is tried again, or what has a file waiting."""
    ctx = station.context
    done = {mark.step for mark in ctx.store.days.done(day)}
    reports = []
    for step in ctx.settings.steps.values():
        wanted = step.name in waiting if step.name in WAITING else step.name not in done
        if wanted and before.gates.get(step.name) and _ripe(step, day, now):
            reports += _run(station, step, day)
    return reports


class _DayWork:
    """One day's steps, in order. A step that was done lets the next ones run in the same go."""

    def __init__(self, station: Station, judged: Judged, before: DaySeen, now: datetime) -> None:
        self.station = station
        self.judged = judged
        self.before = before
        self.now = now
        self.gates: dict[str, str | None] = {}

    def run(self) -> list[StepReport]:
        """What is new."""
        ctx, day = self.station.context, self.judged.standing.day
        reports: list[StepReport] = []
        for step in ctx.settings.steps.values():
            decision = decide_judged(ctx, step.name, self.judged)
            was = self.before.gates.get(step.name)
            if isinstance(decision, Closed):
                self.gates[step.name] = None
                if was:
                    reports.append(self._closed_again(step, decision))
                continue
            # Others write theirs when they are run: an opening that nobody relies on needs no paper.
            evidence = write_evidence(ctx, decision).name if step.ends is Ending.OPEN else None
            self.gates[step.name] = evidence or "open"
            if not was:
                reports.append(self._opened(step, evidence))
            if _ripe(step, day, self.now):
                ran = _run(self.station, step, day)
                reports += ran
                if any(report.outcome is StepOutcome.RAN for report in ran):
                    done = {mark.step: mark for mark in ctx.store.days.done(day)}
                    self.judged = replace(self.judged, standing=replace(self.judged.standing, done=done))
        return reports

    @property
    def numbers(self) -> bool:
        """Whether the day waits for numbers of feeds, which may come with a batch of another day, or be told to be of an installation that is gone."""
        return any(reason.seqs for verdict in self.judged.verdicts for reason in verdict.reasons)

    @property
    def settled(self) -> bool:
        """Whether only news can change anything."""
        steps = self.station.context.settings.steps.values()
        owed = [s.name for s in steps if s.automatic and s.ends is Ending.RUN]
        return all(self.gates.values()) and all(name in self.judged.standing.done for name in owed)

    def _opened(self, step: Step, evidence: str | None) -> StepReport:
        return self._news(step, "gate-opened", StepOutcome.OPENED, f"{step.name} may run", evidence, ())

    def _closed_again(self, step: Step, decision: Closed) -> StepReport:
        first = decision.reasons[0].message
        return self._news(
            step,
            "gate-closed",
            StepOutcome.CLOSED,
            f"{step.name} may not run any more: {first}",
            None,
            decision.reasons,
        )

    def _news(
        self,
        step: Step,
        what: str,
        outcome: StepOutcome,
        message: str,
        evidence: str | None,
        reasons: tuple[Reason, ...],
    ) -> StepReport:
        ctx, day = self.station.context, self.judged.standing.day
        detail = {"step": step.name, **({"file": evidence} if evidence else {})}
        if reasons:
            detail["because"] = reasons[0].message
        ctx.store.days.record_event(day, ctx.now(), what, BY_ITSELF, detail)
        return StepReport(
            step.name, day, outcome, f"{day.isoformat()}: {message}", evidence=evidence, reasons=reasons
        )


def _ripe(step: Step, day: date, now: datetime) -> bool:
    """Whether a step runs by itself, and may already."""
    return step.automatic and step.name in RUNNERS and (step.at is None or now >= step.at.on(day, now.tzinfo))


def _run(station: Station, step: Step, day: date) -> list[StepReport]:
    """Run a step; no news where it found nothing to do. A failure is told, and the other days go on."""
    try:
        report = RUNNERS[step.name](station, day)
    except GateClosedError as err:  # something came in between: the next judgement says so
        return [StepReport(step.name, day, StepOutcome.CLOSED, err.message, err.code, reasons=err.reasons)]
    except FilesyncError as err:
        return [StepReport(step.name, day, StepOutcome.FAILED, err.message, err.code)]
    return [] if report.outcome is StepOutcome.NOTHING else [report]


def _fingerprints(
    ctx: Context, days: Sequence[date], now: datetime, seen: Mapping[date, DaySeen]
) -> dict[date, str]:
    """What the judgement of each of these days depends on, as a text: it changes whenever that may."""
    if not days:
        return {}
    store = ctx.store.days
    newest = store.newest_of(days)
    done: dict[date, list[Any]] = {}
    for mark in store.done(days[0], days[-1]):
        done.setdefault(mark.day, []).append([mark.step, mark.at])
    overrides: dict[date, list[int]] = {}
    for given in store.overrides(days[0], days[-1]):
        if given.in_force(now):
            overrides.setdefault(given.day, []).append(given.id)
    numbers = (
        [store.heads_sum(), len(ctx.store.holes.voids()), *store.heard_sums()]
        if any(s.numbers for s in seen.values())
        else []
    )
    steps = list(ctx.settings.steps.values())
    rules = sha256_hex(
        repr(steps).encode() + load_roster(ctx.folders.root, ctx.settings.peers).model_dump_json().encode()
    )
    return {
        day: json.dumps(
            [
                newest.get(day, 0),
                done.get(day, []),
                overrides.get(day, []),
                numbers if seen.get(day, _UNSEEN).numbers else [],
                [step.name for step in steps if _ripe(step, day, now)],
                rules,
            ]
        )
        for day in days
    }


_UNSEEN: Final = DaySeen("", {}, settled=False, numbers=False)
