"""A stick carries what waits for a peer, and receipts back: whole files, in any number of attempts, acknowledged by nobody but the recipient."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from network import Network, cargo_in, rows, sales, table
from test_power_cut import Power, PowerCutError, power

from filesync.errors import ConfigError, TransportError
from filesync.exchange import carry
from filesync.exchange.station import Station
from filesync.protocol.identity import FileKind, Format, Role, parse_file_name
from filesync.transports.folder import FolderTransport
from filesync.writers import durable

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.reports import CarryReport

__all__ = ["power"]  # the fixture


@pytest.fixture
def apart(network: Network) -> Network:
    """A posto and its matriz that no network joins."""
    _sites(network)
    return network


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


def _sites(net: Network) -> None:
    net.site("matriz", Role.MATRIZ)
    net.site("posto-centro", Role.POSTO)
    net.peer("posto-centro", "matriz", Role.MATRIZ)
    net.peer("matriz", "posto-centro", Role.POSTO)


def mailbox(stick: Path, recipient: str = "matriz", sender: str = "posto-centro") -> Path:
    return stick / "filesync" / recipient / "inbox" / sender


def names(folder: Path) -> list[str]:
    return (
        sorted(path.name for path in folder.glob("*") if parse_file_name(path.name))
        if folder.exists()
        else []
    )


def batches(folder: Path) -> list[str]:
    return [name for name in names(folder) if not name.endswith(".receipt.json")]


def seal(net: Network, count: int = 12, **more: Any) -> list[str]:
    report = net["posto-centro"].seal("vendas", table(sales("posto-centro")[:count]), **more)
    return [batch.name for batch in report.sealed]


def journey(net: Network, stick: Path) -> CarryReport:
    """There, an import, and back."""
    net["posto-centro"].carry_out(stick)
    net["matriz"].carry_in(stick)
    net["matriz"].import_()
    net["matriz"].carry_out(stick)
    report = net["posto-centro"].carry_in(stick)
    net["posto-centro"].import_()
    return report


def test_a_stick_takes_a_day_there_and_brings_the_receipt_back(apart: Network, stick: Path) -> None:
    sealed = seal(apart)
    out = apart["posto-centro"].carry_out(stick)
    assert (out.moved["matriz"].batches, out.moved["matriz"].files, out.interrupted) == (1, 2, None)
    assert out.moved["matriz"].bytes == sum(path.stat().st_size for path in cargo_in(mailbox(stick)))
    assert batches(mailbox(stick)) == batches(apart.root / "posto-centro" / "outbox" / "matriz"), (
        "the outbox keeps its files until the receipt"
    )
    waits = apart["posto-centro"].status().outbox[0]
    assert (waits.shipped_at, waits.carried_at) == (None, apart["posto-centro"].context.now())
    assert "on a stick" in waits.waits_for

    taken = apart["matriz"].carry_in(stick)
    assert taken.moved["posto-centro"].batches == 1
    assert names(mailbox(stick)) == [], "what was taken leaves the stick"
    assert apart["posto-centro"].import_().settled == [], "arriving is no receipt"
    applied = apart["matriz"].import_().applied
    assert [batch.name for batch in applied] == sealed
    back = apart["matriz"].carry_out(stick)
    assert (back.moved["posto-centro"].receipts, back.moved["posto-centro"].batches) == (1, 0)
    assert batches(apart.root / "matriz" / "outbox" / "posto-centro") == []
    assert apart["posto-centro"].carry_in(stick).moved["matriz"].receipts == 1
    assert apart["posto-centro"].import_().settled == sealed
    assert apart["posto-centro"].status().outbox == ()
    assert rows(apart["matriz"]) == sorted(sales("posto-centro"), key=lambda sale: str(sale["venda_id"]))


def test_the_carried_note_says_nothing_to_a_link(apart: Network, stick: Path) -> None:
    """Carried and linked: the network does not wait for the stick, and what arrives by both is applied once."""
    seal(apart)
    apart["posto-centro"].carry_out(stick)
    file = apart.root / "posto-centro" / "filesync.toml"
    section = '\n[peers.matriz]\nrole = "matriz"\n'
    text = file.read_text(encoding="utf-8")
    assert text.count(section) == 1
    file.write_text(text.replace(section, section + 'link = "../matriz"\n'), encoding="utf-8")
    apart.reopen("posto-centro")
    apart.turn("posto-centro", "matriz", "posto-centro")
    assert apart["posto-centro"].status().outbox == ()
    apart["matriz"].carry_in(stick)
    assert len(apart["matriz"].import_().replayed) == 1
    assert len(rows(apart["matriz"])) == 12


def test_several_sites_share_a_stick_and_each_takes_its_own(apart: Network, stick: Path) -> None:
    apart.site("posto-praia", Role.POSTO)
    apart.peer("posto-praia", "matriz", Role.MATRIZ)
    seal(apart)
    apart["posto-praia"].seal("vendas", table(sales("posto-praia")))
    (mailbox(stick, "portal", "matriz")).mkdir(parents=True)
    foreign = (
        mailbox(stick, "portal", "matriz") / batches(apart.root / "posto-centro" / "outbox" / "matriz")[0]
    )
    foreign.write_bytes(b"for the portal")
    apart["posto-centro"].carry_out(stick)
    out = apart["posto-praia"].carry_out(stick)
    assert out.for_others == {"matriz": 4, "portal": 1}
    report = apart["matriz"].carry_in(stick)
    assert report.moved["posto-centro"].batches == 1
    assert (report.unknown, report.for_others) == ({"posto-praia": 2}, {"portal": 1})
    assert len(batches(mailbox(stick, sender="posto-praia"))) == 2, (
        "a sender that is no peer yet stays on the stick"
    )
    assert foreign.read_bytes() == b"for the portal"
    apart.peer("matriz", "posto-praia", Role.POSTO)
    apart.reopen("matriz")
    assert apart["matriz"].carry_in(stick).moved["posto-praia"].batches == 1


def test_keep_leaves_everything_and_a_second_time_changes_nothing(apart: Network, stick: Path) -> None:
    sealed = seal(apart)
    apart["posto-centro"].carry_out(stick)
    there = batches(mailbox(stick))
    apart["matriz"].carry_in(stick, keep=True)
    assert batches(mailbox(stick)) == there
    assert apart["matriz"].carry_in(stick, keep=True).moved["posto-centro"].files == 0
    assert len(apart["matriz"].import_().applied) == 1
    apart["matriz"].carry_in(stick, keep=True)
    assert apart["matriz"].import_().replayed == sealed
    apart["matriz"].carry_out(stick)
    apart["posto-centro"].carry_in(stick)
    apart["posto-centro"].import_()
    apart["posto-centro"].carry_out(stick)
    assert batches(mailbox(stick)) == [], (
        "what has its receipt is taken back from the stick by whoever put it there"
    )


def test_only_what_waits_for_the_peer_asked_for_goes(apart: Network, stick: Path) -> None:
    seal(apart)
    apart["matriz"].seal(
        "produtos",
        table([{"origem": "matriz", "codigo": "P1", "descricao": "Caixa", "unidade": "UN", "preco_centavos": 100,
                "vigencia_inicio": "2026-01-01", "ativo": True}], "produtos"),
        to="posto-centro",
    )  # fmt: skip
    apart["posto-centro"].carry_out(stick)
    apart["matriz"].carry_in(stick)
    apart["matriz"].import_()
    apart.site("portal", Role.PORTAL)
    apart.peer("matriz", "portal", Role.PORTAL)
    apart.reopen("matriz")
    assert apart["matriz"].carry_out(stick, "portal").moved == {}
    both = apart["matriz"].carry_out(stick, "posto-centro").moved["posto-centro"]
    assert (both.batches, both.receipts) == (1, 1)
    with pytest.raises(ConfigError, match="no peer is called"):
        apart["matriz"].carry_out(stick, "nobody")


def test_no_stick_is_said_before_anything_is_done(apart: Network, tmp_path: Path) -> None:
    seal(apart)
    for move in (apart["posto-centro"].carry_out, apart["posto-centro"].carry_in):
        with pytest.raises(TransportError, match="stick"):
            move(tmp_path / "nothing-here")
    assert not (tmp_path / "nothing-here").exists(), "a mount point is never made"
    with pytest.raises(ConfigError, match="own folder"):
        apart["posto-centro"].carry_out(apart.root / "posto-centro")


def test_a_copy_that_lies_there_damaged_is_put_there_again(apart: Network, stick: Path) -> None:
    """After a pull the stick may keep a name, and even the size, of what never arrived."""
    seal(apart)
    apart["posto-centro"].carry_out(stick)
    for path in mailbox(stick).iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    half = mailbox(stick).parent / durable.PARTIAL
    half.mkdir(exist_ok=True)
    (half / "posto-centro~old.put").write_bytes(b"half")
    (half / "posto-praia~other.put").write_bytes(b"another site's")
    report = apart["posto-centro"].carry_out(stick)
    assert report.moved["matriz"].files == 2
    assert [path.name for path in half.iterdir()] == ["posto-praia~other.put"]
    outbox = apart.root / "posto-centro" / "outbox" / "matriz"
    for name in batches(outbox):
        assert (mailbox(stick) / name).read_bytes() == (outbox / name).read_bytes()


def test_a_damaged_stick_damages_nothing_else(apart: Network, stick: Path) -> None:
    seal(apart)
    apart["posto-centro"].carry_out(stick)
    payload = next(path for path in mailbox(stick).iterdir() if path.suffix == ".parquet")
    payload.write_bytes(bytes(payload.stat().st_size))
    apart["matriz"].carry_in(stick)
    apart["matriz"].import_()
    assert apart.codes("matriz") == ["damaged"]
    journey(apart, stick)
    assert len(rows(apart["matriz"])) == 12
    assert apart["posto-centro"].status().outbox == ()


def test_a_mount_point_that_stays_behind_is_noticed(
    apart: Network, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulled: the folder is there still, on this computer's own disk, and takes files as if nothing had happened."""
    seal(apart)
    apart.turn("posto-centro")
    devices = iter([1, 2])
    monkeypatch.setattr(carry._Stick, "_look", lambda _: next(devices))
    report = apart["posto-centro"].carry_out(stick)
    assert report.interrupted is not None
    assert report.interrupted.code == "unreachable"
    assert apart["posto-centro"].status().outbox[0].carried_at is None


def test_receipts_are_not_given_away_to_a_stick_that_went(
    apart: Network, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(apart)
    apart["posto-centro"].carry_out(stick)
    apart["matriz"].carry_in(stick)
    apart["matriz"].import_()
    devices = iter([1, 2])
    with monkeypatch.context() as patched:
        patched.setattr(carry._Stick, "_look", lambda _: next(devices))
        assert apart["matriz"].carry_out(stick).interrupted is not None
    assert len(names(apart.root / "matriz" / "outbox" / "posto-centro")) == 1
    shutil.rmtree(stick / "filesync")
    assert apart["matriz"].carry_out(stick).moved["posto-centro"].receipts == 1


# ------------------------------------------------------------------------------------------------ pulled, and powerless


def _loaded(net: Network) -> None:
    """Two batches wait at the posto."""
    _sites(net)
    seal(net, 4)
    seal(net, 6, format=Format.JSONL)
    net.close()


def _whole(stick: Path, net: Network) -> None:
    """Whatever happens: what has a name of ours on the stick is whole, and a manifest has its payload."""
    for recipient, sender in (("matriz", "posto-centro"), ("posto-centro", "matriz")):
        box = mailbox(stick, recipient, sender)
        for name in names(box):
            copies = [*(net.root / sender).rglob(name)]
            assert copies, f"{name} on the stick is nowhere at {sender}"
            assert (box / name).read_bytes() == copies[0].read_bytes(), name


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_cut_anywhere_the_journey_is_made_again(
    network: Network, stick: Path, tmp_path: Path, power: Power, every: int
) -> None:
    _loaded(network)
    whole = network.copy_of(tmp_path / "whole")
    power.steps = 0
    journey(whole, stick)
    last = power.steps
    whole.close()
    assert last > 40
    cuts = 0
    planned = range(1, last + 1, every)
    for number in planned:
        message = f"cut at step {number} of {last}"
        net, pocket = network.copy_of(tmp_path / f"cut-{number}"), tmp_path / f"stick-{number}"
        pocket.mkdir()
        power.steps, power.cut_at, power.after = 0, number, number % 3 == 0
        try:
            journey(net, pocket)
        except PowerCutError:
            cuts += 1
        power.cut_at = None
        net.close()
        _whole(pocket, net)
        journey(net, pocket)
        net["posto-centro"].carry_out(pocket)
        _settled(net, pocket, message)
        net.close()
    assert cuts > len(planned) * 0.9


def _settled(net: Network, stick: Path, message: str) -> None:
    expected = sorted(sales("posto-centro")[:6], key=lambda sale: str(sale["venda_id"]))
    assert rows(net["matriz"]) == expected, message
    assert net["posto-centro"].status().outbox == (), message
    for site in ("matriz", "posto-centro"):
        status = net[site].status()
        assert (status.inbox, status.quarantine) == ((), ()), message
    feed = next(feed for feed in net["posto-centro"].status().feeds if feed.direction == "out")
    assert feed.sealed == feed.settled == feed.applied_through, message
    assert batches(mailbox(stick)) == [], message


class _Pulled:
    """Removes the stick's folder at the n-th file that moves to it or from it."""

    def __init__(self, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stick, self.steps, self.at = stick, 0, 0
        real = durable.replace

        def replace(src: Path, dst: Path, *more: Any) -> None:
            self._step(src, dst)
            real(src, dst, *more)

        monkeypatch.setattr(durable, "replace", replace)
        monkeypatch.setattr(FolderTransport, "get_many", self._before(FolderTransport.get_many))
        monkeypatch.setattr(FolderTransport, "remove_many", self._before(FolderTransport.remove_many))

    def _before(self, do: Any) -> Any:
        def step(link: FolderTransport, items: Any, **more: Any) -> Any:
            self._step(link.root)
            return do(link, items, **more)

        return step

    def _step(self, *paths: Path) -> None:
        if any(path == self.stick or self.stick in path.parents for path in paths):
            self.steps += 1
            if self.steps == self.at:
                shutil.move(self.stick, self.stick.with_name("pulled"))

    def put_back(self) -> None:
        if self.stick.with_name("pulled").exists():
            shutil.move(self.stick.with_name("pulled"), self.stick)


def test_pulled_anywhere_the_command_is_given_again(
    network: Network, tmp_path: Path, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _loaded(network)
    pulled = _Pulled(stick, monkeypatch)
    whole = network.copy_of(tmp_path / "whole")
    journey(whole, stick)
    whole.close()
    last = pulled.steps
    assert last >= 8
    interrupted = 0
    for number in range(1, last + 1):
        shutil.rmtree(stick)
        stick.mkdir()
        net = network.copy_of(tmp_path / f"pulled-{number}")
        pulled.steps, pulled.at = 0, number
        for site, step in (
            ("posto-centro", Station.carry_out), ("matriz", Station.carry_in), ("matriz", Station.carry_out),
            ("posto-centro", Station.carry_in),
        ):  # fmt: skip
            for _ in range(2):  # once more where the stick was pulled
                report = step(net[site], stick)
                if report.interrupted is None:
                    break
                interrupted += 1
                assert report.interrupted.code in ("unreachable", "gone", "failed")
                assert not stick.exists(), "nothing makes the stick's folder anew"
                pulled.put_back()
                _whole(stick, net)
            else:
                pytest.fail(f"pulled at {number}: not finished by the second attempt")
            net[site].import_()
        pulled.put_back()
        _settled(net, stick, f"pulled at step {number} of {last}")
        net.close()
    assert interrupted == last
    assert {parse_file_name(n).kind for n in names(mailbox(stick))} <= {FileKind.RECEIPT}  # type: ignore[union-attr]
