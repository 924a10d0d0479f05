"""`filesync close` and `filesync send-remote`: fechamento de caixa, and Enviar Vendas Remotas, in the words of those who do it every evening.

Each says the day's numbers, the differences between till and server, and what to press. A refusal names what is missing and the command that brings it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filesync.cli import advice, screen, wording
from filesync.cli.amounts import centavos
from filesync.cli.close_refused import say_refused
from filesync.cli.ending import Ending, worst
from filesync.cli.language import _, ngettext
from filesync.cli.options import HERE, Day, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said as rephrased
from filesync.timetable import parse_duration

if TYPE_CHECKING:
    from filesync.day.closing import CloseRefusedError, CloseReport
    from filesync.day.differences import Differences
    from filesync.day.sealed import Figures
    from filesync.day.sending import SendReport

#: Lines of one kind that are shown; the rest is counted.
LINES_MAX = 12

Turno = Annotated[
    int | None,
    typer.Option("--turno", min=1, max=99, metavar="N", help="The shift that is closed.", show_default="1, or the last one where no amount is said"),
]  # fmt: skip
Contado = Annotated[
    int | None,
    typer.Option("--contado", metavar="1234,56", parser=centavos, help="The cash that was counted in the drawer.", show_default="as in the close before"),
]  # fmt: skip
Abertura = Annotated[
    int | None,
    typer.Option("--abertura", metavar="100,00", parser=centavos, help="The cash that was in the drawer in the morning.", show_default="as in the close before, or none"),
]  # fmt: skip
Suprimentos = Annotated[
    int | None,
    typer.Option("--suprimentos", metavar="50,00", parser=centavos, help="Cash that was put into the drawer, in all.", show_default="as in the close before, or none"),
]  # fmt: skip
Sangrias = Annotated[
    int | None,
    typer.Option("--sangrias", metavar="500,00", parser=centavos, help="Cash that was taken out of the drawer, in all.", show_default="as in the close before, or none"),
]  # fmt: skip
Operador = Annotated[
    str | None, typer.Option("--operador", metavar="N", help="Matrícula of who closes.", show_default=False)
]
Observacao = Annotated[
    str | None, typer.Option("--observacao", metavar="TEXT", help="A remark, for instance about a difference.", show_default=False)
]  # fmt: skip
SemMovimento = Annotated[bool, typer.Option("--sem-movimento", help="Nothing was sold: this must be said.")]
DespiteRefused = Annotated[
    bool, typer.Option("--despite-refused", help="Close although some sales have mistakes and were not sent; the close names them.")
]  # fmt: skip

Above = Annotated[
    int | None,
    typer.Option("--above", metavar="VERSION", min=0, help="Say it again under a higher version than this, also when nothing changed: the matriz holds a close of the computer that was here before.", show_default=False),
]  # fmt: skip


def close(
    day: Day,
    contado: Contado = None,
    turno: Turno = None,
    abertura: Abertura = None,
    suprimentos: Suprimentos = None,
    sangrias: Sangrias = None,
    operador: Operador = None,
    observacao: Observacao = None,
    sem_movimento: SemMovimento = False,
    despite_refused: DespiteRefused = False,
    above: Above = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """Close a day (fechamento de caixa): what was sold, what was counted, and whether all of it has reached the server."""
    from filesync.day import closing

    order = closing.CloseOrder(
        day.date(), turno, contado, abertura, suprimentos, sangrias, operador, observacao, sem_movimento, despite_refused, above
    )  # fmt: skip
    with at(root, quiet=as_json) as station:
        try:
            report = closing.close(station, order)
        except closing.CloseRefusedError as err:
            refused: CloseRefusedError | None = err
        else:
            refused = None
    if refused is not None:
        return say_refused(refused, order, as_json=as_json)
    if as_json:
        screen.say_json(report)
    else:
        _say_close(report)
        _say_differences(report.differences, order.day)
    return worst(attention=_attention(report, report.differences), unreachable=False)


def send_remote(
    day: Day,
    contado: Contado = None,
    turno: Turno = None,
    abertura: Abertura = None,
    suprimentos: Suprimentos = None,
    sangrias: Sangrias = None,
    operador: Operador = None,
    observacao: Observacao = None,
    sem_movimento: SemMovimento = False,
    despite_refused: DespiteRefused = False,
    above: Above = None,
    patience: Annotated[str, typer.Option("--patience", metavar="TIME", help="How long to wait for the receipts: `30 s`, `5 min`, or 0.")] = "1 min",
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Send a day's sales (Enviar Vendas Remotas): export, close, exchange, and wait for the receipts."""
    from filesync.day import closing, sending

    patience_s = _patience(patience)
    order = closing.CloseOrder(
        day.date(), turno, contado, abertura, suprimentos, sangrias, operador, observacao, sem_movimento, despite_refused, above
    )  # fmt: skip
    with at(root, quiet=as_json) as station:
        try:
            report = sending.send_remote(station, order, patience_s)
        except closing.CloseRefusedError as err:
            refused: CloseRefusedError | None = err
        else:
            refused = None
    if refused is not None:
        return say_refused(refused, order, as_json=as_json)
    if as_json:
        screen.say_json({**screen.jsonable(report), "confirmed": report.confirmed})
    else:
        _say_sent(report)
    return worst(
        attention=_attention(report.closed, report.differences),
        unreachable=bool(report.exchange.unreachable) or not report.confirmed,
    )


def _patience(text: str) -> float:
    try:
        return 0.0 if text.strip() == "0" else parse_duration(text)
    except ValueError as err:
        raise typer.BadParameter(rephrased(str(err))) from None


def _attention(report: CloseReport, left: Differences) -> bool:
    return bool(left.not_taken or left.gaps or report.unsealed.refused)


# ------------------------------------------------------------------------------------------------ the close in words


def _say_close(report: CloseReport) -> None:
    from filesync.day.closing import CloseOutcome

    document, facts = report.document, {"day": wording.day(report.day), "site": report.document["origem"]}
    facts["shift"] = "" if report.turno == 1 else _(", shift {turno}").format(turno=report.turno)
    said = {
        CloseOutcome.CLOSED: _("{day} of {site}{shift} is closed."),
        CloseOutcome.CORRECTED: _("{day} of {site}{shift} is closed again: correction {versao}."),
        CloseOutcome.UNCHANGED: _("{day} of {site}{shift} is closed already, with just these numbers: nothing was changed."),
    }  # fmt: skip
    screen.say(said[report.outcome].format(**facts, versao=report.versao), "bold green")
    if document["sem_movimento"]:
        screen.say(_("  no sales (sem movimento)"))
    else:
        screen.say(
            _("  {sales}, {total}").format(
                sales=wording.documents(document["quantidade_vendas"], "vendas"),
                total=wording.money(document["total_vendas_centavos"]),
            )
        )
        _say_sales(report.figures)
        for line in document.get("formas", ()):
            screen.say(f"    {wording.payment_form(line['forma'])}: {wording.money(line['valor_centavos'])}")
    _say_drawer(document)
    if not report.unsealed.checked:
        screen.say(
            _("  vendas has no source here: only what was exported by hand is in this close."), "yellow"
        )


def _say_sales(figures: Figures) -> None:
    if figures.cancelled:
        screen.say(
            _("    {sales} of the day cancelled, {total}: their payments were given back and do not count").format(
                sales=wording.documents(figures.cancelled, "vendas"), total=wording.money(figures.cancelled_centavos)
            )
        )  # fmt: skip
    for run in figures.tickets:
        screen.say(
            _("    tickets of caixa {caixa}, serie {serie}: {numbers}, {count} in all").format(
                caixa=run.caixa, serie=run.serie, numbers=wording.span(run.first, run.last), count=wording.number(run.count)
            )
        )  # fmt: skip


def _say_drawer(document: Any) -> None:
    text = _(
        "  cash: {abertura} in the morning + {suprimentos} put in − {sangrias} taken out + {dinheiro} of sales = {esperado} expected, {contado} counted"
    )
    names = ("abertura", "suprimentos", "sangrias", "dinheiro", "esperado", "contado")
    screen.say(text.format(**{name: wording.money(document[f"{name}_centavos"]) for name in names}))


def _say_sent(report: SendReport) -> None:
    _say_close(report.closed)
    if report.confirmed:
        sales = wording.documents(report.closed.figures.sales, "vendas")
        screen.say(
            _("All of {day} has arrived and is confirmed: {sales}, and the close.").format(
                day=wording.day(report.day), sales=sales
            ),
            "bold green",
        )
    for peer, why in report.exchange.unreachable.items():
        screen.say(
            _("{peer} could not be reached: {why}").format(peer=peer, why=rephrased(why)), "bold yellow"
        )
        known = advice.of_code(report.exchange.codes.get(peer, "unreachable"))
        screen.say(f"  {known.do or advice.of_code('unreachable').do}")
    _say_differences(report.differences, report.day, sending=True)


# ------------------------------------------------------------------------------------------------ the differences


def _say_differences(left: Differences, day: date, *, sending: bool = False) -> None:
    if left.none:
        screen.say(
            _("No differences between till and server: every sale confirmed, every cadastro here, the cash is right.")
        )  # fmt: skip
        return
    screen.say(_("Differences between till and server:"), "bold")
    iso = day.isoformat()
    for waiting in left.without_receipt:
        screen.say("  " + _without_receipt(waiting), "yellow")
    if left.without_receipt:
        again = (
            _(
                "    Nothing is lost. To go on waiting, give the command again; filesync outbox shows what waits."
            )
            if sending
            else _(
                "    Press: filesync turn   (or filesync send-remote --date {iso}, which waits for the receipts)"
            )
        )
        screen.say(again.format(iso=iso))
    _lines((_not_taken(batch) for batch in left.not_taken), "bold red")
    if left.not_taken:
        screen.say(
            _("    Why: filesync show NAME   Correct it, then: filesync export vendas --date {iso}").format(
                iso=iso
            )
        )
    for behind in left.cadastros:
        text = ngettext(
            "  {dataset}: {count} newer batch of the server's is not here",
            "  {dataset}: {count} newer batches of the server's are not here",
            behind.batches,
        )
        screen.say(text.format(dataset=behind.dataset, count=wording.number(behind.batches)), "yellow")
    if left.cadastros:
        screen.say(
            _(
                "    Press: filesync turn   (Atualização Completa is sent by the matriz: filesync export cadastros --full)"
            )
        )
    if left.cash_centavos:
        over = left.cash_centavos > 0
        text = _("  the drawer: {amount} too much") if over else _("  the drawer: {amount} is missing")
        screen.say(text.format(amount=wording.money(abs(left.cash_centavos))), "bold red")
        screen.say(
            _("    Counted wrong? filesync close --date {iso} --contado …   Otherwise say why: --observacao …").format(iso=iso)
        )  # fmt: skip
    for gap in left.gaps:
        caixa, serie = gap.per
        missing = [wording.span(first, last) for first, last in gap.missing]
        screen.say(
            _("  tickets missing, caixa {caixa}, serie {serie}: {numbers}").format(
                caixa=caixa, serie=serie, numbers=_cut(missing)
            ),
            "bold red",
        )
    if left.gaps:
        screen.say(
            _(
                "    Look for them in the till's program; what it saves late is found by: filesync export vendas --date {iso}"
            ).format(iso=iso)
        )


def _without_receipt(waiting: Any) -> str:
    what = wording.documents(waiting.documents, waiting.dataset)
    if waiting.unsent:
        text = _("{what} not confirmed by {peer}: not sent yet")
    else:
        text = _("{what} not confirmed by {peer}: sent, the receipt is not here yet")
    return text.format(what=what, peer=waiting.recipient)


def _not_taken(batch: Any) -> str:
    if batch.verdict.value == "PARTIAL":
        text = _("some of {what} refused by {peer} ({name})")
    else:
        text = _("{what} refused by {peer} ({name})")
    what = wording.documents(batch.documents, batch.dataset)
    return text.format(what=what, peer=batch.recipient, name=batch.batch)


def _lines(lines: Any, style: str = "") -> None:
    texts = list(lines)
    for text in texts[:LINES_MAX]:
        screen.say(f"  {text}", style)
    if len(texts) > LINES_MAX:
        screen.say(_("  … and {count} more").format(count=wording.number(len(texts) - LINES_MAX)))


def _cut(texts: Sequence[str]) -> str:
    """The first of many, and how many more."""
    shown = ", ".join(texts[:LINES_MAX])
    if len(texts) <= LINES_MAX:
        return shown
    return _("{shown} and {count} more").format(shown=shown, count=wording.number(len(texts) - LINES_MAX))
