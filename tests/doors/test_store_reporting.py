"""What the store says of a day: the same as adding the documents up by hand, of one moment, and without what was cancelled."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from store_samples import incoming, name, table

from filesync.contracts import Contract, Registry
from filesync.demo.cadastros import clientes
from filesync.demo.sales import cancelled, sales_of_day
from filesync.protocol.identity import Feed, Role
from filesync.stores import reporting
from filesync.stores.reporting import AgencyDay, Group, Posting, Sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

DAY = date(2026, 3, 2)
CENTAVOS = ("total_itens_centavos", "total_postagens_centavos", "desconto_centavos", "total_centavos")


def contract(dataset: str) -> Contract:
    found = Registry.packaged().latest(dataset)
    assert found is not None
    return found


VENDAS, CLIENTES = contract("vendas"), contract("clientes")


def hold(store: Store, made: Contract, documents: list[dict[str, Any]]) -> None:
    """Let the store hold these, as one applied batch."""
    with store.transaction() as tx:
        tx.ensure_tables(made)
        batch_id = tx.next_batch_id()
        tx.append(made, made.flatten(table(made, documents)), batch_id)
        tx.record_incoming(
            [incoming(batch_id, name(batch_id, feed=Feed("caixa-01", made.dataset, "matriz")))]
        )


def sums(sales: list[dict[str, Any]]) -> Sums:
    counting = [sale for sale in sales if sale["situacao"] != "cancelada"]
    posted = [posting for sale in counting for posting in sale.get("postagens", ())]
    itens, postagens, desconto, total = (sum(sale[column] for sale in counting) for column in CENTAVOS)
    return Sums(
        len(counting), len(sales) - len(counting), itens, postagens, desconto, total,
        len(posted), sum(posting["peso_g"] for posting in posted),
    )  # fmt: skip


def by(sales: list[dict[str, Any]], member: str) -> dict[str | None, Sums]:
    groups: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for sale in sales:
        groups[sale.get(member)].append(sale)
    return {key: sums(found) for key, found in groups.items()}


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


@pytest.fixture
def sold(store: Store) -> list[dict[str, Any]]:
    """The day of two sites; the day after is there too, and must not be seen."""
    today = [
        *sales_of_day("caixa-01", Role.CAIXA, DAY, count=120),
        *sales_of_day("posto-centro", Role.POSTO, DAY, count=90),
    ]
    hold(store, VENDAS, today + sales_of_day("caixa-01", Role.CAIXA, DAY + timedelta(days=1), count=40))
    hold(store, CLIENTES, clientes())
    return today


def agency(store: Store, day: date = DAY) -> tuple[AgencyDay, list[Group]]:
    with store.reporting.agency(VENDAS, CLIENTES, day) as report:
        return report, list(report.clients)


def test_the_agencys_day_is_what_its_sales_add_up_to(store: Store, sold: list[dict[str, Any]]) -> None:
    report, customers = agency(store)
    assert report.total == sums(sold)
    assert {group.key: group.sums for group in report.sites} == by(sold, "origem")
    assert {group.key: group.sums for group in customers} == by(sold, "cliente")
    assert report.without_client == by(sold, "cliente")[None]
    counting = [sale for sale in sold if sale["situacao"] != "cancelada"]
    assert report.clients_count == len({sale["cliente"] for sale in counting if "cliente" in sale})
    paid: Counter[str] = Counter()
    for sale in counting:
        for payment in sale.get("pagamentos", ()):
            paid[payment["forma"]] += payment["valor_centavos"]
    assert {form.forma: form.valor_centavos for form in report.forms} == paid
    posted: Counter[str] = Counter()
    for sale in counting:
        for posting in sale.get("postagens", ()):
            posted[posting["servico"]] += posting["valor_centavos"]
    assert {service.servico: service.valor_centavos for service in report.services} == posted
    assert sum(service.postings for service in report.services) == report.total.postings


def test_customers_come_by_their_total_with_their_names(store: Store, sold: list[dict[str, Any]]) -> None:
    _, customers = agency(store)
    totals = [group.sums.total_centavos for group in customers]
    assert totals == sorted(totals, reverse=True)
    names = {customer["codigo"]: customer["nome"] for customer in clientes()}
    assert all(group.name == (names[group.key] if group.key else None) for group in customers)


def test_a_customers_postings_stand_with_their_tracking_codes(
    store: Store, sold: list[dict[str, Any]]
) -> None:
    client = max(
        (key for key in by(sold, "cliente") if key), key=lambda key: by(sold, "cliente")[key].postings
    )
    theirs = [sale for sale in sold if sale.get("cliente") == client]
    with store.reporting.client(VENDAS, CLIENTES, DAY, client) as report:
        found: list[Posting] = list(report.postings)
    assert report.client.sums == sums(theirs)
    assert {posting.codigo_rastreio for posting in found} == {
        posting["codigo_rastreio"] for sale in theirs for posting in sale.get("postagens", ())
    }
    assert [(p.origem, p.caixa, p.numero) for p in found] == sorted(
        (p.origem, p.caixa, p.numero) for p in found
    )
    assert sum(p.valor_centavos for p in found if p.counts) == report.client.sums.postagens_centavos
    assert sum(s.valor_centavos for s in report.services) == report.client.sums.postagens_centavos


def test_a_cancelled_sale_is_shown_and_does_not_count(store: Store) -> None:
    sale = next(
        sale
        for sale in sales_of_day("posto-centro", Role.POSTO, DAY)
        if "cliente" in sale and "postagens" in sale and sale["situacao"] == "concluida"
    )
    hold(store, VENDAS, [cancelled(sale)])
    with store.reporting.client(VENDAS, CLIENTES, DAY, sale["cliente"]) as report:
        assert report.client.sums == Sums(cancelled=1)
        assert [posting.counts for posting in report.postings] == [False] * len(sale["postagens"])
        assert report.services == []
    total, customers = agency(store)
    assert total.total == Sums(cancelled=1)
    assert total.clients_count == 0
    assert total.forms == []
    assert [group.sums for group in customers] == [Sums(cancelled=1)]


def test_a_store_that_holds_no_sales_has_empty_reports(store: Store) -> None:
    report, customers = agency(store)
    assert report.total == Sums()
    assert (customers, report.sites, report.services, report.forms) == ([], [], [], [])
    with store.reporting.client(VENDAS, CLIENTES, DAY, "C00001") as one:
        assert one.client == Group("C00001", None, Sums())
        assert list(one.postings) == []


def test_lines_are_read_page_by_page(
    store: Store, sold: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, customers = agency(store)
    for size in (1, 7, len(customers)):
        monkeypatch.setattr(reporting, "PAGE_ROWS", size)
        assert agency(store)[1] == customers


def test_a_report_that_nobody_read_to_its_end_leaves_nothing_behind(
    store: Store, sold: list[dict[str, Any]]
) -> None:
    with store.reporting.agency(VENDAS, CLIENTES, DAY) as report:
        next(report.clients)
        # Nobody is kept from writing while a report is looked at, and it stays of its moment.
        hold(store, VENDAS, sales_of_day("caixa-02", Role.CAIXA, DAY, count=5))
        assert sum(1 for _ in report.clients) == len(by(sold, "cliente")) - 1
    with pytest.raises(RuntimeError, match="cut"), store.reporting.agency(VENDAS, CLIENTES, DAY):
        raise RuntimeError("cut")
    report, _ = agency(store)
    assert [group.key for group in report.sites] == ["caixa-01", "caixa-02", "posto-centro"]
