"""Marks of what was purged, and which batches of a day are not settled on both sides; on both databases."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from store_samples import AT, DAY, EPOCH, FEED, MATRIZ, OTHER_EPOCH, incoming, name, outgoing

from filesync.protocol.identity import Feed
from filesync.protocol.receipt import Verdict
from filesync.stores.purging import Purged, PurgeMark, Unsettled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

LATER = "2027-03-02T19:00:00-03:00"
NEXT = DAY + timedelta(days=1)
OWN = Feed("matriz", "produtos", "caixas")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def test_a_purge_is_marked_before_and_after(store: Store) -> None:
    assert store.purges.marks(DAY) == []
    assert store.purges.archive_of(DAY) is None
    store.purges.begin(DAY, Purged.ARCHIVE, at=AT, by="Ana", files=7, bytes=99)
    begun = PurgeMark(DAY, Purged.ARCHIVE, AT, None, "Ana", 7, 99)
    assert store.purges.archive_of(DAY) == begun
    assert begun.at == AT
    store.purges.begin(DAY, Purged.ARCHIVE, at=LATER, by="Rui", files=3, bytes=5)
    assert store.purges.marks(DAY) == [begun], "one that was cut short goes on under its first mark"
    store.purges.finish(DAY, Purged.ARCHIVE, LATER)
    store.purges.finish(DAY, Purged.ARCHIVE, "2999-01-01T00:00:00-03:00")
    done = PurgeMark(DAY, Purged.ARCHIVE, AT, LATER, "Ana", 7, 99)
    assert store.purges.marks(DAY) == [done]
    assert done.at == LATER
    store.purges.begin(DAY, Purged.ARCHIVE, at=LATER, by="Rui", files=1, bytes=1)
    store.purges.begin(DAY, Purged.EVIDENCE, at=LATER, by="Rui", files=2, bytes=2)
    store.purges.begin(NEXT, Purged.DISCARDED, at=LATER, by="Rui", files=3, bytes=3)
    assert [mark.files for mark in store.purges.marks(DAY)] == [7, 1, 2]
    assert [mark.files for mark in store.purges.marks(DAY, NEXT)] == [7, 1, 2, 3]
    last = store.purges.archive_of(DAY)
    assert last is not None
    assert last.files == 1
    assert store.purges.archive_of(NEXT) is None, "what was discarded on a day is not its archive"


def test_what_was_sealed_here_is_settled_when_everybody_answered_and_nothing_is_owed(store: Store) -> None:
    first, second, third = (name(n, feed=OWN, epoch=MATRIZ.epoch) for n in (1, 2, 3))
    store.record_sealed([outgoing(first, ["a", "b"]), outgoing(second, ["a"])])
    assert store.purges.unsettled(DAY) == Unsettled(unanswered=(first.stem, second.stem))
    assert store.purges.unsettled(NEXT) == Unsettled()
    store.settle(
        [(first.stem, "a", Verdict.APPLIED, "{}", AT), (second.stem, "a", Verdict.PARTIAL, "{}", AT)]
    )
    assert store.purges.unsettled(DAY) == Unsettled(unanswered=(first.stem,))
    store.settle([(first.stem, "b", Verdict.REJECTED, "{}", AT)])
    assert store.purges.unsettled(DAY) == Unsettled(owed=(first.stem,))
    store.record_sealed([outgoing(third, ["b"], replaces=first.stem)])
    assert store.purges.unsettled(DAY) == Unsettled(unanswered=(third.stem,))
    store.settle([(third.stem, "b", Verdict.APPLIED, "{}", AT)])
    assert store.purges.unsettled(DAY) == Unsettled()


def test_what_was_given_up_is_owed_until_it_was_sealed_again(store: Store) -> None:
    first = name(1, feed=OWN, epoch=MATRIZ.epoch)
    store.record_sealed([outgoing(first, ["a"])])
    store.settle([(first.stem, "a", Verdict.REJECTED, '{"v":1}', AT)])
    store.holes.refused_as_voided([(first.stem, "a", '{"v":1}')])
    assert store.purges.unsettled(DAY) == Unsettled(owed=(first.stem,))
    store.holes.sealed_again(store.holes.given_up()[0].batch_id)
    assert store.purges.unsettled(DAY) == Unsettled()


def test_what_was_decided_here_is_settled_when_its_origin_knows(store: Store) -> None:
    with store.transaction() as tx:
        tx.record_incoming([incoming(n, name(n)) for n in (1, 2, 3)])
        tx.record_incoming([incoming(4, name(1, epoch=OTHER_EPOCH)), incoming(5, name(4, day=NEXT))])
    stems = [name(n).stem for n in (1, 2, 3)] + [name(1, epoch=OTHER_EPOCH).stem]
    assert store.purges.unsettled(DAY) == Unsettled(unacknowledged=tuple(stems))
    store.mark_acknowledged([*stems, name(4, day=NEXT).stem])
    assert store.purges.unsettled(DAY) == Unsettled(), (
        "of whom nothing was ever heard, the receipt has left for"
    )

    def hears(epoch: str, counter: int, oldest_open: int | None) -> None:
        mark = {"dataset": FEED.dataset, "audience": FEED.audience, "sealed": 4, "oldest_open": oldest_open}
        other = {"dataset": "others", "audience": "matriz", "sealed": 9, "oldest_open": 1}
        store.record_heard(FEED.origin, epoch, counter, json.dumps({"feeds": [other, mark]}), AT)

    hears(EPOCH, 1, 2)
    assert store.purges.unsettled(DAY) == Unsettled(unheard=(stems[1], stems[2]))
    assert store.purges.unsettled(NEXT) == Unsettled(unheard=(name(4, day=NEXT).stem,))
    hears(OTHER_EPOCH, 1, 1)
    assert store.purges.unsettled(DAY) == Unsettled(unheard=(stems[1], stems[2], stems[3]))
    hears(EPOCH, 2, None)
    hears(OTHER_EPOCH, 2, None)
    assert store.purges.unsettled(DAY) == Unsettled()


def test_marks_ahead_of_what_is_decided_are_told_for_every_installation(store: Store) -> None:
    """What a turn asks instead of reading every heartbeat (stores/peers.py)."""
    with store.transaction() as tx:
        tx.record_incoming([incoming(n, name(n)) for n in (1, 2)])

    def hears(peer: str, epoch: str, sealed: int, oldest_open: int | None) -> None:
        mark = {
            "dataset": FEED.dataset,
            "audience": FEED.audience,
            "sealed": sealed,
            "oldest_open": oldest_open,
        }
        store.record_heard(peer, epoch, 1, json.dumps({"feeds": [mark]}), AT)

    hears(FEED.origin, OTHER_EPOCH, 3, None)
    hears(FEED.origin, EPOCH, 2, 2)
    other = Feed("caixa-02", FEED.dataset, FEED.audience)
    hears("caixa-02", EPOCH, 7, 5)
    store.record_heard("caixa-03", EPOCH, 1, '{"n": 1}', AT)
    assert store.marks_ahead() == [(FEED, OTHER_EPOCH, None, 3), (other, EPOCH, 5, 7)]
    assert set(store.standings(["caixa-01", "nobody"])) == {(FEED, EPOCH)}
    assert store.standings(["caixa-02"]) == {}


def test_one_recipients_answers_are_asked_for_alone(store: Store) -> None:
    batch = name(1, feed=OWN, epoch=MATRIZ.epoch)
    store.record_sealed([outgoing(batch, ["a", "b"])])
    store.settle([(batch.stem, "a", Verdict.APPLIED, "{}", AT)])
    assert store.outgoing_state([batch.stem], "a")[batch.stem].recipients == {"a": Verdict.APPLIED}
    assert store.outgoing_state([batch.stem, "unknown"], "b")[batch.stem].recipients == {"b": None}
    assert store.outgoing_state([batch.stem], "c") == {}


def test_the_newest_batch_of_each_day_is_found(store: Store) -> None:
    with store.transaction() as tx:
        tx.record_incoming([incoming(1, name(1)), incoming(2, name(2, day=NEXT)), incoming(3, name(3))])
    found = store.days.newest_of([DAY, NEXT, NEXT + timedelta(days=1)])
    assert found[DAY] > found[NEXT] > found[NEXT + timedelta(days=1)] == 0
