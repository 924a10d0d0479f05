"""service install | uninstall | status: let the system run this site by itself.

Linux with systemd: a unit of the system where root asks, otherwise of the user. Windows: a task. Elsewhere, and where the system's program
is not there, it says exactly what to do, and does nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from filesync.cli import screen
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Json, Root
from filesync.errors import ConfigError
from filesync.phrases import said

if TYPE_CHECKING:
    from filesync.service.installing import Plan
    from filesync.service.rendering import Service

User = Annotated[bool, typer.Option("--user", help="For this account alone, without administrator's rights.")]


def install(
    user: User = False,
    timer: Annotated[bool, typer.Option("--timer", help="A turn every few minutes instead of a program that always runs.")] = False,
    every_min: Annotated[int, typer.Option("--every-min", metavar="N", min=1, max=1440, help="With --timer: minutes between turns.")] = 5,
    account: Annotated[str | None, typer.Option("--account", metavar="NAME", help="The account that runs it. [default: the owner of the site's folder]", show_default=False)] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the files, change nothing.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Run this site by itself, from now on and after every start of the computer."""
    from filesync.service import installing
    from filesync.service.rendering import Way

    way = Way.TIMER if timer else Way.RUN
    service = _service(root, user=user, way=way, every_min=every_min, account=account)
    plan = (
        installing.windows_install(service, root.absolute() / "service")
        if os.name == "nt"
        else installing.systemd_install(service, installing.unit_folder(user=service.user))
    )
    if only_print:
        _print_files(plan, as_json=as_json)
        return Ending.DONE
    if not _carried_out(plan, as_json=as_json):
        return Ending.ATTENTION
    if not as_json:
        screen.say(
            _("{site} runs by itself now: filesync service status shows how.").format(site=service.site),
            "bold green",
        )
    return Ending.DONE


def uninstall(user: User = False, root: Root = HERE, as_json: Json = False) -> Ending:
    """Stop it, and do not start it any more. The site and its files stay as they are."""
    from filesync.service import installing

    service = _service(root, user=user)
    plan = (
        installing.windows_uninstall(service, root.absolute() / "service")
        if os.name == "nt"
        else installing.systemd_uninstall(service, installing.unit_folder(user=service.user))
    )
    if not _carried_out(plan, as_json=as_json):
        return Ending.ATTENTION
    if not as_json:
        screen.say(
            _("{site} is no service any more; `filesync turn` and `filesync run` work as before.").format(
                site=service.site
            )
        )
    return Ending.DONE


def status(user: User = False, root: Root = HERE, as_json: Json = False) -> Ending:
    """Whether it is installed and runs, in the words of the system."""
    from filesync.service import installing

    service = _service(root, user=user)
    questions = (
        installing.windows_status(service)
        if os.name == "nt"
        else installing.systemd_status(service, installing.unit_folder(user=service.user))
    )
    answers = [(question, installing.run_command(question)) for question in questions]
    if as_json:
        screen.say_json(
            {
                "installed": bool(answers),
                "answers": [
                    {"command": list(asked), "code": ran.code, "said": ran.said} for asked, ran in answers
                ],
            }
        )
    elif not answers:
        screen.say(
            _("{site} is not installed as a service: filesync service install").format(site=service.site)
        )
    for asked, ran in answers if not as_json else ():
        screen.heading(subprocess.list2cmdline(asked))
        screen.say(ran.said.rstrip())
    return Ending.DONE if answers and all(ran.code == 0 for _, ran in answers) else Ending.ATTENTION


def _service(
    root: Path, *, user: bool, way: object = None, every_min: int = 5, account: str | None = None
) -> Service:
    from filesync import config
    from filesync.service.rendering import Service, Way

    root = root.absolute()
    settings = config.load(root)
    user = user or (os.name != "nt" and os.geteuid() != 0)
    owner, group = _owner(root) if os.name != "nt" and not user and account is None else (account, None)
    if os.name == "nt" and user and account is None:
        owner = f"{os.environ.get('USERDOMAIN', '.')}\\{os.environ.get('USERNAME', '')}"
    links = [
        Path(os.path.normpath(root / peer.link))
        for peer in settings.peers.values()
        if peer.link is not None and not peer.link.startswith("sftp:")
    ]
    # A reader of a SQLite database in WAL mode writes its -shm file beside it.
    databases = [
        Path(os.path.normpath(root / source.database)).parent
        for source in settings.sources.values()
        if source.database is not None and "://" not in source.database
    ]
    writable = [path for path in dict.fromkeys([*links, *databases]) if not path.is_relative_to(root)]
    return Service(
        settings.site,
        root,
        _program(),
        way if isinstance(way, Way) else Way.RUN,
        user,
        owner,
        group,
        tuple(writable),
        every_min,
    )


def _owner(root: Path) -> tuple[str | None, str | None]:
    """Whose the folder is: that account runs the site. None for root, who should not."""
    try:
        owner, group = root.owner(), root.group()
    except (KeyError, OSError):
        return None, None
    return (None, None) if owner == "root" else (owner, group)


def _program() -> Path:
    """The installed command: beside the interpreter, or what was called."""
    name = "filesync.exe" if os.name == "nt" else "filesync"
    for found in (Path(sys.executable).with_name(name), Path(sys.argv[0]).absolute()):
        if found.is_file() and found.name == name:
            return found
    which = shutil.which("filesync")
    if which is None:
        raise ConfigError(
            "service-program",
            _("the installed command {name} was expected, got nothing on the path").format(name=name),
        )
    return Path(which).absolute()


def _print_files(plan: Plan, *, as_json: bool) -> None:
    from filesync.service import rendering

    files = {str(path): rendering.text_of(data) for path, data in plan.writes}
    if as_json:
        screen.say_json(
            {
                "files": files,
                "commands": [list(one) for one in (*plan.before, *plan.after)],
                "notes": plan.notes,
            }
        )
        return
    for path, text in files.items():
        screen.heading(f"# {path}")
        screen.say(text)


def _carried_out(plan: Plan, *, as_json: bool) -> bool:
    """Do it where the system's program is there; else say exactly what to do. False where a person must go on."""
    from filesync.service import installing

    wanted = (*plan.before, *plan.after)[0][0]
    if shutil.which(wanted) is None:
        _tell(plan, wanted, as_json=as_json)
        return False
    installing.carry_out(plan, installing.run_command)
    if as_json:
        screen.say_json(
            {
                "written": [path for path, _content in plan.writes],
                "removed": plan.removes,
                "notes": plan.notes,
            }
        )
    else:
        for path, _content in plan.writes:
            screen.say(_("Written: {path}").format(path=path))
        for path in plan.removes:
            screen.say(_("Removed: {path}").format(path=path))
        for note in plan.notes:
            screen.say(said(note), "yellow")
    return True


def _tell(plan: Plan, program: str, *, as_json: bool) -> None:
    from filesync.service import rendering

    commands = [subprocess.list2cmdline(one) for one in (*plan.before, *plan.after)]
    if as_json:
        screen.say_json(
            {
                "missing": program,
                "files": {str(path): rendering.text_of(data) for path, data in plan.writes},
                "remove": plan.removes,
                "commands": commands,
                "notes": plan.notes,
            }
        )
        return
    screen.complain(
        _("{program} is not on this computer, so nothing was done. By hand:").format(program=program)
    )
    for path, data in plan.writes:
        screen.heading(_("Write {path}:").format(path=path))
        screen.say(rendering.text_of(data))
    for path in plan.removes:
        screen.say(_("Remove {path}").format(path=path))
    screen.heading(_("Then:"))
    for command in commands:
        screen.say(f"  {command}")
    for note in plan.notes:
        screen.say(f"  {said(note)}")
