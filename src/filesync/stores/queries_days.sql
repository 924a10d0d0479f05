-- The statements of days.py. Rules as in queries.sql.

-- name: day_sealed
-- Every batch of a day that was sealed here.
SELECT o.batch_id, o.name, f.origin, f.dataset, f.audience, f.epoch, o.seq, o.format, o.payload_sha256, o.documents, o.manifest, o.replaces
FROM fs_outgoing o JOIN fs_feed f USING (feed_id)
WHERE o.business_date = ?1
ORDER BY o.batch_id;

-- name: day_sealed_answers
-- What became of them at their recipients.
SELECT d.batch_id, d.recipient, d.verdict, d.shipped_at IS NOT NULL
FROM fs_outgoing o JOIN fs_delivery d USING (batch_id)
WHERE o.business_date = ?1
ORDER BY d.batch_id, d.recipient;

-- name: days_sealed_after_close
-- Closed days of which sales were sealed after the close. From the closes, which are few, to the batches of their days.
SELECT o.business_date, count(*), sum(o.documents)
FROM (
    SELECT c.business_date, max(c.batch_id) AS batch_id
    FROM fs_feed f CROSS JOIN fs_outgoing c ON c.feed_id = f.feed_id
    WHERE f.origin = ?1 AND f.dataset = 'fechamento'
    GROUP BY c.business_date
) AS closed
CROSS JOIN fs_outgoing o ON o.business_date = closed.business_date AND o.batch_id > closed.batch_id
JOIN fs_feed f ON f.feed_id = o.feed_id AND f.dataset = 'vendas'
GROUP BY o.business_date
ORDER BY o.business_date;

-- name: day_arrived
-- Batches of a business date that were decided here, in the order in which they were. Empty texts stand for nothing: a column is of one type.
SELECT f.origin, f.dataset, f.audience, f.epoch, i.seq, i.name, i.batch_id, i.verdict, i.manifest_sha256, i.payload_sha256, i.receipt,
       i.replaces, i.claims, i.documents, i.applied_at
FROM fs_incoming i JOIN fs_feed f USING (feed_id)
WHERE i.business_date = ?1
ORDER BY i.batch_id;

-- name: day_newest
-- The newest batch of each of these business dates: changes whenever one comes, and is found without counting those before it.
SELECT asked.value, (SELECT i.batch_id FROM fs_incoming i WHERE i.business_date = asked.value ORDER BY i.batch_id DESC LIMIT 1)
FROM json_each(?1) AS asked;

-- name: day_documents
-- How many documents of what is reconciled were decided here, of every day between two of which there is any batch.
SELECT i.business_date, CAST(sum(i.documents) AS BIGINT)
FROM fs_incoming i JOIN fs_feed f USING (feed_id)
WHERE i.business_date BETWEEN ?1 AND ?2 AND f.dataset IN ('vendas', 'bdf', 'ca')
GROUP BY i.business_date;

-- name: days_since
-- The business dates of batches that were decided after a given one.
SELECT business_date || '' AS day
FROM fs_incoming
WHERE batch_id > ?1
GROUP BY business_date || ''; -- joined to nothing, so that the new batches are looked at and not the index of all days

-- name: day_replaced
-- Those of these batches that a later batch replaces, with what replaces them.
SELECT replaces, name FROM fs_incoming WHERE replaces <> '' AND replaces IN (SELECT value FROM json_each(?1));

-- name: feed_heads
-- How far every feed from elsewhere is decided, with the business dates of the first and the last batch that the ledger holds of it.
SELECT f.origin, f.dataset, f.audience, f.epoch, f.seq, f.feed_id,
       coalesce((SELECT business_date FROM fs_incoming i WHERE i.feed_id = f.feed_id ORDER BY i.seq LIMIT 1), ''),
       coalesce((SELECT business_date FROM fs_incoming i WHERE i.feed_id = f.feed_id ORDER BY i.seq DESC LIMIT 1), '')
FROM fs_feed f
WHERE f.origin <> ?1;

-- name: heads_sum
-- Grows with every number that is decided or given up, here or in a feed of this site's.
SELECT coalesce(sum(seq), 0) FROM fs_feed;

-- name: every_heard
-- What every installation of every peer said last, later installations later.
SELECT peer, epoch, heartbeat, received_at, knew FROM fs_peer ORDER BY peer_id;

-- name: heard_sums
-- Changes whenever another installation of a peer is the latest, or one is heard after a feed was new here.
SELECT coalesce(sum(peer_id), 0), coalesce(sum(knew), 0) FROM fs_peer;

-- name: mark_done
-- A step was done. Done again, the later word stands.
INSERT INTO fs_step (day, step, done_by, done_at, detail) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (day, step) DO UPDATE SET done_by = excluded.done_by, done_at = excluded.done_at, detail = excluded.detail;

-- name: unmark_done
-- A step's mark was taken back.
DELETE FROM fs_step WHERE day = ?1 AND step = ?2;

-- name: done
-- The steps that were done for the days of a range.
SELECT step, day, done_by, done_at, detail FROM fs_step WHERE day BETWEEN ?1 AND ?2 ORDER BY day, done_at, step;

-- name: add_override
-- Somebody takes the responsibility.
INSERT INTO fs_override (day, step, site, reason, given_by, confirmed_by, given_at, until)
VALUES (?1, ?2, nullif(?3, ''), ?4, ?5, nullif(?6, ''), ?7, ?8)
RETURNING override_id;

-- name: revoke_override
-- It holds no longer. The first word on that stands.
UPDATE fs_override SET revoked_at = ?2, revoked_by = ?3 WHERE override_id = ?1 AND revoked_at IS NULL;

-- name: overrides
-- Every override ever given for the days of a range.
SELECT override_id, step, day, coalesce(site, ''), reason, given_by, coalesce(confirmed_by, ''), given_at, until, coalesce(revoked_at, ''),
       coalesce(revoked_by, '')
FROM fs_override WHERE day BETWEEN ?1 AND ?2 ORDER BY override_id;

-- name: add_event
-- An entry of the day's journal.
INSERT INTO fs_day_event (day, at, what, who, detail) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: events
-- The journal of the days of a range, oldest first.
SELECT at, day, what, who, detail FROM fs_day_event WHERE day BETWEEN ?1 AND ?2 ORDER BY event_id;

-- name: sales_left
-- What is known of documents of a day that batches of other days have taken away.
SELECT detail FROM fs_day_event WHERE day = ?1 AND what = 'sales-left' ORDER BY event_id;

-- name: look_again
-- The routine judges a day anew: something of it changed that is no batch of its own.
UPDATE fs_day_seen SET seen = '', settled = 0 WHERE day = ?1;

-- name: day_seen
-- What the routine saw of these days when it judged them last.
SELECT day, seen, gates, settled, numbers FROM fs_day_seen WHERE day IN (SELECT value FROM json_each(?1));

-- name: days_unsettled
-- Days on which a gate is still closed or an automatic step is not done, from a day on.
SELECT day FROM fs_day_seen WHERE settled = 0 AND day >= ?1 ORDER BY day;

-- name: record_day_seen
-- A day was judged.
INSERT INTO fs_day_seen (day, seen, gates, settled, numbers, batch_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (day) DO UPDATE SET seen = excluded.seen, gates = excluded.gates, settled = excluded.settled, numbers = excluded.numbers,
    batch_id = excluded.batch_id;

-- name: last_day_seen
-- The newest batch of all when a day was judged last.
SELECT coalesce(max(batch_id), 0) FROM fs_day_seen;
