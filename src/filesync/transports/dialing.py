"""A TCP connection in bounded time: name and all addresses together.

The timeout of a socket counts for each address by itself, and not at all for looking up the name: a host with four dead addresses, or a
resolver that does not answer, would hold a station for minutes. So the whole of it runs in a thread that is waited for just so long.
"""

from __future__ import annotations

import socket
import threading

from filesync.errors import TransportError


def dial(host: str, port: int, seconds: float, place: str) -> socket.socket:
    """Connects, or raises TransportError("unreachable") after `seconds` at the latest. `place` is what messages call the server."""
    lock = threading.Lock()
    made: list[socket.socket] = []
    failed: list[OSError] = []
    given_up = threading.Event()

    def connect() -> None:
        try:
            sock = socket.create_connection((host, port), timeout=seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            failed.append(error)
            return
        with lock:
            if given_up.is_set():
                sock.close()
            else:
                made.append(sock)

    thread = threading.Thread(target=connect, name="filesync-dial", daemon=True)
    thread.start()
    thread.join(seconds)
    with lock:
        given_up.set()
    if made:
        return made[0]
    why = failed[0] if failed else f"no answer after {seconds:g} s"
    raise TransportError(
        "unreachable", f"{place}: an SSH server was expected, got no connection: {why}"
    ) from (failed[0] if failed else None)
