"""`filesync purge`: files of days that are long over. What would go is shown first; `--yes` removes it.

The ledger keeps everything: what was decided stays decided, and whoever asks for a file that was purged is told when it was.
"""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import reasons, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, mark, ngettext
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from filesync.day.keeping import Keep
    from filesync.day.purging import DayFiles, Limits
    from filesync.exchange.context import Context

#: Days that are listed one by one, and reasons of one day.
DAYS_MAX = 40
REASONS_MAX = 4

_KINDS = {"archive": mark("archive"), "discarded": mark("discarded"), "evidence": mark("evidence")}


def purge(
    before: Annotated[datetime | None, typer.Option("--before", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="Days before this one.", show_default=False)] = None,
    older: Annotated[str | None, typer.Option("--older", metavar="AGE", help='Days older than this: "400 days", "18 months", "5 years".', show_default="[retention] in filesync.toml")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it. Without this nothing is removed.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Remove payloads, manifests and receipts of days that are settled on both sides and done with. First it only says what would go.

    The ledger keeps everything: nothing is applied twice, receipts can be written again, and a file that is missed is said to be purged.
    """
    if before is not None and older is not None:
        raise typer.BadParameter(_("give one of --before and --older"))
    with at(root, quiet=as_json) as station:
        from filesync.day import purging

        ctx = station.context
        limits = _limits(ctx, before, older)
        found = list(purging.purge(station, limits, _user()) if yes else purging.examine(ctx, limits))
        now = ctx.clock()
    if as_json:
        screen.say_json(_plain(limits, found, done=yes))
        return Ending.DONE
    going = [one for one in found if not one.keeps]
    staying = [one for one in found if one.keeps]
    _say_going(going, done=yes)
    _say_staying(staying, now)
    if going and not yes:
        command = "filesync purge --yes"
        if before is not None:
            command = f"filesync purge --before {before.date().isoformat()} --yes"
        elif older is not None:
            command = f'filesync purge --older "{older}" --yes'
        screen.say()
        screen.say(_("Nothing was removed yet. To remove it: {command}").format(command=command), "bold")
    return Ending.DONE


def _limits(ctx: Context, before: datetime | None, older: str | None) -> Limits:
    from filesync.config.retention import Age
    from filesync.day.purging import Limits

    if before is not None:
        return Limits.before(ctx, before.date())
    if older is not None:
        try:
            age = Age.parse(older)
        except ValueError as err:
            raise typer.BadParameter(str(err)) from None
        if age is None:
            raise typer.BadParameter(_("that is how old nothing ever is; say an age, or leave --older out"))
        return Limits.before(ctx, age.before(ctx.clock().date()))
    limits = Limits.configured(ctx)
    if limits.nothing:
        raise ConfigError(
            "retention-missing",
            "everything is kept for ever here: [retention] in filesync.toml names no age, and neither --before nor --older was given",
        )
    return limits


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "filesync"


def _plain(limits: Limits, found: Sequence[DayFiles], *, done: bool) -> dict[str, object]:
    going = [one for one in found if not one.keeps]
    return {
        "before": {"archive": limits.archive, "discarded": limits.discarded, "evidence": limits.evidence},
        "removed": done,
        "files": sum(one.files for one in going),
        "bytes": sum(one.bytes for one in going),
        "days": [
            {"day": one.day, "kind": one.kind, "files": one.files, "bytes": one.bytes, "strangers": one.strangers}
            for one in going
        ],
        "kept": [
            {
                "day": one.day,
                "kind": one.kind,
                "files": one.files,
                "bytes": one.bytes,
                "reasons": [
                    {"code": keep.code, "what": keep.what, "count": keep.count, "reason": keep.reason and keep.reason.to_json()}
                    for keep in one.keeps
                ],
            }
            for one in found
            if one.keeps
        ],
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ in words


def _say_going(going: Sequence[DayFiles], *, done: bool) -> None:
    if not going:
        screen.say(_("Nothing was removed: nothing that is so old may go.") if done else _("Nothing that is so old would go."))  # fmt: skip
        return
    screen.heading(_("Removed:") if done else _("This would go:"))
    rows = [
        (f"  {wording.day(one.day)}", _(_KINDS[one.kind.value]), wording.number(one.files), wording.size(one.bytes))
        for one in going[:DAYS_MAX]
    ]  # fmt: skip
    screen.table(("  " + _("day"), _("what"), _("files"), _("size")), rows)
    if len(going) > DAYS_MAX:
        more = len(going) - DAYS_MAX
        screen.say(ngettext("  … and {count} day more (--json names it)", "  … and {count} days more (--json names them)", more).format(count=wording.number(more)))  # fmt: skip
    files, size = sum(one.files for one in going), sum(one.bytes for one in going)
    days = len({one.day for one in going})
    text = ngettext("In all: {files} files of {count} day, {size}", "In all: {files} files of {count} days, {size}", days)  # fmt: skip
    screen.say(text.format(files=wording.number(files), count=wording.number(days), size=wording.size(size)))
    if strangers := sum(one.strangers for one in going):
        text = ngettext("{count} other file lies beside them and stays: filesync did not put it there.", "{count} other files lie beside them and stay: filesync did not put them there.", strangers)  # fmt: skip
        screen.say(text.format(count=wording.number(strangers)), "yellow")


def _say_staying(staying: Sequence[DayFiles], now: datetime) -> None:
    if not staying:
        return
    screen.say()
    screen.heading(_("This stays, for it is not over ({count}):").format(count=wording.number(len(staying))))
    for one in staying[:DAYS_MAX]:
        screen.say(
            _("  {day}, {what}: {files} files, {size}").format(
                day=wording.day(one.day), what=_(_KINDS[one.kind.value]), files=wording.number(one.files), size=wording.size(one.bytes)
            )
        )  # fmt: skip
        for keep in one.keeps[:REASONS_MAX]:
            for line in _keep_lines(keep, one.day, now):
                screen.say(f"    {line}")
        if len(one.keeps) > REASONS_MAX:
            more = len(one.keeps) - REASONS_MAX
            screen.say(ngettext("    … and {count} reason more", "    … and {count} reasons more", more).format(count=more))  # fmt: skip
    if len(staying) > DAYS_MAX:
        more = len(staying) - DAYS_MAX
        screen.say(ngettext("  … and {count} day more (--json names it)", "  … and {count} days more (--json names them)", more).format(count=wording.number(more)))  # fmt: skip


def _keep_lines(keep: Keep, day: date, now: datetime) -> Iterator[str]:
    """Why, then what to do."""
    more = "" if keep.count == 1 else ngettext(" (and {count} more)", " (and {count} more)", keep.count - 1).format(count=wording.number(keep.count - 1))  # fmt: skip
    batch, iso = f"{wording.named(keep.what)}{more}", day.isoformat()
    match keep.code.value:
        case "purge-unanswered":
            yield _("- {batch}: a recipient has not answered").format(batch=batch)
            yield "  filesync outbox"
        case "purge-owed":
            yield _("- {batch}: it was rejected, and its rows stand in no later batch").format(batch=batch)
            yield f"  filesync show {keep.what}"
        case "purge-unreceipted":
            yield _("- {batch}: its sender does not have our receipt yet, as far as is known here").format(batch=batch)  # fmt: skip
            yield "  filesync exchange"
        case "purge-quarantined":
            yield _("- {batch}: something of it lies in quarantine").format(batch=batch)
            yield "  filesync quarantine"
        case "purge-not-closed":
            yield _("- {batch}: no close that was applied names it").format(batch=batch)
            yield f"  filesync close --date {iso} --contado …"
        case "purge-gate-closed":
            yield _("- {step} may not run yet").format(step=keep.what)
            if keep.reason is not None:
                yield from (f"  {line}" for line in reasons.reason_lines(keep.reason, now))
        case _:
            yield _("- {step} was not done").format(step=keep.what)
            yield f"  filesync done {keep.what} --date {iso} --by …"
