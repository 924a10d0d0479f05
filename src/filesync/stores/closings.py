"""The closes of a day as they are held, and what is held of its sales: for many sites at once, in a handful of statements. Reads only.

All its SQL stands here; names come from the contracts. Sites are asked for one by one in their key's order, so that a day costs its
closes and not the history of all of them. A store that never had a close has no tables for them, and none of these sites has one.

What is not here: what a close means for the day (day/standing.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from filesync.stores.database import QUERIES
from filesync.stores.tables import listed, quoted

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from filesync.contracts import Contract
    from filesync.stores.database import Database


@dataclass(frozen=True, slots=True)
class ClosingRows:
    """The closes of a day as rows by column, with `fs_batch`, the batch that brought them; then the lines of their arrays."""

    closings: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def closings(db: Database, contract: Contract, day: date, sites: Collection[str]) -> ClosingRows:
    """The closes of the day that these sites sent, in the order of sites and shifts."""
    if not _there(db, contract):
        return ClosingRows()
    asked = (json.dumps(sorted(sites)), day)
    origem, data = (quoted(name) for name in contract.key[:2])
    found: dict[str, list[dict[str, Any]]] = {}
    with db.snapshot():
        for relation in contract.relations:
            names = [column.name for column in relation.columns]
            if relation is contract.relations[0]:
                names.append("fs_batch")
            rows = db.select_table(
                f"SELECT {listed(names, 'c.')} FROM json_each(?1) s CROSS JOIN {quoted(relation.table)} c "
                f"ON c.{origem} = s.value AND c.{data} = ?2 ORDER BY c.{origem}, c.{quoted(contract.key[2])}",
                asked,
            )
            found[relation.name] = _with_days_as_text(rows).to_pylist()
    return ClosingRows(found.pop(contract.dataset), found)


def sales(
    db: Database, contract: Contract, total: str, day: date, sites: Collection[str]
) -> dict[str, tuple[int, int]]:
    """Of each of these sites: how many documents of the day are held, and the sum of the column `total`."""
    if not sites or not _there(db, contract) or contract.business_date_column is None:
        return {}
    origem, data = quoted(contract.key[0]), quoted(contract.business_date_column)
    rows = db.select(
        f"SELECT {origem}, count(*), coalesce(sum({quoted(total)}), 0) FROM {quoted(contract.relations[0].table)} "
        f"WHERE {origem} IN (SELECT value FROM json_each(?1)) AND {data} = ?2 GROUP BY {origem}",
        (json.dumps(sorted(sites)), day),
    )
    return {site: (count, amount) for site, count, amount in rows}


def _with_days_as_text(rows: pa.Table) -> pa.Table:
    return rows.cast(
        pa.schema([(f.name, pa.string() if pa.types.is_date(f.type) else f.type) for f in rows.schema])
    )


def _there(db: Database, contract: Contract) -> bool:
    return all(db.select(QUERIES["table_columns"], (relation.table,)) for relation in contract.relations)
