"""A receipt: what a recipient did with exactly one digest. Receipts, not clocks, let the origin go on. Pure.

- It answers a manifest digest and a payload digest, not only a name: a receipt for other content settles nothing.
- It is made from the ledger's row and from nothing else, so that it can be written again byte for byte.
- It can always be sent: its lists and texts are cut to their bounds when it is made (the first 100 problems, the
  first 1,000 holes), whatever values a hostile batch brought into them. The ledger keeps the rest.

What is not here: the comparison with what was sent (exchange/outgoing.py), and the signature (signing.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from filesync.errors import RejectedError
from filesync.protocol import fields
from filesync.protocol.envelope import INT_MAX
from filesync.protocol.fields import FieldError, UnknownFormatError
from filesync.protocol.identity import SEQ_MAX, BatchName

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MESSAGE_CHARS_MAX",
    "MISSING_MAX",
    "POINTER_CHARS_MAX",
    "PROBLEMS_MAX",
    "Problem",
    "Receipt",
    "UnknownFormatError",
    "Verdict",
]

PROBLEMS_MAX: Final = 100
MISSING_MAX: Final = 1000
MESSAGE_CHARS_MAX: Final = 1000
POINTER_CHARS_MAX: Final = 500

_MEMBERS: Final = frozenset(
    {
        "format",
        "batch",
        "manifest_sha256",
        "payload_sha256",
        "recipient",
        "verdict",
        "rows",
        "totals",
        "problems",
        "applied_through",
        "missing",
        "received_at",
        "applied_at",
        "clock",
        "contract",
        "software",
    }
)
_PROBLEM: Final = frozenset({"code", "relation", "row", "pointer", "message"})


class Verdict(Enum):
    """What became of the batch: all of it, the good documents of it, or none of it."""

    APPLIED = "APPLIED"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"


_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: `code` for programs, `message` for people; where in the batch, as far as that is known."""

    code: str
    message: str
    relation: str | None = None
    row: int | None = None  # the document's number in the payload, from 0
    pointer: str | None = None  # JSON pointer inside the document

    def __post_init__(self) -> None:
        # Values of the batch are quoted here: one of a megabyte, or a lone surrogate, must not keep the receipt back.
        object.__setattr__(self, "message", _sendable(self.message, MESSAGE_CHARS_MAX) or self.code)
        if self.pointer is not None:
            object.__setattr__(self, "pointer", _sendable(self.pointer, POINTER_CHARS_MAX))

    def to_signed(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "relation": self.relation,
            "row": self.row,
            "pointer": self.pointer,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """The recipient's answer. `rows` and `totals` are those that were applied, by the recipient's own count."""

    batch: str  # the batch's name (BatchName.stem)
    manifest_sha256: str
    payload_sha256: str
    recipient: str
    verdict: Verdict
    rows: Mapping[str, int]
    totals: Mapping[str, int | Mapping[str, int]]
    problems: tuple[Problem, ...]
    applied_through: int  # highest number of the feed with no hole below it; 0: none
    missing: tuple[int, ...]
    received_at: str
    applied_at: str
    clock: str  # the recipient's clock when it applied: the origin shows the skew, and decides nothing by it
    contract: str | None  # `vendas.v1`; None when the batch was refused before a contract was looked for
    software: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "problems", self.problems[:PROBLEMS_MAX])
        object.__setattr__(self, "missing", self.missing[:MISSING_MAX])

    @property
    def name(self) -> BatchName:
        return BatchName.parse(self.batch)

    def to_signed(self) -> dict[str, Any]:
        """The JSON object; `from_signed` of it is this receipt again."""
        return {
            "format": fields.VERSION,
            "batch": self.batch,
            "manifest_sha256": self.manifest_sha256,
            "payload_sha256": self.payload_sha256,
            "recipient": self.recipient,
            "verdict": self.verdict.value,
            "rows": dict(self.rows),
            "totals": {
                name: total if isinstance(total, int) else dict(total) for name, total in self.totals.items()
            },
            "problems": [problem.to_signed() for problem in self.problems],
            "applied_through": self.applied_through,
            "missing": list(self.missing),
            "received_at": self.received_at,
            "applied_at": self.applied_at,
            "clock": self.clock,
            "contract": self.contract,
            "software": self.software,
        }

    @classmethod
    def from_signed(cls, signed: dict[str, Any]) -> Receipt:
        """The receipt in `signed`; RejectedError `receipt-invalid`, UnknownFormatError otherwise."""
        try:
            return _read(signed)
        except FieldError as error:
            raise RejectedError("receipt-invalid", f"receipt for {_claimed(signed)}: {error}") from error
        except UnknownFormatError as error:
            raise UnknownFormatError(f"receipt for {_claimed(signed)}: {error.message}") from error


def _read(signed: object) -> Receipt:
    if type(signed) is not dict:
        raise FieldError("", "an object", signed)
    fields.version_of(signed)
    fields.members(signed, _MEMBERS, "")
    contract = signed["contract"]
    return Receipt(
        fields.batch_stem(signed["batch"], "/batch"),
        fields.sha256(signed["manifest_sha256"], "/manifest_sha256"),
        fields.sha256(signed["payload_sha256"], "/payload_sha256"),
        fields.identifier(signed["recipient"], "/recipient"),
        fields.choice(_VERDICTS, signed["verdict"], "/verdict"),
        fields.counts(signed["rows"], "/rows"),
        fields.totals(signed["totals"], "/totals"),
        _problems(signed["problems"]),
        fields.integer(signed["applied_through"], 0, SEQ_MAX, "/applied_through"),
        _missing(signed["missing"]),
        fields.moment(signed["received_at"], "/received_at"),
        fields.moment(signed["applied_at"], "/applied_at"),
        fields.moment(signed["clock"], "/clock"),
        None if contract is None else fields.contract_name(contract, "/contract"),
        fields.text(signed["software"], fields.SOFTWARE_CHARS_MAX, "/software"),
    )


def _problems(value: object) -> tuple[Problem, ...]:
    if type(value) is not list or len(value) > PROBLEMS_MAX:
        raise FieldError("/problems", f"at most {PROBLEMS_MAX} problems", value)
    return tuple(_problem(problem, f"/problems/{number}") for number, problem in enumerate(value))


def _problem(value: object, pointer: str) -> Problem:
    problem = fields.members(value, _PROBLEM, pointer)
    relation, row, where = problem["relation"], problem["row"], problem["pointer"]
    return Problem(
        fields.code(problem["code"], f"{pointer}/code"),
        fields.text(problem["message"], MESSAGE_CHARS_MAX, f"{pointer}/message"),
        None if relation is None else fields.relation(relation, f"{pointer}/relation"),
        None if row is None else fields.integer(row, 0, INT_MAX, f"{pointer}/row"),
        None if where is None else fields.text(where, POINTER_CHARS_MAX, f"{pointer}/pointer", chars_min=0),
    )


def _missing(value: object) -> tuple[int, ...]:
    if type(value) is not list or len(value) > MISSING_MAX:
        raise FieldError("/missing", f"at most {MISSING_MAX} numbers", value)
    for seq in value:
        fields.integer(seq, 1, SEQ_MAX, "/missing")
    if len(set(value)) != len(value):
        raise FieldError("/missing", "every number once", value)
    return tuple(value)


def _sendable(text: str, chars_max: int) -> str:
    if len(text) > chars_max:
        text = text[: chars_max - 3] + "..."
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _claimed(signed: object) -> str:
    """The batch that a faulty receipt says it answers, for its error message."""
    batch = signed.get("batch") if type(signed) is dict else None
    return fields.shown(batch) if type(batch) is str else "an unnamed batch"
