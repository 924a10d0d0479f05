"""Which language a command speaks: `--lang`, else `$FILESYNC_LANG`, else the system's locale; English where none of them says Portuguese.

Chosen once, before a command runs. What programs read (`--json`) is English always. Help pages are written in plain English where the
commands are; `localize` puts them into the chosen language. Messages that come from below (an error's own words, with names and numbers)
stay as they are: what they mean and what to do is said in the chosen language (advice.py).
"""

from __future__ import annotations

import locale
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from filesync.language import Language, _, choose, listed, mark, ngettext, pair

__all__ = ["_", "help_texts", "listed", "localize", "mark", "ngettext", "pair", "parse", "prepare"]


def parse(text: str) -> Language | None:
    """`pt-BR`, `pt_BR.UTF-8`, `Portuguese_Brazil`, `pt`: Portuguese; `en…` and `C`: English; None for anything else."""
    plain = text.replace("_", "-").lower()
    if plain.startswith(("pt", "portug")):
        return Language.PORTUGUESE
    return Language.ENGLISH if plain.startswith(("en", "c.", "posix")) or plain == "c" else None


def of_system(environ: Mapping[str, str]) -> Language:
    """What the environment asks for. The first of these that is set decides, as for every program of the system."""
    for name in ("FILESYNC_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return parse(value) or Language.ENGLISH
    # Windows sets none of them.
    return parse(locale.getlocale()[0] or "") or Language.ENGLISH


def of_arguments(arguments: Sequence[str]) -> Language | None:
    """What `--lang` says among a command's arguments, wherever it stands: help pages are made before options are read."""
    for place, argument in enumerate(arguments):
        if argument == "--":
            return None
        name, given, value = argument.partition("=")
        if name == "--lang":
            return parse(value if given else (arguments[place + 1] if place + 1 < len(arguments) else ""))
    return None


def prepare(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Choose by the arguments, else by the environment. What programs read (`--json`) is English, whoever's computer it is."""
    choose(Language.ENGLISH if "--json" in arguments else of_arguments(arguments) or of_system(environ))


# ------------------------------------------------------------------------------------------------ help pages

#: What of a command and of an option is shown on a help page.
_SHOWN: Final = ("help", "short_help", "epilog", "rich_help_panel", "show_default", "metavar")


def help_texts(command: Any) -> Iterator[str]:
    """Every text of the help pages of a command and those below it, as it was written."""
    for thing in (command, *command.params):
        yield from _written(thing).values()
    for below in getattr(command, "commands", {}).values():
        yield from help_texts(below)


def localize(command: Any) -> None:
    """Put the help pages of a command and those below it into the chosen language; again, into another one."""
    for thing in (command, *command.params):
        for name, text in _written(thing).items():
            setattr(thing, name, _(text))
    for below in getattr(command, "commands", {}).values():
        localize(below)


def _written(thing: Any) -> dict[str, str]:
    """The shown texts of a command or an option as they stand in the source, kept beside it so that a language can be chosen again."""
    kept: dict[str, str] | None = getattr(thing, "filesync_written", None)
    if kept is None:
        shown = {name: getattr(thing, name, None) for name in _SHOWN}
        kept = {name: text for name, text in shown.items() if isinstance(text, str) and text}
        thing.filesync_written = kept
    return kept
