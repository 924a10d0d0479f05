"""What Correios bills for a day that was sold: `bdf` and `ca` v1 documents made from sales, and differences planted in them.

- Both systems tell of every posting of every sale that was not cancelled: what SARA bills (BDF) and what the counter
  recorded (C.A.). Without planted differences they agree with the sales in every row.
- Of several versions of a sale the highest counts, as at the matriz.
- The same sales, seed and plan give the same rows; the order of the sales does not matter.
- Each difference is planted at a posting of its own, so that each can be looked for alone, and is told in `Billing.planted`.

What is not here: files (`billing_files`), and any claim about what real billing files hold.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from filesync.contracts.formats import s10_check_digit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Document = dict[str, Any]

#: The two kinds of billing file, in the order in which they are made.
DATASETS: Final = ("bdf", "ca")


class Difference(Enum):
    """What can be wrong between what was sold and what is billed."""

    VALUE = "value"  #: billed, but for another amount
    MISSING = "missing"  #: sold, not billed
    EXTRA = "extra"  #: billed, not sold
    QUANTITY = "quantity"  #: billed more often than sold, in one row
    NO_CODE = "no-code"  #: billed rightly, but without the tracking code: found by its attendance only


@dataclass(frozen=True, slots=True)
class Plan:
    """How many differences of each kind to plant, into which of the two files."""

    value: int = 0
    missing: int = 0
    extra: int = 0
    quantity: int = 0
    no_code: int = 0
    datasets: tuple[str, ...] = ("bdf",)

    def counts(self) -> dict[Difference, int]:
        """The plan as a table."""
        return {
            Difference.VALUE: self.value,
            Difference.MISSING: self.missing,
            Difference.EXTRA: self.extra,
            Difference.QUANTITY: self.quantity,
            Difference.NO_CODE: self.no_code,
        }


#: One of each kind that a shop must find, in the BDF.
STORY: Final = Plan(value=2, missing=1, extra=1)


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted difference. `billed_centavos` is None where nothing is billed, `sold_centavos` where nothing was sold."""

    dataset: str
    kind: Difference
    codigo_rastreio: str
    data: str
    sub_caixa: str
    numero_atendimento: str
    sold_centavos: int | None
    billed_centavos: int | None


@dataclass(frozen=True, slots=True)
class Billing:
    """The rows of both files, in the order of their keys."""

    bdf: list[Document]
    ca: list[Document]
    planted: tuple[Planted, ...] = field(default=())

    def rows(self, dataset: str) -> list[Document]:
        """The rows of one of the files."""
        return {"bdf": self.bdf, "ca": self.ca}[dataset]


def billing_of_day(
    sales: Iterable[Mapping[str, Any]], *, seed: int = 1, planted: Plan | None = None, origem: str = "matriz"
) -> Billing:
    """BDF and C.A. rows of these sales (any number of sites and days), with the planned differences.

    Raises `ValueError` where the plan needs more postings than there are.
    """
    plan = planted or Plan()
    sold = _sold(sales)
    wanted = sum(plan.counts().values())
    if wanted > len(sold):
        raise ValueError(f"expected at least {wanted} postings for the planned differences, got {len(sold)}")
    # Not a secret but a story: it must be the same again everywhere.
    rng = random.Random(f"billing/{seed}")  # noqa: S311
    places = rng.sample(range(len(sold)), wanted)
    tells: list[Planted] = []
    files: dict[str, list[Document]] = {}
    for dataset in DATASETS:
        rows: list[Document | None] = [_billed(posting, origem) for posting in sold]
        if dataset in plan.datasets:
            kinds = [kind for kind, count in plan.counts().items() for _ in range(count)]
            for place, kind in zip(places, kinds, strict=True):
                tells.append(_plant(dataset, kind, rows, place))
        files[dataset] = _numbered(row for row in rows if row is not None)
    return Billing(files["bdf"], files["ca"], tuple(tells))


@dataclass(frozen=True, slots=True)
class _Posting:
    site: str
    day: str
    line: Mapping[str, Any]


def _sold(sales: Iterable[Mapping[str, Any]]) -> list[_Posting]:
    """The postings that stand, in an order that does not depend on how the sales were given."""
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for sale in sales:
        key = (sale["origem"], sale["venda_id"])
        if key not in newest or sale.get("versao", 0) >= newest[key].get("versao", 0):
            newest[key] = sale
    standing = [sale for _, sale in sorted(newest.items()) if sale["situacao"] != "cancelada"]
    postings = [
        _Posting(sale["origem"], sale["data_movimento"], line)
        for sale in standing
        for line in sale.get("postagens") or ()
    ]
    return sorted(postings, key=lambda p: (p.day, *_attendance(p.line), p.site, p.line["codigo_rastreio"]))


def _attendance(line: Mapping[str, Any]) -> tuple[int, int]:
    """Postings that name no attendance are billed under number 0 of sub-caixa 0."""
    return int(line.get("sub_caixa") or 0), int(line.get("numero_atendimento") or 0)


def _billed(posting: _Posting, origem: str) -> Document:
    line = posting.line
    by_contract = line.get("contrato") is not None
    row: Document = {
        "origem": origem,
        "data": posting.day,
        "sub_caixa": line.get("sub_caixa") or "0",
        "numero_atendimento": line.get("numero_atendimento") or "0",
        "servico": line["servico"],
        "codigo_rastreio": line["codigo_rastreio"],
        "quantidade": 1,
        "peso_g": line["peso_g"],
        "valor_cobrado_centavos": line["valor_centavos"],
        "modalidade": "A FATURAR" if by_contract else "A VISTA",
        "comprovante": line["codigo_rastreio"][2:11] + "0",
        "mcu_unidade_postagem": unit_of(posting.site),
    }
    for name in ("valor_declarado_centavos", "contrato", "cartao_postagem"):
        if line.get(name) is not None:
            row[name] = line[name]
    if line.get("valor_declarado_centavos"):
        row["servico_adicional"] = "019"
    return row


def unit_of(site: str) -> str:
    """A made-up MCU code of the unit where a site posts: eight digits, the same for the same site."""
    return f"{int.from_bytes(hashlib.sha256(site.encode()).digest()[:4]) % 10**8:08d}"


def _plant(dataset: str, kind: Difference, rows: list[Document | None], place: int) -> Planted:
    """Change `rows` at `place`; an extra row is appended."""
    row = rows[place]
    if row is None:  # places are distinct
        raise AssertionError(place)
    sold: int | None = row["valor_cobrado_centavos"]
    billed = sold
    code: str = row["codigo_rastreio"]
    if kind is Difference.VALUE:
        billed = row["valor_cobrado_centavos"] = row["valor_cobrado_centavos"] + 150
    elif kind is Difference.QUANTITY:
        row["quantidade"] = 2
    elif kind is Difference.NO_CODE:
        del row["codigo_rastreio"]
    elif kind is Difference.MISSING:
        rows[place] = billed = None
    else:
        # The same service on the same day at the same desk, for an object that nobody sold.
        serial = f"{99_000_000 + place:08d}"
        code = f"ZZ{serial}{s10_check_digit(serial)}BR"
        attendance = str(900_000 + place)
        row = {**row, "codigo_rastreio": code, "numero_atendimento": attendance}
        rows.append(row)
        sold, billed = None, row["valor_cobrado_centavos"]
    return Planted(
        dataset, kind, code, row["data"], row["sub_caixa"], row["numero_atendimento"], sold, billed
    )


def _numbered(rows: Iterable[Document]) -> list[Document]:
    """`sequencia` counts the rows of an attendance; two sites may use the same numbers, the key must stay one."""
    counts: dict[tuple[str, str, str], int] = {}
    numbered = []
    for row in sorted(rows, key=lambda r: (r["data"], int(r["sub_caixa"]), int(r["numero_atendimento"]))):
        key = (row["data"], row["sub_caixa"], row["numero_atendimento"])
        counts[key] = counts.get(key, 0) + 1
        numbered.append({**row, "sequencia": counts[key]})
    return numbered
