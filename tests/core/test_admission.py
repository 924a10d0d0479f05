"""Admission: every branch in a table, and the promise of the whole: each batch once, in order, whatever arrives."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
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
    admit_void,
)
from filesync.protocol.envelope import canonical, sha256_hex
from filesync.protocol.identity import Mode
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import MISSING_MAX
from filesync.protocol.void import Void

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
        (manifest(8, None, mode=Mode.SNAPSHOT), AT_7, None),
        (manifest(40, None, mode=Mode.SNAPSHOT), AT_7, None),
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
        ("before-opening", manifest(7, None, mode=Mode.SNAPSHOT), AT_7, "after 7", "7"),
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


# --- numbers that were given up


def void(batch: Manifest, digest: str = DIGEST) -> Void:
    return Void.of(batch, digest, reason="perdido", by="Ana", at=batch.sealed_at, software="filesync")


def _decide_void(
    given_up: Void, *, me: str = "matriz", sender: str = "caixa-01", standing: Standing | None = None, known: Known | None = None,
    may_send: bool = True,
) -> Decision:  # fmt: skip
    return admit_void(given_up, me=me, sender=sender, standing=standing, known=known, may_send=may_send)


@pytest.mark.parametrize("batch", [NEXT, manifest(8, OTHER), manifest(8, None), replace(NEXT, version=1)])
def test_where_the_head_s_digest_is_not_known_any_previous_goes_on(batch: Manifest) -> None:
    assert _decide(batch, standing=Standing(7, None)) == Apply()
    assert _decide_void(void(batch), standing=Standing(7, None)) == Apply()


@pytest.mark.parametrize("sha256", [None, DIGEST, OTHER])
@pytest.mark.parametrize("contract_known", [True, False])
@pytest.mark.parametrize("may_send", [True, False])
def test_what_comes_under_a_number_that_was_given_up_is_refused(
    sha256: str | None, contract_known: bool, may_send: bool
) -> None:
    for standing in (None, AT_7, Standing(8, sha256), Standing(20, OTHER)):
        decision = _decide(
            NEXT,
            standing=standing,
            known=Known(sha256, voided=True),
            contract_known=contract_known,
            may_send=may_send,
        )
        _refused(decision, "voided", NEXT, "still open", "given up")


@pytest.mark.parametrize(
    ("batch", "standing", "known", "expected"),
    [
        (FIRST, None, None, Apply()),
        (NEXT, AT_7, None, Apply()),
        (manifest(8, HEAD, mode=Mode.SNAPSHOT), AT_7, None, Apply()),
        (NEXT, Standing(9, OTHER), Known(DIGEST), Replay()),
        (NEXT, Standing(9, OTHER), Known(DIGEST, owed=True), Apply()),
        (NEXT, Standing(9, OTHER), Known(DIGEST, voided=True), Replay()),
        (NEXT, Standing(9, OTHER), Known(None, voided=True), Replay()),
    ],
)
def test_a_void_stands_where_its_manifest_would(
    batch: Manifest, standing: Standing | None, known: Known | None, expected: Decision
) -> None:
    assert _decide_void(void(batch), standing=standing, known=known) == expected


@pytest.mark.parametrize(
    ("code", "batch", "changes"),
    [
        ("foreign", NEXT, {"sender": "caixa-02", "known": Known(OTHER)}),
        ("not-for-us", NEXT, {"me": "portal", "known": Known(OTHER), "may_send": False}),
        ("same-number-other-content", NEXT, {"known": Known(OTHER), "may_send": False}),
        ("same-number-other-content", NEXT, {"known": Known(OTHER, voided=True)}),
        ("not-allowed", NEXT, {"may_send": False, "standing": AT_7}),
        ("broken-chain", manifest(8, OTHER), {"standing": AT_7}),
        ("broken-chain", manifest(1, OTHER), {}),
        ("before-opening", NEXT, {"standing": Standing(9, OTHER)}),
    ],
)
def test_a_void_is_refused_as_its_manifest_would_be(
    code: str, batch: Manifest, changes: dict[str, object]
) -> None:
    decision = _decide_void(void(batch), **changes)  # type: ignore[arg-type]
    assert isinstance(decision, Refuse)
    assert decision.problem.code == code


@pytest.mark.parametrize("batch", [NEXT, SNAPSHOT, replace(SNAPSHOT, id=NEXT.id)])
def test_a_void_waits_for_what_is_before_it_and_never_opens_a_feed_in_its_middle(batch: Manifest) -> None:
    for standing in (None, Standing(5, HEAD)):
        decision = _decide_void(void(batch), standing=standing)
        assert isinstance(decision, Wait)
        assert decision.reason is WaitReason.HOLE


digests = st.sampled_from([None, DIGEST, HEAD, OTHER])


@given(
    seq=st.integers(1, 12),
    previous=digests,
    mode=st.sampled_from(Mode),
    standing=st.none() | st.builds(Standing, st.integers(1, 12), digests),
    known=st.none() | st.builds(Known, digests, st.booleans(), st.booleans()),
    sender=st.sampled_from(["caixa-01", "caixa-02"]),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_admission_is_total_and_a_void_is_never_kinder_than_a_batch(
    seq: int, previous: str | None, mode: Mode, standing: Standing | None, known: Known | None, sender: str, flags: tuple[bool, bool]
) -> None:  # fmt: skip
    """Whatever is known, there is a decision; what lets a void in of an undecided number would let in a manifest of its contract too."""
    batch = manifest(seq, previous, mode=mode)
    may_send, contract_known = flags
    one = _decide(
        batch, sender=sender, standing=standing, known=known, may_send=may_send, contract_known=contract_known
    )
    other = _decide_void(void(batch), sender=sender, standing=standing, known=known, may_send=may_send)
    for decision in (one, other):
        assert isinstance(decision, (Apply, Replay, Wait, Refuse))
    if known is not None:
        assert not isinstance(one, Apply), "a decided number is never decided again"
    if known is None and isinstance(other, Apply) and contract_known:
        assert one == Apply()
    if sender != "caixa-01":
        assert isinstance(other, Refuse), "nobody gives up another's number"


# --- the whole, against an honest ledger in memory


class Ledger:
    """What a site remembers of one feed: decided numbers, and its head. A refusal leaves no trace in it."""

    def __init__(self) -> None:
        self.decided: dict[int, str] = {}
        self.voided: dict[int, str | None] = {}
        self.head: Standing | None = None
        self.applied: list[Manifest] = []

    def offer(self, batch: Manifest) -> Decision:
        digest = digest_of(batch)
        decided = self._known(batch.id.seq)
        decision = admit(
            batch,
            digest,
            me="matriz",
            sender="caixa-01",
            standing=self.head,
            known=decided,
            contract_known=True,
            may_send=True,
        )
        if isinstance(decision, Apply):
            self.applied.append(batch)
            self.decided[batch.id.seq] = digest
            self.head = Standing(batch.id.seq, digest)
            self._step()
        return decision

    def take(self, given_up: Void) -> Decision:
        """The origin's void."""
        decision = admit_void(
            given_up, me="matriz", sender="caixa-01", standing=self.head, known=self._known(given_up.id.seq), may_send=True
        )  # fmt: skip
        if isinstance(decision, Apply):
            self.voided[given_up.id.seq] = given_up.manifest_sha256
            self.head = Standing(given_up.id.seq, given_up.manifest_sha256)
            self._step()
        return decision

    def override(self, seq: int) -> None:
        """A person's word, of a number that nothing is known of."""
        if self._known(seq) is None and seq > (self.head.seq if self.head else 0):
            self.voided[seq] = None
            self._step()

    def _known(self, seq: int) -> Known | None:
        if seq in self.decided:
            return Known(self.decided[seq])
        return Known(self.voided[seq], voided=True) if seq in self.voided else None

    def _step(self) -> None:
        while (seq := self.head.seq + 1 if self.head else 1) in self.voided:
            self.head = Standing(seq, self.voided[seq])


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


@given(st.data())
def test_with_voids_every_number_is_applied_or_given_up_and_never_both(data: st.DataObject) -> None:
    """Batches, their origin's voids and a person's overrides, in any order, with copies: the feed never stands still, nothing is applied twice."""
    length = data.draw(st.integers(1, 12))
    batches = FEED_OF_12[:length]
    dead = data.draw(st.sets(st.integers(1, length)))
    voids = [void(batch, digest_of(batch)) for batch in batches if batch.id.seq in dead]
    overridden = data.draw(st.sets(st.integers(1, length)))
    ledger = Ledger()
    moves: list[Manifest | Void | int] = [
        batch for batch in batches if batch.id.seq not in dead or data.draw(st.booleans())
    ]
    moves += [*voids, *overridden]
    for _ in range(length + 1):
        for what in data.draw(st.permutations(moves)):
            if isinstance(what, int):
                ledger.override(what)
                continue
            decision = ledger.take(what) if isinstance(what, Void) else ledger.offer(what)
            if isinstance(what, Manifest) and what.id.seq in ledger.voided:
                assert isinstance(decision, Refuse)
                assert decision.problem.code == "voided"
            assert not (set(ledger.decided) & set(ledger.voided))
            applied = [b.id.seq for b in ledger.applied]
            assert applied == sorted(set(applied)), "once each, in order"
    assert ledger.head is not None
    assert ledger.head.seq == length
    assert set(ledger.decided) | set(ledger.voided) == set(range(1, length + 1))


class Receiver(RuleBasedStateMachine):
    """A receiver under whatever comes, in whatever order: copies, forks, voids by the origin, by others, and by a person."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.heads = 0

    @rule(number=st.integers(0, 11))
    def a_batch_comes(self, number: int) -> None:
        batch = FEED_OF_12[number]
        before = self.ledger.decided.get(batch.id.seq)
        decision = self.ledger.offer(batch)
        assert before is None or decision == Replay()

    @rule(number=st.integers(0, 11))
    def a_fork_comes(self, number: int) -> None:
        batch = replace(FEED_OF_12[number], payload_sha256="e" * 64)
        if batch.id.seq in self.ledger.decided and self.ledger.decided[batch.id.seq] != digest_of(batch):
            assert isinstance(self.ledger.offer(batch), Refuse)

    @rule(number=st.integers(0, 11))
    def its_origin_gives_it_up(self, number: int) -> None:
        batch = FEED_OF_12[number]
        applied = batch.id.seq in self.ledger.decided
        decision = self.ledger.take(void(batch, digest_of(batch)))
        assert not (applied and decision != Replay()), "what was applied is never taken back"

    @rule(number=st.integers(0, 11))
    def somebody_else_gives_it_up(self, number: int) -> None:
        given_up = void(FEED_OF_12[number], digest_of(FEED_OF_12[number]))
        decision = _decide_void(given_up, sender="caixa-02", standing=self.ledger.head)
        assert isinstance(decision, Refuse)

    @rule(seq=st.integers(1, 12))
    def a_person_overrides(self, seq: int) -> None:
        self.ledger.override(seq)

    @invariant()
    def each_number_has_one_end(self) -> None:
        assert not (set(self.ledger.decided) & set(self.ledger.voided))
        numbers = [batch.id.seq for batch in self.ledger.applied]
        assert numbers == sorted(set(numbers))

    @invariant()
    def the_head_only_moves_on_and_nothing_below_it_is_open(self) -> None:
        head = self.ledger.head.seq if self.ledger.head else 0
        assert head >= self.heads
        self.heads = head
        assert set(range(1, head + 1)) <= set(self.ledger.decided) | set(self.ledger.voided)


TestReceiver = Receiver.TestCase
