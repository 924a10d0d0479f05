"""Restore: the outbox as the ledger says it should be. From it, whatever a crash, or a hand, has taken away comes back, byte for byte.

- Of a delivery without an answer the outbox holds the payload, then the manifest.
- Of a void without an answer it holds the void; the batch itself lies in the archive.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from filesync.exchange import quarantine
from filesync.exchange.outgoing import publish_manifests
from filesync.protocol.envelope import encode
from filesync.protocol.identity import BatchName
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from filesync.exchange.context import Context
    from filesync.protocol.identity import Format

#: A batch that waits for its receipt, and whose payload lies nowhere any more.
LOST: Final = "payload-lost"
#: A batch that somebody asks for, and whose payload was removed when its day was long over.
PURGED: Final = "payload-purged"


def restore_outboxes(ctx: Context, present: Mapping[str, Collection[str]]) -> set[tuple[str, str]]:
    """Put back whatever is missing in the outboxes. `present`: the names that lie in each.

    The (batch, recipient) that wait for an answer, and were not given up.
    """
    untold = ctx.store.holes.untold()
    given_up = {(void.name, void.recipient) for void in untold}
    unanswered = [
        delivery
        for delivery in ctx.store.outgoing_open()
        if (delivery.name, delivery.recipient) not in given_up
    ]
    files: dict[str, tuple[str, str]] = {}
    incomplete = []
    for delivery in unanswered:
        if delivery.name not in files:  # one batch may wait for thousands of recipients
            name = BatchName.parse(delivery.name)
            files[delivery.name] = name.manifest, name.payload(delivery.format)
        here = present.get(delivery.recipient, ())
        if not all(file in here for file in files[delivery.name]):
            incomplete.append(delivery)
    # Only of these, and once for each batch: a manifest names all its recipients, and each of them has a delivery.
    texts = ctx.store.manifests({delivery.name for delivery in incomplete}) if incomplete else {}
    manifests = {name: Manifest.from_signed(json.loads(text)) for name, text in texts.items()}
    unpublished: dict[str, list[str]] = defaultdict(list)
    for delivery in incomplete:
        manifest = manifests[delivery.name]
        here = present.get(delivery.recipient, ())
        if manifest.payload_file not in here:
            _restore_payload(ctx, delivery.recipient, manifest, present)
        if (
            manifest.name.manifest not in here
            and (ctx.folders.outbox(delivery.recipient) / manifest.payload_file).exists()
        ):
            unpublished[delivery.name].append(delivery.recipient)
    for batch, recipients in unpublished.items():
        publish_manifests(ctx, [(manifests[batch].name, texts[batch])], recipients)
    durable.publish_many(
        [
            (ctx.folders.outbox(void.recipient), file, encode(json.loads(void.void), ctx.settings.key))
            for void in untold
            if (file := BatchName.parse(void.name).void) not in present.get(void.recipient, ())
        ]
    )
    return {(delivery.name, delivery.recipient) for delivery in unanswered}


def lying_in_outboxes(ctx: Context) -> dict[str, set[str]]:
    """The names in each outbox."""
    with os.scandir(ctx.folders.root / "outbox") as entries:
        folders = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    top = f"{ctx.folders.root / 'outbox'}{os.sep}"
    return {folder: _names(top + folder) for folder in folders}


def lying_in_outbox(ctx: Context, peer: str) -> set[str]:
    """The names in one of them; one that is not there is an empty one."""
    try:
        return _names(str(ctx.folders.outbox(peer)))
    except FileNotFoundError:
        return set()


def _names(folder: str) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def payload_of(ctx: Context, name: BatchName, form: Format, peers: Iterable[str]) -> Path | None:
    """A copy of an own batch's payload: in an outbox, or in the archive; None where it lies nowhere any more."""
    file = name.payload(form)
    folders = (*(ctx.folders.outbox(peer) for peer in peers), ctx.folders.archive(name.business_date))
    return next((folder / file for folder in folders if (folder / file).exists()), None)


def purged(ctx: Context, manifest: Manifest) -> str | None:
    """That the file of an own batch was purged, in words; None where it lies somewhere, or is lost for another reason."""
    mark = ctx.store.purges.archive_of(manifest.business_date)
    if mark is None or payload_of(ctx, manifest.name, manifest.format, manifest.recipients) is not None:
        return None
    return f"{manifest.name.stem}: its file was purged on {mark.at[:10]} by {mark.by}; the ledger knows what it was, nobody can send it again"


def _restore_payload(
    ctx: Context, recipient: str, manifest: Manifest, present: Mapping[str, Collection[str]]
) -> None:
    """A crash between two links, or a person: another recipient's copy, or the archive's, is the same immutable file."""
    stem = manifest.name.stem
    others = [peer for peer in manifest.recipients if peer in present]
    if (copy := payload_of(ctx, manifest.name, manifest.format, others)) is not None:
        durable.link(copy, ctx.folders.outbox(recipient), manifest.payload_file)
        quarantine.resolve_note(ctx, recipient, stem, LOST)
        return
    problem = Problem(
        LOST,
        f"{stem}: its payload is in no outbox and not in the archive; restore it from a backup, or give the number up and export again",
    )
    quarantine.note(ctx, recipient, stem, problem)
