"""What a billing file says of itself, in its header and trailer, beside what was read of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from filesync.protocol.receipt import Problem
from filesync.sources.layout_values import read_text
from filesync.sources.layouts import Check, Counts, Layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from filesync.sources.records import Single


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a header or trailer says. `right` is None where there is nothing to compare it with."""

    record: str
    name: str
    line: int
    got: str
    expected: str | None
    right: bool | None


@dataclass(slots=True)
class Statements:
    """The statements of one file. `wrong`: those that are not so, a file-wide problem each."""

    layout: Layout
    file: str
    day: date | None = None
    said: list[Said] = field(default_factory=list)
    wrong: list[Problem] = field(default_factory=list)

    def hear(self, record: str, single: Single | None) -> None:
        """A header or trailer was read: what can be judged by itself is."""
        for name, check in self._checks(record).items() if single is not None else ():
            assert single is not None  # noqa: S101 -- the loop's condition
            got = single.values[name]
            if check.equals is not None:
                self._judge(record, name, single.line, got, check.equals, right=got == check.equals)
            elif check.day:
                self.day, expected = read_text(check.part, pa.date32(), got, self.layout.forms)
                if expected is not None:
                    self._judge(record, name, single.line, got, expected, right=False)
                else:
                    self.said.append(Said(record, name, single.line, got, None, None))
            elif check.counts is None and check.sum_of is None:
                self.said.append(Said(record, name, single.line, got, None, None))

    def compare(
        self, record: str, single: Single | None, details: int, records: int, sums: Mapping[str, int]
    ) -> None:
        """At the end: what a header or trailer counts and adds up, against what was read."""
        for name, check in self._checks(record).items() if single is not None else ():
            assert single is not None  # noqa: S101 -- the loop's condition
            if check.counts is None and check.sum_of is None:
                continue
            number, expected = read_text(check.part, pa.int64(), single.values[name], self.layout.forms)
            if expected is not None:
                self._judge(record, name, single.line, single.values[name], expected, right=False)
                continue
            if check.counts is not None:
                read, what = (
                    (details if check.counts is Counts.DETAILS else records),
                    f"the {check.counts.value} counted",
                )
            else:
                read, what = sums.get(check.sum_of or "", 0), f"the sum of {check.sum_of}"
            self._judge(record, name, single.line, str(number), str(read), right=number == read, what=what)
        self.said.sort(key=lambda said: said.line)

    def _checks(self, record: str) -> Mapping[str, Check]:
        found = self.layout.header if record == "header" else self.layout.trailer
        return found.parts if found is not None else {}

    def _judge(
        self, record: str, name: str, line: int, got: str, expected: str, *, right: bool, what: str = ""
    ) -> None:
        self.said.append(Said(record, name, line, got, expected, right))
        if right:
            return
        where = f"{self.file}, line {line}, {name} of the {record}"
        if what:
            self.wrong.append(
                Problem("layout-sums", f"{where}: expected {expected} ({what}), got {got}", None, line)
            )
        else:
            self.wrong.append(
                Problem("layout-mismatch", f"{where}: expected {expected}, got {got!r}", None, line)
            )
