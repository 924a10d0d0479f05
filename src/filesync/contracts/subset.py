"""JSON Schema in, Definition out: the closed subset that contracts are written in (schemas/README.md documents it). Pure.

- All problems are collected, each with the JSON pointer of the keyword, so that an author mends a schema in one go.
- A document is an object of scalars and of arrays of objects of scalars: one level, no deeper.
- A definition is checked where it is used; one that nobody uses is checked too.

What is not here: the keywords themselves (keywords.py), `x-filesync` (annotations.py), and checking documents (masks.py,
reference.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from filesync.contracts.documents import shown
from filesync.contracts.keywords import ANNOTATIONS, ARRAY, OBJECT, ROOT, Keywords, step, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filesync.contracts.keywords import Problems
    from filesync.contracts.model import Field

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
COLUMNS_MAX: Final = 500
_COLUMN_NAME: Final = re.compile("[a-z][a-z0-9_]{0,62}").fullmatch
_LOCAL_REF: Final = re.compile("#/\\$defs/([^/~%]+)").fullmatch


@dataclass(frozen=True, slots=True)
class Lines:
    """An array of objects, as read."""

    name: str
    title: str
    description: str
    required: bool
    fields: tuple[Field, ...]
    min_items: int
    max_items: int | None


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a document, as read: scalars, and arrays of lines."""

    title: str
    description: str
    fields: tuple[Field, ...]
    lines: tuple[Lines, ...]


def read_members(schema: Mapping[str, Any], problems: Problems) -> Members:
    """The members that `schema` describes; what cannot be read is left out and stands in `problems`."""
    return _Reading(schema, problems).document()


class _Reading:
    def __init__(self, schema: Mapping[str, Any], problems: Problems) -> None:
        self.schema = schema
        self.problems = problems
        self.keywords = Keywords(problems)

    def document(self) -> Members:
        schema = self.schema
        self.keywords.only(schema, ROOT, "", "a contract")
        self.keywords.annotations(schema, "")
        if schema.get("$schema", DRAFT) != DRAFT:
            self.problems.add("/$schema", f"expected {DRAFT!r}, got {schema['$schema']!r}")
        if not isinstance(schema.get("$id", ""), str):
            self.problems.add("/$id", "expected a text")
        self._unused_definitions()
        scalars: list[Field] = []
        lines: list[Lines] = []
        for name, member, pointer, required in self._properties(schema, ""):
            if member.get("type") == "array":
                lines.append(self._lines(name, member, pointer, required))
            elif (scalar := self.keywords.scalar(name, member, pointer, required)) is not None:
                scalars.append(scalar)
        return Members(text(schema, "title"), text(schema, "description"), tuple(scalars), tuple(lines))

    def _unused_definitions(self) -> None:
        """Definitions are checked where they are used; one that nobody uses is checked here, lest it waits for its first user."""
        definitions = self.schema.get("$defs", {})
        if not isinstance(definitions, Mapping):
            self.problems.add("/$defs", "expected an object")
            return
        used = _used(self.schema, definitions)
        for name, definition in definitions.items():
            pointer = step("/$defs", name)
            if name in used:
                continue
            if (member := self._resolved(definition, pointer)) is None:
                continue
            if member[0].get("type") == "object":
                self._line_fields(*member)
            elif member[0].get("type") == "array":
                self._lines(name, *member, required=False)
            else:
                self.keywords.scalar(name, *member, required=False)

    def _properties(
        self, schema: Mapping[str, Any], pointer: str
    ) -> Iterable[tuple[str, Mapping[str, Any], str, bool]]:
        """Name, schema, pointer and whether required, of each usable property; the object itself is checked on the way."""
        if schema.get("type") != "object":
            self.keywords.wrong_type(schema, pointer, "'object'")
        if schema.get("additionalProperties") is not False:
            where = step(pointer, "additionalProperties") if "additionalProperties" in schema else pointer
            self.problems.add(
                where, "expected additionalProperties: false; what is not described is not exchanged"
            )
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            self.problems.add(step(pointer, "properties"), "expected an object")
            properties = {}
        elif len(properties) > COLUMNS_MAX:
            self.problems.add(step(pointer, "properties"), f"expected at most {COLUMNS_MAX} members")
        required = self._required(schema, pointer, properties)
        for name, member in properties.items():
            where = step(step(pointer, "properties"), name)
            if not _COLUMN_NAME(name) or name.startswith("fs_"):
                self.problems.add(
                    where,
                    "expected a column name: a-z, 0-9 and _, a letter first, at most 63, not beginning with fs_",
                )
            if (resolved := self._resolved(member, where)) is not None:
                yield name, *resolved, name in required

    def _required(self, schema: Mapping[str, Any], pointer: str, properties: Mapping[str, Any]) -> set[str]:
        where = step(pointer, "required")
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            self.problems.add(where, "expected a list of names")
            return set()
        if len(set(required)) != len(required):
            self.problems.add(where, "expected every name once")
        for place, name in enumerate(required):
            if name not in properties:
                self.problems.add(
                    step(where, place), f"{name!r} is not in properties, so no document could be right"
                )
        return set(required)

    def _resolved(self, schema: object, pointer: str) -> tuple[Mapping[str, Any], str] | None:
        """`schema` with its `$ref` followed: the definition, under the annotations that stand beside the reference."""
        seen: set[str] = set()
        beside: dict[str, Any] = {}
        while True:
            if not isinstance(schema, Mapping):
                self.problems.add(pointer, f"expected an object, got {shown(schema)}")
                return None
            if "$ref" not in schema:
                return ({**schema, **beside} if beside else schema), pointer
            self.keywords.only(schema, ANNOTATIONS | {"$ref"}, pointer, "a reference")
            self.keywords.annotations(schema, pointer)
            beside = {
                key: schema[key] for key in ("title", "description", "examples") if key in schema
            } | beside
            target, pointer = self._target(schema["$ref"], step(pointer, "$ref"), seen)
            if target is None:
                return None
            schema = target

    def _target(self, reference: object, pointer: str, seen: set[str]) -> tuple[object, str]:
        found = _LOCAL_REF(reference) if isinstance(reference, str) else None
        definitions = self.schema.get("$defs")
        if found is None:
            self.problems.add(pointer, f"expected '#/$defs/<name>', got {shown(reference)}")
        elif not isinstance(definitions, Mapping) or found[1] not in definitions:
            self.problems.add(pointer, f"there is no {reference!r}")
        elif found[1] in seen:
            self.problems.add(pointer, f"{reference!r} refers to itself")
        else:
            seen.add(found[1])
            return definitions[found[1]], step("/$defs", found[1])
        return None, pointer

    def _lines(self, name: str, schema: Mapping[str, Any], pointer: str, required: bool) -> Lines:
        self.keywords.only(schema, ARRAY, pointer, "an array")
        self.keywords.annotations(schema, pointer)
        fields: tuple[Field, ...] = ()
        if "items" not in schema:
            self.problems.add(pointer, "an array needs items: an object of scalars")
        elif (items := self._resolved(schema["items"], step(pointer, "items"))) is not None:
            fields = self._line_fields(*items)
        low = self.keywords.count(schema, "minItems", pointer) or 0
        high = self.keywords.count(schema, "maxItems", pointer)
        return Lines(name, text(schema, "title"), text(schema, "description"), required, fields, low, high)

    def _line_fields(self, schema: Mapping[str, Any], pointer: str) -> tuple[Field, ...]:
        self.keywords.only(schema, OBJECT, pointer, "a line")
        self.keywords.annotations(schema, pointer)
        fields = []
        for name, member, where, required in self._properties(schema, pointer):
            if member.get("type") == "array":
                self.problems.add(step(where, "type"), "an array inside a line: one level, no deeper")
            elif (scalar := self.keywords.scalar(name, member, where, required)) is not None:
                fields.append(scalar)
        return tuple(fields)


def _used(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> set[str]:
    """The definitions that are reached from outside `$defs`."""
    used: set[str] = set()
    waiting: list[object] = [value for key, value in schema.items() if key != "$defs"]
    while waiting:
        for reference in _references(waiting.pop()):
            name = reference.removeprefix("#/$defs/")
            if name in definitions and name not in used:
                used.add(name)
                waiting.append(definitions[name])
    return used


def _references(node: object) -> Iterable[str]:
    waiting = [node]  # not by recursion: a file may nest deeper than Python calls
    while waiting:
        match waiting.pop():
            case Mapping() as members:
                waiting.extend(members.values())
                if isinstance(reference := members.get("$ref"), str):
                    yield reference
            case list() as values:
                waiting.extend(values)
