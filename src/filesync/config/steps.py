"""The steps of a movement day: which there are, what each needs, and when it runs by itself. Data, checked here; no rule.

`[steps.NAME]` in `filesync.toml` changes a shipped step or adds one. `at` says when a step runs by itself at the earliest; it never
closes a gate, and a person may go ahead of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from filesync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

_at = re.compile(r"D(?:\+([0-9]{1,2}))? ([0-2][0-9]):([0-5][0-9])").fullmatch
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch


class Ending(Enum):
    """When a step counts as done."""

    OPEN = "open"  # as soon as its gate is open: it asks for nothing but that
    RUN = "run"  # when filesync has done its work
    HAND = "hand"  # when a person says so (`filesync done`)


@dataclass(frozen=True, slots=True)
class DayTime:
    """A wall time, so many days after the movement day. `str()` as it is written: `D+1 06:00`."""

    days: int
    time: time

    def __str__(self) -> str:
        return f"D{f'+{self.days}' if self.days else ''} {self.time:%H:%M}"

    def on(self, day: date, zone: tzinfo | None) -> datetime:
        """The moment for that movement day, by the clock of the place."""
        return datetime.combine(day + timedelta(days=self.days), self.time, zone)


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `needs`: steps that must be done before it. `complete`: every due site's day must be complete."""

    name: str
    needs: tuple[str, ...] = ()
    complete: bool = False
    ends: Ending = Ending.RUN
    automatic: bool = False
    at: DayTime | None = None


def parse_day_time(text: str) -> DayTime:
    """`D 22:30`, `D+1 06:00`; ValueError otherwise."""
    if not (found := _at(text)) or int(found[2]) > 23:
        raise ValueError(
            f'{text!r}: expected "D+1 06:00" (the day after, at six) or "D 22:30" (the day itself)'
        )
    return DayTime(int(found[1] or 0), time(int(found[2]), int(found[3])))


def _check_at(text: str) -> str:
    parse_day_time(text)
    return text


class StepSection(BaseModel):
    """`[steps.NAME]`: what is not said stays as it is shipped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs: tuple[str, ...] | None = None
    complete: bool | None = None
    ends: Ending | None = None
    automatic: bool | None = None
    at: Annotated[str, AfterValidator(_check_at)] | None = None


class OverrideSection(BaseModel):
    """`[overrides]`: what it takes to open a gate against the evidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    two_persons: bool = True
    hours: int = Field(default=24, ge=1, le=168, description="how long one holds, unless --hours says less")


#: The day as it is shipped (docs/day.md). Receiving comes before any billing file; the portal after SARA.
SHIPPED: Final = (
    Step("receber_vendas_remotas", complete=True, ends=Ending.OPEN, automatic=True),
    Step("importar_bdf", needs=("receber_vendas_remotas",), automatic=True),
    Step("importar_ca", needs=("receber_vendas_remotas",), automatic=True),
    Step("conciliar", needs=("importar_bdf", "importar_ca"), automatic=True),
    Step("exportar_sara", ends=Ending.HAND),
    Step("exportar_portal", needs=("exportar_sara", "receber_vendas_remotas")),
)


def day_steps(sections: Mapping[str, StepSection]) -> dict[str, Step]:
    """The shipped steps as changed, then those that were added, in the order of the day. ConfigError names what is wrong."""
    steps = {step.name: step for step in SHIPPED}
    for name, section in sections.items():
        if not _NAME(name):
            raise ConfigError(
                "config-invalid", f"[steps.{name}]: a step is called a-z, 0-9 and _, like importar_bdf"
            )
        base = steps.get(name, Step(name))
        steps[name] = Step(
            name,
            base.needs if section.needs is None else section.needs,
            base.complete if section.complete is None else section.complete,
            base.ends if section.ends is None else section.ends,
            base.automatic if section.automatic is None else section.automatic,
            base.at if section.at is None else parse_day_time(section.at),
        )
    for step in steps.values():
        if unknown := [need for need in step.needs if need not in steps]:
            raise ConfigError(
                "config-invalid",
                f"[steps.{step.name}] needs: {', '.join(unknown)} is no step; known: {', '.join(steps)}",
            )
    return {name: steps[name] for name in _in_order(steps)}


def _in_order(steps: Mapping[str, Step]) -> list[str]:
    """Each step after those that it needs. ConfigError where two need each other."""
    ordered: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in open_:
            raise ConfigError(
                "config-invalid",
                f"[steps.{name}] needs itself: {' needs '.join([*open_[open_.index(name) :], name])}",
            )
        open_.append(name)
        for need in steps[name].needs:
            visit(need)
        open_.pop()
        ordered.append(name)

    for name in steps:
        visit(name)
    return ordered
