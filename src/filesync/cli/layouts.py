"""`filesync layout`: which layouts of billing files are known, what one says, and whether one is right, or fits a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen
from filesync.cli.ending import Ending
from filesync.cli.language import _, mark
from filesync.cli.options import HERE, Json, Root
from filesync.errors import ConfigError
from filesync.phrases import said as rephrased

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.sources.layouts import Check, Layout, Record, Rule


#: How layouts tell a record's parts apart.
_SHAPES = (mark("csv"), mark("fixed"))


def listing(root: Root = HERE, as_json: Json = False) -> Ending:
    """The layouts that are known here: the site's own, then the shipped examples."""
    from filesync.sources.layout_choice import layouts

    known = layouts(root.absolute())
    if as_json:
        screen.say_json([{"name": one.name, "dataset": one.dataset, "shape": one.shape, "title": one.title, "where": one.origin} for one in known])  # fmt: skip
        return Ending.DONE
    screen.table(
        (_("layout"), _("of"), _("shape"), _("where"), _("what it is")),
        [(one.name, one.dataset, _(one.shape.value), one.origin, _(one.title)) for one in known],
    )
    screen.say(
        _("The shipped ones are examples; no layout is official. Your own go into layouts/: docs/layouts.md")
    )
    return Ending.DONE


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A layout: filesync layout list")],
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """One layout as its TOML file, to copy from. With --json: what each record holds."""
    from filesync.sources.layout_choice import layouts, text_of

    known = {layout.name: layout for layout in layouts(root.absolute())}
    if name not in known:
        raise ConfigError(
            "layout-unknown",
            _("no layout is called {name!r}; known: {known}").format(name=name, known=", ".join(known)),
        )
    if as_json:
        screen.say_json(_page(known[name]))
    else:
        screen.say(text_of(known[name], root.absolute()).rstrip())
    return Ending.DONE


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A layout (.toml), or a billing file.")],
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Whether a layout can be used, with every reason if not; or which of the known layouts a billing file has, and why not the others."""
    if file.suffix.lower() == ".toml":
        return _check_layout(file, as_json=as_json)
    from filesync.sources.layout_choice import layouts, look

    looks = [look(layout, file.absolute()) for layout in layouts(root.absolute())]
    fitting = [one for one in looks if one.why is None]
    if as_json:
        screen.say_json([{"layout": one.layout.name, "dataset": one.layout.dataset, "fits": one.why is None, "why": one.why, "day": one.day} for one in looks])  # fmt: skip
        return Ending.DONE if len(fitting) == 1 else Ending.ATTENTION
    for one in looks:
        if one.why is None:
            day = f", {one.day.isoformat()}" if one.day is not None else ""
            screen.say(_("{name} ({dataset}): fits{day}").format(name=one.layout.name, dataset=one.layout.dataset, day=day), "bold green")  # fmt: skip
        else:
            screen.say(_("{name} ({dataset}): does not: {why}").format(name=one.layout.name, dataset=one.layout.dataset, why=rephrased(one.why)))  # fmt: skip
    if not fitting:
        screen.say(_("No layout fits. Copy the one that is nearest into layouts/ and change it: filesync layout show NAME > layouts/mine.toml"))  # fmt: skip
    return Ending.DONE if len(fitting) == 1 else Ending.ATTENTION


def _check_layout(file: Path, *, as_json: bool) -> Ending:
    from filesync.contracts import Registry
    from filesync.sources.layout_choice import read_layout
    from filesync.sources.layout_reading import check_fields

    problems: list[str] = []
    try:
        layout = read_layout(file)
        contract = Registry.packaged().latest(layout.dataset)
        if contract is None:
            problems = [f"dataset: no contract for {layout.dataset!r}"]
        else:
            check_fields(layout, contract)
    except ConfigError as err:
        problems = err.message.removeprefix(f"{file}: ").split("; ")
    if as_json:
        screen.say_json({"usable": not problems, "problems": problems})
    elif problems:
        screen.say(_("{file} cannot be used as a layout:").format(file=file), "bold red")
        for problem in problems:
            screen.say(f"  {rephrased(problem)}")
    else:
        screen.say(_("{file} can be used as a layout.").format(file=file), "bold green")
    return Ending.ATTENTION if problems else Ending.DONE


# ------------------------------------------------------------------------------------------------ for programs


def _page(layout: Layout) -> dict[str, object]:
    return {
        "name": layout.name,
        "dataset": layout.dataset,
        "title": layout.title,
        "shape": layout.shape,
        "encoding": layout.encoding,
        "where": layout.origin,
        "sha256": layout.digest,
        "header": _record(layout.header),
        "detail": {
            "marker": layout.detail_marker,
            "fields": {name: _rule(rule) for name, rule in layout.fields.items()},
        },
        "trailer": _record(layout.trailer),
    }


def _record(record: Record | None) -> dict[str, object] | None:
    if record is None:
        return None
    parts = {
        name: {"where": check.part.where, **dict(_checks(check))} for name, check in record.parts.items()
    }
    return {"marker": record.marker, "required": record.required, "fields": parts}


def _checks(check: Check) -> Iterator[tuple[str, object]]:
    if check.day:
        yield "day", True
    for name in ("equals", "counts", "sum_of"):
        if getattr(check, name) is not None:
            yield name, getattr(check, name)


def _rule(rule: Rule) -> object:
    from filesync.sources.layouts import Part

    return {"where": rule.where} if isinstance(rule, Part) else screen.jsonable(rule)
