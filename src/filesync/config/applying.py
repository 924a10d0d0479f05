"""`[apply.<dataset>]`: the file of SQL by which a dataset is applied into tables of the user's own (docs/adr/0014).

The file lies in the site's folder and is read with the settings: what cannot be run is said before anything is. Whether the database
understands it is asked later, of the database (exchange/own_tables.py).
"""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from filesync.errors import ConfigError
from filesync.stores.own_statements import OwnStatements, parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: More than this is no statement that somebody wrote.
SQL_BYTES_MAX: Final = 1 << 20


def check_inside(text: str) -> str:
    """A file below the site's folder, named from there; ValueError otherwise."""
    windows = PureWindowsPath(text)
    plain = not windows.drive and not windows.root and windows.parts
    if not plain or any(part == ".." for part in (*windows.parts, *PurePosixPath(text).parts)):
        raise ValueError(f"expected a file in the site's folder, like 'apply_vendas.sql', got {text!r}")
    return text


class ApplySection(BaseModel):
    """`[apply.<dataset>]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sql: Annotated[str, AfterValidator(check_inside)] = Field(
        description="a file in the site's folder with the statements that apply a batch: docs/tutorial-own-tables.md"
    )


def own_statements(root: Path, sections: Mapping[str, ApplySection]) -> dict[str, OwnStatements]:
    """The statements by dataset. Raises `ConfigError` naming the file, and the statement that may not be run."""
    return {dataset: parse(section.sql, _read(root, section.sql)) for dataset, section in sections.items()}


def _read(root: Path, name: str) -> str:
    path = root / name
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise ConfigError(
                "apply-unreadable", f"{path}: expected a file in the site's folder, got a way out of it"
            )
        with path.open("rb") as file:
            data = file.read(SQL_BYTES_MAX + 1)
        if len(data) > SQL_BYTES_MAX:
            raise ConfigError(
                "apply-unreadable", f"{path}: expected at most {SQL_BYTES_MAX} bytes of SQL, got more"
            )
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError("apply-unreadable", f"{path}: expected a file of SQL in UTF-8, got: {err}") from err
