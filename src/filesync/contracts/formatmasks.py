"""Formats of whole text columns: the same rules as formats.py, from the same weights, in numpy.

Each function takes a view of a column without nulls and answers None where every text is right, or a mask of those that
are. Codes of one length are a matrix of bytes; arithmetic runs in blocks that stay in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filesync.contracts.formats import (
    CNPJ_WEIGHTS,
    CPF_WEIGHTS,
    DAYS_OF_MONTH,
    GTIN_LENGTHS,
    GTIN_WEIGHTS,
    S10_WEIGHTS,
    is_date_time,
)
from filesync.contracts.textview import Bytes, Mask, Template, TextView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from filesync.contracts.patterns import Ranges

_BLOCK_ROWS: Final = 8192
_DIGIT: Final[Ranges] = ((48, 57),)
_UPPER: Final[Ranges] = ((65, 90),)
_ALNUM: Final[Ranges] = ((48, 57), (65, 90))
_HEX: Final[Ranges] = ((48, 57), (65, 70), (97, 102))

# Expected check digit, as a character, for each remainder of 11.
_S10_DIGIT: Final = np.frombuffer(b"50987654321", dtype=np.uint8)
_BR_DIGIT: Final = np.frombuffer(b"00987654321", dtype=np.uint8)


def _weighted(block: Bytes, start: int, weights: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Sum of (character - 48) x weight from column `start` on; below 2^16 for every format here."""
    total = np.zeros(len(block), dtype=np.uint16)
    for place, weight in enumerate(weights, start):
        total += block[:, place] * np.uint16(weight)
    total -= np.uint16(48 * sum(weights))
    return total


def _s10(block: Bytes) -> Mask:
    right: Mask = _S10_DIGIT[_weighted(block, 2, S10_WEIGHTS) % np.uint16(11)] == block[:, 10]
    return right


def _two(block: Bytes, weights: tuple[tuple[int, ...], tuple[int, ...]]) -> Mask:
    right: Mask = np.ones(len(block), dtype=np.bool_)
    for row in weights:
        right &= _BR_DIGIT[_weighted(block, 0, row) % np.uint16(11)] == block[:, len(row)]
    same = np.flatnonzero((block[:, 0] == block[:, 1]) & (block[:, 1] == block[:, 2]))
    if len(same):
        right[same] &= (block[same] != block[same, :1]).any(axis=1)
    return right


def _cpf(block: Bytes) -> Mask:
    return _two(block, CPF_WEIGHTS)


def _cnpj(block: Bytes) -> Mask:
    return _two(block, CNPJ_WEIGHTS)


def _gtin(block: Bytes) -> Mask:
    length = block.shape[1]
    weights = tuple(GTIN_WEIGHTS[(length - 2 - place) % 2] for place in range(length - 1))
    right: Mask = (_weighted(block, 0, weights) + block[:, length - 1] - np.uint16(48)) % np.uint16(10) == 0
    return right


class _Code:
    """Texts of a few fixed lengths, each with a template and perhaps check digits."""

    __slots__ = ("_kinds",)

    def __init__(self, *kinds: tuple[list[Ranges], Callable[[Bytes], Mask] | None]) -> None:
        self._kinds = {len(classes): (Template(classes), digits) for classes, digits in kinds}

    def __call__(self, view: TextView) -> Mask | None:
        if not len(view):
            return None
        if view.shortest == view.longest and view.longest in self._kinds:
            return self._check(view.longest, view.matrix(view.longest))
        right = np.zeros(len(view), dtype=np.bool_)
        for length in self._kinds:
            places, matrix = view.rows_of(length)
            if len(places):
                found = self._check(length, matrix)
                right[places] = True if found is None else found
        return None if right.all() else right

    def _check(self, length: int, matrix: Bytes) -> Mask | None:
        template, digits = self._kinds[length]
        right = None if template.fits(matrix) else template.rows(matrix)
        if digits is not None:
            found = in_blocks(digits, matrix)
            right = found if right is None else right & found
        return None if right is None or right.all() else right


def in_blocks(check: Callable[[Bytes], Mask], matrix: Bytes) -> Mask:
    """`check` of all rows, a block at a time."""
    if len(matrix) <= _BLOCK_ROWS:
        return check(matrix)
    return np.concatenate(
        [check(matrix[start : start + _BLOCK_ROWS]) for start in range(0, len(matrix), _BLOCK_ROWS)]
    )


class _DateTime:
    """The usual spellings in numpy; others (lower case, odd fractions, leap seconds, year 0) one by one."""

    __slots__ = ("_layouts",)

    def __init__(self) -> None:
        pair = [_DIGIT, _DIGIT]
        colon, dash = [((58, 58),)], [((45, 45),)]
        local = [*pair, *pair, *dash, *pair, *dash, *pair, ((84, 84),), *pair, *colon, *pair, *colon, *pair]
        utc: list[Ranges] = [((90, 90),)]
        offset = [((43, 43), (45, 45)), *pair, *colon, *pair]
        fractions: tuple[list[Ranges], ...] = ([], [((46, 46),), *[_DIGIT] * 3], [((46, 46),), *[_DIGIT] * 6])
        kinds = [
            (Template([*local, *fraction, *zone]), moments)
            for fraction in fractions
            for zone, moments in ((utc, _local_moments), (offset, _offset_moments))
        ]
        self._layouts = {template.length: (template, moments) for template, moments in kinds}

    def __call__(self, view: TextView) -> Mask | None:
        if not len(view):
            return None
        right = np.zeros(len(view), dtype=np.bool_)
        if view.shortest == view.longest and view.longest in self._layouts:
            right = self._check(view.longest, view.matrix(view.longest))
        else:
            for length in self._layouts:
                places, matrix = view.rows_of(length)
                if len(places):
                    right[places] = self._check(length, matrix)
        doubtful = np.flatnonzero(~right)
        if len(doubtful):
            right[doubtful] = [is_date_time(text) for text in view.array.take(pa.array(doubtful)).to_pylist()]
        return None if right.all() else right

    def _check(self, length: int, matrix: Bytes) -> Mask:
        template, moments = self._layouts[length]
        right = in_blocks(moments, matrix)
        return right if template.fits(matrix) else right & template.rows(matrix)


_DAYS: Final = np.array([*DAYS_OF_MONTH, *([0] * (256 - len(DAYS_OF_MONTH)))], dtype=np.uint8)


def _local_moments(block: Bytes) -> Mask:
    """Whether date and time are in range, given that the template fits; False also where in doubt."""
    month, day = _pair(block, 5), _pair(block, 8)
    right: Mask = (_pair(block, 11) < 24) & (_pair(block, 14) < 60) & (_pair(block, 17) < 60)
    right &= (day >= 1) & (day <= _DAYS[month]) & (block[:, 0] != 48)
    leap_days = np.flatnonzero((month == 2) & (day == 29))
    if len(leap_days):
        year = _pair(block[leap_days], 0).astype(np.int64) * 100 + _pair(block[leap_days], 2)
        right[leap_days] &= (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return right


def _offset_moments(block: Bytes) -> Mask:
    """The same, with the offset that ends the text."""
    end = block.shape[1]
    return _local_moments(block) & (_pair(block, end - 5) < 24) & (_pair(block, end - 2) < 60)


def _pair(block: Bytes, place: int) -> Bytes:
    """The number of two digits; modulo 256 where they are no digits, which the template refuses."""
    number: Bytes = block[:, place] * np.uint8(10) + block[:, place + 1] - np.uint8(528 % 256)
    return number


_CPF_KIND: Final = ([_DIGIT] * 11, _cpf)
_CNPJ_KIND: Final = ([*[_ALNUM] * 12, *[_DIGIT] * 2], _cnpj)
_UUID: Final = [*[_HEX] * 8, *([((45, 45),), *[_HEX] * 4] * 3), ((45, 45),), *[_HEX] * 12]

FORMAT_MASKS: Final[Mapping[str, Callable[[TextView], Mask | None]]] = {
    "date-time": _DateTime(),
    "uuid": _Code((_UUID, None)),
    "s10": _Code(([*[_UPPER] * 2, *[_DIGIT] * 9, *[_UPPER] * 2], _s10)),
    "cpf": _Code(_CPF_KIND),
    "cnpj": _Code(_CNPJ_KIND),
    "cpf-cnpj": _Code(_CPF_KIND, _CNPJ_KIND),
    "gtin": _Code(*(([_DIGIT] * length, _gtin) for length in GTIN_LENGTHS)),
    "cep": _Code(([_DIGIT] * 8, None)),
}
