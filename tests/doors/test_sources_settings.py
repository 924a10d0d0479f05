"""What may stand under [datasets.<name>.source]: everything wrong is named at once, with its key path."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from filesync.contracts import Contract, Registry
from filesync.errors import ConfigError
from filesync.sources import Kind, SourceSettings, read_source
from filesync.sources.rules import Copy, LineNumber, Per, ProductOf, Rounding, SumOf, Take, UuidOf


def settings(text: str) -> SourceSettings:
    return SourceSettings.from_toml(tomllib.loads(text))


def vendas() -> Contract:
    contract = Registry.packaged().get("vendas", 1)
    assert contract is not None
    return contract


def test_every_rule_has_its_value() -> None:
    read = settings("""
        kind = "csv"
        path = "drop/*.csv"
        encoding = "ISO-8859-1"
        group_by = ["Cupom"]
        [columns]
        a = "X"
        b = { column = "X", extract = "[0-9]+", default = "1", take = "min" }
        c = { uuid_of = ["Cupom", "X"] }
        d = { sum_of = "itens.z" }
        [columns.itens]
        n = { line_number = true }
        z = { product_of = ["p", "q"], scale = 100, round = "half-up" }
        [columns.pagamentos]
        "*" = "document"
        v = { value = 1 }
    """)
    assert read.kind is Kind.CSV
    assert read.encoding == "latin-1"
    assert read.document == {
        "a": Copy("X"),
        "b": Copy("X", extract="[0-9]+", default="1", take=Take.MIN),
        "c": UuidOf(("Cupom", "X")),
        "d": SumOf("itens", "z"),
    }
    assert read.relations["itens"].per is Per.LINE
    assert read.relations["itens"].fields == {
        "n": LineNumber(),
        "z": ProductOf(("p", "q"), 100, Rounding.HALF_UP),
    }
    assert read.relations["pagamentos"].per is Per.DOCUMENT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "kind: expected one of csv, jsonl, parquet, sql, store"),
        ('kind = "xls"', "kind: expected one of"),
        ('kind = "csv"\nsheet = 1', "sheet: no such setting for csv"),
        ('kind = "parquet"\ndelimiter = ";"', "delimiter: no such setting for parquet"),
        ('kind = "csv"\nencoding = "ebcdic"', "encoding: expected utf-8, latin-1 or cp1252"),
        ('kind = "csv"\ndelimiter = "||"', "delimiter: expected one character"),
        ('kind = "csv"\ndecimal = ","\nthousands = ","', "thousands: is the same as decimal"),
        ('kind = "csv"\ndate = "dd/MM/aaaa"', "date: 'dd/MM/aaaa' needs a year, a month and a day"),
        ('kind = "csv"\ndate = "dd/mm/aaaa dd"', "date: 'dd/mm/aaaa dd' names a part twice"),
        ('kind = "csv"\ndatetime = "dd/mm/aaaa"', "datetime: 'dd/mm/aaaa' needs hours and minutes"),
        ('kind = "csv"\noffset = "-3"', "offset: expected an offset such as -03:00"),
        ('kind = "csv"\ngroup_by = ["a"]', "group_by: needs [columns]"),
        ('kind = "csv"\ngroup_by = "a"\n[columns]\na = "a"', "group_by: expected a list of column names"),
        ('kind = "sql"', "database: expected the path of a SQLite file"),
        ('kind = "csv"\n[columns]\na = 1', "columns.a: expected a column name or a rule"),
        ('kind = "csv"\n[columns]\na = { column = "x", value = 1 }', "columns.a: expected exactly one of"),
        (
            'kind = "csv"\n[columns]\na = { value = 1, scale = 2 }',
            "columns.a: scale cannot stand beside value",
        ),
        (
            'kind = "csv"\n[columns]\na = { column = "x", scale = 0 }',
            "columns.a.scale: expected a whole number",
        ),
        ('kind = "csv"\n[columns]\na = { column = "x", round = "up" }', "columns.a.round: expected one of"),
        ('kind = "csv"\n[columns]\na = { column = "x", extract = "(" }', "columns.a.extract: '(' is not a"),
        ('kind = "csv"\n[columns]\na = { column = "x", extract = "(a)b" }', "write (?:...) to group"),
        (
            'kind = "csv"\n[columns]\na = { column = "x", match = ["a"] }',
            "columns.a.match: expected a list of",
        ),
        (
            'kind = "csv"\n[columns]\na = { column = "x", as = "mm/aaaa" }',
            "columns.a.as: expected date, datetime",
        ),
        ('kind = "csv"\n[columns]\na = { column = "x", default = 1.5 }', "columns.a.default: expected text"),
        ('kind = "csv"\n[columns]\na = { sum_of = "x" }', "columns.a.sum_of: expected relation.field"),
        ('kind = "csv"\n[columns]\na = { product_of = ["x"] }', "columns.a.product_of: expected two columns"),
        ('kind = "csv"\n[columns.itens]\n"*" = "group"', 'columns.itens."*": expected one of line, document'),
    ],
)
def test_a_wrong_setting_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert caught.value.code == "source-invalid"
    assert said in caught.value.message


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings('kind = "csv"\nsheet = 1\noffset = "x"\n[columns]\na = 1')
    assert all(key in caught.value.message for key in ("sheet:", "offset:", "columns.a:"))


CADASTRO = {
    "codigo": "c",
    "descricao": "d",
    "unidade": "u",
    "preco_centavos": "p",
    "vigencia_inicio": "v",
    "ativo": "a",
}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"codigo": "c"},
            "columns: nothing fills descricao, unidade, preco_centavos, vigencia_inicio, ativo",
        ),
        ({**CADASTRO, "preco": "p"}, "columns.preco: no such field; produtos has origem, codigo"),
        ({**CADASTRO, "itens": {"x": "y"}}, "columns.itens: produtos.v1 has no such child relation"),
        ({**CADASTRO, "gtin": {"colum": "x"}}, "columns.gtin: produtos.v1 has no such child relation"),
        ({**CADASTRO, "ativo": {"value": "sim"}}, "columns.ativo: holds true or false, but value is 'sim'"),
        (
            {**CADASTRO, "preco_centavos": {"value": True}},
            "columns.preco_centavos: holds a whole number, but",
        ),
        (
            {**CADASTRO, "vigencia_inicio": {"column": "v", "default": "31/12/2025"}},
            "holds a date, but default",
        ),
        (
            {**CADASTRO, "unidade": {"column": "u", "scale": 10}},
            "columns.unidade: holds text: scale and round",
        ),
        (
            {**CADASTRO, "unidade": {"column": "u", "as": "date"}},
            "columns.unidade: holds text: as is for dates",
        ),
        (
            {**CADASTRO, "unidade": {"line_number": True}},
            "columns.unidade: holds text, the rule makes a whole",
        ),
        ({**CADASTRO, "preco_centavos": {"uuid_of": ["c"]}}, "columns.preco_centavos: uuid_of makes text"),
        ({**CADASTRO, "preco_centavos": {"sum_of": "itens.x"}}, "the mapping fills no such whole number"),
        (
            {**CADASTRO, "unidade": {"column": "u", "extract": "(?=a)"}},
            "columns.unidade: '(?=a)' cannot be used",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_the_contract_is_named(
    tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    produtos = Registry.packaged().get("produtos", 1)
    assert produtos is not None
    (tmp_path / "p.csv").write_text("c\n1\n")
    given = SourceSettings.from_toml({"kind": "csv", "path": "p.csv", "columns": columns})
    with pytest.raises(ConfigError) as caught:
        list(read_source(given, produtos, root=tmp_path, site="matriz"))
    assert caught.value.code == "source-invalid"
    assert said in caught.value.message


def test_a_line_takes_no_first_and_sums_nothing(tmp_path: Path) -> None:
    given = SourceSettings.from_toml(
        {
            "kind": "csv",
            "datetime": "dd/mm/aaaa HH:MM",
            "columns": {
                "registrada_em": "h",
                "itens": {"produto": {"column": "p", "take": "first"}, "numero": {"sum_of": "itens.numero"}},
            },
        }
    )
    with pytest.raises(ConfigError) as caught:
        list(read_source(given, vendas(), root=tmp_path, site="caixa-01", path=tmp_path / "x.csv"))
    assert "columns.itens.produto: take is for fields of the document" in caught.value.message
    assert "columns.itens.numero: sum_of is for the document" in caught.value.message
    assert "offset: the datetime form has no offset" in caught.value.message


def test_the_digest_stands_for_what_decides_the_rows() -> None:
    one = settings('kind = "csv"\npath = "a.csv"\ndelimiter = ";"')
    assert one.digest("vendas.v1") == settings('delimiter = ";"\nkind = "csv"\npath = "b.csv"').digest(
        "vendas.v1"
    )
    assert one.digest("vendas.v1") != one.digest("vendas.v2")
    assert one.digest("vendas.v1") != settings('kind = "csv"\npath = "a.csv"').digest("vendas.v1")
    # Stable from release to release: unchanged dropped files are not read again.
    assert one.digest("vendas.v1") == "5a2171ad740717efcf152c156bbad7c565758b8e04083d209e054b7df3df6622"
