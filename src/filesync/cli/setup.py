"""Commands that make a site: init, and key, which prints what its peers pin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from filesync.cli import screen
from filesync.cli.ending import Ending
from filesync.cli.language import _
from filesync.cli.options import HERE, Json, Root, site_id
from filesync.protocol.identity import Role


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder of the new site; it is made if need be.")
    ],
    site: Annotated[
        str,
        typer.Option(
            "--site", metavar="ID", callback=site_id, help="Its name: caixa-01, posto-centro, matriz …"
        ),
    ],
    role: Annotated[Role, typer.Option("--role", help="What it is for.")],
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="postgresql://…", help="A PostgreSQL server keeps data and ledger, in this database, which holds no password (~/.pgpass does).", show_default="filesync.db in the folder"),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option("--store-password-file", metavar="FILE", help="In the site's folder, for its owner only: the password, and nothing else.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Make a new site: its folders, its key, its settings (filesync.toml) and its database."""
    if password_file is not None and store is None:
        raise typer.BadParameter(
            _("a store in the site's folder has no password"), param_hint="--store-password-file"
        )
    root = directory.absolute()
    with screen.Watch(quiet=as_json):
        from filesync import config
        from filesync.exchange.station import Station

        Station.init(root, site=site, role=role, store=store, store_password_file=password_file)
        key = config.load(root).key.public
    if as_json:
        screen.say_json(
            {
                "site": site,
                "role": role,
                "root": root,
                "key": key.to_openssh(site),
                "fingerprint": key.fingerprint,
            }
        )
        return Ending.DONE
    screen.say(
        _("{site} ({value}) is ready in {root}").format(site=site, value=role.value, root=root), "bold green"
    )
    screen.say(
        _("Its key: {fingerprint}   (`filesync key` prints the line that its peers need)").format(
            fingerprint=key.fingerprint
        )
    )
    other = "matriz" if role is not Role.MATRIZ else "caixa"
    screen.say(
        _(
            "Next: filesync -C {shown} peer add ID --role {other} --link FOLDER   (without --link where the peer comes to us)"
        ).format(shown=_shown(directory), other=other)
    )
    return Ending.DONE


def key(
    allowed_signers: Annotated[bool, typer.Option("--allowed-signers", help="Lines for `ssh-keygen -Y verify -f`: this site and every pinned peer.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Print this site's public key, the line that its peers pin: filesync key > caixa-01.pub"""
    from filesync import config

    settings = config.load(root.absolute())
    public = settings.key.public
    if as_json:
        screen.say_json(
            {
                "site": settings.site,
                "key": public.to_openssh(settings.site),
                "fingerprint": public.fingerprint,
            }
        )
    elif allowed_signers:
        for site, known in {settings.site: public, **settings.pinned}.items():
            screen.say(f'{site} namespaces="filesync" {known.to_openssh()}')
    else:
        screen.say(public.to_openssh(settings.site))
    return Ending.DONE


def _shown(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text
