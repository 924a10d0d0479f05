"""A heartbeat: what a site tells a peer about itself, so that silence and delay can be told apart. Pure.

- One file per sender and recipient, `heartbeat.<site>.json`; it overwrites itself, and losing one loses nothing.
- It says how far the feeds for that peer are sealed: what was sealed there and is not here is on its way, or was never sent.
- It asks (`wanted`) for numbers of the recipient's feeds that are missing at the sender: a batch that was lost, or never left.
- `counter` grows with each one that an installation (epoch) writes: an older one that comes late, on a stick, changes nothing.
- It decides nothing. No batch is applied, refused or settled because of a heartbeat; its clock is shown, never compared. What is asked
  for is sent once more as it is.

A site that sends none is as good a peer as any. Not here: the signature (signing.py), and what is made of it (exchange/heartbeats.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from filesync.errors import RejectedError
from filesync.protocol import fields
from filesync.protocol.envelope import INT_MAX
from filesync.protocol.fields import FieldError, UnknownFormatError
from filesync.protocol.identity import SEQ_MAX, Role

#: Larger files are not read. A heartbeat with all its lists full is smaller.
HEARTBEAT_BYTES_MAX: Final = 64 * 1024
FEEDS_MAX: Final = 256
CONTRACTS_MAX: Final = 256
#: What is asked for at a time; what is missing beyond that is asked for when this has come.
WANTED_MAX: Final = 32
WANTED_NUMBERS_MAX: Final = 40

_MEMBERS: Final = frozenset(
    ("format", "site", "recipient", "role", "epoch", "counter", "clock", "software", "free_bytes", "feeds", "contracts", "wanted")
)  # fmt: skip
_FEED: Final = frozenset(("dataset", "audience", "sealed", "oldest_open", "shipped"))
_WANTED: Final = frozenset(("dataset", "audience", "epoch", "missing"))
_ROLES: Final = {role.value: role for role in Role}


@dataclass(frozen=True, slots=True)
class FeedMark:
    """How far a feed of the sender's is sealed in this epoch, and the first number that the recipient has not answered (None: all are).

    `shipped`: everything up to that number had left for the recipient before this was written (0: nothing had).
    """

    dataset: str
    audience: str
    sealed: int
    oldest_open: int | None
    shipped: int = 0

    def to_signed(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "audience": self.audience,
            "sealed": self.sealed,
            "oldest_open": self.oldest_open,
            "shipped": self.shipped,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """Numbers of a feed of the recipient's that the sender misses, in that epoch."""

    dataset: str
    audience: str
    epoch: str
    missing: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "missing", self.missing[:WANTED_NUMBERS_MAX])

    def to_signed(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "audience": self.audience,
            "epoch": self.epoch,
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """See the module. Lists are cut to their bounds when it is made."""

    site: str
    recipient: str
    role: Role
    epoch: str
    counter: int
    clock: str  # the sender's clock when it was written
    software: str
    free_bytes: int | None  # on the disk of the site's folder; None where it cannot be told
    feeds: tuple[FeedMark, ...]
    contracts: tuple[str, ...]  # `vendas.v1`: what the sender can judge
    wanted: tuple[Wanted, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "feeds", self.feeds[:FEEDS_MAX])
        object.__setattr__(self, "contracts", self.contracts[:CONTRACTS_MAX])
        object.__setattr__(self, "wanted", self.wanted[:WANTED_MAX])

    def to_signed(self) -> dict[str, Any]:
        """The JSON object; `from_signed` of it is this heartbeat again."""
        return {
            "format": fields.VERSION,
            "site": self.site,
            "recipient": self.recipient,
            "role": self.role.value,
            "epoch": self.epoch,
            "counter": self.counter,
            "clock": self.clock,
            "software": self.software,
            "free_bytes": self.free_bytes,
            "feeds": [feed.to_signed() for feed in self.feeds],
            "contracts": list(self.contracts),
            "wanted": [wanted.to_signed() for wanted in self.wanted],
        }

    def news(self) -> dict[str, Any]:
        """What is worth telling at once when it changes: all but the counter, the clock and the free space, which always change.

        Nor is what has left: it changes with every batch, after the heartbeat that went before it. Nor to whom it is said.
        """
        signed = self.to_signed()
        for name in ("recipient", "counter", "clock", "free_bytes"):
            del signed[name]
        signed["feeds"] = [
            {name: value for name, value in feed.items() if name != "shipped"} for feed in signed["feeds"]
        ]
        return signed

    @classmethod
    def from_signed(cls, signed: dict[str, Any]) -> Heartbeat:
        """The heartbeat in `signed`; RejectedError `heartbeat-invalid`, UnknownFormatError otherwise."""
        try:
            return _read(signed)
        except FieldError as error:
            raise RejectedError("heartbeat-invalid", f"heartbeat: {error}") from error
        except UnknownFormatError as error:
            raise UnknownFormatError(f"heartbeat: {error.message}") from error


def _read(signed: object) -> Heartbeat:
    if type(signed) is not dict:
        raise FieldError("", "an object", signed)
    fields.version_of(signed)
    fields.members(signed, _MEMBERS, "")
    free_bytes = signed["free_bytes"]
    return Heartbeat(
        fields.identifier(signed["site"], "/site"),
        fields.identifier(signed["recipient"], "/recipient"),
        fields.choice(_ROLES, signed["role"], "/role"),
        fields.epoch(signed["epoch"], "/epoch"),
        fields.integer(signed["counter"], 1, INT_MAX, "/counter"),
        fields.moment(signed["clock"], "/clock"),
        fields.text(signed["software"], fields.SOFTWARE_CHARS_MAX, "/software"),
        None if free_bytes is None else fields.integer(free_bytes, 0, INT_MAX, "/free_bytes"),
        _feeds(signed["feeds"]),
        _contracts(signed["contracts"]),
        _wanted(signed["wanted"]),
    )


def _feeds(value: object) -> tuple[FeedMark, ...]:
    if type(value) is not list or len(value) > FEEDS_MAX:
        raise FieldError("/feeds", f"at most {FEEDS_MAX} feeds", value)
    return tuple(_feed(feed, f"/feeds/{number}") for number, feed in enumerate(value))


def _feed(value: object, pointer: str) -> FeedMark:
    feed = fields.members(value, _FEED, pointer)
    oldest_open = feed["oldest_open"]
    return FeedMark(
        fields.identifier(feed["dataset"], f"{pointer}/dataset"),
        fields.identifier(feed["audience"], f"{pointer}/audience"),
        fields.integer(feed["sealed"], 1, SEQ_MAX, f"{pointer}/sealed"),
        None if oldest_open is None else fields.integer(oldest_open, 1, SEQ_MAX, f"{pointer}/oldest_open"),
        fields.integer(feed["shipped"], 0, SEQ_MAX, f"{pointer}/shipped"),
    )


def _contracts(value: object) -> tuple[str, ...]:
    if type(value) is not list or len(value) > CONTRACTS_MAX:
        raise FieldError("/contracts", f"at most {CONTRACTS_MAX} contracts", value)
    return tuple(fields.contract_name(name, f"/contracts/{at}") for at, name in enumerate(value))


def _wanted(value: object) -> tuple[Wanted, ...]:
    if type(value) is not list or len(value) > WANTED_MAX:
        raise FieldError("/wanted", f"at most {WANTED_MAX} feeds", value)
    return tuple(_wanted_feed(wanted, f"/wanted/{number}") for number, wanted in enumerate(value))


def _wanted_feed(value: object, pointer: str) -> Wanted:
    wanted = fields.members(value, _WANTED, pointer)
    missing = wanted["missing"]
    if type(missing) is not list or not 1 <= len(missing) <= WANTED_NUMBERS_MAX:
        raise FieldError(f"{pointer}/missing", f"1 to {WANTED_NUMBERS_MAX} numbers", missing)
    for seq in missing:
        fields.integer(seq, 1, SEQ_MAX, f"{pointer}/missing")
    if len(set(missing)) != len(missing):
        raise FieldError(f"{pointer}/missing", "every number once", missing)
    return Wanted(
        fields.identifier(wanted["dataset"], f"{pointer}/dataset"),
        fields.identifier(wanted["audience"], f"{pointer}/audience"),
        fields.epoch(wanted["epoch"], f"{pointer}/epoch"),
        tuple(missing),
    )
