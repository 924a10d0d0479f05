"""`filesync report client` and `filesync report agency`: what Web do Cliente and Web da Agência show of a movement day.

Asked at the portal, and anywhere else where sales are held (at the matriz they say what the portal will say). They show what is held
here now: a sale that was cancelled since is shown as cancelled, and does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _, ngettext
from filesync.cli.options import HERE, Day, Json, Root
from filesync.cli.rows import STDOUT, reais, say_json_rows, write_csv
from filesync.cli.sites import at
from filesync.errors import ConfigError

if TYPE_CHECKING:
    from filesync.contracts import Contract
    from filesync.exchange.station import Station
    from filesync.stores.reporting import AgencyDay, ClientDay, Group, Posting, ServiceSums, Sums

#: Rows of one kind on a screen; a CSV or JSON has all of them.
LINES_MAX = 40

Csv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", dir_okay=False, help="Write it for a spreadsheet, with every row; `-` writes to stdout.", show_default=False),
]  # fmt: skip

_POSTING_COLUMNS = (
    "origem", "caixa", "serie", "numero", "registrada_em", "situacao", "codigo_rastreio", "servico", "peso_g", "cep_destino",
    "valor_declarado", "valor", "contrato", "cartao_postagem",
)  # fmt: skip
_GROUP_COLUMNS = (
    "grupo", "codigo", "nome", "vendas", "canceladas", "postagens", "peso_g", "valor_itens", "valor_postagens", "desconto", "total",
)  # fmt: skip


def client(
    code: Annotated[str, typer.Argument(metavar="CLIENT", help="The customer's code, as in clientes.")],
    day: Day,
    csv: Csv = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:
    """What a customer posted on a day: tracking codes, services, weights and values, with their totals."""
    _one_output(csv, as_json=as_json)
    when = day.date()
    with _opened(root, quiet=as_json or csv == STDOUT) as (station, vendas, clientes):
        store = station.context.store
        with store.reporting.client(vendas, clientes, when, code) as report:
            if report.client.name is None and not (report.client.sums.sales or report.client.sums.cancelled):
                raise ConfigError(
                    "client-unknown",
                    _("no customer {code!r} is held at {site}, and no sale of {day} names one").format(
                        code=code, site=station.context.me, day=when
                    ),
                )
            if as_json:
                head = {
                    "day": when,
                    "client": report.client.key,
                    "name": report.client.name,
                    "totals": report.client.sums,
                    "services": report.services,
                }
                say_json_rows(head, "postings", report.postings)
            elif csv is not None:
                _written(csv, write_csv(csv, _POSTING_COLUMNS, map(_posting_cells, report.postings)))
            else:
                _say_client(report, when)
    return Ending.DONE


def agency(day: Day, csv: Csv = None, root: Root = HERE, as_json: Json = False) -> Ending:
    """The agency's day: per site, customer, service and payment form."""
    _one_output(csv, as_json=as_json)
    when = day.date()
    with (
        _opened(root, quiet=as_json or csv == STDOUT) as (station, vendas, clientes),
        station.context.store.reporting.agency(vendas, clientes, when) as report,
    ):
        if as_json:
            head = {
                "day": when,
                "totals": report.total,
                "without_client": report.without_client,
                "clients_count": report.clients_count,
                "sites": [{"site": group.key, **_plain(group.sums)} for group in report.sites],
                "services": report.services,
                "forms": report.forms,
            }
            rows = (
                {"client": group.key, "name": group.name, **_plain(group.sums)} for group in report.clients
            )
            say_json_rows(head, "clients", rows)
        elif csv is not None:
            _written(csv, write_csv(csv, _GROUP_COLUMNS, _agency_rows(report)))
        else:
            _say_agency(report, when)
    return Ending.DONE


@contextmanager
def _opened(root: Path, *, quiet: bool) -> Iterator[tuple[Station, Contract, Contract | None]]:
    """The site with the contracts that reports are made from."""
    with at(root, quiet=quiet) as station:
        vendas = station.context.contracts.latest("vendas")
        if vendas is None:
            raise ConfigError("dataset-unknown", _("no contract for 'vendas': reports are made from sales"))
        yield station, vendas, station.context.contracts.latest("clientes")


def _one_output(csv: Path | None, *, as_json: bool) -> None:
    if csv is not None and as_json:
        raise typer.BadParameter(_("give one of --csv and --json"))


def _written(csv: Path, count: int) -> None:
    if csv != STDOUT:
        screen.say(_("{rows} written to {path}").format(rows=wording.plural(count, "row", "rows"), path=csv))


# ------------------------------------------------------------------------------------------------ for a spreadsheet or a program


def _plain(sums: Sums) -> dict[str, object]:
    plain: dict[str, object] = screen.jsonable(sums)
    return plain


def _posting_cells(posting: Posting) -> tuple[object, ...]:
    return (
        posting.origem, posting.caixa, posting.serie, posting.numero, posting.registrada_em, posting.situacao, posting.codigo_rastreio,
        posting.servico, posting.peso_g, posting.cep_destino, reais(posting.valor_declarado_centavos), reais(posting.valor_centavos),
        posting.contrato, posting.cartao_postagem,
    )  # fmt: skip


def _agency_rows(report: AgencyDay) -> Iterator[Sequence[object]]:
    """One table for all groups: the first column says of which kind a row is."""
    yield _group_cells("total", "", "", report.total)
    for group in report.sites:
        yield _group_cells("site", group.key, "", group.sums)
    for service in report.services:
        value = reais(service.valor_centavos)
        yield (
            "servico",
            service.servico,
            "",
            None,
            None,
            service.postings,
            service.peso_g,
            None,
            value,
            None,
            value,
        )
    for form in report.forms:
        yield ("forma", form.forma, "", None, None, None, None, None, None, None, reais(form.valor_centavos))
    for group in report.clients:
        yield _group_cells("cliente", group.key or "", group.name or "", group.sums)


def _group_cells(kind: str, key: str | None, name: str, sums: Sums) -> Sequence[object]:
    return (
        kind, key, name, sums.sales, sums.cancelled, sums.postings, sums.peso_g, reais(sums.itens_centavos),
        reais(sums.postagens_centavos), reais(sums.desconto_centavos), reais(sums.total_centavos),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ for people


def _say_client(report: ClientDay, when: date) -> None:
    group = report.client
    name = f"{group.name} ({group.key})" if group.name else str(group.key)
    screen.heading(_("{name}, {day}").format(name=name, day=wording.day(when)))
    if not group.sums.sales and not group.sums.cancelled:
        screen.say(_("No sales of this customer on this day."))
        return
    columns = (_("tracking code"), _("service"), _("weight"), _("CEP"), _("value"), _("ticket"), "")
    shown = list(islice(report.postings, LINES_MAX))
    screen.table(columns, [_posting_line(p) for p in shown], right={_("weight"), _("value")})
    if rest := sum(1 for _posting in report.postings):
        screen.say(_("… and {count} more: --csv FILE writes all of them").format(count=wording.number(rest)))
    _say_services(report.services)
    _say_sums(group.sums)


def _posting_line(posting: Posting) -> tuple[str, ...]:
    return (
        posting.codigo_rastreio,
        posting.servico,
        f"{wording.number(posting.peso_g)} g",
        posting.cep_destino,
        wording.money(posting.valor_centavos),
        f"{posting.origem} {posting.caixa}/{posting.serie}/{posting.numero}",
        "" if posting.counts else _("cancelled"),
    )


def _say_agency(report: AgencyDay, when: date) -> None:
    screen.heading(_("The agency on {day}").format(day=wording.day(when)))
    if not report.sites:
        screen.say(_("No sales of this day are held here."))
        return
    # The noun with many, for the heading of a column.
    cancelled = ngettext("cancelled", "cancelled", 2)
    sums = (_("sales"), cancelled, _("postings"), _("goods"), _("postings' value"), _("total"))
    screen.table(
        (_("site"), *sums), [(str(g.key), *_sums_line(g.sums)) for g in report.sites], right=set(sums)
    )
    _say_services(report.services)
    forms = (_("payment form"), _("payments"), _("value"))
    screen.say()
    screen.table(
        forms,
        [
            (wording.payment_form(f.forma), wording.number(f.payments), wording.money(f.valor_centavos))
            for f in report.forms
        ],
        right=set(forms[1:]),
    )
    screen.say()
    shown = list(islice(report.clients, LINES_MAX))
    screen.table(
        (_("customer"), *sums), [(_client_name(g), *_sums_line(g.sums)) for g in shown], right=set(sums)
    )
    if rest := sum(1 for _group in report.clients):
        screen.say(_("… and {count} more: --csv FILE writes all of them").format(count=wording.number(rest)))
    screen.say()
    _say_sums(report.total)


def _client_name(group: Group) -> str:
    if group.key is None:
        return _("(without a customer)")
    return f"{group.key} {group.name}" if group.name else group.key


def _sums_line(sums: Sums) -> tuple[str, ...]:
    counts = (wording.number(n) for n in (sums.sales, sums.cancelled, sums.postings))
    values = (wording.money(n) for n in (sums.itens_centavos, sums.postagens_centavos, sums.total_centavos))
    return (*counts, *values)


def _say_services(services: Sequence[ServiceSums]) -> None:
    if not services:
        return
    columns = (_("service"), _("postings"), _("weight"), _("value"))
    rows = [
        (s.servico, wording.number(s.postings), f"{wording.number(s.peso_g)} g", wording.money(s.valor_centavos))
        for s in services
    ]  # fmt: skip
    screen.say()
    screen.table(columns, rows, right=set(columns[1:]))


def _say_sums(sums: Sums) -> None:
    screen.say(
        _("Total: {sales}, {postings}, {total}").format(
            sales=wording.documents(sums.sales, "vendas"),
            postings=wording.plural(sums.postings, "posting", "postings"),
            total=wording.money(sums.total_centavos),
        ),
        "bold",
    )
    if sums.cancelled:
        screen.say(
            _("  {sales} cancelled, which do not count").format(
                sales=wording.documents(sums.cancelled, "vendas")
            )
        )
