"""A manifest: what the origin claims about a batch. Its arrival makes the batch exist. Pure.

- `from_signed` accepts exactly what schemas/envelope/manifest.v1.json accepts, and then only if `payload.file` is the
  name that follows from the other members: a manifest cannot point at another batch's payload, or at a path.
- The format version is looked at first: of a manifest of the future nothing else is judged.
- A manifest is named by its own content, so that a renamed file is found out by comparing `.name.manifest` with the
  file's name (exchange/incoming.py).

What is not here: whether the claims are true (contracts/, exchange/), or may be acted upon (admission.py). The
manifest's digest is `sha256_hex(canonical(signed))`, of the bytes that were signed (envelope.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from filesync.errors import RejectedError
from filesync.protocol import fields
from filesync.protocol.envelope import INT_MAX
from filesync.protocol.fields import RECIPIENTS_MAX, FieldError, UnknownFormatError
from filesync.protocol.identity import SEQ_MAX, BatchId, BatchName, Format, Mode, feed_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

__all__ = ["RECIPIENTS_MAX", "Manifest", "UnknownFormatError"]

_MEMBERS: Final = frozenset(
    {
        "format",
        "batch",
        "recipients",
        "mode",
        "business_date",
        "payload",
        "rows",
        "totals",
        "previous",
        "replaces",
        "sealed_at",
        "software",
    }
)
_BATCH: Final = frozenset({"dataset", "version", "origin", "audience", "epoch", "seq"})
_PAYLOAD: Final = frozenset({"file", "format", "bytes", "sha256"})
_MODES: Final = {mode.value: mode for mode in Mode}
_FORMATS: Final = {written.value: written for written in Format}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A batch as its origin describes it. `rows` is per relation, `totals` per control total (a sum, or sums per value)."""

    id: BatchId
    version: int  # of the dataset's contract
    recipients: tuple[str, ...]
    mode: Mode
    business_date: date
    format: Format
    payload_bytes: int
    payload_sha256: str
    rows: Mapping[str, int]
    totals: Mapping[str, int | Mapping[str, int]]
    previous: str | None  # sha256 of the feed's manifest before this one; None at the first
    replaces: str | None  # name of the rejected batch whose rows this one carries
    sealed_at: str  # RFC 3339 with offset, by the origin's clock: shown, never compared
    software: str
    name: BatchName = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", BatchName(self.id, self.business_date, self.payload_sha256[:12]))

    @property
    def payload_file(self) -> str:
        return self.name.payload(self.format)

    def to_signed(self) -> dict[str, Any]:
        """The JSON object; `from_signed` of it is this manifest again."""
        batch = self.id
        return {
            "format": fields.VERSION,
            "batch": {
                "dataset": batch.feed.dataset,
                "version": self.version,
                "origin": batch.feed.origin,
                "audience": batch.feed.audience,
                "epoch": batch.epoch,
                "seq": batch.seq,
            },
            "recipients": list(self.recipients),
            "mode": self.mode.value,
            "business_date": self.business_date.isoformat(),
            "payload": {
                "file": self.payload_file,
                "format": self.format.value,
                "bytes": self.payload_bytes,
                "sha256": self.payload_sha256,
            },
            "rows": dict(self.rows),
            "totals": {
                name: total if isinstance(total, int) else dict(total) for name, total in self.totals.items()
            },
            "previous": self.previous,
            "replaces": self.replaces,
            "sealed_at": self.sealed_at,
            "software": self.software,
        }

    @classmethod
    def from_signed(cls, signed: dict[str, Any]) -> Manifest:
        """The manifest in `signed`; RejectedError `manifest-invalid` or `renamed`, UnknownFormatError otherwise."""
        try:
            manifest, file = _read(signed)
        except FieldError as error:
            raise RejectedError("manifest-invalid", f"manifest of {_claimed(signed)}: {error}") from error
        except UnknownFormatError as error:
            raise UnknownFormatError(f"manifest of {_claimed(signed)}: {error.message}") from error
        if file != manifest.payload_file:
            raise RejectedError(
                "renamed",
                f"manifest of {manifest.id}: /payload/file: expected {manifest.payload_file!r}, got {fields.shown(file)}",
            )
        return manifest


def _read(signed: object) -> tuple[Manifest, str]:
    if type(signed) is not dict:
        raise FieldError("", "an object", signed)
    fields.version_of(signed)
    fields.members(signed, _MEMBERS, "")
    batch = fields.members(signed["batch"], _BATCH, "/batch")
    payload = fields.members(signed["payload"], _PAYLOAD, "/payload")
    previous, replaces = signed["previous"], signed["replaces"]
    manifest = Manifest(
        _batch_id(batch),
        fields.integer(batch["version"], 1, INT_MAX, "/batch/version"),
        fields.recipients(signed["recipients"], "/recipients"),
        fields.choice(_MODES, signed["mode"], "/mode"),
        fields.day(signed["business_date"], "/business_date"),
        fields.choice(_FORMATS, payload["format"], "/payload/format"),
        fields.integer(payload["bytes"], 0, INT_MAX, "/payload/bytes"),
        fields.sha256(payload["sha256"], "/payload/sha256"),
        fields.counts(signed["rows"], "/rows"),
        fields.totals(signed["totals"], "/totals"),
        None if previous is None else fields.sha256(previous, "/previous"),
        None if replaces is None else fields.batch_stem(replaces, "/replaces"),
        fields.moment(signed["sealed_at"], "/sealed_at"),
        fields.text(signed["software"], fields.SOFTWARE_CHARS_MAX, "/software"),
    )
    file = payload["file"]
    if type(file) is not str:
        raise FieldError("/payload/file", "a file name", file)
    return manifest, file


def _batch_id(batch: dict[str, Any]) -> BatchId:
    return BatchId(
        feed_of(
            fields.identifier(batch["origin"], "/batch/origin"),
            fields.identifier(batch["dataset"], "/batch/dataset"),
            fields.identifier(batch["audience"], "/batch/audience"),
        ),
        fields.epoch(batch["epoch"], "/batch/epoch"),
        fields.integer(batch["seq"], 1, SEQ_MAX, "/batch/seq"),
    )


def _claimed(signed: object) -> str:
    """The batch that a faulty manifest says it describes, for its error message."""
    batch = signed.get("batch") if type(signed) is dict else None
    if type(batch) is not dict:
        return "an unnamed batch"
    parts = (batch.get(part) for part in ("dataset", "origin", "audience", "epoch", "seq"))
    return ".".join(
        part if type(part) is str and part.isprintable() and len(part) <= 24 else fields.shown(part)
        for part in parts
    )
