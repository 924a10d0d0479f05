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
from filesync.language import _, mark
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
        for _place in range(FILES):
            times.append(examine(root / "outbox", FILE_BYTES))  # noqa: PERF401 -- what was measured counts when it is cut short

    exceptions = _(
        "Make an exception for the site's folder in the antivirus program; `filesync doctor` lists the very folders and programs below."
    )
    try:
        bounded(
            several,
            ANTIVIRUS_S,
            _("{files} files in {root}").format(files=FILES, root=root / "outbox" / PARTIAL),
        )
    except TransportError as error:
        return failed(
            "antivirus",
            _("{message} ({count} were done)").format(message=error.message, count=len(times)),
            exceptions,
        )
    except (OSError, ProbeDifferentError) as error:
        return failed("antivirus", _("a file was held or changed: {error}").format(error=error), exceptions)
    each = sorted(one.total_s for one in times)
    # The disk's own flush may be slow; who looks into files shows when they are renamed, read and removed.
    handled = sorted(one.rename_s + one.read_s + one.remove_s for one in times)
    held = sum(one.held for one in times)
    seen = _(
        "{files} files of {file_bytes} KiB: {median:.0f} ms each, the slowest {each:.0f} ms, of it rename, read and remove {handled:.0f} ms"
    ).format(
        files=FILES,
        file_bytes=FILE_BYTES >> 10,
        median=median(each) * 1000,
        each=each[-1] * 1000,
        handled=handled[-1] * 1000,
    )
    measured = {"median_s": median(each), "slowest_s": each[-1], "handled_s": handled[-1], "held": held}
    if held or handled[-1] > HELD_S:
        return Finding(
            "antivirus",
            Outcome.WARNING,
            _("{seen}; held by another program {held} times").format(seen=seen, held=held),
            _("filesync waits and loses nothing, but turns take long. {exceptions}").format(
                exceptions=exceptions
            ),
            measured=measured,
        )
    return Finding(
        "antivirus", Outcome.OK, _("{seen}; nobody held them").format(seen=seen), measured=measured
    )


def events(root: Path) -> Iterator[Finding]:
    """Whether the system tells of new files. Without it files are found by the next rescan: later, but found."""
    yield _events_of(root)
    drop = disk_of(root / "drop")
    if drop.remote:
        yield warning(
            mark("events in drop/"),
            _("{root} lies on a share ({kind}): shares tell of nothing").format(
                root=root / "drop", kind=drop.kind
            ),
            _("Nothing is lost: the rescan finds what is dropped there, some minutes later."),
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
        return skipped(mark("watcher events"), _("could not be tried: {error}").format(error=error))
    finally:
        if made:
            _leave(home)
    if heard:
        return ok(mark("watcher events"), _("a new file in {home} was told of at once").format(home=home))
    return _deaf(
        _("a new file in {home} was not told of within {event_s:g} s").format(home=home, event_s=EVENT_S)
    )


def _deaf(why: str) -> Finding:
    return warning(
        mark("watcher events"),
        why,
        _(
            "Nothing is lost: the rescan finds every file, some minutes later. On Linux, more folders can be watched with sysctl fs.inotify.max_user_watches=524288; shares tell of nothing."
        ),
    )


def _leave(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody uses it by now
