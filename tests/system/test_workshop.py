"""The workshop's own promises: the lock names no place, one SQLite library, modules of one subject, one version."""

import ast
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import postgres_server
import pytest

import filesync

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "filesync"
LOCK = REPOSITORY / "requirements.lock"
MODULE_LINES_MAX = 400  # aim below 350

MODULES = sorted(SOURCE.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def locked() -> dict[str, list[str]]:
    """Requirement line (name==version ; marker) -> its hashes."""
    requirements: dict[str, list[str]] = {}
    lines = [line for line in LOCK.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    for line in lines:
        text = line.strip().removesuffix("\\").strip()
        if text.startswith("--hash="):
            requirements[next(reversed(requirements))].append(text.removeprefix("--hash="))
        else:
            requirements[text] = []
    return requirements


def imported(path: Path) -> Iterator[str]:
    """The names of all modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_the_lock_names_no_place() -> None:
    text = LOCK.read_text("utf-8")
    for forbidden in ("://", "index-url", "find-links", "trusted-host", " @ ", "file:", "-e ", "-r ", "-c "):
        assert forbidden not in text, f"{LOCK.name} says {forbidden!r}"
    assert not re.search(r"(?m)(^|\s)(\.{0,2}/|[A-Za-z]:[\\/])", text), "a path stands in the lock"


def test_the_lock_pins_every_requirement_with_hashes() -> None:
    for requirement, hashes in locked().items():
        assert re.match(r"[a-z0-9][a-z0-9._-]*==[0-9][^ ]*( ; .+)?$", requirement), requirement
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


def test_the_lock_covers_every_extra_and_the_build_backend() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[<>=!~;\[ ]", text, maxsplit=1)[0].lower().replace("_", "-") for text in wanted}
    assert names - {requirement.split("==")[0] for requirement in locked()} == set()


def test_the_lock_serves_every_platform() -> None:
    """Markers decide what a platform gets, not the machine that locked; and a compiled package has many wheels."""
    assert any(
        re.fullmatch(r"colorama==\S+ ; sys_platform == 'win32'", requirement) for requirement in locked()
    )
    wheels = {requirement.split("==")[0]: len(hashes) for requirement, hashes in locked().items()}
    for compiled in ("pyarrow", "adbc-driver-sqlite", "cryptography", "rpds-py"):
        assert wheels[compiled] >= 5, f"{compiled}: locked for too few platforms"


def test_one_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([abrc.]+\d+)?", filesync.__version__)
    assert importlib.metadata.version("filesync") == filesync.__version__
    changelog = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{filesync.__version__}]" in changelog


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_has_one_subject(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), (
        "the first lines of a module say what it does and what it does not do"
    )
    assert len(text.splitlines()) <= MODULE_LINES_MAX


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_the_standard_sqlite_library_is_not_imported(path: Path) -> None:
    """Two SQLite libraries on one file in one process drop each other's POSIX locks and lose commits."""
    assert not [
        module for module in imported(path) if module.split(".")[0] in {"sqlite3", "_sqlite3", "apsw"}
    ]


def test_no_module_is_named_for_nothing() -> None:
    vague = re.compile(r"(^|_)(utils?|helpers?|common|misc|manager|base)$")
    assert [named(path) for path in MODULES if vague.search(path.stem)] == []


@pytest.mark.parametrize("room", ["day", "exchange"])
def test_the_map_of_a_room_names_its_modules(room: str) -> None:
    """docs/design.md: whoever looks for the place of a line finds each module of the two large rooms there, and none that is gone."""
    design = (REPOSITORY / "docs" / "design.md").read_text("utf-8")
    start = design.index(f"nside `{room}/`")
    part = design[start : design.index("nside `", start + 10)]
    named = {word for word in re.findall(r"`([^`]+)`", part) if word.isidentifier()}
    modules = {path.stem for path in MODULES if path.parent == SOURCE / room} - {"__init__"}
    assert modules - named == set()
    assert named - modules == set()


def test_no_test_sleeps() -> None:
    sleeping = [
        named(path)
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep", "asyncio.sleep"}
    ]
    assert sleeping == []


def test_the_layers_hold_and_are_looked_at() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert {contract["id"] for contract in contracts} >= {
        "layers",
        "one-sqlite",
        "door-adbc",
        "door-jsonschema",
    }
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    for check in ("ruff check", "ruff format --check", "mypy", "lint-imports", "-m pytest"):
        assert check in makefile


def bare_machine(folder: Path, *tools: str) -> dict[str, str]:
    """An environment in which only `tools` (and what a shell needs) are found."""
    folder.mkdir(exist_ok=True)
    for tool in ("sh", "id", "env", "cat", *tools):
        (folder / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool} here"))
    return {"PATH": str(folder)}


def look_for(what: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run .ci/tools on a pretended machine."""
    return subprocess.run(
        [shutil.which("sh") or "sh", str(REPOSITORY / ".ci" / "tools"), what],
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def with_postgresql(root: Path) -> Path:
    """A root folder in which Debian's PostgreSQL is installed."""
    initdb = root / "usr" / "lib" / "postgresql" / "15" / "bin" / "initdb"
    initdb.parent.mkdir(parents=True)
    initdb.touch(mode=0o755)
    return root


def with_sshd(root: Path) -> Path:
    """A root folder in which OpenSSH's server is installed."""
    sshd = root / "usr" / "sbin" / "sshd"
    sshd.parent.mkdir(parents=True)
    sshd.touch(mode=0o755)
    return root


@pytest.mark.skipif(sys.platform == "win32", reason="the script is for POSIX shells")
def test_a_missing_system_tool_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    for what, words in (("tests", "apt-get install openssh-client"), ("venv", "not-there")):
        run = look_for(
            what, {**bare_machine(tmp_path / what), "PYTHON": "not-there", "SYSROOT": str(tmp_path)}
        )
        assert run.returncode == 1, run.stderr
        assert words in run.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the script is for POSIX shells")
@pytest.mark.parametrize("package", ["postgresql", "openssh-server"])
def test_without_a_server_its_tests_are_skipped_but_not_in_ci(tmp_path: Path, package: str) -> None:
    bring, bring_last = (
        (with_sshd, with_postgresql) if package == "postgresql" else (with_postgresql, with_sshd)
    )
    root = tmp_path / "root"
    bring(root)
    before = sorted(root.rglob("*"))
    env = {**bare_machine(tmp_path / "bin"), "SYSROOT": str(root)}
    (tmp_path / "bin" / "ssh-keygen").touch(mode=0o755)
    for ci, code, words in (("", 0, "they are skipped"), ("true", 1, "it is needed, since this is CI")):
        run = look_for("tests", {**env, "CI": ci})
        assert run.returncode == code, run.stderr
        assert words in run.stderr
        assert f"apt-get install {package}" in run.stderr
    assert sorted(root.rglob("*")) == before  # and nothing was left behind for the attempt
    bring_last(root)
    run = look_for("tests", {**env, "CI": "true"})
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="the script is for POSIX shells")
@pytest.mark.parametrize("package", ["openssh-client", "postgresql", "openssh-server"])
def test_installing_a_system_tool_upgrades_and_starts_nothing(tmp_path: Path, package: str) -> None:
    """A pretended apt-get without package lists: it is asked, updated, asked again, and never for more than was needed."""
    folder, root, asked = tmp_path / "bin", tmp_path / "root", tmp_path / "asked"
    env = bare_machine(folder, "chmod", "touch", "true", "mkdir", "rm", "rmdir", "dirname", "cp")
    root.mkdir()
    if package != "openssh-server":
        with_sshd(root)
    policy = root / "usr" / "sbin" / "policy-rc.d"
    (folder / "deb-systemd-helper").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    clusters = root / "etc" / "postgresql-common" / "createcluster.d"
    (folder / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    if package == "postgresql":
        (folder / "ssh-keygen").touch(mode=0o755)
        initdb = root / "usr" / "lib" / "postgresql" / "15" / "bin" / "initdb"
        brings = (
            f"cat {clusters}/* > {tmp_path}/told; mkdir -p {initdb.parent}; touch {initdb}; chmod +x {initdb}"
        )
    elif package == "openssh-server":
        (folder / "ssh-keygen").touch(mode=0o755)
        with_postgresql(root)
        sshd = root / "usr" / "sbin" / "sshd"
        brings = f"cat {policy} > {tmp_path}/told; touch {sshd}; chmod +x {sshd}"
    else:
        with_postgresql(root)
        brings = f"touch {folder}/ssh-keygen; chmod +x {folder}/ssh-keygen"
    (folder / "apt-get").write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n'
        f'case "$*" in update*) touch {tmp_path}/lists ;;\n'
        f"*) [ ! -f {tmp_path}/lists ] || {{ {brings}; }} ;;\nesac\n"
    )
    for script in ("sudo", "apt-get", "deb-systemd-helper"):
        (folder / script).chmod(0o755)
    run = look_for("tests", {**env, "SYSROOT": str(root)})
    assert run.returncode == 0, run.stderr
    first, update, second = asked.read_text().splitlines()
    assert first == second
    assert update.split()[0] == "update"
    assert {"--no-upgrade", "--no-remove", "--no-install-recommends"} <= set(second.split())
    assert second.split()[-2:] == ["install", package]
    if (
        package == "postgresql"
    ):  # no database is set up or started, and the setting that says so is gone again
        assert (tmp_path / "told").read_text() == "create_main_cluster = false\n"
        assert not (root / "etc" / "postgresql-common").exists()
    if package == "openssh-server":  # its server is not started, now or at boot; what said so is gone again
        assert (tmp_path / "told").read_text() == "#!/bin/sh\nexit 101\ndisable ssh.service ssh.socket\n"
        assert [path.name for path in policy.parent.iterdir()] == ["sshd"]


@pytest.mark.skipif(sys.platform == "win32", reason="the pretended program is a script for POSIX shells")
def test_a_postgresql_that_does_not_start_is_a_reason_and_in_ci_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    initdb = tmp_path / "initdb"
    initdb.write_text("#!/bin/sh\necho not today\nexit 1\n")
    initdb.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    # As root it is lent to a user who may not even run what lies here.
    said = "initdb failed: .*(not today|Permission denied)"
    with (
        pytest.raises(postgres_server.Missing, match=said) as why,
        postgres_server.kept(),
    ):
        pass
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=said):
        postgres_server.do_without(str(why.value))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=said):
        postgres_server.do_without(str(why.value))


def test_the_postgresql_of_the_tests_leaves_nothing_behind() -> None:
    """Not even when they end in the middle: its keeper's input ends with them."""
    try:
        with postgres_server.kept() as server:
            folder, port = server.log.parent, server.port
            socket.create_connection(("127.0.0.1", port)).close()
            raise InterruptedError
    except postgres_server.Missing as why:
        postgres_server.do_without(str(why))
    except InterruptedError:
        assert not folder.exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_the_wheel_carries_the_schemas_and_runs(tmp_path: Path) -> None:
    """Built offline from the lock's own backend, and imported away from the checkout."""
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-build-isolation",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(REPOSITORY),
    ]
    subprocess.run(build, check=True, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("filesync-*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    packed = {
        path.relative_to(unpacked / "filesync" / "schemas").as_posix()
        for path in (unpacked / "filesync" / "schemas").rglob("*.json")
    }
    ours = {
        path.relative_to(REPOSITORY / "schemas").as_posix()
        for path in (REPOSITORY / "schemas").rglob("*.json")
    }
    assert packed == ours
    assert "datasets/vendas.v1.json" in packed
    program = "import filesync; from filesync.contracts import Registry; print(filesync.__file__); print(*Registry.packaged().datasets())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        stdin=subprocess.DEVNULL,
    )
    origin, datasets = run.stdout.splitlines()
    assert Path(origin).is_relative_to(unpacked)
    assert "vendas" in datasets.split()
