"""P9: thousands of small files over SFTP, each through a temporary name and a rename, on loopback and on a line of 50 ms.

On the long line whoever waits for each answer needs minutes; those get fewer files, and files a second are compared. The table says how
many each had. Connecting and logging in are part of everyone's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import bare, road_peers, servers
from bench.clock import Case, Times, rounds, scratch
from bench.figures import Part, Sizes, rate
from bench.road_peers import RCLONE_TRANSFERS, Road

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SIZE = 8 << 10
ROUND_TRIP_MS = 50
LABELS = {
    "sftp": "`sftp -b`: put, rename",
    "sftp-fsync": "`sftp -b`: put -f (fsync, as filesync does), rename",
    "rclone": f"rclone, {RCLONE_TRANSFERS} at a time (final name at once)",
    "asyncssh": "asyncssh, 64 at a time: put, rename",
    "paramiko": "paramiko, its defaults: put, rename",
    "rsync": "rsync over ssh (its own program on the server)",
    "disk": "bare: durable files on the disk, no network",
}


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    if why := servers.missing():
        part.notes.append(f"P9: {why}")
        return part
    many, few, some = sizes.sftp_files, sizes.sftp_files_few, sizes.sftp_files_few * 4
    with servers.server(work / "sshd") as server:
        for round_trip_ms, counts, least in (
            (0, {}, 1.0),
            (ROUND_TRIP_MS, {"sftp": few, "sftp-fsync": few, "paramiko": few, "rclone": some}, 5.0),
        ):
            with servers.line(server, round_trip_ms) as port:
                road = Road(server, port, work)
                _measure(part, sizes, road, round_trip_ms, many, counts, least)
    part.notes += road_peers.absent()
    return part


def _measure(
    part: Part,
    sizes: Sizes,
    road: Road,
    round_trip_ms: int,
    many: int,
    counts: Mapping[str, int],
    least: float,
) -> None:
    with scratch(road.work) as folder:
        cases = _cases(road, folder, lambda case: counts.get(case, many))
        if round_trip_ms:
            del cases["disk"]
        times = rounds(cases, sizes.road_rounds)
    where = f"a line of {round_trip_ms} ms" if round_trip_ms else "loopback"
    mine = rate(many, times.middle("ours"), "files/s")
    for case in times.seconds:
        if case != "ours":
            count = counts.get(case, many)
            fewer = f", {count:,} files" if count != many else ""
            part.compare(
                "P9", f"put {many:,} files of 8 KiB, SFTP, {where}", mine, LABELS[case] + fewer,
                rate(count, times.middle(case), "files/s"), _ratio(times, case, many, count),
                least if case == "sftp" else None,
            )  # fmt: skip


def _ratio(times: Times, case: str, many: int, count: int) -> float:
    """Files a second over files a second."""
    return times.speed_ratio("ours", case) * many / count


def _cases(road: Road, folder: Path, count_of: Callable[[str], int]) -> dict[str, Case]:
    def source(case: str) -> Path:
        count = count_of(case)
        files = folder / f"files-{count}"
        if not files.exists():
            for number in range(count):
                road_peers.fill(files / f"vendas.caixa-01.matriz-{number:06}.jsonl", SIZE)
        return files

    def check(case: str) -> Callable[[Path], None]:
        wanted = sorted(file.name for file in source(case).iterdir())

        def compare(target: Path) -> None:
            found = sorted(file.name for file in target.iterdir())
            if found != wanted or any((target / name).stat().st_size != SIZE for name in found):
                raise AssertionError(f"{case}: {len(wanted)} files were expected, got {len(found)}")

        return compare

    def sftp(flag: str) -> Callable[[Path, Path, Path], tuple[list[str], str | None]]:
        def words(files: Path, target: Path, scrap: Path) -> tuple[list[str], str | None]:
            batch = scrap / "batch"
            with batch.open("w", encoding="utf-8") as lines:
                for file in sorted(files.iterdir()):
                    lines.write(f"put{flag} {file} {target}/.partial-{file.name}\n")
                    lines.write(f"rename {target}/.partial-{file.name} {target}/{file.name}\n")
            return ["sftp", *road.ssh(), "-b", str(batch), road.host], None

        return words

    def rclone(files: Path, target: Path, _: Path) -> tuple[list[str], str | None]:
        # Dates are not set and the target is not listed: both cost it a round trip a file that nobody else pays.
        at_once = ("--transfers", str(RCLONE_TRANSFERS), "--no-check-dest", "--sftp-set-modtime=false")
        return road.rclone(*at_once, "copy", str(files), f":sftp:{target}"), None

    def rsync(files: Path, target: Path, _: Path) -> tuple[list[str], str | None]:
        shell = " ".join(["ssh", *road.ssh()])
        return ["rsync", "-rW", "--fsync", "-e", shell, f"{files}/", f"{road.host}:{target}/"], None

    programs = {"sftp": sftp(""), "sftp-fsync": sftp(" -f")}
    programs |= {"rclone": rclone} if road_peers.has("rclone") else {}
    programs |= {"rsync": rsync} if road_peers.has("rsync") else {}
    clients = {"ours": "filesync"} | ({"asyncssh": "asyncssh"} if road_peers.has_asyncssh() else {})
    clients |= {"paramiko": "paramiko"}
    found: dict[str, Case] = {
        case: road_peers.client(road, name, "many", source(case), check(case))
        for case, name in clients.items()
    }
    found |= {
        case: road_peers.program(road, words, source(case), check(case)) for case, words in programs.items()
    }
    found["disk"] = _to_disk(road, count_of("disk"))
    return {"ours": found.pop("ours")} | {case: found[case] for case in LABELS if case in found}


def _to_disk(road: Road, count: int) -> Case:
    from contextlib import contextmanager

    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        with scratch(road.work) as folder:
            yield lambda: bare.durable_files(folder / "files", count, b"x" * SIZE)

    return case
