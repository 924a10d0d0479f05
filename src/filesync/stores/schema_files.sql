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
