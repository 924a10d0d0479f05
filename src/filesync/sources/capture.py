"""From a source to documents: the one way in. Reading never changes a source.

- A document that cannot be formed (a value that does not fit, a required one that is missing, a difference
  inside a group) is set aside whole with line, field, value and reason; the others go on.
- A line that belongs to nobody (its columns cannot be told apart, or its `group_by` column is empty) makes a
  grouped file unreadable as a whole: some document would go on without it. Where each line is a document,
  that line alone is set aside.
- A file that cannot be read at all is a RejectedError "source-unreadable"; settings that do not fit the
  contract are a ConfigError.
- Files without `group_by` are read in chunks. With `group_by` a file is held whole (lines of a document may
  stand anywhere in it); so are queries.
- Documents come in the order in which their first lines stand in the source.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from filesync.errors import ConfigError
from filesync.protocol.receipt import Problem
from filesync.sources.documents import Documents, aside, read_documents
from filesync.sources.faults import Faults
from filesync.sources.files import concatenated, read_rows
from filesync.sources.frame import Cells, Frame, Grouping, Rows, combined
from filesync.sources.joining import query_frames
from filesync.sources.mapping import build
from filesync.sources.plan import Plan, make_plan
from filesync.sources.raw import Malformed, Raw, unreadable
from filesync.sources.rules import Copy, Rule
from filesync.sources.settings import Kind, SourceSettings
from filesync.sources.sql import run_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from filesync.contracts import Contract

SOURCE_FILE = "source_file"  # a column that every file has, unless it brings its own: the file's name
_REPORTED_MAX = 5
_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Captured:
    """Documents from a source, and what could not become one.

    `table` has the contract's Arrow schema; its values have the right types, but are not validated yet.
    `lines` says for each document on which line of the file (row of a Parquet file or query) it begins, from
    1; a problem's `row` is such a number too. `set_aside` has one entry per document that could not be
    formed: {"line", "problems": [...], "rows": [{"line", "values": {column: value}} or {"line", "text"}]},
    ready for JSON.
    """

    label: str
    table: pa.Table
    lines: Rows
    settings_digest: str
    problems: tuple[Problem, ...] = ()
    set_aside: tuple[dict[str, Any], ...] = ()


def source_files(settings: SourceSettings, root: Path, path: Path | None = None) -> list[Path]:
    """The files that a source consists of now, by name. `path` stands in for the configured one; none at all
    is no error.
    """
    stated = root / (path if path is not None else settings.path or "")
    if stated.is_file():  # also a name with [ or * in it that really exists
        return [stated]
    parts = stated.parts
    wild = next((at for at, part in enumerate(parts) if _WILD & set(part)), None)
    if wild is None:
        return []
    folder = Path(*parts[:wild])
    return sorted(found for found in folder.glob(str(Path(*parts[wild:]))) if found.is_file())


def read_source(
    settings: SourceSettings, contract: Contract, *, root: Path, site: str, path: Path | None = None
) -> Iterator[Captured]:
    """The documents of a source, chunk by chunk. `path` stands in for the configured files; `site` is the
    origem where nothing else is said.

    Raises ConfigError (settings do not fit, no such file), RejectedError (unreadable), TransportError
    (locked, busy, changing: later).
    """
    if settings.kind is Kind.STORE:
        raise ConfigError(
            "source-invalid", "the site's own store is read by the exchange, not as a file or query"
        )
    digest = settings.digest(contract.name)
    for label, found in _read(settings, contract, root, site, path):
        yield Captured(label, found.table, found.lines, digest, found.problems, found.set_aside)


def _read(
    settings: SourceSettings, contract: Contract, root: Path, site: str, path: Path | None
) -> Iterator[tuple[str, Documents]]:
    if settings.kind is Kind.SQL:
        yield f"{contract.dataset} query", _read_queries(settings, contract, root, site)
        return
    mapped = settings.mapped or settings.kind is Kind.CSV
    for file in [root / path] if path is not None else source_files(settings, root):
        reading = _read_mapped if mapped else read_documents
        for found in reading(file, settings, contract, site):
            yield file.name, found


def _read_mapped(path: Path, settings: SourceSettings, contract: Contract, site: str) -> Iterator[Documents]:
    plan: Plan | None = None
    if settings.mapped:
        plan, wrong = make_plan(settings, contract, site)
        if wrong:
            raise ConfigError("source-invalid", "; ".join(wrong))
    needed = () if plan is None else (*plan.columns(), *settings.group_by)
    raws = read_rows(path, settings, needed)
    for raw in iter([concatenated(raws)]) if settings.group_by else raws:
        if plan is None:
            plan = _plan_by_name(settings, contract, path, site, raw.names)
        frame = _frame(settings, plan, path, raw)
        frames = dict.fromkeys((relation.name for relation in (plan.document, *plan.children)), frame)
        yield _with_malformed(_formed(plan, contract, settings, frames), raw.malformed, contract.dataset)


def _plan_by_name(
    settings: SourceSettings, contract: Contract, path: Path, site: str, names: Sequence[str]
) -> Plan:
    """Without a mapping, the columns are the contract's fields."""
    plan, problems = make_plan(settings, contract, site, {contract.dataset: names})
    fields = [field.name for field in contract.relations[0].fields]
    if strangers := [name for name in names if name not in fields]:
        problems.append(f"{', '.join(map(repr, strangers))}: {contract.name} has no such field")
    if problems:
        found = f"found the columns {_listed(names)}, expected fields of {contract.name}: {', '.join(fields)}"
        raise unreadable(
            path,
            f"{found} ({'; '.join(problems)}){_delimiter_hint(settings, names)}; other names need a mapping (columns)",
        )
    return plan


def _frame(settings: SourceSettings, plan: Plan, path: Path, raw: Raw) -> Frame:
    columns: dict[str, Cells] = {}
    nested = []
    for name, column in zip(raw.names, raw.columns, strict=True):
        try:
            columns[name] = Cells.of(column)
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            nested.append(f"{name} ({column.type})")
    rows = len(raw.lines)
    if SOURCE_FILE not in columns:
        columns[SOURCE_FILE] = Cells.constant(pa.array([path.name]), rows)
    needed = dict.fromkeys((*settings.group_by, *plan.columns()))
    if settings.kind is Kind.JSONL:  # a member may be absent from every line; a required one may not
        for name in needed.keys() - columns.keys() - _required(plan, settings):
            columns[name] = Cells(pa.array([], pa.string()), np.full(rows, -1, np.int32))
    missing = [name for name in needed if name not in columns]
    if missing and (rows or settings.kind is not Kind.JSONL):
        also = f"; columns of lists or objects cannot be mapped: {', '.join(nested)}" if nested else ""
        hint = _delimiter_hint(settings, raw.names)
        raise unreadable(
            path, f"expected the columns {_listed(missing)}, found {_listed(raw.names)}{also}{hint}"
        )
    for name in missing:  # JSON lines, and none of them could be read
        columns[name] = Cells(pa.array([], pa.string()), np.empty(0, np.int32))
    return Frame(columns, raw.lines, _grouping(settings, columns, path, raw), raw.unit)


def _required(plan: Plan, settings: SourceSettings) -> set[str]:
    found = set(settings.group_by)
    for relation in (plan.document, *plan.children):
        for slot in relation.slots:
            if slot.required and not _has_default(slot.rule):
                found.update(slot.rule.columns)
    return found


def _has_default(rule: Rule) -> bool:
    return isinstance(rule, Copy) and rule.default is not None


def _grouping(settings: SourceSettings, columns: Mapping[str, Cells], path: Path, raw: Raw) -> Grouping:
    if not settings.group_by:
        return Grouping.each(len(raw.lines))
    keys = [columns[name] for name in settings.group_by]
    lost = [(entry.line, f"{entry.reason}: {entry.text[:80]!r}") for entry in raw.malformed]
    for name, cells in zip(settings.group_by, keys, strict=True):
        lost += [
            (int(raw.lines[row]), f"column {name} is empty")
            for row in np.flatnonzero(cells.codes < 0)[:_REPORTED_MAX]
        ]
    if lost:
        lost.sort()
        shown = "; ".join(f"{raw.unit} {line}: {why}" for line, why in lost[:_REPORTED_MAX])
        why = (
            "the document that they belong to would go on without them; correct them and read the file again"
        )
        raise unreadable(path, f"at least {len(lost)} {raw.unit}s belong to no document: {shown}; {why}")
    codes, firsts = combined(keys, len(raw.lines))
    return Grouping.of(codes, len(firsts))


def _delimiter_hint(settings: SourceSettings, names: Sequence[str]) -> str:
    if settings.kind is not Kind.CSV or len(names) != 1:
        return ""
    other = next((mark for mark in ";,\t|" if mark != settings.delimiter and mark in names[0]), None)
    return (
        "" if other is None else f"; the file seems to be separated by {other!r}: set delimiter = {other!r}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) if names else "none"


def _read_queries(settings: SourceSettings, contract: Contract, root: Path, site: str) -> Documents:
    unknown = settings.queries.keys() - {relation.name for relation in contract.relations}
    if unknown or contract.dataset not in settings.queries:
        known = ", ".join(relation.name for relation in contract.relations)
        raise ConfigError(
            "source-invalid",
            f"queries: expected {contract.dataset} and any other of {known}, got {', '.join(settings.queries)}",
        )
    tables = run_queries(settings.database or "", settings.queries, root)
    plan, problems = make_plan(
        settings, contract, site, {name: table.column_names for name, table in tables.items()}
    )
    frames, orphans = query_frames(settings, contract, plan, tables, problems)
    found = _formed(plan, contract, settings, frames)
    return replace(
        found,
        problems=(*found.problems, *(problem for problem, _ in orphans)),
        set_aside=(*found.set_aside, *(aside(row["line"], [problem], [row]) for problem, row in orphans)),
    )


def _formed(
    plan: Plan, contract: Contract, settings: SourceSettings, frames: Mapping[str, Frame]
) -> Documents:
    """Build, and take the documents with faults out."""
    faults = Faults()
    main = frames[plan.document.name]
    table = build(plan, contract, settings.forms, frames, faults)
    lines = main.lines[main.grouping.firsts]
    bad = faults.documents(main.grouping.documents)
    if not bad.any():
        return Documents(table, lines)
    rows: dict[int, list[dict[str, Any]]] = {document: [] for document in np.flatnonzero(bad).tolist()}
    for frame in {id(frame): frame for frame in frames.values()}.values():
        owners = frame.grouping.document[frame.grouping.order]
        hit = bad[owners]
        for owner, row in zip(owners[hit].tolist(), frame.raw(frame.grouping.order[hit]), strict=True):
            rows[owner].append(row)
    problems = faults.problems()
    set_aside = tuple(
        aside(int(lines[document]), found, rows[document]) for document, found in problems.items()
    )
    return Documents(
        table.filter(pa.array(~bad)), lines[~bad], tuple(chain.from_iterable(problems.values())), set_aside
    )


def _with_malformed(found: Documents, malformed: Sequence[Malformed], dataset: str) -> Documents:
    problems = [
        Problem("line-malformed", f"line {entry.line} {entry.reason}", dataset, entry.line)
        for entry in malformed
    ]
    rows = [
        aside(entry.line, [problem], [{"line": entry.line, "text": entry.text}])
        for entry, problem in zip(malformed, problems, strict=True)
    ]
    return replace(found, problems=(*found.problems, *problems), set_aside=(*found.set_aside, *rows))
