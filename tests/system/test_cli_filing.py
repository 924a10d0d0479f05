"""import-bdf, import-ca and layout, as they are typed at the matriz."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import DAY, Shop, installed, open_shop

from filesync.demo.billing import Plan, billing_of_day
from filesync.demo.billing_files import billing_file
from filesync.sources.layout_choice import shipped_layouts

if TYPE_CHECKING:
    from pathlib import Path

LAYOUTS = {layout.name: layout for layout in shipped_layouts()}
BDF, CA = "exemplo-bdf-posicional", "exemplo-ca-csv"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """caixa-01 sold and sent; its day is not closed."""
    made = open_shop(tmp_path)
    made.sell(count=30)
    return made


def close(shop: Shop) -> None:
    shop.at_caixa("close", "--date", DAY.isoformat(), "--contado", "0", code=None)
    shop.at_caixa("turn")
    shop.at_matriz("turn", code=None)


def billed(shop: Shop, plan: Plan | None = None) -> Any:
    return billing_of_day(shop.sales(count=30), planted=plan)


def bdf(shop: Shop, plan: Plan | None = None, name: str = "bdf.txt") -> Path:
    path = shop.root / name
    path.write_bytes(billing_file(LAYOUTS[BDF], DAY, billed(shop, plan).bdf))
    return path


def test_a_closed_gate_keeps_the_file_and_the_bare_command_takes_it_later(shop: Shop) -> None:
    kept = shop.at_matriz("import-bdf", bdf(shop), "--date", "02/03/2026", code=1)
    assert "importar_bdf of 02/03/2026 may not run yet" in kept.out
    assert "filesync close --date 2026-03-02 --contado VALOR" in kept.out
    assert "is kept: drop/bdf/2026-03-02/bdf.txt" in kept.out
    still = shop.at_matriz("import-bdf", code=1)
    assert "is kept" in still.out
    close(shop)
    taken = shop.at_matriz("import-bdf")
    if "Nothing waits" not in taken.out:  # the turn took it
        assert "bdf.txt taken in: " in taken.out
    again = shop.at_matriz("import-bdf", bdf(shop))
    assert "counts for 02/03/2026 already: nothing has changed." in again.out
    assert "Nothing waits in drop/bdf." in shop.at_matriz("import-bdf").out


def test_taken_corrected_and_what_it_is_as_a_batch(shop: Shop) -> None:
    close(shop)
    first = shop.at_matriz("import-bdf", bdf(shop, Plan(value=1)), "--by", "Márcia", "--json").json
    assert (first["state"], first["day"], first["layout"]) == ("taken", "2026-03-02", BDF)
    second = shop.at_matriz("import-bdf", bdf(shop, name="corrigido.txt"))
    assert "corrigido.txt taken in:" in second.out
    assert f"It replaces the file that was taken before ({first['batch']})" in second.out
    assert "filesync reconcile --date 2026-03-02" in second.out
    feeds = shop.at_matriz("status").out.partition("Feeds:")[2].splitlines()
    assert [line.split()[1:3] for line in feeds if "bdf.matriz.matriz" in line] == [["kept", "here"]]
    assert [line.split()[1] for line in feeds if "vendas.caixa-01.matriz" in line] == ["received"]
    shown = shop.at_matriz("show", first["batch"])
    assert "applied here" in shown.out
    assert ".original.txt" in shown.out
    manifest = next((shop.matriz / "archive" / "2026" / "03" / "02").glob(f"{first['batch']}.manifest.json"))
    verified = shop.at_matriz("verify", manifest, "--key", shop.root / "matriz.pub")
    assert "Nothing is wrong" in verified.out
    assert "Márcia" in shop.at_matriz("day", "--date", "2026-03-02", code=None).out


def test_a_check_says_everything_and_changes_nothing(shop: Shop) -> None:
    close(shop)
    path = bdf(shop, Plan(extra=1))
    before = path.read_bytes()
    said = shop.at_matriz("import-bdf", path, "--check")
    assert "in order" in said.out
    assert "trailer  linhas" in said.out
    assert "1 record without a sale of the day" in said.out
    assert "sales of" in said.out
    assert "The gate of importar_bdf is open." in said.out
    found = shop.at_matriz("import-bdf", path, "--check", "--json").json
    assert (found["good"], found["unsold"], found["gate"]) == (True, 1, None)
    assert path.read_bytes() == before
    assert "Nothing waits" in shop.at_matriz("import-bdf").out


def test_a_file_that_does_not_add_up_is_told_with_its_line(shop: Shop) -> None:
    path = bdf(shop)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    said = shop.at_matriz("import-bdf", path, code=1)
    assert "The file is wrong, and nothing of it was taken:" in said.err
    assert f"bdf.txt, line {len(lines) - 1}, linhas of the trailer: expected" in said.err
    error = shop.at_matriz("import-bdf", path, "--json", code=1).json["error"]
    assert error["code"] == "layout-sums"
    assert len(error["problems"]) == 2
    checked = shop.at_matriz("import-bdf", path, "--check", code=1)
    assert "would be refused" in checked.out


def test_rows_that_were_not_taken_are_named(shop: Shop) -> None:
    close(shop)
    path = bdf(shop)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:29] + b"03X20" + lines[1][34:]
    path.write_bytes(b"".join(lines))
    said = shop.at_matriz("import-bdf", path, code=1)
    assert "1 row was not taken, because of a mistake in it:" in said.out
    assert "bdf.txt, line 2, servico: " in said.out
    assert (
        "some rows of the file were not taken; the others were" in shop.at_matriz("quarantine", code=None).out
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("import-bdf", "nota.txt"), 1, "is of no known layout of bdf"),
        (("import-ca", "ca.csv"), 2, "add --date AAAA-MM-DD"),
        (("import-ca", "ca.csv", "--layout", "nenhum"), 2, "no layout of ca is called 'nenhum'"),
        (("import-bdf", "bdf.txt", "--date", "2026-03-03"), 1, "expected a file of 2026-03-03, its header says 2026-03-02"),
        (("import-bdf", "--check"), 2, "name the file that is meant"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_what_to_do(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (shop.root / "nota.txt").write_bytes(b"Prezados\r\n")
    (shop.root / "ca.csv").write_bytes(billing_file(LAYOUTS[CA], DAY, billed(shop).ca))
    bdf(shop)
    monkeypatch.chdir(shop.root)
    run = shop.at_matriz(*arguments, code=code)
    assert said in " ".join(run.err.replace("│", " ").split())


def test_only_the_matriz_imports(shop: Shop) -> None:
    assert "billing files are taken in at the matriz" in shop.at_caixa("import-bdf", bdf(shop), code=2).err


# ---------------------------------------------------------------- layouts


def test_layouts_are_listed_shown_and_checked(shop: Shop) -> None:
    listed = shop.at_matriz("layout", "list")
    assert all(name in listed.out for name in LAYOUTS)
    assert "no layout is official" in listed.out
    shown = shop.at_matriz("layout", "show", BDF)
    own = shop.matriz / "layouts" / "meu-bdf.toml"
    own.parent.mkdir()
    own.write_text(shown.out, "utf-8")
    assert "can be used as a layout" in shop.at_matriz("layout", "check", own).out
    fits = shop.at_matriz("layout", "check", bdf(shop), code=1)  # two fit now: the site's own goes first
    assert "meu-bdf (bdf): fits, 2026-03-02" in fits.out
    assert "exemplo-bdf-csv (bdf): does not: expected a header marked 'H'" in fits.out
    assert shop.at_matriz("import-bdf", bdf(shop), "--check", "--json", code=None).json["layout"] == "meu-bdf"
    page = shop.at_matriz("layout", "show", "meu-bdf", "--json").json
    assert page["trailer"]["fields"]["valor"]["sum_of"] == "valor_cobrado_centavos"


def test_a_layout_that_is_wrong_is_told_with_every_place(shop: Shop) -> None:
    path = shop.root / "errado.toml"
    path.write_text('dataset = "bdf"\nshape = "fixed"\nwidth = 0\n[records.detail]\nmarca = "1"\n', "utf-8")
    said = shop.at_matriz("layout", "check", path, code=1)
    assert "cannot be used as a layout" in said.out
    assert "  width: expected a whole number" in said.out
    assert "  records.detail.marca: no such setting" in said.out
    assert len(shop.at_matriz("layout", "check", path, "--json", code=1).json["problems"]) >= 3
    path.write_text('dataset = "nada"\nshape = "csv"\n[records.detail.fields]\nx = { column = 1 }\n', "utf-8")
    assert "no contract for 'nada'" in shop.at_matriz("layout", "check", path, code=1).out


def test_it_works_as_installed(shop: Shop) -> None:
    path = bdf(shop)
    run = installed("-C", shop.matriz, "import-bdf", path, "--check", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["layout"] == BDF
