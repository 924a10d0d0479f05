"""`filesync migrate`: after an upgrade, the store is brought to the schema of this filesync. `init` and `run` do the same by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen
from filesync.cli.asking import somebody, yes
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Json, Root
from filesync.errors import ConfigError

if TYPE_CHECKING:
    from filesync.stores.migrating import Migration


def migrate(
    agreed: Annotated[
        bool, typer.Option("--yes", help="There is a backup of the server's database: do not ask for it.")
    ] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """Bring this site's store to this filesync's schema. filesync.db is copied first; nothing is done where nothing is to be done."""
    root = root.absolute()
    with screen.Watch(quiet=as_json) as watch:
        from filesync import config
        from filesync.exchange.own_store import is_current, known_as, migrate

        where = config.load(root).database
        if not (agreed or isinstance(where, Path)) and not is_current(where):
            watch.aside(lambda: _ask(known_as(where), as_json=as_json))
        done = migrate(root)
    if as_json:
        screen.say_json(
            {
                "store": done.store,
                "before": done.before,
                "after": done.after,
                "changed": done.changed,
                "backup": done.backup,
            }
        )
    else:
        _say(done)
    return Ending.DONE


def _ask(place: str, *, as_json: bool) -> None:
    """A file is copied before it is changed; a server's database only its keeper can save."""
    if as_json or not somebody():
        raise ConfigError(
            "backup-unsaid",
            _(
                "{place}: filesync makes no backup of a server's database, and nobody said that there is one"
            ).format(place=place),
        )
    screen.say(
        _(
            "The tables in {place} will be changed. filesync makes no backup of a server's database: pg_dump does."
        ).format(place=place)
    )
    if not yes(_("Is there a backup of it?")):
        raise ConfigError(
            "backup-unsaid", _("{place}: there is no backup of it; nothing was changed").format(place=place)
        )


def _say(done: Migration) -> None:
    if not done.changed:
        screen.say(
            _("{store} is of version {version} already: there is nothing to do.").format(
                store=done.store, version=done.after
            )
        )
        return
    screen.say(
        _("{store} was brought from version {before} to version {after}.").format(
            store=done.store, before=done.before, after=done.after
        ),
        "bold green",
    )
    if done.backup is not None:
        screen.say(_("As it was before, it lies in {backup}").format(backup=done.backup))
        screen.say(_("Remove that copy when everything works; it is never removed by itself."))
