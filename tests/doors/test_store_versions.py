"""Tables of several versions of a contract: they grow by columns of every type, and rows of all versions meet in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from store_samples import EPOCH, FEED, contract, document, flat, held, incoming, name

from filesync.contracts import Contract, added, breaks
from filesync.protocol.identity import Mode
from filesync.stores import tables
from filesync.stores.values import RowOrder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store_engines import Home

    from filesync.stores.store import Store

_LINE = {"type": "object", "additionalProperties": False, "required": ["numero"]}
V1 = contract()


def second() -> Contract:
    """A text, a date, a boolean, an integer, a member of a line, and lines of another kind."""
    made = contract(
        version=2, canal={"type": "string"}, entrega={"type": "string", "format": "date"}, presente={"type": "boolean"}, frete={"type": "integer"}
    )  # fmt: skip
    schema: Any = made.schema
    schema["properties"]["itens"]["items"]["properties"]["lote"] = {"type": "string"}
    schema["properties"]["volumes"] = {
        "type": "array", "items": {**_LINE, "properties": {"numero": {"type": "integer"}, "fragil": {"type": "boolean"}}}
    }  # fmt: skip
    schema["x-filesync"]["lines"]["volumes"] = ["numero"]
    return Contract.from_schema(schema)


V2 = second()
NEW: dict[str, Any] = {
    "canal": "web", "entrega": "2026-03-09", "presente": False, "frete": 2**53, "volumes": [{"numero": 1, "fragil": True}, {"numero": 2}]
}  # fmt: skip


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


class Feeding:
    """Batches of one feed, each in its own version, stored in the form of the newest: as exchange/applying.py does it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seq = 0

    def take(self, version: Contract, documents: list[dict[str, Any]], *, snapshot: bool = False) -> None:
        self.seq += 1
        given, problems, _ = version.from_documents(documents)
        assert not problems
        with self.store.transaction() as tx:
            batch_id = tx.next_batch_id()
            tx.ensure_tables(V2)
            rows = V2.flatten(V2.conform(given))
            report = tx.merge(V2, iter([rows]), batch_id, RowOrder(FEED, EPOCH))
            assert report.duplicate_count + report.conflict_count == 0
            if snapshot:
                tx.deactivate_absent(V2, batch_id, "caixa-01")
            mode = Mode.SNAPSHOT if snapshot else Mode.DELTA
            tx.record_incoming([incoming(batch_id, name(self.seq), version=version.version, mode=mode)])


def append(store: Store, made: Contract, documents: list[dict[str, Any]]) -> None:
    with store.transaction() as tx:
        tx.ensure_tables(made)
        tx.append(made, flat(made, documents), tx.next_batch_id())


def test_the_versions_of_this_test_stand_beside_each_other() -> None:
    assert breaks(V2, V1) == []
    assert added(V2, V1) == ("canal", "entrega", "presente", "frete", "itens.lote", "volumes")


def test_what_is_held_is_read_in_the_newest_form_as_soon_as_the_tables_have_grown(store: Store) -> None:
    old = [document(1), document(2)]
    append(store, V1, old)
    assert tables.lacks(store._db, V2)
    store.grow([V2])
    assert not tables.lacks(store._db, V2)
    assert held(store, V2) == held(store, V1) == old
    newer = document(3, **NEW)
    newer["itens"][0]["lote"] = "L1"
    append(store, V2, [newer])
    assert held(store, V2) == [*old, newer]
    without = document(3)
    assert held(store, V1) == [*old, without]
    store.grow([V2, V1])
    assert held(store, V2) == [*old, newer], "again is harmless, and nothing ever shrinks"


def test_tables_that_nobody_needed_yet_are_not_made(store: Store) -> None:
    store.grow([V2])
    assert not tables.lacks(store._db, V2)
    assert not tables.lacks(store._db, V1)
    assert held(store, V2) == []
    append(store, V2, [document(1, **NEW)])
    assert held(store, V2) == [document(1, **NEW)]
    assert held(store, V1) == [document(1)]


def test_rows_of_all_versions_meet_in_one_table(store: Store) -> None:
    """The last word of the feed counts, whichever version it was said in, and it counts whole."""
    feeding = Feeding(store)
    feeding.take(V1, [document(1), document(2)])
    feeding.take(V2, [document(2, **NEW), document(3, **NEW)])
    assert held(store, V2) == [document(1), document(2, **NEW), document(3, **NEW)]
    feeding.take(V1, [document(2, nota="changed"), document(4)])
    assert held(store, V2) == [document(1), document(2, nota="changed"), document(3, **NEW), document(4)]
    feeding.take(V2, [document(1, canal="loja")])
    feeding.take(V1, [document(3, versao=2)])
    feeding.take(V2, [document(3, versao=1, **NEW)])
    assert held(store, V2) == [
        document(1, canal="loja"),
        document(2, nota="changed"),
        document(3, versao=2),
        document(4),
    ]
    lines = store._db.select("SELECT count(*) FROM sales_volumes")[0][0]
    assert lines == 0, "the lines of a kind that the older version does not know are gone with their document"


def test_a_snapshot_of_the_older_version_deactivates_rows_of_the_newer(store: Store) -> None:
    feeding = Feeding(store)
    feeding.take(V2, [document(1, **NEW), document(2, **NEW), document(3, **NEW)], snapshot=True)
    feeding.take(V1, [document(1), document(3)], snapshot=True)
    assert held(store, V2) == [document(1), document(2, ativo=False, **NEW), document(3)]
