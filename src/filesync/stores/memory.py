"""What was sealed, remembered by key and content digest: 40 bytes for each document, so that a changed or late one is found.

The memory of a dataset and audience is cut into 65,536 buckets by the first 16 bits of the key digest. A bucket is one blob of entries,
in the order of their key digests, so that all buckets after one another are sorted. A million documents are 65,536 rows to write instead
of a million, and are compared by numpy instead of one by one: a third of the cost of sealing them, a fifth of finding that nothing changed.

- Keys are compared whole (128 bits), content too. Of one key only the last sealing is remembered.
- Much work goes by ranges of buckets (digests.py), so that memory stays bounded whatever is remembered, sealed or asked.

Writing functions expect an open transaction (store.py). What is not here: making digests (contracts/digests.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filesync.stores.database import QUERIES
from filesync.stores.digests import RANGES, Words, in_order, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from filesync.stores.database import Database
    from filesync.stores.digests import Digests

BUCKETS: Final = 65_536  # as in schema.sql: bucket_id = memory_id * 65536 + bucket
#: Entries are five words: key, key, content, content, batch id. Stored as little-endian; schema.sql knows their 40 bytes.
_WORDS: Final = 5
_BYTES: Final = _WORDS * 8
#: Up to this many documents are looked up together, and mostly their buckets are fetched one by one; more go range by range.
_AT_ONCE_MAX: Final = 4_096
#: Up to this many documents all batches of a wave are remembered in one go.
_TOGETHER_MAX: Final = 1 << 18


def unsealed(db: Database, dataset: str, audience: str, digests: pa.Table) -> pa.Table:
    """Which of these documents must be sealed: columns `row` (int64) and `owed_batch` (string, null for most).

    `digests` has `key_digest`, `content_digest` (binary(16)) and `row`. Answered are documents that are new, or whose content is not
    the one sealed last. `owed_batch` names the batch in which a document was sealed last, if that was rejected: its documents are owed.
    Unchanged ones are answered too once anything of that batch has changed, or a later batch replaces it: before that, sealing the
    same content again would only be rejected again.
    """
    rows = digests.column("row").combine_chunks().cast(pa.int64())
    memory_id = _memory_id(db, dataset, audience)
    if memory_id is None or not len(rows) or not _any(db, memory_id):
        return pa.table({"row": rows, "owed_batch": pa.nulls(len(rows), pa.string())})
    asked = words_of(digests)
    known, same = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.bool_)
    for picked in _ranged(asked):
        part = asked[picked]
        known[picked], same[picked] = _look_up(_held(db, memory_id, part), part)
    wanted = ~same
    owed = pa.nulls(len(asked), pa.string())
    rejected = db.select(QUERIES["rejected_batches"], (dataset, audience))
    if rejected:
        ids = np.array([batch_id for batch_id, _, _ in rejected])
        changed = np.unique(known[wanted])
        touched = [batch_id for batch_id, _, replaced in rejected if replaced or batch_id in changed]
        wanted |= np.isin(known, touched)
        by_id = np.argsort(ids)
        place = np.searchsorted(ids[by_id], known).clip(max=len(ids) - 1)
        found = ids[by_id][place] == known
        names = pa.array([rejected[i][1] for i in by_id], pa.string())
        owed = names.take(pa.array(place, mask=~found))
    mask = pa.array(wanted)
    return pa.table({"row": rows.filter(mask), "owed_batch": owed.filter(mask)})


def sealed_in(db: Database, dataset: str, audience: str, digests: pa.Table) -> npt.NDArray[np.int64]:
    """For each of these documents (columns as for `unsealed`) the batch id in which its key was sealed last; 0 where it is not remembered."""
    asked = words_of(digests)
    found = np.zeros(len(asked), np.int64)
    memory_id = _memory_id(db, dataset, audience)
    if memory_id is not None and len(asked):
        for picked in _ranged(asked):
            part = asked[picked]
            found[picked] = _look_up(_held(db, memory_id, part), part)[0]
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """Of documents that were asked about: how many there are, how many of them are remembered, and with the same content.

    `remembered` counts all that the memory holds. `known == remembered`: nothing that was sealed is absent.
    """

    asked: int
    remembered: int
    known: int
    same: int

    @property
    def equal(self) -> bool:
        """Whether they are exactly what was sealed."""
        return self.asked == self.remembered == self.same


def compare(db: Database, dataset: str, audience: str, digests: pa.Table) -> Compared:
    """Compare documents, each key once, with everything that is remembered."""
    memory_id = _memory_id(db, dataset, audience)
    if memory_id is None:
        return Compared(digests.num_rows, 0, 0, 0)
    asked = words_of(digests)
    known = same = 0
    for picked in _ranged(asked):
        part = asked[picked]
        ids, equal = _look_up(_held(db, memory_id, part), part)
        known += int(np.count_nonzero(ids))
        same += int(np.count_nonzero(equal))
    remembered = db.select(QUERIES["remembered"], _span(memory_id, 0, BUCKETS - 1))[0][0]
    return Compared(len(asked), remembered, known, same)


def newest_of_any(db: Database, dataset: str, audience: str, batch_id: int) -> bool:
    """Whether some document was sealed last in this batch. Reads the whole memory: for what is rare."""
    memory_id = _memory_id(db, dataset, audience)
    if memory_id is None:
        return False
    step = BUCKETS // RANGES
    for first in range(0, BUCKETS, step):
        table = db.select_table(QUERIES["buckets_between"], _span(memory_id, first, first + step - 1))
        if table.num_rows and bool((_unpacked(table)[:, 4] == np.uint64(batch_id)).any()):
            return True
    return False


def remember(db: Database, dataset: str, audience: str, sealed: Sequence[tuple[Digests, int]]) -> None:
    """These documents were sealed with this content in these batches (in order: of a key that stands in two the later is remembered)."""
    rows = sum(digests.rows for digests, _ in sealed)
    if not rows:
        return
    db.run(QUERIES["open_memory"], (dataset, audience))
    memory_id = db.select(QUERIES["memory_id"], (dataset, audience))[0][0]
    if rows > _TOGETHER_MAX:
        for digests, batch_id in sealed:
            for part in digests.ranges():
                _add(db, memory_id, _entries(part, batch_id))
        return
    entries = np.concatenate([_entries(digests.whole(), batch_id) for digests, batch_id in sealed])
    for picked in _ranged(entries):
        _add(db, memory_id, entries[picked])


def forget(db: Database, dataset: str, audience: str) -> None:
    """Remember nothing of this dataset and audience any more."""
    memory_id = _memory_id(db, dataset, audience)
    if memory_id is not None:
        db.run(QUERIES["forget_buckets"], _span(memory_id, 0, BUCKETS - 1))


def _memory_id(db: Database, dataset: str, audience: str) -> int | None:
    rows = db.select(QUERIES["memory_id"], (dataset, audience))
    return rows[0][0] if rows else None


def _any(db: Database, memory_id: int) -> bool:
    return bool(db.select(QUERIES["buckets_any"], _span(memory_id, 0, BUCKETS - 1))[0][0])


def _span(memory_id: int, first: int, last: int) -> tuple[int, int]:
    return memory_id * BUCKETS + first, memory_id * BUCKETS + last


def _entries(words: Words, batch_id: int) -> Words:
    entries = np.empty((len(words), _WORDS), np.uint64)
    entries[:, :4] = words
    entries[:, 4] = batch_id
    return entries


def _ranged(asked: Words) -> Iterator[slice | npt.NDArray[np.int64]]:
    """Which of these to look up together."""
    if len(asked) <= _AT_ONCE_MAX:
        yield slice(None)
        return
    place = (asked[:, 0] >> np.uint64(58)).astype(np.uint8)
    order = np.argsort(place, kind="stable")
    edges = np.searchsorted(place[order], np.arange(RANGES + 1))
    yield from (order[low:high] for low, high in pairwise(edges) if high > low)


def _add(db: Database, memory_id: int, new: Words) -> None:
    """Put entries into their buckets. `new` are few, or of one range."""
    new = _in_order(new)
    held = _held(db, memory_id, new)
    entries = _in_order(np.concatenate([held, new])) if len(held) else new
    bucket = _buckets(entries)
    starts = _starts(bucket)
    offsets = np.append(starts, len(entries)).astype(np.int32) * np.int32(_BYTES)
    data = pa.py_buffer(np.ascontiguousarray(entries, "<u8"))
    blobs = pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets), data])
    rows = pa.record_batch([pa.array(bucket[starts] + memory_id * BUCKETS), blobs], ["bucket_id", "entries"])
    db.run_each(QUERIES["write_bucket"], rows)


def _in_order(entries: Words) -> Words:
    """Entries in the order of their key digests, each key once: the one that came last."""
    ordered = in_order(entries)
    if np.any(ordered[1:, 0] == ordered[:-1, 0]):  # rare; only now does the rest of the key matter
        order = np.lexsort((ordered[:, 1], ordered[:, 0]))  # stable: of equal keys the newer one stays behind
        keys = ordered[order, :2]
        last = np.ones(len(order), np.bool_)
        last[:-1] = np.any(keys[1:] != keys[:-1], axis=1)
        ordered = np.take(ordered, order[last], axis=0)
    return ordered


def _held(db: Database, memory_id: int, asked: Words) -> Words:
    """The entries of the buckets of `asked`, which are few or of one range, sorted by key digest."""
    if not len(asked):
        return np.empty((0, _WORDS), np.uint64)
    bucket = _buckets(asked)
    low, high = int(bucket.min()), int(bucket.max())
    if 4 * len(bucket) <= high - low:
        wanted = np.unique(bucket) + memory_id * BUCKETS
        table = db.select_table(QUERIES["buckets_named"], (json.dumps(wanted.tolist()),))
    else:
        table = db.select_table(QUERIES["buckets_between"], _span(memory_id, low, high))
    return _unpacked(table) if table.num_rows else np.empty((0, _WORDS), np.uint64)


def _unpacked(table: pa.Table) -> Words:
    """The entries of buckets that were read, in their order."""
    blobs = [
        np.frombuffer(_data(chunk), "<u8").reshape(-1, _WORDS) for chunk in table.column("entries").chunks
    ]
    held: Words = (blobs[0] if len(blobs) == 1 else np.concatenate(blobs)).astype(np.uint64, copy=False)
    return held


def _data(chunk: pa.BinaryArray) -> memoryview:
    _, offsets, data = chunk.buffers()
    edges = np.frombuffer(offsets, np.int32)
    return memoryview(data)[int(edges[chunk.offset]) : int(edges[chunk.offset + len(chunk)])]


def _buckets(words: Words) -> npt.NDArray[np.int64]:
    return (words[:, 0] >> np.uint64(48)).astype(np.int64)


def _starts(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.diff(values, prepend=-1))


def _look_up(held: Words, asked: Words) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """For each asked key the batch that it was sealed in last (0: none), and whether its content is still the same."""
    batch_ids, same = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.bool_)
    if not len(held):
        return batch_ids, same
    first = np.ascontiguousarray(held[:, 0])
    place = np.searchsorted(first, asked[:, 0])
    left = np.flatnonzero(place < len(held))
    while len(left):  # more than once only where two keys share their first 64 bits
        left = left[first[place[left]] == asked[left, 0]]
        entries = held[place[left]]
        hit = entries[:, 1] == asked[left, 1]
        found = left[hit]
        batch_ids[found] = entries[hit, 4].astype(np.int64)
        same[found] = np.all(entries[hit, 2:4] == asked[found, 2:4], axis=1)
        left = left[~hit]
        place[left] += 1
        left = left[place[left] < len(held)]
    return batch_ids, same
