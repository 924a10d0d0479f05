"""jsonschema: the reference engine. It says what a contract means, names what a mask flagged, and judges manifests and receipts.

Draft 2020-12, with what the drafts leave open made precise:
- `$` in a pattern is the end of the text, as in ECMA-262 (patterns.py); patterns are those of the common part;
- the formats of formats.py, and those only, are asserted;
- in documents an integer has 64 bits (1.0 is one), and a text holds neither U+0000 nor lone surrogates: no column can
  hold others. In manifests and receipts 1.0 is no integer: their decoder lets no fraction through.

jsonschema takes a while to import, so this module is imported only when it is needed.
What is not here: row rules and repeated keys (findings.py), types of Python values (documents.py).
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from filesync.contracts.documents import shown
from filesync.contracts.formats import FORMATS
from filesync.contracts.keywords import storable
from filesync.contracts.model import INT64_MAX, INT64_MIN
from filesync.contracts.patterns import compile_pattern
from filesync.protocol.receipt import PROBLEMS_MAX, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MESSAGE_CHARS_MAX: Final = 300
PATTERN_SHOWN_MAX: Final = 80


def _is_column_integer(checker: object, instance: object) -> bool:
    del checker
    if isinstance(instance, bool):
        return False
    if isinstance(instance, float):
        return instance.is_integer() and INT64_MIN <= int(instance) <= INT64_MAX
    return isinstance(instance, int) and INT64_MIN <= instance <= INT64_MAX


def _is_column_text(checker: object, instance: object) -> bool:
    del checker
    return isinstance(instance, str) and storable(instance)


def _pattern(
    validator: Any, pattern: str, instance: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    del schema
    if validator.is_type(instance, "string") and not compile_pattern(pattern).matches(str(instance)):
        yield ValidationError(f"{shown(instance)} does not match {pattern!r}")


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, is_right in FORMATS.items():
        checker.checks(name)(_for_texts(is_right))
    return checker


def _for_texts(is_right: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda instance: not isinstance(instance, str) or is_right(instance)


_TYPES: Final = Draft202012Validator.TYPE_CHECKER
_FORMATS: Final = _formats()
_extend: Any = validators.extend  # the stubs leave it untyped
EnvelopeValidator: Final[Any] = _extend(
    Draft202012Validator,
    validators={"pattern": _pattern},
    type_checker=_TYPES.redefine("integer", lambda _, instance: type(instance) is int),
    format_checker=_FORMATS,
)
DocumentValidator: Final[Any] = _extend(
    EnvelopeValidator,
    type_checker=_TYPES.redefine_many({"integer": _is_column_integer, "string": _is_column_text}),
    format_checker=_FORMATS,
)


def document_validator(schema: Mapping[str, Any]) -> Any:
    """A validator of a contract's documents, formats asserted."""
    return DocumentValidator(schema, format_checker=_FORMATS)


def named(
    error: ValidationError, dataset: str | None, row: int | None, *, hide_values: bool = False
) -> Problem:
    """jsonschema's error as a Problem; `hide_values` keeps what was found out of the message."""
    path = list(error.absolute_path)
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
    relation = (str(path[0]) if len(path) > 1 else dataset) if dataset else None
    keyword = str(error.validator)
    expected = _expected(keyword, error.validator_value)
    if expected is None:
        text = f"there is no member {_extra(error)}" if keyword == "additionalProperties" else error.message
    else:
        text = expected if hide_values else f"{expected}, got {_got(keyword, error.instance)}"
    message = f"{pointer or 'document'}: {text}"
    return Problem(_kebab(keyword), message[:MESSAGE_CHARS_MAX], relation, row, pointer)


def _expected(keyword: str, value: Any) -> str | None:
    match keyword:
        case "type":
            kinds = {"string": "a text without U+0000", "integer": "an integer of 64 bits"}
            return "expected " + (kinds.get(value, value) if isinstance(value, str) else " or ".join(value))
        case "enum":
            return f"expected one of {', '.join(map(shown, value))}"
        case "const":
            return f"expected {shown(value)}"
        case "minimum" | "maximum":
            return f"expected at {'least' if keyword == 'minimum' else 'most'} {value}"
        case "exclusiveMinimum" | "exclusiveMaximum":
            return f"expected {'more' if keyword == 'exclusiveMinimum' else 'less'} than {value}"
        case "multipleOf":
            return f"expected a multiple of {value}"
        case "minLength" | "maxLength":
            return f"expected at {'least' if keyword == 'minLength' else 'most'} {value} characters"
        case "minItems" | "maxItems":
            return f"expected at {'least' if keyword == 'minItems' else 'most'} {value} lines"
        case "pattern" | "format":
            return f"expected {keyword} {value if len(value) <= PATTERN_SHOWN_MAX else value[:PATTERN_SHOWN_MAX] + '…'}"
    return None


def _got(keyword: str, instance: object) -> str:
    if keyword in ("minLength", "maxLength") and isinstance(instance, str):
        return f"{len(instance)}: {shown(instance)}"
    if keyword in ("minItems", "maxItems") and isinstance(instance, list):
        return str(len(instance))
    return shown(instance)


def _extra(error: ValidationError) -> str:
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    extra = (
        sorted(name for name in error.instance if name not in known)
        if isinstance(error.instance, dict)
        else []
    )
    return ", ".join(map(shown, extra[:5]))


def _kebab(keyword: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in keyword) or "schema"


def check_manifest(envelope: object) -> list[Problem]:
    """What is wrong with a manifest file's JSON value, by its JSON Schema."""
    return _check(envelope, "manifest")


def check_receipt(envelope: object) -> list[Problem]:
    """What is wrong with a receipt file's JSON value, by its JSON Schema."""
    return _check(envelope, "receipt")


def check_heartbeat(envelope: object) -> list[Problem]:
    """What is wrong with a heartbeat file's JSON value, by its JSON Schema."""
    return _check(envelope, "heartbeat")


def check_void(envelope: object) -> list[Problem]:
    """What is wrong with a void file's JSON value, by its JSON Schema."""
    return _check(envelope, "void")


def _check(envelope: object, kind: str) -> list[Problem]:
    errors = _envelope_validator(kind).iter_errors(envelope)
    return [named(error, None, None) for error, _ in zip(errors, range(PROBLEMS_MAX), strict=False)]


@cache
def _envelope_validator(kind: str) -> Any:
    from filesync.contracts.registry import schemas_folder  # an import at the top would be a circle

    path = schemas_folder() / "envelope" / f"{kind}.v1.json"
    return EnvelopeValidator(json.loads(path.read_text(encoding="utf-8")), format_checker=_FORMATS)
