"""README.md and the tutorials are true: their commands are typed as they stand, in an empty folder, and answer what the page shows.

In a page, a ```console block holds commands behind `$ ` (`> ` is not used: a here-document follows as it is typed) and what they answer. `…` stands for
anything inside a line; a line that is only `…` stands for any lines. ```sql blocks are for a server (tests/flows/test_own_tables.py). A command must end with 0, unless the page asks for its exit code next.
All blocks of a page run in one shell, one after the other. ```sh blocks are commands of a checkout; each is known to this test by name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "docs/tutorial.md",
    "docs/tutorial-retail.md",
    "docs/tutorial-own-tables.md",
    "docs/operations.md",
    "docs/cadastros.md",
    "docs/reports.md",
)
#: Commands of a checkout: what each is proven by instead of being run here.
CHECKOUT = {
    'filesync purge --older "400 days"': "tests/system/test_cli_purging.py",
    'filesync purge --older "400 days" --yes': "tests/system/test_cli_purging.py",
    "make demo": "a target of the Makefile; `filesync demo` has its own tests",
    "make test": "a target of the Makefile; this test is a part of it",
    ". .venv/bin/activate": "made by `make setup`",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A command as it is typed, and the lines that are shown below it."""

    command: str
    shown: tuple[str, ...]

    @property
    def asks_for_the_code(self) -> bool:
        return self.command == "echo $?"


def blocks(page: str, kind: str) -> list[str]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def steps(block: str) -> list[Step]:
    found: list[Step] = []
    lines = block.splitlines()
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            assert found, f"a console block begins with a command, not with {line!r}"
            found[-1] = Step(found[-1].command, (*found[-1].shown, line))
            continue
        command = [line.removeprefix("$ ")]
        if heredoc := re.search(r"<<'(\w+)'", line):
            while lines and (not command[1:] or command[-1] != heredoc[1]):
                command.append(lines.pop(0))
        found.append(Step("\n".join(command), ()))
    return found


def environment() -> dict[str, str]:
    """Where filesync and Python are those that run the tests, and messages are not those of a developer's own site."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FILESYNC")}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }


def answers(every: list[Step], folder: Path) -> list[tuple[str, int]]:
    """What each command printed (errors too) and its exit code."""
    mark = "@@@ filesync tutorial @@@"
    script = "".join(
        # The exit code is given back, so that the page's own `echo $?` sees it.
        f"{step.command}\nfilesync_code=$?; printf '\\n%s %s\\n' '{mark}' \"$filesync_code\"; (exit $filesync_code)\n"
        for step in every
    )
    run = subprocess.run(
        ["sh"], input=script, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    parts = re.split(rf"\n{re.escape(mark)} (\d+)\n", run.stdout)
    return list(zip(parts[0::2], map(int, parts[1::2]), strict=False))


def fits(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the output is the one shown, with `…` for what differs."""
    if not shown:
        return not printed
    if shown[0] == "…":
        return any(fits(shown[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    pattern = ".*".join(map(re.escape, shown[0].split("…")))
    return (
        bool(printed)
        and re.fullmatch(pattern, printed[0].rstrip()) is not None
        and fits(shown[1:], printed[1:])
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the pages are typed into a POSIX shell")
@pytest.mark.parametrize(
    "page", ["README.md", *(pytest.param(page, marks=pytest.mark.slow) for page in PAGES[1:])]
)
def test_a_page_works_when_typed(page: str, tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("ssh-keygen (OpenSSH client) is not installed: in CI this proof is not optional")
        pytest.skip("ssh-keygen (OpenSSH client) is not installed")
    every = [step for block in blocks(page, "console") for step in steps(block)]
    assert len(every) > 5
    answered = answers(every, tmp_path)
    for number, (step, (printed, code)) in enumerate(zip(every, answered, strict=True)):
        lines = [line.rstrip() for line in printed.splitlines()]
        while lines and not lines[-1]:  # a screen shows no difference
            lines.pop()
        assert fits(step.shown, lines), (
            f"{page}: $ {step.command}\nshows:\n{chr(10).join(step.shown)}\nprinted:\n{printed}"
        )
        asked = number + 1 < len(every) and every[number + 1].asks_for_the_code
        assert code == 0 or asked, f"{page}: $ {step.command}\nended with {code}:\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_no_command_of_a_page_is_left_out(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= {
        "console",
        "sh",
        "text",
        "toml",
        "python",
        "sql",
    }
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            command = line.split("#", maxsplit=1)[0].strip()
            assert command in CHECKOUT, f"{page}: `{command}` is executed by no test"
            if command.startswith("make "):
                assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)
            else:
                assert "VENV := .venv" in makefile


@pytest.mark.parametrize(
    "page", [*PAGES, "docs/sources.md", "docs/protocol.md", "inbox/README.md", "outbox/README.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    path = REPOSITORY / page
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists(), f"{page}: {target}"
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]*)\)", text):
        assert anchor in anchors, f"{page}: #{anchor}"


def test_the_readme_begins_with_what_it_is_for_a_picture_and_two_commands() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    title, purpose, picture, *_ = text.split("\n\n")
    assert title == "# filesync"
    assert len(re.findall(r"[.!?](?:\s|$)", purpose)) == 3
    assert picture.startswith("```text")
    (first, *_) = blocks("README.md", "sh")
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
