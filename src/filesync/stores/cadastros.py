"""What a site holds of the cadastros on a day: how much of each is active, which rows are current, and what arrived last.

A row of a contract with `valid_from` is current from its day until the next row of the document begins; a document whose current row is
not active is inactive. Rows of other contracts are current always. Generated from the contract's own names; reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.protocol.identity import Feed
from filesync.stores.database import QUERIES
from filesync.stores.tables import current_on, quoted, read_documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.stores.database import Database


@dataclass(frozen=True, slots=True)
class Counts:
    """Documents of a cadastro on a day. `upcoming`: active rows that begin after it."""

    active: int = 0
    inactive: int = 0
    upcoming: int = 0


@dataclass(frozen=True, slots=True)
class NewestApplied:
    """The newest batch of a feed and epoch that was applied here, whole or in part."""

    feed: Feed
    name: str
    batch_id: int
    mode: str
    business_date: str
    applied_at: str


class Cadastros:
    """A part of the store (`Store.cadastros`)."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def newest(self) -> list[NewestApplied]:
        """The newest applied batch of every feed that comes here, what was applied last at the end."""
        return [
            NewestApplied(Feed(origin, dataset, audience), name, batch_id, mode, day, at)
            for origin, dataset, audience, name, batch_id, mode, day, at in self._db.select(
                QUERIES["newest_applied"]
            )
        ]

    def counts(self, contract: Contract, day: date) -> Counts:
        """How many documents are active on `day`, and how many are not."""
        relation = contract.relations[0]
        if contract.active_column is None or not self._db.select(QUERIES["table_columns"], (relation.table,)):
            return Counts()
        table, active = quoted(relation.table), quoted(contract.active_column)
        conditions = current_on(contract, day)
        where = " AND ".join(condition for condition, _ in conditions) or "true"
        parameters = [value for _, values in conditions for value in values]
        row = self._db.select(
            f"SELECT count(*) FILTER (WHERE {active}), count(*) FROM {table} WHERE {where}", parameters
        )[0]
        upcoming = 0
        if contract.valid_from_column is not None:
            upcoming = self._db.select(
                f"SELECT count(*) FROM {table} WHERE {quoted(contract.valid_from_column)} > ? AND {active}",
                (day,),
            )[0][0]
        return Counts(row[0], row[1] - row[0], upcoming)

    def documents(self, contract: Contract, day: date) -> Iterator[pa.Table]:
        """The active documents that are current on `day`, in key order, in bounded tables."""
        return read_documents(self._db, contract, current=day)
