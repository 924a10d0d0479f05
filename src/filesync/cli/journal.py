"""The daemon's log: one line for each thing that happened, with batch, feed and peer as fields of their own.

On a terminal lines for people, otherwise JSON, one object a line (`event`, `level`, `at`, `site`, …). What goes on being so (a batch that
waits for another, a source that is locked) is said once, when it begins, not at every turn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, MutableMapping
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TextIO

from filesync.protocol.identity import BatchName
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from filesync.day.purging import DayFiles
    from filesync.day.values import StepReport
    from filesync.exchange.reports import Held, TurnReport
    from filesync.scheduling import Due


class LogForm(Enum):
    """How lines look."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


def open_log(form: LogForm, site: str, clock: Callable[[], datetime], stream: TextIO | None = None) -> Any:
    """A logger on `stream` (stdout), every line with the site and the time."""
    import structlog  # only the daemon needs it

    out = sys.stdout if stream is None else stream
    people = form is LogForm.CONSOLE or (form is LogForm.AUTO and out.isatty())

    def stamp(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at": clock().isoformat(timespec="milliseconds"), **line}

    render: Any = (
        # The pretty traceback shows variables, and with them rows: of a day's sales, or of passwords.
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), pad_event_to=18, exception_formatter=structlog.dev.plain_traceback
        )
        if people
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    errors: Any = [] if people else [structlog.processors.format_exc_info]
    return structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.add_log_level, stamp, *errors, render],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        context_class=dict,
    ).bind(site=site)


#: What became of a step → the line's event, whether it is a warning, whether it goes on being so.
_STEPS = {
    "opened": ("gate-opened", False, False),
    "ran": ("step-ran", False, False),
    "closed": ("gate-closed", True, False),
    "nothing": ("step-waits", False, True),
    "failed": ("step-failed", True, True),
}


class Journal:
    """Turns reports into lines."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._going_on: set[tuple[str, str, str]] = set()
        self._unreachable: set[str] = set()
        self._disk_low = False

    def turn(self, due: Due, report: TurnReport, seconds: float) -> None:
        """Everything that a turn did, in the order in which it did it."""
        self._links(report)
        self._disk(report.exchange.disk_low)
        imported = report.imported
        refused = {held.name for held in imported.rejected_by_peer}
        for name in imported.settled:
            if name not in refused:
                self._log.info("settled", **about(name))
        for batch in imported.applied:
            say = self._log.info if batch.verdict is Verdict.APPLIED else self._log.warning
            say("applied", **about(batch.name), verdict=batch.verdict.value, documents=batch.documents)
        for name in imported.replayed:
            self._log.info("replayed", **about(name))
        for held in imported.set_aside:
            self._log.warning("set-aside", **_held(held))
        for held in imported.rejected_by_peer:
            self._log.warning("rejected-by-peer", **_held(held))
        for done in report.exported:
            for sealed in done.sealed:
                self._log.info(
                    "sealed", **about(sealed.name), documents=sealed.documents, bytes=sealed.payload_bytes,
                    peers=",".join(sealed.recipients),
                )  # fmt: skip
            if done.refused and done.sources:
                self._log.warning(
                    "documents-refused", dataset=done.dataset, documents=done.refused, sources=done.sources
                )
        for part in imported.redone:
            self._log.warning(
                "redone",
                code=part.code,
                reason=part.message,
                origins=",".join(part.items[:10]),
                count=len(part.items),
            )
        self._begun("own-tables-failed", imported.unready)
        self._begun("waiting", imported.waiting)
        self._begun("source-waits", report.failed_sources)
        if not report.quiet:
            reasons = ",".join(sorted(reason.value for reason in due.reasons))
            self._log.info("turn", why=reasons, seconds=round(seconds, 3))

    def day(self, reports: Iterable[StepReport]) -> bool:
        """What became of the steps of the day: gates that opened or closed again, what ran by itself. Whether anything happened.

        A step that goes on failing, or has nothing to do yet, is said once.
        """
        still: set[tuple[str, str, str]] = set()
        happened = False
        for step in reports:
            fields: dict[str, Any] = {"step": step.step, "day": step.day.isoformat(), "reason": step.message}
            if step.evidence is not None:
                fields["evidence"] = step.evidence
            if step.code is not None:
                fields["code"] = step.code
            if step.reasons:
                fields["missing"] = ",".join(dict.fromkeys(reason.code.value for reason in step.reasons))
                fields["sites"] = ",".join(
                    dict.fromkeys(reason.site for reason in step.reasons if reason.site)
                )
            event, warns, lasting = _STEPS[step.outcome.value]
            if lasting:
                still.add(key := (event, f"{step.step} {step.day}", step.message))
                if key in self._going_on:
                    continue
            happened = happened or not lasting
            (self._log.warning if warns else self._log.info)(event, **fields)
        events = {event for event, _, lasting in _STEPS.values() if lasting}
        self._going_on = {key for key in self._going_on if key[0] not in events} | still
        return happened

    def stale(self, days: Iterable[date]) -> None:
        """Days whose reconciliation does not hold any more, because of what has just come."""
        for day in sorted(days):
            self._log.warning(
                "day-stale", day=day.isoformat(), reason=f"filesync reconcile --date {day.isoformat()}"
            )

    def purged(self, found: DayFiles) -> None:
        """Files of a day that went, or why they stay."""
        fields: dict[str, Any] = {
            "day": found.day.isoformat(),
            "kind": found.kind.value,
            "files": found.files,
            "bytes": found.bytes,
        }
        if found.done:
            self._log.info("purged", **fields)
            return
        why = ",".join(dict.fromkeys(keep.code.value for keep in found.keeps))
        self._log.info("purge-kept", **fields, missing=why, reason="filesync purge")

    def _links(self, report: TurnReport) -> None:
        exchange = report.exchange
        for peer, files in exchange.fetched.items():
            if files:
                self._log.info("fetched", peer=peer, files=files)
        for peer, files in exchange.shipped.items():
            if files:
                self._log.info("shipped", peer=peer, files=files)
        for peer in sorted(self._unreachable & exchange.shipped.keys() - exchange.unreachable.keys()):
            self._unreachable.discard(peer)
            self._log.info("reachable-again", peer=peer)
        self._unreachable |= exchange.unreachable.keys()

    def _disk(self, low: str) -> None:
        if low and not self._disk_low:
            self._log.warning("disk-low", reason=low)
        elif self._disk_low and not low:
            self._log.info("disk-has-room-again")
        self._disk_low = bool(low)

    def _begun(self, event: str, held: Iterable[Held]) -> None:
        now = {(event, one.name, one.code): one for one in held}
        for key in now.keys() - self._going_on:
            one = now[key]
            patient = event == "waiting" or one.code in ("source-changing", "source-locked", "source-busy")
            (self._log.info if patient else self._log.warning)(event, **_held(one))
        self._going_on = {key for key in self._going_on if key[0] != event} | now.keys()


def about(name: str) -> dict[str, str]:
    """Batch and feed, as fields; for a file that is no batch, its name."""
    try:
        parsed = BatchName.parse(name)
    except ValueError:
        return {"file": name}
    return {"batch": name, "feed": str(parsed.id.feed)}


def _held(held: Held) -> dict[str, str]:
    return {**about(held.name), "peer": held.peer, "code": held.code, "reason": held.message}
