"""`filesync import-bdf` and `import-ca`: take a billing file in, keep it while the gate is closed, or say everything about it."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.gates import say_closed
from filesync.cli.language import _, mark, ngettext
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said as rephrased

if TYPE_CHECKING:
    from filesync.day.filing import FilingReport, WrongFileError
    from filesync.day.preflight import CheckReport
    from filesync.protocol.receipt import Problem

#: Lines of one kind that are shown; --json has more.
LINES_MAX = 12
#: Parts of a file that say something of it.
_RECORDS = (mark("header"), mark("trailer"))
_COMMANDS = {"bdf": "import-bdf", "ca": "import-ca"}

File = Annotated[Path | None, typer.Argument(metavar="FILE", help="The billing file. Without one: what waits in the folder drop/.", exists=True, dir_okay=False, show_default=False)]  # fmt: skip
OfDay = Annotated[datetime | None, typer.Option("--date", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="The movement day of the file.", show_default="what the file says")]  # fmt: skip
Layout = Annotated[str | None, typer.Option("--layout", metavar="NAME", help="How the file is written: filesync layout list", show_default="the one that fits")]  # fmt: skip
Check = Annotated[bool, typer.Option("--check", help="Say everything about the file, and import nothing.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who brings the file.", show_default="whoever is logged in")]  # fmt: skip


def import_bdf(file: File = None, when: OfDay = None, layout: Layout = None, check: Check = False, by: By = None, root: Root = HERE, as_json: Json = False) -> Ending:  # fmt: skip
    """Take in a BDF: when the day's sales are complete at once, otherwise it is kept and taken by itself as soon as they are."""
    return _import("bdf", file, when, layout, by, root, check=check, as_json=as_json)


def import_ca(file: File = None, when: OfDay = None, layout: Layout = None, check: Check = False, by: By = None, root: Root = HERE, as_json: Json = False) -> Ending:  # fmt: skip
    """Take in a file of Correios Atende (C.A.): when the day's sales are complete at once, otherwise it is kept until they are."""
    return _import("ca", file, when, layout, by, root, check=check, as_json=as_json)


def _import(
    dataset: str, file: Path | None, when: datetime | None, layout: str | None, by: str | None, root: Path, *, check: bool, as_json: bool
) -> Ending:  # fmt: skip
    day = None if when is None else when.date()
    if file is None:
        if check or layout:
            raise typer.BadParameter(_("name the file that is meant"))
        return _waiting(dataset, day, root, as_json=as_json)
    path = file.absolute()
    from filesync.day.filing import Asked, FilingState, WrongFileError, take

    asked = Asked(dataset, path, day, layout, by or _user())
    with at(root, quiet=as_json) as station:
        now = station.context.clock()
        here = station.context.folders.root
        if check:
            from filesync.day import preflight

            found = preflight.check(station.context, asked)
        else:
            wrong: WrongFileError | None = None
            try:
                report = take(station, asked)
            except WrongFileError as err:
                wrong = err
    if check:
        if as_json:
            screen.say_json({**screen.jsonable(found), "good": found.good})
        else:
            _say_check(found, now)
        return Ending.DONE if found.good else Ending.ATTENTION
    if wrong is not None:
        return _say_wrong(wrong, as_json=as_json)
    if as_json:
        screen.say_json(report)
    else:
        _say(report, here, now)
    return Ending.DONE if report.state is not FilingState.KEPT and not report.set_aside else Ending.ATTENTION


def _waiting(dataset: str, day: date | None, root: Path, *, as_json: bool) -> Ending:
    """Take what waits in drop/; what must wait on is told with why."""
    with at(root, quiet=as_json) as station:
        from filesync.day import waiting

        failed = waiting.receive(station, dataset, patient=False)
        done, more = waiting.take_waiting(station, dataset, day)
        failed += more
        now, here = station.context.clock(), station.context.folders.root
    if as_json:
        screen.say_json({"files": done, "failed": [{"file": name, "code": err.code, "message": err.message} for name, err in failed]})  # fmt: skip
    else:
        for report in done:
            _say(report, here, now)
        for name, err in failed:
            screen.say(
                _("{name} was not taken: {why}").format(name=name, why=rephrased(err.message)), "bold red"
            )
            screen.say(f"  {advice.of_error(err)}")
        if not done and not failed:
            screen.say(_("Nothing waits in {folder}.").format(folder=f"drop/{dataset}"))
    kept = any(report.kept is not None or report.set_aside for report in done)
    return Ending.ATTENTION if failed or kept else Ending.DONE


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return "filesync"


# ------------------------------------------------------------------------------------------------ what became of a file


def _say(report: FilingReport, here: Path, now: datetime) -> None:
    from filesync.day.filing import STEPS, FilingState

    day = wording.day(report.day)
    records = wording.documents(report.documents, report.dataset)
    if report.state is FilingState.UNCHANGED:
        screen.say(
            _("{file} counts for {day} already: nothing has changed.").format(file=report.file, day=day)
        )
        return
    if report.state is FilingState.KEPT:
        say_closed(STEPS[report.dataset], report.day, report.reasons, now)
        kept = report.kept
        where = (
            kept.relative_to(here).as_posix() if kept is not None and kept.is_relative_to(here) else str(kept)
        )
        screen.say()
        screen.say(_("{file} is in order ({records}) and is kept: {where}").format(file=report.file, records=records, where=where))  # fmt: skip
        screen.say(_("  It is taken by itself when the gate opens, where `filesync run` runs; otherwise then: filesync {command}").format(command=_COMMANDS[report.dataset]))  # fmt: skip
        return
    total = report.totals.get("valor_cobrado_centavos")
    money = wording.money(total) if isinstance(total, int) else ""
    screen.say(
        _("{file} taken in: {records} of {day}, {money}").format(file=report.file, records=records, day=day, money=money), "bold green"
    )  # fmt: skip
    screen.say(_("  layout {layout}; batch {batch}").format(layout=report.layout, batch=report.batch))
    if report.superseded is not None:
        screen.say(_("  It replaces the file that was taken before ({batch}), which stays in the archive.").format(batch=report.superseded))  # fmt: skip
        screen.say(_("  What was reconciled of the day is not valid any more: filesync reconcile --date {date}").format(date=report.day.isoformat()))  # fmt: skip
    if report.set_aside:
        _say_set_aside(report.set_aside, report.problems)
        screen.say(_("  They are in quarantine: filesync quarantine. A corrected file of the day brings all of them."))  # fmt: skip


def _say_set_aside(count: int, problems: Sequence[Problem]) -> None:
    text = ngettext("{count} row was not taken, because of a mistake in it:", "{count} rows were not taken, because of mistakes in them:", count)  # fmt: skip
    screen.say(text.format(count=wording.number(count)), "bold red")
    _lines(rephrased(problem.message) for problem in problems)


def _say_wrong(err: WrongFileError, *, as_json: bool) -> Ending:
    do = advice.of_error(err)
    if as_json:
        problems = [problem.to_signed() for problem in err.problems]
        screen.say_json(
            {"error": {"code": err.code, "message": err.message, "advice": do, "problems": problems}}
        )
    else:
        screen.complain(_("The file is wrong, and nothing of it was taken:"))
        for problem in err.problems[:LINES_MAX]:
            screen.complain(f"  {rephrased(problem.message)}")
        screen.complain("", do)
    return Ending.ATTENTION


# ------------------------------------------------------------------------------------------------ --check


def _say_check(found: CheckReport, now: datetime) -> None:
    from filesync.day.filing import STEPS

    screen.say(f"{found.file}: {_outcome(found)}", "bold green" if found.good else "bold red")
    facts: list[tuple[str, str]] = [
        (_("layout"), found.layout),
        (_("movement day"), wording.day(found.day)),
        (_("size"), wording.size(found.bytes)),
        (_("records"), wording.number(found.details)),
        *(
            (name, wording.total(name, value))
            for name, value in found.totals.items()
            if isinstance(value, int)
        ),
        (
            _("days in it"),
            _counts({wording.day(date.fromisoformat(day)): n for day, n in found.rows_by_day.items()}),
        ),
        (_("units"), _counts(found.units)),
        (_("sales of"), _counts(found.sites)),
    ]
    screen.table(("", ""), [(f"  {what}", text) for what, text in facts if text], heads=False)
    if found.said:
        screen.heading(_("What the file says of itself:"))
        screen.table(
            ("", "", "", ""),
            [
                (f"  {_(said.record)}", said.name, said.got or "-", _agrees(said.right, said.expected))
                for said in found.said
            ],
            heads=False,
        )
    if found.wrong:
        screen.say(_("The file is wrong as a whole:"), "bold red")
        _lines(rephrased(problem.message) for problem in found.wrong)
    if found.set_aside:
        _say_set_aside(found.set_aside, found.problems)
    _say_beside_sales(found)
    if found.counts_already is not None:
        screen.say(_("This very file counts for the day already; importing it again changes nothing."))
    elif found.supersedes is not None:
        screen.say(_("It would replace {file} (batch {batch}).").format(file=found.supersedes.file_name, batch=found.supersedes.batch), "yellow")  # fmt: skip
    if found.gate is None:
        screen.say(_("The gate of {step} is open.").format(step=STEPS[found.dataset]))
    else:
        screen.say()
        say_closed(STEPS[found.dataset], found.day, found.gate, now)


def _outcome(found: CheckReport) -> str:
    if found.wrong:
        return _("would be refused")
    records = wording.documents(found.documents, found.dataset)
    if found.set_aside:
        return _("{records} would be taken, the others set aside").format(records=records)
    return _("in order, {records} would be taken").format(records=records)


def _say_beside_sales(found: CheckReport) -> None:
    if found.unsold:
        text = ngettext("{count} record without a sale of the day (so far):", "{count} records without a sale of the day (so far):", found.unsold)  # fmt: skip
        screen.say(text.format(count=wording.number(found.unsold)), "yellow")
        _lines(
            _("line {line}: sub-caixa {sub_caixa}, attendance {number}, {code} service {service}, {money}").format(
                line=row.line, sub_caixa=row.sub_caixa, number=row.numero_atendimento, code=f"{row.codigo_rastreio or '-'},",
                service=row.servico, money=wording.money(row.valor_cobrado_centavos),
            )
            for row in found.unsold_examples
        )  # fmt: skip
    if found.repeated_codes:
        text = ngettext("{count} tracking code stands more than once: {codes}", "{count} tracking codes stand more than once: {codes}", found.repeated_codes)  # fmt: skip
        shown = ", ".join(found.repeated_examples[:5])
        screen.say(text.format(count=wording.number(found.repeated_codes), codes=shown), "yellow")


def _agrees(right: bool | None, expected: str | None) -> str:
    if right is None:
        return ""
    return _("agrees") if right else _("expected {expected}").format(expected=rephrased(expected or ""))


def _counts(counts: dict[str, Any]) -> str:
    shown = [f"{name} ({wording.number(count)})" for name, count in list(counts.items())[:LINES_MAX]]
    return ", ".join(shown) + (" …" if len(counts) > LINES_MAX else "")


def _lines(texts: Iterable[str]) -> None:
    lines = list(texts)
    for text in lines[:LINES_MAX]:
        screen.say(f"  {text}")
    if len(lines) > LINES_MAX:
        screen.say(
            _("  … and {count} more: --json has them").format(count=wording.number(len(lines) - LINES_MAX))
        )
