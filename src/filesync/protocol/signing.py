"""Ed25519 signatures in OpenSSH's SSHSIG form, so that `ssh-keygen -Y verify` can check them without filesync. Pure.

Format: PROTOCOL.sshsig of OpenSSH, version 1, namespace `filesync`, hash sha512, armored.

- A signature is checked against the key that is pinned for the sender, never only against the key it carries.
- A signature for another namespace or with another hash is not ours, even when the key is.
- The order of complaints: missing, malformed, foreign (another key), wrong (this key, other bytes).

What is not here: which site has which key (the roster), and what a bad signature leads to (exchange/incoming.py).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from filesync.errors import ConfigError, FilesyncError

NAMESPACE: Final = "filesync"
ARMOR_CHARS_MAX: Final = 4096  # ours have about 320

_MAGIC: Final = b"SSHSIG"
_KEY_TYPE: Final = b"ssh-ed25519"
_HASH: Final = b"sha512"
_SIGNATURE_BYTES: Final = 64
_ARMOR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n-----END SSH SIGNATURE-----(?:\r?\n)?"
).fullmatch


class SignatureError(FilesyncError):
    """Not signed by whom it must be: `signature-missing`, `-malformed`, `-foreign` (another key) or `-wrong`."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: 32 bytes. Equal keys are equal values."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise ValueError(f"Ed25519 public key: expected 32 bytes, got {len(self.raw)}")

    @classmethod
    def from_openssh(cls, line: str) -> PublicKey:
        """From one line as ssh-keygen writes it: `ssh-ed25519 AAAA... comment`; ConfigError otherwise."""
        parts = line.split(maxsplit=2)
        if len(line.splitlines()) != 1 or len(parts) < 2 or parts[0] != "ssh-ed25519":
            raise ConfigError(
                "key-unreadable",
                f"public key: expected one line `ssh-ed25519 AAAA... comment`, got {line[:60]!r}",
            )
        try:
            fields = _Fields(_base64(parts[1]))
            if fields.string() == _KEY_TYPE:
                key = cls(fields.string())
                fields.end()
                return key
        except ValueError as error:
            raise ConfigError(
                "key-unreadable", f"public key: expected an Ed25519 key, got {parts[1][:60]!r}: {error}"
            ) from error
        raise ConfigError(
            "key-unreadable", f"public key: expected an Ed25519 key, got another type in {parts[1][:60]!r}"
        )

    def to_openssh(self, comment: str = "") -> str:
        """One line without its end, as in `id_ed25519.pub`."""
        return f"ssh-ed25519 {base64.b64encode(self._blob).decode('ascii')} {comment}".rstrip()

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: `SHA256:` and 43 characters."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self._blob).digest()).decode("ascii").rstrip("=")

    def verify(self, message: bytes, armored: str | None) -> None:
        """Return when this key made `armored` over `message` for filesync; SignatureError otherwise."""
        blob = _unarmored(armored)
        signature = blob[-_SIGNATURE_BYTES:]
        # There is one way to write this key's signature. Only what is not written so is read field by field.
        if blob[:-_SIGNATURE_BYTES] != _before_signature(self.raw):
            signer, signature = _read(blob)
            if signer != self:
                raise SignatureError(
                    "signature-foreign",
                    f"signature: expected key {self.fingerprint}, got key {signer.fingerprint}",
                )
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, _to_be_signed(message))
        except InvalidSignature as error:
            raise SignatureError(
                "signature-wrong",
                f"signature: expected one by {self.fingerprint} over sha256 {hashlib.sha256(message).hexdigest()}, "
                "got one over other bytes",
            ) from error

    @property
    def _blob(self) -> bytes:
        return _string(_KEY_TYPE) + _string(self.raw)


class SigningKey:
    """A site's own Ed25519 key. It is never shown: `repr` has the fingerprint only."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.fingerprint})"

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_openssh(cls, pem: bytes) -> SigningKey:
        """From an unencrypted OpenSSH private key file; ConfigError("key-unreadable") otherwise."""
        try:
            key = serialization.load_ssh_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            # Never the content: this message goes to logs.
            raise ConfigError(
                "key-unreadable", f"private key: expected an unencrypted OpenSSH file, got: {error}"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError("key-unreadable", f"private key: expected Ed25519, got {type(key).__name__}")
        return cls(key)

    def to_openssh(self) -> bytes:
        """The private key file, unencrypted: whoever writes it sees to its permissions (0600)."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )

    def sign(self, message: bytes) -> str:
        """The armored SSHSIG over `message`, byte for byte as `ssh-keygen -Y sign -n filesync` writes it."""
        blob = _before_signature(self.public.raw) + self._key.sign(_to_be_signed(message))
        text = base64.b64encode(blob).decode("ascii")
        lines = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
        return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


def signer_of(armored: str | None) -> PublicKey:
    """The key that a signature says it was made with; SignatureError when there is none to be read. Proves nothing."""
    return _read(_unarmored(armored))[0]


def _to_be_signed(message: bytes) -> bytes:
    return _BEFORE_DIGEST + hashlib.sha512(message).digest()


@lru_cache(maxsize=1024)
def _before_signature(public: bytes) -> bytes:
    """All of a signature by this key but the 64 bytes that differ."""
    # The signature part is itself a string of two strings: the algorithm and its 64 bytes.
    algorithm = _string(_KEY_TYPE)
    return (
        _MAGIC
        + (1).to_bytes(4, "big")
        + _string(algorithm + _string(public))
        + _string(NAMESPACE.encode("ascii"))
        + _string(b"")
        + _string(_HASH)
        + (len(algorithm) + 4 + _SIGNATURE_BYTES).to_bytes(4, "big")
        + algorithm
        + _SIGNATURE_BYTES.to_bytes(4, "big")
    )


def _unarmored(armored: str | None) -> bytes:
    """The bytes in the armor; SignatureError where there is none."""
    if armored is None:
        raise SignatureError("signature-missing", "signature: expected an SSHSIG, got none")
    found = _ARMOR(armored) if len(armored) <= ARMOR_CHARS_MAX else None
    if not found:
        raise SignatureError(
            "signature-malformed",
            f"signature: expected an armored SSHSIG, got {len(armored)} characters {armored[:40]!r}",
        )
    try:
        return _base64(found[1].replace("\r", "").replace("\n", ""))
    except ValueError as error:
        raise SignatureError("signature-malformed", f"signature: {error}") from error


def _read(blob: bytes) -> tuple[PublicKey, bytes]:
    """The signer and the 64 bytes of a signature made for filesync; SignatureError otherwise."""
    try:
        fields = _Fields(blob)
        fields.exactly(_MAGIC, "the magic SSHSIG")
        fields.exactly((1).to_bytes(4, "big"), "version 1")
        signer = _key(_Fields(fields.string()))
        fields.expect(NAMESPACE.encode("ascii"), "namespace")
        fields.expect(b"", "reserved field")
        fields.expect(_HASH, "hash")
        signature = _signature(_Fields(fields.string()))
        fields.end()
    except ValueError as error:
        raise SignatureError("signature-malformed", f"signature: {error}") from error
    return signer, signature


def _key(fields: _Fields) -> PublicKey:
    fields.expect(_KEY_TYPE, "key type")
    key = PublicKey(fields.string())
    fields.end()
    return key


def _signature(fields: _Fields) -> bytes:
    fields.expect(_KEY_TYPE, "signature type")
    signature = fields.string()
    if len(signature) != _SIGNATURE_BYTES:
        raise ValueError(f"expected 64 bytes, got {len(signature)}")
    fields.end()
    return signature


def _string(value: bytes) -> bytes:
    """SSH's `string` (RFC 4251, section 5): length as uint32, then the bytes."""
    return len(value).to_bytes(4, "big") + value


#: What is signed is the digest of a message with this before it.
_BEFORE_DIGEST: Final = (
    _MAGIC
    + _string(NAMESPACE.encode("ascii"))
    + _string(b"")
    + _string(_HASH)
    + hashlib.sha512().digest_size.to_bytes(4, "big")
)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"expected base64, got {text[:20]!r}...: {error}") from error


class _Fields:
    """Reads SSH's wire format from the front; ValueError on anything but what is expected."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def exactly(self, expected: bytes, what: str) -> None:
        got = self._data[self._at : self._at + len(expected)]
        if got != expected:
            raise ValueError(f"expected {what}, got {got!r}")
        self._at += len(expected)

    def string(self) -> bytes:
        begin = self._at + 4
        end = begin + int.from_bytes(self._data[self._at : begin], "big")
        if len(self._data) < begin or len(self._data) < end:
            raise ValueError(f"expected a field at byte {self._at}, got the end")
        self._at = end
        return self._data[begin:end]

    def expect(self, expected: bytes, what: str) -> None:
        got = self.string()
        if got != expected:
            raise ValueError(f"expected {what} {expected.decode()!r}, got {got[:40]!r}")

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError(f"expected the end, got {len(self._data) - self._at} bytes more")
