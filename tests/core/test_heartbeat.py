"""Heartbeats: what is written is read back, the schema and the parser agree, and the file stays small."""

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from envelope_schemas import mutated, oracle, sweep, swept
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_manifest import ABSENT, changed

from filesync.contracts.reference import check_heartbeat
from filesync.errors import RejectedError
from filesync.protocol.envelope import INT_MAX, decode, encode
from filesync.protocol.heartbeat import (
    CONTRACTS_MAX,
    FEEDS_MAX,
    HEARTBEAT_BYTES_MAX,
    WANTED_MAX,
    WANTED_NUMBERS_MAX,
    FeedMark,
    Heartbeat,
    Wanted,
)
from filesync.protocol.identity import (
    SEQ_MAX,
    Role,
    heartbeat_name,
    parse_file_name,
    parse_heartbeat_name,
)
from filesync.protocol.receipt import UnknownFormatError
from filesync.protocol.signing import SigningKey

HEARTBEAT = Heartbeat(
    site="caixa-01", recipient="matriz", role=Role.CAIXA, epoch="k3v7q2ma", counter=17, clock="2025-03-14T18:05:00-03:00",
    software="filesync 0.1.0", free_bytes=12_000_000_000, feeds=(FeedMark("vendas", "matriz", 15, 12), FeedMark("fechamento", "matriz", 3, None)),
    contracts=("vendas.v1", "fechamento.v1"), wanted=(Wanted("produtos", "caixas", "q7d2x9aa", (4, 5, 9)),),
)  # fmt: skip
SIGNED = HEARTBEAT.to_signed()

ids = st.sampled_from(["vendas", "matriz", "caixas", "caixa-01"])
seqs = st.integers(1, SEQ_MAX)
heartbeats = st.builds(
    Heartbeat,
    site=ids,
    recipient=ids,
    role=st.sampled_from(Role),
    epoch=st.just("k3v7q2ma"),
    counter=st.integers(1, INT_MAX),
    clock=st.sampled_from(["2025-03-14T18:02:11-03:00", "2025-03-14T18:02:11.123456Z"]),
    software=st.just("filesync 0.1.0"),
    free_bytes=st.none() | st.integers(0, INT_MAX),
    feeds=st.lists(st.builds(FeedMark, ids, ids, seqs, st.none() | seqs), max_size=4).map(tuple),
    contracts=st.lists(st.sampled_from(["vendas.v1", "produtos.v12"]), max_size=3).map(tuple),
    wanted=st.lists(
        st.builds(
            Wanted,
            ids,
            ids,
            st.just("q7d2x9aa"),
            st.lists(seqs, min_size=1, max_size=4, unique=True).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
)


@given(heartbeats)
def test_what_is_written_is_read_back(heartbeat: Heartbeat) -> None:
    signed = heartbeat.to_signed()
    assert Heartbeat.from_signed(decode(encode(signed, None)).signed) == heartbeat
    assert check_heartbeat({"signed": signed, "signature": None}) == []


def test_a_full_one_is_still_small() -> None:
    full = replace(
        HEARTBEAT,
        feeds=(FeedMark("x" * 24, "y" * 24, SEQ_MAX, SEQ_MAX),) * (FEEDS_MAX + 1),
        contracts=("x" * 24 + ".v100000000",) * (CONTRACTS_MAX + 1),
        wanted=(Wanted("x" * 24, "y" * 24, "z" * 8, tuple(range(SEQ_MAX - 99, SEQ_MAX + 1))),)
        * (WANTED_MAX + 1),
        software="é" * 80,
        free_bytes=INT_MAX,
        counter=INT_MAX,
    )
    assert (len(full.feeds), len(full.contracts)) == (FEEDS_MAX, CONTRACTS_MAX)
    assert (len(full.wanted), len(full.wanted[0].missing)) == (WANTED_MAX, WANTED_NUMBERS_MAX)
    data = encode(full.to_signed(), SigningKey.generate())
    assert len(data) < HEARTBEAT_BYTES_MAX
    assert Heartbeat.from_signed(decode(data).signed) == full
    for pointer, member in (("/feeds", SIGNED["feeds"][0]), ("/contracts", "vendas.v1")):
        with pytest.raises(RejectedError, match=f": {pointer}: expected at most"):
            Heartbeat.from_signed(changed(SIGNED, pointer, [member] * (FEEDS_MAX + 1)))


def test_news_are_all_but_what_always_changes() -> None:
    later = replace(HEARTBEAT, counter=99, clock="2025-03-15T18:05:00-03:00", free_bytes=None)
    assert later.news() == HEARTBEAT.news()
    for other in (
        replace(HEARTBEAT, feeds=()),
        replace(HEARTBEAT, software="x"),
        replace(HEARTBEAT, contracts=()),
        replace(HEARTBEAT, wanted=()),
    ):
        assert other.news() != HEARTBEAT.news()


@pytest.mark.parametrize("pointer", [f"/{name}" for name in SIGNED])
@pytest.mark.parametrize(
    "value", [ABSENT, [{}], 1.5, True, "", {"a": []}, 10**400, -1], ids=lambda v: type(v).__name__
)
def test_every_member_is_required_and_of_its_type(pointer: str, value: object) -> None:
    with pytest.raises(RejectedError, match=r"heartbeat: .*expected .*, got ") as caught:
        Heartbeat.from_signed(changed(SIGNED, pointer, value))
    assert caught.value.code in {"heartbeat-invalid", "format-unknown"}
    assert len(str(caught.value)) < 600


def test_of_a_format_of_the_future_nothing_else_is_judged() -> None:
    with pytest.raises(UnknownFormatError):
        Heartbeat.from_signed({"format": 2, "pulse": []})
    with pytest.raises(RejectedError, match="expected an object"):
        Heartbeat.from_signed([])  # type: ignore[arg-type]


# --- its name


@given(st.sampled_from(["caixa-01", "matriz", "a", "x" * 24]))
def test_the_name_is_read_back_and_is_no_batch(site: str) -> None:
    assert parse_heartbeat_name(heartbeat_name(site)) == site
    assert parse_file_name(heartbeat_name(site)) is None


@pytest.mark.parametrize(
    "name",
    ["heartbeat.json", "heartbeat..json", "heartbeat.A.json", "heartbeat.con.json", "heartbeat.a.json.tmp", "Heartbeat.a.json",
     "heartbeat.a.json\n", "heartbeat.-a.json", f"heartbeat.{'x' * 25}.json", "heartbeat.a/b.json", ""],
)  # fmt: skip
def test_anything_else_is_a_stranger(name: str) -> None:
    assert parse_heartbeat_name(name) is None


# --- the JSON Schema is the reference


@pytest.fixture(scope="module")
def schema() -> Any:
    return oracle("heartbeat")


def accepted(signed: dict[str, Any]) -> bool:
    try:
        Heartbeat.from_signed(signed)
    except RejectedError:
        return False
    return True


@settings(max_examples=300)
@given(signed=mutated(heartbeats.map(Heartbeat.to_signed)))
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
