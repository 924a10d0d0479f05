"""What all roads to a peer have in common: files in folders, by plain names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from filesync.errors import TransportError

#: What separates names, or means something to a system or its shell.
_separating = re.compile(r'[/\\:\0*?"<>|]').search


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that lies at the peer, as a listing tells it: nothing about its content is known yet."""

    name: str
    size: int  # bytes


def check_name(name: str) -> str:
    """A name that means exactly one file in exactly one folder on every system; TransportError("name-refused") for others.

    Names come out of a peer's listing and manifests. No separator, no drive or stream (`:`), no hidden file (also not `.partial`).
    """
    if not is_plain(name):
        raise TransportError("name-refused", f"a plain file name was expected, got {name!r}")
    return name


def is_plain(name: str) -> bool:
    """Whether `check_name` lets the name pass."""
    return not (
        not name
        or name.startswith(".")
        or _separating(name)
        or name != name.rstrip(". ")
        or not name.isprintable()  # control characters; bytes that are no UTF-8 (surrogates)
    )


def folder_parts(folder: str) -> tuple[str, ...]:
    """`inbox/caixa-01` as its parts, each a plain name: it leads down from the peer's root, never out of it."""
    return tuple(check_name(part) for part in folder.split("/"))
