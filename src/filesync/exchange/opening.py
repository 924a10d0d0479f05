"""Open a site's store by its settings: for a station, and for every worker that takes a share of its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync import config
from filesync.contracts import Registry
from filesync.contracts.registry import load_contract, schemas_folder
from filesync.errors import ConfigError
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.config import Settings
    from filesync.stores.store import Store


def open_store(settings: Settings, *, patience_s: float | None = None) -> Store:
    """The site's store, with a connection of its own. Raises `ConfigError` where it is another site's.

    `patience_s`: how long another writer is waited for, where the store has one writer at a time.
    """
    store = SqliteStore.open(settings.database, patience_s=patience_s)
    if store.site.id != settings.site or store.site.role is not settings.role:
        known = store.site
        store.close()
        raise ConfigError(
            "site-mismatch",
            f"{settings.database} belongs to {known.id} ({known.role.value}), {config.FILE_NAME} says {settings.site} ({settings.role.value})",
        )
    return store


def site_contracts(root: Path) -> Registry:
    """The packaged contracts, and the site's own in `schemas/` where there are any (they win: a site may lag behind or extend)."""
    own = sorted((root / "schemas").glob("*.json")) if (root / "schemas").is_dir() else []
    if not own:
        return Registry.packaged()
    return Registry([load_contract(path) for path in own], folder=schemas_folder() / "datasets")
