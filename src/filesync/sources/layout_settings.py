"""A layout's TOML form: everything that can be judged without the contract and without a file, all problems at once. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from filesync.errors import ConfigError
from filesync.protocol.identity import check_id
from filesync.sources.forms import ISO_DATE, Forms, form_problem
from filesync.sources.layouts import (
    Check,
    Constant,
    Counts,
    CountWithin,
    FromHeader,
    Layout,
    Part,
    Record,
    Rule,
    Shape,
)
from filesync.sources.rules import Reading

#: A longer line is no record of a billing file.
WIDTH_MAX: Final = 10_000
COLUMNS_MAX: Final = 500

_ENCODINGS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "latin-1": "latin-1", "iso-8859-1": "latin-1", "cp1252": "cp1252", "windows-1252": "cp1252",
}  # fmt: skip
_TOP: Final = {"dataset", "title", "shape", "encoding", "decimal", "thousands", "date", "records"}
_BY_SHAPE: Final = {"fixed": {"width", "cut"}, "csv": {"delimiter", "names"}}
_PART: Final = {"at", "column", "date", "decimals", "scale", "trim", "empty", "lookup", "default"}
_SPECIAL: Final = {"value", "count_within", "header"}
_CHECKS: Final = {"day", "equals", "counts", "sum_of"}


def parse_layout(name: str, table: Mapping[str, Any], origin: str = "") -> Layout:
    """The layout in a TOML table. Raises ConfigError "layout-invalid" naming every key path that is wrong."""
    reading = Reading()
    layout = _Parser(reading, table).layout(name, origin)
    if reading.problems or layout is None:
        raise ConfigError("layout-invalid", f"{origin or name}: " + "; ".join(reading.problems))
    return layout


class _Parser:
    """Reads one table; every problem is noted with its key path."""

    def __init__(self, reading: Reading, table: Mapping[str, Any]) -> None:
        self.reading = reading
        self.table = table
        self.shape: Shape = Shape.FIXED
        self.width = 0
        self.names = False

    def layout(self, name: str, origin: str) -> Layout | None:
        reading, table = self.reading, self.table
        try:
            check_id(name)
        except ValueError as err:
            reading.problem("name", f"of the file, without .toml: {err}")
        shape = reading.choice("shape", Shape, table.get("shape"))
        if shape is None:
            return None
        self.shape = shape
        for key in table.keys() - _TOP - _BY_SHAPE[shape.value]:
            reading.problem(
                key,
                f"no such setting for {shape.value}; known: {', '.join(sorted(_TOP | _BY_SHAPE[shape.value]))}",
            )
        if shape is Shape.FIXED:
            self.width = self._whole("width", table.get("width"), 1, WIDTH_MAX)
        self.names = self._flag("names", table.get("names", False))
        encoding = _ENCODINGS.get(str(table.get("encoding", "utf-8")).lower())
        if encoding is None:
            reading.problem("encoding", f"expected utf-8, latin-1 or cp1252, got {table['encoding']!r}")
        records = self._mapping("records", table.get("records"))
        for key in records.keys() - {"header", "detail", "trailer"}:
            reading.problem(f"records.{key}", "expected header, detail or trailer")
        header = self._record("header", records["header"]) if "header" in records else None
        trailer = self._record("trailer", records["trailer"]) if "trailer" in records else None
        marker, at, fields = self._detail(self._mapping("records.detail", records.get("detail")), header)
        made = Layout(
            name=name, dataset=reading.text("dataset", table.get("dataset")), title=reading.text("title", table.get("title", "")),
            shape=shape, encoding=encoding or "utf-8", forms=self._forms(), header=header, trailer=trailer,
            detail_marker=marker, detail_at=at, fields=fields, width=self.width, cut=self._flag("cut", table.get("cut", False)),
            delimiter=self._character("delimiter", table.get("delimiter", ";")), names=self.names, origin=origin,
            text=json.dumps(table, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":")),
        )  # fmt: skip
        self._whole_of(made)
        return made

    def _whole_of(self, layout: Layout) -> None:
        """What only the whole shows."""
        reading = self.reading
        markers = [record.marker for record in (layout.header, layout.trailer) if record is not None]
        if len(set(markers)) != len(markers) or (layout.detail_marker and layout.detail_marker in markers):
            reading.problem("records", "two kinds of records have the same marker")
        if layout.header is not None and not layout.header.marker and layout.names:
            reading.problem("records.header.marker", "is needed where a line of names comes too")
        if layout.trailer is not None and not layout.trailer.marker:
            reading.problem(
                "records.trailer.marker", "is needed: how else would a trailer be told from a detail?"
            )
        checks = [
            (f"records.{kind}.fields.{name}", check)
            for kind, record in (("header", layout.header), ("trailer", layout.trailer))
            if record is not None
            for name, check in record.parts.items()
        ]
        if sum(check.day for _, check in checks) > 1:
            reading.problem("records", "the day of a file is said once")
        for where, check in checks:
            if check.sum_of and not isinstance(layout.fields.get(check.sum_of), Part):
                reading.problem(f"{where}.sum_of", f"{check.sum_of!r} is not read from the details")
        for name, rule in layout.fields.items():
            if isinstance(rule, CountWithin):
                for other in rule.fields:
                    if not isinstance(layout.fields.get(other), Part | FromHeader):
                        reading.problem(
                            f"records.detail.fields.{name}.count_within",
                            f"{other!r} is not read from the file",
                        )

    # ---------------------------------------------------------------- records

    def _record(self, kind: str, value: object) -> Record:
        where = f"records.{kind}"
        table = self._mapping(where, value)
        self._known(where, table, {"marker", "at", "required", "fields"})
        parts = {}
        for name, spec in self._mapping(f"{where}.fields", table.get("fields", {})).items():
            at = f"{where}.fields.{name}"
            table_ = self._mapping(at, spec)
            self._known(at, table_, _PART | _CHECKS)
            parts[name] = self._check(at, name, table_)
        return Record(
            marker=self._marker(where, table),
            at=self._marker_at(where, table),
            required=self._flag(f"{where}.required", table.get("required", True)),
            parts=parts,
        )

    def _check(self, where: str, name: str, spec: Mapping[str, Any]) -> Check:
        given = sorted(_CHECKS & spec.keys())
        if len(given) > 1:
            self.reading.problem(where, f"{' and '.join(given)} cannot stand together")
        counts = self.reading.choice(f"{where}.counts", Counts, spec["counts"]) if "counts" in spec else None
        return Check(
            self._part(where, name, spec, header=True),
            day=self._flag(f"{where}.day", spec.get("day", False)),
            equals=self.reading.text(f"{where}.equals", spec["equals"]) if "equals" in spec else None,
            counts=counts,
            sum_of=self.reading.text(f"{where}.sum_of", spec["sum_of"]) if "sum_of" in spec else None,
        )

    def _detail(self, table: Mapping[str, Any], header: Record | None) -> tuple[str, int, dict[str, Rule]]:
        where = "records.detail"
        self._known(where, table, {"marker", "at", "fields"})
        fields: dict[str, Rule] = {}
        for name, spec in self._mapping(f"{where}.fields", table.get("fields")).items():
            at = f"{where}.fields.{name}"
            fields[name] = self._rule(at, name, self._mapping(at, spec), header)
        return (
            self._marker(where, table),
            self._marker_at(where, table),
            fields,
        )

    def _rule(self, where: str, name: str, spec: Mapping[str, Any], header: Record | None) -> Rule:
        special = sorted(_SPECIAL & spec.keys())
        if not special:
            self._known(where, spec, _PART)
            return self._part(where, name, spec, header=False)
        if len(spec) != 1:
            self.reading.problem(where, f"nothing may stand beside {special[0]}")
        if special[0] == "value":
            return Constant(self.reading.scalar(f"{where}.value", spec["value"]))
        if special[0] == "count_within":
            return CountWithin(self.reading.texts(f"{where}.count_within", spec["count_within"]))
        other = self.reading.text(f"{where}.header", spec["header"])
        if header is None or other not in header.parts:
            self.reading.problem(f"{where}.header", f"the header has no part called {other!r}")
        return FromHeader(other)

    def _part(self, where: str, name: str, spec: Mapping[str, Any], *, header: bool) -> Part:
        reading = self.reading
        first = last = 0
        column: str | int = 0
        wanted, other = ("at", "column") if self.shape is Shape.FIXED else ("column", "at")
        if other in spec or wanted not in spec:
            reading.problem(where, f"expected {wanted} in a {self.shape.value} layout")
        elif self.shape is Shape.FIXED:
            first, last = self._span(f"{where}.at", spec["at"])
        elif self.names and not header:
            column = reading.column(f"{where}.column", spec["column"])
        else:
            column = self._whole(f"{where}.column", spec["column"], 1, COLUMNS_MAX)
        date = spec.get("date")
        if date is not None and (why := form_problem(str(date))):
            reading.problem(f"{where}.date", why)
        scale = self._whole(f"{where}.scale", spec.get("scale", 1), 1, 10**9)
        decimals = self._whole(f"{where}.decimals", spec.get("decimals", 0), 0, 9)
        if scale % 10**decimals:
            reading.problem(
                f"{where}.decimals",
                f"{decimals} decimals do not fit: scale says that the field holds 1/{scale} of the file's unit",
            )
        lookup = spec.get("lookup")
        if lookup is not None:
            lookup = {
                str(key): reading.text(f"{where}.lookup.{key}", text)
                for key, text in self._mapping(f"{where}.lookup", lookup).items()
            }
        empty = spec.get("empty", [])
        return Part(
            name, first, last, column, None if date is None else str(date), decimals, scale,
            trim=reading.text(f"{where}.trim", spec.get("trim", "")),
            empty=reading.texts(f"{where}.empty", [empty] if isinstance(empty, str) else empty) if empty != [] else (),
            lookup=lookup,
            default=reading.scalar(f"{where}.default", spec["default"]) if "default" in spec else None,
        )  # fmt: skip

    # ---------------------------------------------------------------- values

    def _span(self, where: str, value: object) -> tuple[int, int]:
        if not isinstance(value, list) or len(value) != 2 or not all(type(place) is int for place in value):
            self.reading.problem(where, f"expected [first, last], got {value!r}")
            return 1, 1
        first, last = value
        if not 1 <= first <= last <= self.width:
            self.reading.problem(
                where, f"expected positions from 1 to {self.width} (width), got {first} to {last}"
            )
            return 1, 1
        return first, last

    def _marker(self, where: str, table: Mapping[str, Any]) -> str:
        marker = self.reading.text(f"{where}.marker", table.get("marker", ""))
        if not marker.isascii() or not marker.isprintable():
            self.reading.problem(f"{where}.marker", f"expected plain letters and digits, got {marker!r}")
        return marker

    def _marker_at(self, where: str, table: Mapping[str, Any]) -> int:
        if "at" in table and self.shape is Shape.CSV:
            self.reading.problem(f"{where}.at", "in a csv layout the marker is the first column")
        at = self._whole(f"{where}.at", table.get("at", 1), 1, max(self.width, 1))
        if self.shape is Shape.FIXED and at + len(str(table.get("marker", ""))) - 1 > self.width:
            self.reading.problem(f"{where}.marker", f"does not fit into {self.width} positions (width)")
        return at

    def _forms(self) -> Forms:
        decimal = self._character("decimal", self.table.get("decimal", ","))
        thousands = self.table.get("thousands", "")
        thousands = self._character("thousands", thousands) if thousands != "" else ""
        for where, mark in (("decimal", decimal), ("thousands", thousands)):
            if mark and (mark.isalnum() or mark in "+-"):
                self.reading.problem(where, f"cannot be {mark!r}")
        if decimal == thousands:
            self.reading.problem("thousands", f"is the same as decimal, {decimal!r}")
        date = self.table.get("date", ISO_DATE)
        if why := form_problem(str(date)):
            self.reading.problem("date", why)
        return Forms(decimal, thousands, str(date))

    def _known(self, where: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table.keys() - known:
            self.reading.problem(f"{where}.{key}", f"no such setting; known: {', '.join(sorted(known))}")

    def _mapping(self, where: str, value: object) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        self.reading.problem(where, "is missing" if value is None else f"expected a table, got {value!r}")
        return {}

    def _whole(self, where: str, value: object, least: int, most: int) -> int:
        if type(value) is int and least <= value <= most:
            return value
        self.reading.problem(where, f"expected a whole number from {least} to {most}, got {value!r}")
        return least

    def _flag(self, where: str, value: object) -> bool:
        if isinstance(value, bool):
            return value
        self.reading.problem(where, f"expected true or false, got {value!r}")
        return False

    def _character(self, where: str, value: object) -> str:
        if isinstance(value, str) and len(value) == 1 and value not in '"\r\n' and value.isascii():
            return value
        self.reading.problem(where, f"expected one character, got {value!r}")
        return ";"
