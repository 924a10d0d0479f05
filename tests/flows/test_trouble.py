"""What goes wrong on the way: each gets its own code and the right folder, and the rest goes on."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from network import DAY, ENGINES, Network, rows, sales, table

from filesync.contracts import Contract, Registry
from filesync.protocol.envelope import decode, encode
from filesync.protocol.identity import Format, Role
from filesync.protocol.receipt import Verdict
from filesync.protocol.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from filesync.exchange.reports import SealedBatch


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Every story is told on both databases."""
    return str(request.param)


@pytest.fixture
def arrived(pair: Network) -> tuple[Network, list[SealedBatch]]:
    """Three days of caixa-01 lie in the matriz' inbox, not imported yet."""
    sealed = []
    for number in range(3):
        day = DAY + timedelta(days=number)
        sealed += pair["caixa-01"].seal("vendas", table(sales(day=day))).sealed
    pair.turn("caixa-01")
    return pair, sealed


def _payload(net: Network, batch: SealedBatch) -> Path:
    return net.root / "matriz" / "inbox" / "caixa-01" / f"{batch.name}.parquet"


def _manifest(net: Network, batch: SealedBatch) -> Path:
    return net.root / "matriz" / "inbox" / "caixa-01" / f"{batch.name}.manifest.json"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _swap(net: Network, sealed: list[SealedBatch]) -> None:
    shutil.copy(_payload(net, sealed[0]), _payload(net, sealed[1]))


PAYLOAD_TROUBLE: dict[str, Callable[[Network, list[SealedBatch]], object]] = {
    "damaged": lambda net, sealed: _flip(_payload(net, sealed[1])),
    "truncated": lambda net, sealed: (
        _payload(net, sealed[1]).write_bytes(_payload(net, sealed[1]).read_bytes()[:-9]) and None
    ),
    "oversized": lambda net, sealed: (
        _payload(net, sealed[1]).write_bytes(_payload(net, sealed[1]).read_bytes() + b"more") and None
    ),
    "swapped": _swap,
}


@pytest.mark.parametrize("code", PAYLOAD_TROUBLE)
def test_a_payload_that_is_not_what_was_claimed_is_set_aside_and_shipped_again(
    arrived: tuple[Network, list[SealedBatch]], code: str
) -> None:
    net, sealed = arrived
    PAYLOAD_TROUBLE[code](net, sealed)
    report = net["matriz"].import_()
    assert [batch.name for batch in report.applied] == [sealed[0].name]
    assert [(held.code, held.name) for held in report.set_aside] == [(code, f"{sealed[1].name}.parquet")]
    assert "expected" in report.set_aside[0].message
    assert "got" in report.set_aside[0].message
    assert {held.code for held in report.waiting} == {"hole"}, "the third waits for the second"
    assert net.quarantine("matriz", "caixa-01") == [
        f"{sealed[1].name}.parquet",
        f"{sealed[1].name}.parquet.problem.json",
    ]
    net.until_quiet("caixa-01", "matriz")
    assert len(rows(net["matriz"])) == 36
    assert net["caixa-01"].status().outbox == ()


def test_a_manifest_that_cannot_be_read_is_set_aside_without_an_answer(
    arrived: tuple[Network, list[SealedBatch]],
) -> None:
    net, sealed = arrived
    _manifest(net, sealed[0]).write_bytes(b'{"signed": {"format"')
    report = net["matriz"].import_()
    assert [held.code for held in report.set_aside] == ["manifest-unreadable"]
    assert report.applied == []
    assert net.outbox("matriz", "caixa-01") == []
    net.until_quiet("caixa-01", "matriz")
    assert len(rows(net["matriz"])) == 36


def test_a_renamed_manifest_is_found_out(arrived: tuple[Network, list[SealedBatch]]) -> None:
    net, sealed = arrived
    other = _manifest(net, sealed[0]).name.replace(".0000000001.", ".0000000009.")
    _manifest(net, sealed[0]).rename(_manifest(net, sealed[0]).with_name(other))
    report = net["matriz"].import_()
    assert [(held.code, held.name) for held in report.set_aside] == [("renamed", other)]


def test_an_oversized_manifest_is_not_even_read(arrived: tuple[Network, list[SealedBatch]]) -> None:
    net, sealed = arrived
    _manifest(net, sealed[0]).write_bytes(
        b" " * (net["matriz"].context.settings.limits.manifest_bytes_max + 1)
    )
    assert [held.code for held in net["matriz"].import_().set_aside] == ["oversized"]


def _resign(path: Path, key: SigningKey | None) -> None:
    path.write_bytes(encode(decode(path.read_bytes()).signed, key))


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("signature-missing", lambda path: _resign(path, None)),
        ("signature-foreign", lambda path: _resign(path, SigningKey.generate())),
        (
            "signature-wrong",
            lambda path: path.write_bytes(path.read_bytes().replace(b'"mode":"delta"', b'"mode":"snapshot"')),
        ),
    ],
)
def test_a_pinned_peer_is_heard_only_in_its_own_name(
    arrived: tuple[Network, list[SealedBatch]], code: str, spoil: Callable[[Path], None]
) -> None:
    net, sealed = arrived
    spoil(_manifest(net, sealed[0]))
    report = net["matriz"].import_()
    assert [held.code for held in report.set_aside] == [code]
    assert net.outbox("matriz", "caixa-01") == [], "who sent it is not known, so nobody is answered"
    assert rows(net["matriz"]) == []


def test_without_a_pinned_key_unsigned_files_are_taken_and_status_says_so_every_time(
    network: Network,
) -> None:
    network.site("matriz", Role.MATRIZ)
    network.site("caixa-01", Role.CAIXA)
    network.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", "caixa-01", Role.CAIXA, pin=False)
    sealed = network["caixa-01"].seal("vendas", table(sales())).sealed
    network.turn("caixa-01")
    _resign(_manifest(network, sealed[0]), None)
    for _ in range(2):
        assert any(
            "no key is pinned for caixa-01" in warning for warning in network["matriz"].status().warnings
        )
    assert [batch.verdict for batch in network["matriz"].import_().applied] == [Verdict.APPLIED]


def test_a_forged_receipt_settles_nothing(arrived: tuple[Network, list[SealedBatch]]) -> None:
    net, _ = arrived
    net["matriz"].turn()
    for path in net.outbox("matriz", "caixa-01"):
        _resign(path, SigningKey.generate())
    report = net["caixa-01"].turn()
    assert report.imported.settled == []
    assert {held.code for held in report.imported.set_aside} == {"signature-foreign"}
    assert len(net["caixa-01"].status().outbox) == 3
    net.until_quiet("caixa-01", "matriz")
    assert net["caixa-01"].status().outbox == (), "the batches are shipped again and answered again"


def test_a_batch_that_arrives_twice_is_answered_with_the_same_bytes(
    arrived: tuple[Network, list[SealedBatch]], tmp_path: Path
) -> None:
    net, sealed = arrived
    kept = shutil.copytree(net.root / "matriz" / "inbox" / "caixa-01", tmp_path / "kept")
    net["matriz"].import_()
    first = {path.name: path.read_bytes() for path in net.outbox("matriz", "caixa-01")}
    for path in net.outbox("matriz", "caixa-01"):
        path.unlink()
    shutil.copytree(kept, net.root / "matriz" / "inbox" / "caixa-01", dirs_exist_ok=True)
    _flip(_payload(net, sealed[1]))
    net.clock.advance(hours=5)
    report = net.reopen("matriz").import_()
    assert sorted(report.replayed) == sorted(batch.name for batch in sealed)
    assert {path.name: path.read_bytes() for path in net.outbox("matriz", "caixa-01")} == first
    assert len(rows(net["matriz"])) == 36
    archived = (
        net.root / "matriz" / "archive" / f"{DAY + timedelta(days=1):%Y/%m/%d}" / f"{sealed[1].name}.parquet"
    )
    assert archived.read_bytes() == (kept / f"{sealed[1].name}.parquet").read_bytes(), (
        "the damaged copy did not replace the good one"
    )


def test_out_of_order_waits_and_then_follows(
    arrived: tuple[Network, list[SealedBatch]], tmp_path: Path
) -> None:
    net, sealed = arrived
    for path in (_manifest(net, sealed[0]), _payload(net, sealed[0])):
        path.rename(tmp_path / path.name)
    report = net["matriz"].import_()
    assert [held.code for held in report.waiting] == ["hole", "hole"]
    feed = next(feed for feed in net["matriz"].status().feeds if feed.feed == "vendas.caixa-01.matriz")
    assert feed.missing == (1,)
    for path in tmp_path.glob("vendas.*"):
        path.rename(net.root / "matriz" / "inbox" / "caixa-01" / path.name)
    assert len(net["matriz"].import_().applied) == 3


def test_two_claims_to_one_number_neither_overwrites_the_other(pair: Network) -> None:
    """A till restored from a backup that forgot its last batch uses the number again."""
    till = pair["caixa-01"]
    till.seal("vendas", table(sales(count=4)))
    pair.close()
    shutil.copytree(pair.root / "caixa-01", pair.root / "backup")
    store = pair.back_up("caixa-01")
    pair["caixa-01"].seal("vendas", table(sales(count=5, day=DAY + timedelta(days=1))))
    pair.turn("caixa-01", "matriz")
    before = rows(pair["matriz"])
    pair.close()
    shutil.rmtree(pair.root / "caixa-01")
    shutil.move(pair.root / "backup", pair.root / "caixa-01")
    pair.restore("caixa-01", store)
    pair["caixa-01"].seal("vendas", table(sales(count=6, day=DAY + timedelta(days=2))))
    pair.turn("caixa-01")
    report = pair["matriz"].turn().imported
    assert "same-number-other-content" in {held.code for held in report.set_aside}
    assert rows(pair["matriz"]) == before
    answer = pair["caixa-01"].turn().imported
    assert [held.code for held in answer.rejected_by_peer] == ["same-number-other-content"]


def test_a_feed_of_somebody_else_is_refused(pair: Network) -> None:
    """caixa-01 may write into its inbox at the matriz, but not in the name of caixa-02."""
    pair.site("caixa-02", Role.CAIXA)
    pair.peer("matriz", "caixa-02", Role.CAIXA)
    pair.peer("caixa-02", "matriz", Role.MATRIZ, link="../matriz")
    pair["caixa-02"].seal("vendas", table(sales("caixa-02")))
    theirs = pair.root / "matriz" / "inbox" / "caixa-01"
    theirs.mkdir(exist_ok=True)
    for path in pair.outbox("caixa-02", "matriz"):
        shutil.copy(path, theirs / path.name)
    report = pair["matriz"].import_()
    assert len(report.set_aside) == 1
    assert report.set_aside[0].code in {"foreign", "signature-foreign"}
    assert rows(pair["matriz"]) == []


def test_a_dataset_that_the_peer_may_not_send_is_refused_and_answered(pair: Network) -> None:
    text = (pair.root / "matriz" / "filesync.toml").read_text(encoding="utf-8")
    (pair.root / "matriz" / "filesync.toml").write_text(
        text.replace("[peers.caixa-01]", '[peers.caixa-01]\nmay_send = ["fechamento"]'), encoding="utf-8"
    )
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.turn("caixa-01", "matriz")
    report = pair.turn("caixa-01")[0].imported
    assert [held.code for held in report.rejected_by_peer] == ["not-allowed"]


def _lenient(**changes: object) -> Registry:
    """The contract as an older program knew it."""
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"].update(rules=[], **changes)
    return Registry([Contract.from_schema(schema)])


@pytest.mark.parametrize("form", list(Format))
def test_bad_rows_are_kept_with_their_errors_and_the_good_documents_applied(
    pair: Network, form: Format
) -> None:
    sold = sales(count=10)
    wrong = [
        {**sale, "total_centavos": sale["total_centavos"] + 1} if place in (3, 7) else sale
        for place, sale in enumerate(sold)
    ]
    pair.contracts = _lenient()
    sealed = pair["caixa-01"].seal("vendas", table(wrong), format=form).sealed
    pair.contracts = None
    pair.turn("caixa-01")
    report = pair["matriz"].turn().imported
    assert [batch.verdict for batch in report.applied] == [Verdict.PARTIAL]
    assert report.applied[0].documents == 8
    assert {problem.row for problem in report.applied[0].problems} == {3, 7}
    kept = pair.root / "matriz" / "quarantine" / "caixa-01" / f"{sealed[0].name}.rows.jsonl"
    assert [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] == [
        wrong[3],
        wrong[7],
    ]
    answered = pair["caixa-01"].turn().imported
    assert len(answered.rejected_by_peer) == 1
    assert pair["caixa-01"].seal("vendas", table(wrong[:7])).unchanged == 7, (
        "what was refused is not sent again as it is"
    )
    corrected = pair["caixa-01"].seal("vendas", table(sold)).sealed
    assert [batch.documents for batch in corrected] == [2]
    pair.until_quiet("caixa-01", "matriz")
    assert rows(pair["matriz"]) == sorted(sold, key=lambda sale: str(sale["venda_id"]))


def test_a_batch_with_bad_rows_is_rejected_whole_where_the_contract_says_so(pair: Network) -> None:
    sold = sales(count=10)
    wrong = [
        {**sale, "total_centavos": sale["total_centavos"] + 1} if place == 3 else sale
        for place, sale in enumerate(sold)
    ]
    pair.contracts = _lenient()
    first = pair["caixa-01"].seal("vendas", table(wrong)).sealed[0]
    pair.contracts = None
    pair.close()
    strict = Registry.packaged().latest("vendas")
    assert strict is not None
    schema = json.loads(json.dumps(strict.schema))
    schema["x-filesync"]["on_bad_rows"] = "reject"
    own = pair.root / "matriz" / "schemas"
    own.mkdir()
    (own / "vendas.v1.json").write_text(json.dumps(schema), encoding="utf-8")
    pair.turn("caixa-01")
    report = pair["matriz"].turn().imported
    assert [batch.verdict for batch in report.applied] == [Verdict.REJECTED]
    assert rows(pair["matriz"]) == []
    assert set(pair.quarantine("matriz", "caixa-01")) >= {
        f"{first.name}.manifest.json",
        f"{first.name}.parquet",
    }
    assert [held.name for held in pair["caixa-01"].turn().imported.rejected_by_peer] == [first.name]
    again = pair["caixa-01"].seal("vendas", table(sold)).sealed
    assert sum(batch.documents for batch in again) >= 1
    net_rows = pair.turn("caixa-01", "matriz")
    assert net_rows[1].imported.applied[0].verdict is Verdict.APPLIED, (
        "the number of the rejected batch was used; the feed goes on"
    )
    resent = pair["caixa-01"].seal("vendas", table(sold), again=True).sealed
    assert [batch.documents for batch in resent] == [10]
    pair.until_quiet("caixa-01", "matriz")
    assert len(rows(pair["matriz"])) == 10


def test_a_manifest_whose_totals_are_not_those_of_its_rows_is_rejected(pair: Network) -> None:
    key = pair["caixa-01"].context.settings.key
    sealed = pair["caixa-01"].seal("vendas", table(sales())).sealed[0]
    pair.turn("caixa-01")
    path = _manifest(pair, sealed)
    signed = decode(path.read_bytes()).signed
    signed["totals"]["total_centavos"] += 100
    path.write_bytes(encode(signed, key))
    report = pair["matriz"].import_()
    assert [(batch.verdict, batch.problems[0].code) for batch in report.applied] == [
        (Verdict.REJECTED, "totals-mismatch")
    ]
    assert rows(pair["matriz"]) == []


def test_a_contract_version_of_the_future_waits(pair: Network) -> None:
    contract = Registry.packaged().latest("vendas")
    assert contract is not None
    schema = json.loads(json.dumps(contract.schema))
    schema["x-filesync"]["version"] = 2
    pair.contracts = Registry([Contract.from_schema(schema)])
    pair["caixa-01"].seal("vendas", table(sales()))
    pair.contracts = None
    pair.turn("caixa-01")
    report = pair["matriz"].import_()
    assert [held.code for held in report.waiting] == ["contract-unknown"]
    assert len(pair.inbox("matriz", "caixa-01")) == 2, "it stays in the inbox"


def test_a_manifest_format_of_the_future_waits(arrived: tuple[Network, list[SealedBatch]]) -> None:
    net, sealed = arrived
    path = _manifest(net, sealed[0])
    signed = decode(path.read_bytes()).signed
    signed["format"] = 2
    path.write_bytes(encode(signed, net["caixa-01"].context.settings.key))
    report = net["matriz"].import_()
    assert report.set_aside == []
    assert report.waiting[0].code == "format-unknown"
    assert path.exists()


def test_strangers_are_left_alone_and_listed(arrived: tuple[Network, list[SealedBatch]]) -> None:
    net, _ = arrived
    inbox = net.root / "matriz" / "inbox" / "caixa-01"
    (inbox / "leia-me.txt").write_text("oi", encoding="utf-8")
    (inbox / "VENDAS.CAIXA.parquet").write_bytes(b"x")
    net["matriz"].import_()
    assert {path.name for path in net.inbox("matriz", "caixa-01")} == {"leia-me.txt", "VENDAS.CAIXA.parquet"}
    assert {item.name for item in net["matriz"].status().inbox if item.state == "stranger"} == {
        "leia-me.txt",
        "VENDAS.CAIXA.parquet",
    }


def test_a_bad_batch_in_a_crowd_costs_its_neighbours_nothing(pair: Network) -> None:
    pair.configure("caixa-01", "\n[datasets.vendas]\ndocuments_max = 2\n")
    sold = sales(count=80)
    wrong = [
        {**sale, "total_centavos": sale["total_centavos"] + 1} if place == 41 else sale
        for place, sale in enumerate(sold)
    ]
    pair.contracts = _lenient()
    assert len(pair["caixa-01"].seal("vendas", table(wrong)).sealed) == 40
    pair.contracts = None
    pair.turn("caixa-01")
    report = pair["matriz"].import_()
    verdicts = [batch.verdict for batch in sorted(report.applied, key=lambda batch: batch.name)]
    assert verdicts.count(Verdict.APPLIED) == 39
    assert verdicts[20] is Verdict.PARTIAL
    assert len(rows(pair["matriz"])) == 79


def test_a_restored_till_with_other_content_for_a_known_sale_is_a_conflict_not_an_overwrite(
    pair: Network,
) -> None:
    sold = sales(count=6)
    pair["caixa-01"].seal("vendas", table(sold))
    pair.turn("caixa-01", "matriz")
    pair.close()
    key = (pair.root / "caixa-01" / "keys" / "site_ed25519").read_bytes()
    shutil.rmtree(pair.root / "caixa-01")
    pair.site("caixa-01", Role.CAIXA)
    pair.peer("caixa-01", "matriz", Role.MATRIZ, link="../matriz")
    path = pair.root / "caixa-01" / "keys" / "site_ed25519"
    path.chmod(0o600)
    path.write_bytes(key)
    other = {**sold[0], "operador": "M777"}
    higher = {**sold[1], "operador": "M778", "versao": sold[1].get("versao", 0) + 1}
    pair["caixa-01"].seal("vendas", table([other, higher, *sold[2:]]))
    pair.turn("caixa-01")
    report = pair["matriz"].turn().imported
    assert [(batch.verdict, batch.problems[0].code) for batch in report.applied] == [
        (Verdict.PARTIAL, "conflict")
    ]
    held = {row["venda_id"]: row for row in rows(pair["matriz"])}
    assert held[sold[0]["venda_id"]] == sold[0], "nothing is overwritten in silence"
    assert held[sold[1]["venda_id"]] == higher, "a higher version decides"
    assert len(held) == 6


def test_quarantine_retry_and_discard_are_recorded(arrived: tuple[Network, list[SealedBatch]]) -> None:
    net, sealed = arrived
    good = _payload(net, sealed[0]).read_bytes()
    _flip(_payload(net, sealed[0]))
    _flip(_payload(net, sealed[1]))
    net["matriz"].import_()
    case = f"{sealed[0].name}.parquet"
    (net.root / "matriz" / "quarantine" / "caixa-01" / case).write_bytes(good)
    net["matriz"].retry(case)
    assert [batch.name for batch in net["matriz"].import_().applied] == [sealed[0].name]
    other = net["matriz"].status().quarantine[0].name
    net["matriz"].discard(other, "a copy that fell off the stick")
    assert net["matriz"].status().quarantine == ()
    assert len(list((net.root / "matriz" / "archive").rglob(f"discarded/{other}*"))) == 2
    resolutions = [
        record.resolution for record in net["matriz"].context.store.problems() if record.resolution
    ]
    assert any(resolution == "retried" for resolution in resolutions)
    assert any("fell off the stick" in resolution for resolution in resolutions)


def test_what_a_cut_off_sender_left_half_written_goes_when_its_batch_is_decided(
    arrived: tuple[Network, list[SealedBatch]],
) -> None:
    net, sealed = arrived
    partial = net.root / "matriz" / "inbox" / ".partial"
    partial.mkdir(exist_ok=True)
    decided = partial / f"caixa-01~{sealed[0].name}.manifest.json.put"
    unknown = partial / f"caixa-01~{sealed[0].name.replace('.0000000001.', '.0000000009.')}.parquet.get"
    for path in (decided, unknown):
        path.write_bytes(b"half")
    net["matriz"].import_()
    assert decided.exists(), "not decided when the turn began: its sender may be writing it"
    net["matriz"].import_()
    assert not decided.exists()
    assert unknown.exists(), "its sender goes on with it"
