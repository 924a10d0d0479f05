"""Read a source into documents. Reading never changes a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from filesync.protocol.receipt import Problem
from filesync.sources.settings import SourceSettings

if TYPE_CHECKING:
    from filesync.contracts import Contract


@dataclass(frozen=True, slots=True)
class Captured:
    """Documents from a source, and what could not become one.

    `table` conforms to the contract's Arrow schema, in the order in which the documents begin in the source; its values have the
    right types, but are not validated yet. `lines` says for each document on which line (row of a query or Parquet file) it begins, from 1.
    A problem's `row` is such a line too. `set_aside` has one entry per document that could not be formed.
    """

    label: str
    table: pa.Table
    lines: pa.Int64Array
    problems: tuple[Problem, ...] = ()
    set_aside: tuple[dict[str, Any], ...] = ()
    settings_digest: str = field(default="")


def source_files(settings: SourceSettings, root: Path, path: Path | None = None) -> list[Path]:
    """The files that a source consists of now, by name."""
    raise NotImplementedError


def read_source(
    settings: SourceSettings, contract: Contract, *, root: Path, site: str, path: Path | None = None
) -> Iterator[Captured]:
    """Documents of a source."""
    raise NotImplementedError
