"""`sites.toml`: which sites are due on which days, and what each sends. Read and checked here; who is due is said by day/roster.py.

Without the file every caixa and posto among the peers is due from Monday to Saturday, national holidays off. A section for a site that is
no peer is an error: a site that is expected and cannot send would keep every day open.
"""

from __future__ import annotations

import tomllib
from datetime import date  # noqa: TC003 -- pydantic reads it
from enum import Enum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from filesync.errors import ConfigError
from filesync.protocol.identity import Role, check_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from filesync.config.site import Peer

FILE_NAME = "sites.toml"


class Weekday(Enum):
    """In the order of `date.weekday()`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


#: `date.weekday()` counts from Monday, as the enum does.
WEEKDAYS = tuple(Weekday)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Usual(_Section):
    """`[usual]`: what holds for every site that does not say otherwise."""

    weekdays: tuple[Weekday, ...] = WEEKDAYS[:6]
    open_on_holidays: bool = False
    turnos: int = Field(default=1, ge=1, le=99)
    sends: tuple[str, ...] = ("vendas", "fechamento")


class Holidays(_Section):
    """`[holidays]`: the national ones are known; a state's by its two letters, the town's by their dates."""

    state: str | None = None
    local: tuple[date, ...] = ()
    national: bool = True

    @field_validator("state")
    @classmethod
    def _known(cls, state: str | None) -> str | None:
        if state is not None and state not in STATES:
            raise ValueError(f"expected one of {', '.join(STATES)}, got {state!r}")
        return state


#: Brazil's states, as the `holidays` library knows them (day/roster.py).
STATES = (
    "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA", "PB", "PE", "PI", "PR", "RJ", "RN", "RO", "RR", "RS",
    "SC", "SE", "SP", "TO",
)  # fmt: skip


class SiteEntry(_Section):
    """`[sites.ID]`: one site. What is not said is as usual."""

    active_from: date | None = None
    active_until: date | None = None
    weekdays: tuple[Weekday, ...] | None = None
    open_on_holidays: bool | None = None
    turnos: int | None = Field(default=None, ge=1, le=99)
    sends: tuple[str, ...] | None = None
    open_on: tuple[date, ...] = ()
    closed_on: tuple[date, ...] = ()


class Roster(_Section):
    """The whole file."""

    usual: Usual = Usual()
    holidays: Holidays = Holidays()
    sites: dict[str, SiteEntry] = Field(default_factory=dict)

    @field_validator("sites")
    @classmethod
    def _ids(cls, sites: dict[str, SiteEntry]) -> dict[str, SiteEntry]:
        for site in sites:
            check_id(site)
        return sites


def load_roster(root: Path, peers: Mapping[str, Peer]) -> Roster:
    """The roster of the site at `root`: its `sites.toml`, or the usual one. ConfigError names the place in the file."""
    path = root / FILE_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raw = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise ConfigError("roster-invalid", f"{path}: {err}") from err
    try:
        roster = Roster.model_validate(raw)
    except ValidationError as err:
        places = [f"  {'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in err.errors()]
        raise ConfigError("roster-invalid", f"{path}:\n" + "\n".join(places)) from err
    for site, entry in roster.sites.items():
        if site not in peers and entry.active_until is not None:
            continue  # it was closed down, and its days are still told
        if site not in peers or peers[site].role not in (Role.CAIXA, Role.POSTO):
            raise ConfigError(
                "roster-invalid",
                f"{path}: [sites.{site}] is no caixa or posto among the peers in filesync.toml",
            )
    return roster


TEMPLATE = """\
# Which sites are due on which days. A day is complete when every due site has closed it and all that its close names is applied.
# Lines that start with # are explanations or defaults. `filesync roster --date AAAA-MM-DD` says who is due.

# What holds for every caixa and posto among the peers:
# [usual]
# weekdays = ["mon", "tue", "wed", "thu", "fri", "sat"]
# open_on_holidays = false
# turnos = 1                             # shifts; the last one's close closes the day
# sends = ["vendas", "fechamento"]       # what makes up its day here

# National holidays are known. Those of a state are by its letters, those of the town by their dates:
# [holidays]
# national = true
# state = "SP"
# local = [2026-01-25, 2026-02-17]       # Carnaval is no national holiday: name it where it is kept

# A site that differs:
# [sites.posto-centro]
# active_from = 2026-03-01               # before that, and after active_until, nothing is expected of it
# active_until = 2026-12-31
# weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# open_on_holidays = true
# open_on = [2026-09-07]                 # exceptions go before everything else
# closed_on = [2026-12-24]
"""
