"""docs/sftp-server.md is true: a real sshd is set up with exactly its commands and its configuration, a day travels, and an account can do
nothing that the page says it cannot.

The accounts of the page are made in a mount namespace with a copy of /etc in memory: nothing of this machine is changed. That needs Linux
and root; where they are missing, the test says so and is skipped.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from network import Network, rows, sales, table

from filesync import config
from filesync.doctor.examination import examine
from filesync.doctor.findings import Outcome
from filesync.errors import TransportError
from filesync.protocol.identity import Role
from filesync.transports.link import SftpLink
from filesync.transports.sftp import SftpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sftp-server.md").read_text(encoding="utf-8")
SITES = ("posto-centro", "posto-sul", "matriz")

#: The namespace: a copy of /etc in memory, an empty /srv and /run. Then the page's own steps, and sshd.
BOOT = """\
set -e
mount -t tmpfs -o mode=0755 none "$WORK/memory"
cp -a /etc "$WORK/memory/etc"
mkdir "$WORK/memory/srv"
mount --bind "$WORK/memory/etc" /etc
mount --bind "$WORK/memory/srv" /srv
mount -t tmpfs -o mode=0755 none /run
mkdir -p /run/sshd /etc/ssh/sshd_config.d
rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/*
printf 'Include /etc/ssh/sshd_config.d/*.conf\\nUsePAM yes\\nSubsystem sftp internal-sftp\\n' > /etc/ssh/sshd_config
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
cp /etc/ssh/ssh_host_ed25519_key.pub "$WORK/host.pub"
sh "$WORK/accounts.sh"
cp "$WORK/filesync.conf" /etc/ssh/sshd_config.d/filesync.conf
for site in posto-centro posto-sul matriz; do
    cd "$WORK/$site"
    sed "s/^site=.*/site=$site/" "$WORK/key.sh" > key.sh
    sh -e key.sh
done
"$SSHD" -t
exec "$SSHD" -D -e -p "$PORT" -o ListenAddress=127.0.0.1 -o PidFile=none
"""


@dataclass(frozen=True)
class Server:
    """`files` is the server's /srv/filesync, seen from here."""

    port: int
    work: Path
    files: Path

    def identity(self, site: str) -> Path:
        return self.work / site / "sftp_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.work / "known_hosts"

    def transport(self, site: str, path: str = "/") -> SftpTransport:
        return SftpTransport(
            SftpLink("127.0.0.1", site, self.identity(site), self.known_hosts, self.port, path)
        )


def block(marker: str) -> str:
    (found,) = re.findall(
        rf"<!-- {re.escape(marker)} -->\n```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    return str(found)


def needs() -> str:
    """The sshd program; skips where the test cannot run, and says why."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("accounts in a namespace of their own need Linux and root")
    program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")
    tools = [
        name
        for name in ("unshare", "mount", "useradd", "groupadd", "usermod", "ssh-keygen")
        if shutil.which(name) is None
    ]
    if program is None or tools:
        pytest.skip(f"not installed: {', '.join(tools) or 'sshd'}")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount namespaces")
    return program


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page's server."""
    program = needs()
    work = tmp_path_factory.mktemp("page")
    (work / "memory").mkdir()
    for name, text in (
        ("accounts.sh", block("run: accounts")),
        ("filesync.conf", block("file: sshd")),
        ("key.sh", block("run: key")),
    ):
        (work / name).write_text(text)
    for site in SITES:
        (work / site).mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", site, "-f", work / site / "sftp_ed25519"], check=True)  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT], env={**os.environ, "WORK": str(work), "SSHD": program, "PORT": str(port)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    log: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if "Server listening on" in line:
            break
    else:
        process.wait()
        pytest.fail("the page's server does not start:\n" + "".join(log))
    stream = process.stderr

    def drain() -> None:
        with contextlib.suppress(ValueError), stream as lines:
            log.extend(lines)

    threading.Thread(target=drain, name="sshd-log", daemon=True).start()
    kind, key, *_ = (work / "host.pub").read_text().split()
    (work / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    yield Server(port, work, Path(f"/proc/{process.pid}/root/srv/filesync"))
    process.terminate()
    process.wait()


@pytest.fixture
def sites(network: Network, server: Server) -> Network:
    """Two postos and their matriz, joined as the page says."""
    roles = {"posto-centro": Role.POSTO, "posto-sul": Role.POSTO, "matriz": Role.MATRIZ}
    for site, role in roles.items():
        network.site(site, role)
    for posto in ("posto-centro", "posto-sul"):
        for site, peer, path in ((posto, "matriz", ""), ("matriz", posto, posto)):
            section = config.render_peer(
                peer,
                config.Peer(
                    role=roles[peer], link=f"sftp://{site}@127.0.0.1:{server.port}/{path}", relay=True,
                    identity=str(server.identity(site)), known_hosts=str(server.known_hosts),
                ),
            )  # fmt: skip
            network.configure(site, section)
            pinned = config.pinned_path(network.root / site, peer)
            pinned.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(config.key_path(network.root / peer).with_suffix(".pub"), pinned)
    return network


def lying(server: Server) -> list[Path]:
    """What lies on the server, without heartbeats: they stay and are written over."""
    return [
        path for path in server.files.rglob("*") if path.is_file() and not path.name.startswith("heartbeat.")
    ]


def test_a_day_travels_from_both_postos_and_the_receipts_come_back(sites: Network, server: Server) -> None:
    sold = {}
    for seed, posto in enumerate(("posto-centro", "posto-sul")):
        sold[posto] = sales(posto, seed=seed)
        sites[posto].seal("vendas", table(sold[posto]))
        sites.turn(posto)
    manifests = server.files.rglob("*.manifest.json")
    assert sorted(str(path.relative_to(server.files).parent) for path in manifests) == [
        "posto-centro/matriz/inbox/posto-centro",
        "posto-sul/matriz/inbox/posto-sul",
    ]
    modes = {path.stat().st_mode & 0o777 for path in server.files.rglob("*") if path.is_file()}
    assert modes == {0o660}
    sites.turn("matriz", "posto-centro", "posto-sul")
    assert len(rows(sites["matriz"])) == sum(map(len, sold.values()))
    for posto in sold:
        assert sites[posto].status().outbox == ()
    assert lying(server) == []


def test_the_doctor_finds_nothing_wrong_at_either_end(sites: Network, server: Server) -> None:
    for site in SITES:
        report = examine(sites.root / site)
        links = [one for one in report.findings if one.about]
        assert {one.check for one in links} >= {
            "host key",
            "login",
            "server's abilities",
            "writing there",
            "taking from there",
        }
        assert [
            one
            for one in links
            if one.outcome in (Outcome.FAILED, Outcome.WARNING) and one.check != "free space there"
        ] == []
    assert lying(server) == []


def refused(action: Callable[[], object]) -> None:
    with pytest.raises(TransportError) as caught:
        action()
    assert caught.value.code in {"denied", "failed", "gone", "unreachable"}, caught.value


def test_an_account_writes_into_its_own_mailbox_and_nowhere_else(server: Server, tmp_path: Path) -> None:
    local = tmp_path / "x.json"
    local.write_text("{}\n")
    (server.files / "posto-sul" / "posto-sul" / "inbox" / "matriz" / "secret.json").write_text("{}\n")
    with server.transport("posto-centro") as mine:
        assert mine.put_many([(local, "matriz/inbox/posto-centro", "x.json")]) == [True]
        assert "x.json" in [file.name for file in mine.list("matriz/inbox/posto-centro")]
        mine.remove_many([("matriz/inbox/posto-centro", "x.json")])
        # Its place is its root: the other posto, and the server's own files, are not there.
        for folder in (
            "posto-sul/inbox/matriz",
            "posto-centro/posto-sul/inbox/matriz",
            "etc",
            "srv/filesync/posto-sul",
        ):
            assert mine.list(folder) == []
    for folder in (
        "matriz/inbox/posto-sul",
        "matriz/inbox",
        "matriz/outbox/posto-centro",
        "posto-sul/inbox/matriz",
        "new/folder",
    ):
        with server.transport("posto-centro") as mine:
            refused(lambda folder=folder, mine=mine: mine.put_many([(local, folder, "x.json")]))  # type: ignore[misc]
    with server.transport("posto-centro", "/srv/filesync/posto-sul") as outside:
        refused(lambda: outside.list("posto-sul/inbox/matriz"))
    (server.files / "posto-sul" / "posto-sul" / "inbox" / "matriz" / "secret.json").unlink()
    assert sorted(path.name for path in server.files.iterdir()) == ["posto-centro", "posto-sul"]
    assert [
        path for path in lying(server) if path.parent.name != ".partial"
    ] == []  # a begun file stays where nobody looks


def ssh(server: Server, site: str, *words: str) -> subprocess.CompletedProcess[str]:
    options = {
        "IdentitiesOnly": "yes", "UserKnownHostsFile": str(server.known_hosts), "BatchMode": "yes", "StrictHostKeyChecking": "yes", "ConnectTimeout": "10",
    }  # fmt: skip
    arguments = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return subprocess.run(
        ["ssh", "-F", "none", "-p", str(server.port), "-i", server.identity(site), *arguments, *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client")
def test_an_account_gets_no_shell_no_port_and_no_password_prompt(server: Server) -> None:
    shell = ssh(server, "posto-centro", "posto-centro@127.0.0.1", "id")
    assert shell.returncode != 0
    assert "uid=" not in shell.stdout
    forwarded = ssh(server, "posto-centro", "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:9", "posto-centro@127.0.0.1")  # fmt: skip
    assert forwarded.returncode != 0
    other = ssh(server, "posto-centro", "posto-sul@127.0.0.1", "id")
    assert "Permission denied (publickey)." in other.stderr  # no other way in is even offered
