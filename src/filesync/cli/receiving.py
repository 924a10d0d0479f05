"""`filesync receive-remote`: the button RECEBER VENDAS REMOTAS. What came, whether each site's day is whole, and what to do about the rest."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from filesync.cli import screen, wording
from filesync.cli.day_page import say_marks, say_sites, say_tickets
from filesync.cli.ending import Ending, worst
from filesync.cli.language import _
from filesync.cli.moved import say_exchange, say_import
from filesync.cli.options import HERE, Day, Json, Root
from filesync.cli.sites import at
from filesync.day.values import StepOutcome
from filesync.phrases import said as rephrased

if TYPE_CHECKING:
    from datetime import datetime

    from filesync.day.receiving import Receiving
    from filesync.day.values import StepReport


def receive_remote(when: Day, root: Root = HERE, as_json: Json = False) -> Ending:
    """Fetch and apply what the postos and caixas sent; then, for each of them, whether the day is whole."""
    with at(root, quiet=as_json) as station:
        from filesync.day.receiving import receive

        received = receive(station, when.date())
        now = station.context.clock()
    if as_json:
        screen.say_json(_json(received))
    else:
        _say(received, now)
    turn = received.turn
    unreachable = bool(turn.exchange.unreachable)
    wrong = turn.imported.needs_attention or bool(turn.exchange.disk_low)
    return worst(attention=wrong or (bool(received.reasons) and not unreachable), unreachable=unreachable)


def _json(received: Receiving) -> dict[str, object]:
    return {
        "day": received.day,
        "complete": received.page.complete,
        "evidence": None if received.evidence is None else received.evidence.name,
        "reasons": [reason.to_json() for reason in received.reasons],
        "steps": [step_json(step) for step in received.steps],
        "turn": received.turn,
        "page": received.page.to_json(),
    }


def step_json(step: StepReport) -> dict[str, object]:
    """As `--json` says it."""
    return {
        "step": step.step,
        "day": step.day,
        "outcome": step.outcome,
        "message": step.message,
        "code": step.code,
        "evidence": step.evidence,
        "reasons": [reason.to_json() for reason in step.reasons],
    }


def _say_steps(received: Receiving) -> None:
    """What followed by itself."""
    for step in received.steps:
        if step.outcome is StepOutcome.RAN:
            screen.say(_("{step} of {day}: {message}").format(step=step.step, day=wording.day(step.day), message=rephrased(step.message)), "bold green")  # fmt: skip
        elif step.outcome is StepOutcome.FAILED:
            screen.say(_("{step} of {day} failed: {message}").format(step=step.step, day=wording.day(step.day), message=rephrased(step.message)), "bold red")  # fmt: skip
        elif step.outcome is StepOutcome.CLOSED:
            screen.say(_("{step} of {day} is closed again: {message}").format(step=step.step, day=wording.day(step.day), message=rephrased(step.message)), "bold yellow")  # fmt: skip


def _say(received: Receiving, now: datetime) -> None:
    turn, page = received.turn, received.page
    moved = say_exchange(turn.exchange, idle=False)
    if not (say_import(turn.imported) or moved):
        screen.say(_("Nothing new came."))
    say_marks(page, now)
    say_sites(page, now)
    say_tickets(page.tickets)
    day = wording.day(received.day)
    if received.evidence is not None:
        if page.complete:
            screen.say(_("All sales of {day} are here.").format(day=day), "bold green")
        else:
            screen.say(_("*** {day} is NOT complete; its gate is open by an override. ***").format(day=day), "bold white on red")  # fmt: skip
        screen.say(_("  The evidence: {file}").format(file=f"evidence/{received.evidence.name}"))
        screen.say(_("  BDF and C.A. of that day may be imported now: filesync import-bdf FILE --date {date}").format(date=received.day.isoformat()))  # fmt: skip
        _say_steps(received)
        return
    states = Counter(line.verdict.complete for line in page.sites)
    screen.say(
        _("{day} is not complete: {done} of {count} sites are. Do not import BDF or C.A. yet.").format(
            day=day, done=states[True], count=len(page.sites)
        ),
        "bold red",
    )
    screen.say(_("  What is missing and what to do stands above; then again: filesync receive-remote --date {date}").format(date=received.day.isoformat()))  # fmt: skip
    _say_steps(received)
