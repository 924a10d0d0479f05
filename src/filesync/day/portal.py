"""`exportar_portal`: every customer's sales and postings of a day go from the matriz' own store to the portal, as batches.

Ordering rules:
1. The gate is asked, and its evidence written, before anything is sealed (routine.py). It holds for one customer as for all.
2. Customers (clientes) are sealed before sales, so that names come with the first sale. They are their own feed; a source of them that
   cannot be read is told and keeps no sale back.
3. What is sealed is what the store holds and the portal was not sent with this content: again is harmless, a sale that was cancelled or
   corrected since goes as a newer version, and after one customer's sales the rest of them are what goes with everybody's.
4. The step is done when the portal has answered every batch of the day with APPLIED. The mark remembers the newest arrival that it
   covers: a later one makes it stale, and the next export sends what changed.

Sales without a customer go too: the agency's report needs them. A sale that moved to another business date goes with the export of that
date, and until then stands under its old one at the portal: `moved_to` says so. Not here: what the portal shows (stores/reporting.py), and which steps the gate needs (steps of the day, by configuration).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from filesync.contracts.digests import row_digests
from filesync.day import routine
from filesync.day.values import Closed, StepOutcome, StepReport
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange.reports import ExchangeReport, Held, Progress
from filesync.protocol.identity import BatchName, Role
from filesync.protocol.receipt import Verdict
from filesync.stores.reporting import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import date
    from pathlib import Path

    from filesync.day.values import DoneMark
    from filesync.exchange.context import Context
    from filesync.exchange.reports import SealReport
    from filesync.exchange.station import Station
    from filesync.stores.values import DaySealed

STEP: Final = "exportar_portal"
VENDAS, CLIENTES = "vendas", "clientes"
#: How long to wait before the portal is asked for its receipts again.
ASK_AGAIN_S: Final = 1.0


class PortalState(Enum):
    """How far a day is at the portal."""

    NOT_DONE = "not-done"  # not sent, or not all of it
    WAITING = "waiting"  # sent, waits for receipts
    REFUSED = "refused"  # the portal refused a batch, or documents of it
    DONE = "done"
    STALE = "stale"  # done, and sales of the day came or changed since


@dataclass(frozen=True, slots=True)
class PortalDay:
    """A day as the ledger of this site has it towards the portal. Names of batches; `refused` with what the portal said of them."""

    state: PortalState
    waiting: tuple[str, ...] = ()
    refused: tuple[tuple[str, Verdict], ...] = ()


@dataclass(slots=True)
class PortalReport:
    """What an export came to. `total`, `clients` and `without_client` are of what was asked for, as the store holds it now.

    `through`: the newest arrival that the export covers. `clientes` is None where this site has no source of them, `names_sent` whether they
    were ever sent. `moved_to`: days whose own export takes sales away from this one at the portal.
    """

    day: date
    client: str | None
    recipients: tuple[str, ...]
    evidence: Path
    through: int
    vendas: SealReport
    clientes: SealReport | None
    clientes_failed: Held | None
    names_sent: bool
    total: Sums
    clients: int
    without_client: Sums
    exchange: ExchangeReport = field(default_factory=ExchangeReport)
    standing: PortalDay = field(default_factory=lambda: PortalDay(PortalState.NOT_DONE))
    moved_to: tuple[date, ...] = ()


def export_portal(
    station: Station, day: date, *, client: str | None = None, again: bool = False
) -> PortalReport:
    """Seal what the portal does not have of the day, send it, and take its receipts.

    With `client` only that customer's sales; the step is not done by that. With `again` also what was sent before. Raises `GateClosedError`; ConfigError `portal-missing` where no
    peer is a portal.
    """
    ctx = station.context
    audience = audience_of(ctx)
    evidence = routine.open_gate(ctx, STEP, day)
    clientes, failed = _send_clients(station, audience)
    through = _newest(ctx, day)  # before the store is read: what comes meanwhile is not covered
    having = {} if client is None else {"cliente": client}
    vendas = station.export(VENDAS, business_date=day, to=audience, again=again, having=having)
    total, clients, without = _movement(ctx, day, client)
    recipients = ctx.settings.members(audience)
    names_sent = ctx.store.head(CLIENTES, audience) is not None
    report = PortalReport(
        day, client, recipients, evidence, through, vendas, clientes, failed, names_sent, total, clients, without
    )  # fmt: skip
    report.moved_to = moved_to(ctx, day)
    ask(station, report)
    return report


def ask(station: Station, report: PortalReport) -> None:
    """Send what waits for the portal, fetch its receipts, and mark the step when it has answered everything."""
    ctx = station.context
    went = report.exchange = ExchangeReport(report.exchange.shipped, report.exchange.fetched)
    for name in report.recipients:
        if ctx.settings.peers[name].link is not None:
            now = station.exchange(name)
            for moved, more in ((went.shipped, now.shipped), (went.fetched, now.fetched)):
                for peer, count in more.items():
                    moved[peer] = moved.get(peer, 0) + count
            went.unreachable |= now.unreachable
            went.codes |= now.codes
            went.disk_low = went.disk_low or now.disk_low
        station.settle(name)
    report.standing = portal_day(ctx, report.day)
    whole = report.client is None and not (report.vendas.refused or report.vendas.held)
    refused = {name for name, _ in report.standing.refused}
    # What was just sealed is there once it is answered; the day is read again only where something was refused.
    if (
        whole
        and not report.standing.waiting
        and (not refused or _there(ctx, report.day, audience_of(ctx), refused))
    ):
        _done(ctx, report.day, report.through, report.total, report.evidence)
        report.standing = portal_day(ctx, report.day)


def await_receipts(
    station: Station, report: PortalReport, patience_s: float, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Ask the portal again until it has answered, or the patience is over."""
    count, waited = len(report.standing.waiting), 0.0
    while report.standing.waiting:
        done = count - len(report.standing.waiting)
        station.context.observe(Progress("receipts of the portal", done, count, "batches"))
        if waited >= patience_s:
            return
        sleep(min(ASK_AGAIN_S, patience_s - waited))
        waited += ASK_AGAIN_S
        ask(station, report)


def portal_day(ctx: Context, day: date) -> PortalDay:
    """How far the day is at the portal, from the ledger alone."""
    sealed = [
        batch
        for batch in ctx.store.days.sealed(day)
        if (batch.feed.origin, batch.feed.dataset) == (ctx.me, VENDAS)
    ]
    replaced = {batch.replaces for batch in sealed if batch.replaces is not None}
    waiting = tuple(batch.name for batch in sealed if None in batch.verdicts.values())
    refused = tuple(
        (batch.name, worst)
        for batch in sealed
        if batch.name not in replaced and (worst := _worst(batch)) is not None
    )
    mark = _mark(ctx, day)
    if waiting:
        state = PortalState.WAITING
    elif mark is not None:
        state = PortalState.STALE if outdated(ctx, mark) else PortalState.DONE
    elif refused:
        state = PortalState.REFUSED
    else:
        state = PortalState.NOT_DONE
    return PortalDay(state, waiting, refused)


def outdated(ctx: Context, mark: DoneMark) -> bool:
    """Whether sales of the day came or changed since the step was done. Of a mark that a person made nobody knows what it covers."""
    covers = mark.detail.get("through")
    return isinstance(covers, int) and _newest(ctx, mark.day) > covers


def moved_to(ctx: Context, day: date) -> tuple[date, ...]:
    """The days to which sales of this one were moved since they were last exported: the portal still has them here."""
    found = []
    for other, batch_id in sorted(ctx.store.days.moved_to(day, VENDAS).items()):
        mark = _mark(ctx, other)
        through = None if mark is None else mark.detail.get("through")
        if other != day and (not isinstance(through, int) or through < batch_id):
            found.append(other)
    return tuple(found)


def audience_of(ctx: Context) -> str:
    """The portal, or the group of portals that `[datasets.vendas] to` names."""
    configured = ctx.settings.dataset(VENDAS).to
    if configured is not None:
        ctx.settings.members(configured)
        return configured
    portals = sorted(name for name, peer in ctx.settings.peers.items() if peer.role is Role.PORTAL)
    if len(portals) == 1:
        return portals[0]
    if not portals:
        raise ConfigError("portal-missing", f"no peer of {ctx.me} is a portal")
    raise ConfigError(
        "audience-missing",
        f"{len(portals)} peers are portals: {', '.join(portals)}; say which under [datasets.vendas] with `to` (`portals` for all of them)",
    )


# ------------------------------------------------------------------------------------------------ the routine's runner


def run(station: Station, day: date) -> StepReport:
    """The step, when it runs by itself. While the portal owes receipts nothing is sealed again: the day is not read over and over."""
    ctx = station.context
    if (now := portal_day(ctx, day)).waiting:
        return _step(day, StepOutcome.NOTHING, f"sent, waits for {len(now.waiting)} receipts", now)
    report = export_portal(station, day)
    now = report.standing
    if now.state is PortalState.DONE:
        return _step(day, StepOutcome.RAN, _at_the_portal(report.total), now)
    if now.refused and not now.waiting:
        name, verdict = now.refused[0]
        return replace(
            _step(day, StepOutcome.FAILED, f"the portal answered {name} with {verdict.value}", now),
            code="rejected",
        )
    if report.vendas.held:  # the rest is sent
        held = report.vendas.failed[0]
        return replace(_step(day, StepOutcome.FAILED, held.message, now), code=held.code)
    return _step(day, StepOutcome.OPENED, f"sent, waits for {len(now.waiting)} receipts", now)


def confirm(station: Station, settled: Iterable[str]) -> list[StepReport]:
    """The step is done for days whose last receipts of the portal came just now (`settled`: names of batches), whoever had begun it."""
    ctx = station.context
    names = [BatchName.parse(name) for name in settled]
    ours = [n for n in names if (n.id.feed.origin, n.id.feed.dataset) == (ctx.me, VENDAS)]
    done = []
    for day, audience in sorted({(n.business_date, n.id.feed.audience) for n in ours}):
        now, through = portal_day(ctx, day), _newest(ctx, day)
        if now.waiting or now.state is PortalState.DONE:
            continue
        if isinstance(routine.decide(ctx, STEP, day), Closed):
            continue  # reopened meanwhile: there is more to come
        if _there(ctx, day, audience, {name for name, _ in now.refused}):
            total, *_ = _movement(ctx, day, None)
            _done(ctx, day, through, total)
            done.append(_step(day, StepOutcome.RAN, _at_the_portal(total), portal_day(ctx, day)))
    return done


def _at_the_portal(total: Sums) -> str:
    return f"{total.sales + total.cancelled} sales are at the portal"


def _step(day: date, outcome: StepOutcome, message: str, now: PortalDay) -> StepReport:
    detail = {"state": now.state.value, "waiting": list(now.waiting)}
    return StepReport(STEP, day, outcome, message, detail=detail)


routine.RUNNERS[STEP] = run


# ------------------------------------------------------------------------------------------------ inside


def _send_clients(station: Station, audience: str) -> tuple[SealReport | None, Held | None]:
    """The whole cadastro: an unchanged one seals nothing, and who is gone becomes inactive at the portal."""
    if CLIENTES not in station.context.settings.sources:
        return None, None
    try:
        try:
            return station.export(CLIENTES, to=audience, full=True), None
        except ConfigError as err:
            if err.code != "source-ambiguous":  # several files: none of them is the whole
                raise
            return station.export(CLIENTES, to=audience), None
    except (ConfigError, RejectedError, TransportError) as err:
        return None, Held(station.context.me, CLIENTES, err.code, err.message)


def _movement(ctx: Context, day: date, client: str | None) -> tuple[Sums, int, Sums]:
    """What is held of what was asked for: in all, of how many customers, and without one."""
    vendas = ctx.contracts.latest(VENDAS)
    if vendas is None:
        raise ConfigError("dataset-unknown", f"no contract for {VENDAS!r}")
    if client is not None:
        with ctx.store.reporting.client(vendas, None, day, client) as one:
            return one.client.sums, int(one.client.sums.sales > 0), Sums()
    with ctx.store.reporting.agency(vendas, None, day) as every:
        return every.total, every.clients_count, every.without_client


def _done(ctx: Context, day: date, through: int, total: Sums, opened: Path | None = None) -> None:
    """Mark the step, unless it is marked for just this."""
    detail = {
        "through": through,
        "sales": total.sales,
        "cancelled": total.cancelled,
        "total_centavos": total.total_centavos,
    }
    mark = _mark(ctx, day)
    if mark is None or any(mark.detail.get(name) != value for name, value in detail.items()):
        routine.mark_done(ctx, STEP, day, by=routine.BY_ITSELF, detail=detail, opened=opened)


def _there(ctx: Context, day: date, audience: str, refused: Collection[str]) -> bool:
    """Whether every sale of the day was sealed for the portal with its present content, and last in a batch that is none of `refused`.

    Reads the day. Of a batch that was applied in part nobody here knows which of its documents were not: all of them count as owed.
    """
    contract = ctx.contracts.latest(VENDAS)
    if contract is None:
        return False
    bad = [batch.batch_id for batch in ctx.store.days.sealed(day) if batch.name in refused]
    for table in ctx.store.read_documents(contract, business_date=day):
        digests = row_digests(table, contract.key)
        asked = pa.table(
            {
                "key_digest": digests.keys,
                "content_digest": digests.contents,
                "row": pa.array(np.arange(table.num_rows)),
            }
        )
        if ctx.store.unsealed(VENDAS, audience, asked).num_rows:
            return False
        if bad and np.isin(ctx.store.days.sealed_in(VENDAS, audience, asked), bad).any():
            return False
    return True


def _mark(ctx: Context, day: date) -> DoneMark | None:
    return next((mark for mark in ctx.store.days.done(day) if mark.step == STEP), None)


def _newest(ctx: Context, day: date) -> int:
    """The newest batch that moved sales of the day here, into it or out of it."""
    left = ctx.store.days.left(day, VENDAS)
    arrived = (
        batch.batch_id
        for batch in ctx.store.days.arrived(day)
        if batch.feed.dataset == VENDAS and batch.verdict is not Verdict.REJECTED
    )
    return max([*arrived, *left.values()], default=0)


def _worst(batch: DaySealed) -> Verdict | None:
    return next((v for v in (Verdict.REJECTED, Verdict.PARTIAL) if v in batch.verdicts.values()), None)
