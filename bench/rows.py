"""Made-up rows in any number, vectorised, the same for the same seed.

- `tickets`: flat rows of the bench's own contract (`cupons.v1.json`), ten columns, ids in random order as a till makes them.
- `sales`: whole `vendas` documents with items and payments: a made-up day of the demo, repeated under new ids and numbers.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filesync.contracts import Contract, Registry
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = Path(__file__).with_name("cupons.v1.json")
DAY = date(2024, 5, 6)
ORIGIN = "caixa-01"
CHUNK_ROWS = 65_536
TILLS = 8
#: Distinct sales before the demo's day is repeated.
PATTERN_SALES = 2_000

_FORMS = pa.array(["01", "03", "04", "17", "99"])
_STATES = pa.array(["concluida", "cancelada", "devolucao", "ajuste"])
_HEX = np.frombuffer("".join(f"{n:02x}" for n in range(256)).encode(), np.uint8).reshape(256, 2)
_DASHES = (8, 13, 18, 23)
_HEX_PLACES = [place for place in range(36) if place not in _DASHES]


def contract() -> Contract:
    """The bench's own contract."""
    return Contract.from_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


def tickets(first: int, count: int, *, seed: int = 1, raised_centavos: int = 0) -> pa.Table:
    """Rows `first` to `first + count` of an endless day; equal whatever the pieces are, if `first` is a multiple of `CHUNK_ROWS`.

    `raised_centavos` is added to every total: the same keys with other content.
    """
    pieces = [
        _piece(start, min(CHUNK_ROWS, first + count - start), seed, raised_centavos)
        for start in range(first, first + count, CHUNK_ROWS)
    ]
    return pa.concat_tables(pieces)


def ticket_chunks(count: int, *, seed: int = 1) -> Iterator[pa.Table]:
    """The same rows as a stream of small tables."""
    for start in range(0, count, CHUNK_ROWS):
        yield _piece(start, min(CHUNK_ROWS, count - start), seed, 0)


def _piece(first: int, count: int, seed: int, raised_centavos: int) -> pa.Table:
    rng = np.random.default_rng((seed, first))
    place = np.arange(first, first + count)
    till = place % TILLS
    names = pa.array([f"PDV-{number + 1}" for number in range(TILLS)])
    state = np.searchsorted(np.array([9_300, 9_700, 9_950]), rng.integers(0, 10_000, count), side="right")
    totals = rng.integers(199, 90_000, count)
    totals[state == 2] *= -1
    return pa.table(
        {
            "origem": pa.array([ORIGIN]).take(pa.array(np.zeros(count, np.int32))),
            "venda_id": _uuids(rng, count),
            "caixa": names.take(pa.array(till)),
            "serie": pa.array(["1"]).take(pa.array(np.zeros(count, np.int32))),
            "numero": pa.array(place // TILLS + 1, pa.int64()),
            "data_movimento": pa.repeat(pa.scalar(DAY, pa.date32()), count),
            "registrada_em": _times(place, count),
            "situacao": _STATES.take(pa.array(state)),
            "forma": _FORMS.take(pa.array(rng.integers(0, len(_FORMS), count))),
            "total_centavos": pa.array(totals + raised_centavos, pa.int64()),
        }
    )


def _uuids(rng: np.random.Generator, count: int) -> pa.Array:
    raw = rng.integers(0, 256, (count, 16), np.uint8)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    text = np.full((count, 36), ord("-"), np.uint8)
    text[:, _HEX_PLACES] = _HEX[raw].reshape(count, 32)
    return _fixed(text)


def _times(place: npt.NDArray[np.int64], count: int) -> pa.Array:
    """Moments of the day, in the order of the tickets, over ten opening hours."""
    second = 8 * 3600 + (place // 40) % 36_000
    text = np.empty((count, 25), np.uint8)
    text[:] = np.frombuffer(f"{DAY.isoformat()}T00:00:00-03:00".encode(), np.uint8)
    for at, value in ((11, second // 3600), (14, second // 60 % 60), (17, second % 60)):
        text[:, at] = 48 + value // 10
        text[:, at + 1] = 48 + value % 10
    return _fixed(text)


def _fixed(text: npt.NDArray[np.uint8]) -> pa.Array:
    """A string array out of texts of one length."""
    rows, width = text.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)))


def sales(count: int, *, seed: int = 1, origin: str = ORIGIN) -> pa.Table:
    """`count` documents of `vendas`: all different in id and ticket number, alike in everything else every `PATTERN_SALES`."""
    vendas = vendas_contract()
    documents: list[dict[str, Any]] = sales_of_day(origin, Role.CAIXA, DAY, seed=seed, count=PATTERN_SALES)
    pattern, problems, _ = vendas.from_documents(documents)
    if problems:
        raise AssertionError(f"the demo's sales do not fit the contract: {problems[0]}")
    rounds = -(-count // pattern.num_rows)
    table = pa.concat_tables([pattern] * rounds).slice(0, count).combine_chunks()
    rng = np.random.default_rng((seed, count))
    numbers = pa.array(np.arange(1, count + 1), pa.int64())
    table = table.set_column(table.schema.get_field_index("venda_id"), "venda_id", _uuids(rng, count))
    return table.set_column(table.schema.get_field_index("numero"), "numero", numbers).cast(
        vendas.arrow_schema
    )


def vendas_contract() -> Contract:
    """The real contract of sales."""
    found = Registry.packaged().get("vendas", 1)
    if found is None:
        raise AssertionError("the packaged contracts have no vendas v1")
    return found
