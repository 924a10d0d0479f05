"""Which disk a path is on: how much is free, and whether it is a share."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.doctor.deadline import bounded
from filesync.doctor.findings import failed, ok, warning
from filesync.errors import TransportError
from filesync.language import _

if TYPE_CHECKING:
    from filesync.doctor.findings import Finding

#: Below the first a turn may fail any moment; below the second a busy week fills the disk.
FREE_BYTES_FAILED = 200_000_000
FREE_BYTES_WARNING = 2_000_000_000
FREE_FILES_WARNING = 10_000
ANSWER_S = 10.0

_SHARES = ("nfs", "cifs", "smb", "sshfs", "fuse.", "9p", "afs", "glusterfs", "ceph", "webdav", "davfs")
_DRIVE_REMOTE = 4  # GetDriveTypeW's DRIVE_REMOTE


@dataclass(frozen=True, slots=True)
class Disk:
    """Where something lies. `kind` is the filesystem's name, "" where the system does not say."""

    kind: str
    mounted_at: str
    remote: bool


def disk_of(path: Path) -> Disk:
    """The filesystem of a path, as far as this system tells; unknown is taken for a disk of this computer."""
    if os.name == "nt":
        return _windows_disk(path)
    try:
        table = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Disk("", "", remote=False)  # macOS
    return find_disk(table, str(path.resolve()))


def find_disk(table: str, path: str) -> Disk:
    """Of a table as in /proc/self/mounts, the mount that holds the path: the longest, and of equals the last."""
    best = Disk("", "", remote=False)
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = place == "/" or path == place or path.startswith(place + "/")
        if inside and len(place) >= len(best.mounted_at):
            best = Disk(fields[2], place, remote=fields[2].startswith(_SHARES))
    return best


def _windows_disk(path: Path) -> Disk:
    anchor = path.resolve().anchor
    if anchor.startswith("\\\\"):
        return Disk("share", anchor, remote=True)
    import ctypes  # only Windows has its windll

    kind = ctypes.windll.kernel32.GetDriveTypeW(anchor)  # type: ignore[attr-defined, unused-ignore]
    return Disk(_("network drive") if kind == _DRIVE_REMOTE else "", anchor, remote=kind == _DRIVE_REMOTE)


def free_space(check: str, folder: Path, about: str = "", least_bytes: int = FREE_BYTES_FAILED) -> Finding:
    """Whether what arrives has room: a failure below `least_bytes`."""
    try:
        usage = bounded(lambda: shutil.disk_usage(folder), ANSWER_S, str(folder))
        files = bounded(lambda: _free_files(folder), ANSWER_S, str(folder))
    except (OSError, TransportError) as error:
        return failed(
            check,
            _("{folder} cannot be asked: {error}").format(folder=folder, error=error),
            _("Check that the disk is there."),
            about,
        )
    seen = _("{say_bytes} of {say_bytes_2} free where {folder} lies").format(
        say_bytes=say_bytes(usage.free), say_bytes_2=say_bytes(usage.total), folder=folder
    )
    if usage.free < least_bytes:
        return failed(
            check,
            seen,
            _(
                "Free some space: nothing can arrive, and soon nothing can be sealed. Settled batches in archive/ may be moved to another disk."
            ),
            about,
            free_bytes=usage.free,
        )
    if usage.free < max(FREE_BYTES_WARNING, 2 * least_bytes) or (
        files is not None and files < FREE_FILES_WARNING
    ):
        few = (
            _(", and room for {files} more files").format(files=files)
            if files is not None and files < FREE_FILES_WARNING
            else ""
        )
        return warning(
            check,
            seen + few,
            _(
                "Free some space before the next busy week. Settled batches in archive/ may be moved to another disk."
            ),
            about,
            free_bytes=usage.free,
        )
    return ok(check, seen, about, free_bytes=usage.free)


def _free_files(folder: Path) -> int | None:
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(folder)
    return found.f_favail if found.f_files else None  # btrfs and some shares do not count


def say_bytes(count: int) -> str:
    """`1,2 GB`, as it is written in Brazil."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return (
                f"{value:.0f} {unit}"
                if value >= 10 or unit == "bytes"
                else f"{value:.1f} {unit}".replace(".", ",")
            )
        value /= 1000
    return _("{value:.1f} TB").format(value=value).replace(".", ",")
