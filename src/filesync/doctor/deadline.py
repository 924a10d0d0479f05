"""A hard deadline around anything: a share that went away and a server that trickles hang calls that have no timeout of their own.

The call runs in a daemon thread and is left behind when its time is over; the process can still end. So nothing bounded here may hold
what others need: no lock of the site, no transaction.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from filesync.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def bounded(call: Callable[[], T], seconds: float, what: str) -> T:
    """What `call` returns or raises; TransportError("timeout") naming `what` where it takes longer."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="filesync-doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TransportError("timeout", f"{what}: no answer within {seconds:g} s")
    return results[0]
