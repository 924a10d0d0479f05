"""A movement day on one page, and many days as colours. Reads only; every answer comes from the ledger as it is now.

- The page is the gate's own judgement (standing.py, completeness.py, gate.py), never one of its own: what it calls complete is what the
  gate calls complete.
- Overrides are on it for ever, whether they hold still or not: whoever reads the page later must see that the order was left.
- Open becomes overdue at the time when the day should be received (`at` of the first step that asks for a complete day, OVERDUE
  otherwise), by this site's clock; nothing is decided by it.

What is not here: how it looks (cli/days.py), what is packed for an auditor (dossier.py).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from filesync.config import DayTime, Ending
from filesync.day import gate, portal, reconciling
from filesync.day.page import DayCell, DayPage, Money, SiteLine, SiteState, StepLine, StepState
from filesync.day.standing import Ledger
from filesync.day.values import Open, ReasonCode
from filesync.errors import ConfigError
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date

    from filesync.day.standing import Judged
    from filesync.day.values import SiteDay, SiteVerdict
    from filesync.exchange.context import Context
    from filesync.stores.tickets import TicketSeries

#: A day that is not complete by then is overdue, unless its first step says another time.
OVERDUE: Final = DayTime(1, time(6, 0))
#: The dataset whose tickets and money the page shows.
SALES: Final = "vendas"
#: The state of a day is the first of these that one of its sites has.
_WORST: Final = (
    SiteState.OVERDUE, SiteState.LATE, SiteState.OPEN, SiteState.COMPLETE, SiteState.TO_COME, SiteState.NOT_DUE,
)  # fmt: skip


def page(ctx: Context, day: date) -> DayPage:
    """The page of a day, as it stands now. ConfigError `role-wrong` elsewhere."""
    at_matriz(ctx)
    now = ctx.clock()
    ledger = Ledger.read(ctx)
    judged = ledger.judge(day)
    there = {site.site for site in judged.standing.sites}
    overdue = overdue_from(ctx, day, now)
    sales = _sales_held(ctx, day, there)
    lines = tuple(
        SiteLine(site, verdict, site_state(site, verdict, now, overdue), *sales.get(site.site, (0, 0)))
        for site, verdict in zip(judged.standing.sites, judged.verdicts, strict=True)
    )
    return DayPage(
        day,
        ctx.me,
        day_state([line.state for line in lines]),
        judged.standing,
        lines,
        tuple(due for due in ledger.roster.sites(day) if due.site not in there),
        tuple(_step(ctx, step, judged, now) for step in ctx.settings.steps),
        tuple(series for series in _ticket_series(ctx, day) if series.missing or series.repeated),
        _money(ctx, day),
        tuple(ctx.store.files.of_day(day)),
        reconciling.summary(ctx, day),
        tuple(ctx.store.days.events(day)),
    )


def calendar(ctx: Context, first: date, last: date) -> list[DayCell]:
    """The days from `first` to `last` as colours. What holds for all of them is read once. ConfigError `role-wrong` elsewhere."""
    at_matriz(ctx)
    now, ledger = ctx.clock(), Ledger.read(ctx)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    stale = set(ctx.store.reconciling.stale_days(first, last))
    return [_cell(ctx, ledger.judge(day), now, stale) for day in days]


def _cell(ctx: Context, judged: Judged, now: datetime, stale: set[date]) -> DayCell:
    standing = judged.standing
    overdue = overdue_from(ctx, standing.day, now)
    pairs = list(zip(standing.sites, judged.verdicts, strict=True))
    states = [site_state(site, verdict, now, overdue) for site, verdict in pairs]
    counted = Counter(states)
    return DayCell(
        standing.day,
        day_state(states),
        len(states),
        counted[SiteState.COMPLETE],
        tuple(site.site for site, verdict in pairs if not verdict.complete),
        bool(standing.overrides),
        standing.day in stale,
    )


def at_matriz(ctx: Context) -> None:
    """Only a matriz knows who is due, and has everybody's receipts to judge by; ConfigError `role-wrong` elsewhere."""
    if ctx.settings.role is not Role.MATRIZ:
        raise ConfigError(
            "role-wrong",
            f"a movement day is received and judged at the matriz; {ctx.me} is a {ctx.settings.role.value}",
        )


def stale_among(ctx: Context, days: Collection[date]) -> set[date]:
    """Those of these days whose reconciliation does not hold (any more). Days that were never reconciled cost next to nothing."""
    if not days:
        return set()
    made = ctx.store.reconciling.days(min(days), max(days)).keys() & set(days)
    return set(ctx.store.reconciling.stale_days(min(made), max(made))) & made if made else set()


def site_state(site: SiteDay, verdict: SiteVerdict, now: datetime, overdue: datetime) -> SiteState:
    """Where the site's day stands; pure."""
    if verdict.complete:
        return SiteState.COMPLETE
    if site.day > now.date():
        return SiteState.TO_COME
    if all(reason.code is ReasonCode.LATE for reason in verdict.reasons):
        return SiteState.LATE
    return SiteState.OVERDUE if now >= overdue else SiteState.OPEN


def day_state(states: list[SiteState]) -> SiteState:
    """The day's, from its sites'."""
    return next((state for state in _WORST if state in states), SiteState.NOT_DUE)


def overdue_from(ctx: Context, day: date, now: datetime) -> datetime:
    """The moment, in the offset of `now`, from which a day that is not complete is overdue."""
    times = [step.at for step in ctx.settings.steps.values() if step.complete and step.at is not None]
    return (times[0] if times else OVERDUE).on(day, now.tzinfo)


def _sales_held(ctx: Context, day: date, sites: set[str]) -> dict[str, tuple[int, int]]:
    """For each site the number of sales of the day held here, and their sum."""
    contract = ctx.contracts.latest(SALES)
    return {} if contract is None else ctx.store.days.sales(contract, "total_centavos", day, sites)


def _ticket_series(ctx: Context, day: date) -> list[TicketSeries]:
    """The day's ticket numbers, as they are held, whatever batches brought them."""
    contract = ctx.contracts.latest(SALES)
    return [] if contract is None else ctx.store.ticket_series(contract, day)


def _step(ctx: Context, step: str, judged: Judged, now: datetime) -> StepLine:
    standing = judged.standing
    decision = gate.decide(
        step, standing, now, steps=ctx.settings.steps, here=ctx.me, verdicts=judged.verdicts
    )
    done = standing.done.get(step)
    by_hand = ctx.settings.steps[step].ends is Ending.HAND
    given = tuple(override for override in standing.overrides if override.step == step)
    outdated = step == portal.STEP and done is not None and portal.outdated(ctx, done)
    if isinstance(decision, Open):
        state = StepState.OVERRIDDEN if decision.overrides else StepState.OPEN
        line = StepLine(step, by_hand, StepState.DONE if done else state, done, (), given, outdated)
    else:
        state = StepState.DONE if done else StepState.CLOSED
        line = StepLine(step, by_hand, state, done, decision.reasons, given, outdated)
    return _at_the_portal(ctx, line, standing.day) if step == portal.STEP else line


def _at_the_portal(ctx: Context, line: StepLine, day: date) -> StepLine:
    refused = tuple(name for name, _ in portal.portal_day(ctx, day).refused)
    return replace(line, refused=refused, moved_to=portal.moved_to(ctx, day) if line.done else ())


def _money(ctx: Context, day: date) -> Money:
    contract = ctx.contracts.latest(SALES)
    if contract is None:
        return Money()
    with ctx.store.reporting.agency(contract, None, day) as agency:
        total = agency.total
        forms = {form.forma: form.valor_centavos for form in agency.forms}
    return Money(total.sales, total.cancelled, total.postings, total.total_centavos, forms)
