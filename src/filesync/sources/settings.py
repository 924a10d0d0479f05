"""Where a dataset's rows come from, and how they are read: `[datasets.<name>.source]` as frozen settings.

Everything that can be judged without the contract and without the file is judged here, all problems at once,
each with its key path. What needs the contract (is there such a field?) is judged by `plan.py`; what needs
the file, when it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from filesync.errors import ConfigError
from filesync.sources.completeness import Completeness, parse_completeness
from filesync.sources.forms import ISO_DATE, Forms, form_problem
from filesync.sources.rules import Reading, RelationRules, Rule, read_columns

#: Raised when a rule begins to mean something else, so that unchanged files are read again.
MEANING: Final = 1

_COMMON: Final = {"kind", "columns", "decimal", "thousands", "date", "datetime", "offset"}
_KEYS: Final = {
    "csv": _COMMON | {"path", "complete", "encoding", "delimiter", "group_by"},
    "jsonl": _COMMON | {"path", "complete", "encoding", "group_by"},
    "parquet": _COMMON | {"path", "complete", "group_by"},
    "sql": _COMMON | {"database", "queries", "group_by"},
    "store": {"kind"},
}
_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "latin-1": "latin-1",
    "iso-8859-1": "latin-1",
    "cp1252": "cp1252",
    "windows-1252": "cp1252",
}


class Kind(Enum):
    """What a source is."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    SQL = "sql"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source. `document` and `relations` are empty where the columns are the contract's fields
    already.
    """

    kind: Kind
    path: str | None = None  # a glob, inside the site's root or absolute
    encoding: str = "utf-8"
    delimiter: str = ","
    forms: Forms = field(default_factory=Forms)
    group_by: tuple[str, ...] = ()
    document: Mapping[str, Rule] = field(default_factory=dict)
    relations: Mapping[str, RelationRules] = field(default_factory=dict)
    database: str | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    complete: Completeness | None = None  # when a dropped file is whole; None: nothing was said
    text: str = (
        ""  # canonical JSON of what was configured and decides what rows become: what the digest stands for
    )

    @property
    def mapped(self) -> bool:
        """Whether there is a column mapping at all."""
        return bool(self.document or self.relations)

    def digest(self, contract_name: str) -> str:
        """sha256 over everything that decides what a file's rows become. The same file under the same digest
        gives the same documents.
        """
        stated = json.dumps([MEANING, contract_name, self.text], separators=(",", ":"))
        return hashlib.sha256(stated.encode()).hexdigest()

    @classmethod
    def from_toml(cls, table: Mapping[str, Any]) -> SourceSettings:
        """Read a `source` table. Raises ConfigError "source-invalid" naming every key path that is wrong."""
        reading = Reading()
        kind = reading.choice("kind", Kind, table.get("kind"))
        if kind is None:
            raise ConfigError("source-invalid", reading.problems[0])
        for key in table.keys() - _KEYS[kind.value]:
            reading.problem(
                key, f"no such setting for {kind.value}; known: {', '.join(sorted(_KEYS[kind.value]))}"
            )
        columns = table.get("columns", {})
        if not isinstance(columns, Mapping):
            reading.problem("columns", f"expected a table, got {columns!r}")
            columns = {}
        document, relations = read_columns(reading, "columns", columns)
        settings = cls(
            kind=kind,
            path=reading.text("path", table["path"]) if "path" in table else None,
            encoding=_encoding(reading, table.get("encoding", "utf-8")),
            delimiter=_one_character(reading, "delimiter", table.get("delimiter", ",")),
            forms=_forms(reading, table),
            group_by=reading.texts("group_by", table["group_by"]) if "group_by" in table else (),
            document=document,
            relations=relations,
            database=reading.text("database", table["database"]) if "database" in table else None,
            queries=_queries(reading, table.get("queries", {})),
            complete=_complete(reading, table.get("complete")),
            text=_canonical(table),
        )
        _check_whole(reading, settings)
        if reading.problems:
            raise ConfigError("source-invalid", "; ".join(reading.problems))
        return settings


def _check_whole(reading: Reading, settings: SourceSettings) -> None:
    if settings.kind is Kind.SQL:
        if not settings.database:
            reading.problem("database", "expected the path of a SQLite file, or postgresql://...")
        if not settings.queries:
            reading.problem("queries", "expected one query per relation, for instance queries.vendas")
    elif settings.group_by and not settings.mapped:
        reading.problem(
            "group_by",
            "needs [columns]: it must be said which columns belong to the document and which to its lines",
        )
    if settings.forms.decimal == settings.forms.thousands:
        reading.problem("thousands", f"is the same as decimal, {settings.forms.decimal!r}")


def _encoding(reading: Reading, value: object) -> str:
    name = _ENCODINGS.get(str(value).lower())
    if name is None:
        reading.problem("encoding", f"expected utf-8, latin-1 or cp1252, got {value!r}")
    return name or "utf-8"


def _one_character(reading: Reading, where: str, value: object) -> str:
    if not isinstance(value, str) or len(value) != 1 or value in '"\r\n' or not value.isascii():
        reading.problem(where, f"expected one character, got {value!r}")
        return ","
    return value


def _forms(reading: Reading, table: Mapping[str, Any]) -> Forms:
    decimal = _one_character(reading, "decimal", table.get("decimal", "."))
    thousands = table.get("thousands", "")
    if thousands != "":
        thousands = _one_character(reading, "thousands", thousands)
    for where, mark in (("decimal", decimal), ("thousands", thousands)):
        if mark and (mark.isalnum() or mark in "+-"):
            reading.problem(where, f"cannot be {mark!r}")
    for where in ("date", "datetime"):
        if where in table and (why := form_problem(str(table[where]), with_time=where == "datetime")):
            reading.problem(where, why)
    offset = table.get("offset")
    if offset is not None and not re.fullmatch("[+-](0[0-9]|1[0-4]):[0-5][0-9]", str(offset)):
        reading.problem("offset", f"expected an offset such as -03:00, got {offset!r}")
        offset = None
    date_form, datetime_form = table.get("date"), table.get("datetime")
    return Forms(
        decimal,
        str(thousands),
        ISO_DATE if date_form is None else str(date_form),
        None if datetime_form is None else str(datetime_form),
        offset,
    )


def _complete(reading: Reading, value: object) -> Completeness | None:
    if value is None:
        return None
    try:
        return parse_completeness(str(value))
    except ValueError as err:
        reading.problem("complete", str(err))
        return None


def _queries(reading: Reading, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        reading.problem("queries", f"expected a table of relation = query, got {value!r}")
        return {}
    return {str(name): reading.text(f"queries.{name}", query) for name, query in value.items()}


def _canonical(table: Mapping[str, Any]) -> str:
    stated = {key: value for key, value in table.items() if key not in ("path", "complete")}
    return json.dumps(stated, sort_keys=True, separators=(",", ":"), default=str)
