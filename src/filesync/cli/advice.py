"""What each code means to a shopkeeper, and what to do next. The only place where advice is phrased.

The tables hold the English texts; what they say leaves here in the chosen language.
A code that is not here is answered by its family (`of_error`), so that no failure is ever without a next step.
`means` replaces the technical message in lists; it is None where the message is plain enough. `filesync show` and `--json` keep the
technical one.
"""

from __future__ import annotations

from dataclasses import dataclass

from filesync.cli.language import _, mark
from filesync.errors import ConfigError, DamagedError, FilesyncError, RejectedError, TransportError


@dataclass(frozen=True, slots=True)
class Advice:
    """`means`: what happened, as a clause. `do`: the next step, as a sentence."""

    means: str | None
    do: str


_AGAIN = mark(
    "Nothing to do: the sender keeps its copy and sends it again at the next exchange. If it keeps happening, check the disk or the USB stick."
)
_FORK = mark(
    "The sending site's database was put back from an old backup, or a copy of it runs. At the sending site: stop the copy, then `filesync restored`; its rows come again. At the receiving site nothing is to be done."
)
_SENDER = mark("Ask whoever runs the sending site; nothing of it was applied here.")
_KEY = mark(
    "Compare the key with the sender's (`filesync key` there). If its key really is a new one: filesync peer add ID --key FILE --replace-key"
)
_CORRECT = mark("Correct it in the program that it comes from and export again: only what changed is sent.")
_WAIT = mark("Nothing to do: filesync takes it up again by itself.")
_TOML = mark("Correct filesync.toml in the site's folder; `filesync status` says whether it is understood.")
_CONTRACT = mark("`filesync contract show DATASET` lists the fields and rules.")

ADVICE: dict[str, Advice] = {
    # the site and its settings
    "not-a-site": Advice(None, mark("Go into the site's folder, or name it: filesync -C FOLDER …  A new site: filesync init FOLDER --site ID --role ROLE")),
    "exists": Advice(None, mark("Nothing was changed. For another site choose another folder.")),
    "config-invalid": Advice(None, _TOML),
    "config-unreadable": Advice(None, _TOML),
    "site-mismatch": Advice(None, mark("Put the right filesync.toml and filesync.db together; both belong to one site and are copied together. Where a server keeps the store, let `store` name this site's own database (or schema).")),
    "store-missing": Advice(None, mark("Restore filesync.db, or the server's database, from the last backup. Without one, move the folder aside and begin anew with `filesync init`.")),
    "store-exists": Advice(None, mark("Nothing was changed. For another site choose another folder.")),
    "store-newer": Advice(None, mark("Update filesync on this computer.")),
    "store-older": Advice(None, mark("Bring it forward, once: filesync migrate   A store in filesync.db is copied before; of one on a server, make a backup yourself.")),
    "store-elsewhere": Advice(None, mark("Nothing was changed. Take the line `store` out of filesync.toml, and the site goes on with filesync.db. A site on a server is made anew, in another folder: filesync init FOLDER --site ID --role ROLE --store ADDRESS (docs/operations.md)")),
    "store-address": Advice(None, mark("Write it as postgresql://user@host:5432/database, or postgresql:///?service=NAME. The password stands in ~/.pgpass or in the file that store_password_file names (docs/operations.md).")),
    "store-password-open": Advice(None, mark("Close it: chmod 600 FILE. Whoever had read it knows the password: if that is possible, give the account a new one.")),
    "store-password-missing": Advice(None, mark("Put the password, and nothing else, into that file: chmod 600 FILE. Or take store_password_file out of filesync.toml, and let libpq find it in ~/.pgpass.")),
    "migrate-running": Advice(None, mark("Stop it (filesync service status says how it is run), then: filesync migrate   After that start it again. Nothing was changed.")),
    "restored-running": Advice(None, mark("Stop it (filesync service status says how it is run), then: filesync restored --reason …   After that start it again. Nothing was changed.")),
    "restored-reason": Advice(None, mark('Say in a few words what happened: filesync restored --reason "disk failed, backup of Monday"')),
    "restored-unneeded": Advice(None, mark("If filesync.db was put back from a backup all the same, say so: filesync restored --reason … --anyway")),
    "backup-unsaid": Advice(None, mark("Nothing was changed. Make a backup of that database (pg_dump), then: filesync migrate --yes")),
    "store-damaged": Advice(None, mark("Stop using this folder, copy it away, and restore filesync.db from the last backup.")),
    "busy": Advice(None, mark("Wait until it is done and try again.")),
    "running": Advice(None, mark("Nothing to do: one is enough. To start another one, end that one first.")),
    "key-unreadable": Advice(
        None,
        mark("A key file holds one line, `ssh-ed25519 AAAA… name`: `filesync key` prints it on the peer's computer. If this site's own key is lost, restore the folder keys/ from a backup."),
    ),
    "key-differs": Advice(None, mark("Ask the peer by telephone which fingerprint is right. If its key really is a new one, add --replace-key")),
    "key-private": Advice(None, mark("Give the file that ends in .pub. A private key never leaves its computer.")),
    "identity-missing": Advice(None, mark("Make a key for logging in (ssh-keygen -t ed25519 -f keys/sftp_ed25519), give its .pub to the server's owner, and name it with --identity.")),
    "link-invalid": Advice(None, mark("A link over SFTP looks like sftp://user@host:22/path.")),
    "fingerprint-differs": Advice(None, mark("Nothing was trusted. Ask the server's owner which fingerprint is right.")),
    "fingerprint-missing": Advice(None, mark("Compare it with what the server's owner says, then: filesync peer trust ID --fingerprint SHA256:…")),
    "fingerprint-refused": Advice(None, mark("Ask the server's owner for the fingerprint (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there).")),
    "peer-unknown": Advice(None, mark("`filesync peer list` shows the peers; `filesync peer add` makes one.")),
    "peer-exists": Advice(None, mark("Nothing was changed. To change a peer's role or link, edit its section in filesync.toml.")),
    "peer-self": Advice(None, mark("Name the other site.")),
    "role-missing": Advice(None, mark("Add --role caixa, --role posto, --role matriz or --role portal.")),
    "link-missing": Advice(None, mark("Name the folder that both sites can reach.")),
    "mailbox-invalid": Advice(None, mark("Leave --mailbox out unless the place between the two demands another layout.")),
    "link-other-site": Advice(None, mark("Nothing was changed. Check --link; it must be the peer's own folder (with --relay: a folder between the two).")),
    "audience-unknown": Advice(None, mark("Name one of these, or make the peer: filesync peer add ID --role ROLE")),
    "audience-missing": Advice(None, mark("If the recipient is not configured yet: filesync peer add ID --role ROLE --link FOLDER")),
    "not-empty": Advice(None, mark("For example: filesync demo my-demo")),
    "ambiguous": Advice(None, mark("Type more of the name.")),
    "not-found": Advice(None, mark("`filesync status` shows what there is; names can be copied from there.")),
    "not-retryable": Advice(None, _CORRECT),
    "not-signed": Advice(None, mark("There is no signature to hand out: it was made without a key.")),
    "contract-unusable": Advice(None, mark("Correct the schema at the places named; schemas/README.md lists the keywords that can be used.")),
    "contract-breaking": Advice(None, mark("Both versions would be in use at once, so the newer one may only add what may be missing, and widen. Take its file out of schemas/, or correct the places named: filesync contract check FILE --against DATASET")),
    "key-changed": Advice(None, mark("The contract in schemas/ does not fit the data that are held. Put the right one back.")),
    "portal-missing": Advice(None, mark("If the portal is not known here yet: filesync peer add portal --role portal --link FOLDER")),
    "client-unknown": Advice(None, mark("Look the code up (`filesync report agency --date AAAA-MM-DD` names the customers of a day). A new customer is known here when clientes has come.")),
    "no-business-date": Advice(None, mark("Leave --date out: these data belong to no movement day.")),
    "dataset-unknown": Advice(None, mark("`filesync contract list` shows the datasets.")),
    "recipient-key-missing": Advice(None, mark("Nothing was sent. Have `filesync key` there print the site's public key, then here: filesync peer add ID --key FILE --replace-key")),
    # the day
    "roster-invalid": Advice(None, mark("Correct sites.toml in the matriz' folder; `filesync roster --date AAAA-MM-DD` says who is due.")),
    "gate-role": Advice(None, mark("Ask it at the matriz. What this site still has to do is said by `filesync status`.")),
    "step-unknown": Advice(None, mark("Name one of these; docs/day.md says what each is for.")),
    "step-by-itself": Advice(None, mark("Nothing to do: ask for it with `filesync gate`.")),
    "step-not-marked": Advice(None, mark("Nothing was changed. `filesync day --date AAAA-MM-DD` shows which steps are done.")),
    "gate-closed": Advice(None, mark("Do what is missing, or, where that cannot wait, take the responsibility: filesync override STEP --date AAAA-MM-DD --reason … --by … --confirmed-by …")),
    "override-unsaid": Advice(None, mark("Add --reason TEXT and --by NAME.")),
    "override-alone": Advice(None, mark("Ask somebody else, and add --confirmed-by NAME.")),
    "override-same-person": Advice(None, mark("Ask somebody else, and add --confirmed-by NAME.")),
    "override-too-long": Advice(None, mark("Give fewer --hours, or raise `hours` under [overrides] in filesync.toml.")),
    "override-unknown": Advice(None, mark("`filesync override --list` shows those that were given.")),
    "late-refused": Advice(mark("it came after its day's billing file was imported, and its contract refuses that"), mark("Ask whoever runs the matriz; the sales stay at the site that made them.")),
    # the service
    "service-exists": Advice(None, mark("Nothing was changed. Look at that file; move it aside if it may go.")),
    "service-failed": Advice(None, mark("The files are written. Read what the system said, cure it, and install again; or do the steps by hand (--print).")),
    "service-missing": Advice(None, mark("Nothing to do. Was it installed with --user, or by root?")),
    "service-path": Advice(None, mark("Move the site (or filesync) to a folder with a plain name, and install again.")),
    "service-program": Advice(None, mark("Call filesync by its whole path, or install it again on this computer.")),
    # sources
    "source-missing": Advice(None, mark("Name the file: filesync export DATASET --from FILE")),
    "source-empty": Advice(None, mark("Check the folder and the file's name, or name the file with --from.")),
    "source-ambiguous": Advice(None, mark("Name one file with --from.")),
    "source-invalid": Advice(None, mark("Correct that section of filesync.toml; docs/sources.md has every form.")),
    "source-unknown": Advice(None, mark("Save it as CSV, JSON lines or Parquet.")),
    "source-unreadable": Advice(None, mark("Check that the file opens in the program it comes from, and that [datasets.….source] in filesync.toml describes it.")),
    "source-locked": Advice(mark("another program is using the file"), mark("Nothing to do: the next turn reads it. If it lasts, close the program that holds it.")),
    "source-changing": Advice(mark("the file is still being written"), mark("Nothing to do: the next turn reads it.")),
    "source-busy": Advice(mark("the database is busy"), mark("Nothing to do: the next turn asks it again.")),
    "source-address": Advice(None, mark("Correct `database` in filesync.toml; signs like @ / % in a password are written as %40 %2F %25. docs/sources.md shows the forms.")),
    "source-refused": Advice(None, mark("Check the account, its password (best kept in ~/.pgpass) and the database's name with whoever looks after that server.")),
    "source-query": Advice(None, mark("Correct the query in filesync.toml, or the database's name.")),
    "driver-missing": Advice(None, mark("Install it on this computer, then run the command again.")),
    "line-malformed": Advice(mark("a line that cannot be read"), _CORRECT),
    "line-orphan": Advice(mark("lines without their document"), _CORRECT),
    "line-repeated": Advice(mark("the same line stands in a document twice"), _CORRECT),
    "malformed": Advice(mark("lines that hold no document"), _CORRECT),
    "contract": Advice(mark("documents that break the rules"), _CORRECT),
    "bad-rows": Advice(mark("some documents break the rules and were not sent"), _CORRECT),
    "schema-mismatch": Advice(None, mark("Correct the column mapping in filesync.toml. `filesync contract show DATASET` lists the fields and rules.")),
    "document-too-large": Advice(None, _CORRECT),
    # billing files
    "layout-invalid": Advice(None, mark("Correct these places of the layout; docs/layouts.md has every setting, `filesync layout show NAME` an example that works.")),
    "layout-unfit": Advice(None, mark("Correct the layout until `--check` reads the file; `filesync layout check FILE` says which layouts begin like it.")),
    "layout-unknown": Advice(None, mark("`filesync layout list` shows the layouts. Your own go into the folder layouts/.")),
    "layout-none": Advice(None, mark("`filesync layout check FILE` says why. If the file is right, describe how it is written in layouts/: docs/layouts.md")),
    "layout-ambiguous": Advice(None, mark("Name the right one with --layout, or make their headers differ.")),
    "layout-records": Advice(mark("its records are not in order: it may be cut off"), mark("Nothing of it was taken. Get the file again, whole, and import it.")),
    "layout-sums": Advice(mark("it does not add up to what it says of itself"), mark("Nothing of it was taken. Get the file again from the system that it comes from.")),
    "layout-mismatch": Advice(mark("its header or trailer says something else than the layout expects"), mark("Nothing of it was taken. Check that it is the right file, and the layout: filesync layout check FILE")),
    "file-of-another-day": Advice(None, mark("Nothing of it was taken. Check the file, or the --date.")),
    "day-unknown": Advice(mark("nothing says of which day it is"), mark("Say it with --date, or put the file into a folder with the day's name: drop/bdf/AAAA-MM-DD/")),
    "file-partial": Advice(mark("some rows of the file were not taken; the others were"), mark("Get a corrected file of the day and import it: it replaces the first.")),
    "row-malformed": Advice(mark("a line that is no record of the layout"), mark("Get a corrected file of the day and import it: it replaces the first.")),
    "row-of-another-day": Advice(mark("a row of another day than its file's"), mark("Get a corrected file of the day and import it: it replaces the first.")),
    "value-unreadable": Advice(mark("a value that cannot be read"), _CORRECT),
    "role-wrong": Advice(None, mark("Run it at the matriz.")),
    # closing a day
    "close-role": Advice(None, mark("A day is closed where it was sold: at the caixa or posto.")),
    "close-invalid": Advice(None, mark("`filesync contract show fechamento` lists what a close may say.")),
    "close-inconsistent": Advice(None, mark("This is a mistake in filesync: please tell whoever looks after it. Nothing was changed.")),
    "count-missing": Advice(None, mark("Count the cash and say it: --contado 1234,56")),
    "day-unread": Advice(None, mark("Make the source of vendas readable, then close again.")),
    "day-unsealed": Advice(None, mark("Seal them: filesync export vendas --date AAAA-MM-DD   Then close again.")),
    "day-refused-rows": Advice(None, mark("Correct them in the program that they come from, or close with --despite-refused.")),
    "day-empty": Advice(None, mark("If nothing was sold, say so: --sem-movimento")),
    "day-not-empty": Advice(None, mark("Leave --sem-movimento out.")),
    "turno-missing": Advice(None, mark("Close the shift before it first.")),
    "turno-late": Advice(None, mark("Close the last shift again first; the count is kept.")),
    "source-gone": Advice(None, mark("Make the folder, or connect the share that it lies on; or correct `path` in filesync.toml.")),
    # a day's dossier
    "file-exists": Advice(None, mark("Nothing was changed. Name another file, or move that one away.")),
    "folder-missing": Advice(None, mark("Make the folder, or connect the disk or stick that it lies on.")),
    "dossier-unreadable": Advice(None, mark("Ask the matriz for the dossier again: filesync dossier --date AAAA-MM-DD FILE.zip")),
    # what arrived and cannot be trusted
    "manifest-unreadable": Advice(mark("its description (manifest) is damaged"), _AGAIN),
    "manifest-invalid": Advice(mark("its description (manifest) is not a valid one"), _SENDER),
    "receipt-unreadable": Advice(mark("the receipt is damaged"), mark("Nothing to do: the batch is sent again, and the receipt comes again.")),
    "receipt-invalid": Advice(mark("the receipt is not a valid one"), _SENDER),
    "receipt-foreign": Advice(mark("a receipt for something that this site did not send to that peer"), _SENDER),
    "receipt-other-content": Advice(mark("a receipt for other content than ours"), _SENDER),
    "damaged": Advice(mark("the file was damaged on the way"), _AGAIN),
    "truncated": Advice(mark("the file arrived incomplete"), _AGAIN),
    "oversized": Advice(mark("the file is larger than announced or allowed"), mark("Nothing to do: the sender keeps its copy and sends it again at the next exchange. If it keeps happening, check the disk or the USB stick. The limit is under [limits] in filesync.toml.")),
    "swapped": Advice(mark("the file holds the content of another batch"), _AGAIN),
    "renamed": Advice(mark("the file was renamed: it says that it is another batch"), mark("Nothing to do if nobody renames files by hand: the sender sends it again.")),
    "not-readable-here": Advice(
        mark("it was encrypted to another key than this site's"),
        mark("Give the sender this site's key (`filesync key` prints it); there: filesync peer add ID --key FILE --replace-key, then export DATASET --full again."),
    ),
    "not-encrypted": Advice(
        mark("it holds secrets and came in clear"),
        mark("Nothing of it was applied. Tell whoever runs the sending site: those passwords must be changed. Then: filesync quarantine discard NAME --reason …, and remove the file."),
    ),
    "payload-unreadable": Advice(mark("its content cannot be read"), mark("Ask whoever runs the sending site; nothing of it was applied here. It must be exported again there.")),
    "payload-missing": Advice(mark("its content has not arrived yet"), mark("Nothing to do: filesync takes it up again by itself. The sender ships it again.")),
    "manifest-missing": Advice(mark("content whose description (manifest) has not arrived yet"), mark("Nothing to do: filesync takes it up again by itself. If it still lies there after days, it may be removed.")),
    "payload-purged": Advice(
        mark("its file was removed here when its day was long over"),
        mark("Nobody can send it again. Whoever misses it: filesync void FEED SEQ --reason …   The rows come again with an export of those days from their source."),
    ),
    "purge-future": Advice(None, mark("Give a day that is over: filesync purge --before AAAA-MM-DD")),
    "retention-missing": Advice(None, mark('Say how old: filesync purge --older "400 days"   Or for good, under [retention] in filesync.toml.')),
    "payload-lost": Advice(None, mark("Restore the file from a backup into outbox/. If it is gone for good: filesync void FEED SEQ --reason …, and when that is answered, export those days again.")),
    "format-unknown": Advice(mark("it was made by a newer filesync"), mark("Update filesync on this computer; then it is taken up by itself.")),
    "recipient-older": Advice(None, mark("Nothing is lost: it is sent by itself once filesync (or the contract in schemas/) is updated there. `filesync doctor` says what each peer knows.")),
    "contract-unknown": Advice(mark("it needs a newer version of filesync here"), mark("Update filesync on this computer; then it is taken up by itself.")),
    "signature-missing": Advice(mark("it is not signed, and this peer's files must be"), _KEY),
    "signature-malformed": Advice(mark("its signature is damaged"), _KEY),
    "signature-wrong": Advice(mark("its content was changed after it was signed"), mark("Nothing to do: the sender keeps its copy and sends it again at the next exchange. If it keeps happening, check the disk or the USB stick. If not, somebody else writes into that folder.")),
    "signature-foreign": Advice(mark("it was signed with another key than the pinned one"), _KEY),
    "foreign": Advice(mark("a batch of another site in this peer's folder"), _SENDER),
    "not-for-us": Advice(mark("a batch for another site"), _SENDER),
    "not-allowed": Advice(mark("this peer may not send these data"), mark("If it should: add the dataset to `may_send` of that peer in filesync.toml, then `filesync quarantine retry NAME`")),
    "same-number-other-content": Advice(mark("another batch with this number was applied before"), _FORK),
    "broken-chain": Advice(mark("it does not follow the batch before it"), _FORK),
    "before-opening": Advice(mark("it is older than the complete list with which this site began"), mark("Nothing is missing: that list holds all that was valid. At the receiving site it can be let go: filesync quarantine discard NAME --reason …")),
    "hole": Advice(
        mark("an earlier batch has not arrived yet"),
        mark("Nothing to do: it is asked for again by itself. At once: filesync resend FEED   If it can never arrive: filesync void FEED SEQ --reason …"),
    ),
    "void": Advice(mark("its sender gives this number up"), mark("Nothing to do: the next import records it, and goes on with the next number.")),
    "voided": Advice(mark("its number was given up"), mark("Nothing to do: its sender seals the rows again, under a new number.")),
    "void-unreadable": Advice(mark("the note that gives a number up is damaged"), _AGAIN),
    "void-invalid": Advice(mark("the note that gives a number up is not a valid one"), _SENDER),
    "void-reason": Advice(None, mark("Say why in a few words (--reason) and who answers for it (--by).")),
    "void-unknown": Advice(None, mark("`filesync status` shows the feeds, their numbers and what is missing. Nothing was given up.")),
    "void-applied": Advice(None, mark("Nothing was given up. What was applied is corrected by newer versions of the rows, never taken back.")),
    "feed-unknown": Advice(None, mark("Name the feed as `filesync status` does: vendas.caixa-01.matriz")),
    "epoch-unknown": Advice(None, mark("`filesync status` shows the installations (epochs) of each feed.")),
    "epoch-missing": Advice(None, mark("Say of which installation, with --epoch; `filesync status` shows what is missing of each.")),
    "resend-nothing": Advice(None, mark("Nothing to do. `filesync status` shows what is missing.")),
    "resend-numbers": Advice(None, mark("For instance: filesync resend FEED 12 13")),
    "resend-unknown": Advice(None, mark("`filesync status` shows what is missing. Nothing was asked for.")),
    "wanted": Advice(mark("its recipient misses it and asked for it"), mark("Nothing to do: it is sent again, with the same number.")),
    "heartbeat-unreadable": Advice(mark("what the peer says of itself is damaged"), mark("Nothing to do: the peer says it again, and nothing depends on it.")),
    "heartbeat-invalid": Advice(mark("what the peer says of itself is not a valid heartbeat"), mark("Nothing depends on it. If it keeps happening, ask whoever runs that site.")),
    "heartbeat-foreign": Advice(mark("another site's heartbeat in this peer's folder"), mark("Nothing depends on it. Somebody copies files by hand, or writes in that site's name.")),
    "locked": Advice(mark("another program is using the file"), _WAIT),
    "stranger": Advice(mark("not a file of filesync's; it is left alone"), mark("Remove it if it does not belong there.")),
    "problem-unreadable": Advice(mark("the note that says why is damaged; the file itself is untouched"), mark("Look at the file in the quarantine folder.")),
    # what arrived and is wrong
    "partial": Advice(mark("some documents break the rules; the others were applied"), mark("The sending site must know: correct it in the program that it comes from and export again: only what changed is sent.")),
    "totals-mismatch": Advice(mark("the totals are not those that were announced"), mark("Ask whoever runs the sending site; nothing of it was applied here. It must be exported again there.")),
    "totals-too-large": Advice(mark("its totals are larger than a manifest can say"), mark("Correct it in the program that it comes from and export again: only what changed is sent. A smaller `documents_max` makes smaller batches.")),
    "duplicate-key": Advice(mark("the same document stands in it twice"), _CORRECT),
    "conflict": Advice(
        mark("the sender's reinstalled site sends other content for documents that are held here"),
        mark("Compare both; the right one must be saved again at the sending site, with a higher `versao`."),
    ),
    "foreign-origem": Advice(mark("documents of another site; a site sends its own only"), _CORRECT),
    "rejected": Advice(mark("the recipient refused it"), _CORRECT),
    "apply-failed": Advice(
        None,
        mark("Nothing of it was applied. Correct what the database says: the rows where they come from, your own tables, or the statement. Then the sender seals them again: filesync export DATASET --again"),
    ),
    "apply-broken": Advice(None, mark("Nothing is lost: batches of these data wait, the others go on. Correct the statement or your own tables, then: filesync apply check")),
    "apply-refused": Advice(None, mark("Correct the file; docs/tutorial-own-tables.md says what a statement may do. Then: filesync apply check")),
    "apply-unreadable": Advice(None, mark("Put the file into the site's folder, or correct `sql` under [apply.…] in filesync.toml.")),
    "apply-none": Advice(None, mark("Add a section [apply.DATASET] with `sql` to filesync.toml: docs/tutorial-own-tables.md")),
    # the road
    "unreachable": Advice(None, mark("Nothing is lost: what waits leaves at the next exchange. Check that the folder or the USB stick is there.")),
    "gone": Advice(None, mark("Nothing is lost: the next exchange looks again.")),
    "disk-low": Advice(None, mark("Nothing is lost. Free some space on this computer's disk, then run the command again.")),
    "full": Advice(None, mark("Nothing is lost. Free some space on the peer's disk; the next exchange goes on.")),
    "denied": Advice(None, mark("Nothing is lost. Check who may read and write in the peer's folder; the next exchange goes on.")),
    "failed": Advice(None, mark("Nothing is lost: the next exchange tries again.")),
    "not-a-file": Advice(None, mark("A link (shortcut) stands where a folder or a file is expected; remove it.")),
    "name-refused": Advice(None, mark("Nothing is lost. Remove files with such names from the peer's folder.")),
    "host-key-unknown": Advice(None, mark("`filesync peer trust ID`: compare the fingerprint with what the server's owner says. Until then nothing is sent.")),
    "host-key-changed": Advice(
        None,
        mark("Nothing was sent. Ask the server's owner whether the server was replaced. If so: filesync peer trust ID   If not, somebody stands between: do not confirm the key."),
    ),
    "login-refused": Advice(None, mark("Nothing is lost. Give the server's owner the public half of the key (the file that ends in .pub), and check the user's name in the link.")),
    "identity-unreadable": Advice(None, mark("Check `identity` of that peer in filesync.toml: it names a private key without a passphrase that this account may read.")),
    "incompatible": Advice(None, mark("Check the port in the link: another program answers there, or the server allows no file transfer (SFTP).")),
    "timeout": Advice(None, mark("Nothing is lost: the next exchange goes on where this one stopped. If it lasts, look at the line and at the server: filesync doctor")),
    "interrupted": Advice(None, mark("Nothing is lost: the next exchange goes on where this one stopped.")),
    "full-here": Advice(None, mark("Nothing is lost: the peer keeps it. Free some space on this computer; the next exchange goes on.")),
    "failed-here": Advice(None, mark("Nothing is lost: the peer keeps it. Check this computer's disk, and who may write in the site's folder.")),
    # workers
    "executor-missing": Advice(None, mark("Nothing is lost: this computer did it alone. Install it: pip install 'filesync[dask]'; or change `executor` under [import] in filesync.toml.")),
    "executor-unreachable": Advice(None, mark("Nothing is lost: this computer did it alone. Check that the cluster runs and has workers, and `executor` under [import] in filesync.toml.")),
    "worker-lost": Advice(None, mark("Nothing is lost, and nothing was done twice: this computer did it instead. If it keeps happening, give each worker more memory, or ask for fewer of them (docs/scale.md).")),
    "worker-failed": Advice(None, mark("Nothing is lost: this computer did it instead. Where the mistake is in what arrived, it says so itself.")),
    "worker-unfit": Advice(None, mark("Nothing is lost: this computer did it instead. Give every worker the same version of filesync; with an embedded store only those of this computer can work.")),
    # the archive
    "archive-missing": Advice(None, mark("It was purged, or somebody took it away: the database still holds what was applied. Put the files back from a backup where they are needed.")),
    "archive-damaged": Advice(None, mark("The disk, or somebody, changed an archived file: the database still holds what was applied. Restore the file from a backup.")),
    "archive-differs": Advice(None, mark("An archived batch says something else than its receipt. Show it: filesync show BATCH; and keep both for whoever looks into it.")),
    "archive-unreadable": Advice(None, mark("Check the disk, and who may read the site's archive.")),
    # the database
    "store-busy": Advice(None, mark("Nothing is lost: another program uses the database, and the next turn tries again.")),
    "store-corrupt": Advice(None, mark("Stop using this folder, copy it away, and restore filesync.db from the last backup (docs/operations.md).")),
    "store-readonly": Advice(None, mark("Let the account that runs filesync write into the site's folder and filesync.db.")),
    "store-unreachable": Advice(None, mark("Nothing is lost. Check that the site's folder is there and may be written; or, where the store is on a server, that the server runs and this computer reaches it. The next turn tries again.")),
    "store-lost": Advice(None, mark("Nothing is lost: what was done is in the database, and the next turn goes on from there. If it keeps happening, look at the line to the server.")),
    "store-refused": Advice(None, mark("Check `store` in filesync.toml, the account's password (in the file that store_password_file names, or in ~/.pgpass, for its owner only; or PGPASSFILE, or a service file), and what the server's pg_hba.conf lets in. A database or an account that is not there, the server's keeper makes (docs/operations.md). Then: filesync doctor")),
    "store-denied": Advice(None, mark("Give the account that `store` names its rights, as the owner of the database: GRANT USAGE, CREATE ON SCHEMA public TO account;   Where the tables of the ledger belong to another account, let `store` name that one. Then: filesync doctor")),
    "decided-elsewhere": Advice(mark("another computer that imports for this site was faster"), mark("Nothing to do: the next turn goes on from what it decided.")),
    "text-unstorable": Advice(mark("a text holds a character that the database cannot hold"), mark("Its sender must take that character (U+0000) out of its data and export it again.")),
    "disk-full": Advice(None, mark("Nothing is lost. Free some space on this computer; the next turn goes on.")),
    "disk-failed": Advice(None, mark("The disk reports a fault. Save a copy of the site's folder, and replace the disk.")),
}  # fmt: skip

_FAMILIES: tuple[tuple[type[FilesyncError], str], ...] = (
    (ConfigError, mark("Correct that, then run the command again. Nothing was sent.")),
    (TransportError, ADVICE["unreachable"].do),
    (DamagedError, _AGAIN),
    (RejectedError, _CORRECT),
)


def of_code(code: str) -> Advice:
    """Advice for a code in a list: an empty one where nothing is known (the technical message is shown then)."""
    known = ADVICE.get(code)
    return Advice(None, "") if known is None else Advice(known.means and _(known.means), _(known.do))


def of_error(error: FilesyncError) -> str:
    """The next step after an error."""
    if error.code in ADVICE:
        return _(ADVICE[error.code].do)
    return next(
        (_(do) for family, do in _FAMILIES if isinstance(error, family)),
        _("See `filesync status` for what is where."),
    )
