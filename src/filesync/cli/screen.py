"""The terminal: lines, tables, JSON, and progress.

- What a command reports goes to stdout, complaints and progress to stderr. With `--json` stdout holds one JSON value and nothing else.
- Any stdout will do: a Windows console, a pipe, a file in Latin-1. What it cannot show becomes `?`, it never ends the command.
- Names come from strangers' files: control characters in them never reach a terminal.
- No colour and no progress where nobody looks (not a terminal, or `--json`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from datetime import date
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.text import Text

from filesync.cli import wording
from filesync.cli.language import _, mark
from filesync.phrases import said

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from filesync.exchange.reports import Progress

#: What progress counts.
_COUNTED = (mark("batches"), mark("files"), mark("rows"), mark("documents"), mark("checks"))
#: Commands that take less are over before a progress line could be read.
PATIENCE_S = 0.7
#: Before that a rate is a guess.
RATE_S_MIN = 0.5
#: Where there is no terminal there is no width either: tables are as wide as they need.
_PIPE_COLUMNS = 1000


def prepare_streams() -> None:
    """Let stdout and stderr take any character."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def console(*, error: bool = False) -> Console:
    """A console on stdout (or stderr) that takes nothing in a text for markup."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


def clean(text: str) -> str:
    """The same text without anything that moves a cursor or is no character."""
    return "".join(
        char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def say(text: str = "", style: str = "") -> None:
    """One line (or several) on stdout."""
    console().print(Text(clean(text), style=style))


def heading(text: str) -> None:
    """A line that begins a part of a report."""
    say(text, "bold")


def complain(text: str, advice: str = "") -> None:
    """What went wrong and what to do next, on stderr."""
    err = console(error=True)
    err.print(Text(clean(text), style="bold red"))
    if advice:
        err.print(Text(clean(advice)))


def say_json(value: object) -> None:
    """One JSON value on stdout. Characters that stdout cannot hold are escaped, not replaced: a program reads this."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    text = json.dumps(jsonable(value), indent=2, ensure_ascii=encoding != "utf8")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        text = json.dumps(jsonable(value), indent=2)  # a file name that is no text
    sys.stdout.write(text + "\n")


def jsonable(value: object) -> Any:
    """Plain data of a report: states by their value, dates in ISO form, sets sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(jsonable(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(jsonable(item) for item in value)
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def write_bytes(data: bytes) -> None:
    """Exactly these bytes to stdout."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def forget_output() -> None:
    """Nobody reads our output any more: keep the interpreter from complaining about it when it ends."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
    except (OSError, ValueError):  # not a real file (a test's)
        return


def how_far(tick: Progress, seconds: float, bytes_before: int = 0) -> str:
    """`3/9, 12 MB of 40 MB, 8,1 MB/s, 4 s left`: what is not known is left out. `bytes_before` were done `seconds` ago."""
    parts = [f"{tick.done}/{tick.total}" if tick.total is not None else f"{tick.done}"]
    if tick.bytes_total:
        done = tick.bytes_done or 0
        parts.append(
            _("{done} of {bytes_total}").format(
                done=wording.size(done), bytes_total=wording.size(tick.bytes_total)
            )
        )
        rate = (done - bytes_before) / seconds if seconds >= RATE_S_MIN else 0.0
        if rate >= 1:
            parts += [
                f"{wording.size(round(rate))}/s",
                _("{bytes_total} left").format(bytes_total=wording.lasting((tick.bytes_total - done) / rate)),
            ]
    return ", ".join(parts)


class Watch:
    """Progress on stderr while a command works: shown after a moment, gone when it is over. Call it with each tick.

    >>> with Watch(quiet=False) as watch:
    ...     station.observed(watch).turn()
    """

    def __init__(self, *, quiet: bool, text: str = mark("working"), patience_s: float = PATIENCE_S) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._text = _(text)
        self._patience_s = patience_s
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._ticks: dict[str, Progress] = {}
        self._timer: threading.Timer | None = None
        self._drawn_at = 0.0
        self._began: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Self:
        if self._shown:
            self._timer = threading.Timer(self._patience_s, self._start)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        with self._lock:
            self._shown = False
            if self._bars is not None:
                self._bars.stop()

    def __call__(self, tick: Progress, where: str = "") -> None:
        step = said(tick.step)
        name = f"{where}: {step}" if where else step
        self._ticks[name] = tick
        now = time.monotonic()
        if self._bars is None or (now - self._drawn_at < 0.05 and tick.done != tick.total):
            return
        self._drawn_at = now
        with self._lock:
            self._draw(name, tick)

    def aside(self, talk: Callable[[], None]) -> None:
        """Print something while the work goes on, without the progress line in between."""
        with self._lock:
            if self._bars is None:
                talk()
                return
            self._bars.stop()
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks.clear()
            self._ticks.clear()
            talk()
            self._bars.start()

    def _start(self) -> None:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        with self._lock:
            if not self._shown:
                return
            self._bars = Bars(
                SpinnerColumn("line"), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[how_far]}"), TimeElapsedColumn(),
                console=Console(file=sys.stderr, emoji=False, highlight=False), transient=True,
            )  # fmt: skip
            self._bars.start()
            if not self._ticks:
                self._tasks[""] = self._bars.add_task(self._text, total=None, how_far="")
            for name, tick in list(self._ticks.items()):
                self._draw(name, tick)

    def _draw(self, name: str, tick: Progress) -> None:
        if self._bars is None or not self._shown:
            return
        if (waiting := self._tasks.pop("", None)) is not None:
            self._bars.remove_task(waiting)
        if name not in self._tasks:
            self._began[name] = (time.monotonic(), tick.bytes_done or 0)
            self._tasks[name] = self._bars.add_task(f"{name} ({_(tick.unit)})", total=tick.total, how_far="")
        # The bar follows the bytes where there are some: one large file is not one step.
        done, total = (tick.bytes_done, tick.bytes_total) if tick.bytes_total else (tick.done, tick.total)
        began, before = self._began[name]
        text = how_far(tick, time.monotonic() - began, before)
        self._bars.update(self._tasks[name], completed=done or 0, total=total, how_far=text)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = (), heads: bool = True
) -> None:
    """A plain table without lines; the columns named in `right` hold numbers."""
    from rich.table import Table

    grid = Table(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        header_style="bold",
        show_edge=False,
        show_header=heads,
    )
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(clean(cell)) for cell in row))
    out = console()
    if out.is_terminal:
        out.print(grid, soft_wrap=False)
        return
    with out.capture() as drawn:
        out.print(grid, soft_wrap=False)
    for line in drawn.get().splitlines():
        say(line.rstrip())
