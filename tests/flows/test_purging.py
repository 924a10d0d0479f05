"""Purge: what is over goes, what somebody may need stays and says why, and whoever misses a file learns when it went."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, rows, sales, table
from shopdays import Shop, open_shop

from filesync.day import dossier, purging, report, routine
from filesync.day.closing import CloseRefusedError
from filesync.day.keeping import Keeping, Why
from filesync.day.purging import DailyPurge, DayFiles, Limits
from filesync.errors import ConfigError
from filesync.exchange import quarantine
from filesync.protocol.receipt import Problem, Verdict
from filesync.stores.purging import Purged
from filesync.writers import durable

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.station import Station

#: An agency that has no billing files: those steps ask for nothing but the open gate.
WITHOUT_BILLING = "".join(
    f'\n[steps.{step}]\nends = "open"\n'
    for step in ("importar_bdf", "importar_ca", "conciliar", "exportar_portal")
)
SITES = ("caixa-01", "posto-centro")
LATER = DAY + timedelta(days=500)


@pytest.fixture
def shop(network: Network) -> Shop:
    """A day that is sold, closed, settled everywhere, and done with at the matriz; five hundred days ago."""
    made = open_shop(network)
    network.configure("matriz", WITHOUT_BILLING)
    for site in SITES:
        made.sell(site)
        made.close(site)
    made.turn()
    made.sara()
    made.clock.advance(days=500)
    made.turn()
    return made


def limits(day: date = LATER) -> Limits:
    return Limits(day, day)


def purge(station: Station, until: Limits | None = None) -> list[DayFiles]:
    return list(purging.purge(station, until or limits(), "Ana"))


def archive(shop: Shop, site: str, day: date = DAY) -> Path:
    return shop[site].context.folders.archive(day)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def why(station: Station, day: date = DAY) -> set[Why]:
    return {keep.code for keep in Keeping(station.context).why(day)}


def ledger(station: Station) -> dict[str, list[str]]:
    """Everything that the ledger holds but the marks of purges and the journal."""
    db = station.context.store._db
    tables = [
        name
        for (name,) in db.select("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'fs_*'")
    ]
    others = {"fs_purge", "fs_day_event", "fs_told", "fs_peer"}
    return {
        name: sorted(map(repr, db.select(f"SELECT * FROM {name}"))) for name in tables if name not in others
    }


# ---------------------------------------------------------------------------------------------------- what goes


@pytest.mark.parametrize("site", ["matriz", *SITES])
def test_a_day_that_is_over_goes_and_the_ledger_stays(shop: Shop, site: str) -> None:
    station = shop[site]
    lying = names(archive(shop, site))
    assert any(name.endswith(".parquet") for name in lying)
    before, held = ledger(station), rows(station) if site == "matriz" else None
    size = sum(path.stat().st_size for path in archive(shop, site).iterdir())

    (told,) = purging.examine(station.context, limits())
    assert told == DayFiles(DAY, Purged.ARCHIVE, len(lying), size)
    assert names(archive(shop, site)) == lying, "examining changes nothing"
    assert station.context.store.purges.marks(DAY) == []

    assert purge(station) == [replace(told, done=True)]
    assert not archive(shop, site).exists()
    assert not archive(shop, site).parent.exists(), "empty folders say nothing"
    assert ledger(station) == before
    if held is not None:
        assert rows(station) == held
    (mark,) = station.context.store.purges.marks(DAY)
    assert (mark.kind, mark.by, mark.files, mark.bytes) == (Purged.ARCHIVE, "Ana", len(lying), size)
    assert mark.purged_at == station.context.now()
    assert [e.what for e in station.context.store.days.events(DAY)][-1] == "purged"
    assert purge(station) == []
    assert station.turn().quiet


def test_what_is_not_old_enough_stays(shop: Shop) -> None:
    assert list(purging.examine(shop["matriz"].context, limits(DAY))) == []
    assert purge(shop["matriz"], limits(DAY)) == []
    with pytest.raises(ConfigError, match="is over"):
        Limits.before(shop["matriz"].context, shop.clock().date() + timedelta(days=1))


def test_files_of_somebody_else_stay(shop: Shop) -> None:
    note = archive(shop, "matriz") / "notes.txt"
    note.write_text("mine", encoding="utf-8")
    (archive(shop, "matriz") / "scans").mkdir()
    (done,) = purge(shop["matriz"])
    assert (done.done, done.strangers) == (True, 2)
    assert names(archive(shop, "matriz")) == ["notes.txt"]


def test_what_was_purged_and_comes_again_is_known_and_goes_again(shop: Shop) -> None:
    """The posto ships its files once more: a replay, the same receipt, and not a row twice."""
    matriz, posto = shop["matriz"], shop["posto-centro"]
    held = rows(matriz)
    purge(matriz)
    (batch,) = [b for b in posto.context.store.days.sealed(DAY) if b.feed.dataset == "vendas"]
    posto.resend(str(batch.feed), [batch.seq])
    shop.network.turn("posto-centro")
    assert shop.network.turn("matriz")[0].imported.replayed == [batch.name]
    assert rows(matriz) == held
    shop.turn()
    assert len(purge(matriz)) == 1
    assert len(matriz.context.store.purges.marks(DAY)) == 2


# ---------------------------------------------------------------------------------------------------- what is said of it


def test_a_file_that_was_purged_is_not_sent_again_by_hand(shop: Shop) -> None:
    till = shop["caixa-01"]
    purge(till)
    with pytest.raises(ConfigError, match=r"was purged on 2027-07-15 by Ana") as err:
        till.resend("vendas.caixa-01.matriz", [1])
    assert err.value.code == "payload-purged"
    assert till.context.store.outgoing_open() == []


def test_a_recipient_that_lost_everything_asks_in_vain_and_that_is_said(shop: Shop) -> None:
    """The matriz is made anew; the till, whose archive was purged, says so and opens nothing again."""
    till, network = shop["caixa-01"], shop.network
    purge(till)
    network.stations.pop("matriz").close()
    (network.root / "matriz" / "filesync.db").unlink()
    text = (network.root / "matriz" / "filesync.toml").read_text(encoding="utf-8")
    (network.root / "matriz" / "filesync.toml").unlink()
    network.site("matriz", shop["portal"].context.settings.peers["matriz"].role)
    (network.root / "matriz" / "filesync.toml").write_text(text, encoding="utf-8")
    till.seal("vendas", table(sales(count=1, day=LATER)), LATER)
    network.turn("caixa-01", "matriz")
    shop.clock.advance(hours=1)
    network.turn("matriz")
    (report_,) = network.turn("caixa-01")
    held = {(item.name.split(".")[0], item.code) for item in report_.imported.waiting}
    assert held == {("vendas", "payload-purged"), ("fechamento", "payload-purged")}
    assert {delivery.business_date for delivery in till.context.store.outgoing_open()} == {LATER}
    assert till.status().quarantine == ()


def test_a_close_of_a_purged_day_says_so_and_how_it_can_be_closed_all_the_same(shop: Shop) -> None:
    till = shop["caixa-01"]
    before = till.context.store.days.sealed(DAY)
    purge(till)
    with pytest.raises(CloseRefusedError, match="was purged on") as err:
        shop.close("caixa-01", contado_centavos=100)
    assert err.value.code == "payload-purged"
    till.export("vendas", business_date=DAY, again=True)
    shop.close("caixa-01", contado_centavos=100)
    assert len(till.context.store.days.sealed(DAY)) == len(before) + 2


def test_a_dossier_of_a_purged_day_names_what_is_absent_and_why(shop: Shop, tmp_path: Path) -> None:
    ctx = shop["matriz"].context
    purge(shop["matriz"])
    _, absent = dossier.write_dossier(ctx, report.page(ctx, DAY), tmp_path / "day.zip")
    assert len(absent) >= len(SITES)
    papers = dossier._gather(ctx, report.page(ctx, DAY), tmp_path)
    assert {item["why"] for item in papers.absent} == {
        "the archive of this day was purged on 2027-07-15 by Ana"
    }


# ---------------------------------------------------------------------------------------------------- what stays


def test_what_is_not_answered_stays(network: Network) -> None:
    shop = open_shop(network)
    shop.sell("caixa-01")
    till = shop["caixa-01"]
    assert why(till) == {Why.UNANSWERED, Why.NOT_CLOSED}
    shop.close("caixa-01")
    assert why(till) == {Why.UNANSWERED, Why.NOT_CLOSED}, "a close counts when it was applied"
    shop.turn()
    assert why(till) == set()
    shop.send("caixa-01", sales(count=1, seed=9), "late")
    shop.turn()
    assert why(till) == {Why.NOT_CLOSED}


def test_a_day_of_which_one_batch_is_open_keeps_all_its_files(shop: Shop) -> None:
    shop.send("caixa-01", sales(count=1, seed=9), "late")
    lying = names(archive(shop, "caixa-01"))
    (kept,) = purge(shop["caixa-01"])
    assert (kept.done, {keep.code for keep in kept.keeps}) == (False, {Why.UNANSWERED, Why.NOT_CLOSED})
    assert names(archive(shop, "caixa-01")) == lying
    assert shop["caixa-01"].context.store.purges.marks(DAY) == []


def test_what_was_rejected_stays_until_it_stands_in_a_later_batch(pair: Network) -> None:
    till = pair["caixa-01"]
    till.seal("vendas", table(sales()), DAY)
    pair.turn("caixa-01")
    (sealed,) = till.context.store.days.sealed(DAY)
    till.context.store.settle([(sealed.name, "matriz", Verdict.REJECTED, "{}", till.context.now())])
    assert Why.OWED in why(till)


def test_a_receipt_that_has_not_left_or_not_arrived_keeps_the_day(pair: Network) -> None:
    pair["caixa-01"].seal("vendas", table(sales()), DAY)
    pair.turn("caixa-01", "matriz")
    matriz = pair["matriz"]
    assert Why.UNRECEIPTED in why(matriz), "it lies in the outbox"
    pair["caixa-01"].exchange()
    assert Why.UNRECEIPTED in why(matriz), "the till said, when it was heard last, that it had none"
    pair.turn("caixa-01", "caixa-01", "matriz")
    assert Why.UNRECEIPTED not in why(matriz)


def test_what_a_person_must_decide_keeps_the_day(shop: Shop) -> None:
    ctx = shop["matriz"].context
    (batch, *_) = ctx.store.days.arrived(DAY)
    case = batch.name + quarantine.ROWS_SUFFIX
    quarantine.note(ctx, batch.feed.origin, case, Problem("partial", "two rows"))
    assert why(shop["matriz"]) == {Why.QUARANTINED}
    shop["matriz"].discard(case, "printed twice")
    assert why(shop["matriz"]) == set()


def test_a_day_whose_gate_is_closed_or_whose_step_is_undone_stays(shop: Shop) -> None:
    matriz = shop["matriz"]
    assert why(matriz) == set()
    routine.unmark(matriz.context, "exportar_sara", DAY, by="Márcia")
    assert why(matriz) == {Why.STEP_UNDONE, Why.GATE_CLOSED}, "exportar_portal needs it"
    shop.sara()
    shop.send("posto-centro", sales("posto-centro", count=1, seed=9), "late")
    shop.turn()
    keeps = Keeping(matriz.context).why(DAY)
    assert {keep.code for keep in keeps} == {Why.GATE_CLOSED}
    assert keeps[0].reason is not None
    assert keeps[0].reason.site == "posto-centro"


def test_a_day_on_which_nobody_was_due_needs_no_step(shop: Shop) -> None:
    sunday = date(2026, 3, 1)
    folder = archive(shop, "matriz", sunday)
    folder.mkdir(parents=True)
    assert why(shop["matriz"], sunday) == set()


# ---------------------------------------------------------------------------------------------------- other kinds, and by itself


def test_what_was_discarded_goes_by_the_day_on_which_it_was(shop: Shop) -> None:
    matriz = shop["matriz"]
    stranger = (
        shop.network.root
        / "matriz"
        / "inbox"
        / "caixa-01"
        / f"vendas.caixa-01.matriz.zzzzzzzz.0000000001.20260302.{'0' * 12}.manifest.json"
    )
    stranger.parent.mkdir(parents=True, exist_ok=True)
    stranger.write_text("no manifest", encoding="utf-8")
    matriz.import_()
    (case,) = matriz.status().quarantine
    matriz.discard(case.name, "damaged")
    today = shop.clock().date()
    assert len(names(archive(shop, "matriz", today) / "discarded")) == 2
    shop.clock.advance(days=1)
    kinds = [
        (one.day, one.kind, one.done) for one in purge(matriz, Limits(discarded=today + timedelta(days=1)))
    ]
    assert kinds == [(today, Purged.DISCARDED, True)]
    assert not archive(shop, "matriz", today).exists()


def test_evidence_goes_only_where_the_site_says_so(shop: Shop) -> None:
    matriz = shop["matriz"]
    evidence = names(matriz.context.folders.evidence)
    assert evidence
    assert Limits.before(matriz.context, LATER).evidence is None
    purge(matriz)
    assert names(matriz.context.folders.evidence) == evidence
    shop.network.configure("matriz", '\n[retention]\nevidence = "1 year"\n')
    matriz = shop.network.reopen("matriz")
    made = Limits.configured(matriz.context)
    assert made == Limits(evidence=date(2026, 7, 15))
    done = purge(matriz, made)
    assert {(one.day, one.kind) for one in done} == {(DAY, Purged.EVIDENCE)}
    assert names(matriz.context.folders.evidence) == []


def test_a_daemon_purges_once_a_day_and_a_day_at_a_time(shop: Shop) -> None:
    other = DAY + timedelta(days=1)
    for site in SITES:
        shop.sell(site, other)
        shop.close(site, other)
    shop.turn()
    shop.sara(other)
    shop.turn()
    shop.network.configure("matriz", '\n[retention]\narchive = "1 year"\n')
    matriz = shop.network.reopen("matriz")
    daily, now = DailyPurge(), shop.clock()
    assert daily.step(matriz, now.replace(hour=2)) is None, "somebody may still be closing"
    steps = [daily.step(matriz, now) for _ in range(4)]
    assert [step and (step.day, step.done) for step in steps] == [(DAY, True), (other, True), None, None]
    assert [mark.by for mark in matriz.context.store.purges.marks(DAY, other)] == ["filesync", "filesync"]
    shop.send("caixa-01", sales(count=1, seed=9), "late")
    shop.turn()
    assert daily.step(matriz, now) is None
    tomorrow = daily.step(matriz, now + timedelta(days=1))
    assert tomorrow is not None
    assert (tomorrow.day, tomorrow.done) == (DAY, False)


def test_nothing_is_configured_and_nothing_goes(shop: Shop) -> None:
    assert Limits.configured(shop["matriz"].context).nothing
    assert DailyPurge().step(shop["matriz"], shop.clock()) is None


# ---------------------------------------------------------------------------------------------------- cut short


class CutError(BaseException):
    """The power."""


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_purge_that_is_cut_short_anywhere_is_gone_on_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Before every unlink, fsync and commit. Whenever a file is missing, the ledger says why; the next purge ends it, under one mark."""
    till = shop["caixa-01"]
    lying = names(archive(shop, "caixa-01"))
    steps = 0

    def count(real: Any) -> Any:
        def step(*args: Any, **more: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == cut:
                raise CutError
            return real(*args, **more)

        return step

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", count(type(archive(shop, "caixa-01")).unlink))
        patched.setattr(durable, "fsync_folder", count(durable.fsync_folder))
        patched.setattr(type(till.context.store), "_commit", count(type(till.context.store)._commit))
        try:
            purge(till)
        except CutError:
            pass
        else:
            assert steps > 8, "the cuts are made in the steps of a purge"
    till = shop.network.reopen("caixa-01")
    marks = till.context.store.purges.marks(DAY)
    if names(archive(shop, "caixa-01")) != lying:
        assert [mark.kind for mark in marks] == [Purged.ARCHIVE]
        if not (
            archive(shop, "caixa-01")
            / json.loads(till.context.store.days.sealed(DAY)[0].manifest)["payload"]["file"]
        ).exists():
            with pytest.raises(ConfigError, match="was purged on"):
                till.resend("vendas.caixa-01.matriz", [1])
    assert till.turn().quiet
    assert till.status().quarantine == ()
    purge(till)
    (mark,) = till.context.store.purges.marks(DAY)
    assert mark.purged_at is not None
    assert mark.files == len(lying)
    assert not archive(shop, "caixa-01").exists()
