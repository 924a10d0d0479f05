"""Next versions of a contract, drawn: changes that only widen, changes that narrow, and some that may be either."""

import copy
from collections.abc import Callable
from typing import Any

from contract_samples import FORMATS, PATTERNS, array
from hypothesis import strategies as st

Json = Any


def next_version(schema: Json) -> Json:
    """A copy of the schema that calls itself the version after it."""
    newer = copy.deepcopy(schema)
    newer["x-filesync"]["version"] += 1
    return newer


def objects(schema: Json) -> list[Json]:
    """The document, and each array's lines: what has properties."""
    lines = [m["items"] for m in schema["properties"].values() if m.get("type") == "array"]
    return [schema, *lines]


def _scalars(where: Json) -> list[str]:
    return [
        name
        for name, member in where["properties"].items()
        if member.get("type") in ("integer", "string", "boolean")
    ]


def _add_member(draw: st.DrawFn, schema: Json) -> None:
    where = draw(st.sampled_from(objects(schema)))
    member = draw(
        st.sampled_from(
            [{"type": "integer"}, {"type": "string", "enum": ["web", "loja"]}, {"type": "boolean"}]
        )
    )
    where["properties"].setdefault("novo", member)
    if draw(st.integers(0, 3)) == 0:
        where["required"] = [*where["required"], "novo"]


def _add_array(draw: st.DrawFn, schema: Json) -> None:
    volumes = array({"g": {"type": "integer"}}, minItems=draw(st.integers(0, 1)))
    schema["properties"].setdefault("volumes", volumes)
    schema["x-filesync"]["lines"]["volumes"] = ["numero"]
    if draw(st.integers(0, 3)) == 0:
        schema["required"] = [*schema["required"], "volumes"]


def _drop_member(draw: st.DrawFn, schema: Json) -> None:
    where = draw(st.sampled_from(objects(schema)))
    names = [name for name in where["properties"] if name not in ("origem", "id", "numero")]
    if names:
        name = draw(st.sampled_from(names))
        del where["properties"][name]
        where["required"] = [needed for needed in where["required"] if needed != name]
        schema["x-filesync"]["lines"].pop(name, None)


def _need_more_or_less(draw: st.DrawFn, schema: Json) -> None:
    where = draw(st.sampled_from(objects(schema)))
    name = draw(st.sampled_from(list(where["properties"])))
    if name in where["required"]:
        where["required"] = [needed for needed in where["required"] if needed != name]
    else:
        where["required"] = [*where["required"], name]


def _bound(draw: st.DrawFn, schema: Json) -> None:
    """Move, take away or set the bounds of a member, or of how many lines there are."""
    where = draw(st.sampled_from(objects(schema)))
    member = where["properties"][draw(st.sampled_from(list(where["properties"])))]
    keywords = {
        "integer": ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        "string": ["minLength", "maxLength"],
        "array": ["minItems", "maxItems"],
    }.get(member.get("type", ""), [])
    if not keywords or member.get("format") == "date":
        return
    keyword = draw(st.sampled_from(keywords))
    if keyword in member and draw(st.booleans()):
        del member[keyword]
    else:
        low = -(2**63) if "imum" in keyword else 0
        moved = member.get(keyword, draw(st.integers(0, 5))) + draw(st.integers(-3, 3))
        member[keyword] = max(low, min(2**31 - 1, moved))


def _values(draw: st.DrawFn, schema: Json) -> None:
    """Change a list of values, a pattern, a format, a step."""
    where = draw(st.sampled_from(objects(schema)))
    names = _scalars(where)
    member = where["properties"][draw(st.sampled_from(names))]
    match member["type"]:
        case "boolean":
            member.pop("const", None)
            member["enum"] = draw(st.sampled_from([[True], [False], [True, False]]))
        case "integer":
            change = draw(st.sampled_from(["enum", "multipleOf", "none"]))
            member.pop("const", None)
            if change == "enum":
                extra = draw(st.lists(st.integers(-5, 20), min_size=1, max_size=4, unique=True))
                member["enum"] = list(
                    dict.fromkeys([*member.get("enum", []), *extra][draw(st.integers(0, 1)) :])
                ) or [0]
            elif change == "multipleOf":
                member["multipleOf"] = draw(st.sampled_from([1, 2, 3, 6, 10]))
            else:
                member.pop("enum", None)
                member.pop("multipleOf", None)
        case _ if member.get("format") != "date":
            change = draw(st.sampled_from(["enum", "pattern", "format", "none"]))
            member.pop("const", None)
            if change == "enum":
                extra = draw(st.lists(st.sampled_from(["", "a", "01", "é", "b"]), min_size=1, unique=True))
                member["enum"] = list(
                    dict.fromkeys([*member.get("enum", []), *extra][draw(st.integers(0, 1)) :])
                ) or ["a"]
            elif change == "pattern":
                member["pattern"] = draw(
                    st.sampled_from(
                        [*PATTERNS, "^[0-9]{4,6}$", "^[0-9A-Za-z-]*$", "[^b]", "^(?:ab|c|d)*[^x]?$"]
                    )
                )
            elif change == "format":
                member["format"] = draw(st.sampled_from(list(FORMATS)))
            else:
                for keyword in ("enum", "pattern", "format"):
                    member.pop(keyword, None)


def _type(draw: st.DrawFn, schema: Json) -> None:
    where = draw(st.sampled_from(objects(schema)))
    name = draw(st.sampled_from(list(where["properties"])))
    if name not in ("origem", "id", "numero"):
        schema["x-filesync"]["lines"].pop(name, None)
        where["properties"][name] = draw(
            st.sampled_from([{"type": "string"}, {"type": "integer"}, {"type": "string", "format": "date"}])
        )


def _rules(draw: st.DrawFn, schema: Json) -> None:
    """Take a rule away, ask it of more or of fewer documents, turn it round, or add a term."""
    rules = schema["x-filesync"].get("rules", [])
    integers = [name for name in _scalars(schema) if schema["properties"][name]["type"] == "integer"]
    if not rules or draw(st.integers(0, 4)) == 0:
        if "novo" in schema["properties"]:
            rules.append(
                {"name": "nova", "left": [draw(st.sampled_from(["novo", "id"]))], "right": [], "when": {}}
            )
        return
    place = draw(st.integers(0, len(rules) - 1))
    rule = rules[place]
    match draw(st.integers(0, 4)):
        case 0:
            del rules[place]
        case 1:
            rule.pop("when", None)
        case 2:
            rule["left"], rule["right"] = rule["right"] or ["id", "-id"], rule["left"]
        case 3:
            rule["when"] = {**rule.get("when", {}), "origem": ["a"]}
        case _ if integers:
            rule["left"] = [*rule["left"], draw(st.sampled_from(integers))]


def _notes(draw: st.DrawFn, schema: Json) -> None:
    notes = schema["x-filesync"]
    match draw(st.integers(0, 3)):
        case 0:
            notes["key"] = list(reversed(notes["key"]))
        case 1:
            notes["on_bad_rows"] = draw(st.sampled_from(["reject", "quarantine"]))
        case 2:
            notes["totals"] = {"soma": {"sum": "id"}}
        case _:
            notes["late"] = draw(st.sampled_from(["apply", "note", "refuse"]))


_CHANGES: list[Callable[[st.DrawFn, Json], None]] = [
    _add_member, _add_member, _add_array, _drop_member, _need_more_or_less, _bound, _bound, _bound, _values, _values, _type, _rules, _notes,
]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, schema: Json) -> Json:
    """A next version: a few changes, each of which may widen, narrow, or make no contract at all."""
    newer = next_version(schema)
    if "$ref" in newer["properties"]["id"]:  # what is changed in one place is changed there only
        newer["properties"]["id"] = newer.pop("$defs")["um"]
    for change in draw(st.lists(st.sampled_from(_CHANGES), max_size=3)):
        change(draw, newer)
    return newer
