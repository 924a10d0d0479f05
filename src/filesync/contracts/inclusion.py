"""Whether one pattern finds everything that another one finds: a pattern may be widened from one version of a contract to the next. Pure.

Both are taken apart into automata and walked side by side, so the answer is exact, and where it is no there is a text that shows it. That
can take long for patterns that count high inside counting groups: beyond WORK_MAX it is given up, and what cannot be shown does not hold.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from filesync.contracts.patterns import Class, PatternError, alternatives

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from filesync.contracts.patterns import Group, Repeat

#: States of one automaton; a repetition takes one for each time.
STATES_MAX: Final = 4_000
#: States that are looked at while two automata are walked: about a second.
WORK_MAX: Final = 1_000_000
_ANYTHING: Final = Class((), negated=True)
_BEYOND_ASCII: Final = 0xE9

States = frozenset[int]


def missed(old: str, new: str) -> str | None:
    """A text, as short as can be, that the pattern `old` finds and `new` does not; None where there is none.

    PatternError where that takes too long to find out.
    """
    if old == new:
        return None
    before, after = _Automaton(old), _Automaton(new)
    letters = _letters((*before.classes(), *after.classes()))
    start = (before.start, after.start)
    texts = {start: ""}
    waiting = deque([start])
    work = 0
    while waiting:
        pair = waiting.popleft()
        here, there = pair
        if before.accepts(here) and not after.accepts(there):
            return texts[pair]
        work += (len(here) + len(there)) * len(letters)
        if work > WORK_MAX:
            raise PatternError(f"{old!r} and {new!r} count too high to be compared")
        for letter in letters:
            step = (before.after(here, letter), after.after(there, letter))
            if step[0] and step not in texts:
                texts[step] = texts[pair] + chr(letter)
                waiting.append(step)
    return None


class _Automaton:
    """A pattern as states with moves; sets of states stand for all the ways in which a text may have been read so far."""

    def __init__(self, source: str) -> None:
        self._moves: list[list[tuple[Class, int]]] = []
        self._free: list[list[int]] = []  # moves that read nothing
        self._end = self._state()
        first = self._state()
        for begins, ends, sequence in alternatives(source):
            at = self._state()
            self._free[first].append(at)
            if not begins:
                self._moves[at].append((_ANYTHING, at))
            at = self._sequence(sequence, at)
            if not ends:
                at = self._step(at)
                self._moves[at].append((_ANYTHING, at))
            self._free[at].append(self._end)
        self.start = self._closed([first])

    def classes(self) -> Iterable[Class]:
        """Every class that some move reads."""
        return {read for moves in self._moves for read, _ in moves}

    def accepts(self, states: States) -> bool:
        return self._end in states

    def after(self, states: States, letter: int) -> States:
        return self._closed([to for at in states for read, to in self._moves[at] if _reads(read, letter)])

    def _state(self) -> int:
        if len(self._moves) >= STATES_MAX:
            raise PatternError(f"the pattern counts too high to be compared: more than {STATES_MAX} steps")
        self._moves.append([])
        self._free.append([])
        return len(self._moves) - 1

    def _step(self, at: int) -> int:
        """A new state that is reached from `at` without reading."""
        to = self._state()
        self._free[at].append(to)
        return to

    def _closed(self, states: Iterable[int]) -> States:
        found = set(states)
        waiting = list(found)
        while waiting:
            for to in self._free[waiting.pop()]:
                if to not in found:
                    found.add(to)
                    waiting.append(to)
        return frozenset(found)

    def _sequence(self, items: Sequence[Repeat], at: int) -> int:
        for item in items:
            for _ in range(item.low):
                at = self._node(item.node, at)
            if item.high is None:
                at = self._step(at)
                self._free[self._node(item.node, at)].append(at)
            else:
                ends = [at]
                for _ in range(item.high - item.low):
                    at = self._node(item.node, at)
                    ends.append(at)
                at = self._state()
                for end in ends:
                    self._free[end].append(at)
        return at

    def _node(self, node: Class | Group, at: int) -> int:
        to = self._state()
        if isinstance(node, Class):
            self._moves[at].append((node, to))
        else:
            for sequence in node.alternatives:
                self._free[self._sequence(sequence, self._step(at))].append(to)
        return to


def _reads(read: Class, letter: int) -> bool:
    return any(low <= letter <= high for low, high in read.ranges) != read.negated


def _letters(classes: Iterable[Class]) -> list[int]:
    """One character for every part of Unicode that no class divides, one that can be shown where there is one."""
    edges = sorted(
        {0, 128, *(edge for read in classes for low, high in read.ranges for edge in (low, high + 1))}
    )
    letters = []
    for low, end in zip(edges, [*edges[1:], None], strict=True):
        if end is None:
            letters.append(_BEYOND_ASCII)
        else:
            letters.append(
                next((n for n in range(low, end) if chr(n).isalnum()), None)
                or next((n for n in range(low, end) if chr(n).isprintable()), low)
            )
    return letters
