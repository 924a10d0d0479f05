"""Close a day: the site's fechamento, made from what it sealed, and sealed itself. Also: what stands between this till and the server.

Ordering rules:
1. The site's lock is held from the first look to the last word: no sale is sealed between what is counted and what is named.
2. The source is asked first, by the way of an export (unsealed.py). While it holds documents of the day that are not sealed nothing is closed.
3. The document is made from the ledger and the sealed payloads (sealed.py), checked (fechamento.py), then sealed like any other batch.

- Of several shifts each has a close of its own, in order. Money, sales and payments are those since the close before it; `feeds`, `linhas`, `totais`
  and `tickets` are the day's so far, so that the last close names every batch.
- Again with the same content changes nothing. Other content is the next version, and so is a close that was refused by its recipient.
- What is not said again is taken from the close before: the count, the float, the operator, the remark.

What is not here: how it is said (cli/closing.py), and whether a day is complete (completeness.py, at the matriz).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from filesync.day import fechamento
from filesync.day.differences import Differences, differences
from filesync.day.sealed import CLOSING, SALES, closings, feeds, figures
from filesync.day.unsealed import Unsealed, unsealed
from filesync.errors import ConfigError, FilesyncError, RejectedError
from filesync.exchange.capture import Export, order_of, seal_table
from filesync.exchange.restoring import LOST, PURGED
from filesync.protocol.identity import Role
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from filesync.day.sealed import Figures
    from filesync.exchange.context import Context
    from filesync.exchange.reports import SealedBatch
    from filesync.exchange.station import Station
    from filesync.stores.values import DaySealed

#: Who closes a day.
CLOSING_ROLES: Final = (Role.CAIXA, Role.POSTO)


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """What a person says when closing. None: as in the close before; where there is none, nothing (the count must be said once).

    `turno` None: the first shift; where nothing is said of a drawer, the last one that was closed, for that is what closes a day again.
    `despite_refused`: close although the source holds documents of the day that break the contract; the remark then names them.
    """

    day: date
    turno: int | None = None
    contado_centavos: int | None = None
    abertura_centavos: int | None = None
    suprimentos_centavos: int | None = None
    sangrias_centavos: int | None = None
    operador: str | None = None
    observacao: str | None = None
    sem_movimento: bool = False
    despite_refused: bool = False
    above: int | None = None  # said under a higher version than this, also when nothing changed

    @property
    def says_no_cash(self) -> bool:
        """Whether every amount stays as it was said before."""
        amounts = (
            self.contado_centavos,
            self.abertura_centavos,
            self.suprimentos_centavos,
            self.sangrias_centavos,
        )
        return all(amount is None for amount in amounts)


class CloseOutcome(Enum):
    """What a close came to."""

    CLOSED = "closed"
    CORRECTED = "corrected"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class CloseReport:
    """`document` is the fechamento as it stands; `batch` carries it (None where nothing changed). `figures` are the day's, all shifts."""

    day: date
    turno: int
    outcome: CloseOutcome
    versao: int
    document: Mapping[str, Any]
    batch: SealedBatch | None
    figures: Figures
    differences: Differences
    unsealed: Unsealed


class CloseRefusedError(FilesyncError):
    """The day is not closed, and nothing was changed. `unsealed` is what the source holds, where that is why."""

    def __init__(self, code: str, message: str, found: Unsealed | None = None) -> None:
        super().__init__(code, message)
        self.unsealed = found


def close(station: Station, order: CloseOrder) -> CloseReport:
    """Close the day, or correct its close. `CloseRefusedError` with a code and why; nothing was changed then."""
    with station.at_work() as ctx:
        if ctx.settings.role not in CLOSING_ROLES:
            raise ConfigError(
                "close-role",
                f"{ctx.me} is a {ctx.settings.role.value}; expected a caixa or posto, which sell and close their days",
            )
        wanted = order_of(ctx, Export(CLOSING, business_date=order.day))
        found = unsealed(ctx, SALES, order.day, station.dropped)
        _all_sealed(order, found)
        batches = ctx.store.days.sealed(order.day)
        closes = closings(ctx, batches)
        told = closes.by_turno
        turno = order.turno or (max(told, default=1) if order.says_no_cash else 1)
        document, sums = _document(ctx, order, turno, batches, told, found)
        before = told.get(turno)
        lost = closes.lost(turno)
        versao = -1 if before is None else before.get("versao", 0)
        raised = order.above is not None and versao <= order.above
        if before is not None and _same(before, document) and not (lost or raised or _refused(batches)):
            return _report(ctx, order.day, CloseOutcome.UNCHANGED, before, None, sums, found)
        if before is not None or lost or raised:
            document["versao"] = max(
                versao + 1, closes.sealed if lost else 0, (order.above or 0) + 1 if raised else 0
            )
        table, problems, _ = wanted.contract.from_documents([document])
        if problems:
            raise CloseRefusedError("close-invalid", f"{CLOSING} of {order.day}: {problems[0].message}")
        done = seal_table(ctx, wanted, table)
        if done.held:
            raise CloseRefusedError(done.failed[0].code, done.failed[0].message)
        (batch,) = done.sealed
        # At this instant the day is closed here.
        outcome = CloseOutcome.CLOSED if before is None else CloseOutcome.CORRECTED
        return _report(ctx, order.day, outcome, document, batch, sums, found)


def _report(
    ctx: Context,
    day: date,
    outcome: CloseOutcome,
    document: dict[str, Any],
    batch: SealedBatch | None,
    sums: Figures,
    found: Unsealed,
) -> CloseReport:
    between = differences(ctx, day, cash_centavos=document["diferenca_centavos"], gaps=sums.gaps)
    versao = document.get("versao", 0)
    return CloseReport(day, document["turno"], outcome, versao, document, batch, sums, between, found)


# ------------------------------------------------------------------------------------------------ what must be true before


def _all_sealed(order: CloseOrder, found: Unsealed) -> None:
    day = order.day.isoformat()
    if found.unread:
        first = found.unread[0]
        raise CloseRefusedError(
            "day-unread",
            f"{day}: expected to read the source of {SALES}, got {first.code}: {first.message}; it may hold sales of the day",
            found,
        )
    if found.documents:
        raise CloseRefusedError(
            "day-unsealed",
            f"{day}: expected every document of the day sealed, got {found.documents} that are not: {_some(found.names)}",
            found,
        )
    if found.refused and not order.despite_refused:
        first_problem = found.problems[0].message if found.problems else "no reason was given"
        raise CloseRefusedError(
            "day-refused-rows",
            f"{day}: expected no document of the day that breaks the contract, got {found.refused}: {first_problem}",
            found,
        )


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:3]) + ("; …" if len(names) > 3 else "")


def _refused(batches: Sequence[DaySealed]) -> bool:
    """Whether the last close that was sealed was rejected: the same content, said again, needs a higher version."""
    own = [batch for batch in batches if batch.feed.dataset == CLOSING]
    return bool(own) and Verdict.REJECTED in own[-1].verdicts.values()


# ------------------------------------------------------------------------------------------------ the document


def _document(
    ctx: Context,
    order: CloseOrder,
    turno: int,
    batches: Sequence[DaySealed],
    told: Mapping[int, dict[str, Any]],
    found: Unsealed,
) -> tuple[dict[str, Any], Figures]:
    day = order.day.isoformat()
    sums, day_feeds = _figures(ctx, order.day, batches), feeds(batches)
    before = told.get(turno)
    earlier = [document for shift, document in told.items() if shift < turno]
    if turno > 1 and turno - 1 not in told:
        raise CloseRefusedError(
            "turno-missing",
            f"{day}, turno {turno}: expected turno {turno - 1} closed before it, got no close of it",
        )
    if before is not None and max(told) > turno:
        # What was sold later belongs to the last shift; here only the drawer can be corrected.
        sold = fechamento.Sold.of_document(before)
        last = told[max(told)]
        if fechamento.of_feeds(day_feeds)["feeds"] != last.get("feeds", []):
            raise CloseRefusedError(
                "turno-late",
                f"{day}: expected every batch of the day named by its last turno, {max(told)}, got some that were sealed after its close",
            )
    else:
        sold = fechamento.Sold.since(sums, day_feeds, earlier)
    drawer = _drawer(order, turno, before)
    said = order.sem_movimento or (before is not None and bool(before["sem_movimento"]))
    if sold.nothing and not said:
        raise CloseRefusedError(
            "day-empty",
            f"{day}, turno {turno}: expected sales, or to be told that there were none, got neither",
        )
    if order.sem_movimento and not sold.nothing:
        raise CloseRefusedError(
            "day-not-empty",
            f"{day}, turno {turno}: expected no sales (sem movimento), got {sold.quantidade_vendas}, {sold.total_vendas_centavos} centavos",
        )
    names = [problem.message.split(": ")[0] for problem in found.problems]
    drawer = replace(drawer, observacao=fechamento.remark(drawer.observacao, found.refused, names))
    key = fechamento.Key(ctx.me, order.day, turno)
    document = fechamento.document(key, ctx.now(), sold, drawer)
    fechamento.check(document)
    return document, sums


def _figures(ctx: Context, day: date, batches: Sequence[DaySealed]) -> Figures:
    try:
        return figures(ctx, batches)
    except RejectedError as err:
        if err.code not in (LOST, PURGED):
            raise
        # Whoever has applied it does not need it any more; here nobody can say what was in it, until its sales are sealed again.
        command = f"filesync export {SALES} --date {day.isoformat()} --again"
        raise CloseRefusedError(err.code, f"{err.message}; seal the day's sales again: {command}") from err


def _drawer(order: CloseOrder, turno: int, before: Mapping[str, Any] | None) -> fechamento.Drawer:
    held = before or {}

    def said(value: int | None, name: str) -> int:
        return int(held.get(name, 0)) if value is None else value

    if order.contado_centavos is None and before is None:
        raise ConfigError(
            "count-missing",
            f"{order.day.isoformat()}, turno {turno}: expected the cash that was counted, got nothing",
        )
    return fechamento.Drawer(
        said(order.abertura_centavos, "abertura_centavos"),
        said(order.suprimentos_centavos, "suprimentos_centavos"),
        said(order.sangrias_centavos, "sangrias_centavos"),
        said(order.contado_centavos, "contado_centavos"),
        held.get("operador") if order.operador is None else order.operador,
        held.get("observacao") if order.observacao is None else order.observacao,
    )


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two closes say the same; when, and how often it was said before, is not part of it."""
    apart = ("fechado_em", "versao")
    return {k: v for k, v in one.items() if k not in apart} == {
        k: v for k, v in other.items() if k not in apart
    }
