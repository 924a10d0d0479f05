"""Files that this site took in itself (BDF, C.A.): which of them counts for a day, and which were replaced.

Writing methods expect the transaction that applies the file's batch. What is not here: reading files, deciding anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from filesync.stores.database import QUERIES
from filesync.stores.tables import quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from filesync.contracts import Contract
    from filesync.stores.database import Database


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that was taken, and the batch that it became. `superseded_by` names the batch of the file that replaced it."""

    batch_id: int
    batch: str
    dataset: str
    day: date
    file_name: str
    file_sha256: str
    file_bytes: int
    layout: str
    layout_sha256: str
    documents: int
    set_aside: int
    by: str
    at: str
    superseded_by: str | None = None


class Files:
    """A part of the store (`Store.files`). `write` opens a transaction, or joins the one that is open."""

    def __init__(self, db: Database, write: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._write = write

    def of_day(self, day: date) -> list[FileRecord]:
        """Every file of the day, superseded ones too, in the order in which they were taken."""
        rows = self._db.select(QUERIES["files_of"], (day.isoformat(),))
        return [_file(row) for row in rows]

    def current(self, dataset: str, day: date) -> FileRecord | None:
        """The file that counts for the day."""
        return next((f for f in self.of_day(day) if f.dataset == dataset and f.superseded_by is None), None)

    def record(self, file: FileRecord) -> None:
        """The file counts for its day from now on; its batch must be recorded already."""
        with self._write():
            self._db.run(QUERIES["supersede_file"], (file.batch_id, file.dataset, file.day.isoformat()))
            self._db.run(
                QUERIES["record_file"],
                (
                    file.batch_id, file.dataset, file.day.isoformat(), file.file_name, file.file_sha256, file.file_bytes, file.layout,
                    file.layout_sha256, file.documents, file.set_aside, file.by, file.at,
                ),
            )  # fmt: skip

    def postings_sold(self, vendas: Contract, day: date) -> pa.Table:
        """What was sold of a day and stands: `codigo`, `sub_caixa`, `numero` ('' where there is none) and `origem` of every posting."""
        documents = vendas.relations[0]
        lines = next(relation for relation in vendas.relations if relation.name == "postagens")
        if not all(
            self._db.select(QUERIES["table_columns"], (relation.table,)) for relation in (documents, lines)
        ):
            return pa.table(
                {name: pa.array([], pa.string()) for name in ("codigo", "sub_caixa", "numero", "origem")}
            )
        same = " AND ".join(f"p.{quoted(name)} = v.{quoted(name)}" for name in vendas.key)
        return self._db.select_table(
            "SELECT p.codigo_rastreio AS codigo, coalesce(p.sub_caixa, '') AS sub_caixa, coalesce(p.numero_atendimento, '') AS numero, "
            f"v.origem AS origem FROM {quoted(documents.table)} v CROSS JOIN {quoted(lines.table)} p ON {same} "
            f"WHERE v.{quoted(vendas.business_date_column or '')} = ? AND v.situacao <> 'cancelada'",
            (day,),
        )

    def clear_day(self, contract: Contract, origem: str, day: date) -> int:
        """Take out the rows of a day that this site's own file had brought: the next file brings all of them. How many there were."""
        column = contract.business_date_column
        if column is None or len(contract.relations) > 1:
            raise ValueError(f"{contract.name} is not a dataset of one relation with a day")
        table = quoted(contract.relations[0].table)
        with self._write():
            return self._db.run(
                f"DELETE FROM {table} WHERE {quoted(contract.key[0])} = ? AND {quoted(column)} = ?",
                (origem, day),
            )


def _file(row: tuple[Any, ...]) -> FileRecord:
    fields = list(row)
    fields[3] = date.fromisoformat(row[3])
    return FileRecord(*fields)
