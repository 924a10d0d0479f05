"""The `filesync` command. Edge of the house: it reads arguments, calls the station, and puts into words what came of it.

One file a theme; `edge.py` turns every failure into one short message, what to do next, and an exit code.
Nothing is decided here, and nothing below the CLI knows of it. Slow libraries are imported inside the commands that need them.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the installed command."""
    try:
        from filesync.cli.app import run
    except KeyboardInterrupt:  # Ctrl-C while Python still loads
        sys.exit(130)
    run()
