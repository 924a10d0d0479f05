"""A void: its origin gives a batch's number up for good, so that nobody waits for it any more. Pure.

- It stands for the manifest of that number: it names its digest and the digest before it, so that the chain goes on through it.
- It says what is given up (rows and totals as they were claimed), why, by whom and when: a person answers for it.
- It is named after the batch, `<batch name>.void.json`, and only its origin may say it (admission.py).

Whoever takes it answers with a REJECTED receipt, code `voided`: the rows are owed, and come again in a batch of another number.
Not here: giving a number up (exchange/voids.py), and what a recipient records on its own (an override is no file).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from filesync.errors import RejectedError
from filesync.protocol import fields
from filesync.protocol.fields import FieldError, UnknownFormatError
from filesync.protocol.identity import BatchId, BatchName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.protocol.manifest import Manifest

REASON_CHARS_MAX: Final = 500
BY_CHARS_MAX: Final = 80

_MEMBERS: Final = frozenset(
    (
        "format", "batch", "recipients", "manifest_sha256", "payload_sha256", "previous", "rows", "totals", "reason", "by", "voided_at",
        "software",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Void:
    """See the module. `name` is the batch's; `rows` and `totals` are those that its manifest claims."""

    name: BatchName
    recipients: tuple[str, ...]
    manifest_sha256: str
    payload_sha256: str
    previous: str | None
    rows: Mapping[str, int]
    totals: Mapping[str, int | Mapping[str, int]]
    reason: str
    by: str
    voided_at: str
    software: str

    @property
    def id(self) -> BatchId:
        """The number that is given up."""
        return self.name.id

    @classmethod
    def of(
        cls, manifest: Manifest, manifest_sha256: str, *, reason: str, by: str, at: str, software: str
    ) -> Void:
        """The void of the batch that `manifest` describes."""
        return cls(
            manifest.name, manifest.recipients, manifest_sha256, manifest.payload_sha256, manifest.previous, manifest.rows, manifest.totals,
            reason, by, at, software,
        )  # fmt: skip

    def to_signed(self) -> dict[str, Any]:
        """The JSON object; `from_signed` of it is this void again."""
        return {
            "format": fields.VERSION,
            "batch": self.name.stem,
            "recipients": list(self.recipients),
            "manifest_sha256": self.manifest_sha256,
            "payload_sha256": self.payload_sha256,
            "previous": self.previous,
            "rows": dict(self.rows),
            "totals": {
                name: total if isinstance(total, int) else dict(total) for name, total in self.totals.items()
            },
            "reason": self.reason,
            "by": self.by,
            "voided_at": self.voided_at,
            "software": self.software,
        }

    @classmethod
    def from_signed(cls, signed: dict[str, Any]) -> Void:
        """The void in `signed`; RejectedError `void-invalid` or `renamed`, UnknownFormatError otherwise."""
        try:
            void = _read(signed)
        except FieldError as error:
            raise RejectedError("void-invalid", f"void of {_claimed(signed)}: {error}") from error
        except UnknownFormatError as error:
            raise UnknownFormatError(f"void of {_claimed(signed)}: {error.message}") from error
        if void.name.digest12 != void.payload_sha256[:12]:
            raise RejectedError(
                "renamed",
                f"void of {void.id}: /payload_sha256: expected one that begins with {void.name.digest12}, got {void.payload_sha256}",
            )
        return void


def _read(signed: object) -> Void:
    if type(signed) is not dict:
        raise FieldError("", "an object", signed)
    fields.version_of(signed)
    fields.members(signed, _MEMBERS, "")
    previous = signed["previous"]
    return Void(
        BatchName.parse(fields.batch_stem(signed["batch"], "/batch")),
        fields.recipients(signed["recipients"], "/recipients"),
        fields.sha256(signed["manifest_sha256"], "/manifest_sha256"),
        fields.sha256(signed["payload_sha256"], "/payload_sha256"),
        None if previous is None else fields.sha256(previous, "/previous"),
        fields.counts(signed["rows"], "/rows"),
        fields.totals(signed["totals"], "/totals"),
        fields.text(signed["reason"], REASON_CHARS_MAX, "/reason"),
        fields.text(signed["by"], BY_CHARS_MAX, "/by"),
        fields.moment(signed["voided_at"], "/voided_at"),
        fields.text(signed["software"], fields.SOFTWARE_CHARS_MAX, "/software"),
    )


def _claimed(signed: object) -> str:
    """The batch that a faulty void says it gives up, for its error message."""
    batch = signed.get("batch") if type(signed) is dict else None
    return fields.shown(batch) if type(batch) is str else "an unnamed batch"
