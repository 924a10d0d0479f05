"""Strict readers of single fields, shared by manifest.py, receipt.py, void.py and heartbeat.py. Pure.

They accept exactly what schemas/envelope/ accepts (a property test holds the two together), a hundred times faster.
Each returns the value in its type here, or raises FieldError naming the field, what was expected and what was found.
What is not here: anything that relates two fields to each other.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final, TypeVar

from filesync.errors import RejectedError
from filesync.protocol.envelope import INT_MAX
from filesync.protocol.identity import EPOCH_PATTERN, ID_PATTERN, RESERVED_NAMES, BatchName

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1  # the format of manifests and receipts that this program writes and reads
SOFTWARE_CHARS_MAX: Final = 80
RECIPIENTS_MAX: Final = 10_000

T = TypeVar("T")

_id = re.compile(ID_PATTERN).fullmatch
_epoch = re.compile(EPOCH_PATTERN).fullmatch
_sha256 = re.compile("[0-9a-f]{64}").fullmatch
_date = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_moment = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_code = re.compile("[a-z0-9][a-z0-9-]{0,62}").fullmatch
_contract = re.compile(f"{ID_PATTERN}\\.v[1-9][0-9]{{0,8}}").fullmatch
_name = re.compile("[a-z0-9][a-z0-9_-]{0,62}").fullmatch


class UnknownFormatError(RejectedError):
    """A manifest or receipt in a format of the future. Its other members mean nothing until this program is newer."""

    def __init__(self, message: str) -> None:
        super().__init__("format-unknown", message)


class FieldError(ValueError):
    """One field is not what it must be."""

    def __init__(self, pointer: str, expected: str, got: object) -> None:
        super().__init__(f"{pointer or 'signed'}: expected {expected}, got {shown(got)}")


def shown(value: object) -> str:
    """A value in an error message: short, whatever a hostile file holds."""
    match value:
        case str():
            return repr(value) if len(value) <= 80 else f"{value[:80]!r}... ({len(value)} characters)"
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case int():
            return str(value) if -(2**63) <= value < 2**63 else "an integer beyond 64 bits"
        case dict():
            return f"an object with {len(value)} members"
        case list():
            return f"an array of {len(value)}"
    return f"a {type(value).__name__}"


def members(value: object, names: frozenset[str], pointer: str) -> dict[str, Any]:
    """An object with exactly these members."""
    if type(value) is not dict:
        raise FieldError(pointer, "an object", value)
    if value.keys() != names:
        missing, strange = sorted(names - value.keys()), sorted(map(str, value.keys() - names))[:5]
        raise FieldError(
            pointer, f"the members {', '.join(sorted(names))}", f"missing {missing}, strange {strange}"
        )
    return value


def version_of(signed: Mapping[str, Any]) -> None:
    """Return when `format` is the one that is spoken here. Looked at first: in another format nothing else holds."""
    version = signed.get("format")
    if type(version) is int and version != VERSION:
        raise UnknownFormatError(f"format: expected {VERSION}, got {shown(version)}")
    if type(version) is not int:
        raise FieldError("/format", str(VERSION), version)


def integer(value: object, low: int, high: int, pointer: str) -> int:
    if type(value) is int and low <= value <= high:
        return value
    raise FieldError(pointer, f"an integer from {low} to {high}", value)


def text(value: object, chars_max: int, pointer: str, *, chars_min: int = 1) -> str:
    if type(value) is str and chars_min <= len(value) <= chars_max:
        return value
    raise FieldError(pointer, f"a text of {chars_min} to {chars_max} characters", value)


def code(value: object, pointer: str) -> str:
    if type(value) is str and _code(value):
        return value
    raise FieldError(pointer, "a code of a-z, 0-9 and '-'", value)


def relation(value: object, pointer: str) -> str:
    if type(value) is str and _name(value):
        return value
    raise FieldError(pointer, "a relation's name", value)


def contract_name(value: object, pointer: str) -> str:
    if type(value) is str and _contract(value):
        return value
    raise FieldError(pointer, "a contract's name, <dataset>.v<version>", value)


def choice(choices: Mapping[str, T], value: object, pointer: str) -> T:
    if type(value) is str and value in choices:
        return choices[value]
    raise FieldError(pointer, " or ".join(choices), value)


def identifier(value: object, pointer: str) -> str:
    if type(value) is str and _id(value) and value not in RESERVED_NAMES:
        return value
    raise FieldError(pointer, "an id: 1 to 24 of a-z, 0-9 and '-', no device name of Windows", value)


def recipients(value: object, pointer: str) -> tuple[str, ...]:
    """The sites that must answer a batch."""
    if type(value) is not list or not 1 <= len(value) <= RECIPIENTS_MAX:
        raise FieldError(pointer, f"1 to {RECIPIENTS_MAX} sites", value)
    sites = tuple(identifier(site, pointer) for site in value)
    if len(set(sites)) != len(sites):
        raise FieldError(pointer, "every site once", value)
    return sites


def epoch(value: object, pointer: str) -> str:
    if type(value) is str and _epoch(value):
        return value
    raise FieldError(pointer, "8 of a-z and 0-9", value)


def batch_stem(value: object, pointer: str) -> str:
    """A batch's name, kept as text: that batch may be unknown here."""
    if type(value) is str:
        try:
            BatchName.parse(value)
        except ValueError:
            pass  # said below
        else:
            return value
    raise FieldError(pointer, "a batch name", value)


def sha256(value: object, pointer: str) -> str:
    if type(value) is str and _sha256(value):
        return value
    raise FieldError(pointer, "64 lower-case hex digits", value)


def day(value: object, pointer: str) -> date:
    """An ISO date; Python's own reader also takes weeks and dates without dashes, which nobody writes here."""
    if type(value) is str and _date(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass  # the 31st of June: said below
    raise FieldError(pointer, "a date YYYY-MM-DD", value)


def moment(value: object, pointer: str) -> str:
    """An RFC 3339 time with its offset, kept as text: it is shown, never compared."""
    if type(value) is str and _moment(value):
        try:
            # The pattern judges the time of day: Python's readers take an offset of 03:60, newer ones 24 o'clock too.
            date.fromisoformat(value[:10])
        except ValueError:
            pass  # the 31st of June: said below
        else:
            return value
    raise FieldError(pointer, "a time YYYY-MM-DDTHH:MM:SS with offset", value)


def counts(value: object, pointer: str) -> dict[str, int]:
    """Rows per relation."""
    if type(value) is not dict:
        raise FieldError(pointer, "an object of row counts", value)
    for name, number in value.items():
        if not (type(name) is str and _name(name)):
            raise FieldError(pointer, "names of relations", name)
        if not (type(number) is int and 0 <= number <= INT_MAX):
            raise FieldError(f"{pointer}/{name}", f"an integer from 0 to {INT_MAX}", number)
    return value


def totals(value: object, pointer: str) -> dict[str, int | dict[str, int]]:
    """Control totals: a sum, or sums per value of a column."""
    if type(value) is not dict:
        raise FieldError(pointer, "an object of control totals", value)
    for name, total in value.items():
        if not (type(name) is str and _name(name)):
            raise FieldError(pointer, "names of control totals", name)
        if type(total) is dict:
            for group, number in total.items():
                if not (type(group) is str and len(group) <= 64):
                    raise FieldError(f"{pointer}/{name}", "values of at most 64 characters", group)
                integer(number, -INT_MAX, INT_MAX, f"{pointer}/{name}/{group}")
        else:
            integer(total, -INT_MAX, INT_MAX, f"{pointer}/{name}")
    return value
