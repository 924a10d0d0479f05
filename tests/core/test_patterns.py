"""Patterns: what the common part is, and that Python, RE2 and the column shapes agree inside it."""

import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filesync.contracts.patterns import Pattern, PatternError, compile_pattern
from filesync.contracts.textview import ShapeCheck, TextView


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("a.b", "'.' leaves out"),
        ("\\d", "does not mean the same everywhere"),
        ("[\\w]", "does not mean the same everywhere"),
        ("\\bx", "does not mean the same everywhere"),
        ("(a)\\1", "does not mean the same everywhere"),
        ("a\\", "does not mean the same everywhere"),
        ("\\-", "does not mean the same everywhere"),
        ("\\u0041", "does not mean the same everywhere"),
        ("(?=a)", "only plain groups"),
        ("(?!a)", "only plain groups"),
        ("(?<=a)b", "only plain groups"),
        ("(?P<n>a)", "only plain groups"),
        ("(?i)a", "only plain groups"),
        ("a**", "after a repetition"),
        ("a*?", "after a repetition"),
        ("a++", "after a repetition"),
        ("a{2}{3}", "after a repetition"),
        ("*a", "nothing to repeat"),
        ("{2}", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("a{,3}", "expected {m}"),
        ("a{x}", "expected {m}"),
        ("a{3,2}", "that rises"),
        ("a{1001}", "at most 1000"),
        ("a}", "must be written"),
        ("]", "must be written"),
        ("a^b", "'^' is only allowed at the start"),
        ("(^a)", "'^' is only allowed at the start"),
        ("a$b", "'$' is only allowed at the end"),
        ("a$$", "'$' is only allowed at the end"),
        ("(a$)", "'$' is not allowed inside a group"),
        ("(a", "never closed"),
        ("a)", "without '('"),
        ("(" * 30 + ")" * 30, "too deep"),
        ("[a", "never closed"),
        ("[]", "empty class"),
        ("[^]", "empty class"),
        ("[[]", "must be written"),
        ("[[:alpha:]]", "must be written"),
        ("[z-a]", "runs backwards"),
        ("[a-b-c]", "stands first, last"),
        ("[a--]", "stands first, last"),
        ("[a&&b]", "set operation"),
        ("[a||b]", "set operation"),
        ("é", "printable ASCII"),
        ("[é]", "printable ASCII"),
        ("a\nb", "printable ASCII"),
        ("a" * 1001, "at most 1000 characters"),
    ],
)
def test_outside_the_common_part(source: str, why: str) -> None:
    with pytest.raises(PatternError, match=re.escape(why)):
        compile_pattern(source)


@pytest.mark.parametrize(
    ("source", "found", "not_found"),
    [
        ("^[0-9]{5}$", ["12345"], ["12345\n", "x12345", "1234"]),
        ("^a|b$", ["ax", "xb"], ["xa", "bx", "xb\n"]),
        ("", ["", "x"], []),
        ("^$", [""], ["\n", "x"]),
        ("a|", ["", "b"], []),
        ("[^a]", ["b", "\n", "é", "😀", "\0"], ["a", ""]),
        ("^[^a]$", ["😀", "\n"], ["a", "😀😀", "b\n"]),
        ("^[-a]$", ["-", "a"], ["b"]),
        ("^[a-]$", ["-", "a"], ["b"]),
        ("^[+\\--\\/]$", ["+", "-", ".", "/"], [","]),
        ("^[\\]\\[\\^\\\\]$", ["]", "[", "^", "\\"], ["a"]),
        ("^\\$\\(\\)\\{\\}\\*\\+\\?\\.\\|\\/$", ["$(){}*+?.|/"], ["x"]),
        ("^(?:ab|c){2,}$", ["abc", "cc", "ababc"], ["c", "ab", "abcx"]),
        ("^(a|b(c|d)?)$", ["a", "b", "bd"], ["bcd", "c"]),
        ("^x{0}$", [""], ["x"]),
    ],
)
def test_what_matches(source: str, found: list[str], not_found: list[str]) -> None:
    pattern = compile_pattern(source)
    assert [text for text in found if not pattern.matches(text)] == []
    assert [text for text in not_found if pattern.matches(text)] == []
    texts = [*found, *not_found]
    assert pc.match_substring_regex(pa.array(texts), source).to_pylist() == [text in found for text in texts]


ALPHABET = "ab0-\n😀"
_chars = st.sampled_from(["a", "b", "0", "-", "\\.", "[ab]", "[^a]", "[0-9a]", "[^b-]", "\\-"[1:]])
_repeats = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}"])
_sources = st.recursive(
    st.builds("".join, st.lists(st.builds("{}{}".format, _chars, _repeats), max_size=4)),
    lambda inner: st.builds(
        "{}{}{}{}{}".format,
        inner,
        st.sampled_from(["(", "(?:"]),
        st.builds("|".join, st.lists(inner, min_size=1, max_size=3)),
        st.builds(")".__add__, _repeats),
        inner,
    ),
    max_leaves=4,
)
patterns = st.builds(
    "|".join,
    st.lists(
        st.builds("{}{}{}".format, st.sampled_from(["", "^"]), _sources, st.sampled_from(["", "$"])),
        min_size=1,
        max_size=2,
    ),
)


@settings(max_examples=400)
@given(patterns, st.lists(st.text(ALPHABET, max_size=6), min_size=1, max_size=10))
@example("^(a*)*$", ["a", "b"])
def test_the_engines_agree(source: str, texts: list[str]) -> None:
    pattern = compile_pattern(source)
    re2 = pc.match_substring_regex(pa.array(texts), source).to_pylist()
    assert re2 == [pattern.python.search(text) is not None for text in texts]
    assert re2 == [pattern.matches(text) for text in texts]
    if not pattern.admits_nul:
        assert not any(
            pattern.matches(text[:place] + "\0" + text[place:])
            for text in texts
            for place in range(len(text) + 1)
        )
    shape = ShapeCheck.of(pattern.shape)
    if shape is not None and shape.fits(TextView(pa.array(texts))):
        assert all(re2)


@pytest.mark.parametrize(
    ("source", "right", "wrong"),
    [
        ("^[0-9]{5}$", "12345", ["1234", "123456", "1234x", "1234é"]),
        ("^[A-Z]{2}[0-9a-f-]{3}$", "AB0f-", ["A00f-", "AB0g-", "ABC0f-"]),
        ("^[0-9A-Z]{1,3}$", "A1", ["", "A1B2", "a"]),
        ("^[0-9A-Za-z][0-9A-Za-z-]{0,19}$", "a-", ["-a", "", "a" * 21]),
        ("^[a-z]+$", "abc", ["", "A", "a\n"]),
        ("^x[a-z]{2,}$", "xyz", ["yyz", "xy"]),
    ],
)
@pytest.mark.parametrize("count", [1, 7, 5000])
def test_simple_shapes_are_told_without_re2(source: str, right: str, wrong: list[str], count: int) -> None:
    shape = ShapeCheck.of(compile_pattern(source).shape)
    assert shape is not None
    assert shape.fits(TextView(pa.array([right] * count)))
    assert shape.fits(TextView(pa.array([*wrong, *[right] * count]).slice(len(wrong))))
    for text in wrong:
        for place in {0, count // 2, count - 1}:
            texts = [right] * count
            texts[place] = text
            assert not shape.fits(TextView(pa.array(texts)))


@pytest.mark.parametrize("source", ["^(?:ab)$", "a", "^a", "[^a]", "^[^a]$", "^a*b*$", "^x[0-9]*$"])
def test_other_shapes_are_left_to_re2(source: str) -> None:
    assert ShapeCheck.of(compile_pattern(source).shape) is None


def test_a_text_cannot_hang_the_reference() -> None:
    pattern: Pattern = compile_pattern("^(?:a|a)*(?:a*)*b$")
    assert pattern.may_backtrack
    assert not pattern.matches("a" * 100_000)
