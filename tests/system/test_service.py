"""Services: what stands in the files, that the systems' own programs understand it, and what is done in which order.

systemd is asked itself (`systemd-analyze verify`), where it is installed. The Windows files are held to the documented elements of the Task
Scheduler's schema and of WinSW; they were not tried on Windows.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from cli_shop import COMMAND, filesync, open_shop

from filesync.errors import ConfigError
from filesync.service import installing, rendering
from filesync.service.installing import Plan, Ran
from filesync.service.quoting import (
    systemd_path,
    systemd_program,
    systemd_word,
    windows_arguments,
    windows_path,
    xml_text,
)
from filesync.service.rendering import Service, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SERVICE = Service(
    "caixa-01", PurePosixPath("/srv/filesync/caixa-01"), PurePosixPath("/opt/filesync/bin/filesync")
)
WINDOWS = Service("caixa-01", PureWindowsPath(r"C:\Loja Centro\caixa-01"), PureWindowsPath(r"C:\Program Files\filesync\filesync.exe"))  # fmt: skip
POSIX = pytest.mark.skipif(os.name == "nt", reason="systemd")

# ------------------------------------------------------------------------------------------------ quoting


@pytest.mark.parametrize(
    ("text", "word", "path"),
    [
        ("/srv/a", '"/srv/a"', '"/srv/a"'),
        ("/srv/loja centro", '"/srv/loja centro"', '"/srv/loja centro"'),
        ("/srv/100%", '"/srv/100%%"', '"/srv/100%%"'),
        ("/srv/$HOME", '"/srv/$$HOME"', '"/srv/$HOME"'),
        ('/srv/"x"', '"/srv/\\"x\\""', "'/srv/\"x\"'"),
        ("/srv/it's", '"/srv/it\'s"', '"/srv/it\'s"'),
        ("/srv/a\\b", '"/srv/a\\\\b"', '"/srv/a\\b"'),
        ("/srv/são", '"/srv/são"', '"/srv/são"'),
        ("/srv/a;b #c", '"/srv/a;b #c"', '"/srv/a;b #c"'),
    ],
)
def test_systemd_quoting(text: str, word: str, path: str) -> None:
    assert systemd_word(text) == word
    assert systemd_path(text) == path
    assert systemd_path(text, optional=True) == path[0] + "-" + path[1:]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("-C", r"C:\caixa-01", "run"), r"-C C:\caixa-01 run"),
        (("-C", r"C:\Loja Centro\caixa", "run"), r'-C "C:\Loja Centro\caixa" run'),
        (("-C", "C:\\Loja Centro\\", "run"), r'-C "C:\Loja Centro\\" run'),
    ],
)
def test_windows_quoting(words: tuple[str, ...], line: str) -> None:
    assert windows_arguments(*words) == line


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        (systemd_word, "/srv/a\nExecStart=/bin/sh"), (systemd_path, "/srv/a\nb"), (systemd_path, "/srv/\"it's"), (windows_path, "C:\\100%\\x"),
        (windows_arguments, "%TEMP%"), (xml_text, ""), *((systemd_program, f"/opt/{sign}/filesync") for sign in "$\"'\\"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(quote: Callable[[str], str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        quote(text)
    assert caught.value.code == "service-path"


# ------------------------------------------------------------------------------------------------ systemd


def options(text: str) -> dict[str, dict[str, str]]:
    """Section → option → value. No option of ours stands twice."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            assert name not in section
            section[name] = value
    return found


def test_the_unit_restarts_stops_cleanly_and_may_write_only_its_folders() -> None:
    linked = replace(SERVICE, account="filesync", group="loja", writable=(PurePosixPath("/mnt/stick one"),))
    (unit,) = (options(text) for text in rendering.units(linked).values())
    service = unit["Service"]
    assert service["ExecStart"] == '"/opt/filesync/bin/filesync" -C "/srv/filesync/caixa-01" run'
    assert (service["Restart"], service["RestartPreventExitStatus"], service["TimeoutStopSec"]) == (
        "on-failure",
        "2",
        "90",
    )
    assert (service["User"], service["Group"]) == ("filesync", "loja")
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["ProtectHome"]) == (
        "yes",
        "strict",
        "yes",
    )
    assert service["ReadWritePaths"] == '"/srv/filesync/caixa-01" "-/mnt/stick one"'
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_a_site_in_a_home_is_not_closed_out_of_it() -> None:
    (text,) = rendering.units(replace(SERVICE, root=PurePosixPath("/home/ana/caixa"))).values()
    assert "ProtectHome" not in options(text)["Service"]


def test_a_users_unit_asks_for_nothing_that_only_root_may_give() -> None:
    (text,) = rendering.units(replace(SERVICE, user=True, account="ana")).values()
    service = options(text)["Service"]
    assert not {"User", "ProtectSystem", "ReadWritePaths", "CapabilityBoundingSet"} & set(service)
    assert service["NoNewPrivileges"] == "yes"
    assert options(text)["Install"]["WantedBy"] == "default.target"


def test_the_timer_turns_and_is_no_failure_where_a_peer_is_away() -> None:
    made = rendering.units(replace(SERVICE, way=Way.TIMER, every_min=7))
    assert sorted(made) == ["filesync-caixa-01-turn.service", "filesync-caixa-01-turn.timer"]
    service = options(made["filesync-caixa-01-turn.service"])["Service"]
    assert service["Type"] == "oneshot"
    assert service["ExecStart"].endswith('-C "/srv/filesync/caixa-01" turn')
    assert service["SuccessExitStatus"] == "3 130"
    timer = options(made["filesync-caixa-01-turn.timer"])["Timer"]
    assert (timer["OnUnitInactiveSec"], timer["Unit"]) == ("7min", "filesync-caixa-01-turn.service")


@POSIX
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("folder", ["plain", "loja centro", '100% "nossa" d\'água é \\ tudo;#'])
@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("user", [False, True])
def test_systemd_understands_the_units(tmp_path: Path, folder: str, way: Way, user: bool) -> None:
    program = tmp_path / re.sub(r'["\'\\$]', "", folder) / "bin" / "filesync"  # it may hold no such signs
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    root = tmp_path / folder.replace('"', "") / "site"  # a folder to write into may hold one kind of quotes
    root.mkdir(parents=True)
    service = Service("caixa-01", root, program, way, user, writable=(tmp_path / "stick one",))
    folder_of_units = tmp_path / "units"
    folder_of_units.mkdir()
    for name, text in rendering.units(service).items():
        (folder_of_units / name).write_text(text, encoding="utf-8")
    names = [str(folder_of_units / name) for name in rendering.units(service)]
    mode = ["--user"] if user else []
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    ran = subprocess.run(
        ["systemd-analyze", *mode, "verify", "--man=no", "--recursive-errors=no", *names], capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    # A wrongly quoted program is "not executable", a wrong option "Unknown key"; all complaints name the file.
    ours = [line for line in (ran.stdout + ran.stderr).splitlines() if "filesync" in line]
    assert ours == []
    assert ran.returncode == 0, ran.stderr


@POSIX
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_question_above_can_fail(tmp_path: Path) -> None:
    (text,) = rendering.units(SERVICE).values()
    unit = tmp_path / "filesync-caixa-01.service"
    unit.write_text(text.replace("Restart=", "Restrat="))
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)  # fmt: skip
    assert "Restrat" in ran.stderr
    assert "not executable" in ran.stderr


# ------------------------------------------------------------------------------------------------ Windows

TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
#: [MS-TSCH] 2.5.4, settingsType, as far as version 1.2 has it.
SETTINGS = {
    "AllowStartOnDemand", "RestartOnFailure", "MultipleInstancesPolicy", "DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "AllowHardTerminate",
    "StartWhenAvailable", "NetworkProfileName", "RunOnlyIfNetworkAvailable", "WakeToRun", "Enabled", "Hidden", "DeleteExpiredTaskAfter",
    "IdleSettings", "NetworkSettings", "ExecutionTimeLimit", "Priority", "RunOnlyIfIdle",
}  # fmt: skip
#: WinSW 2, doc/xmlConfigFile.md.
WINSW = {
    "id", "name", "description", "executable", "arguments", "workingdirectory", "serviceaccount", "startmode", "delayedAutoStart", "onfailure",
    "resetfailure", "stoptimeout", "logpath", "log",
}  # fmt: skip


def names(element: ET.Element) -> list[str]:
    return [child.tag.removeprefix(TASK) for child in element]


@pytest.mark.parametrize("service", [
    WINDOWS, replace(WINDOWS, user=True, account=r"LOJA\ana & cia"), replace(WINDOWS, way=Way.TIMER), replace(WINDOWS, account=r"LOJA\filesync"),
])  # fmt: skip
def test_the_task_is_what_the_schema_says(service: Service) -> None:
    task = ET.fromstring(rendering.task(service).encode("utf-16"))
    assert task.tag == f"{TASK}Task"
    assert names(task) == ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"]
    assert set(names(task[3])) <= SETTINGS
    assert len(names(task[3])) == len(set(names(task[3])))
    assert task.findtext(f".//{TASK}Command") == r"C:\Program Files\filesync\filesync.exe"
    word = "turn" if service.way is Way.TIMER else "run"
    assert task.findtext(f".//{TASK}Arguments") == rf'-C "C:\Loja Centro\caixa-01" {word}'
    principal = task.find(f".//{TASK}Principal")
    assert principal is not None
    assert principal.get("id") == task[4].get("Context")
    (trigger,) = task[1]
    kind = trigger.tag.removeprefix(TASK)
    if service.way is Way.TIMER:
        assert kind == "TimeTrigger"
        # triggerBaseType is a sequence: Repetition, StartBoundary, EndBoundary, ExecutionTimeLimit, Enabled
        assert names(trigger) == ["Repetition", "StartBoundary", "Enabled"]
        assert task.findtext(f".//{TASK}Interval") == "PT5M"
    else:
        assert kind == ("LogonTrigger" if service.user else "BootTrigger")
        assert names(trigger)[0] == "Enabled"
    who = principal.findtext(f"{TASK}UserId")
    assert who == (service.account or rendering.LOCAL_SERVICE)


def test_winsw_knows_every_element() -> None:
    service = ET.fromstring(rendering.winsw(WINDOWS).encode())
    assert service.tag == "service"
    assert set(names(service)) <= WINSW
    assert (service.findtext("id") or "").isalnum()
    assert service.findtext("arguments") == r'-C "C:\Loja Centro\caixa-01" run'
    assert service.findtext("executable") == r"C:\Program Files\filesync\filesync.exe"


# ------------------------------------------------------------------------------------------------ what is done


class Fake:
    """Stands in for the system's program: remembers what it was asked, and answers as told."""

    def __init__(self, *codes: int) -> None:
        self.asked: list[list[str]] = []
        self._codes = list(codes)

    def __call__(self, command: Sequence[str]) -> Ran:
        self.asked.append(list(command))
        return Ran(self._codes.pop(0) if self._codes else 0, "said so")


def test_installing_writes_and_starts_and_uninstalling_takes_it_away(tmp_path: Path) -> None:
    run = Fake()
    installing.carry_out(installing.systemd_install(SERVICE, tmp_path), run)
    assert [path.name for path in tmp_path.iterdir()] == ["filesync-caixa-01.service"]
    assert run.asked == [
        ["systemctl", "daemon-reload"], ["systemctl", "enable", "filesync-caixa-01.service"], ["systemctl", "restart", "filesync-caixa-01.service"],
    ]  # fmt: skip
    installing.carry_out(installing.systemd_install(SERVICE, tmp_path), run)  # may be repeated
    assert installing.systemd_status(SERVICE, tmp_path)[0][-1] == "filesync-caixa-01.service"
    run = Fake(5)  # what is not running cannot be stopped, and that is no failure
    installing.carry_out(installing.systemd_uninstall(SERVICE, tmp_path), run)
    assert run.asked == [
        ["systemctl", "disable", "--now", "filesync-caixa-01.service"],
        ["systemctl", "daemon-reload"],
    ]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="not installed"):
        installing.systemd_uninstall(SERVICE, tmp_path)


def test_the_timer_takes_the_place_of_the_daemon(tmp_path: Path) -> None:
    installing.carry_out(installing.systemd_install(SERVICE, tmp_path), Fake())
    run = Fake()
    timer = replace(SERVICE, way=Way.TIMER, user=True)
    installing.carry_out(installing.systemd_install(timer, tmp_path), run)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "filesync-caixa-01-turn.service",
        "filesync-caixa-01-turn.timer",
    ]
    assert run.asked[0] == ["systemctl", "--user", "disable", "--now", "filesync-caixa-01.service"]
    assert run.asked[-1] == ["systemctl", "--user", "restart", "filesync-caixa-01-turn.timer"]


def test_a_unit_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "filesync-caixa-01.service"
    for text in ("[Unit]\nDescription=mine\n", *rendering.units(replace(SERVICE, root=PurePosixPath("/other"))).values()):  # fmt: skip
        path.write_text(text)
        run = Fake()
        with pytest.raises(ConfigError) as caught:
            installing.carry_out(installing.systemd_install(SERVICE, tmp_path), run)
        assert caught.value.code == "service-exists"
        with pytest.raises(ConfigError):
            installing.systemd_uninstall(SERVICE, tmp_path)
        assert (path.read_text(), run.asked) == (text, [])


def test_a_command_that_fails_is_said_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="said so") as caught:
        installing.carry_out(installing.systemd_install(SERVICE, tmp_path), Fake(0, 1))
    assert caught.value.code == "service-failed"


def test_on_windows_a_task_is_made_from_the_file(tmp_path: Path) -> None:
    run = Fake()
    installing.carry_out(installing.windows_install(WINDOWS, tmp_path), run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filesynccaixa01.xml", "task.xml"]
    assert (tmp_path / "task.xml").read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert run.asked == [
        ["schtasks", "/Create", "/TN", r"\filesync\caixa-01", "/XML", str(tmp_path / "task.xml"), "/F"],
        ["schtasks", "/Run", "/TN", r"\filesync\caixa-01"],
    ]
    installing.carry_out(installing.windows_install(WINDOWS, tmp_path), Fake())
    plan: Plan = installing.windows_install(replace(WINDOWS, account=r"LOJA\ana"), tmp_path)
    assert plan.after[0][6:10] == ("/RU", r"LOJA\ana", "/RP", "*")
    run = Fake(1, 0)
    installing.carry_out(installing.windows_uninstall(WINDOWS, tmp_path), run)
    assert run.asked[-1] == ["schtasks", "/Delete", "/TN", r"\filesync\caixa-01", "/F"]
    assert list(tmp_path.iterdir()) == []
    assert installing.windows_status(WINDOWS)[0][:2] == ("schtasks", "/Query")


def test_which_site_a_file_is_for_is_read_back() -> None:
    for service, text in (
        (SERVICE, rendering.units(SERVICE)["filesync-caixa-01.service"]),
        (WINDOWS, rendering.task(WINDOWS)),
    ):
        assert rendering.site_of(text) == str(service.root)
    for text in rendering.units(replace(SERVICE, way=Way.TIMER)).values():
        assert rendering.site_of(text) == "/srv/filesync/caixa-01"
    assert rendering.site_of("[Unit]\n") is None


# ------------------------------------------------------------------------------------------------ the commands


@POSIX
def test_print_shows_the_files_and_changes_nothing(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    before = sorted(path for path in tmp_path.rglob("*"))
    said = shop.at_caixa("service", "install", "--print").out
    assert f'ExecStart="{COMMAND}" -C "{shop.caixa}" run' in said
    assert shlex.quote(str(shop.matriz)).strip("'") in said  # the link's folder may be written
    timed = shop.at_caixa(
        "service", "install", "--print", "--timer", "--every-min", "3", "--user", "--json"
    ).json
    assert any(path.endswith("filesync-caixa-01-turn.timer") for path in timed["files"])
    assert sorted(path for path in tmp_path.rglob("*")) == before


@POSIX
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="the system's units are root's")
def test_a_tills_own_database_may_be_read_in_wal_mode(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    with (shop.caixa / "filesync.toml").open("a") as file:
        file.write(
            '[datasets.vendas.source]\nkind = "sql"\ndatabase = "../the till/till.db"\nqueries = { vendas = "select 1" }\n'
        )
    said = shop.at_caixa("service", "install", "--print").out
    assert f'"-{tmp_path / "the till"}"' in said


@POSIX
def test_without_systemd_it_says_exactly_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("filesync.cli.serving.shutil.which", lambda _: None)
    run = shop.at_caixa("service", "install", "--user", code=1)
    assert "systemctl --user enable filesync-caixa-01.service" in run.out
    assert f"Write {tmp_path / 'config/systemd/user/filesync-caixa-01.service'}" in run.out
    assert not (tmp_path / "config").exists()
    assert not shop.at_caixa("service", "status", "--user", "--json", code=1).json["installed"]


@POSIX
def test_install_status_and_uninstall_through_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("filesync.cli.serving.shutil.which", lambda name: f"/bin/{name}")
    run = Fake()
    monkeypatch.setattr(installing, "run_command", run)
    assert "runs by itself now" in shop.at_caixa("service", "install", "--user").out
    unit = tmp_path / "config/systemd/user/filesync-caixa-01.service"
    assert unit.is_file()
    assert "said so" in shop.at_caixa("service", "status", "--user").out
    shop.at_caixa("service", "uninstall", "--user")
    assert not unit.exists()
    assert [asked[2] for asked in run.asked] == [
        "daemon-reload",
        "enable",
        "restart",
        "status",
        "disable",
        "daemon-reload",
    ]


def test_a_folder_that_is_no_site_is_no_service(tmp_path: Path) -> None:
    assert "not a filesync site" in filesync("-C", tmp_path, "service", "install", "--print", code=2).err
