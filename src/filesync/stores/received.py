"""The ledger of what arrives: numbers decided here, claims refused, and the receipts that answer both.

- A number is decided once; the head of a feed moves forward only.
- Receipts are handed out exactly as they were recorded.

Writing functions expect an open transaction (store.py). What is not here: deciding anything (protocol/admission.py).
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from filesync.protocol.admission import Known, Standing
from filesync.protocol.identity import Feed, Mode
from filesync.protocol.receipt import Verdict
from filesync.stores.database import QUERIES, columns
from filesync.stores.values import IncomingBatch, IncomingRecord, RefusedRecord, StoredReceipt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from filesync.stores.database import Database

FeedEpoch = tuple[Feed, str]

_INCOMING: Final = (
    "batch_id", "feed_id", "seq", "name", "business_date", "version", "mode", "manifest_sha256", "payload_sha256", "verdict", "receipt",
    "received_at", "applied_at", "acknowledged", "documents", "replaces", "claims",
)  # fmt: skip


def standings(db: Database, site: str, origins: Collection[str] | None = None) -> dict[FeedEpoch, Standing]:
    """The head of every feed that comes here, or of those from these sites."""
    rows = (
        db.select(QUERIES["standings"], (site,))
        if origins is None
        else db.select(QUERIES["standings_of"], (site, json.dumps(list(origins))))
    )
    return {
        (Feed(origin, dataset, audience), epoch): Standing(seq, sha256)
        for origin, dataset, audience, epoch, seq, sha256 in rows
    }


def known(db: Database, feed: Feed, epoch: str, seqs: Collection[int]) -> dict[int, Known]:
    """Those of these numbers that were decided or given up, with the manifest that each was decided on."""
    asked = (feed.origin, feed.dataset, feed.audience, epoch, json.dumps(sorted(seqs)))
    given_up = {seq: Known(sha256, voided=True) for seq, sha256 in db.select(QUERIES["voids_known"], asked)}
    decided = {
        # A number that was decided and then given up keeps its answer; nothing of it is owed any more.
        seq: Known(sha256, owed=bool(owed) and seq not in given_up)
        for seq, sha256, owed in db.select(QUERIES["known"], asked)
    }
    return given_up | decided


def receipt_of(db: Database, name: str) -> StoredReceipt | None:
    """The answer to a batch of this name: decided, or refused if no batch of this name was decided."""
    rows = db.select(QUERIES["receipt_decided"], (name,)) or db.select(QUERIES["receipt_refused"], (name,))
    return _stored(rows[0]) if rows else None


def unacknowledged(db: Database) -> list[StoredReceipt]:
    """Answers that no outbox has had yet; claims refused without an answer are not among them."""
    rows = db.select(QUERIES["unacknowledged_decided"]) + db.select(QUERIES["unacknowledged_refused"])
    return [_stored(row) for row in rows]


def mark_acknowledged(db: Database, names: Collection[str]) -> None:
    """The answers to these batches lie in an outbox."""
    asked = json.dumps(list(names))
    db.run(QUERIES["acknowledge_decided"], (asked,))
    db.run(QUERIES["acknowledge_refused"], (asked,))


def refused(db: Database, manifest_sha256s: Collection[str]) -> dict[str, StoredReceipt]:
    """Those of these claims that were refused before."""
    found = [_stored(row) for row in db.select(QUERIES["refused"], (json.dumps(list(manifest_sha256s)),))]
    return {stored.manifest_sha256: stored for stored in found}


def answered(db: Database, names: Iterable[str]) -> set[str]:
    """Those of these batches that were decided or refused here."""
    return {name for (name,) in db.select(QUERIES["answered"], (json.dumps(list(names)),))}


def incoming_batch(db: Database, name: str) -> IncomingBatch | None:
    """Everything known of a batch that was decided here."""
    for row in db.select(QUERIES["incoming_batch"], (name,)):
        (
            name_,
            batch_id,
            version,
            mode,
            manifest,
            payload,
            verdict,
            receipt,
            received_at,
            applied_at,
            acknowledged,
            documents,
        ) = row
        return IncomingBatch(
            name_, batch_id, version, Mode(mode), manifest, payload, Verdict(verdict), receipt, received_at, applied_at,
            bool(acknowledged), documents,
        )  # fmt: skip
    return None


def decided_after(db: Database, batch_id: int) -> list[tuple[str, Verdict, int]]:
    """Name, verdict and documents of every batch that was decided after this one, in that order."""
    return [
        (name, Verdict(verdict), documents)
        for name, verdict, documents in db.select(QUERIES["decided_after"], (batch_id,))
    ]


def record_incoming(db: Database, records: Sequence[IncomingRecord]) -> None:
    """Decide these numbers. One bulk insert, however many: a statement for each would be most of the cost of a small batch."""
    if not records:
        return
    heads: dict[FeedEpoch, tuple[int, int, str]] = {}  # batches, last number, its manifest
    for record in records:
        key = (record.batch.id.feed, record.batch.id.epoch)
        count, seq, sha256 = heads.get(key, (0, 0, ""))
        head = (record.batch.id.seq, record.manifest_sha256)
        heads[key] = (count + 1, *max(head, (seq, sha256)))
    ids = open_feeds(db, heads)
    rows = [
        (
            r.batch_id, ids[r.batch.id.feed, r.batch.id.epoch], r.batch.id.seq, r.batch.stem, r.batch.business_date.isoformat(),
            r.version, r.mode.value, r.manifest_sha256, r.payload_sha256, r.verdict.value, r.receipt, r.received_at, r.applied_at, 0,
            r.documents, r.replaces or "", r.claims or "",
        )
        for r in records
    ]  # fmt: skip
    db.run_each(QUERIES["advance_feed"], [(ids[key], *head) for key, head in heads.items()])
    # From here to the commit decisions of nobody else become visible: so what anybody sees later is newer, whoever began first.
    db.lock("decisions")
    db.ingest("fs_incoming", columns(_INCOMING, rows))


def record_refused(db: Database, records: Sequence[RefusedRecord]) -> None:
    """Remember claims that were refused, so that the same one gets the same answer."""
    rows = [
        (r.manifest_sha256, r.name, r.origin, r.code, r.message, r.receipt, r.refused_at) for r in records
    ]
    db.run_each(QUERIES["record_refused"], rows)


def forget_refused(db: Database, names: Collection[str]) -> None:
    """Let claims of these names be judged afresh."""
    db.run(QUERIES["forget_refused"], (json.dumps(list(names)),))


def open_feeds(db: Database, feeds: Iterable[FeedEpoch]) -> dict[FeedEpoch, int]:
    """The ledger's numbers of these feeds, given out where they are new."""
    wanted = list(dict.fromkeys(feeds))
    found = _feed_ids(db, wanted)
    if new := [key for key in wanted if key not in found]:
        db.run(QUERIES["open_feeds"], (_as_json(new),))
        found |= _feed_ids(db, new)
    return found


def feed_id(db: Database, feed: Feed, epoch: str) -> int | None:
    """The ledger's number of a feed; None where nothing of it was ever decided."""
    return _feed_ids(db, [(feed, epoch)]).get((feed, epoch))


def take_feeds(db: Database, feeds: Iterable[FeedEpoch]) -> dict[FeedEpoch, Standing]:
    """The heads of these feeds. Until the transaction ends nobody else decides a number of them, in whatever epoch."""
    wanted = list(dict.fromkeys(feeds))
    open_feeds(db, wanted)  # what is to be held must be there
    return {
        (Feed(origin, dataset, audience), epoch): Standing(seq, sha256)
        for origin, dataset, audience, epoch, seq, sha256 in db.select(QUERIES["take_feeds"], (_as_json(wanted),))
        if seq
    }  # fmt: skip


def _feed_ids(db: Database, feeds: Sequence[FeedEpoch]) -> dict[FeedEpoch, int]:
    return {
        (Feed(origin, dataset, audience), epoch): feed_id
        for origin, dataset, audience, epoch, feed_id in db.select(QUERIES["feed_ids"], (_as_json(feeds),))
    }


def _as_json(feeds: Sequence[FeedEpoch]) -> str:
    return json.dumps([(feed.origin, feed.dataset, feed.audience, epoch) for feed, epoch in feeds])


def _stored(row: tuple[Any, ...]) -> StoredReceipt:
    name, origin, sha256, verdict, receipt, business_date, acknowledged, code = row
    day = None if business_date is None else date.fromisoformat(business_date)
    return StoredReceipt(name, origin, sha256, Verdict(verdict), receipt, day, bool(acknowledged), code)
