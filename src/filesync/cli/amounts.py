"""Money as it is typed: `1234,56`, `1.234,56`, `1234.56`, `1234`. In centavos, and never through a float.

What could be read in two ways is refused: `1.234` is a thousand to one and a bit more than one to another.
"""

from __future__ import annotations

import re

import typer

from filesync.cli.language import _

#: As in schemas/datasets/fechamento.v1.json.
CENTAVOS_MAX = 10_000_000_000_000

_plain = re.compile(r"([0-9]+)(?:[.,]([0-9]{2}))?", re.ASCII).fullmatch
_grouped = re.compile(r"([0-9]{1,3}(?:\.[0-9]{3})+),([0-9]{2})", re.ASCII).fullmatch


def parse_centavos(text: str) -> int:
    """Centavos; ValueError for what is no amount of money, or could be two."""
    plain = re.sub(r"^R\$\s*", "", text.strip())
    found = _plain(plain) or _grouped(plain)
    if found is None:
        raise ValueError(f"no amount of money: {text!r}")
    value = int(found[1].replace(".", "")) * 100 + int(found[2] or 0)
    if value > CENTAVOS_MAX:
        raise ValueError(f"no amount of money: {text!r}")
    return value


def centavos(text: str | int) -> int:
    """The same for an option."""
    if isinstance(text, int):  # a default
        return text
    try:
        return parse_centavos(text)
    except ValueError:
        raise typer.BadParameter(
            _("{text!r} is no amount of money: write 1234,56 or 1.234,56").format(text=text)
        ) from None
