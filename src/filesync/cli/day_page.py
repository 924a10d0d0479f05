"""How the page of a movement day looks: sites and what they owe, steps, totals, tickets, reconciliation, journal. Prints; asks nothing.

An override and a stale reconciliation stand at the top, in words and between asterisks, and again where they matter: whoever prints the
page in black and white, or reads only the last lines, must not overlook them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from filesync.cli import screen, wording
from filesync.cli.language import _, mark, ngettext
from filesync.day.values import Override, ReasonCode
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.day.page import DayPage, SiteLine, StepLine
    from filesync.day.values import Reason
    from filesync.stores.day_values import DayEvent
    from filesync.stores.tickets import TicketSeries

#: Lines of one part of the page; --json has all.
LINES_MAX = 20
#: By colour; the word stands beside it.
STYLES = {mark("green"): "green", mark("yellow"): "yellow", mark("red"): "bold red", "grey": "dim"}
_LOUD = {"override": "bold white on red", "stale": "bold black on yellow"}


def say_page(page: DayPage, now: datetime) -> None:
    """Everything about a day."""
    done = sum(line.verdict.complete for line in page.sites)
    title = _("Movement day {day} at {site}: {state}").format(
        day=wording.day(page.day), site=page.site, state=state_word(page.state.value)
    )
    screen.say(
        title, f"bold {STYLES[page.state.colour.value].removeprefix('bold ')}".replace("bold dim", "bold")
    )
    if page.sites:
        screen.say(_("  {done} of {count} sites complete").format(done=done, count=len(page.sites)))
    else:
        screen.say(_("  Nobody is due, and nothing came."))
    for due in page.not_due:
        why = {"weekday": _("its day off"), "holiday": _("holiday"), "inactive": _("not active then"), "exception": _("closed on that day")}[due.why]  # fmt: skip
        screen.say(_("  {site} is not due: {why}").format(site=due.site, why=f"{why}, {due.holiday}" if due.why == "holiday" else why), "dim")  # fmt: skip
    say_marks(page, now)
    say_sites(page, now)
    _say_steps(page)
    _say_money(page)
    say_tickets(page.tickets)
    _say_files(page)
    _say_reconciliation(page)
    _say_events(page)


def say_marks(page: DayPage, now: datetime) -> None:
    """What must not be overlooked, on every report of the day."""
    say_overrides(page.overrides, now)
    if page.stale:
        text = _("RECONCILIATION STALE: sales or billing of this day changed after it was made. Again: {command}").format(
            command=f"filesync reconcile --date {page.day.isoformat()}"
        )  # fmt: skip
        screen.say(f"*** {text} ***", _LOUD["stale"])


def say_overrides(overrides: Iterable[Override], now: datetime) -> None:
    """A mark for each override that was ever given, whether it still holds or not."""
    for override in overrides:
        screen.say(f"*** {override_line(override.to_json(), override.in_force(now))} ***", _LOUD["override"])


def override_line(override: Mapping[str, Any], in_force: bool | None = None) -> str:
    """`OVERRIDE no. 3 of importar_bdf, only what is missing at posto-centro: "…", by Ana, …`, from its JSON; `in_force` None: not asked."""
    where = _(", only what is missing at {site}").format(site=override["site"]) if override["site"] else ""
    second = _(", confirmed by {name}").format(name=override["confirmed_by"]) if override["confirmed_by"] else ""  # fmt: skip
    until = wording.moment(str(override["until"]))
    if override["revoked_at"]:
        how_long = _("taken back by {by}, {at}").format(by=override["revoked_by"], at=wording.moment(str(override["revoked_at"])))  # fmt: skip
    elif in_force is None:
        how_long = _("until {until}").format(until=until)
    else:
        how_long = (_("holds until {until}") if in_force else _("ended {until}")).format(until=until)
    return _('OVERRIDE no. {id} of {step}{where}: "{reason}", by {by}{second}, {at}, {how_long}').format(
        id=override["id"], step=override["step"], where=where, reason=override["reason"], by=override["by"], second=second,
        at=wording.moment(str(override["at"])), how_long=how_long,
    )  # fmt: skip


def state_word(state: str) -> str:
    """A state of a site, a day or a step in the words of the shop. Also for those who see no colours."""
    return {
        "complete": _("complete"),
        "late": _("LATE: something came after the close"),
        "open": _("open"),
        "overdue": _("OVERDUE"),
        "not-due": _("not due"),
        "to-come": _("to come"),
        "done": _("done"),
        "closed": _("closed"),
        "overridden": _("OPEN BY OVERRIDE"),
    }[state]


def say_sites(page: DayPage, now: datetime) -> None:
    """Each site with its day, then what each of them owes."""
    if not page.sites:
        return
    screen.heading(_("Sites"))
    screen.table(
        [_("site"), _("state"), _("closed"), _("sales here"), _("total here"), _("by its close"), _("cash")],
        [_site_row(line) for line in page.sites],
        right={_("sales here"), _("total here"), _("by its close"), _("cash")},
    )
    for line in page.sites:
        if line.verdict.reasons:
            heard = line.day.last_contact
            contact = _("(last heard from {age})").format(age=wording.age(heard, now)) if heard else _("(never heard from)")  # fmt: skip
            screen.say(f"{line.day.site} {contact}", "bold")
            say_reasons(line.verdict.reasons, now)


def _site_row(line: SiteLine) -> list[str]:
    state = {"late": _("LATE")}.get(line.state.value) or state_word(line.state.value)
    closings = line.day.closings
    if not closings:
        return [line.day.site, state, "-", wording.number(line.sales), wording.money(line.total_centavos), "-", "-"]  # fmt: skip
    closed = wording.moment(closings[-1].closed_at)
    if line.day.turnos > 1:
        closed += _(" ({count} of {turnos} shifts)").format(count=len(closings), turnos=line.day.turnos)
    if all(closing.no_sales for closing in closings):
        closed += _(" no sales")
    cash = wording.money(line.difference_centavos) if line.difference_centavos else _("agrees")
    return [
        line.day.site, state, closed, wording.number(line.sales), wording.money(line.total_centavos),
        wording.money(line.closed_centavos), cash,
    ]  # fmt: skip


def say_reasons(reasons: Sequence[Reason], now: datetime) -> None:
    """What is missing and what to do about it, one by one."""
    from filesync.cli.reasons import reason_lines

    for reason in reasons[:LINES_MAX]:
        for text in reason_lines(reason, now):
            screen.say(f"  {text}")
    if len(reasons) > LINES_MAX:
        screen.say(_("  … and {count} more (--json has all)").format(count=len(reasons) - LINES_MAX))


def _say_steps(page: DayPage) -> None:
    screen.heading(_("Steps"))
    for line in page.steps:
        screen.say(f"  {line.step}: {_step_text(line, page)}", "bold red" if line.overrides else "")


def _step_text(line: StepLine, page: DayPage) -> str:
    iso = page.day.isoformat()
    needs = dict.fromkeys(str(r.detail["step"]) for r in line.reasons if r.code is ReasonCode.STEP_NOT_DONE)
    owing = dict.fromkeys(reason.site for reason in line.reasons if reason.site is not None)
    text = _("may run") if line.state.value == "open" else state_word(line.state.value)
    if line.done is not None:
        text = _("done by {by}, {at}").format(by=line.done.by, at=wording.moment(line.done.at))
        if line.reasons:
            text += _("; since then its gate has closed: filesync gate {step} --date {day}").format(step=line.step, day=iso)  # fmt: skip
        elif line.outdated:
            text += _("; since then sales of the day have changed: filesync export-portal --date {day}").format(day=iso)  # fmt: skip
    elif owing:
        text = _("closed; the day is not complete ({sites})").format(sites=", ".join(list(owing)[:4]) + (" …" if len(owing) > 4 else ""))  # fmt: skip
    elif needs:
        text = _("closed; waits for {steps}").format(steps=", ".join(needs))
    elif line.by_hand:
        text = _("may run; say when it is done: filesync done {step} --date {day} --by NAME").format(step=line.step, day=iso)  # fmt: skip
    if line.refused:
        text += _(
            "; the portal did not take all of it. What it says: filesync show {batch}   When that is cured: filesync export-portal --date {day} --again"
        ).format(batch=line.refused[0], day=iso)
    for other in line.moved_to:
        text += _("; sales were moved to {other}, and stand here at the portal until: filesync export-portal --date {iso}").format(other=wording.day(other), iso=other.isoformat())  # fmt: skip
    if line.overrides:
        numbers = ", ".join(str(override.id) for override in line.overrides)
        text += _("  *** OVERRIDE no. {numbers} ***").format(numbers=numbers)
    return text


def _say_money(page: DayPage) -> None:
    money = page.money
    if not money.sales and not money.cancelled:
        return
    screen.heading(_("Totals"))
    line = _("  {sales}, {postings}, {total}").format(
        sales=wording.documents(money.sales, "vendas"),
        postings=wording.plural(money.postings, "posting", "postings"),
        total=wording.money(money.total_centavos),
    )
    if money.cancelled:
        line += _("; {count} cancelled").format(count=wording.number(money.cancelled))
    screen.say(line)
    for form, centavos in sorted(money.forms.items()):
        screen.say(f"  {wording.payment_form(form)}: {wording.money(centavos)}")


def say_tickets(tickets: Iterable[TicketSeries]) -> None:
    """Numbers that no batch has brought."""
    found = list(tickets)
    if not found:
        return
    screen.heading(_("Ticket numbers that no batch has brought"))
    for series in found[:LINES_MAX]:
        name = _("{site}, caixa {caixa}, series {serie}").format(
            site=series.origem, caixa=series.per[0], serie=", ".join(series.per[1:])
        )
        parts = []
        if series.between:
            spans = ", ".join(wording.span(*span) for span in series.between)
            parts.append(_("{spans} since the day before, which ended with {last}").format(spans=spans, last=series.before))  # fmt: skip
        if series.inside:
            spans = ", ".join(wording.span(*span) for span in series.inside[:LINES_MAX])
            parts.append(_("{spans} inside the day").format(spans=spans))
        if series.repeated:
            parts.append(ngettext("{count} number twice", "{count} numbers twice", series.repeated).format(count=series.repeated))  # fmt: skip
        screen.say(f"  {name}: {'; '.join(parts)}", "yellow")
    if len(found) > LINES_MAX:
        screen.say(_("  … and {count} more (--json has all)").format(count=len(found) - LINES_MAX))
    screen.say(_("  A ticket that was printed and never saved is looked for at the till; one that was refused: filesync quarantine"))  # fmt: skip


def _say_files(page: DayPage) -> None:
    if not page.files:
        return
    screen.heading(_("Billing files"))
    for file in page.files:
        line = _("  {dataset}: {file}, {rows}, by {by}, {at}").format(
            dataset={"bdf": "BDF", "ca": "C.A."}.get(file.dataset, file.dataset), file=file.file_name,
            rows=wording.plural(file.documents, "row", "rows"), by=file.by, at=wording.moment(file.at),
        )  # fmt: skip
        if file.set_aside:
            line += _("; {count} set aside").format(count=wording.number(file.set_aside))
        screen.say(
            line + (_("; superseded") if file.superseded_by else ""), "dim" if file.superseded_by else ""
        )


def _say_reconciliation(page: DayPage) -> None:
    screen.heading(_("Reconciliation"))
    command = f"filesync reconcile --date {page.day.isoformat()}"
    if page.reconciliation is None:
        screen.say(_("  not made yet: {command}").format(command=command))
        return
    words = {
        "green": _("agree"),
        "yellow": _("differ"),
        "red": _("on one side only"),
        "white": _("not checked"),
    }
    for colour, amounts in page.reconciliation.colours.items():
        style = {"red": "bold red", "yellow": "yellow", "green": "green"}.get(colour.value, "")
        screen.say(f"  {_(colour.value)}: {wording.number(amounts.lines)} {words[colour.value]}", style)
    if page.stale:
        screen.say(_("  *** STALE: {command} ***").format(command=command), _LOUD["stale"])


#: What of an entry's detail is shown, in this order.
_SHOWN = ("step", "id", "because", "file", "evidence", "reason", "kind", "files", "documents", "batch")


def _tells(event: DayEvent, name: str) -> bool:
    """Whether this entry needs that fact: the evidence has an entry of its own, and a billing file is known by its name."""
    if name == "evidence":
        return name in event.detail and event.what == "evidence"
    return name in event.detail and not (name == "batch" and "file" in event.detail)


def _fact(name: str, value: object) -> str:
    if name == "documents" and isinstance(value, int):
        return wording.plural(value, "row", "rows")
    if name == "files" and isinstance(value, int):
        return wording.plural(value, "file", "files")
    return said(str(value))


def _say_events(page: DayPage) -> None:
    if not page.events:
        return
    screen.heading(_("Journal"))
    words = {
        "gate-opened": _("gate opened"), "gate-closed": _("gate closed again"), "done": _("done"), "undone": _("not done after all"),
        "purged": _("files purged"), "override": _("OVERRIDE"), "override-revoked": _("override taken back"), "evidence": _("evidence written"),
        "sales-left": _("sales moved to another day"),
    }  # fmt: skip
    shown = page.events[-LINES_MAX:]
    if len(page.events) > len(shown):
        screen.say(_("  … {count} earlier (--json has all)").format(count=len(page.events) - len(shown)))
    for event in shown:
        facts = ", ".join(_fact(name, event.detail[name]) for name in _SHOWN if _tells(event, name))
        line = f"  {wording.moment(event.at)}  {words.get(event.what, event.what)}, {event.who}"
        screen.say(f"{line}: {facts}" if facts else line)
