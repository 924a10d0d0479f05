"""What comes from below in English, said in the chosen language where its form is known.

The parts below the edges of the house say facts in English sentences, with names and numbers in them: why a link failed, what is wrong with a row,
what a step of the day did. `said` knows the forms that people meet often and says them with the same facts. What it does not know stays as it is.

- Only for showing. Nothing is decided by such a sentence, and programs (`--json`) get it as it was made.
- A form is the English text with its places: `{peer} unreachable since {since}: {why}`. The first of the list that fits the whole text counts.
- What stands in a place named in `_CLAUSES` is a sentence of its own and is said the same way.
"""

from __future__ import annotations

import re
from functools import cache
from string import Formatter
from typing import Final

from filesync.language import Language, _, chosen, mark

#: Longer texts are told as they came.
_CHARS_MAX: Final = 2_000
#: Places that hold a sentence.
_CLAUSES: Final = frozenset(
    {"why", "rest", "reason", "where", "expected", "got", "what", "formula", "message"}
)

FORMS: Final[tuple[str, ...]] = (
    # what waits to leave: exchange/status.py
    mark("waits for the next exchange with {peer}"),
    mark("waits for {peer} to fetch it"),
    mark("sent; waits for {peer}'s receipt"),
    mark("on a stick; waits for {peer}'s receipt"),
    # warnings of a status: exchange/status.py, links.py
    mark("{peer} unreachable since {since}, next try {at}, 1 batch waits: {why}"),
    mark("{peer} unreachable since {since}, next try {at}, {count} batches wait: {why}"),
    mark("{peer} unreachable since {since}, next try {at}: {why}"),
    mark("{peer} unreachable since {since}, 1 batch waits: {why}"),
    mark("{peer} unreachable since {since}, {count} batches wait: {why}"),
    mark("{peer} unreachable since {since}: {why}"),
    mark(
        "{peer} had another batch under the number of {name}: this database is older than what was sent (filesync restored)"
    ),
    mark(
        "no key is pinned for {peer}: anyone who can write into its folder can send in its name (filesync peer add {peer} --key FILE)"
    ),
    mark("{folder}/{peer}/ belongs to no configured peer and is not read"),
    # steps of the day: day/routine.py, runners.py, waiting.py, portal.py
    mark("{step} may run"),
    mark("{step} may not run any more: {why}"),
    mark("{file} taken in: {count} rows, {aside} set aside"),
    mark("{file} taken in: {count} rows"),
    mark("reconciled: {rest}"),
    mark("the reconciliation still holds"),
    mark("nothing to reconcile"),
    mark("no file waits"),
    mark("{count} sales are at the portal"),
    mark("sent, waits for {count} receipts"),
    mark("the portal answered {name} with {verdict}"),
    # what is owed: day/owing.py, gate.py
    mark("{day} is not closed; nothing that came from there says that a close was made"),
    mark("{day} is not closed of shift {turno}; nothing that came from there says that a close was made"),
    mark("a close is on its way (number {number} of {feed})"),
    mark("a close is sealed there and was not sent yet (number {number} of {feed})"),
    mark("{feed}, number {numbers} named by the close: on the way"),
    mark("{feed}, number {numbers}: on the way"),
    mark("{feed}, number {numbers}: sealed there, not sent yet"),
    mark("{feed}, number {numbers}: sealed by an earlier installation and never seen here"),
    mark("{feed}, number {numbers}, lies here and waits: {why}"),
    mark("{feed}, number {numbers}, was rejected: {why}"),
    mark("{feed}, number {numbers}, was applied in part: {why}"),
    mark("{feed}, number {numbers}, was rejected"),
    mark("{feed}, number {numbers}, was applied in part"),
    mark("{feed}, number {numbers} ({count} documents), came for a day that was closed without it"),
    mark("{feed}: {what}: the close says {claim}, here are {found}"),
    mark("what comes before is missing"),
    mark("its content has not come"),
    mark("it was set aside and is not believed"),
    mark("it was not looked at yet"),
    mark("no site is due on {day}, and nothing came of it"),
    mark("{step} of {day} is not done yet"),
    # the day's commands: day/
    mark("no step of the day is called '{step}'; there are: {steps}"),
    mark("{site} is a {role}; the gates of the day stand at the matriz"),
    mark("{site} is a {role}; expected a caixa or posto, which sell and close their days"),
    mark("a movement day is received and judged at the matriz; {site} is a {role}"),
    mark("billing files are taken in at the matriz; {site} is a {role}"),
    mark("an override needs a reason and the name of who gives it"),
    mark("{who} alone cannot override a gate: a second person must confirm it"),
    mark("{who} cannot confirm an override of {other}"),
    mark("an override holds for 1 to {hours} hours here, got {wanted}"),
    mark("no override {number} stands for {day}"),
    mark("nobody said that {step} of {day} was done"),
    mark("{step} is done when its gate is open; nobody has to say so: {command}"),
    mark("{day}, turno {turno}: expected the cash that was counted, got nothing"),
    mark("{file}: neither the file nor its name says of which day it is; add --date AAAA-MM-DD"),
    mark("{file}: expected a file of {day}, its header says {other}"),
    mark("{file}: expected rows of {day}, got rows of {days}"),
    mark("'{dataset}' is no cadastro; known: {known}"),
    mark("none of {datasets} has a source: describe one under {section}"),
    mark("no peer of {site} is a portal"),
    mark("{file} exists and is no dossier; it was not touched"),
    mark("{folder}: expected a folder to put the dossier into, got none"),
    # billing files: sources/layout_*.py, records.py
    mark("{file}, line {line}, {name} of the {record}: expected {expected} ({what}), got {got}"),
    mark("{file}, line {line}, {name} of the {record}: expected {expected}, got {got}"),
    mark("{file}, line {line}, {name} ({place}): expected {expected}, got {got}"),
    mark("{file}, line {line}, {name}: expected {expected}, got {got}"),
    mark("line {line}, {name} of the {record}: expected {expected} ({what}), got {got}"),
    mark("line {line}, {name} of the {record}: expected {expected}, got {got}"),
    mark("{file} is of no known layout of {dataset}:{reasons}"),
    mark("{file} is not of the layout {layout}: {why}"),
    mark("{file} may be of {count} layouts: {layouts}; name one with --layout"),
    mark("no layout of {dataset} is called '{name}'; known: {known}"),
    mark("{file}: expected each {key} once, got {count} rows whose key stands before: lines {lines}"),
    mark("{file}: more than {count} rows cannot be read by the layout {layout}; the first: {why}"),
    mark("{why} (layout {layout})"),
    mark("the file is empty"),
    mark("no record of it is of this layout"),
    mark("expected a header marked {marker} as the first record"),
    mark("line {line}: expected one header, got a second one (the first is line {first})"),
    mark("line {line}: expected the header as the first record"),
    mark("line {line}: expected one trailer, got a second one (the first is line {first})"),
    mark("line {line}: expected nothing after the trailer (line {first})"),
    mark("line {line}: expected columns called {columns}, got {got}"),
    mark("line {line}, {name}: expected a value in {place}, the line ends before it"),
    mark("expected a line with the names of the columns, got none"),
    mark("expected a header (marked {marker}) as the first record, got none"),
    mark("expected a trailer (marked {marker}) as the last record, got none"),
    mark("{day}, the day of the file"),
    mark("the details counted"),
    mark("the records counted"),
    mark("the sum of {name}"),
    mark("a date like {form}"),
    mark("a number like {number}"),
    mark("digits, the last {count} of them decimals"),
    # rows and documents that break a contract: contracts/, sources/
    mark("{where}: expected {formula}, got {left} and {right} ({message})"),
    mark("{where}: expected {formula}, got {left} and {right}"),
    mark("expected {formula}, got {left} and {right} ({message})"),
    mark("expected every line once, got {line} again"),
    mark("{where}: there is no member {name}"),
    mark("there is no member {name}"),
    mark("{formula}, when {name} is {values}"),
    mark("{refused} of {documents} documents were not sealed; correct them there, and they are found"),
    mark("{bad} of {documents} documents were not applied; the others were"),
    mark("{set_aside} of {rows} rows were not taken; the others were"),
    mark("{batch}: expected each key once, got {count} repeated documents: {keys}"),
    mark(
        "{batch}: {key} is held with other content from another installation of the site; expected a higher versao"
    ),
    mark("at least {least}"),
    mark("at most {most}"),
    mark("at least {least} characters"),
    mark("at most {most} characters"),
    mark("at least {least} lines"),
    mark("at most {most} lines"),
    mark("a multiple of {number}"),
    mark("one of {values}"),
    mark("pattern {pattern}"),
    mark("format {form}"),
    mark("a text without U+0000"),
    mark("an integer of 64 bits"),
    mark("a date YYYY-MM-DD"),
    mark("nothing"),
    # pages of contracts: contracts/describe.py
    mark("{least} … any number"),
    mark("{range} characters"),
    mark("from {least}"),
    mark("to {most}"),
    mark("Σ {column} for each {by}"),
    mark("{number} runs without holes for each {per}"),
    mark("one bad document refuses the whole batch"),
    mark("bad documents are set aside, the others are applied"),
    mark("rows of a closed day are applied, and the day is reopened"),
    mark("rows of a closed day are applied and told; the day stays closed"),
    mark("once the day's billing file is imported, its rows are rejected"),
    mark("the higher {column} wins; without one it counts as 0"),
    mark("documents that a snapshot does not hold get {column} = false"),
    mark("a row holds from {column} until the next one begins"),
    mark("only in batches encrypted to their recipient"),
    # what arrives: exchange/, protocol/
    mark("{name}: expected {count} bytes with sha256 {sha256}, got sha256 {other}"),
    mark("{name}: expected {count} bytes with sha256 {sha256}, got {other} bytes"),
    mark("{name}: expected the payload of {batch}, got that of {other}"),
    mark("{name} cannot be read now ({reason}); the next turn tries again"),
    mark("{batch}: expected {first} to come first, got {number}, {count} missing"),
    mark("{batch}: expected it from its origin {origin}, got it from {sender}"),
    mark("{batch}: given up by its origin ({who}): {reason}"),
    mark("{peer} misses it and asked for it"),
    mark("APPLIED: {why}"),
    mark("PARTIAL: {why}"),
    mark("REJECTED: {why}"),
    mark("no reason was given"),
    mark("retried"),
    mark("discarded: {reason}"),
    # holes and voids: exchange/holes.py, voids.py
    mark("{feed}: nothing is known to be missing of it here"),
    mark("{feed}: number {numbers} is not known to be missing here; missing: {known}"),
    mark("{feed}: nothing was sealed here under number {numbers}"),
    mark("{feed} is this site's own: say which of its numbers to send again"),
    mark("{feed}: expected a feed that comes here, nothing of it is known"),
    mark("{feed}: expected one of the installations {known}, got {epoch}"),
    mark("{feed}: these numbers may be of the installations {epochs}: say --epoch"),
    mark("{feed}: number {number} is from before this site took part; nothing waits for it"),
    mark("{feed}: expected a number of at most {most}, got {number}: only {head} is decided"),
    mark("{batch}: expected a batch of which rows are owed; all of it was applied"),
    mark("{batch}: expected a batch that somebody has not applied; all have"),
    # the site, its settings and sources: config/, exchange/, sources/
    mark("{root} is not a filesync site: it has no {file}"),
    mark("{root} is a site already: {file} exists"),
    mark("nobody is called '{audience}' here; known peers and groups: {known}"),
    mark("no peer is called '{peer}'; known: {known}"),
    mark("{dataset} has no recipient: say --to PEER, or set `to` under {section}"),
    mark("{dataset} has no source: name a file with --from, or describe one under {section}"),
    mark("nothing here shows that the database of {site} is older than what was sent; nothing was changed"),
    mark("no contract for '{dataset}'; known datasets: {known}"),
    mark("{dataset}: no file fits {pattern}"),
    mark("{dataset}: --full needs one file, got {count}; name it with --from"),
    mark("{file}: expected a file that ends in {endings}"),
    mark("{file}: there is no such file"),
    mark("{file}: there is no such database"),
    mark("{file} does not exist"),
    mark("{file}: it was written to while it was read; the next turn reads it again"),
    mark("{file}: it was written to while it was read; try again when it is whole"),
    mark("{file} was there a moment ago, and is not any more"),
    mark("it is not a readable Parquet file: {reason}"),
    mark("it is empty; expected a header with the names of the columns"),
    mark("it is UTF-16; save it as UTF-8"),
    mark("{dataset} travels encrypted to its recipients; no key is known of {sites}"),
    mark("nothing in quarantine is called '{name}'"),
    mark("'{name}' fits {count} cases in quarantine: {cases}"),
    mark(
        "{name} was decided and answered with a receipt ({code}): it must be corrected where it comes from and exported again"
    ),
    mark("another filesync (pid {pid}) works in {root}"),
    mark("{file}: expected the site's store, got nothing; make a site with `filesync init`"),
    mark("the database {place} cannot be reached: {reason}"),
    mark("the database {place} does not let this site in: {reason}"),
    # the store, and the server that keeps it: stores/, exchange/opening.py
    mark("{place}: {reason}; the server says: {said}"),
    mark("the server has no such database or account"),
    mark("the server does not let this account in from here"),
    mark("the account may not use this database"),
    mark("the address is not understood"),
    mark("expected a user and a password that the server takes"),
    mark(
        "expected a password: store_password_file, ~/.pgpass (only for its owner), a service file, or PGPASSWORD"
    ),
    mark("{place}: the connection to the server was lost"),
    mark("{place}: expected a usable database, got: {said}; {reason}"),
    mark("give the account of the address the right to use, and make tables in, its schema"),
    mark("this server takes no changes: is it a standby? Let the address name the one that does"),
    mark("restore the database from a backup"),
    mark("{place}: expected schema version {version} or older, got {held}; update filesync"),
    mark("{place}: expected schema version {version}, got {held}; bring it forward: filesync migrate"),
    mark("no store, or that of {site} ({role})"),
    mark("that of {site} ({role})"),
    # the road: transports/, exchange/
    mark("the peer's folder {folder} was expected, got nothing there (not mounted?)"),
    mark("the peer's folder {folder} went away: {reason}"),
    mark("a site's inbox/ and outbox/ were expected in {root}, got neither (not mounted?)"),
    mark("{place}: a stick was expected, got nothing there ({reason})"),
    mark("{place}: the stick was expected, got another disk (pulled out?)"),
    mark("{place} is this site's own folder; a stick is somewhere else"),
    mark("{place} went away: {reason}"),
    mark("{free} MiB are free, {wanted} MiB are wanted (limits.disk_free_min_mib): nothing is fetched"),
    mark("{place}: an SSH server was expected, got no connection: {reason}"),
    mark("{place}: a login with {identity} was expected, got {reason}"),
    mark("{place}: no host key after {seconds} s"),
    mark("{what}: no answer within {seconds} s"),
    mark("{place}: the connection was closed"),
    mark("TCP 445 to {server} (share, {name})"),
    mark("TCP {port} to {host} (SFTP, {name})"),
    mark("So that it runs also while nobody is logged in: {command}"),
    mark(
        "It runs as root, because the folder {folder} belongs to root. Better: an account of its own (docs/operations.md)."
    ),
    mark("{service} is not installed as a service in {folder}"),
    # what the system says
    mark("[Errno {number}] {rest}: {file}"),
    mark("No such file or directory"),
    mark("Permission denied"),
    mark("No space left on device"),
    mark("Read-only file system"),
    mark("Input/output error"),
    mark("Is a directory"),
    mark("Not a directory"),
    mark("File exists"),
    mark("Connection refused"),
    mark("Name or service not known"),
    mark("timed out"),
    # what a progress line says
    mark("fetch"),
    mark("ship"),
    mark("carry in"),
    mark("carry out"),
    mark("apply"),
    mark("seal"),
    mark("receipts"),
    mark("receipts of the portal"),
    mark("read {file}"),
    # times and forms that were typed: timetable.py, protocol/identity.py
    mark("{text}: expected a time such as {examples}"),
    mark("id: expected 1 to 24 of a-z, 0-9 and '-', beginning and ending with a letter or digit, got {got}"),
    mark("sftp://user@host[:port][/path] was expected, got {got}"),
    # usage errors: typer
    mark("Missing option {option}."),
    mark("Missing argument {argument}."),
    mark("Missing command."),
    mark("No such command '{name}'. Did you mean {others}?"),
    mark("No such command '{name}'."),
    mark("No such option: {option} (Possible options: {others})"),
    mark("No such option: {option}"),
    mark("Got unexpected extra argument(s) ({arguments})"),
    mark("Option '{option}' requires an argument."),
    mark("Option '{option}' does not take a value."),
    mark("Invalid value for {option}: {why}"),
    mark("Invalid value: {why}"),
    mark("Value error, {why}"),
    mark("'{value}' does not match the formats {formats}."),
    mark("'{value}' is not one of {choices}."),
    mark("Input should be a valid integer, unable to parse string as an integer"),
    mark("Input should be greater than or equal to {least}"),
    mark("Input should be less than or equal to {most}"),
    mark("file '{file}' does not exist."),
    mark("path '{file}' does not exist."),
    mark("dir '{file}' does not exist."),
    mark("file '{file}' is a directory."),
    mark("dir '{file}' is a file."),
    mark("file '{file}' is not readable."),
    # the style of the house: what was expected, and what was found
    mark("{where}: expected {expected}, got {got}"),
    mark("{where}: expected {expected}; got {got}"),
    mark("expected {expected}, got {got}"),
    mark("{where}: {expected} was expected, got {got}"),
    mark("{where}: {expected} were expected, got {got}"),
    mark("{expected} was expected, got {got}"),
    mark("{expected} were expected, got {got}"),
    mark("line {line}: {rest}"),
    mark("line {line}, {rest}"),
    mark("row {line}, {rest}"),
    mark("{rest} (and {count} more lines of this document)"),
    mark("{where}: {rest}"),
    mark("{count} green, {rest}"),
    mark("{count} red, {rest}"),
    mark("{count} white, {rest}"),
    mark("{count} green"),
    mark("{count} red"),
    mark("{count} white"),
    mark("{count} yellow"),
)


def said(text: str) -> str:
    """The same in the chosen language; unchanged where that is English, or where its form is not known."""
    if chosen() is Language.ENGLISH or len(text) > _CHARS_MAX:
        return text
    if " " in text and (whole := _(text)) != text:  # a single word is a name more often than a sentence
        return whole
    for form, pattern in _patterns():
        if found := pattern.fullmatch(text):
            facts = {name: _place(name, value) for name, value in found.groupdict().items()}
            return _(form).format(**facts)
    return text


def _place(name: str, value: str) -> str:
    if name in _CLAUSES:
        return said(value)
    return _(value) if name == "record" else value


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((form, re.compile(_pattern(form), re.DOTALL)) for form in FORMS)


def _pattern(form: str) -> str:
    """A place takes as little as it can; one that stands twice holds the same twice."""
    pattern, known = "", set()
    for literal, name, _spec, _conversion in Formatter().parse(form):
        pattern += re.escape(literal)
        if name is not None:
            pattern += f"(?P={name})" if name in known else f"(?P<{name}>.+?)"
            known.add(name)
    return pattern
