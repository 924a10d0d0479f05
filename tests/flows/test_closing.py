"""Closing a day, as the people of a shop live it: stations in one process, a clock that moves when told, sales in a dropped file."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, rows, sales, table

from filesync.contracts import Registry
from filesync.day.closing import CloseOrder, CloseOutcome, CloseRefusedError, CloseReport, close
from filesync.day.routine import decide
from filesync.day.sending import send_remote
from filesync.day.values import Closed, Open
from filesync.demo.sales import cancelled
from filesync.errors import ConfigError
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Verdict
from filesync.stores.sqlite import SqliteStore
from filesync.stores.sqlite_database import SqliteDatabase
from filesync.stores.values import Site

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.stores.values import DaySealed

Document = dict[str, Any]

SOURCE = """
[datasets.vendas.source]
kind = "jsonl"
path = "drop/vendas/*.jsonl"
"""


@pytest.fixture
def shop(pair: Network) -> Network:
    """A till whose program drops its sales as JSON lines, and its matriz."""
    pair.configure("caixa-01", SOURCE)
    (pair.root / "caixa-01" / "drop" / "vendas").mkdir(parents=True)
    return pair


def drop(network: Network, documents: list[Document], name: str = "dia.jsonl") -> Path:
    """What the till's own program has saved."""
    path = network.root / "caixa-01" / "drop" / "vendas" / name
    text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    path.write_text(text, encoding="utf-8")
    return path


def sell(network: Network, documents: list[Document], name: str = "dia.jsonl") -> None:
    """Saved by the till's program, and sealed."""
    drop(network, documents, name)
    network["caixa-01"].export("vendas")


def shut(network: Network, *, day: date = DAY, contado: int | None = 0, **more: Any) -> CloseReport:
    return close(network["caixa-01"], CloseOrder(day, contado_centavos=contado, **more))


def paid(documents: list[Document], forma: str | None = None) -> int:
    return sum(
        line["valor_centavos"]
        for document in documents
        if document["situacao"] != "cancelada"
        for line in document.get("pagamentos", ())
        if forma in (None, line["forma"])
    )


def owed(network: Network) -> list[str]:
    """What the matriz still waits for before the day's billing may be imported."""
    match decide(network["matriz"].context, "receber_vendas_remotas", DAY):
        case Open():
            return []
        case Closed(reasons=reasons):
            return [reason.code.value for reason in reasons]


def refusal(network: Network, **more: Any) -> CloseRefusedError:
    with pytest.raises(CloseRefusedError) as caught:
        shut(network, **more)
    return caught.value


# ------------------------------------------------------------------------------------------------ an ordinary day


def test_an_ordinary_day_is_closed_with_what_was_sold_and_counted(shop: Network) -> None:
    day = sales(count=60)
    assert {"cancelada", "devolucao"} <= {sale["situacao"] for sale in day}
    sell(shop, day)
    cash = paid(day, "01")
    report = shut(
        shop, contado=cash + 10_000 - 50, abertura_centavos=10_000, operador="op-1", observacao="troco errado"
    )
    assert report.outcome is CloseOutcome.CLOSED
    document = report.document
    assert document["quantidade_vendas"] == 60
    assert document["total_vendas_centavos"] == sum(sale["total_centavos"] for sale in day)
    assert document["dinheiro_centavos"] == cash
    assert document["esperado_centavos"] == cash + 10_000
    assert document["diferenca_centavos"] == -50
    assert {line["forma"]: line["valor_centavos"] for line in document["formas"]} == {
        forma: paid(day, forma) for sale in day for line in sale.get("pagamentos", ()) if (forma := line["forma"])
    }  # fmt: skip
    numbers = [sale["numero"] for sale in day]
    assert document["tickets"] == [
        {"caixa": "01", "serie": "1", "primeiro": min(numbers), "ultimo": max(numbers), "quantidade": 60}
    ]
    assert "versao" not in document
    assert document["fechado_em"] == "2026-03-02T18:30:00-03:00"
    assert document["sem_movimento"] is False
    (feed,) = document["feeds"]
    assert (feed["dataset"], feed["seq_primeiro"], feed["seq_ultimo"], feed["lotes"], feed["documentos"]) == (
        "vendas", 1, 1, 1, 60,
    )  # fmt: skip
    # It travels like everything else, and arrives as it was said.
    assert owed(shop) == ["not-closed"]
    shop.until_quiet("caixa-01", "matriz")
    assert rows(shop["matriz"], "fechamento") == [document]
    assert owed(shop) == []


def test_the_close_says_what_stands_between_till_and_server(shop: Network) -> None:
    day = sales(count=8)
    sell(shop, [sale for sale in day if sale is not day[4]])
    report = shut(shop, contado=paid(day, "01"))
    waiting = {
        (w.dataset, w.recipient): (w.batches, w.documents, w.unsent)
        for w in report.differences.without_receipt
    }
    assert waiting == {("vendas", "matriz"): (1, 7, 1), ("fechamento", "matriz"): (1, 1, 1)}
    (gap,) = report.differences.gaps
    assert gap.missing == ((day[4]["numero"], day[4]["numero"]),)
    shop.until_quiet("caixa-01", "matriz")
    again = shut(shop, contado=None)
    assert again.outcome is CloseOutcome.UNCHANGED
    assert again.differences.without_receipt == ()
    assert not again.differences.none  # the ticket is still missing


def test_a_cadastro_that_is_newer_at_the_server_is_told(shop: Network) -> None:
    product = {
        "origem": "matriz", "codigo": "7", "descricao": "Caixa", "unidade": "UN", "preco_centavos": 500,
        "vigencia_inicio": DAY.isoformat(), "ativo": True,
    }  # fmt: skip
    shop["matriz"].seal("produtos", table([product], "produtos"), DAY, to="caixa-01", full=True)
    sell(shop, sales(count=3))
    shop["matriz"].turn()
    # The news came, the products did not.
    for path in shop.outbox("matriz", "caixa-01"):
        path.rename(shop.root / path.name)
    shop["caixa-01"].turn()
    (behind,) = shut(shop).differences.cadastros
    assert (behind.dataset, behind.batches, behind.held) == ("produtos", 1, False)


def test_cancelled_sales_gave_their_payments_back(shop: Network) -> None:
    (sale,) = sales(count=1, seed=5)
    sale = {
        **sale,
        "situacao": "concluida",
        "pagamentos": [{"numero": 1, "forma": "01", "valor_centavos": sale["total_centavos"]}],
    }
    kept = {**cancelled(sale), "pagamentos": sale["pagamentos"]}  # some programs leave them on the record
    sell(shop, [kept])
    document = shut(shop).document
    assert document["quantidade_vendas"] == 1
    assert document["total_vendas_centavos"] == sale["total_centavos"]
    assert document["dinheiro_centavos"] == 0
    assert "formas" not in document


# ------------------------------------------------------------------------------------------------ nothing sold, or not all sealed


def test_a_day_without_sales_must_be_said(shop: Network) -> None:
    assert refusal(shop).code == "day-empty"
    document = shut(shop, sem_movimento=True).document
    assert document["sem_movimento"] is True
    assert "feeds" not in document
    assert shut(shop, contado=None).outcome is CloseOutcome.UNCHANGED  # said once is enough
    shop.until_quiet("caixa-01", "matriz")
    (held,) = rows(shop["matriz"], "fechamento")
    assert held["sem_movimento"] is True
    assert owed(shop) == []


def test_no_sales_cannot_be_said_of_a_day_with_sales(shop: Network) -> None:
    sell(shop, sales(count=2))
    assert refusal(shop, sem_movimento=True).code == "day-not-empty"


def test_a_close_is_refused_while_sales_are_not_sealed_and_names_them(shop: Network) -> None:
    day = sales(count=6)
    sell(shop, day[:4])
    drop(shop, day)
    found = refusal(shop)
    assert found.code == "day-unsealed"
    assert found.unsealed is not None
    assert found.unsealed.documents == 2
    assert found.unsealed.names == tuple(f"caixa 01, serie 1, numero {sale['numero']}" for sale in day[4:])
    # Looking changed nothing: the export finds exactly those two.
    assert shop["caixa-01"].export("vendas", business_date=DAY).sealed[0].documents == 2
    assert shut(shop).document["quantidade_vendas"] == 6


def test_sales_of_other_days_keep_nobody_from_closing(shop: Network) -> None:
    sell(shop, sales(count=3))
    drop(shop, sales(count=4, day=DAY + timedelta(days=1)), "amanha.jsonl")
    report = shut(shop)
    assert report.document["quantidade_vendas"] == 3
    assert shop["caixa-01"].export("vendas").sealed[0].documents == 4  # they were not touched


def test_a_sale_with_a_mistake_is_not_closed_over_in_silence(shop: Network) -> None:
    day = sales(count=4)
    day[1]["total_centavos"] += 1
    sell(shop, day)
    found = refusal(shop)
    assert found.code == "day-refused-rows"
    assert found.unsealed is not None
    assert found.unsealed.refused == 1
    assert f"numero {day[1]['numero']}" in found.unsealed.problems[0].message
    assert found.unsealed.problems[0].row == 2  # the line of the file
    noted = shop.quarantine("caixa-01", "caixa-01")
    report = shut(shop, despite_refused=True)
    assert report.document["quantidade_vendas"] == 3
    named = f"[1 recusadas na origem: caixa 01, serie 1, numero {day[1]['numero']}]"
    assert report.document["observacao"] == named
    said = shut(shop, despite_refused=True, observacao="o sistema caiu").document
    assert said["observacao"] == f"o sistema caiu; {named}"
    assert shop.quarantine("caixa-01", "caixa-01") == noted
    day[1]["total_centavos"] -= 1
    sell(shop, day)
    whole = shut(shop, contado=None).document
    assert (whole["quantidade_vendas"], whole["observacao"]) == (4, "o sistema caiu")


def test_a_mistake_of_another_day_is_that_days_matter(shop: Network) -> None:
    yesterday = sales(count=3, day=DAY - timedelta(days=1))
    yesterday[0]["total_centavos"] += 1
    sell(shop, yesterday, "ontem.jsonl")
    (shop.root / "caixa-01" / "drop" / "vendas" / "velho.jsonl").write_text("{\n", encoding="utf-8")
    sell(shop, sales(count=3))
    assert shut(shop).outcome is CloseOutcome.CLOSED
    assert refusal(shop, day=DAY - timedelta(days=1)).code == "day-refused-rows"


def test_a_line_that_is_no_sale_counts_for_the_day_of_its_file(shop: Network) -> None:
    path = drop(shop, sales(count=3))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"origem": "caixa-01", \n')
    shop["caixa-01"].export("vendas")
    assert refusal(shop).code == "day-refused-rows"


def test_a_source_that_is_not_there_is_no_day_without_sales(shop: Network) -> None:
    (shop.root / "caixa-01" / "drop" / "vendas").rmdir()
    found = refusal(shop, sem_movimento=True)
    assert found.code == "day-unread"
    assert found.unsealed is not None
    assert found.unsealed.unread[0].code == "source-gone"


def test_a_file_that_cannot_be_read_is_told_and_nothing_is_closed(shop: Network) -> None:
    shop.configure("caixa-01", "")
    sell(shop, sales(count=3))
    (shop.root / "caixa-01" / "drop" / "vendas" / "outro.jsonl").mkdir()
    assert shut(shop).outcome is CloseOutcome.CLOSED  # a folder is no file
    text = (shop.root / "caixa-01" / "filesync.toml").read_text(encoding="utf-8")
    (shop.root / "caixa-01" / "filesync.toml").write_text(text.replace('kind = "jsonl"', 'kind = "parquet"'), encoding="utf-8")  # fmt: skip
    shop.reopen("caixa-01")
    assert refusal(shop).code == "day-unread"


def test_a_database_that_cannot_be_asked_is_told(pair: Network) -> None:
    pair.configure(
        "caixa-01",
        '[datasets.vendas.source]\nkind = "sql"\ndatabase = "caixa.db"\nqueries = { vendas = "select * from vendas" }\n',
    )
    found = refusal(pair, sem_movimento=True)
    assert found.code == "day-unread"
    assert found.unsealed is not None
    assert "caixa.db" in found.unsealed.unread[0].message


def test_a_till_without_a_source_closes_what_was_exported_by_hand(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales(count=5)))
    report = shut(pair)
    assert not report.unsealed.checked
    assert report.document["quantidade_vendas"] == 5


def test_only_who_sells_closes(pair: Network) -> None:
    with pytest.raises(ConfigError, match="is a matriz"):
        close(pair["matriz"], CloseOrder(DAY, contado_centavos=0))


def test_the_cash_must_have_been_counted_once(shop: Network) -> None:
    sell(shop, sales(count=3))
    with pytest.raises(ConfigError, match="cash that was counted"):
        shut(shop, contado=None)


# ------------------------------------------------------------------------------------------------ again


def test_a_day_that_is_closed_twice_is_closed_once(shop: Network) -> None:
    sell(shop, sales(count=3))
    first = shut(shop, contado=500)
    shop.clock.advance(minutes=5)
    again = shut(shop, contado=500)
    assert again.outcome is CloseOutcome.UNCHANGED
    assert again.batch is None
    assert again.document == first.document
    counted = shut(shop, contado=700)
    assert counted.outcome is CloseOutcome.CORRECTED
    assert counted.versao == 1
    assert shut(shop, contado=500).versao == 2  # the first count again is the latest word
    shop.until_quiet("caixa-01", "matriz")
    (held,) = rows(shop["matriz"], "fechamento")
    assert (held["versao"], held["contado_centavos"]) == (2, 500)


def test_a_sale_after_the_close_is_told_and_closed_again_without_counting(shop: Network) -> None:
    day = sales(count=6)
    sell(shop, day[:5])
    shut(shop, contado=1_000, operador="op-1")
    store = shop["caixa-01"].context.store
    assert store.days.sealed_after_close("caixa-01") == []
    drop(shop, day)
    assert refusal(shop, contado=None).code == "day-unsealed"
    shop["caixa-01"].export("vendas")
    shop.until_quiet("caixa-01", "matriz")
    assert owed(shop) == ["late"]  # the matriz sees it too: the day is open again
    (late,) = store.days.sealed_after_close("caixa-01")
    assert (late.day, late.batches, late.documents) == (DAY, 1, 1)
    report = shut(shop, contado=None)
    assert report.outcome is CloseOutcome.CORRECTED
    assert report.document["contado_centavos"] == 1_000
    assert report.document["operador"] == "op-1"
    assert report.document["quantidade_vendas"] == 6
    assert report.document["feeds"][0]["seq_ultimo"] == 2
    shop.until_quiet("caixa-01", "matriz")
    assert owed(shop) == []
    assert store.days.sealed_after_close("caixa-01") == []


def test_a_sale_cancelled_after_the_close_changes_the_cash(shop: Network) -> None:
    day = sales(count=12)
    place, sale = next(
        (place, sale) for place, sale in enumerate(day) if any(p["forma"] == "01" for p in sale.get("pagamentos", ()))
    )  # fmt: skip
    sell(shop, day)
    before = shut(shop).document
    day[place] = cancelled(sale)
    sell(shop, day)
    after = shut(shop, contado=None).document
    assert after["quantidade_vendas"] == 12
    assert after["dinheiro_centavos"] == before["dinheiro_centavos"] - paid([sale], "01")
    assert after["feeds"][0]["documentos"] == 13  # a changed document counts once in each batch


def test_a_sale_that_was_moved_to_another_day_leaves_this_one(shop: Network) -> None:
    day = sales(count=5)
    sell(shop, day)
    assert shut(shop).document["quantidade_vendas"] == 5
    day[4] = {**day[4], "data_movimento": (DAY + timedelta(days=1)).isoformat(), "versao": 1}
    sell(shop, day)
    assert shut(shop, contado=None).document["quantidade_vendas"] == 4
    assert shut(shop, day=DAY + timedelta(days=1)).document["quantidade_vendas"] == 1


# ------------------------------------------------------------------------------------------------ two shifts


def test_two_shifts_each_answer_for_their_own_drawer(shop: Network) -> None:
    day = [sale for sale in sales(count=20) if sale["situacao"] == "concluida"]
    morning, evening = day[:9], day[9:]
    sell(shop, morning)
    first = shut(shop, contado=paid(morning, "01"), operador="ana").document
    assert first["diferenca_centavos"] == 0
    # In the afternoon a sale of the morning is given back, in cash, out of Bruno's drawer.
    place, back = next(
        (p, s) for p, s in enumerate(morning) if any(x["forma"] == "01" for x in s["pagamentos"])
    )
    day[place] = cancelled(back)
    sell(shop, day)
    cash = paid(evening, "01") - paid([back], "01")
    second = shut(
        shop, turno=2, contado=max(cash, 0), abertura_centavos=max(-cash, 0), operador="bruno"
    ).document
    assert second["diferenca_centavos"] == 0
    assert second["quantidade_vendas"] == len(evening)
    assert first["total_vendas_centavos"] + second["total_vendas_centavos"] == sum(
        s["total_centavos"] for s in day
    )
    assert second["feeds"][0]["seq_primeiro"] == 1  # the last close names the whole day
    assert second["feeds"][0]["lotes"] == 2
    # Ana counted wrong: only her drawer changes.
    again = shut(shop, contado=first["contado_centavos"] + 10).document
    assert again["diferenca_centavos"] == 10
    assert again["quantidade_vendas"] == 9
    assert again["feeds"] == first["feeds"]
    shop.until_quiet("caixa-01", "matriz")
    assert [row["turno"] for row in rows(shop["matriz"], "fechamento")] == [1, 2]
    assert owed(shop) == []


def test_shifts_are_closed_in_order(shop: Network) -> None:
    day = sales(count=9)
    sell(shop, day[:3])
    assert refusal(shop, turno=2).code == "turno-missing"
    shut(shop)
    assert refusal(shop, turno=2).code == "day-empty"
    shut(shop, turno=2, sem_movimento=True)
    sell(shop, day)
    assert refusal(shop, contado=5).code == "turno-late"
    assert shut(shop, turno=2, contado=None).document["quantidade_vendas"] == 6
    assert shut(shop, contado=5).versao == 1


# ------------------------------------------------------------------------------------------------ batches


def stricter(network: Network, dataset: str, field: str, chars_max: int) -> None:
    """The matriz is stricter than its till about one field, and rejects whole batches."""
    contract = Registry.packaged().latest(dataset)
    assert contract is not None
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"]["on_bad_rows"] = "reject"
    schema["properties"][field]["maxLength"] = chars_max
    folder = network.root / "matriz" / "schemas"
    folder.mkdir(exist_ok=True)
    (folder / f"{dataset}.v1.json").write_text(json.dumps(schema), encoding="utf-8")


def test_a_day_in_many_batches_with_a_rejected_one_that_was_replaced(shop: Network) -> None:
    stricter(shop, "vendas", "operador", 20)
    shop.configure("caixa-01", "[datasets.vendas]\ndocuments_max = 4\n")
    day = sales(count=20)
    named = {**day[5], "operador": "um nome comprido para a matriz"}
    sell(shop, [named if sale is day[5] else sale for sale in day])
    shop.until_quiet("caixa-01", "matriz")
    early = shut(shop)
    (refused,) = early.differences.not_taken
    assert (refused.verdict, refused.documents) == (Verdict.REJECTED, 4)
    assert early.document["quantidade_vendas"] == 20  # they were sold, whatever became of the batch
    sell(shop, day)
    report = shut(shop, contado=None)
    document = report.document
    assert document["quantidade_vendas"] == 20
    assert document["total_vendas_centavos"] == sum(sale["total_centavos"] for sale in day)
    (feed,) = document["feeds"]
    # Every batch of the day is named, the rejected one too: what became of it is the matriz' to know.
    assert (feed["seq_primeiro"], feed["seq_ultimo"], feed["lotes"], feed["documentos"]) == (1, 6, 6, 24)
    rejected, *_, replacing = (b for b in sealed(shop) if b.name == refused.batch or b.seq == 6)
    assert replacing.replaces == rejected.name
    assert {line["relacao"]: line["linhas"] for line in document["linhas"]}["vendas"] == 24
    totals = {(line["total"], line["valor_de"]): line["valor"] for line in document["totais"]}
    again = day[4:8]
    assert totals["total_centavos", ""] == sum(sale["total_centavos"] for sale in [*day, *again])
    assert report.differences.not_taken == ()
    shop.until_quiet("caixa-01", "matriz")
    assert len(rows(shop["matriz"])) == 20
    assert owed(shop) == []


def sealed(network: Network, dataset: str = "vendas") -> list[DaySealed]:
    """The day's batches at the till."""
    return [b for b in network["caixa-01"].context.store.days.sealed(DAY) if b.feed.dataset == dataset]


def test_a_close_that_the_matriz_refused_is_sealed_again_as_the_next_version(shop: Network) -> None:
    stricter(shop, "fechamento", "operador", 3)
    sell(shop, sales(count=3))
    shut(shop, operador="anastacia")
    shop.until_quiet("caixa-01", "matriz")
    again = shut(shop, contado=None)  # nothing was changed here; at the matriz somebody may have been
    assert (again.outcome, again.versao) == (CloseOutcome.CORRECTED, 1)
    report = shut(shop, contado=None, operador="ana")
    assert report.versao == 2
    shop.until_quiet("caixa-01", "matriz")
    (held,) = rows(shop["matriz"], "fechamento")
    assert (held["operador"], held["versao"]) == ("ana", 2)
    assert owed(shop) == []


def test_an_installation_that_begins_anew_in_the_middle_of_the_day_has_a_line_of_its_own(
    shop: Network,
) -> None:
    day = sales(count=9)
    sell(shop, day[:4])
    before = shop["caixa-01"].context.epoch
    shop.close()
    ledger = SqliteDatabase(shop.root / "caixa-01" / "filesync.db")
    ledger.run("UPDATE fs_meta SET value = 'k3v7q2mb' WHERE key = 'epoch'")
    ledger.close()
    sell(shop, day)
    document = shut(shop).document
    shop.until_quiet("caixa-01", "matriz")
    assert owed(shop) == []
    assert {line["epoch"]: (line["seq_primeiro"], line["seq_ultimo"], line["documentos"]) for line in document["feeds"]} == {
        before: (1, 1, 4), "k3v7q2mb": (1, 1, 5),
    }  # fmt: skip
    assert document["quantidade_vendas"] == 9
    assert document["total_vendas_centavos"] == sum(sale["total_centavos"] for sale in day)


def test_a_till_that_is_replaced_in_the_middle_of_the_day_closes_the_whole_day(shop: Network) -> None:
    day = sales(count=9)
    sell(shop, day[:4])
    shop.until_quiet("caixa-01", "matriz")
    old = shop["caixa-01"].context.epoch
    # The computer dies. A new one gets the key, the settings and the shop program's backup, and no ledger.
    shop.close()
    for name in ("filesync.db", "filesync.db-wal", "filesync.db-shm"):
        (shop.root / "caixa-01" / name).unlink(missing_ok=True)
    store = SqliteStore.create(
        shop.root / "caixa-01" / "filesync.db", Site("caixa-01", Role.CAIXA, "n0v0pc22")
    )
    store.close()
    sell(shop, day)
    document = shut(shop).document
    (feed,) = document["feeds"]
    assert feed["epoch"] == "n0v0pc22" != old
    assert feed["documentos"] == document["quantidade_vendas"] == 9
    shop.until_quiet("caixa-01", "matriz")
    assert len(rows(shop["matriz"])) == 9
    assert owed(shop) == []


# ------------------------------------------------------------------------------------------------ Enviar Vendas Remotas


def test_a_posto_sends_its_day_with_one_command_and_waits_for_the_receipts(shop: Network) -> None:
    drop(shop, sales(count=7))
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:  # at last somebody starts the matriz
            shop["matriz"].turn()

    report = send_remote(shop["caixa-01"], CloseOrder(DAY, contado_centavos=0), patience_s=60, sleep=wait)
    assert report.confirmed
    assert len(waits) == 3
    assert report.exported is not None
    assert report.exported.sealed[0].documents == 7
    assert owed(shop) == []
    again = send_remote(shop["caixa-01"], CloseOrder(DAY), patience_s=60, sleep=wait)
    assert (again.closed.outcome, again.confirmed, len(waits)) == (CloseOutcome.UNCHANGED, True, 3)


def test_patience_ends_and_nothing_is_lost(shop: Network) -> None:
    drop(shop, sales(count=7))
    waits: list[float] = []
    report = send_remote(
        shop["caixa-01"], CloseOrder(DAY, contado_centavos=0), patience_s=5, sleep=waits.append
    )
    assert not report.confirmed
    assert sum(waits) == 5
    assert {(w.dataset, w.unsent) for w in report.differences.without_receipt} == {
        ("vendas", 0),
        ("fechamento", 0),
    }


def test_who_cannot_be_reached_is_not_waited_for(shop: Network) -> None:
    drop(shop, sales(count=7))
    (shop.root / "matriz").rename(shop.root / "away")
    waits: list[float] = []
    report = send_remote(
        shop["caixa-01"], CloseOrder(DAY, contado_centavos=0), patience_s=60, sleep=waits.append
    )
    assert list(report.exchange.unreachable) == ["matriz"]
    assert waits == []
    assert report.closed.outcome is CloseOutcome.CLOSED


# ------------------------------------------------------------------------------------------------ what was sealed and is gone


def test_a_payload_that_is_lost_is_told_and_the_day_can_be_exported_again(shop: Network) -> None:
    day = sales(count=4)
    sell(shop, day)
    for path in (shop.root / "caixa-01" / "outbox" / "matriz").glob("vendas.*.parquet"):
        path.unlink()
    with pytest.raises(CloseRefusedError, match="no whole copy") as caught:
        shut(shop)
    assert caught.value.code == "payload-lost"
    shop["caixa-01"].export("vendas", business_date=DAY, again=True)
    assert shut(shop).document["quantidade_vendas"] == 4
