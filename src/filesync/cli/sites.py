"""Opening a site for a command, with progress on stderr while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.cli.screen import Watch

if TYPE_CHECKING:
    from filesync.exchange.station import Station


@contextmanager
def at(root: Path, *, quiet: bool) -> Iterator[Station]:
    """The station in `root`. What a command prints, it prints after this block: the progress line is gone then."""
    with Watch(quiet=quiet) as watch:
        from filesync.exchange.station import Station  # brings pyarrow, which takes its time

        with Station.open(root.absolute(), observe=watch) as station:
            yield station
