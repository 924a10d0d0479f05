"""The two engines agree: masks over columns, and jsonschema with rules read straight from the document."""

from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from contract_samples import array, contract, contracts, documents, term_value, without_nulls
from hypothesis import given, settings
from hypothesis import strategies as st

from filesync.contracts import Contract, rows
from filesync.contracts.reference import document_validator

Json = Any


def right(schema: Json, document: Json) -> bool:
    """The reference's verdict, written without any code of the masks."""
    if not document_validator(schema).is_valid(document):
        return False
    for rule in schema["x-filesync"].get("rules", []):
        applies = all(
            any(document.get(name) == value and type(document.get(name)) is type(value) for value in values)
            for name, values in rule.get("when", {}).items()
        )
        if applies and sum(term_value(t, document) for t in rule["left"]) != sum(
            term_value(t, document) for t in rule["right"]
        ):
            return False
    for name, key in schema["x-filesync"]["lines"].items():
        keys = [tuple(line[column] for column in key) for line in document.get(name, [])]
        if len(set(keys)) != len(keys):
            return False
    return True


@settings(max_examples=400)
@given(data=st.data())
def test_the_engines_agree(data: st.DataObject) -> None:
    schema = data.draw(contracts())
    batch = data.draw(documents(schema))
    subject = Contract.from_schema(schema)
    table, problems, kept = subject.from_documents(batch)
    findings = subject.validate(table)
    bad = {problem.row for problem in problems}
    assert bad.isdisjoint(kept)
    if findings.bad is not None:
        bad |= {kept[place] for place, is_bad in enumerate(findings.bad.to_pylist()) if is_bad}
    expected = {place for place, document in enumerate(batch) if not right(schema, without_nulls(document))}
    assert bad == expected
    assert findings.ok == (findings.bad is None) == (findings.bad_count == 0)
    named = findings.problems()
    assert {problem.row for problem in named} <= {kept.index(row) for row in bad if row in kept}
    assert all(problem.code != "contract" for problem in named), named
    if len(named) < 100:
        assert len({problem.row for problem in named}) == findings.bad_count


@settings(max_examples=100)
@given(data=st.data())
def test_chunks_and_slices_change_nothing(data: st.DataObject) -> None:
    schema = data.draw(contracts())
    subject = Contract.from_schema(schema)
    table, _, kept = subject.from_documents(data.draw(documents(schema)))
    whole = subject.validate(table).bad
    expected = [False] * len(kept) if whole is None else whole.to_pylist()
    cut = data.draw(st.integers(0, len(kept)))
    parts = pa.concat_tables([table.slice(0, cut), table.slice(cut), table.slice(0, 0), table.slice(cut, 1)])
    # Small chunks are put together first; with 0 they are taken as they come, as large ones are.
    with patch.object(rows, "PIECE_ROWS_MIN", data.draw(st.sampled_from([0, 16_384]))):
        found = subject.validate(parts).bad
        assert subject.documents(parts) == subject.documents(table) + subject.documents(table)[cut : cut + 1]
        assert subject.flatten(parts)["dados"].num_rows == len(parts)
    assert (found.to_pylist() if found is not None else [False] * len(parts)) == expected + expected[
        cut : cut + 1
    ]


@settings(max_examples=100)
@given(data=st.data())
def test_documents_come_back_as_they_went_in(data: st.DataObject) -> None:
    schema = data.draw(contracts())
    batch = data.draw(documents(schema))
    subject = Contract.from_schema(schema)
    table, _, kept = subject.from_documents(batch)
    assert table.schema == subject.arrow_schema
    assert subject.documents(table) == [without_nulls(batch[place]) for place in kept]
    assert subject.conform(table).equals(table)


# --- large columns take other ways through the masks than small ones


def many(
    schema: Json, values: list[Json], places: dict[int, Json], count: int = 30_000
) -> tuple[list[int], int]:
    """The bad rows where column `v` repeats `values`, but for `places`."""
    subject = Contract.from_schema(contract({"v": schema}))
    column = [places.get(place, values[place % len(values)]) for place in range(count)]
    table = subject.conform(
        pa.table(
            {
                "origem": pa.array(["x"] * count),
                "id": pa.array(range(count)),
                "v": pa.array(column, subject.arrow_schema.field("v").type),
            }
        )
    )
    findings = subject.validate(table)
    bad = (
        []
        if findings.bad is None
        else [place for place, is_bad in enumerate(findings.bad.to_pylist()) if is_bad]
    )
    assert [problem.row for problem in findings.problems()] == bad
    return bad, findings.bad_count


@pytest.mark.parametrize(
    ("schema", "values", "wrong"),
    [
        ({"format": "s10"}, ["JT365572014BR"], ["JT365572015BR", "JT36557201ABR", "", "JT365572014B"]),
        ({"format": "cpf"}, ["39053344705"], ["39053344715", "22222222222", "3905334470a"]),
        ({"format": "cnpj"}, ["34028316000103", "12ABC34501DE35"], ["34028316000113", "12aBC34501DE35"]),
        ({"format": "cpf-cnpj"}, ["34028316000103", "39053344705"], ["340283160001", "39053344706"]),
        ({"format": "gtin"}, ["7891000100103", "96385074"], ["7891000100104", "96385073", "9638507"]),
        ({"format": "cep"}, ["01310930"], ["0131093x", "0131093", "01310-930"]),
        (
            {"format": "uuid"},
            ["0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d11"],
            ["0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d1g"],
        ),
        (
            {"format": "date-time"},
            ["2024-05-06T12:34:56-03:00"],
            ["2024-05-32T12:34:56-03:00", "2023-02-29T00:00:00Z"],
        ),
        (
            {"format": "date-time"},
            ["2024-05-06T12:34:56Z", "2024-02-29T12:34:56.123+05:30"],
            ["2024-05-06T24:34:56Z"],
        ),
        ({"pattern": "^[0-9]{5}$"}, ["12345"], ["1234x", "1234", "123456", "１2345"]),
        (
            {"pattern": "^[A-Z][0-9A-Z-]{0,9}$"},
            ["A", "AB-1", "A123456789"],
            ["-A", "a", "A1234567890", "", "AÉ"],
        ),
        ({"pattern": "^[0-9]{1,4}$", "maxLength": 3}, ["1", "123"], ["1234", ""]),
        ({"minLength": 2, "maxLength": 5}, ["ééééé", "ab"], ["é", "ababab", "😀", "a"]),
        ({"minLength": 3}, ["abc" * 4], ["éa", "😀😀"]),
        ({"maxLength": 4}, ["", "abcd", "😀😀😀😀"], ["abcde", "a\0b"]),
        ({"enum": ["a", "b"]}, ["a", "b"], ["c", "", "ab"]),
        ({}, ["", "qualquer"], ["\0", "x\0"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("nullable", [False, True])
def test_single_bad_texts_are_found_in_a_large_column(
    schema: Json, values: list[str], wrong: list[str], nullable: bool
) -> None:
    usual = [*values, None] if nullable else values
    places = {place: text for text, place in zip(wrong, (0, 8191, 8192, 29_999), strict=False)}
    assert many({"type": "string", **schema}, usual, {}) == ([], 0)
    assert many({"type": "string", **schema}, usual, places)[0] == sorted(places)


@pytest.mark.parametrize(
    ("schema", "values", "wrong"),
    [
        ({"minimum": -5, "maximum": 5}, [-5, 0, 5], [6, -6, 2**63 - 1, -(2**63)]),
        ({"exclusiveMinimum": 0}, [1, 2**63 - 1], [0, -(2**63)]),
        ({"exclusiveMaximum": -(2**63)}, [], [0, -(2**63)]),
        ({"exclusiveMinimum": 2**63 - 1}, [], [0, 2**63 - 1]),
        ({"multipleOf": 10}, [0, -20, 30], [5, -1, 2**63 - 1]),
        ({"enum": [1, 2]}, [1, 2], [0, 3]),
    ],
    ids=str,
)
def test_single_bad_integers_are_found_in_a_large_column(
    schema: Json, values: list[int], wrong: list[int]
) -> None:
    usual = [*values, None]
    places = {place: number for number, place in zip(wrong, (0, 8191, 8192, 29_999), strict=False)}
    assert many({"type": "integer", **schema}, usual, places)[0] == sorted(places)


@pytest.mark.parametrize("place", [0, 1, 63, 15_000, 29_998, 29_999])
def test_one_other_text_in_a_column_of_equal_ones_is_found(place: int) -> None:
    assert many({"type": "string", "pattern": "^(?:caixa)$"}, ["caixa"], {place: "caixb"})[0] == [place]
    assert many({"type": "string", "maxLength": 0}, [""], {place: "a"})[0] == [place]


def test_a_column_of_one_wrong_text_is_wrong_everywhere() -> None:
    subject = Contract.from_schema(contract({"v": {"type": "string", "pattern": "^(?:caixa)$"}}))
    equal: Json = [{"origem": "x", "id": number, "v": "caixb"} for number in range(100)]
    table, _, _ = subject.from_documents(equal)
    assert subject.validate(table).bad_count == 100


@pytest.mark.parametrize(
    ("day", "is_right"), [(-719_163, False), (-719_162, True), (2_932_896, True), (2_932_897, False)]
)
def test_a_date_beyond_four_digits_is_bad(day: int, is_right: bool) -> None:
    subject = Contract.from_schema(contract({"v": {"type": "string", "format": "date"}}))
    days = pa.array([day, 0, None], pa.int32()).cast(pa.date32())
    findings = subject.validate(subject.conform(pa.table({"origem": ["x"] * 3, "id": [1, 2, 3], "v": days})))
    assert findings.ok == is_right
    assert [(problem.code, problem.row, problem.pointer) for problem in findings.problems()] == (
        [] if is_right else [("format", 0, "/v")]
    )


# --- row rules at the edges of 64 bits

SUMS = contract(
    {"total": {"type": "integer"}, "itens": array({"valor": {"type": "integer"}})},
    rules=[{"name": "total", "left": ["total"], "right": ["itens.valor"]}],
)


def sale(total: int, *values: int | None) -> Json:
    lines = [{"numero": number, "valor": value} for number, value in enumerate(values, 1)]
    return {"origem": "x", "id": 1, "total": total, "itens": lines}


@pytest.mark.parametrize(
    ("document", "is_right"),
    [
        (sale(0), True),
        (sale(3, 1, 2), True),
        (sale(3, 1, None, 2), True),
        (sale(4, 1, 2), False),
        (sale(0, 2**63 - 1, 2**63 - 1, 2), False),  # 2^64: 0 in arithmetic of 64 bits
        (sale(0, -(2**63), -(2**63)), False),
        (sale(-2, 2**63 - 1, 2**63 - 1), False),
        (sale(2**63 - 1, 2**63 - 2, 1), True),
        (sale(-(2**63), -(2**63) + 1, -1), True),
        (sale(-1, 2**63 - 1, -(2**63)), True),
        (sale(0, *[2**62] * 4), False),
    ],
)
def test_sums_are_exact(document: Json, is_right: bool) -> None:
    subject = Contract.from_schema(SUMS)
    table, problems, _ = subject.from_documents([document])
    assert not problems
    findings = subject.validate(table)
    assert findings.ok == is_right == right(SUMS, without_nulls(document))
    assert [problem.code for problem in findings.problems()] == ([] if is_right else ["rule-total"])


def test_a_rule_is_named_with_what_was_found() -> None:
    subject = Contract.from_schema(SUMS)
    table, _, _ = subject.from_documents([sale(4, 1, 2)])
    assert [problem.message for problem in subject.validate(table).problems()] == [
        "expected total = Σ itens.valor, got 4 and 3"
    ]


# --- lines


def test_a_line_key_that_repeats_is_bad_in_its_own_document_only() -> None:
    schema = contract(
        {"itens": array({"lado": {"type": "string"}}, ["lado"])}, lines={"itens": ["numero", "lado"]}
    )
    subject = Contract.from_schema(schema)

    def document(*lines: tuple[int, str]) -> Json:
        return {"origem": "x", "id": 1, "itens": [{"numero": n, "lado": side} for n, side in lines]}

    table, _, _ = subject.from_documents(
        [document((1, "a"), (1, "b")), document((1, "a"), (2, "a"), (1, "a")), document((1, "a")), document()]
    )
    findings = subject.validate(table)
    assert findings.bad is not None
    assert findings.bad.to_pylist() == [False, True, False, False]
    (problem,) = findings.problems(offset=1000)
    assert (problem.code, problem.relation, problem.row, problem.pointer) == (
        "line-repeated",
        "itens",
        1001,
        "/itens/2",
    )


def test_naming_is_bounded() -> None:
    schema = contract({"itens": array({})})
    subject = Contract.from_schema(schema)
    huge = {"origem": "x", "id": 1, "itens": [{"numero": 1}] * 21_000}
    table, _, _ = subject.from_documents([huge, {"origem": "x", "id": 2, "itens": [{"numero": 1}] * 2}])
    findings = subject.validate(table)
    assert findings.bad_count == 2
    assert [(problem.code, problem.row) for problem in findings.problems()] == [
        ("contract", 0),
        ("line-repeated", 1),
    ]
    table, _, _ = subject.from_documents([{"origem": "x", "id": 2, "itens": [{"numero": 1}] * 500}])
    assert len(subject.validate(table).problems()) == 100
    assert len(subject.validate(table).problems(limit=7)) == 7


def test_values_of_an_encrypted_dataset_stay_out_of_messages() -> None:
    secret = "segredo"
    schema = contract({"senha": {"type": "string", "pattern": "^[0-9]+$"}}, encrypted=True)
    subject = Contract.from_schema(schema)
    documents_ = [
        {"origem": "x", "id": 1, "senha": secret},
        {"origem": "x", "id": 1, "senha": [secret]},
        {"origem": "x", "id": secret},
    ]
    table, problems, _ = subject.from_documents(documents_)
    messages = [problem.message for problem in (*problems, *subject.validate(table).problems())]
    assert len(messages) == 3
    assert not any(secret in message for message in messages)
