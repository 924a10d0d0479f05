"""How one text is written into each kind of file, so that it is read back as exactly that text. Pure.

What a format cannot say is refused (`ConfigError` "service-path") and never left to chance: a path that is read as two words would start
another program, or let another folder be written.
"""

from __future__ import annotations

import subprocess
from xml.sax.saxutils import escape

from filesync.errors import ConfigError


def _plain(text: str) -> str:
    if not text or any(not character.isprintable() for character in text):
        raise ConfigError("service-path", f"a path without control characters was expected, got {text!r}")
    return text


def systemd_word(text: str) -> str:
    """One argument of ExecStart= (systemd.service, "Command lines"): C escapes in quotes, `%` and `$` doubled."""
    escaped = _plain(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def systemd_program(text: str) -> str:
    """The program of ExecStart=: as an argument, but systemd takes no quotes and no backslash in its path, and looks for no `$$` in it."""
    if set(text) & set("\"'\\$"):
        raise ConfigError(
            "service-path", f"systemd starts no program whose path holds quotes, a backslash or a $: {text}"
        )
    return systemd_word(text)


def systemd_path(text: str, *, optional: bool = False) -> str:
    """One entry of ReadWritePaths= and its kind (systemd.exec): in quotes, backslashes as they are, `%` doubled; `-`: may be missing."""
    quote = next((mark for mark in "\"'" if mark not in _plain(text)), None)
    if quote is None:
        raise ConfigError("service-path", f"systemd cannot name a folder with both kinds of quotes: {text}")
    return f"{quote}{'-' if optional else ''}{text.replace('%', '%%')}{quote}"


def systemd_text(text: str) -> str:
    """The rest of a comment or of Description=."""
    return _plain(text).replace("%", "%%").rstrip("\\")


def windows_arguments(*words: str) -> str:
    """A command line as Microsoft's C runtime takes it apart."""
    return subprocess.list2cmdline([_no_variable(word) for word in words])


def windows_path(text: str) -> str:
    """A path that stands alone in its element."""
    return _no_variable(text)


def _no_variable(text: str) -> str:
    """Task Scheduler and WinSW put variables in the place of %NAME%, and know no way to write a `%` that is none."""
    if "%" in _plain(text):
        raise ConfigError(
            "service-path", f"a path without % was expected, got {text}: Windows takes %…% for a variable"
        )
    return text


def xml_text(text: str) -> str:
    """Inside an element."""
    return escape(_plain(text))
