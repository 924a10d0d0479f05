"""How a session on a PostgreSQL server is made: what libpq is told of the link, what the session sets for itself, what server it must be.

- The session relies on no setting of the server: encoding, durability and timeouts are its own. A client that vanished is noticed by the
  server in a minute, so that its locks do not stay.
- The address stays as it is; libpq finds the password by itself, or it stands in the address that config/storing.py completed.

What is not here: the driver's own handle (postgres_driver.py), making it again when it was lost (postgres_database.py), what its errors mean (postgres_errors.py).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import adbc_driver_manager

from filesync.errors import ConfigError
from filesync.stores import postgres_driver
from filesync.stores.postgres_errors import not_connected

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Older servers do not tell what became of a transaction.
VERSION_MIN: Final = 13
#: How long a lock that somebody else holds is waited for. Paired with TransportError "store-busy": the next turn tries again.
LOCK_PATIENCE_S: Final = 10

#: Said to libpq where the address says nothing of it. Together: a server that vanished is noticed in a minute and a half.
_LINK: Final = {
    "application_name": "filesync",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
SESSION: Final = {
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "DateStyle": "ISO",
    "lock_timeout": f"{LOCK_PATIENCE_S}s",
    # A large batch takes its time, and its transaction waits while it is read and checked.
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # Merging sorts and joins what it staged.
    "work_mem": "64MB",
}


def shown(address: str) -> str:
    """An address as it may be shown: without password, and without settings of the connection but the service that names all else."""
    scheme, _, rest = address.partition("://")
    place, _, options = rest.partition("?")
    account, at, host = place.rpartition("@")
    service = "".join(f"?{option}" for option in options.split("&") if option.startswith("service="))
    return f"{scheme}://{account.partition(':')[0]}{at if account.partition(':')[0] else ''}{host}{service}"


def completed(address: str) -> str:
    """The address with what we want beside what it says, which stays as it is: libpq reads it otherwise than the standard library."""
    place, _, options = address.partition("?")
    said = {option.partition("=")[0] for option in options.split("&")}
    own = [f"{name}={value}" for name, value in _LINK.items() if name not in said]
    return f"{place}?{'&'.join([options, *own] if options else own)}"


def connect(address: str, session: Mapping[str, str]) -> tuple[Any, Any]:
    """A connection and its cursor, in autocommit. Raises `ConfigError` or `TransportError`, without the password."""
    name = shown(address)
    try:
        connection = postgres_driver.connect(completed(address))
    except ImportError as err:
        raise ConfigError(
            "driver-missing",
            f"{name}: expected PostgreSQL's driver, got none: pip install 'filesync[postgres]'",
        ) from err
    except adbc_driver_manager.Error as err:
        not_connected(name, err)
    cursor = None
    try:
        cursor = connection.cursor()
        _prepare(name, cursor, session)
    except BaseException as err:
        close(cursor, connection)
        if isinstance(err, adbc_driver_manager.Error):
            not_connected(name, err)
        raise
    return connection, cursor


def close(*those: Any) -> None:
    """Close cursor and connection, in this order. What is lost cannot be closed in order, and need not be."""
    for one in those:
        if one is not None:
            with suppress(adbc_driver_manager.Error):
                one.close()


def _prepare(name: str, cursor: Any, session: Mapping[str, str]) -> None:
    settings = ", ".join(f"set_config('{setting}', '{value}', false)" for setting, value in session.items())
    # What is committed is on the disk, whatever the server does for others; a stronger promise of it is left as it is.
    durable = "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false)"
    cursor.execute(f"SELECT {settings}, {durable}").fetchall()
    version, encoding, schema = cursor.execute(
        "SELECT current_setting('server_version_num')::int8, current_setting('server_encoding'), current_schema()::text"
    ).fetchall()[0]
    if version < VERSION_MIN * 10_000:
        raise ConfigError(
            "store-refused",
            f"{name}: expected PostgreSQL {VERSION_MIN} or newer, got {version // 10_000}",
        )
    if encoding != "UTF8":
        raise ConfigError("store-refused", f"{name}: expected a database with encoding UTF8, got {encoding}")
    if schema is None:
        raise ConfigError(
            "store-refused",
            f"{name}: expected a schema to keep tables in, got none: the search path names none that is there",
        )
