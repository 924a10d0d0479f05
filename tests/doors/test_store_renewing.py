"""A new epoch in a store that was put back from a backup: numbers begin again, what was decided stays, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store_samples import AT, MATRIZ, digests, name, outgoing

from filesync.protocol.admission import Standing
from filesync.protocol.identity import Feed

if TYPE_CHECKING:
    from store_engines import Home

PRODUCTS, SALES = Feed("matriz", "produtos", "caixas"), Feed("matriz", "vendas", "portal")
DOCUMENT = [(b"k" * 16, b"c" * 16)]


def test_numbers_begin_again_and_memory_of_snapshots_goes(home: Home) -> None:
    with home.create() as store:
        for feed in (PRODUCTS, SALES):
            sealed = name(1, feed=feed, epoch=MATRIZ.epoch)
            store.record_sealed([outgoing(sealed, ["caixa-01"], digests=digests(DOCUMENT))])
        store.record_captured("drop/vendas.jsonl", "a" * 64, "b" * 64, "complete", AT)
        store.renew("bbbbbbbb", '{"reason": "a backup"}', {"produtos"})
        assert store.site.epoch == "bbbbbbbb"
    with home.open() as store:
        assert store.site.epoch == "bbbbbbbb"
        assert store.head("produtos", "caixas") is None
        assert store.own_heads() == {}
        assert store.unsealed("produtos", "caixas", digests(DOCUMENT)).num_rows == 1, "sent whole again"
        assert store.unsealed("vendas", "portal", digests(DOCUMENT)).num_rows == 0, "days stay closed"
        assert store.captured("drop/vendas.jsonl") is None
        assert len(store.outgoing_open()) == 2, "what was on its way stays so"
        sealed = name(1, feed=PRODUCTS, epoch="bbbbbbbb")
        store.record_sealed([outgoing(sealed, ["caixa-01"])])
        assert store.head("produtos", "caixas") == Standing(1, f"{1:064x}")
        assert store.forked() == []
