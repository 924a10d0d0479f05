"""`store` and `store_password_file`: the server that keeps a site's store, where that is not the file in the site's folder.

- The address holds no password, and one that holds any is refused: a settings file is copied, shown and sent to whoever helps. libpq finds
  the password by itself (`~/.pgpass`, `PGPASSFILE`, a service file, `PGPASSWORD`), or it stands alone in a file of the site's own.
- That file may be read by its owner only, and is read anew for every connection. What it holds goes into the connection, nowhere else.
- No message repeats an address that was not understood: nobody can tell which part of it is a password.

What is not here: connecting (stores/postgres_connection.py).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, quote, urlsplit

from filesync.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[\w.~%-]*)(?::[0-9]{0,5})?"
_address = re.compile(
    r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^\s:@/?#]*)@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[^\s:@/?#]*)?)(?:\?(?P<options>[^\s@#]*))?"
).fullmatch
_host_port = re.compile(r"(.*?)(?::([0-9]*))?$")
_half_encoded = re.compile("%(?![0-9A-Fa-f]{2})").search
#: Options of an address that hold a secret.
_SECRET: Final = ("password", "passwd", "sslpassword")
_FORM: Final = "postgresql://user@host:5432/database without a password"
#: Longer is no password but another file.
_PASSWORD_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Server:
    """Where the store is. `address` as in the settings, without a password; `password_file` as it is found from here."""

    address: str
    password_file: Path | None = None

    @classmethod
    def parse(cls, text: str, password_file: Path | None = None) -> Self:
        """`postgresql://user@host:5432/database?option=value`. Raises `ConfigError`, which does not repeat what it was given."""
        found = _address(text)
        if found is None or _half_encoded(text) or not _split(text):
            raise ConfigError("store-address", f"store: expected {_FORM}, got something else")
        for name, _ in parse_qsl(found["options"] or "", keep_blank_values=True):
            if name.lower() in _SECRET:
                raise ConfigError("store-address", f"store: expected {_FORM}, got one with {name} in it")
        return cls(text, password_file)

    @property
    def place(self) -> str:
        """For people: without account and options; of an address that names nothing, the service that does."""
        found = _address(self.address)
        if found is None:
            raise RuntimeError("an address that was not parsed")
        options = dict(parse_qsl(found["options"] or ""))
        named = found["place"].strip("/")
        service = f"?service={options['service']}" if "service" in options and not named else ""
        return f"postgresql://{found['place']}{service}"

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Whom a connection goes to over a network: names and ports. None where the address leaves that to a socket or a service."""
        found = _address(self.address)
        if found is None:
            raise RuntimeError("an address that was not parsed")
        named = [_host_port.match(one) for one in found["place"].partition("/")[0].split(",")]
        return tuple(
            (one[1], int(one[2] or 5432)) for one in named if one and one[1] and "%2F" not in one[1].upper()
        )

    def full_address(self) -> str:
        """The address as it is given to libpq, with the password of the site's own file, if there is one. For a connection, never for a message."""
        if self.password_file is None:
            return self.address
        password = quote(read_password(self.password_file), safe="")
        found = _address(self.address)
        if found is None:
            raise RuntimeError("an address that was not parsed")
        rest = self.address[len(found["scheme"]) :].removeprefix(f"{found['user'] or ''}@")
        return f"{found['scheme']}{found['user'] or ''}:{password}@{rest}"


def read_password(path: Path) -> str:
    """The password in a file of its own, without the line's end. Raises `ConfigError`: it is missing, empty, or others may read it."""
    try:
        with path.open("rb") as file:
            # Of the very file that is read, not of what lies there a moment later.
            if why := readable_by_others(os.fstat(file.fileno()).st_mode):
                raise ConfigError(
                    "store-password-open",
                    f"{path}: expected a file that only its owner may read, got {why}; it was not used",
                )
            data = file.read(_PASSWORD_BYTES_MAX + 1)
    except OSError as err:
        raise ConfigError(
            "store-password-missing", f"{path}: expected the password of the store, got: {err.strerror}"
        ) from None
    try:
        password = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        password = ""
    if not password or len(data) > _PASSWORD_BYTES_MAX or "\n" in password or "\0" in password:
        raise ConfigError(
            "store-password-missing",
            f"{path}: expected one line of UTF-8 with a password, got something else",
        )
    return password


def readable_by_others(mode: int) -> str | None:
    """What is wrong with the mode of a file that holds a secret; None where nothing is, and on Windows, whose modes say nothing."""
    if os.name == "nt" or not mode & 0o077:
        return None
    return f"mode {mode & 0o777:04o}"


def _split(text: str) -> bool:
    """Whether the standard library can take the address apart, as the store does (brackets around an IPv6 address)."""
    try:
        return bool(urlsplit(text).scheme)
    except ValueError:
        return False
