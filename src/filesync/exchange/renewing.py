"""A site whose database was put back from a backup: what shows it, and how it goes on.

Such a database does not know which numbers were used after it was made, and would use them again; recipients refuse the second claim. So the
site begins a new epoch, whose numbers begin at 1 (protocol.md, section 8). Nothing that was sent is taken back or lost: what the database does
not remember to have sealed is found in its source and sealed again, and recipients know it by key and content.

Signs are looked for, not believed blindly: a person says so, too. Without a sign nothing is begun unless the person insists.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.exchange.lock import DAEMON_LOCK, SiteLock
from filesync.protocol.identity import FileKind, new_epoch, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.exchange.context import Context

_RUNNING = "restored-running: filesync run works for this site: {who} holds {name} in {folder}; stop it before a new epoch is begun"
REASON_CHARS_MAX = 500
_ASKED_AT_ONCE = 1_000


class SignKind(Enum):
    """How it shows that the database is older than what was sent."""

    REFUSED = "refused"  # a recipient had that number already
    UNKNOWN_FILE = "unknown-file"  # a file of this site's, of a batch that the database never sealed
    ASKED = "asked"  # a recipient misses a number that the database never issued


@dataclass(frozen=True, slots=True)
class Sign:
    """`name`: a batch, a file, or a feed and its number; `peer`: who says so, empty for what lies here."""

    kind: SignKind
    name: str
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Renewed:
    """`owed`: batches that were refused for their numbers; the next turn seals their rows again."""

    before: str
    epoch: str
    signs: tuple[Sign, ...]
    owed: tuple[str, ...]


def signs(ctx: Context) -> list[Sign]:
    """What shows that this site's database is older than what this site sent."""
    heads = ctx.store.own_heads()
    found = [Sign(SignKind.REFUSED, name, peer) for name, peer in ctx.store.forked()]
    found += [Sign(SignKind.UNKNOWN_FILE, name) for name in _unknown_files(ctx)]
    for peer, heard in ctx.store.heard().items():
        for wish in heard.signed.get("wanted", ()):
            if wish["epoch"] == ctx.epoch:
                head = heads.get((wish["dataset"], wish["audience"]), 0)
                feed = f"{wish['dataset']}.{ctx.me}.{wish['audience']}"
                found += [
                    Sign(SignKind.ASKED, f"{feed} {seq}", peer) for seq in wish["missing"] if seq > head
                ]
    return found


def _unknown_files(ctx: Context) -> Iterator[str]:
    """Of each batch of this epoch that the database never sealed one file, wherever in this site's folders it lies.

    A payload alone says nothing: its number was never used where a crash came before the ledger was written.
    """
    of_stem: dict[str, str] = {}
    for top in ("outbox", "archive", "inbox", "quarantine"):
        for _, _, files in os.walk(ctx.folders.root / top):
            for file in sorted(files):
                name = parse_file_name(file)
                if name is None or name.kind is FileKind.PAYLOAD:
                    continue
                if (name.batch.id.feed.origin, name.batch.id.epoch) == (ctx.me, ctx.epoch):
                    of_stem.setdefault(name.batch.stem, file)
    stems = sorted(of_stem)
    for start in range(0, len(stems), _ASKED_AT_ONCE):
        asked = stems[start : start + _ASKED_AT_ONCE]
        known = ctx.store.outgoing_state(asked)
        yield from (of_stem[stem] for stem in asked if stem not in known)


def renew(ctx: Context, *, reason: str, by: str, anyway: bool = False) -> Renewed:
    """Begin a new epoch. The caller holds the site's lock. Raises `ConfigError` where nothing shows a need, and nobody insists."""
    if not 1 <= len(reason.strip()) <= REASON_CHARS_MAX or not by.strip():
        raise ConfigError(
            "restored-reason", f"expected a reason of at most {REASON_CHARS_MAX} characters, and a name"
        )
    with SiteLock(ctx.folders.root / DAEMON_LOCK, 0.0, _RUNNING).held():
        found = signs(ctx)
        if not found and not anyway:
            raise ConfigError(
                "restored-unneeded",
                f"nothing here shows that the database of {ctx.me} is older than what was sent; nothing was changed",
            )
        before, epoch = ctx.epoch, new_epoch(secrets.token_bytes(8))
        note = json.dumps(
            {"until": ctx.now(), "reason": reason.strip(), "by": by.strip()}, ensure_ascii=False
        )
        whole = {
            c.dataset for d in ctx.contracts.datasets() if (c := ctx.contracts.latest(d)) and c.active_column
        }
        ctx.store.renew(epoch, note, whole)
        owed = sorted({sign.name for sign in found if sign.kind is SignKind.REFUSED})
        return Renewed(before, epoch, tuple(found), tuple(owed))
