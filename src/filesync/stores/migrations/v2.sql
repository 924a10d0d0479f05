-- From version 1 to version 2: the movement day, holes and voids, files taken in, reconciliation.
-- What stands here is what version 2 was; later changes of schema*.sql have steps of their own. On SQLite alone: no server ever held version 1.

-- SQLite cannot change a constraint. A table whose constraints changed is made anew, filled, and takes the old one's name
-- (sqlite.org/lang_altertable.html, section 7); references to it go by its name, and are checked at the end of the step.

-- The head of a feed may be a number that was given up without its manifest having been seen.
CREATE TABLE fs_feed_2 (
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
INSERT INTO fs_feed_2 (feed_id, origin, dataset, audience, epoch, seq, manifest_sha256, batches)
SELECT feed_id, origin, dataset, audience, epoch, seq, manifest_sha256, batches FROM fs_feed;
DROP TABLE fs_feed;
ALTER TABLE fs_feed_2 RENAME TO fs_feed;

-- Which rejected batch a batch replaces, and what was claimed where not all was applied. Not known of batches that were decided before.
ALTER TABLE fs_incoming ADD COLUMN replaces TEXT NOT NULL DEFAULT '';
ALTER TABLE fs_incoming ADD COLUMN claims TEXT NOT NULL DEFAULT '';
CREATE INDEX fs_incoming_replaces ON fs_incoming (replaces) WHERE replaces <> '';

-- A payload may be encrypted to its recipient.
CREATE TABLE fs_outgoing_2 (
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
INSERT INTO fs_outgoing_2 (batch_id, feed_id, seq, name, business_date, mode, format, payload_bytes, payload_sha256, documents, manifest, manifest_sha256, replaces,
    sealed_at, settled_at)
SELECT batch_id, feed_id, seq, name, business_date, mode, format, payload_bytes, payload_sha256, documents, manifest, manifest_sha256, replaces,
    sealed_at, settled_at FROM fs_outgoing;
DROP TABLE fs_outgoing;
ALTER TABLE fs_outgoing_2 RENAME TO fs_outgoing;
CREATE INDEX fs_outgoing_open ON fs_outgoing (feed_id, seq) WHERE settled_at IS NULL;
CREATE INDEX fs_outgoing_replaces ON fs_outgoing (replaces) WHERE replaces IS NOT NULL;

-- Heartbeats say what has left, and what is missing. Of those that were heard before, nothing of either is known.
UPDATE fs_peer SET heartbeat = json_set(
    heartbeat, '$.wanted', json('[]'),
    '$.feeds', json((SELECT json_group_array(json_set(feed.value, '$.shipped', 0)) FROM json_each(fs_peer.heartbeat, '$.feeds') AS feed)));

-- In which order a peer's installations were heard last, and after which feed. Of those that were heard before: the latest last.
ALTER TABLE fs_peer ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fs_peer ADD COLUMN knew INTEGER NOT NULL DEFAULT 0;
UPDATE fs_peer SET heard = peer_id;

-- The day from which a product's row holds became part of its key (migrating.py gives its table the new one): what was remembered of products
-- under their old keys names nothing any more. They are sealed once more by the next export, and are no change at whoever holds them.
DELETE FROM fs_sealed WHERE bucket_id / 65536 IN (SELECT memory_id FROM fs_memory WHERE dataset = 'produtos');

-- Numbers that are missing in feeds that come here, and numbers that were given up (voids). See holes.py.

-- Runs of numbers that are missing here; each run was noticed, and asked for, at one moment. Replaced as a whole when what is missing changes.
CREATE TABLE fs_hole (
    origin TEXT NOT NULL,
    dataset TEXT NOT NULL,
    audience TEXT NOT NULL,
    epoch TEXT NOT NULL,
    first_seq INTEGER NOT NULL CHECK (first_seq >= 1),
    last_seq INTEGER NOT NULL CHECK (last_seq >= first_seq),
    noticed_at TEXT NOT NULL,
    asked_at TEXT, -- since then our heartbeats ask its origin for it
    PRIMARY KEY (origin, dataset, audience, epoch, first_seq) -- two runs never begin at one number
) STRICT, WITHOUT ROWID;

-- Numbers that were given up: by their origin (a signed void, kept word for word), or here by a person's override.
CREATE TABLE fs_void (
    void_id INTEGER PRIMARY KEY,
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    seq INTEGER NOT NULL CHECK (seq >= 1),
    name TEXT UNIQUE, -- unknown where the batch was never seen
    manifest_sha256 TEXT, -- unknown where neither the batch nor the one after it was seen
    claims TEXT, -- rows and totals as its manifest claims them, where that is known
    reason TEXT NOT NULL CHECK (reason <> ''), -- nobody gives up sales without saying why
    by_whom TEXT NOT NULL CHECK (by_whom <> ''),
    voided_at TEXT NOT NULL,
    void TEXT, -- the origin's void, byte for byte as it was signed; none for an override
    UNIQUE (feed_id, seq), -- a number is given up once
    CHECK (void IS NULL OR (name IS NOT NULL AND manifest_sha256 IS NOT NULL)) -- an origin knows its own batch
) STRICT;

-- Recipients that must hear of a void of our own, and when they answered.
CREATE TABLE fs_void_told (
    void_id INTEGER NOT NULL REFERENCES fs_void,
    recipient TEXT NOT NULL,
    answered_at TEXT,
    PRIMARY KEY (void_id, recipient)
) STRICT;

-- Voids that an outbox must still hold.
CREATE INDEX fs_void_told_open ON fs_void_told (void_id, recipient) WHERE answered_at IS NULL;

-- Batches of ours that a recipient refused because their number was given up: their rows are owed, whatever is wrong with nothing in them.
CREATE TABLE fs_given_up (
    batch_id INTEGER PRIMARY KEY REFERENCES fs_outgoing,
    sealed_again INTEGER NOT NULL DEFAULT 0 CHECK (sealed_again IN (0, 1)) -- what was still owed of it stands in a later batch
) STRICT;

-- What is still to be sealed again.
CREATE INDEX fs_given_up_open ON fs_given_up (batch_id) WHERE sealed_again = 0;

-- The movement day: which steps were done, what was overridden, which files were imported. See days.py.

-- What was decided here of a day, and what was sealed here of it: asked for every gate and every close.
CREATE INDEX fs_incoming_day ON fs_incoming (business_date);
CREATE INDEX fs_outgoing_day ON fs_outgoing (business_date);

-- Steps that were done for a day. A step done again keeps its row, with the later word on it.
CREATE TABLE fs_step (
    day TEXT NOT NULL,
    step TEXT NOT NULL,
    done_by TEXT NOT NULL CHECK (done_by <> ''),
    done_at TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON: the file, the evidence, whatever the step wants to remember
    PRIMARY KEY (day, step)
) STRICT, WITHOUT ROWID;

-- Who let a step run although something was missing. Never deleted: every later report of the day shows it.
CREATE TABLE fs_override (
    override_id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    step TEXT NOT NULL,
    site TEXT, -- only what is missing at this site; null: whatever is missing
    reason TEXT NOT NULL CHECK (reason <> ''),
    given_by TEXT NOT NULL CHECK (given_by <> ''),
    confirmed_by TEXT CHECK (confirmed_by <> given_by), -- a second person is another person
    given_at TEXT NOT NULL,
    until TEXT NOT NULL,
    revoked_at TEXT,
    revoked_by TEXT,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
) STRICT;

CREATE INDEX fs_override_day ON fs_override (day);

-- The day's journal: gates that opened or closed again, steps, overrides. For reports and audit; nothing is decided by it.
CREATE TABLE fs_day_event (
    event_id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    at TEXT NOT NULL,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    detail TEXT NOT NULL -- JSON
) STRICT;

CREATE INDEX fs_day_event_day ON fs_day_event (day);

-- What the routine saw of a day when it judged it last, so that a turn judges only days in which something changed. A memo: to lose it costs work.
CREATE TABLE fs_day_seen (
    day TEXT PRIMARY KEY,
    seen TEXT NOT NULL, -- what the judgement depended on
    gates TEXT NOT NULL, -- JSON: step → the evidence of its opening, or null
    numbers INTEGER NOT NULL CHECK (numbers IN (0, 1)), -- it waits for numbers, which batches of other days may bring
    batch_id INTEGER NOT NULL, -- the newest batch of all when it was judged
    settled INTEGER NOT NULL CHECK (settled IN (0, 1)) -- every gate open and every automatic step done: only news can change it
) STRICT, WITHOUT ROWID;

-- What a reconciliation found: sales against the billing files of a day. See reconciling.py; what the words mean is in docs/reconciliation.md.

-- The newest reconciliation of each day, and what it saw. Whether it still holds is asked of the ledger, never kept.
CREATE TABLE fs_reconciliation (
    day TEXT PRIMARY KEY,
    made_at TEXT NOT NULL,
    batch_id INTEGER NOT NULL CHECK (batch_id >= 0), -- the newest batch that was applied here when it was made
    sales INTEGER NOT NULL CHECK (sales >= 0), -- documents of the day: fewer of them later means that one moved to another day
    bdf_rows INTEGER CHECK (bdf_rows >= 0), -- null: no file of this kind was imported for the day, so nothing was checked against it
    ca_rows INTEGER CHECK (ca_rows >= 0),
    unbilled TEXT NOT NULL -- services that Correios does not bill, as a JSON array
) STRICT, WITHOUT ROWID;

-- One line for each posting that was sold, and for each billed row that no posting accounts for. Values are kept as they were seen.
CREATE TABLE fs_reconciled (
    day TEXT NOT NULL,
    colour TEXT NOT NULL CHECK (colour IN ('red', 'yellow', 'white', 'green')),
    site TEXT NOT NULL, -- '' where no sale says it
    line INTEGER NOT NULL,
    ticket TEXT, -- caixa/serie/numero
    venda_id TEXT,
    posting INTEGER,
    codigo_rastreio TEXT,
    servico TEXT NOT NULL,
    contrato TEXT,
    sub_caixa TEXT,
    numero_atendimento TEXT,
    forma TEXT NOT NULL, -- '' where no payment is known, 'several' where the sale was paid in several forms
    valor_centavos INTEGER, -- null where nothing was sold
    bdf TEXT CHECK (bdf IN ('agrees', 'differs', 'missing', 'not-sold', 'cancelled', 'reversal', 'reversed')), -- null: not checked
    bdf_how TEXT CHECK (bdf_how IN ('code', 'attendance', 'weak')),
    bdf_differs TEXT,
    bdf_row TEXT, -- sub_caixa/numero_atendimento/sequencia of the billed row
    bdf_quantidade INTEGER,
    bdf_centavos INTEGER,
    ca TEXT CHECK (ca IN ('agrees', 'differs', 'missing', 'not-sold', 'cancelled', 'reversal', 'reversed')),
    ca_how TEXT CHECK (ca_how IN ('code', 'attendance', 'weak')),
    ca_differs TEXT,
    ca_row TEXT,
    ca_quantidade INTEGER,
    ca_centavos INTEGER,
    PRIMARY KEY (day, colour, site, line)
) STRICT, WITHOUT ROWID;

-- The lines added up, by each dimension and colour: a calendar of a year reads only these.
CREATE TABLE fs_reconciled_total (
    day TEXT NOT NULL,
    dimension TEXT NOT NULL CHECK (dimension IN ('all', 'site', 'service', 'contract', 'form', 'bdf', 'ca', 'bdf-how', 'ca-how')),
    value TEXT NOT NULL,
    colour TEXT NOT NULL CHECK (colour IN ('red', 'yellow', 'white', 'green')),
    lines INTEGER NOT NULL CHECK (lines > 0),
    sold INTEGER NOT NULL,
    sold_centavos INTEGER NOT NULL,
    bdf_quantidade INTEGER NOT NULL,
    bdf_centavos INTEGER NOT NULL,
    ca_quantidade INTEGER NOT NULL,
    ca_centavos INTEGER NOT NULL,
    PRIMARY KEY (day, dimension, value, colour)
) STRICT, WITHOUT ROWID;

-- Files that this site took in itself, each as a batch of its own (fs_incoming). See files.py.

-- Which file a batch was made from, by which layout. A file that was replaced by a later one of its day stays here.
CREATE TABLE fs_file (
    batch_id INTEGER PRIMARY KEY REFERENCES fs_incoming,
    dataset TEXT NOT NULL,
    day TEXT NOT NULL,
    file_name TEXT NOT NULL,
    file_sha256 TEXT NOT NULL,
    file_bytes INTEGER NOT NULL CHECK (file_bytes >= 0),
    layout TEXT NOT NULL,
    layout_sha256 TEXT NOT NULL,
    documents INTEGER NOT NULL CHECK (documents >= 0),
    set_aside INTEGER NOT NULL CHECK (set_aside >= 0),
    imported_by TEXT NOT NULL,
    imported_at TEXT NOT NULL,
    superseded_by INTEGER REFERENCES fs_incoming CHECK (superseded_by > batch_id)
) STRICT;

-- One file of a kind counts for a day: two would bill everything twice.
CREATE UNIQUE INDEX fs_file_current ON fs_file (dataset, day) WHERE superseded_by IS NULL;
-- All files of a day.
CREATE INDEX fs_file_day ON fs_file (day);

-- What was removed of days that are long over. See purging.py. The ledger itself is never purged: what was decided stays decided.

-- A purge of one kind of files of one day. Its row is there before the first file goes.
CREATE TABLE fs_purge (
    purge_id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('archive', 'discarded', 'evidence')),
    begun_at TEXT NOT NULL,
    purged_at TEXT, -- null: begun and perhaps cut short; the next purge goes on with it
    purged_by TEXT NOT NULL CHECK (purged_by <> ''),
    files INTEGER NOT NULL CHECK (files >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;

-- All purges of a day.
CREATE INDEX fs_purge_day ON fs_purge (day);
-- One at a time is under way for a day and kind.
CREATE UNIQUE INDEX fs_purge_open ON fs_purge (day, kind) WHERE purged_at IS NULL;

-- Sites that an own feed cannot simply go on for: it had begun without them, or they were installed anew. They begin with a snapshot.
CREATE TABLE fs_beginner (
    feed_id INTEGER NOT NULL REFERENCES fs_feed,
    recipient TEXT NOT NULL,
    PRIMARY KEY (feed_id, recipient)
) STRICT, WITHOUT ROWID;
INSERT INTO fs_beginner (feed_id, recipient)
SELECT DISTINCT o.feed_id, d.recipient FROM fs_outgoing o JOIN fs_delivery d USING (batch_id)
WHERE NOT EXISTS (
    SELECT 1 FROM fs_outgoing had JOIN fs_delivery theirs USING (batch_id)
    WHERE had.feed_id = o.feed_id AND theirs.recipient = d.recipient AND (had.seq = 1 OR had.mode = 'snapshot')
);
