"""Which versions of a contract can stand beside each other: what is refused, with its place, and the proof that the rest is harmless."""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract_changes import changed, next_version
from contract_samples import array, contract, contracts, documents, without_nulls
from hypothesis import event, given, settings
from hypothesis import strategies as st
from test_masks import right

from filesync.contracts import BreakingError, Contract, ContractError, Registry, added, breaks
from filesync.contracts.digests import row_digests
from filesync.contracts.inclusion import missed
from filesync.contracts.patterns import PatternError, compile_pattern
from filesync.errors import RejectedError

Json = Any


def made(schema: Json) -> Contract:
    return Contract.from_schema(schema)


def after(schema: Json, **members: Json) -> Json:
    """The next version, with these members changed (None: taken away)."""
    newer = next_version(schema)
    for name, member in members.items():
        if member is None:
            del newer["properties"][name]
            newer["required"] = [needed for needed in newer["required"] if needed != name]
        else:
            newer["properties"][name] = member
    arrays = [name for name, member in newer["properties"].items() if member.get("type") == "array"]
    newer["x-filesync"]["lines"] = {name: ["numero"] for name in arrays}
    return newer


def reasons(newer: Json, older: Json) -> list[tuple[str, str]]:
    return [(problem.pointer, problem.message) for problem in breaks(made(newer), made(older))]


# --- the proof


@settings(max_examples=500)
@given(data=st.data())
def test_what_is_right_under_the_old_version_is_right_under_one_that_may_stand_beside_it(
    data: st.DataObject,
) -> None:
    """Both engines, and the columns: whatever changes are drawn, if the check says yes then old documents, and old columns, are as they were."""
    older = data.draw(contracts())
    newer = data.draw(changed(older))
    old = made(older)
    try:
        new = made(newer)
    except ContractError:
        event("no contract")
        return
    if breaks(new, old):
        event("breaks")
        return
    event(f"stands beside it, {min(len(added(new, old)), 1)} or more new")
    batch = [
        without_nulls(document) for document in data.draw(documents(older)) if isinstance(document, dict)
    ]
    good = [document for document in batch if right(older, document)]
    assert all(right(newer, document) for document in good)
    before, problems, _ = old.from_documents(good)
    assert not problems
    now, problems, _ = new.from_documents(good)
    assert not problems
    assert new.validate(now).ok
    # What is stored: the old version's rows in the new version's form, with nothing lost, and nothing that looks changed.
    stored = new.conform(before)
    assert stored.equals(now)
    assert row_digests(stored, new.key) == row_digests(before, old.key)
    for relation in old.relations:
        assert (
            new.flatten(stored)[relation.name]
            .select([c.name for c in relation.columns])
            .equals(old.flatten(before)[relation.name])
        )
    sums = new.totals(stored)
    assert {name: sums[name] for name in old.totals(before)} == old.totals(before)


@settings(max_examples=300)
@given(data=st.data())
def test_what_breaks_is_told_with_a_place_in_the_new_schema(data: st.DataObject) -> None:
    older = data.draw(contracts())
    newer = data.draw(changed(older))
    try:
        found = breaks(made(newer), made(older))
    except ContractError:
        return
    for problem in found:
        node: Json = newer
        *parents, _ = problem.pointer.removeprefix("/").split("/")  # the last step may be what is missing
        for part in parents:
            node = node[int(part) if isinstance(node, list) else part]
        assert problem.message


def test_the_drawn_changes_are_of_every_kind() -> None:
    """So that the proof is about something: among the drawn pairs many may stand beside each other, with changes in them, and many may not."""
    counted: Counter[str] = Counter()

    @settings(max_examples=400, database=None, derandomize=True)
    @given(data=st.data())
    def look(data: st.DataObject) -> None:
        older = data.draw(contracts())
        newer = data.draw(changed(older))
        try:
            found = breaks(made(newer), made(older))
        except ContractError:
            counted["none"] += 1
            return
        counted["breaks" if found else "same" if newer == next_version(older) else "widened"] += 1

    look()
    assert counted["widened"] > 40, counted
    assert counted["breaks"] > 40, counted


def test_one_version_and_its_copy_stand_beside_each_other() -> None:
    for dataset, version in Registry.packaged().versions():
        old = Registry.packaged().get(dataset, version)
        assert old is not None
        assert breaks(made(next_version(old.schema)), old) == []
        (problem,) = breaks(old, old)
        assert problem.pointer == "/x-filesync/version"


# --- one by one

LINES = array({"valor": {"type": "integer"}, "nota": {"type": "string"}}, ["valor"], maxItems=3)
BASE = contract(
    {
        "loja": {"type": "string", "maxLength": 10},
        "dia": {"type": "string", "format": "date"},
        "valor": {"type": "integer", "minimum": 0, "maximum": 100},
        "forma": {"type": "string", "enum": ["01", "02"]},
        "codigo": {"type": "string", "pattern": "^[0-9]{1,3}$"},
        "doc": {"type": "string", "format": "cpf"},
        "passo": {"type": "integer", "multipleOf": 10},
        "ativo": {"type": "boolean"},
        "versao": {"type": "integer"},
        "itens": LINES,
    },
    ["loja", "dia", "ativo"],
    totals={"valor": {"sum": "valor"}, "itens": {"sum": "itens.valor"}},
    rules=[
        {"name": "soma", "left": ["valor"], "right": ["itens.valor"]},
        {"name": "caro", "left": ["passo"], "right": ["valor"], "when": {"forma": ["01"]}},
    ],
    version_column="versao",
    business_date="dia",
    on_bad_rows="quarantine",
    continuity={"number": "id", "per": ["loja"]},
)


def rule(name: str, left: list[str], right: list[str], **more: Json) -> Json:
    return {"name": name, "left": left, "right": right, **more}


SOMA, CARO = BASE["x-filesync"]["rules"]


@pytest.mark.parametrize(
    "newer",
    [
        after(BASE),
        after(BASE, canal={"type": "string", "enum": ["web"]}),
        after(BASE, volumes=array({"peso": {"type": "integer"}}, ["peso"], minItems=1)),
        after(BASE, itens={**LINES, "maxItems": 9}),
        after(BASE, valor={"type": "integer", "minimum": -1, "exclusiveMaximum": 102}),
        after(BASE, valor={"type": "integer"}),
        after(BASE, loja={"type": "string", "maxLength": 20, "title": "Shop"}),
        after(BASE, loja={"type": "string"}),
        after(BASE, forma={"type": "string", "enum": ["03", "02", "01"]}),
        after(BASE, forma={"type": "string", "minLength": 2, "pattern": "^0"}),
        after(BASE, codigo={"type": "string", "pattern": "^[0-9A-Z]{1,4}$"}),
        after(BASE, codigo={"type": "string", "pattern": "[0-9]"}),
        after(BASE, doc={"type": "string", "format": "cpf-cnpj"}),
        after(BASE, passo={"type": "integer", "multipleOf": 5}),
        after(BASE, ativo={"type": "boolean", "enum": [True, False]}),
    ],
    ids=lambda newer: str(
        [member for name, member in newer["properties"].items() if member != BASE["properties"].get(name)]
    ),
)
def test_what_only_widens_may_stand_beside_it(newer: Json) -> None:
    assert reasons(newer, BASE) == []


@pytest.mark.parametrize(
    ("newer", "pointer", "message"),
    [
        (after(BASE, doc=None), "/properties/doc", "is gone"),
        (after(BASE, codigo=None, kodigo={"type": "string"}), "/properties/codigo", "has another name now"),
        (after(BASE, valor={"type": "integer", "minimum": 1, "maximum": 100}), "/properties/valor/minimum", "expected at most 0"),
        (after(BASE, valor={"type": "integer", "exclusiveMinimum": 0, "maximum": 100}), "/properties/valor/exclusiveMinimum", "at most 0"),
        (after(BASE, valor={"type": "integer", "minimum": 0, "maximum": 99}), "/properties/valor/maximum", "at least 100"),
        (after(BASE, valor={"type": "integer", "enum": [0, 1, 2]}), "/properties/valor/enum", "only 0, 1, 2 would be right"),
        (after(BASE, codigo={"type": "integer"}), "/properties/codigo/type", "expected 'string', as it was, got 'integer'"),
        (after(BASE, codigo={"type": "string", "format": "date"}), "/properties/codigo/type", "got a date"),
        (after(BASE, loja={"type": "string", "maxLength": 9}), "/properties/loja/maxLength", "at least 10"),
        (after(BASE, loja={"type": "string", "maxLength": 10, "minLength": 1}), "/properties/loja/minLength", "at most 0"),
        (after(BASE, loja={"type": "string", "maxLength": 10, "pattern": "^[a-z]*$"}), "/properties/loja/pattern", "expected no pattern"),
        (after(BASE, loja={"type": "string", "maxLength": 10, "format": "cep"}), "/properties/loja/format", "expected no format"),
        (after(BASE, forma={"type": "string", "enum": ["02", "03"]}), "/properties/forma/enum", "'01' would not be right any more"),
        (after(BASE, forma={"type": "string", "const": "02"}), "/properties/forma/const", "'01' would not be right any more"),
        (after(BASE, forma={"type": "string", "maxLength": 1}), "/properties/forma", "'01', '02' would not be right any more"),
        (after(BASE, codigo={"type": "string", "pattern": "^[0-9]{2,3}$"}), "/properties/codigo/pattern", "'0' would not be right"),
        (after(BASE, doc={"type": "string", "format": "cnpj"}), "/properties/doc/format", "expected cpf, as it was, got cnpj"),
        (after(BASE, passo={"type": "integer", "multipleOf": 20}), "/properties/passo/multipleOf", "a divisor of 10"),
        (after(BASE, ativo={"type": "boolean", "const": True}), "/properties/ativo/const", "only true would be right"),
        (after(BASE, itens={**LINES, "maxItems": 2}), "/properties/itens/maxItems", "at least 3"),
        (after(BASE, itens={**LINES, "minItems": 1}), "/properties/itens/minItems", "at most 0"),
        (after(BASE, itens=array({"valor": {"type": "integer"}}, ["valor"])), "/properties/itens/items/properties/nota", "is gone"),
        (after(BASE, itens=array({"valor": {"type": "integer"}, "nota": {"type": "string"}}, ["valor", "nota"])),
         "/properties/itens/items/required/2", "may not be required"),
        (after(BASE, itens=array({"valor": {"type": "integer"}, "nota": {"type": "string"}})),
         "/properties/itens/items/properties/valor", "must stay in required"),
        (after(BASE, itens=array({**LINES["items"]["properties"], "dia2": {"type": "integer"}}, ["valor", "dia2"])),
         "/properties/itens/items/required/2", "a new member"),
        (after(BASE, canal={"type": "string"}) | {"required": [*BASE["required"], "canal"]}, "/required/5", "'canal' is a new member"),
        (after(BASE) | {"required": [*BASE["required"], "codigo"]}, "/required/5", "what was optional"),
        (after(BASE) | {"required": BASE["required"][:-1]}, "/properties/ativo", "must stay in required"),
        (after(BASE) | {"required": [*BASE["required"], "itens"]}, "/required/5", "'itens' is what was optional"),
        (after(BASE, volumes=array({})) | {"required": [*BASE["required"], "volumes"]}, "/required/5", "'volumes' is a new array"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_breaks_is_refused(newer: Json, pointer: str, message: str) -> None:
    ((where, why), *others) = reasons(newer, BASE)
    assert not others
    assert where == pointer
    assert message in why


@pytest.mark.parametrize(
    ("notes", "pointer"),
    [
        ({"dataset": "outros"}, "/x-filesync/dataset"),
        ({"version": 1}, "/x-filesync/version"),
        ({"key": ["origem", "dia", "id"]}, "/x-filesync/key"),
        ({"lines": {"itens": ["numero", "valor"]}}, "/x-filesync/lines/itens"),
        ({"version_column": None}, "/x-filesync/version_column"),
        ({"version_column": "valor"}, "/x-filesync/version_column"),
        ({"active": "ativo"}, "/x-filesync/active"),
        ({"business_date": None}, "/x-filesync/business_date"),
        ({"encrypted": True}, "/x-filesync/encrypted"),
        ({"continuity": None}, "/x-filesync/continuity"),
        ({"continuity": {"number": "id", "per": ["origem"]}}, "/x-filesync/continuity"),
        ({"late": "refuse"}, "/x-filesync/late"),
        ({"on_bad_rows": "reject"}, "/x-filesync/on_bad_rows"),
        ({"totals": {"valor": {"sum": "valor"}}}, "/x-filesync/totals"),
        (
            {"totals": {"valor": {"sum": "passo"}, "itens": {"sum": "itens.valor"}}},
            "/x-filesync/totals/valor",
        ),
        ({"rules": [SOMA, CARO, rule("nova", ["passo"], ["itens.valor"])]}, "/x-filesync/rules/2"),
        ({"rules": [SOMA, {**CARO, "when": {"forma": ["01", "02"]}}]}, "/x-filesync/rules/1"),
        ({"rules": [SOMA, {name: CARO[name] for name in ("name", "left", "right")}]}, "/x-filesync/rules/1"),
        ({"rules": [rule("soma", ["valor"], ["itens.valor", "itens.valor"]), CARO]}, "/x-filesync/rules/0"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:60],
)
def test_a_meaning_that_changes_is_refused(notes: Json, pointer: str) -> None:
    newer = next_version(BASE)
    newer["x-filesync"] |= notes
    newer["x-filesync"] = {name: note for name, note in newer["x-filesync"].items() if note is not None}
    newer["required"] = [*newer["required"]]
    assert [where for where, _ in reasons(newer, BASE)] == [pointer]


def test_a_meaning_that_may_be_added() -> None:
    newer = after(BASE, frete={"type": "integer"}, canal={"type": "string", "enum": ["web"]})
    newer["x-filesync"] |= {
        "totals": {**BASE["x-filesync"]["totals"], "frete": {"sum": "frete"}},
        "rules": [
            # The freight counts as nothing where there is none, so old documents keep the rule as they kept it.
            rule("soma", ["valor"], ["itens.valor", "frete"]),
            rule("caro-ao-contrario", ["valor"], ["passo"], when={"forma": ["01"], "ativo": [True]}),
            rule("frete-gratis", ["frete"], []),
            rule("canal", ["id"], [], when={"canal": ["web"]}),
        ],
    }
    assert reasons(newer, BASE) == []
    stricter = copy.deepcopy(BASE)
    stricter["x-filesync"]["on_bad_rows"] = "reject"
    assert reasons(newer, stricter) == [], (
        "good documents beside a bad one are applied now; they were never wrong"
    )


def test_an_array_and_a_scalar_are_not_each_other() -> None:
    newer = after(BASE, codigo=array({}), itens={"type": "string"})
    newer["x-filesync"] |= {"totals": {}, "rules": []}
    found = reasons(newer, BASE)
    assert ("/properties/codigo/type", "expected 'string', as it was, got 'array'") in found
    assert ("/properties/itens/type", "expected 'array', as it was") in found
    assert [where for where, _ in found].count("/x-filesync/totals") == 2, "every reason, not only the first"


def test_places_lie_behind_references() -> None:
    older = after(contract({"valor": {"$ref": "#/$defs/um"}})) | {
        "$defs": {"um": {"type": "integer", "minimum": 0}}
    }
    newer = next_version(older)
    newer["$defs"]["um"]["minimum"] = 1
    assert [where for where, _ in reasons(newer, older)] == ["/$defs/um/minimum"]


def test_what_is_new_is_named() -> None:
    line = {**LINES["items"]["properties"], "lote": {"type": "string"}}
    newer = after(
        BASE,
        canal={"type": "string"},
        itens=array(line, ["valor"]),
        volumes=array({"peso": {"type": "integer"}}),
    )
    assert added(made(newer), made(BASE)) == ("canal", "itens.lote", "volumes")
    assert added(made(next_version(BASE)), made(BASE)) == ()


# --- patterns

ALPHABET = "ab01-\né"


@settings(max_examples=400)
@given(
    st.recursive(
        st.sampled_from(["a", "b", "[ab]", "[^a]", "[0-9]", "-"]),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}"])).map(lambda t: f"(?:{t[0]}){t[1]}"),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        ),
        max_leaves=5,
    ).flatmap(lambda body: st.tuples(st.just(body), st.booleans(), st.booleans())),
    st.data(),
)  # fmt: skip
def test_patterns_are_compared_as_they_match(shape: tuple[str, bool, bool], data: st.DataObject) -> None:
    """Against matching itself: no text tells the two apart where nothing is said to be missed, and what is said to be missed is."""
    old = f"{'^' if shape[1] else ''}{shape[0]}{'$' if shape[2] else ''}"
    new = data.draw(
        st.sampled_from(
            [f"^{shape[0]}$", shape[0], f"^(?:{shape[0]})*$", f"^[^b]*{shape[0]}", "^[ab01-]*$", "a|b|1"]
        )
    )
    found = missed(old, new)
    if found is None:
        text = data.draw(st.text(ALPHABET, max_size=6))
        assert compile_pattern(new).matches(text) or not compile_pattern(old).matches(text)
    else:
        assert compile_pattern(old).matches(found)
        assert not compile_pattern(new).matches(found)


def test_patterns_that_count_too_high_are_not_compared() -> None:
    with pytest.raises(PatternError, match="count too high"):
        missed("^(?:[0-9]{1,40}-){0,20}$", "^[0-9-]{0,1000}$")
    with pytest.raises(PatternError, match="counts too high"):
        missed("^(?:a{1,50}b){1,90}$", "^[a-c]*$")


def test_what_cannot_be_shown_does_not_hold() -> None:
    older = contract({"codigo": {"type": "string", "pattern": "^(?:[0-9]{1,40}-){0,20}$"}})
    ((where, why),) = reasons(after(older, codigo={"type": "string", "pattern": "^[0-9-]{0,1000}$"}), older)
    assert where == "/properties/codigo/pattern"
    assert "cannot be shown" in why


# --- the registry


def test_a_registry_refuses_a_version_that_breaks(tmp_path: Path) -> None:
    (tmp_path / "dados.v1.json").write_text(json.dumps(BASE), encoding="utf-8")
    (tmp_path / "dados.v2.json").write_text(
        json.dumps(after(BASE, canal={"type": "string"})), encoding="utf-8"
    )
    registry = Registry(folder=tmp_path)
    form = registry.form("dados")
    assert form is not None
    assert form.name == "dados.v2"
    assert registry.form("dados") is form
    assert registry.known("dados") == (1, 2)
    assert registry.form("nada") is None
    third = next_version(BASE)
    third["x-filesync"]["version"] = 3  # without what v2 brought
    (tmp_path / "dados.v3.json").write_text(json.dumps(third), encoding="utf-8")
    with pytest.raises(
        BreakingError, match=r"dados.v3: cannot stand beside dados.v2:\n  /properties/canal: 'canal' is gone"
    ) as failure:
        Registry(folder=tmp_path).form("dados")
    assert failure.value.code == "contract-breaking"
    assert [problem.pointer for problem in failure.value.problems] == ["/properties/canal"]


def test_shipped_versions_stand_beside_each_other() -> None:
    for dataset in Registry.packaged().datasets():
        assert Registry.packaged().form(dataset) is Registry.packaged().latest(dataset)


def test_rows_of_a_newer_version_do_not_fit_an_older_one() -> None:
    newer = made(after(BASE, canal={"type": "string"}))
    table = pa.table({"canal": ["web"]})
    with pytest.raises(RejectedError, match="also canal"):
        made(BASE).conform(table)
    assert newer.arrow_schema.names[-2:] == ["canal", "itens"]
