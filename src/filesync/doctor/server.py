"""The server that keeps this site's store: its password's file, the way to it, what it is, who may write there, its clock. Changes nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from filesync import config
from filesync.doctor.clocks import SKEW_S
from filesync.doctor.deadline import bounded
from filesync.doctor.disks import say_bytes
from filesync.doctor.findings import Finding, Outcome, failed, of_error, ok, skipped, warning
from filesync.errors import FilesyncError
from filesync.exchange.own_store import open_store
from filesync.language import _, listed, mark
from filesync.stores.schema_version import SCHEMA_VERSION
from filesync.stores.server_state import ServerState, examine_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from filesync.config import Server, Settings
    from filesync.exchange.context import Clock

#: A server that does not answer says so itself within its own patience; this is for one that answers and then does nothing.
SERVER_S: Final = 60.0
_has_password = re.compile(r"(?mi)^\s*password\s*=").search
_NAMED_MAX: Final = 5


def store(settings: Settings, server: Server, clock: Clock) -> Iterator[Finding]:
    """It is reached, it is new enough, the store is this site's and of this version, this account may write, commits last, clocks agree."""
    found = list(password(server, os.environ))
    yield from found
    if any(
        finding.code for finding in found
    ):  # of the site's own file: without it there is no asking the server
        yield skipped("database", _("the password cannot be read"))
        return
    try:
        state = bounded(lambda: examine_server(server.full_address(), clock), SERVER_S, server.place)
    except FilesyncError as error:
        yield of_error("database", error)
        return
    yield _reached(server, state)
    if state.standby:
        yield Finding(
            "database",
            Outcome.FAILED,
            _("{place} is a standby, which takes no changes").format(place=server.place),
            code="store-readonly",
        )
        return
    try:
        with open_store(settings) as held:
            site = held.site
    except FilesyncError as error:
        yield of_error("database", error)
        return
    yield ok(
        "database",
        _(
            "the store of {id}, epoch {epoch}, of version {version} ({say_bytes}, in the schema {schema})"
        ).format(
            id=site.id,
            epoch=site.epoch,
            version=SCHEMA_VERSION,
            say_bytes=say_bytes(state.size_bytes),
            schema=state.schema,
        ),
        bytes=state.size_bytes,
    )
    yield from _rights(state)
    yield from _lasting(server, state)
    yield _clock(state)
    leftover = settings.root / config.DATABASE_NAME
    if leftover.exists():
        yield warning(
            mark("database's file"),
            _("{leftover} lies here too, and is not used: the store is on the server").format(
                leftover=leftover
            ),
            _(
                "If it was this site's store before, ask whoever looks after filesync; otherwise move it away."
            ),
        )


def password(server: Server, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Where the password lies, as far as files say it, and whether anybody else may read it there."""
    check = mark("password")
    if server.password_file is not None:
        try:
            config.read_password(server.password_file)
        except FilesyncError as error:
            yield of_error(check, error)
        else:
            yield ok(check, _("nobody else may read {path}").format(path=server.password_file))
        return
    options = {name: values[-1] for name, values in parse_qs(urlsplit(server.address).query).items()}
    places = []
    for path, secret in _places(options, environment):
        try:
            mode = path.stat().st_mode
            holds = secret or _has_password(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if not holds:
            continue
        if (why := config.readable_by_others(mode)) is not None:
            yield failed(
                check,
                _("{path} may be read by others ({why})").format(path=path, why=why),
                _("Close it: chmod 600 {path}   libpq does not use a password file that others may read.").format(path=path),
            )  # fmt: skip
            return
        places.append(str(path))
    if "PGPASSWORD" in environment:
        places.append("PGPASSWORD")
    if places:
        yield ok(
            check, _("may be found in {places}; nobody else may read that").format(places=listed(places))
        )
    else:
        yield skipped(check, _("none is kept for this account: the server must let it in without one"))


def _places(options: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    """The files in which libpq looks for a password (libpq, sections 34.16 and 34.17), and whether they hold nothing else."""
    home = Path.home()
    if os.name == "nt":
        kept = Path(environment.get("APPDATA", str(home))) / "postgresql" / "pgpass.conf"
    else:
        kept = home / ".pgpass"
    yield Path(options.get("passfile") or environment.get("PGPASSFILE") or kept), True
    if "service" in options or "PGSERVICE" in environment:
        yield Path(environment.get("PGSERVICEFILE") or home / ".pg_service.conf"), False


def _reached(server: Server, state: ServerState) -> Finding:
    seen = _("{place} answers as PostgreSQL {version} in {milliseconds:.1f} ms").format(
        place=server.place, version=state.version.split()[0], milliseconds=state.round_trip_s * 1000
    )
    if state.encrypted or state.near:
        return ok("server", seen, seconds=state.round_trip_s)
    return warning(
        "server",
        _("{seen}; what is said on the way is not encrypted").format(seen=seen),
        _("Let the address end in ?sslmode=verify-full, and ask whoever looks after the server for its certificate."),
        seconds=state.round_trip_s,
    )  # fmt: skip


def _rights(state: ServerState) -> Iterator[Finding]:
    check = mark("rights")
    give = _("Ask whoever looks after the server to give the account {account} the tables and the schema: it should own both.").format(account=state.account)  # fmt: skip
    if state.unwritable:
        yield failed(
            check,
            _("the account {account} may not write {tables}").format(account=state.account, tables=_some(state.unwritable)),
            give,
        )  # fmt: skip
    elif not state.may_create or state.not_owned:
        yield warning(
            check,
            _("the account {account} writes, but may not change the tables: new contracts and upgrades need that").format(account=state.account),
            give,
        )  # fmt: skip
    else:
        yield ok(
            check, _("the account {account} may write, and change the tables").format(account=state.account)
        )
    if state.writers:
        yield warning(
            mark("other writers"),
            _("the ledger may be written by {writers} too").format(writers=_some(state.writers)),
            _("Nobody but filesync's account should: REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {schema} FROM ….").format(schema=state.schema),
        )  # fmt: skip


def _lasting(server: Server, state: ServerState) -> Iterator[Finding]:
    if state.unsafe:
        yield warning(
            mark("power cut"),
            _("{place} runs with {unsafe}: a power cut may destroy the database").format(
                place=server.place, unsafe=listed([f"{name} = off" for name in state.unsafe])
            ),
            _(
                "Ask whoever looks after the server to set it to on; what filesync has acknowledged must last."
            ),
        )


def _clock(state: ServerState) -> Finding:
    check = mark("server's clock")
    ahead = state.clock_ahead_s
    if abs(ahead) <= max(SKEW_S, state.round_trip_s):
        return ok(
            check, _("as this computer's, within {seconds:.1f} s").format(seconds=abs(ahead)), ahead_s=ahead
        )
    return warning(
        check,
        _("{seconds:.0f} s ahead of this computer's").format(seconds=ahead)
        if ahead > 0
        else _("{seconds:.0f} s behind this computer's").format(seconds=-ahead),
        _("Set whichever of the two is wrong. Nothing is lost by it: no decision depends on a clock."),
        ahead_s=ahead,
    )


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED_MAX
    shown = ", ".join(names[:_NAMED_MAX])
    return _("{shown} and {more} more").format(shown=shown, more=more) if more > 0 else shown
