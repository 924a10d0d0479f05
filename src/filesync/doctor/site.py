"""The site itself: configuration, folders, space, keys, lock, database. Nothing here leaves this computer."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from filesync import config
from filesync.doctor.deadline import bounded
from filesync.doctor.disks import disk_of, free_space, say_bytes
from filesync.doctor.findings import Finding, Outcome, failed, of_error, ok, skipped, warning
from filesync.doctor.holder import holder_of
from filesync.doctor.probes import ProbeDifferentError, probe, remove_left_behind
from filesync.errors import FilesyncError, TransportError
from filesync.exchange.folders import PARTIAL, Folders
from filesync.exchange.lock import DAEMON_LOCK
from filesync.language import _, listed, mark
from filesync.stores.checking import quick_check
from filesync.stores.sqlite import SqliteStore
from filesync.writers.durable import fsync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from filesync.config import Settings

#: How long a local step may take: a folder of the site may stand on a share that went away.
FOLDER_S = 10.0
#: Reading a whole database once. A slow disk does 30 MB/s.
DATABASE_S = 120.0
#: A write-ahead log that is never folded back into the database means that somebody reads for hours.
WAL_BYTES_MAX = 512 << 20


def configuration(root: Path) -> tuple[Settings | None, Finding]:
    """`filesync.toml` and the keys, read as every command reads them."""
    try:
        settings = config.load(root)
    except FilesyncError as error:
        return None, of_error("configuration", error)
    peers = ", ".join(settings.peers) or _("none")
    return settings, ok(
        "configuration",
        _("{site} ({value}) in {root}; peers: {peers}").format(
            site=settings.site, value=settings.role.value, root=root, peers=peers
        ),
    )


def folders(root: Path, peers: Iterable[str]) -> Iterator[Finding]:
    """Every folder of the site is there, is a folder, and may be used by this account."""
    places = Folders(root)
    wrong = [why for folder in (root, *places.all()) if (why := _unusable(folder))]
    for peer in peers:  # a peer's folders are made when first needed, so they may be missing
        wrong += [
            why
            for folder in (places.inbox(peer), places.outbox(peer))
            if os.path.lexists(folder) and (why := _unusable(folder))
        ]
    if wrong:
        yield failed(
            "folders",
            "; ".join(wrong),
            _(
                "Give the account that runs filesync ({account}) the right to read and write everything in {root}. A folder that is missing may simply be made again."
            ).format(account=_account(), root=root),
        )
    else:
        yield ok(
            "folders",
            _("all folders in {root} are there, and this account ({account}) may use them").format(
                root=root, account=_account()
            ),
        )
    yield from _as_whom(root)
    for name in ("inbox", "outbox"):
        yield _written(root / name, name)


def _as_whom(root: Path) -> Iterator[Finding]:
    """Root may do everything: what root finds says little about the account that runs the site."""
    if os.name == "nt" or os.geteuid() != 0:
        return
    owner = root.stat().st_uid
    if owner != 0:
        yield warning(
            "account",
            _(
                "the site belongs to user {owner}, and the doctor was called by root, who may do everything"
            ).format(owner=owner),
            _("Call it as the account that runs the site: sudo -u ACCOUNT filesync doctor"),
        )


def _unusable(folder: Path) -> str | None:
    try:
        mode = folder.lstat().st_mode
    except FileNotFoundError:
        return _("{folder} is missing").format(folder=folder)
    except OSError as error:
        return _("{folder} cannot be looked at: {strerror}").format(folder=folder, strerror=error.strerror)
    if not stat.S_ISDIR(folder.stat().st_mode if folder.exists() else mode):
        return _("{folder} is not a folder").format(folder=folder)
    missing = [
        word
        for word, way in ((_("read"), os.R_OK), (_("written"), os.W_OK), (_("entered"), os.X_OK))
        if not os.access(folder, way)
    ]
    return (
        _("{folder} may not be {missing}").format(folder=folder, missing=listed(missing)) if missing else None
    )


def _written(folder: Path, name: str) -> Finding:
    check = _("writing into {name}/").format(name=name)
    try:
        remove_left_behind(folder, time.time())
        times = bounded(lambda: probe(folder, 64 << 10), FOLDER_S, str(folder))
        fsync_folder(folder)
    except ProbeDifferentError as error:
        return failed(
            check,
            str(error),
            _(
                "The disk returns other data than were written. Save a copy of the site, and replace the disk."
            ),
        )
    except TransportError as error:
        return failed(
            check,
            error.message,
            _(
                "Something holds {folder}: a share that went away, or a disk that fails. The site belongs on a disk of this computer."
            ).format(folder=folder),
        )
    except OSError as error:
        return failed(
            check,
            _("a probe file in {folder} failed: {error}").format(folder=folder / PARTIAL, error=error),
            _(
                "Give this account ({account}) the right to write there; look at the disk's free space."
            ).format(account=_account()),
        )
    return ok(
        check,
        _("write, rename, read back and remove work ({ms})").format(ms=_ms(times.total_s)),
        seconds=times.total_s,
    )


def space(root: Path, settings: Settings | None) -> Finding:
    """Room for what arrives. With less than the configured least nothing is fetched; nothing is lost by it."""
    if settings is None:
        return free_space(mark("free space"), root)
    return free_space(mark("free space"), root, least_bytes=settings.limits.disk_free_min_mib << 20)


def partials(root: Path, peers: Iterable[str]) -> Finding:
    """Each `.partial/` on the filesystem of the folders that it serves: only then is a rename one step."""
    places = Folders(root)
    wrong = []
    for kind, of in (("inbox", places.inbox), ("outbox", places.outbox)):
        devices: dict[Path, int] = {}
        for folder in (root / kind, root / kind / PARTIAL, *map(of, peers)):
            try:
                devices[folder] = folder.stat().st_dev
            except OSError:
                continue  # made when first needed, beside the others
        home = devices.get(root / kind)
        wrong += [str(folder) for folder, device in devices.items() if device != home]
    if wrong:
        return failed(
            mark("same filesystem"),
            _("on another filesystem than the folder above: {wrong}").format(wrong=", ".join(wrong)),
            _(
                "A file cannot appear there in one step. Let inbox/ and outbox/ with everything below them be on one disk: move the whole site, instead of mounting something inside it."
            ),
        )
    try:
        other = [
            name
            for name in ("archive", "quarantine")
            if (root / name).stat().st_dev != (root / "inbox").stat().st_dev
        ]
    except OSError as error:
        return skipped(mark("same filesystem"), _("a folder is missing: {error}").format(error=error))
    if other:
        return warning(
            mark("same filesystem"),
            _("{other} on another disk than inbox/ and outbox/").format(other=listed(other)),
            _("This works; settled files are copied instead of renamed, so turns take longer."),
        )
    return ok(mark("same filesystem"), _("every .partial/ is on the filesystem of its folders"))


def keys(root: Path, settings: Settings | None) -> Iterator[Finding]:
    """Secrets that only their owner may read; public keys that fit; peers that are pinned."""
    secrets = [config.key_path(root)]
    if settings is not None:
        for peer in settings.peers.values():
            identity = getattr(peer, "identity", None)
            if identity is not None:
                secrets.append(root / identity)
    open_to = [why for path in dict.fromkeys(secrets) if (why := _readable_by_others(path))]
    if open_to:
        yield failed(
            "keys",
            "; ".join(open_to),
            _(
                "Close it: chmod 700 {root} && chmod 600 FILE. Whoever had read it can sign in this site's name: if that is possible, make a new key and tell the peers."
            ).format(root=root / "keys"),
        )
    elif os.name == "nt":
        yield skipped(
            "keys",
            _(
                "who may read {root} is not examined on Windows: in its properties, under Security, only this account, SYSTEM and Administrators should stand"
            ).format(root=root / "keys"),
        )
    else:
        yield ok("keys", _("nobody else may read the private keys"))
    if settings is None:
        return
    public = config.key_path(root).with_suffix(".pub")
    try:
        fits = config.read_public_key(public) == settings.key.public
    except FilesyncError:
        fits = False
    if not fits:
        yield warning(
            mark("public key"),
            _("{public} is not the public half of this site's key").format(public=public),
            _(
                "Write it anew: filesync key > {public}   Peers that pinned the old one refuse what this site sends."
            ).format(public=public),
        )
    unpinned = [peer for peer in settings.peers if peer not in settings.pinned]
    if unpinned:
        yield warning(
            mark("pinned keys"),
            _(
                "no key is pinned for {unpinned}: anyone who can write into its folder can send in its name"
            ).format(unpinned=", ".join(unpinned)),
            _(
                "On that site: filesync key > {unpinned}.pub   Bring the file here: filesync peer add {unpinned} --key {unpinned}.pub"
            ).format(unpinned=unpinned[0]),
        )
    elif settings.peers:
        yield ok(
            mark("pinned keys"),
            _("the key of every peer is pinned ({count})").format(count=len(settings.peers)),
        )


def _readable_by_others(path: Path) -> str | None:
    if os.name == "nt":
        return None
    try:
        found = path.stat()
        above = path.parent.stat()
    except OSError:
        return None  # a missing key is a matter of the configuration, or of the link
    if found.st_mode & 0o077 and above.st_mode & 0o077:
        return _("{path} may be read by others (mode {st_mode:o})").format(
            path=path, st_mode=found.st_mode & 0o777
        )
    return None


def lock(root: Path) -> Finding:
    """Who works in the site's folder now, and whether it runs by itself. That somebody does is no fault; the doctor needs no lock."""
    daemon = holder_of(root, DAEMON_LOCK)
    by_itself = (
        _("; filesync run is at work (process {pid})").format(pid=daemon.pid or _("unknown"))
        if daemon.held
        else ""
    )
    holder = holder_of(root)
    if not holder.held:
        return ok(
            "lock", _("nobody works in this folder at the moment{by_itself}").format(by_itself=by_itself)
        )
    who = _("process {pid}").format(pid=holder.pid) if holder.pid else _("a process")
    if holder.program:
        who += f" ({holder.program})"
    if holder.here:
        return ok(
            "lock",
            _("{who} works in this folder at the moment{by_itself}").format(who=who, by_itself=by_itself),
        )
    return warning(
        "lock",
        _("{who}, perhaps on another computer, works in this folder at the moment").format(who=who),
        _("A site runs on one computer only. If no other is meant to, end that one."),
    )


def database(root: Path, settings: Settings | None) -> Iterator[Finding]:
    """It opens, belongs to this site, is whole, and lies where SQLite can keep its promises."""
    path = root / "filesync.db"
    try:
        with SqliteStore.open(path) as store:
            site = store.site
    except FilesyncError as error:
        yield of_error("database", error)
        return
    if settings is not None and (site.id != settings.site or site.role is not settings.role):
        yield Finding(
            "database",
            Outcome.FAILED,
            _("{path} belongs to {id} ({value}), {file_name} says {site} ({value_2})").format(
                path=path,
                id=site.id,
                value=site.role.value,
                file_name=config.FILE_NAME,
                site=settings.site,
                value_2=settings.role.value,
            ),
            code="site-mismatch",
        )
        return
    disk = disk_of(path)
    if disk.remote:
        yield failed(
            "database's disk",
            _("{path} lies on a share ({kind}, {mounted_at})").format(
                path=path, kind=disk.kind, mounted_at=disk.mounted_at
            ),
            _(
                "SQLite cannot keep a database whole over a network. Move the site to a disk of this computer; only links may be shares."
            ),
        )
    size = path.stat().st_size
    try:
        problems = bounded(lambda: quick_check(path), DATABASE_S, _("examining {path}").format(path=path))
    except TransportError as error:
        if error.code != "timeout":
            yield of_error("database", error)
            return
        yield warning(
            "database",
            _(
                "{path} opens ({id}, epoch {epoch}), but is too large or its disk too slow to be read in {database_s:g} s ({say_bytes})"
            ).format(
                path=path, id=site.id, epoch=site.epoch, database_s=DATABASE_S, say_bytes=say_bytes(size)
            ),
            _("Examine it at night: filesync doctor takes as long as the disk does."),
        )
        return
    except FilesyncError as error:
        yield of_error("database", error)
        return
    if problems:
        yield Finding(
            "database",
            Outcome.FAILED,
            _("{path} is damaged: {problems}").format(path=path, problems="; ".join(problems[:3])),
            code="store-damaged",
        )
        return
    yield ok(
        "database",
        _("{path} is whole ({say_bytes}; {id}, epoch {epoch})").format(
            path=path, say_bytes=say_bytes(size), id=site.id, epoch=site.epoch
        ),
        bytes=size,
    )
    wal = path.with_name(path.name + "-wal")
    waiting = wal.stat().st_size if wal.exists() else 0
    if waiting > WAL_BYTES_MAX:
        yield warning(
            "database's log",
            _("{wal} has grown to {say_bytes}").format(wal=wal, say_bytes=say_bytes(waiting)),
            _(
                "Some program keeps the database open for reading. End it; the next turn tidies the log. Never delete this file."
            ),
            bytes=waiting,
        )


def _account() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id
        return _("this account")


def _ms(seconds: float) -> str:
    return _("{seconds:.0f} ms").format(seconds=seconds * 1000) if seconds < 10 else f"{seconds:.0f} s"
