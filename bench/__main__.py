"""python -m bench [--quick] [--only NAME ...]: every measurement in one run, one table.

Each group runs in a process of its own, so that one that fails, or leaves memory behind, does not touch the others' figures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from bench import page, peers
from bench.clock import say
from bench.figures import QUICK, Part, Sizes

#: Each group, and the figures of docs/performance.md that it yields.
GROUPS = {
    "validating": ("P1",),
    "importing": ("P2",),
    "on_server": ("P3",),
    "repeating": ("P4",),
    "sealing": ("P5",),
    "large": ("P6", "P12"),
    "many": ("P7",),
    "road_large": ("P8",),
    "road_small": ("P9",),
    "idle": ("P10",),
    "waiting": ("P11",),
    "reconciling": ("P13",),
}
_WITH_PEERS = {"importing", "on_server", "repeating", "road_large", "road_small"}


def main() -> int:
    options = _options()
    if options.group:
        _run_group(options.group, QUICK if options.quick else Sizes(), Path(options.work))
        return 0
    started = time.monotonic()
    whole = Part()
    failed = []
    if _WITH_PEERS & set(options.only) and (missing := peers.prepare()):
        figures = [f for group in options.only if group in _WITH_PEERS for f in GROUPS[group]]
        say(missing)
        whole.notes.append(f"{', '.join(figures)}: {missing}")
    base = Path(options.work) if options.work else Path(__file__).with_name(".work")
    base.mkdir(parents=True, exist_ok=True)
    base = Path(tempfile.mkdtemp(dir=base))  # another run may be at work beside this one
    try:
        for number, group in enumerate(options.only, 1):
            say(f"[{number}/{len(options.only)}] {group}, {time.monotonic() - started:.0f} s so far")
            part = _in_a_process(group, base, quick=options.quick)
            if part is None:
                failed.append(group)
                continue
            whole.lines += part.lines
            whole.points += part.points
            whole.notes += part.notes
    finally:
        shutil.rmtree(base, ignore_errors=True)
    measured = {figure for group in options.only if group not in failed for figure in GROUPS[group]}
    text = page.publish(whole, quick=options.quick, measured=measured)
    print(f"{page.machine()}\n\n{text}")
    for note in whole.notes:
        print(f"- {note}")
    say(f"{time.monotonic() - started:.0f} s" + (f"; FAILED: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description="filesync beside its peers and bare limits, in one run"
    )
    parser.add_argument(
        "--quick", action="store_true", help="smaller sizes; docs/performance.md is left as it is"
    )
    parser.add_argument(
        "--only", type=_groups, default=list(GROUPS), metavar="P8,P9",
        help=f"some groups, by figure or by name: {', '.join(GROUPS)}",
    )  # fmt: skip
    parser.add_argument(
        "--work", help="a folder on the disk to measure (default: bench/.work); left as it was"
    )
    parser.add_argument("--group", choices=GROUPS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _groups(text: str) -> list[str]:
    """The groups that a list of figures or names means, in the order of a whole run."""
    wanted = {word.strip() for word in text.split(",")} - {""}
    known = set(GROUPS).union(*GROUPS.values())
    if not wanted or wanted - known:
        raise argparse.ArgumentTypeError(f"some of {', '.join(sorted(known))} were expected, got {text!r}")
    return [group for group, figures in GROUPS.items() if wanted & {group, *figures}]


def _in_a_process(group: str, base: Path, *, quick: bool) -> Part | None:
    work = Path(tempfile.mkdtemp(dir=base, prefix=f"{group}-"))
    command = [
        sys.executable,
        "-m",
        "bench",
        "--group",
        group,
        "--work",
        str(work),
        *(["--quick"] if quick else []),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    shutil.rmtree(work, ignore_errors=True)
    if done.returncode:
        return None
    return Part.from_json(json.loads(done.stdout.strip().splitlines()[-1]))


def _run_group(group: str, sizes: Sizes, work: Path) -> None:
    part: Part = import_module(f"bench.{group}").run(sizes, work)
    print(json.dumps(part.to_json()))


if __name__ == "__main__":
    sys.exit(main())
