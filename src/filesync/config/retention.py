"""`[retention]`: for how long files of days that are long over are kept. Words to values; nothing is removed here.

Everything is kept for ever unless somebody says otherwise: what a law, or an agency, wants to see for years is not for a program to guess.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NEVER: Final = "never"
_age = re.compile(r"([1-9][0-9]{0,4})\s*(day|week|month|year)s?").fullmatch


@dataclass(frozen=True, slots=True)
class Age:
    """So many days, weeks, months or years. `str()` as it is written: `400 days`."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`400 days`, `18 months`, `5 years`; None for `never`. ValueError otherwise."""
        if text.strip().lower() == NEVER:
            return None
        if not (found := _age(text.strip().lower())):
            raise ValueError(f'{text.strip()!r}: expected an age such as "400 days", "5 years" or "never"')
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    def before(self, today: date) -> date:
        """Days before this one are older. Months and years go by the calendar: 29 February becomes the 28th."""
        if self.unit in ("day", "week"):
            return today - min(
                timedelta(days=self.count * (7 if self.unit == "week" else 1)), today - date.min
            )
        months = today.year * 12 + today.month - 1 - self.count * (12 if self.unit == "year" else 1)
        year, month = divmod(max(months, 12), 12)
        return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))


def _check(text: str) -> str:
    Age.parse(text)
    return text


class RetentionSection(BaseModel):
    """How old what lies here may become. The ledger never expires, whatever stands here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    archive: Annotated[str, AfterValidator(_check)] = Field(
        default=NEVER, description="payloads, manifests and receipts of movement days"
    )
    quarantine_resolved: Annotated[str, AfterValidator(_check)] = Field(
        default=NEVER, description="what was taken out of quarantine for good"
    )
    evidence: Annotated[str, AfterValidator(_check)] = Field(
        default=NEVER, description="signed openings of gates"
    )
