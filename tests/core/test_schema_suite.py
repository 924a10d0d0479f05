"""The official JSON Schema test suite: what lies inside the subset, both engines judge as the suite does; the rest is refused.

A case's schema becomes the member `v` of a document, or the lines of an array; where it says no type, it is tried with each
type that its keywords apply to, on the instances of that type. JSON Schema lets a keyword be where it means nothing; a contract
does not, so such pairs of schema and type are not cases.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_samples import contract, without_nulls

from filesync.contracts import Contract, check_schema
from filesync.contracts.formats import FORMATS
from filesync.contracts.reference import document_validator

Json = Any

# Where the suite and a contract differ on purpose, by file:
NOT_CASES = {
    "format.json": "there formats are annotations; here they are asserted, as optional/format/ has them",
    "optional/bignum.json": "integers have 64 bits",
}

# What each file of the suite is about that no contract may use.
OUTSIDE = {
    "allOf": "allOf",
    "anyOf": "anyOf",
    "contains": "contains",
    "dependentRequired": "dependentRequired",
    "dependentSchemas": "dependentSchemas",
    "if-then-else": "if",
    "not": "not",
    "oneOf": "oneOf",
    "maxProperties": "maxProperties",
    "minProperties": "minProperties",
    "patternProperties": "patternProperties",
    "prefixItems": "prefixItems",
    "propertyNames": "propertyNames",
    "unevaluatedItems": "unevaluatedItems",
    "unevaluatedProperties": "unevaluatedProperties",
    "uniqueItems": "uniqueItems",
    "content": "contentMediaType",
}


@pytest.fixture(scope="session")
def suite(data_dir: Path) -> Path:
    folder = data_dir / "json-schema-test-suite" / "tests" / "draft2020-12"
    if not folder.is_dir():
        pytest.skip(f"no JSON Schema test suite: {folder} is absent")
    return folder


def groups(suite: Path) -> Iterator[tuple[str, Json]]:
    for path in sorted(suite.rglob("*.json")):
        name = path.relative_to(suite).as_posix()
        if name not in NOT_CASES:
            for group in json.loads(path.read_text(encoding="utf-8")):
                yield name, group


def fits(kind: str, instance: Json) -> bool:
    match kind:
        case "string":
            return isinstance(instance, str)
        case "boolean":
            return isinstance(instance, bool)
        case "integer":
            return type(instance) is int or (type(instance) is float and instance.is_integer())
        case _:
            return isinstance(instance, list if kind == "array" else dict)


def judged(subject: Contract, document: Json) -> bool:
    """Whether masks (and, before them, the types of columns) find the document right."""
    table, problems, _ = subject.from_documents([document])
    return not problems and subject.validate(table).ok


def wrapped(schema: Json, kind: str, inner: str) -> Json:
    """A contract whose member `v` has this schema; an object's is a line's. Members without a type get `inner`."""
    shared = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    member = {"type": kind, **schema} if "$ref" not in schema else schema
    if kind == "object":
        properties = {
            name: {"type": inner, **sub} if isinstance(sub, dict) and not {"type", "$ref"} & set(sub) else sub
            for name, sub in schema.get("properties", {}).items()
        }
        member = {"additionalProperties": False, **member, "properties": properties}
        member = {"type": "array", "items": _with_number(member)}
    elif kind == "array" and "items" not in member:
        member = {"items": _with_number({"type": "object", "additionalProperties": False}), **member}
    return contract({"v": member}, lines={"v": ["numero"]} if kind in ("array", "object") else None) | shared


def meant(schema: Json, kind: str, inner: str, instance: Json) -> bool:
    """Whether the suite's verdict on the instance also holds for the wrapped schema."""
    if kind != "object":
        return fits(kind, instance)
    properties = schema.get("properties", {})
    if not isinstance(instance, dict) or (
        "additionalProperties" not in schema and set(instance) - set(properties)
    ):
        return False
    return all(
        fits(inner, value)
        for name, value in instance.items()
        if name in properties and "type" not in properties[name]
    )


def _with_number(schema: Json) -> Json:
    """Lines need a key, which the suite's objects do not have."""
    properties = {**schema.get("properties", {}), "numero": {"type": "integer"}}
    return {**schema, "properties": properties, "required": [*schema.get("required", []), "numero"]}


def documents_for(kind: str, instance: Json) -> Json:
    whole: Json = {"origem": "x", "id": 1, "v": instance}
    if kind == "object":
        whole["v"] = [{**instance, "numero": 1}]
    elif kind == "array" and all(isinstance(line, dict) for line in instance):
        whole["v"] = [{**line, "numero": number} for number, line in enumerate(instance)]
    elif kind == "array":
        whole["v"] = [
            {"numero": number} for number in range(len(instance))
        ]  # only how many there are matters
    return whole


def test_inside_the_subset_all_three_agree(suite: Path) -> None:
    counted: Counter[str] = Counter()
    for name, group in groups(suite):
        schema = group["schema"]
        if not isinstance(schema, dict):
            continue
        base = {key: value for key, value in schema.items() if key != "$schema"}
        kinds = (
            [base["type"]]
            if isinstance(base.get("type"), str)
            else ["string", "integer", "boolean", "array", "object"]
        )
        for kind, inner in (
            (outer, inner)
            for outer in kinds
            for inner in (["string", "integer"] if outer == "object" else [""])
        ):
            whole = wrapped(dict(base), kind, inner)
            if check_schema(whole):
                continue
            subject = Contract.from_schema(whole)
            for case in group["tests"]:
                instance = without_nulls(case["data"])
                if not meant(base, kind, inner, instance):
                    continue
                document = documents_for(kind, instance)
                where = f"{name}: {group['description']}: {case['description']} ({kind} {inner})"
                assert document_validator(whole).is_valid(document) == case["valid"], where
                assert judged(subject, document) == case["valid"], where
                counted[name] += 1
    total = sum(counted.values())
    print(f"{total} cases of the suite lie inside the subset:", dict(counted))  # noqa: T201 -- shown with -s
    assert total >= 200
    assert len(counted) >= 17, counted
    for keyword in ("enum", "const", "minimum", "maxLength", "minItems", "pattern", "required", "multipleOf"):
        assert counted[f"{keyword}.json"], keyword
    for name in ("date", "date-time", "uuid"):
        assert counted[f"optional/format/{name}.json"] > 10, name


@pytest.mark.parametrize(("file", "keyword"), OUTSIDE.items())
def test_outside_it_is_refused_with_its_pointer(suite: Path, file: str, keyword: str) -> None:
    refused = 0
    for group in json.loads((suite / f"{file}.json").read_text(encoding="utf-8")):
        schema = group["schema"]
        if not isinstance(schema, dict) or keyword not in schema:
            continue
        for kind in ("string", "integer", "array", "object"):
            problems = check_schema(contract({"v": {"type": kind, **schema}}, lines={"v": ["numero"]}))
            assert f"/properties/v/{keyword}" in {problem.pointer for problem in problems}, group[
                "description"
            ]
        refused += 1
    assert refused


def test_formats_outside_it_are_refused_with_their_pointer(suite: Path) -> None:
    refused = 0
    for path in sorted((suite / "optional" / "format").glob("*.json")):
        for group in json.loads(path.read_text(encoding="utf-8")):
            name = group["schema"].get("format")
            if name is None or name in FORMATS:
                continue
            problems = check_schema(contract({"v": {"type": "string", "format": name}}))
            assert [problem.pointer for problem in problems] == ["/properties/v/format"]
            refused += 1
    assert refused >= 15


def test_patterns_outside_it_are_refused(suite: Path) -> None:
    """Those on which the engines differ; the few that are inside run above, with the cases."""
    refused = 0
    for group in json.loads((suite / "optional" / "ecmascript-regex.json").read_text(encoding="utf-8")):
        pattern = group["schema"].get("pattern")
        if pattern is not None:
            problems = check_schema(contract({"v": {"type": "string", "pattern": pattern}}))
            assert [p.pointer for p in problems] in ([], ["/properties/v/pattern"])
            refused += len(problems)
    assert refused >= 10
