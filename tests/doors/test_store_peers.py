"""The ledger of heartbeats and of what was carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from store_samples import AT, DAY, EPOCH, MATRIZ, name, outgoing

from filesync.protocol.identity import Feed, Mode
from filesync.protocol.receipt import Verdict
from filesync.stores.values import Heard, OutgoingBatch, SealedMark, Told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

GROUP = Feed("matriz", "produtos", "caixas")
ALONE = Feed("matriz", "clientes", "caixa-01")
LATER, LATEST = "2026-03-02T19:00:00-03:00", "2026-03-02T20:00:00-03:00"
NEXT_YEAR = "2027-03-02T20:00:00-03:00"


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def test_the_newest_of_the_latest_installation_is_heard(store: Store) -> None:
    assert store.heard() == {}
    store.record_heard("caixa-01", "aaaaaaaa", 7, '{"n":7}', AT)
    store.record_heard("caixa-01", "aaaaaaaa", 6, '{"n":6}', LATER)
    store.record_heard("caixa-01", "aaaaaaaa", 7, '{"n":7}', LATER)
    assert store.heard() == {"caixa-01": Heard({"n": 7}, AT)}, "neither older nor the same one again"
    store.record_heard("caixa-01", "aaaaaaaa", 7, '{"n":70}', LATER)
    assert store.heard()["caixa-01"] == Heard({"n": 70}, LATER), "the same counter after a crash"
    store.record_heard("caixa-01", "bbbbbbbb", 1, '{"n":1}', LATER)
    store.record_heard("caixa-01", "aaaaaaaa", 9, '{"n":9}', LATEST)
    store.record_heard("portal", "cccccccc", 3, '{"n":3}', AT)
    assert store.heard() == {"caixa-01": Heard({"n": 1}, LATER), "portal": Heard({"n": 3}, AT)}


def test_the_installation_that_goes_on_speaking_is_the_latest(store: Store) -> None:
    """The disk of a dead one is read: it speaks once, after the one that is at work. That day the clock here is a year ahead."""
    store.record_heard("caixa-01", "bbbbbbbb", 1, '{"n":1}', AT)
    store.record_heard("caixa-01", "aaaaaaaa", 9, '{"n":9}', NEXT_YEAR)
    store.record_heard("caixa-01", "bbbbbbbb", 2, '{"n":2}', LATEST)
    assert store.heard() == {"caixa-01": Heard({"n": 9}, NEXT_YEAR)}, "once is not enough to come back"
    store.record_heard("caixa-01", "bbbbbbbb", 2, '{"n":2}', LATEST)
    assert store.heard() == {"caixa-01": Heard({"n": 9}, NEXT_YEAR)}, "nor is the same word again"
    store.record_heard("caixa-01", "bbbbbbbb", 3, '{"n":3}', LATEST)
    assert store.heard() == {"caixa-01": Heard({"n": 3}, LATEST)}
    assert [heard.epoch for heard in store.days.heard()] == ["aaaaaaaa", "bbbbbbbb"]


def test_a_feed_goes_on_for_those_who_had_what_came_before(store: Store) -> None:
    """Another begins with a snapshot, whatever else it is sent in the meantime."""

    def seal(seq: int, *recipients: str, mode: Mode = Mode.DELTA) -> None:
        sealed = name(seq, feed=GROUP, epoch=MATRIZ.epoch)
        store.record_sealed([outgoing(sealed, recipients, mode=mode)])

    def beginners() -> tuple[str, ...]:
        return store.beginners("produtos", "caixas", ("caixa-01", "caixa-02"))

    assert beginners() == (), "nothing has begun"
    seal(1, "caixa-01", "caixa-02")
    assert beginners() == ()
    seal(2, "caixa-01")
    assert beginners() == ("caixa-02",)
    seal(3, "caixa-01", "caixa-02")
    seal(4, "caixa-01", "caixa-02")
    assert beginners() == ("caixa-02",), "a change is no beginning"
    seal(5, "caixa-01", "caixa-02", mode=Mode.SNAPSHOT)
    assert beginners() == ()
    store.record_heard("caixa-01", "aaaaaaaa", 1, "{}", AT)
    assert beginners() == (), "the first installation that is heard of is the one that was sent to"
    store.record_heard("caixa-01", "bbbbbbbb", 1, "{}", AT)
    store.record_heard("caixa-02", "cccccccc", 1, "{}", AT)
    assert beginners() == ("caixa-01",)
    seal(6, "caixa-01", "caixa-02")
    assert beginners() == ("caixa-01",)
    seal(7, "caixa-01", "caixa-02", mode=Mode.SNAPSHOT)
    store.record_heard("caixa-01", "bbbbbbbb", 2, "{}", AT)
    store.record_heard("caixa-01", "aaaaaaaa", 2, "{}", AT)
    assert beginners() == (), "nor does an old one make a new one of it"


def test_what_was_told_is_overwritten(store: Store) -> None:
    store.record_told("caixa-01", 1, "a" * 64, AT)
    store.record_told("caixa-01", 2, "b" * 64, LATER)
    store.record_told("portal", 1, "c" * 64, AT)
    assert store.told() == {"caixa-01": Told(2, "b" * 64, LATER), "portal": Told(1, "c" * 64, AT)}


def test_marks_are_for_each_recipient_and_this_installation(store: Store) -> None:
    assert store.feed_marks() == {}
    own = MATRIZ.epoch
    assert own != EPOCH
    first, second, third = (name(n, feed=GROUP, epoch=own) for n in (1, 2, 3))
    store.record_sealed(
        [
            outgoing(first, ("caixa-01", "caixa-02")), outgoing(second, ("caixa-01", "caixa-02")), outgoing(third, ("caixa-02",)),
            outgoing(name(1, feed=ALONE, epoch=own), ("caixa-01",)), outgoing(name(9, feed=ALONE, epoch=EPOCH), ("caixa-01",)),
        ]
    )  # fmt: skip
    assert store.feed_marks() == {
        "caixa-01": [SealedMark("clientes", "caixa-01", 1, 1, 0), SealedMark("produtos", "caixas", 2, 1, 0)],
        "caixa-02": [SealedMark("produtos", "caixas", 3, 1, 0)],
    }
    store.mark_shipped([(first.stem, "caixa-01"), (first.stem, "caixa-02"), (third.stem, "caixa-02")], AT)
    store.mark_carried([(second.stem, "caixa-01")], AT)
    assert store.feed_marks() == {
        "caixa-01": [SealedMark("clientes", "caixa-01", 1, 1, 0), SealedMark("produtos", "caixas", 2, 1, 2)],
        "caixa-02": [SealedMark("produtos", "caixas", 3, 1, 1)],
    }
    answers = [(batch.stem, "caixa-02", Verdict.APPLIED, "{}", LATER) for batch in (first, second, third)]
    store.settle([*answers, (first.stem, "caixa-01", Verdict.APPLIED, "{}", LATER)])
    assert store.feed_marks() == {
        "caixa-01": [SealedMark("clientes", "caixa-01", 1, 1, 0), SealedMark("produtos", "caixas", 2, 2, 2)],
        "caixa-02": [SealedMark("produtos", "caixas", 3, None, 3)],
    }


def test_carried_is_noted_beside_shipped(store: Store) -> None:
    batch = name(1, feed=GROUP, epoch=MATRIZ.epoch, day=DAY)
    store.record_sealed([outgoing(batch, ("caixa-01", "caixa-02"))])
    store.mark_carried([(batch.stem, "caixa-02")], LATER)
    assert [(d.recipient, d.shipped_at, d.carried_at) for d in store.outgoing_open()] == [
        ("caixa-01", None, None), ("caixa-02", None, LATER),
    ]  # fmt: skip
    found = store.batch(batch.stem)
    assert isinstance(found, OutgoingBatch)
    assert [d.carried_at for d in found.deliveries] == [None, LATER]
