"""How a command can end. The numbers are promised to scripts and schedulers."""

from __future__ import annotations

from enum import IntEnum


class Ending(IntEnum):
    """Exit codes."""

    DONE = 0
    ATTENTION = 1  # done, but a person should look: rejected, set aside, refused, a source that failed
    USAGE = 2  # wrong usage or configuration
    UNREACHABLE = 3  # a peer could not be reached; nothing is lost
    BUG = 70
    INTERRUPTED = 130  # Ctrl-C, or nobody reads our output any more


def worst(*, attention: bool, unreachable: bool) -> Ending:
    """Attention needs a person and unreachable only time, so the first is said where both are true."""
    if attention:
        return Ending.ATTENTION
    return Ending.UNREACHABLE if unreachable else Ending.DONE
