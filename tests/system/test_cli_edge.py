"""What every command promises: exit codes, no traceback, any terminal, any folder, quick to start."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_shop import COMMAND, Shop, filesync, installed, open_shop

import filesync as package
from filesync.cli import advice, wording
from filesync.cli.screen import Watch
from filesync.errors import DamagedError, RejectedError, TransportError
from filesync.exchange.reports import Progress
from filesync.exchange.station import Station

SOURCE = Path(package.__file__).parent


def test_version_and_help_are_quick_and_bring_no_rows_library() -> None:
    run = installed("--version")
    assert (run.returncode, run.stdout.decode().strip()) == (0, f"filesync {package.__version__}")
    probe = "import sys, filesync.cli.app; print(sorted({'pyarrow', 'numpy', 'pydantic', 'cryptography', 'jsonschema'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("command", [
    (), ("turn",), ("export",), ("exchange",), ("import",), ("status",), ("outbox",), ("inbox",), ("show",), ("quarantine",),
    ("quarantine", "show"), ("quarantine", "retry"), ("quarantine", "discard"), ("verify",), ("init",), ("peer",), ("peer", "add"),
    ("peer", "list"), ("key",), ("contract",), ("contract", "show"), ("contract", "check"), ("demo",),
])  # fmt: skip
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    assert "Usage" in filesync(*command, "--help").out


def test_the_help_of_show_says_how_to_check_a_signature() -> None:
    text = filesync("show", "--help").out
    assert "ssh-keygen -Y verify" in text
    assert "--allowed-signers" in text


# ------------------------------------------------------------------------------------------------ whose site


def test_the_site_may_be_named_in_four_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(tmp_path)
    monkeypatch.delenv("FILESYNC_ROOT", raising=False)

    def site(*arguments: str | Path, cwd: Path = tmp_path, **env: str) -> str:
        with monkeypatch.context() as there:
            there.chdir(cwd)
            for name, value in env.items():
                there.setenv(name, value)
            return str(filesync(*arguments, "--json").json["site"])

    assert site("-C", "caixa-01", "status") == "caixa-01"
    assert site("status", "-C", "caixa-01") == "caixa-01"
    assert site("status", FILESYNC_ROOT=str(shop.caixa)) == "caixa-01"
    assert site("status", cwd=shop.matriz) == "matriz"
    assert site("-C", shop.matriz, "status", FILESYNC_ROOT=str(shop.caixa)) == "matriz"
    assert site("-C", shop.caixa, "status", "-C", shop.matriz) == "matriz"
    run = installed("status", "--json", cwd=tmp_path, env={"FILESYNC_ROOT": str(shop.caixa)})
    assert json.loads(run.stdout)["site"] == "caixa-01"


def test_outside_a_site_it_says_where_to_go(tmp_path: Path) -> None:
    run = filesync("-C", tmp_path, "status", code=2)
    assert "is not a filesync site" in run.err
    assert "filesync init" in run.err


# ------------------------------------------------------------------------------------------------ any terminal


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_stdout_will_do(tmp_path: Path, encoding: str) -> None:
    shop = open_shop(tmp_path)
    (shop.matriz / "inbox" / "caixa-01" / "pão \U0001f35e.txt").write_bytes(b"")
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
    every = (
        ("inbox",),
        ("quarantine", "show", "ção"),
        ("status",),
        ("contract", "show", "vendas"),
        ("--help",),
    )
    for arguments in every if encoding == "ascii" else every[:2]:  # the narrowest one is the hardest
        run = installed("-C", shop.matriz, *arguments, env=env)
        assert run.returncode == (2 if "ção" in arguments else 0), run.stderr
        assert b"Traceback" not in run.stderr
        assert b"\x1b" not in run.stdout, "colour where there is no terminal"
    found = json.loads(installed("-C", shop.matriz, "inbox", "--json", env=env).stdout.decode(encoding))
    assert found[0]["name"] == "pão \U0001f35e.txt"


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    for arguments in (["contract", "show", "vendas"], ["status", "--json"], ["key"]):
        read, write = os.pipe()
        os.close(read)
        run = installed("-C", shop.caixa, *arguments, stdout=write)
        os.close(write)
        assert (run.returncode, run.stderr) == (130, b""), arguments


def test_ctrl_c_ends_it_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(tmp_path)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Station, "turn", interrupted)
    run = shop.at_caixa("turn", code=130)
    assert (run.out, run.err.strip()) == ("", "")


class Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def meanwhile() -> None:
    sys.stdout.write("said meanwhile\n")


def test_progress_goes_to_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for quiet, stream, shown in (
        (False, Terminal(), True),
        (True, Terminal(), False),
        (False, io.StringIO(), False),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        with Watch(quiet=quiet, patience_s=0) as watch:
            if watch._timer is not None:
                watch._timer.join()  # shown from here on
            watch(Progress("seal", 10, 20, "documents"))
            watch.aside(meanwhile)
            watch(Progress("seal", 20, 20, "documents"))
        assert ("seal (documents)" in stream.getvalue()) is shown
    assert capsys.readouterr().out == "said meanwhile\n" * 3


def test_a_quick_command_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Watch(quiet=False, patience_s=600) as watch:
        watch(Progress("seal", 1, 1, "documents"))
    assert stream.getvalue() == ""


# ------------------------------------------------------------------------------------------------ failures


def test_a_bug_is_one_line_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise ValueError("something odd\nover two lines")

    monkeypatch.setattr(Station, "turn", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = shop.at_caixa("turn", code=70)
    assert "ValueError: something odd" in run.err
    assert "over two lines" not in run.err
    [report] = tmp_path.glob("filesync-bug-*.txt")
    assert str(report) in run.err
    assert "Traceback" in report.read_text("utf-8")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "outbox/x"), 2, "Free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "filesync.db"), 2, "who may read and write"),
        (FileNotFoundError(errno.ENOENT, "gone", "x"), 70, "mistake in filesync"),
        (TransportError("unknown-code", "no road"), 3, "Nothing is lost"),
        (RejectedError("unknown-code", "bad content"), 1, "export again"),
        (DamagedError("unknown-code", "bad bytes"), 1, "sends it again"),
    ],
)
def test_every_family_has_its_code_and_a_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, says: str
) -> None:
    shop = open_shop(tmp_path)

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Station, "import_", failing)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert says in shop.at_caixa("import", code=code).err


def test_a_broken_database_is_no_traceback(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    (shop.caixa / "filesync.db").write_bytes(b"not a database at all" * 400)
    run = shop.at_caixa("status", code=None)
    assert run.code in (1, 2)
    assert len(run.err.strip().splitlines()) >= 2


def test_a_second_filesync_in_the_same_folder_waits_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(tmp_path)
    monkeypatch.setattr("filesync.exchange.station.LOCK_PATIENCE_S", 0)
    with Station.open(shop.caixa) as station, station._working():
        run = shop.at_caixa("turn", code=2)
        assert f"another filesync (pid {os.getpid()}) works" in run.err
        shop.at_caixa("status")


#: Codes are lower case with dashes; the first argument of an error or a problem.
_CODE = re.compile(r'(?:Error|Problem|_refuse|Held)\(\s*(?:[a-z_.]+, )*f?"([a-z]+(?:-[a-z]+)*)"')


def codes() -> set[str]:
    found = set()
    for path in SOURCE.rglob("*.py"):
        if "cli" not in path.parts:
            found |= set(_CODE.findall(path.read_text("utf-8")))
    return found


def test_every_code_in_the_house_has_advice() -> None:
    # Between the store and its caller, never reaching a person; and a place in a turn's report, with another error's code.
    inner = {"key-exists", "key-repeated", "voids"}
    assert len(codes()) > 30, "the pattern finds nothing any more"
    assert codes() - set(advice.ADVICE) - inner == set()


def test_advice_is_whole_sentences() -> None:
    for code, text in advice.ADVICE.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert text.do[0].isupper() or text.do[0] == "`", code
        assert text.means is None or not text.means.endswith("."), code


# ------------------------------------------------------------------------------------------------ words

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(("ago", "said"), [
    (timedelta(seconds=5), "just now"), (timedelta(seconds=70), "1 min ago"), (timedelta(minutes=5), "5 min ago"),
    (timedelta(hours=2), "2 h ago"), (timedelta(days=3), "3 days ago"), (timedelta(seconds=-30), "just now"),
    (timedelta(hours=-5), "at 22/11/2026 23:00, which lies in the future: check the clock"),
])  # fmt: skip
def test_ages(ago: timedelta, said: str) -> None:
    assert wording.age((NOW - ago).isoformat(), NOW) == said


def test_numbers_as_they_are_written_here() -> None:
    assert wording.money(-123456) == "-R$ 1.234,56"
    assert wording.money(5) == "R$ 0,05"
    assert [wording.size(n) for n in (1, 999, 1500, 45_000, 1_200_000)] == [
        "1 byte",
        "999 bytes",
        "1,5 kB",
        "45 kB",
        "1,2 MB",
    ]
    assert wording.documents(1, "vendas") == "1 sale"
    assert wording.documents(12345, "produtos") == "12.345 products"
    assert wording.documents(2, "coisas") == "2 documents"
    assert wording.numbers((9, 5, 6, 7, 2)) == "2, 5-7 and 9"
    assert wording.numbers(tuple(range(1, 60, 2))).endswith("and 22 more")
    assert wording.named("foto.jpg") == "foto.jpg"


# ------------------------------------------------------------------------------------------------ the demo


def test_the_demo_ends_well_and_leaves_its_sites_to_look_into(tmp_path: Path) -> None:
    run = installed("demo", tmp_path / "demo", "--seed", "7")
    assert run.returncode == 0, run.stderr
    out = run.stdout.decode("utf-8")
    assert "difference" in out
    assert "Every sale is at the matriz exactly once" in out
    for site in ("matriz", "caixa-01", "caixa-02", "posto-centro"):
        assert filesync("-C", tmp_path / "demo" / site, "status", "--json").json["site"] == site
    again = filesync("demo", tmp_path / "demo", "--seed", "7", "--json").json
    assert all(row["total_site"] == row["total_matriz"] for row in again["rows"])


def test_the_demo_never_goes_over_anything_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x", "utf-8")
    assert "not empty" in filesync("demo", tmp_path, code=2).err
    assert (tmp_path / "mine.txt").exists()


def test_the_installed_command_is_there() -> None:
    assert COMMAND.exists()
    assert isinstance(Shop(Path()).caixa, Path)
