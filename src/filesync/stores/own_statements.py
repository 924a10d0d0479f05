"""The statements of a user's own file, cut apart, and refused where they could leave the transaction that they run in. Pure.

- Statements end at `;` outside of texts, quoted names and comments. Each begins with one of `KINDS`: whatever begins or ends a transaction, or
  changes tables, settings or files is none of them.
- Names that begin with `fs_` are filesync's own. Of those only `FREE` may stand in a statement, as column or otherwise, in whatever quotes.
- What the two databases would cut apart differently (nested comments, backslashes, dollar quotes) is refused instead of guessed.

This guards against mistakes, not against whoever writes the file: what a trigger, a function or a procedure does, no reading of the statement
can tell; what the database can, it is asked (own_tables.py). What is not here: whether it understands a statement (own_tables.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from filesync.errors import ConfigError, FilesyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a statement may begin with.
KINDS: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "SELECT", "WITH", "VALUES", "CALL"}
)
#: Names of ours that every staged table has as columns.
FREE: Final = frozenset({"fs_batch", "fs_batch_name"})
#: How names of the ledger begin.
OURS: Final = "fs_"


class StatementFailedError(FilesyncError):
    """The database refused a user's statement, or what it did, in its own words. The road is not to blame."""

    def __init__(self, words: str) -> None:
        super().__init__("apply-failed", words)


class _Kind(Enum):
    SPACE = "space"
    WORD = "word"
    NAME = "name"  # in double quotes, or backticks
    TEXT = "text"
    END = "end"
    SIGN = "sign"
    WRONG = "wrong"


class _Token(NamedTuple):
    kind: _Kind
    text: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """As it is compared: without quotes, in small letters."""
        return (self.text if self.kind is _Kind.WORD else self.text[1:-1]).lower()

    def says(self, *words: str) -> bool:
        """Whether it is one of these words."""
        return self.kind is _Kind.WORD and self.text.upper() in words


_tokens = re.compile(
    r"""
      (?P<space> [ \t\n\f\v]+ | --[^\n]* | /\*(?:(?!/\*|\*/).)*\*/ )
    | (?P<wrong> [eE]'(?:[^'\\]|'')*\\ | [uU]&['"] | \$(?:[^\W\d]\w*)?\$ | /\* )
    | (?P<text> '(?:[^']|'')*' )
    | (?P<name> "(?:[^"]|"")*" | `(?:[^`]|``)*` )
    | (?P<unclosed> ['"`\0] )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<end> ; )
    | (?P<sign> \d[\w.]* | . )
    """,
    re.DOTALL | re.VERBOSE,
).match
_WRONG: Final = {
    "e": "a text with backslashes (E'…'): write it without",
    "u": "a name or text with U&: write its characters themselves",
    "$": "a text between $ signs: write it as '…'",
    "/": "a comment that is not closed, or stands in another one",
    "\0": "the character U+0000",
}


@dataclass(frozen=True, slots=True)
class OwnStatement:
    """One statement, as it is written, and the tables that it names as those to be written, in small letters (`schema.table` or `table`)."""

    text: str
    writes: frozenset[str]


@dataclass(frozen=True, slots=True)
class OwnStatements:
    """What is to be run for each group of batches of a dataset, in this order. `source`: the file, as messages name it."""

    source: str
    each: tuple[OwnStatement, ...]


def parse(source: str, text: str) -> OwnStatements:
    """Cut a file apart. Raises `ConfigError` `apply-refused` naming the statement that may not be run."""
    # To PostgreSQL a comment ends at either sign, to SQLite at one: there is only that one.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found: list[OwnStatement] = []
    tokens: list[_Token] = []
    for token in _read(source, text):
        if token.kind is not _Kind.END:
            tokens.append(token)
        elif tokens:
            found.append(_statement(source, len(found) + 1, text, tokens))
            tokens = []
    if tokens:
        found.append(_statement(source, len(found) + 1, text, tokens))
    if not found:
        raise ConfigError("apply-refused", f"{source}: expected at least one statement, got none")
    return OwnStatements(source, tuple(found))


def _read(source: str, text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        found = _tokens(text, place)
        if found is None or found.lastgroup is None:
            raise AssertionError("every character is a sign at least")
        if found.lastgroup in ("wrong", "unclosed"):
            line = text.count("\n", 0, place) + 1
            what = _WRONG.get(found[0][0].lower(), f"a {found[0]} that is not closed")
            raise ConfigError(
                "apply-refused", f"{source}, line {line}: expected plain statements, got {what}"
            )
        if found.lastgroup != "space":
            yield _Token(_Kind(found.lastgroup), found[0], place, found.end())
        place = found.end()


def _statement(source: str, number: int, text: str, tokens: list[_Token]) -> OwnStatement:
    first = tokens[0]
    if not first.says(*KINDS):
        raise ConfigError(
            "apply-refused",
            f"{source}, statement {number}: expected one that begins with {', '.join(sorted(KINDS))}, got {first.text[:40]}; "
            "it runs inside its batch's transaction, which it may neither leave nor change",
        )
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.says("OR") and following is not None and following.says("ROLLBACK"):
            raise ConfigError(
                "apply-refused",
                f"{source}, statement {number}: expected the transaction to go on, got OR ROLLBACK, which ends it",
            )
        named = token.kind in (_Kind.WORD, _Kind.NAME, _Kind.TEXT) and token.name.startswith(OURS)
        if named and token.name not in FREE:
            raise ConfigError(
                "apply-refused",
                f"{source}, statement {number}: expected no name of filesync's ledger ({OURS}…), got {token.text[:60]}",
            )
    return OwnStatement(text[first.start : tokens[-1].end], frozenset(_writes(tokens)))


def _writes(tokens: list[_Token]) -> Iterator[str]:
    """The names after INSERT INTO, UPDATE, DELETE FROM and the like, wherever they stand: a statement may hold others."""
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else None
        if token.says("INTO") or (token.says("FROM") and before is not None and before.says("DELETE")):
            yield _named(tokens[place + 1 :])
        elif token.says("UPDATE") and not (before is not None and before.says("FOR", "DO", "THEN", "KEY")):
            rest = tokens[place + 1 :]
            yield _named(rest[2:] if rest and rest[0].says("OR") else rest)


def _named(tokens: list[_Token]) -> str:
    """The name that stands here, with what is before its dots."""
    if tokens and tokens[0].says("ONLY", "TABLE"):
        tokens = tokens[1:]
    parts: list[str] = []
    for place, token in enumerate(tokens):
        if token.kind is _Kind.SIGN and token.text in "[]":
            continue  # [name], as SQLite has it
        if place and token.text == ".":
            continue
        if token.kind not in (_Kind.WORD, _Kind.NAME, _Kind.TEXT):
            break
        if parts and tokens[place - 1].text != "." and tokens[place - 1].text != "[":
            break
        parts.append(token.name)
    return ".".join(parts)
