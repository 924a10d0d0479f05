"""What is said about a movement day: facts of one site, why a step is closed, what an opening relied on. Values only: no IO, no rule.

- A `Reason` is complete without its message: code, site, feed, numbers, what is known, since when, and the next command. Programs
  read the members, the command line phrases them; `message` and `action` are English for whoever has neither.
- Numbers of a feed are ranges (first, last), as short as a hole is long.
- Times are texts out of the ledger or of a heartbeat. They are shown; nothing is decided by one but the end of an override.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from filesync.stores.day_values import DayBatch, DayEvent, DoneMark, FeedHead, Override, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from filesync.protocol.identity import Feed, Role
    from filesync.stores.hole_values import HoleRecord, VoidRecord

__all__ = [
    "Closed", "Closing", "DayBatch", "DayEvent", "DayStanding", "Decision", "DoneMark", "Evidence", "FeedClaim", "FeedHead", "Held", "Known",
    "Mark", "Open", "Override", "Range", "Reason", "ReasonCode", "SiteDay", "SiteVerdict", "StepOutcome", "StepReport", "Totals",
     "WaitingBatch",
]  # fmt: skip
Range = tuple[int, int]  # the first and the last number


class Known(Enum):
    """What is known of something that is owed."""

    NOT_PRODUCED = "not-produced"  # nothing that came from the site says that it exists
    UNSENT = "unsent"  # sealed there by its own word, and not yet on its way
    IN_TRANSIT = "in-transit"  # on its way by the site's own word, or named by a close that came after it
    WAITING = "waiting"  # it lies in the inbox and cannot be applied yet
    REJECTED = "rejected"  # it came and was refused, as a whole or in part, and nothing has replaced it
    LATE = "late"  # applied, but the site's close does not name it
    DIFFERS = "differs"  # all is here, and what was applied is not what the close says
    VOIDED_UNKNOWN = "voided-unknown"  # given up without anybody knowing what it held


class ReasonCode(Enum):
    """Why a step is closed."""

    NOT_CLOSED = "not-closed"  # the site's fechamento is not applied
    MISSING = "missing"  # numbers that the close, or an earlier installation, names
    REFUSED = "refused"  # a batch of the day was rejected, or some of its rows were
    LATE = "late"  # a batch of the day that the close does not name
    DISAGREES = "disagrees"  # rows or totals differ from the close's
    UNDECIDED = "undecided"  # a batch of the day lies here and waits
    STEP_NOT_DONE = "step-not-done"  # an earlier step of the day
    NOBODY_DUE = "nobody-due"  # the roster knows no site for the day, and nothing came


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that keeps a step closed, with its next action.

    `site` None: the matter of this site (an earlier step). `at`: the site where `command` is to be typed. `since`: the earliest that the ledger
    knows of it; None where that is nothing.
    """

    code: ReasonCode
    site: str | None
    message: str
    action: str
    at: str | None = None
    command: str | None = None
    feed: str | None = None
    epoch: str | None = None
    seqs: tuple[Range, ...] = ()
    known: Known | None = None
    since: str | None = None
    last_contact: str | None = None
    # What the code's sentence needs besides: turno, step, relation, expected, got. No part of the hash: a dict has none.
    detail: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def count(self) -> int:
        """How many numbers are meant."""
        return sum(last - first + 1 for first, last in self.seqs)

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it."""
        return {
            "code": self.code.value,
            "site": self.site,
            "feed": self.feed,
            "epoch": self.epoch,
            "seqs": [list(numbers) for numbers in self.seqs],
            "known": None if self.known is None else self.known.value,
            "since": self.since,
            "last_contact": self.last_contact,
            "message": self.message,
            "action": self.action,
            "at": self.at,
            "command": self.command,
            **({"detail": dict(self.detail)} if self.detail else {}),
        }


# ------------------------------------------------------------------------------------------------ facts


@dataclass(frozen=True, slots=True)
class FeedClaim:
    """What a close says of one feed and epoch."""

    dataset: str
    audience: str
    epoch: str
    first: int
    last: int
    batches: int
    documents: int
    rows: Mapping[str, int]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Closing:
    """A fechamento that is applied here: a row of the dataset, as far as the gate reads it. `row` is all of it."""

    turno: int
    version: int
    closed_at: str
    no_sales: bool
    sales: int
    total_centavos: int
    counted_centavos: int
    difference_centavos: int
    feeds: tuple[FeedClaim, ...]
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a feed of one installation of the site is sealed, by its own word. `shipped` None: it does not say."""

    dataset: str
    audience: str
    epoch: str
    sealed: int
    shipped: int | None
    heard_at: str
    latest: bool = True  # of the site's latest installation
    knew: int = 0  # the newest feed (as `FeedHead.age`) that the ledger knew when it was heard


@dataclass(frozen=True, slots=True)
class WaitingBatch:
    """A batch of the day that lies in the inbox, undecided. `why`: a hole before it, its content not here, ready for the next import."""

    name: str
    feed: Feed
    epoch: str
    seq: int
    why: str


@dataclass(frozen=True, slots=True)
class Held:
    """The sales of a site and day that the store holds. Asked for only where a batch was applied in part."""

    sales: int
    total_centavos: int


@dataclass(frozen=True, slots=True)
class SiteDay:
    """One site's movement day as the ledger has it."""

    site: str
    day: date
    due: bool  # by the roster; a site that sent something of the day is judged like one that is due
    turnos: int = 1
    datasets: frozenset[str] = frozenset({"vendas"})  # what moves the day, the fechamento apart
    closings: tuple[Closing, ...] = ()
    batches: tuple[
        DayBatch, ...
    ] = ()  # of the day, all datasets of the movement and the fechamento, in apply order
    replaced: frozenset[str] = (
        frozenset()
    )  # names that a later batch replaces; that one is judged in its own right
    voids: tuple[VoidRecord, ...] = ()
    waiting: tuple[WaitingBatch, ...] = ()
    heads: tuple[FeedHead, ...] = ()
    marks: tuple[Mark, ...] = ()
    held: Held | None = None
    holes: tuple[HoleRecord, ...] = ()  # what was noticed as missing, and when
    last_contact: str | None = None
    role: Role | None = None
    here: str = "matriz"  # the site that judges
    pulled: bool = False  # this site fetches from there; it need not send
    noted: frozenset[str] = frozenset()  # datasets whose late batches do not reopen a day (`late: note`)


@dataclass(frozen=True, slots=True)
class DayStanding:
    """A day as the ledger has it: every site that is due or sent something, the steps done, the overrides ever made for it."""

    day: date
    sites: tuple[SiteDay, ...]
    done: Mapping[str, DoneMark] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()


# ------------------------------------------------------------------------------------------------ answers


@dataclass(frozen=True, slots=True)
class SiteVerdict:
    """What judging one site's day came to. `evidence` is what an opening writes down of it."""

    site: str
    complete: bool
    reasons: tuple[Reason, ...]
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an opening relied on, as the JSON object that is signed. The same standing makes the same object."""

    signed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Open:
    """The step may run."""

    step: str
    day: date
    evidence: Evidence
    overrides: tuple[Override, ...] = ()  # that it relies on


@dataclass(frozen=True, slots=True)
class Closed:
    """The step may not run."""

    step: str
    day: date
    reasons: tuple[Reason, ...]


Decision = Open | Closed


class StepOutcome(Enum):
    """What became of an automatic step."""

    RAN = "ran"  # it did its work, and is marked as done
    OPENED = "opened"  # its gate opened; there is nothing to run, or a person runs it
    NOTHING = "nothing"  # open, and there is nothing to do yet (no file)
    CLOSED = "closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step of a day came to. `code` is an error's where it failed."""

    step: str
    day: date
    outcome: StepOutcome
    message: str
    code: str | None = None
    evidence: str | None = None  # the file's name, where a gate opened
    reasons: tuple[Reason, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
