"""The commands and their order on the help page. No command's work is imported before it is asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from filesync import __version__
from filesync.cli import (
    applying,
    batches,
    cadastros,
    carrying,
    closing,
    contracts,
    days,
    examining,
    filing,
    gates,
    holes,
    language,
    layouts,
    looking,
    migrating,
    moving,
    peers,
    portal,
    purging,
    quarantine,
    receiving,
    reconciling,
    reports,
    restored,
    running,
    screen,
    serving,
    setup,
    story,
    trusting,
    verifying,
)
from filesync.cli.edge import Edge
from filesync.cli.language import _
from filesync.cli.options import HERE, TopRoot

EVERY_DAY, LOOKING, TROUBLE, SETTING_UP = (
    "Every day",
    "What is where",
    "When something is wrong",
    "Setting up",
)

app = typer.Typer(
    cls=Edge,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="filesync: sales and cadastros travel between caixas, postos, the matriz and the portal, exactly once, with receipts.",
    epilog="Exit codes: 0 done, 1 needs attention, 2 wrong usage or settings, 3 a peer could not be reached (nothing is lost), 70 a mistake in filesync.",
)


def _version(wanted: bool) -> None:
    if wanted:
        screen.say(f"filesync {__version__}")
        raise typer.Exit


def _language(wanted: str | None) -> str | None:
    """Chosen already (edge.py); here it is only understood, or refused."""
    if wanted is not None and language.parse(wanted) is None:
        raise typer.BadParameter(_("pt-BR or en, not {wanted!r}").format(wanted=wanted))
    return wanted


@app.callback()
def _top(
    root: TopRoot = HERE,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which filesync this is.")
    ] = False,
    lang: Annotated[
        str | None,
        typer.Option("--lang", metavar="pt-BR|en", callback=_language, is_eager=True, help="The language of the answers.", show_default="the system's"),
    ] = None,
) -> None:  # fmt: skip
    pass


for _name, _command, _panel in (
    ("run", running.run, EVERY_DAY),
    ("turn", moving.turn, EVERY_DAY),
    ("export", moving.export, EVERY_DAY),
    ("exchange", moving.exchange, EVERY_DAY),
    ("import", moving.import_, EVERY_DAY),
    ("close", closing.close, EVERY_DAY),
    ("send-remote", closing.send_remote, EVERY_DAY),
    ("receive-remote", receiving.receive_remote, EVERY_DAY),
    ("gate", gates.gate, EVERY_DAY),
    ("done", gates.done, EVERY_DAY),
    ("import-bdf", filing.import_bdf, EVERY_DAY),
    ("import-ca", filing.import_ca, EVERY_DAY),
    ("reconcile", reconciling.reconcile, EVERY_DAY),
    ("export-portal", portal.export_portal, EVERY_DAY),
    ("day", days.day, LOOKING),
    ("dossier", days.dossier, LOOKING),
    ("status", looking.status, LOOKING),
    ("outbox", looking.outbox, LOOKING),
    ("inbox", looking.inbox, LOOKING),
    ("show", batches.show, LOOKING),
    ("cadastros", cadastros.cadastros, LOOKING),
    ("roster", gates.roster, LOOKING),
):
    app.command(_name, rich_help_panel=_panel)(_command)

_report = typer.Typer(
    no_args_is_help=True, help="What the sales that are held here say of a day: of a customer, of the agency."
)
_report.command("client")(reports.client)
_report.command("agency")(reports.agency)
app.add_typer(_report, name="report", rich_help_panel=LOOKING)

_carry = typer.Typer(
    no_args_is_help=True, help="Batches and receipts on a USB stick, where no network reaches."
)
_carry.command("out")(carrying.carry_out)
_carry.command("in")(carrying.carry_in)
app.add_typer(_carry, name="carry", rich_help_panel=EVERY_DAY)

_quarantine = typer.Typer()
_quarantine.callback(invoke_without_command=True)(quarantine.listing)
_quarantine.command("show")(quarantine.show)
_quarantine.command("retry")(quarantine.retry)
_quarantine.command("discard")(quarantine.discard)
app.add_typer(_quarantine, name="quarantine", rich_help_panel=TROUBLE)
app.command("override", rich_help_panel=TROUBLE)(gates.override)
app.command("resend", rich_help_panel=TROUBLE)(holes.resend)
app.command("void", rich_help_panel=TROUBLE)(holes.void)
app.command("restored", rich_help_panel=TROUBLE)(restored.restored)
app.command("verify", rich_help_panel=TROUBLE)(verifying.verify)
app.command("doctor", rich_help_panel=TROUBLE)(examining.doctor)

app.command("init", rich_help_panel=SETTING_UP)(setup.init)
app.command("migrate", rich_help_panel=SETTING_UP)(migrating.migrate)
_peer = typer.Typer(no_args_is_help=True, help="The sites that this one exchanges files with.")
_peer.command("add")(peers.peer_add)
_peer.command("trust")(trusting.peer_trust)
_peer.command("list")(peers.peer_list)
app.add_typer(_peer, name="peer", rich_help_panel=SETTING_UP)
app.command("key", rich_help_panel=SETTING_UP)(setup.key)
app.command("purge", rich_help_panel=SETTING_UP)(purging.purge)
_service = typer.Typer(no_args_is_help=True, help="Let the system run this site by itself.")
_service.command("install")(serving.install)
_service.command("uninstall")(serving.uninstall)
_service.command("status")(serving.status)
app.add_typer(_service, name="service", rich_help_panel=SETTING_UP)
_contract = typer.Typer(no_args_is_help=True, help="What a dataset must look like.")
_contract.command("list")(contracts.listing)
_contract.command("show")(contracts.show)
_contract.command("check")(contracts.check)
app.add_typer(_contract, name="contract", rich_help_panel=SETTING_UP)
_apply = typer.Typer(no_args_is_help=True, help="Tables of your own that batches are applied into as well.")
_apply.command("check")(applying.check)
_apply.command("show")(applying.show)
app.add_typer(_apply, name="apply", rich_help_panel=SETTING_UP)
_layout = typer.Typer(no_args_is_help=True, help="How billing files (BDF, C.A.) are written.")
_layout.command("list")(layouts.listing)
_layout.command("show")(layouts.show)
_layout.command("check")(layouts.check)
app.add_typer(_layout, name="layout", rich_help_panel=SETTING_UP)
app.command("demo", rich_help_panel=SETTING_UP)(story.demo)


def run() -> None:
    """Run the command of this process's arguments; ends the process."""
    screen.prepare_streams()
    app(prog_name="filesync")
