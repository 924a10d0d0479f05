"""One importer of a site, in a process of its own: turns until nothing is left, and says what it applied."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from filesync.errors import TransportError
from filesync.exchange.station import Station

ROUNDS = 200


def main() -> None:
    applied: list[str] = []
    with Station.open(Path(sys.argv[1])) as station:
        print("ready", flush=True)  # noqa: T201 -- to the test
        sys.stdin.readline()
        for _ in range(ROUNDS):
            try:
                report = station.import_()
            except TransportError as err:  # it was busy: the next turn tries again
                if err.code not in ("store-busy", "decided-elsewhere"):
                    raise
                continue
            applied += [batch.name for batch in report.applied]
            if not any((Path(sys.argv[1]) / "inbox").glob("*/*.manifest.json")):
                break
    print(json.dumps({"applied": applied}))  # noqa: T201


if __name__ == "__main__":
    main()
