"""`filesync restored`: the database of this site was put back from a backup. It begins a new epoch, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending
from filesync.cli.holes import user
from filesync.cli.language import _, ngettext
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at

if TYPE_CHECKING:
    from filesync.exchange.renewing import Renewed, Sign

#: Signs of one kind that are named.
LINES_MAX = 4


def restored(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What happened. It stays in the database.", show_default=False)] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so.", show_default="this computer's user")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Even though nothing here shows that the database is older than what was sent.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """This site's database was put back from a backup: begin a new epoch, so that no number is used twice.

    A database from a backup does not know what was sent after it. Nothing that was sent is taken back, and nothing is there twice: what the
    backup does not know is found in its source, and sent again.
    """
    if not reason.strip():
        raise typer.BadParameter(_("say what happened, with --reason: it stays in the database"))
    with at(root, quiet=as_json) as station:
        done = station.renew(reason=reason, by=by or user(), anyway=anyway)
        site = station.context.me
    if as_json:
        screen.say_json(done)
        return Ending.DONE
    _say(site, done)
    return Ending.DONE


def _say(site: str, done: Renewed) -> None:
    if done.signs:
        screen.say(_("This database is older than what {site} sent:").format(site=site), "bold yellow")
        for sign in done.signs[:LINES_MAX]:
            screen.say(f"  {_line(sign)}")
        if len(done.signs) > LINES_MAX:
            rest = len(done.signs) - LINES_MAX
            screen.say(
                ngettext("  … and {count} more", "  … and {count} more", rest).format(
                    count=wording.number(rest)
                )
            )
    screen.say(
        _("{site} goes on as a new installation: epoch {epoch} instead of {before}.").format(
            site=site, epoch=done.epoch, before=done.before
        ),
        "bold green",
    )
    screen.say(
        _("  Its numbers begin at 1 again. What its peers have, they keep; nothing will be there twice.")
    )
    screen.say(
        _(
            "  What the backup does not know is found in its source again, and sent with the next: filesync turn (what has no source: filesync export)"
        )
    )
    if done.owed:
        text = ngettext(
            "  {count} batch that was refused for its number is sealed again, under a new one, by the same turn.",
            "  {count} batches that were refused for their numbers are sealed again, under new ones, by the same turn.",
            len(done.owed),
        )
        screen.say(text.format(count=wording.number(len(done.owed))))
    screen.say(
        _(
            "  Cadastros that this site keeps are sent whole once more. What had arrived here after the backup, its senders send again."
        )
    )
    screen.say(
        _(
            "If another copy of {site} still runs somewhere, stop it now: two copies can never both be right."
        ).format(site=site),
        "bold",
    )


def _line(sign: Sign) -> str:
    match sign.kind.value:
        case "refused":
            return _("{batch}: {peer} had another batch under that number").format(
                batch=wording.named(sign.name), peer=sign.peer
            )
        case "asked":
            feed, _space, seq = sign.name.rpartition(" ")
            return _("{peer} misses no. {seq} of {feed}, of which this database knows nothing").format(
                peer=sign.peer, seq=seq, feed=feed
            )
    return _("{file} lies here, and this database does not know it").format(file=sign.name)
