"""`filesync show`: one batch in full, or the exact bytes that were signed, for whoever wants to check a signature without filesync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.errors import ConfigError
from filesync.phrases import said
from filesync.protocol.receipt import Receipt

if TYPE_CHECKING:
    from filesync.cli.dossier import Dossier, Event
    from filesync.protocol.manifest import Manifest

PROBLEMS_SHOWN = 20


def show(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="A file of the batch, its name, or a beginning that only it has.")],
    signed_bytes: Annotated[bool, typer.Option("--signed-bytes", help="Write the bytes that were signed to stdout, and nothing else.")] = False,
    signature: Annotated[bool, typer.Option("--signature", help="Write the signature over them to stdout, and nothing else.")] = False,
    receipt: Annotated[bool, typer.Option("--receipt", help="With either of these: of the receipt instead of the manifest.")] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="ID", help="With --receipt: whose, where there are several.", show_default=False)] = None,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """One batch: what its origin claims, what happened to it and when, its receipts and its problems.

    To check a signature with OpenSSH alone (-I names the site that signed: the origin, or with --receipt the recipient):

    filesync key --allowed-signers > signers

    filesync show BATCH --signature > batch.sig

    filesync show BATCH --signed-bytes > batch.bytes

    ssh-keygen -Y verify -f signers -I SITE -n filesync -s batch.sig < batch.bytes
    """
    if signed_bytes and signature:
        raise typer.BadParameter(
            _("give one of --signed-bytes and --signature; stdout holds one thing at a time")
        )
    with at(root, quiet=as_json or signed_bytes or signature) as station:
        from filesync.cli import dossier

        found = dossier.gather(station.context, dossier.find(station.context, batch))
        if signed_bytes or signature:
            envelope = dossier.signed(station.context, found, receipt=receipt or by is not None, recipient=by)
            if signed_bytes:
                screen.write_bytes(envelope.canonical)
            elif envelope.signature is None:
                raise ConfigError("not-signed", _("{stem} is not signed").format(stem=found.name.stem))
            else:
                screen.write_bytes(envelope.signature.encode())
            return Ending.DONE
        here = station.context.folders.root
        purged = station.context.store.purges.archive_of(found.name.business_date)
    if as_json:
        screen.say_json(_plain(found))
        return Ending.DONE
    _say(found)
    screen.heading(_("Files:"))
    for path in found.files:
        screen.say(f"  {path.relative_to(here) if path.is_relative_to(here) else path}")
    if not found.files:
        screen.say(_("  none lie here any more"))
        if purged is not None:
            text = _("  The archive of {day} was purged on {when}, by {who}.")
            screen.say(
                text.format(day=wording.day(purged.day), when=wording.moment(purged.at), who=purged.by)
            )
    return Ending.DONE


def _plain(found: Dossier) -> dict[str, object]:
    return {
        "batch": found.name.stem,
        "state": found.state,
        "manifest": None if found.manifest is None else found.manifest.to_signed(),
        "timeline": found.events,
        "receipts": [receipt.to_signed() for receipt in found.receipts],
        "files": found.files,
    }


def _say(found: Dossier) -> None:
    screen.say(f"{wording.named(found.name.stem)}: {wording.word(found.state)}", "bold")
    screen.say(found.name.stem, "dim")
    if found.manifest is not None:
        _manifest(found.manifest)
    screen.heading(_("Timeline:"))
    columns = ("  " + _("what"), _("when"), _("by the clock of"), "")
    screen.table(columns, [_event(event) for event in found.events])
    for receipt in found.receipts:
        _receipt(receipt, found.name.id.feed.dataset)


def _event(event: Event) -> tuple[str, str, str, str]:
    detail = (advice.of_code(event.code).means or said(event.detail)) if event.code else said(event.detail)
    return f"  {wording.word(event.what)}", wording.moment(event.at), event.by, detail


def _manifest(manifest: Manifest) -> None:
    screen.heading(_("What {origin} claims:").format(origin=manifest.id.feed.origin))
    rows = ", ".join(f"{name} {wording.number(count)}" for name, count in manifest.rows.items())
    lines = {
        _("for"): ", ".join(manifest.recipients),
        _("movement day"): wording.day(manifest.business_date),
        _("content"): _("{value}, {payload_bytes}, contract v{version}, {value_2}").format(
            value=manifest.format.value,
            payload_bytes=wording.size(manifest.payload_bytes),
            version=manifest.version,
            value_2=wording.word(manifest.mode.value),
        ),
        _("rows"): rows,
        **dict(_totals(manifest.totals)),
        _("replaces"): wording.named(manifest.replaces) if manifest.replaces else "",
        "sha256": manifest.payload_sha256,
        _("made with"): manifest.software,
    }
    screen.table(("", ""), [(f"  {what}", text) for what, text in lines.items() if text], heads=False)


def _totals(totals: Mapping[str, int | Mapping[str, int]]) -> list[tuple[str, str]]:
    return [
        (
            name,
            wording.total(name, value)
            if isinstance(value, int)
            else ", ".join(f"{k}: {wording.total(name, v)}" for k, v in value.items()),
        )
        for name, value in totals.items()
    ]


def _receipt(receipt: Receipt, dataset: str) -> None:
    rows = ", ".join(f"{name} {wording.number(count)}" for name, count in receipt.rows.items())
    screen.heading(
        _("Receipt of {recipient}: {value}, rows applied: {rows}").format(
            recipient=receipt.recipient, value=wording.word(receipt.verdict.value), rows=rows or _("nothing")
        )
    )
    for problem in receipt.problems[:PROBLEMS_SHOWN]:
        where = (
            ""
            if problem.row is None
            else f"{wording.one_document(dataset)} {wording.number(problem.row + 1)}: "
        )
        screen.say(f"  {where}{said(problem.message)} ({problem.code})", "red")
    if len(receipt.problems) > PROBLEMS_SHOWN:
        screen.say(
            _("  … and {len} more: --json has them all").format(
                len=wording.number(len(receipt.problems) - PROBLEMS_SHOWN)
            )
        )
    if receipt.problems and (text := advice.of_code(receipt.problems[0].code).do):
        screen.say(f"  {text}")
