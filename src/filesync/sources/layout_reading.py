"""A billing file becomes rows of its contract, by a layout; what the file says of itself is compared with what was read.

- Whole columns at a time, by distinct values: half a million amounts are a few thousand different texts.
- A row with a part that cannot be read, that breaks the contract, or is of another day than the file's, is set aside with its line, the
  part, what was expected and what stands there; the others go on. A line that is no record is set aside too.
- What the trailer (or header) counts and adds up is compared with all details, those set aside included: a file that does not add up is
  wrong as a whole, and so is one in which a key stands twice. Such problems are in `wrong`.
- Memory: one block, and 20 bytes for each row where keys may repeat.

What is not here: which layout a file has (`layout_choice`), what becomes of a wrong file (day.filing).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.errors import ConfigError, RejectedError
from filesync.protocol.receipt import PROBLEMS_MAX, Problem
from filesync.sources.layout_checks import Said, Statements
from filesync.sources.layout_keys import KeysOnce, Numbering
from filesync.sources.layout_values import constant, read_part, read_text
from filesync.sources.layouts import Constant, CountWithin, FromHeader, Layout, Part
from filesync.sources.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from filesync.contracts import Contract
    from filesync.sources.frame import Rows
    from filesync.sources.records import Details

ORIGIN: Final = "origem"
#: More rows than this are not kept one by one: the layout is not that of the file.
ASIDE_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Some good rows of the file, in the contract's Arrow schema, and the line of each."""

    table: pa.Table
    lines: Rows


@dataclass(slots=True)
class Found:
    """What is known of a file; whole when its pieces were all taken.

    `details` counts every detail, `bad` those set aside: `problems` names some of them, `aside` keeps their lines as JSON. `wrong` is wrong
    with the file as a whole. `sums` are over all details that could be read, `days` count the rows of each day.
    """

    day: date | None = None
    details: int = 0
    records: int = 0
    bad: int = 0
    problems: list[Problem] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    wrong: list[Problem] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)
    days: Counter[date] = field(default_factory=Counter)

    def set_aside(self, line: int, text: str, problems: Sequence[Problem]) -> None:
        """One more row that is not taken."""
        self.bad += 1
        self.problems.extend(problems[: PROBLEMS_MAX - len(self.problems)])
        if len(self.aside) < ASIDE_MAX:
            self.aside.append(json.dumps({"line": line, "text": text}, ensure_ascii=False))


class _Judged:
    """The rows of one piece: which are bad, and why (for the first of them)."""

    def __init__(self, details: Details, dataset: str, file: str) -> None:
        self.details = details
        self.dataset = dataset
        self.file = file
        self.bad = np.zeros(len(details.lines), np.bool_)
        self.problems: dict[int, list[Problem]] = {}

    def refuse(self, rows: np.ndarray[Any, Any], name: str, code: str, message: Any, where: str = "") -> None:
        """These rows are bad; `message` words it for one of them."""
        self.bad[rows] = True
        for row in rows[:PROBLEMS_MAX].tolist():
            line = int(self.details.lines[row])
            text = f"{self.file}, line {line}, {name}{where}: {message(row)}"
            self.problems.setdefault(row, []).append(Problem(code, text, self.dataset, line, f"/{name}"))


class LayoutReading:
    """Reads one file once: iterate `pieces()`, then look at `found`. With `day`, rows of another day are set aside.

    Raises ConfigError "layout-unfit" where the layout does not give what the contract needs.
    """

    def __init__(
        self, layout: Layout, contract: Contract, path: Path, *, site: str, day: date | None = None
    ) -> None:
        check_fields(layout, contract)
        self.layout = layout
        self.contract = contract
        self.path = path
        self.day = day
        self.found = Found()
        self._site = site
        self._records = Records(layout, path)
        self._statements = Statements(layout, path.name, said=self.found.said, wrong=self.found.wrong)
        self._header: dict[str, Any] | None = None
        rules = layout.fields.items()
        self._numbering = {name: Numbering() for name, rule in rules if isinstance(rule, CountWithin)}
        self._once = None if _numbers_itself(layout, contract) else KeysOnce(contract.key)

    def pieces(self) -> Iterator[Piece]:
        """The good rows, as they stand in the file. Raises RejectedError for a file that is not in order (records.py)."""
        found, records = self.found, self._records
        for details in records:
            self._hear_header()
            yield self._piece(details)
            if found.bad > ASIDE_MAX:
                raise RejectedError(
                    "layout-unfit",
                    f"{self.path.name}: more than {ASIDE_MAX} rows cannot be read by the layout {self.layout.name}; "
                    f"the first: {found.problems[0].message}",
                )
        self._hear_header()
        found.details, found.records = records.details, records.records
        self._statements.hear("trailer", records.trailer)
        found.day = self._statements.day
        for record, single in (("header", records.header), ("trailer", records.trailer)):
            self._statements.compare(record, single, found.details, found.records, found.sums)
        again, lines = (0, []) if self._once is None else self._once.repeated()
        if again:
            key = ", ".join(name for name in self.contract.key if name != ORIGIN)
            shown = ", ".join(f"{one} and {other}" for one, other in lines)
            message = f"{self.path.name}: expected each {key} once, got {again} rows whose key stands before: lines {shown}"
            found.wrong.append(Problem("duplicate-key", message, self.contract.dataset, lines[0][1]))

    def _hear_header(self) -> None:
        """Once, when the header has been read: what it says of itself, and the values that the details take from it."""
        single = self._records.header
        if self._header is not None:
            return
        self._header = {}
        self._statements.hear("header", single)
        self.found.day = self._statements.day
        if single is None or self.layout.header is None:
            return
        for field_name, rule in self.layout.fields.items():
            if isinstance(rule, FromHeader):
                part, got = self.layout.header.parts[rule.name].part, single.values[rule.name]
                value, expected = read_text(part, self._type(field_name), got, self.layout.forms)
                self._header[field_name] = value
                if expected is not None and not self.layout.header.parts[rule.name].day:
                    message = f"{self.path.name}, line {single.line}, {rule.name} of the header: expected {expected}, got {got!r}"
                    self.found.wrong.append(Problem("layout-mismatch", message, None, single.line))

    # ---------------------------------------------------------------- details

    def _piece(self, details: Details) -> Piece:
        found = self.found
        dataset, file = self.contract.dataset, self.path.name
        for malformed in details.malformed:
            problem = Problem(
                "row-malformed", f"{file}, line {malformed.line}: {malformed.reason}", dataset, malformed.line
            )
            found.set_aside(malformed.line, malformed.text, [problem])
        judged = _Judged(details, dataset, file)
        columns = self._columns(details, judged)
        for name in self.layout.sums:
            found.sums[name] = found.sums.get(name, 0) + _exact_sum(columns[name])
        schema, count = self.contract.arrow_schema, len(details.lines)
        table = pa.table([columns.get(f.name, pa.nulls(count, f.type)) for f in schema], schema=schema)
        self._days(table, judged)
        self._contract(table, judged)
        if self._once is not None:
            self._once.add(table, details.lines)
        bad = judged.bad
        for row in np.flatnonzero(bad).tolist():
            found.set_aside(int(details.lines[row]), details.text(row), judged.problems.get(row, []))
        return (
            Piece(table.filter(pa.array(~bad)), details.lines[~bad])
            if bad.any()
            else Piece(table, details.lines)
        )

    def _columns(self, details: Details, judged: _Judged) -> dict[str, pa.Array]:
        count = len(details.lines)
        columns: dict[str, pa.Array] = {ORIGIN: constant(self._site, pa.string(), count)}
        for name, rule in self.layout.fields.items():
            kind = self._type(name)
            if isinstance(rule, Part):
                texts = details.columns[name]
                columns[name], unread = read_part(rule, kind, texts, self.layout.forms)
                for rows, expected in unread:
                    judged.refuse(
                        rows, name, "value-unreadable", lambda row, t=texts, e=expected: f"expected {e}, got {t[row].as_py()!r}",
                        f" ({rule.where})",
                    )  # fmt: skip
            elif isinstance(rule, Constant):
                columns[name] = constant(rule.value, kind, count)
            elif isinstance(rule, FromHeader):
                columns[name] = constant((self._header or {}).get(name), kind, count)
        for name, rule in self.layout.fields.items():
            if isinstance(rule, CountWithin):
                columns[name] = self._numbering[name].numbers([columns[other] for other in rule.fields])
        return columns

    def _days(self, table: pa.Table, judged: _Judged) -> None:
        column = self.contract.business_date_column
        if column is None:
            return
        days = table.column(column)
        for entry in pc.value_counts(days).to_pylist():
            if entry["values"] is not None:
                self.found.days[entry["values"]] += entry["counts"]
        if self.day is None:
            return
        other = pc.fill_null(pc.not_equal(days, pa.scalar(self.day, pa.date32())), fill_value=False)
        rows = np.flatnonzero(
            np.asarray(
                other.to_numpy(zero_copy_only=False) if isinstance(other, pa.Array) else other.to_numpy()
            )
        )
        judged.refuse(
            rows, column, "row-of-another-day", lambda row: f"expected {self.day}, the day of the file, got {days[row].as_py()}"
        )  # fmt: skip

    def _contract(self, table: pa.Table, judged: _Judged) -> None:
        findings = self.contract.validate(table)
        if findings.bad is None:
            return
        named = set(judged.problems)  # what could not be read is null here: it was told already
        for problem in findings.problems(PROBLEMS_MAX):
            row = problem.row or 0
            if row not in named:
                name = (problem.pointer or "").strip("/")
                judged.refuse(np.array([row]), name, problem.code, lambda _, p=problem: p.message)
        judged.bad |= np.asarray(findings.bad.to_numpy(zero_copy_only=False), np.bool_)

    def _type(self, name: str) -> pa.DataType:
        return self.contract.arrow_schema.field(name).type


def _numbers_itself(layout: Layout, contract: Contract) -> bool:
    """Whether a part of the key counts the rows that agree in the others: then none can stand twice."""
    key = set(contract.key)
    return any(
        isinstance(rule, CountWithin) and name in key and key - {name, ORIGIN} <= set(rule.fields)
        for name, rule in layout.fields.items()
    )


def check_fields(layout: Layout, contract: Contract) -> None:
    """Raise ConfigError "layout-unfit" where the layout and the contract do not go together."""
    document = contract.relations[0]
    known = {f.name for f in document.fields}
    problems: list[str] = []
    if layout.dataset != contract.dataset or len(contract.relations) > 1:
        problems.append(f"expected a layout of {contract.dataset}, got one of {layout.dataset}")
    strange = sorted(layout.fields.keys() - known)
    if strange:
        problems.append(f"{contract.name} has no field {', '.join(strange)}")
    missing = sorted(
        f.name for f in document.fields if f.required and f.name not in layout.fields and f.name != ORIGIN
    )
    if missing:
        problems.append(f"expected a rule for {', '.join(missing)}, which {contract.name} requires")
    if problems:
        raise ConfigError("layout-unfit", f"{layout.origin or layout.name}: {'; '.join(problems)}")


def _exact_sum(values: pa.Array) -> int:
    """Sums of what was not judged yet may be larger than 64 bits hold."""
    if not len(values) or values.null_count == len(values):
        return 0
    bounds = pc.min_max(values).as_py()
    if max(abs(bounds["min"]), abs(bounds["max"])) < 2**62 // len(values):
        return int(pc.sum(values).as_py() or 0)
    numbers: Sequence[int | None] = values.to_pylist()
    return sum(number for number in numbers if number is not None)
