"""Workers, behind `concurrent.futures.Executor`: threads, processes, or a Dask cluster. The only place that knows the last.

- Processes are spawned, never forked: Arrow's and the databases' threads do not survive a fork. One ends by itself when its parent is gone.
- A cluster is somebody else's: it is asked for, never started here. Whoever may reach a scheduler may run programs on it, so it is reached over
  TLS, or over a network that nobody else is on (docs/scale.md).
- They live as long as one import: nothing of them stays behind in a daemon that has nothing to do.

What is not here: what they do (workers.py), and when they are worth it (shards.py).
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Final

from filesync.config import ExecutorKind
from filesync.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from filesync.config import ExecutorChoice

#: How long a scheduler is waited for.
CONNECT_S: Final = 10.0
#: These say lost connections with tracebacks. What matters of them is said by whoever asked for the cluster.
_NOISY: Final = (
    "distributed",
    "distributed.client",
    "distributed.core",
    "distributed.comm",
    "tornado.application",
)


@dataclass(frozen=True, slots=True)
class Workers:
    """Who is there: how many at a time, whether they share this process, and whether anybody is left."""

    executor: Executor
    count: int
    here: bool
    alive: Callable[[], bool]


@contextmanager
def opened(choice: ExecutorChoice) -> Iterator[Workers]:
    """The workers of a choice that is not `none`; when the block ends they are gone, and what they had not begun is not begun.

    Raises `TransportError` executor-unreachable, `ConfigError` executor-missing.
    """
    match choice.kind:
        case ExecutorKind.THREADS:
            threads = ThreadPoolExecutor(choice.workers, thread_name_prefix="filesync-import")
            with _ended(threads):
                yield Workers(threads, choice.workers, here=True, alive=_always)
        case ExecutorKind.PROCESSES:
            processes = ProcessPoolExecutor(
                choice.workers, mp_context=multiprocessing.get_context("spawn"), initializer=begin_worker
            )
            with _ended(processes):
                yield Workers(processes, choice.workers, here=False, alive=_always)
        case ExecutorKind.DASK:
            with _cluster(choice) as workers:
                yield workers
        case ExecutorKind.NONE:
            raise ValueError("nobody is asked for")


@contextmanager
def _ended(executor: Executor) -> Iterator[None]:
    try:
        yield
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _always() -> bool:
    return True


def begin_worker() -> None:
    """In a new worker process. Ctrl-C is its parent's to act on; and it does not outlive its parent, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(
            target=_end_with, args=(parent.sentinel,), name="filesync-parent", daemon=True
        ).start()


def _end_with(sentinel: int) -> None:
    # What was not committed was not done; waiting for the task to end could take minutes, and a pool's process would wait for ever.
    wait([sentinel])
    os._exit(1)


@contextmanager
def _cluster(choice: ExecutorChoice) -> Iterator[Workers]:
    try:
        import distributed
    except ImportError as err:
        raise ConfigError(
            "executor-missing", f"{choice}: expected the library `distributed`, it is not installed: {err}"
        ) from None
    library: Any = distributed  # half of its functions have no types
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    security = None
    if choice.tls is not None:
        security = library.Security(
            tls_ca_file=str(choice.tls.ca), tls_client_cert=str(choice.tls.cert), tls_client_key=str(choice.tls.key),
            require_encryption=True,
        )  # fmt: skip
    try:
        client: Any = library.Client(
            choice.address, security=security, timeout=CONNECT_S, set_as_default=False, name="filesync"
        )
    # TimeoutError and ssl.SSLError are OSErrors.
    except (OSError, ValueError, TypeError, RuntimeError) as err:
        raise TransportError("executor-unreachable", f"{choice}: {err}") from err
    try:
        with suppress(OSError):  # TimeoutError: one that died is started again, where somebody sees to that
            client.wait_for_workers(1, timeout=CONNECT_S)
        count = _threads(client)
        if not count:
            raise TransportError(
                "executor-unreachable",
                f"{choice}: expected a cluster with workers, got a scheduler with none",
            )
        yield Workers(
            client.get_executor(pure=False), count, here=False, alive=lambda: bool(_threads(client))
        )
    finally:
        client.close(timeout=CONNECT_S)


def _threads(client: Any) -> int:
    """How many tasks the cluster can do at a time; none where it does not answer."""
    try:
        counts: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=CONNECT_S)
    except Exception:  # whatever a lost connection raises here: nobody answers
        return 0
    return sum(counts.values())
