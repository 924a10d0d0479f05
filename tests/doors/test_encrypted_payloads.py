"""Encrypted payloads: JSON lines that never lie on a disk in clear, in both directions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from payload_samples import CONTRACT, numbered

from filesync.errors import RejectedError
from filesync.protocol.identity import Format
from filesync.protocol.signing import SigningKey
from filesync.readers.payload import read_many, read_payload
from filesync.writers import payload as payload_writer
from filesync.writers.payload import digest_file, payload_bytes, write_payload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TILL, OTHER_TILL, STRANGER = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
READERS = [TILL.public, OTHER_TILL.public]


def write(path: Path, *tables: pa.Table) -> payload_writer.Written:
    return write_payload(path, Format.JSONL_AGE, CONTRACT, tables, readers=READERS)


def read(path: Path, key: SigningKey | None, **options: int) -> pa.Table:
    chunks = list(read_payload(path, Format.JSONL_AGE, CONTRACT, key=key, **options))
    return pa.concat_tables([CONTRACT.arrow_schema.empty_table(), *(chunk.table for chunk in chunks)])


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    rows = numbered(3000)
    written = write(tmp_path / "x", rows.slice(0, 1000), rows.slice(1000))
    assert digest_file(tmp_path / "x") == (written.sha256, written.bytes)
    assert written.rows == 3000
    assert read(tmp_path / "x", TILL).equals(rows)
    assert read(tmp_path / "x", OTHER_TILL, chunk_rows=100).combine_chunks().equals(rows.combine_chunks())


def test_nothing_of_it_can_be_seen(tmp_path: Path) -> None:
    rows = numbered(50)
    clear, _ = payload_bytes(Format.JSONL, CONTRACT, rows)
    write(tmp_path / "x", rows)
    data = (tmp_path / "x").read_bytes()
    assert data.startswith(b"age-encryption.org/v1\n")
    assert not any(line in data for line in clear.splitlines())
    assert b"codigo" not in data


def test_without_the_key_it_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x", numbered(5))
    for key in (STRANGER, None):
        with pytest.raises(RejectedError) as caught:
            read(tmp_path / "x", key)
        assert caught.value.code == "not-readable-here"


def test_more_documents_than_were_claimed(tmp_path: Path) -> None:
    write(tmp_path / "x", numbered(20))
    with pytest.raises(RejectedError, match="19 documents were expected, got at least 20"):
        read(tmp_path / "x", TILL, rows_max=19)


def test_too_much_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_writer, "PLAIN_BYTES_MAX", 5000)
    asked: list[int] = []

    def tables() -> Iterator[pa.Table]:
        for number in range(1000):
            asked.append(number)
            yield numbered(50)

    with pytest.raises(RejectedError, match="expected at most 5000 bytes to encrypt"):
        write_payload(tmp_path / "x", Format.JSONL_AGE, CONTRACT, tables(), readers=READERS)
    assert len(asked) < 10, "it stops where it is too much"
    assert (tmp_path / "x").read_bytes() == b""


def test_every_encryption_is_another(tmp_path: Path) -> None:
    digests = {write(tmp_path / "x", numbered(5)).sha256 for _ in range(3)}
    assert len(digests) == 3
    data, written = payload_bytes(Format.JSONL_AGE, CONTRACT, numbered(5), readers=READERS)
    assert hashlib.sha256(data).hexdigest() == written.sha256


def test_they_are_read_one_by_one(tmp_path: Path) -> None:
    write(tmp_path / "x", numbered(5))
    with pytest.raises(ValueError, match="not encrypted"):
        read_many([tmp_path / "x"], Format.JSONL_AGE, CONTRACT)
