"""`filesync export-portal`: the button ATUALIZAR PORTAL POSTAL WEB. What went, whether the portal has it, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending, worst
from filesync.cli.language import _
from filesync.cli.options import HERE, Day, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said as rephrased
from filesync.timetable import parse_duration

if TYPE_CHECKING:
    from filesync.day.portal import PortalReport
    from filesync.exchange.reports import SealReport

#: What is said of a long list.
LINES_MAX = 12


def _patience(text: str) -> float:
    try:
        return 0.0 if text == "0" else parse_duration(text)
    except ValueError as err:
        raise typer.BadParameter(rephrased(str(err))) from None


def export_portal(
    day: Day,
    client: Annotated[str | None, typer.Option("--client", metavar="CODE", help="Only this customer's sales; the step is not done by that.", show_default="everybody's")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what was sent before, when the portal had refused it and is cured.")] = False,
    patience: Annotated[str, typer.Option("--patience", metavar="TIME", help="How long to wait for the portal's receipts, `20 s`, `5 min`, or 0.")] = "20 s",
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Send a day's sales and postings, of every customer, to the portal. After the SARA exports, and when the day is complete."""
    patience_s = _patience(patience)
    with at(root, quiet=as_json) as station:
        from filesync.day import portal

        report = portal.export_portal(station, day.date(), client=client, again=again)
        portal.await_receipts(station, report, patience_s)
    if as_json:
        screen.say_json(report)
    else:
        _say(report)
    return worst(
        attention=bool(report.standing.refused or report.vendas.refused or report.clientes_failed),
        unreachable=bool(report.exchange.unreachable),
    )


def _say(report: PortalReport) -> None:
    day = wording.day(report.day)
    total = report.total
    if not total.sales and not total.cancelled:
        screen.say(_nothing(report, day), "bold")
    else:
        screen.say(_headline(report, day), "bold green")
    if total.cancelled:
        screen.say(
            _("  {sales} cancelled, which go as cancelled and do not count").format(
                sales=wording.documents(total.cancelled, "vendas")
            )
        )
    if report.without_client.sales:
        screen.say(
            _("  {sales} without a customer: they go too, for the agency's report counts them").format(
                sales=wording.documents(report.without_client.sales, "vendas")
            )
        )
    _say_sealed(report.vendas, report.clientes)
    _say_customers(report)
    _say_standing(report, day)


def _headline(report: PortalReport, day: str) -> str:
    facts = {
        "day": day,
        "sales": wording.documents(report.total.sales, "vendas"),
        "postings": wording.plural(report.total.postings, "posting", "postings"),
        "total": wording.money(report.total.total_centavos),
    }
    sent = not report.exchange.unreachable
    if report.client is not None:
        facts["client"] = report.client
        text = (
            _("Movement of {client} of {day} sent to the portal: {sales}, {postings}, {total}")
            if sent
            else _("Movement of {client} of {day} ready for the portal: {sales}, {postings}, {total}")
        )
    else:
        facts["customers"] = wording.documents(report.clients, "clientes")
        text = (
            _("Movement of {day} sent to the portal: {sales}, {customers}, {postings}, {total}")
            if sent
            else _("Movement of {day} ready for the portal: {sales}, {customers}, {postings}, {total}")
        )
    return text.format(**facts)


def _nothing(report: PortalReport, day: str) -> str:
    if report.client is not None:
        return _("No sales of {client} of {day} are held here: nothing to send").format(
            client=report.client, day=day
        )
    return _("No sales of {day} are held here: nothing to send").format(day=day)


def _say_sealed(vendas: SealReport, clientes: SealReport | None) -> None:
    """What this command added to what the portal was sent before."""
    count = sum(batch.documents for batch in vendas.sealed)
    if count:
        screen.say(
            _("  new or changed: {sales} in {batches}").format(
                sales=wording.documents(count, "vendas"),
                batches=wording.plural(len(vendas.sealed), "batch", "batches"),
            )
        )
    elif vendas.unchanged and not vendas.held:
        screen.say(_("  nothing new: all of it was sent before"))
    if clientes is not None and clientes.sealed:
        screen.say(
            _("  customers: {customers} sent with their names").format(
                customers=wording.documents(sum(batch.documents for batch in clientes.sealed), "clientes")
            )
        )
    if vendas.refused:
        screen.say(
            _("{sales} not sent, because they break the contract that is here now").format(
                sales=wording.documents(vendas.refused, "vendas")
            ),
            "bold red",
        )
        _lines([rephrased(problem.message) for problem in vendas.problems])
    for held in vendas.failed:
        screen.say(f"{held.name}: {rephrased(held.message)}", "yellow")


def _say_customers(report: PortalReport) -> None:
    if report.clientes_failed is not None:
        screen.say(
            _("The customers' names could not be sent: {message}").format(
                message=rephrased(report.clientes_failed.message)
            ),
            "bold red",
        )
        screen.say(f"  {advice.of_code(report.clientes_failed.code).do}")
    elif not report.names_sent:
        screen.say(
            _(
                "  customers: the portal has no names of them yet; without a source of clientes here: "
                "filesync export clientes --from FILE --to {portal} --full"
            ).format(portal=", ".join(report.recipients))
        )


def _say_standing(report: PortalReport, day: str) -> None:
    for other in report.moved_to:
        screen.say(
            _(
                "Sales of {day} were moved to {other}. At the portal they stand under {day} until that day is sent: filesync export-portal --date {iso}"
            ).format(day=day, other=wording.day(other), iso=other.isoformat()),
            "yellow",
        )
    for peer, why in report.exchange.unreachable.items():
        screen.say(
            _("{peer} could not be reached: {why}").format(peer=peer, why=rephrased(why)), "bold yellow"
        )
        screen.say(f"  {advice.of_code(report.exchange.codes.get(peer, 'unreachable')).do}")
    standing, total = report.standing, report.total
    if standing.refused:
        screen.say(_("The portal did not take all of it:"), "bold red")
        _lines(
            [f"{wording.named(name)}: {wording.word(verdict.value)}" for name, verdict in standing.refused]
        )
        screen.say(
            _(
                "  What it says of them: filesync show BATCH. When that is cured there: filesync export-portal --date {day} --again"
            ).format(day=report.day.isoformat())
        )
    if standing.waiting:
        screen.say(
            _("Sent, waits for the portal's receipt of {batches}").format(
                batches=wording.plural(len(standing.waiting), "batch", "batches")
            ),
            "yellow",
        )
        screen.say(
            _(
                "  Nothing to do: a running filesync takes it in and marks the day. Without one, give this command again later."
            )
        )
    elif standing.state.value == "done" and report.client is None:
        screen.say(
            _("The portal has confirmed everything: exportar_portal of {day} is done").format(day=day),
            "bold green",
        )
    elif report.client is not None and (total.sales or total.cancelled) and not standing.refused:
        screen.say(
            _(
                "The portal has confirmed it. The day is done when everybody's sales are there: filesync export-portal --date {day}"
            ).format(day=report.day.isoformat())
        )


def _lines(texts: Sequence[str]) -> None:
    for text in texts[:LINES_MAX]:
        screen.say(f"  {text}")
    if len(texts) > LINES_MAX:
        screen.say(_("  … and {count} more").format(count=wording.number(len(texts) - LINES_MAX)))
