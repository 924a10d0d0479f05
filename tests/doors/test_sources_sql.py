"""Queries on a site's own database, one per relation: on SQLite. On PostgreSQL: test_sources_sql_postgresql.py."""

from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import adbc_driver_sqlite.dbapi as sqlite
import pyarrow as pa
import pytest

from filesync.contracts import Registry
from filesync.errors import ConfigError, FilesyncError, TransportError
from filesync.sources import Captured, SourceSettings, read_source
from filesync.sources.frame import Cells

VENDAS = Registry.packaged().get("vendas", 1)

SCHEMA = """
create table venda(id integer primary key, uuid text, caixa text, serie text, numero integer, dia text, hora text, situacao text, desconto integer)
create table item(venda integer, n integer, produto text, qtd integer, preco real, total integer)
create table pagamento(venda integer, n integer, forma text, valor integer)
"""

QUERIES = {
    "vendas": """select uuid as venda_id, caixa, serie, numero, dia as data_movimento, hora as registrada_em, situacao,
        desconto as desconto_centavos from venda order by id""",
    "itens": """select v.uuid as venda_id, n as numero, produto, qtd * 1000 as quantidade_milesimos, preco, total as total_centavos
        from item join venda v on v.id = item.venda order by v.id, n""",
    "pagamentos": """select v.uuid as venda_id, n as numero, forma, valor as valor_centavos
        from pagamento join venda v on v.id = pagamento.venda order by v.id, n""",
}
COLUMNS: dict[str, Any] = {
    "total_itens_centavos": {"sum_of": "itens.total_centavos"},
    "total_postagens_centavos": {"value": 0},
    "total_centavos": {"sum_of": "itens.total_centavos"},
    "itens": {"valor_unitario_centavos": {"column": "preco", "scale": 100, "round": "half-even"}},
}


def uuid(number: int) -> str:
    return str(UUID(int=number, version=4))


def execute(path: Path, *statements: str) -> None:
    with sqlite.connect(str(path), autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "legado.db"
    execute(path, *SCHEMA.strip().splitlines())
    for number in (1, 2, 3):
        execute(
            path,
            f"insert into venda values ({number}, '{uuid(number)}', '01', '1', {number}, '2025-12-31', '2025-12-31 10:0{number}', 'concluida', 0)",
            f"insert into pagamento values ({number}, 1, '01', 250)",
            f"insert into item values ({number}, 1, 'A1', 1, 1.5, 150)",
            f"insert into item values ({number}, 2, 'A2', 1, 1.0, 100)",
        )
    return path


def read(path: Path, /, **changed: Any) -> Captured:
    assert VENDAS is not None
    given = {
        "kind": "sql",
        "database": path.name,
        "queries": QUERIES,
        "columns": COLUMNS,
        "offset": "-03:00",
        **changed,
    }
    before = path.read_bytes() if path.exists() else None
    [found] = read_source(SourceSettings.from_toml(given), VENDAS, root=path.parent, site="caixa-01")
    assert path.read_bytes() == before
    assert found.table.schema.equals(VENDAS.arrow_schema)
    return found


def failure(path: Path, /, **changed: Any) -> FilesyncError:
    with pytest.raises(FilesyncError) as caught:
        read(path, **changed)
    return caught.value


def test_one_query_per_relation(database: Path) -> None:
    assert VENDAS is not None
    found = read(database)
    assert found.label == "vendas query"
    assert VENDAS.validate(found.table).ok
    assert found.lines.tolist() == [1, 2, 3]
    first = VENDAS.documents(found.table)[0]
    assert first["origem"] == "caixa-01"
    assert first["registrada_em"] == "2025-12-31T10:01:00-03:00"
    assert first["total_centavos"] == 250
    assert first["itens"] == [
        {
            "numero": 1,
            "produto": "A1",
            "quantidade_milesimos": 1000,
            "valor_unitario_centavos": 150,
            "total_centavos": 150,
        },
        {
            "numero": 2,
            "produto": "A2",
            "quantidade_milesimos": 1000,
            "valor_unitario_centavos": 100,
            "total_centavos": 100,
        },
    ]
    assert first["pagamentos"] == [{"numero": 1, "forma": "01", "valor_centavos": 250}]


def test_a_database_in_use_stays_as_it_is(database: Path) -> None:
    """Its writer is in the middle of a transaction, in WAL mode: what was committed before is read."""
    with sqlite.connect(str(database), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("pragma journal_mode = wal")
        cursor.fetchall()
        cursor.execute("begin immediate")
        cursor.execute("delete from venda where id > 1")
        assert read(database).table.num_rows == 3
        cursor.execute("commit")
        assert read(database, queries={**QUERIES, "itens": QUERIES["itens"] + " limit 2"}).table.num_rows == 1


def test_reading_cannot_write(database: Path) -> None:
    err = failure(database, queries={**QUERIES, "vendas": "delete from venda returning *"})
    assert isinstance(err, ConfigError)
    assert "readonly" in err.message


def test_a_document_without_lines_has_none(database: Path) -> None:
    execute(database, "delete from item where venda = 2", "delete from pagamento where venda = 2")
    found = read(database)
    assert found.table["itens"].to_pylist()[1] is None
    assert found.table["total_centavos"].to_pylist() == [250, 0, 250]


def test_lines_without_a_document_are_reported_and_kept(database: Path) -> None:
    queries = {
        **QUERIES,
        "itens": f"{QUERIES['itens'].split('order')[0]} union all select 'x', 9, 'A9', 1, 1.0, 1 union all select null, 9, 'A9', 1, 1.0, 1",
    }
    found = read(database, queries=queries)
    assert found.table["total_centavos"].to_pylist() == [250] * 3
    assert [problem.code for problem in found.problems] == ["line-orphan"] * 2
    assert "no one document has venda_id 'x'" in found.problems[0].message
    assert [aside["rows"][0]["values"]["produto"] for aside in found.set_aside] == ["A9", "A9"]


def test_a_key_that_stands_twice_owns_no_lines(database: Path) -> None:
    found = read(
        database,
        queries={
            **QUERIES,
            "vendas": QUERIES["vendas"].replace(" order by id", "")
            + f" union all select '{uuid(1)}', '01', '1', 9, '2025-12-31', '2025-12-31 10:00', 'concluida', 0",
        },
    )
    assert {problem.code for problem in found.problems} == {"line-orphan"}
    assert sum(len(items or []) for items in found.table["itens"].to_pylist()) == 4
    assert len(found.set_aside) == 3  # two items and a payment


def test_queries_may_share_a_column_of_their_own(database: Path) -> None:
    queries = {
        "vendas": QUERIES["vendas"].replace("select uuid as venda_id", "select id as cupom"),
        "itens": QUERIES["itens"].replace("v.uuid as venda_id", "cast(venda as text) as cupom"),
    }
    columns = {**COLUMNS, "venda_id": {"uuid_of": ["cupom"]}}
    columns["pagamentos"] = {"*": "document", "numero": {"value": 1}, "forma": {"value": "01"}, "valor_centavos": {"sum_of": "itens.total_centavos"}}  # fmt: skip
    found = read(database, queries=queries, columns=columns, group_by=["cupom"])
    assert VENDAS is not None
    assert VENDAS.validate(found.table).ok
    assert [len(items) for items in found.table["itens"].to_pylist()] == [2, 2, 2]


def test_a_float_is_refused_unless_the_mapping_rounds(database: Path) -> None:
    columns = {**COLUMNS, "itens": {"valor_unitario_centavos": {"column": "preco", "scale": 100}}}
    found = read(database, columns=columns)
    assert found.table.num_rows == 0
    assert len(found.set_aside) == 3
    assert 'write round = "half-even"' in found.problems[0].message
    assert found.problems[0].message.startswith("row 1, valor_unitario_centavos")
    assert "(and 1 more rows of this document)" in found.problems[0].message


def test_a_type_that_changes_late_is_no_error(database: Path) -> None:
    """The driver settles types over the first rows it sees: that has to be all of them."""
    many = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) "
    sale = "printf('00000000-0000-4000-8000-%012d', i), '01', '1', i, '2025-12-31', '2025-12-31 10:00', 'concluida', 0"
    execute(database, f"insert into venda select i + 10, {sale} from ({many} select i from n)")
    queries = {
        **QUERIES,
        "vendas": QUERIES["vendas"].replace(
            "situacao,", "situacao, case when id > 2900 then 'ana' end as operador,"
        ),
    }
    found = read(database, queries=queries)
    assert found.table.num_rows == 3003
    assert found.table["operador"].to_pylist()[-1] == "ana"


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"database": "none.db"}, "source-missing", "there is no such database"),
        ({"queries": {"itens": "select 1"}}, "source-invalid", "queries: expected vendas and any other of"),
        ({"queries": {**QUERIES, "item": "select 1"}}, "source-invalid", "queries: expected vendas and any other of"),
        ({"queries": {**QUERIES, "vendas": "select nothing"}}, "source-query", "queries.vendas cannot run"),
        ({"queries": {**QUERIES, "vendas": QUERIES["vendas"].replace("caixa,", "caixa, id,")}}, "source-invalid", "no field and no rule takes id"),
        ({"queries": {**QUERIES, "vendas": QUERIES["vendas"].replace("caixa,", "")}}, "source-invalid", "nothing fills caixa"),
        ({"queries": {**QUERIES, "itens": QUERIES["itens"].replace("preco,", "")}}, "source-invalid", "queries.itens: does not return preco"),
        ({"queries": {**QUERIES, "itens": QUERIES["itens"].replace("as venda_id", "as venda")}}, "source-invalid", "queries.itens: shares no key column"),
        ({"queries": {**QUERIES, "itens": QUERIES["itens"].replace("select", "select 1 as numero,")}}, "source-invalid", "queries.itens: returns numero twice"),
        ({"columns": {**COLUMNS, "postagens": {"numero": {"value": 1}}}}, "source-invalid", "columns.postagens: there is no query for it"),
        ({"columns": {**COLUMNS, "pagamentos": {"*": "document"}}}, "source-invalid", "exclude each other"),
        ({"group_by": ["cupom"]}, "source-invalid", "queries.itens: shares no key column"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_wrong_setting(
    database: Path, changed: dict[str, Any], code: str, said: str
) -> None:
    err = failure(database, **changed)
    assert isinstance(err, ConfigError)
    assert err.code == code
    assert said in err.message


def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path) -> None:
    path = tmp_path / "legado.db"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    err = failure(path)
    assert "not a database" in err.message


def test_an_unreachable_server_is_tried_again_and_keeps_its_password(tmp_path: Path) -> None:
    pytest.importorskip("adbc_driver_postgresql")
    err = failure(tmp_path / "x", database="postgresql://ana:segredo@127.0.0.1:1/loja")
    assert isinstance(err, TransportError)
    assert "postgresql://127.0.0.1:1/loja" in err.message
    assert "segredo" not in err.message


def test_types_that_a_driver_brings_along() -> None:
    numeric = pa.array(["12.30", None, "7"], pa.string())
    opaque = pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "numeric", "PostgreSQL"), numeric)
    assert Cells.of(opaque).column().to_pylist() == [Decimal("12.30"), None, Decimal(7)]
    other = pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "inet", "PostgreSQL"), numeric)
    assert Cells.of(other).column().to_pylist() == ["12.30", None, "7"]
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID(int=1).bytes, None], pa.binary(16)))
    assert Cells.of(ids).column().to_pylist() == [str(UUID(int=1)), None]
