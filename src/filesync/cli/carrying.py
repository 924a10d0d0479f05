"""`filesync carry out` and `carry in`: batches and receipts on a USB stick, where no network reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending, worst
from filesync.cli.language import _, pair
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.exchange.reports import CarryReport, Moved

#: Strangers named; the rest is counted.
LINES_MAX = 8

Stick = Annotated[Path, typer.Argument(metavar="PATH", help="The stick: /media/…, E:\\ …, or any folder.", show_default=False)]  # fmt: skip


def carry_out(
    path: Stick,
    peer: Annotated[str | None, typer.Option("--peer", metavar="ID", help="Only what waits for this peer.", show_default="all")] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Copy everything that waits for the peers to a stick: batches and receipts.

    The outbox keeps each batch until its recipient's receipt is here. Pulled too early? Give the command again.
    """
    with at(root, quiet=as_json) as station:
        report = station.carry_out(path.absolute(), peer)
    if as_json:
        screen.say_json(report)
    else:
        for name, moved in report.moved.items():
            screen.say(
                _("For {name}: {said}").format(
                    name=name, said=_said(moved) or _("everything lies there already")
                ),
                "bold green",
            )
        if not (report.moved or report.interrupted):
            screen.say(
                _("Nothing waits for {peer}.").format(peer=peer) if peer else _("Nothing waits for any peer.")
            )
        _say_others(report)
        if not _say_interrupted(report, "out") and report.moved:
            screen.say(_("The stick may be removed. There: filesync carry in PATH, then filesync import"))
    return worst(attention=False, unreachable=report.interrupted is not None)


def carry_in(
    path: Stick,
    keep: Annotated[bool, typer.Option("--keep", help="Leave on the stick what was taken from it.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """Take what is for this site from a stick, and leave what is for others. Nothing is applied yet: `filesync import` does that."""
    with at(root, quiet=as_json) as station:
        report = station.carry_in(path.absolute(), keep=keep)
        me = station.context.me
    if as_json:
        screen.say_json(report)
        return worst(attention=bool(report.unknown), unreachable=report.interrupted is not None)
    brought = {name: what for name, moved in report.moved.items() if (what := _said(moved))}
    for name, what in brought.items():
        screen.say(_("From {name}: {said}").format(name=name, said=what), "bold green")
    if not (brought or report.unknown or report.interrupted):
        screen.say(_("Nothing new for {me} on it.").format(me=me))
    for name, count in report.unknown.items():
        screen.say(_("{count} by {name}, which is no peer here; left on the stick").format(count=wording.plural(count, "file", "files"), name=name), "bold yellow")  # fmt: skip
        screen.say(_("  If it should be one: filesync peer add {name} --role … --key FILE").format(name=name))
    for name in report.strangers[:LINES_MAX]:
        screen.say(_("Not a file of filesync's, left on the stick: {name}").format(name=name))
    if len(report.strangers) > LINES_MAX:
        screen.say(_("… and {len} more").format(len=wording.number(len(report.strangers) - LINES_MAX)))
    _say_others(report)
    if not _say_interrupted(report, "in") and brought:
        screen.say(_("The stick may be removed. Next: filesync import, then filesync carry out {path} for the receipts").format(path=path))  # fmt: skip
    return worst(attention=bool(report.unknown), unreachable=report.interrupted is not None)


def _said(moved: Moved) -> str:
    """`2 batches, 1 receipt (12 kB)`; nothing where nothing moved."""
    parts = [
        wording.plural(count, *words)
        for count, words in (
            (moved.batches, pair("batch", "batches")),
            (moved.voids, pair("void", "voids")),
            (moved.receipts, pair("receipt", "receipts")),
        )
        if count
    ]
    if not parts and moved.files:
        parts = [wording.plural(moved.files, "file", "files")]
    return f"{', '.join(parts)} ({wording.size(moved.bytes)})" if parts else ""


def _say_others(report: CarryReport) -> None:
    for site, count in report.for_others.items():
        screen.say(
            _("Also on the stick: {count} for {site}").format(
                count=wording.plural(count, "file", "files"), site=site
            )
        )


def _say_interrupted(report: CarryReport, way: str) -> bool:
    if report.interrupted is None:
        return False
    screen.say(_("Not finished: {message}").format(message=said(report.interrupted.message)), "bold yellow")
    again = f"filesync carry {way} " + _("PATH")
    if report.interrupted.code == "full" and way == "out":
        screen.say(
            _(
                "  What lies on the stick is whole and may travel. With more space, or another stick: {again}"
            ).format(again=again)
        )
    else:
        screen.say(
            _("  Nothing is lost. Put the stick back and give the command again: {again}").format(again=again)
        )
    return True
