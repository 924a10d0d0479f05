"""Commands that look and change nothing: status, outbox, inbox. One line each, in words, with its age.

They run beside a working station. `status` ends with 0 whatever it shows: it did what it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filesync.cli import advice, screen, wording
from filesync.cli.ending import Ending
from filesync.cli.holes import say_holes
from filesync.cli.language import ngettext
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at

if TYPE_CHECKING:
    from filesync.exchange.context import Context
    from filesync.exchange.heartbeats import PeerState
    from filesync.exchange.quarantine import Case
    from filesync.exchange.status import FeedState, InboxItem, OutboxItem, Status
    from filesync.stores.values import SealedAfterClose

#: Lines of one part that `status` shows; the command of that name shows all.
LINES_MAX = 8
#: Clocks that differ by less are right.
SKEW_S_MIN = 120


def status(root: Root = HERE, as_json: Json = False) -> Ending:
    """Where this site stands: what waits and for what, what was set aside, every feed's numbers, and warnings."""
    with at(root, quiet=as_json) as station:
        found = station.status()
        cured = cured_cases(station.context, found.quarantine)
        late = station.context.store.days.sealed_after_close(found.site)
    if as_json:
        more = {"root": root.absolute(), "waiting": found.waiting, "sealed_after_close": late}
        screen.say_json({**screen.jsonable(found), **more})
        return Ending.DONE
    screen.say(
        f"{found.site} ({found.role.value}) in {root.absolute()}, installation (epoch) {found.epoch}", "bold"
    )
    moment = now()
    _part("To send", "outbox", [outbox_line(item, moment) for item in found.outbox])
    _part("Arrived", "inbox", [inbox_line(item, root, moment) for item in found.inbox])
    _part(
        "Quarantine",
        "quarantine",
        [case_line(case, found.site, moment, cured=case in cured) for case in found.quarantine],
        style="bold red",
    )
    _feeds(found.feeds)
    say_holes(found, moment)
    _peers(found, moment)
    _warnings(found)
    for closed in late:
        screen.say(_late(closed), "yellow")
    return Ending.DONE


def _late(closed: SealedAfterClose) -> str:
    """`! 02/03/2026 was closed, and 2 sales were sealed after it. Close it again: …`."""
    text = ngettext(
        "! {day} was closed, and {count} sale was sealed after that. Close it again: filesync close --date {iso}",
        "! {day} was closed, and {count} sales were sealed after that. Close it again: filesync close --date {iso}",
        closed.documents,
    )
    return text.format(
        day=wording.day(closed.day), count=wording.number(closed.documents), iso=closed.day.isoformat()
    )


def outbox(root: Root = HERE, as_json: Json = False) -> Ending:
    """What waits to leave, or for a receipt, and since when."""
    with at(root, quiet=as_json) as station:
        items = station.status().outbox
    if as_json:
        screen.say_json(items)
    else:
        moment = now()
        _list(
            [f"{outbox_line(item, moment)} [{item.name}]" for item in items],
            "Nothing waits: everything was sent and confirmed.",
        )
    return Ending.DONE


def inbox(root: Root = HERE, as_json: Json = False) -> Ending:
    """What arrived, and what the next import will do with it."""
    with at(root, quiet=as_json) as station:
        items = station.status().inbox
    if as_json:
        screen.say_json(items)
    else:
        moment = now()
        _list(
            [_bracketed(inbox_line(item, root, moment), item.name) for item in items],
            "The inboxes are empty.",
        )
    return Ending.DONE


# ------------------------------------------------------------------------------------------------ one line each


def outbox_line(item: OutboxItem, moment: datetime) -> str:
    """`vendas of 22/11/2026, 310 sales, waits for the next exchange with matriz, sealed 2 h ago`."""
    if item.kind == "receipt":
        return f"receipt for {wording.named(item.name)}, {item.waits_for}"
    if item.kind == "void":
        return f"{wording.named(item.name)} given up {wording.age(item.since, moment)}, {item.waits_for}"
    dataset = item.name.split(".")[0]
    parts = [
        wording.named(item.name),
        wording.documents(item.documents or 0, dataset),
        *_ways(item, moment),
        f"sealed {wording.age(item.since, moment)}",
    ]
    return ", ".join(parts)


def _ways(item: OutboxItem, moment: datetime) -> list[str]:
    """How it left, as far as it did, and what it waits for."""
    left = [f"put on a stick {wording.age(item.carried_at, moment)}"] if item.carried_at else []
    if item.shipped_at:
        left.append(f"sent {wording.age(item.shipped_at, moment)}")
    return [*left, f"waits for {item.peer}'s receipt" if left else item.waits_for]


def inbox_line(item: InboxItem, root: Path, moment: datetime) -> str:
    """`vendas of 22/11/2026 (no. 3 of caixa-01) waits: an earlier batch has not arrived yet, arrived 2 h ago`."""
    what = advice.of_code(item.code).means or item.message
    verb = {
        "waiting": "waits",
        "ready": "is ready",
        "known": "is known",
        "refused": "will be set aside",
        "stranger": f"in the inbox of {item.peer}",
    }.get(item.state, item.state)
    arrived = wording.age(_arrived(root.absolute() / "inbox" / item.peer, item.name), moment)
    text = (
        f"{wording.named(item.name)} {verb}: {what}"
        if item.code != "receipt"
        else f"receipt for {wording.named(item.name)}: {what}"
    )
    return f"{text}, arrived {arrived}" if arrived else text


def _arrived(folder: Path, name: str) -> str | None:
    """The file's own time: shown to people, and nothing is decided by it."""
    for candidate in (name, f"{name}.manifest.json"):
        try:
            seconds = (folder / candidate).stat().st_mtime
            return datetime.fromtimestamp(seconds, UTC).isoformat()
        except (OSError, ValueError):
            continue
    return None


def case_line(case: Case, site: str, moment: datetime, *, cured: bool = False) -> str:
    """`vendas of 22/11/2026 (no. 3 of caixa-01), from caixa-01: the file was damaged on the way, set aside 2 h ago`."""
    what = advice.of_code(case.code).means or case.message
    origin = "of this site's own export" if case.peer == site else f"from {case.peer}"
    times = f", {wording.number(case.times)} times" if case.times > 1 else ""
    since = "; a good copy was applied since" if cured else ""
    return f"{wording.named(case.name)}, {origin}: {what}, set aside {wording.age(case.at, moment)}{times}{since}"


def cured_cases(ctx: Context, cases: Sequence[Case]) -> list[Case]:
    """The cases of copies that were damaged on the way, and whose batch was applied here from another copy."""
    from filesync.exchange.quarantine import belongs_to
    from filesync.protocol.receipt import Verdict

    cured = []
    for case in cases:
        batch = ctx.store.receipt_of(belongs_to(case.name)) if case.retryable else None
        if batch is not None and batch.code is None and batch.verdict is not Verdict.REJECTED:
            cured.append(case)
    return cured


# ------------------------------------------------------------------------------------------------ the parts of status


def _part(title: str, command: str, lines: Sequence[str], style: str = "bold") -> None:
    screen.say()
    if not lines:
        screen.say(f"{title}: nothing")
        return
    screen.say(f"{title} ({wording.number(len(lines))}):", style)
    for line in lines[:LINES_MAX]:
        screen.say(f"  {line}")
    if len(lines) > LINES_MAX:
        screen.say(f"  … and {wording.number(len(lines) - LINES_MAX)} more: filesync {command}")


def _feeds(feeds: Sequence[FeedState]) -> None:
    screen.say()
    if not feeds:
        screen.say("Feeds: none yet; nothing was sent and nothing was received")
        return
    screen.heading("Feeds:")
    several = len({feed.epoch for feed in feeds}) > 1
    screen.table(
        ("  feed", "", *(["epoch"] if several else []), "sealed", "settled", "applied through", "missing", "rejected"),
        [
            (
                f"  {feed.feed}", "sent" if feed.direction == "out" else "received", *([feed.epoch] if several else []),
                wording.number(feed.sealed), wording.number(feed.settled), wording.number(feed.applied_through),
                wording.numbers(feed.missing) or "-", wording.number(feed.rejected) if feed.rejected else "-",
            )
            for feed in feeds
        ],
        right={"sealed", "settled", "applied through", "rejected"},
    )  # fmt: skip


def _peers(found: Status, moment: datetime) -> None:
    """Those who said something of themselves; the others are none the worse."""
    lines = [line for peer in found.peers for line in peer_lines(peer, moment)]
    if lines:
        screen.say()
        screen.heading("Peers:")
        for line in lines:
            screen.say(f"  {line}")


def peer_lines(peer: PeerState, moment: datetime) -> list[str]:
    """`caixa-01: last contact 5 min ago, filesync 0.1.0, 12 GB free`, and what is odd about it."""
    if peer.last_contact is None:
        return []
    facts = [f"last contact {wording.age(peer.last_contact, moment)}", peer.software or ""]
    if peer.free_bytes is not None:
        facts.append(f"{wording.size(peer.free_bytes)} free")
    lines = [f"{peer.peer}: {', '.join(fact for fact in facts if fact)}"]
    if peer.skew_s is not None and abs(peer.skew_s) >= SKEW_S_MIN:
        least = wording.lasting(abs(peer.skew_s))
        lines.append(
            f"  its clock is {least} ahead of ours"
            if peer.skew_s > 0
            else f"  its clock was {least} behind ours when this came; what it took to come is part of that"
        )
    lines += [
        f"  {wording.plural(late.count, 'batch was', 'batches were')} sealed there that {'has' if late.count == 1 else 'have'} not arrived: "
        f"{late.feed}, no. {wording.span(late.first, late.last)}"
        for late in peer.not_arrived
    ]
    return lines


def _warnings(found: Status) -> None:
    if found.warnings:
        screen.say()
        for warning in found.warnings:
            screen.say(f"! {warning}", "yellow")


def _bracketed(line: str, name: str) -> str:
    return line if name in line else f"{line} [{name}]"


def _list(lines: Sequence[str], empty: str) -> None:
    for line in lines or [empty]:
        screen.say(line)


def now() -> datetime:
    """This computer's clock, for ages only."""
    return datetime.now(UTC)
