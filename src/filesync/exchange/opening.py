"""Open a site's store by its settings: for a station, and for every worker that takes a share of its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync import config
from filesync.errors import ConfigError
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from filesync.config import Settings
    from filesync.stores.store import Store


def open_store(settings: Settings) -> Store:
    """The site's store, with a connection of its own. Raises `ConfigError` where it is another site's."""
    store = SqliteStore.open(settings.database)
    if store.site.id != settings.site or store.site.role is not settings.role:
        known = store.site
        store.close()
        raise ConfigError(
            "site-mismatch",
            f"{settings.database} belongs to {known.id} ({known.role.value}), {config.FILE_NAME} says {settings.site} ({settings.role.value})",
        )
    return store
