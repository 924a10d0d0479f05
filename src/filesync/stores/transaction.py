"""What is done inside one transaction while batches are applied: their numbers, rows, ledger rows and receipts.

It is opened and committed by `Store.transaction`; everything here stands or falls with it. One thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.stores import merge, received, tables
from filesync.stores.own_tables import Staging

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.stores.database import Database
    from filesync.stores.own_statements import OwnStatements
    from filesync.stores.values import IncomingRecord, MergeReport, RefusedRecord, RowOrder


class Tx:
    """An open transaction, for applying. Batch ids grow in apply order; rows carry theirs as `fs_batch`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._last_batch_id = 0  # that was given to this transaction
        self._unrecorded: set[int] = set()
        self._savepoints = 0
        self._staging: Staging | None = None

    def next_batch_id(self) -> int:
        """The number of one more batch, to be recorded in this transaction."""
        return self.next_batch_ids(1)[0]

    def next_batch_ids(self, count: int) -> list[int]:
        """The numbers of as many more batches, in their order."""
        given = self._db.numbers(count, self._last_batch_id)
        self._last_batch_id = given[-1]
        self._unrecorded.update(given)
        return given

    def savepoint(self) -> str:
        """A point to go back to."""
        self._savepoints += 1
        name = f"fs_point_{self._savepoints}"
        self._db.run(f"SAVEPOINT {name}")
        return name

    def rollback_to(self, point: str) -> None:
        """Undo everything since `point`, which stays; tables made since then are gone too, batch ids stay given out."""
        self._db.run(f"ROLLBACK TO {point}")

    def ensure_tables(self, contract: Contract) -> None:
        """Make the contract's tables, or add columns that they lack."""
        tables.ensure_tables(self._db, contract)

    def append(
        self,
        contract: Contract,
        relations: Mapping[str, pa.Table],
        batch_ids: int | Mapping[str, pa.Array | pa.ChunkedArray],
    ) -> None:
        """Append flattened documents; `batch_ids` for all rows, or for each relation one for every row.

        Raises `KeyExistsError` at a key that is held already or repeated: go back to a savepoint, or leave the transaction.
        """
        tables.append(self._db, contract, relations, batch_ids)
        if self._staging is not None:
            self._staging.add(relations, batch_ids)

    def stage_own(self, contract: Contract, names: Mapping[int, str]) -> None:
        """From here on keep what of these batches (by number) is applied, for statements of the user's. Again after `rollback_to`."""
        self._staging = Staging(self._db, contract, names)

    def note_day(self, contract: Contract, batch_id: int, origem: str, day: date) -> None:
        """The rows of a day are about to be replaced: what of them does not come again is told to the statements as inactive."""
        if self._staging is not None and contract.business_date_column is not None:
            same = (
                f"{tables.quoted(contract.key[0])} = ? AND {tables.quoted(contract.business_date_column)} = ?"
            )
            self._staging.note(batch_id, same, (origem, day))

    def run_own(self, statements: OwnStatements) -> None:
        """Run the user's statements over what was kept. Raises `StatementFailedError`: then the transaction must be left."""
        if self._staging is None:
            raise RuntimeError("run_own without stage_own")
        self._staging.run(statements)
        self._staging = None

    def merge(
        self, contract: Contract, stage: Iterable[Mapping[str, pa.Table]], batch_id: int, order: RowOrder
    ) -> MergeReport:
        """Apply flattened documents some of whose keys are held. See merge.py for the rules.

        Other batches of this transaction must be recorded before: whose rows they are decides which content is later.
        """
        if self._unrecorded - {batch_id}:
            raise RuntimeError(
                f"merge of batch {batch_id}: record batches {sorted(self._unrecorded - {batch_id})[:5]} before it"
            )
        if self._staging is None:
            return merge.merge(self._db, contract, stage, batch_id, order)
        report = merge.merge(self._db, contract, self._staging.through(stage, batch_id), batch_id, order)
        self._staging.without_lost(batch_id)
        return report

    def deactivate_absent(
        self, contract: Contract, batch_id: int, origem: str, day: date | None = None
    ) -> int:
        """After a snapshot of `day` was appended or merged: mark documents of `origem` inactive that it did not hold. See merge.py."""
        if self._staging is None or contract.active_column is None:
            return merge.deactivate_absent(self._db, contract, batch_id, origem, day)
        same = f"{tables.quoted(contract.key[0])} = ? AND {tables.BATCH} <> ?"
        self._staging.note(batch_id, same, (origem, batch_id))
        return merge.deactivate_absent(self._db, contract, batch_id, origem, day)

    def record_incoming(self, records: Sequence[IncomingRecord]) -> None:
        """Decide these numbers, with their receipts, and move their feeds' heads."""
        received.record_incoming(self._db, records)
        self._unrecorded.difference_update(record.batch_id for record in records)

    def record_refused(self, records: Sequence[RefusedRecord]) -> None:
        """Remember claims that were refused without using a number; of one claim the first refusal stands."""
        received.record_refused(self._db, records)
