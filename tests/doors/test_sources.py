"""Files in, documents out: CSV, JSON lines and Parquet, with and without a mapping; what is set aside, what
is refused, and why.
"""

import json
import os
import random
from copy import deepcopy
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.contracts import Contract, Registry
from filesync.errors import ConfigError, RejectedError, TransportError
from filesync.sources import Captured, SourceSettings, delimited, read_source, source_files

HEADER = "Cupom;Dia;Hora;Código;Descrição;Qtd;Preço"

#: An old till's report: one line per item, in Brazilian form.
TILL: dict[str, Any] = {
    "kind": "csv",
    "delimiter": ";",
    "decimal": ",",
    "thousands": ".",
    "date": "dd/mm/aaaa",
    "datetime": "dd/mm/aaaa HH:MM",
    "offset": "-03:00",
    "group_by": ["Cupom"],
    "columns": {
        "venda_id": {"uuid_of": ["Cupom"]},
        "caixa": {"value": "01"},
        "serie": {"column": "Cupom", "extract": "^[A-Z]", "default": "1"},
        "numero": {"column": "Cupom", "extract": "[0-9]+$"},
        "situacao": {"column": "Cupom", "match": [["^C", "cancelada"], ["", "concluida"]]},
        "data_movimento": "Dia",
        "registrada_em": {"column": "Hora", "take": "first"},
        "total_itens_centavos": {"sum_of": "itens.total_centavos"},
        "total_postagens_centavos": {"value": 0},
        "desconto_centavos": {"value": 0},
        "total_centavos": {"sum_of": "itens.total_centavos"},
        "itens": {
            "numero": {"line_number": True},
            "produto": "Código",
            "descricao": "Descrição",
            "quantidade_milesimos": {"column": "Qtd", "scale": 1000},
            "valor_unitario_centavos": {"column": "Preço", "scale": 100},
            "total_centavos": {"product_of": ["Qtd", "Preço"], "scale": 100, "round": "half-even"},
        },
        "pagamentos": {
            "*": "document",
            "numero": {"value": 1},
            "forma": {"value": "01"},
            "valor_centavos": {"sum_of": "itens.total_centavos"},
        },
    },
}

CADASTRO = "codigo;descricao;unidade;preco_centavos;vigencia_inicio;ativo"


def contract(dataset: str) -> Contract:
    found = Registry.packaged().get(dataset, 1)
    assert found is not None
    return found


VENDAS, PRODUTOS = contract("vendas"), contract("produtos")


def till(**changed: Any) -> dict[str, Any]:
    return {**deepcopy(TILL), **changed}


def with_rules(**rules: Any) -> dict[str, Any]:
    changed = till()
    changed["columns"].update(rules)
    return changed


def line(cupom: str = "7", day: str = "31/12/2025", time: str = "31/12/2025 10:22", code: str = "A1", name: str = "Caneta",
         amount: str = "2", price: str = "1,50") -> str:  # fmt: skip
    return f"{cupom};{day};{time};{code};{name};{amount};{price}"


def read(
    path: Path, data: str | bytes, settings: dict[str, Any] = TILL, to: Contract = VENDAS
) -> list[Captured]:
    """Write the file, read it, and see that reading left it as it was."""
    if isinstance(data, str):
        data = data.encode()
    path.write_bytes(data)
    stamp = path.stat().st_mtime_ns
    found = list(
        read_source(SourceSettings.from_toml(settings), to, root=path.parent, site="caixa-01", path=path)
    )
    assert path.read_bytes() == data
    assert path.stat().st_mtime_ns == stamp
    assert all(captured.table.schema.equals(to.arrow_schema) for captured in found)
    assert all(len(captured.lines) == captured.table.num_rows for captured in found)
    return found


def one(path: Path, data: str | bytes, settings: dict[str, Any] = TILL, to: Contract = VENDAS) -> Captured:
    [found] = read(path, data, settings, to)
    return found


def rejected(path: Path, data: str | bytes, settings: dict[str, Any] = TILL, to: Contract = VENDAS) -> str:
    with pytest.raises(RejectedError) as caught:
        read(path, data, settings, to)
    assert caught.value.code == "source-unreadable"
    assert caught.value.message.startswith(path.name)
    return caught.value.message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vendas.csv"


# --- grouping and rules


def test_lines_become_documents_in_the_order_of_their_first_lines(path: Path) -> None:
    text = "\n".join(
        [
            HEADER,
            line("9"),
            line("C8", price="1.234,50", amount="0,5"),
            line("9", code="A2", price="3,00", time="31/12/2025 10:25"),
            "",
        ]
    )
    found = one(path, text)
    assert not found.problems
    assert found.lines.tolist() == [2, 3]
    assert VENDAS.validate(found.table).ok
    nine, eight = VENDAS.documents(found.table)
    assert (nine["numero"], nine["serie"], nine["situacao"]) == (9, "1", "concluida")
    assert (eight["numero"], eight["serie"], eight["situacao"]) == (8, "C", "cancelada")
    assert nine["origem"] == "caixa-01"
    assert nine["registrada_em"] == "2025-12-31T10:22:00-03:00"
    assert nine["data_movimento"] == "2025-12-31"
    assert nine["total_centavos"] == 900
    assert nine["itens"] == [
        {"numero": 1, "produto": "A1", "descricao": "Caneta", "quantidade_milesimos": 2000, "valor_unitario_centavos": 150, "total_centavos": 300},
        {"numero": 2, "produto": "A2", "descricao": "Caneta", "quantidade_milesimos": 2000, "valor_unitario_centavos": 300, "total_centavos": 600},
    ]  # fmt: skip
    assert nine["pagamentos"] == [{"numero": 1, "forma": "01", "valor_centavos": 900}]
    assert eight["total_centavos"] == 61725
    assert "postagens" not in nine


def test_ids_are_the_same_for_ever(path: Path) -> None:
    [sale] = VENDAS.documents(one(path, f"{HEADER}\n{line()}").table)
    assert sale["venda_id"] == "d14512b7-d3d7-50e0-a048-3317fa50612e"
    # Another origin, another sale; the same columns joined otherwise, another sale.
    elsewhere = till()
    elsewhere["columns"]["origem"] = {"value": "caixa-02"}
    [other] = VENDAS.documents(one(path, f"{HEADER}\n{line()}", elsewhere).table)
    assert other["venda_id"] != sale["venda_id"]
    split = with_rules(venda_id={"uuid_of": ["Cupom", "Código"]})
    ids = [
        VENDAS.documents(one(path, f"{HEADER}\n{line(a, code=b)}", split).table)[0]["venda_id"]
        for a, b in (("11", "2"), ("1", "12"))
    ]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("take", "time"), [("first", "10:25"), ("last", "10:22"), ("min", "09:59"), ("max", "10:25")]
)
def test_which_line_a_document_takes_its_value_from(path: Path, take: str, time: str) -> None:
    lines = [line(time=f"31/12/2025 {each}") for each in ("10:25", "09:59", "10:22")]
    found = one(path, "\n".join([HEADER, *lines]), with_rules(registrada_em={"column": "Hora", "take": take}))
    assert found.table["registrada_em"].to_pylist() == [f"2025-12-31T{time}:00-03:00"]


@pytest.mark.parametrize(
    ("take", "wanted"), [("min", "2025-12-31T10:00:00+02:00"), ("max", "2025-12-31T09:00:00-03:00")]
)
def test_date_times_of_several_offsets_compare_as_instants(path: Path, take: str, wanted: str) -> None:
    lines = [line(time="2025-12-31T09:00:00-03:00"), line(time="2025-12-31T10:00:00+02:00")]
    given = with_rules(registrada_em={"column": "Hora", "take": take})
    del given["datetime"]
    assert one(path, "\n".join([HEADER, *lines]), given).table["registrada_em"].to_pylist() == [wanted]


def test_values_that_differ_inside_a_document_set_it_aside(path: Path) -> None:
    found = one(path, "\n".join([HEADER, line("7"), line("7", day="30/12/2025"), line("8")]))
    assert found.table["numero"].to_pylist() == [8]
    [problem] = found.problems
    assert (problem.code, problem.row, problem.relation, problem.pointer) == (
        "values-differ",
        3,
        "vendas",
        "/data_movimento",
    )
    assert '"2025-12-31" and then "2025-12-30"' in problem.message
    [aside] = found.set_aside
    assert aside["line"] == 2
    assert [row["line"] for row in aside["rows"]] == [2, 3]
    assert aside["rows"][1]["values"]["Dia"] == "30/12/2025"
    json.dumps(found.set_aside)


def test_lookup_and_defaults(path: Path) -> None:
    given = with_rules(
        caixa={"column": "Código", "lookup": {"A1": "01", "A2": "02"}, "take": "first"},
        operador={
            "column": "Descrição",
            "extract": "op=(?P<value>[a-z]+)",
            "default": "ninguem",
            "take": "first",
        },
    )
    text = "\n".join(
        [HEADER, line("1", name="x op=ana y"), line("2", code="A2"), line("3", code="A3"), line("4", name="")]
    )
    found = one(path, text, given)
    assert found.table.select(["numero", "caixa", "operador"]).to_pylist() == [
        {"numero": 1, "caixa": "01", "operador": "ana"},
        {"numero": 2, "caixa": "02", "operador": "ninguem"},
        {"numero": 4, "caixa": "01", "operador": "ninguem"},
    ]
    [problem] = found.problems
    assert problem.message == 'line 4, caixa: column Código: "A3" is not in the lookup table'


def test_the_name_of_the_file_is_a_column(path: Path) -> None:
    given = with_rules(data_movimento={"column": "source_file", "extract": "[0-9]{8}", "as": "aaaammdd"})
    named = path.with_name("vendas-20251230.csv")
    assert one(named, f"{HEADER}\n{line()}", given).table["data_movimento"].to_pylist() == [
        date(2025, 12, 30)
    ]


def test_without_group_by_every_line_is_a_document(path: Path) -> None:
    given = till()
    del given["group_by"]
    found = one(
        path,
        "\n".join([HEADER, line("1"), line("1"), line("2", amount="x"), "3;too;short", line("4")]),
        given,
    )
    assert found.table["numero"].to_pylist() == [1, 1, 4]
    assert found.lines.tolist() == [2, 3, 6]
    assert [(problem.code, problem.row) for problem in found.problems] == [
        ("value-unreadable", 4),
        ("value-unreadable", 4),
        ("line-malformed", 5),
    ]
    assert found.set_aside[1]["rows"] == [{"line": 5, "text": "3;too;short"}]


# --- values that do not fit


@pytest.mark.parametrize(
    ("bad", "field", "said"),
    [
        ({"price": "1,505"}, "itens/1/valor_unitario_centavos", '"1,505" times 100 is not a whole number'),
        ({"price": "1.5"}, "itens/1/valor_unitario_centavos", '"1.5" is not a number written like 1.234,56'),
        ({"price": ""}, "itens/1/valor_unitario_centavos", "column Preço is empty"),
        ({"amount": "0,0001"}, "itens/1/quantidade_milesimos", '"0,0001" times 1000 is not a whole number'),
        ({"code": ""}, "itens/1/produto", "column Código is empty, and the field is required"),
        ({"day": "31/02/2025"}, "data_movimento", '"31/02/2025" is not a day or time that exists'),
        ({"day": "2025-12-31"}, "data_movimento", '"2025-12-31" is not written like dd/mm/aaaa'),
        (
            {"time": "31/12/2025 25:00"},
            "registrada_em",
            '"31/12/2025 25:00" is not a day or time that exists',
        ),
    ],
)
def test_one_unreadable_value_sets_the_whole_document_aside(
    path: Path, bad: dict[str, str], field: str, said: str
) -> None:
    found = one(path, "\n".join([HEADER, line("7"), line("8"), line("7", **bad), line("9")]))
    assert found.table["numero"].to_pylist() == [8, 9]
    assert found.lines.tolist() == [3, 5]
    problem = next(problem for problem in found.problems if problem.pointer == f"/{field}")
    assert said in problem.message
    assert problem.message.startswith("line 4, ")
    assert problem.row == 4
    assert [row["line"] for row in found.set_aside[0]["rows"]] == [2, 4]


def test_nothing_is_lost_whatever_is_bad(path: Path) -> None:
    """Every line is either in a document or set aside, for any mixture of good and bad."""
    dice = random.Random(7)
    for _ in range(20):
        lines = [
            line(
                str(dice.randint(1, 9)),
                price=dice.choice(["1,50", "1,50", "1,505"]),
                day=dice.choice(["31/12/2025"] * 5 + ["x"]),
            )
            for _ in range(30)
        ]
        found = one(path, "\n".join([HEADER, *lines]))
        kept = sum(len(items) for items in found.table["itens"].to_pylist())
        aside = sorted(row["line"] for entry in found.set_aside for row in entry["rows"])
        assert kept + len(aside) == 30
        bad = {row.split(";")[0] for row in lines if "1,505" in row or ";x;" in row}
        assert aside == [place for place, row in enumerate(lines, start=2) if row.split(";")[0] in bad]
        assert {str(numero) for numero in found.table["numero"].to_pylist()} == {
            row.split(";")[0] for row in lines
        } - bad


def test_a_float_is_refused_unless_the_mapping_rounds(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": ["1"], "p": [1.005]}), tmp_path / "p.parquet")
    columns = {
        "codigo": "c",
        "descricao": "c",
        "unidade": "c",
        "vigencia_inicio": {"value": "2025-01-01"},
        "ativo": {"value": True},
    }

    def found(rule: dict[str, Any]) -> Captured:
        given = {"kind": "parquet", "columns": {**columns, "preco_centavos": rule}}
        [captured] = read_source(
            SourceSettings.from_toml(given),
            PRODUTOS,
            root=tmp_path,
            site="matriz",
            path=tmp_path / "p.parquet",
        )
        return captured

    assert found({"column": "p", "scale": 100, "round": "half-up"}).table["preco_centavos"].to_pylist() == [
        101
    ]
    [problem] = found({"column": "p", "scale": 100}).problems
    assert 'the column is double, which is not exact: write round = "half-even"' in problem.message


def test_sums_beyond_int64_are_no_sums(path: Path) -> None:
    found = one(path, "\n".join([HEADER, *[line(amount="1", price="90000000000000000,00")] * 2, line("8")]))
    assert found.table["numero"].to_pylist() == [8]
    assert "the sum of total_centavos is too large" in found.problems[0].message


# --- CSV


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252"])
def test_encodings(path: Path, encoding: str) -> None:
    data = f"{HEADER}\n{line(name='Lápis nº 2, açaí')}\n".encode(encoding)
    [sale] = VENDAS.documents(one(path, data, till(encoding=encoding.removesuffix("-sig"))).table)
    assert sale["itens"][0]["descricao"] == "Lápis nº 2, açaí"


def test_accents_in_headers_compare_composed(path: Path) -> None:
    decomposed = HEADER.replace("ó", "o\u0301").replace("ç", "c\u0327")
    assert one(path, f" {decomposed.replace(';', ' ; ')} \n{line()}").table.num_rows == 1


def test_quoted_fields_hold_delimiters_quotes_and_line_ends(path: Path) -> None:
    odd = 'Caneta "azul";\r\nda boa'
    quoted = '"' + odd.replace('"', '""') + '"'
    found = one(
        path, f"{HEADER}\r\n{line('1', name=quoted)}\r\n\r\n{line('2')}\r\n{line('3', price='x')}\r\n"
    )
    assert found.table["itens"].to_pylist()[0][0]["descricao"] == odd
    assert found.lines.tolist() == [2, 5]
    assert found.problems[0].row == 6


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_empty_lines(path: Path, end: str) -> None:
    found = one(path, end.join([HEADER, line("1"), "", ";;;;;;", line("2"), "", "", ""]))
    assert found.table["numero"].to_pylist() == [1, 2]
    assert found.lines.tolist() == [2, 5]


def test_the_end_mark_of_dos_is_no_line(path: Path) -> None:
    assert one(path, f"{HEADER}\r\n{line()}\r\n\x1a").table.num_rows == 1


@pytest.mark.parametrize("header", [HEADER, f"{HEADER};", f"{HEADER};;"])
@pytest.mark.parametrize("tail", ["", ";", ";;"])
def test_trailing_delimiters(path: Path, header: str, tail: str) -> None:
    if len(header) - len(HEADER) > len(tail):
        tail = ";" * (len(header) - len(HEADER))
    found = one(path, f"{header}\n{line('1')}{tail}\n{line('2')}{tail}\n")
    assert found.table["numero"].to_pylist() == [1, 2]
    assert "belong to no document: line 2" in rejected(path, f"{header}\n{line('1')}{tail};x\n")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty; expected a header"),
        (b"\n \n", "it is empty; expected a header"),
        (HEADER.encode("utf-16"), "it is UTF-16"),
        (f"{HEADER}\n{line(name='café')}".encode("cp1252"), "line 1 (byte 0xF3) is not utf-8"),
        ("Cupom;Dia;Hora\n1;2;3\n4;5;café".encode("cp1252"), "line 3 (byte 0xE9) is not utf-8"),
        (HEADER.replace(";", ","), "the file seems to be separated by ',': set delimiter = ','"),
        (HEADER.replace("Dia", "Data"), "expected the columns 'Dia', found 'Cupom', 'Data', 'Hora'"),
        (HEADER.replace("Dia", "Hora"), "its header names 'Hora' twice"),
        (f"{HEADER}\n{line()}\n1;2;3", "line 3: has 3 fields, expected 7: '1;2;3'"),
        (f"{HEADER}\n{line('')}", "line 2: column Cupom is empty"),
        (
            f"{HEADER}\n{line(name=chr(34) + 'x')}\n{line()}",
            "line 2: cannot be split: unexpected end of data",
        ),
        (
            f"{HEADER}\n{line(name=chr(34) + 'x' + chr(34) + 'y')}\n{line()}",
            "line 2: cannot be split: ';' expected",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why(path: Path, data: str | bytes, said: str) -> None:
    assert said in rejected(path, data)


def test_a_bom_in_a_latin_1_file_is_a_wrong_setting(path: Path) -> None:
    assert 'set encoding = "utf-8"' in rejected(
        path, f"{HEADER}\n{line()}".encode("utf-8-sig"), till(encoding="latin-1")
    )


def test_an_empty_report_is_no_error(path: Path) -> None:
    assert one(path, f"{HEADER}\n").table.num_rows == 0


def test_a_long_file_comes_in_chunks_with_its_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "CHUNK_BYTES", 2000)
    monkeypatch.setattr(delimited, "CHUNK_ROWS", 40)
    given = till()
    del given["group_by"]
    lines = [line(str(number)) for number in range(1, 301)]
    lines[200] = "short"  # Arrow stops here, and the strict reader goes on
    lines[250] = line("251", price="x")
    for quoted in (False, True):
        text = "\n".join([HEADER, *lines])
        found = read(path, text.replace(";Caneta;", ';"Caneta";') if quoted else text, given)
        assert len(found) > 3
        wanted = [number for number in range(1, 301) if number not in (201, 251)]
        assert [n for captured in found for n in captured.table["numero"].to_pylist()] == wanted
        assert [n for captured in found for n in captured.lines.tolist()] == [number + 1 for number in wanted]
        assert {problem.row for captured in found for problem in captured.problems} == {202, 252}


FIELD = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='";\n\r\x1a'), max_size=5
)


@given(
    st.lists(st.lists(FIELD, min_size=3, max_size=3), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"])
)
def test_both_readers_of_csv_see_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    text = end.join(["a;b;c", *(";".join(row) for row in rows)])
    path.write_text(text, encoding="utf-8", newline="")
    settings = SourceSettings.from_toml({"kind": "csv", "delimiter": ";"})
    header, quoted = delimited._csv_header(path, settings)
    assert not quoted
    seen = []
    for raws in (
        delimited._csv_by_arrow(path, settings, header),
        delimited._csv_by_line(path, settings, header, 1),
    ):
        chunks = list(raws)
        seen.append(
            [
                (number, *row)
                for raw in chunks
                for number, *row in zip(
                    raw.lines.tolist(), *(column.to_pylist() for column in raw.columns), strict=True
                )
            ]
        )
    assert seen[0] == seen[1]
    assert [list(row[1:]) for row in seen[0]] == [row for row in rows if any(row)]


# --- the contract's own columns


def test_a_csv_of_the_contracts_fields_needs_no_mapping(path: Path) -> None:
    text = f"{CADASTRO}\n1;Envelope;UN;1.250;31/12/2025;sim\n2;Caixa;UN;0;31/12/2025;NÃO\n3;Selo;UN;2,50;31/12/2025;sim"
    settings = {"kind": "csv", "delimiter": ";", "decimal": ",", "thousands": ".", "date": "dd/mm/aaaa"}
    found = one(path, text, settings, PRODUTOS)
    assert PRODUTOS.documents(found.table) == [
        {"origem": "caixa-01", "codigo": "1", "descricao": "Envelope", "unidade": "UN", "preco_centavos": 1250, "vigencia_inicio": "2025-12-31", "ativo": True},
        {"origem": "caixa-01", "codigo": "2", "descricao": "Caixa", "unidade": "UN", "preco_centavos": 0, "vigencia_inicio": "2025-12-31", "ativo": False},
    ]  # fmt: skip
    [problem] = found.problems
    assert problem.message.startswith(
        'line 4, preco_centavos: column preco_centavos: "2,50" is not a whole number'
    )


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("codigo;descricao", "nothing fills unidade, preco_centavos, vigencia_inicio, ativo"),
        (f"{CADASTRO};cor", "'cor': produtos.v1 has no such field"),
        (CADASTRO.replace(";", ","), "the file seems to be separated by ','"),
    ],
)
def test_a_csv_of_other_columns_is_refused(path: Path, header: str, said: str) -> None:
    message = rejected(path, f"{header}\n", {"kind": "csv", "delimiter": ";"}, PRODUTOS)
    assert said in message
    assert "found the columns" in message


SALE: dict[str, Any] = {
    "venda_id": "0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d11", "caixa": "01", "serie": "1", "numero": 7, "data_movimento": "2025-12-31",
    "registrada_em": "2025-12-31T10:22:00-03:00", "situacao": "concluida", "total_itens_centavos": 300, "total_postagens_centavos": 0,
    "desconto_centavos": 0, "total_centavos": 300,
    "itens": [{"numero": 1, "produto": "A1", "quantidade_milesimos": 2000, "valor_unitario_centavos": 150, "total_centavos": 300}],
    "pagamentos": [{"numero": 1, "forma": "01", "valor_centavos": 300}],
}  # fmt: skip


def test_json_lines_of_documents(path: Path) -> None:
    text = f"\ufeff{json.dumps(SALE)}\n\n{json.dumps({**SALE, 'numero': 8, 'origem': 'caixa-02'})}\r\n"
    found = one(path, text, {"kind": "jsonl"})
    assert found.lines.tolist() == [1, 3]
    assert VENDAS.documents(found.table) == [
        {"origem": "caixa-01", **SALE},
        {"origem": "caixa-02", **SALE, "numero": 8},
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "cannot be read"),
        ("[1]", "is not an object"),
        ('{"numero": 1, "numero": 2}', "a name stands twice"),
        ('{"numero": NaN}', "NaN is not a number"),
        ("{}{}", "cannot be read"),
        ("null", "is not an object"),  # at which Arrow's parser ends the process
        ("{} null {}", "cannot be read"),
        (json.dumps({**SALE, "numero": "7"}), "numero"),
        (json.dumps({**SALE, "numero": 7.5}), "numero"),
        (json.dumps({**SALE, "cor": 1}), "cor"),
        (json.dumps({**SALE, "itens": 1}), "itens"),
        (json.dumps({**SALE, "caixa": "\ud800"}), ""),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_one_bad_line_of_json_is_one_document_set_aside(path: Path, bad: str, said: str) -> None:
    found = one(path, f"{json.dumps(SALE)}\n{bad}\n{json.dumps({**SALE, 'numero': 8})}", {"kind": "jsonl"})
    assert found.table["numero"].to_pylist() == [7, 8]
    assert found.lines.tolist() == [1, 3]
    [problem] = found.problems
    assert problem.row == 2
    assert problem.message.startswith("line 2")
    assert said in problem.message
    assert found.set_aside[0]["rows"] == [{"line": 2, "text": bad}]


def test_parquet_of_documents(tmp_path: Path) -> None:
    path = tmp_path / "vendas.parquet"
    table, _, _ = VENDAS.from_documents([{"origem": "x", **SALE}, {"origem": "x", **SALE, "numero": 8}])
    pq.write_table(table.drop_columns(["origem", "postagens", "versao"]), path)
    settings = SourceSettings.from_toml({"kind": "parquet"})
    [found] = read_source(settings, VENDAS, root=tmp_path, site="caixa-01", path=path)
    assert VENDAS.documents(found.table) == [
        {"origem": "caixa-01", **SALE},
        {"origem": "caixa-01", **SALE, "numero": 8},
    ]
    assert found.lines.tolist() == [1, 2]
    pq.write_table(table.append_column("cor", pa.nulls(2)), path)
    with pytest.raises(RejectedError, match="need a mapping") as caught:
        list(read_source(settings, VENDAS, root=tmp_path, site="caixa-01", path=path))
    assert caught.value.code == "schema-mismatch"
    pq.write_table(table.slice(0, 0), path)
    [found] = read_source(settings, VENDAS, root=tmp_path, site="caixa-01", path=path)
    assert found.table.num_rows == 0


# --- other mapped files


def test_json_lines_with_a_mapping_keep_every_digit(path: Path) -> None:
    rows = [
        '{"Cupom": 7, "Dia": "31/12/2025", "Hora": "31/12/2025 10:22", "Código": "A1", "Qtd": 2, "Preço": 1234.50, "extra": [1]}',
        '{"Cupom": 7, "Dia": "31/12/2025", "Hora": "31/12/2025 10:22", "Código": "A2", "Qtd": 1e0, "Preço": "0,01"}',
        '{"Cupom": 8, "Dia": "31/12/2025", "Hora": "31/12/2025 10:22", "Código": "A2", "Qtd": 1, "Preço": 0.015}',
        '{"Cupom": 9, "Dia": "31/12/2025", "Hora": null, "Código": "A2", "Qtd": 1, "Preço": 1}',
    ]
    given = till(kind="jsonl")
    del given["delimiter"]
    found = one(path, "\n".join(rows), given)
    assert found.table["total_centavos"].to_pylist() == [246901]
    assert found.table["itens"].to_pylist()[0][0]["descricao"] is None
    assert [(problem.row, problem.pointer) for problem in found.problems] == [
        (3, "/itens/0/valor_unitario_centavos"),
        (4, "/registrada_em"),
    ]
    assert "cannot be read" in rejected(path, f"{rows[0]}\n[]", given)
    assert "Preço holds a list or an object" in rejected(path, rows[0].replace("1234.50", "[1]"), given)
    assert "expected the columns 'Preço'" in rejected(path, rows[0].replace("Preço", "Preco"), given)
    assert one(path, "", given).table.num_rows == 0


def test_typed_columns_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    moment = datetime(2025, 12, 31, 10, 22)
    table = pa.table(
        {
            "Cupom": pa.array([7, 7, 8], pa.int32()),
            "Dia": pa.array([date(2025, 12, 31)] * 3),
            "Hora": pa.array([moment] * 3, pa.timestamp("ns")),
            "Código": pa.array(["A1", "A2", "A1"]).dictionary_encode(),
            "Descrição": pa.array(["", None, "x"], pa.large_string()),
            "Qtd": pa.array([Decimal("0.500"), Decimal(2), Decimal(1)]),
            "Preço": pa.array(["1,50", "2,00", "3,00"]),
            "lista": [[1], [2], [3]],
        }
    )
    pq.write_table(table, path)
    given = till(kind="parquet")
    del given["delimiter"]
    [found] = read_source(SourceSettings.from_toml(given), VENDAS, root=tmp_path, site="caixa-01", path=path)
    assert VENDAS.validate(found.table).ok
    assert found.table["total_centavos"].to_pylist() == [475, 300]
    assert [[item["descricao"] for item in items] for items in found.table["itens"].to_pylist()] == [
        [None, None],
        ["x"],
    ]
    assert found.lines.tolist() == [1, 3]
    given["columns"]["operador"] = {"column": "lista"}
    with pytest.raises(RejectedError, match=r"columns of lists or objects cannot be mapped: lista \(list"):
        list(read_source(SourceSettings.from_toml(given), VENDAS, root=tmp_path, site="caixa-01", path=path))


def test_the_same_rows_as_csv_and_as_parquet_are_the_same_documents(tmp_path: Path) -> None:
    text = "\n".join(
        [
            HEADER,
            *(line(str(number % 50), code=f"P{number}", price=f"{number},25") for number in range(1, 400)),
        ]
    )
    first = one(tmp_path / "v.csv", text)
    rows = pa_csv.read_csv(
        tmp_path / "v.csv",
        parse_options=pa_csv.ParseOptions(delimiter=";"),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(HEADER.split(";"), pa.string())),
    )
    pq.write_table(rows, tmp_path / "v.parquet", row_group_size=100)
    given = till(kind="parquet")
    del given["delimiter"]
    [second] = read_source(
        SourceSettings.from_toml(given), VENDAS, root=tmp_path, site="caixa-01", path=tmp_path / "v.parquet"
    )
    assert first.table.equals(second.table)


def test_damaged_parquet_is_refused(data_dir: Path, tmp_path: Path) -> None:
    files = sorted((data_dir / "parquet-damaged").rglob("*.parquet"))
    assert files
    settings = SourceSettings.from_toml({"kind": "parquet", "columns": {"codigo": "nothing", "descricao": "x", "unidade": "x",
        "preco_centavos": "x", "vigencia_inicio": "x", "ativo": "x"}})  # fmt: skip
    for damaged in files:
        with pytest.raises(RejectedError):
            list(read_source(settings, PRODUTOS, root=tmp_path, site="matriz", path=damaged))
    (tmp_path / "x.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(RejectedError, match="not a readable Parquet file"):
        list(read_source(settings, PRODUTOS, root=tmp_path, site="matriz", path=tmp_path / "x.parquet"))


# --- files


def test_which_files_a_source_consists_of(tmp_path: Path) -> None:
    drop = tmp_path / "drop" / "vendas"
    drop.mkdir(parents=True)
    for name in ("b.csv", "a.csv", "c.txt", "[1].csv"):
        (drop / name).write_text("")
    (drop / "d.csv").mkdir()
    settings = SourceSettings.from_toml({"kind": "csv", "path": "drop/vendas/*.csv"})
    assert [path.name for path in source_files(settings, tmp_path)] == ["[1].csv", "a.csv", "b.csv"]
    absolute = SourceSettings.from_toml({"kind": "csv", "path": str(drop / "*.txt")})
    assert [path.name for path in source_files(absolute, Path("elsewhere"))] == ["c.txt"]
    assert source_files(settings, tmp_path, Path("drop/vendas/c.txt")) == [drop / "c.txt"]
    assert source_files(settings, tmp_path, drop / "[1].csv") == [drop / "[1].csv"]
    assert source_files(settings, tmp_path / "none") == []
    assert source_files(SourceSettings.from_toml({"kind": "csv", "path": "x.csv"}), tmp_path) == []


def test_all_files_of_a_source_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_text(f"{HEADER}\n{line('2')}", encoding="utf-8")
    (tmp_path / "1.csv").write_text(f"{HEADER}\n{line('1')}", encoding="utf-8")
    settings = SourceSettings.from_toml(till(path="*.csv"))
    found = list(read_source(settings, VENDAS, root=tmp_path, site="caixa-01"))
    assert [(captured.label, captured.table["numero"].to_pylist()) for captured in found] == [
        ("1.csv", [1]),
        ("2.csv", [2]),
    ]
    assert {captured.settings_digest for captured in found} == {settings.digest("vendas.v1")}


def test_a_file_that_is_written_to_meanwhile_is_left_for_later(path: Path) -> None:
    path.write_text(f"{HEADER}\n{line('1')}\n", encoding="utf-8")
    given = till()
    del given["group_by"]
    chunks = read_source(
        SourceSettings.from_toml(given), VENDAS, root=path.parent, site="caixa-01", path=path
    )
    next(chunks)
    with path.open("a", encoding="utf-8") as file:
        file.write(line("2"))
    os.utime(path, ns=(1, 1))
    with pytest.raises(TransportError) as caught:
        list(chunks)
    assert caught.value.code == "source-changing"


def test_a_missing_file_and_the_store_are_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        list(
            read_source(
                SourceSettings.from_toml(TILL), VENDAS, root=tmp_path, site="x", path=Path("none.csv")
            )
        )
    assert caught.value.code == "source-missing"
    with pytest.raises(ConfigError):
        list(read_source(SourceSettings.from_toml({"kind": "store"}), VENDAS, root=tmp_path, site="x"))
