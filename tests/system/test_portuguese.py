"""The command line in Portuguese, read line by line: a shop's day with everything that people see of it, and every help page.

A line that holds a common English word is a text that nobody has marked, or a fragment that was put together in English.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import typer
from cli_shop import DAY, Shop, filesync, open_shop

from filesync.cli.app import app
from filesync.demo.cadastros import produtos
from filesync.language import Language, choose
from filesync.phrases import FORMS, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Words that no Portuguese line needs. Names of commands, options, files and columns are taken out before.
_ENGLISH = (
    "the and of is are was were with from this that not has have nothing here there will its it which been already than only but an or be in on at "
    "into what when who why how nobody each every all some more sent received sealed settled applied missing rejected waits waiting batch batches "
    "receipt receipts file files row rows day days site sites peer peers gate gates closed open done step late complete expected got unknown known "
    "found read written wrong fetched shift till sale sales customer customers feed key mistakes mistake error warning default required show "
    "this usage options option command commands arguments message exit failed skipped ago now today yes field rule version allowed optional link "
    "role kind value values free never whole changes no-one holds until since other another than"
)
ENGLISH = frozenset(_ENGLISH.split())
_COMMANDS = re.compile(
    r"filesync (?:-C \S+ )?(?:carry (?:in|out)|peer (?:add|list|trust)|quarantine(?: (?:show|retry|discard))?|report (?:client|agency)"
    r"|(?:service|contract|layout) [a-z]+|[a-z-]+)(?: [A-Za-z0-9_.-]+)?"
)
_NAMES = (
    re.compile(r"`[^`]*`"),  # what is typed, or stands in a file
    _COMMANDS,
    re.compile(r"(?<!\w)--?[A-Za-z-]+"),  # options
    re.compile(r"<[^>]*>|\[[^\]]*\]"),  # types of options; files
    re.compile(r"\S*[/\\_=:]\S+|\w+\.\w\S*|\w+/$"),  # paths, settings, names of fields and files
    re.compile(r"^\S+: .*?digest.*|\b[0-9a-f]{12,}\b"),
)


def english(text: str) -> list[str]:
    """Lines with English words in them."""
    found = []
    for line in text.splitlines():
        rest = line
        for names in _NAMES:
            rest = names.sub(" ", rest)
        words = [word for word in re.findall(r"[A-Za-zÀ-ÿ]+", rest) if word.lower() in ENGLISH]
        if words:
            found.append(f"{', '.join(words)} | {line}")
    return found


def pages(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from pages(below, (*path, name))


@pytest.fixture(autouse=True)
def _portuguese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FILESYNC_LANG", "pt-BR")
    monkeypatch.setenv("COLUMNS", "200")
    yield
    choose(Language.ENGLISH)


def test_a_word_of_english_is_noticed() -> None:
    assert english("  o lote waits: falta o conteúdo") != []
    assert english("  repita: filesync receive-remote --date 2026-03-02 [vendas.caixa-01.matriz] `key`") == []


def test_every_help_page() -> None:
    found = []
    for path in pages(typer.main.get_command(app)):
        page = filesync(*path, "--help").out
        types = re.findall(r"<(?:bool|str|int|file|path|list)[^>]*>", page)
        assert types == [], f"{path}: words of the programming language"
        # The first column of a page holds names: of commands, options and arguments.
        lines = [
            re.sub(r"^│ *\*? *(?:\S+ +){0,3}?(?=\S+ \S+ )|^│ +[a-z-]+ ", "│ ", line)
            for line in page.splitlines()
        ]
        found += [
            f"{' '.join(path)}: {line}" for line in english("\n".join(lines)) if "ssh-keygen" not in line
        ]
    assert found == []


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("portuguese"))


def test_what_people_see_of_a_day(shop: Shop, tmp_path: Path) -> None:
    day, seen = DAY.isoformat(), []

    def at(site: Path, *arguments: str | Path, code: int | None = None) -> None:
        run = filesync("-C", site, *arguments, code=code)
        seen.append(run.out + run.err)

    caixa, matriz = shop.caixa, shop.matriz
    for command in ("status", "outbox", "inbox", "quarantine", "cadastros", "turn"):
        at(caixa, command)
        at(matriz, command)
    at(caixa, "peer", "list")
    at(caixa, "close", "--date", day, "--contado", "10,00")
    sales = shop.sales(20)
    wrong = [{**sale, "total_centavos": sale["total_centavos"] + 100} for sale in sales[:2]]
    at(caixa, "export", "vendas", "--from", shop.write([*wrong, *sales[2:12]]))
    at(caixa, "quarantine")
    at(caixa, "outbox")
    at(caixa, "exchange")
    shop.damage(next((matriz / "inbox" / "caixa-01").glob("vendas.*.parquet")))
    at(caixa, "export", "vendas", "--from", shop.write(sales[12:16]))
    at(caixa, "exchange")
    at(matriz, "inbox")
    at(matriz, "import")
    at(matriz, "status")
    at(matriz, "quarantine")
    for path in sorted((matriz / "quarantine").glob("*/*.parquet"))[:1]:
        at(matriz, "quarantine", "show", path.name)
        at(matriz, "show", path.name)
    at(caixa, "turn")
    at(matriz, "turn")
    at(caixa, "turn")
    at(caixa, "close", "--date", day, "--contado", "10,00", "--despite-refused")
    at(caixa, "send-remote", "--date", day, "--contado", "10,00", "--despite-refused", "--patience", "0")
    at(matriz, "gate", "importar_bdf", "--date", day)
    at(matriz, "receive-remote", "--date", day)
    at(matriz, "day", "--date", day)
    at(matriz, "day", "--range", "2026-03")
    at(matriz, "roster", "--date", day)
    at(matriz, "gate", "nada", "--date", day)
    at(matriz, "override", "importar_bdf", "--date", day, "--reason", "…", "--by", "Ana")
    at(
        matriz,
        "override",
        "importar_bdf",
        "--date",
        day,
        "--reason",
        "…",
        "--by",
        "Ana",
        "--confirmed-by",
        "Bia",
    )
    at(matriz, "override", "--list")
    at(matriz, "gate", "importar_bdf", "--date", day)
    at(matriz, "done", "exportar_sara", "--date", day, "--by", "Ana")
    at(matriz, "reconcile", "--date", day)
    at(matriz, "import-bdf")
    at(matriz, "export-portal", "--date", day)
    at(matriz, "report", "agency", "--date", day)
    at(matriz, "report", "client", "ninguem", "--date", day)
    at(matriz, "dossier", "--date", day, tmp_path / "dia.zip")
    at(matriz, "verify", tmp_path / "dia.zip")
    archive = sorted((matriz / "archive").rglob("*.manifest.json"))
    at(matriz, "verify", *archive[:2])
    at(matriz, "show", archive[0].name)
    at(matriz, "void", "vendas.caixa-01.matriz", "99", "--reason", "…", "--by", "Ana")
    at(matriz, "void", "--list")
    at(matriz, "resend", "vendas.caixa-01.matriz")
    at(caixa, "carry", "out", tmp_path / "pendrive")
    (tmp_path / "pendrive").mkdir()
    at(caixa, "carry", "out", tmp_path / "pendrive")
    at(matriz, "carry", "in", tmp_path / "pendrive")
    at(matriz, "layout", "list")
    at(matriz, "contract", "list")
    for dataset in ("vendas", "fechamento", "produtos", "bdf"):
        at(matriz, "contract", "show", dataset)
    at(matriz, "export", "produtos", "--from", shop.write(list(produtos(DAY)), "produtos.jsonl"), "--full")
    at(matriz, "doctor")
    at(tmp_path, "status")
    at(caixa, "status", "--nada")
    at(caixa, "export", "vendas", "--from", "nada.csv")
    at(caixa, "close")
    assert [line for text in seen for line in english(text)] == []


def test_what_is_typed_wrong_is_answered_in_portuguese() -> None:
    assert "Não existe o comando" in filesync("statu", code=2).err
    assert "Falta a opção" in filesync("close", code=2).err
    assert "não está em nenhum dos formatos" in filesync("close", "--date", "amanhã", code=2).err


def test_sentences_from_below_keep_their_facts() -> None:
    choose(Language.PORTUGUESE)
    assert said("a.csv, line 3, total of the trailer: expected 12, got '13'") == (
        "a.csv, linha 3, total (rodapé): esperava-se 12, veio '13'"
    )
    assert said("no such sentence") == "no such sentence"
    choose(Language.ENGLISH)
    assert said("waits for matriz to fetch it") == "waits for matriz to fetch it"


def test_every_form_is_recognized() -> None:
    """With something in its places, each is said in Portuguese, and in English as it was."""
    texts = [form.format_map(dict.fromkeys(re.findall(r"{(\w+)}", form), "1")) for form in FORMS]
    choose(Language.PORTUGUESE)
    assert [text for text in texts if english(said(text))] == []
    choose(Language.ENGLISH)
    assert [said(text) for text in texts] == texts
