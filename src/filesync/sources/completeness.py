"""When a dropped file is whole: its program's own sign, or a time of quiet. Pure: sizes and times are passed in.

- `quiet 5 s`: seen twice, at least so long apart, with the same size and time of change. The two looks are timed by one clock, ours: that of
  the program, or of the share, is only compared with itself.
- `done-file`: `x.csv` is whole when `x.csv.done` or `x.csv.ok` (or `x.done`, `x.ok`) lies beside it and is not older: one from yesterday
  says nothing of a file that is being written over.
- `rename`: the program writes under another name and renames when it is done; whatever has its real name is whole.

Names of files that are being written (`TEMPORARY`) are never taken, whatever is configured. What is not here: the digest that is taken
once a file seems whole, and a change while it is read (raw.py); both catch what a sign promised too early.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from filesync.timetable import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: What programs call a file that they are still writing: browsers, editors, FTP servers, office programs, copies.
TEMPORARY: Final = (
    ".*", "~*", "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.writing", "*.swp", "*.lock",
)  # fmt: skip
DONE: Final = (".done", ".ok")


class Sign(Enum):
    """By what a file is known to be whole."""

    QUIET = "quiet"
    DONE_FILE = "done-file"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Completeness:
    """A source's rule. `quiet_s` belongs to `QUIET`."""

    sign: Sign
    quiet_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """A file at one moment: bytes, nanoseconds of its own clock, and since when ours has seen it so."""

    size: int
    mtime_ns: int
    since: datetime

    def again(self, size: int, mtime_ns: int, now: datetime) -> Look:
        """The next look. Where anything changed, or our clock was set back, the quiet begins anew."""
        same = (self.size, self.mtime_ns) == (size, mtime_ns) and self.since <= now
        return self if same else Look(size, mtime_ns, now)


@dataclass(frozen=True, slots=True)
class NotYet:
    """Not whole as far as can be told. `again_s`: when looking again may help; None: when its program has done something."""

    why: str
    again_s: float | None = None


def parse_completeness(text: str) -> Completeness:
    """`quiet 5 s`, `done-file` or `rename`. Raises ValueError."""
    words = text.strip().lower()
    if words.startswith("quiet"):
        return Completeness(Sign.QUIET, parse_duration(words.removeprefix("quiet")))
    if words in (Sign.DONE_FILE.value, Sign.RENAME.value):
        return Completeness(Sign(words))
    raise ValueError(f'expected "quiet 5 s", "done-file" or "rename", got {text!r}')


def is_temporary(name: str) -> bool:
    """Whether a name says that its file is still being written."""
    return any(fnmatchcase(name.lower(), pattern) for pattern in TEMPORARY)


def is_sign(rule: Completeness | None, name: str) -> bool:
    """Whether a file is not data but the sign that another one is whole."""
    return rule is not None and rule.sign is Sign.DONE_FILE and name.lower().endswith(DONE)


def done_names(name: str) -> tuple[str, ...]:
    """The names that a file's done-file may have."""
    stem = name.rpartition(".")[0]
    return tuple(base + end for base in dict.fromkeys((name, stem)) if base for end in DONE)


def judge(
    rule: Completeness | None, name: str, look: Look, now: datetime, signs: Mapping[str, int]
) -> NotYet | None:
    """None for a file that may be taken. `signs`: the done-files that lie beside it, with their times of change in ns."""
    if rule is None or rule.sign is Sign.RENAME:
        return None
    if rule.sign is Sign.DONE_FILE:
        if not signs:
            return NotYet(f"{name} waits for its done-file ({', '.join(done_names(name)[:2])})")
        if max(signs.values()) < look.mtime_ns:
            return NotYet(f"{name} was written to after its done-file {max(signs, key=signs.__getitem__)}")
        return None
    quiet_s = (now - look.since).total_seconds()
    if quiet_s >= rule.quiet_s:
        return None
    return NotYet(
        f"{name} must stay unchanged for {rule.quiet_s:g} s before it is taken", rule.quiet_s - quiet_s
    )
