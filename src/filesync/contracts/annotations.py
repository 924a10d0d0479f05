"""`x-filesync` in, Definition out: keys, totals, rules, continuity and policies of a dataset. Pure.

- Names in it refer only to members that the schema describes, of a type that fits; all misfits are collected.
- `origem` is the first key column of every dataset: rows of different sites never share a key.

What is not here: the members themselves (subset.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from filesync.contracts.keywords import step
from filesync.contracts.model import (
    INT64_MAX,
    INT64_MIN,
    ColumnType,
    Continuity,
    Definition,
    Field,
    Late,
    OnBadRows,
    Relation,
    Rule,
    Term,
    Total,
)
from filesync.contracts.subset import read_members
from filesync.protocol.identity import check_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.contracts.keywords import Problems
    from filesync.contracts.subset import Members

ORIGEM: Final = "origem"
VERSION_MAX: Final = 2**53 - 1
TERMS_MAX: Final = 50
_MEMBERS: Final = frozenset(
    {
        *("dataset", "version", "key", "lines", "version_column", "active", "valid_from", "business_date"),
        "encrypted",
        *("totals", "rules", "continuity", "on_bad_rows", "late"),
    }
)
_DATASET: Final = re.compile("[a-z][a-z0-9]{0,23}").fullmatch
_TOTAL_NAME: Final = re.compile("[a-z][a-z0-9_]{0,62}").fullmatch
_RULE_NAME: Final = re.compile("[a-z][a-z0-9-]{0,40}").fullmatch
_KEY_TYPES: Final = (ColumnType.TEXT, ColumnType.INTEGER, ColumnType.DATE)
_PYTHON_TYPES: Final = {ColumnType.TEXT: str, ColumnType.INTEGER: int, ColumnType.BOOLEAN: bool}

E = TypeVar("E", bound=Enum)


def read_definition(schema: Mapping[str, Any], problems: Problems) -> Definition | None:
    """The definition that `schema` holds, or None with the reasons in `problems`."""
    members = read_members(schema, problems)
    notes = schema.get("x-filesync")
    if not isinstance(notes, Mapping):
        where = "/x-filesync" if "x-filesync" in schema else ""
        problems.add(where, "a contract needs x-filesync, an object with dataset, version and key")
        return None
    definition = _Notes(notes, members, problems).definition()
    return None if problems.found else definition


class _Notes:
    def __init__(self, notes: Mapping[str, Any], members: Members, problems: Problems) -> None:
        self.notes = notes
        self.members = members
        self.problems = problems
        self.scalars = {field.name: field for field in members.fields}
        self.lines = {line.name: {field.name: field for field in line.fields} for line in members.lines}

    def definition(self) -> Definition:
        for name in self.notes:
            if name not in _MEMBERS:
                self._add(name, why="is not an annotation of this version")
        dataset = self._dataset()
        key = self._key()
        encrypted = self.notes.get("encrypted", False)
        if not isinstance(encrypted, bool):
            self._add("encrypted", why="expected true or false")
        return Definition(
            dataset=dataset,
            version=self._version(),
            title=self.members.title or dataset,
            description=self.members.description,
            relations=self._relations(dataset, key),
            key=key,
            version_column=self._column("version_column", ColumnType.INTEGER),
            active_column=self._column("active", ColumnType.BOOLEAN),
            valid_from_column=self._valid_from(key),
            business_date_column=self._column("business_date", ColumnType.DATE, required=True),
            encrypted=encrypted is True,
            totals=self._totals(),
            rules=self._rules(),
            continuity=self._continuity(),
            on_bad_rows=self._choice("on_bad_rows", OnBadRows.REJECT),
            late=self._choice("late", Late.APPLY),
        )

    def _add(self, *path: str | int, why: str) -> None:
        pointer = "/x-filesync"
        for key in path:
            pointer = step(pointer, key)
        self.problems.add(pointer, why)

    def _dataset(self) -> str:
        dataset = self.notes.get("dataset")
        if not isinstance(dataset, str) or not _DATASET(dataset) or dataset == "sqlite":
            self._add("dataset", why="expected a name of a-z and 0-9, a letter first, at most 24 characters")
            return ""
        try:
            check_id(dataset)
        except ValueError as error:
            self._add("dataset", why=str(error))
        if dataset in self.lines:
            self._add("dataset", why=f"{dataset!r} is also the name of an array of lines")
        return dataset

    def _version(self) -> int:
        version = self.notes.get("version")
        if type(version) is not int or not 1 <= version <= VERSION_MAX:
            self._add("version", why="expected an integer from 1 on")
            return 0
        return version

    def _key(self) -> tuple[str, ...]:
        key = self._names("key", self.notes.get("key"), self.scalars, types=_KEY_TYPES, required=True)
        if key[:1] != (ORIGEM,):
            self._add("key", why=f"expected {ORIGEM!r} first: rows of different sites never share a key")
        elif self.scalars[ORIGEM].type is not ColumnType.TEXT:
            self._add("key", 0, why=f"expected {ORIGEM!r} to be a text")
        return key

    def _relations(self, dataset: str, key: tuple[str, ...]) -> tuple[Relation, ...]:
        lines = self.notes.get("lines", {})
        if not isinstance(lines, Mapping):
            self._add("lines", why="expected an object: the key columns of each array's lines")
            lines = {}
        for name in lines:
            if name not in self.lines:
                self._add("lines", name, why=f"there is no array {name!r}")
        columns = {name: field.column for name, field in self.scalars.items()}
        header = tuple(columns[name] for name in key)
        rest = tuple(column for name, column in columns.items() if name not in key)
        members = self.members
        relations = [
            Relation(dataset, dataset, key, header + rest, members.fields, members.title, members.description)
        ]
        for line in members.lines:
            if line.name not in lines:
                self._add("lines", why=f"the lines of {line.name!r} have no key")
            fields = self.lines[line.name]
            own = (
                self._names(("lines", line.name), lines[line.name], fields, types=_KEY_TYPES, required=True)
                if line.name in lines
                else ()
            )
            for name in set(fields) & set(key):
                self.problems.add(
                    "/properties/" + line.name, f"the member {name!r} of a line is also in the document's key"
                )
            relations.append(
                Relation(
                    line.name,
                    f"{dataset}_{line.name}",
                    key + own,
                    header
                    + tuple(fields[name].column for name in own)
                    + tuple(field.column for name, field in fields.items() if name not in own),
                    line.fields,
                    line.title,
                    line.description,
                    line.required,
                    line.min_items,
                    line.max_items,
                    own,
                )
            )
        return tuple(relations)

    def _names(
        self,
        path: str | tuple[str | int, ...],
        names: object,
        fields: Mapping[str, Field],
        *,
        types: Sequence[ColumnType],
        required: bool,
    ) -> tuple[str, ...]:
        """`names` as columns among `fields`; () with the reasons noted where any of them does not fit."""
        path = (path,) if isinstance(path, str) else path
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            self._add(*path, why="expected a list of at least one column")
            return ()
        if len(set(names)) != len(names):
            self._add(*path, why="expected every column once")
            return ()
        fits = [
            self._fits((*path, place), name, fields, types, required=required)
            for place, name in enumerate(names)
        ]
        return tuple(names) if all(fits) else ()

    def _fits(
        self,
        path: tuple[str | int, ...],
        name: object,
        fields: Mapping[str, Field],
        types: Sequence[ColumnType],
        *,
        required: bool,
    ) -> bool:
        field = fields.get(name) if isinstance(name, str) else None
        if field is None:
            self._add(*path, why=f"there is no column {name!r} here")
        elif field.type not in types:
            self._add(
                *path, why=f"{name!r} is {field.type.value}; expected {' or '.join(t.value for t in types)}"
            )
        elif required and not field.required:
            self._add(*path, why=f"{name!r} must be in required")
        else:
            return True
        return False

    def _column(self, note: str, kind: ColumnType, *, required: bool = False) -> str | None:
        if note not in self.notes:
            return None
        name = self.notes[note]
        return name if self._fits((note,), name, self.scalars, (kind,), required=required) else None

    def _valid_from(self, key: tuple[str, ...]) -> str | None:
        name = self._column("valid_from", ColumnType.DATE, required=True)
        if name is not None and (name not in key[1:] or self.notes.get("active") is None):
            self._add("valid_from", why=f"expected {name!r} in the key, and a column for active")
        return name

    def _choice(self, note: str, default: E) -> E:
        kinds = type(default)
        value = self.notes.get(note, default.value)
        for kind in kinds:
            if kind.value == value:
                return kind
        self._add(note, why=f"expected {' or '.join(repr(kind.value) for kind in kinds)}, got {value!r}")
        return default

    def _totals(self) -> tuple[Total, ...]:
        notes = self.notes.get("totals", {})
        if not isinstance(notes, Mapping):
            self._add("totals", why="expected an object")
            return ()
        totals = []
        for name, note in notes.items():
            if not _TOTAL_NAME(name):
                self._add("totals", name, why="expected a name of a-z, 0-9 and _, a letter first")
            if not isinstance(note, Mapping) or "sum" not in note or set(note) - {"sum", "by"}:
                self._add("totals", name, why="expected {'sum': column, 'by'?: column}")
                continue
            if (term := self._term(("totals", name, "sum"), note["sum"], signed=False)) is None:
                continue
            by = note.get("by")
            fields = self.lines[term.relation] if term.relation else self.scalars
            if by is not None:
                self._fits(("totals", name, "by"), by, fields, (ColumnType.TEXT,), required=True)
            totals.append(Total(name, term.relation, term.column, by if isinstance(by, str) else None))
        return tuple(totals)

    def _term(self, path: tuple[str | int, ...], text: object, *, signed: bool) -> Term | None:
        found = re.fullmatch("(-?)(?:([a-z0-9_]+)\\.)?([a-z0-9_]+)", text) if isinstance(text, str) else None
        if found is None or (found[1] and not signed):
            self._add(*path, why=f"expected a column or relation.column, got {text!r}")
            return None
        relation: str | None = found[2]
        if relation is not None and relation not in self.lines:
            self._add(*path, why=f"there is no array {relation!r}")
            return None
        fields = self.lines[relation] if relation else self.scalars
        if not self._fits(path, found[3], fields, (ColumnType.INTEGER,), required=False):
            return None
        return Term(-1 if found[1] else 1, relation, found[3])

    def _rules(self) -> tuple[Rule, ...]:
        notes = self.notes.get("rules", [])
        if not isinstance(notes, list):
            self._add("rules", why="expected a list")
            return ()
        rules: dict[str, Rule] = {}
        for place, note in enumerate(notes):
            if not isinstance(note, Mapping) or set(note) - {"name", "when", "left", "right", "message"}:
                self._add("rules", place, why="expected {name, left, right, when?, message?}")
                continue
            name, message = note.get("name"), note.get("message", "")
            if not isinstance(name, str) or not _RULE_NAME(name) or name in rules:
                self._add(
                    "rules", place, "name", why="expected a name of a-z, 0-9 and -, a letter first, each once"
                )
                continue
            if not isinstance(message, str):
                self._add("rules", place, "message", why="expected a text")
                message = ""
            sides = [
                self._side(("rules", place, side), note.get(side), terms_min)
                for side, terms_min in (("left", 1), ("right", 0))
            ]
            rules[name] = Rule(name, sides[0], sides[1], self._when(place, note.get("when", {})), message)
        return tuple(rules.values())

    def _side(self, path: tuple[str | int, ...], note: object, terms_min: int) -> tuple[Term, ...]:
        if not isinstance(note, list) or not terms_min <= len(note) <= TERMS_MAX:
            self._add(*path, why=f"expected a list of {terms_min} to {TERMS_MAX} terms")
            return ()
        terms = [self._term((*path, place), text, signed=True) for place, text in enumerate(note)]
        return tuple(term for term in terms if term is not None)

    def _when(self, place: int, note: object) -> tuple[tuple[str, tuple[str | int | bool, ...]], ...]:
        if not isinstance(note, Mapping):
            self._add("rules", place, "when", why="expected an object: the values of columns")
            return ()
        when = []
        for name, values in note.items():
            path = ("rules", place, "when", name)
            if not self._fits(path, name, self.scalars, tuple(_PYTHON_TYPES), required=False):
                continue
            kind = _PYTHON_TYPES[self.scalars[name].type]
            if (
                not isinstance(values, list)
                or not values
                or not all(_is_value(value, kind) for value in values)
            ):
                self._add(*path, why=f"expected a list of values of type {kind.__name__}")
                continue
            when.append((name, tuple(values)))
        return tuple(when)

    def _continuity(self) -> Continuity | None:
        note = self.notes.get("continuity")
        if "continuity" not in self.notes:
            return None
        if not isinstance(note, Mapping) or set(note) != {"number", "per"}:
            self._add("continuity", why="expected {number: column, per: [columns]}")
            return None
        path = ("continuity", "number")
        fits = self._fits(path, note["number"], self.scalars, (ColumnType.INTEGER,), required=True)
        per = self._names(
            ("continuity", "per"), note["per"], self.scalars, types=(ColumnType.TEXT,), required=True
        )
        return Continuity(note["number"], per) if fits and per else None


def _is_value(value: object, kind: type) -> bool:
    return type(value) is kind and not (type(value) is int and not INT64_MIN <= value <= INT64_MAX)
