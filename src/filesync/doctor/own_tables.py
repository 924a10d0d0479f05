"""Whether the statements for the user's own tables can run. Tried over no rows, in a transaction that is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.doctor.findings import of_error, ok
from filesync.errors import FilesyncError
from filesync.exchange import own_tables
from filesync.exchange.context import Context
from filesync.exchange.folders import Folders
from filesync.exchange.own_store import open_store, site_contracts
from filesync.language import _, mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filesync.config import Settings
    from filesync.doctor.findings import Finding

CHECK = mark("own tables")


def examine_own_tables(root: Path, settings: Settings) -> Iterator[Finding]:
    """One finding for each section [apply.…]."""
    with open_store(settings) as store:
        ctx = Context(settings, Folders(root), store, site_contracts(root))
        for dataset, statements in settings.apply.items():
            try:
                own_tables.check(ctx, dataset)
            except FilesyncError as error:
                yield of_error(CHECK, error)
            else:
                yield ok(
                    CHECK, _("{dataset}: {file} can run").format(dataset=dataset, file=statements.source)
                )
