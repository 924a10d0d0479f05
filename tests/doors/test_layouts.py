"""Layouts: what their TOML may say, what becomes of files written by them, and what is told of files that are wrong."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filesync.contracts import Registry
from filesync.contracts.formats import s10_check_digit
from filesync.demo.billing_files import billing_file
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.sources import blocks, layout_keys
from filesync.sources.forms import Forms
from filesync.sources.layout_choice import choose, layouts, look, read_layout, shipped_layouts, site_layouts
from filesync.sources.layout_reading import LayoutReading, check_fields
from filesync.sources.layout_settings import parse_layout
from filesync.sources.layout_values import read_part
from filesync.sources.layouts import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from filesync.contracts import Contract
    from filesync.sources.layout_reading import Found
    from filesync.sources.layouts import Layout

Row = dict[str, Any]
DAY = date(2026, 3, 2)
SHIPPED = {layout.name: layout for layout in shipped_layouts()}
REGISTRY = Registry.packaged()


def contract_of(layout: Layout) -> Contract:
    contract = REGISTRY.latest(layout.dataset)
    assert contract is not None
    return contract


def row(number: int, **more: Any) -> Row:
    """The n-th row of a day: every field that is required, and a tracking code."""
    serial = f"{number:08d}"
    made = {
        "origem": "matriz", "data": DAY.isoformat(), "sub_caixa": "3", "numero_atendimento": str(number), "sequencia": 1, "servico": "03220",
        "codigo_rastreio": f"JT{serial}{s10_check_digit(serial)}BR", "quantidade": 1, "valor_cobrado_centavos": 1000 + number,
    } | more  # fmt: skip
    return {name: value for name, value in made.items() if value is not None}


def read(layout: Layout, path: Path, day: date | None = DAY) -> tuple[list[Row], Found]:
    """Everything that comes out of a file."""
    contract = contract_of(layout)
    reading = LayoutReading(layout, contract, path, site="matriz", day=day)
    got = [document for piece in reading.pieces() for document in contract.documents(piece.table)]
    return got, reading.found


def layout_of(text: str, name: str = "teste") -> Layout:
    return parse_layout(name, tomllib.loads(text), f"{name}.toml")


# ---------------------------------------------------------------- the shipped examples


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_layout_fits_its_contract_and_says_that_it_is_an_example(name: str) -> None:
    layout = SHIPPED[name]
    check_fields(layout, contract_of(layout))
    assert name.startswith("exemplo-")
    text = (Path(blocks.__file__).parents[1] / "layouts" / f"{name}.toml").read_text("utf-8")
    assert "NOT an official layout" in text


def test_there_is_one_of_each_kind_for_both() -> None:
    assert {(layout.dataset, layout.shape.value) for layout in SHIPPED.values()} == {
        ("bdf", "csv"), ("bdf", "fixed"), ("ca", "csv"), ("ca", "fixed")
    }  # fmt: skip


# ---------------------------------------------------------------- round trip

digits = st.text("0123456789", min_size=10, max_size=10)
#: What fits into all shipped layouts, and is written in one way by each: no leading zeros in a number, no zeros for "nothing".
rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "sub_caixa": st.integers(0, 9999).map(str),
            "numero_atendimento": st.integers(0, 10**9).map(str),
            "servico": st.text("0123456789", min_size=5, max_size=5),
            "quantidade": st.integers(0, 999_999),
            "valor_cobrado_centavos": st.integers(-(10**9), 10**10),
            "modalidade": st.sampled_from(["A VISTA", "A FATURAR"]),
        },
        optional={
            "codigo_rastreio": st.integers(0, 10**8 - 1).map(lambda n: f"{n:08d}").map(lambda s: f"JT{s}{s10_check_digit(s)}BR"),
            "peso_g": st.integers(0, 30_000),
            "valor_declarado_centavos": st.integers(1, 10**9),
            "contrato": digits.filter(lambda text: text.strip("0")),
            "cartao_postagem": digits.filter(lambda text: text.strip("0")),
            "comprovante": st.from_regex(r"[0-9A-Za-z][0-9A-Za-z./-]{0,14}", fullmatch=True),
            "mcu_unidade_postagem": st.integers(0, 10**8 - 1).map(str),
            "servico_adicional": st.lists(st.sampled_from(["001", "019", "25"]), min_size=1, max_size=5).map(",".join),
        },
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(SHIPPED))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_rows=rows_strategy,
    line_end=st.sampled_from(["\n", "\r\n"]),
    block=st.sampled_from([64, 400, 1 << 20]),
)
def test_rows_written_by_a_layout_read_back_as_they_were(
    name: str, tmp_path: Path, given_rows: list[Row], line_end: str, block: int
) -> None:
    layout = SHIPPED[name]
    counts: dict[tuple[str, str], int] = {}
    wanted = []
    for place, given_row in enumerate(given_rows, 1):
        key = (given_row["sub_caixa"], given_row["numero_atendimento"])
        counts[key] = counts.get(key, 0) + 1
        # Where the file has no number of its own, rows of an attendance are counted.
        number = counts[key] if layout.dataset == "ca" else place
        wanted.append({"origem": "matriz", "data": DAY.isoformat(), **given_row, "sequencia": number})
    path = tmp_path / "file.txt"
    path.write_bytes(billing_file(layout, DAY, wanted, line_end=line_end))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks.read_blocks, "__defaults__", (block,))  # borders of blocks fall anywhere
        got, found = read(layout, path)
    assert got == wanted
    assert (found.wrong, found.problems, found.details) == ([], [], len(wanted))


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_file_of_no_rows_is_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(billing_file(SHIPPED[name], DAY, []))
    got, found = read(SHIPPED[name], path)
    assert (got, found.details, found.wrong) == ([], 0, [])


# ---------------------------------------------------------------- values

FORMS = Forms(",", ".", "dd/mm/aaaa")


def part(**more: Any) -> Part:
    return Part("campo", 1, 10, **more)


@pytest.mark.parametrize(
    ("rule", "kind", "text", "value"),
    [
        (part(), pa.string(), "abc", "abc"),
        (part(), pa.string(), "", None),
        (part(trim="0"), pa.string(), "0042", "42"),
        (part(trim="0"), pa.string(), "0000", "0"),
        (part(trim="0", empty=("0000",)), pa.string(), "0000", None),
        (part(empty=("-",)), pa.string(), "-", None),
        (part(default="x"), pa.string(), "", "x"),
        (part(lookup={"V": "A VISTA"}), pa.string(), "V", "A VISTA"),
        (part(lookup={"1": "2026-03-02"}, date="aaaa-mm-dd"), pa.date32(), "1", DAY),
        (part(), pa.date32(), "02/03/2026", DAY),
        (part(date="ddmmaaaa"), pa.date32(), "02032026", DAY),
        (part(date="aammdd"), pa.date32(), "260302", DAY),
        (part(), pa.int64(), "12", 12),
        (part(), pa.int64(), "0012", 12),
        (part(), pa.int64(), "1.234", 1234),
        (part(scale=100), pa.int64(), "1.234,56", 123456),
        (part(scale=100), pa.int64(), "-0,01", -1),
        (part(scale=100), pa.int64(), "7", 700),
        (part(decimals=2, scale=100), pa.int64(), "0000012345", 12345),
        (part(decimals=2, scale=100), pa.int64(), "-000012345", -12345),
        (part(decimals=2, scale=100), pa.int64(), "+12345", 12345),
        (part(decimals=3, scale=1000), pa.int64(), "000001500", 1500),
        (part(decimals=1, scale=100), pa.int64(), "15", 150),
        (part(decimals=2, scale=100), pa.int64(), "9" * 18, int("9" * 18)),
        (part(default=0), pa.int64(), "", 0),
    ],
)
def test_a_text_becomes_its_value(rule: Part, kind: pa.DataType, text: str, value: object) -> None:
    values, unread = read_part(rule, kind, pa.array([text, text]), FORMS)
    assert values.to_pylist() == [value, value]
    assert unread == []


@pytest.mark.parametrize(
    ("rule", "kind", "text", "expected"),
    [
        (part(lookup={"V": "A VISTA", "F": "A FATURAR"}), pa.string(), "X", "one of V, F"),
        (part(), pa.date32(), "31/02/2026", "a date like dd/mm/aaaa"),
        (part(date="ddmmaaaa"), pa.date32(), "2026-03-02", "a date like ddmmaaaa"),
        (part(), pa.int64(), "1,5", "a number like 1.234"),
        (part(), pa.int64(), "12A", "a number like 1.234"),
        (part(scale=100), pa.int64(), "1,234", "a number like 1.234,56"),
        (part(decimals=2, scale=100), pa.int64(), "12,34", "digits, the last 2 of them decimals"),
        (part(decimals=2, scale=100), pa.int64(), "12 34", "digits, the last 2 of them decimals"),
        (part(scale=100), pa.int64(), "9" * 19, "a number like 1.234,56"),
        (part(default="x", lookup={"V": "A VISTA"}), pa.string(), "X", "one of V"),
    ],
)
def test_a_text_that_is_something_else_has_no_value_and_is_told(
    rule: Part, kind: pa.DataType, text: str, expected: str
) -> None:
    values, ((rows, said),) = read_part(rule, kind, pa.array(["", text]), FORMS)
    assert values[1].as_py() is None
    assert rows.tolist() == [1]
    assert said == expected


def test_rows_are_numbered_within_their_attendance_from_piece_to_piece() -> None:
    numbering = layout_keys.Numbering()
    first = numbering.numbers([pa.array(["a", "b", "a", None]), pa.array(["1", "1", "1", "1"])])
    second = numbering.numbers([pa.array(["b", "a", None, "c"]), pa.array(["1", "1", "1", "1"])])
    assert first.to_pylist() == [1, 1, 2, 1]
    assert second.to_pylist() == [2, 3, 2, 1]
    assert numbering.numbers([pa.array([], pa.string()), pa.array([], pa.string())]).to_pylist() == []


# ---------------------------------------------------------------- files that are wrong


def lines_of(layout: Layout, count: int = 5) -> list[bytes]:
    return billing_file(layout, DAY, [row(n) for n in range(1, count + 1)]).splitlines(keepends=True)


def without_trailer(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


def cut_in_the_middle_of_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3][:40]]


def two_headers(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines]


def a_header_in_the_middle(lines: list[bytes]) -> list[bytes]:
    return [*lines[1:3], lines[0], *lines[3:]]


def two_files_in_one(lines: list[bytes]) -> list[bytes]:
    return [*lines, *lines]


def rows_after_the_trailer(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[1]]


def two_trailers(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[-1]]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_trailer, r"expected a trailer \(marked '9'\) as the last record, got none: was the file cut off\?"),
        (cut_in_the_middle_of_a_line, "was the file cut off"),
        (two_headers, "line 2: expected one header, got a second one"),
        (a_header_in_the_middle, "line 3: expected the header as the first record"),
        (two_files_in_one, r"expected (one header|nothing after the trailer)"),
        (rows_after_the_trailer, r"line 8: expected nothing after the trailer \(line 7\)"),
        (two_trailers, r"line 8: expected one trailer, got a second one"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
@pytest.mark.parametrize("block", [200, 1 << 20])
def test_records_in_another_order_refuse_the_file(
    damage: Callable[[list[bytes]], list[bytes]],
    said: str,
    block: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layout = SHIPPED["exemplo-bdf-posicional"]
    path = tmp_path / "bdf.txt"
    path.write_bytes(b"".join(damage(lines_of(layout))))
    monkeypatch.setattr(blocks.read_blocks, "__defaults__", (block,))
    with pytest.raises(RejectedError, match=said) as raised:
        read(layout, path)
    assert raised.value.code == "layout-records"
    assert raised.value.message.startswith("bdf.txt: ")


def test_what_the_trailer_counts_and_adds_up_is_compared_with_every_detail(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-bdf-posicional"]
    lines = lines_of(layout)
    path = tmp_path / "bdf.txt"
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    _, found = read(layout, path)
    assert [(problem.code, problem.message) for problem in found.wrong] == [
        ("layout-sums", "bdf.txt, line 6, linhas of the trailer: expected 4 (the details counted), got 5"),
        (
            "layout-sums",
            "bdf.txt, line 6, valor of the trailer: expected 4013 (the sum of valor_cobrado_centavos), got 5015",
        ),
    ]
    assert [(said.name, said.right) for said in found.said if said.record == "trailer"] == [
        ("linhas", False),
        ("valor", False),
    ]


def test_a_row_that_is_set_aside_still_counts_for_the_trailer(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-bdf-csv"]
    lines = lines_of(layout)
    lines[2] = lines[2].replace(b"03220", b"3220X")
    path = tmp_path / "bdf.csv"
    path.write_bytes(b"".join(lines))
    got, found = read(layout, path)
    assert (len(got), found.details, found.bad, found.wrong) == (4, 5, 1, [])
    assert found.problems[0].row == 3
    assert found.problems[0].message.startswith("bdf.csv, line 3, servico: ")


BAD_LINES = [
    ("exemplo-bdf-posicional", lambda line: line[:-3] + b"\r\n", None, None),  # cut = true: spaces at the end were cut
    ("exemplo-bdf-posicional", lambda line: line[:-2] + b"!\r\n", "row-malformed", "line 3: expected at most 170 characters, got 171"),
    ("exemplo-bdf-posicional", lambda line: b"7" + line[1:], "row-malformed", "line 3: expected a record marked '0', '9', '1', got '7"),
    ("exemplo-bdf-posicional", lambda line: line[:1] + b"32132026" + line[9:], "value-unreadable", "line 3, data (positions 2-9): expected a date like ddmmaaaa, got '32132026'"),
    ("exemplo-bdf-posicional", lambda line: line[:1] + b"03032026" + line[9:], "row-of-another-day", "line 3, data: expected 2026-03-02, the day of the file, got 2026-03-03"),
    ("exemplo-bdf-posicional", lambda line: line[:34] + b"JT000000021BR" + line[47:], "format", "line 3, codigo_rastreio: "),
    ("exemplo-bdf-posicional", lambda line: line[:29] + b"     " + line[34:], "required", "line 3"),
    ("exemplo-bdf-csv", lambda line: line.replace(b";", b",", 1), "row-malformed", "line 3: expected a record marked 'H', 'T', 'D', got "),
    ("exemplo-bdf-csv", lambda line: line[:-2] + b";mais\r\n", "row-malformed", "line 3: expected 17 columns, got 18"),
    ("exemplo-bdf-csv", lambda line: line.replace(b"10,02", b"10.02"), "value-unreadable", "line 3, valor_cobrado_centavos (column 11): expected a number like 1.234,56, got '10.02'"),
    ("exemplo-bdf-csv", lambda line: line.replace(b"03220", b'"03220'), "row-malformed", "line 3: cannot be split"),
    ("exemplo-ca-csv", lambda line: line.replace(b"10.02", b"dez"), "value-unreadable", "line 3, valor_cobrado_centavos (column Valor): expected a number like 1234.56, got 'dez'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "code", "said"), BAD_LINES)
def test_a_bad_line_is_named_and_the_others_are_read(
    name: str, damage: Callable[[bytes], bytes], code: str | None, said: str | None, tmp_path: Path
) -> None:
    layout = SHIPPED[name]
    lines = lines_of(layout)
    lines[2] = damage(lines[2])
    path = tmp_path / "file.txt"
    path.write_bytes(b"".join(lines))
    got, found = read(layout, path)
    if code is None:
        assert (len(got), found.bad) == (5, 0)
        return
    assert (len(got), found.bad) == (4, 1)
    (problem,) = [one for one in found.problems if one.row == 3]
    assert problem.code == code
    assert problem.message.startswith(f"file.txt, {said}")
    assert '"line": 3' in found.aside[0]


def test_a_layout_for_another_file_is_found_out_before_everything_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filesync.sources.layout_reading.ASIDE_MAX", 3)
    path = tmp_path / "bdf.txt"
    lines = lines_of(SHIPPED["exemplo-bdf-csv"], 9)
    path.write_bytes(b"".join(line.replace(b"03220", b"X") for line in lines))
    with pytest.raises(
        RejectedError,
        match=r"more than 3 rows cannot be read by the layout exemplo-bdf-csv; the first: bdf\.txt, line 2, servico",
    ):
        read(SHIPPED["exemplo-bdf-csv"], path)


def test_keys_that_stand_twice_are_named_by_their_lines(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-bdf-csv"]
    path = tmp_path / "bdf.csv"
    path.write_bytes(billing_file(layout, DAY, [row(1), row(2), row(1)]))
    _, found = read(layout, path)
    assert [problem.code for problem in found.wrong] == ["duplicate-key"]
    assert found.wrong[0].message.endswith("got 1 rows whose key stands before: lines 2 and 4")


# ---------------------------------------------------------------- bytes


def test_fixed_positions_are_characters_in_every_encoding(tmp_path: Path) -> None:
    text = (Path(blocks.__file__).parents[1] / "layouts" / "exemplo-bdf-posicional.toml").read_text("utf-8")
    wanted = [
        row(1, modalidade="À VISTA", comprovante="A1"),
        row(2, modalidade="FATURADO"),
        row(3, modalidade="CARTÃO ÇÉ"),
    ]
    for encoding in ("latin-1", "cp1252", "utf-8"):
        layout = layout_of(text.replace('encoding = "latin-1"', f'encoding = "{encoding}"'))
        path = tmp_path / "bdf.txt"
        path.write_bytes(billing_file(layout, DAY, wanted))
        got, found = read(layout, path)
        assert got == wanted, encoding
        assert found.wrong == []


def test_an_encoding_that_is_not_the_files_is_told_with_its_line(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-ca-csv"]
    path = tmp_path / "ca.csv"
    lines = billing_file(layout, DAY, [row(1), row(2)]).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"03220", "03220ã".encode("latin-1"))]))
    with pytest.raises(RejectedError, match=r"line 3 \(byte 0xE3\) is not utf-8") as raised:
        read(layout, path)
    assert raised.value.code == "source-unreadable"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfeH\0", "UTF-16"), (b"\xef\xbb\xbfH;BDF;02/03/2026\r\n", "begins as UTF-8 files do")],
)
def test_other_encodings_are_told(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bdf.csv"
    path.write_bytes(content)
    with pytest.raises(RejectedError, match=said):
        read(SHIPPED["exemplo-bdf-csv"], path)


def test_a_byte_order_mark_blank_lines_and_the_end_mark_of_dos_are_no_records(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-ca-csv"]
    path = tmp_path / "ca.csv"
    content = billing_file(layout, DAY, [row(1), row(2)])
    path.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\r\n", b"\r\n\r\n  \r\n") + b"\x1a")
    got, found = read(layout, path)
    assert got == [row(1), row(2)]
    assert found.details == 2


def test_a_missing_line_end_at_the_end_is_no_harm(tmp_path: Path) -> None:
    for layout in SHIPPED.values():
        path = tmp_path / "file.txt"
        path.write_bytes(billing_file(layout, DAY, [row(1), row(2)]).rstrip(b"\r\n"))
        got, found = read(layout, path)
        assert got == [row(1), row(2)]
        assert found.wrong == []


def test_a_file_without_line_ends_is_no_file_of_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "LINE_BYTES_MAX", 100)
    path = tmp_path / "bdf.txt"
    path.write_bytes(b"0" * 1000)
    with pytest.raises(RejectedError, match="longer than 100 bytes"):
        read(SHIPPED["exemplo-bdf-posicional"], path)


def test_names_may_stand_in_any_order_and_quoted(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-ca-csv"]
    lines = billing_file(layout, DAY, [row(1), row(2)]).decode().splitlines()
    cells = [line.split(";") for line in lines]
    path = tmp_path / "ca.csv"
    path.write_text("\n".join(";".join(f'"{cell}"' for cell in line[::-1]) for line in cells), "utf-8")
    got, _ = read(layout, path)
    assert got == [row(1), row(2)]


# ---------------------------------------------------------------- choosing


def site(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "layouts").mkdir(exist_ok=True)
    for name, text in files.items():
        (tmp_path / "layouts" / f"{name}.toml").write_text(text, "utf-8")
    return tmp_path


def shipped_text(name: str) -> str:
    return (Path(blocks.__file__).parents[1] / "layouts" / f"{name}.toml").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_file_finds_its_layout_and_its_day(name: str, tmp_path: Path) -> None:
    layout = SHIPPED[name]
    path = tmp_path / "file.txt"
    path.write_bytes(billing_file(layout, DAY, [row(1)]))
    found = choose(layouts(tmp_path), layout.dataset, path)
    assert found.layout.name == name
    assert found.day == (None if layout.header is None else DAY)


def test_the_sites_own_layout_goes_before_the_shipped_ones(tmp_path: Path) -> None:
    root = site(tmp_path, meu=shipped_text("exemplo-bdf-csv"))
    path = tmp_path / "bdf.csv"
    path.write_bytes(billing_file(SHIPPED["exemplo-bdf-csv"], DAY, [row(1)]))
    assert choose(layouts(root), "bdf", path).layout.name == "meu"
    assert [layout.name for layout in site_layouts(root)] == ["meu"]
    hidden = site(tmp_path, **{"exemplo-bdf-csv": shipped_text("exemplo-bdf-csv")})
    assert [layout.origin for layout in layouts(hidden) if layout.name == "exemplo-bdf-csv"] == [
        "layouts/exemplo-bdf-csv.toml"
    ]


def test_several_that_fit_are_listed_and_one_can_be_named(tmp_path: Path) -> None:
    text = shipped_text("exemplo-bdf-csv")
    root = site(tmp_path, um=text, dois=text)
    path = tmp_path / "bdf.csv"
    path.write_bytes(billing_file(SHIPPED["exemplo-bdf-csv"], DAY, [row(1)]))
    with pytest.raises(ConfigError, match="may be of 2 layouts: dois, um; name one with --layout") as raised:
        choose(layouts(root), "bdf", path)
    assert raised.value.code == "layout-ambiguous"
    assert choose(layouts(root), "bdf", path, "um").layout.name == "um"


def test_a_file_of_no_layout_is_told_why_it_is_none_of_each(tmp_path: Path) -> None:
    path = tmp_path / "nota.txt"
    path.write_bytes(b"Prezados, segue anexo\r\n")
    with pytest.raises(RejectedError) as raised:
        choose(layouts(tmp_path), "bdf", path)
    assert raised.value.code == "layout-none"
    assert raised.value.message.splitlines() == [
        "nota.txt is of no known layout of bdf:",
        "  exemplo-bdf-csv: expected a header marked 'H' as the first record",
        "  exemplo-bdf-posicional: expected a header marked '0' as the first record",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"H;XYZ;02/03/2026\r\n", "line 1, arquivo of the header: expected BDF, got 'XYZ'"),
        (
            b"H;BDF;2026-03-02\r\n",
            "line 1, data of the header: expected a date like dd/mm/aaaa, got '2026-03-02'",
        ),
        (b"H;BDF\r\n", "line 1, data: expected a value in column 3, the line ends before it"),
        (b"H;BDF;02/03/2026\r\nX;1\r\n", "line 2: expected a record marked 'H', 'T', 'D', got 'X;1'"),
    ],
)
def test_why_a_file_is_not_of_a_layout(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "bdf.csv"
    path.write_bytes(content)
    assert look(SHIPPED["exemplo-bdf-csv"], path).why == why


def test_a_layout_that_is_named_must_be_there_and_fit(tmp_path: Path) -> None:
    path = tmp_path / "bdf.csv"
    path.write_bytes(billing_file(SHIPPED["exemplo-bdf-csv"], DAY, []))
    with pytest.raises(
        ConfigError,
        match="no layout of bdf is called 'nenhum'; known: exemplo-bdf-csv, exemplo-bdf-posicional",
    ):
        choose(layouts(tmp_path), "bdf", path, "nenhum")
    with pytest.raises(
        RejectedError, match="is not of the layout exemplo-bdf-posicional: expected a header marked '0'"
    ):
        choose(layouts(tmp_path), "bdf", path, "exemplo-bdf-posicional")


def test_a_file_that_is_not_there_or_held(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        look(SHIPPED["exemplo-bdf-csv"], tmp_path / "nada.txt")


# ---------------------------------------------------------------- the TOML form

BASE = """
dataset = "bdf"
shape = "fixed"
width = 20
[records.detail]
marker = "1"
[records.detail.fields]
servico = { at = [2, 6] }
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BASE.replace('shape = "fixed"', 'shape = "xml"'), "shape: expected one of fixed, csv, got 'xml'"),
        (BASE.replace("width = 20", ""), "width: expected a whole number from 1 to 10000, got None"),
        (BASE + "x = 1\n", "records.detail.fields.x: expected a table, got 1"),
        (BASE.replace("[2, 6]", "[6, 2]"), "records.detail.fields.servico.at: expected positions from 1 to 20"),
        (BASE.replace("[2, 6]", "[2, 26]"), "expected positions from 1 to 20 (width), got 2 to 26"),
        (BASE.replace("[2, 6]", '"2-6"'), "expected [first, last], got '2-6'"),
        (BASE.replace("at = [2, 6]", "column = 2"), "records.detail.fields.servico: expected at in a fixed layout"),
        (BASE.replace("at = [2, 6]", 'at = [2, 6], data = "x"'), "records.detail.fields.servico.data: no such setting"),
        (BASE.replace("at = [2, 6]", 'at = [2, 6], date = "dd/mm"'), "needs a year, a month and a day"),
        (BASE.replace("at = [2, 6]", "at = [2, 6], decimals = 2"), "2 decimals do not fit"),
        (BASE.replace("at = [2, 6]", 'header = "data"'), "the header has no part called 'data'"),
        (BASE.replace("at = [2, 6]", 'count_within = ["data"]'), "'data' is not read from the file"),
        (BASE.replace("at = [2, 6]", 'value = "03220", at = [2, 6]'), "nothing may stand beside value"),
        (BASE + "[records.trailer]\n", "records.trailer.marker: is needed"),
        (BASE + '[records.trailer]\nmarker = "1"\n', "two kinds of records have the same marker"),
        (BASE + "[records.rodape]\n", "records.rodape: expected header, detail or trailer"),
        (BASE + '[records.trailer]\nmarker = "9"\n[records.trailer.fields]\nv = { at = [2, 9], sum_of = "valor" }\n', "'valor' is not read from the details"),
        (BASE + '[records.trailer]\nmarker = "9"\n[records.trailer.fields]\nv = { at = [2, 9], counts = "tudo" }\n', "expected one of details, records, got 'tudo'"),
        (BASE + '[records.trailer]\nmarker = "9"\n[records.trailer.fields]\nv = { at = [2, 9], day = true, equals = "x" }\n', "day and equals cannot stand together"),
        (BASE + '[records.header]\nmarker = "ç"\n', "expected plain letters and digits"),
        (BASE.replace('shape = "fixed"', 'shape = "fixed"\ndecimal = "7"'), "decimal: cannot be '7'"),
        (BASE.replace('shape = "fixed"', 'shape = "fixed"\nthousands = ","'), "thousands: is the same as decimal"),
        (BASE.replace('shape = "fixed"', 'shape = "fixed"\nencoding = "ebcdic"'), "expected utf-8, latin-1 or cp1252"),
        (BASE.replace('shape = "fixed"', 'shape = "fixed"\ndelimiter = ";"'), "delimiter: no such setting for fixed"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_layout_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        layout_of(text)
    assert raised.value.code == "layout-invalid"
    assert said in raised.value.message


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        layout_of(BASE.replace("width = 20", "width = 0").replace('dataset = "bdf"', "dataset = 3"))
    assert "width" in raised.value.message
    assert "dataset" in raised.value.message


def test_a_layout_must_give_what_its_contract_needs_and_nothing_else() -> None:
    layout = layout_of(BASE + "cor = { at = [7, 8] }\n")
    with pytest.raises(ConfigError) as raised:
        check_fields(layout, contract_of(layout))
    assert raised.value.code == "layout-unfit"
    assert "has no field cor" in raised.value.message
    assert (
        "expected a rule for data, numero_atendimento, quantidade, sequencia, sub_caixa, valor_cobrado_centavos"
        in raised.value.message
    )


def test_a_name_or_a_text_that_is_no_layout(tmp_path: Path) -> None:
    path = tmp_path / "não vale.toml"
    path.write_text(BASE, "utf-8")
    with pytest.raises(ConfigError, match="name: of the file"):
        read_layout(path)
    path = tmp_path / "broken.toml"
    path.write_text("dataset = ", "utf-8")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        read_layout(path)


def test_a_changed_layout_has_another_digest() -> None:
    one, other = layout_of(BASE), layout_of(BASE.replace("[2, 6]", "[3, 7]"))
    assert one.digest != other.digest
    assert layout_of(BASE, "another-name").digest == one.digest


def test_a_file_that_is_written_to_while_it_is_read_is_left_for_later(tmp_path: Path) -> None:
    layout = SHIPPED["exemplo-bdf-csv"]
    path = tmp_path / "bdf.csv"
    path.write_bytes(billing_file(layout, DAY, [row(1), row(2)]))
    reading = LayoutReading(layout, contract_of(layout), path, site="matriz", day=DAY)
    pieces = reading.pieces()
    next(pieces)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(TransportError, match="written to while it was read"):
        list(pieces)
