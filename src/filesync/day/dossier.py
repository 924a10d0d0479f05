"""A movement day as an auditor gets it: every paper that the day stands on, in one zip that proves itself (bundle.py).

| in the zip | what it is |
|---|---|
| `manifests/`, `receipts/` | of every batch of the day: the files as they came, and this site's answers as they left, each with its signature |
| `batches.json` | the ledger's list of them: digests, verdicts, rows and totals as applied; and the numbers that were voided |
| `closings/`, `closings.json` | the sites' fechamentos: the files that their manifests name, and what was applied |
| `evidence/` | every gate opening of the day, signed when it opened |
| `day.json` | the page of the day: sites, steps, overrides, tickets, the journal |
| `reconciliation.json`, `reconciliation.csv` | what agrees with the billing, in sums and row by row |
| `keys/`, `allowed_signers` | the public keys that this site has pinned, its own among them |

- Nothing is made up for it: what is not in the ledger or on the disk any more is named as absent, with the reason.
- There is no clock in it: the same standing makes the same zip, byte for byte.
- The sales themselves are not in it: the manifests' digests stand for them. `reconciliation.csv` names tickets and tracking codes.

What is not here: the zip's form and its reading (bundle.py), how it is checked (cli/auditing.py).
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filesync.day import bundle, reconciling
from filesync.day.page import summary_json
from filesync.errors import ConfigError, FilesyncError
from filesync.exchange.context import SOFTWARE
from filesync.protocol.envelope import canonical, decode, encode, sha256_hex
from filesync.protocol.identity import BatchName
from filesync.protocol.signing import NAMESPACE
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from filesync.day.bundle import Written
    from filesync.day.page import DayPage
    from filesync.day.reconciling import Found, Line
    from filesync.exchange.context import Context
    from filesync.stores.day_values import DayBatch

CLOSING: Final = "fechamento"

_README: Final = """\
Dossier of a movement day / Dossiê de um dia de movimento: {day}, {site}

With filesync, without any site / com o filesync, sem nenhuma instalação:

    filesync verify FILE.zip --key {site}.pub

Without filesync / sem o filesync (unpack it first / descompacte antes):

    ssh-keygen -Y verify -f allowed_signers -I {site} -n filesync -s INDEX.json.sig < INDEX.json
    sha256sum -c SHA256SUMS

INDEX.json names every file with its sha256; SHA256SUMS is the same list. allowed_signers holds the keys that {site} has pinned: compare
its own with the one that you have from {site} by another way. / Compare a chave de {site} com a que você recebeu por outro caminho.
"""


@dataclass(slots=True)
class _Papers:
    """What was gathered: files by their name in the zip, and what could not be."""

    files: dict[str, bytes | Path] = field(default_factory=dict)
    absent: list[dict[str, str]] = field(default_factory=list)

    def json(self, name: str, value: object) -> None:
        """A paper of this site's own, in a form that has one spelling."""
        self.files[name] = canonical({"": value})[4:-1] + b"\n"  # canonical() takes objects only

    def missing(self, name: str, why: str) -> None:
        self.absent.append({"name": name, "why": why})


def write_dossier(ctx: Context, page: DayPage, target: Path) -> tuple[Written, tuple[str, ...]]:
    """Make the dossier of the page's day at `target`, durably and whole; and the names of papers that are absent.

    ConfigError `folder-missing`; `file-exists` where something else than a dossier lies there.
    """
    if not target.parent.is_dir():
        raise ConfigError(
            "folder-missing", f"{target.parent}: expected a folder to put the dossier into, got none"
        )
    if target.exists() and not bundle.is_one(target):
        raise ConfigError("file-exists", f"{target} exists and is no dossier; it was not touched")
    with tempfile.TemporaryDirectory(prefix="filesync-dossier-") as scratch, _beside(target) as temporary:
        papers = _gather(ctx, page, Path(scratch))
        facts: dict[str, Any] = {
            "day": page.day.isoformat(),
            "site": ctx.me,
            "epoch": ctx.epoch,
            "complete": page.complete,
            "overrides": len(page.overrides),
            "absent": sorted(papers.absent, key=lambda item: item["name"]),
            "software": SOFTWARE,
        }
        written = bundle.write(temporary, papers.files, facts, ctx.settings.key)
    return written, tuple(sorted(item["name"] for item in papers.absent))


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A path on the target's own disk; when the block ends well, it is the target."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            durable.fsync_file(file.fileno())
        durable.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    durable.fsync_folder(target.parent)


def _gather(ctx: Context, page: DayPage, scratch: Path) -> _Papers:
    papers = _Papers()
    readme = _README.format(day=page.day.isoformat(), site=ctx.me)
    papers.files["README.txt"] = readme.encode("utf-8")
    _keys(ctx, papers)
    _batches(ctx, page, papers)
    _closings(ctx, page, papers)
    for path in sorted(ctx.folders.evidence.glob(f"*.{page.day.isoformat()}.*.json")):
        papers.files[f"evidence/{path.name}"] = path.read_bytes()
    papers.json("day.json", page.to_json())
    _reconciliation(ctx, page, papers, scratch)
    return papers


def _keys(ctx: Context, papers: _Papers) -> None:
    keys = {**ctx.settings.pinned, ctx.me: ctx.settings.key.public}
    for site, key in sorted(keys.items()):
        papers.files[f"keys/{site}.pub"] = f"{key.to_openssh(site)}\n".encode("ascii")
    lines = [f'{site} namespaces="{NAMESPACE}" {key.to_openssh()}\n' for site, key in sorted(keys.items())]
    papers.files["allowed_signers"] = "".join(lines).encode("ascii")


# ------------------------------------------------------------------------------------------------ batches


def _batches(ctx: Context, page: DayPage, papers: _Papers) -> None:
    arrived = ctx.store.days.arrived(page.day)
    for batch in arrived:
        name = BatchName.parse(batch.name)
        _manifest(ctx, name, batch, papers)
        stored = ctx.store.receipt_of(batch.name)
        if stored is not None and stored.receipt is not None:
            signed = json.loads(stored.receipt)
            papers.files[f"receipts/{name.receipt(ctx.me)}"] = encode(signed, ctx.settings.key)
    papers.json(
        "batches.json",
        {
            "batches": [_batch(batch) for batch in arrived],
            "sent": sorted(_sent(ctx, page, papers)),
            "voids": [void for line in page.sites for void in line.verdict.evidence["voids"]],
        },
    )


def _manifest(ctx: Context, name: BatchName, batch: DayBatch, papers: _Papers) -> None:
    """The file as it came, with its sender's signature; wherever it was put after it was decided."""
    folders = [ctx.folders.archive(name.business_date), *sorted((ctx.folders.root / "quarantine").glob("*"))]
    damaged = False
    for path in (path for folder in folders for path in sorted(folder.glob(f"{name.manifest}*"))):
        try:
            data = path.read_bytes()
            if sha256_hex(decode(data).canonical) == batch.manifest_sha256:
                papers.files[f"manifests/{name.manifest}"] = data
                return
        except (OSError, FilesyncError):
            pass
        damaged = True
    why = "what lies in the archive is not what was decided" if damaged else _absent(ctx, name.business_date)
    papers.missing(f"manifests/{name.manifest}", why)


def _absent(ctx: Context, day: date) -> str:
    mark = ctx.store.purges.archive_of(day)
    if mark is None:
        return "it is not in the archive any more"
    return f"the archive of this day was purged on {mark.at[:10]} by {mark.by}"


def _sent(ctx: Context, page: DayPage, papers: _Papers) -> Iterator[str]:
    """What this site passed on of the day (to the portal): its own manifests, and the recipients' answers."""
    for sealed in ctx.store.days.sealed(page.day):
        contract = ctx.contracts.latest(sealed.feed.dataset)
        if contract is None or contract.business_date_column is None:
            continue  # cadastros belong to no movement day
        yield sealed.name
        name = BatchName.parse(sealed.name)
        papers.files[f"manifests/{name.manifest}"] = encode(json.loads(sealed.manifest), ctx.settings.key)
        for recipient, verdict in sealed.verdicts.items():
            path = ctx.folders.archive(name.business_date) / name.receipt(recipient)
            if path.exists():
                papers.files[f"receipts/{path.name}"] = path.read_bytes()
            elif verdict is not None:
                papers.missing(f"receipts/{path.name}", _absent(ctx, name.business_date))


def _batch(batch: DayBatch) -> dict[str, Any]:
    return {
        "name": batch.name,
        "verdict": batch.verdict.value,
        "manifest_sha256": batch.manifest_sha256,
        "payload_sha256": batch.payload_sha256,
        "receipt_sha256": batch.receipt_sha256,
        "documents": batch.documents,
        "rows": dict(batch.rows),
        "totals": dict(batch.totals),
        "claimed_rows": dict(batch.claimed_rows),
        "claimed_totals": dict(batch.claimed_totals),
        "replaces": batch.replaces,
        "applied_at": batch.applied_at,
        "problem": batch.problem,
    }


# ------------------------------------------------------------------------------------------------ closings and reconciliation


def _closings(ctx: Context, page: DayPage, papers: _Papers) -> None:
    contract = ctx.contracts.latest(CLOSING)
    rows: list[dict[str, Any]] = []
    if contract is not None:
        for chunk in ctx.store.read_documents(contract, business_date=page.day):
            rows += contract.documents(chunk)
    papers.json("closings.json", rows)
    for site in page.standing.sites:
        for batch in site.batches:
            if batch.feed.dataset != CLOSING:
                continue
            name = BatchName.parse(batch.name)
            found = [
                path
                for path in sorted(ctx.folders.archive(name.business_date).glob(f"{name.stem}.*"))
                if not path.name.endswith(".json")
            ]
            for path in found:
                papers.files[f"closings/{path.name}"] = path.read_bytes()
            if not found:
                papers.missing(f"closings/{name.stem}", _absent(ctx, name.business_date))


def _reconciliation(ctx: Context, page: DayPage, papers: _Papers, scratch: Path) -> None:
    if page.reconciliation is None:
        return
    papers.json("reconciliation.json", summary_json(page.reconciliation))
    path = scratch / "reconciliation.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(_COLUMNS)
        out.writerows(_line(line) for line in reconciling.rows(ctx, page.day))
    papers.files["reconciliation.csv"] = path


#: Of `reconciliation.csv`. Money is in centavos.
_COLUMNS: Final = (
    "colour", "line", "site", "ticket", "venda_id", "posting", "codigo_rastreio", "servico", "contrato", "sub_caixa",
    "numero_atendimento", "forma", "valor_centavos", "bdf", "bdf_how", "bdf_differs", "bdf_row", "bdf_quantidade",
    "bdf_valor_centavos", "ca", "ca_how", "ca_differs", "ca_row", "ca_quantidade", "ca_valor_centavos",
)  # fmt: skip


def _line(line: Line) -> tuple[object, ...]:
    return (
        line.colour.value, line.line, line.site, line.ticket, line.venda_id, line.posting, line.codigo_rastreio, line.servico,
        line.contrato, line.sub_caixa, line.numero_atendimento, line.forma, line.valor_centavos, *_found(line.bdf), *_found(line.ca),
    )  # fmt: skip


def _found(found: Found | None) -> tuple[object, ...]:
    if found is None:
        return (None,) * 6
    differs = " ".join(difference.value for difference in found.differs)
    how = None if found.how is None else found.how.value
    return found.state.value, how, differs, found.row, found.quantidade, found.valor_centavos
