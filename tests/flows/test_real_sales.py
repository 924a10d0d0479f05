"""Real sales: 541,909 lines of 25,900 invoices from 38 countries, each country a site, each day file a movement day.

They must arrive at the matriz line for line, and stay as they are when everything arrives again: shuffled, twice, and with damaged copies in between.
The data is not part of the project; where it is absent this is skipped with the reason.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from network import FakeClock, Network

from filesync import config
from filesync.contracts import Registry
from filesync.day import routine
from filesync.day.closing import CloseOrder, close
from filesync.day.standing import Ledger
from filesync.day.values import Closed
from filesync.exchange.station import Station
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPING = Path(__file__).resolve().parents[1] / "retail.toml"
LINES = 541_909
Figures = dict[tuple[str, str], tuple[int, int, int]]


@pytest.fixture(scope="module")
def retail(data_dir: Path) -> pa.Table:
    path = data_dir / "online_retail.parquet"
    if not path.exists():
        pytest.skip(f"no test data: {path} is absent")
    table = pq.read_table(path)
    assert table.num_rows == LINES
    return table


def _source_section() -> str:
    """tests/retail.toml as it stands in a site's filesync.toml."""
    text = MAPPING.read_text(encoding="utf-8")
    nested = re.sub(r"(?m)^\[columns", "[datasets.vendas.source.columns", text)
    return f'\n[datasets.vendas]\nto = "matriz"\n\n[datasets.vendas.source]\npath = "drop/vendas/*.parquet"\n{nested}'


def _expected(retail: pa.Table) -> Figures:
    """Lines, quantities and centavos per site and day, reckoned from the file without any of filesync's code."""
    sites = {
        country: re.sub("[^a-z]+", "-", country.lower())
        for country in pc.unique(retail["Country"]).to_pylist()
    }
    price = retail["UnitPrice"].cast(pa.decimal128(18, 6))
    exact = pc.multiply(
        pc.multiply(retail["Quantity"].cast(pa.decimal128(12, 0)), price), pa.scalar(100, pa.decimal128(3, 0))
    )
    centavos = pc.round(exact, 0, round_mode="half_to_even").cast(pa.int64())
    flat = pa.table({
        "site": pa.array([sites[country] for country in retail["Country"].to_pylist()]),
        "day": pc.utf8_slice_codeunits(retail["source_file"].cast(pa.string()), 0, 10),
        "quantity": retail["Quantity"].cast(pa.int64()),
        "centavos": centavos,
    })  # fmt: skip
    sums = flat.group_by(["site", "day"]).aggregate(
        [("quantity", "count"), ("quantity", "sum"), ("centavos", "sum")]
    )
    return {
        (row["site"], row["day"]): (row["quantity_count"], row["quantity_sum"] * 1000, row["centavos_sum"])
        for row in sums.to_pylist()
    }


def _held(matriz: Station) -> Figures:
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    found: dict[tuple[str, str], list[int]] = {}
    for chunk in matriz.context.store.read_documents(contract):
        parents = pc.list_parent_indices(chunk["itens"].combine_chunks())
        items = contract.flatten(chunk)["itens"]
        flat = pa.table({
            "site": chunk["origem"].take(parents), "day": chunk["data_movimento"].cast(pa.string()).take(parents),
            "quantity": items["quantidade_milesimos"], "centavos": items["total_centavos"],
        })  # fmt: skip
        sums = flat.group_by(["site", "day"]).aggregate(
            [("quantity", "count"), ("quantity", "sum"), ("centavos", "sum")]
        )
        for row in sums.to_pylist():
            figures = found.setdefault((row["site"], row["day"]), [0, 0, 0])
            for place, name in enumerate(("quantity_count", "quantity_sum", "centavos_sum")):
                figures[place] += row[name]
    return {key: (value[0], value[1], value[2]) for key, value in found.items()}


@pytest.fixture(scope="module")
def arrived(
    retail: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Network, list[str], Figures]]:
    """38 sites have captured and shipped; the matriz has imported; the receipts have settled."""
    net = Network(tmp_path_factory.mktemp("retail"), clock=FakeClock())
    net.site("matriz", Role.MATRIZ)
    countries = sorted(pc.unique(retail["Country"]).to_pylist())
    sites = {re.sub("[^a-z]+", "-", country.lower()): country for country in countries}
    for site, country in sites.items():
        net.site(site, Role.CAIXA)
        net.peer(site, "matriz", Role.MATRIZ, link="../matriz")
        net.configure(site, _source_section())
        net.peer("matriz", site, Role.CAIXA)
        drop = net.root / site / "drop" / "vendas"
        drop.mkdir(parents=True)
        pq.write_table(retail.filter(pc.equal(retail["Country"], country)), drop / "tudo.parquet")
    for site in sites:
        with Station.open(net.root / site, clock=net.clock) as station:
            report = station.turn()
            assert report.failed_sources == []
            assert [(e.refused, e.problems) for e in report.exported] == [(0, [])]
    applied = net["matriz"].turn().imported.applied
    assert {batch.verdict for batch in applied} == {Verdict.APPLIED}
    for site in sites:
        with Station.open(net.root / site, clock=net.clock) as station:
            station.turn()
            assert station.status().outbox == ()
    yield net, list(sites), _expected(retail)
    net.close()


def test_every_line_arrives_per_site_and_day(arrived: tuple[Network, list[str], Figures]) -> None:
    net, sites, expected = arrived
    held = _held(net["matriz"])
    assert len(sites) == 38
    assert len({day for _, day in expected}) == 305
    assert sum(lines for lines, _, _ in held.values()) == LINES
    assert held == expected


def test_capturing_again_seals_nothing(arrived: tuple[Network, list[str], Figures]) -> None:
    net, _, _ = arrived
    with Station.open(net.root / "france", clock=net.clock) as station:
        report = station.export("vendas")
    assert report.sealed == []
    assert report.unchanged == report.documents > 0


def test_everything_again_changes_nothing(arrived: tuple[Network, list[str], Figures]) -> None:
    """All that ever arrived arrives again at the same matriz, in any order, a tenth of it damaged."""
    net, _, expected = arrived
    dice = random.Random(7)
    before = _held(net["matriz"])
    _deliver(net, list(_archived(net.root / "matriz")), dice)
    report = net["matriz"].import_()
    assert report.applied == []
    assert len(report.replayed) > 1000
    assert _held(net["matriz"]) == before == expected


def test_a_second_matriz_fed_in_any_order_ends_the_same(
    arrived: tuple[Network, list[str], Figures], tmp_path: Path
) -> None:
    """Shuffled, every third file twice, damaged copies first: portion by portion into an empty matriz."""
    net, sites, expected = arrived
    dice = random.Random(11)
    second = Network(tmp_path / "second", clock=FakeClock())
    second.site("matriz", Role.MATRIZ)
    second.configure(
        "matriz", "".join(config.render_peer(site, config.Peer(role=Role.CAIXA)) for site in sites)
    )
    pinned = net.root / "matriz" / "keys" / "peers"
    shutil.copytree(pinned, second.root / "matriz" / "keys" / "peers")
    files = list(_archived(net.root / "matriz"))
    dice.shuffle(files)
    for portion in range(4):
        _deliver(second, files[portion::4] + files[portion::12], dice)
        second["matriz"].import_()
    for _ in range(3):  # what was damaged has no receipt, so its origin ships it again
        _deliver(
            second, [path for path in files if not _settled(second, path)], random.Random(0), damaged=0.0
        )
        second["matriz"].import_()
    assert _held(second["matriz"]) == expected
    assert [item for item in second["matriz"].status().inbox if item.state == "waiting"] == []
    second.close()


@pytest.mark.slow
def test_every_day_is_closed_and_every_gate_opens(arrived: tuple[Network, list[str], Figures]) -> None:
    """Each site closes each day on which it sold; the matriz may then import the BDF of all 305 days, each on its evidence."""
    net, sites, expected = arrived
    days_of: dict[str, list[date]] = defaultdict(list)
    for site, text in expected:
        days_of[site].append(date.fromisoformat(text))
    roster = "".join(
        f"[sites.{site}]\nweekdays = []\nopen_on = [{', '.join(day.isoformat() for day in sorted(days))}]\n"
        for site, days in days_of.items()
    )
    (net.root / "matriz" / "sites.toml").write_text("[usual]\nopen_on_holidays = true\n" + roster, "utf-8")
    matriz = net["matriz"]
    days = sorted({day for of in days_of.values() for day in of})
    assert all(isinstance(routine.decide(matriz.context, "importar_bdf", day), Closed) for day in days[::50])
    for site in sites:
        drop = net.root / site / "drop" / "vendas"
        # What was sealed is what is closed; the source need not be there for ever.
        drop.rename(drop.with_name("taken"))
        drop.mkdir()
        with Station.open(net.root / site, clock=net.clock) as station:
            for day in sorted(days_of[site]):
                close(station, CloseOrder(day, contado_centavos=0))
            station.exchange()
        drop.rmdir()
        drop.with_name("taken").rename(drop)
    matriz.turn()
    ledger = Ledger.read(matriz.context)
    for day in days:
        verdicts = ledger.judge(day).verdicts
        assert [reason for verdict in verdicts for reason in verdict.reasons] == []
        assert {verdict.site for verdict in verdicts} == {site for site, of in days_of.items() if day in of}
    evidence = {routine.open_gate(matriz.context, "importar_bdf", day) for day in days}
    assert len(evidence) == 305
    signed = json.loads(min(evidence).read_bytes())["signed"]
    assert signed["step"] == "importar_bdf"


def _archived(root: Path) -> Iterator[Path]:
    for path in sorted((root / "archive").rglob("vendas.*")):
        if path.is_file() and not path.name.endswith(".receipt.json"):
            yield path


def _settled(net: Network, path: Path) -> bool:
    return bool(net["matriz"].context.store.answered([_stem(path)]))


def _stem(path: Path) -> str:
    return path.name.removesuffix(".manifest.json").removesuffix(".parquet")


def _deliver(net: Network, files: list[Path], dice: random.Random, damaged: float = 0.1) -> None:
    dice.shuffle(files)
    for path in files:
        inbox = net.root / "matriz" / "inbox" / path.name.split(".")[1]
        inbox.mkdir(parents=True, exist_ok=True)
        data = bytearray(path.read_bytes())
        if dice.random() < damaged and path.suffix == ".parquet":
            data[dice.randrange(len(data))] ^= 1 + dice.randrange(255)
        (inbox / path.name).write_bytes(data)
