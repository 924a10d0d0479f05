"""What a check found, as a value. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.errors import FilesyncError


class Outcome(Enum):
    """How a check ended, best first. `SKIPPED`: it could not be asked, or there is nothing to ask."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `about` is the peer that it concerns, "" for the site itself.

    `do` is the next step; empty where there is none, or where `code` is an error's and its advice stands with the errors (the CLI fills
    it in). `measured` holds numbers for programs: seconds, bytes, bytes a second, counts.
    """

    check: str
    outcome: Outcome
    seen: str
    do: str = ""
    about: str = ""
    code: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)


def ok(check: str, seen: str, about: str = "", **measured: float) -> Finding:
    """As it should be."""
    return Finding(check, Outcome.OK, seen, about=about, measured=measured)


def skipped(check: str, why: str, about: str = "") -> Finding:
    """Not asked."""
    return Finding(check, Outcome.SKIPPED, why, about=about)


def warning(check: str, seen: str, do: str, about: str = "", **measured: float) -> Finding:
    """Works, but will hurt."""
    return Finding(check, Outcome.WARNING, seen, do, about, measured=measured)


def failed(check: str, seen: str, do: str, about: str = "", **measured: float) -> Finding:
    """Does not work."""
    return Finding(check, Outcome.FAILED, seen, do, about, measured=measured)


def of_error(check: str, error: FilesyncError, about: str = "") -> Finding:
    """A failure with a code: whoever shows it knows the advice."""
    return Finding(check, Outcome.FAILED, error.message, about=about, code=error.code)
