"""Numbers, dates, ages and batches in the words of the trade. Pure: nothing is printed or read here.

For people only. What programs read (`--json`) keeps ISO dates, exact bytes and centavos.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime

from filesync.cli.language import _, listed, mark, ngettext, pair
from filesync.protocol.identity import BatchName, parse_file_name

#: One document of a dataset, and several.
_NOUNS = {
    "vendas": pair("sale", "sales"),
    "fechamento": pair("closing", "closings"),
    "produtos": pair("product", "products"),
    "clientes": pair("customer", "customers"),
    "funcionarios": pair("employee", "employees"),
    "credenciais": pair("password", "passwords"),
    "bdf": pair("BDF record", "BDF records"),
    "ca": pair("C.A. record", "C.A. records"),
}
_FORMS = {
    "01": "dinheiro", "02": "cheque", "03": "crédito", "04": "débito", "05": "crédito loja", "10": "vale alimentação", "15": "boleto",
    "17": "PIX", "90": "sem pagamento", "99": "outros",
}  # fmt: skip
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


_DOCUMENT = pair("document", "documents")

#: States, verdicts and modes as the parts below name them, and what happened to a batch.
_WORDS = frozenset(
    {
        mark("APPLIED"), mark("PARTIAL"), mark("REJECTED"), mark("delta"), mark("snapshot"), mark("unknown"),
        mark("sealed"), mark("shipped"), mark("carried"), mark("received"), mark("applied"), mark("partial"), mark("rejected"), mark("settled"),
        mark("retried"), mark("refused"), mark("text"), mark("integer"), mark("boolean"), mark("date"),
    }
)  # fmt: skip


def word(code: str) -> str:
    """A state in the chosen language; any other text as it is."""
    return _(code) if code in _WORDS else code


def plural(count: int, one: str, many: str) -> str:
    """`1 file`, `2 files`, `12.345 files`."""
    return f"{number(count)} {ngettext(one, many, count)}"


def documents(count: int, dataset: str) -> str:
    """`310 sales`."""
    return plural(count, *_NOUNS.get(dataset, _DOCUMENT))


def one_document(dataset: str) -> str:
    """`sale`."""
    return ngettext(*_NOUNS.get(dataset, _DOCUMENT), 1)


def number(value: int) -> str:
    """`12.345`, as it is written in Brazil."""
    return f"{value:,}".replace(",", ".")


def money(centavos: int) -> str:
    """`R$ 1.234,56`."""
    whole, part = divmod(abs(centavos), 100)
    return f"{'-' if centavos < 0 else ''}R$ {number(whole)},{part:02d}"


def payment_form(code: str) -> str:
    """`01 dinheiro`: a payment form (tPag) in the trade's word, which is the same in every language."""
    return f"{code} {_FORMS[code]}" if code in _FORMS else code


def size(count: int) -> str:
    """`512 bytes`, `45 kB`, `1,2 MB`."""
    if count < 1000:
        return plural(count, "byte", "bytes")
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if value >= 10 else f"{value:.1f} {_UNITS[unit]}".replace(".", ",")


def day(when: date) -> str:
    """`22/11/2026`."""
    return f"{when.day:02d}/{when.month:02d}/{when.year:04d}"


def moment(text: str) -> str:
    """An RFC 3339 moment as `22/11/2026 18:05`, in the offset it was written with."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{day(at)} {at:%H:%M}"


def age(text: str | None, now: datetime) -> str:
    """`just now`, `5 min ago`, `2 h ago`, `3 days ago`; nothing where there is no moment."""
    if not text:
        return ""
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return _("at {text}").format(text=text)
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    seconds = (now - then).total_seconds()
    if seconds < -120:
        return _("at {text}, which lies in the future: check the clock").format(text=moment(text))
    for least, unit, said in (
        (172_800, 86_400, _("{count} days ago")),
        (5_400, 3_600, _("{count} h ago")),
        (90, 60, _("{count} min ago")),
    ):
        if seconds >= least:
            return said.format(count=round(seconds / unit))
    return _("just now") if seconds < 60 else _("1 min ago")


def lasting(seconds: float) -> str:
    """`4 s`, `3 min`, `2 h`: about so long, never less than it is."""
    for least, unit, name in ((5_400, 3_600, "h"), (90, 60, "min")):
        if seconds >= least:
            return f"{math.ceil(seconds / unit)} {name}"
    return f"{math.ceil(seconds)} s"


def batch(name: BatchName) -> str:
    """`vendas of 22/11/2026`."""
    return _("{dataset} of {business_date}").format(
        dataset=name.id.feed.dataset, business_date=day(name.business_date)
    )


def named(text: str) -> str:
    """A batch stem or file name in words, with its number; any other name as it is."""
    parsed = _parse(text)
    return (
        text
        if parsed is None
        else _("{parsed} (no. {seq} of {origin})").format(
            parsed=batch(parsed), seq=parsed.id.seq, origin=parsed.id.feed.origin
        )
    )


def _parse(text: str) -> BatchName | None:
    if (file := parse_file_name(text.split("~", maxsplit=1)[0])) is not None:
        return file.batch
    try:
        return BatchName.parse(text.removesuffix(".rows.jsonl"))
    except ValueError:
        return None


def total(name: str, value: int) -> str:
    """A control total by the unit in its name: money for `…_centavos`, a plain number otherwise."""
    return money(value) if name.endswith("_centavos") else number(value)


def sum_of_money(totals: Mapping[str, object]) -> str:
    """The batch's own total, where the dataset has one: `R$ 12.345,67`."""
    value = totals.get("total_centavos")
    return money(value) if isinstance(value, int) else ""


def numbers(values: tuple[int, ...]) -> str:
    """`2, 5–9 and 12`: neighbours as ranges; long lists cut."""
    spans: list[list[int]] = []
    for value in sorted(values):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    texts = [span(first, last) for first, last in spans]
    if len(texts) > 8:
        return _("{texts} and {len} more").format(texts=", ".join(texts[:8]), len=len(texts) - 8)
    return listed(texts)


def span(first: int, last: int) -> str:
    """Numbers of tickets and batches, which are names: no dots in them."""
    return str(first) if first == last else f"{first}-{last}"
