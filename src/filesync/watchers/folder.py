"""Wake-ups from the system (inotify, ReadDirectoryChangesW, FSEvents, kqueue), through watchdog.

- Woken by created, moved and closed: a program may write in place, or rename into place. Reading and removing wake nobody.
- Only names that matter wake (patterns of watchdog 7: `**/*.csv`, a leading `**/` is needed); `.partial/` never does.
- A folder that does not exist, or that the system cannot watch (no more watches, a share), is left to the rescan, and named in `blind`.

Events are lost without a word when a queue overflows, and SMB and NFS send none: nothing here is relied on.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    PatternMatchingEventHandler,
)
from watchdog.observers import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from types import TracebackType

    from filesync.watchers import Look

try:
    from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper
except ImportError:  # not Linux
    pass
else:
    # It holds back everything behind a file that left for an unwatched folder (outbox → archive) for half a second, to see
    # whether that was a move. Nothing here asks where a file came from.
    InotifyMoveEventGrouper.delay = 0.0

IGNORED = ("**/.partial/**",)
_WAKING: Sequence[type[FileSystemEvent]] = (FileCreatedEvent, FileMovedEvent, FileClosedEvent)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with everything below it, and which names in it matter."""

    name: str
    folder: Path
    patterns: tuple[str, ...] = ("**",)
    ignored: tuple[str, ...] = IGNORED


class FolderWatcher:
    """Watches `places` until stopped."""

    def __init__(self, places: Collection[Place], look: Look) -> None:
        self._places = tuple(places)
        self._look = look
        self._lock = threading.Lock()
        self._observer: Any = None
        self._watched: dict[str, tuple[Any, _Held]] = {}
        self.blind: dict[str, str] = {}  # place → why it is not watched

    def start(self) -> None:
        """Begin."""
        with self._lock:
            self._observer = Observer()
            self._observer.start()
            self._watch_all()

    def refresh(self) -> None:
        """Watch what appeared, what was replaced by another folder, and everything anew when watchdog died (its issues 654, 1065)."""
        with self._lock:
            if self._observer is None:
                return
            if self._dead():
                self._end()
                self._observer = Observer()
                self._observer.start()
            self._watch_all()

    def stop(self) -> None:
        """End."""
        with self._lock:
            self._end()
            self._observer = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch_all(self) -> None:
        for place in self._places:
            watched = self._watched.get(place.name)
            held = None
            try:
                if watched is not None and watched[1].is_still(place.folder):
                    continue
                if watched is not None:
                    del self._watched[place.name]
                    watched[1].let_go()
                    with suppress(KeyError):  # watchdog may have noticed by itself that the folder went
                        self._observer.unschedule(watched[0])
                held = _Held(place.folder)
                watch = self._observer.schedule(
                    _Bell(place, self._look), str(place.folder), recursive=True, event_filter=list(_WAKING)
                )
            except (
                OSError,
                RuntimeError,
                KeyError,
            ) as err:  # no such folder, no more watches, a share that refuses
                self.blind[place.name] = f"{place.folder}: {err}"
                if held is not None:
                    held.let_go()
            else:
                self._watched[place.name] = (watch, held)
                self.blind.pop(place.name, None)

    def _dead(self) -> bool:
        emitters = self._observer.emitters
        return not self._observer.is_alive() or not all(emitter.is_alive() for emitter in emitters)

    def _end(self) -> None:
        for _, held in self._watched.values():
            held.let_go()
        self._watched = {}
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=10)


class _Held:
    """Which folder is watched. It is held open where that is possible, for a filesystem gives the number of a removed folder to the next."""

    def __init__(self, folder: Path) -> None:
        self._handle = None if os.name == "nt" else os.open(folder, os.O_RDONLY)
        found = folder.stat() if self._handle is None else os.fstat(self._handle)
        self._is = (found.st_dev, found.st_ino)

    def is_still(self, folder: Path) -> bool:
        """Whether the same folder lies there."""
        found = folder.stat()
        return self._is == (found.st_dev, found.st_ino)

    def let_go(self) -> None:
        """No longer watched."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class _Bell(PatternMatchingEventHandler):
    def __init__(self, place: Place, look: Look) -> None:
        super().__init__(
            patterns=list(place.patterns),
            ignore_patterns=list(place.ignored),
            ignore_directories=True,
            ignore_policy="all",  # a file that was moved out of .partial/ is news; "any" would pass over it
            case_sensitive=os.name != "nt",
        )
        self._ring: Callable[[], None] = lambda: look(place.name)

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._ring()
