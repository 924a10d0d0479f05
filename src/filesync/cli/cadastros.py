"""The cadastros: send them all to the tills, and see what a till holds of them.

What is secret in a cadastro is never shown, nor written to a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending, worst
from filesync.cli.language import _
from filesync.cli.looking import now
from filesync.cli.moved import failures, say_export, say_failed, say_how_they_leave
from filesync.cli.moving import ending_of
from filesync.cli.options import HERE, Json, Root
from filesync.cli.rows import STDOUT, reais, say_json_rows, write_csv
from filesync.cli.sites import at
from filesync.protocol.identity import Mode, Role

if TYPE_CHECKING:
    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.day.cadastros import Holding

#: Rows of a cadastro that are shown on the screen; --csv and --json have all.
ROWS_SHOWN = 40


def cadastros(
    dataset: Annotated[
        str | None, typer.Argument(metavar="CADASTRO", help="produtos, clientes …: its rows. Without one: what is held of each.", show_default=False)
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option("--date", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="As it is current on this day.", show_default="today"),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", dir_okay=False, help="With a CADASTRO: write its rows for a spreadsheet; `-` writes to stdout.", show_default=False),
    ] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """What this site holds of the cadastros: version, age, what is newer at the matriz; or the rows that are current on a day."""
    if csv is not None and (dataset is None or as_json):
        raise typer.BadParameter(_("--csv is for the rows of one cadastro; give one of --csv and --json"))
    with at(root, quiet=as_json or csv == STDOUT) as station:
        from filesync.day.cadastros import current_documents, holdings

        context = station.context
        when = context.clock().date() if day is None else day.date()
        if dataset is not None:
            contract, tables = current_documents(context, dataset, when)
            return _rows(contract, tables, when, csv, as_json=as_json)
        held = holdings(context, when)
        role = context.settings.role
    if as_json:
        screen.say_json({"day": when, "cadastros": [_plain(one) for one in held]})
    elif not held:
        screen.say(
            _(
                "The cadastros are kept here and held by the tills. What is on its way to them: filesync outbox"
            )
            if role is Role.MATRIZ
            else _("No cadastro has arrived here yet. At the matriz: filesync export cadastros --full")
        )
    else:
        _say(held, when)
    return Ending.DONE


def export_all(
    root: Path, day: date | None, to: str | None, *, full: bool, again: bool, as_json: bool
) -> Ending:
    """`filesync export cadastros`: every cadastro that has a source."""
    with at(root, quiet=as_json) as station:
        from filesync.day.cadastros import export_complete

        report = export_complete(station, business_date=day, to=to, full=full, again=again)
        linked = {name for name, peer in station.context.settings.peers.items() if peer.link is not None}
    endings = {
        worst(attention=bool(failures(report.failed)), unreachable=bool(report.failed)),
        *(ending_of(done) for done in report.exported),
    }
    if as_json:
        screen.say_json(report)
    else:
        for done in report.exported:
            say_export(done)
            say_failed(done.failed)
        say_failed(report.failed)
        if report.without_source:
            screen.say(
                _("Without a source, so not sent: {datasets}").format(
                    datasets=", ".join(report.without_source)
                ),
                "dim",
            )
        if any(done.sealed for done in report.exported):
            say_how_they_leave(report.exported, linked)
    return worst(attention=Ending.ATTENTION in endings, unreachable=Ending.UNREACHABLE in endings)


# ------------------------------------------------------------------------------------------------ what is held


def _say(held: Iterable[Holding], when: date) -> None:
    screen.say(
        _("What is held of the cadastros, as it is current on {day}:").format(day=wording.day(when)), "bold"
    )
    columns = (
        _("cadastro"), _("no."), _("movement day"), _("applied"), _("active"), _("inactive"), _("begin later"), _("newer at the matriz"),
    )  # fmt: skip
    screen.table(columns, [_line(one) for one in held], right={columns[1], *columns[4:7]})
    if any(one.behind for one in held):
        screen.say(
            _("What is newer comes with the next `filesync turn`, or `exchange` and `import`."), "yellow"
        )


def _line(one: Holding) -> tuple[str, ...]:
    batches = wording.plural(one.behind, "batch", "batches") if one.behind else _("nothing")
    if one.batch is None or one.business_date is None:
        return one.dataset, "–", "–", _("never"), "0", "0", "0", batches
    applied = wording.age(one.applied_at, now())
    whole = _("whole") if one.mode is Mode.SNAPSHOT else _("changes")
    return (
        one.dataset, wording.number(one.batch.id.seq), wording.day(one.business_date), f"{applied} ({whole})",
        wording.number(one.active), wording.number(one.inactive), wording.number(one.upcoming), batches,
    )  # fmt: skip


def _plain(one: Holding) -> dict[str, Any]:
    return {
        "dataset": one.dataset, "batch": None if one.batch is None else one.batch.stem,
        "number": None if one.batch is None else one.batch.id.seq, "mode": one.mode, "business_date": one.business_date,
        "applied_at": one.applied_at, "active": one.active, "inactive": one.inactive, "upcoming": one.upcoming, "behind": one.behind,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ rows


def _rows(
    contract: Contract, tables: Iterator[pa.Table], when: date, csv: Path | None, *, as_json: bool
) -> Ending:
    if as_json:
        documents = (_present(document) for table in tables for document in table.to_pylist())
        say_json_rows({"cadastro": contract.dataset, "day": when}, "rows", documents)
        return Ending.DONE
    first = next(tables, None)
    columns = contract.arrow_schema.names if first is None else first.column_names
    names = [name.removesuffix("_centavos") for name in columns]  # money is shown in reais
    cells = (row for table in _again(first, tables) for row in _cells(contract, table))
    if csv is not None:
        count = write_csv(csv, names, cells)
        if csv != STDOUT:
            screen.say(
                _("{rows} written to {path}").format(rows=wording.plural(count, "row", "rows"), path=csv)
            )
        return Ending.DONE
    shown = list(islice(cells, ROWS_SHOWN))
    screen.say(
        _("{dataset}, as it is current on {day}:").format(dataset=contract.dataset, day=wording.day(when)),
        "bold",
    )
    if not shown:
        screen.say(_("Nothing is active on that day."))
        return Ending.DONE
    filled = [place for place in range(len(names)) if any(row[place] is not None for row in shown)]
    screen.table(
        [names[place] for place in filled],
        [["" if row[place] is None else str(row[place]) for place in filled] for row in shown],
    )
    if rest := sum(1 for _row in cells):
        screen.say(_("… and {count} more: --csv FILE writes all of them").format(count=wording.number(rest)))
    return Ending.DONE


def _again(first: pa.Table | None, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    if first is not None:
        yield first
    yield from rest


def _cells(contract: Contract, table: pa.Table) -> Iterator[list[object]]:
    """A row for a spreadsheet: money in reais, and of lines their keys."""
    lines = contract.lines
    for document in table.to_pylist():
        yield [_cell(name, value, lines.get(name, ())) for name, value in document.items()]


def _cell(name: str, value: Any, line_key: tuple[str, ...]) -> object:
    if value is None:
        return None
    if isinstance(value, list):
        return " ".join("/".join(str(line[part]) for part in line_key) for line in value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name.endswith("_centavos"):
        return reais(value)
    return value.isoformat() if isinstance(value, date) else value


def _present(document: dict[str, Any]) -> dict[str, Any]:
    """A document as the contract has it: what is null is absent."""
    return {
        name: [_present(line) for line in value] if isinstance(value, list) else value
        for name, value in document.items()
        if value is not None
    }
