"""Single keywords of the subset: which stand where, and what values they take. Pure.

Every keyword is known, stands where it means something, and has a value of the right kind; or it is refused. An unknown
keyword is never skipped: one engine would enforce it and the other would not.
What is not here: how members make up a document (subset.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.documents import shown
from filesync.contracts.formats import FORMATS
from filesync.contracts.model import INT64_MAX, INT64_MIN, ColumnType, Field, SchemaProblem
from filesync.contracts.patterns import Pattern, PatternError, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH_MAX: Final = 2**31 - 1  # one Arrow text column holds no more bytes

ANNOTATIONS: Final = frozenset({"title", "description", "examples", "$comment"})
OBJECT: Final = frozenset({"type", "properties", "required", "additionalProperties"}) | ANNOTATIONS
ROOT: Final = OBJECT | {"$schema", "$id", "$defs", "x-filesync"}
ARRAY: Final = frozenset({"type", "items", "minItems", "maxItems"}) | ANNOTATIONS
_SCALAR: Final = frozenset({"type", "enum", "const"}) | ANNOTATIONS
_BY_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "string": _SCALAR | {"minLength", "maxLength", "pattern", "format"},
    "integer": _SCALAR | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": _SCALAR,
}
_DATE: Final = frozenset({"type", "format"}) | ANNOTATIONS
_KNOWN: Final = ROOT | ARRAY | frozenset({"$ref"}).union(*_BY_TYPE.values())
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {"string": (str,), "integer": (int,), "boolean": (bool,)}


@dataclass(slots=True)
class Problems:
    """Collects problems in the order in which they are found, each once."""

    found: dict[SchemaProblem, None] = field(default_factory=dict)

    def add(self, pointer: str, message: str) -> None:
        self.found[SchemaProblem(pointer, message)] = None


def step(pointer: str, key: str | int) -> str:
    """The JSON pointer (RFC 6901) of member `key` of what `pointer` points to."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


class Keywords:
    """Reads the keywords of one schema; what is wrong goes into `problems`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def scalar(self, name: str, schema: Mapping[str, Any], pointer: str, required: bool) -> Field | None:
        """The scalar member that `schema` describes; None where it has no usable type."""
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in _BY_TYPE:
            self.wrong_type(schema, pointer, "'string', 'integer', 'boolean' or 'array'")
            self.only(schema, _KNOWN, pointer, "a contract")
            return None
        dated = kind == "string" and schema.get("format") == "date"
        self.only(schema, _DATE if dated else _BY_TYPE[kind], pointer, "a date" if dated else f"type {kind}")
        self.annotations(schema, pointer)
        column = {"integer": ColumnType.INTEGER, "boolean": ColumnType.BOOLEAN}.get(kind, ColumnType.TEXT)
        minimum, maximum = self._bounds(schema, pointer)
        examples = schema.get("examples")
        return Field(
            name=name,
            type=ColumnType.DATE if dated else column,
            required=required,
            title=text(schema, "title"),
            description=text(schema, "description"),
            examples=tuple(examples) if isinstance(examples, list) else (),
            choices=self._choices(schema, kind, pointer),
            minimum=minimum,
            maximum=maximum,
            multiple_of=self._int(schema, "multipleOf", pointer, 1, INT64_MAX),
            min_length=self.count(schema, "minLength", pointer),
            max_length=self.count(schema, "maxLength", pointer),
            pattern=self._pattern(schema, pointer),
            format=self._format(schema, pointer),
        )

    def only(self, schema: Mapping[str, Any], allowed: frozenset[str], pointer: str, what: str) -> None:
        for keyword in schema:
            if keyword not in allowed:
                why = f"does not apply to {what}" if keyword in _KNOWN else "is outside the documented subset"
                self.problems.add(step(pointer, keyword), f"the keyword {keyword!r} {why}")

    def annotations(self, schema: Mapping[str, Any], pointer: str) -> None:
        for keyword in ("title", "description", "$comment"):
            if not isinstance(schema.get(keyword, ""), str):
                self.problems.add(step(pointer, keyword), "expected a text")
        if not isinstance(schema.get("examples", []), list):
            self.problems.add(step(pointer, "examples"), "expected a list")

    def wrong_type(self, schema: Mapping[str, Any], pointer: str, expected: str) -> None:
        if "type" not in schema:
            self.problems.add(pointer, f"no type; expected {expected}")
            return
        kind = schema["type"]
        why = ""
        if kind == "number":
            why = "; money and quantities are integers in the unit that the name says (_centavos, _milesimos, _g)"
        elif isinstance(kind, list):
            why = "; a member that may be missing is left out of required"
        self.problems.add(step(pointer, "type"), f"expected {expected}, got {shown(kind)}{why}")

    def count(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> int | None:
        return self._int(schema, keyword, pointer, 0, LENGTH_MAX)

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
                self.problems.add(where, f"expected a value of type {kind}, got {shown(value)}")
            elif isinstance(value, str) and not storable(value):
                self.problems.add(
                    where, "expected a text without U+0000 and lone surrogates, which no store can hold"
                )
            elif type(value) is int and not INT64_MIN <= value <= INT64_MAX:
                self.problems.add(where, "expected an integer of 64 bits")
            elif value in usable:
                self.problems.add(where, f"{shown(value)} is listed twice")
            else:
                usable[value] = None
        return tuple(usable)

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
                step(pointer, keyword), f"expected an integer from {low} to {high}, got {shown(value)}"
            )
            return None
        return value

    def _pattern(self, schema: Mapping[str, Any], pointer: str) -> Pattern | None:
        source = schema.get("pattern")
        if "pattern" not in schema:
            return None
        where = step(pointer, "pattern")
        if not isinstance(source, str):
            self.problems.add(where, f"expected a text, got {shown(source)}")
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
                step(pointer, "format"), f"expected one of {', '.join(FORMATS)}; got {shown(name)}"
            )
            return None
        return name


def storable(text: str) -> bool:
    """Whether every store and file format here can hold `text`: no U+0000, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text if char > "\ud7ff")


def text(schema: Mapping[str, Any], keyword: str) -> str:
    """The value of an annotation; "" where it is absent or no text."""
    value = schema.get(keyword, "")
    return value if isinstance(value, str) else ""
