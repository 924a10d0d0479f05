"""What `filesync status` says of the peers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cli_shop import Shop, open_shop

from filesync.cli.looking import peer_lines
from filesync.exchange.heartbeats import NotArrived, PeerState

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path / "shop")


def test_status_names_the_peers_that_were_heard(shop: Shop) -> None:
    shop.sell()
    assert "Peers:" not in shop.at_matriz("status").out
    shop.at_caixa("turn")
    payload = next((shop.matriz / "inbox" / "caixa-01").glob("*.parquet"))
    for path in payload.parent.glob("vendas.*"):
        path.unlink()
    shop.at_matriz("import")
    out = shop.at_matriz("status").out
    assert "caixa-01: last contact just now, filesync " in out
    assert " free\n" in out
    assert "1 batch was sealed there that has not arrived: vendas.caixa-01.matriz, no. 1" in out
    (peer,) = shop.at_matriz("status", "--json").json["peers"]
    assert (peer["peer"], peer["role"], peer["not_arrived"]) == (
        "caixa-01", "caixa", [{"feed": "vendas.caixa-01.matriz", "count": 1, "first": 1, "last": 1}],
    )  # fmt: skip
    assert peer["feeds"] == [
        {"dataset": "vendas", "audience": "matriz", "sealed": 1, "oldest_open": 1, "shipped": 0}
    ]


def test_a_line_each_for_what_is_odd() -> None:
    heard = PeerState(
        "posto",
        last_contact="2026-03-02T11:55:00+00:00",
        software="filesync 0.1.0",
        free_bytes=12_000_000_000,
        skew_s=30,
    )
    assert peer_lines(heard, MOMENT) == ["posto: last contact 5 min ago, filesync 0.1.0, 12 GB free"]
    ahead = PeerState("posto", last_contact="2026-03-02T11:55:00+00:00", skew_s=420)
    assert peer_lines(ahead, MOMENT)[1:] == ["  its clock is 7 min ahead of ours"]
    behind = PeerState("posto", last_contact="2026-03-02T11:55:00+00:00", skew_s=-172_800)
    assert peer_lines(behind, MOMENT)[1].startswith("  its clock was 48 h behind ours when this came")
    late = PeerState(
        "posto",
        last_contact="2026-03-02T11:55:00+00:00",
        not_arrived=(NotArrived("vendas.posto.matriz", 12, 4, 15),),
    )
    assert peer_lines(late, MOMENT)[1:] == [
        "  12 batches were sealed there that have not arrived: vendas.posto.matriz, no. 4-15"
    ]
    assert peer_lines(PeerState("silent"), MOMENT) == []
