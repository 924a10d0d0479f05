"""Work ahead: the next chunk is read and checked while the last one is written. Both sides release the interpreter lock."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

DEPTH = 2


class _End(Generic[T]):
    """The producer's last word: finished, or the error that ended it."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[T], *, depth: int = DEPTH, single: bool = True) -> Iterator[T]:
    """Yield `items`, produced by another thread at most `depth` ahead. An error of the producer is raised here, in its place.

    With `single` there is probably only one, which needs no thread: starting one costs more than a small batch.
    When the consumer stops early, the producer is stopped and waited for: it never outlives this iterator.
    """
    iterator = iter(items)
    buffer = [item for _, item in zip(range(2 if single else 0), iterator, strict=False)]
    if single and len(buffer) < 2:
        yield from buffer
        return
    handed: queue.Queue[T | _End[T]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in iterator:
                if not _hand(handed, item, stopped):
                    break
        except BaseException as err:
            error = err
        finally:
            if stopped.is_set() and hasattr(iterator, "close"):
                iterator.close()
        _hand(handed, _End(error), stopped)

    thread = threading.Thread(target=produce, name="filesync-ahead", daemon=True)
    thread.start()
    try:
        yield from buffer
        buffer.clear()
        while True:
            item = handed.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def _hand(handed: queue.Queue[T | _End[T]], item: T | _End[T], stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            handed.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
