"""docs/sources.md is true: every example of a source, a rule and a mistake on it is read by filesync and gives what the page shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from filesync.config import SENDS_BY_ROLE, Dataset
from filesync.contracts import OnBadRows, Registry
from filesync.protocol.identity import Role
from filesync.sources import Kind, SourceSettings, read_source
from filesync.sources.settings import _KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.contracts import Contract

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "sources.md").read_text(encoding="utf-8")
REGISTRY = Registry.packaged()
EXAMPLES = re.findall(
    r"<!-- example -->\n+```toml\n(.*?)```\n+```(csv|jsonl|sql)\n(.*?)```\n+```json\n(.*?)```",
    PAGE,
    re.DOTALL,
)
SITE = "matriz"


def cells(marker: str) -> Iterator[list[str]]:
    """The rows of the table behind `<!-- table: marker -->`, without its head."""
    found = re.search(rf"<!-- table: {marker} -->\n((?:\|.*\n)+)", PAGE)
    assert found is not None
    for line in found[1].splitlines()[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def contract_of(dataset: str) -> Contract:
    contract = REGISTRY.latest(dataset)
    assert contract is not None
    return contract


def documents(
    settings: SourceSettings, contract: Contract, root: Path, path: Path | None
) -> list[dict[str, Any]]:
    """What a reading gives, as the page writes it: the documents, then what was set aside."""
    good, bad = [], []
    for captured in read_source(settings, contract, root=root, site=SITE, path=path):
        good += contract.documents(captured.table)
        bad += [{"set aside": problem.message} for problem in captured.problems]
        findings = contract.validate(captured.table)
        assert findings.ok, findings.problems()
    return good + bad


def test_there_is_an_example_of_every_kind() -> None:
    shown = {tomllib.loads(toml)["datasets"].popitem()[1]["source"]["kind"] for toml, *_ in EXAMPLES}
    assert shown == {"csv", "jsonl", "sql"}
    assert f"<!-- example -->\n{PAGE.split('<!-- example -->')[-1]}".count("```json") == 1, (
        "an example is not complete"
    )
    assert PAGE.count("<!-- example -->") == len(EXAMPLES)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_gives_what_is_shown(number: int, tmp_path: Path) -> None:
    toml, kind, content, shown = EXAMPLES[number]
    ((dataset, described),) = tomllib.loads(toml)["datasets"].items()
    settings = SourceSettings.from_toml(described["source"])
    if kind == "sql":
        path = tmp_path / "legado.db"
        program = f"import sqlite3, sys; sqlite3.connect({str(path)!r}).executescript(sys.stdin.read())"
        # In another process: this one has a SQLite library already.
        subprocess.run([sys.executable, "-c", program], input=content, text=True, check=True)
    else:
        path = tmp_path / described["source"]["path"].replace("*", "2026-03-02")
        path.parent.mkdir(parents=True)
        path.write_text(content, encoding=described["source"].get("encoding", "utf-8"), newline="")
    before = path.read_bytes()
    made = documents(settings, contract_of(dataset), tmp_path, None)
    assert [json.loads(line) for line in shown.splitlines()] == made
    assert path.read_bytes() == before, "reading never changes a source"


# --- the tables of rules

_PRODUTO = {
    "codigo": "P1", "descricao": "d", "unidade": "UN", "preco_centavos": 0, "vigencia_inicio": "2026-01-01", "ativo": True,
}  # fmt: skip
_FECHAMENTO = {
    "data": "2026-03-02", "turno": 1, "fechado_em": "2026-03-02T18:00:00-03:00", "sem_movimento": True, "abertura_centavos": 0,
    "suprimentos_centavos": 0, "sangrias_centavos": 0, "dinheiro_centavos": 0, "esperado_centavos": 0, "contado_centavos": 0,
    "diferenca_centavos": 0, "quantidade_vendas": 0, "total_vendas_centavos": 0,
}  # fmt: skip
#: A field of each type, in a document that is otherwise constant.
_FIELDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "text": ("produtos", _PRODUTO, "descricao"),
    "whole number": ("produtos", _PRODUTO, "preco_centavos"),
    "true or false": ("produtos", _PRODUTO, "ativo"),
    "date": ("produtos", _PRODUTO, "vigencia_inicio"),
    "moment": ("fechamento", _FECHAMENTO, "fechado_em"),
}


def becomes(kind: str, rule: str, lines: list[tuple[str, str]], folder: Path) -> object:
    """The field's value, or the reason for which the document was set aside."""
    dataset, base, field = _FIELDS[kind]
    stated = re.search(r"The source says (.*?);\s+its file is called `(.*?)`", PAGE, re.DOTALL)
    assert stated is not None
    source = tomllib.loads("\n".join(re.findall(r"`(.*?)`", stated[1])))
    source |= {"kind": "csv", "group_by": ["g"]}
    source["columns"] = {name: {"value": value} for name, value in base.items()} | tomllib.loads(
        f"{field} = {rule}"
    )
    path = folder / stated[2]
    path.write_text("g;x;y\n" + "".join(f"1;{x};{y}\n" for x, y in lines), encoding="utf-8")
    contract = contract_of(dataset)
    (captured,) = read_source(SourceSettings.from_toml(source), contract, root=folder, site=SITE, path=path)
    found = contract.documents(captured.table)
    return found[0][field] if found else "; ".join(problem.message for problem in captured.problems)


def code(cell: str) -> str:
    return re.sub(r"^`(.*)`$", r"\1", cell)


def check(kind: str, rule: str, lines: list[tuple[str, str]], shown: str, folder: Path) -> None:
    made = becomes(kind, code(rule), lines, folder)
    if shown.startswith("set aside: "):
        assert shown.removeprefix("set aside: ") in str(made)
    else:
        assert made == json.loads(code(shown))


@pytest.mark.parametrize("row", list(cells("rules")), ids=lambda row: f"{row[1]} {row[2]}")
def test_a_rule_makes_what_the_table_says(row: list[str], tmp_path: Path) -> None:
    kind, rule, x, y, shown = row
    check(kind, rule, [(code(x), code(y))], shown, tmp_path)


@pytest.mark.parametrize("row", list(cells("take")), ids=lambda row: f"{row[1]} {row[2]}")
def test_take_says_which_line_counts(row: list[str], tmp_path: Path) -> None:
    kind, rule, values, shown = row
    check(kind, rule, [(value, "") for value in re.findall(r"`(.*?)`", values)], shown, tmp_path)


# --- the other tables


def test_the_table_of_settings_is_complete() -> None:
    table = PAGE[PAGE.index("## Every setting") :]
    head = re.findall(r"\| ([a-z]+) (?=\|)", table.splitlines()[2])
    assert set(head) == {kind.value for kind in Kind}
    told: dict[str, set[str]] = {kind: set() for kind in head}
    for line in table.splitlines()[4:]:
        if not line.startswith("|"):
            break
        names, *marks = [cell.strip() for cell in line.strip("|").split("|")]
        for kind, mark in zip(head, marks, strict=True):
            told[kind] |= set(re.findall("`(.*?)`", names)) if mark else set()
    assert told == _KEYS
    beside = set(re.findall(r"^\| `(\w+)` \|", table[table.index("Beside the source") :], re.MULTILINE))
    assert beside == Dataset.model_fields.keys() - {"source"}


def test_what_the_page_says_of_contracts_and_roles() -> None:
    kept = {name for name in REGISTRY.datasets() if contract_of(name).on_bad_rows is OnBadRows.QUARANTINE}
    assert kept == {"vendas", "bdf", "ca"}
    assert SENDS_BY_ROLE[Role.CAIXA] == SENDS_BY_ROLE[Role.POSTO] == {"vendas", "fechamento"}
