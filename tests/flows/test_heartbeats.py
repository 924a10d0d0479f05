"""Heartbeats tell how a peer is, by every kind of link; nothing waits for them, nothing is decided by them, and they let a station rest."""

from __future__ import annotations

import errno
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from network import FakeClock, Network, cargo_in, rows, sales, table

from filesync.exchange.heartbeats import EVERY_S, LEFT_S, NotArrived
from filesync.exchange.station import Station
from filesync.protocol.envelope import decode, encode
from filesync.protocol.heartbeat import HEARTBEAT_BYTES_MAX, FeedMark, Heartbeat
from filesync.protocol.identity import Role, heartbeat_name
from filesync.protocol.signing import SigningKey
from filesync.writers import durable

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.heartbeats import PeerState


def state(net: Network, site: str, peer: str) -> PeerState:
    return next(state for state in net[site].status().peers if state.peer == peer)


def lying(net: Network, site: str, box: str, peer: str, by: str) -> Path:
    return net.root / site / box / peer / heartbeat_name(by)


def write(net: Network, heartbeat: Heartbeat, key: SigningKey | None = None) -> Path:
    """A heartbeat of the till in the matriz' inbox."""
    signed = encode(heartbeat.to_signed(), key or net["caixa-01"].context.settings.key)
    durable.publish(net.root / "matriz" / "inbox" / "caixa-01", heartbeat_name("caixa-01"), signed)
    return lying(net, "matriz", "inbox", "caixa-01", "caixa-01")


def made(net: Network, counter: int = 1, **changes: object) -> Heartbeat:
    signed = {
        "format": 1, "site": "caixa-01", "recipient": "matriz", "role": "caixa", "epoch": net["caixa-01"].context.epoch,
        "counter": counter, "clock": net.clock().isoformat(), "software": f"other {counter}", "free_bytes": None, "feeds": [],
        "contracts": [], "wanted": [],
    }  # fmt: skip
    return Heartbeat.from_signed({**signed, **changes})


def test_both_sides_hear_how_the_other_is(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01", "matriz", "caixa-01")
    pair.turn("matriz")
    at_matriz = state(pair, "matriz", "caixa-01")
    assert at_matriz.last_contact == pair["matriz"].context.now()
    assert (at_matriz.role, at_matriz.epoch) == (Role.CAIXA, pair["caixa-01"].context.epoch)
    assert at_matriz.software is not None
    assert at_matriz.software.startswith("filesync ")
    assert at_matriz.free_bytes is not None
    assert at_matriz.skew_s == 0
    assert "vendas.v1" in at_matriz.contracts
    assert at_matriz.feeds == (FeedMark("vendas", "matriz", 1, None, 1),)
    assert at_matriz.not_arrived == ()
    at_caixa = state(pair, "caixa-01", "matriz")
    assert (at_caixa.role, at_caixa.feeds) == (Role.MATRIZ, ()), "the passive side's is pulled"
    for site, peer in (("caixa-01", "matriz"), ("matriz", "caixa-01")):
        for box in ("inbox", "outbox"):
            assert not lying(pair, site, box, peer, peer if box == "inbox" else site).exists()


def test_a_turn_without_news_writes_nothing_and_is_quiet(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.until_quiet("caixa-01", "matriz")
    pair.until_quiet("caixa-01", "matriz")
    counters = [pair[site].context.store.told() for site in ("caixa-01", "matriz")]
    for _ in range(3):
        pair.clock.advance(seconds=EVERY_S / 4)
        assert all(report.quiet for report in pair.turn("caixa-01", "matriz"))
    assert [pair[site].context.store.told() for site in ("caixa-01", "matriz")] == counters


def test_without_news_one_is_told_now_and_then_and_that_is_quiet_too(pair: Network) -> None:
    pair.until_quiet("caixa-01", "matriz")
    before = pair["caixa-01"].context.store.told()["matriz"].counter
    pair.clock.advance(seconds=EVERY_S)
    assert all(report.quiet for report in pair.turn("caixa-01", "matriz", "caixa-01", "matriz"))
    assert pair["caixa-01"].context.store.told()["matriz"].counter == before + 1
    assert state(pair, "matriz", "caixa-01").last_contact == pair["matriz"].context.now()
    pair.clock.advance(seconds=-5 * EVERY_S)
    pair.turn("caixa-01")
    assert pair["caixa-01"].context.store.told()["matriz"].counter == before + 2, (
        "a clock that was put back is no reason to be silent"
    )


def test_what_left_and_was_not_answered_is_told_once(pair: Network) -> None:
    """A batch that is lost on its way was sent: its recipient need not take it for one that never left."""
    pair.until_quiet("caixa-01", "matriz")
    till = pair["caixa-01"]

    def told() -> int:
        return till.context.store.told()["matriz"].counter

    till.seal("vendas", table(sales()))
    till.turn()
    for path in pair.inbox("matriz", "caixa-01"):
        path.unlink()  # lost
    pair.turn("matriz")
    assert [mark.shipped for mark in state(pair, "matriz", "caixa-01").feeds] == [0], (
        "it left after its heartbeat"
    )
    before = told()
    pair.clock.advance(seconds=LEFT_S - 1)
    till.turn(skip_links={"matriz"})  # the line is dead from now on
    assert told() == before, "not at once: a receipt may come"
    pair.clock.advance(seconds=1)
    for _ in range(4):
        till.turn(skip_links={"matriz"})
        pair.clock.advance(seconds=LEFT_S)
    assert told() == before + 1, "once"
    till.exchange("matriz")
    for path in pair.inbox("matriz", "caixa-01"):
        path.unlink()  # lost again, but for the heartbeat
    pair.turn("matriz")
    assert [mark.shipped for mark in state(pair, "matriz", "caixa-01").feeds] == [1]
    pair.until_quiet("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == len(sales())
    quiet = told()
    for _ in range(4):
        pair.clock.advance(seconds=LEFT_S)
        assert pair["caixa-01"].turn().quiet
    assert told() == quiet


def test_two_stations_that_wake_each_other_come_to_rest(pair: Network) -> None:
    """A daemon turns when something arrives: here each file that appears in the other's inbox or outbox is a wake-up."""
    pair["caixa-01"].seal("vendas", table(sales()))
    woken = {"caixa-01"}
    turns = 0
    while woken and turns < 20:
        turns += 1
        site = woken.pop()
        other = "matriz" if site == "caixa-01" else "caixa-01"
        before = _seen(pair)
        pair.turn(site)
        if _seen(pair) - before:
            woken.add(other)
    assert turns < 12


def _seen(net: Network) -> set[tuple[Path, int, int]]:
    """Files with their identity: an overwritten one is another."""
    found = [path for box in ("inbox", "outbox") for path in net.root.glob(f"*/{box}/[!.]*/*")]
    return {(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_what_is_sealed_there_and_has_not_arrived_is_said(pair: Network) -> None:
    till = pair["caixa-01"]
    for count in range(1, 5):
        till.seal("vendas", table(sales(count=12)[: 3 * count]))
    till.turn()
    held = [
        path
        for path in pair.inbox("matriz", "caixa-01")
        if ".0000000002." in path.name or ".0000000004." in path.name
    ]
    for path in held:
        path.unlink()
    pair["matriz"].import_()
    late = state(pair, "matriz", "caixa-01").not_arrived
    assert late == (NotArrived("vendas.caixa-01.matriz", 2, 2, 4),), (
        "number 3 lies in the inbox and waits for 2"
    )
    pair.until_quiet("caixa-01", "matriz")
    assert state(pair, "matriz", "caixa-01").not_arrived == ()
    assert len(rows(pair["matriz"])) == 12


def test_by_relay_and_by_stick(network: Network, tmp_path: Path) -> None:
    (network.root / "relay").mkdir(parents=True)
    for name, role in (("matriz", Role.MATRIZ), ("posto-centro", Role.POSTO), ("posto-praia", Role.POSTO)):
        network.site(name, role)
    network.peer("posto-centro", "matriz", Role.MATRIZ, link="../relay", relay=True)
    network.peer("matriz", "posto-centro", Role.POSTO, link="../relay", relay=True)
    network.peer("posto-praia", "matriz", Role.MATRIZ)
    network.peer("matriz", "posto-praia", Role.POSTO)
    network.turn("posto-centro", "matriz", "posto-centro")
    assert state(network, "matriz", "posto-centro").last_contact
    assert state(network, "posto-centro", "matriz").last_contact
    assert cargo_in(network.root / "relay" / "matriz" / "inbox" / "posto-centro") == []

    stick = tmp_path / "stick"
    stick.mkdir()
    network["posto-praia"].seal("vendas", table(sales("posto-praia")))
    network["posto-praia"].carry_out(stick)
    network.clock.advance(days=2)
    report = network["matriz"].carry_in(stick)
    assert (report.strangers, report.moved["posto-praia"].files) == ([], 2), "a heartbeat is no cargo"
    network["matriz"].import_()
    heard = state(network, "matriz", "posto-praia")
    assert heard.skew_s == -2 * 86_400
    network["matriz"].carry_out(stick)
    network["posto-praia"].carry_in(stick)
    network["posto-praia"].import_()
    assert state(network, "posto-praia", "matriz").last_contact
    assert not list(stick.rglob("heartbeat.*")), (
        "not for posto-centro either: alone it is not worth a journey"
    )
    assert lying(network, "posto-praia", "outbox", "matriz", "posto-praia").exists(), (
        "a copy went: another way may be quicker"
    )


def test_a_clock_that_is_ahead_is_seen(pair: Network) -> None:
    pair.stations["caixa-01"] = Station.open(
        pair.root / "caixa-01", clock=FakeClock(pair.clock.now + timedelta(minutes=7))
    )
    pair.turn("caixa-01", "matriz")
    assert state(pair, "matriz", "caixa-01").skew_s == 420


def test_an_older_one_that_comes_late_changes_nothing(pair: Network) -> None:
    for counter, known in ((5, 5), (4, 5), (5, 5), (6, 6)):
        path = write(pair, made(pair, counter))
        assert pair["matriz"].import_().set_aside == []
        assert not path.exists()
        assert state(pair, "matriz", "caixa-01").software == f"other {known}"
    first = state(pair, "matriz", "caixa-01").last_contact
    pair.clock.advance(hours=1)
    write(pair, made(pair, 6, clock="2026-03-02T18:30:00-03:00"))
    pair["matriz"].import_()
    assert state(pair, "matriz", "caixa-01").last_contact == first, "the same one again is no contact"


def test_another_installation_counts_from_the_beginning_and_the_old_one_does_not_come_back(
    pair: Network,
) -> None:
    for counter, epoch, software in (
        (90, "aaaaaaaa", "old"),
        (1, "bbbbbbbb", "new"),
        (91, "aaaaaaaa", "old"),
    ):
        write(pair, made(pair, counter, epoch=epoch, software=software))
        pair["matriz"].import_()
    assert state(pair, "matriz", "caixa-01").software == "new"
    for number in range(9):
        write(pair, made(pair, 1, epoch=f"ccccccc{number}"))
        pair["matriz"].import_()
    assert state(pair, "matriz", "caixa-01").epoch == "ccccccc8"
    kept = pair["matriz"].context.store._db.select("SELECT count(*) FROM fs_peer")
    assert kept == [(4,)], "bounded, however often a site is installed"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("another's", "heartbeat-foreign"), ("for another", "heartbeat-foreign"), ("wrong key", "signature-foreign"), ("no key", "signature-missing"),
        ("changed", "signature-wrong"), ("noise", "heartbeat-unreadable"), ("no heartbeat", "heartbeat-invalid"), ("huge", "oversized"),
    ],
)  # fmt: skip
def test_one_that_cannot_be_believed_is_set_aside_and_stops_nothing(
    pair: Network, what: str, code: str
) -> None:
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01")
    path = write(pair, made(pair))
    key = pair["caixa-01"].context.settings.key
    signed = decode(path.read_bytes()).signed
    data = {
        "another's": encode({**signed, "site": "caixa-02"}, key),
        "for another": encode({**signed, "recipient": "portal"}, key),
        "wrong key": encode(signed, SigningKey.generate()),
        "no key": encode(signed, None),
        "changed": path.read_bytes().replace(b"other 1", b"other 2"),
        "noise": b"\x00" * 100,
        "no heartbeat": encode({**signed, "pulse": 60}, key),
        "huge": b" " * (HEARTBEAT_BYTES_MAX + 1),
    }[what]
    path.write_bytes(data)
    report = pair["matriz"].turn()
    assert [held.code for held in report.imported.set_aside] == [code]
    assert len(report.imported.applied) == 1
    assert pair.codes("matriz") == [code]
    assert not path.exists()
    assert state(pair, "matriz", "caixa-01").last_contact is None
    assert pair["matriz"].turn().quiet


def test_one_of_the_future_waits_and_is_overwritten(pair: Network) -> None:
    path = write(pair, made(pair))
    signed = {**decode(path.read_bytes()).signed, "format": 2, "pulse": 60}
    path.write_bytes(encode(signed, pair["caixa-01"].context.settings.key))
    assert pair["matriz"].turn().quiet
    assert path.exists()
    pair.turn("caixa-01", "matriz")
    assert not path.exists()
    assert state(pair, "matriz", "caixa-01").last_contact


def test_a_full_disk_keeps_no_batch_back(pair: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    pair["caixa-01"].seal("vendas", table(sales()))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("filesync.exchange.heartbeats.durable.publish", full)
        assert pair["caixa-01"].turn().exchange.shipped == {"matriz": 2}
    pair.turn("caixa-01", "matriz")
    assert state(pair, "matriz", "caixa-01").last_contact


def test_a_peer_that_sends_none_is_as_good_as_any(pair: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filesync.exchange.station.beat", lambda *_: None)
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01", "matriz", "caixa-01")
    status = pair["matriz"].status()
    assert [(peer.peer, peer.last_contact) for peer in status.peers] == [("caixa-01", None)]
    assert pair["caixa-01"].status().outbox == ()


def test_names_of_others_heartbeats_are_strangers(pair: Network) -> None:
    foreign = lying(pair, "matriz", "inbox", "caixa-01", "caixa-02")
    durable.publish(foreign.parent, foreign.name, b"{}")
    assert [(item.name, item.state) for item in pair["matriz"].status().inbox] == [(foreign.name, "stranger")]
    pair["matriz"].turn()
    assert foreign.exists()


def test_a_group_is_told_only_what_is_for_each(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    for till in ("caixa-01", "caixa-02"):
        network.site(till, Role.CAIXA)
        network.peer("matriz", till, Role.CAIXA, link=f"../{till}")
        network.peer(till, "matriz", Role.MATRIZ)
    goods = {"origem": "matriz", "codigo": "P1", "descricao": "Caixa", "unidade": "UN", "preco_centavos": 100, "vigencia_inicio": "2026-01-01", "ativo": True}  # fmt: skip
    network["matriz"].seal("produtos", table([goods], "produtos"), full=True)
    network["matriz"].seal("produtos", table([{**goods, "codigo": "P2"}], "produtos"), to="caixa-02")
    network.turn("matriz", "caixa-01", "caixa-02")
    assert state(network, "caixa-01", "matriz").feeds == (FeedMark("produtos", "caixas", 1, 1),)
    assert state(network, "caixa-02", "matriz").feeds == (
        FeedMark("produtos", "caixa-02", 1, 1), FeedMark("produtos", "caixas", 1, 1),
    )  # fmt: skip
    network.turn("matriz", "caixa-01")
    assert state(network, "caixa-01", "matriz").feeds == (FeedMark("produtos", "caixas", 1, None, 1),)


def test_a_crash_between_the_file_and_the_ledger_tells_it_again(
    pair: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutError(BaseException):
        pass

    def cut(*_: object) -> None:
        raise CutError

    with monkeypatch.context() as patched:
        patched.setattr(type(pair["caixa-01"].context.store), "record_told", cut)
        with pytest.raises(CutError):
            pair["caixa-01"].turn()
    pair.reopen("caixa-01")
    pair.turn("caixa-01", "matriz")
    assert state(pair, "matriz", "caixa-01").last_contact
    assert json.loads(json.dumps(pair["caixa-01"].context.store.told()["matriz"].counter)) == 1
