"""What is missing, as runs of numbers: the same as counting one by one, whatever was noticed before."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from filesync.exchange.holes import missing_runs, noticed
from filesync.protocol.identity import SEQ_MAX, Feed
from filesync.stores.hole_values import HoleRecord

FEED = Feed("caixa-01", "vendas", "matriz")
seqs = st.integers(1, 40)
runs = st.tuples(seqs, st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def numbers(found: list[tuple[int, int]]) -> list[int]:
    return [seq for first, last in found for seq in range(first, last + 1)]


@given(st.integers(0, 20), st.lists(runs, max_size=4), st.sets(seqs, max_size=8), st.sets(seqs, max_size=4))
def test_runs_are_what_counting_finds(
    head: int, claimed: list[tuple[int, int]], lying: set[int], lacking: set[int]
) -> None:
    found = missing_runs(head, claimed, lying, lacking)
    last = max((*lying, *lacking), default=0)
    wanted = {seq for first, end in claimed for seq in range(first, end + 1)} | set(range(1, last + 1))
    expected = sorted(seq for seq in wanted if seq > head and (seq not in lying or seq in lacking))
    assert numbers(found) == expected
    assert all(first <= last for first, last in found)


def test_a_peer_that_claims_every_number_costs_nothing() -> None:
    assert missing_runs(3, [(1, SEQ_MAX)], {SEQ_MAX, 9}, ()) == [(4, 8), (10, SEQ_MAX - 1)]


@given(st.lists(runs, max_size=4), st.lists(runs, max_size=4))
def test_numbers_keep_the_moment_in_which_they_were_noticed(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    """Records before do not overlap; whatever became of the runs, an old number is an old debt."""
    joined_before, joined_after = missing_runs(0, before, (), ()), missing_runs(0, after, (), ())
    old = [HoleRecord(FEED, "e" * 8, first, last, f"t{first}", None) for first, last in joined_before]
    found = noticed(FEED, "e" * 8, joined_after, old, "now")
    assert numbers([(hole.first, hole.last) for hole in found]) == numbers(joined_after)
    since = {seq: hole.noticed_at for hole in old for seq in range(hole.first, hole.last + 1)}
    for hole in found:
        assert {since.get(seq, "now") for seq in range(hole.first, hole.last + 1)} == {hole.noticed_at}
    for one, other in pairwise(found):
        assert one.last < other.first
        assert (one.last + 1, one.noticed_at) != (other.first, other.noticed_at), "no longer than needed"
