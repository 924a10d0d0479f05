"""Whole exchanges with stations in one process: a small network of sites in a temporary folder, and a clock that moves when told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from filesync import config
from filesync.contracts import Registry
from filesync.demo.sales import sales_of_day
from filesync.exchange.station import Station
from filesync.protocol.identity import Role, parse_heartbeat_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from filesync.exchange.reports import TurnReport

DAY = date(2026, 3, 2)


@dataclass
class FakeClock:
    """Starts on the evening of DAY; only `advance` moves it."""

    now: datetime = datetime(2026, 3, 2, 18, 30, tzinfo=timezone(timedelta(hours=-3)))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class Network:
    """Sites below one folder. `stations` stay open for a test; `reopen` stands for a restart."""

    root: Path
    contracts: Registry | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    stations: dict[str, Station] = field(default_factory=dict)

    def site(self, name: str, role: Role) -> Path:
        Station.init(self.root / name, site=name, role=role)
        return self.root / name

    def peer(
        self,
        site: str,
        peer: str,
        role: Role,
        link: str | None = None,
        *,
        relay: bool = False,
        pin: bool = True,
    ) -> None:
        """Make `peer` known at `site`."""
        self.configure(site, config.render_peer(peer, config.Peer(role=role, link=link, relay=relay)))
        if pin:
            public = config.key_path(self.root / peer).with_suffix(".pub").read_text(encoding="utf-8")
            path = config.pinned_path(self.root / site, peer)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(public, encoding="utf-8")

    def configure(self, site: str, text: str) -> None:
        with (self.root / site / config.FILE_NAME).open("a", encoding="utf-8") as file:
            file.write(text)

    def __getitem__(self, site: str) -> Station:
        if site not in self.stations:
            self.stations[site] = Station.open(self.root / site, contracts=self.contracts, clock=self.clock)
        return self.stations[site]

    def reopen(self, site: str) -> Station:
        if site in self.stations:
            self.stations.pop(site).close()
        return self[site]

    def turn(self, *sites: str) -> list[TurnReport]:
        return [self[site].turn() for site in sites]

    def until_quiet(self, *sites: str, rounds: int = 12) -> None:
        """Turn all sites until nothing happens; fails when it never gets quiet."""
        for _ in range(rounds):
            if all(self[site].turn().quiet for site in sites):
                return
        pytest.fail(f"still not quiet after {rounds} rounds")

    def close(self) -> None:
        for station in self.stations.values():
            station.close()
        self.stations.clear()

    def inbox(self, site: str, peer: str) -> list[Path]:
        return cargo_in(self.root / site / "inbox" / peer)

    def outbox(self, site: str, peer: str) -> list[Path]:
        return cargo_in(self.root / site / "outbox" / peer)

    def quarantine(self, site: str, peer: str) -> list[str]:
        return sorted(
            path.name for path in (self.root / site / "quarantine" / peer).glob("*") if path.is_file()
        )

    def codes(self, site: str) -> list[str]:
        return sorted(case.code for case in self[site].status().quarantine)

    def copy_of(self, target: Path) -> Network:
        """The same sites on another disk: as after a power cut, nothing is open."""
        shutil.copytree(self.root, target)
        return Network(target, self.contracts, FakeClock(self.clock.now))


def cargo_in(folder: Path) -> list[Path]:
    """What lies in a folder; heartbeats come and go without being anything to do."""
    return sorted(
        path for path in folder.glob("*") if path.is_file() and parse_heartbeat_name(path.name) is None
    )


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """An empty network."""
    made = Network(tmp_path / "net")
    yield made
    made.close()


@pytest.fixture
def pair(network: Network) -> Network:
    """A caixa that pushes straight into its matriz' folders."""
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    return network


def sales(site: str = "caixa-01", count: int = 12, day: date = DAY, **more: Any) -> list[dict[str, Any]]:
    """A small realistic day."""
    return sales_of_day(site, Role.CAIXA, day, count=count, **more)


def table(documents: list[dict[str, Any]], dataset: str = "vendas") -> pa.Table:
    """Documents as an Arrow table in the contract's schema."""
    contract = Registry.packaged().latest(dataset)
    assert contract is not None
    made, problems, _ = contract.from_documents(documents)
    assert not problems, problems
    return made


def rows(station: Station, dataset: str = "vendas") -> list[dict[str, Any]]:
    """Everything that the site's store holds of a dataset, in key order."""
    contract = Registry.packaged().latest(dataset)
    assert contract is not None
    found = [
        document
        for chunk in station.context.store.read_documents(contract)
        for document in contract.documents(chunk)
    ]
    return sorted(found, key=lambda document: [str(document[name]) for name in contract.key])
