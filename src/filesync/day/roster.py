"""Who is due on a day. Pure, but for the calendar of holidays, which is asked of its library; only this module knows it.

In this order: outside `active_from` to `active_until` a site is not due; `open_on` and `closed_on` go before everything else; on a holiday
only sites that are open on holidays are due; else the weekday decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from filesync.config.roster import WEEKDAYS, SiteEntry, load_roster
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from filesync.config.roster import Roster
    from filesync.exchange.context import Context

#: The dataset that closes a day; every other one that a site sends moves it.
CLOSING = "fechamento"
#: What a day's closes are about.
SALES = "vendas"


@dataclass(frozen=True, slots=True)
class DueSite:
    """A site on a day. `why` it is due or not: `weekday`, `holiday`, `inactive`, `exception`; `holiday` is its name."""

    site: str
    role: Role
    due: bool
    why: str
    turnos: int
    datasets: frozenset[str]
    holiday: str | None = None


@dataclass(frozen=True, slots=True)
class SiteRoster:
    """The roster of one matriz: every caixa and posto among its peers."""

    roster: Roster
    roles: Mapping[str, Role]

    @classmethod
    def of(cls, ctx: Context) -> SiteRoster:
        """As `sites.toml` has it now. ConfigError `roster-invalid`."""
        peers = ctx.settings.peers
        roles = {
            name: peer.role for name, peer in sorted(peers.items()) if peer.role in (Role.CAIXA, Role.POSTO)
        }
        return cls(load_roster(ctx.folders.root, peers), roles)

    def sites(self, day: date) -> list[DueSite]:
        """Every site that the roster knows, with whether it is due on `day`."""
        holiday = self.holiday(day)
        names = {**self.roles, **{site: Role.POSTO for site in self.roster.sites if site not in self.roles}}
        return [self._site(site, role, day, holiday) for site, role in names.items()]

    def holiday(self, day: date) -> str | None:
        """The holiday's name, or None."""
        rules = self.roster.holidays
        if day in rules.local:
            return "feriado local"
        return _holidays(day.year, rules.state).get(day) if rules.national else None

    def _site(self, site: str, role: Role, day: date, holiday: str | None) -> DueSite:
        usual, entry = self.roster.usual, self.roster.sites.get(site, _NOTHING)
        turnos = usual.turnos if entry.turnos is None else entry.turnos
        sends = usual.sends if entry.sends is None else entry.sends
        weekdays = usual.weekdays if entry.weekdays is None else entry.weekdays
        open_on_holidays = (
            usual.open_on_holidays if entry.open_on_holidays is None else entry.open_on_holidays
        )
        due, why = WEEKDAYS[day.weekday()] in weekdays, "weekday"
        if holiday is not None and not open_on_holidays:
            due, why = False, "holiday"
        if day in entry.open_on or day in entry.closed_on:
            due, why = day in entry.open_on, "exception"
        if (entry.active_from and day < entry.active_from) or (
            entry.active_until and day > entry.active_until
        ):
            due, why = False, "inactive"
        return DueSite(site, role, due, why, turnos, frozenset(sends) - {CLOSING}, holiday)


_NOTHING = SiteEntry()


@lru_cache(maxsize=64)
def _holidays(year: int, state: str | None) -> dict[date, str]:
    from holidays import country_holidays  # 30 ms, and only a matriz asks

    return dict(country_holidays("BR", subdiv=state, years=year, language="pt_BR"))
