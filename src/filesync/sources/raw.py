"""What reading a file of rows gives, and what every reading shares: the guard around an open file, its
encoding, its chunks.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from filesync.errors import ConfigError, RejectedError, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from filesync.sources.frame import Rows

CHUNK_ROWS: Final = 65_536
CHUNK_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that cannot be split into columns."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Rows as they stand in the file. `lines` from 1; for Parquet, the number of the row."""

    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    lines: Rows
    unit: str = "line"
    malformed: tuple[Malformed, ...] = ()


def unreadable(path: Path, why: str) -> RejectedError:
    """The file as a whole cannot be read."""
    return RejectedError("source-unreadable", f"{path.name}: {why}")


def no_rows(names: tuple[str, ...]) -> Raw:
    """A file without rows still shows its columns."""
    return Raw(names, tuple(pa.array([], pa.string()) for _ in names), np.array([], np.int64))


@contextmanager
def guarded(path: Path, encoding: str) -> Iterator[None]:
    """Turns the system's errors into ours, and notices a file that is written to while it is read."""
    try:
        before = path.stat()
        yield
        after = path.stat()
    except FileNotFoundError as err:
        raise ConfigError("source-missing", f"{path}: there is no such file") from err
    except PermissionError as err:  # on Windows also a file that its writer still holds open
        raise TransportError("source-locked", f"{path}: {err}") from err
    except UnicodeDecodeError as err:
        raise _wrong_encoding(path, encoding, err) from err
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise TransportError(
            "source-changing", f"{path}: it was written to while it was read; the next turn reads it again"
        )


def open_text(path: Path, encoding: str) -> IO[str]:
    """The file's text, line ends as they are, a BOM taken off."""
    return path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="")


def _wrong_encoding(path: Path, encoding: str, err: UnicodeDecodeError) -> RejectedError:
    """The codec reports a position in its block; the line is found by reading again."""
    line = "its text"
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                text.decode(encoding)
            except UnicodeDecodeError as at:
                line = f"line {number} (byte 0x{text[at.start]:02X})"
                break
    other = "cp1252 or latin-1" if encoding == "utf-8" else "latin-1 or utf-8"
    return unreadable(
        path, f"{line} is not {encoding}: {err.reason}; set encoding to {other} if that is how it was written"
    )
