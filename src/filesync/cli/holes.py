"""`filesync void` and `filesync resend`: what is missing is asked for at once, what can never arrive is given up. And the parts of `status` about both.

Nothing is skipped in silence: a void has a reason and a name beside it, is signed by its origin or recorded here, and stays listed.
"""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, ngettext
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said as rephrased

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from filesync.exchange.reports import ImportReport
    from filesync.exchange.status import Status
    from filesync.stores.hole_values import HoleRecord, VoidRecord

#: Lines of one kind in a status.
LINES_MAX = 8

Epoch = Annotated[str | None, typer.Option("--epoch", metavar="E", help="Of which installation (epoch), where several are known.", show_default="the one that fits")]  # fmt: skip


def void(
    feed: Annotated[str | None, typer.Argument(metavar="FEED", help="As `filesync status` shows it: vendas.caixa-01.matriz", show_default=False)] = None,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="SEQ…", help="The numbers to give up.", show_default=False)] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it can never arrive, or will never be replaced.", show_default=False)] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who answers for it.", show_default="this computer's user")] = "",
    epoch: Epoch = None,
    listed: Annotated[bool, typer.Option("--list", help="Show what was given up so far.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Give up a batch that can never arrive, for good. At its origin: signed, and sent to whoever waits for it. Elsewhere: an override, recorded here.

    Nothing that was applied is taken back. Should the batch still arrive, it is refused, and its rows come again under a new number.
    """
    if listed or feed is None:
        with at(root, quiet=as_json) as station:
            found = station.context.store.holes.voids()
        if as_json:
            screen.say_json(found)
        else:
            for line in [void_line(one) for one in found] or [_("Nothing was given up.")]:
                screen.say(line)
        return Ending.DONE
    if not numbers:
        raise typer.BadParameter(_("which numbers? `filesync status` shows what is missing"))
    if not reason.strip():
        raise typer.BadParameter(_("say why, with --reason: it stays in the records of that day"))
    with at(root, quiet=as_json) as station:
        made = station.void(feed, numbers, reason=reason, by=by or user(), epoch=epoch)
    if as_json:
        screen.say_json(made)
        return Ending.DONE
    for one in made:
        screen.say(_("Given up: {line}").format(line=void_line(one)), "bold")
    if any(one.override for one in made):
        screen.say(
            _(
                "Recorded here. Should it arrive after all, it is refused and its rows come again under a new number. "
                "What waited behind it is applied by the next: filesync import"
            )
        )
    else:
        screen.say(_("Whoever waits for it hears of it with the next: filesync exchange"))
        screen.say(
            _(
                "When they have answered, `filesync turn` seals its rows again, under a new number; what was applied is not sent twice."
            )
        )
    return Ending.DONE


def resend(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="As `filesync status` shows it: vendas.caixa-01.matriz")],
    numbers: Annotated[list[int] | None, typer.Argument(metavar="SEQ…", help="Only these numbers; without any, all that is missing.", show_default=False)] = None,
    epoch: Epoch = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Ask the sender at once for batches that are missing here. At the sender itself: send these numbers again.

    It happens by itself as well, when something is missing for longer than `patience` (filesync.toml). Numbers and content stay as they are.
    """
    with at(root, quiet=as_json) as station:
        done = station.resend(feed, numbers or (), epoch=epoch)
    if as_json:
        screen.say_json(done)
        return Ending.DONE
    for hole in done.asked:
        screen.say(_("Asked for: {feed}, no. {span}").format(feed=feed, span=_span(hole)), "bold")
    for stem in done.again:
        screen.say(_("Sent again: {batch}").format(batch=wording.named(stem)), "bold")
    if done.asked:
        screen.say(
            _(
                "The question travels with the next `filesync exchange`, as a heartbeat that is not counted; the sender's next turn answers it."
            )
        )
    elif done.again:
        screen.say(_("It waits in the outbox and leaves with the next: filesync exchange"))
    return Ending.DONE


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise typer.BadParameter(_("by whom? Say --by NAME")) from None


# ------------------------------------------------------------------------------------------------ in words


def say_holes(found: Status, moment: datetime) -> None:
    """The part of `status` about what is missing and what was given up; nothing where there is neither."""
    if found.holes:
        screen.say()
        screen.say(_("Missing ({count}):").format(count=wording.number(sum(h.count for h in found.holes))), "bold yellow")  # fmt: skip
        _lines([hole_line(hole, moment) for hole in found.holes])
        first = found.holes[0]
        screen.say(
            _("  Ask at once: filesync resend {feed}   When it can never arrive: filesync void {feed} {seq} --reason …").format(
                feed=first.feed, seq=first.first
            )
        )  # fmt: skip
    if found.voids:
        screen.say()
        screen.say(_("Given up ({count}):").format(count=wording.number(len(found.voids))), "bold")
        _lines([void_line(one) for one in found.voids[-LINES_MAX:]])
        if len(found.voids) > LINES_MAX:
            screen.say(_("  All of them: filesync void --list"))


def say_voided(report: ImportReport) -> bool:
    """The part of an import's report about numbers that were given up and batches that were asked for. Whether anything was said."""
    if report.voided:
        screen.say(_("Given up ({count}):").format(count=wording.number(len(report.voided))), "bold yellow")
        _lines([f"{wording.named(held.name)}: {rephrased(held.message)}" for held in report.voided])
    if report.sent_again:
        screen.say(
            _("Asked for again, and sent again ({count}):").format(count=wording.number(len(report.sent_again))), "bold"
        )  # fmt: skip
        _lines(
            [
                _("{batch}, for {peer}").format(batch=wording.named(held.name), peer=held.peer)
                for held in report.sent_again
            ]
        )
    return bool(report.voided or report.sent_again)


def hole_line(hole: HoleRecord, moment: datetime) -> str:
    """`vendas.caixa-01.matriz, no. 2-3: noticed 2 h ago, asked for 5 min ago`."""
    since = _("noticed {age}").format(age=wording.age(hole.noticed_at, moment))
    asked = (
        _("asked for {age}").format(age=wording.age(hole.asked_at, moment))
        if hole.asked_at
        else _("asked for by itself soon")
    )
    return _("{feed}, no. {span} (installation {epoch}): {since}, {asked}").format(
        feed=hole.feed, span=_span(hole), epoch=hole.epoch, since=since, asked=asked
    )


def void_line(one: VoidRecord) -> str:
    """`vendas.caixa-01.matriz no. 2 (3 sales), on 02/03/2026 18:30 by Ana, overridden here: the disk is dead`."""
    what = ""
    if one.rows is not None:
        count = one.rows.get(one.feed.dataset, 0)
        money = wording.sum_of_money(one.totals or {})
        facts = [wording.documents(count, one.feed.dataset), *([money] if money else [])]
        what = f" ({', '.join(facts)})"
    how = _("overridden here") if one.override else _("by its origin")
    return _("{feed} no. {seq}{what}, {when}, {by}, {how}: {reason}").format(
        feed=one.feed,
        seq=one.seq,
        what=what,
        when=wording.moment(one.at),
        by=one.by,
        how=how,
        reason=one.reason,
    )


def _span(hole: HoleRecord) -> str:
    return wording.span(hole.first, hole.last)


def _lines(lines: Sequence[str]) -> None:
    for line in lines[:LINES_MAX]:
        screen.say(f"  {line}")
    if len(lines) > LINES_MAX:
        more = len(lines) - LINES_MAX
        screen.say(
            ngettext("  … and {count} more", "  … and {count} more", more).format(count=wording.number(more))
        )
