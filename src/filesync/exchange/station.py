"""One site at work. `turn()` = recover, fetch, settle, collect, apply, acknowledge, capture, seal, ship.

Three turns (till, matriz, till) are a full round trip, with no thread and no sleep. A station does one thing at a time, and only one
station works in a site's folder: a lock file says who. This module decides no rule; it says in which order the steps go.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from filesync import config
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange import fence, own_tables, quarantine, voids
from filesync.exchange.answering import acknowledge
from filesync.exchange.arrivals import with_mail
from filesync.exchange.capture import Export, export, labels, order_of, seal_table
from filesync.exchange.carry import carry_in, carry_out
from filesync.exchange.context import Clock, Context, system_clock
from filesync.exchange.dropped import Dropped
from filesync.exchange.folders import Folders
from filesync.exchange.heartbeats import beat
from filesync.exchange.holes import Resent, resend
from filesync.exchange.incoming import import_all
from filesync.exchange.lock import LOCK_NAME, LOCK_PATIENCE_S, SiteLock
from filesync.exchange.own_store import create_store, open_store, site_contracts
from filesync.exchange.parallel import import_wide
from filesync.exchange.renewing import Renewed, renew
from filesync.exchange.reports import (
    CarryReport,
    Crashed,
    ExchangeReport,
    Held,
    ImportReport,
    Observer,
    SealReport,
    TurnReport,
    unobserved,
)
from filesync.exchange.road import Roads
from filesync.exchange.settling import settle_all, sweep
from filesync.exchange.status import Status, read_status
from filesync.exchange.versions import grow
from filesync.protocol.identity import Feed, Format, Role, check_id, new_epoch
from filesync.protocol.signing import SigningKey
from filesync.sources import Kind
from filesync.stores.values import Site

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from filesync.contracts import Registry
    from filesync.stores.hole_values import VoidRecord


class Station:
    """A site, opened for work. Use it as a context manager, or call `close()`.

    >>> with Station.open(Path("caixa-01")) as station:
    ...     station.seal("vendas", table)
    ...     station.turn()
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._lock = SiteLock(context.folders.root / LOCK_NAME, LOCK_PATIENCE_S)
        self.dropped = Dropped(context.folders.root / "run" / "seen.json")
        self._tried = False

    @classmethod
    def init(
        cls,
        root: Path,
        *,
        site: str,
        role: Role,
        store: str | None = None,
        store_password_file: str | None = None,
    ) -> None:
        """Make a site: folders, key, commented `filesync.toml`, store. Safe to repeat after a crash; never over another site.

        The store is embedded, or on the server at the address `store`; its password may lie in a file in the site's folder.
        """
        check_id(site)
        secret = None if store_password_file is None else root / store_password_file
        server = None if store is None else config.Server.parse(store, secret)
        if (root / config.FILE_NAME).exists():
            raise ConfigError("exists", f"{root} is a site already: {root / config.FILE_NAME} exists")
        folders = Folders(root)
        for folder in folders.all():
            folder.mkdir(parents=True, exist_ok=True)
        if os.name != "nt":
            (root / "keys").chmod(0o700)
        if not config.key_path(root).exists():
            key = SigningKey.generate()
            config.write_private(config.key_path(root), key.to_openssh())
            public = config.key_path(root).with_suffix(".pub")
            public.write_text(key.public.to_openssh(site) + "\n", encoding="utf-8")
        made = Site(site, role, new_epoch(secrets.token_bytes(8)))
        embedded = root / config.DATABASE_NAME
        if server is not None and embedded.exists():
            raise ConfigError(
                "store-elsewhere",
                f"{root}: expected a folder without a store, got {embedded}, which does not move to a server by itself",
            )
        create_store(server or embedded, made)
        if role is Role.MATRIZ:
            (root / config.ROSTER_NAME).write_text(config.ROSTER_TEMPLATE, encoding="utf-8")
        # Last: at this instant the folder is a site.
        (root / config.FILE_NAME).write_text(
            config.render_new(site, role, store, store_password_file), encoding="utf-8"
        )

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        contracts: Registry | None = None,
        clock: Clock = system_clock,
        observe: Observer = unobserved,
    ) -> Self:
        """Open the site at `root`. Raises `ConfigError` saying what to change."""
        settings = config.load(root)
        store = open_store(settings)
        try:
            contracts = contracts or site_contracts(root)
            grow(store, contracts)
        except BaseException:
            store.close()
            raise
        return cls(Context(settings, Folders(root), store, contracts, clock, observe))

    def close(self) -> None:
        """Close the store."""
        self.context.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- steps

    def turn(
        self, *, skip_links: Collection[str] = (), whole: bool = True, crashed: Crashed | None = None
    ) -> TurnReport:
        """Everything once. A peer that cannot be reached and a source that cannot be read are reported; the rest goes on.

        Without `whole` files that were not touched are passed over, and queries are not asked. With `crashed` a mistake in one part (a
        link, a peer's inbox, a source) is told there and the other parts go on; otherwise it is raised.
        """
        report = TurnReport()
        with (
            self._working(),
            Roads(self.context, report.exchange, skip=skip_links, crashed=crashed) as roads,
        ):
            if self._may_fetch(report.exchange):
                roads.fetch()
            self._import(report.imported, crashed)
            self._capture(report, whole=whole, crashed=crashed)
            beat(self.context)
            roads.ship()
        return report

    def exchange(self, peer: str | None = None) -> ExchangeReport:
        """Fetch what arrived, without judging it, and ship what waits. Fetched first: what has its receipt is not shipped again."""
        self._known(peer)
        report = ExchangeReport()
        with self._working(), Roads(self.context, report, peer) as roads:
            if self._may_fetch(report):
                roads.fetch()
            beat(self.context, peer)
            roads.ship()
        return report

    def carry_out(self, path: Path, peer: str | None = None) -> CarryReport:
        """Copy what waits for the peers (or one) to a stick. Nothing counts as delivered by that."""
        self._known(peer)
        with self._working():
            beat(self.context, peer, untaken=True)
            return carry_out(self.context, path, peer)

    def carry_in(self, path: Path, *, keep: bool = False) -> CarryReport:
        """Take what is for this site from a stick into the inboxes, without judging it; with `keep` the stick keeps it too."""
        with self._working():
            room = ExchangeReport()
            if not self._may_fetch(room):
                raise TransportError("disk-low", room.disk_low)
            return carry_in(self.context, path, keep=keep)

    def import_(self) -> ImportReport:
        """Settle receipts, then collect, apply and acknowledge what lies in the inboxes."""
        report = ImportReport()
        with self._working():
            self._import(report)
        return report

    def settle(self, peer: str) -> ImportReport:
        """Take in a peer's receipts, and nothing else of what lies in its inbox."""
        report = ImportReport()
        with self._working():
            peers = {peer: self.context.settings.peers[peer]}
            ctx = replace(self.context, settings=replace(self.context.settings, peers=peers))
            settle_all(ctx, report, with_mail(ctx))
        return report

    def export(
        self,
        dataset: str,
        *,
        path: Path | None = None,
        business_date: date | None = None,
        to: str | None = None,
        format: Format | None = None,  # noqa: A002 -- the manifest's word
        full: bool = False,
        again: bool = False,
        having: Mapping[str, str] | None = None,
    ) -> SealReport:
        """Capture a dataset from its source (or from the file `path`) and seal what is new or changed.

        `having`: from this site's own store, whatever its source, documents whose columns have these values (`{}`: all).
        """
        with self._working():
            wanted = Export(dataset, path, business_date, to, format, full, again, having=having)
            return export(self.context, wanted, self.dropped)

    def seal(
        self,
        dataset: str,
        table: pa.Table | Iterator[pa.Table],
        business_date: date | None = None,
        *,
        to: str | None = None,
        format: Format | None = None,  # noqa: A002 -- the manifest's word
        full: bool = False,
        again: bool = False,
    ) -> SealReport:
        """Seal documents held in memory, or streamed: tables with the contract's columns (`Contract.arrow_schema`; missing optional ones are null).

        With `business_date` only documents of that movement day are sealed; cadastros take it as their date.
        """
        with self._working():
            order = order_of(self.context, Export(dataset, None, business_date, to, format, full, again))
            return seal_table(self.context, order, table)

    def void(
        self, feed: str, seqs: Sequence[int], *, reason: str, by: str, epoch: str | None = None
    ) -> list[VoidRecord]:
        """Give numbers of a feed (`vendas.caixa-01.matriz`) up for good: as its origin, or here by an override that is recorded."""
        with self._working():
            return voids.void(self.context, _feed(feed), seqs, reason=reason, by=by, epoch=epoch)

    def resend(self, feed: str, seqs: Sequence[int] = (), *, epoch: str | None = None) -> Resent:
        """Ask at once for what is missing of a feed; of an own feed, send these numbers again."""
        with self._working():
            done = resend(self.context, _feed(feed), seqs, epoch)
            beat(self.context)
            return done

    def renew(self, *, reason: str, by: str, anyway: bool = False) -> Renewed:
        """Begin a new epoch, because the database was put back from a backup. Without a sign of that only where `anyway` insists."""
        with self._working():
            return renew(self.context, reason=reason, by=by, anyway=anyway)

    def status(self) -> Status:
        """What is where, and what waits for what. Reads only; needs no lock."""
        return read_status(self.context)

    def retry(self, name: str) -> quarantine.Case:
        """Put something from quarantine back into the inbox, to be judged afresh at the next import."""
        with self._working():
            case = quarantine.find(self.context, name)
            quarantine.retry(self.context, case)
            return case

    def discard(self, name: str, reason: str) -> quarantine.Case:
        """Take something out of quarantine for good; it goes to the archive with the reason."""
        with self._working():
            case = quarantine.find(self.context, name)
            quarantine.discard(self.context, case, reason)
            return case

    # ---------------------------------------------------------------- order

    def _known(self, peer: str | None) -> None:
        peers = self.context.settings.peers
        if peer is not None and peer not in peers:
            raise ConfigError(
                "peer-unknown", f"no peer is called {peer!r}; known: {', '.join(peers) or 'none'}"
            )

    def _may_fetch(self, report: ExchangeReport) -> bool:
        """Whether there is room for more. What is here is still applied, answered and sent: that is what makes room."""
        free_mib = self.context.free_bytes(self.context.folders.root) >> 20
        wanted_mib = self.context.settings.limits.disk_free_min_mib
        if free_mib < wanted_mib:
            report.disk_low = f"{free_mib} MiB are free, {wanted_mib} MiB are wanted (limits.disk_free_min_mib): nothing is fetched"
        return not report.disk_low

    def _import(self, report: ImportReport, crashed: Crashed | None = None) -> None:
        try:
            mail = with_mail(self.context)
            settle_all(self.context, report, mail)
            self._take_in(report, mail)
        except Exception as err:
            if crashed is None:
                raise
            crashed("import", err)
        else:
            return
        # Peer by peer, so that only the one whose file does that is held up. What was done before the mistake is done.
        for name, peer in self.context.settings.peers.items():
            alone = replace(self.context, settings=replace(self.context.settings, peers={name: peer}))
            try:
                mail = with_mail(alone)
                settle_all(alone, report, mail)
                import_all(alone, report, mail)
            except Exception as err:
                crashed(f"import from {name}", err)

    def _take_in(self, report: ImportReport, mail: Sequence[str]) -> None:
        if not self._tried:
            self._tried = own_tables.check_all(self.context, report)
        waiting = len(report.waiting)
        try:
            import_wide(self.context, report, mail)
        except ConfigError as err:
            if err.code != own_tables.BROKEN:
                raise
            # Tables of the user's were changed just now. Once more: batches for them wait, the others go on.
            del report.waiting[waiting:]
            import_wide(self.context, report, mail)

    def _capture(self, report: TurnReport, *, whole: bool, crashed: Crashed | None) -> None:
        try:
            for done in voids.seal_again(self.context):
                report.exported.append(done)
                report.failed_sources += done.failed
        except (RejectedError, ConfigError, TransportError) as err:
            report.failed_sources.append(Held(self.context.me, "voids", err.code, err.message))
        owed = voids.unreadable(self.context)
        for dataset, source in self.context.settings.sources.items():
            if source.kind is Kind.STORE or (source.kind is Kind.SQL and not whole):
                continue  # passing on what was applied here is a step of the day, never a matter of course
            try:
                wanted = Export(dataset, only_new_files=True, hurried=not whole, reread=dataset in owed)
                done = export(self.context, wanted, self.dropped)
            except (RejectedError, ConfigError, TransportError) as err:
                report.failed_sources.append(Held(self.context.me, dataset, err.code, err.message))
            except Exception as err:
                if crashed is None:
                    raise
                crashed(f"source of {dataset}", err)
            else:
                report.exported.append(done)
                report.failed_sources += done.failed
                report.look_again(done.look_again_s)
                if not done.failed:  # the source was asked: what it has of them is sealed again
                    for batch_id in owed.get(dataset, ()):
                        self.context.store.holes.sealed_again(batch_id)
        self.dropped.save(labels(self.context))

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Hold the site's lock and start from a recovered state."""
        with self._lock.held():
            fence.raze(self.context.folders.root, LOCK_PATIENCE_S)
            sweep(self.context)
            acknowledge(self.context)
            yield

    @contextmanager
    def at_work(self) -> Iterator[Context]:
        """For a step of the day that is made of several: nobody else works in this site's folder from its first look to its last word."""
        with self._working():
            yield self.context

    def observed(self, observe: Observer) -> Station:
        """The same station, telling `observe` how long steps go on."""
        return Station(replace(self.context, observe=observe))


def _feed(text: str) -> Feed:
    try:
        return Feed.parse(text)
    except ValueError as err:
        raise ConfigError("feed-unknown", str(err)) from None
