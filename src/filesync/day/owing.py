"""What is owed, said whole: for each kind of debt the code, what is known of it, since when, and the exact next command. Pure.

What is known of numbers that are not here comes from the site's own word. It says how far it has sealed and, where it tells that, how far it
has sent; a close that came names what was sealed before it, and was sent after it.

What is not here: whether anything is owed (completeness.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filesync.day.roster import CLOSING
from filesync.day.values import Known, Reason, ReasonCode
from filesync.protocol.identity import Feed, Role
from filesync.protocol.receipt import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from filesync.day.values import Closing, DayBatch, FeedClaim, Held, Mark, Range, SiteDay, WaitingBatch

Key = tuple[str, str, str]  # dataset, audience, epoch


def not_closed(site: SiteDay, beyond: Sequence[tuple[Key, Range]]) -> Reason:
    """The close of the last shift is not here. `beyond`: closes that the site says are sealed; which day they are of, it does not say."""
    shift = _open_shift(site)
    turno = f" of shift {shift}" if site.turnos > 1 else ""
    day = site.day.isoformat()
    if beyond:
        (key, numbers) = beyond[0]
        known = _on_the_way(site, key, numbers[0])
        moving = "is on its way" if known is Known.IN_TRANSIT else "is sealed there and was not sent yet"
        action, at, command = _to_bring(site, known, key, (numbers,))
        return Reason(
            ReasonCode.NOT_CLOSED, site.site, f"{site.site}: a close{turno} {moving} (number {spans((numbers,))} of {_feed(site, key)})",
            action, at, command, str(_feed(site, key)), key[2], (numbers,), known, _since(site, key, numbers), site.last_contact,
            {"turno": shift},
        )  # fmt: skip
    command = closing_command(site)
    return Reason(
        ReasonCode.NOT_CLOSED, site.site,
        f"{site.site}: {day} is not closed{turno}; nothing that came from there says that a close was made",
        f"close the day at {site.site}: {command}", site.site, command, known=Known.NOT_PRODUCED, last_contact=site.last_contact,
        detail={"turno": shift},
    )  # fmt: skip


def closing_command(site: SiteDay, *, again: bool = False) -> str:
    """What is typed at the site to close its day: a posto sends it in the same breath. Closed `again`, the count stands, and it is the last shift's."""
    day, above = site.day.isoformat(), _above(site)
    if again:
        return f"filesync close --date {day}{above}"
    turno = f" --turno {_open_shift(site)}" if site.turnos > 1 else ""
    verb = "send-remote" if site.role is Role.POSTO else "close"
    return f"filesync {verb} --date {day}{turno} --contado VALOR{above}"


def _above(site: SiteDay) -> str:
    """Closes of two installations met, and neither knows the other's versions: the next one must be above all that are held."""
    closed_by = {batch.epoch for batch in site.batches if batch.feed.dataset == CLOSING}
    versions = [closing.version for closing in site.closings]
    return f" --above {max(versions)}" if len(closed_by) > 1 and versions else ""


def _open_shift(site: SiteDay) -> int:
    """The shift whose turn it is to be closed: shifts are closed in their order."""
    closed = {closing.turno for closing in site.closings}
    return next((turno for turno in range(1, site.turnos) if turno not in closed), site.turnos)


def missing(
    site: SiteDay, key: Key, ranges: Sequence[Range], closing: Closing | None, *, earlier: bool = False
) -> Iterator[Reason]:
    """Numbers that neither are decided nor lie here: a reason for those that are not sent, and one for those that are on their way."""
    by_known: dict[Known, list[Range]] = {}
    for numbers in ranges:
        # A close is sent after the batches that it names: they have left.
        parts = [(Known.IN_TRANSIT, numbers)] if closing is not None else _split(site, key, numbers)
        for known, part in parts:
            by_known.setdefault(known, []).append(part)
    for known, found in by_known.items():
        seqs = tuple(found)
        action, at, command = _to_bring(site, known, key, seqs)
        moving = "on the way" if known is Known.IN_TRANSIT else "sealed there, not sent yet"
        if earlier:
            moving = "sealed by an earlier installation and never seen here"
            at, command = (
                site.here,
                f"filesync void {_feed(site, key)} {seqs[0][0]} --epoch {key[2]} --reason …",
            )
            action = f"if it can never come, give it up number by number: {command}"
        by = " named by the close" if closing is not None else ""
        yield Reason(
            ReasonCode.MISSING, site.site, f"{site.site}: {_feed(site, key)}, number {spans(seqs)}{by}: {moving}", action, at, command,
            str(_feed(site, key)), key[2], seqs, known, _since(site, key, seqs[0]), site.last_contact,
            {
                "earlier": earlier,
                **({"fetch": f"filesync receive-remote --date {site.day.isoformat()}"} if known is Known.IN_TRANSIT and not earlier else {}),
                **({"turno": closing.turno} if closing is not None else {}),
            },
        )  # fmt: skip


def waiting(site: SiteDay, items: Sequence[WaitingBatch]) -> Iterator[Reason]:
    """Batches of the day that lie here and are not decided: a reason for each feed and cause."""
    groups: dict[tuple[Key, str], list[WaitingBatch]] = {}
    for item in items:
        groups.setdefault(((item.feed.dataset, item.feed.audience, item.epoch), item.why), []).append(item)
    for (key, why), group in groups.items():
        seqs = as_ranges(item.seq for item in group)
        feed = str(group[0].feed)
        at = site.here
        match why:
            case "hole":
                said, command = "what comes before is missing", f"filesync resend {feed}"
                action = f"it follows by itself once that has come; ask for it now: {command}"
            case "payload-missing" if _gone(site, key):
                said = "its content has not come, and the installation that sealed it is gone"
                command = f"filesync void {feed} {group[0].seq} --epoch {key[2]} --reason …"
                action = f"if the old outbox is lost as well, give it up: {command}"
            case "payload-missing":
                said, command = "its content has not come", f"filesync resend {feed} {group[0].seq}"
                action = f"ask for it again: {command}"
            case "set-aside":
                said, command = (
                    "it was set aside and is not believed",
                    f"filesync quarantine show {group[0].name}",
                )
                action = f"look why: {command}"
            case _:
                said, command = "it was not looked at yet", "filesync import"
                action = f"apply it: {command}"
        yield Reason(
            ReasonCode.UNDECIDED, site.site, f"{site.site}: {feed}, number {spans(seqs)}, lies here and waits: {said}", action, at, command,
            feed, key[2], seqs, Known.REJECTED if why == "set-aside" else Known.WAITING, _since(site, key, seqs[0]), site.last_contact,
            {"why": why},
        )  # fmt: skip


def _gone(site: SiteDay, key: Key) -> bool:
    """Whether another installation of the site is at work now: nobody there can send it again."""
    return any(mark.epoch == key[2] and not mark.latest for mark in site.marks)


def refused(site: SiteDay, batch: DayBatch) -> Reason:
    """A batch that was rejected, or of which some rows were."""
    day, feed = site.day.isoformat(), batch.feed
    whole = batch.verdict is Verdict.REJECTED
    if feed.dataset == CLOSING:
        command, at = closing_command(site), site.site
        action = f"correct it and close again at {site.site}: {command}"
    else:
        command, at = f"filesync export {feed.dataset} --date {day}", site.site
        action = f"correct it there, then at {site.site}: {command} and {closing_command(site, again=True)}"
    what = "was rejected" if whole else "was applied in part"
    why = f": {batch.problem}" if batch.problem else ""
    return Reason(
        ReasonCode.REFUSED, site.site, f"{site.site}: {feed}, number {batch.seq}, {what}{why}", action, at, command, str(feed), batch.epoch,
        ((batch.seq, batch.seq),), Known.REJECTED, batch.applied_at, site.last_contact,
        {
            "verdict": batch.verdict.value, "batch": batch.name, "problem": batch.problem or "",
            **({} if feed.dataset == CLOSING else {"again": f"filesync close --date {day}"}),
        },
    )  # fmt: skip


def late(site: SiteDay, batches: Sequence[DayBatch]) -> Iterator[Reason]:
    """Batches of the day that its close does not name."""
    groups: dict[Key, list[DayBatch]] = {}
    for batch in batches:
        groups.setdefault((batch.feed.dataset, batch.feed.audience, batch.epoch), []).append(batch)
    for key, group in groups.items():
        seqs = as_ranges(batch.seq for batch in group)
        # A new installation has no count that could stand: it has never closed this day.
        again = any(batch.epoch == key[2] for batch in site.batches if batch.feed.dataset == CLOSING)
        command = closing_command(site, again=again)
        stands = ", the count stands" if again else ", where it was never closed by this installation"
        documents = sum(batch.documents for batch in group)
        yield Reason(
            ReasonCode.LATE, site.site,
            f"{site.site}: {_feed(site, key)}, number {spans(seqs)} ({documents} documents), came for a day that was closed without it",
            f"close the day again at {site.site}{stands}: {command}", site.site, command, str(_feed(site, key)), key[2], seqs,
            Known.LATE, group[0].applied_at, site.last_contact, {"documents": documents},
        )  # fmt: skip


def disagrees(
    site: SiteDay,
    closing: Closing,
    claim: FeedClaim,
    wanted: Mapping[tuple[str, str], int],
    got: Mapping[tuple[str, str], int],
) -> Reason:
    """All is here, and it is not what the close says: the first difference."""
    what, of = next(name for name in sorted({*wanted, *got}) if wanted.get(name, 0) != got.get(name, 0))
    expected, found = wanted.get((what, of), 0), got.get((what, of), 0)
    label = f"{what} {of}".strip()
    key = (claim.dataset, claim.audience, claim.epoch)
    command = closing_command(site, again=True)
    return Reason(
        ReasonCode.DISAGREES, site.site,
        f"{site.site}: {_feed(site, key)}: {label}: the close says {expected}, here are {found}",
        f"look at the day at {site.site} and close it again: {command}", site.site, command, str(_feed(site, key)), claim.epoch,
        ((claim.first, claim.last),), Known.DIFFERS, None, site.last_contact,
        {"turno": closing.turno, "what": what, "of": of, "expected": expected, "got": found},
    )  # fmt: skip


def others_held(site: SiteDay, closing: Closing, held: Held) -> Reason:
    """Everything came, and the sales that are held are not those that the closes speak of: one was moved to another day, or has to be."""
    sold, total = sum(c.sales for c in site.closings), sum(c.total_centavos for c in site.closings)
    what, expected, got = (
        ("sales", sold, held.sales) if sold != held.sales else ("centavos", total, held.total_centavos)
    )
    command = closing_command(site, again=True)
    claim = closing.feeds[0] if closing.feeds else None
    return Reason(
        ReasonCode.DISAGREES, site.site, f"{site.site}: its closes say {expected} {what}, held of the day are {got}",
        f"it follows by itself where a batch is still on its way; else look at the day at {site.site} and close it again: {command}",
        site.site, command, None if claim is None else str(_feed(site, (claim.dataset, claim.audience, claim.epoch))),
        None if claim is None else claim.epoch, () if claim is None else ((claim.first, claim.last),), Known.DIFFERS, None,
        site.last_contact, {"turno": closing.turno, "what": what, "of": "", "expected": expected, "got": got, "held": True},
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ what is known


def _split(site: SiteDay, key: Key, numbers: Range) -> Iterator[tuple[Known, Range]]:
    """The numbers by what is known of them: up to what the site says it has sent, and beyond."""
    first, last = numbers
    mark = _mark(site, key)
    if mark is None or mark.shipped is None or mark.shipped >= last or mark.sealed < first:
        yield Known.IN_TRANSIT, numbers
        return
    border = max(first - 1, mark.shipped)
    if border >= first:
        yield Known.IN_TRANSIT, (first, border)
    yield Known.UNSENT, (border + 1, last)


def _on_the_way(site: SiteDay, key: Key, seq: int) -> Known:
    return next(_split(site, key, (seq, seq)))[0]


def _mark(site: SiteDay, key: Key) -> Mark | None:
    return next((m for m in site.marks if (m.dataset, m.audience, m.epoch) == key), None)


def _since(site: SiteDay, key: Key, numbers: Range) -> str | None:
    """When it was first noticed that something of it is missing; when the site said that it is sealed, where it was not."""
    noticed = [
        hole.noticed_at
        for hole in site.holes
        if (hole.feed.dataset, hole.feed.audience, hole.epoch) == key
        and hole.first <= numbers[1]
        and hole.last >= numbers[0]
    ]
    if noticed:
        return min(noticed)
    mark = _mark(site, key)
    return mark.heard_at if mark is not None and mark.sealed >= numbers[0] else None


def _to_bring(site: SiteDay, known: Known, key: Key, seqs: Sequence[Range]) -> tuple[str, str, str]:
    """How what is not here is brought: (in a sentence, where to type, what to type)."""
    if known is Known.UNSENT and not site.pulled:
        command = "filesync exchange"
        return f"send it from {site.site}: {command}", site.site, command
    command = f"filesync resend {_feed(site, key)}"
    if len(seqs) == 1 and seqs[0][1] - seqs[0][0] < 5:
        command += "".join(f" {seq}" for seq in range(seqs[0][0], seqs[0][1] + 1))
    fetch = f"filesync receive-remote --date {site.day.isoformat()}"
    return f"fetch it: {fetch}; if it stays away, ask for it again: {command}", site.here, command


def _feed(site: SiteDay, key: Key) -> Feed:
    return Feed(site.site, key[0], key[1])


def as_ranges(numbers: Iterable[int]) -> tuple[Range, ...]:
    """Numbers as ranges of neighbours."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number <= found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return tuple((first, last) for first, last in found)


def spans(seqs: Sequence[Range]) -> str:
    """`4`, `4-7`, `4-7, 9`."""
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in seqs[:8]]
    return ", ".join(texts) + (f" and {len(seqs) - 8} more" if len(seqs) > 8 else "")
