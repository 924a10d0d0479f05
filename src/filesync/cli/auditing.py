"""`filesync verify FILE.zip`: does a day's dossier hold what its matriz signed, and do its papers agree? Asks no site and no database.

The checks and their order:
1. the index is signed, by the key that was given (without one: by which key, and that nobody vouches for it);
2. every file is there, no other one is, and every byte of the zip is as it was signed (day/bundle.py);
3. that the day was not complete, and every override of it, is said, however good the rest is;
4. every manifest, receipt and gate opening is signed by whose it is, with the keys that the matriz put in;
5. receipts answer these manifests, the ledger's list names all of them, closings name batches that are here, openings rely on batches
   that are here, and the reconciliation's rows add up to its summary.

What is good is said once for all files of a kind; what is wrong, for each. A check that cannot be made says why; it is not passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from filesync.cli import wording
from filesync.cli.checks import Check
from filesync.cli.day_page import override_line
from filesync.cli.language import _
from filesync.cli.papers import (
    Papers,
    closings,
    ledger,
    openings,
    read_json,
    reconciliation,
    signed_by,
    summed,
)
from filesync.day import bundle
from filesync.day.bundle import Bundle, Wrong
from filesync.errors import DamagedError, FilesyncError
from filesync.protocol.envelope import decode, sha256_hex
from filesync.protocol.identity import FileKind, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Receipt
from filesync.protocol.signing import PublicKey, SignatureError, signer_of


def check_dossier(path: Path, key: PublicKey | None) -> Iterator[Check]:
    """Everything that can be said about the dossier at `path`, in the order above."""
    try:
        opened = Bundle.open(path)
    except DamagedError as err:
        yield Check(path.name, "zip", False, err.message)
        return
    with opened as zipped:
        yield from _signature(zipped, key)
        faults = zipped.examine()
        for fault in faults:
            yield Check(fault.file, "bytes", False, _said(fault))
        if not faults:
            files = wording.plural(len(zipped.entries), "file", "files")
            yield Check(
                path.name, "bytes", True, _("{files}, each byte as it was signed").format(files=files)
            )
        bad = {fault.file for fault in faults}
        yield from _papers(zipped, bad)


def _said(fault: bundle.Fault) -> str:
    match fault.wrong:
        case Wrong.MISSING:
            return _("it is missing; the index names it")
        case Wrong.ADDED:
            return _("it was added; the index does not name it")
        case Wrong.TWICE:
            return _("it is there more than once")
        case Wrong.OUTSIDE:
            return _("byte {at} of the zip belongs to no file, or is not as filesync writes it").format(
                at=fault.got
            )
        case _:
            return _("it was changed: expected {expected}, got {got}").format(
                expected=fault.expected, got=fault.got
            )


def _signature(zipped: Bundle, key: PublicKey | None) -> Iterator[Check]:
    index = zipped.index
    what = _("the day {day} of {site}").format(day=index.get("day"), site=index.get("site"))
    try:
        signer = key or signer_of(zipped.signature)
        signer.verify(zipped.index_bytes, zipped.signature)
    except SignatureError as err:
        yield Check(bundle.INDEX, "signature", False, err.message)
        return
    if key is None:
        yield Check(
            bundle.INDEX,
            "signature",
            None,
            _("{what}, signed with {key}; whose that is, is not checked: give --key FILE, the matriz' public key").format(what=what, key=signer.fingerprint),
        )  # fmt: skip
    else:
        yield Check(bundle.INDEX, "signature", True, _("{what}, signed with {key}").format(what=what, key=key.fingerprint))  # fmt: skip


# ------------------------------------------------------------------------------------------------ what the papers say


def _papers(zipped: Bundle, bad: set[str]) -> Iterator[Check]:
    papers = Papers(str(zipped.index.get("site")))
    for look in (_day, _keys, _manifests, _receipts, ledger, closings, openings, reconciliation):
        try:
            yield from look(zipped, bad, papers)
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
        ) as err:  # whoever made it, it was not filesync
            what = look.__name__.strip("_")
            yield Check(f"{what}", "form", False, _("not as filesync writes it: {err}").format(err=f"{type(err).__name__}: {err}"))  # fmt: skip


def _day(zipped: Bundle, bad: set[str], _papers: Papers) -> Iterator[Check]:
    """What nobody may overlook who relies on this day: that it was not complete, and that the order was left."""
    page = read_json(zipped, bad, "day.json")
    if page is None:
        return
    if not page["complete"]:
        yield Check("day.json", "complete", None, _("the day was NOT complete when this was made"))
    for override in page["overrides"]:
        yield Check("day.json", "override", None, f"*** {override_line(override)} ***")


def _keys(zipped: Bundle, bad: set[str], papers: Papers) -> Iterator[Check]:
    for name in zipped.under("keys"):
        if name in bad:
            continue
        try:
            papers.keys[Path(name).stem] = PublicKey.from_openssh(zipped.read(name).decode("ascii"))
        except (FilesyncError, ValueError) as err:
            yield Check(name, "key", False, str(err))
    own = papers.keys.get(papers.site)
    try:
        if own is None or own != signer_of(zipped.signature):
            yield Check(f"keys/{papers.site}.pub", "key", False, _("it is not the key that signed the index"))
    except SignatureError:
        return  # said already


def _manifests(zipped: Bundle, bad: set[str], papers: Papers) -> Iterator[Check]:
    signed: Counter[bool | None] = Counter()
    for name in zipped.under("manifests"):
        if name in bad:
            continue
        file = parse_file_name(Path(name).name)
        try:
            envelope = decode(zipped.read(name))
            manifest = Manifest.from_signed(envelope.signed)
        except FilesyncError as err:
            yield Check(name, "manifest", False, err.message)
            continue
        if file is None or file.kind is not FileKind.MANIFEST or manifest.name != file.batch:
            yield Check(name, "name", False, _("the manifest is of {batch}").format(batch=manifest.name.stem))
            continue
        papers.manifests[manifest.name.stem] = (sha256_hex(envelope.canonical), manifest)
        yield from signed_by(name, envelope, manifest.id.feed.origin, papers, signed)
    if papers.manifests:
        count = wording.number(len(papers.manifests))
        yield summed("manifests", signed, _("{count} read").format(count=count))


def _receipts(zipped: Bundle, bad: set[str], papers: Papers) -> Iterator[Check]:
    signed: Counter[bool | None] = Counter()
    for name in zipped.under("receipts"):
        if name in bad:
            continue
        file = parse_file_name(Path(name).name)
        try:
            envelope = decode(zipped.read(name))
            receipt = Receipt.from_signed(envelope.signed)
        except FilesyncError as err:
            yield Check(name, "receipt", False, err.message)
            continue
        if file is None or (receipt.batch, receipt.recipient) != (file.batch.stem, file.recipient):
            yield Check(name, "name", False, _("the receipt is {site}'s for {batch}").format(site=receipt.recipient, batch=receipt.batch))  # fmt: skip
            continue
        papers.receipts[receipt.batch, receipt.recipient] = sha256_hex(envelope.canonical)
        held = papers.manifests.get(receipt.batch)
        if held is not None and held[0] != receipt.manifest_sha256:
            yield Check(name, "manifest", False, _("it answers another manifest, of sha256 {digest}").format(digest=receipt.manifest_sha256))  # fmt: skip
        yield from signed_by(name, envelope, receipt.recipient, papers, signed)
    if papers.receipts:
        count = wording.number(len(papers.receipts))
        yield summed("receipts", signed, _("{count} read, each for its manifest").format(count=count))
