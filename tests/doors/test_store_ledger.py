"""The ledger: what is recorded is answered, once, byte for byte; every question finds its rows by an index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from store_samples import (
    AT,
    DAY,
    EPOCH,
    FEED,
    MATRIZ,
    OTHER_EPOCH,
    digests,
    incoming,
    name,
    outgoing,
)

from filesync.protocol.admission import Known, Standing
from filesync.protocol.identity import Feed, Format, Mode
from filesync.protocol.receipt import Verdict
from filesync.stores.database import QUERIES, fixed_statements, schema_statements
from filesync.stores.values import (
    CapturedFile,
    Delivery,
    Direction,
    FeedSummary,
    IncomingBatch,
    IncomingRecord,
    OutgoingBatch,
    ProblemRecord,
    RefusedRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

OWN = Feed("matriz", "produtos", "caixas")
LATER = "2026-03-02T19:00:00-03:00"


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def decide(store: Store, *records: IncomingRecord) -> None:
    with store.transaction() as tx:
        tx.record_incoming(records)


# ---------------------------------------------------------------------------------------------------- what arrives


def test_heads_move_forward_and_each_number_keeps_its_manifest(store: Store) -> None:
    other = Feed("posto-01", "sales", "matriz")
    decide(
        store,
        *(incoming(n, name(n)) for n in (1, 2, 3)),
        incoming(4, name(7, feed=other)),
        incoming(5, name(1, epoch=OTHER_EPOCH)),
    )
    decide(store, incoming(6, name(4), verdict=Verdict.REJECTED), incoming(7, name(5, feed=other)))
    assert store.standings() == {
        (FEED, EPOCH): Standing(4, f"{4:064x}"),
        (FEED, OTHER_EPOCH): Standing(1, f"{1:064x}"),
        (other, EPOCH): Standing(7, f"{7:064x}"),
    }
    assert store.known(FEED, EPOCH, {2, 4, 9}) == {2: Known(f"{2:064x}"), 4: Known(f"{4:064x}", owed=True)}
    assert store.known(FEED, OTHER_EPOCH, [2]) == {}
    assert store.known(Feed("nobody", "sales", "matriz"), EPOCH, [1]) == {}


def test_batch_ids_grow_over_transactions_and_restarts(store: Store) -> None:
    with store.transaction() as tx:
        assert [tx.next_batch_id(), tx.next_batch_id()] == [1, 2]
        tx.record_incoming([incoming(1, name(1)), incoming(2, name(2))])
    with store.transaction() as tx:
        assert tx.next_batch_id() == 3


def test_own_feeds_are_no_standings(store: Store) -> None:
    store.record_sealed([outgoing(name(1, feed=OWN, epoch=MATRIZ.epoch))])
    assert store.standings() == {}


@pytest.mark.parametrize("claim", [name(1, digest="f" * 12), name(1)])
def test_a_number_is_decided_once(store: Store, claim: object) -> None:
    decide(store, incoming(1, name(1)))
    with pytest.raises(Exception, match="is there already"):
        decide(store, incoming(2, name(2)), incoming(3, claim))  # type: ignore[arg-type]
    assert store.standings()[FEED, EPOCH].seq == 1
    assert store.known(FEED, EPOCH, [1, 2]).keys() == {1}


def test_receipts_are_handed_out_word_for_word_until_acknowledged(store: Store) -> None:
    text = '{"a":"é\\u0000\\n","b":[1,2]}'
    decide(store, incoming(2, name(2), receipt=text, verdict=Verdict.PARTIAL), incoming(1, name(1)))
    stored = store.receipt_of(name(2).stem)
    assert stored is not None
    assert (stored.receipt, stored.verdict, stored.origin, stored.business_date, stored.code) == (
        text,
        Verdict.PARTIAL,
        "caixa-01",
        DAY,
        None,
    )
    assert [one.name for one in store.unacknowledged()] == [name(1).stem, name(2).stem]
    assert not stored.acknowledged
    store.mark_acknowledged([name(2).stem, "unknown"])
    assert [one.name for one in store.unacknowledged()] == [name(1).stem]
    again = store.receipt_of(name(2).stem)
    assert again is not None
    assert again.acknowledged
    assert store.receipt_of(name(3).stem) is None


def test_refused_claims_use_no_number_and_keep_their_first_answer(store: Store) -> None:
    stem = name(5).stem
    claims = [
        RefusedRecord("a" * 64, stem, "caixa-01", "broken-chain", "expected x, got y", AT, '{"r":1}'),
        RefusedRecord("b" * 64, stem, "caixa-01", "foreign", "expected x, got z", AT),
    ]
    with store.transaction() as tx:
        tx.record_refused(claims)
        tx.record_refused([RefusedRecord("a" * 64, stem, "caixa-01", "other", "other", LATER, '{"r":2}')])
    assert store.standings() == {}
    refused = store.refused(["a" * 64, "b" * 64, "c" * 64])
    assert {key: (one.code, one.receipt, one.verdict) for key, one in refused.items()} == {
        "a" * 64: ("broken-chain", '{"r":1}', Verdict.REJECTED),
        "b" * 64: ("foreign", None, Verdict.REJECTED),
    }
    assert [one.manifest_sha256 for one in store.unacknowledged()] == ["a" * 64]
    latest = store.receipt_of(stem)
    assert latest is not None
    assert latest.manifest_sha256 == "b" * 64
    assert store.answered([stem, name(6).stem]) == {stem}
    store.mark_acknowledged([stem])
    assert store.unacknowledged() == []
    decide(store, incoming(1, name(5)))
    decided = store.receipt_of(stem)
    assert decided is not None
    assert decided.verdict is Verdict.APPLIED
    store.forget_refused([stem])
    assert store.refused(["a" * 64, "b" * 64]) == {}
    assert store.answered([stem]) == {stem}


def test_a_decided_batch_can_be_shown(store: Store) -> None:
    decide(
        store,
        incoming(1, name(1), mode=Mode.SNAPSHOT, version=3, documents=20, received_at="r", applied_at="a"),
    )
    receipt = incoming(1, name(1)).receipt
    assert store.batch(name(1).stem) == IncomingBatch(
        name(1).stem,
        1,
        3,
        Mode.SNAPSHOT,
        f"{1:064x}",
        "b" * 64,
        Verdict.APPLIED,
        receipt,
        "r",
        "a",
        False,
        20,
    )
    assert store.batch("unknown") is None


# ---------------------------------------------------------------------------------------------------- what was sealed


def sealed(seq: int, *recipients: str, feed: Feed = OWN, **changes: object) -> str:
    del changes
    return outgoing(name(seq, feed=feed, epoch=MATRIZ.epoch), recipients).name.stem


def test_a_sealed_batch_is_open_until_every_recipient_has_answered(store: Store) -> None:
    assert store.head("produtos", "caixas") is None
    assert store.last_sealed("produtos", "caixas") is None
    first, second = name(1, feed=OWN, epoch=MATRIZ.epoch), name(2, feed=OWN, epoch=MATRIZ.epoch)
    store.record_sealed([
        outgoing(first, ["caixa-02", "caixa-01"], documents=7, payload_bytes=99, format=Format.JSONL),
        outgoing(second, ["caixa-01"], mode=Mode.SNAPSHOT, payload_sha256="e" * 64, replaces=first.stem),
    ])  # fmt: skip
    assert store.head("produtos", "caixas") == Standing(2, f"{2:064x}")
    assert store.last_sealed("produtos", "caixas") == (Mode.SNAPSHOT, frozenset({"caixa-01"}))
    assert store.beginners("produtos", "caixas", ["caixa-01", "caixa-02", "caixa-03"]) == (
        "caixa-02",
        "caixa-03",
    ), "one never had any of it, the other not the newest"
    assert store.beginners("produtos", "nobody-yet", ["caixa-03"]) == ()
    assert [(o.name, o.recipient) for o in store.outgoing_open()] == [
        (first.stem, "caixa-01"), (first.stem, "caixa-02"), (second.stem, "caixa-01"),
    ]  # fmt: skip
    opened = store.outgoing_open()[0]
    assert (opened.format, opened.documents, opened.payload_bytes, opened.business_date) == (
        Format.JSONL,
        7,
        99,
        DAY,
    )
    assert store.manifests([first.stem, "unknown"]) == {first.stem: f'{{"batch":"{first}"}}'}
    store.mark_shipped([(first.stem, "caixa-01"), (first.stem, "nobody"), ("unknown", "caixa-01")], LATER)
    assert [o.shipped_at for o in store.outgoing_open()] == [LATER, None, None]

    assert store.settle([(first.stem, "caixa-01", Verdict.APPLIED, '{"r":1}', LATER)]) == []
    state = store.outgoing_state([first.stem, second.stem, "unknown"])
    assert state.keys() == {first.stem, second.stem}
    assert state[first.stem].recipients == {"caixa-01": Verdict.APPLIED, "caixa-02": None}
    assert not state[first.stem].settled
    answers = [
        (first.stem, "caixa-02", Verdict.REJECTED, '{"r":2}', LATER),
        (second.stem, "caixa-01", Verdict.PARTIAL, '{"r":3}', LATER),
    ]
    assert sorted(store.settle(answers)) == [first.stem, second.stem]
    assert store.outgoing_open() == []
    assert store.outgoing_state([first.stem])[first.stem].settled

    # Told again after a crash: the same names, nothing changed; another answer does not replace the first.
    assert store.settle(answers[:1]) == [first.stem]
    assert store.settle(
        [(first.stem, "caixa-02", Verdict.APPLIED, '{"other":1}', "2027-01-01T00:00:00Z")]
    ) == [first.stem]
    shown = store.batch(first.stem)
    assert isinstance(shown, OutgoingBatch)
    assert shown.settled_at == LATER
    assert shown.deliveries == (
        Delivery("caixa-01", LATER, Verdict.APPLIED, '{"r":1}', LATER),
        Delivery("caixa-02", None, Verdict.REJECTED, '{"r":2}', LATER),
    )
    assert store.settle([]) == []
    assert store.settle([("unknown", "caixa-01", Verdict.APPLIED, "{}", AT)]) == []


def test_a_number_is_issued_once(store: Store) -> None:
    batch = name(1, feed=OWN, epoch=MATRIZ.epoch)
    store.record_sealed([outgoing(batch)])
    with pytest.raises(Exception, match="is there already"):
        store.record_sealed([outgoing(name(1, feed=OWN, epoch=MATRIZ.epoch, digest="f" * 12))])
    assert store.head("produtos", "caixas") == Standing(1, f"{1:064x}")


def test_feeds_at_a_glance(store: Store) -> None:
    own = [name(n, feed=OWN, epoch=MATRIZ.epoch) for n in range(1, 6)]
    store.record_sealed([outgoing(batch, ["a", "b"]) for batch in own])
    answers = [(own[n].stem, who, Verdict.APPLIED, "{}", AT) for n in (0, 1, 3) for who in "ab"]
    store.settle([*answers, (own[2].stem, "a", Verdict.REJECTED, "{}", AT)])
    decide(store, *(incoming(n, name(n)) for n in (1, 2)), incoming(3, name(3), verdict=Verdict.REJECTED))
    assert store.feeds() == [
        FeedSummary(Direction.IN, FEED, EPOCH, sealed=3, settled=3, open=0, rejected=1, applied_through=3),
        FeedSummary(
            Direction.OUT, OWN, MATRIZ.epoch, sealed=5, settled=3, open=2, rejected=1, applied_through=2
        ),
    ]


# ---------------------------------------------------------------------------------------------------- captures and audit


def test_a_captured_file_is_known_by_its_latest_reading(store: Store) -> None:
    assert store.captured("drop/vendas/a.csv") is None
    for content in ("c1", "c2"):
        store.record_captured("drop/vendas/a.csv", content, "s", "complete", AT)
    assert store.captured("drop/vendas/a.csv") == CapturedFile("drop/vendas/a.csv", "c2", "s", "complete", AT)


def test_the_audit_only_grows(store: Store) -> None:
    store.record_problem(AT, "x", "caixa-01", "damaged", "expected a, got b")
    store.record_problem(AT, "y", "caixa-01", "foreign", "m")
    store.record_problem(LATER, "x", "caixa-01", "damaged", "m", resolution="discarded: printed twice")
    assert [(one.problem_id, one.name) for one in store.problems()] == [(3, "x"), (2, "y"), (1, "x")]
    assert store.problems(limit=1)[0].resolution == "discarded: printed twice"
    assert store.problems("x") == [
        ProblemRecord(1, AT, "x", "caixa-01", "damaged", "expected a, got b", None),
        ProblemRecord(3, LATER, "x", "caixa-01", "damaged", "m", "discarded: printed twice"),
    ]


def test_a_ledger_write_inside_a_transaction_stands_or_falls_with_it(store: Store) -> None:
    def audited(*, fail: bool) -> None:
        with store.transaction() as tx:
            tx.record_incoming([incoming(1, name(1))])
            store.record_problem(AT, "x", "caixa-01", "partial", "m")
            if fail:
                raise LookupError

    with pytest.raises(LookupError):
        audited(fail=True)
    assert (store.problems(), store.standings()) == ([], {})
    audited(fail=False)
    assert len(store.problems()) == len(store.standings()) == 1


def test_the_store_keeps_what_it_holds_over_a_restart(home: Home) -> None:
    with home.create() as store:
        decide(store, incoming(1, name(1)))
        store.record_sealed(
            [outgoing(name(1, feed=OWN, epoch=MATRIZ.epoch), digests=digests([(b"k" * 16, b"c" * 16)]))]
        )
    with home.open() as store:
        assert store.standings() == {(FEED, EPOCH): Standing(1, f"{1:064x}")}
        assert store.head("produtos", "caixas") == Standing(1, f"{1:064x}")
        assert store.unsealed("produtos", "caixas", digests([(b"k" * 16, b"c" * 16)])).num_rows == 0


# ---------------------------------------------------------------------------------------------------- the statements themselves


def test_every_statement_has_a_name_a_sentence_and_a_use() -> None:
    stores = Path(__file__).parents[2] / "src" / "filesync" / "stores"
    files = [path for path in sorted(stores.glob("queries*.sql")) if path.stem != "queries_postgres"]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert (
        len(re.findall(r"(?m)^-- name: \w+\n-- [A-Z][^\n]*\.\n", text))
        == len(fixed_statements())
        == text.count("-- name: ")
    )
    code = "".join(path.read_text(encoding="utf-8") for path in stores.glob("*.py"))
    assert {title for title in QUERIES if f'QUERIES["{title}"]' not in code} == set()
    assert set(re.findall(r'QUERIES\["(\w+)"\]', code)) <= QUERIES.keys()


def test_every_table_of_the_schema_is_strict_and_ours() -> None:
    created = [statement for statement in schema_statements() if statement.startswith("CREATE TABLE")]
    assert len(created) > 8
    assert all(
        re.match(r"CREATE TABLE fs_\w+ \(", statement) and "STRICT" in statement for statement in created
    )


def test_no_other_sqlite_library_is_imported() -> None:
    source = Path(__file__).parents[2] / "src"
    offending = [
        path
        for path in source.rglob("*.py")
        if re.search(r"\b(import|from) +(sqlite3|aiosqlite|apsw)\b", path.read_text("utf-8"))
    ]
    assert offending == []
