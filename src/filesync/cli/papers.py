"""Do the papers in a day's dossier agree with each other? Parts of `filesync verify FILE.zip`; their order is in auditing.py.

What is good is said once for all files of a kind; what is wrong, for each. Members of a paper are taken as they are: what is not as filesync
writes it raises LookupError, TypeError, ValueError or AttributeError, and the caller says so.
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
from filesync.day.bundle import Bundle
from filesync.day.evidence import EvidenceName
from filesync.errors import DamagedError
from filesync.protocol.envelope import Envelope, decode, sha256_hex
from filesync.protocol.identity import parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.signing import PublicKey, SignatureError


@dataclass(slots=True)
class Papers:
    """What was read, and whom each site's name stands for."""

    site: str
    keys: dict[str, PublicKey] = field(default_factory=dict)
    manifests: dict[str, tuple[str, Manifest]] = field(
        default_factory=dict
    )  # by stem: digest of what was signed
    receipts: dict[tuple[str, str], str] = field(default_factory=dict)  # by stem and recipient: digest
    batches: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # the ledger's list, by stem
    voids: list[Mapping[str, Any]] = field(default_factory=list)


def signed_by(
    name: str, envelope: Envelope, site: str, papers: Papers, signed: Counter[bool | None]
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


def summed(what: str, signed: Counter[bool | None], text: str) -> Check:
    """One line for all files of a kind; those that are not good have lines of their own."""
    if signed[False]:
        return Check(f"{what}/", "signature", False, _("{text}; {count} not signed by whose they are").format(text=text, count=signed[False]))  # fmt: skip
    if signed[None]:
        return Check(f"{what}/", "signature", None, _("{text}; of {count} the signature was not checked").format(text=text, count=signed[None]))  # fmt: skip
    return Check(f"{what}/", "signature", True, _("{text}, each signed by whose it is").format(text=text))


def read_json(zipped: Bundle, bad: set[str], name: str) -> Any:
    """A paper of the matriz' own; None where it is missing or at fault, which is said already."""
    if name in bad or name not in zipped.entries:
        return None
    try:
        return json.loads(zipped.read(name))
    except (ValueError, RecursionError):
        return None


def ledger(zipped: Bundle, bad: set[str], papers: Papers) -> Iterator[Check]:
    """The ledger's list of the day's batches against the files that are here."""
    listed = read_json(zipped, bad, "batches.json")
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


def closings(zipped: Bundle, bad: set[str], papers: Papers) -> Iterator[Check]:
    """Every batch that a close names must be in the ledger's list, or be voided; and a close's own file must be its manifest's."""
    closings = read_json(zipped, bad, "closings.json")
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


def openings(zipped: Bundle, bad: set[str], papers: Papers) -> Iterator[Check]:
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
        yield from signed_by(name, envelope, papers.site, papers, signed)
        said = EvidenceName.parse(Path(name).name)
        step, of = str(envelope.signed.get("step")), str(envelope.signed.get("day"))
        if said is None or (said.step, said.day.isoformat()) != (step, of) or said != EvidenceName.of(step, said.day, envelope.signed):  # fmt: skip
            yield Check(name, "name", False, _("its content is that of another opening: {step} of {day}").format(step=step, day=of))  # fmt: skip
        for stem, digest in _relied(envelope.signed):
            held = papers.manifests.get(stem)
            if held is not None and held[0] != digest:
                yield Check(name, "batches", False, _("it relies on {batch} with manifest {claim}; the one here has {got}").format(batch=stem, claim=digest, got=held[0]))  # fmt: skip
            elif stem not in papers.batches:
                yield Check(name, "batches", None, _("it relies on {batch}, which is not in the ledger's list of that day").format(batch=stem))  # fmt: skip
    if count:
        yield summed(
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


def reconciliation(zipped: Bundle, bad: set[str], _papers: Papers) -> Iterator[Check]:
    summary = read_json(zipped, bad, "reconciliation.json")
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
    detail = ", ".join(f"{_(colour)} {wording.number(count)}" for colour, count in claimed.items())
    yield Check(name, "rows", agree, detail if agree else _("{detail}; the rows say {got}").format(detail=detail, got=dict(counted)))  # fmt: skip
