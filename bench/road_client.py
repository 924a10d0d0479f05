"""One Python client of an SFTP server in a process of its own: `python road_client.py CLIENT put|get|many` with its order as JSON on the
first line of its input. It loads its library and says "ready"; then each line is a run, answered by "done": from connecting to closing,
and not the start of Python. Run by the interpreter that has the library: nothing of the bench is imported.

    put   one file, under its own name there          get   one file, into a folder here
    many  every file of a folder, each under a temporary name and renamed
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOGETHER = 64  # conversations under way in asyncssh, as many as filesync has on a channel


def filesync(what: str, order: dict[str, Any]) -> Callable[[], None]:
    from filesync.transports import channels  # loads the SSH library: not a part of what is timed
    from filesync.transports.link import SftpLink
    from filesync.transports.sftp import SftpTransport

    assert channels
    root, here = Path(order["there"]), Path(order["here"])
    link = SftpLink(
        "127.0.0.1",
        order["user"],
        Path(order["identity"]),
        Path(order["known_hosts"]),
        order["port"],
        str(root.parent),
    )

    def run() -> None:
        with SftpTransport(link) as road:
            if what == "get":
                moved = road.get_many([(root.name, order["name"], here)])
            else:
                files = [here / order["name"]] if what == "put" else sorted(here.iterdir())
                moved = road.put_many([(file, root.name, file.name) for file in files])
        assert all(moved)

    return run


def paramiko(what: str, order: dict[str, Any]) -> Callable[[], None]:
    """As its documentation has it: one client, one channel, its own defaults."""
    import paramiko

    there, here = order["there"], Path(order["here"])

    def run() -> None:
        with paramiko.SSHClient() as client:
            client.load_host_keys(order["known_hosts"])
            client.connect(
                "127.0.0.1",
                order["port"],
                order["user"],
                key_filename=order["identity"],
                allow_agent=False,
                look_for_keys=False,
            )
            with client.open_sftp() as sftp:
                if what == "put":
                    sftp.put(str(here / order["name"]), f"{there}/{order['name']}")
                elif what == "get":
                    sftp.get(f"{there}/{order['name']}", str(here / order["name"]))
                else:
                    for file in sorted(here.iterdir()):
                        sftp.put(str(file), f"{there}/.partial-{file.name}")
                        sftp.posix_rename(f"{there}/.partial-{file.name}", f"{there}/{file.name}")

    return run


def asyncssh(what: str, order: dict[str, Any]) -> Callable[[], None]:
    """One channel, as many files at once as it can be asked for."""
    import asyncssh

    there, here = order["there"], Path(order["here"])

    async def work() -> None:
        async with (
            asyncssh.connect(
                "127.0.0.1", order["port"], username=order["user"], client_keys=[order["identity"]],
                known_hosts=order["known_hosts"], agent_path=None, config=None,
            ) as connection,
            connection.start_sftp_client() as sftp,
        ):  # fmt: skip
            if what == "put":
                await sftp.put(str(here / order["name"]), f"{there}/{order['name']}")
                return
            if what == "get":
                await sftp.get(f"{there}/{order['name']}", str(here / order["name"]))
                return
            gate = asyncio.Semaphore(TOGETHER)

            async def one(file: Path) -> None:
                async with gate:
                    await sftp.put(str(file), f"{there}/.partial-{file.name}")
                    await sftp.posix_rename(f"{there}/.partial-{file.name}", f"{there}/{file.name}")

            await asyncio.gather(*[one(file) for file in sorted(here.iterdir())])

    return lambda: asyncio.run(work())


def main() -> None:
    run = {"filesync": filesync, "paramiko": paramiko, "asyncssh": asyncssh}[sys.argv[1]](
        sys.argv[2], json.loads(sys.stdin.readline())
    )
    said = os.fdopen(os.dup(1), "w", buffering=1)
    said.write("ready\n")
    for _ in sys.stdin:
        run()
        said.write("done\n")


if __name__ == "__main__":
    main()
