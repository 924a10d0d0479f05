"""doctor: walk the whole way, say in plain words what is wrong and what to do, and name what antivirus programs and firewalls must leave alone.

It changes nothing and runs beside a working station. It ends with 0 where nothing failed (warnings are no failure), with 2 where the
configuration is at fault, with 3 where only a peer cannot be reached, with 1 for everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, mark
from filesync.cli.options import HERE, Json, Root, site_id
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.doctor.exceptions import Exceptions
    from filesync.doctor.findings import Finding

#: Checks that the doctor names by a plain word (their names are compared, so they are English until they are shown).
_CHECKS = (
    mark("configuration"), mark("folders"), mark("keys"), mark("lock"), mark("database"), mark("database's disk"), mark("database's log"),
    mark("ledger"), mark("clock"), mark("antivirus"), mark("links"), mark("account"), mark("contracts"), mark("software"), mark("link"),
    mark("reachable"), mark("port"), mark("login"), mark("server"), mark("server's abilities"), mark("folder"), mark("checks"),
)  # fmt: skip
_STYLES = {mark("ok"): "green", mark("skipped"): "dim", mark("warning"): "yellow", mark("failed"): "bold red"}
#: Failures that time may cure: the peer, the line or the server.
_ROAD = frozenset({"reachable", "name (DNS)", "port", "server"})


def doctor(
    peer: Annotated[str | None, typer.Option("--peer", metavar="ID", callback=lambda text: text and site_id(text), help="Only the way to this peer.", show_default=False)] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Examine everything on the way of a batch, and say what is wrong and what to do. Changes nothing; may take a minute."""
    with screen.Watch(quiet=as_json, text=_("examining")) as watch:
        from filesync.doctor.examination import examine  # brings pyarrow, which takes its time
        from filesync.exchange.reports import Progress

        done = iter(range(1, 1_000))
        report = examine(
            root.absolute(), peer, tell=lambda step: watch(Progress(_(step), next(done), None, "checks"))
        )
    findings = report.findings
    if as_json:
        screen.say_json(
            {
                "findings": [{**screen.jsonable(one), "do": next_step(one)} for one in findings],
                "exceptions": report.exceptions,
            }
        )
    else:
        _show(findings, root)
        _show_exceptions(report.exceptions)
        _summary(findings)
    return ending(findings)


def next_step(finding: Finding) -> str:
    """What to do, in the finding's own words or in those that belong to its code."""
    return finding.do or (advice.of_code(finding.code).do if finding.code else "")


def ending(findings: tuple[Finding, ...]) -> Ending:
    """The exit code of a report."""
    wrong = [one for one in findings if one.outcome.value == "failed"]
    if not wrong:
        return Ending.DONE
    if any(one.check == "configuration" for one in wrong):
        return Ending.USAGE
    return Ending.UNREACHABLE if all(one.check in _ROAD for one in wrong) else Ending.ATTENTION


def _show(findings: tuple[Finding, ...], root: object) -> None:
    width = max(len(_(one.check)) for one in findings)
    about = None
    for one in findings:
        if one.about != about and (one.about or about is None):
            screen.say()
            screen.heading(
                _("The way to {about}:").format(about=one.about)
                if one.about
                else _("This site, in {root}:").format(root=root)
            )
            about = one.about
        screen.say(
            f"  {_(one.outcome.value):8}  {_(one.check):{width}}  {said(one.seen)}",
            _STYLES[one.outcome.value],
        )
        if do := next_step(one):
            screen.say(f"  {'':8}  {'':{width}}  -> {do}")


def _show_exceptions(exceptions: Exceptions) -> None:
    screen.say()
    screen.heading(_("Exceptions for the antivirus program and the firewall:"))
    for title, entries in (
        (_("programs"), exceptions.programs),
        (_("folders, with all below"), exceptions.folders),
        (_("files"), exceptions.files),
        (
            _("outgoing connections"),
            tuple(map(said, exceptions.connections)) or (_("none: every link is a folder"),),
        ),
    ):
        screen.say(f"  {title}:")
        for entry in entries:
            screen.say(f"    {entry}")


def _summary(findings: tuple[Finding, ...]) -> None:
    counts = {
        state: sum(one.outcome.value == state for one in findings)
        for state in ("failed", "warning", "skipped")
    }
    screen.say()
    if not counts["failed"] and not counts["warning"]:
        screen.say(
            _("All is well ({count}).").format(count=wording.plural(len(findings), "check", "checks")),
            "bold green",
        )
        return
    screen.say(
        _("{counts} failed, {count}, of {count_2}.").format(
            counts=wording.number(counts["failed"]),
            count=wording.plural(counts["warning"], "warning", "warnings"),
            count_2=wording.plural(len(findings), "check", "checks"),
        )
        + (_(" Begin with the first that failed: others may follow from it.") if counts["failed"] else ""),
        "bold",
    )
