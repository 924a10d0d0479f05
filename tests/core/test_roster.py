"""Who is due on a day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from filesync.config import Peer, load_roster
from filesync.day.roster import SiteRoster
from filesync.errors import ConfigError
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

PEERS = {
    "caixa-01": Peer(role=Role.CAIXA),
    "posto-centro": Peer(role=Role.POSTO),
    "portal": Peer(role=Role.PORTAL),
}
MONDAY, SUNDAY = date(2026, 3, 2), date(2026, 3, 1)
TIRADENTES = date(2026, 4, 21)


def roster(tmp_path: Path, text: str | None = None) -> SiteRoster:
    if text is not None:
        (tmp_path / "sites.toml").write_text(text, encoding="utf-8")
    roles = {name: peer.role for name, peer in PEERS.items() if peer.role is not Role.PORTAL}
    return SiteRoster(load_roster(tmp_path, PEERS), roles)


def due(of: SiteRoster, day: date) -> dict[str, bool]:
    return {site.site: site.due for site in of.sites(day)}


def why(of: SiteRoster, day: date, site: str = "posto-centro") -> str:
    return next(found.why for found in of.sites(day) if found.site == site)


def test_without_a_file_every_caixa_and_posto_is_due_from_monday_to_saturday(tmp_path: Path) -> None:
    usual = roster(tmp_path)
    assert due(usual, MONDAY) == {"caixa-01": True, "posto-centro": True}
    assert due(usual, date(2026, 3, 7)) == {"caixa-01": True, "posto-centro": True}
    assert due(usual, SUNDAY) == {"caixa-01": False, "posto-centro": False}
    assert due(usual, TIRADENTES) == {"caixa-01": False, "posto-centro": False}
    assert usual.holiday(TIRADENTES) == "Tiradentes"
    assert usual.sites(MONDAY)[0].datasets == {"vendas"}


@pytest.mark.parametrize(
    ("text", "day", "expected", "reason"),
    [
        ("active_from = 2026-03-03", MONDAY, False, "inactive"),
        ("active_from = 2026-03-02", MONDAY, True, "weekday"),
        ("active_until = 2026-03-01", MONDAY, False, "inactive"),
        ('weekdays = ["sun"]', SUNDAY, True, "weekday"),
        ('weekdays = ["sun"]', MONDAY, False, "weekday"),
        ("open_on_holidays = true", TIRADENTES, True, "weekday"),
        ("open_on = [2026-04-21]", TIRADENTES, True, "exception"),
        ("open_on = [2026-03-01]", SUNDAY, True, "exception"),
        ("closed_on = [2026-03-02]", MONDAY, False, "exception"),
        ("active_until = 2026-03-01\nopen_on = [2026-03-02]", MONDAY, False, "inactive"),
    ],
)
def test_a_site_that_differs(tmp_path: Path, text: str, day: date, expected: bool, reason: str) -> None:
    of = roster(tmp_path, f"[sites.posto-centro]\n{text}\n")
    assert due(of, day)["posto-centro"] is expected
    assert why(of, day) == reason
    assert due(of, MONDAY)["caixa-01"]


def test_holidays_of_the_state_and_the_town(tmp_path: Path) -> None:
    of = roster(tmp_path, '[holidays]\nstate = "SP"\nlocal = [2026-01-26]\n')
    assert of.holiday(date(2026, 7, 9)) == "Revolução Constitucionalista"
    assert not any(due(of, date(2026, 1, 26)).values())
    assert all(due(roster(tmp_path, "[holidays]\nnational = false\n"), TIRADENTES).values())


def test_shifts_and_what_is_sent(tmp_path: Path) -> None:
    of = roster(
        tmp_path, '[usual]\nturnos = 2\n[sites.caixa-01]\nsends = ["vendas", "estoque", "fechamento"]\n'
    )
    assert {site.site: (site.turnos, site.datasets) for site in of.sites(MONDAY)} == {
        "caixa-01": (2, frozenset({"vendas", "estoque"})),
        "posto-centro": (2, frozenset({"vendas"})),
    }


def test_a_site_that_was_closed_down_stays_in_the_roster(tmp_path: Path) -> None:
    of = roster(tmp_path, "[sites.posto-velho]\nactive_until = 2026-03-01\n")
    assert due(of, date(2026, 2, 28))["posto-velho"]
    assert not due(of, MONDAY)["posto-velho"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sites.posto-lua]\n", "is no caixa or posto"),
        ("[sites.portal]\n", "is no caixa or posto"),
        ('[usual]\nweekdays = ["segunda"]\n', "usual.weekdays"),
        ('[holidays]\nstate = "XX"\n', "expected one of AC"),
        ("[usual]\nturnos = 0\n", "turnos"),
        ("[sites.caixa-01]\nabierto = true\n", "abierto"),
        ("usual = ", "Invalid value"),
    ],
)
def test_a_roster_that_cannot_be_understood_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        roster(tmp_path, text)
    assert error.value.code == "roster-invalid"
