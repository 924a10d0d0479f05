"""Which schemas are contracts: what is refused, with its pointer, and all of it at once."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from contract_samples import array, contract, contracts
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from filesync.contracts import Contract, ContractError, check_schema

Json = Any

TEXT = {"type": "string"}


def refused(member: Json, **notes: Json) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.message) for problem in check_schema(contract({"v": member}, **notes))]


@pytest.mark.parametrize(
    ("member", "pointer", "message"),
    [
        ({"type": "number"}, "/type", "money and quantities are integers"),
        ({"type": "null"}, "/type", "expected 'string', 'integer', 'boolean' or 'array'"),
        ({"type": ["string", "null"]}, "/type", "left out of required"),
        ({"type": "object"}, "/type", "expected 'string', 'integer', 'boolean' or 'array'"),
        ({"type": {}}, "/type", "expected 'string'"),
        ({}, "", "no type"),
        (True, "", "expected an object, got true"),
        ({"minLength": 1}, "", "no type"),
        ({"type": "integer", "minLength": 1}, "/minLength", "does not apply to type integer"),
        ({"type": "string", "minimum": 1}, "/minimum", "does not apply to type string"),
        ({"type": "boolean", "pattern": "a"}, "/pattern", "does not apply to type boolean"),
        ({"type": "string", "format": "date", "pattern": "a"}, "/pattern", "does not apply to a date"),
        ({"type": "string", "default": ""}, "/default", "is outside the documented subset"),
        ({"type": "string", "not": {}}, "/not", "is outside the documented subset"),
        ({"type": "string", "a/b~c": 1}, "/a~1b~0c", "is outside the documented subset"),
        ({"type": "string", "x-filesync": {}}, "/x-filesync", "does not apply to type string"),
        ({"type": "integer", "minimum": 1.0}, "/minimum", "expected an integer"),
        ({"type": "integer", "maximum": "1"}, "/maximum", "expected an integer"),
        ({"type": "integer", "maximum": 2**63}, "/maximum", "expected an integer"),
        ({"type": "integer", "maximum": 10**5000}, "/maximum", "got an integer beyond 64 bits"),
        ({"type": "integer", "exclusiveMinimum": True}, "/exclusiveMinimum", "expected an integer"),
        ({"type": "integer", "exclusiveMaximum": None}, "/exclusiveMaximum", "expected an integer"),
        ({"type": "integer", "multipleOf": 0}, "/multipleOf", "expected an integer from 1"),
        ({"type": "integer", "multipleOf": 0.01}, "/multipleOf", "expected an integer from 1"),
        ({"type": "string", "minLength": -1}, "/minLength", "expected an integer from 0"),
        ({"type": "string", "maxLength": 2.5}, "/maxLength", "expected an integer from 0"),
        ({"type": "string", "pattern": 1}, "/pattern", "expected a text"),
        ({"type": "string", "pattern": "\\d"}, "/pattern", "outside the common part"),
        ({"type": "string", "pattern": "(?:a{1000}){1000}"}, "/pattern", "RE2"),
        ({"type": "string", "format": "email"}, "/format", "expected one of date"),
        ({"type": "string", "format": []}, "/format", "expected one of date"),
        ({"type": "string", "enum": []}, "/enum", "at least one value"),
        ({"type": "string", "enum": "a"}, "/enum", "at least one value"),
        ({"type": "string", "enum": ["a", 1]}, "/enum/1", "expected a value of type string"),
        ({"type": "string", "enum": ["a", "a"]}, "/enum/1", "listed twice"),
        ({"type": "string", "enum": ["a\0"]}, "/enum/0", "U+0000"),
        ({"type": "string", "const": "\ud800"}, "/const", "surrogates"),
        ({"type": "integer", "enum": [True]}, "/enum/0", "expected a value of type integer"),
        ({"type": "integer", "const": 1.0}, "/const", "expected a value of type integer"),
        ({"type": "integer", "const": 2**63}, "/const", "64 bits"),
        ({"type": "boolean", "const": 0}, "/const", "expected a value of type boolean"),
        ({"type": "string", "title": 1}, "/title", "expected a text"),
        ({"type": "string", "examples": "a"}, "/examples", "expected a list"),
        ({"$ref": "#/$defs/nada"}, "/$ref", "there is no"),
        ({"$ref": "outro.json"}, "/$ref", "expected '#/$defs/<name>'"),
        ({"$ref": 7}, "/$ref", "expected '#/$defs/<name>'"),
        ({"$ref": "#/$defs/um", "minLength": 1}, "/minLength", "does not apply to a reference"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_member_is_refused(member: Json, pointer: str, message: str) -> None:
    ((where, why),) = (
        refused(member) if not isinstance(member, dict) or "$ref" not in member else _with_definition(member)
    )
    assert where == "/properties/v" + pointer
    assert message in why


def _with_definition(member: Json) -> list[tuple[str, str]]:
    schema = contract({"v": member}) | {"$defs": {"um": TEXT}}
    return [(problem.pointer, problem.message) for problem in check_schema(schema)]


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"type": "array"}, "/type", "expected 'object'"),
        ({"additionalProperties": True}, "/additionalProperties", "expected additionalProperties: false"),
        ({"additionalProperties": {}}, "/additionalProperties", "expected additionalProperties: false"),
        ({"required": ["origem", "id", "nada"]}, "/required/2", "not in properties"),
        ({"required": ["origem", "id", "id"]}, "/required", "every name once"),
        ({"required": "origem"}, "/required", "a list of names"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema", "draft/2020-12"),
        ({"$id": 1}, "/$id", "expected a text"),
        ({"$defs": []}, "/$defs", "expected an object"),
        ({"$defs": {"um": {"type": "number"}}}, "/$defs/um/type", "money and quantities"),
        ({"$defs": {"um": {"$ref": "#/$defs/um"}}}, "/$defs/um/$ref", "refers to itself"),
        ({"allOf": []}, "/allOf", "is outside the documented subset"),
        ({"minItems": 1}, "/minItems", "does not apply to a contract"),
        ({"description": []}, "/description", "expected a text"),
        ({"x-filesync": None}, "/x-filesync", "needs x-filesync"),
    ],
    ids=str,
)
def test_a_schema_is_refused(change: Json, pointer: str, message: str) -> None:
    problems = check_schema({**contract({}), **change})
    assert pointer in {problem.pointer for problem in problems}
    assert any(message in problem.message for problem in problems if problem.pointer == pointer)


@pytest.mark.parametrize("name", ["Maiúsculo", "fs_x", "1a", "a-b", "", "a" * 64, "_a"])
def test_a_member_is_a_column_name(name: str) -> None:
    assert [problem.message[:22] for problem in check_schema(contract({name: TEXT}))] == [
        "expected a column name"
    ]


@pytest.mark.parametrize(
    ("member", "pointer", "message"),
    [
        ({"type": "array"}, "/v", "an array needs items"),
        (array({"x": array({})}), "/v/items/properties/x/type", "one level, no deeper"),
        (array({}, uniqueItems=True), "/v/uniqueItems", "outside the documented subset"),
        (array({}, minItems=-1), "/v/minItems", "expected an integer from 0"),
        (array({"origem": TEXT}), "/v", "also in the document's key"),
        ({"type": "array", "items": TEXT}, "/v/items/type", "expected 'object'"),
        ({"type": "array", "items": True}, "/v/items", "expected an object"),
    ],
    ids=str,
)
def test_an_array_is_refused(member: Json, pointer: str, message: str) -> None:
    problems = check_schema(contract({"v": member}))
    assert any(
        problem.pointer == f"/properties{pointer}" and message in problem.message for problem in problems
    ), problems


RULE = {"name": "r", "left": ["n"], "right": ["itens.n"]}


@pytest.mark.parametrize(
    ("notes", "pointer", "message"),
    [
        ({"dataset": "Dados"}, "/dataset", "expected a name"),
        ({"dataset": "a-b"}, "/dataset", "expected a name"),
        ({"dataset": "sqlite"}, "/dataset", "expected a name"),
        ({"dataset": "con"}, "/dataset", "con"),
        ({"dataset": "itens"}, "/dataset", "also the name of an array"),
        ({"version": 0}, "/version", "from 1 on"),
        ({"version": True}, "/version", "from 1 on"),
        ({"key": []}, "/key", "at least one column"),
        ({"key": ["id", "origem"]}, "/key", "'origem' first"),
        ({"key": ["origem", "nada"]}, "/key/1", "no column 'nada'"),
        ({"key": ["origem", "opcional"]}, "/key/1", "must be in required"),
        ({"key": ["origem", "ligado"]}, "/key/1", "is boolean"),
        ({"key": ["origem", "itens"]}, "/key/1", "no column 'itens'"),
        ({"key": ["origem", "id", "id"]}, "/key", "every column once"),
        ({"lines": {}}, "/lines", "'itens' have no key"),
        ({"lines": []}, "/lines", "expected an object"),
        ({"lines": {"itens": ["numero"], "outra": ["numero"]}}, "/lines/outra", "no array 'outra'"),
        ({"lines": {"itens": ["nada"]}}, "/lines/itens/0", "no column 'nada'"),
        ({"lines": {"itens": []}}, "/lines/itens", "at least one column"),
        ({"version_column": "texto"}, "/version_column", "is text; expected integer"),
        ({"active": "n"}, "/active", "is integer; expected boolean"),
        ({"valid_from": "texto"}, "/valid_from", "is text; expected date"),
        ({"valid_from": "dia"}, "/valid_from", "must be in required"),
        ({"business_date": "texto"}, "/business_date", "is text; expected date"),
        ({"business_date": "dia"}, "/business_date", "must be in required"),
        ({"encrypted": "yes"}, "/encrypted", "true or false"),
        ({"on_bad_rows": "ignore"}, "/on_bad_rows", "expected 'reject' or 'quarantine'"),
        ({"late": "never"}, "/late", "expected 'apply'"),
        ({"novidade": 1}, "/novidade", "not an annotation of this version"),
        ({"totals": []}, "/totals", "expected an object"),
        ({"totals": {"T": {"sum": "n"}}}, "/totals/T", "expected a name"),
        ({"totals": {"t": {"sum": "n", "of": 1}}}, "/totals/t", "{'sum': column"),
        ({"totals": {"t": {"sum": "nada"}}}, "/totals/t/sum", "no column 'nada'"),
        ({"totals": {"t": {"sum": "texto"}}}, "/totals/t/sum", "is text; expected integer"),
        ({"totals": {"t": {"sum": "-n"}}}, "/totals/t/sum", "expected a column"),
        ({"totals": {"t": {"sum": "outra.n"}}}, "/totals/t/sum", "no array 'outra'"),
        ({"totals": {"t": {"sum": "itens.n", "by": "texto"}}}, "/totals/t/by", "no column 'texto'"),
        ({"totals": {"t": {"sum": "n", "by": "opcional"}}}, "/totals/t/by", "must be in required"),
        ({"rules": {}}, "/rules", "expected a list"),
        ({"rules": [{**RULE, "unless": 1}]}, "/rules/0", "{name, left, right"),
        ({"rules": [RULE, RULE]}, "/rules/1/name", "each once"),
        ({"rules": [{**RULE, "name": "R"}]}, "/rules/0/name", "expected a name"),
        ({"rules": [{**RULE, "left": []}]}, "/rules/0/left", "1 to 50 terms"),
        ({"rules": [{**RULE, "left": "n"}]}, "/rules/0/left", "1 to 50 terms"),
        ({"rules": [{**RULE, "right": ["itens.nada"]}]}, "/rules/0/right/0", "no column 'nada'"),
        ({"rules": [{**RULE, "right": ["2"]}]}, "/rules/0/right/0", "no column '2'"),
        ({"rules": [{**RULE, "right": [1]}]}, "/rules/0/right/0", "expected a column"),
        ({"rules": [{**RULE, "message": 1}]}, "/rules/0/message", "expected a text"),
        ({"rules": [{**RULE, "when": []}]}, "/rules/0/when", "expected an object"),
        ({"rules": [{**RULE, "when": {"nada": [1]}}]}, "/rules/0/when/nada", "no column 'nada'"),
        ({"rules": [{**RULE, "when": {"texto": [1]}}]}, "/rules/0/when/texto", "values of type str"),
        ({"rules": [{**RULE, "when": {"ligado": [1]}}]}, "/rules/0/when/ligado", "values of type bool"),
        ({"rules": [{**RULE, "when": {"n": [2**63]}}]}, "/rules/0/when/n", "values of type int"),
        ({"continuity": 1}, "/continuity", "{number: column"),
        ({"continuity": {"number": "texto", "per": ["texto"]}}, "/continuity/number", "is text"),
        ({"continuity": {"number": "id", "per": ["n"]}}, "/continuity/per/0", "is integer"),
        ({"continuity": {"number": "id", "per": []}}, "/continuity/per", "at least one column"),
    ],
    ids=str,
)
def test_an_annotation_is_refused(notes: Json, pointer: str, message: str) -> None:
    schema = contract(
        {
            "n": {"type": "integer"},
            "texto": TEXT,
            "opcional": TEXT,
            "ligado": {"type": "boolean"},
            "dia": {"type": "string", "format": "date"},
            "itens": array({"n": {"type": "integer"}}),
        },
        ["texto", "ligado", "n"],
    )
    assert check_schema(schema) == []
    schema["x-filesync"] |= notes
    problems = check_schema(schema)
    assert any(
        problem.pointer == f"/x-filesync{pointer}" and message in problem.message for problem in problems
    ), problems


def test_all_problems_are_listed_at_once() -> None:
    schema = contract(
        {
            "a": {"type": "number"},
            "b": {"type": "string", "oneOf": [], "pattern": "\\d"},
            "c": array({"d": {"type": "integer", "minimum": 0.5}}),
        },
        totals={"t": {"sum": "nada"}},
    )
    with pytest.raises(ContractError) as caught:
        Contract.from_schema(schema)
    pointers = [problem.pointer for problem in caught.value.problems]
    assert pointers == [
        "/properties/a/type",
        "/properties/b/oneOf",
        "/properties/b/pattern",
        "/properties/c/items/properties/d/minimum",
        "/x-filesync/totals/t/sum",
    ]
    assert caught.value.code == "contract-unusable"
    assert all(pointer in str(caught.value) for pointer in pointers)


def test_a_reference_is_followed_and_its_annotations_win() -> None:
    schema = contract(
        {
            "a": {"$ref": "#/$defs/um", "title": "A", "description": "aqui"},
            "b": {"$ref": "#/$defs/dois"},
            "itens": {"type": "array", "items": {"$ref": "#/$defs/linha"}},
        },
        lines={"itens": ["numero"]},
    )
    schema["$defs"] = {
        "um": {"$ref": "#/$defs/dois", "title": "Um"},
        "dois": {"type": "string", "maxLength": 3, "title": "Dois", "description": "lá"},
        "linha": array({})["items"],
    }
    document = Contract.from_schema(schema).relations[0]
    a, b = document.field("a"), document.field("b")
    assert (a.title, a.description, a.max_length) == ("A", "aqui", 3)
    assert (b.title, b.description, b.max_length) == ("Dois", "lá", 3)


@settings(max_examples=60)
@given(contracts())
def test_what_is_accepted_is_json_schema(schema: Json) -> None:
    Draft202012Validator.check_schema(schema)
    before = copy.deepcopy(schema)
    Contract.from_schema(schema)
    assert schema == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not readable as JSON"),
        (b"{", "not readable as JSON"),
        (b"\xff{}", "not readable as JSON"),
        (b"[" * 100_000, "not readable as JSON"),
        (b'{"minimum":' + b"9" * 5000 + b"}", "not readable as JSON"),
        (b"[]", "expected a JSON object"),
        (b'{"type":"object","type":"object"}', "stands twice"),
    ],
)
def test_a_file_that_is_no_schema(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "dados.v1.json"
    path.write_bytes(text)
    problems = check_schema(path)
    assert any(message in problem.message for problem in problems)
    assert check_schema(tmp_path / "absent.json")[0].message.startswith("not readable as JSON")


def test_a_file_that_is_one(tmp_path: Path) -> None:
    path = tmp_path / "dados.v1.json"
    path.write_text(json.dumps(contract({})), encoding="utf-8")
    assert check_schema(path) == []
