"""A question that only a person can answer."""

from __future__ import annotations

import sys

import typer

from filesync.cli.language import _


def somebody() -> bool:
    """Whether a person could answer."""
    return sys.stdin.isatty()


def yes(question: str) -> bool:
    """Ask for a yes, in either language; anything else is a no."""
    answer = typer.prompt(question + " " + _("[y/N]"), default="", show_default=False)
    return str(answer).strip().lower() in {"y", "yes", "s", "sim"}
