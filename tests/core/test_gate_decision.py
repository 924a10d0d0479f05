"""The gate's decision: which steps wait for which, what an override takes away and for how long, and what an opening writes down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from day_samples import AT, DAY, SITE, but, complete, head, mark
from hypothesis import given
from hypothesis import strategies as st

from filesync.config import Ending, Step, StepSection, day_steps
from filesync.day.gate import decide
from filesync.day.values import Closed, DayStanding, Decision, DoneMark, Open, Override, ReasonCode, SiteDay
from filesync.errors import ConfigError
from filesync.protocol.envelope import canonical

NOW = datetime(2026, 3, 2, 19, tzinfo=timezone(timedelta(hours=-3)))
STEPS = day_steps({})
SILENT = SiteDay("posto-norte", DAY, due=True)


def standing(
    *sites: SiteDay, done: tuple[str, ...] = (), overrides: tuple[Override, ...] = ()
) -> DayStanding:
    marks = {step: DoneMark(step, DAY, "Ana", AT) for step in done}
    return DayStanding(DAY, sites or (complete(),), marks, overrides)


def given_for(
    step: str, site: str | None = None, *, hours: float = 24, number: int = 1, **more: Any
) -> Override:
    until = (NOW + timedelta(hours=hours)).isoformat()
    return Override(number, step, DAY, site, "posto sem luz", "Ana", "Rui", AT, until, **more)


def ask(step: str, of: DayStanding, now: datetime = NOW) -> Decision:
    return decide(step, of, now, steps=STEPS)


def codes(decision: Decision) -> list[ReasonCode]:
    return [reason.code for reason in decision.reasons] if isinstance(decision, Closed) else []


ORDER = [
    ("receber_vendas_remotas", (), []),
    ("importar_bdf", (), []),
    ("importar_ca", (), []),
    ("conciliar", (), ["importar_bdf", "importar_ca"]),
    ("conciliar", ("importar_bdf",), ["importar_ca"]),
    ("conciliar", ("importar_bdf", "importar_ca"), []),
    ("exportar_sara", (), []),
    ("exportar_portal", (), ["exportar_sara"]),
    ("exportar_portal", ("exportar_sara",), []),
]


@pytest.mark.parametrize(("step", "done", "waits_for"), ORDER)
def test_the_order_of_the_day(step: str, done: tuple[str, ...], waits_for: list[str]) -> None:
    decision = ask(step, standing(done=done))
    assert isinstance(decision, Closed if waits_for else Open)
    if isinstance(decision, Closed):
        assert [reason.detail["step"] for reason in decision.reasons] == waits_for
        assert all(reason.command and "2026-03-02" in reason.command for reason in decision.reasons)


@pytest.mark.parametrize("step", [name for name in STEPS if name != "exportar_sara"])
def test_one_site_that_owes_closes_every_step_that_rests_on_the_sales(step: str) -> None:
    decision = ask(step, standing(complete(), SILENT, done=tuple(STEPS)))
    assert codes(decision) == [ReasonCode.NOT_CLOSED]


def test_a_day_of_nobody_has_no_evidence() -> None:
    decision = ask("importar_bdf", DayStanding(DAY, ()))
    assert codes(decision) == [ReasonCode.NOBODY_DUE]
    assert isinstance(ask("importar_bdf", DayStanding(DAY, (), {}, (given_for("importar_bdf"),))), Open)


def test_a_step_that_there_is_not() -> None:
    with pytest.raises(ConfigError) as error:
        ask("importar_tudo", standing())
    assert error.value.code == "step-unknown"


# ------------------------------------------------------------------------------------------------ overrides


def test_an_override_opens_what_it_was_given_for_and_what_rests_on_that() -> None:
    owing = standing(complete(), SILENT, overrides=(given_for("receber_vendas_remotas"),))
    for step in ("receber_vendas_remotas", "importar_bdf", "importar_ca"):
        decision = ask(step, owing)
        assert isinstance(decision, Open)
        assert [given.id for given in decision.overrides] == [1]
        assert [given["by"] for given in decision.evidence.signed["overrides"]] == ["Ana"]
    only_bdf = standing(complete(), SILENT, overrides=(given_for("importar_bdf"),))
    assert isinstance(ask("importar_bdf", only_bdf), Open)
    assert isinstance(ask("importar_ca", only_bdf), Closed)


def test_an_override_for_a_site_leaves_the_others_owing() -> None:
    other = but(SILENT, site="posto-sul")
    one = given_for("importar_bdf", "posto-norte")
    decision = ask("importar_bdf", standing(SILENT, other, overrides=(one,)))
    assert isinstance(decision, Closed)
    assert {reason.site for reason in decision.reasons} == {"posto-sul"}
    both = standing(SILENT, other, overrides=(one, given_for("importar_bdf", "posto-sul", number=2)))
    assert isinstance(ask("importar_bdf", both), Open)


def test_an_override_for_a_site_does_not_do_an_earlier_step() -> None:
    decision = ask("conciliar", standing(SILENT, overrides=(given_for("conciliar", "posto-norte"),)))
    assert codes(decision) == [ReasonCode.STEP_NOT_DONE, ReasonCode.STEP_NOT_DONE]


@pytest.mark.parametrize(
    ("given", "open_"),
    [
        (given_for("importar_bdf"), True),
        (given_for("importar_bdf", hours=-0.01), False),
        (given_for("importar_bdf", revoked_at=AT, revoked_by="Ana"), False),
        (given_for("importar_ca"), False),
        (given_for("conciliar"), False),
    ],
    ids=["in force", "over", "taken back", "another step", "a later step"],
)
def test_an_override_holds_for_its_step_and_time(given: Override, open_: bool) -> None:
    assert isinstance(ask("importar_bdf", standing(SILENT, overrides=(given,))), Open) is open_


def test_an_override_that_nothing_needed_is_no_part_of_the_evidence() -> None:
    decision = ask("importar_bdf", standing(overrides=(given_for("importar_bdf"),)))
    assert isinstance(decision, Open)
    assert decision.overrides == ()
    assert decision.evidence == _opened(standing()).evidence


# ------------------------------------------------------------------------------------------------ evidence


def _opened(of: DayStanding, now: datetime = NOW) -> Open:
    decision = ask("importar_bdf", of, now)
    assert isinstance(decision, Open)
    return decision


def test_evidence_holds_what_it_relied_on_and_no_clock() -> None:
    signed = _opened(standing()).evidence.signed
    assert (signed["kind"], signed["step"], signed["day"]) == ("gate", "importar_bdf", "2026-03-02")
    (site,) = signed["sites"]
    assert site["site"] == SITE
    assert {proof["verdict"] for proof in site["batches"]} == {"APPLIED"}
    assert all(len(proof[part]) == 64 for proof in site["batches"] for part in ("manifest_sha256", "payload_sha256", "receipt_sha256"))  # fmt: skip
    later = _opened(standing(), NOW + timedelta(days=400)).evidence.signed
    assert canonical(later) == canonical(signed)


def test_the_same_standing_makes_the_same_bytes_whatever_was_heard_in_between() -> None:
    heard = but(complete(), last_contact="2027-01-01T00:00:00-03:00", marks=(mark(40, shipped=3),))
    assert canonical(_opened(standing(heard)).evidence.signed) == canonical(
        _opened(standing()).evidence.signed
    )


def test_other_evidence_makes_other_bytes() -> None:
    whole = complete()
    other = but(whole, batches=(replace(whole.batches[0], receipt_sha256="f" * 64), *whole.batches[1:]))
    assert canonical(_opened(standing(other)).evidence.signed) != canonical(
        _opened(standing()).evidence.signed
    )


def test_a_step_that_asks_nothing_of_the_sales_lists_none() -> None:
    decision = ask("exportar_sara", standing(complete(), SILENT))
    assert isinstance(decision, Open)
    assert decision.evidence.signed["sites"] == []


@given(
    owing=st.lists(st.booleans(), min_size=1, max_size=6),
    done=st.sets(st.sampled_from(list(STEPS))),
    overrides=st.lists(
        st.builds(
            given_for,
            st.sampled_from(list(STEPS)),
            st.none() | st.integers(0, 5).map("site-{}".format),
            hours=st.sampled_from([-1.0, 1.0]),
        ),
        max_size=3,
    ),
    step=st.sampled_from(list(STEPS)),
)
def test_a_gate_opens_on_evidence_or_on_an_override_never_otherwise(
    owing: list[bool], done: set[str], overrides: list[Override], step: str
) -> None:
    """Invariant 9, over every mixture of sites, marks and overrides."""
    sites = tuple(
        but(complete(), site=f"site-{place}", heads=(head(0 if owes else 3), head(1, "fechamento")))
        if not owes
        else SiteDay(f"site-{place}", DAY, due=True)
        for place, owes in enumerate(owing)
    )
    numbered = tuple(replace(given, id=place) for place, given in enumerate(overrides))
    of = standing(*sites, done=tuple(done), overrides=numbered)
    decision = ask(step, of)
    behind = _behind(step)
    whole = not any(owing) or not any(STEPS[name].complete for name in behind)
    earlier = all(STEPS[name].ends is Ending.OPEN or name in done for name in behind - {step})
    if isinstance(decision, Open):
        used = {given.id for given in decision.overrides}
        assert used <= {given.id for given in numbered if given.in_force(NOW) and given.step in behind}
        assert (whole and earlier) or used
    else:
        assert decision.reasons
        assert not (whole and earlier)


def _behind(step: str) -> set[str]:
    return {step}.union(*(_behind(need) for need in STEPS[step].needs))


# ------------------------------------------------------------------------------------------------ steps are data


def test_a_step_can_be_changed_and_added() -> None:
    steps = day_steps(
        {
            "conciliar": StepSection(at="D+1 06:00", automatic=False),
            "malote": StepSection(needs=("conciliar",), ends=Ending.HAND),
        }
    )
    assert str(steps["conciliar"].at) == "D+1 06:00"
    assert steps["conciliar"].needs == ("importar_bdf", "importar_ca")
    assert list(steps)[-1] == "malote"
    assert decide("malote", standing(done=("importar_bdf", "importar_ca", "conciliar")), NOW, steps=steps)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"a": StepSection(needs=("b",))}, "b is no step"),
        ({"a": StepSection(needs=("a",))}, "needs itself"),
        ({"importar_bdf": StepSection(needs=("conciliar",))}, "needs itself"),
        ({"Conciliar": StepSection()}, "is called a-z"),
    ],
)
def test_steps_that_make_no_day(sections: dict[str, StepSection], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        day_steps(sections)


@pytest.mark.parametrize("text", ["06:00", "D+1", "D-1 06:00", "D+1 24:00", "D+1 06:60", "d 06:00"])
def test_a_time_of_the_day_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        StepSection(at=text)


def test_a_time_of_the_day() -> None:
    step = Step("x", at=day_steps({"x": StepSection(at="D+1 06:00")})["x"].at)
    assert step.at is not None
    assert step.at.on(DAY, NOW.tzinfo) == datetime(2026, 3, 3, 6, tzinfo=NOW.tzinfo)
