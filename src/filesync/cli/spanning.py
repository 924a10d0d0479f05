"""`filesync reconcile --range A..B`: many days at once, their colours day by day; with `--archive` from the archived batches alone.

Each day of which anything arrived is reconciled; days that still hold are left as they are. Where the gate of `conciliar` is open for a day, the
step is marked as done, as for one day.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.moved import say_redone
from filesync.cli.options import days_of
from filesync.cli.sites import at
from filesync.phrases import said as rephrased

if TYPE_CHECKING:
    from filesync.day.archived import ArchivedDay
    from filesync.day.reconciling import Colour
    from filesync.day.spanning import ArchivedSpan, Span
    from filesync.exchange.station import Station

PROBLEMS_MAX = 20


def reconcile(text: str, root: Path, *, as_json: bool) -> Ending:
    """Every day of the range. Ends with 1 where a line is red or yellow."""
    from filesync.day.reconciling import Colour

    first, last = days_of(text)
    with at(root, quiet=as_json) as station:
        from filesync.day import spanning

        with station.at_work() as ctx:
            span = spanning.reconcile_days(ctx, first, last)
        provisional = [day for day in span.colours if _closed(station, day)]
    if as_json:
        screen.say_json(
            {
                "days": [
                    {
                        "day": day,
                        "made": day in span.made,
                        "provisional": day in provisional,
                        "lines": {colour.value: colours.get(colour, 0) for colour in Colour},
                    }
                    for day, colours in sorted(span.colours.items())
                ],
                "redone": span.redone,
            }
        )
    else:
        _say(span, provisional)
    wrong = sum(
        colours.get(colour, 0) for colours in span.colours.values() for colour in (Colour.RED, Colour.YELLOW)
    )
    return Ending.ATTENTION if wrong else Ending.DONE


def from_archive(text: str, root: Path, *, as_json: bool) -> Ending:
    """What the archive says of the range. Ends with 1 where it is not whole, or the database holds something else."""
    first, last = days_of(text)
    with at(root, quiet=as_json) as station:
        from filesync.day import spanning

        with station.at_work() as ctx:
            span = spanning.from_archive(ctx, first, last)
    if as_json:
        screen.say_json({"days": [_day_json(day) for day in span.days], "redone": span.redone})
    else:
        _say_archived(span)
    return Ending.DONE if all(day.whole for day in span.days) else Ending.ATTENTION


def _closed(station: Station, day: date) -> bool:
    """Mark the step as done where its gate is open; whether it is closed."""
    from filesync.day import routine, runners

    try:
        runners.conciliar(station, day)
    except routine.GateClosedError:
        return True
    return False


def _say(span: Span, provisional: list[date]) -> None:
    from filesync.day.reconciling import Colour

    if not span.colours:
        screen.say(_("Nothing to reconcile: nothing of these days has arrived."))
        return
    columns = (_("day"), *(_(colour.value) for colour in Colour), "")
    rows = [
        (
            wording.day(day),
            *_counts(colours),
            ", ".join(
                word
                for said, word in (
                    (day in span.made, _("reconciled now")),
                    (day in provisional, _("provisional")),
                )
                if said
            ),
        )
        for day, colours in sorted(span.colours.items())
    ]
    screen.table(columns, rows, right=set(columns[1:-1]))
    say_redone(span.redone)
    screen.say(_("The lines of a day: filesync reconcile --date AAAA-MM-DD"))


def _counts(colours: Mapping[Colour, int]) -> tuple[str, ...]:
    from filesync.day.reconciling import Colour

    return tuple(wording.number(colours[colour]) if colours.get(colour) else "-" for colour in Colour)


def _say_archived(span: ArchivedSpan) -> None:
    from filesync.day.reconciling import Colour

    if not span.days:
        screen.say(_("Nothing of these days is in the archive."))
        return
    columns = (_("day"), _("batches"), _("sales"), "BDF", "C.A.", *(_(colour.value) for colour in Colour), "")
    rows = [
        (
            wording.day(day.day),
            wording.number(day.batches),
            *(wording.number(day.documents.get(dataset, 0)) for dataset in ("vendas", "bdf", "ca")),
            *_counts({colour: amounts.lines for colour, amounts in day.colours.items()}),
            _verdict(day),
        )
        for day in span.days
    ]
    screen.table(columns, rows, right=set(columns[1:-1]))
    problems = [problem for day in span.days for problem in day.problems]
    for problem in problems[:PROBLEMS_MAX]:
        screen.say(f"  {rephrased(problem.message)}", "bold red")
    if len(problems) > PROBLEMS_MAX:
        screen.say(
            _("  … and {count} more: --json has all of them").format(
                count=wording.number(len(problems) - PROBLEMS_MAX)
            )
        )
    for code in dict.fromkeys(problem.code for problem in problems):
        if text := advice.of_code(code).do:
            screen.say(f"  {text}")
    say_redone(span.redone)


def _verdict(day: ArchivedDay) -> str:
    if day.problems:
        return _("not whole")
    if day.agrees is None:
        return _("not reconciled in the database")
    return _("as in the database") if day.agrees else _("otherwise than in the database")


def _day_json(day: ArchivedDay) -> dict[str, object]:
    return {
        "day": day.day,
        "batches": day.batches,
        "documents": dict(day.documents),
        "lines": {colour.value: amounts.lines for colour, amounts in day.colours.items()},
        "problems": day.problems,
        "agrees": day.agrees,
    }
