"""The day's gates for people: may a step run, and if not, who owes what, what is known of it, and what to type where.

What the reasons say in words is in reasons.py.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Day, Json, Root
from filesync.cli.reasons import reason_lines, say_closed
from filesync.cli.sites import at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.day.values import Override, Reason

__all__ = ["done", "gate", "override", "reason_lines", "roster", "say_closed"]

Step = Annotated[str, typer.Argument(metavar="STEP", help="A step of the day, such as importar_bdf.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.")]


# ------------------------------------------------------------------------------------------------ commands


def gate(
    step: Step,
    when: Day,
    everything: Annotated[bool, typer.Option("--all", help="Every site that owes something, however many.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """May a step of the day run? Ends with 0 where it may, and writes the evidence; with 1 where it may not, and says why."""
    day = when.date()
    with at(root, quiet=as_json) as station:
        from filesync.day import routine
        from filesync.day.values import Open

        ctx = station.context
        decision = routine.decide(ctx, step, day)
        path = routine.write_evidence(ctx, decision) if isinstance(decision, Open) else None
        now = ctx.clock()
    if isinstance(decision, Open):
        _say_open(step, day, f"evidence/{path.name}" if path else "", decision.overrides, as_json=as_json)
        return Ending.DONE
    if as_json:
        screen.say_json(_json(step, day, None, (), decision.reasons))
    else:
        say_closed(step, day, decision.reasons, now, everything=everything)
    return Ending.ATTENTION


def done(
    step: Step,
    when: Day,
    by: By,
    undo: Annotated[bool, typer.Option("--undo", help="It was not done: take the mark back.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Say that a step of the day was done, such as exportar_sara, which no program can see."""
    day = when.date()
    with at(root, quiet=as_json) as station:
        from filesync.day import routine

        if undo:
            routine.unmark(station.context, step, day, by=by)
        else:
            mark = routine.mark_done(station.context, step, day, by=by)
    if as_json:
        screen.say_json({"step": step, "day": day, "done": not undo, "by": by})
    elif undo:
        screen.say(_("{step} of {day} counts as not done again").format(step=step, day=wording.day(day)))
    else:
        screen.say(
            _("{step} of {day} is done, says {by}").format(step=step, day=wording.day(day), by=mark.by), "bold green"
        )  # fmt: skip
    return Ending.DONE


def override(
    step: Annotated[str | None, typer.Argument(metavar="STEP", help="The step that shall run although something is missing.")] = None,
    when: Annotated[datetime | None, typer.Option("--date", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="The movement day.", show_default="with --list: every day")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why. It stands on every report of the day.")] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who takes the responsibility.")] = "",
    confirmed_by: Annotated[str | None, typer.Option("--confirmed-by", metavar="NAME", help="The second person.")] = None,
    site: Annotated[str | None, typer.Option("--site", metavar="ID", help="Only what is missing at this site.", show_default="whatever is missing")] = None,
    hours: Annotated[int | None, typer.Option("--hours", metavar="N", help="How long it holds.", show_default="24, or as configured")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show those that were given.")] = False,
    revoke: Annotated[int | None, typer.Option("--revoke", metavar="NUMBER", help="This one holds no longer.")] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Let a step run although its gate is closed: with a reason, by two persons, for a time. Recorded, and shown on every report."""
    if not listing and (when is None or (step is None and revoke is None)):
        raise typer.BadParameter(
            _("say which step and which day: filesync override STEP --date AAAA-MM-DD …")
        )
    if revoke is not None and not by.strip():
        raise typer.BadParameter(_("say who takes it back: --by NAME"))
    day = None if when is None else when.date()
    with at(root, quiet=as_json) as station:
        from filesync.day import routine

        ctx = station.context
        made = None
        if day is not None and revoke is not None:
            routine.revoke(ctx, revoke, day, by)
        elif day is not None and step is not None and not listing:
            made = routine.override(
                ctx, step, day, reason=reason, by=by, confirmed_by=confirmed_by, site=site, hours=hours
            )
        given = ctx.store.days.overrides(day or date.min, day or date.max)
        now = ctx.clock()
    if as_json:
        shown = [one for one in given if made is None or one.id == made.id]
        screen.say_json([{**one.to_json(), "in_force": one.in_force(now)} for one in shown])
    elif made is not None:
        _say_made(made)
    elif revoke is not None:
        screen.say(_("Override no. {number} holds no longer.").format(number=revoke))
    else:
        _say_overrides(given, now)
    return Ending.DONE


def roster(when: Day, root: Root = HERE, as_json: Json = False) -> Ending:
    """Which sites are due on a day, and why; the file is sites.toml."""
    day = when.date()
    with at(root, quiet=as_json) as station:
        from filesync.day.roster import SiteRoster

        known = SiteRoster.of(station.context)
        sites = known.sites(day)
        holiday = known.holiday(day)
    if as_json:
        screen.say_json({"day": day, "holiday": holiday, "sites": sites})
        return Ending.DONE
    due = sum(site.due for site in sites)
    screen.heading(
        _("{day}, {weekday}: {due} of {count} sites are due").format(
            day=wording.day(day), weekday=_weekday(day), due=due, count=len(sites)
        )
    )
    if holiday:
        screen.say(_("Holiday: {name}").format(name=holiday))
    words = {
        "weekday": _("weekday"),
        "holiday": _("holiday"),
        "exception": _("named for this day"),
        "inactive": _("not in business"),
    }
    screen.table(
        [_("site"), _("due"), _("because of"), _("shifts"), _("sends")],
        [
            [site.site, _("yes") if site.due else _("no"), words[site.why], str(site.turnos), ", ".join([*sorted(site.datasets), "fechamento"])]
            for site in sites
        ],
        right={_("shifts")},
    )  # fmt: skip
    return Ending.DONE


# ------------------------------------------------------------------------------------------------ what is said


def _json(
    step: str, day: date, evidence: str | None, overrides: Sequence[Override], reasons: Sequence[Reason]
) -> dict[str, Any]:
    return {
        "step": step,
        "day": day,
        "open": evidence is not None,
        "evidence": evidence,
        "overrides": [given.to_json() for given in overrides],
        "reasons": [reason.to_json() for reason in reasons],
    }


def _say_open(step: str, day: date, evidence: str, overrides: Sequence[Override], *, as_json: bool) -> None:
    if as_json:
        screen.say_json(_json(step, day, evidence, overrides, ()))
        return
    text = _("{step} of {day} may run.").format(step=step, day=wording.day(day))
    screen.say(text, "bold yellow" if overrides else "bold green")
    for given in overrides:
        screen.say(_("  *** Only by override no. {number} ***").format(number=given.id), "bold red")
        screen.say(f"  {_override_line(given)}")
    screen.say(_("  The evidence: {file}").format(file=evidence))


def _say_made(made: Override) -> None:
    screen.say(_("Override no. {number} holds until {until}.").format(number=made.id, until=wording.moment(made.until)), "bold yellow")  # fmt: skip
    screen.say(f"  {_override_line(made)}")
    screen.say(_("  It stands on every report of {day}. Take it back: filesync override --revoke {number} --date {date} --by NAME").format(day=wording.day(made.day), number=made.id, date=made.day.isoformat()))  # fmt: skip
    screen.say(_("  Next: filesync gate {step} --date {date}").format(step=made.step, date=made.day.isoformat()))  # fmt: skip


def _override_line(given: Override) -> str:
    where = _("what is missing at {site}").format(site=given.site) if given.site else _("whatever is missing")
    who = given.by if given.confirmed_by is None else _("{by}, confirmed by {second}").format(by=given.by, second=given.confirmed_by)  # fmt: skip
    return _("{step} of {day}, {where}: {reason} ({who})").format(step=given.step, day=wording.day(given.day), where=where, reason=given.reason, who=who)  # fmt: skip


def _say_overrides(given: Sequence[Override], now: datetime) -> None:
    if not given:
        screen.say(_("No override was given."))
        return
    for one in given:
        if one.revoked_at is not None:
            state = _("taken back by {by}, {at}").format(by=one.revoked_by, at=wording.moment(one.revoked_at))
        elif one.in_force(now):
            state = _("holds until {until}").format(until=wording.moment(one.until))
        else:
            state = _("ended {until}").format(until=wording.moment(one.until))
        screen.say(f"{one.id}  {state}", "bold" if one.in_force(now) else "")
        screen.say(f"   {_override_line(one)}")


def _weekday(day: date) -> str:
    return (
        _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"),
    )[day.weekday()]  # fmt: skip
