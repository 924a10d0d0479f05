"""What stands on the page of a movement day, and in the calendar: values, and how programs read them (`to_json`). No IO, no rule.

A colour is for people: green complete, yellow open (or reopened by something late), red overdue, grey nobody due. What each means for a
day is said in report.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from filesync.day.reconciling import Colour as LineColour

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from filesync.day.reconciling import Amounts, Summary
    from filesync.day.roster import DueSite
    from filesync.day.values import (
        DayEvent,
        DayStanding,
        DoneMark,
        Override,
        Reason,
        SiteDay,
        SiteVerdict,
    )
    from filesync.stores.files import FileRecord
    from filesync.stores.tickets import TicketSeries


class Colour(Enum):
    """As users know them; each has its word, for those who see no colours."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    GREY = "grey"


class SiteState(Enum):
    """Where one site's day stands."""

    COMPLETE = "complete"
    LATE = "late"  # it was complete, and something came after the close
    OPEN = "open"
    OVERDUE = "overdue"
    NOT_DUE = "not-due"  # of a day on which nobody is
    TO_COME = "to-come"  # a day that has not begun

    @property
    def colour(self) -> Colour:
        return _COLOURS[self]


_COLOURS: Final = {
    SiteState.COMPLETE: Colour.GREEN,
    SiteState.LATE: Colour.YELLOW,
    SiteState.OPEN: Colour.YELLOW,
    SiteState.OVERDUE: Colour.RED,
    SiteState.NOT_DUE: Colour.GREY,
    SiteState.TO_COME: Colour.GREY,
}


class StepState(Enum):
    """Where a step of the day stands. OVERRIDDEN: its gate is open on a person's word, not on what arrived."""

    DONE = "done"
    OPEN = "open"
    OVERRIDDEN = "overridden"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SiteLine:
    """One site on the page. `sales` and `total_centavos` are as held here now, cancelled ones included."""

    day: SiteDay
    verdict: SiteVerdict
    state: SiteState
    sales: int
    total_centavos: int

    @property
    def closed_sales(self) -> int:
        """What its closes say."""
        return sum(closing.sales for closing in self.day.closings)

    @property
    def closed_centavos(self) -> int:
        """What its closes say."""
        return sum(closing.total_centavos for closing in self.day.closings)

    @property
    def difference_centavos(self) -> int:
        """Counted minus expected cash, of all shifts."""
        return sum(closing.difference_centavos for closing in self.day.closings)

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it."""
        return {
            "site": self.day.site,
            "due": self.day.due,
            "state": self.state.value,
            "colour": self.state.colour.value,
            "turnos": self.day.turnos,
            "closings": [
                {
                    "turno": closing.turno,
                    "versao": closing.version,
                    "closed_at": closing.closed_at,
                    "sem_movimento": closing.no_sales,
                    "sales": closing.sales,
                    "total_centavos": closing.total_centavos,
                    "counted_centavos": closing.counted_centavos,
                    "difference_centavos": closing.difference_centavos,
                }
                for closing in self.day.closings
            ],
            "batches": len(self.day.batches),
            "sales": self.sales,
            "total_centavos": self.total_centavos,
            "closed_sales": self.closed_sales,
            "closed_centavos": self.closed_centavos,
            "difference_centavos": self.difference_centavos,
            "last_contact": self.day.last_contact,
            "reasons": [reason.to_json() for reason in self.verdict.reasons],
        }


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step on the page. `by_hand`: only a person can say that it is done. `outdated`: it was done before sales of the day changed.

    Of `exportar_portal`: `refused`, the portal did not take all of it; `moved_to`, days whose export takes sales away from this one there.
    """

    step: str
    by_hand: bool
    state: StepState
    done: DoneMark | None
    reasons: tuple[Reason, ...]
    overrides: tuple[Override, ...]
    outdated: bool = False
    refused: tuple[str, ...] = ()
    moved_to: tuple[date, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it."""
        done = self.done
        return {
            "step": self.step,
            "state": self.state.value,
            "done": None if done is None else {"by": done.by, "at": done.at, "detail": dict(done.detail)},
            "outdated": self.outdated,
            "refused": list(self.refused),
            "moved_to": [day.isoformat() for day in self.moved_to],
            "reasons": [reason.to_json() for reason in self.reasons],
            "overrides": [override.id for override in self.overrides],
        }


@dataclass(frozen=True, slots=True)
class Money:
    """The day's sales as held: concluded ones in money, and the payments by form."""

    sales: int = 0
    cancelled: int = 0
    postings: int = 0
    total_centavos: int = 0
    forms: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it."""
        return {
            "sales": self.sales,
            "cancelled": self.cancelled,
            "postings": self.postings,
            "total_centavos": self.total_centavos,
            "forms_centavos": dict(self.forms),
        }


@dataclass(frozen=True, slots=True)
class DayPage:
    """Everything about one day."""

    day: date
    site: str
    state: SiteState
    standing: DayStanding
    sites: tuple[SiteLine, ...]
    not_due: tuple[DueSite, ...]  # by the roster, and nothing came from them
    steps: tuple[StepLine, ...]
    tickets: tuple[TicketSeries, ...]  # those with numbers missing, or repeated
    money: Money
    files: tuple[FileRecord, ...]  # BDF and C.A. that were taken, superseded ones too
    reconciliation: Summary | None
    events: tuple[DayEvent, ...]

    @property
    def complete(self) -> bool:
        """Whether every site that is due is complete, by what arrived and not by an override."""
        return self.state is SiteState.COMPLETE

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Every override ever given for the day."""
        return self.standing.overrides

    @property
    def stale(self) -> bool:
        """Whether the reconciliation saw less than what is here now."""
        return self.reconciliation is not None and self.reconciliation.stale

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it, and a dossier."""
        return {
            "day": self.day.isoformat(),
            "site": self.site,
            "state": self.state.value,
            "colour": self.state.colour.value,
            "complete": self.complete,
            "overrides": [override.to_json() for override in self.overrides],
            "sites": [line.to_json() for line in self.sites],
            "not_due": [{"site": due.site, "why": due.why, "holiday": due.holiday} for due in self.not_due],
            "steps": [line.to_json() for line in self.steps],
            "money": self.money.to_json(),
            "tickets": [tickets_json(series) for series in self.tickets],
            "files": [file_json(file) for file in self.files],
            "reconciliation": None if self.reconciliation is None else summary_json(self.reconciliation),
            "events": [
                {"at": event.at, "what": event.what, "who": event.who, "detail": dict(event.detail)}
                for event in self.events
            ],
        }


def tickets_json(series: TicketSeries) -> dict[str, Any]:
    """As `--json` says it."""
    return {
        "site": series.origem,
        "series": list(series.per),
        "first": series.first,
        "last": series.last,
        "before": series.before,
        "repeated": series.repeated,
        "missing_inside": [list(span) for span in series.inside],
        "missing_between": [list(span) for span in series.between],
    }


@dataclass(frozen=True, slots=True)
class DayCell:
    """One day in the calendar."""

    day: date
    state: SiteState
    due: int
    complete: int
    owing: tuple[str, ...]  # sites that keep it open
    overridden: bool
    stale: bool

    def to_json(self) -> dict[str, Any]:
        """As `--json` says it."""
        return {
            "day": self.day.isoformat(),
            "state": self.state.value,
            "colour": self.state.colour.value,
            "due": self.due,
            "complete": self.complete,
            "owing": list(self.owing),
            "overridden": self.overridden,
            "stale": self.stale,
        }


def file_json(file: FileRecord) -> dict[str, Any]:
    """A billing file, as `--json` and a dossier say it."""
    return {
        "dataset": file.dataset,
        "file": file.file_name,
        "sha256": file.file_sha256,
        "bytes": file.file_bytes,
        "layout": file.layout,
        "batch": file.batch,
        "documents": file.documents,
        "set_aside": file.set_aside,
        "by": file.by,
        "at": file.at,
        "superseded_by": file.superseded_by,
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """A reconciliation's figures, as `--json` and a dossier say them."""
    return {
        "made_at": summary.made_at,
        "stale": summary.stale,
        "changed": list(summary.changed),
        "sales": summary.sales,
        "bdf_rows": summary.bdf_rows,
        "ca_rows": summary.ca_rows,
        "counts": {colour.value: summary.count(colour) for colour in LineColour},
        "colours": _amounts_json(summary.colours),
        "by": {
            dimension.value: {value: _amounts_json(amounts) for value, amounts in values.items()}
            for dimension, values in summary.by.items()
        },
    }


def _amounts_json(colours: Mapping[LineColour, Amounts]) -> dict[str, Any]:
    return {colour.value: asdict(amounts) for colour, amounts in colours.items()}
