"""The JSON Schemas of the envelope as an oracle: what they accept, the strict parsers must accept, and nothing else."""

import copy
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from filesync.contracts.formats import FORMATS
from filesync.protocol.identity import RESERVED_NAMES

FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "envelope"

# jsonschema's meaning, with three differences that the envelope needs: `$` is the end of the text (Python's also matches
# before a last newline), 1.0 is no integer (decode lets no fraction through), and every format is checked.
_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)


def _pattern(validator: Any, pattern: str, value: object, schema: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and not re.search(re.sub(r"(?<!\\)\$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = extend(Draft202012Validator, {"pattern": _pattern}, type_checker=_TYPES)  # type: ignore[no-untyped-call]


def oracle(kind: str) -> Any:
    """A jsonschema validator of whole manifest or receipt files."""
    schema = json.loads((FOLDER / f"{kind}.v1.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    formats = FormatChecker(formats=())
    for name in re.findall(r'"format": "([^"]+)"', json.dumps(schema)):
        formats.checks(name)(lambda value, name=name: not isinstance(value, str) or FORMATS[name](value))
    return _Validator(schema, format_checker=formats)


# What lies at a bound, or looks like what is asked for.
# fmt: off
_NUMBERS = [0, 1, -1, 2, 99, 100, 2**53 - 1, 2**53, -(2**53), -(2**53) + 1, 10**10 - 1, 10**10, 10**9, 10**9 + 1]
_TEXTS = [
    "", "a", "A", "é", "\U0001f600", "\x00", "\x1b[0m", "a b", "2025-03-14 18:02:11Z",
    *["con", "caixa-01", "delta", "snapshot", "parquet", "jsonl", "jsonl.age", "APPLIED", "itens", "Vendas", "a.b", "a/b", "a_b", "a-b", "_a", "a_", "-a", "a-", "a--b", "a__b", "0", "01"],
    *["vendas.v1", "v.v0", "x.v1000000000", "vendas.v10000", "/itens/0"], "ab" * 32, "AB" * 32,
    *["2025-03-14", "2025-02-29", "2024-02-29", "0000-01-01"],
    *["2025-03-14T18:02:11Z", "2025-03-14t18:02:11z", "2025-03-14T18:02:11", "2025-03-14T24:00:00Z", "2025-03-14T23:59:60Z"],
    *["2025-03-14T18:02:11.Z", "2025-03-14T18:02:11.1-03:00", "2025-03-14T18:02:11.123456Z", "2025-03-14T18:02:11.1234567Z"],
    *["2025-03-14T18:02:11-00:00", "2025-03-14T18:02:11+24:00", "2025-03-14T18:02:11+03:60", "2025-02-29T18:02:11Z"],
    "vendas.con.matriz.k3v7q2ma.0000000012.20250314.abababababab",
    "vendas.caixa-01.matriz.k3v7q2ma.0000000000.20250314.abababababab",
]
# Days that the pattern for names could get wrong.
_TEXTS += [
    f"vendas.caixa-01.matriz.k3v7q2ma.0000000012.{day}.abababababab"
    for day in ["20250314", "20250100", "20250132", "20250200", "20250229", "20240229", "20240230", "19000229", "20000229", "00000101", "00010101", "00040229", "20250431", "20250631", "20250931", "20251131", "20251231", "20251232", "20251301", "20250001", "99991231"]
]
_LENGTHS = [0, 1, 23, 24, 25, 39, 40, 41, 62, 63, 64, 65, 79, 80, 81, 99, 100, 101, 120, 121, 127, 128, 129, 200, 201]
_LENGTHS += [255, 256, 257, 499, 500, 501, 511, 512, 513, 999, 1000, 1001, 1024, 1025, 2000, 2001, 5000]
_VALUES: list[Any] = [
    None, True, False, *_NUMBERS, *_TEXTS,
    [], [1], ["matriz"], ["matriz", "matriz"], ["a", "A"],
    {}, {"": 0}, {"A": 0}, {"a b": 0}, {"a": 1}, {"a": -1}, {"a": None}, {"a": [1]}, {"a": {}}, {"a": {"b": 1}},
    {"a": {"": 0}}, {"a": {"x" * 64: 0}}, {"a": {"x" * 65: 0}}, {"a": {"b": {"c": 1}}}, {"a": {"b": None}},
]
# fmt: on


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name in value:
            yield from _places(value[name], (*path, name))
    elif isinstance(value, list):
        for at in range(min(len(value), 3)):
            yield from _places(value[at], (*path, at))


def _replacement(draw: st.DrawFn, old: Any) -> Any:
    """Another value in the place of `old`: often one just beside it, where bounds are."""
    way = draw(st.integers(0, 5))
    if way == 0 and isinstance(old, str):
        return old + draw(st.sampled_from(["\n", " ", "x", "0", "-", ".", "é"]))
    if way == 1 and isinstance(old, str) and old:
        at = draw(st.integers(0, len(old) - 1))
        return (
            old[:at]
            + draw(st.sampled_from(["", "0", "9", "a", "Z", "-", ".", "T", "_", "٣"]))
            + old[at + 1 :]
        )
    if way == 2:
        return draw(st.sampled_from(["x", "0", "é", "-", "/"])) * draw(st.sampled_from(_LENGTHS))
    if way == 3 and isinstance(old, list):
        return (old or [1]) * draw(st.sampled_from([0, 2, 100, 101, 1000, 1001]))
    if way == 3:
        return list(range(1, draw(st.sampled_from(_LENGTHS)) + 1))
    if way == 4 and isinstance(old, dict):
        many = draw(st.sampled_from(_LENGTHS))
        return {f"a{number}": 1 for number in range(many)}
    if way == 5 and type(old) is int:
        return old + draw(st.sampled_from([-1, 1, -(10**10), 10**10]))
    return copy.deepcopy(draw(st.sampled_from(_VALUES)))


@st.composite
def mutated(draw: st.DrawFn, wholes: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """A file's `signed` with up to three members replaced, added or taken away."""
    signed = copy.deepcopy(draw(wholes))
    for _ in range(draw(st.integers(0, 3))):
        *path, last = draw(st.sampled_from(list(_places(signed))))
        inner: Any = signed
        for step in path:
            inner = inner[step]
        way = draw(st.integers(0, 6))
        if way == 0:
            del inner[last]
        elif way == 1 and isinstance(inner, dict):
            name = draw(st.sampled_from([*_TEXTS, "x" * 62, "x" * 63, "x" * 64, "x" * 65]))
            inner[name] = inner[last]
            if draw(st.booleans()):
                del inner[last]
        else:
            inner[last] = _replacement(draw, inner[last])
        if not signed:
            break
    return signed


#: Of `sweep`: a sample, which takes another value of each member; all of it in the longer proofs.
swept = pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["sample", "all"])


def sweep(signed: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member of `signed` once with each value that lies at a bound: what random draws are slow to hit."""
    for path in _places(signed):
        *way, last = path
        where = "/".join(map(str, path))
        for value in _neighbours(_at(signed, path)):
            changed = copy.deepcopy(signed)
            _at(changed, way)[last] = value
            yield f"{where} = {str(value)[:80]} ({type(value).__name__})", changed
        changed = copy.deepcopy(signed)
        del _at(changed, way)[last]
        yield f"{where} absent", changed


def _at(value: Any, path: Sequence[Any]) -> Any:
    for step in path:
        value = value[step]
    return value


def _neighbours(old: Any) -> Iterator[Any]:
    yield from _VALUES
    if isinstance(old, str):
        yield from (letter * length for letter in "x0" for length in _LENGTHS)
        yield from (old + end for end in ("\n", " ", "x", "0", ".", "-"))
        yield from (old.upper(), old[:-1], old[1:], "\n" + old, *RESERVED_NAMES)
        yield from (old.replace(name, other) for name in ("caixa-01", "matriz") for other in RESERVED_NAMES)
        yield from (old[:at] + char + old[at + 1 :] for at in range(len(old)) for char in "9-")
    elif type(old) is int:
        yield from (
            sign * 10**power + step for power in (0, 9, 10) for sign in (1, -1) for step in (-1, 0, 1)
        )
    elif isinstance(old, list):
        yield from ((old or [1]) * count for count in (2, 100, 101))
        yield from (list(range(first, first + count)) for first in (0, 1) for count in (1, 1000, 1001))
        yield from ([f"a{number}" for number in range(count)] for count in (1000, 1001, 10000, 10001))
    elif isinstance(old, dict):
        yield from ({f"a{number}": 1 for number in range(count)} for count in _LENGTHS)
        for name in [*_TEXTS, *("x" * length for length in _LENGTHS)]:
            yield {**old, name: 1}
            yield {"total": {name: 1}}
