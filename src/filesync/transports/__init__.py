"""The road to a peer's folders: one protocol, walked over a folder (`folder`) or over SFTP (`sftp`).

What a road promises, whichever it is; tests/doors/test_transport.py holds every implementation to it:

- Everything may be repeated, at any point: what arrived is left, what is half there is finished, what is gone stays gone.
- A file appears whole or not at all: a temporary name in `.partial` beside the folder, then one atomic rename.
- `put_many` and `get_many` let files appear in the order given. After an error those before it may have arrived, and in the group that
  was under way also some after it: a caller who needs one *before* another (payload, manifest) calls twice.
- A name stands for its content: a file of that name and size that lies there is left, and said so with False. `replace=True` is for the
  few names that do not (heartbeats). Neither compares bytes: the digest in the manifest does, at the reader.
- Names are plain (`files.check_name`) and links are not followed below the root.
- What fails on the road is TransportError, for the next turn to try again; its code is one of `CODES`. A local file that is missing is our
  own mistake, and an OSError.

Not here: what is sent and in which order (exchange.road), and when to try again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from filesync.transports.files import RemoteFile

#: Stable codes of TransportError, with what they mean for whoever reads a status.
CODES = {
    "unreachable": "nobody answers: no such host, no network, refused, share not mounted, root folder not there",
    "host-key-unknown": "the server's key was never confirmed by a person",
    "host-key-changed": "the server shows another key than the one confirmed: moved, reinstalled, or somebody between",
    "login-refused": "the server does not accept this site's key or account",
    "identity-unreadable": "the site's own key file cannot be read",
    "incompatible": "the server speaks, but not SSH or SFTP as needed here",
    "timeout": "the server stopped answering, or would have needed longer than the deadline",
    "interrupted": "the connection broke",
    "name-refused": "a name that is more than a plain file name",
    "not-a-file": "a link, folder or device where a file was expected, or a link where a folder was",
    "gone": "listed before, not there now",
    "full": "no space left there",
    "full-here": "no space left on our own disk for what was fetched",
    "failed-here": "our own disk refused what was fetched",
    "denied": "no permission there",
    "failed": "the other side refused without saying why",
}


class Transport(Protocol):
    """The road to one peer. Folders are named from the peer's root, with `/` between their parts: `inbox/caixa-01`."""

    #: Called with the number of bytes that have just moved, often; must be quick.
    observe: Callable[[int], None]

    def list(self, folder: str) -> list[RemoteFile]:
        """The files in a folder by name; empty where the folder does not exist (yet). Folders, links and odd names are left out."""
        ...

    def put_many(self, items: Iterable[tuple[Path, str, str]], *, replace: bool = False) -> Sequence[bool]:
        """Copies (local file, folder, name) to the peer; False where that name and size lies there already."""
        ...

    def get_many(self, items: Iterable[tuple[str, str, Path]], *, replace: bool = False) -> Sequence[bool]:
        """Copies (folder, name, local folder) here, durably; False where that name and size lies here already."""
        ...

    def remove_many(self, items: Iterable[tuple[str, str]]) -> None:
        """Removes (folder, name) at the peer; gone already is done."""
        ...

    def close(self) -> None:
        """Lets go of the connection, if there is one. The road may be used again: it then connects again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def unobserved(_: int) -> None:
    """Nobody watches the bytes move."""
