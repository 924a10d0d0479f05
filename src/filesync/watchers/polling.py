"""Wake-ups for places of which the system tells nothing: shares, SFTP, and anything else that can be listed.

Listings are compared by name and size, one place after the other, in one thread. A place that cannot be listed (the road is down) is
left as unknown, and looked at when it can be listed again; waiting longer for it is the caller's matter (`scheduling.Backoff`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Self

from filesync.errors import TransportError

if TYPE_CHECKING:
    from types import TracebackType

    from filesync.watchers import Look

#: (name, size in bytes) of what lies in a place now.
Listing = Callable[[], Iterable[tuple[str, int]]]


class PollingWatcher:
    """Lists `places` every `period_s` seconds.."""

    def __init__(self, places: Mapping[str, Listing], look: Look, *, period_s: float) -> None:
        self._places = dict(places)
        self._look = look
        self._period_s = period_s
        self._seen: dict[str, frozenset[tuple[str, int]]] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """What lies there already is no news: the first turn of a station looks everywhere."""
        for place in self._places:
            self._seen[place] = self._list(place) or frozenset()
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name="filesync-polling", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Nothing to do: every poll begins afresh."""

    def stop(self) -> None:
        """End the thread; a listing that hangs is left behind (it is a daemon thread)."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=self._period_s + 5)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def poll(self) -> None:
        """List every place once, and say where something new lies."""
        for place in self._places:
            found = self._list(place)
            if self._ending.is_set():
                return
            if found is None:
                self._seen[place] = frozenset()  # when the road is back, all that lies there is news
                continue
            news = found - self._seen.get(place, frozenset())
            self._seen[place] = found
            if news:
                self._look(place)

    def _run(self) -> None:
        while not self._ending.wait(self._period_s):
            self.poll()

    def _list(self, place: str) -> frozenset[tuple[str, int]] | None:
        try:
            return frozenset(self._places[place]())
        except (TransportError, OSError):  # the next turn says so, with its reason
            return None
