"""A run as docs/performance.md shows it: one table, the machine, and a plot drawn as SVG with no library."""

from __future__ import annotations

import json
import os
import platform
import re
from datetime import date
from importlib.metadata import version
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING

from bench import turn_plot
from bench.figures import Part

if TYPE_CHECKING:
    from bench.figures import Line, Point

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "img" / "cost-against-size.svg"
TURN_PLOT = PLOT.with_name("turn-against-history.svg")
RESULTS = Path(__file__).with_name(".results.json")
START, END = "<!-- bench: start -->", "<!-- bench: end -->"
_HEAD = ("", "work", "filesync", "beside", "its figure", "ratio", "goal", "")
_LIBRARIES = ("pyarrow", "numpy", "adbc-driver-sqlite", "jsonschema")
_COLOURS = {"seal": "#0b6e99", "import": "#b3541e", "append": "#8a8a8a"}
_NAMES = {"seal": "seal", "import": "import", "append": "bare append"}


def machine() -> str:
    """What it ran on; no names, no paths."""
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB memory"
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"{date.today().isoformat()}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores{memory}; "
        f"Python {platform.python_version()}, {libraries}"
    )


def table(lines: list[Line]) -> str:
    """Markdown that is aligned enough to be read in a terminal."""
    cells = [list(_HEAD), *([*_cells(line)] for line in lines)]
    widths = [max(3, *(len(row[place]) for row in cells)) for place in range(len(_HEAD))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    text.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {row} |" for row in text)


def _cells(line: Line) -> tuple[str, ...]:
    ratio = "" if line.ratio is None else f"{line.ratio:.0f} ×" if line.ratio >= 20 else f"{line.ratio:.2f} ×"
    verdict = "" if line.met is None else "met" if line.met else "not met"
    return (line.target, line.what, line.ours, line.beside, line.theirs, ratio, line.goal, verdict)


def publish(part: Part, *, quick: bool, measured: set[str], as_json: Path = RESULTS) -> str:
    """Write the page's generated part, the plot and the JSON; the table as text. A quick run leaves all of them as they are.

    Of a run of some figures only theirs are replaced: a figure and what stands beside it are always of one run.
    """
    if not quick:
        part = _with_the_others(part, measured, as_json)
        data = {"machine": machine(), **part.to_json()}
        as_json.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    text = table(part.lines)
    if not quick:
        PLOT.parent.mkdir(parents=True, exist_ok=True)
        if any(point.series in _NAMES for point in part.points):
            PLOT.write_text(plot([p for p in part.points if p.series in _NAMES]), encoding="utf-8")
        if drawn := turn_plot.drawn(part.points):
            TURN_PLOT.write_text(drawn, encoding="utf-8")
        notes = "".join(f"\n- {note}" for note in part.notes)
        generated = f"{START}\n\n{machine()}.\n\n{text}\n{notes}\n\n{END}"
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(START)
        PAGE.write_text(before + generated + rest.partition(END)[2], encoding="utf-8")
    return text


def _with_the_others(part: Part, measured: set[str], as_json: Path) -> Part:
    try:
        earlier = Part.from_json(json.loads(as_json.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return part
    lines = [*(line for line in earlier.lines if line.target not in measured), *part.lines]
    return Part(
        lines=sorted(lines, key=lambda line: int(line.target[1:])),
        points=[
            *(p for p in earlier.points if p.series not in {new.series for new in part.points}),
            *part.points,
        ],
        notes=list(dict.fromkeys([*(n for n in earlier.notes if not measured & _figures(n)), *part.notes])),
    )


def _figures(note: str) -> set[str]:
    """The figures that a note names; it goes when one of them is measured again."""
    return set(re.findall(r"\bP\d+\b", note))


def plot(points: list[Point]) -> str:
    """Rows a second against rows in one batch: a level line means that the cost grows as the size does."""
    width, height, left, right, top, bottom = 720, 360, 70, 120, 40, 50
    sizes = sorted({point.rows for point in points})
    low, high = log10(sizes[0]), log10(sizes[-1])
    ceiling = max(point.rate for point in points) * 1.1

    def x(rows: int) -> float:
        return left + (log10(rows) - low) / max(high - low, 1e-9) * (width - left - right)

    def y(rate: float) -> float:
        return height - bottom - rate / ceiling * (height - top - bottom)

    power = 10 ** int(log10(ceiling))
    step = next(step for part in (0.1, 0.2, 0.5, 1, 2) if ceiling / (step := part * power) <= 8)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="22" font-weight="bold">Rows per second, by rows in one batch</text>',
    ]
    level = 0.0
    while level <= ceiling:
        parts.append(f'<path d="M{left} {y(level):.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{left - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level / 1e6:g} M</text>'
        )
        level += step
    parts += [
        f'<text x="{x(rows):.1f}" y="{height - bottom + 22}" text-anchor="middle">{rows / 1e6:g} M rows</text>'
        for rows in sizes
    ]
    ends = _apart({series: y(_of(points, series)[-1].rate) for series in _NAMES if _of(points, series)})
    for series, label_y in ends.items():
        drawn = _of(points, series)
        colour = _COLOURS[series]
        line = " ".join(f"{x(point.rows):.1f},{y(point.rate):.1f}" for point in drawn)
        dash = ' stroke-dasharray="5 4"' if series == "append" else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.5"{dash}/>')
        parts += [
            f'<circle cx="{x(p.rows):.1f}" cy="{y(p.rate):.1f}" r="3.5" fill="{colour}"/>' for p in drawn
        ]
        parts.append(
            f'<text x="{width - right + 10}" y="{label_y + 4:.1f}" fill="{colour}">{_NAMES[series]}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _of(points: list[Point], series: str) -> list[Point]:
    return sorted((point for point in points if point.series == series), key=lambda point: point.rows)


def _apart(places: dict[str, float]) -> dict[str, float]:
    """Labels at the ends of the lines, moved down where they would cover each other."""
    moved: dict[str, float] = {}
    last = -1e9
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        last = max(place, last + 16)
        moved[name] = last
    return moved
