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
