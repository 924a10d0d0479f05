"""A site's store by its settings: opened for a station and for every worker that takes a share of its work, made by `init`, brought forward.

A store is where the settings say, and nowhere else: a site whose store is a file does not move to a server because somebody wrote `store`
into its settings. What is asked of an older store: nothing, until it was brought forward (migrate, init, run).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filesync import config
from filesync.contracts import Registry
from filesync.contracts.registry import load_contract, schemas_folder
from filesync.errors import ConfigError
from filesync.exchange.lock import DAEMON_LOCK, LOCK_NAME, LOCK_PATIENCE_S, SiteLock
from filesync.stores import migrating, schema_version
from filesync.stores.postgres import PostgresStore
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from filesync.config import Server, Settings
    from filesync.protocol.identity import Role
    from filesync.stores.migrating import Held, Migration
    from filesync.stores.store import Store
    from filesync.stores.values import Site

_RUNNING = "migrate-running: filesync run works for this site: {who} holds {name} in {folder}; stop it before its store is brought forward"


def open_store(settings: Settings, *, patience_s: float | None = None) -> Store:
    """The site's store, with a connection of its own. Raises `ConfigError` where it is another site's.

    `patience_s`: how long another writer is waited for; a few seconds where nothing is said.
    """
    where = settings.database
    if isinstance(where, Path):
        store: Store = SqliteStore.open(where, patience_s=patience_s)
    else:
        try:
            store = PostgresStore.open(where.full_address(), patience_s=patience_s)
        except ConfigError as err:
            raise _not_there(settings.root, where, err) from err
    try:
        _check_site(where, store.site.id, store.site.role, settings.site, settings.role)
    except BaseException:
        store.close()
        raise
    return store


def create_store(where: Path | Server, site: Site) -> None:
    """Make a site's store: in a file, or on a server. One of the same site that is there already is kept, and brought forward.

    So a making that was cut short is finished, and a folder that was lost comes back to the store that was not.
    """
    try:
        if isinstance(where, Path):
            SqliteStore.create(where, site).close()
        else:
            PostgresStore.create(where.full_address(), site).close()
    except ConfigError as err:
        if err.code != "store-exists":
            raise
        held = _held(where)
        if (held.site, held.role) != (site.id, site.role):
            raise ConfigError(
                "site-mismatch",
                f"{known_as(where)}: expected no store, or that of {site.id} ({site.role.value}), got that of {held.site} ({held.role.value})",
            ) from err
        _forward(where)


def bring_forward(settings: Settings) -> Migration:
    """Bring the site's store to this program's schema. Whoever calls holds the daemon's lock: nobody runs the site by itself.

    A store that needs nothing costs a look. Raises `ConfigError` where it is another site's, or newer.
    """
    where = settings.database
    try:
        held = _held(where)
    except ConfigError as err:
        raise _not_there(settings.root, where, err) from err
    _check_site(where, held.site, held.role, settings.site, settings.role)
    if held.current:
        return _forward(where)
    with SiteLock(settings.root / LOCK_NAME, LOCK_PATIENCE_S).held():
        return _forward(where)


def migrate(root: Path) -> Migration:
    """`bring_forward` for a command: while `filesync run`, of an older version then, works for the site, it is refused."""
    settings = config.load(root)
    with SiteLock(root / DAEMON_LOCK, 0.0, _RUNNING).held():
        return bring_forward(settings)


def is_current(where: Path | Server) -> bool:
    """Whether the store is of this program's version. Raises `ConfigError` where there is none, or a newer one."""
    held = _held(where)
    if held.version > schema_version.SCHEMA_VERSION:
        schema_version.check(known_as(where), held.version)
    return held.current


def known_as(where: Path | Server) -> str:
    """A store's place as it may be shown."""
    return str(where) if isinstance(where, Path) else where.place


def _held(where: Path | Server) -> Held:
    if isinstance(where, Path):
        return migrating.held_by_file(where)
    return migrating.held_by_server(where.full_address())


def _forward(where: Path | Server) -> Migration:
    if isinstance(where, Path):
        return migrating.migrate_file(where)
    return migrating.migrate_server(where.full_address())


def _check_site(where: Path | Server, held: str, role: Role, site: str, expected: Role) -> None:
    if (held, role) != (site, expected):
        raise ConfigError(
            "site-mismatch",
            f"{known_as(where)} belongs to {held} ({role.value}), {config.FILE_NAME} says {site} ({expected.value})",
        )


def _not_there(root: Path, where: Path | Server, err: ConfigError) -> ConfigError:
    """A database without a store, for a site that has one: in its folder."""
    embedded = root / config.DATABASE_NAME
    if err.code != "store-missing" or isinstance(where, Path):
        return err
    if embedded.exists():
        return ConfigError(
            "store-elsewhere",
            f"{where.place}: expected this site's store, got a database without one; the site's store is {embedded}, which does not move to a server by itself",
        )
    return ConfigError(
        err.code, f"{err.message}; a site with its store there is made by `filesync init --store`"
    )


def site_contracts(root: Path) -> Registry:
    """The packaged contracts, and the site's own in `schemas/` where there are any (they win: a site may lag behind or extend)."""
    own = sorted((root / "schemas").glob("*.json")) if (root / "schemas").is_dir() else []
    if not own:
        return Registry.packaged()
    return Registry([load_contract(path) for path in own], folder=schemas_folder() / "datasets")
