"""A store that was put back from a backup begins a new epoch: what of it must be forgotten, and what stays.

The ledger stays, with all numbers of the epoch that ends: they were used. So does the memory of what was sealed, but for datasets with snapshots:
whoever joins later must find everything in the new epoch. Files are looked at again, for what they hold may have been sealed after the backup.

What is not here: whether there is a need (exchange/renewing.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from filesync.protocol.receipt import Receipt
from filesync.stores import memory
from filesync.stores.database import QUERIES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from filesync.stores.database import Database
    from filesync.stores.values import Site

#: The codes with which a recipient refuses a number that was used before, or what follows it.
FORKED = frozenset({"same-number-other-content", "broken-chain"})


def heads(db: Database, site: Site) -> dict[tuple[str, str], int]:
    """The last number of every own feed (dataset, audience) in this epoch."""
    rows = db.select(QUERIES["own_heads"], (site.id, site.epoch))
    return {(dataset, audience): seq for dataset, audience, seq in rows}


def forked(db: Database, site: Site) -> list[tuple[str, str]]:
    """Own batches of this epoch (and by whom) that were refused because their number had been used, or what it followed was not known."""
    return [
        (name, recipient)
        for name, recipient, receipt in db.select(QUERIES["refused_of_epoch"], (site.id, site.epoch))
        if any(problem.code in FORKED for problem in Receipt.from_signed(json.loads(receipt)).problems)
    ]


def begin(
    db: Database,
    epoch: str,
    note: str,
    snapshots: Collection[str],
    owed: Sequence[tuple[str, str]],
    before: Site,
) -> None:
    """From here on own numbers are those of `epoch`. `snapshots`: datasets that are sent whole; `owed`: batches whose rows come again."""
    db.run(QUERIES["set_epoch"], (epoch,))
    db.run(QUERIES["write_meta"], (f"epoch {before.epoch}", note))
    for dataset, audience in db.select(QUERIES["memories"]):
        if dataset in snapshots:
            memory.forget(db, dataset, audience)
    db.run(QUERIES["forget_captured"])
    db.run_each(QUERIES["owe_again"], [(name,) for name, _ in owed])
