"""Where a running station listens: its own folders, what lies for it at its peers, and where programs drop files.

A place is named after the peer whose link it belongs to, or after what it is ("inbox/"); peers' names hold no slash.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.day.filing import STEPS
from filesync.day.waiting import ASKED
from filesync.exchange.road import lying_there, place_of
from filesync.protocol.identity import Role
from filesync.sources.completeness import DONE, TEMPORARY
from filesync.timetable import is_open
from filesync.watchers import Watcher
from filesync.watchers.folder import IGNORED, FolderWatcher, Place
from filesync.watchers.polling import Listing, PollingWatcher

if TYPE_CHECKING:
    from filesync.exchange.context import Context
    from filesync.sources import SourceSettings
    from filesync.watchers import Look

#: A manifest makes a batch exist, a receipt settles it; a payload alone, or a heartbeat, is no reason to look.
ENDS = (".manifest.json", ".receipt.json")
_ARRIVALS = tuple(f"**/*{end}" for end in ENDS)
_WRITTEN = (*IGNORED, *(f"**/{pattern}" for pattern in TEMPORARY))
#: How often places are listed of which the system may tell nothing: folders (shares), and links over SFTP.
POLL_NEAR_S, POLL_FAR_S = 2.0, 60.0
#: With thousands of folders to list, only a part of the time goes into listing them.
POLL_PLACE_S = 0.005


def post(ctx: Context, look: Look) -> list[Watcher]:
    """The watchers of a site, not started."""
    near: dict[str, Listing] = {}
    far: dict[str, Listing] = {}
    for name, peer in ctx.settings.peers.items():
        if peer.link is not None:
            (near if is_near(ctx, name) else far)[name] = _listing(ctx, name)
    watchers: list[Watcher] = [FolderWatcher(places(ctx), look)]
    for listings, period_s in ((near, max(POLL_NEAR_S, len(near) * POLL_PLACE_S)), (far, POLL_FAR_S)):
        if listings:
            watchers.append(PollingWatcher(listings, look, period_s=period_s))
    return watchers


def is_near(ctx: Context, name: str) -> bool:
    """Whether a peer's link is a folder, which costs nothing to look into."""
    return ctx.settings.peers[name].sftp(ctx.folders.root) is None


def places(ctx: Context) -> list[Place]:
    """What the system is asked to tell of."""
    root = ctx.folders.root
    found = [Place(f"{name}/", root / name, _ARRIVALS) for name in ("inbox", "outbox")]
    for name, peer in ctx.settings.peers.items():
        if peer.link is not None and is_near(ctx, name):
            found.append(_at_peer(name, root / peer.link, place_of(ctx, name)))
    for dataset, source in ctx.settings.sources.items():
        if source.path is not None:
            found.append(_drop(root, dataset, source))
    if ctx.settings.role is Role.MATRIZ:
        # Billing files. The folder above them, for theirs may be made with the first file.
        patterns = tuple(f"**/drop/{dataset}/**" for dataset in STEPS)
        found.append(Place("drop/", ctx.folders.drop, patterns, (*_WRITTEN, f"**/*{ASKED}")))
    return found


def _at_peer(name: str, link: Path, place: str) -> Place:
    """What lies for us at a peer. Where its folder is only made with the first batch, the nearest one above is watched."""
    folder = link / place
    while folder != link and not folder.is_dir():
        folder = folder.parent
    return Place(name, folder, tuple(f"**/{place}/*{end}" for end in ENDS))


def _drop(root: Path, dataset: str, source: SourceSettings) -> Place:
    """The folder of a source down to the first `*`, and the names that fit."""
    parts = (root / (source.path or "")).parts
    wild = next((at for at, part in enumerate(parts) if set("*?[") & set(part)), len(parts) - 1)
    patterns = (f"**/{parts[-1]}", *(f"**/*{end}" for end in DONE))
    return Place(f"drop/{dataset}", Path(*parts[: min(wild, len(parts) - 1)]), patterns, _WRITTEN)


def _listing(ctx: Context, name: str) -> Listing:
    windows = ctx.settings.peers[name].open_windows()
    clock: Callable[[], datetime] = ctx.clock

    def listing() -> list[tuple[str, int]]:
        if not is_open(windows, clock()):
            return []
        return [(file.name, file.size) for file in lying_there(ctx, name) if file.name.endswith(ENDS)]

    return listing
