"""Setting aside what could not be accepted, with its reason beside it, and taking it up again.

`quarantine/<peer>/<name>` holds the file, `<name>.problem.json` why. Nothing here deletes: `retry` moves a file back into the inbox,
`discard` moves it into the archive. Both are recorded. The problem file is written before the file is moved, so that a file never
lies in quarantine without its reason; a reason whose file did not follow is overwritten by the next attempt.
"""

from __future__ import annotations

import filecmp
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filesync.errors import ConfigError
from filesync.protocol.identity import parse_file_name
from filesync.protocol.receipt import Problem
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from filesync.exchange.context import Context

SUFFIX = ".problem.json"
ROWS_SUFFIX = ".rows.jsonl"
#: Copies of one name that are kept apart; later ones replace the last (a peer may offer the same damaged file at every exchange).
COPIES_MAX = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One thing in quarantine."""

    peer: str
    name: str
    code: str
    message: str
    at: str
    times: int
    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    retryable: bool


def set_aside(
    ctx: Context,
    peer: str,
    name: str,
    files: Sequence[Path],
    problem: Problem,
    *,
    problems: Sequence[Problem] = (),
    retryable: bool = True,
) -> None:
    """Move `files` into the peer's quarantine under one case called `name`."""
    folder = ctx.folders.quarantine(peer)
    moves = [(path, folder, _free_name(folder, path)) for path in files]
    if _write(ctx, peer, name, [target for _, _, target in moves], problem, problems, retryable):
        audit(ctx, peer, name, problem)
    durable.move_many(moves)


def set_aside_rows(
    ctx: Context,
    peer: str,
    batch: str,
    documents: Sequence[str],
    problem: Problem,
    problems: Sequence[Problem],
) -> None:
    """Keep refused documents of a batch (one JSON line each) beside their errors; the batch itself is decided.

    Called inside the transaction that decides it, so that no commit is without its files; the audit follows (`audit`).
    """
    name = batch + ROWS_SUFFIX
    durable.publish(ctx.folders.quarantine(peer), name, "".join(f"{line}\n" for line in documents).encode())
    _write(ctx, peer, name, [name], problem, problems, retryable=False)


def take_back_rows(ctx: Context, peer: str, batch: str) -> None:
    """The transaction in which `set_aside_rows` was called was undone after all: the batch is rejected whole."""
    folder, name = ctx.folders.quarantine(peer), batch + ROWS_SUFFIX
    durable.remove_many([path for path in (folder / name, folder / (name + SUFFIX)) if path.exists()])


def audit(ctx: Context, peer: str, name: str, problem: Problem) -> None:
    """Record in the ledger that something was set aside."""
    ctx.store.record_problem(ctx.now(), name, peer, problem.code, problem.message)


def note(
    ctx: Context,
    peer: str,
    name: str,
    problem: Problem,
    problems: Sequence[Problem] = (),
    rows: Sequence[str] = (),
) -> None:
    """A case about a file that stays where it is: reading never changes a source. `rows` keeps what could not be read of it."""
    files = []
    if rows:
        files = [name + ROWS_SUFFIX]
        durable.publish(ctx.folders.quarantine(peer), files[0], "".join(f"{row}\n" for row in rows).encode())
    if _write(ctx, peer, name, files, problem, problems, retryable=False):
        audit(ctx, peer, name, problem)


def resolve_note(ctx: Context, peer: str, name: str, code: str | None = None) -> None:
    """Take back a `note` whose cause is gone; with `code`, only a case of that code."""
    folder = ctx.folders.quarantine(peer)
    path = folder / (name + SUFFIX)
    if path.exists() and (code is None or _read(path).code == code):
        durable.remove_many([folder / (name + ROWS_SUFFIX), folder / (name + SUFFIX)])


def resolve_notes(ctx: Context, peer: str, names: Iterable[str], code: str) -> None:
    """`resolve_note` for many: the folder is listed once."""
    try:
        noted = {path.name for path in ctx.folders.quarantine(peer).iterdir()}
    except FileNotFoundError:
        return
    for name in names:
        if name + SUFFIX in noted:
            resolve_note(ctx, peer, name, code)


def cases(ctx: Context) -> list[Case]:
    """Everything in quarantine, by peer and name."""
    top = ctx.folders.root / "quarantine"
    return [_read(path) for path in sorted(top.glob(f"*/*{SUFFIX}"))]


def _read(path: Path) -> Case:
    name = path.name.removesuffix(SUFFIX)
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Case(
            path.parent.name, name, raw["code"], raw["message"], raw["at"], raw["times"],
            tuple(raw["files"]), tuple(Problem(**p) for p in raw["problems"]), raw["retryable"],
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as err:
        message = f"the reason file cannot be read ({err}); the set-aside file is untouched"
        return Case(path.parent.name, name, "problem-unreadable", message, "", 1, (), (), retryable=False)


def find(ctx: Context, name: str) -> Case:
    """The case called `name` (or the only one whose name starts so)."""
    every = cases(ctx)
    exact = [case for case in every if case.name == name]
    matches = exact or [case for case in every if case.name.startswith(name) or name in case.files]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(
            "ambiguous",
            f"{name!r} fits {len(matches)} cases in quarantine: {', '.join(c.name for c in matches[:5])}",
        )
    raise ConfigError("not-found", f"nothing in quarantine is called {name!r}")


def retry(ctx: Context, case: Case) -> None:
    """Put the files back into the inbox, to be judged afresh at the next import."""
    if not case.retryable:
        raise ConfigError(
            "not-retryable",
            f"{case.name} was decided and answered with a receipt ({case.code}): it must be corrected where it comes from and exported again",
        )
    folder = ctx.folders.quarantine(case.peer)
    ctx.store.forget_refused([case.name.removesuffix(".manifest.json").removesuffix(".void.json")])
    ctx.store.record_problem(ctx.now(), case.name, case.peer, case.code, case.message, resolution="retried")
    inbox = ctx.folders.inbox(case.peer)
    durable.move_many(
        [(folder / name, inbox, name.split("~")[0]) for name in case.files if (folder / name).exists()]
    )
    durable.remove(folder / (case.name + SUFFIX))


def discard(ctx: Context, case: Case, reason: str) -> Path:
    """Take a case out of quarantine for good: its files and reason go to the archive. Returns where."""
    folder = ctx.folders.quarantine(case.peer)
    ctx.store.record_problem(
        ctx.now(), case.name, case.peer, case.code, case.message, resolution=f"discarded: {reason}"
    )
    target = ctx.folders.archive(ctx.clock().date()) / "discarded"
    moves = [
        (folder / name, target, name)
        for name in (*case.files, case.name + SUFFIX)
        if (folder / name).exists()
    ]
    durable.move_many(moves)
    return target


def _write(
    ctx: Context,
    peer: str,
    name: str,
    files: Sequence[str],
    problem: Problem,
    problems: Sequence[Problem],
    retryable: bool,
) -> bool:
    """Write a case's reason; whether it is a new case."""
    folder = ctx.folders.quarantine(peer)
    path = folder / (name + SUFFIX)
    times, earlier = 1, []
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        times, earlier = known["times"] + 1, known["files"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no case of this name yet, or one that cannot be read: this one replaces it
    case = {
        "name": name, "peer": peer, "code": problem.code, "message": problem.message, "at": ctx.now(), "times": times,
        "files": sorted({*earlier, *files}), "retryable": retryable, "problems": [p.to_signed() for p in (problems or [problem])],
    }  # fmt: skip
    durable.publish(folder, name + SUFFIX, (json.dumps(case, indent=2, ensure_ascii=False) + "\n").encode())
    return times == 1


def _free_name(folder: Path, path: Path) -> str:
    """A name in quarantine that keeps an earlier, different copy of the same name."""
    for copy in range(1, COPIES_MAX + 1):
        name = path.name if copy == 1 else f"{path.name}~{copy}"
        try:
            if filecmp.cmp(folder / name, path, shallow=False):
                return name
        except FileNotFoundError:
            return name
    return name


def belongs_to(name: str) -> str:
    """The batch stem that a file in quarantine belongs to, or its own name."""
    parsed = parse_file_name(name.split("~", maxsplit=1)[0])
    return parsed.batch.stem if parsed else name
