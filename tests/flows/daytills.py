"""The tills' own programs, as a model: what was sold, how each leaves it for filesync, and what a shop does to a sale afterwards.

Nothing here knows filesync. Each till has a style: a file for each change, a file for each day that is written anew, or one file with everything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from network import DAY

from filesync.demo.sales import cancelled, sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path

Sale = dict[str, Any]
Key = tuple[str, str]  # site, venda_id
DAYS = (DAY, DAY + timedelta(days=1))
TILLS = {"caixa-01": Role.CAIXA, "caixa-02": Role.CAIXA, "posto-centro": Role.POSTO}
SHIFTS = {"caixa-02": 2}


def text(sale: Sale) -> str:
    """A sale, to be compared."""
    return json.dumps(sale, sort_keys=True, ensure_ascii=False)


@cache
def _pool(site: str) -> tuple[str, ...]:
    """Sales of a site that nobody has sold yet, as JSON: small ones, with their own tickets and tracking codes."""
    made = sales_of_day(site, TILLS[site], DAY, count=160)
    standing = [sale for sale in made if sale["situacao"] == "concluida"]
    small = sorted(standing, key=lambda s: len(s.get("itens", ())) + len(s.get("postagens", ())))[:100]
    some = [sale for at, sale in enumerate(sorted(small, key=lambda s: str(s["venda_id"]))) if at % 2]
    return tuple(json.dumps({**sale, "numero": number}) for number, sale in enumerate(some, 1))


@dataclass
class Till:
    """A shop's own program. `style`: how it leaves its sales; `versions`: whether it counts changes."""

    site: str
    root: Path
    style: str
    versions: bool
    sales: dict[str, Sale] = field(default_factory=dict)
    sold: int = 0
    files: int = 0
    wrong: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        (self.root / "drop" / "vendas").mkdir(parents=True, exist_ok=True)

    def sell(self, day: date, count: int) -> list[Sale]:
        pool = _pool(self.site)
        texts = [pool[number % len(pool)] for number in range(self.sold, self.sold + count)]
        new: list[Sale] = [json.loads(text) for text in texts]
        for at, sale in enumerate(new, self.sold):
            again = at // len(pool)  # ids are never given twice, however long it goes on
            sale |= {"data_movimento": day.isoformat(), "numero": at + 1}
            sale["venda_id"] = f"{again:08x}{sale['venda_id'][8:]}" if again else sale["venda_id"]
        self.sold += count
        self.keep(new)
        return new

    def cancel(self, sale: Sale) -> None:
        self.keep([self._counted(cancelled(sale), sale)])

    def move(self, sale: Sale, day: date) -> None:
        self.keep([self._counted({**sale, "data_movimento": day.isoformat()}, sale)])

    def reprice(self, sale: Sale) -> None:
        """Somebody else sold it: a change that is no money."""
        self.keep([self._counted({**sale, "operador": f"op-{len(sale.get('operador', ''))}"}, sale)])

    def spoil(self, sale: Sale) -> None:
        """A program's mistake: the sale does not add up any more."""
        self.wrong.add(sale["venda_id"])
        self.keep([{**sale, "total_centavos": sale["total_centavos"] + 1}])

    def repair(self, sale: Sale) -> None:
        self.wrong.discard(sale["venda_id"])
        self.keep([{**sale, "total_centavos": sale["total_centavos"] - 1}])

    def of_day(self, day: date) -> dict[str, Sale]:
        """The sales of a day that can be sealed."""
        return {
            key: sale
            for key, sale in self.sales.items()
            if sale["data_movimento"] == day.isoformat() and key not in self.wrong
        }

    def keep(self, changed: list[Sale]) -> None:
        """As the program writes: each change into a file of its own, a file for each day, or one for everything."""
        folder = self.root / "drop" / "vendas"
        before = dict(self.sales)
        self.sales |= {sale["venda_id"]: sale for sale in changed}
        if self.style == "changes":
            self.files += 1
            _write(folder / f"{self.files:05d}.jsonl", changed)
        elif self.style == "days":
            touched = {s["data_movimento"] for s in changed} | {
                before[s["venda_id"]]["data_movimento"] for s in changed if s["venda_id"] in before
            }
            for day in sorted(touched):
                _write(
                    folder / f"{day}.jsonl", [s for s in self.sales.values() if s["data_movimento"] == day]
                )
        else:
            _write(folder / "vendas.jsonl", list(self.sales.values()))

    def _counted(self, sale: Sale, before: Sale) -> Sale:
        if self.versions:
            return {**sale, "versao": before.get("versao", 0) + 1}
        return {name: value for name, value in sale.items() if name != "versao"}


def _write(path: Path, sales: list[Sale]) -> None:
    if not sales:
        path.unlink(missing_ok=True)
        return
    text = "".join(json.dumps(sale, ensure_ascii=False) + "\n" for sale in sales)
    path.write_text(text, encoding="utf-8")
