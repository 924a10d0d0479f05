"""The demo's billing: agrees with the sales wherever nothing was planted, keeps the contracts, is the same again."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest

from filesync.contracts import Registry
from filesync.demo.billing import DATASETS, Difference, Plan, billing_of_day
from filesync.demo.sales import cancelled, sales_of_day
from filesync.protocol.identity import Role

DAY = date(2026, 3, 2)


def sales() -> list[dict[str, Any]]:
    """Two tills and a posto, with the same attendance numbers at each."""
    return [
        *sales_of_day("caixa-01", Role.CAIXA, DAY, count=60),
        *sales_of_day("caixa-02", Role.CAIXA, DAY, count=60),
        *sales_of_day("posto-centro", Role.POSTO, DAY, count=60),
    ]


def postings(documents: list[dict[str, Any]]) -> dict[str, int]:
    return {
        line["codigo_rastreio"]: line["valor_centavos"]
        for sale in documents
        if sale["situacao"] != "cancelada"
        for line in sale.get("postagens", [])
    }


def billed(rows: list[dict[str, Any]]) -> dict[str | None, int]:
    return {row.get("codigo_rastreio"): row["valor_cobrado_centavos"] for row in rows}


@pytest.mark.parametrize("dataset", DATASETS)
def test_without_a_plan_every_posting_is_billed_as_sold(dataset: str) -> None:
    documents = sales()
    rows = billing_of_day(documents).rows(dataset)
    assert billed(rows) == postings(documents)
    assert len(rows) == len(postings(documents))


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_keep_their_contract_and_no_key_stands_twice(dataset: str) -> None:
    contract = Registry.packaged().latest(dataset)
    assert contract is not None
    plan = Plan(value=3, missing=2, extra=2, quantity=2, no_code=2, datasets=DATASETS)
    rows = billing_of_day(sales(), planted=plan).rows(dataset)
    table, problems, _ = contract.from_documents(rows)
    assert not problems
    assert contract.validate(table).ok
    repeated = contract.duplicates(table)
    assert repeated is None or not any(repeated.to_pylist())


def test_planted_differences_are_told_and_are_the_only_ones() -> None:
    documents = sales()
    billing = billing_of_day(documents, planted=Plan(value=3, missing=2, extra=2, quantity=1, no_code=1))
    assert Counter(item.kind for item in billing.planted) == {
        Difference.VALUE: 3, Difference.MISSING: 2, Difference.EXTRA: 2, Difference.QUANTITY: 1, Difference.NO_CODE: 1,
    }  # fmt: skip
    sold = postings(documents)
    got = {code: value for code, value in billed(billing.bdf).items() if code is not None}
    different = {code for code in {*sold, *got} if sold.get(code) != got.get(code)}
    told = {item.codigo_rastreio for item in billing.planted if item.kind is not Difference.QUANTITY}
    assert different == told
    for item in billing.planted:
        if item.kind is not Difference.NO_CODE:
            assert (sold.get(item.codigo_rastreio), got.get(item.codigo_rastreio)) == (
                item.sold_centavos,
                item.billed_centavos,
            )
    assert billed(billing.ca) == sold  # the other file stays clean


def test_the_order_of_the_sales_does_not_matter() -> None:
    plan = Plan(value=2, extra=1)
    assert billing_of_day(sales(), planted=plan) == billing_of_day(sales()[::-1], planted=plan)
    assert billing_of_day(sales(), planted=plan) != billing_of_day(sales(), planted=plan, seed=2)


def test_a_sale_cancelled_later_is_not_billed() -> None:
    documents = sales()
    posted = next(s for s in documents if s.get("postagens") and s["situacao"] == "concluida")
    after = billing_of_day([*documents, cancelled(posted)])
    gone = {line["codigo_rastreio"] for line in posted["postagens"]}
    assert not gone & set(billed(after.bdf))


def test_a_plan_larger_than_the_day_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 postings"):
        billing_of_day([], planted=Plan(value=5))
