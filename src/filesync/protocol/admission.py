"""May this manifest be applied now, or this void be taken? One pure decision, returned as a value; it never raises.

Its inputs are a manifest whose signature, digests and size were checked (exchange/incoming.py), and what the ledger
knows. The rules, in this order:

- A site sends its own feeds only: the sender must be the origin. (Relaying for another is not in this version.)
- The batch must name this site among its recipients.
- A number that was decided stays decided: the same manifest again is a Replay of its receipt, another manifest under
  that number is refused. This comes before everything that can change with time, so that an answer never does.
- A number that was given up (a void) stays given up: whatever manifest comes under it is refused as `voided`, and answered,
  so that its origin owes the rows again.
- The sender must be allowed to send the dataset: a setting, which may change.
- A contract version that is not known here yet is waited for: an upgrade, not the origin, cures that.
- A feed opens with number 1 and no `previous`, or with a snapshot at any number (a new recipient has no history).
  Anything else before an opening waits for the numbers that are missing.
- An open feed goes on with the next number, whose `previous` is the digest of the manifest that was decided last.
  With another `previous` it is refused, and uses up no number: the true one can still come. Where that digest is not known (this
  site gave up a number whose manifest it never saw), any `previous` goes on.
- A snapshot without `previous` begins the feed anew, at any number above the head: numbers before it were not for everybody (a site left
  the audience and came back, or was installed anew), and it holds all that they held.
- Any other later number waits for those before it. An earlier one that was never decided is from before this
  site's opening, and is refused.

A void takes the place of its manifest: the same rules decide where it stands in the feed, except that its rows' contract does not matter, and
that it may be said of a number whose rows are owed (rejected, or applied in part).

Numbers and digests decide, never a clock. Who of two claims to an undecided number is right, a chain cannot tell when
both fit it: that is the signature's work, and the ledger's that only the first is decided.

What is not here: reading the ledger, checking a signature or a row, and answering (exchange/incoming.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from filesync.protocol.identity import Mode
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import MISSING_MAX, Problem
from filesync.protocol.void import Void

#: What claims a number: a batch, or its origin's word that there will be none.
Claim: TypeAlias = Manifest | Void


@dataclass(frozen=True, slots=True)
class Standing:
    """The head of a (feed, epoch) here: the last number that was decided, and on which manifest.

    The digest is None where the number was given up without its manifest ever having been seen: any `previous` goes on from there.
    """

    seq: int
    manifest_sha256: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """The manifest that a number was decided on. `voided`: it was given up (then the manifest may never have been seen, None).

    `owed`: rows of it are owed, for it was rejected or applied in part.
    """

    manifest_sha256: str | None
    voided: bool = False
    owed: bool = False


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
        return _not_allowed(manifest, sender)
    if not contract_known:
        contract = f"{manifest.id.feed.dataset}.v{manifest.version}"
        return Wait(
            WaitReason.CONTRACT_UNKNOWN,
            f"{manifest.id}: expected a contract that is known here, got {contract}",
        )
    if standing is None:
        return _opening(manifest, anywhere=manifest.mode is Mode.SNAPSHOT)
    return _next(manifest, standing)


def admit_void(
    void: Void, *, me: str, sender: str, standing: Standing | None, known: Known | None, may_send: bool
) -> Decision:
    """Decide on `void`, as `admit` does: Apply means that its number is given up now, Replay that this was said before, or comes too late."""
    refusal = _misdirected(void, me=me, sender=sender)
    if refusal is not None:
        return refusal
    if known is not None:
        if known.manifest_sha256 not in (None, void.manifest_sha256):
            return _other_content(void, void.manifest_sha256, known)
        return Apply() if known.owed and not known.voided else Replay()
    if not may_send:
        return _not_allowed(void, sender)
    return _opening(void, anywhere=False) if standing is None else _next(void, standing)


def _not_allowed(claim: Claim, sender: str) -> Refuse:
    feed = claim.id.feed
    expected = f"expected a dataset that {sender} may send for {feed.audience}, got {feed.dataset}"
    return _refuse("not-allowed", claim, expected)


def _misdirected(manifest: Claim, *, me: str, sender: str) -> Refuse | None:
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
    if known.voided:
        return _refuse(
            "voided",
            manifest,
            f"expected a number that is still open, got {manifest.id.seq}, which was given up; its rows must come under a new one",
        )
    if known.manifest_sha256 == manifest_sha256:
        return Replay()
    return _other_content(manifest, manifest_sha256, known)


def _other_content(claim: Claim, manifest_sha256: str, known: Known) -> Refuse:
    decided = f"expected manifest {known.manifest_sha256}, which was decided, got {manifest_sha256}"
    return _refuse("same-number-other-content", claim, decided)


def _opening(manifest: Claim, *, anywhere: bool) -> Decision:
    seq = manifest.id.seq
    if anywhere or (seq == 1 and manifest.previous is None):
        return Apply()
    if seq == 1:
        return _refuse("broken-chain", manifest, f"expected no previous manifest, got {manifest.previous}")
    return _hole(manifest, 0)


def _next(manifest: Claim, standing: Standing) -> Decision:
    seq = manifest.id.seq
    if seq <= standing.seq:
        return _refuse(
            "before-opening",
            manifest,
            f"expected a number that was decided or one after {standing.seq}, got {seq}, from before this site took part",
        )
    if _begins_anew(manifest):
        return Apply()
    if seq > standing.seq + 1:
        return _hole(manifest, standing.seq)
    if isinstance(manifest, Void) and manifest.previous is None:
        return Apply()  # of a snapshot that would have begun the feed anew
    if standing.manifest_sha256 is not None and manifest.previous != standing.manifest_sha256:
        return _refuse(
            "broken-chain",
            manifest,
            f"expected previous manifest {standing.manifest_sha256} (number {standing.seq}), got {manifest.previous or 'none'}",
        )
    return Apply()


def _begins_anew(claim: Claim) -> bool:
    return isinstance(claim, Manifest) and claim.mode is Mode.SNAPSHOT and claim.previous is None


def _hole(manifest: Claim, decided: int) -> Wait:
    first, last = decided + 1, manifest.id.seq - 1
    detail = f"{manifest.id}: expected {first} to come first, got {manifest.id.seq}, {last - decided} missing"
    return Wait(WaitReason.HOLE, detail, tuple(range(first, min(last, decided + MISSING_MAX) + 1)))


def _refuse(code: str, manifest: Claim, what: str) -> Refuse:
    return Refuse(Problem(code, f"{manifest.id}: {what}"))


def _listed(sites: tuple[str, ...]) -> str:
    return ", ".join(sites[:10]) + (f" and {len(sites) - 10} more" if len(sites) > 10 else "")
