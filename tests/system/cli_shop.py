"""A shop for the tests of the command line: two sites in a folder, and the commands as a shopkeeper would give them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from filesync.cli.app import app
from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

DAY = date(2026, 3, 2)
COMMAND = Path(sys.executable).with_name("filesync.exe" if os.name == "nt" else "filesync")


@dataclass(frozen=True)
class Run:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def filesync(*arguments: str | Path, code: int | None = 0) -> Run:
    """Run a command in this process. It must end with `code` (None: any), and never with a traceback on the screen."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="filesync")
    run = Run(result.exit_code, result.stdout, result.stderr)
    assert "Traceback" not in run.out + run.err
    assert code is None or run.code == code, f"{arguments} ended with {run.code}\n{run.out}\n{run.err}"
    return run


def installed(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    stdout: Any = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Run the installed command, as a user does."""
    environment = {k: v for k, v in os.environ.items() if k not in ("FILESYNC_ROOT", "FORCE_COLOR")}
    return subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        env={**environment, **(env or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


@dataclass(frozen=True)
class Shop:
    """caixa-01 reaches the matriz' folder; each has pinned the other's key."""

    root: Path

    @property
    def caixa(self) -> Path:
        return self.root / "caixa-01"

    @property
    def matriz(self) -> Path:
        return self.root / "matriz"

    def at_caixa(self, *arguments: str | Path, code: int | None = 0) -> Run:
        return filesync("-C", self.caixa, *arguments, code=code)

    def at_matriz(self, *arguments: str | Path, code: int | None = 0) -> Run:
        return filesync("-C", self.matriz, *arguments, code=code)

    def sales(self, count: int = 12, seed: int = 1, day: date = DAY) -> list[dict[str, Any]]:
        return sales_of_day("caixa-01", Role.CAIXA, day, seed=seed, count=count)

    def write(self, sales: list[dict[str, Any]], name: str = "day.jsonl") -> Path:
        """The sales as a file to export from."""
        path = self.root / name
        path.write_text(
            "".join(json.dumps(sale, ensure_ascii=False) + "\n" for sale in sales), encoding="utf-8"
        )
        return path

    def sell(self, count: int = 12, seed: int = 1, day: date = DAY) -> str:
        """Seal a day at the till; returns the batch's name."""
        found = self.at_caixa(
            "export", "vendas", "--from", self.write(self.sales(count, seed, day)), "--json"
        )
        return str(found.json["sealed"][0]["name"])

    def arrived(self, batch: str, suffix: str = "parquet") -> Path:
        """A file of a batch in the matriz' inbox."""
        return self.matriz / "inbox" / "caixa-01" / f"{batch}.{suffix}"

    def damage(self, path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x01
        path.write_bytes(data)


def open_shop(root: Path, *, pinned: bool = True) -> Shop:
    """Make it with the commands themselves."""
    shop = Shop(root)
    filesync("init", shop.caixa, "--site", "caixa-01", "--role", "caixa")
    filesync("init", shop.matriz, "--site", "matriz", "--role", "matriz")
    keys = {site: root / f"{site}.pub" for site in ("caixa-01", "matriz")}
    for site, path in keys.items():
        path.write_text(filesync("-C", root / site, "key").out, encoding="utf-8")
    pin = [("--key", keys["matriz"]), ("--key", keys["caixa-01"])] if pinned else [(), ()]
    shop.at_caixa("peer", "add", "matriz", "--role", "matriz", "--link", shop.matriz, *pin[0])
    shop.at_matriz("peer", "add", "caixa-01", "--role", "caixa", *pin[1])
    return shop
