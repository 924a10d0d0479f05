"""A dataset's contract: one JSON Schema, and everything that follows from it. The way in to this package.

Nothing about a dataset is written twice: Arrow schema, relations (tables), masks, totals and the page that describes it are
derived here from the schema. Tables that come from outside are brought into `arrow_schema` by `conform` first; every
other method expects a table that conforms. A Contract never changes, and may be used from several threads.

What is not here: files (registry.py), stores, and what follows from a verdict (exchange/).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from filesync.contracts import arrow, documents, keys, totals
from filesync.contracts.annotations import read_definition
from filesync.contracts.findings import Findings
from filesync.contracts.keywords import Problems
from filesync.contracts.masks import Masks
from filesync.contracts.model import ContractError
from filesync.contracts.rows import pieces
from filesync.contracts.totals import Totals, TotalsSum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filesync.contracts.keys import Gap
    from filesync.contracts.model import Continuity, Definition, Late, OnBadRows, Relation, Rule, Total
    from filesync.protocol.receipt import Problem


class Contract:
    """What a dataset promises, in one version. `Contract.from_schema` makes one; `Registry` finds those that are shipped."""

    def __init__(self, definition: Definition, schema: Mapping[str, Any]) -> None:
        self.definition = definition
        self.schema = schema
        self.arrow_schema: pa.Schema = arrow.arrow_schema(definition)

    @classmethod
    def from_schema(cls, schema: Mapping[str, Any]) -> Contract:
        """The contract in a JSON Schema; ContractError with every unusable keyword and its JSON pointer."""
        problems = Problems()
        definition = read_definition(schema, problems)
        if definition is None:
            notes = schema.get("x-filesync")
            name = notes.get("dataset", "contract") if isinstance(notes, Mapping) else "contract"
            raise ContractError(str(name), list(problems.found))
        return cls(definition, schema)

    def __reduce__(self) -> tuple[Any, ...]:
        return Contract.from_schema, (self.schema,)  # compiled masks do not travel to other processes

    def __repr__(self) -> str:
        return f"Contract({self.name})"

    # --- what it says

    @property
    def dataset(self) -> str:
        return self.definition.dataset

    @property
    def version(self) -> int:
        return self.definition.version

    @property
    def name(self) -> str:
        """As receipts write it: "vendas.v1"."""
        return f"{self.dataset}.v{self.version}"

    @property
    def title(self) -> str:
        return self.definition.title

    @property
    def key(self) -> tuple[str, ...]:
        return self.definition.key

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The document relation, then one for each array."""
        return self.definition.relations

    @property
    def lines(self) -> dict[str, tuple[str, ...]]:
        """The key of a line inside its document, for each array."""
        return {relation.name: relation.line_key for relation in self.definition.children}

    @property
    def version_column(self) -> str | None:
        return self.definition.version_column

    @property
    def active_column(self) -> str | None:
        return self.definition.active_column

    @property
    def valid_from_column(self) -> str | None:
        """The date in the key from which on a row holds, where a document has several rows, one after the other."""
        return self.definition.valid_from_column

    @property
    def identity(self) -> tuple[str, ...]:
        """The key of what a person calls one document: all of its rows, whenever they begin."""
        return tuple(name for name in self.key if name != self.valid_from_column)

    @property
    def business_date_column(self) -> str | None:
        return self.definition.business_date_column

    @property
    def encrypted(self) -> bool:
        return self.definition.encrypted

    @property
    def control_totals(self) -> tuple[Total, ...]:
        return self.definition.totals

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self.definition.rules

    @property
    def continuity(self) -> Continuity | None:
        return self.definition.continuity

    @property
    def on_bad_rows(self) -> OnBadRows:
        return self.definition.on_bad_rows

    @property
    def late(self) -> Late:
        return self.definition.late

    # --- what it makes of rows

    def conform(self, rows: pa.Table | pa.RecordBatch) -> pa.Table:
        """`rows` in exactly `arrow_schema`: columns in order, missing optional ones null, values unchanged.

        RejectedError `schema-mismatch` (expected, got) for unknown or missing columns, other types, broken data.
        """
        return arrow.conform(self.definition, self.arrow_schema, rows)

    def validate(self, table: pa.Table) -> Findings:
        """Which documents break the contract: keywords, row rules, lines whose key repeats inside a document."""
        bad: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
        clean = True
        for piece in pieces(table):
            found = self._masks.bad(piece)
            clean = clean and (found is None or not found.any())
            bad.append(np.zeros(piece.num_rows, dtype=np.bool_) if found is None else found)
        return Findings(self.definition, self.schema, table, None if clean else np.concatenate(bad))

    def duplicates(self, table: pa.Table) -> pa.BooleanArray | None:
        """The documents whose key stands more than once in `table` (each of them), or None."""
        found = keys.repeated_documents(table, self.key)
        return None if found is None else pa.array(found)

    def flatten(self, table: pa.Table) -> dict[str, pa.Table]:
        """A flat table for each relation, by its name; columns as in `Relation.columns`."""
        return arrow.flatten(self.definition, table)

    def rows(self, table: pa.Table) -> dict[str, int]:
        """The number of rows of each relation."""
        return self._summed(table).rows

    def totals(self, table: pa.Table) -> Totals:
        """The control totals."""
        return self._summed(table).totals

    def totals_sum(self) -> TotalsSum:
        """An empty sum to which tables are added one after another."""
        return TotalsSum(self.definition)

    def claims_by_group(
        self, table: pa.Table, group: pa.Int32Array, groups: int
    ) -> list[tuple[dict[str, int], Totals]]:
        """Rows and totals of each of the `groups` batches that `table` was put together from."""
        return totals.claims_by_group(self.definition, table, group, groups)

    def gaps(self, table: pa.Table) -> list[Gap]:
        """Numbers missing between the first and last one of each series; [] for a contract without continuity."""
        return [] if self.continuity is None else keys.gaps(table, self.continuity)

    def documents(self, table: pa.Table) -> list[dict[str, Any]]:
        """The documents as Python values: null is absent, dates are ISO text."""
        return documents.documents(self.definition, table)

    def from_documents(self, given: Iterable[object]) -> tuple[pa.Table, list[Problem], list[int]]:
        """A table of the documents whose types fit; the problems of the others (`row` is the place in `given`); the places kept."""
        return documents.from_documents(self.definition, self.arrow_schema, given)

    def name_of(self, table: pa.Table, row: int) -> str:
        """A document as a person would look for it: by its number in its series, or else by its key."""
        series = self.continuity
        columns = self.key if series is None else (*series.per, series.number)
        return ", ".join(f"{name} {table.column(name)[row].as_py()}" for name in columns)

    def _summed(self, table: pa.Table) -> TotalsSum:
        summed = self.totals_sum()
        summed.add(table)
        return summed

    @cached_property
    def _masks(self) -> Masks:
        return Masks(self.definition)
