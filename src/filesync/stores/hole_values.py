"""What the store is told and answers about missing numbers and numbers that were given up: typed records. No SQL, no IO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.protocol.identity import BatchName, Feed
    from filesync.protocol.receipt import Verdict


@dataclass(frozen=True, slots=True)
class HoleRecord:
    """Numbers `first` to `last` of a feed and epoch that are missing here. `asked_at`: since when its origin is asked for them."""

    feed: Feed
    epoch: str
    first: int
    last: int
    noticed_at: str
    asked_at: str | None = None

    @property
    def count(self) -> int:
        """How many numbers."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class VoidRecord:
    """A number that was given up. `override`: here, by a person; otherwise by its origin.

    `name`, `manifest_sha256`, `rows` and `totals` (as its manifest claims) are None where they are not known.
    """

    feed: Feed
    epoch: str
    seq: int
    name: str | None
    manifest_sha256: str | None
    rows: Mapping[str, int] | None
    totals: Mapping[str, Any] | None
    reason: str
    by: str
    at: str
    override: bool


@dataclass(frozen=True, slots=True)
class NewVoid:
    """A number to give up. `void` is the origin's word, canonical; None for an override. `claims`: canonical JSON of rows and totals."""

    feed: Feed
    epoch: str
    seq: int
    reason: str
    by: str
    at: str
    name: str | None = None
    manifest_sha256: str | None = None
    claims: str | None = None
    void: str | None = None


@dataclass(frozen=True, slots=True)
class UntoldVoid:
    """A void of our own that a recipient has not answered. `void` is its signed part, word for word."""

    name: str
    recipient: str
    void: str
    shipped_at: str | None
    at: str


@dataclass(frozen=True, slots=True)
class AheadVoid:
    """A number that was given up here while numbers before it are still open."""

    feed: Feed
    epoch: str
    seq: int
    manifest_sha256: str | None


@dataclass(frozen=True, slots=True)
class DecidedNumber:
    """The batch on which a number was decided here. `claims` (canonical JSON) is known where not all of it was applied."""

    name: str
    verdict: Verdict
    manifest_sha256: str
    claims: str | None


@dataclass(frozen=True, slots=True)
class SentNumber:
    """A number of an own feed with its recipients: their verdicts, None where they have not answered, and when it was shipped last."""

    seq: int
    batch_id: int
    name: BatchName
    manifest: str
    manifest_sha256: str
    verdicts: Mapping[str, Verdict | None]
    shipped_at: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A batch of ours whose number was given up, and whose rows are owed. `last`: nothing was sealed after it in its feed."""

    batch_id: int
    name: BatchName
    manifest: str
    last: bool
