"""`filesync verify FILE.zip`: does a day's dossier hold what its matriz signed, and do its papers agree? Asks no site and no database.

The checks and their order:
1. the index is signed, by the key that was given (without one: by which key, and that nobody vouches for it);
2. every file is there, no other one is, and every byte of the zip is as it was signed (day/bundle.py);
3. every manifest, receipt and gate opening is signed by whose it is, with the keys that the matriz put in;
4. receipts answer these manifests, the ledger's list names all of them, closings name batches that are here, openings rely on batches
   that are here, and the reconciliation's rows add up to its summary.

What is good is said once for all files of a kind; what is wrong, for each. A check that cannot be made says why; it is not passed.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filesync.cli import wording
from filesync.cli.checks import Check
from filesync.cli.language import _
from filesync.day import bundle
from filesync.day.bundle import Bundle, Wrong
from filesync.errors import DamagedError, FilesyncError
from filesync.protocol.envelope import Envelope, decode, sha256_hex
from filesync.protocol.identity import FileKind, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Receipt
from filesync.protocol.signing import PublicKey, SignatureError, signer_of


@dataclass(slots=True)
class _Papers:
    """What was read, and whom each site's name stands for."""

    site: str
    keys: dict[str, PublicKey] = field(default_factory=dict)
    manifests: dict[str, tuple[str, Manifest]] = field(
        default_factory=dict
    )  # by stem: digest of what was signed
    receipts: dict[tuple[str, str], str] = field(default_factory=dict)  # by stem and recipient: digest
    batches: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # the ledger's list, by stem
    voids: list[Mapping[str, Any]] = field(default_factory=list)


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
    papers = _Papers(str(zipped.index.get("site")))
    for look in (_keys, _manifests, _receipts, _ledger, _closings, _openings, _reconciliation):
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


def _keys(zipped: Bundle, bad: set[str], papers: _Papers) -> Iterator[Check]:
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


def _manifests(zipped: Bundle, bad: set[str], papers: _Papers) -> Iterator[Check]:
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
        yield from _by(name, envelope, manifest.id.feed.origin, papers, signed)
    if papers.manifests:
        count = wording.number(len(papers.manifests))
        yield _summed("manifests", signed, _("{count} read").format(count=count))


def _receipts(zipped: Bundle, bad: set[str], papers: _Papers) -> Iterator[Check]:
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
        yield from _by(name, envelope, receipt.recipient, papers, signed)
    if papers.receipts:
        count = wording.number(len(papers.receipts))
        yield _summed("receipts", signed, _("{count} read, each for its manifest").format(count=count))


def _by(
    name: str, envelope: Envelope, site: str, papers: _Papers, signed: Counter[bool | None]
) -> Iterator[Check]:
    """Whether the site signed it. Its key is the one that is pinned at the matriz; an earlier one of a site is not known any more."""
    passed: bool | None = True
    if site not in papers.keys:
        passed = None
        yield Check(
            name,
            "signature",
            None,
            _("not checked: there is no key of {site} in the dossier").format(site=site),
        )
    else:
        try:
            papers.keys[site].verify(envelope.canonical, envelope.signature)
        except SignatureError as err:
            passed = None if err.code in ("signature-missing", "signature-foreign") else False
            yield Check(name, "signature", passed, err.message)
    signed[passed] += 1


def _summed(what: str, signed: Counter[bool | None], text: str) -> Check:
    """One line for all files of a kind; those that are not good have lines of their own."""
    if signed[False]:
        return Check(f"{what}/", "signature", False, _("{text}; {count} not signed by whose they are").format(text=text, count=signed[False]))  # fmt: skip
    if signed[None]:
        return Check(f"{what}/", "signature", None, _("{text}; of {count} the signature was not checked").format(text=text, count=signed[None]))  # fmt: skip
    return Check(f"{what}/", "signature", True, _("{text}, each signed by whose it is").format(text=text))


def _json(zipped: Bundle, bad: set[str], name: str) -> Any:
    """A paper of the matriz' own; None where it is missing or at fault, which is said already."""
    if name in bad or name not in zipped.entries:
        return None
    try:
        return json.loads(zipped.read(name))
    except (ValueError, RecursionError):
        return None


def _ledger(zipped: Bundle, bad: set[str], papers: _Papers) -> Iterator[Check]:
    """The ledger's list of the day's batches against the files that are here."""
    listed = _json(zipped, bad, "batches.json")
    if listed is None:
        return
    absent = {str(item["name"]): str(item["why"]) for item in zipped.index.get("absent", ())}
    papers.voids = list(listed["voids"])
    wrong = 0
    for batch in listed["batches"]:
        stem = str(batch["name"])
        papers.batches[stem] = batch
        for name, got, claim in (
            (
                f"manifests/{stem}.manifest.json",
                papers.manifests.get(stem, ("",))[0],
                batch["manifest_sha256"],
            ),
            (
                f"receipts/{stem}.{papers.site}.receipt.json",
                papers.receipts.get((stem, papers.site), ""),
                batch["receipt_sha256"],
            ),
        ):
            if not got and name in absent:
                yield Check(name, "file", None, _("not in the dossier: {why}").format(why=absent[name]))
            elif got != claim and name not in bad:
                wrong += 1
                yield Check(name, "digest", False, _("the matriz' ledger says {claim}, got {got}").format(claim=claim, got=got or _("no such file")))  # fmt: skip
    if not wrong:
        count = wording.plural(len(papers.batches), "batch", "batches")
        yield Check("batches.json", "ledger", True, _("{count}, with the digests of the files that are here").format(count=count))  # fmt: skip


def _closings(zipped: Bundle, bad: set[str], papers: _Papers) -> Iterator[Check]:
    """Every batch that a close names must be in the ledger's list, or be voided; and a close's own file must be its manifest's."""
    closings = _json(zipped, bad, "closings.json")
    if closings is None:
        return
    here: dict[tuple[str, str], set[int]] = defaultdict(set)  # by feed and epoch
    for _digest, manifest in (papers.manifests[stem] for stem in papers.batches if stem in papers.manifests):
        here[str(manifest.id.feed), manifest.id.epoch].add(manifest.id.seq)
    for void in papers.voids:
        here[void["feed"], void["epoch"]].add(void["seq"])
    owed = 0
    for closing in closings:
        for feed in closing.get("feeds") or ():
            numbers = here[f"{feed['dataset']}.{closing['origem']}.{feed['audience']}", feed["epoch"]]
            held = sum(feed["seq_primeiro"] <= seq <= feed["seq_ultimo"] for seq in numbers)
            if held < feed["lotes"]:
                owed += 1
                yield Check("closings.json", "batches", None, _("{site} closed with {count} batches of {dataset}; {held} of them are here").format(site=closing["origem"], count=feed["lotes"], dataset=feed["dataset"], held=held))  # fmt: skip
    if not owed:
        count = wording.documents(len(closings), "fechamento")
        yield Check("closings.json", "batches", True, _("{count}; every batch that they name is here, or voided").format(count=count))  # fmt: skip
    for name in zipped.under("closings"):
        file = parse_file_name(Path(name).name)
        if name in bad or file is None or file.batch.stem not in papers.manifests:
            continue
        claim = papers.manifests[file.batch.stem][1].payload_sha256
        got = sha256_hex(zipped.read(name))
        if got != claim:
            yield Check(name, "sha256", False, _("{got}; its manifest says {claim}").format(got=got, claim=claim))  # fmt: skip


def _openings(zipped: Bundle, bad: set[str], papers: _Papers) -> Iterator[Check]:
    """Gate openings: signed by the matriz, and relying on nothing that is not here."""
    signed: Counter[bool | None] = Counter()
    count = 0
    for name in zipped.under("evidence"):
        if name in bad:
            continue
        try:
            envelope = decode(zipped.read(name), code="evidence-unreadable")
        except DamagedError as err:
            yield Check(name, "evidence", False, err.message)
            continue
        count += 1
        yield from _by(name, envelope, papers.site, papers, signed)
        for stem, digest in _relied(envelope.signed):
            held = papers.manifests.get(stem)
            if held is not None and held[0] != digest:
                yield Check(name, "batches", False, _("it relies on {batch} with manifest {claim}; the one here has {got}").format(batch=stem, claim=digest, got=held[0]))  # fmt: skip
            elif stem not in papers.batches:
                yield Check(name, "batches", None, _("it relies on {batch}, which is not in the ledger's list of that day").format(batch=stem))  # fmt: skip
    if count:
        yield _summed(
            "evidence",
            signed,
            _("{count} read").format(count=wording.plural(count, "gate opening", "gate openings")),
        )


def _relied(value: object) -> Iterator[tuple[str, str]]:
    """Batches and their manifests' digests, wherever an opening names them."""
    if isinstance(value, dict):
        if isinstance(value.get("manifest_sha256"), str) and isinstance(
            stem := value.get("name") or value.get("batch"), str
        ):
            yield stem, value["manifest_sha256"]
        for item in value.values():
            yield from _relied(item)
    elif isinstance(value, list):
        for item in value:
            yield from _relied(item)


def _reconciliation(zipped: Bundle, bad: set[str], _papers: _Papers) -> Iterator[Check]:
    summary = _json(zipped, bad, "reconciliation.json")
    if summary is None:
        return
    if summary.get("stale"):
        yield Check(
            "reconciliation.json",
            "stale",
            None,
            _("sales or billing of the day changed after it: it is stale"),
        )
    name = "reconciliation.csv"
    if name in bad or name not in zipped.entries:
        return
    text = io.TextIOWrapper(io.BytesIO(zipped.read(name)), encoding="utf-8-sig", newline="")
    counted = Counter(str(row.get("colour")) for row in csv.DictReader(text))
    claimed = {str(colour): int(count) for colour, count in summary["counts"].items()}
    agree = {c: n for c, n in counted.items() if n} == {c: n for c, n in claimed.items() if n}
    detail = ", ".join(f"{colour} {wording.number(count)}" for colour, count in claimed.items())
    yield Check(name, "rows", agree, detail if agree else _("{detail}; the rows say {got}").format(detail=detail, got=dict(counted)))  # fmt: skip
