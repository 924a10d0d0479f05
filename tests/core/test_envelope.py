"""The envelope: one meaning or none, and the canonical bytes of the rfc8785 library."""

import json
import string
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from protocol_samples import MANIFEST, RECEIPT, key_of

from filesync.errors import DamagedError
from filesync.protocol import envelope
from filesync.protocol.envelope import INT_MAX, Envelope, canonical, decode, encode, sha256_hex

# Members whose order tells UTF-16 from code points: a surrogate pair sorts before U+E000 to U+FFFF.
texts = st.one_of(
    st.text(),
    st.text(
        st.sampled_from('aZ é"\\/\b\t\n\x00\x1f\x7f\u2028\ud7ff\ue000\uffff\U00010000\U0010ffff'), max_size=3
    ),
)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=6),
    max_leaves=20,
)
any_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(codec=None)) | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=20,
)
TRAP = {"\ue000": 1, "\U00010000": 2, "\uffff": {"\U0010ffff": 3, "\ufb33": 4}}


@given(st.dictionaries(texts, plain_values, max_size=6))
@example(TRAP)
@example({"a": [TRAP]})
@example({"a": {"b": INT_MAX, "c": -INT_MAX, "": ""}, "A": ["\x7f", "\u2028", "</"]})
def test_canonical_is_what_the_library_writes(signed: dict[str, Any]) -> None:
    assert canonical(signed) == rfc8785.dumps(signed)


@given(st.dictionaries(st.text(st.characters(codec=None)), any_values, max_size=4))
@example({"a": 1.0})
@example({"a": -0.0})
@example({"a": 1e21, "b": (True, None)})
@example({"a": INT_MAX + 1})
@example({"a": float("nan")})
@example({"a": "\ud800"})
@example({"\udfff": 1})
@example({"a": {1: 2}})
@example({"a": {None: 2, "b": 1}})
@example({"a": {"b": 2}.items()})
def test_canonical_refuses_what_the_library_refuses(signed: dict[str, Any]) -> None:
    try:
        expected = rfc8785.dumps(signed)
    except ValueError:
        with pytest.raises(ValueError):
            canonical(signed)
    else:
        assert canonical(signed) == expected


def test_canonical_takes_the_library_where_orders_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap is real: without the look at astral characters the bytes would be others."""
    assert json.dumps(
        TRAP, sort_keys=True, ensure_ascii=False, separators=(",", ":")
    ).encode() != rfc8785.dumps(
        TRAP  # type: ignore[arg-type]
    )
    monkeypatch.setattr(envelope, "_astral", lambda text: None)
    assert canonical(TRAP) != rfc8785.dumps(TRAP)  # type: ignore[arg-type]


def test_canonical_of_a_deep_object_is_an_error_like_the_others() -> None:
    signed: dict[str, Any] = {}
    for _ in range(100_000):
        signed = {"a": signed}
    with pytest.raises(ValueError, match="too deeply"):
        canonical(signed)
    while signed:  # taken apart by hand: freeing it at once would be as deep
        signed = signed["a"]


def test_a_file_is_the_envelope_in_canonical_form() -> None:
    key = key_of(1)
    for signed in (MANIFEST.to_signed(), RECEIPT.to_signed()):
        for signer in (None, key):
            signature = None if signer is None else signer.sign(rfc8785.dumps(signed))
            data = encode(signed, signer)
            assert data == rfc8785.dumps({"signed": signed, "signature": signature}) + b"\n"
            assert encode(signed, signer) == data
            assert decode(data) == Envelope(signed, signature, rfc8785.dumps(signed))


@given(st.dictionaries(texts, plain_values, max_size=6), st.sampled_from([None, 0, 3]), st.booleans())
def test_layout_never_matters(signed: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    data = json.dumps({"signed": signed, "signature": None}, indent=indent, ensure_ascii=ascii_only).encode()
    assert decode(data) == Envelope(signed, None, rfc8785.dumps(signed))


def test_sha256_hex() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _file(signed: str, signature: str = "null") -> bytes:
    return f'{{"signature":{signature},"signed":{signed}}}'.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "one JSON value, got a fault at character 0: Expecting value"),
        (b"\0" * 64, "one JSON value"),  # what a power cut leaves
        (b"\xff\xfe{\0}\0", "expected UTF-8, got byte 0xff at 0"),
        (_file("{}").decode().encode("utf-16"), "expected UTF-8"),
        (b"\xef\xbb\xbf" + _file("{}"), "got a byte order mark"),
        (_file('{"a":"\ud800"}'), "expected UTF-8"),
        (_file(r'{"a":"\ud800"}'), "lone surrogate"),
        (_file(r'{"\udc00":1}'), "lone surrogate"),
        (_file(r'{"a":"\ud800","b":"\ud83d\ude00"}'), "lone surrogate"),
        (_file("{}")[:-1], "one JSON value"),
        (_file("{}") + b"{}", "Extra data"),
        (_file("{}") + b"\0", "Extra data"),
        (_file('{"a":1,"a":1}'), "expected every member once, got 'a' twice"),
        (_file(r'{"a":1,"\u0061":2}'), "expected every member once, got 'a' twice"),
        (_file('{"b":[{"' + "x" * 99 + '":1,"' + "x" * 99 + '":1}]}'), f"got '{'x' * 40}' twice"),
        (b'{"signature":null,"signed":{},"signed":{}}', "got 'signed' twice"),
        (_file('{"a":NaN}'), "integers only, got NaN"),
        (_file('{"a":Infinity}'), "integers only, got Infinity"),
        (_file('{"a":-Infinity}'), "integers only, got -Infinity"),
        (_file('{"a":1.0}'), "integers only, got 1.0"),
        (_file('{"a":1e3}'), "integers only, got 1e3"),
        (_file('{"a":1e999999}'), "integers only, got 1e999999"),
        (_file('{"a":' + "9" * 5000 + "}"), "within 2**53-1, got 999999999999999999999999"),
        (_file('{"a":9007199254740992}'), "within 2**53-1, got 9007199254740992"),
        (_file('{"a":-9007199254740992}'), "within 2**53-1, got -9007199254740992"),
        (_file('{"a":01}'), "one JSON value"),
        (_file("{'a':1}"), "one JSON value"),
        (_file('{"a":1,}'), "one JSON value"),
        (_file('{"a":"\t"}'), "Invalid control character"),
        (_file(r'{"a":"\x"}'), "one JSON value"),
        (b"[" * 100_000, "nested too deeply"),
        (_file('{"a":' * 100_000), "nested too deeply"),
        (_file("[" * 50_000 + "]" * 50_000), "nested too deeply"),
        (b"[]", "members signature and signed, got an array of 0"),
        (b"null", "got null"),
        (b"1", "got 1"),
        (b'"signed"', "got the text 'signed'"),
        (b"{}", "got an object with 0 members"),
        (b'{"signed":{}}', "got an object with 1 members"),
        (b'{"signed":{},"signature":null,"extra":1}', "got an object with 3 members"),
        (_file("[]"), "expected signed to be an object, got an array of 0"),
        (_file("null"), "expected signed to be an object, got null"),
        (_file('"' + "x" * 999 + '"'), f"got the text '{'x' * 40}'"),
        (_file("{}", "1"), "expected signature to be null or ASCII text, got 1"),
        (_file("{}", "false"), "expected signature to be null or ASCII text, got False"),
        (_file("{}", "{}"), "expected signature to be null or ASCII text"),
        (_file("{}", '"é"'), "expected signature to be null or ASCII text"),
        (_file("{}", r'"\ud800"'), "expected signature to be null or ASCII text"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else None,  # some are too long for a test's name
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(DamagedError) as caught:
        decode(data)
    assert caught.value.code == "manifest-unreadable"
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200
    with pytest.raises(DamagedError) as caught:
        decode(data, code="receipt-unreadable")
    assert caught.value.code == "receipt-unreadable"


def _decodes_or_is_damaged(data: bytes) -> None:
    try:
        read = decode(data)
    except DamagedError:
        return
    assert read.canonical == rfc8785.dumps(read.signed)
    assert read.signature is None or read.signature.isascii()
    assert decode(encode(read.signed, None)) == Envelope(read.signed, None, read.canonical)


@given(st.binary())
def test_arbitrary_bytes(data: bytes) -> None:
    _decodes_or_is_damaged(data)


@given(
    st.dictionaries(st.text(st.characters(codec=None)), any_values.filter(lambda v: _jsonable(v)), max_size=4)
)
def test_arbitrary_json(signed: dict[str, Any]) -> None:
    _decodes_or_is_damaged(json.dumps({"signature": None, "signed": signed}).encode())


def _jsonable(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


@given(st.data())
def test_a_real_file_with_bytes_changed_inserted_and_cut(data: st.DataObject) -> None:
    file = bytearray(encode(MANIFEST.to_signed(), key_of(1)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        new = data.draw(
            st.sampled_from(
                [b"", b"{", b"[", b'"', b"}", b",", b"\\", b"\\ud800", b"0", b".", b"\xf0", b"NaN"]
            )
        )
        file[at : at + data.draw(st.integers(0, 3))] = new
    _decodes_or_is_damaged(bytes(file))


@given(st.text(alphabet='{}[]",:\\' + string.digits + "eE+-. \nuda", max_size=60))
def test_arbitrary_punctuation(text: str) -> None:
    _decodes_or_is_damaged(_file(text))
    _decodes_or_is_damaged(_file("{}", text))


def test_any_depth_is_read_or_damaged() -> None:
    for depth in (*range(1, 64), *range(64, 4000, 97)):
        _depth(_file('{"a":' * depth + "1" + "}" * depth))
        _depth(_file('{"a":' + "[" * depth + "]" * depth + "}"))


def _depth(data: bytes) -> None:
    # Not compared with the library here: it gives up at a smaller depth.
    try:
        read = decode(data)
    except DamagedError as error:
        if "too deeply" in str(error):
            return
        raise
    assert read.canonical in data
