"""The story that `filesync demo` tells: a day of two caixas and a posto reaches the matriz, through four kinds of trouble.

Real stations, real files, no shortcuts: what happens here happens in a shop. The telling goes through `tell`; this module prints nothing.

- caixa-01 pushes into the matriz' folders (direct link), as Parquet. One of its payloads is damaged on the way.
- caixa-02 is pulled by the matriz (direct link, passive till), as JSON lines; its sales come from the CSV of an old till program, and its
  filesync still has an older contract, so that wrong sales get out of the house. One of its batches arrives twice.
- posto-centro and the matriz meet at a relay, for neither can reach the other. Its first batch is held up and arrives last.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filesync import config
from filesync.contracts import Contract, Registry
from filesync.demo.legacy import to_legacy_csv
from filesync.demo.sales import sales_of_day
from filesync.errors import ConfigError
from filesync.exchange.reports import Progress, TurnReport
from filesync.exchange.station import Station
from filesync.protocol.identity import FileKind, Role, parse_file_name

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

SITES = {"matriz": Role.MATRIZ, "caixa-01": Role.CAIXA, "caixa-02": Role.CAIXA, "posto-centro": Role.POSTO}
SALES = {"caixa-01": 420, "caixa-02": 360, "posto-centro": 300}
BAD_SALES = 3
#: Turns after which everything must be quiet; more means that something is stuck, and the demo says so instead of going round for ever.
ROUNDS_MAX = 12


@dataclass(frozen=True, slots=True)
class Scene:
    """Something happened. `kind` is `chapter`, `trouble`, `cured` or `plain`; `path` is where to look."""

    kind: str
    text: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One site's day in the closing table. Money in centavos."""

    site: str
    batches: int
    documents: int
    applied: int
    total_site: int
    total_matriz: int

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

    @property
    def good(self) -> bool:
        """Every sale is at the matriz exactly once, and every batch is settled."""
        return not self.open_deliveries and all(
            row.difference == 0 and row.documents == row.applied for row in self.rows
        )


Tell = Callable[[Scene], None]
Observe = Callable[[str, Progress], None]


def run(directory: Path, *, seed: int, day: date, tell: Tell, observe: Observe) -> Outcome:
    """Build the sites in `directory` (which must be new or empty but for an earlier demo's own folders), and tell the story."""
    _prepare(directory)
    story = _Story(directory, seed, day, tell, observe)
    story.build()
    story.sell()
    story.first_exchange()
    story.duplicate()
    story.cure()
    return story.outcome()


def _prepare(directory: Path) -> None:
    marker = directory / ".filesync-demo"
    if directory.exists() and any(directory.iterdir()):
        if not marker.exists():
            raise ConfigError(
                "not-empty", f"{directory} is not empty and not an earlier demo; name another folder"
            )
        for name in (*SITES, "relay", "held-up"):
            shutil.rmtree(directory / name, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    marker.write_text(
        "made by `filesync demo`; the next demo in this folder replaces its sites\n", encoding="utf-8"
    )


class _Story:
    def __init__(self, directory: Path, seed: int, day: date, tell: Tell, observe: Observe) -> None:
        self.dir = directory
        self.seed = seed
        self.day = day
        self.tell = tell
        self.observe = observe
        self.sold: dict[str, list[dict[str, Any]]] = {}

    # ------------------------------------------------------------------------------------------------ the sites

    def build(self) -> None:
        """Four sites, their keys pinned at each other, three kinds of link."""
        self.tell(Scene("chapter", "A matriz, two caixas and a posto open", self.dir))
        for site, role in SITES.items():
            Station.init(self.dir / site, site=site, role=role)
        self._peer("caixa-01", "matriz", link="../matriz")
        self._peer("matriz", "caixa-01")
        self._peer("caixa-02", "matriz")
        self._peer("matriz", "caixa-02", link="../caixa-02")
        (self.dir / "relay").mkdir()
        self._peer("posto-centro", "matriz", link="../relay", relay=True)
        self._peer("matriz", "posto-centro", link="../relay", relay=True)
        self._append("caixa-01", _SOURCE_JSONL.format(format="parquet", documents=140))
        self._append("caixa-02", _SOURCE_CSV)
        self._append("posto-centro", _SOURCE_JSONL.format(format="parquet", documents=100))
        self.tell(
            Scene(
                "plain",
                "caixa-01 reaches the matriz' folder; the matriz reaches caixa-02's; posto-centro and the matriz meet at a relay",
            )
        )

    def _peer(self, site: str, peer: str, link: str | None = None, *, relay: bool = False) -> None:
        self._append(site, config.render_peer(peer, config.Peer(role=SITES[peer], link=link, relay=relay)))
        public = config.key_path(self.dir / peer).with_suffix(".pub").read_text(encoding="utf-8")
        pinned = config.pinned_path(self.dir / site, peer)
        pinned.parent.mkdir(parents=True, exist_ok=True)
        pinned.write_text(public, encoding="utf-8")

    def _append(self, site: str, text: str) -> None:
        with (self.dir / site / config.FILE_NAME).open("a", encoding="utf-8") as file:
            file.write(text)

    # ------------------------------------------------------------------------------------------------ the day

    def sell(self) -> None:
        """Each site sells; the sales lie where its till program leaves them."""
        self.tell(Scene("chapter", f"{self.day:%d/%m/%Y}: each sells a day"))
        for site, count in SALES.items():
            self.sold[site] = sales_of_day(site, SITES[site], self.day, seed=self.seed, count=count)
            self.tell(
                Scene("plain", f"{site}: {count} sales, {_money(_total(self.sold[site]))}", self._drop(site))
            )
        wrong = [dict(sale) for sale in self.sold["caixa-02"]]
        spoiled = [
            place for place, sale in enumerate(wrong) if sale["situacao"] == "concluida" and sale.get("itens")
        ][5 : 5 + BAD_SALES]
        for place in spoiled:
            wrong[place] = {**wrong[place], "total_centavos": wrong[place]["total_centavos"] + 1000}
        self._leave("caixa-01", self.sold["caixa-01"])
        self._leave("caixa-02", wrong)
        self._leave("posto-centro", self.sold["posto-centro"])
        _older_contract(self.dir / "caixa-02" / "schemas")

    def _drop(self, site: str) -> Path:
        return self.dir / site / "drop" / "vendas"

    def _leave(self, site: str, documents: list[dict[str, Any]]) -> None:
        folder = self._drop(site)
        folder.mkdir(parents=True, exist_ok=True)
        if site == "caixa-02":
            (folder / f"{self.day:%Y%m%d}.csv").write_bytes(to_legacy_csv(documents))
        else:
            text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
            (folder / f"{self.day:%Y%m%d}.jsonl").write_bytes(text.encode())

    # ------------------------------------------------------------------------------------------------ trouble

    def first_exchange(self) -> None:
        """The days travel, and three things go wrong on the way."""
        self.tell(Scene("chapter", "The days travel, and things go wrong on the way"))
        for site in SALES:
            report = self._turn(site)
            batches = [batch for export in report.exported for batch in export.sealed]
            self.tell(
                Scene(
                    "plain",
                    f"{site} sealed {len(batches)} batches, {sum(b.payload_bytes for b in batches) / 1024:.0f} KiB",
                )
            )
        damaged = self._damage()
        self.tell(Scene("trouble", f"damaged: one byte of {damaged.name} changes on the way", damaged))
        self._hold_up()
        self.tell(
            Scene(
                "trouble",
                "out of order: the posto's first batch is held up, its later ones arrive",
                self.dir / "held-up",
            )
        )
        report = self._turn("matriz")
        for held in report.imported.set_aside:
            self.tell(
                Scene(
                    "plain",
                    f"the matriz sets aside {held.name} ({held.code}): {held.message}",
                    self.dir / "matriz" / "quarantine" / held.peer,
                )
            )
        for held in report.imported.waiting:
            self.tell(Scene("plain", f"the matriz waits with {held.name} ({held.code})"))

    def _damage(self) -> Path:
        inbox = self.dir / "matriz" / "inbox" / "caixa-01"
        path = sorted(inbox.glob("vendas.*.parquet"))[1]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x01
        path.write_bytes(data)
        return path

    def _hold_up(self) -> None:
        held = self.dir / "held-up"
        held.mkdir()
        for path in sorted((self.dir / "relay" / "matriz" / "inbox" / "posto-centro").iterdir()):
            parsed = parse_file_name(path.name)
            if parsed is not None and parsed.batch.id.seq == 1:
                path.rename(held / path.name)

    def duplicate(self) -> None:
        """A batch that was applied arrives once more."""
        archive = self.dir / "matriz" / "archive" / f"{self.day:%Y/%m/%d}"
        first = next(path for path in sorted(archive.glob("vendas.caixa-02.*.manifest.json")))
        for path in archive.glob(first.name.removesuffix(".manifest.json") + ".*"):
            parsed = parse_file_name(path.name)
            if parsed is not None and parsed.kind is not FileKind.RECEIPT:
                shutil.copy(path, self.dir / "matriz" / "inbox" / "caixa-02" / path.name)
        self.tell(
            Scene("trouble", f"twice: {first.name.removesuffix('.manifest.json')} arrives a second time")
        )
        report = self._turn("matriz")
        for name in report.imported.replayed:
            self.tell(
                Scene(
                    "cured",
                    f"the matriz knows {name} and answers with the same receipt; nothing is counted twice",
                )
            )

    # ------------------------------------------------------------------------------------------------ cures

    def cure(self) -> None:
        """What each trouble needs: another turn, the late files, or a correction at the till."""
        self.tell(Scene("chapter", "Everything finds its way"))
        for path in sorted((self.dir / "held-up").iterdir()):
            path.rename(self.dir / "relay" / "matriz" / "inbox" / "posto-centro" / path.name)
        (self.dir / "held-up").rmdir()
        self.tell(Scene("cured", "the posto's first batch arrives; the ones that waited for it follow"))
        self.tell(
            Scene("cured", "caixa-01 has no receipt for its damaged batch, and ships the same file again")
        )
        self._leave("caixa-02", self.sold["caixa-02"])
        self.tell(
            Scene(
                "cured",
                f"caixa-02 corrects its {BAD_SALES} wrong sales; only these are sealed again",
                self._drop("caixa-02"),
            )
        )
        for _ in range(ROUNDS_MAX):
            reports = [self._turn(site) for site in ("caixa-01", "caixa-02", "posto-centro", "matriz")]
            if all(report.quiet for report in reports):
                return

    def _turn(self, site: str) -> TurnReport:
        with self._station(site) as station:
            return station.turn()

    @contextmanager
    def _station(self, site: str) -> Iterator[Station]:
        with Station.open(self.dir / site, observe=lambda progress: self.observe(site, progress)) as station:
            yield station

    # ------------------------------------------------------------------------------------------------ the table

    def outcome(self) -> Outcome:
        """Count what was sold at the sites and what the matriz holds, each from its own side."""
        rows, opened = [], 0
        with self._station("matriz") as matriz:
            contract = _vendas()
            at_matriz: dict[str, list[int]] = {site: [0, 0] for site in SALES}
            for table in matriz.context.store.read_documents(contract, business_date=self.day):
                for document in contract.documents(table):
                    counted = at_matriz[document["origem"]]
                    counted[0] += 1
                    counted[1] += document["total_centavos"]
            left = len(matriz.status().quarantine)
        for site, sold in self.sold.items():
            with self._station(site) as station:
                status = station.status()
                feed = next(feed for feed in status.feeds if feed.direction == "out")
                opened += feed.open
            applied, total = at_matriz[site]
            rows.append(Row(site, feed.sealed, len(sold), applied, _total(sold), total))
        return Outcome(self.dir, self.day, tuple(rows), left, opened)


def _total(sales: list[dict[str, Any]]) -> int:
    return sum(int(sale["total_centavos"]) for sale in sales)


def _money(centavos: int) -> str:
    return f"R$ {centavos // 100:,}".replace(",", ".") + f",{centavos % 100:02d}"


def _vendas() -> Contract:
    contract = Registry.packaged().latest("vendas")
    if contract is None:
        raise ConfigError(
            "dataset-unknown",
            "vendas: expected the contract that comes with filesync, got none; install filesync again",
        )
    return contract


def _older_contract(folder: Path) -> None:
    """What caixa-02's filesync was delivered with: `vendas` without its row rules."""
    contract = _vendas()
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"]["rules"] = []
    folder.mkdir()
    (folder / "vendas.v1.json").write_text(json.dumps(schema, indent=2, ensure_ascii=False), encoding="utf-8")


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
