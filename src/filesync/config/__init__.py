"""What people decide about a site, read from files and checked: `filesync.toml` (site.py; its sections in modules of their own), `keys/` (keys.py), `sites.toml` (roster.py)."""

from __future__ import annotations

from filesync.config.importing import ExecutorChoice, ExecutorKind, Tls
from filesync.config.keys import KEY_NAME, key_path, pinned_path, read_public_key, write_private
from filesync.config.roster import FILE_NAME as ROSTER_NAME
from filesync.config.roster import TEMPLATE as ROSTER_TEMPLATE
from filesync.config.roster import Roster, SiteEntry, load_roster
from filesync.config.site import (
    DATABASE_NAME,
    FILE_NAME,
    RELAYS_BY_ROLE,
    SENDS_BY_ROLE,
    Dataset,
    Limits,
    Peer,
    Settings,
    SiteId,
    Timetable,
    check_mailbox,
    load,
)
from filesync.config.steps import (
    DayTime,
    Ending,
    OverrideSection,
    Step,
    StepSection,
    day_steps,
    parse_day_time,
)
from filesync.config.storing import Server, read_password, readable_by_others
from filesync.config.template import render_new, render_peer, toml_text

__all__ = [
    "DATABASE_NAME",
    "FILE_NAME",
    "KEY_NAME",
    "RELAYS_BY_ROLE",
    "ROSTER_NAME",
    "ROSTER_TEMPLATE",
    "SENDS_BY_ROLE",
    "Dataset",
    "DayTime",
    "Ending",
    "ExecutorChoice",
    "ExecutorKind",
    "Limits",
    "OverrideSection",
    "Peer",
    "Roster",
    "Server",
    "Settings",
    "SiteEntry",
    "SiteId",
    "Step",
    "StepSection",
    "Timetable",
    "Tls",
    "check_mailbox",
    "day_steps",
    "key_path",
    "load",
    "load_roster",
    "parse_day_time",
    "pinned_path",
    "read_password",
    "read_public_key",
    "readable_by_others",
    "render_new",
    "render_peer",
    "toml_text",
    "write_private",
]
