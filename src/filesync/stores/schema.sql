-- The ledger: which batches were decided and sealed here, and with which answer. It never expires.
-- The data tables stand beside it; they are made from the contracts (tables.py) and their fs_batch names a row of fs_incoming.

-- What this store is: site, role, epoch, schema_version.
CREATE TABLE fs_meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Every feed and epoch seen here, with its head: the last number that was decided here, or sealed here where the origin is this site.
CREATE TABLE fs_feed (
    feed_id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    dataset TEXT NOT NULL,
    audience TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
    manifest_sha256 TEXT,
    batches INTEGER NOT NULL DEFAULT 0 CHECK (batches >= 0), -- counted here, so that an overview never reads history
    UNIQUE (origin, dataset, audience, epoch),
    CHECK (seq > 0 OR manifest_sha256 IS NULL) -- unknown where the head was given up without its manifest having been seen (holes.py)
) STRICT;

-- Batches decided here: applied, applied in part, or rejected. The receipt is sent from here, byte for byte, however often.
CREATE TABLE fs_incoming (
    batch_id INTEGER PRIMARY KEY, -- the fs_batch of every row that it brought; grows in apply order
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    name TEXT NOT NULL UNIQUE,
    business_date TEXT NOT NULL,
    version INTEGER NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('delta', 'snapshot')),
    manifest_sha256 TEXT NOT NULL,
    payload_sha256 TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('APPLIED', 'PARTIAL', 'REJECTED')),
    receipt TEXT NOT NULL,
    received_at TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0 CHECK (acknowledged IN (0, 1)),
    documents INTEGER NOT NULL CHECK (documents >= 0),
    replaces TEXT NOT NULL DEFAULT '', -- name of the rejected batch whose rows it carries; empty: none
    claims TEXT NOT NULL DEFAULT '', -- rows and totals that its manifest claimed, where not all of it was applied; the receipt has them otherwise
    UNIQUE (feed_id, seq) -- two claims to one number: only the first is ever decided
) STRICT;

-- Receipts that no outbox has had yet.
CREATE INDEX fs_incoming_unacknowledged ON fs_incoming (batch_id) WHERE acknowledged = 0;
-- Which batch replaces a rejected one.
CREATE INDEX fs_incoming_replaces ON fs_incoming (replaces) WHERE replaces <> '';
-- What was not applied whole, for the overview.
CREATE INDEX fs_incoming_rejected ON fs_incoming (feed_id) WHERE verdict = 'REJECTED';

-- Claims refused without using their number: a fork, a broken chain, a sender who may not.
CREATE TABLE fs_refused (
    manifest_sha256 TEXT PRIMARY KEY, -- a claim is its manifest; the same one again gets the same answer
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    receipt TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0 CHECK (acknowledged IN (0, 1)),
    refused_at TEXT NOT NULL
) STRICT;

-- One name may carry several refused claims.
CREATE INDEX fs_refused_name ON fs_refused (name);
-- Refusals that no outbox has had yet.
CREATE INDEX fs_refused_unacknowledged ON fs_refused (name) WHERE acknowledged = 0 AND receipt IS NOT NULL;

-- Batches sealed here. The manifest is published from here, byte for byte, however often.
CREATE TABLE fs_outgoing (
    batch_id INTEGER PRIMARY KEY,
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    name TEXT NOT NULL UNIQUE,
    business_date TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('delta', 'snapshot')),
    format TEXT NOT NULL CHECK (format IN ('parquet', 'jsonl', 'jsonl.age')),
    payload_bytes INTEGER NOT NULL CHECK (payload_bytes >= 0),
    payload_sha256 TEXT NOT NULL,
    documents INTEGER NOT NULL CHECK (documents >= 0),
    manifest TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    replaces TEXT,
    sealed_at TEXT NOT NULL,
    settled_at TEXT, -- the last recipient's answer
    UNIQUE (feed_id, seq) -- a number is issued once
) STRICT;

-- Batches that some recipient has not answered.
CREATE INDEX fs_outgoing_open ON fs_outgoing (feed_id, seq) WHERE settled_at IS NULL;
-- Which batch replaces a rejected one.
CREATE INDEX fs_outgoing_replaces ON fs_outgoing (replaces) WHERE replaces IS NOT NULL;

-- One row for each recipient of a batch sealed here. The first answer stands.
CREATE TABLE fs_delivery (
    batch_id INTEGER NOT NULL REFERENCES fs_outgoing,
    recipient TEXT NOT NULL,
    shipped_at TEXT,
    carried_at TEXT, -- put on a stick; whether the stick arrives is another matter
    verdict TEXT CHECK (verdict IN ('APPLIED', 'PARTIAL', 'REJECTED')),
    receipt TEXT,
    settled_at TEXT,
    PRIMARY KEY (batch_id, recipient), -- a recipient gets a batch once
    CHECK ((verdict IS NULL) = (receipt IS NULL) AND (verdict IS NULL) = (settled_at IS NULL)) -- no answer without its receipt
) STRICT;

-- Deliveries without an answer: what an outbox must still hold.
CREATE INDEX fs_delivery_open ON fs_delivery (batch_id, recipient) WHERE settled_at IS NULL;
-- Deliveries whose rows are owed.
CREATE INDEX fs_delivery_rejected ON fs_delivery (batch_id) WHERE verdict = 'REJECTED';

-- Sites that an own feed cannot simply go on for: it had begun without them, or they were installed anew. They begin with a snapshot.
CREATE TABLE fs_beginner (
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    recipient TEXT NOT NULL,
    PRIMARY KEY (feed_id, recipient)
) STRICT, WITHOUT ROWID;

-- The newest heartbeat of each peer, by installation. A peer's latest installation has the highest number, whatever its clock.
CREATE TABLE fs_peer (
    peer_id INTEGER PRIMARY KEY,
    peer TEXT NOT NULL,
    epoch TEXT NOT NULL,
    counter INTEGER NOT NULL CHECK (counter >= 1), -- an older heartbeat that comes late changes nothing
    heartbeat TEXT NOT NULL,
    received_at TEXT NOT NULL,
    heard INTEGER NOT NULL DEFAULT 0, -- in which order the peer's installations were heard last, whatever the clock here
    knew INTEGER NOT NULL DEFAULT 0, -- the newest feed that the ledger knew then: what came later is no reason to think that this one is gone
    UNIQUE (peer, epoch)
) STRICT;

-- What each peer was told last, so that only news is told.
CREATE TABLE fs_told (
    recipient TEXT PRIMARY KEY,
    counter INTEGER NOT NULL CHECK (counter >= 1),
    news_sha256 TEXT NOT NULL,
    written_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What is remembered as sealed, for each dataset and audience; the memory itself is in fs_sealed.
CREATE TABLE fs_memory (
    memory_id INTEGER PRIMARY KEY,
    dataset TEXT NOT NULL,
    audience TEXT NOT NULL,
    UNIQUE (dataset, audience)
) STRICT;

-- Documents sealed here: key digest, content digest and fs_outgoing.batch_id, packed by the first bits of the key digest (memory.py).
CREATE TABLE fs_sealed (
    bucket_id INTEGER PRIMARY KEY, -- memory_id * 65536 + bucket
    entries BLOB NOT NULL CHECK (length(entries) % 40 = 0)
) STRICT;

-- Dropped files that were captured: the same content under the same settings is not read again.
CREATE TABLE fs_captured (
    path TEXT PRIMARY KEY,
    content_sha256 TEXT NOT NULL,
    settings_sha256 TEXT NOT NULL,
    outcome TEXT NOT NULL,
    captured_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The quarantine's audit: what was set aside and why, what was retried, what was discarded with which reason.
CREATE TABLE fs_problem (
    problem_id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    name TEXT NOT NULL,
    peer TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    resolution TEXT
) STRICT;

-- All entries about one thing.
CREATE INDEX fs_problem_name ON fs_problem (name);
