"""Settle and recover, at the origin: receipts close deliveries, and the outbox is brought in line with the ledger.

- A receipt settles only if it answers a manifest digest of ours, comes from a recipient of that batch, and is signed where a key is pinned.
- The ledger is told first; files move afterwards. `sweep` does from the ledger whatever a crash left undone, and costs what is
  unsettled, not what is history.
- Nothing leaves an outbox before that recipient's receipt is in the ledger. A payload that no ledger row names was never a batch.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filesync.errors import DamagedError, RejectedError
from filesync.exchange import quarantine
from filesync.exchange.arrivals import Listing, list_inbox, open_signed
from filesync.exchange.heartbeats import hear
from filesync.exchange.holes import ship_again
from filesync.exchange.reports import Held, ImportReport
from filesync.exchange.restoring import LOST, lying_in_outbox, lying_in_outboxes, restore_outboxes
from filesync.protocol.identity import BatchName, FileKind, FileName, parse_file_name
from filesync.protocol.receipt import Problem, Receipt, UnknownFormatError, Verdict
from filesync.protocol.signing import SignatureError
from filesync.stores.renewing import FORKED
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from filesync.exchange.context import Context
    from filesync.stores.values import OutgoingState

#: Inboxes whose receipts share a transaction and the disk's attention.
WAVE: Final = 1_000


def settle_all(ctx: Context, report: ImportReport, peers: Iterable[str]) -> None:
    """Take every receipt in the inboxes of these peers to the ledger, then tidy the outboxes it concerns; and hear how they are."""
    listings = [list_inbox(ctx, peer, answers_only=True) for peer in peers]
    answering = [listing for listing in listings if listing.receipts]
    for start in range(0, len(answering), WAVE):
        _settle(ctx, answering[start : start + WAVE], report)
    # After the receipts: what is settled by them is not missing.
    for heard in hear(ctx, listings, report):
        if heard.wanted:
            ship_again(ctx, heard.site, heard.wanted, heard.clock, report)


def _settle(ctx: Context, listings: Sequence[Listing], report: ImportReport) -> None:
    fitting = [answer for listing in listings for answer in _fitting(ctx, listing, report)]
    with ctx.store.transaction():
        ctx.store.settle(
            [(a.receipt.batch, a.receipt.recipient, a.receipt.verdict, a.text, ctx.now()) for a in fitting]
        )
        _settle_voids(ctx, [(answer.receipt, answer.text) for answer in fitting])
    # At this instant the deliveries are settled; moving files can be done again.
    for answer in fitting:
        receipt, peer = answer.receipt, answer.listing.peer
        if answer.new:
            report.settled.append(receipt.batch)
        if answer.new and receipt.verdict is not Verdict.APPLIED:
            first = (
                receipt.problems[0]
                if receipt.problems
                else Problem(receipt.verdict.value.lower(), "no reason was given")
            )
            report.rejected_by_peer.append(
                Held(peer, receipt.batch, first.code, f"{receipt.verdict.value}: {first.message}")
            )
    durable.move_many(
        [
            (a.listing.folder / str(a.name), ctx.folders.archive(a.name.batch.business_date), str(a.name))
            for a in fitting
        ]
    )
    settled: dict[str, list[str]] = defaultdict(list)
    for answer in fitting:
        settled[answer.listing.peer].append(answer.name.batch.stem)
    for peer, stems in settled.items():  # what had arrived before it was lost here
        quarantine.resolve_notes(ctx, peer, stems, LOST)
    tidy_outboxes(ctx, {listing.peer: lying_in_outbox(ctx, listing.peer) for listing in listings})


def _fitting(ctx: Context, listing: Listing, report: ImportReport) -> Iterator[_Answer]:
    """The receipts of an inbox that answer something of ours. What cannot be believed is set aside."""
    states = ctx.store.outgoing_state({name.batch.stem for name in listing.receipts}, listing.peer)
    for name in listing.receipts:
        try:
            envelope = open_signed(ctx, listing, str(name), "receipt-unreadable")
            receipt = Receipt.from_signed(envelope.signed)
            _ours(listing.peer, name, receipt, states.get(name.batch.stem))
        except UnknownFormatError as err:
            message = f"{err.message}; it waits for this site's filesync to be updated"
            report.waiting.append(Held(listing.peer, str(name), err.code, message))
        except (DamagedError, RejectedError, SignatureError) as err:
            quarantine.set_aside(
                ctx, listing.peer, str(name), [listing.folder / str(name)], Problem(err.code, err.message)
            )
            report.set_aside.append(Held(listing.peer, str(name), err.code, err.message))
        except OSError as err:
            report.waiting.append(
                Held(
                    listing.peer,
                    str(name),
                    "locked",
                    f"{name} cannot be read now ({err}); the next turn tries again",
                )
            )
        else:
            new = states[receipt.batch].recipients[receipt.recipient] is None
            yield _Answer(listing, name, receipt, envelope.canonical.decode(), new)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A receipt that answers something of ours, word for word; `new` where it is the first."""

    listing: Listing
    name: FileName
    receipt: Receipt
    text: str
    new: bool


def _settle_voids(ctx: Context, answers: Sequence[tuple[Receipt, str]]) -> None:
    """What these receipts say of numbers that were given up, here or by their recipient.

    A REJECTED that names a contract is about the rows: it left before its recipient heard of the void, and does not answer it.
    """
    about_void = [r for r, _ in answers if r.verdict is not Verdict.REJECTED or r.contract is None]
    ctx.store.holes.answered([(r.batch, r.recipient, ctx.now()) for r in about_void])
    given_up = [(r, text) for r, text in answers if any(p.code in _again(ctx, r) for p in r.problems)]
    ctx.store.holes.refused_as_voided([(r.batch, r.recipient, text) for r, text in given_up])


def _again(ctx: Context, receipt: Receipt) -> Collection[str]:
    """The codes that say nothing about the rows: these come again as they are.

    Of an epoch that ended here (renewing.py) that is also a number that had been used before.
    """
    return {"voided"} if BatchName.parse(receipt.batch).id.epoch == ctx.epoch else {"voided", *FORKED}


def _ours(peer: str, name: FileName, receipt: Receipt, state: OutgoingState | None) -> None:
    """Raise `RejectedError` unless this is `peer`'s answer to exactly what this site sealed."""
    if receipt.batch != name.batch.stem or receipt.recipient != name.recipient:
        raise RejectedError(
            "renamed",
            f"{name}: expected the receipt of that batch, got one for {receipt.batch} by {receipt.recipient}",
        )
    if receipt.recipient != peer:
        raise RejectedError(
            "receipt-foreign",
            f"{name}: expected a receipt by {peer}, in whose folder it came, got one by {receipt.recipient}",
        )
    if state is None or receipt.recipient not in state.recipients:
        raise RejectedError(
            "receipt-foreign",
            f"{name}: expected a receipt for a batch that this site sent to {peer}, got {receipt.batch}",
        )
    if state.manifest_sha256 != receipt.manifest_sha256:
        raise RejectedError(
            "receipt-other-content",
            f"{name}: expected an answer to manifest {state.manifest_sha256}, got one to {receipt.manifest_sha256}",
        )


def sweep(ctx: Context) -> None:
    """Finish whatever a crash left undone here: half-written files, unpublished manifests, answered batches still in an outbox."""
    for folder in ctx.folders.all():  # a person may have tidied up
        folder.mkdir(exist_ok=True)
    for top in ("outbox", "inbox", "quarantine", "archive"):
        durable.clean_partial(ctx.folders.root / top / "-")
    _tidy_half_arrived(ctx)
    present = lying_in_outboxes(ctx)
    unanswered = restore_outboxes(ctx, present)
    tidy_outboxes(ctx, present, unanswered)


def _tidy_half_arrived(ctx: Context) -> None:
    """Half-written files of a peer, or half-fetched ones, that nobody will finish: their batch was decided here, their receipt settled.

    They are copies of what was shipped again before its receipt was known, by a sender that was cut off. All others are left to it.
    """
    halves: dict[Path, FileName] = {}
    try:
        entries = list(os.scandir(ctx.folders.root / "inbox" / durable.PARTIAL))
    except FileNotFoundError:
        return
    for entry in entries:
        name = entry.name.partition("~")[2]
        for suffix in (durable.FOREIGN_SUFFIX, durable.FETCHED_SUFFIX):
            parsed = parse_file_name(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if parsed is not None:
                halves[Path(entry.path)] = parsed
    stems = {file.batch.stem for file in halves.values()}
    if not stems:
        return
    decided, taken = ctx.store.answered(stems), ctx.store.holes.taken(stems)
    sent = ctx.store.outgoing_state(stems)
    for path, file in halves.items():
        state = sent.get(file.batch.stem)
        settled = state is not None and state.recipients.get(file.recipient or "") is not None
        done = taken if file.kind is FileKind.VOID else decided
        if settled if file.kind is FileKind.RECEIPT else file.batch.stem in done:
            durable.remove(path)


def tidy_outboxes(
    ctx: Context, lying: Mapping[str, Iterable[str]], unanswered: Collection[tuple[str, str]] = ()
) -> None:
    """Move what is answered, and batches that were given up, to the archive; remove payloads of numbers that were never used.

    `lying`: the names in each peer's outbox. (batch, recipient) in `unanswered` are known to wait, and are left alone unasked.
    """
    unused: list[Path] = []
    answered: list[tuple[Path, FileName]] = []
    for peer, names in lying.items():
        _sort_outbox(ctx, peer, names, unanswered, unused, answered)
    durable.remove_many(unused)
    durable.move_many(
        [(folder / str(file), ctx.folders.archive(file.batch.business_date), str(file)) for folder, file in answered]
    )  # fmt: skip


def _sort_outbox(
    ctx: Context,
    peer: str,
    names: Iterable[str],
    unanswered: Collection[tuple[str, str]],
    unused: list[Path],
    answered: list[tuple[Path, FileName]],
) -> None:
    batches: dict[str, list[FileName]] = defaultdict(list)
    for name in names:
        parsed = parse_file_name(name)
        if (
            parsed is not None
            and parsed.kind is not FileKind.RECEIPT
            and parsed.batch.id.feed.origin == ctx.me
            and (parsed.batch.stem, peer) not in unanswered
        ):
            batches[parsed.batch.stem].append(parsed)
    if not batches:
        return
    folder = ctx.folders.outbox(peer)
    states = ctx.store.outgoing_state(batches, peer)
    given_up = ctx.store.holes.taken(batches)
    untold = {void.name for void in ctx.store.holes.untold() if void.recipient == peer} if given_up else set()
    for stem, files in batches.items():
        state = states.get(stem)
        if state is None:
            unused += _unused(folder, files)
        elif stem in given_up:
            answered += [
                (folder, file)
                for file in sorted(files, key=_manifest_first)
                if file.kind is not FileKind.VOID or stem not in untold
            ]
        elif state.recipients.get(peer) is not None:
            # The manifest leaves first: a manifest without its payload would look like a batch that cannot be whole.
            answered += [(folder, file) for file in sorted(files, key=_manifest_first)]


def _manifest_first(file: FileName) -> bool:
    return file.kind is not FileKind.MANIFEST


def _unused(folder: Path, files: list[FileName]) -> list[Path]:
    """Payloads of a sealing that stopped before its ledger row. A manifest without one is not ours to judge: it stays."""
    if any(file.kind is not FileKind.PAYLOAD for file in files):
        return []
    return [folder / str(file) for file in files]
