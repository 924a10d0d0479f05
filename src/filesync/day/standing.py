"""Read a movement day out of the ledger, for all sites at once: a dozen statements a day, however many sites there are.

What holds for many days (heads, heartbeats, voids, holes, the roster) is read once (`Ledger.read`). Inboxes are looked into only for sites
that are not complete without: whoever owes nothing has nothing waiting that matters.

Reads only. What is not here: what any of it means (completeness.py, gate.py).
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from filesync.contracts import Late
from filesync.day.completeness import judge
from filesync.day.roster import CLOSING, SALES, SiteRoster
from filesync.day.values import (
    Closing,
    DayStanding,
    FeedClaim,
    Held,
    Mark,
    SiteDay,
    SiteVerdict,
    WaitingBatch,
)
from filesync.exchange.arrivals import list_inbox
from filesync.protocol.identity import BatchName, parse_file_name
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from filesync.day.roster import DueSite
    from filesync.day.values import DayBatch, FeedHead
    from filesync.exchange.context import Context
    from filesync.stores.closings import ClosingRows
    from filesync.stores.hole_values import HoleRecord, VoidRecord


@dataclass(frozen=True, slots=True)
class Judged:
    """A day with every site's verdict, so that nobody judges it twice."""

    standing: DayStanding
    verdicts: tuple[SiteVerdict, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is asked of the ledger once, for any number of days. By site."""

    ctx: Context
    roster: SiteRoster
    heads: Mapping[str, list[FeedHead]]
    marks: Mapping[str, list[Mark]]
    contact: Mapping[str, str]
    voids: Mapping[str, list[VoidRecord]]
    holes: Mapping[str, list[HoleRecord]]
    noted: frozenset[str]

    @classmethod
    def read(cls, ctx: Context) -> Ledger:
        """As it is now. ConfigError where `sites.toml` cannot be understood."""
        store = ctx.store
        marks, contact = _marks(ctx)
        return cls(
            ctx, SiteRoster.of(ctx), _by_site((head.feed.origin, head) for head in store.days.heads(ctx.me)), marks, contact,
            _by_site((void.feed.origin, void) for void in store.holes.voids()),
            _by_site((hole.feed.origin, hole) for hole in store.holes.open()), _noted(ctx),
        )  # fmt: skip

    def judge(self, day: date) -> Judged:
        """The day of every site that is due or sent something of it, judged."""
        days = self.ctx.store.days
        sites = list(self._sites(day))
        verdicts = []
        for place, site in enumerate(sites):
            verdict = judge(site)
            if not verdict.complete:
                waiting = self._waiting(site)
                if waiting:
                    sites[place] = replace(site, waiting=waiting)
                    verdict = judge(sites[place])
            verdicts.append(verdict)
        standing = DayStanding(
            day, tuple(sites), {mark.step: mark for mark in days.done(day)}, tuple(days.overrides(day))
        )
        return Judged(standing, tuple(verdicts))

    # ------------------------------------------------------------------------------------------------ the parts of a day

    def _sites(self, day: date) -> Iterator[SiteDay]:
        days, me = self.ctx.store.days, self.ctx.me
        rostered = {due.site: due for due in self.roster.sites(day)}
        batches = _by_site(
            (batch.feed.origin, batch)
            for batch in days.arrived(day)
            if batch.feed.origin in rostered
            and batch.feed.dataset in rostered[batch.feed.origin].datasets | {CLOSING}
        )
        wanted = [due for due in rostered.values() if due.due or due.site in batches]
        closings = self._closings(day, [due.site for due in wanted])
        refused = [
            batch for found in batches.values() for batch in found if batch.verdict is not Verdict.APPLIED
        ]
        replaced = frozenset(days.replaced([batch.name for batch in refused]))
        partly = {batch.feed.origin for batch in refused if batch.verdict is Verdict.PARTIAL}
        # To count a day's sales costs going through all that are held: only where batches and closes alone cannot tell.
        unsure = {site for site, told in closings.items() if _sealed_again(told)} | set(days.left(day, SALES))
        held = self._held(day, partly | (unsure & set(closings)))
        for due in wanted:
            yield self._site(
                day, due, batches.get(due.site, []), closings.get(due.site, ()), replaced, held, me
            )

    def _site(
        self,
        day: date,
        due: DueSite,
        batches: Sequence[DayBatch],
        closings: tuple[Closing, ...],
        replaced: frozenset[str],
        held: Mapping[str, Held],
        me: str,
    ) -> SiteDay:
        site = due.site
        own = frozenset(batch.name for batch in batches) & replaced
        return SiteDay(
            site, day, due.due, due.turnos, due.datasets, closings, tuple(batches), own,
            tuple(self.voids.get(site, ())), (), tuple(self.heads.get(site, ())),
            tuple(self.marks.get(site, ())), held.get(site), tuple(self.holes.get(site, ())), self.contact.get(site), due.role, me, self._pulled(site), self.noted,
        )  # fmt: skip

    def _pulled(self, site: str) -> bool:
        peer = self.ctx.settings.peers.get(site)
        return peer is not None and peer.link is not None and not peer.relay

    def _held(self, day: date, sites: set[str]) -> dict[str, Held]:
        contract = self.ctx.contracts.latest(SALES)
        if not sites or contract is None:
            return {}
        found = self.ctx.store.days.sales(contract, "total_centavos", day, sites)
        return {site: Held(*found.get(site, (0, 0))) for site in sites}

    def _closings(self, day: date, sites: Sequence[str]) -> dict[str, tuple[Closing, ...]]:
        contract = self.ctx.contracts.latest(CLOSING)
        if contract is None:
            return {}
        return _closings(self.ctx.store.days.closings(contract, day, sites))

    def _waiting(self, site: SiteDay) -> tuple[WaitingBatch, ...]:
        """Batches of the day in the site's inbox, and those that were set aside without being decided."""
        listing = list_inbox(self.ctx, site.site)
        wanted = site.datasets | {CLOSING}
        lying = [
            name.batch
            for name in listing.manifests
            if name.batch.id.feed.dataset in wanted and name.batch.id.feed.origin == site.site
        ]
        stems = {name.rsplit(".", 1)[0] for name in listing.payloads} | {
            name.removesuffix(".jsonl.age") for name in listing.payloads
        }
        heads = {(head.feed, head.epoch): head.seq for head in site.heads}
        numbers = {(batch.id.feed, batch.id.epoch, batch.id.seq) for batch in lying}
        found = []
        for batch in lying:
            if batch.business_date != site.day:
                continue
            of = batch.id
            head = heads.get((of.feed, of.epoch), 0)
            before = ((of.feed, of.epoch, seq) in numbers for seq in range(of.seq - 1, head, -1))
            why = (
                "payload-missing"
                if batch.stem not in stems
                else "unread"
                if of.seq - head <= len(lying) and all(before)
                else "hole"
            )
            found.append(WaitingBatch(batch.stem, of.feed, of.epoch, of.seq, why))
        stems_here = {item.name for item in found}
        found += [
            WaitingBatch(batch.stem, batch.id.feed, batch.id.epoch, batch.id.seq, "set-aside")
            for batch in self._set_aside(site)
            if batch.stem not in stems_here
        ]
        return tuple(found)

    def _set_aside(self, site: SiteDay) -> list[BatchName]:
        try:
            names = sorted(entry.name for entry in os.scandir(self.ctx.folders.quarantine(site.site)))
        except FileNotFoundError:
            return []
        parsed = [parse_file_name(name) for name in names]
        return [
            file.batch
            for file in parsed
            if file is not None
            and file.format is None
            and file.recipient is None
            and file.batch.business_date == site.day
            and file.batch.id.feed.origin == site.site
            and file.batch.id.feed.dataset in site.datasets | {CLOSING}
        ]


def _sealed_again(closings: Sequence[Closing]) -> bool:
    """Whether the batches that the closes name hold more documents than were sold: some were sealed again, of this day or by now of another."""
    sealed = max(sum(c.documents for c in closing.feeds if c.dataset == SALES) for closing in closings)
    return sealed != sum(closing.sales for closing in closings)


def _closings(rows: ClosingRows) -> dict[str, tuple[Closing, ...]]:
    lines: dict[str, dict[tuple[Any, ...], list[dict[str, Any]]]] = {}
    for name in ("linhas", "totais"):
        lines[name] = defaultdict(list)
        for line in rows.lines.get(name, ()):
            lines[name][_of_feed(line)].append(line)
    feeds: dict[tuple[str, int], list[FeedClaim]] = defaultdict(list)
    for line in rows.lines.get("feeds", ()):
        totals: dict[str, Any] = {}
        for total in lines["totais"].get(_of_feed(line), ()):
            if total["valor_de"]:
                totals.setdefault(total["total"], {})[total["valor_de"]] = total["valor"]
            else:
                totals[total["total"]] = total["valor"]
        feeds[line["origem"], line["turno"]].append(
            FeedClaim(
                line["dataset"], line["audience"], line["epoch"], line["seq_primeiro"], line["seq_ultimo"], line["lotes"],
                line["documentos"], {row["relacao"]: row["linhas"] for row in lines["linhas"].get(_of_feed(line), ())}, totals,
            )
        )  # fmt: skip
    found: dict[str, list[Closing]] = defaultdict(list)
    for row in rows.closings:
        found[row["origem"]].append(
            Closing(
                row["turno"], row["versao"] or 0, row["fechado_em"], bool(row["sem_movimento"]), row["quantidade_vendas"],
                row["total_vendas_centavos"], row["contado_centavos"], row["diferenca_centavos"],
                tuple(feeds.get((row["origem"], row["turno"]), ())), row,
            )
        )  # fmt: skip
    return {site: tuple(closings) for site, closings in found.items()}


def _of_feed(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["origem"], line["turno"], line["dataset"], line["audience"], line["epoch"]


def _marks(ctx: Context) -> tuple[dict[str, list[Mark]], dict[str, str]]:
    """Every installation's marks by site, earlier ones first, and when each site was heard last."""
    heard: dict[str, list[Any]] = defaultdict(list)
    for item in ctx.store.days.heard():
        heard[item.peer].append(item)
    marks: dict[str, list[Mark]] = {}
    contact: dict[str, str] = {}
    for peer, items in heard.items():
        contact[peer] = items[-1].received_at
        marks[peer] = [
            Mark(
                feed["dataset"], feed["audience"], item.epoch, feed["sealed"], feed.get("shipped"), item.received_at, item is items[-1], item.knew
            )
            for item in items
            for feed in item.signed["feeds"]
        ]  # fmt: skip
    return marks, contact


def _noted(ctx: Context) -> frozenset[str]:
    """Datasets whose late batches leave a closed day as it is, by their contract."""
    found = set()
    for dataset, _ in ctx.contracts.versions():
        contract = ctx.contracts.latest(dataset)
        if contract is not None and contract.late is Late.NOTE:
            found.add(dataset)
    return frozenset(found)


def _by_site(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for site, item in pairs:
        found[site].append(item)
    return dict(found)
