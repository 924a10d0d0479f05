"""A real OpenSSH server on loopback, for tests: its own port, host key and authorized key in a temporary folder, started once per worker.

It runs as whoever runs the tests, root or not, and lets exactly that account in, with exactly one key. It touches nothing of the machine's
own SSH service. Where no sshd is installed the tests that need one are skipped, with the way to install it; in CI that is a failure.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from filesync.errors import TransportError
from filesync.transports.link import SftpLink
from filesync.transports.sftp import SftpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSING = (
    "no sshd: the road over SFTP is tested against OpenSSH itself. `sh .ci/tools tests` installs it where it may;"
    " Debian, Ubuntu: sudo apt-get install openssh-server"
)
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
MaxStartups 500
MaxSessions 10
LoginGraceTime 20
Subsystem sftp internal-sftp
"""


@dataclass
class Sshd:
    """A running server. `log` holds what it said so far."""

    port: int
    folder: Path
    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)

    @property
    def identity(self) -> Path:
        """The private key that is let in."""
        return self.folder / "client_key"

    @property
    def known_hosts(self) -> Path:
        """Names this server, as an operator would have confirmed it."""
        return self.folder / "known_hosts"

    @property
    def fingerprint(self) -> str:
        """Of the host key, as ssh-keygen tells it."""
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", self.folder / "host_key.pub"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return shown.stdout.split()[1]

    def link(self, root: Path, **other: object) -> SftpLink:
        """A link to a folder on this server."""
        given: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "path": str(root),
            "identity": self.identity,
            "known_hosts": self.known_hosts,
        }
        return SftpLink(**{**given, **other})  # type: ignore[arg-type]  # a test names the fields it changes

    def trust(self, port: int) -> None:
        """Records the host key for another port too: a proxy in front of this server."""
        key = (self.folder / "host_key.pub").read_text().split()
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")


def find() -> str | None:
    """The server program; Debian keeps it outside an ordinary account's path."""
    return shutil.which("sshd") or shutil.which(
        "sshd", path="/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/sbin"
    )


def do_without(why: str) -> NoReturn:
    """Skips what needs a server; in CI nothing is skipped in silence."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def start(folder: Path) -> Sshd:
    """Makes the keys and the configuration, starts the server and returns when it listens."""
    program = find()
    if program is None:
        do_without(MISSING)
    for name in ("host_key", "client_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", folder / name], check=True
        )
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    if os.name != "nt" and os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where a root's sshd puts its unprivileged half
    config = folder / "sshd_config"
    for _ in range(5):  # another process may take the port before sshd does
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        config.write_text(_CONFIG.format(port=port, folder=folder))
        with config.open(
            "a"
        ) as file:  # 9.8 and newer shut out an address whose logins fail; here they fail on purpose
            if not subprocess.run(
                [program, "-t", "-f", config, "-o", "PerSourcePenalties=no"], capture_output=True, check=False
            ).returncode:
                file.write("PerSourcePenalties no\n")
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
        server = Sshd(port, folder, process)
        assert process.stderr is not None
        for line in process.stderr:
            server.log.append(line)
            if "Server listening on" in line:
                threading.Thread(target=_drain, args=(server,), name="sshd-log", daemon=True).start()
                server.trust(port)
                return server
        process.wait()
    pytest.fail("sshd does not start: " + "".join(server.log))


def stop(server: Sshd) -> None:
    """Ends the server; its log thread ends with it."""
    server.process.terminate()
    server.process.wait()


def _drain(server: Sshd) -> None:
    """A full pipe would stop the server."""
    assert server.process.stderr is not None
    with contextlib.suppress(ValueError), server.process.stderr as lines:
        server.log.extend(lines)


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The worker's OpenSSH server."""
    server = start(tmp_path_factory.mktemp("sshd"))
    try:
        with SftpTransport(server.link(server.folder)) as road:
            road.list("nothing")
    except TransportError as error:
        stop(server)
        if not any("account is locked" in line for line in server.log):
            raise
        do_without(
            f"sshd lets no locked account in, and {getpass.getuser()} is one (usermod -p '*' would do): {error}"
        )
    yield server
    stop(server)
