"""Contracts on the screen: which there are, what one says, and whether a schema can be one.

A site's own contracts (its folder schemas/) are shown where the command runs in a site; anywhere else the packed ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, mark
from filesync.cli.options import HERE, Json, Root
from filesync.errors import ConfigError
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.contracts import Registry
    from filesync.contracts.describe import ContractPage, FieldPage, RelationPage


def listing(root: Root = HERE, as_json: Json = False) -> Ending:
    """The datasets that are known here."""
    registry = _registry(root)
    found = [contract for name in registry.datasets() if (contract := registry.latest(name)) is not None]
    if as_json:
        screen.say_json(
            [{"dataset": c.dataset, "version": c.version, "title": c.title, "key": c.key} for c in found]
        )
    else:
        screen.table(
            (_("dataset"), _("version"), _("what it is")),
            [(c.dataset, str(c.version), c.title) for c in found],
            right={_("version")},
        )
    return Ending.DONE


def show(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="vendas, produtos, clientes …")],
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Which version.", show_default="the newest")
    ] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """A contract as a page to read: fields, types, rules, totals. With --json: its JSON Schema."""
    from filesync.contracts import describe

    registry = _registry(root)
    contract = registry.latest(dataset) if version is None else registry.get(dataset, version)
    if contract is None:
        what = (
            dataset
            if version is None
            else _("{dataset} version {version}").format(dataset=dataset, version=version)
        )
        raise ConfigError(
            "dataset-unknown",
            _("no contract for {what}; known datasets: {datasets}").format(
                what=what, datasets=", ".join(registry.datasets())
            ),
        )
    if as_json:
        screen.say_json(contract.schema)
    else:
        _page(describe(contract))
    return Ending.DONE


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A JSON Schema.")],
    as_json: Json = False,
) -> Ending:
    """Whether a JSON Schema can be used as a contract, and if not, every reason with its place."""
    from filesync.contracts import check_schema

    problems = check_schema(file)
    if as_json:
        screen.say_json({"usable": not problems, "problems": problems})
    elif problems:
        screen.say(_("{file} cannot be used as a contract:").format(file=file), "bold red")
        for problem in problems:
            screen.say(f"  {said(str(problem))}")
        screen.say(
            _("Correct these places; `filesync contract show vendas --json` is an example that works.")
        )
    else:
        screen.say(_("{file} can be used as a contract.").format(file=file), "bold green")
    return Ending.ATTENTION if problems else Ending.DONE


#: What a page's facts are about, as contracts/describe.py calls it.
_ABOUT = (
    mark("bad rows"), mark("late rows"), mark("versions"), mark("snapshots"), mark("validity"), mark("encryption"), mark("numbers"),
)  # fmt: skip


def _registry(root: Path) -> Registry:
    from filesync import config
    from filesync.contracts import Registry

    if (root / config.FILE_NAME).exists():
        from filesync.exchange.station import site_contracts

        return site_contracts(root.absolute())
    return Registry.packaged()


# ------------------------------------------------------------------------------------------------ the page


def _page(page: ContractPage) -> None:
    screen.say(f"{page.name}: {_(page.title)}", "bold")
    if page.description:
        screen.say(_(page.description))
    screen.say()
    facts = [("key", ", ".join(page.key)), *page.policies, ("numbers", page.continuity)]
    screen.table(("", ""), [(_(name), said(text)) for name, text in facts if text], heads=False)
    for relation in page.relations:
        _relation(relation)
    if page.rules:
        screen.say()
        screen.heading(_("Rules"))
        for rule in page.rules:
            screen.say(f"  {said(rule.formula)}")
            if rule.message:
                screen.say(f"    {_(rule.message)}", "dim")
    if page.totals:
        screen.say()
        screen.heading(_("Control totals (the sender's and the receiver's must agree)"))
        screen.table(("", ""), [(f"  {name}", said(text)) for name, text in page.totals], heads=False)


def _relation(relation: RelationPage) -> None:
    screen.say()
    lines = _("; lines in a document: {lines}").format(lines=said(relation.lines)) if relation.lines else ""
    title = f": {_(relation.title)}" if relation.title and relation.lines else ""
    screen.heading(
        _("{name}{title} (table {table}{lines})").format(
            name=relation.name, title=title, table=relation.table, lines=lines
        )
    )
    screen.table(
        (f"  {_('field')}", _("type"), "", _("allowed"), _("what it is")),
        [_field(field) for field in relation.fields],
    )


def _field(field: FieldPage) -> tuple[str, ...]:
    need = _("key") if field.key else "" if field.required else _("optional")
    allowed = "; ".join(said(part) for part in (field.format, *field.limits.split("; ")) if part)
    return f"  {field.name}", wording.word(field.type), need, allowed, _(field.description or field.title)
