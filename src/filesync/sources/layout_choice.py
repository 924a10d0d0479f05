"""Which layouts there are, and which of them a file has.

The site's own stand in its folder `layouts/`, one TOML file each; a name there hides the shipped example of the same name. A file is
looked at from its beginning: marker and fixed words of the header, the names of columns, the length or columns of the first detail.
Exactly one of the site's own layouts that fits is taken, else exactly one shipped example; anything else is an error that says why.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from filesync.errors import ConfigError, RejectedError
from filesync.sources.layout_checks import Said, Statements
from filesync.sources.layout_settings import parse_layout
from filesync.sources.records import Records

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from filesync.sources.layouts import Layout

FOLDER: Final = "layouts"
SHIPPED: Final = "filesync"


@dataclass(frozen=True, slots=True)
class Look:
    """How a file looks to a layout. `why` is None where it fits; `day` is what its header says."""

    layout: Layout
    why: str | None
    day: date | None = None
    said: tuple[Said, ...] = ()


def read_layout(path: Path) -> Layout:
    """One layout file. ConfigError "layout-invalid" with everything that is wrong in it."""
    return _parsed(path.stem, path.read_bytes(), str(path))


def site_layouts(root: Path) -> list[Layout]:
    """The site's own."""
    return [
        _parsed(path.stem, path.read_bytes(), f"{FOLDER}/{path.name}")
        for path in sorted((root / FOLDER).glob("*.toml"))
    ]


def shipped_layouts() -> list[Layout]:
    """The examples that are packed with this program."""
    files = [
        entry
        for entry in resources.files("filesync").joinpath(FOLDER).iterdir()
        if entry.name.endswith(".toml")
    ]
    return [
        _parsed(entry.name.removesuffix(".toml"), entry.read_bytes(), f"{SHIPPED}:{entry.name}")
        for entry in sorted(files, key=lambda entry: entry.name)
    ]


def layouts(root: Path) -> list[Layout]:
    """The site's own, then the shipped ones that they do not hide."""
    own = site_layouts(root)
    hidden = {layout.name for layout in own}
    return [*own, *(layout for layout in shipped_layouts() if layout.name not in hidden)]


def text_of(layout: Layout, root: Path) -> str:
    """A layout's TOML file, as it stands."""
    shipped, _, name = layout.origin.partition(":")
    if shipped == SHIPPED and name:
        return resources.files("filesync").joinpath(FOLDER, name).read_text(encoding="utf-8")
    return (root / layout.origin).read_text(encoding="utf-8-sig")


def look(layout: Layout, path: Path) -> Look:
    """Whether a file begins as the layout says."""
    records = Records(layout, path)
    statements = Statements(layout, path.name)
    try:
        details = records.head()
    except RejectedError as err:
        return Look(layout, _bare(err.message, path, layout))
    if details is None:
        return Look(layout, "the file is empty")
    statements.hear("header", records.header)
    why = statements.wrong[0].message if statements.wrong else None
    if layout.header is not None and layout.header.required and records.header is None:
        why = f"expected a header marked {layout.header.marker!r} as the first record"
    elif (
        why is None
        and details.malformed
        and not (len(details.lines) and details.lines[0] < details.malformed[0].line)
    ):
        why = f"line {details.malformed[0].line}: {details.malformed[0].reason}"
    elif why is None and not len(details.lines) and records.header is None and not layout.names:
        why = "no record of it is of this layout"
    return Look(
        layout, None if why is None else _bare(why, path, layout), statements.day, tuple(statements.said)
    )


def choose(known: Sequence[Layout], dataset: str, path: Path, name: str | None = None) -> Look:
    """The layout of a file: the one that is named, or the only one that fits.

    Raises ConfigError "layout-unknown" for a name that is not there, "layout-ambiguous" where several fit; RejectedError
    "layout-none" where none does, or where the named one does not.
    """
    mine = [layout for layout in known if layout.dataset == dataset]
    if name is not None:
        named = next((layout for layout in mine if layout.name == name), None)
        if named is None:
            raise ConfigError(
                "layout-unknown", f"no layout of {dataset} is called {name!r}; known: {_list(mine)}"
            )
        found = look(named, path)
        if found.why is not None:
            raise RejectedError("layout-none", f"{path.name} is not of the layout {name}: {found.why}")
        return found
    looks = [look(layout, path) for layout in mine]
    for shipped in (False, True):
        fitting = [
            one for one in looks if one.why is None and one.layout.origin.startswith(f"{SHIPPED}:") is shipped
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise ConfigError(
                "layout-ambiguous",
                f"{path.name} may be of {len(fitting)} layouts: {_list([one.layout for one in fitting])}; name one with --layout",
            )
    reasons = "".join(f"\n  {one.layout.name}: {one.why}" for one in looks)
    raise RejectedError("layout-none", f"{path.name} is of no known layout of {dataset}:{reasons}")


def _parsed(name: str, data: bytes, origin: str) -> Layout:
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise ConfigError("layout-invalid", f"{origin}: {err}") from err
    return parse_layout(name, table, origin)


def _list(found: Sequence[Layout]) -> str:
    return ", ".join(layout.name for layout in found) or "none"


def _bare(message: str, path: Path, layout: Layout) -> str:
    """In a list of layouts, the file's and the layout's names need not be said on each line."""
    message = message.removesuffix(f" (layout {layout.name})")
    for lead in (f"{path.name}, ", f"{path.name}: "):
        message = message.removeprefix(lead)
    return message
