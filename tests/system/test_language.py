"""The command line in two languages: which is chosen, what is said in it, and that nothing is missing in the catalogue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cli_shop import filesync

from filesync.cli.language import of_arguments, of_system, parse
from filesync.language import Language

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("pt-BR", Language.PORTUGUESE),
        ("pt_BR.UTF-8", Language.PORTUGUESE),
        ("Portuguese_Brazil", Language.PORTUGUESE),
        ("en_US.UTF-8", Language.ENGLISH),
        ("C", Language.ENGLISH),
        ("C.UTF-8", Language.ENGLISH),
        ("de_DE", None),
        ("", None),
    ],
)
def test_what_a_locale_means(text: str, language: Language | None) -> None:
    assert parse(text) is language


def test_the_first_variable_that_is_set_decides() -> None:
    assert of_system({"FILESYNC_LANG": "pt-BR", "LC_ALL": "C"}) is Language.PORTUGUESE
    assert of_system({"LC_ALL": "C", "LANG": "pt_BR.UTF-8"}) is Language.ENGLISH
    assert of_system({"LANG": "pt_BR.UTF-8"}) is Language.PORTUGUESE
    assert of_system({"LANG": "de_DE.UTF-8"}) is Language.ENGLISH


def test_the_option_may_stand_anywhere() -> None:
    assert of_arguments(["status", "--lang", "pt-BR"]) is Language.PORTUGUESE
    assert of_arguments(["--lang=en", "status"]) is Language.ENGLISH
    assert of_arguments(["export", "--", "--lang", "pt-BR"]) is None
    assert of_arguments(["status", "--lang"]) is None


def test_a_language_that_is_not_there_is_refused() -> None:
    assert "klingon" in filesync("--lang", "klingon", "status", code=2).err


def test_answers_and_advice_are_in_portuguese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILESYNC_LANG", "pt-BR")
    run = filesync("init", tmp_path / "loja", "--site", "caixa-01", "--role", "caixa")
    assert "pronto" in run.out or "pronta" in run.out
    assert "Nada" in filesync("-C", tmp_path / "loja", "import").out
    assert "Uso" not in filesync("-C", tmp_path, "status", code=2).err
    assert "filesync init" in filesync("-C", tmp_path, "status", code=2).err


def test_help_pages_are_in_portuguese_and_then_in_english_again() -> None:
    assert "Tudo de uma vez" in filesync("--lang", "pt-BR", "--help").out
    assert "Everything once" in filesync("--help").out


def test_what_programs_read_does_not_change_with_the_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesync("init", tmp_path / "loja", "--site", "caixa-01", "--role", "caixa")
    english = filesync("-C", tmp_path / "loja", "status", "--json").json
    monkeypatch.setenv("FILESYNC_LANG", "pt-BR")
    assert filesync("-C", tmp_path / "loja", "status", "--json").json == english


def test_every_text_has_its_translation() -> None:
    """Also that the compiled catalogue is the one of the written one, and that names and numbers have the same places in both."""
    run = subprocess.run(
        [sys.executable, str(REPOSITORY / ".ci" / "catalogue.py"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
