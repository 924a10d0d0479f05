"""Admission: every branch in a table, and the promise of the whole: each batch once, in order, whatever arrives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_samples import manifest

from filesync.protocol.admission import (
    Apply,
    Decision,
    Known,
    Refuse,
    Replay,
    Standing,
    Wait,
    WaitReason,
    admit,
)
from filesync.protocol.envelope import canonical, sha256_hex
from filesync.protocol.identity import Mode
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import MISSING_MAX

DIGEST, HEAD, OTHER = "aa" * 32, "bb" * 32, "cc" * 32


def _decide(
    batch: Manifest,
    *,
    me: str = "matriz",
    sender: str = "caixa-01",
    standing: Standing | None = None,
    known: Known | None = None,
    contract_known: bool = True,
    may_send: bool = True,
) -> Decision:
    return admit(
        batch,
        DIGEST,
        me=me,
        sender=sender,
        standing=standing,
        known=known,
        contract_known=contract_known,
        may_send=may_send,
    )


FIRST = manifest(1, None)
NEXT = manifest(8, HEAD)
AT_7 = Standing(7, HEAD)
SNAPSHOT = manifest(40, OTHER, mode=Mode.SNAPSHOT)


@pytest.mark.parametrize(
    ("batch", "standing", "known"),
    [
        (FIRST, None, None),
        (manifest(1, None, mode=Mode.SNAPSHOT), None, None),
        (SNAPSHOT, None, None),
        (manifest(1, OTHER, mode=Mode.SNAPSHOT), None, None),
        (NEXT, AT_7, None),
        (manifest(8, HEAD, mode=Mode.SNAPSHOT), AT_7, None),
        (manifest(41, HEAD), Standing(40, HEAD), None),
    ],
)
def test_apply(batch: Manifest, standing: Standing | None, known: Known | None) -> None:
    assert _decide(batch, standing=standing, known=known) == Apply()


@pytest.mark.parametrize(
    "standing", [None, Standing(3, OTHER), AT_7, Standing(8, DIGEST), Standing(9, OTHER)]
)
@pytest.mark.parametrize("contract_known", [True, False])
def test_replay_whatever_else_has_changed_since(standing: Standing | None, contract_known: bool) -> None:
    assert _decide(NEXT, standing=standing, known=Known(DIGEST), contract_known=contract_known) == Replay()


@pytest.mark.parametrize(
    ("batch", "standing", "missing"),
    [
        (manifest(2, OTHER), None, (1,)),
        (manifest(5, OTHER), None, (1, 2, 3, 4)),
        (manifest(5, None), None, (1, 2, 3, 4)),
        (manifest(9, OTHER), AT_7, (8,)),
        (manifest(9, HEAD), AT_7, (8,)),
        (manifest(12, OTHER), AT_7, (8, 9, 10, 11)),
        (SNAPSHOT, Standing(38, HEAD), (39,)),
        (manifest(5000, OTHER), None, tuple(range(1, MISSING_MAX + 1))),
        (manifest(9_999_999_999, OTHER), AT_7, tuple(range(8, 8 + MISSING_MAX))),
        (manifest(8 + MISSING_MAX, OTHER), AT_7, tuple(range(8, 8 + MISSING_MAX))),
    ],
)
def test_wait_for_a_hole(batch: Manifest, standing: Standing | None, missing: tuple[int, ...]) -> None:
    decision = _decide(batch, standing=standing)
    assert isinstance(decision, Wait)
    assert (decision.reason, decision.missing) == (WaitReason.HOLE, missing)
    whole = batch.id.seq - 1 - (standing.seq if standing else 0)
    assert (
        decision.detail
        == f"{batch.id}: expected {missing[0]} to come first, got {batch.id.seq}, {whole} missing"
    )


@pytest.mark.parametrize("standing", [None, AT_7, Standing(8, OTHER), Standing(2, OTHER)])
def test_wait_for_a_contract_before_the_chain_is_looked_at(standing: Standing | None) -> None:
    decision = _decide(replace(NEXT, version=3), standing=standing, contract_known=False)
    assert decision == Wait(
        WaitReason.CONTRACT_UNKNOWN, f"{NEXT.id}: expected a contract that is known here, got vendas.v3"
    )


@pytest.mark.parametrize(
    ("code", "batch", "standing", "expected", "got"),
    [
        ("broken-chain", manifest(1, OTHER), None, "no previous manifest", OTHER),
        ("broken-chain", manifest(8, OTHER), AT_7, HEAD, OTHER),
        ("broken-chain", manifest(8, None), AT_7, HEAD, "none"),
        ("broken-chain", manifest(8, OTHER, mode=Mode.SNAPSHOT), AT_7, HEAD, OTHER),
        ("before-opening", manifest(7, OTHER), AT_7, "after 7", "7"),
        ("before-opening", FIRST, AT_7, "after 7", "1"),
        ("before-opening", replace(SNAPSHOT, id=FIRST.id), AT_7, "after 7", "1"),
    ],
)
def test_refuse_by_the_chain(
    code: str, batch: Manifest, standing: Standing | None, expected: str, got: str
) -> None:
    _refused(_decide(batch, standing=standing), code, batch, expected, got)


def _refused(decision: Decision, code: str, batch: Manifest, expected: str, got: str) -> None:
    assert isinstance(decision, Refuse)
    assert decision.problem.code == code
    before, _, after = decision.problem.message.partition(", got ")
    assert before.startswith(f"{batch.id}: expected ")
    assert expected in before
    assert got in after


@pytest.mark.parametrize("standing", [None, AT_7, Standing(8, OTHER)])
@pytest.mark.parametrize("contract_known", [True, False])
def test_refuse_other_content_under_a_decided_number(standing: Standing | None, contract_known: bool) -> None:
    decision = _decide(NEXT, standing=standing, known=Known(OTHER), contract_known=contract_known)
    _refused(decision, "same-number-other-content", NEXT, OTHER, DIGEST)


@pytest.mark.parametrize("known", [None, Known(DIGEST), Known(OTHER)])
@pytest.mark.parametrize("contract_known", [True, False])
@pytest.mark.parametrize("batch", [FIRST, NEXT, SNAPSHOT])
def test_who_may_send_what_to_whom_comes_first(
    known: Known | None, contract_known: bool, batch: Manifest
) -> None:
    def decide(me: str, sender: str, may_send: bool) -> Decision:
        return _decide(
            batch,
            me=me,
            sender=sender,
            known=known,
            standing=AT_7,
            contract_known=contract_known,
            may_send=may_send,
        )

    _refused(decide("matriz", "caixa-02", True), "foreign", batch, "caixa-01", "caixa-02")
    _refused(decide("portal", "caixa-02", False), "foreign", batch, "caixa-01", "caixa-02")
    _refused(decide("portal", "caixa-01", True), "not-for-us", batch, "portal", "matriz")
    _refused(decide("portal", "caixa-01", False), "not-for-us", batch, "portal", "matriz")
    if known is None:
        _refused(decide("matriz", "caixa-01", False), "not-allowed", batch, "caixa-01", "vendas")


def test_a_peer_that_lost_a_dataset_still_gets_its_old_answers() -> None:
    assert _decide(NEXT, standing=Standing(8, DIGEST), known=Known(DIGEST), may_send=False) == Replay()


def test_a_long_list_of_recipients_is_not_repeated_whole() -> None:
    batch = replace(FIRST, recipients=tuple(f"caixa-{number:03}" for number in range(500)))
    decision = _decide(batch)
    assert isinstance(decision, Refuse)
    assert decision.problem.message.endswith("caixa-009 and 490 more")


def test_a_group_s_member_is_a_recipient() -> None:
    assert _decide(replace(FIRST, recipients=("portal", "matriz"))) == Apply()


# --- the whole, against an honest ledger in memory


class Ledger:
    """What a site remembers of one feed: decided numbers, and its head. A refusal leaves no trace in it."""

    def __init__(self) -> None:
        self.decided: dict[int, str] = {}
        self.head: Standing | None = None
        self.applied: list[Manifest] = []

    def offer(self, batch: Manifest) -> Decision:
        digest = digest_of(batch)
        decided = self.decided.get(batch.id.seq)
        decision = admit(
            batch,
            digest,
            me="matriz",
            sender="caixa-01",
            standing=self.head,
            known=Known(decided) if decided is not None else None,
            contract_known=True,
            may_send=True,
        )
        if isinstance(decision, Apply):
            self.applied.append(batch)
            self.decided[batch.id.seq] = digest
            self.head = Standing(batch.id.seq, digest)
        return decision


def digest_of(batch: Manifest) -> str:
    return sha256_hex(canonical(batch.to_signed()))


def feed(length: int, first: int = 1, *, opening: Mode = Mode.DELTA) -> list[Manifest]:
    batches: list[Manifest] = []
    for seq in range(first, first + length):
        previous = digest_of(batches[-1]) if batches else None if seq == 1 else OTHER
        batches.append(
            manifest(seq, previous, mode=Mode.DELTA if batches else opening, payload_sha256=f"{seq:064x}")
        )
    return batches


FEED_OF_12 = feed(12)


@given(st.integers(1, 12), st.data())
def test_every_batch_is_applied_once_and_in_order(length: int, data: st.DataObject) -> None:
    batches = FEED_OF_12[:length]
    ledger = Ledger()
    # Some turns see any selection, in any order, with copies; then the whole feed keeps being offered in one order.
    turns = data.draw(st.lists(st.lists(st.sampled_from(batches), max_size=15), max_size=4))
    turns += [list(data.draw(st.permutations(batches)))] * length
    for turn in turns:
        for batch in turn:
            decision = ledger.offer(batch)
            if batch in ledger.applied[:-1]:
                assert decision == Replay()
            assert not isinstance(decision, Refuse)
            assert ledger.applied == batches[: len(ledger.applied)]
    assert ledger.applied == batches


@given(st.data())
def test_a_feed_opens_with_a_snapshot_and_goes_on_from_there(data: st.DataObject) -> None:
    old, batches = feed(5), feed(5, first=6, opening=Mode.SNAPSHOT)
    ledger = Ledger()
    assert isinstance(ledger.offer(batches[2]), Wait)
    assert ledger.offer(batches[0]) == Apply()
    for batch in list(data.draw(st.permutations(old + batches))) * 5:
        decision = ledger.offer(batch)
        if batch in old:
            assert isinstance(decision, Refuse)
            assert decision.problem.code == "before-opening"
    assert ledger.applied == batches


@given(st.data())
def test_a_forged_manifest_is_never_applied(data: st.DataObject) -> None:
    """A forger who must guess the chain, at any time; one who knows the chain, once the number was decided."""
    ledger = Ledger()
    honest = FEED_OF_12
    blind = [replace(batch, previous=OTHER, payload_sha256="f" * 64) for batch in honest]
    knowing = [replace(batch, payload_sha256="e" * 64) for batch in honest]
    for _ in range(len(honest)):
        for batch in data.draw(st.permutations(honest + blind)):
            decision = ledger.offer(batch)
            if batch in blind:
                assert not isinstance(decision, (Apply, Replay))
        decided = [batch for batch in knowing if batch.id.seq in ledger.decided]
        for batch in decided:
            decision = ledger.offer(batch)
            assert isinstance(decision, Refuse)
            assert decision.problem.code == "same-number-other-content"
    assert ledger.applied == honest


@given(st.data())
def test_of_two_claims_to_a_number_at_most_one_is_ever_applied(data: st.DataObject) -> None:
    ledger = Ledger()
    twins = [replace(batch, payload_sha256="e" * 64) for batch in FEED_OF_12]
    for batch in data.draw(st.lists(st.sampled_from(FEED_OF_12 + twins), max_size=60)):
        ledger.offer(batch)
    numbers = [batch.id.seq for batch in ledger.applied]
    assert numbers == list(range(1, len(numbers) + 1))
    chain = [None, *map(digest_of, ledger.applied)]
    assert [batch.previous for batch in ledger.applied] == chain[:-1]
