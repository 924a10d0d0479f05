"""Several versions of a contract at once: in which form documents are stored, and under which version they are sealed (docs/adr/0016).

- Stored: tables have the columns of the newest version that is known here, and every document is brought into its form first; what its own
  version does not know is null. A document is the whole truth about its key: one of an older version that wins over one of a newer version
  leaves nothing of it.
- Sealed: under the newest version, unless a recipient has told (its newest heartbeat) that it knows older ones only; then under the newest
  that all recipients know. Whoever never sent a heartbeat, or knows nothing of the dataset, decides nothing: there a batch waits.
- A document that the older version cannot say whole is not sealed: nothing is left out, and nothing waits in front of what could go on. It
  is found again by the next capture, for it was never sealed; and goes by itself when the recipients know more.

What is not here: which versions may stand beside each other (contracts/compatibility.py), waiting at a recipient (protocol/admission.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filesync.errors import ConfigError
from filesync.exchange.reports import Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from filesync.contracts import Contract, Registry
    from filesync.exchange.context import Context
    from filesync.stores.store import Store

#: Said of documents that wait for their recipients.
RECIPIENT_OLDER = "recipient-older"
_NAMED_MAX = 3
#: Beside the files that were captured; no file has such a name.
_NOTE = "//held back/{dataset}"


def grow(store: Store, contracts: Registry) -> None:
    """Bring the tables that are there into the form of the newest versions. Raises BreakingError where versions cannot stand beside each other.

    When a site is opened, before anything reads: a column that a contract names is in its table, whether a row has a value for it or not.
    """
    grown = [dataset for dataset in contracts.datasets() if contracts.known(dataset)[-1] > 1]
    store.grow([form for dataset in grown if (form := contracts.form(dataset)) is not None])


def form_of(ctx: Context, contract: Contract) -> Contract:
    """The version in whose form documents of `contract` are stored."""
    return ctx.contracts.form(contract.dataset) or contract


def in_form(form: Contract, contract: Contract, table: pa.Table) -> pa.Table:
    """`table`, of `contract`, as it is stored."""
    return table if form is contract else form.conform(table)


def common(ctx: Context, contract: Contract, recipients: Iterable[str]) -> Contract | None:
    """The newest version before `contract` that all recipients know; None where nothing speaks against `contract` itself."""
    older = [version for version in ctx.contracts.known(contract.dataset) if version < contract.version]
    if not older:
        return None
    told = _told(ctx, contract.dataset, recipients).values()
    if all(contract.version in versions for versions in told):
        return None
    shared = [version for version in older if all(version in versions for versions in told)]
    return ctx.contracts.get(contract.dataset, shared[-1]) if shared else None


def waiting(ctx: Context, contract: Contract, recipients: Sequence[str], count: int) -> Held:
    """`count` documents need `contract`, and some of the recipients do not know it."""
    told = _told(ctx, contract.dataset, recipients)
    behind = [peer for peer, versions in told.items() if contract.version not in versions]
    some = ", ".join(behind[:_NAMED_MAX])
    more = f" and {len(behind) - _NAMED_MAX} more" if len(behind) > _NAMED_MAX else ""
    newest = max(max(told[peer]) for peer in behind)
    return Held(
        ctx.me,
        contract.dataset,
        RECIPIENT_OLDER,
        f"{count} documents need {contract.name}: expected it known to all recipients, got v{newest} or older at {some}{more}",
    )


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Documents that were not sealed because `behind` know no more than these versions of their contract; `since` they wait, at least."""

    dataset: str
    documents: int
    contract: str
    since: str
    behind: tuple[tuple[str, int], ...]


def note_held(ctx: Context, dataset: str, count: int, *, everything: bool) -> None:
    """Keep in mind, for people, how many documents of a dataset wait. None wait where `everything` was looked at and none was met."""
    key = _NOTE.format(dataset=dataset)
    before = ctx.store.captured(key)
    waited = before is not None and before.outcome != "0"
    if not count and not (waited and (everything or not _behind(ctx, dataset))):
        return
    if before is None or before.outcome != str(count):
        since = before.captured_at if before is not None and waited else ctx.now()
        ctx.store.record_captured(key, "", "", str(count), since)


def held_back(ctx: Context) -> list[HeldBack]:
    """What waits for recipients to be updated, as far as the last captures told. What they know by now is sealed by the next one."""
    found = []
    for dataset in ctx.contracts.datasets():
        note = ctx.store.captured(_NOTE.format(dataset=dataset))
        if note is None or note.outcome == "0":
            continue
        if (contract := ctx.contracts.latest(dataset)) and (behind := _behind(ctx, dataset)):
            found.append(HeldBack(dataset, int(note.outcome), contract.name, note.captured_at, behind))
    return found


def _behind(ctx: Context, dataset: str) -> tuple[tuple[str, int], ...]:
    """Recipients that do not know the newest version of a dataset, with the newest that they know."""
    contract = ctx.contracts.latest(dataset)
    try:
        recipients = ctx.settings.members(ctx.settings.audience_of(dataset))
    except ConfigError:
        return ()  # nobody is configured: it is said who, each time
    told = _told(ctx, dataset, recipients)
    return tuple(
        (peer, max(known))
        for peer, known in sorted(told.items())
        if contract is not None and contract.version not in known
    )


def _told(ctx: Context, dataset: str, recipients: Iterable[str]) -> dict[str, frozenset[int]]:
    """The versions of a dataset that each recipient knows, by its newest heartbeat; of those that know any."""
    heard = ctx.store.heard()
    told: dict[str, frozenset[int]] = {}
    for peer in recipients:
        if peer in heard:
            names = (name.rpartition(".v") for name in heard[peer].signed["contracts"])
            if known := frozenset(int(version) for name, _, version in names if name == dataset):
                told[peer] = known
    return told
