"""Everything that can be said about a billing file without taking it (`--check`). Reads only: nothing is kept, recorded or marked.

A file that is wrong is no error here: what is wrong with it is what was asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from filesync.day import filing, routine
from filesync.day.values import Closed
from filesync.errors import RejectedError
from filesync.protocol.receipt import Problem

if TYPE_CHECKING:
    from datetime import date

    from filesync.contracts import TotalsSum
    from filesync.day.filing import Asked
    from filesync.day.values import Reason
    from filesync.exchange.context import Context
    from filesync.sources.layout_checks import Said
    from filesync.sources.layout_reading import Found, Piece
    from filesync.stores.files import FileRecord

EXAMPLES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Unsold:
    """A billed row for which no sale of the day is held: neither its tracking code nor its attendance."""

    line: int
    sub_caixa: str
    numero_atendimento: str
    codigo_rastreio: str | None
    servico: str
    valor_cobrado_centavos: int


@dataclass(slots=True)
class CheckReport:
    """What a file says, what is wrong with it, and what would become of it.

    `wrong` concerns the whole file: with any of it, it would be refused. `problems` names rows that would be set aside (`set_aside` counts
    them). `sites`: billed rows by the site whose sale they belong to; `units` by the unit that the file names. `repeated_codes`: tracking
    codes that stand more than once. `gate` None: open. `counts_already`: this very file counts for the day; `supersedes`: the one it would
    replace.
    """

    dataset: str
    file: str
    layout: str
    day: date
    sha256: str
    bytes: int
    details: int = 0
    documents: int = 0
    set_aside: int = 0
    rows_by_day: dict[str, int] = field(default_factory=dict)
    said: tuple[Said, ...] = ()
    totals: dict[str, Any] = field(default_factory=dict)
    wrong: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()
    units: dict[str, int] = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)
    unsold: int = 0
    unsold_examples: tuple[Unsold, ...] = ()
    repeated_codes: int = 0
    repeated_examples: tuple[str, ...] = ()
    gate: tuple[Reason, ...] | None = None
    counts_already: FileRecord | None = None
    supersedes: FileRecord | None = None

    @property
    def good(self) -> bool:
        """Whether it would be taken whole, were its gate open."""
        return not self.wrong and not self.set_aside


def check(ctx: Context, asked: Asked) -> CheckReport:
    """Look at a file from end to end. Raises what `filing.identify` raises: of such a file nothing can be said."""
    file = filing.identify(ctx, asked)
    report = CheckReport(
        asked.dataset, asked.path.name, file.look.layout.name, file.day, file.sha256, file.bytes
    )
    reading = filing.reading_of(ctx, file)
    look = _Looking(ctx, file.day)
    sums = file.contract.totals_sum()
    try:
        for piece in filing.rows_of(ctx, reading):
            sums.add(piece.table)
            look.at(piece)
        filing.judge(reading, file)
    except RejectedError as err:
        report.wrong = tuple(getattr(err, "problems", ())) or (Problem(err.code, err.message),)
    _fill(report, reading.found, look, sums)
    report.counts_already = filing.counting(ctx, file)
    current = ctx.store.files.current(asked.dataset, file.day)
    report.supersedes = None if report.counts_already is not None else current
    decision = routine.decide(ctx, file.step, file.day)
    report.gate = decision.reasons if isinstance(decision, Closed) else None
    return report


def _fill(report: CheckReport, found: Found, look: _Looking, sums: TotalsSum) -> None:
    report.details, report.set_aside = found.details, found.bad
    report.documents = sums.rows.get(report.dataset, 0)
    report.totals = dict(sums.totals)
    report.rows_by_day = {day.isoformat(): count for day, count in sorted(found.days.items())}
    report.said, report.problems = tuple(found.said), tuple(found.problems)
    report.units, report.sites = dict(sorted(look.units.items())), dict(sorted(look.sites.items()))
    report.unsold, report.unsold_examples = look.unsold, tuple(look.examples)
    report.repeated_codes, report.repeated_examples = look.repeated()


class _Looking:
    """What the rows say beside the sales that are held."""

    def __init__(self, ctx: Context, day: date) -> None:
        self.units: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()
        self.unsold = 0
        self.examples: list[Unsold] = []
        self._codes: list[pa.Array] = []
        vendas = ctx.contracts.latest("vendas")
        empty = pa.array([], pa.string())
        self._sold, self._origins, self._attendances = empty, empty, empty
        if vendas is not None:
            sold = ctx.store.files.postings_sold(vendas, day).combine_chunks()
            self._sold, self._origins = (
                sold.column("codigo").cast(pa.string()).combine_chunks(),
                sold.column("origem").cast(pa.string()),
            )
            self._attendances = pc.unique(_attendance(sold.column("sub_caixa"), sold.column("numero")))

    def at(self, piece: Piece) -> None:
        table = piece.table
        codes = table.column("codigo_rastreio").combine_chunks()
        self._codes.append(codes.drop_null())
        for entry in pc.value_counts(table.column("mcu_unidade_postagem").drop_null()).to_pylist():
            self.units[entry["values"]] += entry["counts"]
        places = pc.index_in(codes, self._sold)
        for entry in pc.value_counts(self._origins.take(places.drop_null())).to_pylist():
            self.sites[entry["values"]] += entry["counts"]
        attended = pc.is_in(
            _attendance(table.column("sub_caixa"), table.column("numero_atendimento")), self._attendances
        )
        missing = pc.and_(pc.is_null(places), pc.invert(attended))
        rows = pc.indices_nonzero(missing)
        self.unsold += len(rows)
        for row in rows[: EXAMPLES_MAX - len(self.examples)].to_pylist():
            values = {f.name: table.column(f.name)[row].as_py() for f in table.schema}
            self.examples.append(
                Unsold(
                    int(piece.lines[row]), values["sub_caixa"], values["numero_atendimento"], values["codigo_rastreio"],
                    values["servico"], values["valor_cobrado_centavos"],
                )
            )  # fmt: skip

    def repeated(self) -> tuple[int, tuple[str, ...]]:
        """Tracking codes that stand more than once."""
        if not self._codes:
            return 0, ()
        counted = pc.value_counts(pa.chunked_array(self._codes))
        again = counted.filter(pc.greater(counted.field("counts"), 1)).field("values")
        return len(again), tuple(again[:EXAMPLES_MAX].to_pylist())


def _attendance(sub_caixa: Any, numero: Any) -> Any:
    """As one text, to be looked up."""
    return pc.binary_join_element_wise(sub_caixa.cast(pa.string()), numero.cast(pa.string()), "/")
