"""What comes from below in English, said in the chosen language where its form is known.

The parts below the edges of the house say facts in English sentences, with names and numbers in them: why a link failed, what is wrong with a row,
what a step of the day did. `said` knows the forms that people meet often and says them with the same facts. What it does not know stays as it is.

- Only for showing. Nothing is decided by such a sentence, and programs (`--json`) get it as it was made.
- A form is the English text with its places: `{peer} unreachable since {since}: {why}`. The first of the list that fits the whole text counts.
- What stands in a place named in `_CLAUSES` is a sentence of its own and is said the same way.
"""

from __future__ import annotations

import re
from functools import cache
from string import Formatter
from typing import Final

from filesync.language import Language, _, chosen, mark

#: Longer texts are told as they came.
_CHARS_MAX: Final = 2_000
#: Places that hold a sentence.
_CLAUSES: Final = frozenset({"why", "fact", "rest"})

FORMS: Final[tuple[str, ...]] = (
    # what waits to leave (exchange/status.py)
    mark("waits for the next exchange with {peer}"),
    mark("waits for {peer} to fetch it"),
    mark("sent; waits for {peer}'s receipt"),
    mark("on a stick; waits for {peer}'s receipt"),
)


def said(text: str) -> str:
    """The same in the chosen language; unchanged where that is English, or where its form is not known."""
    if chosen() is Language.ENGLISH or len(text) > _CHARS_MAX:
        return text
    for form, pattern in _patterns():
        if found := pattern.fullmatch(text):
            facts = {
                name: said(value) if name in _CLAUSES else value for name, value in found.groupdict().items()
            }
            return _(form).format(**facts)
    return text


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((form, re.compile(_pattern(form), re.DOTALL)) for form in FORMS)


def _pattern(form: str) -> str:
    """A place takes as little as it can; one that stands twice holds the same twice."""
    pattern, known = "", set()
    for literal, name, _spec, _conversion in Formatter().parse(form):
        pattern += re.escape(literal)
        if name is not None:
            pattern += f"(?P={name})" if name in known else f"(?P<{name}>.+?)"
            known.add(name)
    return pattern
