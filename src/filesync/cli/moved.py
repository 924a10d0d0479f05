"""What moving batches came to, in words: an export, an exchange, an import, and what to do about the rest. The commands: moving.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from filesync.cli import advice, screen, wording
from filesync.cli.holes import say_voided
from filesync.cli.language import _, ngettext
from filesync.exchange.versions import RECIPIENT_OLDER
from filesync.phrases import said as rephrased
from filesync.protocol.identity import BatchName
from filesync.protocol.receipt import Problem, Verdict

if TYPE_CHECKING:
    from filesync.contracts import Gap
    from filesync.exchange.reports import (
        AppliedBatch,
        ExchangeReport,
        Held,
        ImportReport,
        Redone,
        SealedBatch,
        SealReport,
    )

#: A source that another program has open right now, or documents that wait for their recipients: a later turn takes them by itself.
_LATER = frozenset({"source-locked", "source-changing", "source-busy", "recipient-older"})

#: Lines of one kind that a report shows; the rest is counted.
LINES_MAX = 12
#: Origins or days of a part that are named; the rest is counted.
ITEMS_MAX = 5
#: Problems shown of a file or batch; `filesync quarantine show` and --json have all.
PROBLEMS_SHOWN = 5


def failures(failed: list[Held]) -> list[Held]:
    """Sources that a person must see to; one that was only in use is read at the next turn."""
    return [held for held in failed if held.code not in _LATER]


def say_failed(failed: list[Held]) -> None:
    for held in failed:
        text = (
            _("{name}: {message}")
            if held.code == RECIPIENT_OLDER
            else _("{name} could not be exported: {message}")
        )
        screen.say(
            text.format(name=held.name, message=rephrased(held.message)),
            "bold red" if held.code not in _LATER else "yellow",
        )
        _advise(held.code, otherwise=_("Nothing was sent of it; correct that and run it again."))


def say_how_they_leave(reports: Iterable[SealReport], linked: set[str]) -> None:
    """What makes sealed batches travel, by who goes to whom."""
    sealed = [batch for report in reports for batch in report.sealed]
    recipients = dict.fromkeys(peer for batch in sealed for peer in batch.recipients)
    if any(peer in linked for peer in recipients):
        screen.say(_("They leave with the next `filesync turn` (or `exchange`)."))
    if fetching := ", ".join(peer for peer in recipients if peer not in linked):
        screen.say(
            _("They wait in the outbox until they are fetched by {fetching}.").format(fetching=fetching)
        )


def say_export(report: SealReport) -> None:
    """What was sealed, what was known, what was refused."""
    kept = (
        _("{documents} sent before, unchanged").format(
            documents=wording.documents(report.unchanged, report.dataset)
        )
        if report.unchanged
        else ""
    )
    if report.sealed:
        count = sum(batch.documents for batch in report.sealed)
        peers = ", ".join(dict.fromkeys(peer for batch in report.sealed for peer in batch.recipients))
        batches = wording.plural(len(report.sealed), "batch", "batches")
        screen.say(
            _("{dataset}: {documents} sealed for {peers} in {batches}").format(
                dataset=report.dataset,
                documents=wording.documents(count, report.dataset),
                peers=peers,
                batches=batches,
            ),
            "bold green",
        )
        _lines(_sealed(batch) for batch in report.sealed)
        if kept:
            screen.say(f"  ({kept})")
    elif not report.held:
        screen.say(
            _("{dataset}: nothing new to send{value}").format(
                dataset=report.dataset, value=f" ({kept})" if kept else ""
            )
        )
    if report.begun_for:
        screen.say(
            _("  everything, and not only what changed: {sites} cannot go on from changes alone").format(
                sites=", ".join(report.begun_for)
            )
        )
    if report.beginners:
        screen.say(
            _(
                "{sites} came later, came back or was installed anew, and can take no change of {dataset} up before everything is sent once:"
            ).format(sites=", ".join(report.beginners), dataset=report.dataset),
            "bold yellow",
        )
        screen.say(
            _(
                "  filesync export {dataset} --full   (with --from FILE where the source holds changes only)"
            ).format(dataset=report.dataset)
        )
    if report.refused:
        screen.say(
            _("{documents} not sent, because of mistakes:").format(
                documents=wording.documents(report.refused, report.dataset)
            ),
            "bold red",
        )
        _lines((source_line(problem) for problem in report.problems), limit=PROBLEMS_SHOWN)
        screen.say(_("  {do} All mistakes: filesync quarantine").format(do=advice.of_code("bad-rows").do))
    if report.gaps:
        why = _(" (some of them were not sent, see above)") if report.refused else ""
        screen.say(_("Numbers missing between the first and the last one{why}:").format(why=why), "yellow")
        _lines(_gap(gap, report.dataset) for gap in report.gaps)


def _sealed(batch: SealedBatch) -> str:
    name = BatchName.parse(batch.name)
    facts = (
        wording.documents(batch.documents, name.id.feed.dataset),
        wording.sum_of_money(batch.totals),
        wording.size(batch.payload_bytes),
    )
    return f"{wording.batch(name)}: {', '.join(fact for fact in facts if fact)}"


def _gap(gap: Gap, dataset: str) -> str:
    from filesync.contracts import Registry

    contract = Registry.packaged().latest(dataset)
    names = contract.continuity.per if contract is not None and contract.continuity is not None else ()
    series = ", ".join(f"{name} {value}" for name, value in zip(names, gap.per, strict=False))
    return f"{series}: {', '.join(wording.span(first, last) for first, last in gap.missing)}"


def source_line(problem: Problem) -> str:
    """`line 6: …`, as a person finds it in the file or query."""
    if problem.row is None or problem.message.startswith(("line ", "row ")):
        return rephrased(problem.message)
    return _("line {row}: {message}").format(row=problem.row, message=rephrased(problem.message))


def problem_line(problem: Problem, dataset: str) -> str:
    """`sale 6: …`, counted from 1 as people do."""
    message = rephrased(problem.message)
    if problem.row is None:
        return message
    return f"{wording.one_document(dataset)} {wording.number(problem.row + 1)}: {message}"


def say_exchange(report: ExchangeReport, *, idle: bool = True) -> bool:
    """Files per peer, and who could not be reached; with `idle`, for whom there was nothing. Whether anything moved or failed."""
    for peer in dict.fromkeys((*report.shipped, *report.fetched)):
        sent, got = report.shipped.get(peer, 0), report.fetched.get(peer, 0)
        if sent or got:
            screen.say(
                _("{peer}: {sent}, {fetched}").format(
                    peer=peer,
                    sent=ngettext("{count} file sent", "{count} files sent", sent).format(
                        count=wording.number(sent)
                    ),
                    fetched=ngettext("{count} file fetched", "{count} files fetched", got).format(
                        count=wording.number(got)
                    ),
                )
            )
        elif idle and peer not in report.unreachable:
            screen.say(_("{peer}: nothing to send, nothing to fetch").format(peer=peer))
    for peer, why in report.unreachable.items():
        screen.say(
            _("{peer} could not be reached: {why}").format(peer=peer, why=rephrased(why)), "bold yellow"
        )
        known = advice.of_code(report.codes.get(peer, "unreachable"))
        screen.say(f"  {known.do or advice.of_code('unreachable').do}")
    if report.disk_low:
        screen.say(
            _("The disk is nearly full: {disk_low}").format(disk_low=rephrased(report.disk_low)), "bold red"
        )
        screen.say(_("  Free some space; fetching then goes on by itself."))
    return (
        bool(report.unreachable or report.disk_low)
        or any(report.shipped.values())
        or any(report.fetched.values())
    )


def say_import(report: ImportReport) -> bool:
    """Everything that became of the inboxes, the good news first. Whether anything was said."""
    _section(
        _("Confirmed by the recipient"),
        (
            wording.named(name)
            for name in report.settled
            if name not in {h.name for h in report.rejected_by_peer}
        ),
    )
    _section(
        _("Applied"), (_applied(b) for b in report.applied if b.verdict is Verdict.APPLIED), "bold green"
    )
    _section(_("Known already, answered again"), map(wording.named, report.replayed))
    told = say_voided(report)
    _held(_("Cannot be applied into your own tables"), report.unready, "bold red")
    _held(_("Waiting"), report.waiting, "bold yellow")
    say_redone(report.redone)
    for batch in report.applied:
        if batch.verdict is not Verdict.APPLIED:
            _say_wrong(batch)
    decided = {batch.name for batch in report.applied}
    _held(
        _("Set aside in quarantine"),
        [held for held in report.set_aside if held.name not in decided],
        "bold red",
    )
    _held(_("Refused by the recipient"), report.rejected_by_peer, "bold red", technical=True)
    return told or bool(
        report.settled
        or report.applied
        or report.replayed
        or report.waiting
        or report.unready
        or report.set_aside
        or report.rejected_by_peer
    )


def say_redone(parts: Iterable[Redone]) -> None:
    """What workers did not bring home, and was done without them."""
    lost = list(parts)
    if not lost:
        return
    screen.say(_("Done here, without the workers:"), "bold yellow")
    _lines(
        _("{what}: {message}").format(what=_part(part.items), message=rephrased(part.message))
        for part in lost
    )
    for code in dict.fromkeys(part.code for part in lost):
        _advise(code)


def _part(items: Sequence[str]) -> str:
    """The first origins or days of a part, and how many more."""
    shown = ", ".join(items[:ITEMS_MAX])
    if len(items) <= ITEMS_MAX:
        return shown
    return _("{items} and {count} more").format(items=shown, count=wording.number(len(items) - ITEMS_MAX))


def _applied(batch: AppliedBatch) -> str:
    return f"{wording.named(batch.name)}: {wording.documents(batch.documents, batch.name.split('.')[0])}"


def _say_wrong(batch: AppliedBatch) -> None:
    """Rejected, or applied in part."""
    dataset = batch.name.split(".")[0]
    if batch.verdict is Verdict.PARTIAL:
        screen.say(
            _("Applied in part: {name}: {documents} applied, some set aside").format(
                name=wording.named(batch.name), documents=wording.documents(batch.documents, dataset)
            ),
            "bold red",
        )
    else:
        screen.say(
            _("Refused: {name}: nothing of it was applied").format(name=wording.named(batch.name)), "bold red"
        )
    _lines((problem_line(problem, dataset) for problem in batch.problems), limit=PROBLEMS_SHOWN)
    screen.say(_("  The sender gets this answer with its receipt. Details: filesync quarantine"))


def _section(title: str, lines: Iterable[str], style: str = "bold") -> None:
    texts = list(lines)
    if texts:
        screen.say(f"{title}:", style)
        _lines(texts)


def _held(title: str, items: Iterable[Held], style: str, *, technical: bool = False) -> None:
    """One line each, with the next step once per reason."""
    held = list(items)
    if not held:
        return
    screen.say(f"{title}:", style)
    _lines(
        _("{name}, from {peer}: {message}").format(
            name=wording.named(h.name),
            peer=h.peer,
            message=rephrased(h.message)
            if technical
            else advice.of_code(h.code).means or rephrased(h.message),
        )
        for h in held
    )
    for code in dict.fromkeys(h.code for h in held):
        _advise(code)


def _advise(code: str, otherwise: str = "") -> None:
    if text := advice.of_code(code).do or otherwise:
        screen.say(f"  {text}")


def _lines(lines: Iterable[str], limit: int = LINES_MAX) -> None:
    texts = list(lines)
    for text in texts[:limit]:
        screen.say(f"  {text}")
    if len(texts) > limit:
        screen.say(_("  … and {len} more").format(len=wording.number(len(texts) - limit)))
