"""What a store is told and what it answers: typed records of the ledger. No SQL, no IO.

Texts that are kept word for word (`manifest`, `receipt`) are the canonical JSON of the signed part: what was promised is read back byte
for byte. Times are RFC 3339 texts made by the caller: a store has no clock, and orders nothing by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from filesync.errors import FilesyncError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from filesync.protocol.identity import BatchName, Feed, Format, Mode, Role
    from filesync.protocol.receipt import Verdict
    from filesync.stores.digests import Digests

#: Keys that a report names; the counts beside them are exact however many there are.
NAMED_KEYS_MAX: Final = 100

Key = tuple[str | int | None, ...]


def _no_rows() -> pa.Int64Array:
    return pa.array([], pa.int64())


class KeyExistsError(FilesyncError):
    """An append met a key that the table holds already, or that the batch holds twice. Go back to the savepoint, then merge."""

    def __init__(self, table: str, detail: str) -> None:
        super().__init__(
            "key-exists", f"{table}: expected only new keys, got one that is there already ({detail})"
        )
        self.table = table


class KeyRepeatedError(FilesyncError):
    """One statement met a key twice, and the database will not have that. Go back to the savepoint, and say which."""

    def __init__(self, detail: str) -> None:
        super().__init__("key-repeated", f"expected each key once in a statement, got one twice ({detail})")


class HeadMovedError(TransportError):
    """Another importer of this site has decided numbers of these feeds meanwhile. Nothing was done: judge again, at the latest in the next turn."""

    def __init__(self, feeds: Iterable[tuple[Feed, str]]) -> None:
        self.feeds = frozenset(feeds)
        named = ", ".join(sorted(str(feed) for feed, _ in self.feeds)[:3])
        super().__init__(
            "decided-elsewhere",
            f"{named}: another importer of this site was faster; what it decided is known at the next turn",
        )


@dataclass(frozen=True, slots=True)
class Site:
    """Whose store this is. A restored or reinstalled site starts a new epoch."""

    id: str
    role: Role
    epoch: str


# ------------------------------------------------------------------------------------------------ what arrives


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """A number that is decided here: applied, applied in part, or rejected. Written in the transaction that holds its rows."""

    batch_id: int  # from Tx.next_batch_id; the data rows carry it as fs_batch
    batch: BatchName
    version: int
    mode: Mode
    manifest_sha256: str
    payload_sha256: str
    verdict: Verdict
    receipt: str
    received_at: str
    applied_at: str
    documents: int
    replaces: str | None = None  # the rejected batch whose rows it carries
    claims: str | None = None  # canonical JSON of the rows and totals claimed, where not all was applied


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A claim that was refused without using its number: a fork, a broken chain, a sender who may not."""

    manifest_sha256: str
    name: str
    origin: str
    code: str
    message: str
    refused_at: str
    receipt: str | None = None  # None: nobody to answer, or nothing that may be said


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """The answer to one claim, as it stands in the ledger. `receipt` is None for a claim refused without an answer."""

    name: str
    origin: str
    manifest_sha256: str
    verdict: Verdict
    receipt: str | None
    business_date: date | None
    acknowledged: bool
    code: str | None = None  # why it was refused; None for a number that was decided


@dataclass(frozen=True, slots=True)
class RowOrder:
    """Where a batch stands, for the question whether its content of a key is later than the content held."""

    feed: Feed
    epoch: str


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What became of every document of a merged batch; the counts add up to the documents staged.

    `applied`: this batch's content stands now, whether its key was new or held. `unchanged`: another feed or epoch had brought the same.
    `superseded`: a higher version is held. `conflicts`: other content is held and nothing says which is later; the held row stands.
    `duplicates`: keys that the batch itself holds more than once; then nothing at all was applied.
    `left`: the movement days of other documents that this batch may have taken away, as (origem, day, documents).
    `*_rows` number the documents as they were staged, from 0; for a repeated key every document but its first.
    """

    applied: int = 0
    unchanged: int = 0
    superseded: int = 0
    superseded_rows: pa.Int64Array = field(default_factory=_no_rows)
    conflict_count: int = 0
    conflicts: tuple[Key, ...] = ()
    conflict_rows: pa.Int64Array = field(default_factory=_no_rows)
    duplicate_count: int = 0
    duplicates: tuple[Key, ...] = ()
    duplicate_rows: pa.Int64Array = field(default_factory=_no_rows)
    left: tuple[tuple[str, date, int], ...] = ()


# ------------------------------------------------------------------------------------------------ what was sealed here


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A batch sealed here. Recorded before its manifest is published: at the manifest the batch exists.

    `digests`: of every document in it, gathered as `Digests`, or a table with `key_digest` and `content_digest`; None remembers nothing.
    """

    name: BatchName
    mode: Mode
    format: Format
    recipients: tuple[str, ...]
    payload_bytes: int
    payload_sha256: str
    documents: int
    manifest: str
    manifest_sha256: str
    sealed_at: str
    replaces: str | None = None
    digests: Digests | pa.Table | None = None


@dataclass(frozen=True, slots=True)
class DaySealed:
    """A batch of a movement day that was sealed here, in any epoch, with the answers to it. `verdicts` is None for who has not answered."""

    batch_id: int
    name: str
    feed: Feed
    epoch: str
    seq: int
    format: Format
    payload_sha256: str
    documents: int
    manifest: str
    replaces: str | None
    verdicts: Mapping[str, Verdict | None]
    shipped: bool  # lies where every recipient finds it


@dataclass(frozen=True, slots=True)
class SealedAfterClose:
    """Batches of a closed day that were sealed after its close: the close does not name them."""

    day: date
    batches: int
    documents: int


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """A sealed batch that one recipient has not answered."""

    name: str
    batch_id: int
    recipient: str
    format: Format
    sealed_at: str
    shipped_at: str | None
    payload_bytes: int
    documents: int
    business_date: date
    carried_at: str | None = None


@dataclass(frozen=True, slots=True)
class SealedMark:
    """How far an own feed is sealed for one recipient in this epoch, and its first number that waits for an answer."""

    dataset: str
    audience: str
    sealed: int
    oldest_open: int | None
    shipped: int  # everything up to it has left for the recipient
    left_at: str | None = field(default=None, compare=False)  # when the last did that waits for an answer


@dataclass(frozen=True, slots=True)
class Told:
    """The last heartbeat that was written for a peer."""

    counter: int
    news_sha256: str
    written_at: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The newest heartbeat of a peer's latest installation, as it was signed."""

    signed: dict[str, Any]
    received_at: str


@dataclass(frozen=True, slots=True)
class OutgoingState:
    """Who has answered a batch sealed here. `settled`: every recipient has, whatever the verdict."""

    name: str
    manifest_sha256: str
    settled: bool
    recipients: Mapping[str, Verdict | None]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient's side of a batch sealed here."""

    recipient: str
    shipped_at: str | None
    verdict: Verdict | None
    receipt: str | None
    settled_at: str | None
    carried_at: str | None = None


@dataclass(frozen=True, slots=True)
class OutgoingBatch:
    """Everything the ledger knows of a batch sealed here."""

    name: str
    batch_id: int
    mode: Mode
    format: Format
    payload_bytes: int
    payload_sha256: str
    documents: int
    manifest: str
    manifest_sha256: str
    replaces: str | None
    sealed_at: str
    settled_at: str | None
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class IncomingBatch:
    """Everything the ledger knows of a batch that was decided here."""

    name: str
    batch_id: int
    version: int
    mode: Mode
    manifest_sha256: str
    payload_sha256: str
    verdict: Verdict
    receipt: str
    received_at: str
    applied_at: str
    acknowledged: bool
    documents: int


# ------------------------------------------------------------------------------------------------ overview and audit


class Direction(Enum):
    """Whether a feed is this site's own or comes to it."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class FeedSummary:
    """A feed and epoch at a glance. `sealed`: the last number used (out) or decided here (in).

    `settled`: batches that every recipient answered (out) or that were decided here (in). `applied_through`: the highest number with no
    unanswered one at or below it. `open`: batches that wait for an answer. `rejected`: batches that a recipient, or this site, rejected.
    """

    direction: Direction
    feed: Feed
    epoch: str
    sealed: int
    settled: int
    open: int
    rejected: int
    applied_through: int


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """A dropped file that was captured with these settings; the same content under the same settings is not read again."""

    path: str
    content_sha256: str
    settings_sha256: str
    outcome: str
    captured_at: str


@dataclass(frozen=True, slots=True)
class ProblemRecord:
    """One entry of the quarantine's audit: something was set aside, or, with a `resolution`, retried or discarded."""

    problem_id: int
    at: str
    name: str
    peer: str
    code: str
    message: str
    resolution: str | None
