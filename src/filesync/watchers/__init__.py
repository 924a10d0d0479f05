"""Wake-ups. A watcher says "look there, now", and nothing else: what is there is found out by looking.

Two doors keep the same promise (tests/doors/test_watchers.py): folder.py is told by the system, polling.py compares listings, for places
of which the system tells nothing (shares, SFTP). Neither is ever relied on: events overflow, and a full rescan is the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

#: Called from a watcher's own thread with the name of the place; must return at once, and may be called for nothing.
Look = Callable[[str], None]


class Watcher(Protocol):
    """Calls `look(place)` soon after a file that matters has appeared whole in a place, or was moved there.

    It may call late, more often than needed, or not at all; it never fails because a place is not there (yet, or any more).
    """

    def start(self) -> None:
        """Begin. Returns when whatever appears from now on will be noticed."""

    def refresh(self) -> None:
        """Try again what could not be watched: places that did not exist, watches that died. Called at every rescan."""

    def stop(self) -> None:
        """End; `look` is not called after this returned. May be repeated."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
