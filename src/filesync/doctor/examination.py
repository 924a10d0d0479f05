"""The walk: which checks, in which order, and what is skipped when something before it failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.config import DATABASE_NAME
from filesync.doctor import agreement, clocks, links, machine, own_tables, site
from filesync.doctor.exceptions import Exceptions, exceptions
from filesync.doctor.findings import Finding, Outcome, failed, skipped
from filesync.doctor.server import store as store_of
from filesync.errors import ConfigError, FilesyncError
from filesync.exchange.context import Clock, system_clock
from filesync.exchange.own_store import is_current, site_contracts
from filesync.language import _, mark
from filesync.stores.checking import Newest, newest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.config import Server, Settings

#: Told the name of what is examined next, for a person who waits.
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in the order of the walk, and what to tell antivirus programs and firewalls."""

    findings: tuple[Finding, ...]
    exceptions: Exceptions

    def of(self, outcome: Outcome) -> list[Finding]:
        """The findings that ended so."""
        return [finding for finding in self.findings if finding.outcome is outcome]


def examine(
    root: Path, only: str | None = None, *, clock: Clock = system_clock, tell: Tell = lambda _: None
) -> Report:
    """Walk the whole way; with `only`, to one peer. Raises `ConfigError` where there is no site or no such peer; all else is a finding."""
    if not root.is_dir():
        raise ConfigError("not-a-site", _("{root} is not a filesync site: it is no folder").format(root=root))
    settings, finding = site.configuration(root)
    if finding.code == "not-a-site":
        raise ConfigError("not-a-site", finding.seen)
    if settings is not None and only is not None and only not in settings.peers:
        raise ConfigError(
            "peer-unknown",
            _("no peer is called {only!r}; known: {join}").format(
                only=only, join=", ".join(settings.peers) or _("none")
            ),
        )
    found = [finding]
    for step, walk in _steps(root, settings, only, clock):
        tell(step)
        found += _guarded(step, walk)
    return Report(tuple(found), exceptions(root, settings))


def _steps(
    root: Path, settings: Settings | None, only: str | None, clock: Clock
) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    peers = [] if settings is None else [only] if only is not None else list(settings.peers)
    yield "folders", lambda: site.folders(root, peers)
    yield mark("free space"), lambda: iter([site.space(root, settings)])
    yield mark("same filesystem"), lambda: iter([site.partials(root, peers)])
    yield "keys", lambda: site.keys(root, settings)
    if any((root / "schemas").glob("*.json")):
        yield "contracts", lambda: iter([agreement.own(site_contracts(root))])
    yield "lock", lambda: iter([site.lock(root)])
    server = None if settings is None else settings.server
    if settings is not None and server is not None:
        yield "database", partial(store_of, settings, server, clock)
    else:
        yield "database", lambda: site.database(root, settings)
    told: list[Newest] = []
    yield "ledger", lambda: _read(root / DATABASE_NAME if server is None else server, told)
    if settings is not None and settings.apply:
        yield own_tables.CHECK, partial(own_tables.examine_own_tables, root, settings)
    yield "clock", lambda: clocks.clock(root, clock(), told[0] if told else None)
    yield "antivirus", lambda: iter([machine.antivirus(root)])
    yield mark("watcher events"), lambda: machine.events(root)
    if settings is None:
        yield "links", lambda: iter([skipped("links", _("the configuration cannot be read"))])
        return
    for name in peers:
        yield _("link to {name}").format(name=name), partial(links.examine_link, root, settings, name)
        yield _("contracts of {name}").format(name=name), partial(_versions, root, told, name)


def _versions(root: Path, told: list[Newest], name: str) -> Iterator[Finding]:
    yield from agreement.versions(site_contracts(root), told[0] if told else None, name)


def _read(where: Path | Server, told: list[Newest]) -> Iterator[Finding]:
    """The ledger's newest entries. What is wrong with a store that cannot be opened at all, or is of another version, `database` says."""
    with suppress(FilesyncError):
        if is_current(where):
            told.append(newest(where if isinstance(where, Path) else where.full_address()))
    yield from ()


def _guarded(step: str, walk: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """One check's failure, also one that nobody thought of on a strange machine, never ends the walk."""
    found: list[Finding] = []
    try:
        found.extend(walk())
    except FilesyncError as error:
        found.append(Finding(step, Outcome.FAILED, error.message, code=error.code))
    except OSError as error:
        found.append(
            failed(
                step,
                _("could not be examined: {error}").format(error=error),
                _("Look at that place by hand."),
            )
        )
    except Exception as error:  # a diagnosis that ends half-way helps nobody; it is said, and as a failure
        what = f"{type(error).__name__}: {error}"
        found.append(
            failed(
                step,
                _("the check itself failed: {what}").format(what=what),
                _("A mistake in filesync: please report this line. The other checks stand."),
            )
        )
    return found
