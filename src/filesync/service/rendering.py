"""The files of a service, from the templates. Pure but for reading the templates, which are part of the package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from typing import TYPE_CHECKING

from filesync.service.quoting import (
    systemd_path,
    systemd_program,
    systemd_text,
    systemd_word,
    windows_arguments,
    windows_path,
    xml_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

#: Private homes: where nothing of the service lies in them, they are closed to it.
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 -- names, nothing is written there
#: LOCAL SERVICE: may use what every account of the computer may, and has no password.
LOCAL_SERVICE = "S-1-5-19"


class Way(Enum):
    """`RUN`: the daemon, always there. `TIMER`: one turn every few minutes."""

    RUN = "run"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Service:
    """What runs: `program -C root run|turn`. `writable` are folders outside of the root that it writes into (links).

    `account` and `group`: as whom; None for the account of whoever's service manager it is (`user`), or the system's default.
    """

    site: str
    root: PurePath
    program: PurePath
    way: Way = Way.RUN
    user: bool = False
    account: str | None = None
    group: str | None = None
    writable: tuple[PurePath, ...] = ()
    every_min: int = 5

    @property
    def name(self) -> str:
        """The unit's, without its ending."""
        return f"filesync-{self.site}" if self.way is Way.RUN else f"filesync-{self.site}-turn"

    @property
    def task(self) -> str:
        """The task's, in a folder of the Task Scheduler."""
        return rf"\filesync\{self.site}"

    @property
    def winsw_id(self) -> str:
        """WinSW wants letters and digits alone."""
        return f"filesync{self.site.replace('-', '')}"


def units(service: Service) -> dict[str, str]:
    """File name → content, for systemd."""
    filled = {
        "site": systemd_text(service.site),
        "root": systemd_text(str(service.root)),
        "unit": service.name,
        "program": systemd_program(str(service.program)),
        "root_word": systemd_word(str(service.root)),
        "account": _systemd_account(service),
        "hardening": _hardening(service),
        "target": "default.target" if service.user else "multi-user.target",
        "every_min": str(service.every_min),
    }
    if service.way is Way.RUN:
        return {f"{service.name}.service": _fill("run.service", filled)}
    return {
        f"{service.name}.service": _fill("turn.service", filled),
        f"{service.name}.timer": _fill("turn.timer", filled),
    }


def task(service: Service) -> str:
    """The Task Scheduler's XML (schema 1.2). To be written as UTF-16, which `schtasks /XML` wants."""
    word = "run" if service.way is Way.RUN else "turn"
    return _fill(
        "task.xml",
        {
            "site": xml_text(service.site),
            "root": xml_text(windows_path(str(service.root))),
            "program": xml_text(windows_path(str(service.program))),
            "arguments": xml_text(windows_arguments("-C", str(service.root), word)),
            "trigger": _trigger(service),
            "principal": _principal(service),
            "limit": "PT0S" if service.way is Way.RUN else "PT4H",
        },
    )


def winsw(service: Service) -> str:
    """WinSW's XML: a real Windows service, which is told to stop (Ctrl+C) before it is ended."""
    return _fill(
        "winsw.xml",
        {
            "id": service.winsw_id,
            "site": xml_text(service.site),
            "root": xml_text(windows_path(str(service.root))),
            "program": xml_text(windows_path(str(service.program))),
            "arguments": xml_text(windows_arguments("-C", str(service.root), "run")),
            "logs": xml_text(windows_path(str(service.root / "service"))),
        },
    )


def site_of(text: str) -> str | None:
    """For which folder a file was made by `units` or `task`; None where it was made by somebody else."""
    found = re.search(
        r"Made by `filesync service install[^`]*`\.? ?Site: (.*?)(?:</Description>)?$", text, re.MULTILINE
    )
    return None if found is None else found[1]


def text_of(data: bytes) -> str:
    """A written file as text, whichever of the two encodings it is in."""
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")


def _systemd_account(service: Service) -> str:
    if service.user:
        return "# As the account whose service manager this is."
    if service.account is None:
        return "# As root: give the site's folder to an account of its own, and install again."
    lines = [f"User={systemd_text(service.account)}"]
    if service.group is not None:
        lines.append(f"Group={systemd_text(service.group)}")
    return "\n".join(lines)


def _hardening(service: Service) -> str:
    if service.user:
        return _template("hardening-user.conf")
    # A link's folder may be away when the service starts (a share, a stick): `-` lets it start without.
    paths = [systemd_path(str(service.root))]
    paths += [systemd_path(str(folder), optional=True) for folder in service.writable]
    closed = []
    used = [service.root, service.program, *service.writable]
    if not _any_below(used, _HOMES):
        closed.append("ProtectHome=yes")
    if not _any_below(used, _TEMPORARY):
        closed.append("PrivateTmp=yes")
    return _fill(
        "hardening-system.conf",
        {
            "read_write": f"ReadWritePaths={' '.join(paths)}",
            "closed": "\n".join(closed) or "# (its files lie in a home)",
        },
    )


def _any_below(paths: list[PurePath], tops: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(top) for path in paths for top in tops)


def _trigger(service: Service) -> str:
    if service.way is Way.TIMER:
        return (
            "    <TimeTrigger>\n      <Repetition>\n"
            f"        <Interval>PT{service.every_min}M</Interval>\n        <StopAtDurationEnd>false</StopAtDurationEnd>\n      </Repetition>\n"
            "      <StartBoundary>2025-01-01T00:00:00</StartBoundary>\n      <Enabled>true</Enabled>\n    </TimeTrigger>"
        )
    if service.user:
        who = f"\n      <UserId>{xml_text(service.account)}</UserId>" if service.account else ""
        return f"    <LogonTrigger>\n      <Enabled>true</Enabled>{who}\n    </LogonTrigger>"
    return "    <BootTrigger>\n      <Enabled>true</Enabled>\n      <Delay>PT1M</Delay>\n    </BootTrigger>"


def _principal(service: Service) -> str:
    if service.user:
        who = f"      <UserId>{xml_text(service.account)}</UserId>\n" if service.account else ""
        return f"{who}      <LogonType>InteractiveToken</LogonType>"
    if service.account is None:
        return f"      <UserId>{LOCAL_SERVICE}</UserId>"
    return f"      <UserId>{xml_text(service.account)}</UserId>\n      <LogonType>Password</LogonType>"


def _template(name: str) -> str:
    return (resources.files("filesync.service") / "templates" / name).read_text(encoding="utf-8")


def _fill(name: str, values: Mapping[str, str]) -> str:
    """Each `@@word@@` once over: what a value holds is not looked at again."""
    return re.sub(r"@@(\w+)@@", lambda found: values[found[1]], _template(name))
