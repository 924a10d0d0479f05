"""Where the files go and which commands make them work, as a plan; and the plan carried out, or told to a person.

systemd was tried. The Windows half follows Microsoft's and WinSW's documentation and was not tried on Windows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.service import rendering
from filesync.service.rendering import Service, Way
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SYSTEM_UNITS = Path("/etc/systemd/system")
ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it said, both streams together."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done, in this order: `before`, then files are removed and written, then `after`. `notes` are for a person to do or to know."""

    writes: tuple[tuple[Path, bytes], ...] = ()
    removes: tuple[Path, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


def unit_folder(*, user: bool) -> Path:
    """Where systemd looks for an administrator's units, or for a user's own."""
    if not user:
        return SYSTEM_UNITS
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "systemd" / "user"


# ---------------------------------------------------------------- systemd


def systemd_install(service: Service, folder: Path) -> Plan:
    """Write the units, read them anew, start now and at every boot. The other way of the same site is taken away: both at once get in each other's way."""
    ctl = _systemctl(service)
    other = _other_way(service)
    started = f"{service.name}.{'service' if service.way is Way.RUN else 'timer'}"
    gone = tuple(folder / name for name in rendering.units(other) if (folder / name).exists())
    notes = []
    if service.user:
        notes.append("So that it runs also while nobody is logged in: sudo loginctl enable-linger $USER")
    elif service.account is None:
        notes.append(
            f"It runs as root, because the folder {service.root} belongs to root. Better: an account of its own (docs/operations.md)."
        )
    return Plan(
        writes=tuple((folder / name, text.encode()) for name, text in rendering.units(service).items()),
        removes=gone,
        before=((*ctl, "disable", "--now", *(path.name for path in gone)),) if gone else (),
        after=((*ctl, "daemon-reload"), (*ctl, "enable", started), (*ctl, "restart", started)),
        notes=tuple(notes),
    )


def systemd_uninstall(service: Service, folder: Path) -> Plan:
    """Stop it and take the units away, whichever way it runs. The site itself stays as it is."""
    ctl = _systemctl(service)
    names = [*rendering.units(service), *rendering.units(_other_way(service))]
    there = [folder / name for name in names if (folder / name).exists()]
    if not there:
        raise ConfigError("service-missing", f"{service.site} is not installed as a service in {folder}")
    for path in there:
        _same_site(path, path.read_bytes(), rendering.site_of(next(iter(rendering.units(service).values()))))
    return Plan(
        removes=tuple(there),
        before=((*ctl, "disable", "--now", *(path.name for path in there)),),
        after=((*ctl, "daemon-reload"),),
    )


def systemd_status(service: Service, folder: Path) -> tuple[tuple[str, ...], ...]:
    """The questions to ask; none where nothing is installed."""
    names = [*rendering.units(service), *rendering.units(_other_way(service))]
    there = [name for name in names if (folder / name).exists()]
    return tuple((*_systemctl(service), "status", "--no-pager", "--lines=5", name) for name in there)


def _systemctl(service: Service) -> tuple[str, ...]:
    return ("systemctl", "--user") if service.user else ("systemctl",)


def _other_way(service: Service) -> Service:
    return replace(service, way=Way.TIMER if service.way is Way.RUN else Way.RUN)


# ---------------------------------------------------------------- Windows


def windows_install(service: Service, folder: Path) -> Plan:
    """Write both XML files into the site's `service/`, make the task from the first and start it."""
    if service.account is not None and not service.user:
        password: tuple[str, ...] = ("/RU", service.account, "/RP", "*")
    else:
        password = ()
    task = folder / "task.xml"
    writes = [(task, rendering.task(service).encode("utf-16"))]
    notes = [
        "Not tried on Windows by its makers: look with `filesync service status` whether it runs.",
        f"The account that runs it must be able to read and write {service.root}"
        + (
            "."
            if service.user or service.account
            else "; LOCAL SERVICE reaches no shares: name another with --account."
        ),
    ]
    if service.way is Way.RUN:
        writes.append((folder / f"{service.winsw_id}.xml", rendering.winsw(service).encode()))
        notes.append(
            f"Instead of the task, a Windows service: put WinSW beside {folder / service.winsw_id}.xml as {service.winsw_id}.exe, then, "
            f"as administrator: {service.winsw_id}.exe install"
        )
    return Plan(
        writes=tuple(writes),
        after=(
            ("schtasks", "/Create", "/TN", service.task, "/XML", str(task), *password, "/F"),
            ("schtasks", "/Run", "/TN", service.task),
        ),
        notes=tuple(notes),
    )


def windows_uninstall(service: Service, folder: Path) -> Plan:
    """End the task and take it away."""
    files = (folder / "task.xml", folder / f"{service.winsw_id}.xml")
    return Plan(
        removes=tuple(path for path in files if path.exists()),
        before=(
            ("schtasks", "/End", "/TN", service.task),
            ("schtasks", "/Delete", "/TN", service.task, "/F"),
        ),
    )


def windows_status(service: Service) -> tuple[tuple[str, ...], ...]:
    """The question to ask."""
    return (("schtasks", "/Query", "/TN", service.task, "/V", "/FO", "LIST"),)


# ---------------------------------------------------------------- carried out


def carry_out(plan: Plan, run: Callable[[Sequence[str]], Ran]) -> None:
    """Do it. Raises `ConfigError` "service-exists" before anything is done, "service-failed" at the first command that fails after the files."""
    for path, data in plan.writes:
        _must_be_ours(path, data)
    for command in plan.before:
        run(command)  # what is not there cannot be ended, and need not be
    for path in plan.removes:
        path.unlink(missing_ok=True)
    for path, data in plan.writes:
        _write(path, data)
    for command in plan.after:
        done = run(command)
        if done.code != 0:
            raise ConfigError(
                "service-failed",
                f"{subprocess.list2cmdline(command)} ended with {done.code}: {done.said.strip() or 'no word'}",
            )


def run_command(command: Sequence[str]) -> Ran:
    """A system's own program, found on the path, for a minute at most."""
    program = shutil.which(command[0])
    if program is None:
        return Ran(127, f"{command[0]}: not found")
    try:
        done = subprocess.run(  # noqa: S603 -- words, no shell
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ran(124, f"no answer within {ANSWER_S:g} s")
    return Ran(done.returncode, done.stdout + done.stderr)


def _must_be_ours(path: Path, data: bytes) -> None:
    """A unit of that name that a person wrote, or that runs another site, is never overwritten."""
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        return
    _same_site(path, held, rendering.site_of(rendering.text_of(data)))


def _same_site(path: Path, held: bytes, ours: str | None) -> None:
    theirs = rendering.site_of(rendering.text_of(held))
    if theirs != ours:
        whose = "was not made by filesync" if theirs is None else f"runs the site in {theirs}"
        raise ConfigError("service-exists", f"{path} {whose}; it is left alone")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all: a service manager may read at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        durable.fsync_file(file.fileno())
    durable.replace(temporary, path)
    durable.fsync_folder(path.parent)
