"""The options that many commands share: whose site, and for whom the output is.

`-C` may stand before or after the command (the later one counts), as in `git -C`; without it `$FILESYNC_ROOT`, then the current folder.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from filesync.cli.language import _
from filesync.protocol.identity import check_id

#: Keys in the context's `meta`, which all nested contexts share.
ROOT, AS_JSON = "filesync.root", "filesync.json"

HERE = Path()
#: What a range of days may hold.
RANGE_DAYS_MAX = 400


def _choose_root(ctx: typer.Context, param: typer.CallbackParam, value: Path) -> Path:
    source = ctx.get_parameter_source(param.name or "")
    if source is not None and source.name != "DEFAULT":
        ctx.meta[ROOT] = value
    chosen: Path = ctx.meta.get(ROOT, HERE)
    return chosen


def _choose_json(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[AS_JSON] = ctx.meta.get(AS_JSON, False) or value
    return bool(ctx.meta[AS_JSON])


#: At the top, where the environment is asked too.
TopRoot = Annotated[
    Path,
    typer.Option(
        "-C",
        metavar="FOLDER",
        envvar="FILESYNC_ROOT",
        callback=_choose_root,
        help="The site's folder.",
        show_default="the current folder",
    ),
]
#: At a command.
Root = Annotated[
    Path,
    typer.Option(
        "-C",
        metavar="FOLDER",
        callback=_choose_root,
        help="The site's folder.",
        show_default="the current folder",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", callback=_choose_json, help="Plain JSON on stdout, for programs.")
]
#: A movement day; the command takes its `.date()`.
Day = Annotated[
    datetime,
    typer.Option("--date", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="The movement day."),
]


DayOrNone = Annotated[
    datetime | None,
    typer.Option("--date", metavar="AAAA-MM-DD", formats=["%Y-%m-%d", "%d/%m/%Y"], help="The movement day.", show_default=False),
]  # fmt: skip


def site_id(text: str) -> str:
    """An id as it is given on the command line."""
    try:
        return check_id(text)
    except ValueError as err:
        raise typer.BadParameter(
            _("{err} (for instance caixa-01, posto-centro, matriz)").format(err=err)
        ) from None


def days_of(text: str) -> tuple[date, date]:
    """`2026-03-01..2026-03-31`, `01/03/2026..31/03/2026`, or the month `2026-03`."""
    try:
        if ".." not in text:
            first = datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 -- a month has no time zone
            last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        else:
            first, last = (_date(part.strip()) for part in text.split("..", 1))
    except ValueError:
        raise typer.BadParameter(_("--range {text}: expected AAAA-MM-DD..AAAA-MM-DD, or a month AAAA-MM").format(text=text)) from None  # fmt: skip
    if not 0 <= (last - first).days < RANGE_DAYS_MAX:
        raise typer.BadParameter(_("--range {text}: expected the earlier day first, and at most {days} days").format(text=text, days=RANGE_DAYS_MAX))  # fmt: skip
    return first, last


def _date(text: str) -> date:
    form = "%d/%m/%Y" if "/" in text else "%Y-%m-%d"
    return datetime.strptime(text, form).date()  # noqa: DTZ007 -- a business date has no time zone
