"""Reconciliation in the store: the set-based SQL says what matching row by row says, and a result knows when it no longer holds."""

from __future__ import annotations

import itertools
import re
import uuid
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reconciling_reference import reference
from store_samples import AT, flat

from filesync.contracts import Contract, Registry
from filesync.demo.billing import Difference as Planted
from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import BatchId, BatchName, Feed, Mode, Role
from filesync.protocol.receipt import Verdict
from filesync.stores import matching, reconciling
from filesync.stores.database import QUERIES
from filesync.stores.matching import STEPS
from filesync.stores.reconciled import Colour, Difference, Dimension, Found, How, Line, State
from filesync.stores.values import IncomingRecord, RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from store_engines import Home

    from filesync.stores.store import Store

Document = dict[str, Any]
DAY, TOMORROW = date(2026, 3, 2), date(2026, 3, 3)
KINDS = ("bdf", "ca")


def contract(dataset: str) -> Contract:
    found = Registry.packaged().latest(dataset)
    assert found is not None
    return found


CONTRACTS = {dataset: contract(dataset) for dataset in ("vendas", *KINDS)}


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


_seqs = itertools.count(1)


def apply(
    store: Store,
    dataset: str,
    documents: Sequence[Document],
    day: date = DAY,
    verdict: Verdict = Verdict.APPLIED,
) -> None:
    """A batch of the day, as importing leaves it: rows and ledger row in one transaction."""
    feed = Feed("caixa-01" if dataset == "vendas" else "matriz", dataset, "matriz")
    made = CONTRACTS[dataset]
    batch = BatchName(BatchId(feed, "k3v7q2ma", next(_seqs)), day, "0" * 12)
    with store.transaction() as tx:
        tx.ensure_tables(made)
        batch_id = tx.next_batch_id()
        if documents and verdict is not Verdict.REJECTED:
            tx.merge(made, [flat(made, list(documents))], batch_id, RowOrder(feed, "k3v7q2ma"))
        tx.record_incoming(
            [
                IncomingRecord(
                    batch_id, batch, 1, Mode.DELTA, f"{batch.id.seq:064x}", "b" * 64, verdict, "{}", AT, AT, len(documents)
                )
            ]
        )  # fmt: skip


def sale(number: int, *postings: Document, day: date = DAY, **changes: Any) -> Document:
    total = sum(posting["valor_centavos"] for posting in postings)
    lines = [{"numero": place, **posting} for place, posting in enumerate(postings, 1)]
    return {
        "origem": "caixa-01", "venda_id": str(uuid.UUID(int=number)), "caixa": "01", "serie": "1", "numero": number,
        "data_movimento": day.isoformat(), "registrada_em": f"{day}T10:00:00-03:00", "situacao": "concluida",
        "total_itens_centavos": 0, "total_postagens_centavos": total, "desconto_centavos": 0, "total_centavos": total,
        "pagamentos": [{"numero": 1, "forma": "17", "valor_centavos": total}], **({"postagens": lines} if lines else {}), **changes,
    }  # fmt: skip


def posting(code: str, value: int, **changes: Any) -> Document:
    return {
        "codigo_rastreio": code, "servico": "03220", "peso_g": 100, "cep_destino": "01310930", "valor_centavos": value,
        "sub_caixa": "1", "numero_atendimento": "7", **changes,
    }  # fmt: skip


def billed(sequence: int, value: int, code: str | None = None, day: date = DAY, **changes: Any) -> Document:
    return {
        "origem": "matriz", "data": day.isoformat(), "sub_caixa": "1", "numero_atendimento": "7", "sequencia": sequence,
        "servico": "03220", "quantidade": 1, "valor_cobrado_centavos": value, **({"codigo_rastreio": code} if code else {}), **changes,
    }  # fmt: skip


A, B, C = "JT365572014BR", "JT100000012BR", "QB000000005BR"


def plain(line: Line) -> tuple[Any, ...]:
    """A line as the reference has it."""
    sides = tuple(
        None if side is None else (
            side.state.value, side.how and side.how.value, tuple(word.value for word in side.differs), side.row, side.quantidade,
            side.valor_centavos,
        )
        for side in (line.bdf, line.ca)
    )  # fmt: skip
    return (
        line.colour.value, line.site, line.ticket, line.venda_id, line.posting, line.codigo_rastreio, line.servico, line.contrato,
        line.sub_caixa, line.numero_atendimento, line.forma, line.valor_centavos, *sides,
    )  # fmt: skip


def lines(store: Store, day: date = DAY) -> list[Line]:
    return list(store.reconciling.lines(day))


def reconciled(
    store: Store,
    sales: Sequence[Document],
    bdf: Sequence[Document] | None = None,
    ca: Sequence[Document] | None = None,
    day: date = DAY,
    **more: Any,
) -> list[Line]:
    apply(store, "vendas", sales, day)
    for kind, rows in zip(KINDS, (bdf, ca), strict=True):
        if rows is not None:
            apply(store, kind, rows, day)
    store.reconciling.reconcile(day, AT, **more)
    return lines(store, day)


# ---------------------------------------------------------------------------------------------------- by hand and by SQL

_attendances = st.fixed_dictionaries(
    {}, optional={"sub_caixa": st.sampled_from(["1", "01", "2"]), "numero_atendimento": st.sampled_from(["7", "07", "8"])}
)  # fmt: skip
_contracts = st.fixed_dictionaries({}, optional={"contrato": st.sampled_from(["9992157880", "9999999999"])})
_postings = st.tuples(
    st.sampled_from([A, B, C]), st.sampled_from([0, 100, 200, 300]), st.sampled_from(["03220", "03298"]), _attendances, _contracts,
).map(lambda t: posting(t[0], t[1], servico=t[2]) | {"sub_caixa": None, "numero_atendimento": None} | t[3] | t[4]).map(
    lambda p: {name: value for name, value in p.items() if value is not None}
)  # fmt: skip
_payments = st.lists(st.sampled_from(["01", "17"]), max_size=2).map(
    lambda forms: [
        {"numero": place, "forma": form, "valor_centavos": 1} for place, form in enumerate(forms, 1)
    ]
)
_sales = st.lists(
    st.tuples(
        st.lists(_postings, max_size=4), st.sampled_from(["caixa-01", "posto-centro"]),
        st.sampled_from(["concluida", "concluida", "ajuste", "cancelada"]), _payments,
    ),
    max_size=5,
)  # fmt: skip
_strange = st.lists(
    st.tuples(
        st.sampled_from([A, B, C, None, None, None]), st.sampled_from([-200, -100, 0, 100, 100, 200, 200, 300, 400, 600]),
        st.integers(0, 3), st.sampled_from(["03220", "03298"]), st.sampled_from(["1", "01", "2"]), st.sampled_from(["7", "8"]),
        _contracts, st.sampled_from(["matriz", "matriz", "outra"]),
    ),
    max_size=6,
)  # fmt: skip
#: What becomes of a posting in a file, as changes of the row that bills it rightly; None for a value takes the column away.
_CHANGES: list[list[Document]] = [
    [{}],
    [{"codigo_rastreio": None}],
    [{"codigo_rastreio": None}],
    [{"codigo_rastreio": None, "numero_atendimento": "99"}],
    [{"codigo_rastreio": None, "raise": 100}],
    [{"codigo_rastreio": None, "servico": "10065"}],
    [{"raise": 100}],
    [{}, {}],
    [{}, {"reverse": True}],
    [{}, {}, {"reverse": True}],
    [{"codigo_rastreio": None}, {"codigo_rastreio": None, "reverse": True}],
    [],
]
_fates = st.lists(st.sampled_from(_CHANGES), min_size=20, max_size=20)
_file = st.none() | st.tuples(_strange, _fates)


def rows_of(
    drawn: tuple[list[tuple[Any, ...]], list[list[Document]]] | None, sales: list[Document], day: date
) -> list[Document] | None:
    """The rows of a file: what became of the postings, and strange ones besides."""
    if drawn is None:
        return None
    strange, fates = drawn
    rows = [
        billed(0, value, code, day, quantidade=quantity, servico=service, sub_caixa=sub, numero_atendimento=number, origem=origem) | contract
        for code, value, quantity, service, sub, number, contract, origem in strange
    ]  # fmt: skip
    postings = [line for sold in sales for line in sold.get("postagens", [])]
    for line, fate in zip(postings, fates, strict=False):
        kept = ("servico", "contrato", "sub_caixa", "numero_atendimento")
        right = billed(0, line["valor_centavos"], line["codigo_rastreio"], day) | {
            name: line[name] for name in kept if name in line
        }
        for change in fate:
            row = {**right, **change}
            row["valor_cobrado_centavos"] += row.pop("raise", 0)
            row["valor_cobrado_centavos"] *= -1 if row.pop("reverse", False) else 1
            rows.append({name: value for name, value in row.items() if value is not None})
    return [{**row, "sequencia": place} for place, row in enumerate(rows)]


@pytest.fixture(scope="module")
def long_store(long_home: Home) -> Iterator[Store]:
    """Every example has a day of its own in it, so that days are told apart, too."""
    with long_home.create() as made:
        yield made


_days = (date(2026, 3, 2) + timedelta(days=n) for n in itertools.count())
_numbers = itertools.count(1)


_shop = given(drawn=_sales, bdf=_file, ca=_file, unbilled=st.sampled_from([(), (), ("03298",)]))


@settings(max_examples=80)
@_shop
def test_the_store_says_what_matching_by_hand_says(
    long_store: Store, drawn: list[Any], bdf: Any, ca: Any, unbilled: tuple[str, ...]
) -> None:
    _as_by_hand(long_store, drawn, bdf, ca, unbilled)


@pytest.mark.slow
@settings(max_examples=400)
@_shop
def test_the_store_says_of_many_days_what_matching_by_hand_says(
    long_store: Store, drawn: list[Any], bdf: Any, ca: Any, unbilled: tuple[str, ...]
) -> None:
    _as_by_hand(long_store, drawn, bdf, ca, unbilled)


def _as_by_hand(long_store: Store, drawn: list[Any], bdf: Any, ca: Any, unbilled: tuple[str, ...]) -> None:
    day = next(_days)
    sales = [
        sale(next(_numbers), *postings, day=day, origem=site, situacao=state, pagamentos=payments)
        for postings, site, state, payments in drawn
    ]
    files = {kind: rows_of(rows, sales, day) for kind, rows in zip(KINDS, (bdf, ca), strict=True)}
    found = reconciled(long_store, sales, files["bdf"], files["ca"], day, unbilled=unbilled)
    expected = reference(sales, dict(files), unbilled)
    assert Counter(plain(line) for line in found) == Counter(expected)
    check_sums(long_store, day, sales, files)


def check_sums(
    store: Store, day: date, sales: list[Document], files: dict[str, list[Document] | None]
) -> None:
    """Every posting and every billed row counts once, in each dimension."""
    sold = [
        p["valor_centavos"] for s in sales if s["situacao"] != "cancelada" for p in s.get("postagens", [])
    ]
    for dimension in Dimension:
        totals = [total for total in store.reconciling.totals(day) if total.dimension is dimension]
        assert sum(total.sold for total in totals) == len(sold)
        assert sum(total.sold_centavos for total in totals) == sum(sold)
        for kind in KINDS:
            rows = files[kind] or []
            assert sum(getattr(total, f"{kind}_centavos") for total in totals) == sum(
                row["valor_cobrado_centavos"] for row in rows
            )
            assert sum(getattr(total, f"{kind}_quantidade") for total in totals) == sum(
                row["quantidade"] for row in rows
            )


# ---------------------------------------------------------------------------------------------------- what the page promises


def colours(found: Sequence[Line]) -> list[str]:
    return sorted(line.colour.value for line in found)


def only(found: Sequence[Line]) -> Line:
    (line,) = found
    return line


def bdf(line: Line) -> Found:
    assert line.bdf is not None
    return line.bdf


def test_what_agrees_with_both_files_is_green(store: Store) -> None:
    line = only(reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)], [billed(1, 1000, A)]))
    assert line.colour is Colour.GREEN
    assert (bdf(line).state, bdf(line).how, bdf(line).row) == (State.AGREES, How.CODE, "1/7/1")
    assert (line.site, line.ticket, line.forma, line.valor_centavos) == ("caixa-01", "01/1/1", "17", 1000)


def test_nothing_is_checked_against_a_file_that_was_not_imported(store: Store) -> None:
    sold = [sale(1, posting(A, 1000))]
    assert colours(reconciled(store, sold)) == ["white"]
    assert colours(reconciled(store, [], ca=[])) == ["red"]  # an empty file says that nothing is billed
    apply(store, "bdf", [billed(1, 1000, A)], TOMORROW)  # its rows are of the day, the file is not
    store.reconciling.reconcile(DAY, AT)
    line = only(lines(store))
    assert line.bdf is None
    assert line.ca is not None


def test_a_rejected_file_checks_nothing(store: Store) -> None:
    apply(store, "bdf", [billed(1, 1000, A)], verdict=Verdict.REJECTED)
    assert colours(reconciled(store, [sale(1, posting(A, 1000))])) == ["white"]


def test_the_bdf_decides_what_is_red_and_the_ca_makes_it_yellow(store: Store) -> None:
    sold = [sale(n, posting(code, 1000)) for n, code in enumerate((A, B, C), 1)]
    ca = [billed(1, 1000, A), billed(3, 1000, C)]
    found = reconciled(store, sold, [billed(1, 1000, A), billed(2, 1000, B)], ca)
    states = {line.codigo_rastreio: line.colour for line in found}
    assert states == {A: Colour.GREEN, B: Colour.YELLOW, C: Colour.RED}


def test_what_is_billed_and_not_sold_is_red_once_for_both_files(store: Store) -> None:
    line = only(reconciled(store, [], [billed(1, 1000, A)], [billed(4, 900, A)]))
    assert (line.colour, line.site, line.valor_centavos) == (Colour.RED, None, None)
    assert line.ca is not None
    assert (bdf(line).state, line.ca.valor_centavos) == (State.NOT_SOLD, 900)


def test_a_cancelled_sale_is_not_sold_and_names_itself(store: Store) -> None:
    gone = sale(1, posting(A, 1000), situacao="cancelada", pagamentos=[])
    line = only(reconciled(store, [gone], [billed(1, 1000, A)]))
    assert (line.colour, bdf(line).state) == (Colour.RED, State.CANCELLED)
    assert (line.site, line.ticket, line.valor_centavos) == ("caixa-01", "01/1/1", None)


def test_a_reversal_takes_back_what_it_reverses(store: Store) -> None:
    found = reconciled(store, [], [billed(1, 1000, A), billed(2, -1000, A)])
    assert colours(found) == ["green", "green"]
    assert sum(bdf(line).valor_centavos or 0 for line in found) == 0


def test_a_sale_whose_billing_was_reversed_is_not_billed(store: Store) -> None:
    found = reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A), billed(2, -1000, A)])
    assert colours(found) == ["green", "green", "red"]


def test_a_reversal_and_a_new_billing(store: Store) -> None:
    rows = [billed(1, 1000, A), billed(2, -1000, A), billed(3, 900, A)]
    found = reconciled(store, [sale(1, posting(A, 1000))], rows)
    line = only([line for line in found if line.site])
    assert (line.colour, bdf(line).differs) == (Colour.YELLOW, (Difference.VALUE,))


def test_the_last_of_equal_rows_is_the_one_that_was_taken_back(store: Store) -> None:
    rows = [billed(1, 1000, A), billed(2, 1000, A), billed(3, -1000, A)]
    found = reconciled(store, [sale(1, posting(A, 1000))], rows)
    assert bdf(only([line for line in found if line.site])).row == "1/7/1"


def test_a_reversal_of_another_day_is_red(store: Store) -> None:
    line = only(reconciled(store, [], [billed(1, -1000, A)]))
    assert (line.colour, bdf(line).state) == (Colour.RED, State.REVERSAL)


def test_a_code_that_was_posted_twice_needs_two_rows(store: Store) -> None:
    sold = [sale(1, posting(A, 1000)), sale(2, posting(A, 1000))]
    assert colours(reconciled(store, sold, [billed(1, 1000, A)])) == ["green", "red"]
    again = [
        sale(3, posting(A, 1000), day=TOMORROW),
        sale(4, posting(A, 1000), day=TOMORROW),
    ]
    rows = [billed(1, 1000, A, TOMORROW), billed(2, 1000, A, TOMORROW)]
    assert colours(reconciled(store, again, rows, day=TOMORROW)) == ["green", "green"]


def test_two_codes_are_two_objects_even_in_one_attendance(store: Store) -> None:
    found = reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, B)])
    assert colours(found) == ["red", "red"]


def test_a_row_without_a_code_is_found_by_its_attendance(store: Store) -> None:
    sold = [sale(1, posting(A, 1000, sub_caixa="01", numero_atendimento="0007"))]
    line = only(reconciled(store, sold, [billed(1, 1000)]))
    assert (line.colour, bdf(line).how) == (Colour.GREEN, How.ATTENDANCE)


def test_another_service_in_the_attendance_is_yellow(store: Store) -> None:
    line = only(reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, servico="03298")]))
    assert (line.colour, bdf(line).differs) == (Colour.YELLOW, (Difference.SERVICE,))


def test_a_row_of_several_objects_stands_for_all_of_them(store: Store) -> None:
    objects = (posting(A, 1000), posting(B, 2000), posting(C, 3000))
    found = reconciled(store, [sale(1, *objects)], [billed(1, 6000, quantidade=3)])
    assert colours(found) == ["green"] * 3
    rows = [billed(1, 5900, day=TOMORROW, quantidade=4)]
    found = reconciled(store, [sale(2, *objects, day=TOMORROW)], rows, day=TOMORROW)
    assert colours(found) == ["yellow"] * 3
    assert {bdf(line).differs for line in found} == {(Difference.VALUE, Difference.QUANTITY)}
    shares = sorted((bdf(line).quantidade, bdf(line).valor_centavos) for line in found)
    assert sum(value or 0 for _, value in shares) == 5900
    assert [count for count, _ in shares] == [1, 1, 2]


def test_two_sites_with_one_attendance_are_told_apart_by_code_and_else_uncertain(store: Store) -> None:
    sold = [sale(1, posting(A, 1000)), sale(2, posting(B, 1000), origem="posto-centro")]
    assert colours(reconciled(store, sold, [billed(1, 1000, B), billed(2, 1000)])) == ["green", "green"]
    sold = [
        sale(3, posting(A, 1000), day=TOMORROW),
        sale(4, posting(B, 1000), day=TOMORROW, origem="posto-centro"),
    ]
    rows = [billed(1, 1000, day=TOMORROW), billed(2, 1000, day=TOMORROW)]
    found = reconciled(store, sold, rows, day=TOMORROW)
    assert colours(found) == ["yellow", "yellow"]
    assert {bdf(line).differs for line in found} == {(Difference.SITE,)}


def test_the_weak_key_is_green_only_where_nothing_contradicts_it(store: Store) -> None:
    without = posting(A, 1000)
    del without["numero_atendimento"]
    line = only(reconciled(store, [sale(1, without)], [billed(1, 1000)]))
    assert (line.colour, bdf(line).how) == (Colour.GREEN, How.WEAK)
    other = sale(2, posting(A, 1000, numero_atendimento="8"), day=TOMORROW)
    line = only(reconciled(store, [other], [billed(1, 1000, day=TOMORROW)], day=TOMORROW))
    assert (line.colour, bdf(line).differs) == (Colour.YELLOW, (Difference.ATTENDANCE,))


def test_the_weak_key_is_for_single_objects(store: Store) -> None:
    other = sale(1, posting(A, 1000, numero_atendimento="8"))
    assert colours(reconciled(store, [other], [billed(1, 1000, quantidade=2)])) == ["red", "red"]


def test_where_nothing_is_to_be_billed_nothing_is_missed(store: Store) -> None:
    sold = [sale(1, posting(A, 0), posting(B, 500, servico="10065"))]
    assert colours(reconciled(store, sold, [], unbilled=["10065"])) == ["white", "white"]


def test_a_sale_paid_in_several_forms_is_a_form_of_its_own(store: Store) -> None:
    two = [{"numero": n, "forma": form, "valor_centavos": 500} for n, form in enumerate(("01", "17"), 1)]
    sold = [sale(1, posting(A, 1000), pagamentos=two), sale(2, posting(B, 700), pagamentos=[])]
    found = {line.codigo_rastreio: line.forma for line in reconciled(store, sold)}
    assert found == {A: "several", B: None}


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_differences_are_found_among_many_sites(store: Store, seed: int) -> None:
    shops = (("caixa-01", Role.CAIXA), ("caixa-02", Role.CAIXA), ("posto-centro", Role.POSTO))
    sales = [sold for site, role in shops for sold in sales_of_day(site, role, DAY, seed=seed, count=60)]
    plan = Plan(value=3, missing=4, extra=2, quantity=2, no_code=5, datasets=KINDS)
    billing = billing_of_day(sales, seed=seed, planted=plan)
    found = reconciled(store, sales, billing.bdf, billing.ca)
    counts = Counter(line.colour for line in found)
    assert (counts[Colour.RED], counts[Colour.YELLOW], counts[Colour.WHITE]) == (6, 5, 0)
    wrong = {line.codigo_rastreio for line in found if line.colour in (Colour.RED, Colour.YELLOW)}
    assert wrong == {p.codigo_rastreio for p in billing.planted if p.kind is not Planted.NO_CODE}
    assert sum(line.bdf is not None and line.bdf.how is How.ATTENDANCE for line in found) == 5


# ---------------------------------------------------------------------------------------------------- whether it still holds


def test_the_same_again_changes_nothing(store: Store) -> None:
    before = reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)])
    assert store.reconciling.reconcile(DAY, "2027-01-01T00:00:00-03:00").made_at == AT
    assert lines(store) == before
    apply(store, "vendas", [sale(2, posting(B, 1000), day=TOMORROW)], TOMORROW)
    assert store.reconciling.reconcile(DAY, "2027-01-01T00:00:00-03:00").made_at == AT


def changed(store: Store, day: date = DAY) -> tuple[str, ...]:
    """What a day's reconciliation says of itself; asked alone and among others it says the same."""
    held = store.reconciling.find(day)
    assert held is not None
    stale = store.reconciling.stale_days(day - timedelta(days=3), day + timedelta(days=3))
    assert stale.get(day, ()) == held.changed
    return held.changed


def test_a_late_sale_makes_it_stale_and_reconciling_again_heals_it(store: Store) -> None:
    reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A), billed(2, 500, B)])
    assert changed(store) == ()
    apply(store, "vendas", [sale(2, posting(B, 500))])
    assert changed(store) == ("vendas",)
    store.reconciling.reconcile(DAY, AT)
    assert changed(store) == ()
    assert colours(lines(store)) == ["green", "green"]


def test_a_sale_that_moves_to_another_day_makes_both_days_stale(store: Store) -> None:
    reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)])
    reconciled(store, [], [], day=TOMORROW)
    apply(store, "vendas", [sale(1, posting(A, 1000), day=TOMORROW, versao=2)], TOMORROW)
    assert changed(store) == ("vendas",)
    assert changed(store, TOMORROW) == ("vendas",)


def test_a_cancellation_makes_it_stale(store: Store) -> None:
    reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)])
    gone = sale(1, posting(A, 1000), situacao="cancelada", pagamentos=[], versao=2)
    apply(store, "vendas", [gone], TOMORROW)
    assert changed(store) == ("vendas",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_comes_later_makes_it_stale_even_an_empty_one(store: Store, kind: str) -> None:
    reconciled(store, [sale(1, posting(A, 1000))])
    apply(store, kind, [])
    assert changed(store) == (kind,)
    store.reconciling.reconcile(DAY, AT)
    apply(store, kind, [billed(1, 1000, A)])
    assert changed(store) == (kind,)


def test_other_days_and_other_data_leave_it_alone(store: Store) -> None:
    reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)])
    apply(store, "vendas", [sale(2, posting(B, 1000), day=TOMORROW)], TOMORROW)
    apply(store, "bdf", [billed(1, 1000, B, TOMORROW)], TOMORROW)
    assert changed(store) == ()


def test_other_services_to_bill_are_another_result(store: Store) -> None:
    assert colours(reconciled(store, [sale(1, posting(A, 1000))], [])) == ["red"]
    store.reconciling.reconcile(DAY, AT, unbilled=["03220"])
    assert colours(lines(store)) == ["white"]


def test_a_store_without_any_sales_or_files(store: Store) -> None:
    assert store.reconciling.find(DAY) is None
    assert store.reconciling.reconcile(DAY, AT).sales == 0
    assert lines(store) == []
    assert changed(store) == ()
    assert store.reconciling.days(DAY, DAY) == {DAY: {}}


def test_colours_of_many_days(store: Store) -> None:
    reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A), billed(2, 5, B)])
    reconciled(store, [sale(2, posting(A, 1000), day=TOMORROW)], day=TOMORROW)
    assert store.reconciling.days(DAY, TOMORROW) == {
        DAY: {Colour.GREEN: 1, Colour.RED: 1},
        TOMORROW: {Colour.WHITE: 1},
    }


# ---------------------------------------------------------------------------------------------------- how it is done


def test_lines_are_read_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sold = [sale(n, posting(A, n * 100), origem=f"caixa-{n % 3:02d}") for n in range(1, 23)]
    whole = reconciled(store, sold, [billed(n, n * 100, A) for n in range(1, 12)])
    monkeypatch.setattr(reconciling, "PAGE_LINES", 4)
    assert lines(store) == whole
    assert [line.colour for line in whole] == [Colour.RED] * 11 + [Colour.GREEN] * 11
    assert list(store.reconciling.lines(DAY, [Colour.GREEN])) == whole[11:]


def test_what_fails_half_way_leaves_the_result_before_and_nothing_temporary(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)])
    apply(store, "vendas", [sale(2, posting(B, 500))])
    apply(store, "bdf", [billed(2, 600, B)])
    for step in ("pair", "write_alone", "write_totals"):
        with monkeypatch.context() as patch:
            patch.setitem(STEPS, step, "SELECT nothing FROM nowhere")
            with pytest.raises(Exception, match="nowhere"):
                store.reconciling.reconcile(DAY, AT)
        assert lines(store) == before
        assert changed(store) == ("vendas", "bdf")
        assert not any(
            store._db.select(QUERIES["has_temporary"], (f"fs_{name}",))[0][0]
            for name in ("sold", "left", "found", "sum")
        )
    store.reconciling.reconcile(DAY, AT)
    assert colours(lines(store)) == ["green", "yellow"]


def test_every_step_is_used_and_has_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    class Watched(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            used.add(name)
            return super().__getitem__(name)

    monkeypatch.setattr(matching, "STEPS", Watched(STEPS))
    sold = [sale(1, posting(A, 1000)), sale(2, posting(B, 500))]
    reconciled(store, sold, [billed(1, 900, A), billed(2, 500)], [])
    apply(store, "vendas", [sale(3, posting(C, 500))])
    changed(store)
    assert used == set(STEPS)
    text = Path(matching.__file__).with_name("matching.sql").read_text(encoding="utf-8")
    assert len(re.findall(r"(?m)^-- name: \w+\n-- [A-Z]", text)) == len(STEPS)


def test_a_reader_beside_it_sees_the_result_of_before_until_it_is_whole(store: Store, home: Home) -> None:
    before = reconciled(store, [sale(1, posting(A, 1000))], [billed(1, 1000, A)])
    apply(store, "vendas", [sale(2, posting(B, 500))])
    with store._write():
        store.reconciling.reconcile(DAY, AT)
        assert home.ask("SELECT count(*) FROM fs_reconciled") == [(len(before),)]
    assert home.ask("SELECT count(*) FROM fs_reconciled") == [(2,)]


def test_a_thousand_sales_by_hand_and_by_sql(store: Store) -> None:
    """Longer groups than Hypothesis draws: the places of a key are counted, not only the first ones."""
    sold = [
        sale(n, posting(A if n % 2 else B, 100 * (n % 7), numero_atendimento=str(n % 5)))
        for n in range(1, 1_001)
    ]
    rows = [
        billed(n, 100 * (n % 6) - 300 * (n % 11 == 0), (A, None, B)[n % 3], numero_atendimento=str(n % 5), quantidade=n % 4)
        for n in range(1, 1_001)
    ]  # fmt: skip
    found = reconciled(store, sold, rows, rows[::-2])
    assert Counter(map(plain, found)) == Counter(reference(sold, {"bdf": rows, "ca": rows[::-2]}))
