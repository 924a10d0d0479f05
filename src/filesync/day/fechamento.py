"""The document `fechamento`: how a close's numbers become one, and the rules that its schema cannot say. Pure.

- `formas` of form 01 is `dinheiro_centavos`; both count payments of sales that stand (see sealed.py).
- `linhas` and `totais` only speak of feeds that `feeds` names.
- A shift's money is the day's so far less what the shifts before it said: together they are the day, whatever was cancelled in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from filesync.day.sealed import CASH
from filesync.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from filesync.day.sealed import FeedSum, Figures

REMARK_CHARS_MAX: Final = 500  # as in schemas/datasets/fechamento.v1.json
_FEED: Final = ("dataset", "audience", "epoch")
_refused_note = re.compile(r"(; )?\[[0-9]+ recusadas na origem: [^\]]*\]$")
_PARTS: Final = ("formas", "tickets", "feeds", "linhas", "totais")


@dataclass(frozen=True, slots=True)
class Key:
    """Which close."""

    origem: str
    data: date
    turno: int


@dataclass(frozen=True, slots=True)
class Drawer:
    """What a person counted and says."""

    abertura_centavos: int
    suprimentos_centavos: int
    sangrias_centavos: int
    contado_centavos: int
    operador: str | None
    observacao: str | None


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sealed: the shift's money, and the day's batches so far. `parts` are the arrays of the document."""

    quantidade_vendas: int
    total_vendas_centavos: int
    dinheiro_centavos: int
    parts: Mapping[str, list[dict[str, Any]]]

    @property
    def nothing(self) -> bool:
        """Nothing was sold, and nothing changed."""
        money = any(line["valor_centavos"] or line["quantidade"] for line in self.parts["formas"])
        return not (self.quantidade_vendas or self.total_vendas_centavos or money)

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        """As it was said before."""
        parts = {name: list(document.get(name, ())) for name in _PARTS}
        return cls(
            document["quantidade_vendas"], document["total_vendas_centavos"], document["dinheiro_centavos"], parts
        )  # fmt: skip

    @classmethod
    def since(
        cls,
        day: Figures,
        feeds: Mapping[tuple[str, str, str], FeedSum],
        earlier: Sequence[Mapping[str, Any]],
    ) -> Self:
        """The day so far, less what the closes of `earlier` shifts said was sold in them."""
        forms = dict(day.forms)
        for document in earlier:
            for line in document.get("formas", ()):
                count, value = forms.get(line["forma"], (0, 0))
                forms[line["forma"]] = count - line["quantidade"], value - line["valor_centavos"]
        parts: dict[str, list[dict[str, Any]]] = {
            # Payments given back in this shift leave their sum negative; how many there were cannot be.
            "formas": [
                {"forma": forma, "quantidade": max(count, 0), "valor_centavos": value}
                for forma, (count, value) in sorted(forms.items())
                if count or value
            ],
            "tickets": [
                {"caixa": run.caixa, "serie": run.serie, "primeiro": run.first, "ultimo": run.last, "quantidade": run.count}
                for run in day.tickets
            ],
            **of_feeds(feeds),
        }  # fmt: skip
        return cls(
            max(0, day.sales - sum(document["quantidade_vendas"] for document in earlier)),
            day.total_centavos - sum(document["total_vendas_centavos"] for document in earlier),
            forms.get(CASH, (0, 0))[1],
            parts,
        )


def of_feeds(feeds: Mapping[tuple[str, str, str], FeedSum]) -> dict[str, list[dict[str, Any]]]:
    """`feeds`, `linhas` and `totais` of the day's batches."""
    lines: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    for key, held in feeds.items():
        of = dict(zip(_FEED, key, strict=True))
        lines.append(
            {**of, "seq_primeiro": held.first, "seq_ultimo": held.last, "lotes": held.batches, "documentos": held.documents}
        )  # fmt: skip
        rows += [
            {**of, "relacao": relation, "linhas": count} for relation, count in sorted(held.rows.items())
        ]
        totals += [
            {**of, "total": name, "valor_de": value_of, "valor": value}
            for (name, value_of), value in sorted(held.totals.items())
        ]
    return {"feeds": lines, "linhas": rows, "totais": totals}


def document(key: Key, fechado_em: str, sold: Sold, drawer: Drawer) -> dict[str, Any]:
    """The close as a document of the contract."""
    esperado = (
        drawer.abertura_centavos
        + drawer.suprimentos_centavos
        - drawer.sangrias_centavos
        + sold.dinheiro_centavos
    )
    whole = {
        "origem": key.origem,
        "data": key.data.isoformat(),
        "turno": key.turno,
        "fechado_em": fechado_em,
        "operador": drawer.operador or None,
        "sem_movimento": sold.nothing,
        "abertura_centavos": drawer.abertura_centavos,
        "suprimentos_centavos": drawer.suprimentos_centavos,
        "sangrias_centavos": drawer.sangrias_centavos,
        "dinheiro_centavos": sold.dinheiro_centavos,
        "esperado_centavos": esperado,
        "contado_centavos": drawer.contado_centavos,
        "diferenca_centavos": drawer.contado_centavos - esperado,
        "quantidade_vendas": sold.quantidade_vendas,
        "total_vendas_centavos": sold.total_vendas_centavos,
        "observacao": drawer.observacao or None,
        **{name: lines for name, lines in sold.parts.items() if lines},
    }
    return {name: value for name, value in whole.items() if value is not None}


def check(document: Mapping[str, Any]) -> None:
    """The rules that the schema cannot say. RejectedError "close-inconsistent": a mistake of whoever made the document."""
    cash = sum(line["valor_centavos"] for line in document.get("formas", ()) if line["forma"] == CASH)
    if cash != document["dinheiro_centavos"]:
        raise RejectedError(
            "close-inconsistent",
            f"dinheiro_centavos: expected {cash}, the sum of form {CASH}, got {document['dinheiro_centavos']}",
        )
    named = {tuple(line[name] for name in _FEED) for line in document.get("feeds", ())}
    for part in ("linhas", "totais"):
        for line in document.get(part, ()):
            feed = tuple(line[name] for name in _FEED)
            if feed not in named:
                raise RejectedError(
                    "close-inconsistent",
                    f"{part}: expected only feeds that feeds names, got {'.'.join(feed)}",
                )


def remark(said: str | None, refused: int, names: Sequence[str]) -> str | None:
    """What the operator said, and behind it which documents of the day could not be sealed. What an earlier close put there goes."""
    said = _refused_note.sub("", said) if said else said
    if not refused:
        return said
    room = REMARK_CHARS_MAX - len(said or "") - len(f"; [{refused} recusadas na origem: ]")
    if room < 1:
        return said  # the operator's own words fill it
    listed = "; ".join(dict.fromkeys(names)).replace("]", ")")
    note = f"[{refused} recusadas na origem: {listed if len(listed) <= room else listed[: room - 1] + '…'}]"
    return f"{said}; {note}" if said else note
