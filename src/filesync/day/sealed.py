"""A movement day as it was sealed here: its batches, and what the sales in them come to. Reads the ledger and the payloads; writes nothing.

- The day is what was sealed under its business date, whenever that was: no clock has a say.
- Of a sale that was sealed more than once the last content counts. One that was sealed again under another day has left this one.
- A sale that was cancelled gave its payments back: it stays among the sales and their total, as in the batches, and its payments count
  nowhere. A return counts with its negative payments.
- A rejected batch counts: its sales were made, whatever became of the batch.

Batches are read from the last to the first, so that a key that was met has had its say. Held in memory are the keys of the day and its tickets.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.digests import row_digests
from filesync.errors import RejectedError
from filesync.exchange.restoring import PURGED, purged
from filesync.protocol.manifest import Manifest
from filesync.readers.payload import read_payload
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from filesync.contracts import Contract, Gap
    from filesync.exchange.context import Context
    from filesync.stores.values import DaySealed

SALES: Final = "vendas"
CLOSING: Final = "fechamento"
CASH: Final = "01"  # dinheiro, by the NFC-e code
_CANCELLED: Final = "cancelada"


@dataclass(frozen=True, slots=True)
class Tickets:
    """The tickets of one till and series; `count` is how many there are between `first` and `last`."""

    caixa: str
    serie: str
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a day's sales come to. `forms`: for each payment form how many payments, and their sum, of sales that stand."""

    sales: int = 0
    total_centavos: int = 0
    cancelled: int = 0
    cancelled_centavos: int = 0
    forms: dict[str, tuple[int, int]] = field(default_factory=dict)
    tickets: tuple[Tickets, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def cash_centavos(self) -> int:
        """Payments in notes and coins."""
        return self.forms.get(CASH, (0, 0))[1]


def figures(ctx: Context, batches: Sequence[DaySealed]) -> Figures:
    """The sales of a day, given all its batches. RejectedError "payload-lost" (or "payload-purged") where one can be read nowhere any more."""
    own = [batch for batch in batches if batch.feed.dataset == SALES]
    sums = _Sums()
    if own:
        ids = np.array([batch.batch_id for batch in own])
        for batch in reversed(own):
            contract = _contract(ctx, batch)
            for table in documents(ctx, batch, contract):
                digests = row_digests(table, contract.key)
                asked = pa.table({"key_digest": digests.keys, "content_digest": digests.contents})
                last = ctx.store.days.sealed_in(SALES, batch.feed.audience, asked)
                elsewhere = (last > 0) & ~np.isin(last, ids)
                sums.add(table, digests.keys, elsewhere)
    latest = ctx.contracts.latest(SALES)
    return sums.figures(latest) if latest is not None else Figures()


def documents(ctx: Context, batch: DaySealed, contract: Contract) -> Iterator[pa.Table]:
    """What lies in a batch that was sealed here. RejectedError "payload-lost", or "payload-purged", where no whole copy is left.

    Nothing, where none is left and all of it was sealed again since.
    """
    path = _payload(ctx, batch)
    if path is None:
        if ctx.store.days.superseded(batch):
            return
        if (message := purged(ctx, Manifest.from_signed(json.loads(batch.manifest)))) is not None:
            raise RejectedError(PURGED, message)
        raise RejectedError(
            "payload-lost",
            f"{batch.name}: expected its payload in the outbox or the archive, got no whole copy",
        )
    for chunk in read_payload(
        path,
        batch.format,
        contract,
        chunk_rows=ctx.settings.limits.chunk_documents,
        key=ctx.settings.key,
    ):
        yield chunk.table


@dataclass(frozen=True, slots=True)
class OwnCloses:
    """The day's own closes as they stand, by turno, each as a document of `fechamento`.

    `sealed`: how many there were in all, which no `versao` of theirs exceeds. Of one that can be read nowhere any more nobody knows whose it was.
    """

    by_turno: dict[int, dict[str, Any]]
    sealed: int = 0
    read_at: Mapping[int, int] = field(
        default_factory=dict
    )  # turno → the place of its last one that can be read
    lost_at: tuple[int, ...] = ()

    def lost(self, turno: int) -> bool:
        """Whether one was lost that may have said something of this turno after what is known."""
        return any(place > self.read_at.get(turno, -1) for place in self.lost_at)


def closings(ctx: Context, batches: Sequence[DaySealed]) -> OwnCloses:
    """What this installation has said of the day. A close that is lost is no reason never to close again: it is only not known what it said."""
    held: dict[int, dict[str, Any]] = {}
    own = [batch for batch in batches if batch.feed.dataset == CLOSING]
    read_at: dict[int, int] = {}
    lost_at = []
    for place, batch in enumerate(own):
        if _payload(ctx, batch) is None:
            lost_at.append(place)
            continue
        contract = _contract(ctx, batch)
        for table in documents(ctx, batch, contract):
            for document in contract.documents(table):
                read_at[document["turno"]] = place
                before = held.get(document["turno"])
                if before is None or document.get("versao", 0) >= before.get("versao", 0):
                    held[document["turno"]] = document
    return OwnCloses(dict(sorted(held.items())), len(own), read_at, tuple(lost_at))


@dataclass(slots=True)
class FeedSum:
    """What the day's batches of one feed and epoch hold by their manifests."""

    first: int
    last: int
    batches: int = 0
    documents: int = 0
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))


def feeds(batches: Sequence[DaySealed]) -> dict[tuple[str, str, str], FeedSum]:
    """The day's batches of sales by (dataset, audience, epoch), as their manifests promise them."""
    sums: dict[tuple[str, str, str], FeedSum] = {}
    for batch in batches:
        if batch.feed.dataset != SALES:
            continue
        of = sums.setdefault((SALES, batch.feed.audience, batch.epoch), FeedSum(batch.seq, batch.seq))
        manifest = Manifest.from_signed(json.loads(batch.manifest))
        of.first, of.last = min(of.first, batch.seq), max(of.last, batch.seq)
        of.batches += 1
        of.documents += batch.documents
        for relation, rows in manifest.rows.items():
            of.rows[relation] += rows
        for name, total in manifest.totals.items():
            for value_of, value in total.items() if not isinstance(total, int) else (("", total),):
                of.totals[name, value_of] += value
    return dict(sorted(sums.items()))


def _contract(ctx: Context, batch: DaySealed) -> Contract:
    version = json.loads(batch.manifest)["batch"]["version"]
    contract = ctx.contracts.get(batch.feed.dataset, version)
    if contract is None:
        raise RejectedError(
            "contract-unknown",
            f"{batch.name}: expected contract {batch.feed.dataset}.v{version} here, got none of that version",
        )
    return contract


def _payload(ctx: Context, batch: DaySealed) -> Path | None:
    manifest = Manifest.from_signed(json.loads(batch.manifest))
    folders = [*map(ctx.folders.outbox, batch.verdicts), ctx.folders.archive(manifest.business_date)]
    for folder in folders:
        path = folder / manifest.payload_file
        if path.is_file() and digest_file(path)[0] == batch.payload_sha256:
            return path
    return None


class _Sums:
    """Adds up sales, each once."""

    def __init__(self) -> None:
        self._met: list[pa.Array] = []
        self._tickets: list[pa.Table] = []
        self._sales = self._total = self._cancelled = self._cancelled_total = 0
        self._forms: dict[str, tuple[int, int]] = {}

    def add(self, table: pa.Table, keys: pa.Array, elsewhere: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Documents with their key digests; those sealed `elsewhere` since, and those met before, do not count."""
        gone = pa.array(elsewhere)
        if self._met:
            gone = pc.or_(gone, pc.is_in(keys, value_set=pa.concat_arrays(self._met)))
        self._met.append(keys)
        table = table.filter(pc.invert(gone))
        if not table.num_rows:
            return
        total = table.column("total_centavos")
        cancelled = pc.equal(table.column("situacao"), _CANCELLED)
        self._sales += table.num_rows
        self._total += _sum(total)
        self._cancelled += _sum(cancelled)
        self._cancelled_total += _sum(total.filter(cancelled))
        self._tickets.append(table.select(["caixa", "serie", "numero"]))
        self._pay(table.column("pagamentos").filter(pc.invert(cancelled)))

    def _pay(self, lists: pa.ChunkedArray) -> None:
        for chunk in lists.chunks:
            lines = pc.list_flatten(chunk)
            if not len(lines):
                continue
            columns = {name: pc.struct_field(lines, name) for name in ("forma", "valor_centavos")}
            sums = pa.table(columns).group_by("forma", use_threads=False)
            for line in sums.aggregate([("valor_centavos", "sum"), ("valor_centavos", "count")]).to_pylist():
                count, value = self._forms.get(line["forma"], (0, 0))
                self._forms[line["forma"]] = (
                    count + line["valor_centavos_count"],
                    value + line["valor_centavos_sum"],
                )

    def figures(self, contract: Contract) -> Figures:
        tickets, gaps = self._runs(contract)
        return Figures(
            self._sales, self._total, self._cancelled, self._cancelled_total, dict(sorted(self._forms.items())), tickets, gaps
        )  # fmt: skip

    def _runs(self, contract: Contract) -> tuple[tuple[Tickets, ...], tuple[Gap, ...]]:
        if not self._tickets:
            return (), ()
        table = pa.concat_tables(self._tickets)
        runs = table.group_by(["caixa", "serie"], use_threads=False).aggregate(
            [("numero", "min"), ("numero", "max"), ("numero", "count_distinct")]
        )
        found = [
            Tickets(run["caixa"], run["serie"], run["numero_min"], run["numero_max"], run["numero_count_distinct"])
            for run in runs.to_pylist()
        ]  # fmt: skip
        return tuple(sorted(found, key=lambda run: (run.caixa, run.serie))), tuple(contract.gaps(table))


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)
