"""Tables of the user's own, in the flow of an import: when their statements are tried, and who is to blame for a failure.

Ordering rules:
1. Before the first batch of a dataset in each import its statements are tried over no rows. Where they cannot even do that (a table that is not
   there, a column, a right), no batch is to blame: nothing of the dataset is decided, its batches wait, and the import says why.
2. A statement that fails with a group of batches: the group is split (applying.py), so that only the batch to blame is rejected.
3. With one batch: the statements are tried over no rows once more. If they fail, the tables have changed meanwhile, and 1 holds. Otherwise the batch
   is rejected, `apply-failed`, with the database's own words.
4. Failures of the road (another writer, a full disk, a lost connection) decide nothing and are not caught here.

What is not here: staging and running (stores/own_tables.py).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange.reports import Held
from filesync.protocol.receipt import Problem
from filesync.stores.own_statements import StatementFailedError
from filesync.stores.own_tables import refuse_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.contracts import Contract
    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport

#: Said of a dataset whose statements cannot run at all, and of the batches that wait for them.
BROKEN: Final = "apply-broken"
#: A batch that they refuse.
FAILED: Final = "apply-failed"
_UNSAID: Final = "the database's words are not shown, for they may hold a secret"


@dataclass(slots=True)
class Readiness:
    """Which datasets can be applied in this import. Each is asked once, when its first batch is there."""

    ctx: Context
    report: ImportReport
    asked: dict[str, str] = field(default_factory=dict)

    def why_not(self, dataset: str) -> str:
        """Why batches of a dataset must wait; "" where they need not."""
        if dataset not in self.ctx.settings.apply:
            return ""
        if dataset not in self.asked:
            self.asked[dataset] = _why_not(self.ctx, dataset)
            if self.asked[dataset]:
                tell(self.report, Held(self.ctx.me, dataset, BROKEN, self.asked[dataset]))
        return self.asked[dataset]


def check_all(ctx: Context, report: ImportReport) -> bool:
    """Try every dataset's statements, whether batches of it are there or not: at the start, so that nobody learns of it at night.

    False: the database was busy; then nothing is known.
    """
    try:
        for dataset in ctx.settings.apply:
            if why := _why_not(ctx, dataset):
                tell(report, Held(ctx.me, dataset, BROKEN, why))
    except TransportError:
        return False
    return True


def tell(report: ImportReport, held: Held) -> None:
    """Once, however many looked."""
    if held not in report.unready:
        report.unready.append(held)


def check(ctx: Context, dataset: str) -> None:
    """Try the statements of a dataset over no rows. Raises `ConfigError` saying what is wrong with them."""
    statements = ctx.settings.apply[dataset]
    form = ctx.contracts.form(dataset)
    if form is None:
        raise ConfigError(
            "dataset-unknown",
            f"[apply.{dataset}]: expected a dataset that is known here, got {dataset!r}; known: {', '.join(ctx.contracts.datasets())}",
        )
    ours = _tables(ctx)
    for number, statement in enumerate(statements.each, 1):
        refuse_ours(statements, number, statement.writes & ours)
    try:
        ctx.store.own_tables.check(form, statements, ours)
    except StatementFailedError as err:
        raise ConfigError(BROKEN, err.message) from err


def blame(ctx: Context, contract: Contract, name: str, err: StatementFailedError) -> Problem:
    """What is wrong with the batch `name` where its statements failed. Raises `ConfigError` where it is not the batch's fault."""
    check(ctx, contract.dataset)
    return Problem(FAILED, f"{name}: {_UNSAID if contract.encrypted else err.message}")


@contextmanager
def answering(ctx: Context, contract: Contract, name: str) -> Iterator[None]:
    """Around a transaction of one batch: what the statements refuse is a `RejectedError`, what is not the batch's fault a `ConfigError`."""
    try:
        yield
    except StatementFailedError as err:
        problem = blame(ctx, contract, name, err)
        raise RejectedError(problem.code, problem.message) from err


def _why_not(ctx: Context, dataset: str) -> str:
    try:
        check(ctx, dataset)
    except ConfigError as err:
        return err.message
    return ""


def _tables(ctx: Context) -> set[str]:
    """The tables that hold data here, as a statement may name them: they change by batches alone, for gates and reports go by them."""
    known = (ctx.contracts.form(dataset) for dataset in ctx.contracts.datasets())
    tables = {relation.table.lower() for form in known if form is not None for relation in form.relations}
    return tables | {f"main.{table}" for table in tables}
