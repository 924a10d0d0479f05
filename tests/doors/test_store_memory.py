"""The memory of what was sealed: nothing is forgotten, nothing that changed is taken for known, whatever the digests look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import AT, MATRIZ, digests, name, outgoing

from filesync.protocol.identity import Feed
from filesync.protocol.receipt import Verdict
from filesync.stores import digests as digests_module
from filesync.stores import memory
from filesync.stores.digests import Digests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store_engines import Home

    from filesync.stores.store import Store

OWN = Feed("matriz", "produtos", "caixas")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with home.create() as made:
        yield made


def seal(
    store: Store,
    seq: int,
    entries: list[tuple[bytes, bytes]],
    *,
    feed: Feed = OWN,
    replaces: str | None = None,
    forget: bool = False,
) -> str:
    batch = name(seq, feed=feed, epoch=MATRIZ.epoch)
    store.record_sealed(
        [outgoing(batch, ["caixa-01", "caixa-02"], digests=digests(entries), replaces=replaces)],
        forget_others=forget,
    )
    return batch.stem


def asked(store: Store, entries: list[tuple[bytes, bytes]], feed: Feed = OWN) -> dict[int, str | None]:
    found = store.unsealed(feed.dataset, feed.audience, digests(entries))
    assert found.schema.equals(pa.schema([("row", pa.int64()), ("owed_batch", pa.string())]))
    return dict(zip(found["row"].to_pylist(), found["owed_batch"].to_pylist(), strict=True))


def key(number: int) -> bytes:
    return number.to_bytes(8, "big") * 2


def test_new_and_changed_documents_are_unsealed_and_known_ones_are_not(store: Store) -> None:
    assert asked(store, [(key(1), key(1)), (key(2), key(2))]) == {0: None, 1: None}
    seal(store, 1, [(key(1), key(1)), (key(2), key(2))])
    assert asked(store, [(key(1), key(1)), (key(2), key(9)), (key(3), key(3)), (key(2), key(2))]) == {
        1: None,
        2: None,
    }
    seal(store, 2, [(key(2), key(9))])
    assert asked(store, [(key(1), key(1)), (key(2), key(9)), (key(2), key(2))]) == {2: None}
    assert asked(store, []) == {}


def test_datasets_and_audiences_remember_apart(store: Store) -> None:
    seal(store, 1, [(key(1), key(1))])
    for other in (Feed("matriz", "produtos", "caixa-01"), Feed("matriz", "clientes", "caixas")):
        assert asked(store, [(key(1), key(1))], other) == {0: None}
        seal(store, 1, [(key(1), key(2))], feed=other)
    assert asked(store, [(key(1), key(1))]) == {}


def test_a_snapshot_forgets_what_it_does_not_hold(store: Store) -> None:
    seal(store, 1, [(key(1), key(1)), (key(2), key(2))])
    seal(store, 2, [(key(2), key(2))], forget=True)
    assert asked(store, [(key(1), key(1)), (key(2), key(2))]) == {0: None}
    seal(store, 3, [], forget=True)
    assert asked(store, [(key(2), key(2))]) == {0: None}


def test_documents_of_a_rejected_batch_are_owed_once_something_changed(store: Store) -> None:
    entries = [(key(n), key(n)) for n in range(4)]
    first = seal(store, 1, entries[:3])
    seal(store, 2, entries[3:])
    store.settle(
        [(first, "caixa-01", Verdict.APPLIED, "{}", AT), (first, "caixa-02", Verdict.REJECTED, "{}", AT)]
    )
    # The same again would only be rejected again; a new document goes its own way.
    assert asked(store, [*entries, (key(9), key(9))]) == {4: None}
    changed = [entries[0], (key(1), key(77)), *entries[2:]]
    assert asked(store, changed) == {0: first, 1: first, 2: first}
    # Captured in two parts: the second must not lose what the first did not know to be owed.
    assert asked(store, changed[:1]) == {}
    second = seal(store, 3, changed[1:2], replaces=first)
    assert asked(store, changed) == {0: first, 2: first}
    assert asked(store, changed[:1]) == {0: first}
    third = seal(store, 4, [changed[0], changed[2]], replaces=first)
    assert asked(store, changed) == {}
    store.settle([(batch, "caixa-01", Verdict.REJECTED, "{}", AT) for batch in (second, third)])
    assert asked(store, changed) == {}
    assert asked(store, [(key(0), key(5)), (key(1), key(5))]) == {0: third, 1: second}


def test_a_partly_applied_batch_owes_nothing_until_its_documents_change(store: Store) -> None:
    first = seal(store, 1, [(key(1), key(1)), (key(2), key(2))])
    store.settle([(first, "caixa-01", Verdict.PARTIAL, "{}", AT)])
    assert asked(store, [(key(1), key(1)), (key(2), key(3))]) == {1: None}


def test_keys_that_share_their_first_words_are_told_apart(store: Store) -> None:
    same = b"\x12\x34\x56\x78\x9a\xbc\xde\xf0"
    entries = [(same + n.to_bytes(8, "big"), key(n)) for n in (5, 1, 9, 3)]
    seal(store, 1, entries)
    seal(store, 2, [(same + (7).to_bytes(8, "big"), key(7)), (entries[1][0], key(100))])
    questions = [*entries, (same + (7).to_bytes(8, "big"), key(7)), (same + (8).to_bytes(8, "big"), key(8))]
    assert asked(store, questions) == {1: None, 5: None}


_digest = st.binary(min_size=16, max_size=16) | st.sampled_from(
    [b"\0" * 16, b"\xff" * 16, b"\0" * 8 + b"\xff" * 8, b"\xff" * 8 + b"\0" * 8]
)
_entries = st.lists(
    st.tuples(_digest, st.sampled_from([b"a" * 16, b"b" * 16])), unique_by=lambda entry: entry[0], max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=st.lists(st.tuples(_entries, _entries, st.booleans()), max_size=4),
    size=st.sampled_from([1, 2, 3, 1 << 20]),
    named=st.sampled_from([0, 4096]),
)
def test_it_answers_like_a_dictionary(
    home: Home, rounds: list[tuple[list[tuple[bytes, bytes]], ...]], size: int, named: int
) -> None:
    model: dict[bytes, bytes] = {}
    with pytest.MonkeyPatch.context() as patch, home.again() as store:
        patch.setattr(digests_module, "_RUN_ROWS", size)
        patch.setattr(memory, "_AT_ONCE_MAX", named)
        for seq, (sealed, questions, forget) in enumerate(rounds, 1):
            seal(store, seq, sealed, forget=bool(forget))
            if forget:
                model.clear()
            model.update(sealed)
            mixed = [*questions, *sealed[::2], *list(model.items())[:3]]
            assert asked(store, mixed).keys() == {
                row for row, (k, content) in enumerate(mixed) if model.get(k) != content
            }


def test_many_documents_in_many_chunks(store: Store) -> None:
    rng = np.random.default_rng(7)
    raw = [(rng.bytes(16), rng.bytes(16)) for _ in range(30_000)]
    whole = digests(raw)
    chunked = pa.concat_tables([whole.slice(start, 7_000) for start in range(0, 30_000, 7_000)])
    batch = name(1, feed=OWN, epoch=MATRIZ.epoch)
    store.record_sealed([outgoing(batch, digests=chunked.select(["key_digest", "content_digest"]))])
    assert asked(store, raw) == {}
    assert asked(store, raw[10_000:10_050]) == {}
    found = store.unsealed("produtos", "caixas", chunked.set_column(1, "content_digest", whole["key_digest"]))
    assert sorted(found["row"].to_pylist()) == list(range(30_000))


@pytest.mark.parametrize("run_rows", [500, 1 << 20])
def test_digests_are_gathered_in_bounded_memory(
    store: Store, run_rows: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(digests_module, "_RUN_ROWS", run_rows)
    rng = np.random.default_rng(7)
    raw = [(rng.bytes(16), rng.bytes(16)) for _ in range(6_000)]
    gathered = Digests(tmp_path)
    for start in range(0, 6_000, 300):
        gathered.add(digests(raw[start : start + 300]))
    gathered.add(digests([]))
    assert gathered.rows == 6_000
    assert not gathered.repeats()
    store.record_sealed([outgoing(name(1, feed=OWN, epoch=MATRIZ.epoch), digests=gathered)])
    assert asked(store, raw) == {}
    assert list(tmp_path.glob("[!f]*")) == [], "the file is nameless"
    gathered.add(digests([(raw[17][0], b"x" * 16)]))
    assert gathered.repeats()
    gathered.close()


def test_digests_that_only_begin_alike_do_not_repeat() -> None:
    gathered = Digests.of(
        digests([(b"a" * 8 + b"b" * 8, b"c" * 16), (b"a" * 8 + b"c" * 8, b"c" * 16), (b"b" * 16, b"c" * 16)])
    )
    assert not gathered.repeats()
    assert not Digests().repeats()


def test_the_later_sealing_of_a_key_is_remembered(store: Store) -> None:
    """Two batches of one wave, and a batch that holds a key twice across its chunks."""
    batches = [name(n, feed=OWN, epoch=MATRIZ.epoch) for n in (1, 2)]
    many = [(key(n), key(n)) for n in range(3_000)]
    store.record_sealed([
        outgoing(batches[0], digests=digests(many)),
        outgoing(batches[1], digests=digests([*many, (key(5), key(50)), (key(6), key(60)), (key(5), key(51))])),
    ])  # fmt: skip
    assert asked(store, [(key(5), key(51)), (key(6), key(60)), (key(5), key(50)), (key(6), key(6))]) == {
        2: None,
        3: None,
    }
