"""May this manifest be applied now? One pure decision, returned as a value; it never raises.

Its inputs are a manifest whose signature, digests and size were checked (exchange/incoming.py), and what the ledger
knows. The rules, in this order:

- A site sends its own feeds only: the sender must be the origin. (Relaying for another is not in this version.)
- The batch must name this site among its recipients.
- A number that was decided stays decided: the same manifest again is a Replay of its receipt, another manifest under
  that number is refused. This comes before everything that can change with time, so that an answer never does.
- The sender must be allowed to send the dataset: a setting, which may change.
- A contract version that is not known here yet is waited for: an upgrade, not the origin, cures that.
- A feed opens with number 1 and no `previous`, or with a snapshot at any number (a new recipient has no history).
  Anything else before an opening waits for the numbers that are missing.
- An open feed goes on with the next number, whose `previous` is the digest of the manifest that was decided last.
  With another `previous` it is refused, and uses up no number: the true one can still come.
- A later number waits for those before it, a snapshot too. An earlier one that was never decided is from before this
  site's opening, and is refused.

Numbers and digests decide, never a clock. Who of two claims to an undecided number is right, a chain cannot tell when
both fit it: that is the signature's work, and the ledger's that only the first is decided.

What is not here: reading the ledger, checking a signature or a row, and answering (exchange/incoming.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from filesync.protocol.identity import Mode
from filesync.protocol.receipt import MISSING_MAX, Problem

if TYPE_CHECKING:
    from filesync.protocol.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Standing:
    """The head of a (feed, epoch) here: the last number that was decided, and on which manifest."""

    seq: int
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Known:
    """The manifest that a number was decided on."""

    manifest_sha256: str


class WaitReason(Enum):
    """What a waiting batch waits for."""

    HOLE = "hole"  # batches before it
    CONTRACT_UNKNOWN = "contract-unknown"  # a newer filesync here


@dataclass(frozen=True, slots=True)
class Apply:
    """It is the next one: apply it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """It was decided before: send its receipt again."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet. `missing` are the numbers before it that are not here, at most the first 1,000."""

    reason: WaitReason
    detail: str
    missing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Never, as it is."""

    problem: Problem


Decision: TypeAlias = Apply | Replay | Wait | Refuse


def admit(
    manifest: Manifest,
    manifest_sha256: str,
    *,
    me: str,
    sender: str,
    standing: Standing | None,
    known: Known | None,
    contract_known: bool,
    may_send: bool,
) -> Decision:
    """Decide on `manifest`. `standing` and `known` are those of its feed and epoch, and of its number in them."""
    refusal = _misdirected(manifest, me=me, sender=sender)
    if refusal is not None:
        return refusal
    if known is not None:
        return _decided_before(manifest, manifest_sha256, known)
    if not may_send:
        feed = manifest.id.feed
        return _refuse(
            "not-allowed",
            manifest,
            f"expected a dataset that {sender} may send for {feed.audience}, got {feed.dataset}",
        )
    if not contract_known:
        contract = f"{manifest.id.feed.dataset}.v{manifest.version}"
        return Wait(
            WaitReason.CONTRACT_UNKNOWN,
            f"{manifest.id}: expected a contract that is known here, got {contract}",
        )
    if standing is None:
        return _opening(manifest)
    return _next(manifest, standing)


def _misdirected(manifest: Manifest, *, me: str, sender: str) -> Refuse | None:
    feed = manifest.id.feed
    if sender != feed.origin:
        return _refuse(
            "foreign", manifest, f"expected it from its origin {feed.origin}, got it from {sender}"
        )
    if me not in manifest.recipients:
        return _refuse(
            "not-for-us", manifest, f"expected {me} among its recipients, got {_listed(manifest.recipients)}"
        )
    return None


def _decided_before(manifest: Manifest, manifest_sha256: str, known: Known) -> Decision:
    if known.manifest_sha256 == manifest_sha256:
        return Replay()
    return _refuse(
        "same-number-other-content",
        manifest,
        f"expected manifest {known.manifest_sha256}, which was decided, got {manifest_sha256}",
    )


def _opening(manifest: Manifest) -> Decision:
    seq = manifest.id.seq
    if manifest.mode is Mode.SNAPSHOT or (seq == 1 and manifest.previous is None):
        return Apply()
    if seq == 1:
        return _refuse("broken-chain", manifest, f"expected no previous manifest, got {manifest.previous}")
    return _hole(manifest, 0)


def _next(manifest: Manifest, standing: Standing) -> Decision:
    seq = manifest.id.seq
    if seq <= standing.seq:
        return _refuse(
            "before-opening",
            manifest,
            f"expected a number that was decided or one after {standing.seq}, got {seq}, from before this site took part",
        )
    if seq > standing.seq + 1:
        return _hole(manifest, standing.seq)
    if manifest.previous != standing.manifest_sha256:
        return _refuse(
            "broken-chain",
            manifest,
            f"expected previous manifest {standing.manifest_sha256} (number {standing.seq}), got {manifest.previous or 'none'}",
        )
    return Apply()


def _hole(manifest: Manifest, decided: int) -> Wait:
    first, last = decided + 1, manifest.id.seq - 1
    detail = f"{manifest.id}: expected {first} to come first, got {manifest.id.seq}, {last - decided} missing"
    return Wait(WaitReason.HOLE, detail, tuple(range(first, min(last, decided + MISSING_MAX) + 1)))


def _refuse(code: str, manifest: Manifest, what: str) -> Refuse:
    return Refuse(Problem(code, f"{manifest.id}: {what}"))


def _listed(sites: tuple[str, ...]) -> str:
    return ", ".join(sites[:10]) + (f" and {len(sites) - 10} more" if len(sites) > 10 else "")
