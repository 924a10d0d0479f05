"""The portal on the command line: the button at the matriz, and what Web do Cliente and Web da Agência show."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import DAY, Run, Shop, filesync, open_shop

from filesync.cli.rows import write_csv
from filesync.demo.cadastros import clientes

if TYPE_CHECKING:
    from pathlib import Path

ON = ("--date", DAY.isoformat())
FEW = ("--patience", "0")


@dataclass(frozen=True)
class PortalShop:
    """The shop of the other tests, and a portal into whose folder the matriz pushes."""

    shop: Shop

    @property
    def portal(self) -> Path:
        return self.shop.root / "portal"

    def at_portal(self, *arguments: str | Path, code: int | None = 0) -> Run:
        return filesync("-C", self.portal, *arguments, code=code)

    def at_matriz(self, *arguments: str | Path, code: int | None = 0) -> Run:
        return self.shop.at_matriz(*arguments, code=code)

    def sold(self, count: int = 40) -> list[dict[str, Any]]:
        """A day of the caixa: sold, closed, at the matriz."""
        sales = self.shop.sales(count)
        self.shop.at_caixa("export", "vendas", "--from", self.shop.write(sales))
        self.shop.at_caixa("close", *ON, "--contado", "0,00")
        self.carry()
        return sales

    def carry(self) -> None:
        self.shop.at_caixa("turn")
        self.at_matriz("turn")
        self.shop.at_caixa("turn")

    def send(self, *more: str, code: int | None = 0) -> Run:
        return self.at_matriz("export-portal", *ON, *FEW, *more, code=code)

    def sent(self) -> None:
        """Sent and confirmed."""
        self.send()
        self.at_portal("turn")
        self.send()


@pytest.fixture
def shop(tmp_path: Path) -> PortalShop:
    made = PortalShop(open_shop(tmp_path))
    filesync("init", made.portal, "--site", "portal", "--role", "portal")
    keys = {}
    for site in ("matriz", "portal"):
        keys[site] = tmp_path / f"{site}.pub"
        keys[site].write_text(filesync("-C", tmp_path / site, "key").out, encoding="utf-8")
    made.at_portal("peer", "add", "matriz", "--role", "matriz", "--key", keys["matriz"])
    made.at_matriz(
        "peer", "add", "portal", "--role", "portal", "--link", made.portal, "--key", keys["portal"]
    )
    names = made.shop.write(clientes(), "clientes.jsonl")
    made.at_matriz("export", "clientes", "--from", names, "--to", "portal", "--full")
    return made


@pytest.fixture
def evening(shop: PortalShop) -> PortalShop:
    """Everything is at the matriz, and SARA has it."""
    shop.sold()
    shop.at_matriz("done", "exportar_sara", *ON, "--by", "Márcia")
    return shop


def totals(sales: list[dict[str, Any]]) -> tuple[int, int]:
    """Sales that count, and their total."""
    counting = [sale for sale in sales if sale["situacao"] != "cancelada"]
    return len(counting), sum(sale["total_centavos"] for sale in counting)


def test_the_button(evening: PortalShop) -> None:
    run = evening.send()
    assert "Movement of 02/03/2026 sent to the portal" in run.out
    assert "without a customer" in run.out
    assert "waits for the portal's receipt of 1 batch" in run.out
    evening.at_portal("turn")
    run = evening.send()
    assert "nothing new: all of it was sent before" in run.out
    assert "exportar_portal of 02/03/2026 is done" in run.out
    again = evening.send("--json").json
    assert again["standing"]["state"] == "done"
    assert again["vendas"]["sealed"] == []
    count, total = totals(evening.shop.sales(40))
    assert (again["total"]["sales"], again["total"]["total_centavos"]) == (count, total)


def test_too_early_it_says_what_is_missing_and_what_to_do(shop: PortalShop) -> None:
    shop.sold()
    run = shop.send(code=1)
    assert "exportar_sara" in run.out + run.err
    assert "filesync done exportar_sara --date 2026-03-02" in run.out + run.err
    refused = shop.send("--json", code=1).json
    assert refused["error"]["code"] == "gate-closed"


def test_one_customer(evening: PortalShop) -> None:
    code = next(sale["cliente"] for sale in evening.shop.sales(40) if "cliente" in sale)
    run = evening.send("--client", code)
    assert f"Movement of {code} of 02/03/2026 sent to the portal" in run.out
    evening.at_portal("turn")
    run = evening.send("--client", code)
    assert "The day is done when everybody's sales are there" in run.out
    assert "nothing to send" in evening.send("--client", "C99999").out


def test_without_a_portal_it_says_how_to_make_one(tmp_path: Path) -> None:
    made = open_shop(tmp_path)
    run = made.at_matriz("export-portal", *ON, code=2)
    assert "peer add portal --role portal" in run.err


def test_patience_must_be_a_time(evening: PortalShop) -> None:
    assert "soon" in evening.at_matriz("export-portal", *ON, "--patience", "soon", code=2).err


def test_a_portal_that_is_away(evening: PortalShop) -> None:
    away = evening.portal.rename(evening.portal.with_name("away"))
    run = evening.send(code=3)
    assert "portal could not be reached" in run.out
    assert "ready for the portal" in run.out
    away.rename(evening.portal)
    assert evening.send().code == 0


# --- the reports


def client_of(sales: list[dict[str, Any]]) -> str:
    posted = [s for s in sales if "cliente" in s and s.get("postagens") and s["situacao"] == "concluida"]
    return str(max(posted, key=lambda sale: len(sale["postagens"]))["cliente"])


def test_what_the_customer_sees(evening: PortalShop) -> None:
    evening.sent()
    sales = evening.shop.sales(40)
    code = client_of(sales)
    name = next(customer["nome"] for customer in clientes() if customer["codigo"] == code)
    theirs = [sale for sale in sales if sale.get("cliente") == code]
    codes = {p["codigo_rastreio"] for sale in theirs for p in sale.get("postagens", ())}
    shown = evening.at_portal("report", "client", code, *ON).out
    assert name in shown
    assert all(tracking in shown for tracking in codes)

    found = evening.at_portal("report", "client", code, *ON, "--json").json
    assert {posting["codigo_rastreio"] for posting in found["postings"]} == codes
    assert found["totals"]["total_centavos"] == totals(theirs)[1]
    assert found["name"] == name


def test_a_customers_csv_is_for_a_brazilian_spreadsheet(evening: PortalShop, tmp_path: Path) -> None:
    evening.sent()
    sales = evening.shop.sales(40)
    code = client_of(sales)
    path = tmp_path / "cliente.csv"
    evening.at_portal("report", "client", code, *ON, "--csv", path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), delimiter=";"))
    value = sum(int(line["valor"].replace(",", "")) for line in lines if line["situacao"] != "cancelada")
    assert (
        value
        == evening.at_portal("report", "client", code, *ON, "--json").json["totals"]["postagens_centavos"]
    )
    # The same to stdout, for a pipe.
    assert evening.at_portal("report", "client", code, *ON, "--csv", "-").out.count("\n") == len(lines) + 1


def test_what_the_agency_sees(evening: PortalShop, tmp_path: Path) -> None:
    evening.sent()
    sales = evening.shop.sales(40)
    count, total = totals(sales)
    shown = evening.at_portal("report", "agency", *ON).out
    assert "caixa-01" in shown
    assert "01 dinheiro" in shown
    assert "(without a customer)" in shown
    found = evening.at_portal("report", "agency", *ON, "--json").json
    assert (found["totals"]["sales"], found["totals"]["total_centavos"]) == (count, total)
    assert sum(group["sales"] for group in found["clients"]) == count
    assert found == evening.at_matriz("report", "agency", *ON, "--json").json | {"clients": found["clients"]}
    path = tmp_path / "agencia.csv"
    evening.at_portal("report", "agency", *ON, "--csv", path)
    lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), delimiter=";"))
    (whole,) = (line for line in lines if line["grupo"] == "total")
    assert int(whole["total"].replace(",", "")) == total
    assert {line["grupo"] for line in lines} == {"total", "site", "servico", "forma", "cliente"}


def test_a_day_without_sales_and_a_customer_nobody_knows(evening: PortalShop) -> None:
    evening.sent()
    quiet = ("--date", "2026-03-08")
    assert "No sales of this day are held here" in evening.at_portal("report", "agency", *quiet).out
    assert evening.at_portal("report", "agency", *quiet, "--json").json["clients"] == []
    assert "No sales of this customer" in evening.at_portal("report", "client", "C00001", *quiet).out
    run = evening.at_portal("report", "client", "C99999", *quiet, code=2)
    assert "filesync report agency" in run.err


def test_a_portal_that_never_received_anything(shop: PortalShop) -> None:
    assert "No sales of this day are held here" in shop.at_portal("report", "agency", *ON).out


def test_a_report_goes_to_one_place(shop: PortalShop, tmp_path: Path) -> None:
    both = ("--csv", tmp_path / "a.csv", "--json")
    assert "one of --csv and --json" in shop.at_portal("report", "agency", *ON, *both, code=2).err


def test_a_csv_that_cannot_be_written_leaves_nothing(evening: PortalShop, tmp_path: Path) -> None:
    evening.sent()
    run = evening.at_portal("report", "agency", *ON, "--csv", tmp_path / "missing" / "a.csv", code=None)
    assert run.code != 0
    assert not (tmp_path / "missing").exists()


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert write_csv(path, ("a", "b"), [("=1+1", None), ("-5", -5)]) == 2
    assert path.read_text(encoding="utf-8-sig").splitlines() == ["a;b", "'=1+1;", "'-5;-5"]
