"""Sites to measure with: a till and a matriz in one folder, keys pinned both ways, the bench's contract in both.

Everything goes through the station's own calls; only the way of a batch from one site to the other is a plain copy, untimed.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.rows import ORIGIN, SCHEMA
from filesync import Station
from filesync.config import FILE_NAME, Peer, render_peer
from filesync.protocol.identity import Format, Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

TILL = ORIGIN
MATRIZ = "matriz"
DOCUMENTS_MAX = 100_000_000  # one batch, however large


def make_pair(
    root: Path, *, documents_max: int = DOCUMENTS_MAX, form: Format = Format.PARQUET, name: str = TILL
) -> tuple[Path, Path]:
    """A till that pushes to a matriz: their roots."""
    till, matriz = root / name, root / MATRIZ
    Station.init(till, site=name, role=Role.CAIXA)
    Station.init(matriz, site=MATRIZ, role=Role.MATRIZ)
    _join(till, MATRIZ, Peer(role=Role.MATRIZ, link=str(matriz)), matriz)
    join_matriz(matriz, till)
    sections = [
        f'\n[datasets.{dataset}]\nto = "{MATRIZ}"\nformat = "{form.value}"\ndocuments_max = {documents_max}\n'
        for dataset in ("cupons", "vendas")
    ]
    _append(till, "".join(sections))
    return till, matriz


def fresh_matriz(root: Path, till: Path) -> Path:
    """Another matriz for the same till: nothing applied yet."""
    matriz = root / MATRIZ
    Station.init(matriz, site=MATRIZ, role=Role.MATRIZ)
    join_matriz(matriz, till)
    return matriz


def join_matriz(matriz: Path, till: Path) -> None:
    """Make the till known at a matriz that was made elsewhere."""
    _join(matriz, till.name, Peer(role=Role.CAIXA, may_send=frozenset({"cupons", "vendas"})), till)


def _join(site: Path, name: str, peer: Peer, other: Path) -> None:
    text = render_peer(name, peer)
    if peer.may_send is not None:
        text += f"may_send = [{', '.join(repr(dataset) for dataset in sorted(peer.may_send))}]\n"
    _append(site, text)
    pinned = site / "keys" / "peers" / f"{name}.pub"
    pinned.parent.mkdir(parents=True, exist_ok=True)
    with Station.open(other) as station:
        pinned.write_text(station.context.settings.key.public.to_openssh(name) + "\n", encoding="utf-8")
    schemas = site / "schemas"
    schemas.mkdir(exist_ok=True)
    shutil.copy(SCHEMA, schemas / SCHEMA.name)


def _append(site: Path, text: str) -> None:
    with (site / FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(text)


def seal_batch(till: Path, rows: pa.Table | Iterator[pa.Table], *, dataset: str = "cupons") -> list[Path]:
    """Seal rows as they are; the files that are new in the outbox, manifests last."""
    outbox = till / "outbox" / MATRIZ
    before = set(outbox.glob("*")) if outbox.exists() else set()
    with Station.open(till) as station:
        report = station.seal(dataset, rows, full=True)
    if report.refused:
        raise AssertionError(f"the bench's own rows were refused: {report.problems[0]}")
    found = [path for path in outbox.iterdir() if path not in before and path.is_file()]
    return sorted(found, key=lambda path: path.name.endswith(".manifest.json"))


def deliver(files: list[Path], matriz: Path) -> None:
    """What a transport would do: the files, in order, into the matriz' inbox of the till that sealed them."""
    inbox = matriz / "inbox" / _sealed_by(files)
    inbox.mkdir(parents=True, exist_ok=True)
    for file in files:
        try:
            os.link(file, inbox / file.name)
        except OSError:
            shutil.copy(file, inbox / file.name)


def _sealed_by(files: list[Path]) -> str:
    """…/caixa-01/outbox/matriz/FILE"""
    return files[0].parents[2].name


@contextmanager
def opened(site: Path) -> Iterator[Station]:
    """An open station whose first queries are behind it."""
    with Station.open(site) as station:
        station.import_()
        yield station


def import_whole(station: Station, batches: int) -> None:
    """Import, and insist that everything was applied: a fast refusal is not a figure."""
    report = station.import_()
    verdicts = {batch.verdict.value for batch in report.applied}
    if len(report.applied) != batches or verdicts != {"APPLIED"}:
        raise AssertionError(
            f"expected {batches} batches applied, got {len(report.applied)} ({verdicts}); {report}"
        )
