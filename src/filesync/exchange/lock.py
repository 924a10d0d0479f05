"""One at a time in a site's folder: a lock, and beside it who holds it.

The system gives a lock back when its holder ends, however it ends; the pid beside it is only read while the lock is held by somebody, so
that what a crash left there misleads nobody. It stands in a file of its own: a locked file cannot be read on Windows.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from filesync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: In a site's folder: whoever holds it works there now; whoever holds the other runs the site by itself (`filesync run`).
LOCK_NAME = "filesync.lock"
DAEMON_LOCK = Path("run") / "daemon.lock"
#: How long a command waits for another one in the same folder before it gives up.
LOCK_PATIENCE_S = 10.0
#: How often a held lock is asked for: a daemon that was woken by a command waits for that command, and no longer.
POLL_S = 0.01

BUSY = "busy: {who} works in {folder} (it holds {name}); try again when it is done"


class SiteLock:
    """The lock file `path`. May be taken again by whoever holds it; `patience_s` is how long others are waited for.

    `busy`: how to say who holds it, with `{who}`, the code before a colon.
    """

    def __init__(self, path: Path, patience_s: float, busy: str = BUSY) -> None:
        self._busy_code, _, self._busy_text = busy.partition(": ")
        self._path = path
        self._patience_s = patience_s
        self._lock = FileLock(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises ConfigError naming the holder."""
        self._path.parent.mkdir(exist_ok=True)
        try:
            self._lock.acquire(timeout=self._patience_s, poll_interval=POLL_S)
        except Timeout:
            raise ConfigError(self._busy_code, self._busy()) from None
        try:
            if self._lock.lock_counter == 1 and self.holder() != os.getpid():
                # Not at every turn: some filesystems write a file that is replaced in place to the disk at once.
                self._note.write_text(f"{os.getpid()}\n", encoding="ascii")
            yield
        finally:
            self._lock.release()

    def holder(self) -> int | None:
        """The pid of whoever holds the lock, or held it last; None where nobody knows."""
        with suppress(OSError, ValueError):
            return int(self._note.read_text(encoding="ascii"))
        return None

    @property
    def _note(self) -> Path:
        return self._path.with_name(f"{self._path.name}.pid")

    def _busy(self) -> str:
        pid = self.holder()
        who = "another filesync" if pid is None else f"another filesync (pid {pid})"
        return self._busy_text.format(who=who, folder=self._path.parent, name=self._path.name)
