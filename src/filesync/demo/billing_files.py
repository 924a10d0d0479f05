"""Billing files by a layout: rows of `bdf` or `ca` written as the layout says, header and trailer included. For the demo and for tests.

The opposite of `sources.layout_reading`: what is written here reads back as the same rows. A value that the layout has no room for is a
`ValueError`, never cut off.
"""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from filesync.sources.layouts import Check, Counts, Layout, Part, Shape

Cells = list[tuple[Part, str]]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def billing_file(
    layout: Layout, day: date, rows: Sequence[Mapping[str, Any]], *, line_end: str = "\r\n", **said: str
) -> bytes:
    """The file of `day`. `said`: texts for parts of the header and trailer that are no check; by default they are filled."""

    def write(marker: str, at: int, values: Cells) -> str:
        return (
            _fixed(layout, marker, at, values)
            if layout.shape is Shape.FIXED
            else _csv(layout, marker, values)
        )

    lines = []
    records = len(rows) + (layout.header is not None) + (layout.trailer is not None)
    facts = (day, rows, records, said)
    if layout.header is not None:
        lines.append(
            write(layout.header.marker, layout.header.at, _values(layout, layout.header.parts, *facts))
        )
    if layout.names:
        lines.append(_row(layout, [str(part.column) for part in layout.parts.values()]))
    lines += [
        write(
            layout.detail_marker,
            layout.detail_at,
            [(p, _text(layout, p, row.get(name))) for name, p in layout.parts.items()],
        )
        for row in rows
    ]
    if layout.trailer is not None:
        lines.append(
            write(layout.trailer.marker, layout.trailer.at, _values(layout, layout.trailer.parts, *facts))
        )
    return "".join(line + line_end for line in lines).encode(layout.encoding)


def _values(
    layout: Layout,
    parts: Mapping[str, Check],
    day: date,
    rows: Sequence[Mapping[str, Any]],
    records: int,
    said: Mapping[str, str],
) -> Cells:
    found = []
    for name, check in parts.items():
        value: Any = said.get(name)
        if check.equals is not None:
            value = check.equals
        elif check.day:
            value = day.isoformat()
        elif check.counts is not None:
            value = len(rows) if check.counts is Counts.DETAILS else records
        elif check.sum_of is not None:
            value = sum(row.get(check.sum_of, 0) for row in rows)
        found.append((check.part, _text(layout, check.part, value)))
    return found


def _text(layout: Layout, part: Part, value: Any) -> str:
    """A value as the part writes it; None as what stands for nothing there."""
    width = part.last - part.first + 1 if part.first else 0
    if value is None:
        text = part.empty[0] if part.empty else ""
    elif part.lookup is not None:
        text = next(key for key, meaning in part.lookup.items() if meaning == value)
    elif isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        text = _dated(date.fromisoformat(value), part.date or layout.forms.date)
    elif isinstance(value, int):
        text = _number(layout, part, value, width)
    else:
        text = str(value)
        if part.trim and width:
            text = text.rjust(width, part.trim)
    if width:
        if len(text) > width:
            raise ValueError(f"{part.name}: expected at most {width} characters, got {text!r}")
        text = text.ljust(width)
    return text


def _number(layout: Layout, part: Part, value: int, width: int) -> str:
    if part.decimals:
        value, rest = divmod(value * 10**part.decimals, part.scale)
        if rest:
            raise ValueError(f"{part.name}: {value} does not fit into {part.decimals} decimals")
        return f"{value:0{width or part.decimals + 1}d}"
    if part.scale == 1:
        return f"{value:0{width}d}" if width else str(value)
    number = Decimal(value) / part.scale
    text = f"{number:,.{len(str(part.scale)) - 1}f}"
    whole, _, part_ = text.partition(".")
    return whole.replace(",", layout.forms.thousands) + (layout.forms.decimal + part_ if part_ else "")


def _dated(day: date, form: str) -> str:
    return (
        form.replace("aaaa", f"{day.year:04d}").replace("yyyy", f"{day.year:04d}").replace("aa", f"{day.year % 100:02d}")
        .replace("dd", f"{day.day:02d}").replace("mm", f"{day.month:02d}")
    )  # fmt: skip


def _fixed(layout: Layout, marker: str, at: int, values: Cells) -> str:
    line = [" "] * layout.width
    line[at - 1 : at - 1 + len(marker)] = marker
    for part, text in values:
        line[part.first - 1 : part.last] = text
    return "".join(line)


def _csv(layout: Layout, marker: str, values: Cells) -> str:
    if layout.names:
        return _row(layout, [text for _, text in values])
    width = max(part.column for part, _ in values if isinstance(part.column, int))
    row = [""] * width
    if marker:
        row[0] = marker
    for part, text in values:
        assert isinstance(part.column, int)  # noqa: S101 -- only a line of names gives names
        row[part.column - 1] = text
    return _row(layout, row)


def _row(layout: Layout, cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=layout.delimiter, lineterminator="").writerow(cells)
    return text.getvalue()
