-- What bringing a store forward asks and says besides its steps (migrations/*.sql). See migrating.py.

-- name: held_version
-- Of which schema version this store is.
SELECT CAST(value AS INTEGER) FROM fs_meta WHERE key = 'schema_version';

-- name: reached_version
-- The last statement of a step, in its transaction.
UPDATE fs_meta SET value = CAST(?1 AS TEXT) WHERE key = 'schema_version';

-- name: nobody_else
-- On a server: whoever writes reads its version first, and waits here until the step is over.
LOCK TABLE fs_meta IN ACCESS EXCLUSIVE MODE;

-- name: broken_references
-- In SQLite: rows whose reference leads nowhere, by table.
SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1;

-- name: table_text
-- In SQLite: the statement that made a table, as it stands now.
SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?1;

-- name: copy_into
-- In SQLite: a consistent copy of the whole database into a file that is not there yet.
VACUUM INTO ?1;
