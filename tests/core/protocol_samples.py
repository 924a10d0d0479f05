"""Manifests, receipts and keys that several protocol tests start from."""

from dataclasses import replace
from datetime import date
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filesync.protocol.identity import BatchId, Feed, Format, Mode
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem, Receipt, Verdict
from filesync.protocol.signing import SigningKey

FEED = Feed("caixa-01", "vendas", "matriz")
EPOCH = "k3v7q2ma"

MANIFEST = Manifest(
    id=BatchId(FEED, EPOCH, 12),
    version=1,
    recipients=("matriz",),
    mode=Mode.DELTA,
    business_date=date(2025, 3, 14),
    format=Format.PARQUET,
    payload_bytes=12345,
    payload_sha256="ab" * 32,
    rows={"vendas": 20, "itens": 61, "pagamentos": 22, "postagens": 3},
    totals={"total": 123456, "itens": 122000, "pagamentos": {"01": 100000, "17": 23456}},
    previous="cd" * 32,
    replaces=None,
    sealed_at="2025-03-14T18:02:11-03:00",
    software="filesync 0.1.0",
)

RECEIPT = Receipt(
    batch=MANIFEST.name.stem,
    manifest_sha256="ef" * 32,
    payload_sha256=MANIFEST.payload_sha256,
    recipient="matriz",
    verdict=Verdict.PARTIAL,
    rows={"vendas": 19, "itens": 60, "pagamentos": 21, "postagens": 3},
    totals={"total": 120000, "pagamentos": {"01": 100000, "17": 20000}},
    problems=(
        Problem("row-total", "total_centavos: expected 3456, got 3450", "vendas", 7, "/total_centavos"),
    ),
    applied_through=12,
    missing=(14, 15),
    received_at="2025-03-14T18:05:00-03:00",
    applied_at="2025-03-14T18:05:01.250000-03:00",
    clock="2025-03-14T18:05:01.250000-03:00",
    contract="vendas.v1",
    software="filesync 0.1.0",
)


def manifest(seq: int, previous: str | None, **changes: Any) -> Manifest:
    return replace(MANIFEST, id=BatchId(FEED, EPOCH, seq), previous=previous, **changes)


def key_of(number: int) -> SigningKey:
    """A key that is the same in every run."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))
