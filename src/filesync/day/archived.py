"""Reconcile a day from its archived batches alone: for a store that was rebuilt or lost, and to see that the archive holds what was applied.

Ordering rules:
1. Every batch is proven as when it came: signature, digest, form. What is missing or not whole is named, and the rest is looked at.
2. The batches go, by the same code as ever, into an embedded store of this look alone, which is gone afterwards: in the order in which the ledger
   has them, those that it does not know after them in the order of their feeds. What it says was rejected or given up is left out; of the
   day's billing files the one that counts is taken.
3. Rows and totals of each batch are compared with its receipt, and the reconciliation with the one that the store holds, if it holds any.

A sale that was moved to another day by a batch of that day is still counted here: a day is read by itself. Nothing is written at the site.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filesync.config import Peer
from filesync.day.reconciling import Amounts, Colour, Dimension, amounts_of
from filesync.errors import DamagedError, RejectedError
from filesync.exchange.applying import apply_group
from filesync.exchange.arrivals import Listing, Verified, open_signed
from filesync.exchange.checking import Ready
from filesync.exchange.folders import Folders
from filesync.protocol.envelope import sha256_hex
from filesync.protocol.identity import BatchName, FileKind, Role, parse_file_name
from filesync.protocol.manifest import Manifest, UnknownFormatError
from filesync.protocol.receipt import Problem, Verdict
from filesync.protocol.signing import SignatureError
from filesync.stores.sqlite import SqliteStore
from filesync.stores.values import Site
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date

    from filesync.exchange.context import Context
    from filesync.stores.day_values import DayBatch
    from filesync.stores.reconciled import Total
    from filesync.stores.store import Store

DATASETS: Final = ("vendas", "bdf", "ca")
FILES: Final = ("bdf", "ca")


@dataclass(frozen=True, slots=True)
class ArchivedDay:
    """What a day's archived batches say. `documents`: as applied, by dataset. `agrees`: with the reconciliation that the store holds; None: none."""

    day: date
    batches: int
    documents: Mapping[str, int]
    colours: Mapping[Colour, Amounts]
    problems: tuple[Problem, ...]
    agrees: bool | None

    @property
    def whole(self) -> bool:
        """Whether the archive holds everything of the day, and nothing else came out of it."""
        return not self.problems and self.agrees is not False


def look(ctx: Context, day: date) -> ArchivedDay:
    """Read a day's archive. Memory is bounded; the look's own store lies on the disk for temporary files."""
    problems: list[Problem] = []
    known = {batch.name: batch for batch in ctx.store.days.arrived(day) if batch.feed.dataset in DATASETS}
    lying = _lying(ctx, day)
    chosen = _chosen(ctx, day, known, lying, problems)
    with tempfile.TemporaryDirectory(prefix="filesync-") as folder:
        site = ctx.store.site
        with SqliteStore.create(Path(folder) / "look.db", Site(site.id, site.role, site.epoch)) as store:
            own = _trusting(ctx, Path(folder), store, chosen)
            for name in chosen:
                _apply(own, ctx.folders.archive(day), lying[name], problems)
            found = store.days.arrived(day)
            problems += _differing(found, known)
            made = store.reconciling.reconcile(day, ctx.now(), unbilled=ctx.settings.reconciliation.unbilled)
            totals = store.reconciling.totals(made.day)
    documents = {
        dataset: sum(batch.documents for batch in found if batch.feed.dataset == dataset)
        for dataset in DATASETS
    }
    return ArchivedDay(
        day, len(found), documents, _colours(totals), tuple(problems), _agrees(ctx, day, totals)
    )


def _lying(ctx: Context, day: date) -> dict[str, BatchName]:
    """The batches whose manifests are in the day's archive, but this site's own sales for others."""
    found = {}
    folder = ctx.folders.archive(day)
    for path in folder.iterdir() if folder.is_dir() else ():
        parsed = parse_file_name(path.name)
        if parsed is None or parsed.kind is not FileKind.MANIFEST:
            continue
        feed = parsed.batch.id.feed
        if feed.dataset in DATASETS and (feed.origin != ctx.me or feed.dataset in FILES):
            found[parsed.batch.stem] = parsed.batch
    return found


def _chosen(
    ctx: Context,
    day: date,
    known: Mapping[str, DayBatch],
    lying: Mapping[str, BatchName],
    problems: list[Problem],
) -> list[str]:
    """The batches that count, in the order in which they are applied."""
    voided = ctx.store.holes.voided(lying) | {
        name for name in lying if name not in known and (ctx.folders.archive(day) / lying[name].void).exists()
    }
    counting = {
        name for name, batch in known.items() if batch.verdict is not Verdict.REJECTED and name not in voided
    }
    unknown = lying.keys() - known.keys() - voided
    current = {
        name for dataset in FILES if (name := _current(ctx, dataset, day, counting | unknown)) is not None
    }
    wanted = {
        name
        for name in counting | unknown
        if BatchName.parse(name).id.feed.dataset == "vendas" or name in current
    }
    problems += [
        Problem("archive-missing", f"{name}: expected it in the archive of {day}, it is not there")
        for name in sorted(wanted - lying.keys())
    ]
    places = {name: place for place, name in enumerate(known)}  # in the order in which they were decided

    def order(name: str) -> tuple[int, str, str, int]:
        batch = BatchName.parse(name).id
        return places.get(name, len(places)), str(batch.feed), batch.epoch, batch.seq

    return sorted(wanted & lying.keys(), key=order)


def _current(ctx: Context, dataset: str, day: date, names: Collection[str]) -> str | None:
    """The billing file of the day that counts: as the ledger says, or else the last one of its feed."""
    record = ctx.store.files.current(dataset, day)
    if record is not None:
        return record.batch
    files = [name for name in names if BatchName.parse(name).id.feed.dataset == dataset]
    return max(files, key=lambda name: BatchName.parse(name).id.seq, default=None)


def _trusting(ctx: Context, folder: Path, store: Store, names: Sequence[str]) -> Context:
    """The site as it would be with this store: itself, and sites that are no peers any more, may have sent what the ledger says they sent."""
    settings = ctx.settings
    origins = {BatchName.parse(name).id.feed.origin for name in names} - settings.peers.keys()
    strangers = {
        origin: Peer(role=Role.MATRIZ if origin == ctx.me else Role.CAIXA, relays=frozenset())
        for origin in origins
    }
    trusting = replace(
        settings,
        peers=settings.peers | strangers,
        pinned=settings.pinned | {ctx.me: settings.key.public},
        apply={},  # the user's own tables have their rows
    )
    return replace(ctx, settings=trusting, folders=Folders(folder), store=store)


def _apply(own: Context, folder: Path, name: BatchName, problems: list[Problem]) -> None:
    try:
        ready = _proven(own, folder, name)
    except (DamagedError, RejectedError, SignatureError, UnknownFormatError) as err:
        problems.append(Problem(err.code, err.message))
        return
    except OSError as err:
        problems.append(Problem("archive-unreadable", f"{name.stem}: {err}"))
        return
    for applied in apply_group(own, [ready]):
        problems.extend(applied.problems if applied.verdict is Verdict.REJECTED else ())


def _proven(own: Context, folder: Path, name: BatchName) -> Ready:
    """The batch as an import would have it before it is applied."""
    origin = name.id.feed.origin
    path = folder / name.manifest
    listing = Listing(origin, folder, (), (), {}, {name.manifest: path.stat().st_size}, ())
    envelope = open_signed(own, listing, name.manifest, "manifest-unreadable")
    manifest = Manifest.from_signed(envelope.signed)
    if manifest.name != name:
        raise RejectedError(
            "renamed",
            f"{name.manifest}: expected the manifest of that batch, got that of {manifest.name.stem}",
        )
    payload = folder / manifest.payload_file
    if not payload.is_file():
        raise DamagedError(
            "archive-missing", f"{payload.name}: expected the payload beside its manifest, it is not there"
        )
    sha256, size = digest_file(payload)
    if (sha256, size) != (manifest.payload_sha256, manifest.payload_bytes):
        raise DamagedError(
            "archive-damaged",
            f"{payload.name}: expected {manifest.payload_bytes} bytes with sha256 {manifest.payload_sha256}, got {size} with {sha256}",
        )
    contract = own.contracts.get(name.id.feed.dataset, manifest.version)
    if contract is None:
        raise RejectedError(
            "contract-unknown",
            f"{name.stem}: expected a contract that is known here, got version {manifest.version}",
        )
    verified = Verified(origin, manifest, sha256_hex(envelope.canonical))
    before = own.store.standings().get((name.id.feed, name.id.epoch))
    return Ready(verified, contract, payload, None, own.now(), (), before)


def _differing(found: Sequence[DayBatch], known: Mapping[str, DayBatch]) -> list[Problem]:
    """Batches that come out of the archive otherwise than their receipts say."""
    problems = []
    for batch in found:
        receipt = known.get(batch.name)
        if receipt is not None and (batch.rows, batch.totals) != (receipt.rows, receipt.totals):
            message = (
                f"{batch.name}: expected rows {dict(receipt.rows)} as in its receipt, got {dict(batch.rows)}"
            )
            if batch.rows == receipt.rows:
                message = f"{batch.name}: expected totals {dict(receipt.totals)} as in its receipt, got {dict(batch.totals)}"
            problems.append(Problem("archive-differs", message))
    return problems


def _colours(totals: Sequence[Total]) -> dict[Colour, Amounts]:
    return {total.colour: amounts_of(total) for total in totals if total.dimension is Dimension.ALL}


def _agrees(ctx: Context, day: date, totals: Sequence[Total]) -> bool | None:
    held = ctx.store.reconciling.find(day)
    if held is None or held.changed:
        return None
    return set(ctx.store.reconciling.totals(day)) == set(totals)
