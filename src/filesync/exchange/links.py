"""Which links do not work, since when, and when they are tried again: written by the daemon, read by status.

One small file, `run/links.json`, replaced as a whole. It is a note for people: nothing is decided by it, losing it loses nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LinkTrouble:
    """A link that failed `failures` times in a row. Times are RFC 3339; `next_at` is None when nobody tries any more."""

    since: str
    failures: int
    why: str
    next_at: str | None


def write_troubles(root: Path, troubles: Mapping[str, LinkTrouble]) -> None:
    """Replace what was known."""
    path = _path(root)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    known = {name: asdict(trouble) for name, trouble in troubles.items()}
    temporary.write_text(json.dumps(known, ensure_ascii=False, indent=1), encoding="utf-8")
    durable.replace(temporary, path)


def read_troubles(root: Path) -> dict[str, LinkTrouble]:
    """What is known; nothing where there is no such note, or it cannot be read."""
    try:
        known = json.loads(_path(root).read_text(encoding="utf-8"))
        return {
            str(name): LinkTrouble(
                _when(each["since"]),
                int(each["failures"]),
                str(each["why"]),
                each["next_at"] and _when(each["next_at"]),
            )
            for name, each in known.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def describe(peer: str, trouble: LinkTrouble, waiting: int, now: datetime) -> str:
    """`matriz unreachable since 14:02, next try 14:10, 12 batches wait: …`."""
    words = [f"{peer} unreachable since {_short(trouble.since, now)}"]
    if trouble.next_at is not None:
        words.append(f"next try {_short(trouble.next_at, now)}")
    if waiting:
        words.append(f"{waiting} {'batch waits' if waiting == 1 else 'batches wait'}")
    return f"{', '.join(words)}: {trouble.why}"


def _short(text: str, now: datetime) -> str:
    at = datetime.fromisoformat(text).astimezone(now.tzinfo)
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _when(text: str) -> str:
    return datetime.fromisoformat(text).isoformat(timespec="seconds")


def _path(root: Path) -> Path:
    return root / "run" / "links.json"
