"""Who and what has a name here: sites, datasets, feeds, batches, and the file names made of them. Pure.

The one grammar of file names (docs/protocol.md):

    <dataset>.<origin>.<audience>.<epoch>.<seq, 10 digits>.<business date, YYYYMMDD>.<first 12 hex of the payload's sha256>

then `.parquet`, `.jsonl`, `.jsonl.age`, `.manifest.json`, `.void.json`, or `.<recipient>.receipt.json`. Besides, `heartbeat.<site>.json`, which belongs to no batch.

- Every part is checked when its value is made, so that a name built from values is always safe as a file name on
  every system: no separator, no upper case, no device name of Windows, below 180 characters.
- Batches of a feed are ordered by (epoch, seq), never by a date or a file time; there is no `<` on these types.
- The parser accepts exactly what the writers write. Anything else is a stranger (`None`) and is left alone.

What is not here: which datasets, sites or peers exist. A well-formed name may still be nobody's.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Final

ID_PATTERN: Final = "[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?"
EPOCH_PATTERN: Final = "[a-z0-9]{8}"
SEQ_MAX: Final = 9_999_999_999  # ten digits, as the file name holds them
FILE_NAME_CHARS_MAX: Final = 180
RESERVED_NAMES: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)

_id = re.compile(ID_PATTERN).fullmatch
_epoch = re.compile(EPOCH_PATTERN).fullmatch
_digest12 = re.compile("[0-9a-f]{12}").fullmatch
_stem = re.compile(
    f"({ID_PATTERN})\\.({ID_PATTERN})\\.({ID_PATTERN})\\.({EPOCH_PATTERN})"
    "\\.([0-9]{10})\\.([0-9]{4})([0-9]{2})([0-9]{2})\\.([0-9a-f]{12})"
).fullmatch
_heartbeat = re.compile(f"heartbeat\\.({ID_PATTERN})\\.json").fullmatch


class Role(Enum):
    """What a site is for."""

    CAIXA = "caixa"
    POSTO = "posto"
    MATRIZ = "matriz"
    PORTAL = "portal"


class Format(Enum):
    """How a payload is written; the value is also its file extension."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    JSONL_AGE = "jsonl.age"  # JSON lines encrypted to the recipients (encryption.py)


class Mode(Enum):
    """A delta adds and changes rows; a snapshot says that what it does not hold is gone."""

    DELTA = "delta"
    SNAPSHOT = "snapshot"


class FileKind(Enum):
    """The four kinds of file that travel in a batch's name."""

    PAYLOAD = "payload"
    MANIFEST = "manifest"
    VOID = "void"  # the origin gives the number up
    RECEIPT = "receipt"


def check_id(text: str) -> str:
    """The same text, if it may name a site, a group or a dataset; ValueError says what is wrong otherwise."""
    if not _id(text):
        raise ValueError(
            f"id: expected 1 to 24 of a-z, 0-9 and '-', beginning and ending with a letter or digit, got {text[:40]!r}"
        )
    # Windows opens the device, whatever the extension: `con.caixa-01...` would never become a file there.
    if text in RESERVED_NAMES:
        raise ValueError(f"id: expected a name that Windows does not reserve for a device, got {text!r}")
    return text


def new_epoch(token: bytes) -> str:
    """The epoch that a random token stands for: 8 characters a-z, 2-7 (40 bits). The caller brings the randomness."""
    if len(token) < 8:
        raise ValueError(f"epoch: expected a token of at least 8 random bytes, got {len(token)}")
    return base64.b32encode(hashlib.sha256(token).digest()[:5]).decode("ascii").lower()


@dataclass(frozen=True, slots=True)
class Feed:
    """One ordered series of batches. `str()` is as file names begin: `vendas.caixa-01.matriz`."""

    origin: str
    dataset: str
    audience: str

    def __post_init__(self) -> None:
        check_id(self.origin)
        check_id(self.dataset)
        check_id(self.audience)

    def __str__(self) -> str:
        return f"{self.dataset}.{self.origin}.{self.audience}"

    @classmethod
    def parse(cls, text: str) -> Feed:
        """The feed that `text` spells as file names do, `<dataset>.<origin>.<audience>`; ValueError otherwise."""
        parts = text.split(".")
        if len(parts) != 3:
            raise ValueError(
                f"feed: expected <dataset>.<origin>.<audience>, got {text[:FILE_NAME_CHARS_MAX]!r}"
            )
        return cls(parts[1], parts[0], parts[2])


@lru_cache(maxsize=1024)
def feed_of(origin: str, dataset: str, audience: str) -> Feed:
    """`Feed(...)`, checked once for all of a feed's batches."""
    return Feed(origin, dataset, audience)


@dataclass(frozen=True, slots=True)
class BatchId:
    """A number in a feed. Two files may claim it; at most one of them is ever applied."""

    feed: Feed
    epoch: str
    seq: int

    def __post_init__(self) -> None:
        if not _epoch(self.epoch):
            raise ValueError(f"epoch: expected 8 of a-z and 0-9, got {self.epoch[:40]!r}")
        if not 1 <= self.seq <= SEQ_MAX:
            raise ValueError(
                f"seq: expected 1 to {SEQ_MAX}, got {self.seq if abs(self.seq) < 2**63 else 'more'}"
            )

    def __str__(self) -> str:
        return f"{self.feed}.{self.epoch}.{self.seq:010d}"


@dataclass(frozen=True, slots=True)
class BatchName:
    """A batch's name on disk. The digest keeps two claims to one number from overwriting each other."""

    id: BatchId
    business_date: date
    digest12: str  # first 12 hex digits of the payload's sha256
    stem: str = field(init=False, repr=False, compare=False)  # asked for a dozen times on a batch's way

    def __post_init__(self) -> None:
        if not _digest12(self.digest12):
            raise ValueError(f"digest: expected 12 lower-case hex digits, got {self.digest12[:40]!r}")
        # isoformat, not strftime: %Y does not pad years below 1000 on every system.
        day = self.business_date.isoformat().replace("-", "")
        object.__setattr__(self, "stem", f"{self.id}.{day}.{self.digest12}")

    def __str__(self) -> str:
        return self.stem

    def payload(self, format: Format) -> str:  # noqa: A002 -- the manifest's word
        return f"{self.stem}.{format.value}"

    @property
    def manifest(self) -> str:
        return f"{self.stem}.manifest.json"

    @property
    def void(self) -> str:
        return f"{self.stem}.void.json"

    def receipt(self, recipient: str) -> str:
        return f"{self.stem}.{check_id(recipient)}.receipt.json"

    @staticmethod
    @lru_cache(maxsize=4096)  # a batch's files lie beside each other, and its receipt is named soon after
    def parse(stem: str) -> BatchName:
        """The name that `stem` spells; ValueError when it is not exactly one."""
        found = _stem(stem)
        if not found:
            raise ValueError(
                "batch name: expected <dataset>.<origin>.<audience>.<epoch>.<seq>.<date>.<digest>, "
                f"got {stem[:FILE_NAME_CHARS_MAX]!r}"
            )
        dataset, origin, audience, epoch, seq, year, month, day, digest12 = found.groups()
        return BatchName(
            BatchId(feed_of(origin, dataset, audience), epoch, int(seq)),
            date(int(year), int(month), int(day)),
            digest12,
        )


@dataclass(frozen=True, slots=True)
class FileName:
    """A file's name, read. `format` is set for a payload, `recipient` for a receipt."""

    batch: BatchName
    kind: FileKind
    format: Format | None = None
    recipient: str | None = None

    def __str__(self) -> str:
        if self.format is not None:
            return self.batch.payload(self.format)
        if self.recipient is not None:
            return self.batch.receipt(self.recipient)
        return self.batch.void if self.kind is FileKind.VOID else self.batch.manifest


#: How the names of a batch's files end, but those of receipts, which name their recipient too.
_ENDINGS: Final = {
    **{form.value: (FileKind.PAYLOAD, form) for form in Format},
    "manifest.json": (FileKind.MANIFEST, None),
    "void.json": (FileKind.VOID, None),
}
_RECEIPT: Final = ".receipt.json"


def parse_file_name(name: str) -> FileName | None:
    """What a file of this name is, or None for a stranger. Never raises, whatever the name."""
    stem = stem_of(name)
    ending = name[len(stem) + 1 :]
    recipient = None if ending in _ENDINGS else ending.removesuffix(_RECEIPT)
    if recipient == ending:
        return None
    try:
        batch = BatchName.parse(stem)
        if recipient is not None:
            return FileName(batch, FileKind.RECEIPT, recipient=check_id(recipient))
    except ValueError:  # no batch's name; or a device name, the 31st of June, number 0
        return None
    return FileName(batch, *_ENDINGS[ending])


def stem_of(file_name: str) -> str:
    """The batch that a file belongs to whose name was parsed before: its first seven parts."""
    return ".".join(file_name.split(".", 7)[:7])


def heartbeat_name(site: str) -> str:
    """The one file in which `site` tells a peer about itself."""
    return f"heartbeat.{check_id(site)}.json"


def parse_heartbeat_name(name: str) -> str | None:
    """Whose heartbeat a file of this name is, or None where it is none. Never raises, whatever the name."""
    found = _heartbeat(name)
    return found[1] if found and found[1] not in RESERVED_NAMES else None
