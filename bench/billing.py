"""A matriz' store with a day of postings and the billing rows for it, vectorised: what P13 reconciles.

One posting in each sale, each paid once: more sales to a posting than any shop has. A hundredth of the billed rows have another value, a
two-hundredth are not there, and as many are billed without a code: the passes that follow the first have something to do.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bench.rows import _fixed, _uuids
from filesync.contracts import ColumnType, Contract, Registry
from filesync.protocol.identity import BatchId, BatchName, Feed, Mode, Role
from filesync.protocol.receipt import Verdict
from filesync.stores.sqlite import SqliteStore
from filesync.stores.values import IncomingRecord, Site

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from filesync.contracts import Relation

DAY = date(2024, 5, 6)
AT = "2024-05-07T06:00:00-03:00"
KINDS = ("bdf", "ca")
SITES = 8
DESKS = 49
_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_TYPES = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(),
}


def make_store(path: Path, count: int, *, seed: int = 1) -> None:
    """`count` postings and about as many rows in each file, applied as batches of the day."""
    rng = np.random.default_rng((seed, count))
    place = np.arange(count)
    sale: dict[str, Any] = {
        "origem": pa.array([f"caixa-{n + 1:02d}" for n in range(SITES)]).take(
            pa.array(place * SITES // count)
        ),
        "venda_id": _uuids(rng, count),
    }
    values = pa.array(rng.integers(500, 20_000, count))
    service = pa.array(["03220", "03298", "04162", "10065"]).take(pa.array(rng.integers(0, 4, count)))
    attendance = {
        "sub_caixa": pa.array([str(n + 1) for n in range(DESKS)]).take(pa.array(place % DESKS)),
        "numero_atendimento": pa.array(place // DESKS + 1).cast(pa.string()),
    }
    codes = _codes(rng.permutation(count) + 10_000_000)
    first = _same(1, count)
    line = {
        **sale,
        "numero": first,
        "servico": service,
        "codigo_rastreio": codes,
        "valor_centavos": values,
        **attendance,
    }
    payment = {
        **sale, "numero": first, "valor_centavos": values,
        "forma": pa.array(["01", "03", "17"]).take(pa.array(rng.integers(0, 3, count))),
    }  # fmt: skip
    head = {
        **sale, "caixa": _same("01", count), "serie": _same("1", count), "numero": pa.array(place + 1), "data_movimento": _same(DAY, count),
        "registrada_em": _same(AT, count), "situacao": _same("concluida", count), "total_itens_centavos": _same(0, count),
        "total_postagens_centavos": values, "desconto_centavos": _same(0, count), "total_centavos": values,
    }  # fmt: skip
    line |= {"peso_g": _same(300, count), "cep_destino": _same("01310930", count)}
    billed = {
        "origem": _same("matriz", count), "data": _same(DAY, count), "sequencia": first, "servico": service, "quantidade": first, **attendance,
    }  # fmt: skip
    with SqliteStore.create(path, Site("matriz", Role.MATRIZ, "aaaaaaaa")) as store:
        _apply(store, "vendas", {"vendas": head, "pagamentos": payment, "postagens": line}, count)
        for kind in KINDS:
            other = rng.random(count)
            raised = np.asarray(values) + np.where(other < 0.01, 150, 0)
            code = pa.array(np.where(other > 0.995, None, np.asarray(codes.to_pylist(), object)), pa.string())
            there = pa.array(~((other > 0.01) & (other < 0.015)))
            row = billed | {"codigo_rastreio": code, "valor_cobrado_centavos": pa.array(raised)}
            _apply(store, kind, {kind: row}, count, there)


def _apply(
    store: SqliteStore,
    dataset: str,
    relations: dict[str, dict[str, Any]],
    count: int,
    there: pa.Array | None = None,
) -> None:
    contract = Registry.packaged().latest(dataset)
    if contract is None:
        raise AssertionError(f"no packaged contract for {dataset}")
    tables = {
        relation.name: _table(relation, relations.get(relation.name), count)
        for relation in contract.relations
    }
    if there is not None:
        tables = {name: table.filter(there).combine_chunks() for name, table in tables.items()}
    batch = BatchName(
        BatchId(Feed("matriz" if dataset in KINDS else "caixa-01", dataset, "matriz"), "aaaaaaaa", 1),
        DAY,
        "0" * 12,
    )
    with store.transaction() as tx:
        tx.ensure_tables(contract)
        batch_id = tx.next_batch_id()
        tx.append(contract, tables, batch_id)
        tx.record_incoming([_record(batch_id, batch, contract, count)])


def _record(batch_id: int, batch: BatchName, contract: Contract, count: int) -> IncomingRecord:
    return IncomingRecord(
        batch_id,
        batch,
        contract.version,
        Mode.DELTA,
        f"{batch_id:064x}",
        "0" * 64,
        Verdict.APPLIED,
        "{}",
        AT,
        AT,
        count,
    )


def _table(relation: Relation, given: dict[str, Any] | None, count: int) -> pa.Table:
    """The relation's columns: those given, nulls for the others; no rows where nothing is given."""
    rows = count if given is not None else 0
    return pa.table(
        {
            column.name: (given or {}).get(column.name, pa.nulls(rows, _TYPES[column.type]))
            for column in relation.columns
        }
    )


def _same(value: object, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), count)


def _codes(serials: npt.NDArray[np.int64]) -> pa.Array:
    """S10 codes with their check digits."""
    digits = serials[:, None] // 10 ** np.arange(7, -1, -1) % 10
    rest = (digits * np.array(_WEIGHTS)).sum(axis=1) % 11
    check = np.where(rest == 0, 5, np.where(rest == 1, 0, 11 - rest))
    text = np.empty((len(serials), 13), np.uint8)
    text[:] = np.frombuffer(b"JT00000000_BR", np.uint8)
    text[:, 2:10] = 48 + digits
    text[:, 10] = 48 + check
    return _fixed(text)
