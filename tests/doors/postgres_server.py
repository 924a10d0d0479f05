"""A real PostgreSQL for the tests that need one: a throwaway cluster, made when the first of them asks for it.

- One for each test process (a worker of pytest-xdist is one): ports and folders are never shared.
- On 127.0.0.1 at a free port with a random password, no socket; without fsync. Everything lies in one temporary folder, in memory where
  there is room: a database is some three hundred files, and tests make and drop one for each site.
- A program of its own keeps it: this file. It stops the server and removes the folder when its input ends, so also
  when the tests are killed.
- PostgreSQL refuses to run as root: root lends it to the user of Debian's package, or else to nobody.
- Where there is no PostgreSQL the tests are skipped, with the reason; in CI they fail. `make tools` installs it.

It does not look at a PostgreSQL that the machine may be running, and none sees it.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ADMIN = "filesync"
PATIENCE_S = 60
PORT_TRIALS = 5
#: Some Linux machines, containers above all, have it and make it small.
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 << 30
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
min_wal_size = 32MB
max_wal_size = 64MB
shared_buffers = 16MB
max_connections = 60
jit = off
log_statement = all
log_line_prefix = '%d %a %p: '
logging_collector = off
"""


_numbers = itertools.count(1)


class Missing(Exception):  # noqa: N818 - not an error where PostgreSQL may be absent
    """There is no PostgreSQL to be had here; the words say why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running cluster. `log` is what the server wrote, every statement among it."""

    port: int
    password: str = field(repr=False)
    log: Path
    models: dict[str, str] = field(default_factory=dict, repr=False)
    _links: list[Any] = field(default_factory=list, repr=False)

    def address(
        self, database: str, *, user: str = ADMIN, password: str | None = None, options: str = ""
    ) -> str:
        """postgresql://..., as settings name it."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}{options}"

    def named(self, database: str) -> str:
        """The same without the password, as settings of a site may hold it."""
        return f"postgresql://{ADMIN}@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, *statements: str) -> list[dict[str, Any]]:
        """Run statements, each its own transaction; the rows of the last one."""
        if database == "postgres":
            return _told(self._keeper(), statements)
        with self._connected(database) as connection:
            return _told(connection, statements)

    def _connected(self, database: str) -> Any:
        import adbc_driver_postgresql.dbapi as driver  # optional for users, so never imported with the module

        return driver.connect(self.address(database), autocommit=True)

    def _keeper(self) -> Any:
        """The connection by which databases are made and dropped, open until `leave`: a new one costs more than what is said on it."""
        if not self._links:
            self._links.append(self._connected("postgres"))
        return self._links[0]

    def leave(self) -> None:
        """Close what is kept open."""
        while self._links:
            self._links.pop().close()

    def create(self, database: str, how: str = "") -> None:
        """A new database; `how` as CREATE DATABASE takes it."""
        self.execute("postgres", f"create database {database} {how}")

    def new(self, how: str = "") -> str:
        """A new database under a name that no other test has; `how` as CREATE DATABASE takes it. Its statements are not logged."""
        name = f"test_{next(_numbers)}"
        self.execute(
            "postgres", f"create database {name} {how}", f"alter database {name} set log_statement = 'none'"
        )
        return name

    def copy_of(self, model: str, make: Callable[[str], None]) -> str:
        """A new database that is like the model of this name; `make` makes that, in a database of this address, when it is asked for first."""
        if model not in self.models:
            self.models[model] = self.new()
            make(self.address(self.models[model]))
        return self.new(f"template {self.models[model]}")

    def drop(self, database: str) -> None:
        """Gone, whoever is still connected."""
        self.execute("postgres", f"drop database {database} with (force)")


def _told(connection: Any, statements: Iterable[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for statement in statements:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetch_arrow_table().to_pylist()
    return rows


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A running PostgreSQL, the same for all tests of this process."""
    try:
        if importlib.util.find_spec("adbc_driver_postgresql") is None:
            raise Missing("its driver is not installed: pip install 'filesync[postgres]'")
        with kept() as server:
            yield server
    except Missing as why:
        do_without(str(why))


def do_without(why: str) -> None:
    """Skip what needs the server; where every check must run, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"no PostgreSQL: {why}")
    pytest.skip(f"no PostgreSQL: {why}")


@contextmanager
def kept() -> Iterator[Server]:
    """The server, while a keeper runs it. Raises Missing."""
    command = [sys.executable, str(Path(__file__).resolve())]
    # A session of its own: the signal that ends the tests must not end their keeper before it has cleaned up.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        line = keeper.stdout.readline()
        if not line:
            raise RuntimeError("the keeper of the PostgreSQL server failed; its words stand above")
        told = json.loads(line)
        if "missing" in told:
            raise Missing(told["missing"])
        server = Server(told["port"], told["password"], Path(told["log"]))
        try:
            yield server
        finally:
            server.leave()
        keeper.stdin.close()  # the end of its input is the keeper's signal
        if keeper.wait(PATIENCE_S) != 0:
            raise RuntimeError("the PostgreSQL server of the tests did not stop cleanly; see above")


# ---------------------------------------------------------------------------------------------- the keeper


def keep() -> None:
    """Run a cluster, say where in one line, and end it when the input ends."""
    try:
        programs, user = find_programs(), unprivileged()
        folder = Path(tempfile.mkdtemp(prefix="filesync-postgresql-", dir=open_folder(user)))
        try:
            with running(programs, folder, user) as told:
                tell(told)
                sys.stdin.read()
        finally:
            shutil.rmtree(folder)
    except Missing as why:
        tell({"missing": str(why)})


def tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


@contextmanager
def running(programs: Path, folder: Path, user: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A cluster in the folder: {"port", "password", "log"}."""
    # PG...: variables that speak of somebody's own server. LC_MESSAGES: what it says must not depend on the machine.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["LC_ALL"] = "C"

    def done(program: str, *arguments: str) -> bool:
        try:
            run = subprocess.run(
                [str(programs / program), *arguments],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=PATIENCE_S, **user,
            )  # fmt: skip
        except OSError as err:  # programs that the other user may not run
            output.write(str(err))
            output.flush()
            return False
        return run.returncode == 0

    def failed(program: str) -> Missing:
        return Missing(f"{programs / program} failed: {tail(folder / 'output')} {tail(log)}".strip())

    password = secrets.token_urlsafe(24)
    secret, data, log = folder / "password", folder / "data", folder / "log"
    secret.write_text(password, "utf-8")
    if "user" in user:
        for path in (folder, secret):
            os.chown(path, user["user"], user["group"])
    # A file, not a pipe: the server inherits it from pg_ctl, and a pipe would stay open as long as it runs.
    with (folder / "output").open("w", encoding="utf-8") as output:
        if not done("initdb", "--pgdata", str(data), "--username", ADMIN, "--auth", "scram-sha-256",
                    "--pwfile", str(secret), "--encoding", "UTF8", "--locale", "C", "--no-sync"):  # fmt: skip
            raise failed("initdb")
        secret.unlink()
        settings = data / "postgresql.conf"
        initial = settings.read_text("utf-8")
        for _ in range(PORT_TRIALS):  # somebody may take the port before the server does
            port = free_port()
            settings.write_text(initial + SETTINGS.format(port=port), "utf-8")
            if done("pg_ctl", "start", "--pgdata", str(data), "--log", str(log), "--wait", "--silent"):
                break
        else:
            raise failed("pg_ctl")
        try:
            yield {"port": port, "password": password, "log": str(log)}
        finally:
            if not done("pg_ctl", "stop", "--pgdata", str(data), "--mode", "immediate", "--wait", "--silent"):
                raise RuntimeError(f"the server in {data} did not stop: {tail(folder / 'output')}")


def find_programs() -> Path:
    """The folder of initdb and pg_ctl: on the PATH, or where Debian keeps them apart (.ci/tools looks in the same places)."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if not versions:
        raise Missing(
            "initdb is neither on the PATH nor in /usr/lib/postgresql (Debian: apt-get install postgresql)"
        )
    return max(versions, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)])


def unprivileged() -> dict[str, Any]:
    """As whom to run it: nothing to say, or for root the user of Debian's package."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return {}
    import pwd  # not on Windows

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Missing(
        "these tests run as root, PostgreSQL does not, and there is neither a user postgres nor nobody"
    )


def open_folder(user: dict[str, Any]) -> str | None:
    """A temporary folder that the other user can reach, in memory where there is room; None: the usual one."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
        return str(MEMORY)
    if not user:
        return None
    for folder in (Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")):
        if folder.is_dir() and all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents)):
            return str(folder)
    raise Missing("PostgreSQL's user can reach no temporary folder")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(path: Path) -> str:
    return (
        " / ".join(path.read_text("utf-8", "replace").split("\n")[-6:]).strip(" /") if path.exists() else ""
    )


if __name__ == "__main__":
    keep()
