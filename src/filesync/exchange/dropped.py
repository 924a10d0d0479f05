"""Dropped files: which of them a turn takes now. Whether one is whole is judged in `sources.completeness`.

What was seen of a file is remembered from look to look, also between two commands (`run/seen.json`): a site whose turns are started
from outside must be able to wait for a quiet file too. The memory is a hint: losing it costs one more look.

A file that was captured, or refused, and has not been touched since is not read again by a turn that somebody woke; a whole turn reads
them all and compares digests, whatever their times say.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from filesync.errors import TransportError
from filesync.sources.completeness import (
    Completeness,
    Look,
    NotYet,
    Sign,
    done_names,
    is_sign,
    is_temporary,
    judge,
)
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from filesync.sources import SourceSettings

#: How soon a file that another program holds open is tried again.
LOCKED_AGAIN_MIN_S, LOCKED_AGAIN_MAX_S = 1.0, 60.0

Stamp = tuple[int, int]


@dataclass(slots=True)
class Dropped:
    """What is known of the files that lie in a site's sources, for one station. `unsaid` is the rule where a source has none."""

    path: Path
    unsaid: Completeness | None = None
    _looks: dict[str, Look] | None = None
    _changed: bool = False
    _done_with: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    _locked: dict[str, int] = field(default_factory=dict)

    def candidates(self, source: SourceSettings, paths: Iterable[Path]) -> list[Path]:
        """The files that are data: without done-files, and without those whose names say that they are being written."""
        return [
            path for path in paths if not is_temporary(path.name) and not is_sign(source.complete, path.name)
        ]

    def look(
        self, source: SourceSettings, path: Path, label: str, now: datetime, *, patient: bool = True
    ) -> NotYet | None:
        """None for a file that may be taken now. Without `patient` (a person asked) no quiet is waited for."""
        rule = source.complete or self.unsaid
        if rule is None or not (patient or rule.sign is Sign.DONE_FILE):
            return None
        looks = self._remembered()
        size, mtime_ns = stamp(path)
        before = looks.get(label)
        look = Look(size, mtime_ns, now) if before is None else before.again(size, mtime_ns, now)
        if look != before:
            looks[label] = look
            self._changed = True
        return judge(rule, path.name, look, now, _signs(path))

    def settled(self, path: Path, label: str, settings: str) -> bool:
        """Whether the file was done with as it is now, under these settings."""
        return self._done_with.get(label) == (stamp(path), settings)

    def done_with(self, label: str, settings: str, before: Stamp) -> None:
        """The file was captured, or refused; `before` is its `stamp` from before it was read."""
        self._done_with[label] = (before, settings)
        self._locked.pop(label, None)
        self._changed |= self._remembered().pop(label, None) is not None

    def locked_again_s(self, label: str) -> float:
        """How soon to try a file that another program holds: soon at first, a program that keeps it all day is asked every minute."""
        self._locked[label] = self._locked.get(label, -1) + 1
        return min(LOCKED_AGAIN_MAX_S, LOCKED_AGAIN_MIN_S * 2.0 ** min(self._locked[label], 10))

    def save(self, present: Collection[str]) -> None:
        """Write down what is waited for, if that changed; forget files that are gone."""
        looks = self._remembered()
        for known in (looks, self._done_with, self._locked):
            for label in known.keys() - set(present):
                self._changed |= known is looks
                del known[label]
        if self._changed:
            seen = {
                label: [look.size, look.mtime_ns, look.since.isoformat()] for label, look in looks.items()
            }
            self.path.parent.mkdir(exist_ok=True)
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text(json.dumps(seen, ensure_ascii=False), encoding="utf-8")
            durable.replace(temporary, self.path)
            self._changed = False

    def _remembered(self) -> dict[str, Look]:
        if self._looks is None:
            try:
                seen = json.loads(self.path.read_text(encoding="utf-8"))
                self._looks = {k: Look(s, m, datetime.fromisoformat(t)) for k, (s, m, t) in seen.items()}
            except (OSError, ValueError, TypeError, AttributeError):  # none yet, or cut short: look afresh
                self._looks = {}
        return self._looks


@contextmanager
def patience(path: Path) -> Iterator[None]:
    """A dropped file that another program holds, or has just taken away, is a matter of time: TransportError."""
    try:
        yield
    except FileNotFoundError as err:
        raise TransportError(
            "source-changing", f"{path} was there a moment ago, and is not any more"
        ) from err
    except PermissionError as err:
        raise TransportError("source-locked", f"{path}: {err.strerror or err}") from err


def stamp(path: Path) -> Stamp:
    """Size and time of change: good for a hint, never for a decision that loses something."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _signs(path: Path) -> dict[str, int]:
    found = {}
    for name in done_names(path.name):
        with suppress(FileNotFoundError):
            found[name] = path.with_name(name).stat().st_mtime_ns
    return found
