"""The rows of several queries put together: each child row finds its document by the columns that both
queries have. Pure.

The columns are `group_by`, or else the contract's key as far as both queries select it. A child row that
finds no document is an orphan: it is reported and set aside, never dropped. A key that the documents' query
returns twice cannot own lines: both are set aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from filesync.errors import ConfigError
from filesync.protocol.receipt import Problem
from filesync.sources.forms import Forms, texts
from filesync.sources.frame import Cells, Codes, Frame, Grouping, Rows, combined
from filesync.sources.rules import Per

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from filesync.contracts import Contract
    from filesync.sources.plan import Plan
    from filesync.sources.settings import SourceSettings

Orphans = list[tuple[Problem, dict[str, Any]]]


def query_frames(
    settings: SourceSettings,
    contract: Contract,
    plan: Plan,
    tables: Mapping[str, pa.Table],
    problems: Sequence[str],
) -> tuple[dict[str, Frame], Orphans]:
    """A frame for each relation, and the rows that belong to no document. Raises ConfigError with everything
    that does not fit, `problems` first.
    """
    wrong = [*problems, *_strangers(settings, plan, tables)]
    joins = {}
    for child in plan.children:
        if child.name not in tables:
            if child.per is Per.LINE:
                wrong.append(
                    f'columns.{child.name}: there is no query for it; "*" = "document" makes one row per document'
                )
        elif child.per is Per.DOCUMENT:
            wrong.append(f'columns.{child.name}: "*" = "document" and a query of its own exclude each other')
        elif not (join := _join(settings, contract, tables, child.name)):
            wrong.append(
                f"queries.{child.name}: shares no key column with queries.{contract.dataset}; "
                "select one in both, and name it in group_by where it is not a field of the key"
            )
        else:
            joins[child.name] = join
    if wrong:
        raise ConfigError("source-invalid", "; ".join(wrong))
    cells = {name: _cells(name, table) for name, table in tables.items()}
    main = cells[contract.dataset]
    rows = tables[contract.dataset].num_rows
    document = Frame(main, _numbers(rows), Grouping.each(rows), "row")
    frames = dict.fromkeys((contract.dataset, *(child.name for child in plan.children)), document)
    orphans: Orphans = []
    for name, join in joins.items():
        own = tables[name].num_rows
        owner = _owners(
            settings.forms, [main[column] for column in join], [cells[name][column] for column in join]
        )
        frames[name] = Frame(cells[name], _numbers(own), Grouping.of(owner, rows), "row")
        orphans += _orphans(frames[name], name, join, np.flatnonzero(owner < 0))
    return frames, orphans


def _strangers(settings: SourceSettings, plan: Plan, tables: Mapping[str, pa.Table]) -> list[str]:
    """Columns that nobody reads: a query says exactly what it is for, so they are a mistake."""
    wrong = []
    plans = {relation.name: relation for relation in (plan.document, *plan.children)}
    shared = {column for child in plan.children if child.name not in tables for column in child.columns}
    for name, table in tables.items():
        used = set(settings.group_by) | (set(plans[name].columns) if name in plans else set())
        used |= (
            shared
            if name == plan.document.name
            else set(plan.document.columns) & set(tables[plan.document.name].column_names)
        )
        names = table.column_names
        if doubled := sorted({column for column in names if names.count(column) > 1}):
            wrong.append(f"queries.{name}: returns {', '.join(doubled)} twice")
        if unread := [column for column in names if column not in used]:
            wrong.append(f"queries.{name}: no field and no rule takes {', '.join(unread)}")
        if name in plans and (missing := [column for column in plans[name].columns if column not in names]):
            wrong.append(
                f"queries.{name}: does not return {', '.join(missing)}; it returns {', '.join(names)}"
            )
    main = tables[plan.document.name].column_names
    if lacking := sorted(shared - set(main)):
        wrong.append(f"queries.{plan.document.name}: does not return {', '.join(lacking)}")
    return wrong


def _join(
    settings: SourceSettings, contract: Contract, tables: Mapping[str, pa.Table], child: str
) -> tuple[str, ...]:
    both = set(tables[contract.dataset].column_names) & set(tables[child].column_names)
    if settings.group_by:
        return settings.group_by if both.issuperset(settings.group_by) else ()
    found = tuple(name for name in contract.key if name in both)
    # The origin alone never tells two sales apart.
    return found if set(contract.key[1:]) & set(found) or len(contract.key) == 1 else ()


def _cells(name: str, table: pa.Table) -> dict[str, Cells]:
    found = {}
    for column in table.column_names:
        try:
            found[column] = Cells.of(table[column])
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as err:
            raise ConfigError(
                "source-query", f"queries.{name}: {column} is {table[column].type}, not a plain value"
            ) from err
    return found


def _numbers(rows: int) -> Any:
    return np.arange(1, rows + 1, dtype=np.int64)


def _owners(forms: Forms, documents: Sequence[Cells], lines: Sequence[Cells]) -> Codes:
    """For each line the number of its document, or -1. Keys compare as text: one query may give 7, the other
    '7'.
    """
    rows = len(documents[0].codes)
    together = []
    for mine, theirs in zip(documents, lines, strict=True):
        both = [cells.mapped(texts(cells.values, forms).values).column() for cells in (mine, theirs)]
        together.append(Cells.of(pa.concat_arrays(both)))
    codes, firsts = combined(together, rows + len(lines[0].codes))
    complete = np.all([cells.codes >= 0 for cells in together], axis=0)
    count = np.bincount(codes[:rows], minlength=len(firsts))
    owner = np.full(len(firsts), -1, np.int32)
    owner[codes[:rows]] = np.arange(rows)
    owner[count > 1] = -1
    return np.where(complete[rows:], owner[codes[rows:]], -1).astype(np.int32)


def _orphans(frame: Frame, child: str, join: tuple[str, ...], rows: Rows) -> Orphans:
    found: Orphans = []
    for row in frame.raw(rows):
        key = ", ".join(f"{name} {row['values'][name]!r}" for name in join)
        line = row["line"]
        found.append(
            (Problem("line-orphan", f"row {line} of {child}: no one document has {key}", child, line), row)
        )
    return found
