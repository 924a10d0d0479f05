"""Texts of a layout's parts become values, whole columns at a time. Pure.

- In this order: what stands for nothing is taken out, filling is trimmed, a lookup is made, and the rest is read as the field's type.
- Nothing is rounded or guessed: a text that is not what the layout says has no value, and its rows are told with what was expected.
- `default` stands in where nothing stands in the file, never where something wrong does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filesync.sources import forms as reading
from filesync.sources.frame import Cells

if TYPE_CHECKING:
    from collections.abc import Callable

    from filesync.sources.forms import Forms, Parsed
    from filesync.sources.frame import Rows
    from filesync.sources.layouts import Part
    from filesync.sources.rules import Scalar


class Unread(NamedTuple):
    """Rows whose text cannot be read, and what was expected there."""

    rows: Rows
    expected: str


def read_part(part: Part, kind: pa.DataType, texts: pa.Array, forms: Forms) -> tuple[pa.Array, list[Unread]]:
    """A column of texts as values of the field's type; null where nothing stands there or nothing can be read."""
    cells = Cells.of(texts)
    if part.empty:
        cells = cells.keep(pc.invert(pc.is_in(cells.values, pa.array(part.empty, pa.string()))))
    if part.trim and len(cells.values):
        cells = cells.mapped(_trimmed(cells.values, part.trim))
    values, expected = _typed(part, kind, cells.values, forms)
    wrong = np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False), np.bool_)
    codes = cells.codes
    found = values.take(pa.array(codes, mask=codes < 0)) if len(values) else pa.nulls(len(codes), kind)
    unread = []
    if wrong.any():
        rows = np.flatnonzero(np.append(wrong, False)[codes])
        if len(rows):
            unread.append(Unread(rows, expected))
    if part.default is not None:
        found = pc.if_else(pa.array(codes < 0), constant(part.default, kind, 1)[0], found)
    return found, unread


def read_text(part: Part, kind: pa.DataType, text: str, forms: Forms) -> tuple[Any, str | None]:
    """One text as a Python value; else what was expected there."""
    values, unread = read_part(part, kind, pa.array([text.strip()], pa.string()), forms)
    if unread:
        return None, unread[0].expected
    if values[0].as_py() is None:
        return None, _typed(part, kind, pa.array(["?"], pa.string()), forms)[1]
    return values[0].as_py(), None


def constant(value: Scalar | None, kind: pa.DataType, count: int) -> pa.Array:
    """One value in every row; a text for a date is in ISO form."""
    scalar = (
        pa.scalar(value).cast(kind)
        if isinstance(value, str) and not pa.types.is_string(kind)
        else pa.scalar(value, kind)
    )
    return pa.repeat(scalar, count)


def _trimmed(values: pa.Array, trim: str) -> pa.Array:
    """Without leading filling; of a text that is nothing but filling the last character stays: 0000 is 0."""
    cut = pc.utf8_ltrim(values, trim)
    return pc.if_else(pc.equal(cut, ""), pc.utf8_slice_codeunits(values, -1), cut)


def _typed(part: Part, kind: pa.DataType, values: pa.Array, forms: Forms) -> tuple[pa.Array, str]:
    """Distinct texts as values, and what is expected of them; null: not that."""
    expected = ""
    if part.lookup is not None:
        keys = pa.array(list(part.lookup), pa.string())
        values = pa.array(list(part.lookup.values()), pa.string()).take(pc.index_in(values, keys))
        expected = f"one of {', '.join(part.lookup)}"
    if pa.types.is_string(kind):
        return values, expected or "text"
    if pa.types.is_date32(kind):
        form = part.date or forms.date
        return _parsed(
            values, lambda texts: reading.dates(texts, replace(forms, date=form), None)
        ), expected or f"a date like {form}"
    if pa.types.is_boolean(kind):
        return _parsed(values, reading.booleans), expected or "sim or não"
    return _numbers(part, values, forms, expected)


def _numbers(part: Part, values: pa.Array, forms: Forms, expected: str) -> tuple[pa.Array, str]:
    factor = part.scale // 10**part.decimals
    if part.decimals:
        expected = expected or f"digits, the last {part.decimals} of them decimals"
        values = pc.if_else(pc.match_substring_regex(values, "^[+-]?[0-9]+$"), values, None)
    else:
        shown = "1" + (forms.thousands + "234" if forms.thousands else "234")
        expected = expected or f"a number like {shown}{forms.decimal + '56' if part.scale > 1 else ''}"
    if pc.all(pc.match_substring_regex(values, "^-?[0-9]{1,9}$"), min_count=0).as_py():
        return pc.multiply(values.cast(pa.int64()), factor), expected
    return _parsed(
        values, lambda texts: reading.integers(reading.decimals(texts, forms, floats=False), factor, None)
    ), expected


def _parsed(values: pa.Array, read: Callable[[pa.Array], Parsed]) -> pa.Array:
    """`read` takes no nulls: where a lookup found nothing, there is nothing to read."""
    if not values.null_count:
        return read(values).values
    parsed = read(pc.drop_null(values)).values
    places = np.cumsum(np.asarray(values.is_valid())) - 1
    return parsed.take(pa.array(places, mask=np.asarray(values.is_null())))
