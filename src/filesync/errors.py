"""The families of failure. A family says what must happen next, not where it happened.

Expected outcomes of the protocol (apply, replay, wait, refuse) are values, not exceptions; see `filesync.protocol.admission`.
Every message names what was expected and what was found; only the CLI adds advice on top.
"""

from __future__ import annotations


class FilesyncError(Exception):
    """Base of every failure that filesync expects. `code` is stable, lower case, for programs; `str()` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RejectedError(FilesyncError):
    """The content is wrong and sending it again cannot help: set aside, answered with a REJECTED receipt."""


class DamagedError(FilesyncError):
    """The bytes are not those that were claimed: set aside, no receipt, so that the origin ships them again."""


class TransportError(FilesyncError):
    """The road failed: nothing is lost, the next turn tries again."""


class ConfigError(FilesyncError):
    """A person must change something (configuration, contract, usage) before this can work."""
