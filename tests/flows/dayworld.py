"""A small network in which anything may happen: what people and lines do as functions, and beside it a plain model of what each till knows.

The model reads what a site seals out of its outbox, the moment it is sealed, and knows nothing else of filesync: which sales there are, how
often each was changed, which batch held which of them, what lay sealed when a day was closed, and which receipts came. What must hold
of it: daychecks.py; what may happen: test_day_machine.py; the tills' own programs: daytills.py.

- Epochs are counted, so that a run is the same again. Folders lie in memory where there is such a place: nothing here is about power cuts.
- Roads are links to folders; a road that is down is a link that is gone.
"""

from __future__ import annotations

import atexit
import json
import shlex
import shutil
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from daytills import DAYS, SHIFTS, TILLS, Key, Sale, Till, text
from network import FakeClock, Network, rows
from shopdays import open_shop

from filesync.day import filing, portal, routine
from filesync.day import runners as runners  # noqa: PLC0414 -- every step runs by itself
from filesync.day.closing import CloseOrder, close
from filesync.day.filing import Asked, FilingState
from filesync.day.receiving import receive
from filesync.day.sending import send_remote
from filesync.day.values import Closed
from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.errors import FilesyncError
from filesync.exchange import voids
from filesync.exchange.station import Station
from filesync.protocol.identity import BatchName, Feed, FileKind, parse_file_name
from filesync.protocol.receipt import Verdict
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from filesync.day.values import Reason
    from filesync.exchange.reports import TurnReport

COMPLETE = "receber_vendas_remotas"
SITES = (*TILLS, "matriz", "portal")
LAYOUTS = {"bdf": "exemplo-bdf-posicional", "ca": "exemplo-ca-csv"}
#: Site → the road that it uses, as a link below `roads/`, and where that leads.
ROADS = {
    "caixa-01": "matriz",
    "caixa-02": "matriz",
    "posto-centro": "relay",
    "matriz-relay": "relay",
    "matriz-portal": "portal",
}
_MEMORY = Path("/dev/shm")


def folder() -> Path:
    """A new folder, in memory where that is possible."""
    return Path(tempfile.mkdtemp(prefix="filesync-day-", dir=_MEMORY if _MEMORY.is_dir() else None))


@dataclass
class Epochs:
    """`secrets` for new installations: the first, the second …"""

    made: int = 0

    def token_bytes(self, size: int) -> bytes:
        self.made += 1
        return self.made.to_bytes(size, "big")


@cache
def _template() -> Path:
    """The network as it is set up, to be copied."""
    root = folder()
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    network = Network(root / "net")
    with mock.patch("filesync.exchange.station.secrets", Epochs()):
        open_shop(network, caixas=("caixa-01", "caixa-02"))
    network.close()
    (network.root / "roads").mkdir()
    for site in SITES:
        path = network.root / site / "filesync.toml"
        text = path.read_text(encoding="utf-8")
        if site == "matriz":
            text = text.replace('"../relay"', '"../roads/matriz-relay"').replace(
                '"../portal"', '"../roads/matriz-portal"'
            )
        elif site in TILLS:
            text = text.replace('"../matriz"', f'"../roads/{site}"').replace(
                '"../relay"', f'"../roads/{site}"'
            )
            # A text that the test can read without filesync.
            text += '\n[datasets.vendas]\nformat = "jsonl"\n\n[datasets.fechamento]\nformat = "jsonl"\n'
        path.write_text(text, encoding="utf-8")
    roster = "".join(f"\n[sites.{site}]\nturnos = {count}\n" for site, count in SHIFTS.items())
    with (network.root / "matriz" / "sites.toml").open("a", encoding="utf-8") as file:
        file.write(roster)
    return network.root


@dataclass
class Sealed:
    """A batch as it was found in an outbox. `place` counts all batches of the network; `names` what a close covers, by sale: (sale, batch)."""

    name: BatchName
    place: int
    documents: list[Sale]
    covers: dict[str, tuple[Sale, str]] = field(default_factory=dict)

    @property
    def site(self) -> str:
        return self.name.id.feed.origin

    @property
    def day(self) -> date:
        return self.name.business_date

    @property
    def number(self) -> tuple[str, str, int]:
        return str(self.name.id.feed), self.name.id.epoch, self.name.id.seq


@dataclass(frozen=True)
class Moment:
    """A network's clock as one site reads it."""

    clock: FakeClock
    away: dict[str, timedelta]
    site: str

    def __call__(self) -> datetime:
        return self.clock.now + self.away.get(self.site, timedelta())


class World:
    """All of it."""

    def __init__(self) -> None:
        self.top = folder()
        shutil.copytree(_template(), self.top / "net", symlinks=True)
        self.network = Network(self.top / "net")
        self.clock = self.network.clock
        self.away: dict[str, timedelta] = {}
        self.epochs = Epochs(100)
        self.tills = {
            "caixa-01": Till("caixa-01", self.root / "caixa-01", "days", versions=True),
            "caixa-02": Till("caixa-02", self.root / "caixa-02", "changes", versions=True),
            "posto-centro": Till("posto-centro", self.root / "posto-centro", "dump", versions=False),
        }
        self.batches: dict[str, Sealed] = {}
        #: What each installation sealed last of every sale, and in which batch.
        self.latest: dict[str, dict[str, tuple[Sale, str]]] = defaultdict(dict)
        #: Every content that was ever sealed of a sale, as (versao, place, text).
        self.history: dict[Key, list[tuple[int, int, str]]] = defaultdict(list)
        self.settled: set[str] = set()
        self.voided: set[tuple[str, str, int]] = set()
        self.dead: dict[str, list[str]] = defaultdict(list)  # epochs of installations that are gone
        self.broken: list[Path] = []
        self.limbo: list[tuple[Path, Path]] = []  # held back: (where it lies, where it was)
        self.refusals: Counter[str] = Counter()
        for road in ROADS:
            self.link(road, up=True)

    @property
    def root(self) -> Path:
        return self.network.root

    def close(self) -> None:
        self.network.close()
        shutil.rmtree(self.top, ignore_errors=True)

    def __getitem__(self, site: str) -> Station:
        stations = self.network.stations
        if site not in stations:
            stations[site] = Station.open(self.root / site, clock=Moment(self.clock, self.away, site))
        return stations[site]

    def reopen(self, site: str) -> None:
        if site in self.network.stations:
            self.network.stations.pop(site).close()

    def attempt(self, call: Callable[[], Any]) -> Any:
        """What a person asks for may be refused, by name; nothing else may come of it."""
        try:
            return call()
        except FilesyncError as err:
            self.refusals[err.code] += 1
            return err

    # ------------------------------------------------------------------------------------------------ at a site

    def turn(self, site: str) -> TurnReport:
        report = self[site].turn()
        self.look(site)
        return report

    def export(self, site: str, day: date | None = None, *, again: bool = False) -> Any:
        done = self.attempt(lambda: self[site].export("vendas", business_date=day, again=again))
        self.look(site)
        return done

    def shut(
        self,
        site: str,
        day: date,
        counted: int | None,
        turno: int | None,
        *,
        send: bool,
        as_told: bool = False,
        above: int | None = None,
    ) -> Any:
        """Close a day, and say that there was none where the till has none. `as_told`: what a refusal says is done."""
        nothing = turno not in (None, 1) or not self.tills[site].of_day(day)
        order = CloseOrder(
            day=day, turno=turno, contado_centavos=counted, sem_movimento=nothing, despite_refused=bool(self.tills[site].wrong), above=above
        )  # fmt: skip
        done = self._shut(site, order, send=send)
        match getattr(done, "code", None):
            case "day-not-empty":
                done = self._shut(site, replace(order, sem_movimento=False), send=send)
            case "payload-lost" if as_told:
                self.export(site, day, again=True)
                done = self._shut(site, order, send=send)
            case "count-missing" if as_told:
                done = self.shut(site, day, 0, turno, send=send, as_told=True, above=above)
            case "turno-missing" if as_told:
                before = (turno or SHIFTS[site]) - 1
                self.shut(site, day, counted or 0, before, send=send, as_told=True)
                done = self._shut(site, order, send=send)
        return done

    def _shut(self, site: str, order: CloseOrder, *, send: bool) -> Any:
        work = (lambda: send_remote(self[site], order)) if send else (lambda: close(self[site], order))
        done = self.attempt(work)
        self.look(site)
        return done

    def look(self, site: str) -> None:
        """Learn what the site has sealed since, and which receipts it has."""
        outbox = self.root / site / "outbox"
        names = {
            parsed.batch.stem: (parsed, path)
            for path in outbox.glob("*/*")
            if (parsed := parse_file_name(path.name)) is not None
            and parsed.kind is FileKind.PAYLOAD
            and parsed.batch.id.feed.origin == site
            and parsed.batch.stem not in self.batches
        }
        # Sales before the close that names them.
        order = sorted(
            names.values(), key=lambda f: (f[0].batch.id.feed.dataset == "fechamento", f[0].batch.id.seq)
        )
        for parsed, path in order:
            self._learn(parsed.batch, path)
        if site in TILLS or site == "matriz":
            store = self[site].context.store
            for day in DAYS:
                for batch in store.days.sealed(day):
                    if batch.name in self.batches and Verdict.APPLIED in batch.verdicts.values():
                        self.settled.add(batch.name)

    def _learn(self, name: BatchName, path: Path) -> None:
        site, dataset = name.id.feed.origin, name.id.feed.dataset
        if site not in TILLS:
            documents = []
        else:
            documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        made = self.batches[name.stem] = Sealed(name, len(self.batches), documents)
        if dataset == "vendas" and site in TILLS:
            for sale in documents:
                key = sale["venda_id"]
                self.latest[site][key] = (sale, name.stem)
                self.history[site, key].append((sale.get("versao", 0), made.place, text(sale)))
        elif dataset == "fechamento":
            day = name.business_date.isoformat()
            made.covers = {
                key: (sale, batch)
                for key, (sale, batch) in self.latest[site].items()
                if sale["data_movimento"] == day
            }

    # ------------------------------------------------------------------------------------------------ at the matriz

    def held(self, site: str = "matriz") -> dict[Key, Sale]:
        return {(sale["origem"], sale["venda_id"]): sale for sale in rows(self[site])}

    def matriz_works(self) -> list[Any]:
        """As the daemon does."""
        report = self.turn("matriz")
        done = [*portal.confirm(self["matriz"], report.imported.settled)]
        done += routine.run_due(self["matriz"], self["matriz"].context.clock())
        self.look("matriz")
        return done

    def receive(self, day: date) -> Any:
        done = self.attempt(lambda: receive(self["matriz"], day))
        self.look("matriz")
        return done

    def bill(self, dataset: str, day: date, planted: int) -> Any:
        """A file of Correios for what the matriz has now, with mistakes of theirs."""
        sold = [sale for sale in self.held().values() if sale["data_movimento"] == day.isoformat()]
        postings = sum(len(s.get("postagens", ())) for s in sold if s["situacao"] != "cancelada")
        plan = Plan(value=min(planted, postings), datasets=(dataset,))
        made = billing_of_day(sold, seed=planted, planted=plan)
        path = self.top / f"{dataset}-{day}-{planted}.txt"
        layout = next(one for one in shipped_layouts() if one.name == LAYOUTS[dataset])
        path.write_bytes(billing_file(layout, day, made.rows(dataset)))
        before = routine.decide(self["matriz"].context, filing.STEPS[dataset], day)
        done = self.attempt(lambda: filing.take(self["matriz"], Asked(dataset, path, day, by="Márcia")))
        if isinstance(done, filing.FilingReport) and done.state is FilingState.TAKEN:
            assert not hasattr(before, "reasons"), "taken although its gate was closed"
        return done

    def override_void(self, feed: str, seqs: list[int], epoch: str | None) -> Any:
        of = Feed(*_feed_parts(feed))
        ctx = self["matriz"].context
        return self._voided(
            self.attempt(lambda: voids.void(ctx, of, seqs, reason="perdido", by="Márcia", epoch=epoch))
        )

    def origin_void(self, site: str, feed: str, seqs: list[int]) -> Any:
        done = self.attempt(lambda: self[site].void(feed, seqs, reason="perdido", by="Rui"))
        self.look(site)
        return self._voided(done)

    def _voided(self, done: Any) -> Any:
        if isinstance(done, list):
            self.voided |= {(str(v.feed), v.epoch, v.seq) for v in done}
        return done

    # ------------------------------------------------------------------------------------------------ what befalls

    def link(self, road: str, *, up: bool) -> None:
        path = self.root / "roads" / road
        if up and not path.is_symlink():
            path.symlink_to(f"../{ROADS[road]}")
        elif not up and path.is_symlink():
            path.unlink()

    def on_the_way(self) -> list[Path]:
        """Files that are between two sites: at the relay, and pushed into an inbox."""
        places = ["relay/*/inbox/*", *(f"{to}/inbox/*" for to in ("matriz", "portal"))]
        return _files(self.root, places)

    def lying(self) -> list[Path]:
        """Files in every outbox and inbox."""
        return _files(self.root, [f"{site}/{box}/*" for site in SITES for box in ("outbox", "inbox")])

    def archived(self) -> list[Path]:
        """Batches that the matriz and the portal have put away."""
        return [
            path
            for path in _files(self.root, [f"{site}/archive/*/*/*" for site in ("matriz", "portal")])
            if (parsed := parse_file_name(path.name)) is not None
            and parsed.kind is not FileKind.RECEIPT
            and parsed.batch.id.feed.origin != path.relative_to(self.root).parts[0]
        ]

    def damage(self, path: Path, how: int) -> None:
        """Other bytes; the copy that lies elsewhere under the same inode is not touched."""
        data = bytearray(path.read_bytes())
        if how == 0:
            data = data[: len(data) // 2]
        elif data:
            data[len(data) // 2] ^= 0x55
        path.unlink()
        path.write_bytes(bytes(data))

    def come_twice(self, path: Path) -> None:
        """A second copy of what was put away long ago comes by the same way."""
        parsed = parse_file_name(path.name)
        assert parsed is not None
        site = path.relative_to(self.root).parts[0]
        shutil.copyfile(path, self.root / site / "inbox" / parsed.batch.id.feed.origin / path.name)

    def hold(self, path: Path) -> None:
        """It takes another way, and comes later."""
        aside = self.top / "limbo"
        aside.mkdir(exist_ok=True)
        kept = aside / str(len(list(aside.iterdir())))
        shutil.move(path, kept)
        self.limbo.append((kept, path))

    def let_go(self) -> None:
        """What was held back comes, and finds what came before."""
        for kept, path in self.limbo:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(kept, path)
        self.limbo.clear()

    def replace_till(self, site: str, *, data_survives: bool) -> None:
        """The computer is dead: a new one with the same name and key; the till program's data is restored, or lost."""
        till, root = self.tills[site], self.root / site
        self.dead[site].append(self[site].context.epoch)
        self.reopen(site)
        broken = self.top / f"broken-{len(self.broken)}-{site}"
        # Beside the network, but as deep: its roads lead where they led.
        shutil.move(root, self.root / broken.name)
        broken = self.root / broken.name
        shutil.copytree(broken / "keys", root / "keys")
        with mock.patch("filesync.exchange.station.secrets", self.epochs):
            Station.init(root, site=site, role=TILLS[site])
        shutil.copyfile(broken / "filesync.toml", root / "filesync.toml")
        self.broken.append(broken)
        self.latest[site] = {}
        if data_survives:
            shutil.copytree(broken / "drop", root / "drop", dirs_exist_ok=True)
        else:
            till.sales, till.wrong, till.files = {}, set(), 0
            (root / "drop" / "vendas").mkdir(parents=True, exist_ok=True)

    def read_old_disk(self, broken: Path) -> Any:
        """The old computer's outbox, on a stick, to the matriz."""
        stick = self.top / "stick"
        shutil.rmtree(stick, ignore_errors=True)
        stick.mkdir()
        with Station.open(broken, clock=self.clock) as old:
            old.carry_out(stick)
        return self.attempt(lambda: self["matriz"].carry_in(stick))

    def is_dead(self, batch: Sealed) -> bool:
        """Whether the installation that sealed it is gone."""
        return batch.number[1] in self.dead[batch.site]

    # ------------------------------------------------------------------------------------------------ what is advised

    def reasons(self, day: date) -> tuple[Reason, ...]:
        """Why the day is not complete, as the routine says."""
        decision = routine.decide(self["matriz"].context, COMPLETE, day)
        return decision.reasons if isinstance(decision, Closed) else ()

    def follow(self, reason: Reason) -> None:
        """Somebody does what it says."""
        assert reason.command is not None
        assert reason.at is not None
        self.do(reason.at, reason.command)

    def do(self, at: str, command: str, counted: int = 0) -> Any:
        """Type what was advised, at the site for which it was."""
        words = shlex.split(command)
        assert words[0] == "filesync", command
        verb, rest = words[1], words[2:]
        options: dict[str, str] = {}
        named: list[str] = []
        while rest:
            word = rest.pop(0)
            if word.startswith("--"):
                options[word] = rest.pop(0) if rest and not rest[0].startswith("--") else ""
            else:
                named.append(word)
        day = date.fromisoformat(options["--date"]) if "--date" in options else None
        match verb:
            case "close" | "send-remote":
                assert day is not None
                turno = int(options["--turno"]) if "--turno" in options else None
                above = int(options["--above"]) if "--above" in options else None
                said = counted if "--contado" in options else None
                return self.shut(at, day, said, turno, send=verb == "send-remote", as_told=True, above=above)
            case "export":
                return self.export(at, day)
            case "exchange":
                return self.attempt(lambda: self[at].exchange())
            case "import":
                return self.attempt(lambda: self[at].import_())
            case "resend":
                return self.attempt(lambda: self[at].resend(named[0], [int(n) for n in named[1:]]))
            case "receive-remote":
                assert day is not None
                return self.receive(day)
            case "void":
                return self.override_void(named[0], [int(n) for n in named[1:]], options.get("--epoch"))
            case "quarantine":  # what was set aside is asked for again by itself
                return self[at].status()
            case _:
                raise AssertionError(f"nobody can do this: {command}")


def _feed_parts(feed: str) -> tuple[str, str, str]:
    dataset, origin, audience = feed.split(".")
    return origin, dataset, audience


def _files(root: Path, patterns: list[str]) -> list[Path]:
    found: Iterator[Path] = (path for pattern in patterns for path in root.glob(f"{pattern}/*"))
    return sorted(path for path in found if path.is_file() and not path.parent.name.startswith("."))
