"""One thing that `filesync verify` looked at, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from filesync.cli import screen
from filesync.cli.language import _

#: Good, wrong, could not be looked at.
_MARKS = {True: ("ok    ", ""), False: ("WRONG ", "bold red"), None: ("-     ", "yellow")}


@dataclass(frozen=True, slots=True)
class Check:
    """`passed`: True, False, or None where it could not be made."""

    file: str
    what: str
    passed: bool | None
    detail: str


def say(checks: list[Check], do: str) -> None:
    """All of them, file by file; `do` is the next step where something is wrong."""
    file = ""
    for check in checks:
        if check.file != file:
            file = check.file
            screen.heading(file)
        mark, style = _MARKS[check.passed]
        screen.say(f"  {mark}{check.what}: {check.detail}", style)
    if any(check.passed is False for check in checks):
        screen.say(do, "bold red")
    else:
        screen.say(_("Nothing is wrong with what could be checked."), "bold green")
