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
