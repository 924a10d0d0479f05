"""The story that `filesync demo` tells: a movement day of a shop and the morning after it.

shop.py builds the sites, trouble.py sells and lets four things go wrong on the way, movement.py closes the day, opens the gates and
reconciles. Here are their order, and how it ended. The telling goes through `tell`; this module prints nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.demo import movement, shop, trouble
from filesync.demo.shop import SALES, Observe, Scene, Shop, Tell, total

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from filesync.demo.movement import Morning

__all__ = ["Outcome", "Row", "Scene", "run"]


@dataclass(frozen=True, slots=True)
class Row:
    """One site's day in the closing table. Money in centavos."""

    site: str
    batches: int
    documents: int
    applied: int
    total_site: int
    total_matriz: int
    total_portal: int

    @property
    def difference(self) -> int:
        """Zero, or the story ends badly."""
        return self.total_site - self.total_matriz


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended."""

    directory: Path
    day: date
    rows: tuple[Row, ...]
    left_in_quarantine: int
    open_deliveries: int
    planted: int
    found: int
    refused_first: bool
    portal: str

    @property
    def good(self) -> bool:
        """Every sale is at the matriz exactly once, every batch settled; the gate held, and exactly what was planted was found."""
        return (
            not self.open_deliveries
            and self.refused_first
            and self.planted == self.found
            and self.portal == "done"
            and all(
                row.difference == 0 and row.documents == row.applied and row.total_portal == row.total_matriz
                for row in self.rows
            )
        )


def run(directory: Path, *, seed: int, day: date, tell: Tell, observe: Observe) -> Outcome:
    """Build the sites in `directory` (which must be new or empty but for an earlier demo's own folders), and tell the story."""
    shop.prepare(directory)
    story = Shop(directory, seed, day, tell, observe)
    story.build()
    movement.cadastros_out(story)
    trouble.sell(story)
    trouble.travel(story)
    trouble.duplicate(story)
    trouble.cure(story)
    movement.close_day(story)
    return _outcome(story, movement.morning_after(story))


def _outcome(story: Shop, morning: Morning) -> Outcome:
    """Count what was sold at the sites and what the matriz and the portal hold, each from its own side."""
    rows, opened = [], 0
    at_matriz, at_portal = _held(story, "matriz"), _held(story, "portal")
    with story.station("matriz") as matriz:
        left = len(matriz.status().quarantine)
    for site in SALES:
        with story.station(site) as station:
            feeds = [feed for feed in station.status().feeds if feed.direction == "out"]
        opened += sum(feed.open for feed in feeds)
        batches = sum(feed.sealed for feed in feeds if feed.feed.startswith("vendas."))
        applied, sum_matriz = at_matriz[site]
        sold = story.sold[site]
        rows.append(Row(site, batches, len(sold), applied, total(sold), sum_matriz, at_portal[site][1]))
    return Outcome(
        story.dir, story.day, tuple(rows), left, opened, morning.planted, morning.found, morning.refused, morning.at_portal
    )  # fmt: skip


def _held(story: Shop, site: str) -> dict[str, tuple[int, int]]:
    """What a site holds of each seller's day: sales, and what they add up to."""
    found = {seller: [0, 0] for seller in SALES}
    contract = shop.vendas()
    with story.station(site) as station:
        for table in station.context.store.read_documents(contract, business_date=story.day):
            for document in contract.documents(table):
                counted = found[document["origem"]]
                counted[0] += 1
                counted[1] += document["total_centavos"]
    return {seller: (count, centavos) for seller, (count, centavos) in found.items()}
