"""A long line on loopback, in a process of its own: `python -m bench.line PORT ROUND_TRIP_MS`; prints its port, ends with its input.

The tests' fault proxy with a delay as its only fault: every byte is handed on half a round trip later, in order and as many at once as
are due. So the line is long and not narrow: nobody is held up by its width, by lost packets or by a TCP window that has to grow first,
and the connection itself is made at once. Every program that is measured goes through the same line.
"""

from __future__ import annotations

import sys

from bench.servers import on_path

on_path()
from proxy import Fault, Proxy, always  # noqa: E402  # tests/servers, found once it is on the path


def main() -> None:
    target, round_trip_ms = int(sys.argv[1]), float(sys.argv[2])
    with Proxy(target, always(Fault(delay_s=round_trip_ms / 2_000))) as proxy:
        print(proxy.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
