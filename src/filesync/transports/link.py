"""What a link over SFTP is made of, and how `sftp://user@host:port/path` says it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

PORT = 22


@dataclass(frozen=True, slots=True)
class SftpLink:
    """Where a peer's root is, who we are there, and how long we wait.

    `path` is absolute there (a chroot's `/` is the account's own), or relative to the login folder where it does not begin with `/`.
    An operation of n bytes is given `deadline_s` + n / rate; the rate is `rate_min_kib_s`, or half of `limit_kib_s` where that is less.
    """

    host: str
    user: str
    identity: Path
    known_hosts: Path
    port: int = PORT
    path: str = "/"
    limit_kib_s: int | None = None
    connect_s: float = 20.0  # name, TCP, key exchange, login and the first answer
    stall_s: float = 30.0  # without a single answer
    deadline_s: float = 120.0
    rate_min_kib_s: int = 4
    keepalive_s: int = 15
    channels: int = 4

    @classmethod
    def parse(
        cls, url: str, *, identity: Path, known_hosts: Path, limit_kib_s: int | None = None, **bounds: float
    ) -> Self:
        """From `sftp://user@host[:port][/path]`; `/~/x` is x below the login folder. ValueError says what is wrong.

        A password is refused: an URL stands in a configuration that people copy, and in every message.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or PORT
        except ValueError as error:
            raise ValueError(
                f"a port from 1 to 65535 was expected in a link of {parts.hostname}: {error}"
            ) from None
        if parts.password is not None:
            raise ValueError(
                f"a link without a password was expected (a key file logs in), got one for {parts.hostname}"
            )
        if (
            parts.scheme != "sftp"
            or not parts.hostname
            or not parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError(f"sftp://user@host[:port][/path] was expected, got {url!r}")
        path = unquote(parts.path) or "/"
        if path == "/~" or path.startswith("/~/"):
            path = path[3:] or "."
        if "\0" in path or ".." in path.split("/"):
            raise ValueError(f"a path without .. was expected, got {path!r}")
        return cls(
            host=parts.hostname,
            user=unquote(parts.username),
            identity=identity,
            known_hosts=known_hosts,
            port=port,
            path=path,
            limit_kib_s=limit_kib_s,
            **bounds,  # type: ignore[arg-type]  # the fields that are numbers
        )

    @property
    def place(self) -> str:
        """For messages: who, where."""
        return f"{self.user}@{host_name(self.host, self.port)}"

    def seconds_for(self, count: int) -> float:
        """How long `count` bytes may take at the slowest."""
        rate = float(self.rate_min_kib_s)
        if self.limit_kib_s:
            rate = min(rate, self.limit_kib_s / 2)
        return count / (rate * 1024)

    def remote(self, folder: str, name: str = "") -> bytes:
        """A path there, from the root down."""
        root = "" if self.path == "." else self.path.rstrip("/") + "/"
        return (root + folder + ("/" + name if name else "")).encode()


def host_name(host: str, port: int) -> str:
    """As known_hosts files name a server: the port only where it is not the usual one."""
    return host if port == PORT else f"[{host}]:{port}"
