"""A made-up but likely day of sales of one till or posto: `vendas` v1 documents, the same for the same (seed, site, day).

- Sales are in the order of the clock, their ticket numbers consecutive; with the same `count` every day, the numbers run on
  from day to day too, so that ticket continuity holds across batches.
- Totals, payments and lines agree by construction, in integers; check digits come from `contracts.formats`.
- A caixa sells mostly goods, a posto mostly takes postings. Every day has cancelled sales (a newer version of the sale,
  without payments) and returns (negative quantities), and one sale in the minute in which the doors close.

What is not here: trouble. Damaged files and bad rows are the story's part.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from filesync.contracts.formats import s10_check_digit
from filesync.demo import goods
from filesync.demo.cadastros import Client, clients, operators
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Document = dict[str, Any]

OFFSET: Final = "-03:00"  # Brasília; no daylight saving time since 2019
FIRST_DAY: Final = date(2024, 1, 1)  # ticket numbers count from here
OPENS_S: Final = 8 * 3600 + 30 * 60
CLOSES_S: Final = 18 * 3600

#: What is in a sale, and how often, per role: goods only, goods and postings, postings only.
_MIX: Final = {Role.CAIXA: (55, 30, 15), Role.POSTO: (10, 28, 62)}
#: Payment forms at the counter: PIX, credit, debit, cash, meal voucher's kin and the rest.
_FORMS: Final = ("17", "03", "04", "01", "02", "99")
_FORMS_CUMULATIVE: Final = (38, 60, 78, 96, 97, 100)
_CASH: Final = "01"
_BY_INVOICE: Final = "15"


def sales_of_day(
    site: str, role: Role, day: date, *, seed: int = 1, count: int = 300, first_number: int | None = None
) -> list[Document]:
    """`count` sales of `site` on `day`, ordered by ticket number; `origem` is the site.

    `first_number` is the day's first ticket; by default the day's place since 2024 times `count`, plus one.
    """
    # Not a secret but a story: it must be the same again everywhere.
    rng = random.Random(f"{seed}/{site}/{day.isoformat()}")  # noqa: S311
    till = _Till.of(site, role, day, seed, rng)
    first = (day - FIRST_DAY).days * count + 1 if first_number is None else first_number
    sales = [till.sale(first + place, at_s) for place, at_s in enumerate(_moments(rng, count))]
    unusual = rng.sample(range(count), min(count, max(1, count // 30) + max(1, count // 80)))
    for rank, place in enumerate(unusual):
        sales[place] = cancelled(sales[place]) if rank < max(1, count // 30) else returned(sales[place])
    return sales


def cancelled(sale: Document) -> Document:
    """The next version of `sale`, cancelled: what was sold stays on record, the payments are given back."""
    kept = {name: value for name, value in sale.items() if name != "pagamentos"}
    return {**kept, "versao": sale.get("versao", 0) + 1, "situacao": "cancelada"}


def returned(sale: Document) -> Document:
    """A return of the goods of `sale` for cash, under its ticket number. A sale without goods is cancelled instead."""
    if "itens" not in sale:
        return cancelled(sale)
    back = ("quantidade_milesimos", "total_centavos")
    itens = [
        {
            name: -value if name in back else value
            for name, value in item.items()
            if name != "desconto_centavos"
        }
        for item in sale["itens"]
    ]
    for item in itens:  # what had been taken off is not given back twice
        item["total_centavos"] = _line_total(item["quantidade_milesimos"], item["valor_unitario_centavos"])
    total = sum(item["total_centavos"] for item in itens)
    kept = {name: value for name, value in sale.items() if name not in {"postagens", "pagamentos"}}
    return {
        **kept,
        "situacao": "devolucao",
        "total_itens_centavos": total,
        "total_postagens_centavos": 0,
        "desconto_centavos": 0,
        "total_centavos": total,
        "itens": itens,
        "pagamentos": [{"numero": 1, "forma": _CASH, "valor_centavos": total}],
    }


def _moments(rng: random.Random, count: int) -> list[int]:
    """Seconds of the day, in order: two busy hours, before noon and before closing; the last one at 17:59:59."""
    busy = (11 * 3600, 16 * 3600 + 1800)
    drawn = [int(rng.triangular(OPENS_S, CLOSES_S, busy[place % 2])) for place in range(count - 1)]
    return sorted(min(at_s, CLOSES_S - 2) for at_s in drawn) + [CLOSES_S - 1] * (count > 0)


def _line_total(quantidade_milesimos: int, valor_unitario_centavos: int) -> int:
    """Half a centavo counts as a whole one, away from zero."""
    product = quantidade_milesimos * valor_unitario_centavos
    return (abs(product) + 500) // 1000 * (1 if product >= 0 else -1)


@dataclass(slots=True)
class _Till:
    """One till for one day: who stands there, and the rolls of labels and slips that run on."""

    site: str
    role: Role
    day: date
    rng: random.Random
    caixa: str
    operators: Sequence[str]
    walk_ins: Sequence[Client]
    contracted: Sequence[Client]
    label_rolls: dict[str, Iterator[str]]
    attendances: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, site: str, role: Role, day: date, seed: int, rng: random.Random) -> _Till:
        known = clients(seed)
        staff = operators(seed, site)
        digits = site.rpartition("-")[2]
        return cls(
            site=site,
            role=role,
            day=day,
            rng=rng,
            caixa=digits if digits.isdigit() else "01",
            operators=staff,
            walk_ins=[client for client in known if client.contrato is None],
            contracted=[client for client in known if client.contrato is not None],
            label_rolls={service.letters: _roll(service.letters, rng) for service in goods.SERVICES},
            attendances=[0] * len(staff),
        )

    def sale(self, numero: int, at_s: int) -> Document:
        rng = self.rng
        desk = rng.randrange(len(self.operators))
        self.attendances[desk] += 1
        (content,) = rng.choices(("itens", "both", "postagens"), _MIX.get(self.role, _MIX[Role.CAIXA]))
        client = self._client(posting=content != "itens")
        itens = self._itens() if content != "postagens" else []
        postagens = self._postagens(client, desk) if content != "itens" else []
        total_itens = sum(item["total_centavos"] for item in itens)
        total_postagens = sum(posting["valor_centavos"] for posting in postagens)
        desconto = total_itens // 20 if rng.random() < 0.05 else 0
        total = total_itens + total_postagens - desconto
        sale: Document = {
            "origem": self.site,
            "venda_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "caixa": self.caixa,
            "serie": "1",
            "numero": numero,
            "data_movimento": self.day.isoformat(),
            "registrada_em": f"{self.day.isoformat()}T{timedelta(seconds=at_s)!s:0>8}{OFFSET}",
            "operador": self.operators[desk],
            "situacao": "concluida",
            "total_itens_centavos": total_itens,
            "total_postagens_centavos": total_postagens,
            "desconto_centavos": desconto,
            "total_centavos": total,
        }
        if client is not None:
            sale["cliente"] = client.codigo
        lines = {"itens": itens, "pagamentos": self._pagamentos(total, client), "postagens": postagens}
        return sale | {name: rows for name, rows in lines.items() if rows}

    def _client(self, *, posting: bool) -> Client | None:
        if posting and self.rng.random() < 0.25:
            return self.rng.choice(self.contracted)
        return self.rng.choice(self.walk_ins) if self.rng.random() < 0.3 else None

    def _itens(self) -> list[Document]:
        rng = self.rng
        (lines,) = rng.choices((1, 2, 3, 4, 6, 9), (40, 27, 16, 9, 6, 2))
        picked = rng.choices(goods.GOODS, cum_weights=goods.GOODS_CUMULATIVE, k=lines)
        return [self._item(numero, good) for numero, good in enumerate(picked, 1)]

    def _item(self, numero: int, good: goods.Good) -> Document:
        rng = self.rng
        if good.unidade == "M":  # cut from the roll, in quarters of a metre
            quantidade = rng.randint(2, 20) * 250
        else:
            quantidade = rng.choices((1, 2, 3, 5, 10, 50), (62, 18, 8, 6, 5, 1))[0] * 1000
        total = _line_total(quantidade, good.preco_centavos)
        item: Document = {"numero": numero, "produto": good.codigo, "descricao": good.descricao}
        if good.gtin is not None:
            item["gtin"] = good.gtin
        item["quantidade_milesimos"] = quantidade
        item["valor_unitario_centavos"] = good.preco_centavos
        if total >= 1000 and rng.random() < 0.04:
            item["desconto_centavos"] = total // 10
            total -= total // 10
        item["total_centavos"] = total
        return item

    def _postagens(self, client: Client | None, desk: int) -> list[Document]:
        rng = self.rng
        by_contract = client is not None and client.contrato is not None
        # A shop on the net brings a sack; somebody from the street brings a parcel.
        counts, weights = ((3, 5, 8, 14), (40, 30, 20, 10)) if by_contract else ((1, 2, 3), (86, 10, 4))
        (lines,) = rng.choices(counts, weights)
        services = goods.SERVICES_BY_CONTRACT if by_contract else goods.SERVICES_AT_THE_COUNTER
        return [self._posting(numero, rng.choice(services), client, desk) for numero in range(1, lines + 1)]

    def _posting(self, numero: int, service: goods.Service, client: Client | None, desk: int) -> Document:
        rng = self.rng
        (region,) = rng.choices(goods.REGIONS, cum_weights=goods.REGIONS_CUMULATIVE)
        heaviest_g = min(service.peso_max_g, 12_000)
        peso_g = int(rng.triangular(20, heaviest_g, min(300, heaviest_g)))
        declared = rng.randrange(5_000, 300_000, 500) if rng.random() < 0.2 else 0
        begun_kg = -(-peso_g // 1000)
        way = (service.base_centavos + service.per_kg_centavos * begun_kg) * region.distance_percent // 100
        posting: Document = {
            "numero": numero,
            "codigo_rastreio": next(self.label_rolls[service.letters]),
            "servico": service.codigo,
            "peso_g": peso_g,
            "cep_destino": f"{rng.randint(region.cep_first, region.cep_last):05d}{rng.randrange(900):03d}",
        }
        if declared:
            posting["valor_declarado_centavos"] = declared
        posting["valor_centavos"] = way + -(
            -declared // 100
        )  # one percent of the declared value, begun centavos count
        if client is not None and service.by_contract:
            posting["contrato"] = client.contrato
            posting["cartao_postagem"] = client.cartao_postagem
        posting["sub_caixa"] = str(desk + 1)
        posting["numero_atendimento"] = str(self.attendances[desk])
        return posting

    def _pagamentos(self, total: int, client: Client | None) -> list[Document]:
        rng = self.rng
        if client is not None and client.contrato is not None:
            parts = [(_BY_INVOICE, total)]
        else:
            (form,) = rng.choices(_FORMS, cum_weights=_FORMS_CUMULATIVE)
            parts = [(form, total)]
            if total >= 2000 and rng.random() < 0.08:  # some notes, and the rest another way
                notes = rng.randrange(500, total, 500)
                parts = [(_CASH, notes), ("17" if form == _CASH else form, total - notes)]
        return [
            {"numero": numero, "forma": form, "valor_centavos": value}
            for numero, (form, value) in enumerate(parts, 1)
        ]


def _roll(letters: str, rng: random.Random) -> Iterator[str]:
    """Labels come on rolls: S10 codes with consecutive serial numbers."""
    serial = rng.randrange(10**8)
    while True:
        text = f"{serial:08d}"
        yield f"{letters}{text}{s10_check_digit(text)}BR"
        serial = (serial + 1) % 10**8
