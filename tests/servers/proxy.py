"""A bad network on loopback: a TCP proxy that cuts, stalls, resets, delays, refuses and flaps, as told, and the same way every time.

What happens to a connection is decided by its number and by how many bytes went through it, never by a clock or by chance that was not
seeded. One thread serves all connections. (Delays are the one thing that takes time: bytes are handed on so much later, in order, as
many at once as are due: a long line, not a narrow one.)
"""

from __future__ import annotations

import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

READ_BYTES = 1 << 18
HELD_MAX = 32 << 20  # in the line, each way


class Ending(Enum):
    """What befalls a connection after its bytes."""

    CUT = "cut"  # closed in good order
    RESET = "reset"
    STALL = "stall"  # open, and silent


@dataclass(frozen=True, slots=True)
class Fault:
    """`after` so many bytes, both ways together; None: never."""

    ending: Ending = Ending.CUT
    after: int | None = None
    delay_s: float = 0.0  # each way


SOUND = Fault()


def always(fault: Fault) -> Callable[[int], Fault]:
    """Every connection fares alike."""
    return lambda _: fault


def first(*faults: Fault) -> Callable[[int], Fault]:
    """The first connections fare so, all later ones well."""
    return lambda number: faults[number] if number < len(faults) else SOUND


def flapping(seed: int, low: int, high: int, *, sound: float = 0.0) -> Callable[[int], Fault]:
    """Every connection ends somehow after `low` to `high` bytes, except for a share that is `sound`. Stalls are left out: each costs a deadline."""

    def fault(number: int) -> Fault:
        dice = random.Random(f"{seed}/{number}")
        if dice.random() < sound:
            return SOUND
        return Fault(dice.choice((Ending.CUT, Ending.RESET)), dice.randint(low, high))

    return fault


@dataclass(eq=False, slots=True)
class _Flow:
    """One way of a connection."""

    source: socket.socket
    target: socket.socket
    held: deque[tuple[float, memoryview]] = field(default_factory=deque)
    held_bytes: int = 0
    ended: bool = False  # the source said goodbye
    closed: bool = False  # and the target was told


@dataclass(eq=False, slots=True)
class _Pair:
    fault: Fault
    flows: tuple[_Flow, _Flow]
    passed: int = 0
    stalled: bool = False


class Proxy:
    """Listens on a port of its own as soon as it is made; `with` ends it. `down` and `up` refuse and accept connections again."""

    def __init__(self, target_port: int, plan: Callable[[int], Fault] | None = None) -> None:
        self.plan = plan or always(SOUND)  # asked with the connection's number, from 0
        self.connections = 0
        self.passed = 0  # bytes, of all connections
        self._target = target_port
        self._pairs: dict[socket.socket, tuple[_Pair, _Flow, _Flow]] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._orders: deque[str] = deque()
        self._done = threading.Event()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._order("stop")
        self._thread.join()
        # Not by the thread itself: it may see the order before `_order` has woken it, and would close what that wakes it with.
        for sock in (self._wake, self._waker):
            sock.close()

    def down(self) -> None:
        """From now on connections are refused, and those that are open are reset."""
        self._order("down")

    def up(self) -> None:
        """Accepts connections again, on the same port."""
        self._order("up")

    def reset_all(self) -> None:
        """Resets what is open now."""
        self._order("reset")

    def _order(self, order: str) -> None:
        self._done.clear()
        self._orders.append(order)
        self._waker.send(b"!")
        self._done.wait(10)

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select(self._next_due()):
                sock = key.fileobj
                if sock is self._wake:
                    self._wake.recv(64)
                elif sock is self._listener:
                    self._accept()
                elif isinstance(sock, socket.socket) and sock in self._pairs:
                    self._serve(sock, events)
            now = time.monotonic()
            for pair, _, out in list(self._pairs.values()):
                if out.held and out.held[0][0] <= now:
                    self._send(pair, out)
            while self._orders:
                order = self._orders.popleft()
                if order in {"down", "stop"}:
                    self._unlisten()
                elif order == "up" and self._listener is None:
                    self._listen()
                if order != "up":
                    for pair, _, _ in list(self._pairs.values()):
                        self._end(pair, Ending.RESET)
                if order == "stop":
                    self._selector.close()
                    self._done.set()
                    return
                self._done.set()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        fault = self.plan(self.connections)
        self.connections += 1
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        there, back = _Flow(client, server), _Flow(server, client)
        pair = _Pair(fault, (there, back))
        # Each socket with the flow that it is the source of, and the one that it is the target of.
        self._pairs[client] = (pair, there, back)
        self._pairs[server] = (pair, back, there)
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ)
        if fault.after == 0:
            self._end(pair, fault.ending)

    def _serve(self, sock: socket.socket, events: int) -> None:
        pair, into, out = self._pairs[sock]
        if events & selectors.EVENT_WRITE:
            self._send(pair, out)
        if events & selectors.EVENT_READ and sock in self._pairs:
            self._receive(pair, into)

    def _receive(self, pair: _Pair, flow: _Flow) -> None:
        try:
            data = flow.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._end(pair, Ending.RESET)
            return
        if not data:
            flow.ended = True
        elif not pair.stalled:
            flow.held.append((time.monotonic() + pair.fault.delay_s, memoryview(data)))
            flow.held_bytes += len(data)
        if not pair.fault.delay_s or flow.ended:
            self._send(pair, flow)
        self._want(pair)

    def _send(self, pair: _Pair, flow: _Flow) -> None:
        """Hands on what is due, and not a byte more than the fault allows."""
        now = time.monotonic()
        after = pair.fault.after
        while flow.held and flow.held[0][0] <= now and not pair.stalled:
            due, data = flow.held[0]
            allowed = len(data) if after is None else min(len(data), after - pair.passed)
            try:
                sent = flow.target.send(data[:allowed])
            except BlockingIOError:
                break
            except OSError:
                self._end(pair, Ending.RESET)
                return
            pair.passed += sent
            self.passed += sent
            flow.held_bytes -= sent
            if sent == len(data):
                flow.held.popleft()
            else:
                flow.held[0] = (due, data[sent:])
            if after is not None and pair.passed >= after:
                self._end(pair, pair.fault.ending)
                return
        if flow.ended and not flow.held and not flow.closed:
            flow.closed = True
            try:
                flow.target.shutdown(socket.SHUT_WR)
            except OSError:
                self._end(pair, Ending.RESET)
                return
            if all(one.closed for one in pair.flows):
                self._end(pair, Ending.CUT)
                return
        self._want(pair)

    def _want(self, pair: _Pair) -> None:
        """What to be woken for: room in the line, and a due packet that could not be sent at once."""
        now = time.monotonic()
        for flow in pair.flows:
            if flow.source not in self._pairs:
                return
            _, _, out = self._pairs[flow.source]
            events = 0
            if not flow.ended and flow.held_bytes < HELD_MAX:
                events |= selectors.EVENT_READ
            if out.held and out.held[0][0] <= now and not pair.stalled:
                events |= selectors.EVENT_WRITE
            registered = flow.source in self._selector.get_map()
            if events and registered:
                self._selector.modify(flow.source, events)
            elif events:
                self._selector.register(flow.source, events)
            elif registered:
                self._selector.unregister(flow.source)

    def _end(self, pair: _Pair, ending: Ending) -> None:
        if ending is Ending.STALL:
            pair.stalled = True
            for flow in pair.flows:
                flow.held.clear()
            self._want(pair)
            return
        for flow in pair.flows:
            sock = flow.source
            if self._pairs.pop(sock, None) is not None:
                if sock in self._selector.get_map():
                    self._selector.unregister(sock)
                if ending is Ending.RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()

    def _next_due(self) -> float | None:
        """Until when nothing is due. What is due and cannot be sent waits for room instead (`_want`)."""
        due = [
            out.held[0][0]
            for sock, (pair, _, out) in self._pairs.items()
            if out.held and pair.fault.delay_s and not self._waits_for_room(sock)
        ]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _waits_for_room(self, sock: socket.socket) -> bool:
        key = self._selector.get_map().get(sock)
        return key is not None and bool(key.events & selectors.EVENT_WRITE)
