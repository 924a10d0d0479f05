"""Everything that a site knows of one batch, gathered: from the ledger, and from the files wherever they lie now. Prints nothing.

A batch's files lie in an outbox, an inbox, the archive of its business date, or a quarantine; the names say which folders to look in,
so nothing is searched. What is in the ledger is taken from there; the files add what only they hold (a foreign manifest, signatures).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.cli.language import _, mark
from filesync.errors import ConfigError, FilesyncError
from filesync.protocol.envelope import Envelope, canonical, decode
from filesync.protocol.identity import BatchName, Format, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Receipt, Verdict
from filesync.stores.values import OutgoingBatch

if TYPE_CHECKING:
    from filesync.exchange.context import Context
    from filesync.stores.values import IncomingBatch

#: Names that an ambiguous beginning is answered with.
CANDIDATES_MAX = 8


@dataclass(frozen=True, slots=True)
class Event:
    """One moment of a batch. `by` is the site whose clock it was."""

    what: str
    at: str
    by: str
    detail: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Dossier:
    """One batch. `state` is a clause; `manifest` is None where neither the ledger nor a file holds it."""

    name: BatchName
    state: str
    manifest: Manifest | None
    events: tuple[Event, ...]
    receipts: tuple[Receipt, ...]
    files: tuple[Path, ...]


@dataclass(slots=True)
class _Gathering:
    events: list[Event] = field(default_factory=list)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    state: str = "unknown"


def find(ctx: Context, text: str) -> BatchName:
    """The batch that `text` means: a file of it, its name, or a beginning that only one batch has. ConfigError otherwise."""
    if (file := parse_file_name(Path(text).name)) is not None:
        return file.batch
    text = Path(text).name.removesuffix(".rows.jsonl").removesuffix(".problem.json")
    try:
        return BatchName.parse(text)
    except ValueError:
        pass
    names = sorted({*ctx.store.names(text, CANDIDATES_MAX + 1), *_lying(ctx, text)})
    if len(names) == 1:
        return BatchName.parse(names[0])
    if not names:
        raise ConfigError("not-found", _("no batch is called {text!r} here").format(text=text))
    more = "\n  …" if len(names) > CANDIDATES_MAX else ""
    raise ConfigError(
        "ambiguous", _("{text!r} may be:\n  ").format(text=text) + "\n  ".join(names[:CANDIDATES_MAX]) + more
    )


def gather(ctx: Context, name: BatchName) -> Dossier:
    """What is known of the batch. ConfigError "not-found" where nothing is."""
    found = _Gathering()
    batch = ctx.store.batch(name.stem)
    files = tuple(_files(ctx, name))
    manifest = _manifest(batch, files)
    if manifest is not None:
        found.events.append(Event("sealed", manifest.sealed_at, manifest.id.feed.origin))
    if batch is None:
        _from_files(ctx, name, files, found)
    elif isinstance(batch, OutgoingBatch):
        _sent(batch, found, ctx.me)
    else:
        _received(batch, found, ctx.me)
    for case in (name.stem, name.manifest, *(name.payload(form) for form in Format)):
        for entry in ctx.store.problems(case):
            found.events.append(
                Event(entry.resolution or _("set aside"), entry.at, ctx.me, entry.message, entry.code)
            )
    for void in ctx.store.holes.voids(name.id.feed):
        if (void.epoch, void.seq) == (name.id.epoch, name.id.seq) and void.name in (None, name.stem):
            by = ctx.me if void.override else name.id.feed.origin
            found.events.append(Event(_("given up"), void.at, by, f"{void.by}: {void.reason}", "voided"))
    _in_order(found.events, ctx.me)
    if batch is None and manifest is None and not files:
        raise ConfigError("not-found", _("no batch is called {stem} here").format(stem=name.stem))
    return Dossier(name, found.state, manifest, tuple(found.events), tuple(found.receipts.values()), files)


_SAID = {
    Verdict.APPLIED: mark("applied"),
    Verdict.PARTIAL: mark("applied in part"),
    Verdict.REJECTED: mark("refused"),
}


def _in_order(events: list[Event], me: str) -> None:
    """This site's moments by its own clock, each in a place of one of them. Another site's clock may be wrong: its moments stay."""
    places = [place for place, event in enumerate(events) if event.by == me]
    mine = sorted((events[place] for place in places), key=lambda event: event.at)
    for place, event in zip(places, mine, strict=True):
        events[place] = event


def _sent(batch: OutgoingBatch, found: _Gathering, me: str) -> None:
    waiting = []
    for delivery in batch.deliveries:
        if delivery.shipped_at:
            found.events.append(
                Event(
                    "shipped",
                    delivery.shipped_at,
                    me,
                    _("to {recipient}").format(recipient=delivery.recipient),
                )
            )
        if delivery.carried_at:
            found.events.append(
                Event(
                    "carried",
                    delivery.carried_at,
                    me,
                    _("on a stick to {recipient}").format(recipient=delivery.recipient),
                )
            )
        if delivery.receipt is None:
            waiting.append(delivery.recipient)
            continue
        receipt = found.receipts[delivery.recipient] = Receipt.from_signed(json.loads(delivery.receipt))
        found.events.append(Event("received", receipt.received_at, delivery.recipient))
        found.events.append(Event(receipt.verdict.value.lower(), receipt.applied_at, delivery.recipient))
        found.events.append(
            Event(
                "settled",
                delivery.settled_at or "",
                me,
                _("with {recipient}'s receipt").format(recipient=delivery.recipient),
            )
        )
    if waiting:
        found.state = _("waits for {waiting}").format(waiting=", ".join(waiting))
    else:
        found.state = "; ".join(
            _("{said} by {recipient}").format(said=_(_SAID[r.verdict]), recipient=r.recipient)
            for r in found.receipts.values()
        )


def _received(batch: IncomingBatch, found: _Gathering, me: str) -> None:
    found.receipts[me] = Receipt.from_signed(json.loads(batch.receipt))
    found.events.append(Event("received", batch.received_at, me))
    found.events.append(Event(batch.verdict.value.lower(), batch.applied_at, me))
    found.state = _("{said} here").format(said=_(_SAID[batch.verdict]))


def _from_files(ctx: Context, name: BatchName, files: Iterable[Path], found: _Gathering) -> None:
    """Not in the ledger: refused, or not decided yet."""
    stored = ctx.store.receipt_of(name.stem)
    if stored is not None and stored.receipt is not None:
        found.receipts[ctx.me] = Receipt.from_signed(json.loads(stored.receipt))
        found.state = _("refused here")
        return
    places = dict.fromkeys(path.parent.parent.name for path in files)
    found.state = (
        _("not decided here; its files are in {places}").format(places=", ".join(places))
        if places
        else "unknown"
    )


def _manifest(batch: OutgoingBatch | IncomingBatch | None, files: Iterable[Path]) -> Manifest | None:
    if isinstance(batch, OutgoingBatch):
        return Manifest.from_signed(json.loads(batch.manifest))
    for path in files:
        if path.name.split("~")[0].endswith(".manifest.json"):
            try:
                return Manifest.from_signed(decode(path.read_bytes()).signed)
            except (OSError, FilesyncError):
                continue  # damaged where it lies; another copy may be whole
    return None


# ------------------------------------------------------------------------------------------------ files


def _files(ctx: Context, name: BatchName) -> Iterator[Path]:
    """The batch's own files and receipts, wherever a file of that name may lie."""
    for folder in _folders(ctx, name):
        yield from sorted(folder.glob(f"{name.stem}.*")) if folder.is_dir() else ()


def _folders(ctx: Context, name: BatchName) -> Iterator[Path]:
    folders = ctx.folders
    yield folders.archive(name.business_date)
    for top in ("outbox", "inbox", "quarantine"):
        yield from sorted(
            p for p in (folders.root / top).glob("*") if p.is_dir() and not p.name.startswith(".")
        )
    yield from sorted((folders.root / "archive").glob("*/*/*/discarded"))


def _lying(ctx: Context, beginning: str) -> Iterator[str]:
    """Batches that lie in an inbox or in quarantine and are in no ledger yet."""
    if not beginning or any(char in beginning for char in "*?[/\\"):
        return
    for top in ("inbox", "quarantine"):
        for path in (ctx.folders.root / top).glob(f"*/{beginning}*"):
            if (file := parse_file_name(path.name.split("~")[0])) is not None:
                yield file.batch.stem


# ------------------------------------------------------------------------------------------------ what was signed


def signed(ctx: Context, dossier: Dossier, *, receipt: bool, recipient: str | None) -> Envelope:
    """The signed part of the manifest, or of a receipt, with its signature.

    A file as it came is preferred: it holds its author's signature. What this site made itself can be made again, byte for byte.
    """
    wanted = None
    if receipt:
        known = [r.recipient for r in dossier.receipts]
        if recipient is None and len(known) > 1:
            raise ConfigError(
                "ambiguous", _("several receipts: name one with --by: {known}").format(known=", ".join(known))
            )
        wanted = recipient or (known[0] if known else None)
        if wanted not in known:
            if wanted:
                text = _("there is no receipt by {site} for {stem}").format(
                    site=wanted, stem=dossier.name.stem
                )
            else:
                text = _("there is no receipt yet for {stem}").format(stem=dossier.name.stem)
            raise ConfigError("not-found", text)
    file_name = dossier.name.receipt(wanted) if wanted else dossier.name.manifest
    found = [
        envelope for path in dossier.files if path.name == file_name and (envelope := _read(path)) is not None
    ]
    for envelope in found:
        if envelope.signature is not None:
            return envelope
    author = wanted or dossier.name.id.feed.origin
    if author == ctx.me and (mine := _own(dossier, wanted)) is not None:
        body = canonical(mine)
        return Envelope(mine, ctx.settings.key.sign(body), body)
    if found:
        return found[0]
    raise ConfigError(
        "not-found", _("{file_name} lies in no folder of this site any more").format(file_name=file_name)
    )


def _own(dossier: Dossier, recipient: str | None) -> dict[str, object] | None:
    """What this site signed itself, from the ledger."""
    if recipient is None:
        return None if dossier.manifest is None else dossier.manifest.to_signed()
    return next((r.to_signed() for r in dossier.receipts if r.recipient == recipient), None)


def _read(path: Path) -> Envelope | None:
    try:
        return decode(path.read_bytes())
    except (OSError, FilesyncError):
        return None
