"""What validation found: which documents are bad (masks), and, when asked, why (jsonschema and the row rules).

Naming is slow and bounded: at most `limit` problems, and documents of at most NAMED_LINES_MAX lines altogether, so that a
hostile batch cannot keep the station busy with explanations. What is bad is never bounded: that is the masks' word.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from filesync.contracts.documents import documents
from filesync.contracts.rules import in_words, sides
from filesync.protocol.receipt import PROBLEMS_MAX, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from filesync.contracts.model import Definition
    from filesync.contracts.textview import Mask

NAMED_LINES_MAX: Final = 20_000


class Findings:
    """The verdict on a table; `bad` is per document, None where all are right."""

    def __init__(
        self, definition: Definition, schema: Mapping[str, Any], table: pa.Table, bad: Mask | None
    ) -> None:
        self._definition = definition
        self._schema = schema
        self._table = table
        self._bad = bad

    @property
    def ok(self) -> bool:
        return self._bad is None

    @property
    def bad(self) -> pa.BooleanArray | None:
        return None if self._bad is None else pa.array(self._bad)

    @cached_property
    def bad_count(self) -> int:
        return 0 if self._bad is None else int(np.count_nonzero(self._bad))

    def problems(self, limit: int = PROBLEMS_MAX, offset: int = 0) -> list[Problem]:
        """The first `limit` problems, in document order; `row` is the document's place in the table plus `offset`."""
        if self._bad is None:
            return []
        found: list[Problem] = []
        lines_left = NAMED_LINES_MAX
        places = np.flatnonzero(self._bad)[:limit].tolist()
        for place in places:
            row = self._table.slice(place, 1)
            lines = sum(
                len(row.column(child.name)[0].values)
                for child in self._definition.children
                if row.column(child.name)[0].is_valid
            )
            if lines > lines_left:
                why = "breaks the contract; too many lines to say where"
                found.append(Problem("contract", why, self._definition.dataset, place + offset))
                continue
            lines_left -= lines
            document = documents(self._definition, row)[0]
            for problem in explain(self._definition, self._schema, document, place + offset):
                found.append(problem)
                if len(found) == limit:
                    return found
        return found[:limit]


def explain(
    definition: Definition, schema: Mapping[str, Any], document: Mapping[str, Any], row: int
) -> Iterator[Problem]:
    """Why a document that the masks flagged is bad; at least one problem."""
    # jsonschema is slow to import, and rarely needed
    from filesync.contracts.reference import document_validator, named

    nothing = True
    for error in document_validator(schema).iter_errors(document):
        nothing = False
        yield named(error, definition.dataset, row, hide_values=definition.encrypted)
    for problem in (*_broken_rules(definition, document, row), *_repeated_lines(definition, document, row)):
        nothing = False
        yield problem
    if nothing:  # the engines disagree: a bug, but the document stays out
        yield Problem(
            "contract",
            "breaks the contract, though no rule names it; please report this",
            definition.dataset,
            row,
        )


def _broken_rules(definition: Definition, document: Mapping[str, Any], row: int) -> Iterator[Problem]:
    for rule in definition.rules:
        both = sides(rule, document)
        if both is not None and both[0] != both[1]:
            values = "" if definition.encrypted else f", got {both[0]} and {both[1]}"
            why = f" ({rule.message})" if rule.message else ""
            yield Problem(
                f"rule-{rule.name}",
                f"expected {in_words(rule)}{values}{why}"[:300],
                definition.dataset,
                row,
                "",
            )


def _repeated_lines(definition: Definition, document: Mapping[str, Any], row: int) -> Iterator[Problem]:
    for relation in definition.children:
        seen: set[tuple[Any, ...]] = set()
        for place, line in enumerate(document.get(relation.name, ())):
            key = tuple((line or {}).get(name) for name in relation.line_key)
            if key in seen and None not in key:
                text = ", ".join(
                    f"{name} {value}" for name, value in zip(relation.line_key, key, strict=True)
                )
                yield Problem(
                    "line-repeated",
                    f"expected every line once, got {text} again"[:300],
                    relation.name,
                    row,
                    f"/{relation.name}/{place}",
                )
            seen.add(key)
