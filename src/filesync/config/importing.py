"""`[import]`: by whom feeds of different origins are imported side by side. Words to values; nothing is opened here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from pathlib import Path

#: More than this is a slip of the finger: a worker holds tens of megabytes.
WORKERS_MAX: Final = 256

_local = re.compile(r"(threads|processes):([1-9][0-9]{0,2})").fullmatch
_cluster = re.compile(r"(dask|tls)://[^\s/?#@]+:[0-9]{1,5}").fullmatch


class ExecutorKind(Enum):
    """Who works."""

    NONE = "none"  # the site itself, one thing after another
    THREADS = "threads"
    PROCESSES = "processes"
    DASK = "dask"


@dataclass(frozen=True, slots=True)
class Tls:
    """The files that a cluster over TLS asks for."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ExecutorChoice:
    """Who imports. `workers` counts threads or processes; a cluster is asked how many it has. `address`: its scheduler."""

    kind: ExecutorKind = ExecutorKind.NONE
    workers: int = 1
    address: str | None = None
    tls: Tls | None = None

    @classmethod
    def parse(cls, text: str, tls: Tls | None = None) -> Self:
        """`none`, `threads:4`, `processes:4`, `dask://scheduler:8786` or `tls://scheduler:8786`; ValueError otherwise."""
        if text == ExecutorKind.NONE.value:
            return cls()
        if found := _local(text):
            workers = int(found[2])
            if workers > WORKERS_MAX:
                raise ValueError(f"expected at most {WORKERS_MAX} workers, got {workers}")
            return cls(ExecutorKind(found[1]), workers)
        if found := _cluster(text):
            secure = found[1] == "tls"
            if secure and tls is None:
                raise ValueError(f"{text}: a tls:// cluster needs [import.tls] with ca, cert and key")
            if tls is not None and not secure:
                raise ValueError(f"{text}: with [import.tls] the address begins with tls://")
            # `dask://` is our word for its plain connection, which it calls tcp.
            return cls(
                ExecutorKind.DASK, address=text if secure else f"tcp{text.removeprefix('dask')}", tls=tls
            )
        raise ValueError(
            f"expected none, threads:4, processes:4, dask://scheduler:8786 or tls://scheduler:8786, got {text!r}"
        )

    def __str__(self) -> str:
        if self.kind is ExecutorKind.DASK:
            return (self.address or "").replace("tcp://", "dask://")
        return self.kind.value if self.kind is ExecutorKind.NONE else f"{self.kind.value}:{self.workers}"


def _plain(text: str) -> str:
    """An executor's words; what else they need (TLS) is checked where the section is whole."""
    if not text.startswith("tls://"):
        ExecutorChoice.parse(text)
    return text


class TlsSection(BaseModel):
    """`[import.tls]`: PEM files, found from the site's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: str
    cert: str
    key: str


class ImportSection(BaseModel):
    """`[import]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: Annotated[str, AfterValidator(_plain)] = Field(
        default="none", description="who imports feeds of different origins: docs/scale.md"
    )
    tls: TlsSection | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        from pathlib import Path

        self.choice(Path())
        return self

    def choice(self, root: Path) -> ExecutorChoice:
        """As a value, its files found from the site's folder."""
        files = self.tls
        tls = None if files is None else Tls(root / files.ca, root / files.cert, root / files.key)
        return ExecutorChoice.parse(self.executor, tls)
