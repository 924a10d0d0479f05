"""Billing files that wait in `drop/bdf/` and `drop/ca/`: kept there because their gate was closed, or left there by a program.

- `drop/bdf/2026-03-02/FILE` with `FILE.asked.json` beside it is kept: the second says what was asked, and in which order. Files for one day
  are taken in that order, so that a corrected file comes after the one it corrects.
- Any other file there was dropped. When it is whole (quiet, as for other dropped files) it is looked at once: it becomes a kept file of its
  day (what its header says, else its folder or its name), or it stays where it is with a note in `quarantine/<this site>/`, and is not read
  again until it, or a layout, has changed.
- A file that was taken leaves the folder: its copy is in the archive.

What is not here: what taking a file means (`filing`).
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Final

from filesync.day import filing, routine
from filesync.day.filing import STEPS, Asked, FilingReport, FilingState
from filesync.day.values import StepOutcome, StepReport
from filesync.errors import ConfigError, FilesyncError, RejectedError
from filesync.exchange import quarantine
from filesync.exchange.dropped import Dropped
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Problem
from filesync.sources import SourceSettings
from filesync.sources.completeness import NotYet, is_temporary
from filesync.sources.layout_choice import layouts
from filesync.writers import durable
from filesync.writers.payload import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from filesync.day.filing import Identified
    from filesync.exchange.context import Context
    from filesync.exchange.station import Station

ASKED: Final = ".asked.json"
#: What was seen of dropped files from look to look (exchange.dropped).
_SEEN: Final = "seen-files.json"
_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file in `drop/`. `place` orders the kept files of a day; None for one that was dropped."""

    dataset: str
    path: Path
    day: date | None
    layout: str | None = None
    by: str = "filesync"
    place: int | None = None
    since: str | None = None


def keep(ctx: Context, file: Identified) -> Path:
    """Put a file into `drop/`, with what was asked beside it: a copy, but one that lies in `drop/` is moved. The same one is kept once."""
    asked = file.asked
    top = ctx.folders.drop / asked.dataset
    folder = top / file.day.isoformat()
    if _noted(asked.dataset, asked.path) is not None and asked.path.parent == folder:
        return asked.path
    others = [
        w for w in files(ctx) if w.place is not None and (w.dataset, w.day) == (asked.dataset, file.day)
    ]
    for other in others:
        if digest_file(other.path)[0] == file.sha256:
            if asked.path.is_relative_to(top):
                durable.remove(asked.path)
            return other.path
    target = folder / asked.path.name
    if target != asked.path and target.exists():
        target = folder / f"{asked.path.stem}.{file.sha256[:12]}{asked.path.suffix}"
    if asked.path.is_relative_to(top):
        if target != asked.path:
            durable.move(asked.path, folder, target.name)
    else:
        _copy(asked.path, folder, target.name)
    note = {
        "dataset": asked.dataset, "day": file.day.isoformat(), "layout": asked.layout, "by": asked.by, "sha256": file.sha256,
        "place": 1 + max((other.place or 0 for other in others), default=0), "asked_at": ctx.now(),
    }  # fmt: skip
    # The note last: without it the file is a dropped one, and is looked at again.
    durable.publish(
        folder, target.name + ASKED, (json.dumps(note, indent=2, ensure_ascii=False) + "\n").encode()
    )
    return target


def _copy(path: Path, folder: Path, name: str) -> None:
    with durable.staged(folder, name) as copy, copy.open("wb") as target, path.open("rb") as source:
        while data := source.read(_COPY_BYTES):
            target.write(data)


def files(ctx: Context) -> list[Waiting]:
    """Everything that waits, kept files of a day in their order, then dropped ones by name."""
    found = [waiting for dataset in STEPS for waiting in _of(ctx, dataset)]
    return sorted(found, key=lambda w: (w.dataset, w.day or date.max, w.place or 1 << 30, w.path.name))


def _of(ctx: Context, dataset: str) -> Iterator[Waiting]:
    top = ctx.folders.drop / dataset
    for path in sorted([*top.glob("*"), *top.glob("*/*")]) if top.is_dir() else ():
        name = path.name
        if (
            name.endswith(ASKED)
            or is_temporary(name)
            or path.parent.name.startswith(".")
            or not path.is_file()
        ):
            continue
        yield _noted(dataset, path) or Waiting(dataset, path, None)


def _noted(dataset: str, path: Path) -> Waiting | None:
    try:
        note = json.loads(path.with_name(path.name + ASKED).read_text(encoding="utf-8"))
        day = date.fromisoformat(note["day"])
        return Waiting(
            dataset, path, day, note["layout"], str(note["by"]), int(note["place"]), str(note["asked_at"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # dropped; or a note that somebody spoilt: then the file speaks for itself


# ---------------------------------------------------------------- taking them


def receive(station: Station, dataset: str, *, patient: bool = True) -> list[tuple[str, FilesyncError]]:
    """Look at what was dropped of a kind: kept for its day, or refused with a note. The names of those refused now, with why.

    A file that must still be quiet for a while is passed over, and so is one that was refused before and has not changed.
    """
    ctx = station.context
    dropped = Dropped(ctx.folders.root / "run" / _SEEN, station.dropped.unsaid)
    known = layouts(ctx.folders.root)
    by_layouts = hashlib.sha256(
        "".join(one.digest for one in known if one.dataset == dataset).encode()
    ).hexdigest()
    failed: list[tuple[str, FilesyncError]] = []
    everything = files(ctx)
    for waiting in everything:
        if (
            waiting.dataset != dataset
            or waiting.place is not None
            or _look(ctx, dropped, waiting, patient=patient) is not None
        ):
            continue
        try:
            label, sha256 = _label(ctx, waiting), digest_file(waiting.path)[0]
        except OSError:
            continue  # gone, or held by its program: another time
        refused = ctx.store.captured(label)
        if refused is not None and (refused.content_sha256, refused.settings_sha256) == (sha256, by_layouts):
            continue
        try:
            filing.keep(station, Asked(dataset, waiting.path))
        except (RejectedError, ConfigError) as err:
            _refuse(station, waiting, err)
            ctx.store.record_captured(label, sha256, by_layouts, f"refused: {err.code}", ctx.now())
            failed.append((label, err))
        else:
            quarantine.resolve_note(ctx, ctx.me, _case(waiting))
    dropped.save({_label(ctx, waiting) for waiting in everything})
    return failed


def again_s(station: Station) -> float | None:
    """In how many seconds a dropped file that is not quiet yet may be looked at again; None where there is none."""
    ctx = station.context
    dropped = Dropped(ctx.folders.root / "run" / _SEEN, station.dropped.unsaid)
    lying = files(ctx) if ctx.settings.role is Role.MATRIZ else []
    looks = [_look(ctx, dropped, waiting, patient=True) for waiting in lying if waiting.place is None]
    return min(
        (look.again_s for look in looks if look is not None and look.again_s is not None), default=None
    )


def kept_others(ctx: Context, asked: Asked) -> bool:
    """Whether files of its kind are kept, and it is none of them."""
    kept = [
        waiting for waiting in files(ctx) if waiting.dataset == asked.dataset and waiting.place is not None
    ]
    return bool(kept) and all(waiting.path != asked.path for waiting in kept)


def take_waiting(
    station: Station, dataset: str, day: date | None = None
) -> tuple[list[FilingReport], list[tuple[str, FilesyncError]]]:
    """Take the kept files of a kind (and day), in their order: reports, and the names of those that could not be taken with why."""
    ctx = station.context
    done: list[FilingReport] = []
    failed: list[tuple[str, FilesyncError]] = []
    for waiting in files(ctx):
        if waiting.dataset != dataset or waiting.place is None or day not in (None, waiting.day):
            continue
        try:
            report = filing.take_now(
                station, Asked(dataset, waiting.path, waiting.day, waiting.layout, waiting.by)
            )
        except (RejectedError, ConfigError) as err:
            _refuse(station, waiting, err)
            failed.append((_label(ctx, waiting), err))
            continue
        if report.state is not FilingState.KEPT:
            with station.at_work():
                # The note last: a file without one would be looked at again as a dropped one, which is harmless too.
                durable.remove_many([waiting.path, waiting.path.with_name(waiting.path.name + ASKED)])
                quarantine.resolve_note(ctx, ctx.me, _case(waiting))
            _tidy(waiting.path.parent)
        done.append(report)
    return done, failed


def _refuse(station: Station, waiting: Waiting, err: FilesyncError) -> None:
    problems = getattr(err, "problems", ())
    with station.at_work() as ctx:
        quarantine.note(ctx, ctx.me, _case(waiting), Problem(err.code, err.message), problems)


def _case(waiting: Waiting) -> str:
    return f"{waiting.dataset}.{waiting.path.name}"


def _look(ctx: Context, dropped: Dropped, waiting: Waiting, *, patient: bool) -> NotYet | None:
    """None for a file that is whole as far as can be told."""
    source = SourceSettings.from_toml(
        {"kind": "csv", "path": waiting.path.name}
    )  # for its rule of wholeness: none was said
    try:
        return dropped.look(source, waiting.path, _label(ctx, waiting), ctx.clock(), patient=patient)
    except FileNotFoundError:
        return NotYet(f"{waiting.path.name} was there a moment ago")


def _label(ctx: Context, waiting: Waiting) -> str:
    return waiting.path.relative_to(ctx.folders.root).as_posix()


def _tidy(folder: Path) -> None:
    """A day's folder that is empty goes."""
    with suppress(OSError):
        folder.rmdir()


# ---------------------------------------------------------------- by itself


def _run(dataset: str, station: Station, day: date) -> StepReport:
    """The step's runner: what is kept for this day."""
    done, failed = take_waiting(station, dataset, day)
    step = STEPS[dataset]
    if failed:
        name, err = failed[0]
        return StepReport(step, day, StepOutcome.FAILED, f"{name}: {err.message}", err.code)
    taken = [report for report in done if report.state is FilingState.TAKEN]
    if not taken:
        return StepReport(step, day, StepOutcome.NOTHING, "no file waits")
    last = taken[-1]
    detail = {
        "file": last.file,
        "batch": last.batch,
        "documents": last.documents,
        "set_aside": last.set_aside,
    }
    evidence = None if last.evidence is None else last.evidence.name
    message = f"{last.file} taken in: {last.documents} rows"
    if last.set_aside:
        message += f", {last.set_aside} set aside"
    return StepReport(step, day, StepOutcome.RAN, message, evidence=evidence, detail=detail)


def _days(dataset: str, station: Station) -> Iterable[date]:
    """The days for which files are kept, those included that were dropped just now."""
    receive(station, dataset)
    return {
        waiting.day
        for waiting in files(station.context)
        if waiting.dataset == dataset and waiting.day is not None
    }


for _dataset, _step in STEPS.items():
    routine.RUNNERS[_step] = partial(_run, _dataset)
    routine.WAITING[_step] = partial(_days, _dataset)
