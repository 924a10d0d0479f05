"""The second act: the movement day, from the cadastros in the morning to the portal on the morning after.

- The posto cannot be reached in the evening: its last sales and its close stay in its outbox.
- Somebody tries to import the BDF nevertheless: the gate refuses with its reasons, and keeps the file.
- The posto's line comes back; the gate opens by itself, the files are taken in, the day is reconciled.
- In the billing a few differences were planted: exactly they must be found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from filesync.day import reconciling, routine, runners
from filesync.day.cadastros import export_complete, holdings
from filesync.day.closing import CloseOrder, close
from filesync.day.filing import Asked, FilingState, take
from filesync.day.portal import confirm, export_portal, portal_day
from filesync.day.receiving import receive
from filesync.day.reconciling import Colour
from filesync.day.sealed import figures
from filesync.day.sending import send_remote
from filesync.day.values import StepOutcome
from filesync.demo import cadastros
from filesync.demo.billing import STORY, Billing, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.demo.shop import EVENING, MORNING, Shop, money
from filesync.language import _
from filesync.phrases import said
from filesync.sources.layout_choice import layouts

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.station import Station

ABERTURA_CENTAVOS = 20_000
#: caixa-01 gave too much change.
MISSING_CENTAVOS = 500
OPERATOR = "Ana"

__all__ = ["Morning", "cadastros_out", "close_day", "morning_after", "runners"]


@dataclass(slots=True)
class Morning:
    """What the morning after came to. `found` counts red and yellow lines, `planted` the differences in the files."""

    refused: bool = False
    planted: int = 0
    found: int = 0
    steps: dict[str, bool] = field(default_factory=dict)
    at_portal: str = ""


# ------------------------------------------------------------------------------------------------ before the doors open


def cadastros_out(shop: Shop) -> None:
    """Atualização Completa: every cadastro to every till, the credentials encrypted."""
    shop.at(shop.day, MORNING)
    shop.chapter(_("Before the doors open: the cadastros go to the tills"))
    for dataset, documents in (
        ("produtos", cadastros.produtos(shop.day)),
        ("clientes", cadastros.clientes(shop.seed)),
        ("funcionarios", cadastros.funcionarios(shop.seed)),
        ("credenciais", cadastros.credenciais(shop.seed)),
    ):
        shop.leave("matriz", documents, dataset)
    with shop.station("matriz") as matriz:
        report = export_complete(matriz, business_date=shop.day, to=None, full=True, again=False)
    for done in report.exported:
        for batch in done.sealed:
            shop.plain(
                _("{dataset}: {count} rows in one file for {tills}").format(
                    dataset=done.dataset, count=batch.documents, tills=", ".join(batch.recipients)
                ),
                shop.dir / "matriz" / "outbox",
            )
    shop.plain(_("credenciais travel encrypted to each till's key, and hold Argon2id hashes only"))
    shop.until_quiet("matriz", "caixa-01", "caixa-02")
    with shop.station("caixa-01") as till:
        held = {one.dataset: one for one in holdings(till.context, shop.day)}
    shop.cured(
        _(
            "caixa-01 holds {products} products and {clients} customers, and the matriz has its receipts"
        ).format(products=held["produtos"].active, clients=held["clientes"].active)
    )


# ------------------------------------------------------------------------------------------------ the evening


def close_day(shop: Shop) -> None:
    """The tills close; the posto closes too, but its line is down."""
    shop.at(shop.day, EVENING)
    shop.chapter(_("The evening: the tills close the day, and the posto's line is down"))
    for site, difference in (("caixa-01", -MISSING_CENTAVOS), ("caixa-02", 0)):
        with shop.station(site) as till:
            report = close(till, _order(shop, till, difference))
        document = report.document
        shop.plain(
            _(
                "{site} closes: {count} sales, {total}; cash counted {counted}, difference {difference}"
            ).format(
                site=site,
                count=document["quantidade_vendas"],
                total=money(document["total_vendas_centavos"]),
                counted=money(document["contado_centavos"]),
                difference=money(document["diferenca_centavos"]),
            )
        )
    (shop.dir / "relay").rename(shop.dir / "relay-down")
    shop.leave("posto-centro", shop.sold["posto-centro"])
    with shop.station("posto-centro") as posto:
        posto.export("vendas")
        sent = send_remote(posto, _order(shop, posto, 0))
    shop.trouble(
        _("posto-centro closes too, but cannot reach anybody: {count} batches wait in its outbox").format(
            count=len(sent.differences.without_receipt)
        ),
        shop.dir / "posto-centro" / "outbox" / "matriz",
    )
    shop.until_quiet("caixa-01", "caixa-02", "matriz")
    with shop.station("matriz") as matriz:
        received = receive(matriz, shop.day)
    shop.trouble(_("the matriz receives what it can: the day is not complete"), reasons=received.reasons)


def _order(shop: Shop, station: Station, difference: int) -> CloseOrder:
    """A close whose count is what must be in the drawer, but for `difference`."""
    ctx = station.context
    sold = figures(ctx, [b for b in ctx.store.days.sealed(shop.day) if b.feed.dataset == "vendas"])
    counted = ABERTURA_CENTAVOS + sold.cash_centavos + difference
    return CloseOrder(
        shop.day, contado_centavos=counted, abertura_centavos=ABERTURA_CENTAVOS, operador=OPERATOR
    )


# ------------------------------------------------------------------------------------------------ the morning after


def morning_after(shop: Shop) -> Morning:
    """BDF and C.A. arrive; first too early, then when the posto's sales are there."""
    morning = Morning()
    shop.at(shop.next_day, MORNING)
    shop.chapter(_("The morning after: the BDF is there, the posto's sales are not"))
    billing = _billing(shop)
    morning.planted = len(billing.planted)
    for dataset in ("bdf", "ca"):
        path = _written(shop, dataset, billing)
        with shop.station("matriz") as matriz:
            filed = take(matriz, Asked(dataset, path, shop.day, by=OPERATOR))
        if filed.state is FilingState.KEPT:
            morning.refused = True
            shop.trouble(
                _("{file} is refused, for the day is not complete; it is kept until it is").format(
                    file=path.name
                ),
                filed.kept,
                filed.reasons if dataset == "bdf" else (),
            )
    shop.chapter(_("The posto's line is back"))
    (shop.dir / "relay-down").rename(shop.dir / "relay")
    shop.until_quiet("posto-centro", "caixa-01", "caixa-02", "matriz")
    shop.cured(_("posto-centro's sales and its close arrive"))
    _steps(shop, morning)
    _portal(shop, morning)
    return morning


def _billing(shop: Shop) -> Billing:
    """caixa-02's old till program knows no tracking codes, so the office lets Correios bill its postings elsewhere."""
    sold = [sale for site in ("caixa-01", "posto-centro") for sale in shop.sold[site]]
    return billing_of_day(sold, seed=shop.seed, planted=STORY)


def _written(shop: Shop, dataset: str, billing: Billing) -> Path:
    """The file as it comes from the office's download, by the example layout."""
    layout = next(one for one in layouts(shop.dir / "matriz") if one.name == f"exemplo-{dataset}-csv")
    path = shop.dir / "matriz" / f"{dataset.upper()}_{shop.day:%Y%m%d}.csv"
    path.write_bytes(billing_file(layout, shop.day, billing.rows(dataset)))
    return path


def _steps(shop: Shop, morning: Morning) -> None:
    """What `filesync run` does by itself after each turn."""
    with shop.station("matriz") as matriz:
        for report in routine.run_due(matriz, shop.clock() + timedelta(seconds=1)):
            if report.day != shop.day or report.outcome not in (StepOutcome.OPENED, StepOutcome.RAN):
                continue
            if report.outcome is StepOutcome.RAN:
                morning.steps[report.step] = True
            where = None if report.evidence is None else matriz.context.folders.evidence / report.evidence
            shop.cured(_("{step}: {message}").format(step=report.step, message=said(report.message)), where)
        summary = reconciling.summary(matriz.context, shop.day)
    if summary is None:
        return
    morning.found = summary.count(Colour.RED) + summary.count(Colour.YELLOW)
    shop.plain(
        _(
            "reconciled: {green} lines agree, {yellow} differ, {red} stand on one side only; {planted} differences were planted"
        ).format(
            green=summary.count(Colour.GREEN),
            yellow=summary.count(Colour.YELLOW),
            red=summary.count(Colour.RED),
            planted=morning.planted,
        )
    )


def _portal(shop: Shop, morning: Morning) -> None:
    with shop.station("matriz") as matriz:
        routine.mark_done(matriz.context, "exportar_sara", shop.day, by=OPERATOR)
        shop.plain(_("{who} has exported to SARA, and says so").format(who=OPERATOR))
        sent = export_portal(matriz, shop.day)
    shop.plain(
        _("the portal is sent {count} sales of {clients} customers, {total}").format(
            count=sent.total.sales, clients=sent.clients, total=money(sent.total.total_centavos)
        ),
        shop.dir / "portal" / "inbox",
    )
    shop.turn("portal")
    with shop.station("matriz") as matriz:
        confirm(matriz, matriz.turn().imported.settled)
        morning.at_portal = portal_day(matriz.context, shop.day).state.value
    shop.cured(_("the portal has applied them; its customers see their postings"))
