"""What a contract makes of tables: conforming, flattening, counting, totals, keys, gaps."""

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from contract_samples import array, contract, contracts, documents
from hypothesis import given, settings
from hypothesis import strategies as st

from filesync.contracts import Column, ColumnType, Contract, Gap, OnBadRows, Relation
from filesync.errors import RejectedError

Json = Any

SALES = Contract.from_schema(
    contract(
        {
            "serie": {"type": "string"},
            "numero": {"type": "integer"},
            "dia": {"type": "string", "format": "date"},
            "ligado": {"type": "boolean"},
            "itens": array({"valor": {"type": "integer"}, "nota": {"type": "string"}}),
            "pagamentos": array({"forma": {"type": "string"}, "valor": {"type": "integer"}}, ["forma"]),
        },
        ["serie", "numero"],
        totals={
            "numero": {"sum": "numero"},
            "itens": {"sum": "itens.valor"},
            "formas": {"sum": "pagamentos.valor", "by": "forma"},
            "series": {"sum": "numero", "by": "serie"},
        },
        continuity={"number": "numero", "per": ["serie"]},
        on_bad_rows="quarantine",
    )
)


def sale(number: int, *, serie: str = "1", itens: Json = (), pagamentos: Json = (), **more: Json) -> Json:
    return {
        "origem": "caixa-01",
        "id": number,
        "serie": serie,
        "numero": number,
        "itens": [{"numero": place, "valor": value} for place, value in enumerate(itens, 1)],
        "pagamentos": [
            {"numero": place, "forma": forma, "valor": value}
            for place, (forma, value) in enumerate(pagamentos, 1)
        ],
        **more,
    }


def table_of(*given_: Json, subject: Contract = SALES) -> pa.Table:
    table, problems, _ = subject.from_documents(given_)
    assert problems == []
    return table


# --- what it says


def test_the_schema_becomes_arrow_and_relations() -> None:
    item = pa.struct([("numero", pa.int64()), ("valor", pa.int64()), ("nota", pa.string())])
    payment = pa.struct([("numero", pa.int64()), ("forma", pa.string()), ("valor", pa.int64())])
    assert pa.schema(
        [
            ("origem", pa.string()),
            ("id", pa.int64()),
            ("serie", pa.string()),
            ("numero", pa.int64()),
            ("dia", pa.date32()),
            ("ligado", pa.bool_()),
            ("itens", pa.list_(item)),
            ("pagamentos", pa.list_(payment)),
        ]
    ).equals(SALES.arrow_schema)
    assert [(relation.name, relation.table, relation.key) for relation in SALES.relations] == [
        ("dados", "dados", ("origem", "id")),
        ("itens", "dados_itens", ("origem", "id", "numero")),
        ("pagamentos", "dados_pagamentos", ("origem", "id", "numero")),
    ]
    assert SALES.relations[1].columns == (
        Column("origem", ColumnType.TEXT, required=True),
        Column("id", ColumnType.INTEGER, required=True),
        Column("numero", ColumnType.INTEGER, required=True),
        Column("valor", ColumnType.INTEGER, required=False),
        Column("nota", ColumnType.TEXT, required=False),
    )
    assert (SALES.name, SALES.on_bad_rows, SALES.encrypted) == ("dados.v1", OnBadRows.QUARANTINE, False)
    assert (SALES.version_column, SALES.active_column, SALES.business_date_column) == (None, None, None)
    assert SALES.lines == {"itens": ("numero",), "pagamentos": ("numero",)}


def test_key_columns_come_first_wherever_the_schema_has_them() -> None:
    schema = contract(
        {"valor": {"type": "integer"}, "b": {"type": "string"}}, ["b"], key=["origem", "b", "id"]
    )
    relation: Relation = Contract.from_schema(schema).relations[0]
    assert [column.name for column in relation.columns] == ["origem", "b", "id", "valor"]
    assert [field.name for field in relation.fields] == ["origem", "id", "valor", "b"]


def test_a_contract_travels_to_other_processes() -> None:
    table = table_of(sale(1))
    assert SALES.validate(table).ok  # compiled masks are there, and stay behind
    other = pickle.loads(pickle.dumps(SALES))
    assert other.definition == SALES.definition
    assert other.validate(table).ok


# --- conforming


def test_columns_are_put_in_order_and_optional_ones_filled_in() -> None:
    got = pa.table(
        {
            "numero": pa.array([7], pa.int32()),
            "id": pa.array([1], pa.uint8()),
            "serie": pa.array(["1"]).dictionary_encode(),
            "origem": pa.array(["caixa-01"], pa.large_string()),
            "dia": pa.array(["2024-02-29"]),
            "itens": pa.array(
                [[{"valor": 5, "numero": 1}]],
                pa.large_list(pa.struct([("valor", pa.int16()), ("numero", pa.int64())])),
            ),
        }
    )
    table = SALES.conform(got)
    assert table.schema.equals(SALES.arrow_schema)
    assert SALES.documents(table) == [
        {
            "origem": "caixa-01",
            "id": 1,
            "serie": "1",
            "numero": 7,
            "dia": "2024-02-29",
            "itens": [{"numero": 1, "valor": 5}],
        }
    ]
    assert SALES.conform(table.to_batches()[0]).equals(table)


@pytest.mark.parametrize(
    "lists",
    [
        pa.array(
            [None, [], [None], [{"numero": 1}, None, {"numero": 2}]],
            pa.list_(pa.struct([("numero", pa.int8())])),
        ),
        pa.array(
            [None, [], [None], [{"numero": 1}, None, {"numero": 2}]],
            pa.large_list(pa.struct([("numero", pa.int64())])),
        ),
    ],
)
def test_null_lists_and_null_lines_stay_what_they_are(lists: pa.Array) -> None:
    subject = Contract.from_schema(contract({"itens": array({"nota": {"type": "string"}})}))
    padded = pa.concat_arrays([lists.slice(3), lists]).slice(1)  # an offset, as slices of a file have
    table = subject.conform(pa.table({"origem": ["x"] * 4, "id": [1, 2, 3, 4], "itens": padded}))
    assert [document.get("itens") for document in subject.documents(table)] == [
        None,
        [],
        [None],
        [{"numero": 1}, None, {"numero": 2}],
    ]
    findings = subject.validate(table)
    assert findings.bad is not None
    assert findings.bad.to_pylist() == [False, False, True, True]
    assert [(problem.code, problem.row, problem.pointer) for problem in findings.problems()] == [
        ("type", 2, "/itens/0"),
        ("type", 3, "/itens/1"),
    ]
    assert subject.rows(table) == {"dados": 4, "itens": 4}


RIGHT = {"origem": ["x"], "id": [1], "serie": ["1"], "numero": [1]}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({**RIGHT, "estranho": [1]}, "got also estranho"),
        ({"origem": ["x"], "id": [1], "numero": [1]}, "expected the columns serie; got only"),
        ({**RIGHT, "serie": [1]}, "column serie: expected string; got int64"),
        ({**RIGHT, "numero": ["1"]}, "column numero: expected int64; got string"),
        ({**RIGHT, "numero": [1.0]}, "column numero: expected int64; got double"),
        ({**RIGHT, "numero": [True]}, "column numero: expected int64; got bool"),
        ({**RIGHT, "serie": [b"1"]}, "column serie: expected string; got binary"),
        ({**RIGHT, "ligado": [1]}, "column ligado: expected bool; got int64"),
        ({**RIGHT, "dia": ["29/02/2024"]}, "column dia: expected date32"),
        ({**RIGHT, "dia": pa.array([0], pa.timestamp("s"))}, "column dia: expected date32"),
        ({**RIGHT, "numero": pa.array([2**63], pa.uint64())}, "column numero: expected int64; got uint64: "),
        ({**RIGHT, "itens": [1]}, "column itens: expected list"),
        ({**RIGHT, "itens": [[1]]}, "column itens: expected list"),
        ({**RIGHT, "itens": [[{"numero": 1, "x": 1}]]}, "itens: expected no columns but"),
        ({**RIGHT, "itens": [[{"valor": 1}]]}, "itens: expected the columns numero"),
        ({**RIGHT, "itens": [[{"numero": "1"}]]}, "column itens.numero: expected int64; got string"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_change_a_value_does_not_conform(columns: Json, message: str) -> None:
    with pytest.raises(RejectedError) as caught:
        SALES.conform(pa.table(columns))
    assert caught.value.code == "schema-mismatch"
    assert message in str(caught.value)


def test_a_column_twice_does_not_conform() -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["origem", "origem"])
    with pytest.raises(RejectedError, match="every name once; got origem"):
        SALES.conform(table)


def test_broken_data_does_not_conform() -> None:
    buffers = [None, pa.py_buffer(np.array([0, 1], np.int32).tobytes()), pa.py_buffer(b"\xff")]
    broken = pa.Array.from_buffers(pa.string(), 1, buffers)
    table = pa.Table.from_arrays(
        [
            pa.array(values, field.type) if values else pa.nulls(1, field.type)
            for values, field in zip(
                [RIGHT.get(field.name) for field in SALES.arrow_schema], SALES.arrow_schema, strict=True
            )
        ],
        schema=SALES.arrow_schema,
    )
    assert SALES.conform(table) is table
    with pytest.raises(RejectedError, match="UTF-8"):
        SALES.conform(table.set_column(2, "serie", broken))


# --- documents


@pytest.mark.parametrize(
    ("document", "code", "relation", "pointer"),
    [
        (None, "type", "dados", ""),
        ([], "type", "dados", ""),
        (sale(1, numero=True), "type", "dados", "/numero"),
        (sale(1, numero=1.5), "type", "dados", "/numero"),
        (sale(1, numero=2**63), "type", "dados", "/numero"),
        (sale(1, numero=float("nan")), "type", "dados", "/numero"),
        (sale(1) | {"serie": 1}, "type", "dados", "/serie"),
        (sale(1, serie="\ud800"), "type", "dados", "/serie"),
        (sale(1, ligado=1), "type", "dados", "/ligado"),
        (sale(1, dia="2024-13-01"), "format", "dados", "/dia"),
        (sale(1, dia=20240101), "type", "dados", "/dia"),
        (sale(1, novo=1), "additional-properties", "dados", ""),
        (sale(1) | {"itens": {}}, "type", "dados", "/itens"),
        (sale(1) | {"itens": [{}, None]}, "type", "itens", "/itens/1"),
        (sale(1) | {"itens": [{"numero": "1"}]}, "type", "itens", "/itens/0/numero"),
        (sale(1) | {"itens": [{"novo": 1}]}, "additional-properties", "itens", "/itens/0"),
    ],
)
def test_a_document_that_does_not_fit_is_named(
    document: Json, code: str, relation: str, pointer: str
) -> None:
    table, problems, kept = SALES.from_documents([sale(1), document, sale(2)])
    assert kept == [0, 2]
    assert [(problem.code, problem.relation, problem.row, problem.pointer) for problem in problems] == [
        (code, relation, 1, pointer)
    ]
    assert [document["id"] for document in SALES.documents(table)] == [1, 2]


def test_one_point_zero_is_an_integer_and_null_is_absent() -> None:
    table = table_of(sale(1, numero=3.0, ligado=None, dia=None, novo=None))
    assert SALES.documents(table) == [sale(1, numero=3)]


# --- flat tables


def test_lines_carry_the_key_of_their_document() -> None:
    table = table_of(
        sale(1, itens=[10, 20]),
        sale(2),
        sale(3, itens=[30], pagamentos=[("17", 5)]),
        sale(4, itens=None or ()),
    )
    flat = SALES.flatten(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert list(flat) == ["dados", "itens", "pagamentos"]
    assert [list(flat[relation.name].column_names) for relation in SALES.relations] == [
        [column.name for column in relation.columns] for relation in SALES.relations
    ]
    assert flat["itens"].select(["origem", "id", "numero", "valor"]).to_pylist() == [
        {"origem": "caixa-01", "id": key, "numero": number, "valor": value}
        for key, number, value in ((1, 1, 10), (1, 2, 20), (3, 1, 30))
    ]
    assert flat["pagamentos"].column("forma").to_pylist() == ["17"]
    assert flat["dados"].column("id").to_pylist() == [1, 2, 3, 4]


def test_nothing_flattens_to_empty_tables() -> None:
    table = SALES.arrow_schema.empty_table()
    assert {name: part.num_rows for name, part in SALES.flatten(table).items()} == {
        "dados": 0,
        "itens": 0,
        "pagamentos": 0,
    }
    assert SALES.validate(table).ok
    assert SALES.duplicates(table) is None
    assert SALES.gaps(table) == []
    assert SALES.documents(table) == []
    assert SALES.totals(table) == {"numero": 0, "itens": 0, "formas": {}, "series": {}}


# --- totals


def plain_claims(found: list[Json]) -> tuple[Json, Json]:
    """Rows and totals of documents, added up one by one."""
    rows = {"dados": len(found), "itens": 0, "pagamentos": 0}
    totals: Json = {"numero": 0, "itens": 0, "formas": {}, "series": {}}
    for document in found:
        totals["numero"] += document["numero"]
        serie = document["serie"]
        totals["series"][serie] = totals["series"].get(serie, 0) + document["numero"]
        for line in document["itens"]:
            rows["itens"] += 1
            totals["itens"] += line["valor"]
        for line in document["pagamentos"]:
            rows["pagamentos"] += 1
            totals["formas"][line["forma"]] = totals["formas"].get(line["forma"], 0) + line["valor"]
    return rows, totals


amounts = st.integers(-100, 100) | st.sampled_from([2**63 - 1, -(2**63), 2**62, 2**33])
sales = st.builds(
    sale,
    amounts,
    serie=st.sampled_from(["1", "2", "É"]),
    itens=st.lists(amounts, max_size=4),
    pagamentos=st.lists(st.tuples(st.sampled_from(["01", "17"]), amounts), max_size=3),
)


@settings(max_examples=150)
@given(st.lists(sales, max_size=8), st.data())
def test_totals_are_exact(found: list[Json], data: st.DataObject) -> None:
    table = table_of(*found)
    rows, totals = plain_claims(found)
    assert (SALES.rows(table), SALES.totals(table)) == (rows, totals)
    summed = SALES.totals_sum()
    cut = data.draw(st.integers(0, len(found)))
    summed.add(table.slice(0, cut))
    summed.add(table.slice(cut))
    assert (summed.rows, summed.totals) == (rows, totals)
    groups = data.draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found)))
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    for part in (table, chunked):
        claims = SALES.claims_by_group(part, pa.array(groups, pa.int32()), 5)
        assert claims == [
            plain_claims([document for document, group in zip(found, groups, strict=True) if group == number])
            for number in range(5)
        ]


def test_totals_of_many_rows_take_the_other_way_to_the_same_sum() -> None:
    found = [
        sale(number, itens=[2**62] * 2, pagamentos=[("17", -(2**62)), ("01", number)])
        for number in range(3000)
    ]
    table = table_of(*found)
    assert (SALES.rows(table), SALES.totals(table)) == plain_claims(found)


def test_null_counts_as_nothing() -> None:
    document = sale(1)
    document["itens"] = [{"numero": 1}, {"numero": 2, "valor": 5}]
    document["pagamentos"] = [
        {"numero": 1, "valor": 5},
        {"numero": 2, "forma": "17"},
    ]  # bad, but must not break sums
    table = table_of(document)
    assert SALES.totals(table)["itens"] == 5
    assert SALES.totals(table)["formas"] == {"17": 0}
    assert SALES.claims_by_group(table, pa.array([0], pa.int32()), 1) == [
        (SALES.rows(table), SALES.totals(table))
    ]


# --- keys and numbers


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3)), max_size=10), st.data())
def test_every_document_of_a_repeated_key_is_found(keys: list[tuple[str, int]], data: st.DataObject) -> None:
    subject = Contract.from_schema(contract({}))
    table = table_of(*({"origem": origin, "id": number} for origin, number in keys), subject=subject)
    cut = data.draw(st.integers(0, len(keys)))
    found = subject.duplicates(pa.concat_tables([table.slice(0, cut), table.slice(cut)]))
    expected = [keys.count(key) > 1 for key in keys]
    assert (found.to_pylist() if found is not None else [False] * len(keys)) == expected
    assert (found is None) == (not any(expected))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(["1", "2"]), st.integers(-3, 9)), max_size=12))
def test_missing_numbers_are_found(numbers: list[tuple[str, int]]) -> None:
    found = SALES.gaps(table_of(*(sale(number, serie=serie) for serie, number in numbers)))
    expected = {}
    for serie in ("1", "2"):
        present = {number for other, number in numbers if other == serie}
        missing = set(range(min(present, default=0), max(present, default=0))) - present
        if missing:
            expected[serie,] = missing
    assert {
        gap.per: {number for first, last in gap.missing for number in range(first, last + 1)} for gap in found
    } == expected
    assert len(found) == len(expected)


def test_gaps_at_the_ends_of_64_bits() -> None:
    table = table_of(sale(-(2**63)), sale(2**63 - 1), sale(2**63 - 3))
    assert SALES.gaps(table) == [Gap(("1",), ((-(2**63) + 1, 2**63 - 4), (2**63 - 2, 2**63 - 2)))]
    assert Contract.from_schema(contract({})).gaps(table) == []


def test_numbers_without_gaps_at_the_ends_of_64_bits() -> None:
    whole = [
        (serie, number)
        for serie, first in (("1", -(2**63)), ("2", 2**63 - 3))
        for number in range(first, first + 3)
    ]
    assert (
        SALES.gaps(table_of(*(sale(number, serie=serie) for serie, number in [*whole, whole[0], whole[-1]])))
        == []
    )
    less = [pair for place, pair in enumerate(whole) if place != 4]
    one_short = table_of(*(sale(number, serie=serie) for serie, number in [*less, whole[0], whole[0]]))
    assert SALES.gaps(one_short) == [Gap(("2",), ((2**63 - 2, 2**63 - 2),))], (
        "numbers that repeat do not make up for it"
    )


@settings(max_examples=60)
@given(data=st.data())
def test_any_table_can_be_flattened_and_summed(data: st.DataObject) -> None:
    """Before it is validated too: nothing in it may break the station."""
    schema = data.draw(contracts())
    subject = Contract.from_schema(schema)
    table, _, _ = subject.from_documents(data.draw(documents(schema)))
    flat = subject.flatten(table)
    assert {name: part.num_rows for name, part in flat.items()} == subject.rows(table)
    for relation in subject.relations:
        flat[relation.name].validate(full=True)
    subject.duplicates(table)
