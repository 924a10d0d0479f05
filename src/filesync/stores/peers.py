"""The ledger of heartbeats: what peers said of themselves, what they were told, and how far this site's feeds are for each of them.

Writing functions expect an open transaction (store.py). Nothing else in the ledger depends on these rows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from filesync.protocol.identity import Feed
from filesync.stores.database import QUERIES
from filesync.stores.values import Heard, SealedMark, Told

if TYPE_CHECKING:
    from filesync.stores.database import Database
    from filesync.stores.values import Site


def record_heard(
    db: Database, site: Site, peer: str, epoch: str, counter: int, heartbeat: str, at: str
) -> bool:
    """Remember a heartbeat, unless it, or a newer one of that installation, is known. Whether it says something new."""
    db.run(QUERIES["begin_anew"], (site.id, site.epoch, peer, epoch))
    db.run(QUERIES["heard_again"], (peer, epoch, counter))
    new = db.run(QUERIES["record_heard"], (peer, epoch, counter, heartbeat, at)) > 0
    db.run(QUERIES["forget_heard"], (peer,))
    return new


def heard(db: Database) -> dict[str, Heard]:
    """The newest heartbeat of each peer's latest installation."""
    return {peer: Heard(json.loads(text), at) for peer, text, at in db.select(QUERIES["heard"])}


def record_told(db: Database, recipient: str, counter: int, news_sha256: str, at: str) -> None:
    """Remember what a peer was told."""
    db.run(QUERIES["record_told"], (recipient, counter, news_sha256, at))


def told(db: Database) -> dict[str, Told]:
    """What each peer was told last."""
    return {recipient: Told(*rest) for recipient, *rest in db.select(QUERIES["told"])}


def marks_ahead(db: Database) -> list[tuple[Feed, str, int | None, int]]:
    """Feeds that peers say they have sealed further for us than is decided here. Costs the peers, not what they sent."""
    return [
        (Feed(peer, dataset, audience), epoch, oldest_open, sealed)
        for peer, dataset, audience, epoch, oldest_open, sealed in db.select(QUERIES["marks_ahead"])
    ]


def feed_marks(db: Database, site: Site) -> dict[str, list[SealedMark]]:
    """For each recipient how far the own feeds of this epoch are sealed. Costs the feeds and what is open, not the history.

    A feed whose newest batch is for others is named only while something of it waits for the recipient.
    """
    waits = {
        (recipient, dataset, audience): (first, last, unsent, left_at)
        for recipient, dataset, audience, first, last, unsent, left_at in db.select(
            QUERIES["open_for"], (site.epoch,)
        )
    }
    sealed = {key: last for key, (_, last, _, _) in waits.items()}
    for recipient, dataset, audience, seq in db.select(QUERIES["heads_for"], (site.id, site.epoch)):
        sealed[recipient, dataset, audience] = seq
    marks: dict[str, list[SealedMark]] = defaultdict(list)
    for key, seq in sorted(sealed.items()):
        recipient, dataset, audience = key
        first, _, unsent, left_at = waits.get(key, (None, seq, 0, None))
        marks[recipient].append(
            SealedMark(dataset, audience, seq, first, unsent - 1 if unsent else seq, left_at)
        )
    return dict(marks)
