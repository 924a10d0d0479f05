"""The very programs, folders, files and ports that antivirus programs and firewalls must leave alone. Pure but for asking where things lie."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.config import DATABASE_NAME
from filesync.exchange.lock import LOCK_NAME

if TYPE_CHECKING:
    from filesync.config import Settings


@dataclass(frozen=True, slots=True)
class Exceptions:
    """What to enter in the antivirus program (programs, folders, files) and in the firewall (connections, all of them outgoing)."""

    programs: tuple[str, ...]
    folders: tuple[str, ...]
    files: tuple[str, ...]
    connections: tuple[str, ...]


def exceptions(root: Path, settings: Settings | None) -> Exceptions:
    """For the site in `root` on this computer."""
    folders = [str(root)]
    connections = []
    for name, peer in (settings.peers if settings is not None else {}).items():
        if peer.link is None:
            continue
        try:
            link = peer.sftp(root)
        except ValueError:
            continue
        if link is None:
            folders.append(os.path.normpath(root / peer.link))
            if folders[-1].startswith(("\\\\", "//")):
                server = re.split(r"[/\\\\]+", folders[-1])[1]
                connections.append(f"TCP 445 to {server} (share, {name})")
        else:
            connections.append(f"TCP {link.port} to {link.host} (SFTP, {name})")
    server = None if settings is None else settings.server
    database = root / DATABASE_NAME
    files = (str(database), f"{database}-wal", f"{database}-shm") if server is None else ()
    if server is not None:
        connections += [f"TCP {port} to {host} (PostgreSQL)" for host, port in server.hosts]
    return Exceptions(
        tuple(dict.fromkeys(str(path) for path in _programs())),
        tuple(dict.fromkeys(folders)),
        (*files, str(root / LOCK_NAME)),
        tuple(connections),
    )


def _programs() -> list[Path]:
    """The interpreter that runs this, the one behind a virtual environment, and the installed command."""
    here = Path(sys.executable)
    command = here.with_name("filesync.exe" if os.name == "nt" else "filesync")
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    return [path for path in (command, here, base) if path.is_file()]
