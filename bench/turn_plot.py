"""P12's second plot: seconds of an idle turn, against the batches behind it and against how many sites there are. SVG, with no library."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Point

BY_PAST: Final = "turn by history"
BY_SITES: Final = "turn by sites"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 360, 300, 56, 44, 46, 24


def drawn(points: Sequence[Point]) -> str:
    """Two panels with one scale of seconds; empty where there is nothing to draw. Dashed in the second: seconds in proportion to the sites."""
    panels = [
        ("Idle turn, by batches behind it", "batches", [p for p in points if p.series == BY_PAST]),
        ("Idle turn, by sites", "sites", [p for p in points if p.series == BY_SITES]),
    ]
    if not all(found for _, _, found in panels):
        return ""
    ceiling = max(point.rate for _, _, found in panels for point in found) * 1.2
    power = 10.0 ** int(log10(ceiling) - 1)
    step = next(step for part in (1, 2, 5, 10) if ceiling / (step := part * power) <= 8)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, (title, unit, found) in enumerate(panels):
        parts += _panel(place * _WIDTH, title, unit, sorted(found, key=lambda p: p.rows), ceiling, step)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(
    offset: int, title: str, unit: str, points: Sequence[Point], ceiling: float, step: float
) -> list[str]:
    """Even steps along: the counts are tenfold of each other, and begin with none."""
    left, right = offset + _LEFT, offset + _WIDTH - _GAP

    def x(number: int) -> float:
        return left + 20 + number / max(len(points) - 1, 1) * (right - left - 40)

    def y(seconds: float) -> float:
        return _HEIGHT - _BOTTOM - seconds / ceiling * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text x="{left}" y="24" font-weight="bold">{title}</text>']
    for level in range(int(ceiling / step) + 1):
        at = y(level * step)
        parts.append(f'<path d="M{left} {at:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{level * step:g} s</text>')
    if points[
        0
    ].rows:  # what grows with the sites would lie on the dashes, or below them where part of it does not
        shares = [
            (number, points[-1].rate * point.rows / points[-1].rows) for number, point in enumerate(points)
        ]
        dashes = " ".join(f"{x(number):.1f},{y(seconds):.1f}" for number, seconds in shares)
        parts.append(f'<polyline points="{dashes}" fill="none" stroke="#888" stroke-dasharray="5 4"/>')
    line = " ".join(f"{x(number):.1f},{y(point.rate):.1f}" for number, point in enumerate(points))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#0b6e99" stroke-width="2.5"/>')
    for number, point in enumerate(points):
        parts.append(f'<circle cx="{x(number):.1f}" cy="{y(point.rate):.1f}" r="3.5" fill="#0b6e99"/>')
        parts.append(
            f'<text x="{x(number):.1f}" y="{y(point.rate) - 10:.1f}" text-anchor="middle">{point.rate:.2f}</text>'
        )
        parts.append(
            f'<text x="{x(number):.1f}" y="{_HEIGHT - _BOTTOM + 22}" text-anchor="middle">{_count(point.rows)} {unit}</text>'
        )
    return parts


def _count(value: int) -> str:
    return f"{value / 1e6:g} M" if value >= 1_000_000 else f"{value:,}"
