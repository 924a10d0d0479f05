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

-- The day's journal: gates that opened or closed again, steps, overrides, sales that left the day. For reports and audit; the last of these
-- is also a reason to count a day's sales again.
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
