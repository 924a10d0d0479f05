-- The statements of files.py. Rules as in queries.sql.

-- name: files_of
-- Every file that was taken for a day, in the order in which they were.
SELECT l.batch_id, i.name, l.dataset, l.day, l.file_name, l.file_sha256, l.file_bytes, l.layout, l.layout_sha256, l.documents, l.set_aside,
       l.imported_by, l.imported_at, s.name
FROM fs_file l JOIN fs_incoming i USING (batch_id) LEFT JOIN fs_incoming s ON s.batch_id = l.superseded_by
WHERE l.day = ?1
ORDER BY l.batch_id;

-- name: supersede_file
-- The file that counted for a day gives way to a later batch.
UPDATE fs_file SET superseded_by = ?1 WHERE dataset = ?2 AND day = ?3 AND superseded_by IS NULL;

-- name: record_file
-- At the commit of this row the file counts for its day.
INSERT INTO fs_file (batch_id, dataset, day, file_name, file_sha256, file_bytes, layout, layout_sha256, documents, set_aside, imported_by,
                     imported_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12);
