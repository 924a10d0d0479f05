"""The fixed words of help pages and usage errors, which are typer's, in the chosen language.

typer looks its words up once, when it is imported, in the language of the system; they are put in their places here, before each command.
Its sentences are known by their form (phrases.py); one that is not known stays English.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from filesync.cli.language import _, mark
from filesync.phrases import said

#: Names in typer.rich_utils, and what they say.
_FRAME: Final = {
    "DEFAULT_STRING": mark("[default: {}]"),
    "ENVVAR_STRING": mark("[env var: {}]"),
    "REQUIRED_LONG_STRING": mark("[required]"),
    "ARGUMENTS_PANEL_TITLE": mark("Arguments"),
    "OPTIONS_PANEL_TITLE": mark("Options"),
    "COMMANDS_PANEL_TITLE": mark("Commands"),
    "ERRORS_PANEL_TITLE": mark("Error"),
    "ABORTED_TEXT": mark("Aborted."),
    "RICH_HELP": mark("Try [blue]'{command_path} {help_option}'[/] for help."),
}
_HELP: Final = mark("Show this message and exit.")
_OPTIONS: Final = mark("[OPTIONS]")
_COMMAND: Final = mark("COMMAND [ARGS]...")
_USAGE: Final = mark("Usage: ")


def localize_frame(command: Any) -> None:
    """Put everything around the texts of `command` and those below it into the chosen language; again, into another one."""
    from typer import rich_utils

    for name, text in _FRAME.items():
        setattr(rich_utils, name, _(text))
    _localize(command)


def _localize(command: Any) -> None:
    if getattr(command, "filesync_usage", None) is None:
        command.filesync_usage = command.get_usage
        command.get_usage = partial(_usage, command.filesync_usage)
    command.options_metavar = _(_OPTIONS)
    if hasattr(command, "subcommand_metavar"):
        command.subcommand_metavar = _(_COMMAND)
    for parameter in command.params:
        _plain(parameter)
    # The option is made when it is first asked for, and of the context only the names are asked.
    option = command.get_help_option(SimpleNamespace(help_option_names=["-h", "--help"]))
    if option is not None:
        option.help = _(_HELP)
        _plain(option)
    for below in getattr(command, "commands", {}).values():
        _localize(below)


def _plain(parameter: Any) -> None:
    """No words of the programming language beside an option or argument: typer writes `<bool>`, `<str>`, `<list[int]>`.

    A switch takes no value; an argument says by its name what it is; of an option with choices the choices are shown.
    """
    if parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None
    elif parameter.metavar is None:
        label = "" if parameter.is_flag else parameter.display_type(ctx=None).strip("<>")
        parameter.metavar = label


def _usage(written: Callable[[Any], str], ctx: Any) -> str:
    text = written(ctx)
    return _(_USAGE) + text.removeprefix(_USAGE) if text.startswith(_USAGE) else text


def rephrased(error: Exception) -> None:
    """Put a usage error's sentence into the chosen language."""
    sentence = getattr(error, "format_message", None)
    if sentence is not None and (text := said(sentence())) != sentence():
        error.format_message = lambda: text  # type: ignore[attr-defined]
