"""What the store is told and answers about a movement day: batches of it, steps done, overrides, the day's journal. No SQL, no IO."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.protocol.identity import Feed
    from filesync.protocol.receipt import Verdict

Totals = dict[str, Any]  # as in a manifest: a sum, or sums per value


@dataclass(frozen=True, slots=True)
class DayBatch:
    """A batch of a day that was decided here. `rows` and `totals` are as applied, `claimed_*` as its manifest said."""

    name: str
    feed: Feed
    epoch: str
    seq: int
    batch_id: int
    verdict: Verdict
    manifest_sha256: str
    payload_sha256: str
    receipt_sha256: str
    rows: Mapping[str, int]
    totals: Totals
    claimed_rows: Mapping[str, int]
    claimed_totals: Totals
    replaces: str | None
    documents: int
    applied_at: str
    problem: str | None = None  # the first, of one that was not applied whole
    problem_code: str | None = None


@dataclass(frozen=True, slots=True)
class FeedHead:
    """How far a feed and epoch is decided here. `age` grows in the order in which the ledger first saw them."""

    feed: Feed
    epoch: str
    seq: int
    age: int
    first_day: date | None = (
        None  # the business dates of the first and the last batch decided; None where the ledger holds none of them
    )
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class DoneMark:
    """A step that was done for a day."""

    step: str
    day: date
    by: str
    at: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody takes the responsibility: the step may run for the day, whatever is missing (at `site`, or at all)."""

    id: int
    step: str
    day: date
    site: str | None
    reason: str
    by: str
    confirmed_by: str | None
    at: str
    until: str
    revoked_at: str | None = None
    revoked_by: str | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it still holds."""
        return self.revoked_at is None and now < datetime.fromisoformat(self.until)

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it, and evidence."""
        return {
            "id": self.id,
            "step": self.step,
            "day": self.day.isoformat(),
            "site": self.site,
            "reason": self.reason,
            "by": self.by,
            "confirmed_by": self.confirmed_by,
            "at": self.at,
            "until": self.until,
            "revoked_at": self.revoked_at,
            "revoked_by": self.revoked_by,
        }


@dataclass(frozen=True, slots=True)
class DayEvent:
    """An entry of the day's journal: what happened, who, and with which detail."""

    at: str
    day: date
    what: str
    who: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeardOf:
    """The newest heartbeat of one installation of a peer, as it was signed."""

    peer: str
    epoch: str
    signed: dict[str, Any]
    received_at: str
    knew: int  # the newest feed (as `FeedHead.age`) that the ledger knew then


@dataclass(frozen=True, slots=True)
class DaySeen:
    """What the routine's last judgement of a day depended on, and what it came to: step → evidence file, or None where closed."""

    seen: str
    gates: Mapping[str, str | None]
    settled: bool
    numbers: bool = False  # it waits for numbers, which batches of other days may bring
