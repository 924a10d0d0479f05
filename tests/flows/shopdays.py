"""A shop whose days are closed: a caixa, a posto, the matriz and the portal, in one process, with the commands' own functions.

A story reads: `sell`, `close`, `turn`, ask. Sales go through the site's dropped files, as an old till program would leave them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from network import DAY, FakeClock, Network

from filesync.day import portal, routine
from filesync.day.closing import CloseOrder, CloseReport, close
from filesync.demo.cadastros import clientes
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from filesync.day.values import Reason
    from filesync.exchange.station import Station

MORNING_AFTER = DAY + timedelta(days=1)

_SOURCE = """
[datasets.{dataset}.source]
kind = "jsonl"
path = "drop/{dataset}/*.jsonl"
"""


@dataclass
class Shop:
    """The network with words for a day."""

    network: Network

    @property
    def clock(self) -> FakeClock:
        return self.network.clock

    def __getitem__(self, site: str) -> Station:
        return self.network[site]

    # ------------------------------------------------------------------------------------------------ at the counter

    def drop(self, site: str, documents: list[dict[str, Any]], name: str, dataset: str = "vendas") -> None:
        """Leave documents where the site looks for them, after those that lie there."""
        folder = self.network.root / site / "drop" / dataset
        folder.mkdir(parents=True, exist_ok=True)
        number = sum(1 for _ in folder.iterdir())
        text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
        (folder / f"{number:03d}-{name}.jsonl").write_text(text, encoding="utf-8")

    def sell(self, site: str, day: date = DAY, count: int = 12, **more: Any) -> list[dict[str, Any]]:
        """A day's sales, exported."""
        sales = sales_of_day(site, self[site].context.settings.role, day, count=count, **more)
        self.send(site, sales, f"{day}")
        return sales

    def send(self, site: str, documents: list[dict[str, Any]], name: str) -> None:
        """Documents that the till program leaves now, exported."""
        self.drop(site, documents, name)
        self[site].export("vendas")

    def close(self, site: str, day: date = DAY, **more: Any) -> CloseReport:
        """Count the drawer and close the day."""
        order = CloseOrder(day=day, **({"contado_centavos": 0} | more))
        return close(self[site], order)

    # ------------------------------------------------------------------------------------------------ the road

    def turn(self, *sites: str) -> None:
        """Every site works, so often that what was sent is applied and answered."""
        self.network.until_quiet(*(sites or self.sites))

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(path.parent.name for path in sorted(self.network.root.glob("*/filesync.toml")))

    # ------------------------------------------------------------------------------------------------ the matriz' routine

    def decide(self, step: str, day: date = DAY) -> tuple[Reason, ...] | None:
        """The reasons why a step is closed; None where it is open."""
        decision = routine.decide(self["matriz"].context, step, day)
        return getattr(decision, "reasons", None)

    def codes(self, step: str, day: date = DAY) -> set[tuple[str | None, str]]:
        """(site, code) of every reason."""
        return {(reason.site, reason.code.value) for reason in self.decide(step, day) or ()}

    def sara(self, day: date = DAY) -> None:
        """Somebody exported the day to SARA, and says so."""
        routine.mark_done(self["matriz"].context, "exportar_sara", day, by="Márcia")

    def export_portal(self, day: date = DAY, **more: Any) -> portal.PortalReport:
        """The button, once."""
        return portal.export_portal(self["matriz"], day, **more)


def open_shop(network: Network, *, caixas: tuple[str, ...] = ("caixa-01",)) -> Shop:
    """Caixas that push into the matriz' folders, a posto that comes over a relay, and the portal, into whose folders the matriz pushes."""
    roles = dict.fromkeys(caixas, Role.CAIXA) | {"posto-centro": Role.POSTO, "portal": Role.PORTAL}
    network.site("matriz", Role.MATRIZ)
    for name, role in roles.items():
        network.site(name, role)
        relay: dict[str, Any] = {"link": "../relay", "relay": True}
        there: dict[str, Any] = {"link": "../matriz"} if role is Role.CAIXA else {}
        back: dict[str, Any] = {"link": "../portal"} if role is Role.PORTAL else {}
        network.peer(name, "matriz", Role.MATRIZ, **(relay if role is Role.POSTO else there))
        network.peer("matriz", name, role, **(relay if role is Role.POSTO else back))
        if role is not Role.PORTAL:
            network.configure(name, _SOURCE.format(dataset="vendas"))
    (network.root / "relay").mkdir(parents=True, exist_ok=True)
    network.configure("matriz", _SOURCE.format(dataset="clientes"))
    shop = Shop(network)
    shop.drop("matriz", clientes(), "clientes", dataset="clientes")
    return shop
