"""Voids: what is written is read back, the schema and the parser agree, and its file is named after the batch."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from envelope_schemas import mutated, oracle, sweep, swept
from hypothesis import example, given, settings
from hypothesis import strategies as st
from protocol_samples import MANIFEST
from test_manifest import ABSENT, changed

from filesync.contracts.reference import check_void
from filesync.errors import RejectedError
from filesync.protocol.envelope import canonical, decode, encode, sha256_hex
from filesync.protocol.identity import BatchName, FileKind, FileName, parse_file_name
from filesync.protocol.receipt import UnknownFormatError
from filesync.protocol.void import BY_CHARS_MAX, REASON_CHARS_MAX, Void

DIGEST = sha256_hex(canonical(MANIFEST.to_signed()))
VOID = Void.of(
    MANIFEST, DIGEST, reason="setores do disco perdidos", by="Bia", at="2025-03-15T08:00:00-03:00", software="filesync 0.1.0"
)  # fmt: skip
SIGNED = VOID.to_signed()

voids = st.builds(
    lambda reason, by, previous, rows: replace(VOID, reason=reason, by=by, previous=previous, rows=rows),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.sampled_from(["Ana", "é" * BY_CHARS_MAX]),
    st.none() | st.just("ab" * 32),
    st.dictionaries(st.sampled_from(["vendas", "itens"]), st.integers(0, 99)),
)


@given(voids)
def test_what_is_written_is_read_back(void: Void) -> None:
    signed = void.to_signed()
    assert Void.from_signed(decode(encode(signed, None)).signed) == void
    assert check_void({"signed": signed, "signature": None}) == []


def test_it_stands_for_its_manifest() -> None:
    assert (VOID.id, VOID.name, VOID.previous) == (MANIFEST.id, MANIFEST.name, MANIFEST.previous)
    assert (VOID.rows, VOID.totals, VOID.recipients) == (
        MANIFEST.rows,
        MANIFEST.totals,
        MANIFEST.recipients,
    )
    assert VOID.manifest_sha256 == DIGEST


def test_its_file_is_named_after_the_batch() -> None:
    assert VOID.name.void == f"{MANIFEST.name.stem}.void.json"
    assert parse_file_name(VOID.name.void) == FileName(MANIFEST.name, FileKind.VOID)
    assert str(parse_file_name(VOID.name.void)) == VOID.name.void
    for wrong in ("void", "void.json.tmp", "matriz.void.json", "Void.json"):
        assert parse_file_name(f"{MANIFEST.name.stem}.{wrong}") is None
    longest = ".".join(["a" * 24] * 3) + ".k3v7q2ma.9999999999.20250314.c3fdf90f15fe"
    assert len(BatchName.parse(longest).void) < 180


@pytest.mark.parametrize("pointer", [f"/{name}" for name in SIGNED])
@pytest.mark.parametrize(
    "value", [ABSENT, [{}], 1.5, True, "", {"A": []}, 10**400, -1], ids=lambda v: type(v).__name__
)
def test_every_member_is_required_and_of_its_type(pointer: str, value: object) -> None:
    with pytest.raises(RejectedError, match=r"void of .*: .*expected .*, got ") as caught:
        Void.from_signed(changed(SIGNED, pointer, value))
    assert caught.value.code in {"void-invalid", "format-unknown"}
    assert len(str(caught.value)) < 700


def test_its_payload_is_the_one_that_its_name_says() -> None:
    with pytest.raises(RejectedError, match="expected one that begins with") as caught:
        Void.from_signed(changed(SIGNED, "/payload_sha256", "00" * 32))
    assert caught.value.code == "renamed"


def test_of_a_format_of_the_future_nothing_else_is_judged() -> None:
    with pytest.raises(UnknownFormatError):
        Void.from_signed({"format": 2, "farewell": []})
    with pytest.raises(RejectedError, match="expected an object"):
        Void.from_signed([])  # type: ignore[arg-type]


def test_texts_have_bounds() -> None:
    Void.from_signed(changed(SIGNED, "/reason", "x" * REASON_CHARS_MAX))
    for pointer, bound in (("/reason", REASON_CHARS_MAX), ("/by", BY_CHARS_MAX)):
        with pytest.raises(RejectedError):
            Void.from_signed(changed(SIGNED, pointer, "x" * (bound + 1)))


# --- the JSON Schema is the reference


@pytest.fixture(scope="module")
def schema() -> Any:
    return oracle("void")


def accepted(signed: dict[str, Any]) -> bool:
    """By the form alone: that name and payload belong together, no schema can say."""
    try:
        Void.from_signed(signed)
    except RejectedError as error:
        return error.code == "renamed"
    return True


@settings(max_examples=300)
@given(signed=mutated(voids.map(Void.to_signed)))
@example(signed=SIGNED)
def test_the_schema_accepts_exactly_the_same(schema: Any, signed: dict[str, Any]) -> None:
    errors = [error.message for error in schema.iter_errors({"signed": signed, "signature": None})]
    assert accepted(signed) == (not errors), errors


@swept
def test_the_schema_has_the_same_bounds(schema: Any, every: int) -> None:
    differing = [
        (what, accepted(signed))
        for what, signed in islice(sweep(SIGNED), None, None, every)
        if accepted(signed) != schema.is_valid({"signed": signed, "signature": None})
    ]
    assert not differing
