"""P8: one large file over SFTP on loopback, there and back, beside `sftp` and others, and beside what bounds all of them.

The bare limits: `ssh` carrying the same bytes to nowhere (encrypted at one end, decrypted at the other, a core each), and a plain copy
to the disk with an fsync.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench import road_peers, servers
from bench.clock import Case, rounds, scratch
from bench.figures import Part, Sizes
from bench.road_peers import AES, Road
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "large.bin"
LABELS = {
    "sftp": "`sftp`",
    "sftp-fsync": "`sftp` with `-f` (fsync, as filesync does)",
    "sftp-aes": "`sftp` with filesync's cipher (AES-GCM)",
    "rclone": "rclone",
    "asyncssh": "asyncssh",
    "paramiko": "paramiko, its defaults",
    "ssh": "bare: `ssh` to /dev/null",
    "disk": "bare: copy + fsync on the disk",
}


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    if why := servers.missing():
        part.notes.append(f"P8: {why}")
        return part
    with servers.server(work / "sshd") as server:
        road = Road(server, server.port, work)
        source = road_peers.fill(work / "source" / NAME, sizes.sftp_bytes)
        for what in ("put", "get"):
            times = rounds(_cases(road, what, source), sizes.road_rounds)
            mine = _speed(sizes.sftp_bytes, times.middle("ours"))
            for case in times.seconds:
                if case == "ours":
                    continue
                part.compare(
                    "P8", f"{what} one file of {sizes.sftp_bytes >> 20} MiB, SFTP on loopback", mine, LABELS[case],
                    _speed(sizes.sftp_bytes, times.middle(case)), times.speed_ratio("ours", case),
                    1.0 if case == "sftp" else None,
                )  # fmt: skip
    part.notes += road_peers.absent()
    part.notes.append(
        f"The road (P8, P9): {road_peers.versions()}; server and clients share this machine's cores."
    )
    return part


def _speed(size: int, seconds: float) -> str:
    return f"{size / seconds / 1e6:.0f} MB/s"


def _cases(road: Road, what: str, source: Path) -> dict[str, Case]:
    size = source.stat().st_size

    def check(folder: Path) -> None:
        if (found := (folder / NAME).stat().st_size) != size:
            raise AssertionError(f"{size} bytes were expected, got {found}")

    def sftp(flag: str, *more: str) -> Case:
        def words(file: Path, target: Path, _: Path) -> tuple[list[str], str | None]:
            return ["sftp", *road.ssh(*more), "-b", "-", road.host], f"{what}{flag} {file} {target / NAME}\n"

        return road_peers.program(road, words, source, check)

    def rclone(file: Path, target: Path, _: Path) -> tuple[list[str], str | None]:
        ends = (str(file), f":sftp:{target}") if what == "put" else (f":sftp:{file}", str(target))
        return road.rclone("copy", *ends), None

    cases: dict[str, Case] = {
        "ours": road_peers.client(road, "filesync", what, source, check),
        "sftp": sftp(""),
        "sftp-fsync": sftp(" -f"),
        "sftp-aes": sftp("", f"Ciphers={AES}"),
    }
    if road_peers.has("rclone"):
        cases["rclone"] = road_peers.program(road, rclone, source, check)
    if road_peers.has_asyncssh():
        cases["asyncssh"] = road_peers.client(road, "asyncssh", what, source, check)
    cases["paramiko"] = road_peers.client(road, "paramiko", what, source, check)
    cases["ssh"] = _through_ssh(road, what, source)
    cases["disk"] = _to_disk(road, source)
    return cases


def _through_ssh(road: Road, what: str, source: Path) -> Case:
    """The bytes through one channel, and nothing done with them."""
    ssh = f"ssh {' '.join(road.ssh(f'Ciphers={AES}'))} {road.host}"
    line = f"{ssh} 'cat >/dev/null' <'{source}'" if what == "put" else f"{ssh} \"cat '{source}'\" >/dev/null"

    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        yield lambda: road_peers.run(["sh", "-c", line])

    return case


def _to_disk(road: Road, source: Path) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(road.work) as folder:

            def copy() -> None:
                with source.open("rb") as file, (folder / NAME).open("wb") as out:
                    shutil.copyfileobj(file, out, 1 << 20)
                    out.flush()
                    durable.fsync_file(out.fileno())

            yield copy

    return case
