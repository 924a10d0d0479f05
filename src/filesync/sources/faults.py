"""What could not become a document, and why. A document with one fault is set aside whole; the others go on.

Faults are noted over whole columns (an array of rows and a way to word each); words are made only for what is
reported: the first row of each document and field. A missing value is reported only where no stronger fault
explains it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from filesync.protocol.receipt import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from filesync.sources.frame import Frame, Rows


@dataclass(frozen=True, slots=True)
class _Noted:
    frame: Frame
    relation: str
    field: str
    rows: Rows
    message: Callable[[int], str]
    code: str
    per_line: bool
    weak: bool


@dataclass(slots=True)
class Faults:
    """Collects while documents are built."""

    _noted: list[_Noted] = field(default_factory=list)

    def note(
        self,
        frame: Frame,
        relation: str,
        name: str,
        rows: Rows,
        message: Callable[[int], str],
        *,
        code: str,
        per_line: bool,
        weak: bool = False,
    ) -> None:
        """These rows' documents cannot be formed. `per_line`: the field is one of a line, not of the
        document.
        """
        self._noted.append(_Noted(frame, relation, name, rows, message, code, per_line, weak))

    def documents(self, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """A mask of the documents with faults."""
        bad = np.zeros(count, np.bool_)
        for noted in self._noted:
            documents = noted.frame.grouping.document[noted.rows]
            bad[documents[documents >= 0]] = True
        return bad

    def problems(self) -> dict[int, list[Problem]]:
        """For each document with faults, what is wrong: one problem per field, at the first line that has
        it.
        """
        found: dict[int, dict[tuple[str, str], Problem]] = {}
        for noted in sorted(self._noted, key=lambda noted: noted.weak):
            documents = noted.frame.grouping.document[noted.rows]
            each, first, count = np.unique(documents, return_index=True, return_counts=True)
            for document, at, rows in zip(each.tolist(), first.tolist(), count.tolist(), strict=True):
                fields = found.setdefault(document, {})
                if document >= 0 and (noted.relation, noted.field) not in fields:
                    fields[noted.relation, noted.field] = _problem(noted, int(noted.rows[at]), rows)
        found.pop(-1, None)
        return {document: list(fields.values()) for document, fields in sorted(found.items())}


def _problem(noted: _Noted, row: int, rows: int) -> Problem:
    frame = noted.frame
    grouping = frame.grouping
    line = int(frame.lines[row])
    pointer = f"/{noted.field}"
    if noted.per_line:
        document = int(grouping.document[row])
        begin, end = int(grouping.starts[document]), int(grouping.starts[document + 1])
        position = int(np.flatnonzero(grouping.order[begin:end] == row)[0])
        pointer = f"/{noted.relation}/{position}/{noted.field}"
    more = f" (and {rows - 1} more {frame.unit}s of this document)" if rows > 1 and noted.per_line else ""
    return Problem(
        noted.code,
        f"{frame.unit} {line}, {noted.field}: {noted.message(row)}{more}",
        noted.relation,
        line,
        pointer,
    )
