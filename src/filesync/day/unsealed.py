"""What the source still holds of a day that is not sealed: an export of the day that stops before it writes anything.

It goes the way of `filesync export --date`, with another last step (`Export.sealing`): the same files or queries, the same checks, the same
memory of what was sealed. So a close that looks here and an export that seals cannot disagree.

- Documents of the day, and documents whose day is missing, are looked at; those of other days are nobody's business now.
- Of a document that stands in several files the last one says how it is, as it does for an export: an older file that still holds what it was
  before its correction owes nothing.
- A line that could not become a document, or only one without a day, counts as one of the day where its file holds documents of the day.
- Nothing is written: no batch, no note, no memory of a file.

What is not here: what follows from it (closing.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.contracts.digests import row_digests
from filesync.errors import ConfigError, FilesyncError, RejectedError, TransportError
from filesync.exchange.capture import Export, export
from filesync.exchange.cutting import BadRowsError, pieces
from filesync.exchange.reports import Held, SealReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import numpy.typing as npt

    from filesync.contracts import Contract
    from filesync.exchange.context import Context
    from filesync.exchange.cutting import Order
    from filesync.exchange.dropped import Dropped
    from filesync.protocol.receipt import Problem

#: Documents and mistakes that are named; all are counted.
NAMED_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What an export of the day would find. `names` and `problems` are bounded.

    `checked` is False where the site has no source of these documents: then only what was exported by hand is known.
    `refused`: documents of the day that break the contract, or lines that are no document and lie among the day's.
    `unread`: files or queries that cannot be read, or not now; what they hold is not known.
    """

    checked: bool
    documents: int = 0
    names: tuple[str, ...] = ()
    refused: int = 0
    problems: tuple[Problem, ...] = ()
    unread: tuple[Held, ...] = ()


def unsealed(ctx: Context, dataset: str, day: date, dropped: Dropped) -> Unsealed:
    """What the configured source of `dataset` holds of `day` that is not sealed."""
    source = ctx.settings.sources.get(dataset)
    if source is None:
        return Unsealed(checked=False)
    if source.path is not None and (gone := _missing_folder(ctx.folders.root, source.path)) is not None:
        # An empty folder says that nothing was dropped. A folder that is not there says nothing: a share may have gone.
        why = f"{gone}: expected the folder of the source, got nothing there"
        return Unsealed(checked=True, unread=(Held(ctx.me, dataset, "source-gone", why),))
    look = _Look(day)
    failed: list[Held] = []
    try:
        failed += export(ctx, Export(dataset, business_date=day, sealing=look), dropped).failed
    except (RejectedError, TransportError, ConfigError) as err:
        if err.code == "source-empty":  # nothing was dropped
            pass
        elif isinstance(err, BadRowsError):
            return _found(look, failed, whole=err)
        else:
            failed.append(Held(ctx.me, dataset, err.code, err.message))
    return _found(look, failed)


def _found(look: _Look, failed: list[Held], whole: FilesyncError | None = None) -> Unsealed:
    refused = sum(part.refused for part in look.parts)
    problems = [problem for part in look.parts if part.refused for problem in part.report.problems]
    if isinstance(whole, BadRowsError):  # a contract that refuses whole captures
        refused, problems = max(refused, len(whole.problems)), list(whole.problems)
    return Unsealed(
        True, look.documents, tuple(look.names), refused, tuple(problems[:NAMED_MAX]), tuple(failed)
    )


def _missing_folder(root: Path, path: str) -> Path | None:
    parts = (root / path).parts
    wild = next((at for at, part in enumerate(parts) if set("*?[") & set(part)), len(parts) - 1)
    folder = Path(*parts[:wild])
    return None if folder.is_dir() else folder


@dataclass(slots=True)
class _Part:
    """One file or query. Its report is completed after the look: what could not become a document is counted there."""

    report: SealReport
    held: int = 0  # documents of the day

    @property
    def refused(self) -> int:
        return self.report.refused if self.held else 0


class _Look:
    """In the place of sealing: counts and names."""

    def __init__(self, day: date) -> None:
        self._day = pa.scalar(day, pa.date32())
        self.parts: list[_Part] = []
        self._fresh: dict[bytes, str | None] = {}  # by key digest; named as far as anybody reads

    @property
    def documents(self) -> int:
        """Documents of the day that are not sealed."""
        return len(self._fresh)

    @property
    def names(self) -> list[str]:
        """Some of them, as a person looks for them."""
        return [name for name in self._fresh.values() if name is not None][:NAMED_MAX]

    def __call__(self, ctx: Context, order: Order, chunks: Iterator[pa.Table]) -> SealReport:
        report = SealReport(order.contract.dataset)
        part = _Part(report)
        self.parts.append(part)
        places: list[npt.NDArray[np.int64]] = []
        order = replace(order, under=None)  # what waits for its recipients is not sealed either
        try:
            for piece in pieces(ctx, order, self._of_day(order.contract, chunks, part, places), report):
                for row, key in enumerate(piece.digests.column("key_digest").to_pylist()):
                    named = len(self._fresh) < NAMED_MAX
                    self._fresh[key] = order.contract.name_of(piece.table, row) if named else None
        except BadRowsError as err:
            raise BadRowsError(err.message, _placed(list(err.problems), places)) from err
        report.problems = _placed(report.problems, places)
        return report

    def _of_day(
        self, contract: Contract, chunks: Iterator[pa.Table], part: _Part, places: list[npt.NDArray[np.int64]]
    ) -> Iterator[pa.Table]:
        """Only the day's documents; `places` learns where each of them stood."""
        before = 0
        for chunk in chunks:
            table = contract.conform(chunk)
            day = table.column(contract.business_date_column)
            mask = pc.fill_null(pc.equal(day, self._day), fill_value=True)
            picked = np.flatnonzero(mask.combine_chunks().to_numpy(zero_copy_only=False))
            part.held += len(picked) - int(pc.sum(pc.is_null(day)).as_py() or 0)
            places.append(picked + before)
            before += table.num_rows
            if (
                self._fresh
            ):  # what is said here, also that it is of another day, is later than what an earlier file said
                for key in row_digests(table, contract.key).keys.to_pylist():
                    self._fresh.pop(key, None)
            if len(picked):
                yield table.take(pa.array(picked))


def _placed(problems: list[Problem], places: list[npt.NDArray[np.int64]]) -> list[Problem]:
    """The same problems, with the document's place among all, not only among the day's."""
    whole = np.concatenate(places) if places else np.empty(0, np.int64)
    return [p if p.row is None else replace(p, row=int(whole[p.row])) for p in problems]
