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
from filesync.cli.language import _, mark, ngettext
from filesync.cli.options import HERE, Json, Root
from filesync.cli.sites import at
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.exchange.context import Context
    from filesync.exchange.heartbeats import PeerState
    from filesync.exchange.quarantine import Case
    from filesync.exchange.status import FeedState, InboxItem, OutboxItem, Status
    from filesync.exchange.versions import HeldBack
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
        _("{site} ({role}) in {root}, installation (epoch) {epoch}").format(
            site=found.site, role=found.role.value, root=root.absolute(), epoch=found.epoch
        ),
        "bold",
    )
    moment = now()
    _part(_("To send"), "outbox", [outbox_line(item, moment) for item in found.outbox])
    if found.held_back:
        screen.say()
        screen.say(_("Not sealed yet, because a recipient is older:"), "bold yellow")
        for line in [_held_back(one, moment) for one in found.held_back]:
            screen.say(f"  {line}")
    _part(_("Arrived"), "inbox", [inbox_line(item, root, moment) for item in found.inbox])
    _part(
        _("Quarantine"),
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


def _held_back(one: HeldBack, moment: datetime) -> str:
    """`vendas: 3 sales need vendas.v2, since 2 h; matriz knows v1. They go by themselves when filesync is updated there.`."""
    named = [
        _("{peer} knows v{version}").format(peer=peer, version=version)
        for peer, version in one.behind[:LINES_MAX]
    ]
    if len(one.behind) > LINES_MAX:
        rest = len(one.behind) - LINES_MAX
        named.append(
            ngettext("{count} more site", "{count} more sites", rest).format(count=wording.number(rest))
        )
    text = ngettext(
        "{documents} needs {contract}, noticed {age}; {peers}. It goes by itself when filesync (or schemas/) is updated there; nothing is lost.",
        "{documents} need {contract}, noticed {age}; {peers}. They go by themselves when filesync (or schemas/) is updated there; nothing is lost.",
        one.documents,
    )
    return text.format(
        documents=wording.documents(one.documents, one.dataset), contract=one.contract,
        age=wording.age(one.since, moment), peers=", ".join(named),
    )  # fmt: skip


def _way(feed: FeedState) -> str:
    """A feed of a site for itself, such as the matriz' billing files, is sent to nobody."""
    _dataset, origin, audience = feed.feed.split(".")
    if origin == audience:
        return _("kept here")
    return _("sent") if feed.direction == "out" else _("received")


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
            _("Nothing waits: everything was sent and confirmed."),
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
            _("The inboxes are empty."),
        )
    return Ending.DONE


# ------------------------------------------------------------------------------------------------ one line each


def outbox_line(item: OutboxItem, moment: datetime) -> str:
    """`vendas of 22/11/2026, 310 sales, waits for the next exchange with matriz, sealed 2 h ago`."""
    waits = said(item.waits_for)
    if item.kind == "receipt":
        return _("receipt for {batch}, {waits}").format(batch=wording.named(item.name), waits=waits)
    if item.kind == "void":
        return _("{batch} given up {age}, {waits}").format(
            batch=wording.named(item.name), age=wording.age(item.since, moment), waits=waits
        )
    dataset = item.name.split(".")[0]
    parts = [
        wording.named(item.name),
        wording.documents(item.documents or 0, dataset),
        *_ways(item, moment),
        _("sealed {age}").format(age=wording.age(item.since, moment)),
    ]
    return ", ".join(parts)


def _ways(item: OutboxItem, moment: datetime) -> list[str]:
    """How it left, as far as it did, and what it waits for."""
    left = []
    if item.carried_at:
        left.append(_("put on a stick {age}").format(age=wording.age(item.carried_at, moment)))
    if item.shipped_at:
        left.append(_("sent {age}").format(age=wording.age(item.shipped_at, moment)))
    if not left:
        return [said(item.waits_for)]
    return [*left, _("waits for {peer}'s receipt").format(peer=item.peer)]


def inbox_line(item: InboxItem, root: Path, moment: datetime) -> str:
    """`vendas of 22/11/2026 (no. 3 of caixa-01) waits: an earlier batch has not arrived yet, arrived 2 h ago`."""
    what = _NEXT.get(item.code) or advice.of_code(item.code).means or said(item.message)
    arrived = wording.age(_arrived(root.absolute() / "inbox" / item.peer, item.name), moment)
    if item.code == "receipt":
        text = _("receipt for {name}: {what}")
    else:
        text = {
            "waiting": _("{name} waits: {what}"),
            "ready": _("{name} is ready: {what}"),
            "known": _("{name} is known: {what}"),
            "refused": _("{name} will be set aside: {what}"),
            "stranger": _("{name} in the inbox of {peer}: {what}"),
        }.get(item.state, "{name}: {what}")
    text = text.format(name=wording.named(item.name), what=_(what), peer=item.peer)
    return _("{text}, arrived {age}").format(text=text, age=arrived) if arrived else text


#: What the next import does with a file, by the code of its state.
_NEXT = {
    "ready": mark("the next import applies it"),
    "known": mark("applied before; the next import answers with the same receipt"),
    "receipt": mark("the next import settles it"),
    "void": mark("its origin gives this number up; the next import takes note"),
}


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
    facts = {
        "name": wording.named(case.name),
        "peer": case.peer,
        "what": advice.of_code(case.code).means or said(case.message),
        "age": wording.age(case.at, moment),
    }
    if case.peer == site:
        text = _("{name}, of this site's own export: {what}, set aside {age}").format(**facts)
    else:
        text = _("{name}, from {peer}: {what}, set aside {age}").format(**facts)
    if case.times > 1:
        text += _(", {count} times").format(count=wording.number(case.times))
    return text + (_("; a good copy was applied since") if cured else "")


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
        screen.say(_("{title}: nothing").format(title=title))
        return
    screen.say(f"{title} ({wording.number(len(lines))}):", style)
    for line in lines[:LINES_MAX]:
        screen.say(f"  {line}")
    if len(lines) > LINES_MAX:
        rest = wording.number(len(lines) - LINES_MAX)
        screen.say(_("  … and {count} more: filesync {command}").format(count=rest, command=command))


def _feeds(feeds: Sequence[FeedState]) -> None:
    screen.say()
    if not feeds:
        screen.say(_("Feeds: none yet; nothing was sent and nothing was received"))
        return
    screen.heading(_("Feeds:"))
    several = len({feed.epoch for feed in feeds}) > 1
    sealed, settled, through, rejected = (_("sealed"), _("settled"), _("applied through"), _("rejected"))
    screen.table(
        ("  " + _("feed"), "", *([_("epoch")] if several else []), sealed, settled, through, _("missing"), rejected),
        [
            (
                f"  {feed.feed}", _way(feed), *([feed.epoch] if several else []),
                wording.number(feed.sealed), wording.number(feed.settled), wording.number(feed.applied_through),
                wording.numbers(feed.missing) or "-", wording.number(feed.rejected) if feed.rejected else "-",
            )
            for feed in feeds
        ],
        right={sealed, settled, through, rejected},
    )  # fmt: skip


def _peers(found: Status, moment: datetime) -> None:
    """Those who said something of themselves; the others are none the worse."""
    lines = [line for peer in found.peers for line in peer_lines(peer, moment)]
    if lines:
        screen.say()
        screen.heading(_("Peers:"))
        for line in lines:
            screen.say(f"  {line}")


def peer_lines(peer: PeerState, moment: datetime) -> list[str]:
    """`caixa-01: last contact 5 min ago, filesync 0.1.0, 12 GB free`, and what is odd about it."""
    if peer.last_contact is None:
        return []
    facts = [_("last contact {age}").format(age=wording.age(peer.last_contact, moment)), peer.software or ""]
    if peer.free_bytes is not None:
        facts.append(_("{size} free").format(size=wording.size(peer.free_bytes)))
    lines = [f"{peer.peer}: {', '.join(fact for fact in facts if fact)}"]
    if peer.skew_s is not None and abs(peer.skew_s) >= SKEW_S_MIN:
        least = wording.lasting(abs(peer.skew_s))
        ahead = _("  its clock is {least} ahead of ours")
        behind = _("  its clock was {least} behind ours when this came; what it took to come is part of that")
        lines.append((ahead if peer.skew_s > 0 else behind).format(least=least))
    for late in peer.not_arrived:
        text = ngettext(
            "  {count} batch was sealed there that has not arrived: {feed}, no. {span}",
            "  {count} batches were sealed there that have not arrived: {feed}, no. {span}",
            late.count,
        )
        span = wording.span(late.first, late.last)
        lines.append(text.format(count=wording.number(late.count), feed=late.feed, span=span))
    return lines


def _warnings(found: Status) -> None:
    if found.warnings:
        screen.say()
        for warning in found.warnings:
            screen.say(f"! {said(warning)}", "yellow")


def _bracketed(line: str, name: str) -> str:
    return line if name in line else f"{line} [{name}]"


def _list(lines: Sequence[str], empty: str) -> None:
    for line in lines or [empty]:
        screen.say(line)


def now() -> datetime:
    """This computer's clock, for ages only."""
    return datetime.now(UTC)
