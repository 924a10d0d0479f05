"""`filesync.toml` as frozen settings.

What is read here is checked here: an unknown key, a wrong type or a bad id is a `ConfigError` that names the place in the file.
This module only reads. How the file is written: template.py; keys: keys.py.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from filesync.config.applying import ApplySection, own_statements
from filesync.config.importing import ExecutorChoice, ImportSection
from filesync.config.keys import own_key, pinned_keys
from filesync.config.retention import RetentionSection
from filesync.config.steps import OverrideSection, Step, StepSection, day_steps
from filesync.config.storing import Server
from filesync.errors import ConfigError
from filesync.protocol.identity import Format, Role, check_id
from filesync.sources.settings import SourceSettings
from filesync.timetable import Window, parse_duration, parse_schedule, parse_window
from filesync.transports.link import SftpLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from filesync.protocol.signing import PublicKey, SigningKey
    from filesync.stores.own_statements import OwnStatements

FILE_NAME = "filesync.toml"
DATABASE_NAME = "filesync.db"

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
        own_key(root), pinned_keys(root, file.peers), file.schedule,
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
