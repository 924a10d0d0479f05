"""The version of the store's schema, and what is said to a store of another one. Which step leads where: migrating.py."""

from __future__ import annotations

from typing import Final

from filesync.errors import ConfigError
from filesync.stores.database import named_statements

#: Raised with every change of schema*.sql that was released before, together with a step in migrating.py. 1 was never released on a server.
SCHEMA_VERSION: Final = 2
#: The statement that asks a store for its own.
HELD: Final = named_statements("migrating.sql")["held_version"]


def check(name: str, held: int, expected: int | None = None) -> None:
    """Raises `ConfigError` where a store is of another version than `expected` (this program's), saying who must be brought forward."""
    expected = SCHEMA_VERSION if expected is None else expected
    if held > expected:
        raise ConfigError(
            "store-newer", f"{name}: expected schema version {expected} or older, got {held}; update filesync"
        )
    if held < expected:
        raise ConfigError(
            "store-older",
            f"{name}: expected schema version {expected}, got {held}; bring it forward: filesync migrate",
        )
