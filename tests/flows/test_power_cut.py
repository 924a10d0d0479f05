"""The power-cut test: the machine dies at the n-th durable step, for every n; afterwards nothing is lost, nothing is there twice.

Every fsync, rename and commit of both sites goes through a few functions. A cut raises at the n-th call, from outside of everything that
the program catches; both stations are thrown away and opened again, and turn until quiet. The end must equal that of the run that was not cut.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from network import ENGINES, Network, rows, sales, table

from filesync.errors import ConfigError
from filesync.exchange import outgoing
from filesync.exchange.station import Station
from filesync.protocol.identity import Format, Role
from filesync.stores.store import Store
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class PowerCutError(BaseException):
    """Not an Exception: nothing in the program may catch it and go on, as nothing survives a power cut."""


class Power:
    """Counts durable steps and cuts at one of them: before it, or right after it. `commits`: which of the steps were commits."""

    def __init__(self) -> None:
        self.steps = 0
        self.cut_at: int | None = None
        self.after = False
        self.commits: list[int] = []

    def begin(self, cut_at: int | None = None, *, after: bool = False) -> None:
        """Count from the beginning."""
        self.steps, self.cut_at, self.after, self.commits = 0, cut_at, after, []

    def step(self, do: Callable[..., Any], *, commit: bool = False) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.steps += 1
            if commit:
                self.commits.append(self.steps)
            due = self.steps == self.cut_at
            if due and not self.after:
                raise PowerCutError
            result = do(*args, **kwargs)
            if due:
                raise PowerCutError
            return result

        return guarded


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    supply = Power()
    for name in ("fsync_file", "fsync_folder", "replace"):
        monkeypatch.setattr(durable, name, supply.step(getattr(durable, name)))
    monkeypatch.setattr(Store, "_commit", supply.step(Store._commit, commit=True))
    return supply


def _template(network: Network) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA)
    network.close()


def _days() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A day as it was first captured, and the same day with a correction and a late sale."""
    sold = sales(count=4)
    return sold[:3], [{**sold[0], "operador": "M999"}, *sold[1:]]


def _story(net: Network) -> None:
    """Two captures in two formats, with a full exchange after each."""
    first, second = _days()
    net["caixa-01"].seal("vendas", table(first))
    net.turn("caixa-01", "matriz", "caixa-01")
    net["caixa-01"].seal("vendas", table(second), format=Format.JSONL)
    net.turn("caixa-01", "matriz", "caixa-01")


def _check(net: Network, message: str) -> None:
    """Every sale once, in its last version; everything answered; both archives hold the same batches, and nothing lies about."""
    _, second = _days()
    assert rows(net["matriz"]) == sorted(second, key=lambda sale: str(sale["venda_id"])), message
    files = {}
    for site, peer in (("caixa-01", "matriz"), ("matriz", "caixa-01")):
        status = net[site].status()
        assert (status.outbox, status.inbox, status.quarantine) == ((), (), ()), message
        feed = next(feed for feed in status.feeds if feed.feed == "vendas.caixa-01.matriz")
        assert feed.sealed == feed.settled == feed.applied_through, message
        assert net.inbox(site, peer) == net.outbox(site, peer) == [], message
        for top in ("inbox", "outbox", "archive"):
            assert list((net.root / site / top / ".partial").glob("*")) == [], message
        archive = net.root / site / "archive"
        found = [
            path for path in archive.rglob("*") if path.is_file() and not path.name.endswith(".receipt.json")
        ]
        files[site] = {path.name: path.read_bytes() for path in found}
        assert len(found) == 2 * feed.sealed, message
    assert files["caixa-01"] == files["matriz"], message


def _cuts(power: Power, *, every: int) -> list[tuple[int, bool]]:
    """(step, whether after it). With `every` above 1 a sample: commits before and after, denser than the other steps."""
    last, commits = power.steps, power.commits[:: max(1, every // 6)] if every > 1 else []
    before = {*range(1, last + 1, every), *commits}
    after = {*range(1, last + 1, 3 * every), *commits}
    return [*((number, False) for number in sorted(before)), *((number, True) for number in sorted(after))]


#: A sample, with every commit on the embedded store; every step on both in the longer proofs. The samples are of numbers without a common
#: factor, so that other steps are cut on the two.
everywhere = pytest.mark.parametrize(
    ("engine", "every"),
    [
        ("sqlite", 7),
        ("postgresql", 83),
        pytest.param("sqlite", 1, marks=pytest.mark.slow),
        pytest.param("postgresql", 1, marks=pytest.mark.slow),
    ],
    ids=["sqlite-sample", "postgresql-sample", "sqlite-all", "postgresql-all"],
)


@everywhere
def test_cut_anywhere_the_next_turns_finish_the_job(
    network: Network, power: Power, tmp_path: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first batch, of three sales, is then made alone in a file, and the second, of two, in memory as one of many.
    monkeypatch.setattr(outgoing, "SMALL_DOCUMENTS", 2)
    _template(network)
    whole = network.copy_of(tmp_path / "whole")
    power.begin()
    _story(whole)
    planned, last = _cuts(power, every=every), power.steps
    assert len(power.commits) > 8
    whole.until_quiet("caixa-01", "matriz")
    _check(whole, "not cut")
    whole.leave()
    assert last > 30, "the story must have durable steps, or this test proves nothing"
    cuts = 0
    for number, after in planned:
        message = f"cut {'after' if after else 'before'} step {number} of {last}"
        net = network.copy_of(tmp_path / f"cut-{number}-{after}")
        power.begin(number, after=after)
        try:
            _story(net)
        except PowerCutError:
            cuts += 1
        power.cut_at = None
        net.close()
        # The till program still has the day, and offers it again: what was sealed is known by its content.
        net["caixa-01"].seal("vendas", table(_days()[1]))
        net.until_quiet("caixa-01", "matriz")
        _check(net, message)
        net.leave()
    # Runs differ by a few steps, so that the last cuts may find none left to cut.
    assert cuts > 0.75 * len(planned)


# --------------------------------------------------------------------------------------------- voids and resends

FEED = "vendas.caixa-01.matriz"


def _three(network: Network) -> None:
    """A till with three batches that have not left yet."""
    _template(network)
    day = sales(count=6)
    for n in range(3):
        network["caixa-01"].seal("vendas", table(day[2 * n : 2 * n + 2]))
    network.close()


def _second_is_lost(network: Network) -> None:
    """The second of them was lost on the way, and the third waits for it."""
    _three(network)
    network.turn("caixa-01")
    for path in network.inbox("matriz", "caixa-01"):
        if ".0000000002." in path.name:
            path.unlink()
    network.turn("matriz")
    network.close()


def _matriz_is_restored(network: Network) -> None:
    """All of them were answered; then the matriz' database came back from a backup of before the second, and it has heard what is missing."""
    _template(network)
    day = sales(count=6)
    network["caixa-01"].seal("vendas", table(day[:2]))
    network.until_quiet("caixa-01", "matriz")
    network.close()
    backup = network.back_up("matriz")
    for n in (1, 2):
        network["caixa-01"].seal("vendas", table(day[2 * n : 2 * n + 2]))
    network.until_quiet("caixa-01", "matriz")
    network.close()
    network.restore("matriz", backup)
    network.clock.advance(minutes=16)
    network.turn("caixa-01", "matriz")
    network.clock.advance(minutes=11)
    network.close()


def _given_up(net: Network, site: str) -> None:
    """A person gives the command, and again after the cut; had it been done, or the batch applied, it says so and changes nothing."""
    with suppress(ConfigError):
        net[site].void(FEED, [2], reason="perdido", by="Ana")


def _void_story(net: Network) -> None:
    _given_up(net, "caixa-01")
    net.turn("caixa-01", "matriz", "caixa-01", "matriz", "caixa-01")


def _override_story(net: Network) -> None:
    _given_up(net, "matriz")
    net.turn("matriz", "caixa-01", "matriz", "caixa-01", "matriz", "caixa-01")


def _resend_story(net: Network) -> None:
    net.turn("matriz", "caixa-01", "matriz", "caixa-01")


def _check_all_there(net: Network, message: str, voided: bool) -> None:
    """Every sale once; both sites tell the same of the second number; nothing lies about."""
    held = rows(net["matriz"])
    assert held == sorted(sales(count=6), key=lambda sale: str(sale["venda_id"])), message
    given_up = [void.seq for void in net["matriz"].context.store.holes.voids()]
    assert given_up == ([2] if voided else []), message
    numbers = set()
    for site, peer in (("caixa-01", "matriz"), ("matriz", "caixa-01")):
        status = net[site].status()
        assert (status.outbox, status.inbox, status.quarantine, status.holes) == ((), (), (), ()), message
        feed = next(feed for feed in status.feeds if feed.feed == FEED)
        assert feed.sealed == feed.settled == feed.applied_through, message
        numbers.add(feed.sealed)
        assert net.inbox(site, peer) == net.outbox(site, peer) == [], message
        for top in ("inbox", "outbox", "archive"):
            assert list((net.root / site / top / ".partial").glob("*")) == [], message
    assert numbers == {4 if voided else 3}, message


@everywhere
@pytest.mark.parametrize(
    ("template", "story", "site"),
    [
        (_three, _void_story, "caixa-01"),
        (_second_is_lost, _override_story, "matriz"),
        (_matriz_is_restored, _resend_story, None),
    ],
    ids=["void", "override", "resend"],
)
def test_cut_anywhere_a_void_or_a_resend_is_finished(
    network: Network, power: Power, tmp_path: Path, template: Callable[[Network], None], story: Callable[[Network], None], site: str | None,
    every: int,
) -> None:  # fmt: skip
    template(network)
    whole = network.copy_of(tmp_path / "whole")
    power.begin()
    story(whole)
    planned, last = _cuts(power, every=every), power.steps
    whole.until_quiet("caixa-01", "matriz")
    _check_all_there(whole, "not cut", voided=site is not None)
    whole.leave()
    assert last > 20
    for number, after in planned:
        message = f"cut {'after' if after else 'before'} step {number} of {last}"
        net = network.copy_of(tmp_path / f"cut-{number}-{after}")
        power.begin(number, after=after)
        with suppress(PowerCutError):
            story(net)
        power.cut_at = None
        net.close()
        if site is not None:
            _given_up(net, site)
        net.until_quiet("caixa-01", "matriz")
        net.clock.advance(minutes=27)  # and whatever was lost with the cut is asked for again
        net.until_quiet("matriz", "caixa-01")
        _check_all_there(net, message, voided=site is not None)
        net.leave()
        shutil.rmtree(net.root)


def _die_after(_: object) -> None:
    raise PowerCutError


@pytest.mark.parametrize("engine", ENGINES)
def test_the_store_opens_after_a_kill_in_the_middle_of_a_transaction(pair: Network) -> None:
    store = pair["matriz"].context.store
    with pytest.raises(PowerCutError), store.transaction() as tx:
        _die_after(tx.next_batch_id())
    pair.close()
    with Station.open(pair.root / "matriz") as station:
        assert station.status().feeds == ()
