"""What was sealed is remembered across sealings, whatever they add to each other's buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from filesync.stores import memory
from filesync.stores.database import Database, schema_statements

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "memory.db")
    database.run("BEGIN IMMEDIATE")
    for statement in schema_statements():
        database.run(statement)
    yield database
    database.run("COMMIT")
    database.close()


def digests(seed: int, count: int) -> pa.Table:
    raw = np.random.default_rng(seed).bytes(32 * count)
    keys, contents = (pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(part)])
                      for part in (raw[: 16 * count], raw[16 * count :]))  # fmt: skip
    return pa.table({"key_digest": keys, "content_digest": contents, "row": pa.array(np.arange(count))})


@pytest.mark.parametrize("parts", [1, 3])
def test_two_sealings_that_share_buckets_are_both_remembered(
    db: Database, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    first, second = digests(1, 5_000), digests(2, 9_000)
    monkeypatch.setattr(memory, "_ENTRIES_MAX", -(-9_000 // parts))

    memory.remember(db, "vendas", "matriz", first, 1)
    memory.remember(db, "vendas", "matriz", second, 2)

    for sealed in (first, second):
        assert memory.unsealed(db, "vendas", "matriz", sealed).num_rows == 0
    assert memory.unsealed(db, "vendas", "matriz", digests(3, 100)).num_rows == 100
