"""`filesync reconcile`: sales × BDF × C.A. of a day, in the trade's colours; a table for people, CSV and JSON for spreadsheets and programs.

It always works, whatever the gate says: before the day is complete, or before a file came, the result is provisional and says so. Where
the gate of `conciliar` is open, the step is marked as done. The colours are explained in docs/reconciliation.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, spanning, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, mark
from filesync.cli.options import HERE, DayOrNone, Json, Root
from filesync.cli.rows import STDOUT, reais, say_json_rows, write_csv
from filesync.cli.sites import at

if TYPE_CHECKING:
    from filesync.day.reconciling import Amounts, Colour, Dimension, Found, Line, Summary
    from filesync.day.values import Reason

#: Lines, and values of one table, on a screen; a CSV or JSON has all of them.
LINES_MAX = 40
VALUES_MAX = 20

_STYLES = {mark("red"): "bold red", mark("yellow"): "yellow", mark("green"): "green", mark("white"): ""}
_COLUMNS = (
    "cor", "origem", "cupom", "venda_id", "postagem", "codigo_rastreio", "servico", "contrato", "sub_caixa", "numero_atendimento", "forma",
    "valor_venda", "bdf", "bdf_por", "bdf_difere", "bdf_linha", "bdf_quantidade", "bdf_valor", "ca", "ca_por", "ca_difere", "ca_linha",
    "ca_quantidade", "ca_valor",
)  # fmt: skip


def reconcile(
    when: DayOrNone = None,
    span: Annotated[
        str | None,
        typer.Option("--range", metavar="A..B", help="Every day from A to B, or of a month (2026-03): their colours, not their lines.", show_default=False),
    ] = None,
    archive: Annotated[
        bool,
        typer.Option("--archive", help="With --range: from the archived batches alone, compared with what the database holds. Changes nothing."),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", dir_okay=False, help="Write the lines for a spreadsheet; `-` writes to stdout.", show_default=False),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="red,yellow", help="Only lines of these colours (red, yellow, white, green).", show_default="red and yellow on the screen, all in a file"),
    ] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Compare a day's postings with BDF and C.A.: what agrees, what differs, what is on one side only. Ends with 1 where a line is red or yellow."""
    if csv is not None and as_json:
        raise typer.BadParameter(_("give one of --csv and --json"))
    if (when is None) == (span is None):
        raise typer.BadParameter(_("give either --date AAAA-MM-DD or --range A..B"))
    if span is not None:
        if csv is not None or only is not None:
            raise typer.BadParameter(_("--csv and --only belong to --date"))
        return (
            spanning.from_archive(span, root, as_json=as_json)
            if archive
            else spanning.reconcile(span, root, as_json=as_json)
        )
    if archive:
        raise typer.BadParameter(_("--archive belongs to --range A..B"))
    return _one_day(when.date() if when else date.min, csv, only, root, as_json)


def _one_day(day: date, csv: Path | None, only: str | None, root: Path, as_json: bool) -> Ending:
    with at(root, quiet=as_json or csv == STDOUT) as station:
        from filesync.day import reconciling, routine, runners

        chosen = _colours(only)
        reasons: Sequence[Reason] = ()
        try:
            runners.conciliar(station, day)
        except routine.GateClosedError as err:
            reasons = err.reasons
        with station.at_work() as ctx:
            reconciling.reconcile(ctx, day)
        found = reconciling.summary(ctx, day)
        if found is None:
            raise AssertionError(f"{day}: reconciled, and nothing is there")
        lines = reconciling.rows(ctx, day, chosen or tuple(reconciling.Colour))
        if as_json:
            say_json_rows(_head(found, reasons), "lines", lines)
        elif csv is not None:
            count = write_csv(csv, _COLUMNS, map(_cells, lines))
            if csv != STDOUT:
                _say_head(found, reasons)
                _say_colours(found)
                screen.say()
                written = wording.plural(count, "row", "rows")
                screen.say(_("{rows} written to {path}").format(rows=written, path=csv))
        else:
            shown = chosen or (reconciling.Colour.RED, reconciling.Colour.YELLOW)
            _say(found, reasons, reconciling.rows(ctx, day, shown), sum(map(found.count, shown)))
    wrong = found.count(reconciling.Colour.RED) + found.count(reconciling.Colour.YELLOW)
    return Ending.ATTENTION if wrong else Ending.DONE


def _colours(only: str | None) -> tuple[Colour, ...]:
    from filesync.day.reconciling import Colour

    if only is None:
        return ()
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    try:
        known = {_(colour.value): colour for colour in Colour}  # as they are shown; in English always
        chosen = {known.get(word) or Colour(word) for word in words}
    except ValueError:
        chosen = set()
    if not chosen:
        raise typer.BadParameter(
            _("--only takes {colours}, not {only!r}").format(
                colours=", ".join(_(colour.value) for colour in Colour), only=only
            )
        )
    return tuple(chosen)


# ------------------------------------------------------------------------------------------------ for a program or a spreadsheet


def _head(found: Summary, reasons: Sequence[Reason]) -> dict[str, object]:
    from filesync.day.page import summary_json

    return {
        "day": found.day,
        **summary_json(found),
        "provisional": bool(reasons),
        "reasons": [reason.to_json() for reason in reasons],
    }


def _cells(line: Line) -> tuple[object, ...]:
    return (
        line.colour.value, line.site, line.ticket, line.venda_id, line.posting, line.codigo_rastreio, line.servico, line.contrato,
        line.sub_caixa, line.numero_atendimento, line.forma, reais(line.valor_centavos), *_side_cells(line.bdf), *_side_cells(line.ca),
    )  # fmt: skip


def _side_cells(side: Found | None) -> tuple[object, ...]:
    if side is None:
        return (None,) * 6
    how = None if side.how is None else side.how.value
    differs = ", ".join(word.value for word in side.differs)
    return (side.state.value, how, differs, side.row, side.quantidade, reais(side.valor_centavos))


# ------------------------------------------------------------------------------------------------ for people


def _say(found: Summary, reasons: Sequence[Reason], lines: Iterable[Line], count: int) -> None:
    from filesync.day.reconciling import TABLES

    _say_head(found, reasons)
    _say_colours(found)
    if count:
        _say_lines(lines, count)
    for dimension in TABLES:
        _say_table(found, dimension)


def _say_head(found: Summary, reasons: Sequence[Reason]) -> None:
    screen.heading(
        _("Reconciliation of {day}, made {at}").format(
            day=wording.day(found.day), at=wording.moment(found.made_at)
        )
    )
    screen.say(f"  {wording.documents(found.sales, 'vendas')}")
    for name, rows, command in (
        ("BDF", found.bdf_rows, "import-bdf"),
        ("C.A.", found.ca_rows, "import-ca"),
    ):
        if rows is None:
            text = _(
                "  {file}: not imported yet, so nothing was checked against it: filesync {command} FILE --date {day}"
            )
            screen.say(text.format(file=name, command=command, day=found.day.isoformat()), "yellow")
        else:
            count = wording.plural(rows, "row", "rows")
            screen.say(f"  {name}: {count}")
    if reasons:
        text = _(
            "  Provisional: the day is not ready to be reconciled. Why: filesync gate conciliar --date {day}"
        )
        screen.say(text.format(day=found.day.isoformat()), "yellow")


def _say_colours(found: Summary) -> None:
    from filesync.day.reconciling import Colour

    meanings = {
        Colour.RED: _("sold and not billed, or billed and not sold"),
        Colour.YELLOW: _("found, but something differs"),
        Colour.WHITE: _("not checked"),
        Colour.GREEN: _("agrees"),
    }
    columns = ("", _("lines"), _("sold"), "BDF", "C.A.", "")
    rows = [
        (_(colour.value), *_amounts(found.colours[colour], found), meanings[colour])
        for colour in Colour
        if found.count(colour)
    ]
    screen.say()
    screen.table(columns, [*rows, (_("total"), *_amounts(found.total, found), "")], right=set(columns[1:5]))


def _amounts(amounts: Amounts, found: Summary) -> tuple[str, ...]:
    return (
        wording.number(amounts.lines),
        wording.money(amounts.sold_centavos),
        wording.money(amounts.bdf_centavos) if found.bdf_rows is not None else "-",
        wording.money(amounts.ca_centavos) if found.ca_rows is not None else "-",
    )


def _say_lines(lines: Iterable[Line], count: int) -> None:
    columns = (
        "",
        _("site"),
        _("ticket"),
        _("tracking code"),
        _("service"),
        _("attendance"),
        _("sold"),
        "BDF",
        "C.A.",
        _("why"),
    )
    shown = [_line(line) for line in islice(lines, LINES_MAX)]
    screen.say()
    screen.table(columns, shown, right={_("sold"), "BDF", "C.A."})
    if count > len(shown):
        rest = wording.number(count - len(shown))
        screen.say(_("… and {count} more: --csv FILE writes all of them").format(count=rest))


def _line(line: Line) -> tuple[str, ...]:
    attendance = "/".join(part or "-" for part in (line.sub_caixa, line.numero_atendimento))
    return (
        _(line.colour.value), line.site or "-", line.ticket or "-", line.codigo_rastreio or "-", line.servico,
        attendance if attendance != "-/-" else "-", _money(line.valor_centavos), _side_money(line.bdf), _side_money(line.ca), _why(line),
    )  # fmt: skip


def _money(centavos: int | None) -> str:
    return "-" if centavos is None else wording.money(centavos)


def _side_money(side: Found | None) -> str:
    return "-" if side is None else _money(side.valor_centavos)


def _why(line: Line) -> str:
    """`not in the BDF; C.A.: another value`: what a person must look at."""
    return "; ".join(
        text.format(file=name)
        for name, side in (("BDF", line.bdf), ("C.A.", line.ca))
        if side is not None
        for text in _reasons(side)
    )


def _reasons(side: Found) -> Iterator[str]:
    from filesync.day.reconciling import Difference, State

    states = {
        State.MISSING: _("not in the {file}"),
        State.NOT_SOLD: _("{file}: not sold"),
        State.CANCELLED: _("{file}: the sale was cancelled"),
        State.REVERSAL: _("{file}: takes back what this day does not bill"),
        State.REVERSED: _("{file}: billed and taken back"),
    }
    differences = {
        Difference.VALUE: _("{file}: another value"),
        Difference.QUANTITY: _("{file}: another quantity"),
        Difference.SERVICE: _("{file}: another service"),
        Difference.CONTRACT: _("{file}: another contract"),
        Difference.SITE: _("{file}: could be another site's"),
        Difference.ATTENDANCE: _("{file}: under another attendance"),
    }
    if side.state in states:
        yield states[side.state]
    yield from (differences[word] for word in side.differs)


def _say_table(found: Summary, dimension: Dimension) -> None:
    """One table by site, service, contract or payment form, the largest values first where there are too many."""
    from filesync.day.reconciling import Colour, add
    from filesync.day.reconciling import Dimension as By

    values = found.by.get(dimension, {})
    if not values:
        return
    title, none = {
        By.SITE: (_("site"), _("(no sale)")),
        By.SERVICE: (_("service"), "-"),
        By.CONTRACT: (_("contract"), _("(none)")),
        By.FORM: (_("payment form"), _("(no payment)")),
    }[dimension]
    columns = (title, _("lines"), _("sold"), "BDF", "C.A.", *(_(colour.value) for colour in Colour))
    rows = []
    largest = sorted(values, key=lambda value: -add(values[value]).lines)[:VALUES_MAX]
    for value in sorted(largest):
        name = wording.payment_form(value) if dimension is By.FORM else value
        counts = (values[value].get(colour) for colour in Colour)
        rows.append(
            (_several(name) or none, *_amounts(add(values[value]), found), *(wording.number(c.lines) if c else "-" for c in counts))
        )  # fmt: skip
    screen.say()
    screen.table(columns, rows, right=set(columns[1:]))
    if len(values) > len(rows):
        rest = wording.number(len(values) - len(rows))
        screen.say(_("… and {count} more: --json has all of them").format(count=rest))


def _several(form: str) -> str:
    return _("several forms") if form == "several" else form
