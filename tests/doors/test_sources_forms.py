"""Locale forms, exactly: text to decimal to scaled integer, dates, date-times, truth values."""

from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.sources.forms import (
    Forms,
    Parsed,
    booleans,
    dates,
    datetimes,
    decimals,
    integers,
    product,
    texts,
)

BRAZIL = Forms(decimal=",", thousands=".", date="dd/mm/aaaa", datetime="dd/mm/aaaa HH:MM:SS", offset="-03:00")
PLAIN = Forms()
BAD = "bad"  # where a fault has to be


def outcome(parsed: Parsed) -> list[Any]:
    """The values; BAD where a fault says why there is none. A null without a fault stays None, and would be a
    test's failure.
    """
    found: list[Any] = parsed.values.to_pylist()
    for fault in parsed.faults:
        for place in fault.mask.nonzero()[0].tolist():
            assert found[place] is None or found[place] == BAD, "a value with a fault is still there"
            found[place] = BAD
    return found


def numbers(text: str, forms: Forms, scale: int = 1, rounding: str | None = None) -> Any:
    [found] = outcome(
        integers(decimals(pa.array([text]), forms, floats=rounding is not None), scale, rounding)
    )
    return found


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("1.234,56", 100, 123456),
        ("1234,56", 100, 123456),
        ("-0,01", 100, -1),
        ("+7", 100, 700),
        (" 7,5 ", 10, 75),
        (",50", 100, 50),
        ("007", 1, 7),
        ("1.234.567", 1, 1234567),
        ("9.007.199.254.740.993,01", 100, 900719925474099301),  # a float would make ...299
        ("0,000000000001", 10**9, BAD),
        ("1,5000", 10, 15),
        ("1.5", 10, BAD),  # no group of three: neither 15 nor 1,5 is meant for certain
        ("12.34,5", 10, BAD),
        ("1,234,5", 10, BAD),
        ("1.234.56", 1, BAD),
        ("12,345", 100, BAD),
        ("R$ 5", 1, BAD),
        ("5-", 1, BAD),
        ("1e3", 1, BAD),
        ("NaN", 1, BAD),
        ("١٢", 1, BAD),  # digits, but not ours
        ("9223372036854775807", 1, 2**63 - 1),
        ("9223372036854775808", 1, BAD),
        ("1" + "0" * 25, 1, BAD),
        ("0,1234567890123", 1, BAD),
    ],
)
def test_numbers_in_brazilian_form(text: str, scale: int, value: Any) -> None:
    assert numbers(text, BRAZIL, scale) == value


@pytest.mark.parametrize(
    ("rounding", "values"),
    [("half-even", [2, 4, -2, 3]), ("half-up", [3, 4, -3, 3]), ("down", [2, 3, -2, 2])],
)
def test_rounding_only_as_stated(rounding: str, values: list[int]) -> None:
    given = ["0.025", "0.035", "-0.025", "0.0251"]
    assert [numbers(text, PLAIN, 100, rounding) for text in given] == values
    assert [numbers(text, PLAIN, 100) for text in given] == [BAD] * 4


@given(
    st.decimals(min_value=-(10**12), max_value=10**12, places=6, allow_nan=False),
    st.sampled_from([1, 100, 1000]),
    st.sampled_from([("half-even", ROUND_HALF_EVEN), ("half-up", ROUND_HALF_UP), ("down", ROUND_DOWN)]),
)
def test_numbers_agree_with_decimal(value: Decimal, scale: int, rounding: tuple[str, str]) -> None:
    brazilian = f"{value:,.6f}".replace(",", "_").replace(".", ",").replace("_", ".")
    exact = value * scale
    assert numbers(brazilian, BRAZIL, scale, rounding[0]) == int(exact.quantize(Decimal(1), rounding[1]))
    assert numbers(brazilian, BRAZIL, scale) == (int(exact) if exact == int(exact) else BAD)


@given(
    st.decimals(min_value=-(10**6), max_value=10**6, places=3),
    st.decimals(min_value=-(10**6), max_value=10**6, places=4),
)
def test_products_are_exact(first: Decimal, second: Decimal) -> None:
    factors = [decimals(pa.array([str(value)]), PLAIN, floats=False) for value in (first, second)]
    [found] = outcome(integers(product(*factors), 100, "half-even"))
    assert found == int((first * second * 100).quantize(Decimal(1), ROUND_HALF_EVEN))


def test_a_long_decimal_keeps_every_digit_as_text() -> None:
    long = Decimal("1234567890123456789012345678901234.50")
    assert texts(pa.array([long], pa.decimal128(38, 2)), Forms()).values.to_pylist() == [str(long)[:-1]]


def test_typed_columns() -> None:
    def read(values: pa.Array, *, rounding: str | None = None, scale: int = 100) -> list[Any]:
        return outcome(integers(decimals(values, BRAZIL, floats=rounding is not None), scale, rounding))

    assert read(pa.array([1, -2], pa.int8())) == [100, -200]
    assert read(pa.array([2**64 - 1], pa.uint64()), scale=1) == [BAD]
    assert read(pa.array([Decimal("1.50"), Decimal("-0.05")])) == [150, -5]
    assert read(pa.array([Decimal("0.005")])) == [BAD]
    assert read(pa.array([Decimal("1E-20")], pa.decimal128(38, 20))) == [BAD]
    assert read(pa.array([1.5])) == [BAD]  # a float is not exact, whatever it happens to hold
    assert read(pa.array([2.675, 1.005, 1e-9]), rounding="half-up") == [
        268,
        101,
        0,
    ]  # the shortest decimal, not the binary
    assert read(pa.array([float("nan"), float("inf"), 1e300]), rounding="half-up") == [BAD] * 3
    assert read(pa.array([True])) == [BAD]
    assert read(pa.array([date(2025, 1, 1)])) == [BAD]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, True) for text in ("sim", "SIM", "s", "true", "1", " Sim ")],
        *[(text, False) for text in ("não", "NÃO", "nao", "n", "false", "0")],
        *[(text, BAD) for text in ("talvez", "2", "-1", "x")],
    ],
)
def test_truth(text: str, value: Any) -> None:
    assert outcome(booleans(pa.array([text]))) == [value]


def test_truth_of_typed_columns() -> None:
    assert outcome(booleans(pa.array([True, False]))) == [True, False]
    assert outcome(booleans(pa.array([1, 0, 2]))) == [True, False, BAD]
    assert outcome(booleans(pa.array([1.0]))) == [BAD]


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ("dd/mm/aaaa", "31/12/2025", date(2025, 12, 31)),
        ("dd/mm/aaaa", " 01/02/2025 ", date(2025, 2, 1)),
        ("dd/mm/aaaa", "1/2/2025", BAD),
        ("d/m/aaaa", "1/2/2025", date(2025, 2, 1)),
        ("dd/mm/aaaa", "31/02/2025", BAD),
        ("dd/mm/aaaa", "29/02/2024", date(2024, 2, 29)),
        ("dd/mm/aaaa", "29/02/1900", BAD),
        ("dd/mm/aaaa", "00/01/2025", BAD),
        ("dd/mm/aaaa", "01/13/2025", BAD),
        ("dd/mm/aaaa", "01/01/0000", BAD),
        ("dd/mm/aaaa", "31/12/2025 10:00", BAD),
        ("dd/mm/aaaa", "2025-12-31", BAD),
        ("aaaammdd", "20251231", date(2025, 12, 31)),
        ("dd.mm.aa", "31.12.25", date(2025, 12, 31)),
        ("dd.mm.aa", "31x12x25", BAD),
        ("aaaa-mm-dd", "2025-12-31", date(2025, 12, 31)),
    ],
)
def test_dates(form: str, text: str, value: Any) -> None:
    assert outcome(dates(pa.array([text]), Forms(date=form), None)) == [value]


def test_a_day_of_a_date_time_is_taken_only_where_the_mapping_says_so() -> None:
    naive = pa.array([datetime(2025, 12, 31, 23, 30)], pa.timestamp("ms"))
    assert outcome(dates(naive, BRAZIL, None)) == [BAD]
    assert outcome(dates(naive, BRAZIL, "datetime")) == [date(2025, 12, 31)]
    instant = pa.array([datetime(2026, 1, 1, 2, 30)], pa.timestamp("us", "UTC"))  # still the 31st at the till
    assert outcome(dates(instant, BRAZIL, "datetime")) == [date(2025, 12, 31)]
    assert outcome(dates(pa.array(["31/12/2025 23:30:00"]), BRAZIL, "datetime")) == [date(2025, 12, 31)]
    assert outcome(dates(pa.array(["31122025"]), BRAZIL, "ddmmaaaa")) == [date(2025, 12, 31)]
    assert outcome(dates(pa.array([20251231]), BRAZIL, None)) == [BAD]


@given(st.dates(min_value=date(1, 1, 1)), st.integers(0, 99), st.integers(0, 39))
def test_dates_agree_with_the_calendar(day: date, month: int, number: int) -> None:
    assert outcome(dates(pa.array([f"{day:%d/%m/}{day.year:04}"]), BRAZIL, None)) == [day]
    try:
        wanted: Any = date(day.year, month, number)
    except ValueError:
        wanted = BAD
    assert outcome(dates(pa.array([f"{number:02}/{month:02}/{day.year:04}"]), BRAZIL, None)) == [wanted]


@pytest.mark.parametrize(
    ("forms", "text", "value"),
    [
        (BRAZIL, "31/12/2025 10:22:05", "2025-12-31T10:22:05-03:00"),
        (BRAZIL, "31/12/2025 24:00:00", BAD),
        (BRAZIL, "31/12/2025 10:60:00", BAD),
        (BRAZIL, "31/02/2025 10:00:00", BAD),
        (BRAZIL, "31/12/2025", BAD),
        (Forms(datetime="d/m/aaaa H:MM", offset="-03:00"), "1/2/2025 9:05", "2025-02-01T09:05:00-03:00"),
        (
            Forms(datetime="aaaammddHHMMSSfff", offset="+00:00"),
            "20250201090507123",
            "2025-02-01T09:05:07.123+00:00",
        ),
        (Forms(offset="-03:00"), "2025-02-01T09:05", "2025-02-01T09:05:00-03:00"),
        (Forms(offset="-03:00"), "2025-02-01 09:05:01.5", "2025-02-01T09:05:01.5-03:00"),
        (Forms(offset="-03:00"), "2025-02-01 09:05:01.000", "2025-02-01T09:05:01-03:00"),
        (Forms(offset="-03:00"), "2025-02-01T09:05:01Z", "2025-02-01T09:05:01Z"),
        (PLAIN, "2025-02-01T09:05:01+05:30", "2025-02-01T09:05:01+05:30"),
        (PLAIN, "2025-02-01T09:05:01", BAD),
        (PLAIN, "2025-02-01T09:05:01+25:00", BAD),
    ],
)
def test_date_times(forms: Forms, text: str, value: Any) -> None:
    assert outcome(datetimes(pa.array([text]), forms)) == [value]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps(unit: str) -> None:
    naive = pa.array([datetime(2010, 12, 1, 8, 26)], pa.timestamp(unit))
    assert outcome(datetimes(naive, Forms(offset="+00:00"))) == ["2010-12-01T08:26:00+00:00"]
    assert outcome(datetimes(naive, PLAIN)) == [BAD]
    instant = pa.array([datetime(2026, 1, 1, 2, 30)], pa.timestamp(unit, "America/Sao_Paulo"))
    assert outcome(datetimes(instant, BRAZIL)) == ["2025-12-31T23:30:00-03:00"]
    assert outcome(datetimes(instant, PLAIN)) == ["2026-01-01T02:30:00+00:00"]


@given(
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
)
def test_instants_stay_the_same_instant(moment: datetime, minutes: int) -> None:
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    [found] = outcome(datetimes(pa.array([moment], pa.timestamp("us", "UTC")), Forms(offset=offset)))
    read = datetime.fromisoformat(found)
    assert read.utcoffset() == timedelta(minutes=minutes)
    assert read.replace(tzinfo=None) - timedelta(minutes=minutes) == moment


def test_texts_of_typed_columns() -> None:
    assert outcome(texts(pa.array([7, -7]), BRAZIL)) == ["7", "-7"]
    assert outcome(texts(pa.array([Decimal("10.50"), Decimal("1E-8"), Decimal(7)]), BRAZIL)) == [
        "10,5",
        "0,00000001",
        "7",
    ]
    assert outcome(texts(pa.array([True]), BRAZIL)) == ["true"]
    assert outcome(texts(pa.array([date(2025, 1, 2)]), BRAZIL)) == ["2025-01-02"]
    assert outcome(texts(pa.array([1.0]), BRAZIL)) == [BAD]
    assert outcome(texts(pa.array(["0007"]), BRAZIL)) == ["0007"]
    assert outcome(texts(pa.array([b"\xff"]), BRAZIL)) == [BAD]
