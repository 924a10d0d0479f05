-- The statements of purging.py. Rules as in queries.sql.

-- name: purge_begin
-- From now on whoever misses a file of this day learns why. One that was cut short goes on under its first row.
INSERT INTO fs_purge (day, kind, begun_at, purged_by, files, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING;

-- name: purge_finish
-- Nothing of it is left.
UPDATE fs_purge SET purged_at = ?3 WHERE day = ?1 AND kind = ?2 AND purged_at IS NULL;

-- name: purges
-- What was purged of the days between two, in the order in which it was.
SELECT day, kind, begun_at, coalesce(purged_at, ''), purged_by, files, bytes FROM fs_purge WHERE day BETWEEN ?1 AND ?2 ORDER BY purge_id;

-- name: purge_unanswered
-- Batches of a day that were sealed here and that somebody has not answered.
SELECT name FROM fs_outgoing WHERE business_date = ?1 AND settled_at IS NULL ORDER BY batch_id;

-- name: purge_owed
-- Batches of a day that were sealed here and rejected, and whose rows stand in no later batch.
SELECT o.name FROM fs_outgoing o
WHERE o.business_date = ?1
  AND EXISTS (SELECT 1 FROM fs_delivery d WHERE d.batch_id = o.batch_id AND d.verdict = 'REJECTED')
  AND NOT EXISTS (SELECT 1 FROM fs_outgoing later WHERE later.replaces = o.name)
  AND NOT EXISTS (SELECT 1 FROM fs_given_up g WHERE g.batch_id = o.batch_id AND g.sealed_again = 1)
ORDER BY o.batch_id;

-- name: purge_unacknowledged
-- Batches of a day that were decided here and whose receipt was in no outbox yet.
SELECT name FROM fs_incoming WHERE business_date = ?1 AND acknowledged = 0 ORDER BY batch_id;

-- name: purge_unheard
-- Batches of a day that were decided here and that their origin, when it was heard last, still counted as unanswered. By what is open there.
SELECT i.name
FROM fs_peer p CROSS JOIN json_each(p.heartbeat, '$.feeds') AS m
CROSS JOIN fs_feed f ON f.origin = p.peer AND f.dataset = m.value ->> 'dataset' AND f.audience = m.value ->> 'audience' AND f.epoch = p.epoch
CROSS JOIN fs_incoming i ON i.feed_id = f.feed_id AND i.seq >= m.value ->> 'oldest_open'
WHERE m.value ->> 'oldest_open' IS NOT NULL AND i.business_date = ?1
ORDER BY i.batch_id;
