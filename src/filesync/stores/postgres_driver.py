"""Connections by PostgreSQL's driver, which learns a database's types once and not with every connection.

The driver reads the whole catalogue of types before the first connection to a database: some twenty milliseconds of reckoning, ten times
what a connection costs. Its handle of the database, which knows them, is kept beside the address; it is no connection, and holds none open.
Handles of databases that are no longer asked for go when there are many. What a handle does not know are types that somebody makes later:
the store uses none.

What is not here: what a session sets for itself (postgres_connection.py), and what errors mean (postgres_errors.py).
"""

from __future__ import annotations

import threading
from typing import Any, Final

import adbc_driver_manager
from adbc_driver_manager import dbapi

#: A site has one store; whoever looks at several has them one after another.
HANDLES_MAX: Final = 4
_handles: Final[dict[str, Any]] = {}
#: One connects at a time: a handle may not go while somebody connects by it.
_connecting: Final = threading.Lock()


def connect(address: str) -> Any:
    """A connection (PEP 249) with autocommit. Raises `ImportError` without the driver, and the driver's errors."""
    import adbc_driver_postgresql as driver  # an extra: who has no server does not need it

    with _connecting:
        handle = _handles.pop(address, None) or driver.connect(address)
        _handles[address] = handle  # the last one is the latest that was asked for
        _let_go()
        kept: Any = _Kept()
        return dbapi.Connection(kept, adbc_driver_manager.AdbcConnection(handle), autocommit=True)


def _let_go() -> None:
    for address in list(_handles)[:-HANDLES_MAX]:
        try:
            _handles[address].close()
        except RuntimeError:  # a connection is open
            continue
        del _handles[address]


class _Kept:
    """Stands for a handle that a connection is not to close with itself."""

    def close(self) -> None:
        """Nothing: the handle stays."""
