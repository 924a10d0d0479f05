"""The ledger of what is missing and of what was given up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from store_samples import AT, EPOCH, FEED, MATRIZ, incoming, name, outgoing

from filesync.protocol.admission import Known, Standing
from filesync.protocol.identity import Feed
from filesync.protocol.receipt import Verdict
from filesync.stores.hole_values import AheadVoid, HoleRecord, NewVoid, UntoldVoid, VoidRecord
from filesync.stores.values import OutgoingBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

OWN = Feed("matriz", "produtos", "caixas")
LATER = "2026-03-03T09:00:00-03:00"
CLAIMS = '{"rows":{"sales":2},"totals":{"valor":10}}'


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def new(seq: int, **changes: Any) -> NewVoid:
    values: dict[str, Any] = {
        "feed": FEED,
        "epoch": EPOCH,
        "seq": seq,
        "reason": "x",
        "by": "Ana",
        "at": AT,
        **changes,
    }
    return NewVoid(**values)


def decide(store: Store, *seqs: int, **changes: Any) -> None:
    with store.transaction() as tx:
        tx.record_incoming([incoming(tx.next_batch_id(), name(seq), **changes) for seq in seqs])


def test_what_is_missing_is_replaced_as_a_whole(store: Store) -> None:
    holes = [
        HoleRecord(FEED, EPOCH, 2, 3, AT),
        HoleRecord(FEED, EPOCH, 5, 5, AT, LATER),
        HoleRecord(OWN, EPOCH, 1, 9, AT),
    ]
    store.holes.replace(holes)
    assert store.holes.open() == sorted(holes, key=lambda hole: (hole.feed.origin, hole.first))
    assert [hole.count for hole in store.holes.open()] == [2, 1, 9]
    store.holes.replace([])
    assert store.holes.open() == []


def test_a_void_moves_the_head_on_over_its_number(store: Store) -> None:
    decide(store, 1)
    store.holes.record(new(2, name=name(2).stem, manifest_sha256="a" * 64, claims=CLAIMS, void="{}"))
    assert store.standings() == {(FEED, EPOCH): Standing(2, "a" * 64)}
    assert store.known(FEED, EPOCH, [1, 2, 3]) == {1: Known(f"{1:064x}"), 2: Known("a" * 64, voided=True)}
    assert store.holes.voids() == [
        VoidRecord(FEED, EPOCH, 2, name(2).stem, "a" * 64, {"sales": 2}, {"valor": 10}, "x", "Ana", AT, False)
    ]
    assert (store.feeds()[0].sealed, store.feeds()[0].settled) == (2, 2)
    decide(store, 3)
    assert store.standings()[FEED, EPOCH].seq == 3


def test_a_void_ahead_of_the_head_waits_for_it(store: Store) -> None:
    store.holes.record(new(3))
    assert store.standings() == {}
    assert store.holes.ahead() == [AheadVoid(FEED, EPOCH, 3, None)]
    assert store.holes.epochs(FEED) == [(EPOCH, 0, None)]
    decide(store, 1, 2)
    store.holes.advance()
    assert store.standings() == {(FEED, EPOCH): Standing(3, None)}
    assert store.holes.ahead() == []
    decide(store, 4)
    assert (store.feeds()[0].sealed, store.feeds()[0].settled) == (4, 4)


def test_the_first_numbers_of_a_feed_can_be_given_up(store: Store) -> None:
    store.holes.record(new(2))
    store.holes.record(new(1))
    assert store.standings() == {(FEED, EPOCH): Standing(2, None)}


def test_the_origin_s_word_fills_in_what_an_override_could_not_know(store: Store) -> None:
    store.holes.record(new(1, reason="o caixa não liga"))
    assert store.holes.voids(FEED)[0].override
    store.holes.record(
        new(1, name=name(1).stem, manifest_sha256="a" * 64, claims=CLAIMS, void="{}", reason="outra")
    )
    (made,) = store.holes.voids(FEED)
    assert (made.name, made.manifest_sha256, made.reason, made.override) == (
        name(1).stem,
        "a" * 64,
        "o caixa não liga",
        False,
    )
    assert store.feeds()[0].settled == 1, "counted once"
    assert store.holes.voided([name(1).stem, name(2).stem]) == {name(1).stem}
    assert store.holes.taken([name(1).stem]) == {name(1).stem}
    assert store.holes.voids(OWN) == []


def test_a_rejected_number_keeps_its_answer_and_owes_nothing_more(store: Store) -> None:
    decide(store, 1, verdict=Verdict.REJECTED, claims=CLAIMS)
    assert store.known(FEED, EPOCH, [1]) == {1: Known(f"{1:064x}", owed=True)}
    decided = store.holes.decided(FEED, EPOCH, [1, 2])[1]
    assert (decided.name, decided.verdict, json.loads(decided.claims or "")) == (
        name(1).stem,
        Verdict.REJECTED,
        json.loads(CLAIMS),
    )
    store.holes.record(new(1, name=name(1).stem, manifest_sha256=f"{1:064x}"))
    assert store.known(FEED, EPOCH, [1]) == {1: Known(f"{1:064x}")}
    assert store.feeds()[0].settled == 1


def own(store: Store) -> str:
    batch = name(1, feed=OWN, epoch=MATRIZ.epoch)
    store.record_sealed([outgoing(batch, ("caixa-01", "caixa-02"))])
    return batch.stem


def test_an_own_void_is_told_until_it_is_answered(store: Store) -> None:
    stem = own(store)
    store.mark_shipped([(stem, "caixa-01")], AT)
    made = new(1, feed=OWN, epoch=MATRIZ.epoch, name=stem, manifest_sha256=f"{1:064x}", void='{"v":1}')
    store.holes.give_up(made, ["caixa-01", "caixa-02"])
    assert store.holes.untold() == [
        UntoldVoid(stem, peer, '{"v":1}', None, AT) for peer in ("caixa-01", "caixa-02")
    ]
    assert store.head("produtos", "caixas") == Standing(1, f"{1:064x}"), "the chain goes on through it"
    store.mark_shipped([(stem, "caixa-02")], LATER)
    store.holes.answered([(stem, "caixa-01", AT), ("unknown", "caixa-01", AT)])
    assert store.holes.untold() == [UntoldVoid(stem, "caixa-02", '{"v":1}', LATER, AT)]
    store.holes.tell(stem, ["caixa-01"])
    assert [void.recipient for void in store.holes.untold()] == ["caixa-01", "caixa-02"], "it has lost it"


def test_rows_are_owed_only_by_the_answer_that_stands(store: Store) -> None:
    stem = own(store)
    store.settle([(stem, "caixa-01", Verdict.REJECTED, "about the rows", AT)])
    store.holes.refused_as_voided([(stem, "caixa-01", "given up"), (stem, "caixa-02", "given up")])
    assert store.holes.given_up() == []
    store.settle([(stem, "caixa-02", Verdict.REJECTED, "given up", AT)])
    store.holes.refused_as_voided([(stem, "caixa-02", "given up")])
    store.holes.refused_as_voided([(stem, "caixa-02", "given up")])
    (owed,) = store.holes.given_up()
    assert (owed.name.stem, owed.last) == (stem, True)
    store.holes.sealed_again(owed.batch_id)
    assert store.holes.given_up() == []


def test_a_delivery_that_is_lost_at_its_recipient_is_open_again(store: Store) -> None:
    stem = own(store)
    store.settle([(stem, peer, Verdict.APPLIED, "{}", AT) for peer in ("caixa-01", "caixa-02")])
    (number,) = store.holes.numbers(OWN, MATRIZ.epoch, [1, 2])
    assert (number.seq, number.name.stem) == (1, stem)
    assert number.verdicts == {"caixa-01": Verdict.APPLIED, "caixa-02": Verdict.APPLIED}
    store.holes.reopen([(number.batch_id, "caixa-02")])
    assert [delivery.recipient for delivery in store.outgoing_open()] == ["caixa-02"]
    batch = store.batch(stem)
    assert isinstance(batch, OutgoingBatch)
    assert batch.settled_at is None
    assert store.settle([(stem, "caixa-02", Verdict.APPLIED, "{}", LATER)]) == [stem]
