"""When a site's day is complete, and what is said when it is not: a table of days, then properties over many of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from day_samples import (
    DAY,
    EPOCH,
    LATER_EPOCH,
    SITE,
    batch,
    but,
    claim,
    closing,
    complete,
    feed,
    head,
    lying,
    mark,
    name,
    void,
)
from hypothesis import given
from hypothesis import strategies as st

from filesync.day.completeness import judge
from filesync.day.content import without
from filesync.day.values import Held, Known, Reason, ReasonCode, SiteDay, WaitingBatch
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Verdict

CLOSE = batch(1, "fechamento", documents=1)
SOLD = tuple(batch(seq) for seq in (1, 2, 3))


def owed(site: SiteDay) -> list[tuple[ReasonCode, Known | None, tuple[tuple[int, int], ...]]]:
    return [(reason.code, reason.known, reason.seqs) for reason in judge(site).reasons]


def only(site: SiteDay) -> Reason:
    (reason,) = judge(site).reasons
    return reason


def test_a_complete_day_owes_nothing() -> None:
    verdict = judge(complete())
    assert verdict.complete
    assert verdict.reasons == ()
    assert [proof["name"] for proof in verdict.evidence["batches"]] == [
        name(1),
        name(2),
        name(3),
        name(1, "fechamento"),
    ]
    assert verdict.evidence["closings"][0]["batch"] == name(1, "fechamento")


SILENT = SiteDay(SITE, DAY, due=True, role=Role.POSTO)
NOT_CLOSED = but(complete(), closings=(), batches=SOLD, heads=(head(3),), marks=(mark(3, shipped=3),))
REJECTED_2 = (batch(1), batch(2, verdict=Verdict.REJECTED), batch(3), CLOSE)
PARTIAL_2 = (batch(1), batch(2, verdict=Verdict.PARTIAL, applied=9), batch(3), CLOSE)

OWING = {
    "nothing ever came": (SILENT, [(ReasonCode.NOT_CLOSED, Known.NOT_PRODUCED, ())]),
    "sales, and no close": (NOT_CLOSED, [(ReasonCode.NOT_CLOSED, Known.NOT_PRODUCED, ())]),
    "sales, and a close of an earlier number that lies there once more": (
        but(NOT_CLOSED, waiting=(lying(1, "set-aside", "fechamento"),), heads=(head(3), head(1, "fechamento"))),
        [(ReasonCode.NOT_CLOSED, Known.NOT_PRODUCED, ())],
    ),
    "a close that was not sent": (
        but(NOT_CLOSED, marks=(mark(3, shipped=3), mark(1, "fechamento", shipped=0))),
        [(ReasonCode.NOT_CLOSED, Known.UNSENT, ((1, 1),))],
    ),
    "a close on its way": (
        but(NOT_CLOSED, marks=(mark(1, "fechamento", shipped=1),)),
        [(ReasonCode.NOT_CLOSED, Known.IN_TRANSIT, ((1, 1),))],
    ),
    "a close that lies here": (
        but(NOT_CLOSED, waiting=(lying(1, "unread", "fechamento"),)),
        [(ReasonCode.UNDECIDED, Known.WAITING, ((1, 1),))],
    ),
    "a close that was rejected": (
        but(NOT_CLOSED, batches=(*SOLD, replace(CLOSE, verdict=Verdict.REJECTED)), heads=(head(3), head(1, "fechamento"))),
        [(ReasonCode.REFUSED, Known.REJECTED, ((1, 1),))],
    ),
    "sales sealed there, some of them sent": (
        but(SILENT, heads=(head(1),), batches=(batch(1),), marks=(mark(7, shipped=4),)),
        [
            (ReasonCode.NOT_CLOSED, Known.NOT_PRODUCED, ()),
            (ReasonCode.MISSING, Known.IN_TRANSIT, ((2, 4),)),
            (ReasonCode.MISSING, Known.UNSENT, ((5, 7),)),
        ],
    ),
    "the last batch that the close names": (
        but(complete(), batches=(*SOLD[:2], CLOSE), heads=(head(2), head(1, "fechamento")), marks=()),
        [(ReasonCode.MISSING, Known.IN_TRANSIT, ((3, 3),))],
    ),
    "a batch in the middle, and what waits for it": (
        but(complete(), batches=(SOLD[0], CLOSE), heads=(head(1), head(1, "fechamento")), waiting=(lying(3),)),
        [(ReasonCode.MISSING, Known.IN_TRANSIT, ((2, 2),)), (ReasonCode.UNDECIDED, Known.WAITING, ((3, 3),))],
    ),
    "a batch that came without its content": (
        but(complete(), batches=(*SOLD[:2], CLOSE), heads=(head(2), head(1, "fechamento")), waiting=(lying(3, "payload-missing"),)),
        [(ReasonCode.UNDECIDED, Known.WAITING, ((3, 3),))],
    ),
    "a batch that is not believed": (
        but(complete(), batches=(*SOLD[:2], CLOSE), heads=(head(2), head(1, "fechamento")), waiting=(lying(3, "set-aside"),)),
        [(ReasonCode.UNDECIDED, Known.REJECTED, ((3, 3),))],
    ),
    "a rejected batch": (but(complete(), batches=REJECTED_2), [(ReasonCode.REFUSED, Known.REJECTED, ((2, 2),))]),
    "a batch applied in part": (but(complete(), batches=PARTIAL_2), [(ReasonCode.REFUSED, Known.REJECTED, ((2, 2),))]),
    "a batch after the close": (
        but(complete(), batches=(*SOLD, CLOSE, batch(4)), heads=(head(4), head(1, "fechamento"))),
        [(ReasonCode.LATE, Known.LATE, ((4, 4),))],
    ),
    "sales of a day closed without any": (
        but(complete(), closings=(closing(),), batches=(batch(1), CLOSE)),
        [(ReasonCode.LATE, Known.LATE, ((1, 1),))],
    ),
    "a close that says more batches": (
        but(complete(), closings=(closing(claim(1, 3, batches=4, documents=30)),)),
        [(ReasonCode.DISAGREES, Known.DIFFERS, ((1, 3),))],
    ),
    "a close that says other sales": (
        but(complete(), closings=(closing(claim(1, 3, documents=31)),)),
        [(ReasonCode.DISAGREES, Known.DIFFERS, ((1, 3),))],
    ),
    "a stand-in that holds less": (
        but(complete(), batches=(*REJECTED_2, batch(4, documents=6, replaces=name(2))), replaced=frozenset({name(2)}), heads=(head(4),)),
        [(ReasonCode.DISAGREES, Known.DIFFERS, ((1, 3),))],
    ),
    "only the first of two shifts": (
        but(complete(), turnos=2),
        [(ReasonCode.NOT_CLOSED, Known.NOT_PRODUCED, ())],
    ),
    "what an earlier till never sent": (
        but(complete(), marks=(mark(9, epoch="aaaaaaaa", latest=False), mark(3, shipped=3)), heads=(head(7, epoch="aaaaaaaa", age=0, first=DAY, last=DAY), head(3, first=DAY, last=DAY))),
        [(ReasonCode.MISSING, Known.IN_TRANSIT, ((8, 9),))],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("site", "expected"), OWING.values(), ids=OWING)
def test_what_is_owed(
    site: SiteDay, expected: list[tuple[ReasonCode, Known | None, tuple[tuple[int, int], ...]]]
) -> None:
    verdict = judge(site)
    assert not verdict.complete
    assert owed(site) == expected
    for reason in verdict.reasons:
        assert reason.site == SITE
        assert reason.command is not None
        assert reason.command.startswith("filesync ")
        assert reason.at in (SITE, "matriz")
        assert SITE in reason.message
        assert reason.to_json()["code"] == reason.code.value


FINE = {
    "a day without sales, said": but(complete(), closings=(closing(),), batches=(CLOSE,), heads=(head(1, "fechamento"),), marks=()),
    "numbers of other days in between": but(
        complete(), closings=(closing(claim(1, 9, batches=3)),), batches=(batch(1), batch(5), batch(9), CLOSE), heads=(head(9),)
    ),
    "later numbers that the close does not name": but(complete(), marks=(mark(99, shipped=3),)),
    "a rejected batch that another stands in for": but(
        complete(), batches=(*REJECTED_2, batch(4, replaces=name(2))), replaced=frozenset({name(2)}), heads=(head(4),)
    ),
    "a rejected batch and its stand-in, both named": but(
        complete(), closings=(closing(claim(1, 4), sales=30),), batches=(*REJECTED_2, batch(4, replaces=name(2))), replaced=frozenset({name(2)}), heads=(head(4),)
    ),
    "a rejected batch and its stand-in, the first not counted": but(
        complete(), closings=(closing(claim(1, 4, batches=3)),), batches=(*REJECTED_2, batch(4, replaces=name(2))), replaced=frozenset({name(2)}), heads=(head(4),)
    ),
    "a rejected batch that was given up": but(complete(), batches=REJECTED_2, voids=(void(2),)),
    "a lost batch that was given up, nobody knows what it held": but(complete(), batches=(SOLD[0], SOLD[2], CLOSE), voids=(void(2),)),
    "a lost batch that was given up by its origin": but(complete(), batches=(SOLD[0], SOLD[2], CLOSE), voids=(void(2, known=True),)),
    "a batch in part, whose other sales came in another way": but(
        complete(), closings=(closing(claim(1, 4), sales=39),), batches=(*PARTIAL_2[:3], batch(4), CLOSE), held=Held(39, 39_000), heads=(head(4),)
    ),
    "a late batch that is only noted": but(complete(), batches=(*SOLD, CLOSE, batch(4)), noted=frozenset({"vendas"}), heads=(head(4),)),
    "a late batch that its contract refused": but(
        complete(), batches=(*SOLD, CLOSE, replace(batch(4, verdict=Verdict.REJECTED), problem_code="late-refused")), heads=(head(4),)
    ),
    "a close that says nothing of rows": but(complete(), closings=(closing(replace(claim(1, 3), rows={}, totals={})),)),
    "two shifts, the second closed": but(
        complete(), turnos=2, closings=(closing(claim(1, 2)), closing(claim(1, 3), turno=2, sales=10))
    ),
    "a rejected close that was said again": but(
        complete(), batches=(*SOLD, replace(CLOSE, verdict=Verdict.REJECTED), batch(2, "fechamento", documents=1)), heads=(head(3), head(2, "fechamento"))
    ),
    "what an earlier till sent, which the new one cannot name": but(
        complete(), batches=(batch(8, epoch="aaaaaaaa"), *SOLD, CLOSE),
        heads=(head(8, epoch="aaaaaaaa", age=0), head(3), head(1, "fechamento")),
    ),
    "a debt of an earlier till of days that are over": but(
        complete(), marks=(mark(9, epoch="aaaaaaaa", latest=False), mark(3, shipped=3)),
        heads=(head(7, epoch="aaaaaaaa", age=0, first=DAY, last=DAY - timedelta(days=9)), head(3, first=DAY - timedelta(days=5), last=DAY)),
    ),
    "a copy of what was decided, still in the inbox": but(complete(), waiting=(lying(2, "unread"),)),
}  # fmt: skip


@pytest.mark.parametrize("site", FINE.values(), ids=FINE)
def test_what_is_complete(site: SiteDay) -> None:
    assert judge(site).reasons == ()


def test_the_command_for_a_posto_sends_and_for_a_caixa_closes() -> None:
    assert only(SILENT).command == "filesync send-remote --date 2026-03-02 --contado VALOR"
    assert only(but(SILENT, role=Role.CAIXA)).command == "filesync close --date 2026-03-02 --contado VALOR"
    assert (
        only(but(complete(), turnos=2)).command
        == "filesync send-remote --date 2026-03-02 --turno 2 --contado VALOR"
    )


def test_what_only_a_dead_till_could_send_again_is_given_up() -> None:
    """Its description came on a stick, its content is lost. To ask for it again would ask nobody, for good."""
    old = but(NOT_CLOSED, waiting=(lying(1, "payload-missing", "fechamento"),))
    (reason,) = judge(old).reasons
    assert reason.command == f"filesync resend fechamento.{SITE}.matriz 1"
    gone = (mark(3, shipped=3, latest=False), mark(1, shipped=1, epoch=LATER_EPOCH))
    (reason, *_) = judge(but(old, marks=gone)).reasons
    assert reason.command == f"filesync void fechamento.{SITE}.matriz 1 --epoch {EPOCH} --reason …"


def test_who_can_fetch_need_not_ask_the_site_to_send() -> None:
    site = but(NOT_CLOSED, marks=(mark(1, "fechamento", shipped=0),))
    assert (only(site).at, only(site).command) == (SITE, "filesync exchange")
    pulled = only(but(site, pulled=True))
    assert pulled.at == "matriz"
    assert "filesync receive-remote --date 2026-03-02" in pulled.action


def test_a_void_without_content_is_written_down_as_such() -> None:
    verdict = judge(but(complete(), batches=(SOLD[0], SOLD[2], CLOSE), voids=(void(2), void(77))))
    assert [(v["seq"], v["known"], v["by"]) for v in verdict.evidence["voids"]] == [
        (2, "voided-unknown", "Ana")
    ]


# ------------------------------------------------------------------------------------------------ properties


@given(count=st.integers(1, 8), lost=st.data())
def test_no_batch_can_be_missing_unnoticed(count: int, lost: st.DataObject) -> None:
    """Invariant 9: take anything away that a complete day rests on, and it is not complete."""
    whole = complete(count)
    assert judge(whole).complete
    place = lost.draw(st.integers(0, count))
    left = tuple(b for at, b in enumerate(whole.batches) if at != place)
    if place == count:  # the close
        assert not judge(but(whole, batches=left, closings=())).complete
    else:
        # Whether the ledger stopped before it, or went on over it without its rows.
        assert not judge(but(whole, batches=left)).complete
        assert not judge(but(whole, batches=left, heads=(head(place), head(1, "fechamento")))).complete


@given(
    verdicts=st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=6),
    voided=st.sets(st.integers(1, 6)),
    replaced=st.sets(st.integers(1, 6)),
)
def test_what_was_refused_is_owed_until_it_is_replaced_or_given_up(
    verdicts: list[Verdict], voided: set[int], replaced: set[int]
) -> None:
    count = len(verdicts)
    batches = [batch(seq, verdict=verdict, applied=9) for seq, verdict in enumerate(verdicts, 1)]
    stand_ins = [batch(count + seq, replaces=name(seq)) for seq in sorted(replaced) if seq <= count]
    site = but(
        complete(count), batches=(*batches, *stand_ins, CLOSE), heads=(head(count + 6),), voids=tuple(void(seq) for seq in sorted(voided)),
        replaced=frozenset(b.replaces for b in stand_ins if b.replaces),
    )  # fmt: skip
    owing = (
        {seq for seq, verdict in enumerate(verdicts, 1) if verdict is not Verdict.APPLIED} - voided - replaced
    )
    told = {reason.seqs[0][0] for reason in judge(site).reasons if reason.code is ReasonCode.REFUSED}
    assert told == owing


_WAITING = st.builds(
    lying,
    st.integers(1, 4),
    st.sampled_from(["hole", "payload-missing", "unread", "set-aside"]),
    st.sampled_from(["vendas", "fechamento"]),
)


@given(
    waiting=st.lists(_WAITING, max_size=4),
    closes=st.lists(st.sampled_from(list(Verdict)), max_size=2),
    decided=st.integers(0, 4),
    given_up=st.integers(0, 4),
)
def test_no_day_is_complete_without_its_close(
    waiting: list[WaitingBatch], closes: list[Verdict], decided: int, given_up: int
) -> None:
    """Whatever lies there, was refused or given up: what is no close that counts is a reason, or there is another one."""
    refused = [batch(seq, "fechamento", documents=1, verdict=v) for seq, v in enumerate(closes, 1)]
    heads = (head(3), *([head(decided, "fechamento")] if decided else ()))
    voids = tuple(replace(void(seq), feed=feed("fechamento")) for seq in range(1, given_up + 1))
    site = but(NOT_CLOSED, waiting=tuple(waiting), batches=(*SOLD, *refused), heads=heads, voids=voids)
    assert judge(site).reasons


@given(first=st.integers(1, 50), length=st.integers(0, 50), taken=st.sets(st.integers(1, 120)))
def test_ranges_without_some_numbers(first: int, length: int, taken: set[int]) -> None:
    last = first + length
    ranges = without((first, last), taken)
    numbers = [seq for start, end in ranges for seq in range(start, end + 1)]
    assert numbers == [seq for seq in range(first, last + 1) if seq not in taken]
    assert len(ranges) <= len(taken) + 1


def test_a_hole_as_long_as_numbers_go_costs_nothing() -> None:
    site = but(SILENT, marks=(mark(9_999_999_999, shipped=5),))
    assert owed(site)[1:] == [
        (ReasonCode.MISSING, Known.IN_TRANSIT, ((1, 5),)),
        (ReasonCode.MISSING, Known.UNSENT, ((6, 9_999_999_999),)),
    ]
    assert EPOCH != LATER_EPOCH
