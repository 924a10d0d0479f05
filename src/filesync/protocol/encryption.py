"""age (age-encryption.org/v1): bytes that only their recipients can read. The only place that knows the library. Pure, but for randomness.

- A recipient is a site's own Ed25519 key, the one that is pinned for its signatures: there is no second key to hand round.
- age says nothing of who wrote a file. That is the manifest's signature, over the digest of the encrypted file.
- The same text encrypted again is other bytes: a digest of the file cannot tell that nothing changed.
- Everything is done in memory, up to `PLAIN_BYTES_MAX`: what is secret is never on a disk in clear, not even for a moment.

What is not here: whose key it is (config.py), and whether a contract demands encryption (contracts/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyrage

from filesync.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filesync.protocol.signing import PublicKey, SigningKey

#: More in clear is neither encrypted nor decrypted; a credential has about 200 bytes.
PLAIN_BYTES_MAX: Final = 64 << 20
#: Per recipient the header has two lines of 140 characters; per 64 KiB of text there are 16 bytes.
ENCRYPTED_BYTES_MAX: Final = PLAIN_BYTES_MAX + (4 << 20)


def encrypt(plain: bytes, recipients: Sequence[PublicKey]) -> bytes:
    """`plain` for whoever holds one of these keys, and nobody else (not even the sender)."""
    if len(plain) > PLAIN_BYTES_MAX:
        raise RejectedError(
            "oversized",
            f"expected at most {PLAIN_BYTES_MAX} bytes to encrypt in one batch, got {len(plain)}",
        )
    if not recipients:
        raise ConfigError("recipient-key-missing", "expected the key of at least one recipient, got none")
    try:
        encrypted: bytes = pyrage.encrypt(
            plain, [pyrage.ssh.Recipient.from_str(key.to_openssh()) for key in recipients]
        )
    except (pyrage.RecipientError, pyrage.EncryptError) as error:
        raise ConfigError(
            "recipient-key-missing", f"a recipient's key cannot be encrypted to: {error}"
        ) from error
    return encrypted


def decrypt(encrypted: bytes, key: SigningKey) -> bytes:
    """What was encrypted to `key`; RejectedError `not-readable-here` where it was not, or is damaged. Its text never says what was in it."""
    if len(encrypted) > ENCRYPTED_BYTES_MAX:
        raise RejectedError(
            "oversized", f"expected at most {ENCRYPTED_BYTES_MAX} encrypted bytes, got {len(encrypted)}"
        )
    try:
        plain: bytes = pyrage.decrypt(encrypted, [pyrage.ssh.Identity.from_buffer(key.to_openssh())])
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        why = " ".join(str(error).split())
        raise RejectedError(
            "not-readable-here",
            f"expected a file encrypted to {key.public.fingerprint}, got one that this key does not open ({why})",
        ) from error
    return plain
