"""`filesync.toml` as it is written: the commented file of a new site, and the section of a new peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filesync.config.site import Peer
    from filesync.protocol.identity import Role


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
