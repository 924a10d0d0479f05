"""An evidence file's name: `<step>.<day>.<first 12 hex of the digest of its signed part>.json`. Pure.

The file is an envelope like a manifest's (protocol/envelope.py); what it holds is made by gate.py. Its name is its content: the same
opening never makes two files, and another one never overwrites the first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from filesync.protocol.envelope import canonical, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping

_name = re.compile("([a-z][a-z0-9_]{0,39})\\.([0-9]{4}-[0-9]{2}-[0-9]{2})\\.([0-9a-f]{12})\\.json").fullmatch
#: Larger files are not read as evidence. Ten thousand sites make 25 MB.
EVIDENCE_BYTES_MAX: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class EvidenceName:
    """What an evidence file's name says."""

    step: str
    day: date
    digest12: str

    def __str__(self) -> str:
        return f"{self.step}.{self.day.isoformat()}.{self.digest12}.json"

    @classmethod
    def of(cls, step: str, day: date, signed: Mapping[str, object]) -> EvidenceName:
        """The name of the file that holds `signed`."""
        return cls(step, day, sha256_hex(canonical(signed))[:12])

    @classmethod
    def parse(cls, name: str) -> EvidenceName | None:
        """What a file of this name is evidence of; None for anything else. Never raises."""
        if not (found := _name(name)):
            return None
        try:
            return cls(found[1], date.fromisoformat(found[2]), found[3])
        except ValueError:
            return None
