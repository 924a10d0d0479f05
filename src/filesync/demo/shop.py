"""The made-up shop: its sites, how they reach each other, and the clock of its two days. A story (story.py) happens in it.

Real stations, real files, no shortcuts: what happens here happens in a shop.

- caixa-01 pushes into the matriz' folders (direct link), as Parquet.
- caixa-02 is pulled by the matriz (direct link, passive till), as JSON lines; its sales come from the CSV of an old till program.
- posto-centro and the matriz meet at a relay, for neither can reach the other.
- The portal is pushed to by the matriz.

The telling goes through `tell`; nothing here prints.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from filesync import config
from filesync.contracts import Contract, Registry
from filesync.demo.legacy import to_legacy_csv
from filesync.errors import ConfigError
from filesync.exchange.reports import Progress, TurnReport
from filesync.exchange.station import Station
from filesync.language import _
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from filesync.day.values import Reason

SITES: Final = {
    "matriz": Role.MATRIZ,
    "caixa-01": Role.CAIXA,
    "caixa-02": Role.CAIXA,
    "posto-centro": Role.POSTO,
    "portal": Role.PORTAL,
}
#: Who sells, and how much in a day.
SALES: Final = {"caixa-01": 420, "caixa-02": 360, "posto-centro": 300}
#: Turns after which everything must be quiet; more means that something is stuck, and the demo says so instead of going round for ever.
ROUNDS_MAX: Final = 12
EVENING: Final = time(18, 30)
MORNING: Final = time(7, 0)
NOON: Final = time(13, 0)


@dataclass(frozen=True, slots=True)
class Scene:
    """Something happened. `kind` is `chapter`, `trouble`, `cured` or `plain`; `path` is where to look; `reasons` keep a gate closed."""

    kind: str
    text: str
    path: Path | None = None
    reasons: tuple[Reason, ...] = ()


Tell = Callable[[Scene], None]
Observe = Callable[[str, Progress], None]


@dataclass(slots=True)
class Shop:
    """The sites in `dir`, on `day`. `sold` is what each truly sold, from the till's own side."""

    dir: Path
    seed: int
    day: date
    tell: Tell
    observe: Observe
    sold: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _now: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.at(self.day, EVENING)

    # ------------------------------------------------------------------------------------------------ the clock

    def at(self, day: date, when: time) -> None:
        """It is that time of that day now, for every site; never later than it really is, for files bear real times."""
        self._now = min(datetime.combine(day, when).astimezone(), datetime.now().astimezone())

    def clock(self) -> datetime:
        """The time in the story."""
        return self._now

    @property
    def next_day(self) -> date:
        """The morning after."""
        return self.day + timedelta(days=1)

    # ------------------------------------------------------------------------------------------------ the sites

    def build(self) -> None:
        """Five sites, their keys pinned at each other, three kinds of link."""
        self.chapter(_("A matriz, two caixas, a posto and the online portal open"), self.dir)
        for site, role in SITES.items():
            Station.init(self.dir / site, site=site, role=role)
        self._peer("caixa-01", "matriz", link="../matriz")
        self._peer("matriz", "caixa-01")
        self._peer("caixa-02", "matriz")
        self._peer("matriz", "caixa-02", link="../caixa-02")
        (self.dir / "relay").mkdir()
        self._peer("posto-centro", "matriz", link="../relay", relay=True)
        self._peer("matriz", "posto-centro", link="../relay", relay=True)
        self._peer("matriz", "portal", link="../portal")
        self._peer("portal", "matriz")
        self.configure("caixa-01", _SOURCE_JSONL.format(format="parquet", documents=140))
        self.configure("caixa-02", _SOURCE_CSV)
        self.configure("posto-centro", _SOURCE_JSONL.format(format="parquet", documents=100))
        self.configure("matriz", _SOURCES_MATRIZ)
        (self.dir / "matriz" / "sites.toml").write_text(_ROSTER, encoding="utf-8")
        self.plain(
            _(
                "caixa-01 reaches the matriz' folder; the matriz reaches caixa-02's and the portal's; posto-centro and the matriz meet at a relay"
            )
        )

    def _peer(self, site: str, peer: str, link: str | None = None, *, relay: bool = False) -> None:
        self.configure(site, config.render_peer(peer, config.Peer(role=SITES[peer], link=link, relay=relay)))
        public = config.key_path(self.dir / peer).with_suffix(".pub").read_text(encoding="utf-8")
        pinned = config.pinned_path(self.dir / site, peer)
        pinned.parent.mkdir(parents=True, exist_ok=True)
        pinned.write_text(public, encoding="utf-8")

    def configure(self, site: str, text: str) -> None:
        """Write more into a site's filesync.toml."""
        with (self.dir / site / config.FILE_NAME).open("a", encoding="utf-8") as file:
            file.write(text)

    @contextmanager
    def station(self, site: str) -> Iterator[Station]:
        """A site at work."""
        with Station.open(
            self.dir / site, clock=self.clock, observe=lambda progress: self.observe(site, progress)
        ) as station:
            yield station

    def turn(self, site: str) -> TurnReport:
        """A site's turn."""
        with self.station(site) as station:
            return station.turn()

    def until_quiet(self, *sites: str) -> None:
        """Turns until nothing happens any more."""
        for _round in range(ROUNDS_MAX):
            reports = [self.turn(site) for site in sites]
            if all(report.quiet for report in reports):
                return

    # ------------------------------------------------------------------------------------------------ what tills leave

    def drop(self, site: str, dataset: str = "vendas") -> Path:
        """Where a till program, or the office's, leaves its files."""
        return self.dir / site / "drop" / dataset

    def leave(self, site: str, documents: list[dict[str, Any]], dataset: str = "vendas") -> None:
        """What the site's own program writes: one file a day, written anew when something comes to it."""
        folder = self.drop(site, dataset)
        folder.mkdir(parents=True, exist_ok=True)
        if (site, dataset) == ("caixa-02", "vendas"):
            (folder / f"{self.day:%Y%m%d}.csv").write_bytes(to_legacy_csv(documents))
        else:
            text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
            (folder / f"{self.day:%Y%m%d}.jsonl").write_bytes(text.encode())

    # ------------------------------------------------------------------------------------------------ the telling

    def chapter(self, text: str, path: Path | None = None) -> None:
        """A part of the story begins."""
        self.tell(Scene("chapter", text, path))

    def plain(self, text: str, path: Path | None = None) -> None:
        """Something happens."""
        self.tell(Scene("plain", text, path))

    def trouble(self, text: str, path: Path | None = None, reasons: tuple[Reason, ...] = ()) -> None:
        """Something goes wrong."""
        self.tell(Scene("trouble", text, path, reasons))

    def cured(self, text: str, path: Path | None = None) -> None:
        """Something is well again."""
        self.tell(Scene("cured", text, path))


def prepare(directory: Path) -> None:
    """An empty folder for the story; what an earlier demo left in it goes, and nothing else."""
    marker = directory / ".filesync-demo"
    if directory.exists() and any(directory.iterdir()):
        if not marker.exists():
            raise ConfigError(
                "not-empty", f"{directory} is not empty and not an earlier demo; name another folder"
            )
        for name in (*SITES, "relay", "relay-down", "held-up"):
            shutil.rmtree(directory / name, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    marker.write_text(
        "made by `filesync demo`; the next demo in this folder replaces its sites\n", encoding="utf-8"
    )


def vendas() -> Contract:
    """The contract of sales that comes with filesync."""
    contract = Registry.packaged().latest("vendas")
    if contract is None:
        raise ConfigError(
            "dataset-unknown",
            "vendas: expected the contract that comes with filesync, got none; install filesync again",
        )
    return contract


def money(centavos: int) -> str:
    """`R$ 1.234,56`."""
    whole, part = divmod(abs(centavos), 100)
    return f"{'-' if centavos < 0 else ''}R$ {whole:,}".replace(",", ".") + f",{part:02d}"


def total(sales: list[dict[str, Any]]) -> int:
    """What sales add up to, in centavos."""
    return sum(int(sale["total_centavos"]) for sale in sales)


# The story may be told on any day of the week.
_ROSTER = """\
[usual]
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
open_on_holidays = true
"""

_SOURCES_MATRIZ = "".join(
    f"""
[datasets.{dataset}]
to = "caixas"
format = "jsonl"

[datasets.{dataset}.source]
kind = "jsonl"
path = "drop/{dataset}/*.jsonl"
"""
    for dataset in ("produtos", "clientes", "funcionarios", "credenciais")
)

_SOURCE_JSONL = """
[datasets.vendas]
to = "matriz"
format = "{format}"
documents_max = {documents}

[datasets.vendas.source]
kind = "jsonl"
path = "drop/vendas/*.jsonl"
"""

_SOURCE_CSV = """
# An old till program's file: one line per item, `;`, decimal comma, dd/mm/aaaa, Latin-1.
[datasets.vendas]
to = "matriz"
format = "jsonl"
documents_max = 120

[datasets.vendas.source]
kind = "csv"
path = "drop/vendas/*.csv"
encoding = "latin-1"
delimiter = ";"
decimal = ","
thousands = "."
date = "dd/mm/aaaa"
datetime = "dd/mm/aaaa HH:MM:SS"
offset = "-03:00"
group_by = ["CAIXA", "SERIE", "CUPOM"]

[datasets.vendas.source.columns]
venda_id = { uuid_of = ["CAIXA", "SERIE", "CUPOM"] }
caixa = "CAIXA"
serie = "SERIE"
numero = "CUPOM"
data_movimento = "DATA"
registrada_em = "DATA_HORA"
operador = "OPERADOR"
cliente = "CLIENTE"
situacao = { column = "SITUACAO", match = [["^V$", "concluida"], ["^C$", "cancelada"], ["^D$", "devolucao"], ["^A$", "ajuste"]] }
total_itens_centavos = { sum_of = "itens.total_centavos" }
total_postagens_centavos = { value = 0 }
desconto_centavos = { column = "DESCONTO_CUPOM", scale = 100 }
total_centavos = { column = "TOTAL_CUPOM", scale = 100 }

[datasets.vendas.source.columns.itens]
numero = { line_number = true }
produto = "PRODUTO"
descricao = "DESCRICAO"
gtin = "GTIN"
quantidade_milesimos = { column = "QUANTIDADE", scale = 1000 }
valor_unitario_centavos = { column = "VALOR_UNITARIO", scale = 100 }
desconto_centavos = { column = "DESCONTO", scale = 100 }
total_centavos = { column = "TOTAL_ITEM", scale = 100 }

[datasets.vendas.source.columns.pagamentos]
"*" = "document"
numero = { value = 1 }
forma = { column = "FORMA", default = "90" }
valor_centavos = { column = "TOTAL_CUPOM", scale = 100 }
"""
