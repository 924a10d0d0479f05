"""`filesync run`: the daemon with its signals. How it is started at boot: docs/operations.md, `filesync service`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli.ending import Ending
from filesync.cli.journal import LogForm
from filesync.cli.options import HERE, Root

if TYPE_CHECKING:
    from filesync.cli.daemon import Daemon


def run(
    root: Root = HERE,
    log: Annotated[LogForm, typer.Option("--log", envvar="FILESYNC_LOG", help="How the lines of the log look: for people, or JSON for programs.", show_default="console on a terminal, otherwise json")] = LogForm.AUTO,
) -> Ending:  # fmt: skip
    """Work by itself until it is stopped: whenever something arrives or is dropped, on schedule, and again when the road is back."""
    from filesync import config  # both bring pyarrow, which takes its time
    from filesync.cli.daemon import Daemon
    from filesync.cli.journal import open_log
    from filesync.exchange.context import system_clock

    root = root.absolute()
    site = config.load(root).site
    daemon = Daemon(root, open_log(log, site, system_clock))
    with _stopping(daemon):
        daemon.run()
    return Ending.DONE


@contextmanager
def _stopping(daemon: Daemon) -> Iterator[None]:
    """SIGTERM, Ctrl-C and the stop of a Windows service (Ctrl-Break) end it cleanly; a second Ctrl-C ends it at once, which is safe too."""

    def stop(number: int, _: FrameType | None) -> None:
        daemon.stop()
        signal.signal(number, before[number])

    numbers = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGBREAK"):
        numbers.append(signal.SIGBREAK)
    before = {int(number): signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
