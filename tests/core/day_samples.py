"""A site's day as the ledger may have it, made by hand: for tests that need no station."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from filesync.day.values import Closing, DayBatch, FeedClaim, FeedHead, Mark, SiteDay, WaitingBatch
from filesync.protocol.identity import BatchId, BatchName, Feed, Role
from filesync.protocol.receipt import Verdict
from filesync.stores.hole_values import VoidRecord

DAY = date(2026, 3, 2)
EPOCH, LATER_EPOCH = "k3v7q2ma", "zzzzzzzz"
AT = "2026-03-02T18:30:00-03:00"
SITE = "posto-centro"


def feed(dataset: str = "vendas", site: str = SITE) -> Feed:
    return Feed(site, dataset, "matriz")


def name(seq: int, dataset: str = "vendas", epoch: str = EPOCH, site: str = SITE) -> str:
    return BatchName(BatchId(feed(dataset, site), epoch, seq), DAY, f"{seq:012x}").stem


def batch(
    seq: int,
    dataset: str = "vendas",
    *,
    documents: int = 10,
    verdict: Verdict = Verdict.APPLIED,
    replaces: str | None = None,
    epoch: str = EPOCH,
    applied: int | None = None,
    site: str = SITE,
) -> DayBatch:
    """A batch of sales of 10 reais each. `applied`: of a partial one."""
    taken = {Verdict.APPLIED: documents, Verdict.REJECTED: 0, Verdict.PARTIAL: applied or 0}[verdict]
    problem = None if verdict is Verdict.APPLIED else "operador: too long"
    return DayBatch(
        name(seq, dataset, epoch, site), feed(dataset, site), epoch, seq, seq + (1_000 if dataset == "fechamento" else 0), verdict, f"{seq:064x}",
        f"{seq + 1:064x}", f"{seq + 2:064x}", _rows(dataset, taken), _totals(taken), _rows(dataset, documents), _totals(documents), replaces,
        taken, AT, problem, None if problem is None else "schema",
    )  # fmt: skip


def _rows(dataset: str, documents: int) -> dict[str, int]:
    return {dataset: documents, "itens": 2 * documents} if documents else {}


def _totals(documents: int) -> dict[str, Any]:
    return {"total_centavos": 1_000 * documents, "por_forma": {"01": 400 * documents, "17": 600 * documents}} if documents else {}  # fmt: skip


def claim(first: int, last: int, *, batches: int | None = None, documents: int | None = None, epoch: str = EPOCH) -> FeedClaim:  # fmt: skip
    count = last - first + 1 if batches is None else batches
    sold = 10 * count if documents is None else documents
    return FeedClaim(
        "vendas", "matriz", epoch, first, last, count, sold, _rows("vendas", sold), _totals(sold)
    )


def closing(*claims: FeedClaim, turno: int = 1, sales: int | None = None) -> Closing:
    sold = sum(c.documents for c in claims) if sales is None else sales
    return Closing(turno, 0, AT, not claims, sold, 1_000 * sold, 0, 0, claims, {"fs_batch": 1_001})


def head(seq: int, dataset: str = "vendas", epoch: str = EPOCH, age: int = 1, first: date | None = None, last: date | None = None) -> FeedHead:  # fmt: skip
    return FeedHead(feed(dataset), epoch, seq, age, first, last)


def mark(sealed: int, dataset: str = "vendas", *, shipped: int | None = None, epoch: str = EPOCH, latest: bool = True) -> Mark:  # fmt: skip
    return Mark(dataset, "matriz", epoch, sealed, shipped, AT, latest)


def void(seq: int, *, known: bool = False, epoch: str = EPOCH) -> VoidRecord:
    whole = VoidRecord(
        feed(), epoch, seq, name(seq, epoch=epoch), f"{seq:064x}", _rows("vendas", 10), _totals(10), "the disk died", "Ana", AT, override=not known
    )  # fmt: skip
    return whole if known else replace(whole, name=None, manifest_sha256=None, rows=None, totals=None)


def lying(seq: int, why: str = "hole", dataset: str = "vendas") -> WaitingBatch:
    return WaitingBatch(name(seq, dataset), feed(dataset), EPOCH, seq, why)


def complete(batches: int = 3) -> SiteDay:
    """A day on which everything is as it should be: so many batches of sales, and the close that names them."""
    return SiteDay(
        SITE, DAY, due=True, role=Role.POSTO,
        closings=(closing(claim(1, batches)),),
        batches=(*(batch(seq) for seq in range(1, batches + 1)), batch(1, "fechamento", documents=1)),
        heads=(head(batches), head(1, "fechamento", age=2)),
        marks=(mark(batches, shipped=batches), mark(1, "fechamento", shipped=1)),
        last_contact=AT,
    )  # fmt: skip


def but(of: SiteDay, /, **changes: Any) -> SiteDay:
    return replace(of, **changes)
