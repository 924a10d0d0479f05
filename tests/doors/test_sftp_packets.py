"""SFTP as bytes and conversations, without a network: what a server may not make us believe, and how few round trips many files take."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.transports import unobserved, wire
from filesync.transports.limits import Watchdog
from filesync.transports.pipeline import Pipeline, Talk

if TYPE_CHECKING:
    from collections.abc import Iterator


class FarServer:
    """A session whose answers come only when the client waits: each wait is a round trip."""

    def __init__(self) -> None:
        self.pending: dict[int, Any] = {}
        self.flushed: list[tuple[Any, wire.Request]] = []
        self.queued: list[tuple[Any, wire.Request]] = []
        self.coming: list[tuple[Any, wire.Reply]] = []
        self.asked: list[wire.Request] = []
        self.round_trips = self.deepest = 0

    def queue(self, request: wire.Request, token: object) -> None:
        self.pending[len(self.asked)] = token
        self.asked.append(request)
        self.queued.append((token, request))

    def flush(self) -> None:
        self.flushed += self.queued
        self.queued.clear()

    def receive(self) -> int:
        return len(self.coming)

    def replies(self) -> list[tuple[Any, wire.Reply]]:
        coming, self.coming = self.coming, []
        self.pending.clear()
        return coming

    def reset(self) -> None:
        pass

    def wait(self, _: float) -> None:
        self.round_trips += 1
        self.deepest = max(self.deepest, sum(request.moves for _, request in self.flushed))
        self.coming = [(token, wire.Status(wire.OK)) for token, _ in self.flushed]
        self.flushed.clear()


def run(server: FarServer, talks: Iterator[Talk[Any]], **bounds: int) -> list[Any]:
    pipeline = Pipeline(server, Watchdog(lambda: None), None, unobserved)  # type: ignore[arg-type]
    return pipeline.run([server], talks, **bounds)  # type: ignore[list-item]


def small_file(number: int) -> Talk[int]:
    yield [wire.open_new(b"x")]
    yield [wire.write(b"h", 0, b"x" * 100), wire.close(b"h")]
    return number


def test_many_files_take_few_round_trips() -> None:
    server = FarServer()
    assert run(server, (small_file(number) for number in range(640)), window=64) == list(range(640))
    assert server.round_trips <= 2 * 640 / 64  # one after the other: 1,280


def test_conversations_begin_in_the_order_given() -> None:
    server = FarServer()

    def rename(number: int) -> Talk[None]:
        yield [wire.rename(b"a", b"%d" % number)]

    run(server, (rename(number) for number in range(300)))
    assert [request.parts[1][4:] for request in server.asked] == [b"%d" % number for number in range(300)]


def test_bytes_under_way_are_bounded() -> None:
    server = FarServer()

    def block(at: int) -> Talk[None]:
        yield [wire.write(b"h", at, b"x" * 1000)]

    run(server, (block(at) for at in range(1000)), bytes_max=10_000)
    assert server.deepest == 10_000


def test_no_conversations() -> None:
    assert run(FarServer(), iter(())) == []


def test_a_conversation_that_asks_nothing_and_one_that_raises() -> None:
    def silent() -> Talk[str]:
        yield from ()
        return "said nothing"

    def angry() -> Talk[None]:
        yield [wire.close(b"h")]
        raise RuntimeError("refused")

    assert run(FarServer(), iter([silent(), silent()])) == ["said nothing"] * 2
    with pytest.raises(RuntimeError, match="refused"):
        run(FarServer(), iter([angry()]))


def test_requests_as_the_draft_has_them() -> None:
    assert wire.read(b"h", 1 << 33, 5).packet(7) == bytes.fromhex(
        "00000016 05 00000007 00000001 68 0000000200000000 00000005".replace(" ", "")
    )
    assert wire.write(b"h", 0, b"abc").packet(1)[-7:] == b"\0\0\0\3abc"
    assert wire.open_new(b"/x").packet(1)[-8:] == struct.pack(">II", 0x2A, 0)
    assert wire.hello() == bytes.fromhex("00000005 01 00000003".replace(" ", ""))


def test_replies_as_the_draft_has_them() -> None:
    number = struct.pack(">I", 9)

    def text(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    assert wire.parse(b"\x65" + number + struct.pack(">I", 4) + text(b"Failure") + text(b"en")) == (
        9,
        wire.Status(4, "Failure"),
    )
    assert wire.parse(b"\x65" + number + struct.pack(">I", 0)) == (
        9,
        wire.Status(0),
    )  # no text: an old server
    assert wire.parse(b"\x66" + number + text(b"h")) == (9, wire.Handle(b"h"))
    assert wire.parse(b"\x67" + number + text(b"data")) == (9, wire.Data(b"data"))
    attributes = struct.pack(">IQIIIII", 0x0F, 5, 1, 2, 0o100644, 3, 4)
    assert wire.parse(b"\x69" + number + attributes) == (9, wire.Attrs(5, 0o100644))
    extended = struct.pack(">II", 0x80000000, 1) + text(b"acl@example") + text(b"x")
    assert wire.parse(b"\x69" + number + extended) == (9, wire.Attrs(None, None))
    entry = text(b"name") + text(b"-rw-") + attributes
    assert wire.parse(b"\x68" + number + struct.pack(">I", 2) + entry + entry) == (
        9,
        wire.Names(((b"name", b"-rw-", wire.Attrs(5, 0o100644)),) * 2),
    )
    assert wire.version(b"\x02" + struct.pack(">I", 3) + text(b"a@b") + text(b"1")) == {b"a@b"}


@given(st.binary(max_size=200))
def test_whatever_a_server_sends_is_a_reply_or_refused(packet: bytes) -> None:
    for read in (wire.parse, wire.version):
        with suppress(wire.WireError):
            read(packet)


@given(st.binary(max_size=60), st.integers(min_value=0, max_value=2**32 - 1))
def test_a_count_that_lies_takes_no_memory(rest: bytes, count: int) -> None:
    packet = b"\x68" + struct.pack(">II", 1, count) + rest
    try:
        _, names = wire.parse(packet)
    except wire.WireError:
        return
    assert isinstance(names, wire.Names)
    assert len(names.entries) == count <= len(rest)
