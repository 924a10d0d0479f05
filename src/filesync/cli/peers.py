"""Commands that introduce peers: peer add, peer list.

`peer add` only ever adds to filesync.toml: a person's comments and order stay as they are. A pinned key is never changed to another
one by the way; that takes `--replace-key`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filesync.cli import screen
from filesync.cli.ending import Ending
from filesync.cli.language import _, listed
from filesync.cli.options import HERE, Json, Root, site_id
from filesync.errors import ConfigError
from filesync.phrases import said
from filesync.protocol.identity import Role
from filesync.transports.link import SftpLink

if TYPE_CHECKING:
    from filesync.protocol.signing import PublicKey

MAILBOX = "{site}/inbox/{sender}"
SFTP = "sftp://"

RoleOption = Annotated[Role | None, typer.Option("--role", help="What the site is for.", show_default=False)]


def peer_add(
    peer: Annotated[str, typer.Argument(metavar="ID", callback=site_id, help="The peer's name, as it calls itself.")],
    role: RoleOption = None,
    link: Annotated[
        str | None,
        typer.Option("--link", metavar="FOLDER", help="Where the peer's folder is seen from this computer, or sftp://user@host:port/path. Left out: the peer comes to us.", show_default=False),
    ] = None,
    relay: Annotated[bool, typer.Option("--relay", help="The link is a place between the two, with a mailbox for each.")] = False,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The peer's public key (.pub). From then on only what it signed is accepted.", show_default=False)] = None,
    mailbox: Annotated[str | None, typer.Option("--mailbox", metavar="PATTERN", help="With --relay: where a mailbox lies. [default: {site}/inbox/{sender}]", show_default=False)] = None,
    identity: Annotated[Path | None, typer.Option("--identity", metavar="FILE", help="With sftp://: the private key file that logs in there.", show_default=False)] = None,
    known_hosts: Annotated[Path | None, typer.Option("--known-hosts", metavar="FILE", help="With sftp://: where confirmed host keys stand. [default: keys/known_hosts]", show_default=False)] = None,
    replace_key: Annotated[bool, typer.Option("--replace-key", help="Pin --key even though another key is pinned.")] = False,
    root: Root = HERE,
    as_json: Json = False,
) -> Ending:  # fmt: skip
    """Introduce another site. For a peer that is known already only its key is pinned."""
    from filesync import config

    root = root.absolute()
    settings = config.load(root)
    if peer == settings.site:
        raise ConfigError("peer-self", _("{peer} is this site itself").format(peer=peer))
    known = settings.peers.get(peer)
    public = None if key is None else public_key(key)
    pinned = settings.pinned.get(peer)
    if public is not None and pinned not in (None, public) and not replace_key:
        raise ConfigError(
            "key-differs",
            _("for {peer} the key {fingerprint} is pinned, {key} holds {fingerprint_2}").format(
                peer=peer, fingerprint=pinned.fingerprint, key=key, fingerprint_2=public.fingerprint
            ),
        )
    if known is None:
        if role is None:
            raise ConfigError("role-missing", _("{peer} is new here: what is it for?").format(peer=peer))
        known = config.Peer(
            role=role,
            link=_link(root, peer, link, relay=relay),
            relay=relay,
            mailbox=_mailbox(mailbox, relay=relay),
            **_sftp(root, link, identity, known_hosts),
        )
        section = config.render_peer(peer, known)
    else:
        _same_as_configured(root, peer, known, role, link, mailbox, relay=relay, only_key=public is not None)
        section = ""
    for folder in ("inbox", "outbox"):
        (root / folder / peer).mkdir(parents=True, exist_ok=True)
    if (
        public is not None
    ):  # before the section: there is no moment at which the peer is trusted without its key
        _pin(config.pinned_path(root, peer), public.to_openssh(peer))
        pinned = public
    if section:
        _append(root, section)
    if as_json:
        screen.say_json(
            {
                "peer": peer,
                **known.model_dump(mode="json"),
                "fingerprint": pinned.fingerprint if pinned else None,
            }
        )
        return Ending.DONE
    _report_peer(
        root,
        settings.site,
        settings.role,
        peer,
        known.link,
        pinned.fingerprint if pinned else None,
        relay=known.relay,
    )
    return Ending.DONE


def _report_peer(
    root: Path, site: str, role: Role, peer: str, link: str | None, fingerprint: str | None, *, relay: bool
) -> None:
    if link is None:
        text = _("{peer} is a peer now; it comes to us")
    elif relay:
        text = _("{peer} is a peer now; it is met at {link} (a relay)")
    else:
        text = _("{peer} is a peer now; it is reached at {link}")
    screen.say(text.format(peer=peer, link=link), "bold green")
    if link is not None and link.startswith(SFTP):
        screen.say(
            _("Before the first exchange confirm the server's key: filesync peer trust {peer}").format(
                peer=peer
            ),
            "yellow",
        )
    elif link is not None and not (root / link).is_dir():
        screen.say(
            _("That folder is not there at the moment; every exchange tries it again: {root}").format(
                root=root / link
            ),
            "yellow",
        )
    if fingerprint:
        screen.say(
            _("Its key is pinned: {fingerprint}. Only what it signed is accepted.").format(
                fingerprint=fingerprint
            )
        )
    else:
        screen.say(
            _("No key is pinned: anyone who can write into that folder can send in its name."), "yellow"
        )
        screen.say(
            _(
                "  On {peer}: `filesync key > {peer}.pub`; bring that file here, then: filesync peer add {peer} --key {peer}.pub"
            ).format(peer=peer)
        )
    meeting = _(" --link FOLDER --relay") if relay else ""
    screen.say(
        _("Do the same on {peer}: filesync peer add {site} --role {value}{meeting} --key {site}.pub").format(
            peer=peer, site=site, value=role.value, meeting=meeting
        )
    )


def public_key(path: Path) -> PublicKey:
    """Read the key file that a person brought. PowerShell's `>` writes UTF-16, so that is read too."""
    from filesync.protocol.signing import PublicKey

    try:
        data = path.read_bytes()[:10_000]
    except OSError as err:
        raise ConfigError(
            "key-unreadable", _("{path} cannot be read: {strerror}").format(path=path, strerror=err.strerror)
        ) from err
    if b"PRIVATE KEY" in data:
        raise ConfigError("key-private", _("{path} is a private key").format(path=path))
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        return PublicKey.from_openssh(text)
    except (UnicodeDecodeError, ConfigError) as err:
        raise ConfigError(
            "key-unreadable",
            _("{path} is not a public key of a site: {err}").format(path=path, err=said(str(err))),
        ) from err


def _mailbox(pattern: str | None, *, relay: bool) -> str:
    """The pattern, if it says where both sites' files go."""
    if pattern is None:
        return MAILBOX
    if not relay:
        raise ConfigError("mailbox-invalid", _("--mailbox is for a relay; add --relay"))
    try:
        filled = pattern.format(site="caixa-01", sender="matriz")
    except (KeyError, IndexError, ValueError):
        filled = ""
    parts = filled.split("/")
    if "matriz" not in filled or pattern.startswith("/") or "" in parts or ".." in parts:
        raise ConfigError(
            "mailbox-invalid",
            _("expected a path like {{site}}/inbox/{{sender}} inside the relay, got {pattern!r}").format(
                pattern=pattern
            ),
        )
    return pattern


def _link(root: Path, peer: str, link: str | None, *, relay: bool) -> str | None:
    """As it is written into filesync.toml: relative to the site where it was given relative, so that both can be moved together."""
    if link is None:
        if relay:
            raise ConfigError("link-missing", _("--relay needs --link FOLDER, the place between the two"))
        return None
    if link.startswith(SFTP):
        return link
    target = Path(link).expanduser()
    if not relay:
        _must_be(peer, target)
    return _movable(root, target)


def _movable(root: Path, path: Path) -> str:
    """Relative to the site where it was given relative, so that both can be moved together."""
    if path.is_absolute():
        return path.as_posix()
    try:
        return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.resolve().as_posix()


def _sftp(root: Path, link: str | None, identity: Path | None, known_hosts: Path | None) -> dict[str, Any]:
    """What a link over SFTP needs besides its address, checked before anything is written."""
    if link is None or not link.startswith(SFTP):
        if identity is not None or known_hosts is not None:
            raise ConfigError(
                "link-missing", _("--identity and --known-hosts belong to a --link that begins with sftp://")
            )
        return {}
    if identity is None:
        raise ConfigError(
            "identity-missing",
            _("{link} needs --identity FILE, the private key that logs in there").format(link=link),
        )
    if not identity.expanduser().is_file():
        raise ConfigError(
            "identity-missing", _("--identity {identity}: there is no such file").format(identity=identity)
        )
    found = {"identity": _movable(root, identity.expanduser())}
    if known_hosts is not None:
        found["known_hosts"] = _movable(root, known_hosts.expanduser())
    try:
        SftpLink.parse(link, identity=identity, known_hosts=root)
    except ValueError as err:
        raise ConfigError("link-invalid", f"--link: {said(str(err))}") from err
    return found


def _must_be(peer: str, folder: Path) -> None:
    """A direct link goes to the peer's own folder: notice a mistaken one before a day's sales lie in it."""
    from filesync import config

    try:
        site = tomllib.loads((folder / config.FILE_NAME).read_text(encoding="utf-8")).get("site")
    except (OSError, ValueError):
        return  # not mounted now, or not readable for us
    if site != peer:
        raise ConfigError(
            "link-other-site",
            _("{folder} is the folder of {site}, not of {peer}").format(folder=folder, site=site, peer=peer),
        )


def _same_as_configured(
    root: Path,
    peer: str,
    known: Any,
    role: Role | None,
    link: str | None,
    mailbox: str | None,
    *,
    relay: bool,
    only_key: bool,
) -> None:
    wanted = {
        "role": (role, known.role),
        "link": (link if link is None else _link(root, peer, link, relay=relay or known.relay), known.link),
        "relay": (relay or None, known.relay),
        "mailbox": (mailbox, known.mailbox),
    }
    other = [name for name, (asked, has) in wanted.items() if asked is not None and asked != has]
    if other:
        raise ConfigError(
            "peer-exists",
            _("{peer} is a peer already, with another {other}").format(peer=peer, other=listed(other)),
        )
    if not only_key and all(asked is None for asked, _ in wanted.values()):
        raise ConfigError(
            "peer-exists", _("{peer} is a peer already; give --key FILE to pin its key").format(peer=peer)
        )


def _append(root: Path, section: str) -> None:
    """Add a section at the end of filesync.toml. What would not be understood is never written."""
    from filesync import config
    from filesync.writers import durable

    path = root / config.FILE_NAME
    text = path.read_text(encoding="utf-8")
    text += ("" if text.endswith("\n") else "\n") + section
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(
            "config-invalid",
            _("{path}: this section cannot be added ({err}):\n{section}").format(
                path=path, err=err, section=section
            ),
        ) from err
    _replace(path, text.encode(), durable)


def _pin(path: Path, line: str) -> None:
    from filesync.writers import durable

    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, f"{line}\n".encode(), durable)


def _replace(path: Path, data: bytes, durable: Any) -> None:
    """Whole or not at all, even if the power fails: these files decide whom the site trusts."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        durable.fsync_file(file.fileno())
    durable.replace(temporary, path)
    durable.fsync_folder(path.parent)


def peer_list(root: Root = HERE, as_json: Json = False) -> Ending:
    """The sites that this one exchanges files with."""
    from filesync import config

    settings = config.load(root.absolute())
    rows = [
        {
            "peer": name, **peer.model_dump(mode="json"),
            "fingerprint": settings.pinned[name].fingerprint if name in settings.pinned else None,
        }
        for name, peer in settings.peers.items()
    ]  # fmt: skip
    if as_json:
        screen.say_json(rows)
    elif not rows:
        screen.say(_("No peers yet. Make one: filesync peer add ID --role ROLE --link FOLDER"))
    else:
        screen.table(
            (_("peer"), _("role"), _("link"), _("key")),
            [
                (r["peer"], r["role"], _how(r["link"], relay=r["relay"]), r["fingerprint"] or _("not pinned"))
                for r in rows
            ],
        )
    return Ending.DONE


def _how(link: str | None, *, relay: bool) -> str:
    if link is None:
        return _("comes to us")
    return _("{link} (relay)").format(link=link) if relay else link
