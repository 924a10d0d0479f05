"""Whether this site and its peers mean the same: versions of contracts and of filesync, from heartbeats and from what was exchanged last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync import __version__
from filesync.doctor.findings import Finding, Outcome, ok, skipped, warning
from filesync.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.contracts import Registry
    from filesync.stores.checking import Newest


def versions(contracts: Registry, newest: Newest | None, peer: str) -> Iterator[Finding]:
    """What the peer's newest batches and receipts say of its contracts."""
    check = "contracts"
    if newest is None:
        yield skipped(check, _("the database cannot be read"), peer)
        return
    theirs, software = _used_by(newest, peer)
    if not theirs:
        yield skipped(check, _("nothing was exchanged with it yet"), peer)
        return
    other, newer = [], 0
    for dataset, version in sorted(theirs.items()):
        ours = contracts.latest(dataset)
        if ours is None and dataset not in _travelling(newest, peer):
            continue  # known there, never sent here
        if ours is None or version > ours.version:
            newer += 1
            yield Finding(
                check,
                Outcome.FAILED,
                (
                    _("{peer} uses {dataset} v{version}, here v{ours} is the newest")
                    if ours
                    else _("{peer} uses {dataset} v{version}, here it is not known")
                ).format(peer=peer, dataset=dataset, version=version, ours=ours.version if ours else 0),
                about=peer,
                code="contract-unknown",
            )
        elif version < ours.version:
            other.append(
                _("{dataset} v{version} (here v{version_2})").format(
                    dataset=dataset, version=version, version_2=ours.version
                )
            )
    if other:
        yield warning(
            check,
            _("{peer} still uses {other}").format(peer=peer, other=", ".join(other)),
            _(
                "This works for what {peer} sends. Update filesync there before it is sent newer contracts; until then they wait there."
            ).format(peer=peer),
            peer,
        )
    elif not newer:
        yield ok(
            check,
            _("the same as {peer}'s: {sorted}").format(
                peer=peer, sorted=", ".join(f"{name} v{number}" for name, number in sorted(theirs.items()))
            ),
            peer,
        )
    if software and _release(software) != _release(f"filesync {__version__}"):
        yield ok(
            "software",
            _(
                "{peer} runs {software}, this site filesync {version__}; both understand each other's files"
            ).format(peer=peer, software=software, version__=__version__),
            peer,
        )


def _travelling(newest: Newest, peer: str) -> set[str]:
    """Datasets that were exchanged with the peer."""
    came = {one.dataset for one in newest.arrivals if one.origin == peer}
    return came | {one.dataset for one in newest.answers if one.recipient == peer}


def _used_by(newest: Newest, peer: str) -> tuple[dict[str, int], str]:
    """Dataset → version, and the software."""
    for beat in newest.heard:
        if beat.peer == peer:  # what it can judge; it may know of older versions besides
            known: dict[str, int] = {}
            for contract in beat.contracts:
                dataset, _, version = contract.rpartition(".v")
                known[dataset] = max(known.get(dataset, 0), int(version))
            return known, beat.software
    theirs: dict[str, int] = {}
    for arrival in newest.arrivals:
        if arrival.origin == peer:
            theirs.setdefault(arrival.dataset, arrival.version)
    software = ""
    for answer in newest.answers:
        if answer.recipient == peer:
            software = software or answer.software
            if answer.contract is not None:
                dataset, _, version = answer.contract.rpartition(".v")
                theirs[dataset] = max(theirs.get(dataset, 0), int(version))
    return theirs, software


def _release(software: str) -> str:
    return ".".join(software.split(".")[:2])
