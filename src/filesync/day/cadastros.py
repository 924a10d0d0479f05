"""What this site holds of the cadastros, how old it is, and what of it is newer at the site that keeps them.

- A cadastro is a dataset whose contract has an active column. Its version is the number of the batch that was applied last.
- `behind` counts batches that the keeper says are sealed for us and that were not applied here: by its newest heartbeat, so only what it told.
- What is current on a day the store decides (stores/cadastros.py), by the day alone: no clock is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange.reports import Held
from filesync.protocol.heartbeat import Heartbeat
from filesync.protocol.identity import BatchName, Feed, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.exchange.context import Context
    from filesync.exchange.reports import SealReport
    from filesync.exchange.station import Station
    from filesync.stores.cadastros import NewestApplied

#: The cadastros of an Atualização Completa, in the order in which they go out: who may work comes before what is sold.
COMPLETE = ("funcionarios", "credenciais", "clientes", "produtos")


@dataclass(frozen=True, slots=True)
class Holding:
    """One cadastro here. `batch`, `mode`, `business_date` and `applied_at` are of the batch that was applied last; None where none was.

    `active` and `inactive` count documents on the day that was asked for, `upcoming` rows that begin after it. `behind`: batches that are
    sealed for this site and were not applied here.
    """

    dataset: str
    batch: BatchName | None
    mode: Mode | None
    business_date: date | None
    applied_at: str | None
    active: int
    inactive: int
    behind: int
    upcoming: int = 0


@dataclass(slots=True)
class CompleteReport:
    """What became of an export of all cadastros. `failed`: datasets that could not be exported, the others were."""

    exported: list[SealReport] = field(default_factory=list)
    failed: list[Held] = field(default_factory=list)
    without_source: list[str] = field(default_factory=list)


def export_complete(
    station: Station, *, business_date: date | None, to: str | None, full: bool, again: bool
) -> CompleteReport:
    """Export every cadastro that has a source; with `full` all of each, else what is new or changed. One that fails holds up no other."""
    ctx = station.context
    report = CompleteReport()
    for contract in cadastro_contracts(ctx):
        dataset = contract.dataset
        if dataset not in ctx.settings.sources:
            report.without_source.append(dataset)
            continue
        try:
            report.exported.append(
                station.export(dataset, business_date=business_date, to=to, full=full, again=again)
            )
        except (ConfigError, RejectedError, TransportError) as err:
            report.failed.append(Held(ctx.me, dataset, err.code, err.message))
    if not (report.exported or report.failed):
        raise ConfigError(
            "source-missing",
            f"none of {', '.join(report.without_source)} has a source: describe one under [datasets.produtos.source]",
        )
    return report


def cadastro_contracts(ctx: Context) -> list[Contract]:
    """The newest contract of every cadastro, in the order of an Atualização Completa, others after those."""
    known = (ctx.contracts.latest(dataset) for dataset in ctx.contracts.datasets())
    found = {one.dataset: one for one in known if one is not None and one.active_column is not None}
    ordered = [*(name for name in COMPLETE if name in found), *sorted(found.keys() - set(COMPLETE))]
    return [found[name] for name in ordered]


def holdings(ctx: Context, day: date) -> list[Holding]:
    """Every cadastro that is held here, or that a peer says is on its way."""
    newest: dict[str, NewestApplied] = {}
    for applied in ctx.store.cadastros.newest():
        newest[applied.feed.dataset] = applied
    behind = _behind(ctx)
    found = []
    for contract in cadastro_contracts(ctx):
        last, missing = newest.get(contract.dataset), behind.get(contract.dataset, 0)
        if last is None and not missing:
            continue
        counts = ctx.store.cadastros.counts(contract, day)
        found.append(
            Holding(
                contract.dataset,
                None if last is None else BatchName.parse(last.name),
                None if last is None else Mode(last.mode),
                None if last is None else date.fromisoformat(last.business_date),
                None if last is None else last.applied_at,
                counts.active,
                counts.inactive,
                missing,
                counts.upcoming,
            )
        )
    return found


def current_documents(ctx: Context, dataset: str, day: date) -> tuple[Contract, Iterator[pa.Table]]:
    """The active documents of a cadastro that are current on `day`, without what is secret in them, in bounded tables."""
    contract = next((one for one in cadastro_contracts(ctx) if one.dataset == dataset), None)
    if contract is None:
        known = ", ".join(one.dataset for one in cadastro_contracts(ctx))
        raise ConfigError("dataset-unknown", f"{dataset!r} is no cadastro; known: {known}")
    tables = ctx.store.cadastros.documents(contract, day)
    return contract, (_shown(contract, table) for table in tables)


def _shown(contract: Contract, table: pa.Table) -> pa.Table:
    """Without the texts of an encrypted contract, but for its key: one of them is the secret."""
    import pyarrow as pa  # slow to import, and most commands do without

    if not contract.encrypted:
        return table
    secret = [
        field.name
        for field in table.schema
        if field.name not in contract.key
        and not (pa.types.is_boolean(field.type) or pa.types.is_integer(field.type))
    ]
    return table.drop_columns(secret)


def _behind(ctx: Context) -> dict[str, int]:
    """For each dataset how many batches the peers say are sealed for this site and are not applied here."""
    standings = ctx.store.standings()
    found: dict[str, int] = {}
    for peer, heard in ctx.store.heard().items():
        if peer not in ctx.settings.peers:
            continue
        beat = Heartbeat.from_signed(heard.signed)
        for mark in beat.feeds:
            if mark.oldest_open is None:
                continue
            standing = standings.get((Feed(peer, mark.dataset, mark.audience), beat.epoch))
            first = max(mark.oldest_open, 1 if standing is None else standing.seq + 1)
            if (missing := mark.sealed - first + 1) > 0:
                found[mark.dataset] = found.get(mark.dataset, 0) + missing
    return found
