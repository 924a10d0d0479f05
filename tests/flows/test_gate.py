"""The gate before BDF and C.A., with real stations: closed for every kind of debt with the next command, open on signed evidence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, ENGINES, Network, sales, table
from shopdays import Shop, open_shop

from filesync import config
from filesync.contracts import Registry
from filesync.day import gate, routine
from filesync.day.routine import GateClosedError
from filesync.day.standing import Ledger
from filesync.day.values import Closed, Known, Open, Reason, ReasonCode, StepOutcome, StepReport
from filesync.demo.sales import sales_of_day
from filesync.errors import ConfigError
from filesync.protocol.envelope import decode
from filesync.protocol.identity import Role, parse_file_name
from filesync.protocol.signing import SignatureError, SigningKey

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.station import Station


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every story is told on both databases of the matriz, which is where gates are."""
    return str(request.param)


BDF, RECEBER = "importar_bdf", "receber_vendas_remotas"
SITES = ("caixa-01", "posto-centro")


@pytest.fixture
def shop(network: Network) -> Shop:
    network.serve_the_matriz_alone()
    return open_shop(network)


@pytest.fixture
def complete(shop: Shop) -> Shop:
    for site in SITES:
        shop.sell(site)
        shop.close(site)
    shop.turn()
    return shop


def of(shop: Shop, site: str, step: str = BDF, day: date = DAY) -> list[Reason]:
    return [reason for reason in shop.decide(step, day) or () if reason.site == site]


def known(shop: Shop, site: str) -> list[tuple[ReasonCode, Known | None]]:
    return [(reason.code, reason.known) for reason in of(shop, site)]


def take_away(shop: Shop, *datasets: str) -> dict[Path, bytes]:
    """Files of the posto's batches vanish from the relay, as on a bad stick. (On a direct link the sender would see that.)"""
    taken = {}
    for path in (shop.network.root / "relay" / "matriz" / "inbox" / "posto-centro").iterdir():
        parsed = parse_file_name(path.name)
        if parsed is not None and parsed.recipient is None and parsed.batch.id.feed.dataset in datasets:
            taken[path] = path.read_bytes()
            path.unlink()
    assert taken
    return taken


# ------------------------------------------------------------------------------------------------ what is known of a debt


def test_nothing_was_produced(shop: Shop) -> None:
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    shop.network.turn("posto-centro", "matriz")  # it says that it is there
    (reason,) = shop.decide(BDF) or ()
    assert (reason.site, reason.code, reason.known) == (
        "posto-centro",
        ReasonCode.NOT_CLOSED,
        Known.NOT_PRODUCED,
    )
    assert reason.last_contact == shop["matriz"].context.now()
    assert (reason.at, reason.command) == (
        "posto-centro",
        "filesync send-remote --date 2026-03-02 --contado VALOR",
    )


def test_produced_and_not_sent(shop: Shop) -> None:
    """The till's line goes down after its first word: the heartbeat got through, the sales did not."""
    shop.sell("caixa-01")
    shop.close("caixa-01")
    matriz = shop.network.root / "matriz"
    matriz.rename(matriz.with_name("away"))
    shop["caixa-01"].turn()
    matriz.with_name("away").rename(matriz)
    heard = shop.network.root / "caixa-01" / "outbox" / "matriz" / "heartbeat.caixa-01.json"
    inbox = matriz / "inbox" / "caixa-01"
    inbox.mkdir(parents=True, exist_ok=True)
    shutil.copy(heard, inbox / heard.name)
    shop["matriz"].turn()
    assert known(shop, "caixa-01") == [
        (ReasonCode.NOT_CLOSED, Known.UNSENT), (ReasonCode.MISSING, Known.UNSENT),
    ]  # fmt: skip
    close, sold = of(shop, "caixa-01")
    assert (close.feed, sold.feed) == ("fechamento.caixa-01.matriz", "vendas.caixa-01.matriz")
    assert sold.seqs == ((1, 1),)
    assert (sold.at, sold.command) == ("caixa-01", "filesync exchange")
    assert sold.since is not None


def test_on_its_way(shop: Shop) -> None:
    shop.sell("posto-centro")
    shop["posto-centro"].turn()
    take_away(shop, "vendas")
    shop.clock.advance(minutes=20)  # the next heartbeat says what has left
    shop.network.turn("posto-centro", "matriz")
    (reason,) = (r for r in of(shop, "posto-centro") if r.code is ReasonCode.MISSING)
    assert (reason.known, reason.seqs, reason.at) == (Known.IN_TRANSIT, ((1, 1),), "matriz")
    assert reason.command == "filesync resend vendas.posto-centro.matriz 1"


def test_named_by_the_close_and_lost(shop: Shop) -> None:
    """The loss of the last batch, which no sequence would show: the close names it."""
    shop.sell("posto-centro")
    shop.close("posto-centro")
    shop["posto-centro"].turn()
    take_away(shop, "vendas")
    shop["matriz"].turn()
    assert known(shop, "posto-centro") == [(ReasonCode.MISSING, Known.IN_TRANSIT)]
    assert of(shop, "posto-centro")[0].seqs == ((1, 1),)


def test_arrived_and_waiting_for_what_comes_before(shop: Shop) -> None:
    documents = sales("posto-centro", count=12)
    shop.send("posto-centro", documents[:6], "morning")
    shop["posto-centro"].turn()
    lost = take_away(shop, "vendas")
    shop.send("posto-centro", documents, "evening")
    shop.close("posto-centro")
    shop.network.turn("posto-centro", "matriz")
    assert known(shop, "posto-centro") == [
        (ReasonCode.MISSING, Known.IN_TRANSIT), (ReasonCode.UNDECIDED, Known.WAITING),
    ]  # fmt: skip
    missing, waits = of(shop, "posto-centro")
    assert (missing.seqs, waits.seqs) == (((1, 1),), ((2, 2),))
    for path, data in lost.items():
        path.write_bytes(data)
    shop.turn()
    assert of(shop, "posto-centro") == []


def test_arrived_without_its_content(shop: Shop) -> None:
    shop.sell("caixa-01")
    shop["caixa-01"].turn()
    for path in (shop.network.root / "matriz" / "inbox" / "caixa-01").glob("vendas.*.parquet"):
        path.unlink()
    shop["matriz"].turn()
    (reason,) = (r for r in of(shop, "caixa-01") if r.code is ReasonCode.UNDECIDED)
    assert (reason.known, reason.detail["why"]) == (Known.WAITING, "payload-missing")
    assert reason.command == "filesync resend vendas.caixa-01.matriz 1"


def test_came_and_is_not_believed(shop: Shop) -> None:
    shop.sell("caixa-01")
    shop["caixa-01"].turn()
    for path in (shop.network.root / "matriz" / "inbox" / "caixa-01").glob("vendas.*.manifest.json"):
        path.write_bytes(path.read_bytes().replace(b'"signature":"', b'"signature":"-'))
    shop["matriz"].turn()
    (reason,) = (r for r in of(shop, "caixa-01") if r.code is ReasonCode.UNDECIDED)
    assert (reason.known, reason.detail["why"]) == (Known.REJECTED, "set-aside")
    assert reason.command is not None
    assert reason.command.startswith("filesync quarantine show vendas.caixa-01.matriz.")


def stricter(network: Network, *, reject: bool) -> None:
    """The matriz is stricter than its tills about the operator's name."""
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"]["on_bad_rows"] = "reject" if reject else "quarantine"
    schema["properties"]["operador"]["maxLength"] = 20
    folder = network.root / "matriz" / "schemas"
    folder.mkdir(exist_ok=True)
    (folder / "vendas.v1.json").write_text(json.dumps(schema), encoding="utf-8")


@pytest.mark.parametrize("whole", [True, False], ids=["rejected", "in part"])
def test_refused_and_made_good(shop: Shop, whole: bool) -> None:
    stricter(shop.network, reject=whole)
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=12)
    wrong = [
        {**sale, "operador": "um nome comprido para a matriz"} if at == 5 else sale
        for at, sale in enumerate(day)
    ]
    shop.send("caixa-01", wrong, "day")
    shop.close("caixa-01")
    shop.turn()
    assert known(shop, "caixa-01") == [(ReasonCode.REFUSED, Known.REJECTED)]
    (reason,) = of(shop, "caixa-01")
    assert reason.detail["verdict"] == ("REJECTED" if whole else "PARTIAL")
    assert "operador" in reason.message
    assert reason.command == "filesync export vendas --date 2026-03-02"
    # Corrected where it comes from; the corrected sales travel again, and the day is closed again with the same count.
    shop.send("caixa-01", day, "day")
    shop.turn()
    if not whole:
        assert (ReasonCode.LATE, Known.LATE) in known(shop, "caixa-01")
    shop.close("caixa-01", contado_centavos=None)
    shop.turn()
    assert of(shop, "caixa-01") == []


def test_late_sales_open_a_closed_day_again(complete: Shop) -> None:
    assert complete.decide(BDF) is None
    complete.send(
        "caixa-01", sales_of_day("caixa-01", Role.CAIXA, DAY, count=2, seed=9, first_number=80_000), "late"
    )
    complete.turn()
    assert known(complete, "caixa-01") == [(ReasonCode.LATE, Known.LATE)]
    (reason,) = of(complete, "caixa-01")
    assert (reason.seqs, reason.detail["documents"]) == (((2, 2),), 2)
    assert reason.command == "filesync close --date 2026-03-02"
    complete.close("caixa-01", contado_centavos=None)
    complete.turn()
    assert complete.decide(BDF) is None


def fechamento(site: Station, **changes: Any) -> dict[str, Any]:
    """A close made by hand: of another program's, as it were."""
    ctx = site.context
    (batch,) = [b for b in ctx.store.days.sealed(DAY) if b.feed.dataset == "vendas"]
    manifest = json.loads(batch.manifest)
    feed = {"dataset": "vendas", "audience": "matriz", "epoch": ctx.epoch}
    return {
        "origem": ctx.me, "data": DAY.isoformat(), "turno": 1, "fechado_em": ctx.now(), "sem_movimento": False, "abertura_centavos": 0,
        "suprimentos_centavos": 0, "sangrias_centavos": 0, "dinheiro_centavos": 0, "esperado_centavos": 0, "contado_centavos": 0,
        "diferenca_centavos": 0, "quantidade_vendas": manifest["rows"]["vendas"], "total_vendas_centavos": manifest["totals"]["total_centavos"],
        "formas": [], "tickets": [],
        "feeds": [{**feed, "seq_primeiro": 1, "seq_ultimo": 1, "lotes": 1, "documentos": manifest["rows"]["vendas"], **changes}],
        "linhas": [{**feed, "relacao": name, "linhas": count} for name, count in manifest["rows"].items()],
        "totais": [{**feed, "total": "total_centavos", "valor_de": "", "valor": manifest["totals"]["total_centavos"]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"documentos": 13}, "documents"),
        ({"lotes": 2, "documentos": 24}, "batches"),
        ({"seq_ultimo": 2}, None),
    ],
)
def test_a_close_that_does_not_agree(shop: Shop, changes: dict[str, int], what: str | None) -> None:
    shop.sell("caixa-01", count=12)
    site = shop["caixa-01"]
    site.seal("fechamento", table([fechamento(site, **changes)], "fechamento"))
    shop.turn()
    (reason,) = of(shop, "caixa-01")
    if what is None:
        assert (reason.code, reason.seqs) == (ReasonCode.MISSING, ((2, 2),))
    else:
        assert (reason.code, reason.known, reason.detail["what"]) == (
            ReasonCode.DISAGREES,
            Known.DIFFERS,
            what,
        )


def test_a_close_of_another_program_that_mentions_only_some_totals(shop: Shop) -> None:
    shop.sell("caixa-01")
    site = shop["caixa-01"]
    site.seal("fechamento", table([fechamento(site)], "fechamento"))
    shop.turn()
    assert of(shop, "caixa-01") == []


# ------------------------------------------------------------------------------------------------ what can never arrive


def lost_for_good(shop: Shop) -> list[dict[str, Any]]:
    """The posto's first batch of the day is lost on the way, and the second waits for it."""
    documents = sales("posto-centro", count=12)
    shop.send("posto-centro", documents[:6], "morning")
    shop["posto-centro"].turn()
    take_away(shop, "vendas")
    shop.send("posto-centro", documents, "evening")
    shop.close("posto-centro")
    shop.network.turn("posto-centro", "matriz")
    assert {code for code, _ in known(shop, "posto-centro")} == {ReasonCode.MISSING, ReasonCode.UNDECIDED}
    return documents


@pytest.mark.parametrize("at", ["matriz", "posto-centro"])
def test_a_number_that_is_given_up_is_owed_no_longer(shop: Shop, at: str) -> None:
    """Its sales come again under a new number, which stands in for the lost one: nobody has to close again."""
    lost_for_good(shop)
    shop[at].void("vendas.posto-centro.matriz", [1], reason="the relay's disk died", by="Ana")
    shop.turn()
    shop.clock.advance(hours=2)  # what the relay lost is shipped once more
    shop.turn()
    assert [reason.message for reason in of(shop, "posto-centro")] == []
    decision = routine.decide(shop["matriz"].context, BDF, DAY)
    assert isinstance(decision, Closed)  # the caixa never closed
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    path = routine.open_gate(shop["matriz"].context, BDF, DAY)
    (posto,) = [s for s in decode(path.read_bytes()).signed["sites"] if s["site"] == "posto-centro"]
    assert [(v["seq"], v["by"]) for v in posto["voids"]] == [(1, "Ana")]
    assert sum(batch["rows"].get("vendas", 0) for batch in posto["batches"]) == 12


# ------------------------------------------------------------------------------------------------ open, on evidence


def test_a_complete_day_opens_with_signed_evidence(complete: Shop) -> None:
    ctx = complete["matriz"].context
    path = routine.open_gate(ctx, BDF, DAY)
    assert path.parent.name == "evidence"
    assert path.name == routine.evidence_name(BDF, DAY, decode(path.read_bytes()).signed)
    envelope = decode(path.read_bytes())
    public = config.read_public_key(config.key_path(complete.network.root / "matriz").with_suffix(".pub"))
    public.verify(envelope.canonical, envelope.signature)
    with pytest.raises(SignatureError):
        SigningKey.generate().public.verify(envelope.canonical, envelope.signature)
    with pytest.raises(SignatureError):
        public.verify(envelope.canonical.replace(b"caixa-01", b"caixa-02", 1), envelope.signature)
    named = {proof["name"]: proof for site in envelope.signed["sites"] for proof in site["batches"]}
    assert len(named) == 4  # sales and close of each site
    for name, proof in named.items():
        receipt = ctx.store.receipt_of(name)
        assert receipt is not None
        assert receipt.manifest_sha256 == proof["manifest_sha256"]


def test_the_same_standing_writes_the_same_bytes(complete: Shop) -> None:
    ctx = complete["matriz"].context
    path = routine.open_gate(ctx, BDF, DAY)
    before = path.read_bytes()
    complete.clock.advance(days=30)
    complete.turn()  # heartbeats, and nothing else
    assert routine.open_gate(ctx, BDF, DAY) == path
    path.unlink()
    assert routine.open_gate(ctx, BDF, DAY).read_bytes() == before
    assert [event.what for event in ctx.store.days.events(DAY)].count("evidence") == 2


def test_a_late_correction_makes_other_evidence_and_keeps_the_first(complete: Shop) -> None:
    ctx = complete["matriz"].context
    first = routine.open_gate(ctx, BDF, DAY)
    complete.send(
        "caixa-01", sales_of_day("caixa-01", Role.CAIXA, DAY, count=1, seed=9, first_number=80_000), "late"
    )
    complete.close("caixa-01", contado_centavos=None)
    complete.turn()
    second = routine.open_gate(ctx, BDF, DAY)
    assert first != second
    assert first.exists()


def test_no_gate_opens_without_each_of_its_proofs(complete: Shop) -> None:
    """Invariant 9: whatever batch is taken out of the ledger's answer, and whichever step asks, the gate stays closed."""
    ctx = complete["matriz"].context
    standing = Ledger.read(ctx).judge(DAY).standing
    steps = ctx.settings.steps
    marks = {name: ctx.store.days.mark_done(name, DAY, "Ana", ctx.now()) for name in steps}
    standing = replace(standing, done=marks)
    asking = [name for name in steps if name != "exportar_sara"]
    for step in asking:
        assert isinstance(gate.decide(step, standing, ctx.clock(), steps=steps), Open)
    for place, site in enumerate(standing.sites):
        for batch in site.batches:
            left = tuple(b for b in site.batches if b is not batch)
            closed = () if batch.feed.dataset == "fechamento" else site.closings
            poorer = replace(site, batches=left, closings=closed)
            sites = (*standing.sites[:place], poorer, *standing.sites[place + 1 :])
            for step in asking:
                decision = gate.decide(step, replace(standing, sites=sites), ctx.clock(), steps=steps)
                assert isinstance(decision, Closed), (step, batch.name)


def test_a_sunday_is_nobodys_day_until_somebody_sells(shop: Shop) -> None:
    sunday = DAY - timedelta(days=1)
    assert [reason.code for reason in shop.decide(BDF, sunday) or ()] == [ReasonCode.NOBODY_DUE]
    shop.sell("caixa-01", sunday)
    shop.turn()
    assert shop.codes(BDF, sunday) == {("caixa-01", "not-closed")}
    shop.close("caixa-01", sunday)
    shop.turn()
    assert shop.decide(BDF, sunday) is None


def test_the_roster_says_who_is_due(complete: Shop) -> None:
    complete.network.site("posto-novo", Role.POSTO)
    complete.network.peer("matriz", "posto-novo", Role.POSTO)
    complete.network.reopen("matriz")
    assert complete.codes(BDF) == {("posto-novo", "not-closed")}
    (complete.network.root / "matriz" / "sites.toml").write_text(
        "[sites.posto-novo]\nactive_from = 2026-03-03\n", encoding="utf-8"
    )
    assert complete.decide(BDF) is None


# ------------------------------------------------------------------------------------------------ overrides


def overriding(shop: Shop, **more: Any) -> Any:
    wanted: dict[str, Any] = {"reason": "posto sem luz", "by": "Ana", "confirmed_by": "Rui"} | more
    return routine.override(shop["matriz"].context, BDF, DAY, **wanted)


def test_an_override_opens_for_its_time_and_stands_in_the_evidence(shop: Shop) -> None:
    given = overriding(shop)
    ctx = shop["matriz"].context
    path = routine.open_gate(ctx, BDF, DAY)
    signed = decode(path.read_bytes()).signed
    assert [(o["id"], o["reason"], o["by"], o["confirmed_by"]) for o in signed["overrides"]] == [
        (given.id, "posto sem luz", "Ana", "Rui")
    ]
    assert {site["site"]: [r["code"] for r in site["owing"]] for site in signed["sites"]} == {
        "caixa-01": ["not-closed"],
        "posto-centro": ["not-closed"],
    }
    shop.clock.advance(hours=23, minutes=59)
    assert shop.decide(BDF) is None
    shop.clock.advance(minutes=1)
    assert shop.decide(BDF)
    with pytest.raises(GateClosedError) as closed:
        routine.open_gate(ctx, BDF, DAY)
    assert {reason.site for reason in closed.value.reasons} == set(SITES)
    assert path.exists()
    assert [o.id for o in ctx.store.days.overrides(DAY)] == [given.id]


def test_an_override_for_one_site(shop: Shop) -> None:
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    overriding(shop, site="caixa-01")
    assert shop.codes(BDF) == {("posto-centro", "not-closed")}
    overriding(shop, site="posto-centro", hours=2)
    assert shop.decide(BDF) is None
    shop.clock.advance(hours=2)
    assert shop.codes(BDF) == {("posto-centro", "not-closed")}


def test_an_override_that_is_taken_back(shop: Shop) -> None:
    ctx = shop["matriz"].context
    given = overriding(shop)
    routine.revoke(ctx, given.id, DAY, "Rui")
    assert shop.decide(BDF)
    with pytest.raises(ConfigError, match="no override"):
        routine.revoke(ctx, given.id, DAY, "Rui")
    assert [event.what for event in ctx.store.days.events(DAY)] == ["override", "override-revoked"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"confirmed_by": None}, "override-alone"),
        ({"confirmed_by": " ANA "}, "override-same-person"),
        ({"reason": "  "}, "override-unsaid"),
        ({"by": ""}, "override-unsaid"),
        ({"hours": 25}, "override-too-long"),
        ({"hours": 0}, "override-too-long"),
        ({"site": "posto-lua"}, "peer-unknown"),
    ],
)
def test_an_override_that_breaks_a_rule(shop: Shop, more: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as error:
        overriding(shop, **more)
    assert error.value.code == code
    assert shop["matriz"].context.store.days.overrides(DAY) == []


def test_one_person_may_be_enough_where_it_is_configured(shop: Shop) -> None:
    shop.network.configure("matriz", "\n[overrides]\ntwo_persons = false\nhours = 48\n")
    shop.network.reopen("matriz")
    overriding(shop, confirmed_by=None, hours=48)
    assert shop.decide(BDF) is None


# ------------------------------------------------------------------------------------------------ marks and the routine


def test_a_step_is_marked_only_when_its_gate_is_open(shop: Shop) -> None:
    ctx = shop["matriz"].context
    with pytest.raises(GateClosedError):
        routine.mark_done(ctx, "exportar_portal", DAY, by="Ana")
    with pytest.raises(ConfigError, match="nobody has to say so"):
        routine.mark_done(ctx, RECEBER, DAY, by="Ana")
    mark = routine.mark_done(ctx, "exportar_sara", DAY, by="Ana")
    assert (ctx.folders.evidence / mark.detail["evidence"]).exists()
    assert [(m.step, m.by) for m in ctx.store.days.done(DAY)] == [("exportar_sara", "Ana")]
    routine.unmark(ctx, "exportar_sara", DAY, by="Rui")
    assert ctx.store.days.done(DAY) == []
    with pytest.raises(ConfigError, match="nobody said"):
        routine.unmark(ctx, "exportar_sara", DAY, by="Rui")


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, date]]:
    """Steps that do nothing but say so."""
    ran: list[tuple[str, date]] = []

    def runner(step: str) -> routine.Runner:
        def run(station: Station, day: date) -> StepReport:
            ran.append((step, day))
            done = any(mark.step == step for mark in station.context.store.days.done(day))
            routine.mark_done(station.context, step, day, by=routine.BY_ITSELF)
            return StepReport(step, day, StepOutcome.NOTHING if done else StepOutcome.RAN, f"{step} ran")

        return run

    for step in (BDF, "importar_ca", "conciliar"):
        monkeypatch.setitem(routine.RUNNERS, step, runner(step))
    monkeypatch.setattr(routine, "WAITING", {})
    return ran


def due(shop: Shop) -> list[tuple[str, StepOutcome]]:
    found = routine.run_due(shop["matriz"], shop.clock())
    return [(report.step, report.outcome) for report in found]


def test_the_routine_opens_runs_and_is_quiet_afterwards(
    complete: Shop, runners: list[tuple[str, date]]
) -> None:
    ran, opened = StepOutcome.RAN, StepOutcome.OPENED
    assert due(complete) == [
        (RECEBER, opened), (BDF, opened), (BDF, ran), ("importar_ca", opened), ("importar_ca", ran),
        ("conciliar", opened), ("conciliar", ran), ("exportar_sara", opened),
    ]  # fmt: skip
    assert runners == [(BDF, DAY), ("importar_ca", DAY), ("conciliar", DAY)]
    assert due(complete) == []
    complete.clock.advance(days=3)
    complete.turn()
    assert due(complete) == []
    complete.sara()
    assert due(complete) == [("exportar_portal", opened)]
    assert due(complete) == []
    assert len(runners) == 3 + 3  # something changed: the runners look again, and find what they did


def test_the_routine_tells_a_day_that_opens_again(complete: Shop, runners: list[tuple[str, date]]) -> None:
    due(complete)
    complete.send(
        "caixa-01", sales_of_day("caixa-01", Role.CAIXA, DAY, count=1, seed=9, first_number=80_000), "late"
    )
    complete.turn()
    assert {outcome for _, outcome in due(complete)} == {StepOutcome.CLOSED}
    assert due(complete) == []
    complete.close("caixa-01", contado_centavos=None)
    complete.turn()
    runners.clear()
    assert (RECEBER, StepOutcome.OPENED) in due(complete)
    assert ("conciliar", DAY) in runners  # what was reconciled is stale


def test_a_time_of_day_holds_back_only_what_runs_by_itself(
    complete: Shop, runners: list[tuple[str, date]]
) -> None:
    complete.network.configure("matriz", '\n[steps.importar_bdf]\nat = "D+1 06:00"\n')
    complete.network.reopen("matriz")
    assert (BDF, StepOutcome.RAN) not in due(complete)
    assert complete.decide(BDF) is None  # a person may go ahead
    complete.clock.advance(hours=11)
    assert due(complete) == []
    complete.clock.advance(minutes=30)
    assert (BDF, StepOutcome.RAN) in due(complete)


def test_an_override_that_ends_is_news(shop: Shop, runners: list[tuple[str, date]]) -> None:
    shop.sell("caixa-01")
    shop.close("caixa-01")
    shop.turn()
    due(shop)
    overriding(shop, hours=1)
    assert due(shop) == [(BDF, StepOutcome.OPENED), (BDF, StepOutcome.RAN)]
    shop.clock.advance(hours=1)
    assert due(shop) == [(BDF, StepOutcome.CLOSED)]


def test_a_step_that_fails_is_told_and_tried_again(
    complete: Shop, runners: list[tuple[str, date]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(station: Station, day: date) -> StepReport:
        raise ConfigError("not-today", "the printer is out of paper")

    good = routine.RUNNERS[BDF]
    monkeypatch.setitem(routine.RUNNERS, BDF, failing)
    assert (BDF, StepOutcome.FAILED) in due(complete)
    assert (BDF, StepOutcome.FAILED) in due(complete)
    monkeypatch.setitem(routine.RUNNERS, BDF, good)
    assert (BDF, StepOutcome.RAN) in due(complete)
    assert ("conciliar", DAY) in runners


def test_only_a_matriz_has_a_routine(complete: Shop) -> None:
    assert routine.run_due(complete["caixa-01"], complete.clock()) == []
    with pytest.raises(ConfigError, match="stand at the matriz"):
        routine.decide(complete["caixa-01"].context, BDF, DAY)


# ------------------------------------------------------------------------------------------------ what a contract makes of late rows


@pytest.mark.parametrize("policy", ["note", "refuse"])
def test_a_contract_may_leave_a_closed_day_as_it_is(shop: Shop, policy: str) -> None:
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"]["late"] = policy
    folder = shop.network.root / "matriz" / "schemas"
    folder.mkdir()
    (folder / "vendas.v1.json").write_text(json.dumps(schema), encoding="utf-8")
    for site in SITES:
        shop.sell(site)
        shop.close(site)
    shop.turn()
    routine.mark_done(shop["matriz"].context, BDF, DAY, by="Ana")
    shop.send(
        "caixa-01", sales_of_day("caixa-01", Role.CAIXA, DAY, count=2, seed=9, first_number=80_000), "late"
    )
    shop["caixa-01"].turn()
    report = shop["matriz"].turn().imported
    assert [batch.verdict.value for batch in report.applied] == [
        "APPLIED" if policy == "note" else "REJECTED"
    ]
    if policy == "refuse":
        assert report.applied[0].problems[0].code == "late-refused"
    assert shop.decide(BDF) is None
