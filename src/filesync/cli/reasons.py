"""Why a step may not run, in words: who owes what, what is known of it, and what to type where.

Reasons come as codes and numbers (day/values.py); the sentences are made here, for every command that tells them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.cli import screen, wording
from filesync.cli.language import _, ngettext
from filesync.phrases import said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from filesync.day.values import Reason

#: Sites that are told one by one; more of them are counted.
SITES_MAX = 15


def say_closed(
    step: str, day: date, reasons: Sequence[Reason], now: datetime, *, everything: bool = False
) -> None:
    """Who owes what for a step that may not run, site by site, each with its next command."""
    sites: dict[str, list[Reason]] = {}
    for reason in reasons:
        sites.setdefault(reason.site or "", []).append(reason)
    own = sites.pop("", [])
    screen.say(_headline(step, day, len(sites)), "bold red")
    for reason in own:
        for line in reason_lines(reason, now):
            screen.say(f"  {line}")
    shown = list(sites.items()) if everything else list(sites.items())[:SITES_MAX]
    for site, owed in shown:
        screen.say()
        screen.say(f"{site}   {_contact(owed[0], now)}", "bold")
        for reason in owed:
            for line in reason_lines(reason, now):
                screen.say(f"  {line}")
    if len(shown) < len(sites):
        screen.say()
        left = len(sites) - len(shown)
        text = ngettext("… and {count} site more (--all names it)", "… and {count} sites more (--all names them)", left)  # fmt: skip
        screen.say(text.format(count=wording.number(left)))
    if any("--contado" in (reason.command or "") for reason in reasons):
        screen.say()
        screen.say(_("VALOR is the cash that was counted, as 1234,56. A day without sales is closed too: add --sem-movimento"))  # fmt: skip


def _headline(step: str, day: date, sites: int) -> str:
    if not sites:
        return _("{step} of {day} may not run yet.").format(step=step, day=wording.day(day))
    text = ngettext(
        "{step} of {day} may not run yet: {count} site owes something.",
        "{step} of {day} may not run yet: {count} sites owe something.",
        sites,
    )
    return text.format(step=step, day=wording.day(day), count=wording.number(sites))


def _contact(reason: Reason, now: datetime) -> str:
    if reason.last_contact is None:
        return _("(never heard from)")
    return _("(last heard from {age})").format(age=wording.age(reason.last_contact, now))


def reason_lines(reason: Reason, now: datetime) -> Iterator[str]:
    """What is missing and since when, then what to type, and where."""
    since = _(", since {moment} ({age})").format(moment=wording.moment(reason.since), age=wording.age(reason.since, now)) if reason.since else ""  # fmt: skip
    yield f"- {_sentence(reason)}{since}"
    if reason.command is None:
        yield f"  {said(reason.action)}"
    elif reason.at is None:
        yield f"  {reason.command}"
    else:
        yield _("  at {site}: {command}").format(site=reason.at, command=reason.command)
    if extra := _then(reason):
        yield f"  {extra}"


def _sentence(reason: Reason) -> str:
    from filesync.day.values import ReasonCode as Code

    facts = {
        **reason.detail,
        "problem": said(str(reason.detail.get("problem", ""))),
        "what": _(str(reason.detail.get("what", ""))),
        "feed": reason.feed,
        "epoch": reason.epoch,
        "numbers": _numbers(reason),
    }
    match reason.code:
        case Code.NOT_CLOSED:
            text = _not_closed(reason)
        case Code.MISSING:
            text = _missing(reason)
        case Code.UNDECIDED:
            text = {
                "hole": _("{feed} {numbers} lies here and waits for what comes before it"),
                "payload-missing": _("{feed} {numbers} lies here without its content"),
                "set-aside": _("{feed} {numbers} came and was set aside: it is not believed"),
            }.get(str(facts.get("why")), _("{feed} {numbers} lies here and was not looked at yet"))
        case Code.REFUSED:
            whole = facts.get("verdict") == "REJECTED"
            text = _("{feed} {numbers} was rejected: {problem}") if whole else _("{feed} {numbers} was applied only in part: {problem}")  # fmt: skip
        case Code.LATE:
            text = _("{feed} {numbers} came late: the day was closed without it")
            facts["documents"] = wording.number(int(reason.detail.get("documents", 0)))
        case Code.DISAGREES if reason.detail.get("held"):
            text = _("its closes say {expected} {what}, and {got} are held: a sale was moved to another day")
        case Code.DISAGREES:
            text = _("{feed} {numbers}: the close says {expected}, here are {got} ({what} {of})")
        case Code.STEP_NOT_DONE:
            text = _("{step} is not done yet")
        case Code.NOBODY_DUE:
            text = _("no site is due on this day, and nothing came of it")
    return text.format(**facts)


def _not_closed(reason: Reason) -> str:
    from filesync.day.values import Known

    if reason.known is Known.UNSENT:
        return _("its close ({feed} {numbers}) is sealed there and was not sent yet")
    if reason.known is Known.IN_TRANSIT:
        return _("its close ({feed} {numbers}) is on the way")
    if int(reason.detail.get("turno", 1)) > 1:
        return _("shift {turno} is not closed: no close that came from there says so")
    return _("the day is not closed: nothing that came from there says that a close was made")


def _missing(reason: Reason) -> str:
    from filesync.day.values import Known

    if reason.detail.get("earlier"):
        return _("{feed} {numbers} was sealed by an earlier installation ({epoch}) and never came")
    if reason.known is Known.UNSENT:
        return _("{feed} {numbers} is sealed there and was not sent yet")
    if "turno" in reason.detail:
        return _("{feed} {numbers} is missing: its close names it, and it left there")
    return _("{feed} {numbers} is missing: it left there and is on the way")


def _then(reason: Reason) -> str:
    """What helps where the first command does not."""
    from filesync.day.values import Known, ReasonCode

    day_again = reason.detail.get("again")
    if reason.code is ReasonCode.REFUSED and isinstance(day_again, str):
        return _("then, when it is corrected: {command}").format(command=day_again)
    if reason.known is Known.IN_TRANSIT and isinstance(reason.detail.get("fetch"), str):
        return _("or fetch once more: {command}").format(command=reason.detail["fetch"])
    return ""


def _numbers(reason: Reason) -> str:
    """`no. 4`, `nos. 4-7, 9`."""
    spans = [wording.span(first, last) for first, last in reason.seqs]
    text = ", ".join(spans[:8])
    if len(spans) > 8:
        text = _("{texts} and {len} more").format(texts=text, len=len(spans) - 8)
    return (ngettext("no. {spans}", "nos. {spans}", reason.count)).format(spans=text)
