"""Queries on a real PostgreSQL: what its types become, that reading changes nothing, and that no message holds a password."""

from __future__ import annotations

import socket
import threading
import traceback
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from filesync.cli.app import app
from filesync.contracts import Registry
from filesync.errors import ConfigError, FilesyncError, TransportError
from filesync.sources import Captured, SourceSettings, read_source, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from network import Network
    from postgres_server import Server

SECRET = "Segredo-do-caixa.9"

SCHEMA = """
create type forma as enum ('01', '17');
create domain centavos as bigint check (value >= 0);
create table venda (id uuid primary key, cupom int8, dia date, feita_em timestamptz, situacao varchar(20), operador char(8), desconto centavos);
create table item (venda uuid, n int2, produto text, qtd int4, preco numeric(12,2), total numeric);
create table pagamento (venda uuid, n int4, forma forma, valor numeric(14,2));
create sequence contador;
create function sells() returns int language sql as $$ insert into item (n) values (99) returning 1 $$
""".strip().split(";")

SALES = """
insert into venda select ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, i, date '2026-03-02',
    timestamptz '2026-03-02 10:00:00-03' + i * interval '1 minute', 'concluida', case when i % 2 = 1 then 'ana' end, 0 from generate_series(1, 300) i;
insert into item select id, n, 'P' || n, 1, 12.34 * n, 12.34 * n from venda, generate_series(1, 3) n;
insert into pagamento select id, 1, '17', 74.04 from venda
""".strip().split(";")

QUERIES = {
    "vendas": """
        -- the sales of the till; the semicolon and the comment at the end are what people write
        select id as venda_id, '01' as caixa, '1' as serie, cupom as numero, dia as data_movimento, feita_em as registrada_em,
            situacao, operador, desconto as desconto_centavos
        from venda order by cupom ;
    """,
    "itens": "select venda as venda_id, n as numero, produto, qtd, preco, total from item order by venda, n -- all",
    "pagamentos": "select venda as venda_id, n as numero, forma, valor from pagamento",
}
COLUMNS: dict[str, Any] = {
    "total_itens_centavos": {"sum_of": "itens.total_centavos"},
    "total_postagens_centavos": {"value": 0},
    "total_centavos": {"sum_of": "itens.total_centavos"},
    "itens": {
        "quantidade_milesimos": {"column": "qtd", "scale": 1000},
        "valor_unitario_centavos": {"column": "preco", "scale": 100},
        "total_centavos": {"column": "total", "scale": 100},
    },
    "pagamentos": {"valor_centavos": {"column": "valor", "scale": 100}},
}

#: One whole sale as constants; a test changes a column of it.
SALE = {
    "venda_id": "'00000000-0000-4000-8000-000000000001'::uuid",
    "caixa": "'01'",
    "serie": "'1'",
    "numero": "7::int8",
    "data_movimento": "date '2025-12-31'",
    "registrada_em": "timestamptz '2025-12-31 10:00:00-03'",
    "situacao": "'concluida'",
    "desconto_centavos": "0",
    "total_itens_centavos": "0",
    "total_postagens_centavos": "0",
    "total_centavos": "0",
}


@dataclass(frozen=True)
class Database:
    """A database of its own for one test."""

    server: Server
    name: str

    @property
    def address(self) -> str:
        return self.server.address(self.name)

    def execute(self, *statements: str) -> list[dict[str, Any]]:
        return self.server.execute(self.name, *statements)

    def count(self, table: str) -> int:
        [row] = self.execute(f"select count(*) as n from {table}")
        return int(row["n"])


@pytest.fixture(autouse=True)
def _no_settings_of_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGOPTIONS", "PGSSLMODE", "PGCLIENTENCODING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def stocked(postgresql: Server) -> Iterator[Database]:
    """A till's day, for tests that only read. (And a template: nobody stays connected to it.)"""
    postgresql.create("modelo")
    made = Database(postgresql, "modelo")
    made.execute(*SCHEMA, *SALES)
    yield made
    postgresql.drop("modelo")


@pytest.fixture
def database(stocked: Database) -> Iterator[Database]:
    """The same day, for one test that changes something."""
    stocked.server.create("loja", "template modelo")
    yield Database(stocked.server, "loja")
    stocked.server.drop("loja")


@pytest.fixture
def empty(postgresql: Server) -> Iterator[Database]:
    postgresql.create("vazio")
    yield Database(postgresql, "vazio")
    postgresql.drop("vazio")


def read(address: str, dataset: str = "vendas", /, **changed: Any) -> Captured:
    contract = Registry.packaged().get(dataset, 1)
    assert contract is not None
    given = {"kind": "sql", "database": address, "queries": QUERIES, "columns": COLUMNS, "offset": "-03:00", **changed}  # fmt: skip
    [found] = read_source(SourceSettings.from_toml(given), contract, root=Path(), site="caixa-01")
    assert found.table.schema.equals(contract.arrow_schema)
    return found


def read_sale(address: str, columns: Mapping[str, Any] | None = None, /, **changed: str) -> Captured:
    """One sale, with other expressions for some of its columns."""
    query = "select " + ", ".join(f"{value} as {name}" for name, value in {**SALE, **changed}.items())
    return read(address, queries={"vendas": query}, columns=columns or {}, decimal=",")


def failure(call: Any, *args: Any, **changed: Any) -> FilesyncError:
    with pytest.raises(FilesyncError) as caught:
        call(*args, **changed)
    return caught.value


def everything_said(err: BaseException) -> str:
    return f"{err!r}\n{err}\n{''.join(traceback.format_exception(err))}"


# ---------------------------------------------------------------------------------------------- what arrives


def test_a_day_of_sales_arrives(stocked: Database) -> None:
    contract = Registry.packaged().get("vendas", 1)
    assert contract is not None
    found = read(stocked.address)
    assert found.problems == ()
    assert contract.validate(found.table).ok
    assert contract.rows(found.table) == {"vendas": 300, "itens": 900, "pagamentos": 300, "postagens": 0}
    assert found.table["total_centavos"].to_pylist() == [7404] * 300
    first, second = contract.documents(found.table)[:2]
    assert first["venda_id"] == "00000000-0000-4000-8000-000000000001"
    assert first["registrada_em"] == "2026-03-02T10:01:00-03:00"
    assert first["data_movimento"] == "2026-03-02"
    assert first["operador"] == "ana"  # of char(8), without its blanks
    assert "operador" not in second
    assert first["itens"][1]["valor_unitario_centavos"] == 2468
    assert first["pagamentos"] == [{"numero": 1, "forma": "17", "valor_centavos": 7404}]


def test_a_register_arrives(empty: Database) -> None:
    """bool, numeric and null, and a date beside a name with accents."""
    empty.execute(
        "create table produto (codigo varchar(40), descricao text, gtin text, preco numeric, desde date, ativo boolean)",
        "insert into produto values ('A1', 'Caixa de correção nº 2', null, 90071992547409.91, '0001-01-01', true), ('A2', 'Água', '7891000315507', 0.1, '9999-12-31', false)",
    )
    found = read(
        empty.address,
        "produtos",
        queries={"produtos": "select codigo, descricao, gtin, 'UN' as unidade, preco as preco_centavos, desde as vigencia_inicio, ativo from produto order by 1"},
        columns={"preco_centavos": {"column": "preco_centavos", "scale": 100}},
    )  # fmt: skip
    contract = Registry.packaged().get("produtos", 1)
    assert contract is not None
    assert contract.documents(found.table) == [
        {"origem": "caixa-01", "codigo": "A1", "descricao": "Caixa de correção nº 2", "unidade": "UN", "preco_centavos": 9007199254740991, "vigencia_inicio": "0001-01-01", "ativo": True},
        {"origem": "caixa-01", "codigo": "A2", "descricao": "Água", "gtin": "7891000315507", "unidade": "UN", "preco_centavos": 10, "vigencia_inicio": "9999-12-31", "ativo": False},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "expression", "arrives"),
    [
        ("numero", "7::int2", 7),
        ("numero", "7::int4", 7),
        ("numero", "9007199254740991::int8", 9007199254740991),
        ("numero", "7.000::numeric(10,3)", 7),
        ("total_centavos", "-12::numeric", -12),
        ("caixa", "'01'::char(5)", "01"),
        ("caixa", "'01'::varchar(5)", "01"),
        ("caixa", "'01'::name", "01"),
        ("caixa", "1", "1"),
        ("operador", "null", None),
        ("operador", "null::char(3)", None),
        ("operador", "''", None),
        ("operador", "12.50::numeric(8,2)", "12,5"),
        ("operador", "1234567890123456789012345678::numeric", "1234567890123456789012345678"),
        ("operador", "'0.000000000000000000000000001'::numeric(60,40)", "0,000000000000000000000000001"),
        ("operador", "100::numeric(500,400)", "100"),
        ("operador", "'ação'", "ação"),
        ("operador", "true", "true"),
        ("versao", "null::int8", None),
        ("versao", "null::numeric", None),
        ("data_movimento", "'2025-12-31'", "2025-12-31"),
        ("registrada_em", "timestamptz '2026-01-01 01:30:00+09'", "2025-12-31T13:30:00-03:00"),
        ("registrada_em", "timestamp '2025-12-31 23:59:59.25'", "2025-12-31T23:59:59.250000-03:00"),
    ],
)
def test_types_arrive_as_what_they_mean(
    postgresql: Server, field: str, expression: str, arrives: object
) -> None:
    found = read_sale(postgresql.address("postgres"), **{field: expression})
    assert found.problems == ()
    [value] = found.table[field].to_pylist()
    assert (value.isoformat() if field == "data_movimento" else value) == arrives


def test_a_moment_has_the_day_of_the_site_whatever_the_servers_clock_shows(empty: Database) -> None:
    empty.execute("alter database vazio set timezone = 'Asia/Tokyo'")
    found = read_sale(
        empty.address,
        {"data_movimento": {"column": "data_movimento", "as": "datetime"}},
        data_movimento="timestamptz '2025-12-31 23:30:00-03'",
    )
    assert found.table["data_movimento"].to_pylist()[0].isoformat() == "2025-12-31"


def test_no_rows_are_no_documents(database: Database) -> None:
    database.execute("truncate venda, item, pagamento")
    assert read(database.address).table.num_rows == 0


def test_a_value_that_does_not_fit_sets_its_document_aside(database: Database) -> None:
    database.execute("update item set preco = 0.01, total = 0.005 where n = 1 and venda = (select id from venda where cupom = 4)",
                     "update venda set dia = null where cupom = 9")  # fmt: skip
    found = read(database.address)
    assert found.table.num_rows == 298
    assert [entry["line"] for entry in found.set_aside] == [4, 9]
    assert "times 100 is not a whole number" in found.problems[0].message
    assert "data_movimento" in found.problems[1].message


@pytest.mark.parametrize(
    ("field", "expression"),
    [
        ("total_centavos", "'NaN'::numeric"),
        ("total_centavos", "'Infinity'::numeric"),
        ("operador", "12345678901234567890123456789::numeric"),
        ("operador", "-12345678901234567890.123456789::numeric"),
        ("data_movimento", "date 'infinity'"),
        ("data_movimento", "date '0044-03-15 BC'"),
        ("registrada_em", "timestamptz '-infinity'"),
        ("registrada_em", "timestamp 'infinity'"),
    ],
)
def test_a_value_that_no_field_can_hold_is_named(postgresql: Server, field: str, expression: str) -> None:
    err = failure(read_sale, postgresql.address("postgres"), **{field: expression})
    assert isinstance(err, ConfigError)
    assert err.message.startswith(f"queries.vendas: column {field}, row 1: no field can hold this value")


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("'12.34'::money", "money"), ("4000000000::oid", "oid"), ("time '10:00'", "time"), ("interval '1 day'", "interval"), ("'{1}'::int4[]", "_int4"),
        (r"'\xff'::bytea", "bytea"), ("inet '127.0.0.1'", "inet"), ("'<a/>'::xml", "xml"),
    ],
)  # fmt: skip
def test_a_type_without_a_plain_meaning_is_refused_with_the_cast_that_helps(
    postgresql: Server, expression: str, kind: str
) -> None:
    err = failure(read_sale, postgresql.address("postgres"), operador=expression)
    assert isinstance(err, ConfigError)
    assert err.message.startswith("queries.vendas: column operador")
    assert kind in err.message
    cast = "numeric" if kind == "money" else "text"
    assert f"operador::{cast}" in err.message
    if kind not in ("bytea", "xml"):
        assert (
            read_sale(postgresql.address("postgres"), operador=f"({expression})::{cast}").table.num_rows == 1
        )


def test_an_old_database_in_latin_1_gives_its_accents(postgresql: Server) -> None:
    postgresql.create("antigo", "template template0 encoding 'LATIN1' locale 'C'")
    try:
        postgresql.execute(
            "antigo",
            "create table nome(n text)",
            r"insert into nome values (convert_from('\xe7e36f', 'LATIN1'))",
        )
        found = read_sale(postgresql.address("antigo"), operador="(select n from nome)")
        assert found.table["operador"].to_pylist() == ["ção"]
    finally:
        postgresql.drop("antigo")


def test_bytes_that_are_no_text_are_named_and_can_be_decoded_in_the_query(postgresql: Server) -> None:
    """SQL_ASCII: a database that never asked what its bytes mean."""
    postgresql.create("ascii", "template template0 encoding 'SQL_ASCII' locale 'C'")
    try:
        postgresql.execute(
            "ascii",
            "create table nome(n text)",
            r"insert into nome values (convert_from('\xe7e36f', 'SQL_ASCII'))",
        )
        err = failure(read_sale, postgresql.address("ascii"), operador="(select n from nome)")
        assert isinstance(err, ConfigError)
        assert 'invalid byte sequence for encoding "UTF8"' in err.message
        decoded = "(select convert_from(convert(convert_to(n, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'SQL_ASCII') from nome)"
        found = read_sale(postgresql.address("ascii"), operador=decoded)
        assert found.table["operador"].to_pylist() == ["ção"]
    finally:
        postgresql.drop("ascii")


# ----------------------------------------------------------------------------------------- how it is read


def statements(database: Database, mark: str) -> list[str]:
    """What the server was asked by connections that called themselves `mark`."""
    told = [
        line.split(": ", 2)
        for line in database.server.log.read_text("utf-8").splitlines()
        if f"{database.name} {mark} " in line
    ]
    return [text.split(": ", 1)[1].strip() for _, level, text in told if level == "LOG"]


def test_one_query_for_each_relation_in_one_read_only_transaction(stocked: Database) -> None:
    read(f"{stocked.address}?application_name=contado")
    asked = statements(stocked, "contado")
    copies = [text for text in asked if text.startswith("COPY")]
    assert len(copies) == 3
    begin = next(i for i, text in enumerate(asked) if text.startswith("BEGIN"))
    assert asked[begin + 1] == "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    assert asked.index(copies[0]) > begin + 1
    assert not [text for text in asked if text.startswith(("COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE"))]


def test_all_queries_see_the_same_state(database: Database) -> None:
    class Meanwhile(dict[str, str]):
        """Queries between which somebody else sells."""

        def items(self) -> Any:
            for relation, query in super().items():
                yield relation, query
                database.execute("delete from item", "delete from pagamento")

    tables = sql.run_queries(database.address, Meanwhile(QUERIES), Path())
    assert [tables[name].num_rows for name in ("vendas", "itens", "pagamentos")] == [300, 900, 300]
    assert database.count("item") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "insert into item (n) values (99)",
        "insert into item (n) values (99) returning *",
        "with new as (insert into item (n) values (99) returning *) select * from new",
        "update item set n = 99 returning *",
        "delete from item",
        "truncate item",
        "drop table item",
        "create table outra (n int)",
        "create temp table item2 as select * from item; ",
        "select * into outra from item",
        "select * from item for update",
        "select nextval('contador')",
        "select sells()",
        "select set_config('transaction_read_only', 'off', false), sells()",
        "do $$ begin commit; insert into item (n) values (99); end $$",
        "select 1 as n; commit; insert into item (n) values (99)",
        "copy item to stdout",
    ],
)
def test_reading_cannot_write(stocked: Database, statement: str) -> None:
    before = stocked.execute("select count(*), sum(n), (select last_value from contador) from item")
    err = failure(read, stocked.address, queries={**QUERIES, "itens": statement})
    assert isinstance(err, ConfigError)
    assert err.message.startswith("queries.itens")
    assert "\n" not in err.message
    assert stocked.execute("select count(*), sum(n), (select last_value from contador) from item") == before
    assert stocked.execute("select tablename from pg_tables where tablename = 'outra'") == []


@pytest.mark.parametrize(
    "escape", ["commit", "ROLLBACK ;", "end", "abort", "set transaction read write", "set transaction_read_only = off",
               "set session characteristics as transaction read write", "prepare transaction 'x'"],
)  # fmt: skip
def test_a_query_cannot_leave_the_read_only_transaction_for_the_next(stocked: Database, escape: str) -> None:
    tried = "insert into item (n) values (99) returning venda as venda_id, n as numero"
    err = failure(read, stocked.address, queries={"vendas": escape, "itens": tried})
    assert isinstance(err, ConfigError)
    assert err.message.startswith("queries.vendas")
    assert stocked.execute("select count(*) as n from item where n = 99") == [{"n": 0}]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select * from nada", 'relation "nada" does not exist'),
        ("select vendaa from item", "Perhaps you meant to reference the column"),
        ("selec 1", "syntax error"),
        ("select 1 / (n - 3) as numero from item", "division by zero"),
        ("select $1::int as n", "there is no parameter $1"),
        ("select venda as venda_id, n as numero, n as numero from item", "returns numero twice"),
        ("select from item", "a statement that returns no columns"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_run_is_a_wrong_setting(stocked: Database, query: str, said: str) -> None:
    err = failure(read, stocked.address, queries={**QUERIES, "itens": query})
    assert isinstance(err, ConfigError)
    assert said in err.message
    assert "\n" not in err.message
    assert "COPY" not in err.message
    assert stocked.server.password not in everything_said(err)


def test_a_table_that_one_may_not_read_is_a_wrong_setting(database: Database) -> None:
    database.execute(f"create role leitor login password '{SECRET}'")
    try:
        err = failure(read, database.server.address("loja", user="leitor", password=SECRET))
        assert isinstance(err, ConfigError)
        assert "permission denied for table venda" in err.message
        assert SECRET not in everything_said(err)
        database.execute("grant select on venda, item, pagamento to leitor")
        assert read(database.server.address("loja", user="leitor", password=SECRET)).table.num_rows == 300
    finally:
        database.execute("drop owned by leitor", "drop role leitor")


# ------------------------------------------------------------------------------------- what is tried again


def test_a_table_that_somebody_holds_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import adbc_driver_postgresql.dbapi as driver

    monkeypatch.setattr(sql, "_LOCKED_S_MAX", 0.05)
    with driver.connect(database.address) as other, other.cursor() as cursor:
        cursor.execute("lock table item in access exclusive mode")
        # Its own bound, so that a lock that is waited for is a red test and not an endless one.
        err = failure(read, f"{database.address}?options=-cstatement_timeout%3D9s")
        other.rollback()
    assert isinstance(err, TransportError)
    assert err.code == "source-busy"
    assert "queries.itens could not run now: canceling statement due to lock timeout" in err.message
    assert read(database.address).table.num_rows == 300


@pytest.mark.parametrize("at", [1, 5000])
def test_a_server_that_sends_one_away_is_tried_again(stocked: Database, at: int) -> None:
    leaving = f"select case when i = {at} then pg_terminate_backend(pg_backend_pid()) end as venda_id from generate_series(1, 9999) i"
    err = failure(read, stocked.address, queries={**QUERIES, "itens": leaving})
    assert isinstance(err, TransportError)
    assert "terminating connection due to administrator command" in err.message


def test_a_connection_that_breaks_in_the_middle_is_tried_again(stocked: Database) -> None:
    port = stocked.server.port
    with cut_after(port, 200_000) as other_port:
        err = failure(
            read,
            stocked.address.replace(f":{port}/", f":{other_port}/"),
            queries={
                **QUERIES,
                "itens": "select repeat('x', 1000) as venda_id, 1 as numero from generate_series(1, 9999)",
            },
        )
    assert isinstance(err, TransportError)
    assert err.message.startswith("queries.itens could not run now")
    assert stocked.server.password not in everything_said(err)


@contextmanager
def cut_after(port: int, size_bytes: int) -> Iterator[int]:
    """A port that leads to the server; each connection is closed after so many bytes of the server's answers."""

    def forward(source: socket.socket, target: socket.socket, size: float) -> None:
        with suppress(OSError):  # closed from the other side
            while size > 0 and (data := source.recv(65536)):
                target.sendall(data)
                size -= len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):  # no longer listening
            while True:
                client, _ = listening.accept()
                with client, socket.create_connection(("127.0.0.1", port)) as server:
                    asking = threading.Thread(target=forward, args=(client, server, float("inf")))
                    asking.start()
                    forward(server, client, size_bytes)
                    asking.join()

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        serving.join()


def test_a_server_that_takes_no_more_connections_is_tried_again(stocked: Database) -> None:
    stocked.execute(f"create role caixa login password '{SECRET}' connection limit 0")
    try:
        err = failure(read, stocked.server.address("modelo", user="caixa", password=SECRET))
    finally:
        stocked.execute("drop role caixa")
    assert isinstance(err, TransportError)
    assert 'too many connections for role "caixa"' in err.message
    assert SECRET not in everything_said(err)


def test_a_server_that_is_not_there_is_tried_again(postgresql: Server) -> None:
    with closing(socket.socket()) as held:  # bound, so that nobody else takes it, but not listening
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        err = failure(read, f"postgresql://ana:{SECRET}@127.0.0.1:{port}/loja")
    assert isinstance(err, TransportError)
    assert err.code == "unreachable"
    assert err.message.startswith(
        f"the database postgresql://127.0.0.1:{port}/loja cannot be reached: connection to server"
    )
    assert SECRET not in everything_said(err)
    # The second of two servers answers.
    two = f"postgresql://filesync:{postgresql.password}@127.0.0.1:{port},127.0.0.1:{postgresql.port}/postgres"
    assert (
        read(
            two, queries={"vendas": "select " + ", ".join(f"{v} as {k}" for k, v in SALE.items())}, columns={}
        ).table.num_rows
        == 1
    )


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adbc_driver_postgresql")
    monkeypatch.setitem(sql._PATIENCE, "connect_timeout", 1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        bound = threading.Timer(20, silent.shutdown, [socket.SHUT_RDWR])  # a red test, and not an endless one
        bound.start()
        err = failure(read, f"postgresql://ana:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/loja")
        bound.cancel()
    assert isinstance(err, TransportError)
    assert "timeout expired" in err.message
    assert SECRET not in everything_said(err)


# ------------------------------------------------------------------------------------------------- secrets


def test_a_wrong_password_is_a_wrong_setting_and_not_repeated(postgresql: Server) -> None:
    err = failure(read, postgresql.address("postgres", password=SECRET))
    assert isinstance(err, ConfigError)
    assert err.code == "source-refused"
    assert 'password authentication failed for user "filesync"' in err.message
    assert f"postgresql://127.0.0.1:{postgresql.port}/postgres" in err.message
    assert SECRET not in everything_said(err)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"user": "ninguem"}, "password authentication failed"),
        ({"password": ""}, "no password supplied"),
        ({"database": "nada"}, 'database "nada" does not exist'),
        ({"options": "?sslmode=require"}, "server does not support SSL"),
    ],
)
def test_what_the_server_refuses_is_a_wrong_setting(
    postgresql: Server, changed: dict[str, str], said: str
) -> None:
    err = failure(read, postgresql.address(**{"database": "postgres", **changed}))
    assert isinstance(err, ConfigError)
    assert err.code == "source-refused"
    assert said in err.message
    assert postgresql.password not in everything_said(err)


@pytest.mark.parametrize(
    "secret", ["a@b", "a/b", "a:b", "a?b", "a#b", "100%", "a b", "é", "a&b=c", "[x]", "%41", "'\"\\"]
)
def test_a_password_of_any_signs_works_when_it_is_encoded(postgresql: Server, secret: str) -> None:
    quoted = secret.replace("'", "''")
    postgresql.execute("postgres", f"create role estranho login password '{quoted}'")
    try:
        address = postgresql.address("postgres", user="estranho", password=secret)
        assert read_sale(address).table.num_rows == 1
        assert read_sale(address.replace("postgresql://", "postgres://")).table.num_rows == 1
        server = f"postgresql://127.0.0.1:{postgresql.port}/postgres"
        assert read_sale(f"{server}?user=estranho&password={quote(secret, safe='')}").table.num_rows == 1
    finally:
        postgresql.execute("postgres", "drop role estranho")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ana:{0}@x@127.0.0.1:{1}/loja",  # libpq would look for the host "x@127.0.0.1"
        "postgresql://ana:x@{0}@127.0.0.1:{1}/loja",
        "postgresql://ana:x/{0}@127.0.0.1:{1}/loja",
        "postgresql://ana:{0}/x@127.0.0.1:{1}/loja",
        "postgresql://ana:1/{0}@127.0.0.1:{1}/loja",
        "postgresql://ana:1?{0}/x@127.0.0.1:{1}/loja",
        "postgresql://ana:1?password={0}/x@127.0.0.1:{1}/loja",
        "postgresql://ana:{0}%@127.0.0.1:{1}/loja",
        "postgresql://ana:{0}%zz@127.0.0.1:{1}/loja",
        "postgresql://ana:{0} @127.0.0.1:{1}/loja",
        "postgresql://ana:[{0}@127.0.0.1:{1}:2/loja",
        "postgresql://ana:x@[{0}/loja",
        "postgresql://ana:x@[::1{0}]/loja",
        "postgresql://ana:x@127.0.0.1:{0}/loja",
        "postgresql://ana:x@127.0.0.1:{1}/loja?{0}",
        "postgresql://ana:x@127.0.0.1:{1}/loja?{0}=1",
        "postgresql://ana:x@127.0.0.1:{1}/loja?sslmode={0}",
        "postgresql://ana:x@127.0.0.1:{1}/loja?password=x&{0}",
        "postgresql://ana:x@127.0.0.1:{1}/loja?password={0}&{0}=1",
        "postgresql://ana:x@127.0.0.1:{1}/loja?connect_timeout={0}",
        "postgresql://ana:x@127.0.0.1:{1}/loja?service={0}",
        "postgresq://ana:{0}@127.0.0.1:{1}/loja",  # not a scheme that goes to PostgreSQL, and no path either
        "POSTGRESQL://ana:{0}@127.0.0.1:{1}/loja",
        "postgresql+psycopg://ana:{0}@127.0.0.1:{1}/loja",
        "host=127.0.0.1 port={1} user=ana password={0}",
        "Server=127.0.0.1;Uid=ana;Pwd=x;Password = {0};",
    ],
)  # fmt: skip
def test_an_address_that_is_not_understood_is_not_repeated(postgresql: Server, address: str) -> None:
    err = failure(read, address.format(SECRET, postgresql.port))
    assert isinstance(err, ConfigError)
    assert err.code == "source-address"
    assert SECRET not in everything_said(err)
    assert "%40" in err.message  # what to do


def test_a_long_wrong_address_is_refused_at_once() -> None:
    """The pattern that reads addresses must not try every way to cut one up."""
    err = failure(read, "postgresql://" + "a" * 50_000 + "," * 50_000 + "@@")
    assert err.code == "source-address"


# --------------------------------------------------------------------------------------------- a whole site


def test_a_site_seals_what_its_database_sold(database: Database, pair: Network) -> None:
    """The command line, twice: the second time there is nothing new. Then the password changes, and is not shown."""
    root = pair.root / "caixa-01"
    pair.configure("caixa-01", settings(database.address))
    assert "300" in run("-C", root, "export", "vendas", "--json")
    assert len(pair.outbox("caixa-01", "matriz")) == 2
    run("-C", root, "export", "vendas")
    assert len(pair.outbox("caixa-01", "matriz")) == 2

    config = root / "filesync.toml"
    config.write_text(config.read_text("utf-8").replace(database.server.password, SECRET), "utf-8")
    for command in (
        ("export", "vendas"),
        ("export", "vendas", "--json"),
        ("turn",),
        ("turn", "--json"),
        ("status",),
        ("status", "--json"),
    ):
        said = run("-C", root, *command, code=None)
        assert SECRET not in said
        assert command[0] != "export" or "password authentication failed" in said
    kept = [path for path in root.rglob("*") if path.is_file() and path != config]
    assert not [
        path
        for path in kept
        if SECRET.encode() in path.read_bytes() or database.server.password.encode() in path.read_bytes()
    ]


def test_a_turn_goes_on_when_the_database_is_away(pair: Network) -> None:
    pytest.importorskip("adbc_driver_postgresql")
    pair.configure("caixa-01", settings(f"postgresql://ana:{SECRET}@127.0.0.1:1/loja"))
    report = pair["caixa-01"].turn()
    assert [(held.name, held.code) for held in report.failed_sources] == [("vendas", "unreachable")]
    assert SECRET not in repr(report)


def settings(address: str) -> str:
    def value(of: object) -> str:
        if isinstance(of, dict):
            return "{ " + ", ".join(f"{key} = {value(inner)}" for key, inner in of.items()) + " }"
        return f"'''{of}'''" if isinstance(of, str) else str(of)

    lines = ["", "[datasets.vendas]", "to = 'matriz'", "[datasets.vendas.source]", "kind = 'sql'", f"database = '{address}'", "offset = '-03:00'",
             f"queries = {value(QUERIES)}", f"columns = {value(COLUMNS)}", ""]  # fmt: skip
    return "\n".join(lines)


def run(*arguments: str | Path, code: int | None = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="filesync")
    assert code is None or done.exit_code == code, done.output
    return done.output
