"""Many days reconciled at once, alone and by workers, and the same days read back from the archive alone."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from dask_cluster import on
from network import DAY, Network
from shopdays import Shop, open_shop

from filesync.config import ExecutorKind
from filesync.day import filing, spanning
from filesync.day.filing import Asked
from filesync.day.reconciling import reconcile, summary
from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from filesync.exchange.context import Context

DAYS = tuple(DAY + timedelta(days=number) for number in range(3))
LAST = DAY + timedelta(days=6)
SITES = ("caixa-01", "posto-centro")
FILES = {"bdf": "exemplo-bdf-posicional", "ca": "exemplo-ca-csv"}
LAYOUTS = {layout.name: layout for layout in shipped_layouts()}
EXECUTORS = ("none", "threads:2", "processes:2")
#: As it is, whatever a test puts in its place.
reconcile_share = spanning.reconcile_share


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """Three days at the matriz: sold, closed, billed; differences are planted in one of them, another day's file came twice."""
    shop = open_shop(Network(tmp_path_factory.mktemp("week") / "net"))
    for number, day in enumerate(DAYS):
        sales = [sale for site in SITES for sale in shop.sell(site, day)]
        for site in SITES:
            shop.close(site, day)
        shop.turn()
        plans = [None, Plan(value=2, missing=1, extra=1), None]
        if number == 2:
            bill(shop, sales, Plan(missing=3), day, "first")
        bill(shop, sales, plans[number], day, "last")
        shop.clock.advance(days=1)
    shop.network.close()
    return shop.network


def bill(shop: Shop, sales: list[dict[str, Any]], plan: Plan | None, day: date, name: str) -> None:
    billing = billing_of_day(sales, planted=plan)
    for kind, layout in FILES.items():
        path = shop.network.root / f"{name}-{kind}-{day}.txt"
        path.write_bytes(billing_file(LAYOUTS[layout], day, billing.rows(kind)))
        report = filing.take(shop["matriz"], Asked(kind, path, day, layout))
        assert report.state is not filing.FilingState.KEPT, report


@pytest.fixture
def shop(week: Network, tmp_path: Path) -> Iterator[Shop]:
    made = week.copy_of(tmp_path / "net")
    yield Shop(made)
    made.close()


@pytest.fixture(autouse=True)
def whatever_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanning, "LEAST", dict.fromkeys(ExecutorKind, 0))


def matriz(shop: Shop, executor: str) -> Context:
    shop.network.configure("matriz", f'\n[import]\nexecutor = "{executor}"\n')
    return shop.network.reopen("matriz").context


def results(ctx: Context) -> dict[date, Any]:
    return {day: (summary(ctx, day), ctx.store.reconciling.totals(day)) for day in DAYS}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_range_is_its_days_one_by_one(shop: Shop, week: Network, tmp_path: Path, executor: str) -> None:
    alone = Shop(week.copy_of(tmp_path / "alone"))
    for day in DAYS:
        reconcile(alone["matriz"].context, day)
    span = spanning.reconcile_days(matriz(shop, executor), DAY, LAST)
    assert (span.made, span.redone) == (list(DAYS), [])
    ctx = shop["matriz"].context
    assert results(ctx) == results(alone["matriz"].context)
    assert span.colours == ctx.store.reconciling.days(DAY, LAST)
    assert spanning.reconcile_days(ctx, DAY, LAST).made == [], "what still holds is left as it is"
    alone.network.close()


def dying(ctx: Context, days: tuple[str, ...]) -> list[str]:
    """A worker that reconciles a day and is gone."""
    reconcile(ctx, DAYS[1])
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("not killed")


def dying_once(ctx: Context, days: tuple[str, ...]) -> list[str]:
    """A worker that is gone after its days are reconciled, the first time: they are given to another one, and done twice."""
    made = reconcile_share(ctx, days)
    died = ctx.folders.root / "run" / "died"
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return made


@pytest.mark.skipif(os.name == "nt", reason="nothing is killed like that there")
def test_days_of_a_worker_that_died_are_done_by_the_site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = matriz(shop, "processes:2")
    monkeypatch.setattr(spanning, "reconcile_share", dying)
    span = spanning.reconcile_days(ctx, DAY, LAST)
    assert {part.code for part in span.redone} == {"worker-lost"}
    assert sorted(span.colours) == list(DAYS)
    assert span.made == list(DAYS)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_archive_says_what_the_store_says(shop: Shop, executor: str) -> None:
    ctx = matriz(shop, executor)
    with shop["matriz"].at_work():
        spanning.reconcile_days(ctx, DAY, LAST)
        before = {path for path in ctx.folders.root.rglob("*") if path.is_file()}
        span = spanning.from_archive(ctx, DAY, LAST)
    assert [found.day for found in span.days] == list(DAYS)
    assert [(found.problems, found.agrees) for found in span.days] == [((), True)] * 3
    assert span.redone == []
    for found in span.days:
        held = summary(ctx, found.day)
        assert held is not None
        assert found.colours == held.colours
        assert found.documents == {"vendas": held.sales, "bdf": held.bdf_rows, "ca": held.ca_rows}
    assert {path for path in ctx.folders.root.rglob("*") if path.is_file()} - before == set()


@pytest.mark.skipif(os.name == "nt", reason="nothing is killed like that there")
def test_days_on_a_cluster_as_alone(
    shop: Shop, week: Network, tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reconciled there, and read back there from the archived batches; once more with a worker that dies when its day is done."""
    alone = Shop(week.copy_of(tmp_path / "alone"))
    spanning.reconcile_days(alone["matriz"].context, DAY, LAST)
    ctx = matriz(shop, on(cluster))
    with monkeypatch.context() as patch:
        patch.setattr(spanning, "reconcile_share", dying_once)
        span = spanning.reconcile_days(ctx, DAY, LAST)
    assert (ctx.folders.root / "run" / "died").exists()
    assert span.redone == [], "the cluster gave the day to another worker"
    assert span.colours == alone["matriz"].context.store.reconciling.days(DAY, LAST)
    assert results(ctx) == results(alone["matriz"].context)
    with shop["matriz"].at_work():
        on(cluster)
        read = spanning.from_archive(ctx, DAY, LAST)
    assert [(found.day, found.agrees) for found in read.days] == [(day, True) for day in DAYS]
    assert read.redone == []
    alone.network.close()


def test_a_store_that_was_lost_is_read_back_from_the_archive(shop: Shop) -> None:
    """A new store knows no batch: the archive still says what the days were."""
    ctx = shop["matriz"].context
    before = {day: reconcile(ctx, day) for day in DAYS}
    known = ctx.store.site
    shop.network.stations.pop("matriz").close()
    shop.network.begin_anew("matriz", known)
    found = spanning.from_archive(shop["matriz"].context, DAY, LAST)
    assert [day.colours for day in found.days] == [before[day].colours for day in DAYS]
    assert [day.agrees for day in found.days] == [None] * 3


def test_what_the_archive_lost_is_named(shop: Shop) -> None:
    ctx = shop["matriz"].context
    spanning.reconcile_days(ctx, DAY, LAST)
    folder = ctx.folders.archive(DAY)
    first, second = sorted(folder.glob("vendas.*.parquet"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"?")
    day = spanning.from_archive(ctx, DAY, DAY).days[0]
    assert sorted(problem.code for problem in day.problems) == ["archive-damaged", "archive-missing"]
    assert day.agrees is False
    assert not day.whole
    other = spanning.from_archive(ctx, DAYS[1], LAST)
    assert all(found.whole for found in other.days)


def test_a_day_without_a_batch_is_no_day(shop: Shop) -> None:
    ctx = shop["matriz"].context
    assert spanning.reconcile_days(ctx, LAST, LAST).colours == {}
    assert spanning.from_archive(ctx, LAST, LAST).days == []
