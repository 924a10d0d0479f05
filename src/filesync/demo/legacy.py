"""The same day as an old till program would leave it in a folder: CSV, one line per item, in the locale of the trade.

`;` between columns, decimal comma, dd/mm/aaaa, Latin-1, CRLF. A posting is a line like any other: its service is the product, its
tracking code stands in the description. What such a file cannot say is lost, as it is in life: the parts of a mixed payment (the form
is that of the largest part), weights and destinations of postings.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COLUMNS: Final = (
    "CAIXA", "SERIE", "CUPOM", "DATA", "DATA_HORA", "OPERADOR", "CLIENTE", "SITUACAO", "PRODUTO", "DESCRICAO", "GTIN", "QUANTIDADE",
    "VALOR_UNITARIO", "DESCONTO", "TOTAL_ITEM", "DESCONTO_CUPOM", "TOTAL_CUPOM", "FORMA",
)  # fmt: skip
_STATES: Final = {"concluida": "V", "cancelada": "C", "devolucao": "D", "ajuste": "A"}


def to_legacy_csv(documents: Iterable[dict[str, Any]]) -> bytes:
    """`vendas` documents as one file. Characters that Latin-1 does not have become '?'."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for sale in documents:
        writer.writerows(_lines(sale))
    return text.getvalue().encode("latin-1", "replace")


def _lines(sale: dict[str, Any]) -> Iterator[list[str]]:
    day, at = sale["registrada_em"][:19].split("T")
    payments = sorted(sale.get("pagamentos", ()), key=lambda payment: -abs(payment["valor_centavos"]))
    head = [
        sale["caixa"],
        sale["serie"],
        str(sale["numero"]),
        _date(sale["data_movimento"]),
        f"{_date(day)} {at}",
        sale.get("operador", ""),
        sale.get("cliente", ""),
        _STATES[sale["situacao"]],
    ]
    tail = [
        _decimal(sale["desconto_centavos"], 2),
        _decimal(sale["total_centavos"], 2),
        payments[0]["forma"] if payments else "",
    ]
    for item in sale.get("itens", ()):
        yield [
            *head,
            item["produto"],
            item.get("descricao", ""),
            item.get("gtin", ""),
            _decimal(item["quantidade_milesimos"], 3),
            _decimal(item["valor_unitario_centavos"], 2),
            _decimal(item.get("desconto_centavos", 0), 2),
            _decimal(item["total_centavos"], 2),
            *tail,
        ]
    for posting in sale.get("postagens", ()):
        value = _decimal(posting["valor_centavos"], 2)
        yield [
            *head,
            posting["servico"],
            posting["codigo_rastreio"],
            "",
            "1,000",
            value,
            "0,00",
            value,
            *tail,
        ]


def _date(text: str) -> str:
    year, month, day = text.split("-")
    return f"{day}/{month}/{year}"


def _decimal(scaled: int, places: int) -> str:
    """An exact integer of 10**-places as text with a decimal comma: -1250 with 2 places is '-12,50'."""
    whole, part = divmod(abs(scaled), 10**places)
    return f"{'-' if scaled < 0 else ''}{whole},{part:0{places}d}"
