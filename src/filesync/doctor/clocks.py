"""Clocks: this computer's against everything here that carries a time, and the peers' against ours. No decision of filesync hangs on one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from filesync.doctor.findings import Finding, failed, ok, warning
from filesync.exchange.folders import PARTIAL
from filesync.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filesync.stores.checking import Newest

#: Clocks that differ by less are not worth a word: receipts carry seconds, and turns take some.
SKEW_S = 120.0
#: Before this version was written nothing can happen: a computer that thinks so lost its clock's battery.
EARLIEST = datetime.fromisoformat("2025-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Skew:
    """What is known of a peer's clock: its `ahead_s` of ours is at least so much (negative: it is behind by at least so much)."""

    peer: str
    ahead_s: float


def clock(root: Path, now: datetime, newest: Newest | None) -> Iterator[Finding]:
    """Against everything here that carries a time. No decision hangs on a clock, but people's eyes and schedules do."""
    times = [(_("this computer's idea of the earliest possible day"), EARLIEST), *_file_times(root)]
    if newest is not None:
        if newest.sealed_at is not None:
            times.append((_("the newest batch sealed here"), datetime.fromisoformat(newest.sealed_at)))
        times += [
            (
                _("the newest batch from {origin}").format(origin=one.origin),
                datetime.fromisoformat(one.applied_at),
            )
            for one in newest.arrivals
        ]
        times += [
            (
                _("the newest receipt of {recipient}").format(recipient=one.recipient),
                datetime.fromisoformat(one.settled_at),
            )
            for one in newest.answers
        ]
    what, latest = max(times, key=lambda entry: entry[1])
    shown = now.isoformat(sep=" ", timespec="seconds")
    if latest - now > timedelta(seconds=SKEW_S):
        yield failed(
            "clock",
            _("this computer says {shown}; {what} is of {isoformat}, which lies in the future").format(
                shown=shown,
                what=what,
                isoformat=latest.astimezone(now.tzinfo).isoformat(sep=" ", timespec="seconds"),
            ),
            _(
                "Set the clock and the time zone, and let the system keep them (Windows: Settings, Time; Linux: timedatectl set-ntp true). If they are right, the clock was wrong when that was written; then this line goes away by itself."
            ),
            behind_s=(latest - now).total_seconds(),
        )
    else:
        yield ok(
            "clock", _("this computer says {shown}; nothing here is of a later time").format(shown=shown)
        )
    for skew in skews(newest):
        amount = _span(abs(skew.ahead_s))
        yield warning(
            "clock",
            (
                _("{peer}'s clock is at least {amount} ahead of this one")
                if skew.ahead_s > 0
                else _("{peer}'s clock is at least {amount} behind this one")
            ).format(peer=skew.peer, amount=amount),
            _(
                "Set whichever of the two is wrong. Nothing is lost by it; times that {peer} writes are misleading."
            ).format(peer=skew.peer),
            skew.peer,
            ahead_s=skew.ahead_s,
        )


def skews(newest: Newest | None) -> list[Skew]:
    """Clocks of peers that are wrong for certain.

    A receipt's time must lie between our sealing and our settling. A heartbeat was written before it was read: only what is ahead is
    certain, for nobody knows how long it was on its way.
    """
    found: dict[str, float] = {}
    if newest is None:
        return []
    for beat in newest.heard:
        ahead = _seconds(beat.received_at, beat.clock)
        if ahead > SKEW_S:
            found[beat.peer] = ahead
    for one in newest.answers:
        if one.recipient in found:
            continue
        ahead, behind = _seconds(one.settled_at, one.clock), _seconds(one.sealed_at, one.clock)
        found[one.recipient] = ahead if ahead > SKEW_S else behind if behind < -SKEW_S else 0.0
    return [Skew(peer, seconds) for peer, seconds in found.items() if seconds]


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _file_times(root: Path) -> Iterator[tuple[str, datetime]]:
    for folder in (root, *(root / "inbox").glob("*"), *(root / "outbox").glob("*")):
        if folder.name == PARTIAL:
            continue
        try:
            with os.scandir(folder) as entries:
                newest = max(
                    (entry.stat(follow_symlinks=False).st_mtime for entry in entries),
                    default=None,
                )
        except OSError:
            continue
        if newest is not None:
            yield (
                _("the newest file in {folder}").format(folder=folder),
                datetime.fromtimestamp(newest).astimezone(),
            )


def _span(seconds: float) -> str:
    for least, unit, name in ((172_800, 86_400, _("days")), (5_400, 3_600, "h"), (90, 60, "min")):
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
