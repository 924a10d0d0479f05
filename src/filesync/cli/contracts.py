"""Contracts on the screen: which there are, what one says, and whether a schema can be one, or the next version of one.

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
    from collections.abc import Sequence

    from filesync.contracts import Contract, Registry, SchemaProblem
    from filesync.contracts.describe import ContractPage, FieldPage, RelationPage


def listing(root: Root = HERE, as_json: Json = False) -> Ending:
    """The datasets that are known here, each in all of its versions."""
    registry = _registry(root)
    found = [contract for one in registry.versions() if (contract := registry.get(*one)) is not None]
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
        int | None,
        typer.Option("--version", metavar="N", min=1, help="Which version.", show_default="the newest"),
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
        _page(describe(contract), _versions(registry, contract))
    return Ending.DONE


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A JSON Schema.")],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="FILE|NAME",
            help="Whether it can stand beside this version: a schema, vendas.v1, or vendas (the newest one before it that is known here).",
        ),
    ] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """Whether a JSON Schema can be used as a contract, and if not, every reason with its place.

    With --against: whether both versions can be in use at once, while one site after the other is upgraded.
    """
    from filesync.contracts import added, breaks, check_schema, load_contract

    problems = check_schema(file)
    said_of: dict[str, object] = {"usable": not problems, "problems": problems}
    broken: list[SchemaProblem] = []
    if against is not None and not problems:
        new = load_contract(file)
        old = _older(against, new, root)
        broken, more = breaks(new, old), added(new, old)
        said_of["against"] = {"contract": old.name, "beside": not broken, "breaks": broken, "added": more}
    if as_json:
        screen.say_json(said_of)
    elif problems:
        screen.say(_("{file} cannot be used as a contract:").format(file=file), "bold red")
        for problem in problems:
            screen.say(f"  {said(str(problem))}")
        screen.say(
            _("Correct these places; `filesync contract show vendas --json` is an example that works.")
        )
    else:
        screen.say(_("{file} can be used as a contract.").format(file=file), "bold green")
        if against is not None:
            _beside(old.name, broken, more)
    return Ending.ATTENTION if problems or broken else Ending.DONE


def _older(against: str, new: Contract, root: Path) -> Contract:
    """The version that a person names: by its file, as `vendas.v1`, or as `vendas`."""
    from filesync.contracts import load_contract

    if Path(against).is_file():
        return load_contract(Path(against))
    registry = _registry(root)
    dataset, _v, number = against.partition(".v")
    before = [version for version in registry.known(dataset) if version < new.version]
    version = int(number) if number.isascii() and number.isdigit() else before[-1] if before and not _v else 0
    found = registry.get(dataset, version)
    if found is None:
        raise ConfigError(
            "dataset-unknown",
            _(
                "{name} is no file, and no version of a contract before {new} is known by that name; known are {known}"
            ).format(
                name=against,
                new=new.name,
                known=", ".join(f"{name}.v{of}" for name, of in registry.versions()),
            ),
        )
    return found


def _beside(before: str, broken: Sequence[SchemaProblem], added: Sequence[str]) -> None:
    if broken:
        screen.say(_("It cannot stand beside {before}:").format(before=before), "bold red")
        for problem in broken:
            screen.say(f"  {said(str(problem))}")
        screen.say(
            _(
                "A site that knows both would not open. Leave what is there as it is, and say what is new in members of their own that may be missing: schemas/README.md, Versions."
            )
        )
        return
    screen.say(
        _(
            "It can stand beside {before}: what is right there is right here, and every column keeps its meaning."
        ).format(before=before),
        "bold green",
    )
    if added:
        screen.say(_("New in it: {members}").format(members=", ".join(added)))


def _versions(registry: Registry, contract: Contract) -> list[tuple[str, str]]:
    """Which versions there are, and what this one brought."""
    from filesync.contracts import added

    known = registry.known(contract.dataset)
    if len(known) < 2:
        return []
    facts = [(_("known here"), ", ".join(f"v{version}" for version in known))]
    earlier = [version for version in known if version < contract.version]
    before = registry.get(contract.dataset, earlier[-1]) if earlier else None
    if before is not None and (more := added(contract, before)):
        facts.append((_("new since v{version}").format(version=before.version), ", ".join(more)))
    return facts


#: What a page's facts are about, as contracts/describe.py calls it.
_ABOUT = (
    mark("bad rows"), mark("late rows"), mark("versions"), mark("snapshots"), mark("validity"), mark("encryption"), mark("numbers"),
)  # fmt: skip


def _registry(root: Path) -> Registry:
    from filesync import config
    from filesync.contracts import Registry

    if (root / config.FILE_NAME).exists():
        from filesync.exchange.own_store import site_contracts

        return site_contracts(root.absolute())
    return Registry.packaged()


# ------------------------------------------------------------------------------------------------ the page


def _page(page: ContractPage, versions: Sequence[tuple[str, str]]) -> None:
    screen.say(f"{page.name}: {_(page.title)}", "bold")
    if page.description:
        screen.say(_(page.description))
    screen.say()
    facts = [("key", ", ".join(page.key)), *page.policies, ("numbers", page.continuity)]
    told = [(_(name), said(text)) for name, text in facts if text]
    screen.table(("", ""), [*told, *versions], heads=False)
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
        ("  " + _("field"), _("type"), "", _("allowed"), _("what it is")),
        [_field(field) for field in relation.fields],
    )


def _field(field: FieldPage) -> tuple[str, ...]:
    need = _("key") if field.key else "" if field.required else _("optional")
    allowed = "; ".join(said(part) for part in (field.format, *field.limits.split("; ")) if part)
    return f"  {field.name}", wording.word(field.type), need, allowed, _(field.description or field.title)
