"""What each code means to a shopkeeper, and what to do next. The only place where advice is phrased.

A code that is not here is answered by its family (`of_error`), so that no failure is ever without a next step.
`means` replaces the technical message in lists; it is None where the message is plain enough. `filesync show` and `--json` keep the
technical one.
"""

from __future__ import annotations

from dataclasses import dataclass

from filesync.errors import ConfigError, DamagedError, FilesyncError, RejectedError, TransportError


@dataclass(frozen=True, slots=True)
class Advice:
    """`means`: what happened, as a clause. `do`: the next step, as a sentence."""

    means: str | None
    do: str


_AGAIN = "Nothing to do: the sender keeps its copy and sends it again at the next exchange. If it keeps happening, check the disk or the USB stick."
_SENDER = "Ask whoever runs the sending site; nothing of it was applied here."
_KEY = "Compare the key with the sender's (`filesync key` there). If its key really is a new one: filesync peer add ID --key FILE --replace-key"
_CORRECT = "Correct it in the program that it comes from and export again: only what changed is sent."
_WAIT = "Nothing to do: filesync takes it up again by itself."
_TOML = "Correct filesync.toml in the site's folder; `filesync status` says whether it is understood."
_CONTRACT = "`filesync contract show DATASET` lists the fields and rules."

ADVICE: dict[str, Advice] = {
    # the site and its settings
    "not-a-site": Advice(None, "Go into the site's folder, or name it: filesync -C FOLDER …  A new site: filesync init FOLDER --site ID --role ROLE"),
    "exists": Advice(None, "Nothing was changed. For another site choose another folder."),
    "config-invalid": Advice(None, _TOML),
    "config-unreadable": Advice(None, _TOML),
    "site-mismatch": Advice(None, "Put the right filesync.toml and filesync.db together; both belong to one site and are copied together."),
    "store-missing": Advice(None, "Restore filesync.db from the last backup. Without one, move the folder aside and begin anew with `filesync init`."),
    "store-exists": Advice(None, "Nothing was changed. For another site choose another folder."),
    "store-newer": Advice(None, "Update filesync on this computer."),
    "store-damaged": Advice(None, "Stop using this folder, copy it away, and restore filesync.db from the last backup."),
    "busy": Advice(None, "Wait until it is done and try again."),
    "running": Advice(None, "Nothing to do: one is enough. To start another one, end that one first."),
    "key-unreadable": Advice(
        None,
        "A key file holds one line, `ssh-ed25519 AAAA… name`: `filesync key` prints it on the peer's computer. "
        "If this site's own key is lost, restore the folder keys/ from a backup.",
    ),
    "key-differs": Advice(None, "Ask the peer by telephone which fingerprint is right. If its key really is a new one, add --replace-key"),
    "key-private": Advice(None, "Give the file that ends in .pub. A private key never leaves its computer."),
    "identity-missing": Advice(None, "Make a key for logging in (ssh-keygen -t ed25519 -f keys/sftp_ed25519), give its .pub to the server's owner, and name it with --identity."),
    "link-invalid": Advice(None, "A link over SFTP looks like sftp://user@host:22/path."),
    "fingerprint-differs": Advice(None, "Nothing was trusted. Ask the server's owner which fingerprint is right."),
    "fingerprint-missing": Advice(None, "Compare it with what the server's owner says, then: filesync peer trust ID --fingerprint SHA256:…"),
    "fingerprint-refused": Advice(None, "Ask the server's owner for the fingerprint (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there)."),
    "peer-unknown": Advice(None, "`filesync peer list` shows the peers; `filesync peer add` makes one."),
    "peer-exists": Advice(None, "Nothing was changed. To change a peer's role or link, edit its section in filesync.toml."),
    "peer-self": Advice(None, "Name the other site."),
    "role-missing": Advice(None, "Add --role caixa, --role posto, --role matriz or --role portal."),
    "link-missing": Advice(None, "Name the folder that both sites can reach."),
    "mailbox-invalid": Advice(None, "Leave --mailbox out unless the place between the two demands another layout."),
    "link-other-site": Advice(None, "Nothing was changed. Check --link; it must be the peer's own folder (with --relay: a folder between the two)."),
    "audience-unknown": Advice(None, "Name one of these, or make the peer: filesync peer add ID --role ROLE"),
    "audience-missing": Advice(None, "If the recipient is not configured yet: filesync peer add ID --role ROLE --link FOLDER"),
    "not-empty": Advice(None, "For example: filesync demo my-demo"),
    "ambiguous": Advice(None, "Type more of the name."),
    "not-found": Advice(None, "`filesync status` shows what there is; names can be copied from there."),
    "not-retryable": Advice(None, _CORRECT),
    "not-signed": Advice(None, "There is no signature to hand out: it was made without a key."),
    "contract-unusable": Advice(None, "Correct the schema at the places named; schemas/README.md lists the keywords that can be used."),
    "key-changed": Advice(None, "The contract in schemas/ does not fit the data that are held. Put the right one back."),
    "no-business-date": Advice(None, "Leave --date out: these data belong to no movement day."),
    "dataset-unknown": Advice(None, "`filesync contract list` shows the datasets."),
    "encryption-missing": Advice(None, "These data stay where they are until filesync can encrypt them."),
    # the service
    "service-exists": Advice(None, "Nothing was changed. Look at that file; move it aside if it may go."),
    "service-failed": Advice(None, "The files are written. Read what the system said, cure it, and install again; or do the steps by hand (--print)."),
    "service-missing": Advice(None, "Nothing to do. Was it installed with --user, or by root?"),
    "service-path": Advice(None, "Move the site (or filesync) to a folder with a plain name, and install again."),
    "service-program": Advice(None, "Call filesync by its whole path, or install it again on this computer."),
    # sources
    "source-missing": Advice(None, "Name the file: filesync export DATASET --from FILE"),
    "source-empty": Advice(None, "Check the folder and the file's name, or name the file with --from."),
    "source-ambiguous": Advice(None, "Name one file with --from."),
    "source-invalid": Advice(None, "Correct that section of filesync.toml; docs/sources.md has every form."),
    "source-unknown": Advice(None, "Save it as CSV, JSON lines or Parquet."),
    "source-unreadable": Advice(None, "Check that the file opens in the program it comes from, and that [datasets.….source] in filesync.toml describes it."),
    "source-locked": Advice("another program is using the file", "Nothing to do: the next turn reads it. If it lasts, close the program that holds it."),
    "source-changing": Advice("the file is still being written", "Nothing to do: the next turn reads it."),
    "source-busy": Advice("the database is busy", "Nothing to do: the next turn asks it again."),
    "source-address": Advice(None, "Correct `database` in filesync.toml; signs like @ / % in a password are written as %40 %2F %25. docs/sources.md shows the forms."),
    "source-refused": Advice(None, "Check the account, its password (best kept in ~/.pgpass) and the database's name with whoever looks after that server."),
    "source-query": Advice(None, "Correct the query in filesync.toml, or the database's name."),
    "driver-missing": Advice(None, "Install it on this computer, then run the command again."),
    "line-malformed": Advice("a line that cannot be read", _CORRECT),
    "line-orphan": Advice("lines without their document", _CORRECT),
    "line-repeated": Advice("the same line stands in a document twice", _CORRECT),
    "malformed": Advice("lines that hold no document", _CORRECT),
    "contract": Advice("documents that break the rules", _CORRECT),
    "bad-rows": Advice("some documents break the rules and were not sent", _CORRECT),
    "schema-mismatch": Advice(None, f"Correct the column mapping in filesync.toml. {_CONTRACT}"),
    "document-too-large": Advice(None, _CORRECT),
    # what arrived and cannot be trusted
    "manifest-unreadable": Advice("its description (manifest) is damaged", _AGAIN),
    "manifest-invalid": Advice("its description (manifest) is not a valid one", _SENDER),
    "receipt-unreadable": Advice("the receipt is damaged", "Nothing to do: the batch is sent again, and the receipt comes again."),
    "receipt-invalid": Advice("the receipt is not a valid one", _SENDER),
    "receipt-foreign": Advice("a receipt for something that this site did not send to that peer", _SENDER),
    "receipt-other-content": Advice("a receipt for other content than ours", _SENDER),
    "damaged": Advice("the file was damaged on the way", _AGAIN),
    "truncated": Advice("the file arrived incomplete", _AGAIN),
    "oversized": Advice("the file is larger than announced or allowed", f"{_AGAIN} The limit is under [limits] in filesync.toml."),
    "swapped": Advice("the file holds the content of another batch", _AGAIN),
    "renamed": Advice("the file was renamed: it says that it is another batch", "Nothing to do if nobody renames files by hand: the sender sends it again."),
    "payload-unreadable": Advice("its content cannot be read", f"{_SENDER} It must be exported again there."),
    "payload-missing": Advice("its content has not arrived yet", f"{_WAIT} The sender ships it again."),
    "manifest-missing": Advice("content whose description (manifest) has not arrived yet", f"{_WAIT} If it still lies there after days, it may be removed."),
    "payload-lost": Advice(None, "Restore the file from a backup into outbox/, or export those days again with --again."),
    "format-unknown": Advice("it was made by a newer filesync", "Update filesync on this computer; then it is taken up by itself."),
    "contract-unknown": Advice("it needs a newer version of filesync here", "Update filesync on this computer; then it is taken up by itself."),
    "signature-missing": Advice("it is not signed, and this peer's files must be", _KEY),
    "signature-malformed": Advice("its signature is damaged", _KEY),
    "signature-wrong": Advice("its content was changed after it was signed", f"{_AGAIN} If not, somebody else writes into that folder."),
    "signature-foreign": Advice("it was signed with another key than the pinned one", _KEY),
    "foreign": Advice("a batch of another site in this peer's folder", _SENDER),
    "not-for-us": Advice("a batch for another site", _SENDER),
    "not-allowed": Advice("this peer may not send these data", "If it should: add the dataset to `may_send` of that peer in filesync.toml, then `filesync quarantine retry NAME`"),
    "same-number-other-content": Advice(
        "another batch with this number was applied before",
        "A site was probably restored from an old backup. Call whoever runs the sending site before doing anything else.",
    ),
    "broken-chain": Advice(
        "it does not follow the batch before it",
        "A site was probably restored from an old backup. Call whoever runs the sending site before doing anything else.",
    ),
    "before-opening": Advice("it is older than the first batch this site received", _SENDER),
    "hole": Advice("an earlier batch has not arrived yet", f"{_WAIT} If it lasts, look at `filesync outbox` on the sending site."),
    "heartbeat-unreadable": Advice("what the peer says of itself is damaged", "Nothing to do: the peer says it again, and nothing depends on it."),
    "heartbeat-invalid": Advice("what the peer says of itself is not a valid heartbeat", "Nothing depends on it. If it keeps happening, ask whoever runs that site."),
    "heartbeat-foreign": Advice("another site's heartbeat in this peer's folder", "Nothing depends on it. Somebody copies files by hand, or writes in that site's name."),
    "locked": Advice("another program is using the file", _WAIT),
    "stranger": Advice("not a file of filesync's; it is left alone", "Remove it if it does not belong there."),
    "problem-unreadable": Advice("the note that says why is damaged; the file itself is untouched", "Look at the file in the quarantine folder."),
    # what arrived and is wrong
    "partial": Advice("some documents break the rules; the others were applied", f"The sending site must know: {_CORRECT[0].lower()}{_CORRECT[1:]}"),
    "totals-mismatch": Advice("the totals are not those that were announced", f"{_SENDER} It must be exported again there."),
    "totals-too-large": Advice("its totals are larger than a manifest can say", f"{_CORRECT} A smaller `documents_max` makes smaller batches."),
    "duplicate-key": Advice("the same document stands in it twice", _CORRECT),
    "conflict": Advice(
        "the sender's reinstalled site sends other content for documents that are held here",
        "Compare both; the right one must be saved again at the sending site, with a higher `versao`.",
    ),
    "foreign-origem": Advice("documents of another site; a site sends its own only", _CORRECT),
    "rejected": Advice("the recipient refused it", _CORRECT),
    # the road
    "unreachable": Advice(None, "Nothing is lost: what waits leaves at the next exchange. Check that the folder or the USB stick is there."),
    "gone": Advice(None, "Nothing is lost: the next exchange looks again."),
    "disk-low": Advice(None, "Nothing is lost. Free some space on this computer's disk, then run the command again."),
    "full": Advice(None, "Nothing is lost. Free some space on the peer's disk; the next exchange goes on."),
    "denied": Advice(None, "Nothing is lost. Check who may read and write in the peer's folder; the next exchange goes on."),
    "failed": Advice(None, "Nothing is lost: the next exchange tries again."),
    "not-a-file": Advice(None, "A link (shortcut) stands where a folder or a file is expected; remove it."),
    "name-refused": Advice(None, "Nothing is lost. Remove files with such names from the peer's folder."),
    "host-key-unknown": Advice(None, "`filesync peer trust ID`: compare the fingerprint with what the server's owner says. Until then nothing is sent."),
    "host-key-changed": Advice(
        None,
        "Nothing was sent. Ask the server's owner whether the server was replaced. If so: filesync peer trust ID   "
        "If not, somebody stands between: do not confirm the key.",
    ),
    "login-refused": Advice(None, "Nothing is lost. Give the server's owner the public half of the key (the file that ends in .pub), and check the user's name in the link."),
    "identity-unreadable": Advice(None, "Check `identity` of that peer in filesync.toml: it names a private key without a passphrase that this account may read."),
    "incompatible": Advice(None, "Check the port in the link: another program answers there, or the server allows no file transfer (SFTP)."),
    "timeout": Advice(None, "Nothing is lost: the next exchange goes on where this one stopped. If it lasts, look at the line and at the server: filesync doctor"),
    "interrupted": Advice(None, "Nothing is lost: the next exchange goes on where this one stopped."),
    "full-here": Advice(None, "Nothing is lost: the peer keeps it. Free some space on this computer; the next exchange goes on."),
    "failed-here": Advice(None, "Nothing is lost: the peer keeps it. Check this computer's disk, and who may write in the site's folder."),
    # the database
    "store-busy": Advice(None, "Nothing is lost: another program uses the database, and the next turn tries again."),
    "store-corrupt": Advice(None, "Stop using this folder, copy it away, and restore filesync.db from the last backup (docs/operations.md)."),
    "store-readonly": Advice(None, "Let the account that runs filesync write into the site's folder and filesync.db."),
    "store-unreachable": Advice(None, "Check that the site's folder is there and may be written."),
    "disk-full": Advice(None, "Nothing is lost. Free some space on this computer; the next turn goes on."),
    "disk-failed": Advice(None, "The disk reports a fault. Save a copy of the site's folder, and replace the disk."),
}  # fmt: skip

_FAMILIES: tuple[tuple[type[FilesyncError], str], ...] = (
    (ConfigError, "Correct that, then run the command again. Nothing was sent."),
    (TransportError, ADVICE["unreachable"].do),
    (DamagedError, _AGAIN),
    (RejectedError, _CORRECT),
)


def of_code(code: str) -> Advice:
    """Advice for a code in a list: an empty one where nothing is known (the technical message is shown then)."""
    return ADVICE.get(code, Advice(None, ""))


def of_error(error: FilesyncError) -> str:
    """The next step after an error."""
    if error.code in ADVICE:
        return ADVICE[error.code].do
    return next(
        (do for family, do in _FAMILIES if isinstance(error, family)),
        "See `filesync status` for what is where.",
    )
