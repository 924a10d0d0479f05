"""Give parts of a site's work to workers, and learn what became of each.

Ordering rules:
1. The sender holds the site's lock, and a run is fenced (fence.py): when `run` returns, nobody of it is at work any more.
2. A worker opens the site's store by itself, does its part by the same code as the site would, and answers with a value.
3. A worker that fails, dies, is out of reach, or is of another version answers with a reason instead: then the sender does that part itself, and
   says so. What the worker had committed is done, and is found done: the ledger decides, and nothing else remembers.

What is not here: what the parts are (shards.py), what is done (parallel.py, day.spanning), who the workers are (executors.py).
"""

from __future__ import annotations

import platform
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from filesync import config
from filesync.config import ExecutorKind
from filesync.errors import FilesyncError
from filesync.exchange import executors, fence
from filesync.exchange.context import SOFTWARE, Clock, Context
from filesync.exchange.folders import Folders
from filesync.exchange.own_store import open_store, site_contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from filesync.config import ExecutorChoice, Settings
    from filesync.contracts import Registry
    from filesync.exchange.executors import Workers
    from filesync.exchange.reports import Progress

R = TypeVar("R")

#: How often somebody looks whether any worker is left, and how often in a row nobody may be: one that died is started again.
LOOK_S: Final = 5.0
LOOKS_MAX: Final = 6
#: How long a worker waits for another one's transaction in an embedded store: only one can write at a time, and that is no failure.
WRITER_PATIENCE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Task:
    """One part of the work. `machine`: the only one on which the store may be opened. `shared`: of a worker in this process."""

    root: Path
    run: Path
    number: int
    items: tuple[str, ...]
    clock: Clock
    software: str
    machine: str | None
    shared: Context | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What became of a part: its value, or why there is none."""

    items: tuple[str, ...]
    value: R | None
    code: str = ""
    message: str = ""


def run(
    ctx: Context,
    choice: ExecutorChoice,
    work: Callable[[Context, tuple[str, ...]], R],
    plan: Callable[[int], Sequence[tuple[str, ...]]],
    each: Callable[[Outcome[R]], None],
) -> None:
    """Have every part that `plan` makes for so many workers done by `work`; `each` hears of them as they come.

    `work` is a function of a module, and its values can be pickled. Without any workers `each` hears of one part that holds everything.
    """
    folder = fence.begin(ctx.folders.root.absolute())
    asked = False
    try:
        with executors.opened(choice) as workers:
            asked = True
            try:
                futures = {
                    workers.executor.submit(do, work, task): task
                    for task in _tasks(ctx, folder, workers, plan)
                }
                for future in _ended(workers, set(futures)):
                    each(_outcome(futures.pop(future), future))
            except BaseException:
                (folder / fence.OPEN).unlink(
                    missing_ok=True
                )  # whoever is at work ends soon, and is waited for
                raise
    except FilesyncError as err:
        if asked:
            raise
        everything = tuple(item for part in plan(1) for item in part)
        each(Outcome(everything, None, err.code, err.message))
    finally:
        fence.end(folder)


def _tasks(
    ctx: Context, folder: Path, workers: Workers, plan: Callable[[int], Sequence[tuple[str, ...]]]
) -> Iterator[Task]:
    root = ctx.folders.root.absolute()
    for number, items in enumerate(plan(workers.count)):
        yield Task(root, folder, number, items, ctx.clock, SOFTWARE, machine(), ctx if workers.here else None)


def _ended(workers: Workers, pending: set[Future[Outcome[R]]]) -> Iterator[Future[Outcome[R]]]:
    """The futures as they end; all that are left where nobody is there any more to work on them."""
    idle = 0
    while pending:
        done, pending = wait_for(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        yield from done
        idle = 0 if done or workers.alive() else idle + 1
        if idle >= LOOKS_MAX:
            for future in pending:
                future.cancel()
            yield from pending
            return


def _outcome(task: Task, future: Future[Outcome[R]]) -> Outcome[R]:
    if not future.done():
        return Outcome(task.items, None, "worker-lost", "no worker is left")
    # Also what is no `Exception` in some versions: a cancelled future. A pool that broke, a worker that was killed: each says it in its own way.
    with suppress(Exception):
        return future.result()
    reason = "cancelled" if future.cancelled() else said(future.exception())
    return Outcome(task.items, None, "worker-lost", reason)


def do(work: Callable[[Context, tuple[str, ...]], R], task: Task) -> Outcome[R]:
    """In the worker. Never raises what its sender might not be able to read."""
    if task.software != SOFTWARE:
        return Outcome(task.items, None, "worker-unfit", f"expected {task.software}, got {SOFTWARE}")
    if task.machine is not None and task.machine != machine():
        return Outcome(
            task.items, None, "worker-unfit", "an embedded store is open to workers of its own machine only"
        )
    try:
        with fence.share(task.run, task.number) as share, _site(task, share) as ctx:
            return Outcome(task.items, work(ctx, task.items))
    except Exception as err:
        return Outcome(task.items, None, "worker-failed", said(err))


@contextmanager
def _site(task: Task, share: fence.Share) -> Iterator[Context]:
    """The site, with a store of the worker's own. Between groups of batches the worker looks whether it is still wanted."""

    def observe(_: Progress) -> None:
        share.still()

    settings, contracts = (
        _known(task.root, task.run) if task.shared is None else (task.shared.settings, task.shared.contracts)
    )
    with open_store(settings, patience_s=WRITER_PATIENCE_S) as store:
        yield Context(settings, Folders(task.root), store, contracts, task.clock, observe)


@lru_cache(maxsize=1)
def _known(root: Path, run: Path) -> tuple[Settings, Registry]:
    """With thousands of peers the settings take a while to read: once for all parts of a run that this process works on."""
    return config.load(root), site_contracts(root)


@lru_cache(maxsize=1)
def machine() -> str:
    """This machine, this start of it: what may share an embedded store's memory."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        start = ""
    return f"{platform.node()} {start}"


def fitting(ctx: Context) -> ExecutorChoice:
    """Who may work for this site: as configured, but contracts that were handed in by a caller do not leave this process."""
    choice = ctx.settings.executor
    own = ctx.contracts is ctx.contracts.packaged() or (ctx.folders.root / "schemas").is_dir()
    return choice if own or choice.kind is ExecutorKind.THREADS else config.ExecutorChoice()


def said(err: BaseException | None) -> str:
    """An error in a line."""
    if isinstance(err, FilesyncError):
        return f"{err.code}: {err.message}"
    return f"{type(err).__name__}: {err}" if str(err) else type(err).__name__
