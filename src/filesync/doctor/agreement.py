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


def own(contracts: Registry) -> Finding:
    """Whether the versions that this site knows, its own and the packaged ones, can be in use at once. Raises BreakingError where not."""
    forms = [form for dataset in contracts.datasets() if (form := contracts.form(dataset)) is not None]
    names = ", ".join(f"{form.dataset} v{form.version}" for form in forms)
    return ok("contracts", _("known here, with what is in schemas/: {names}").format(names=names))


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
    for dataset, known in sorted(theirs.items()):
        ours, version = contracts.latest(dataset), max(known)
        if ours is None and dataset not in _travelling(newest, peer):
            continue  # known there, never sent here
        if ours is None or version > ours.version:
            newer += 1
            yield _ahead(contracts, peer, dataset, known)
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
                "Both go on: what is sent to {peer} is sent in the older version. Only documents that say something new wait, until filesync is updated there."
            ).format(peer=peer),
            peer,
        )
    elif not newer:
        same = ", ".join(f"{name} v{max(numbers)}" for name, numbers in sorted(theirs.items()))
        yield ok(check, _("the same as {peer}'s: {sorted}").format(peer=peer, sorted=same), peer)
    if software and _release(software) != _release(f"filesync {__version__}"):
        yield ok(
            "software",
            _(
                "{peer} runs {software}, this site filesync {version__}; both understand each other's files"
            ).format(peer=peer, software=software, version__=__version__),
            peer,
        )


def _ahead(contracts: Registry, peer: str, dataset: str, known: set[int]) -> Finding:
    """The peer knows a newer version. That is a failure only where nothing it knows is known here."""
    version, here = max(known), contracts.known(dataset)
    if here:
        seen = _("{peer} uses {dataset} v{version}, here v{ours} is the newest")
    else:
        seen = _("{peer} uses {dataset} v{version}, here it is not known")
    seen = seen.format(peer=peer, dataset=dataset, version=version, ours=here[-1] if here else 0)
    if known & set(here):
        return warning(
            "contracts",
            seen,
            _(
                "Both go on: {peer} sends in the older version. Update filesync here; until then documents that say something new wait there."
            ).format(peer=peer),
            peer,
        )
    return Finding("contracts", Outcome.FAILED, seen, about=peer, code="contract-unknown")


def _travelling(newest: Newest, peer: str) -> set[str]:
    """Datasets that were exchanged with the peer."""
    came = {one.dataset for one in newest.arrivals if one.origin == peer}
    return came | {one.dataset for one in newest.answers if one.recipient == peer}


def _used_by(newest: Newest, peer: str) -> tuple[dict[str, set[int]], str]:
    """Dataset → versions, and the software."""
    theirs: dict[str, set[int]] = {}
    for beat in newest.heard:
        if beat.peer == peer:  # all that it can judge
            for contract in beat.contracts:
                _add(theirs, contract)
            return theirs, beat.software
    for arrival in newest.arrivals:
        if arrival.origin == peer and arrival.dataset not in theirs:
            theirs[arrival.dataset] = {arrival.version}
    software = ""
    for answer in newest.answers:
        if answer.recipient == peer:
            software = software or answer.software
            if answer.contract is not None:
                _add(theirs, answer.contract)
    return theirs, software


def _add(theirs: dict[str, set[int]], contract: str) -> None:
    dataset, _v, version = contract.rpartition(".v")
    theirs.setdefault(dataset, set()).add(int(version))


def _release(software: str) -> str:
    return ".".join(software.split(".")[:2])
