"""Carry: what waits for a peer travels on a stick in somebody's pocket. A stick is a relay without patience (docs/protocol.md).

    PATH/filesync/<recipient>/inbox/<sender>/

- `carry out` puts copies there: whole files only, receipts first, payload before manifest. The outbox keeps every batch until its
  recipient's receipt is here; the ledger only notes when it was carried.
  A heartbeat goes with them, as a copy.
- `carry in` takes what is for this site, durably, and then removes it from the stick. What is for others stays: several sites, and several
  journeys, may share a stick.
- The stick may be pulled at any moment, and either command given again. A copy that lies there already is compared byte for byte: a stick
  that was pulled, or is failing, keeps names whose content never arrived.

What a stick brought is judged like everything else, by the next import; nobody but the recipient acknowledges anything.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filesync.errors import ConfigError, FilesyncError, TransportError
from filesync.exchange import cargo
from filesync.exchange.reports import CarryReport, Held, Moved
from filesync.protocol.identity import FileKind, check_id, parse_file_name, parse_heartbeat_name
from filesync.transports.folder import FolderTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from filesync.exchange.context import Context
    from filesync.protocol.identity import FileName

#: The one folder on the stick that is ours.
TOP = "filesync"
COMPARED_BYTES = 1 << 20  # held at a time of either file


def carry_out(ctx: Context, path: Path, only: str | None = None) -> CarryReport:
    """Copy everything that waits for the peers (or for `only`) to the stick at `path`."""
    if path.resolve() == ctx.folders.root.resolve():
        raise ConfigError("link-other-site", f"{path} is this site's own folder; a stick is somewhere else")
    report = CarryReport()
    stick = _Stick(path)
    for peer in ctx.peers(only):
        with _noted(report, peer):
            _out(ctx, stick, peer, report)
        if report.interrupted:
            break
    _rest(ctx, path, report)
    return report


def carry_in(ctx: Context, path: Path, *, keep: bool = False) -> CarryReport:
    """Take everything for this site from the stick at `path`; with `keep` it also stays there."""
    report = CarryReport()
    stick = _Stick(path)
    for sender in _folders(path / TOP / ctx.me / "inbox"):
        if sender not in ctx.settings.peers:
            report.unknown[sender] = len(list(_files(path / TOP / ctx.me / "inbox" / sender)))
            continue
        with _noted(report, sender):
            moved = report.moved.setdefault(sender, Moved())
            folder = _mailbox(ctx.me, sender)
            cargo.unload(
                ctx, stick.link, sender, folder, mailbox=True, moved=moved, step="carry in", keep=keep
            )
            report.strangers += [
                f"{folder}/{file.name}"
                for file in stick.link.list(folder)
                if parse_file_name(file.name) is None and parse_heartbeat_name(file.name) != sender
            ]
        if report.interrupted:
            break
    _rest(ctx, path, report)
    return report


def _mailbox(site: str, sender: str) -> str:
    """Where `site` finds on a stick what `sender` left for it."""
    return f"{TOP}/{site}/inbox/{sender}"


class _Stick:
    """The place at `path`, and whether it is still the one that we began with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._device = self._look()
        self.link = FolderTransport(path)

    def _look(self) -> int:
        try:
            return self._path.stat().st_dev
        except OSError as err:
            raise TransportError("unreachable", f"{self._path}: a stick was expected, got nothing there ({err})") from err  # fmt: skip

    def sure(self) -> None:
        """Raises where the stick was pulled: a mount point that stays behind takes files too, but on this computer's own disk."""
        if self._look() != self._device:
            raise TransportError("unreachable", f"{self._path}: the stick was expected, got another disk (pulled out?)")  # fmt: skip


@contextmanager
def _noted(report: CarryReport, peer: str) -> Iterator[None]:
    """What the stick does wrong ends the journey, not the report: what was moved until then is moved."""
    try:
        yield
    except TransportError as err:
        report.interrupted = Held(peer, peer, err.code, err.message)


def _out(ctx: Context, stick: _Stick, peer: str, report: CarryReport) -> None:
    folder = _mailbox(peer, ctx.me)
    load = cargo.waiting(ctx, peer, cargo.answered_here(ctx, peer))
    _tidy(ctx, stick, peer, folder, load)
    if not (load.receipts or load.manifests or load.voids):
        return  # a heartbeat alone is not worth a journey
    moved = report.moved.setdefault(peer, Moved())

    def mark(stems: Sequence[str], _: int) -> None:
        ctx.store.mark_carried([(stem, peer) for stem in stems], ctx.now())

    cargo.load(
        ctx,
        stick.link,
        peer,
        folder,
        load,
        mark,
        moved=moved,
        step="carry out",
        sure=stick.sure,
        heartbeat_stays=True,
    )


def _tidy(ctx: Context, stick: _Stick, peer: str, folder: str, load: cargo.Waiting) -> None:
    """Take back from the stick what is ours and of no use: half-written files, copies that are not what they should be, batches answered
    since.
    """
    there = [parsed for file in stick.link.list(folder) if (parsed := parse_file_name(file.name)) is not None]
    here = stick.link.root.joinpath(*folder.split("/"))
    ours = [
        file for file in there if file.kind is not FileKind.RECEIPT and file.batch.id.feed.origin == ctx.me
    ]
    stems = {file.batch.stem for file in ours}
    states, given_up = ctx.store.outgoing_state(stems), ctx.store.holes.taken(stems)
    untold = {void.name for void in ctx.store.holes.untold() if void.recipient == peer}

    def of_no_use(file: FileName) -> bool:
        if file.kind is FileKind.VOID:
            return file.batch.stem not in untold
        state = states.get(file.batch.stem)
        return file.batch.stem in given_up or (state is not None and state.recipients.get(peer) is not None)

    answered = [file for file in ours if of_no_use(file)]
    waiting = set(load.files)
    with _road(here):
        unsound = [
            file for file in there if file in waiting and not _same(ctx.folders.outbox(peer), here, file)
        ]
        # The manifest leaves first: one without its payload would look like a batch that cannot be whole.
        gone = sorted((*answered, *unsound), key=lambda file: file.kind is not FileKind.MANIFEST)
        stick.link.remove_many([(folder, str(file)) for file in gone])
        durable.remove_many(_half_written(here))


def _half_written(mailbox: Path) -> list[Path]:
    partial = mailbox.parent / durable.PARTIAL
    return list(partial.glob(f"{mailbox.name}~*")) if partial.is_dir() and not partial.is_symlink() else []


def _same(outbox: Path, mailbox: Path, file: FileName) -> bool:
    """Whether the copy on the stick is byte for byte ours. One that cannot be read is not."""
    copy = mailbox / str(file)
    try:
        if not stat.S_ISREG(copy.lstat().st_mode):
            return False
        with copy.open("rb") as theirs, (outbox / str(file)).open("rb") as ours:
            while (part := ours.read(COMPARED_BYTES)) == theirs.read(COMPARED_BYTES):
                if not part:
                    return True
    except OSError:
        pass  # a bad sector, or no stick any more: putting it there again will tell
    return False


@contextmanager
def _road(place: Path) -> Iterator[None]:
    """A stick that goes away while we look at it is a matter of the road."""
    try:
        yield
    except FilesyncError:
        raise
    except OSError as err:
        raise TransportError("unreachable", f"{place} went away: {err}") from err


def _folders(top: Path) -> list[str]:
    """Sites that have a folder in `top`."""
    with _road(top):
        try:
            return sorted(entry.name for entry in os.scandir(top) if _is_site(entry))
        except FileNotFoundError:
            return []


def _is_site(entry: os.DirEntry[str]) -> bool:
    try:
        return check_id(entry.name) != "" and entry.is_dir(follow_symlinks=False)
    except ValueError:
        return False


def _files(folder: Path) -> Iterator[str]:
    with _road(folder):
        for entry in os.scandir(folder):
            if parse_file_name(entry.name) is not None:
                yield entry.name


def _rest(ctx: Context, path: Path, report: CarryReport) -> None:
    """Say what lies on the stick for other sites; a stick that is gone by now holds nothing."""
    try:
        for site in _folders(path / TOP):
            inboxes = path / TOP / site / "inbox"
            count = sum(1 for sender in _folders(inboxes) for _ in _files(inboxes / sender))
            if site != ctx.me and count:
                report.for_others[site] = count
    except TransportError:
        return
