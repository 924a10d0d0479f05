"""How a source writes its numbers, dates, times and truth values, and reading them exactly. Pure, over whole
Arrow arrays.

- Numbers go from text to decimal to the scaled integer; no value ever passes through a float. A float column
  is read only where the mapping says `round`, and then by its shortest decimal form (2.675 is 2.675).
- Nothing is rounded, clipped or guessed: what does not fit is null in the result, and a `Fault` says which
  values and why.
- A form is written with dd, d, mm, m, aaaa (or yyyy), aa (2000 to 2099), HH, H, MM, SS, fff; anything else
  stands for itself. Months are small, minutes are capital. Without a `datetime` form, date-times are ISO
  8601.
- A date-time gets the stated offset; the offset of a value that carries its own is kept. Time zone databases
  are not used (Windows has none).

Arrays have no nulls on the way in: empty cells were taken out before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: decimal256 holds 76 digits.
_WIDEST: Final = Context(prec=76)

DECIMAL: Final = pa.decimal256(
    32, 12
)  # 20 digits before the point hold every int64; two of them and a scale fit 76 digits
ISO_DATE: Final = "aaaa-mm-dd"
_ISO_DATETIME: Final = (
    "^(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})[T ](?P<H>[0-9]{2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?P<f>\\.[0-9]{1,9})?)?"
    "(?P<z>Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?$"
)
_TOKENS: Final = {
    "aaaa": "(?P<y>[0-9]{4})",
    "yyyy": "(?P<y>[0-9]{4})",
    "aa": "(?P<yy>[0-9]{2})",
    "dd": "(?P<d>[0-9]{2})",
    "d": "(?P<d>[0-9]{1,2})",
    "mm": "(?P<m>[0-9]{2})",
    "m": "(?P<m>[0-9]{1,2})",
    "HH": "(?P<H>[0-9]{2})",
    "H": "(?P<H>[0-9]{1,2})",
    "MM": "(?P<M>[0-9]{2})",
    "SS": "(?P<S>[0-9]{2})",
    "fff": "(?P<f>[0-9]{1,9})",
}
_TOKEN = re.compile("aaaa|yyyy|aa|dd|d|mm|m|HH|H|MM|SS|fff")
_TRUE: Final = ("sim", "s", "true", "1")
_FALSE: Final = ("não", "nao", "n", "false", "0")
_ROUND_MODES: Final = {
    "half-even": "half_to_even",
    "half-up": "half_towards_infinity",
    "down": "towards_zero",
}


@dataclass(frozen=True, slots=True)
class Forms:
    """A source's way of writing. `offset` is what its clock shows, since its date-times do not say so."""

    decimal: str = "."
    thousands: str = ""
    date: str = ISO_DATE
    datetime: str | None = None
    offset: str | None = None


class Target(Enum):
    """What a field holds."""

    TEXT = "text"
    INTEGER = "a whole number"
    BOOLEAN = "true or false"
    DATE = "a date"
    DATETIME = "a date-time with offset"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why some values cannot be read: a mask over the array."""

    mask: np.ndarray[Any, np.dtype[np.bool_]]
    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """`values` is as long as the input, null where a fault says why."""

    values: pa.Array
    faults: tuple[Fault, ...] = ()


def form_problem(form: str, *, with_time: bool = False) -> str | None:
    """What is wrong with a form, or None."""
    names = re.findall(r"\?P<(\w+)>", _pattern(form))
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        return f"{form!r} names a part twice"
    if len({"y", "yy"} & set(names)) != 1 or not {"m", "d"} <= set(names):
        return f"{form!r} needs a year, a month and a day (aaaa, mm, dd); months are small letters, minutes capital"
    if with_time and not {"H", "M"} <= set(names):
        return f"{form!r} needs hours and minutes (HH, MM)"
    return None


@lru_cache(maxsize=64)
def _pattern(form: str) -> str:
    parts, end = [], 0
    for found in _TOKEN.finditer(form):
        parts += [re.escape(form[end : found.start()]), _TOKENS[found[0]]]
        end = found.end()
    return "^" + "".join(parts) + re.escape(form[end:]) + "$"


def texts(values: pa.Array, forms: Forms) -> Parsed:
    """Values as text: numbers in the source's own form, dates and times in ISO form. Floats have no exact
    text.
    """
    kind = values.type
    if pa.types.is_string(kind):
        return Parsed(values)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return Parsed(values.cast(pa.string()))
    if pa.types.is_integer(kind) or pa.types.is_date32(kind):
        return Parsed(values.cast(pa.string()))
    if pa.types.is_boolean(kind):
        return Parsed(pc.if_else(values, "true", "false"))
    if pa.types.is_decimal(kind):
        # Not Arrow's own cast, which writes 1E-7; and without trailing zeros, which depend on the other rows'
        # decimals. In a context wide enough: Decimal's own rounds beyond 28 digits and says nothing.
        plain = [
            format(value.normalize(_WIDEST), "f").replace(".", forms.decimal) for value in values.to_pylist()
        ]
        return Parsed(pa.array(plain, pa.string()))
    if pa.types.is_date64(kind):
        return Parsed(values.cast(pa.date32()).cast(pa.string()))
    if pa.types.is_timestamp(kind):
        return datetimes(values, forms) if kind.tz else Parsed(_clock_text(values))
    return _none(values, pa.string(), f"the column is {kind}, which has no exact text")


def decimals(values: pa.Array, forms: Forms, *, floats: bool) -> Parsed:
    """Exact decimals with up to 20 digits before and 12 after the point. `floats` says that the mapping
    rounds.
    """
    kind = values.type
    if pa.types.is_integer(kind):
        return Parsed(values.cast(DECIMAL))
    if pa.types.is_decimal(kind) and kind.scale <= DECIMAL.scale and kind.precision - kind.scale <= 20:
        return Parsed(values.cast(DECIMAL))
    if pa.types.is_floating(kind):
        if not floats:
            return _none(
                values,
                DECIMAL,
                f'the column is {kind}, which is not exact: write round = "half-even" to accept that',
            )
        return _from_floats(values.cast(pa.float64()))
    if pa.types.is_decimal(kind) or _is_text(kind):
        return _from_text(texts(values, forms).values, forms)
    return _none(values, DECIMAL, f"is not a number (the column is {kind})")


def _from_text(values: pa.Array, forms: Forms) -> Parsed:
    text = pc.utf8_trim_whitespace(values)
    point, group = re.escape(forms.decimal), re.escape(forms.thousands)
    whole = f"(?:[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+)" if group else "[0-9]+"
    well = pc.match_substring_regex(text, f"^[+-]?(?:{whole}(?:{point}[0-9]+)?|{point}[0-9]+)$")
    plain = pc.replace_substring(text, forms.thousands, "") if group else text
    plain = pc.replace_substring(plain, forms.decimal, ".") if forms.decimal != "." else plain
    fits = pc.match_substring_regex(plain, "^[+-]?0*[0-9]{0,20}(?:\\.[0-9]{0,12})?$")
    plain = pc.utf8_ltrim(pc.if_else(pc.and_(well, fits), plain, None), "+")
    shown = "1" + (forms.thousands + "234" if group else "234") + forms.decimal + "56"
    faults = [
        Fault(_false(well), f"is not a number written like {shown}"),
        Fault(
            _false(pc.or_(fits, pc.invert(well))),
            "has more digits than 20 before and 12 after the decimal mark",
        ),
    ]
    return _parsed(plain.cast(DECIMAL), faults)


def _from_floats(values: pa.Array) -> Parsed:
    sane = pc.and_(pc.is_finite(values), pc.less(pc.abs(values), 1e18))
    text = pc.if_else(sane, values, None).cast(pa.string())
    short = pc.invert(pc.match_substring(text, "e"))
    digits = pc.and_(short, pc.match_substring_regex(text, "^-?[0-9]+(?:\\.[0-9]{0,12})?$"))
    by_text = pc.if_else(digits, text, None).cast(DECIMAL)
    # 1e-07 and numbers of many digits: the cast, which rounds to 12 places; the mapping rounds further
    # anyway.
    by_cast = pc.if_else(pc.and_(sane, pc.invert(pc.fill_null(digits, False))), values, None).cast(
        DECIMAL, safe=False
    )
    return _parsed(pc.coalesce(by_text, by_cast), [Fault(_false(sane), "is not a finite number below 10^18")])


def integers(numbers: Parsed, scale: int, rounding: str | None) -> Parsed:
    """Decimals times `scale` as int64."""
    scaled = (
        pc.multiply(numbers.values, pa.scalar(Decimal(scale), pa.decimal256(10, 0)))
        if scale != 1
        else numbers.values
    )
    mode = _ROUND_MODES[rounding] if rounding else "towards_zero"
    whole = pc.round(scaled, 0, round_mode=mode)
    exact = pc.is_valid(whole) if rounding else pc.equal(whole, scaled)
    bound = pa.scalar(Decimal(2**63 - 1), pa.decimal256(20, 0))
    small = pc.less_equal(pc.abs(whole), bound)
    values = pc.if_else(pc.and_(exact, small), whole, None).cast(pa.int64())
    hint = f"times {scale} is not a whole number" if scale != 1 else "is not a whole number"
    faults = [
        Fault(_is_false(exact), f'{hint}: correct the value, the scale, or write round = "half-even"'),
        Fault(_is_false(small), "is too large"),
    ]
    return _parsed(values, [*numbers.faults, *faults])


def product(first: Parsed, second: Parsed) -> Parsed:
    """The exact product; a fault of either factor is one of the product."""
    return Parsed(pc.multiply(first.values, second.values), first.faults + second.faults)


def booleans(values: pa.Array) -> Parsed:
    """sim/não, s/n, true/false, 1/0, in any case."""
    if pa.types.is_boolean(values.type):
        return Parsed(values)
    if pa.types.is_floating(values.type) or not (pa.types.is_integer(values.type) or _is_text(values.type)):
        return _none(values, pa.bool_(), f"is not true or false (the column is {values.type})")
    text = pc.utf8_lower(pc.utf8_trim_whitespace(values.cast(pa.string())))
    yes, no = pc.is_in(text, pa.array(_TRUE)), pc.is_in(text, pa.array(_FALSE))
    known = pc.or_(yes, no)
    return _parsed(pc.if_else(known, yes, None), [Fault(_false(known), "is not sim/não, true/false or 1/0")])


def dates(values: pa.Array, forms: Forms, read_as: str | None) -> Parsed:
    """Dates, in the source's date form, or the day of a date-time where the mapping says `as =
    "datetime"`.
    """
    kind = values.type
    if pa.types.is_date(kind):
        return Parsed(values.cast(pa.date32()))
    if pa.types.is_timestamp(kind):
        if read_as != "datetime":
            return _none(values, pa.date32(), 'is a date-time: write as = "datetime" to take its day')
        return Parsed(_on_site(values, forms).cast(pa.date32(), safe=False))
    if not _is_text(kind):
        return _none(values, pa.date32(), f"is not a date (the column is {kind})")
    text = pc.utf8_trim_whitespace(values)
    if read_as == "datetime":
        parts = pc.extract_regex(text, _pattern(forms.datetime) if forms.datetime else _ISO_DATETIME)
        shape = forms.datetime or "aaaa-mm-ddTHH:MM:SS"
    else:
        shape = forms.date if read_as in (None, "date") else str(read_as)
        parts = pc.extract_regex(text, _pattern(shape))
    days, real = _days(parts)
    faults = [
        Fault(_false(pc.is_valid(parts)), f"is not written like {shape}"),
        Fault(_false(pc.or_(real, pc.is_null(parts))), "is not a day or time that exists"),
    ]
    return _parsed(pc.if_else(real, days, None), faults)


def datetimes(values: pa.Array, forms: Forms) -> Parsed:
    """Date-times as ISO 8601 text with offset."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None and forms.offset is None:
            return _none(
                values, pa.string(), 'has no offset: write offset = "-03:00" (what the source\'s clock shows)'
            )
        clock = _clock_text(_on_site(values, forms))
        return Parsed(pc.binary_join_element_wise(clock, forms.offset or "+00:00", ""))
    if not _is_text(kind):
        return _none(values, pa.string(), f"is not a date-time (the column is {kind})")
    text = pc.utf8_trim_whitespace(values)
    parts = pc.extract_regex(text, _pattern(forms.datetime) if forms.datetime else _ISO_DATETIME)
    matched = pc.is_valid(parts)
    days, real = _days(parts)
    names = [parts.type.field(i).name for i in range(parts.type.num_fields)]
    own = pc.struct_field(parts, "z") if "z" in names else pa.array([""] * len(values), pa.string())
    stated = pc.not_equal(own, "")
    offset = pc.if_else(stated, own, forms.offset) if forms.offset else pc.if_else(stated, own, None)
    clock = pc.binary_join_element_wise(*(_two(parts, names, part) for part in "HMS"), ":")
    if "f" in names:
        # All zeros are left out, as of a timestamp: the same moment has one text.
        fraction = pc.replace_substring_regex(pc.struct_field(parts, "f"), "^\\.?0*$", "")
        fraction = pc.utf8_ltrim(fraction, ".")
        clock = pc.if_else(pc.equal(fraction, ""), clock, pc.binary_join_element_wise(clock, fraction, "."))
    whole = pc.binary_join_element_wise(days.cast(pa.string()), pa.scalar("T"), clock, offset, "")
    placed = pc.is_valid(offset)
    faults = [
        Fault(_false(matched), f"is not written like {forms.datetime or 'aaaa-mm-ddTHH:MM:SS'}"),
        Fault(_false(pc.or_(real, pc.invert(matched))), "is not a day or time that exists"),
        Fault(
            _false(pc.or_(placed, pc.invert(matched))),
            'has no offset: write offset = "-03:00" (what the source\'s clock shows)',
        ),
    ]
    return _parsed(pc.if_else(pc.and_(real, placed), whole, None), faults)


def _days(parts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(date32, whether day and time exist) of a struct of matched digits. Not strptime: it takes the 31st of
    February.
    """
    names = [parts.type.field(i).name for i in range(parts.type.num_fields)]
    valid = parts.is_valid().to_numpy(zero_copy_only=False)

    def number(name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        if name not in names:
            return np.zeros(len(parts), np.int64)
        digits = pc.struct_field(parts, name)
        digits = pc.if_else(pc.equal(pc.fill_null(digits, ""), ""), "0", digits)
        return np.asarray(digits.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)

    year = number("y") if "y" in names else 2000 + number("yy")
    month, day = number("m"), number("d")
    real = valid & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    real &= (number("H") <= 23) & (number("M") <= 59) & (number("S") <= 59)
    start = ((np.where(real, year, 1970) - 1970) * 12 + np.where(real, month, 1) - 1).astype("datetime64[M]")
    length = ((start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64)
    real &= day <= length
    days = start.astype("datetime64[D]") + np.where(real, day - 1, 0)
    return pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32()), pa.array(real)


def _two(parts: pa.Array, names: list[str], part: str) -> pa.Array:
    if part not in names:
        return pa.array(["00"] * len(parts), pa.string())
    digits = pc.struct_field(parts, part)
    return pc.utf8_lpad(pc.if_else(pc.equal(digits, ""), "00", digits), 2, "0")


def _on_site(values: pa.Array, forms: Forms) -> pa.Array:
    """Naive time as the source's clock shows it. An instant with a time zone is UTC inside; moving it needs
    only the offset.
    """
    kind = values.type
    if kind.tz is None:
        return values
    naive = values.view(pa.int64()).view(pa.timestamp(kind.unit))
    sign, hours, minutes = 1, 0, 0
    if forms.offset:
        sign, hours, minutes = (
            (-1 if forms.offset[0] == "-" else 1),
            int(forms.offset[1:3]),
            int(forms.offset[4:6]),
        )
    shift = pa.scalar(sign * (hours * 3600 + minutes * 60), pa.duration("s"))
    return pc.add(naive, shift.cast(pa.duration(kind.unit)))


def _clock_text(values: pa.Array) -> pa.Array:
    text = pc.replace_substring(values.cast(pa.string()), " ", "T")
    return pc.replace_substring_regex(text, "\\.0+$", "")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _parsed(values: pa.Array, faults: list[Fault]) -> Parsed:
    return Parsed(values, tuple(fault for fault in faults if fault.mask.any()))


def _none(values: pa.Array, kind: pa.DataType, reason: str) -> Parsed:
    return Parsed(pa.nulls(len(values), kind), (Fault(np.ones(len(values), np.bool_), reason),))


def _false(mask: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a mask does not hold; unknown does not hold."""
    return ~np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), np.bool_)


def _is_false(mask: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a mask is known not to hold: nulls have their fault already."""
    return ~np.asarray(pc.fill_null(mask, True).to_numpy(zero_copy_only=False), np.bool_)
