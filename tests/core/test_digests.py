"""A digest tells a changed document from an unchanged one, whatever stands beside it and however it lies in memory."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.contracts import digests
from filesync.contracts.digests import row_digests

LINE = pa.struct([("numero", pa.int64()), ("produto", pa.string())])
SCHEMA = pa.schema(
    [("k", pa.string()), ("n", pa.int64()), ("b", pa.bool_()), ("d", pa.date32()), ("t", pa.string()), ("itens", pa.list_(LINE))]
)  # fmt: skip

texts = st.one_of(
    st.text(max_size=20), st.text("ab", max_size=300), st.sampled_from(["", "a", "b" * 128, "b" * 129])
)
lines = st.fixed_dictionaries(
    {"numero": st.none() | st.integers(-(2**63), 2**63 - 1), "produto": st.none() | texts}
)
documents = st.fixed_dictionaries(
    {
        "k": texts, "n": st.none() | st.integers(-(2**63), 2**63 - 1), "b": st.none() | st.booleans(), "d": st.none() | st.dates(),
        "t": st.none() | texts, "itens": st.none() | st.lists(lines, max_size=4),
    }
)  # fmt: skip


def of(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> list[tuple[bytes, bytes]]:
    found = row_digests(pa.Table.from_pylist(rows, schema), ("k",))
    return list(zip(found.keys.to_pylist(), found.contents.to_pylist(), strict=True))


def meaning(row: dict[str, Any]) -> Any:
    """What must decide: null is absent, and so is an empty list."""
    kept = {name: value for name, value in row.items() if value is not None and value != []}
    return {
        name: [meaning(line) for line in value] if name == "itens" else value for name, value in kept.items()
    }


@given(st.lists(documents, min_size=1, max_size=12))
def test_equal_digests_are_equal_documents(rows: list[dict[str, Any]]) -> None:
    found = of(rows)
    alone = [of([row])[0] for row in rows]
    assert found == alone  # nothing beside a document matters
    for one, other in zip(rows[1:], rows[:-1], strict=True):
        assert (of([one])[0][1] == of([other])[0][1]) == (meaning(one) == meaning(other))
        assert (of([one])[0][0] == of([other])[0][0]) == (one["k"] == other["k"])


@given(st.lists(documents, min_size=4, max_size=12), st.integers(1, 3))
def test_how_it_lies_in_memory_does_not_matter(rows: list[dict[str, Any]], cut: int) -> None:
    expected = of(rows)
    table = pa.Table.from_pylist(rows, SCHEMA)
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    place = SCHEMA.get_field_index("t")
    encoded = table.set_column(place, "t", table.column("t").dictionary_encode())
    large = table.set_column(place, "t", table.column("t").cast(pa.large_string()))
    for same, start in ((chunked, 0), (encoded, 0), (large, 0), (table.slice(cut), cut)):
        found = row_digests(same, ("k",))
        pairs = list(zip(found.keys.to_pylist(), found.contents.to_pylist(), strict=True))
        assert pairs == expected[start:]


@pytest.mark.parametrize("rows", [600, 2 * digests._BLOCK_ROWS + 5])
def test_columns_of_few_texts_and_of_many(rows: int) -> None:
    """The dictionary's way and the plain one, and the borders of blocks, give what single documents give."""
    made = [{"k": f"{n}", "t": "abc"[: n % 4] * (n % 7), "n": n} for n in range(rows)]
    schema = pa.schema([SCHEMA.field(name) for name in ("k", "n", "t")])
    found = of(made, schema)
    assert len(set(found)) == rows
    for n in (0, 1, 2, 511, rows - 1):
        assert found[n] == of([made[n]], schema)[0]


def test_a_new_optional_column_changes_nothing() -> None:
    rows: list[dict[str, Any]] = [{"k": "a", "n": 1, "t": "x"}, {"k": "b", "n": None, "t": ""}]
    before = pa.schema([SCHEMA.field("k"), SCHEMA.field("n"), SCHEMA.field("t")])
    assert of(rows, before) == of(rows)


def test_the_same_value_in_another_column_or_line_is_another_document() -> None:
    schema = pa.schema(
        [("k", pa.string()), ("t", pa.string()), ("u", pa.string()), ("itens", pa.list_(LINE))]
    )
    one, two = {"numero": 1, "produto": "a"}, {"numero": 2, "produto": "b"}
    rows: list[dict[str, Any]] = [
        {"k": "k", "t": "a"}, {"k": "k", "u": "a"}, {"k": "k", "t": ""}, {"k": "k"}, {"k": "k", "t": "a\0"},
        {"k": "k", "itens": [one, two]}, {"k": "k", "itens": [two, one]}, {"k": "k", "itens": [one]}, {"k": "k", "itens": [one, one]},
    ]  # fmt: skip
    assert len({content for _, content in of(rows, schema)}) == len(rows)


def test_digests_do_not_change_between_versions() -> None:
    """They are kept for years: other digests would make every document look changed."""
    rows: list[dict[str, Any]] = [
        {"k": "caixa-01", "n": -5, "t": "São Paulo", "itens": [{"numero": 1, "produto": "p" * 200}]},
        {"k": "", "b": True, "itens": []},
    ]
    assert [(key.hex(), content.hex()) for key, content in of(rows)] == GOLDEN


GOLDEN = [
    ("80b4d840a14ed95fecb606707c5210ec", "5af15b726f7c74b9da41acaac259a230"),
    ("318ba0a6f681523fe7a3cacf367fdef1", "02b2296ebb14d7442ad850ba55d88910"),
]
