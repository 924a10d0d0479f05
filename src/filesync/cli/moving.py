"""Commands that move batches: export, exchange, import, turn. What they came to is said by moved.py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen
from filesync.cli.ending import Ending, worst
from filesync.cli.language import _
from filesync.cli.moved import failures, say_exchange, say_export, say_failed, say_how_they_leave, say_import
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.protocol.identity import Format

if TYPE_CHECKING:
    from filesync.exchange.reports import (
        SealReport,
    )


def export(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="vendas, produtos, clientes …; `cadastros` stands for all four of them.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", exists=True, dir_okay=False, help="Take the rows from this file instead of the configured source.", show_default=False),
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--date", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="Only this movement day.", show_default=False),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="PEER", help="A peer or a group.", show_default="as configured")] = None,
    form: Annotated[Format | None, typer.Option("--format", help="How the rows are written.", show_default="as configured")] = None,
    full: Annotated[bool, typer.Option("--full", help="Everything, also what was sent before. What is missing in it becomes inactive at the recipient (cadastros).")] = False,
    again: Annotated[bool, typer.Option("--again", help="Everything the source holds, also what was sent before; nothing becomes inactive.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Take what is new or changed from a dataset's source and put it, sealed, into the outbox."""
    if dataset == "cadastros":
        from filesync.cli.cadastros import export_all

        if source is not None or form is not None:
            raise typer.BadParameter(
                _("cadastros come from their configured sources; name one dataset to say more")
            )
        return export_all(
            root, None if day is None else day.date(), to, full=full, again=again, as_json=as_json
        )
    path = None if source is None else source.absolute()
    with at(root, quiet=as_json) as station:
        report = station.export(
            dataset,
            path=path,
            business_date=None if day is None else day.date(),
            to=to,
            format=form,
            full=full,
            again=again,
        )
        linked = {name for name, peer in station.context.settings.peers.items() if peer.link is not None}
    if as_json:
        screen.say_json(report)
    else:
        say_export(report)
        say_failed(report.failed)
        if report.sealed:
            say_how_they_leave([report], linked)
    return ending_of(report)


def ending_of(report: SealReport) -> Ending:
    """How the command ends that made this report."""
    return worst(
        attention=bool(report.refused) or bool(failures(report.failed)), unreachable=bool(report.failed)
    )


def exchange(
    peer: Annotated[str | None, typer.Option("--peer", metavar="ID", help="Only with this peer.", show_default="all that have a link")] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Send what waits in the outbox and fetch what the peers have for us. Nothing is applied yet."""
    with at(root, quiet=as_json) as station:
        report = station.exchange(peer)
        linked = any(
            p.link is not None for name, p in station.context.settings.peers.items() if peer in (None, name)
        )
    if as_json:
        screen.say_json(report)
    elif not linked:
        screen.say(
            _("Nobody to go to: no peer has a link here. Peers without a link come to us by themselves.")
        )
    else:
        say_exchange(report)
    return worst(attention=bool(report.disk_low), unreachable=bool(report.unreachable))


def import_(root: Root = HERE, as_json: Json = False) -> Ending:
    """Take in what arrived: check it, apply it to the database, and write the receipts."""
    with at(root, quiet=as_json) as station:
        report = station.import_()
    if as_json:
        screen.say_json(report)
    elif not say_import(report):
        screen.say(_("Nothing to import: the inboxes are empty."))
    return worst(attention=report.needs_attention, unreachable=False)


def turn(root: Root = HERE, as_json: Json = False) -> Ending:
    """Everything once: fetch, import, export from the configured sources, and send."""
    with at(root, quiet=as_json) as station:
        report = station.turn()
    attention = (
        report.imported.needs_attention
        or bool(report.exchange.disk_low)
        or bool(failures(report.failed_sources))
        or any(e.refused for e in report.exported)
    )
    later = bool(report.exchange.unreachable) or len(failures(report.failed_sources)) < len(
        report.failed_sources
    )
    if as_json:
        screen.say_json(report)
        return worst(attention=attention, unreachable=later)
    said = say_import(report.imported)
    for done in report.exported:
        if done.sealed or done.refused or done.beginners:
            said = True
            say_export(done)
    say_failed(report.failed_sources)
    said = said or bool(report.failed_sources)
    said = say_exchange(report.exchange, idle=False) or said
    if not said:
        screen.say(_("Nothing to do: nothing new here, nothing new from the peers."))
    return worst(attention=attention, unreachable=later)
