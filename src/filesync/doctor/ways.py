"""The two folders of a link, and how long and how large a look at them may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filesync.config import Peer

#: Every step over a network is given so long, whatever the other side does.
STEP_S = 20.0
PROBE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Ways:
    """The two folders of a link, named from the peer's root: where we put, where we fetch."""

    put: str
    fetch: str


def ways(me: str, name: str, peer: Peer) -> Ways:
    """As exchange.road names them."""
    if peer.relay:
        return Ways(
            peer.mailbox.format(site=name, sender=me),
            peer.mailbox.format(site=me, sender=name),
        )
    return Ways(f"inbox/{me}", f"outbox/{me}")
