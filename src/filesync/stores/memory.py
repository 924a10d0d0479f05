"""What was sealed, remembered by key and content digest: 40 bytes for each document, so that a changed or late one is found.

The memory of a dataset and audience is cut into 65,536 buckets by the first 16 bits of the key digest. A bucket is one blob of entries,
in the order of their key digests, so that all buckets after one another are sorted. A million documents are 65,536 rows to write instead
of a million, and are compared by numpy instead of one by one: half the cost of sealing them, a fifth of finding that nothing changed.

- Keys are compared whole (128 bits), content too. Of one key only the last sealing is remembered.
- Work goes by ranges of buckets, so that memory stays bounded whatever is remembered or asked.

Writing functions expect an open transaction (sqlite.py). What is not here: making digests (contracts/digests.py).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filesync.stores.database import QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.stores.database import Database

BUCKETS: Final = 65_536  # as in schema.sql: bucket_id = memory_id * 65536 + bucket

#: Digests are compared as big-endian words: their order is then that of their bytes, and the bucket is the top of the first word.
_ENTRY: Final = np.dtype([("key", ">u8", 2), ("content", ">u8", 2), ("batch_id", "<i8")])
#: Entries that are worked on at once.
_ENTRIES_MAX: Final = 1 << 20
#: Up to this many buckets are fetched one by one; more are read in runs.
_NAMED_MAX: Final = 4_096

Entries = npt.NDArray[Any]  # of _ENTRY
Words = npt.NDArray[np.uint64]


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
    asked = _entries(digests, 0)
    order = np.argsort(asked["key"][:, 0].astype(np.uint64))
    known, same = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.bool_)
    for part, held in _alongside(db, memory_id, asked["key"][order, 0]):
        picked = order[part]
        known[picked], same[picked] = _look_up(held, asked[picked])
    wanted = ~same
    owed = pa.nulls(len(asked), pa.string())
    rejected = db.select(QUERIES["rejected_batches"], (dataset, audience))
    if rejected:
        ids = np.array([batch_id for batch_id, _, _ in rejected])
        touched = [
            batch_id for batch_id, _, replaced in rejected if replaced or np.any(wanted & (known == batch_id))
        ]
        wanted |= np.isin(known, touched)
        by_id = np.argsort(ids)
        place = np.searchsorted(ids[by_id], known).clip(max=len(ids) - 1)
        found = ids[by_id][place] == known
        names = pa.array([rejected[i][1] for i in by_id], pa.string())
        owed = names.take(pa.array(np.where(found, place, 0), mask=~found))
    mask = pa.array(wanted)
    return pa.table({"row": rows.filter(mask), "owed_batch": owed.filter(mask)})


def remember(db: Database, dataset: str, audience: str, digests: pa.Table, batch_id: int) -> None:
    """These documents were sealed with this content in this batch."""
    if not digests.num_rows:
        return
    db.run(QUERIES["open_memory"], (dataset, audience))
    memory_id = db.select(QUERIES["memory_id"], (dataset, audience))[0][0]
    fresh = not _any(db, memory_id)
    for new in _sorted_parts(digests, batch_id):
        held = None if fresh else _held(db, memory_id, _bucket(new["key"][:, 0]))
        _write(
            db, memory_id, new if held is None or not len(held) else _in_order(np.concatenate([held, new]))
        )


def forget(db: Database, dataset: str, audience: str) -> None:
    """Remember nothing of this dataset and audience any more."""
    memory_id = _memory_id(db, dataset, audience)
    if memory_id is not None:
        db.run(QUERIES["forget_buckets"], _span(memory_id))


def _memory_id(db: Database, dataset: str, audience: str) -> int | None:
    rows = db.select(QUERIES["memory_id"], (dataset, audience))
    return rows[0][0] if rows else None


def _any(db: Database, memory_id: int) -> bool:
    return bool(db.select(QUERIES["buckets_any"], _span(memory_id))[0][0])


def _span(memory_id: int, first: int = 0, last: int = BUCKETS - 1) -> tuple[int, int]:
    return memory_id * BUCKETS + first, memory_id * BUCKETS + last


def _bucket(words: Words) -> npt.NDArray[np.int64]:
    return (words >> np.uint64(48)).astype(np.int64)


def _entries(digests: pa.Table, batch_id: int) -> Entries:
    entries = np.empty(digests.num_rows, _ENTRY)
    for name, column in (("key", "key_digest"), ("content", "content_digest")):
        entries[name] = _words(digests.column(column))
    entries["batch_id"] = batch_id
    return entries


def _words(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if not column.num_chunks:
        return np.empty((0, 2), ">u8")
    array = pa.concat_arrays([chunk.cast(pa.binary(16)) for chunk in column.chunks])
    return np.frombuffer(array.buffers()[1], ">u8", 2 * len(array), 16 * array.offset).reshape(-1, 2)


def _sorted_parts(digests: pa.Table, batch_id: int) -> Iterator[Entries]:
    """All entries in the order of their buckets, at most about _ENTRIES_MAX at a time: a pass over the digests for each part."""
    parts = -(-digests.num_rows // _ENTRIES_MAX)
    if parts == 1:
        entries = _entries(digests, batch_id)
        yield _in_order(entries)
        return
    edges = np.linspace(0, BUCKETS, parts + 1).astype(np.int64)
    for low, high in pairwise(edges):
        found = []
        for batch in digests.to_batches():
            table = pa.table(batch)
            bucket = _bucket(_words(table.column("key_digest"))[:, 0])
            found.append(_entries(table.filter(pa.array((bucket >= low) & (bucket < high))), batch_id))
        entries = np.concatenate(found)
        if len(entries):
            yield _in_order(entries)


def _in_order(entries: Entries) -> Entries:
    """Entries in the order of their key digests, each key once: the one that came last."""
    first = entries["key"][:, 0].astype(np.uint64)  # native and contiguous, it is sorted five times faster
    order = np.argsort(first)
    if len(order) > 1 and np.any(
        first[order[1:]] == first[order[:-1]]
    ):  # rare; only now does the rest of the key matter
        order = np.lexsort((entries["key"][:, 1], first))  # stable: of equal keys the newer one stays behind
        keys = entries["key"][order]
        last = np.ones(len(order), np.bool_)
        last[:-1] = np.any(keys[1:] != keys[:-1], axis=1)
        order = order[last]
    # As plain words: numpy gathers records ten times slower. Joined records have become native, hence the cast.
    words = entries.astype(_ENTRY, copy=False).view(np.uint64).reshape(-1, _ENTRY.itemsize // 8)
    taken: Entries = np.take(words, order, axis=0).view(_ENTRY).reshape(-1)
    return taken


def _alongside(db: Database, memory_id: int, words: Words) -> Iterator[tuple[slice, Entries]]:
    """What is held of the buckets of `words` (sorted), run by run, with the slice of `words` that each run answers."""
    for start in range(0, len(words), _ENTRIES_MAX):
        part = slice(start, min(start + _ENTRIES_MAX, len(words)))
        yield part, _held(db, memory_id, _bucket(words[part]))


def _held(db: Database, memory_id: int, buckets: npt.NDArray[np.int64]) -> Entries:
    """The entries of these buckets (sorted), sorted by key digest."""
    wanted = buckets[np.r_[True, buckets[1:] != buckets[:-1]]]
    if len(wanted) <= _NAMED_MAX:
        rows = pa.record_batch([pa.array(wanted + memory_id * BUCKETS)], ["bucket_id"])
        table = db.select_table(QUERIES["buckets_named"], rows)
    else:
        table = db.select_table(QUERIES["buckets_between"], _span(memory_id, int(wanted[0]), int(wanted[-1])))
    column = table.column("entries")
    if not table.num_rows:
        return np.empty(0, _ENTRY)
    blobs = [np.frombuffer(chunk.buffers()[2], np.uint8) for chunk in column.chunks if len(chunk)]
    sizes = [_byte_range(chunk) for chunk in column.chunks if len(chunk)]
    return np.concatenate([blob[low:high] for blob, (low, high) in zip(blobs, sizes, strict=True)]).view(
        _ENTRY
    )


def _byte_range(chunk: pa.BinaryArray) -> tuple[int, int]:
    offsets = np.frombuffer(chunk.buffers()[1], np.int32)
    return int(offsets[chunk.offset]), int(offsets[chunk.offset + len(chunk)])


def _look_up(held: Entries, asked: Entries) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """For each asked key the batch that it was sealed in last (0: none), and whether its content is still the same."""
    batch_ids, same = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.bool_)
    if not len(held):
        return batch_ids, same
    first = np.ascontiguousarray(held["key"][:, 0]).astype(np.uint64)
    place = np.searchsorted(first, asked["key"][:, 0].astype(np.uint64))
    open_ = np.arange(len(asked))
    while len(open_):  # more than once only where two keys share their first 64 bits
        inside = place[open_] < len(held)
        open_ = open_[inside]
        open_ = open_[first[place[open_]] == asked["key"][open_, 0]]
        entries = held[place[open_]]
        hit = entries["key"][:, 1] == asked["key"][open_, 1]
        batch_ids[open_[hit]] = entries["batch_id"][hit]
        same[open_[hit]] = np.all(entries["content"][hit] == asked["content"][open_[hit]], axis=1)
        open_ = open_[~hit]
        place[open_] += 1
    return batch_ids, same


def _write(db: Database, memory_id: int, entries: Entries) -> None:
    """Replace the buckets of these entries (sorted, whole buckets)."""
    bucket = _bucket(entries["key"][:, 0])
    starts = np.flatnonzero(np.r_[True, bucket[1:] != bucket[:-1]])
    offsets = np.r_[starts, len(entries)].astype(np.int32) * np.int32(_ENTRY.itemsize)
    data = pa.py_buffer(np.ascontiguousarray(entries, _ENTRY))
    blobs = pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets.tobytes()), data])
    rows = pa.record_batch([pa.array(bucket[starts] + memory_id * BUCKETS), blobs], ["bucket_id", "entries"])
    db.run_each(QUERIES["write_bucket"], rows)
