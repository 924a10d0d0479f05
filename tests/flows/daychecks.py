"""What must hold of a movement day whatever happens, said by a model that knows only what each till sealed (dayworld.py).

After every step:
(a) a gate that is open on its evidence alone finds at the matriz exactly the sales that each site had sealed of the day when it closed it;
(b) no sale stands there twice, and none is gone whose receipt came;
(c) evidence is made from the standing alone, and lists every batch that came; a gate that is closed says why, where, and what to type;
(d) a reconciliation that says it holds is what one made afresh would be;
(e) the portal has what a mark says that it has, while the mark holds.

In the end the roads are up, clocks are right, mistakes are corrected and everybody does what the gate advises. Then the day is complete, the matriz
and the portal have every sale as its till has it, and the bill reconciles.

What is not asked: that a sale which was moved to another day in the till's program, and not exported since, is counted there already.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daytills import DAYS, SHIFTS, TILLS, Key, Sale, text
from dayworld import COMPLETE, ROADS, SITES, World

from filesync.day import opening, portal, reconciling, routine
from filesync.day.standing import Ledger
from filesync.day.values import Closed, Open
from filesync.protocol.receipt import Verdict
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from filesync.exchange.context import Context
    from filesync.stores.store import Store


class Checks:
    """Looks at one world, and remembers what it saw of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.openings: dict[str, str] = {}
        self.contents: dict[Path, bytes] = {}
        self.reconciled: dict[date, str] = {}

    def closed_what_was_sold(self, site: str, day: date, document: Any) -> None:
        """A day that could be closed is sealed whole, as its till has it; the closes together say so."""
        till = self.world.tills[site]
        sealed = {
            key: sale
            for key, (sale, _) in self.world.latest[site].items()
            if sale["data_movimento"] == day.isoformat()
        }
        left = {
            key
            for key, sale in till.sales.items()
            if key in till.wrong or sale["data_movimento"] != day.isoformat()
        }
        assert {k: text(s) for k, s in sealed.items() if k not in left} == {
            k: text(s) for k, s in till.of_day(day).items()
        }
        if site not in SHIFTS:
            assert document["quantidade_vendas"] == len(sealed)
            assert document["total_vendas_centavos"] == sum(s["total_centavos"] for s in sealed.values())

    # ------------------------------------------------------------------------------------------------ what always holds

    def always(self) -> None:
        self.gates_keep_their_word()
        self.nothing_is_lost_or_doubled()
        self.everything_is_taken_whole()
        self.a_reconciliation_that_holds_is_right()
        self.the_portal_has_what_is_claimed()

    def gates_keep_their_word(self) -> None:
        ctx = self.world["matriz"].context
        held = self.world.held()
        ledger = Ledger.read(ctx)
        for day in DAYS:
            judged = ledger.judge(day)
            decision = opening.decide_judged(ctx, COMPLETE, judged)
            if isinstance(decision, Closed):
                self.says_why(decision)
                continue
            self.is_evidence(decision, day)
            if not decision.overrides:
                for proof in decision.evidence.signed["sites"]:
                    self.has_exactly(proof, day, held)

    def says_why(self, decision: Closed) -> None:
        assert decision.reasons
        for reason in decision.reasons:
            assert reason.message, reason
            assert reason.action, reason
            assert reason.command, reason
            assert reason.at in SITES, reason

    def is_evidence(self, decision: Open, day: date) -> None:
        ctx = self.world["matriz"].context
        path = opening.write_evidence(ctx, decision)
        assert opening.open_gate(ctx, COMPLETE, day) == path
        content = path.read_bytes()
        assert self.contents.setdefault(path, content) == content
        arrived = [
            (batch.name, batch.verdict.value)
            for batch in ctx.store.days.arrived(day)
            if batch.feed.origin in TILLS
        ]
        told = [
            (proof["name"], proof["verdict"])
            for site in decision.evidence.signed["sites"]
            for proof in site["batches"]
        ]
        assert sorted(told) == sorted(arrived)
        standing = json.dumps(
            [
                arrived,
                [[str(v.feed), v.epoch, v.seq, v.by, v.name] for v in ctx.store.holes.voids()],
                [[o.id, o.step] for o in decision.overrides],
                day.isoformat(),
            ],
            default=str,
        )
        if not decision.overrides:
            assert self.openings.setdefault(standing, path.name) == path.name

    def has_exactly(self, proof: Any, day: date, held: dict[Key, Sale]) -> None:
        """The sales of a site that are held of a day are those that its close covers, sale by sale."""
        world, site = self.world, proof["site"]
        carrier = world.batches[max(proof["closings"], key=lambda c: int(c["turno"]))["batch"]]
        here = {
            key[1]: sale
            for key, sale in held.items()
            if key[0] == site and sale["data_movimento"] == day.isoformat()
        }
        for key, (sale, batch) in carrier.covers.items():
            if world.batches[batch].number in world.voided:
                here.pop(key, None)  # given up, with a name and a reason
                continue
            assert key in here, f"{site} sealed {key} for {day} in {batch}; the matriz does not have it there"
            assert text(here.pop(key)) == text(sale)
        for key in here:
            sealed = [b for b in world.batches.values() if any(s.get("venda_id") == key for s in b.documents)]
            earlier = [b for b in sealed if b.number[1] != carrier.number[1] and self.world.is_dead(b)]
            given_up = [b for b in sealed if b.number in world.voided]
            assert earlier or given_up, (
                f"{site}'s close of {day} says nothing of {key}, and the matriz has it there"
            )

    def nothing_is_lost_or_doubled(self) -> None:
        world = self.world
        held, shown = world.held(), world.held("portal")
        tickets = Counter((s["origem"], s["caixa"], s["serie"], s["numero"]) for s in held.values())
        assert not [ticket for ticket, count in tickets.items() if count > 1]
        for name in world.settled:
            batch = world.batches[name]
            if batch.name.id.feed.dataset != "vendas" or batch.site not in TILLS:
                continue
            for sale in batch.documents:
                key = (batch.site, sale["venda_id"])
                assert key in held, f"{name} was confirmed, and {key} is not held"
                assert self.rank(key, held[key]) >= self.rank(key, sale)
        for key, sale in shown.items():
            assert self.rank(key, held[key]) >= self.rank(key, sale)

    def rank(self, key: Key, sale: Sale) -> tuple[int, int]:
        """How late a content of a sale is: by its version, else by the order in which it was sealed."""
        wanted = text(sale)
        return max((versao, place) for versao, place, found in self.world.history[key] if found == wanted)

    def everything_is_taken_whole(self) -> None:
        """Nobody here sends what breaks a rule: a batch is applied. Only the close of a new installation may have to be said again."""
        days_ = self.world["matriz"].context.store.days
        for batch in (batch for day in DAYS for batch in days_.arrived(day)):
            site, dataset = batch.feed.origin, batch.feed.dataset
            conflict = dataset == "fechamento" and batch.problem_code == "conflict" and self.world.dead[site]
            assert batch.verdict is Verdict.APPLIED or conflict, batch.problem

    def a_reconciliation_that_holds_is_right(self) -> None:
        ctx = self.world["matriz"].context
        newest = ctx.store.days.newest_batch()
        for day in DAYS:
            summary = reconciling.summary(ctx, day)
            if summary is None or summary.stale or self.reconciled.get(day) == f"{newest} {summary.made_at}":
                continue
            self.reconciled[day] = f"{newest} {summary.made_at}"
            assert self.as_told(ctx.store, day) == self.made_afresh(ctx, day)

    def made_afresh(self, ctx: Context, day: date) -> list[Any]:
        """The same from nothing, in a copy of the database."""
        copy = self.world.top / "afresh"
        copy.mkdir()
        try:
            for path in (self.world.root / "matriz").glob("filesync.db*"):
                shutil.copyfile(path, copy / path.name)
            store = SqliteStore.open(copy / "filesync.db")
            with store.transaction():
                for table in ("fs_reconciliation", "fs_reconciled", "fs_reconciled_total"):
                    store.reconciling._db.run(f"DELETE FROM {table}")
            store.reconciling.reconcile(
                day, "2026-03-02T00:00:00-03:00", unbilled=ctx.settings.reconciliation.unbilled
            )
            told = self.as_told(store, day)
            store.close()
        finally:
            shutil.rmtree(copy)
        return told

    def as_told(self, store: Store, day: date) -> list[Any]:
        lines = [replace(line, line=0) for line in store.reconciling.lines(day)]
        return [sorted(map(repr, lines)), sorted(map(repr, store.reconciling.totals(day)))]

    def the_portal_has_what_is_claimed(self) -> None:
        ctx = self.world["matriz"].context
        marks = [m for day in DAYS for m in ctx.store.days.done(day) if m.step == portal.STEP]
        standing = [mark for mark in marks if not portal.outdated(ctx, mark)]
        if not standing:
            return
        held, shown = self.world.held(), self.world.held("portal")
        for mark in standing:
            of_day = {k: s for k, s in held.items() if s["data_movimento"] == mark.day.isoformat()}
            there = {k: s for k, s in shown.items() if s["data_movimento"] == mark.day.isoformat()}
            assert {k: text(s) for k, s in of_day.items()} == {
                k: text(there[k]) for k in of_day if k in there
            }
            # What was moved to another day goes with the export of that.
            assert all(held[k]["data_movimento"] != mark.day.isoformat() for k in there if k not in of_day)

    # ------------------------------------------------------------------------------------------------ in the end

    def heal(self) -> None:
        """The roads are up, clocks are right, mistakes are corrected; then everybody does what is advised."""
        world = self.world
        world.let_go()
        world.away.clear()
        for road in ROADS:
            world.link(road, up=True)
        for till in world.tills.values():
            for key in sorted(till.wrong):
                till.repair(till.sales[key])
        self.until_quiet()
        for _ in range(12):
            asked = [reason for day in DAYS for reason in self.world.reasons(day)]
            if not asked:
                return
            for reason in asked:
                self.world.follow(reason)
            self.until_quiet()
        raise AssertionError(f"still owed: {[reason.message for reason in asked]}")

    def until_quiet(self) -> None:
        """Turns until nothing happens any more; what lies nowhere any more is given up at its origin, as that site says."""
        world = self.world
        quiet = 0
        for _ in range(40):
            reports = [world.turn(site) for site in SITES]
            quiet = quiet + 1 if all(r.quiet for r in reports) else 0
            world.clock.advance(minutes=61)
            for site in (*TILLS, "matriz"):
                for case in world[site].status().quarantine:
                    batch = world.batches.get(case.name)
                    if case.code == "payload-lost" and batch is not None and batch.number not in world.voided:
                        world.origin_void(site, batch.number[0], [batch.number[2]])
                        quiet = 0
            if quiet > 1:
                return
        raise AssertionError("it never gets quiet")

    def the_end(self) -> None:
        world = self.world
        held = world.held()
        for site, till in world.tills.items():
            assert not till.wrong
            for key, sale in till.sales.items():
                assert text(held[site, key]) == text(sale), f"{site}: {key} is not as its till has it"
            if not world.dead[site]:
                assert {key for origin, key in held if origin == site} == set(till.sales)
        for day in DAYS:
            self.finish(day)
        shown = world.held("portal")
        assert {k: text(s) for k, s in shown.items()} == {k: text(s) for k, s in world.held().items()}

    def finish(self, day: date) -> None:
        """Billed, reconciled, shown."""
        world = self.world
        ctx = world["matriz"].context
        for dataset in ("bdf", "ca"):
            world.bill(dataset, day, 0)
        world.matriz_works()
        summary = reconciling.summary(ctx, day)
        assert summary is not None
        assert summary.clean
        routine.mark_done(ctx, "exportar_sara", day, by="Márcia")
        portal.export_portal(world["matriz"], day)
        world.look("matriz")
        for _ in range(6):
            world.turn("portal")
            world.matriz_works()
            world.clock.advance(minutes=20)
        assert portal.portal_day(ctx, day).state is portal.PortalState.DONE
