"""May a step of the day run? One pure decision: Open with its evidence, or Closed with its reasons.

- A step may run when the day is complete, where it asks for that, and every step that it needs is done and could run now. So a day that is
  reopened closes every step behind it again, whatever was done before.
- An override in force takes away what stands against the step for which it was given, and against the steps it needs: all of it, or what
  is missing at one site. The evidence names the overrides that it could not have done without.
- No clock opens or closes anything, but the end of an override, which is what it was given for.
- A day on which nobody is due and nothing came has no evidence: it stays closed, unless somebody takes the responsibility.

Evidence is made from the standing alone: the same standing makes the same object, byte for byte. What is not here: when a step is done
(routine.py), and what makes a site's day complete (completeness.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from filesync.config.steps import Ending, Step
from filesync.day.completeness import judge
from filesync.day.values import Closed, Evidence, Open, Reason, ReasonCode
from filesync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from filesync.day.values import DayStanding, Decision, Override, SiteVerdict

#: The version of the evidence's form.
EVIDENCE_FORMAT: Final = 1

#: What does a shipped step, where it is not `filesync done`.
COMMANDS: Final = {
    "importar_bdf": "filesync import-bdf FILE --date {day}",
    "importar_ca": "filesync import-ca FILE --date {day}",
    "conciliar": "filesync reconcile --date {day}",
    "exportar_portal": "filesync export-portal --date {day}",
}


def decide(
    step: str,
    standing: DayStanding,
    now: datetime,
    *,
    steps: Mapping[str, Step],
    here: str = "matriz",
    verdicts: Sequence[SiteVerdict] | None = None,
) -> Decision:
    """Decide on `step` of the standing's day. `verdicts`: of every site, where they were judged before. ConfigError `step-unknown`."""
    if step not in steps:
        raise ConfigError(
            "step-unknown", f"no step of the day is called {step!r}; there are: {', '.join(steps)}"
        )
    judged = tuple(judge(site) for site in standing.sites) if verdicts is None else tuple(verdicts)
    work = _Decision(standing, judged, steps, here, [o for o in standing.overrides if o.in_force(now)])
    reasons = work.against(step)
    if reasons:
        return Closed(step, standing.day, tuple(dict.fromkeys(reasons)))
    used = tuple(sorted(work.used, key=lambda override: override.id))
    return Open(step, standing.day, Evidence(work.evidence(step, used)), used)


class _Decision:
    def __init__(
        self,
        standing: DayStanding,
        verdicts: tuple[SiteVerdict, ...],
        steps: Mapping[str, Step],
        here: str,
        overrides: Sequence[Override],
    ) -> None:
        self.standing = standing
        self.verdicts = verdicts
        self.steps = steps
        self.here = here
        self.overrides = overrides
        self.used: set[Override] = set()
        self._incomplete: list[Reason] | None = None

    def against(self, name: str) -> list[Reason]:
        """What stands against a step, after the overrides that were given for it."""
        step = self.steps[name]
        reasons = list(self.incomplete()) if step.complete else []
        for need in step.needs:
            if self.steps[need].ends is not Ending.OPEN and need not in self.standing.done:
                reasons.append(self._not_done(self.steps[need]))
            reasons += self.against(need)
        for override in self.overrides:
            if override.step == name:
                left = [
                    reason for reason in reasons if override.site is not None and reason.site != override.site
                ]
                if len(left) < len(reasons):
                    self.used.add(override)
                reasons = left
        return reasons

    def incomplete(self) -> Iterable[Reason]:
        """What keeps the day from being complete."""
        if self._incomplete is None:
            self._incomplete = [reason for verdict in self.verdicts for reason in verdict.reasons]
            if not self.verdicts:
                self._incomplete = [self._nobody()]
        return self._incomplete

    def _nobody(self) -> Reason:
        day = self.standing.day.isoformat()
        command = f"filesync roster --date {day}"
        return Reason(
            ReasonCode.NOBODY_DUE, None, f"no site is due on {day}, and nothing came of it", f"see who is due: {command}", self.here, command
        )  # fmt: skip

    def _not_done(self, step: Step) -> Reason:
        day = self.standing.day.isoformat()
        command = COMMANDS.get(step.name, "") if step.ends is Ending.RUN else ""
        command = command.format(day=day) or f"filesync done {step.name} --date {day} --by NOME"
        return Reason(
            ReasonCode.STEP_NOT_DONE, None, f"{step.name} of {day} is not done yet", f"do it first: {command}", self.here, command,
            detail={"step": step.name},
        )  # fmt: skip

    def evidence(self, step: str, used: Sequence[Override]) -> dict[str, Any]:
        """What the opening relies on: the steps behind it, every site's proofs, and the overrides it needed."""
        behind = self._behind(step)
        relies = any(self.steps[name].complete for name in behind)
        owing = {verdict.site: [r.to_json() for r in verdict.reasons] for verdict in self.verdicts}
        return {
            "format": EVIDENCE_FORMAT,
            "kind": "gate",
            "site": self.here,
            "step": step,
            "day": self.standing.day.isoformat(),
            "steps": [
                {"step": name, "by": mark.by, "at": mark.at}
                for name in behind
                if name != step and (mark := self.standing.done.get(name)) is not None
            ],
            "sites": [
                {
                    **verdict.evidence,
                    "complete": verdict.complete,
                    "owing": [_plain(r) for r in owing[verdict.site]],
                }
                for verdict in sorted(self.verdicts, key=lambda verdict: verdict.site)
            ]
            if relies
            else [],
            "overrides": [override.to_json() for override in used],
        }

    def _behind(self, name: str) -> list[str]:
        """The step and all that it needs, however far back, in the order of the day."""
        found: set[str] = set()
        ahead = [name]
        while ahead:
            step = ahead.pop()
            if step not in found:
                found.add(step)
                ahead += self.steps[step].needs
        return [step for step in self.steps if step in found]


def _plain(reason: dict[str, Any]) -> dict[str, Any]:
    """A reason as evidence of an override: without what a heartbeat changes from minute to minute."""
    return {name: reason[name] for name in ("code", "feed", "epoch", "seqs", "message")}
