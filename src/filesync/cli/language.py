"""The language of what a command says: pt-BR or English, by `--lang`, `$FILESYNC_LANG` or the system's locale; English otherwise.

Texts are marked with `_("… {name} …").format(name=…)`: the English sentence is the key of the catalogues in `locale/`.
"""

from __future__ import annotations

import gettext
from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "locale"
_chosen: gettext.NullTranslations = gettext.NullTranslations()


def _(text: str) -> str:
    """The sentence in the chosen language."""
    return _chosen.gettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    """The sentence for so many."""
    return _chosen.ngettext(one, many, count)
