"""Where every command ends: a value becomes an exit code, a failure becomes one message, advice, and an exit code.

Families of failure and their codes: ConfigError 2, TransportError 3, other failures that filesync expects 1, a disk or a permission 2,
everything else is a bug: 70, one line, and a file with the traceback. Ctrl-C and a reader that went away end quietly (130).
Usage errors are typer's own (2).
"""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from filesync import __version__
from filesync.cli import advice, language, screen, usage
from filesync.cli.ending import Ending
from filesync.cli.language import _, mark
from filesync.cli.options import AS_JSON
from filesync.errors import ConfigError, FilesyncError, TransportError
from filesync.phrases import said

#: What the machine can do to us that is no mistake of the program's.
_MACHINE = {
    errno.ENOSPC: mark("The disk is full. Free some space, then run the command again."),
    errno.EDQUOT: mark("The disk quota is used up. Free some space, then run the command again."),
    errno.EROFS: mark("The disk cannot be written to. Check it, then run the command again."),
    errno.EIO: mark("The disk reports a fault. Save a copy of the folder, and check the disk."),
    errno.EACCES: mark(
        "Check who may read and write there, and whether another program holds it; then run the command again."
    ),
    errno.EPERM: mark(
        "Check who may read and write there, and whether another program holds it; then run the command again."
    ),
    errno.EMFILE: mark(
        "Too many files are open on this computer. Close some programs, then run the command again."
    ),
}


class Edge(TyperGroup):
    """The top group. Commands return an `Ending`, or None for done."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Choose the language before anything is said, help pages included."""
        language.prepare(args)
        language.localize(self)
        usage.localize_frame(self)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except Exception as error:
            usage.rephrased(error)
            raise

    def invoke(self, ctx: Any) -> Any:  # typer's own Context is not public
        """Run the command and end the program with its exit code."""
        try:
            ending = super().invoke(ctx)
            sys.stdout.flush()
        except FilesyncError as error:
            ending = failed(error, as_json=ctx.meta.get(AS_JSON, False))
        except BrokenPipeError:
            ending = _gone()
        except OSError as error:
            ending = _machine(error) if error.errno in _MACHINE else _bug(error)
        except SystemExit as end:
            if not isinstance(end.__context__, BrokenPipeError):
                raise
            ending = _gone()  # rich ends the program itself when its reader has gone
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("typer", "click"):
                usage.rephrased(error)
                raise  # usage errors and exits: typer shows them
            ending = _bug(error)
        ctx.exit(int(ending or Ending.DONE))


def failed(error: FilesyncError, *, as_json: bool) -> Ending:
    """Say what failed and what to do."""
    do = advice.of_error(error)
    if error.code == "gate-closed":
        return _closed(error, do, as_json=as_json)
    screen.complain(said(error.message), do)
    if as_json:
        screen.say_json({"error": {"code": error.code, "message": error.message, "advice": do}})
    if isinstance(error, ConfigError):
        return Ending.USAGE
    return Ending.UNREACHABLE if isinstance(error, TransportError) else Ending.ATTENTION


def _closed(error: FilesyncError, do: str, *, as_json: bool) -> Ending:
    """A step that may not run yet: whoever asked is told all that is missing, as `filesync gate` tells it."""
    from filesync.cli.gates import say_closed
    from filesync.day.routine import GateClosedError

    if not isinstance(error, GateClosedError):
        raise TypeError(f"expected the gate's own error for {error.code}, got {type(error).__name__}")
    if as_json:
        reasons = [reason.to_json() for reason in error.reasons]
        screen.say_json(
            {"error": {"code": error.code, "message": error.message, "advice": do, "reasons": reasons}}
        )
    else:
        say_closed(error.step, error.day, error.reasons, datetime.now(UTC).astimezone())
    screen.complain("", do)
    return Ending.ATTENTION


def _machine(error: OSError) -> Ending:
    where = f": {error.filename}" if error.filename else ""
    screen.complain(
        f"{said(str(error.strerror))}{where}",
        _("{machine} Nothing is lost: filesync goes on where it stopped.").format(
            machine=_(_MACHINE[error.errno or 0])
        ),
    )
    return Ending.USAGE


def _gone() -> Ending:
    screen.forget_output()
    return Ending.INTERRUPTED


def _bug(error: BaseException) -> Ending:
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        path = _(
            "\nThe details are in {write_report}: please send that file to whoever looks after filesync."
        ).format(write_report=_write_report(error))
    except OSError as unwritten:
        path = _("\nThe details could not be written: {unwritten}").format(unwritten=unwritten)
    screen.complain(
        _("This should not have happened, and is a mistake in filesync: {what}").format(what=what),
        _("Nothing is lost: what was done is recorded, the rest is done by the next command.{path}").format(
            path=path
        ),
    )
    return Ending.BUG


def _write_report(error: BaseException) -> Path:
    """A file with everything that is needed to find the mistake, and no row of anybody's sales beyond the error's own words."""
    lines = [
        f"filesync {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {shlex.join(sys.argv)}",
        f"folder: {Path.cwd()}",
        "",
        *traceback.format_exception(error),
    ]
    descriptor, name = tempfile.mkstemp(prefix="filesync-bug-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("\n".join(lines))
    return Path(name)
