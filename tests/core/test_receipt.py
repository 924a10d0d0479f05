"""Receipts: what is written is read back; what is not exactly one is refused with the field's name."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from envelope_schemas import mutated, oracle, sweep, swept
from hypothesis import example, given, settings
from hypothesis import strategies as st
from protocol_samples import MANIFEST, RECEIPT
from test_manifest import ABSENT, changed, digests, numbers, relations

from filesync.errors import RejectedError
from filesync.protocol.envelope import INT_MAX, decode, encode
from filesync.protocol.identity import SEQ_MAX
from filesync.protocol.receipt import MISSING_MAX, PROBLEMS_MAX, Problem, Receipt, UnknownFormatError, Verdict

SIGNED = RECEIPT.to_signed()

problems = st.builds(
    Problem,
    code=st.from_regex("[a-z][a-z0-9-]{0,20}", fullmatch=True),
    message=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    relation=st.none() | relations,
    row=st.none() | st.integers(0, INT_MAX),
    pointer=st.none() | st.just("/itens/3/total_centavos"),
)
moments = st.sampled_from(["2025-03-14T18:02:11-03:00", "2025-03-14T18:02:11.123456Z"])
receipts = st.builds(
    Receipt,
    batch=st.just(MANIFEST.name.stem),
    manifest_sha256=digests,
    payload_sha256=digests,
    recipient=st.sampled_from(["matriz", "portal"]),
    verdict=st.sampled_from(Verdict),
    rows=st.dictionaries(relations, st.integers(0, INT_MAX), max_size=4),
    totals=st.dictionaries(
        relations, numbers | st.dictionaries(st.sampled_from(["01", "17"]), numbers), max_size=4
    ),
    problems=st.lists(problems, max_size=4).map(tuple),
    applied_through=st.integers(0, SEQ_MAX),
    missing=st.lists(st.integers(1, SEQ_MAX), unique=True, max_size=5).map(lambda seqs: tuple(sorted(seqs))),
    received_at=moments,
    applied_at=moments,
    clock=moments,
    contract=st.sampled_from([None, "vendas.v1", "produtos.v12"]),
    software=st.just("filesync 0.1.0"),
)


@given(receipts)
def test_what_is_written_is_read_back(receipt: Receipt) -> None:
    signed = receipt.to_signed()
    assert Receipt.from_signed(signed) == receipt
    assert Receipt.from_signed(decode(encode(signed, None)).signed) == receipt
    assert Receipt.from_signed(signed).to_signed() == signed


def test_a_receipt_names_its_batch() -> None:
    assert RECEIPT.name == MANIFEST.name


def test_lists_are_bounded() -> None:
    full = replace(
        RECEIPT, problems=RECEIPT.problems * PROBLEMS_MAX, missing=tuple(range(1, MISSING_MAX + 1))
    )
    assert Receipt.from_signed(full.to_signed()) == full
    for pointer, value in (
        ("/problems", [SIGNED["problems"][0]] * (PROBLEMS_MAX + 1)),
        ("/missing", list(range(1, MISSING_MAX + 2))),
    ):
        with pytest.raises(RejectedError, match=f": {pointer}: expected at most"):
            Receipt.from_signed(changed(SIGNED, pointer, value))


@pytest.mark.parametrize("pointer", [f"/{name}" for name in SIGNED])
@pytest.mark.parametrize(
    "value", [ABSENT, [{}], 1.5, True, "", {"a": []}, 10**400, -1], ids=lambda v: type(v).__name__
)
def test_every_member_is_required_and_of_its_type(pointer: str, value: object) -> None:
    with pytest.raises(RejectedError, match=r"receipt for .*: expected .*, got ") as caught:
        Receipt.from_signed(changed(SIGNED, pointer, value))
    assert caught.value.code in {"receipt-invalid", "format-unknown"}
    assert len(str(caught.value)) < 500


PROBLEM = SIGNED["problems"][0]


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/new", None),
        ("/batch", ""),
        ("/batch", MANIFEST.name.manifest),
        ("/batch", MANIFEST.name.stem.upper()),
        ("/manifest_sha256", None),
        ("/payload_sha256", "AB" * 32),
        ("/recipient", "Matriz"),
        ("/recipient", "nul"),
        ("/verdict", "applied"),
        ("/verdict", None),
        ("/rows", {"vendas": -1}),
        ("/totals", {"total": "1"}),
        ("/problems", {}),
        ("/problems", [None]),
        ("/problems", [{**PROBLEM, "code": "Row Total"}]),
        ("/problems", [{**PROBLEM, "code": ""}]),
        ("/problems", [{**PROBLEM, "message": None}]),
        ("/problems", [{**PROBLEM, "message": "x" * 5000}]),
        ("/problems", [{**PROBLEM, "relation": ""}]),
        ("/problems", [{**PROBLEM, "relation": "../x"}]),
        ("/problems", [{**PROBLEM, "row": -1}]),
        ("/problems", [{**PROBLEM, "row": True}]),
        ("/problems", [{**PROBLEM, "pointer": 1}]),
        ("/problems", [{**PROBLEM, "extra": 1}]),
        ("/problems", [{name: PROBLEM[name] for name in PROBLEM if name != "row"}]),
        ("/applied_through", -1),
        ("/applied_through", SEQ_MAX + 1),
        ("/missing", [0]),
        ("/missing", [1, 1]),
        ("/missing", [SEQ_MAX + 1]),
        ("/missing", [True]),
        ("/received_at", "yesterday"),
        ("/applied_at", "2025-03-14"),
        ("/clock", "2025-03-14T18:02:11"),
        ("/contract", ""),
        ("/contract", "vendas"),
        ("/contract", "vendas.v0"),
        ("/contract", "vendas.v1\n"),
        ("/software", ""),
    ],
)
def test_a_field_outside_its_range_is_named(pointer: str, value: object) -> None:
    with pytest.raises(RejectedError) as caught:
        Receipt.from_signed(changed(SIGNED, pointer, value))
    assert caught.value.code == "receipt-invalid"
    if pointer != "/batch":
        assert str(caught.value).startswith(f"receipt for '{MANIFEST.name.stem}': ")
    assert f": {'signed' if pointer == '/new' else pointer}" in str(caught.value)
    assert len(str(caught.value)) < 600


@given(st.text(st.characters(codec=None), max_size=40), st.integers(0, 3000))
def test_a_receipt_can_always_be_sent(text: str, repeat: int) -> None:
    problem = Problem("row-total", text * repeat, pointer=text * repeat)
    receipt = replace(
        RECEIPT, problems=(problem,) * (PROBLEMS_MAX + 1), missing=tuple(range(1, MISSING_MAX + 9))
    )
    assert Receipt.from_signed(decode(encode(receipt.to_signed(), None)).signed) == receipt
    assert len(receipt.problems) == PROBLEMS_MAX
    assert receipt.missing == tuple(range(1, MISSING_MAX + 1))


def test_a_problem_is_cut_visibly() -> None:
    problem = Problem("row-total", "x" * 1001, pointer="/" * 501)
    assert problem.message == "x" * 997 + "..."
    assert problem.pointer == "/" * 497 + "..."
    assert Problem("row-total", "a\ud800é") == Problem("row-total", "a?é")
    assert Problem("row-total", "").message == "row-total"


def test_an_error_without_a_batch() -> None:
    signed: Any
    for signed in ([], {"format": 1, "batch": 7}):
        with pytest.raises(RejectedError, match="receipt for an unnamed batch: signed: expected"):
            Receipt.from_signed(signed)


@pytest.mark.parametrize("version", [0, 2, INT_MAX])
def test_of_a_format_of_the_future_nothing_else_is_judged(version: int) -> None:
    signed: dict[str, Any] = {"format": version, "batch": MANIFEST.name.stem, "new": []}
    with pytest.raises(UnknownFormatError) as caught:
        Receipt.from_signed(signed)
    assert caught.value.code == "format-unknown"
    assert str(caught.value) == f"receipt for '{MANIFEST.name.stem}': format: expected 1, got {version}"


# --- the JSON Schema is the reference


@pytest.fixture(scope="module")
def schema() -> Any:
    return oracle("receipt")


def accepted(signed: dict[str, Any]) -> bool:
    try:
        Receipt.from_signed(signed)
    except RejectedError:
        return False
    return True


@settings(max_examples=300)
@given(signed=mutated(receipts.map(Receipt.to_signed)))
@example(signed=SIGNED)
def test_the_schema_accepts_exactly_the_same(schema: Any, signed: dict[str, Any]) -> None:
    errors = [error.message for error in schema.iter_errors({"signed": signed, "signature": None})]
    assert accepted(signed) == (not errors), errors


@given(receipts)
def test_the_schema_accepts_what_is_written(schema: Any, receipt: Receipt) -> None:
    schema.validate({"signed": receipt.to_signed(), "signature": None})


@swept
def test_the_schema_has_the_same_bounds(schema: Any, every: int) -> None:
    differing = [
        (what, accepted(signed))
        for what, signed in islice(sweep(RECEIPT.to_signed()), None, None, every)
        if accepted(signed) != schema.is_valid({"signed": signed, "signature": None})
    ]
    assert not differing
