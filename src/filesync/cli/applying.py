"""`filesync apply`: whether the statements for the user's own tables can run, and what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import advice, screen
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.errors import ConfigError

if TYPE_CHECKING:
    from filesync.exchange.context import Context

_Dataset = Annotated[
    str | None,
    typer.Argument(metavar="DATASET", help="One of the sections [apply.DATASET]; without it all.", show_default=False),
]  # fmt: skip


def check(dataset: _Dataset = None, root: Root = HERE, as_json: Json = False) -> Ending:
    """Run the statements for your own tables over no rows, in a transaction that is undone, and say what the database makes of them."""
    with at(root, quiet=as_json) as station:
        from filesync.exchange import own_tables

        ctx = station.context
        found: list[tuple[str, str, int, ConfigError | None]] = []
        for name in _chosen(ctx, dataset):
            statements = ctx.settings.apply[name]
            wrong: ConfigError | None = None
            try:
                own_tables.check(ctx, name)
            except ConfigError as err:
                wrong = err
            found.append((name, statements.source, len(statements.each), wrong))
    failed = [wrong for *_others, wrong in found if wrong is not None]
    if as_json:
        screen.say_json([{"dataset": name, "file": source, "statements": count, "ok": wrong is None, "code": wrong and wrong.code, "message": wrong and wrong.message} for name, source, count, wrong in found])  # fmt: skip
        return Ending.ATTENTION if failed else Ending.DONE
    for name, source, count, wrong in found:
        if wrong is None:
            screen.say(_("{dataset}: {file} can run (statements: {count})").format(dataset=name, file=source, count=count), "green")  # fmt: skip
        else:
            screen.say(_("{dataset}: {message}").format(dataset=name, message=wrong.message), "bold red")
    for code in dict.fromkeys(wrong.code for wrong in failed):
        screen.say(f"  {advice.of_code(code).do}")
    return Ending.ATTENTION if failed else Ending.DONE


def show(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="`filesync contract list` names them.")],
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """The temporary tables that a statement finds: the rows of the batches that were applied just now, with the columns' types."""
    with at(root, quiet=as_json) as station:
        ctx = station.context
        form = ctx.contracts.form(dataset)
        if form is None:
            known = ", ".join(ctx.contracts.datasets())
            raise ConfigError("dataset-unknown", _("no dataset is called {dataset!r}; known: {known}").format(dataset=dataset, known=known))  # fmt: skip
        tables = ctx.store.own_tables.tables(form)
    if as_json:
        screen.say_json({table: dict(columns) for table, columns in tables.items()})
        return Ending.DONE
    for table, columns in tables.items():
        screen.say(table, "bold")
        for name, kind in columns:
            screen.say(f"  {name} {kind.lower()}")
    return Ending.DONE


def _chosen(ctx: Context, dataset: str | None) -> list[str]:
    known = list(ctx.settings.apply)
    if dataset is not None and dataset in known:
        return [dataset]
    if known and dataset is None:
        return known
    raise ConfigError(
        "apply-none",
        _("no statements for own tables are configured")
        if dataset is None
        else _("no statements for {dataset} are configured; there are some for: {known}").format(dataset=dataset, known=", ".join(known) or _("nothing")),
    )  # fmt: skip
