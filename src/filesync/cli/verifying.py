"""`filesync verify`: is this batch, or this day's dossier, whole and right? Asks no site and no database, and changes nothing.

The checks of a batch and their order are those of a station: name, manifest, signature, size, digest, then every row against the contract
that is packed with this program. A check that cannot be made says why; it is not passed. What is checked of a dossier: auditing.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filesync.cli import checks as checking
from filesync.cli import screen, wording
from filesync.cli.checks import Check
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import Json
from filesync.day.evidence import EVIDENCE_BYTES_MAX, EvidenceName
from filesync.errors import FilesyncError
from filesync.phrases import said
from filesync.protocol.identity import BatchName, FileKind, FileName, Format, parse_file_name

if TYPE_CHECKING:
    from filesync.contracts import Contract
    from filesync.protocol.manifest import Manifest
    from filesync.protocol.receipt import Problem
    from filesync.protocol.signing import PublicKey

PROBLEMS_SHOWN = 10
#: A manifest or receipt that is larger is not read.
SIGNED_BYTES_MAX = 1 << 20


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False, help="Manifests, payloads or receipts (what belongs to them is looked for beside them), or a day's dossier (.zip).")],
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The signer's public key (.pub), to check the signature.", show_default=False)] = None,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Check batches and dossiers with no site and no database: names, signatures, digests, every row, totals."""
    from filesync.cli.auditing import check_dossier
    from filesync.cli.peers import public_key

    public = None if key is None else public_key(key)
    with screen.Watch(quiet=as_json, text=_("checking")):
        zips = [path for path in files if path.suffix.lower() == ".zip"]
        checks = [check for path in zips for check in check_dossier(path, public)]
        batches = _batches([path for path in files if path not in zips])
        checks += [check for folder, names in batches for check in _batch(folder, names, public)]
    good = all(check.passed is not False for check in checks)
    if as_json:
        screen.say_json({"good": good, "checks": checks})
    elif zips:
        checking.say(
            checks,
            _(
                "Do not rely on it. Ask the matriz for the dossier again: filesync dossier --date DAY FILE.zip"
            ),
        )
    else:
        checking.say(checks, _("Do not use it; have the sender send it again. (A site does that by itself.)"))
    return Ending.DONE if good else Ending.ATTENTION


def _batches(files: list[Path]) -> Iterator[tuple[Path, list[str]]]:
    """The given files, those of one batch in one folder together."""
    groups: dict[tuple[Path, str], list[str]] = {}
    for path in files:
        parsed = parse_file_name(path.name)
        groups.setdefault((path.absolute().parent, parsed.batch.stem if parsed else path.name), []).append(
            path.name
        )
    for (folder, _stem), names in groups.items():
        yield folder, names


def _batch(folder: Path, names: list[str], key: PublicKey | None) -> Iterator[Check]:
    parsed = [parse_file_name(name) for name in names]
    if parsed[0] is None and (evidence := EvidenceName.parse(names[0])) is not None:
        yield from _evidence(folder / names[0], evidence, key)
        return
    if parsed[0] is None:
        yield Check(names[0], "name", False, _("expected the name of a batch's file, as filesync writes it"))
        return
    for file in parsed:
        if file is not None and file.kind is FileKind.RECEIPT:
            yield from _receipt(folder, file, key)
        if file is not None and file.kind is FileKind.VOID:
            yield from _void(folder, file, key)
    if any(file is not None and file.kind in (FileKind.MANIFEST, FileKind.PAYLOAD) for file in parsed):
        yield from _manifest_and_payload(folder, parsed[0].batch, key)


def _manifest_and_payload(folder: Path, name: BatchName, key: PublicKey | None) -> Iterator[Check]:
    from filesync.protocol.manifest import Manifest

    file = name.manifest
    signed = yield from _envelope(folder / file, key)
    if signed is None:
        return
    try:
        manifest = Manifest.from_signed(signed)
    except FilesyncError as err:
        yield Check(file, "manifest", False, err.message)
        return
    if manifest.name != name:
        text = _("expected {expected}, the manifest is of {got}")
        yield Check(file, "name", False, text.format(expected=name.stem, got=manifest.name.stem))
        return
    yield Check(
        file,
        "manifest",
        True,
        _("{batch}, no. {seq} of {origin} for {recipients}").format(
            batch=wording.batch(name),
            seq=name.id.seq,
            origin=name.id.feed.origin,
            recipients=", ".join(manifest.recipients),
        ),
    )
    yield from _payload(folder / manifest.payload_file, manifest)


def _void(folder: Path, file: FileName, key: PublicKey | None) -> Iterator[Check]:
    """Its origin's word that the number is given up, and, where the manifest lies beside it, of that manifest."""
    from filesync.protocol.envelope import canonical, decode, sha256_hex
    from filesync.protocol.void import Void

    name = str(file)
    signed = yield from _envelope(folder / name, key)
    if signed is None:
        return
    try:
        void = Void.from_signed(signed)
    except FilesyncError as err:
        yield Check(name, "void", False, err.message)
        return
    if void.name != file.batch:
        text = _("expected {expected}, the void is of {got}")
        yield Check(name, "name", False, text.format(expected=file.batch.stem, got=void.name.stem))
        return
    yield Check(name, "void", True, _("given up by {by}: {reason}").format(by=void.by, reason=void.reason))
    try:
        digest = sha256_hex(canonical(decode((folder / file.batch.manifest).read_bytes()).signed))
    except (OSError, FilesyncError):
        yield Check(name, "manifest", None, _("not compared; the manifest is not beside it"))
        return
    same = digest == void.manifest_sha256
    yield Check(
        name,
        "manifest",
        same,
        _digests(void.manifest_sha256, digest),
    )


def _evidence(path: Path, name: EvidenceName, key: PublicKey | None) -> Iterator[Check]:
    """A gate's opening: the digest in its name is that of its signed part, which says the same step and day."""
    signed = yield from _envelope(path, key, EVIDENCE_BYTES_MAX)
    if signed is None:
        return
    told = (signed.get("kind"), signed.get("step"), signed.get("day"))
    if told != ("gate", name.step, name.day.isoformat()):
        yield Check(
            path.name,
            "evidence",
            False,
            _("expected {step} of {day}, it is of {other} of {other_day}").format(
                step=name.step, day=name.day.isoformat(), other=told[1], other_day=told[2]
            ),
        )
        return
    if (made := EvidenceName.of(name.step, name.day, signed)) != name:
        yield Check(path.name, "name", False, _("expected {made}, by its content").format(made=made))
        return
    sites, overrides = signed.get("sites", []), signed.get("overrides", [])
    batches = sum(len(site["batches"]) for site in sites)
    text = _("{step} of {day} opened at {site}: {sites}, {batches}").format(
        step=name.step, day=wording.day(name.day), site=signed.get("site"), sites=wording.plural(len(sites), "site", "sites"),
        batches=wording.plural(batches, "batch", "batches"),
    )  # fmt: skip
    if overrides:
        numbers = ", ".join(str(one["id"]) for one in overrides)
        text += _(", only by override no. {numbers}").format(numbers=numbers)
    yield Check(path.name, "evidence", True, text)


def _envelope(path: Path, key: PublicKey | None, bytes_max: int = SIGNED_BYTES_MAX) -> Any:
    """The signed part of a manifest or receipt file, after the checks of its form and signature; None where it has none."""
    from filesync.protocol.envelope import decode

    try:
        if (size := path.stat().st_size) > bytes_max:
            yield Check(
                path.name,
                "size",
                False,
                _("expected at most {bytes_max} bytes, got {size}").format(bytes_max=bytes_max, size=size),
            )
            return None
        envelope = decode(path.read_bytes())
    except OSError as err:
        yield Check(path.name, "file", False, _("cannot be read: {strerror}").format(strerror=err.strerror))
        return None
    except FilesyncError as err:
        yield Check(path.name, "form", False, err.message)
        return None
    if key is None:
        text = (
            _("not checked; there is no signature")
            if envelope.signature is None
            else _("not checked; give --key FILE to check it")
        )
        yield Check(path.name, "signature", None, text)
    else:
        try:
            key.verify(envelope.canonical, envelope.signature)
            yield Check(
                path.name, "signature", True, _("made by {fingerprint}").format(fingerprint=key.fingerprint)
            )
        except FilesyncError as err:
            yield Check(path.name, "signature", False, err.message)
    return envelope.signed


def _payload(path: Path, manifest: Manifest) -> Iterator[Check]:
    from filesync.contracts import Registry
    from filesync.writers.payload import digest_file

    try:
        size = path.stat().st_size
        yield Check(
            path.name,
            "size",
            size == manifest.payload_bytes,
            _("{size} bytes").format(size=size) + _expected(size, manifest.payload_bytes),
        )
        sha256, _size = digest_file(path)
    except OSError as err:
        yield Check(path.name, "file", False, _("cannot be read: {strerror}").format(strerror=err.strerror))
        return
    yield Check(
        path.name,
        "sha256",
        sha256 == manifest.payload_sha256,
        sha256 + _expected(sha256, manifest.payload_sha256),
    )
    if sha256 != manifest.payload_sha256:
        return  # the rows of a damaged file say nothing
    contract = Registry.packaged().get(manifest.id.feed.dataset, manifest.version)
    if contract is None:
        yield Check(
            path.name,
            "contract",
            None,
            _("{contract} is not known to this filesync").format(
                contract=f"{manifest.id.feed.dataset}.v{manifest.version}"
            ),
        )
        return
    yield from _rows(path, manifest, contract)


def _rows(path: Path, manifest: Manifest, contract: Contract) -> Iterator[Check]:
    from filesync.readers.payload import read_payload

    if manifest.format is Format.JSONL_AGE:
        yield Check(path.name, "content", None, _("not looked into; it is encrypted to its recipients"))
        return
    sums, bad = contract.totals_sum(), 0
    problems: list[Problem] = []
    first = 0
    try:
        for chunk in read_payload(
            path, manifest.format, contract, rows_max=manifest.rows.get(contract.dataset)
        ):
            findings = contract.validate(chunk.table)
            bad += findings.bad_count + len(chunk.malformed_rows)
            if len(problems) < PROBLEMS_SHOWN:
                problems += [*chunk.malformed, *findings.problems(PROBLEMS_SHOWN, offset=first)]
            sums.add(chunk.table)
            first += chunk.count
    except FilesyncError as err:
        yield Check(path.name, "content", False, err.message)
        return
    yield Check(
        path.name,
        "rules",
        not bad,
        (
            _("{documents} against {contract}: {bad} break it")
            if bad
            else _("{documents} against {contract}")
        ).format(documents=wording.documents(first, contract.dataset), contract=contract.name, bad=bad),
    )
    for problem in problems[:PROBLEMS_SHOWN]:
        row = "" if problem.row is None else f"{wording.one_document(contract.dataset)} {problem.row + 1}: "
        yield Check(path.name, "rule", False, f"{row}{said(problem.message)}")
    for what, claim, got in (
        ("rows", dict(manifest.rows), dict(sums.rows)),
        ("totals", dict(manifest.totals), dict(sums.totals)),
    ):
        text = ", ".join(f"{name} {value}" for name, value in got.items() if isinstance(value, int))
        yield Check(path.name, what, claim == got, text + _expected(got, claim))


def _expected(got: object, claim: object) -> str:
    return "" if got == claim else _("; the manifest says {claim}").format(claim=claim)


def _receipt(folder: Path, file: FileName, key: PublicKey | None) -> Iterator[Check]:
    from filesync.protocol.envelope import canonical, sha256_hex
    from filesync.protocol.receipt import Receipt

    name = str(file)
    signed = yield from _envelope(folder / name, key)
    if signed is None:
        return
    try:
        receipt = Receipt.from_signed(signed)
    except FilesyncError as err:
        yield Check(name, "receipt", False, err.message)
        return
    if (receipt.batch, receipt.recipient) != (file.batch.stem, file.recipient):
        yield Check(
            name,
            "name",
            False,
            _("the receipt is of {recipient} for {batch}").format(
                recipient=receipt.recipient, batch=receipt.batch
            ),
        )
        return
    yield Check(
        name,
        "receipt",
        True,
        _("{verdict} by {recipient}").format(
            verdict=wording.word(receipt.verdict.value), recipient=receipt.recipient
        ),
    )
    from filesync.protocol.envelope import decode

    try:
        digest = sha256_hex(canonical(decode((folder / file.batch.manifest).read_bytes()).signed))
    except (OSError, FilesyncError):
        yield Check(name, "manifest", None, _("not compared; the manifest is not beside it"))
        return
    yield Check(
        name,
        "manifest",
        digest == receipt.manifest_sha256,
        _digests(receipt.manifest_sha256, digest),
    )


def _digests(claim: str, beside: str) -> str:
    """The digest of the manifest that is answered, and of the one beside it where that is another."""
    if claim == beside:
        return f"sha256 {claim}"
    return _("sha256 {claim}; the one beside it has {beside}").format(claim=claim, beside=beside)
