"""Many rows of a report for a spreadsheet or a program, written one after another: nothing is gathered first.

A CSV is as a Brazilian spreadsheet opens it by a double click: semicolons, a comma before the centavos, UTF-8 with its mark. A text that
a spreadsheet would take for a formula gets an apostrophe in front. The file is whole or not there: it takes its name when it is written.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from filesync.cli import screen

#: `--csv -`
STDOUT = Path("-")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write the rows to `path` (`-`: stdout); their number. None is an empty cell, a float is never given: money comes by `reais`."""
    if path == STDOUT:
        return _write(sys.stdout, columns, rows)
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with half.open("w", encoding="utf-8-sig", newline="") as file:
            count = _write(file, columns, rows)
        half.replace(path)
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return count


def reais(centavos: int | None) -> Reais | None:
    """Centavos as a spreadsheet takes money: `1234,56`."""
    return None if centavos is None else Reais(centavos)


class Reais(int):
    """Centavos that are written as reais."""

    def __str__(self) -> str:
        whole, part = divmod(abs(int(self)), 100)
        return f"{'-' if self < 0 else ''}{whole},{part:02d}"


def say_json_rows(head: Mapping[str, object], name: str, rows: Iterable[object]) -> int:
    """One JSON object on stdout: `head`, then the rows as the array `name`, each on a line of its own. Their number."""
    opening = json.dumps(screen.jsonable(head), indent=2)
    sys.stdout.write(f"{opening.removesuffix('}').rstrip()},\n  {json.dumps(name)}: [")
    count = 0
    for count, row in enumerate(rows, 1):
        sys.stdout.write(f"{',' if count > 1 else ''}\n    {json.dumps(screen.jsonable(row))}")
    sys.stdout.write("\n  ]\n}\n" if count else "]\n}\n")
    return count


def _write(file: IO[str], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    out = csv.writer(file, delimiter=";", lineterminator="\r\n")
    out.writerow(columns)
    count = 0
    for row in rows:
        out.writerow([_cell(value) for value in row])
        count += 1
    return count


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value[:1] in "=+-@\t\r" and value else value
    return str(value)
