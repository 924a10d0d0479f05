"""Whole exchanges over a real SSH server, and through a network that fails: everything arrives whole, and once."""

from __future__ import annotations

import getpass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from network import DAY, Network, rows, sales, table
from proxy import Ending, Fault, Proxy, first, flapping

from filesync import config
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sshd import Sshd

#: Turns after which a week must have arrived over a line that breaks every few dozen kilobytes.
ROUNDS_MAX = 400


def _over_sftp(
    net: Network, site: str, peer: str, role: Role, sshd: Sshd, port: int, root: Path, *, relay: bool = False
) -> None:
    """`peer` is reached by `site` through the server, at `root` there."""
    section = config.render_peer(
        peer,
        config.Peer(
            role=role,
            link=f"sftp://{getpass.getuser()}@127.0.0.1:{port}{root.as_posix()}",
            relay=relay,
            identity=str(sshd.identity),
            known_hosts=str(sshd.known_hosts),
        ),
    )
    net.configure(site, section)
    public = config.key_path(net.root / peer).with_suffix(".pub").read_text(encoding="utf-8")
    pinned = config.pinned_path(net.root / site, peer)
    pinned.parent.mkdir(parents=True, exist_ok=True)
    pinned.write_text(public, encoding="utf-8")


def test_a_day_travels_over_sftp_into_the_matriz_folders(network: Network, sshd: Sshd) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    _over_sftp(network, "caixa-01", "matriz", Role.MATRIZ, sshd, sshd.port, network.root / "matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    sold = sales()
    sealed = network["caixa-01"].seal("vendas", table(sold)).sealed
    first_turn, _, last = network.turn("caixa-01", "matriz", "caixa-01")
    assert first_turn.exchange.unreachable == {}
    assert last.imported.settled == [batch.name for batch in sealed]
    assert rows(network["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    assert network["caixa-01"].status().outbox == ()


def test_posto_and_matriz_meet_at_an_sftp_server(network: Network, sshd: Sshd, tmp_path: Path) -> None:
    relay = tmp_path / "relay"
    relay.mkdir()
    network.site("matriz", Role.MATRIZ)
    network.site("posto-centro", Role.POSTO)
    _over_sftp(network, "posto-centro", "matriz", Role.MATRIZ, sshd, sshd.port, relay, relay=True)
    _over_sftp(network, "matriz", "posto-centro", Role.POSTO, sshd, sshd.port, relay, relay=True)
    sealed = network["posto-centro"].seal("vendas", table(sales("posto-centro"))).sealed
    network.turn("posto-centro", "matriz")
    last = network.turn("posto-centro")[0]
    assert last.imported.settled == [batch.name for batch in sealed]
    left = {path.name for path in relay.rglob("*") if path.is_file()}
    assert left == {"heartbeat.posto-centro.json"}, "how the posto is now, for the matriz' next visit"


def test_a_void_and_a_question_travel_over_sftp(network: Network, sshd: Sshd, tmp_path: Path) -> None:
    """The server loses one batch, and will never let another one through."""
    relay = tmp_path / "relay"
    relay.mkdir()
    network.site("matriz", Role.MATRIZ)
    network.site("posto-centro", Role.POSTO)
    _over_sftp(network, "posto-centro", "matriz", Role.MATRIZ, sshd, sshd.port, relay, relay=True)
    _over_sftp(network, "matriz", "posto-centro", Role.POSTO, sshd, sshd.port, relay, relay=True)
    posto, sold = network["posto-centro"], sales("posto-centro", count=9)
    names = [posto.seal("vendas", table(sold[n : n + 3])).sealed[0].name for n in (0, 3, 6)]
    network.turn("posto-centro")
    for path in [*relay.rglob(f"{names[0]}.*"), *relay.rglob(f"{names[1]}.*")]:
        path.unlink()
    posto.void("vendas.posto-centro.matriz", [2], reason="o servidor apaga este arquivo", by="Bia")
    network.turn("posto-centro", "matriz")
    network.clock.advance(minutes=11)
    network.turn("matriz")
    (report,) = network.turn("posto-centro")
    assert [held.name for held in report.imported.sent_again] == [names[0]]
    network.until_quiet("matriz", "posto-centro")
    assert rows(network["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    assert [void.name for void in network["matriz"].context.store.holes.voids()] == [names[1]]
    assert not list(relay.rglob("*.void.json"))


def test_an_unconfirmed_server_is_not_spoken_to(network: Network, sshd: Sshd, tmp_path: Path) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    _over_sftp(network, "caixa-01", "matriz", Role.MATRIZ, sshd, sshd.port, network.root / "matriz")
    toml = network.root / "caixa-01" / config.FILE_NAME
    toml.write_text(
        toml.read_text(encoding="utf-8").replace(str(sshd.known_hosts), str(tmp_path / "nobody")),
        encoding="utf-8",
    )
    network["caixa-01"].seal("vendas", table(sales()))
    report = network.turn("caixa-01")[0]
    assert sshd.fingerprint in report.exchange.unreachable["matriz"]
    assert len(network["caixa-01"].status().outbox) == 1, "nothing is lost, nothing left the house"


FAULTS: dict[str, Callable[[int], Fault]] = {
    "cut in the greeting": first(Fault(Ending.CUT, 300), Fault(Ending.RESET, 1200)),
    "cut in a payload": first(*(Fault(Ending.CUT, after) for after in (9_000, 14_000, 20_000, 26_000))),
    "reset again and again": first(*(Fault(Ending.RESET, 6_000 + 900 * number) for number in range(25))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_line_costs_turns_and_nothing_else(network: Network, sshd: Sshd, name: str) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    with Proxy(sshd.port, FAULTS[name]) as proxy:
        sshd.trust(proxy.port)
        _over_sftp(network, "caixa-01", "matriz", Role.MATRIZ, sshd, proxy.port, network.root / "matriz")
        network.peer("matriz", "caixa-01", Role.CAIXA)
        sold = sales(count=60)
        network["caixa-01"].seal("vendas", table(sold))
        for _ in range(ROUNDS_MAX):
            network.turn("caixa-01", "matriz")
            if not network["caixa-01"].status().outbox:
                break
        assert network["caixa-01"].status().outbox == ()
    assert rows(network["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))
    assert network.codes("matriz") == []


def _backlog(network: Network, sshd: Sshd, sites: int, days: int, count: int) -> None:
    """`sites` postos with `days` of sales each send them over a line that breaks all the time; every row is compared."""
    network.site("matriz", Role.MATRIZ)
    names = [f"posto-{number:02}" for number in range(1, sites + 1)]
    sold = {}
    with Proxy(sshd.port, flapping(7, 5_000, 40_000, sound=0.05)) as proxy:
        sshd.trust(proxy.port)
        for name in names:
            network.site(name, Role.POSTO)
            _over_sftp(network, name, "matriz", Role.MATRIZ, sshd, proxy.port, network.root / "matriz")
            network.peer("matriz", name, Role.POSTO)
            week = [
                sale
                for day in range(days)
                for sale in sales(name, count=count, day=DAY + timedelta(days=day))
            ]
            sold[name] = week
            network[name].seal("vendas", table(week))
        failures = 0
        for _ in range(ROUNDS_MAX):
            waiting = [name for name in names if network[name].status().outbox]
            if not waiting:
                break
            failures += sum(bool(report.exchange.unreachable) for report in network.turn(*waiting))
            network.turn("matriz")
        assert [name for name in names if network[name].status().outbox] == []
        assert failures > sites, "the line must have failed, or this proves nothing"
    expected = sorted(
        (sale for week in sold.values() for sale in week),
        key=lambda sale: (sale["origem"], str(sale["venda_id"])),
    )
    assert rows(network["matriz"]) == expected
    assert network.codes("matriz") == []


def test_three_sites_arrive_whole_over_a_line_that_keeps_breaking(network: Network, sshd: Sshd) -> None:
    _backlog(network, sshd, sites=3, days=3, count=25)


@pytest.mark.slow
def test_twenty_sites_with_a_week_arrive_whole_over_a_line_that_keeps_breaking(
    network: Network, sshd: Sshd
) -> None:
    _backlog(network, sshd, sites=20, days=7, count=60)
