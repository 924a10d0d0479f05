"""What people decide about a site, read from files and checked: `filesync.toml` and `keys/` (site.py), `sites.toml` (roster.py)."""

from __future__ import annotations

from filesync.config.site import (
    FILE_NAME,
    KEY_NAME,
    RELAYS_BY_ROLE,
    SENDS_BY_ROLE,
    Dataset,
    Limits,
    Peer,
    Settings,
    SiteId,
    Timetable,
    check_mailbox,
    key_path,
    load,
    pinned_path,
    read_public_key,
    render_new,
    render_peer,
    toml_text,
    write_private,
)

__all__ = [
    "FILE_NAME",
    "KEY_NAME",
    "RELAYS_BY_ROLE",
    "SENDS_BY_ROLE",
    "Dataset",
    "Limits",
    "Peer",
    "Settings",
    "SiteId",
    "Timetable",
    "check_mailbox",
    "key_path",
    "load",
    "pinned_path",
    "read_public_key",
    "render_new",
    "render_peer",
    "toml_text",
    "write_private",
]
