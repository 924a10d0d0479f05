"""What was set aside: list it, look into it, take it up again, or let go of it with a reason.

Nothing is deleted here: `retry` puts files back into the inbox, `discard` moves them into the archive; both are recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.looking import case_line, cured_cases, now
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.exchange.quarantine import Case
    from filesync.protocol.receipt import Problem

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="As `filesync quarantine` shows it in brackets; its beginning is enough."
    ),
]


def listing(ctx: typer.Context, root: Root = HERE, as_json: Json = False) -> Ending | None:
    """What was set aside, and why. Without a further word: the list."""
    if ctx.invoked_subcommand is not None:
        return None
    with at(root, quiet=as_json) as station:
        status = station.status()
        cured = cured_cases(station.context, status.quarantine)
    if as_json:
        screen.say_json(status.quarantine)
        return Ending.DONE
    if not status.quarantine:
        screen.say(_("Nothing is set aside."))
        return Ending.DONE
    for case in status.quarantine:
        screen.say(f"{case_line(case, status.site, now(), cured=case in cured)} [{case.name}]")
    for code in dict.fromkeys(case.code for case in status.quarantine if case not in cured):
        if text := advice.of_code(code).do:
            screen.say(f"  {advice.of_code(code).means or code}: {text}", "dim")
    if cured:
        screen.say(_('  What was cured may go: filesync quarantine discard NAME --reason "cured"'), "dim")
    screen.say(_("Details: filesync quarantine show NAME"), "dim")
    return Ending.DONE


def show(name: Name, root: Root = HERE, as_json: Json = False) -> Ending:
    """One case in full: which field breaks which rule, with which value."""
    with at(root, quiet=as_json) as station:
        from filesync.exchange import quarantine

        case = quarantine.find(station.context, name)
        own = case.peer == station.context.me
        site = station.context.me
        folder = station.context.folders.quarantine(case.peer)
        cured = bool(cured_cases(station.context, [case]))
    if as_json:
        screen.say_json({**screen.jsonable(case), "folder": folder})
        return Ending.DONE
    screen.say(case_line(case, site, now(), cured=cured), "bold")
    known = advice.of_code(case.code)
    screen.say(_("Reason: {code}: {message}").format(code=case.code, message=said(case.message)))
    for file in case.files:
        screen.say(_("File: {folder}").format(folder=folder / file))
    _problems(case, own=own)
    if known.do and not cured:
        screen.say(known.do)
    if case.retryable and not cured:
        screen.say(_("To try it again: filesync quarantine retry {name}").format(name=case.name))
    screen.say(_('To let go of it: filesync quarantine discard {name} --reason "…"').format(name=case.name))
    return Ending.DONE


def retry(name: Name, root: Root = HERE, as_json: Json = False) -> Ending:
    """Put it back into the inbox; the next import judges it afresh."""
    with at(root, quiet=as_json) as station:
        case = station.retry(name)
    if as_json:
        screen.say_json({"retried": case.name, "peer": case.peer, "files": case.files})
    else:
        screen.say(
            _("{name} is in the inbox again; `filesync import` judges it afresh.").format(
                name=wording.named(case.name)
            ),
            "bold green",
        )
    return Ending.DONE


def discard(
    name: Name,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why it is not needed; it is kept with it.")
    ],
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """Let go of it: the file and the reason go to the archive, and the list is shorter."""
    if not reason.strip():
        raise typer.BadParameter(_("say why it is not needed"), param_hint="--reason")
    with at(root, quiet=as_json) as station:
        case = station.discard(name, reason.strip())
    if as_json:
        screen.say_json(
            {"discarded": case.name, "peer": case.peer, "files": case.files, "reason": reason.strip()}
        )
    else:
        screen.say(
            _("{name} is out of quarantine; it is kept in the archive with the reason.").format(
                name=wording.named(case.name)
            ),
            "bold green",
        )
    return Ending.DONE


def _problems(case: Case, *, own: bool) -> None:
    listed = [
        problem for problem in case.problems if problem.message != case.message or problem.pointer is not None
    ]
    if not listed:
        return
    mistakes = wording.plural(len(listed), "mistake", "mistakes")
    screen.heading(f"{mistakes}:")
    dataset = case.name.split(".")[0]
    screen.table(
        ("  " + _("document"), _("field"), _("rule"), _("what is wrong")),
        [_row(problem, dataset, own=own) for problem in listed],
    )


def _row(problem: Problem, dataset: str, *, own: bool) -> tuple[str, str, str, str]:
    """What this site exports is named by its line in the source; what arrived by its place in the batch."""
    document = ""
    if problem.row is not None:
        document = (
            _("line {row}").format(row=problem.row)
            if own
            else f"{wording.one_document(dataset)} {wording.number(problem.row + 1)}"
        )
    field = (
        (problem.pointer or "").lstrip("/")
        or (problem.relation if problem.relation not in (None, dataset) else "")
        or ""
    )
    message = problem.message.removeprefix(f"{problem.pointer}: ") if problem.pointer else problem.message
    return f"  {document}", field, problem.code, said(message)
