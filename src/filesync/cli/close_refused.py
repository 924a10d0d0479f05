"""Why a day was not closed, in words: what happened, what there is to list, and the next step with its exact command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, ngettext
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.day.closing import CloseOrder, CloseRefusedError
    from filesync.day.unsealed import Unsealed

#: Lines of a list that are shown; the rest is counted.
LINES_MAX = 12

#: What happened, the list, its whole length, and the next step.
Refusal = tuple[str, list[str], int, str]


def say_refused(refused: CloseRefusedError, order: CloseOrder, *, as_json: bool) -> Ending:
    """Say it on stderr, and with `--json` as an error with what the source holds."""
    what, lines, count, do = _refusal(refused, order)
    shown = [f"  {line}" for line in lines[:LINES_MAX]]
    if count > len(shown):
        shown.append(_("  … and {count} more").format(count=wording.number(count - len(shown))))
    screen.complain(what, "\n".join([*shown, do]))
    if as_json:
        error = {"code": refused.code, "message": refused.message, "advice": do}
        screen.say_json({"error": error, "unsealed": refused.unsealed})
    return Ending.ATTENTION


def _refusal(refused: CloseRefusedError, order: CloseOrder) -> Refusal:
    found, day, iso = refused.unsealed, wording.day(order.day), order.day.isoformat()
    if found is None:
        return _plain(refused, order)
    if found.unread:
        return _unread(refused, found, day)
    if found.documents:
        return _unsealed(found, day, iso)
    return _mistaken(found, day, iso)


def _plain(refused: CloseRefusedError, order: CloseOrder) -> Refusal:
    facts = {
        "day": wording.day(order.day),
        "iso": order.day.isoformat(),
        "turno": order.turno or 1,
        "before": (order.turno or 1) - 1,
    }
    match refused.code:
        case "day-empty":
            what = _("{day} is not closed: no sales of it are known here.")
            do = _(
                "If nothing was sold, say so: add --sem-movimento. If something was: filesync export vendas --date {iso}"
            )
        case "day-not-empty":
            what = _("{day} is not closed: it has sales, so it is no day without sales.")
            do = _("Leave --sem-movimento out.")
        case "payload-lost":
            what = _(
                "{day} is not closed: the file of a batch of it is gone, so nobody can add up what was in it."
            )
            do = _(
                "Seal the sales of the day again: filesync export vendas --date {iso} --again   Then close again."
            )
        case "payload-purged":
            return said(refused.message), [], 0, _("If it must be closed again all the same, seal the sales of the day again first: filesync export vendas --date {iso} --again").format(**facts)  # fmt: skip
        case "turno-missing":
            what = _("Shift {turno} of {day} is not closed: the shift before it is still open.")
            do = _("Close that one first: filesync close --date {iso} --turno {before} --contado …")
        case "turno-late":
            what = _("Shift {turno} of {day} stays as it is: sales came after the close of the last shift.")
            do = _(
                "Close the last shift again first: filesync close --date {iso} --turno N (the count is kept)"
            )
        case _:
            return said(refused.message), [], 0, advice.of_error(refused)
    return what.format(**facts), [], 0, do.format(**facts)


def _unread(refused: CloseRefusedError, found: Unsealed, day: str) -> Refusal:
    what = _("{day} is not closed: the sales could not be read, so nobody knows whether all are sent.")
    do = advice.of_code(found.unread[0].code).do or advice.of_error(refused)
    lines = [f"{held.name}: {said(held.message)}" for held in found.unread]
    again = _("Then close again; nothing was changed.")
    return what.format(day=day), lines, len(lines), f"{do} {again}"


def _unsealed(found: Unsealed, day: str, iso: str) -> Refusal:
    what = ngettext(
        "{day} is not closed: {count} sale of it is saved and not sealed.",
        "{day} is not closed: {count} sales of it are saved and not sealed.",
        found.documents,
    )
    do = _(
        "Seal them: filesync export vendas --date {iso}   Then close again. (filesync send-remote does both.)"
    )
    happened = what.format(day=day, count=wording.number(found.documents))
    return happened, list(found.names), found.documents, do.format(iso=iso)


def _mistaken(found: Unsealed, day: str, iso: str) -> Refusal:
    what = ngettext(
        "{day} is not closed: {count} sale of it has a mistake and cannot be sent.",
        "{day} is not closed: {count} sales of it have mistakes and cannot be sent.",
        found.refused,
    )
    do = _(
        "Correct them in the program that they come from, then: filesync export vendas --date {iso}   If that is not possible today, close "
        "with --despite-refused: the close names them."
    )
    in_line = _("line {row}: {message}")
    lines = [
        said(problem.message)
        if problem.row is None
        else in_line.format(row=problem.row, message=said(problem.message))
        for problem in found.problems
    ]
    happened = what.format(day=day, count=wording.number(found.refused))
    return happened, lines, max(found.refused, len(lines)), do.format(iso=iso)
