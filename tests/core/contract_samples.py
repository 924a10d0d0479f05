"""Contracts inside the subset and documents for them, drawn: right ones, nearly right ones and nasty ones."""

import copy
from typing import Any

from hypothesis import strategies as st

from filesync.contracts.reference import document_validator

Json = Any

PATTERNS = {
    "^[0-9]{5}$": ["12345", "1234", "12345\n", "1234a"],
    "^[0-9A-Za-z][0-9A-Za-z-]{0,19}$": ["01", "PDV-3", "-x", "", "x" * 21, "a\n"],
    "^[0-9A-Z]{1,3}$": ["1", "ABC", "abc", "", "ABCD"],
    "^(?:ab|c)+[^x]?$": ["ab", "abcab", "abx", "c\n", "cé", "c😀", "cx"],
    "^a|b$": ["axx", "xxb", "xb\n", "x"],
    "[^a]": ["a", "aa", "ab", "", "\n"],
    "^\\$[0-9]+\\.[0-9]*$": ["$1.", "$1.2", "1.2", "$1.2\n"],
    "^[a-c]*$": ["", "abc", "abcd", "\n"],
    "é|x"[2:]: ["x", "éx", "y"],
    "^[^0-9]{2,3}$": ["😀é", "ab", "abc", "a1", "\0\0"],
}
FORMATS = {
    "date-time": [
        "2024-05-06T12:34:56-03:00",
        "2024-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-05-06t12:34:56.5z",
        "2024-05-06T12:34:56.123-03:00",
        "2024-05-06T12:34:56.123456+24:00",
        "1998-12-31T23:59:60Z",
        "2024-05-06T12:34:60Z",
        "0000-01-01T00:00:00Z",
        "2024-05-06T12:34:56",
        "2024-05-06T12:34:56-03:00\n",
        "2024-04-31T12:34:56-03:00",
    ],
    "uuid": [
        "0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d11",
        "0B5F1F3E-6A0A-4A7E-9F43-1C1F8A3F2D11",
        "0b5f1f3e6a0a4a7e9f431c1f8a3f2d11",
    ],
    "s10": ["JT365572014BR", "JT365572013BR", "jt365572014br", "JT365572014B", "JT365572014BR\n"],
    "cpf": ["39053344705", "39053344706", "11111111111", "390.533.447-05", ""],
    "cnpj": ["34028316000103", "12ABC34501DE35", "34028316000104", "00000000000000", "12abc34501de35"],
    "cpf-cnpj": ["39053344705", "34028316000103", "12ABC34501DE35", "00000000000", "123456789012"],
    "gtin": ["7891000100103", "96385074", "036000291452", "17891000100100", "7891000100104", "123456789"],
    "cep": ["01310930", "0131093", "013109300", "0131093a"],
}
DATES = [
    "2024-02-29",
    "2023-02-29",
    "0001-01-01",
    "9999-12-31",
    "0000-01-01",
    "2024-2-9",
    "20240209",
    "2024-02-09\n",
]
TEXTS = ["", "a", "ab", "açúcar", "😀", "a\n", "\0", "a\0b", "\ud800", "x" * 41, "é" * 20, "01", "concluida"]
EDGES = [0, 1, -1, 2, 3, 10, 999, -(2**63), 2**63 - 1, 2**62, -(2**62), 2**53, 2**63, -(2**63) - 1, 10**30]
ODD: list[Json] = [
    None,
    True,
    False,
    1.0,
    0.0,
    1.5,
    2.0**62,
    2.0**63,
    float("nan"),
    float("inf"),
    "1",
    [],
    {},
    [1],
    "a",
]

_small = st.integers(-20, 20)
_bounds = st.one_of(_small, st.sampled_from([edge for edge in EDGES if -(2**63) <= edge < 2**63]))


@st.composite
def _integers(draw: st.DrawFn) -> Json:
    schema: Json = {"type": "integer"}
    for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if draw(st.integers(0, 3)) == 0:
            schema[keyword] = draw(_bounds)
    if draw(st.integers(0, 4)) == 0:
        schema["multipleOf"] = draw(st.sampled_from([1, 2, 3, 10, 2**62, 2**63 - 1]))
    if draw(st.integers(0, 4)) == 0:
        schema["enum"] = draw(st.lists(_bounds, min_size=1, max_size=4, unique=True))
    if draw(st.integers(0, 9)) == 0:
        schema["const"] = draw(_bounds)
    return schema


@st.composite
def _texts(draw: st.DrawFn) -> Json:
    schema: Json = {"type": "string"}
    if draw(st.integers(0, 2)) == 0:
        schema["pattern"] = draw(st.sampled_from(list(PATTERNS)))
    if draw(st.integers(0, 2)) == 0:
        schema["format"] = draw(st.sampled_from(list(FORMATS)))
    if draw(st.integers(0, 2)) == 0:
        schema["minLength"] = draw(st.integers(0, 4))
    if draw(st.integers(0, 2)) == 0:
        schema["maxLength"] = draw(st.sampled_from([0, 1, 2, 5, 11, 40]))
    if draw(st.integers(0, 4)) == 0:
        schema["enum"] = draw(
            st.lists(st.sampled_from(["", "a", "01", "é", "concluida"]), min_size=1, unique=True)
        )
    if draw(st.integers(0, 9)) == 0:
        schema["const"] = draw(st.sampled_from(["", "a", "01"]))
    return schema


_booleans: st.SearchStrategy[Json] = st.sampled_from(
    [{"type": "boolean"}, {"type": "boolean", "const": True}, {"type": "boolean", "enum": [False]}]
)
_scalars: st.SearchStrategy[Json] = st.one_of(
    _integers(), _texts(), _booleans, st.just({"type": "string", "format": "date"})
)


def contract(
    properties: Json, required: list[str] | None = None, lines: Json | None = None, **notes: Json
) -> dict[str, Json]:
    """A usable contract `dados` with these members; the key is `origem` and `id`, of lines `numero`."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["origem", "id", *(required or [])],
        "properties": {"origem": {"type": "string"}, "id": {"type": "integer"}, **properties},
        "x-filesync": {
            "dataset": "dados",
            "version": 1,
            "key": ["origem", "id"],
            "lines": {
                name: ["numero"]
                for name, member in properties.items()
                if isinstance(member, dict) and member.get("type") == "array"
            }
            if lines is None
            else lines,
            **notes,
        },
    }


def array(properties: Json, required: list[str] | None = None, **keywords: Json) -> Json:
    """An array of lines with `numero` and these members."""
    return {
        "type": "array",
        **keywords,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["numero", *(required or [])],
            "properties": {"numero": {"type": "integer"}, **properties},
        },
    }


@st.composite
def _members(draw: st.DrawFn, names: str) -> tuple[Json, list[str]]:
    members = {name: draw(_scalars) for name in names[: draw(st.integers(0, len(names)))]}
    return members, [name for name in members if draw(st.booleans())]


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Json]:
    """A schema inside the subset, with arrays, a local reference and row rules."""
    properties, required = draw(_members("abcd"))
    for name in ("itens", "partes")[: draw(st.integers(0, 2))]:
        members, needed = draw(_members("efg"))
        properties[name] = array(members, needed)
        if draw(st.integers(0, 3)) == 0:
            properties[name]["minItems"] = draw(st.integers(0, 2))
        if draw(st.integers(0, 3)) == 0:
            properties[name]["maxItems"] = draw(st.integers(0, 3))
        if draw(st.booleans()):
            required.append(name)
    schema = contract(properties, required, rules=draw(_rules(properties)))
    if draw(st.booleans()):
        schema["$defs"] = {"um": schema["properties"]["id"]}
        schema["properties"]["id"] = {"$ref": "#/$defs/um"}
    return schema


@st.composite
def _rules(draw: st.DrawFn, properties: Json) -> list[Json]:
    terms = ["id"]
    whens: dict[str, list[Json]] = {}
    for name, member in properties.items():
        if member["type"] == "array":
            terms += [
                f"{name}.{inner}"
                for inner, line in member["items"]["properties"].items()
                if line["type"] == "integer"
            ]
        elif member["type"] == "integer":
            terms.append(name)
        elif "enum" in member or member["type"] == "boolean":
            whens[name] = member.get("enum", [True])
    rules = []
    for number in range(draw(st.integers(0, 2))):
        signed = st.sampled_from([*terms, *(f"-{term}" for term in terms)])
        rule: dict[str, Json] = {
            "name": f"rule-{number}",
            "left": draw(st.lists(signed, min_size=1, max_size=3)),
            "right": draw(st.lists(signed, max_size=3)),
        }
        if draw(st.booleans()) and whens:
            name = draw(st.sampled_from(list(whens)))
            rule["when"] = {name: whens[name]}
        rules.append(rule)
    return rules


def _values(schema: Json, *, sane: bool) -> st.SearchStrategy[Json]:
    """Values for a scalar: mostly of its type and near its bounds; when `sane`, mostly right."""
    if "$ref" in schema:
        schema = {"type": "integer"}
    pool: list[Json] = [*schema.get("enum", [])] * 3 + ([schema["const"]] * 4 if "const" in schema else [])
    match schema["type"]:
        case "boolean":
            pool += [True, False]
        case "integer":
            for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
                if keyword in schema:
                    pool += [schema[keyword] - 1, schema[keyword], schema[keyword] + 1]
            pool += [schema.get("multipleOf", 1) * factor for factor in (0, 1, 2)]
            if sane:
                pool += [edge for edge in EDGES if -(2**63) <= edge < 2**63]
            else:
                pool += EDGES
        case _ if schema.get("format") == "date":
            pool += DATES[:1] * 6 if sane else DATES
        case _:
            found = FORMATS.get(schema.get("format", ""), []) + PATTERNS.get(schema.get("pattern", ""), [])
            pool += found[:2] * 4 + found + (["a", "ab", "01"] if sane else TEXTS)
    if sane:
        checked = document_validator(schema)
        return st.sampled_from([value for value in pool if checked.is_valid(value)] or pool)
    return st.one_of(st.sampled_from(pool), st.sampled_from(ODD), st.text(max_size=5))


@st.composite
def _object(draw: st.DrawFn, schema: Json, *, sane: bool) -> Json:
    found: dict[str, Json] = {}
    for name, member in schema["properties"].items():
        missing = draw(st.integers(0, 9))
        needed = name in schema["required"]
        if (missing == 0 and not (sane and needed)) or (missing < 5 and not needed):
            if draw(st.booleans()):
                found[name] = None
            continue
        if member.get("type") == "array":
            lines = draw(st.lists(_object(member["items"], sane=sane), max_size=3))
            if sane or draw(st.booleans()):
                lines = [line | {"numero": number} for number, line in enumerate(lines, 1)]
            if not sane and draw(st.integers(0, 5)) == 0:
                lines.append(draw(st.sampled_from(ODD)))
            found[name] = lines
        else:
            found[name] = draw(_values(member, sane=sane))
    if not sane and draw(st.integers(0, 15)) == 0:
        found[draw(st.sampled_from(["estranho", "numero", "a"]))] = draw(st.sampled_from(ODD))
    return found


@st.composite
def documents(draw: st.DrawFn, schema: Json) -> list[Json]:
    """A batch of documents for `schema`; about half of them are meant to be right."""
    found: list[Json] = draw(
        st.lists(
            st.one_of(_object(schema, sane=True), _object(schema, sane=False), st.sampled_from(ODD)),
            min_size=1,
            max_size=8,
        )
    )
    for document in found:
        if isinstance(document, dict) and draw(st.booleans()):
            _balance(document, schema)
    return copy.deepcopy(found)


def _balance(document: Json, schema: Json) -> None:
    """Makes the first rule hold, where a plain column can do so; otherwise hardly any document would be right."""
    for rule in schema["x-filesync"].get("rules", [])[:1]:
        first = rule["left"][0]
        if (
            "." in first
            or first.startswith("-")
            or any(first in term for term in rule["left"][1:] + rule["right"])
        ):
            continue
        try:
            left = sum(term_value(term, document) for term in rule["left"][1:])
            document[first] = sum(term_value(term, document) for term in rule["right"]) - left
        except (TypeError, ValueError, OverflowError, AttributeError):
            continue


def term_value(term: str, document: Json) -> int:
    """What a rule's term comes to, read straight from the document."""
    sign = -1 if term.startswith("-") else 1
    relation, _, column = term.removeprefix("-").rpartition(".")
    if not relation:
        return sign * int(document.get(column) or 0)
    return sign * sum(int(line.get(column) or 0) for line in document.get(relation) or [])


def without_nulls(value: Json) -> Json:
    """null members are absent."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value
