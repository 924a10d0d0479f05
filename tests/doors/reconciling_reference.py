"""Reconciliation by hand: one row after the other, in lists. Slow and plain, so that it can be believed; the store must say the same.

It follows docs/reconciliation.md, not the SQL. Rows and sales are documents as contracts have them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

Document = dict[str, Any]


@dataclass
class Row:
    """One row of a file."""

    row: Document

    @property
    def code(self) -> str | None:
        return self.row.get("codigo_rastreio")

    @property
    def value(self) -> int:
        return int(self.row["valor_cobrado_centavos"])

    @property
    def attendance(self) -> tuple[int, int]:
        return int(self.row["sub_caixa"]), int(self.row["numero_atendimento"])

    @property
    def ident(self) -> Any:
        return self.code or (*self.attendance, self.row["servico"])

    @property
    def name(self) -> str:
        return f"{self.row['sub_caixa']}/{self.row['numero_atendimento']}/{self.row['sequencia']}"


@dataclass
class Posting:
    """One posting, and by what a row was found for it."""

    sale: Document
    line: Document
    row: Row | None = None
    how: str = ""
    several: bool = False

    @property
    def value(self) -> int:
        return int(self.line["valor_centavos"])

    @property
    def attendance(self) -> tuple[int, int] | None:
        if "sub_caixa" in self.line and "numero_atendimento" in self.line:
            return int(self.line["sub_caixa"]), int(self.line["numero_atendimento"])
        return None


@dataclass
class Side:
    """How a line stands in one file."""

    state: str
    how: str | None = None
    differs: tuple[str, ...] = ()
    row: str | None = None
    quantidade: int | None = None
    centavos: int | None = None


@dataclass
class File:
    """What came of one file."""

    sides: dict[int, Side] = field(default_factory=dict)  # by the posting's place
    alone: list[tuple[str, Row]] = field(default_factory=list)  # state and row


def key_of(document: Document, *names: str) -> tuple[Any, ...]:
    return tuple(document[name] for name in names)


def match_file(postings: Sequence[Posting], rows: Sequence[Document], cancelled: Collection[str]) -> File:
    """One file against all postings."""
    found = File()
    billed = [
        Row(row)
        for row in sorted(
            rows, key=lambda r: key_of(r, "origem", "sub_caixa", "numero_atendimento", "sequencia")
        )
    ]
    for negative in [row for row in billed if row.value < 0]:
        same = [row for row in billed if row.ident == negative.ident and row.value == -negative.value]
        billed.remove(negative)
        if same:
            billed.remove(same[-1])
            found.alone += [("reversed", negative), ("reversed", same[-1])]
        else:
            found.alone.append(("reversal", negative))
    todo = sorted(
        (replace(posting, row=None) for posting in postings),
        key=lambda p: (
            p.value,
            p.line["codigo_rastreio"],
            p.sale["origem"],
            p.sale["venda_id"],
            p.line["numero"],
        ),
    )
    # Rows with the same mean value: those with a code by it, then the others by their attendance as it is written out.
    billed.sort(key=lambda r: (r.code or "@{}/{}/{}".format(*r.ident), r.value))

    def look(
        how: str, of_posting: Callable[[Posting], Any], of_row: Callable[[Row], Any], *, wide: bool = False
    ) -> None:
        def width(row: Row) -> int:
            return max(int(row.row["quantidade"]), 1) if wide else 1

        free = [row for row in billed if all(row is not posting.row for posting in todo)]
        places: dict[Any, list[Row]] = defaultdict(list)
        for row in sorted(free, key=lambda r: r.value // width(r)):
            if of_row(row) is not None:
                places[of_row(row)] += [row] * width(row)
        sites: dict[Any, set[str]] = defaultdict(set)
        open_ = [
            posting for posting in todo if posting.row is None and places.get(of_posting(posting)) is not None
        ]
        for posting in open_:
            sites[of_posting(posting)].add(posting.sale["origem"])
        for posting in open_:
            key = of_posting(posting)
            if places[key]:
                posting.row, posting.how = places[key].pop(0), how
                posting.several = how != "code" and len(sites[key]) > 1

    def single(row: Row) -> bool:
        return row.code is None and row.row["quantidade"] <= 1

    def contract(document: Document) -> str:
        return document.get("contrato") or ""

    look(
        "code",
        lambda p: (p.line["codigo_rastreio"], p.value),
        lambda r: (r.code, r.value) if r.code else None,
    )
    look("code", lambda p: p.line["codigo_rastreio"], lambda r: r.code)
    look(
        "attendance",
        lambda p: p.attendance and (p.attendance, p.line["servico"], p.value),
        lambda r: (r.attendance, r.row["servico"], r.value) if single(r) else None,
    )
    look(
        "attendance",
        lambda p: p.attendance and (p.attendance, p.line["servico"]),
        lambda r: None if r.code else (r.attendance, r.row["servico"]),
        wide=True,
    )
    look("attendance", lambda p: p.attendance, lambda r: None if r.code else r.attendance, wide=True)
    look(
        "weak",
        lambda p: (p.line["servico"], contract(p.line), p.value),
        lambda r: (r.row["servico"], contract(r.row), r.value) if single(r) else None,
    )
    for row in billed:
        together = [posting for posting in todo if posting.row is row]
        if not together:
            found.alone.append(("cancelled" if row.code in cancelled else "not-sold", row))
        share_out(found, postings, row, together)
    return found


def share_out(found: File, postings: Sequence[Posting], row: Row, together: list[Posting]) -> None:
    """A row's postings: what differs, and what of the row is each one's."""
    together.sort(
        key=lambda p: (
            p.line["codigo_rastreio"],
            p.value,
            p.sale["origem"],
            p.sale["venda_id"],
            p.line["numero"],
        )
    )
    for place, posting in enumerate(together, 1):
        contracts = {document["contrato"] for document in (posting.line, row.row) if "contrato" in document}
        differs = {
            "value": sum(p.value for p in together) != row.value,
            "quantity": len(together) != row.row["quantidade"],
            "service": posting.line["servico"] != row.row["servico"],
            "contract": len(contracts) > 1,
            "site": posting.several,
            "attendance": posting.how == "weak" and posting.attendance is not None,
        }
        last = place == len(together)
        others = sum(p.value for p in together) - posting.value
        words = tuple(word for word, true in differs.items() if true)
        found.sides[next(n for n, p in enumerate(postings) if p.line is posting.line)] = Side(
            "differs" if words else "agrees", posting.how, words, row.name,
            row.row["quantidade"] - len(together) + 1 if last else 1, row.value - others if last else posting.value,
        )  # fmt: skip


def reference(
    sales: Sequence[Document],
    files: dict[str, Sequence[Document] | None],
    unbilled: Collection[str] = (),
) -> list[tuple[Any, ...]]:
    """The lines of a day, without their numbers. `files[kind]` is None where none was imported."""
    postings = [
        Posting(sale, line)
        for sale in sorted(sales, key=lambda s: key_of(s, "origem", "venda_id"))
        if sale["situacao"] != "cancelada"
        for line in sale.get("postagens", [])
    ]
    gone: dict[str, Posting] = {}
    for sale in sorted(sales, key=lambda s: key_of(s, "origem", "venda_id")):
        if sale["situacao"] == "cancelada":
            for line in sale.get("postagens", []):
                gone.setdefault(line["codigo_rastreio"], Posting(sale, line))
    found = {kind: None if rows is None else match_file(postings, rows, gone) for kind, rows in files.items()}
    lines = []
    for place, posting in enumerate(postings):
        sides: dict[str, Side | None] = {}
        for kind, file in found.items():
            billable = posting.value > 0 and posting.line["servico"] not in unbilled
            side = None if file is None else file.sides.get(place)
            sides[kind] = side or (Side("missing") if file is not None and billable else None)
        lines.append(line_of(colour_of(sides), sides, posting, posting.value))
    return lines + lines_alone(found, gone)


def colour_of(sides: dict[str, Side | None]) -> str:
    states = [side.state for side in sides.values() if side is not None]
    if not states:
        return "white"
    if states[0] == "missing":  # the BDF's, where there is one
        return "red"
    return "green" if set(states) == {"agrees"} else "yellow"


def lines_alone(found: dict[str, File | None], gone: dict[str, Posting]) -> list[tuple[Any, ...]]:
    """Rows without a posting; the n-th of the same object in both files are one line."""
    lines = []
    groups: dict[Any, dict[str, tuple[str, Row]]] = defaultdict(dict)
    for kind, file in found.items():
        seen: dict[Any, int] = defaultdict(int)
        alone = [] if file is None else sorted(file.alone, key=lambda a: a[1].value)
        for state, row in sorted(alone, key=lambda a: (a[1].value, a[1].row["quantidade"])):
            if state in ("reversed", "reversal"):
                side = Side(state, None, (), row.name, row.row["quantidade"], row.value)
                sides = {k: side if k == kind else None for k in found}
                lines.append(
                    line_of("green" if state == "reversed" else "red", sides, None, None, {kind: row})
                )
            else:
                seen[row.ident] += 1
                groups[row.ident, seen[row.ident]][kind] = (state, row)
    for group in groups.values():
        both = {
            kind: Side(group[kind][0], None, (), group[kind][1].name, group[kind][1].row["quantidade"], group[kind][1].value) if kind in group else None
            for kind in found
        }  # fmt: skip
        rows = {kind: row for kind, (_, row) in group.items()}
        states = {state for state, _ in group.values()}
        code = next(iter(rows.values())).code
        lines.append(
            line_of("red", both, gone.get(code or "") if states == {"cancelled"} else None, None, rows)
        )
    return lines


def line_of(
    colour: str,
    sides: dict[str, Side | None],
    posting: Posting | None,
    value: int | None,
    rows: dict[str, Row] | None = None,
) -> tuple[Any, ...]:
    flat = tuple(
        None if side is None else (side.state, side.how, side.differs, side.row, side.quantidade, side.centavos)
        for side in sides.values()
    )  # fmt: skip
    sale = None if posting is None else posting.sale
    ticket = None if sale is None else f"{sale['caixa']}/{sale['serie']}/{sale['numero']}"
    who = (
        (None, None, None, None)
        if sale is None or posting is None
        else (sale["origem"], ticket, sale["venda_id"], posting.line["numero"])
    )
    if rows is None and posting is not None and sale is not None:
        forms = {payment["forma"] for payment in sale.get("pagamentos", [])}
        form = None if not forms else forms.pop() if len(forms) == 1 else "several"
        line = posting.line
        what = tuple(
            line.get(name)
            for name in ("codigo_rastreio", "servico", "contrato", "sub_caixa", "numero_atendimento")
        )
        return (colour, *who, *what, form, value, *flat)
    taken = [rows[kind].row for kind in sides if rows and kind in rows]
    what = tuple(
        next((row[name] for row in taken if name in row), None)
        for name in ("codigo_rastreio", "servico", "contrato", "sub_caixa", "numero_atendimento")
    )
    return (colour, *who, *what, None, value, *flat)
