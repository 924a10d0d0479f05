"""`filesync demo`: the story of filesync.demo.story on a screen, with its closing table."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import Json

if TYPE_CHECKING:
    from filesync.demo.story import Outcome, Scene
    from filesync.exchange.reports import Progress

_MARKS = {
    "chapter": ("", "bold"),
    "trouble": ("! ", "bold yellow"),
    "cured": ("+ ", "green"),
    "plain": ("  ", ""),
}


def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A new folder, or that of an earlier demo.")
    ] = Path("demo"),
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="The same number makes up the same sales.")
    ] = 1,
    as_json: Json = False,
) -> Ending:
    """A made-up shop's day and the morning after: sales, trouble on the way, a gate that holds, and accounts that agree."""
    root = directory.absolute()
    with screen.Watch(quiet=as_json, text=_("setting up"), patience_s=0) as watch:
        from filesync.demo import story

        def tell(scene: Scene) -> None:
            if not as_json:
                watch.aside(lambda: _say(scene, root))

        def observe(site: str, progress: Progress) -> None:
            watch(progress, where=site)

        yesterday = date.today() - timedelta(days=1)  # noqa: DTZ011 -- the shop's own calendar day
        outcome = story.run(root, seed=seed, day=yesterday, tell=tell, observe=observe)
    if as_json:
        screen.say_json({**screen.jsonable(outcome), "good": outcome.good})
    else:
        _end(outcome)
    return Ending.DONE if outcome.good else Ending.ATTENTION


def _say(scene: Scene, root: Path) -> None:
    mark, style = _MARKS[scene.kind]
    if scene.kind == "chapter":
        screen.say()
    where = (
        ""
        if scene.path is None or scene.path == root
        else f"  [{scene.path.relative_to(root) if scene.path.is_relative_to(root) else scene.path}]"
    )
    screen.say(f"{mark}{scene.text}{where}", style)
    if scene.reasons:
        from filesync.cli.day_page import say_reasons

        say_reasons(scene.reasons, datetime.now().astimezone())


def _end(outcome: Outcome) -> None:
    screen.say()
    screen.heading(_("{day}, site by site").format(day=wording.day(outcome.day)))
    columns = (
        _("site"), _("batches"), _("sales"), _("applied"), _("total at the site"), _("total at the matriz"), _("total at the portal"),
        _("difference"),
    )  # fmt: skip
    screen.table(
        columns,
        [
            (
                row.site, wording.number(row.batches), wording.number(row.documents), wording.number(row.applied),
                wording.money(row.total_site), wording.money(row.total_matriz), wording.money(row.total_portal), wording.money(row.difference),
            )
            for row in outcome.rows
        ],
        right=columns[1:],
    )  # fmt: skip
    screen.say()
    if outcome.good:
        screen.say(
            _("Every sale is at the matriz exactly once, and every batch has its receipt."), "bold green"
        )
        screen.say(
            _(
                "No billing came before the sales; of {planted} planted differences {found} were found; the portal is up to date."
            ).format(planted=outcome.planted, found=outcome.found),
            "bold green",
        )
    else:
        screen.say(
            _(
                "Something is wrong: {count} without a receipt, {found} of {planted} planted differences found, the portal: {portal}."
            ).format(
                count=wording.plural(outcome.open_deliveries, "batch", "batches"),
                found=outcome.found,
                planted=outcome.planted,
                portal=outcome.portal,
            ),
            "bold red",
        )
    matriz = outcome.directory / "matriz"
    screen.say(
        _("{count} lie in the matriz' quarantine, as they would for a person to look at.").format(
            count=wording.plural(outcome.left_in_quarantine, "thing", "things")
        )
    )
    screen.say(_("Look around:"))
    for command in (
        f"filesync -C {matriz} status",
        f"filesync -C {matriz} quarantine",
        f"filesync -C {matriz} day --date {outcome.day.isoformat()}",
        f"filesync -C {matriz} reconcile --date {outcome.day.isoformat()} --only red,yellow",
        f"filesync -C {outcome.directory / 'portal'} report agency --date {outcome.day.isoformat()}",
        f"filesync -C {outcome.directory / 'caixa-02'} status",
    ):
        screen.say(f"  {command}")
    screen.say(f"  {matriz / 'archive'}   {matriz / 'filesync.db'}")
