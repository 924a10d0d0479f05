"""How fast and how long: the bandwidth limit of a link, and the deadlines after which a silent server is left.

- `Rate` is a token bucket: it lets at most so many bytes a second pass, with bursts of a quarter of a second. Clock and sleep are given.
- `Watchdog` cuts the connection from a thread of its own. Timeouts of sockets and libraries do not cover every hang (a server that
  trickles one byte a minute keeps all of them happy); a closed socket ends every call that waits on it. Two bounds at once:
  *stall*: so many seconds without any answer; *deadline*: so many seconds for the whole operation, longer for more bytes.

These clocks decide when to give up and try again, never what is right (design.md §7, 7).
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BURST_S = 0.25


class Rate:
    """At most `bytes_s` bytes a second."""

    def __init__(
        self,
        bytes_s: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.bytes_s = bytes_s
        self._clock = clock
        self._sleep = sleep
        self._tokens = self.burst = max(1.0, bytes_s * BURST_S)
        self._then = clock()

    def take(self, count: int) -> float:
        """Returns when `count` bytes may pass; how long that took. More than a burst is let through late, and owed."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._then) * self.bytes_s) - count
        self._then = now
        if self._tokens >= 0:
            return 0.0
        pause = -self._tokens / self.bytes_s
        self._sleep(pause)
        return pause


class Watchdog:
    """Calls `cut` once, from its own thread, when an operation outlives its bounds. `expired` then says which."""

    def __init__(self, cut: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.expired: str | None = None
        self._cut = cut
        self._clock = clock
        self._changed = threading.Condition()
        self._armed = False
        self._closed = False
        self._stall_s = 0.0
        self._seen = 0.0  # when the server last gave a sign of life
        self._end = 0.0
        self._began = 0.0
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, deadline_s: float, stall_s: float) -> Iterator[None]:
        """The block must end in `deadline_s`, and never be without `touch` for `stall_s`."""
        with self._changed:
            self._began = self._seen = self._clock()
            self._end = self._began + deadline_s
            self._stall_s = stall_s
            self._armed = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="filesync-deadline", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._armed = False

    def touch(self) -> None:
        """The server answered. Without a lock: called for every packet."""
        self._seen = self._clock()

    def extend(self, seconds: float) -> None:
        """More was found to do than was known when the operation began."""
        with self._changed:
            self._end += seconds

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                if not self._armed:
                    self._changed.wait()
                    continue
                now = self._clock()
                left = min(self._end, self._seen + self._stall_s) - now
                if left > 0:
                    self._changed.wait(left)
                    continue
                self.expired = (
                    f"no answer for {self._stall_s:g} s"
                    if now - self._seen >= self._stall_s
                    else f"not done after {now - self._began:.3g} s"
                )
            self._cut()
            return
