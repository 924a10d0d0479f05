"""What Arrow's JSON parser may be given: it takes two objects on one line for two documents, and ends the process at a `null`
where a document should be (apache/arrow#47409). Looked at as bytes, a block at a time; nothing is parsed here.
"""

from __future__ import annotations

import numpy as np

_AFTER_BRACE = np.zeros(256, bool)
_AFTER_BRACE[list(b",]}\n")] = True
_NEWLINE, _OPEN, _CLOSE = b"\n{}"


def one_object_a_line(data: bytes, line_bytes_max: int) -> bool:
    """Whether each line of `data` (which ends with a newline) surely is one object or an error for the parser.

    Every line begins with `{` and ends with `}`, and nothing but `,` `]` `}` or the line's end follows a `}`: so between two lines Arrow
    is always between two objects. A `}` inside a text may say no for nothing, which costs only time.
    """
    characters = np.frombuffer(data, np.uint8)
    if not len(characters) or characters[0] != _OPEN or characters[-1] != _NEWLINE:
        return False
    newlines = np.flatnonzero(characters == _NEWLINE)
    if np.diff(newlines, prepend=-1).max() > line_bytes_max + 1:
        return False
    if (
        newlines[0] == 0
        or (characters[newlines - 1] != _CLOSE).any()
        or (characters[newlines[:-1] + 1] != _OPEN).any()
    ):
        return False
    braces = np.flatnonzero(characters == _CLOSE)
    return bool(_AFTER_BRACE[characters[braces + 1]].all())
