"""The options that many commands share: whose site, and for whom the output is.

`-C` may stand before or after the command (the later one counts), as in `git -C`; without it `$FILESYNC_ROOT`, then the current folder.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from filesync.cli.language import _
from filesync.protocol.identity import check_id

#: Keys in the context's `meta`, which all nested contexts share.
ROOT, AS_JSON = "filesync.root", "filesync.json"

HERE = Path()


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


def site_id(text: str) -> str:
    """An id as it is given on the command line."""
    try:
        return check_id(text)
    except ValueError as err:
        raise typer.BadParameter(
            _("{err} (for instance caixa-01, posto-centro, matriz)").format(err=err)
        ) from None
