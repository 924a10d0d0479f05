"""What this computer does to files: antivirus that holds them, and events that do or do not arrive."""

from __future__ import annotations

import os
import threading
from statistics import median
from typing import TYPE_CHECKING

from filesync.doctor.deadline import bounded
from filesync.doctor.disks import disk_of
from filesync.doctor.findings import Finding, Outcome, failed, ok, skipped, warning
from filesync.doctor.probes import LEAF, PREFIX, Probe, ProbeDifferentError, probe
from filesync.errors import TransportError
from filesync.exchange.folders import PARTIAL
from filesync.watchers.folder import FolderWatcher, Place
from filesync.writers.durable import FOREIGN_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILES = 12
FILE_BYTES = 64 << 10
ANTIVIRUS_S = 30.0
#: A file that takes so much longer than its neighbours was held by someone.
HELD_S = 0.5
EVENT_S = 3.0


def antivirus(root: Path, examine: Callable[[Path, int], Probe] = probe) -> Finding:
    """Files written, renamed and read back, again and again: what takes long, or is held, is somebody's who looks into every file."""
    times: list[Probe] = []

    def several() -> None:
        for _ in range(FILES):
            times.append(examine(root / "outbox", FILE_BYTES))  # noqa: PERF401 -- what was measured counts when it is cut short

    exceptions = "Make an exception for the site's folder in the antivirus program; `filesync doctor` lists the very folders and programs below."
    try:
        bounded(several, ANTIVIRUS_S, f"{FILES} files in {root / 'outbox' / PARTIAL}")
    except TransportError as error:
        return failed("antivirus", f"{error.message} ({len(times)} were done)", exceptions)
    except (OSError, ProbeDifferentError) as error:
        return failed("antivirus", f"a file was held or changed: {error}", exceptions)
    each = sorted(one.total_s for one in times)
    # The disk's own flush may be slow; who looks into files shows when they are renamed, read and removed.
    handled = sorted(one.rename_s + one.read_s + one.remove_s for one in times)
    held = sum(one.held for one in times)
    seen = (
        f"{FILES} files of {FILE_BYTES >> 10} KiB: {median(each) * 1000:.0f} ms each, the slowest {each[-1] * 1000:.0f} ms, "
        f"of it rename, read and remove {handled[-1] * 1000:.0f} ms"
    )
    measured = {"median_s": median(each), "slowest_s": each[-1], "handled_s": handled[-1], "held": held}
    if held or handled[-1] > HELD_S:
        return Finding(
            "antivirus",
            Outcome.WARNING,
            f"{seen}; held by another program {held} times",
            f"filesync waits and loses nothing, but turns take long. {exceptions}",
            measured=measured,
        )
    return Finding("antivirus", Outcome.OK, f"{seen}; nobody held them", measured=measured)


def events(root: Path) -> Iterator[Finding]:
    """Whether the system tells of new files. Without it files are found by the next rescan: later, but found."""
    yield _events_of(root)
    drop = disk_of(root / "drop")
    if drop.remote:
        yield warning(
            "events in drop/",
            f"{root / 'drop'} lies on a share ({drop.kind}): shares tell of nothing",
            "Nothing is lost: the rescan finds what is dropped there, some minutes later.",
        )


def _events_of(root: Path) -> Finding:
    home = root / "inbox" / PARTIAL
    made = not home.is_dir()
    name = f"{PREFIX}{os.getpid()}-event.{LEAF}{FOREIGN_SUFFIX}"
    arrived = threading.Event()
    try:
        if made:
            home.mkdir()
        watcher = FolderWatcher([Place("probe", home, (f"**/{name}",), ())], lambda _: arrived.set())
        bounded(watcher.start, EVENT_S, "watching a folder")
        try:
            if watcher.blind:
                return _deaf(watcher.blind["probe"])
            (home / name).write_bytes(b"filesync doctor\n")
            heard = arrived.wait(EVENT_S)
        finally:
            (home / name).unlink(missing_ok=True)
            watcher.stop()
    except (OSError, TransportError) as error:
        return skipped("watcher events", f"could not be tried: {error}")
    finally:
        if made:
            _leave(home)
    if heard:
        return ok("watcher events", f"a new file in {home} was told of at once")
    return _deaf(f"a new file in {home} was not told of within {EVENT_S:g} s")


def _deaf(why: str) -> Finding:
    return warning(
        "watcher events",
        why,
        "Nothing is lost: the rescan finds every file, some minutes later. On Linux, more folders can be watched with "
        "sysctl fs.inotify.max_user_watches=524288; shares tell of nothing.",
    )


def _leave(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody uses it by now
