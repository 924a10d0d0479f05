"""The part of regular expressions that means the same to ECMA-262, Python's `re` and RE2. Pure.

- Literals, escaped punctuation, ASCII classes (also negated), groups, `|`, `*`, `+`, `?`, `{m}`, `{m,}`, `{m,n}`.
- `^` only at the start and `$` only at the end, of the pattern or of an alternative that is in no group.
- `$` is the end of the text and nothing else: Python's `$` also matches before a last newline, and so lets
  "01310930\\n" through; here it is written `\\Z` before Python sees it.
- ASCII only. No `\\d \\w \\s \\b .`, no look-around, back references, lazy or possessive repetition: on each of them
  two of the three engines disagree, in what they match or in how long they take.

What is not here: matching a whole column (textview.py for simple shapes, RE2 in masks.py for the rest).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

REPEAT_MAX: Final = 1000  # RE2 refuses more
PATTERN_CHARS_MAX: Final = 1000
_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")  # what ECMA-262 (flag u) lets one escape
_DOUBLED: Final = ("&&", "||", "~~", "--")  # set operations, in the future of Python and with ECMA's flag v


class PatternError(ValueError):
    """The pattern leaves the common part; the message says where and why."""


Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Class:
    """One character out of ASCII `ranges` (sorted, not touching), or, `negated`, any other character of Unicode."""

    ranges: Ranges
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    alternatives: tuple[tuple[Repeat, ...], ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`node` from `low` to `high` times; `high` None is without end."""

    node: Class | Group
    low: int = 1
    high: int | None = 1


@dataclass(frozen=True, slots=True)
class Pattern:
    """A checked pattern. `shape`: the classes of a pattern without groups and anchored at both ends, else None."""

    source: str
    python: re.Pattern[str]
    shape: tuple[tuple[Ranges, int, int | None], ...] | None
    admits_nul: bool
    may_backtrack: bool  # Python might take exponential time: match it with RE2, which is linear

    def matches(self, text: str) -> bool:
        """Whether the pattern is found in `text` (JSON Schema's meaning: found anywhere, unless anchored)."""
        if self.may_backtrack:
            # Rare, so pyarrow is only loaded here: a hostile text must not hang whoever names its error.
            import pyarrow as pa
            import pyarrow.compute as pc

            return bool(pc.match_substring_regex(pa.array([text], pa.string()), self.source)[0].as_py())
        return self.python.search(text) is not None


@lru_cache(maxsize=1024)
def compile_pattern(source: str) -> Pattern:
    """The checked pattern; PatternError where it leaves the common part."""
    if len(source) > PATTERN_CHARS_MAX:
        raise PatternError(f"expected at most {PATTERN_CHARS_MAX} characters, got {len(source)}")
    reader = _Reader(source)
    reader.read()
    sequences = tuple(sequence for _, _, sequence in reader.top)
    anchored = all(start and end for start, end, _ in reader.top)
    return Pattern(
        source,
        re.compile("".join(reader.python)),
        _shape(sequences) if anchored else None,
        not anchored or any(_admits_nul(sequence) for sequence in sequences),
        any(_may_backtrack(sequence) for sequence in sequences),
    )


def alternatives(source: str) -> tuple[tuple[bool, bool, tuple[Repeat, ...]], ...]:
    """The outermost alternatives of a pattern: whether each begins and ends where the text does, and what it is made of."""
    reader = _Reader(source)
    reader.read()
    return tuple(reader.top)


class _Reader:
    """Recursive descent over the source; `python` collects the same pattern as Python is to see it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.python: list[str] = []
        self.top: list[tuple[bool, bool, tuple[Repeat, ...]]] = []

    def read(self) -> None:
        while True:
            start = self._take("^")
            sequence = self._sequence()
            end = self._take("$")
            self.top.append((start, end, sequence))
            if self.at == len(self.source):
                return
            if not self._take("|"):
                self._refuse("'$' is only allowed at the end of the pattern or of an outermost alternative")

    def _sequence(self) -> tuple[Repeat, ...]:
        items: list[Repeat] = []
        while (char := self._peek()) and char not in "|)$":
            items.append(self._repeat(self._atom(char)))
        if self._peek() == ")" and not self._depth:
            self._refuse("')' without '('")
        return tuple(items)

    _depth = 0

    def _atom(self, char: str) -> Class | Group:
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return Class(_one(self._escaped(_SYNTAX)))
        if char == "^":
            self._refuse("'^' is only allowed at the start of the pattern or of an outermost alternative")
        if char == ".":
            self._refuse("'.' leaves out other line ends in each engine; write a class")
        if char in "*+?{":
            self._refuse(f"nothing to repeat before {char!r}")
        if char in "]}":
            self._refuse(f"{char!r} must be written '\\{char}'")
        self._advance(1)
        return Class(_one(char))

    def _group(self) -> Group:
        if self.source.startswith("(?:", self.at):
            self._advance(3)
        elif self.source.startswith("(?", self.at):
            self._refuse("only plain groups and '(?:' are allowed")
        else:
            self._advance(1)
        self._depth += 1
        if self._depth > 20:
            self._refuse("groups nest too deep")
        alternatives = [self._sequence()]
        while self._take("|"):
            alternatives.append(self._sequence())
        if self._peek() == "$":
            self._refuse("'$' is not allowed inside a group")
        if not self._take(")"):
            self._refuse("'(' is never closed")
        self._depth -= 1
        return Group(tuple(alternatives))

    def _class(self) -> Class:
        self._advance(1)
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while (char := self._peek()) != "]":
            if not char:
                self._refuse("'[' is never closed")
            if char in "[^":
                self._refuse(f"{char!r} inside a class must be written '\\{char}'")
            if self.source[self.at : self.at + 2] in _DOUBLED:
                self._refuse(
                    f"{self.source[self.at : self.at + 2]!r} inside a class is a set operation to some engines"
                )
            first = self._class_char(bool(ranges))
            last = first
            if self._peek() == "-" and self.source[self.at + 1 : self.at + 2] not in ("]", ""):
                self._advance(1)
                last = self._class_char(after=True, end=True)
            if last < first:
                self._refuse(f"the range {first}-{last} runs backwards")
            ranges.append((ord(first), ord(last)))
        self._advance(1)
        if not ranges:
            self._refuse("an empty class")
        return Class(_merged(ranges), negated)

    def _class_char(self, after: bool, end: bool = False) -> str:
        """One character of a class. A bare '-' stands only first or last, where every engine takes it literally."""
        char = self._peek()
        if char == "\\":
            return self._escaped(_SYNTAX | {"-"})
        if char in ("[", "^", ""):
            self._refuse(
                "a range in a class has no end" if not char else f"{char!r} inside a class must be escaped"
            )
        if char == "-" and (end or (after and self.source[self.at + 1 : self.at + 2] != "]")):
            self._refuse("'-' inside a class stands first, last, or is written '\\-'")
        self._advance(1)
        return char

    def _escaped(self, allowed: frozenset[str] | set[str]) -> str:
        char = self.source[self.at + 1 : self.at + 2]
        if char not in allowed or not char:
            self._refuse(
                f"'\\{char}' does not mean the same everywhere; only punctuation of the syntax may be escaped"
            )
        self._advance(2)
        return char

    def _repeat(self, node: Class | Group) -> Repeat:
        char = self._peek()
        low, high = 1, 1
        unbounded: int | None
        if char in ("*", "+", "?"):
            self._advance(1)
            low, unbounded = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        elif char == "{":
            low, unbounded = self._counts()
        else:
            return Repeat(node, low, high)
        if (following := self._peek()) in ("*", "+", "?", "{"):
            self._refuse(f"{following!r} after a repetition")
        return Repeat(node, low, unbounded)

    def _counts(self) -> tuple[int, int | None]:
        found = re.compile(r"\{([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}").match(self.source, self.at)
        if not found:
            self._refuse("expected {m}, {m,} or {m,n}")
        low = int(found[1])
        high = low if not found[2] else int(found[3]) if found[3] else None
        if max(low, high or 0) > REPEAT_MAX or (high is not None and high < low):
            self._refuse(f"expected a repetition that rises and is at most {REPEAT_MAX}")
        self._advance(len(found[0]))
        return low, high

    def _peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def _take(self, char: str) -> bool:
        if self._peek() != char:
            return False
        if char == "$":
            self.python.append("\\Z")
            self.at += 1
        else:
            self._advance(1)
        return True

    def _advance(self, count: int) -> None:
        piece = self.source[self.at : self.at + count]
        if not (piece.isascii() and piece.isprintable()):
            self._refuse("only printable ASCII is allowed")
        self.python.append(piece)
        self.at += count

    def _refuse(self, why: str) -> NoReturn:
        raise PatternError(f"at character {self.at + 1} of {self.source!r}: {why}")


def _one(char: str) -> Ranges:
    return ((ord(char), ord(char)),)


def _merged(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def _shape(sequences: tuple[tuple[Repeat, ...], ...]) -> tuple[tuple[Ranges, int, int | None], ...] | None:
    if len(sequences) != 1:
        return None
    shape = []
    for item in sequences[0]:
        if not isinstance(item.node, Class) or item.node.negated:
            return None
        shape.append((item.node.ranges, item.low, item.high))
    return tuple(shape)


def _admits_nul(sequence: tuple[Repeat, ...]) -> bool:
    return any(
        item.node.negated if isinstance(item.node, Class) else any(map(_admits_nul, item.node.alternatives))
        for item in sequence
    )


def _may_backtrack(sequence: tuple[Repeat, ...]) -> bool:
    """Whether a repeated group holds a repetition of its own or a choice, the root of exponential matching."""
    return any(
        isinstance(item.node, Group)
        and (
            (item.high != 1 and _has_choice(item.node))
            or any(_may_backtrack(inner) for inner in item.node.alternatives)
        )
        for item in sequence
    )


def _has_choice(group: Group) -> bool:
    return len(group.alternatives) > 1 or any(
        item.low != item.high or (isinstance(item.node, Group) and _has_choice(item.node))
        for sequence in group.alternatives
        for item in sequence
    )
