"""Ticket numbers over everything that is held: inside a day, between days, whatever batches brought them and in whatever order."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from network import DAY, Network, sales, table

from filesync.contracts import Registry
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filesync.stores.tickets import TicketSeries

SEEDS = count(1)
VENDAS = Registry.packaged().latest("vendas")
NEXT = DAY + timedelta(days=1)


def numbered(numbers: Iterable[int], day: date = DAY, **fields: Any) -> list[dict[str, Any]]:
    """Sales with these ticket numbers, none of them the same sale as another."""
    wanted = list(numbers)
    made = sales(count=len(wanted), day=day, seed=next(SEEDS))
    return [{**sale, "numero": number, **fields} for sale, number in zip(made, wanted, strict=True)]


def bring(network: Network, *batches: list[dict[str, Any]]) -> None:
    for batch in batches:
        network["caixa-01"].seal("vendas", table(batch))
    network.until_quiet("caixa-01", "matriz")


def series(network: Network, day: date = DAY) -> list[TicketSeries]:
    assert VENDAS is not None
    return network["matriz"].context.store.ticket_series(VENDAS, day)


def test_nothing_is_missing_where_nothing_was_sold(pair: Network) -> None:
    assert series(pair) == []  # not even a table
    bring(pair, numbered(range(1, 4)))
    assert series(pair, NEXT) == []


def test_a_whole_day_is_whole_whatever_batches_brought_it(pair: Network) -> None:
    bring(pair, numbered([1, 3, 5]), numbered([2, 4]))
    (found,) = series(pair)
    assert (found.origem, found.per, found.first, found.last, found.missing) == (
        "caixa-01",
        ("01", "1"),
        1,
        5,
        0,
    )


def test_numbers_missing_inside_a_day_are_ranges(pair: Network) -> None:
    bring(pair, numbered([10, 11, 14]), numbered([20]))
    (found,) = series(pair)
    assert found.inside == ((12, 13), (15, 19))
    assert found.missing == 7


def test_numbers_missing_between_two_days_are_told_apart(pair: Network) -> None:
    bring(pair, numbered(range(1, 11)), numbered(range(13, 16), NEXT))
    assert series(pair)[0].missing == 0
    (found,) = series(pair, NEXT)
    assert (found.before, found.between, found.inside) == (10, ((11, 12),), ())


def test_the_day_before_is_the_latest_with_sales(pair: Network) -> None:
    bring(pair, numbered(range(1, 4)), numbered(range(4, 6), DAY + timedelta(days=1)))
    bring(pair, numbered(range(8, 9), DAY + timedelta(days=5)))
    assert series(pair, DAY + timedelta(days=5))[0].between == ((6, 7),)
    bring(pair, numbered([40], DAY + timedelta(days=60)))
    assert series(pair, DAY + timedelta(days=60))[0].before is None, "too long ago to be its neighbour"


def test_a_number_that_stands_under_another_date_is_not_missing(pair: Network) -> None:
    bring(pair, numbered([1, 2, 4, 5]), numbered([3, 6], NEXT))
    assert series(pair)[0].missing == 0
    assert series(pair, NEXT)[0].missing == 0


def test_a_series_that_begins_anew_owes_nothing(pair: Network) -> None:
    bring(pair, numbered(range(900, 910)), numbered(range(1, 4), NEXT))
    assert series(pair, NEXT)[0].between == ()


def test_each_till_and_series_has_numbers_of_its_own(pair: Network) -> None:
    bring(pair, numbered([1, 2]), numbered([5, 7], serie="2"), numbered([9, 12], caixa="02"))
    found = {one.per: one.inside for one in series(pair)}
    assert found == {("01", "1"): (), ("01", "2"): ((6, 6),), ("02", "1"): ((10, 11),)}


def test_a_number_given_out_twice_is_counted(pair: Network) -> None:
    bring(pair, numbered([1, 2]), numbered([2, 3]))
    (found,) = series(pair)
    assert (found.documents, found.repeated, found.missing) == (4, 1, 0)


def test_two_sites_do_not_fill_each_others_holes(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    for site in ("caixa-01", "caixa-02"):
        network.site(site, Role.CAIXA)
        network.peer(site, "matriz", Role.MATRIZ, link="../matriz")
        network.peer("matriz", site, Role.CAIXA)
    bring(network, numbered([1, 3]))
    network["caixa-02"].seal("vendas", table([{**sale, "origem": "caixa-02"} for sale in numbered([2, 4])]))
    network.until_quiet("caixa-02", "matriz")
    assert {one.origem: one.inside for one in series(network)} == {
        "caixa-01": ((2, 2),),
        "caixa-02": ((3, 3),),
    }


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One pair for many examples: each has a series of its own."""
    made = Network(tmp_path_factory.mktemp("tickets") / "net")
    made.site("matriz", Role.MATRIZ)
    made.site("caixa-01", Role.CAIXA)
    made.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    made.peer("matriz", "caixa-01", Role.CAIXA)
    yield made, iter(range(100, 1000))
    made.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.integers(1, 30), max_size=12),
    st.sets(st.integers(1, 30), min_size=1, max_size=12),
    st.sets(st.integers(1, 30), max_size=6),
)
def test_it_says_what_a_person_with_a_pencil_would(
    shelf: Any, yesterday: set[int], today: set[int], tomorrow: set[int]
) -> None:
    network, names = shelf
    serie = str(next(names))
    days = ((yesterday, DAY - timedelta(days=1)), (today, DAY), (tomorrow, NEXT))
    bring(network, *(numbered(sorted(numbers), day, serie=serie) for numbers, day in days if numbers))
    (found,) = (one for one in series(network) if one.per[1] == serie)
    held = yesterday | today | tomorrow
    missing = {n for first, last in (*found.inside, *found.between) for n in range(first, last + 1)}
    inside = set(range(min(today), max(today) + 1)) - held
    between = set(range(max(yesterday) + 1, min(today))) - held if yesterday else set()
    assert missing == inside | between
