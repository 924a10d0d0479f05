"""P1: rows checked against the contract, beside jsonschema and beside masks that a person would write for these ten columns.

Tables come in the chunks in which a station reads them. jsonschema sees a sample; its figure is rows per second like the others.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from jsonschema import Draft202012Validator, FormatChecker

from bench import rows
from bench.clock import Case, rounds
from bench.figures import Part, Sizes, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filesync.contracts import Contract

_ORIGEM = "^[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?$"
_UUID = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
_MOMENT = (
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?"
    "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_STATES = pa.array(["concluida", "cancelada", "devolucao", "ajuste"])
_FORMS = pa.array(["01", "02", "03", "04", "05", "10", "15", "17", "90", "99"])


def by_hand(table: pa.Table) -> pa.ChunkedArray:
    """The rows that keep the contract, in the plain calls of pyarrow.compute."""
    money = table["total_centavos"]
    checks = [
        pc.match_substring_regex(table["origem"], _ORIGEM),
        pc.match_substring_regex(table["venda_id"], _UUID),
        pc.match_substring_regex(table["caixa"], "^[0-9A-Za-z][0-9A-Za-z-]{0,19}$"),
        pc.match_substring_regex(table["serie"], "^[0-9A-Z]{1,3}$"),
        pc.and_(pc.greater_equal(table["numero"], 1), pc.less_equal(table["numero"], 999_999_999)),
        pc.is_valid(table["data_movimento"]),
        pc.match_substring_regex(table["registrada_em"], _MOMENT),
        # A day that the calendar has; where one has not, the cast says so for the whole column.
        pc.is_valid(pc.cast(pc.utf8_slice_codeunits(table["registrada_em"], 0, 10), pa.date32())),
        pc.is_in(table["situacao"], value_set=_STATES),
        pc.is_in(table["forma"], value_set=_FORMS),
        pc.and_(pc.greater_equal(money, -(10**13)), pc.less_equal(money, 10**13)),
    ]
    return pc.fill_null(reduce(pc.and_, checks), fill_value=False)


def run(sizes: Sizes, work: Path) -> Part:
    del work
    contract = rows.contract()
    chunks = list(rows.ticket_chunks(sizes.rows))
    sample = contract.documents(rows.tickets(0, sizes.sample))
    judge = _jsonschema(contract)
    _agree(contract, chunks[0])

    def ours() -> None:
        assert all(contract.validate(chunk).ok for chunk in chunks)

    def hand_written() -> None:
        assert all(pc.all(by_hand(chunk)).as_py() for chunk in chunks)

    def jsonschema() -> None:
        assert all(judge.is_valid(document) for document in sample)

    times = rounds(
        {"ours": _plain(ours), "by hand": _plain(hand_written), "jsonschema": _plain(jsonschema)},
        sizes.rounds,
    )
    part = Part()
    mine = rate(sizes.rows, times.middle("ours"))
    what = f"validate {sizes.rows:,} flat rows"
    slower = times.speed_ratio("ours", "jsonschema") * sizes.rows / sizes.sample
    part.compare(
        "P1",
        what,
        mine,
        f"jsonschema ({sizes.sample:,} of them)",
        rate(sizes.sample, times.middle("jsonschema")),
        slower,
        250,
    )
    hand = times.speed_ratio("ours", "by hand")
    part.compare(
        "P1",
        what,
        mine,
        "hand-written pyarrow.compute masks",
        rate(sizes.rows, times.middle("by hand")),
        hand,
        1 / 1.3,
    )
    part.lines.append(_nested(sizes).lines[0])
    return part


def _nested(sizes: Sizes) -> Part:
    """The real contract: lines, sums of lines, check digits."""
    contract = rows.vendas_contract()
    table = rows.sales(sizes.rows // 10)
    sample = contract.documents(table.slice(0, sizes.sample // 10))
    judge = _jsonschema(contract)

    def ours() -> None:
        assert contract.validate(table).ok

    def jsonschema() -> None:
        assert all(judge.is_valid(document) for document in sample)

    times = rounds({"ours": _plain(ours), "jsonschema": _plain(jsonschema)}, sizes.rounds)
    part = Part()
    part.compare(
        "P1", f"validate {table.num_rows:,} whole vendas (items, payments, rules)", rate(table.num_rows, times.middle("ours"), "docs/s"),
        f"jsonschema ({len(sample):,} of them; no row rules)", rate(len(sample), times.middle("jsonschema"), "docs/s"),
        times.speed_ratio("ours", "jsonschema") * table.num_rows / len(sample),
    )  # fmt: skip
    return part


def _jsonschema(contract: Contract) -> Draft202012Validator:
    """As one would use it: the plain library, with the formats that it knows by itself."""
    return Draft202012Validator(contract.schema, format_checker=FormatChecker())


def _agree(contract: Contract, table: pa.Table) -> None:
    """Both must refuse the same rows, or they would not do the same work."""
    spoiled = {
        "venda_id": "not-a-uuid",
        "serie": "abc",
        "numero": 0,
        "situacao": "vendida",
        "forma": "07",
        "total_centavos": 10**14,
    }
    pieces = []
    for place, (name, value) in enumerate(spoiled.items()):
        row = table.slice(place * 7, 3)
        column = row.column(name)
        wrong = pa.chunked_array([pa.array([column[0].as_py(), value, None], column.type)])
        pieces.append(row.set_column(row.schema.get_field_index(name), name, wrong))
    whole = pa.concat_tables(pieces)
    found = contract.validate(whole).bad
    hand = [not right for right in by_hand(whole).to_pylist()]
    if found is None or found.to_pylist() != hand:
        raise AssertionError("the masks and those by hand do not refuse the same rows")


def _plain(run: Callable[[], None]) -> Case:
    @contextmanager
    def case() -> Iterator[Callable[[], object]]:
        yield run

    return case
