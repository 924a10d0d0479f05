"""The keys in `keys/`: the site's own, and those that are pinned for its peers.

A key file that exists but cannot be read stops the site: a pinned peer never silently becomes an unpinned one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.protocol.signing import PublicKey, SigningKey

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEY_NAME = "site_ed25519"


def key_path(root: Path) -> Path:
    """The site's private key."""
    return root / "keys" / KEY_NAME


def pinned_path(root: Path, peer: str) -> Path:
    """Where a peer's pinned public key lies."""
    return root / "keys" / "peers" / f"{peer}.pub"


def own_key(root: Path) -> SigningKey:
    path = key_path(root)
    try:
        return SigningKey.from_openssh(path.read_bytes())
    except (OSError, ValueError) as err:
        raise ConfigError("key-unreadable", f"this site's key {path} cannot be read: {err}") from err


def pinned_keys(root: Path, peers: Iterable[str]) -> dict[str, PublicKey]:
    """The pinned keys of these peers. Listed first: of thousands of peers only those that have a file are opened."""
    folder = pinned_path(root, "").parent
    try:
        with os.scandir(folder) as entries:
            lying = {entry.name for entry in entries}
    except FileNotFoundError:
        return {}
    except OSError as err:
        raise ConfigError("key-unreadable", f"the pinned keys in {folder} cannot be read: {err}") from err
    return {name: read_public_key(folder / f"{name}.pub") for name in peers if f"{name}.pub" in lying}


def read_public_key(path: Path) -> PublicKey:
    """Read an OpenSSH public key file (`ssh-ed25519 AAAA… comment`)."""
    try:
        return PublicKey.from_openssh(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError("key-unreadable", f"{path} is not an OpenSSH Ed25519 public key: {err}") from err


def write_private(path: Path, data: bytes) -> None:
    """Write a secret that only the owner may read; never over an existing one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
