"""docs/layouts.md is true: its example is a layout that reads the file shown, and its tables name every setting."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

from filesync.contracts import Registry
from filesync.sources import layout_settings
from filesync.sources.layout_reading import LayoutReading
from filesync.sources.layout_settings import parse_layout

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "layouts.md").read_text(encoding="utf-8")


def named(table: str) -> set[str]:
    found = re.search(rf"<!-- table: {table} -->\n((?:\|.*\n)+)", PAGE)
    assert found is not None
    return {
        name for line in found[1].splitlines()[2:] for name in re.findall("`([a-z_]+)`", line.split("|")[1])
    }


def test_every_setting_is_on_the_page_and_no_other() -> None:
    assert named("top") == (
        layout_settings._TOP | layout_settings._BY_SHAPE["fixed"] | layout_settings._BY_SHAPE["csv"]
    ) - {"records"}
    assert named("part") == layout_settings._PART
    assert named("special") == layout_settings._SPECIAL
    assert named("check") == layout_settings._CHECKS
    assert named("record") == {"marker", "at", "required", "fields"}


def test_the_example_reads_the_file_that_is_shown(tmp_path: Path) -> None:
    found = re.search(r"<!-- layout -->\n```toml\n(.*?)```\n+```text\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    layout = parse_layout("exemplo", tomllib.loads(found[1]))
    path = tmp_path / "faturamento.txt"
    path.write_text(found[2], "latin-1")
    contract = Registry.packaged().latest("bdf")
    assert contract is not None
    reading = LayoutReading(layout, contract, path, site="matriz", day=date(2026, 3, 2))
    rows = [row for piece in reading.pieces() for row in contract.documents(piece.table)]
    assert (reading.found.wrong, reading.found.problems) == ([], [])
    assert [
        (
            r["sub_caixa"],
            r["numero_atendimento"],
            r["sequencia"],
            r["valor_cobrado_centavos"],
            r["modalidade"],
        )
        for r in rows
    ] == [
        ("3", "117", 1, 4635, "A VISTA"),
        ("3", "117", 2, 1270, "A FATURAR"),
        ("1", "8", 1, -500, "A VISTA"),
    ]
    assert all(said.right is not False for said in reading.found.said)


def test_nothing_claims_to_be_official() -> None:
    assert "None of them is an\nofficial layout" in PAGE
