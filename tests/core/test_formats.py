"""Formats and check digits: known codes, python-stdnum as oracle, and whole columns against single texts."""

import numpy as np
import pyarrow as pa
import pytest
from contract_samples import FORMATS as EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import ean
from stdnum.br import cnpj, cpf

from filesync.contracts import formats
from filesync.contracts.formatmasks import FORMAT_MASKS
from filesync.contracts.formats import FORMATS
from filesync.contracts.textview import TextView


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        (
            "s10",
            ["JT365572014BR"],
            ["JT365572015BR", "jt365572014br", "JT365572014B", "JT 365572014 BR", "1T365572014BR", ""],
        ),
        (
            "cpf",
            ["39053344705", "00000000191"],
            ["390.533.447-05", "39053344750", "00000000000", "99999999999", "3905334470"],
        ),
        (
            "cnpj",
            ["34028316000103", "12ABC34501DE35"],
            ["34.028.316/0001-03", "12abc34501de35", "00000000000000", "12ABC34501DE3A"],
        ),
        ("cpf-cnpj", ["39053344705", "34028316000103", "12ABC34501DE35"], ["", "0", "3905334470512"]),
        (
            "gtin",
            ["7891000100103", "96385074", "036000291452", "17891000100100"],
            ["7891000100104", "9638507", "789100010010 "],
        ),
        ("cep", ["01310930", "00000000"], ["01310-930", "1310930", "01310930\n", "０１３１０９３０"]),
        (
            "uuid",
            ["0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d11", "0B5F1F3E-6A0A-4A7E-9F43-1C1F8A3F2D11"],
            ["{0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d11}", ""],
        ),
        (
            "date",
            ["2024-02-29", "0001-01-01", "9999-12-31"],
            ["0000-01-01", "2023-02-29", "20240229", "2024-W01-1", "2024-02-29\n"],
        ),
        (
            "date-time",
            ["2024-05-06T12:34:56-03:00", "1998-12-31T20:59:60-03:00"],
            ["2024-05-06T12:34:56", "1998-12-31T23:59:60-03:00"],
        ),
    ],
)
def test_known_texts(name: str, right: list[str], wrong: list[str]) -> None:
    assert [text for text in right if not FORMATS[name](text)] == []
    assert [text for text in wrong if FORMATS[name](text)] == []


@pytest.mark.parametrize(
    ("serial", "digit"),
    [("36557201", "4"), ("00000000", "5"), ("47312482", "9"), ("00000001", "4"), ("00000002", "8")],
)
def test_s10_check_digit(serial: str, digit: str) -> None:
    """By hand: the sum modulo 11; 0 gives 5, 1 gives 0."""
    total = sum(int(char) * weight for char, weight in zip(serial, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    assert {0: "5", 1: "0"}.get(total % 11, str(11 - total % 11)) == digit
    assert formats.s10_check_digit(serial) == digit


digits = st.text("0123456789", min_size=9, max_size=9)


@given(digits, st.integers(0, 99))
def test_cpf_as_stdnum(base: str, other: int) -> None:
    right = base + formats.cpf_check_digits(base)
    assert FORMATS["cpf"](right) == (len(set(right)) > 1)
    assert cpf.is_valid(right) or len(set(right)) == 1
    text = f"{base}{other:02}"
    assert FORMATS["cpf"](text) == (cpf.is_valid(text) and len(set(text)) > 1)


@given(
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=12)
    | st.text("0123456789", min_size=12, max_size=12),
    st.integers(0, 99),
)
def test_cnpj_as_stdnum(base: str, other: int) -> None:
    right = base + formats.cnpj_check_digits(base)
    zeros = right == "0" * 14
    assert FORMATS["cnpj"](right) is not zeros
    assert cnpj.is_valid(right) or zeros or base.startswith("00000000")
    text = f"{base}{other:02}"
    if not base.startswith("00000000"):  # stdnum also refuses a root of zeros, which was never issued
        assert FORMATS["cnpj"](text) == cnpj.is_valid(text)


@given(st.sampled_from([7, 11, 12, 13]), st.data())
def test_gtin_as_stdnum(length: int, data: st.DataObject) -> None:
    base = data.draw(st.text("0123456789", min_size=length, max_size=length))
    assert FORMATS["gtin"](base + formats.gtin_check_digit(base))
    text = base + data.draw(st.sampled_from("0123456789"))
    assert FORMATS["gtin"](text) == ean.is_valid(text)


@given(st.text("0123456789", min_size=8, max_size=8), st.sampled_from("0123456789"))
def test_s10_has_exactly_one_check_digit(serial: str, digit: str) -> None:
    assert FORMATS["s10"](f"AA{serial}{digit}BR") == (digit == formats.s10_check_digit(serial))


@st.composite
def near(draw: st.DrawFn, name: str) -> str:
    """A right text, or one with a character changed, added or left out."""
    text = draw(st.sampled_from(EXAMPLES[name]))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        char = draw(
            st.sampled_from(["", "0", "9", "A", "Z", "a", "-", ".", ":", "T", "é", "\n", "\0", "😀", " "])
        )
        text = text[:place] + char + text[place + draw(st.integers(0, 1)) :]
    return text


@pytest.mark.parametrize("name", FORMAT_MASKS)
@settings(max_examples=150)
@given(data=st.data())
def test_a_column_is_judged_as_its_texts_are(name: str, data: st.DataObject) -> None:
    texts = data.draw(st.lists(near(name), max_size=12))
    repeat = data.draw(st.sampled_from([1, 1, 1, 700]))  # beyond a block, and beyond a tile
    column = pa.array(texts * repeat + ["x"], pa.string()).slice(0, len(texts) * repeat)
    found = FORMAT_MASKS[name](TextView(column))
    expected = [FORMATS[name](text) for text in texts] * repeat
    assert (found.tolist() if found is not None else [True] * len(expected)) == expected
    assert (found is None) == all(expected)


def test_every_format_but_the_date_has_a_mask() -> None:
    assert set(FORMAT_MASKS) == set(FORMATS) - {"date"}


def test_check_digits_of_many_serials() -> None:
    """All remainders, each with the right digit and with the next one."""
    serials = [f"{number:08}" for number in range(0, 10**8, 99_991)]
    right = [f"AA{serial}{formats.s10_check_digit(serial)}BR" for serial in serials]
    wrong = [f"AA{serial}{(int(formats.s10_check_digit(serial)) + 1) % 10}BR" for serial in serials]
    found = FORMAT_MASKS["s10"](TextView(pa.array(right + wrong)))
    assert found is not None
    assert np.array_equal(found, np.arange(len(found)) < len(right))
