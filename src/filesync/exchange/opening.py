"""Open a site's store by its settings: for a station, and for every worker that takes a share of its work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filesync import config
from filesync.contracts import Registry
from filesync.contracts.registry import load_contract, schemas_folder
from filesync.errors import ConfigError
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from filesync.config import Settings
    from filesync.stores.store import Store
    from filesync.stores.values import Site


def open_store(settings: Settings, *, patience_s: float | None = None) -> Store:
    """The site's store, with a connection of its own. Raises `ConfigError` where it is another site's.

    `patience_s`: how long another writer is waited for, where the store has one writer at a time.
    """
    store = _open(settings.database, patience_s)
    if store.site.id != settings.site or store.site.role is not settings.role:
        known = store.site
        store.close()
        raise ConfigError(
            "site-mismatch",
            f"{known_as(settings.database)} belongs to {known.id} ({known.role.value}), {config.FILE_NAME} says {settings.site} ({settings.role.value})",
        )
    return store


def create_store(where: Path | str, site: Site) -> None:
    """Make a site's store: in a file, or on a server, where one of the same site may be already: of a making that was cut short."""
    if isinstance(where, Path):
        SqliteStore.create(where, site).close()
        return
    from filesync.stores.postgres import PostgresStore  # its driver is an extra

    try:
        PostgresStore.create(where, site).close()
    except ConfigError as err:
        if err.code != "store-exists":
            raise
        with PostgresStore.open(where) as held:
            if (held.site.id, held.site.role) != (site.id, site.role):
                raise


def known_as(where: Path | str) -> str:
    """A store's place as it may be shown: an address without its password."""
    if isinstance(where, str):
        from filesync.stores.postgres_database import shown

        return shown(where)
    return str(where)


def _open(where: Path | str, patience_s: float | None) -> Store:
    if isinstance(where, str):
        from filesync.stores.postgres import PostgresStore  # its driver is an extra

        return PostgresStore.open(where)
    return SqliteStore.open(where, patience_s=patience_s)


def site_contracts(root: Path) -> Registry:
    """The packaged contracts, and the site's own in `schemas/` where there are any (they win: a site may lag behind or extend)."""
    own = sorted((root / "schemas").glob("*.json")) if (root / "schemas").is_dir() else []
    if not own:
        return Registry.packaged()
    return Registry([load_contract(path) for path in own], folder=schemas_folder() / "datasets")
