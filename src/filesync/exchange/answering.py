"""Answer: receipts are published from the ledger, and the files of what is answered leave the inbox.

- A receipt is written from the ledger and from nothing else: the same bytes, however often it is asked for.
- A claim that is refused uses no number. It is recorded and answered where its sender is proven; the same claim again gets the same answer.
- What is refused goes to quarantine with its reason. What comes under a number that was given up goes to the archive: nothing is wrong with
  it, and its origin brings the rows again under another number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from filesync.exchange import quarantine
from filesync.exchange.context import SOFTWARE
from filesync.exchange.reports import Held
from filesync.protocol.envelope import canonical, encode_canonical
from filesync.protocol.identity import BatchName
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem, Receipt, Verdict
from filesync.stores.values import RefusedRecord
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from filesync.exchange.arrivals import Listing, Standings
    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport
    from filesync.protocol.admission import Claim

#: Refusals that are answered: the sender is proven, the claim is for us, and its origin must learn of it.
ANSWERED: Final = frozenset(
    {"same-number-other-content", "broken-chain", "before-opening", "not-allowed", "voided"}
)


def acknowledge(ctx: Context) -> None:
    """Publish every receipt that the ledger holds and no outbox has had yet; of several workers each its own origins'."""
    pending = ctx.store.unacknowledged()
    if ctx.answers is not None:
        pending = [stored for stored in pending if stored.origin in ctx.answers]
    if pending:
        answered = [stored for stored in pending if stored.receipt is not None]
        durable.publish_many([receipt_file(ctx, s.name, s.origin, s.receipt or "") for s in answered])
        ctx.store.mark_acknowledged([stored.name for stored in pending])


def receipt_file(ctx: Context, name: str, origin: str, receipt: str) -> tuple[Path, str, bytes]:
    """What to publish of a receipt that the ledger holds."""
    return (
        ctx.folders.outbox(origin),
        BatchName.parse(name).receipt(ctx.me),
        encode_canonical(receipt.encode(), ctx.settings.key),  # the ledger holds the canonical form
    )


def refusal(
    ctx: Context, claim: Claim, manifest_sha256: str, problem: Problem, applied_through: int
) -> RefusedRecord:
    """The ledger's row of a claim that is refused, with the answer that it gets (none where nothing may be said)."""
    now = ctx.now()
    receipt = None
    if problem.code in ANSWERED:
        receipt = Receipt(
            batch=claim.name.stem, manifest_sha256=manifest_sha256, payload_sha256=claim.payload_sha256, recipient=ctx.me,
            verdict=Verdict.REJECTED, rows={}, totals={}, problems=(problem,), applied_through=applied_through,
            missing=(), received_at=now, applied_at=now, clock=now, contract=None, software=SOFTWARE,
        )  # fmt: skip
    text = None if receipt is None else canonical(receipt.to_signed()).decode()
    return RefusedRecord(
        manifest_sha256, claim.name.stem, claim.id.feed.origin, problem.code, problem.message, now, text
    )


def refuse(
    ctx: Context,
    listing: Listing,
    claim: Claim,
    manifest_sha256: str,
    problem: Problem,
    standings: Standings,
    report: ImportReport,
) -> None:
    """A claim that may not be applied uses no number; it is recorded, answered where it must be, and put aside with its payload."""
    stem = claim.name.stem
    known = ctx.store.refused([manifest_sha256]).get(manifest_sha256)
    if known is None:
        standing = standings.heads.get((claim.id.feed, claim.id.epoch))
        record = refusal(ctx, claim, manifest_sha256, problem, standing.seq if standing else 0)
        with ctx.store.transaction() as tx:
            tx.record_refused([record])
    elif known.receipt is not None:
        durable.publish_many([receipt_file(ctx, stem, known.origin, known.receipt)])
    mine = (claim.payload_file, claim.name.manifest) if isinstance(claim, Manifest) else (claim.name.void,)
    files = [listing.folder / name for name in mine if name in listing.sizes]
    held = Held(listing.peer, stem, problem.code, problem.message)
    if problem.code == "voided":
        put_away([(file, ctx.folders.archive(claim.name.business_date)) for file in files])
        report.voided.append(held)
    else:
        quarantine.set_aside(ctx, listing.peer, stem, files, problem)
        report.set_aside.append(held)


def put_away(files: Sequence[tuple[Path, Path]]) -> None:
    """Into the archive, unless it is there: then the copy is dropped, for the one that was applied must not be overwritten."""
    archived = [(target / path.name).exists() for path, target in files]
    durable.remove_many([path for (path, _), there in zip(files, archived, strict=True) if there])
    moves = [
        (path, target, path.name) for (path, target), there in zip(files, archived, strict=True) if not there
    ]
    durable.move_many(moves)


def set_aside(
    ctx: Context, listing: Listing, name: str, files: Iterable[str], problem: Problem, report: ImportReport
) -> None:
    """Move files of an inbox into quarantine, and say so."""
    quarantine.set_aside(ctx, listing.peer, name, [listing.folder / file for file in files], problem)
    report.set_aside.append(Held(listing.peer, name, problem.code, problem.message))
