"""The file around a manifest or a receipt: `{"signature": ..., "signed": {...}}`, and the bytes that are signed. Pure.

- The bytes that are digested and signed are the RFC 8785 canonical form of `signed`, made again from what was read:
  the layout of the file (spaces, order of members) never matters, and two readers cannot see two meanings.
- What could be read in two ways is damage: duplicate members, NaN, fractions and exponents, integers that a double
  cannot hold, lone surrogates, a byte order mark, anything after the value.
- `decode` ends in an Envelope or a DamagedError, whatever the bytes. The caller bounds their number.

What is not here: the meaning of the members (manifest.py, receipt.py) and whether the signature holds (signing.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import rfc8785

from filesync.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.protocol.signing import SigningKey

INT_MAX: Final = 2**53 - 1  # the largest integer that every JSON reader holds exactly (RFC 8785, RFC 7493)

_MEMBERS: Final = frozenset({"signature", "signed"})
# Python's own encoder, in the form of RFC 8785; equal to the rfc8785 library wherever `_plain` and `_astral` allow it.
_encode = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
# RFC 8785 sorts members by UTF-16 code units, Python by code points. They differ only where a character beyond
# U+FFFF (a surrogate pair, D800 and up) meets one of U+E000 to U+FFFF.
_astral = re.compile("[\U00010000-\U0010ffff]").search


@dataclass(frozen=True, slots=True)
class Envelope:
    """A file as read: not yet checked, only unambiguous. `canonical` are the bytes of `signed` that were signed."""

    signed: dict[str, Any]
    signature: str | None
    canonical: bytes


class _AmbiguousError(ValueError):
    """Something in the file that two readers could read differently."""


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(signed: Mapping[str, object]) -> bytes:
    """The RFC 8785 bytes of `signed`; ValueError when it has none (NaN, an integer beyond 2**53-1, a lone surrogate)."""
    value = signed if type(signed) is dict else dict(signed)
    try:
        if _plain(value):
            return _canonical_plain(value)
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except RecursionError:
        raise ValueError("canonical form: expected a shallow object, got one nested too deeply") from None


def encode(signed: Mapping[str, object], key: SigningKey | None) -> bytes:
    """The bytes of the file. With a key the signature is always the same one: Ed25519 draws no randomness."""
    return encode_canonical(canonical(signed), key)


def encode_canonical(body: bytes, key: SigningKey | None) -> bytes:
    """`encode` of what is in its canonical form already."""
    signature = None if key is None else key.sign(body)
    return b'{"signature":' + json.dumps(signature).encode("ascii") + b',"signed":' + body + b"}\n"


def decode(data: bytes, *, code: str = "manifest-unreadable") -> Envelope:
    """The envelope in `data`; DamagedError(`code`) says what was expected and what was found."""
    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            raise _AmbiguousError("expected UTF-8 without a byte order mark, got a byte order mark")
        value = _decode(text)
        if type(value) is not dict or value.keys() != _MEMBERS:
            raise _AmbiguousError(
                f"expected an object with exactly the members signature and signed, got {_kind(value)}"
            )
        signed, signature = value["signed"], value["signature"]
        if type(signed) is not dict:
            raise _AmbiguousError(f"expected signed to be an object, got {_kind(signed)}")
        if signature is not None and (type(signature) is not str or not signature.isascii()):
            raise _AmbiguousError(f"expected signature to be null or ASCII text, got {_kind(signature)}")
        # The decoder has let nothing through that `_plain` would stop.
        return Envelope(signed, signature, _canonical_plain(signed))
    except UnicodeDecodeError as error:
        raise DamagedError(
            code, f"expected UTF-8, got byte 0x{data[error.start]:02x} at {error.start}"
        ) from error
    except UnicodeEncodeError as error:
        raise DamagedError(code, "expected text, got a lone surrogate") from error
    except json.JSONDecodeError as error:
        raise DamagedError(
            code, f"expected one JSON value, got a fault at character {error.pos}: {error.msg}"
        ) from error
    except _AmbiguousError as error:
        raise DamagedError(code, str(error)) from error
    except RecursionError as error:
        raise DamagedError(code, "expected a shallow object, got one nested too deeply") from error


def _canonical_plain(value: dict[str, Any]) -> bytes:
    text = _encode(value)
    data = text.encode("utf-8")  # first: a lone surrogate is found here
    return rfc8785.dumps(value) if not text.isascii() and _astral(text) else data


def _plain(value: object) -> bool:
    """Whether Python's encoder writes this as RFC 8785 does, astral member names apart (the caller looks for those)."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -INT_MAX <= value <= INT_MAX  # type: ignore[operator]
    if kind is dict:
        for name, member in value.items():  # type: ignore[attr-defined] # a loop costs a third of what all() does
            if type(name) is not str or not (type(member) is str or _plain(member)):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(_plain, value))  # type: ignore[call-overload]
    return False


def _kind(value: object) -> str:
    """What a decoded value is, in a few words: a hostile one may be megabytes."""
    match value:
        case dict():
            return f"an object with {len(value)} members"
        case list():
            return f"an array of {len(value)}"
        case str():
            return f"the text {value[:40]!r}"
        case None:
            return "null"
    return f"{value!r}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _AmbiguousError(f"expected every member once, got {twice[:40]!r} twice")
    return value


def _integer(digits: str) -> int:
    # 17 characters hold 2**53-1 with its sign; longer ones are never converted (Python refuses beyond 4,300 digits).
    if len(digits) <= 17 and -INT_MAX <= (number := int(digits)) <= INT_MAX:
        return number
    raise _AmbiguousError(f"expected integers within 2**53-1, got {digits[:24]}")


def _no_fraction(number: str) -> NoReturn:
    raise _AmbiguousError(f"expected integers only, got {number[:24]}")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_fraction, parse_constant=_no_fraction
).decode
