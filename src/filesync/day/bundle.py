"""The file of a day's dossier: a zip that whoever has the matriz' public key can check, without the matriz and without filesync.

- Same files, same bytes: stored (not compressed), in the order of their names, with one date for all, made on whatever computer.
- `INDEX.json` names every other file with its size and sha256. It is in canonical form (RFC 8785), and `INDEX.json.sig` is its signature
  as `ssh-keygen -Y sign -n filesync` makes it. `SHA256SUMS` is the same list for `sha256sum -c`.
- Reading looks at every byte: each file is compared with the index, then the zip is made again from its files and compared as a whole.
  So a byte between two files, behind the last one, or in a comment, is found too.

What is not here: what belongs into a dossier (dossier.py), and whether what its files say agrees (cli/auditing.py).
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

from filesync.errors import DamagedError
from filesync.protocol.envelope import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from filesync.protocol.signing import SigningKey

FORMAT: Final = 1
KIND: Final = "day-dossier"
INDEX: Final = "INDEX.json"
SIGNATURE: Final = "INDEX.json.sig"
SUMS: Final = "SHA256SUMS"
#: A larger index or signature is not read.
INDEX_BYTES_MAX: Final = 256 << 20
SIGNATURE_BYTES_MAX: Final = 4096

_CHUNK: Final = 1 << 20
_OWN: Final = (INDEX, SIGNATURE)
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*").fullmatch
_hex64 = re.compile("[0-9a-f]{64}").fullmatch
#: What zipfile raises on a file that is no zip, or that wants to be more than one.
_HOSTILE: Final = (
    zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError, LookupError, RecursionError, OSError,
    struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the dossier, as the index names it."""

    name: str
    size: int
    sha256: str


class Wrong(Enum):
    """In which way a dossier is not what was signed."""

    UNREADABLE = "unreadable"  # no zip, no index, or a file that cannot be taken out of it
    MISSING = "missing"
    ADDED = "added"
    TWICE = "twice"
    CHANGED = "changed"
    OUTSIDE = "outside"  # bytes that belong to no file, or not in the form in which filesync writes it


@dataclass(frozen=True, slots=True)
class Fault:
    """One file that is wrong; `expected` and `got` are digests, sizes or reasons."""

    file: str
    wrong: Wrong
    expected: str = ""
    got: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A dossier that was made."""

    files: int
    size: int
    sha256: str


def write(
    target: Path, files: Mapping[str, bytes | Path], facts: Mapping[str, Any], key: SigningKey
) -> Written:
    """Make the zip at `target`. `facts` are what the index says besides its list (plain JSON). The caller makes it visible."""
    sums = "".join(f"{_sha256(files[name])}  {name}\n" for name in sorted(files))
    held: dict[str, bytes | Path] = {**files, SUMS: sums.encode("ascii")}
    if bad := [name for name in held if not _name(name) or name in _OWN]:
        raise ValueError(f"dossier: expected plain file names, got {bad[:3]}")
    listed = [
        {"name": name, "bytes": _size(held[name]), "sha256": _sha256(held[name])} for name in sorted(held)
    ]
    index = canonical({"format": FORMAT, "kind": KIND, **facts, "files": listed})
    signature = key.sign(index).encode("ascii")
    with target.open("wb") as out:
        _write(out, [*((name, held[name]) for name in sorted(held)), (INDEX, index), (SIGNATURE, signature)])
    return Written(len(held), target.stat().st_size, _sha256(target))


def is_one(path: Path) -> bool:
    """Whether the file is a dossier, as far as its index says so."""
    try:
        with Bundle.open(path):
            return True
    except (DamagedError, OSError):
        return False


class Bundle:
    """A dossier opened for checking. Nothing in it is believed: every size is bounded, no name of it becomes a path."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = archive
        self.index: dict[str, Any] = {}
        self.index_bytes = b""
        self.signature: str | None = None
        self.entries: dict[str, Entry] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the index. DamagedError `dossier-unreadable` where there is none that can be read."""
        try:
            archive = zipfile.ZipFile(path)
        except _HOSTILE as err:
            raise DamagedError(
                "dossier-unreadable", f"{path.name}: expected a day's dossier (a zip), got {err}"
            ) from err
        made = cls(path, archive)
        try:
            made._read_index()
        except BaseException:
            archive.close()
            raise
        return made

    def close(self) -> None:
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: str) -> bytes:
        """The bytes of a listed file that was not found at fault. Its size is what the index says, not what the zip says."""
        return b"".join(self._chunks(name, self.entries[name].size))

    def under(self, folder: str) -> Iterator[str]:
        """Names of listed files in a folder."""
        return (name for name in self.entries if name.startswith(f"{folder}/"))

    def examine(self) -> list[Fault]:
        """Every file against the index, and every byte of the zip. [] where it is what was signed (if the signature holds)."""
        counted = Counter(info.filename for info in self._zip.infolist())
        known = {*self.entries, *_OWN}
        faults = [Fault(name, Wrong.TWICE) for name, count in counted.items() if count > 1]
        faults += [Fault(name, Wrong.ADDED) for name in sorted(counted.keys() - known)]
        faults += [Fault(name, Wrong.MISSING) for name in sorted(known - counted.keys())]
        faults += [
            fault
            for entry in self.entries.values()
            if entry.name in counted and (fault := self._differs(entry)) is not None
        ]
        if not faults and (at := self._same_bytes()) is not None:
            faults.append(Fault(self.path.name, Wrong.OUTSIDE, got=str(at)))
        return faults

    # ------------------------------------------------------------------------------------------------ inside

    def _read_index(self) -> None:
        try:
            self.index_bytes = b"".join(self._chunks(INDEX, INDEX_BYTES_MAX))
            value = json.loads(self.index_bytes)
            self.entries = _entries(value)
            if canonical(value) != self.index_bytes:  # two readers could see two meanings
                raise ValueError("expected the index in canonical form (RFC 8785)")
        except _HOSTILE as err:
            raise DamagedError(
                "dossier-unreadable", f"{self.path.name}: expected {INDEX} in it, got {err}"
            ) from err
        self.index = value
        try:
            self.signature = b"".join(self._chunks(SIGNATURE, SIGNATURE_BYTES_MAX)).decode("ascii")
        except _HOSTILE:
            self.signature = None  # named as missing, and checked as no signature

    def _chunks(self, name: str, size_max: int) -> Iterator[bytes]:
        info = self._zip.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(f"{name} is compressed")
        size = 0
        with self._zip.open(info) as file:
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                if size > size_max:
                    raise zipfile.BadZipFile(f"{name} is larger than {size_max} bytes")
                yield chunk

    def _differs(self, entry: Entry) -> Fault | None:
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in self._chunks(entry.name, entry.size):
                digest.update(chunk)
                size += len(chunk)
        except _HOSTILE as err:
            return Fault(entry.name, Wrong.CHANGED, entry.sha256, str(err))
        if size != entry.size:
            return Fault(entry.name, Wrong.CHANGED, f"{entry.size} bytes", f"{size} bytes")
        if (got := digest.hexdigest()) != entry.sha256:
            return Fault(entry.name, Wrong.CHANGED, entry.sha256, got)
        return None

    def _same_bytes(self) -> int | None:
        """Where the zip is not what `write` makes of these files; None where it is."""
        sizes = [*((e.name, e.size) for e in self.entries.values()), (INDEX, INDEX_BYTES_MAX), (SIGNATURE, SIGNATURE_BYTES_MAX)]  # fmt: skip
        with tempfile.TemporaryFile() as again, self.path.open("rb") as given:
            try:
                _write(again, ((name, self._chunks(name, size)) for name, size in sizes), self._zip)
            except _HOSTILE:
                return 0
            again.seek(0)
            return _first_difference(given, again)


def _write(
    out: IO[bytes],
    files: Iterable[tuple[str, bytes | Path | Iterator[bytes]]],
    sizes: zipfile.ZipFile | None = None,
) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3  # also on Windows: one form
            info.external_attr = 0o644 << 16
            if isinstance(content, bytes | Path):
                info.file_size = _size(content)
            elif sizes is not None:
                info.file_size = sizes.getinfo(name).file_size
            with archive.open(info, "w") as file:
                for chunk in _pieces(content):
                    file.write(chunk)


def _first_difference(one: IO[bytes], other: IO[bytes]) -> int | None:
    at = 0
    while True:
        a, b = one.read(_CHUNK), other.read(_CHUNK)
        if a != b:
            same = next(
                (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
            )
            return at + same
        if not a:
            return None
        at += len(a)


def _entries(value: Any) -> dict[str, Entry]:
    """The index's list; ValueError where it is not one that `write` makes."""
    if type(value) is not dict or value.get("format") != FORMAT or value.get("kind") != KIND:
        raise ValueError(f"expected the index of a {KIND}, format {FORMAT}")
    listed = value.get("files")
    if type(listed) is not list:
        raise ValueError("expected a list of files in the index")
    found: dict[str, Entry] = {}
    last = ""
    for item in listed:
        if type(item) is not dict or item.keys() != {"name", "bytes", "sha256"}:
            raise ValueError("expected name, bytes and sha256 of each file in the index")
        name, size, sha256 = item["name"], item["bytes"], item["sha256"]
        if type(name) is not str or not _name(name) or name in _OWN or name <= last:
            raise ValueError(f"expected plain names in their order in the index, got {str(name)[:80]!r}")
        if type(size) is not int or size < 0 or type(sha256) is not str or not _hex64(sha256):
            raise ValueError(f"expected size and sha256 of {name} in the index")
        found[name] = Entry(name, size, sha256)
        last = name
    return found


def _pieces(content: bytes | Path | Iterator[bytes]) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Path):
        with content.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    else:
        yield from content


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _sha256(content: bytes | Path) -> str:
    digest = hashlib.sha256()
    for chunk in _pieces(content):
        digest.update(chunk)
    return digest.hexdigest()
