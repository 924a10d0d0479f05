"""The ledger of what was sealed here: batches, their deliveries, and the answers that settle them.

- A number is issued once: batch, deliveries, head and memory are recorded together, before the manifest is published.
- The first answer of a recipient stands. Settling is idempotent: what a crash left half-told is told again.

Writing functions expect an open transaction (store.py). What is not here: files, and whether an answer fits (exchange/settling.py).
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Final

from filesync.protocol.admission import Standing
from filesync.protocol.identity import Feed, Format, Mode
from filesync.protocol.receipt import Verdict
from filesync.stores import memory
from filesync.stores.database import QUERIES, columns
from filesync.stores.digests import Digests
from filesync.stores.received import open_feeds
from filesync.stores.values import (
    Delivery,
    Direction,
    FeedSummary,
    OpenDelivery,
    OutgoingBatch,
    OutgoingRecord,
    OutgoingState,
    Site,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from filesync.stores.database import Database

#: A batch's name, its recipient, the verdict, the receipt word for word, and when it was settled.
Answer = tuple[str, str, Verdict, str, str]

_OUTGOING: Final = (
    "batch_id", "feed_id", "seq", "name", "business_date", "mode", "format", "payload_bytes", "payload_sha256", "documents", "manifest",
    "manifest_sha256", "replaces", "sealed_at",
)  # fmt: skip


def head(db: Database, site: Site, dataset: str, audience: str) -> Standing | None:
    """The last number issued in an own feed, in this epoch."""
    rows = db.select(QUERIES["head"], (site.id, dataset, audience, site.epoch))
    return Standing(*rows[0]) if rows else None


def last_sealed(db: Database, site: Site, dataset: str, audience: str) -> tuple[Mode, frozenset[str]] | None:
    """The mode of the newest batch of an own feed, in this epoch, and its recipients but those who rejected it."""
    rows = db.select(QUERIES["last_sealed"], (site.id, dataset, audience, site.epoch))
    if not rows:
        return None
    return Mode(rows[0][0]), frozenset(recipient for _, recipient in rows if recipient is not None)


def beginners(db: Database, site: Site, dataset: str, audience: str, sites: Sequence[str]) -> tuple[str, ...]:
    """Those of `sites` that an own feed cannot simply go on for: it had begun without them, passed them over, or they were installed anew."""
    asked = (site.id, dataset, audience, site.epoch, json.dumps(list(sites)))
    return tuple(sorted(recipient for (recipient,) in db.select(QUERIES["beginners"], asked)))


def record_sealed(db: Database, records: Sequence[OutgoingRecord], *, forget_others: bool) -> None:
    """Use these numbers. With `forget_others` only what these batches hold is remembered of their datasets and audiences."""
    db.lock(
        "sealing"
    )  # one after another: their numbers follow each other, and their memory is read and written
    first = db.select(QUERIES["last_outgoing_id"])[0][0] + 1
    ids = open_feeds(db, {(r.name.id.feed, r.name.id.epoch) for r in records})
    batches, deliveries, heads = [], [], []
    for batch_id, record in enumerate(records, first):
        batch = record.name.id
        feed_id = ids[batch.feed, batch.epoch]
        batches.append((
            batch_id, feed_id, batch.seq, record.name.stem, record.name.business_date.isoformat(), record.mode.value, record.format.value,
            record.payload_bytes, record.payload_sha256, record.documents, record.manifest, record.manifest_sha256, record.replaces,
            record.sealed_at,
        ))  # fmt: skip
        deliveries += [(batch_id, recipient) for recipient in record.recipients]
        heads.append((feed_id, 1, batch.seq, record.manifest_sha256))
    if batches:
        db.ingest("fs_outgoing", columns(_OUTGOING, batches))
        db.ingest("fs_delivery", columns(("batch_id", "recipient"), deliveries))
        db.run_each(QUERIES["advance_feed"], heads)
    _begin(db, records, first, ids)
    remembered: dict[tuple[str, str], list[tuple[Digests, int]]] = defaultdict(list)
    for batch_id, record in enumerate(records, first):
        feed = record.name.id.feed
        if record.digests is not None:
            digests = record.digests if isinstance(record.digests, Digests) else Digests.of(record.digests)
            remembered[feed.dataset, feed.audience].append((digests, batch_id))
        elif forget_others:
            remembered[feed.dataset, feed.audience] += []
    for (dataset, audience), sealed in remembered.items():
        if forget_others:
            memory.forget(db, dataset, audience)
        memory.remember(db, dataset, audience, sealed)


def _begin(
    db: Database, records: Sequence[OutgoingRecord], first: int, ids: Mapping[tuple[Feed, str], int]
) -> None:
    """Note who begins with these batches, and who cannot. Those of one call that are for the same sites are looked at once."""
    recipients: dict[int, tuple[str, ...]] = {}
    for batch_id, record in enumerate(records, first):
        batch = record.name.id
        feed_id = ids[batch.feed, batch.epoch]
        if batch.seq == 1 or record.mode is Mode.SNAPSHOT:
            db.run(QUERIES["begun"], (feed_id, batch_id))
        elif recipients.get(feed_id) != record.recipients:
            db.run(QUERIES["not_begun"], (batch_id,))
        recipients[feed_id] = record.recipients


def outgoing_open(db: Database) -> list[OpenDelivery]:
    """Deliveries without an answer. Its cost is what is open, not what is history."""
    days: dict[str, date] = {}
    return [
        OpenDelivery(
            name, batch_id, recipient, Format(kind), sealed_at, shipped_at, size, documents,
            days.get(day) or days.setdefault(day, date.fromisoformat(day)), carried_at,
        )
        for name, batch_id, recipient, kind, sealed_at, shipped_at, size, documents, day, carried_at in db.select(QUERIES["outgoing_open"])
    ]  # fmt: skip


def manifests(db: Database, names: Iterable[str]) -> dict[str, str]:
    """The manifests of these batches, word for word."""
    return dict(db.select(QUERIES["manifests_of"], (json.dumps(list(names)),)))


def outgoing_state(
    db: Database, names: Iterable[str], recipient: str | None = None
) -> dict[str, OutgoingState]:
    """Who has answered these batches, or whether `recipient` has; a name that was not sealed here (for it) is not in the answer."""
    recipients: dict[str, dict[str, Verdict | None]] = {}
    found: dict[str, OutgoingState] = {}
    asked = json.dumps(list(names))
    rows = (
        db.select(QUERIES["outgoing_state"], (asked,))
        if recipient is None
        else db.select(QUERIES["outgoing_state_of"], (asked, recipient))
    )
    for name, sha256, settled, by, verdict in rows:
        verdicts = recipients.setdefault(name, {})
        verdicts[by] = None if verdict is None else Verdict(verdict)
        found[name] = OutgoingState(name, sha256, bool(settled), verdicts)
    return found


def mark_shipped(db: Database, pairs: Iterable[tuple[str, str]], at: str) -> None:
    """These (batch, recipient) pairs were put where the recipient finds them."""
    db.run_each(QUERIES["mark_shipped"], [(at, name, recipient) for name, recipient in pairs])


def mark_carried(db: Database, pairs: Iterable[tuple[str, str]], at: str) -> None:
    """These (batch, recipient) pairs were put on a stick."""
    db.run_each(QUERIES["mark_carried"], [(at, name, recipient) for name, recipient in pairs])


def settle(db: Database, answers: Sequence[Answer]) -> list[str]:
    """Record answers; the names among them that every recipient has answered now, or had before."""
    if not answers:
        return []
    db.run_each(
        QUERIES["settle"],
        [(verdict.value, text, at, name, recipient) for name, recipient, verdict, text, at in answers],
    )
    asked = json.dumps(sorted({name for name, *_ in answers}))
    db.run(QUERIES["close_settled"], (max(at for *_, at in answers), asked))
    return [name for (name,) in db.select(QUERIES["settled_names"], (asked,))]


def outgoing_batch(db: Database, name: str) -> OutgoingBatch | None:
    """Everything known of a batch sealed here."""
    for row in db.select(QUERIES["outgoing_batch"], (name,)):
        (
            name_,
            batch_id,
            mode,
            kind,
            size,
            payload,
            documents,
            manifest,
            sha256,
            replaces,
            sealed_at,
            settled_at,
        ) = row
        deliveries = tuple(
            Delivery(
                recipient,
                shipped_at,
                None if verdict is None else Verdict(verdict),
                receipt,
                answered_at,
                carried_at,
            )
            for recipient, shipped_at, verdict, receipt, answered_at, carried_at in db.select(
                QUERIES["deliveries"], (batch_id,)
            )
        )
        return OutgoingBatch(
            name_, batch_id, Mode(mode), Format(kind), size, payload, documents, manifest, sha256, replaces, sealed_at, settled_at,
            deliveries,
        )  # fmt: skip
    return None


def feeds(db: Database, site: str) -> list[FeedSummary]:
    """Every feed and epoch at a glance. Costs the number of feeds and what is open or was rejected, not the history."""
    waiting = {feed_id: (count, first) for feed_id, count, first in db.select(QUERIES["feeds_open"])}
    rejected = dict(db.select(QUERIES["feeds_rejected_out"])) | dict(db.select(QUERIES["feeds_rejected_in"]))
    summaries = []
    for feed_id, origin, dataset, audience, epoch, seq, batches in db.select(QUERIES["feeds"]):
        count, first = waiting.get(feed_id, (0, seq + 1))
        summaries.append(
            FeedSummary(
                Direction.OUT if origin == site else Direction.IN, Feed(origin, dataset, audience), epoch, sealed=seq,
                settled=batches - count, open=count, rejected=rejected.get(feed_id, 0), applied_through=first - 1,
            )
        )  # fmt: skip
    return summaries
