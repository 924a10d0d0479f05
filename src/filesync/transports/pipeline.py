"""Many small conversations with a server at once: what makes a slow line fast.

A conversation (put this file, read that block) is a generator: it yields the requests that it wants to send together, gets their replies
as a list, and returns its result. The pipeline keeps many of them under way over one or several sessions, sends what they ask in as few
packets as it can, and wakes each one when *all* its replies are there. One thread: nothing here needs a lock.

- A session's requests are answered by one server process in the order sent: renames that must appear in order go over one session.
- In flight are at most `window` conversations a session, and `bytes_max` bytes: memory is bounded whatever the server does.
- The first conversation that raises ends all; the connection must then be thrown away, for answers to the others are still on their way.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from filesync.transports import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from filesync.transports.channels import Session, Wake
    from filesync.transports.limits import Rate, Watchdog

T = TypeVar("T")
#: A conversation with the server.
Talk = Generator[Sequence[wire.Request], list[wire.Reply], T]

WINDOW = 256
#: Of conversations that hold a file open: servers allow as few as a hundred.
WINDOW_FILES = 64
BYTES_MAX = 16 << 20


class _Turn(Generic[T]):
    """A conversation under way."""

    __slots__ = ("begun", "ended", "index", "missing", "replies", "session", "talk")

    def __init__(self, index: int, talk: Talk[T], session: Session) -> None:
        self.index = index
        self.talk = talk
        self.session = session
        self.begun = self.ended = False
        self.missing = 0
        self.replies: list[wire.Reply] = []


class Pipeline:
    """Runs conversations over the sessions of one connection."""

    def __init__(
        self,
        wake: Wake,
        watchdog: Watchdog,
        rate: Rate | None,
        observe: Callable[[int], None],
    ) -> None:
        self._wake = wake
        self._watchdog = watchdog
        self._rate = rate
        self._observe = observe

    def run(
        self,
        sessions: Sequence[Session],
        talks: Iterable[Talk[T]],
        *,
        window: int = WINDOW,
        bytes_max: int = BYTES_MAX,
    ) -> list[T]:
        """The results, in the order of the conversations. They are begun in that order; with one session, each step in that order too."""
        results: dict[int, T] = {}
        waiting = enumerate(talks)
        under_way = in_flight = count = 0
        more = True
        while more or under_way:
            while more and under_way < window * len(sessions) and in_flight < bytes_max:
                following = next(waiting, None)
                if following is None:
                    more = False
                    break
                count += 1
                session = (
                    min(sessions, key=lambda one: len(one.pending)) if len(sessions) > 1 else sessions[0]
                )
                turn = _Turn(*following, session)
                in_flight += self._ask(turn, [], results)
                under_way += not turn.ended
            for session in sessions:
                session.flush()
            self._wake.reset()
            came = sum(session.receive() for session in sessions)
            if came:
                self._watchdog.touch()
            elif under_way:
                self._wake.wait(1.0)
            answered = [one for session in sessions for one in session.replies()]
            for (turn, slot, moves), reply in answered:
                in_flight -= moves
                if isinstance(reply, wire.Data):
                    self._observe(len(reply.data))
                elif moves and isinstance(reply, wire.Status) and reply.code == wire.OK:
                    self._observe(moves)
                turn.replies[slot] = reply
                turn.missing -= 1
                if not turn.missing:
                    in_flight += self._ask(turn, turn.replies, results)
                    under_way -= turn.ended
        return [results[index] for index in range(count)]

    def _ask(self, turn: _Turn[T], replies: list[wire.Reply], results: dict[int, T]) -> int:
        """Lets a conversation go on, and queues what it asks next; how many bytes that will move."""
        try:
            requests = turn.talk.send(replies) if turn.begun else next(turn.talk)
        except StopIteration as end:
            results[turn.index] = end.value
            turn.ended = True
            return 0
        turn.begun = True
        turn.missing = len(requests)
        turn.replies = [_NONE] * len(requests)
        moving = 0
        for slot, request in enumerate(requests):
            if request.moves and self._rate is not None:
                turn.session.flush()
                self._rate.take(request.moves)
                self._watchdog.touch()  # we paused, not the server
            turn.session.queue(request, (turn, slot, request.moves))
            moving += request.moves
        return moving


_NONE = wire.Status(wire.FAILURE, "no answer yet")
