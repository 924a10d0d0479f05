"""What a PostgreSQL server's errors mean for whoever runs the site: by their SQLSTATE, once, here.

- The road (`TransportError`): somebody else holds a lock, the disk is full, the connection is gone. The next turn tries again.
- A person (`ConfigError`): the account lacks a right, there is no such database, the password is wrong. Says what to do.
- A user's statement (`StatementFailedError`, raised by postgres_database.py with `words`): the server's own words, but never a row.
- Anything else is a bug, and goes up as it is.

Passwords are in no message: what is shown of an address has none. What is not here: saying anything to a server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

import adbc_driver_manager

from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.stores.values import KeyExistsError

if TYPE_CHECKING:
    from filesync.errors import FilesyncError

#: What PostgreSQL says (Appendix A of its manual), what to do about it. Two letters: the whole class.
_ROAD: Final = {
    "40001": "store-busy",  # serialization_failure
    "40P01": "store-busy",  # deadlock_detected: of two that wait for each other one is sent back
    "55P03": "store-busy",  # lock_not_available
    "53200": "store-busy",  # out_of_memory, also of places for locks
    "53300": "store-busy",  # too_many_connections
    "57014": "store-busy",  # query_canceled, by an administrator
    "53100": "disk-full",
    "53400": "disk-full",  # configuration_limit_exceeded: room for temporary files
    "58": "disk-failed",  # system_error: I/O
}
_LOST: Final = (
    "57P01",
    "57P02",
    "57P03",
    "57P05",
    "25P03",
    "08000",
    "08001",
    "08003",
    "08004",
    "08006",
    "08007",
)
_PERSON: Final = {
    "25006": ("store-readonly", "this server takes no changes: is it a standby? Let the address name the one that does"),
    "42501": ("store-denied", "give the account of the address the right to use, and make tables in, its schema"),
    "3D000": ("store-refused", "the server has no such database"),
    "28": ("store-refused", "the server does not let this account in"),
    "XX001": ("store-corrupt", "restore the database from a backup"),
    "XX002": ("store-corrupt", "restore the database from a backup"),
}  # fmt: skip
#: The driver hands on no SQLSTATE for a connection that was not made: what libpq's and the server's English words mean.
_NOT_CONNECTED: Final = {
    "the database system is starting up": None,
    "the database system is shutting down": None,
    "too many": None,
    "authentication failed": "expected a user and a password that the server takes",
    "no password supplied": "expected a password: store_password_file, ~/.pgpass (only for its owner), a service file, or PGPASSWORD",
    "no pg_hba.conf entry": "the server does not let this account in from here",
    "does not exist": "the server has no such database or account",
    "permission denied": "the account may not use this database",
    "invalid": "the address is not understood",
}
#: What a user's statement may be to blame for, though it would be the database's fault in one of ours: rights, characters.
_GIVEN: Final = frozenset({"42501", "22021", "22P05"})
#: Errors whose detail names a key. Those of others show whole rows, also of what the user's tables fill in by themselves.
_NAMES_KEY: Final = frozenset({"23503", "23505", "23P01"})
_detail_key = re.compile(r"\(([^()]*)\)=").search


def explain(name: str, err: adbc_driver_manager.Error) -> NoReturn:
    """Raise what a driver's error means for whoever runs the site; the error itself where it can only be a bug."""
    state = err.sqlstate or ""
    said = diagnostic(err, "MESSAGE_PRIMARY") or str(err)
    if code := _ROAD.get(state) or _ROAD.get(state[:2]):
        raise TransportError(code, f"{name}: {said}") from err
    if person := _PERSON.get(state) or _PERSON.get(state[:2]):
        code, advice = person
        raise ConfigError(code, f"{name}: expected a usable database, got: {said}; {advice}") from err
    if state in ("22021", "22P05"):
        raise RejectedError(
            "text-unstorable",
            "expected text that a PostgreSQL database can hold, got the character U+0000 in it",
        ) from err
    raise err


def not_connected(name: str, err: adbc_driver_manager.Error) -> NoReturn:
    """Raise what it means that there is no connection."""
    # In one line, and without what the driver puts before it.
    said = " ".join(str(err).removeprefix("IO: ").removeprefix("[libpq] ").removeprefix("Failed to connect: ").split())  # fmt: skip
    meaning = next((meaning for sign, meaning in _NOT_CONNECTED.items() if sign in said), None)
    if meaning is not None:
        raise ConfigError("store-refused", f"{name}: {meaning}; the server says: {said}") from err
    raise TransportError("store-unreachable", f"{name}: {said}") from err


def lost(name: str) -> TransportError:
    """The connection is gone."""
    return TransportError("store-lost", f"{name}: the connection to the server was lost")


def key_exists(err: adbc_driver_manager.Error, table: str) -> KeyExistsError:
    """A bulk append met a key that is there already: which, as far as the server says."""
    found = _detail_key(diagnostic(err, "MESSAGE_DETAIL"))
    key = found[1] if found else diagnostic(err, "CONSTRAINT_NAME")
    return KeyExistsError(diagnostic(err, "TABLE_NAME") or table, key)


def is_of_statement(err: FilesyncError) -> adbc_driver_manager.Error | None:
    """The server's error behind one of ours, where a user's statement may be to blame for it; None where it is not."""
    cause = err.__cause__
    return (
        cause if isinstance(cause, adbc_driver_manager.Error) and (cause.sqlstate or "") in _GIVEN else None
    )


def diagnostic(err: adbc_driver_manager.Error, name: str) -> str:
    """A field of the server's error message, "" where it has none (or where the server was not even asked)."""
    found: dict[Any, bytes] = dict(err.details)  # keys are bytes, whatever the driver's stubs say
    return found.get(f"PG_DIAG_{name}".encode(), b"").decode("utf-8", "replace")


def words(err: adbc_driver_manager.Error) -> str:
    """What the server itself says, without what the driver puts around it."""
    said = diagnostic(err, "MESSAGE_PRIMARY") or str(err)
    detail = diagnostic(err, "MESSAGE_DETAIL") if err.sqlstate in _NAMES_KEY else ""
    return f"{said} ({detail.rstrip('.')})" if detail else said


def is_lost(err: adbc_driver_manager.Error) -> bool:
    """Whether the connection is gone. For that the driver has no SQLSTATE, but says that input or output failed."""
    if err.sqlstate:
        return err.sqlstate in _LOST
    return err.status_code == adbc_driver_manager.AdbcStatusCode.IO
