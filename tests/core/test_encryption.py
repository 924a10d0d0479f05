"""age: what is encrypted to some keys is read with each of them, and with no other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filesync.errors import ConfigError, RejectedError
from filesync.protocol import encryption
from filesync.protocol.encryption import decrypt, encrypt
from filesync.protocol.signing import SigningKey

ONE, OTHER, STRANGER = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()


@given(st.binary(max_size=5000))
@settings(max_examples=30)
def test_every_recipient_reads_it(plain: bytes) -> None:
    encrypted = encrypt(plain, [ONE.public, OTHER.public])
    assert decrypt(encrypted, ONE) == decrypt(encrypted, OTHER) == plain
    assert len(plain) < 16 or plain not in encrypted


def test_nobody_else_reads_it() -> None:
    encrypted = encrypt(b"geheim", [ONE.public])
    with pytest.raises(RejectedError, match=r"expected a file encrypted to SHA256:.* got one") as caught:
        decrypt(encrypted, STRANGER)
    assert caught.value.code == "not-readable-here"


def test_the_same_text_is_other_bytes_each_time() -> None:
    assert encrypt(b"x", [ONE.public]) != encrypt(b"x", [ONE.public])


WHOLE = encrypt(b"a secret " * 20, [ONE.public])


@given(at=st.integers(0, len(WHOLE) - 1), bits=st.integers(1, 255))
@settings(max_examples=60)
def test_what_was_changed_is_not_read(at: int, bits: int) -> None:
    changed = bytearray(WHOLE)
    changed[at] ^= bits
    for damaged in (bytes(changed), WHOLE[:at], WHOLE + b"x"):
        with pytest.raises(RejectedError) as caught:
            decrypt(damaged, ONE)
        assert caught.value.code == "not-readable-here"
        assert "secret" not in caught.value.message
        assert "\n" not in caught.value.message


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "PLAIN_BYTES_MAX", 10)
    monkeypatch.setattr(encryption, "ENCRYPTED_BYTES_MAX", 500)
    with pytest.raises(RejectedError, match="expected at most 10 bytes"):
        encrypt(b"x" * 11, [ONE.public])
    with pytest.raises(RejectedError, match="expected at most 500 encrypted bytes"):
        decrypt(b"x" * 501, ONE)
    assert decrypt(encrypt(b"x" * 10, [ONE.public]), ONE) == b"x" * 10


def test_for_nobody_nothing_is_encrypted() -> None:
    with pytest.raises(ConfigError, match="at least one recipient"):
        encrypt(b"x", [])
