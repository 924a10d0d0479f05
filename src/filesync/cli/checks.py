"""One thing that `filesync verify` looked at, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from filesync.cli import screen
from filesync.cli.language import _, mark
from filesync.phrases import said

#: Good, wrong, could not be looked at.
_SIGNS = {True: (mark("ok"), ""), False: (mark("WRONG"), "bold red"), None: ("-", "yellow")}
#: What checks are about. They are English in `--json`, and shown in the chosen language.
_ABOUT = (
    mark("name"), mark("manifest"), mark("signature"), mark("size"), mark("file"), mark("digest"), mark("ledger"), mark("batches"),
    mark("evidence"), mark("rows"), mark("totals"), mark("content"), mark("rules"), mark("rule"), mark("receipt"), mark("void"), mark("form"),
    mark("contract"), mark("key"), mark("bytes"), mark("stale"), mark("complete"), mark("override"),
)  # fmt: skip


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
    width = max(len(_(sign)) for sign, _style in _SIGNS.values()) + 1
    for check in checks:
        if check.file != file:
            file = check.file
            screen.heading(file)
        sign, style = _SIGNS[check.passed]
        screen.say(f"  {_(sign):{width}}{_(check.what)}: {said(check.detail)}", style)
    if any(check.passed is False for check in checks):
        screen.say(do, "bold red")
    else:
        screen.say(_("Nothing is wrong with what could be checked."), "bold green")
