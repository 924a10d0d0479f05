"""The demo's made-up days: deterministic, whole, likely, and valid under the contracts that real sales must pass."""

import csv
import io
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.contracts import Contract, Registry
from filesync.contracts.formats import is_cnpj, is_cpf, is_gtin, is_s10
from filesync.demo import cadastros, goods
from filesync.demo.legacy import COLUMNS, to_legacy_csv
from filesync.demo.sales import Document, cancelled, returned, sales_of_day
from filesync.protocol.identity import Role

DAY = date(2025, 3, 10)
SITES = [("caixa-01", Role.CAIXA), ("caixa-02", Role.CAIXA), ("posto-centro", Role.POSTO)]


def contract(dataset: str) -> Contract:
    found = Registry.packaged().get(dataset, 1)
    assert found is not None
    return found


def problems(dataset: str, documents: list[Document]) -> list[object]:
    """Everything that the contract has against `documents`."""
    its = contract(dataset)
    table, misfits, kept = its.from_documents(documents)
    findings = its.validate(table)
    assert kept == list(range(len(documents))) or misfits
    duplicates = its.duplicates(table)
    assert duplicates is None or not any(duplicates.to_pylist())
    return [*misfits, *findings.problems()]


@pytest.mark.parametrize(("site", "role"), SITES)
def test_a_day_is_valid_under_the_contract(site: str, role: Role) -> None:
    sales = sales_of_day(site, role, DAY, count=500)
    assert len(sales) == 500
    assert problems("vendas", sales) == []


@given(
    seed=st.integers(0, 2**32),
    role=st.sampled_from([Role.CAIXA, Role.POSTO]),
    day=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
    count=st.integers(0, 30),
)
def test_any_day_is_valid_under_the_contract(seed: int, role: Role, day: date, count: int) -> None:
    sales = sales_of_day("site-7", role, day, seed=seed, count=count)
    assert len(sales) == count
    assert problems("vendas", sales) == []


@pytest.mark.parametrize(("site", "role"), SITES)
def test_the_sums_hold_by_hand(site: str, role: Role) -> None:
    """The same rules as the contract's, said a second time in plain arithmetic."""
    for sale in sales_of_day(site, role, DAY):
        itens, postagens = sale.get("itens", []), sale.get("postagens", [])
        assert sale["total_itens_centavos"] == sum(item["total_centavos"] for item in itens)
        assert sale["total_postagens_centavos"] == sum(posting["valor_centavos"] for posting in postagens)
        assert sale["total_centavos"] == (
            sale["total_itens_centavos"] + sale["total_postagens_centavos"] - sale["desconto_centavos"]
        )
        if sale["situacao"] == "concluida":
            assert sum(payment["valor_centavos"] for payment in sale["pagamentos"]) == sale["total_centavos"]
        for item in itens:
            exact = Decimal(item["quantidade_milesimos"]) * item["valor_unitario_centavos"] / 1000
            assert abs(exact - item["total_centavos"] - item.get("desconto_centavos", 0)) <= Decimal("0.5")
        for posting in postagens:
            assert is_s10(posting["codigo_rastreio"])
            assert ("contrato" in posting) == ("cartao_postagem" in posting)


def test_the_same_seed_site_and_day_give_the_same_sales() -> None:
    assert sales_of_day("caixa-01", Role.CAIXA, DAY, seed=7) == sales_of_day(
        "caixa-01", Role.CAIXA, DAY, seed=7
    )
    others = [
        sales_of_day("caixa-01", Role.CAIXA, DAY, seed=8),
        sales_of_day("caixa-02", Role.CAIXA, DAY, seed=7),
        sales_of_day("caixa-01", Role.CAIXA, DAY + timedelta(days=1), seed=7),
    ]
    ids = {sale["venda_id"] for sale in sales_of_day("caixa-01", Role.CAIXA, DAY, seed=7)}
    for other in others:
        assert ids.isdisjoint(sale["venda_id"] for sale in other)


def test_a_known_sale_stays_what_it_was() -> None:
    """On every platform and Python. The tutorial quotes such figures: a change of the generator is a change of its text."""
    first = sales_of_day("caixa-01", Role.CAIXA, DAY, seed=1)[0]
    assert first["venda_id"] == "21c307b7-e9fc-4451-9161-03cd65795083"
    assert first["registrada_em"] == "2025-03-10T08:32:30-03:00"
    assert (first["numero"], first["total_centavos"]) == (130201, 11885)


def test_ticket_numbers_run_without_holes_and_on_to_the_next_day() -> None:
    today = sales_of_day("caixa-01", Role.CAIXA, DAY, count=40)
    tomorrow = sales_of_day("caixa-01", Role.CAIXA, DAY + timedelta(days=1), count=40)
    numbers = [sale["numero"] for sale in today + tomorrow]
    assert all(after == before + 1 for before, after in pairwise(numbers))
    assert sales_of_day("caixa-01", Role.CAIXA, DAY, count=3, first_number=17)[-1]["numero"] == 19
    its = contract("vendas")
    assert its.gaps(its.from_documents(today + tomorrow)[0]) == []


def test_the_clock_runs_over_an_opening_day_and_to_its_last_minute() -> None:
    at = [sale["registrada_em"] for sale in sales_of_day("posto-centro", Role.POSTO, DAY)]
    assert at == sorted(at)
    assert at[0] >= "2025-03-10T08:30:00-03:00"
    assert at[-1] == "2025-03-10T17:59:59-03:00"


def test_a_posto_posts_and_a_caixa_sells() -> None:
    lines = {
        role: Counter(
            name
            for sale in sales_of_day(site, role, DAY)
            for name in ("itens", "postagens")
            for _ in sale.get(name, [])
        )
        for site, role in SITES
    }
    assert lines[Role.POSTO]["postagens"] > 2 * lines[Role.POSTO]["itens"]
    assert lines[Role.CAIXA]["itens"] > lines[Role.CAIXA]["postagens"]


def test_a_day_has_what_days_have() -> None:
    sales = [sale for site, role in SITES for sale in sales_of_day(site, role, DAY)]
    assert {"concluida", "cancelada", "devolucao"} == {sale["situacao"] for sale in sales}
    assert {"01", "03", "04", "15", "17"} <= {
        payment["forma"] for s in sales for payment in s.get("pagamentos", [])
    }
    assert any(len(sale.get("pagamentos", [])) > 1 for sale in sales)
    assert any(sale["desconto_centavos"] for sale in sales)
    assert any("desconto_centavos" in item for sale in sales for item in sale.get("itens", []))
    assert {item["produto"] for sale in sales for item in sale.get("itens", [])} <= {
        g.codigo for g in goods.GOODS
    }
    assert {sale["cliente"] for sale in sales if "cliente" in sale} <= {
        c.codigo for c in cadastros.clients(1)
    }
    assert {sale["operador"] for sale in sales} <= {employee.matricula for employee in cadastros.staff(1)}
    labels = [posting["codigo_rastreio"] for sale in sales for posting in sale.get("postagens", [])]
    assert len(labels) == len(set(labels))


def test_a_cancellation_is_a_newer_version_of_the_same_sale() -> None:
    sale = sales_of_day("caixa-01", Role.CAIXA, DAY)[0]
    once = cancelled(sale)
    assert (once["venda_id"], once["versao"], once["situacao"]) == (sale["venda_id"], 1, "cancelada")
    assert "pagamentos" not in once
    assert once["total_centavos"] == sale["total_centavos"]
    assert cancelled(once)["versao"] == 2


def test_a_return_gives_back_the_goods() -> None:
    sale = next(
        s for s in sales_of_day("caixa-01", Role.CAIXA, DAY) if "itens" in s and s["situacao"] == "concluida"
    )
    back = returned(sale)
    assert back["total_centavos"] < 0
    assert problems("vendas", [back]) == []


def test_every_length_of_gtin_occurs_and_some_goods_have_none() -> None:
    codes = [good.gtin for good in goods.GOODS]
    assert {len(code) for code in codes if code} == {8, 12, 13, 14}
    assert all(is_gtin(code) for code in codes if code)
    assert None in codes
    assert len({good.codigo for good in goods.GOODS}) == len(goods.GOODS)


@pytest.mark.parametrize("seed", [1, 2, 99])
def test_the_cadastros_are_valid_under_their_contracts(seed: int) -> None:
    assert problems("produtos", cadastros.produtos(DAY)) == []
    assert problems("clientes", cadastros.clientes(seed)) == []
    assert problems("funcionarios", cadastros.funcionarios(seed)) == []
    assert cadastros.clientes(seed) == cadastros.clientes(seed)
    papers = [client.documento for client in cadastros.clients(seed)]
    assert len(papers) == len(set(papers)) == cadastros.CLIENTS
    assert all(is_cpf(text) if len(text) == 11 else is_cnpj(text) for text in papers)
    assert any(len(text) == 14 and not text.isdigit() for text in papers)
    cards = {client.contrato: client.cartao_postagem for client in cadastros.clients(seed)}
    assert {
        posting["cartao_postagem"]
        for sale in sales_of_day("posto-centro", Role.POSTO, DAY, seed=seed)
        for posting in sale.get("postagens", [])
        if "contrato" in posting and cards[posting["contrato"]] == posting["cartao_postagem"]
    }


def test_the_legacy_file_says_the_same_day_in_the_locale_of_the_trade() -> None:
    sales = sales_of_day("caixa-01", Role.CAIXA, DAY)
    raw = to_legacy_csv(sales)
    text = raw.decode("latin-1")
    assert "Plástico".encode("latin-1") in raw
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(len(sale.get(name, [])) for sale in sales for name in ("itens", "postagens"))
    cents: Counter[int] = Counter()
    totals: dict[int, int] = {}
    for row in rows:
        number = int(row["CUPOM"])
        cents[number] += int(row["TOTAL_ITEM"].replace(",", ""))
        totals[number] = int(row["TOTAL_CUPOM"].replace(",", "")) + int(
            row["DESCONTO_CUPOM"].replace(",", "")
        )
        assert row["DATA"] == "10/03/2025"
        assert row["DATA_HORA"].startswith("10/03/2025 ")
    assert cents == totals
    assert totals.keys() == {sale["numero"] for sale in sales}
