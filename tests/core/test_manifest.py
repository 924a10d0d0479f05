"""Manifests: what is written is read back; what is not exactly one is refused with the field's name."""

import copy
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Any

import pytest
from envelope_schemas import mutated, oracle, sweep, swept
from hypothesis import example, given, settings
from hypothesis import strategies as st
from protocol_samples import FEED, MANIFEST

from filesync.errors import RejectedError
from filesync.protocol.envelope import INT_MAX, canonical, decode, encode
from filesync.protocol.identity import SEQ_MAX, BatchId, Feed, Format, Mode
from filesync.protocol.manifest import Manifest, UnknownFormatError

SIGNED = MANIFEST.to_signed()

ids = st.sampled_from(["caixa-01", "matriz", "a", "0" * 24, "vendas"])
numbers = st.integers(-INT_MAX, INT_MAX)
relations = st.from_regex("[a-z][a-z0-9_]{0,20}", fullmatch=True)
digests = st.from_regex("[0-9a-f]{64}", fullmatch=True)
manifests = st.builds(
    Manifest,
    id=st.builds(
        BatchId,
        st.builds(Feed, ids, ids, ids),
        st.from_regex("[a-z0-9]{8}", fullmatch=True),
        st.integers(1, SEQ_MAX),
    ),
    version=st.integers(1, 999),
    recipients=st.lists(ids, min_size=1, unique=True).map(tuple),
    mode=st.sampled_from(Mode),
    business_date=st.dates(),
    format=st.sampled_from(Format),
    payload_bytes=st.integers(0, INT_MAX),
    payload_sha256=digests,
    rows=st.dictionaries(relations, st.integers(0, INT_MAX), min_size=1, max_size=4),
    totals=st.dictionaries(
        relations,
        numbers | st.dictionaries(st.sampled_from(["01", "17", "é"]), numbers, max_size=3),
        max_size=4,
    ),
    previous=st.none() | digests,
    replaces=st.none() | st.just(MANIFEST.name.stem),
    sealed_at=st.sampled_from(["2025-03-14T18:02:11-03:00", "2025-03-14T18:02:11.123456Z"]),
    software=st.just("filesync 0.1.0"),
)


@given(manifests)
def test_what_is_written_is_read_back(manifest: Manifest) -> None:
    signed = manifest.to_signed()
    assert Manifest.from_signed(signed) == manifest
    assert Manifest.from_signed(decode(encode(signed, None)).signed) == manifest
    assert Manifest.from_signed(signed).to_signed() == signed


def test_a_manifest_names_its_files() -> None:
    assert MANIFEST.name.stem == "vendas.caixa-01.matriz.k3v7q2ma.0000000012.20250314.abababababab"
    assert MANIFEST.payload_file == f"{MANIFEST.name.stem}.parquet"
    assert SIGNED["payload"]["file"] == MANIFEST.payload_file
    assert canonical(SIGNED).startswith(
        b'{"batch":{"audience":"matriz","dataset":"vendas","epoch":"k3v7q2ma"'
    )


ABSENT = object()


def changed(signed: dict[str, Any], pointer: str, value: object) -> dict[str, Any]:
    """A copy with one member replaced, added or (ABSENT) taken away."""
    result = copy.deepcopy(signed)
    *path, last = pointer.removeprefix("/").split("/")
    inner = result
    for step in path:
        inner = inner[step]
    if value is ABSENT:
        del inner[last]
    else:
        inner[last] = value
    return result


@pytest.mark.parametrize(
    "pointer", [*(f"/{name}" for name in SIGNED), "/batch/seq", "/payload/file", "/payload/sha256"]
)
@pytest.mark.parametrize(
    "value", [ABSENT, [], 1.5, True, "", {"a": []}, 10**400, -1], ids=lambda v: type(v).__name__
)
def test_every_member_is_required_and_of_its_type(pointer: str, value: object) -> None:
    with pytest.raises(RejectedError, match=r"manifest of .*: expected .*, got ") as caught:
        Manifest.from_signed(changed(SIGNED, pointer, value))
    assert caught.value.code in {"manifest-invalid", "format-unknown", "renamed"}
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/extra", None),
        ("/batch/extra", None),
        ("/payload/extra", None),
        ("/format", True),
        ("/format", "1"),
        ("/format", None),
        ("/batch/dataset", "Vendas"),
        ("/batch/origin", "con"),
        ("/batch/origin", "caixa-01\n"),
        ("/batch/audience", ""),
        ("/batch/audience", "../x"),
        ("/batch/version", 0),
        ("/batch/version", True),
        ("/batch/epoch", "short"),
        ("/batch/seq", 0),
        ("/batch/seq", SEQ_MAX + 1),
        ("/batch/seq", "12"),
        ("/recipients", []),
        ("/recipients", ["matriz", "matriz"]),
        ("/recipients", ["Matriz"]),
        ("/recipients", [None]),
        ("/recipients", "matriz"),
        ("/mode", "DELTA"),
        ("/mode", None),
        ("/business_date", "2025-02-30"),
        ("/business_date", "20250314"),
        ("/business_date", "2025-W11-5"),
        ("/business_date", "2025-03-14\n"),
        ("/business_date", "2025-03-14T00:00:00-03:00"),
        ("/payload/format", "csv"),
        ("/payload/bytes", -1),
        ("/payload/bytes", INT_MAX + 1),
        ("/payload/sha256", "AB" * 32),
        ("/payload/sha256", "ab" * 31),
        ("/payload/file", None),
        ("/rows", {"vendas": -1}),
        ("/rows", {"vendas": True}),
        ("/rows", {"vendas": "1"}),
        ("/rows", {"Vendas": 1}),
        ("/rows", {"": 1}),
        ("/totals", {"total": None}),
        ("/totals", {"total": INT_MAX + 1}),
        ("/totals", {"total": {"01": {"x": 1}}}),
        ("/totals", {"total": {"01": 1.0}}),
        ("/previous", ""),
        ("/previous", 0),
        ("/replaces", ""),
        ("/replaces", MANIFEST.name.manifest),
        ("/replaces", MANIFEST.name.stem.replace("20250314", "20250231")),
        ("/sealed_at", "2025-03-14T18:02:11"),
        ("/sealed_at", "2025-03-14 18:02:11-03:00"),
        ("/sealed_at", "2025-03-14T25:02:11-03:00"),
        ("/sealed_at", "2025-03-14T24:00:00-03:00"),
        ("/sealed_at", "2025-03-14T18:02:60-03:00"),
        ("/sealed_at", "2025-03-14T18:02:11-03:60"),
        ("/sealed_at", "2025-03-14T18:02:11-24:00"),
        ("/sealed_at", "2025-02-30T18:02:11-03:00"),
        ("/sealed_at", "2025-03-14T18:02:11-03:00\n"),
        ("/software", ""),
        ("/software", "x" * 1000),
    ],
)
def test_a_field_outside_its_range_is_named(pointer: str, value: object) -> None:
    with pytest.raises(RejectedError) as caught:
        Manifest.from_signed(changed(SIGNED, pointer, value))
    assert caught.value.code == "manifest-invalid"
    owner = pointer.removesuffix("/extra") or "signed"
    assert f": {owner}" in str(caught.value)
    if not pointer.startswith("/batch/"):
        assert str(caught.value).startswith(f"manifest of {FEED}.k3v7q2ma.12: ")


def test_an_error_names_the_batch() -> None:
    with pytest.raises(RejectedError) as caught:
        Manifest.from_signed(changed(SIGNED, "/payload/bytes", "x" * 500))
    assert str(caught.value) == (
        "manifest of vendas.caixa-01.matriz.k3v7q2ma.12: /payload/bytes: "
        f"expected an integer from 0 to {INT_MAX}, got '{'x' * 80}'... (500 characters)"
    )
    with pytest.raises(RejectedError, match="manifest of an unnamed batch: signed: expected"):
        Manifest.from_signed([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "file",
    [
        MANIFEST.name.payload(Format.JSONL),
        MANIFEST.name.manifest,
        f"../{MANIFEST.payload_file}",
        f"{MANIFEST.payload_file}\n",
        replace(MANIFEST, id=BatchId(FEED, "k3v7q2ma", 13)).payload_file,
        replace(MANIFEST, business_date=date(2025, 3, 15)).payload_file,
        replace(MANIFEST, payload_sha256="ac" * 32).payload_file,
    ],
)
def test_a_manifest_cannot_point_at_another_file(file: str) -> None:
    with pytest.raises(RejectedError) as caught:
        Manifest.from_signed(changed(SIGNED, "/payload/file", file))
    assert caught.value.code in {"renamed", "manifest-invalid"}
    assert "/payload/file: expected" in str(caught.value)


@pytest.mark.parametrize("version", [0, 2, 99, -1, INT_MAX])
def test_of_a_format_of_the_future_nothing_else_is_judged(version: int) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        Manifest.from_signed({"format": version, "batch": "something new"})
    assert caught.value.code == "format-unknown"
    assert str(caught.value) == f"manifest of an unnamed batch: format: expected 1, got {version}"
    with pytest.raises(
        UnknownFormatError, match=r"manifest of vendas.caixa-01.matriz.k3v7q2ma.12: format: expected 1"
    ):
        Manifest.from_signed(changed(SIGNED, "/format", version))


# --- the JSON Schema is the reference


@pytest.fixture(scope="module")
def schema() -> Any:
    return oracle("manifest")


def accepted(signed: dict[str, Any]) -> bool:
    """Whether the form is right; that `payload.file` is not the derived name is beyond what a schema can say."""
    try:
        Manifest.from_signed(signed)
    except RejectedError as error:
        return error.code == "renamed"
    return True


@settings(max_examples=300)
@given(signed=mutated(manifests.map(Manifest.to_signed)))
@example(signed=SIGNED)
def test_the_schema_accepts_exactly_the_same(schema: Any, signed: dict[str, Any]) -> None:
    errors = [error.message for error in schema.iter_errors({"signed": signed, "signature": None})]
    assert accepted(signed) == (not errors), errors


@given(manifests)
def test_the_schema_accepts_what_is_written(schema: Any, manifest: Manifest) -> None:
    schema.validate({"signed": manifest.to_signed(), "signature": None})


@swept
def test_the_schema_has_the_same_bounds(schema: Any, every: int) -> None:
    differing = [
        (what, accepted(signed))
        for what, signed in islice(
            sweep(replace(MANIFEST, replaces=MANIFEST.name.stem).to_signed()), None, None, every
        )
        if accepted(signed) != schema.is_valid({"signed": signed, "signature": None})
    ]
    assert not differing
