"""A matriz whose store is on a server: the same receipts as with an embedded one, connections that break anywhere, importers side by side."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, SECRET, FakeClock, Network, rows, sales, table
from shopdays import Shop, open_shop

from filesync import config
from filesync.contracts import Contract, Registry
from filesync.day import filing
from filesync.day.filing import Asked, FilingState
from filesync.demo.billing import billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.errors import TransportError
from filesync.exchange import ownbatch
from filesync.exchange.station import Station
from filesync.protocol.envelope import canonical, decode, encode, sha256_hex
from filesync.protocol.identity import Format, Role
from filesync.sources.layout_choice import shipped_layouts
from filesync.stores.postgres_database import PostgresDatabase
from filesync.stores.values import IncomingBatch, OutgoingBatch, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from postgres_server import Server

PROGRAM = Path(__file__).with_name("importer.py")


def shop(network: Network, *tills: str) -> Network:
    """A matriz on the server; its tills are embedded, as they would be."""
    server = network.server
    network.site("matriz", Role.MATRIZ)
    network.server = None
    for till in tills:
        network.site(till, Role.CAIXA)
        network.peer(till, "matriz", Role.MATRIZ, link="../matriz")
        network.peer("matriz", till, Role.CAIXA)
    network.server = server
    return network


@pytest.fixture
def matriz(tmp_path: Path, postgresql: Server) -> Any:
    made = shop(Network(tmp_path / "net", server=postgresql), "caixa-01")
    yield made
    made.close()
    postgresql.drop(made.database("matriz"))


# ---------------------------------------------------------------------------------------------------- the same answers


def receipts(net: Network) -> dict[str, bytes]:
    """Every receipt as it was signed, by its name."""
    archive = net.root / "caixa-01" / "archive"
    return {path.name: path.read_bytes() for path in archive.rglob("*.receipt.json")}


def _lenient() -> Registry:
    """The contract without its rules, as an older program knew it."""
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"].update(rules=[])
    return Registry([Contract.from_schema(schema)])


def _seal_with_lying_totals(net: Network, sold: list[dict[str, Any]]) -> None:
    """A batch whose manifest claims a centavo too much, signed by the till itself."""
    till = net["caixa-01"]
    name = till.seal("vendas", table(sold)).sealed[0].name
    store = till.context.store
    batch = store.batch(name)
    assert isinstance(batch, OutgoingBatch)
    manifest = json.loads(batch.manifest)
    manifest["totals"]["total_centavos"] += 1
    text = canonical(manifest)
    with store.transaction():
        store._db.run(
            "UPDATE fs_outgoing SET manifest = ?1, manifest_sha256 = ?2 WHERE name = ?3",
            (text.decode(), sha256_hex(text), name),
        )
        store._db.run(
            "UPDATE fs_feed SET manifest_sha256 = ?1 WHERE manifest_sha256 = ?2",
            (sha256_hex(text), batch.manifest_sha256),
        )
    for path in net.outbox("caixa-01", "matriz"):
        if path.name == f"{name}.manifest.json":
            path.write_bytes(encode(manifest, till.context.settings.key))


def test_both_databases_give_the_same_receipts_byte_for_byte(network: Network, postgresql: Server) -> None:
    """One exchange told twice: new sales, corrections, a batch with bad rows, one that lies about its totals, in both formats."""
    for name, role in (("matriz", Role.MATRIZ), ("caixa-01", Role.CAIXA)):
        network.site(name, role)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    sold = sales(count=30)
    till = network["caixa-01"]
    till.seal("vendas", table(sold[:20]))
    corrected = [{**sold[0], "operador": "M999"}, {**sold[1], "versao": sold[1].get("versao", 0) + 3}]
    till.seal("vendas", table(corrected), format=Format.JSONL)
    _seal_with_lying_totals(network, sold[20:23])
    network.close()
    network.contracts = _lenient()  # an older program seals what the matriz does not take
    wrong = [{**sold[23], "total_centavos": sold[23]["total_centavos"] + 1}, *sold[24:]]
    network["caixa-01"].seal("vendas", table(wrong))
    network.close()
    network.contracts = None
    epoch = network["matriz"].context.store.site.epoch
    network.turn("caixa-01")
    network.close()

    on_server = network.copy_of(network.root.parent / "server")
    on_server.server = postgresql
    database = postgresql.new()
    path = on_server.root / "matriz" / config.FILE_NAME
    text = path.read_text(encoding="utf-8")
    named = f'store = "{postgresql.named(database)}"\nstore_password_file = "{SECRET}"\n'
    path.write_text(text.replace('site = "matriz"\n', f'site = "matriz"\n{named}', 1), encoding="utf-8")
    config.write_private(on_server.root / "matriz" / SECRET, postgresql.password.encode())
    on_server.begin_anew("matriz", Site("matriz", Role.MATRIZ, epoch))
    for net in (network, on_server):
        net.until_quiet("matriz", "caixa-01")
    assert on_server["matriz"].context.store.__class__.__name__ == "PostgresStore"
    embedded, served = receipts(network), receipts(on_server)
    assert embedded == served
    verdicts = [decode(embedded[name]).signed["verdict"] for name in sorted(embedded)]
    assert verdicts == ["APPLIED", "APPLIED", "REJECTED", "PARTIAL"]
    assert rows(network["matriz"]) == rows(on_server["matriz"])
    ledgers = [net["matriz"].context.store for net in (network, on_server)]
    assert ledgers[0].standings() == ledgers[1].standings()
    assert ledgers[0].days.arrived(DAY) == ledgers[1].days.arrived(DAY)
    assert ledgers[0].feeds() == ledgers[1].feeds()
    on_server.close()
    postgresql.drop(on_server.database("matriz"))
    postgresql.drop(database)


# ---------------------------------------------------------------------------------------------------- a connection that breaks


class Line:
    """Counts what is said to the server, and ends the connection at one of those instants."""

    def __init__(self, server: Server, patch: pytest.MonkeyPatch) -> None:
        self.said = 0
        self.cut_at: int | None = None
        self.after = False
        self._server = server
        use = PostgresDatabase._use

        def counted(db: PostgresDatabase, do: Callable[[], Any], *, again: bool) -> Any:
            def guarded() -> Any:
                self.said += 1
                due = self.said == self.cut_at
                if due and not self.after:
                    self._cut()
                found = do()
                if due and self.after:
                    self._cut()
                return found

            return use(db, guarded, again=again)

        patch.setattr(PostgresDatabase, "_use", counted)

    def begin(self, cut_at: int | None = None, *, after: bool = False) -> None:
        self.said, self.cut_at, self.after = 0, cut_at, after

    def _cut(self) -> None:
        self._server.execute(
            "postgres",
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'filesync'",
        )


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_a_connection_that_breaks_anywhere_costs_a_turn_and_nothing_else(
    matriz: Network, postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """The station is not even opened again: its next turn makes a connection, and goes on from what the ledger has."""
    sold = sales(count=8)
    matriz["caixa-01"].seal("vendas", table(sold[:5]))
    matriz.until_quiet("caixa-01", "matriz")
    matriz["caixa-01"].seal("vendas", table([{**sold[0], "operador": "M999"}]))
    matriz["caixa-01"].seal("vendas", table(sold[5:]), format=Format.JSONL)
    matriz.turn("caixa-01")
    matriz.close()
    backup = matriz.back_up("matriz")
    shutil.copytree(matriz.root, tmp_path / "before")
    line = Line(postgresql, monkeypatch)

    def told(cut_at: int | None, *, after: bool = False) -> str | None:
        """The matriz' turn with a cut; the code of its error, or None where it did not even notice."""
        shutil.rmtree(matriz.root)
        shutil.copytree(tmp_path / "before", matriz.root)
        matriz.restore("matriz", backup)
        station = matriz["matriz"]
        line.begin(cut_at, after=after)
        try:
            station.turn()
        except TransportError as err:
            code: str | None = err.code
        else:
            code = None
        line.cut_at = None
        matriz.until_quiet("matriz", "caixa-01")
        expected = [{**sold[0], "operador": "M999"}, *sold[1:]]
        message = f"cut {'after' if after else 'before'} {cut_at} of what is said"
        assert rows(station) == sorted(expected, key=lambda sale: str(sale["venda_id"])), message
        status = station.status()
        assert (status.inbox, status.outbox, status.quarantine) == ((), (), ()), message
        (feed,) = matriz["caixa-01"].status().feeds
        assert feed.sealed == feed.settled == 3, message
        matriz.close()
        postgresql.drop(matriz.database("matriz"))
        return code

    assert told(None) is None
    line.begin()
    last = _said_in_a_turn(matriz, backup, tmp_path, line)
    assert last > 40
    # The last one always: a connection that was lost between two turns.
    numbers = sorted({*range(1, last + 1, every), last})
    codes = [told(number, after=after) for number in numbers for after in (False, True)]
    assert set(codes) <= {None, "store-lost"}
    assert "store-lost" in codes
    assert None in codes, "between transactions a connection is made again without a word"
    matriz.restore("matriz", backup)
    postgresql.drop(backup)


def _said_in_a_turn(net: Network, backup: str, tmp_path: Path, line: Line) -> int:
    shutil.rmtree(net.root)
    shutil.copytree(tmp_path / "before", net.root)
    net.restore("matriz", backup)
    station = net["matriz"]
    line.begin()
    station.turn()
    said = line.said
    database = net.database("matriz")
    net.close()
    assert net.server is not None
    net.server.drop(database)
    return said


# ---------------------------------------------------------------------------------------------------- importers side by side


def test_two_importers_share_a_store_and_nothing_is_applied_twice(tmp_path: Path, postgresql: Server) -> None:
    """Two machines of one site, each with an inbox of its own, and the same batches in both; two processes, at the same time."""
    tills = tuple(f"caixa-{n:02d}" for n in range(1, 7))
    net = shop(Network(tmp_path / "net", server=postgresql), *tills)
    sold: dict[str, list[dict[str, Any]]] = {till: sales(till, count=24) for till in tills}
    for till in tills:
        for start in range(0, 24, 4):
            net[till].seal("vendas", table(sold[till][start : start + 4]))
        net[till].seal("vendas", table([{**sold[till][0], "operador": "M999"}]))  # a correction: merged
        net.turn(till)
    net.close()
    second = tmp_path / "second"
    shutil.copytree(net.root / "matriz", second)
    machines = (net.root / "matriz", second)
    started = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(machine)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for machine in machines
    ]
    for program in started:  # both are open and ready before either begins
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
    for program in started:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    told = [json.loads(program.communicate(timeout=120)[0]) for program in started]
    assert [program.returncode for program in started] == [0, 0]
    applied = [name for one in told for name in one["applied"]]
    assert len(applied) == len(set(applied)) == len(tills) * 7, "each batch by one of them, once"
    station = net["matriz"]
    expected = [sale for till in tills for sale in ({**sold[till][0], "operador": "M999"}, *sold[till][1:])]
    assert rows(station) == sorted(expected, key=lambda sale: (sale["origem"], str(sale["venda_id"])))
    (counted,) = station.context.store._db.select(
        "SELECT count(*), count(DISTINCT name), count(DISTINCT place) FROM fs_incoming"
    )
    assert counted == (len(applied),) * 3
    # Each machine answers from the one ledger: whoever writes a receipt writes the same bytes.
    written: dict[str, set[bytes]] = {}
    for machine in machines:
        for path in machine.glob("outbox/*/*.receipt.json"):
            written.setdefault(path.name, set()).add(path.read_bytes())
    assert len(written) == len(applied)
    assert all(len(found) == 1 for found in written.values())
    assert {decode(found.copy().pop()).signed["verdict"] for found in written.values()} == {"APPLIED"}
    for machine in machines:
        assert list(machine.glob("inbox/*/*.manifest.json")) == [], (
            "what the other one decided was known again"
        )
    net.close()
    postgresql.drop(net.database("matriz"))


LAYOUT = next(layout for layout in shipped_layouts() if layout.name == "exemplo-bdf-posicional")


def billing_day(tmp_path: Path, postgresql: Server) -> tuple[Shop, Path, list[dict[str, Any]]]:
    """A matriz on the server whose day is complete, a second folder of it, and what was billed."""
    made = open_shop(Network(tmp_path / "net", server=postgresql))
    sold = [*made.sell("caixa-01"), *made.sell("posto-centro")]
    for site in ("caixa-01", "posto-centro"):
        made.close(site)
    made.turn()
    made.network.close()
    shutil.copytree(made.network.root / "matriz", tmp_path / "second")
    return made, tmp_path / "second", billing_of_day(sold).bdf


@pytest.mark.parametrize("corrected", [False, True])
def test_two_machines_take_a_file_at_the_same_time(
    tmp_path: Path, postgresql: Server, monkeypatch: pytest.MonkeyPatch, corrected: bool
) -> None:
    """Both have prepared theirs when one of them writes. The other one finds it done; or its own, a corrected one, takes the first one's place."""
    made, second, billed = billing_day(tmp_path, postgresql)
    contents = [billed, [{**billed[0], "valor_cobrado_centavos": 7}, *billed[1:]] if corrected else billed]
    paths = [tmp_path / "bdf-1.txt", tmp_path / "bdf-2.txt"]
    for path, rows_of_file in zip(paths, contents, strict=True):
        path.write_bytes(billing_file(LAYOUT, DAY, rows_of_file))
    prepare, barrier, first_time = ownbatch.prepare, threading.Barrier(2), threading.local()

    def together(*given: Any) -> Any:
        prepared = prepare(*given)
        if not hasattr(first_time, "over"):
            first_time.over = True
            barrier.wait(60)
        return prepared

    monkeypatch.setattr(ownbatch, "prepare", together)
    folders = (made.network.root / "matriz", second)
    with (
        Station.open(folders[0], clock=made.clock) as here,
        Station.open(folders[1], clock=FakeClock(made.clock.now + timedelta(seconds=1))) as there,
        ThreadPoolExecutor(2) as threads,
    ):
        asked = [
            threads.submit(filing.take, station, Asked("bdf", path, DAY, by="Márcia"))
            for station, path in zip((here, there), paths, strict=True)
        ]
        states = sorted(one.result().state.value for one in asked)
        assert states == (["taken", "taken"] if corrected else ["taken", "unchanged"])
        files = here.context.store.files.of_day(DAY)
        assert [file.superseded_by for file in files] == [*[files[-1].batch] * corrected, None]
        counts = dict(zip((path.name for path in paths), contents, strict=True))[files[-1].file_name]
        assert sorted(row["valor_cobrado_centavos"] for row in rows(here, "bdf")) == sorted(
            row["valor_cobrado_centavos"] for row in counts
        )
        # What the slower one had prepared under a number that is another's now is gone: each batch lies in one archive, as the ledger knows it.
        for file in files:
            batch = here.context.store.batch(file.batch)
            assert isinstance(batch, IncomingBatch)
            lying = [path for folder in folders for path in (folder / "archive").rglob(f"{file.batch}.man*")]
            assert [sha256_hex(decode(path.read_bytes()).canonical) for path in lying] == [
                batch.manifest_sha256
            ]
    assert [path for folder in folders for path in (folder / "run" / "own").iterdir()] == []
    made.network.leave()


def test_what_was_prepared_under_a_number_that_another_machine_used_is_no_batch(
    tmp_path: Path, postgresql: Server
) -> None:
    """Power failed where the slower machine had written its files: the ledger knows a batch of their name, but not this one."""
    made, second, billed = billing_day(tmp_path, postgresql)
    path = tmp_path / "bdf.txt"
    path.write_bytes(billing_file(LAYOUT, DAY, billed))
    first = made.network.root / "matriz"
    own = second / "run" / "own"
    own.mkdir(parents=True, exist_ok=True)
    with (
        Station.open(first, clock=made.clock) as here,
        Station.open(second, clock=made.clock) as there,
    ):
        taken = filing.take(here, Asked("bdf", path, DAY, by="Márcia"))
        for lying in (first / "archive").rglob(f"{taken.batch}.*"):
            if ".receipt." not in lying.name:
                shutil.copy(lying, own / lying.name)
        (manifest,) = own.glob("*.manifest.json")
        signed = decode(manifest.read_bytes()).signed | {"sealed_at": "2026-03-02T18:29:00-03:00"}
        manifest.write_bytes(encode(signed, there.context.settings.key))
        assert filing.take(there, Asked("bdf", path, DAY, by="Joana")).state is FilingState.UNCHANGED
    assert list(own.iterdir()) == []
    assert list((second / "archive").rglob(f"{taken.batch}.*")) == []
    made.network.leave()
