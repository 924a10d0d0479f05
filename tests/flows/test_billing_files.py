"""BDF and C.A. as the matriz lives them: the file comes, the gate says no, the shop closes, the file is taken, a corrected one follows."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, rows
from shopdays import MORNING_AFTER, Shop, open_shop

from filesync.day import filing, preflight, waiting
from filesync.day import runners as runners  # noqa: PLC0414 -- every step runs by itself
from filesync.day.filing import Asked, FilingReport, FilingState, WrongFileError
from filesync.day.routine import run_due
from filesync.day.values import StepOutcome
from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.exchange import ownbatch
from filesync.protocol.identity import BatchName
from filesync.protocol.receipt import Verdict
from filesync.sources.layout_choice import shipped_layouts
from filesync.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filesync.stores.store import Store

Rows = list[dict[str, Any]]
LAYOUTS = {layout.name: layout for layout in shipped_layouts()}
BDF, BDF_CSV, CA, CA_CSV = (
    "exemplo-bdf-posicional",
    "exemplo-bdf-csv",
    "exemplo-ca-posicional",
    "exemplo-ca-csv",
)


@pytest.fixture(scope="module")
def open_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Rows]:
    """A caixa and a posto sold on DAY; nobody has closed."""
    shop = open_shop(Network(tmp_path_factory.mktemp("open") / "net"))
    sales = [*shop.sell("caixa-01"), *shop.sell("posto-centro")]
    shop.network.close()
    return shop.network, sales


@pytest.fixture(scope="module")
def closed_day(
    open_day: tuple[Network, Rows], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Network, Rows]:
    """Everybody closed, and everything arrived: the gate of the BDF is open."""
    network, sales = open_day
    closed = network.copy_of(tmp_path_factory.mktemp("closed") / "net")
    close_all(Shop(closed))
    closed.close()
    return closed, sales


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """The shop on its own disk: closed where a test asks for `complete`."""
    made, _ = request.getfixturevalue("closed_day" if "complete" in request.fixturenames else "open_day")
    network = made.copy_of(tmp_path / "net")
    yield Shop(network)
    network.close()


@pytest.fixture
def sold(open_day: tuple[Network, Rows]) -> Rows:
    """What was sold; nobody has closed."""
    return copy.deepcopy(open_day[1])


@pytest.fixture
def complete(closed_day: tuple[Network, Rows]) -> Rows:
    """What was sold; everybody closed."""
    return copy.deepcopy(closed_day[1])


def close_all(shop: Shop) -> None:
    for site in ("caixa-01", "posto-centro"):
        shop.close(site)
    shop.turn()


def put(shop: Shop, content: bytes, name: str = "bdf.txt") -> Path:
    """A file as it comes out of Correios' system, anywhere on the computer."""
    path = shop.network.root / name
    path.write_bytes(content)
    return path


def written(billing: Rows, layout: str = BDF, day: date = DAY, **more: Any) -> bytes:
    return billing_file(LAYOUTS[layout], day, billing, **more)


def take(shop: Shop, path: Path, dataset: str = "bdf", day: date | None = DAY, **more: Any) -> FilingReport:
    return filing.take(shop["matriz"], Asked(dataset, path, day, by="Márcia", **more))


def drop(shop: Shop, content: bytes, name: str, dataset: str = "bdf") -> Path:
    """A file that a program leaves in the matriz' folder."""
    path = shop.network.root / "matriz" / "drop" / dataset / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def dropped(shop: Shop) -> list[str]:
    top = shop.network.root / "matriz" / "drop"
    return sorted(
        path.relative_to(top).as_posix()
        for kind in ("bdf", "ca")
        for path in (top / kind).rglob("*")
        if path.is_file()
    )


def due(shop: Shop) -> list[tuple[str, StepOutcome]]:
    return [(report.step, report.outcome) for report in run_due(shop["matriz"], shop.clock())]


def held(shop: Shop, dataset: str = "bdf") -> Rows:
    """What the store holds, in the order of the file."""
    return sorted(
        rows(shop["matriz"], dataset),
        key=lambda r: (int(r["sub_caixa"]), int(r["numero_atendimento"]), r["sequencia"]),
    )


def in_order(billing: Rows) -> Rows:
    return sorted(billing, key=lambda r: (int(r["sub_caixa"]), int(r["numero_atendimento"]), r["sequencia"]))


def store(shop: Shop) -> Store:
    return shop["matriz"].context.store


# ---------------------------------------------------------------- the gate


def test_a_file_is_refused_while_the_gate_is_closed_and_kept(shop: Shop, sold: Rows) -> None:
    path = put(shop, written(billing_of_day(sold).bdf))
    report = take(shop, path)
    assert report.state is FilingState.KEPT
    assert {reason.site for reason in report.reasons} == {"caixa-01", "posto-centro"}
    assert all(reason.command for reason in report.reasons)
    assert dropped(shop) == ["bdf/2026-03-02/bdf.txt", "bdf/2026-03-02/bdf.txt.asked.json"]
    assert report.kept is not None
    assert report.kept.read_bytes() == path.read_bytes()
    assert rows(shop["matriz"], "bdf") == []
    assert store(shop).files.of_day(DAY) == []


def test_a_kept_file_is_taken_by_itself_when_the_gate_opens(shop: Shop, sold: Rows) -> None:
    billing = billing_of_day(sold)
    take(shop, put(shop, written(billing.bdf)))
    take(shop, put(shop, written(billing.ca, CA), "ca.txt"), "ca")
    assert not any(outcome is StepOutcome.RAN for _, outcome in due(shop))
    close_all(shop)
    ran = {step for step, outcome in due(shop) if outcome is StepOutcome.RAN}
    assert {"importar_bdf", "importar_ca"} <= ran
    assert held(shop) == in_order(billing.bdf)
    assert len(rows(shop["matriz"], "ca")) == len(billing.ca)
    assert dropped(shop) == []
    done = {mark.step: mark for mark in store(shop).days.done(DAY)}
    assert done["importar_bdf"].by == "Márcia"  # who brought the file
    assert due(shop) == []


def test_a_wrong_file_is_refused_at_once_and_not_kept(shop: Shop, sold: Rows) -> None:
    content = written(billing_of_day(sold).bdf).replace(b"9000000", b"9000001")
    with pytest.raises(WrongFileError, match="linhas of the trailer: expected"):
        take(shop, put(shop, content))
    assert dropped(shop) == []


def test_the_step_is_marked_with_the_file_and_its_evidence(shop: Shop, complete: Rows) -> None:
    report = take(shop, put(shop, written(billing_of_day(complete).bdf)))
    assert report.state is FilingState.TAKEN
    assert report.evidence is not None
    assert report.evidence.exists()
    (mark,) = (mark for mark in store(shop).days.done(DAY) if mark.step == "importar_bdf")
    assert (mark.by, mark.detail["file"], mark.detail["batch"]) == ("Márcia", "bdf.txt", report.batch)
    assert mark.detail["evidence"] == report.evidence.name


# ---------------------------------------------------------------- a batch like any other


def test_a_file_becomes_a_batch_with_manifest_receipt_and_archive(shop: Shop, complete: Rows) -> None:
    billing = billing_of_day(complete)
    path = put(shop, written(billing.bdf))
    report = take(shop, path)
    assert report.batch is not None
    name = BatchName.parse(report.batch)
    assert str(name.id.feed) == "bdf.matriz.matriz"
    assert (name.id.seq, name.business_date) == (1, DAY)
    archive = shop.network.root / "matriz" / "archive" / "2026" / "03" / "02"
    lying = {path.name for path in archive.glob(f"{report.batch}.*")}
    assert lying == {
        name.manifest, f"{report.batch}.parquet", f"{report.batch}.matriz.receipt.json", f"{report.batch}.original.txt"
    }  # fmt: skip
    assert (archive / f"{report.batch}.original.txt").read_bytes() == path.read_bytes()
    stored = store(shop).receipt_of(report.batch)
    assert stored is not None
    assert stored.verdict is Verdict.APPLIED
    assert stored.acknowledged  # nobody waits for it
    assert json.loads(stored.receipt or "")["rows"] == {"bdf": len(billing.bdf)}
    assert held(shop) == in_order(billing.bdf)
    shop.turn()
    assert not (shop.network.root / "matriz" / "outbox" / "matriz").exists()


def test_the_same_file_twice_changes_nothing(shop: Shop, complete: Rows) -> None:
    path = put(shop, written(billing_of_day(complete).bdf))
    first = take(shop, path)
    second = take(shop, put(shop, path.read_bytes(), "another-name.txt"))
    assert second.state is FilingState.UNCHANGED
    assert second.batch == first.batch
    assert len(store(shop).files.of_day(DAY)) == 1


def test_a_corrected_file_replaces_the_day_and_both_are_recorded(shop: Shop, complete: Rows) -> None:
    wrong = billing_of_day(complete, planted=Plan(value=2, extra=1))
    right = billing_of_day(complete)
    first = take(shop, put(shop, written(wrong.bdf)))
    second = take(shop, put(shop, written(right.bdf), "bdf-corrigido.txt"))
    assert (second.state, second.superseded) == (FilingState.TAKEN, first.batch)
    assert held(shop) == in_order(right.bdf)  # the extra row is gone too
    files = store(shop).files.of_day(DAY)
    assert [(file.file_name, file.superseded_by) for file in files] == [
        ("bdf.txt", second.batch),
        ("bdf-corrigido.txt", None),
    ]
    assert first.batch is not None
    archive = shop.network.root / "matriz" / "archive" / "2026" / "03" / "02"
    assert (archive / f"{first.batch}.original.txt").exists()
    back = take(shop, put(shop, written(wrong.bdf)))  # the first one after all
    assert (back.state, back.superseded) == (FilingState.TAKEN, second.batch)
    assert held(shop) == in_order(wrong.bdf)


def test_another_day_is_untouched_by_a_corrected_file(shop: Shop, complete: Rows) -> None:
    shop.clock.advance(days=1)
    tomorrow = [*shop.sell("caixa-01", MORNING_AFTER), *shop.sell("posto-centro", MORNING_AFTER)]
    for site in ("caixa-01", "posto-centro"):
        shop.close(site, MORNING_AFTER)
    shop.turn()
    take(shop, put(shop, written(billing_of_day(complete).bdf)))
    after = billing_of_day(tomorrow)
    take(shop, put(shop, written(after.bdf, day=MORNING_AFTER)), day=MORNING_AFTER)
    take(shop, put(shop, written([]), "leer.txt"))  # Correios billed nothing on DAY, after all
    assert held(shop) == in_order(after.bdf)
    assert store(shop).files.current("bdf", DAY) is not None


def test_two_kept_files_of_a_day_are_taken_in_the_order_in_which_they_came(shop: Shop, sold: Rows) -> None:
    wrong, right = billing_of_day(sold, planted=Plan(value=2)), billing_of_day(sold)
    take(shop, put(shop, written(wrong.bdf), "z.txt"))
    take(shop, put(shop, written(right.bdf), "a.txt"))
    take(shop, put(shop, written(right.bdf), "b.txt"))  # once more: kept once
    close_all(shop)
    due(shop)
    assert held(shop) == in_order(right.bdf)
    assert [file.file_name for file in store(shop).files.of_day(DAY)] == ["z.txt", "a.txt"]


# ---------------------------------------------------------------- dropped files


def test_a_dropped_file_finds_its_day_and_layout_and_is_taken_when_the_gate_opens(
    shop: Shop, sold: Rows
) -> None:
    billing = billing_of_day(sold)
    drop(shop, written(billing.bdf, BDF_CSV), "FATURA.TXT")
    drop(shop, written(billing.ca, CA_CSV), "ca-2026-03-02.csv", "ca")  # the day is in the name only
    due(shop)
    assert [name for name in dropped(shop) if not name.endswith(".json")] == [
        "bdf/2026-03-02/FATURA.TXT",
        "ca/2026-03-02/ca-2026-03-02.csv",
    ]
    close_all(shop)
    due(shop)
    assert held(shop) == in_order(billing.bdf)
    assert len(rows(shop["matriz"], "ca")) == len(billing.ca)
    assert dropped(shop) == []


def test_a_corrected_file_dropped_after_the_day_was_done_is_taken_too(shop: Shop, complete: Rows) -> None:
    wrong, right = billing_of_day(complete, planted=Plan(missing=2)), billing_of_day(complete)
    drop(shop, written(wrong.bdf), "bdf.txt")
    due(shop)
    drop(shop, written(right.bdf), "bdf.txt")
    due(shop)
    assert held(shop) == in_order(right.bdf)
    drop(shop, written(right.bdf), "again.txt")
    due(shop)
    assert dropped(shop) == []
    assert len(store(shop).files.of_day(DAY)) == 2


def test_a_dropped_file_that_is_wrong_stays_with_a_note_until_it_is_right(shop: Shop, complete: Rows) -> None:
    right = written(billing_of_day(complete).bdf)
    path = drop(shop, right[:-200], "bdf.txt")  # cut off: no trailer
    due(shop)
    assert dropped(shop) == ["bdf/bdf.txt"]
    (case,) = shop["matriz"].status().quarantine
    assert case.code == "layout-none" or case.code == "layout-records"
    assert "bdf.txt" in case.message
    times = case.times
    due(shop)
    assert shop["matriz"].status().quarantine[0].times == times  # not read again
    path.write_bytes(right)
    due(shop)
    assert dropped(shop) == []
    assert shop["matriz"].status().quarantine == ()


def test_a_half_written_file_is_left_alone_until_it_is_quiet(shop: Shop, complete: Rows) -> None:
    from filesync.sources.completeness import parse_completeness

    content = written(billing_of_day(complete).ca, CA_CSV)
    shop["matriz"].dropped.unsaid = parse_completeness("quiet 2 s")  # as in `filesync run`
    path = drop(shop, content[: len(content) // 2], "ca-20260302.csv", "ca")
    drop(shop, b"x", "ca-20260302.csv.part", "ca")
    due(shop)
    shop.clock.advance(seconds=5)
    path.write_bytes(content)
    due(shop)
    assert rows(shop["matriz"], "ca") == []
    assert waiting.again_s(shop["matriz"]) == 2.0
    shop.clock.advance(seconds=5)
    due(shop)
    assert waiting.again_s(shop["matriz"]) is None
    assert len(rows(shop["matriz"], "ca")) == len(billing_of_day(complete).ca)
    assert dropped(shop) == ["ca/ca-20260302.csv.part"]


def test_a_file_of_no_day_is_told(shop: Shop, complete: Rows) -> None:
    path = put(shop, written(billing_of_day(complete).ca, CA_CSV), "ca.csv")
    with pytest.raises(ConfigError, match="add --date") as raised:
        take(shop, path, "ca", None)
    assert raised.value.code == "day-unknown"
    drop(shop, path.read_bytes(), "ca.csv", "ca")
    due(shop)
    assert shop.network.codes("matriz") == ["day-unknown"]


# ---------------------------------------------------------------- wrong files


def test_a_file_of_another_day_is_refused(shop: Shop, complete: Rows) -> None:
    path = put(shop, written(billing_of_day(complete).bdf))
    with pytest.raises(
        RejectedError, match=r"expected a file of 2026-03-03, its header says 2026-03-02"
    ) as raised:
        take(shop, path, day=MORNING_AFTER)
    assert raised.value.code == "file-of-another-day"
    without_header = put(shop, written(billing_of_day(complete).ca, CA_CSV), "ca.csv")
    with pytest.raises(RejectedError, match="expected rows of 2026-03-01, got rows of 2026-03-02"):
        take(shop, without_header, "ca", DAY - timedelta(days=1), layout=CA_CSV)


def test_a_trailer_that_does_not_add_up_refuses_the_file_whole(shop: Shop, complete: Rows) -> None:
    lines = written(billing_of_day(complete).bdf, BDF_CSV).splitlines(keepends=True)
    with pytest.raises(WrongFileError) as raised:
        take(shop, put(shop, b"".join([*lines[:3], *lines[4:]])))
    codes = [problem.code for problem in raised.value.problems]
    assert codes == ["layout-sums", "layout-sums"]
    count = len(lines)
    assert (
        f"line {count - 1}, registros of the trailer: expected {count - 1} (the records counted), got {count}"
        in str(raised.value.problems[0].message)
    )
    assert rows(shop["matriz"], "bdf") == []
    assert not list((shop.network.root / "matriz" / "run" / "own").glob("*"))


def test_latin_1_is_read_and_utf_8_in_its_place_is_refused_or_told(shop: Shop, complete: Rows) -> None:
    billing = billing_of_day(complete)
    for row in billing.bdf:
        row["modalidade"] = "À VISTA"
    content = written(billing.bdf)
    assert "À VISTA".encode("latin-1") in content
    take(shop, put(shop, content))
    assert held(shop) == in_order(billing.bdf)
    two_bytes_each = content.decode("latin-1").encode("utf-8")
    with pytest.raises(RejectedError, match="characters, got 171"):
        take(shop, put(shop, two_bytes_each))


def test_bad_rows_are_set_aside_with_line_field_and_value_and_the_others_are_taken(
    shop: Shop, complete: Rows
) -> None:
    billing = billing_of_day(complete)
    lines = written(billing.bdf).splitlines(keepends=True)
    lines[1] = lines[1][:29] + b"03X20" + lines[1][34:]  # servico
    report = take(shop, put(shop, b"".join(lines)))
    assert (report.state, report.set_aside) == (FilingState.TAKEN, 1)
    assert report.documents == len(billing.bdf) - 1
    assert report.problems[0].message.startswith("bdf.txt, line 2, servico:")
    assert "03X20" in report.problems[0].message
    stored = store(shop).receipt_of(report.batch or "")
    assert stored is not None
    assert stored.verdict is Verdict.PARTIAL
    (name, _) = shop.network.quarantine("matriz", "matriz")
    case = shop["matriz"].status().quarantine[0]
    assert case.problems[0].row == 2
    aside = json.loads(
        (
            shop.network.root / "matriz" / "quarantine" / "matriz" / name.replace(".problem.json", "")
        ).read_text("utf-8")
    )
    assert aside["line"] == 2
    # The corrected file brings all of them, and takes the case out of quarantine.
    fixed = take(shop, put(shop, written(billing.bdf)))
    assert (fixed.set_aside, fixed.documents) == (0, len(billing.bdf))
    assert shop["matriz"].status().quarantine == ()


def test_a_row_of_another_day_inside_the_file_is_set_aside(shop: Shop, complete: Rows) -> None:
    billing = billing_of_day(complete)
    billing.bdf[0]["data"] = "2026-03-01"
    report = take(shop, put(shop, written(billing.bdf)))
    assert report.set_aside == 1
    assert "data: expected 2026-03-02, the day of the file, got 2026-03-01" in report.problems[0].message


def test_a_row_that_stands_twice_refuses_the_file_and_names_both_lines(shop: Shop, complete: Rows) -> None:
    billing = billing_of_day(complete)
    twice = [*billing.bdf, billing.bdf[0]]
    with pytest.raises(WrongFileError, match=f"lines 2 and {len(twice) + 1}") as raised:
        take(shop, put(shop, written(twice)))
    assert raised.value.code == "duplicate-key"


def test_only_the_matriz_takes_billing_files(shop: Shop, complete: Rows) -> None:
    with pytest.raises(ConfigError, match="caixa-01 is a caixa"):
        filing.take(shop["caixa-01"], Asked("bdf", put(shop, written(billing_of_day(complete).bdf)), DAY))


def test_a_file_that_changes_while_it_is_read_is_not_taken(
    shop: Shop, complete: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(shop, written(billing_of_day(complete).bdf))
    prepare = ownbatch.prepare

    def and_then_it_changes(*given: Any) -> Any:
        prepared = prepare(*given)
        path.write_bytes(written(billing_of_day(complete, planted=Plan(value=1)).bdf))
        return prepared

    monkeypatch.setattr(ownbatch, "prepare", and_then_it_changes)
    with pytest.raises(TransportError, match="written to while it was read"):
        take(shop, path)
    assert rows(shop["matriz"], "bdf") == []
    monkeypatch.undo()
    assert take(shop, path).state is FilingState.TAKEN


# ---------------------------------------------------------------- crashes


class PowerCut(BaseException):
    """The lights went out."""


def test_a_power_cut_at_every_durable_step_leaves_the_file_taken_once_or_not_at_all(
    shop: Shop, complete: Rows, tmp_path: Path
) -> None:
    """Raise at the n-th sync, rename or commit, for every n; open again, take again: one batch, all rows, no strays."""
    from filesync.writers import durable

    first, second = billing_of_day(complete, planted=Plan(value=1, extra=1)), billing_of_day(complete)
    take(shop, put(shop, written(first.bdf)))
    shop.network.close()
    content = written(second.bdf)
    steps = 0
    for cut_at in range(1, 200):
        disk = shop.network.copy_of(tmp_path / f"cut-{cut_at}")
        there = Shop(disk)
        path = put(there, content, "second.txt")
        there["matriz"]
        count = 0

        def step(original: Any, cut_at: int = cut_at) -> Any:
            def stepping(*given: Any, **more: Any) -> Any:
                nonlocal count
                count += 1
                if count == cut_at:
                    raise PowerCut
                return original(*given, **more)

            return stepping

        with pytest.MonkeyPatch.context() as patch:
            for where in ("fsync_file", "fsync_folder", "replace"):
                patch.setattr(durable, where, step(getattr(durable, where)))
            patch.setattr(SqliteStore, "_commit", step(SqliteStore._commit))
            try:
                take(there, path)
                ended = True
            except PowerCut:
                ended = False
        disk.close()
        again = take(there, path)
        assert again.state in (FilingState.TAKEN, FilingState.UNCHANGED)
        assert held(there) == in_order(second.bdf)
        files = store(there).files.of_day(DAY)
        assert [file.superseded_by is None for file in files] == [False, True]
        archive = disk.root / "matriz" / "archive" / "2026" / "03" / "02"
        assert len(list(archive.glob("bdf.matriz.matriz.*.manifest.json"))) == 2
        assert len(list(archive.glob("bdf.matriz.matriz.*.original.txt"))) == 2
        assert len(list(archive.glob("bdf.matriz.matriz.*.receipt.json"))) == 2
        assert not [path for path in (disk.root / "matriz" / "run" / "own").glob("*") if path.is_file()]
        disk.close()
        if ended:
            steps = cut_at
            break
    assert steps > 10


# ---------------------------------------------------------------- --check


def check(shop: Shop, path: Path, dataset: str = "bdf", **more: Any) -> preflight.CheckReport:
    return preflight.check(shop["matriz"].context, Asked(dataset, path, DAY, **more))


def test_a_check_says_everything_about_a_good_file_and_takes_nothing(shop: Shop, sold: Rows) -> None:
    shop.turn()
    billing = billing_of_day(sold)
    report = check(shop, put(shop, written(billing.bdf)))
    assert report.good
    assert (report.layout, report.details, report.documents) == (BDF, len(billing.bdf), len(billing.bdf))
    assert report.totals["valor_cobrado_centavos"] == sum(
        row["valor_cobrado_centavos"] for row in billing.bdf
    )
    assert {said.name: said.right for said in report.said} == {
        "arquivo": True, "data": None, "unidade": None, "linhas": True, "valor": True
    }  # fmt: skip
    assert set(report.sites) == {"caixa-01", "posto-centro"}
    assert sum(report.sites.values()) == sum(report.units.values()) == len(billing.bdf)
    assert (report.unsold, report.repeated_codes) == (0, 0)
    assert report.gate is not None  # nobody has closed
    assert rows(shop["matriz"], "bdf") == []
    assert dropped(shop) == []


def test_a_check_names_what_was_billed_and_not_sold_and_what_is_billed_twice(
    shop: Shop, complete: Rows
) -> None:
    billing = billing_of_day(complete, planted=Plan(extra=2, no_code=1))
    billing.bdf.append({**billing.bdf[0], "sequencia": 99})
    report = check(shop, put(shop, written(billing.bdf)))
    assert report.unsold == 2
    assert {row.codigo_rastreio for row in report.unsold_examples} == {
        planted.codigo_rastreio for planted in billing.planted if planted.sold_centavos is None
    }
    assert report.repeated_examples == (billing.bdf[0]["codigo_rastreio"],)
    assert report.gate is None


def test_a_check_of_a_wrong_file_is_no_error_but_an_answer(shop: Shop, complete: Rows) -> None:
    lines = written(billing_of_day(complete).bdf).splitlines(keepends=True)
    lines[2] = lines[2][:73] + b"          1X3" + lines[2][86:]
    del lines[3]
    report = check(shop, put(shop, b"".join(lines)))
    assert [problem.code for problem in report.wrong] == ["layout-sums", "layout-sums"]
    assert report.set_aside == 1
    assert report.problems[0].message == (
        "bdf.txt, line 3, valor_cobrado_centavos (positions 74-86): expected digits, the last 2 of them decimals, got '1X3'"
    )


def test_a_check_says_what_the_file_would_replace(shop: Shop, complete: Rows) -> None:
    path = put(shop, written(billing_of_day(complete).bdf))
    first = take(shop, path)
    again = check(shop, path)
    assert again.counts_already is not None
    assert again.counts_already.batch == first.batch
    other = check(shop, put(shop, written(billing_of_day(complete, planted=Plan(value=1)).bdf)))
    assert other.supersedes is not None
    assert other.supersedes.batch == first.batch
