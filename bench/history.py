"""A matriz with a past: so many tills, so many batches decided and settled, nothing to do. Made set-based, straight into the store's tables.

What a turn could be slowed by is there as it would be: receipts of real size, a day's page of steps, heartbeats heard and told, an archive
with a folder for each day. What a turn never looks at (the payloads in the archive) is not.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from bench.clock import say
from filesync import Station, config
from filesync.config.steps import SHIPPED
from filesync.exchange.context import SOFTWARE
from filesync.protocol.envelope import canonical
from filesync.protocol.heartbeat import FeedMark, Heartbeat
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Receipt, Verdict
from filesync.protocol.signing import SigningKey

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.stores.store import Store

ME, EPOCH = "matriz", "k3v7q2ma"
FIRST: Final = date(2026, 1, 5)
ZONE: Final = timezone(timedelta(hours=-3))
#: Each till sends so many batches a day: its sales, and the close.
DATASETS: Final = ("vendas", "fechamento")
#: The matriz sends prices to everybody, so often.
CADASTRO_DAYS: Final = 7
_ROWS_AT_ONCE: Final = 100_000
_DIGEST: Final = "0123456789ab" * 6
_SHA256: Final = _DIGEST[:64]


def till(number: int) -> str:
    return f"caixa-{number:05}"


def make_matriz(root: Path, peers: int, batches: int) -> datetime:
    """Make the site; the moment at which its past ends."""
    Station.init(root, site=ME, role=Role.MATRIZ)
    names = [till(number) for number in range(1, peers + 1)]
    _configure(root, names)
    per_day = len(DATASETS) * peers
    days = [FIRST + timedelta(days=number) for number in range(-(-batches // per_day))]
    for day in days:
        (root / "archive" / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}").mkdir(parents=True)
    now = datetime.combine(max(days, default=FIRST) + timedelta(days=1), datetime.min.time(), ZONE).replace(
        hour=12
    )
    with Station.open(root) as station:
        store = station.context.store
        with store._write():
            _decided(store, names, days, batches)
            _sealed(store, names, days)
            _days(store, days)
            _heard(store, names, len(days), now)
    return now


def _configure(root: Path, names: list[str]) -> None:
    key = SigningKey.generate().public
    pinned = root / "keys" / "peers"
    pinned.mkdir(parents=True)
    for name in names:
        (pinned / f"{name}.pub").write_text(key.to_openssh(name) + "\n", encoding="utf-8")
        for top in ("inbox", "outbox"):
            (root / top / name).mkdir(parents=True)
    peer = config.Peer(role=Role.CAIXA)
    with (root / config.FILE_NAME).open("a", encoding="utf-8") as file:
        file.write("".join(config.render_peer(name, peer) for name in names))


# ------------------------------------------------------------------------------------------------ the ledger


def _decided(store: Store, names: list[str], days: list[date], batches: int) -> None:
    """`fs_feed` and `fs_incoming`: every till's feeds, a batch of each a day."""
    feeds = [(name, dataset) for name in names for dataset in DATASETS]
    count = len(days)
    of_feed = [len(range(place, batches, len(feeds))) for place in range(len(feeds))] if batches else []
    if not count:
        return
    store._db.ingest(
        "fs_feed",
        pa.table(
            {
                "feed_id": pa.array(range(1, len(feeds) + 1)),
                "origin": [origin for origin, _ in feeds],
                "dataset": [dataset for _, dataset in feeds],
                "audience": [ME] * len(feeds),
                "epoch": [EPOCH] * len(feeds),
                "seq": pa.array(of_feed),
                "manifest_sha256": [_SHA256] * len(feeds),
                "batches": pa.array(of_feed),
            }
        ),
    )
    head, tail = _receipt()
    for start in range(0, batches, _ROWS_AT_ONCE):
        ids = pa.array(range(start, min(batches, start + _ROWS_AT_ONCE)))
        feed = pc.subtract(ids, pc.multiply(pc.divide(ids, len(feeds)), len(feeds)))
        seq = pc.add(pc.divide(ids, len(feeds)), 1)
        day = pc.take(pa.array([day.isoformat() for day in days]), pc.divide(ids, len(feeds)))
        stem = pc.binary_join_element_wise(
            pc.take(pa.array([f"{dataset}.{origin}.{ME}.{EPOCH}" for origin, dataset in feeds]), feed),
            pc.utf8_lpad(pc.cast(seq, pa.string()), 10, "0"),
            pc.replace_substring(day, "-", ""),
            _DIGEST[:12],
            ".",
        )
        same = {
            "version": 1, "mode": "delta", "manifest_sha256": _SHA256, "payload_sha256": _SHA256, "verdict": "APPLIED", "received_at": _at(days[0]),
            "applied_at": _at(days[0]), "acknowledged": 1, "documents": 20, "replaces": "", "claims": "",
        }  # fmt: skip
        store._db.ingest(
            "fs_incoming",
            pa.table(
                {
                    "batch_id": pc.add(ids, 1), "feed_id": pc.add(feed, 1), "seq": seq, "name": stem, "business_date": day,
                    "receipt": pc.binary_join_element_wise(head, stem, tail, ""),
                    **{name: pa.repeat(value, len(ids)) for name, value in same.items()},
                }
            ),
        )  # fmt: skip
    say(f"    {batches:,} batches decided")


def _receipt() -> tuple[str, str]:
    """A receipt as it stands in the ledger, cut where the batch's name stands."""
    name = f"vendas.{till(1)}.{ME}.{EPOCH}.{1:010}.{FIRST:%Y%m%d}.{_DIGEST[:12]}"
    forms = dict.fromkeys(("01", "03", "04", "17"), 123_456)
    made = Receipt(
        batch=name, manifest_sha256=_SHA256, payload_sha256=_SHA256, recipient=ME, verdict=Verdict.APPLIED,
        rows={"vendas": 20, "vendas_itens": 41, "vendas_pagamentos": 22, "vendas_postagens": 9},
        totals={"pagamentos": forms, "total": 493_824}, problems=(), applied_through=1, missing=(), received_at=_at(FIRST), applied_at=_at(FIRST),
        clock=_at(FIRST), contract="vendas.v1", software=SOFTWARE,
    )  # fmt: skip
    head, _, tail = canonical(made.to_signed()).decode().partition(name)
    return head, tail


def _sealed(store: Store, names: list[str], days: list[date]) -> None:
    """`fs_outgoing` and `fs_delivery`: prices, to everybody at once, all answered."""
    batches = days[::CADASTRO_DAYS]
    if not batches:
        return
    feed_id = len(names) * len(DATASETS) + 1
    store._db.run(
        "INSERT INTO fs_feed (feed_id, origin, dataset, audience, epoch, seq, manifest_sha256, batches) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)",
        (feed_id, ME, "produtos", "caixas", store.site.epoch, len(batches), _SHA256),
    )  # fmt: skip
    sent = len(batches)
    stems = [
        f"produtos.{ME}.caixas.{store.site.epoch}.{seq:010}.{day:%Y%m%d}.{_DIGEST[:12]}"
        for seq, day in enumerate(batches, 1)
    ]
    manifest = json.dumps({"recipients": names})  # as long as a real one
    store._db.ingest(
        "fs_outgoing",
        pa.table(
            {
                "batch_id": pa.array(range(1, sent + 1)), "feed_id": pa.array([feed_id] * sent), "seq": pa.array(range(1, sent + 1)), "name": stems,
                "business_date": [day.isoformat() for day in batches], "mode": ["delta"] * sent, "format": ["parquet"] * sent,
                "payload_bytes": pa.array([20_000] * sent), "payload_sha256": [_SHA256] * sent, "documents": pa.array([200] * sent),
                "manifest": [manifest] * sent, "manifest_sha256": [_SHA256] * sent, "sealed_at": [_at(day) for day in batches],
                "settled_at": [_at(day) for day in batches],
            }
        ),
    )  # fmt: skip
    head, tail = _receipt()
    for batch_id, (stem, day) in enumerate(zip(stems, batches, strict=True), 1):
        same = {
            "shipped_at": _at(day),
            "verdict": "APPLIED",
            "receipt": head + stem + tail,
            "settled_at": _at(day),
        }
        store._db.ingest(
            "fs_delivery",
            pa.table(
                {
                    "batch_id": pa.repeat(batch_id, len(names)), "recipient": names,
                    **{name: pa.repeat(value, len(names)) for name, value in same.items()},
                }
            ),
        )  # fmt: skip


def _days(store: Store, days: list[date]) -> None:
    """Every day is done with: steps, the journal, and the routine's memo."""
    gates = {step.name: "open" for step in SHIPPED}
    newest = store.days.newest_batch()
    for day in days:
        for step in SHIPPED:
            store.days.mark_done(step.name, day, "filesync", _at(day), {"evidence": "x" * 60})
            store.days.record_event(day, _at(day), "gate-opened", "filesync", {"step": step.name})
        store._db.run(
            "INSERT INTO fs_day_seen (day, seen, gates, settled, numbers, batch_id) VALUES (?1, '', ?2, 1, 0, ?3)",
            (day.isoformat(), json.dumps(gates), newest),
        )


def _heard(store: Store, names: list[str], sealed: int, now: datetime) -> None:
    """Every till was heard a moment ago, in two installations."""
    at = now.isoformat(timespec="seconds")
    feeds = tuple(FeedMark(dataset, ME, sealed, None, sealed) for dataset in DATASETS) if sealed else ()
    rows = []
    for epoch in ("aaaa1111", EPOCH):
        for name in names:
            beat = Heartbeat(
                name, ME, Role.CAIXA, epoch, 7, at, SOFTWARE, 1 << 38, feeds if epoch == EPOCH else (), ("fechamento.v1", "produtos.v1", "vendas.v1")
            )  # fmt: skip
            rows.append((name, epoch, 7, canonical(beat.to_signed()).decode(), at))
    columns = ("peer", "epoch", "counter", "heartbeat", "received_at")
    store._db.ingest("fs_peer", pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))))


def _at(day: date) -> str:
    return f"{day.isoformat()}T18:30:00-03:00"
