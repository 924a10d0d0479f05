"""Whether the members of a document only became wider from one version of a contract to the next. Pure; a part of compatibility.py.

A member that is a list of values is compared value by value, a pattern exactly (inclusion.py), everything else by its keyword.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from filesync.contracts.documents import shown
from filesync.contracts.formats import FORMATS
from filesync.contracts.inclusion import missed
from filesync.contracts.keywords import step
from filesync.contracts.model import INT64_MAX, INT64_MIN, ColumnType, Field, Relation
from filesync.contracts.patterns import PatternError

if TYPE_CHECKING:
    from filesync.contracts.contract import Contract
    from filesync.contracts.keywords import Problems

#: Formats, each with those that it contains.
_WIDER: Final = {"cpf-cnpj": {"cpf", "cnpj"}}
_LOST_SHOWN: Final = 5

Value = str | int | bool
Path = tuple[str, ...]


class Members:
    """The comparison of two versions' members; `compare` puts what it finds into `found`, with its place in the new schema."""

    def __init__(self, new: Contract, old: Contract, found: Problems) -> None:
        self.new, self.old = new.definition, old.definition
        self.schema = new.schema
        self.before = old.name
        self.found = found

    def compare(self) -> None:
        """Look at every member of both versions."""
        new_lines = {relation.name: relation for relation in self.new.children}
        old_lines = {relation.name: relation for relation in self.old.children}
        self._fields((), self.new.relations[0], self.old.relations[0], new_lines, old_lines)
        for name, old in old_lines.items():
            path = ("properties", name)
            new = new_lines.get(name)
            if new is None:
                if any(field.name == name for field in self.new.relations[0].fields):
                    self._add((*path, "type"), "expected 'array', as it was")
                else:
                    self._gone(path, name)
            else:
                self._lines(path, new, old)
        for name, relation in new_lines.items():
            if name not in old_lines and relation.required and not _is_scalar(self.old.relations[0], name):
                self._needed((), name, "a new array")

    def _fields(
        self,
        path: Path,
        new: Relation,
        old: Relation,
        arrays: Mapping[str, object],
        arrays_before: Mapping[str, object],
    ) -> None:
        known = {field.name: field for field in old.fields}
        fields = {field.name: field for field in new.fields}
        for name, before in known.items():
            where = (*path, "properties", name)
            if name in fields:
                self._field(path, fields[name], before)
            elif name in arrays:
                self._add((*where, "type"), f"expected {_json_type(before)!r}, as it was, got 'array'")
            else:
                self._gone(where, name)
        for name, field in fields.items():
            if name not in known and name not in arrays_before and field.required:
                self._needed(path, name, "a new member")

    def _lines(self, path: Path, new: Relation, old: Relation) -> None:
        if new.line_key != old.line_key:
            self.found.add(
                step("/x-filesync/lines", new.name),
                f"expected {', '.join(old.line_key)}, got {', '.join(new.line_key)}: lines that are held would be others",
            )
        if new.required and not old.required:
            self._needed((), new.name, "what was optional")
        if new.min_items > old.min_items:
            self._add(
                (*path, "minItems"), f"expected at most {old.min_items}, as it was, got {new.min_items}"
            )
        if new.max_items is not None and (old.max_items is None or new.max_items < old.max_items):
            self._add((*path, "maxItems"), f"expected {_least(old.max_items)}, got {new.max_items}")
        self._fields((*path, "items"), new, old, {}, {})

    def _gone(self, path: Path, name: str) -> None:
        self._add(
            path, f"{name!r} is gone or has another name now: {self.before} sends it, and its column is read"
        )

    def _needed(self, path: Path, name: str, what: str) -> None:
        required = self._node((*path, "required"))
        place = (str(required.index(name)),) if isinstance(required, list) and name in required else ()
        self._add(
            (*path, "required", *place),
            f"{name!r} is {what} and may not be required: {self.before} knows documents without it",
        )

    def _field(self, path: Path, new: Field, old: Field) -> None:
        where = (*path, "properties", new.name)
        if new.type is not old.type:
            self._add((*where, "type"), f"expected {_described(old)}, as it was, got {_described(new)}")
            return
        if new.required and not old.required:
            self._needed(path, new.name, "what was optional")
        if old.required and not new.required:
            self._add(
                where,
                f"{new.name!r} must stay in required: no row that is held lacks it, and tables and readers count on that",
            )
        if old.choices is not None:
            self._choices(where, new, [value for value in old.choices if _admits(old, value)])
        elif new.choices is not None and not (new.type is ColumnType.BOOLEAN and len(new.choices) > 1):
            self._add(
                self._keyword(where, "enum", "const"),
                f"only {_some(new.choices)} would be right; {self.before} has no such list",
            )
        elif new.type is ColumnType.INTEGER:
            self._integer(where, new, old)
        elif new.type is ColumnType.TEXT:
            self._text(where, new, old)

    def _choices(self, where: Path, new: Field, values: list[Value]) -> None:
        lost = [value for value in values if not _admits(new, value)]
        if lost:
            listed = new.choices is not None and any(value not in new.choices for value in lost)
            self._add(
                self._keyword(where, "enum", "const") if listed else where,
                f"{_some(lost)} would not be right any more; {self.before} allows it",
            )

    def _integer(self, where: Path, new: Field, old: Field) -> None:
        low, high = _bound(old.minimum, INT64_MIN), _bound(old.maximum, INT64_MAX)
        if _bound(new.minimum, INT64_MIN) > low:
            self._add(
                self._keyword(where, "minimum", "exclusiveMinimum"),
                f"expected at most {low}, as it was, got {new.minimum}",
            )
        if _bound(new.maximum, INT64_MAX) < high:
            self._add(
                self._keyword(where, "maximum", "exclusiveMaximum"),
                f"expected at least {high}, as it was, got {new.maximum}",
            )
        if new.multiple_of is not None and (old.multiple_of or 1) % new.multiple_of:
            self._add(
                (*where, "multipleOf"), f"expected a divisor of {old.multiple_of or 1}, got {new.multiple_of}"
            )

    def _text(self, where: Path, new: Field, old: Field) -> None:
        if (new.min_length or 0) > (old.min_length or 0):
            self._add(
                (*where, "minLength"),
                f"expected at most {old.min_length or 0}, as it was, got {new.min_length}",
            )
        if new.max_length is not None and (old.max_length is None or new.max_length < old.max_length):
            self._add((*where, "maxLength"), f"expected {_least(old.max_length)}, got {new.max_length}")
        if (
            new.format is not None
            and new.format != old.format
            and old.format not in _WIDER.get(new.format, ())
        ):
            self._add(
                (*where, "format"), f"expected {old.format or 'no format'}, as it was, got {new.format}"
            )
        if new.pattern is not None:
            if old.pattern is None:
                self._add((*where, "pattern"), f"expected no pattern, as it was, got {new.pattern.source!r}")
            else:
                self._pattern((*where, "pattern"), new.pattern.source, old.pattern.source)

    def _pattern(self, where: Path, new: str, old: str) -> None:
        try:
            text = missed(old, new)
        except PatternError as error:
            self._add(where, f"it cannot be shown that this finds all that {old!r} does: {error}")
            return
        if text is not None:
            self._add(where, f"{text!r} would not be right any more; {old!r} allows it")

    # ------------------------------------------------------------------------------------------------ places

    def _add(self, path: Path, message: str) -> None:
        self.found.add(self._pointer(path)[0], message)

    def _keyword(self, where: Path, *names: str) -> Path:
        """`where` with that one of these keywords which stands there."""
        node = self._node(where)
        return next(((*where, name) for name in names if isinstance(node, Mapping) and name in node), where)

    def _node(self, path: Path) -> Any:
        return self._pointer(path)[1]

    def _pointer(self, path: Path) -> tuple[str, Any]:
        """The pointer of a place in the new schema, references followed, and what is there (None: nothing)."""
        node: Any = self.schema
        pointer = ""
        for name in path:
            node, pointer = self._resolved(node, pointer)
            pointer = step(pointer, name)
            if isinstance(node, list):
                node = node[int(name)]
            else:
                node = node.get(name) if isinstance(node, Mapping) else None
        return pointer, self._resolved(node, pointer)[0]

    def _resolved(self, node: Any, pointer: str) -> tuple[Any, str]:
        while isinstance(node, Mapping) and "$ref" in node:
            name = str(node["$ref"]).removeprefix("#/$defs/")
            node, pointer = self.schema["$defs"][name], step("/$defs", name)
        return node, pointer


def _is_scalar(relation: Relation, name: str) -> bool:
    return any(field.name == name for field in relation.fields)


def _admits(field: Field, value: Value) -> bool:
    """Whether a value of the right type is right for this field."""
    if field.choices is not None and value not in field.choices:
        return False
    if isinstance(value, str):
        return (
            (field.min_length or 0) <= len(value) <= _bound(field.max_length, INT64_MAX)
            and (field.pattern is None or field.pattern.matches(value))
            and (field.format is None or FORMATS[field.format](value))
        )
    if isinstance(value, bool):
        return True
    return (
        _bound(field.minimum, INT64_MIN) <= value <= _bound(field.maximum, INT64_MAX)
        and value % (field.multiple_of or 1) == 0
    )


def _bound(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _least(value: int | None) -> str:
    return "no limit, as it was" if value is None else f"at least {value}, as it was"


def _json_type(field: Field) -> str:
    return {ColumnType.INTEGER: "integer", ColumnType.BOOLEAN: "boolean"}.get(field.type, "string")


def _described(field: Field) -> str:
    return "a date" if field.type is ColumnType.DATE else f"{_json_type(field)!r}"


def _some(values: list[Value] | tuple[Value, ...]) -> str:
    listed = ", ".join(shown(value) for value in values[:_LOST_SHOWN])
    return listed + (f" and {len(values) - _LOST_SHOWN} more" if len(values) > _LOST_SHOWN else "")
