"""JSON Schema in, Definition out: the closed subset that contracts are written in (schemas/README.md documents it). Pure.

- Every keyword is known, stands where it means something, and has a value of the right kind; or it is refused. An
  unknown keyword is never skipped: one engine would enforce it and the other would not.
- All problems are collected, each with the JSON pointer of the keyword, so that an author mends a schema in one go.
- A document is an object of scalars and of arrays of objects of scalars: one level, no deeper.

What is not here: `x-filesync` (annotations.py), and checking documents (masks.py, reference.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.formats import FORMATS
from filesync.contracts.model import INT64_MAX, INT64_MIN, ColumnType, Field, SchemaProblem
from filesync.contracts.patterns import Pattern, PatternError, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
COLUMNS_MAX: Final = 500
LENGTH_MAX: Final = 2**31 - 1  # one Arrow text column holds no more bytes

_ANNOTATIONS: Final = frozenset({"title", "description", "examples", "$comment"})
_OBJECT: Final = frozenset({"type", "properties", "required", "additionalProperties"}) | _ANNOTATIONS
_ROOT: Final = _OBJECT | {"$schema", "$id", "$defs", "x-filesync"}
_ARRAY: Final = frozenset({"type", "items", "minItems", "maxItems"}) | _ANNOTATIONS
_SCALAR: Final = frozenset({"type", "enum", "const"}) | _ANNOTATIONS
_BY_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "string": _SCALAR | {"minLength", "maxLength", "pattern", "format"},
    "integer": _SCALAR | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": _SCALAR,
}
_DATE: Final = frozenset({"type", "format"}) | _ANNOTATIONS
_KNOWN: Final = _ROOT | _ARRAY | frozenset({"$ref"}).union(*_BY_TYPE.values())
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {"string": (str,), "integer": (int,), "boolean": (bool,)}
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


@dataclass(slots=True)
class Problems:
    """Collects problems in the order in which they are found, each once."""

    found: dict[SchemaProblem, None] = field(default_factory=dict)

    def add(self, pointer: str, message: str) -> None:
        self.found[SchemaProblem(pointer, message)] = None


@dataclass(frozen=True, slots=True)
class Members:
    """The members of a document, as read: scalars, and arrays of lines."""

    title: str
    description: str
    fields: tuple[Field, ...]
    lines: tuple[Lines, ...]


def step(pointer: str, key: str | int) -> str:
    """The JSON pointer (RFC 6901) of member `key` of what `pointer` points to."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def read_members(schema: Mapping[str, Any], problems: Problems) -> Members:
    """The members that `schema` describes; what cannot be read is left out and stands in `problems`."""
    return _Reading(schema, problems).document()


class _Reading:
    def __init__(self, schema: Mapping[str, Any], problems: Problems) -> None:
        self.schema = schema
        self.problems = problems

    def document(self) -> Members:
        schema = self.schema
        self._only(schema, _ROOT, "", "a contract")
        self._annotations(schema, "")
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
            elif (scalar := self._scalar(name, member, pointer, required)) is not None:
                scalars.append(scalar)
        return Members(_text(schema, "title"), _text(schema, "description"), tuple(scalars), tuple(lines))

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
                self._scalar(name, *member, required=False)

    def _properties(
        self, schema: Mapping[str, Any], pointer: str
    ) -> Iterable[tuple[str, Mapping[str, Any], str, bool]]:
        """Name, schema, pointer and whether required, of each usable property; the object itself is checked on the way."""
        if schema.get("type") != "object":
            self._wrong_type(schema, pointer, "'object'")
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
                self.problems.add(pointer, f"expected an object, got {_shown(schema)}")
                return None
            if "$ref" not in schema:
                return ({**schema, **beside} if beside else schema), pointer
            self._only(schema, _ANNOTATIONS | {"$ref"}, pointer, "a reference")
            self._annotations(schema, pointer)
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
            self.problems.add(pointer, f"expected '#/$defs/<name>', got {_shown(reference)}")
        elif not isinstance(definitions, Mapping) or found[1] not in definitions:
            self.problems.add(pointer, f"there is no {reference!r}")
        elif found[1] in seen:
            self.problems.add(pointer, f"{reference!r} refers to itself")
        else:
            seen.add(found[1])
            return definitions[found[1]], step("/$defs", found[1])
        return None, pointer

    def _lines(self, name: str, schema: Mapping[str, Any], pointer: str, required: bool) -> Lines:
        self._only(schema, _ARRAY, pointer, "an array")
        self._annotations(schema, pointer)
        fields: tuple[Field, ...] = ()
        if "items" not in schema:
            self.problems.add(pointer, "an array needs items: an object of scalars")
        elif (items := self._resolved(schema["items"], step(pointer, "items"))) is not None:
            fields = self._line_fields(*items)
        low = self._count(schema, "minItems", pointer) or 0
        high = self._count(schema, "maxItems", pointer)
        return Lines(name, _text(schema, "title"), _text(schema, "description"), required, fields, low, high)

    def _line_fields(self, schema: Mapping[str, Any], pointer: str) -> tuple[Field, ...]:
        self._only(schema, _OBJECT, pointer, "a line")
        self._annotations(schema, pointer)
        fields = []
        for name, member, where, required in self._properties(schema, pointer):
            if member.get("type") == "array":
                self.problems.add(step(where, "type"), "an array inside a line: one level, no deeper")
            elif (scalar := self._scalar(name, member, where, required)) is not None:
                fields.append(scalar)
        return tuple(fields)

    def _scalar(self, name: str, schema: Mapping[str, Any], pointer: str, required: bool) -> Field | None:
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in _BY_TYPE:
            self._wrong_type(schema, pointer, "'string', 'integer', 'boolean' or 'array'")
            self._only(schema, _KNOWN, pointer, "a contract")
            return None
        dated = kind == "string" and schema.get("format") == "date"
        self._only(schema, _DATE if dated else _BY_TYPE[kind], pointer, "a date" if dated else f"type {kind}")
        self._annotations(schema, pointer)
        column = {"integer": ColumnType.INTEGER, "boolean": ColumnType.BOOLEAN}.get(kind, ColumnType.TEXT)
        minimum, maximum = self._bounds(schema, pointer)
        examples = schema.get("examples")
        return Field(
            name=name,
            type=ColumnType.DATE if dated else column,
            required=required,
            title=_text(schema, "title"),
            description=_text(schema, "description"),
            examples=tuple(examples) if isinstance(examples, list) else (),
            choices=self._choices(schema, kind, pointer),
            minimum=minimum,
            maximum=maximum,
            multiple_of=self._int(schema, "multipleOf", pointer, 1, INT64_MAX),
            min_length=self._count(schema, "minLength", pointer),
            max_length=self._count(schema, "maxLength", pointer),
            pattern=self._pattern(schema, pointer),
            format=self._format(schema, pointer),
        )

    def _bounds(self, schema: Mapping[str, Any], pointer: str) -> tuple[int | None, int | None]:
        lows = [self._int(schema, "minimum", pointer), self._int(schema, "exclusiveMinimum", pointer)]
        highs = [self._int(schema, "maximum", pointer), self._int(schema, "exclusiveMaximum", pointer)]
        low = [bound + offset for bound, offset in zip(lows, (0, 1), strict=True) if bound is not None]
        high = [bound - offset for bound, offset in zip(highs, (0, 1), strict=True) if bound is not None]
        return max(low, default=None), min(high, default=None)

    def _choices(
        self, schema: Mapping[str, Any], kind: str, pointer: str
    ) -> tuple[str | int | bool, ...] | None:
        chosen: list[tuple[str | int | bool, ...]] = []
        if "const" in schema:
            chosen.append(self._values([schema["const"]], kind, step(pointer, "const"), listed=False))
        if "enum" in schema:
            where = step(pointer, "enum")
            if isinstance(schema["enum"], list) and schema["enum"]:
                chosen.append(self._values(schema["enum"], kind, where, listed=True))
            else:
                self.problems.add(where, "expected a list of at least one value")
        if not chosen:
            return None
        return tuple(value for value in chosen[0] if all(value in others for others in chosen[1:]))

    def _values(
        self, values: list[Any], kind: str, pointer: str, *, listed: bool
    ) -> tuple[str | int | bool, ...]:
        usable: dict[str | int | bool, None] = {}
        for place, value in enumerate(values):
            where = step(pointer, place) if listed else pointer
            if type(value) not in _TYPES[kind]:
                self.problems.add(where, f"expected a value of type {kind}, got {_shown(value)}")
            elif isinstance(value, str) and not storable(value):
                self.problems.add(
                    where, "expected a text without U+0000 and lone surrogates, which no store can hold"
                )
            elif type(value) is int and not INT64_MIN <= value <= INT64_MAX:
                self.problems.add(where, "expected an integer of 64 bits")
            elif value in usable:
                self.problems.add(where, f"{_shown(value)} is listed twice")
            else:
                usable[value] = None
        return tuple(usable)

    def _count(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> int | None:
        return self._int(schema, keyword, pointer, 0, LENGTH_MAX)

    def _int(
        self,
        schema: Mapping[str, Any],
        keyword: str,
        pointer: str,
        low: int = INT64_MIN,
        high: int = INT64_MAX,
    ) -> int | None:
        value = schema.get(keyword)
        if keyword not in schema:
            return None
        if type(value) is not int or not low <= value <= high:
            self.problems.add(
                step(pointer, keyword), f"expected an integer from {low} to {high}, got {_shown(value)}"
            )
            return None
        return value

    def _pattern(self, schema: Mapping[str, Any], pointer: str) -> Pattern | None:
        source = schema.get("pattern")
        if "pattern" not in schema:
            return None
        where = step(pointer, "pattern")
        if not isinstance(source, str):
            self.problems.add(where, f"expected a text, got {_shown(source)}")
            return None
        try:
            pattern = compile_pattern(source)
            pc.match_substring_regex(pa.array([""], pa.string()), source)  # RE2 has limits of its own
        except PatternError as error:
            self.problems.add(where, f"outside the common part of ECMA-262, Python and RE2: {error}")
        except pa.ArrowInvalid as error:
            self.problems.add(where, f"refused by RE2: {error}")
        else:
            return pattern
        return None

    def _format(self, schema: Mapping[str, Any], pointer: str) -> str | None:
        name = schema.get("format")
        if "format" not in schema:
            return None
        if not isinstance(name, str) or name not in FORMATS:
            self.problems.add(
                step(pointer, "format"), f"expected one of {', '.join(FORMATS)}; got {_shown(name)}"
            )
            return None
        return name

    def _wrong_type(self, schema: Mapping[str, Any], pointer: str, expected: str) -> None:
        if "type" not in schema:
            self.problems.add(pointer, f"no type; expected {expected}")
            return
        kind = schema["type"]
        why = ""
        if kind == "number":
            why = "; money and quantities are integers in the unit that the name says (_centavos, _milesimos, _g)"
        elif isinstance(kind, list):
            why = "; a member that may be missing is left out of required"
        self.problems.add(step(pointer, "type"), f"expected {expected}, got {_shown(kind)}{why}")

    def _annotations(self, schema: Mapping[str, Any], pointer: str) -> None:
        for keyword in ("title", "description", "$comment"):
            if not isinstance(schema.get(keyword, ""), str):
                self.problems.add(step(pointer, keyword), "expected a text")
        if not isinstance(schema.get("examples", []), list):
            self.problems.add(step(pointer, "examples"), "expected a list")

    def _only(self, schema: Mapping[str, Any], allowed: frozenset[str], pointer: str, what: str) -> None:
        for keyword in schema:
            if keyword not in allowed:
                why = f"does not apply to {what}" if keyword in _KNOWN else "is outside the documented subset"
                self.problems.add(step(pointer, keyword), f"the keyword {keyword!r} {why}")


def storable(text: str) -> bool:
    """Whether every store and file format here can hold `text`: no U+0000, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text if char > "\ud7ff")


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


def _text(schema: Mapping[str, Any], keyword: str) -> str:
    value = schema.get(keyword, "")
    return value if isinstance(value, str) else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
