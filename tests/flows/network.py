"""Whole exchanges with stations in one process: a small network of sites in a temporary folder, and a clock that moves when told.

Stores are embedded, or all on a server: a module whose stories are told on both says so by a fixture of its own,
`engine` with ENGINES as its params (test_spine.py). With `serve_the_matriz_alone` only the matriz' store is there (test_gate.py).
"""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from filesync import config
from filesync.contracts import Registry
from filesync.demo.sales import sales_of_day
from filesync.exchange.own_store import create_store
from filesync.exchange.station import Station
from filesync.protocol.identity import Role, new_epoch, parse_heartbeat_name
from filesync.stores.postgres import PostgresStore
from filesync.stores.values import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from postgres_server import Server

    from filesync.exchange.reports import TurnReport

DAY = date(2026, 3, 2)
ENGINES = ("sqlite", "postgresql")
#: In a site's folder, the password of the server that keeps its store.
SECRET = "keys/store_password"
_named_store = re.compile(r'(?m)^store = "([^"]*)"')


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
    server: Server | None = None
    made: set[str] = field(default_factory=set)
    matriz_alone: bool = False

    def serve_the_matriz_alone(self) -> None:
        """Of the sites that are made now only a matriz has its store on the server, as it would be: the rest would be time without a proof."""
        self.matriz_alone = True

    def site(self, name: str, role: Role) -> Path:
        if self.server is None or (self.matriz_alone and role is not Role.MATRIZ):
            Station.init(self.root / name, site=name, role=role)
            return self.root / name
        store = self._prepared(self.server, name, role)
        self.made.add(name)
        if not (self.root / name / SECRET).exists():
            config.write_private(self.root / name / SECRET, self.server.password.encode())
        Station.init(self.root / name, site=name, role=role, store=store, store_password_file=SECRET)
        return self.root / name

    def _prepared(self, server: Server, name: str, role: Role) -> str:
        """A database with the store that `init` would make, as after a making that was cut short. Another installation has its own."""
        if name in self.made:
            return server.named(server.new())

        def make(address: str) -> None:
            PostgresStore.create(address, Site(name, role, new_epoch(secrets.token_bytes(8)))).close()

        return server.named(server.copy_of(f"{name} {role.value}", make))

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
        made = Network(
            target,
            self.contracts,
            FakeClock(self.clock.now),
            server=self.server,
            matriz_alone=self.matriz_alone,
        )
        for folder in target.iterdir():
            if self.server is not None and made._served(folder.name):
                made._move(folder.name, self.server.new(f"template {self.database(folder.name)}"))
        return made

    # ------------------------------------------------------------------------------------------------ stores behind the sites' backs

    def database(self, site: str) -> str:
        """The name of the database on the server that has the site's store."""
        found = _named_store.search((self.root / site / config.FILE_NAME).read_text(encoding="utf-8"))
        assert found is not None
        return found[1].rpartition("/")[2]

    def _served(self, site: str) -> bool:
        settings = self.root / site / config.FILE_NAME
        return settings.is_file() and _named_store.search(settings.read_text(encoding="utf-8")) is not None

    def _move(self, site: str, database: str) -> None:
        assert self.server is not None
        path = self.root / site / config.FILE_NAME
        line = f'store = "{self.server.named(database)}"'
        path.write_text(_named_store.sub(line, path.read_text(encoding="utf-8")), encoding="utf-8")

    def back_up(self, site: str) -> str:
        """A copy of the site's store, which nobody has open; its name."""
        if self.server is not None and self._served(site):
            return self.server.new(f"template {self.database(site)}")
        backup = self.root / f"backup-{len(list(self.root.glob('backup-*')))}.db"
        shutil.copy(self.root / site / "filesync.db", backup)
        return backup.name

    def restore(self, site: str, backup: str) -> None:
        """The copy in place of the site's store, which nobody has open."""
        self._remove(site)
        if self.server is not None and self._served(site):
            self._move(site, self.server.new(f"template {backup}"))
        else:
            shutil.copy(self.root / backup, self.root / site / "filesync.db")

    def begin_anew(self, site: str, made: Site) -> None:
        """A store of a new installation in place of the site's, which nobody has open."""
        self._remove(site)
        if self.server is not None and self._served(site):
            self._move(site, self.server.new())
        create_store(config.load(self.root / site).database, made)

    def _remove(self, site: str) -> None:
        for path in (self.root / site).glob("filesync.db*"):
            path.unlink()

    def leave(self) -> None:
        """Close everything; databases of sites that are still there go."""
        self.close()
        if self.server is not None:
            for path in self.root.glob(f"*/{config.FILE_NAME}"):
                if self._served(path.parent.name):
                    self.server.drop(self.database(path.parent.name))


def cargo_in(folder: Path) -> list[Path]:
    """What lies in a folder; heartbeats come and go without being anything to do."""
    return sorted(
        path for path in folder.glob("*") if path.is_file() and parse_heartbeat_name(path.name) is None
    )


@pytest.fixture
def engine() -> str:
    """Where stores are."""
    return ENGINES[0]


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> Iterator[Network]:
    """An empty network."""
    made = Network(
        tmp_path / "net", server=request.getfixturevalue("postgresql") if engine == "postgresql" else None
    )
    yield made
    made.leave()


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
