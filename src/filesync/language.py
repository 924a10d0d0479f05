"""The language in which people are spoken to: pt-BR or English. Texts are looked up when they are said.

- A text is marked where it stands: `_("{site}: {count} sales").format(site=…, count=…)`. The English sentence is the key of the
  catalogue (`locale/pt_BR/LC_MESSAGES/filesync.po`); one that is not there is said in English, never as a key or a code.
- For the edges of the house alone: the command line, the examination, the demo. The parts below say codes and facts, in English.

Which language it is, the command line chooses (cli/language.py). `make catalogue` keeps the catalogues.
"""

from __future__ import annotations

import gettext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DOMAIN: Final = "filesync"
FOLDER: Final = Path(__file__).parent / "locale"


class Language(Enum):
    """What can be chosen; the value is what `--lang` takes."""

    ENGLISH = "en"
    PORTUGUESE = "pt-BR"


_ENGLISH: Final = gettext.NullTranslations()
_translations: gettext.NullTranslations = _ENGLISH
_chosen = Language.ENGLISH


def _(text: str) -> str:
    """The text in the chosen language. Also a noun that stands in the catalogue with its plural."""
    if not text:
        return ""
    found = _translations.gettext(text)
    return found if found != text else _translations.ngettext(text, text, 1)


def ngettext(one: str, many: str, count: int) -> str:
    """The text for so many, in the chosen language."""
    return _translations.ngettext(one, many, count)


def mark(text: str) -> str:
    """A text that is looked up later, where it is said: it belongs into the catalogue."""
    return text


def pair(one: str, many: str) -> tuple[str, str]:
    """A noun for one and for several that is looked up later."""
    return one, many


def listed(texts: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(texts) < 2:
        return "".join(texts)
    return _("{texts} and {last}").format(texts=", ".join(texts[:-1]), last=texts[-1])


def choose(language: Language) -> None:
    """Speak `language` from now on."""
    global _translations, _chosen  # noqa: PLW0603 -- a program has one voice
    _chosen = language
    if language is Language.ENGLISH:
        _translations = _ENGLISH
    else:
        _translations = gettext.translation(DOMAIN, FOLDER, [language.value.replace("-", "_")], fallback=True)


def chosen() -> Language:
    """The language that is spoken now."""
    return _chosen
