"""Damaged and hostile payloads: refused with a code, or one line set aside; never a crash, a hang or unbounded memory."""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payload_samples import CONTRACT, document, numbered, table

from filesync.errors import RejectedError
from filesync.protocol.identity import Format
from filesync.readers import jsonlines, parquet_forms, parquet_pages
from filesync.readers.payload import Chunk, read_many, read_payload
from filesync.readers.thrift import Structure, structure
from filesync.writers.payload import payload_bytes, write_payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.contracts import Contract

GOOD = '{"origem":"caixa-01","codigo":"p-%d"}'


class AnyColumns:
    """Takes a file's own columns for the contract, so that the damage behind the schema is reached."""

    def __init__(self, schema: pa.Schema) -> None:
        self.arrow_schema = schema

    def conform(self, rows: pa.Table | pa.RecordBatch) -> pa.Table:
        found = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        found.validate(full=True)
        return found


def read(
    path: Path, kind: Format = Format.PARQUET, contract: Contract = CONTRACT, **options: Any
) -> list[Chunk]:
    return list(read_payload(path, kind, contract, **options))


def refused(path: Path, kind: Format = Format.PARQUET, contract: Contract = CONTRACT) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        read(path, kind, contract)
    assert caught.value.code in {"payload-unreadable", "schema-mismatch"}
    assert "expected" in caught.value.message
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "payload"


# Parquet


def measured(data: bytes) -> list[parquet_pages.Group]:
    return parquet_pages.measure(len(data), lambda at, size: data[at : at + size])


def test_the_corpus_of_damaged_files(data_dir: Path) -> None:
    folder = data_dir / "parquet-damaged" / "bad_data"
    if not folder.is_dir():
        pytest.skip(f"no damaged Parquet files in {folder}")
    files = sorted(folder.glob("*.parquet"))
    assert files
    for file in files:
        refused(file)
        with pytest.raises(RejectedError):
            read_many([file], Format.PARQUET, CONTRACT)
        try:
            schema = pq.read_schema(file)
        except OSError:
            continue
        with contextlib.suppress(RejectedError):  # two of them are whole enough to be read
            read(file, contract=AnyColumns(schema))  # type: ignore[arg-type]


def test_a_truncated_file(path: Path) -> None:
    for rows in (20, 2000):
        whole, _ = payload_bytes(Format.PARQUET, CONTRACT, numbered(rows))
        for size in range(0, len(whole), max(1, len(whole) // 97)):
            path.write_bytes(whole[:size])
            assert refused(path).code == "payload-unreadable"


@pytest.mark.parametrize("rows", [20, 2000])
def test_flipped_bytes_are_refused_or_change_nothing(path: Path, rows: int) -> None:
    whole, _ = payload_bytes(Format.PARQUET, CONTRACT, numbered(rows))
    expected = numbered(rows)
    dice = random.Random(20250314)
    different = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 1, 3, 20])):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            chunks = read(path)
        except RejectedError:
            continue
        found = pa.concat_tables([CONTRACT.arrow_schema.empty_table(), *(chunk.table for chunk in chunks)])
        different += not found.equals(expected)
    # Pages have checksums, the footer has none: there a flip may drop a row group or make a column another's.
    # That is why the digest in the manifest is compared before anything is read.
    assert different <= 40


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payload"
        for content in (
            data,
            b"PAR1" + data + b"PAR1",
            b"PAR1" + data + len(data).to_bytes(4, "little") + b"PAR1",
        ):
            path.write_bytes(content)
            refused(path)
            with pytest.raises(RejectedError):
                read_many([content], Format.PARQUET, CONTRACT)


def test_other_columns(path: Path) -> None:
    rows = numbered(5)
    for other in (
        rows.append_column("senha", pa.array(["x"] * 5)),
        rows.drop_columns("codigo"),
        rows.set_column(2, "valor", pa.array(["1"] * 5)),
        rows.set_column(2, "valor", pa.array([1.5] * 5)),
        rows.set_column(4, "dia", pa.array([1] * 5, pa.timestamp("us"))),
        rows.set_column(6, "itens", pa.array([[[{"numero": 1}]]] * 5)),
        rows.set_column(6, "itens", pa.array([[{"numero": {"um": 1}}]] * 5)),
        rows.set_column(6, "itens", pa.array([[{"numero": 1, "mais": 1}]] * 5)),
        rows.set_column(6, "itens", pa.array([{"numero": 1}] * 5)),
        rows.append_column("valor", pa.array([1] * 5)),
    ):
        pq.write_table(other, path)
        error = refused(path)
        assert error.code == "schema-mismatch"
        assert "got" in error.message


def test_a_line_with_two_columns_of_one_name(path: Path) -> None:
    lines = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["numero", "numero"])
    pq.write_table(numbered(1).set_column(6, "itens", pa.ListArray.from_arrays([0, 1], lines)), path)
    assert "itens.numero" in refused(path).message


def test_files_of_other_writers_are_read(path: Path) -> None:
    rows = numbered(3000)
    other = rows.set_column(1, "codigo", rows["codigo"].cast(pa.large_string()))
    other = other.set_column(2, "valor", other["valor"].cast(pa.int32())).select(
        list(reversed(other.column_names))
    )
    for options in (
        {},
        {"compression": "gzip", "data_page_version": "2.0"},
        {"use_dictionary": False, "row_group_size": 700, "data_page_size": 512},
        {"use_compliant_nested_type": False, "version": "1.0"},
        {"use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"}
        | {"column_encoding": {"codigo": "DELTA_LENGTH_BYTE_ARRAY"}},
    ):
        pq.write_table(other, path, **options)
        assert pa.concat_tables(chunk.table for chunk in read(path)).equals(rows)
        assert read_many([path], Format.PARQUET, CONTRACT)[0].equals(rows)


def test_text_that_is_no_unicode(path: Path) -> None:
    wrong = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff"))
    pq.write_table(numbered(1).set_column(1, "codigo", wrong), path)
    refused(path)


def test_a_page_that_unfolds_into_gigabytes(path: Path) -> None:
    """65 MiB of one letter are 2 KiB of zstd; nothing is decoded to find out."""
    pq.write_table(
        table([document(1, nota="x" * (65 << 20))]), path, compression="zstd", use_dictionary=False
    )
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    assert "pages of up to" in refused(path).message
    with pytest.raises(RejectedError):
        read_many([path], Format.PARQUET, CONTRACT)
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_a_dictionary_whose_one_text_is_in_every_row(path: Path) -> None:
    rows = 50_000
    long = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 100_000]))
    short = pa.array(["caixa-01"] * rows)
    pq.write_table(pa.table({"origem": short, "codigo": short, "nota": long}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    highest = pa.default_memory_pool().max_memory()
    message = refused(path).message
    assert "text in a batch" in message
    assert pa.default_memory_pool().max_memory() <= max(highest, pa.total_allocated_bytes() + (256 << 20))
    with pytest.raises(RejectedError):
        read_many([path], Format.PARQUET, CONTRACT)


def test_a_large_dictionary_that_is_none_of_these_is_read(path: Path) -> None:
    texts = [f"{number:060}" for number in range(6000)]
    rows = table([document(number, nota=texts[number % 6000]) for number in range(12_000)])
    pq.write_table(rows, path)
    [group] = measured(path.read_bytes())
    assert pq.read_metadata(path).schema.names.index("nota") in group.dictionaries
    assert pa.concat_tables(chunk.table for chunk in read(path)).equals(rows)


def test_texts_that_repeat_the_one_before(path: Path) -> None:
    texts = pa.array(["x" * 50_000] * 2000)
    ids = pa.array(["a"] * 2000)
    pq.write_table(
        pa.table({"origem": ids, "codigo": ids, "nota": texts}),
        path,
        use_dictionary=False,
        column_encoding={"nota": "DELTA_BYTE_ARRAY"},
    )
    assert path.stat().st_size < 500_000
    assert "DELTA_BYTE_ARRAY" in refused(path).message


def test_a_schema_of_a_thousand_levels(path: Path) -> None:
    """Arrow reads schemas recursively: without the limit on lists in the footer this is a stack overflow."""
    footer = bytearray(b"\x15\x02\x19\xfc")  # version 1; a list of structures
    levels = 3_000
    footer += _varint(levels + 1)
    for level in range(levels):
        # SchemaElement: repetition optional (absent at the root), name "a", one child
        footer += (b"\x35\x02" if level else b"\x38\x01a\x15\x02\x00")[: 2 if level else None]
        if level:
            footer += b"\x18\x01a\x15\x02\x00"
    footer += b"\x15\x02\x25\x02\x18\x01a\x00"  # the leaf: INT32 optional
    footer += b"\x16\x00\x19\x0c\x00"  # no rows, no row groups
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert refused(path).code == "payload-unreadable"


def test_a_footer_of_more_than_there_is(path: Path) -> None:
    for length in (2**31, 2**32 - 1, parquet_pages.FOOTER_BYTES_MAX + 1, 13):
        path.write_bytes(b"PAR1" + length.to_bytes(4, "little") + b"PAR1")
        assert "footer" in refused(path).message


def test_what_the_page_headers_say_is_what_the_footer_says() -> None:
    """The parser of page headers against Arrow's own writer, in every form that it writes."""
    rows = numbered(5000)
    for options in (
        {"compression": "none"},
        {"compression": "zstd", "write_page_checksum": True, "data_page_version": "2.0"},
        {"compression": "snappy", "data_page_size": 300, "use_dictionary": ["codigo"]},
        {"compression": "none", "write_statistics": False, "row_group_size": 1111},
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, **options)
        data = sink.getvalue().to_pybytes()
        metadata = pq.read_metadata(pa.BufferReader(data))
        groups = measured(data)
        assert len(groups) == metadata.num_row_groups
        for index, found in enumerate(groups):
            group = metadata.row_group(index)
            columns = [group.column(place) for place in range(group.num_columns)]
            with_headers = sum(column.total_uncompressed_size for column in columns)
            pages = sum(column.total_compressed_size // 20 + 2 for column in columns)
            assert with_headers - 100 * pages < found.bytes < with_headers
            assert found.rows == group.num_rows


def test_the_fast_way_through_metadata_finds_what_the_slow_way_finds() -> None:
    """On good and on mutated footers: wherever an expression matches, reading field by field finds the same there."""
    dice = random.Random(20250314)
    matched = 0

    def both(data: bytes, at: int, depth: int) -> tuple[Structure, int] | None:
        nonlocal matched
        fast = parquet_forms.listed(data, at, depth)
        if fast is not None:
            matched += 1
            slow, end = structure(data, at, depth)
            assert end == fast[1]
            if depth == 2:
                wanted = {field: slow[3][field] for field in (1, 5, 7, 9, 11) if field in slow[3]}
                assert fast[0] == {3: wanted}
                assert not {8, 9} & set(slow)
            else:
                assert fast[0].get(5) == slow.get(5)
        return fast

    for rows in (20, 2000):
        data, _ = payload_bytes(Format.PARQUET, CONTRACT, numbered(rows))
        length = int.from_bytes(data[-8:-4], "little")
        footer = data[-8 - length : -8]
        matched = 0
        structure(footer, shortcut=both)
        assert matched > 3 * 11  # every element, chunk and order: the fast way is the one that is used
        for _ in range(3000):
            damaged = bytearray(footer)
            for _ in range(dice.choice([1, 1, 2, 4])):
                damaged[dice.randrange(len(damaged))] = dice.choice(
                    [0, 1, 2, 5, 0x15, 0x1C, 0x26, 0x7F, 0x80, dice.randrange(256)]
                )
            with contextlib.suppress(IndexError, ValueError):
                structure(bytes(damaged), shortcut=both)
        for group in measured(data):
            assert group.rows == rows
        for _ in range(3000):
            header = bytearray(data[4:64])
            header[dice.randrange(40)] = dice.randrange(256)
            fast = parquet_forms.page(bytes(header))
            if fast is not None:
                slow, end = structure(bytes(header))
                assert end == fast[1]
                assert {field: slow[field] for field in (1, 2, 3)} == {
                    field: fast[0][field] for field in (1, 2, 3)
                }
                assert {field: slow[5][field] for field in (1, 2)} == fast[0][5]


@given(st.binary(max_size=60))
def test_thrift_of_random_bytes(data: bytes) -> None:
    try:
        fields, end = structure(data)
    except (IndexError, ValueError):
        return
    assert end <= len(data)
    assert isinstance(fields, dict)


def test_thrift_that_nests_without_end() -> None:
    for data in (b"\x1c" * 100_000, b"\x19\x19" * 100_000, b"\x19" + b"\xf9\xff\x7f" * 50_000):
        with pytest.raises((IndexError, ValueError)):
            structure(data)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


# JSON lines


def lines_of(path: Path, chunk_rows: int = 65536) -> Chunk:
    """All chunks as one."""
    chunks = read(path, Format.JSONL, chunk_rows=chunk_rows)
    return Chunk(
        pa.concat_tables([CONTRACT.arrow_schema.empty_table(), *(chunk.table for chunk in chunks)]),
        tuple(row for chunk in chunks for row in chunk.rows),
        tuple(problem for chunk in chunks for problem in chunk.malformed),
        tuple(row for chunk in chunks for row in chunk.malformed_rows),
    )


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "null, which ends Arrow's process": (b"null", "object"),
    "a null after a document": (GOOD.encode() % 7 + b"null", "Extra data"),
    "two documents": (GOOD.encode() % 7 + b" " + GOOD.encode() % 8, "Extra data"),
    "two documents, no space": (b"{}{}", "Extra data"),
    "an array": (b"[]", "object"),
    "a number": (b"1", "object"),
    "an empty line": (b"", "empty line"),
    "white space": (b" \t ", "empty line"),
    "NaN": (b'{"origem":"a","codigo":"b","valor":NaN}', "NaN"),
    "Infinity": (b'{"origem":"a","codigo":"b","valor":-Infinity}', "-Infinity"),
    "a member twice": (b'{"origem":"a","origem":"b","codigo":"c"}', "'origem'"),
    "a line's member twice": (b'{"origem":"a","codigo":"c","itens":[{"numero":1,"numero":2}]}', "'numero'"),
    "deep nesting": (b'{"itens":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too deep"),
    "deep nesting of objects": (b'{"itens":' * 50_000 + b"1" + b"}" * 50_000, "too deep"),
    "half a document": (b'{"origem":"a","codi', "Unterminated"),
    "an open document": (b'{"origem":"a","codigo":"b"', "delimiter"),
    "a BOM": (b"\xef\xbb\xbf" + GOOD.encode() % 7, "BOM"),
    "no UTF-8": (b'{"origem":"a","codigo":"\xff\xfe"}', "utf-8"),
    "no UTF-8 in a member's name": (b'{"origem":"a","codigo":"b","\xff":1}', "utf-8"),
    "UTF-16": ('{"origem":"a"}'.encode("utf-16-le"), ""),
    "half a surrogate pair": (b'{"origem":"a","codigo":"\\ud800"}', "surrogate"),
    "a raw control character": (b'{"origem":"a","codigo":"\x01"}', "control character"),
    "a NUL byte": (b'{"origem":"a","codigo":"b"}\x00', "Extra data"),
    "a huge number": (b'{"origem":"a","codigo":"b","valor":' + b"9" * 5000 + b"}", ""),
    "a number beyond 64 bits": (b'{"origem":"a","codigo":"b","valor":9223372036854775808}', "64 bits"),
    "a fraction": (b'{"origem":"a","codigo":"b","valor":1.5}', "1.5"),
    "a text for a number": (b'{"origem":"a","codigo":"b","valor":"1"}', "valor"),
    "a number for a text": (b'{"origem":1,"codigo":"b"}', "origem"),
    "no date": (b'{"origem":"a","codigo":"b","dia":"2025-02-30"}', "dia"),
    "a date and time": (b'{"origem":"a","codigo":"b","dia":"2025-02-03T00:00:00"}', "dia"),
    "an unknown member": (b'{"origem":"a","codigo":"b","senha":"x"}', "senha"),
    "an unknown member of a line": (b'{"origem":"a","codigo":"b","itens":[{"numero":1,"x":1}]}', "x"),
    "an object for a list": (b'{"origem":"a","codigo":"b","itens":{"numero":1}}', "itens"),
    "nested deeper": (b'{"origem":"a","codigo":"b","itens":[{"numero":[1]}]}', "numero"),
    "a line too long": (b'{"origem":"a","codigo":"' + b"x" * (1 << 20) + b'"}', "1048576"),
    "a comment": (GOOD.encode() % 7 + b"//", "Extra data"),
    "a trailing comma": (b'{"origem":"a","codigo":"b",}', ""),
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_one_bad_line_is_one_bad_document(path: Path, line: bytes, reason: str) -> None:
    good = [GOOD.encode() % number for number in range(600)]
    for place in (0, 1, 300, 600):
        lines = [*good[:place], line, *good[place:]]
        path.write_bytes(b"\n".join(lines) + b"\n")
        found = lines_of(path)
        assert found.table["codigo"].to_pylist() == [f"p-{number}" for number in range(600)]
        assert found.rows == tuple(row for row in range(601) if row != place)
        assert {problem.row for problem in found.malformed} == {place}
        assert any(reason in problem.message for problem in found.malformed), found.malformed
        [(row, text)] = found.malformed_rows
        assert row == place
        assert text.removesuffix("…") in line.decode(errors="replace")
        with pytest.raises(RejectedError):
            read_many([path.read_bytes()], Format.JSONL, CONTRACT)


def test_only_bad_lines(path: Path) -> None:
    path.write_bytes(b"null\n" * 5)
    found = lines_of(path)
    assert found.table.num_rows == 0
    assert [row for row, _ in found.malformed_rows] == [0, 1, 2, 3, 4]
    with pytest.raises(RejectedError):
        read_many([b"null\n"], Format.JSONL, CONTRACT)


def test_what_is_merely_unusual_is_read(path: Path) -> None:
    path.write_bytes(
        b'{"origem":"a","codigo":"b","valor":1.0}\r\n'
        b' { "origem" : "a" , "codigo" : "c", "itens":[ {"numero":1} , {"numero":2} ] } \n'
        b'{"codigo":"} {\\u00e7\\/","origem":null,"itens":null,"avisos":[]}'  # and no newline at the end
    )
    found = lines_of(path)
    assert not found.malformed
    assert CONTRACT.documents(found.table) == [
        {"origem": "a", "codigo": "b", "valor": 1},
        {"origem": "a", "codigo": "c", "itens": [{"numero": 1}, {"numero": 2}]},
        {"codigo": "} {ç/", "avisos": []},
    ]


def test_lines_that_end_anywhere_in_a_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "LINE_BYTES_MAX", 300)
    lines = [
        b"x" * 1000,
        *(GOOD.encode() % number for number in range(20)),
        b"y" * 301,
        b"z" * 300,
        b"{}",
        b"x" * 5000,
    ]
    for newline in (b"\n", b"\r\n"):
        for end in (b"", newline):
            path.write_bytes(newline.join(lines) + end)
            for size in (1, 2, 7, 64, 299, 301, 1000, 100_000):
                monkeypatch.setattr(jsonlines, "BLOCK_BYTES", size)
                found = lines_of(path, chunk_rows=6)
                assert found.rows == (*range(1, 21), 23)
                assert [row for row, _ in found.malformed_rows] == [0, 21, 22, 24]
                long = [problem.row for problem in found.malformed if "300 bytes" in problem.message]
                assert long == [0, 21, 24]


def test_a_line_of_gigabytes_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(jsonlines, "LINE_BYTES_MAX", 1 << 12)
    path.write_bytes(b'{"origem":"' + b"x" * (20 << 20) + b'"}\n{}\n')
    found = lines_of(path)
    assert found.rows == (1,)
    [(row, text)] = found.malformed_rows
    assert (row, len(text)) == (0, jsonlines.SHOWN_CHARS + 1)


def test_nothing_but_malformed_lines_ends_soon(path: Path) -> None:
    path.write_bytes(b"\n" * 300_000)
    error = refused(path, Format.JSONL)
    assert error.code == "payload-unreadable"
    path.write_bytes(random.Random(1).randbytes(3 << 20))
    refused(path, Format.JSONL)


def test_many_tiny_documents_stay_in_small_chunks(path: Path) -> None:
    path.write_bytes(b"{}\n" * 200_000)
    chunks = read(path, Format.JSONL, chunk_rows=10_000)
    assert [chunk.count for chunk in chunks] == [10_000] * 20


FRAGMENT = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "null",
        "true",
        "1",
        "-0",
        "1.0",
        "1e2",
        " ",
        "\t",
        "\r",
        '"valor"',
        '"itens"',
        '"a"',
        "NaN",
        "ç",
        "\x00",
    ]
)


@given(st.integers(0, 200), st.lists(FRAGMENT, min_size=1, max_size=4), st.integers(0, 10))
def test_both_parsers_agree_on_a_mutated_line(at: int, inserted: list[str], removed: int) -> None:
    """What the fast parser takes, the strict one takes too, and finds the same."""
    line = json.dumps(
        CONTRACT.documents(table([document(3, nota="n", avisos=[{"numero": 1}, {}])]))[0], ensure_ascii=False
    )
    line = line[:at] + "".join(inserted) + line[at + removed :]
    parser = jsonlines._Parser(CONTRACT)
    fast = parser.fast(jsonlines._Block(line.encode() + b"\n", 1))
    if fast is not None:
        strict = parser._one_by_one([line.encode()], 0)
        assert not strict.malformed
        assert strict.table.to_pylist() == fast.to_pylist()


@given(
    st.lists(st.one_of(st.binary(max_size=30), st.just(GOOD.encode() % 1), st.just(b"{}")), max_size=8),
    st.booleans(),
)
def test_every_line_is_a_document_or_malformed(lines: list[bytes], newline: bool) -> None:
    data = b"\n".join(lines) + b"\n" * newline
    expected = len(data.removesuffix(b"\n").split(b"\n")) if data else 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payload"
        path.write_bytes(data)
        found = lines_of(path)
    assert sorted([*found.rows, *(row for row, _ in found.malformed_rows)]) == list(range(expected))
    assert found.table.num_rows == len(found.rows)


def test_a_source_of_chunks_can_be_left_early(path: Path) -> None:
    """The file must be closed then: Windows moves no open file to quarantine."""
    for kind in (Format.PARQUET, Format.JSONL):
        write_payload(path, kind, CONTRACT, [numbered(10)])
        chunks: Iterator[Chunk] = read_payload(path, kind, CONTRACT, chunk_rows=2)
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
        path.rename(path.with_suffix(".moved"))
