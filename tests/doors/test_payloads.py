"""One conformance suite for both payload formats: what is written is what is read, in bounded memory, whatever the rows."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payload_samples import CONTRACT, document, numbered, table

from filesync.errors import RejectedError
from filesync.protocol.identity import Format
from filesync.readers import jsonlines as jsonlines_reader
from filesync.readers.payload import Chunk, read_many, read_payload
from filesync.writers import jsonlines as jsonlines_writer
from filesync.writers import parquet as parquet_writer
from filesync.writers.payload import Written, digest_file, payload_bytes, small_payloads, write_payload

if TYPE_CHECKING:
    from collections.abc import Iterator

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DATE = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))


def optional(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


LINE = optional({"numero": INT64, "texto": TEXT, "dia": DATE, "certo": st.booleans()})
DOCUMENT = optional(
    {
        "origem": TEXT,
        "codigo": TEXT,
        "valor": INT64,
        "ativo": st.booleans(),
        "dia": DATE,
        "nota": TEXT,
        "itens": st.lists(LINE, max_size=3),
        "avisos": st.lists(optional({"numero": INT64}), max_size=2),
    }
)


@pytest.fixture(scope="module", params=[Format.PARQUET, Format.JSONL], ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> Format:
    found: Format = request.param
    return found


def read_all(path: Path, kind: Format, **options: Any) -> pa.Table:
    chunks = list(read_payload(path, kind, CONTRACT, **options))
    assert not any(chunk.malformed or chunk.malformed_rows for chunk in chunks)
    rows = [row for chunk in chunks for row in chunk.rows]
    assert rows == list(range(len(rows)))
    return pa.concat_tables([CONTRACT.arrow_schema.empty_table(), *(chunk.table for chunk in chunks)])


def round_trip(folder: Path, kind: Format, *tables: pa.Table) -> tuple[pa.Table, Written]:
    path = folder / "payload"
    written = write_payload(path, kind, CONTRACT, tables)
    assert written.bytes == path.stat().st_size
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest_file(path) == (written.sha256, written.bytes)
    return read_all(path, kind), written


def test_what_is_written_is_what_is_read(tmp_path: Path, kind: Format) -> None:
    rows = numbered(1000)
    back, written = round_trip(tmp_path, kind, rows)
    assert back.equals(rows)
    assert back.schema.equals(CONTRACT.arrow_schema)
    assert written.rows == 1000


@given(st.lists(DOCUMENT, max_size=6))
def test_any_documents(kind: Format, documents: list[dict[str, Any]]) -> None:
    rows = table(documents)
    with tempfile.TemporaryDirectory() as folder:
        back, _ = round_trip(Path(folder), kind, rows)
    assert back.to_pylist() == rows.to_pylist()


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"nota": 'a"b\\c/d\n\r\t\b\f\x00\x1f\x7f'}, id="escapes"),
        pytest.param({"nota": "Pão, çãé 日本 🧾 \u2028 \ufeff"}, id="unicode"),
        pytest.param({"nota": "} {not another document}, null"}, id="text like JSON"),
        pytest.param({"nota": ""}, id="empty text"),
        pytest.param({"itens": None, "avisos": []}, id="no list, empty list"),
        pytest.param({"itens": [], "avisos": None}, id="empty list, no list"),
        pytest.param(
            {"itens": [{"numero": 1}, {"numero": 2, "dia": dt.date(2024, 2, 29)}]}, id="sparse lines"
        ),
        pytest.param({"valor": 2**63 - 1}, id="largest number"),
        pytest.param({"valor": -(2**63)}, id="smallest number"),
        pytest.param({"dia": dt.date(1, 1, 1)}, id="first date"),
        pytest.param({"dia": dt.date(9999, 12, 31)}, id="last date"),
        pytest.param({"valor": None, "ativo": None, "dia": None, "itens": None}, id="all optional absent"),
    ],
)
def test_edges(tmp_path: Path, kind: Format, members: dict[str, Any]) -> None:
    rows = table([document(0), document(1, **members), document(2)])
    back, _ = round_trip(tmp_path, kind, rows)
    assert back.to_pylist() == rows.to_pylist()


def test_no_documents(tmp_path: Path, kind: Format) -> None:
    back, written = round_trip(tmp_path, kind)
    assert back.num_rows == written.rows == 0
    back, again = round_trip(tmp_path, kind, numbered(0))
    assert back.num_rows == 0
    assert again == written


def test_equal_rows_give_equal_bytes_however_they_are_cut(
    tmp_path: Path, kind: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_ROWS", 300)
    monkeypatch.setattr(jsonlines_writer, "BLOCK_ROWS", 170)
    rows = numbered(1000)
    whole = round_trip(tmp_path, kind, rows)[1]
    for size in (1, 7, 299, 300, 301, 999):
        back, written = round_trip(
            tmp_path, kind, *(rows.slice(start, size) for start in range(0, 1000, size))
        )
        assert written == whole
        assert back.equals(rows)
    chunked = pa.concat_tables([rows.slice(0, 10), rows.slice(10)])
    assert round_trip(tmp_path, kind, chunked)[1] == whole


def test_other_columns_are_a_bug_of_the_caller(tmp_path: Path, kind: Format) -> None:
    with pytest.raises(ValueError, match="schema"):
        write_payload(tmp_path / "x", kind, CONTRACT, [numbered(3).drop_columns("valor")])


def test_an_error_of_the_source_is_not_swallowed(tmp_path: Path, kind: Format) -> None:
    def tables() -> Iterator[pa.Table]:
        yield numbered(10)
        yield numbered(10)
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        write_payload(tmp_path / "x", kind, CONTRACT, tables())


def test_payload_bytes_are_those_of_the_file(tmp_path: Path, kind: Format) -> None:
    rows = numbered(20)
    data, written = payload_bytes(kind, CONTRACT, rows)
    assert write_payload(tmp_path / "x", kind, CONTRACT, [rows]) == written
    assert (tmp_path / "x").read_bytes() == data


def test_small_payloads_made_together_are_those_made_alone(
    kind: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, counts = numbered(300), [20, 1, 129, 100, 50]
    alone: list[tuple[bytes, Written]] = []
    for count in counts:
        alone.append(payload_bytes(kind, CONTRACT, rows.slice(sum(counts[: len(alone)]), count)))
    assert list(small_payloads(kind, CONTRACT, rows, counts)) == alone
    monkeypatch.setattr(jsonlines_writer, "BLOCK_ROWS", 64)  # text may be made in several pieces
    assert list(small_payloads(kind, CONTRACT, rows, counts)) == alone
    assert list(small_payloads(kind, CONTRACT, rows.slice(20), counts[1:])) == alone[1:]


def test_chunks_are_bounded(tmp_path: Path, kind: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines_reader, "BLOCK_BYTES", 10_000)
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_ROWS", 512)
    rows = numbered(3000)
    write_payload(tmp_path / "x", kind, CONTRACT, [rows])
    chunks = list(read_payload(tmp_path / "x", kind, CONTRACT, chunk_rows=100))
    assert max(chunk.table.num_rows for chunk in chunks) <= 100
    assert [row for chunk in chunks for row in chunk.rows] == list(range(3000))
    assert pa.concat_tables(chunk.table for chunk in chunks).equals(rows)


def test_a_big_payload_is_never_held_whole(tmp_path: Path, kind: Format) -> None:
    """250,000 documents: reading and writing hold a few row groups or blocks of them in Arrow's memory, not all."""
    part = numbered(25_000)
    whole = 10 * part.nbytes

    def tables() -> Iterator[pa.Table]:
        for _ in range(10):
            yield part

    before = pa.total_allocated_bytes()
    written = write_payload(tmp_path / "x", kind, CONTRACT, tables())
    assert written.rows == 250_000
    assert pa.total_allocated_bytes() - before < 1_000_000
    highest = rows = 0
    for chunk in read_payload(tmp_path / "x", kind, CONTRACT, chunk_rows=8192):
        rows += chunk.table.num_rows
        highest = max(highest, pa.total_allocated_bytes() - before)
    assert rows == 250_000
    assert highest < 0.8 * whole


def test_more_documents_than_were_claimed(tmp_path: Path, kind: Format) -> None:
    write_payload(tmp_path / "x", kind, CONTRACT, [numbered(20)])
    assert read_all(tmp_path / "x", kind, rows_max=20).num_rows == 20
    with pytest.raises(RejectedError, match=r"19 documents were expected, got.* 20") as caught:
        list(read_payload(tmp_path / "x", kind, CONTRACT, rows_max=19))
    assert caught.value.code == "payload-unreadable"


def test_many_small_payloads_at_once(tmp_path: Path, kind: Format) -> None:
    sizes = [3, 0, 20, 1, 0, 129]
    tables = [numbered(size, 1000 * place) for place, size in enumerate(sizes)]
    payloads: list[bytes | Path] = [payload_bytes(kind, CONTRACT, rows)[0] for rows in tables]
    (tmp_path / "x").write_bytes(payloads[2] if isinstance(payloads[2], bytes) else b"")
    payloads[2] = tmp_path / "x"
    whole, group = read_many(payloads, kind, CONTRACT)
    assert whole.equals(pa.concat_tables(tables).combine_chunks())
    assert whole.schema.equals(CONTRACT.arrow_schema)
    assert group.type == pa.int32()
    assert group.to_pylist() == [place for place, size in enumerate(sizes) for _ in range(size)]


def test_many_of_nothing(kind: Format) -> None:
    for payloads in ([], [payload_bytes(kind, CONTRACT, numbered(0))[0]]):
        whole, group = read_many(payloads, kind, CONTRACT)
        assert whole.equals(CONTRACT.arrow_schema.empty_table())
        assert len(group) == 0


def test_one_bad_payload_among_many_fails_them_all(kind: Format) -> None:
    good = payload_bytes(kind, CONTRACT, numbered(5))[0]
    with pytest.raises(RejectedError):
        read_many([good, good[: len(good) // 2], good], kind, CONTRACT)


def test_a_missing_file_is_no_verdict_on_its_content(tmp_path: Path, kind: Format) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_payload(tmp_path / "absent", kind, CONTRACT))


# JSON lines: the text itself is a promise to other programs.


def test_json_lines_are_compact_ordered_and_without_nulls(tmp_path: Path) -> None:
    rows = table(
        [
            document(1, nota="ç\n", avisos=[]),
            {"dia": dt.date(2025, 1, 2), "itens": [{}, {"certo": False}]},
            {},
        ]
    )
    write_payload(tmp_path / "x", Format.JSONL, CONTRACT, [rows])
    assert (tmp_path / "x").read_text("utf-8") == (
        '{"origem":"caixa-01","codigo":"p-000001","valor":100,"ativo":false,"dia":"2025-03-02","nota":"ç\\n",'
        '"itens":[{"numero":1,"texto":"Linha 0","certo":true}],"avisos":[]}\n'
        '{"dia":"2025-01-02","itens":[{},{"certo":false}]}\n'
        "{}\n"
    )


def test_json_lines_hold_what_the_contract_says_a_document_is(tmp_path: Path) -> None:
    rows = numbered(50)
    write_payload(tmp_path / "x", Format.JSONL, CONTRACT, [rows])
    lines = (tmp_path / "x").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == CONTRACT.documents(rows)


def test_a_document_that_no_reader_takes_is_not_written_as_json(tmp_path: Path) -> None:
    assert jsonlines_writer.LINE_BYTES_MAX == jsonlines_reader.LINE_BYTES_MAX
    room = jsonlines_writer.LINE_BYTES_MAX
    longest = room - len(json.dumps({"nota": ""}, separators=(",", ":")))
    back, _ = round_trip(tmp_path, Format.JSONL, table([{"nota": "x" * longest}]))
    assert back.num_rows == 1
    with pytest.raises(RejectedError, match=f"{room + 1}"):
        write_payload(tmp_path / "x", Format.JSONL, CONTRACT, [table([{"nota": "x" * (longest + 1)}])])


# Parquet: the properties that make it safe to keep and to read.


def test_parquet_pages_carry_checksums_and_row_groups_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_ROWS", 1000)
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_LINES", 900)
    path = tmp_path / "x"
    rows = numbered(3500)
    write_payload(path, Format.PARQUET, CONTRACT, [rows])
    assert read_all(path, Format.PARQUET).equals(rows)
    metadata = pa.parquet.read_metadata(path)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    lines = pa.concat_tables([rows]).column("itens")
    start = 0
    for group in groups:
        assert group.num_rows <= 1000
        assert sum(len(value) for value in lines.slice(start, group.num_rows).to_pylist()) <= 900
        start += group.num_rows
    flipped = bytearray(path.read_bytes())
    column = metadata.row_group(0).column(1)  # codigo: no text of it is in another column
    flipped[column.data_page_offset + column.total_compressed_size - 3] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(RejectedError, match=r"(?i)crc|checksum") as caught:
        list(read_payload(path, Format.PARQUET, CONTRACT))
    assert caught.value.code == "payload-unreadable"


def test_a_document_with_more_lines_than_a_row_group_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_writer, "ROW_GROUP_LINES", 5)
    wide = document(1, itens=[{"numero": line} for line in range(20)])
    rows = table([document(3), wide, wide, document(3)])
    back, _ = round_trip(tmp_path, Format.PARQUET, rows)
    assert back.equals(rows)


def test_a_chunk_counts_its_rows() -> None:
    chunk = Chunk(numbered(2), (0, 2), malformed_rows=((1, "?"),))
    assert chunk.count == 3
