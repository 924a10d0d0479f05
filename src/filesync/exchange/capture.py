"""Capture: rows from a dataset's source, sealed.

A dropped file whose content was captured before with the same settings is not read again by a turn (an explicit export reads it always).
It is known by the SHA-256 of its content, not by its time. A turn takes a file only when it is whole (dropped.py). Documents that cannot be formed or break the contract stay where they are:
reading never changes a source; a note in `quarantine/<this site>/` names them until a later reading finds none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from filesync.contracts.digests import row_digests
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange import discreet, quarantine, versions
from filesync.exchange.cutting import PROBLEMS_MAX, BadRowsError, Order
from filesync.exchange.dropped import patience, stamp
from filesync.exchange.lastword import LastWord
from filesync.exchange.outgoing import seal
from filesync.exchange.reports import Held, SealReport
from filesync.protocol.identity import Format
from filesync.protocol.receipt import Problem
from filesync.sources import Kind, SourceSettings, read_source, source_files
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    import numpy.typing as npt

    from filesync.exchange.context import Context
    from filesync.exchange.dropped import Dropped
    from filesync.sources.capture import Captured
    from filesync.sources.completeness import NotYet

    #: What is done with the documents of one file or query, in tables of the contract's columns.
    Sealing = Callable[[Context, Order, Iterator[pa.Table]], SealReport]

#: How a file named on the command line is read when nothing is configured for its dataset.
_BY_SUFFIX = {".csv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class Export:
    """What a person or a turn asks for."""

    dataset: str
    path: Path | None = None
    business_date: date | None = None
    to: str | None = None
    format: Format | None = None
    full: bool = False
    again: bool = False
    only_new_files: bool = False
    hurried: bool = False  # files that were done with, and not touched since, are passed over unread
    reread: bool = False  # all the same: something of them is owed
    having: Mapping[str, str] | None = (
        None  # from this site's own store, whatever the source: documents whose columns have these values
    )
    sealing: Sealing = seal  # another one only looks: then nothing is written or remembered, and all else is as it is for sealing

    @property
    def looks(self) -> bool:
        """Whether this only asks what would be sealed (day/unsealed.py)."""
        return self.sealing is not seal


def order_of(ctx: Context, export: Export) -> Order:
    """Complete a request from the settings and the contract."""
    contract = ctx.contracts.latest(export.dataset)
    if contract is None:
        known = ", ".join(ctx.contracts.datasets())
        raise ConfigError("dataset-unknown", f"no contract for {export.dataset!r}; known datasets: {known}")
    chosen = ctx.settings.dataset(export.dataset)
    audience = ctx.settings.audience_of(export.dataset, export.to)
    return Order(
        contract,
        audience,
        Format.JSONL_AGE if contract.encrypted else export.format or chosen.format,
        chosen.documents_max,
        export.business_date,
        export.full,
        export.again,
        versions.common(ctx, contract, ctx.settings.members(audience)),
    )


def export(ctx: Context, wanted: Export, dropped: Dropped) -> SealReport:
    """Capture a dataset from its source and seal what is new or changed. A named file is looked for from the working directory."""
    report = _export(ctx, wanted, dropped)
    if not wanted.looks:
        everything = wanted.path is None and wanted.business_date is None and not wanted.hurried
        versions.note_held(ctx, wanted.dataset, report.held, everything=everything)
    return report


def _export(ctx: Context, wanted: Export, dropped: Dropped) -> SealReport:
    if wanted.path is not None:
        wanted = replace(wanted, path=wanted.path.absolute())
    order = order_of(ctx, wanted)
    if wanted.having is not None:
        return _export_store(ctx, order, wanted)
    source = _source(ctx, wanted)
    beginners = _beginners(ctx, order, wanted)
    if source.kind in (Kind.STORE, Kind.SQL):
        if beginners:  # what these do not hold is gone
            order = replace(order, full=True)
        whole = (
            _export_store(ctx, order, wanted)
            if source.kind is Kind.STORE
            else _export_one(ctx, order, wanted, source, None)
        )
        whole.begun_for = beginners if whole.sealed else ()
        return whole
    files = source_files(source, ctx.folders.root, wanted.path)
    if wanted.path is None:
        files = dropped.candidates(source, files)
    if not files and not wanted.only_new_files:
        raise ConfigError("source-empty", f"{wanted.dataset}: no file fits {wanted.path or source.path!s}")
    if order.full and len(files) > 1:
        raise ConfigError(
            "source-ambiguous",
            f"{wanted.dataset}: --full needs one file, got {len(files)}; name it with --from",
        )
    report = SealReport(wanted.dataset)
    only = beginners if len(files) == 1 else ()
    said = LastWord(ctx, source, order.contract, files)
    for place, path in enumerate(files):
        try:
            one = replace(order, later=said.after(place)) if place + 1 < len(files) else order
            _add(report, _export_file(ctx, one, wanted, source, path, dropped, only))
        except (RejectedError, TransportError) as err:
            if len(files) == 1 and not wanted.only_new_files:
                raise
            label = _label(ctx, path)
            report.failed.append(Held(ctx.me, label, err.code, err.message))  # the other files go on
            if err.code == "source-locked":
                report.look_again(dropped.locked_again_s(label))
    return report


def _beginners(ctx: Context, order: Order, wanted: Export) -> tuple[str, ...]:
    """Sites that came to the audience of a cadastro after its feed had begun, and wait for a snapshot."""
    if order.contract.active_column is None or order.full or wanted.looks or wanted.having is not None:
        return ()
    recipients = ctx.settings.members(order.audience)
    return ctx.store.beginners(order.contract.dataset, order.audience, recipients)


def _holds_everything(ctx: Context, order: Order, tables: list[pa.Table]) -> bool:
    """Whether these documents leave out nothing that was sealed: a snapshot of them takes nothing away from anybody.

    A file may hold changes only, even where it is the only one. Nothing in it says so; what was sealed before does.
    """
    known = [row_digests(order.contract.conform(table), order.contract.key) for table in tables]
    digests = pa.table(
        {
            "key_digest": pa.chunked_array([each.keys for each in known], pa.binary(16)),
            "content_digest": pa.chunked_array([each.contents for each in known], pa.binary(16)),
        }
    )
    compared = ctx.store.compare_sealed(order.contract.dataset, order.audience, digests)
    return compared.known == compared.remembered > 0


def labels(ctx: Context) -> set[str]:
    """Every file that lies in a source now, as it is known."""
    sources = ctx.settings.sources.values()
    return {_label(ctx, path) for source in sources for path in source_files(source, ctx.folders.root)}


def _source(ctx: Context, wanted: Export) -> SourceSettings:
    configured = ctx.settings.sources.get(wanted.dataset)
    if wanted.path is None:
        if configured is None:
            raise ConfigError(
                "source-missing",
                f"{wanted.dataset} has no source: name a file with --from, or describe one under [datasets.{wanted.dataset}.source]",
            )
        return configured
    if not wanted.path.exists():
        raise ConfigError("source-missing", f"{wanted.path} does not exist")
    kind = _BY_SUFFIX.get(wanted.path.suffix.lower())
    if (
        configured is not None
        and configured.kind not in (Kind.SQL, Kind.STORE)
        and (kind is None or configured.kind.value == kind)
    ):
        return configured
    if kind is None:
        raise ConfigError(
            "source-unknown", f"{wanted.path}: expected a file that ends in {', '.join(_BY_SUFFIX)}"
        )
    return SourceSettings.from_toml({"kind": kind, "path": str(wanted.path)})


def _export_file(
    ctx: Context,
    order: Order,
    wanted: Export,
    source: SourceSettings,
    path: Path,
    dropped: Dropped,
    beginners: tuple[str, ...],
) -> SealReport:
    label = _label(ctx, path)
    # What waits for a recipient is looked for again when it knows more: then the version is another one.
    settings = " ".join([source.digest(order.contract.name), order.audience, *_under(order)])
    with patience(path):
        if wanted.hurried and not wanted.reread and dropped.settled(path, label, settings):
            return SealReport(wanted.dataset)
        before = stamp(path)
        digest, _ = digest_file(path)
        if wanted.only_new_files and not (beginners or wanted.reread):
            known = ctx.store.captured(label)
            if known is not None and (known.content_sha256, known.settings_sha256) == (digest, settings):
                dropped.done_with(label, settings, before)
                return SealReport(wanted.dataset)
        if wanted.path is None:
            # After the digest: what is unchanged now was unchanged then.
            verdict = dropped.look(source, path, label, ctx.clock(), patient=wanted.only_new_files)
            if verdict is not None:
                return _not_yet(ctx, wanted, label, verdict)
    try:
        report = _export_one(ctx, order, wanted, source, path, beginners)
    except RejectedError:
        if not wanted.looks:
            dropped.done_with(label, settings, before)
        raise
    if wanted.business_date is None:  # a reading of one day says nothing of the others
        outcome = "complete" if not report.refused else f"{report.refused} documents refused"
        if not report.held:  # what waits is told again by every whole turn
            ctx.store.record_captured(label, digest, settings, outcome, ctx.now())
        dropped.done_with(label, settings, before)
    return report


def _under(order: Order) -> tuple[str, ...]:
    return () if order.under is None else (order.under.name,)


def _not_yet(ctx: Context, wanted: Export, label: str, verdict: NotYet) -> SealReport:
    report = SealReport(wanted.dataset, failed=[Held(ctx.me, label, "source-changing", verdict.why)])
    report.look_again(verdict.again_s)
    return report


def _export_one(
    ctx: Context,
    order: Order,
    wanted: Export,
    source: SourceSettings,
    path: Path | None,
    beginners: tuple[str, ...] = (),
) -> SealReport:
    label = _label(ctx, path) if path is not None else f"{wanted.dataset} query"
    unformed: list[Problem] = []
    lost: list[str] = []
    lines: list[npt.NDArray[np.int64]] = []

    def chunks() -> Iterator[pa.Table]:
        for captured in _read(ctx, source, order, path):
            kept = (json.dumps(entry, ensure_ascii=False, default=str) for entry in captured.set_aside)
            lost.extend(discreet.text(order.contract, entry) for entry in kept)
            told = captured.problems[: PROBLEMS_MAX - len(unformed)]
            unformed.extend(discreet.problems(order.contract, told))
            lines.append(captured.lines)
            yield captured.table

    case = f"{wanted.dataset}.{Path(label).name}" if path is not None else f"{wanted.dataset}.query"
    try:
        if beginners:
            tables = list(chunks())
            order = replace(order, full=_holds_everything(ctx, order, tables))
            report = wanted.sealing(ctx, order, iter(tables))
            report.begun_for = beginners if order.full and report.sealed else ()
        else:
            report = wanted.sealing(ctx, order, chunks())
    except RejectedError as err:
        broken = _at_source_lines(list(err.problems), lines) if isinstance(err, BadRowsError) else []
        problem = Problem(err.code, f"{label}: {err.message}")
        if not wanted.looks:
            quarantine.note(ctx, ctx.me, case, problem, [*unformed, *broken][:PROBLEMS_MAX], lost)
        if broken:
            first = broken[0]
            raise BadRowsError(
                f"{problem.message}; first, line {first.row}: {first.message}", broken
            ) from err
        raise
    report.sources.append(label)
    report.refused += len(lost)
    report.documents += len(lost)
    report.problems = [*unformed, *_at_source_lines(report.problems, lines)][:PROBLEMS_MAX]
    if report.refused and not wanted.looks:
        summary = Problem(
            "bad-rows",
            f"{label}: {report.refused} of {report.documents} documents were not sealed; correct them there, and they are found",
        )
        quarantine.note(ctx, ctx.me, case, summary, report.problems, lost)
    elif wanted.business_date is None:
        quarantine.resolve_note(ctx, ctx.me, case)
    return report


def _read(ctx: Context, source: SourceSettings, order: Order, path: Path | None) -> Iterator[Captured]:
    try:
        yield from read_source(source, order.contract, root=ctx.folders.root, site=ctx.me, path=path)
    except RejectedError as err:
        if not order.contract.encrypted:
            raise
        # Not `from err`: what a traceback shows of the first error may be a secret.
        raise RejectedError(err.code, discreet.reason(order.contract, err.message)) from None


def _at_source_lines(problems: list[Problem], lines: list[npt.NDArray[np.int64]]) -> list[Problem]:
    """The same problems, their `row` being the line of the source on which the document begins: that is where a person looks."""
    if not problems:
        return []
    places = np.concatenate(lines)
    return [
        problem if problem.row is None else replace(problem, row=int(places[problem.row]))
        for problem in problems
    ]


def _export_store(ctx: Context, order: Order, wanted: Export) -> SealReport:
    """The site's own store: what was applied here goes on, as the matriz' sales go to the portal."""
    held = ctx.store.read_documents(order.contract, business_date=wanted.business_date, having=wanted.having)
    return wanted.sealing(ctx, order, held)


def seal_table(ctx: Context, order: Order, table: pa.Table | Iterator[pa.Table]) -> SealReport:
    """Documents that a Python caller holds already; they need not conform yet."""
    return seal(ctx, order, iter([table]) if isinstance(table, pa.Table) else table)


def _label(ctx: Context, path: Path) -> str:
    absolute = path if path.is_absolute() else ctx.folders.root / path
    return (
        absolute.relative_to(ctx.folders.root).as_posix()
        if absolute.is_relative_to(ctx.folders.root)
        else str(absolute)
    )


def _add(total: SealReport, part: SealReport) -> None:
    total.sealed += part.sealed
    total.documents += part.documents
    total.unchanged += part.unchanged
    total.refused += part.refused
    total.held += part.held
    total.problems = [*total.problems, *part.problems][:PROBLEMS_MAX]
    total.gaps += part.gaps
    total.sources += part.sources
    total.failed += part.failed
    total.begun_for = (*total.begun_for, *part.begun_for)
    total.beginners = part.beginners
    total.look_again(part.look_again_s)
