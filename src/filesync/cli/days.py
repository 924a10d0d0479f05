"""`filesync day` and `filesync dossier`: a movement day on one page (day_page.py), many as a calendar, one as an auditor gets it.

They change nothing at the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.day_page import LINES_MAX, STYLES, say_marks, say_page, state_word
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Day, DayOrNone, Json, Root, days_of
from filesync.cli.sites import at

if TYPE_CHECKING:
    from filesync.day.page import DayCell


def day(
    when: DayOrNone = None,
    span: Annotated[
        str | None,
        typer.Option("--range", metavar="A..B", help="A calendar from day A to day B, or of a month (2026-03).", show_default=False),
    ] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """A movement day on one page: sites, steps, overrides, totals, differences. With --range a calendar."""
    if (when is None) == (span is None):
        raise typer.BadParameter(_("give either --date AAAA-MM-DD or --range A..B"))
    with at(root, quiet=as_json) as station:
        from filesync.day import report

        ctx = station.context
        if when is not None:
            page = report.page(ctx, when.date())
            now = ctx.clock()
        else:
            cells = report.calendar(ctx, *days_of(span or ""))
    if when is not None:
        screen.say_json(page.to_json()) if as_json else say_page(page, now)
    else:
        screen.say_json([cell.to_json() for cell in cells]) if as_json else _say_calendar(cells)
    return Ending.DONE


def dossier(
    when: Day,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", dir_okay=False, help="Where it is put; a dossier that is there already is replaced.")],
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Everything that a movement day stands on, in one zip that proves itself: `filesync verify FILE.zip`."""
    target = file.absolute()
    with at(root, quiet=as_json) as station:
        from filesync.day import dossier as packing
        from filesync.day import report

        page = report.page(station.context, when.date())
        written, absent = packing.write_dossier(station.context, page, target)
        key = station.context.settings.key.public.fingerprint
        now = station.context.clock()
        purged = station.context.store.purges.archive_of(page.day)
    if as_json:
        screen.say_json(
            {
                "file": str(target),
                "files": written.files,
                "bytes": written.size,
                "sha256": written.sha256,
                "signed_by": key,
                "complete": page.complete,
                "absent": absent,
            }
        )
        return Ending.ATTENTION if absent else Ending.DONE
    facts = {
        "day": wording.day(page.day),
        "files": wording.plural(written.files, "file", "files"),
        "size": wording.size(written.size),
    }
    screen.say(_("Dossier of {day}: {files}, {size}").format(**facts), "bold green")
    screen.say(f"  {target}")
    screen.say(f"  sha256 {written.sha256}")
    say_marks(page, now)
    if not page.complete:
        screen.say(_("The day is not complete: the dossier says so too."), "yellow")
    if purged is not None:
        text = _("The archive of this day was purged on {when}, by {who}: what lay there is absent.")
        screen.say(text.format(when=wording.moment(purged.at), who=purged.by), "yellow")
    for name in absent[:LINES_MAX]:
        screen.say(_("  absent: {name} (INDEX.json says why)").format(name=name), "yellow")
    command = f"filesync verify {target.name} --key {page.site}.pub"
    screen.say(_("Signed with {key}. Whoever has this site's public key can check it: {command}").format(key=key, command=command))  # fmt: skip
    return Ending.ATTENTION if absent else Ending.DONE


# ------------------------------------------------------------------------------------------------ the calendar


def _say_calendar(cells: Sequence[DayCell]) -> None:
    """Months as weeks, each day with its word and its colour; then the days that need somebody."""
    from rich.text import Text

    weekdays = [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")]
    out = screen.console()
    month: tuple[int, int] | None = None
    row = Text()
    for cell in cells:
        if month != (cell.day.year, cell.day.month):
            if row.plain.strip():
                row.rstrip()
                out.print(row)
            month = (cell.day.year, cell.day.month)
            screen.heading(f"{cell.day:%m/%Y}")
            out.print(Text(" " + "".join(name.ljust(_WIDTH) for name in weekdays).rstrip()))
            row = Text(" " * (_WIDTH * cell.day.weekday()))
        row.append(_cell(cell).ljust(_WIDTH), STYLES[cell.state.colour.value])
        if cell.day.weekday() == 6:
            row.rstrip()
            out.print(row)
            row = Text()
    if row.plain.strip():
        row.rstrip()
        out.print(row)
    screen.say(_("* an override was given   ~ the reconciliation is stale"))
    _say_owing(cells)


#: Characters of a day in the calendar: number, word, marks.
_WIDTH = 11


def _cell(cell: DayCell) -> str:
    word = {
        "complete": _("ok"),
        "late": _("late"),
        "open": _("open"),
        "overdue": _("OWED"),
        "not-due": "-",
        "to-come": "",
    }[cell.state.value]
    marks = ("*" if cell.overridden else "") + ("~" if cell.stale else "")
    return f" {cell.day.day:2} {word}{marks}"


def _say_owing(cells: Sequence[DayCell]) -> None:
    owing = [cell for cell in cells if cell.owing and cell.state.value != "to-come"]
    for cell in owing[:LINES_MAX]:
        screen.say(
            _("{day} {state}: {complete} of {due} complete, missing {sites}: {command}").format(
                day=wording.day(cell.day), state=state_word(cell.state.value).split(":", maxsplit=1)[0], complete=cell.complete, due=cell.due,
                sites=_some(cell.owing), command=f"filesync day --date {cell.day.isoformat()}",
            ),
            STYLES[cell.state.colour.value],
        )  # fmt: skip
    if len(owing) > LINES_MAX:
        screen.say(_("… and {count} more days").format(count=len(owing) - LINES_MAX))


def _some(sites: Sequence[str]) -> str:
    text = ", ".join(sites[:4])
    return text if len(sites) <= 4 else _("{sites} and {count} more").format(sites=text, count=len(sites) - 4)
