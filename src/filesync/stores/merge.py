"""Stage and merge: a batch some of whose keys are held already. Set-based, in the caller's transaction.

Every document is staged in temporary tables first (on disk, so that a batch of any size needs little memory). Then, per key:

- A key that is not held is inserted.
- Of a key that is held, the greater version wins (a missing one counts as 0). Of equal versions the incoming wins if the held row came
  in the same feed and epoch, for then it is older. Otherwise equal content changes nothing, and other content is a conflict: the held
  row stays, and an operator must say which is right.
- A document wins or loses whole: a winner replaces the held document and all its lines.
- A key that stands in the batch twice makes the batch wrong: it is reported, and nothing is applied.

One conditional upsert does all of this for a batch that wins everywhere, which its count of changed rows shows; only losers are looked
at closer. An unchanged document that was held from another epoch of the same feed is credited to this batch from then on: the installation
that took over the feed has confirmed it, and its next change must not be a conflict.

A batch that is merged in a transaction must not find rows of another one that the ledger does not know yet: record those first.
What is not here: appending (tables.py), reading a payload, what a conflict means for the receipt (exchange/applying.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from filesync.stores.database import QUERIES
from filesync.stores.received import feed_id
from filesync.stores.tables import BATCH, in_runs, listed, quoted, stored
from filesync.stores.values import NAMED_KEYS_MAX, KeyRepeatedError, MergeReport, RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from filesync.contracts import Column, Contract, Relation
    from filesync.stores.database import Database

ROW: Final = "fs_row"  # a document's number in the batch
#: Documents of the latest merge that lost, with why; a snapshot must not take them for absent.
KEPT: Final = "temp.fs_kept"
_SUPERSEDED, _UNCHANGED, _CONFLICT = 0, 1, 2


def merge(
    db: Database, contract: Contract, stage: Iterable[Mapping[str, pa.Table]], batch_id: int, order: RowOrder
) -> MergeReport:
    """Apply flattened documents, in the order of `stage`, per the rules above. See `MergeReport` for what is counted."""
    staging = _Merge(db, contract, batch_id, order)
    staged = staging.fill(stage)
    db.run("SAVEPOINT fs_merge")
    try:
        report = staging.apply(staged)
    except KeyRepeatedError:  # where the database itself will not have a key twice in one statement
        db.run("ROLLBACK TO fs_merge")
        report = staging.duplicates()
    if report.duplicate_count:
        db.run("ROLLBACK TO fs_merge")
    db.run("RELEASE fs_merge")
    staging.drop()
    return report


def deactivate_absent(
    db: Database, contract: Contract, batch_id: int, origem: str, day: date | None = None
) -> int:
    """Mark every document of `origem` inactive that the snapshot `batch_id` did not hold; the number of rows that were active.

    The snapshot's rows were appended or merged in this transaction. A row that it holds, but that lost against the held one, is present.
    Of a contract with `valid_from` a document that is present keeps its earlier rows. Those that begin after the row which the snapshot
    says holds on `day` (its own date) are no longer announced: they are removed, so that none of them ever begins.
    """
    if contract.active_column is None:
        raise ValueError(f"{contract.name}: expected a contract with an active column")
    relation = contract.relations[0]
    table, active, key = quoted(relation.table), quoted(contract.active_column), listed(contract.key)
    some_kept = bool(db.select(QUERIES["has_temporary"], (KEPT.removeprefix("temp."),))[0][0])
    if contract.valid_from_column is not None:
        present = f"SELECT {key} FROM {table} WHERE {quoted(contract.key[0])} = ?1 AND {BATCH} = ?2"
        if some_kept:
            present += f" UNION ALL SELECT {key} FROM {KEPT} WHERE {BATCH} = ?2"
        _take_back(db, contract, present, (origem, batch_id, day or date.max))
        identity = listed(contract.identity)
        absent = f" AND ({identity}) NOT IN (SELECT {identity} FROM ({present}) AS fs_present)"
    else:
        absent = f" AND ({key}) NOT IN (SELECT {key} FROM {KEPT} WHERE {BATCH} = ?2)" if some_kept else ""
    return db.run(
        f"UPDATE {table} SET {active} = false, {BATCH} = ?2 "
        f"WHERE {quoted(contract.key[0])} = ?1 AND {BATCH} <> ?2 AND {active} IS DISTINCT FROM false{absent}",
        (origem, batch_id),
    )


def _take_back(db: Database, contract: Contract, present: str, parameters: tuple[object, ...]) -> None:
    """Remove rows that begin after the one that holds by the snapshot whose rows `present` selects."""
    key, identity = listed(contract.key), listed(contract.identity)
    begins = quoted(contract.valid_from_column or "")
    same = " AND ".join(f"t.{quoted(name)} = b.{quoted(name)}" for name in contract.identity)
    db.run("DROP TABLE IF EXISTS temp.fs_taken_back")
    columns = [column for column in contract.relations[0].columns if column.name in contract.key]
    db.run(f"CREATE TEMP TABLE fs_taken_back ({_staged(db, columns)})")
    db.run(
        f"INSERT INTO temp.fs_taken_back ({listed(c.name for c in columns)}) WITH present AS ({present}), begun AS ("
        f"SELECT {identity}, coalesce(max(CASE WHEN {begins} <= ?3 THEN {begins} END), ?3) AS fs_since FROM present GROUP BY {identity}) "
        f"SELECT {listed((c.name for c in columns), 't.')} FROM begun b CROSS JOIN {quoted(contract.relations[0].table)} t "
        f"ON {same} AND t.{begins} > b.fs_since WHERE t.{BATCH} <> ?2 AND ({listed(contract.key, 't.')}) NOT IN (SELECT {key} FROM present)",
        parameters,
    )
    for one in reversed(contract.relations):
        db.run(f"DELETE FROM {quoted(one.table)} WHERE ({key}) IN (SELECT {key} FROM temp.fs_taken_back)")
    db.run("DROP TABLE temp.fs_taken_back")


class _Merge:
    """The statements of one merge. `t` is the data table, `s` the stage, of the document relation."""

    def __init__(self, db: Database, contract: Contract, batch_id: int, order: RowOrder) -> None:
        self.db = db
        self.contract = contract
        self.batch_id = batch_id
        self.document: Relation = contract.relations[0]
        self.table = quoted(self.document.table)
        self.key = listed(contract.key)
        feed = order.feed
        self.feed_id: int = feed_id(db, feed, order.epoch) or -1
        self.feed = feed

    # ------------------------------------------------------------------------------------------------ staging

    def fill(self, stage: Iterable[Mapping[str, pa.Table]]) -> int:
        """Stage every chunk; the number of documents."""
        self.drop()
        for relation in self.contract.relations:
            # No key and no types: what is staged was checked, and comes in the order in which it will be looked up.
            row = f"{ROW} INTEGER, " if relation is self.document else ""
            self.db.run(f"CREATE TEMP TABLE {_stage(relation)} ({row}{_staged(self.db, relation.columns)})")
        count = 0

        def numbered() -> Iterator[dict[str, pa.Table]]:
            nonlocal count
            for chunk in stage:
                documents = chunk[self.document.name].num_rows
                numbers = {ROW: pa.array(np.arange(count, count + documents))}
                count += documents
                yield {
                    r.name: stored(self.db.dialect, r, chunk[r.name], numbers if r is self.document else {})
                    for r in self.contract.relations
                }

        # In key order, run by run: the upsert walks the table in the order of the stage.
        for run in in_runs(self.contract, numbered()):
            for relation in self.contract.relations:
                if run[relation.name].num_rows:
                    self.db.ingest(_stage_name(relation), run[relation.name], temporary=True)
        for relation in self.contract.relations:
            self.db.measure(_stage_name(relation))
        return count

    def drop(self) -> None:
        """Remove the stage; what lost is remembered until the next merge."""
        for relation in self.contract.relations:
            self.db.run(f"DROP TABLE IF EXISTS temp.{_stage(relation)}")

    # ------------------------------------------------------------------------------------------------ applying

    def apply(self, staged: int) -> MergeReport:
        """Upsert the documents, look at what lost, then replace the winners' lines."""
        self.db.run(f"DROP TABLE IF EXISTS {KEPT}")
        left = self._leaving()
        won = self._upsert()
        lost = 0
        if won < staged:
            lost = self._keep()
            # A key's first row in the batch wins, its second finds the row of this very batch: neither won nor lost.
            if won + lost < staged or self._repeated_among_lost():
                return self.duplicates()
            self._confirm()
        for relation in self.contract.relations[1:]:
            self._replace_lines(relation, lost)
        return replace(self._report(won, lost), left=left)

    def _leaving(self) -> tuple[tuple[str, date, int], ...]:
        """The days under which documents of the stage are held and will not be, if they win. Asked before: afterwards nobody knows."""
        day = self.contract.business_date_column
        if day is None or day in self.contract.key:
            return ()
        origem, held = (f"t.{quoted(name)}" for name in (self.contract.key[0], day))
        rows = self.db.select(
            f"SELECT {origem}, {held} || '', count(*) FROM temp.{_stage(self.document)} s CROSS JOIN {self.table} t "
            f"ON {self._same_key('s', 't')} WHERE {held} <> s.{quoted(day)} GROUP BY {origem}, {held} ORDER BY {origem}, {held}"
        )
        return tuple((site, date.fromisoformat(text), count) for site, text, count in rows)

    def _upsert(self) -> int:
        """Insert what is new and update what is held and older; the number of documents that won."""
        names = [c.name for c in self.document.columns]
        updated = [name for name in (*names, BATCH) if name not in self.contract.key]
        return self.db.run(
            f"INSERT INTO {self.table} AS t ({listed(names)}, {BATCH}) "
            f"SELECT {listed(names)}, ?1 FROM temp.{_stage(self.document)} WHERE true "
            f"ON CONFLICT ({self.key}) DO UPDATE SET {', '.join(f'{quoted(n)} = excluded.{quoted(n)}' for n in updated)} "
            f"WHERE t.{BATCH} <> ?1 AND {self._later('excluded')}",
            (self.batch_id, self.feed_id),
        )

    def _later(self, incoming: str) -> str:
        """Whether the incoming document wins over the held one (`t`)."""
        same_feed = f"EXISTS (SELECT 1 FROM fs_incoming i WHERE i.batch_id = t.{BATCH} AND i.feed_id = ?2)"
        if self.contract.version_column is None:
            return same_feed
        new, old = (f"coalesce({side}.{quoted(self.contract.version_column)}, 0)" for side in (incoming, "t"))
        return f"({new} > {old} OR ({new} = {old} AND {same_feed}))"

    def _keep(self) -> int:
        """List the documents that lost, and why; their number."""
        # Lines are compared by document, in no order: an index where all losers would otherwise scan the stage.
        for relation in self.contract.relations[1:]:
            self.db.run(
                f"CREATE INDEX temp.{quoted('fs_by_' + relation.table)} ON {_stage(relation)} ({self.key})"
            )
        key = [column for column in self.document.columns if column.name in self.contract.key]
        self.db.run(
            f"CREATE TEMP TABLE {KEPT.removeprefix('temp.')} ({ROW} INTEGER PRIMARY KEY, why INTEGER, {BATCH} INTEGER, {_staged(self.db, key)})"
        )
        return self.db.run(
            f"INSERT INTO {KEPT} ({ROW}, why, {BATCH}, {self.key}) SELECT s.{ROW}, {self._why()}, ?1, {listed(self.contract.key, 's.')} "
            f"FROM temp.{_stage(self.document)} s CROSS JOIN {self.table} t ON {self._same_key('s', 't')} WHERE t.{BATCH} <> ?1",
            (self.batch_id,),
        )

    def _why(self) -> str:
        cases = []
        if self.contract.version_column is not None:
            version = quoted(self.contract.version_column)
            cases.append(f"WHEN coalesce(s.{version}, 0) < coalesce(t.{version}, 0) THEN {_SUPERSEDED}")
        equal = [
            f"s.{quoted(c.name)} IS NOT DISTINCT FROM t.{quoted(c.name)}"
            for c in self.document.columns
            if c.name not in self.contract.key
        ]
        for relation in self.contract.relations[1:]:
            table, staged = quoted(relation.table), f"temp.{_stage(relation)}"
            # Its key is compared by what an index answers; no column of a key is ever null.
            same = " AND ".join(
                f"h.{quoted(c.name)} {'=' if c.name in relation.key else 'IS NOT DISTINCT FROM'} c.{quoted(c.name)}"
                for c in relation.columns
            )
            equal.append(
                f"(SELECT count(*) FROM {staged} c WHERE {self._same_key('c', 's')})"
                f" = (SELECT count(*) FROM {table} h WHERE {self._same_key('h', 's')})"
            )
            equal.append(
                f"NOT EXISTS (SELECT 1 FROM {staged} c WHERE {self._same_key('c', 's')} AND NOT EXISTS "
                f"(SELECT 1 FROM {table} h WHERE {same}))"
            )
        cases.append(f"WHEN {' AND '.join(equal) or 'true'} THEN {_UNCHANGED}")
        return f"CASE {' '.join(cases)} ELSE {_CONFLICT} END"

    def _repeated_among_lost(self) -> bool:
        return bool(self.db.select(f"SELECT 1 FROM {KEPT} GROUP BY {self.key} HAVING count(*) > 1 LIMIT 1"))

    def _confirm(self) -> None:
        """Credit unchanged documents to this batch where another epoch of the same feed had brought them."""
        feed = self.feed
        self.db.run(
            f"UPDATE {self.table} AS t SET {BATCH} = ?1 "
            f"WHERE ({self.key}) IN (SELECT {self.key} FROM {KEPT} WHERE why = {_UNCHANGED}) AND EXISTS "
            f"(SELECT 1 FROM fs_incoming i JOIN fs_feed f USING (feed_id) "
            f"WHERE i.batch_id = t.{BATCH} AND f.origin = ?2 AND f.dataset = ?3 AND f.audience = ?4)",
            (self.batch_id, feed.origin, feed.dataset, feed.audience),
        )

    def _replace_lines(self, relation: Relation, lost: int) -> None:
        names = listed(c.name for c in relation.columns)
        table = quoted(relation.table)
        but_lost = f" WHERE ({self.key}) NOT IN (SELECT {self.key} FROM {KEPT})" if lost else ""
        if self.db.select(f"SELECT EXISTS (SELECT 1 FROM {table})")[0][
            0
        ]:  # looking up a million documents in vain takes its time
            self.db.run(
                f"DELETE FROM {table} WHERE ({self.key}) IN (SELECT {self.key} FROM temp.{_stage(self.document)}{but_lost})"
            )
        self.db.run(
            f"INSERT INTO {table} ({names}, {BATCH}) "
            f"SELECT {names}, ?1 FROM temp.{_stage(relation)}{but_lost}",
            (self.batch_id,),
        )

    def _same_key(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{quoted(name)} = {right}.{quoted(name)}" for name in self.contract.key)

    # ------------------------------------------------------------------------------------------------ reporting

    def duplicates(self) -> MergeReport:
        """Which documents repeat a key of an earlier one."""
        repeated = (
            f"SELECT {{}} FROM (SELECT {ROW}, {self.key}, row_number() OVER (PARTITION BY {self.key} ORDER BY {ROW}) AS place "
            f"FROM temp.{_stage(self.document)}) AS fs_placed WHERE place > 1 ORDER BY {ROW}"
        )
        rows = self.db.select_table(repeated.format(ROW)).column(0).combine_chunks()
        keys = self.db.select(f"{repeated.format(self.key)} LIMIT {NAMED_KEYS_MAX}")
        return MergeReport(duplicate_count=len(rows), duplicates=tuple(keys), duplicate_rows=rows)

    def _report(self, won: int, lost: int) -> MergeReport:
        if not lost:
            return MergeReport(applied=won)
        superseded, unchanged, conflict = (self._rows(why) for why in (_SUPERSEDED, _UNCHANGED, _CONFLICT))
        keys = self.db.select(
            f"SELECT {self.key} FROM {KEPT} WHERE why = {_CONFLICT} ORDER BY {ROW} LIMIT {NAMED_KEYS_MAX}"
        )
        return MergeReport(
            applied=won,
            unchanged=len(unchanged),
            superseded=len(superseded),
            superseded_rows=superseded,
            conflict_count=len(conflict),
            conflicts=tuple(keys),
            conflict_rows=conflict,
        )

    def _rows(self, why: int) -> pa.Int64Array:
        table = self.db.select_table(f"SELECT {ROW} FROM {KEPT} WHERE why = {why} ORDER BY {ROW}")
        return pa.concat_arrays(table.column(0).chunks) if table.num_rows else pa.array([], pa.int64())


def _staged(db: Database, columns: Iterable[Column]) -> str:
    """Columns of a temporary table. SQLite needs no types there, and what is read by name may come in any order."""
    return ", ".join(f"{quoted(column.name)} {db.dialect.staged[column.type]}".rstrip() for column in columns)


def _stage_name(relation: Relation) -> str:
    return f"fs_stage_{relation.table}"


def _stage(relation: Relation) -> str:
    return quoted(_stage_name(relation))
