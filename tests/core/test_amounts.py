"""Money as people type it becomes centavos, or is refused; it is never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.cli.amounts import CENTAVOS_MAX, parse_centavos


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234,56", 123456), ("1.234,56", 123456), ("1234.56", 123456), ("1234", 123400), ("0", 0), ("0,05", 5), ("R$ 1.234.567,89", 123456789),
        (" 12,30 ", 1230), ("100000000000,00", CENTAVOS_MAX), ("0,29", 29), ("4.35", 435),
    ],
)  # fmt: skip
def test_what_is_money(text: str, value: int) -> None:
    assert parse_centavos(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "-1,00", "1.234", "1,234", "1,234.56", "12,5", "12.345,6", "1.23.456,00", "1e3", "NaN", "１２", "12,345", ",50", "1234,56 reais",
        "100000000000,01", "1 234,56",
    ],
)  # fmt: skip
def test_what_is_none_or_could_be_two(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        parse_centavos(text)


@given(st.integers(0, CENTAVOS_MAX))
def test_every_way_of_writing_it_is_the_same_amount(value: int) -> None:
    whole, part = divmod(value, 100)
    grouped = f"{whole:,}".replace(",", ".")
    assert {
        parse_centavos(f"{whole},{part:02d}"),
        parse_centavos(f"{whole}.{part:02d}"),
        parse_centavos(f"{grouped},{part:02d}"),
    } == {value}
