"""Formats of single texts, and the check digits of the trade. Pure Python; whole columns are in formatmasks.py.

One table of weights serves both. Sources: S10 (UPU S10-12), CPF and CNPJ (Receita Federal; the alphanumeric CNPJ of July 2026:
Nota Técnica Cocad 49/2024, the value of a character is its ASCII code minus 48), GTIN (GS1 General Specifications).
CPF, CNPJ, CEP and GTIN are written without punctuation, as they are stored.
What is not here: whether a code was ever issued.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

S10_WEIGHTS: Final = (8, 6, 4, 2, 3, 5, 9, 7)
CPF_WEIGHTS: Final = ((10, 9, 8, 7, 6, 5, 4, 3, 2), (11, 10, 9, 8, 7, 6, 5, 4, 3, 2))
CNPJ_WEIGHTS: Final = ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
GTIN_WEIGHTS: Final = (3, 1)  # from the digit left of the check digit towards the left, in turn
GTIN_LENGTHS: Final = (8, 12, 13, 14)
DAYS_OF_MONTH: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_s10 = re.compile("[A-Z]{2}([0-9]{8})([0-9])[A-Z]{2}").fullmatch
_cpf = re.compile("[0-9]{11}").fullmatch
_cnpj = re.compile("[0-9A-Z]{12}[0-9]{2}").fullmatch
_gtin = re.compile("[0-9]{8}|[0-9]{12,14}").fullmatch
_cep = re.compile("[0-9]{8}").fullmatch
_uuid = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}").fullmatch
_date = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_date_time = re.compile(
    "([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\\.[0-9]+)?"
    "(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
).fullmatch


def s10_check_digit(serial: str) -> str:
    """The check digit of an S10 code's eight digits."""
    remainder = _weighted(serial, S10_WEIGHTS) % 11
    return {0: "5", 1: "0"}.get(remainder, str(11 - remainder))


def cpf_check_digits(base: str) -> str:
    """The two check digits of a CPF's nine digits."""
    return _two_digits(base, CPF_WEIGHTS)


def cnpj_check_digits(base: str) -> str:
    """The two check digits of a CNPJ's twelve characters (0-9, A-Z)."""
    return _two_digits(base, CNPJ_WEIGHTS)


def gtin_check_digit(digits: str) -> str:
    """The check digit that follows `digits` (7, 11, 12 or 13 of them)."""
    weighted = sum(GTIN_WEIGHTS[place % 2] * (ord(char) - 48) for place, char in enumerate(reversed(digits)))
    return str(-weighted % 10)


def _weighted(text: str, weights: tuple[int, ...]) -> int:
    return sum((ord(char) - 48) * weight for char, weight in zip(text, weights, strict=True))


def _two_digits(base: str, weights: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    digits = ""
    for row in weights:
        remainder = _weighted(base + digits, row) % 11
        digits += "0" if remainder < 2 else str(11 - remainder)
    return digits


def is_s10(text: str) -> bool:
    found = _s10(text)
    return found is not None and found[2] == s10_check_digit(found[1])


def is_cpf(text: str) -> bool:
    """Eleven digits that are not all equal, with right check digits."""
    return _cpf(text) is not None and text != text[0] * 11 and text[9:] == cpf_check_digits(text[:9])


def is_cnpj(text: str) -> bool:
    """Twelve of 0-9A-Z that are not all one digit, and two check digits."""
    return _cnpj(text) is not None and text != text[0] * 14 and text[12:] == cnpj_check_digits(text[:12])


def is_cpf_or_cnpj(text: str) -> bool:
    return is_cpf(text) or is_cnpj(text)


def is_gtin(text: str) -> bool:
    return _gtin(text) is not None and text[-1] == gtin_check_digit(text[:-1])


def is_cep(text: str) -> bool:
    return _cep(text) is not None


def is_uuid(text: str) -> bool:
    return _uuid(text) is not None


def is_date(text: str) -> bool:
    """RFC 3339 full-date, years 0001 to 9999."""
    if _date(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    """RFC 3339 date-time with its offset. Second 60 only where UTC has leap seconds, at the end of 23:59."""
    found = _date_time(text)
    if found is None or not is_date(found[1]):
        return False
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    off_hour, off_minute = int(found[6] or 0), int(found[7] or 0)
    if hour > 23 or minute > 59 or second > 60 or off_hour > 23 or off_minute > 59:
        return False
    if second < 60:
        return True
    offset = (off_hour * 60 + off_minute) * (-1 if found[5] == "-" else 1)
    return (hour * 60 + minute - offset) % 1440 == 1439


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {
    "date": is_date,
    "date-time": is_date_time,
    "uuid": is_uuid,
    "s10": is_s10,
    "cpf": is_cpf,
    "cnpj": is_cnpj,
    "cpf-cnpj": is_cpf_or_cnpj,
    "gtin": is_gtin,
    "cep": is_cep,
}
