"""What the sales that are held say of a movement day: of one customer, and of the whole agency. Reads only; all its SQL stands here.

- Everything is added up by the store; Python sees groups, and single postings page by page. A million sales of a day need no more
  memory than a hundred.
- What is read is spooled into temporary tables first (on disk, like all of them), so that a report is of one moment however long it is
  looked at, and nobody is kept from writing.
- A cancelled sale is counted as cancelled, and nothing else of it counts: no posting, no weight, no money.
- Returns and adjustments count with their sign.

Names of tables come from the contracts. A site that holds no sales yet has empty reports. What is not here: what a report looks like
(cli/reports.py), and what has not arrived (the ledger).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from filesync.stores.database import QUERIES
from filesync.stores.tables import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from typing import Any

    from filesync.contracts import Contract
    from filesync.stores.database import Database

#: Rows read from a spool at a time.
PAGE_ROWS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Sums:
    """What some sales add up to. `sales` are those that count, `cancelled` the others; money in centavos, weight in grams."""

    sales: int = 0
    cancelled: int = 0
    itens_centavos: int = 0
    postagens_centavos: int = 0
    desconto_centavos: int = 0
    total_centavos: int = 0
    postings: int = 0
    peso_g: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The sales of one site or of one customer. `key` is None for sales without a customer; `name` is None where it is not known here."""

    key: str | None
    name: str | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class ServiceSums:
    """The postings of one Correios service."""

    servico: str
    postings: int
    peso_g: int
    valor_centavos: int


@dataclass(frozen=True, slots=True)
class FormSums:
    """The payments of one form (tPag)."""

    forma: str
    payments: int
    valor_centavos: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One object handed over, with its sale. `counts` is false for one of a cancelled sale."""

    origem: str
    caixa: str
    serie: str
    numero: int
    registrada_em: str
    situacao: str
    codigo_rastreio: str
    servico: str
    peso_g: int
    cep_destino: str
    valor_declarado_centavos: int | None
    valor_centavos: int
    contrato: str | None
    cartao_postagem: str | None

    @property
    def counts(self) -> bool:
        return self.situacao != "cancelada"


@dataclass(frozen=True, slots=True)
class ClientDay:
    """A customer's day. `postings` are read as they are taken, while the report is open; those of cancelled sales are among them."""

    client: Group
    services: list[ServiceSums]
    postings: Iterator[Posting]


@dataclass(frozen=True, slots=True)
class AgencyDay:
    """A day of the whole agency. `clients` are read as they are taken, while the report is open, the largest total first."""

    total: Sums
    without_client: Sums
    clients_count: int  # customers with sales that count
    sites: list[Group]
    services: list[ServiceSums]
    forms: list[FormSums]
    clients: Iterator[Group]


#: (temporary table, its columns).
_SPOOLS: Final = {
    "fs_report_sales": (
        "origem TEXT, cliente TEXT, sales INTEGER, cancelled INTEGER, itens INTEGER, postagens INTEGER, desconto INTEGER, total INTEGER"
    ),
    "fs_report_posted": "origem TEXT, cliente TEXT, servico TEXT, postings INTEGER, peso INTEGER, valor INTEGER",
    "fs_report_names": "codigo TEXT PRIMARY KEY, nome TEXT",
    "fs_report_lines": (
        "place INTEGER PRIMARY KEY, origem TEXT, caixa TEXT, serie TEXT, numero INTEGER, registrada_em TEXT, situacao TEXT, codigo_rastreio TEXT, "
        "servico TEXT, peso_g INTEGER, cep_destino TEXT, valor_declarado_centavos INTEGER, valor_centavos INTEGER, contrato TEXT, cartao_postagem TEXT"
    ),
    "fs_report_clients": (
        "place INTEGER PRIMARY KEY, cliente TEXT, nome TEXT, sales INTEGER, cancelled INTEGER, itens INTEGER, postagens INTEGER, "
        "desconto INTEGER, total INTEGER, postings INTEGER, peso INTEGER"
    ),
}
_COUNTING: Final = "v.situacao <> 'cancelada'"
_HEADS: Final = ", ".join((
    f"count(*) FILTER (WHERE {_COUNTING})", f"count(*) FILTER (WHERE NOT ({_COUNTING}))",
    *(
        f"coalesce(sum(CASE WHEN {_COUNTING} THEN v.{name} END), 0)"
        for name in ("total_itens_centavos", "total_postagens_centavos", "desconto_centavos", "total_centavos")
    ),
))  # fmt: skip
_SUMMED: Final = (
    "sum(s.sales) AS sales, sum(s.cancelled) AS cancelled, sum(s.itens) AS itens, sum(s.postagens) AS postagens, "
    "sum(s.desconto) AS desconto, sum(s.total) AS total"
)
_POSTED: Final = "coalesce(max(p.postings), 0) AS postings, coalesce(max(p.peso), 0) AS peso"
#: `Posting`, as the tables have it: v is the sale, p its posting.
_POSTING: Final = (
    "v.origem, v.caixa, v.serie, v.numero, v.registrada_em, v.situacao, p.codigo_rastreio, p.servico, p.peso_g, p.cep_destino, "
    "p.valor_declarado_centavos, p.valor_centavos, p.contrato, p.cartao_postagem"
)
_POSTING_ORDER: Final = "ORDER BY v.origem, v.caixa, v.serie, v.numero, v.venda_id, p.numero"


class Reporting:
    """A part of the store (`Store.reporting`). One report is open at a time."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @contextmanager
    def client(
        self, vendas: Contract, clientes: Contract | None, day: date, client: str
    ) -> Iterator[ClientDay]:
        """The day of one customer."""
        chosen = (day, client)
        with self._spools():
            with self._db.snapshot():
                self._spool(vendas, "v.data_movimento = ?1 AND v.cliente = ?2", chosen)
                self._spool_names(clientes, "codigo = ?1", (client,))
                if self._held(vendas):
                    self._db.run(
                        f"INSERT INTO temp.fs_report_lines SELECT row_number() OVER ({_POSTING_ORDER}), {_POSTING} "
                        f"FROM {_sales_with(vendas, 'postagens')} WHERE v.data_movimento = ?1 AND v.cliente = ?2 {_POSTING_ORDER}",
                        chosen,
                    )
            names = self._db.select("SELECT nome FROM temp.fs_report_names")
            group = Group(client, names[0][0] if names else None, self._sums("true"))
            yield ClientDay(
                group, self._services(), (Posting(*row) for row in self._lines("fs_report_lines"))
            )

    @contextmanager
    def agency(self, vendas: Contract, clientes: Contract | None, day: date) -> Iterator[AgencyDay]:
        """The day of all sites."""
        chosen = (day,)
        forms: list[tuple[Any, ...]] = []
        with self._spools():
            with self._db.snapshot():
                self._spool(vendas, "v.data_movimento = ?1", chosen)
                self._spool_names(clientes, "codigo IN (SELECT cliente FROM temp.fs_report_sales)", ())
                if self._held(vendas):
                    forms = self._db.select(
                        f"SELECT p.forma, count(*), sum(p.valor_centavos) FROM {_sales_with(vendas, 'pagamentos')} "
                        f"WHERE v.data_movimento = ?1 AND {_COUNTING} GROUP BY p.forma ORDER BY p.forma",
                        chosen,
                    )
            self._spool_clients()
            yield AgencyDay(
                self._sums("true"),
                self._sums("s.cliente IS NULL"),
                self._db.select("SELECT count(DISTINCT cliente) FROM temp.fs_report_sales WHERE sales > 0")[
                    0
                ][0],
                self._sites(),
                self._services(),
                [FormSums(*row) for row in forms],
                (
                    Group(cliente, nome, Sums(*sums))
                    for cliente, nome, *sums in self._lines("fs_report_clients")
                ),
            )

    # ------------------------------------------------------------------------------------------------ spooling

    @contextmanager
    def _spools(self) -> Iterator[None]:
        try:
            for name, names in _SPOOLS.items():
                self._db.run(f"DROP TABLE IF EXISTS temp.{name}")  # of a report that was cut short
                self._db.run(f"CREATE TEMP TABLE {name} ({names})")
            yield
        finally:
            for name in _SPOOLS:
                self._db.run(f"DROP TABLE IF EXISTS temp.{name}")

    def _spool(self, vendas: Contract, where: str, parameters: Sequence[object]) -> None:
        """The chosen sales in groups of (site, customer), their postings also by service: what every table of a report is made from."""
        if not self._held(vendas):
            return
        self._db.run(
            f"INSERT INTO temp.fs_report_sales SELECT v.origem, v.cliente, {_HEADS} FROM {quoted(vendas.relations[0].table)} v "
            f"WHERE {where} GROUP BY v.origem, v.cliente",
            parameters,
        )
        self._db.run(
            "INSERT INTO temp.fs_report_posted SELECT v.origem, v.cliente, p.servico, count(*), sum(p.peso_g), sum(p.valor_centavos) "
            f"FROM {_sales_with(vendas, 'postagens')} WHERE {where} AND {_COUNTING} GROUP BY v.origem, v.cliente, p.servico",
            parameters,
        )

    def _spool_names(self, clientes: Contract | None, where: str, parameters: Sequence[object]) -> None:
        """Each code once: where two sites ever kept one, a second name must not make its sales count twice."""
        if clientes is not None and self._held(clientes):
            table = quoted(clientes.relations[0].table)
            self._db.run(
                f"INSERT INTO temp.fs_report_names SELECT codigo, max(nome) FROM {table} WHERE {where} GROUP BY codigo",
                parameters or None,
            )

    def _spool_clients(self) -> None:
        self._db.run(
            f"INSERT INTO temp.fs_report_clients SELECT row_number() OVER (ORDER BY g.total DESC, g.cliente NULLS FIRST), g.* FROM ("
            f"SELECT s.cliente AS cliente, max(n.nome) AS nome, {_SUMMED}, {_POSTED} FROM temp.fs_report_sales s "
            # A code is never empty: sales without a customer meet each other there.
            "LEFT JOIN (SELECT coalesce(cliente, '') AS cliente, sum(postings) AS postings, sum(peso) AS peso "
            "FROM temp.fs_report_posted GROUP BY coalesce(cliente, '')) p ON p.cliente = coalesce(s.cliente, '') "
            "LEFT JOIN temp.fs_report_names n ON n.codigo = s.cliente GROUP BY s.cliente) g"
        )

    def _lines(self, spool: str) -> Iterator[tuple[Any, ...]]:
        for page in count():
            rows = self._db.select(
                f"SELECT * FROM temp.{spool} WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
                (page * PAGE_ROWS + 1, (page + 1) * PAGE_ROWS),
            )
            yield from (row[1:] for row in rows)
            if len(rows) < PAGE_ROWS:
                return

    # ------------------------------------------------------------------------------------------------ adding up

    def _sums(self, where: str) -> Sums:
        """What the spooled groups add up to; a query without groups answers one row of nothing where there are no sales."""
        sold = self._db.select(f"SELECT {_SUMMED} FROM temp.fs_report_sales s WHERE {where}")[0]
        posted = self._db.select(
            f"SELECT sum(s.postings), sum(s.peso) FROM temp.fs_report_posted s WHERE {where}"
        )[0]
        return Sums(*(value or 0 for value in (*sold, *posted)))

    def _sites(self) -> list[Group]:
        rows = self._db.select(
            f"SELECT s.origem, {_SUMMED}, {_POSTED} FROM temp.fs_report_sales s "
            "LEFT JOIN (SELECT origem, sum(postings) AS postings, sum(peso) AS peso FROM temp.fs_report_posted GROUP BY origem) p "
            "ON p.origem = s.origem GROUP BY s.origem ORDER BY s.origem"
        )
        return [Group(origem, None, Sums(*sums)) for origem, *sums in rows]

    def _services(self) -> list[ServiceSums]:
        rows = self._db.select(
            "SELECT servico, sum(postings), sum(peso), sum(valor) FROM temp.fs_report_posted GROUP BY servico ORDER BY servico"
        )
        return [ServiceSums(*row) for row in rows]

    def _held(self, contract: Contract) -> bool:
        """Whether anything of this contract ever arrived here."""
        return all(self._db.select(QUERIES["table_columns"], (r.table,)) for r in contract.relations)


def _sales_with(vendas: Contract, lines: str) -> str:
    """Sales (v) with one kind of their lines (p); the sales are looked at first."""
    tables = {relation.name: quoted(relation.table) for relation in vendas.relations}
    same = " AND ".join(f"p.{quoted(name)} = v.{quoted(name)}" for name in vendas.key)
    return f"{quoted(vendas.relations[0].table)} v CROSS JOIN {tables[lines]} p ON {same}"
