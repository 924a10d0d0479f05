"""The store: one site's data and ledger in one database. The door through which everything else sees it.

- Everything is written inside a transaction, and `_commit` is the only COMMIT. At that instant what it holds is there, all of it.
- `transaction()` is for applying: data rows, ledger rows and receipts together. Every other writing method is a transaction of its own,
  or part of the one that is open.
- One thread at a time. Readers in other processes are never blocked; another writer is waited for, then `TransportError` "store-busy".
- It does not notice which database it has: SQLite in a file (sqlite.py), or a PostgreSQL server (postgres.py).

What is where: transaction.py (what applying does in a transaction), database.py (what a database must do), tables.py and merge.py (data),
received.py, sent.py and memory.py (ledger), values.py (records).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.protocol.identity import Role
from filesync.stores import memory, peers, received, renewing, schema_version, sent, tables, tickets
from filesync.stores.cadastros import Cadastros
from filesync.stores.database import QUERIES, schema_statements
from filesync.stores.days import Days
from filesync.stores.files import Files
from filesync.stores.holes import Holes
from filesync.stores.own_tables import OwnTables
from filesync.stores.purging import Purges
from filesync.stores.reconciling import Reconciling
from filesync.stores.reporting import Reporting
from filesync.stores.transaction import Tx
from filesync.stores.values import (
    CapturedFile,
    FeedSummary,
    HeadMovedError,
    Heard,
    IncomingBatch,
    OpenDelivery,
    OutgoingBatch,
    OutgoingRecord,
    OutgoingState,
    ProblemRecord,
    SealedMark,
    Site,
    StoredReceipt,
    Told,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

    from filesync.contracts import Contract
    from filesync.protocol.admission import Known, Standing
    from filesync.protocol.identity import Feed, Mode
    from filesync.protocol.receipt import Verdict
    from filesync.stores.database import Database
    from filesync.stores.memory import Compared
    from filesync.stores.tickets import TicketSeries


class Store:
    """See the module. Made and opened by SqliteStore and PostgresStore; closes as a context manager."""

    def __init__(self, db: Database, site: Site) -> None:
        self._db = db
        self._writing = False
        self.site = site
        self.holes = Holes(db, self._write)
        self.days = Days(db, self._write)
        self.files = Files(db, self._write)
        self.reconciling = Reconciling(db, self._write)
        self.purges = Purges(db, self._write)
        self.reporting = Reporting(db)
        self.cadastros = Cadastros(db)
        self.own_tables = OwnTables(db, self._write)

    @classmethod
    def _create(cls, db: Database, name: str, site: Site) -> Self:
        """Make the store of `site`. Raises `ConfigError` where one is already; a making that was cut short is made again."""
        store = cls(db, site)
        try:
            with store._write(new=True):
                if db.select(QUERIES["has_ledger"])[0][0]:
                    raise ConfigError(
                        "store-exists", f"{name}: expected no store, got one; it would not be overwritten"
                    )
                for statement in schema_statements(*db.schema):
                    db.run(statement)
                meta = {
                    "site": site.id,
                    "role": site.role.value,
                    "epoch": site.epoch,
                    "schema_version": str(schema_version.SCHEMA_VERSION),
                }
                db.run_each(QUERIES["write_meta"], list(meta.items()))
        except BaseException:
            db.close()
            raise
        return store

    @classmethod
    def _open(cls, db: Database, name: str) -> Self:
        """Open a store. Raises `ConfigError` where there is none, or one that this version cannot read."""
        try:
            if not db.select(QUERIES["has_ledger"])[0][0]:
                raise ConfigError(
                    "store-missing", f"{name}: expected the site's store, got a database without a ledger"
                )
            meta = dict(db.select(QUERIES["read_meta"]))
            schema_version.check(name, int(meta["schema_version"]))
            return cls(db, Site(meta["site"], Role(meta["role"]), meta["epoch"]))
        except BaseException:
            db.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------ transactions

    @contextmanager
    def transaction(self, heads: Mapping[tuple[Feed, str], Standing | None] | None = None) -> Iterator[Tx]:
        """Apply: everything done with the yielded `Tx` is committed together, or, on any exception, not at all.

        `heads`: of the feeds of which numbers are decided in it, where each stood when that was judged. Nobody else decides any of them until
        the end. Raises `HeadMovedError` where another importer was faster.
        """
        with self._write():
            if heads and self._moved(heads):
                self.holes.advance()  # what was given up ahead counts as judged
                if moved := self._moved(heads):
                    raise HeadMovedError(moved)
            yield Tx(self._db)

    def _moved(self, heads: Mapping[tuple[Feed, str], Standing | None]) -> list[tuple[Feed, str]]:
        held = received.take_feeds(self._db, heads)
        return [key for key, judged in heads.items() if held.get(key) != judged]

    @contextmanager
    def _write(self, *, new: bool = False) -> Iterator[None]:
        if self._writing:  # a step of the open transaction: it stands or falls with it
            yield
            return
        self._db.begin()
        self._writing = True
        try:
            if not new:
                # A newer filesync may have brought the store forward since it was opened here. From here to the commit nobody does (migrating.py).
                schema_version.check(
                    f"the store of {self.site.id}", self._db.select(schema_version.HELD)[0][0]
                )
            yield
            self._commit()
        except BaseException:
            self._db.rollback()
            raise
        finally:
            self._writing = False

    def _commit(self) -> None:
        """The only COMMIT. At that instant the transaction is on the disk, whole."""
        self._db.commit()

    # ------------------------------------------------------------------------------------------------ a new epoch

    def own_heads(self) -> dict[tuple[str, str], int]:
        """The last number of every own feed (dataset, audience) in this epoch."""
        return renewing.heads(self._db, self.site)

    def forked(self) -> list[tuple[str, str]]:
        """Own batches of this epoch, and by whom they were refused, because their numbers had been used before."""
        return renewing.forked(self._db, self.site)

    def renew(self, epoch: str, note: str, snapshots: Collection[str]) -> None:
        """Begin a new epoch, with `note` about the one that ends; `snapshots` are datasets that are sent whole. See renewing.py."""
        with self._write():
            renewing.begin(self._db, epoch, note, snapshots, self.forked(), self.site)
        self.site = replace(self.site, epoch=epoch)

    # ------------------------------------------------------------------------------------------------ what arrives

    def standings(self, origins: Collection[str] | None = None) -> dict[tuple[Feed, str], Standing]:
        """The head of every (feed, epoch) that comes here, or of those from these sites."""
        return received.standings(self._db, self.site.id, origins)

    def known(self, feed: Feed, epoch: str, seqs: Collection[int]) -> dict[int, Known]:
        """Those of these numbers that were decided here, with the manifest that each was decided on."""
        return received.known(self._db, feed, epoch, seqs)

    def receipt_of(self, name: str) -> StoredReceipt | None:
        """The answer to the batch `name`: as decided, or as last refused where no batch of this name was decided."""
        return received.receipt_of(self._db, name)

    def decided_after(self, batch_id: int) -> list[tuple[str, Verdict, int]]:
        """Name, verdict and documents of every batch that was decided here after this one, in that order."""
        return received.decided_after(self._db, batch_id)

    def unacknowledged(self) -> list[StoredReceipt]:
        """Receipts that no outbox has had yet, in the order in which they were given."""
        return received.unacknowledged(self._db)

    def mark_acknowledged(self, names: Collection[str]) -> None:
        """The receipts of these batches lie in an outbox."""
        with self._write():
            received.mark_acknowledged(self._db, names)

    def refused(self, manifest_sha256s: Collection[str]) -> dict[str, StoredReceipt]:
        """Those of these claims (by manifest digest) that were refused before, with their answer."""
        return received.refused(self._db, manifest_sha256s)

    def forget_refused(self, names: Collection[str]) -> None:
        """Let refused claims of these names be judged afresh."""
        with self._write():
            received.forget_refused(self._db, names)

    def answered(self, names: Iterable[str]) -> set[str]:
        """Those of these batches that were decided or refused here."""
        return received.answered(self._db, names)

    # ------------------------------------------------------------------------------------------------ what was sealed here

    def head(self, dataset: str, audience: str) -> Standing | None:
        """The last number issued in an own feed in this epoch; None before the first."""
        return sent.head(self._db, self.site, dataset, audience)

    def last_sealed(self, dataset: str, audience: str) -> tuple[Mode, frozenset[str]] | None:
        """The mode of the newest batch of an own feed in this epoch, and its recipients but those who rejected it."""
        return sent.last_sealed(self._db, self.site, dataset, audience)

    def beginners(self, dataset: str, audience: str, sites: Sequence[str]) -> tuple[str, ...]:
        """Those of `sites` that an own feed cannot simply go on for: they begin, or begin anew, with a snapshot."""
        return sent.beginners(self._db, self.site, dataset, audience, sites)

    def compare_sealed(self, dataset: str, audience: str, digests: pa.Table) -> Compared:
        """How documents (`key_digest`, `content_digest`) stand to all that is remembered as sealed. See `memory.compare`."""
        with self._db.snapshot():
            return memory.compare(self._db, dataset, audience, digests)

    def unsealed(self, dataset: str, audience: str, digests: pa.Table) -> pa.Table:
        """Which documents must be sealed: columns `row`, `owed_batch`. See `memory.unsealed`."""
        with self._db.snapshot():
            return memory.unsealed(self._db, dataset, audience, digests)

    def record_sealed(self, batches: Sequence[OutgoingRecord], *, forget_others: bool = False) -> None:
        """Use these numbers: batch, deliveries, the feed's head and the memory of what was sealed, in one transaction.

        With `forget_others` (a snapshot) only the documents of these batches are remembered of their datasets and audiences.
        """
        with self._write():
            sent.record_sealed(self._db, batches, forget_others=forget_others)

    def outgoing_open(self) -> list[OpenDelivery]:
        """Deliveries that wait for an answer, in the order in which their batches were sealed."""
        return sent.outgoing_open(self._db)

    def manifests(self, names: Iterable[str]) -> dict[str, str]:
        """The manifests of these batches, as they were sealed here."""
        return sent.manifests(self._db, names)

    def outgoing_state(self, names: Iterable[str], recipient: str | None = None) -> dict[str, OutgoingState]:
        """Who has answered these batches, or whether `recipient` has; names that were not sealed here (for it) are left out."""
        return sent.outgoing_state(self._db, names, recipient)

    def mark_shipped(self, pairs: Iterable[tuple[str, str]], at: str) -> None:
        """These (batch, recipient) pairs lie where the recipient finds them."""
        with self._write():
            sent.mark_shipped(self._db, pairs, at)

    def mark_carried(self, pairs: Iterable[tuple[str, str]], at: str) -> None:
        """These (batch, recipient) pairs lie on a stick. For people: nothing is decided by it."""
        with self._write():
            sent.mark_carried(self._db, pairs, at)

    def settle(self, answers: Sequence[sent.Answer]) -> list[str]:
        """Record answers (batch, recipient, verdict, receipt, at); the names among them that every recipient has answered.

        Idempotent; of two answers by one recipient the first stands.
        """
        with self._write():
            return sent.settle(self._db, answers)

    # ------------------------------------------------------------------------------------------------ heartbeats

    def record_heard(self, peer: str, epoch: str, counter: int, heartbeat: str, at: str) -> bool:
        """Remember what a peer said of itself; an older heartbeat of the same installation changes nothing. Whether it was new.

        A peer that speaks as another installation than ever before begins our feeds anew (`beginners`).
        """
        with self._write():
            return peers.record_heard(self._db, self.site, peer, epoch, counter, heartbeat, at)

    def heard(self) -> dict[str, Heard]:
        """The newest heartbeat of each peer's latest installation."""
        return peers.heard(self._db)

    def record_told(self, recipient: str, counter: int, news_sha256: str, at: str) -> None:
        """Remember what a peer was told."""
        with self._write():
            peers.record_told(self._db, recipient, counter, news_sha256, at)

    def told(self) -> dict[str, Told]:
        """What each peer was told last."""
        return peers.told(self._db)

    def marks_ahead(self) -> list[tuple[Feed, str, int | None, int]]:
        """Feeds (and epochs) that peers say they have sealed further for us than is decided here: the first open number, and the last."""
        return peers.marks_ahead(self._db)

    def feed_marks(self) -> dict[str, list[SealedMark]]:
        """For each recipient how far the own feeds of this epoch are sealed, and from where on they wait for an answer."""
        return peers.feed_marks(self._db, self.site)

    # ------------------------------------------------------------------------------------------------ overview and audit

    def batch(self, name: str) -> OutgoingBatch | IncomingBatch | None:
        """Everything the ledger knows of a batch, sealed here or decided here."""
        return sent.outgoing_batch(self._db, name) or received.incoming_batch(self._db, name)

    def names(self, beginning: str, limit: int) -> list[str]:
        """Names of batches that begin so, sealed here, decided here or refused here; at most `limit`, sorted."""
        # "~" sorts after every character that a batch's name may hold.
        return [
            name for (name,) in self._db.select(QUERIES["names_between"], (beginning, beginning + "~", limit))
        ]

    def feeds(self) -> list[FeedSummary]:
        """Every feed and epoch at a glance; costs what is open, not what is history."""
        return sent.feeds(self._db, self.site.id)

    def captured(self, path: str) -> CapturedFile | None:
        """With what the dropped file `path` was captured last."""
        rows = self._db.select(QUERIES["captured"], (path,))
        return CapturedFile(*rows[0]) if rows else None

    def record_captured(
        self, path: str, content_sha256: str, settings_sha256: str, outcome: str, at: str
    ) -> None:
        """Remember that this content was captured with these settings."""
        with self._write():
            self._db.run(QUERIES["record_captured"], (path, content_sha256, settings_sha256, outcome, at))

    def record_problem(
        self, at: str, name: str, peer: str, code: str, message: str, *, resolution: str | None = None
    ) -> None:
        """Write into the quarantine's audit; with `resolution`, that something was retried or discarded."""
        with self._write():
            self._db.run(QUERIES["record_problem"], (at, name, peer, code, message, resolution))

    def problems(self, name: str | None = None, *, limit: int = 1_000) -> list[ProblemRecord]:
        """The audit of one thing, oldest first; without a name the newest entries of all, newest first."""
        rows = (
            self._db.select(QUERIES["problems"], (limit,))
            if name is None
            else self._db.select(QUERIES["problems_of"], (name,))
        )
        return [ProblemRecord(*row) for row in rows]

    def grow(self, contracts: Iterable[Contract]) -> None:
        """Give tables that are there already the columns and child tables that these versions brought."""
        for contract in contracts:
            if tables.lacks(self._db, contract):
                with self._write():
                    tables.ensure_tables(self._db, contract)

    def ticket_series(self, contract: Contract, day: date) -> list[TicketSeries]:
        """The ticket numbers of a day, and which are missing. See `tickets.series_of_day`."""
        return tickets.series_of_day(self._db, contract, day)

    def read_documents(
        self,
        contract: Contract,
        *,
        business_date: date | None = None,
        origem: str | None = None,
        having: Mapping[str, str] | None = None,
    ) -> Iterator[pa.Table]:
        """The documents held, in key order, in bounded tables of `contract.arrow_schema`; with `having` those with these values."""
        return tables.read_documents(
            self._db, contract, business_date=business_date, origem=origem, having=having
        )
