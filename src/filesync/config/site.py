"""`filesync.toml` and `keys/` as frozen settings.

What is read here is checked here: an unknown key, a wrong type or a bad id is a `ConfigError` that names the place in the file.
A key file that exists but cannot be read stops the site: a pinned peer never silently becomes an unpinned one.
This module reads and writes only the site's own configuration; it never touches batches.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from filesync.config.applying import ApplySection, own_statements
from filesync.config.importing import ExecutorChoice, ImportSection
from filesync.config.retention import RetentionSection
from filesync.config.steps import OverrideSection, Step, StepSection, day_steps
from filesync.config.storing import Server
from filesync.errors import ConfigError
from filesync.protocol.identity import Format, Role, check_id
from filesync.protocol.signing import PublicKey, SigningKey
from filesync.sources.settings import SourceSettings
from filesync.timetable import Window, parse_duration, parse_schedule, parse_window
from filesync.transports.link import SftpLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from filesync.stores.own_statements import OwnStatements

FILE_NAME = "filesync.toml"
DATABASE_NAME = "filesync.db"
KEY_NAME = "site_ed25519"

#: What a role may send, unless `may_send` of the peer says otherwise (design.md §7, invariant 11).
SENDS_BY_ROLE: dict[Role, frozenset[str]] = {
    Role.CAIXA: frozenset({"vendas", "fechamento"}),
    Role.POSTO: frozenset({"vendas", "fechamento"}),
    Role.MATRIZ: frozenset({"produtos", "clientes", "funcionarios", "credenciais", "vendas"}),
    Role.PORTAL: frozenset(),
}
#: Datasets in which a role may pass on rows of another origem (the matriz feeds the portal with its postos' sales).
RELAYS_BY_ROLE: dict[Role, frozenset[str]] = {Role.MATRIZ: frozenset({"vendas", "clientes"})}

SiteId = Annotated[str, AfterValidator(check_id)]


def check_mailbox(pattern: str) -> str:
    """A mailbox pattern is a plain relative folder that names the site or the sender, or both; ValueError otherwise."""
    rest = pattern.replace("{site}", "s").replace("{sender}", "s")
    plain = all(part not in ("", ".", "..") for part in rest.split("/"))
    if not (rest != pattern and plain) or set(rest) & set('{}\\:*?"<>|'):
        raise ValueError(
            f"expected a folder with {{site}} and {{sender}}, like '{{site}}/inbox/{{sender}}', got {pattern!r}"
        )
    return pattern


def check_window(text: str) -> str:
    """A part of the day such as `22:00-06:00`; ValueError otherwise."""
    parse_window(text)
    return text


def check_schedule(text: str) -> str:
    """When something is due, such as `every 5 min`; ValueError otherwise."""
    parse_schedule(text)
    return text


def check_duration(text: str) -> str:
    """A time such as `5 min`, at least a second; ValueError otherwise."""
    if parse_duration(text) < 1:
        raise ValueError(f"{text!r}: at least a second was expected")
    return text


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Section):
    """Bounds on what is accepted from a peer and on what is held in memory."""

    manifest_bytes_max: int = Field(
        default=1 << 20, ge=4096, description="larger manifests and receipts are set aside unread"
    )
    payload_bytes_max: int = Field(
        default=4 << 30, ge=4096, description="a batch that claims more is rejected"
    )
    chunk_documents: int = Field(default=65_536, ge=1, description="documents held in memory at a time")
    group_batches_max: int = Field(
        default=2_000, ge=1, description="small batches that share one transaction"
    )
    disk_free_min_mib: int = Field(
        default=256, ge=0, description="with less free space nothing is fetched until there is more"
    )
    patience: Annotated[str, AfterValidator(check_duration)] = Field(
        default="10 min", description="a batch that is missing for so long is asked for again"
    )


class Timetable(_Section):
    """When `filesync run` turns, besides whenever it is woken. See timetable.py for the words."""

    exchange: Annotated[str, AfterValidator(check_schedule)] = "every 5 min"
    close: Annotated[str, AfterValidator(check_schedule)] = "off"
    rescan: Annotated[str, AfterValidator(check_duration)] = "5 min"


class Peer(_Section):
    """A site that this one exchanges files with. `link` is absent where the peer comes to us."""

    role: Role
    link: str | None = None
    relay: bool = False
    mailbox: Annotated[str, AfterValidator(check_mailbox)] = "{site}/inbox/{sender}"
    may_send: frozenset[str] | None = None
    relays: frozenset[str] | None = None
    reship_after_s: int = Field(
        default=3600, ge=0, description="relay only: ship again when no receipt came for so long"
    )
    identity: str | None = None
    known_hosts: str = "keys/known_hosts"
    limit_kib_s: int | None = Field(default=None, ge=1, description="sftp only: at most so much of the line")
    windows: tuple[Annotated[str, AfterValidator(check_window)], ...] = ()

    @model_validator(mode="after")
    def _whole_sftp(self) -> Self:
        if self.sftp(Path()) is None and (self.identity is not None or self.limit_kib_s is not None):
            raise ValueError("identity and limit_kib_s belong to a link that begins with sftp://")
        return self

    def sftp(self, root: Path) -> SftpLink | None:
        """The link over SFTP, its files found from the site's root; None where the link is a folder. ValueError says what is wrong."""
        if self.link is None or not self.link.startswith("sftp:"):
            return None
        if self.identity is None:
            raise ValueError("an sftp:// link needs `identity`, the private key file that logs in there")
        return SftpLink.parse(
            self.link,
            identity=root / self.identity,
            known_hosts=root / self.known_hosts,
            limit_kib_s=self.limit_kib_s,
        )

    def open_windows(self) -> tuple[Window, ...]:
        """The parts of the day in which this link may be used; none given: always."""
        return tuple(parse_window(text) for text in self.windows)

    def sends(self, dataset: str) -> bool:
        """Whether this peer may send batches of `dataset` here."""
        return dataset in (SENDS_BY_ROLE[self.role] if self.may_send is None else self.may_send)

    def passes_on(self, dataset: str) -> bool:
        """Whether this peer may send rows whose origem is another site."""
        return dataset in (RELAYS_BY_ROLE.get(self.role, frozenset()) if self.relays is None else self.relays)


class Dataset(_Section):
    """How this site sends one dataset."""

    to: str | None = None
    format: Format = Format.PARQUET
    documents_max: int = Field(
        default=100_000, ge=1, description="larger captures are split into several batches"
    )
    source: dict[str, Any] | None = None


class Reconciling(_Section):
    """What the reconciliation of a day must know of the agency."""

    unbilled: frozenset[Annotated[str, Field(pattern="^[0-9]{5}$")]] = Field(
        default=frozenset(), description="services that are posted and never billed: not missed in a file"
    )


class _File(_Section):
    site: SiteId
    role: Role
    store: str | None = None
    store_password_file: str | None = None
    limits: Limits = Limits()
    schedule: Timetable = Timetable()
    steps: dict[str, StepSection] = Field(default_factory=dict)
    overrides: OverrideSection = OverrideSection()
    reconciliation: Reconciling = Reconciling()
    retention: RetentionSection = RetentionSection()
    importing: ImportSection = Field(default=ImportSection(), alias="import")
    apply: dict[SiteId, ApplySection] = Field(default_factory=dict)
    groups: dict[SiteId, tuple[SiteId, ...]] = Field(default_factory=dict)
    peers: dict[SiteId, Peer] = Field(default_factory=dict)
    datasets: dict[SiteId, Dataset] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a person decided about a site."""

    root: Path
    site: str
    role: Role
    limits: Limits
    groups: dict[str, tuple[str, ...]]
    peers: dict[str, Peer]
    datasets: dict[str, Dataset]
    sources: dict[str, SourceSettings]
    key: SigningKey
    pinned: dict[str, PublicKey]
    schedule: Timetable = field(default_factory=Timetable)
    steps: Mapping[str, Step] = field(default_factory=lambda: day_steps({}))
    overrides: OverrideSection = field(default_factory=OverrideSection)
    reconciliation: Reconciling = field(default_factory=Reconciling)
    executor: ExecutorChoice = field(default_factory=ExecutorChoice)
    #: Who keeps the store; None: it is a file in the site's folder.
    server: Server | None = None
    #: What is run, besides, for each group of batches of a dataset: the user's own statements.
    apply: Mapping[str, OwnStatements] = field(default_factory=dict)
    retention: RetentionSection = field(default_factory=RetentionSection)

    @property
    def database(self) -> Path | Server:
        """Where the store is: the embedded store's file, or a server."""
        return self.server or self.root / DATABASE_NAME

    def members(self, audience: str) -> tuple[str, ...]:
        """The sites behind an audience: a configured group, a role's group (`caixas`, `postos`), or one peer."""
        if audience in self.groups:
            return self.groups[audience]
        if audience in self.peers:
            return (audience,)
        for role in Role:
            if audience == f"{role.value}s":
                found = tuple(sorted(name for name, peer in self.peers.items() if peer.role is role))
                if found:
                    return found
        known = ", ".join([*self.groups, *self.peers]) or "none"
        raise ConfigError(
            "audience-unknown", f"nobody is called {audience!r} here; known peers and groups: {known}"
        )

    def audience_of(self, dataset: str, to: str | None = None) -> str:
        """Whom a dataset goes to: as asked, as configured, or the one obvious answer for this role."""
        configured = self.datasets[dataset].to if dataset in self.datasets else None
        if chosen := to or configured:
            self.members(chosen)
            return chosen
        if self.role in (Role.CAIXA, Role.POSTO):
            heads = [name for name, peer in self.peers.items() if peer.role is Role.MATRIZ]
            if len(heads) == 1:
                return heads[0]
        elif (
            self.role is Role.MATRIZ
            and dataset != "vendas"
            and any(p.role is Role.CAIXA for p in self.peers.values())
        ):
            return "caixas"
        raise ConfigError(
            "audience-missing",
            f"{dataset} has no recipient: say --to PEER, or set `to` under [datasets.{dataset}]",
        )

    def dataset(self, name: str) -> Dataset:
        """Settings of a dataset; defaults where the file says nothing."""
        return self.datasets.get(name, Dataset())


def load(root: Path) -> Settings:
    """Read the settings of the site at `root`. Raises `ConfigError` naming the place in the file."""
    path = root / FILE_NAME
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("not-a-site", f"{root} is not a filesync site: it has no {FILE_NAME}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise ConfigError("config-unreadable", f"{path}: {err}") from err
    try:
        file = _File.model_validate(raw)
    except ValidationError as err:
        places = [f"  {'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in err.errors()]
        raise ConfigError("config-invalid", f"{path}:\n" + "\n".join(places)) from err
    if file.site in file.peers:
        raise ConfigError("config-invalid", f"{path}: [peers.{file.site}] is this site itself")
    for group, names in file.groups.items():
        if unknown := sorted(set(names) - set(file.peers)):
            raise ConfigError(
                "config-invalid", f"{path}: [groups] {group}: {', '.join(unknown)} is not among the peers"
            )
    sources = {}
    for name, dataset in file.datasets.items():
        if dataset.source is not None:
            try:
                sources[name] = SourceSettings.from_toml(dataset.source)
            except ConfigError as err:
                raise ConfigError(err.code, f"{path}: [datasets.{name}.source] {err.message}") from err
    return Settings(
        root, file.site, file.role, file.limits, file.groups, file.peers, file.datasets, sources,
        _own_key(root), _pinned_keys(root, file.peers), file.schedule,
        _steps(path, file.steps), file.overrides, file.reconciliation, file.importing.choice(root), _server(path, root, file),
        own_statements(root, file.apply), file.retention,
    )  # fmt: skip


def _server(path: Path, root: Path, file: _File) -> Server | None:
    secret = file.store_password_file
    if file.store is None:
        if secret is not None:
            raise ConfigError(
                "config-invalid", f"{path}:\n  store_password_file: there is no `store` that it belongs to"
            )
        return None
    try:
        return Server.parse(file.store, None if secret is None else root / secret)
    except ConfigError as err:
        raise ConfigError(err.code, f"{path}: {err.message}") from err


def _steps(path: Path, sections: Mapping[str, StepSection]) -> dict[str, Step]:
    try:
        return day_steps(sections)
    except ConfigError as err:
        raise ConfigError(err.code, f"{path}: {err.message}") from err


def key_path(root: Path) -> Path:
    """The site's private key."""
    return root / "keys" / KEY_NAME


def pinned_path(root: Path, peer: str) -> Path:
    """Where a peer's pinned public key lies."""
    return root / "keys" / "peers" / f"{peer}.pub"


def _own_key(root: Path) -> SigningKey:
    path = key_path(root)
    try:
        return SigningKey.from_openssh(path.read_bytes())
    except (OSError, ValueError) as err:
        raise ConfigError("key-unreadable", f"this site's key {path} cannot be read: {err}") from err


def _pinned_keys(root: Path, peers: Iterable[str]) -> dict[str, PublicKey]:
    """The pinned keys of these peers. Listed first: of thousands of peers only those that have a file are opened."""
    folder = pinned_path(root, "").parent
    try:
        with os.scandir(folder) as entries:
            lying = {entry.name for entry in entries}
    except FileNotFoundError:
        return {}
    except OSError as err:
        raise ConfigError("key-unreadable", f"the pinned keys in {folder} cannot be read: {err}") from err
    return {name: read_public_key(folder / f"{name}.pub") for name in peers if f"{name}.pub" in lying}


def read_public_key(path: Path) -> PublicKey:
    """Read an OpenSSH public key file (`ssh-ed25519 AAAA… comment`)."""
    try:
        return PublicKey.from_openssh(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigError("key-unreadable", f"{path} is not an OpenSSH Ed25519 public key: {err}") from err


def write_private(path: Path, data: bytes) -> None:
    """Write a secret that only the owner may read; never over an existing one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def render_new(site: str, role: Role, store: str | None = None, password_file: str | None = None) -> str:
    """The commented `filesync.toml` of a new site; with `store` the address of the server that keeps its store."""
    named = {"store": store, "store_password_file": password_file}
    lines = [f"{name} = {toml_text(value)}\n" for name, value in named.items() if value is not None]
    return _TEMPLATE.format(site=site, role=role.value, store="".join(lines))


def render_peer(name: str, peer: Peer) -> str:
    """The section that `filesync peer add` appends."""
    lines = [f"\n[peers.{name}]", f'role = "{peer.role.value}"']
    if peer.link is not None:
        lines.append(f"link = {toml_text(peer.link)}")
    if peer.identity is not None:
        lines.append(f"identity = {toml_text(peer.identity)}")
        lines.append(f"known_hosts = {toml_text(peer.known_hosts)}")
    if peer.relay:
        lines += ["relay = true", f"mailbox = {toml_text(peer.mailbox)}"]
    return "\n".join(lines) + "\n"


def toml_text(text: str) -> str:
    """A TOML basic string (Windows paths carry backslashes)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_TEMPLATE = """\
# filesync: the settings of this site. Lines that start with # are explanations or defaults.
# After a change: `filesync status` says whether the file is understood.

site = "{site}"
role = "{role}"                    # caixa | posto | matriz | portal
{store}
# [limits]
# documents in memory at a time, the largest manifest and payload accepted from a peer, small batches per transaction:
# chunk_documents = 65536
# manifest_bytes_max = 1048576
# payload_bytes_max = 4294967296
# group_batches_max = 2000
# disk_free_min_mib = 256          # with less free space nothing is fetched; it goes on by itself when there is more
# patience = "10 min"              # a batch that is missing for so long is asked for again, by itself

# When `filesync run` works, besides at once whenever something arrives or is dropped:
# [schedule]
# exchange = "every 5 min"         # with every peer, and every source; also "daily 12:00, 22:30", "30 22 * * mon-sat", "off"
# close = "daily 22:30"            # a whole turn at the end of the day
# rescan = "5 min"                 # look at everything afresh at least so often

# Whom a batch may be for, besides single peers. `caixas` and `postos` exist by themselves (all peers of that role).
# [groups]
# loja-centro = ["caixa-01", "caixa-02"]

# How this site sends a dataset, and where its rows come from (docs/sources.md has every form).
# [datasets.vendas]
# to = "matriz"
# format = "parquet"               # parquet | jsonl | jsonl.age (encrypted)
# documents_max = 100000           # larger captures are split
#
# [datasets.vendas.source]
# kind = "csv"                     # csv | jsonl | parquet | sql | store
# path = "drop/vendas/*.csv"
# encoding = "latin-1"
# delimiter = ";"
# decimal = ","
# date = "dd/mm/aaaa"
# group_by = ["cupom"]             # one line per item: lines become documents by these columns
#
# [datasets.vendas.source.columns]
# venda_id = {{ uuid_of = ["cupom"] }}
# numero = "cupom"

# The day at the matriz (docs/day.md): a step changed, or one of your own. Which sites are due is in sites.toml.
# [steps.conciliar]
# at = "D+1 06:00"                 # by itself not before; no clock ever closes a gate
# automatic = true
# [overrides]
# two_persons = true               # whoever opens a gate against the evidence is confirmed by somebody else
# hours = 24                       # so long it holds
# [reconciliation]
# unbilled = ["10065"]             # services that are posted and never billed: they are not missed in BDF or C.A.

# How long files of days that are long over are kept (`filesync purge`; `filesync run` does it once a day). The ledger keeps everything:
# [retention]
# archive = "never"                # "400 days", "18 months", "5 years": payloads, manifests and receipts of days that are settled and done
# quarantine_resolved = "never"    # what was discarded from quarantine
# evidence = "never"               # signed openings of gates

# With very many peers: who imports feeds of different sites side by side (docs/scale.md says when that pays).
# [import]
# executor = "processes:4"         # none | threads:4 | processes:4 | dask://scheduler:8786 | tls://scheduler:8786
# [import.tls]                     # for tls:// alone
# ca = "keys/cluster-ca.pem"
# cert = "keys/cluster.pem"
# key = "keys/cluster.key"

# A dataset may be applied into tables of your own program as well, where they are in this site's database (docs/tutorial-own-tables.md).
# [apply.vendas]
# sql = "apply_vendas.sql"         # in this folder: run with every batch, inside its transaction; `filesync apply check` tries it

# Peers: `filesync peer add ID --role ROLE --link PATH` writes these sections.
# [peers.matriz]
# role = "matriz"
# link = "../matriz"               # the peer's folder, seen from here; leave it out where the peer comes to us
# relay = false                    # true: the link is a place with mailboxes between the two
#
# [peers.portal]
# role = "portal"
# link = "sftp://loja12@sftp.example.com:22/"
# identity = "keys/sftp_ed25519"   # the private key that logs in there
# known_hosts = "keys/known_hosts" # written by `filesync peer trust portal`
# limit_kib_s = 256                # leave room on the line for the tills
# windows = ["22:00-06:00"]        # use the link only then
"""
