"""The merge rules: which of two contents of a key stands, told by examples, and compared with a small model of them on anything."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import (
    EPOCH,
    FEED,
    OTHER_EPOCH,
    contract,
    document,
    flat,
    held,
    incoming,
    name,
)

from filesync.contracts import Contract
from filesync.protocol.identity import Feed
from filesync.stores import tables, values
from filesync.stores.values import KeyExistsError, MergeReport, RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

CONTRACT = contract()
UNVERSIONED = contract(versao=False)
GROUP = Feed("caixa-01", "sales", "todos")


@pytest.fixture(autouse=True, params=[1, tables.RUN_BYTES_MAX], ids=["short", "long"])
def run_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule holds however the stage is filled."""
    monkeypatch.setattr(tables, "RUN_BYTES_MAX", request.param)


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def apply(
    store: Store,
    *chunks: list[dict[str, Any]],
    epoch: str = EPOCH,
    feed: Feed = FEED,
    made: Contract = CONTRACT,
    seq: int | None = None,
) -> MergeReport:
    """A batch as a station applies it: appended, or merged where a key is there already."""
    with store.transaction() as tx:
        batch_id = tx.next_batch_id()
        point = tx.savepoint()
        tx.ensure_tables(made)
        try:
            for chunk in chunks:
                tx.append(made, flat(made, chunk), batch_id)
            report = MergeReport(applied=sum(map(len, chunks)))
        except KeyExistsError:
            tx.rollback_to(point)
            tx.ensure_tables(made)
            report = tx.merge(made, (flat(made, chunk) for chunk in chunks), batch_id, RowOrder(feed, epoch))
        tx.record_incoming([incoming(batch_id, name(seq or batch_id, feed=feed, epoch=epoch))])
    return report


def counts(report: MergeReport) -> tuple[int, int, int, int]:
    return report.applied, report.unchanged, report.superseded, report.conflict_count


def test_later_content_of_the_same_feed_replaces_the_document_with_all_its_lines(store: Store) -> None:
    apply(store, [document(1), document(2)])
    changed = document(1, valor_centavos=7, itens=[{"numero": 2, "produto": "novo"}, {"numero": 3}])
    del changed["formas"]
    assert counts(apply(store, [changed, document(3)])) == (2, 0, 0, 0)
    assert held(store, CONTRACT) == [changed, document(2), document(3)]


def test_documents_that_leave_a_day_are_told_by_day_and_remembered(store: Store) -> None:
    """Also those that would have left if they were later: who counts the day finds out."""
    moved = "2026-03-03"
    assert apply(store, [document(n) for n in range(5)]).left == ()
    held_day = date.fromisoformat(document(0)["dia"])
    report = apply(
        store, [document(1, dia=moved), document(2, dia=moved), document(3, valor_centavos=9), document(9)]
    )
    assert report.left == ((document(0)["origem"], held_day, 2),)
    assert apply(store, [document(1, dia=moved)]).left == ()
    site, day, count = report.left[0]
    store.days.record_left(day, "2026-03-03T08:00:00-03:00", site, "sales", "a-batch", 7, count)
    assert store.days.left(held_day, "sales") == {site: 7}
    assert store.days.left(held_day, "bdf") == {}


@pytest.mark.parametrize("epoch", [EPOCH, OTHER_EPOCH])
def test_the_greater_version_wins_whenever_it_comes_and_a_missing_one_is_0(store: Store, epoch: str) -> None:
    apply(store, [document(1, versao=2), document(2), document(3, versao=1)])
    report = apply(
        store,
        [
            document(1, versao=1, valor_centavos=1),
            document(2, versao=1, valor_centavos=2),
            document(3, valor_centavos=3),
        ],
        epoch=epoch,
    )
    assert counts(report) == (1, 0, 2, 0)
    assert report.superseded_rows.to_pylist() == [0, 2]
    assert held(store, CONTRACT) == [
        document(1, versao=2),
        document(2, versao=1, valor_centavos=2),
        document(3, versao=1),
    ]


@pytest.mark.parametrize(("epoch", "feed"), [(OTHER_EPOCH, FEED), (EPOCH, GROUP)])
def test_other_content_from_elsewhere_without_a_greater_version_is_a_conflict(
    store: Store, epoch: str, feed: Feed
) -> None:
    apply(store, [document(n) for n in range(1, 6)])
    differing = [
        document(1),
        document(2, valor_centavos=2),
        document(3, itens=[*document(3)["itens"], {"numero": 3}]),
        document(4, itens=document(4)["itens"][:1]),
        document(5, formas=[{"numero": 1, "forma": "01"}]),
        document(6),
    ]
    report = apply(store, differing[:4], differing[4:], epoch=epoch, feed=feed)
    assert counts(report) == (1, 1, 0, 4)
    assert report.conflicts == tuple(("caixa-01", str(n)) for n in range(2, 6))
    assert report.conflict_rows.to_pylist() == [1, 2, 3, 4]
    assert held(store, CONTRACT) == [document(n) for n in range(1, 7)]


def test_a_column_that_is_null_equals_null_and_differs_from_a_value(store: Store) -> None:
    apply(store, [document(1), document(2, nota="x"), document(3)])
    report = apply(store, [document(1), document(2), document(3, nota="x")], epoch=OTHER_EPOCH)
    assert (report.unchanged, report.conflict_rows.to_pylist()) == (1, [1, 2])


def test_unchanged_content_of_a_new_epoch_belongs_to_it_from_then_on(store: Store) -> None:
    """A reinstalled till seals everything again; its next change of a sale must not be a conflict with its own past."""
    apply(store, [document(1), document(2)], made=UNVERSIONED)
    assert counts(apply(store, [document(1), document(2)], epoch=OTHER_EPOCH, made=UNVERSIONED)) == (
        0,
        2,
        0,
        0,
    )
    assert counts(apply(store, [document(1, nota="n")], epoch=OTHER_EPOCH, made=UNVERSIONED)) == (1, 0, 0, 0)
    assert counts(apply(store, [document(2, nota="n")], epoch=EPOCH, made=UNVERSIONED)) == (0, 0, 0, 1)
    assert held(store, UNVERSIONED) == [document(1, nota="n"), document(2)]


def test_unchanged_content_of_another_feed_leaves_the_row_where_it_belongs(store: Store) -> None:
    apply(store, [document(1)], made=UNVERSIONED)
    assert counts(apply(store, [document(1)], feed=GROUP, made=UNVERSIONED)) == (0, 1, 0, 0)
    assert counts(apply(store, [document(1, nota="n")], made=UNVERSIONED)) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("first", "batch", "repeated"),
    [
        ([1], [2, 1, 2], [2]),  # new
        ([1], [1, 3, 1], [2]),  # held, and winning
        ([1], [1, 1, 1], [1, 2]),
    ],
)
def test_a_key_twice_in_a_batch_applies_nothing_and_is_told(
    store: Store, first: list[int], batch: list[int], repeated: list[int]
) -> None:
    apply(store, [document(n) for n in first])
    report = apply(store, [document(n, valor_centavos=place) for place, n in enumerate(batch)])
    assert report.duplicate_rows.to_pylist() == repeated
    assert report.duplicate_count == len(repeated)
    assert report.duplicates == tuple(("caixa-01", str(batch[row])) for row in repeated)
    assert counts(report) == (0, 0, 0, 0)
    assert held(store, CONTRACT) == [document(n) for n in first]


@pytest.mark.parametrize("versions", [(1, 1), (1, 9), (9, 1), (5, 5)])
def test_a_key_twice_is_told_whether_it_wins_or_loses(store: Store, versions: tuple[int, int]) -> None:
    apply(store, [document(1, versao=5)])
    report = apply(
        store,
        [document(1, versao=versions[0])],
        [document(2), document(1, versao=versions[1], nota="x")],
        epoch=OTHER_EPOCH,
    )
    assert report.duplicate_rows.to_pylist() == [2]
    assert held(store, CONTRACT) == [document(1, versao=5)]


def test_a_key_twice_across_chunks_of_an_append_is_told(store: Store) -> None:
    assert apply(store, [document(1)], [document(2), document(1)]).duplicate_rows.to_pylist() == [2]
    assert held(store, CONTRACT) == []


def test_reports_name_a_hundred_and_count_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(store, [document(n) for n in range(300)])
    report = apply(store, [document(n, nota="x") for n in range(300)], epoch=OTHER_EPOCH)
    assert (report.conflict_count, len(report.conflicts), len(report.conflict_rows)) == (
        300,
        values.NAMED_KEYS_MAX,
        300,
    )
    report = apply(store, [document(n) for n in range(150)], [document(n) for n in range(150)])
    assert (report.duplicate_count, len(report.duplicates)) == (150, values.NAMED_KEYS_MAX)


def test_a_merge_that_is_rolled_back_leaves_nothing_and_can_be_tried_again(store: Store) -> None:
    apply(store, [document(1)])
    with store.transaction() as tx:
        batch_id = tx.next_batch_id()
        point = tx.savepoint()
        for value in (5, 6):
            changed = [flat(CONTRACT, [document(1, valor_centavos=value), document(2)])]
            assert tx.merge(CONTRACT, changed, batch_id, RowOrder(FEED, EPOCH)).applied == 2
            tx.rollback_to(point)
    assert held(store, CONTRACT) == [document(1)]


def test_a_reader_that_fails_in_the_middle_of_a_merge_leaves_nothing(store: Store) -> None:
    def chunks() -> Iterator[Any]:
        yield flat(CONTRACT, [document(1, nota="x"), document(2)])
        raise ValueError("damaged in the middle")

    apply(store, [document(1)])
    with pytest.raises(ValueError, match="damaged"), store.transaction() as tx:
        tx.merge(CONTRACT, chunks(), tx.next_batch_id(), RowOrder(FEED, EPOCH))
    assert held(store, CONTRACT) == [document(1)]
    assert apply(store, [document(1, nota="y")]).applied == 1


def test_a_merge_asks_for_the_batches_before_it_to_be_recorded(store: Store) -> None:
    with store.transaction() as tx:
        tx.ensure_tables(CONTRACT)
        first, second = tx.next_batch_id(), tx.next_batch_id()
        tx.append(CONTRACT, flat(CONTRACT, [document(1)]), first)
        stage = [flat(CONTRACT, [document(1, nota="x")])]
        with pytest.raises(RuntimeError, match="record"):
            tx.merge(CONTRACT, stage, second, RowOrder(FEED, EPOCH))
        tx.record_incoming([incoming(first, name(1))])
        assert tx.merge(CONTRACT, stage, second, RowOrder(FEED, EPOCH)).applied == 1


# ---------------------------------------------------------------------------------------------------- snapshots


def snapshot(
    store: Store, documents: list[dict[str, Any]], *, epoch: str = EPOCH, origem: str = "caixa-01"
) -> int:
    with store.transaction() as tx:
        batch_id = tx.next_batch_id()
        point = tx.savepoint()
        tx.ensure_tables(CONTRACT)
        try:
            tx.append(CONTRACT, flat(CONTRACT, documents), batch_id)
        except KeyExistsError:
            tx.rollback_to(point)
            tx.ensure_tables(CONTRACT)
            tx.merge(CONTRACT, [flat(CONTRACT, documents)], batch_id, RowOrder(FEED, epoch))
        absent = tx.deactivate_absent(CONTRACT, batch_id, origem)
        tx.record_incoming([incoming(batch_id, name(batch_id, epoch=epoch))])
    return absent


def active(store: Store) -> dict[str, bool]:
    return {one["id"]: one["ativo"] for one in held(store, CONTRACT)}


def test_a_snapshot_marks_absent_rows_of_its_origin_inactive_and_only_those(store: Store) -> None:
    apply(store, [document(1), document(2), document(3, ativo=False), document(9, origem="posto-01")])
    assert snapshot(store, [document(1, nota="n"), document(4)]) == 1
    assert active(store) == {"1": True, "2": False, "3": False, "4": True, "9": True}
    assert snapshot(store, [document(1), document(2), document(4)]) == 0
    assert active(store)["2"] is True


def test_a_snapshot_of_only_new_rows_marks_all_others_inactive(store: Store) -> None:
    apply(store, [document(1), document(2)])
    assert snapshot(store, [document(3)]) == 2
    assert snapshot(store, []) == 1
    assert active(store) == {"1": False, "2": False, "3": False}


def test_a_row_that_lost_against_the_held_one_is_not_absent(store: Store) -> None:
    apply(store, [document(1, versao=3), document(2), document(3), document(4)])
    assert (
        snapshot(store, [document(1, versao=1), document(2, nota="other"), document(3)], epoch=OTHER_EPOCH)
        == 1
    )
    assert active(store) == {"1": True, "2": True, "3": True, "4": False}
    # What an earlier merge kept says nothing about a later snapshot.
    assert snapshot(store, [document(7)], epoch=OTHER_EPOCH) == 3


def test_a_contract_without_an_active_column_has_no_snapshots(store: Store) -> None:
    from filesync.contracts import Registry

    sales = Registry.packaged().latest("vendas")
    assert sales is not None
    with pytest.raises(ValueError, match="active column"), store.transaction() as tx:
        tx.deactivate_absent(sales, tx.next_batch_id(), "caixa-01")


# ---------------------------------------------------------------------------------------------------- rows in time

DATED = Contract.from_schema(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["origem", "codigo", "desde", "ativo"],
        "properties": {
            "origem": {"type": "string"}, "codigo": {"type": "string"}, "desde": {"type": "string", "format": "date"},
            "versao": {"type": "integer"}, "ativo": {"type": "boolean"},
            "faixas": {
                "type": "array",
                "items": {
                    "type": "object", "additionalProperties": False, "required": ["numero"], "properties": {"numero": {"type": "integer"}},
                },
            },
        },
        "x-filesync": {
            "dataset": "precos", "version": 1, "key": ["origem", "codigo", "desde"], "lines": {"faixas": ["numero"]}, "active": "ativo",
            "valid_from": "desde", "version_column": "versao",
        },
    }
)  # fmt: skip
TODAY = date(2026, 3, 10)


def priced(code: str, day: int, **more: Any) -> dict[str, Any]:
    return {
        "origem": "matriz", "codigo": code, "desde": f"2026-03-{day:02d}", "ativo": True, "faixas": [{"numero": day}], **more,
    }  # fmt: skip


def prices_of(
    store: Store, documents: list[dict[str, Any]], *, epoch: str = EPOCH, day: date = TODAY
) -> dict[tuple[str, int], bool]:
    """Apply a snapshot; what is held then."""
    with store.transaction() as tx:
        batch_id = tx.next_batch_id()
        point = tx.savepoint()
        tx.ensure_tables(DATED)
        try:
            tx.append(DATED, flat(DATED, documents), batch_id)
        except KeyExistsError:
            tx.rollback_to(point)
            tx.ensure_tables(DATED)
            tx.merge(DATED, [flat(DATED, documents)], batch_id, RowOrder(FEED, epoch))
        tx.deactivate_absent(DATED, batch_id, "matriz", day)
        tx.record_incoming([incoming(batch_id, name(batch_id, epoch=epoch))])
    rows = held(store, DATED)
    assert all(row["faixas"] == [{"numero": int(row["desde"][-2:])}] for row in rows)
    return {(row["codigo"], int(row["desde"][-2:])): row["ativo"] for row in rows}


def test_a_snapshot_leaves_earlier_rows_and_takes_back_announced_ones(store: Store) -> None:
    assert prices_of(store, [priced("a", 1), priced("a", 20), priced("b", 1), priced("b", 5)]) == {
        ("a", 1): True, ("a", 20): True, ("b", 1): True, ("b", 5): True,
    }  # fmt: skip
    found = prices_of(store, [priced("a", 1), priced("b", 25)])
    assert found == {("a", 1): True, ("b", 1): True, ("b", 5): True, ("b", 25): True}, (
        "a's 20th was taken back"
    )
    found = prices_of(store, [priced("b", 1)])
    assert found == {("a", 1): False, ("b", 1): True}, (
        "a is gone; of b the 1st holds again, so neither 5th nor 25th"
    )
    assert prices_of(store, [priced("a", 12, ativo=False)]) == {
        ("a", 1): False, ("a", 12): False, ("b", 1): False,
    }  # fmt: skip


def test_rows_that_lost_against_the_held_ones_are_not_taken_back(store: Store) -> None:
    prices_of(store, [priced("a", 1), priced("a", 20, versao=3), priced("a", 22)])
    found = prices_of(store, [priced("a", 1), priced("a", 20, versao=1)], epoch=OTHER_EPOCH)
    assert found == {("a", 1): True, ("a", 20): True}


_rows_in_time = st.lists(
    st.builds(priced, st.sampled_from("ab"), st.integers(1, 20), ativo=st.booleans()),
    unique_by=lambda row: (row["codigo"], row["desde"]),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=_rows_in_time, after=_rows_in_time)
def test_after_a_snapshot_every_later_day_is_as_the_snapshot_says(
    home: Home, before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    with home.again() as store:
        prices_of(store, before)
        prices_of(store, after)
        for day in range(TODAY.day, 22):
            when = date(2026, 3, day)
            said = current(after, day)
            gone = {row["codigo"] for row in before} - {row["codigo"] for row in after}
            earlier = current(before, TODAY.day)
            shown = {
                row["codigo"]: row["desde"]
                for part in store.cadastros.documents(DATED, when)
                for row in DATED.documents(part)
            }
            for code in "ab":
                if code in said:  # the snapshot has a row that has begun by then
                    assert shown.get(code) == (said[code]["desde"] if said[code]["ativo"] else None)
                elif code in gone:
                    assert code not in shown
                elif code in earlier and not any(
                    row["codigo"] == code for row in after if row["desde"] <= when.isoformat()
                ):
                    assert shown.get(code) == (earlier[code]["desde"] if earlier[code]["ativo"] else None)
            counts = store.cadastros.counts(DATED, when)
            assert counts.active == len(shown)


def current(documents: list[dict[str, Any]], day: int) -> dict[str, dict[str, Any]]:
    """Of each code the row that began last."""
    begun = [row for row in documents if int(row["desde"][-2:]) <= day]
    return {row["codigo"]: row for row in sorted(begun, key=lambda row: str(row["desde"]))}


# ---------------------------------------------------------------------------------------------------- anything

_lines = st.lists(st.sampled_from([1, 2, 3]), unique=True, max_size=2).map(sorted)
_documents = st.builds(
    lambda key, versao, nota, lines: {
        "origem": "caixa-01", "id": key, "dia": "2026-03-02", "ativo": True, **({} if versao is None else {"versao": versao}),
        **({} if nota is None else {"nota": nota}), **({} if not lines else {"itens": [{"numero": n} for n in lines]}),
    },
    st.sampled_from("abcd"), st.none() | st.integers(0, 2), st.none() | st.just("x"), _lines,
)  # fmt: skip
_batches = st.tuples(
    st.sampled_from([(FEED, EPOCH), (FEED, OTHER_EPOCH), (GROUP, EPOCH)]),
    st.lists(_documents, max_size=4),
    st.integers(0, 4),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(_batches, max_size=6), versioned=st.booleans())
def test_any_batches_in_any_order_end_as_the_rules_say(
    home: Home, batches: list[Any], versioned: bool
) -> None:
    _by_the_rules(home, batches, versioned)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(_batches, max_size=10), versioned=st.booleans())
def test_many_batches_in_any_order_end_as_the_rules_say(
    home: Home, batches: list[Any], versioned: bool
) -> None:
    _by_the_rules(home, batches, versioned)


def _by_the_rules(home: Home, batches: list[Any], versioned: bool) -> None:
    made = CONTRACT if versioned else UNVERSIONED
    model: dict[str, tuple[dict[str, Any], tuple[Feed, str]]] = {}
    with home.again() as store:
        for seq, ((feed, epoch), documents, cut) in enumerate(batches, 1):
            given_documents = (
                documents
                if versioned
                else [{k: v for k, v in one.items() if k != "versao"} for one in documents]
            )
            report = apply(
                store,
                given_documents[:cut],
                given_documents[cut:],
                feed=feed,
                epoch=epoch,
                made=made,
                seq=seq,
            )
            expected = _model(model, given_documents, (feed, epoch))
            assert (*counts(report), report.duplicate_count) == expected
            assert held(store, made) == [model[key][0] for key in sorted(model)]


def _model(
    model: dict[str, tuple[dict[str, Any], tuple[Feed, str]]],
    documents: list[dict[str, Any]],
    source: tuple[Feed, str],
) -> tuple[int, int, int, int, int]:
    """The rules of merge.py, one document at a time."""
    keys = [one["id"] for one in documents]
    if len(set(keys)) < len(keys):
        return 0, 0, 0, 0, len(keys) - len(set(keys))
    applied = unchanged = superseded = conflicts = 0
    for one in documents:
        there = model.get(one["id"])
        new, old = one.get("versao", 0), there[0].get("versao", 0) if there else 0
        if there is None or new > old or (new == old and there[1] == source):
            model[one["id"]] = one, source
            applied += 1
        elif new < old:
            superseded += 1
        elif one == there[0]:
            unchanged += 1
            if there[1][0] == source[0]:
                model[one["id"]] = there[0], source
        else:
            conflicts += 1
    return applied, unchanged, superseded, conflicts, 0


def test_a_batch_of_many_chunks_is_merged_whole(store: Store, home: Home) -> None:
    apply(store, [document(n) for n in range(2000)])
    chunks = [[document(n, nota="n") for n in range(start, start + 250)] for start in range(1000, 3000, 250)]
    assert counts(apply(store, *chunks)) == (2000, 0, 0, 0)
    assert home.ask("select count(*), count(nota) from sales") == [(3000, 2000)]
    assert home.ask("select fs_batch, count(*) from sales_itens group by 1 order by 1") == [
        (1, 2000),
        (2, 4000),
    ]
