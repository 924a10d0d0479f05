"""Contracts, documents and ledger records that the store's tests start from. On which databases they run: store_engines.py."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from filesync.contracts import Contract
from filesync.protocol.identity import BatchId, BatchName, Feed, Format, Mode, Role
from filesync.protocol.receipt import Verdict
from filesync.stores.values import IncomingRecord, OutgoingRecord, Site

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from filesync.stores.store import Store

MATRIZ = Site("matriz", Role.MATRIZ, "aaaaaaaa")
EPOCH, OTHER_EPOCH = "k3v7q2ma", "zz7q2mk3"
FEED = Feed("caixa-01", "sales", "matriz")
DAY = date(2026, 3, 2)
AT = "2026-03-02T18:00:00-03:00"

_TEXT = {"type": "string"}
_INTEGER = {"type": "integer", "minimum": -(2**53 - 1), "maximum": 2**53 - 1}


def contract(
    *, version: int = 1, versao: bool = True, key: Sequence[str] = ("origem", "id"), **more: Any
) -> Contract:
    """Documents of every column type with two kinds of lines; `more` are further properties."""
    line = {"type": "object", "additionalProperties": False, "required": ["numero"]}
    properties = {
        "origem": _TEXT, "id": _TEXT, **({"versao": {"type": "integer", "minimum": 0, "maximum": 1000}} if versao else {}),
        "dia": {"type": "string", "format": "date"}, "valor_centavos": _INTEGER, "nota": _TEXT, "ativo": {"type": "boolean"}, **more,
        "itens": {"type": "array", "items": {**line, "properties": {"numero": _INTEGER, "produto": _TEXT, "total_centavos": _INTEGER}}},
        "formas": {"type": "array", "items": {**line, "properties": {"numero": _INTEGER, "forma": _TEXT}}},
    }  # fmt: skip
    annotations = {
        "dataset": "sales", "version": version, "key": list(key), "lines": {"itens": ["numero"], "formas": ["numero"]},
        "active": "ativo", "business_date": "dia", "totals": {"valor": {"sum": "valor_centavos"}},
        "on_bad_rows": "quarantine", **({"version_column": "versao"} if versao else {}),
    }  # fmt: skip
    return Contract.from_schema(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sales", "type": "object", "additionalProperties": False,
            "required": [*key, "dia", "ativo"], "properties": properties, "x-filesync": annotations,
        }
    )  # fmt: skip


def document(number: int | str, **members: Any) -> dict[str, Any]:
    """A document with two lines of one kind and one of the other."""
    return {
        "origem": "caixa-01", "id": str(number), "dia": DAY.isoformat(), "valor_centavos": 1050, "ativo": True,
        "itens": [{"numero": 1, "produto": "selo", "total_centavos": 50}, {"numero": 2, "produto": "caixa", "total_centavos": 1000}],
        "formas": [{"numero": 1, "forma": "17"}],
        **members,
    }  # fmt: skip


def table(made: Contract, documents: Sequence[dict[str, Any]]) -> pa.Table:
    converted, problems, kept = made.from_documents(documents)
    assert not problems
    assert len(kept) == len(documents)
    return converted


def flat(made: Contract, documents: Sequence[dict[str, Any]]) -> dict[str, pa.Table]:
    return made.flatten(table(made, documents))


def held(store: Store, made: Contract, **chosen: Any) -> list[dict[str, Any]]:
    """What the store holds, as documents in key order."""
    return [found for chunk in store.read_documents(made, **chosen) for found in made.documents(chunk)]


def name(
    seq: int, *, feed: Feed = FEED, epoch: str = EPOCH, day: date = DAY, digest: str = "0" * 12
) -> BatchName:
    return BatchName(BatchId(feed, epoch, seq), day, digest)


def incoming(batch_id: int, batch: BatchName, **changes: Any) -> IncomingRecord:
    values: dict[str, Any] = {
        "batch_id": batch_id, "batch": batch, "version": 1, "mode": Mode.DELTA, "manifest_sha256": f"{batch.id.seq:064x}",
        "payload_sha256": "b" * 64, "verdict": Verdict.APPLIED, "receipt": f'{{"batch":"{batch}","é":"ç"}}', "received_at": AT,
        "applied_at": AT, "documents": 1, **changes,
    }  # fmt: skip
    return IncomingRecord(**values)


def outgoing(batch: BatchName, recipients: Sequence[str] = ("portal",), **changes: Any) -> OutgoingRecord:
    values: dict[str, Any] = {
        "name": batch, "mode": Mode.DELTA, "format": Format.PARQUET, "recipients": tuple(recipients), "payload_bytes": 10,
        "payload_sha256": "c" * 64, "documents": 1, "manifest": f'{{"batch":"{batch}"}}', "manifest_sha256": f"{batch.id.seq:064x}",
        "sealed_at": AT, **changes,
    }  # fmt: skip
    return OutgoingRecord(**values)


def digests(entries: Sequence[tuple[bytes, bytes]]) -> pa.Table:
    """(key digest, content digest) pairs as `unsealed` and `record_sealed` take them."""
    return pa.table(
        {
            "key_digest": pa.array([key for key, _ in entries], pa.binary(16)),
            "content_digest": pa.array([content for _, content in entries], pa.binary(16)),
            "row": pa.array(np.arange(len(entries))),
        }
    )


def bare(path: Path) -> Any:
    """A connection to an embedded store beside the store's own, for what a test does behind its back."""
    import adbc_driver_sqlite.dbapi as adbc_sqlite

    return adbc_sqlite.connect(str(path), autocommit=True)
